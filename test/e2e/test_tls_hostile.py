"""TLS input that no decent client sends, and what testssl.sh says of a listener."""
# SPDX-License-Identifier: Apache-2.0
import contextlib
import json
import os
import re
import socket
import ssl
import struct
import subprocess
import time

import pytest

from certificates import Authority
from harness import (DEADLINE, free_port, gateway_of, listener, metric_sum, route, rule, service,
                     wait_for)
from http_client import Client, request

pytestmark = pytest.mark.sanitized
ALERT = 21


@pytest.fixture(scope="module", name="authority")
def make_authority():
    return Authority()


def https(name, port, hostname=""):
    return listener(name, port, "HTTPS", **({"hostname": hostname} if hostname else {}),
                    tls={"certificateRefs": [{"name": "one"}]})


@pytest.fixture(name="served", params=["fresh", "changed"])
def serve(start_gateway, authority, backend, request):  # pylint: disable=W0621
    """The port of a listener for one.example, and one for whatever else."""
    named, rest = free_port(), free_port()
    documents = [gateway_of(https("one", named, "one.example"), https("rest", rest)),
                 authority.secret("one", "one.example", "*.test"), route("r", rule("app")),
                 service("app", backend.port)]
    gateway = start_gateway(*documents)
    if request.param == "changed":  # certificates and rules were compiled anew, sockets stayed
        documents[1] = authority.secret("one", "one.example", "*.test", "more.example")
        documents[2] = route("r", rule("app", timeouts={"request": "60s"}))
        gateway.apply("config.yaml", *documents)
    return gateway, named, rest


def vector(data, size):
    return len(data).to_bytes(size, "big") + data


def extension(kind, data):
    return struct.pack(">H", kind) + vector(data, 2)


def name_list(*names):
    return extension(0, vector(b"".join(b"\0" + vector(name, 2) for name in names), 2))


def hello(*extensions, version=b"\x03\x03", ciphers=b"\xc0\x2b\xc0\x2f", compression=b"\0",
          groups=b"\0\x17\0\x1d"):
    body = version + bytes(32) + b"\0" + vector(ciphers, 2) + vector(compression, 1)
    always = [extension(10, vector(groups, 2)), extension(11, b"\1\0"),
              extension(13, vector(bytes.fromhex("0403080404010601"), 2))]
    body += vector(b"".join([*extensions, *always]), 2)
    message = b"\1" + vector(body, 3)
    return b"".join(b"\x16\x03\x01" + vector(message[i:i + 16384], 2)
                    for i in range(0, len(message), 16384))


def first_answer(port, *pieces):
    """The type of the first record that comes back: 22 handshake, 21 alert, None: closed."""
    with socket.create_connection(("127.0.0.1", port), DEADLINE) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(ConnectionError):
            for piece in pieces:
                connection.sendall(piece)
        with contextlib.suppress(ConnectionError):
            data = connection.recv(1)
            return data[0] if data else None
        return None


def test_server_names_that_are_none(served):
    _, named, rest = served
    assert first_answer(rest, hello(name_list(b"one.example"))) == 22
    assert first_answer(named, hello(name_list(b"ONE.example"))) == 22
    assert first_answer(rest, hello()) == 22
    # Refused, or answered as an unknown name: never the certificate of the other listener.
    assert first_answer(named, hello()) == ALERT
    assert first_answer(named, hello(name_list(b"one.example."))) in (22, ALERT)
    for name in (b"192.0.2.1", b"two.example", b"two.example.", b"a" * 256, b"one.example\0.test", b""):
        assert first_answer(named, hello(name_list(name))) in (ALERT, None), name
    for twice in (name_list(b"one.example", b"two.example"),
                  name_list(b"one.example") + name_list(b"one.example")):
        assert first_answer(named, hello(twice)) in (ALERT, None)


def hello_13(name, *shares):
    """Of TLS 1.3 and X25519 alone: without a share of it the server asks for a second hello."""
    listed = b"".join(b"\0\x1d" + vector(share, 2) for share in shares)
    return hello(*([name_list(name)] if name is not None else []), extension(43, b"\2\3\4"),
                 extension(51, vector(listed, 2)), ciphers=b"\x13\x01", groups=b"\0\x1d")


def records(connection, count):
    """The types and bodies of so many records; fewer at the end."""
    found = []
    with contextlib.suppress(ConnectionError), connection.makefile("rb") as file:
        while len(found) < count and len(head := file.read(5)) == 5:
            found.append((head[0], file.read(int.from_bytes(head[3:], "big"))))
    return found


@pytest.mark.parametrize("second", [b"one.example", b"ONE.example", b"two.example", b"more.test",
                                    b"one.example.", b"", None])
