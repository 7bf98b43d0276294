"""A Gateway under the judge's load in the rig, and what can be done to what stands around it."""
# SPDX-License-Identifier: Apache-2.0
import contextlib
import http.client
import json
import os
import pathlib
import signal
import ssl
import subprocess
import sys
import time

from rig import NODE, ROOT, wait_for

sys.path.append(str(ROOT / "test/e2e"))
from certificates import Authority  # pylint: disable=wrong-import-position

SPACE = "chaos"
HOST = "judge.example"
PROBE = "probe.example"
GATEWAYS = f"/apis/gateway.networking.k8s.io/v1/namespaces/{SPACE}/gateways"
ROUTES = f"/apis/gateway.networking.k8s.io/v1/namespaces/{SPACE}/httproutes"
PATIENCE = 180  # nothing waits for longer than its condition; a busy machine is slow
# A program that asks over loopback.
ASK = '''import http.client, sys
it = http.client.HTTPConnection("127.0.0.1", int(sys.argv[2]), timeout=20)
it.request(sys.argv[1], sys.argv[3])
answer = it.getresponse()
print(answer.status)
print(answer.read().decode(), end="")
'''
# What a client must never see, whatever is broken meanwhile. Times are no matter of this test.
WRONG = ("lost", "bad", "mixed", "refused", "missing", "repeated", "reordered", "broken")


def metadata(name, **more):
    return {"name": name, "namespace": SPACE, **more}


def backend(name, replicas, protocol=None):
    """A Deployment of the judge's backend and its Service. A pod that ends is listed no more for a
    while before its program ends, as well-run backends do it."""
    labels = {"app": name}
    port = {"name": "http", "port": 80, "targetPort": 8080}
    if protocol:
        port["appProtocol"] = protocol
    container = {"name": "judge", "image": "judge", "args": ["serve", "0.0.0.0:8080"],
                 "lifecycle": {"preStop": {"sleep": {"seconds": 15}}},
                 "readinessProbe": {"httpGet": {"path": "/report", "port": 8080},
                                    "periodSeconds": 1, "timeoutSeconds": 10}}
    return [{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata(name),
             "spec": {"replicas": replicas, "selector": {"matchLabels": labels},
                      "template": {"metadata": {"labels": labels},
                                   "spec": {"terminationGracePeriodSeconds": 60,
                                            "containers": [container]}}}},
            {"apiVersion": "v1", "kind": "Service", "metadata": metadata(name),
             "spec": {"selector": labels, "ports": [port]}}]


def secret(name, certificate_of):
    """A TLS Secret whose certificate says its own name."""
    made = Authority().secret(name, certificate_of)
    return {**made, "metadata": metadata(name)}


def gateway(name, secret_name):
    return {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
            "metadata": metadata(name),
            "spec": {"gatewayClassName": "nantian", "listeners": [
                {"name": "http", "port": 80, "protocol": "HTTP"},
                {"name": "https", "port": 443, "protocol": "HTTPS",
                 "tls": {"certificateRefs": [{"name": secret_name}]}}]}}


def route(name, hosts, *rules):
    return {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
            "metadata": metadata(name),
            "spec": {"parentRefs": [{"name": "edge"}], "hostnames": hosts, "rules": list(rules)}}


def to(name, **more):
    return {**more, "backendRefs": [{"name": name, "port": 80}]}


def probe_route(number):
    """A route whose answers tell which edit of it is served."""
    return route("probe", [PROBE], to("app", filters=[
        {"type": "ResponseHeaderModifier",
         "responseHeaderModifier": {"set": [{"name": "x-edit", "value": str(number)}]}}]))


class Api:
    """The API server as its administrator; no answer is (0, None)."""

    def __init__(self, folder):
        keys = folder / "pki"
        self.tls = ssl.create_default_context(cafile=keys / "ca.crt")
        self.tls.load_cert_chain(keys / "admin.crt", keys / "admin.key")

    def call(self, method, path, body=None, kind="application/json"):
        connection = http.client.HTTPSConnection(NODE, 6443, timeout=30, context=self.tls)
        with contextlib.closing(connection):
            try:
                connection.request(method, path, body and json.dumps(body),
                                   {"Content-Type": kind} if body else {})
                answer = connection.getresponse()
                return answer.status, json.loads(answer.read())
            except (OSError, ValueError, http.client.HTTPException):
                return 0, None

    def get(self, path):
        status, value = self.call("GET", path)
        return value if status == 200 else None

    def patch(self, path, change):
        """A merge patch; tried until it is taken."""
        return wait_for(lambda: self._patched(path, change), f"{path} is patched", PATIENCE, 0.5)

    def _patched(self, path, change):
        status, value = self.call("PATCH", path, change, "application/merge-patch+json")
        return value if status == 200 else None


