"""Faults of processes, files and time. The numbers are those of docs/FAULTS.md."""
# SPDX-License-Identifier: Apache-2.0
import contextlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import time

import pytest

from harness import (free_port, gateway_of, listener, metric_sum, route, rule, sanitizer,
                     service, simple, wait_for)
from http_backend import Streams, named
from http_client import Client, Load, request

pytestmark = pytest.mark.sanitized
FEW = sanitizer() is not None


def edit_header(port, backend_port, value):
    """The simple configuration, with a response header that tells which edit served."""
    return simple(port, backend_port, filters=[
        {"type": "ResponseHeaderModifier",
         "responseHeaderModifier": {"set": [{"name": "x-edit", "value": str(value)}]}}])


# ---- F01, F02, F03: the control plane dies ----

@pytest.mark.quick
@pytest.mark.threads
def test_f01_killing_the_control_plane_costs_no_request(start_gateway, start_backend):
    port, behind = free_port(), start_backend(named("app"))
    gateway = start_gateway(*simple(port, behind.port))
    with Load(port) as load:
        for i in range(3):
            gateway.control.kill()
            wait_for(lambda: gateway.metrics()["nantian_xds_connected"] == 0, "the loss is noticed")
            load.wait(500)
            assert gateway.ask("/readyz")[0] == 200
            gateway.control.start()
            wait_for(lambda: gateway.metrics()["nantian_xds_connected"] == 1, "it is back")
            gateway.wait_synced()
            gateway.apply("config.yaml", *edit_header(port, behind.port, i))
            assert request(port).get("x-edit") == str(i)
    assert load.failures == [] and load.count >= 1500


def test_f02_a_restarted_control_plane_sends_nothing_again(start_gateway, backend):
    port = free_port()
    routes = [route(f"r{i}", rule("app", matches=[{"path": {"value": f"/{i}"}}])) for i in range(50)]
    gateway = start_gateway(gateway_of(listener("http", port)), service("app", backend.port),
                            *routes)
    version, digest = (gateway.status()[key] for key in ("snapshot", "digest"))
    received = gateway.metrics()["nantian_xds_received_resources_total"]
    for stop in (gateway.control.kill, gateway.control.stop):
        stop()
        wait_for(lambda: gateway.metrics()["nantian_xds_connected"] == 0, "the loss is noticed")
        gateway.control.start()
        gateway.wait_synced()
        status = gateway.status()
        assert (status["snapshot"], status["digest"]) == (version, digest)
        control = gateway.metrics("control")
        # The commit record is how a stream learns that it is in sync.
        assert metric_sum(control, "nantian_control_xds_sent_resources_total") <= 1
        assert metric_sum(control, "nantian_control_xds_removed_resources_total") == 0
        assert metric_sum(control, "nantian_control_xds_sent_bytes_total") <= 2048
        assert gateway.metrics()["nantian_xds_received_resources_total"] - received <= 2
    assert gateway.dump()["digest"] == digest


def test_f03_a_control_plane_that_cannot_read_its_directory_removes_nothing(start_gateway, backend):
    port = free_port()
    gateway = start_gateway(*simple(port, backend.port))
    digest = gateway.dump()["digest"]
    gateway.control.kill()
    os.rename(gateway.config, gateway.folder / "away")
    gateway.control.start()
    gateway.control.expect = (0, 1)
    with Load(port) as load:
        wait_for(lambda: not gateway.control.running() or gateway.ask_control("/v1/nodes"),
                 "it has tried")
        load.wait(200)
    assert load.failures == []
    assert gateway.dump()["digest"] == digest
    gateway.control.stop()
    os.rename(gateway.folder / "away", gateway.config)
    gateway.control.start()
    gateway.wait_synced()
    assert gateway.dump()["digest"] == digest


# ---- F04, F05, F06: the data plane dies ----

