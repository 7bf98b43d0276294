"""EndpointSlices: readiness, endings that keep their sessions, zones; sessions over HTTP/2, gRPC."""
# SPDX-License-Identifier: Apache-2.0
import collections
import socket

import grpc
import pytest

from grpc_backend import GrpcBackend
from h2_client import H2Client
from harness import DEADLINE, free_port, gateway_of, listener, metadata, route, rule
from http_backend import named
from http_client import request
from test_grpc import channel_to, grpc_route

pytestmark = pytest.mark.sanitized
COOKIE = {"type": "Cookie", "cookie": {"name": "s"}}


def slice_of(name, ports, port_name="", **more):
    """An EndpointSlice of the Service "app" for each port, since a slice has one number of each;
    `more` is by port."""
    return [{"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
             "metadata": metadata(f"{name}-{port}", labels={"kubernetes.io/service-name": "app"}),
             "endpoints": [{"addresses": ["127.0.0.1"], **more.get(f"p{port}", {})}],
             "ports": [{"name": port_name, "port": port, "protocol": "TCP"}]} for port in ports]


def app_service(**port):
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata("app"),
            "spec": {"ports": [{"port": 80, **port}]}}


ENDING = {"conditions": {"ready": False, "serving": True, "terminating": True}}
GONE = {"conditions": {"ready": False, "serving": False, "terminating": True}}


def who(port, cookie=None):
    answer = request(port, headers={"Cookie": cookie} if cookie else {})
    return answer.status, answer.body.decode(), (answer.get("set-cookie") or "").split(";")[0]


@pytest.fixture
def three(start_backend):
    return [start_backend(named(f"e{i}")) for i in range(3)]


@pytest.mark.quick
def test_an_endpoint_that_ends_keeps_its_sessions_and_gets_no_new_ones(start_gateway, three):
    port, ports = free_port(), [each.port for each in three]

    def config(**states):
        return [gateway_of(listener("http", port)), app_service(),
                route("all", rule("app", sessionPersistence=COOKIE)),
                *slice_of("app", ports, **states)]

    gateway = start_gateway(*config())
    sessions = {}
    while len(sessions) < 3:
        status, name, cookie = who(port)
        assert status == 200
        sessions.setdefault(name, cookie)
    gateway.apply("config.yaml", *config(**{f"p{ports[0]}": ENDING}))
    for _ in range(3):
        for name, cookie in sessions.items():
            assert who(port, cookie) == (200, name, "")
    assert {who(port)[1] for _ in range(30)} == {"e1", "e2"}
    # All of them end: somebody has to serve.
    gateway.apply("config.yaml", *config(**{f"p{each}": ENDING for each in ports}))
    assert {who(port)[1] for _ in range(30)} == {"e0", "e1", "e2"}
    # It is gone: its clients move, and are told so; the others stay.
    gateway.apply("config.yaml", *config(**{f"p{ports[0]}": GONE}))
    status, name, cookie = who(port, sessions["e0"])
    assert status == 200 and name in ("e1", "e2") and cookie
    assert who(port, cookie) == (200, name, "")
    assert who(port, sessions["e1"]) == (200, "e1", "")


def test_an_ending_endpoint_without_sessions_is_left_alone(start_gateway, three):
    port, ports = free_port(), [each.port for each in three]
    start_gateway(gateway_of(listener("http", port)), app_service(), route("all", rule("app")),
                  *slice_of("app", ports, **{f"p{ports[1]}": ENDING, f"p{ports[2]}": GONE}))
    assert {who(port)[1] for _ in range(30)} == {"e0"}


def test_sessions_over_http2(start_gateway, three):
    """Many streams of one connection, each with the session of another client."""
    port, ports = free_port(), [each.port for each in three]
    start_gateway(gateway_of(listener("http", port)), app_service(),
                  route("all", rule("app", sessionPersistence=COOKIE)), *slice_of("app", ports))
    with socket.create_connection(("127.0.0.1", port), DEADLINE) as sock:
        client, sessions = H2Client(sock), {}
        while len(sessions) < 3:
            answer = client.get("a.example", scheme="http")
            sessions.setdefault(bytes(answer.body), answer.head["set-cookie"].split(";")[0])
        for _ in range(10):
            for name, cookie in sessions.items():
                answer = client.get("a.example", scheme="http", headers=[("cookie", cookie)])
                assert bytes(answer.body) == name and "set-cookie" not in answer.head


