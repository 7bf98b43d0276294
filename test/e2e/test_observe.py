"""What an operator sees: access log, metrics, health, logs."""
# SPDX-License-Identifier: Apache-2.0
import contextlib
import json
import re
import shutil
import signal
import socket
import subprocess

import pytest

from certificates import Authority
from harness import (DEADLINE, free_port, gateway_of, listener, metric_sum, route, rule, service,
                     simple, wait_for)
from http_backend import named
from http_client import Client, request

pytestmark = pytest.mark.sanitized
KEYS = {"start_time", "method", "x-envoy-origin-path", "protocol", "response_code", "response_flags",
        "response_code_details", "bytes_received", "bytes_sent", "duration", "x-forwarded-for",
        "user-agent", "x-request-id", ":authority", "upstream_host", "upstream_cluster",
        "downstream_local_address", "downstream_remote_address", "requested_server_name",
        "route_name", "route_kind", "route_namespace", "route", "rule", "gateway", "listener",
        "backend", "snapshot", "node", "attempts", "trace_id"}


@pytest.fixture
def app(start_gateway, start_backend):
    port, behind = free_port(), start_backend(named("app"))
    return start_gateway(*simple(port, behind.port)), port, behind


@pytest.mark.quick
def test_each_request_is_a_line_of_json_with_all_keys(app):
    gateway, port, behind = app
    request(port, "/a%20b?q=%22x", headers={"User-Agent": 'a "quoted"\tagent', "X-Request-Id": "i-1"})
    request(port, "/b", "POST", body=b"12345")
    # Each worker writes its own lines: their order is nobody's promise.
    first, second = sorted(gateway.log_lines(2), key=lambda line: line["method"])
    assert KEYS <= set(first), KEYS - set(first)
    assert first["response_code"] == 200 and first["method"] == "GET"
    assert first["x-envoy-origin-path"] == "/a%20b?q=%22x"
    assert first["user-agent"] == 'a "quoted"\tagent'
    assert first["response_flags"] == "-" and first["bytes_sent"] == 3
    assert first["route_name"] == "HTTPRoute/default/all/0"
    assert (first["route_kind"], first["route"], first["rule"]) == ("HTTPRoute", "all", 0)
    assert (first["gateway"], first["listener"]) == ("default/web", "http")
    assert first["upstream_host"] == f"127.0.0.1:{behind.port}"
    assert first["node"] == "test" and first["attempts"] == 1
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first["start_time"])
    assert (second["method"], second["bytes_received"]) == ("POST", 5)
    assert first["x-request-id"] != second["x-request-id"]


def test_refusals_have_flags_and_details_in_the_log(start_gateway):
    port = free_port()
    gateway = start_gateway(gateway_of(listener("http", port)),
                            route("r", rule("gone", matches=[{"path": {"value": "/gone"}}]),
                                  rule("dead", matches=[{"path": {"value": "/dead"}}])),
                            service("dead", free_port()))
    for path, status in (("/none", 404), ("/gone", 500), ("/dead", 503)):
        assert request(port, path).status == status
    lines = {line["x-envoy-origin-path"]: line for line in gateway.log_lines(3)}
    assert (lines["/none"]["response_flags"], lines["/none"]["route"]) == ("NR", None)
    assert lines["/gone"]["response_flags"] == "NC"
    assert lines["/dead"]["response_flags"] == "UF"
    assert all(line["response_code_details"] for line in lines.values())


def test_tls_facts_are_in_the_log(start_gateway, backend):
    authority, port = Authority(), free_port()
    gateway = start_gateway(
        gateway_of(listener("s", port, "HTTPS", tls={"certificateRefs": [{"name": "c"}]})),
        authority.secret("c", "one.example"), route("r", rule("app")), service("app", backend.port))
    request(port, host="one.example", tls=authority.context(), server_name="one.example")
    [line] = gateway.log_lines(1)
    assert line["requested_server_name"] == "one.example"
    assert line["tls_version"] in ("TLSv1.3", "TLS 1.3")
    ends = [value for name, value in gateway.metrics().items()
            if name.startswith("nantian_certificate_not_after_timestamp_seconds")]
    assert len(ends) == 1 and ends[0] > 1.7e9


