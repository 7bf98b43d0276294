"""TLS termination: certificates by name, changed under load, and what is refused."""
# SPDX-License-Identifier: Apache-2.0
import socket
import ssl
import subprocess
import warnings

import pytest

from certificates import Authority, secret_of
from harness import DEADLINE, free_port, gateway_of, listener, route, rule, service, wait_for
from http_backend import named
from http_client import Client, Load, request

pytestmark = pytest.mark.sanitized


@pytest.fixture(scope="module", name="authority")
def make_authority():
    return Authority()


def https(name, port, hostname, secret):
    return listener(name, port, "HTTPS", **({"hostname": hostname} if hostname else {}),
                    tls={"certificateRefs": [{"name": secret}]})


def names_served(authority, port, name):
    """The subject names of the certificate that this server name gets."""
    with Client(port, tls=authority.context(), server_name=name) as client:
        return [value for _, value in client.socket.getpeercert()["subjectAltName"]]


@pytest.mark.quick
def test_each_server_name_gets_its_certificate(start_gateway, authority, start_backend):
    port = free_port()
    start_gateway(
        gateway_of(https("one", port, "one.example", "one"),
                   https("wild", port, "*.wild.example", "wild")),
        authority.secret("one", "one.example"), authority.secret("wild", "*.wild.example"),
        route("r", rule("app")), service("app", start_backend(named("app")).port))
    assert names_served(authority, port, "one.example") == ["one.example"]
    assert names_served(authority, port, "a.wild.example") == ["*.wild.example"]
    answer = request(port, host="one.example", tls=authority.context(), server_name="one.example")
    assert (answer.status, answer.body) == (200, b"app")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        names_served(authority, port, "nobody.example")


def test_curl_and_openssl_trust_what_they_get(start_gateway, authority, backend, tmp_path):
    port = free_port()
    (tmp_path / "ca.pem").write_bytes(authority.pem())
    start_gateway(gateway_of(https("one", port, "one.example", "one")), route("r", rule("app")),
                  authority.secret("one", "one.example"), service("app", backend.port))
    done = subprocess.run(
        ["curl", "-sS", "--cacert", tmp_path / "ca.pem", "--resolve",
         f"one.example:{port}:127.0.0.1", f"https://one.example:{port}/x"], capture_output=True,
        timeout=DEADLINE, check=True, text=True)
    assert '"target": "/x"' in done.stdout and "https" in done.stdout
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", "one.example",
         "-CAfile", tmp_path / "ca.pem", "-verify_return_error", "-tls1_3", "-alpn", "http/1.1"],
        input="", capture_output=True, timeout=DEADLINE, check=True, text=True)
    assert "Verify return code: 0 (ok)" in done.stdout and "TLSv1.3" in done.stdout
    assert "ALPN protocol: http/1.1" in done.stdout


def test_an_unknown_server_name_is_refused_with_an_alert(start_gateway, authority):
    port = free_port()
    start_gateway(gateway_of(https("one", port, "one.example", "one")),
                  authority.secret("one", "one.example"))
    done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername",
                           "other.example"], input="", capture_output=True, timeout=DEADLINE,
                          check=False, text=True)
    assert done.returncode != 0 and "alert" in done.stderr, done
    assert "BEGIN CERTIFICATE" not in done.stdout


def test_a_request_for_another_listeners_host_is_421(start_gateway, authority, backend):
    port = free_port()
    start_gateway(
        gateway_of(https("one", port, "one.example", "both"),
                   https("two", port, "two.example", "both")),
        authority.secret("both", "one.example", "two.example"), route("r", rule("app")),
        service("app", backend.port))
    with Client(port, tls=authority.context(), server_name="one.example") as client:
        assert client.request("GET", "/", host="one.example").status == 200
        assert client.request("GET", "/", host="two.example").status == 421