def test_a_second_hello_cannot_ask_for_another_name(served, second):
    """S17, RFC 8446 4.1.2: behind a HelloRetryRequest the name stays that of the first."""
    _, named, rest = served
    for port in (named, rest):
        with socket.create_connection(("127.0.0.1", port), DEADLINE) as connection:
            connection.sendall(hello_13(b"one.example"))
            retry = records(connection, 2)
            assert [kind for kind, _ in retry] == [22, 20], "it asks for a share"
            connection.sendall(hello_13(second, bytes([9]) + bytes(31)))
            kind, body = records(connection, 1)[0]
        if second in (b"one.example", b"ONE.example"):
            assert kind == 22
        else:
            assert (kind, body) == (ALERT, b"\2\x2f")


def test_old_and_odd_hellos_are_refused(served):
    _, _, rest = served
    assert first_answer(rest, hello(version=b"\x03\x01")) == ALERT
    assert first_answer(rest, hello(version=b"\x03\x02")) == ALERT
    assert first_answer(rest, hello(version=b"\x03\x00")) in (ALERT, None)
    sslv2 = b"\x01\x00\x02" + struct.pack(">HHH", 6, 0, 16) + bytes.fromhex("0100800700c0")
    sslv2 += bytes(16)
    assert first_answer(rest, struct.pack(">H", 0x8000 | len(sslv2)) + sslv2) in (ALERT, None)
    export = bytes.fromhex("00030006000800140017000a002f0035009c")  # export, 3DES, RSA exchange
    assert first_answer(rest, hello(ciphers=export)) == ALERT
    assert first_answer(rest, hello(compression=b"\1")) == ALERT  # without "none" it is no hello


def test_hellos_in_pieces_and_of_great_size(served):
    _, named, rest = served
    whole = hello(name_list(b"one.example"))
    assert first_answer(named, *[whole[i:i + 1] for i in range(len(whole))]) == 22
    many = b"".join(struct.pack(">H", 0x5000 + i) for i in range(1000)) + b"\xc0\x2b"
    assert first_answer(rest, hello(ciphers=many)) in (22, ALERT)
    huge = [extension(0x7000 + i, bytes(16000)) for i in range(4)]
    with contextlib.suppress(struct.error):
        assert first_answer(rest, hello(*huge)) in (22, ALERT, None)


def test_alpn_decides_and_is_held_to(served, authority):
    _, _, rest = served
    context = authority.context()
    context.set_alpn_protocols(["spdy/1"])
    with pytest.raises((ssl.SSLError, ConnectionError)):
        Client(rest, tls=context, server_name="one.example")
    context = authority.context()
    context.set_alpn_protocols(["h2"])
    with Client(rest, tls=context, server_name="one.example") as client:
        client.send("GET / HTTP/1.1\r\nHost: one.example\r\n\r\n")
        while client.more():
            pass
        assert b"HTTP/1.1 200" not in client.data
    context = authority.context()
    context.set_alpn_protocols(["http/1.1"])
    with Client(rest, tls=context, server_name="one.example") as client:
        client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        assert client.read_head()[0].split()[1] in ("400", "505")
    assert request(rest, host="one.example", tls=authority.context(),
                   server_name="one.example").status == 200


def test_slow_handshakes_end_by_their_deadline_and_harm_nobody(served, authority):
    gateway, named, rest = served
    slow = [socket.create_connection(("127.0.0.1", named), DEADLINE) for _ in range(50)]
    for connection in slow:
        connection.settimeout(DEADLINE)
        connection.sendall(b"\x16\x03\x01")
    for _ in range(10):
        assert request(rest, host="one.example", tls=authority.context(),
                       server_name="one.example").status == 200
    for connection in slow:
        with contextlib.suppress(ConnectionError):
            assert connection.recv(1) in (b"", b"\x15")
        connection.close()
    wait_for(lambda: all(value == 0 for key, value in gateway.metrics().items()
                         if key.startswith("nantian_downstream_connections{")),
             "every connection is gone")


def test_plain_text_after_the_hello_is_refused(served):
    """Bytes that are no records, behind a good hello (CVE-2026-1642 from the other side)."""
    _, _, rest = served
    with socket.create_connection(("127.0.0.1", rest), DEADLINE) as connection:
        connection.sendall(hello(name_list(b"one.example")) + b"GET / HTTP/1.1\r\n\r\n")
        data = b""
        with contextlib.suppress(ConnectionError):
            while part := connection.recv(65536):
                data += part
    assert b"HTTP/1.1 200" not in data


def flood(port, source, count, before=b""):
    """So many hellos from one address, 50 at a time: how many were answered, and not."""
    first, answered = before + hello(name_list(b"one.example")), 0
    for begun in range(0, count, 50):
        with contextlib.ExitStack() as stack:
            batch = [stack.enter_context(socket.create_connection(
                ("127.0.0.1", port), DEADLINE, source_address=(source, 0)))
                for _ in range(min(50, count - begun))]
            for each in batch:
                with contextlib.suppress(ConnectionError):
                    each.sendall(first)
            for each in batch:
                with contextlib.suppress(ConnectionError):
                    answered += each.recv(1) == b"\x16"
    return answered, count - answered


