"""Somebody else's ends of delta xDS: grpcio as a data plane on our server, go-control-plane as a control
plane for our client."""
# SPDX-License-Identifier: Apache-2.0
import datetime
import json
import os
import pathlib
import queue
import shutil
import subprocess
import sys
import threading
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "test/peers"))
xds_client = pytest.importorskip("xds_client", reason="grpcio and grpcio-tools are needed")


def build_folder():
    folders = [os.environ.get("NANTIAN_BUILD", ""), str(ROOT / "build/dev"), str(ROOT / "build/release")]
    for folder in filter(None, folders):
        if (pathlib.Path(folder) / "peers/xds_server_main").exists():
            return pathlib.Path(folder) / "peers"
    pytest.fail("xds_server_main is missing: build the peers of test/peers")


class Program:
    """A child that takes lines and says lines; waits are by what it says, never by time."""

    def __init__(self, *command):
        self.child = subprocess.Popen([str(part) for part in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                      text=True, bufsize=1)
        self.lines, self.seen = queue.Queue(), []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.child.stdout:
            self.lines.put(line.rstrip("\n"))
        self.lines.put(None)

    def say(self, line):
        self.child.stdin.write((line if isinstance(line, str) else json.dumps(line)) + "\n")
        self.child.stdin.flush()

    def wait(self, wanted, seconds=20):
        """The next line that starts with `wanted`, or for which it is true."""
        fits = (lambda line: line.startswith(wanted)) if isinstance(wanted, str) else wanted
        end = time.monotonic() + seconds
        while True:
            try:
                line = self.lines.get(timeout=max(0.01, end - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"waited in vain; it said {self.seen[-20:]}") from None
            assert line is not None, f"it ended; it said {self.seen[-20:]}"
            self.seen.append(line)
            if fits(line):
                return line

    def nothing(self, wanted, seconds=0.3):
        """No such line comes for a while."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                line = self.lines.get(timeout=0.05)
            except queue.Empty:
                continue
            self.seen.append(line)
            assert not line.startswith(wanted), line

    def counters(self):
        self.say("counters")
        return {key: int(value) for key, value in
                (pair.split("=") for pair in self.wait("counters").split()[1:])}

    def stop(self):
        self.child.stdin.close()
        assert self.child.wait(20) == 0  # sanitizers speak through the exit status
        self.child.stdout.close()


@pytest.fixture(scope="module")
def schema():
    return xds_client.Schema()


@pytest.fixture
def programs():
    started = []
    yield lambda *command: started.append(Program(*command)) or started[-1]
    failed = []
    for program in reversed(started):
        try:
            program.stop()
        except Exception as error:  # the others must end too
            program.child.kill()
            failed.append(error)
    assert not failed, failed


@pytest.fixture
def server(programs):
    program = programs(build_folder() / "xds_server_main", "127.0.0.1:0")
    program.address = program.wait("listening").split()[1]
    return program


def route(schema, name, **fields):
    return schema.ours("Route")(name=name, kind="HTTPRoute", namespace="default", **fields).SerializeToString()


def put(server, kind, name, content):
    server.say(f"put {kind} {name} {content.hex()}")


def publish(server, revision):
    server.say(f"publish {revision}")
    server.wait("published")


@pytest.fixture
def client(schema, server):
    clients = []

    def connect(**options):
        clients.append(xds_client.Client(schema, server.address, **options))
        return clients[-1]
    yield connect
    for one in clients:
        one.close()


# -- grpcio on our server --


def has(kind, name):
    return lambda client: name in client.resources[kind]


def test_a_stock_client_gets_every_type_the_record_last(schema, server, client):
    put(server, "Route", "r", route(schema, "echo"))
    put(server, "Listener", "l", schema.ours("Listener")(name="http", port=80).SerializeToString())
    put(server, "Secret", "s", schema.ours("Secret")(private_key=b"key").SerializeToString())
    publish(server, 7)
    one = client()
    one.subscribe_all()
    one.wait(has("Snapshot", "snapshot"))
    assert one.kinds() == ["Secret", "Listener", "Route", "Snapshot"]
    assert schema.ours("Route").FromString(one.resources["Route"]["r"][1]).name == "echo"
    record = schema.ours("Snapshot").FromString(one.resources["Snapshot"]["snapshot"][1])
    assert record.version.epoch == 1 and record.version.vector[0].revision == 7
    assert {entry.type.removeprefix(xds_client.CONFIG): entry.count for entry in record.types} == {
        "Secret": 1, "Endpoints": 0, "Backend": 0, "Policy": 0, "Listener": 1, "Route": 1}
    server.wait("ack grpcio-1 1.7")
    server.say("nodes")
    assert "streams=1 product=grpcio applied=1.0.7 refusing=0" in server.wait("node grpcio-1")


def test_one_change_and_one_removal_are_all_that_is_sent(schema, server, client):
    for i in range(200):
        put(server, "Route", f"r{i}", route(schema, f"n{i}"))
    publish(server, 1)
    one = client()
    one.subscribe_all()
    one.wait(has("Snapshot", "snapshot"))
    server.wait("ack")
    before = one.count
    put(server, "Route", "r7", route(schema, "changed"))
    server.say("remove Route r8")
    publish(server, 2)
    server.wait("ack grpcio-1 1.2")
    assert one.count - before == 2 and one.removed == 1  # the route and the record
    assert len(one.resources["Route"]) == 199
    assert schema.ours("Route").FromString(one.resources["Route"]["r7"][1]).name == "changed"
    counters = server.counters()
    assert counters["resources"] == 201 and counters["removed"] == 1 and counters["snapshots"] == 2


def test_what_a_client_states_is_not_sent_again(schema, server, client):
    for i in range(50):
        put(server, "Route", f"r{i}", route(schema, f"n{i}"))
    publish(server, 1)
    first = client()
    first.subscribe_all()
    first.wait(has("Snapshot", "snapshot"))
    server.wait("ack")
    first.close()
    server.wait("leave grpcio-1")
    second = client(held=first.resources)
    second.subscribe_all(state=True)
    server.wait("join grpcio-1")
    second.wait_quiet()
    assert second.responses == []
    put(server, "Route", "r3", route(schema, "changed"))
    publish(server, 2)
    server.wait("ack grpcio-1 1.2")
    assert second.kinds() == ["Route", "Snapshot"] and second.count == 2
    assert second.bytes < 2048


def test_a_refused_snapshot_is_sent_once_and_the_next_one_comes(schema, server, client):
    put(server, "Route", "bad", route(schema, "bad"))
    publish(server, 1)
    one = client()
    one.refuse["Snapshot"] = "Route bad: cannot be compiled"
    one.subscribe_all()
    line = server.wait("nack grpcio-1")
    assert line.endswith("reason=- faults=0 Route bad: cannot be compiled")
    one.wait_quiet()
    assert one.kinds() == ["Route", "Snapshot"]
    del one.refuse["Snapshot"]
    server.say("remove Route bad")
    publish(server, 2)
    server.wait("ack grpcio-1 1.2")
    assert one.kinds() == ["Route", "Snapshot", "Route", "Snapshot"]
    assert one.resources["Route"] == {}


def test_names_can_be_subscribed_and_unsubscribed(schema, server, client):
    put(server, "Route", "a", route(schema, "a"))
    put(server, "Route", "b", route(schema, "b"))
    publish(server, 1)
    one = client()
    one.send("Route", subscribe=["a", "missing"])
    one.wait(has("Route", "a"))
    assert list(one.responses[0].removed_resources) == ["missing"]
    assert "b" not in one.resources["Route"]
    one.send("Route", subscribe=["b"], unsubscribe=["a"])
    one.wait(has("Route", "b"))
    put(server, "Route", "a", route(schema, "changed"))
    publish(server, 2)
    one.wait_quiet()
    assert len(one.responses) == 2


def test_a_foreign_type_is_ignored(schema, server, client):
    put(server, "Route", "a", route(schema, "a"))
    publish(server, 1)
    one = client()
    one.send("", url="type.googleapis.com/envoy.config.cluster.v3.Cluster")
    server.wait("unknown grpcio-1 type.googleapis.com/envoy.config.cluster.v3.Cluster")
    one.send("Route")
    one.wait(has("Route", "a"))


def test_a_large_set_comes_in_pieces_that_a_stock_client_takes(schema, server, client):
    size = 20000
    for at in range(0, size, 1000):
        for i in range(at, at + 1000):
            put(server, "Route", f"r{i}", route(schema, "n" * 400 + str(i)))
        publish(server, at + 1)
    one = client()
    one.subscribe_all()
    one.wait(has("Snapshot", "snapshot"), 60)
    assert len(one.resources["Route"]) == size
    pieces = [response.ByteSize() for response in one.responses]
    assert max(pieces) < 4 << 20 and len(pieces) > 8
    server.wait("ack")


def test_a_client_that_never_answers_is_not_flooded(schema, server, client):
    put(server, "Route", "a", route(schema, "a"))
    publish(server, 1)
    one = client(ack=False)
    one.subscribe_all()
    one.wait(has("Snapshot", "snapshot"))
    for revision in range(2, 300):
        put(server, "Route", "a", route(schema, f"a{revision}"))
        publish(server, revision)
    one.wait_quiet()
    assert len(one.responses) == 2
    one.answer(one.responses[-1])
    one.wait(lambda c: len(c.responses) == 4)
    assert schema.ours("Route").FromString(one.resources["Route"]["a"][1]).name == "a299"


def test_garbage_ends_only_its_own_stream(schema, server, client):
    put(server, "Route", "a", route(schema, "a"))
    publish(server, 1)
    good, bad = client(node="good"), client(node="bad")
    good.subscribe_all()
    good.wait(has("Snapshot", "snapshot"))
    nested = b""
    for _ in range(2000):
        length, head = len(nested), b""
        while length > 127:
            head, length = head + bytes([length & 127 | 128]), length >> 7
        nested = b"\x3a" + head + bytes([length]) + nested
    bad.requests.put(nested + b"\x0a\xff")
    bad.wait(lambda c: False)
    assert bad.error.code().name == "INVALID_ARGUMENT"
    put(server, "Route", "a", route(schema, "b"))
    publish(server, 2)
    good.wait(lambda c: len(c.responses) == 4)


# -- mutual TLS --


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """An authority, a server for localhost, a data plane; and a stranger whom nobody knows."""
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    folder = tmp_path_factory.mktemp("tls")
    now = datetime.datetime.now(datetime.timezone.utc)

    def make(name, issuer=None):
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        issuer_name, signer = issuer or (subject, key)
        certificate = (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer_name)
                       .public_key(key.public_key()).serial_number(x509.random_serial_number())
                       .not_valid_before(now - datetime.timedelta(days=1))
                       .not_valid_after(now + datetime.timedelta(days=1))
                       .add_extension(x509.BasicConstraints(issuer is None, None), critical=True)
                       .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
                       .sign(signer, hashes.SHA256()))
        (folder / f"{name}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        (folder / f"{name}.key").write_bytes(key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        return subject, key
    authority = make("authority")
    make("localhost", authority)
    make("plane", authority)
    make("stranger")
    return folder


@pytest.fixture
def tls_server(programs, certificates):
    program = programs(build_folder() / "xds_server_main", "127.0.0.1:0", certificates / "authority.pem",
                       certificates / "localhost.pem", certificates / "localhost.key")
    program.address = program.wait("listening").split()[1]
    return program


def credentials(folder, name):
    files = [None, None] if name is None else [(folder / f"{name}.key").read_bytes(),
                                               (folder / f"{name}.pem").read_bytes()]
    return xds_client.grpc.ssl_channel_credentials((folder / "authority.pem").read_bytes(), *files)


def test_mutual_tls_lets_in_whom_the_authority_knows(schema, certificates, tls_server, programs):
    put(tls_server, "Route", "r", route(schema, "echo"))
    publish(tls_server, 1)
    address = tls_server.address.replace("127.0.0.1", "localhost")
    known = xds_client.Client(schema, address, credentials=credentials(certificates, "plane"))
    known.subscribe_all()
    known.wait(has("Snapshot", "snapshot"))
    tls_server.wait("ack grpcio-1 1.1")
    known.close()
    for name in (None, "stranger"):
        other = xds_client.Client(schema, address, credentials=credentials(certificates, name))
        other.subscribe_all()
        other.wait(lambda c: False)
        assert other.error.code().name == "UNAVAILABLE"
        other.close()
    ours = programs(build_folder() / "xds_client_main", tls_server.address, "node-7", certificates / "authority.pem",
                    certificates / "plane.pem", certificates / "plane.key", "localhost")
    assert ours.wait("snapshot") == "snapshot 1.0.1 edits 1 total 1"
    tls_server.wait("ack node-7 1.1")
    wrong = programs(build_folder() / "xds_client_main", tls_server.address, "node-8", certificates / "authority.pem",
                     certificates / "plane.pem", certificates / "plane.key", "other.example")
    wrong.nothing("connected")
    tls_server.nothing("join node-8")


# -- go-control-plane for our client --


@pytest.fixture(scope="session")
def go_server(tmp_path_factory):
    if shutil.which("go") is None:
        pytest.fail("go is missing: it is one of test/requirements.txt (tools/install venv)")
    folder = tmp_path_factory.mktemp("xds_go")
    subprocess.run(["go", "build", "-mod=readonly", "-o", folder / "xds_go", "."], cwd=ROOT / "test/peers/xds_go",
                   check=True, timeout=900)
    xds_client.write_descriptors(folder / "all.bin")
    return [folder / "xds_go", "-descriptors", folder / "all.bin"]


class Control:
    def __init__(self, program):
        self.program = program
        self.address = json.loads(program.wait('{"address"'))["address"]

    def op(self, **command):
        self.program.say(command)
        self.program.wait(lambda line: json.loads(line)["event"] in ("done", "error"))
        assert json.loads(self.program.seen[-1])["event"] == "done", self.program.seen[-1]

    def put(self, kind, name, /, **fields):
        self.op(op="put", type=kind, name=name, json=fields)

    def commit(self, revision, **more):
        self.op(op="commit", epoch=more.pop("epoch", 1), revision=revision, **more)

    def event(self, name, **fields):
        def fits(line):
            event = json.loads(line)
            return event["event"] == name and all(event.get(key) == value for key, value in fields.items())
        return json.loads(self.program.wait(fits))


@pytest.fixture
def control(programs, go_server):
    return Control(programs(*go_server))


@pytest.fixture
def plane(programs, control):
    program = programs(build_folder() / "xds_client_main", control.address, "node-7")
    program.wait("connected")
    return program


def dump(plane):
    plane.say("dump")
    plane.wait("dump end")
    end = len(plane.seen) - 1
    start = max((i for i in range(end) if plane.seen[i] == "dump end"), default=-1)
    return {tuple(line.split()[1:3]): bytes.fromhex(line.split()[3])
            for line in plane.seen[start + 1:end] if line.startswith("resource ")}


def test_our_client_adopts_what_a_stock_server_commits(schema, control, plane):
    control.put("Route", "r", name="echo", kind="HTTPRoute", matches=[{"path": {"value": "/a"}}])
    control.put("Listener", "l", name="http", port=80)
    control.commit(3)
    assert plane.wait("snapshot") == "snapshot 1.0.3 edits 2 total 2"
    found = dump(plane)
    assert schema.ours("Route").FromString(found["Route", "r"]).matches[0].path.value == "/a"
    assert schema.ours("Listener").FromString(found["Listener", "l"]).port == 80
    control.put("Route", "r", name="changed")
    control.commit(4)
    assert plane.wait("snapshot") == "snapshot 1.0.4 edits 1 total 2"
    control.op(op="remove", type="Listener", name="l")
    control.commit(5)
    assert plane.wait("snapshot") == "snapshot 1.0.5 edits 1 total 1"


def test_nothing_is_adopted_before_the_record(control, plane):
    for i in range(20):
        control.put("Route", f"r{i}", name=f"n{i}")
    plane.nothing("snapshot")
    assert dump(plane) == {}
    control.commit(1)
    assert plane.wait("snapshot") == "snapshot 1.0.1 edits 20 total 20"


def test_after_a_cut_only_the_differences_are_sent(control, plane):
    for i in range(20):
        control.put("Route", f"r{i}", name=f"n{i}")
    control.commit(1)
    plane.wait("snapshot")
    plane.say("restart")
    plane.wait("disconnected")
    request = control.event("request", stream=2, type=xds_client.URL + "Route")
    assert request["stated"] == 20
    plane.wait("connected")
    before = plane.counters()["resources"]
    control.put("Route", "r3", name="changed")
    control.commit(2)
    assert plane.wait("snapshot") == "snapshot 1.0.2 edits 1 total 20"
    assert plane.counters()["resources"] - before == 2  # the route and the record


def test_a_refusal_names_the_fault_to_a_stock_server(control, plane):
    control.put("Route", "good", name="good")
    control.commit(1)
    plane.wait("snapshot")
    plane.say("dislike bad")
    plane.wait("ok")
    control.put("Route", "bad", name="bad")
    control.commit(2)
    refusal = control.event("request", refusal={
        "offered": {"epoch": "1", "vector": [{"kind": "directory", "revision": "2"}]},
        "held": {"epoch": "1", "vector": [{"kind": "directory", "revision": "1"}]},
        "faults": [{"type": "nantian.config.v1.Route", "resource": "bad", "field": "name",
                    "reason": "the name is disliked", "hint": "Take another."}],
        "reason": "invalid"})
    assert refusal["error"] == ("snapshot 1.0.2 refused (invalid), holding 1.0.1: "
                                "Route bad name: the name is disliked")
    assert set(dump(plane)) == {("Route", "good")}
    control.op(op="remove", type="Route", name="bad")
    control.commit(3)
    plane.wait("same 3")  # what runs already, under a newer version
    assert set(dump(plane)) == {("Route", "good")}


def test_older_records_are_refused_a_hundred_times(control, plane):
    control.put("Route", "r", name="new")
    control.commit(1000)
    plane.wait("snapshot 1.0.1000")
    for revision in range(900, 1000):
        control.put("Route", "r", name=f"old {revision}")
        control.commit(revision)
        plane.wait(f"refused older snapshot 1.0.{revision} ")
    counters = plane.counters()
    assert counters["refused_older"] >= 100 and counters["snapshots"] == 1
    control.put("Route", "r", name="restored")
    control.commit(1, epoch=2)
    plane.wait("snapshot 2.0.1 edits 1")


@pytest.mark.parametrize("lie, reason", [("digest", "digest"), ("count", "incomplete")])
def test_a_record_that_lies_is_refused_and_the_truth_goes_live(control, plane, lie, reason):
    control.put("Route", "r", name="one")
    control.commit(1)
    plane.wait("snapshot 1.0.1")
    control.put("Route", "r", name="two")
    control.commit(2, lie=lie)
    plane.wait(f"refused {reason} snapshot 1.0.2")
    plane.wait("disconnected the snapshot does not fit")
    control.commit(3)
    plane.wait("snapshot 1.0.3 edits 1")


def test_the_server_dies_and_another_takes_its_place(programs, go_server, control, plane):
    control.put("Route", "r", name="one")
    control.commit(1)
    plane.wait("snapshot 1.0.1")
    control.program.child.kill()
    control.program.child.wait(20)
    plane.wait("disconnected")
    assert set(dump(plane)) == {("Route", "r")}
    next_control = Control(programs(*go_server, "-listen", control.address))
    next_control.put("Route", "s", name="two")
    next_control.commit(2)
    plane.wait("snapshot 1.0.2")
    assert set(dump(plane)) == {("Route", "s")}
    control.program.child.wait = lambda _=None: 0  # it was killed on purpose
