"""Who may ask the admin ports of both planes for what: every path and method, in every spelling, with
every token that is not the right one. 127.0.0.2 stands for a client from elsewhere."""
# SPDX-License-Identifier: Apache-2.0
import contextlib
import http.client
import itertools
import json
import re
import socket

import pytest

from harness import ROOT, free_port, nantian, wait_for
from h2_client import H2Client
from kube_cluster import account
from kube_cluster import provisioned, start_cluster  # noqa: F401 pylint: disable=unused-import

pytestmark = [pytest.mark.quick, pytest.mark.sanitized]
SYSTEM = "nantian-system"
ELSEWHERE = "127.0.0.2"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
# The ways to write a path; what the proxy in front of it may have left.
SPELLINGS = ("{}", "{}/", "/{}", "{}//", "{}?x=/healthz", "{}#/healthz", "{}%2f", "/x/..{}",
             "/healthz/..{}", "/%2e{}", "/readyz/%2e%2e{}", "http://localhost{}", "{};/healthz",
             "{}%00", "{}/../healthz/..{}")
REFUSED = {400, 401, 403, 405}


def paths_of(source):
    """(path, is open) as the program's own table has them."""
    text = (ROOT / source).read_text(encoding="utf-8")
    found = re.findall(r'\{"(?:GET|POST)", "(/[^"]*)", \w+, (true|false)\}', text)
    assert found, source
    return [(path, word == "true") for path, word in found]


CONTROL, PROXY = paths_of("src/control/admin/admin.c"), paths_of("src/data/admin.c")
OPEN = {"/healthz", "/livez", "/readyz", "/metrics"}


def ask(port, method, target, fields=None, source=ELSEWHERE, to="127.0.0.1"):
    """(status, body)"""
    connection = http.client.HTTPConnection(to, port, timeout=30, source_address=(source, 0))
    with contextlib.closing(connection):
        connection.putrequest(method, "/", skip_accept_encoding=True)
        connection._buffer[0] = f"{method} {target} HTTP/1.1".encode()  # pylint: disable=protected-access
        for name, value in (fields or {}).items():
            connection.putheader(name, value)
        connection.putheader("Content-Length", "0")
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.read()


@pytest.fixture
def guarded(start_cluster):  # pylint: disable=redefined-outer-name
    """A control plane in a cluster; `port` is its admin port."""
    it = start_cluster(control=False)
    it.namespace, it.port = SYSTEM, free_port()
    audience = {"audiences": ["nantian-viewer"]}
    it.server.reviews = {
        "good": {**account("nantian-viewer", SYSTEM), **audience},
        "of-another-account": {**account("default", SYSTEM), **audience},
        "of-the-control-plane": {**account("nantian-control", SYSTEM), **audience},
        "of-another-namespace": {**account("nantian-viewer"), **audience},
        "of-an-account-like-it": {**account("nantian-viewer2", SYSTEM), **audience},
        "of-a-person": {"username": "nantian-viewer", "groups": ["system:masters"], **audience},
        "for-data-planes": {**account("nantian-viewer", SYSTEM), "audiences": ["nantian-control"]},
        "for-the-api-server": {**account("nantian-viewer", SYSTEM), "audiences": ["https://x"]},
    }
    it.control("--admin", f"0.0.0.0:{it.port}")
    wait_for(lambda: it.condition("Gateway", "web", "Accepted"), "the Gateway has its status")
    return it


def credentials(server):
    """Everything that one may show and that is not the right thing."""
    wrong = [name for name in server.reviews if name != "good"] + ["made-up", "goo", "goodgood", "x" * 9000]
    found = [{}] + [{"Authorization": f"Bearer {name}"} for name in wrong]
    found += [{"nantian-token": name} for name in wrong]
    return found + [
        {"Authorization": "Basic Z29vZDpnb29k"}, {"Authorization": "good"}, {"Authorization": "Bearer"},
        {"Cookie": "nantian-token=good"}, {"nantian-token": ""}, {"X-Forwarded-For": "127.0.0.1"},
        {"nantian-token": "made-up", "Authorization": "Bearer good"},  # the first one counts
        {"Forwarded": "for=127.0.0.1"}, {"Host": "127.0.0.1"}, {"X-Remote-User": "admin"},
        {"X-Original-Url": "/healthz"}, {"X-Rewrite-Url": "/healthz"}]


def test_what_is_open_is_what_probes_and_scrapers_take():
    assert {path for path, is_open in CONTROL if is_open} == OPEN
    assert {path for path, is_open in PROXY if is_open} == OPEN - {"/livez"}