TOO_MANY = "tls: too many handshakes from this address"


@pytest.mark.parametrize("way", ["plain", "beside passthrough", "behind PROXY"])
def test_handshakes_of_one_address_have_a_bound(start_gateway, authority, backend, way):
    """S25: what is beyond --handshake-rate costs nothing, and others do not notice."""
    port, rate, count = free_port(), 40, 1000
    listeners = [https("one", port, "one.example")]
    if way == "beside passthrough":
        listeners.append(listener("through", port, "TLS", hostname="two.example",
                                  tls={"mode": "Passthrough"}))
    gateway = gateway_of(*listeners)
    proxied = way == "behind PROXY"
    if proxied:
        gateway["metadata"]["annotations"] = {"gateway.nantian.dev/proxy-protocol": "true"}
    started = start_gateway(gateway, authority.secret("one", "one.example"),
                            route("r", rule("app")), service("app", backend.port),
                            proxy_flags=("--handshake-rate", rate))

    def say(client):
        return f"PROXY TCP4 {client} 127.0.0.1 5 5\r\n".encode() if proxied else b""

    def ask(source):
        with socket.create_connection(("127.0.0.1", port), DEADLINE,
                                      source_address=(source, 0)) as plain:
            plain.sendall(say(source))
            with authority.context().wrap_socket(plain, server_hostname="one.example") as tls:
                tls.sendall(b"GET / HTTP/1.1\r\nHost: one.example\r\nConnection: close\r\n\r\n")
                return tls.recv(12)

    if not proxied:  # alone it has no bound
        assert flood(port, "127.0.6.6", 3 * rate) == (3 * rate, 0)
    assert ask("127.0.8.99") == b"HTTP/1.1 200"
    began = time.monotonic()
    answered = refused = 0
    # Behind a load balancer everything comes from its address: it is not the one that is counted.
    source = "127.0.0.1" if proxied else "127.0.7.7"
    for i in range(10):
        more, less = flood(port, source, count // 10, say("127.0.7.7"))
        answered, refused = answered + more, refused + less
        assert ask(f"127.0.8.{i}") == b"HTTP/1.1 200"
    took = time.monotonic() - began
    assert rate <= answered <= rate + rate * took + 5
    wait_for(lambda: metric_sum(started.metrics(), "nantian_tls_handshake_errors_total",
                                reason=TOO_MANY) == refused, "each is counted")
    said = [line for line in started.proxy.lines() if "TLS handshakes" in line.get("msg", "")]
    assert said and all(line["client"] == "127.0.7.7" for line in said)
    assert len(said) <= 2 * (1 + took / 10)  # each of two workers every ten seconds

    def served_again():
        try:
            return ask("127.0.7.7") == b"HTTP/1.1 200"
        except OSError:
            return False
    wait_for(served_again, "it may begin again")


@pytest.mark.release
def test_testssl_has_nothing_to_say(start_gateway, authority, backend, tmp_path):
    port = free_port()
    chain, key = authority.issue("one.example", rsa=True)
    rsa = authority.secret("one", "one.example")
    rsa["data"] = {}
    rsa["stringData"] = {"tls.crt": chain.decode(), "tls.key": key.decode()}
    start_gateway(gateway_of(https("one", port)), rsa, route("r", rule("app")),
                  service("app", backend.port))
    found = tmp_path / "testssl.json"
    env = {**os.environ, "TERM": "dumb"}
    subprocess.run(["testssl", "--quiet", "--color", "0", "--warnings", "off", "--sneaky",
                    "--protocols", "--std", "--fs", "--server-defaults", "--vulnerable",
                    "--jsonfile", found, f"127.0.0.1:{port}"], env=env, capture_output=True,
                   timeout=600, check=False, stdin=subprocess.DEVNULL)
    rows = {row["id"]: row for row in json.loads(found.read_text(encoding="utf-8"))}
    assert rows["TLS1_3"]["severity"] == "OK" and rows["TLS1_2"]["severity"] == "OK"
    for old in ("SSLv2", "SSLv3", "TLS1", "TLS1_1"):
        assert "not offered" in rows[old]["finding"], rows[old]
    # What a test authority cannot have: a public chain, revocation, transparency, this name; and
    # what testssl lacks itself.
    known = re.compile(r"engine_problem|cert_(chain_of_trust|trust|revocation|ocsp|crl|"
                       r"subjectAltName|certificatePolicies|validityPeriod|extlifeSpan|notAfter|"
                       r"expirationStatus)|OCSP|DNS_CAA|certificate_transparency|cert_mustStaple")
    bad = [row for name, row in rows.items() if not known.match(name) and
           row["severity"] in ("LOW", "MEDIUM", "HIGH", "CRITICAL", "WARN", "FATAL")]
    assert len(rows) > 40 and bad == [], bad
