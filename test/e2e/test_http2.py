"""HTTP/2 in and out: real clients, many requests at once, misdirected names, refused streams."""
# SPDX-License-Identifier: Apache-2.0
import contextlib
import asyncio
import concurrent.futures
import json
import re
import shutil
import socket
import subprocess
import threading
import time

import h2.errors
import h2.events
import httpx
import pytest
import websockets.protocol

from certificates import Authority
from harness import (DEADLINE, free_port, gateway_of, listener, route, rule, service, simple,
                     wait_for)
from h2_backend import H2Backend, h2_service
from h2_client import Answered, H2Client
from http_backend import named
from http_client import Client, request
from test_http1 import EchoSockets

pytestmark = pytest.mark.sanitized


@pytest.fixture(scope="module", name="authority")
def make_authority():
    return Authority()


@pytest.fixture(name="start_h2")
def make_start_h2():
    started = []

    def start(*args, **options):
        started.append(H2Backend(*args, **options))
        return started[-1]

    yield start
    for each in started:
        each.close()
    assert not [error for each in started for error in each.errors]


def prior_knowledge(port, **options):
    """An HTTP/2 client without TLS."""
    return httpx.Client(http1=False, http2=True, base_url=f"http://127.0.0.1:{port}",
                        trust_env=False, timeout=DEADLINE, **options)


def ask_at_once(port, paths):
    """Statuses of GETs that share one HTTP/2 connection."""
    async def ask():
        async with httpx.AsyncClient(http1=False, http2=True, trust_env=False, timeout=DEADLINE,
                                     base_url=f"http://127.0.0.1:{port}") as client:
            answers = await asyncio.gather(*(client.get(path) for path in paths))
            return [answer.status_code for answer in answers]
    return asyncio.run(ask())


def https(name, port, hostname, secret):
    return listener(name, port, "HTTPS", **({"hostname": hostname} if hostname else {}),
                    tls={"certificateRefs": [{"name": secret}]})


# ---- in ----

@pytest.mark.quick
def test_prior_knowledge_to_an_http1_backend(start_gateway, backend):
    port = free_port()
    gateway = start_gateway(*simple(port, backend.port))
    with prior_knowledge(port) as client:
        answer = client.get("/a?b=c", headers={"x-one": "1", "te": "trailers"})
        assert (answer.status_code, answer.http_version) == (200, "HTTP/2")
        assert "transfer-encoding" not in answer.headers and "date" in answer.headers
        got = answer.json()
        assert (got["method"], got["target"], got["version"]) == ("GET", "/a?b=c", "HTTP/1.1")
        fields = dict(got["fields"])
        assert fields["x-one"] == "1" and fields["host"] == f"127.0.0.1:{port}"
        assert client.post("/", content=b"x" * 300000).json()["size"] == 300000
        assert client.post("/", content=iter([b"ab"] * 1000)).json()["size"] == 2000
        assert client.head("/").status_code == 200
    assert request(port).status == 200, "HTTP/1.1 on the same port"
    lines = gateway.log_lines(5)  # of two workers perhaps, so in no order
    assert sorted(line["protocol"] for line in lines) == ["HTTP/1.1"] + ["HTTP/2"] * 4, lines
    assert {line["response_code"] for line in lines} == {200}


def test_alpn_chooses(start_gateway, authority, backend, tmp_path):
    port = free_port()
    (tmp_path / "ca.pem").write_bytes(authority.pem())
    start_gateway(gateway_of(https("one", port, "one.example", "one")), route("r", rule("app")),
                  authority.secret("one", "one.example"), service("app", backend.port))
    for offered, chosen in ((["h2", "http/1.1"], "h2"), (["http/1.1"], "http/1.1"), (["h2"], "h2")):
        context = authority.context()
        context.set_alpn_protocols(offered)
        with Client(port, tls=context, server_name="one.example") as client:
            assert client.socket.selected_alpn_protocol() == chosen
    for flags, version in ((["--http2"], "2"), (["--http1.1"], "1.1")):
        done = subprocess.run(
            ["curl", "-sS", *flags, "--cacert", tmp_path / "ca.pem", "--resolve",
             f"one.example:{port}:127.0.0.1", "-o", tmp_path / "out", "-w",
             "%{http_version} %{http_code}", f"https://one.example:{port}/x"],
            capture_output=True, timeout=DEADLINE, check=True, text=True)
        assert done.stdout == f"{version} 200"


