"""A control plane over a scripted API server: what it takes, what it writes, what it survives."""
# SPDX-License-Identifier: Apache-2.0
import contextlib
import copy
import json
import re
import signal
import socket
import ssl
import subprocess
import time

import pytest
import yaml

from certificates import Authority, secret_of
from harness import ROOT, free_port, gateway_of, listener, nantian, route, rule, wait_for
from http_client import request
from kube_cluster import CONTROLLER, PARTS, account, address, forbidden, plain, settled
from kube_server import Cut, status_of


def test_objects_come_by_list_and_watch_and_statuses_go_back(start_cluster):
    cluster = start_cluster()
    server = cluster.server
    server.put(plain("first"))
    assert cluster.wait_accepted("first")["status"] == "True"
    assert cluster.condition("HTTPRoute", "first", "ResolvedRefs")["reason"] == "BackendNotFound"
    server.put({"kind": "Service", "metadata": {"name": "app"}, "spec": {"ports": [{"port": 80}]}})
    wait_for(lambda: cluster.condition("HTTPRoute", "first", "ResolvedRefs")["status"] == "True",
             "the Service is found")
    features = server.get("GatewayClass", "nantian")["status"]["supportedFeatures"]
    assert {"name": "HTTPRoute"} in features
    server.remove("Service", "app")
    wait_for(lambda: cluster.condition("HTTPRoute", "first", "ResolvedRefs")["status"] == "False",
             "the Service is missed")
    # Before anything is published all of it was there: nothing was said and taken back.
    assert all(w.fields["Authorization"] == "Bearer secret-0" for w in server.audit)


def test_what_others_wrote_stays_and_what_does_not_turn_keeps_its_time(start_cluster):
    cluster = start_cluster(control=False)
    theirs = {"controllerName": "else.example/it", "parentRef": {"name": "other"}, "odd": [1, "x"],
              "conditions": [{"type": "Accepted", "status": "False", "reason": "No"}]}
    server = cluster.server
    server.put({**plain("mixed"), "status": {"parents": [copy.deepcopy(theirs)]}})
    cluster.control()
    wait_for(lambda: len(server.get("HTTPRoute", "mixed")["status"]["parents"]) == 2,
             "our entry stands beside theirs")
    parents = server.get("HTTPRoute", "mixed")["status"]["parents"]
    assert parents[0] == theirs and parents[1]["controllerName"] == CONTROLLER
    since = parents[1]["conditions"][0]["lastTransitionTime"]
    time.sleep(1.1)
    changed = server.get("HTTPRoute", "mixed")
    changed["spec"]["rules"].append(rule("app"))
    server.put(changed)
    wait_for(lambda: server.get("HTTPRoute", "mixed")["status"]["parents"][1]["conditions"][0][
        "observedGeneration"] == 2, "the new generation is observed")
    parents = server.get("HTTPRoute", "mixed")["status"]["parents"]
    assert parents[0] == theirs
    assert parents[1]["conditions"][0]["lastTransitionTime"] == since
    # A route that leaves us takes our entry with it, and nothing else.
    changed = server.get("HTTPRoute", "mixed")
    changed["spec"]["parentRefs"] = [{"name": "other"}]
    server.put(changed)
    wait_for(lambda: server.get("HTTPRoute", "mixed")["status"]["parents"] == [theirs],
             "our entry is gone")


def test_one_write_an_object_and_none_when_nothing_differs(start_cluster):
    cluster = start_cluster(control=False)
    for number in range(50):
        cluster.server.put(plain(f"r{number}"))
    first = cluster.control()
    wait_for(lambda: all(cluster.accepted(f"r{n}") for n in range(50)), "all have their status")
    writes = settled(cluster)
    per_object = {}
    for write in writes:
        per_object[write.path] = per_object.get(write.path, 0) + 1
    assert max(per_object.values()) <= 2, per_object
    # Another one finds everything as it should be.
    first.stop()
    count = len(writes)
    cluster.control()
    wait_for(lambda: cluster.ask("/readyz", 1)[0] == 200, "the second one is ready")
    assert len(settled(cluster, 2)) == count


def test_f22_a_watch_that_ends_or_is_cut_goes_on_where_it_was(start_cluster):
    cluster = start_cluster()
    server = cluster.server
    for number, how in enumerate(("end", "cut", "cut", "end")):
        server.put(plain(f"before-{number}"))
        cluster.wait_accepted(f"before-{number}")
        server.cut_watches(how)
        server.put(plain(f"after-{number}"))
        cluster.wait_accepted(f"after-{number}")
    assert cluster.kind("HTTPRoute")["lists"] == 1


