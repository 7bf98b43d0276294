#!/usr/bin/env python3
"""The rig from the command line; `make cluster` and `make conformance` are its doors.

cluster.py up [--bare]           starts a cluster with our install in it and stays; --bare without
cluster.py exec -- COMMAND...    runs a command inside of it (kubectl, curl, ...)
cluster.py conformance [FLAG...] starts one, runs the conformance suite (flags go to it), ends it
cluster.py chaos [--long] [NAME...] starts one, breaks what stands around a Gateway, ends it
cluster.py obstacle              says why this machine can have none (exit code 3), or nothing

NANTIAN_BUILD is the build whose programs run in it (build/release); RIG the folder of its state and
logs (build/cluster).
"""
# SPDX-License-Identifier: Apache-2.0
import collections
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import chaos
import rig
from rig import HERE, ROOT

BUILD = pathlib.Path(os.environ.get("NANTIAN_BUILD", ROOT / "build/release")).resolve()
FOLDER = pathlib.Path(os.environ.get("RIG", ROOT / "build/cluster")).resolve()
INSTALL = ROOT / "deploy/install.yaml"
REPORT = ROOT / "build/conformance-report.yaml"
PROFILES = "GATEWAY-HTTP,GATEWAY-GRPC,GATEWAY-TLS,GATEWAY-TCP,GATEWAY-UDP"


def images(folder):
    """What each image of the manifests is here."""
    echo = {"files": {"/echo-basic": f"{folder}/echo-basic"}, "entrypoint": ["/echo-basic"],
            "user": 0}
    programs = {f"/usr/local/bin/{name}": str(BUILD / "bin" / name)
                for name in ("nantian", "nantian-control", "nantian-proxy")}
    table = {"registry.k8s.io/gateway-api/conformance/echo-basic": echo}
    for name in ("nantian", "nantian-control", "nantian-proxy"):
        table[name] = {"files": programs, "entrypoint": [f"/usr/local/bin/{name}"], "user": 65532}
    table["judge"] = {"files": {"/judge": str(BUILD / "peers/judge")}, "entrypoint": ["/judge"],
                      "user": 65532}
    return table


def built():
    """Builds what is not there yet; out here, where there is a network."""
    folder, node = subprocess.run(
        [HERE / "build", pathlib.Path(sys.executable).parent / "go"], check=True,
        stdout=subprocess.PIPE, text=True).stdout.split()
    helm = subprocess.run([ROOT / "tools/install", "helm"], check=True, stdout=subprocess.PIPE,
                          text=True).stdout.strip()
    return {"folder": folder, "node": node, "helm": helm}


def started(binaries, bare):
    """A cluster that is up, with our install in it unless bare."""
    cluster = rig.Rig(binaries, FOLDER, images(binaries["folder"]))
    began = time.monotonic()
    cluster.start()
    (FOLDER / "binaries").symlink_to(binaries["folder"])
    (FOLDER / "pid").write_text(str(binaries["pid"]), encoding="ascii")
    print(f"cluster: Kubernetes is up after {time.monotonic() - began:.1f} s", flush=True)
    if not bare:
        cluster.kubectl("apply", "--server-side", "-f", INSTALL)
        rig.wait_for(lambda: cluster.kubectl("wait", "--for=condition=Accepted", "--timeout=1s",
                                             "gatewayclass/nantian", check=False),
                     "GatewayClass nantian is accepted", 180)
        # Applied once more, all of it stays as it is; "diff" fails when something would change.
        cluster.kubectl("apply", "--server-side", "-f", INSTALL)
        cluster.kubectl("diff", "--server-side", "-f", INSTALL)
        print(f"cluster: Nantian is up after {time.monotonic() - began:.1f} s", flush=True)
    return cluster


def up(binaries, bare):
    cluster = started(binaries, bare)
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
    inner = (FOLDER / "pid").read_text(encoding="ascii").strip()
    for _ in ("unshare", "the first process in there"):
        children = pathlib.Path(f"/proc/{inner}/task/{inner}/children")
        inner = children.read_text(encoding="ascii").split()[0]
    environment = {**os.environ, "KUBECONFIG": str(FOLDER / "kubeconfig"),
                   "PATH": f"{(FOLDER / 'binaries').resolve()}:{os.environ['PATH']}"}
    os.execvpe("nsenter", ["nsenter", "-t", inner, "--net", "--mount", "--pid",
                           f"--wd={os.getcwd()}", *command], environment)


