"""`nantian demo` and `nantian up` as a newcomer and a service manager run them."""
# SPDX-License-Identifier: Apache-2.0
import contextlib
import os
import pathlib
import re
import signal
import socket
import subprocess
import time

import pytest

from harness import BIN, DEADLINE, REPORTS, environment, free_port, nantian, simple, wait_for
from http_client import request
import yaml

pytestmark = [pytest.mark.sanitized]
BARE = {"PATH": "/usr/bin:/bin"}  # no HOME, nothing else


def children_of(pid):
    found = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8")
    return [int(word) for word in found.split()]


def alive(pid):
    try:
        return "Z" not in pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").split()[2]
    except OSError:
        return False


@contextlib.contextmanager
def running(command, log, **options):
    with open(log, "wb") as out:
        process = subprocess.Popen(list(map(str, command)), stdout=out, stderr=out,
                                   stdin=subprocess.DEVNULL, start_new_session=True, **options)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(DEADLINE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        text = log.read_text(encoding="utf-8", errors="replace")
        assert not REPORTS.search(text), text


def in_a_network_of_its_own(command):
    """Root can take the network away; then there is only the loopback."""
    if os.geteuid() == 0:
        return ["unshare", "-n", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *command]
    return command


@pytest.mark.quick
def test_the_demo_checks_itself_in_seconds_without_home_or_network(tmp_path):
    command = in_a_network_of_its_own([str(BIN / "nantian"), "demo", "--once"])
    began = time.monotonic()
    done = subprocess.run(command, env={**BARE, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
                                        "TMPDIR": str(tmp_path)},
                          cwd="/tmp", capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert done.returncode == 0, done
    assert time.monotonic() - began < 5
    assert "GET / -> 200" in done.stdout
    assert not REPORTS.search(done.stderr), done.stderr
    assert os.listdir(tmp_path) == [], "the demo leaves nothing behind"


def test_a_busy_port_moves_to_the_next_and_says_so(tmp_path):
    port = free_port()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        done = subprocess.run([BIN / "nantian", "demo", "--once", "--port", str(port)],
                              env={**BARE, "TMPDIR": str(tmp_path)}, capture_output=True, text=True,
                              timeout=DEADLINE, check=False)
    assert done.returncode == 0, done
    moved = re.search(rf"port {port} is busy: the gateway takes (\d+)", done.stdout)
    assert moved and f"http://127.0.0.1:{moved[1]}" in done.stdout


def test_ctrl_c_stops_the_demo_and_leaves_no_process(tmp_path):
    log = tmp_path / "demo.log"
    (tmp_path / "t").mkdir()
    port = free_port()
    with running([BIN / "nantian", "demo", "--port", port], log,
                 env={**BARE, "TMPDIR": str(tmp_path / "t")}) as demo:
        wait_for(lambda: "Ctrl-C stops everything" in log.read_text(encoding="utf-8"),
                 "the demo is up")
        planes = children_of(demo.pid)
        assert len(planes) == 2
        found = re.search(r"data plane +pid \d+ +http://127.0.0.1:(\d+)",
                          log.read_text(encoding="utf-8"))
        assert request(int(found[1]), "/new/thing").get("x-served-by") == "nantian"
        demo.send_signal(signal.SIGINT)
        assert demo.wait(DEADLINE) == 0
        assert [pid for pid in planes if alive(pid)] == []
    assert os.listdir(tmp_path / "t") == []


def test_the_planes_end_when_their_parent_is_killed(tmp_path):
    log = tmp_path / "demo.log"
    with running([BIN / "nantian", "demo", "--port", free_port()], log,
                 env={**BARE, "TMPDIR": str(tmp_path)}) as demo:
        wait_for(lambda: "Ctrl-C stops everything" in log.read_text(encoding="utf-8"),
                 "the demo is up")
        planes = children_of(demo.pid)
        demo.kill()
        demo.wait()
        wait_for(lambda: not any(map(alive, planes)), "both planes have ended")


@contextlib.contextmanager
def up_that_serves(tmp_path, backend):
    """`nantian up` of a directory: the process, its command, and whether requests are served."""
    config, port, admin = tmp_path / "config", free_port(), free_port()
    config.mkdir()
    (config / "all.yaml").write_text(yaml.safe_dump_all(simple(port, backend.port)),
                                     encoding="utf-8")
    log = tmp_path / "up.log"
    command = [BIN / "nantian", "up", config, "--state-dir", tmp_path / "state", "--admin",
               f"127.0.0.1:{admin}", "--access-log", "off", "--default-address", "127.0.0.1"]

    def serves():
        with contextlib.suppress(OSError, EOFError):
            return request(port).status == 200
        return False

    with running(command, log, env=environment()) as up:
        wait_for(serves, "the first request is served")
        yield up, command, serves


def test_up_restarts_a_plane_that_was_killed_and_ends_on_sigterm(tmp_path, backend):
    with up_that_serves(tmp_path, backend) as (up, _, serves):
        for _ in range(2):
            before = children_of(up.pid)
            for pid in before:
                os.kill(pid, signal.SIGKILL)
                wait_for(lambda pid=pid: not alive(pid), "it is dead")
            wait_for(lambda: len(children_of(up.pid)) == 2, "both planes run again")
            wait_for(serves, "requests are served again")
            assert not set(before) & set(children_of(up.pid))
        planes = children_of(up.pid)
        up.terminate()
        assert up.wait(DEADLINE) == 0
        assert [pid for pid in planes if alive(pid)] == []


def test_a_second_up_in_one_state_directory_harms_nobody(tmp_path, backend):
    with up_that_serves(tmp_path, backend) as (_, command, serves):
        second = nantian(*command[1:])
        assert second.returncode == 2 and "another gateway uses it" in second.stderr, second
        plane = subprocess.run(
            [BIN / "nantian-control", "--directory", tmp_path / "config", "--state-dir",
             tmp_path / "state" / "control", "--xds", f"unix:{tmp_path}/other.sock"],
            capture_output=True, text=True, timeout=DEADLINE, check=False, env=environment())
        assert plane.returncode == 1 and "another control plane uses it" in plane.stderr, plane
        assert serves()


def test_a_directory_may_be_named_from_where_one_stands(tmp_path):
    config, port = tmp_path / "config", free_port()
    config.mkdir()
    (config / "all.yaml").write_text(yaml.safe_dump_all(simple(port, 1)), encoding="utf-8")
    command = [BIN / "nantian", "up", ".", "--state-dir", tmp_path / "state", "--admin", "off",
               "--access-log", "off", "--default-address", "127.0.0.1"]
    with running(command, tmp_path / "up.log", env=environment(), cwd=config):
        wait_for(lambda: nantian("status", "--state-dir", tmp_path / "state").returncode == 0,
                 "it serves")
        answer = nantian("routes", "--state-dir", tmp_path / "state", cwd=tmp_path)
        assert answer.returncode == 0 and "default/" in answer.stdout, answer
        status = nantian("status", "--state-dir", tmp_path / "state", cwd=tmp_path)
        assert f"directory {config} " in status.stdout, status


def test_closed_standard_descriptors_are_nobodys(tmp_path):
    (tmp_path / "config").mkdir()
    command = [BIN / "nantian", "up", tmp_path / "config", "--state-dir", tmp_path / "state",
               "--admin", "off", "--access-log", "off"]
    close = 'exec "$@" <&- >&- 2>&-'
    log = tmp_path / "up.log"
    with running(["sh", "-c", close, "sh", *command], log, env=environment()) as up:
        wait_for(lambda: (tmp_path / "state" / "control.sock").exists(), "it is up")
        wait_for(lambda: len(children_of(up.pid)) == 2, "both planes run")
        for pid in (up.pid, *children_of(up.pid)):
            wait_for(lambda pid=pid: [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in range(3)] ==
                     ["/dev/null"] * 3, "they lead nowhere")


def test_up_says_what_is_wrong_with_its_arguments(tmp_path):
    for arguments, words in (((), "say which directory"), ((tmp_path / "none",), "No such file"),
                             ((__file__,), "not a directory"), (("--bogus",), "does not know"),
                             ((tmp_path, "--access-log", tmp_path / "none" / "x", "--state-dir",
                               tmp_path / "state"), f"{tmp_path}/none/x: No such file"),
                             ((tmp_path, "--state-dir", tmp_path / ("long" * 30)),
                              "longer than those of sockets"),
                             ((tmp_path, "--state-dir", __file__), "Not a directory")):
        done = subprocess.run([BIN / "nantian", "up", *map(str, arguments)], capture_output=True,
                              text=True, timeout=DEADLINE, check=False, env=environment())
        assert done.returncode == 2 and words in done.stderr, done
