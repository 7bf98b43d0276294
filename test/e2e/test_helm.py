"""The Helm charts: by default what `nantian install` prints, and each value changes what it says, in the
real Helm."""
# SPDX-License-Identifier: Apache-2.0
import json
import re
import subprocess

import pytest
import yaml

from harness import DEADLINE, ROOT, nantian

CHARTS = ROOT / "deploy/helm"
CHART, DEFINITIONS = CHARTS / "nantian-gateway", CHARTS / "nantian-gateway-crds"
SYSTEM = "nantian-system"
# What Helm's users expect beside the labels that `nantian install` gives.
HELMS_LABELS = {
    "helm.sh/chart", "app.kubernetes.io/instance", "app.kubernetes.io/version",
    "app.kubernetes.io/part-of", "app.kubernetes.io/managed-by"}
KEEP = "helm.sh/resource-policy"


@pytest.fixture(scope="session", name="program")
def build_helm():
    """Helm itself; it is built once and kept outside the tree."""
    done = subprocess.run([ROOT / "tools/install", "helm"], stdout=subprocess.PIPE, check=True,
                          text=True, timeout=1800)
    return ROOT / done.stdout.strip() / "helm"


@pytest.fixture(name="helm")
def make_helm(program, tmp_path):
    """`helm(verb, ...)` runs it with the values of a dict; the finished process."""
    env = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}

    def run(*words, values=None):
        given = ["-f", "-"] if values is not None else []
        return subprocess.run([program, *map(str, words), *given], env=env, check=False, text=True,
                              input=json.dumps(values), capture_output=True, timeout=2 * DEADLINE)
    return run


def objects(text):
    """(kind, name) -> the object, without what is Helm's own."""
    found = {}
    for item in yaml.safe_load_all(text):
        if item is not None:
            for label in HELMS_LABELS:
                item["metadata"].get("labels", {}).pop(label, None)
            key = item["kind"], item["metadata"]["name"]
            assert key not in found, key
            found[key] = item
    return found


@pytest.fixture(name="render")
def make_render(helm):
    def render(chart=CHART, values=None, namespace=SYSTEM, flags=("--skip-tests",)):
        done = helm("template", "edge", chart, "--namespace", namespace, *flags, values=values or {})
        assert done.returncode == 0, done.stderr
        return objects(done.stdout)
    return render


def installed(*flags):
    """What the program prints: of the definitions' chart, and of the other one."""
    every = objects(nantian("install", *flags).stdout)
    definitions = {key for key in every if key[0] == "CustomResourceDefinition"}
    rest = {key for key in every if key[0] not in ("CustomResourceDefinition", "Namespace")}
    return {key: every[key] for key in definitions}, {key: every[key] for key in rest}


# ---- they are what the program prints ----

@pytest.mark.parametrize("chart", [CHART, DEFINITIONS], ids=lambda chart: chart.name)
def test_a_chart_is_clean(helm, chart):
    done = helm("lint", "--strict", chart)
    assert done.returncode == 0, done.stdout + done.stderr
    about = yaml.safe_load((chart / "Chart.yaml").read_text(encoding="utf-8"))
    assert nantian("version").stdout.startswith(f"nantian {about['appVersion']} ")
    assert about["version"] == about["appVersion"]


def test_the_chart_is_what_the_program_prints(render):
    assert render() == installed()[1]
    digest = "sha256:" + "0" * 64
    other = installed("--namespace", "edge", "--replicas", "3", "--image",
                      "r.example:5000/nantian-control:1", "--proxy-image",
                      f"r.example:5000/nantian-proxy@{digest}")[1]
    assert render(namespace="edge", values={
        "global": {"imageRegistry": "r.example:5000/"}, "image": {"tag": "1"}, "replicas": 3,
        "dataPlane": {"image": {"digest": digest}}}) == other


def test_the_chart_of_definitions_is_what_the_program_prints(render):
    definitions = render(DEFINITIONS)
    for item in definitions.values():
        assert item["metadata"]["annotations"].pop(KEEP) == "keep"
        if not item["metadata"]["annotations"]:
            del item["metadata"]["annotations"]
    assert definitions == installed()[0]


def test_the_optional_definition_is_the_one_beside_the_install(render):
    every, usual = render(DEFINITIONS, {"backendLBPolicy": True}), render(DEFINITIONS)
    (key, added), = ((key, item) for key, item in every.items() if key not in usual)
    assert added["metadata"]["annotations"].pop(KEEP) == "keep"
    text = (ROOT / "deploy/optional/backend_lb_policy.yaml").read_text(encoding="utf-8")
    assert {key: added} == objects(text)


