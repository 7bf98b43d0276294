"""What a Service gets at most, over all workers: retries, connections, sessions, requests."""
# SPDX-License-Identifier: Apache-2.0
import collections
import concurrent.futures

import pytest

from harness import free_port, gateway_of, listener, metadata, metric_sum, route, rule, service
from http_client import request

pytestmark = pytest.mark.sanitized


def traffic_policy(name, **spec):
    return {"apiVersion": "gateway.networking.x-k8s.io/v1alpha1", "kind": "XBackendTrafficPolicy",
            "metadata": metadata(name),
            "spec": {"targetRefs": [{"group": "", "kind": "Service", "name": "app"}], **spec}}


def constraint(percent, count):
    return {"retryConstraint": {"budget": {"percent": percent, "interval": "1h"},
                                "minRetryRate": {"count": count, "interval": "1h"}}}


@pytest.fixture
def failing(start_backend):
    """A backend that always fails."""
    async def answer(req):
        await req.answer(b"failed", status="500 No")
    return start_backend(answer)


def retrying(port, backend, *policies, attempts=2):
    return [gateway_of(listener("http", port)), service("app", backend.port), *policies,
            route("r", rule("app", retry={"codes": [500], "attempts": attempts, "backoff": "1ms"}))]


def statuses(port, count, workers=1):
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        answers = pool.map(lambda i: request(port, path=f"/{i}").status, range(count))
        return dict(collections.Counter(answers))


@pytest.mark.quick
def test_retries_end_when_the_budget_of_all_workers_is_used_up(start_gateway, failing):
    port = free_port()
    gateway = start_gateway(*retrying(port, failing, traffic_policy("p", **constraint(0, 7))),
                            workers=3)
    assert statuses(port, 30, workers=6).keys() <= {500, 503}
    assert len(failing.requests) == 30 + 7
    ancestor, = gateway.object_status("XBackendTrafficPolicy", "p")["ancestors"]
    assert [(each["type"], each["status"]) for each in ancestor["conditions"]] == \
        [("Accepted", "True"), ("ResolvedRefs", "True")]
    answer = request(port)
    assert answer.status == 503 and answer.body == b"The backend gets no more retries now.\n"
    flags = collections.Counter(line["response_flags"] for line in gateway.log_lines(31))
    refused = flags.pop("URX")
    assert refused >= 31 - 7 and set(flags) <= {"-"}
    assert metric_sum(gateway.metrics(), "nantian_responses_total", flag="URX") == refused
    # Without the policy every request is tried as often as its route wants; with another one that
    # is wide enough, too; and one that says the same again has not forgotten.
    before = len(failing.requests)
    gateway.apply("config.yaml", *retrying(port, failing))
    assert statuses(port, 4) == {500: 4} and len(failing.requests) == before + 12
    gateway.apply("config.yaml", *retrying(
        port, failing, traffic_policy("p", **constraint(100, 1))))
    assert statuses(port, 4) == {500: 4} and len(failing.requests) == before + 24


@pytest.mark.quick
def test_a_share_of_the_requests_may_be_retries(start_gateway, failing):
    port = free_port()
    gateway = start_gateway(*retrying(port, failing, traffic_policy("p", **constraint(20, 1)),
                                      attempts=1), workers=3)
    statuses(port, 20)
    # What has been counted stays when something else changes.
    gateway.apply("config.yaml", *retrying(
        port, failing, traffic_policy("p", **constraint(20, 1)), attempts=2))
    statuses(port, 20)
    assert len(failing.requests) == 40 + 10


@pytest.mark.quick
def test_a_policy_gives_a_service_sessions(start_gateway, start_backend):
    async def answer(req):
        await req.answer(str(req.writer.get_extra_info("sockname")[1]).encode())
    backends, port = [start_backend(answer) for _ in range(3)], free_port()
    start_gateway(
        gateway_of(listener("http", port)), route("all", rule("app")),
        service("app", *(each.port for each in backends)),
        traffic_policy("p", sessionPersistence={"type": "Header", "header": {"name": "X-Session"}}))
    first = request(port)
    token = first.get("x-session")
    assert token
    assert {request(port, headers={"X-Session": token}).body for _ in range(12)} == {first.body}
