"""Starts and stops real planes over a directory, and what tests of them share.

A Gateway is two processes that the test owns by id; every wait is for a condition with a deadline.
"""
# SPDX-License-Identifier: Apache-2.0
import contextlib
import functools
import http.client
import json
import os
import pathlib
import random
import re
import signal
import socket
import subprocess
import threading
import time

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("NANTIAN_BUILD", ROOT / "build/release"))
BIN = BUILD / "bin"
REPORTS = re.compile(r"AddressSanitizer|LeakSanitizer|ThreadSanitizer|runtime error:|CHECK failed"
                     r"|corrupted |free\(\): |malloc\(\): |stack smashing|Segmentation fault")
SUPPRESSIONS = "exitcode=99 abort_on_error=0"


@functools.cache
def sanitizer():
    """The sanitizer of this build, or None."""
    cache = BUILD / "CMakeCache.txt"
    text = cache.read_text(encoding="utf-8") if cache.exists() else ""
    match = re.search(r"^NANTIAN_SANITIZE:\w+=(.+)$", text, re.M)
    return match[1] if match else None


# Checked builds are several times slower, and the machine may be busy: deadlines are generous,
# because nothing waits for longer than its condition.
DEADLINE = 60 if sanitizer() else 20


def wait_for(condition, what, seconds=DEADLINE, step=0.005):
    """The first true answer of `condition`; an assertion with the last answer otherwise."""
    deadline = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"after {seconds} s still not: {what}; {answer!r}"
        time.sleep(step)


_next_port = random.randrange(20000, 30000)
_port_lock = threading.Lock()


def free_port():
    """A port below the ephemeral ones, so that no outgoing connection takes it meanwhile."""
    global _next_port
    with _port_lock:
        while True:
            _next_port = _next_port + 1 if _next_port < 31999 else 20000
            with socket.socket() as probe, contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", _next_port))
                return _next_port


# ---- YAML in few words ----

API = "gateway.networking.k8s.io/v1"


def metadata(name, **more):
    return {"name": name, "namespace": "default", **more}


def listener(name, port, protocol="HTTP", **more):
    return {"name": name, "port": port, "protocol": protocol, **more}


def gateway_of(*listeners, name="web"):
    return {"apiVersion": API, "kind": "Gateway", "metadata": metadata(name),
            "spec": {"gatewayClassName": "nantian", "listeners": list(listeners)}}


def route(name, *rules, parent="web", **spec):
    return {"apiVersion": API, "kind": "HTTPRoute", "metadata": metadata(name),
            "spec": {"parentRefs": [{"name": parent}], **spec, "rules": list(rules)}}


def rule(*services, **more):
    """A rule to Services by name; (name, weight) for a share."""
    refs = [{"name": s, "port": 80} if isinstance(s, str)
            else {"name": s[0], "port": 80, "weight": s[1]} for s in services]
    return {**more, "backendRefs": refs} if refs else more


def service(name, *ports, annotations=None):
    """A Service whose endpoints are these local ports (or HOST:PORT)."""
    where = ",".join(f"127.0.0.1:{port}" if isinstance(port, int) else port for port in ports)
    notes = {"gateway.nantian.dev/addresses": where} if where else {}
    return {"apiVersion": "v1", "kind": "Service",
            "metadata": metadata(name, annotations={**notes, **(annotations or {})}),
            "spec": {"ports": [{"port": 80}]}}


def rate_limit(name, target, *limits):
    return {"apiVersion": "gateway.nantian.dev/v1alpha1", "kind": "SecurityPolicy",
            "metadata": metadata(name),
            "spec": {"targetRefs": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute",
                                     "name": target}],
                     "rateLimit": list(limits)}}


def simple(port, backend_port, **more):
    """One listener, one route to one backend."""
    return [gateway_of(listener("http", port)), route("all", rule("app", **more)),
            service("app", backend_port)]


# ---- programs ----

def environment(**more):
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    return {**kept, "ASAN_OPTIONS": "detect_leaks=1:exitcode=99",
            "UBSAN_OPTIONS": "print_stacktrace=1", "TSAN_OPTIONS": "exitcode=99", **more}


