"""References across namespaces: every field of the served kinds that can name an object of another
namespace, each way of not being permitted, and one of being; judged by what data planes would receive.
"""
# SPDX-License-Identifier: Apache-2.0
import base64
import functools
import json
import os
import pathlib
import random
import subprocess

import pytest
import yaml

from certificates import Authority
from harness import ROOT, nantian

pytestmark = [pytest.mark.sanitized]

GATEWAY, OURS = "gateway.networking.k8s.io", "gateway.nantian.dev"
EXPERIMENTAL = "gateway.networking.x-k8s.io"
SERVED = {"GatewayClass", "Gateway", "ListenerSet", "HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute",
          "UDPRoute", "BackendTLSPolicy", "XBackend"}


def auth(ref):
    return {"type": "ExternalAuth", "externalAuth": {"protocol": "HTTP", "backendRef": ref, "http": {}}}


def mirror(ref):
    return {"type": "RequestMirror", "requestMirror": {"backendRef": ref}}


def https(**tls):
    return {"name": "l", "protocol": "HTTPS", "hostname": "own.example.com",
            "tls": {"certificateRefs": [{"name": "own"}], **tls}}


def frontend(ref):
    return {"validation": {"caCertificateRefs": [ref]}}


OWN = {"name": "own", "port": 80}
SECRET, CONFIG_MAP, SERVICE = ("", "Secret"), ("", "ConfigMap"), ("", "Service")
# (kind, field) -> the kind that is referred to, and a spec with the reference. What the data plane
# cannot do is here too: it must not pass either.
CELLS = {
    ("Gateway", "listeners[].tls.certificateRefs[]"):
        (SECRET, lambda ref: {"listeners": [https(certificateRefs=[ref])]}),
    ("Gateway", "tls.backend.clientCertificateRef"):
        (SECRET, lambda ref: {"tls": {"backend": {"clientCertificateRef": ref}}}),
    ("Gateway", "tls.frontend.default.validation.caCertificateRefs[]"):
        (CONFIG_MAP, lambda ref: {"listeners": [https()],
                                  "tls": {"frontend": {"default": frontend(ref)}}}),
    ("Gateway", "tls.frontend.perPort[].tls.validation.caCertificateRefs[]"):
        (CONFIG_MAP, lambda ref: {"listeners": [https()], "tls": {"frontend": {
            "default": frontend({"group": "", "kind": "ConfigMap", "name": "own"}),
            "perPort": [{"port": "PORT", "tls": frontend(ref)}]}}}),
    ("Gateway", "listeners[].filters.requests[].externalAuth.backendRef"):
        (SERVICE, lambda ref: {"listeners": [{"name": "l", "protocol": "HTTP",
                                              "filters": {"requests": [auth(ref)]}}]}),
    ("ListenerSet", "listeners[].tls.certificateRefs[]"):
        (SECRET, lambda ref: {"listeners": [https(certificateRefs=[ref])]}),
    ("ListenerSet", "listeners[].filters.requests[].externalAuth.backendRef"):
        (SERVICE, lambda ref: {"listeners": [{"name": "l", "protocol": "HTTP",
                                              "filters": {"requests": [auth(ref)]}}]}),
    ("HTTPRoute", "rules[].backendRefs[]"): (SERVICE, lambda ref: {"backendRefs": [ref]}),
    ("HTTPRoute", "rules[].backendRefs[].filters[].requestMirror.backendRef"):
        (SERVICE, lambda ref: {"backendRefs": [{**OWN, "filters": [mirror(ref)]}]}),
    ("HTTPRoute", "rules[].backendRefs[].filters[].externalAuth.backendRef"):
        (SERVICE, lambda ref: {"backendRefs": [{**OWN, "filters": [auth(ref)]}]}),
    ("HTTPRoute", "rules[].filters[].requestMirror.backendRef"):
        (SERVICE, lambda ref: {"backendRefs": [OWN], "filters": [mirror(ref)]}),
    ("HTTPRoute", "rules[].filters[].externalAuth.backendRef"):
        (SERVICE, lambda ref: {"backendRefs": [OWN], "filters": [auth(ref)]}),
    ("GRPCRoute", "rules[].backendRefs[]"): (SERVICE, lambda ref: {"backendRefs": [ref]}),
    ("GRPCRoute", "rules[].backendRefs[].filters[].requestMirror.backendRef"):
        (SERVICE, lambda ref: {"backendRefs": [{**OWN, "filters": [mirror(ref)]}]}),
    ("GRPCRoute", "rules[].filters[].requestMirror.backendRef"):
        (SERVICE, lambda ref: {"backendRefs": [OWN], "filters": [mirror(ref)]}),
    ("TLSRoute", "rules[].backendRefs[]"): (SERVICE, lambda ref: {"backendRefs": [ref]}),
    ("TCPRoute", "rules[].backendRefs[]"): (SERVICE, lambda ref: {"backendRefs": [ref]}),
    ("UDPRoute", "rules[].backendRefs[]"): (SERVICE, lambda ref: {"backendRefs": [ref]}),
    ("XBackend", "tls.clientCertificateRef"):
        (SECRET, lambda ref: {"type": "ExternalHostname", "port": {"number": 443},
                              "externalHostname": {"hostname": "own.example.com"},
                              "tls": {"mode": "ClientAndServer", "clientCertificateRef": ref,
                                      "validation": {"hostname": "own.example.com",
                                                     "wellKnownCACertificates": "System"}}}),
}
# Not done by this data plane, so that a grant does not let them pass either.
NOT_DONE = {key for key in CELLS if "listeners[].filters" in key[1]}
# References that need no grant: who is referred to says whom it takes (below), or nobody follows them.
PARENTS = {(kind, "parentRefs[]") for kind in SERVED if kind.endswith("Route")} | {
    ("ListenerSet", "parentRef")}