def test_sessions_of_grpc_by_header(start_gateway):
    port, apps = free_port(), [GrpcBackend(f"e{i}") for i in range(3)]
    ports = [app.port for app in apps]
    by_header = {"type": "Header", "header": {"name": "x-session"}}

    def config(**states):
        return [gateway_of(listener("http", port)), app_service(appProtocol="kubernetes.io/h2c"),
                grpc_route("all", rule("app", sessionPersistence=by_header)),
                *slice_of("app", ports, **states)]

    def call(channel, session=None):
        more = {"metadata": (("x-session", session),)} if session else {}
        answer, info = channel.unary_unary("/test.Echo/Unary").with_call(
            b"m", timeout=DEADLINE, wait_for_ready=True, **more)
        head = dict(info.initial_metadata())
        assert answer == b"m" and info.code() is grpc.StatusCode.OK
        return head["x-backend"], head.get("x-session")

    try:
        gateway, sessions = start_gateway(*config()), {}
        with channel_to(port) as channel:
            while len(sessions) < 3:
                sessions.setdefault(*call(channel))
            for _ in range(10):
                for name, session in sessions.items():
                    assert call(channel, session) == (name, None)
            gateway.apply("config.yaml", *config(**{f"p{ports[0]}": ENDING}))
            assert call(channel, sessions["e0"]) == ("e0", None)
            assert {call(channel)[0] for _ in range(30)} == {"e1", "e2"}
    finally:
        for app in apps:
            app.close()


def zone(name, *hints):
    return {"zone": name, "hints": {"forZones": [{"name": hint} for hint in hints or (name,)]}}


@pytest.mark.quick
def test_hints_keep_requests_in_the_zone(start_gateway, three):
    port, (a, b, c) = free_port(), [each.port for each in three]

    def config(**hints):
        return [gateway_of(listener("http", port)), app_service(), route("all", rule("app")),
                *slice_of("app", (a, b, c), **hints)]

    def seen():
        counted = collections.Counter(who(port)[1] for _ in range(30))
        return sorted(counted)

    gateway = start_gateway(*config(**{f"p{a}": zone("a"), f"p{b}": zone("b"), f"p{c}": zone("b")}),
                            proxy_flags=["--zone", "b"])
    assert seen() == ["e1", "e2"]
    # Hints may give an endpoint to another zone than its own.
    gateway.apply("config.yaml", *config(**{f"p{a}": zone("a", "a", "b"), f"p{b}": zone("b", "c"),
                                            f"p{c}": zone("b", "c")}))
    assert seen() == ["e0"]
    # No hint for us, or one without any: all of them, as with kube-proxy.
    gateway.apply("config.yaml", *config(**{f"p{a}": zone("a"), f"p{b}": zone("c"),
                                            f"p{c}": zone("c")}))
    assert seen() == ["e0", "e1", "e2"]
    gateway.apply("config.yaml", *config(**{f"p{a}": zone("a"), f"p{b}": zone("b")}))
    assert seen() == ["e0", "e1", "e2"]


def test_a_zone_with_too_few_healthy_endpoints_is_left(start_gateway, three):
    """Two of three of our zone are ejected: the load goes to all zones; back again when they are."""
    port, (a, b, c) = free_port(), [each.port for each in three]
    policy = {"apiVersion": "gateway.networking.k8s.io/v1alpha2", "kind": "BackendLBPolicy",
              "metadata": metadata("p"),
              "spec": {"targetRefs": [{"group": "", "kind": "Service", "name": "app"}],
                       "loadBalancing": {"panicThreshold": 0},
                       "outlierDetection": {"consecutiveConnectErrors": 1,
                                            "baseEjectionTime": "1h", "maxEjectionTime": "1h",
                                            "maxEjectionPercent": 90}}}
    gone = [free_port(), free_port()]
    near = {f"p{each}": zone("near") for each in (a, *gone)}
    far = {f"p{each}": zone("far") for each in (b, c)}
    start_gateway(gateway_of(listener("http", port)), app_service(), route("all", rule("app")),
                  policy, *slice_of("app", (a, *gone, b, c), **near, **far), workers=1,
                  proxy_flags=["--zone", "near"])
    names = [who(port)[1] for _ in range(60)]
    assert set(names) == {"e0", "e1", "e2"}, names
    assert set(names[-20:]) == {"e0", "e1", "e2"}, names
