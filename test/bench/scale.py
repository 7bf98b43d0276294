#!/usr/bin/env python3
"""One change among many routes: real planes over a directory of N HTTPRoutes.

scale.py [--routes N] [--edits N] [--json FILE] [--markdown] [--gate]

N routes in files of 10,000, and a file with one more route, which is edited. Prints how long the
control plane needs to load and translate, what goes over the wire, how long the data plane needs to
be ready with it, what a route costs in memory, how soon an edit is live and what it costs, and how
long the data plane needs to be ready again from its disk alone.
--gate judges by counts (one resource and at most 2,000 bytes an edit) and by medians: an edit live
within 60 ms, and 5 ms of CPU in both planes together; ready within 1.5 s of its start and not before
it serves; 2,000 bytes of the data plane a route.
"""
# SPDX-License-Identifier: Apache-2.0
import argparse
import http.client
import json
import pathlib
import re
import socket
import statistics
import subprocess
import sys
import time

sys.dont_write_bytecode = True
import bench  # noqa: E402
import proxies  # noqa: E402

PER_FILE = 10000
WIRE_MAX, LIVE_MAX_MS, CPU_MAX_MS = 2000, 60, 5
START_MAX_S, ROUTE_BYTES_MAX = 1.5, 2000
SERVICES = 100
QUIET = 10  # tenths of a second without work: the state file is written a while after an edit
POLLS = 200  # requests that tell what one poll costs the proxy


def route(name, host, path, backend):
    return (f"apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n"
            f"metadata: {{name: {name}, namespace: default}}\nspec:\n"
            f"  parentRefs: [{{name: web}}]\n  hostnames: [{host}]\n  rules:\n"
            f"  - matches: [{{path: {{type: PathPrefix, value: {path}}}}}]\n"
            f"    backendRefs: [{{name: {backend}, port: 80}}]\n---\n")


def edited(version):
    """The one route: a redirect, so that an answer tells which version is served."""
    return ("apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n"
            "metadata: {name: edited, namespace: default}\nspec:\n"
            "  parentRefs: [{name: web}]\n  hostnames: [edited.example.com]\n  rules:\n"
            "  - filters:\n    - type: RequestRedirect\n"
            f"      requestRedirect: {{hostname: v{version}.example.com, statusCode: 302}}\n")


def gateway(port, services):
    """`services`: the port of the backend of each by its name."""
    text = ("apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n"
            "metadata: {name: web, namespace: default}\nspec:\n  gatewayClassName: nantian\n"
            "  addresses: [{type: IPAddress, value: 127.0.0.1}]\n"
            f"  listeners: [{{name: http, protocol: HTTP, port: {port}}}]\n")
    for name, backend in services.items():
        text += ("---\napiVersion: v1\nkind: Service\n"
                 f"metadata:\n  name: {name}\n  namespace: default\n  annotations: "
                 f"{{gateway.nantian.dev/addresses: \"127.0.0.1:{backend}\"}}\n"
                 "spec: {ports: [{port: 80}]}\n")
    return text


def wait_for(condition, what, seconds=600, step=0.005):
    deadline = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise SystemExit(f"after {seconds} s still not: {what}")
        time.sleep(step)


