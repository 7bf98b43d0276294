"""What rules do with requests beyond routing: CORS, retries, mirrors; TLS to backends."""
# SPDX-License-Identifier: Apache-2.0
import asyncio
import socket
import ssl
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from certificates import Authority
from harness import free_port, gateway_of, listener, route, service
from http_backend import Backend, named
from http_client import Client, request

pytestmark = pytest.mark.sanitized


def match(path):
    return [{"path": {"type": "PathPrefix", "value": path}}]


def refs(*names):
    return [{"name": name, "port": 80} for name in names]


# ---- CORS: the 17 cases of the conformance suite ----

FOO, BAR, DEEP = "https://www.foo.com", "https://www.bar.com", "https://xpto.www.bar.com"
OTHER, PORT = "https://foobar.com", "https://www.foo.com:12345"
CORS = {
    "/cors-1": {"allowOrigins": [FOO, "https://*.bar.com"], "allowMethods": ["GET", "OPTIONS"],
                "allowHeaders": ["x-header-1", "x-header-2"],
                "exposeHeaders": ["x-header-3", "x-header-4"], "allowCredentials": True,
                "maxAge": 3600},
    "/cors-2": {"allowOrigins": [FOO], "allowMethods": ["*"]},
    "/origin": {"allowOrigins": ["*"], "allowMethods": ["PUT"]},
    "/all": {"allowOrigins": ["*"], "allowMethods": ["*"], "allowHeaders": ["*"],
             "allowCredentials": True},
    "/unauth": {"allowOrigins": ["*"], "allowMethods": ["*"], "allowHeaders": ["*"],
                "allowCredentials": False},
}
LISTS = {"allow-methods": ["GET, OPTIONS"], "allow-headers": ["x-header-1, x-header-2"],
         "expose-headers": ["x-header-3, x-header-4"], "max-age": ["3600"],
         "allow-credentials": ["true"]}
ASKED = {"allow-methods": ["PUT"], "allow-headers": ["x-header-1, x-header-2"],
         "allow-credentials": ["true"]}
ANY = {"allow-methods": ["PUT", "*"], "allow-headers": ["x-header-1, x-header-2", "*"],
       "allow-credentials": [None]}
CASES = [  # path, method asked in a preflight or None, origin, fields and their possible values
    ("/cors-1", "GET", FOO, {"allow-origin": [FOO], **LISTS}),
    ("/cors-1", "GET", BAR, {"allow-origin": [BAR], **LISTS}),
    ("/cors-1", "GET", DEEP, {"allow-origin": [DEEP], **LISTS}),
    ("/cors-1", "GET", OTHER, {"allow-origin": [None]}),
    ("/cors-1", None, FOO, {"allow-origin": [FOO]}),
    ("/cors-1", None, BAR, {"allow-origin": [BAR]}),
    ("/cors-1", None, OTHER, {"allow-origin": [None]}),
    ("/cors-2", "POST", FOO, {"allow-origin": [FOO], "allow-methods": ["POST", "*"],
                              "allow-credentials": [None]}),
    ("/origin", "PUT", FOO, {"allow-origin": [FOO, "*"], "allow-methods": ["PUT"],
                             "allow-credentials": [None]}),
    ("/origin", "PUT", PORT, {"allow-origin": [PORT, "*"], "allow-methods": ["PUT"],
                              "allow-credentials": [None]}),
    ("/origin", None, PORT, {"allow-origin": [PORT, "*"], "allow-credentials": [None]}),
    ("/all", "PUT", FOO, {"allow-origin": [FOO], **ASKED}),
    ("/all", "PUT", PORT, {"allow-origin": [PORT], **ASKED}),
    ("/all", None, FOO, {"allow-origin": [FOO], "allow-credentials": ["true"]}),
    ("/unauth", "PUT", FOO, {"allow-origin": [FOO, "*"], **ANY}),
    ("/unauth", "PUT", PORT, {"allow-origin": [PORT, "*"], **ANY}),
    ("/unauth", None, FOO, {"allow-origin": [FOO, "*"], "allow-credentials": [None]}),
]


