#!/usr/bin/env python3
"""Runs the tests in stages, stops at nothing, and ends with `N passed, N failed`.

suite.py check   the two-minute subset: dev build, tidy, unit, golden, a short e2e
suite.py all     everything that CI runs
suite.py fuzz    the fuzz targets alone (FUZZ=seconds each, default 60)
suite.py soak    the long forms of mutation and loss runs
"""
import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
JOBS = str(os.cpu_count() or 2)
SEED = 20261123  # of the fuzzers: a finding comes again
results = []  # (stage, passed, failed, seconds)
findings = []  # what failed, said again at the end, where a log cut short still shows it
skipped = []  # stages that this machine cannot run, and why


def run(command, later=False, **options):
    """Runs a command, shows its output as it comes (or, later, at its end), returns (code, it)."""
    head = f"\n=== {' '.join(map(str, command))}"
    print(head + (" (shown at its end)" if later else ""), flush=True)
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, errors="replace", **options)
    lines = []
    for line in process.stdout:
        if not later:
            sys.stdout.write(line)
            sys.stdout.flush()
        lines.append(line)
    output = "".join(lines)
    if later:
        print(f"{head}\n{output}", flush=True)
    return process.wait(), output


def note(stage, passed, failed, began):
    results.append((stage, passed, failed, time.monotonic() - began))


def build(preset, *targets):
    began = time.monotonic()
    code, _ = run(["cmake", "--preset", preset])
    if code == 0:
        code, _ = run(["ninja", "-C", f"build/{preset}", "-j", JOBS, *targets])
    note(f"build {preset}", int(code == 0), int(code != 0), began)
    return code == 0


def build_label(preset, label):
    """The tests of one label and the programs: what a sanitizer of its own is needed for."""
    code, _ = run(["cmake", "--preset", preset])
    found = subprocess.run(["ctest", "--test-dir", f"build/{preset}", "-L", label,
                            "--show-only=json-v1"], cwd=ROOT, capture_output=True, text=True)
    tests = json.loads(found.stdout)["tests"] if code == 0 else []
    # unit/data/worker/rollout_test is made of the target data_worker_rollout_test.
    targets = {test["name"].removeprefix("unit/").replace("/", "_") for test in tests}
    return build(preset, *sorted(targets), "nantian", "nantian-control", "nantian-proxy")


def ctest(preset, *options, env=None):
    began = time.monotonic()
    env = {**os.environ, **(env or {})}
    env["PATH"] = f"{pathlib.Path(sys.executable).parent}:{env['PATH']}"  # python3 with our packages
    code, output = run(["ctest", "--test-dir", f"build/{preset}", "--output-on-failure", "-j",
                        JOBS, "--no-tests=error", *options], env=env)
    match = re.search(r"tests passed, (\d+) tests failed out of (\d+)", output)
    failed, total = (int(match[1]), int(match[2])) if match else (1, 1)
    findings.extend(re.findall(r"^\s*\d+ - .*\(.*\).*$", output, re.M))
    note(f"ctest {preset} {' '.join(options)}".strip(), total - failed, failed, began)


def pytest(preset, *options, later=False):
    began = time.monotonic()
    env = {**os.environ, "NANTIAN_BUILD": str(ROOT / "build" / preset),
           "PATH": f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}"}  # its go
    code, output = run([sys.executable, "-m", "pytest", "-q", *options], later, env=env)
    if code < 0:  # a library that the tests are made with broke: no verdict on what is tested
        print(f"\n*** Python itself died of signal {-code}: once more ***", flush=True)
        code, output = run([sys.executable, "-m", "pytest", "-q", *options], later, env=env)
    last = ([line for line in output.splitlines() if line.strip()] or [""])[-1]
    counts = {word: int(n) for n, word in
              re.findall(r"(\d+) (passed|failed|errors?|skipped)", last)}
    failed = counts.get("failed", 0) + counts.get("error", 0) + counts.get("errors", 0)
    findings.extend(f"{preset}: {line[:300]}"
                    for line in re.findall(r"^(?:FAILED|ERROR) .*$", output, re.M))
    if code != 0 and failed == 0:
        failed = 1
    note(f"pytest {preset} {' '.join(options)}".strip(), counts.get("passed", 0), failed, began)


def in_cluster(mode, *options):
    """A run of test/cluster on the release build; left out where no network namespace can be."""
    began = time.monotonic()
    rig = [sys.executable, ROOT / "test/cluster/cluster.py"]
    code, why = run([*rig, "obstacle"])
    if code == 3:
        skipped.append(f"{mode}, because {why.strip()}")
        print(f"\n*** SKIPPED: {skipped[-1]} ***", flush=True)
        return
    passed = failed = 0
    if code == 0:
        code, _ = run([ROOT / "tools/install", "cluster"])
    if code == 0:
        code, output = run([*rig, mode, *options], env={**os.environ, "NANTIAN_BUILD": ROOT / "build/release"})
        count = re.search(r"^(\d+) passed, (\d+) failed$", output, re.M)
        passed, failed = (int(count[1]), int(count[2])) if count else (0, 0)
        findings.extend(f"{mode}: {line[:300]}" for line in re.findall(r"^failed: .*$", output, re.M))
    if code != 0 and failed == 0:
        failed = 1
        findings.append(f"{mode}: exit code {code}")
    note(mode, passed, failed, began)


