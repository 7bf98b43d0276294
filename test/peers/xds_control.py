"""A third-party control plane on grpcio that says exactly what a test wants: good sets, stale ones,
half ones, garbage. Uses the messages that xds_client.py makes from api/proto."""
# SPDX-License-Identifier: Apache-2.0
import concurrent.futures
import ctypes
import itertools
import queue
import threading

import grpc
from xds_client import METHOD, TYPES, URL, Schema


class _Hash(ctypes.Structure):
    _fields_ = [("low", ctypes.c_uint64), ("high", ctypes.c_uint64)]


_xxh = ctypes.CDLL("libxxhash.so.0").XXH3_128bits
_xxh.restype, _xxh.argtypes = _Hash, [ctypes.c_char_p, ctypes.c_size_t]


def digest(data):
    found = _xxh(data, len(data))
    return found.high, found.low


def add(a, b):
    return (a[0] + b[0]) & (2**64 - 1), (a[1] + b[1]) & (2**64 - 1)


class World:
    """A set of resources: kind -> name -> bytes."""

    def __init__(self, schema):
        self.schema = schema
        self.items = {kind: {} for kind in TYPES if kind != "Snapshot"}

    def put(self, kind, name, /, **fields):
        message = self.schema.ours(kind)(**fields)
        self.items[kind][name] = message.SerializeToString(deterministic=True)
        return message

    def put_bytes(self, kind, name, data):
        self.items[kind][name] = data

    def get(self, kind, name):
        return self.schema.ours(kind).FromString(self.items[kind][name])

    def copy(self):
        other = World(self.schema)
        other.items = {kind: dict(found) for kind, found in self.items.items()}
        return other

    def record(self, version, **wrong):
        """The commit record's bytes; `wrong` replaces what it says of itself."""
        record = self.schema.ours("Snapshot")()
        epoch, hold, *vector = version
        record.version.epoch, record.version.hold = epoch, hold
        for revision in vector:
            record.version.vector.add(kind="directory", revision=revision)
        sums = []
        for kind in sorted(self.items):
            found = (0, 0)
            for name, data in self.items[kind].items():
                found = add(found, digest(name.encode() + b"\0" + data))
            count = len(self.items[kind])
            entry = record.types.add(type="nantian.config.v1." + kind, count=count)
            entry.digest.high, entry.digest.low = found
            if count:
                sums.append((entry.type, count, found))
        high, low = _snapshot_digest(sums)
        record.digest.high, record.digest.low = wrong.get("digest", (high, low))
        if "type_digest" in wrong:
            entry = next(e for e in record.types if e.type.endswith(wrong["type_digest"]))
            entry.digest.low ^= 1
        return record.SerializeToString(deterministic=True)


def _snapshot_digest(sums):
    """As src/schema/digest.c: over all types with resources, in order of their names."""
    data = b"".join(name.encode() + b"\0" + count.to_bytes(8, "little") +
                    found[0].to_bytes(8, "little") + found[1].to_bytes(8, "little")
                    for name, count, found in sorted(sums))
    return digest(data)


class Stream:
    """One stream of a data plane: what it said, and what it is told."""

    def __init__(self, context):
        self.context, self.out, self.requests = context, queue.Queue(), []
        self.held = {}  # kind -> name -> version, as stated when it subscribed
        self.ended = False


class Control:
    """Listens on a Unix socket; one data plane at a time is expected."""

    def __init__(self, path, schema=None):
        self.schema = schema or Schema()
        self.changed, self.streams = threading.Condition(), []
        self.nonces = itertools.count(1)
        self.address = f"unix:{path}"
        self.server = None

    def start(self):
        handler = grpc.stream_stream_rpc_method_handler(
            self._serve, request_deserializer=self.schema.Request.FromString,
            response_serializer=lambda m: m if isinstance(m, bytes) else m.SerializeToString())
        service, method = METHOD.strip("/").split("/")
        self.server = grpc.server(concurrent.futures.ThreadPoolExecutor(16))
        self.server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(service, {method: handler}),))
        self.server.add_insecure_port(self.address)
        self.server.start()
        return self

    def stop(self):
        for stream in self.streams:
            stream.out.put(None)
        if self.server:
            self.server.stop(None).wait(10)

    def _serve(self, requests, context):
        stream = Stream(context)
        threading.Thread(target=self._read, args=(stream, requests), daemon=True).start()
        while (message := stream.out.get()) is not None:
            yield message

    def _read(self, stream, requests):
        try:
            for request in requests:
                with self.changed:
                    kind = request.type_url.removeprefix(URL)
                    if not request.response_nonce:
                        stream.held[kind] = dict(request.initial_resource_versions)
                        if len(stream.held) == 1:
                            self.streams.append(stream)
                    stream.requests.append(request)
                    self.changed.notify_all()
        except Exception:  # pylint: disable=broad-except
            pass  # grpcio tells the end of a stream in many ways
        with self.changed:
            stream.ended = True
            stream.out.put(None)
            self.changed.notify_all()

    def _wait(self, condition, what, seconds=20):
        with self.changed:
            if not self.changed.wait_for(condition, seconds):
                raise AssertionError(f"the data plane never {what}")

    def wait_stream(self, after=None):
        """The newest stream, fully subscribed, other than `after`."""
        self._wait(lambda: self.streams and self.streams[-1] is not after and
                   not self.streams[-1].ended and len(self.streams[-1].held) == len(TYPES),
                   "came back")
        return self.streams[-1]

    def response(self, kind, resources=(), removed=(), versions=None):
        message = self.schema.Response(type_url=URL + kind, nonce=str(next(self.nonces)),
                                       removed_resources=removed, system_version_info="test")
        for name, data in dict(resources).items():
            one = message.resources.add(name=name, version=(versions or {}).get(name) or
                                        "%016x%016x" % digest(data))
            one.resource.type_url, one.resource.value = URL + kind, data
        return message

    def push(self, stream, before, after, version, **wrong):
        """The messages that lead from one World to another, the commit record last."""
        messages = []
        for kind in [k for k in TYPES if k != "Snapshot"]:
            old, new = (before.items[kind] if before else {}), after.items[kind]
            changed = {n: d for n, d in new.items() if old.get(n) != d}
            removed = [n for n in old if n not in new]
            if changed or removed:
                messages.append(self.response(kind, changed, removed))
        messages.append(self.response("Snapshot", {"snapshot": after.record(version, **wrong)}))
        return messages

    def send(self, stream, messages):
        for message in messages:
            stream.out.put(message)

    def answer_to(self, stream, message, seconds=20):
        """The ACK or NACK of a response that was sent."""
        def found():
            return next((r for r in stream.requests if r.response_nonce == message.nonce), None)
        self._wait(lambda: found() is not None or stream.ended, "answered", seconds)
        return found()

    def offer(self, stream, before, after, version, **wrong):
        """Pushes; the answer to the commit record."""
        messages = self.push(stream, before, after, version, **wrong)
        self.send(stream, messages)
        return self.answer_to(stream, messages[-1])

    def refusal(self, answer):
        """The Refusal in a NACK."""
        for detail in answer.error_detail.details:
            if detail.type_url.endswith("nantian.config.v1.Refusal"):
                return self.schema.ours("Refusal").FromString(detail.value)
        return None
