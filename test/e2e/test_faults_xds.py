"""F10, F11, F12: a control plane that sends what it should not. grpcio plays it."""
# SPDX-License-Identifier: Apache-2.0
import pytest

from certificates import Authority
from harness import free_port, sanitizer, wait_for
from http_backend import named
from http_client import Load, request
from xds_client import Schema
from xds_control import Control, World

pytestmark = pytest.mark.sanitized
FEW = sanitizer() is not None
ROUTES = 1000
EPOCH = 5


@pytest.fixture(scope="module", name="schema")
def make_schema():
    return Schema()


class Rig:
    """A proxy whose control plane is the test."""

    def __init__(self, start_gateway, start_backend, schema, tmp_path):
        self.port, self.schema = free_port(), schema
        self.backend = start_backend(named("app"))
        self.control = Control(tmp_path / "fake.sock", schema).start()
        self.gateway = start_gateway(control=False, xds=self.control.address)
        self.revision = 100

    def world(self, edit="0", routes=1):
        """A listener, `routes` rules at /0, /1, ... and the edit in a response header."""
        world = World(self.schema)
        world.put("Listener", "default/web/http", gateway="default/web", name="http",
                  port=self.port, protocol="HTTP", owner="Gateway default/web")
        world.put("Endpoints", "default/app:80", endpoints=[
            {"address": "127.0.0.1", "port": self.backend.port, "serving": True}])
        world.put("Backend", "default/app:80", endpoints="default/app:80",
                  owner="Service default/app")
        for i in range(routes):
            self.route(world, i, edit)
        return world

    def route(self, world, number, edit):
        return world.put(
            "Route", f"default/web/http|HTTPRoute/default/r{number}/0", listener="default/web/http",
            kind="HTTPRoute", namespace="default", name=f"r{number}",
            matches=[{"path": {"type": "PREFIX", "value": f"/{number}"}}],
            filters=[{"response_headers": {"set": [{"name": "x-edit", "value": edit}]}}],
            backends=[{"backend": "default/app:80", "weight": 1}])

    def accept(self, stream, before, after):
        """A good push; what it was called."""
        self.revision += 1
        version = (EPOCH, 0, self.revision)
        answer = self.control.offer(stream, before, after, version)
        assert answer is not None and not answer.HasField("error_detail"), answer
        return version

    def edit(self, number=0):
        answer = request(self.port, f"/{number}")
        assert answer.status == 200, answer
        return answer.get("x-edit")

    def refused(self, answer, *reasons):
        """Asserts a NACK; the Refusal in it."""
        assert answer is not None and answer.HasField("error_detail"), answer
        refusal = self.control.refusal(answer)
        assert refusal is not None and refusal.reason in reasons, refusal
        return refusal


@pytest.fixture
def rig(start_gateway, start_backend, schema, tmp_path):
    made = Rig(start_gateway, start_backend, schema, tmp_path)
    yield made
    made.control.stop()


@pytest.mark.quick
def test_f10_older_and_replayed_versions_are_refused(rig):
    stream = rig.control.wait_stream()
    good = rig.world("good")
    held = rig.accept(stream, None, good)
    digest = rig.gateway.dump()["digest"]
    before = good
    for i in range(20 if FEW else 100):
        stale = rig.world(f"stale-{i}")
        version = ((EPOCH, 0, held[2] - 1 - i), (EPOCH - 1, 0, held[2] + 1 + i),
                   (EPOCH - 1, 9, 1))[i % 3]
        refusal = rig.refused(rig.control.offer(stream, before, stale, version), "older")
        assert refusal.offered.epoch == version[0] and refusal.held.epoch == held[0]
        assert refusal.offered.vector[0].revision == version[2]
        assert refusal.held.vector[0].revision == held[2]
        before = stale
        assert rig.edit() == "good"
    dump = rig.gateway.dump()
    assert (dump["digest"], dump["refused"]) == (digest, 20 if FEW else 100)
    assert rig.gateway.metrics()['nantian_config_rejected_total{type="older"}'] == dump["refused"]
    # The same content again, under the same and a newer version, is no news and no refusal.
    answer = rig.control.offer(stream, before, good, held)
    assert not answer.HasField("error_detail")
    answer = rig.control.offer(stream, good, good, (EPOCH, 0, held[2] + 5))
    assert not answer.HasField("error_detail")
    rig.revision = held[2] + 5
    rig.accept(stream, good, rig.world("newer"))
    assert rig.edit() == "newer"


