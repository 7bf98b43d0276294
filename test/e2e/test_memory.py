"""A bound on memory: what is new is refused, what is old goes on, and it ends by itself. What the
planes can be asked meanwhile says so."""
# SPDX-License-Identifier: Apache-2.0
import contextlib
import socket
import subprocess

import h2.exceptions
import pytest

from h2_client import H2Client
from harness import (free_port, gateway_of, listener, metadata, metric_sum, route, rule, service,
                     wait_for)
from http_backend import Streams
from http_client import Client, request

MAX = 48 << 20


def config(port, backend, edit="0"):
    edited = {"type": "ResponseHeaderModifier",
              "responseHeaderModifier": {"set": [{"name": "x-edit", "value": edit}]}}
    return [gateway_of(listener("http", port)), route("all", rule("app", filters=[edited])),
            service("app", backend.port),
            {"apiVersion": "gateway.networking.k8s.io/v1alpha2", "kind": "BackendLBPolicy",
             "metadata": metadata("one"),
             "spec": {"targetRefs": [{"group": "", "kind": "Service", "name": "app"}],
                      "circuitBreaker": {"maxConnections": 1}}}]


def fill(port):
    """A connection whose requests wait for the backend, with as much of their bodies as is taken."""
    client, left = H2Client(socket.create_connection(("127.0.0.1", port), 5)), 16
    while client.h2.outbound_flow_control_window < 1 << 20:
        data = client.socket.recv(65536)
        if not data:
            break
        client.h2.receive_data(data)
    with contextlib.suppress(OSError, h2.exceptions.ProtocolError):  # told to leave, or refused
        while left:
            stream = client.send("test", "/", "POST", [("content-length", "1000000")], end=False)
            for _ in range(4):
                client.h2.send_data(stream, b"x" * 15000)
            client.flush()
            left -= 1
    return client


def pressure(gateway):
    return metric_sum(gateway.metrics(), "nantian_memory_pressure")


@pytest.mark.release
def test_f39_at_the_bound_new_requests_are_refused_and_old_ones_finish(start_gateway,
                                                                        start_backend):
    port, stuck = free_port(), Streams()
    backend = start_backend(stuck)
    gateway = start_gateway(*config(port, backend), workers=1,
                            proxy_flags=("--memory-max", str(MAX)))
    old = Client(port)
    old.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert old.read_head()[0].endswith("200 OK") and old.until(b"begin\r\n") is not None
    idle, filled = Client(port), []
    def refused(ask):
        """Until it is: what became idle is given back meanwhile, so that there may be room again."""
        if gateway.ask("/readyz")[0] == 200:
            filled.append(fill(port))
            return None
        with contextlib.suppress(OSError, EOFError):
            return ask() or None
        return None

    def over_h1():
        answer = request(port, timeout=2)
        return answer.status, answer.get("retry-after")

    def over_h2():
        answer = subprocess.run(  # hyper-h2 takes no answer behind a GOAWAY
            ["curl", "-sS", "--http2-prior-knowledge", "--max-time", "5", "-o", "/dev/null", "-w",
             "%{http_version} %{http_code} %header{retry-after}", f"http://127.0.0.1:{port}/"],
            capture_output=True, text=True, check=False)
        return answer.returncode == 0 and answer.stdout

    # What is new is told to come back, over either protocol; what idles is gone.
    assert wait_for(lambda: refused(over_h1), "a request is refused", 60) == (503, "1")
    assert wait_for(lambda: refused(over_h2), "a request is refused", 60) == "2 503 1"
    assert idle.closed()
    said = wait_for(lambda: refused(lambda: gateway.ask("/readyz")), "it is said", 60)
    assert said == (503, "out of memory for new requests\n")
    assert pressure(gateway) >= 1
    assert "OM" in {line["response_flags"] for line in gateway.log_lines(2)}

    # Configuration goes on.
    before = gateway.status()["snapshot"]
    gateway.write("config.yaml", *config(port, backend, "1"))
    wait_for(lambda: [(node["state"], node["applied"] != before)
                      for node in gateway.status()["nodes"]] == [("synced", True)],
             "the change is served")
    assert gateway.proxy.rss() < MAX * 1.5

    # It ends by itself once the memory is given back; the old answer is whole.
    for client in filled:
        client.socket.close()
    wait_for(lambda: pressure(gateway) == 0, "the memory is back")
    gateway.wait_ready()
    stuck.finish.set()
    assert old.read_chunked() == (b"end", [], True)
    old.close()
    assert request(port).get("x-edit") == "1"