def test_tls_1_1_and_plain_text_are_refused(start_gateway, authority, backend):
    port = free_port()
    start_gateway(gateway_of(https("one", port, "", "one")), authority.secret("one", "one.example"),
                  route("r", rule("app")), service("app", backend.port))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        old = authority.context(maximum_version=ssl.TLSVersion.TLSv1_1)
        old.minimum_version = ssl.TLSVersion.TLSv1
        old.set_ciphers("DEFAULT@SECLEVEL=0")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        names_served_by(old, port)
    context = authority.context(maximum_version=ssl.TLSVersion.TLSv1_2)
    assert names_served_by(context, port) == ["one.example"]
    with Client(port) as client:
        client.send("GET / HTTP/1.1\r\nHost: one.example\r\n\r\n")
        while client.more():
            pass
        assert b"200" not in client.data
    assert request(port, host="one.example", tls=authority.context(),
                   server_name="one.example").status == 200


def names_served_by(context, port):
    with Client(port, tls=context, server_name="one.example") as client:
        return [value for _, value in client.socket.getpeercert()["subjectAltName"]]


def test_a_certificate_changes_under_load_without_a_failed_handshake(start_gateway, authority,
                                                                     backend):
    port = free_port()
    fixed = [gateway_of(https("one", port, "one.example", "one")), route("r", rule("app")),
             service("app", backend.port)]
    gateway = start_gateway(*fixed, authority.secret("one", "one.example", "n-0.example"))
    tls = authority.context()
    close = {"Connection": "close"}
    with Load(port, clients=2, headers=close, host="one.example", tls=tls,
              server_name="one.example") as load, \
            Load(port, clients=1, host="one.example", tls=tls, server_name="one.example") as kept:
        for i in range(1, 11):
            gateway.apply("config.yaml", *fixed,
                          authority.secret("one", "one.example", f"n-{i}.example"))
            assert f"n-{i}.example" in names_served(authority, port, "one.example")
            load.wait(10)
    assert load.failures == [] and kept.failures == []
    assert load.count > 100


def test_a_bad_secret_harms_only_its_listener(start_gateway, authority, start_backend):
    port, plain = free_port(), free_port()
    chain, _ = authority.issue("two.example")
    _, other_key = authority.issue("two.example")
    fixed = [gateway_of(https("one", port, "one.example", "one"),
                        https("two", port, "two.example", "two"), listener("http", plain)),
             route("r", rule("app")), service("app", start_backend(named("app")).port),
             authority.secret("one", "one.example")]
    good = authority.secret("two", "two.example")
    gateway = start_gateway(*fixed, good)
    assert names_served(authority, port, "two.example") == ["two.example"]
    gateway.apply("config.yaml", *fixed, secret_of("two", chain, other_key))
    assert names_served(authority, port, "one.example") == ["one.example"]
    assert request(plain).status == 200
    with pytest.raises((ssl.SSLError, ConnectionError)):
        names_served(authority, port, "two.example")
    listeners = {item["name"]: {c["type"]: c for c in item["conditions"]}
                 for item in gateway.object_status("Gateway", "web")["listeners"]}
    refs = listeners["two"]["ResolvedRefs"]
    assert (refs["status"], refs["reason"]) == ("False", "InvalidCertificateRef"), refs
    assert listeners["one"]["ResolvedRefs"]["status"] == "True"
    gateway.apply("config.yaml", *fixed, good)
    assert names_served(authority, port, "two.example") == ["two.example"]


def test_garbage_instead_of_a_handshake_harms_nobody(start_gateway, authority, backend):
    port = free_port()
    start_gateway(gateway_of(https("one", port, "one.example", "one")), route("r", rule("app")),
                  authority.secret("one", "one.example"), service("app", backend.port))
    hello = bytes.fromhex("1603010200010001fc0303") + b"\x00" * 60
    for data in (b"\0" * 100, b"\x16\x03\x01\xff\xff" + b"a" * 5000, hello, b"\x80\x2e\x01\x00\x02",
                 b"\x16", b""):
        with Client(port) as client:
            client.send(data)
            client.socket.shutdown(socket.SHUT_WR)
            wait_for(lambda c=client: not c.more(), "the connection ends")
    assert request(port, host="one.example", tls=authority.context(),
                   server_name="one.example").status == 200
