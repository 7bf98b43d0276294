#!/usr/bin/env python3
"""The rig from the command line; `make cluster` and `make conformance` are its doors.

cluster.py up [--bare]           starts a cluster with our install in it and stays; --bare without
cluster.py exec -- COMMAND...    runs a command inside of it (kubectl, curl, ...)
cluster.py conformance [FLAG...] starts one, runs the conformance suite (flags go to it), ends it

NANTIAN_BUILD is the build whose programs run in it (build/release); RIG the folder of its state and
logs (build/cluster).
"""
# SPDX-License-Identifier: Apache-2.0
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import rig
from rig import HERE, ROOT

BUILD = pathlib.Path(os.environ.get("NANTIAN_BUILD", ROOT / "build/release")).resolve()
FOLDER = pathlib.Path(os.environ.get("RIG", ROOT / "build/cluster")).resolve()
INSTALL = ROOT / "deploy/install.yaml"
REPORT = ROOT / "build/conformance-report.yaml"
PROFILES = "GATEWAY-HTTP,GATEWAY-GRPC,GATEWAY-TLS,GATEWAY-TCP,GATEWAY-UDP"


def images(binaries):
    """What each image of the manifests is here."""
    echo = {"files": {"/echo-basic": str(binaries / "echo-basic")}, "entrypoint": ["/echo-basic"],
            "user": 0}
    programs = {f"/usr/local/bin/{name}": str(BUILD / "bin" / name)
                for name in ("nantian", "nantian-control", "nantian-proxy")}
    table = {"registry.k8s.io/gateway-api/conformance/echo-basic": echo}
    for name in ("nantian", "nantian-control", "nantian-proxy"):
        table[name] = {"files": programs, "entrypoint": [f"/usr/local/bin/{name}"], "user": 65532}
    return table


def started(bare):
    """A cluster that is up, with our install in it unless bare."""
    binaries = pathlib.Path(subprocess.run(
        [HERE / "build", pathlib.Path(sys.executable).parent / "go"], check=True,
        stdout=subprocess.PIPE, text=True).stdout.strip())
    cluster = rig.Rig(binaries, FOLDER, images(binaries))
    began = time.monotonic()
    cluster.start()
    (FOLDER / "binaries").symlink_to(binaries)
    (FOLDER / "pid").write_text(os.environ[rig.INSIDE], encoding="ascii")
    print(f"cluster: Kubernetes is up after {time.monotonic() - began:.1f} s", flush=True)
    if not bare:
        cluster.kubectl("apply", "--server-side", "-f", INSTALL)
        rig.wait_for(lambda: cluster.kubectl("wait", "--for=condition=Accepted", "--timeout=1s",
                                             "gatewayclass/nantian", check=False),
                     "GatewayClass nantian is accepted", 180)
        print(f"cluster: Nantian is up after {time.monotonic() - began:.1f} s", flush=True)
    return cluster


def up(bare):
    cluster = started(bare)
    print(f"cluster: logs are in {FOLDER}; {sys.argv[0]} exec -- kubectl get pods -A")
    sys.stdout.flush()
    try:
        while True:
            cluster.check()
            time.sleep(1)
    except KeyboardInterrupt:
        cluster.stop()
    return 0


def enter_and_run(command):
    outer = (FOLDER / "pid").read_text(encoding="ascii").strip()
    children = pathlib.Path(f"/proc/{outer}/task/{outer}/children")
    inner = children.read_text(encoding="ascii").split()[0]
    environment = {**os.environ, "KUBECONFIG": str(FOLDER / "kubeconfig"),
                   "PATH": f"{(FOLDER / 'binaries').resolve()}:{os.environ['PATH']}"}
    os.execvpe("nsenter", ["nsenter", "-t", inner, "--net", "--mount", "--pid",
                           f"--wd={os.getcwd()}", *command], environment)


def conformance(flags):
    cluster = started(False)
    version = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--tags"], check=False,
                             capture_output=True, text=True).stdout.strip() or "unknown"
    command = [cluster.binaries / "suite.test", "-test.v", "-test.timeout=90m", "-test.parallel=8",
               "-test.run=TestConformance", "-gateway-class=nantian",
               f"-conformance-profiles={PROFILES}", f"-report-output={REPORT}",
               "-organization=nantian", "-project=nantian-gateway",
               "-url=https://nantian.example/gateway", f"-version={version}",
               "-contact=@nantian", "-usable-address=10.250.200.1",
               "-unusable-address=192.0.2.1", *flags]
    passed, failed = [], []
    with open(FOLDER / "suite.log", "w", encoding="utf-8") as log, subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
            cwd=FOLDER, env={**os.environ, "KUBECONFIG": str(cluster.kubeconfig)}) as suite:
        for line in suite.stdout:
            log.write(line)
            found = re.match(r"    --- (PASS|FAIL): TestConformance/(\S+) \(([\d.]+)s\)", line)
            if found:
                (passed if found[1] == "PASS" else failed).append(found[2])
                print(f"{found[1]} {found[2]} ({found[3]} s)", flush=True)
    cluster.check()
    cluster.stop()
    if suite.returncode != 0 and not failed:
        failed.append("the suite itself")
        print((FOLDER / "suite.log").read_text(encoding="utf-8")[-5000:])
    for name in failed:
        print(f"failed: {name}")
    print(f"report: {REPORT}; the suite's words: {FOLDER}/suite.log")
    print(f"{len(passed)} passed, {len(failed)} failed")
    return 0 if passed and not failed else 1


def main():
    mode, rest = (sys.argv[1] if len(sys.argv) > 1 else ""), sys.argv[2:]
    if mode == "exec":
        enter_and_run(rest[1:] if rest[:1] == ["--"] else rest)
    if mode not in ("up", "conformance"):
        print(__doc__)
        return 2
    rig.enter()
    # The first process of a namespace has no default actions.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    return up("--bare" in rest) if mode == "up" else conformance(rest)


if __name__ == "__main__":
    sys.exit(main())
