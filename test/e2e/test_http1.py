"""HTTP/1.1 in and out, with clients and backends that behave, and that do not."""
# SPDX-License-Identifier: Apache-2.0
import asyncio
import hashlib
import json
import os
import socket
import subprocess
import threading

import pytest
import websockets
import websockets.sync.client

from harness import DEADLINE, free_port, sanitizer, simple, wait_for
from http_backend import named, read_body
from http_client import Client, request

pytestmark = pytest.mark.sanitized
MIB = 1 << 20


@pytest.fixture
def through(start_gateway, start_backend):
    """A gateway before one backend: its port, the backend, the gateway."""
    def start(*args, rule=None, gateway=None, **options):
        behind, port = start_backend(*args, **options), free_port()
        return port, behind, start_gateway(*simple(port, behind.port, **(rule or {})),
                                           **(gateway or {}))
    return start


async def digest(request):
    """Reads the body as it comes; answers with its size and digest."""
    found, left = hashlib.sha256(), int(request.get("content-length") or 0)
    if request.get("transfer-encoding") == "chunked":
        await read_body(request)
        found.update(request.body)
        size = len(request.body)
    else:
        size = left
        while left > 0:
            data = await request.reader.read(min(left, 1 << 18))
            if not data:
                raise ConnectionError
            found.update(data)
            left -= len(data)
    await request.answer(json.dumps({"size": size, "sha256": found.hexdigest()}).encode())


PATTERN = bytes(range(251)) * 4096  # 251 is prime: a shifted block is another block


async def download(request):
    """/SIZE: so many bytes; /SIZE?chunked the same in chunks."""
    size = int(request.target.strip("/").split("?")[0])
    if "chunked" in request.target:
        await request.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n")
    else:
        await request.raw(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode())
    left = size
    while left > 0:
        data = PATTERN[:left]
        left -= len(data)
        if "chunked" in request.target:
            data = f"{len(data):x}\r\n".encode() + data + b"\r\n"
        await request.raw(data)
    if "chunked" in request.target:
        await request.raw(b"0\r\nx-sum: done\r\n\r\n")


def pattern_digest(size):
    found = hashlib.sha256()
    for _ in range(size // len(PATTERN)):
        found.update(PATTERN)
    found.update(PATTERN[:size % len(PATTERN)])
    return found.hexdigest()


@pytest.mark.quick
def test_a_connection_carries_many_requests_and_one_to_the_backend(through):
    port, behind, gateway = through(gateway={"workers": 1})
    with Client(port) as client:
        for i in range(50):
            answer = client.request("POST", f"/{i}", body=b"x" * i)
            assert answer.status == 200 and json.loads(answer.body)["size"] == i
    assert behind.connections == 1
    reused = gateway.metrics()['nantian_upstream_connections_total{result="reused"}']
    assert reused == 49


def test_pipelined_requests_are_answered_in_order(through):
    port, behind, _ = through()
    with Client(port) as client:
        client.send("".join(f"GET /{i} HTTP/1.1\r\nHost: a\r\n\r\n" for i in range(100)))
        targets = [json.loads(client.read().body)["target"] for _ in range(100)]
    assert targets == [f"/{i}" for i in range(100)]
    assert [r.target for r in behind.requests] == targets


def test_chunked_bodies_and_trailers_pass_both_ways(through):
    async def answer(req):
        await req.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-t\r\n\r\n"
                      b"3\r\nabc\r\n4;ext=1\r\ndefg\r\n0\r\nx-t: from backend\r\n\r\n")

    port, behind, _ = through(answer)
    with Client(port) as client:
        client.send("POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n"
                    "Trailer: x-c\r\n\r\n2\r\nhe\r\n3;a=b\r\nllo\r\n0\r\nx-c: from client\r\n\r\n")
        response = client.read()
        assert (response.status, response.body, response.whole) == (200, b"abcdefg", True)
        assert response.trailers == [("x-t", "from backend")]
        assert client.request("GET", "/").status == 200
    got = behind.requests[0]
    assert got.body == b"hello" and ("x-c", "from client") in got.trailers


def test_head_has_the_length_and_no_body(through):
    port, _, _ = through(named("backend"))
    with Client(port) as client:
        for _ in range(3):
            answer = client.request("HEAD", "/")
            assert answer.status == 200 and answer.get("content-length") == "7"
        assert client.request("GET", "/").body == b"backend"


