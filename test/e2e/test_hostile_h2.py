"""Hostile HTTP/2 over real sockets: each row's verdict, and floods beside honest traffic."""
# SPDX-License-Identifier: Apache-2.0
import contextlib
import os
import pathlib
import threading
import time

import h2_rows
import pytest

from certificates import Authority
from h2_rows import Peer, frame, get
from harness import (DEADLINE, free_port, gateway_of, listener, route, rule, sanitizer, service,
                     simple, wait_for)
from http_backend import Backend
from http_client import Client, request
from judge import Judge, verdict

pytestmark = pytest.mark.sanitized
ROWS = 70
REACH = 250  # requests of one connection that may reach the backend while it resets streams


async def quick(got):
    await got.answer(b"fine")


@pytest.fixture(name="app")
def start_app():
    with Backend(quick) as app:
        yield app


def one_row(row, port, app, **tls):
    name, verdicts, _ = row
    before = len(app.requests)
    peer = Peer(port, **tls)
    peer.say(h2_rows.said(row))
    seen = peer.verdict(None if name in ("P57", "P58", "P63") else (1,), DEADLINE)
    while name == "P63" and seen == "200":
        seen = peer.verdict(None, DEADLINE)
    assert seen in verdicts, (name, seen)
    if verdicts == h2_rows.REFUSE:
        assert not [got.target for got in app.requests[before:]], name
    # Other streams live on, where only a stream was refused.
    if seen[:3] in ("RST", "400") and name != "P63":
        peer.say(get(999, "/honest"))
        assert peer.verdict((999,), DEADLINE) == "200", name
    peer.close()
    assert len(app.requests) - before <= REACH, name
    assert tls or request(port).status == 200, name


def test_each_row_gets_its_verdict_before_and_after_a_change(start_gateway, app):
    assert len(h2_rows.ROWS) == ROWS
    port = free_port()
    gateway = start_gateway(*simple(port, app.port))
    for row in h2_rows.ROWS:
        one_row(row, port, app)
    gateway.apply("config.yaml", *simple(port, app.port, timeouts={"request": "60s"}))
    for row in h2_rows.ROWS:
        one_row(row, port, app)


def test_verdicts_are_the_same_over_tls(start_gateway, app):
    port, authority = free_port(), Authority()
    start_gateway(
        gateway_of(listener("https", port, "HTTPS", tls={"certificateRefs": [{"name": "c"}]})),
        route("all", rule("app")), service("app", app.port), authority.secret("c", "a.example"))
    context = authority.context()
    context.set_alpn_protocols(["h2"])
    for row in h2_rows.ROWS:
        one_row(row, port, app, tls=context, server_name="a.example")


# ---- floods at full speed, beside honest traffic (T04) ----

def again(chunk):
    """The same bytes for ever."""
    while True:
        yield chunk


def streams(make, step):
    """make(first, count) with stream numbers that rise."""
    for first in range(1, 1 << 30, 2 * step):
        yield make(first, step)


def in_stream(begin, chunk):
    yield begin
    yield from again(chunk)


FLOODS = {
    "P43 empty CONTINUATION": lambda: in_stream(
        frame(h2_rows.HEADERS, 1, 1, h2_rows.block(h2_rows.start())),
        frame(h2_rows.CONTINUATION, 0, 1) * 100),
    "P45 HPACK bomb": lambda: streams(lambda first, count: h2_rows.bomb(first), 1),
    "P57 rapid reset": lambda: streams(h2_rows.resets, 50),
    "P58 made-you-reset": lambda: streams(h2_rows.made_resets, 50),
    "P59 SETTINGS": lambda: again(frame(h2_rows.SETTINGS) * 100),
    "P60 PING": lambda: again(frame(h2_rows.PING, load=b"12345678") * 100),
    "P61 empty DATA": lambda: in_stream(h2_rows.post(),
                                        h2_rows.body(b"", end=False) * 100),
    "P62 PRIORITY": lambda: again(frame(h2_rows.PRIORITY, 0, 3, b"\0\0\0\0\x10") * 100),
    "P63 streams over the limit": lambda: streams(
        lambda first, count: b"".join(get(first + 2 * i, end=False) for i in range(count)), 50),
    "P66 cookie crumbs": lambda: streams(lambda first, count: h2_rows.crumbs(first), 1),
    "WINDOW_UPDATE of one byte": lambda: again(h2_rows.word(h2_rows.WINDOW, 0, 1) * 100),
    "frames of no known type": lambda: again(frame(0x42, 0, 0, b"x") * 100),
}


