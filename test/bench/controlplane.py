#!/usr/bin/env python3
"""The Kubernetes path among many routes: real planes over a scripted API server with N HTTPRoutes.

controlplane.py [--routes N] [--edits N] [--attach N] [--churn N] [--json FILE] [--markdown] [--gate]
                [--kubeconfig FILE --audit-log FILE]

Prints how long the control plane needs to list, decode and translate, what a route costs in memory,
how soon and at which cost an edit and a new route are live, which statuses are written for --attach
routes that come at once, and what --churn changes in a row do to requests and to new routes.
--kubeconfig takes a real API server instead (of `make cluster`, bare).
--gate judges by counts alone: writes, bytes and resources, errors.
"""
# SPDX-License-Identifier: Apache-2.0
import argparse
import collections
import copy
import json
import pathlib
import statistics
import sys
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "peers"))
import bench  # noqa: E402
import proxies  # noqa: E402
import scale  # noqa: E402
from api_server import ApiServer  # noqa: E402
from kube_server import PLURALS, RESOURCES, KubeServer  # noqa: E402
from scale import wait_for  # noqa: E402

CREATED = "2026-01-01T00:00:00Z"
WIRE_MAX, GATEWAY_WRITES_MAX, WRITES_MAX = 1000, 80, 100
QUIET_S = 1.0  # no write for so long: settled
CHURN_RATE = 250  # changes a second
PROBE_EVERY_S = 0.1


def meta(name, **more):
    return {"name": name, "namespace": "default", **more}


def gateway(name, port):
    return {"kind": "Gateway", "metadata": meta(name), "spec": {
        "gatewayClassName": "nantian",
        "listeners": [{"name": "http", "protocol": "HTTP", "port": port,
                       "allowedRoutes": {"namespaces": {"from": "All"}}}]}}


def route(number, parent="web"):
    return {"kind": "HTTPRoute", "metadata": meta(f"r{number}"), "spec": {
        "parentRefs": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": parent}],
        "hostnames": [f"h{number // 10}.example.com"],
        "rules": [{"matches": [{"path": {"type": "PathPrefix", "value": f"/app-{number}"}}],
                   "backendRefs": [{"group": "", "kind": "Service", "weight": 1, "port": 80,
                                    "name": f"app-{number % scale.SERVICES}"}]}]}}


def redirect(name, version):
    """A redirect, so that an answer tells which version is served."""
    item = route(0)
    item["metadata"] = meta(name)
    item["spec"]["hostnames"] = [f"{name}.example.com"]
    item["spec"]["rules"] = [{"filters": [{"type": "RequestRedirect", "requestRedirect": {
        "hostname": f"v{version}.example.com", "statusCode": 302}}]}]
    return item


class Source(KubeServer):
    """Serves what was loaded from bytes that were made once: its own work is not what is measured."""
    def __init__(self):
        super().__init__()
        self.bookmark_every = 30
        self.made = {}  # (plural, key) -> revision, bytes
        self.listed = {}  # plural -> revision, items, between the pages of a list

    def load(self, items):
        """Objects that were there before anybody watched."""
        for item in items:
            plural = PLURALS[item["kind"]]
            group, version, _, namespaced = RESOURCES[plural]
            item["apiVersion"] = f"{group}/{version}" if group else version
            self.revision += 1
            item["metadata"].update(
                resourceVersion=str(self.revision), creationTimestamp=CREATED, generation=1,
                uid=f"00000000-0000-4000-8000-{self.revision:012d}")
            key = (item["metadata"]["namespace"] if namespaced else "", item["metadata"]["name"])
            self.objects[plural][key] = item
            self.encode(plural, key, item)

    def encode(self, plural, key, item):
        revision = item["metadata"]["resourceVersion"]
        known = self.made.get((plural, key))
        if known is None or known[0] != revision:
            known = self.made[plural, key] = (revision, json.dumps(item).encode())
        return known[1]

    def do_list(self, request, handler):
        if not RESOURCES[request.plural][0]:
            super().do_list(request, handler)
            return
        group, version, kind, _ = RESOURCES[request.plural]
        start = int(request.query.get("continue", "0"))
        with self.lock:
            if start == 0:
                self.listed[request.plural] = (self.revision,
                                               sorted(self.objects[request.plural].items()))
            revision, items = self.listed[request.plural]
            page = items[start:start + int(request.query["limit"])]
            parts = [self.encode(request.plural, key, item) for key, item in page]
        end = start + len(page)
        more = f',"continue":"{end}"' if end < len(items) else ""
        data = (f'{{"kind":"{kind}List","apiVersion":"{group}/{version}","metadata":'
                f'{{"resourceVersion":"{revision}"{more}}},"items":[').encode() + \
            b",".join(parts) + b"]}"
        handler.send_response(200)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    def status_writes(self, since=0):
        """(plural, when) of each from `since` on in the audit."""
        return [(r.plural, r.at) for r in list(self.audit)[since:] if r.sub == "status"
                and r.method != "GET"]

    def mark(self):
        """Where what comes from now on begins."""
        return len(self.audit)


