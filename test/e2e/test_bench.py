"""The deterministic figures: instructions and system calls per request stay under test/bench/gates.json."""
# SPDX-License-Identifier: Apache-2.0
import shutil
import subprocess
import sys

import pytest

from harness import BUILD, ROOT, environment


@pytest.mark.release
def test_instructions_and_system_calls_per_request_stay_under_their_gates():
    assert shutil.which("valgrind"), "valgrind is missing: tools/install bench"
    assert (BUILD / "bench").is_dir(), f"{BUILD}/bench is missing: build the bench programs"
    done = subprocess.run([sys.executable, ROOT / "test/bench/bench.py", "--gate"],
                          env=environment(NANTIAN_BUILD=str(BUILD)), capture_output=True, text=True,
                          timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.release
def test_what_a_change_costs_in_a_cluster_stays_under_its_gates():
    done = subprocess.run(
        [sys.executable, ROOT / "test/bench/controlplane.py", "--gate", "--routes", "1000",
         "--edits", "5", "--creates", "11", "--churn", "1000"],
        env=environment(NANTIAN_BUILD=str(BUILD)), capture_output=True, text=True, timeout=600,
        check=False)
    assert done.returncode == 0, done.stdout + done.stderr
