#!/usr/bin/env python3
"""Seeded HTTP/2 requests through a gateway (threat T02): every byte at the ends and in the middle of
every name and value, then lists and framings that RFC 9113 forbids or that HTTP/1 would read in
another way. What reaches the backend, over HTTP/1 or HTTP/2, must be what hyper-h2 reads in the
client's bytes, and nothing of what it refuses; behind each goes an honest request.

Prints every disagreement with its number (--only NUMBER repeats it) and "N passed, N failed"; exits
1 if any failed.  SPDX-License-Identifier: Apache-2.0
"""
import argparse
import random
import re
import socket
import struct
import sys
import time

import compose
import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2_rows
import hpack
import mutate
from h2_rows import DATA, END, END_HEADERS, HEADERS, PREFACE, PRIORITY, SETTINGS, frame

CONTINUATION, PADDED, PRIORITIZED = h2_rows.CONTINUATION, 8, 32
FIELDS = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/a/b?q=1"), (b":authority", b"a.example"),
          (b"x-name", b"value"), (b"cookie", b"a=b"), (b"content-type", b"text/plain"), (b"content-length", b"5"),
          (b"te", b"trailers"), (b"host", b"a.example"), (b"user-agent", b"t/1")]
PLACES = len(FIELDS) * 2 * 3 * 2  # field, name or value, where, put in or put over
ODD_FIELDS = [
    (b"connection", b"close"), (b"connection", b"x-name"), (b"keep-alive", b"1"), (b"proxy-connection", b"close"),
    (b"transfer-encoding", b"chunked"), (b"transfer-encoding", b""), (b"upgrade", b"h2c"), (b"te", b"chunked"),
    (b"te", b"trailers, gzip"), (b"te", b""), (b"content-length", b"6"), (b"content-length", b"5"),
    (b"content-length", b"+5"), (b"content-length", b"05"), (b"content-length", b"5,5"), (b"content-length", b""),
    (b"content-length", b"18446744073709551621"), (b"host", b"b.example"), (b"host", b""), (b"host", b"a.example:80"),
    (b":path", b"/b"), (b":method", b"GET"), (b":authority", b"b.example"), (b":scheme", b"https"),
    (b":status", b"200"), (b":protocol", b"websocket"), (b":foo", b"x"), (b"", b"x"), (b":", b"x"),
    (b"X-Upper", b"x"), (b"x_low", b"y"), (b"content_length", b"9"), (b"x y", b"z"), (b"x:y", b"z"), (b"x", b" y"),
    (b"x", b"y "), (b"x", b"\ty"), (b"x", b"y\r\nHost: b"), (b"x", b"y\0"), (b"x", b"y\n z"), (b"expect", b"100-continue"),
    (b"expect", b"x"), (b"trailer", b"content-length"), (b"cookie", b"c=d"), (b"cookie", b""), (b"http2-settings", b"AA"),
    (b"x-forwarded-for", b"1.1.1.1"), (b"x-request-id", b"1"), (b"content-length\r\nx", b"5"), (b"range", b"bytes=0-")]
TRAILERS = [(b"x-t", b"1"), (b":path", b"/x"), (b"content-length", b"3"), (b"transfer-encoding", b"chunked"),
            (b"host", b"b"), (b"X-T", b"1"), (b"connection", b"close"), (b"x-t", b"a\r\nb"), (b"te", b"gzip"),
            (b"", b""), (b"authorization", b"x"), (b"x_t", b"1")]
MARKER = b"/marker"


