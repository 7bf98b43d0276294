"""Spellings of paths, hosts and fields that mean one thing to us and another thing to a backend."""
# SPDX-License-Identifier: Apache-2.0
import itertools
import json
import re
import urllib.parse

import pytest

from certificates import Authority
from h2_client import H2Client
from harness import (free_port, gateway_of, listener, route, rule, service, simple)
from http_backend import named
from http_client import Client, request
from test_http2 import LISTENERS, MISDIRECTED, https

pytestmark = pytest.mark.sanitized


# ---- T09: paths ----

BEFORE = ("/", "//", "///", "/./", "/.//", "/%2e/", "/x/../", "/x/%2e%2e/", "/api/../",
          "/api/.%2E/", "/x//../", "/x%2f..%2f", "/..%2f", "/../", "/%2e%2e/", "/\\", "/%5c", "/;/",
          "/x;y/../", "/..;/", "/api/..;/", "/%c0%ae%c0%ae/", "/.%00/", "http://test/",
          "http://test//", "http://test/x/../")
NAME = ("admin", "%61dmin", "%61%64%6d%69%6e", "adm%69n", "admi%6E", "admin;x", "admin%00",
        "admin%20", "ad\tmin", "ad%min", "x/../admin", "./admin")
AFTER = ("", "/", "/.", "/x/..", "//", "?x", "#x", "/%2e", ";/..", "/..;/admin")
ALL = [a + b + c for a, b, c in itertools.product(BEFORE, NAME, AFTER)]
SPELLINGS = [ALL[i * 1009 % len(ALL)] for i in range(500)]  # a prime: all parts come often


def without_dots(path):
    out = []
    for part in path.split("/"):
        if part == "..":
            del out[-1:]
        elif part not in ("", "."):
            out.append(part)
    return "/" + "/".join(out)


def plain(path):
    """As RFC 3986 has it: of encoded bytes those alone that need not be."""
    decoded = re.sub("%([0-9A-Fa-f]{2})", lambda found: chr(int(found[1], 16))
                     if re.match("[A-Za-z0-9._~-]", chr(int(found[1], 16))) else found[0], path)
    return without_dots(decoded)


def decoding(path):
    """All bytes are decoded first."""
    return without_dots(urllib.parse.unquote(path, encoding="latin-1").replace("\\", "/"))


def servlet(path):
    """What stands behind a semicolon is no part of a name."""
    return decoding(re.sub(";[^/]*", "", path))


