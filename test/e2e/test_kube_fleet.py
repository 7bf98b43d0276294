"""One fleet of data planes for all Gateways of a class: what they get, who they are, how they come and go."""
# SPDX-License-Identifier: Apache-2.0
import contextlib
import http.client
import itertools
import json
import socket

import pytest

from harness import free_port, gateway_of, listener, route, rule, wait_for
from kube_cluster import CONTROLLER, PARTS, account, address, forbidden, settled

WAIT = 60  # a machine may be busy


def say(server, fleet):
    """What the parameters of the class "small" say."""
    server.put({"kind": "GatewayParameters", "metadata": {"name": "small", "namespace": "edge"},
                "spec": {"fleet": fleet}})


def put_class(server, name):
    server.put({"kind": "GatewayClass", "metadata": {"name": name}, "spec": {
        "controllerName": CONTROLLER, "parametersRef": {
            "group": "gateway.nantian.dev", "kind": "GatewayParameters", "name": "small",
            "namespace": "edge"}}})


def put_gateway(server, name, *listeners, namespace="default", class_name="small"):
    item = gateway_of(*listeners, name=name)
    item["metadata"]["namespace"] = namespace
    item["spec"]["gatewayClassName"] = class_name
    server.put(item)


def put_route(server, gateway, namespace="default"):
    """It answers with the Gateway's name."""
    item = route(f"of-{gateway}", rule(filters=[{
        "type": "RequestRedirect", "requestRedirect": {"hostname": f"{gateway}.reached"}}]),
        parent=gateway)
    item["metadata"]["namespace"] = namespace
    server.put(item)


def start_at(cluster, ip, who, token):
    """A data plane whose pod has an address of its own."""
    plane = cluster.proxy(who, token, start=False)
    plane.command[plane.command.index("--default-address") + 1] = ip
    plane.start()
    return plane


def answer(port, host, ip="127.0.0.1"):
    """Who answers for this host, or None."""
    connection = http.client.HTTPConnection(ip, port, timeout=10)
    with contextlib.suppress(OSError, http.client.HTTPException):
        connection.request("GET", "/", headers={"Host": host})
        found = connection.getresponse()
        connection.close()
        return (found.headers.get("Location") or str(found.status)).removeprefix("http://").split(
            ".reached")[0]
    return None


def front(server, class_name="small"):
    """The Service in front of the class's fleet, or None."""
    with server.lock:
        return next((item for (namespace, _), item in server.objects["services"].items()
                     if namespace == "edge" and item["metadata"].get("annotations", {}).get(
                         "gateway.nantian.dev/gateway-class") == class_name), None)


def parts(server, name, namespace):
    return {kind for kind in PARTS if server.get(kind, name, namespace)}


def give_address(server, service, ip):
    server.put({**service, "status": {"loadBalancer": {"ingress": [{"ip": ip}]}}}, status=True)


def programmed(server, name, namespace="default"):
    """The Gateway's address, if it is programmed."""
    status = (server.get("Gateway", name, namespace) or {}).get("status") or {}
    good = any(c["type"] == "Programmed" and c["status"] == "True" for c in status.get("conditions", []))
    return good and [each["value"] for each in status["addresses"]]


def put_behind(server, service, namespace="default"):
    """A pod of this Service is ready."""
    server.put({"kind": "EndpointSlice", "metadata": {
        "name": f"{service}-1", "namespace": namespace, "labels": {"kubernetes.io/service-name": service}},
        "addressType": "IPv4", "ports": [{"name": "", "port": 80}],
        "endpoints": [{"addresses": ["10.1.2.3"], "conditions": {"ready": True}}]})


def confirmed(cluster, plane):
    """The data plane runs what it was given, and the control plane knows."""
    wait_for(lambda: any(node["node"].endswith(plane.name) and node["state"] == "synced"
                         for node in cluster.ask("/v1/nodes")[1]["nodes"]), "it is synced", WAIT)
    settled(cluster)


def told(server, name, skipped):
    """What was written into the Gateway's status after so many writes: (all that Programmed was, the addresses)."""
    statuses = [json.loads(write.body)["status"] for write in
                server.writes("gateways", "status")[skipped:] if write.name == name]
    return ({c["status"] for each in statuses for c in each.get("conditions", [])
             if c["type"] == "Programmed"},
            [item for item, _ in itertools.groupby(
                [a["value"] for a in each["addresses"]] for each in statuses if "addresses" in each)])


