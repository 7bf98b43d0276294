"""The command line and a cluster: kubeconfigs as kubectl reads them, and answers through the API
server's proxy of a control plane's pod."""
# SPDX-License-Identifier: Apache-2.0
import base64
import datetime
import json
import ssl
import subprocess
import time

import pytest
import yaml

from certificates import Authority, secret_of
from harness import (BIN, DEADLINE, environment, free_port, gateway_of, listener, nantian, route, rule,
                     service, wait_for)
from kube_cluster import provisioned, start_cluster  # noqa: F401 pylint: disable=unused-import
from kube_server import KubeServer, status_of

pytestmark = [pytest.mark.quick, pytest.mark.sanitized]
SYSTEM = "nantian-system"
SESSION = {"cookie": {}}


VIEWER = {"kind": "ServiceAccount", "metadata": {"name": "nantian-viewer", "namespace": SYSTEM}}


def pod(name, ready=True, **more):
    return {"kind": "Pod", "metadata": {"name": name, "namespace": SYSTEM, "labels": {
        "app.kubernetes.io/name": "nantian-control"}}, **more,
        "spec": {"containers": [{"name": "control", "ports": [
            {"name": "xds", "containerPort": 18000}, {"name": "admin", "containerPort": 19001}]}]},
        "status": {"conditions": [{"type": "Ready", "status": "True" if ready else "False"}]}}


@pytest.fixture
def cluster(start_cluster, tmp_path):  # pylint: disable=redefined-outer-name
    """One control plane, which is the pod `control-b`; `ask(*words)` runs the command line."""
    it = start_cluster(control=False)
    it.namespace, it.port = SYSTEM, free_port()
    it.control("--admin", f"0.0.0.0:{it.port}")
    it.server.put(pod("control-b"))
    it.server.put(VIEWER)
    it.server.pods["control-b"] = it.port
    it.file = it.server.kubeconfig(tmp_path / "kubeconfig")
    wait_for(lambda: it.condition("Gateway", "web", "Accepted"), "the Gateway has its status")
    it.answer = it.ask  # of the control plane itself
    it.ask = lambda *words, **options: nantian(*words, "--kubeconfig", it.file, **options)
    return it


def last_user(cluster):
    """Who asked for pods last, which the control plane never does."""
    return [r.user() for r in cluster.server.audit if r.plural == "pods"][-1]


def settled(cluster, *objects):
    for item in objects:
        cluster.server.put(item)
    for item in objects:
        if item["kind"] == "HTTPRoute":
            cluster.wait_accepted(item["metadata"]["name"])


def test_status_and_nodes_come_through_the_api_server(cluster):
    settled(cluster, route("shop", rule("app")))
    answer = cluster.ask("status")
    assert answer.returncode == 1, answer  # the route's backend is not there
    assert answer.stdout.startswith("cluster   snapshot "), answer.stdout
    assert "HTTPRoute" in answer.stdout and "default/shop" in answer.stdout
    asked = [r for r in cluster.server.audit if r.plural == "pods"]
    assert [(r.verb, r.sub) for r in asked] == [("list", None), ("get", "proxy")]
    made = [r for r in cluster.server.audit if r.sub == "token"]
    assert [(r.namespace, r.name) for r in made] == [(SYSTEM, "nantian-viewer")]
    assert asked[1].path.endswith(f"/namespaces/{SYSTEM}/pods/control-b:19001/proxy/v1/status")
    assert cluster.ask("nodes").returncode == 4
    assert json.loads(cluster.ask("nodes", "-o", "json").stdout)["nodes"] == []
    assert "Listener" in json.loads(cluster.ask("config", "dump").stdout)["resources"]


def test_status_may_be_of_one_namespace(cluster):
    other = route("far", rule("app"))
    other["metadata"]["namespace"] = "other"
    cluster.server.put({"kind": "Namespace", "metadata": {"name": "other"}})
    cluster.server.put(other)
    settled(cluster, route("shop", rule("app")))
    wait_for(lambda: "other/far" in cluster.ask("status").stdout, "both are there")
    told = cluster.ask("status", "-n", "other").stdout
    assert "other/far" in told and "default/shop" not in told, told
    told = json.loads(cluster.ask("status", "-n", "other", "-o", "json").stdout)
    assert {item["namespace"] for item in told["objects"]} == {"other"}