@pytest.mark.quick
def test_cors_answers_preflights_and_marks_answers(start_gateway, start_backend):
    port = free_port()
    backend = start_backend(named("app", {"Access-Control-Allow-Origin": "https://evil.example"}))
    gateway = start_gateway(
        gateway_of(listener("http", port)), service("app", backend.port),
        route("r", *({"matches": match(path), "backendRefs": refs("app"),
                      "filters": [{"type": "CORS", "cors": cors}]}
                     for path, cors in CORS.items())))
    assert gateway.route_condition("r", "Accepted")["status"] == "True"
    for path, asked, origin, fields in CASES:
        before = len(backend.requests)
        headers = {"Origin": origin}
        if asked:
            headers |= {"Access-Control-Request-Method": asked,
                        "Access-Control-Request-Headers": "x-header-1, x-header-2"}
        answer = request(port, path, "OPTIONS" if asked else "GET", headers)
        assert answer.status == (204 if asked else 200), (path, asked, origin, answer)
        assert len(backend.requests) - before == (0 if asked else 1)
        for name, values in fields.items():
            assert answer.get(f"access-control-{name}") in values, (path, asked, origin, answer)
    # OPTIONS that asks nothing is an ordinary request.
    assert request(port, "/cors-1", "OPTIONS", {"Origin": FOO}).body == b"app"


def test_a_policy_brings_cors_unless_the_rule_has_its_own(start_gateway, start_backend):
    port = free_port()
    own = {"type": "CORS", "cors": {"allowOrigins": [BAR]}}
    start_gateway(
        gateway_of(listener("http", port)), service("app", start_backend(named("app")).port),
        {"apiVersion": "gateway.nantian.dev/v1alpha1", "kind": "SecurityPolicy",
         "metadata": {"name": "cors", "namespace": "default"},
         "spec": {"targetRefs": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute",
                                  "name": "r"}],
                  "cors": {"allowOrigins": [FOO]}}},
        route("r", {"matches": match("/own"), "backendRefs": refs("app"), "filters": [own]},
              {"backendRefs": refs("app")}))
    for path, origin, allowed in (("/", FOO, FOO), ("/", BAR, None), ("/own", BAR, BAR),
                                  ("/own", FOO, None)):
        answer = request(port, path, headers={"Origin": origin})
        assert answer.get("access-control-allow-origin") == allowed, (path, origin, answer)


# ---- retries ----

class Flaky:
    """Fails as often as /?n=N says for each id, then answers; keeps what it got."""

    def __init__(self, start_backend):
        self.seen = {}
        self.backend = start_backend(self.answer)

    async def answer(self, req):
        asked = dict(pair.split("=") for pair in req.target.split("?")[1].split("&"))
        times = self.seen.setdefault(asked["id"], [])
        times.append(req.body)
        if "delay" in asked:
            await asyncio.sleep(float(asked["delay"]))
        if len(times) > int(asked["n"]):
            await req.answer(b"done " + req.body)
        elif asked["code"] == "reset":
            req.writer.transport.abort()
        else:
            await req.answer(b"failed", status=f"{asked['code']} No")


def retry_route(path, retry, **timeouts):
    return {"matches": match(path), "backendRefs": refs("app"), "retry": retry,
            **({"timeouts": timeouts} if timeouts else {})}


@pytest.fixture
def flaky(start_gateway, start_backend):
    """(port, backend) behind routes that retry."""
    port, made = free_port(), Flaky(start_backend)
    codes = [500, 502, 503, 504]
    gateway = start_gateway(
        gateway_of(listener("http", port)), service("app", made.backend.port),
        route("r", retry_route("/one", {"codes": [500], "attempts": 3}),
              retry_route("/two", {"codes": codes, "attempts": 2}),
              retry_route("/none", {"codes": codes, "attempts": 0}),
              retry_route("/clock", {"codes": codes, "attempts": 5, "backoff": "10ms"},
                          request="500ms"),
              retry_route("/slow", {"codes": codes, "attempts": 5, "backoff": "10ms"},
                          request="10s", backendRequest="500ms")))
    assert gateway.route_condition("r", "Accepted")["status"] == "True"
    return port, made


@pytest.mark.quick
@pytest.mark.parametrize("path, fails, code, status, tries", [
    ("/one", 2, "500", 200, 3), ("/one", 4, "500", 500, 4), ("/one", 2, "503", 503, 1),
    ("/one", 2, "reset", 200, 3),
    ("/two", 1, "503", 200, 2), ("/two", 3, "502", 502, 3), ("/two", 3, "504", 504, 3),
    ("/none", 1, "500", 500, 1)])
def test_retries_are_counted_and_only_for_the_named_codes(flaky, path, fails, code, status, tries):
    port, made = flaky
    answer = request(port, f"{path}?id=1&n={fails}&code={code}", "POST", body=b"payload")
    assert (answer.status, len(made.seen["1"])) == (status, tries), answer
    assert set(made.seen["1"]) == {b"payload"}
    if status == 200:
        assert answer.body == b"done payload"