# ---- each value changes what it says ----

DEPLOYMENT, POD = "Deployment nantian-control", "Deployment nantian-control spec.template"
CONTAINER = f"{POD}.spec.containers.0"
CLASS, POLICY = "GatewayClass nantian spec", "NetworkPolicy nantian-control spec"
ACCOUNT = {"ClusterRoleBinding nantian-control subjects.0.name": "own",
           "RoleBinding nantian-control subjects.0.name": "own", f"{POD}.spec.serviceAccountName": "own"}
NONE = object()  # the whole object, or the field, is not there any more
PEER = {"namespaceSelector": {"matchLabels": {"a": "b"}}}
VOLUME, MOUNT = {"name": "v", "emptyDir": {}}, {"name": "v", "mountPath": "/v"}
SIDE = {"name": "side", "image": "s"}
MAP = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}}
DIGEST = "sha256:" + "a" * 64
PROFILE = {"type": "Localhost", "localhostProfile": "p"}


def args(*more, at=8):
    return {f"{CONTAINER}.args.{at + i}": word for i, word in enumerate(more)}


def ports():
    return {f"{CONTAINER}.args.1": "0.0.0.0:20000", f"{CONTAINER}.ports.0.containerPort": 20000,
            "Service nantian-control spec.ports.0.port": 20000,
            "Service nantian-control spec.ports.0.targetPort": 20000,
            f"{POLICY}.ingress.0.ports.0.port": 20000}


