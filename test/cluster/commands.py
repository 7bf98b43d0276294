"""The command line and a real API server: who it lets in, and whether what it says of the Gateway of
world.py is so."""
# SPDX-License-Identifier: Apache-2.0
import base64
import collections
import json
import subprocess

from rig import API, wait_for
from world import HOST, PATIENCE, PROBE, ROUTES, SPACE, route, to

PEOPLE = "people"
EDGE = f"{SPACE}/edge"
FINDINGS, UNREACHABLE = 1, 3

Answer = collections.namedtuple("Answer", "code text complaint")


def right(*resources):
    """A rule of a Role."""
    return {"apiGroups": [""], "resources": list(resources), "verbs": ["get", "list"]}


def people():
    """viewer, who has the Role of our install; halfway, who may list pods alone; tokenless, who gets
    no token for control planes; nobody."""
    made = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": PEOPLE}}]
    for name, resources in (("halfway", ["pods"]), ("tokenless", ["pods", "pods/proxy"])):
        made.append({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
                     "metadata": {"name": name, "namespace": "nantian-system"},
                     "rules": [right(*resources)]})
    for name in ("viewer", "halfway", "tokenless", "nobody"):
        made.append({"apiVersion": "v1", "kind": "ServiceAccount",
                     "metadata": {"name": name, "namespace": PEOPLE}})
    for name, role in (("viewer", "nantian-viewer"), ("halfway", "halfway"),
                       ("tokenless", "tokenless")):
        made.append({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
                     "metadata": {"name": f"{PEOPLE}-{name}", "namespace": "nantian-system"},
                     "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role",
                                 "name": role},
                     "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": PEOPLE}]})
    return made


def asking_pod(name, *words):
    """Asks once, as the service account of its name, and ends."""
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": PEOPLE},
            "spec": {"serviceAccountName": name, "restartPolicy": "Never", "containers": [
                {"name": "nantian", "image": "nantian", "args": list(words)}]}}


