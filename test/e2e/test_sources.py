"""The same objects from a directory and from an API server come to the same statuses and resources,
also those that are damaged: one decoder, and one rule for what it has errors against."""
# SPDX-License-Identifier: Apache-2.0
import copy
import http.client
import json
import socket

import pytest
import yaml

from harness import BIN, ROOT, Plane, gateway_of, listener, route, rule, wait_for
from kube_server import PLURALS, RESOURCES

CASES = ROOT / "test/unit/control/kind/bad.txt"
# Which revision, when, and where in a file it stands is not the same by nature.
NOT_COMPARED = {"line", "column", "file", "generation", "observedGeneration", "lastTransitionTime",
                "uid", "resourceVersion", "snapshot", "created"}


def damaged():
    """The documents of bad.txt that an API server without schemas could hold, each by a name of its
    own: what is wrong with it is something else."""
    found, text = [], []
    for line in CASES.read_text(encoding="utf-8").split("\n\n", 1)[1].splitlines():
        if line.startswith("###"):
            text = text if not text else found.append("\n".join(text)) or []
        else:
            text.append(line)
    found.append("\n".join(text))
    for number, document in enumerate(found):
        try:
            item = yaml.safe_load(document)
            json.dumps(item)
        except (yaml.YAMLError, TypeError, ValueError):
            continue
        if not isinstance(item, dict) or PLURALS.get(item.get("kind")) is None or \
                not isinstance(item.get("metadata"), dict):
            continue
        group, version, _, namespaced = RESOURCES[PLURALS[item["kind"]]]
        if item.get("apiVersion") != (f"{group}/{version}" if group else version):
            continue
        item["metadata"]["name"] = f"bad-{number}"
        if namespaced:
            item["metadata"]["namespace"] = "default"
        yield item


def plain(value):
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items() if key not in NOT_COMPARED}
    return [plain(each) for each in value] if isinstance(value, list) else value


class Files:
    def __init__(self, folder):
        self.folder, self.objects = folder / "objects", folder / "objects"
        self.objects.mkdir()
        (folder / "files-state").mkdir(mode=0o700)
        self.socket = folder / "files.sock"
        self.plane = Plane("nantian-control-files", [
            BIN / "nantian-control", "--directory", self.objects, "--state-dir",
            folder / "files-state", "--xds", f"unix:{folder}/files-xds.sock", "--admin",
            f"unix:{self.socket}", "--default-address", "127.0.0.1"], folder / "files.log")

    def put(self, item):
        path = self.objects / f"{item['kind']}-{item['metadata']['name']}.yaml"
        path.write_text(json.dumps(item), encoding="utf-8")

    def ask(self, path):
        connection = http.client.HTTPConnection("localhost", timeout=20)
        connection.sock = socket.socket(socket.AF_UNIX)
        try:
            connection.sock.connect(str(self.socket))
            connection.request("GET", path)
            return json.loads(connection.getresponse().read())
        except OSError:
            return {}
        finally:
            connection.close()


def statuses(answer):
    return {(o["kind"], o.get("namespace", ""), o["name"]): plain(o)
            for o in answer.get("objects") or []}


@pytest.mark.sanitized
def test_damaged_objects_come_to_the_same_from_files_and_from_an_api_server(start_cluster, tmp_path):
    cluster, files = start_cluster(control=False), Files(tmp_path)
    items = list(damaged())
    assert len(items) > 150
    good = {"web": gateway_of(listener("http", 80)), "ok": route("ok", rule("app"))}
    turned = copy.deepcopy(good["ok"])
    turned["metadata"]["name"] = "turned"
    for item in [{"kind": "GatewayClass", "metadata": {"name": "nantian"},
                  "apiVersion": "gateway.networking.k8s.io/v1",
                  "spec": {"controllerName": "nantian.dev/gateway-controller"}},
                 *good.values(), turned, *items]:
        files.put(item)
        cluster.server.put(item)
    cluster.control("--default-address", "127.0.0.1")
    files.plane.start()

    def look(path):
        return files.ask(path), cluster.ask(path)[1] or {}

    def both():
        one, other = (statuses(answer) for answer in look("/v1/status"))
        return one.keys() and one.keys() == other.keys() and (one, other)
    try:
        last = ("HTTPRoute", "default", "ok")
        wait_for(lambda: all(last in statuses(answer) for answer in look("/v1/status")),
                 "both have translated")
        one, other = (statuses(answer) for answer in look("/v1/status"))
        assert one.keys() == other.keys()
        assert one == other
        one, other = (plain(answer["resources"]) for answer in look("/v1/config"))
        assert one == other
        # What was good and is damaged now stays as it was, in both.
        turned["spec"]["rules"][0]["backendRefs"][0]["port"] = "eighty"
        late = copy.deepcopy(good["ok"])
        late["metadata"]["name"] = "late"
        for item in (turned, late):
            files.put(item)
            cluster.server.put(item)
        wait_for(lambda: all(("HTTPRoute", "default", "late") in statuses(answer)
                             for answer in look("/v1/status")), "both have heard of it")
        one, other = both()
        assert ("HTTPRoute", "default", "turned") in one
        assert one == other
        one, other = (plain(answer["resources"]) for answer in look("/v1/config"))
        assert one == other
    finally:
        files.plane.stop()
    assert not files.plane.judge()