def test_data_planes_are_missed_where_a_gateway_takes_some(cluster):
    assert cluster.ask("status").returncode != 0
    answer = cluster.ask("status", "-n", SYSTEM)
    assert answer.returncode == 0 and "0 of 0 data planes in sync" in answer.stdout, answer
    cluster.server.remove("Gateway", "web")
    wait_for(lambda: cluster.ask("status").returncode == 0, "nothing is missed")


def test_check_tells_what_the_control_plane_found(cluster):
    settled(cluster, route("shop", rule("nowhere")))
    answer = cluster.ask("check")
    assert answer.returncode == 1 and "HTTPRoute default/shop" in answer.stdout, answer
    found = json.loads(cluster.ask("check", "-o", "json").stdout)["findings"]
    assert any(fault["object"] == "HTTPRoute default/shop" for fault in found)
    assert cluster.ask("check", "-q").stdout == ""


def served(name, port):
    item = service(name, port)
    item["spec"]["clusterIP"] = "10.0.0.10"
    return item


def test_explain_and_routes_run_the_router_over_what_is_served(cluster):
    authority = Authority()
    chain, key = authority.issue("shop.example")
    cluster.server.put(secret_of("shop-tls", chain, key))
    cluster.server.put(gateway_of(
        listener("http", 80), listener("https", 443, protocol="HTTPS", tls={
            "certificateRefs": [{"name": "shop-tls"}]})))
    sticky = rule("app", sessionPersistence=SESSION)
    settled(cluster, served("app", 3000),
            route("shop", sticky, rule("app", matches=[{"path": {"value": "/cart"}}])))
    wait_for(lambda: "/https" in cluster.ask("routes").stdout, "the listener is served")
    told = cluster.ask("routes").stdout
    assert "default/web/http" in told and "PathPrefix /cart" in told, told
    answer = cluster.ask("explain", "GET", "https://shop.example/cart/7", "-o", "json")
    assert answer.returncode == 0, answer
    assert json.loads(answer.stdout)["result"]["route"] == "HTTPRoute/default/shop/1"
    assert cluster.ask("explain", "GET", "http://shop.example:81/").returncode == 1


def test_the_resources_hold_no_key(cluster):
    authority = Authority()
    chain, key = authority.issue("shop.example")
    cluster.server.put(secret_of("shop-tls", chain, key))
    cluster.server.put(gateway_of(listener("https", 443, protocol="HTTPS", tls={
        "certificateRefs": [{"name": "shop-tls"}]})))
    settled(cluster, served("app", 3000),
            route("shop", rule("app", sessionPersistence=SESSION)))
    secrets = wait_for(lambda: disclosed(cluster, "Secret"), "the certificate is served")
    assert all(authority.last_key_line.encode() not in text for text in secrets)
    assert all(bytes(32) in text for text in disclosed(cluster, "Route"))
    assert disclosed(cluster, "Listener", "default/web")
    assert not disclosed(cluster, "Listener", "default/none")


def disclosed(cluster, kind, gateway=""):
    items = cluster.answer(f"/v1/resources?gateway={gateway}")[1]["resources"]
    return [base64.b64decode(item["bytes"]) for item in items if item["type"] == kind]


def test_of_several_gateways_one_must_be_said(cluster):
    cluster.server.put(gateway_of(listener("http", 80), name="other"))
    settled(cluster, served("app", 3000), route("shop", rule("app"), parent="other"))
    wait_for(lambda: "default/other/http" in cluster.ask("routes").stdout, "it is served")
    answer = cluster.ask("explain", "GET", "http://a/")
    assert answer.returncode == 2 and "default/other\n" in answer.stderr, answer
    answer = cluster.ask("explain", "GET", "http://a/", "--gateway", "other")
    assert answer.returncode == 0 and "HTTPRoute/default/shop/0" in answer.stdout, answer
    assert cluster.ask("explain", "GET", "http://a/", "--gateway", "default/web").returncode == 1
    answer = cluster.ask("explain", "GET", "http://a/", "--gateway", "other", "-n", "elsewhere")
    assert answer.returncode == 1 and "no such Gateway" in answer.stderr


