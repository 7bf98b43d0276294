"""The Helm charts in a cluster, as helm.md has it from the install to the uninstall, with the Gateway of
world.py behind it, which is under load from the first upgrade to the way back."""
# SPDX-License-Identifier: Apache-2.0
from pages import Pages, steps
from rig import ROOT, wait_for
from world import GATEWAYS, PATIENCE, SPACE, gateway, metadata, verdict

SYSTEM = "nantian-system"
RATE = 100  # requests a second, and nine streams
# Nobody names it; it has to be there still when the charts are gone.
USERS = {"apiVersion": "gateway.nantian.dev/v1alpha1", "kind": "GatewayParameters",
         "metadata": metadata("users"), "spec": {"fleet": "PerGateway"}}


class Charts(Pages):
    """Nothing else of ours may be installed; nothing is left."""

    def __init__(self, world, programs):
        super().__init__(world, programs)
        self.home = self.cluster.folder / "helm"
        self.path = f"{self.cluster.helm}:{self.path}"
        self.wrong = []

    def _expect(self, script, words=None):
        """Goes well, or is refused with these words."""
        answer = self._bash(self._here(script))
        if (answer is None) != (words is None) or (words or "") not in (answer or ""):
            self.wrong.append(answer or f"{script}: it went well")

    def _without_gateways(self):
        self.cluster.kubectl("delete", "gateways", "--all", "--all-namespaces")

    def _empty(self):
        """Without what `kubectl apply` has installed, which Helm would not touch."""
        self._without_gateways()
        self._bash("kubectl wait --for=delete pods -A -l app.kubernetes.io/name=nantian-proxy "
                   f"--timeout={PATIENCE // 2}s")
        self.cluster.kubectl("delete", "--ignore-not-found", "-f", ROOT / "deploy/install.yaml")
        wait_for(lambda: not self._left(), "nothing is installed", PATIENCE, 0.5)

    def _installed(self):
        """What the server keeps is what was asked for; there is no second one; a Gateway is served."""
        self._expect(f"helm get manifest nantian -n {SYSTEM} | kubectl diff -f -")
        self._expect("helm install other deploy/helm/nantian-gateway -n shop", "invalid ownership")
        self.world.apply(USERS, gateway("edge", "web"))
        wait_for(self.world.is_right, "all statuses are right", PATIENCE, 0.3)
        self.world.address = self.world.object(GATEWAYS, "edge")["status"]["addresses"][0]["value"]
        self._served("nantian-proxy", "100m")

    def _served(self, image, cpu):
        """By data planes of this image that ask for so much, and by no others."""
        path = f"/apis/apps/v1/namespaces/{SPACE}/deployments"

        def rolled():
            found = self.world.object(path, "edge-nantian")
            (each,) = found["spec"]["template"]["spec"]["containers"]
            told = each["image"], each.get("resources", {}).get("requests", {}).get("cpu")
            status = found["status"]
            counts = {status.get(name) for name in ("replicas", "updatedReplicas", "availableReplicas")}
            return told == (image, cpu) and counts == {found["spec"]["replicas"]} and \
                status["observedGeneration"] == found["metadata"]["generation"]
        wait_for(rolled, f"data planes are {image} and ask for {cpu}", PATIENCE, 0.5)
        self.world.change()

    def _kept(self):
        self._expect(f"kubectl -n {SPACE} get gatewayparameters users")

    def _follow(self, page):
        then = {"helm install nantian ": self._installed,
                "--set-json ": lambda: self._served("nantian-proxy", "1"),
                "dataPlane.image.tag=NEW": lambda: self._served("nantian-proxy:NEW", "1"),
                "helm rollback ": lambda: self._served("nantian-proxy", "1"),
                "helm uninstall nantian-crds ": self._kept}
        for kind, text in page:
            if "wait --for=delete" in text:
                self._without_gateways()
            self._do(kind, text)
            for words, check in then.items():
                if words in text:
                    check()

    def run(self):
        """(what was said, what is wrong)."""
        self._prepare()
        self._empty()
        page = list(steps("helm.md"))
        upgrades = [at for at, (_, text) in enumerate(page)
                    if text.startswith(("helm upgrade ", "helm rollback "))]
        self._follow(page[:upgrades[0]])
        with self.world.load(RATE) as report:
            self._follow(page[upgrades[0]:upgrades[-1] + 1])
        if verdict(report):
            self.wrong.append(f"{verdict(report)} of {report}")
        self._follow(page[upgrades[-1] + 1:])
        wait_for(lambda: not self._left(), "nothing is left", PATIENCE, 0.5)
        return f"{self.done} steps, {report['answered']} requests", self.wrong
