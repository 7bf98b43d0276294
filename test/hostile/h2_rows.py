"""Hostile HTTP/2, row by row, as bytes: what is said, and which verdicts are right.

A row is (id, verdicts, what is said on a fresh connection). Verdicts: "400" a status, "RST" or
"GOAWAY" with the code behind a blank, "closed"; "refuse" stands for RST PROTOCOL_ERROR or a 400.
The request that a row is about is on stream 1.  SPDX-License-Identifier: Apache-2.0
"""
import socket
import struct
import time

import hpack

DATA, HEADERS, PRIORITY, RESET, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
END, ACK, END_HEADERS, PADDED = 1, 1, 4, 8
CODES = ("NO", "PROTOCOL", "INTERNAL", "FLOW", "SETTINGS_TIMEOUT", "CLOSED", "SIZE", "REFUSED",
         "CANCEL", "COMPRESSION", "CONNECT", "CALM", "SECURITY", "HTTP_1_1")
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
PATH = "/hostile"


def frame(kind, flags=0, stream=0, load=b""):
    return struct.pack(">I", len(load))[1:] + struct.pack(">BBI", kind, flags, stream) + load


def integer(value, prefix, first):
    if value < (1 << prefix) - 1:
        return bytes([first | value])
    out, value = [first | ((1 << prefix) - 1)], value - ((1 << prefix) - 1)
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out + [value])


def text(value):
    raw = value if isinstance(value, bytes) else value.encode("latin-1")
    return integer(len(raw), 7, 0) + raw


def block(fields):
    """Every field literal, never indexed: the bytes are what is meant."""
    return b"".join(b"\0" + text(name) + text(value) for name, value in fields)


def start(method="GET", scheme="http", path=PATH, authority="a.example"):
    named = ((":method", method), (":scheme", scheme), (":path", path), (":authority", authority))
    return [(name, value) for name, value in named if value is not None]


def head(fields, stream=1, end=True):
    return frame(HEADERS, END_HEADERS | (END if end else 0), stream, block(fields))


def get(stream=1, path=PATH, end=True, method="GET"):
    return head(start(method, path=path), stream, end)


def word(kind, stream, value):
    return frame(kind, 0, stream, struct.pack(">I", value))


def setting(name, value):
    return frame(SETTINGS, 0, 0, struct.pack(">HI", name, value))


def body(data, stream=1, end=True):
    return frame(DATA, END if end else 0, stream, data)


def bad(*more, end=True, **pseudo):
    return head(start(**pseudo) + list(more), end=end)


def post(*more):
    return head(start("POST") + list(more), end=False)


def in_frames(load, stream=1):
    """A head that is too long for one frame."""
    pieces = [load[at:at + 16384] for at in range(0, len(load), 16384)]
    return frame(HEADERS, END, stream, pieces[0]) + b"".join(
        frame(CONTINUATION, END_HEADERS if piece is pieces[-1] else 0, stream, piece)
        for piece in pieces[1:])


def crumbs(stream=1):
    return in_frames(block(start() + [("cookie", "c" * 98)] * 1000), stream)


def bomb(stream=1, count=8000):
    """One large entry of the table, then named again and again."""
    return frame(HEADERS, END, stream, block(start()) + b"\x40" + text("x") + text("b" * 3900)) + \
        frame(CONTINUATION, END_HEADERS, stream, b"\xbe" * count)


def long_head():
    return in_frames(block(start()) + b"\0" + text("x") + text("y" * 200 * 1024))


def resets(first, count, code=8):
    return b"".join(get(first + 2 * i, end=False) + word(RESET, first + 2 * i, code)
                    for i in range(count))


def made_resets(first, count):
    return b"".join(get(first + 2 * i, end=False, method="POST") +
                    word(WINDOW, first + 2 * i, 0x7fffffff) for i in range(count))