def fuzz(seconds):
    """Every target from its seeds, two at a time; a finding is a file, kept beside the build."""
    if not build("fuzz"):
        return
    began = time.monotonic()
    targets = sorted(p for p in (ROOT / "build/fuzz/test/fuzz").glob("fuzz_*")
                     if os.access(p, os.X_OK) and p.is_file())
    passed = failed = 0
    pending = list(targets)
    running = []
    while pending or running:
        while pending and len(running) < 2:
            target = pending.pop(0)
            name = target.name.removeprefix("fuzz_")
            corpus = ROOT / "build/fuzz/corpus" / name
            corpus.mkdir(parents=True, exist_ok=True)
            log = open(ROOT / "build/fuzz" / f"{name}.log", "w+")
            process = subprocess.Popen(
                [target, f"-max_total_time={seconds}", f"-seed={SEED}", "-max_len=65536", "-timeout=30",
                 "-rss_limit_mb=2048", "-print_final_stats=1",
                 f"-artifact_prefix={ROOT}/build/fuzz/{name}-", corpus,
                 ROOT / "test/fuzz/seeds" / name], stdout=log, stderr=subprocess.STDOUT)
            running.append((name, process, log))
        for item in list(running):
            name, process, log = item
            if process.poll() is None:
                continue
            running.remove(item)
            log.seek(0)
            text = log.read()
            runs = re.search(r"number_of_executed_units: *(\d+)", text)
            good = process.returncode == 0
            print(f"fuzz {name}: {runs[1] if runs else '?'} executions, "
                  f"{'clean' if good else 'FAILED'}", flush=True)
            if not good:
                print(text[-3000:])
                findings.append(f"fuzz {name}: exit code {process.returncode}")
                findings.extend(line[:300] for line in text.splitlines() if re.search(
                    r"ERROR|SUMMARY|runtime error|CHECK|Base64|^ +#[0-9] ", line))
            passed += good
            failed += not good
        time.sleep(0.2)
    note("fuzz", passed, failed, began)


def pytest_in_two(preset):
    """All of e2e: the tests of leases and relists wait more than they work, so the rest run
    meanwhile."""
    waiting = sorted(f"test/e2e/{path.name}" for path in (ROOT / "test/e2e").glob("test_kube*.py"))
    with concurrent.futures.ThreadPoolExecutor(1) as beside:
        them = beside.submit(pytest, preset, *waiting, later=True)
        pytest(preset, "test/e2e", *(f"--ignore={path}" for path in waiting))
        them.result()


def check():
    if build("dev"):
        ctest("dev", "-L", "tidy|unit|golden|fuzz|sim")
        pytest("dev", "test/e2e", "-m", "quick and not soak")


def everything():
    if build("dev"):
        ctest("dev")
        pytest("dev", "test/e2e", "-m", "sanitized and not soak")
    if build_label("tsan", "threads"):
        ctest("tsan", "-L", "threads")
        pytest("tsan", "test/e2e", "-m", "threads and not soak")
    if build("release"):
        in_cluster("conformance")  # first: test_references reads the schemas that come with it
        in_cluster("chaos")
        pytest_in_two("release")
    fuzz(int(os.environ.get("FUZZ", "60")))


def main():
    mode = sys.argv[1] if len(sys.argv) > 1 else "all"
    began = time.monotonic()
    if mode == "check":
        check()
    elif mode == "all":
        everything()
    elif mode == "fuzz":
        fuzz(int(os.environ.get("FUZZ", "60")))
    elif mode == "soak":
        os.environ["SOAK"] = "1"
        if build("release"):
            pytest("release", "test/e2e", "-m", "soak or not soak")
            in_cluster("chaos", "--long")
    else:
        print(__doc__)
        return 2
    print("\n=== stages")
    for stage, passed, failed, seconds in results:
        print(f"{seconds:7.1f} s  {passed:5d} passed  {failed:3d} failed  {stage}")
    if findings:
        print("\n=== what failed\n" + "\n".join(findings))
    for what in skipped:
        print(f"*** SKIPPED: {what} ***")
    passed = sum(r[1] for r in results)
    failed = sum(r[2] for r in results)
    print(f"{time.monotonic() - began:.0f} s in all")
    print(f"{passed} passed, {failed} failed")
    return 0 if failed == 0 and passed > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
