#!/usr/bin/env python3
"""A request among many routes beside a request among one: CPU of the whole data plane.

routes.py [--only hosts,prefixes] [--sizes 5000,100000] [--pairs N] [--window SECONDS] [--json FILE]
          [--markdown] [--gate]

A data plane of one route and one of N run side by side on core 0 and are measured in alternating
windows, as bench.py does with the others' proxies. "hosts": each route has a host name of its own;
"prefixes": all have one, and each a prefix. The requests ask for the routes at random, so that the
larger table pays for the memory it lies in.
--gate fails if the median of a ratio is more than 1.10 for up to 5,000 routes, 1.15 for more.
"""
# SPDX-License-Identifier: Apache-2.0
import argparse
import json
import pathlib
import statistics
import subprocess
import sys

sys.dont_write_bytecode = True
import bench  # noqa: E402
import proxies  # noqa: E402
import scale  # noqa: E402


def limit(routes):
    return 1.10 if routes <= 5000 else 1.15


class Table(proxies.Nantian):
    """A data plane, and a control plane for it, with `count` routes to one backend."""
    def __init__(self, kind, count):
        super().__init__(f"{kind}-{count}")
        self.kind, self.count = kind, count
        self.folder = proxies.scratch("routes")

    def load_arguments(self):
        return ["--connections", "32", "--hosts" if self.kind == "hosts" else "--paths",
                self.count]

    def write_config(self, config, backend, cert, key):
        (config / "gateway.yaml").write_text(scale.gateway(self.port, {"app": backend}))
        for first in range(0, self.count, scale.PER_FILE):
            numbers = range(first, min(first + scale.PER_FILE, self.count))
            (config / f"routes-{first}.yaml").write_text("".join(
                scale.route(f"r{i}", f"h{i}.example.com", "/", "app") if self.kind == "hosts" else
                scale.route(f"r{i}", "bench.example.com", f"/p{i}", "app") for i in numbers))


def compare(options):
    machine, rows = bench.Machine(), []
    backend_port = proxies.free_port()
    backend = subprocess.Popen(proxies.pinned(1, [proxies.BENCH / "bench_backend", str(backend_port)]))
    started = []
    take = lambda table: bench.charged(
        table, machine, table.name,
        lambda: bench.load(table.port, options.window, table.load_arguments()))
    try:
        proxies.wait_port(backend_port)
        for kind in options.only:
            one = Table(kind, 1)
            started.append(one)
            one.start(one.folder, backend_port, None, None)
            for size in options.sizes:
                many = Table(kind, size)
                started.append(many)
                many.start(many.folder, backend_port, None, None)
                pairs = bench.paired(many, one, take, options)
                started.pop().stop()
                ratios = [m[0] / o[0] for m, o in pairs]
                rows.append({"kind": kind, "routes": size, "ratio": statistics.median(ratios),
                             "ratios": bench.spread(ratios),
                             "many_us": statistics.median(m[0] for m, _ in pairs),
                             "one_us": statistics.median(o[0] for _, o in pairs)})
                print(f"{kind} {size}: CPU a request {rows[-1]['many_us']:.1f} us against "
                      f"{rows[-1]['one_us']:.1f} us among one, ratio {rows[-1]['ratios']}",
                      file=sys.stderr, flush=True)
            started.pop().stop()
    finally:
        for table in started:
            table.stop()
        backend.kill()
        backend.wait()
    return machine, rows


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", type=lambda t: t.split(","), default=["hosts", "prefixes"])
    parser.add_argument("--sizes", type=lambda t: [int(n) for n in t.split(",")],
                        default=[5000, 100000])
    parser.add_argument("--pairs", type=int, default=11)
    parser.add_argument("--window", type=float, default=1.0)
    parser.add_argument("--json")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--gate", action="store_true")
    options = parser.parse_args()
    machine, rows = compare(options)
    if options.markdown:
        print(f"{machine.markdown()}\n\n| routes | CPU a request, to that among one | min/median/max "
              "| us |\n|---|---|---|---|")
        for row in rows:
            print(f"| {row['routes']:,} {row['kind']} | **{row['ratio']:.2f}** | {row['ratios']} | "
                  f"{row['many_us']:.1f} / {row['one_us']:.1f} |")
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(rows, indent=1) + "\n")
    over = [row for row in rows if row["ratio"] > limit(row["routes"])]
    for row in over:
        print(f"{row['kind']} {row['routes']}: {row['ratio']:.2f}, at most {limit(row['routes'])}")
    return 1 if options.gate and over else 0


if __name__ == "__main__":
    sys.exit(main())
