"""F43 to F45: drain, rolling and hot restart lose nothing; the judge counts."""
# SPDX-License-Identifier: Apache-2.0
import contextlib
import os
import shutil
import signal
import subprocess

import pytest
import yaml

from certificates import Authority
from harness import (BIN, DEADLINE, REPORTS, Plane, environment, free_port, gateway_of, listener,
                     route, rule, sanitizer, send_signal, service, wait_for)
from http_client import Client, request
from judge import Judge, verdict

pytestmark = pytest.mark.sanitized
SOAK = os.environ.get("SOAK") == "1"  # the long forms, in `make soak`
FEW = sanitizer() is not None


@pytest.fixture
def judge():
    started = Judge()
    yield started
    started.close()


def documents(port, tls_port, judge_port):
    return [gateway_of(listener("http", port), listener("https", tls_port, "HTTPS", tls={
                "certificateRefs": [{"name": "web"}]})),
            Authority().secret("web", "judge.example"),
            route("all", rule("app"),
                  rule("rpc", matches=[{"headers": [{"name": "content-type",
                                                     "value": "application/grpc"}]}])),
            service("app", judge_port),
            {**service("rpc", judge_port),
             "spec": {"ports": [{"port": 80, "appProtocol": "kubernetes.io/h2c"}]}}]


def load_of(seconds):
    """Rate and number of a load that lasts so long, or, in `make soak`, of a million requests: on a
    busy machine they may fall behind for minutes, which is no loss."""
    rate = 150 if FEW else 1000
    return {"rate": rate, "requests": 1000000, "late": 600000, "end": 600000} if SOAK else \
        {"rate": rate, "requests": int(rate * seconds)}


def follow(gateway):
    """A second data plane takes over from the first; returns when the first has ended."""
    old = gateway.proxy
    gateway.proxy = Plane(old.name, [*(w for w in old.command if w != "--take-over"),
                                     "--take-over"], old.log)
    gateway.proxy.start()
    assert old.wait(DEADLINE * 3) == 0
    gateway.proxy.problems += old.problems


@pytest.mark.quick
def test_f45_a_hot_restart_under_load_loses_nothing(start_gateway, judge):
    """Every kind of request, and streams that outlive the process that took them."""
    port, tls = free_port(), free_port()
    gateway = start_gateway(*documents(port, tls, judge.port), drain_ms=60000)
    with judge.load(port, tls_port=tls, streams=9 if FEW else 48, **load_of(12)) as report:
        for _ in range(100 if SOAK else 3):
            follow(gateway)
            gateway.wait_ready()
    assert verdict(report) == {}, report
    assert report["answered"] == load_of(12)["requests"]
    # A client may meet the end of a connection that was idle for long; nearly none does.
    assert report["retried"] <= report["sent"] / 1000, report
    gateway.wait_synced()


def test_f45_fewer_and_more_workers_take_every_queue(start_gateway, judge):
    port, tls = free_port(), free_port()
    gateway = start_gateway(*documents(port, tls, judge.port), drain_ms=60000, workers=3)
    at = gateway.proxy.command.index("--workers") + 1
    with judge.load(port, tls_port=tls, kinds="new", **load_of(4)) as report:
        for workers in ("1", "4"):
            gateway.proxy.command[at] = workers
            follow(gateway)
    assert verdict(report) == {}, report


def test_f45_listeners_change_after_a_hot_restart(start_gateway, judge):
    """The sockets that were taken over belong to the new one like its own."""
    port, tls, other = free_port(), free_port(), free_port()
    gateway = start_gateway(*documents(port, tls, judge.port))
    follow(gateway)
    gateway.apply("config.yaml", *documents(other, tls, judge.port))
    assert request(other, "/n/1").status == 200
    with pytest.raises(OSError):
        request(port)
    follow(gateway)
    assert request(other, "/n/2").status == 200


