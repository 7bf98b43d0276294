"""F42: the clocks of both planes jump. Timeouts and rates go by the monotonic clock, certificates and
dates by the wall clock."""
# SPDX-License-Identifier: Apache-2.0
import asyncio
import email.utils
import pathlib
import ssl
import struct
import subprocess
import threading
import time

import pytest

from certificates import Authority
from harness import (free_port, gateway_of, listener, rate_limit, route, rule, service, wait_for)
from http_backend import Streams, named
from http_client import Client, Load, request

DAY, HOUR = 86400, 3600
BURST = 20


class Clocks:
    """What both planes are ahead of the real ones, in seconds; before they start, too."""

    def __init__(self, folder):
        self.library, self.file = folder / "clock.so", folder / "shift"
        subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", self.library,
                        pathlib.Path(__file__).parents[1] / "peers/clock_shift.c"], check=True)
        self.file.write_bytes(bytes(16))

    def set(self, wall, monotonic):
        with open(self.file, "r+b") as file:
            file.write(struct.pack("=qq", wall, monotonic))

    @property
    def wrap(self):
        return "/usr/bin/env", f"LD_PRELOAD={self.library}", f"CLOCK_SHIFT={self.file}"


class World:
    """A gateway with an open port, one that wants client certificates, and a limited route."""

    def __init__(self, folder, start_gateway, handler):
        self.port, self.strict, self.edits = free_port(), free_port(), 0
        self.authority, self.users, self.clocks = Authority(), Authority("users"), Clocks(folder)
        self.backend, self.began, self.allowed = handler, time.monotonic(), 0
        chain, key = self.users.issue("user", days=1)
        (folder / "user.pem").write_bytes(chain + key)
        self.user = self.authority.context()
        self.user.load_cert_chain(folder / "user.pem")
        self.gateway = start_gateway(*self.documents(), wrap=self.clocks.wrap)

    def documents(self):
        gateway = gateway_of(
            listener("http", self.port),
            listener("https", self.strict, "HTTPS", tls={"certificateRefs": [{"name": "one"}]}))
        gateway["spec"]["tls"] = {"frontend": {"default": {"validation": {
            "caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": "users"}]}}}}
        bundle = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "users"},
                  "data": {"ca.crt": self.users.pem().decode()}}
        if not hasattr(self, "secret"):
            self.secret = self.authority.secret("one", "one.example")
        edit = {"type": "ResponseHeaderModifier",
                "responseHeaderModifier": {"set": [{"name": "x-edit", "value": str(self.edits)}]}}
        return [gateway, self.secret, bundle, service("app", self.backend.port),
                route("open", rule("app", filters=[edit])),
                route("limited", rule("app", matches=[{"path": {"value": "/limited"}}])),
                rate_limit("limited", "limited",
                           {"requestsPerSecond": 1, "burst": BURST, "keyType": "sourceIP"})]

    def edit(self):
        """Both planes still work together."""
        self.edits += 1
        self.gateway.apply("config.yaml", *self.documents())
        assert request(self.port).get("x-edit") == str(self.edits)

    def use_up(self):
        """So many requests of the limited route are let through now."""
        answers = [request(self.port, "/limited").status for _ in range(BURST * 2)]
        assert set(answers) <= {200, 429}
        return answers.count(200)

    def may_use(self, began):
        """One a second since then, and what stood in the bucket at the turn of one."""
        return time.monotonic() - began + 2

    def user_may_in(self):
        try:
            return request(self.strict, tls=self.user, server_name="one.example").status == 200
        except (OSError, EOFError, ssl.SSLError):
            return False

    def date(self):
        told = email.utils.parsedate_to_datetime(request(self.port).get("date"))
        return told.timestamp() - time.time()


def test_f42_the_wall_clock_jumps_under_load(tmp_path, start_gateway, start_backend):
    world = World(tmp_path, start_gateway, start_backend(named("app")))
    with Load(world.port, clients=2) as load:
        began = time.monotonic()
        assert BURST <= world.use_up() <= BURST + world.may_use(began)
        assert world.user_may_in()
        for ahead in (2 * DAY, -HOUR, 0):
            world.clocks.set(ahead, 0)
            wait_for(lambda: abs(world.date() - ahead) < 60, "dates follow")  # pylint: disable=W0640
            assert world.user_may_in() == (ahead <= 0), "certificates go by the wall clock"
            world.edit()
            load.wait(200)
            if ahead == -HOUR:  # a control plane begins in the past of its own ledger
                world.gateway.control.kill()
                world.gateway.control.start()
                world.gateway.wait_synced()
                world.edit()
        used = time.monotonic()
        assert world.use_up() <= world.may_use(began), "rates do not"
        time.sleep(3)
        assert world.use_up() >= 2, "nor do they stand still"
        assert world.use_up() <= world.may_use(used)
    assert load.failures == []


def test_f42_the_monotonic_clock_jumps_by_a_day(tmp_path, start_gateway, start_backend):
    streams = Streams()
    held, waits = threading.Event(), 0

    async def handler(req):
        nonlocal waits
        if req.target == "/stream":
            await streams(req)
        elif req.target == "/held":
            waits += 1
            while not held.is_set():
                await asyncio.sleep(0.01)
            await req.answer(b"held")
        else:
            await req.answer(b"app")

    world = World(tmp_path, start_gateway, start_backend(handler, record=False))
    for jump in range(1, 3):
        streams.finish.clear()
        held.clear()
        flowing, waiting, idle = ([Client(world.port) for _ in range(20)] for _ in range(3))
        for client in flowing:
            client.send("GET /stream HTTP/1.1\r\nHost: test\r\n\r\n")
            client.until(b"begin")
        for client in waiting:
            client.send("GET /held HTTP/1.1\r\nHost: test\r\n\r\n")
        wait_for(lambda: waits == len(waiting) * jump,  # pylint: disable=W0640
                 "the backend has them")
        for client in idle:
            assert client.request("GET", "/").status == 200
        world.use_up()
        world.clocks.set(0, jump * DAY)
        began = time.monotonic()
        assert BURST <= world.use_up() <= BURST + world.may_use(began), "one window, no more"
        for client in idle:
            assert client.closed(), "their time is over"
        assert world.user_may_in(), "a day of the other clock ends no certificate"
        world.edit()
        streams.finish.set()
        held.set()
        for client in flowing:
            assert client.until(b"\r\n0\r\n\r\n").endswith(b"\r\nend")
        for client in waiting:
            assert client.read().body == b"held"
        with Load(world.port, clients=2) as load:
            load.wait(300)
        assert load.failures == []
        for client in flowing + waiting + idle:
            client.close()
