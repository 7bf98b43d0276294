"""Fixtures: a gateway over an empty directory, and backends."""
# SPDX-License-Identifier: Apache-2.0
import os
import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "peers"), str(HERE.parent / "hostile")]

# pylint: disable=wrong-import-position
import harness
from http_backend import Backend
from kube_cluster import provisioned, start_cluster  # noqa: F401  fixtures of test_kube*.py


def pytest_collection_modifyitems(items):
    sanitizer = harness.sanitizer()
    for item in items:
        if sanitizer and item.get_closest_marker("release"):
            item.add_marker(pytest.mark.skip(reason=f"figures mean nothing under {sanitizer}; the release build runs it"))


@pytest.fixture
def start_gateway(tmp_path):
    """Starts gateways; each is stopped and its logs are judged when the test ends."""
    started = []

    def start(*documents, **options):
        folder = tmp_path / f"gateway-{len(started)}"
        gateway = harness.Gateway(folder, **options)
        started.append(gateway)
        gateway.write("config.yaml", *documents)
        gateway.start()
        return gateway

    yield start
    problems = [problem for gateway in started for problem in gateway.stop()]
    assert not problems, "\n".join(problems)


@pytest.fixture
def backend():
    with Backend() as started:
        yield started


@pytest.fixture
def start_backend():
    started = []

    def start(*args, **options):
        started.append(Backend(*args, **options))
        return started[-1]

    yield start
    for each in started:
        each.close()


@pytest.fixture(autouse=True)
def no_home(monkeypatch):
    """What runs here must not depend on who runs it."""
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
