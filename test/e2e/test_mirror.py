"""RequestMirror: copies arrive once, whole and as they come, and the request knows nothing of them."""
# SPDX-License-Identifier: Apache-2.0
import asyncio
import math
import socket

import pytest

from grpc_backend import GrpcBackend
from h2_backend import H2Backend, h2_service
from h2_client import H2Client
from harness import (DEADLINE, free_port, gateway_of, listener, metric_sum, route, service,
                     wait_for)
from http_backend import named
from http_client import Client, request
from test_grpc import channel_to, grpc_route, unary

pytestmark = pytest.mark.sanitized


def mirror(name, **share):
    return {"type": "RequestMirror",
            "requestMirror": {"backendRef": {"name": name, "port": 80}, **share}}


def mirrored(*filters, **more):
    return {"backendRefs": [{"name": "app", "port": 80}], "filters": list(filters), **more}


def ended(gateway, result):
    return metric_sum(gateway.metrics(), "nantian_mirrored_requests_total", result=result)


def wait_ended(gateway, result, count=1):
    wait_for(lambda: ended(gateway, result) == count, f"{count} copies ended as {result}")


@pytest.fixture
def start(start_gateway, start_backend):
    """(port, gateway, app, audit...) with one rule to `app`, and mirrors."""
    def make(*rules, app=named("app"), **audits):
        port, backends = free_port(), {"app": start_backend(app)}
        backends |= {name: start_backend(*handler) if isinstance(handler, tuple)
                     else start_backend(handler) for name, handler in audits.items()}
        gateway = start_gateway(
            gateway_of(listener("http", port)), route("r", *rules),
            *(service(name, backend.port) for name, backend in backends.items()))
        assert gateway.route_condition("r", "Accepted")["status"] == "True"
        return port, gateway, *backends.values()
    return make


async def failing(req):
    await req.answer(b"no", status="500 No")


@pytest.mark.quick
def test_each_mirror_gets_the_request_as_it_is_sent_and_once(start):
    edit = {"type": "RequestHeaderModifier",
            "requestHeaderModifier": {"set": [{"name": "x-set", "value": "1"}],
                                      "remove": ["x-gone"]}}
    rewrite = {"type": "URLRewrite", "urlRewrite": {
        "hostname": "in.example", "path": {"type": "ReplaceFullPath", "replaceFullPath": "/new"}}}
    port, gateway, app, one, two = start(
        mirrored(mirror("one"), edit, rewrite, mirror("two")), one=failing, two=named("two"))
    answer = request(port, "/old?id=7", "POST", {"x-gone": "1", "x-kept": "2"}, b"payload")
    assert (answer.status, answer.body) == (200, b"app")
    wait_ended(gateway, "answered", 2)
    seen = [backend.requests for backend in (app, one, two)]
    assert [len(requests) for requests in seen] == [1, 1, 1]
    first = seen[0][0]
    assert (first.target, first.get("host"), first.get("x-set")) == ("/new?id=7", "in.example", "1")
    for (copy,) in seen:
        assert (copy.method, copy.target, copy.body) == ("POST", "/new?id=7", b"payload")
        assert copy.get("x-gone") is None and sorted(copy.fields) == sorted(first.fields)