def test_f04_a_killed_data_plane_serves_again_within_two_seconds(start_gateway, backend):
    port = free_port()
    gateway = start_gateway(*simple(port, backend.port))
    for _ in range(3 if FEW else 20):
        gateway.proxy.kill()
        began = time.monotonic()
        gateway.proxy.start()
        gateway.wait_ready()
        assert request(port).status == 200
        assert FEW or time.monotonic() - began < 2
    gateway.wait_synced()


@pytest.mark.quick
def test_f05_a_data_plane_without_control_plane_serves_from_disk(start_gateway, backend):
    port = free_port()
    gateway = start_gateway(*simple(port, backend.port))
    digest = gateway.dump()["digest"]
    wait_for((gateway.state / "proxy/snapshot").exists, "the snapshot is on disk")
    assert os.stat(gateway.state / "proxy/snapshot").st_mode & 0o777 == 0o600
    gateway.control.kill()
    gateway.proxy.kill()
    began = time.monotonic()
    gateway.proxy.start()
    gateway.wait_ready()
    assert request(port).status == 200
    assert FEW or time.monotonic() - began < 2
    dump = gateway.dump()
    assert (dump["digest"], dump["from_disk"], dump["connected"]) == (digest, True, False)
    gateway.control.start()
    gateway.wait_synced()
    assert gateway.dump()["digest"] == digest


def damages(good, other):
    """(name, function of a path) for 200 ways in which a file can be wrong; seeded."""
    rng = random.Random(6)

    def write(data):
        return lambda path: path.write_bytes(data)

    for size in sorted({0, 1, 7, 8, 12, 16, 31, 32, 47, 48, 49, len(good) - 1,
                        *(rng.randrange(len(good)) for _ in range(40))}):
        yield f"cut at {size}", write(good[:size])
    for at in [*range(0, 48, 2), *(rng.randrange(48, len(good)) for _ in range(80))]:
        data = bytearray(good)
        data[at] ^= 1 << rng.randrange(8)
        yield f"bit flipped in byte {at}", write(bytes(data))
    for _ in range(15):
        at, size = rng.randrange(len(good)), rng.choice((1, 16, 512))
        yield f"{size} zeros at {at}", write(
            (good[:at] + b"\0" * size + good[at + size:])[:len(good)] + b"!")
    for _ in range(10):
        at = rng.randrange(48, len(good) - 16)
        yield f"two parts exchanged at {at}", write(good[:48] + good[at:] + good[48:at] + b"?")
    for _ in range(10):
        at = rng.randrange(48, min(len(good), len(other)))
        yield f"torn with the file before at {at}", write(other[:at] + good[at:] + b"#")
    for tail in (b"\0", b"x" * 4096, good):
        yield f"{len(tail)} bytes too many", write(good + tail)
    for at, value in ((8, 2), (8, 255), (16, 255), (23, 255), (24, 255), (31, 127)):
        data = bytearray(good)
        data[at] = value
        yield f"header byte {at} is {value}", write(bytes(data))
    yield "random bytes", write(rng.randbytes(5000))
    yield "text", write(b"{}\n" * 100)
    yield "a directory", lambda path: path.mkdir()
    yield "a FIFO", os.mkfifo
    yield "a link to nowhere", lambda path: path.symlink_to("/nowhere")
    yield "a link to itself", lambda path: path.symlink_to(path.name)
    yield "open to others", lambda path: (path.write_bytes(good), path.chmod(0o644))
    if os.geteuid() == 0:
        yield "of another user", lambda path: (path.write_bytes(good), path.chmod(0o600),
                                               os.chown(path, 12345, 12345))


def remove(path):
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    elif path.is_symlink() or path.exists():
        path.unlink()