# ---- who answers ----

def test_the_next_pod_is_asked_when_the_first_is_not_reached(cluster):
    cluster.server.put(pod("control-a"))
    cluster.server.put(pod("control-0", ready=False))
    assert cluster.ask("nodes").returncode == 4
    asked = [r.name for r in cluster.server.audit if r.sub == "proxy"]
    assert asked == ["control-a:19001", "control-b:19001", "control-a:19001"]


def test_data_planes_of_every_replica_are_listed(provisioned, tmp_path):  # pylint: disable=redefined-outer-name
    server = provisioned.server
    xds = f"127.0.0.1:{free_port()}"
    provisioned.flags = [xds if ":" in flag else flag for flag in provisioned.flags]
    provisioned.control()
    for number, name in enumerate(("control-a", "control-b")):
        server.put(pod(name))
        server.pods[name] = tmp_path / f"admin-{number}.sock"
    first = provisioned.proxy("default/web", "token-of-web")
    second = provisioned.proxy("default/web", "token-of-web", to=xds, start=False)
    second.command[second.command.index("--default-address") + 1] = "127.0.0.2"  # as a pod of its own
    second.start()
    file = server.kubeconfig(tmp_path / "kubeconfig")

    def nodes():
        answer = nantian("nodes", "--kubeconfig", file, "-o", "json")
        return sorted(node["node"] for node in json.loads(answer.stdout)["nodes"])

    both = ["default/web/proxy-0", "default/web/proxy-1"]
    wait_for(lambda: nodes() == both, "both are listed")
    told = wait_for(lambda: (lambda it: it.returncode == 0 and it.stdout)(
        nantian("nodes", "--kubeconfig", file)), "both are in sync")
    assert all(name in told for name in both) and "more at" not in told, told
    assert "2 of 2 data planes in sync" in nantian("status", "--kubeconfig", file).stdout
    # Of one that is gone the name of its snapshot is what is not so any more.
    first.stop()
    server.put(route("later", rule("app")))

    def row():
        answer = nantian("nodes", "--kubeconfig", file)
        return [line.split()[1:3] for line in answer.stdout.splitlines() if both[0] in line][0]
    state, name = wait_for(lambda: (lambda it: "HTTPRoute:" in it[1] and it)(row()), "it is behind")
    assert state == "gone" and "UDPRoute:" not in name, name


def test_nobody_who_can_be_reached_is_said_with_the_reason(cluster):
    cluster.server.pods.clear()
    answer = cluster.ask("status")
    assert answer.returncode == 3 and "reaches none of 1 control planes" in answer.stderr, answer
    assert "error trying to reach service" in answer.stderr and "NetworkPolicy" in answer.stderr


def test_no_control_plane_is_said(cluster):
    cluster.server.put(pod("control-b", ready=False))
    answer = cluster.ask("status")
    assert answer.returncode == 3 and "none of 1 control planes is ready" in answer.stderr, answer
    answer = cluster.ask("status", "--control-namespace", "elsewhere")
    assert answer.returncode == 3, answer
    assert "no control plane runs in the namespace elsewhere" in answer.stderr


# ---- the API server refuses ----

def refuse_pods(message):
    return lambda *_: (403, status_of(403, "Forbidden", message))


def test_a_missing_permission_is_named(cluster):
    words = 'pods is forbidden: User "eve" cannot list resource "pods" in API group ""'
    rule_ = cluster.server.when(refuse_pods(words), verb="list", plural="pods")
    answer = cluster.ask("status")
    assert answer.returncode == 3 and words in answer.stderr, answer
    assert "nantian-viewer" in answer.stderr
    cluster.server.forget(rule_)
    words = 'pods "control-b" is forbidden: User "eve" cannot get resource "pods/proxy"'
    cluster.server.when(refuse_pods(words), plural="pods", sub="proxy")
    answer = cluster.ask("status")
    assert answer.returncode == 3 and words in answer.stderr, answer