NOT_FOLLOWED = {("GatewayClass", "parametersRef")}

NAMES = {"TLSRoute": {"hostnames": ["own.example.com"]}}
PROTOCOLS = {"TLSRoute": ("TLS", {"hostname": "own.example.com", "tls": {"mode": "Passthrough"}}),
             "TCPRoute": ("TCP", {}), "UDPRoute": ("UDP", {})}


def fields_of(schema, path=""):
    """The fields that name an object and a namespace."""
    properties = schema.get("properties", {})
    if {"name", "namespace"} <= properties.keys() and {"group", "kind"} & properties.keys():
        yield path
    for name, inner in properties.items():
        yield from fields_of(inner, f"{path}.{name}" if path else name)
    if "items" in schema:
        yield from fields_of(schema["items"], path + "[]")


@functools.cache
def schemas():
    """The CRDs of the Go module that the conformance suite comes from; none where it was not built."""
    done = subprocess.run(["go", "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/gateway-api"],
                          cwd=ROOT / "test/cluster/suite", capture_output=True, text=True, check=False,
                          env={**os.environ, "GOTOOLCHAIN": "auto", "GOPROXY": "off"})
    folder = pathlib.Path(done.stdout.strip() or "/nonexistent") / "config/crd/experimental"
    return [each for group in (GATEWAY, EXPERIMENTAL) for path in sorted(folder.glob(f"{group}_*.yaml"))
            for each in yaml.load_all(path.read_text(encoding="utf-8"), yaml.CSafeLoader)
            if each["kind"] == "CustomResourceDefinition"]


def meta(name, namespace):
    return {"name": name, "namespace": namespace}


def group_of(kind):
    return EXPERIMENTAL if kind == "XBackend" else GATEWAY


def grant(namespace, source, target, name=None, group=None):
    """`source`: kind and namespace of who refers; `target`: group and kind."""
    return {"apiVersion": f"{GATEWAY}/v1beta1", "kind": "ReferenceGrant",
            "metadata": meta("grant", namespace), "spec": {
                "from": [{"group": group or group_of(source[0]), "kind": source[0], "namespace": source[1]}],
                "to": [{"group": target[0], "kind": target[1], **({"name": name} if name else {})}]}}


def variants(kind, home, away, target):
    """name -> the grant there is, and what is different about the reference."""
    other = "GRPCRoute" if kind != "GRPCRoute" else "HTTPRoute"
    wrong = ("", "Secret" if target[1] != "Secret" else "ConfigMap")
    good = grant(away, (kind, home), target)
    return {
        "granted": (good, {}),
        "granted by name": (grant(away, (kind, home), target, "it"), {}),
        "no grant": (None, {}),
        "grant to another kind of referrer": (grant(away, (other, home), target), {}),
        "grant to another group of referrer": (grant(away, (kind, home), target, group="example.com"), {}),
        "grant to a namespace that begins alike": (grant(away, (kind, home + "x"), target), {}),
        "grant to a namespace that is its beginning": (grant(away, (kind, home[:-1]), target), {}),
        "grant to the target's own namespace": (grant(away, (kind, away), target), {}),
        "grant in the referrer's namespace": (grant(home, (kind, home), target), {}),
        "grant in a third namespace": (grant("third", (kind, home), target), {}),
        "grant of another kind of target": (grant(away, (kind, home), wrong), {}),
        "grant of another group of target": (grant(away, (kind, home), ("example.com", target[1])), {}),
        "grant of another name": (grant(away, (kind, home), target, "its"), {}),
        "grant of a name in other letters": (grant(away, (kind, home), target, "IT"), {}),
        "the right grant, a kind that does not fit": (good, {"kind": "Pod"}),
        "the right grant, a group that does not fit": (good, {"group": "example.com"}),
        "the right grant, a name that begins alike": (good, {"name": "i"}),
    }