def test_a_body_as_long_as_can_be_kept_is_sent_again(flaky):
    port, made = flaky
    body = bytes(i % 251 for i in range(65536))
    answer = request(port, "/one?id=1&n=2&code=500", "POST", body=body)
    assert answer.status == 200 and made.seen["1"] == [body] * 3
    answer = request(port, "/one?id=2&n=1&code=reset", "POST", body=body)
    assert answer.status == 200 and answer.body == b"done " + body


def test_a_body_too_long_to_keep_is_sent_once(flaky):
    port, made = flaky
    answer = request(port, "/one?id=1&n=1&code=500", "POST", body=b"x" * 200_000)
    assert answer.status == 500 and [len(body) for body in made.seen["1"]] == [200_000]


@pytest.mark.parametrize("path, fails, delay, status", [
    ("/clock", 1, 0.1, 200), ("/clock", 2, 0.3, 504), ("/slow", 2, 0.1, 200)])
def test_both_clocks_bound_retries(flaky, path, fails, delay, status):
    port, _ = flaky
    answer = request(port, f"{path}?id=1&n={fails}&code=503&delay={delay}")
    assert answer.status == status, answer


def test_a_try_over_its_own_clock_is_repeated(start_gateway, start_backend):
    port, count = free_port(), []

    async def slow_once(req):
        count.append(req.target)
        if len(count) == 1:
            await asyncio.sleep(5)
        await req.answer(b"ok")

    start_gateway(gateway_of(listener("http", port)), service("app", start_backend(slow_once).port),
                  route("r", retry_route("/", {"attempts": 1}, request="10s",
                                         backendRequest="300ms")))
    assert request(port).body == b"ok" and len(count) == 2


def test_a_refused_connection_goes_to_the_healthy_endpoint(start_gateway, start_backend):
    port = free_port()
    start_gateway(
        gateway_of(listener("http", port)),
        service("app", start_backend(named("app")).port, free_port()),
        route("r", retry_route("/", {"attempts": 100})))
    assert [request(port).status for _ in range(10)] == [200] * 10


def route_policy(name, target, kind="HTTPRoute", **default):
    return {"apiVersion": "gateway.nantian.dev/v1alpha1", "kind": "RoutePolicy",
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"default": default, "targetRefs": [
                {"group": "gateway.networking.k8s.io", "kind": kind, "name": target}]}}


def test_a_policy_bounds_retries_in_time(start_gateway, start_backend):
    port, made = free_port(), Flaky(start_backend)
    start_gateway(
        gateway_of(listener("http", port)), service("app", made.backend.port),
        route("r", retry_route("/", {"codes": [503], "attempts": 50, "backoff": "100ms"})),
        route_policy("p", "r", timeout={"nextUpstream": "500ms"}))
    answer = request(port, "/?id=1&n=50&code=503")
    assert answer.status == 503 and 1 <= len(made.seen["1"]) <= 6