# Value -> (another one, what of the rendered objects is other then); "labels" stands for those of all.
VALUES = {
    "replicas": (5, {f"{DEPLOYMENT} spec.replicas": 5}),
    "global.imageRegistry": ("r.example", {
        f"{CONTAINER}.image": "r.example/nantian-control",
        f"{CONTAINER}.args.7": "r.example/nantian-proxy"}),
    "image.repository": ("r/c", {f"{CONTAINER}.image": "r/c"}),
    "image.tag": ("1.2", {f"{CONTAINER}.image": "nantian-control:1.2"}),
    "image.digest": (DIGEST, {f"{CONTAINER}.image": f"nantian-control@{DIGEST}"}),
    "image.pullPolicy": ("Always", {f"{CONTAINER}.imagePullPolicy": "Always"}),
    "imagePullSecrets": ([{"name": "r"}], {f"{POD}.spec.imagePullSecrets.0.name": "r"}),
    "dataPlane.image.repository": ("r/p", {f"{CONTAINER}.args.7": "r/p"}),
    "dataPlane.image.tag": ("1.2", {f"{CONTAINER}.args.7": "nantian-proxy:1.2"}),
    "dataPlane.image.digest": (DIGEST, {f"{CONTAINER}.args.7": f"nantian-proxy@{DIGEST}"}),
    "dataPlane.parameters": ({"fleet": "Shared"}, {
        "GatewayParameters nantian spec.fleet": "Shared",
        "GatewayParameters nantian apiVersion": "gateway.nantian.dev/v1alpha1",
        "GatewayParameters nantian kind": "GatewayParameters",
        "GatewayParameters nantian metadata.name": "nantian",
        "GatewayParameters nantian metadata.namespace": SYSTEM,
        "GatewayParameters nantian metadata.labels.app.kubernetes.io/name": "nantian",
        f"{CLASS}.parametersRef.group": "gateway.nantian.dev",
        f"{CLASS}.parametersRef.kind": "GatewayParameters",
        f"{CLASS}.parametersRef.name": "nantian", f"{CLASS}.parametersRef.namespace": SYSTEM}),
    "gatewayClass.create": (False, {"GatewayClass nantian": NONE}),
    "gatewayClass.name": ("edge", {"GatewayClass nantian": NONE, "GatewayClass edge": None}),
    "gatewayClass.description": ("Ours.", {f"{CLASS}.description": "Ours."}),
    "gatewayClass.parametersRef": (
        {"group": "gateway.nantian.dev", "kind": "GatewayParameters", "name": "p", "namespace": "n"},
        {f"{CLASS}.parametersRef.group": "gateway.nantian.dev",
         f"{CLASS}.parametersRef.kind": "GatewayParameters",
         f"{CLASS}.parametersRef.name": "p", f"{CLASS}.parametersRef.namespace": "n"}),
    "controllerName": ("a.example/b", {f"{CLASS}.controllerName": "a.example/b",
                                       **args("--controller-name", "a.example/b")}),
    "logLevel": ("debug", args("--log-level", "debug")),
    "logFormat": ("text", args("--log-format", "text")),
    "extraArgs": (["--lease", "20"], args("--lease", "20")),
    "extraEnv": ([{"name": "A", "value": "1"}], {f"{CONTAINER}.env.0.name": "A",
                                                f"{CONTAINER}.env.0.value": "1"}),
    "extraVolumes": ([VOLUME], {
        f"{POD}.spec.volumes.1.name": "v", f"{POD}.spec.volumes.1.emptyDir": {}}),
    "extraVolumeMounts": ([MOUNT], {f"{CONTAINER}.volumeMounts.1.name": "v",
                                    f"{CONTAINER}.volumeMounts.1.mountPath": "/v"}),
    "extraContainers": ([SIDE], {f"{POD}.spec.containers.1.name": "side",
                                 f"{POD}.spec.containers.1.image": "s"}),
    "extraObjects": ([MAP], {"ConfigMap m apiVersion": "v1", "ConfigMap m kind": "ConfigMap",
                             "ConfigMap m metadata.name": "m"}),
    "commonLabels": ({"a": "b"}, "labels"),
    "podLabels": ({"a": "b"}, {f"{POD}.metadata.labels.a": "b"}),
    "podAnnotations": ({"a": "b"}, {f"{POD}.metadata.annotations.a": "b"}),
    "serviceAccount.create": (False, {"ServiceAccount nantian-control": NONE}),
    "serviceAccount.name": ("own", {"ServiceAccount nantian-control": NONE, "ServiceAccount own": None,
                                    **ACCOUNT}),
    "serviceAccount.annotations": ({"a": "b"}, {
        "ServiceAccount nantian-control metadata.annotations.a": "b"}),
    "rbac.create": (False, {f"{kind} {name}": NONE for kind, name in (
        ("ClusterRole", "nantian-control"), ("ClusterRoleBinding", "nantian-control"),
        ("Role", "nantian-control"), ("Role", "nantian-viewer"), ("RoleBinding", "nantian-control"),
        ("ServiceAccount", "nantian-viewer"))}),
    "ports.xds": (20000, ports()),
    "ports.admin": (20000, {
        f"{CONTAINER}.args.3": "0.0.0.0:20000", f"{CONTAINER}.ports.1.containerPort": 20000,
        f"{CONTAINER}.readinessProbe.httpGet.port": 20000,
        f"{CONTAINER}.livenessProbe.httpGet.port": 20000}),
    "service.annotations": ({"a": "b"}, {"Service nantian-control metadata.annotations.a": "b"}),
    "networkPolicy.create": (False, {"NetworkPolicy nantian-control": NONE}),
    "networkPolicy.adminFrom": ([PEER], {
        f"{POLICY}.ingress.1.from.0.namespaceSelector.matchLabels.a": "b",
        f"{POLICY}.ingress.1.ports.0.port": 19001, f"{POLICY}.ingress.1.ports.0.protocol": "TCP"}),
    "podDisruptionBudget.create": (False, {"PodDisruptionBudget nantian-control": NONE}),
    "podDisruptionBudget.maxUnavailable": ("25%", {
        "PodDisruptionBudget nantian-control spec.maxUnavailable": "25%"}),
    "resources": ({"limits": {"memory": "1Gi"}}, {f"{CONTAINER}.resources.limits.memory": "1Gi"}),
    "nodeSelector": ({"a": "b"}, {f"{POD}.spec.nodeSelector.a": "b"}),
    "tolerations": ([{"operator": "Exists"}], {f"{POD}.spec.tolerations.0.operator": "Exists"}),
    "affinity": ({"nodeAffinity": {"a": 1}}, {f"{POD}.spec.affinity.nodeAffinity.a": 1}),
    "topologySpreadConstraints": ([], {f"{POD}.spec.topologySpreadConstraints": NONE}),
    "priorityClassName": ("high", {f"{POD}.spec.priorityClassName": "high"}),
    "revisionHistoryLimit": (0, {f"{DEPLOYMENT} spec.revisionHistoryLimit": 0}),
    "strategy": ({"type": "Recreate"}, {f"{DEPLOYMENT} spec.strategy.type": "Recreate"}),
    "readinessProbe": ({"periodSeconds": 9}, {f"{CONTAINER}.readinessProbe.periodSeconds": 9}),
    "livenessProbe": ({"periodSeconds": 9}, {f"{CONTAINER}.livenessProbe.periodSeconds": 9}),
    "stateSizeLimit": ("1Gi", {f"{POD}.spec.volumes.0.emptyDir.sizeLimit": "1Gi"}),
    "podSecurityContext": ({"runAsUser": 7}, {f"{POD}.spec.securityContext.runAsUser": 7}),
    "securityContext": ({"seccompProfile": PROFILE}, {
        f"{CONTAINER}.securityContext.seccompProfile.type": "Localhost",
        f"{CONTAINER}.securityContext.seccompProfile.localhostProfile": "p"}),
}


