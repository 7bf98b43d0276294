"""TCPRoute, TLSRoute and UDPRoute with plain sockets, openssl and python's ssl."""
# SPDX-License-Identifier: Apache-2.0
import contextlib
import hashlib
import socket
import ssl
import threading

import pytest

from certificates import Authority
from harness import API, DEADLINE, free_port, gateway_of, listener, metadata, metric_sum, route
from harness import rule, wait_for
from harness import service as http_service
from http_client import request

pytestmark = [pytest.mark.sanitized, pytest.mark.threads]


def l4_route(kind, name, *services, section=None, created=None, **spec):
    refs = [{"name": s, "port": 80} if isinstance(s, str)
            else {"name": s[0], "port": 80, "weight": s[1]} for s in services]
    parent = {"name": "web", **({"sectionName": section} if section else {})}
    stamp = {"creationTimestamp": created} if created else {}
    return {"apiVersion": API, "kind": kind, "metadata": metadata(name, **stamp),
            "spec": {"parentRefs": [parent], **spec, "rules": [{"backendRefs": refs}]}}


def udp_service(name, *ports):
    made = http_service(name, *ports)
    made["spec"]["ports"][0]["protocol"] = "UDP"
    return made


class TcpPeer:
    """Greets with its name at once, then does what `talk` does."""

    def __init__(self, name, talk=None, tls=None):
        self.name, self.talk, self.tls, self.connections = name, talk or self.echo, tls, 0
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.socket.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with contextlib.suppress(OSError):
            connection.settimeout(DEADLINE)
            if self.tls is not None:
                connection = self.tls.wrap_socket(connection, server_side=True)
            with connection:
                connection.sendall(self.name.encode() + b"\n")
                self.talk(connection)

    @staticmethod
    def echo(connection):
        while data := connection.recv(65536):
            connection.sendall(data)

    def close(self):
        # A blocked accept keeps the socket listening: it is woken first.
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


@pytest.fixture
def start_peer():
    started = []

    def start(*args, **options):
        started.append(TcpPeer(*args, **options))
        return started[-1]

    yield start
    for peer in started:
        peer.close()


class UdpPeer:
    """Answers each datagram with its name and the datagram."""

    def __init__(self, name):
        self.name = name
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(0.2)
        self.port, self.sources, self.open = self.socket.getsockname()[1], set(), True
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while self.open:
            with contextlib.suppress(OSError):
                data, source = self.socket.recvfrom(65535)
                self.sources.add(source)
                self.socket.sendto(self.name.encode() + b" " + data, source)

    def close(self):
        self.open = False
        self.thread.join()
        self.socket.close()


@pytest.fixture
def start_udp():
    started = []

    def start(name):
        started.append(UdpPeer(name))
        return started[-1]

    yield start
    for peer in started:
        peer.close()


def dial(port):
    made = socket.create_connection(("127.0.0.1", port), DEADLINE)
    made.settimeout(DEADLINE)
    return made


def read_all(connection):
    parts = []
    with contextlib.suppress(ConnectionError):
        while data := connection.recv(65536):
            parts.append(data)
    return b"".join(parts)


def greeting(port):
    """Who greets, without a byte from us; "" when nobody does."""
    with contextlib.suppress(OSError), dial(port) as connection:
        return connection.makefile("rb").readline().decode().strip()
    return ""


def conditions(gateway, kind, name, section=None):
    status = gateway.object_status(kind, name)
    if kind == "Gateway":
        found = next(item for item in status["listeners"] if item["name"] == section)
        return found, {c["type"]: (c["status"], c["reason"]) for c in found["conditions"]}
    return status, {c["type"]: (c["status"], c["reason"])
                    for c in status["parents"][0]["conditions"]}


# ---- TCP ----

@pytest.mark.quick
def test_a_backend_that_speaks_first_is_heard(start_gateway, start_peer):
    port = free_port()
    peer = start_peer("app")
    gateway = start_gateway(gateway_of(listener("tcp", port, "TCP")),
                            l4_route("TCPRoute", "r", "app"), http_service("app", peer.port))
    with dial(port) as connection:
        assert connection.recv(100) == b"app\n"
        connection.sendall(b"hello")
        assert connection.recv(100) == b"hello"
    found, states = conditions(gateway, "Gateway", "web", "tcp")
    assert states["Programmed"][0] == "True" and found["attachedRoutes"] == 1
    assert [kind["kind"] for kind in found["supportedKinds"]] == ["TCPRoute"]
    assert conditions(gateway, "TCPRoute", "r")[1]["Accepted"] == ("True", "Accepted")


