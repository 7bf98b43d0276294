"""What a Service gets at most, over all workers: retries, connections, sessions, requests."""
# SPDX-License-Identifier: Apache-2.0
import asyncio
import collections
import concurrent.futures
import contextlib
import socket
import threading

import pytest

from harness import (DEADLINE, free_port, gateway_of, listener, metadata, metric_sum, route, rule,
                     service, wait_for)
from h2_backend import H2Backend, h2_service
from http_client import request

pytestmark = pytest.mark.sanitized


def traffic_policy(name, **spec):
    return {"apiVersion": "gateway.networking.x-k8s.io/v1alpha1", "kind": "XBackendTrafficPolicy",
            "metadata": metadata(name),
            "spec": {"targetRefs": [{"group": "", "kind": "Service", "name": "app"}], **spec}}


def constraint(percent, count):
    return {"retryConstraint": {"budget": {"percent": percent, "interval": "1h"},
                                "minRetryRate": {"count": count, "interval": "1h"}}}


@pytest.fixture
def failing(start_backend):
    """A backend that always fails."""
    async def answer(req):
        await req.answer(b"failed", status="500 No")
    return start_backend(answer)


def retrying(port, backend, *policies, attempts=2):
    return [gateway_of(listener("http", port)), service("app", backend.port), *policies,
            route("r", rule("app", retry={"codes": [500], "attempts": attempts, "backoff": "1ms"}))]


def statuses(port, count, workers=1):
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        answers = pool.map(lambda i: request(port, path=f"/{i}").status, range(count))
        return dict(collections.Counter(answers))


@pytest.mark.quick
def test_retries_end_when_the_budget_of_all_workers_is_used_up(start_gateway, failing):
    port = free_port()
    gateway = start_gateway(*retrying(port, failing, traffic_policy("p", **constraint(0, 7))),
                            workers=3)
    assert statuses(port, 30, workers=6).keys() <= {500, 503}
    assert len(failing.requests) == 30 + 7
    ancestor, = gateway.object_status("XBackendTrafficPolicy", "p")["ancestors"]
    assert [(each["type"], each["status"]) for each in ancestor["conditions"]] == \
        [("Accepted", "True"), ("ResolvedRefs", "True")]
    answer = request(port)
    assert answer.status == 503 and answer.body == b"The backend gets no more retries now.\n"
    flags = collections.Counter(line["response_flags"] for line in gateway.log_lines(31))
    refused = flags.pop("URX")
    assert refused >= 31 - 7 and set(flags) <= {"-"}
    assert metric_sum(gateway.metrics(), "nantian_responses_total", flag="URX") == refused
    # Without the policy every request is tried as often as its route wants; with another one that
    # is wide enough, too; and one that says the same again has not forgotten.
    before = len(failing.requests)
    gateway.apply("config.yaml", *retrying(port, failing))
    assert statuses(port, 4) == {500: 4} and len(failing.requests) == before + 12
    gateway.apply("config.yaml", *retrying(
        port, failing, traffic_policy("p", **constraint(100, 1))))
    assert statuses(port, 4) == {500: 4} and len(failing.requests) == before + 24


@pytest.mark.quick
def test_a_share_of_the_requests_may_be_retries(start_gateway, failing):
    port = free_port()
    gateway = start_gateway(*retrying(port, failing, traffic_policy("p", **constraint(20, 1)),
                                      attempts=1), workers=3)
    statuses(port, 20)
    # What has been counted stays when something else changes.
    gateway.apply("config.yaml", *retrying(
        port, failing, traffic_policy("p", **constraint(20, 1)), attempts=2))
    statuses(port, 20)
    assert len(failing.requests) == 40 + 10


