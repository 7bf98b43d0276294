"""Who may ask the control plane for what: every method of its port for data planes, and every way of not
being a data plane of the Gateway that one claims to be. Judged by what is answered."""
# SPDX-License-Identifier: Apache-2.0
import base64
import queue
import time

import grpc
import pytest

from certificates import Authority
from harness import free_port, gateway_of, listener, route, rule, service, wait_for
from kube_server import status_of
from kube_cluster import account, plain
from xds_client import TYPES, URL, Client, Schema

pytestmark = [pytest.mark.sanitized]

SERVER = "nantian-control.default.svc"
DELTA = "envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
REPORT = "nantian.report.v1.ReportService/Report"
# What other servers of these protocols have, and ours has not.
FOREIGN = ["envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources",
           "envoy.service.discovery.v3.SecretDiscoveryService/FetchSecrets",
           "grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
           "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
           "grpc.health.v1.Health/Check", "grpc.channelz.v1.Channelz/GetServers",
           "envoy.service.status.v3.ClientStatusDiscoveryService/FetchClientStatus", "/", "x"]
REFUSALS = {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED,
            grpc.StatusCode.UNIMPLEMENTED}


@pytest.fixture(scope="module", name="schema")
def made_schema():
    return Schema()


def services(schema):
    """Every method of the descriptors."""
    found = []
    for name in ("envoy/service/discovery/v3/discovery.proto", "nantian/report/v1/report.proto",
                 "envoy/service/auth/v3/external_auth.proto"):
        for each in schema.pool.FindFileByName(name).services_by_name.values():
            found += [f"{each.full_name}/{method.name}" for method in each.methods]
    return found


def tls_gateway(name, secret):
    return gateway_of(listener("l", free_port(), "HTTPS", hostname=f"{name}.example.com",
                               tls={"certificateRefs": [{"name": secret}]}), name=name)


@pytest.fixture
def fleet(provisioned, tmp_path):
    """Two Gateways, each with a certificate, a route and a Service of its own."""
    server, authority = provisioned.server, Authority()
    for name in ("web", "other"):
        server.put(authority.secret(f"secret-of-{name}", f"{name}.example.com"))
        server.put(service(f"app-of-{name}", 9))
        server.put({"kind": "EndpointSlice", "addressType": "IPv4", "metadata": {
            "name": f"app-of-{name}", "namespace": "default",
            "labels": {"kubernetes.io/service-name": f"app-of-{name}"}},
            "endpoints": [{"addresses": ["192.0.2.1"], "conditions": {"ready": True}}],
            "ports": [{"name": "", "port": 80, "protocol": "TCP"}]})
        server.put(route(f"route-of-{name}", rule(f"app-of-{name}"), parent=name))
        server.put(tls_gateway(name, f"secret-of-{name}"))
    for name in ("web", "other"):
        wait_for(lambda name=name: provisioned.accepted(f"route-of-{name}"), "the route is accepted")
    server.reviews |= {"token-of-evil": account("web-nantian", "evil"),
                       "token-of-user": {"username": "web-nantian", "groups": []},
                       "token-of-node": {"username": "system:node:default:web-nantian", "groups": []},
                       "token-of-half": {"username": "system:serviceaccount:default", "groups": []},
                       "token-of-longer": account("web-nantian-"),
                       "token-of-elsewhere": account("web-nantian")}

    def elsewhere(request, _):
        """A good token, for the API server and not for us."""
        if b'"token-of-elsewhere"' in request.body:
            return 201, {"kind": "TokenReview", "status": {
                "authenticated": True, "user": account("web-nantian"),
                "audiences": ["https://kubernetes.default.svc"]}}
        return (500, status_of(500, "InternalError")) if b'"token-of-trouble"' in request.body else None
    server.when(elsewhere, "post", "tokenreviews")
    provisioned.roots = (tmp_path / "ca.crt").read_bytes()
    provisioned.xds = provisioned.flags[1]
    return provisioned


class Asked:
    """One call, with everything that was answered."""

    def __init__(self, fleet, method, messages, token=None, certificate=None, header=None):
        chain, key = certificate or (None, None)
        credentials = grpc.ssl_channel_credentials(fleet.roots, key, chain)
        self.answers, self.code = [], None
        with grpc.secure_channel(fleet.xds, credentials,
                                 [("grpc.ssl_target_name_override", SERVER)]) as channel:
            said = header if header is not None else None if token is None else f"Bearer {token}"
            sent = queue.Queue()  # stays open: who asks does not leave before the answer
            for message in messages:
                sent.put(message)
            call = channel.stream_stream("/" + method)(
                iter(sent.get, None), timeout=60, metadata=[("authorization", said)] if said else None)
            try:
                for answer in call:
                    self.answers.append(answer)
            except grpc.RpcError as error:
                self.code = error.code()
            sent.put(None)


