"""What docs/user says of a cluster, in one: the API server takes the YAML of every page, and
kubernetes.md works when it is done from the top to the bottom, from the install to the uninstall."""
# SPDX-License-Identifier: Apache-2.0
import json
import os
import re
import subprocess
import time

from rig import ROOT, wait_for
from world import PATIENCE

DOCS = ROOT / "docs/user"
BLOCK = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.M | re.S)
RELEASE = "https://github.com/kubernetes-sigs/gateway-api/releases/download/v1.7.0/"
# What they take for granted.
SPACES = ("certificates", "edge", "shop")
# What the uninstall has to take with it.
OURS = (("namespace", "nantian-system"), ("clusterrole", "nantian-control"),
        ("clusterrolebinding", "nantian-control"), ("gatewayclass", "nantian"),
        ("crd", "gatewayparameters.gateway.nantian.dev"))


def blocks(page):
    return BLOCK.findall((DOCS / page).read_text(encoding="utf-8"))


def yaml_of(page):
    return "\n---\n".join(text for kind, text in blocks(page) if kind == "yaml")


def steps(page, heading=""):
    """Its YAML and its commands, in their order: (kind, text)."""
    text = (DOCS / page).read_text(encoding="utf-8").partition(heading)[2] if heading else None
    for kind, words in BLOCK.findall(text) if text else blocks(page):
        if kind == "yaml":
            yield kind, words
        for line in words.splitlines() if kind == "console" else ():
            if not line.startswith("$ docker "):
                yield kind, line.removeprefix("$ ")


class Pages:
    def __init__(self, world, programs):
        self.world, self.cluster = world, world.cluster
        self.home = self.cluster.folder / "reader"
        self.path = f"{programs}:{self.cluster.binaries}:/usr/bin:/bin"
        self.done = 0

    def _here(self, text):
        """With what the reader has to put in, and what this machine has instead of the network."""
        for word, value in ((f"{RELEASE}experimental-install.yaml", f"{self.cluster.binaries}/crds"),
                            ("REGISTRY/", ""), ("deploy/helm/", f"{ROOT}/deploy/helm/"),
                            ("10.0.0.10", "10.96.0.200")):
            text = text.replace(word, value)
        return text

    def _bash(self, script, text=None):
        """None when it went well, else its words."""
        environment = {**os.environ, "PATH": self.path, "HOME": str(self.home),
                       "XDG_STATE_HOME": str(self.home)}
        environment.pop("KUBECONFIG", None)
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", script], env=environment,
                              input=text, capture_output=True, text=True, check=False,
                              timeout=PATIENCE, cwd=self.home)
        return None if done.returncode == 0 else f"{script}: {done.stdout}{done.stderr}"

    def _do(self, kind, text):
        """What a reader does, who tries again while things are under way."""
        script, text = ("kubectl apply -f -", text) if kind == "yaml" else (text, None)
        deadline, words = time.monotonic() + PATIENCE, ""
        while words is not None:
            if time.monotonic() > deadline:
                raise RuntimeError(words)
            words = self._bash(self._here(script), text and self._here(text))
        self.done += 1

    def _prepare(self):
        """The reader's home, whose context is called production."""
        (self.home / ".kube").mkdir(parents=True, exist_ok=True)
        config = json.loads(self.cluster.kubeconfig.read_text(encoding="utf-8"))
        config["contexts"][0]["name"] = config["current-context"] = "production"
        for name in ("config", "production"):
            (self.home / ".kube" / name).write_text(json.dumps(config), encoding="utf-8")
        self.world.apply(*({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
                           for name in SPACES))
        self.cluster.kubectl("apply", "-f", ROOT / "deploy/optional/backend_lb_policy.yaml")
        self.cluster.kubectl("wait", "--for=condition=Established", "crd", "--all",
                             f"--timeout={PATIENCE}s", timeout=PATIENCE)

    def _taken(self):
        """Each page's YAML; nothing of it is kept."""
        wrong = []
        for page in sorted(path.name for path in DOCS.glob("*.md") if yaml_of(path.name)):
            words = self._bash("kubectl apply --dry-run=server -f -", self._here(yaml_of(page)))
            wrong += [f"{page}: {words}"] if words else []
            self.done += 1
        return wrong

    def _left(self):
        """What is still there after the uninstall."""
        found = [name for name in OURS if self.cluster.kubectl("get", *name, "--ignore-not-found")]
        return found or self.cluster.kubectl("get", "pods", "--all-namespaces", "--selector",
                                             "app.kubernetes.io/name=nantian-proxy", "--output=name")

    def read(self):
        """(what was said, what is wrong)."""
        self._prepare()
        wrong = self._taken()
        gateway = next(text for kind, text in steps("kubernetes.md") if kind == "yaml")
        self.cluster.kubectl("-n", "shop", "apply", "-f", "-",
                             text=gateway.replace("  clusterIP: 10.0.0.10\n", ""))
        for kind, text in steps("cli.md", "### In a cluster\n"):
            if kind == "console" and "nantian up" not in text:
                self._do(kind, text)
        # All Gateways go before the install does; the page shows one of them.
        for kind, text in steps("kubernetes.md"):
            if "wait --for=delete" in text:
                self.cluster.kubectl("delete", "gateways", "--all", "--all-namespaces")
            self._do(kind, text)
        try:
            wait_for(lambda: not self._left(), "nothing is left", PATIENCE, 0.5)
        except RuntimeError:
            wrong.append(f"left by the uninstall: {self._left()}")
        return f"{self.done} steps", wrong