class Cluster(scale.Planes):
    """Both planes over an API server."""
    def __init__(self, server):
        super().__init__()
        self.server = server
        self.source = ("--kubeconfig", server.kubeconfig(self.folder / "kubeconfig"))
        self.load([{"kind": "GatewayClass", "metadata": {"name": "nantian"},
                    "spec": {"controllerName": "nantian.dev/gateway-controller"}},
                   gateway("web", self.port)])
        self.load(item for number in range(scale.SERVICES) for item in (
            {"kind": "Service", "metadata": meta(f"app-{number}"),
             "spec": {"ports": [{"port": 80, "protocol": "TCP"}]}},
            {"kind": "EndpointSlice", "addressType": "IPv4", "metadata": meta(
                f"app-{number}", labels={"kubernetes.io/service-name": f"app-{number}"}),
             "endpoints": [{"addresses": [f"192.0.2.{number + 1}"], "conditions": {"ready": True}}],
             "ports": [{"name": "", "port": 8080, "protocol": "TCP"}]}))

    def load(self, items):
        self.server.load(items)

    def load_routes(self, count, **more):
        self.load({**item, **more} for item in
                  [redirect("edited", self.version), *(route(number) for number in range(count))])

    def close(self):
        super().close()
        self.server.stop()

    def change(self):
        return lambda: self.server.put(redirect("edited", self.version))

    def settled(self, since=0):
        """The status writes from there on, once no more come."""
        def quiet():
            writes = self.server.status_writes(since)
            return (writes or [None]) if not writes or time.monotonic() - writes[-1][1] > QUIET_S \
                else None
        time.sleep(QUIET_S)
        return [write for write in wait_for(quiet, "the statuses settle", step=0.05) if write]

    def live(self, name):
        """Milliseconds from creation to the first answer of a new route."""
        began = time.monotonic()
        self.server.put(redirect(name, 1))
        while self.served(f"{name}.example.com") != 1:
            if time.monotonic() - began > 60:
                raise SystemExit("a new route is not live after 60 s")
            time.sleep(0.001)
        return (time.monotonic() - began) * 1e3

    def attach(self, count):
        """So many routes of another Gateway at once."""
        server = self.server
        server.put(gateway("crowd", proxies.free_port()))
        self.settled(server.mark())
        since = server.mark()
        for number in range(count):
            item = route(number, "crowd")
            item["metadata"] = meta(f"crowd-{number}")
            server.put(item)
        last = time.monotonic()

        def attached():
            status = server.get("Gateway", "crowd").get("status", {})
            return status.get("listeners", [{}])[0].get("attachedRoutes") == count
        wait_for(attached, "all routes are attached", step=0.02)
        writes = self.settled(since)
        kinds = collections.Counter(plural for plural, _ in writes)
        return {"count": count, "settled_s": max(at for _, at in writes) - last,
                "gateway_writes": kinds["gateways"], "route_writes": kinds["httproutes"],
                "writes": len(writes)}

    def ask_on(self, stop, told):
        """Requests on a connection of their own, counted in `told`."""
        asker = copy.copy(self)
        asker.connection = None
        while not stop.is_set():
            told["asked"] += 1
            told["failed"] += asker.served() != self.version
            time.sleep(0.005)

    def make_and_unmake(self, count, told):
        """At a rate: a route is made, gets another name, is taken away."""
        began = time.monotonic()
        for number in range(count):
            name = f"churn-{number // 3}"
            if number % 3 == 2:
                self.server.remove("HTTPRoute", name)
            else:
                item = route(number)
                item["metadata"] = meta(name)
                item["spec"]["hostnames"] = [f"{name}-{number}.example.com"]
                self.server.put(item)
            time.sleep(max(0, began + number / CHURN_RATE - time.monotonic()))
        told["seconds"] = time.monotonic() - began

    def churn(self, count):
        """Many changes in a row, while requests go on, and now and then a new route is awaited."""
        stop, told = threading.Event(), {"count": count, "asked": 0, "failed": 0, "live_ms": []}
        since, cpu = self.server.mark(), {n: self.cpu_ms(n) for n in ("control", "proxy")}
        asking = threading.Thread(target=self.ask_on, args=(stop, told))
        changing = threading.Thread(target=self.make_and_unmake, args=(count, told))
        asking.start()
        changing.start()
        while changing.is_alive():
            told["live_ms"].append(self.live(f"probe-{len(told['live_ms'])}"))
            time.sleep(PROBE_EVERY_S)
        for name, before in cpu.items():
            told[f"{name}_cores"] = (self.cpu_ms(name) - before) / 1e3 / told["seconds"]
        self.settled(since)
        stop.set()
        asking.join()
        return told