def test_a_policy_bounds_heads_and_bodies_of_its_route(start_gateway, start_backend):
    port, app = free_port(), start_backend(named("app"))
    gateway = start_gateway(
        gateway_of(listener("http", port)), service("app", app.port),
        *(route(name, {"matches": match(f"/{name}"), "backendRefs": refs("app")})
          for name in ("own", "gateways", "none")),
        route_policy("gateway", "web", "Gateway",
                     bodyLimit={"maxRequestBodyBytes": 100, "maxRequestHeaderBytes": 1000}),
        route_policy("own", "own", bodyLimit={"maxRequestBodyBytes": 10}),
        route_policy("none", "none",
                     bodyLimit={"maxRequestBodyBytes": 0, "maxRequestHeaderBytes": 0}))
    assert gateway.route_condition("own", "Accepted")["status"] == "True"
    for path, size, status in (("own", 10, 200), ("own", 11, 413), ("gateways", 100, 200),
                               ("gateways", 101, 413), ("none", 100_000, 200)):
        assert request(port, f"/{path}", "POST", body=b"x" * size).status == status, (path, size)
        with Client(port) as client:
            client.send(f"POST /{path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                        f"{size:x}\r\n{'x' * size}\r\n0\r\n\r\n")
            assert client.read("POST").status == status, (path, size)
    for path, status in (("own", 431), ("gateways", 431), ("none", 200)):
        assert request(port, f"/{path}", headers={"X-Long": "x" * 1000}).status == status, path
        assert request(port, f"/{path}", headers={"X-Long": "x" * 800}).status == 200, path


def test_a_policy_says_how_long_a_connect_may_take(start_gateway):
    port = free_port()
    with socket.socket() as full:  # its queue is full: further connects hang
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(address)
        start_gateway(
            gateway_of(listener("http", port)), service("app", address[1]),
            route("r", {"backendRefs": refs("app")}),
            route_policy("p", "r", timeout={"connect": "200ms"}))
        begun = time.monotonic()
        assert request(port).status == 503
        assert time.monotonic() - begun < 4.5  # without the policy: 5 s
        for each in waiting:
            each.close()


# ---- TLS to backends ----

HOST, SPIFFE = "abc.example.com", "spiffe://abc.example.com/test-identity"


class TlsBackend(Backend):
    """Answers with the server name that the gateway asked for."""

    def __init__(self, folder, authority, *names):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        for name, pem in zip(("chain", "key"), issue(authority, *names)):
            (folder / name).write_bytes(pem)
        self.context.load_cert_chain(folder / "chain", folder / "key")
        self.context.set_alpn_protocols(["http/1.1"])
        self.context.sni_callback = self._note
        self.names = []
        super().__init__(self._answer)

    def _note(self, _socket, name, _context):
        self.names.append(name)

    async def _answer(self, req):
        await req.answer(self.names[-1].encode())

    def _run(self, port, ready):
        asyncio.set_event_loop(self.loop)
        self.server = self.loop.run_until_complete(asyncio.start_server(
            self._serve, "127.0.0.1", port, ssl=self.context))
        self.port = self.server.sockets[0].getsockname()[1]
        ready.set()
        self.loop.run_forever()
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        self.loop.close()


def issue(authority, *names):
    """(chain, key) for DNS names and URIs."""
    key = ec.generate_private_key(ec.SECP256R1())
    plain = x509.load_pem_x509_certificate(authority.issue(HOST)[0])
    sans = [x509.UniformResourceIdentifier(n) if "://" in n else x509.DNSName(n) for n in names]
    certificate = (
        x509.CertificateBuilder().subject_name(plain.subject).issuer_name(plain.issuer)
        .public_key(key.public_key()).serial_number(x509.random_serial_number())
        .not_valid_before(plain.not_valid_before_utc).not_valid_after(plain.not_valid_after_utc)
        .add_extension(x509.SubjectAlternativeName(sans), False)
        .sign(authority.key, hashes.SHA256()))
    return (certificate.public_bytes(serialization.Encoding.PEM),
            key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                              serialization.NoEncryption()))


@pytest.fixture
def start_tls(tmp_path):
    started = []

    def start(authority, *names):
        folder = tmp_path / f"tls-{len(started)}"
        folder.mkdir()
        started.append(TlsBackend(folder, authority, *names))
        return started[-1]

    yield start
    for each in started:
        each.close()


def bundle(name, pem):
    return {"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": "default"}, "data": {"ca.crt": pem}}


def tls_policy(target, ca="ca", hostname=HOST, name=None, kind="ConfigMap", **more):
    return {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "BackendTLSPolicy",
            "metadata": {"name": name or target, "namespace": "default"},
            "spec": {"targetRefs": [{"group": "", "kind": "Service", "name": target}],
                     "validation": {"caCertificateRefs": [{"group": "", "kind": kind, "name": ca}],
                                    "hostname": hostname, **more}}}


def policy_conditions(gateway, name):
    status = gateway.object_status("BackendTLSPolicy", name)
    assert status["ancestors"][0]["ancestorRef"]["name"] == "web"
    return {c["type"]: (c["status"], c["reason"]) for c in status["ancestors"][0]["conditions"]}


GOOD = {"Accepted": ("True", "Accepted"), "ResolvedRefs": ("True", "ResolvedRefs")}
NO_CA = {"Accepted": ("False", "NoValidCACertificate"),
         "ResolvedRefs": ("False", "InvalidCACertificateRef")}


