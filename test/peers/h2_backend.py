"""A scripted HTTP/2 backend (hyper-h2), in the clear: echoes heads as JSON, or misbehaves."""
# SPDX-License-Identifier: Apache-2.0
import asyncio
import json
import threading

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings


def h2_service(name, *ports):
    """A Service whose port speaks HTTP/2 in the clear."""
    where = ",".join(f"127.0.0.1:{port}" for port in ports)
    return {"apiVersion": "v1", "kind": "Service",
            "metadata": {"name": name, "namespace": "default",
                         "annotations": {"gateway.nantian.dev/addresses": where}},
            "spec": {"ports": [{"port": 80, "appProtocol": "kubernetes.io/h2c"}]}}


class Peer(asyncio.Protocol):
    """One connection."""

    def __init__(self, backend):
        self.backend, self.transport, self.requests, self.served = backend, None, {}, 0
        self.waiting, self.gone = {}, False
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(
            client_side=False, header_encoding="utf-8", validate_outbound_headers=False))

    def connection_made(self, transport):
        self.transport = transport
        self.backend.connections += 1
        self.backend.peers.add(self)
        self.h2.initiate_connection()
        if self.backend.limit is not None:
            self.h2.update_settings(
                {h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: self.backend.limit})
        self.flush()

    def connection_lost(self, exc):
        self.backend.peers.discard(self)

    def flush(self):
        self.transport.write(self.h2.data_to_send())

    def data_received(self, data):
        try:
            for event in self.h2.receive_data(data):
                self.take(event)
        except h2.exceptions.TooManyStreamsError:
            pass  # sent before our SETTINGS were read; h2 answers it as an error of the connection
        except h2.exceptions.ProtocolError as error:
            self.backend.errors.append(repr(error))
        self.flush()
        if self.gone and not self.requests and not self.waiting:
            self.transport.close()

    def take(self, event):
        stream = getattr(event, "stream_id", 0)
        if isinstance(event, h2.events.RequestReceived):
            self.begin(stream, event)
        elif isinstance(event, h2.events.DataReceived) and stream in self.requests:
            self.requests[stream]["size"] += len(event.data)
            if not self.backend.hold:
                self.h2.acknowledge_received_data(event.flow_controlled_length, stream)
        elif isinstance(event, h2.events.TrailersReceived) and stream in self.requests:
            self.requests[stream]["trailers"] = event.headers
        elif isinstance(event, h2.events.StreamEnded) and stream in self.requests:
            self.answer(stream, self.requests.pop(stream))
        elif isinstance(event, h2.events.StreamReset):
            self.requests.pop(stream, None)
            self.waiting.pop(stream, None)
        elif isinstance(event, h2.events.WindowUpdated):
            for each in list(self.waiting):
                self.push(each)

    def begin(self, stream, event):
        backend = self.backend
        backend.streams += 1
        if backend.refuse is not None:
            self.h2.reset_stream(stream, backend.refuse)
            return
        if self.gone:
            return
        self.requests[stream] = {**dict(event.headers), "size": 0, "trailers": []}
        backend.most_streams = max(backend.most_streams, self.h2.open_inbound_streams)
        self.served += 1
        if backend.goaway_after is not None and self.served >= backend.goaway_after:
            self.gone = True
            self.h2.close_connection(last_stream_id=stream)
            self.h2.state_machine.state = h2.connection.ConnectionState.SERVER_OPEN

    def answer(self, stream, got):
        self.h2.send_headers(stream, [(":status", "200"), ("content-type", "application/json")])
        self.waiting[stream] = json.dumps(got).encode()
        self.push(stream)

    def push(self, stream):
        rest, trailers = self.waiting[stream], self.backend.trailers
        room = self.h2.local_flow_control_window(stream)
        size = min(room, len(rest), self.h2.max_outbound_frame_size)
        last = size == len(rest)
        self.h2.send_data(stream, rest[:size], end_stream=last and not trailers)
        self.waiting[stream] = rest[size:]
        if last and trailers:
            self.h2.send_headers(stream, trailers, end_stream=True)
        if last:
            del self.waiting[stream]
        elif size > 0:
            self.push(stream)


class H2Backend:
    """In a thread of its own. `refuse` resets every stream with that code; `goaway_after` sends
    GOAWAY with the n-th request; `streams` is MAX_CONCURRENT_STREAMS; `hold` opens no windows."""

    def __init__(self, refuse=None, goaway_after=None, streams=None, hold=False, trailers=()):
        self.refuse, self.goaway_after, self.hold = refuse, goaway_after, hold
        self.limit, self.trailers = streams, list(trailers)
        self.connections = self.streams = self.most_streams = 0
        self.errors, self.peers = [], set()
        self.loop = asyncio.new_event_loop()
        ready = threading.Event()
        self.thread = threading.Thread(target=self._run, args=(ready,), daemon=True)
        self.thread.start()
        if not ready.wait(10):
            raise RuntimeError("the backend does not start")

    def _run(self, ready):
        asyncio.set_event_loop(self.loop)
        server = self.loop.run_until_complete(
            self.loop.create_server(lambda: Peer(self), "127.0.0.1", 0, backlog=1024))
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        self.loop.run_forever()
        server.close()
        for peer in list(self.peers):
            peer.transport.abort()
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _call(self, function):
        done = threading.Event()

        def run():
            function()
            done.set()
        self.loop.call_soon_threadsafe(run)
        done.wait(10)

    def drop(self):
        """Closes every connection."""
        self._call(lambda: [peer.transport.close() for peer in self.peers])

    def allow(self, streams):
        """Another MAX_CONCURRENT_STREAMS, also on the connections that are open."""
        def change():
            self.limit = streams
            for peer in self.peers:
                peer.h2.update_settings(
                    {h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: streams})
                peer.flush()
        self._call(change)

    def close(self):
        if self.thread.is_alive():
            self.loop.call_soon_threadsafe(self.loop.stop)
            self.thread.join(10)