def test_the_control_plane_hears_that_its_listener_is_bound(start_gateway, start_peer):
    port, peer = free_port(), start_peer("app")
    gateway = start_gateway(gateway_of(listener("tcp", port, "TCP")),
                            l4_route("TCPRoute", "r", "app"), http_service("app", peer.port))

    def heard():
        nodes = gateway.ask_control("/v1/nodes")["nodes"]
        return [(each["name"], each["bound"], each["why"])
                for node in nodes for each in (node["report"] or {}).get("listeners", [])]
    wait_for(heard, "a report came")
    assert heard() == [("default/web/tcp", True, "")]


def test_much_passes_both_ways_whole(start_gateway, start_peer):
    port = free_port()
    peer = start_peer("app")
    start_gateway(gateway_of(listener("tcp", port, "TCP")), l4_route("TCPRoute", "r", "app"),
                  http_service("app", peer.port))
    block = bytes(range(256)) * 1024
    with dial(port) as connection:
        assert connection.recv(4) == b"app\n"
        sent = hashlib.sha256()

        def send():
            for i in range(64):
                data = block[i:] + block[:i]
                sent.update(data)
                connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)

        writer = threading.Thread(target=send)
        writer.start()
        received = read_all(connection)
        writer.join()
    assert len(received) == 64 * len(block)
    assert hashlib.sha256(received).digest() == sent.digest()


def test_a_half_closed_client_hears_the_rest(start_gateway, start_peer):
    port = free_port()

    def talk(connection):
        asked = read_all(connection)
        connection.sendall(b"you said " + asked)

    peer = start_peer("app", talk)
    start_gateway(gateway_of(listener("tcp", port, "TCP")), l4_route("TCPRoute", "r", "app"),
                  http_service("app", peer.port))
    with dial(port) as connection:
        connection.sendall(b"this")
        connection.shutdown(socket.SHUT_WR)
        assert read_all(connection) == b"app\nyou said this"


def test_weights_share_connections_and_zero_gets_none(start_gateway, start_peer):
    port = free_port()
    peers = {name: start_peer(name) for name in ("most", "some", "none")}
    start_gateway(gateway_of(listener("tcp", port, "TCP")),
                  l4_route("TCPRoute", "r", ("most", 70), ("some", 30), ("none", 0)),
                  *[http_service(name, peer.port) for name, peer in peers.items()])
    counts = {"most": 0, "some": 0}
    for _ in range(300):
        counts[greeting(port)] += 1
    assert 160 <= counts["most"] <= 255, counts  # 210 +- 5.6 standard deviations


def test_a_dead_endpoint_is_passed_over(start_gateway, start_peer):
    port = free_port()
    gateway = start_gateway(gateway_of(listener("tcp", port, "TCP")),
                            l4_route("TCPRoute", "r", "app"),
                            http_service("app", free_port(), start_peer("app").port))
    assert [greeting(port) for _ in range(10)] == ["app"] * 10
    gateway.apply("config.yaml", gateway_of(listener("tcp", port, "TCP")),
                  l4_route("TCPRoute", "r", "app"), http_service("app", free_port()))
    assert greeting(port) == ""


def test_the_oldest_of_two_routes_gets_the_traffic(start_gateway, start_peer):
    port = free_port()
    old, new = start_peer("old"), start_peer("new")
    gateway = start_gateway(
        gateway_of(listener("tcp", port, "TCP")),
        l4_route("TCPRoute", "a-new", "new", created="2026-02-01T00:00:00Z"),
        l4_route("TCPRoute", "b-old", "old", created="2026-01-01T00:00:00Z"),
        http_service("old", old.port), http_service("new", new.port))
    assert {greeting(port) for _ in range(20)} == {"old"}
    assert conditions(gateway, "Gateway", "web", "tcp")[0]["attachedRoutes"] == 2
    for name in ("a-new", "b-old"):
        assert conditions(gateway, "TCPRoute", name)[1]["Accepted"] == ("True", "Accepted")