def test_handshakes_are_counted(start_gateway, backend):
    """Of an HTTPS listener, and of TLS that ends here for a TLSRoute."""
    authority, ports = Authority(), (free_port(), free_port())
    certificate = {"certificateRefs": [{"name": "c"}]}
    tls_route = {**route("t", rule("app")), "kind": "TLSRoute"}
    tls_route["spec"]["parentRefs"] = [{"name": "web", "sectionName": "tls"}]
    tls_route["spec"]["hostnames"] = ["one.example"]
    gateway = start_gateway(
        gateway_of(listener("s", ports[0], "HTTPS", tls=certificate),
                   listener("tls", ports[1], "TLS", tls={"mode": "Terminate", **certificate})),
        authority.secret("c", "one.example"), tls_route, service("app", backend.port),
        {**route("r", rule("app")), "spec": {"parentRefs": [{"name": "web", "sectionName": "s"}],
                                             "rules": [rule("app")]}})
    for port in ports:
        for _ in range(3):
            assert request(port, host="one.example", tls=authority.context(),
                           server_name="one.example").status == 200
        with socket.create_connection(("127.0.0.1", port), DEADLINE) as sock:
            sock.sendall(b"\x16\x03\x01\x00\x05this is no hello")
            sock.settimeout(DEADLINE)
            with contextlib.suppress(ConnectionError):
                while sock.recv(100):
                    pass

        def counted(name, port=port):
            return metric_sum(gateway.metrics(), name, listener=f"127.0.0.1:{port}")

        wait_for(lambda: counted("nantian_tls_handshake_duration_seconds_count") == 3, "good ones")
    wait_for(lambda: metric_sum(gateway.metrics(), "nantian_tls_handshake_errors_total") >= 1,
             "bad ones")


def test_a_route_may_be_left_out_of_the_log(start_gateway, backend):
    port = free_port()
    quiet = route("quiet", rule("app", matches=[{"path": {"value": "/quiet"}}]))
    name = "gateway.nantian.dev/access-log-enabled"

    def apply(value):
        quiet["metadata"]["annotations"] = {name: value}
        return [gateway_of(listener("http", port)), quiet, route("all", rule("app")),
                service("app", backend.port)]

    gateway = start_gateway(*apply("false"))
    for path in ("/quiet", "/loud", "/quiet/more", "/loud"):
        assert request(port, path).status == 200
    assert [line["route"] for line in gateway.log_lines(2)] == ["all"] * 2
    wait_for(lambda: metric_sum(gateway.metrics(), "http_server_request_duration_seconds_count",
                                route="HTTPRoute/default/quiet/0") == 2, "they are counted")
    gateway.apply("config.yaml", *apply("true"))
    assert request(port, "/quiet").status == 200
    assert [line["route"] for line in gateway.log_lines(3)].count("quiet") == 1
    gateway.write("config.yaml", *apply("off"))  # what is served stays the same
    warnings = wait_for(lambda: [fault for fault in gateway.status()["faults"]
                                 if name in fault["what"]], "the value is told to be none")
    assert len(warnings) == 1 and warnings[0]["level"] == "warning", warnings
    assert request(port, "/quiet").status == 200
    assert len(gateway.log_lines(4)) == 4


def test_the_log_follows_a_rotation(app):
    gateway, port, _ = app
    request(port, "/one")
    gateway.log_lines(1)
    gateway.access_log.rename(gateway.folder / "access.log.1")
    gateway.proxy.signal(signal.SIGUSR1)
    wait_for(gateway.access_log.exists, "the log is opened anew")
    wait_for(lambda: request(port, "/two") and gateway.log_lines(1), "new lines come there")
    assert "/one" not in gateway.access_log.read_text(encoding="utf-8")


@pytest.mark.quick
def test_counters_move_with_requests(app):
    gateway, port, _ = app
    before = gateway.metrics()
    with Client(port) as client:
        for _ in range(10):
            client.request("GET", "/")
        client.request("POST", "/", body=b"x" * 100)
        during = gateway.metrics()
        assert metric_sum(during, "nantian_downstream_connections") >= 1
    after = gateway.metrics()

    def moved(name, **labels):
        return metric_sum(after, name, **labels) - metric_sum(before, name, **labels)

    count = "http_server_request_duration_seconds_count"
    assert moved(count, http_request_method="GET", http_response_status_code="2xx") == 10
    assert moved(count, http_request_method="POST") == 1
    assert moved(count, route="HTTPRoute/default/all/0") == 11
    assert moved("http_client_request_duration_seconds_count", backend="default/app:80") == 11
    assert moved("http_server_request_body_size_bytes_sum") == 100
    assert moved("http_server_response_body_size_bytes_sum") == 33
    assert moved("nantian_access_log_lines_total") == 11
    assert metric_sum(after, "http_server_active_requests") == 0
    assert after["nantian_ready"] == after["nantian_xds_connected"] == 1