def test_bodies_of_all_framings_are_copied_whole(start):
    port, gateway, app, audit = start(mirrored(mirror("audit")), audit=named("audit"))
    big = bytes(range(256)) * 4096
    assert request(port, "/big", "PUT", body=big).status == 200
    with Client(port) as client:
        client.send("POST /chunked HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                    "5\r\nhello\r\n")
        client.send("1\r\n!\r\n0\r\nX-Sum: 6\r\n\r\n")
        assert client.read("POST").status == 200
        client.send("POST /expect HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n"
                    "Expect: 100-continue\r\n\r\n")
        client.until(b"HTTP/1.1 100 Continue\r\n\r\n")
        client.send("ok")
        assert client.read("POST").status == 200
        assert client.request("HEAD", "/head").status == 200
    wait_ended(gateway, "answered", 4)
    for backend in (app, audit):
        copies = {req.target: req for req in backend.requests}
        assert copies["/big"].body == big and copies["/chunked"].body == b"hello!"
        assert copies["/chunked"].trailers == [("x-sum", "6")]
        assert copies["/expect"].body == b"ok" and copies["/expect"].get("expect") is None
        assert copies["/head"].method == "HEAD" and len(backend.requests) == 4


def test_a_copy_streams_with_its_request(start):
    sizes = []

    async def reading(req):
        sizes.append(len(await req.reader.readexactly(6)))
        await req.reader.readexactly(5)
        await req.answer(b"ok")

    port, gateway, _app, _audit = start(mirrored(mirror("audit")), audit=(reading, True))
    with Client(port) as client:
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nfirst-")
        wait_for(lambda: sizes == [6], "the copy has what came so far")
        client.send("later")
        assert client.read("POST").status == 200
    wait_ended(gateway, "answered")


@pytest.mark.quick
def test_a_retried_request_is_copied_once(start):
    tries = []

    async def flaky(req):
        tries.append(req.body)
        await req.answer(b"ok", status="200 OK" if len(tries) % 3 == 0 else "503 No")

    port, gateway, app, audit = start(
        mirrored(mirror("audit"), retry={"attempts": 3, "codes": [503], "backoff": "5ms"}),
        app=flaky, audit=failing)
    for number in range(5):
        answer = request(port, f"/{number}", "POST", body=b"body %d" % number)
        assert answer.status == 200, answer
    wait_ended(gateway, "answered", 5)
    assert len(app.requests) == 15
    assert sorted(req.target for req in audit.requests) == [f"/{n}" for n in range(5)]
    assert {req.body for req in audit.requests} == {b"body %d" % n for n in range(5)}


@pytest.mark.parametrize("share, part", [
    ({"percent": 20}, 0.2), ({"fraction": {"numerator": 25, "denominator": 50}}, 0.5),
    ({"percent": 0}, 0), ({"percent": 100}, 1)])
def test_a_share_of_the_requests_is_copied(start, share, part):
    port, gateway, _app, audit = start(mirrored(mirror("audit", **share)), audit=named("audit"))
    with Client(port) as client:
        for number in range(500):
            assert client.request("GET", f"/{number}").status == 200
    # Each copy is sent with its request; those of the last answers may still be on their way.
    wait_for(lambda: sum(ended(gateway, r) for r in ("answered", "failed")) == len(audit.requests),
             "every copy has ended")
    spread = 5 * math.sqrt(500 * part * (1 - part))
    assert abs(len(audit.requests) - 500 * part) <= spread, len(audit.requests)
    assert len({req.target for req in audit.requests}) == len(audit.requests)


def test_a_mirror_that_fails_or_is_missing_changes_nothing(start_gateway, start_backend):
    port, backend = free_port(), start_backend(named("app"))

    async def reset(req):
        req.writer.transport.abort()

    def rule_to(name, path, **where):
        ref = {"name": name, "port": 80, **where}
        return mirrored({"type": "RequestMirror", "requestMirror": {"backendRef": ref}},
                        matches=[{"path": {"value": path}}])

    gateway = start_gateway(
        gateway_of(listener("http", port)), service("app", backend.port),
        service("closed", free_port()), service("rude", start_backend(reset).port),
        service("empty"), route("bad", rule_to("closed", "/closed"), rule_to("rude", "/rude"),
                                rule_to("empty", "/empty")),
        route("missing", rule_to("nowhere", "/missing")),
        route("foreign", rule_to("app", "/foreign", namespace="other")))
    for path in ("/closed", "/rude", "/empty", "/missing", "/foreign"):
        answer = request(port, path, "POST", body=b"x")
        assert (answer.status, answer.body) == (200, b"app"), path
    wait_ended(gateway, "failed", 3)
    assert len(backend.requests) == 5
    assert gateway.route_condition("bad", "ResolvedRefs")["status"] == "True"
    for name, reason in (("missing", "BackendNotFound"), ("foreign", "RefNotPermitted")):
        condition = gateway.route_condition(name, "ResolvedRefs")
        assert (condition["status"], condition["reason"]) == ("False", reason)
        assert gateway.route_condition(name, "Accepted")["status"] == "True"


def test_a_slow_mirror_loses_its_copy_and_the_request_does_not_wait(start):
    async def deaf(req):
        await asyncio.sleep(DEADLINE)

    port, gateway, app, _audit = start(mirrored(mirror("audit")), audit=(deaf, True))
    body = b"x" * (24 << 20)
    answer = request(port, "/", "PUT", body=body)
    assert answer.status == 200 and app.requests[0].body == body
    wait_ended(gateway, "slow")


def test_a_request_that_breaks_off_cuts_its_copy(start):
    port, gateway, _app, audit = start(mirrored(mirror("audit")), audit=named("audit"))
    with Client(port) as client:
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nfirst-")
        wait_for(lambda: audit.requests, "the copy is on its way")
    wait_ended(gateway, "cut")
    assert audit.requests[0].body == b""


def test_mirrors_over_http2_on_both_sides(start_gateway, start_backend):
    port = free_port()
    with H2Backend() as app, H2Backend() as audit:
        gateway = start_gateway(gateway_of(listener("http", port)), h2_service("app", app.port),
                                h2_service("audit", audit.port), route("r", mirrored(mirror("audit"))))
        with socket.create_connection(("127.0.0.1", port), DEADLINE) as sock:
            client = H2Client(sock)
            for _ in range(20):
                assert client.get("a.example", scheme="http").status == 200
        wait_ended(gateway, "answered", 20)
        assert (app.streams, audit.streams, audit.connections) == (20, 20, 1)
        assert not app.errors and not audit.errors


@pytest.mark.quick
def test_grpc_calls_are_mirrored(start_gateway):
    port = free_port()
    with GrpcBackend() as app, GrpcBackend() as audit:
        rule = mirrored(mirror("audit"))
        gateway = start_gateway(gateway_of(listener("http", port)), grpc_route("g", rule),
                                h2_service("app", app.port), h2_service("audit", audit.port))
        assert gateway.route_condition("g", "Accepted", "GRPCRoute")["status"] == "True"
        with channel_to(port) as channel:
            assert unary(channel)(b"hello", timeout=DEADLINE) == b"hello"
            both_ways = channel.stream_stream("/test.Echo/Stream")
            messages = [b"a", b"b" * 70000, b"c"]
            assert list(both_ways(iter(messages), timeout=DEADLINE)) == messages
        wait_ended(gateway, "answered", 2)
        assert (app.calls, audit.calls) == (2, 2)