@pytest.mark.quick
def test_backends_are_verified_by_authority_and_name(start_gateway, start_tls, start_backend):
    port, authority, stranger = free_port(), Authority(), Authority("stranger")
    backend = start_tls(authority, HOST)
    plain = start_backend(named("plain"))
    ports = {"good": backend.port, "name": backend.port, "ca": backend.port,
             "missing": plain.port, "broken": plain.port, "shaped": plain.port,
             "kind": plain.port, "plain": plain.port}
    gateway = start_gateway(
        gateway_of(listener("http", port)),
        route("r", *({"matches": match(f"/{name}"), "backendRefs": refs(name)} for name in ports)),
        *(service(name, at) for name, at in ports.items()),
        bundle("ca", authority.pem().decode()), bundle("stranger", stranger.pem().decode()),
        bundle("broken", "no certificate"),
        bundle("shaped", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
        tls_policy("good"), tls_policy("name", hostname="other.example.com"),
        tls_policy("ca", "stranger"), tls_policy("missing", "missing"),
        tls_policy("broken", "broken"), tls_policy("shaped", "shaped"),
        tls_policy("kind", kind="Secret"), tls_policy("plain"))
    answer = request(port, "/good")
    assert (answer.status, answer.body) == (200, HOST.encode())
    for name in ("name", "ca", "missing", "broken", "shaped", "kind", "plain"):
        assert request(port, f"/{name}").status in (500, 502, 503), name
    assert len(backend.requests) == 1 and not plain.requests
    for name in ("good", "name", "ca"):
        assert policy_conditions(gateway, name) == GOOD
    for name in ("missing", "broken", "shaped"):
        assert policy_conditions(gateway, name) == NO_CA
    assert policy_conditions(gateway, "kind")["ResolvedRefs"] == ("False", "InvalidKind")


@pytest.mark.parametrize("names, sans, status", [
    ((SPIFFE,), [SPIFFE], 200), (("san.example.com",), ["san.example.com"], 200),
    ((SPIFFE,), ["san.example.com", SPIFFE], 200),
    ((HOST,), ["san.example.com"], 502), ((HOST,), [SPIFFE + "/other"], 502)])
def test_alternative_names_take_the_place_of_the_host_name(start_gateway, start_tls, names, sans,
                                                           status):
    port, authority = free_port(), Authority()
    backend = start_tls(authority, *names)
    gateway = start_gateway(
        gateway_of(listener("http", port)), route("r", {"backendRefs": refs("app")}),
        service("app", backend.port), bundle("ca", authority.pem().decode()),
        tls_policy("app", subjectAltNames=[
            {"type": "URI", "uri": san} if "://" in san else {"type": "Hostname", "hostname": san}
            for san in sans]))
    answer = request(port)
    assert answer.status == status, answer
    assert set(backend.names) == {HOST}
    assert policy_conditions(gateway, "app") == GOOD


def test_the_authority_of_a_backend_changes_while_it_serves(start_gateway, start_tls):
    port, old, new = free_port(), Authority("old"), Authority("new")
    backend = start_tls(old, HOST)
    gateway = start_gateway(
        gateway_of(listener("http", port)), route("r", {"backendRefs": refs("app")}),
        service("app", backend.port), bundle("old", old.pem().decode()), tls_policy("app", "old"))
    assert request(port).status == 200
    gateway.apply("config.yaml", gateway_of(listener("http", port)),
                  route("r", {"backendRefs": refs("app")}), service("app", backend.port),
                  bundle("old", old.pem().decode()), tls_policy("app", "next"))
    assert policy_conditions(gateway, "app") == NO_CA and request(port).status == 502
    gateway.apply("ca.yaml", bundle("next", new.pem().decode()))
    assert policy_conditions(gateway, "app") == GOOD and request(port).status == 502
    gateway.apply("ca.yaml", bundle("next", old.pem().decode()))
    assert request(port).status == 200
    gateway.apply("ca.yaml", bundle("next", ""))
    assert policy_conditions(gateway, "app") == NO_CA and request(port).status == 502
    gateway.apply("ca.yaml", bundle("next", old.pem().decode()))
    assert policy_conditions(gateway, "app") == GOOD and request(port).status == 200


def test_of_two_policies_on_one_service_the_first_by_name_counts(start_gateway, start_tls):
    port, authority = free_port(), Authority()
    backend = start_tls(authority, HOST, "other.example.com")
    gateway = start_gateway(
        gateway_of(listener("http", port)), route("r", {"backendRefs": refs("app")}),
        service("app", backend.port), bundle("ca", authority.pem().decode()),
        tls_policy("app", name="b"), tls_policy("app", name="a", hostname="other.example.com"))
    assert request(port).body == b"other.example.com"
    assert policy_conditions(gateway, "a") == GOOD
    assert policy_conditions(gateway, "b")["Accepted"] == ("False", "Conflicted")
