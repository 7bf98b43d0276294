"""Which endpoint a request goes to: balancing, sessions, and what guards a Service."""
# SPDX-License-Identifier: Apache-2.0
import asyncio
import collections
import concurrent.futures
import re
import threading

import grpc
import pytest

from certificates import Authority
from harness import (free_port, gateway_of, listener, metadata, route, rule, service, wait_for)
from http_backend import named
from http_client import request

pytestmark = pytest.mark.sanitized


def lb_policy(name, target="app", **spec):
    return {"apiVersion": "gateway.networking.k8s.io/v1alpha2", "kind": "BackendLBPolicy",
            "metadata": metadata(name),
            "spec": {"targetRefs": [{"group": "", "kind": "Service", "name": target}], **spec}}


def hashed(key, algorithm="RingHash", **more):
    return {"type": "ConsistentHash",
            "consistentHash": {"keyType": key, "algorithm": algorithm, **more}}


@pytest.fixture
def start_named(start_backend):
    """Backends that say who they are."""
    def start(count):
        return [start_backend(named(f"e{i}")) for i in range(count)]
    return start


def config(port, backends, *policies):
    return [gateway_of(listener("http", port)), route("all", rule("app")),
            service("app", *(each.port for each in backends)), *policies]


def who(port, path="/", host="test", **fields):
    return request(port, path=path, host=host, headers=fields).body.decode()


