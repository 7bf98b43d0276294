"""A raw HTTP/2 client (hyper-h2) that hides nothing."""
# SPDX-License-Identifier: Apache-2.0
import h2.config
import h2.connection
import h2.events


class Answered:
    def __init__(self):
        self.status, self.head, self.body, self.trailers, self.reset = 0, {}, b"", [], None
        self.ended = False


class H2Client:
    """One connection, one request at a time, nothing hidden."""

    def __init__(self, sock):
        self.socket = sock
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(
            client_side=True, header_encoding="utf-8", validate_outbound_headers=False))
        self.h2.initiate_connection()
        self.flush()
        self.goaway, self.others = None, set()

    def flush(self):
        self.socket.sendall(self.h2.data_to_send())

    def send(self, host, path="/", method="GET", headers=(), end=True, scheme="https"):
        stream = self.h2.get_next_available_stream_id()
        self.h2.send_headers(stream, [(":method", method), (":scheme", scheme), (":path", path),
                                      (":authority", host), *headers], end_stream=end)
        self.flush()
        return stream

    def get(self, host, **options):
        return self.read(self.send(host, **options))

    def read(self, stream):
        answer = Answered()
        while not answer.ended and answer.reset is None:
            data = self.socket.recv(65536)
            if not data:
                raise EOFError(answer.__dict__)
            for event in self.h2.receive_data(data):
                self.take(event, stream, answer)
            self.flush()
        return answer

    def take(self, event, stream, answer):
        if isinstance(event, h2.events.ConnectionTerminated):
            self.goaway = event
        if isinstance(event, h2.events.StreamEnded) and event.stream_id != stream:
            self.others.add(event.stream_id)
        if getattr(event, "stream_id", None) != stream:
            return
        if isinstance(event, h2.events.ResponseReceived):
            answer.head = dict(event.headers)
            answer.status = int(answer.head[":status"])
        elif isinstance(event, h2.events.DataReceived):
            answer.body += event.data
            self.h2.acknowledge_received_data(event.flow_controlled_length, stream)
        elif isinstance(event, h2.events.TrailersReceived):
            answer.trailers = event.headers
        elif isinstance(event, h2.events.StreamEnded):
            answer.ended = True
        elif isinstance(event, h2.events.StreamReset):
            answer.reset = event.error_code