def test_f10_versions_that_cannot_be_compared_wait(rig):
    stream = rig.control.wait_stream()
    good, other = rig.world("good"), rig.world("other")
    rig.accept(stream, None, good)
    record = rig.schema.ours("Snapshot").FromString(other.record((EPOCH, 0)))
    record.version.vector.add(kind="directory", revision=rig.revision - 1)
    record.version.vector.add(kind="elsewhere", revision=7)
    messages = rig.control.push(stream, good, other, (EPOCH, 0))[:-1]
    messages.append(rig.control.response("Snapshot", {"snapshot": record.SerializeToString()}))
    rig.control.send(stream, messages)
    rig.refused(rig.control.answer_to(stream, messages[-1]), "incomparable")
    assert rig.edit() == "good"


def bad_routes(rig):
    """(field, function that spoils a Route)."""
    def set_(path, value):
        def spoil(message):
            *way, last = path.split(".")
            for part in way:
                message = message[int(part)] if part.isdigit() else getattr(message, part)
            if last.isdigit():
                message[int(last)] = value
            elif isinstance(value, dict):
                getattr(message, last).CopyFrom(type(getattr(message, last))(**value))
            else:
                setattr(message, last, value)
        return spoil

    def filters(**kinds):
        def spoil(message):
            del message.filters[:]
            message.filters.add(**kinds)
        return spoil

    def add(path, **fields):
        def spoil(message):
            for part in path.split("."):
                message = message[int(part)] if part.isdigit() else getattr(message, part)
            message.add(**fields)
        return spoil

    del rig
    return [
        ("listener", set_("listener", "default/web/none")),
        ("kind", set_("kind", "Ingress")),
        ("backends[0].backend", set_("backends.0.backend", "default/none:80")),
        ("backends[0].weight", set_("backends.0.weight", 1000001)),
        ("matches[0].path", set_("matches.0.path.value", "no-slash")),
        ("matches[0].path", set_("matches.0.path", {"type": "REGEX", "value": "/("})),
        ("matches[0].path", set_("matches.0.path.type", 9)),
        ("matches[0].headers[0]", add("matches.0.headers", name="", value="x")),
        ("matches[0].headers[0]", add("matches.0.headers", name="x", value="[", regex=True)),
        ("matches[0].query[0]", add("matches.0.query", name="q", value="*", regex=True)),
        ("hostnames[0]", lambda m: m.hostnames.append("UPPER.example")),
        ("hostnames[0]", lambda m: m.hostnames.append("a..b")),
        ("retry.attempts", set_("retry", {"attempts": 101})),
        ("retry.codes[0]", set_("retry", {"codes": [200]})),
        ("session", set_("session", {"cookie": "x"})),
        ("filters[0].redirect.status", filters(redirect={"status": 200})),
        ("filters[0].mirror.backend", filters(mirror={"backend": "default/none:80"})),
        ("filters[0].external_auth.backend",
         filters(external_auth={"backend": "default/none:80"})),
        ("filters[0]", filters()),
        ("filters[0].rate_limit.requests", filters(rate_limit={"window_ms": 1000})),
        ("filters[0].rate_limit.window_ms", filters(rate_limit={"requests": 1})),
        ("filters[0].rate_limit.header",
         filters(rate_limit={"requests": 1, "window_ms": 1, "key": "HEADER"})),
        ("backends[0].filters[0]", lambda m: m.backends[0].filters.add(redirect={"status": 200})),
        ("", None),  # bytes that are no message at all
    ]


def bad_others():
    """(kind, name, field, fields of the message)."""
    good = {"gateway": "default/web", "name": "x", "protocol": "HTTP", "port": 1}
    found = [("Listener", "default/web/x", field, {**good, **fields}) for field, fields in (
        ("port", {"port": 0}), ("port", {"port": 65536}), ("protocol", {"protocol": 0}),
        ("hostname", {"hostname": "Upper.example"}), ("addresses[0]", {"addresses": ["localhost"]}),
        ("tls.secrets", {"protocol": "HTTPS"}),
        ("tls.secrets[0]", {"protocol": "HTTPS", "tls": {"secrets": ["default/none"]}}))]
    found += [("Backend", "default/x:80", field, {"endpoints": "default/app:80", **fields})
              for field, fields in (("endpoints", {"endpoints": "default/none:80"}),
                                    ("protocol", {"protocol": 9}), ("balance", {"balance": 9}),
                                    ("fail_status", {"fail_status": 200}),
                                    ("tls.server_name", {"tls": {}}))]
    found += [("Endpoints", "default/x:80", field, fields) for field, fields in (
        ("endpoints[0].port", {"endpoints": [{"address": "10.0.0.1", "serving": True}]}),
        ("endpoints[0].address", {"endpoints": [{"address": "a.b", "port": 1, "serving": True}]}),
        ("dns_name", {"dns_name": "bad name", "dns_port": 80}))]
    chain, key = Authority().issue("a.example")
    other_key = Authority().issue("a.example")[1]
    found += [("Secret", "default/x", field, fields) for field, fields in (
        ("certificate_chain", {}),
        ("private_key", {"certificate_chain": chain, "private_key": other_key}),
        ("", {"certificate_chain": b"x", "private_key": key}),  # either half may be blamed
        ("private_key", {"certificate_chain": chain}), ("ca", {"ca": b"garbage"}))]
    return found