@pytest.mark.parametrize("how", ["event", "answer", "page"])
def test_f23_an_expired_revision_lists_again_and_acts_on_differences_only(start_cluster, how):
    cluster = start_cluster(control=False)
    server = cluster.server
    for number in range(1200 if how == "page" else 5):
        server.put(plain(f"r{number}"))
    if how == "page":
        server.when(lambda request, _: (410, status_of(410, "Expired"))
                    if "continue" in request.query else None, "list", "httproutes", times=2)
    cluster.control()
    wait_for(lambda: cluster.accepted("r4") and (cluster.kind("HTTPRoute") or {}).get("listed"),
             "the routes are there")
    if how != "page":
        cuts = "expired" if how == "event" else "end"
        server.remove("HTTPRoute", "r1", silent=True)
        server.put(plain("late"), silent=True)
        if how == "answer":
            server.compact()
        server.cut_watches(cuts)
        cluster.wait_accepted("late")
    kind = wait_for(lambda: (lambda k: k if k and k["expired"] >= 1 else None)(
        cluster.kind("HTTPRoute")), "the expiry is counted")
    assert kind["objects"] == (1200 if how == "page" else 5)


def test_f23_a_server_that_lets_nothing_be_watched_is_not_besieged_by_lists(start_cluster):
    cluster = start_cluster(control=False)
    server = cluster.server
    server.put(plain("one"))
    rule_of_it = server.when(lambda *_: (410, status_of(410, "Expired")), "watch", "httproutes")
    cluster.control()
    at = wait_for(lambda: (lambda found: found if len(found) >= 5 else None)(
        [r.at for r in list(server.audit) if (r.verb, r.plural) == ("list", "httproutes")]),
        "it is listed again and again")
    assert at[4] - at[0] >= 1.5, "each pause is twice the one before"
    server.forget(rule_of_it)
    server.put(plain("two"))
    cluster.wait_accepted("two")


def test_events_told_twice_or_late_change_nothing(start_cluster):
    cluster = start_cluster()
    server = cluster.server
    server.put(plain("one"))
    cluster.wait_accepted("one")
    old = server.get("HTTPRoute", "one")
    settled(cluster)
    snapshot = cluster.ask()[1]["snapshot"]
    changed = server.get("HTTPRoute", "one")
    changed["spec"]["hostnames"] = ["a.example"]
    server.put(changed)
    cluster.wait_accepted("one")
    settled(cluster)
    after = cluster.ask()[1]["snapshot"]
    assert after != snapshot
    with server.lock:  # an old form, and the newest once more
        server._record("httproutes", "MODIFIED", old)  # pylint: disable=protected-access
    server.resend("HTTPRoute", "one")
    server.put(plain("two"))
    cluster.wait_accepted("two")
    hostnames = [item for item in cluster.ask("/v1/config")[1]["resources"]["Route"].values()
                 if item.get("hostnames")]
    assert hostnames, "the older form did not come back"


def test_f03_nothing_is_published_before_every_list_is_in(start_cluster):
    cluster = start_cluster(control=False)
    released = []
    cluster.server.put(plain("one"))
    rule_ = cluster.server.when(lambda *_: None if released else (503, status_of(503, "Busy")),
                                "list", "services")
    cluster.control()
    wait_for(lambda: (cluster.kind("HTTPRoute") or {}).get("listed"), "the routes are listed")
    time.sleep(0.5)
    assert cluster.ask("/readyz")[0] == 503
    assert not [w for w in cluster.server.writes() if w.plural != "leases"]
    released.append(True)
    cluster.wait_accepted("one")
    cluster.server.forget(rule_)


def test_a_kind_that_is_not_installed_is_no_reason_to_wait_and_is_found_later(start_cluster):
    cluster = start_cluster(missing=["tcproutes", "routepolicies"])
    cluster.server.put(plain("one"))
    cluster.wait_accepted("one")
    assert cluster.kind("TCPRoute")["missing"]
    cluster.server.install("tcproutes")
    wait_for(lambda: not cluster.kind("TCPRoute")["missing"], "the kind is picked up")


def test_f17_a_follower_writes_after_the_leader_is_killed_or_leaves(start_cluster):
    cluster = start_cluster(control=False)
    first, second = cluster.control(), None
    cluster.server.put(plain("one"))
    cluster.wait_accepted("one")
    second = cluster.control()
    wait_for(lambda: cluster.ask("/readyz", 1)[0] == 200, "the follower is ready")
    first.kill()
    killed = time.monotonic()
    cluster.server.put(plain("two"))
    cluster.wait_accepted("two")
    assert time.monotonic() - killed < 30
    # One that ends by request gives the lease back: the next need not wait.
    third = cluster.control()
    wait_for(lambda: cluster.ask("/readyz", 2)[0] == 200, "the third is ready")
    second.stop()
    cluster.server.put(plain("three"))
    cluster.wait_accepted("three")
    assert third.running()


