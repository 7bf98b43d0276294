"""Which endpoint a request goes to: balancing."""
# SPDX-License-Identifier: Apache-2.0
import collections

import pytest

from harness import free_port, gateway_of, listener, metadata, route, rule, service
from http_backend import named
from http_client import request

pytestmark = pytest.mark.sanitized


def lb_policy(name, target="app", **spec):
    return {"apiVersion": "gateway.networking.k8s.io/v1alpha2", "kind": "BackendLBPolicy",
            "metadata": metadata(name),
            "spec": {"targetRefs": [{"group": "", "kind": "Service", "name": target}], **spec}}


def hashed(key, algorithm="RingHash", **more):
    return {"type": "ConsistentHash",
            "consistentHash": {"keyType": key, "algorithm": algorithm, **more}}


@pytest.fixture
def start_named(start_backend):
    """Backends that say who they are."""
    def start(count):
        return [start_backend(named(f"e{i}")) for i in range(count)]
    return start


def config(port, backends, *policies):
    return [gateway_of(listener("http", port)), route("all", rule("app")),
            service("app", *(each.port for each in backends)), *policies]


def who(port, path="/", host="test", **fields):
    return request(port, path=path, host=host, headers=fields).body.decode()


@pytest.mark.quick
@pytest.mark.parametrize("algorithm", ["RingHash", "Maglev"])
def test_one_key_stays_with_one_endpoint_and_moves_only_if_it_must(start_gateway, start_named,
                                                                   algorithm):
    backends, port = start_named(4), free_port()
    policy = lb_policy("sticky", loadBalancing=hashed("Header", algorithm, headerName="X-User"))
    gateway = start_gateway(*config(port, backends, policy))
    users = [f"user-{i}" for i in range(60)]
    before = {user: who(port, **{"X-User": user}) for user in users}
    assert len(set(before.values())) == 4
    for user in users[:20]:
        assert [who(port, **{"X-User": user}) for _ in range(3)] == [before[user]] * 3
    gateway.apply("config.yaml", *config(port, backends[:3], policy))
    after = {user: who(port, **{"X-User": user}) for user in users}
    stayed = [user for user in users if before[user] != "e3"]
    moved = [user for user in stayed if after[user] != before[user]]
    assert len(moved) <= (0 if algorithm == "RingHash" else len(stayed) // 10)
    assert len({who(port) for _ in range(60)}) == 3, "without the field any endpoint will do"


@pytest.mark.quick
def test_each_kind_of_key(start_gateway, start_named):
    backends, port = start_named(3), free_port()
    gateway = start_gateway(*config(port, backends, lb_policy("p", loadBalancing=hashed("URL"))))

    def answers(count, **more):
        return collections.Counter(who(port, **{key: value.format(i) for key, value in more.items()})
                                   for i in range(count))
    assert len(answers(40, path="/a?x={}")) == 1
    assert len(answers(40, path="/{}")) == 3
    gateway.apply("config.yaml", *config(
        port, backends, lb_policy("p", loadBalancing=hashed("Cookie", cookieName="cart"))))
    assert len(answers(40, Cookie="a=b{}; cart=7; c=d")) == 1
    assert len(answers(40, Cookie="a=b; cart={}")) == 3
    assert len(answers(60, Cookie="carts=7; xcart=7")) == 3
    gateway.apply("config.yaml", *config(
        port, backends, lb_policy("p", loadBalancing=hashed("Hostname"))))
    assert len(answers(40, host="shop.example.com")) == 1
    assert len(answers(40, host="s{}.example.com")) == 3
    gateway.apply("config.yaml", *config(
        port, backends, lb_policy("p", loadBalancing=hashed("SourceIP"))))
    assert len(answers(40, path="/{}")) == 1


@pytest.mark.quick
@pytest.mark.parametrize("kind", ["RoundRobin", "LeastRequest", "Random"])
def test_other_algorithms_use_every_endpoint(start_gateway, start_named, kind):
    backends, port = start_named(3), free_port()
    start_gateway(*config(port, backends, lb_policy("p", loadBalancing={"type": kind})),
                  workers=1)
    seen = collections.Counter(who(port) for _ in range(90))
    assert len(seen) == 3 and min(seen.values()) >= 12, seen
    if kind == "RoundRobin":
        assert set(seen.values()) == {30}