def follow(suite, log):
    """Reads the suite's words to the end: what passed, failed, was skipped, and the words of each."""
    passed, failed, skipped, words = [], [], [], collections.defaultdict(list)
    begun, now, told = 0, "", time.monotonic()
    for line in suite.stdout:
        log.write(line)
        speaks = re.match(r"=== (RUN|NAME|CONT|PAUSE)\s+TestConformance/([^/\s]+)(\S*)", line)
        if speaks:
            now = speaks[2]
            begun += speaks[1] == "RUN" and not speaks[3]
        words[now].append(line)
        found = re.match(r"    --- (PASS|FAIL|SKIP): TestConformance/(\S+) \(([\d.]+)s\)", line)
        if found:
            {"PASS": passed, "FAIL": failed, "SKIP": skipped}[found[1]].append(found[2])
            if found[1] != "SKIP":
                print(f"{found[1]} {found[2]} ({found[3]} s)", flush=True)
        if time.monotonic() - told > 20:
            told = time.monotonic()
            print(f"cluster: {begun} tests begun, now {now}", flush=True)
    return passed, failed, skipped, words


def conformance(binaries, flags):
    cluster = started(binaries, False)
    version = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--tags"], check=False,
                             capture_output=True, text=True).stdout.strip() or "unknown"
    command = [cluster.binaries / "suite.test", "-test.v", "-test.timeout=25m", "-test.parallel=8",
               "-test.run=TestConformance", "-gateway-class=nantian",
               f"-conformance-profiles={PROFILES}", f"-report-output={REPORT}",
               "-organization=nantian", "-project=nantian-gateway",
               "-url=https://nantian.example/gateway", f"-version={version}",
               "-contact=@nantian", "-usable-address=10.250.200.1",
               "-unusable-address=192.0.2.1", *flags]
    with open(FOLDER / "suite.log", "w", encoding="utf-8") as log, subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
            cwd=FOLDER, env={**os.environ, "KUBECONFIG": str(cluster.kubeconfig)}) as suite:
        passed, failed, skipped, words = follow(suite, log)
    # Nothing of a gateway's may be skipped: the suite then thinks that we do not claim it.
    failed += [f"{name}, which was skipped" for name in skipped if not name.startswith("Mesh")]
    if suite.returncode != 0 and not failed:
        failed.append("the suite itself")
        said = (FOLDER / "suite.log").read_text(encoding="utf-8")
        words[failed[0]] = said.partition("Conformance report:")[0].splitlines(True)
    failed += cluster.ended()
    cluster.check()
    cluster.stop()
    for name in failed:
        print(f"failed: {name}\n{''.join(words[name][-100:])}")
    if failed:
        cluster.say_logs("nantian-system_*")
    print(f"report: {REPORT}; the suite's words: {FOLDER}/suite.log")
    print(f"{len(passed)} passed, {len(failed)} failed")
    return 0 if passed and not failed else 1


def disorder(binaries, words):
    cluster = started(binaries, False)
    names = [word for word in words if not word.startswith("-")]
    passed, failed = chaos.run(cluster, BUILD, "--long" in words, names)
    for each in failed:
        print(f"failed: {each}")
    if failed:
        cluster.say_logs("nantian-system_*")
    cluster.check()
    cluster.stop()
    print(f"{passed} passed, {len(failed)} failed")
    return 0 if passed and not failed else 1


def main():
    mode, rest = (sys.argv[1] if len(sys.argv) > 1 else ""), sys.argv[2:]
    if mode == "exec":
        enter_and_run(rest[1:] if rest[:1] == ["--"] else rest)
    if mode == "obstacle":
        why = rig.obstacle()
        print(why, end="")
        return 3 if why else 0
    if mode not in ("up", "conformance", "chaos"):
        print(__doc__)
        return 2
    binaries = rig.enter(built)
    # The first process of a namespace has no default actions.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    if mode == "up":
        return up(binaries, "--bare" in rest)
    return conformance(binaries, rest) if mode == "conformance" else disorder(binaries, rest)


if __name__ == "__main__":
    sys.exit(main())