class Commands:
    def __init__(self, world, programs):
        self.world, self.cluster, self.programs = world, world.cluster, programs
        self.home = self.cluster.folder / "home"
        self.wrong, self.asked = [], 0

    def expect(self, is_so, what, answer):
        if not is_so:
            self.wrong.append(f"{what}: {answer}")

    # ---- running it ----

    def run(self, program, *words, config=None):
        """As somebody whose home and state folder have nothing in them."""
        path = f"{self.programs}:{self.cluster.binaries}:/usr/bin:/bin"
        environment = {"PATH": path, "HOME": str(self.home), "XDG_STATE_HOME": str(self.home)}
        if config:
            environment["KUBECONFIG"] = str(config)
        done = subprocess.run([program, *map(str, words)], env=environment, capture_output=True,
                              text=True, check=False, timeout=120, stdin=subprocess.DEVNULL)
        self.asked += 1
        return Answer(done.returncode, done.stdout, done.stderr)

    def nantian(self, config, *words):
        return self.run("nantian", *words, "--kubeconfig", config)

    def config_of(self, name, token=None):
        """A kubeconfig of a service account."""
        token = token or self.cluster.kubectl("-n", PEOPLE, "create", "token", name).strip()
        authority = (self.cluster.folder / "pki/ca.crt").read_bytes()
        path = self.home / name
        path.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "rig",
            "clusters": [{"name": "rig", "cluster": {
                "server": API,
                "certificate-authority-data": base64.b64encode(authority).decode()}}],
            "users": [{"name": name, "user": {"token": token}}],
            "contexts": [{"name": "rig", "context": {"cluster": "rig", "user": name}}],
        }), encoding="utf-8")
        return path

    # ---- what it must say ----

    def _overviews(self, config):
        """Who may see it; every verdict is good, every data plane is there."""
        answer = self.nantian(config, "status")
        rows = [line.split() for line in answer.text.splitlines()]
        for row in (["Gateway", EDGE, "ok"], ["HTTPRoute", f"{SPACE}/probe", "on", "edge", "ok"],
                    ["Gateway", EDGE, "listener", "https,", "3", "routes", "ok"]):
            self.expect(row in rows, f"status has {row}", answer)
        self.expect(answer.code == 0, "status is good", answer)
        answer = self.nantian(config, "nodes", "-o", "json")
        found = {node["node"]: node["state"] for node in json.loads(answer.text)["nodes"]
                 if node["state"] != "gone"}
        wanted = {f"{EDGE}/{name}": "synced" for name in self.world.data_planes()}
        self.expect(answer.code == 0 and found == wanted, f"nodes are {wanted}", answer)

    def _routing(self, config):
        """What it explains is what is served."""
        answer = self.nantian(config, "routes", "-n", SPACE)
        self.expect(answer.code == 0 and any(
            line.split()[:2] == [f"{EDGE}/http", PROBE] and f"HTTPRoute/{SPACE}/probe/0" in line
            for line in answer.text.splitlines()), "routes has the probe", answer)
        grpc = ("-H", "content-type: application/grpc")
        for wanted, words in (
                (f"HTTPRoute/{SPACE}/all/0", ("GET", f"http://{HOST}/report")),
                (f"HTTPRoute/{SPACE}/all/1", ("POST", f"https://{HOST}/a.b/C", *grpc))):
            answer = self.nantian(config, "explain", *words, "--gateway", EDGE, "-o", "json")
            self.expect(answer.code == 0 and json.loads(answer.text)["result"]["route"] == wanted,
                        f"{words} comes to {wanted}", answer)
        answer = self.nantian(config, "explain", "GET", "http://nobody.example/", "--gateway", EDGE)
        self.expect(answer.code == FINDINGS, "no rule", answer)
        answer = self.nantian(config, "explain", "GET", f"http://{HOST}/", "--gateway", EDGE)
        for pod in self.world.pods(SPACE, "app=app").values():
            self.expect(f"{pod['status']['podIP']}:8080" in answer.text, "all endpoints", answer)

    def _dump(self, config):
        answer = self.nantian(config, "config", "dump")
        listeners = json.loads(answer.text)["resources"]["Listener"]
        self.expect({f"{EDGE}/http", f"{EDGE}/https"} <= set(listeners), "both listeners", answer)
        key = base64.b64decode(self.cluster.get("-n", SPACE, "secret", "web")["data"]["tls.key"])
        self.expect("PRIVATE KEY" not in answer.text and
                    key.decode().splitlines()[1] not in answer.text, "no key is shown", "")

    def _finding(self, config):
        """A route whose backend is not there is told until it is gone."""
        answer = self.nantian(config, "check")
        self.expect(answer.code == 0 and "0 errors, 0 warnings" in answer.text, "check is clean",
                    answer)
        self.world.apply(route("broken", ["broken.example"], to("nowhere")))
        wait_for(lambda: self.nantian(config, "check").code == FINDINGS, "check finds it", PATIENCE)
        answer = self.nantian(config, "check")
        self.expect(f"HTTPRoute {SPACE}/broken" in answer.text and "nowhere" in answer.text,
                    "check names the route and its backend", answer)
        answer = self.nantian(config, "status", "-n", SPACE)
        self.expect(answer.code == FINDINGS and "BackendNotFound" in answer.text, "status says it",
                    answer)
        answer = self.nantian(config, "status", "-n", PEOPLE)
        self.expect(answer.code == 0 and SPACE not in answer.text, "others' namespace is well",
                    answer)
        self.cluster.kubectl("delete", "-n", SPACE, "httproute", "broken")
        wait_for(lambda: self.nantian(config, "check").code == 0, "it is forgotten", PATIENCE)
        wait_for(self.world.is_right, "all statuses are right", PATIENCE, 0.3)

    def _refusals(self):
        """Who may not is told what is missing."""
        role = "the Role nantian-viewer in the namespace nantian-system"
        for name, words in (("nobody", ('cannot list resource "pods"', role)),
                            ("halfway", ('cannot get resource "pods/proxy"', role)),
                            ("tokenless", ('cannot create resource "serviceaccounts/token"', role))):
            answer = self.nantian(self.config_of(name), "status")
            self.expect(answer.code == UNREACHABLE and answer.text == "" and all(
                each in answer.complaint for each in (*words, f"{PEOPLE}:{name}")),
                f"{name} is refused", answer)
        answer = self.nantian(self.config_of("stale", "no.such.token"), "status")
        self.expect(answer.code == UNREACHABLE and "log in anew" in answer.complaint,
                    "a token that is none is refused", answer)

    def _plugin(self):
        config = self.cluster.kubeconfig
        answer = self.run("kubectl", "nantian", "nodes", config=config)
        self.expect(answer.code == 0 and "synced" in answer.text, "kubectl nantian nodes", answer)
        answer = self.run("kubectl", "nantian", "status", "--what", config=config)
        self.expect(answer.code == 2 and "kubectl nantian status" in answer.complaint,
                    "kubectl nantian says its name", answer)

    def _pods(self):
        """In a pod, as its service account."""
        for name, phase, words in (("viewer", "Succeeded", "2 of 2 data planes in sync"),
                                   ("nobody", "Failed", 'cannot list resource "pods"')):
            wait_for(lambda name=name: self._phase(name) in ("Succeeded", "Failed"),
                     f"the pod {name} has ended", PATIENCE, 0.3)
            said = self.cluster.kubectl("-n", PEOPLE, "logs", name)
            self.expect(self._phase(name) == phase and words in said, f"in the pod {name}", said)

    def _phase(self, name):
        found = self.world.object(f"/api/v1/namespaces/{PEOPLE}/pods", name) or {}
        return found.get("status", {}).get("phase")

    def ask(self):
        """(what was said, what is wrong)."""
        self.home.mkdir(exist_ok=True)
        self.world.apply(*people())
        admin, viewer = self.cluster.kubeconfig, self.config_of("viewer")
        wait_for(lambda: self.nantian(viewer, "status").code == 0, "all is well", PATIENCE, 0.3)
        self.world.apply(*(asking_pod(name, "status") for name in ("viewer", "nobody")))
        for config in (admin, viewer):  # a client certificate; a token
            self._overviews(config)
        self._routing(viewer)
        self._dump(viewer)
        self._pods()
        self._finding(viewer)
        self._refusals()
        self._plugin()
        return f"{self.asked} commands", self.wrong