class Planes:
    """Both planes, measured from outside. `source`: the control plane's flags of where its objects
    come from."""
    source = ()

    def __init__(self):
        self.folder = proxies.scratch("scale")
        self.state = self.folder / "state"
        for path in (self.state, self.state / "control", self.state / "proxy"):
            path.mkdir(mode=0o700)
        self.port, self.admin = proxies.free_port(), proxies.free_port()
        self.control = self.proxy = self.connection = None
        self.version = 0

    def start(self, name, command):
        log = open(self.folder / f"{name}.log", "w")
        process = subprocess.Popen([str(word) for word in command], stdout=log, stderr=log,
                                   stdin=subprocess.DEVNULL, start_new_session=True)
        setattr(self, name, process)
        return process

    def start_control(self):
        """Seconds until everything is translated."""
        began = time.monotonic()
        self.start("control", [
            proxies.BIN / "nantian-control", *self.source, "--state-dir", self.state / "control",
            "--xds", f"unix:{self.state}/xds.sock", "--admin",
            f"unix:{self.state}/control.sock", "--default-address", "127.0.0.1", "--log-level",
            "warn"])
        wait_for(lambda: self.counter("cycles_total") > 0, "the control plane has translated")
        return time.monotonic() - began

    def start_proxy(self):
        """Seconds until it is up."""
        began = time.monotonic()
        self.start("proxy", [
            proxies.BIN / "nantian-proxy", "--xds", f"unix:{self.state}/xds.sock", "--state-dir",
            self.state / "proxy", "--admin", f"127.0.0.1:{self.admin}", "--workers", "1",
            "--access-log", "off", "--log-level", "warn"])
        wait_for(self.is_up, "the data plane serves")
        return time.monotonic() - began

    def is_up(self):
        return self.served() == self.version

    def end(self, name):
        process = getattr(self, name)
        if process and process.poll() is None:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        setattr(self, name, None)

    def close(self):
        self.end("proxy")
        self.end("control")

    def control_metrics(self):
        connection = http.client.HTTPConnection("localhost", timeout=60)
        try:
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.connect(str(self.state / "control.sock"))
            connection.request("GET", "/metrics")
            return connection.getresponse().read().decode()
        except OSError:
            if self.control.poll() is not None:
                raise SystemExit((self.folder / "control.log").read_text()[-2000:]) from None
            return ""
        finally:
            connection.close()

    def counter(self, name):
        values = re.findall(rf"^nantian_control_{name}(?:{{[^}}]*}})? (\S+)$",
                            self.control_metrics(), re.M)
        return int(sum(float(value) for value in values))

    def asked(self, host, path):
        if self.connection is None:
            self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        self.connection.request("GET", path, headers={"Host": host})
        answer = self.connection.getresponse()
        answer.read()
        return answer

    def served(self, host="edited.example.com"):
        """The version that a route which redirects answers with, or None."""
        try:
            answer = self.asked(host, "/")
            found = re.search(r"//v(\d+)\.", answer.headers.get("Location", ""))
            return int(found[1]) if found else None
        except (OSError, http.client.HTTPException):
            self.connection = None
            if self.proxy.poll() is not None:
                raise SystemExit((self.folder / "proxy.log").read_text()[-2000:]) from None
            return None

    def rss(self, name):
        text = pathlib.Path(f"/proc/{getattr(self, name).pid}/smaps_rollup").read_text()
        return int(re.search(r"^Rss:\s+(\d+)", text, re.M)[1]) * 1024

    def cpu_ms(self, name):
        total = 0
        for task in pathlib.Path(f"/proc/{getattr(self, name).pid}/task").glob("*"):
            try:
                total += int((task / "schedstat").read_text().split()[0])
            except OSError:
                pass
        return total / 1e6

    def poll_cost(self):
        """Milliseconds of the proxy that one of our polls takes."""
        before = self.cpu_ms("proxy")
        for _ in range(POLLS):
            self.served()
        return (self.cpu_ms("proxy") - before) / POLLS

    def change(self):
        """What is to be called to bring the route of this version."""
        raise NotImplementedError

    def edit(self, poll_ms):
        """A change of the one route, until a request meets it."""
        before = {name: self.counter(f"xds_sent_{name}_total") for name in ("bytes", "resources")}
        self.version += 1
        bring = self.change()
        cpu = {name: self.cpu_ms(name) for name in ("control", "proxy")}
        polls, began = 1, time.monotonic()
        bring()
        while self.served() != self.version:
            polls += 1
            time.sleep(0.001)
            if time.monotonic() - began > 60:
                raise SystemExit("an edit is not live after 60 s")
        live = time.monotonic() - began
        settled = self.settle()
        return {"live_ms": live * 1e3,
                "control_ms": settled["control"] - cpu["control"],
                "proxy_ms": settled["proxy"] - cpu["proxy"] - polls * poll_ms,
                "bytes": self.counter("xds_sent_bytes_total") - before["bytes"],
                "resources": self.counter("xds_sent_resources_total") - before["resources"]}

    def settle(self):
        """The CPU of both once they rest: what follows an edit (disk, status) belongs to it."""
        last, quiet = None, 0
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and quiet < QUIET:
            now = {name: self.cpu_ms(name) for name in ("control", "proxy")}
            rests = last is not None and all(now[name] - last[name] < 0.3 for name in now)
            quiet = quiet + 1 if rests else 0
            last = now
            time.sleep(0.1)
        return last


