"""A cluster of the tests' own: the scripted API server, control planes over it, data planes."""
# SPDX-License-Identifier: Apache-2.0
import functools
import http.client
import json
import signal
import socket
import time

import pytest
import yaml

from harness import BIN, ROOT, Plane, free_port, gateway_of, listener, route, rule, wait_for
from kube_server import KubeServer

CONTROLLER = "nantian.dev/gateway-controller"
# What a fleet of data planes is made of.
PARTS = ("ServiceAccount", "ConfigMap", "Service", "Deployment", "HorizontalPodAutoscaler",
         "PodDisruptionBudget")


class Cluster:
    """The API server with one Gateway in it, and control planes over it."""

    def __init__(self, folder, **options):
        self.server = KubeServer(token="secret", **options)
        self.folder, self.planes, self.flags = folder, [], []
        self.namespace = "default"  # of the control planes
        self.server.put({"kind": "GatewayClass", "metadata": {"name": "nantian"},
                         "spec": {"controllerName": CONTROLLER}})
        self.server.put({"kind": "Namespace", "metadata": {"name": "default"}})
        self.server.put(gateway_of(listener("http", 80)))

    def control(self, *flags):
        """Its token is "secret-NUMBER": who asked what can be told."""
        number = len(self.planes)
        kubeconfig = self.server.kubeconfig(self.folder / f"kubeconfig-{number}",
                                            token=f"secret-{number}", namespace=self.namespace)
        plane = Plane(f"nantian-control-{number}", [
            BIN / "nantian-control", "--kubeconfig", kubeconfig, "--state-dir",
            self.folder / f"state-{number}", "--xds", f"unix:{self.folder}/xds-{number}.sock",
            "--admin", f"unix:{self.folder}/admin-{number}.sock", *self.flags, *flags],
            self.folder / f"control-{number}.log")
        self.planes.append(plane)
        plane.start()
        return plane

    def ask(self, path="/v1/status", number=0):
        connection = http.client.HTTPConnection("localhost", timeout=10)
        connection.sock = socket.socket(socket.AF_UNIX)
        try:
            connection.sock.settimeout(10)
            connection.sock.connect(str(self.folder / f"admin-{number}.sock"))
            connection.request("GET", path)
            answer = connection.getresponse()
            text = answer.read()
            return answer.status, json.loads(text) if path.startswith("/v1/") else text
        except (OSError, http.client.HTTPException):
            return 0, None
        finally:
            connection.close()

    def kind(self, name, number=0):
        kinds = (self.ask(number=number)[1] or {}).get("kinds") or []
        return next((kind for kind in kinds if kind["name"] == name), None)

    def condition(self, kind, name, wanted, number=0):
        """The status of a condition, of the first parent or of the object."""
        status = (self.server.get(kind, name) or {}).get("status") or {}
        place = status["parents"][number] if status.get("parents") else status
        return next((c for c in place.get("conditions", []) if c["type"] == wanted), None)

    def accepted(self, name, kind="HTTPRoute"):
        """The route's Accepted is there, and of its newest generation."""
        item = self.server.get(kind, name)
        condition = self.condition(kind, name, "Accepted")
        return condition if condition and \
            condition["observedGeneration"] == item["metadata"]["generation"] else None

    def wait_accepted(self, name):
        return wait_for(lambda: self.accepted(name), f"{name} has its status")

    def leader(self):
        """The number of the control plane that holds the Lease, or None."""
        holder = ((self.server.get("Lease", "nantian-control") or {}).get("spec") or {}).get(
            "holderIdentity")
        for number, plane in enumerate(self.planes):
            replicas = (self.ask("/v1/nodes", number)[1] or {}).get("replicas") or [] \
                if plane.running() else []
            if holder and any(r["this"] and r["name"] == holder for r in replicas):
                return number
        return None

    def stop(self):
        for plane in self.planes:
            if plane.running():
                plane.signal(signal.SIGCONT)
            plane.stop()
        self.server.stop()
        return [problem for plane in self.planes for problem in plane.judge()]


@pytest.fixture
def start_cluster(tmp_path):
    started = []

    def start(control=True, **options):
        started.append(Cluster(tmp_path, **options))
        if control:
            started[-1].control()
        return started[-1]

    yield start
    problems = [problem for cluster in started for problem in cluster.stop()]
    assert not problems, "\n".join(problems)