@pytest.mark.quick
def test_a_policy_gives_a_service_sessions(start_gateway, start_backend):
    async def answer(req):
        await req.answer(str(req.writer.get_extra_info("sockname")[1]).encode())
    backends, port = [start_backend(answer) for _ in range(3)], free_port()
    start_gateway(
        gateway_of(listener("http", port)), route("all", rule("app")),
        service("app", *(each.port for each in backends)),
        traffic_policy("p", sessionPersistence={"type": "Header", "header": {"name": "X-Session"}}))
    first = request(port)
    token = first.get("x-session")
    assert token
    assert {request(port, headers={"X-Session": token}).body for _ in range(12)} == {first.body}


# ---- connections, over all workers ----

class Slow:
    """A backend whose answers wait, and which counts how much there is of what at once."""

    def __init__(self, start_backend):
        self.go, self.lock = threading.Event(), threading.Lock()
        self.connections, self.arrived = set(), 0
        self.backend = start_backend(self.answer)

    async def answer(self, req):
        with self.lock:
            self.connections.add(req.connection)
            self.arrived += 1
        while not self.go.is_set():
            await asyncio.sleep(0.01)
        await req.answer(b"ok")


def lb_policy(**spec):
    return {"apiVersion": "gateway.networking.k8s.io/v1alpha2", "kind": "BackendLBPolicy",
            "metadata": metadata("p"),
            "spec": {"targetRefs": [{"group": "", "kind": "Service", "name": "app"}], **spec}}


def route_of(kind, name, rule_):
    return {"apiVersion": "gateway.networking.k8s.io/v1", "kind": kind, "metadata": metadata(name),
            "spec": {"parentRefs": [{"name": "web"}], "rules": [rule_]}}


def limited(port, backend_port, **breaker):
    return [gateway_of(listener("http", port)), service("app", backend_port),
            route("all", rule("app", timeouts={"request": "60s", "backendRequest": "60s"})),
            lb_policy(circuitBreaker=breaker)]


def many(port, count):
    """`count` requests at once, each on a connection of its own; their answers to come."""
    pool = concurrent.futures.ThreadPoolExecutor(count)
    return [pool.submit(request, port, path=f"/{i}") for i in range(count)]


@pytest.mark.quick
def test_connections_and_those_who_wait_are_counted_over_all_workers(start_gateway, start_backend):
    slow, port = Slow(start_backend), free_port()
    gateway = start_gateway(*limited(port, slow.backend.port, maxConnections=3,
                                     maxPendingRequests=5), workers=4)
    waiting = many(port, 24)
    # 3 are served, 5 wait, all others are told at once.
    wait_for(lambda: sum(each.done() for each in waiting) == 24 - 8, "the others are refused")
    assert {each.result().status for each in waiting if each.done()} == {503}
    wait_for(lambda: slow.arrived >= 3, "three are served")
    assert slow.arrived == 3 and len(slow.connections) == 3
    slow.go.set()
    assert sorted(each.result().status for each in waiting) == [200] * 8 + [503] * 16
    # Whichever worker a request comes to gets its turn, though others keep connections.
    for _ in range(6):
        assert {each.result().status for each in many(port, 5)} == {200}
    assert [request(port).status for _ in range(20)] == [200] * 20
    assert gateway.metrics()['nantian_upstream_connections_total{result="overflow"}'] == 16


@pytest.mark.quick
def test_who_waits_for_a_connection_goes_where_the_service_went(start_gateway, start_backend):
    """The old endpoint's connection keeps its place until its request has ended."""
    slow, port = Slow(start_backend), free_port()
    new = Slow(start_backend)
    new.go.set()
    gateway = start_gateway(*limited(port, slow.backend.port, maxConnections=1), workers=2)
    first = many(port, 1)
    wait_for(lambda: slow.arrived == 1, "one is served")
    others = many(port, 6)
    gateway.apply("config.yaml", *limited(port, new.backend.port, maxConnections=1))
    assert new.arrived == 0 and not any(each.done() for each in others)
    slow.go.set()
    assert {each.result().status for each in first + others} == {200}
    assert (slow.arrived, new.arrived) == (1, 6)