@pytest.mark.quick
@pytest.mark.parametrize("algorithm", ["RingHash", "Maglev"])
def test_one_key_stays_with_one_endpoint_and_moves_only_if_it_must(start_gateway, start_named,
                                                                   algorithm):
    backends, port = start_named(4), free_port()
    policy = lb_policy("sticky", loadBalancing=hashed("Header", algorithm, headerName="X-User"))
    gateway = start_gateway(*config(port, backends, policy))
    users = [f"user-{i}" for i in range(60)]
    before = {user: who(port, **{"X-User": user}) for user in users}
    assert len(set(before.values())) == 4
    for user in users[:20]:
        assert [who(port, **{"X-User": user}) for _ in range(3)] == [before[user]] * 3
    gateway.apply("config.yaml", *config(port, backends[:3], policy))
    after = {user: who(port, **{"X-User": user}) for user in users}
    stayed = [user for user in users if before[user] != "e3"]
    moved = [user for user in stayed if after[user] != before[user]]
    assert len(moved) <= (0 if algorithm == "RingHash" else len(stayed) // 10)
    assert len({who(port) for _ in range(60)}) == 3, "without the field any endpoint will do"


@pytest.mark.quick
def test_each_kind_of_key(start_gateway, start_named):
    backends, port = start_named(3), free_port()
    gateway = start_gateway(*config(port, backends, lb_policy("p", loadBalancing=hashed("URL"))))

    def answers(count, **more):
        return collections.Counter(who(port, **{key: value.format(i) for key, value in more.items()})
                                   for i in range(count))
    assert len(answers(40, path="/a?x={}")) == 1
    assert len(answers(40, path="/{}")) == 3
    gateway.apply("config.yaml", *config(
        port, backends, lb_policy("p", loadBalancing=hashed("Cookie", cookieName="cart"))))
    assert len(answers(40, Cookie="a=b{}; cart=7; c=d")) == 1
    assert len(answers(40, Cookie="a=b; cart={}")) == 3
    assert len(answers(60, Cookie="carts=7; xcart=7")) == 3
    gateway.apply("config.yaml", *config(
        port, backends, lb_policy("p", loadBalancing=hashed("Hostname"))))
    assert len(answers(40, host="shop.example.com")) == 1
    assert len(answers(40, host="s{}.example.com")) == 3
    gateway.apply("config.yaml", *config(
        port, backends, lb_policy("p", loadBalancing=hashed("SourceIP"))))
    assert len(answers(40, path="/{}")) == 1


@pytest.mark.quick
@pytest.mark.parametrize("kind", ["RoundRobin", "LeastRequest", "Random"])
def test_other_algorithms_use_every_endpoint(start_gateway, start_named, kind):
    backends, port = start_named(3), free_port()
    start_gateway(*config(port, backends, lb_policy("p", loadBalancing={"type": kind})),
                  workers=1)
    seen = collections.Counter(who(port) for _ in range(90))
    assert len(seen) == 3 and min(seen.values()) >= 12, seen
    if kind == "RoundRobin":
        assert set(seen.values()) == {30}


# ---- sessions ----

def cookie_of(answer):
    """(name=value, attributes) of the Set-Cookie, or None."""
    values = [value for name, value in answer.fields if name == "set-cookie"]
    if not values:
        return None
    pair, *attributes = values[0].split("; ")
    return pair, attributes


def session_config(port, backends, persistence=None, policy=None):
    more = {"sessionPersistence": persistence} if persistence else {}
    policies = [lb_policy("p", sessionPersistence=policy)] if policy else []
    return [gateway_of(listener("http", port)), route("all", rule("app", **more)),
            service("app", *(each.port for each in backends)), *policies]


COOKIE = {"type": "Cookie", "cookie": {"name": "stay"}}


@pytest.mark.quick
def test_a_cookie_keeps_a_client_at_its_endpoint(start_gateway, start_named):
    backends, port = start_named(4), free_port()
    gateway = start_gateway(*session_config(port, backends, COOKIE))
    clients = {}
    for _ in range(40):
        answer = request(port)
        pair, attributes = cookie_of(answer)
        assert attributes == ["Path=/", "HttpOnly", "SameSite=Lax"]
        assert re.fullmatch("stay=[0-9a-f]{80}", pair)
        clients[pair] = answer.body.decode()
    assert set(clients.values()) == {"e0", "e1", "e2", "e3"}

    def check(skip=()):
        for pair, home in clients.items():
            if home not in skip:
                answer = request(port, headers={"Cookie": f"a=b; {pair}"})
                assert (answer.body.decode(), cookie_of(answer)) == (home, None)
    check()
    # An endpoint that is gone: a fresh choice and a new cookie; the others stay.
    gateway.apply("config.yaml", *session_config(port, backends[1:], COOKIE))
    check(skip=("e0",))
    lost = next(pair for pair, home in clients.items() if home == "e0")
    answer = request(port, headers={"Cookie": lost})
    pair, _ = cookie_of(answer)
    assert answer.body != b"e0"
    again = request(port, headers={"Cookie": pair})
    assert (again.body, cookie_of(again)) == (answer.body, None)
    # Restarts of both planes do not end sessions.
    for plane in gateway.planes():
        plane.stop()
    gateway.start()
    check(skip=("e0",))


@pytest.mark.quick
def test_a_forged_value_is_none(start_gateway, start_named):
    backends, port = start_named(2), free_port()
    start_gateway(*session_config(port, backends, COOKIE))
    pair, _ = cookie_of(request(port))
    last = "0" if pair[-1] != "0" else "1"
    for forged in (pair[:-1] + last, pair[:-1], "stay=", "stay=" + "0" * 80, "stay=e0", pair + "0"):
        answer = request(port, headers={"Cookie": forged})
        assert answer.status == 200 and cookie_of(answer) is not None, forged


@pytest.mark.quick
def test_a_session_stays_with_its_service_among_weighted_ones(start_gateway, start_backend):
    backends = {name: start_backend(named(name)) for name in ("blue", "green")}
    port = free_port()

    def config_with(blue, green):
        return [gateway_of(listener("http", port)),
                route("all", rule(("blue", blue), ("green", green), sessionPersistence=COOKIE)),
                *(service(name, each.port) for name, each in backends.items())]
    gateway = start_gateway(*config_with(1, 1))
    clients = {}
    while len(clients) < 2:
        answer = request(port)
        clients[answer.body] = cookie_of(answer)[0]
    gateway.apply("config.yaml", *config_with(1, 1000))
    for _ in range(5):
        assert request(port, headers={"Cookie": clients[b"blue"]}).body == b"blue"
    gateway.apply("config.yaml", *config_with(0, 1))
    answer = request(port, headers={"Cookie": clients[b"blue"]})
    assert answer.body == b"green" and cookie_of(answer) is not None


@pytest.mark.quick
def test_a_session_by_header(start_gateway, start_named):
    backends, port = start_named(3), free_port()
    start_gateway(*session_config(port, backends,
                                  {"type": "Header", "header": {"name": "X-Session"}}))
    first = request(port)
    value = first.get("x-session")
    assert re.fullmatch("[0-9a-f]{80}", value)
    for _ in range(10):
        answer = request(port, headers={"X-Session": value})
        assert (answer.body, answer.get("x-session")) == (first.body, None)


@pytest.mark.quick
def test_a_policy_gives_a_service_sessions_that_end(start_gateway, start_named):
    backends, port = start_named(3), free_port()
    policy = {"sessionName": "app", "absoluteTimeout": "1h",
              "cookieConfig": {"lifetimeType": "Permanent"}}
    gateway = start_gateway(*session_config(port, backends, policy=policy))
    answer = request(port)
    pair, attributes = cookie_of(answer)
    assert pair.startswith("app=") and attributes[1] == "Max-Age=3600"
    for _ in range(6):
        assert request(port, headers={"Cookie": pair}).body == answer.body
    gateway.apply("config.yaml", *session_config(
        port, backends, policy={"sessionName": "app", "absoluteTimeout": "2s"}))
    pair, _ = cookie_of(request(port))
    wait_for(lambda: cookie_of(request(port, headers={"Cookie": pair})), "the session ends",
             step=0.1)
    gateway.apply("config.yaml", *session_config(
        port, backends, policy={"sessionName": "app", "idleTimeout": "20s"}))
    answer = request(port)
    pair, _ = cookie_of(answer)

    def renewed():
        now = request(port, headers={"Cookie": pair})
        assert now.body == answer.body
        return cookie_of(now)
    assert wait_for(renewed, "a session in use is renewed", step=0.1)[0] != pair


@pytest.mark.quick
def test_a_cookie_of_a_tls_listener_is_secure(start_gateway, start_named):
    authority, port = Authority(), free_port()
    backends = start_named(2)
    config_of = session_config(port, backends, {
        "type": "Cookie", "cookie": {"path": "/shop"}})
    config_of[0] = gateway_of(listener("https", port, "HTTPS",
                                       tls={"certificateRefs": [{"name": "one"}]}))
    start_gateway(*config_of, authority.secret("one", "one.example"))
    answer = request(port, host="one.example", tls=authority.context(), server_name="one.example")
    pair, attributes = cookie_of(answer)
    assert attributes == ["Path=/shop", "HttpOnly", "SameSite=Lax", "Secure"]
    assert re.match("nantian-session-[0-9a-f]{8}=", pair)


# ---- guards ----

@pytest.mark.quick
def test_an_endpoint_that_fails_is_left_alone_and_comes_back(start_gateway, start_backend):
    broken = threading.Event()
    broken.set()

    async def shaky(request_):
        status = "503 No" if broken.is_set() else "200 OK"
        await request_.answer(b"e0", status=status)
    backends = [start_backend(shaky), start_backend(named("e1")), start_backend(named("e2"))]
    port = free_port()
    gateway = start_gateway(*config(port, backends, lb_policy(
        "p", outlierDetection={"consecutiveServerErrors": 3, "baseEjectionTime": "3s",
                               "maxEjectionPercent": 40})), workers=1)
    answers = [request(port) for _ in range(30)]
    failed = [i for i, answer in enumerate(answers) if answer.status != 200]
    assert len(failed) == 3 and failed[-1] < 10, failed
    assert gateway.metrics()["nantian_upstream_ejections_total"] == 1
    assert gateway.metrics()["nantian_upstream_endpoints_ejected"] == 1
    broken.clear()
    wait_for(lambda: who(port) == "e0", "the endpoint is back")
    assert gateway.metrics()["nantian_upstream_endpoints_ejected"] == 0


@pytest.mark.quick
def test_no_more_endpoints_go_out_than_the_policy_allows(start_gateway, start_backend):
    async def broken(request_):
        await request_.answer(b"", status="500 No")
    backends, port = [start_backend(broken) for _ in range(3)], free_port()
    gateway = start_gateway(*config(port, backends, lb_policy(
        "p", outlierDetection={"consecutiveServerErrors": 1, "baseEjectionTime": "60s",
                               "maxEjectionPercent": 67})), workers=1)
    assert {request(port).status for _ in range(20)} == {500}
    assert gateway.metrics()["nantian_upstream_endpoints_ejected"] == 2
    assert all(len(each.requests) >= 1 for each in backends)
    # Fewer than half are in: all are chosen from.
    assert min(len(each.requests) for each in backends) >= 4


@pytest.mark.quick
def test_an_endpoint_that_takes_no_connections_is_left_alone(start_gateway, start_named):
    backends, port = start_named(2), free_port()
    dead = free_port()
    gateway = start_gateway(
        gateway_of(listener("http", port)), route("all", rule("app")),
        service("app", dead, *(each.port for each in backends)),
        lb_policy("p", outlierDetection={"consecutiveServerErrors": 0,
                                         "consecutiveConnectErrors": 2,
                                         "baseEjectionTime": "60s"}), workers=1)
    assert {request(port).status for _ in range(20)} == {200}
    assert gateway.metrics()["nantian_upstream_endpoints_ejected"] == 1
    failed = gateway.metrics()['nantian_upstream_connections_total{result="failed"}']
    assert failed == 2


@pytest.mark.quick
def test_more_requests_at_once_than_allowed_get_503(start_gateway, start_backend):
    go, arrived = threading.Event(), threading.Semaphore(0)

    async def slow(request_):
        arrived.release()
        while not go.is_set():
            await asyncio.sleep(0.01)
        await request_.answer(b"ok")
    backend, port = start_backend(slow), free_port()
    gateway = start_gateway(*config(port, [backend], lb_policy(
        "p", circuitBreaker={"maxInflightRequests": 3})))
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(request, port, path=f"/{i}") for i in range(3)]
        for _ in range(3):
            assert arrived.acquire(timeout=20)
        refused = [request(port, path="/refused") for _ in range(5)]
        assert {answer.status for answer in refused} == {503}
        go.set()
        assert [each.result().status for each in waiting] == [200] * 3
    assert request(port).status == 200
    flags = [line["response_flags"] for line in gateway.log_lines(9)
             if line["x-envoy-origin-path"] == "/refused"]
    assert flags == ["UO"] * 5


