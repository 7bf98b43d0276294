"""ExternalAuth: a service decides about each request, over HTTP or gRPC; without it nothing passes."""
# SPDX-License-Identifier: Apache-2.0
import asyncio
import socket
import threading

import grpc
import pytest

from auth_service import AuthService
from grpc_backend import GrpcBackend
from h2_backend import h2_service
from h2_client import H2Client
from harness import DEADLINE, free_port, gateway_of, listener, metric_sum, route, service, wait_for
from http_backend import Backend, named
from http_client import Client, Load, request
from test_grpc import channel_to, failure, unary

pytestmark = pytest.mark.sanitized
RULE = {"backendRefs": [{"name": "app", "port": 80}]}


def auth(body=None, kind="HTTP", backend="auth", **settings):
    """The filter; `settings` are those of the protocol."""
    return {"type": "ExternalAuth", "externalAuth": {
        "protocol": kind, "backendRef": {"name": backend, "port": 80}, kind.lower(): settings,
        **({"forwardBody": {"maxSize": body}} if body else {})}}


def guarded(*filters, **more):
    return {**RULE, "filters": list(filters), **more}


async def allow(req):
    await req.answer(headers={"X-User": "ann", "X-Other": "1", "Set-Cookie": "a=b"})


@pytest.fixture
def start(start_gateway, start_backend):
    """(port, gateway, app, service) of rules to `app`, guarded by an HTTP service."""
    def make(decide, *rules, app=named("app")):
        port, backend = free_port(), start_backend(app)
        judge = start_backend(decide)
        gateway = start_gateway(gateway_of(listener("http", port)), route("r", *rules),
                                service("app", backend.port), service("auth", judge.port))
        for kind in ("Accepted", "ResolvedRefs"):
            assert gateway.route_condition("r", kind)["status"] == "True"
        return port, gateway, backend, judge
    return make


@pytest.mark.quick
def test_an_http_service_sees_the_line_and_named_fields_and_adds_its_own(start):
    port, _, app, judge = start(
        allow, guarded(auth(path="/check", allowedHeaders=["x-told", "x-forwarded-for", "cookie"],
                            allowedResponseHeaders=["X-User"])))
    sent = {"X-Told": "1", "X-Secret": "2", "Cookie": "c=d", "Authorization": "Bearer t",
            "X-User": "eve", "X-Forwarded-For": "9.9.9.9"}
    answer = request(port, "/a/b?c=d", "PUT", sent, b"body", host="shop.example")
    assert (answer.status, answer.body) == (200, b"app")
    (asked,), (got,) = judge.requests, app.requests
    assert (asked.method, asked.target, asked.get("host")) == \
        ("PUT", "/check/a/b?c=d", "shop.example")
    assert asked.body == b"" and asked.get("content-length") == "0"
    told = {name: asked.get(name) for name in ("x-told", "cookie", "authorization",
                                               "x-forwarded-for", "x-secret", "x-user")}
    assert told == {"x-told": "1", "cookie": "c=d", "authorization": "Bearer t",
                    "x-forwarded-for": "127.0.0.1", "x-secret": None, "x-user": None}
    assert (got.target, got.body, got.get("x-user"), got.get("x-other")) == \
        ("/a/b?c=d", b"body", "ann", None)
    assert answer.get("set-cookie") is None


def test_without_a_list_all_fields_of_the_answer_go_on(start):
    port, _, app, _ = start(allow, guarded(auth()))
    assert request(port, "/", "POST", {"Content-Type": "text/x"}, b"abc").status == 200
    got = app.requests[0]
    assert (got.get("x-user"), got.get("x-other")) == ("ann", "1")
    assert (got.get("host"), got.get("content-type"), got.body) == ("test", "text/x", b"abc")


@pytest.mark.quick
def test_a_refusal_is_passed_on_whole(start):
    async def decide(req):
        status = req.target.rpartition("/")[2]
        await req.answer(b"go away", status=f"{status} No",
                         headers={"Location": "/login", "WWW-Authenticate": "Basic",
                                  "Content-Type": "text/x"})

    port, gateway, app, _ = start(decide, guarded(auth()))
    for status in (302, 401, 403, 404, 429):
        answer = request(port, f"/{status}")
        assert (answer.status, answer.body) == (status, b"go away")
        assert (answer.get("location"), answer.get("www-authenticate"),
                answer.get("content-type")) == ("/login", "Basic", "text/x")
    for status in (201, 204, 500, 503):  # neither a refusal nor 200
        assert request(port, f"/{status}").status == 403
    assert not app.requests
    assert metric_sum(gateway.metrics(), "nantian_responses_total", flag="UAEX") == 9
    lines = gateway.log_lines(9)
    assert {line["response_flags"] for line in lines} == {"UAEX"}