REFUSE = {"RST PROTOCOL", "400"}
PROTOCOL, CALM = {"GOAWAY PROTOCOL"}, {"GOAWAY CALM"}
TOO_LARGE = {"431", "RST PROTOCOL", "RST CALM", "GOAWAY CALM", "GOAWAY COMPRESSION"}
LENGTH = "content-length"
ROWS = (
    ("P01", REFUSE, bad(("X-Upper", "1"))),
    ("P02", REFUSE, bad(("connection", "keep-alive"))),
    ("P03", REFUSE, post(("transfer-encoding", "chunked")) + body(b"0\r\n\r\n")),
    ("P04", REFUSE, bad(("te", "gzip"))),
    ("P05", {"200"}, bad(("te", "trailers"))),
    ("P06", REFUSE, bad((LENGTH, "5"))),
    ("P07", {"RST PROTOCOL"}, post((LENGTH, "5")) + body(b"abc")),
    ("P08", {"RST PROTOCOL"}, post((LENGTH, "3")) + body(b"abcde")),
    ("P09", REFUSE, post((LENGTH, "3"), (LENGTH, "4")) + body(b"abc")),
    ("P10", REFUSE, post((LENGTH, "+3")) + body(b"abc")),
    ("P11", REFUSE, bad(("a:b", "1"))),
    ("P12", REFUSE | PROTOCOL, bad(("", "1"))),
    ("P13", REFUSE, bad(("x", "1\r\n\r\nGET /evil HTTP/1.1"))),
    ("P14", REFUSE, bad(("x", "1\n2"))),
    ("P15", REFUSE, bad(("x", "1\0002"))),
    ("P16", REFUSE, bad(("x", " 1"))),
    ("P17", REFUSE, bad(("a b", "1"))),
    ("P18", REFUSE, bad(path="")),
    ("P19", REFUSE, bad(path="hostile")),
    ("P20", REFUSE, bad(path="/hostile HTTP/1.1")),
    ("P21", REFUSE, bad(path="*")),
    ("P22", REFUSE, bad(method="GET /evil HTTP/1.1\r\nx: y")),
    ("P23", REFUSE, bad(scheme="http://b/?")),
    ("P24", REFUSE, bad(authority="a/b@c")),
    ("P25", REFUSE, bad(("host", "b.example"))),
    ("P26", REFUSE, head(start() + [(":path", "/hostile2")])),
    ("P27", REFUSE, head(start(path=None) + [("x", "1"), (":path", PATH)])),
    ("P28", REFUSE, head(start() + [(":foo", "1")])),
    ("P29", REFUSE, head(start() + [(":status", "200")])),
    ("P30", REFUSE, bad(method=None)),
    ("P31", REFUSE, bad(scheme=None)),
    ("P32", REFUSE, bad(path=None)),
    ("P33", {"RST PROTOCOL"}, post() + head([(":path", "/x")])),
    ("P34", {"RST PROTOCOL", "GOAWAY PROTOCOL"}, post() + head([("x", "1")], end=False)),
    ("P35", {"RST PROTOCOL", "200"}, post() + head([(LENGTH, "5")])),
    ("P36", {"RST PROTOCOL", "405", "400"}, bad(method="CONNECT")),
    ("P37", {"RST PROTOCOL", "501", "400"}, bad((":protocol", "bogus"), method="CONNECT")),
    ("P38", PROTOCOL, body(b"x", 5)),
    ("P39", PROTOCOL, get(2)),
    ("P40", {"GOAWAY PROTOCOL", "GOAWAY CLOSED"}, get(5, "/") + get(3)),
    ("P41", PROTOCOL, frame(CONTINUATION, END_HEADERS, 1)),
    ("P42", PROTOCOL, frame(HEADERS, END, 1, block(start())) + frame(PING, load=b"12345678")),
    ("P43", CALM, frame(HEADERS, END, 1, block(start())) + frame(CONTINUATION, 0, 1) * 10000),
    ("P44", TOO_LARGE, long_head()),
    ("P45", TOO_LARGE, bomb()),
    ("P46", {"GOAWAY COMPRESSION"}, frame(HEADERS, END | END_HEADERS, 1, b"\xff\x80\xff\x01")),
    ("P47", {"GOAWAY COMPRESSION"}, frame(HEADERS, END | END_HEADERS, 1, b"\x3f\xe2\xff\x03\x82")),
    ("P48", {"GOAWAY COMPRESSION"},
     frame(HEADERS, END | END_HEADERS, 1, b"\xff" * 12 + b"\x01")),
    ("P49", {"GOAWAY SIZE", "RST SIZE"}, post() + body(b"x" * 20000)),
    ("P50", {"GOAWAY SIZE"}, frame(SETTINGS, load=b"12345")),
    ("P51", {"GOAWAY SIZE"}, frame(SETTINGS, ACK, 0, b"123456")),
    ("P52", {"GOAWAY FLOW"}, setting(4, 1 << 31)),
    ("P53", PROTOCOL, setting(5, 100)),
    ("P54", PROTOCOL, word(WINDOW, 0, 0)),
    ("P55", {"GOAWAY FLOW"}, word(WINDOW, 0, 0x7fffffff)),
    ("P56", PROTOCOL, word(RESET, 9, 8)),
    ("P57", CALM, resets(1, 10000)),
    ("P58", {"GOAWAY CALM", "GOAWAY PROTOCOL"}, made_resets(1, 1000)),
    ("P59", CALM, frame(SETTINGS) * 10000),
    ("P60", CALM, frame(PING, load=b"12345678") * 10000),
    ("P61", CALM, post() + body(b"", end=False) * 10000),
    ("P62", CALM, frame(PRIORITY, 0, 3, b"\0\0\0\0\x10") * 10000),
    ("P63", {"RST REFUSED"}, b"".join(get(1 + 2 * i, end=False) for i in range(150))),
    ("P64", PROTOCOL, post() + frame(DATA, PADDED, 1, b"\x09ab")),
    ("P65", PROTOCOL, get(end=False) + frame(PUSH, END_HEADERS, 1, b"\0\0\0\2\x82")),
    ("P66", TOO_LARGE, crumbs()),
    # 200: the backend was quick, so the window had been opened again before it was overrun.
    ("P67", {"RST FLOW", "GOAWAY FLOW", "200"},
     post() + body(b"z" * 16384, end=False) * 77 + body(b"")),
    ("P68", {"closed", "GOAWAY PROTOCOL"}, None),
    ("P69", PROTOCOL, None),
    ("P70", REFUSE, bad(("transfer_encoding", "chunked"))),
)


