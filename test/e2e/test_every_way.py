"""T15: twelve filters on fourteen ways of a request: each is applied, or it stands here why not."""
# SPDX-License-Identifier: Apache-2.0
import base64
import functools
import hashlib
import struct

import pytest

from auth_service import AuthService
from certificates import Authority
from grpc_backend import GrpcBackend
from h2_backend import h2_service
from h2_client import H2Client
from harness import (free_port, gateway_of, listener, metadata, rate_limit, route, service,
                     wait_for)
from http_backend import named
from http_client import Client
from test_external_auth import auth
from test_grpc import grpc_route

pytestmark = pytest.mark.sanitized
SESSION = {"sessionPersistence": {"type": "Cookie", "cookie": {"name": "s"}}}
CORS = {"type": "CORS", "cors": {"allowOrigins": ["https://a.example"]}}
MOVED = {"type": "RequestRedirect", "requestRedirect": {"hostname": "moved.example"}}


def policy(name):
    return {"type": "ExtensionRef", "extensionRef": {
        "group": "gateway.nantian.dev", "kind": "SecurityPolicy", "name": name}}


def modifier(kind, name):
    return {"type": f"{kind}HeaderModifier", f"{kind.lower()}HeaderModifier": {
        "set": [{"name": name, "value": "1"}]}}


