"""TLS: several certificates of a listener, client certificates both ways, resumption."""
# SPDX-License-Identifier: Apache-2.0
import contextlib
import itertools
import socket
import ssl
import subprocess

import pytest

from certificates import Authority, secret_of
from harness import DEADLINE, free_port, gateway_of, listener, route, rule, service, wait_for
from h2_client import H2Client
from http_backend import named
from http_client import Client, request

pytestmark = pytest.mark.sanitized


@pytest.fixture(scope="module", name="authority")
def make_authority():
    return Authority()


@pytest.fixture(scope="module", name="users")
def make_users():
    return Authority("users")


def https(name, port, *secrets, hostname=""):
    return listener(name, port, "HTTPS", **({"hostname": hostname} if hostname else {}),
                    tls={"certificateRefs": [{"name": secret} for secret in secrets]})


def bundle(name, *authorities):
    return {"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": "default"},
            "data": {"ca.crt": "".join(a.pem().decode() for a in authorities)}}


def validation(*bundles, mode="AllowValidOnly"):
    return {"validation": {"mode": mode, "caCertificateRefs": [
        {"group": "", "kind": "ConfigMap", "name": name} for name in bundles]}}


def s_client(port, name, *options, ca=None):
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", name, *options,
         *(["-CAfile", str(ca)] if ca else [])], input="", capture_output=True, timeout=DEADLINE,
        check=False, text=True)
    return done.stdout + done.stderr


def context_with(authority, tmp_path, identity=None, **options):
    context = authority.context(**options)
    if identity is not None:
        chain, key = identity
        path = tmp_path / "identity.pem"
        path.write_bytes(chain + key)
        context.load_cert_chain(path)
    return context


def outcome(port, context):
    """The status of one request, or "refused": TLS 1.3 may refuse after the handshake."""
    try:
        return request(port, host="one.example", tls=context, server_name="one.example").status
    except (OSError, EOFError, ssl.SSLError):
        return "refused"


@pytest.mark.quick
def test_a_client_gets_the_certificate_that_it_can_verify(start_gateway, authority, backend):
    port = free_port()
    start_gateway(
        gateway_of(https("one", port, "rsa", "ecdsa", "other")), route("r", rule("app")),
        service("app", backend.port), secret_of("rsa", *authority.issue("one.example", rsa=True)),
        authority.secret("ecdsa", "one.example"),
        secret_of("other", *authority.issue("other.example", "*.other.example", rsa=True)))
    both = s_client(port, "one.example")
    assert "ECDSA" in both and "CN = one.example" in both.replace("CN=", "CN = "), both
    for only_rsa in (["-tls1_3", "-sigalgs", "rsa_pss_rsae_sha256"],
                     ["-tls1_2", "-sigalgs", "RSA+SHA256"],
                     ["-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"]):
        shown = s_client(port, "one.example", *only_rsa)
        assert "RSA" in shown and "Peer signature type: ECDSA" not in shown, shown
        assert "-----BEGIN CERTIFICATE-----" in shown, shown
    for name in ("other.example", "a.other.example"):
        with Client(port, tls=authority.context(), server_name=name) as client:
            names = [value for _, value in client.socket.getpeercert()["subjectAltName"]]
            assert names == ["other.example", "*.other.example"]


def test_clients_need_a_certificate_of_their_ports_authority(start_gateway, authority, users,
                                                             backend, tmp_path):
    first, second = free_port(), free_port()
    strangers = Authority("strangers")
    gateway = gateway_of(https("one", first, "one"), https("two", second, "one"))
    gateway["spec"]["tls"] = {"frontend": {
        "default": validation("users", "more"),
        "perPort": [{"port": second, "tls": validation("strangers")}]}}
    more = Authority("more")
    started = start_gateway(
        gateway, authority.secret("one", "one.example"), bundle("users", users),
        bundle("more", more), bundle("strangers", strangers), route("r", rule("app")),
        service("app", backend.port))
    user = context_with(authority, tmp_path, users.issue("user"))
    assert (outcome(first, user), outcome(second, user)) == (200, "refused")
    assert outcome(first, context_with(authority, tmp_path, more.issue("user"))) == 200
    stranger = context_with(authority, tmp_path, strangers.issue("user"))
    assert (outcome(first, stranger), outcome(second, stranger)) == ("refused", 200)
    for options in ({}, {"maximum_version": ssl.TLSVersion.TLSv1_2}):
        nobody = context_with(authority, tmp_path, **options)
        assert (outcome(first, nobody), outcome(second, nobody)) == ("refused", "refused")
    conditions = {c["type"] for c in started.object_status("Gateway", "web")["conditions"]}
    assert "InsecureFrontendValidationMode" not in conditions


