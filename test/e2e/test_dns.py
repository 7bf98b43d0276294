"""ExternalName: a name server of the test's own, in a mount namespace of the data plane's."""
# SPDX-License-Identifier: Apache-2.0
import os

import pytest

from dns_server import DnsServer
from harness import free_port, gateway_of, listener, metadata, route, rule, wait_for
from http_backend import Backend, named
from http_client import request

pytestmark = [pytest.mark.sanitized,
              pytest.mark.skipif(os.geteuid() != 0, reason="root alone can give a process "
                                                           "another resolv.conf")]
NAME, CLOCK = "backend.test", "clock.test"


def named_service(name, host, port):
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata(name),
            "spec": {"type": "ExternalName", "externalName": host,
                     "ports": [{"port": 80, "targetPort": port}]}}


@pytest.fixture
def server(tmp_path):
    """On a loopback address that nobody else takes: it follows from our process id."""
    pid = os.getpid()
    address = f"127.{64 + (pid >> 16 & 63)}.{pid >> 8 & 255}.{pid & 255 or 1}"
    (tmp_path / "resolv.conf").write_text(f"nameserver {address}\n", encoding="ascii")
    (tmp_path / "nsswitch.conf").write_text("hosts: files dns\n", encoding="ascii")
    with DnsServer(address) as started:
        yield started


@pytest.fixture
def start_asking(start_gateway, server, tmp_path):
    """A gateway with a route to the name, whose proxy asks the test's server."""
    def start(port, backend_port):
        gateway = start_gateway(gateway_of(listener("http", port)))
        gateway.proxy.stop()
        script = (f'mount --bind "{tmp_path}/resolv.conf" "$(readlink -f /etc/resolv.conf)" && '
                  '{ [ ! -e /etc/nsswitch.conf ] || '
                  f'mount --bind "{tmp_path}/nsswitch.conf" /etc/nsswitch.conf; }} && exec "$@"')
        gateway.proxy.command[:0] = ["unshare", "-m", "sh", "-c", script, "sh"]
        gateway.proxy.start()
        gateway.wait_synced()
        clock = rule("clock", matches=[{"path": {"value": "/clock"}}])
        gateway.apply("config.yaml", gateway_of(listener("http", port)),
                      route("all", clock, rule("app")), named_service("app", NAME, backend_port),
                      named_service("clock", CLOCK, backend_port))
        assert server is not None
        return gateway
    return start


def who(port):
    answer = request(port)
    return answer.body.decode() if answer.status == 200 else answer.status


@pytest.mark.quick
def test_a_name_is_asked_for_again_when_its_time_is_over(server, start_asking):
    port, shared = free_port(), free_port()
    with Backend(named("one"), host="127.0.0.2", port=shared), \
            Backend(named("two"), host="127.0.0.3", port=shared):
        server.zone[NAME] = server.zone[CLOCK] = (1, ["127.0.0.2"])
        start_asking(port, shared)
        wait_for(lambda: who(port) == "one", "the name is found")
        server.zone[NAME] = (1, ["127.0.0.3"])
        wait_for(lambda: who(port) == "two", "the name has moved")
        server.zone[NAME] = (3000, ["127.0.0.2", "127.0.0.3"])
        wait_for(lambda: {who(port) for _ in range(20)} == {"one", "two"}, "all addresses count")
        # Nobody asks again for an hour, but once more if the time was asked for before the change;
        # a lookup asks twice. The other name is asked for each second, and so is the clock.
        asked, seconds = server.asked[NAME], server.asked[CLOCK]
        wait_for(lambda: server.asked[CLOCK] >= seconds + 8, "some seconds go by")
        assert server.asked[NAME] <= asked + 2


def test_a_failure_keeps_the_last_good_addresses(server, start_asking):
    port, shared = free_port(), free_port()
    with Backend(named("one"), host="127.0.0.2", port=shared), \
            Backend(named("two"), host="127.0.0.3", port=shared):
        server.zone[NAME] = (1, ["127.0.0.2"])
        start_asking(port, shared)
        wait_for(lambda: who(port) == "one", "the name is found")
        for broken in (None, ()):  # a server that fails, and one that knows no such name
            server.zone[NAME] = broken
            asked = server.asked[NAME]
            wait_for(lambda: server.asked[NAME] >= asked + 2, "it is asked for again")
            assert who(port) == "one"
        server.zone[NAME] = (1, ["127.0.0.3"])
        wait_for(lambda: who(port) == "two", "it is back, elsewhere")


def test_a_name_that_comes_later_is_found(server, start_asking):
    port, shared = free_port(), free_port()
    with Backend(named("one"), host="127.0.0.2", port=shared):
        start_asking(port, shared)
        wait_for(lambda: server.asked.get(NAME, 0) >= 1, "it is asked for")
        server.zone[NAME] = (1, ["127.0.0.2"])
        wait_for(lambda: who(port) == "one", "the name is found")