class Scale(Planes):
    """A directory is the source."""
    def __init__(self, routes):
        super().__init__()
        self.config = self.folder / "config"
        self.config.mkdir()
        self.source = ("--directory", self.config)
        (self.config / "gateway.yaml").write_text(
            gateway(self.port, {f"app-{i}": 9000 + i for i in range(SERVICES)}))
        for first in range(0, routes, PER_FILE):
            numbers = range(first, min(first + PER_FILE, routes))
            (self.config / f"routes-{first}.yaml").write_text("".join(
                route(f"r{i}", f"h{i // 10}.example.com", f"/app-{i}", f"app-{i % SERVICES}")
                for i in numbers))
        (self.config / "edited.yaml").write_text(edited(0))
        self.routes = routes

    def is_up(self):
        """It says that it is ready; then it serves all that there is, which a few routes tell."""
        connection = http.client.HTTPConnection("127.0.0.1", self.admin, timeout=60)
        try:
            connection.request("GET", "/readyz")
            if connection.getresponse().status != 200:
                return False
        except OSError:
            super().is_up()  # ends the run if the data plane is gone
            return False
        finally:
            connection.close()
        if not super().is_up():
            raise SystemExit("the data plane says that it is ready and does not serve the edit")
        for number in range(0, self.routes, max(1, self.routes // 10)):
            # Its Service has no backend that answers; 404 is what has no route.
            if self.asked(f"h{number // 10}.example.com", f"/app-{number}/x").status == 404:
                raise SystemExit(f"the data plane says that it is ready without route {number}")
        return True

    def change(self):
        new = self.folder / "edited.new"
        new.write_text(edited(self.version))
        return lambda: new.rename(self.config / "edited.yaml")


def measure(options):
    base = Scale(0)
    try:
        base.start_control()
        base.start_proxy()
        base.settle()
        empty = {name: base.rss(name) for name in ("control", "proxy")}
    finally:
        base.close()
    scale = Scale(options.routes)
    result = {"routes": options.routes}
    try:
        result["control_start_s"] = scale.start_control()
        result["resources"] = scale.counter("resources")
        result["cold_apply_s"] = scale.start_proxy()
        result["first_push_bytes"] = scale.counter("xds_sent_bytes_total")
        scale.settle()
        poll_ms = scale.poll_cost()
        result["edits"] = [scale.edit(poll_ms) for _ in range(options.edits)]
        for name in ("control", "proxy"):
            result[f"{name}_rss"] = scale.rss(name)
            result[f"{name}_bytes_per_route"] = (scale.rss(name) - empty[name]) / options.routes
        scale.end("proxy")
        scale.end("control")
        scale.connection = None
        result["disk_start_s"] = scale.start_proxy()
    finally:
        scale.close()
    return result


def spread(edits, key, digits=1):
    values = [edit[key] for edit in edits]
    return "/".join(f"{v:.{digits}f}" for v in
                    (min(values), statistics.median(values), max(values)))


def rows(result):
    edits = result["edits"]
    mib = 1 << 20
    return [
        ("routes", f"{result['routes']:,} and the one that is edited"),
        ("control plane: load and translate", f"{result['control_start_s']:.2f} s"),
        ("resources", f"{result['resources']:,}"),
        ("first push", f"{result['first_push_bytes'] / mib:.1f} MiB"),
        ("data plane: start to ready, over xDS", f"{result['cold_apply_s']:.2f} s"),
        ("data plane: start to ready, from disk, no control plane",
         f"{result['disk_start_s']:.2f} s"),
        ("control plane: memory (RSS), bytes a route",
         f"{result['control_rss'] / mib:.0f} MiB, {result['control_bytes_per_route']:.0f}"),
        ("data plane: memory (RSS), bytes a route",
         f"{result['proxy_rss'] / mib:.0f} MiB, {result['proxy_bytes_per_route']:.0f}"),
        (f"an edit, from rename to served ({len(edits)} edits)",
         f"{spread(edits, 'live_ms')} ms"),
        ("control plane: CPU an edit", f"{spread(edits, 'control_ms')} ms"),
        ("data plane: CPU an edit", f"{spread(edits, 'proxy_ms')} ms"),
        ("bytes on the wire an edit", spread(edits, "bytes", 0)),
        ("resources on the wire an edit", spread(edits, "resources", 0)),
    ]


def judge(result):
    edits = result["edits"]
    median = statistics.median(edit["live_ms"] for edit in edits)
    checks = [
        (f"bytes on the wire an edit, at most {WIRE_MAX}",
         max(edit["bytes"] for edit in edits), WIRE_MAX),
        # The route; its commit record is not counted as one.
        ("resources on the wire an edit, at most 1", max(e["resources"] for e in edits), 1),
        (f"median of edits live within {LIVE_MAX_MS} ms", median, LIVE_MAX_MS),
        (f"seconds from start to ready, over xDS and from disk, at most {START_MAX_S}",
         max(result["cold_apply_s"], result["disk_start_s"]), START_MAX_S),
        (f"data plane: bytes a route, at most {ROUTE_BYTES_MAX}",
         result["proxy_bytes_per_route"], ROUTE_BYTES_MAX),
        (f"median of CPU ms an edit in both planes, at most {CPU_MAX_MS}",
         statistics.median(e["control_ms"] + e["proxy_ms"] for e in edits), CPU_MAX_MS),
    ]
    return verdict(checks)


def verdict(checks):
    failed = 0
    for what, value, limit in checks:
        failed += value > limit
        print(f"{what}: {value:.4g} {'ok' if value <= limit else 'TOO MUCH'}")
    print(f"{len(checks) - failed} passed, {failed} failed")
    return 1 if failed else 0


def report(options, watch, result, name_rows, judge_it):
    if options.markdown:
        print(watch.markdown())
        print("\n| | min/median/max where three |\n|---|---|")
        for name, value in name_rows(result):
            print(f"| {name} | {value} |")
    else:
        for name, value in name_rows(result):
            print(f"{name}: {value}")
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(result, indent=1) + "\n")
    return judge_it(result) if options.gate else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--routes", type=int, default=100000)
    parser.add_argument("--edits", type=int, default=11)
    parser.add_argument("--json")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--gate", action="store_true")
    options = parser.parse_args()
    if options.routes < 1 or options.edits < 1:
        parser.error("--routes and --edits are at least 1")
    watch = bench.Machine()
    return report(options, watch, measure(options), rows, judge)


if __name__ == "__main__":
    sys.exit(main())