def leaves(value, head, names=()):
    """(path, value) of whatever holds nothing more."""
    items = value.items() if isinstance(value, dict) else \
        enumerate(value) if isinstance(value, list) else ()
    if not items:
        return {f"{head} {'.'.join(names)}": value}
    return {path: leaf for name, item in items
            for path, leaf in leaves(item, head, (*names, str(name))).items()}


def flat(found):
    return {path: leaf for (kind, name), item in found.items()
            for path, leaf in leaves(item, f"{kind} {name}").items()}


def changed(before, after):
    before, after = flat(before), flat(after)
    return {path: after.get(path, NONE) for path in before.keys() | after.keys()
            if before.get(path, NONE) != after.get(path, NONE)}


def values_of(path, value):
    for name in reversed(path.split(".")):
        value = {name: value}
    return value


@pytest.mark.parametrize("path", VALUES)
def test_a_value_changes_what_it_says_and_nothing_else(render, path):
    value, expected = VALUES[path]
    before = render()
    found = changed(before, render(values=values_of(path, value)))
    if expected == "labels":
        expected = {f"{kind} {name} metadata.labels.a": "b" for kind, name in before}
    for where, what in expected.items():
        if what is NONE or what is None:
            of_it = [each for each in found if each.startswith((f"{where} ", f"{where}."))]
            assert of_it, where
            assert {found.pop(each) is NONE for each in of_it} == {what is NONE}
        else:
            assert found.pop(where, NONE) == what, where
    assert not found