def test_what_keeps_a_token_for_the_control_plane_away_is_said(cluster):
    words = 'User "eve" cannot create resource "serviceaccounts/token" in API group ""'
    rule_ = cluster.server.when(refuse_pods(words), plural="serviceaccounts", sub="token")
    answer = cluster.ask("status")
    assert answer.returncode == 3 and words in answer.stderr, answer
    assert "asks for a token" in answer.stderr and "nantian-viewer" in answer.stderr
    cluster.server.forget(rule_)
    cluster.server.remove("ServiceAccount", "nantian-viewer", SYSTEM)
    answer = cluster.ask("status")
    assert answer.returncode == 3 and 'serviceaccounts "nantian-viewer" not found' in answer.stderr
    # One that asks for none is served all the same.
    cluster.server.pods["control-b"] = cluster.folder / "admin-0.sock"
    assert cluster.ask("nodes").returncode == 4


def test_a_token_that_cannot_be_checked_is_said(cluster):
    refuse = lambda *_: (500, status_of(500, "InternalError"))
    rule_ = cluster.server.when(refuse, plural="tokenreviews")
    answer = cluster.ask("status")
    assert answer.returncode == 3 and "the token could not be checked" in answer.stderr, answer
    cluster.server.forget(rule_)
    assert cluster.ask("nodes").returncode == 4


def test_a_bad_token_is_said(cluster, tmp_path):
    file = cluster.server.kubeconfig(tmp_path / "bad", token="wrong")
    answer = nantian("status", "--kubeconfig", file)
    assert answer.returncode == 3 and "log in anew" in answer.stderr, answer
    assert str(file) in answer.stderr


def test_an_api_server_that_is_away_is_said(cluster, tmp_path):
    file = cluster.server.kubeconfig(tmp_path / "away")
    text = file.read_text(encoding="utf-8").replace(str(cluster.server.port), "1")
    file.write_text(text, encoding="utf-8")
    answer = nantian("status", "--kubeconfig", file)
    assert answer.returncode == 3 and "127.0.0.1:1 does not answer" in answer.stderr, answer


def test_an_api_server_that_is_silent_is_given_up(cluster):
    cluster.server.when(lambda *_: time.sleep(30), verb="list", plural="pods")
    answer = cluster.ask("status", timeout=DEADLINE)
    assert answer.returncode == 3 and "no answer in time" in answer.stderr, answer


@pytest.fixture
def tls_server(tmp_path):
    """One whose certificate is for other names than its address; (server, authority)."""
    authority = Authority()
    chain, key = authority.issue("kubernetes.test")
    (tmp_path / "tls.pem").write_bytes(chain + key)
    (tmp_path / "ca.crt").write_bytes(authority.pem())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "tls.pem")
    context.load_verify_locations(tmp_path / "ca.crt")
    context.verify_mode = ssl.CERT_OPTIONAL
    with KubeServer(context=context) as server:
        yield server, authority


def config_of(server, path, user=None, **more):
    document = {
        "current-context": "it", "contexts": [{"name": "it", "context": {
            "cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": server.url, **more}}],
        "users": [{"name": "u", "user": user or {}}]}
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


def test_the_servers_certificate_is_verified_as_the_kubeconfig_says(tls_server, tmp_path):
    server, _ = tls_server
    ca = {"certificate-authority": "ca.crt"}
    for more, words in (({}, "certificate"), (ca, "certificate"),
                        ({**ca, "tls-server-name": "kubernetes.test"}, "no control plane runs"),
                        ({"insecure-skip-tls-verify": True}, "no control plane runs")):
        answer = nantian("status", "--kubeconfig", config_of(server, tmp_path / "config", **more))
        assert answer.returncode == 3 and words in answer.stderr, (more, answer)


# ---- kubeconfigs ----