def test_f11_one_bad_resource_among_a_thousand_is_named_and_nothing_is_applied(rig):
    stream = rig.control.wait_stream()
    before = good = rig.world("good", ROUTES)
    rig.accept(stream, None, good)
    digest, count = rig.gateway.dump()["digest"], 0
    cases = [("Route", number, field, spoil) for number in (0, 499, 500, 998, 999)
             for field, spoil in bad_routes(rig)]
    cases += [(kind, name, field, fields) for kind, name, field, fields in bad_others()]
    cases += [("Route", number, "matches[0].path", lambda m: setattr(
        m.matches[0].path, "value", "relative")) for number in range(1, 17)]
    assert len(cases) >= 150
    with Load(rig.port, path="/7", clients=1) as load:
        for kind, where, field, spoil in cases[::6] if FEW else cases:
            bad = rig.world("bad", 1)  # a second resource changes, and must not be served either
            bad.items["Route"] = {**good.items["Route"], **bad.items["Route"]}
            if kind == "Route":
                name = f"default/web/http|HTTPRoute/default/r{where}/0"
                message = rig.route(bad, where, "bad")
                if spoil is None:
                    bad.put_bytes("Route", name, b"\xff\xff\xff")
                else:
                    spoil(message)
                    bad.put_bytes("Route", name, message.SerializeToString())
            else:
                name = where
                bad.put(kind, name, **spoil)
            rig.revision += 1
            answer = rig.control.offer(stream, before, bad, (EPOCH, 0, rig.revision))
            assert answer.HasField("error_detail"), (kind, name, field)
            refusal = rig.refused(answer, "invalid")
            told = [(f.type, f.resource) for f in refusal.faults]
            assert ("nantian.config.v1." + kind, name) in told, (kind, name, field, refusal)
            fault = refusal.faults[told.index(("nantian.config.v1." + kind, name))]
            assert fault.field.startswith(field) and fault.reason, (name, field, refusal)
            assert name in answer.error_detail.message
            assert rig.edit() == "good"
            before, count = bad, count + 1
    assert load.failures == []
    assert rig.gateway.dump()["digest"] == digest
    assert count == len(cases) or FEW
    # Without the bad one, the others' change goes live.
    rig.accept(stream, before, rig.world("healed", ROUTES))
    assert rig.edit() == rig.edit(998) == "healed"


def test_f12_a_stream_cut_after_each_message_applies_nothing(rig):
    stream = rig.control.wait_stream()
    held = rig.world("good")
    rig.accept(stream, None, held)
    chain, key = Authority().issue("a.example")
    for cut in range(5):
        after = rig.world(f"cut-{cut}")
        after.put("Secret", "default/s", certificate_chain=chain, private_key=key)
        after.put("Endpoints", f"default/e{cut}:80", endpoints=[
            {"address": "127.0.0.1", "port": 1, "serving": True}])
        after.put("Backend", f"default/e{cut}:80", endpoints=f"default/e{cut}:80")
        rig.revision += 1
        version = (EPOCH, 0, rig.revision)
        messages = rig.control.push(stream, held, after, version)
        assert len(messages) >= 4
        rig.control.send(stream, messages[:min(cut, len(messages) - 1)])
        for message in messages[:min(cut, len(messages) - 1)]:
            assert rig.control.answer_to(stream, message) is not None
        stream.out.put(None)
        assert rig.edit() != f"cut-{cut}", "nothing is applied without its commit record"
        stream = rig.control.wait_stream(after=stream)
        # It states what it has, so that only the rest need be sent.
        messages = [rig.control.response(
            kind, {n: d for n, d in after.items[kind].items()
                   if stream.held[kind].get(n) != "%016x%016x" % digest_of(d)},
            [n for n in stream.held[kind] if n not in after.items[kind]])
            for kind in after.items]
        sent = sum(len(m.resources) for m in messages)
        assert sent <= 4 - min(cut, 3) + 1, (cut, sent)
        messages = [m for m in messages if m.resources or m.removed_resources]
        messages.append(rig.control.response("Snapshot", {"snapshot": after.record(version)}))
        rig.control.send(stream, messages)
        answer = rig.control.answer_to(stream, messages[-1])
        assert not answer.HasField("error_detail"), answer
        assert rig.edit() == f"cut-{cut}"
        held = after