# ---- health checks ----

UNHEALTHY = "nantian_upstream_endpoints_unhealthy"


@pytest.mark.quick
@pytest.mark.parametrize("kind", ["HTTP", "TCP"])
def test_a_health_check_takes_an_endpoint_out_and_back(start_gateway, start_backend, kind):
    sick = threading.Event()

    async def app(request_):
        bad = sick.is_set() and request_.target == "/healthz?full=1"
        assert request_.target != "/healthz?full=1" or request_.get("host") == "check.example"
        await request_.answer(b"e0", status="503 No" if bad else "200 OK")
    first, port = start_backend(app), free_port()
    backends = [first, start_backend(named("e1"))]
    check = {"type": kind, "interval": "50ms", "unhealthyThreshold": 2, "healthyThreshold": 2}
    if kind == "HTTP":
        check["http"] = {"path": "/healthz?full=1", "hostname": "check.example",
                         "expectedStatuses": [200]}
    gateway = start_gateway(*config(port, backends, lb_policy("p", healthCheck=check)))
    assert {who(port) for _ in range(30)} == {"e0", "e1"}
    if kind == "HTTP":
        sick.set()
    else:
        first.close()
    wait_for(lambda: gateway.metrics()[UNHEALTHY] == 1, "the endpoint is out")
    wait_for(lambda: {who(port) for _ in range(10)} == {"e1"}, "every worker knows")
    for state in ("healthy", "unhealthy"):
        name = f'nantian_upstream_endpoints{{backend="default/app:80",state="{state}"}}'
        assert gateway.metrics()[name] == 1
    assert {request(port).status for _ in range(20)} == {200}
    if kind == "HTTP":
        sick.clear()
    else:
        start_backend(app, port=first.port)
    wait_for(lambda: gateway.metrics()[UNHEALTHY] == 0, "the endpoint is back")
    wait_for(lambda: {who(port) for _ in range(30)} == {"e0", "e1"}, "every worker knows")
    # Without the check nobody is out.
    gateway.apply("config.yaml", *config(port, backends))
    assert gateway.metrics()[UNHEALTHY] == 0
    assert not first.errors


