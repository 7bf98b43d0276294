"""Clients that take and do not give: slow ones, greedy ones, and many idle ones. Others must not
notice, and memory stays within bounds."""
# SPDX-License-Identifier: Apache-2.0
import contextlib
import resource
import selectors
import socket
import time

import pytest

from certificates import Authority
from harness import (free_port, gateway_of, listener, metric_sum, route, rule, sanitizer, service,
                     simple, wait_for)
from http_backend import named
from http_client import Client, Load, request

pytestmark = pytest.mark.sanitized
FEW = sanitizer() is not None


@pytest.fixture
def app(start_gateway, start_backend):
    """(gateway, port) before an honest backend."""
    port = free_port()
    behind = start_backend(named("app"), record=False)
    return start_gateway(*simple(port, behind.port)), port


def raise_descriptors(wanted):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return soft - 200


def connect_many(port, count):
    """Plain sockets, spread over loopback addresses so that ports do not run out."""
    made = []
    try:
        for i in range(count):
            made.append(socket.create_connection(
                ("127.0.0.1", port), 20, source_address=(f"127.0.1.{1 + i % 50}", 0)))
    except OSError:
        close_all(made)
        raise
    return made


def close_all(sockets):
    for each in sockets:
        each.close()


def all_ended(sockets, seconds):
    """Whether the gateway ended every one of them in that time."""
    selector = selectors.DefaultSelector()
    for each in sockets:
        each.setblocking(False)
        selector.register(each, selectors.EVENT_READ)
    left, deadline = len(sockets), time.monotonic() + seconds
    while left and time.monotonic() < deadline:
        for key, _ in selector.select(0.2):
            try:
                data = key.fileobj.recv(65536)
            except BlockingIOError:
                continue
            except OSError:
                data = b""
            if not data:
                selector.unregister(key.fileobj)
                left -= 1
    selector.close()
    return left == 0


@pytest.mark.quick
def test_ten_thousand_idle_connections_cost_little_and_harm_nobody(app):
    gateway, port = app
    wanted = 1000 if FEW else 10000
    count = min(wanted, raise_descriptors(wanted + 1000))
    if count < wanted:
        print(f"{count} connections instead of {wanted}: the limit of open files")
    assert request(port).status == 200
    before = gateway.proxy.rss()
    idle = connect_many(port, count)
    try:
        wait_for(lambda: metric_sum(gateway.metrics(), "nantian_downstream_connections") >= count,
                 "all are accepted")
        if not FEW:
            each = (gateway.proxy.rss() - before) / count
            assert each <= 4096, f"{each:.0f} bytes per idle connection"
        with Load(port, clients=2) as load:
            load.wait(500)
        assert load.failures == []
    finally:
        close_all(idle)
    wait_for(lambda: metric_sum(gateway.metrics(), "nantian_downstream_connections") <= 3,
             "all are gone")


def test_used_connections_that_idle_give_their_buffers_back(app):
    gateway, port = app
    count = 200 if FEW else min(2000, raise_descriptors(4000))
    before = gateway.proxy.rss()
    clients = [Client(port) for _ in range(count)]
    try:
        for client in clients:
            assert client.request("GET", "/").status == 200
        if not FEW:
            each = (gateway.proxy.rss() - before) / count
            assert each <= 8192, f"{each:.0f} bytes per connection that was used"
    finally:
        for client in clients:
            client.close()


def test_slowloris_is_ended_by_its_timeout_and_harms_nobody(app):
    gateway, port = app
    count = 100 if FEW else 1000
    slow = connect_many(port, count)
    try:
        began = time.monotonic()
        for each in slow:
            each.send(b"GET / HTTP/1.1\r\nHost: a\r\nX-")
        with Load(port, clients=2) as load:
            drip = 0
            while time.monotonic() - began < 9:  # a byte now and then does not buy more time
                for each in slow[drip::10]:
                    with contextlib.suppress(OSError):
                        each.send(b"a")
                drip = (drip + 1) % 10
                load.wait(200)
            assert all_ended(slow, 6), "each is closed by the header timeout"
        assert time.monotonic() - began < 15
        assert load.failures == []
    finally:
        close_all(slow)
    wait_for(lambda: gateway.proxy.descriptors() < 100, "descriptors are back")