def test_insecure_fallback_lets_everybody_in_and_says_so(start_gateway, authority, users, backend,
                                                         tmp_path):
    port = free_port()
    gateway = gateway_of(https("one", port, "one"))
    gateway["spec"]["tls"] = {
        "frontend": {"default": validation("users", mode="AllowInsecureFallback")}}
    started = start_gateway(gateway, authority.secret("one", "one.example"), bundle("users", users),
                            route("r", rule("app")), service("app", backend.port))
    for identity in (users.issue("user"), Authority("strangers").issue("user"), None):
        assert outcome(port, context_with(authority, tmp_path, identity)) == 200
    conditions = {c["type"]: c for c in started.object_status("Gateway", "web")["conditions"]}
    insecure = conditions["InsecureFrontendValidationMode"]
    assert (insecure["status"], insecure["reason"]) == ("True", "ConfigurationChanged")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_sessions_resume_but_never_under_other_rules(start_gateway, authority, users, backend,
                                                     tmp_path, version):
    free, strict = free_port(), free_port()
    gateway = gateway_of(https("free", free, "one"), https("strict", strict, "one"))
    gateway["spec"]["tls"] = {"frontend": {
        "default": {"validation": None},
        "default": {}, "perPort": [{"port": strict, "tls": validation("users")}]}}
    gateway["spec"]["tls"]["frontend"]["default"] = {}
    start_gateway(gateway, authority.secret("one", "one.example"), bundle("users", users),
                  route("r", rule("app")), service("app", backend.port))
    nobody = context_with(authority, tmp_path, maximum_version=version)

    def connect(port, session=None, context=nobody):
        raw = socket.create_connection(("127.0.0.1", port), DEADLINE)
        with context.wrap_socket(raw, server_hostname="one.example", session=session) as tls:
            tls.sendall(b"GET / HTTP/1.1\r\nHost: one.example\r\n\r\n")
            return tls.recv(12), tls.session, tls.session_reused

    answer, session, reused = connect(free)
    assert answer == b"HTTP/1.1 200" and not reused
    answer, _, reused = connect(free, session)
    assert answer == b"HTTP/1.1 200" and reused
    with contextlib.suppress(OSError):
        answer, _, reused = connect(strict, session)
        assert answer != b"HTTP/1.1 200" and not reused
    user = context_with(authority, tmp_path, users.issue("user"), maximum_version=version)
    answer, session, _ = connect(strict, context=user)
    assert answer == b"HTTP/1.1 200"
    answer, _, reused = connect(strict, session, user)
    assert answer == b"HTTP/1.1 200" and reused


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_ticket_of_another_listener_of_the_port_opens_nothing(start_gateway, authority, users,
                                                                backend, tmp_path, version):
    """CVE-2025-23419: resumption must not stand in for the client certificate."""
    port = free_port()
    free = listener("free", port, "TLS", hostname="free.example",
                    tls={"mode": "Terminate", "certificateRefs": [{"name": "one"}]})
    gateway = gateway_of(free, https("strict", port, "one", hostname="one.example"))
    gateway["spec"]["tls"] = {"frontend": {"default": validation("users")}}
    l4 = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "TLSRoute",
          "metadata": {"name": "l4", "namespace": "default"},
          "spec": {"parentRefs": [{"name": "web", "sectionName": "free"}],
                   "hostnames": ["free.example"],
                   "rules": [{"backendRefs": [{"name": "app", "port": 80}]}]}}
    start_gateway(gateway, authority.secret("one", "one.example", "free.example"),
                  bundle("users", users), route("r", rule("app")), l4,
                  service("app", backend.port))
    nobody = context_with(authority, tmp_path, maximum_version=version)

    def connect(name, session=None):
        raw = socket.create_connection(("127.0.0.1", port), DEADLINE)
        with nobody.wrap_socket(raw, server_hostname=name, session=session) as tls:
            tls.sendall(b"GET / HTTP/1.1\r\nHost: one.example\r\n\r\n")
            return tls.recv(12), tls.session

    answer, session = connect("free.example")
    assert answer == b"HTTP/1.1 200" and session is not None
    assert connect("free.example", session)[0] == b"HTTP/1.1 200"
    for offered in (None, session):
        with contextlib.suppress(OSError):
            assert connect("one.example", offered)[0] != b"HTTP/1.1 200"
    user = context_with(authority, tmp_path, users.issue("user"), maximum_version=version)
    assert outcome(port, user) == 200