def test_f06_damaged_state_files_are_never_loaded_and_never_a_crash(start_gateway, start_backend):
    port, behind = free_port(), start_backend(named("app"))
    gateway = start_gateway(*edit_header(port, behind.port, "old"))
    state = gateway.state / "proxy"
    old_digest = gateway.dump()["digest"]
    wait_for((state / "snapshot").exists, "the first is on disk")
    gateway.apply("config.yaml", *edit_header(port, behind.port, "new"))
    wait_for((state / "snapshot.1").exists, "the second is on disk")
    gateway.control.stop()
    gateway.proxy.stop()
    good, before = (state / "snapshot").read_bytes(), (state / "snapshot.1").read_bytes()
    found = list(damages(good, before))
    assert len(found) >= 200
    for number, (name, damage) in enumerate(found[::7] if FEW else found):
        has_previous = number % 5 != 4  # now and then both are damaged
        for path in (state / "snapshot", state / "snapshot.1"):
            remove(path)
        damage(state / "snapshot")
        if has_previous:
            (state / "snapshot.1").write_bytes(before)
            (state / "snapshot.1").chmod(0o600)
        else:
            damage(state / "snapshot.1")
        gateway.proxy.start()
        wait_for(lambda: gateway.ask("/healthz")[0] == 200, f"it lives with {name}")
        if has_previous:
            gateway.wait_ready()
            dump = gateway.dump()
            assert (dump["digest"], dump["from_disk"]) == (old_digest, True), name
        else:
            dump = gateway.dump()
            assert dump["digest"] == "" and not dump.get("bindings"), name
            assert gateway.ask("/readyz")[0] == 503, name
        assert gateway.proxy.running(), name
        gateway.proxy.kill()
    assert "cannot be used" in gateway.proxy.text()
    shutil.rmtree(state)
    gateway.control.start()
    gateway.proxy.start()
    gateway.wait_synced()
    assert request(port).get("x-edit") == "new"


def test_f06_a_kill_in_the_middle_of_writing_leaves_a_whole_snapshot(start_gateway, start_backend):
    port, behind = free_port(), start_backend(named("app"))
    gateway = start_gateway(*edit_header(port, behind.port, -1))
    rng = random.Random(7)
    for i in range(5 if FEW else 30):
        gateway.write("config.yaml", *edit_header(port, behind.port, i))
        time.sleep(rng.random() * 0.06)  # a moment, not a wait: the kill may hit anything
        gateway.proxy.kill()
        gateway.control.kill()
        gateway.proxy.start()
        gateway.wait_ready()
        assert int(request(port).get("x-edit")) in range(-1, i + 1)
        gateway.control.start()
        gateway.wait_synced()
        wait_for(lambda i=i: request(port).get("x-edit") == str(i), "the edit is served")


# ---- F43: draining ----

@pytest.mark.quick
@pytest.mark.threads
def test_f43_sigterm_loses_no_stream_and_ends_when_the_last_has(start_gateway, start_backend):
    port, streams = free_port(), Streams()
    gateway = start_gateway(*simple(port, start_backend(streams).port), drain_ms=60000)
    busy, idle = [Client(port) for _ in range(50)], [Client(port) for _ in range(1000)]
    for client in busy:
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.read_head()[0].endswith("200 OK")
        assert client.until(b"begin\r\n") is not None
    gateway.proxy.signal(signal.SIGTERM)
    wait_for(lambda: gateway.ask("/readyz")[0] != 200, "it is no longer ready", 2)
    for client in idle:
        assert client.closed()
    assert gateway.proxy.running(), "streams are waited for"
    streams.finish.set()
    for client in busy:
        assert client.read_chunked() == (b"end", [], True)
        client.close()
    began = time.monotonic()
    assert gateway.proxy.wait() == 0
    assert FEW or time.monotonic() - began < 1
    for client in idle:
        client.close()


def test_f43_while_draining_is_announced_requests_are_still_served(start_gateway, backend):
    port = free_port()
    gateway = start_gateway(*simple(port, backend.port), proxy_flags=("--drain-delay", 1500))
    with Client(port) as kept:
        assert kept.request("GET", "/").get("connection") is None
        gateway.proxy.signal(signal.SIGTERM)
        wait_for(lambda: gateway.ask("/readyz")[0] == 503, "it is no longer ready", 2)
        assert kept.request("GET", "/").status == 200
        assert request(port).status == 200, "endpoints propagate slowly: it accepts meanwhile"
        assert gateway.proxy.wait() == 0