def test_only_the_right_token_opens_the_control_planes_port(guarded):
    closed = [path for path, is_open in CONTROL if not is_open]
    told = 0
    for fields, path in itertools.product(credentials(guarded.server), closed):
        status, body = ask(guarded.port, "GET", path, fields)
        assert status in REFUSED and b"snapshot" not in body, (fields, path, status)
        told += 1
    for path in closed:
        assert ask(guarded.port, "GET", path, {"Authorization": "Bearer good"})[0] == 200, path
        assert ask(guarded.port, "GET", path, {"nantian-token": "good"})[0] == 200, path
    assert told == 140, told


def test_no_spelling_or_method_opens_the_control_planes_port(guarded):
    """Also not those of a path that is open."""
    told = 0
    for method, how, (path, _) in itertools.product(METHODS, SPELLINGS, CONTROL):
        target = how.format(path, path)
        status, body = ask(guarded.port, method, target)
        is_plain = path in OPEN and status == 200 and method in ("GET", "HEAD")
        assert status in REFUSED or is_plain, (method, target, status, body[:200])
        assert b"apiVersion" not in body, (method, target, status)
        told += 1
    assert told == 960, told
    for path in OPEN:
        assert ask(guarded.port, "GET", path)[0] == 200, path


def test_http2_is_asked_for_the_token_as_well(guarded):
    with socket.create_connection(("127.0.0.1", guarded.port), 30, (ELSEWHERE, 0)) as raw:
        client = H2Client(raw)
        for path, is_open in CONTROL:
            assert client.get("a", path=path, scheme="http").status == (200 if is_open else 401), path
        answer = client.get("a", path="/v1/nodes", scheme="http", headers=[("nantian-token", "good")])
        assert answer.status == 200
        answer = client.get("a", path="/v1/nodes", scheme="http",
                            headers=[("authorization", "Bearer good")])
        assert answer.status == 200


def test_port_forward_and_the_socket_take_no_token(guarded):
    """Both ends must be 127.0.0.1: a service mesh hands on from 127.0.0.6, and to the pod's address."""
    assert ask(guarded.port, "GET", "/v1/nodes", source="127.0.0.1")[0] == 200
    assert ask(guarded.port, "GET", "/v1/nodes", source="127.0.0.6")[0] == 401
    assert ask(guarded.port, "GET", "/v1/nodes", source="127.0.0.1", to="127.0.0.3")[0] == 401
    assert nantian("nodes", "--admin", f"127.0.0.1:{guarded.port}").returncode == 4
    assert guarded.ask("/v1/nodes")[0] == 200


def test_strangers_have_the_api_server_asked_only_so_often(guarded):
    """A token that is known is not asked about again; of others few at a time."""
    before = guarded.server.count("post", "tokenreviews")
    for _ in range(20):
        assert ask(guarded.port, "GET", "/v1/nodes", {"nantian-token": "good"})[0] == 200
    assert guarded.server.count("post", "tokenreviews") == before + 1
    for method in METHODS:
        ask(guarded.port, method, "/healthz", {"nantian-token": ""})
        ask(guarded.port, method, "/v1/nodes")
    assert guarded.server.count("post", "tokenreviews") == before + 1


def test_the_data_planes_port_shows_strangers_health_and_metrics_alone(provisioned):  # pylint: disable=redefined-outer-name
    plane = provisioned.proxy("default/web", "token-of-web", start=False)
    plane.command[plane.command.index("--admin") + 1] = f"0.0.0.0:{plane.admin}"
    plane.start()
    wait_for(lambda: plane.running() and answers(plane.admin), "it is ready")
    for method, how, (path, _) in itertools.product(METHODS, SPELLINGS, PROXY):
        target = how.format(path, path)
        status, body = ask(plane.admin, method, target)
        is_plain = path in OPEN and status == 200 and method in ("GET", "HEAD")
        assert status in REFUSED or is_plain, (method, target, status, body[:200])
        assert b"apiVersion" not in body, (method, target, status)
    for path, is_open in PROXY:
        assert (ask(plane.admin, "GET", path)[0] == 200) == is_open, path
    dump = json.loads(ask(plane.admin, "GET", "/config_dump", source="127.0.0.1")[1])
    assert not dump["draining"] and dump["ready"]
    assert ask(plane.admin, "POST", "/drain", source="127.0.0.1")[0] in (200, 202)


def answers(port):
    try:
        return ask(port, "GET", "/readyz")[0] == 200
    except OSError:
        return False