def plain(name, **more):
    return route(name, rule("app"), **more)


def settled(cluster, seconds=1.0):
    """Waits until no write but those of the Lease came for a while; returns all of them."""
    def quiet():
        writes = [w for w in cluster.server.writes() if w.plural != "leases"]
        return (writes or [None]) if not writes or time.monotonic() - writes[-1].at > seconds \
            else None
    found = wait_for(quiet, "the writes come to an end")
    return [w for w in found if w]


def account(name, namespace="default"):
    return {"username": f"system:serviceaccount:{namespace}:{name}", "groups": []}


@pytest.fixture
def provisioned(start_cluster, tmp_path):
    """A cluster with provisioning; `proxy(gateway, token)` starts a data plane as its pod would."""
    cluster = start_cluster(control=False)
    cluster.server.reviews = {"token-of-web": account("web-nantian"),
                              "token-of-other": account("other-nantian"),
                              "token-of-nobody": account("default")}
    port = free_port()
    cluster.flags = ["--xds", f"127.0.0.1:{port}", "--proxy-image", "nantian-proxy:test"]
    cluster.server.put(gateway_of(listener("http", free_port()), name="other"))
    cluster.control()
    config = wait_for(lambda: cluster.server.get("ConfigMap", "web-nantian"), "the CA is there")
    (tmp_path / "ca.crt").write_text(config["data"]["ca.crt"], encoding="ascii")
    planes = []

    def proxy(gateway, token, start=True, to=None):
        name = f"proxy-{len(planes)}"
        (tmp_path / f"{name}.token").write_text(token + "\n", encoding="ascii")
        admin = free_port()
        plane = Plane(name, [
            BIN / "nantian-proxy", "--xds", to or f"127.0.0.1:{port}", "--xds-ca", tmp_path / "ca.crt",
            "--xds-server-name", "nantian-control.default.svc", "--xds-token",
            tmp_path / f"{name}.token", "--gateway", gateway, "--node", name, "--state-dir",
            tmp_path / f"state-{name}", "--admin", f"127.0.0.1:{admin}", "--default-address",
            "127.0.0.1"], tmp_path / f"{name}.log")
        plane.admin, plane.name = admin, name
        planes.append(plane)
        if start:
            plane.start()
        return plane

    cluster.proxy = proxy
    yield cluster
    for plane in planes:
        plane.stop()
    assert not [problem for plane in planes for problem in plane.judge()]


def address(cluster, gateway, ip, namespace="default", class_name="nantian"):
    """The load balancer gives the Service its address."""
    service = wait_for(lambda: cluster.server.get("Service", f"{gateway}-{class_name}", namespace),
                       "its Service")
    cluster.server.put({**service, "status": {"loadBalancer": {"ingress": [{"ip": ip}]}}},
                       status=True)


@functools.cache
def rules_of_install():
    """(namespace or None, rule) of the control plane's roles."""
    text = (ROOT / "deploy/install.yaml").read_text(encoding="utf-8")
    return [(item["metadata"].get("namespace"), each) for item in yaml.safe_load_all(text)
            if item["kind"] in ("ClusterRole", "Role") for each in item["rules"]]


def is_allowed(request):
    """As the API server would judge it; the Lease and the certificate stand in our namespace."""
    verb = {"post": "create", "put": "update"}.get(request.verb, request.verb)
    if request.verb == "patch" and request.sub is None:
        wanted = {"create", "patch"}  # a server-side apply may make it
    else:
        wanted = {verb}
    group = request.path.split("/")[2] if request.path.startswith("/apis/") else ""
    resource = request.plural + (f"/{request.sub}" if request.sub else "")
    found = set()
    for namespace, each in rules_of_install():
        names = each.get("resourceNames")
        own = request.plural == "leases" or \
            (request.plural == "secrets" and request.verb == "post")
        if group in each["apiGroups"] and resource in each["resources"] and \
                (names is None or request.name in names) and (namespace is None or own):
            found |= set(each["verbs"])
    return wanted <= found


def forbidden(server):
    """What the control plane asked of the API server and has no right to."""
    return {(r.verb, r.path) for r in server.audit if not is_allowed(r)}