def test_f18_who_slept_past_its_lease_writes_nothing(start_cluster):
    cluster = start_cluster(control=False)
    first = cluster.control()
    cluster.server.put(plain("one"))
    cluster.wait_accepted("one")
    holder = cluster.server.get("Lease", "nantian-control")["spec"]["holderIdentity"]
    cluster.control()
    first.signal(signal.SIGSTOP)
    cluster.server.put(plain("two"))
    cluster.wait_accepted("two")
    took = cluster.server.get("Lease", "nantian-control")["spec"]["holderIdentity"]
    assert took != holder
    before = len(cluster.server.audit)
    first.signal(signal.SIGCONT)
    cluster.server.put(plain("three"))
    cluster.wait_accepted("three")
    settled(cluster)
    # Both have one user agent; what tells them apart is who renews.
    renewals = [json.loads(r.body)["spec"]["holderIdentity"] for r in
                cluster.server.audit[before:] if r.plural == "leases" and r.method == "PUT"]
    assert set(renewals) <= {took}


def test_f21_an_api_server_that_is_away_is_not_besieged_and_its_return_is_noticed(start_cluster):
    cluster = start_cluster()
    cluster.server.put(plain("one"))
    cluster.wait_accepted("one")
    settled(cluster)
    cluster.server.stop()
    time.sleep(3)
    before = len(cluster.server.audit)
    writes = len([w for w in cluster.server.writes() if w.plural != "leases"])
    cluster.server.start()
    cluster.server.put(plain("two"))
    cluster.wait_accepted("two")
    extra = [w for w in cluster.server.writes() if w.plural != "leases"][writes:]
    assert {w.name for w in extra} <= {"two", "web"}, [w.path for w in extra]
    assert len(cluster.server.audit) - before < 200


@pytest.mark.parametrize("code, headers", [(429, {"Retry-After": "1"}), (500, {}), (504, {})])
def test_f25_answers_that_ask_for_patience_get_it(start_cluster, code, headers):
    cluster = start_cluster(control=False)
    cluster.server.put(plain("one"))
    cluster.server.when(lambda *_: (code, status_of(code, "Busy"), headers), times=40)
    cluster.control()
    cluster.wait_accepted("one")


def test_f27_a_conflict_reads_again_and_a_fight_slows_down(start_cluster):
    cluster = start_cluster(control=False)
    server = cluster.server
    server.put(plain("one"))
    server.when(lambda *_: (409, status_of(409, "Conflict")), "patch", "httproutes", times=4)
    cluster.control()
    cluster.wait_accepted("one")
    settled(cluster)
    at = [write.at for write in server.writes("httproutes")]
    assert at[3] - at[1] >= 1.2, "the second in a row and those after it are waited out"
    count = len(server.writes("httproutes"))
    end = time.monotonic() + 4
    while time.monotonic() < end:  # somebody takes our entry out whenever it stands there
        item = server.get("HTTPRoute", "one")
        if item["status"]["parents"]:
            server.put({**item, "status": {"parents": []}}, status=True)
        time.sleep(0.02)
    assert len(server.writes("httproutes")) - count < 12


def test_a_request_that_is_cut_off_is_made_again(start_cluster):
    cluster = start_cluster(control=False)

    def cut(*_):
        raise Cut

    cluster.server.put(plain("one"))
    cluster.server.when(cut, times=25)
    with contextlib.suppress(OSError):
        cluster.control()
    cluster.wait_accepted("one")


# ---- what is installed ----

def test_install_is_what_its_parts_make():
    subprocess.run([ROOT / "tools/install-manifest", "--check"], check=True)


def test_the_program_prints_what_is_installed():
    plain_text = (ROOT / "deploy/install.yaml").read_text(encoding="utf-8")
    assert nantian("install").stdout == plain_text
    before, after = yaml.safe_load_all(plain_text), yaml.safe_load_all(nantian(
        "install", "--namespace", "edge", "--image", "r.example/c:1", "--proxy-image",
        "r.example/p@sha256:0", "--replicas", "3").stdout)
    after = list(after)
    for old, new in zip(before, after):
        old = json.loads(json.dumps(old).replace('"nantian-system"', '"edge"'))
        if old["kind"] == "Deployment":
            old["spec"]["replicas"] = 3
            container = old["spec"]["template"]["spec"]["containers"][0]
            container["image"] = "r.example/c:1"
            container["args"][-1] = "r.example/p@sha256:0"
        assert new == old
    assert [item["metadata"]["name"] for item in after if item["kind"] == "Namespace"] == ["edge"]
    assert nantian("install", "--namespace", "No Name").returncode == 2