def said(row):
    """All bytes of a row, the preface first."""
    name, _, load = row
    if name == "P68":
        return b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n" + get()
    if name == "P69":
        return PREFACE + get()
    return PREFACE + frame(SETTINGS) + load


class Peer:
    """A connection that says bytes and hears frames."""

    def __init__(self, port, tls=None, server_name=None):
        self.socket = socket.create_connection(("127.0.0.1", port), 10)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_hostname=server_name)
        self.decoder, self.pending, self.closed = hpack.Decoder(), b"", False

    def say(self, data):
        """False: the gateway has closed meanwhile."""
        try:
            self.socket.sendall(data)
        except OSError:
            return False
        return True

    def hear(self, deadline):
        """(kind, flags, stream, load), or None at the end."""
        while True:
            if len(self.pending) >= 9:
                size = int.from_bytes(self.pending[:3], "big")
                if len(self.pending) >= 9 + size:
                    kind, flags, stream = struct.unpack(">BBI", self.pending[3:9])
                    load, self.pending = self.pending[9:9 + size], self.pending[9 + size:]
                    return kind, flags, stream, load
            self.socket.settimeout(max(0.01, deadline - time.monotonic()))
            try:
                data = self.socket.recv(65536)
            except ConnectionError:
                data = b""
            if not data:
                self.closed = True
                return None
            self.pending += data

    def verdict(self, streams, seconds):
        """The first that is told of one of the streams (None: of any), or of the connection."""
        deadline = time.monotonic() + seconds
        while True:
            heard = self.hear(deadline)
            if heard is None:
                return "closed"
            kind, _, stream, load = heard
            if kind == GOAWAY:
                return "GOAWAY " + CODES[struct.unpack(">I", load[4:8])[0]]
            if kind == HEADERS:
                fields = dict(self.decoder.decode(load))
                if streams is None or stream in streams:
                    return fields[":status"]
            if kind == RESET and (streams is None or stream in streams):
                return "RST " + CODES[struct.unpack(">I", load)[0]]

    def close(self):
        self.socket.close()