def test_s24_no_coalesced_connection_gets_around_a_client_certificate(
        start_gateway, authority, users, start_backend, tmp_path):
    """One name wants client certificates, on its port; a certificate for all names invites
    browsers to ask for it on the connections of others (RFC 9113 9.1.1)."""
    free, strict = free_port(), free_port()
    gateway = gateway_of(
        https("free", free, "one", hostname="free.a.example"),
        https("more", free, "one", hostname="*.a.example"),
        https("strict", strict, "one", hostname="strict.a.example"),
        https("other", strict, "one", hostname="other.a.example"))
    gateway["spec"]["tls"] = {"frontend": {
        "default": {}, "perPort": [{"port": strict, "tls": validation("users")}]}}
    closed, opened = route("closed", rule("closed")), route("open", rule("open"))
    closed["spec"]["parentRefs"] = [{"name": "web", "sectionName": "strict"}]
    opened["spec"]["parentRefs"] = [{"name": "web", "sectionName": name}
                                    for name in ("free", "more", "other")]
    start_gateway(gateway, authority.secret("one", "*.a.example"), bundle("users", users), closed,
                  opened, *(service(name, start_backend(named(name)).port)
                            for name in ("closed", "open")))

    def ask(port, server_name, host, identity, version):
        context = context_with(authority, tmp_path, identity)
        context.set_alpn_protocols([version])
        try:
            with Client(port, tls=context, server_name=server_name) as client:
                if version == "h2":
                    answer = H2Client(client.socket).get(host)
                else:
                    answer = client.request("GET", "/", host=host)
        except (OSError, EOFError):
            return "refused"
        return answer.body.decode() if answer.status == 200 else answer.status

    user = users.issue("user")
    for version in ("h2", "http/1.1"):
        for name in ("free.a.example", "more.a.example", "strict.a.example", "other.a.example"):
            for host in ("strict.a.example", f"strict.a.example:{strict}"):
                got = ask(free, name, host, None, version)
                assert got == (421 if name == "free.a.example" else "open"), (version, name, host)
                assert ask(strict, name, host, None, version) == "refused"
        assert ask(strict, "strict.a.example", "strict.a.example", user, version) == "closed"
        assert ask(strict, "other.a.example", "strict.a.example", user, version) == 421
        assert ask(strict, "strict.a.example", "other.a.example", user, version) == 421


def policy(*bundles, **more):
    return {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "BackendTLSPolicy",
            "metadata": {"name": "tls", "namespace": "default"},
            "spec": {"targetRefs": [{"group": "", "kind": "Service", "name": "app"}],
                     "validation": {"hostname": "app.example", "caCertificateRefs": [
                         {"group": "", "kind": "ConfigMap", "name": name} for name in bundles],
                         **more}}}


def test_the_gateways_certificate_is_shown_to_backends(start_gateway, authority, users,
                                                       start_backend, tmp_path):
    port, other = free_port(), free_port()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    path = tmp_path / "backend.pem"
    path.write_bytes(b"".join(authority.issue("app.example")))
    tls.load_cert_chain(path)
    tls.load_verify_locations(cadata=users.pem().decode())
    tls.verify_mode = ssl.CERT_REQUIRED
    backend = start_backend(named("app"), tls=tls)
    gateway = gateway_of(listener("http", port))
    gateway["spec"]["tls"] = {"backend": {"clientCertificateRef": {"name": "me"}}}
    plain = gateway_of(listener("http", other), name="other")
    routes = [route("r", rule("app")), route("o", rule("app"), parent="other")]
    fixed = [plain, *routes, service("app", backend.port), bundle("ca", authority),
             bundle("older", Authority("older")), policy("older", "ca")]
    started = start_gateway(gateway, *fixed, secret_of("me", *users.issue("gateway")))
    answer = request(port)
    assert (answer.status, answer.body) == (200, b"app")
    assert request(other).status in (502, 503)  # shows none
    started.apply("config.yaml", gateway, *fixed,
                  secret_of("me", *Authority("strangers").issue("gateway")))
    wait_for(lambda: request(port).status in (502, 503), "the new certificate is not taken")
    started.apply("config.yaml", gateway, *fixed, secret_of("me", *users.issue("gateway")))
    wait_for(lambda: request(port).status == 200, "the good certificate is back")
    started.apply("config.yaml", gateway, *fixed)
    conditions = {c["type"]: c for c in started.object_status("Gateway", "web")["conditions"]}
    refs = conditions["ResolvedRefs"]
    assert (refs["status"], refs["reason"]) == ("False", "InvalidClientCertificateRef")
    assert conditions["Accepted"]["status"] == "True"
    assert request(port).status in (502, 503)