@pytest.mark.quick
def test_no_more_connections_are_open_than_allowed_at_any_time(start_gateway):
    """Counted by what is served on them, with endpoints that take turns."""
    now, most, port = [0], [0], free_port()

    async def serve(reader, writer):
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                now[0] += 1
                most[0] = max(most[0], now[0])
                await asyncio.sleep(0.002)
                now[0] -= 1
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        writer.close()

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        servers = [asyncio.run_coroutine_threadsafe(
            asyncio.start_server(serve, "127.0.0.1", 0), loop).result() for _ in range(3)]
        ports = [server.sockets[0].getsockname()[1] for server in servers]
        start_gateway(gateway_of(listener("http", port)), route("all", rule("app")),
                      service("app", *ports), lb_policy(circuitBreaker={"maxConnections": 2}),
                      workers=3)
        with concurrent.futures.ThreadPoolExecutor(12) as pool:
            answers = list(pool.map(lambda _: request(port).status, range(240)))
        assert set(answers) == {200}
        assert most[0] <= 2
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.mark.quick
def test_workers_take_turns_at_the_only_http2_connection(start_gateway):
    port = free_port()
    with H2Backend() as one, H2Backend() as two:
        docs = limited(port, 1, maxConnections=1)
        docs[1] = h2_service("app", one.port, two.port)
        start_gateway(*docs, workers=3)
        assert [request(port).status for _ in range(12)] == [200] * 12
        with concurrent.futures.ThreadPoolExecutor(12) as pool:
            answers = list(pool.map(lambda _: request(port).status, range(240)))
        assert set(answers) == {200} and not one.errors + two.errors


@pytest.mark.quick
def test_connections_carried_as_bytes_are_limited_and_let_go(start_gateway):
    port, backend = free_port(), socket.create_server(("127.0.0.1", 0), backlog=64)
    docs = [gateway_of(listener("tcp", port, "TCP")),
            route_of("TCPRoute", "t", {"backendRefs": [{"name": "app", "port": 80}]}),
            service("app", backend.getsockname()[1]), lb_policy(circuitBreaker={"maxConnections": 4})]
    with backend:
        gateway = start_gateway(*docs, workers=3)

        def connect():
            client = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE)
            client.sendall(b"?")
            return client
        for turn in range(2):
            held = []
            for _ in range(4):
                client = connect()
                server, _ = backend.accept()
                assert server.recv(1) == b"?"
                held += [client, server]
            for _ in range(6):
                with contextlib.suppress(ConnectionError), connect() as refused:
                    assert refused.recv(1) == b""
            for each in held:
                each.close()
            wait_for(lambda: len(gateway.log_lines()) == 10 * (turn + 1), "all have ended")
        flags = collections.Counter(line["response_flags"] for line in gateway.log_lines(20))
        assert flags == {"UO": 12, "-": 8}


@pytest.mark.quick
def test_udp_flows_are_limited_and_let_go(start_gateway):
    port = free_port()
    backend = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    backend.bind(("127.0.0.1", 0))
    backend.settimeout(DEADLINE)
    docs = [gateway_of(listener("udp", port, "UDP")),
            route_of("UDPRoute", "u", {"backendRefs": [{"name": "app", "port": 80}]}),
            {**service("app", backend.getsockname()[1]),
             "spec": {"ports": [{"port": 80, "protocol": "UDP"}]}},
            lb_policy(circuitBreaker={"maxConnections": 3})]
    clients = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(9)]
    with backend:
        gateway = start_gateway(*docs, workers=3)
        for i, client in enumerate(clients):
            client.sendto(bytes([i]), ("127.0.0.1", port))
        seen = {backend.recv(9) for _ in range(3)}
        flags = collections.Counter(line["response_flags"] for line in gateway.log_lines(6))
        assert flags == {"UO": 6} and len(seen) == 3
        for client in clients:
            client.close()
