"""Faults around a Gateway under load, one after the other: nothing may fail that a perfect gateway
would not fail, and what statuses say is right after each; then the command line, a shared fleet,
`Programmed` as a register, what the audit log says of all of it, the documentation, and Helm."""
# SPDX-License-Identifier: Apache-2.0
import base64
import contextlib
import json
import os
import shutil
import signal
import ssl
import threading
import time
import traceback
import urllib.request

import audit
from charts import Charts
from commands import Commands
from doors import Doors
from fleets import TEAM, Fleets
from pages import Pages
from register import Register
from rig import wait_for
from world import (HOST, PATIENCE, ROUTES, SPACE, World, lay_network, now, secret, verdict)

RATE = 100  # requests a second, and nine streams


class Chaos:
    def __init__(self, cluster, build, is_long):
        self.cluster, self.programs = cluster, build / "bin"
        self.world = World(cluster, build / "peers/judge")
        self.rounds, self.histories = (20, 500) if is_long else (2, 8)
        self.repeats, self.is_long = 3 if is_long else 1, is_long

    # ---- faults ----

    def control_planes_killed_in_turn(self):
        for name in sorted(self.world.control_planes()):
            self.world.signal(self.world.control_planes()[name], signal.SIGKILL)
            self.world.change()
            self.world.wait_ready(self.world.control_planes, 2)

    def control_planes_replaced_in_turn(self):
        """As an upgrade does."""
        old = set(self.world.control_planes())
        self.world.api.patch(
            "/apis/apps/v1/namespaces/nantian-system/deployments/nantian-control",
            {"spec": {"template": {"metadata": {"annotations": {"chaos": now()}}}}})
        self.world.change()
        wait_for(lambda: not old & set(self.world.control_planes()), "all are new", PATIENCE, 0.5)
        self.world.wait_ready(self.world.control_planes, 2)

    def api_server_restarted(self):
        self.cluster.restart("kube-apiserver")
        self.world.change()

    def etcd_restarted(self):
        self.cluster.restart("etcd")
        self.world.change()

    def watches_cut(self):
        """Long enough for the connections to be given up, with a change meanwhile."""
        before = self._counters("failures")
        with self.world.cut(*self.world.control_planes().values()):
            self.world.api.patch(f"{ROUTES}/churn", {"spec": {"hostnames": ["cut.example"]}})
            wait_for(lambda: self._all_grew(before, "failures"), "watches have failed", PATIENCE, 1)
        self.world.change()

    def resumed_too_late(self):
        """410: what the control planes have seen last is compacted when they come back."""
        before = self._counters("expired")
        with self.world.cut(*self.world.control_planes().values()):
            for name in ("late", "later"):
                self.world.api.patch(f"{ROUTES}/churn", {"spec": {"hostnames": [f"{name}.example"]}})
            self.cluster.restart("kube-apiserver")
            wait_for(lambda: self.world.object(ROUTES, "churn"), "the server is back", PATIENCE, 0.5)
            self._compact()
        self.world.change()
        wait_for(lambda: self._all_grew(before, "expired"), "each control plane was told 410",
                 PATIENCE, 0.5)

    def data_planes_deleted_in_turn(self):
        for _ in range(3):
            for name in sorted(self.world.data_planes()):
                time.sleep(1)  # connections spread over both
                self.world.delete(self.world.data_planes()[name])
                self.world.wait_ready(self.world.data_planes, 2)
        self.world.change()

    def certificate_rotated(self):
        for _ in range(5):
            fresh = secret("web", HOST)
            wanted = base64.b64decode(fresh["data"]["tls.crt"]).decode()
            self.world.apply(fresh)
            wait_for(lambda text=wanted: all(self._served_certificate() == ssl.PEM_cert_to_DER_cert(
                text) for _ in range(12)), "the new certificate is served", PATIENCE, 0.2)

    def endpoints_churned(self):
        for replicas in (3, 1, 2):
            self.world.scale("app", replicas)
        for pod in list(self.world.pods(SPACE, "app=app").values()):
            self.world.delete(pod)
            self.world.wait_ready(lambda: self.world.pods(SPACE, "app=app"), 2)
        self.world.change()

    def holders_asleep_and_cut_off(self):
        """The holder of the Lease sleeps past its time, or cannot renew it, with writes under way."""
        over = threading.Event()

        def churn():
            number = 0
            while not over.wait(0.15):
                number += 1
                self.world.api.call("PATCH", f"{ROUTES}/churn", {"spec": {"hostnames": [
                    f"n{number}.example"]}}, "application/merge-patch+json")
        busy = threading.Thread(target=churn)
        busy.start()
        try:
            for number in range(self.rounds):
                self._depose(by_sleep=number % 2 == 0)
        finally:
            over.set()
            busy.join()
        self.world.change()

    def etcd_restored(self):
        """F09: from a copy of before the last edits. Other people's programs, who resume where they
        were, do not hear of changes for long after: nothing of the cluster is asked for later."""
        data, copy = self.cluster.folder / "etcd", self.cluster.folder / "etcd-copy"

        def swap():
            shutil.rmtree(data)
            shutil.move(copy, data)
        kept = str(self.world.edits)
        self.cluster.restart("etcd", lambda: shutil.copytree(data, copy))
        for number in range(100):
            self.world.api.patch(f"{ROUTES}/churn", {"spec": {"hostnames": [f"r{number}.example"]}})
        self.world.change()
        self.cluster.restart("kube-apiserver", lambda: self.cluster.restart("etcd", swap))
        wait_for(lambda: all(self.world.served() == kept for _ in range(12)),
                 "what the copy says is served", PATIENCE, 0.3)
        wait_for(self.world.is_right, "all statuses are right", PATIENCE, 0.3)
        self.world.change()

    def _depose(self, by_sleep):
        def another():
            found = self.world.leader()
            return found and found["metadata"]["name"] != name
        self.world.wait_ready(self.world.control_planes, 2)
        leader = wait_for(self.world.leader, "somebody leads", PATIENCE, 0.2)
        name = leader["metadata"]["name"]
        if by_sleep:
            self.world.signal(leader, signal.SIGSTOP)
            try:
                wait_for(another, "another one leads", PATIENCE, 0.1)
            finally:
                with contextlib.suppress(ProcessLookupError):
                    self.world.signal(leader, signal.SIGCONT)
        else:
            with self.world.cut(leader):
                wait_for(another, "another one leads", PATIENCE, 0.1)
        time.sleep(1)  # for the deposed one to do what it must not

    # ---- helpers ----

    def _counters(self, what):
        """pod -> a counter of all its kinds; wanted of every control plane."""
        def read():
            found = {name: self.world.metrics(pod)
                     for name, pod in self.world.control_planes().items()}
            return found if len(found) == 2 and all(found.values()) else None
        return {name: sum(kind[what] for kind in kinds.values())
                for name, kinds in wait_for(read, "control planes answer", PATIENCE, 0.5).items()}

    def _all_grew(self, before, what):
        after = self._counters(what)
        return all(after.get(name, count + 1) > count for name, count in before.items())

    def _compact(self):
        def ask(path, body):
            request = urllib.request.Request(f"http://127.0.0.1:2379/v3/kv/{path}",
                                             json.dumps(body).encode())
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.loads(answer.read())
        revision = ask("range", {"key": "AA=="})["header"]["revision"]
        ask("compaction", {"revision": revision})

    def _served_certificate(self):
        try:
            return ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate(
                (self.world.address, 443), timeout=10))
        except OSError:
            return None

    # ---- the whole ----

    def faults(self):
        return (self.control_planes_killed_in_turn, self.control_planes_replaced_in_turn,
                self.api_server_restarted, self.etcd_restarted, self.watches_cut,
                self.resumed_too_late, self.data_planes_deleted_in_turn, self.certificate_rotated,
                self.endpoints_churned, self.holders_asleep_and_cut_off)

    def under_load(self, fault):
        began = time.monotonic()
        with self.world.load(RATE) as report:
            for _ in range(self.repeats):
                time.sleep(1)  # under way, not only begun
                fault()
        wrong = verdict(report)
        said = f"{report['answered']} requests, {report['streams']} streams, " \
               f"{report['retried']} sent again, {time.monotonic() - began:.0f} s"
        return said, [f"{wrong} of {report}"] if wrong else []

    def command_line(self):
        return Commands(self.world, self.programs).ask()

    def admin_ports(self):
        return Doors(self.world).run()

    def shared_fleet(self):
        return Fleets(self.world).run(RATE)

    def documentation(self):
        return Pages(self.world, self.programs).read()

    def charts(self):
        return Charts(self.world, self.programs).run()

    def registers(self):
        register, reads, wrong = Register(self.world), 0, []
        for _ in range(self.histories):
            count, found = register.history()
            reads += count
            wrong += found
        return f"{self.histories} histories, {reads} reads", wrong

    def writes(self):
        count, wrong = audit.strangers(self.cluster.folder / "audit.log")
        return f"{count} writes to the API server", wrong

    def conditions(self):
        log = self.cluster.folder / "audit.log"
        wrong = audit.flaps(log, SPACE, but=("register",))
        # These two are deleted and made anew meanwhile.
        return "no condition is taken back", wrong + audit.flaps(log, TEAM, but=("two", "of-two"))

    def run(self, only):
        lay_network()
        self.world.build()
        print(f"{now()} chaos: the Gateway is at {self.world.address}", flush=True)
        steps = [(fault.__name__, lambda fault=fault: self.under_load(fault))
                 for fault in self.faults()]
        steps += [(step.__name__, step) for step in (
            self.command_line, self.admin_ports, self.shared_fleet, self.registers, self.writes, self.conditions)]
        # After each of these nothing more can be asked of this cluster.
        if self.is_long:
            steps.append(("etcd_restored", lambda: self.under_load(self.etcd_restored)))
        else:
            steps += [("documentation", self.documentation), ("charts", self.charts)]
        passed, failed = 0, []
        for name, step in steps:
            if only and name not in only:
                continue
            try:
                said, wrong = step()
            except Exception as problem:  # pylint: disable=broad-except
                traceback.print_exc()
                said, wrong = "", [str(problem)]
            print(f"{now()} {'FAIL' if wrong else 'PASS'} {name}: {said}", flush=True)
            for each in wrong[:20]:
                print(f"    {each}", flush=True)
            passed += not wrong
            failed += [f"{name}: {wrong[0]}"] if wrong else []
        return passed, failed


def run(cluster, build, is_long, only):
    """(how many steps passed, words about those that did not)."""
    def give_up():
        print("failed: chaos: it did not come to its end", flush=True)
        cluster.say_logs("nantian-system_*")
        os._exit(1)
    watchdog = threading.Timer(7200 if is_long else 1500, give_up)
    watchdog.daemon = True
    watchdog.start()
    return Chaos(cluster, build, is_long).run(only)