@pytest.mark.quick
def test_if_all_fail_their_check_all_are_asked(start_gateway, start_named):
    backends, port = start_named(2), free_port()
    gateway = start_gateway(*config(port, backends, lb_policy("p", healthCheck={
        "interval": "50ms", "http": {"expectedStatuses": [299]}})))
    wait_for(lambda: gateway.metrics()[UNHEALTHY] == 2, "both are out")
    wait_for(lambda: {who(port) for _ in range(20)} == {"e0", "e1"}, "the panic serves all")
    gateway.apply("config.yaml", *config(port, backends, lb_policy(
        "p", healthCheck={"interval": "50ms", "http": {"expectedStatuses": [299]}},
        loadBalancing={"panicThreshold": 0})))
    wait_for(lambda: {request(port).status for _ in range(10)} == {503}, "without panic: none")


@pytest.mark.quick
def test_the_grpc_health_protocol(start_gateway):
    states, port = {"": 1, "shop": 2}, free_port()

    def check(data, _):
        name = data[2:].decode() if data else ""
        return b"\x08" + bytes([states[name]])
    handler = grpc.method_handlers_generic_handler(
        "grpc.health.v1.Health", {"Check": grpc.unary_unary_rpc_method_handler(check)})
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers((handler,))
    backend_port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        def docs(name):
            return [gateway_of(listener("http", port)), route("all", rule("app")),
                    service("app", backend_port),
                    lb_policy("p", healthCheck={"type": "GRPC", "interval": "50ms",
                                                "grpc": {"service": name}})]
        gateway = start_gateway(*docs("shop"))
        wait_for(lambda: gateway.metrics()[UNHEALTHY] == 1, "NOT_SERVING is out")
        states["shop"] = 1
        wait_for(lambda: gateway.metrics()[UNHEALTHY] == 0, "SERVING is in")
        gateway.apply("config.yaml", *docs(""))
        states[""] = 2
        wait_for(lambda: gateway.metrics()[UNHEALTHY] == 1, "the whole server says no")
    finally:
        server.stop(0)