@pytest.mark.parametrize("change, words", [
    (lambda c: c.update({"current-context": "none"}), 'no context "none"; there are: it'),
    (lambda c: c.pop("current-context"), "current-context is not set; give --context, one of: it"),
    (lambda c: c["contexts"][0]["context"].update(cluster="x"), 'there is no cluster "x"'),
    (lambda c: c["contexts"][0]["context"].update(user="x"), 'there is no user "x"'),
    (lambda c: c["clusters"][0]["cluster"].update({"proxy-url": "http://p"}), "has a proxy-url"),
    (lambda c: c["clusters"][0]["cluster"].update({"server": "kube:6443"}), "is no http://"),
    (lambda c: c["clusters"][0]["cluster"].update(
        {"insecure-skip-tls-verify": True, "certificate-authority-data": "eA=="}), "has both"),
    (lambda c: c["users"][0]["user"].update({"client-key-data": "eA=="}), "it takes both"),
    (lambda c: c["users"][0]["user"].update({"client-key-data": "%"}), "is not base64"),
    (lambda c: c["users"][0]["user"].update({"client-key": "none"}), "No such file"),
    (lambda c: c["users"][0].update(user={"tokenFile": "none"}), "none: No such file"),
    (lambda c: c["users"][0]["user"].update({"as": "admin"}), "impersonation"),
    (lambda c: c["users"][0]["user"].update({"auth-provider": {}}), "gone from Kubernetes"),
    (lambda c: c["users"][0].update(user={"exec": {"apiVersion": "x", "command": "c"}}),
     "client.authentication.k8s.io/v1 and v1beta1"),
])
def test_a_kubeconfig_that_cannot_be_is_said_with_its_file(cluster, tmp_path, change, words):
    document = json.loads(cluster.file.read_text(encoding="utf-8"))
    change(document)
    (tmp_path / "bad").write_text(json.dumps(document), encoding="utf-8")
    answer = nantian("status", "--kubeconfig", tmp_path / "bad")
    assert answer.returncode == 2 and words in answer.stderr, answer
    assert f"{tmp_path}/bad: " in answer.stderr


def test_of_several_kubeconfigs_the_first_that_says_it_counts(cluster, tmp_path):
    whole = json.loads(cluster.file.read_text(encoding="utf-8"))
    (tmp_path / "dir").mkdir()
    (tmp_path / "dir/token").write_text("secret-file\n", encoding="utf-8")
    (tmp_path / "one").write_text(json.dumps({
        "contexts": whole["contexts"], "current-context": "it"}), encoding="utf-8")
    (tmp_path / "dir/two").write_text(json.dumps({
        "current-context": "no", "users": [{"name": "u", "user": {"tokenFile": "token"}}]}),
        encoding="utf-8")
    (tmp_path / "three").write_text(json.dumps({
        "clusters": whole["clusters"], "users": [{"name": "u", "user": {"token": "wrong"}}]}),
        encoding="utf-8")
    env = environment(KUBECONFIG=f"{tmp_path}/one:{tmp_path}/none::{tmp_path}/dir/two:{tmp_path}/three")
    assert nantian("nodes", env=env).returncode == 4
    assert last_user(cluster) == "secret-file"
    answer = nantian("nodes", "--context", "x", env=env)
    assert f"{tmp_path}/one:{tmp_path}/dir/two:{tmp_path}/three: there is no context" in answer.stderr
    answer = nantian("nodes", "--context", "x", env=environment(KUBECONFIG=f"{tmp_path}/none"))
    assert answer.returncode == 2 and "$KUBECONFIG" in answer.stderr


def test_the_home_directorys_kubeconfig_is_found_when_nothing_runs_here(cluster, tmp_path):
    home = tmp_path / "home"
    (home / ".kube").mkdir(parents=True)
    env = environment(HOME=str(home), XDG_STATE_HOME=str(tmp_path / "state"))
    answer = nantian("nodes", env=env)
    assert answer.returncode == 3 and "no gateway answers" in answer.stderr, answer
    (home / ".kube/config").write_bytes(cluster.file.read_bytes())
    assert nantian("nodes", env=env).returncode == 4


# ---- plugins ----

GOOD = {"token": "secret-plugin"}


def credential(status, version="v1"):
    return json.dumps({"apiVersion": f"client.authentication.k8s.io/{version}",
                       "kind": "ExecCredential", "status": status})