class World:
    """The objects of all variants, each in two namespaces of its own."""

    def __init__(self):
        self.objects, self.count, self.resources = [], 0, {}
        authority = Authority()
        chain, key = authority.issue("own.example.com")
        self.pair = {"tls.crt": base64.b64encode(chain).decode(), "tls.key": base64.b64encode(key).decode()}
        self.ca = {"ca.crt": authority.pem().decode()}

    def targets(self, name, namespace):
        self.objects += [
            {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "data": self.pair,
             "metadata": meta(name, namespace)},
            {"apiVersion": "v1", "kind": "ConfigMap", "data": self.ca, "metadata": meta(name, namespace)},
            {"apiVersion": "v1", "kind": "Service", "spec": {"ports": [
                {"name": "t", "port": 80}, {"name": "u", "port": 80, "protocol": "UDP"}]},
             "metadata": {**meta(name, namespace), "annotations": {
                 "gateway.nantian.dev/address": "192.0.2.9:80"}}}]

    def put(self, kind, name, namespace, spec):
        version = "v1alpha1" if kind == "XBackend" else "v1"
        self.objects.append({"apiVersion": f"{group_of(kind)}/{version}", "kind": kind,
                             "metadata": meta(name, namespace), "spec": spec})

    def namespaces(self):
        """Of one variant: the referrer's, and the one it has no business in."""
        self.count += 1
        return f"home-{self.count:04}z", f"away-{self.count:04}z", 10000 + self.count

    def add(self, kind, make, target, grant_of, twist):
        """Where what must not be seen lives."""
        home, away, port = self.namespaces()
        self.targets("own", home)
        self.targets("it", away)
        ref = {"group": target[0], "kind": target[1], "name": "it", "namespace": away,
               **({"port": 80} if target[1] == "Service" else {}), **twist}
        spec = json.loads(json.dumps(make(ref)).replace('"PORT"', str(port)))
        for each in spec.get("listeners", []):
            each["port"] = port
        protocol, more = PROTOCOLS.get(kind, ("HTTP", {}))
        plain = {"name": "l", "port": port, "protocol": protocol, **more}
        if kind == "Gateway":
            self.put("Gateway", "web", home, {"gatewayClassName": "nantian", "listeners": [plain], **spec})
        else:
            self.put("Gateway", "web", home, {
                "gatewayClassName": "nantian", "allowedListeners": {"namespaces": {"from": "Same"}},
                "listeners": [{**plain, "port": port + 20000} if kind == "ListenerSet" else plain]})
        if kind == "ListenerSet":
            self.put("ListenerSet", "set", home, {"parentRef": {"name": "web"}, **spec})
        elif kind == "Gateway":
            self.put("HTTPRoute", "route", home, {"parentRefs": [{"name": "web"}],
                                                  "rules": [{"backendRefs": [OWN]}]})
        elif kind == "XBackend":
            self.put("XBackend", "host", home, spec)
            self.put("HTTPRoute", "route", home, {"parentRefs": [{"name": "web"}], "rules": [
                {"backendRefs": [{"group": EXPERIMENTAL, "kind": "XBackend", "name": "host"}]}]})
        else:
            self.put(kind, "route", home, {"parentRefs": [{"name": "web"}], "rules": [spec],
                                           **NAMES.get(kind, {})})
        grant_of = grant_of(home, away)
        self.objects += [grant_of] if grant_of else []
        return away

    def dump(self, folder):
        """What data planes would receive."""
        (folder / "all.yaml").write_text(yaml.dump_all(self.objects, Dumper=yaml.CSafeDumper),
                                         encoding="utf-8")
        done = nantian("config", "dump", "-f", folder)
        assert done.returncode == 0, done.stderr[-2000:]
        self.resources = json.loads(done.stdout)["resources"]
        return json.dumps(self.resources)


