"""Other people's conformance suites, stock and pinned, through the whole gateway."""
# SPDX-License-Identifier: Apache-2.0
import json
import logging
import os
import re
import shutil
import subprocess
import sys

import pytest
import websockets.asyncio.messages

from certificates import Authority
from h2_backend import h2_service
from harness import (DEADLINE, ROOT, free_port, gateway_of, listener, route, rule, sanitizer,
                     service, simple, wait_for)
from http_backend import named
from http_client import request
from test_grpc import grpc_route
from test_http1 import EchoSockets

pytestmark = pytest.mark.sanitized

H2SPEC_TESTS = 146
WEBSOCKET_CASES = 301
INTEROP_CASES = (
    "empty_unary", "large_unary", "client_streaming", "server_streaming", "ping_pong",
    "empty_stream", "timeout_on_sleeping_server", "cancel_after_begin",
    "cancel_after_first_response", "status_code_and_message", "special_status_message",
    "custom_metadata", "unimplemented_method", "unimplemented_service")


@pytest.fixture(scope="session", name="suites")
def build_suites():
    """The folder of the programs; they are built once and kept outside the tree."""
    done = subprocess.run([ROOT / "tools/install", "suites"], stdout=subprocess.PIPE, check=True,
                          text=True, timeout=1800)
    return ROOT / done.stdout.strip()


def h2spec(suites, port, *flags):
    """Strict; what did not pass, and how many there were."""
    done = subprocess.run(
        [suites / "h2spec", "--strict", "-h", "127.0.0.1", "-p", str(port), "-o",
         "10" if sanitizer() else "5", *flags],
        stdout=subprocess.PIPE, text=True, timeout=20 * DEADLINE, check=False)
    found = re.search(r"(\d+) tests, (\d+) passed, (\d+) skipped, (\d+) failed", done.stdout)
    assert found, done.stdout
    counts = tuple(map(int, found.groups()))
    assert counts == (H2SPEC_TESTS, H2SPEC_TESTS, 0, 0), done.stdout[done.stdout.find("Failures"):]


def test_h2spec_in_the_clear_before_and_after_a_change(start_gateway, start_backend, suites):
    port, app = free_port(), start_backend(named("app" * 20), record=False)
    gateway = start_gateway(*simple(port, app.port))
    h2spec(suites, port)
    gateway.apply("config.yaml", *simple(port, app.port, timeouts={"request": "60s"}))
    h2spec(suites, port)


def test_h2spec_over_tls(start_gateway, start_backend, suites):
    port, app = free_port(), start_backend(named("app" * 20), record=False)
    start_gateway(
        gateway_of(listener("https", port, "HTTPS", tls={"certificateRefs": [{"name": "c"}]})),
        route("all", rule("app")), service("app", app.port),
        Authority().secret("c", "a.example"))
    h2spec(suites, port, "-t", "-k")


def interop(suites, port, *flags):
    for case in INTEROP_CASES:
        done = subprocess.run(
            [suites / "client", "-server_host", "127.0.0.1", "-server_port", str(port),
             "-test_case", case, *flags], capture_output=True, text=True, timeout=2 * DEADLINE,
            check=False)
        assert done.returncode == 0, (case, done.stderr[-2000:])


@pytest.fixture(name="interop_server")
def start_interop_server(suites):
    port = free_port()
    with subprocess.Popen([suites / "server", "-port", str(port)],
                          stderr=subprocess.DEVNULL) as server:
        yield port
        server.kill()


def test_grpc_interop_in_the_clear_and_over_tls(start_gateway, interop_server, suites, tmp_path):
    port, tls_port = free_port(), free_port()
    authority = Authority()
    (tmp_path / "ca.pem").write_bytes(authority.pem())
    start_gateway(
        gateway_of(listener("http", port),
                   listener("https", tls_port, "HTTPS", tls={"certificateRefs": [{"name": "c"}]})),
        grpc_route("all", rule("app")), h2_service("app", interop_server),
        authority.secret("c", "a.example"))
    wait_for(lambda: request(port, method="POST").status != 503, "the server listens")
    interop(suites, port)
    interop(suites, tls_port, "-use_tls", "-use_test_ca", "-ca_file", tmp_path / "ca.pem",
            "-server_host_override", "a.example")


def kosoku(port, folder):
    """Case -> passed, of the WebSocket cases of Autobahn without compression."""
    subprocess.run([shutil.which("kosoku", path=os.path.dirname(sys.executable)),
                    f"127.0.0.1:{port}", "-o", folder, "-p", "4", "-x", "12.*", "-x", "13.*"],
                   stdout=subprocess.DEVNULL, check=False, timeout=20 * DEADLINE)
    cases = next(iter(json.loads((folder / "index.json").read_text(encoding="utf-8")).values()))
    fine = ("OK", "NON-STRICT", "INFORMATIONAL")
    return {name: case["behavior"] in fine and case["behaviorClose"] in fine
            for name, case in cases.items()}


def test_websocket_cases_of_autobahn(start_gateway, tmp_path, monkeypatch):
    # A bound of this library of its own, smaller than what four cases send.
    monkeypatch.setattr(websockets.asyncio.messages, "MAX_FRAGMENTS", 1 << 20)
    logging.getLogger("websockets").setLevel(logging.CRITICAL)
    port = free_port()
    with EchoSockets() as server:
        start_gateway(*simple(port, server.port))
        verdicts = kosoku(port, tmp_path / "through")
    assert len(verdicts) == WEBSOCKET_CASES
    # The library answers a close between two fragments with 1002, with nobody between too.
    assert {name for name, passed in verdicts.items() if not passed} <= {"7.1.5"}