def start_empty(cluster):
    """The memory of both planes without the routes."""
    cluster.start_control()
    cluster.start_proxy()
    cluster.settled()
    cluster.settle()
    return {name: cluster.rss(name) for name in ("control", "proxy")}


def prepare_scripted(options):
    """Every route has the status that a control plane wrote for the first one."""
    cluster = Cluster(Source())
    try:
        cluster.load_routes(1)
        empty = start_empty(cluster)
        status = cluster.server.get("HTTPRoute", "r0")["status"]
    finally:
        cluster.close()
    cluster = Cluster(Source())
    cluster.load_routes(options.routes, status=status)
    return cluster, empty


def prepare_real(options, result):
    """A control plane has written the statuses."""
    cluster = Cluster(ApiServer(options.kubeconfig, options.audit_log))
    cluster.load_routes(0)
    empty = start_empty(cluster)
    cluster.end("proxy")
    cluster.end("control")
    cluster.connection = None
    for path in (cluster.state / "proxy").iterdir():
        path.unlink()
    cluster.load_routes(options.routes)
    since, began = cluster.server.mark(), time.monotonic()
    cluster.start_control()
    writes = cluster.settled(since)
    result["first_statuses"] = len(writes)
    result["first_statuses_s"] = writes[-1][1] - began
    cluster.end("control")
    return cluster, empty


def measure(options):
    result = {"routes": options.routes}
    cluster, empty = prepare_real(options, result) if options.kubeconfig else \
        prepare_scripted(options)
    since = cluster.server.mark()
    try:
        result["snapshot_s"] = cluster.start_control()
        result["snapshot_cpu_s"] = cluster.cpu_ms("control") / 1e3
        build = [line for line in cluster.control_metrics().splitlines()
                 if line.startswith("nantian_control_snapshot_build_duration_seconds ")]
        result["translate_s"] = float(build[0].split()[1])
        result["cold_apply_s"] = cluster.start_proxy()
        result["start_writes"] = len(cluster.settled(since))
        cluster.settle()
        poll_ms = cluster.poll_cost()
        since = cluster.server.mark()
        result["edits"] = [cluster.edit(poll_ms) for _ in range(options.edits)]
        result["edit_writes"] = len(cluster.settled(since)) / options.edits
        result["live_ms"] = [cluster.live(f"new-{n}") for n in range(options.creates)]
        for name in ("control", "proxy"):
            result[f"{name}_rss"] = cluster.rss(name)
            result[f"{name}_bytes_per_route"] = (cluster.rss(name) - empty[name]) / options.routes
        if options.attach:
            result["attach"] = cluster.attach(options.attach)
        if options.churn:
            result["churn"] = cluster.churn(options.churn)
    finally:
        cluster.close()
    return result