def test_curl_with_prior_knowledge_and_with_upgrade(start_gateway, backend):
    port = free_port()
    start_gateway(*simple(port, backend.port))
    for flag, version in (("--http2-prior-knowledge", "2"), ("--http2", "1.1")):
        done = subprocess.run(["curl", "-sS", flag, "-o", "/dev/null", "-w",
                               "%{http_version} %{http_code}", f"http://127.0.0.1:{port}/"],
                              capture_output=True, timeout=DEADLINE, check=True, text=True)
        assert done.stdout == f"{version} 200"


def test_h2load_gets_every_answer(start_gateway, start_backend):
    assert shutil.which("h2load"), "h2load is missing: tools/install test"
    port = free_port()
    gateway = start_gateway(*simple(port, start_backend(named("app"), record=False).port))
    done = subprocess.run(["h2load", "-n", "2000", "-c", "4", "-m", "50",
                           f"http://127.0.0.1:{port}/"], capture_output=True,
                          timeout=4 * DEADLINE, check=True, text=True)
    found = re.search(r"(\d+) succeeded, (\d+) failed, (\d+) errored", done.stdout)
    assert found and found.groups() == ("2000", "0", "0"), done.stdout
    line = gateway.log_lines(2000)[-1]
    assert (line["protocol"], line["response_code"]) == ("HTTP/2", 200)


def test_a_fast_stream_passes_a_slow_one(start_gateway, start_backend):
    """Many exchanges on one connection do not wait for each other."""
    release = threading.Event()

    async def slow(answer):
        while answer.target == "/slow" and not release.is_set():
            await asyncio.sleep(0.01)
        await answer.answer(b"done")

    port = free_port()
    start_gateway(*simple(port, start_backend(slow).port))
    with socket.create_connection(("127.0.0.1", port), DEADLINE) as sock:
        client = H2Client(sock)
        waiting = [client.send("a.example", "/slow", scheme="http") for _ in range(8)]
        for _ in range(50):
            assert client.get("a.example", path="/fast", scheme="http").body == b"done"
        assert not client.others
        release.set()
        assert client.read(waiting[-1]).status == 200
        wait_for(lambda: client.get("a.example", scheme="http") and
                 set(waiting[:-1]) <= client.others, "the slow ones end")


def test_our_own_answers_over_http2(start_gateway, backend):
    port = free_port()
    start_gateway(gateway_of(listener("http", port)),
                  route("r", rule("app", matches=[{"path": {"value": "/app"}}]),
                        rule("gone", matches=[{"path": {"value": "/gone"}}])),
                  service("app", backend.port), service("gone", free_port()))
    with prior_knowledge(port) as client:
        for _ in range(3):
            assert client.get("/nothing").status_code == 404
            assert client.get("/gone").status_code == 503
            assert client.request("TRACE", "/app").status_code == 405
            assert client.get("/app").status_code == 200


def test_an_early_answer_ends_the_request(start_gateway, backend):
    """The rest of a body that nobody wants is refused without an error (RFC 9113 8.1)."""
    port = free_port()
    start_gateway(gateway_of(listener("http", port)),
                  route("r", rule("app", matches=[{"path": {"value": "/app"}}])),
                  service("app", backend.port))
    with socket.create_connection(("127.0.0.1", port), DEADLINE) as sock:
        client = H2Client(sock)
        for _ in range(3):
            answer = client.read(client.send("a.example", "/nothing", "POST", end=False,
                                             headers=[("content-length", "9")], scheme="http"))
            assert (answer.status, answer.ended, len(answer.body)) == (404, True, 31)
            assert client.get("a.example", path="/app", scheme="http").status == 200


def test_a_drain_ends_what_is_under_way_first(start_gateway, start_backend):
    held = threading.Event()

    async def answer(got):
        if got.target == "/slow":
            held.set()
            await asyncio.sleep(0.5)
        await got.answer(b"whole")

    port = free_port()
    gateway = start_gateway(*simple(port, start_backend(answer).port), drain_ms=10000)
    with subprocess.Popen(["curl", "-sS", "--http2-prior-knowledge",
                           f"http://127.0.0.1:{port}/slow"], stdout=subprocess.PIPE) as curl:
        assert held.wait(DEADLINE)
        gateway.proxy.process.terminate()
        assert curl.communicate(timeout=DEADLINE)[0] == b"whole" and curl.returncode == 0
    assert gateway.proxy.wait() == 0