class Said:
    """The frames of one stream."""

    def __init__(self, rng):
        self.rng, self.encoder, self.out = rng, hpack.Encoder(), b""

    def block(self, fields):
        """In one of the encodings that HPACK has; the dynamic table is used, and resized."""
        how = self.rng.choice(("plain", "plain", "hpack", "indexed", "resized"))
        if how == "resized":
            self.encoder.header_table_size = self.rng.choice((0, 100, 4096))
        if how == "plain":
            return h2_rows.block(fields)
        never = how == "hpack" and self.rng.random() < 0.3
        return self.encoder.encode([hpack.NeverIndexedHeaderTuple(*f) if never else f for f in fields],
                                   huffman=self.rng.random() < 0.5)

    def head(self, stream, fields, end, plain=False):
        load = h2_rows.block(fields) if plain else self.block(fields)
        cuts = [] if plain else sorted(self.rng.randrange(len(load) + 1)
                                       for _ in range(self.rng.choice((0, 0, 0, 1, 3))))
        pieces = [load[begin:to] for begin, to in zip([0, *cuts], [*cuts, len(load)])]
        flags, first = END if end else 0, pieces[0]
        if not plain and self.rng.random() < 0.2:
            first, flags = struct.pack(">IB", 0, 15) + first, flags | PRIORITIZED
        # hyperframe refuses padding alone, which RFC 9113 6.2 allows: it "exceeds" nothing.
        if not plain and self.rng.random() < 0.2 and first:
            pad = self.rng.choice((0, 1, 255))
            first, flags = bytes([pad]) + first + bytes(pad), flags | PADDED
        self.out += frame(HEADERS, flags | (END_HEADERS if len(pieces) == 1 else 0), stream, first)
        for i, piece in enumerate(pieces[1:], 2):
            self.out += frame(CONTINUATION, END_HEADERS if i == len(pieces) else 0, stream, piece)

    def body(self, stream, data, end):
        cut = self.rng.randrange(len(data) + 1)
        for piece, last in ((data[:cut], False), (data[cut:], end)):
            flags = END if last else 0
            if self.rng.random() < 0.2:
                piece, flags = bytes([3]) + piece + bytes(3), flags | PADDED
            self.out += frame(DATA, flags, stream, piece)


