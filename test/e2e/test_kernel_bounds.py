"""Bounds of the kernel's: a file system that is full, a cgroup's limit on memory."""
# SPDX-License-Identifier: Apache-2.0
import contextlib
import os
import pathlib
import subprocess

import pytest

from harness import free_port, metric_sum, wait_for
from http_backend import Streams, named
from http_client import Client, Load, request
from test_faults import edit_header, many_routes
from test_memory import config, fill


@pytest.fixture(name="disk")
def make_disk(tmp_path):
    """A mount namespace, by a process that holds it: so that a small file system stays."""
    holder = subprocess.Popen(["unshare", "-m", "sh", "-c", "echo made && exec sleep 600"],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if holder.stdout.readline() != "made\n":
        pytest.skip(f"no mount namespace: {holder.stderr.read()}")
    yield holder.pid
    holder.kill()
    holder.communicate()


def test_f37_a_full_file_system_under_both_planes(disk, start_gateway, start_backend, tmp_path):
    port, backend = free_port(), start_backend(named("app"))
    inside = ["nsenter", "-t", str(disk), "-m", "-r", "--"]
    state = tmp_path / "gateway-0/state"
    folders = [state / "control", state / "proxy"]
    for folder in folders:
        folder.mkdir(parents=True)
        subprocess.run([*inside, "mount", "-t", "tmpfs", "-o", "size=512k,mode=700", "tmpfs", folder],
                       check=True)
    gateway = start_gateway(*many_routes(port, backend.port, 0, count=1), wrap=inside)

    def sh(script):
        return subprocess.run([*inside, "sh", "-c", script, "sh", *folders], check=False,
                              capture_output=True, text=True).stdout
    wait_for(lambda: sh('ls "$2"'), "the first snapshot is on disk")
    # To the last block: what is written by less than one goes into it first.
    sh('for d; do cat /dev/zero > "$d/fill"; done')
    assert sh('df --output=avail "$@" | grep -c "^ *0$"').strip() == "2"
    with Load(port, clients=2) as load:
        gateway.apply("config.yaml", *many_routes(port, backend.port, 1, count=600))
        wait_for(lambda: metric_sum(gateway.metrics(), "nantian_state_unsaved") == 1,
                 "the state cannot be written")
        gateway.apply("config.yaml", *many_routes(port, backend.port, 2, count=600))
        assert request(port).get("x-edit") == "2", "nor does the next change wait for the disk"
        sh('for d; do rm "$d/fill"; done')
        wait_for(lambda: metric_sum(gateway.metrics(), "nantian_state_unsaved") == 0,
                 "it is on disk by itself")
        load.wait(50)
    assert load.failures == []
    gateway.control.kill()
    gateway.proxy.kill()
    gateway.proxy.start()
    gateway.wait_ready()
    assert request(port).get("x-edit") == "2", "the newest is what was on disk"
    gateway.control.start()
    gateway.wait_synced()
    gateway.apply("config.yaml", *edit_header(port, backend.port, 3))
    assert request(port).get("x-edit") == "3"


MEMORY = 96 << 20


@pytest.fixture(name="group")
def make_group():
    """A cgroup with a limit on memory, of whichever version the machine has."""
    root = pathlib.Path("/sys/fs/cgroup")
    old = (root / "memory").is_dir()
    group = root / ("memory" if old else ".") / f"nantian-test-{os.getpid()}"
    limit = group / ("memory.limit_in_bytes" if old else "memory.max")
    try:
        group.mkdir()
        limit.write_text(str(MEMORY), encoding="ascii")
    except OSError as why:
        if group.is_dir():
            group.rmdir()
        pytest.skip(f"no cgroup with a limit on memory: {why}")
    yield group, old
    group.rmdir()


def test_f39_in_a_cgroup_nobody_is_killed(group, start_gateway, start_backend):
    folder, old = group
    port, stuck = free_port(), Streams()
    backend = start_backend(stuck)
    enter = ('case "$1" in *nantian-proxy) echo $$ > "$0/cgroup.procs" || exit 9;; esac; '
             'exec "$@"')
    gateway = start_gateway(*config(port, backend), workers=1, wrap=["sh", "-c", enter, folder])
    assert str(gateway.proxy.pid) in (folder / "cgroup.procs").read_text(encoding="ascii").split()
    told = metric_sum(gateway.metrics(), "nantian_memory_max_bytes")
    assert abs(told - MEMORY * 0.75) < 4096, "the bound follows the cgroup's"
    stream = Client(port)
    stream.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    stream.until(b"begin")
    filled = []

    def refused():
        with contextlib.suppress(OSError):  # from some point on connections are closed at once
            filled.append(fill(port))
        return gateway.ask("/readyz")[0] == 503
    wait_for(refused, "the bound is reached", 60)
    for _ in range(40):  # and from there on
        refused()
    assert gateway.proxy.running()
    count = (folder / ("memory.oom_control" if old else "memory.events")).read_text("ascii")
    kills = [line.split()[1] for line in count.splitlines() if line.startswith("oom_kill ")]
    assert kills == ["0"]
    stuck.finish.set()
    assert stream.until(b"\r\n0\r\n\r\n").endswith(b"\r\nend")
    for client in filled:
        client.socket.close()
    wait_for(lambda: gateway.ask("/readyz")[0] == 200, "it ends by itself")
    assert request(port).status == 200