def test_a_bad_reference_closes_the_connection(start_gateway):
    port = free_port()
    gateway = start_gateway(gateway_of(listener("tcp", port, "TCP")),
                            l4_route("TCPRoute", "r", "nowhere"))
    assert greeting(port) == ""
    states = conditions(gateway, "TCPRoute", "r")[1]
    assert states["Accepted"] == ("True", "Accepted")
    assert states["ResolvedRefs"] == ("False", "BackendNotFound")


def test_open_connections_outlive_a_change_and_the_log_tells_of_them(start_gateway, start_peer):
    port = free_port()
    one, two = start_peer("one"), start_peer("two")
    fixed = [gateway_of(listener("tcp", port, "TCP")), http_service("one", one.port),
             http_service("two", two.port)]
    gateway = start_gateway(*fixed, l4_route("TCPRoute", "r", "one"))
    with dial(port) as connection:
        assert connection.recv(100) == b"one\n"
        gateway.apply("config.yaml", *fixed, l4_route("TCPRoute", "r", "two"))
        assert greeting(port) == "two"
        connection.sendall(b"still")
        assert connection.recv(100) == b"still"

    lines = [line for line in gateway.log_lines(2) if line["protocol"] == "TCP"]
    line = next(line for line in lines if line["bytes_received"] == 5)
    assert line["bytes_sent"] == 9 and line["route_name"] == "TCPRoute/default/r/0"
    assert line["upstream_host"] == f"127.0.0.1:{one.port}" and line["response_flags"] == "-"
    assert metric_sum(gateway.metrics(), "nantian_l4_sessions_total", route="TCPRoute/default/r/0"
                      ) == 2


# ---- TLS ----

@pytest.fixture(scope="module", name="authority")
def make_authority():
    return Authority()


def server_context(authority, tmp_path, *names):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    path = tmp_path / f"{names[0].replace('*', '_')}.pem"
    path.write_bytes(b"".join(authority.issue(*names)))
    context.load_cert_chain(path)
    return context


def tls_listener(name, port, hostname="", secret=None):
    tls = ({"mode": "Terminate", "certificateRefs": [{"name": secret}]} if secret
           else {"mode": "Passthrough"})
    return listener(name, port, "TLS", tls=tls, **({"hostname": hostname} if hostname else {}))


def tls_greeting(port, authority, name, **options):
    """Who greets over TLS, or the kind of end of the handshake."""
    try:
        with authority.context(**options).wrap_socket(dial(port), server_hostname=name) as made:
            return made.makefile("rb").readline().decode().strip()
    except (ConnectionResetError, BrokenPipeError, ssl.SSLEOFError,
            ssl.SSLZeroReturnError):  # an end without a word, as Python 3.11.2 calls it
        return "closed"


@pytest.mark.quick
def test_passthrough_goes_by_server_name(start_gateway, start_peer, authority, tmp_path):
    port = free_port()
    exact = start_peer("exact", tls=server_context(authority, tmp_path, "a.example"))
    wild = start_peer("wild", tls=server_context(authority, tmp_path, "*.wild.example"))
    gateway = start_gateway(
        gateway_of(tls_listener("tls", port)),
        l4_route("TLSRoute", "exact", "exact", hostnames=["a.example"]),
        l4_route("TLSRoute", "wild", "wild", hostnames=["*.wild.example"]),
        http_service("exact", exact.port), http_service("wild", wild.port))
    assert tls_greeting(port, authority, "a.example") == "exact"
    assert tls_greeting(port, authority, "b.wild.example") == "wild"
    assert tls_greeting(port, authority, "b.wild.example",
                        maximum_version=ssl.TLSVersion.TLSv1_2) == "wild"
    assert tls_greeting(port, authority, "other.test") == "closed"
    found, states = conditions(gateway, "Gateway", "web", "tls")
    assert states["Programmed"][0] == "True" and found["attachedRoutes"] == 2
    assert [kind["kind"] for kind in found["supportedKinds"]] == ["TLSRoute"]