def requests(schema, gateway, node="thief", names=()):
    """A data plane's first requests, of every type."""
    for kind in TYPES:
        request = schema.Request(type_url=URL + kind, resource_names_subscribe=names)
        request.node.id, request.node.cluster = node, gateway
        yield request.SerializeToString()


def report(schema, node="thief"):
    message = schema.message("nantian.report.v1.DataPlaneReport")()
    message.node = node
    return message.SerializeToString()


def test_t22_nobody_is_answered_but_who_proves_to_be_a_data_plane(fleet, schema):
    stranger = Authority("somebody else").issue("default/web")
    good = "token-of-web"
    basic = base64.b64encode(b"web-nantian:token-of-web").decode()
    identities = {
        "nobody": {}, "no token behind the word": {"header": "Bearer"},
        "a token that was made up": {"token": "made-up"}, "one that has expired": {"token": good + "-of-yesterday"},
        "one for another audience": {"token": "token-of-elsewhere"},
        "one that cannot be checked": {"token": "token-of-trouble"},
        "another Gateway's": {"token": "token-of-other"},
        "the namesake's of another namespace": {"token": "token-of-evil"},
        "another service account's": {"token": "token-of-nobody"},
        "one whose account begins alike": {"token": "token-of-longer"},
        "a user of that name": {"token": "token-of-user"}, "a node of that name": {"token": "token-of-node"},
        "half a service account": {"token": "token-of-half"},
        "the right one, not as a bearer": {"header": f"Basic {basic}"},
        "the right one without the word": {"header": good},
        "the right one with something behind": {"token": f"{good} {good}"},
        "the right one cut short": {"token": good[:-1]},
        "somebody else's client certificate": {"certificate": stranger},
        "that, and a token that was made up": {"certificate": stranger, "token": "made-up"},
    }
    methods = services(schema) + FOREIGN
    passed, wrong = [], []
    for method in methods:
        messages = [report(schema)] if method == REPORT else list(requests(schema, "default/web"))
        for name, identity in identities.items():
            if method == REPORT and name == "another Gateway's":
                continue  # is taken as that one's
            asked = Asked(fleet, method, messages, **identity)
            if asked.answers:
                passed.append((method, name))
            if asked.code not in REFUSALS:
                wrong.append((method, name, asked.code))
    assert passed == []
    assert wrong == [], "\n".join(map(str, wrong))
    assert fleet.ask("/v1/nodes")[1]["nodes"] == []
    assert len(methods) * len(identities) >= 220
    # With the right token the same requests are answered: the refusals above mean something.
    taken = taken_by(fleet, schema, "default/web", token=good)
    assert taken["Secret"] and taken["Route"] and taken["Listener"]


def taken_by(fleet, schema, gateway, names=(), **identity):
    """kind -> names of what a data plane that asks for it is sent."""
    sent, found = queue.Queue(), {kind: {} for kind in TYPES}
    for message in requests(schema, gateway, names=names):
        sent.put(message)
    credentials = grpc.ssl_channel_credentials(fleet.roots)
    with grpc.secure_channel(fleet.xds, credentials,
                             [("grpc.ssl_target_name_override", SERVER)]) as channel:
        call = channel.stream_stream("/" + DELTA)(
            iter(sent.get, None), timeout=60, metadata=[("authorization", f"Bearer {identity['token']}")])
        for wire in call:
            response = schema.Response.FromString(wire)
            kind = response.type_url.removeprefix(URL)
            found[kind].update((each.name, each.resource.value) for each in response.resources)
            sent.put(schema.Request(type_url=response.type_url,
                                    response_nonce=response.nonce).SerializeToString())
            if kind == "Snapshot":  # the commit record ends what there is
                break
        sent.put(None)
        call.cancel()
    return found