class Attack:
    """Connections that flood until the gateway ends them, again and again."""

    def __init__(self, port, flood, count):
        self.port, self.flood, self.ended, self.stop = port, flood, 0, threading.Event()
        self.threads = [threading.Thread(target=self._run) for _ in range(count)]

    def _run(self):
        while not self.stop.is_set():
            try:
                peer = Peer(self.port)
            except OSError:
                continue
            alive = peer.say(h2_rows.PREFACE + frame(h2_rows.SETTINGS))
            for chunk in self.flood():
                alive = alive and not self.stop.is_set() and peer.say(chunk)
                if not alive:
                    break
            self.ended += not self.stop.is_set()
            peer.close()

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join()


def processor_seconds(pid):
    words = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def honest(port, seconds):
    """Requests of both versions for a while, each on connections that stay; their number."""
    count, until = 0, time.monotonic() + seconds
    peer = Peer(port)
    peer.say(h2_rows.PREFACE + frame(h2_rows.SETTINGS))
    with Client(port) as client:
        while time.monotonic() < until or count < 20:
            assert client.request("GET", "/honest").status == 200
            stream = 2 * count + 1
            assert peer.say(get(stream, "/honest"))
            assert peer.verdict((stream,), DEADLINE) == "200"
            count += 1
    peer.close()
    return count


@pytest.mark.parametrize("flood", FLOODS)
def test_a_flood_does_not_harm_honest_traffic(start_gateway, start_backend, app, flood):
    port, target = free_port(), start_backend(quick)
    gateway = start_gateway(
        gateway_of(listener("http", port)),
        route("all", rule("app"),
              rule("target", matches=[{"path": {"type": "Exact", "value": h2_rows.PATH}}])),
        service("app", app.port), service("target", target.port), workers=1)
    honest(port, 0)
    before = gateway.proxy.rss()
    with Attack(port, FLOODS[flood], 4) as attack:
        honest(port, 2)
        wait_for(lambda: attack.ended >= 4, "the gateway ends those who flood it")
        if not sanitizer():
            assert gateway.proxy.rss() - before < 32 << 20
    reached = len(target.requests)
    assert reached <= REACH * (attack.ended + len(attack.threads)), (reached, attack.ended)
    assert request(port).status == 200


@pytest.mark.soak
@pytest.mark.parametrize("count", (1, 50))
@pytest.mark.parametrize("flood", FLOODS)
def test_a_long_flood_beside_honest_requests(start_gateway, start_backend, flood, count):
    """T04 at its counts, 500 a second. The p99 that it prints (-s) needs a processor to itself."""
    port, target, judge = free_port(), start_backend(quick, record=False), Judge()
    with contextlib.closing(judge):
        gateway = start_gateway(
            gateway_of(listener("http", port)),
            route("all", rule("app"),
                  rule("target", matches=[{"path": {"type": "Exact", "value": h2_rows.PATH}}])),
            service("app", judge.port), service("target", target.port))
        load = {"port": port, "kinds": "h1,h2", "rate": 500, "late": 60000, "end": 60000}
        with judge.load(**load, requests=1500) as alone:
            pass
        before, used = gateway.proxy.rss(), processor_seconds(gateway.proxy.pid)
        theirs = processor_seconds(os.getpid())
        with Attack(port, FLOODS[flood], count) as attack:
            with judge.load(**load, requests=5000) as beside:
                pass
        used = processor_seconds(gateway.proxy.pid) - used
        theirs = processor_seconds(os.getpid()) - theirs
        beside["doubled"] -= alone["sent"]  # both loads begin at number 0
        assert verdict(alone) == verdict(beside) == {}
        assert attack.ended >= count
        time.sleep(5)
        kept = gateway.proxy.rss() - before
        print(f"\n{flood}, {count}: p99 {alone['p99_ms']} ms alone, {beside['p99_ms']} ms beside; "
              f"{attack.ended} connections ended; {used / max(theirs, 0.01):.2f} x their "
              f"processor; {kept >> 10} KiB kept")
        assert used <= 10 * theirs and kept < 24 << 20