def test_the_table_of_references_is_that_of_the_schemas():
    if not schemas():
        pytest.skip("the CRDs come with the conformance suite, which is not built here: make conformance")
    found = set()
    for schema in schemas():
        kind = schema["spec"]["names"]["kind"]
        for version in schema["spec"]["versions"]:
            spec = version["schema"]["openAPIV3Schema"]["properties"].get("spec")
            if kind in SERVED and version["served"] and spec:
                found |= {(kind, field) for field in fields_of(spec)}
    assert found == CELLS.keys() | PARENTS | NOT_FOLLOWED


def test_t17_nothing_of_another_namespace_is_reached_without_its_grant(tmp_path):
    world, cells = World(), []
    for key, (target, make) in CELLS.items():
        for name in variants(key[0], "h", "a", target):
            twist = variants(key[0], "h", "a", target)[name][1]
            away = world.add(key[0], make, target, lambda home, away, key=key, target=target, name=name:
                             variants(key[0], home, away, target)[name][0], twist)
            cells.append((key, name, away))
    text = world.dump(tmp_path)
    passed = {(key, name) for key, name, away in cells if away in text}
    meant = {(key, name) for key in CELLS.keys() - NOT_DONE for name in ("granted", "granted by name")}
    assert passed - meant == set(), "reached without a grant"
    assert meant - passed == set(), "not reached with a grant: these cells show nothing"
    assert len(cells) - len(meant) >= 250


def allowed(who):
    return {"namespaces": {"Selector": {"from": "Selector", "selector": {"matchLabels": {"team": "in"}}}
                           }.get(who, {"from": who})}


def attach(world, kind, who, labels):
    """A child in one namespace that names its parent in another; returns the child's namespace."""
    home, away, port = world.namespaces()
    world.targets("own", home)
    world.objects.append({"apiVersion": "v1", "kind": "Namespace",
                          "metadata": {"name": home, "labels": labels}})
    protocol, more = PROTOCOLS.get(kind, ("HTTP", {}))
    plain = {"name": "l", "port": port, "protocol": protocol, **more}
    parent = {"name": "web", "namespace": away}
    if kind == "ListenerSet":
        world.put("Gateway", "web", away, {"gatewayClassName": "nantian", "listeners": [plain],
                                           **({"allowedListeners": allowed(who)} if who else {})})
        world.put("ListenerSet", "set", home, {"parentRef": parent, "listeners": [
            {**plain, "name": "mine", "port": port + 20000}]})
    else:
        plain |= {"allowedRoutes": allowed(who)} if who else {}
        world.put("Gateway", "web", away, {"gatewayClassName": "nantian", "listeners": [plain]})
        world.put(kind, "route", home, {"parentRefs": [parent], "rules": [{"backendRefs": [OWN]}],
                                        **NAMES.get(kind, {})})
    return home


def test_t17_nobody_attaches_to_a_gateway_that_does_not_take_his_namespace(tmp_path):
    world, cells = World(), []
    for kind, _ in sorted(PARENTS):
        for who, labels, is_meant in [
                (None, {}, False), ("Same", {}, False), ("Selector", {}, False),
                ("Selector", {"team": "out"}, False), ("Selector", {"Team": "in"}, False),
                ("Selector", {"team": "in"}, True), ("All", {}, True)]:
            cells.append((kind, who, is_meant, attach(world, kind, who, labels)))
        # A grant is not what a parent is asked for.
        home = attach(world, kind, "Same", {})
        world.objects += [grant(home.replace("home", "away"), (kind, home), (GATEWAY, "Gateway"))]
        cells.append((kind, "Same, with a grant", False, home))
    text = world.dump(tmp_path)
    assert [cell for cell in cells if (cell[3] in text) != cell[2]] == []
    assert len(cells) == 48


# Policies reach into no other namespace: where a field for one is written all the same, nothing may
# come of it. Each with a mark that is seen in what data planes receive.
POLICIES = {
    "BackendTLSPolicy": (GATEWAY, "v1", SERVICE, "smuggled-{}.example.com", lambda mark: {
        "validation": {"hostname": mark, "wellKnownCACertificates": "System"}}),
    "BackendLBPolicy": (GATEWAY, "v1alpha2", SERVICE, "X-Smuggled-{}", lambda mark: {
        "loadBalancing": {"type": "ConsistentHash", "consistentHash": {
            "keyType": "Header", "headerName": mark}}}),
    "XBackendTrafficPolicy": (EXPERIMENTAL, "v1alpha1", SERVICE, "9{:05}", lambda mark: {
        "retryConstraint": {"minRetryRate": {"count": int(mark)}}}),
    "RoutePolicy": (OURS, "v1alpha1", (GATEWAY, "HTTPRoute"), "7{:06}", lambda mark: {
        "default": {"bodyLimit": {"maxRequestBodyBytes": int(mark)}}}),
    "SecurityPolicy": (OURS, "v1alpha1", (GATEWAY, "HTTPRoute"), "6{:06}", lambda mark: {
        "rateLimit": [{"requestsPerSecond": 5, "burst": int(mark), "keyType": "sourceIP"}]}),
}