def test_a_hello_in_pieces_is_passed_on_whole(start_gateway, start_peer, authority, tmp_path):
    port = free_port()
    peer = start_peer("app", tls=server_context(authority, tmp_path, "a.example"))
    start_gateway(gateway_of(tls_listener("tls", port)),
                  l4_route("TLSRoute", "r", "app", hostnames=["a.example"]),
                  http_service("app", peer.port))
    into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = authority.context().wrap_bio(into, out, server_hostname="a.example")
    with dial(port) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(ssl.SSLWantReadError):
            session.do_handshake()
        hello = out.read()
        for i in range(0, len(hello), 20):
            connection.sendall(hello[i:i + 20])
        while True:
            try:
                session.do_handshake()
                break
            except ssl.SSLWantReadError:
                if out.pending:
                    connection.sendall(out.read())
                into.write(connection.recv(65536))
        connection.sendall(out.read())
        while True:
            try:
                assert session.read(100) == b"app\n"
                break
            except ssl.SSLWantReadError:
                into.write(connection.recv(65536))


def test_what_is_no_hello_is_closed(start_gateway, authority, start_peer, tmp_path):
    port = free_port()
    peer = start_peer("app", tls=server_context(authority, tmp_path, "a.example"))
    gateway = start_gateway(gateway_of(tls_listener("tls", port)),
                            l4_route("TLSRoute", "r", "app", hostnames=["a.example"]),
                            http_service("app", peer.port))
    for data in (b"GET / HTTP/1.1\r\n\r\n", b"\0" * 100, b"\x16\x03\x01\xff\xff" + b"a" * 5000,
                 b"\x16\x03\x01\x00\x04\x01\x01\x00\x00"):
        with dial(port) as connection:
            with contextlib.suppress(ConnectionError):
                connection.sendall(data)
            assert read_all(connection) == b""
    with dial(port) as connection:
        connection.sendall(b"\x16\x03")
        connection.shutdown(socket.SHUT_WR)
        assert read_all(connection) == b""
    assert peer.connections == 0
    refused = "nantian_requests_refused_total"
    assert metric_sum(gateway.metrics(), refused, reason="tls_hello_invalid") == 4
    assert metric_sum(gateway.metrics(), refused, reason="tls_hello_missing") == 1
    assert tls_greeting(port, authority, "a.example") == "app"


def test_terminated_passed_on_and_https_share_a_port(start_gateway, start_peer, start_backend,
                                                     authority, tmp_path):
    port = free_port()
    plain = start_peer("plain")
    through = start_peer("through", tls=server_context(authority, tmp_path, "through.example"))
    https = listener("https", port, "HTTPS", hostname="web.example",
                     tls={"certificateRefs": [{"name": "both"}]})
    gateway = start_gateway(
        gateway_of(tls_listener("ended", port, "ended.example", "both"),
                   tls_listener("through", port, "through.example"), https),
        authority.secret("both", "ended.example", "web.example"),
        l4_route("TLSRoute", "ended", "plain", section="ended", hostnames=["ended.example"]),
        l4_route("TLSRoute", "through", "through", section="through",
                 hostnames=["through.example"]),
        route("web", rule("web")), http_service("web", start_backend().port),
        http_service("plain", plain.port), http_service("through", through.port))
    for _ in range(3):
        assert tls_greeting(port, authority, "ended.example") == "plain"
        assert tls_greeting(port, authority, "through.example") == "through"
        answer = request(port, host="web.example", tls=authority.context(),
                         server_name="web.example")
        assert answer.status == 200
    assert tls_greeting(port, authority, "nobody.example") == "closed"
    for name in ("ended", "through"):
        found, states = conditions(gateway, "Gateway", "web", name)
        assert states["Accepted"][0] == "True" and found["attachedRoutes"] == 1
    context = authority.context()
    context.set_alpn_protocols(["anything"])  # not ours to judge
    with context.wrap_socket(dial(port), server_hostname="ended.example") as made:
        assert made.recv(100) == b"plain\n" and made.selected_alpn_protocol() is None


def test_much_passes_under_a_terminating_listener(start_gateway, start_peer, authority):
    port = free_port()
    peer = start_peer("app")
    start_gateway(gateway_of(tls_listener("tls", port, "a.example", "a")),
                  authority.secret("a", "a.example"),
                  l4_route("TLSRoute", "r", "app", hostnames=["a.example"]),
                  http_service("app", peer.port))
    block = bytes(range(256)) * 256
    with authority.context().wrap_socket(dial(port), server_hostname="a.example") as made:
        assert made.recv(4) == b"app\n"
        received = b""
        for _ in range(40):
            made.sendall(block)
            want = len(received) + len(block)
            while len(received) < want:
                received += made.recv(65536)
    assert received == block * 40