def schemas():
    """Kind -> the schema of its CRD."""
    texts = [(ROOT / "deploy" / name).read_text(encoding="utf-8")
             for name in ("install.yaml", "optional/backend_lb_policy.yaml")]
    return {item["spec"]["names"]["kind"]: item["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
            for item in yaml.safe_load_all("\n---\n".join(texts))
            if item["kind"] == "CustomResourceDefinition"}


def misfits(schema, value, path=""):
    """Where a value is not what the schema says; what the API server would drop or refuse."""
    kinds = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool}
    if not isinstance(value, kinds[schema["type"]]):
        return [f"{path} is no {schema['type']}"]
    if schema["type"] == "array":
        return [each for i, item in enumerate(value)
                for each in misfits(schema["items"], item, f"{path}[{i}]")]
    if schema["type"] == "object" and "properties" in schema:
        found = [f"{path}.{name} is not there" for name in schema.get("required", [])
                 if name not in value]
        for name, item in value.items():
            known = schema["properties"].get(name)
            found += [f"{path}.{name} is unknown"] if known is None else \
                misfits(known, item, f"{path}.{name}") if path or name == "spec" else []
        return found
    if value not in schema.get("enum", [value]) or \
            (schema["type"] == "string" and not re.search(schema.get("pattern", ""), value)):
        return [f"{path}: {value}"]
    return []


def test_schemas_take_what_the_control_plane_takes_and_fill_in_nothing():
    known = schemas()
    assert set(known) == {"RoutePolicy", "SecurityPolicy", "BackendLBPolicy", "GatewayParameters"}
    assert '"default":' not in json.dumps(known).replace('"default": {"type": "object"', "")
    count = 0
    for path in sorted((ROOT / "test/golden").glob("*.in.yaml")):
        for item in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            if item and item.get("kind") in known:
                assert not misfits(known[item["kind"]], item), path
                count += 1
    assert count > 20


# ---- data planes of their own ----