def test_f43_streams_that_never_end_are_cut_at_the_deadline(start_gateway, start_backend):
    port, streams = free_port(), Streams()
    gateway = start_gateway(*simple(port, start_backend(streams).port), drain_ms=300)
    with Client(port) as client:
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        client.read_head()
        gateway.proxy.signal(signal.SIGTERM)
        assert gateway.proxy.wait(10) == 0
        assert not client.read_chunked()[2]
    streams.finish.set()


def test_a_drained_data_plane_can_be_asked_over_its_admin_port(start_gateway, backend):
    gateway = start_gateway(*simple(free_port(), backend.port))
    assert gateway.ask("/drain", "POST")[0] == 202
    assert gateway.proxy.wait() == 0


def test_a_signal_after_a_drain_that_was_asked_for_cuts_nothing(start_gateway, start_backend):
    """A preStop hook drains, then the kubelet says SIGTERM: only a second one means now."""
    port, streams = free_port(), Streams()
    gateway = start_gateway(*simple(port, start_backend(streams).port), drain_ms=60000)
    with Client(port) as client:
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.read_head()[0].endswith("200 OK")
        assert client.until(b"begin\r\n") is not None
        assert gateway.ask("/drain", "POST")[0] == 202
        gateway.proxy.signal(signal.SIGTERM)
        assert gateway.ask("/healthz")[0] == 200
        streams.finish.set()
        assert client.read_chunked() == (b"end", [], True)
    assert gateway.proxy.wait() == 0


# ---- configuration changes under load ----

@pytest.mark.threads
def test_a_thousand_edits_lose_no_request_and_none_meets_two_snapshots(start_gateway,
                                                                       start_backend):
    """Route and endpoints change together: what the route says must be what the backend is."""
    port, ports = free_port(), [start_backend(named(name), record=False).port for name in "01"]

    def documents(i):
        return [gateway_of(listener("http", port)), service("app", ports[i % 2]),
                route("r", rule("app", filters=[
                    {"type": "RequestHeaderModifier",
                     "requestHeaderModifier": {"set": [{"name": "x-want", "value": str(i)}]}},
                    {"type": "ResponseHeaderModifier",
                     "responseHeaderModifier": {"set": [{"name": "x-edit", "value": str(i)}]}}]))]

    def judge(answer):
        edit = answer.get("x-edit")
        if answer.status != 200 or edit is None or answer.get("x-backend") != str(int(edit) % 2):
            return answer
        return None

    gateway = start_gateway(*documents(0))
    with Load(port, judge, clients=3) as load:
        for i in range(1, (100 if FEW else 1000) + 1):
            before = gateway.ask_control("/v1/nodes")["snapshot"]
            gateway.write("config.yaml", *documents(i))
            gateway.wait_synced(after=before)
            if i % 50 == 0:
                assert request(port).get("x-edit") == str(i)
    assert load.failures == []
    assert gateway.metrics()['nantian_config_rejected_total{type="any"}'] == 0


def test_listeners_come_and_go_under_load(start_gateway, start_backend):
    port, other, behind = free_port(), free_port(), start_backend(named("app"))

    def documents(*ports):
        return [gateway_of(*(listener(f"p{p}", p) for p in ports)), route("r", rule("app")),
                service("app", behind.port)]

    gateway = start_gateway(*documents(port))
    with Load(port) as load:
        for _ in range(5 if FEW else 20):
            gateway.apply("config.yaml", *documents(port, other))
            assert request(other).status == 200
            gateway.apply("config.yaml", *documents(port))
            with pytest.raises(OSError):
                request(other)
    assert load.failures == []