def spread(values, digits=1):
    ordered = sorted(values)
    return "/".join(f"{v:.{digits}f}" for v in (
        ordered[0], statistics.median(ordered), ordered[min(len(ordered) - 1,
                                                            len(ordered) * 99 // 100)]))


def rows(result):
    edits, mib = result["edits"], 1 << 20
    yield "routes", f"{result['routes']:,} and the one that is edited"
    if "first_statuses" in result:
        yield ("status writes over routes that have none",
               f"{result['first_statuses']:,} in {result['first_statuses_s']:.1f} s")
    yield ("control plane: start to first snapshot, CPU of it",
           f"{result['snapshot_s']:.2f} s, {result['snapshot_cpu_s']:.2f} s")
    yield ("translation of all of it, routes a second of one core",
           f"{result['translate_s']:.2f} s, {result['routes'] / result['translate_s']:,.0f}")
    yield "data plane: start to serving", f"{result['cold_apply_s']:.2f} s"
    yield "status writes after a start over routes that have theirs", result["start_writes"]
    for name in ("control", "proxy"):
        yield (f"{'data' if name == 'proxy' else name} plane: memory (RSS), bytes a route",
               f"{result[f'{name}_rss'] / mib:.0f} MiB, {result[f'{name}_bytes_per_route']:.0f}")
    yield (f"an edit, from the API server to served ({len(edits)} edits)",
           spread([e["live_ms"] for e in edits]) + " ms")
    yield (f"a new route, from the API server to served ({len(result['live_ms'])} routes)",
           spread(result["live_ms"]) + " ms")
    for name in ("control", "proxy"):
        yield (f"{'data' if name == 'proxy' else name} plane: CPU an edit",
               spread([e[f"{name}_ms"] for e in edits], 2) + " ms")
    for what in ("bytes", "resources"):
        yield f"{what} on the wire an edit", spread([e[what] for e in edits], 0)
    yield "status writes an edit", f"{result['edit_writes']:.1f}"
    if "attach" in result:
        attach = result["attach"]
        yield (f"{attach['count']:,} routes attached at once: settled after the last",
               f"{attach['settled_s']:.2f} s")
        yield ("status writes of the Gateway for them; of the routes",
               f"{attach['gateway_writes']}; {attach['route_writes']}")
    if "churn" in result:
        churn = result["churn"]
        yield (f"churn of {churn['count']:,} changes, {churn['count'] / churn['seconds']:.0f} a "
               "second: failed requests", f"{churn['failed']} of {churn['asked']:,}")
        yield ("a new route meanwhile", spread(churn["live_ms"]) + " ms")
        yield ("cores in it, control and data plane",
               f"{churn['control_cores']:.3f}, {churn['proxy_cores']:.3f}")


def judge(result):
    edits = result["edits"]
    checks = [(f"bytes on the wire an edit, at most {WIRE_MAX}",
               max(e["bytes"] for e in edits), WIRE_MAX),
              ("resources on the wire an edit, at most 1", max(e["resources"] for e in edits), 1),
              ("status writes an edit, at most 2", result["edit_writes"], 2),
              # The class, the Gateway with the number of its routes, then that it is programmed.
              ("status writes after a start, at most 5", result["start_writes"], 5)]
    if "attach" in result:
        attach = result["attach"]
        checks += [(f"Gateway status writes of {attach['count']} routes attached, at most "
                    f"{GATEWAY_WRITES_MAX}", attach["gateway_writes"], GATEWAY_WRITES_MAX),
                   ("status writes a route attached, at most 2",
                    attach["route_writes"] / attach["count"], 2)]
    if "churn" in result:
        checks.append(("requests failed in churn, at most 0", result["churn"]["failed"], 0))
    return scale.verdict(checks)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--routes", type=int, default=10000)
    parser.add_argument("--edits", type=int, default=11)
    parser.add_argument("--creates", type=int, default=101)
    parser.add_argument("--attach", type=int, default=1000)
    parser.add_argument("--churn", type=int, default=5000)
    parser.add_argument("--kubeconfig", help="of a real API server, with nothing else in it")
    parser.add_argument("--audit-log", help="of that API server")
    parser.add_argument("--json")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--gate", action="store_true")
    options = parser.parse_args()
    if min(options.routes, options.edits, options.creates) < 1:
        parser.error("--routes, --edits and --creates are at least 1")
    sys.setswitchinterval(0.0005)  # the API server and the probes are threads of this process
    watch = bench.Machine()
    return scale.report(options, watch, measure(options), rows, judge)


if __name__ == "__main__":
    sys.exit(main())