def backend_tls(authority):
    """The Service app is spoken to over TLS, as app.example."""
    policy = {"apiVersion": API, "kind": "BackendTLSPolicy", "metadata": metadata("tls"),
              "spec": {"targetRefs": [{"group": "", "kind": "Service", "name": "app"}],
                       "validation": {"hostname": "app.example", "caCertificateRefs": [
                           {"group": "", "kind": "ConfigMap", "name": "ca"}]}}}
    return policy, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata("ca"),
                    "data": {"ca.crt": authority.pem().decode()}}


def test_a_backend_tls_policy_leaves_what_passes_through_as_it_is(start_gateway, start_peer,
                                                                  authority, tmp_path):
    port = free_port()
    peer = start_peer("app", tls=server_context(authority, tmp_path, "app.example"))
    start_gateway(gateway_of(tls_listener("tls", port)), *backend_tls(authority),
                  http_service("app", peer.port),
                  l4_route("TLSRoute", "r", "app", hostnames=["app.example"]))
    assert tls_greeting(port, authority, "app.example") == "app"


def test_a_backend_tls_policy_holds_for_terminated_tls_too(start_gateway, start_peer, authority,
                                                          tmp_path):
    port = free_port()
    peer = start_peer("app", tls=server_context(authority, tmp_path, "app.example"))
    policy, bundle = backend_tls(authority)
    fixed = [gateway_of(tls_listener("tls", port, "a.example", "a")),
             authority.secret("a", "a.example"), bundle, http_service("app", peer.port),
             l4_route("TLSRoute", "r", "app", hostnames=["a.example"])]
    gateway = start_gateway(*fixed, policy)
    assert tls_greeting(port, authority, "a.example") == "app"
    policy["spec"]["validation"]["hostname"] = "other.example"
    gateway.apply("config.yaml", *fixed, policy)
    assert tls_greeting(port, authority, "a.example") in ("", "closed")


# ---- UDP ----

def ask(port, data=b"hello", host="127.0.0.1"):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(DEADLINE)
        client.connect((host, port))  # answers of other addresses are not heard
        client.send(data)
        return client.recv(65535)


@pytest.mark.quick
def test_a_flow_keeps_its_backend_and_hears_from_whom_it_dialled(start_gateway, start_udp):
    port = free_port()
    peers = [start_udp("one"), start_udp("two")]
    everywhere = gateway_of(listener("udp", port, "UDP"))
    everywhere["spec"]["addresses"] = [{"type": "IPAddress", "value": "0.0.0.0"}]
    gateway = start_gateway(everywhere, l4_route("UDPRoute", "r", "app"),
                            udp_service("app", *[peer.port for peer in peers]))
    for host in ("127.0.0.1", "127.0.0.2"):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(DEADLINE)
            client.connect((host, port))
            answers = set()
            for i in range(20):
                client.send(b"%d" % i)
                name, number = client.recv(100).split()
                assert number == b"%d" % i
                answers.add(name)
            assert len(answers) == 1, answers
    found, states = conditions(gateway, "Gateway", "web", "udp")
    assert states["Programmed"][0] == "True" and found["attachedRoutes"] == 1
    assert {ask(port).split()[0] for _ in range(40)} == {b"one", b"two"}


@pytest.mark.quick
def test_a_client_s_address_means_one_endpoint(start_gateway, start_peer, start_udp):
    """ConsistentHash by SourceIP: of connections and of flows, whatever the port."""
    port = free_port()
    tcp, udp = [start_peer(f"t{i}") for i in range(3)], [start_udp(f"u{i}") for i in range(3)]
    policy = {"apiVersion": "gateway.networking.k8s.io/v1alpha2", "kind": "BackendLBPolicy",
              "metadata": metadata("p"),
              "spec": {"targetRefs": [{"group": "", "kind": "Service", "name": name}
                                      for name in ("tcp", "udp")],
                       "loadBalancing": {"type": "ConsistentHash",
                                         "consistentHash": {"keyType": "SourceIP"}}}}
    start_gateway(gateway_of(listener("tcp", port, "TCP"), listener("udp", port, "UDP")), policy,
                  l4_route("TCPRoute", "t", "tcp", section="tcp"),
                  l4_route("UDPRoute", "u", "udp", section="udp"),
                  http_service("tcp", *(peer.port for peer in tcp)),
                  udp_service("udp", *(peer.port for peer in udp)))

    def over_tcp(source):
        with socket.create_connection(("127.0.0.1", port), DEADLINE, (source, 0)) as client:
            client.shutdown(socket.SHUT_WR)
            return read_all(client).split()[0]

    def over_udp(source):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(DEADLINE)
            client.bind((source, 0))
            client.connect(("127.0.0.1", port))
            client.send(b"x")
            return client.recv(100).split()[0]

    for ask_once in (over_tcp, over_udp):
        seen = set()
        for i in range(1, 41):
            answers = {ask_once(f"127.0.7.{i}") for _ in range(4)}
            assert len(answers) == 1, (i, answers)
            seen |= answers
        assert len(seen) == 3, seen