def mirror(name):
    return {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": name, "port": 80}}}


FILTERS = {
    "address": policy("address"), "rate": policy("rate"), "auth": auth(backend="refuse"),
    "rpcauth": auth(kind="GRPC", backend="rpcrefuse"), "backendauth": auth(backend="refuse"),
    "cors": CORS, "request": modifier("Request", "x-set"),
    "response": modifier("Response", "x-set"),
    "redirect": MOVED, "rewrite": {"type": "URLRewrite", "urlRewrite": {"path": {
        "type": "ReplaceFullPath", "replaceFullPath": "/test.Echo/Fail"}}},
    "mirror": mirror("audit"), "session": None}
OF_GRPC = ("address", "rate", "request", "response", "mirror", "session")


# ---- ways: each gives (status, fields) ----

def fields_of(name, way):
    return {"x-cell": f"{name}/{way}", "x-way": way, "origin": "https://a.example"}


def h1(client, name, way, method="GET", body=None, **more):
    answer = client.request(method, f"/{way}", {**fields_of(name, way), **more}, body,
                            host=f"{name}.example")
    return answer.status, dict(answer.fields)


def plain(ports, name, way):
    with Client(ports[0]) as client:
        return h1(client, name, way)


def pipelined(ports, name, way):
    with Client(ports[0]) as client:
        client.send("GET / HTTP/1.1\r\nHost: free.example\r\n\r\n")
        lines = "".join(f"{key}: {value}\r\n" for key, value in fields_of(name, way).items())
        client.send(f"GET /{way} HTTP/1.1\r\nHost: {name}.example\r\n{lines}\r\n")
        assert client.read().status == 200
        answer = client.read()
        return answer.status, dict(answer.fields)


def chunked(ports, name, way):
    with Client(ports[0]) as client:
        lines = "".join(f"{key}: {value}\r\n" for key, value in fields_of(name, way).items())
        client.send(f"POST /{way} HTTP/1.1\r\nHost: {name}.example\r\n{lines}"
                    "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
        answer = client.read("POST")
        return answer.status, dict(answer.fields)


def head(ports, name, way):
    with Client(ports[0]) as client:
        return h1(client, name, way, "HEAD")


def preflight(ports, name, way):
    with Client(ports[0]) as client:
        return h1(client, name, way, "OPTIONS", **{"access-control-request-method": "GET"})


def over_tls(ports, name, way):
    with Client(ports[1], tls=ports[2], server_name=f"{name}.example") as client:
        return h1(client, name, way)


def h2(ports, name, way):
    with Client(ports[0]) as client:
        answer = H2Client(client.socket).get(f"{name}.example", path=f"/{way}", scheme="http",
                                             headers=list(fields_of(name, way).items()))
        return answer.status, answer.head


def websocket(ports, name, way):
    with Client(ports[0]) as client:
        return h1(client, name, way, connection="upgrade", upgrade="websocket", **{
            "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==", "sec-websocket-version": "13"})


def grpc(ports, name, way):
    with Client(ports[0]) as client:
        peer = H2Client(client.socket)
        stream = peer.send(f"{name}.example", "/test.Echo/Unary", "POST", scheme="http", end=False,
                           headers=[("content-type", "application/grpc"), ("te", "trailers"),
                                    *fields_of(name, way).items()])
        peer.h2.send_data(stream, struct.pack(">BI", 0, 1) + b"x", end_stream=True)
        peer.flush()
        answer = peer.read(stream)
        return answer.status, {**answer.head, **dict(answer.trailers)}


def grpc_web(ports, name, way):
    with Client(ports[0]) as client:
        answer = client.request("POST", "/test.Echo/Unary", {
            "content-type": "application/grpc-web", **fields_of(name, way)},
            struct.pack(">BI", 0, 1) + b"x", host=f"{name}.web.example")
        return answer.status, dict(answer.fields)


WAYS = {"plain": plain, "pipelined": pipelined, "chunked": chunked, "head": head, "h2": h2,
        "tls": over_tls, "websocket": websocket, "grpc": grpc, "web": grpc_web, "moved": plain,
        "retry": plain, "mirrored": plain, "missing": plain, "preflight": preflight}

# ---- what does not apply ----

NO_BACKEND = "no backend is asked"
NOT_BOTH = "the Gateway API refuses a rule with both"
UPGRADES = "what is upgraded is not mirrored"
BEFORE = "who asks beforehand has no credentials: CORS answers, and stands before all but addresses"
NOT_APPLIED = {
    **{(name, way): NO_BACKEND
       for name in ("backendauth", "request", "rewrite", "mirror", "session")
       for way in ("moved", "missing", "preflight")},
    **{(name, "preflight"): BEFORE for name in ("rate", "auth", "rpcauth", "response", "redirect")},
    ("rewrite", "moved"): NOT_BOTH,
    ("mirror", "websocket"): UPGRADES,
    **{(name, "web"): "GRPCRoutes have no such filter" for name in FILTERS if name not in OF_GRPC},
}


# ---- the gateway ----

def rules_of(name):
    """A rule for each way that needs one of its own."""
    each = FILTERS[name]
    extra = {"moved": {"filters": [MOVED]}, "mirrored": {"filters": [mirror("side")]},
             "preflight": {"filters": [CORS]}, "missing": {"to": "nowhere"},
             "retry": {"retry": {"codes": [503], "attempts": 1, "backoff": "1ms"}},
             "test.Echo": {"to": "rpc"}, "": {}}
    for path, more in extra.items():
        filters = [f for f in more.get("filters", ()) if f["type"] != (each or {}).get("type") or
                   f["type"] == "RequestMirror"]
        redirects = each is MOVED or MOVED in filters
        if redirects and name == "rewrite":
            continue  # not both, says the Gateway API
        refs = {"name": more.get("to", "app"), "port": 80}
        if name == "backendauth":
            refs["filters"] = [each]
        elif each:
            filters = [*filters, each]
        made = {"matches": [{"path": {"value": f"/{path}"}}], "filters": filters,
                **(SESSION if name == "session" else {})}
        if not redirects:
            made |= {"backendRefs": [refs], **({"retry": more["retry"]} if "retry" in more else {})}
        yield made


def limits():
    deny = {"apiVersion": "gateway.nantian.dev/v1alpha1", "kind": "SecurityPolicy",
            "metadata": metadata("address"), "spec": {"ip": {"denyCIDRs": ["127.0.0.0/8"]}}}
    rate = rate_limit("rate", "none", {"requestsPerSecond": 1000})
    del rate["spec"]["targetRefs"]
    return deny, rate


async def serve(req):
    if req.get("upgrade"):
        key = req.get("sec-websocket-key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
        await req.raw(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n"
                      b"Upgrade: websocket\r\nSec-WebSocket-Accept: " + accept.encode() +
                      b"\r\n\r\n")
        return
    again = req.get("x-way") == "retry" and req.get("x-cell") not in serve.tried
    serve.tried.add(req.get("x-cell"))
    await req.answer(b"", status="503 No" if again else "200 OK")


@pytest.fixture
def matrix(start_gateway, start_backend):
    """(ports, app, rpc, audit, copy): a host for each filter."""
    async def refuse(req):
        await req.answer(b"", status="401 No")

    serve.tried = set()
    ports, authority = [free_port(), free_port()], Authority()
    app, audit = start_backend(serve), start_backend(named("audit"))
    with GrpcBackend() as rpc, GrpcBackend() as copy, \
            AuthService(lambda _, answer: setattr(answer.status, "code", 7)) as no:
        routes = [route(name, *rules_of(name), hostnames=[f"{name}.example"]) for name in FILTERS]
        for name in OF_GRPC:
            each = mirror("copy") if name == "mirror" else FILTERS[name]
            made = {"filters": [each]} if each else SESSION
            routes.append(grpc_route(f"{name}-web", {**made, "backendRefs": [
                {"name": "rpc", "port": 80}]}, hostnames=[f"{name}.web.example"]))
        gateway = start_gateway(
            gateway_of(listener("http", ports[0]), listener(
                "https", ports[1], "HTTPS", tls={"certificateRefs": [{"name": "c"}]})),
            authority.secret("c", *(f"{name}.example" for name in FILTERS)), *routes, *limits(),
            route("free", {"backendRefs": [{"name": "app", "port": 80}]},
                  hostnames=["free.example"]),
            service("app", app.port), service("audit", audit.port), service("side", audit.port),
            service("refuse", start_backend(refuse).port), h2_service("rpc", rpc.port),
            h2_service("copy", copy.port), h2_service("rpcrefuse", no.port))
        for name in FILTERS:
            assert gateway.route_condition(name, "Accepted")["status"] == "True", name
        yield [*ports, authority.context()], app, rpc, audit, copy


def applied(name, status, fields, got, copied):
    """Whether the filter has done what it is there for."""
    if name in ("address", "auth", "rpcauth", "backendauth"):
        return got is None and (status in (401, 403) or fields.get("grpc-status") in ("7", "16"))
    if name == "request":
        return got is not None and got.get("x-set") == "1"
    if name == "rewrite":
        return got is not None and got.get("path") == "/test.Echo/Fail"
    if name == "mirror":
        return copied is not None
    return {"rate": "ratelimit-policy" in fields, "response": fields.get("x-set") == "1",
            "cors": fields.get("access-control-allow-origin") is not None,
            "redirect": "moved.example" in fields.get("location", "") and got is None,
            "session": "s=" in fields.get("set-cookie", "")}[name]


def seen_by(app, rpc, cell, fields):
    """The fields and path of that cell's request, as the backend has them; None: it has not."""
    for req in app.requests:
        if req.get("x-cell") == cell:
            return {**dict(req.fields), "path": req.target}
    if rpc.metadata.get("x-cell") != cell:
        return None
    failed = fields.get("grpc-status") == "9"  # as the method Fail does
    return {**rpc.metadata, "path": f"/test.Echo/{'Fail' if failed else 'Unary'}"}


def test_t15_each_filter_is_applied_on_every_way(matrix):
    ports, app, rpc, audit, copy = matrix
    cells = [(name, way) for name in FILTERS for way in WAYS]
    wrong = []
    for name, way in cells:
        why_not, cell = NOT_APPLIED.get((name, way)), f"{name}/{way}"
        if why_not == NOT_BOTH:
            continue
        status, fields = WAYS[way](ports, name, way)
        if name == "mirror" and not why_not:
            wait_for(functools.partial(seen_by, audit, copy, cell, {}), f"a copy of {cell}")
        got = seen_by(app, rpc, cell, fields)
        copied = seen_by(audit, copy, cell, {})
        if applied(name, status, fields, got, copied) != (why_not is None):
            wrong.append((cell, status, fields, got))
    assert len(cells) == 168 and not wrong, "\n".join(map(str, wrong))
    tries = [req for req in app.requests if req.get("x-cell") == "request/retry"]
    assert [req.get("x-set") for req in tries] == ["1", "1"]