class H2Socket:
    """A WebSocket over one stream (RFC 8441), with the frames of the websockets package."""

    def __init__(self, client, host, path="/chat", protocol="websocket", version="13"):
        self.client, self.protocol = client, websockets.protocol.Protocol(websockets.protocol.CLIENT)
        self.stream = client.h2.get_next_available_stream_id()
        client.h2.send_headers(self.stream, [
            (":method", "CONNECT"), (":protocol", protocol), (":scheme", "http"), (":path", path),
            (":authority", host), ("sec-websocket-version", version)])
        client.flush()
        self.head, self.ended, self.reset = None, False, None
        vars(client).setdefault("sockets", {})[self.stream] = self

    def step(self):
        for event in self.client.h2.receive_data(self.client.socket.recv(65536)):
            of = self.client.sockets.get(getattr(event, "stream_id", None))
            if of is not None:
                of.take(event)
        self.client.flush()

    def take(self, event):
        if isinstance(event, h2.events.ResponseReceived):
            self.head = dict(event.headers)
        elif isinstance(event, h2.events.DataReceived):
            self.protocol.receive_data(event.data)
            self.client.h2.acknowledge_received_data(event.flow_controlled_length, self.stream)
        elif isinstance(event, h2.events.StreamEnded):
            self.ended = True
        elif isinstance(event, h2.events.StreamReset):
            self.reset = event.error_code

    def status(self):
        while self.head is None and self.reset is None:
            self.step()
        return int(self.head[":status"])

    def say(self, message):
        self.protocol.send_binary(message)
        for data in self.protocol.data_to_send():
            for at in range(0, len(data), 10000):
                piece = data[at:at + 10000]
                while self.client.h2.local_flow_control_window(self.stream) < len(piece):
                    self.step()
                self.client.h2.send_data(self.stream, piece)
                self.client.flush()

    def hear(self):
        while True:
            for frame in self.protocol.events_received():
                return frame.data
            self.step()


def test_a_websocket_over_http2_reaches_an_http1_backend(start_gateway):
    with EchoSockets() as server:
        port = free_port()
        gateway = start_gateway(*simple(port, server.port))
        with socket.create_connection(("127.0.0.1", port), DEADLINE) as sock:
            client = H2Client(sock)
            many = [H2Socket(client, "a.example") for _ in range(3)]
            many[0].say(b"early")  # before the answer is there
            for each in many:
                assert each.status() == 200
                assert "sec-websocket-accept" not in each.head and "upgrade" not in each.head
            assert client.h2.remote_settings.enable_connect_protocol
            assert many[0].hear() == b"early"
            for size in (1, 1000, 60000):
                for each in many:
                    each.say(b"x" * size)
                    assert each.hear() == b"x" * size
            many[0].protocol.send_close(1000)
            for data in many[0].protocol.data_to_send():
                client.h2.send_data(many[0].stream, data)
            client.h2.end_stream(many[0].stream)
            client.flush()
            while not many[0].ended:
                many[0].step()
            many[1].say(b"still here")
            assert many[1].hear() == b"still here"
            # What is no WebSocket is not tunnelled.
            assert H2Socket(client, "a.example", protocol="connect-udp").status() == 501
            assert H2Socket(client, "a.example", version="12").status() == 400
        lines = gateway.log_lines(3)
        assert {line["response_code"] for line in lines} == {101}, lines