def test_connections_to_the_service_are_kept(start):
    port, _, app, judge = start(allow, guarded(auth()))
    with Load(port, clients=8) as load:
        load.wait(400)
    assert not load.failures and len(judge.requests) == len(app.requests) >= 400
    assert judge.connections <= 16 and app.connections <= 16


@pytest.mark.quick
def test_no_service_no_entry(start_gateway, start_backend):
    async def hang(_req):
        await asyncio.sleep(DEADLINE)

    async def reset(req):
        req.writer.transport.abort()

    async def garbage(req):
        await req.raw(b"nonsense\r\n\r\n")

    async def endless(req):
        await req.answer(b"x" * (1 << 20))

    port, app = free_port(), start_backend(named("app"))
    broken = {"hang": hang, "reset": reset, "garbage": garbage, "endless": endless}
    services = {name: start_backend(handler).port for name, handler in broken.items()}
    services |= {"closed": free_port(), "app": app.port}
    where = [{"matches": [{"path": {"value": f"/{name}"}}], **guarded(auth(backend=name))}
             for name in (*broken, "closed", "empty")]
    gateway = start_gateway(gateway_of(listener("http", port)), route("r", *where),
                            *(service(name, at) for name, at in services.items()),
                            service("empty"))
    answers = {}

    def ask(name):
        answers[name] = request(port, f"/{name}").status

    threads = [threading.Thread(target=ask, args=(name,)) for name in (*broken, "closed", "empty")]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert set(answers.values()) == {403}, answers
    assert not app.requests
    details = {line["x-envoy-origin-path"]: line["response_code_details"]
               for line in gateway.log_lines(6)}
    assert details["/hang"] == "external_auth_timeout"
    assert details["/endless"] == "external_auth_limit"
    assert details["/closed"] == "external_auth_unreachable"


def test_references_that_cannot_be_used_close_the_rule(start_gateway, start_backend):
    port, app = free_port(), start_backend(named("app"))
    foreign = auth()
    foreign["externalAuth"]["backendRef"]["namespace"] = "other"
    gateway = start_gateway(
        gateway_of(listener("http", port)), service("app", app.port),
        route("missing", guarded(auth(backend="nowhere"))),
        route("foreign", guarded(foreign), hostnames=["foreign.example"]))
    assert request(port).status == 500 and request(port, host="foreign.example").status == 500
    assert gateway.route_condition("missing", "ResolvedRefs")["reason"] == "BackendNotFound"
    assert gateway.route_condition("foreign", "ResolvedRefs")["reason"] == "RefNotPermitted"
    assert not app.requests


def test_bodies_are_shown_whole_and_go_on_whole(start):
    async def decide(req):
        if req.body.startswith(b"bad"):
            await req.answer(b"", status="403 No")
        else:
            await req.answer()

    port, _, app, judge = start(decide, guarded(auth(body=300_000)))
    big = bytes(range(256)) * 1000
    assert request(port, "/", "POST", body=big).status == 200
    assert judge.requests[0].body == app.requests[0].body == big
    with Client(port) as client:
        client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
                    "Expect: 100-continue\r\n\r\n")
        client.until(b"HTTP/1.1 100 Continue\r\n\r\n")
        client.send("5\r\nhello\r\n1\r\n!\r\n0\r\nX-Sum: 6\r\n\r\n")
        assert client.read("POST").status == 200
        assert client.request("POST", "/", body=b"bad").status == 403
        assert client.request("GET", "/").status == 200
    assert (judge.requests[1].body, judge.requests[1].get("content-length")) == (b"hello!", "6")
    assert (app.requests[1].body, app.requests[1].trailers) == (b"hello!", [("x-sum", "6")])
    assert request(port, "/", "POST", body=big * 2).status == 413
    assert [len(req.body) for req in app.requests] == [256_000, 6, 0]
    with socket.create_connection(("127.0.0.1", port), DEADLINE) as sock:
        client = H2Client(sock)
        stream = client.send("a.example", method="POST", scheme="http", end=False)
        client.h2.send_data(stream, b"hel")
        client.flush()
        client.h2.send_data(stream, b"lo", end_stream=True)
        client.flush()
        assert client.read(stream).status == 200
    assert judge.requests[-1].body == app.requests[-1].body == b"hello"