def with_byte(number):
    """The number's byte at the number's place in the usual list."""
    byte, place = bytes([number % 256]), number // 256
    over, place = place % 2, place // 2
    where, place = place % 3, place // 3
    in_value, at_field = place % 2, place // 2
    fields = [list(field) for field in FIELDS]
    text = fields[at_field][in_value]
    at = (0, len(text) // 2, len(text))[where]
    if over:
        at = min(at, len(text) - 1)
    fields[at_field][in_value] = text[:at] + byte + text[at + over:]
    return [tuple(field) for field in fields]


def composed(rng):
    """(fields, body, trailers): one to three things are odd."""
    fields = [field for field in FIELDS if field[0][:1] == b":" or rng.random() < 0.4]
    body, trailers = b"hello", []
    for _ in range(rng.choice((1, 1, 2, 3))):
        kind, at = rng.randrange(9), rng.randrange(len(fields))
        if kind == 0:
            fields.insert(rng.randrange(len(fields) + 1), rng.choice(ODD_FIELDS))
        elif kind == 1:
            fields.insert(rng.randrange(4, len(fields) + 1) if len(fields) > 4 else 0, rng.choice(ODD_FIELDS))
        elif kind == 2 and len(fields) > 1:
            del fields[at]
        elif kind == 3:
            fields[at] = (fields[at][0], rng.choice((b"", fields[at][1] * 2, fields[at][1].upper(), b" " + fields[at][1])))
        elif kind == 4:
            fields = [(n, rng.choice(compose.ODD_TARGETS) if n == b":path" else v) for n, v in fields]
        elif kind == 5:
            host = rng.choice(compose.HOSTS).partition(b":")[2].strip(b" \t").partition(b"\r")[0]
            fields = [(n, host if n == b":authority" else v) for n, v in fields]
        elif kind == 6:
            fields = [(n, rng.choice(compose.ODD_METHODS + [b"GET", b"HEAD", b"OPTIONS"]) if n == b":method" else v)
                      for n, v in fields]
        elif kind == 7:
            trailers = [rng.choice(TRAILERS) for _ in range(rng.choice((1, 1, 2)))]
        else:
            body = rng.choice((b"", b"hell", b"hello!", b"0\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n"))
    if rng.random() < 0.2:
        rng.shuffle(fields)
    return fields, body, trailers


def said(options, number):
    """(the bytes of a connection, the list that it carries)."""
    rng = random.Random(options.seed * 1000003 + number)
    rpc = [(b"content-type", b"application/grpc")] if rng.random() < 0.2 else []
    fields, body, trailers = (with_byte(number), b"hello", []) if number < PLACES * 256 and options.bytes else \
        composed(rng)
    fields.append((b"x-number", b"%d" % number))
    if rpc and not any(name == b"content-type" for name, _ in fields):
        fields += rpc
    it = Said(rng)
    it.out = PREFACE + frame(SETTINGS)
    if rng.random() < 0.1:
        it.out += frame(PRIORITY, 0, 3, struct.pack(">IB", 0, 1))
    bare = not body and not trailers
    it.head(1, fields, bare and rng.random() < 0.7)
    ends = it.out.count(b"") and bare
    if not bare or not ends:
        it.body(1, body, not trailers)
    if trailers:
        it.head(1, trailers, rng.random() < 0.9)
    it.head(3, h2_rows.start(path=(MARKER + b"/%d" % number).decode()), True, plain=True)
    return it.out, fields


# ---- readers ----

def server():
    return h2.connection.H2Connection(h2.config.H2Configuration(
        client_side=False, header_encoding=None, validate_inbound_headers=True))


class Seen:
    """What hyper-h2 reads: streams that are whole, and those that broke the rules."""

    def __init__(self):
        self.h2, self.streams, self.whole, self.why = server(), {}, [], None
        self.h2.initiate_connection()

    def feed(self, data):
        try:
            events = self.h2.receive_data(data)
        except (h2.exceptions.ProtocolError, UnicodeDecodeError, ValueError, IndexError, KeyError) as error:
            self.why = f"{type(error).__name__}: {error}"
            return
        for event in events:
            stream = getattr(event, "stream_id", None)
            if isinstance(event, h2.events.RequestReceived):
                self.streams[stream] = {"fields": [tuple(map(bytes, f)) for f in event.headers], "body": b"",
                                        "trailers": []}
            elif isinstance(event, h2.events.DataReceived):
                self.streams[stream]["body"] += event.data
                self.h2.acknowledge_received_data(event.flow_controlled_length, stream)
            elif isinstance(event, h2.events.TrailersReceived):
                self.streams[stream]["trailers"] = [tuple(map(bytes, f)) for f in event.headers]
            elif isinstance(event, h2.events.StreamEnded):
                self.whole.append(stream)


def message_of(stream):
    """In the shape of mutate.py's."""
    fields = dict(reversed([f for f in stream["fields"] if f[0][:1] == b":"]))
    rest = [f for f in stream["fields"] if f[0][:1] != b":"]
    host = fields.get(b":authority") or dict(reversed(rest)).get(b"host", b"")
    return {"method": fields.get(b":method", b""), "url": fields.get(b":path", b""), "body": stream["body"],
            "fields": [(b"host", host), *((n, v) for n, v in rest if n != b"host")]}


class H2Backend(mutate.Backend):
    """Takes what hyper-h2 takes; answers with its number."""

    def _serve(self, connection):
        reading = Seen()
        try:
            connection.sendall(reading.h2.data_to_send())
            while more := connection.recv(65536):
                reading.feed(more)
                if reading.why:
                    self.wrong.append(f"hyper-h2 at the backend: {reading.why} in {more!r}")
                    return
                for stream in reading.whole:
                    with self.lock:
                        self.seen.append(message_of(reading.streams.pop(stream)))
                        number = len(self.seen) - 1
                    reading.h2.send_headers(stream, [(":status", "200"), ("x-seen", str(number))], end_stream=True)
                reading.whole.clear()
                connection.sendall(reading.h2.data_to_send())
        except OSError:
            pass
        finally:
            connection.close()


# ---- the client ----

def talk(options, payload):
    """Until both are answered, the connection ends, or only the marker is answered for a while:
    {stream: (status or "RST", number at the backend)}, perhaps with "GOAWAY"."""
    client = h2.connection.H2Connection(h2.config.H2Configuration(
        client_side=True, header_encoding=None, validate_inbound_headers=False))
    client.initiate_connection()
    # hyper-h2 only reads here: it is told of streams that it did not open itself.
    for _ in (1, 3):
        client.send_headers(client.get_next_available_stream_id(), [
            (":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a")], end_stream=True)
    answers = {}
    with socket.create_connection(("127.0.0.1", options.port), timeout=20) as connection:
        connection.sendall(payload)
        try:
            while not {1, 3} <= set(answers) and (more := connection.recv(65536)):
                for event in client.receive_data(more):
                    if isinstance(event, h2.events.ResponseReceived):
                        fields = dict(map(tuple, event.headers))
                        answers[event.stream_id] = (int(fields[b":status"]), fields.get(b"x-seen"))
                    elif isinstance(event, h2.events.StreamReset):
                        answers.setdefault(event.stream_id, ("RST", None))
                    elif isinstance(event, h2.events.ConnectionTerminated):
                        answers["GOAWAY"] = event.error_code
                if 3 in answers:
                    connection.settimeout(0.2)
        except (ConnectionError, TimeoutError, h2.exceptions.ProtocolError):
            pass
    return answers


OURS = {b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-forwarded-port", b"x-request-id",
        b"traceparent", b"host", b"content-length", b"transfer-encoding", b"te", b"connection", b"expect", b"cookie",
        b"trailer", b"x-number"}


def is_fine(why):
    """hyper-h2 compares :authority and Host letter by letter, where case means nothing; and it joins
    empty cookies with others, then refuses the blank that it wrote itself."""
    if re.search(r"surrounded by whitespace b'(; .*|.*; )'$", why or ""):
        return True
    match = re.search(r"mismatched :authority and Host headers: (b'.*') / (b'.*')", why or "")
    return match is not None and match[1].lower() == match[2].lower()


def judge(number, payload, answers, seen):
    """Why it fails, or None."""
    marker = MARKER + b"/%d" % number
    reading = Seen()
    reading.feed(payload)
    here = [message for message in seen if message["url"] != marker]
    if len(seen) - len(here) > 1:
        return "the marker came twice"
    if 3 not in answers and "GOAWAY" not in answers:
        return f"neither an answer to the marker nor GOAWAY: {answers}"
    if len(here) > 1:
        return "two messages at the backend"
    if not here:
        return None
    if 1 not in reading.streams:
        return None if is_fine(reading.why) else f"the gateway sent on what is refused: {reading.why}"
    want, got = message_of(reading.streams[1]), here[0]
    for what, one, two in (("method", got["method"], want["method"]), ("body", got["body"], want["body"]),
                           ("target", mutate.normal(got["url"]), mutate.normal(want["url"])),
                           ("host", mutate.host_of(got), mutate.host_of(want))):
        if one != two:
            return f"{what}: {one!r} at the backend, {two!r} to others"
    sent = [f for f in want["fields"] + reading.streams[1]["trailers"] if f[0] not in OURS]
    for field in got["fields"]:
        if field[0] not in OURS and field not in sent:
            return f"{field} at the backend, {sent} sent"
    if 1 not in reading.whole:
        return f"the gateway sent on what is not whole: {reading.why}"
    return None


def number_of(message):
    """Which of the requests it is; None: none that was sent."""
    for name, value in message["fields"]:
        if name == b"x-number":
            return int(value)
    match = re.fullmatch(MARKER + rb"/(\d+)", message["url"])
    return int(match[1]) if match else None


def settle(backend):
    """What is still on its way to the backend."""
    count = -1
    while count != len(backend.seen):
        count = len(backend.seen)
        time.sleep(0.5)


def judge_all(options, backend, asked):
    """What failed, in words."""
    settle(backend)
    found = {}
    for message in backend.seen:
        found.setdefault(number_of(message), []).append(message)
    for message in found.pop(None, []):
        yield f"nobody sent {message}"
    for number, answers in asked.items():
        payload, fields = said(options, number)
        why = judge(number, payload, answers, found.get(number, []))
        if why:
            yield f"{number}: {why}\n    {answers} to {fields}"
    yield from backend.wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--backend-port", type=int, required=True)
    parser.add_argument("--backend", choices=("h1", "h2"), default="h1")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--step", type=int, default=1, help="of the numbers")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int)
    parser.add_argument("--bytes", action="store_true", help="every byte at every place, before the rest")
    options = parser.parse_args()
    backend = (H2Backend if options.backend == "h2" else mutate.Backend)(options.backend_port)
    numbers = range(options.first, options.first + options.count * options.step, options.step)
    asked = {number: talk(options, said(options, number)[0])
             for number in ([options.only] if options.only is not None else numbers)}
    failures = list(judge_all(options, backend, asked))
    print("\n".join(failures[:20]))
    print(f"{len(backend.seen)} messages reached the backend")
    print(f"{len(asked) - len(failures)} passed, {len(failures)} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