def test_renegotiation_early_data_and_key_logs_are_off(start_gateway, authority, backend, tmp_path,
                                                       monkeypatch):
    port = free_port()
    log = tmp_path / "keys"
    monkeypatch.setenv("SSLKEYLOGFILE", str(log))
    start_gateway(gateway_of(https("one", port, "one")), authority.secret("one", "one.example"),
                  route("r", rule("app")), service("app", backend.port))
    monkeypatch.delenv("SSLKEYLOGFILE")
    shown = s_client(port, "one.example", "-tls1_3")
    assert "Max Early Data: 0" in shown or "Early data was not sent" in shown, shown
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-tls1_2",
         "-legacy_renegotiation"], input="R\nGET / HTTP/1.1\r\n", capture_output=True,
        timeout=DEADLINE, check=False, text=True)
    assert "HTTP/1.1 200" not in done.stdout, done
    assert "Secure Renegotiation IS supported" in done.stdout, done.stdout
    assert request(port, host="one.example", tls=authority.context(),
                   server_name="one.example").status == 200
    assert not log.exists()


# ---- T11: sessions belong to the listener that gave them ----

def resume(port, name, version, folder, *, identity=None, session=None, early=False):
    """What openssl says of a connection with one request, which leaves its session in a file."""
    options = ["-tls1_2"] if version == "1.2" else ["-tls1_3"]
    out = folder / f"session-{port}-{name}-{version}"
    if identity:
        options += ["-cert", identity, "-key", identity]
    if session:
        options += ["-sess_in", session]
    if early:
        options += ["-early_data", folder / "early"]
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", name, "-ign_eof",
         "-sess_out", out, *options],
        input=f"GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n", capture_output=True,
        timeout=DEADLINE, check=False, text=True)
    return done.stdout + done.stderr, out


def test_t11_no_session_is_taken_up_at_another_listener(start_gateway, authority, users, backend,
                                                        tmp_path):
    """CVE-2025-23419: four pairs of listeners, both ways, two versions, with early data as well."""
    free, strict, other, second = (free_port() for _ in range(4))
    web = gateway_of(https("free", free, "one"),
                     https("named", free, "one", hostname="two.example"),
                     https("strict", strict, "one"), https("other", other, "one"))
    web["spec"]["tls"] = {"frontend": {"default": {}, "perPort": [
        {"port": strict, "tls": validation("users")}, {"port": other, "tls": validation("guests")}]}}
    guests = Authority("guests")
    start_gateway(web, gateway_of(https("free", second, "one"), name="second"),
                  authority.secret("one", "one.example", "two.example"), bundle("users", users),
                  bundle("guests", guests), route("r", rule("app")),
                  route("s", rule("app"), parent="second"), service("app", backend.port))
    user, guest = tmp_path / "user.pem", tmp_path / "guest.pem"
    user.write_bytes(b"".join(users.issue("user")))
    guest.write_bytes(b"".join(guests.issue("guest")))
    (tmp_path / "early").write_text("GET / HTTP/1.1\r\nHost: one.example\r\n\r\n")
    # Where each listener is, and who may come; and at which a stranger must be refused.
    at = {"free": (free, "one.example", None), "named": (free, "two.example", None),
          "strict": (strict, "one.example", user), "other": (other, "one.example", guest),
          "second": (second, "one.example", None)}
    tried = 0
    for pair in (("free", "strict"), ("strict", "other"), ("free", "named"), ("free", "second")):
        for first, then in (pair, pair[::-1]):
            for version, early in itertools.product(("1.2", "1.3"), (False, True)):
                port, name, identity = at[first]
                said, session = resume(port, name, version, tmp_path, identity=identity)
                assert "HTTP/1.1 200" in said and session.exists(), said
                kept = tmp_path / "kept"
                session.rename(kept)
                said, _ = resume(port, name, version, tmp_path, identity=identity, session=kept)
                assert "Reused, " in said, (first, version, said)
                port, name, wanted = at[then]
                said, _ = resume(port, name, version, tmp_path, identity=identity, session=kept,
                                 early=early and version == "1.3")
                assert "Reused, " not in said and "Early data was accepted" not in said, \
                    (first, then, version, said)
                assert ("HTTP/1.1 200" in said) == (wanted in (None, identity)), \
                    (first, then, version, said)
                tried += 1
    assert tried == 32