def test_it_is_asked_once_and_on_every_way(start):
    tries = []

    async def flaky(req):
        tries.append(req.target)
        await req.answer(b"ok", status="200 OK" if len(tries) % 2 == 0 else "503 No")

    async def decide(req):
        if req.get("authorization") == "yes":
            await req.answer()
        else:
            await req.answer(b"", status="401 No")

    redirect = {"type": "RequestRedirect", "requestRedirect": {"scheme": "https"}}
    cors = {"type": "CORS", "cors": {"allowOrigins": ["*"]}}
    rewrite = {"type": "URLRewrite", "urlRewrite": {
        "path": {"type": "ReplaceFullPath", "replaceFullPath": "/new"}}}
    port, _, app, judge = start(
        decide, guarded(auth(), rewrite, retry={"attempts": 2, "codes": [503], "backoff": "5ms"}),
        {"matches": [{"path": {"value": "/moved"}}], "filters": [redirect, auth()]},
        {"matches": [{"path": {"value": "/cors"}}], **guarded(auth(), cors)},
        {"matches": [{"path": {"value": "/own"}}], "backendRefs": [
            {"name": "app", "port": 80, "filters": [auth()]}]}, app=flaky)
    assert request(port, "/old", headers={"Authorization": "yes"}).status == 200
    assert (len(app.requests), len(judge.requests)) == (2, 1)
    assert (judge.requests[0].target, app.requests[0].target) == ("/old", "/new")
    for path in ("/", "/moved", "/cors", "/own"):
        assert request(port, path).status == 401, path
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket"}
    assert request(port, "/", headers=upgrade).status == 401
    assert request(port, "/", "HEAD").status == 401 and request(port, "/", "OPTIONS").status == 401
    assert request(port, "/moved", headers={"Authorization": "yes"}).status == 302
    before = len(judge.requests)
    preflight = {"Origin": "https://a.example", "Access-Control-Request-Method": "GET"}
    assert request(port, "/cors", "OPTIONS", preflight).status == 204
    assert len(judge.requests) == before and len(app.requests) == 2


# ---- gRPC ----

def add(fields, key, value, append=None):
    option = fields.add()
    option.header.key, option.header.value = key, value
    if append is not None:
        option.append.value = append


@pytest.fixture
def start_grpc_auth(start_gateway, start_backend):
    """(port, gateway, app, service) of a rule guarded by a gRPC service."""
    services = []

    def make(decide, body=None, **settings):
        port, app = free_port(), start_backend(named("app"))
        services.append(AuthService(decide))
        gateway = start_gateway(
            gateway_of(listener("http", port)), service("app", app.port),
            service("auth", services[-1].port), route("r", guarded(
                auth(body=body, kind="GRPC", **settings))))
        assert gateway.route_condition("r", "Accepted")["status"] == "True"
        return port, gateway, app, services[-1]

    yield make
    for each in services:
        each.close()


@pytest.mark.quick
def test_a_grpc_service_sees_attributes_and_changes_both_heads(start_grpc_auth):
    def decide(_attributes, answer):
        answer.status.code = 0
        granted = answer.ok_response
        add(granted.headers, "X-User", "ann")
        add(granted.headers, "x-role", "b", append=True)
        add(granted.headers, "host", "evil.example")
        add(granted.headers, "content-length", "99")
        granted.headers_to_remove.append("authorization")
        granted.headers_to_remove.append("host")
        add(granted.response_headers_to_add, "x-checked", "yes")

    port, _, app, judge = start_grpc_auth(decide, body=100)
    answer = request(port, "/a?b=c", "POST",
                     {"Authorization": "t", "X-User": "eve", "x-role": "a", "X-Two": "1",
                      "X-Forwarded-For": "9.9.9.9"}, b"body", host="shop.example")
    assert (answer.status, answer.get("x-checked")) == (200, "yes")
    got, asked = app.requests[0], judge.asked[0]
    assert (got.get("x-user"), got.get("x-role"), got.get("authorization"), got.get("host"),
            got.body) == ("ann", "a, b", None, "shop.example", b"body")
    http = asked.request.http
    assert (http.method, http.path, http.host, http.scheme, http.protocol, http.size, http.body) == \
        ("POST", "/a?b=c", "shop.example", "http", "HTTP/1.1", 4, "body")
    assert {name: http.headers[name] for name in ("authorization", "x-two", "x-forwarded-for")} == \
        {"authorization": "t", "x-two": "1", "x-forwarded-for": "127.0.0.1"}
    assert asked.source.address.socket_address.address == "127.0.0.1"
    assert asked.destination.address.socket_address.port_value == port
    assert 0 < judge.deadlines[0] <= 5.5