@pytest.fixture
def shared(provisioned):
    """Two Gateways of a class whose Gateways share their data planes, on one port."""
    server = provisioned.server
    say(server, "Shared")
    put_class(server, "small")
    provisioned.port = free_port()
    put_gateway(server, "one", listener("http", provisioned.port, hostname="one.example"))
    put_gateway(server, "two", listener("http", provisioned.port, hostname="two.example"),
                listener("more", free_port()), namespace="team")
    put_route(server, "one")
    put_route(server, "two", "team")
    service = wait_for(lambda: front(server), "the Service of the fleet", WAIT)
    provisioned.fleet = service["metadata"]["name"]
    wait_for(lambda: parts(server, provisioned.fleet, "edge") == set(PARTS), "all its objects", WAIT)
    server.reviews["token-of-fleet"] = account(provisioned.fleet, "edge")
    return provisioned


def test_gateways_of_a_class_share_data_planes_and_nothing_is_left_of_them(shared):
    server, port = shared.server, shared.port
    wait_for(lambda: len(front(server)["spec"]["ports"]) == 2, "the ports of both", WAIT)
    deployment = server.get("Deployment", shared.fleet, "edge")
    owner = deployment["metadata"]["ownerReferences"][0]
    assert (owner["kind"], owner["name"]) == ("GatewayClass", "small")
    assert "gateway.networking.k8s.io/gateway-name" not in deployment["metadata"]["labels"]
    assert not parts(server, "one-small", "default") | parts(server, "two-small", "team")
    give_address(server, front(server), "10.250.0.9")
    shared.proxy("/small", "token-of-fleet")
    for name, namespace in (("one", "default"), ("two", "team")):
        wait_for(lambda name=name, namespace=namespace:
                 programmed(server, name, namespace) == ["10.250.0.9"], f"{name} is programmed", WAIT)
    for name in ("one", "two"):
        wait_for(lambda name=name: answer(port, f"{name}.example") == name, f"{name} answers", WAIT)
    assert answer(port, "three.example") == "404"
    # A third one that wants what the first has gets none of it, and says so.
    put_gateway(server, "three", listener("http", port, hostname="one.example"))
    conflict = wait_for(lambda: next(
        (c for each in (server.get("Gateway", "three").get("status") or {}).get("listeners", [])
         for c in each["conditions"] if c["type"] == "Conflicted" and c["status"] == "True"), None),
        "it is in conflict", WAIT)
    assert conflict["reason"] == "HostnameConflict" and "default/one" in conflict["message"]
    # The first one goes: the third takes its place, the fleet stays.
    put_route(server, "three")
    server.remove("Gateway", "one")
    wait_for(lambda: answer(port, "one.example") == "three", "the third answers", WAIT)
    assert answer(port, "two.example") == "two"
    server.remove("Gateway", "three")
    wait_for(lambda: answer(port, "one.example") == "404", "nobody answers", WAIT)
    assert parts(server, shared.fleet, "edge") == set(PARTS)
    # With the last one everything goes; what others have stays.
    server.remove("Gateway", "two", "team")
    wait_for(lambda: not parts(server, shared.fleet, "edge"), "nothing is left", WAIT)
    assert parts(server, "web-nantian", "default") == set(PARTS)
    settled(shared)
    assert not forbidden(server), "deploy/base/rbac.yaml gives no right to do this"


def test_a_fleet_is_given_what_its_class_has_and_nobody_else_gets_it(shared):
    server = shared.server
    put_class(server, "large")  # shares as well, in the same namespace
    put_gateway(server, "big", listener("http", free_port()), class_name="large")
    large = wait_for(lambda: front(server, "large"), "the other class's fleet", WAIT)
    server.reviews["token-of-large"] = account(large["metadata"]["name"], "edge")
    server.reviews["token-of-evil"] = account(shared.fleet, "default")
    nodes = lambda: sorted(node["node"] for node in shared.ask("/v1/nodes")[1]["nodes"])
    for who, token in (("/small", "token-of-web"), ("/small", "token-of-large"),
                       ("/small", "token-of-evil"), ("default/one", "token-of-fleet"),
                       ("default/web", "token-of-fleet"), ("/large", "token-of-fleet")):
        shared.proxy(who, token)
    wait_for(lambda: sum(r.plural == "tokenreviews" for r in server.audit) >= 6,
             "the tokens are judged", WAIT)
    shared.proxy("/large", "token-of-large")
    wait_for(lambda: nodes() == ["/large/proxy-6"], "only who is what it says comes in", WAIT)
    give_address(server, front(server), "10.250.0.9")
    give_address(server, front(server, "large"), "10.250.0.10")
    wait_for(lambda: programmed(server, "big") == ["10.250.0.10"], "its own Gateway is programmed", WAIT)
    assert not programmed(server, "one") and not programmed(server, "two", "team")


