"""The tables of hostile HTTP/1.1 input, through the whole gateway: test/hostile/probe.py reads them."""
# SPDX-License-Identifier: Apache-2.0
import re
import subprocess
import sys

import pytest

from certificates import Authority
from harness import (ROOT, free_port, gateway_of, listener, metadata, route, rule, sanitizer,
                     service)

PROBE = ROOT / "test/hostile/probe.py"
MUTATE = ROOT / "test/hostile/mutate.py"
REQUESTS = 110
ANSWERS = 40
CUT_ROWS = ("H01,H05,H13,H22,H26,H29,H34,H39,H44,H48,H52,H57,H61,H66,H70,H75,H80,H83,H95,H102"
            if not sanitizer() else "H01,H26,H39,H83")
pytestmark = pytest.mark.sanitized


@pytest.fixture
def target(start_gateway):
    """(gateway, port, TLS port, backend port, documents): every host goes to one backend."""
    port, tls_port, behind = free_port(), free_port(), free_port()
    documents = [
        gateway_of(listener("http", port),
                   listener("https", tls_port, "HTTPS", tls={"certificateRefs": [{"name": "c"}]})),
        route("all", rule("app")), service("app", behind), Authority().secret("c", "a.example")]
    return start_gateway(*documents), port, tls_port, behind, documents


def probe(port, backend_port, *arguments, mode="requests"):
    """(passed, failed, output)."""
    done = subprocess.run(
        [sys.executable, PROBE, mode, "--target", f"127.0.0.1:{port}", "--backend-port",
         str(backend_port), *arguments], capture_output=True, text=True, timeout=300, check=False)
    counts = re.search(r"(\d+) passed, (\d+) failed", done.stdout)
    assert counts, done.stdout + done.stderr
    return int(counts[1]), int(counts[2]), done.stdout


def all_pass(result, least):
    passed, failed, output = result
    assert failed == 0 and passed >= least, output


def test_each_hostile_request_gets_its_verdict_before_and_after_a_change(target):
    gateway, port, _, behind, documents = target
    all_pass(probe(port, behind), REQUESTS)
    documents[1] = route("all", rule("app", timeouts={"request": "60s"}))
    gateway.apply("config.yaml", *documents)
    all_pass(probe(port, behind), REQUESTS)


def test_verdicts_do_not_depend_on_how_the_bytes_are_cut(target):
    _, port, _, behind, _ = target
    all_pass(probe(port, behind, "--cut", "--cuts-max", "20", "--rows", CUT_ROWS),
             len(CUT_ROWS.split(",")))


def test_verdicts_hold_behind_another_request(target):
    _, port, _, behind, _ = target
    all_pass(probe(port, behind, "--pipelined"), REQUESTS - 10)


def test_verdicts_are_the_same_over_tls(target):
    _, _, port, behind, _ = target
    all_pass(probe(port, behind, "--tls", "a.example"), REQUESTS - 5)


def test_hostile_answers_of_a_backend_get_their_verdict(target):
    _, port, _, behind, _ = target
    all_pass(probe(port, behind, mode="responses"), ANSWERS)


def test_hostile_answers_get_their_verdict_over_tls_and_after_a_change(target, tmp_path):
    gateway, port, tls_port, behind, documents = target
    all_pass(probe(tls_port, behind, "--tls", "a.example", mode="responses"), ANSWERS)
    authority, pem = Authority("backends"), tmp_path / "backend.pem"
    pem.write_bytes(b"".join(authority.issue("app.example")))
    documents += [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata("ca"),
         "data": {"ca.crt": authority.pem().decode()}},
        {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "BackendTLSPolicy",
         "metadata": metadata("tls"),
         "spec": {"targetRefs": [{"group": "", "kind": "Service", "name": "app"}],
                  "validation": {"hostname": "app.example", "caCertificateRefs": [
                      {"group": "", "kind": "ConfigMap", "name": "ca"}]}}}]
    gateway.apply("config.yaml", *documents)
    all_pass(probe(port, behind, "--backend-pem", str(pem), mode="responses"), ANSWERS)
    all_pass(probe(tls_port, behind, "--backend-pem", str(pem), "--tls", "a.example",
                   mode="responses"), ANSWERS)


def test_single_byte_changes_are_refused_or_read_alike_by_a_second_parser(target):
    _, port, _, behind, _ = target
    all_pass(probe(port, behind, "--rows", "H26", "--mutate", "64" if sanitizer() else "16"), 5)


def mutations(gateway, port, backend_port, count, *arguments):
    done = subprocess.run(
        [sys.executable, MUTATE, "--port", str(port), "--backend-port", str(backend_port),
         "--access-log", gateway.access_log, "--count", str(count), *arguments],
        capture_output=True, text=True, timeout=4000, check=False)
    counts = re.search(r"(\d+) passed, (\d+) failed", done.stdout)
    assert counts and done.returncode == 0 and int(counts[1]) >= count, done.stdout + done.stderr


@pytest.mark.quick
def test_mutated_requests_are_read_alike_by_two_independent_parsers(target):
    """T01: llhttp and h11 at the backend and on the client's bytes, and our own access log."""
    gateway, port, _, behind, _ = target
    mutations(gateway, port, behind, 1000 if sanitizer() else 10000)


def test_mutated_requests_over_tls_are_read_alike(target):
    gateway, _, tls_port, behind, _ = target
    mutations(gateway, tls_port, behind, 100 if sanitizer() else 500, "--tls", "--seed", "3")


@pytest.mark.soak
def test_a_hundred_thousand_mutations_are_read_alike(target):
    gateway, port, _, behind, _ = target
    mutations(gateway, port, behind, 100000, "--seed", "4")