def test_a_port_that_is_taken_is_said_and_harms_no_other_listener(start_gateway, backend):
    port = free_port()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        gateway = start_gateway(*simple(port, backend.port))
        gateway.write("config.yaml",
                      gateway_of(listener("http", port), listener("bad", taken.getsockname()[1])),
                      route("all", rule("app")), service("app", backend.port))
        wait_for(lambda: "in use" in str(gateway.status()), "status says why")
        assert request(port).status == 200


def test_a_listener_moves_from_all_addresses_to_one_and_back(start_gateway, backend):
    """Its port is not taken: it is our own."""
    port = free_port()

    def at(address):
        gateway, *others = simple(port, backend.port)
        gateway["spec"]["addresses"] = [{"type": "IPAddress", "value": address}]
        return [gateway, *others]

    gateway = start_gateway(*at("0.0.0.0"))
    gateway.apply("config.yaml", *at("127.0.0.1"))
    assert request(port).status == 200
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", port), 20)
    gateway.apply("config.yaml", *at("0.0.0.0"))
    assert request(port).status == 200
    socket.create_connection(("127.0.0.2", port), 20).close()
    assert gateway.faults() == [] and programmed(gateway) == "True"


def test_a_port_that_was_taken_meanwhile_does_not_hold_up_a_restart(start_gateway, backend):
    port, lost = free_port(), free_port()
    gateway = start_gateway(gateway_of(listener("http", port), listener("bad", lost)),
                            route("all", rule("app")), service("app", backend.port))
    gateway.proxy.kill()
    gateway.control.kill()
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("0.0.0.0", lost))
        taken.listen()
        gateway.control.start()
        gateway.proxy.start()

        def serves():
            with contextlib.suppress(OSError):
                return request(port).status == 200
            return False
        wait_for(serves, "the other listener serves")
    assert "it stays" not in gateway.control.text()


@pytest.mark.parametrize("name", ["test", "another"])
def test_a_data_plane_that_cannot_have_the_port_takes_it_from_nobody(start_gateway, backend, name):
    """A second one on the machine, under the first one's name or its own."""
    port = free_port()
    gateway = start_gateway(*simple(port, backend.port))
    second = start_gateway(control=False, xds=f"unix:{gateway.state}/xds.sock",
                           proxy_flags=("--node", name))
    wait_for(lambda: "Cannot listen on" in gateway.control.text(), "its refusal is heard")
    gateway.write("config.yaml", *edit_header(port, backend.port, 1))
    wait_for(lambda: request(port).get("x-edit") == "1", "an edit is live")
    assert programmed(gateway) == "True"
    gateway.proxy.kill()
    second.wait_ready()
    assert request(port).get("x-edit") == "1"


# ---- statuses are true ----

def programmed(gateway):
    status = gateway.object_status("Gateway", "web")
    conditions = {c["type"]: c for c in status["conditions"]} if status else {}
    return conditions.get("Programmed", {}).get("status")


def test_programmed_only_after_a_data_plane_acknowledged(start_gateway, backend):
    port, other = free_port(), free_port()
    gateway = start_gateway(*simple(port, backend.port))
    assert programmed(gateway) == "True"
    gateway.proxy.kill()
    gateway.control.kill()
    gateway.write("config.yaml", gateway_of(listener("http", other)), route("all", rule("app")),
                  service("app", backend.port))
    gateway.control.start()
    wait_for(lambda: gateway.ask_control("/v1/status"), "the control plane answers")
    wait_for(lambda: programmed(gateway) is not None, "there is a status")
    for _ in range(10):
        assert programmed(gateway) != "True", "nobody serves it yet"
    gateway.proxy.start()
    wait_for(lambda: programmed(gateway) == "True", "it is served and said so")
    assert request(other).status == 200