def test_counters_do_not_go_back_when_the_configuration_changes(app):
    gateway, port, behind = app
    last, count = 0, "http_server_request_duration_seconds_count"
    for i in range(5):
        request(port)
        gateway.apply("config.yaml", *simple(port, behind.port, timeouts={"request": f"{i + 1}s"}))
        request(port)
        now = metric_sum(gateway.metrics(), count)
        assert now == last + 2
        last = now


def test_promtool_finds_no_fault_in_the_metrics(app):
    assert shutil.which("promtool"), "promtool is missing: tools/install test"
    gateway, port, _ = app
    request(port)
    request(port, "/", "BREW")
    for text in (gateway.ask("/metrics")[1], gateway.ask_control("/metrics", as_json=False)):
        done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True,
                              text=True, timeout=DEADLINE, check=False)
        # Three of its words are of taste: names that OpenTelemetry and Prometheus see differently.
        assert done.returncode in (0, 3), done
        assert "error" not in (done.stdout + done.stderr).lower(), done


def test_health_and_readiness(app, start_gateway, tmp_path):
    gateway, _, _ = app
    assert gateway.ask("/healthz") == (200, "ok\n") and gateway.ask("/readyz")[0] == 200
    assert gateway.ask_control("/readyz", as_json=False) == "ok\n"
    assert gateway.ask("/nothing")[0] == 404
    assert gateway.ask("/metrics", "DELETE")[0] in (404, 405)
    alone = start_gateway(control=False, xds=f"unix:{tmp_path}/nobody.sock")
    wait_for(lambda: alone.ask("/healthz")[0] == 200, "it lives")
    assert alone.ask("/readyz")[0] == 503


def test_every_line_of_the_planes_logs_is_json(app):
    gateway, port, behind = app
    gateway.write("config.yaml", "kind: [")
    wait_for(gateway.faults, "the file is broken")
    gateway.apply("config.yaml", *simple(port, behind.port, timeouts={"request": "3s"}))
    gateway.control.kill()
    wait_for(lambda: gateway.metrics()["nantian_xds_connected"] == 0, "the loss is noticed")
    for plane in gateway.planes():
        for line in plane.text().splitlines():
            fields = json.loads(line)
            assert {"time", "level", "component", "msg"} <= set(fields), line
    assert any(line["level"] == "error" and "config.yaml" in str(line)
               for line in gateway.control.lines())


def test_the_admin_port_dumps_what_is_served_and_no_key(app):
    gateway, port, behind = app
    dump = gateway.dump()
    assert dump["bindings"][0]["address"] == f"127.0.0.1:{port}"
    assert dump["backends"][0]["endpoints"][0]["address"] == f"127.0.0.1:{behind.port}"
    assert dump["digest"] == gateway.status()["digest"]


def test_the_trace_of_the_client_goes_on_and_is_logged(start_gateway, backend):
    port = free_port()
    gateway = start_gateway(*simple(port, backend.port))
    trace, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    sent = {"traceparent": f"00-{trace}-{parent}-01", "tracestate": "vendor=x"}
    fields = dict(json.loads(request(port, headers=sent).body)["fields"])
    assert fields["traceparent"].startswith(f"00-{trace}-") and parent not in fields["traceparent"]
    assert fields["tracestate"] == "vendor=x"
    begun = dict(json.loads(request(port).body)["fields"])["traceparent"]
    assert begun.endswith("-01") and len(begun) == 55 and trace not in begun
    # Two connections may be two workers', and each writes when it has the time.
    assert {line["trace_id"] for line in gateway.log_lines(2)} == {trace, begun[3:35]}


@pytest.mark.quick
def test_the_series_of_a_route_end_with_it(start_gateway, start_backend):
    backend, port = start_backend(named("app")), free_port()

    def docs(*names):
        return [gateway_of(listener("http", port)), service("app", backend.port),
                *(route(name, {"matches": [{"path": {"value": f"/{name}"}}],
                               **rule("app")}) for name in names)]

    def shown(name):
        return metric_sum(gateway.metrics(), "http_server_request_duration_seconds_count",
                          route=f"HTTPRoute/default/{name}/0")
    gateway = start_gateway(*docs("one", "two"))
    for name in ("one", "two", "one"):
        assert [request(port, f"/{name}").status for _ in range(5)] == [200] * 5
    assert (shown("one"), shown("two")) == (10, 5)
    gateway.apply("config.yaml", *docs("two"))
    assert (shown("one"), shown("two")) == (0, 5)
    assert not any('route="HTTPRoute/default/one/0"' in name for name in gateway.metrics())
    assert request(port, "/one").status == 404
    gateway.apply("config.yaml", *docs("one", "two", "three"))
    for name in ("one", "two", "three"):
        assert request(port, f"/{name}").status == 200
    assert [shown(name) for name in ("one", "two", "three")] == [1, 6, 1]
