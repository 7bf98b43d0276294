"""Requests through both planes: which rule, which backend, what is changed on the way."""
# SPDX-License-Identifier: Apache-2.0
import collections
import json
import socket
import threading
import time

import httpx
import pytest

from harness import (free_port, gateway_of, listener, metric_sum, rate_limit, route, rule, service,
                     simple, wait_for)
from http_backend import named
from http_client import Client, request

pytestmark = pytest.mark.sanitized


def match(path=None, kind="PathPrefix", **more):
    found = {"path": {"type": kind, "value": path}} if path else {}
    return {**found, **more}


def seen(answer):
    """What the echo backend got."""
    assert answer.status == 200, answer
    return json.loads(answer.body)


@pytest.fixture
def backends(start_backend):
    """Named backends and their Services."""
    def start(*names):
        made = {name: start_backend(named(name)) for name in names}
        return [service(name, made[name].port) for name in names]
    return start


@pytest.mark.quick
def test_the_most_specific_match_wins_whatever_the_order_of_rules(start_gateway, backends):
    port = free_port()
    header = {"headers": [{"name": "X-Color", "value": "blue"}]}
    start_gateway(
        gateway_of(listener("http", port)),
        route("r",
              rule("prefix", matches=[match("/a")]),
              rule("longer", matches=[match("/a/b")]),
              rule("exact", matches=[match("/a/b", "Exact")]),
              rule("post", matches=[match("/a/b", method="POST")]),
              rule("blue", matches=[match("/a/b", **header)]),
              rule("query", matches=[match("/a/b", queryParams=[{"name": "q", "value": "1"}])]),
              rule("regex", matches=[match("/r/[0-9]+", "RegularExpression")])),
        *backends("prefix", "longer", "exact", "post", "blue", "query", "regex"))
    for method, path, headers, expected in (
            ("GET", "/a", {}, "prefix"), ("GET", "/a/x", {}, "prefix"), ("GET", "/ab", {}, 404),
            ("GET", "/a/b/c", {}, "longer"), ("GET", "/a/b", {}, "exact"),
            ("POST", "/a/b/c", {}, "post"), ("GET", "/a/b/c", {"x-color": "blue"}, "blue"),
            ("POST", "/a/b/c", {"x-color": "blue"}, "post"), ("GET", "/a/b/c?q=1", {}, "query"),
            ("GET", "/a/b/c?q=2", {}, "longer"), ("GET", "/r/12", {}, "regex"),
            ("GET", "/r/12/3", {}, 404), ("GET", "/", {}, 404), ("GET", "/a//b", {}, "exact"),
            ("GET", "/a/./b", {}, "exact"), ("GET", "/a/b/../x", {}, "prefix"),
            ("GET", "/%61/b", {}, "exact")):
        answer = request(port, path, method, headers)
        got = answer.status if answer.status != 200 else answer.body.decode()
        assert got == expected, (method, path, headers, answer)


def test_hostnames_choose_listener_and_route(start_gateway, backends):
    port = free_port()
    start_gateway(
        gateway_of(listener("any", port), listener("shop", port, hostname="*.shop.example"),
                   listener("one", port, hostname="one.shop.example")),
        route("any", rule("any"), parentRefs=[{"name": "web", "sectionName": "any"}]),
        route("shop", rule("shop"), parentRefs=[{"name": "web", "sectionName": "shop"}]),
        route("deep", rule("deep"), parentRefs=[{"name": "web", "sectionName": "shop"}],
              hostnames=["*.deep.shop.example"]),
        route("one", rule("one"), parentRefs=[{"name": "web", "sectionName": "one"}],
              hostnames=["one.shop.example"]),
        *backends("any", "shop", "deep", "one"))
    for host, expected in (("x.example", b"any"), ("a.shop.example", b"shop"),
                           ("A.Shop.Example", b"shop"), ("x.deep.shop.example", b"deep"),
                           ("one.shop.example", b"one"), ("shop.example", b"any"),
                           (f"one.shop.example:{port}", b"one"), ("127.0.0.1", b"any")):
        assert request(port, host=host).body == expected, host


