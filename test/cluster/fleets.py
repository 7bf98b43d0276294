"""A class whose Gateways share their data planes, under the judge's load: Gateways come and go, data
planes are replaced, the class changes its mind, and whoever asks where a status says it, is answered."""
# SPDX-License-Identifier: Apache-2.0
import contextlib
import http.client
import time

from rig import wait_for
from world import HOST, PATIENCE, SPACE, gateway, is_fresh, route, secret, to, verdict

CLASS, HOME, TEAM = "shared", "fleets", "team"
OWN = {f"{name}-{CLASS}" for name in ("one", "two")}
OTHER = "two.example"
# No pod may start in there any more.
NO_ROOM = {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "none", "namespace": TEAM},
           "spec": {"limits": [{"type": "Container", "max": {"memory": "1Ki"}}]}}


def parameters(fleet):
    return {"apiVersion": "gateway.nantian.dev/v1alpha1", "kind": "GatewayParameters",
            "metadata": {"name": "small", "namespace": HOME},
            "spec": {"fleet": fleet, "horizontalPodAutoscaler": {"$patch": "delete"},
                     "deployment": {"spec": {"replicas": 2}}}}


def gateway_class():
    return {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass",
            "metadata": {"name": CLASS},
            "spec": {"controllerName": "nantian.dev/gateway-controller", "parametersRef": {
                "group": "gateway.nantian.dev", "kind": "GatewayParameters", "name": "small",
                "namespace": HOME}}}


def in_team(made, **spec):
    made["metadata"]["namespace"] = TEAM
    made.get("spec", {}).update(spec)
    return made


def first():
    """The one that is under load; its route and backends are those of the world."""
    made = in_team(gateway("one", "web"), gatewayClassName=CLASS)
    for each in made["spec"]["listeners"]:
        each.update(hostname=HOST, allowedRoutes={"namespaces": {"from": "All"}})
    grpc = [{"headers": [{"name": "content-type", "value": "application/grpc"}]}]
    way = route("of-one", [HOST], to("app"), to("rpc", matches=grpc))
    way["spec"]["parentRefs"] = [{"name": "one", "namespace": TEAM}]
    return in_team(secret("web", HOST)), made, way


def second():
    """Another one on the same port; it answers by itself."""
    made = in_team(gateway("two", ""), gatewayClassName=CLASS, listeners=[
        {"name": "http", "port": 80, "protocol": "HTTP", "hostname": OTHER}])
    way = in_team(route("of-two", [OTHER], {"filters": [{
        "type": "RequestRedirect", "requestRedirect": {"hostname": "is.two"}}]}),
        parentRefs=[{"name": "two"}])
    return made, way


class Fleets:
    def __init__(self, world):
        self.world, self.api = world, world.api

    def _deployments(self, namespace):
        found = self.api.get(f"/apis/apps/v1/namespaces/{namespace}/deployments?labelSelector="
                             "app.kubernetes.io/name=nantian-proxy")
        return found and {each["metadata"]["name"] for each in found["items"]}

    def _address(self, name):
        """Where it is programmed, or None."""
        found = self.world.object(
            f"/apis/gateway.networking.k8s.io/v1/namespaces/{TEAM}/gateways", name) or {}
        status = found.get("status", {})
        good = is_fresh(status.get("conditions", []), found.get("metadata", {}).get("generation"),
                        "Accepted", "Programmed")
        return status["addresses"][0]["value"] if good else None

    def _wait_address(self, name, is_it):
        def look():
            found = self._address(name)
            return found and is_it(found) and found
        return wait_for(look, f"Gateway {name} has its address", PATIENCE, 0.2)

    def _kubectl(self, *words):
        self.world.cluster.kubectl("-n", TEAM, *words)

    def _pods(self):
        return self.world.pods(HOME, "app.kubernetes.io/name=nantian-proxy")

    @staticmethod
    def _answer(address, host):
        connection = http.client.HTTPConnection(address, 80, timeout=10)
        with contextlib.closing(connection):
            try:
                connection.request("GET", "/report", headers={"Host": host})
                answer = connection.getresponse()
                return answer.getheader("Location") or answer.status
            except (OSError, http.client.HTTPException) as problem:
                return str(problem)

    def _wait_answer(self, address, host, wanted):
        wait_for(lambda: all(self._answer(address, host) == wanted for _ in range(12)),
                 f"{host} gives {wanted} at {address}", PATIENCE, 0.2)

    def _wait_both(self, addresses):
        self._wait_answer(addresses[0], HOST, 200)
        self._wait_answer(addresses[1], OTHER, "http://is.two/report")

    # ---- what happens ----

    def _build(self):
        """The address that both have."""
        spaces = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
                  for name in (HOME, TEAM)]
        self.world.apply(*spaces, parameters("Shared"), gateway_class(), *first(), *second())
        address = self._wait_address("one", str)
        self._wait_address("two", lambda found: found == address)
        self.world.wait_ready(self._pods, 2)
        self._wait_both((address, address))
        return address

    def _comes_and_goes(self, address):
        self._kubectl("delete", "gateway", "two")
        self._wait_answer(address, OTHER, 404)
        self.world.apply(*second())
        self._wait_address("two", lambda found: found == address)
        self._wait_both((address, address))

    def _replaced(self):
        for name in sorted(self._pods()):
            self.world.delete(self._pods()[name])
            self.world.wait_ready(self._pods, 2)

    def _held(self, address):
        """The class says that each Gateway has its own, which cannot start yet: the fleet goes on."""
        self.world.apply(NO_ROOM, parameters("PerGateway"))
        wait_for(lambda: self._deployments(TEAM) == OWN, "Deployments of their own", PATIENCE, 0.2)
        time.sleep(1)  # for what must not happen
        self._wait_both((address, address))
        return [] if self._deployments(HOME) else ["the fleet went before there is another"]

    def _moved(self, address):
        self._kubectl("delete", "limitrange", "none")
        # The ReplicaSets would try again by themselves, later and later.
        self._kubectl("annotate", "replicaset", "--all", "try=again")
        own = [self._wait_address(name, lambda found: found != address) for name in ("one", "two")]
        self._wait_both(own)
        return own

    def run(self, rate):
        """(what was said, what is wrong)."""
        address = self._build()
        wrong = [f"{name} is there beside the fleet" for name in self._deployments(TEAM)]
        with self.world.load(rate, address) as before:
            self._comes_and_goes(address)
            self._replaced()
            wrong += self._held(address)
        own = self._moved(address)
        with self.world.load(rate, own[0]) as after:
            time.sleep(1)  # under way, not only begun
            wait_for(lambda: self._deployments(HOME) == set(), "the fleet is gone", PATIENCE, 0.2)
            self._kubectl("delete", "gateway", "two")
            wait_for(lambda: self._deployments(TEAM) == {"one-shared"}, "and the second's own",
                     PATIENCE, 0.2)
        self._kubectl("delete", "gateway/one", "httproute/of-two")
        self.world.cluster.kubectl("-n", SPACE, "delete", "httproute", "of-one")
        wait_for(lambda: self._deployments(TEAM) == set(), "nothing is left", PATIENCE, 0.2)
        wrong += [f"{verdict(each)} of {each}" for each in (before, after) if verdict(each)]
        return f"{before['answered']} requests to the fleet, {after['answered']} after it", wrong