def test_a_class_that_changes_its_mind_is_served_throughout(shared):
    server, port = shared.server, shared.port
    give_address(server, front(server), "10.250.0.9")
    before = shared.proxy("/small", "token-of-fleet")
    wait_for(lambda: answer(port, "one.example") == "one", "the fleet answers", WAIT)
    for name, namespace in (("one", "default"), ("two", "team")):
        wait_for(lambda name=name, namespace=namespace: programmed(server, name, namespace),
                 "it is programmed", WAIT)
    put_behind(server, shared.fleet, "edge")
    settled(shared)
    written = len(server.writes("gateways", "status"))
    # To data planes of their own: the fleet stays until the last of the Gateways is served by its own.
    say(server, "PerGateway")
    for name, namespace in (("one", "default"), ("two", "team")):
        wait_for(lambda name=name, namespace=namespace:
                 parts(server, f"{name}-small", namespace) == set(PARTS), "objects of its own", WAIT)
        server.reviews[f"token-of-{name}"] = account(f"{name}-small", namespace)
    address(shared, "one", "10.250.0.11", class_name="small")
    # What serves it cannot be reached yet: it stays where it is, and is Programmed.
    confirmed(shared, start_at(shared, "127.0.0.2", "default/one", "token-of-one"))
    assert programmed(server, "one") == ["10.250.0.9"] and answer(port, "one.example") == "one"
    put_behind(server, "one-small")
    wait_for(lambda: programmed(server, "one") == ["10.250.0.11"], "it has moved", WAIT)
    settled(shared)
    assert parts(server, shared.fleet, "edge") == set(PARTS)
    assert answer(port, "one.example", "127.0.0.2") == "one"
    assert answer(port, "two.example") == "two"
    put_behind(server, "two-small", "team")
    address(shared, "two", "10.250.0.12", namespace="team", class_name="small")
    start_at(shared, "127.0.0.3", "team/two", "token-of-two")
    wait_for(lambda: not parts(server, shared.fleet, "edge"), "the fleet goes", WAIT)
    wait_for(lambda: programmed(server, "two", "team") == ["10.250.0.12"], "it has moved", WAIT)
    before.stop()
    server.remove("EndpointSlice", f"{shared.fleet}-1", "edge")
    # And back: each Gateway's own go when the fleet serves it and can be reached.
    say(server, "Shared")
    wait_for(lambda: parts(server, shared.fleet, "edge") == set(PARTS), "the fleet is back", WAIT)
    give_address(server, front(server), "10.250.0.13")
    confirmed(shared, start_at(shared, "127.0.0.4", "/small", "token-of-fleet"))
    assert parts(server, "one-small", "default") == set(PARTS)
    assert programmed(server, "one") == ["10.250.0.11"]
    put_behind(server, shared.fleet, "edge")
    wait_for(lambda: not parts(server, "one-small", "default") | parts(server, "two-small", "team"),
             "their own go", WAIT)
    for name, namespace in (("one", "default"), ("two", "team")):
        wait_for(lambda name=name, namespace=namespace:
                 programmed(server, name, namespace) == ["10.250.0.13"], f"{name} has moved", WAIT)
    # It was served all along, and its status said so.
    for name, moves in (("one", ["10.250.0.11", "10.250.0.13"]), ("two", ["10.250.0.12", "10.250.0.13"])):
        states, addresses = told(server, name, written)
        assert states <= {"True"} and addresses == [[each] for each in moves]
    assert not forbidden(server), "deploy/base/rbac.yaml gives no right to do this"


def test_parameters_that_are_away_leave_a_fleet_as_it_is(shared):
    server, port = shared.server, shared.port
    give_address(server, front(server), "10.250.0.9")
    shared.proxy("/small", "token-of-fleet")
    wait_for(lambda: answer(port, "one.example") == "one", "the fleet answers", WAIT)
    server.remove("GatewayParameters", "small", "edge")
    wait_for(lambda: (shared.condition("Gateway", "one", "Accepted") or {}).get("reason") ==
             "InvalidParameters", "it is said", WAIT)
    put_route(server, "two", "team")
    settled(shared)
    assert parts(server, shared.fleet, "edge") == set(PARTS)
    assert not parts(server, "one-small", "default")
    assert answer(port, "one.example") == "one" and answer(port, "two.example") == "two"
    say(server, "Shared")
    wait_for(lambda: programmed(server, "one") == ["10.250.0.9"], "all is well again", WAIT)


def test_a_port_for_data_planes_that_is_taken_is_tried_again_until_it_is_free(start_cluster):
    cluster = start_cluster(control=False)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        cluster.control("--xds", f"127.0.0.1:{port}")
        words = f"127.0.0.1:{port}: the address is in use".encode()
        wait_for(lambda: words in (cluster.ask("/readyz")[1] or b""), "it is said why")
        assert cluster.ask("/readyz")[0] == 503
        fault = cluster.ask()[1]["faults"][0]
        assert fault["code"] == "ListenFailed" and words.decode() in fault["what"]
    wait_for(lambda: cluster.ask("/readyz")[0] == 200, "the port is taken over")
    socket.create_connection(("127.0.0.1", port), 10).close()
    assert not cluster.ask()[1]["faults"]
