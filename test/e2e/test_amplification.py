"""What a peer's bytes cost us: for every input of the hostile tables and the floods, how much memory
is held for each byte, and how much more processor time is used than for as many ordinary requests,
each on a connection of its own."""
# SPDX-License-Identifier: Apache-2.0
import contextlib
import itertools
import socket
import time

import pytest

import h2_rows
import probe
from certificates import Authority
from h2_rows import PREFACE, SETTINGS, frame
from harness import (DEADLINE, free_port, gateway_of, listener, metric_sum, route, rule, service,
                     wait_for)
from http_client import request
from test_hostile_h2 import FLOODS
from test_tls_hostile import hello, name_list

pytestmark = pytest.mark.release
MOST = 100
COPIES = 40
BUFFERS = 4 * 16384  # what one connection may borrow whatever came: LIMIT_BUFFER_BLOCK, both sides
FLOOD = 1 << 16      # bytes of a flood
GET = b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"


def processor_ns(pid):
    """Used by all threads; the clock of another process as in clock_getcpuclockid(3)."""
    return time.clock_gettime_ns((~pid << 3) | 2)


def said(text):
    """The pieces of a row of probe.py's tables."""
    return [piece for piece in probe.parse_bytes(text) if piece != probe.PAUSE]


def first_bytes(chunks, most):
    taken = b""
    for chunk in chunks:
        taken += chunk
        if len(taken) >= most:
            return taken
    return taken


def requests_of(data):
    """How many streams these frames open."""
    at, count = len(PREFACE), 0
    while at + 9 <= len(data):
        count += data[at + 3] == h2_rows.HEADERS
        at += 9 + int.from_bytes(data[at:at + 3], "big")
    return max(count, 1)


class Scale:
    def __init__(self, gateway):
        self.gateway, self.proxy, self.pid = gateway, gateway.proxy, gateway.proxy.pid
        self.ordinary, self.found = 0, []

    def speak(self, port, pieces):
        sock = socket.create_connection(("127.0.0.1", port), DEADLINE)
        sock.settimeout(1)
        with contextlib.suppress(OSError):
            for piece in pieces:
                if piece == probe.FIN:
                    sock.shutdown(socket.SHUT_WR)
                else:
                    sock.sendall(piece)
        return sock

    def settled(self):
        """When the gateway has nothing more to do."""
        before, quiet = processor_ns(self.pid), 0
        while quiet < 3:
            time.sleep(0.01)
            now = processor_ns(self.pid)
            quiet = quiet + 1 if now - before < 50_000 else 0
            before = now
        return before

    def weigh(self, port, pieces):
        """(bytes held by each copy, nanoseconds that each took)."""
        wait_for(lambda: metric_sum(self.gateway.metrics(), "nantian_downstream_connections") == 0,
                 "what was before is closed", step=0.05)
        memory, began = self.proxy.rss(), self.settled()
        sockets = [self.speak(port, pieces) for _ in range(COPIES)]
        spent = self.settled() - began
        held = max(0, self.proxy.rss() - memory)
        for sock in sockets:
            sock.close()
        return held / COPIES, spent / COPIES

    def judge(self, group, name, port, pieces, received=None, requests=1):
        """`received` bytes are more than the pieces; `requests` is what they ask for."""
        size = received or sum(len(piece) for piece in pieces if isinstance(piece, bytes))
        held, spent = self.weigh(port, pieces)
        memory, times = max(0.0, held - BUFFERS) / size, spent / (self.ordinary * requests)
        self.found.append((group, name, size, memory, times))
        assert memory <= MOST and times <= MOST, (name, size, held, spent, self.ordinary)

    def report(self):
        for group, rows in itertools.groupby(self.found, lambda found: found[0]):
            rows = list(rows)
            memory, times = max(rows, key=lambda r: r[3]), max(rows, key=lambda r: r[4])
            print(f"{group}: {len(rows)} inputs; memory {memory[3]:.1f} x ({memory[1]}); "
                  f"processor {times[4]:.1f} x ({times[1]})")


def ordinary(scale, port, pieces):
    scale.weigh(port, pieces)  # the first ones warm it
    scale.ordinary = min(scale.weigh(port, pieces)[1] for _ in range(3))


@pytest.fixture(name="answers")
def make_answers():
    return {row["id"]: said(row["answer"]) for row in probe.read_table(
        "h1_responses.tsv", ("id", "method", "answer"))}


@pytest.fixture(name="served")
def serve(start_gateway, start_backend, answers):
    """(scale, port, TLS port): /B01 and so on are answered as the table says."""
    async def answer(req):
        row = req.target[1:]
        if row not in answers:
            await req.answer(b"fine")
            return
        for piece in answers[row]:
            if piece in (probe.FIN, probe.DROP):
                break
            await req.raw(piece)
    port, tls_port, behind = free_port(), free_port(), start_backend(answer, record=False)
    gateway = start_gateway(
        gateway_of(listener("http", port),
                   listener("https", tls_port, "HTTPS", tls={"certificateRefs": [{"name": "c"}]})),
        route("all", rule("app")), service("app", behind.port),
        Authority().secret("c", "a.example"), workers=1)
    request(port)
    scale = Scale(gateway)
    yield scale, port, tls_port
    scale.report()


def test_no_request_costs_a_hundred_times_what_it_should(served):
    scale, port, _ = served
    ordinary(scale, port, [GET])
    for row in probe.read_table("h1_requests.tsv", ("id", "bytes")):
        scale.judge("HTTP/1.1 requests", row["id"], port, said(row["bytes"]))
    start = PREFACE + frame(SETTINGS)
    for row in h2_rows.ROWS:
        data = h2_rows.said(row)
        scale.judge("HTTP/2 rows", row[0], port, [data], requests=requests_of(data))
    for name, flood in FLOODS.items():
        data = start + first_bytes(flood(), FLOOD)
        scale.judge("floods", name, port, [data], requests=requests_of(data))


def test_no_answer_costs_a_hundred_times_what_it_should(served, answers):
    scale, port, _ = served
    ordinary(scale, port, [GET])
    for name, pieces in answers.items():
        size = sum(len(piece) for piece in pieces if isinstance(piece, bytes))
        asked = f"GET /{name} HTTP/1.1\r\nHost: a.example\r\n\r\n".encode()
        scale.judge("backends' answers", name, port, [asked], size + len(asked))


def test_no_hello_costs_a_hundred_times_what_it_should(served):
    scale, port, tls_port = served
    ordinary(scale, port, [GET])
    good = hello(name_list(b"a.example"))
    many = b"".join(bytes((0x50 + i // 256, i % 256)) for i in range(1000)) + b"\xc0\x2b"
    for name, pieces in {
            "complete": [good], "byte by byte": [good[i:i + 1] for i in range(len(good))],
            "half": [good[:len(good) // 2]], "first byte": [good[:1]],
            "1,000 ciphers": [hello(ciphers=many)], "no name": [hello()],
            "plain text": [GET], "16 KiB record without end": [b"\x16\x03\x01\x40\x00" + bytes(9000)],
            "garbage": [bytes(range(256)) * 64]}.items():
        scale.judge("TLS hellos", name, tls_port, pieces)