def digest_of(data):
    from xds_control import digest  # pylint: disable=import-outside-toplevel
    return digest(data)


def test_f12_commit_records_that_do_not_fit_are_refused(rig):
    stream = rig.control.wait_stream()
    good = rig.world("good")
    rig.accept(stream, None, good)
    after = rig.world("after")
    rig.route(after, 1, "never sent")
    for what, reasons in (("resource missing", ("incomplete",)), ("type digest", ("digest",)),
                          ("digest", ("digest",))):
        rig.revision += 1
        version = (EPOCH, 0, rig.revision)
        wrong = {"type digest": {"type_digest": "Route"}, "digest": {"digest": (1, 2)}}
        messages = rig.control.push(stream, good, after, version, **wrong.get(what, {}))
        if what == "resource missing":
            messages = messages[-1:]
        rig.control.send(stream, messages)
        refusal = rig.refused(rig.control.answer_to(stream, messages[-1]), *reasons, "digest",
                              "incomplete")
        assert refusal.reason in reasons or what == "digest", (what, refusal)
        assert rig.edit() == "good"
        last = stream
        # A wrong digest may be our memory of what was sent: a new stream settles it.
        stream = rig.control.wait_stream(after=last) if wait_ended(last) else last
    rig.revision += 1
    answer = send_all(rig, stream, after, (EPOCH, 0, rig.revision))
    assert not answer.HasField("error_detail")
    assert rig.edit() == "after" and rig.edit(1) == "never sent"


def wait_ended(stream):
    wait_for(lambda: stream.ended, "the stream is begun anew")
    return True


def send_all(rig, stream, world, version):
    messages = [rig.control.response(kind, found, [n for n in stream.held[kind] if n not in found])
                for kind, found in world.items.items() if found or stream.held[kind]]
    messages.append(rig.control.response("Snapshot", {"snapshot": world.record(version)}))
    rig.control.send(stream, messages)
    return rig.control.answer_to(stream, messages[-1])


GARBAGE = {
    "bytes": b"\xff" * 100,
    "nothing": b"",
    "truncated": None,
    "deep": b"\x12\x80\x80\x80\x01" + b"\x12\x02" * 1000,
    "long": b"\x0a\xff\xff\xff\xff\x0f",
    "text": b"GET / HTTP/1.1\r\n\r\n",
}


@pytest.mark.parametrize("name", GARBAGE)
def test_f12_messages_that_are_garbage_leave_the_old_snapshot(rig, name):
    stream = rig.control.wait_stream()
    good = rig.world("good")
    rig.accept(stream, None, good)
    data = GARBAGE[name]
    if data is None:
        whole = rig.control.push(stream, None, rig.world("x"), (EPOCH, 0, 999))[0]
        data = whole.SerializeToString()[:-3]
    for _ in range(3):
        stream.out.put(data)
        assert rig.edit() == "good"
    assert rig.gateway.ask("/readyz")[0] == 200
    # Whether the stream survives or is begun anew: a good push is taken.
    rig.revision += 1
    after = rig.world("after")

    def taken():
        newest = rig.control.wait_stream()
        answer = None
        try:
            answer = send_all(rig, newest, after, (EPOCH, 0, rig.revision))
        except AssertionError:
            pass
        return answer is not None and not answer.HasField("error_detail")
    wait_for(taken, "a good push is taken")
    assert rig.edit() == "after"


def test_f12_unknown_types_and_names_are_no_reason_to_fall(rig):
    stream = rig.control.wait_stream()
    good = rig.world("good")
    rig.accept(stream, None, good)
    message = rig.control.response("Teapot", {"x": b"abc"})
    rig.control.send(stream, [message])
    twice = rig.control.response("Endpoints", good.items["Endpoints"])
    twice.resources.add().CopyFrom(twice.resources[0])
    rig.control.send(stream, [twice, rig.control.response("Route", {}, ["never", "was"]),
                              rig.control.response("Backend", {"": b""})])
    assert rig.edit() == "good"
    assert rig.gateway.proxy.running()