def test_f45_a_stream_goes_on_in_the_old_process(start_gateway, judge):
    port, tls = free_port(), free_port()
    gateway = start_gateway(*documents(port, tls, judge.port), drain_ms=60000)
    with Client(port) as client:
        client.send("GET /events/40 HTTP/1.1\r\nHost: a\r\n\r\n")
        client.read_head()
        old = gateway.proxy
        gateway.proxy = Plane(old.name, [*old.command, "--take-over"], old.log)
        gateway.proxy.start()
        wait_for(lambda: "another data plane has taken over" in old.text(), "it was taken over")
        assert request(port, "/n/1").status == 200, "the new one serves"
        assert old.running(), "the old one waits for the stream"
        body, _, whole = client.read_chunked()
        assert whole and body.count(b"data: ") == 40
    assert old.wait() == 0


# ---- under `nantian up`: the binary is replaced, or the new one is no good ----

@contextlib.contextmanager
def up(folder, *objects):
    """`nantian up` of a copy of the programs, so that they can be replaced."""
    programs, config, state = folder / "bin", folder / "config", folder / "state"
    programs.mkdir()
    config.mkdir()
    for name in ("nantian", "nantian-control", "nantian-proxy"):
        shutil.copy2(BIN / name, programs / name)
    (config / "all.yaml").write_text(yaml.safe_dump_all(objects), encoding="utf-8")
    log = folder / "up.log"
    with open(log, "ab") as out:
        process = subprocess.Popen(
            [programs / "nantian", "up", config, "--state-dir", state, "--admin",
             f"127.0.0.1:{free_port()}", "--access-log", "off", "--workers", "2"], stdout=out,
            stderr=out, env=environment(), start_new_session=True)
    try:
        yield process, programs, log
        process.terminate()
        assert process.wait(DEADLINE * 2) == 0
        assert not REPORTS.search(log.read_text(encoding="utf-8")), log.read_text(encoding="utf-8")
    finally:
        process.kill()
        process.wait()


def replace(path, text=None):
    """By rename, as an installation does it."""
    new = path.with_suffix(".new")
    if text is None:
        shutil.copy2(BIN / path.name, new)
    else:
        new.write_text(text, encoding="utf-8")
        new.chmod(0o755)
    new.rename(path)


def answers(port):
    try:
        return request(port, "/n/9999999").status == 200
    except (OSError, EOFError):
        return False


def children(pid):
    path = f"/proc/{pid}/task/{pid}/children"
    with open(path, encoding="utf-8") as file:
        return [int(word) for word in file.read().split()]


def test_f45_sigusr2_starts_the_binary_that_stands_there_now(tmp_path, judge):
    port, tls = free_port(), free_port()
    with up(tmp_path, *documents(port, tls, judge.port)) as (process, programs, log):
        wait_for(lambda: answers(port), "it serves")
        before = set(children(process.pid))
        with judge.load(port, tls_port=tls, streams=6, **load_of(8)) as report:
            replace(programs / "nantian-proxy")
            process.send_signal(signal.SIGUSR2)
            wait_for(lambda: "the old one has ended" in log.read_text(encoding="utf-8"),
                     "the new one is alone", DEADLINE * 3)
        assert verdict(report) == {}, report
        assert len(set(children(process.pid)) - before) == 1


def test_f45_a_new_one_that_fails_or_hangs_leaves_the_old_serving(tmp_path, judge):
    port, tls = free_port(), free_port()
    with up(tmp_path, *documents(port, tls, judge.port)) as (process, programs, log):
        wait_for(lambda: answers(port), "it serves")

        def said(count):
            return log.read_text(encoding="utf-8").count("the old one runs on") >= count

        with judge.load(port, tls_port=tls, streams=6, **load_of(8)) as report:
            replace(programs / "nantian-proxy", "#!/bin/sh\nexit 3\n")
            process.send_signal(signal.SIGUSR2)
            wait_for(lambda: said(1), "the failure is noticed")
            before = set(children(process.pid))
            replace(programs / "nantian-proxy", "#!/bin/sh\nexec sleep 1000\n")
            process.send_signal(signal.SIGUSR2)
            hanging = wait_for(lambda: set(children(process.pid)) - before, "it was started")
            assert request(port, "/n/9999998").status == 200
            for pid in hanging:
                send_signal(pid, signal.SIGKILL)
            wait_for(lambda: said(2), "its end is noticed")
            replace(programs / "nantian-proxy")
            process.send_signal(signal.SIGUSR2)
            wait_for(lambda: "the old one has ended" in log.read_text(encoding="utf-8"),
                     "a good one took over", DEADLINE * 3)
        assert verdict(report) == {}, report