def is_fresh(conditions, generation, *names):
    """Each of these conditions is True, and of this generation."""
    good = {c["type"] for c in conditions
            if c["status"] == "True" and c.get("observedGeneration") == generation}
    return set(names) <= good


class World:
    """One Gateway with two data planes, three backends and a load."""

    def __init__(self, cluster, judge):
        self.cluster, self.judge, self.api = cluster, judge, Api(cluster.folder)
        self.edits = 0
        self.address = None

    # ---- building it ----

    def build(self):
        grpc = [{"headers": [{"name": "content-type", "value": "application/grpc"}]}]
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE}},
                   *backend("app", 2), *backend("rpc", 2, "kubernetes.io/h2c"),
                   secret("web", HOST), gateway("edge", "web"), probe_route(0),
                   route("all", [HOST], to("app"), to("rpc", matches=grpc)),
                   route("churn", ["churn.example"], to("app")))
        wait_for(self.is_right, "all statuses are right", PATIENCE)
        self.address = self.object(GATEWAYS, "edge")["status"]["addresses"][0]["value"]
        self.scale("edge-nantian", 2)
        self.change()

    def apply(self, *objects):
        items = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        self.cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-",
                             text=json.dumps(items))

    def object(self, path, name):
        return self.api.get(f"{path}/{name}")

    def scale(self, name, replicas):
        """Returns when so many pods of the Deployment are ready, and no more are there."""
        path = f"/apis/apps/v1/namespaces/{SPACE}/deployments/{name}"
        self.api.patch(path, {"spec": {"replicas": replicas}})

        def settled():
            status = (self.api.get(path) or {}).get("status", {})
            return [status.get(key, 0) for key in ("replicas", "readyReplicas",
                                                   "availableReplicas")] == [replicas] * 3
        wait_for(settled, f"{replicas} of {name}", PATIENCE, 0.3)

    # ---- is it right? ----

    def is_right(self):
        edge = self.object(GATEWAYS, "edge") or {}
        generation = edge.get("metadata", {}).get("generation")
        status = edge.get("status", {})
        listeners = status.get("listeners", [])
        if not status.get("addresses") or len(listeners) != 2 or not is_fresh(
                status.get("conditions", []), generation, "Accepted", "Programmed"):
            return False
        if any(not is_fresh(each["conditions"], generation, "Accepted", "Programmed",
                            "ResolvedRefs") or each["attachedRoutes"] != 3 for each in listeners):
            return False
        for name in ("all", "probe"):
            found = self.object(ROUTES, name) or {}
            parents = found.get("status", {}).get("parents", [])
            if len(parents) != 1 or not is_fresh(
                    parents[0]["conditions"], found["metadata"]["generation"], "Accepted",
                    "ResolvedRefs"):
                return False
        return True

    def served(self):
        """Which edit of the probe route a data plane serves."""
        connection = http.client.HTTPConnection(self.address, 80, timeout=10)
        with contextlib.closing(connection):
            try:
                connection.request("GET", "/report", headers={"Host": PROBE})
                return connection.getresponse().getheader("x-edit")
            except (OSError, http.client.HTTPException) as problem:
                return str(problem)

    def change(self):
        """An edit of a route goes live at every data plane, and statuses are right then."""
        self.edits += 1
        path, number = f"{ROUTES}/probe", str(self.edits)
        self.api.patch(path, {"spec": probe_route(number)["spec"]})
        # Each connection goes to one of two data planes; twelve meet both.
        wait_for(lambda: all(self.served() == number for _ in range(12)),
                 f"edit {number} is served", PATIENCE, 0.3)
        wait_for(self.is_right, "all statuses are right", PATIENCE, 0.3)

    # ---- pods ----

    def pods(self, space, selector):
        """Those that live: name -> pod."""
        found = self.api.get(f"/api/v1/namespaces/{space}/pods?labelSelector={selector}") or {}
        return {pod["metadata"]["name"]: pod for pod in found.get("items", [])
                if "deletionTimestamp" not in pod["metadata"]}

    def control_planes(self):
        return self.pods("nantian-system", "app.kubernetes.io/name=nantian-control")

    def data_planes(self):
        return self.pods(SPACE, "gateway.networking.k8s.io/gateway-name=edge")

    def delete(self, pod):
        name = pod["metadata"]["name"]
        path = f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{name}"
        wait_for(lambda: self.api.call("DELETE", path)[0] in (200, 404), f"{name} is deleted",
                 PATIENCE, 0.5)

    def wait_ready(self, pods, count):
        """So many pods, all ready."""
        def ready():
            conditions = [{c["type"]: c["status"] for c in pod.get("status", {}).get(
                "conditions", [])} for pod in pods().values()]
            return len(conditions) == count and all(c.get("Ready") == "True" for c in conditions)
        wait_for(ready, f"{count} pods are ready", PATIENCE, 0.3)

    def process(self, pod):
        """The first process in the pod's network, or None."""
        try:
            space = os.stat(f"/run/netns/p{pod['metadata']['uid'][:12]}").st_ino
        except OSError:
            return None
        for each in sorted(pathlib.Path("/proc").glob("[0-9]*"), key=lambda path: int(path.name)):
            with contextlib.suppress(OSError):
                if os.stat(each / "ns/net").st_ino == space and "nantian" in os.readlink(
                        each / "exe"):
                    return int(each.name)
        return None

    def signal(self, pod, number):
        found = wait_for(lambda: self.process(pod), "the pod has its process", PATIENCE)
        os.kill(found, number)

    def metrics(self, pod):
        """What a control plane says of its kinds: name -> counters; {} if it does not answer."""
        try:
            answer = self.from_within(pod, "GET", 19001, "/v1/status")
            return {kind["name"]: kind for kind in json.loads(answer[1]).get("kinds", [])}
        except (OSError, ValueError, KeyError):
            return {}

    @staticmethod
    def from_within(pod, method, port, path):
        """(status, body) over the loopback of the pod, as `kubectl port-forward` asks."""
        done = subprocess.run(
            ["nsenter", f"--net=/run/netns/p{pod['metadata']['uid'][:12]}", sys.executable, "-c",
             ASK, method, str(port), path], capture_output=True, text=True, check=False, timeout=60)
        status, _, body = done.stdout.partition("\n")
        return int(status or 0), body

    # ---- the lease ----

    def leader(self):
        """The pod that holds the Lease; None if nobody does, or it cannot be known."""
        lease = self.api.get(
            "/apis/coordination.k8s.io/v1/namespaces/nantian-system/leases/nantian-control")
        holder = ((lease or {}).get("spec", {}).get("holderIdentity") or "").rsplit("_", 1)[0]
        return self.control_planes().get(holder)

    # ---- the network ----

    @contextlib.contextmanager
    def cut(self, *pods):
        """These pods and the API server do not reach each other."""
        for pod in pods:
            address = pod["status"]["podIP"]
            nft(f"add rule ip chaos in ip saddr {address} tcp dport 6443 drop",
                f"add rule ip chaos out ip daddr {address} tcp sport 6443 drop")
        try:
            yield
        finally:
            nft("flush chain ip chaos in", "flush chain ip chaos out")

    # ---- the load ----

    @contextlib.contextmanager
    def load(self, rate, address=None):
        """Asks for as long as the block lasts; the report is in the dictionary afterwards."""
        address = address or self.address
        words = [self.judge, "ask", "--port", f"{address}:80", "--tls-port", f"{address}:443",
                 "--host", HOST, "--rate", str(rate), "--requests", "1000000",
                 "--streams", "9", "--late", "600000", "--end", "90000"]
        report = {}
        process = subprocess.Popen(list(map(str, words)), stdout=subprocess.PIPE, text=True)
        try:
            yield report
            process.send_signal(signal.SIGTERM)
            report.update(json.loads(process.communicate(timeout=400)[0]))
        finally:
            process.kill()
            process.wait()


def nft(*lines):
    subprocess.run(["nft", "-f", "-"], input="\n".join(lines) + "\n", text=True, check=True)


def lay_network():
    """The table in which `cut` puts its rules: behind translation, on the node's own side."""
    nft("add table ip chaos",
        "add chain ip chaos in { type filter hook input priority 10; }",
        "add chain ip chaos out { type filter hook output priority 10; }")


def verdict(report):
    """What is wrong with a report of the judge's: {} if nothing."""
    wrong = {name: report[name] for name in WRONG if report[name]}
    if not wrong and report["answered"] != report["sent"]:
        wrong = {"answered": report["answered"], "sent": report["sent"]}
    return wrong and {**wrong, "first": report["first_loss"]}


def now():
    return time.strftime("%H:%M:%S")
