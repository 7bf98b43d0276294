"""Several control planes over one scripted API server: who serves, who writes, what never goes back."""
# SPDX-License-Identifier: Apache-2.0
import contextlib
import http.client
import http.server
import json
import os
import pathlib
import random
import re
import signal
import socket
import subprocess
import threading
import time

import pytest

from certificates import Authority
from harness import free_port, gateway_of, listener, metric_sum, parse_metrics, route, rule, wait_for
from kube_cluster import address, plain, settled
from kube_server import Cut

WAIT = 60  # a machine may be busy


def programmed(cluster, name="web"):
    item = cluster.server.get("Gateway", name)
    condition = cluster.condition("Gateway", name, "Programmed")
    return condition and condition["status"] == "True" and \
        condition["observedGeneration"] == item["metadata"]["generation"]


def listen(cluster, port):
    """The Gateway "web" gets this port and an address."""
    web = cluster.server.get("Gateway", "web")
    cluster.server.put({**web, "spec": {**web["spec"], "listeners": [listener("http", port)]}})
    address(cluster, "web", "10.250.0.7")


def add_replica(cluster, *flags):
    """One more control plane; its address for data planes."""
    cluster.flags[1] = f"127.0.0.1:{free_port()}"
    cluster.control(*flags)
    number = len(cluster.planes) - 1
    wait_for(lambda: cluster.ask("/readyz", number)[0] == 200, "the replica is ready", WAIT)
    return cluster.flags[1]


def redirecting(number, name="counting"):
    """A route that answers with a number."""
    return route(name, rule(filters=[{"type": "RequestRedirect", "requestRedirect": {
        "hostname": f"n{number}.example"}}]))