def nantian(*args, timeout=DEADLINE, **options):
    """Runs the command line; never raises for its exit code."""
    options.setdefault("env", environment())
    return subprocess.run([BIN / "nantian", *map(str, args)], capture_output=True, text=True,
                          timeout=timeout, check=False, stdin=subprocess.DEVNULL, **options)


class Plane:
    """One process and its log."""

    def __init__(self, name, command, log):
        self.name, self.command, self.log = name, [str(word) for word in command], log
        self.process, self.problems, self.expect = None, [], (0,)

    def start(self):
        with open(self.log, "ab") as log:
            # The planes are children of the test alone, so that a signal reaches just one.
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log,
                                            stdin=subprocess.DEVNULL, env=environment(),
                                            start_new_session=True)

    @property
    def pid(self):
        return self.process.pid

    def running(self):
        return self.process is not None and self.process.poll() is None

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        """kill -9, and the end of it."""
        self._judge_early_end()
        self.process.kill()
        self.process.wait()
        self.process = None

    def _judge_early_end(self):
        if self.process.poll() is not None and self.process.returncode not in self.expect:
            self.problems.append(f"{self.name} ended by itself with {self.process.returncode}")

    def wait(self, seconds=DEADLINE):
        """Waits for its end by itself; returns the exit code."""
        code = self.process.wait(seconds)
        self.process = None
        return code

    def stop(self, seconds=DEADLINE):
        if self.process is None:
            return
        self._judge_early_end()
        if self.running():
            self.process.terminate()
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            self.problems.append(f"{self.name} did not end {seconds} s after SIGTERM")
            code = 0
        if code not in self.expect:
            self.problems.append(f"{self.name} ended with {code}")
        self.process = None

    def text(self):
        return pathlib.Path(self.log).read_text(encoding="utf-8", errors="replace")

    def judge(self):
        text = self.text() if pathlib.Path(self.log).exists() else ""
        found = REPORTS.search(text)
        if found:
            at = max(0, found.start() - 400)
            self.problems.append(f"{self.name} reported:\n{text[at:at + 6000]}")
        return self.problems

    def lines(self):
        """The log's JSON lines."""
        return [json.loads(line) for line in self.text().splitlines() if line.startswith("{")]

    def rss(self):
        """Resident bytes."""
        text = pathlib.Path(f"/proc/{self.pid}/smaps_rollup").read_text(encoding="utf-8")
        return int(re.search(r"^Rss:\s+(\d+)", text, re.M)[1]) * 1024

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))


