"""A third-party data plane: a generic delta ADS client on grpcio, with messages made at test time from
api/proto. A library for test/e2e/test_xds_peers.py; by hand: python3 xds_client.py ADDRESS."""
# SPDX-License-Identifier: Apache-2.0
import os
import pathlib
import queue
import sys
import tempfile
import threading
import time

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc_tools import protoc

ROOT = pathlib.Path(__file__).resolve().parents[2]
METHOD = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
CONFIG = "nantian.config.v1."
URL = "type.googleapis.com/" + CONFIG
TYPES = ["Secret", "Endpoints", "Backend", "Policy", "Listener", "Route", "Snapshot"]


def write_descriptors(path):
    """A FileDescriptorSet of all our protos, their imports included."""
    protos = sorted((ROOT / "api/proto").rglob("*.proto"))
    well_known = pathlib.Path(protoc.__file__).parent / "_proto"
    code = protoc.main(["protoc", "-I", str(ROOT / "api/proto"), "-I", str(well_known), "--include_imports",
                        f"--descriptor_set_out={path}", *map(str, protos)])
    if code != 0:
        raise RuntimeError("api/proto cannot be compiled")


class Schema:
    def __init__(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "all.bin")
            write_descriptors(path)
            found = descriptor_pb2.FileDescriptorSet.FromString(pathlib.Path(path).read_bytes())
        self.pool = descriptor_pool.DescriptorPool()
        for file in found.file:
            self.pool.Add(file)
        self.Request = self.message("envoy.service.discovery.v3.DeltaDiscoveryRequest")
        self.Response = self.message("envoy.service.discovery.v3.DeltaDiscoveryResponse")

    def message(self, name):
        return message_factory.GetMessageClass(self.pool.FindMessageTypeByName(name))

    def ours(self, kind):
        return self.message(CONFIG + kind)


class Client:
    """One stream. Acknowledges by itself, unless a response's type stands in `refuse`."""

    def __init__(self, schema, address, node="grpcio-1", ack=True, held=None, credentials=None):
        self.schema, self.node, self.ack = schema, node, ack
        self.resources = held if held is not None else {kind: {} for kind in TYPES}  # name -> (version, bytes)
        self.refuse, self.responses, self.error = {}, [], None
        self.bytes = self.count = self.removed = 0
        self.requests, self.changed = queue.Queue(), threading.Condition()
        self.channel = (grpc.insecure_channel(address) if credentials is None
                        else grpc.secure_channel(address, credentials))
        self.call = self.channel.stream_stream(
            METHOD, request_serializer=lambda m: m if isinstance(m, bytes) else m.SerializeToString(),
            response_deserializer=self._parse)(iter(self.requests.get, None))
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _parse(self, wire):
        self.bytes += len(wire)
        return self.schema.Response.FromString(wire)

    def _read(self):
        try:
            for response in self.call:
                with self.changed:
                    self._take(response)
                    self.changed.notify_all()
        except grpc.RpcError as error:
            with self.changed:
                self.error = error
                self.changed.notify_all()

    def _take(self, response):
        kind = response.type_url.removeprefix(URL)
        self.responses.append(response)
        words = self.refuse.get(kind)
        if words is None:
            for one in response.resources:
                assert one.resource.type_url == response.type_url
                self.resources[kind][one.name] = (one.version, one.resource.value)
            for name in response.removed_resources:
                self.resources[kind].pop(name, None)
            self.count += len(response.resources)
            self.removed += len(response.removed_resources)
        if self.ack:
            self.answer(response, words)

    def answer(self, response, words=None):
        request = self.schema.Request(type_url=response.type_url, response_nonce=response.nonce)
        if words is not None:
            request.error_detail.code = 3
            request.error_detail.message = words
        self.requests.put(request)

    def send(self, kind, subscribe=(), unsubscribe=(), state=False, url=None):
        request = self.schema.Request(type_url=url or URL + kind, resource_names_subscribe=subscribe,
                                      resource_names_unsubscribe=unsubscribe)
        request.node.id = self.node
        request.node.user_agent_name = "grpcio"
        for name, (version, _) in (self.resources[kind] if state else {}).items():
            request.initial_resource_versions[name] = version
        self.requests.put(request)

    def subscribe_all(self, state=False):
        for kind in TYPES:
            self.send(kind, state=state)

    def wait(self, condition, seconds=20):
        with self.changed:
            if not self.changed.wait_for(lambda: self.error is not None or condition(self), seconds):
                raise TimeoutError([(r.type_url, len(r.resources)) for r in self.responses])
        return self

    def wait_quiet(self, seconds=0.3):
        """Nothing comes for a while: for what must not happen."""
        seen = -1
        while seen != len(self.responses):
            seen = len(self.responses)
            with self.changed:
                self.changed.wait_for(lambda: len(self.responses) != seen, seconds)

    def kinds(self):
        return [response.type_url.removeprefix(URL) for response in self.responses]

    def close(self):
        self.requests.put(None)
        self.call.cancel()
        self.channel.close()
        self.reader.join(10)


if __name__ == "__main__":
    client = Client(Schema(), sys.argv[1])
    client.subscribe_all()
    while client.error is None:
        time.sleep(1)
        print({kind: len(found) for kind, found in client.resources.items()}, client.bytes, "bytes")
    print(client.error)