def test_curl_waits_for_100_continue_and_is_not_kept_waiting(through):
    port, _, _ = through(digest, streaming=True)
    body = os.urandom(MIB)
    done = subprocess.run(
        ["curl", "-sSv", "--expect100-timeout", "30", "-H", "Expect: 100-continue",
         "--data-binary", "@-", f"http://127.0.0.1:{port}/"], input=body, capture_output=True,
        timeout=DEADLINE, check=True)
    assert b"100 Continue" in done.stderr
    assert json.loads(done.stdout)["sha256"] == hashlib.sha256(body).hexdigest()


def test_a_refused_request_with_expect_is_told_before_its_body(through):
    port, behind, _ = through(rule={"matches": [{"path": {"value": "/only"}}]})
    with Client(port) as client:
        client.send("POST /other HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
                    "Content-Length: 1000000\r\n\r\n")
        assert client.read().status == 404
    assert behind.requests == []


@pytest.mark.parametrize("mebibytes", [1, 16, 64])
def test_big_bodies_pass_both_ways_byte_for_byte(through, mebibytes, tmp_path):
    if sanitizer() and mebibytes > 1:
        pytest.skip("minutes under a sanitizer; the release build runs it")
    size = mebibytes * MIB
    port, _, gateway = through(
        lambda req: digest(req) if req.method == "POST" else download(req), streaming=True,
        record=False)
    path = tmp_path / "body"
    with open(path, "wb") as out:
        for _ in range(size // len(PATTERN)):
            out.write(PATTERN)
        out.write(PATTERN[:size % len(PATTERN)])
    wanted = pattern_digest(size)
    before = gateway.proxy.rss()
    for headers in ([], ["-H", "Transfer-Encoding: chunked"]):
        done = subprocess.run(["curl", "-sS", "-H", "Expect:", *headers, "-X", "POST", "-T", path,
                               f"http://127.0.0.1:{port}/"], capture_output=True, timeout=DEADLINE,
                              check=True)
        assert json.loads(done.stdout) == {"size": size, "sha256": wanted}
        if mebibytes == 64:
            break  # the scripted backend keeps a chunked body
    for query in ("", "?chunked"):
        with subprocess.Popen(["curl", "-sS", f"http://127.0.0.1:{port}/{size}{query}"],
                              stdout=subprocess.PIPE) as curl:
            found = hashlib.sha256()
            while data := curl.stdout.read(MIB):
                found.update(data)
        assert curl.returncode == 0 and found.hexdigest() == wanted
    if not sanitizer():
        assert gateway.proxy.rss() - before < 16 * MIB


def test_http_1_0_is_served_and_closed(through):
    port, behind, _ = through()
    with Client(port) as client:
        client.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n")
        answer = client.read()
        assert answer.status == 200 and answer.get("transfer-encoding") is None
        assert client.closed()
    with Client(port) as client:
        client.send("GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n")
        assert client.read().status == 200
    assert {r.version for r in behind.requests} == {"HTTP/1.1"}


def test_a_chunked_answer_reaches_an_http_1_0_client_without_chunks(through):
    port, _, _ = through(download)
    with Client(port) as client:
        client.send("GET /100000?chunked HTTP/1.0\r\nHost: a\r\n\r\n")
        answer = client.read()
        assert answer.get("transfer-encoding") is None
        assert answer.body == PATTERN[:100000]


# ---- tunnels ----

class EchoSockets:
    """A stock WebSocket server."""

    def __enter__(self):
        self.loop = asyncio.new_event_loop()
        self.ready = threading.Event()
        self.thread = threading.Thread(target=lambda: self.loop.run_until_complete(self.main()))
        self.thread.start()
        self.ready.wait(10)
        return self

    async def main(self):
        async def echo(connection):
            async for message in connection:
                await connection.send(message)
        self.stop = asyncio.Event()
        async with websockets.serve(echo, "127.0.0.1", 0, max_size=None) as server:
            self.port = next(iter(server.sockets)).getsockname()[1]
            self.ready.set()
            await self.stop.wait()

    def __exit__(self, *_):
        self.loop.call_soon_threadsafe(self.stop.set)
        self.thread.join()


@pytest.mark.quick
def test_a_websocket_client_and_server_talk_through_the_gateway(start_gateway):
    with EchoSockets() as server:
        port = free_port()
        gateway = start_gateway(*simple(port, server.port))
        with websockets.sync.client.connect(f"ws://127.0.0.1:{port}/chat", max_size=None,
                                            proxy=None) as client:
            for message in ("hello", "ü" * 1000, b"\x00\xff" * 70000, ""):
                client.send(message)
                assert client.recv(timeout=20) == message
            assert client.ping().wait(20)
        assert gateway.log_lines(1)[0]["response_code"] == 101
        assert request(port, "/").status == 426  # the server wants an upgrade


def test_a_websocket_outlives_configuration_changes(start_gateway):
    with EchoSockets() as server:
        port = free_port()
        gateway = start_gateway(*simple(port, server.port))
        with websockets.sync.client.connect(f"ws://127.0.0.1:{port}/", proxy=None) as client:
            for i in range(3):
                gateway.apply("config.yaml", *simple(port, server.port,
                                                     timeouts={"request": f"{i + 10}s"}))
                client.send(f"{i}")
                assert client.recv(timeout=20) == f"{i}"


def test_an_upgrade_that_the_backend_declines_is_a_plain_answer(through):
    port, _, _ = through(named("plain"))
    with Client(port) as client:
        answer = client.request("GET", "/", {"Connection": "Upgrade", "Upgrade": "websocket"})
        assert (answer.status, answer.body) == (200, b"plain")
        assert client.request("GET", "/").body == b"plain"


# ---- peers that fail ----

def test_a_client_that_resets_ends_the_request_at_the_backend(through):
    """A half-close alone does not: such a client may still want its answer."""
    async def wait(req):
        await req.reader.read(1)

    port, behind, gateway = through(wait)
    client = Client(port)
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    wait_for(lambda: behind.requests, "the backend has the request")
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()
    wait_for(lambda: behind.open == 0, "the backend's connection has ended")
    assert "DC" in gateway.log_lines(1)[0]["response_flags"]


def test_a_client_that_leaves_in_the_middle_of_an_answer_ends_it_at_the_backend(through):
    async def stream(req):
        await req.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            await req.raw(b"1\r\nx\r\n")
            await asyncio.sleep(0.005)

    port, behind, gateway = through(stream)
    with Client(port) as client:
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        client.read_head()
        assert client.until(b"x\r\n") is not None
    wait_for(lambda: behind.open == 0, "the backend's connection has ended")
    assert "DC" in gateway.log_lines(1)[0]["response_flags"]


def test_a_client_that_half_closes_still_gets_its_answer(through):
    port, _, _ = through(named("late"))
    with Client(port) as client:
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        client.socket.shutdown(socket.SHUT_WR)
        assert client.read().body == b"late"


@pytest.mark.parametrize("how", ["length", "chunked", "reset", "1.0"])
def test_a_backend_that_dies_in_mid_body_never_looks_like_success(through, how):
    async def die(req):
        if how == "1.0" and req.target == "/":
            await req.raw(b"HTTP/1.0 200 OK\r\n\r\nhalf")
        elif how == "chunked":
            await req.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")
        else:
            await req.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        if how == "reset":
            req.writer.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            req.writer.transport.abort()
        req.writer.close()

    port, _, gateway = through(die)
    with Client(port) as client:
        answer = client.request("GET", "/")
        if how == "1.0":  # an answer that ends with its connection: the only way it has
            assert answer.whole and answer.body == b"half"
            return
        assert not answer.whole and answer.body in (b"half", b"")
        assert client.closed()
    done = subprocess.run(["curl", "-sS", f"http://127.0.0.1:{port}/"], capture_output=True,
                          timeout=DEADLINE, check=False)
    assert done.returncode in (18, 56), done
    assert gateway.log_lines(2)[0]["response_flags"] != "-"


def test_a_backend_that_closes_before_it_answers_is_502_and_others_are_unharmed(through):
    async def vanish(req):
        if req.target == "/vanish":
            req.writer.close()
        else:
            await req.answer(b"fine")

    port, _, _ = through(vanish)
    for _ in range(5):
        assert request(port, "/vanish", "POST", body=b"x").status == 502
        assert request(port, "/").body == b"fine"


def test_an_answer_whose_head_is_too_large_is_called_that(through):
    async def boast(req):
        req.writer.write(b"HTTP/1.1 200 OK\r\nx: " + b"y" * 70000 + b"\r\ncontent-length: 0\r\n\r\n")
        await req.writer.drain()

    port, _, gateway = through(boast)
    answer = request(port, "/")
    assert answer.status == 502 and b"too large" in answer.body
    line = gateway.log_lines(1)[0]
    assert line["response_flags"] == "UPE"
    assert line["response_code_details"] == "upstream_header_limit"


def test_trailers_that_are_too_large_are_called_that(through):
    async def boast(req):
        req.writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx: "
                         + b"y" * 70000 + b"\r\n\r\n")
        await req.writer.drain()

    port, _, gateway = through(boast)
    with Client(port) as client:
        client.send("GET / HTTP/1.1\r\nHost: a:\r\n\r\n")
        assert not client.read().whole
    line = gateway.log_lines(1)[0]
    assert (line["response_flags"], line["response_code_details"]) == ("UPE", "upstream_header_limit")
    with Client(port) as client:
        client.send("POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nx: "
                    + "y" * 70000 + "\r\n\r\n")
        line = gateway.log_lines(2)[1]
    assert (line["response_flags"], line["response_code_details"]) == ("DPE", "downstream_limit")