def test_header_floods_are_431_and_cost_no_memory(app):
    gateway, port = app
    request(port)
    before = gateway.proxy.rss()
    many = "".join(f"x-{i}: y\r\n" for i in range(200))
    for flood, status in ((many, 431), ("x: " + "y" * 70000 + "\r\n", 431),
                          ("".join(f"x-{i}: {'y' * 900}\r\n" for i in range(90)), 431)):
        for _ in range(50):
            with Client(port) as client:
                with contextlib.suppress(OSError):
                    client.send(f"GET / HTTP/1.1\r\nHost: a\r\n{flood}\r\n")
                assert client.read().status == status
    with Client(port) as client:
        with contextlib.suppress(OSError):
            client.send("GET /" + "a" * 70000 + " HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.read().status == 414
    assert FEW or gateway.proxy.rss() - before < 4 << 20
    assert request(port).status == 200


def test_a_header_that_never_ends_is_cut_off(app):
    gateway, port = app
    before = gateway.proxy.rss()
    with Load(port, clients=1) as load:
        for _ in range(5):
            with Client(port) as client, contextlib.suppress(OSError):
                client.send("GET / HTTP/1.1\r\nHost: a\r\n")
                for i in range(100000):
                    client.send(f"x-{i}: {'y' * 1000}\r\n")
    assert load.failures == []
    assert FEW or gateway.proxy.rss() - before < 4 << 20


def test_a_client_that_reads_nothing_is_held_back_not_buffered(start_gateway, start_backend):
    port, size = free_port(), 64 << 20

    async def flood(req):
        await req.raw(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode())
        for _ in range(size >> 20):
            await req.raw(b"x" * (1 << 20))

    behind = start_backend(lambda r: flood(r) if r.target == "/flood" else named("app")(r))
    gateway = start_gateway(*simple(port, behind.port))
    request(port)
    before = gateway.proxy.rss()
    deaf = []
    for _ in range(20):
        each = Client(port)
        each.send("GET /flood HTTP/1.1\r\nHost: a\r\n\r\n")
        deaf.append(each)
    with Load(port, clients=2) as load:
        load.wait(500)
    assert load.failures == []
    assert FEW or gateway.proxy.rss() - before < 20 * (256 << 10)
    for each in deaf:
        each.close()
    wait_for(lambda: behind.open <= 4, "the backend is let go")


def test_pipelining_without_end_is_held_back(app):
    gateway, port = app
    with Client(port, timeout=2) as client:
        sent = 0
        with contextlib.suppress(OSError):
            while sent < 64 << 20:
                client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 1000)
                sent += 1000
        assert sent < 64 << 20
    assert request(port).status == 200


def test_handshakes_that_stall_harm_nobody(start_gateway, backend):
    authority, port = Authority(), free_port()
    gateway = start_gateway(
        gateway_of(listener("s", port, "HTTPS", tls={"certificateRefs": [{"name": "c"}]})),
        authority.secret("c", "one.example"), route("r", rule("app")), service("app", backend.port))
    hello = bytes.fromhex("16030100c8010000c40303") + bytes(50)
    stalled = connect_many(port, 100 if FEW else 500)
    try:
        for i, each in enumerate(stalled):
            each.send(hello[:1 + i % len(hello)])
        began = time.monotonic()
        with Load(port, clients=1, host="one.example", tls=authority.context(),
                  server_name="one.example", headers={"Connection": "close"}) as load:
            load.wait(100)
        assert load.failures == []
        assert all_ended(stalled, 14) and time.monotonic() - began < 15
    finally:
        close_all(stalled)
    assert gateway.proxy.running()