def test_header_filters_change_request_and_response(start_gateway, start_backend):
    port = free_port()

    async def answer(req):
        await req.answer(json.dumps(req.fields).encode(), headers={
            "x-gone": "1", "x-set": "old", "x-add": "1", "Server": "backend"})

    start_gateway(*simple(port, start_backend(answer).port, filters=[
        {"type": "RequestHeaderModifier", "requestHeaderModifier": {
            "set": [{"name": "X-Set", "value": "new"}], "add": [{"name": "x-add", "value": "two"}],
            "remove": ["X-Gone"]}},
        {"type": "ResponseHeaderModifier", "responseHeaderModifier": {
            "set": [{"name": "x-set", "value": "new"}], "add": [{"name": "x-add", "value": "2"}],
            "remove": ["x-gone"]}}]))
    answer = request(port, headers={"x-set": "old", "x-add": "one", "x-gone": "yes", "x-kept": "k"})
    got = json.loads(answer.body)
    assert ["x-set", "new"] in got and ["x-kept", "k"] in got
    assert [value for name, value in got if name == "x-add"] in (["one", "two"], ["one,two"])
    assert not [name for name, _ in got if name == "x-gone"]
    assert answer.get("x-set") == "new" and answer.get("x-gone") is None
    assert answer.get("x-add") in ("1, 2", "1,2")


REDIRECTS = [  # filter, request path, status, location; PORT is the listener's
    ({"scheme": "https"}, "/x?q=1", 302, "https://test.example/x?q=1"),
    ({"hostname": "other.example"}, "/x", 302, "http://other.example:PORT/x"),
    ({"hostname": "other.example", "port": 8443, "statusCode": 301}, "/x", 301,
     "http://other.example:8443/x"),
    ({"scheme": "https", "port": 443}, "/x", 302, "https://test.example/x"),
    ({"port": 80}, "/x", 302, "http://test.example/x"),
    ({"path": {"type": "ReplaceFullPath", "replaceFullPath": "/whole"}}, "/x?q=1", 302,
     "http://test.example:PORT/whole?q=1"),
    ({"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/new"}, "statusCode": 303},
     "/old/deep", 303, "http://test.example:PORT/new/deep"),
    ({"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}, "statusCode": 307},
     "/old/deep", 307, "http://test.example:PORT/deep"),
    ({"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/n"}, "statusCode": 308},
     "/old", 308, "http://test.example:PORT/n"),
]


def test_redirects_follow_the_table(start_gateway):
    port = free_port()
    routes = [route(f"r{i}", {"matches": [match("/old")], "filters": [
                        {"type": "RequestRedirect", "requestRedirect": redirect}]},
                    {"matches": [match("/x")], "filters": [
                        {"type": "RequestRedirect", "requestRedirect": redirect}]},
                    hostnames=[f"r{i}.example", "test.example"] if i == 0 else [f"r{i}.example"])
              for i, (redirect, *_) in enumerate(REDIRECTS)]
    start_gateway(gateway_of(listener("http", port)), *routes)
    for i, (redirect, path, status, location) in enumerate(REDIRECTS):
        answer = request(port, path, host=f"r{i}.example:{port}")
        wanted = location.replace("test.example", f"r{i}.example").replace("PORT", str(port))
        assert (answer.status, answer.get("location")) == (status, wanted), (redirect, answer)