def number_at(port, path="/"):
    """The number that a data plane answers with, or None."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with contextlib.suppress(OSError, http.client.HTTPException):
        connection.request("GET", path)
        answer = connection.getresponse()
        found = re.search(r"//n(\d+)\.example", answer.headers.get("Location") or "")
        connection.close()
        return int(found[1]) if found else None
    return None


def refused_older(plane):
    """How often this data plane refused to go back, of both sorts."""
    connection = http.client.HTTPConnection("127.0.0.1", plane.admin, timeout=10)
    connection.request("GET", "/metrics")
    samples = parse_metrics(connection.getresponse().read().decode())
    connection.close()
    return sum(metric_sum(samples, "nantian_config_rejected_total", type=sort)
               for sort in ("older", "incomparable"))


def statuses(server):
    return [w for w in server.writes() if w.sub == "status"]


def told(cluster, reason):
    """An Event of this reason, or None."""
    with cluster.server.lock:
        return next((item for item in cluster.server.objects["events"].values()
                     if item["reason"] == reason), None)


@pytest.mark.sanitized
def test_what_a_follower_hears_of_data_planes_reaches_who_writes(provisioned):
    port = free_port()
    listen(provisioned, port)
    follower = add_replica(provisioned)
    provisioned.server.put(redirecting(1))
    plane = provisioned.proxy("default/web", "token-of-web", to=follower)
    wait_for(lambda: programmed(provisioned), "the follower's data plane is heard of", WAIT)
    assert provisioned.leader() == 0
    assert not provisioned.ask("/v1/nodes", 0)[1]["nodes"]
    assert [n["node"] for n in provisioned.ask("/v1/nodes", 1)[1]["nodes"]] == \
        ["default/web/proxy-0"]
    others = [r for r in provisioned.ask("/v1/nodes", 0)[1]["replicas"] if not r["this"]]
    assert [r["leads"] for r in others] == [False]
    event = wait_for(lambda: told(provisioned, "DataPlaneJoined"), "who saw it come says so", WAIT)
    assert event["regarding"]["name"] == "web" and event["note"] == "default/web/proxy-0"
    assert event["reportingInstance"] == others[0]["name"]
    port = free_port()
    listen(provisioned, port)
    wait_for(lambda: programmed(provisioned), "and of the next change", WAIT)
    assert wait_for(lambda: number_at(port), "it serves", WAIT) == 1
    plane.stop()
    wait_for(lambda: told(provisioned, "DataPlaneLost"), "and that it went", WAIT)


def test_f17_a_takeover_takes_nothing_back_and_writes_nothing_that_stands(provisioned):
    server, port = provisioned.server, free_port()
    listen(provisioned, port)
    own = provisioned.flags[1]
    follower = add_replica(provisioned)
    server.put(redirecting(1))
    plane = provisioned.proxy("default/web", "token-of-web", start=False)
    plane.command[1:1] = ["--xds", follower]
    plane.start()
    wait_for(lambda: programmed(provisioned) and number_at(port) == 1, "it is served", WAIT)
    settled(provisioned, 2)
    before = len(statuses(server))
    provisioned.planes[0].kill()
    killed = time.monotonic()
    wait_for(lambda: provisioned.leader() == 1, "the follower leads", WAIT)
    took = time.monotonic() - killed
    wait_for(lambda: provisioned.ask("/v1/nodes", 1)[1]["nodes"], "the data plane is there", WAIT)
    settled(provisioned, 2)
    assert [w.path for w in statuses(server)[before:]] == []
    assert took < 30, "15 s on an idle machine"
    server.put(redirecting(2))
    wait_for(lambda: number_at(port) == 2, "the next change arrives", WAIT)
    # One that starts anew leaves what stands as well, even with no data plane at it.
    plane.stop()
    provisioned.planes[1].stop()
    settled(provisioned, 2)
    before = len(statuses(server))
    provisioned.flags[1] = own
    provisioned.control()
    wait_for(lambda: provisioned.leader() == 2, "the new one leads", WAIT)
    settled(provisioned, 3)
    assert [w.path for w in statuses(server)[before:]] == []


class Switch:
    """A TCP door that leads to one address, or to another one."""

    def __init__(self, to):
        self.to, self.open = to, []
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.listening.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self.listening.accept()
                host, port = self.to.rsplit(":", 1)
                try:
                    far = socket.create_connection((host, int(port)))
                except OSError:
                    near.close()
                    continue
                self.open += [near, far]
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=self.pump, args=(one, other), daemon=True).start()

    @staticmethod
    def pump(one, other):
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                other.sendall(data)
        for each in (one, other):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def turn(self, to):
        self.to, gone, self.open = to, self.open, []
        for each in gone:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
                each.close()


class Octets:
    """A backend on all of 127/8 that says which address was asked."""

    def __init__(self):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                high, low = map(int, self.connection.getsockname()[0].split(".")[2:])
                self.send_response(302)
                self.send_header("Location", f"http://n{high * 256 + low}.example/")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):  # pylint: disable=arguments-differ
                pass

        self.server = http.server.ThreadingHTTPServer(("0.0.0.0", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def slice(self, number):
        return {"kind": "EndpointSlice", "metadata": {
            "name": "app-1", "labels": {"kubernetes.io/service-name": "app"}},
            "addressType": "IPv4", "ports": [{"name": "", "port": self.port}],
            "endpoints": [{"addresses": [f"127.0.{number // 256}.{number % 256}"],
                           "conditions": {"ready": True}}]}


class Watcher:
    """Asks a data plane for its two numbers all the time; they must never fall."""

    def __init__(self, port):
        self.port, self.seen, self.fell, self.over = port, {"/": 0, "/b": 0}, [], False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.over:
            for path in self.seen:
                number = number_at(self.port, path)
                if number is not None and number < self.seen[path]:
                    self.fell.append((path, self.seen[path], number))
                self.seen[path] = number or self.seen[path]
            time.sleep(0.002)

    def end(self):
        self.over = True
        self.thread.join(20)
        return self.fell


@pytest.mark.sanitized
def test_f08_replicas_that_lag_in_different_kinds_never_move_a_data_plane_back(provisioned):
    server, port, backend = provisioned.server, free_port(), Octets()
    choose = random.Random(8)
    doors = [provisioned.flags[1], add_replica(provisioned)]
    switch = Switch(doors[0])
    server.put({"kind": "Service", "metadata": {"name": "app"},
                "spec": {"ports": [{"port": 80, "targetPort": backend.port}]}})
    server.put(backend.slice(1))
    server.put(redirecting(1))
    server.put(route("b", rule("app", matches=[{"path": {"type": "PathPrefix", "value": "/b"}}])))
    listen(provisioned, port)
    plane = provisioned.proxy("default/web", "token-of-web", to=switch.address)
    wait_for(lambda: number_at(port) == 1 and number_at(port, "/b") == 1, "it serves", WAIT)
    watcher = Watcher(port)
    kinds = [("secret-0", "httproutes"), ("secret-1", "httproutes"),
             ("secret-0", "endpointslices"), ("secret-1", "endpointslices")]
    last = 1001 if os.environ.get("SOAK") else 41
    for number in range(2, last + 1):
        for user, plural in kinds:
            server.lag(user, plural, choose.random() < 0.4)
        server.put(redirecting(number))
        server.put(backend.slice(number))
        switch.turn(doors[number % 2])
        nodes = lambda n=number % 2: any(  # noqa: E731
            node["state"] != "gone" for node in provisioned.ask("/v1/nodes", n)[1]["nodes"])
        wait_for(nodes, "the data plane comes to the other replica", WAIT)
    for user, plural in kinds:
        server.lag(user, plural, False)
    wait_for(lambda: number_at(port) == last and number_at(port, "/b") == last,
             "all of it arrives in the end", WAIT)
    assert watcher.end() == []
    assert refused_older(plane) > 0, "nothing was put to the test"


def test_f07_a_replica_with_an_older_view_waits_until_it_has_caught_up(provisioned):
    server, port = provisioned.server, free_port()
    server.put(redirecting(1))
    listen(provisioned, port)
    switch = Switch(provisioned.flags[1])
    server.freeze("secret-1", server.state())
    follower = add_replica(provisioned)
    server.put(redirecting(2))
    plane = provisioned.proxy("default/web", "token-of-web", to=switch.address)
    wait_for(lambda: number_at(port) == 2, "it serves", WAIT)
    watcher = Watcher(port)
    provisioned.planes[0].kill()
    switch.turn(follower)
    wait_for(lambda: refused_older(plane) > 0, "the older view is refused", WAIT)
    server.freeze("secret-1", None)
    server.put(redirecting(3))
    wait_for(lambda: number_at(port) == 3, "the view has caught up", WAIT)
    assert watcher.end() == []


def test_f24_an_event_that_was_never_told_is_found_by_the_next_list(start_cluster):
    cluster = start_cluster(control=False)
    cluster.control("--relist", "2")
    cluster.server.put(plain("told"))
    cluster.wait_accepted("told")
    cluster.server.put(plain("untold"), silent=True)
    cluster.server.remove("HTTPRoute", "told", silent=True)
    cluster.server.put(plain("third"))  # what is told afterwards hides the gap
    cluster.wait_accepted("untold")
    wait_for(lambda: cluster.kind("HTTPRoute")["objects"] == 2, "the deletion is found", WAIT)
    assert cluster.kind("HTTPRoute")["gaps"] >= 1


def vector_of(snapshot):
    """(epoch, {kind: revision}) of "epoch.hold.Kind:n,Kind:n"."""
    epoch, _, vector = snapshot.split(".", 2)
    return int(epoch), dict((kind, int(n)) for kind, n in (c.split(":") for c in vector.split(",")))


def memory_of(plane):
    with open(f"/proc/{plane.pid}/status", encoding="ascii") as status:
        return int(re.search(r"VmRSS:\s+(\d+)", status.read())[1])


@pytest.mark.release
def test_f13_a_flood_of_changes_comes_together_and_ends_where_it_should(start_cluster):
    cluster = start_cluster()
    server = cluster.server
    for name in range(100):
        server.put(redirecting(0, f"r{name}"))
    wait_for(lambda: all(cluster.accepted(f"r{n}") for n in range(100)), "all are there", WAIT)
    settled(cluster)
    memory = memory_of(cluster.planes[0])
    before = [vector_of(cluster.ask()[1]["snapshot"])]
    for number in range(1, 101):
        for name in range(100):
            server.put(redirecting(number, f"r{name}"))
        before.append(vector_of(cluster.ask()[1]["snapshot"]))
    wait_for(lambda: all(cluster.accepted(f"r{n}") for n in range(100)), "the last of all", 2 * WAIT)
    settled(cluster)
    for (old_epoch, old), (epoch, new) in zip(before, before[1:]):
        assert old_epoch == epoch and all(new.get(kind, 0) >= n for kind, n in old.items())
    assert memory_of(cluster.planes[0]) - memory < 100 * 1024, "kB"
    # Somebody who sees nothing but the end has the same.
    cluster.control()
    other = wait_for(lambda: cluster.ask(number=1)[1] if cluster.ask("/readyz", 1)[0] == 200
                     else None, "the other one is ready", WAIT)
    assert other["digest"] == cluster.ask()[1]["digest"]


@pytest.mark.sanitized
def test_what_replicas_claim_before_the_first_lists_are_in_leaves_secrets_for_last(start_cluster):
    """Of Secrets only those are kept that something names, so that must be known first."""
    cluster = start_cluster(control=False)
    server, held = cluster.server, threading.Event()
    server.put(Authority().secret("pair", "shop.example"))
    server.put(gateway_of(listener("https", free_port(), "HTTPS", tls={
        "certificateRefs": [{"name": "pair"}]})))
    server.when(lambda *_: held.wait(WAIT) and None, "list", "gateways")
    cluster.control()
    lease = wait_for(lambda: cluster.leader() == 0 and server.get("Lease", "nantian-control"),
                     "it leads", WAIT)
    claim = {"epoch": int(lease["metadata"]["annotations"]["nantian.dev/epoch"]),
             "kinds": {"Gateway": 1, "Secret": 1}}
    server.put({"kind": "Lease", "metadata": {
        "name": "nantian-control-other", "labels": {"nantian.dev/replica": "true"},
        "annotations": {"nantian.dev/statement": json.dumps(
            {"nodes": 1, "cuts": [], "refusals": [], "claim": claim})}},
        "spec": {"holderIdentity": "other"}})
    wait_for(lambda: len((cluster.ask("/v1/nodes")[1] or {}).get("replicas") or []) == 2,
             "the claim is heard", WAIT)
    time.sleep(0.5)  # for it to do what it must not
    assert server.count("list", "secrets") == 0
    held.set()
    wait_for(lambda: (cluster.condition("Gateway", "web", "Accepted") or {}).get("status") == "True",
             "the Gateway has its status", WAIT)
    resolved = [c["status"] for c in server.get("Gateway", "web")["status"]["listeners"][0][
        "conditions"] if c["type"] == "ResolvedRefs"]
    assert resolved == ["True"]


def epoch_of(cluster, number=0):
    return vector_of(cluster.ask(number=number)[1]["snapshot"])[0]


def set_back(cluster, port, to=None):
    """Serves edit 1, of which a backup is made, then edit 2; returns the data plane, and a function
    that restores the backup."""
    server = cluster.server
    server.put(redirecting(1))
    listen(cluster, port)
    plane = cluster.proxy("default/web", "token-of-web", to=to)
    wait_for(lambda: number_at(port) == 1 and programmed(cluster), "it serves", WAIT)
    settled(cluster)
    backup = server.state()
    with server.lock:
        server.revision += 100000  # more than happens afterwards
    server.put(redirecting(2))
    server.put(plain("lost"))
    cluster.wait_accepted("lost")
    wait_for(lambda: number_at(port) == 2 and cluster.accepted("counting"), "edit 2", WAIT)
    settled(cluster)
    # What was written last is older in the backup, and wrong there.
    for condition in backup[0]["httproutes"]["default", "counting"]["status"]["parents"][0][
            "conditions"]:
        condition["message"] = "of the backup"
    del backup[0]["deployments"]["default", "web-nantian"]
    return plane, lambda: server.restore(backup)


def is_as_restored(cluster, port):
    """What the backup said is served, and what it said wrongly is put right."""
    accepted = cluster.accepted("counting")
    return number_at(port) == 1 and accepted and accepted["message"] != "of the backup" and \
        cluster.server.get("Deployment", "web-nantian") and programmed(cluster)


@pytest.mark.sanitized
def test_f09_a_restored_etcd_is_seen_by_the_lease_and_followed_in_a_new_epoch(provisioned):
    server, port = provisioned.server, free_port()
    missing = "xbackendtrafficpolicies"
    server.missing.add(missing)
    asked = server.count("list", missing)
    _, restore = set_back(provisioned, port, to=add_replica(provisioned))
    epoch = epoch_of(provisioned)
    # A kind that is not installed is one that was listed, too, however often that was seen.
    wait_for(lambda: server.count("list", missing) >= asked + 5, "what is missing is known", WAIT)
    restore()
    wait_for(lambda: is_as_restored(provisioned, port), "the backup is served", WAIT)
    wait_for(lambda: epoch_of(provisioned) == epoch_of(provisioned, 1) > epoch, "in one epoch", WAIT)
    count = len(settled(provisioned, 2))
    server.put(redirecting(3))
    wait_for(lambda: number_at(port) == 3 and provisioned.accepted("counting"), "life goes on", WAIT)
    assert len(settled(provisioned, 2)) - count < 10


def test_f09_who_did_not_see_etcd_restored_is_told_by_data_planes_and_believes_it_in_time(
        provisioned):
    server, port = provisioned.server, free_port()
    plane, restore = set_back(provisioned, port)
    epoch = epoch_of(provisioned)
    provisioned.planes[0].kill()
    restore()
    provisioned.planes[0].start()
    wait_for(lambda: refused_older(plane) > 0, "what goes back is refused at first", WAIT)
    assert number_at(port) == 2
    wait_for(lambda: is_as_restored(provisioned, port), "then it is believed", 2 * WAIT)
    assert epoch_of(provisioned) > epoch
    server.put(redirecting(3))
    wait_for(lambda: number_at(port) == 3, "and life goes on", WAIT)


# ---- one writer ----

class Scribe:
    """Judges every write of a status or of what is provisioned: whoever makes it holds the Lease.
    Events are of every replica."""

    def __init__(self, cluster):
        self.cluster, self.names, self.strangers, self.writes = cluster, {}, [], 0
        cluster.server.when(self.judge)

    def judge(self, request, _):
        server = self.cluster.server
        if request.plural == "leases" and request.name == "nantian-control" or \
                request.plural == "leases" and request.verb == "post":
            if request.body:
                name = json.loads(request.body)["spec"]["holderIdentity"]
                if name:
                    self.names[name] = request.user()
        elif request.verb in ("patch", "put", "post", "delete") and \
                request.plural not in ("leases", "tokenreviews", "events"):
            self.writes += 1
            lease = server.objects["leases"].get(("default", "nantian-control"))
            holder = lease["spec"]["holderIdentity"] if lease else ""
            if self.names.get(holder) != request.user():
                self.strangers.append((request.user(), holder, request.method, request.path))


class Editor:
    """Changes a route all the time, so that there is always something to write."""

    def __init__(self, server):
        self.server, self.over, self.number = server, False, 0
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.over:
            self.number += 1
            self.server.put(redirecting(self.number))
            time.sleep(0.05)

    def end(self):
        self.over = True
        self.thread.join(20)


def cut_off(cluster, number):
    """This replica reaches the API server no more; what ends it."""
    user = f"secret-{number}"

    def cut(request, _):
        if request.user() == user:
            raise Cut

    rule_ = cluster.server.when(cut)
    cluster.server.cut_watches("cut")
    return lambda: cluster.server.forget(rule_)


def leads(cluster, number):
    """What this replica says; None if it says nothing."""
    said = (cluster.ask("/v1/nodes", number)[1] or {}).get("replicas") or [{}]
    return said[0].get("leads")


def depose_in_turn(cluster, scribe, rounds):
    """Whoever leads is stopped, or cut from the API server, until another one writes."""
    editor = Editor(cluster.server)
    for number in range(rounds):
        first, = wait_for(lambda: [n for n in (cluster.leader(),) if n is not None],
                          "somebody leads", WAIT)
        plane = cluster.planes[first]
        if number % 2:
            heal = cut_off(cluster, first)
        else:
            plane.signal(signal.SIGSTOP)
            heal = lambda p=plane: p.signal(signal.SIGCONT)  # noqa: E731
        other = 1 - first
        wait_for(lambda n=other: leads(cluster, n),
                 "the other one leads", WAIT)
        count = scribe.writes
        wait_for(lambda c=count: scribe.writes > c, "it writes", WAIT)
        heal()
        wait_for(lambda n=first: cluster.ask("/readyz", n)[0] == 200, "the first one is back", WAIT)
    editor.end()
    settled(cluster)
    assert scribe.strangers == []
    assert scribe.writes > 2 * rounds


def test_f18_f19_never_two_writers_in_20_rounds_of_stops_and_partitions(start_cluster):
    cluster = start_cluster(control=False)
    cluster.flags = ["--lease", "3"]
    scribe = Scribe(cluster)
    cluster.control()
    cluster.control()
    depose_in_turn(cluster, scribe, 20)


@pytest.mark.soak
@pytest.mark.parametrize("percent", (120, 80))
def test_f20_never_two_writers_with_a_clock_that_runs_fast_or_slow(start_cluster, tmp_path, percent):
    """One of two replicas has it. ROUNDS=number of each form."""
    clock = tmp_path / "clock.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O2", f"-DPERCENT={percent}", "-o", clock,
                    pathlib.Path(__file__).parents[1] / "peers/clock_rate.c"], check=True)
    cluster = start_cluster(control=False)
    cluster.flags = ["--lease", "6"]
    scribe = Scribe(cluster)
    cluster.control()
    plane = cluster.control()
    plane.kill()
    plane.command[:0] = ["/usr/bin/env", f"LD_PRELOAD={clock}"]
    plane.start()
    depose_in_turn(cluster, scribe, int(os.environ.get("ROUNDS", "100")))


def test_f19_a_leader_cut_from_the_api_server_steps_down_and_serves_on(provisioned):
    server, port = provisioned.server, free_port()
    scribe = Scribe(provisioned)
    server.put(redirecting(1))
    listen(provisioned, port)
    own = provisioned.flags[1]
    add_replica(provisioned)
    plane = provisioned.proxy("default/web", "token-of-web", to=own)
    wait_for(lambda: programmed(provisioned) and number_at(port) == 1, "it serves", WAIT)
    scribe.strangers.clear()  # who led before it was watched is not known
    heal = cut_off(provisioned, 0)
    wait_for(lambda: leads(provisioned, 1),
             "the follower leads", WAIT)
    assert not provisioned.ask("/v1/nodes", 0)[1]["replicas"][0]["leads"]
    server.put(plain("new"))
    provisioned.wait_accepted("new")
    assert number_at(port) == 1
    assert [n["state"] for n in provisioned.ask("/v1/nodes", 0)[1]["nodes"]] == ["synced"]
    heal()
    server.put(redirecting(2))
    wait_for(lambda: number_at(port) == 2, "it hears of changes again", WAIT)
    assert scribe.strangers == []
    assert plane.running()