def test_a_backend_that_refuses_a_websocket_is_heard_over_http2(start_gateway, backend):
    port = free_port()
    start_gateway(*simple(port, backend.port))
    with socket.create_connection(("127.0.0.1", port), DEADLINE) as sock:
        client = H2Client(sock)
        refused = H2Socket(client, "a.example")
        refused.say(b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
        assert refused.status() == 502  # the backend's 200 would mean that the tunnel is there
        while not refused.ended:
            refused.step()
        assert client.get("a.example", scheme="http").status == 200
    assert "/smuggled" not in [got.target for got in backend.requests]
    fields = dict(backend.requests[0].fields)
    assert fields["upgrade"] == "websocket" and len(fields["sec-websocket-key"]) == 24


@pytest.mark.parametrize("accept", ["", "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"])
def test_a_backend_that_does_not_answer_the_key_is_no_websocket(start_gateway, accept):
    """RFC 6455 4.1: what speaks no WebSocket gets not a byte of the client's."""
    port, said = free_port(), []
    with socket.create_server(("127.0.0.1", 0)) as listener_socket:
        def serve():
            connection, _ = listener_socket.accept()
            with connection:
                connection.settimeout(DEADLINE)
                said.append(connection.recv(65536))
                connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n"
                                   b"Upgrade: websocket\r\n" + accept.encode() + b"\r\n")
                with contextlib.suppress(ConnectionResetError):  # how a request is given up
                    while more := connection.recv(65536):
                        said.append(more)
        backend = threading.Thread(target=serve)
        backend.start()
        gateway = start_gateway(*simple(port, listener_socket.getsockname()[1]))
        with socket.create_connection(("127.0.0.1", port), DEADLINE) as sock:
            refused = H2Socket(H2Client(sock), "a.example")
            refused.say(b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
            assert refused.status() == 502
        backend.join(DEADLINE)
        assert gateway.log_lines(1)[0]["response_code_details"] == "upstream_websocket_accept"
    assert len(said) == 1 and b"smuggled" not in said[0]


# ---- misdirected ----

LISTENERS = (("https", None), ("second", "second-example.org"), ("wild", "*.wildcard.org"),
             ("fourth", "fourth-example.wildcard.org"))
MISDIRECTED = (
    ("example.org", "example.org", 200), ("example.org", "second-example.org", 421),
    ("example.org", "unknown-example.org", 404),
    ("second-example.org", "second-example.org", 200), ("second-example.org", "example.org", 421),
    ("second-example.org", "unknown-example.org", 421),
    ("third-example.wildcard.org", "third-example.wildcard.org", 200),
    ("third-example.wildcard.org", "fith-example.wildcard.org", 200),
    ("third-example.wildcard.org", "fourth-example.wildcard.org", 421),
    ("third-example.wildcard.org", "second-example.org", 421),
    ("third-example.wildcard.org", "unknown-example.org", 421),
    ("fourth-example.wildcard.org", "fourth-example.wildcard.org", 200),
    ("fourth-example.wildcard.org", "fith-example.wildcard.org", 421),
    ("unknown-example.org", "example.org", 200),
    ("unknown-example.org", "unknown-example.org", 404))


def test_misdirected_requests_get_421(start_gateway, authority, start_backend):
    port = free_port()
    names = ["example.org", "unknown-example.org", "second-example.org", "*.wildcard.org"]
    hosts = {"https": "example.org", "second": "second-example.org", "wild": "*.wildcard.org",
             "fourth": "fourth-example.wildcard.org"}
    routes = []
    for name, _ in LISTENERS:
        made = route(name, rule(name), hostnames=[hosts[name]])
        made["spec"]["parentRefs"] = [{"name": "web", "sectionName": name}]
        routes.append(made)
    start_gateway(
        gateway_of(*(https(name, port, host, "cert") for name, host in LISTENERS)), *routes,
        authority.secret("cert", *names),
        *(service(name, start_backend(named(name)).port) for name, _ in LISTENERS))
    for server_name, host, status in MISDIRECTED:
        context = authority.context()
        context.set_alpn_protocols(["h2"])
        with Client(port, tls=context, server_name=server_name) as client:
            peer = H2Client(client.socket)
            # The connection stays good for what it is for.
            assert [peer.get(host).status for _ in range(2)] == [status] * 2, (server_name, host)


# ---- out ----

@pytest.mark.quick
def test_an_h2c_backend_gets_many_requests_on_few_connections(start_gateway, start_h2):
    port, app = free_port(), start_h2()
    start_gateway(gateway_of(listener("http", port)), route("all", rule("app")),
                  h2_service("app", app.port), workers=1)
    answer = request(port, "/x?y", headers={"X-Upper": "Kept"})
    got = json.loads(answer.body)
    assert (got[":method"], got[":path"], got[":scheme"]) == ("GET", "/x?y", "http")
    assert got["x-upper"] == "Kept" and got[":authority"] == "test"
    assert ask_at_once(port, ["/"] * 300) == [200] * 300
    with prior_knowledge(port) as client:
        assert client.post("/", content=b"y" * 500000).json()["size"] == 500000
    assert app.connections == 1, app.connections
    # A burst without any connection: it shares the one that is made.
    app.drop()
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        assert {each.status for each in pool.map(lambda _: request(port), range(16))} == {200}
    assert app.connections <= 3, app.connections


def test_http1_chunked_with_trailers_becomes_http2_and_back(start_gateway, start_h2):
    port, app = free_port(), start_h2(trailers=[("x-after", "body")])
    start_gateway(gateway_of(listener("http", port)), route("all", rule("app")),
                  h2_service("app", app.port))
    with Client(port) as client:
        client.send("POST /t HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n"
                    "TE: trailers\r\nTrailer: x-sum\r\n\r\n3\r\nabc\r\n0\r\nx-sum: 42\r\n\r\n")
        answer = client.read("POST")
        got = json.loads(answer.body)
        assert got["size"] == 3 and got["trailers"] == [["x-sum", "42"]], got
        assert answer.trailers == [("x-after", "body")], answer
    with socket.create_connection(("127.0.0.1", port), DEADLINE) as sock:
        answer = H2Client(sock).get("a.example", scheme="http")
        assert answer.trailers == [("x-after", "body")]


def test_refused_streams_are_tried_elsewhere(start_gateway, start_h2):
    port = free_port()
    bad, good = start_h2(refuse=h2.errors.ErrorCodes.REFUSED_STREAM), start_h2()
    start_gateway(gateway_of(listener("http", port)), route("all", rule("app")),
                  h2_service("app", bad.port, good.port), workers=1)
    for _ in range(6):
        assert request(port, "/", method="POST", body=b"not lost").status == 200
    assert bad.streams > 0 and good.streams == 6


def test_other_resets_are_502(start_gateway, start_h2):
    for code in (h2.errors.ErrorCodes.CANCEL, h2.errors.ErrorCodes.INTERNAL_ERROR):
        port, bad = free_port(), start_h2(refuse=code)
        start_gateway(gateway_of(listener("http", port)), route("all", rule("app")),
                      h2_service("app", bad.port), workers=1)
        for _ in range(3):
            assert request(port).status == 502
        assert bad.streams == 3


def test_what_goaway_leaves_out_is_tried_again(start_gateway, start_h2):
    port, app = free_port(), start_h2(goaway_after=40)
    start_gateway(gateway_of(listener("http", port)), route("all", rule("app")),
                  h2_service("app", app.port), workers=1)
    assert ask_at_once(port, ["/"] * 100) == [200] * 100
    assert app.connections >= 3


def test_a_backend_that_allows_one_stream_gets_one_at_a_time(start_gateway, start_h2):
    port, app = free_port(), start_h2(streams=1)
    start_gateway(gateway_of(listener("http", port)), route("all", rule("app")),
                  h2_service("app", app.port), workers=1)
    assert ask_at_once(port, ["/"] * 40) == [200] * 40


def test_a_backend_that_allows_no_stream_is_waited_for_and_then_503(start_gateway, start_h2):
    port, app = free_port(), start_h2(streams=0)
    start_gateway(gateway_of(listener("http", port)), route("all", rule("app")),
                  h2_service("app", app.port), workers=1)
    # Sent before its SETTINGS were there, or held back by them at the last moment.
    assert request(port).status in (200, 503)
    begun = time.monotonic()
    assert request(port).status == 503
    assert time.monotonic() - begun < 15
    assert app.connections <= 4
    app.allow(10)
    wait_for(lambda: request(port).status == 200, "a stream is allowed")


def test_a_backend_that_stops_reading_holds_the_client_back(start_gateway, start_h2):
    port, app = free_port(), start_h2(hold=True)
    gateway = start_gateway(gateway_of(listener("http", port)), route("all", rule("app")),
                            h2_service("app", app.port), workers=1)
    with socket.create_connection(("127.0.0.1", port), DEADLINE) as sock:
        client = H2Client(sock)
        stream = client.send("a.example", method="POST", end=False, scheme="http")
        sent, before = 0, gateway.proxy.rss()
        sock.settimeout(1)
        while sent < 8 << 20:
            room = min(client.h2.local_flow_control_window(stream), 16384)
            if room > 0:
                client.h2.send_data(stream, b"z" * room)
                client.flush()
                sent += room
                continue
            try:
                for event in client.h2.receive_data(sock.recv(65536)):
                    client.take(event, stream, Answered())
            except TimeoutError:
                break
        assert sent < 2 << 20, "the window closed"
        assert gateway.proxy.rss() - before < 16 << 20