def test_rewrites_change_path_and_host(start_gateway, backend):
    port = free_port()

    def rewriting(prefix, **rewrite):
        return rule("app", matches=[match(prefix)],
                    filters=[{"type": "URLRewrite", "urlRewrite": rewrite}])

    start_gateway(
        gateway_of(listener("http", port)), service("app", backend.port),
        route("r",
              rewriting("/prefix", path={"type": "ReplacePrefixMatch", "replacePrefixMatch": "/new"}),
              rewriting("/strip", path={"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}),
              rewriting("/full", path={"type": "ReplaceFullPath", "replaceFullPath": "/whole"}),
              rewriting("/host", hostname="inner.example")))
    for path, target in (("/prefix/a?x=1", "/new/a?x=1"), ("/prefix", "/new"),
                         ("/prefix/", "/new/"), ("/strip/a/b", "/a/b"), ("/strip", "/"),
                         ("/full/a?x=1", "/whole?x=1"), ("/host/a", "/host/a")):
        got = seen(request(port, path, host="outer.example"))
        assert got["target"] == target, path
        host = "inner.example" if path.startswith("/host") else "outer.example"
        assert dict(got["fields"])["host"] == host


def test_weights_share_requests(start_gateway, backends):
    port = free_port()
    start_gateway(gateway_of(listener("http", port)),
                  route("r", rule(("a", 70), ("b", 30), ("never", 0))),
                  *backends("a", "b", "never"))
    counts = collections.Counter()
    with Client(port) as client:
        for _ in range(2000):
            counts[client.request("GET", "/").body] += 1
    assert abs(counts[b"a"] / 2000 - 0.70) <= 0.06, counts  # six times the standard deviation
    assert counts[b"never"] == 0


def test_requests_are_spread_over_endpoints(start_gateway, start_backend):
    port = free_port()
    made = [start_backend(named(name)) for name in "abc"]
    start_gateway(gateway_of(listener("http", port)), route("r", rule("app")),
                  service("app", *(b.port for b in made)), )
    with Client(port) as client:
        counts = collections.Counter(client.request("GET", "/").body for _ in range(90))
    assert set(counts) == {b"a", b"b", b"c"} and min(counts.values()) >= 20, counts


def test_a_request_that_takes_too_long_is_answered_504(start_gateway, start_backend):
    port = free_port()

    async def never(req):
        await req.reader.read()

    slow = start_backend(never)
    gateway = start_gateway(
        gateway_of(listener("http", port)), service("slow", slow.port),
        route("r", rule("slow", matches=[match("/request")], timeouts={"request": "200ms"}),
              rule("slow", matches=[match("/backend")],
                   timeouts={"request": "10s", "backendRequest": "200ms"})))
    for path in ("/request", "/backend"):
        began = time.monotonic()
        answer = request(port, path)
        assert answer.status == 504, answer
        assert 0.19 <= time.monotonic() - began < 3
    wait_for(lambda: slow.open == 0, "the backend's connections are closed")
    flags = {line["response_flags"] for line in gateway.log_lines(2)}
    assert flags <= {"UT", "DT"} and flags, flags


def test_a_connection_that_fails_is_tried_elsewhere(start_gateway, start_backend):
    port = free_port()
    good = start_backend(named("good"))
    start_gateway(gateway_of(listener("http", port)), route("r", rule("app")),
                  service("app", good.port, free_port()))
    with Client(port) as client:
        answers = {client.request("GET", "/").status for _ in range(40)}
    assert answers == {200}


def test_no_endpoint_that_answers_is_503(start_gateway):
    port = free_port()
    gateway = start_gateway(*simple(port, free_port()))
    assert request(port).status == 503
    gateway.apply("config.yaml", gateway_of(listener("http", port)), route("all", rule("app")),
                  service("app"))
    assert request(port).status == 503


def test_references_that_lead_nowhere_are_500_and_named_in_status(start_gateway, backends):
    port = free_port()
    gateway = start_gateway(
        gateway_of(listener("http", port)), *backends("good"),
        route("missing", rule("nowhere", matches=[match("/missing")])),
        route("half", rule(("good", 1), ("nowhere", 1), matches=[match("/half")])),
        route("foreign", {"matches": [match("/foreign")],
                          "backendRefs": [{"name": "good", "namespace": "other", "port": 80}]}))
    assert request(port, "/missing").status == 500
    assert request(port, "/foreign").status == 500
    with Client(port) as client:
        halves = collections.Counter(client.request("GET", "/half").status for _ in range(200))
    assert set(halves) == {200, 500} and min(halves.values()) >= 70, halves
    assert gateway.route_condition("missing", "ResolvedRefs")["reason"] == "BackendNotFound"
    assert gateway.route_condition("half", "ResolvedRefs")["reason"] == "BackendNotFound"
    assert gateway.route_condition("foreign", "ResolvedRefs")["reason"] == "RefNotPermitted"


UNSUPPORTED = {
    "redirect": {"backendRefs": [{"name": "app", "port": 80, "filters": [
        {"type": "RequestRedirect", "requestRedirect": {"scheme": "https"}}]}]},
}


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_what_the_proxy_cannot_do_is_refused_by_name(start_gateway, backends, name):
    port = free_port()
    gateway = start_gateway(
        gateway_of(listener("http", port)), *backends("app"),
        route("bad", {**rule("app", matches=[match("/bad")]), **UNSUPPORTED[name]}),
        route("good", rule("app", matches=[match("/good")])))
    condition = gateway.route_condition("bad", "Accepted")
    assert (condition["status"], condition["reason"]) == ("False", "UnsupportedValue"), condition
    assert "does not support" in condition["message"] and "rules[0]" in condition["message"], condition
    assert request(port, "/good").status == 200
    assert request(port, "/bad").status in (404, 500)


def test_clients_are_let_in_by_address(start_gateway, backends):
    port = free_port()

    def policy(name, target, kind="HTTPRoute", **ip):
        return {"apiVersion": "gateway.nantian.dev/v1alpha1", "kind": "SecurityPolicy",
                "metadata": {"name": name, "namespace": "default"},
                "spec": {"ip": ip, **({"targetRefs": [
                    {"group": "gateway.networking.k8s.io", "kind": kind, "name": target}]}
                    if target else {"targetRefs": []})}}

    by_name = {"filters": [{"type": "ExtensionRef", "extensionRef": {
        "group": "gateway.nantian.dev", "kind": "SecurityPolicy", "name": "named"}}]}
    gateway = start_gateway(
        gateway_of(listener("http", port)), *backends("app"),
        route("inner", rule("app", matches=[match("/inner")])),
        route("outer", rule("app", matches=[match("/outer")]),
              rule("app", matches=[match("/named")], **by_name)),
        policy("all", "web", "Gateway", denyCIDRs=["127.0.0.9/32"]),
        policy("route", "inner", allowCIDRs=["127.0.0.0/30"], denyCIDRs=["127.0.0.2"]),
        policy("named", None, allowCIDRs=["::/0", "127.0.0.3"]))
    let_in = {(path, client) for path in ("inner", "outer", "named") for client in (1, 2, 3, 4, 9)
              if request(port, f"/{path}", headers={"X-Forwarded-For": "127.0.0.1"},
                         source=f"127.0.0.{client}").status == 200}
    assert let_in == {("inner", 1), ("inner", 3), ("named", 3),
                      *(("outer", client) for client in (1, 2, 3, 4))}
    assert metric_sum(gateway.metrics(), "nantian_responses_total", flag="AC") == 15 - len(let_in)


def limited(port, *limits):
    return [gateway_of(listener("http", port)), route("r", rule("app")),
            rate_limit("slow", "r", *limits)]


def test_over_the_rate_requests_are_answered_429(start_gateway, backends):
    port = free_port()
    gateway = start_gateway(*limited(port, {"requestsPerSecond": 5}), *backends("app"),
                            workers=4)
    begun = time.monotonic()
    answers = [request(port) for _ in range(25)]  # a connection each: every worker gets some
    most = 6 + 5 * (time.monotonic() - begun)
    good = [a for a in answers if a.status == 200]
    refused = [a for a in answers if a.status == 429]
    assert 5 <= len(good) <= most and len(good) + len(refused) == 25
    assert 'q=5;w=1' in good[0].get("ratelimit-policy")
    assert "r=4" in good[0].get("ratelimit")
    assert "r=0" in refused[0].get("ratelimit") and int(refused[0].get("retry-after")) == 1
    seen = gateway.metrics()
    assert metric_sum(seen, "nantian_responses_total", flag="RL") == len(refused)
    assert [metric_sum(seen, "nantian_ratelimit_total", result=result)
            for result in ("allowed", "limited")] == [len(good), len(refused)]
    wait_for(lambda: request(port).status == 200, "the rate allows one more")


def test_a_rate_can_be_counted_per_header_and_per_client(start_gateway, backends):
    port, other = free_port(), free_port()
    gateway = start_gateway(
        *limited(port, {"requestsPerSecond": 2, "burst": 2, "keyType": "header",
                        "keyHeaderName": "x-user"}), *backends("app"))

    def statuses(port, count, **options):
        return [request(port, **options).status for _ in range(count)]

    assert statuses(port, 2, headers={"x-user": "a"}) == [200, 200]
    assert 429 in statuses(port, 3, headers={"x-user": "a"})
    assert statuses(port, 2, headers={"x-user": "b"}) == [200, 200]
    gateway.apply("config.yaml", *limited(other, {"requestsPerSecond": 2, "keyType": "sourceIP"}),
                  *backends("app"))
    assert statuses(other, 2, source="127.0.0.2") == [200, 200]
    assert 429 in statuses(other, 3, source="127.0.0.2")
    assert statuses(other, 2, source="127.0.0.3") == [200, 200]


def test_what_was_used_of_a_rate_stays_used_over_a_change(start_gateway, backends):
    port = free_port()
    services = backends("app")
    limit = {"requestsPerSecond": 1, "burst": 10}
    gateway = start_gateway(*limited(port, limit), *services)
    assert [request(port).status for _ in range(10)] == [200] * 10
    gateway.apply("config.yaml", gateway_of(listener("http", port)), rate_limit("slow", "r", limit),
                  route("r", rule("app", timeouts={"request": "5s"})), *services)
    answers = [request(port).status for _ in range(10)]
    assert answers.count(429) >= 7, answers


def test_forwarding_fields_tell_the_backend_who_asked(start_gateway, backend):
    port = free_port()
    start_gateway(*simple(port, backend.port))
    fields = dict(seen(request(port, headers={"X-Forwarded-For": "10.0.0.9",
                                              "Connection": "close, x-hop", "x-hop": "1",
                                              "TE": "trailers", "Keep-Alive": "3"}))["fields"])
    assert fields["host"] == "test"
    assert fields["x-forwarded-for"].endswith("127.0.0.1")
    assert fields["x-forwarded-proto"] == "http"
    assert len(fields["x-request-id"]) >= 16
    assert "x-hop" not in fields and "keep-alive" not in fields


def test_a_real_client_gets_what_it_expects(start_gateway, backend):
    port = free_port()
    start_gateway(*simple(port, backend.port))
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        for _ in range(3):
            answer = client.post("/things?a=%20b&c=%C3%BC", json={"x": 1}, cookies=None)
            assert answer.status_code == 200
            assert answer.json()["target"] == "/things?a=%20b&c=%C3%BC"
            assert answer.json()["size"] == len(b'{"x":1}')
    assert backend.connections == 1


def test_two_gateways_do_not_mix(start_gateway, backends):
    one, two = free_port(), free_port()
    start_gateway(gateway_of(listener("http", one), name="one"),
                  gateway_of(listener("http", two), name="two"),
                  route("a", rule("a"), parent="one"), route("b", rule("b"), parent="two"),
                  *backends("a", "b"))
    assert (request(one).body, request(two).body) == (b"a", b"b")


def test_a_backend_that_takes_connections_and_says_nothing_holds_only_its_own(start_gateway,
                                                                              backends):
    port = free_port()
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(100)
        start_gateway(gateway_of(listener("http", port)), *backends("good"),
                      route("r", rule("good", matches=[match("/good")]),
                            rule("silent", matches=[match("/silent")])),
                      service("silent", silent.getsockname()[1]))
        stuck = [Client(port) for _ in range(50)]
        for client in stuck:
            client.send("GET /silent HTTP/1.1\r\nHost: test\r\n\r\n")
        results = []
        threads = [threading.Thread(target=lambda: results.append(request(port, "/good").status))
                   for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert results == [200] * 20
        for client in stuck:
            client.close()
