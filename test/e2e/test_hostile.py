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
H2_MUTATE = ROOT / "test/hostile/h2_mutate.py"
H2_BYTES = 256 * 132  # every byte at every place of h2_mutate.py
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


SHARDS = 4  # side by side, each with a listener and a backend of its own


@pytest.fixture
def shards(start_gateway):
    """(gateway, [(port, TLS port, backend port)]); `appProtocol` of the backends may be set."""
    def start(protocol=None):
        ports = [(free_port(), free_port(), free_port()) for _ in range(SHARDS)]
        listeners, documents = [], [Authority().secret("c", "a.example")]
        for i, (port, tls_port, behind) in enumerate(ports):
            listeners += [listener(f"http{i}", port), listener(
                f"https{i}", tls_port, "HTTPS", tls={"certificateRefs": [{"name": "c"}]})]
            each, to = route(f"all{i}", rule(f"app{i}")), service(f"app{i}", behind)
            each["spec"]["parentRefs"] = [{"name": "web", "sectionName": f"{name}{i}"}
                                          for name in ("http", "https")]
            if protocol:
                to["spec"]["ports"][0]["appProtocol"] = protocol
            documents += [each, to]
        return start_gateway(gateway_of(*listeners), *documents), ports
    return start


def run_shards(program, ports, count, *arguments):
    """`count` in all; shard i takes every SHARDS-th number, or a seed of its own."""
    share = -(-count // len(ports))
    running = [subprocess.Popen(
        [sys.executable, program, "--port", str(port), "--backend-port", str(behind), "--count",
         str(share), *(word.format(shard=i) for word in arguments)], stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True) for i, (port, behind) in enumerate(ports)]
    try:
        for process in running:
            output = process.communicate(timeout=4000)[0]
            counts = re.search(r"(\d+) passed, (\d+) failed", output)
            assert counts and process.returncode == 0 and int(counts[1]) >= share, output
    finally:
        for process in running:
            process.kill()
            process.wait()


def mutations(shards, count, seed, *arguments, tls=False):
    gateway, ports = shards()
    run_shards(MUTATE, [(each[int(tls)], each[2]) for each in ports], count, "--access-log",
               str(gateway.access_log), "--seed", f"{seed}{{shard}}", *arguments)


@pytest.mark.quick
def test_mutated_requests_are_read_alike_by_two_independent_parsers(shards):
    """T01: llhttp and h11 at the backend and on the client's bytes, and our own access log."""
    mutations(shards, 1000 if sanitizer() else 10000, 1)


def test_mutated_requests_over_tls_are_read_alike(shards):
    mutations(shards, 100 if sanitizer() else 500, 3, "--tls", tls=True)


def test_requests_composed_of_odd_parts_are_read_alike(shards):
    """The same for every part that RFC 9112 names, in spellings on which parsers disagree."""
    mutations(shards, 400 if sanitizer() else 4000, 5, "--composed")


def h2_mutations(shards, backend, count, *arguments):
    _, ports = shards("kubernetes.io/h2c" if backend == "h2" else None)
    run_shards(H2_MUTATE, [(each[0], each[2]) for each in ports], count, "--backend", backend,
               "--first", "{shard}", *arguments)


@pytest.mark.parametrize("backend", ["h1", "h2"])
def test_mutated_header_lists_are_read_alike(shards, backend):
    """T02: hyper-h2 on the client's frames, and at the backend, or llhttp and h11 there."""
    h2_mutations(shards, backend, 200 if sanitizer() else 1000, "--step", str(SHARDS))


@pytest.mark.parametrize("backend", ["h1", "h2"])
def test_a_byte_anywhere_in_a_header_list_is_read_alike(shards, backend):
    step = 335 if sanitizer() else 67  # all bytes and all places have their turn
    h2_mutations(shards, backend, H2_BYTES // step, "--bytes", "--step", str(step))


@pytest.mark.soak
def test_a_hundred_thousand_mutations_are_read_alike(shards):
    mutations(shards, 100000, 4)


@pytest.mark.soak
def test_a_hundred_thousand_composed_requests_are_read_alike(shards):
    mutations(shards, 100000, 6, "--composed")


@pytest.mark.soak
@pytest.mark.parametrize("backend", ["h1", "h2"])
def test_every_byte_everywhere_in_a_header_list_is_read_alike(shards, backend):
    h2_mutations(shards, backend, H2_BYTES, "--bytes", "--step", str(SHARDS))


@pytest.mark.soak
@pytest.mark.parametrize("backend", ["h1", "h2"])
def test_ten_thousand_mutated_header_lists_are_read_alike(shards, backend):
    h2_mutations(shards, backend, 10000, "--step", str(SHARDS), "--seed", "7")