@pytest.fixture
def secured(start_gateway, start_backend):
    """(port, gateway, public, admin): the last one behind a service that lets nobody in."""
    async def refuse(req):
        await req.answer(b"", status="401 No")

    port, public, admin = free_port(), start_backend(named("public")), start_backend(named("admin"))
    auth = {"type": "ExternalAuth", "externalAuth": {
        "protocol": "HTTP", "backendRef": {"name": "auth", "port": 80}, "http": {}}}
    rewrite = {"type": "URLRewrite", "urlRewrite": {
        "path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}}}
    gateway = start_gateway(
        gateway_of(listener("http", port)), service("public", public.port),
        service("admin", admin.port), service("auth", start_backend(refuse).port),
        route("r", rule("public", matches=[{"path": {"value": "/"}}]),
              rule("admin", matches=[{"path": {"value": "/admin"}}], filters=[auth]),
              rule("public", matches=[{"path": {"value": "/api"}}], filters=[rewrite])))
    return port, gateway, public, admin


@pytest.mark.parametrize("version", (1, 2))
def test_t09_no_spelling_of_a_path_gets_around_its_filter(secured, version):
    port, gateway, public, admin = secured
    statuses = []
    for spelling in SPELLINGS:
        with Client(port) as client:
            if version == 1:
                client.send(f"GET {spelling} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
                statuses.append(client.read().status)
            else:
                answer = H2Client(client.socket).get("test", path=spelling, scheme="http")
                statuses.append(answer.status if answer.reset is None else 400)
    assert set(statuses) == {200, 400, 401} and len(statuses) == 500
    assert not admin.requests
    lines = {line["x-request-id"]: line for line in gateway.log_lines(500 - statuses.count(400))}
    for got in public.requests:
        path, line = got.target.partition("?")[0], lines[got.get("x-request-id")]
        assert re.match("/([^/]|$)", path) and plain(path) in (path, path[:-1]), got.target
        assert not (path + "/").startswith("/admin/"), got.target
        # What is logged was routed, and sent.
        logged = line["x-envoy-origin-path"].partition("?")[0]
        assert path == (logged if line["rule"] == 0 else logged[len("/api"):] or "/"), line
        # Bytes that mean something to some backends only go on as they came.
        if (servlet(path) + "/").startswith("/admin/"):
            assert re.search("(?i);|%2f|%5c", path), path


# ---- T10: hosts ----

OF_NAME = {"example.org": "https", "second-example.org": "second",
           "third-example.wildcard.org": "wild", "fourth-example.wildcard.org": "fourth",
           "unknown-example.org": "https"}
WAYS = {
    "as it is": lambda host, port: (host, {}),
    "with a port": lambda host, port: (f"{host}:{port}", {}),
    "with a dot": lambda host, port: (host + ".", {}),
    "in capitals": lambda host, port: (host.upper(), {}),
    "beside another": lambda host, port: (host, {"x-forwarded-host": "second-example.org",
                                                 "forwarded": "host=second-example.org",
                                                 "x-host": "second-example.org"}),
}


def ask_h1(client, host, headers):
    return client.request("GET", "/", headers, host=host)


def ask_absolute(client, host, headers):
    """In the target as well."""
    return client.request("GET", f"https://{host}/", headers, host=host)


def ask_h2(client, host, headers):
    return H2Client(client.socket).get(host, headers=list(headers.items()))


@pytest.mark.parametrize("ask, protocol", ((ask_h1, "http/1.1"), (ask_absolute, "http/1.1"),
                                           (ask_h2, "h2")))
def test_t10_one_listener_decides_however_a_host_is_spelt(start_gateway, start_backend, ask,
                                                         protocol):
    """15 pairs of names in five spellings, which are said in three ways: 225."""
    authority, port = Authority(), free_port()
    names = ["example.org", "unknown-example.org", "second-example.org", "*.wildcard.org"]
    hosts = {"https": "example.org", "second": "second-example.org", "wild": "*.wildcard.org",
             "fourth": "fourth-example.wildcard.org"}
    routes = [route(name, rule(name), hostnames=[hosts[name]],
                    parentRefs=[{"name": "web", "sectionName": name}]) for name, _ in LISTENERS]
    start_gateway(
        gateway_of(*(https(name, port, host, "cert") for name, host in LISTENERS)), *routes,
        authority.secret("cert", *names),
        *(service(name, start_backend(named(name)).port) for name, _ in LISTENERS))
    context = authority.context()
    context.set_alpn_protocols([protocol])
    for (server_name, host, status), way in itertools.product(MISDIRECTED, WAYS):
        authority_, headers = WAYS[way](host, port)
        with Client(port, tls=context, server_name=server_name) as client:
            answer = ask(client, authority_, headers)
        assert answer.status == status, (server_name, host, way)
        assert status != 200 or answer.body.decode() == OF_NAME[server_name], (server_name, way)
        if ask is ask_absolute:  # two hosts in one request are none
            with Client(port, tls=context, server_name=server_name) as client:
                answer = client.request("GET", f"https://{authority_}/", headers, host="x.example")
            assert answer.status == 400, (server_name, host, way)


@pytest.mark.parametrize("host", (
    "ex\xe4mple.org", "example.org:0", "example.org:65536", "example.org:x", "u@example.org",
    "example.org,second-example.org", "example.org/", "example.org\\", "exa mple.org", ".",
    "example..org", "example%2eorg", "[::1", "example.org#", "example.org?"))
def test_t10_hosts_that_are_none_are_refused(start_gateway, backend, host):
    port = free_port()
    start_gateway(*simple(port, backend.port))
    assert request(port, host=host).status == 400
    assert not backend.requests


# ---- T13: fields that a stranger may not set ----

FORWARDED = ("X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port",
             "Forwarded", "X-Forwarded-Client-Cert", "X-Real-IP", "X-Envoy-External-Address",
             "X-Envoy-Retry-On", "X-Nantian-User")
FORMS = {
    "alone": lambda name: [(name, "10.9.8.7")],
    "in small letters": lambda name: [(name.lower(), "10.9.8.7")],
    "in capitals": lambda name: [(name.upper(), "10.9.8.7")],
    "twice": lambda name: [(name, "10.9.8.7"), (name.lower(), "10.9.8.7")],
    "a list": lambda name: [(name, "10.9.8.7, 10.9.8.7")],
    "empty, then not": lambda name: [(name, ""), (name, "10.9.8.7")],
    "struck out": lambda name: [(name, "10.9.8.7"), ("Connection", name)],
    "ours struck out": lambda name: [("Connection", f"{name}, x-forwarded-for")],
    "among many": lambda name: [(f"X-{i}", "1") for i in range(40)] + [(name, "10.9.8.7")],
    "underscores": lambda name: [(name.replace("-", "_"), "10.9.8.7")],
    "one underscore": lambda name: [(name.replace("-", "_", 1), "10.9.8.7")],
    "a space": lambda name: [(name + " ", "10.9.8.7")],
}


@pytest.mark.parametrize("version", (1, 2))
def test_t13_forged_forwarding_fields_reach_no_backend(start_gateway, backend, version):
    """Ten names in twelve forms over two versions: 240."""
    port = free_port()
    start_gateway(*simple(port, backend.port))
    ours = {"x-forwarded-for": "127.0.0.1", "x-forwarded-proto": "http",
            "x-forwarded-host": "test", "x-forwarded-port": str(port)}
    for name, form in itertools.product(FORWARDED, FORMS):
        fields = FORMS[form](name)
        with Client(port) as client:
            if version == 1:
                lines = "".join(f"{key}: {value}\r\n" for key, value in fields)
                client.send(f"GET / HTTP/1.1\r\nHost: test\r\n{lines}\r\n")
                answer = client.read()
                status = answer.status
            else:
                sent = [(key.lower(), value) for key, value in fields]
                answer = H2Client(client.socket).get("test", headers=sent, scheme="http")
                status = 400 if answer.reset is not None else answer.status
        if status == 400:
            assert "underscore" in form or form == "a space", (name, form)
            continue
        assert status == 200, (name, form)
        got = json.loads(answer.body)["fields"]
        assert "10.9.8.7" not in json.dumps(got), (name, form)
        for key, value in ours.items():
            assert [v for k, v in got if k == key] == [value], (name, form)


# ---- T14: what a log line is made of ----

BYTES = [bytes([byte]) for byte in (*range(0x20), 0x7f, *range(0x80, 0xa0), 0x22, 0x5c, 0xe2, 0xff)]
LONG = [b"a" * 30000, b"\xff" * 30000, b'\\"' * 15000, b"\x1b[31m" * 3, b"\xe2\x80\xa8",
        b"{{x}}", b"%0d%0a", b"\\n", b"\\u000a"]


def test_t14_a_request_is_one_line_of_the_log_whatever_it_holds(start_gateway, backend):
    port = free_port()
    gateway = start_gateway(*simple(port, backend.port))
    statuses = []
    for odd in BYTES + LONG:
        for head in (b"GET /a%sb HTTP/1.1\r\nHost: test\r\n",
                     b"GET /?%s HTTP/1.1\r\nHost: test\r\n",
                     b"GET / HTTP/1.1\r\nHost: test\r\nUser-Agent: a%sb\r\n",
                     b"GET / HTTP/1.1\r\nHost: a%sb\r\n",
                     b"GET / HTTP/1.1\r\nHost: test\r\nX-Request-Id: a%sb\r\n",
                     b"GE%sT / HTTP/1.1\r\nHost: test\r\n"):
            with Client(port) as client:
                client.send(head % odd + b"Connection: close\r\n\r\n")
                statuses.append(client.read().status)
    assert len(statuses) == 468 and statuses.count(200) == 103
    gateway.log_lines(103)
    raw = gateway.access_log.read_bytes()
    raw = raw[:raw.rindex(b"\n") + 1]
    assert not re.search(rb"[\x00-\x09\x0b-\x1f\x7f]", raw)
    assert len(raw.decode().splitlines()) == raw.count(b"\n") >= 103


# ---- T16: where a redirect leads, and what a rewrite makes ----

TARGETS = ("//evil.example", "///evil.example", "/\\evil.example", "/%5cevil.example",
           "/%2fevil.example", "/%2f%2fevil.example", "/.//evil.example", "/./%2fevil.example",
           "/x/..//evil.example", "/%2e/%2fevil.example", "/@evil.example", "/:@evil.example",
           "/u:p@evil.example", "/%40evil.example", "/.evil.example", "/%0d%0aSet-Cookie:a=b",
           "/%0aLocation:%20//evil.example", "/%0d", "/%00evil.example", "/;//evil.example",
           "/?//evil.example", "/?u=//evil.example", "/#//evil.example", "/https://evil.example",
           "/https:%2f%2fevil.example", "/javascript:alert(1)", "/%09/evil.example",
           "/%20//evil.example", "/..//evil.example", "/%2e%2e//evil.example",
           "http://evil.example/", "http://test@evil.example/", "http://evil.example:80/",
           "https://evil.example//x", "/%c0%afevil.example", "/%e3%80%82evil.example",
           "/\t/evil.example", "/ //evil.example", "/%252f%252fevil.example", "/%5c%5cevil.example")


@pytest.mark.parametrize("prefix", ("/", "/old", "/old/"))
def test_t16_a_redirect_stays_at_its_host_and_a_rewrite_in_its_path(start_gateway, backend, prefix):
    """40 targets through two redirects and a rewrite, behind three prefixes: 360."""
    port, before = free_port(), prefix.rstrip("/")
    replace = {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}}
    redirects = {"host": {"hostname": "good.example", "port": 8443}, "path": {
        "hostname": "good.example", "port": 8443, **replace}}
    matches = [{"path": {"value": prefix}}]
    routes = [route(name, {"matches": matches, "filters": [
        {"type": "RequestRedirect", "requestRedirect": redirect}]}, hostnames=[f"{name}.example"])
        for name, redirect in redirects.items()]
    start_gateway(
        gateway_of(listener("http", port)), service("app", backend.port), *routes,
        route("rewrite", rule("app", matches=matches, filters=[
            {"type": "URLRewrite", "urlRewrite": replace}]), hostnames=["rewrite.example"]))
    statuses = []
    for target, name in itertools.product(TARGETS, (*redirects, "rewrite")):
        line = target if target.startswith("http") else before + target
        with Client(port) as client:
            client.send(f"GET {line} HTTP/1.1\r\nHost: {name}.example\r\n"
                        "Connection: close\r\n\r\n")
            answer = client.read()
        statuses.append(answer.status)
        fields = [key for key, _ in answer.fields]
        assert "set-cookie" not in fields and fields.count("location") == (answer.status == 302)
        if answer.status == 302:
            location = answer.get("location")
            assert re.fullmatch("http://good.example:8443/[!-\\[\\]-~]*", location), location
            assert urllib.parse.urlsplit(location).netloc == "good.example:8443"
        elif answer.status == 200:
            sent = json.loads(answer.body)["target"]
            assert re.match("/([^/\\\\]|$)", sent) and "/../" not in sent.partition("?")[0], sent
        else:
            assert answer.status in (400, 404), (target, answer)
    assert statuses.count(302) == 58 and statuses.count(200) == 29