@pytest.fixture
def plugin(cluster, tmp_path):
    """`plugin(script, ...)`: the answer of `nantian nodes` with a kubeconfig whose user it is."""
    def run(script, mode="Never", version="v1", verb="nodes", **more):
        path = tmp_path / "log-in"
        path.write_text(f"#!/bin/sh\necho run >>{tmp_path}/runs\n{script}\n", encoding="utf-8")
        path.chmod(0o755)
        user = {"exec": {"apiVersion": f"client.authentication.k8s.io/{version}",
                         "command": "./log-in", "interactiveMode": mode, **more}}
        return nantian(verb, "--kubeconfig", config_of(cluster.server, tmp_path / "config", user))
    run.count = lambda: len((tmp_path / "runs").read_text(encoding="utf-8").splitlines())
    return run


def later(seconds):
    at = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
@pytest.mark.parametrize("until", [None, 3600])
def test_a_plugin_says_who_we_are(cluster, plugin, version, until):
    status = {**GOOD, **({"expirationTimestamp": later(until)} if until else {})}
    answer = plugin(f"echo '{credential(status, version)}'", version=version)
    assert answer.returncode == 4, answer
    assert last_user(cluster) == "secret-plugin"
    assert plugin.count() == 1


def test_a_plugin_is_told_what_it_asks_for(cluster, plugin, tmp_path):
    answer = plugin(f'echo "$1 $WHO $KUBERNETES_EXEC_INFO" >{tmp_path}/told; '
                    f"echo '{credential(GOOD)}'", args=["first"], provideClusterInfo=True,
                    env=[{"name": "WHO", "value": "me"}])
    assert answer.returncode == 4, answer
    first, who, info = (tmp_path / "told").read_text(encoding="utf-8").split(" ", 2)
    info = json.loads(info)
    assert (first, who, info["kind"]) == ("first", "me", "ExecCredential")
    assert info["spec"] == {"interactive": False, "cluster": {"server": cluster.server.url}}


@pytest.mark.parametrize("script, words", [
    ("echo oops", "printed what is no JSON"),
    ("echo '{}'", "printed no ExecCredential"),
    (f"echo '{credential({})}'", "neither a token nor a certificate"),
    (f"echo '{credential(GOOD, 'v1beta1')}'", "another apiVersion"),
    (f"echo '{credential({'clientKeyData': 'x'})}'", "it takes both"),
    (f"echo '{credential({**GOOD, 'expirationTimestamp': 'soon'})}'", "is no time"),
    (f"echo '{credential({**GOOD, 'expirationTimestamp': '2020-01-01T00:00:00Z'})}'", "has expired"),
    (f"echo '{credential({'token': 'a b'})}'", "a blank or a control character"),
    ("echo not >&2; echo today >&2; exit 1", "ended with exit code 1: not today"),
    ("kill -9 $$", "ended with signal 9: it said nothing"),
    ("head -c 2000000 /dev/zero", "printed more than 1048576 bytes"),
    ("exec 1>&- 2>&-; exit 3", "ended with exit code 3"),
])
def test_a_plugin_that_fails_is_said(plugin, script, words):
    answer = plugin(script)
    assert answer.returncode == 3, answer
    assert "the credential plugin" in answer.stderr and words in answer.stderr, answer
    assert plugin.count() == 1


def test_a_plugin_that_is_not_there_is_said_with_its_hint(cluster, tmp_path):
    user = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "no-such-plugin",
                     "interactiveMode": "Never", "installHint": "apt install it"}}
    answer = nantian("nodes", "--kubeconfig", config_of(cluster.server, tmp_path / "config", user))
    assert answer.returncode == 3 and "`no-such-plugin` is not there: apt install it" in answer.stderr


def test_a_plugin_that_wants_a_terminal_is_refused_without_one(plugin):
    answer = plugin(f"echo '{credential(GOOD)}'", mode="Always")
    assert answer.returncode == 3 and "interactiveMode: Always" in answer.stderr, answer
    answer = plugin(f"echo '{credential(GOOD)}'", mode=None)
    assert answer.returncode == 2 and "must be Never" in answer.stderr, answer


