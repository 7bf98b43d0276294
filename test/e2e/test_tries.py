"""Tries at backends that misbehave between two of them: what is repeated, whole, and what is not."""
# SPDX-License-Identifier: Apache-2.0
import pytest

from harness import free_port, gateway_of, listener, route, rule, service
from http_backend import read_body
from http_client import Client

pytestmark = [pytest.mark.sanitized, pytest.mark.quick]


@pytest.fixture
def retrying(start_gateway, start_backend):
    """(port, backend): each 503 is repeated twice; the handler reads bodies itself."""
    def start(handler, **retry):
        port, backend = free_port(), start_backend(handler, streaming=True)
        policy = {"retry": {"codes": [503], "attempts": 2, "backoff": "1ms", **retry}} if retry != \
            {"attempts": 0} else {}
        start_gateway(gateway_of(listener("http", port)), service("app", backend.port),
                      route("r", rule("app", **policy)), workers=1)
        return port, backend
    return start


def test_a_client_that_waits_for_100_is_asked_by_the_try_that_takes_the_body(retrying):
    async def app(req):
        if len(backend.requests) < 3:
            await req.answer(b"not now", status="503 No", headers={"connection": "close"})
            req.writer.close()
            return
        await read_body(req)
        await req.answer(req.body)
    port, backend = retrying(app)
    with Client(port) as client:
        client.send("POST / HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\n"
                    "Content-Length: 5\r\n\r\n")
        assert client.until(b"\r\n\r\n").startswith(b"HTTP/1.1 100 ")
        client.send("hello")
        answer = client.read()
        assert (answer.status, answer.body) == (200, b"hello")
    assert len(backend.requests) == 3


def test_trailers_of_a_request_go_with_each_try(retrying):
    seen = []

    async def app(req):
        await read_body(req)
        seen.append((req.body, req.trailers))
        await req.answer(b"", status="503 No" if len(seen) < 3 else "200 OK")
    port, _ = retrying(app)
    with Client(port) as client:
        client.send("POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n"
                    "Trailer: X-Sum\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 5\r\n\r\n")
        assert client.read().status == 200
    assert seen == [(b"abcde", [("x-sum", "5")])] * 3


def test_hints_of_a_try_that_is_repeated_come_before_the_answer(retrying):
    async def app(req):
        await read_body(req)
        n = len(backend.requests)
        await req.raw(b"HTTP/1.1 103 Early Hints\r\nX-Try: %d\r\n\r\n" % n)
        await req.answer(b"", status="503 No" if n < 2 else "200 OK")
    port, backend = retrying(app)
    with Client(port) as client:
        client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        heads = [client.until(b"\r\n\r\n") for _ in range(3)]
    assert [head.split(b" ")[1] for head in heads] == [b"103", b"103", b"200"]


@pytest.mark.parametrize("method, repeated", [("POST", False), ("PUT", True), ("DELETE", True)])
def test_a_kept_connection_that_ends_after_the_head_was_read(retrying, method, repeated):
    """Whether the request was acted on is not known: only what is idempotent goes out again."""
    bodies = []

    async def app(req):
        await read_body(req)
        bodies.append(req.body)
        if req.target == "/lost" and len(bodies) == 2:
            req.writer.transport.abort()
            return
        await req.answer(b"fine")
    port, backend = retrying(app, attempts=0)
    with Client(port) as client:
        assert client.request("GET", "/first").status == 200
        answer = client.request(method, "/lost", body=b"payload")
        assert answer.status == (200 if repeated else 502)
        assert bodies == [b""] + [b"payload"] * (2 if repeated else 1)
        assert client.request("GET", "/after").body == b"fine"
    assert backend.connections == 2


def test_an_answer_before_its_request_ends_the_connection_and_reaches_nobody(retrying):
    async def app(req):
        await read_body(req)
        await req.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n%4d"
                      b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil" % len(backend.requests))
    port, backend = retrying(app)
    with Client(port) as client:
        answers = [client.request("GET", f"/{i}").body for i in range(6)]
    assert answers == [b"%4d" % (i + 1) for i in range(6)]
    assert backend.connections == 6


def test_a_backend_that_answers_early_and_closes_is_heard(retrying):
    """Its last words were there before the reset that our body got."""
    async def app(req):
        await req.raw(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno\n")
        req.writer.close()
    port, _ = retrying(app)
    for _ in range(10):
        with Client(port) as client:
            client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 300000\r\n\r\n")
            client.send("x" * 1000)
            answer = client.read()
            assert (answer.status, answer.body) == (413, b"no\n")