@pytest.mark.parametrize("how", ["wildcard", "star", "by name", "many names"])
def test_t23_a_data_plane_that_was_taken_over_gets_nothing_of_another_gateway(fleet, schema, how):
    theirs = taken_by(fleet, schema, "default/other", token="token-of-other")
    names = [name for kind in TYPES for name in theirs[kind]]
    assert len(names) >= 5
    asked = {"wildcard": [], "star": ["*"], "by name": names,
             "many names": names + [f"default/other/l|HTTPRoute/default/r{n}/0" for n in range(10000)]}
    taken = taken_by(fleet, schema, "default/web", names=asked[how], token="token-of-web")
    text = b"".join(name.encode() + value for kind in TYPES for name, value in taken[kind].items()
                    if kind != "Snapshot")
    assert b"other" not in text
    if how in ("wildcard", "star"):
        assert b"secret-of-web" in text and b"route-of-web" in text and b"app-of-web" in text


def test_t22_a_node_of_another_gateway_takes_nobodys_place(fleet):
    fleet.proxy("default/web", "token-of-web")
    nodes = lambda: sorted(node["node"] for node in fleet.ask("/v1/nodes")[1]["nodes"]
                           if node["state"] != "gone")
    wait_for(lambda: nodes() == ["default/web/proxy-0"], "it is there")
    for name in ("proxy-0", "default/web/proxy-0", "../web/proxy-0"):
        plane = fleet.proxy("default/other", "token-of-other", start=False)
        plane.command[plane.command.index("--node") + 1] = name
        plane.start()
        wait_for(lambda name=name: f"default/other/{name}" in nodes(), "it is one of its own Gateway")
    assert "default/web/proxy-0" in nodes()
    fleet.proxy("default/web", "token-of-other")
    time.sleep(0.5)
    assert [node for node in nodes() if node.startswith("default/web/")] == ["default/web/proxy-0"]


def hostile_reports(schema):
    """name -> messages of one stream."""
    good = report(schema, "proxy-0")
    yield "nothing", [b""] * 3
    yield "one byte of each value", [bytes([n]) for n in range(256)]
    yield "cut short", [good[:-1]]
    yield "a length beyond the end", [b"\x0a\xff\xff\xff\x7fx"]
    yield "a group that never ends", [b"\x0b" * 10000]
    yield "1 MiB of zeros", [bytes(1 << 20)]
    yield "5 MiB", [b"\x0a" + bytes(5 << 20)]
    yield "a number of ten bytes of ones", [b"\x18" + b"\xff" * 10]
    for name in ("", "/", "..", "default/other/proxy-0", "a\nb", '"}],"x":[{"', "\u202e", "x" * 60000):
        yield f"a node named {name[:20]!r}", [report(schema, name)] * 2
    yield "5,000 reports", [good] * 5000
    yield "5,000 names", [report(schema, f"node-{n}") for n in range(5000)]


def test_t24_reports_of_a_hostile_data_plane_harm_no_other(fleet, schema):
    fleet.proxy("default/other", "token-of-other")

    def other():
        nodes = fleet.ask("/v1/nodes")[1]["nodes"]
        return next((n for n in nodes if n["node"] == "default/other/proxy-0" and n["report"]), None)
    before = wait_for(other, "it reports")
    count = 0
    for name, messages in hostile_reports(schema):
        credentials = grpc.ssl_channel_credentials(fleet.roots)
        with grpc.secure_channel(fleet.xds, credentials,
                                 [("grpc.ssl_target_name_override", SERVER)]) as channel:
            call = channel.stream_stream("/" + REPORT)(
                iter(messages), timeout=60, metadata=[("authorization", "Bearer token-of-web")])
            try:
                assert list(call) == [], name
            except grpc.RpcError as error:
                assert error.code() in (grpc.StatusCode.INVALID_ARGUMENT,
                                        grpc.StatusCode.RESOURCE_EXHAUSTED), name
        assert [n["node"] for n in fleet.ask("/v1/nodes")[1]["nodes"]] == ["default/other/proxy-0"], name
        count += 1
    assert count >= 18
    assert other()["report"].keys() == before["report"].keys()


def test_t26_what_was_refused_is_not_sent_again_before_it_changes(fleet, schema):
    clients = [Client(schema, f"unix:{fleet.folder}/xds-0.sock", node=f"refuses-{n}")
               for n in range(50)]
    try:
        for client in clients:
            client.refuse["Snapshot"] = "no"
            client.subscribe_all()
        for client in clients:
            client.wait(lambda each: "Snapshot" in each.kinds())
            assert client.error is None
        time.sleep(2)
        assert {client.kinds().count("Snapshot") for client in clients} == {1}
        fleet.server.put(route("another", rule("app-of-web"), parent="web"))
        for client in clients:
            client.wait(lambda each: each.kinds().count("Snapshot") > 1)
        time.sleep(1)
        assert {client.kinds().count("Snapshot") for client in clients} == {2}
    finally:
        for client in clients:
            client.close()