def test_a_data_plane_that_hangs_is_not_in_sync(start_gateway, backend):
    port = free_port()
    gateway = start_gateway(*simple(port, backend.port))
    before = gateway.status()["snapshot"]
    gateway.proxy.signal(signal.SIGSTOP)
    try:
        gateway.write("config.yaml", *edit_header(port, backend.port, 1))
        wait_for(lambda: gateway.status()["snapshot"] != before, "the change is published")
        assert [node["state"] for node in gateway.status()["nodes"]] == ["behind"]
    finally:
        gateway.proxy.signal(signal.SIGCONT)
    gateway.wait_synced()
    assert request(port).get("x-edit") == "1"


def test_descriptors_run_out_and_come_back(start_gateway, backend):
    port = free_port()
    gateway = start_gateway(*simple(port, backend.port), descriptors=256)
    clients = [Client(port) for _ in range(400)]
    assert gateway.ask("/healthz")[0] == 200, "descriptors are kept for the admin port"
    gateway.apply("config.yaml", *edit_header(port, backend.port, 1))
    assert gateway.metrics()["nantian_downstream_connections_limited_total"] >= 100
    for client in clients:
        client.close()
    wait_for(lambda: serves(port), "requests are served again")
    assert request(port).get("x-edit") == "1"


def serves(port):
    try:
        return request(port, timeout=2).status == 200
    except (OSError, EOFError):
        return False


# ---- F37: the disk is full ----

def file_limit(gateway, size):
    """Files may grow to so many bytes: a full disk of the process's own."""
    subprocess.run(["prlimit", f"--pid={gateway.proxy.pid}", f"--fsize={size}:"], check=True)


def many_routes(port, backend_port, edit, count=200):
    edited = {"type": "ResponseHeaderModifier",
              "responseHeaderModifier": {"set": [{"name": "x-edit", "value": str(edit)}]}}
    rules = [rule("app", filters=[edited])] + [
        rule("app", matches=[{"path": {"type": "Exact", "value": f"/{edit}/{i}"}}])
        for i in range(count)]
    return [gateway_of(listener("http", port)), service("app", backend_port),
            *(route(f"r{i}", *rules[i:i + 10]) for i in range(0, len(rules), 10))]


@pytest.mark.quick
def test_f37_a_full_disk_stops_no_traffic_and_is_made_up_for(start_gateway, start_backend):
    port = free_port()
    backend = start_backend(named("app"))
    gateway = start_gateway(*many_routes(port, backend.port, 0, count=1))
    wait_for(lambda: list((gateway.state / "proxy").iterdir()), "the first snapshot is on disk")
    file_limit(gateway, 4096)  # somewhere in a line
    with Load(port, clients=2) as load:
        gateway.apply("config.yaml", *many_routes(port, backend.port, 1, count=600))
        wait_for(lambda: metric_sum(gateway.metrics(), "nantian_state_unsaved") == 1,
                 "the state cannot be written")
        wait_for(lambda: metric_sum(gateway.metrics(), "nantian_access_log_dropped_total") >= 50,
                 "lines are lost and counted")
        assert request(port).get("x-edit") == "1", "what is served does not wait for the disk"
        file_limit(gateway, "unlimited")
        wait_for(lambda: metric_sum(gateway.metrics(), "nantian_state_unsaved") == 0,
                 "it is on disk by itself")
        assert "the snapshot is on disk again" in gateway.proxy.text()
        load.wait(50)
    assert load.failures == []

    def whole():
        request(port, path="/last")
        lines = gateway.access_log.read_text(encoding="utf-8").splitlines()
        return lines if "/last" in lines[-1] else None
    broken = 0
    for line in wait_for(whole, "the log goes on"):
        try:
            json.loads(line)
        except ValueError:
            broken += 1
    assert broken <= 2, "each worker may have been cut short once, and nothing is glued to that"
    gateway.control.kill()
    gateway.proxy.kill()
    gateway.proxy.start()
    gateway.wait_ready()
    assert request(port).get("x-edit") == "1", "the newest is what was on disk"