class Gateway:
    """Both planes over a directory of their own."""

    def __init__(self, folder, workers=2, xds=None, drain_ms=2000, control=True, proxy_flags=(),
                 descriptors=None, wrap=()):
        self.folder = pathlib.Path(folder)
        self.config, self.state = self.folder / "config", self.folder / "state"
        self.config.mkdir(parents=True, exist_ok=True)
        for part in (self.state, self.state / "control", self.state / "proxy"):
            part.mkdir(mode=0o700, exist_ok=True)
        self.admin_port = free_port()
        self.access_log = self.folder / "access.log"
        own_xds = f"unix:{self.state}/xds.sock"
        self.control = Plane("nantian-control", [
            BIN / "nantian-control", "--directory", self.config, "--state-dir",
            self.state / "control", "--xds", own_xds, "--admin", f"unix:{self.state}/control.sock",
            "--default-address", "127.0.0.1"], self.folder / "control.log") if control else None
        self.proxy = Plane("nantian-proxy", [
            BIN / "nantian-proxy", "--xds", xds or own_xds, "--node", "test", "--state-dir",
            self.state / "proxy", "--admin", f"127.0.0.1:{self.admin_port}", "--workers", workers,
            "--access-log", self.access_log, "--default-address", "127.0.0.1", "--drain-timeout",
            drain_ms, *proxy_flags], self.folder / "proxy.log")
        for plane in self.planes():  # a program that becomes the plane, and its arguments
            plane.command[:0] = map(str, wrap)
        if descriptors:  # prlimit becomes the proxy: the id stays
            self.proxy.command[:0] = ["prlimit", f"--nofile={descriptors}:{descriptors}", "--"]

    # -- configuration --

    def write(self, name, *documents):
        """Replaces a file as an editor does: beside, then renamed."""
        text = documents[0] if documents and isinstance(documents[0], str) else \
            yaml.safe_dump_all(documents, sort_keys=False)
        path = self.config / name
        temporary = self.folder / f".{name}.new"
        temporary.write_text(text, encoding="utf-8")
        temporary.rename(path)

    def apply(self, name, *documents):
        """Writes a change of the served configuration, and waits until it is served."""
        before = self.status()["snapshot"]
        self.write(name, *documents)
        self.wait_synced(after=before)

    # -- processes --

    def start(self):
        if self.control:
            self.control.start()
        self.proxy.start()
        if self.control:
            self.wait_synced()
        return self

    def wait_ready(self, seconds=DEADLINE):
        wait_for(lambda: self.ask("/readyz")[0] == 200, "the proxy is ready", seconds)

    def wait_synced(self, after=None, seconds=DEADLINE):
        """Until the data plane serves what the control plane publishes, newer than `after`."""
        def synced():
            answer = self.ask_control("/v1/nodes")
            if answer is None or (after is not None and answer["snapshot"] == after):
                return False
            return any(node["state"] == "synced" and node["applied"] == answer["snapshot"]
                       for node in answer["nodes"])
        wait_for(synced, "the data plane serves the newest snapshot", seconds)
        self.wait_ready(seconds)

    def planes(self):
        return [plane for plane in (self.control, self.proxy) if plane]

    def stop(self):
        """Ends what runs; returns what went wrong in the planes' lives."""
        for plane in reversed(self.planes()):
            plane.stop()
        return [problem for plane in self.planes() for problem in plane.judge()]

    # -- questions --

    def ask(self, path, method="GET"):
        """(status, text) from the proxy's admin port; (0, reason) if it does not answer."""
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.admin_port, timeout=10)
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except OSError as error:
            return 0, str(error)
        finally:
            connection.close()

    def ask_control(self, path, as_json=True):
        """The control plane's answer, or None if nobody answers."""
        try:
            connection = http.client.HTTPConnection("localhost", timeout=10)
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.settimeout(10)
            connection.sock.connect(str(self.state / "control.sock"))
            connection.request("GET", path)
            text = connection.getresponse().read().decode()
            return json.loads(text) if as_json else text
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def dump(self):
        return json.loads(self.ask("/config_dump")[1])

    def status(self):
        """What `nantian status -o json` says."""
        answer = nantian("status", "--state-dir", self.state, "-o", "json")
        assert answer.returncode == 0, answer
        return json.loads(answer.stdout)

    def object_status(self, kind, name):
        for item in self.status()["objects"]:
            if (item["kind"], item["name"]) == (kind, name):
                return item["status"]
        return None

    def route_condition(self, name, kind, route_kind="HTTPRoute"):
        """The condition of a route's first parent."""
        status = self.object_status(route_kind, name)
        conditions = status["parents"][0]["conditions"] if status else []
        return next((c for c in conditions if c["type"] == kind), None)

    def faults(self):
        return [fault for fault in self.status()["faults"] if fault["level"] == "error"]

    def metrics(self, plane="proxy"):
        """Samples by name and sorted labels."""
        text = self.ask("/metrics")[1] if plane == "proxy" else \
            self.ask_control("/metrics", as_json=False)
        return parse_metrics(text)

    def log_lines(self, count=1):
        """The access log, once it has so many lines."""
        def read():
            if not self.access_log.exists():
                return None
            lines = self.access_log.read_text(encoding="utf-8").splitlines()
            return lines if len(lines) >= count else None
        return [json.loads(line) for line in wait_for(read, f"{count} lines of access log")]


def parse_metrics(text):
    """name{labels} -> value, as written."""
    samples = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            samples[name] = float(value)
    return samples


def metric_sum(samples, name, **labels):
    """All samples of a name that carry these labels."""
    wanted = [f'{key}="{value}"' for key, value in labels.items()]
    return sum(value for key, value in samples.items()
               if key.split("{")[0] == name and all(word in key for word in wanted))


def send_signal(pid, number=signal.SIGTERM):
    os.kill(pid, number)