def test_the_table_the_schema_and_the_values_name_the_same():
    def known(schema, path):
        if path in VALUES or "properties" not in schema:
            return {path}
        return set().union(*(known(item, f"{path}.{name}".lstrip("."))
                             for name, item in schema["properties"].items()))

    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    assert known(schema, "") == VALUES.keys()
    readme = (CHART / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `([\w.]+)` \|", readme, re.M)) == VALUES.keys()


def test_the_parts_of_the_cluster_may_all_be_left_out_or_asked_for_at_once(render, tmp_path):
    none = {name: {"create": False} for name in (
        "serviceAccount", "rbac", "networkPolicy", "podDisruptionBudget", "gatewayClass")}
    assert render(values=none).keys() == {("Deployment", "nantian-control"),
                                          ("Service", "nantian-control")}
    every = {}
    for path, (value, _) in VALUES.items():
        if isinstance(value, bool) or path == "gatewayClass.parametersRef" or path == "ports.admin":
            continue
        part = every
        *above, last = path.split(".")
        for name in above:
            part = part.setdefault(name, {})
        part[last] = value
    found = render(values=every)
    kinds = {"GatewayClass", "GatewayParameters"}
    text = "\n---\n".join(yaml.safe_dump(item) for (kind, _), item in found.items() if kind in kinds)
    (tmp_path / "all.yaml").write_text(text, encoding="utf-8")
    answer = nantian("check", "-f", tmp_path / "all.yaml")
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_helms_labels_are_on_every_object_and_not_on_what_selects(helm):
    done = helm("template", "edge", CHART, values={"commonLabels": {"a": "b"}})
    for item in filter(None, yaml.safe_load_all(done.stdout)):
        labels = item["metadata"]["labels"]
        assert HELMS_LABELS <= labels.keys() and labels["app.kubernetes.io/instance"] == "edge"
        if item["kind"] == "Deployment":
            only = {"app.kubernetes.io/name": "nantian-control"}
            assert item["spec"]["template"]["metadata"]["labels"] == only
            assert item["spec"]["selector"]["matchLabels"] == only


# ---- what `helm test` runs ----

def test_the_test_asks_as_a_viewer_from_a_pod_like_the_control_planes(render):
    values = {"image": {"repository": "r/c", "tag": "1", "pullPolicy": "Always"}, "nodeSelector": {"a": "b"},
              "imagePullSecrets": [{"name": "r"}], "tolerations": [{"operator": "Exists"}]}
    every, usual = (render(values=values, namespace="ns", flags=flags)
                    for flags in ((), ("--skip-tests",)))
    added = {kind: every[kind, name] for kind, name in every.keys() - usual.keys()}
    assert added.keys() == {"Pod", "RoleBinding", "ServiceAccount"}
    for item in added.values():
        assert item["metadata"]["namespace"] == "ns" and item["metadata"]["name"] == "nantian-test"
        assert item["metadata"]["annotations"]["helm.sh/hook"] == "test"
    role = added["RoleBinding"]["roleRef"]
    assert (role["kind"], role["name"]) in usual
    pod = added["Pod"]["spec"]
    control = usual["Deployment", "nantian-control"]["spec"]["template"]["spec"]
    for name in ("securityContext", "imagePullSecrets", "nodeSelector", "tolerations"):
        assert pod[name] == control[name], name
    for name in ("image", "imagePullPolicy", "securityContext"):
        assert pod["containers"][0][name] == control["containers"][0][name], name
    assert not render(values={"rbac": {"create": False}}, flags=()).keys() & {
        (kind, "nantian-test") for kind in added}


# ---- what cannot be ----

@pytest.mark.parametrize("values, words", [
    ({"replica": 2}, "replica"),
    ({"image": {"name": "x"}}, "name"),
    ({"replicas": 0}, "/replicas"),
    ({"replicas": "two"}, "/replicas"),
    ({"image": "nantian-control"}, "/image"),
    ({"image": None}, "image"),
    ({"image": {"repository": "r/c:1"}}, "/image/repository"),
    ({"image": {"digest": "abc"}}, "/image/digest"),
    ({"logLevel": "loud"}, "/logLevel"),
    ({"controllerName": "nantian"}, "/controllerName"),
    ({"ports": {"xds": 80}}, "/ports/xds"),
    ({"ports": {"xds": 19001}}, "ports.xds and ports.admin must differ"),
    ({"resources": "small"}, "/resources"),
    ({"podLabels": {"app.kubernetes.io/name": "x"}}, "/podLabels"),
    ({"commonLabels": {"app.kubernetes.io/instance": "x"}}, "/commonLabels"),
    ({"dataPlane": {"parameters": {"replicas": 3}}}, "/dataPlane/parameters"),
    ({"dataPlane": {"parameters": {"fleet": "Mine"}}}, "/dataPlane/parameters/fleet"),
    ({"dataPlane": {"parameters": {"fleet": "Shared"}}, "gatewayClass": {"create": False}},
     "they need gatewayClass.create"),
    ({"dataPlane": {"parameters": {"fleet": "Shared"}}, "gatewayClass": {"parametersRef": {
        "group": "g", "kind": "k", "name": "n"}}}, "two answers to one question"),
    ({"gatewayClass": {"parametersRef": {"name": "n"}}}, "/gatewayClass/parametersRef"),
    ({"podDisruptionBudget": {"maxUnavailable": "some"}}, "/podDisruptionBudget/maxUnavailable"),
], ids=json.dumps)
def test_what_cannot_be_is_refused_with_its_name(helm, values, words):
    done = helm("template", CHART, values=values)
    assert done.returncode != 0 and words in done.stderr, done.stderr


def test_the_chart_of_definitions_refuses_what_it_does_not_know(helm):
    done = helm("template", DEFINITIONS, values={"gatewayAPI": True})
    assert done.returncode != 0 and "gatewayAPI" in done.stderr
    assert helm("template", DEFINITIONS, values={"global": {"a": 1}}).returncode == 0


@pytest.mark.parametrize("chart", [CHART, DEFINITIONS], ids=lambda chart: chart.name)
def test_a_packed_chart_is_the_folder(helm, tmp_path, chart):
    done = helm("package", chart, "--destination", tmp_path)
    assert done.returncode == 0, done.stderr
    (packed,) = tmp_path.glob("*.tgz")
    assert helm("template", packed).stdout == helm("template", chart).stdout