def test_t17_a_policy_reaches_nothing_of_another_namespace(tmp_path):
    world, cells = World(), []
    for kind, (group, version, target, mark, make) in POLICIES.items():
        name = "it" if target == SERVICE else "route"
        for how in ("own namespace", "namespace named", "granted", "same name elsewhere"):
            home, away, port = world.namespaces()
            world.targets("it", away)
            world.put("Gateway", "web", away, {"gatewayClassName": "nantian", "listeners": [
                {"name": "l", "port": port, "protocol": "HTTP"}]})
            world.put("HTTPRoute", "route", away, {"parentRefs": [{"name": "web"}], "rules": [
                {"backendRefs": [{"name": "it", "port": 80}]}]})
            ref = {"group": target[0], "kind": target[1], "name": name}
            if how in ("namespace named", "granted"):
                ref["namespace"] = away
            if how == "granted":
                world.objects.append(grant(away, (kind, home), target, group=group))
            text = mark.format(world.count)
            world.objects.append({
                "apiVersion": f"{group}/{version}", "kind": kind, "spec": {"targetRefs": [ref], **make(text)},
                "metadata": meta("policy", away if how == "own namespace" else home)})
            cells.append((kind, how, text))
    text = world.dump(tmp_path)
    passed = [(kind, how) for kind, how, mark in cells if mark.lower() in text.lower()]
    assert passed == [(kind, "own namespace") for kind in POLICIES]


def test_t17_a_ca_certificate_of_another_namespace_is_not_trusted(tmp_path):
    world = World()
    home, away, port = world.namespaces()
    world.targets("own", home)
    world.targets("it", away)
    world.put("Gateway", "web", home, {"gatewayClassName": "nantian", "listeners": [
        {"name": "l", "port": port, "protocol": "HTTP"}]})
    world.put("HTTPRoute", "route", home, {"parentRefs": [{"name": "web"}],
                                           "rules": [{"backendRefs": [OWN]}]})
    world.put("BackendTLSPolicy", "policy", home, {
        "targetRefs": [{"group": "", "kind": "Service", "name": "own"}],
        "validation": {"hostname": "a.example.com", "caCertificateRefs": [
            {"group": "", "kind": "ConfigMap", "name": "it", "namespace": away}]}})
    world.objects.append(grant(away, ("BackendTLSPolicy", home), CONFIG_MAP))
    assert away not in world.dump(tmp_path)


def test_t19_names_with_hyphens_and_dots_never_become_one(tmp_path):
    """Namespace and name are cut at other places of the same text."""
    world, pairs = World(), []
    dice = random.Random(19)
    while len(pairs) < 1000:
        words = ["".join(dice.choices("abcxyz019", k=dice.randint(1, 3))) for _ in range(4)]
        one, other = dice.sample((1, 2, 3), 2)
        glue = dice.choice("-.")
        pair = [("-".join(words[:cut]), glue.join(words[cut:])) for cut in (one, other)]
        if not any(names in seen for names in pair for seen in pairs):
            pairs.append(pair)
    world.put("Gateway", "web", "gate", {"gatewayClassName": "nantian", "listeners": [
        {"name": "l", "port": 80, "protocol": "HTTP", "allowedRoutes": allowed("All")}]})
    for number, (namespace, name) in enumerate(names for pair in pairs for names in pair):
        service = {"name": f"s{name}".replace(".", "-"), "port": 80}
        world.put("HTTPRoute", f"r{name}", f"n{namespace}", {
            "parentRefs": [{"name": "web", "namespace": "gate"}], "hostnames": [f"h{number}.example.com"],
            "rules": [{"backendRefs": [service]}]})
        world.objects.append({
            "apiVersion": "v1", "kind": "Service", "spec": {"ports": [{"port": 80}]},
            "metadata": {**meta(service["name"], f"n{namespace}"), "annotations": {
                "gateway.nantian.dev/address": f"10.1.{number // 250}.{number % 250}:80"}}})
    world.dump(tmp_path)
    routes = world.resources["Route"]
    assert len(routes) == 2000
    backends = {each["backends"][0]["backend"] for each in routes.values()}
    assert len(backends) == len({(o["metadata"]["namespace"], o["metadata"]["name"])
                                      for o in world.objects if o["kind"] == "Service"})