def test_each_gateway_gets_objects_that_go_with_it(provisioned):
    server = provisioned.server
    wait_for(lambda: server.get("PodDisruptionBudget", "web-nantian"), "the last of the objects")
    deployment = server.get("Deployment", "web-nantian")
    web = server.get("Gateway", "web")
    for kind in PARTS:
        meta = server.get(kind, "web-nantian")["metadata"]
        assert meta["labels"]["gateway.networking.k8s.io/gateway-name"] == "web"
        assert meta["labels"]["gateway.networking.k8s.io/gateway-class-name"] == "nantian"
        assert meta["ownerReferences"][0]["uid"] == web["metadata"]["uid"]
    service = server.get("Service", "web-nantian")
    assert [(p["port"], p["protocol"]) for p in service["spec"]["ports"]] == [(80, "TCP")]
    pod = deployment["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] and not pod["automountServiceAccountToken"]
    assert pod["containers"][0]["image"] == "nantian-proxy:test"
    scaler = server.get("HorizontalPodAutoscaler", "web-nantian")["spec"]
    assert scaler["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment",
                                        "name": "web-nantian"}
    assert "replicas" not in deployment["spec"]
    assert server.get("PodDisruptionBudget", "web-nantian")["spec"]["selector"] == \
        deployment["spec"]["selector"]
    # What is as it should be is not written again; what is taken away comes back.
    settled(provisioned)
    assert not forbidden(server), "deploy/base/rbac.yaml gives no right to do this"
    count = len(server.writes("deployments"))
    web["spec"]["listeners"].append(listener("more", 81))
    web["spec"]["infrastructure"] = {"labels": {"team": "a"}, "annotations": {"note": "b"}}
    server.put(web)
    wait_for(lambda: len(server.get("Service", "web-nantian")["spec"]["ports"]) == 2,
             "the new port")
    wait_for(lambda: server.get("Deployment", "web-nantian")["metadata"]["labels"].get("team"),
             "the label")
    assert len(server.writes("deployments")) <= count + 1
    time.sleep(2.1)
    server.remove("Service", "web-nantian")
    wait_for(lambda: server.get("Service", "web-nantian"), "the Service is back")


def parameters(server, name, **spec):
    server.put({"kind": "GatewayParameters", "metadata": {"name": name}, "spec": spec})


def refer(server, name, gateway="web"):
    item = server.get("Gateway", gateway)
    item["spec"]["infrastructure"] = {"parametersRef": {
        "group": "gateway.nantian.dev", "kind": "GatewayParameters", "name": name}}
    server.put(item)


def refused(cluster, words):
    """The Gateway is not accepted, and these words say why."""
    def look():
        condition = cluster.condition("Gateway", "web", "Accepted")
        return condition and condition["reason"] == "InvalidParameters" and \
            words in condition["message"]
    return wait_for(look, f"the Gateway says: {words}")


def accepted_again(cluster):
    return wait_for(lambda: cluster.condition("Gateway", "web", "Accepted")["status"] == "True",
                    "the Gateway is accepted")


def test_parameters_are_laid_over_the_objects_the_gateways_over_the_classes(provisioned):
    server = provisioned.server
    container = {"name": "proxy", "resources": {"limits": {"memory": "1Gi"}}}
    parameters(server, "all", service={"spec": {"type": "NodePort"}},
               deployment={"spec": {"template": {"spec": {"priorityClassName": "high",
                                                          "containers": [container]}}}})
    parameters(server, "own", horizontalPodAutoscaler={"spec": {"minReplicas": 3}},
               podDisruptionBudget={"$patch": "delete"},
               deployment={"spec": {"template": {"spec": {"priorityClassName": "higher"}}}})
    for name in ("web-nantian", "other-nantian"):
        wait_for(lambda name=name: server.get("PodDisruptionBudget", name), "there is a budget")
    theirs = {"kind": "PodDisruptionBudget", "metadata": {"name": "theirs"}, "spec": {}}
    server.put(theirs)
    item = server.get("GatewayClass", "nantian")
    item["spec"]["parametersRef"] = {"group": "gateway.nantian.dev", "kind": "GatewayParameters",
                                     "name": "all", "namespace": "default"}
    server.put(item)
    refer(server, "own")
    wait_for(lambda: not server.get("PodDisruptionBudget", "web-nantian"), "the budget goes")
    assert server.get("PodDisruptionBudget", "theirs")
    assert server.get("PodDisruptionBudget", "other-nantian")
    pod = server.get("Deployment", "web-nantian")["spec"]["template"]["spec"]
    assert pod["priorityClassName"] == "higher"
    assert pod["containers"][0]["resources"] == {
        "requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "1Gi"}}
    assert server.get("HorizontalPodAutoscaler", "web-nantian")["spec"]["minReplicas"] == 3
    wait_for(lambda: server.get("Service", "other-nantian")["spec"]["type"] == "NodePort",
             "the class's parameters hold for every Gateway")
    settled(provisioned)
    assert not forbidden(server), "deploy/base/rbac.yaml gives no right to do this"


def test_parameters_that_cannot_be_are_said_and_what_stands_stays(provisioned):
    server = provisioned.server
    wait_for(lambda: server.get("PodDisruptionBudget", "web-nantian"), "it is provisioned")
    settled(provisioned)
    before = {kind: server.get(kind, "web-nantian") for kind in PARTS}
    refer(server, "own")
    refused(provisioned, "there is no GatewayParameters default/own")
    for spec, words in [
            ({"deployment": {"spec": {"selector": {"matchLabels": {"a": "b"}}}}},
             "spec.deployment: spec.selector cannot be changed"),
            ({"deployment": {"spec": {"replicas": 2}}}, "spec.replicas is the HorizontalPodAuto"),
            ({"service": {"$patch": "delete"}}, "spec.service: it cannot be left out"),
            ({"service": {"spec": {"ports": [{"nodePort": 1}]}}}, "spec.ports[0] has no port")]:
        parameters(server, "own", **spec)
        refused(provisioned, words)
    # What only the API server can know is asked of it, for all objects before any is written.
    def judge(request, _):
        if "dryRun" in request.query and b"absurd" in request.body:
            return 422, {"kind": "Status", "message": "spec.type: Unsupported value: absurd"}
        return None
    server.when(judge, "patch", "services")
    parameters(server, "own", service={"spec": {"type": "absurd"}},
               serviceAccount={"metadata": {"labels": {"a": "b"}}})
    refused(provisioned, "spec.service: spec.type: Unsupported value: absurd")
    assert {kind: server.get(kind, "web-nantian") for kind in PARTS} == before
    parameters(server, "own", deployment={"spec": {"replicas": 2}},
               horizontalPodAutoscaler={"$patch": "delete"})
    accepted_again(provisioned)
    wait_for(lambda: server.get("Deployment", "web-nantian")["spec"].get("replicas") == 2,
             "replicas may be said where no autoscaler does")
    wait_for(lambda: not server.get("HorizontalPodAutoscaler", "web-nantian"), "it goes")


def test_f26_what_is_left_half_done_is_done_again(provisioned):
    server, steps = provisioned.server, ["serviceaccounts", "configmaps", "services",
                                         "deployments", "poddisruptionbudgets"]
    for number, step in enumerate(steps):
        def die(*_):
            provisioned.planes[-1].kill()
            raise Cut

        server.when(die, "patch", step, times=1)
        server.put(gateway_of(listener("http", 80), name=f"half-{number}"))
        wait_for(lambda: not provisioned.planes[-1].running(), f"it dies at {step}")
        provisioned.planes.pop().judge()
        provisioned.control()
        wait_for(lambda name=f"half-{number}-nantian": server.get("PodDisruptionBudget", name),
                 "all of it is there after all")
    assert {name for _, name in server.objects["deployments"]} == \
        {"web-nantian", "other-nantian", *(f"half-{n}-nantian" for n in range(5))}


def test_a_data_plane_proves_by_its_token_which_gateway_it_is_of(provisioned):
    server = provisioned.server
    server.put(plain("mine"))
    server.put(route("theirs", rule("app"), parent="other"))
    web = server.get("Gateway", "web")
    web["spec"]["listeners"][0]["port"] = free_port()
    server.put(web)
    address(provisioned, "web", "10.250.0.7")
    provisioned.proxy("default/web", "token-of-web")
    wait_for(lambda: (provisioned.condition("Gateway", "web", "Programmed") or {}).get("status")
             == "True", "web is programmed")
    assert server.get("Gateway", "web")["status"]["addresses"][0]["value"] == "10.250.0.7"
    nodes = provisioned.ask("/v1/nodes")[1]["nodes"]
    assert [node["node"] for node in nodes] == ["default/web/proxy-0"]
    # The other Gateway's data plane is not there, so it is not programmed; stolen, wrong and
    # missing tokens change nothing about that.
    for token in ("token-of-web", "token-of-nobody", "made up", ""):
        provisioned.proxy("default/other", token)
    wait_for(lambda: sum(r.plural == "tokenreviews" for r in server.audit) >= 4,
             "the tokens are judged")
    time.sleep(0.5)
    assert [node["node"] for node in provisioned.ask("/v1/nodes")[1]["nodes"]] == \
        ["default/web/proxy-0"]
    assert provisioned.condition("Gateway", "other", "Programmed")["status"] == "False"
    address(provisioned, "other", "10.250.0.8")
    provisioned.proxy("default/other", "token-of-other")
    wait_for(lambda: provisioned.condition("Gateway", "other", "Programmed")["status"] == "True",
             "other is programmed")


def owners(server, name):
    items = [server.get(kind, name) for kind in PARTS]
    return {item and item["metadata"]["ownerReferences"][0]["name"] for item in items}


def test_two_gateways_whose_objects_would_have_one_name_do_not_share_them(provisioned):
    server, port = provisioned.server, free_port()
    server.reviews["token-of-both"] = account("shop-a-x")
    for name in ("a-x", "x"):
        server.put({"kind": "GatewayClass", "metadata": {"name": name},
                    "spec": {"controllerName": CONTROLLER}})

    def put(name, of, at):
        gateway = gateway_of(listener("http", at), name=name)
        gateway["spec"]["gatewayClassName"] = of
        server.put(gateway)

    def programmed(name):
        return provisioned.condition("Gateway", name, "Programmed") or {"reason": "", "status": ""}

    def served():
        try:
            return request(port).status == 302
        except OSError:
            return False
    put("shop", "a-x", port)
    server.put(route("sells", {"filters": [{"type": "RequestRedirect", "requestRedirect": {
        "hostname": "b.example.com"}}]}, parent="shop"))
    wait_for(lambda: owners(server, "shop-a-x") == {"shop"}, "the first has its objects")
    server.put({**server.get("Service", "shop-a-x"),
                "status": {"loadBalancer": {"ingress": [{"ip": "10.250.0.9"}]}}}, status=True)
    provisioned.proxy("default/shop", "token-of-both")
    wait_for(lambda: programmed("shop")["status"] == "True", "the first is programmed")
    put("shop-a", "x", free_port())
    wait_for(lambda: programmed("shop-a")["reason"] == "NoResources", "the second says why not")
    assert '"shop-a-x", as those of the Gateway shop' in programmed("shop-a")["message"]
    assert provisioned.condition("Gateway", "shop-a", "Accepted")["status"] == "True"

    # Another control plane comes to the same, and knows whose data plane it is that comes back.
    provisioned.planes[-1].kill()
    provisioned.planes.pop().judge()
    provisioned.control()
    provisioned.proxy("default/shop-a", "token-of-both")
    wait_for(lambda: [n["node"] for n in (provisioned.ask("/v1/nodes")[1] or {}).get("nodes", [])]
             == ["default/shop/proxy-0"], "it is the first's")
    settled(provisioned)
    assert owners(server, "shop-a-x") == {"shop"}
    assert programmed("shop")["status"] == "True"
    assert programmed("shop-a")["reason"] == "NoResources"
    wait_for(served, "the first serves")

    # The Gateway goes, then what it owns.
    server.remove("Gateway", "shop")
    settled(provisioned)
    assert owners(server, "shop-a-x") == {"shop"}
    for kind in reversed(PARTS):
        server.remove(kind, "shop-a-x")
    wait_for(lambda: owners(server, "shop-a-x") == {"shop-a"}, "the second has its objects")
    wait_for(lambda: programmed("shop-a")["reason"] == "AddressNotAssigned", "it waits for more")


def events(cluster, reason):
    with cluster.server.lock:
        return [item for item in cluster.server.objects["events"].values()
                if item["reason"] == reason]


def test_events_say_what_became_of_a_gateway_and_repeat_as_a_series(provisioned):
    server = provisioned.server
    web = server.get("Gateway", "web")
    web["spec"]["listeners"] = [listener("http", free_port()), listener(
        "tls", free_port(), "HTTPS", tls={"certificateRefs": [{"name": "none"}]})]
    server.put(web)
    address(provisioned, "web", "10.250.0.7")
    plane = provisioned.proxy("default/web", "token-of-web")
    event, = wait_for(lambda: events(provisioned, "Programmed"), "it is programmed")
    assert event["regarding"]["uid"] == web["metadata"]["uid"] and event["type"] == "Normal"
    assert event["regarding"]["kind"] == "Gateway" and event["reportingInstance"]
    event, = wait_for(lambda: events(provisioned, "CertificateInvalid"), "the certificate is missed")
    assert event["type"] == "Warning" and "default/none" in event["note"], event
    event, = wait_for(lambda: events(provisioned, "DataPlaneJoined"), "the data plane came")
    assert event["note"].endswith("proxy-0")
    plane.stop()
    event, = wait_for(lambda: events(provisioned, "DataPlaneLost"), "the data plane went")
    assert event["type"] == "Warning"
    plane.start()
    # The same once more is the same Event, its series; there are not two.
    event = wait_for(lambda: next((e for e in events(provisioned, "DataPlaneJoined")
                                   if e.get("series")), None), "it came again")
    assert event["series"]["count"] >= 2 and event["series"]["lastObservedTime"]
    assert len(events(provisioned, "DataPlaneJoined")) == 1
    settled(provisioned)
    assert not forbidden(server), "deploy/base/rbac.yaml gives no right to do this"


def test_events_are_bounded(provisioned):
    server, began = provisioned.server, time.monotonic()
    for number in range(60):
        server.put(gateway_of(listener("tls", 443, "HTTPS", tls={
            "certificateRefs": [{"name": "none"}]}), name=f"many-{number}"))
    wait_for(lambda: all((server.get("Gateway", f"many-{n}").get("status") or {}).get("listeners")
                         for n in range(60)), "all of them have statuses")
    settled(provisioned)
    # 25 at once, then one in two seconds.
    most = 26 + (time.monotonic() - began) / 2
    assert 10 <= len(events(provisioned, "CertificateInvalid")) <= most


def definitions(server, version):
    annotations = {} if version is None else {
        "gateway.networking.k8s.io/bundle-version": version}
    server.put({"kind": "CustomResourceDefinition", "spec": {}, "metadata": {
        "name": "gatewayclasses.gateway.networking.k8s.io", "annotations": annotations}})


@pytest.mark.parametrize("version, status", [
    ("v1.7.0", "True"), ("v1.7.3-rc.1", "True"), ("v1.4.0", "False"), ("v1.70.0", "False"),
    (None, "False")])
def test_the_class_says_whether_the_release_of_gateway_api_is_ours(start_cluster, version, status):
    cluster = start_cluster(control=False)
    definitions(cluster.server, version)
    cluster.control()
    cluster.server.put(plain("first"))
    assert cluster.wait_accepted("first")["status"] == "True"
    condition = wait_for(lambda: cluster.condition("GatewayClass", "nantian", "SupportedVersion"),
                         "the class says it")
    assert condition["status"] == status
    assert condition["reason"] == ("SupportedVersion" if status == "True" else "UnsupportedVersion")
    assert (version or "do not say") in condition["message"]
    assert cluster.condition("GatewayClass", "nantian", "Accepted")["status"] == "True"


def test_definitions_that_come_later_are_noticed(start_cluster):
    cluster = start_cluster(missing=("gatewayclasses", "customresourcedefinitions"))
    cluster.server.put(plain("first"))
    wait_for(lambda: cluster.ask("/readyz")[0] == 200, "it is ready without them")
    definitions(cluster.server, "v1.6.0")
    cluster.server.install("gatewayclasses")
    cluster.server.install("customresourcedefinitions")
    wait_for(lambda: cluster.condition("GatewayClass", "nantian", "SupportedVersion"),
             "the class says it")
    assert cluster.wait_accepted("first")["status"] == "True"


def test_only_secrets_that_something_names_are_kept(start_cluster):
    cluster = start_cluster(control=False)
    server = cluster.server
    pair = Authority().issue("shop.example.com")

    def secret(name):
        server.put(secret_of(name, *pair))

    def use(name):
        server.put(gateway_of(listener("https", 443, "HTTPS", tls={
            "certificateRefs": [{"name": name}]})))

    def resolved():
        status = (server.get("Gateway", "web").get("status") or {}).get("listeners") or [{}]
        return next((c["status"] for c in status[0].get("conditions", [])
                     if c["type"] == "ResolvedRefs" and
                     c["observedGeneration"] == server.get("Gateway", "web")["metadata"]["generation"]),
                    None)

    for name in ("first", "second", "third"):
        secret(name)
    use("first")
    cluster.control()
    wait_for(lambda: resolved() == "True", "the first certificate is there")
    assert cluster.kind("Secret")["objects"] == 1
    # Another one, told long ago, is asked for.
    use("second")
    wait_for(lambda: resolved() == "True", "the second is there")
    wait_for(lambda: cluster.kind("Secret")["objects"] == 1, "the first is dropped")
    secret("fourth")
    server.remove("Secret", "second")
    wait_for(lambda: resolved() == "False", "the second is missed")
    secret("second")
    wait_for(lambda: resolved() == "True", "it is back")
    server.remove("Gateway", "web")
    wait_for(lambda: cluster.kind("Secret")["objects"] == 0, "nothing names any")
    cluster.server.cut_watches("expired")
    time.sleep(0.5)
    assert cluster.kind("Secret")["objects"] == 0


def test_a_secret_from_beyond_what_the_watch_told_waits_for_it(start_cluster):
    """Else it would be published under the name of a state without it (F08)."""
    cluster = start_cluster()
    server, pair = cluster.server, Authority().issue("shop.example.com")
    cluster.server.put(plain("one"))
    cluster.wait_accepted("one")
    server.lag("secret-0", "secrets", True)
    server.put(secret_of("late", *pair))
    server.put(gateway_of(listener("https", 443, "HTTPS", tls={
        "certificateRefs": [{"name": "late"}]})))

    def resolved():
        web = server.get("Gateway", "web")
        status = (web.get("status") or {}).get("listeners") or [{}]
        return next((c["status"] for c in status[0].get("conditions", [])
                     if c["type"] == "ResolvedRefs" and
                     c["observedGeneration"] == web["metadata"]["generation"]), None)
    wait_for(lambda: sum((r.verb, r.plural, r.name) == ("get", "secrets", "late")
                         for r in list(server.audit)) >= 2, "it is asked for")
    assert wait_for(resolved, "the rest is live without it") == "False"
    assert cluster.kind("Secret")["objects"] == 0
    server.lag("secret-0", "secrets", False)
    wait_for(lambda: resolved() == "True", "it is there with its event")


def test_our_certificate_is_replaced_before_its_end_and_data_planes_go_on(provisioned):
    """The one that is shown, again and again, each by the authority that data planes trust."""
    server, folder = provisioned.server, provisioned.folder
    provisioned.planes.pop().stop()
    provisioned.flags += ["--certificate-life", "9"]
    provisioned.control()
    where = provisioned.flags[1].rsplit(":", 1)
    context = ssl.create_default_context(cafile=folder / "ca.crt")

    def shown():
        """Verified, as by a data plane."""
        try:
            with socket.create_connection((where[0], int(where[1])), timeout=10) as plain_socket, \
                    context.wrap_socket(plain_socket, server_hostname=
                                        "nantian-control.default.svc") as secured:
                return secured.getpeercert()["serialNumber"]
        except OSError:  # not listening yet; or so slow a machine that it is over
            return None

    first = wait_for(shown, "a certificate is shown")
    web = server.get("Gateway", "web")
    web["spec"]["listeners"][0]["port"] = free_port()
    server.put(web)
    address(provisioned, "web", "10.250.0.7")
    plane = provisioned.proxy("default/web", "token-of-web")
    wait_for(lambda: (provisioned.condition("Gateway", "web", "Programmed") or {}).get("status")
             == "True", "web is programmed")
    second = wait_for(lambda: (shown() or first) != first and shown(), "another one is shown")
    wait_for(lambda: shown() not in (None, first, second), "and another one")
    # Who was there goes on, and who comes now is let in by the same authority.
    assert server.get("ConfigMap", "web-nantian")["data"]["ca.crt"] == \
        (folder / "ca.crt").read_text(encoding="ascii")
    web = server.get("Gateway", "web")
    web["spec"]["listeners"][0]["port"] = free_port()
    server.put(web)

    def current():
        condition = provisioned.condition("Gateway", "web", "Programmed")
        return condition["status"] == "True" and condition["observedGeneration"] == \
            server.get("Gateway", "web")["metadata"]["generation"]
    wait_for(current, "the change arrives")
    plane.stop()
    plane.start()
    web["spec"]["listeners"][0]["port"] = free_port()
    server.put(web)
    wait_for(current, "the next one arrives, too")