def test_a_grpc_service_is_told_the_named_fields_alone(start_grpc_auth):
    port, _, _, judge = start_grpc_auth(lambda _, answer: setattr(answer.status, "code", 0),
                                        allowedHeaders=["X-Two"])
    assert request(port, "/", "POST", {"x-two": "1", "x-one": "2"}, b"body").status == 200
    assert dict(judge.asked[0].request.http.headers) == {"x-two": "1"}
    assert judge.asked[0].request.http.body == ""


@pytest.mark.quick
def test_a_grpc_service_refuses_in_its_own_words_or_not_at_all(start_grpc_auth):
    def decide(attributes, answer):
        path = attributes.request.http.path
        answer.status.code = 7
        if path == "/words":
            answer.denied_response.status.code = 402
            answer.denied_response.body = "pay first"
            add(answer.denied_response.headers, "X-Price", "1")
            add(answer.denied_response.headers, "content-type", "text/x")
        elif path == "/bare":
            answer.denied_response.status.code = 0
        elif path == "/garbage":
            return b"\xff\xff\xff"
        elif path == "/empty":
            return b""
        elif path == "/raise":
            raise RuntimeError("broken on purpose")
        return None

    port, gateway, app, _ = start_grpc_auth(decide)
    answer = request(port, "/words")
    assert (answer.status, answer.body, answer.get("x-price"), answer.get("content-type")) == \
        (402, b"pay first", "1", "text/x")
    for path in ("/code", "/bare", "/garbage", "/empty", "/raise"):
        assert request(port, path).status == 403, path
    assert not app.requests
    details = {line["x-envoy-origin-path"]: line["response_code_details"]
               for line in gateway.log_lines(6)}
    assert details["/code"] == details["/bare"] == "external_auth_denied"
    assert details["/garbage"] == "external_auth_protocol_error"
    assert details["/raise"] == "external_auth_error"


def test_many_questions_share_a_connection(start_grpc_auth):
    port, _, app, judge = start_grpc_auth(lambda _, answer: setattr(answer.status, "code", 0))
    with Load(port, clients=8) as load:
        load.wait(200)
    assert not load.failures and len(judge.asked) == len(app.requests)
    assert len(judge.peers) <= 2  # one a worker


def test_grpc_clients_read_a_refusal_as_permission_denied(start_gateway):
    port = free_port()

    def decide(attributes, answer):
        answer.status.code = 0 if attributes.request.http.headers.get("x-pass") else 7

    with GrpcBackend() as app, AuthService(decide) as judge:
        start_gateway(gateway_of(listener("http", port)), h2_service("app", app.port),
                      service("auth", judge.port), route("r", guarded(auth(kind="GRPC"))))
        with channel_to(port) as channel:
            assert failure(unary(channel), b"x")[0] == grpc.StatusCode.PERMISSION_DENIED
            answer = unary(channel)(b"x", timeout=DEADLINE, metadata=(("x-pass", "1"),))
        assert answer == b"x" and app.calls == 1
        assert judge.asked[0].request.http.protocol == "HTTP/2"


def test_a_service_may_come_back_and_change(start_gateway, start_backend):
    port, app, place = free_port(), start_backend(named("app")), free_port()
    documents = [gateway_of(listener("http", port)), service("app", app.port)]
    gateway = start_gateway(*documents, route("r", guarded(auth())), service("auth", place))
    assert request(port).status == 403
    with Backend(allow, port=place):
        wait_for(lambda: request(port).status == 200, "the service is there")
    wait_for(lambda: request(port).status == 403, "the service is gone")
    gateway.apply("config.yaml", *documents, route("r", RULE))
    assert request(port).status == 200