def test_weights_share_flows(start_gateway, start_udp):
    port = free_port()
    peers = {name: start_udp(name) for name in ("most", "some", "none")}
    start_gateway(gateway_of(listener("udp", port, "UDP")),
                  l4_route("UDPRoute", "r", ("most", 70), ("some", 30), ("none", 0)),
                  *[udp_service(name, peer.port) for name, peer in peers.items()])
    counts = {b"most": 0, b"some": 0}
    for _ in range(300):
        counts[ask(port).split()[0]] += 1
    assert 160 <= counts[b"most"] <= 255, counts


def test_empty_and_large_datagrams_pass(start_gateway, start_udp):
    port = free_port()
    peer = start_udp("app")
    start_gateway(gateway_of(listener("udp", port, "UDP")), l4_route("UDPRoute", "r", "app"),
                  udp_service("app", peer.port))
    for data in (b"", b"x" * 60000):
        assert ask(port, data) == b"app " + data


def test_flows_leave_descriptors_for_the_rest_of_us(start_gateway, start_udp):
    port = free_port()
    gateway = start_gateway(
        gateway_of(listener("udp", port, "UDP")), l4_route("UDPRoute", "r", "app"),
        udp_service("app", start_udp("app").port), descriptors=256)
    with contextlib.ExitStack() as opened:
        clients = [opened.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                   for _ in range(400)]

        def strangers():
            for client in clients:
                client.sendto(b"x", ("127.0.0.1", port))
            return metric_sum(gateway.metrics(), "nantian_requests_refused_total",
                              reason="udp_flow_limit")
        wait_for(lambda: strangers() >= 100, "strangers are dropped")
        assert gateway.ask("/healthz")[0] == 200


def test_a_change_moves_flows_and_a_bad_route_answers_nothing(start_gateway, start_udp):
    port = free_port()
    one, two = start_udp("one"), start_udp("two")
    fixed = [gateway_of(listener("udp", port, "UDP")), udp_service("one", one.port),
             udp_service("two", two.port)]
    gateway = start_gateway(*fixed, l4_route("UDPRoute", "r", "one"))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(DEADLINE)
        client.connect(("127.0.0.1", port))
        client.send(b"a")
        assert client.recv(100) == b"one a"
        gateway.apply("config.yaml", *fixed, l4_route("UDPRoute", "r", "two"))
        client.send(b"b")
        assert client.recv(100) == b"two b"
        gateway.apply("config.yaml", *fixed, l4_route("UDPRoute", "r", "nowhere"))
        client.send(b"c")
        wait_for(lambda: metric_sum(gateway.metrics(), "nantian_responses_total", flag="NC") > 0,
                 "the refused flow is counted")
        client.setblocking(False)
        with pytest.raises(BlockingIOError):
            client.recv(100)
    assert conditions(gateway, "UDPRoute", "r")[1]["ResolvedRefs"] == ("False", "BackendNotFound")


def test_tcp_and_udp_share_a_port_number(start_gateway, start_peer, start_udp):
    port = free_port()
    gateway = start_gateway(
        gateway_of(listener("tcp", port, "TCP"), listener("udp", port, "UDP")),
        l4_route("TCPRoute", "t", "tcp"), l4_route("UDPRoute", "u", "udp"),
        http_service("tcp", start_peer("tcp").port), udp_service("udp", start_udp("udp").port))
    assert greeting(port) == "tcp"
    assert ask(port) == b"udp hello"
    gateway.apply("config.yaml", gateway_of(listener("udp", port, "UDP")),
                  l4_route("UDPRoute", "u", "udp"),
                  udp_service("udp", start_udp("again").port))
    wait_for(lambda: ask(port) == b"again hello", "the new backend answers")
    assert greeting(port) == ""