def test_a_plugin_is_asked_again_when_what_it_said_is_refused(cluster, plugin, tmp_path):
    answer = plugin(f"test -e {tmp_path}/again && echo '{credential(GOOD)}' || "
                    f"echo '{credential({'token': 'old'})}'; touch {tmp_path}/again")
    assert answer.returncode == 4 and plugin.count() == 2, answer
    assert [r.user() for r in cluster.server.audit if r.plural == "pods"] == \
        ["old", "secret-plugin", "secret-plugin"]


def test_what_a_plugin_left_running_does_not_hold_us(plugin):
    answer = plugin(f"sleep 20 & echo '{credential(GOOD)}'")
    assert answer.returncode == 4, answer


def test_a_plugin_may_give_a_certificate(tls_server, tmp_path):
    server, authority = tls_server
    chain, key = authority.issue("alice")
    seen = []
    server.when(lambda request, handler: seen.append(handler.connection.getpeercert()),
                plural="pods")
    status = {"clientCertificateData": chain.decode(), "clientKeyData": key.decode()}
    (tmp_path / "said").write_text(credential(status), encoding="utf-8")
    user = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "cat",
                     "args": [str(tmp_path / "said")], "interactiveMode": "Never"}}
    file = config_of(server, tmp_path / "config", user, **{
        "certificate-authority": "ca.crt", "tls-server-name": "kubernetes.test"})
    answer = nantian("nodes", "--kubeconfig", file)
    assert "no control plane runs" in answer.stderr, answer
    assert seen and ("commonName", "alice") in seen[0]["subject"][0], seen


def test_a_control_plane_asks_its_plugin_again_when_the_credential_ends(cluster, tmp_path):
    """What it says is good for some seconds; the watches go on, and so do the writes."""
    script = tmp_path / "renew"
    script.write_text(
        f"#!/bin/sh\necho run >>{tmp_path}/runs\n"
        "end=$(date -u -d '+3 seconds' +%Y-%m-%dT%H:%M:%SZ)\n"
        f"echo '{credential({**GOOD, 'expirationTimestamp': 'END'})}' | sed \"s/END/$end/\"\n",
        encoding="utf-8")
    script.chmod(0o755)
    user = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": str(script),
                     "interactiveMode": "Never"}}
    file = config_of(cluster.server, tmp_path / "plugged", user)
    cluster.planes[0].stop()
    plane = cluster.control("--kubeconfig", file)
    runs = lambda: len((tmp_path / "runs").read_text(encoding="utf-8").splitlines())
    wait_for(lambda: (tmp_path / "runs").exists() and runs() > 2, "it was asked again")
    cluster.server.put(route("shop", rule("app")))
    cluster.wait_accepted("shop")
    assert plane.running()


# ---- kubectl nantian ----

def kubectl(*words, name="kubectl-nantian", **more):
    return subprocess.run([BIN / name, *words], env=environment(**more), text=True,
                          capture_output=True, check=False, timeout=DEADLINE,
                          stdin=subprocess.DEVNULL)


def test_as_a_plugin_of_kubectl_it_is_about_the_cluster_and_says_its_name(cluster):
    env = {"KUBECONFIG": str(cluster.file)}
    assert kubectl("nodes", **env).returncode == 4
    assert kubectl("check", **env).returncode in (0, 1)
    answer = kubectl("status", "--what", **env)
    assert answer.returncode == 2
    assert answer.stderr.startswith("kubectl nantian status: does not know `--what`"), answer
    assert "usage: kubectl nantian VERB" in kubectl("help").stdout
    assert "usage: kubectl nantian nodes" in kubectl("nodes", "--help").stdout


def test_kubectl_completes_its_words():
    lines = kubectl("st", name="kubectl_complete-nantian").stdout.splitlines()
    assert lines[0].startswith("status\t") and lines[1:] == [":4"]
    lines = kubectl("status", "--con", name="kubectl_complete-nantian").stdout.splitlines()
    assert lines == ["--context", "--control-namespace", ":0"]