def test_a_backend_that_closes_idle_connections_costs_no_request(through):
    async def once(req):
        await req.answer(b"fine")
        req.writer.close()  # without saying so

    port, behind, _ = through(once)
    with Client(port) as client:
        assert [client.request("GET", "/").status for _ in range(100)] == [200] * 100
    assert behind.connections >= 100


def test_an_early_answer_to_a_long_upload_reaches_the_client(through):
    async def refuse(req):
        await req.answer(b"too big", "413 Content Too Large", {"Connection": "close"})
        req.writer.close()

    port, _, _ = through(refuse, streaming=True)
    with Client(port) as client:
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n")
        sender = threading.Thread(target=lambda: pour(client, 100))
        sender.start()
        assert client.read().status == 413
        sender.join()


def pour(client, mebibytes):
    try:
        for _ in range(mebibytes):
            client.send(b"x" * MIB)
    except OSError:
        pass


@pytest.mark.release
def test_a_slow_reader_holds_the_backend_back_in_bounded_memory(through):
    sent = [0]

    async def flood(req):
        await req.raw(f"HTTP/1.1 200 OK\r\nContent-Length: {256 * MIB}\r\n\r\n".encode())
        for _ in range(256):
            await req.raw(b"x" * MIB)
            sent[0] += MIB

    port, _, gateway = through(flood, gateway={"workers": 1})
    before = gateway.proxy.rss()
    with Client(port) as client:
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        client.read_head()
        last = [-1]

        def stalled():
            same, last[0] = sent[0] == last[0], sent[0]
            return same
        wait_for(stalled, "the backend has to wait", step=0.2)
        assert sent[0] < 64 * MIB
        assert gateway.proxy.rss() - before < 2 * MIB
        size = len(client.data)
        while size < 16 * MIB:
            size += len(client.socket.recv(MIB))
        wait_for(lambda: sent[0] > last[0], "the backend goes on when the client does")


@pytest.mark.release
def test_a_slow_backend_holds_the_client_back_in_bounded_memory(through):
    go = threading.Event()

    async def wait(req):
        while not go.is_set():
            await asyncio.sleep(0.01)
        await digest(req)

    port, _, gateway = through(wait, streaming=True, gateway={"workers": 1})
    before = gateway.proxy.rss()
    with Client(port) as client:
        client.send(f"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {64 * MIB}\r\n\r\n")
        client.socket.settimeout(0.5)
        sent = 0
        with pytest.raises(TimeoutError):
            while True:
                sent += client.socket.send(b"x" * 65536)
        assert sent < 32 * MIB and gateway.proxy.rss() - before < 2 * MIB
        go.set()
        client.socket.settimeout(DEADLINE)
        while sent < 64 * MIB:
            sent += client.socket.send(b"x" * min(65536, 64 * MIB - sent))
        answer = client.read()
        assert json.loads(answer.body)["sha256"] == hashlib.sha256(b"x" * 64 * MIB).hexdigest()
