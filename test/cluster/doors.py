"""The admin ports of both planes, and whoever is not let in by a real API server: from the node, which
is elsewhere, and from within the pods."""
# SPDX-License-Identifier: Apache-2.0
import contextlib
import http.client
import itertools

from rig import wait_for
from world import PATIENCE, SPACE

SYSTEM = "nantian-system"
VIEWER = f"system:serviceaccount:{SYSTEM}:nantian-viewer"
OPEN = ("/healthz", "/readyz", "/metrics")
SHUT = ("/v1/status", "/v1/nodes", "/v1/config", "/v1/resources")
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS")
SPELLINGS = ("{}", "{}/", "/{}", "{}?x", "/x/..{}", "/healthz/..{}", "{}/%2e")


class Doors:
    def __init__(self, world):
        self.world, self.cluster = world, world.cluster
        self.wrong, self.asked = [], 0

    def expect(self, is_so, what):
        if not is_so:
            self.wrong.append(what)

    def ask(self, pod, port, path, method="GET", **fields):
        """The status that somebody on the node gets."""
        self.asked += 1
        connection = http.client.HTTPConnection(pod["status"]["podIP"], port, timeout=60)
        with contextlib.closing(connection):
            connection.request(method, path, headers={
                name.replace("_", "-"): value for name, value in fields.items()})
            answer = connection.getresponse()
            answer.read()
            return answer.status

    def token(self, space, account, *flags):
        return self.cluster.kubectl("-n", space, "create", "token", account, *flags).strip()

    def _nobody(self, pod, port, paths, refusal):
        """Without a token: what probes and scrapers ask for, in no other way, and nothing else."""
        for path in OPEN:
            self.expect(self.ask(pod, port, path) == 200, f"{path} is not open")
        for path, method, how in itertools.product(paths, METHODS, SPELLINGS):
            status = self.ask(pod, port, how.format(path), method)
            self.expect(status == refusal, f"{method} {how.format(path)}: {status}")

    def _strangers(self, pod):
        """Tokens that the API server has made, each good for something else."""
        for token in (self.token(SYSTEM, "nantian-viewer"),
                      self.token(SYSTEM, "nantian-viewer", "--audience", "nantian-control"),
                      self.token(SPACE, "edge-nantian", "--audience", "nantian-control"),
                      self.token(SYSTEM, "nantian-control")):
            self.expect(self.ask(pod, 19001, "/v1/nodes", nantian_token=token) == 401, "401")
            self.expect(self.ask(pod, 19001, "/v1/nodes", authorization=f"Bearer {token}") == 401,
                        "401")
        for space, account in ((SPACE, "edge-nantian"), (SYSTEM, "nantian-control")):
            token = self.token(space, account, "--audience", "nantian-viewer")
            self.expect(self.ask(pod, 19001, "/v1/nodes", nantian_token=token) == 403, account)

    def _viewer(self, pod):
        token = self.token(SYSTEM, "nantian-viewer", "--audience", "nantian-viewer")
        for path in SHUT:
            for fields in ({"nantian_token": token}, {"authorization": f"Bearer {token}"}):
                status = self.ask(pod, 19001, path, **fields)
                self.expect(status == 200, f"{path} as a viewer: {status}")
        for verb, what in (("list", "pods"), ("get", "secrets"), ("create", "serviceaccounts/token")):
            said = self.cluster.kubectl("auth", "can-i", verb, what, "-n", SYSTEM, "--as", VIEWER,
                                        check=False)
            self.expect(said.strip() in ("", "no"), f"a viewer's token may {verb} {what}: {said}")

    def _within(self):
        """What port-forward comes to."""
        for pod in self.world.control_planes().values():
            self.expect(self.world.from_within(pod, "GET", 19001, "/v1/nodes")[0] == 200, "/v1/nodes")
        for pod in self.world.data_planes().values():
            status, dump = self.world.from_within(pod, "GET", 19000, "/config_dump")
            self.expect(status == 200 and '"ready": true' in dump and '"draining": false' in dump,
                        f"the dump: {status} {dump[:300]}")

    def run(self):
        """(what was said, what is wrong)."""
        controls, planes = self.world.control_planes(), self.world.data_planes()
        wait_for(self.world.is_right, "all statuses are right", PATIENCE, 0.3)
        for pod in controls.values():
            self._nobody(pod, 19001, SHUT, 401)
            self._strangers(pod)
            self._viewer(pod)
        for pod in planes.values():
            self._nobody(pod, 19000, ("/config_dump", "/drain"), 403)
        self._within()
        self.expect(len(controls) == 2 and len(planes) == 2, f"{len(controls)}, {len(planes)} pods")
        return f"{self.asked} requests", self.wrong
