#!/usr/bin/env python3
"""Seeded mutations of valid HTTP/1.1 requests, through a gateway, read by two independent parsers.

Each mutated message is sent twice in a pipeline with a marker request behind it. What reaches the
backend must be, byte for byte, a message that llhttp (Node's) and h11 read alike; it must be what
llhttp reads in the client's bytes, in the same order; and, with --access-log, what the gateway says
that it routed. A marker is answered or its connection is closed.

Prints every disagreement with its seed number (--only NUMBER repeats it) and
"N passed, N failed"; exits 1 if any failed.  SPDX-License-Identifier: Apache-2.0
"""
import argparse
import json
import pathlib
import posixpath
import random
import re
import socket
import ssl
import sys
import threading
import time

import compose
import h11
import llhttp

CRLF = b"\r\n"
TOKENS = [b"\r\n", b"\n", b"\r", b" ", b"\t", b"\0", b":", b";", b",", b"/", b"\\", b"%2e", b"%2f",
          b"..", b"//", b"?", b"#", b"@", b"\x0b", b"\x7f", b"\x80", b"\xff", b"0", b"1", b"f", b"_",
          b"chunked", b"identity", b"close", b"Content-Length: 5\r\n", b"Content-Length: 0\r\n",
          b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: gzip, chunked\r\n", b"Host: b\r\n",
          b"Connection: content-length\r\n", b"Expect: 100-continue\r\n", b"Upgrade: h2c\r\n",
          b"0\r\n\r\n", b"5\r\nhello\r\n", b"\r\n\r\n", b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
          b" HTTP/1.1", b"HTTP/1.0", b"Trailer: x\r\n", b"\r\n x", b"http://a", b"0x", b"+", b"-"]


def messages():
    """Forty valid requests: methods, targets, framings, fields."""
    heads = [b"", b"User-Agent: t\r\n", b"Accept: */*\r\nCookie: a=b; c=d\r\n",
             b"X-One: 1\r\nX-Two:\t2 \r\nX_Three: 3\r\n", b"Connection: keep-alive, x-hop\r\nX-Hop: 1\r\n"]
    targets = [b"/", b"/a/b?q=1", b"/a/./b/../c", b"/%41%2f", b"http://a/abs"]
    bodies = [(b"GET", b"", b""), (b"DELETE", b"", b""),
              (b"POST", b"Content-Length: 5\r\n", b"hello"),
              (b"PUT", b"Content-Length: 0\r\n", b""),
              (b"POST", b"Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n0\r\n\r\n"),
              (b"POST", b"transfer-encoding: Chunked\r\n",
               b"3;x=y\r\nabc\r\n00A\r\n0123456789\r\n0\r\nX-Trailer: t\r\n\r\n"),
              (b"PATCH", b"Content-Type: text/plain\r\nContent-Length: 11\r\n", b"GET / HTTP/"),
              (b"POST", b"Expect: 100-continue\r\nContent-Length: 3\r\n", b"abc")]
    return [b"%s %s HTTP/1.1\r\nHost: a\r\n%s%s\r\n%s" % (method, targets[(i + j) % 5], heads[j],
                                                       framing, body)
            for i, (method, framing, body) in enumerate(bodies) for j in range(5)]


MESSAGES = messages()


def mutate(rng):
    """One message with one to three changes."""
    data = rng.choice(MESSAGES)
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3))):
        at = rng.randrange(len(data) + 1)
        kind = rng.randrange(8)
        lines = data.split(CRLF)
        pick = rng.randrange(len(lines))
        if kind == 0 and at < len(data):
            data = data[:at] + bytes([rng.randrange(256)]) + data[at + 1:]
        elif kind == 1:
            data = data[:at] + rng.choice(TOKENS) + data[at:]
        elif kind == 2:
            data = data[:at] + data[at + rng.randrange(1, 4):]
        elif kind == 3:
            data = CRLF.join([*lines[:pick], lines[pick], *lines[pick:]])
        elif kind == 4:
            other = rng.randrange(len(lines))
            lines[pick], lines[other] = lines[other], lines[pick]
            data = CRLF.join(lines)
        elif kind == 5:
            data = CRLF.join([*lines[:pick], lines[pick].swapcase(), *lines[pick + 1:]])
        elif kind == 6:
            other = rng.choice(MESSAGES)
            data = data[:at] + other[rng.randrange(len(other)):]
        else:
            data = data[:at] + rng.choice(TOKENS) + data[at + rng.randrange(1, 6):]
        data = data or b"G"
    return data


# ---- the parsers ----

class Reading(llhttp.Request):
    """Messages as llhttp sees them, strictly."""

    def __init__(self):
        super().__init__()
        self.messages, self.now = [], None

    def on_message_begin(self):
        self.now = {"url": b"", "body": b"", "fields": [], "name": b"", "value": b""}

    def on_url(self, data):
        self.now["url"] += bytes(data)

    def on_header_field(self, data):
        self.now["name"] += bytes(data)

    def on_header_value(self, data):
        self.now["value"] += bytes(data)

    def on_header_value_complete(self):
        self.now["fields"].append((self.now["name"].lower(), self.now["value"].strip(b" \t")))
        self.now["name"] = self.now["value"] = b""

    def on_body(self, data):
        self.now["body"] += bytes(data)

    def on_headers_complete(self):
        self.now["method"] = self.method.encode() if isinstance(self.method, str) else \
            bytes(self.method)
        return 0

    def on_message_complete(self):
        self.messages.append(self.now)


def read_llhttp(data):
    """(messages, why it stopped or None)."""
    reading = Reading()
    try:
        reading.execute(data)
    except llhttp.Error as error:
        return reading.messages, type(error).__name__
    return reading.messages, None


def read_h11(data):
    """The first message as h11 reads it, and the bytes behind it."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    connection.receive_data(data)
    head, body = None, b""
    while True:
        event = connection.next_event()
        if isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            return {"method": head.method, "url": head.target, "body": body,
                    "fields": list(head.headers)}, connection.trailing_data[0]
        else:
            raise ValueError(f"{event}")


def read_all_h11(data):
    found = []
    try:
        while data := data.lstrip(CRLF):  # RFC 9112 2.2: empty lines in front are skipped
            message, data = read_h11(data)
            found.append(message)
    except (h11.RemoteProtocolError, ValueError) as error:
        return found, str(error)
    return found, None


def read_messages(data):
    """As llhttp reads them. Behind what it refuses (methods that are not in its list, blanks around
    the parts of a chunk extension, lengths in trailers) h11 is asked."""
    found, why = read_llhttp(data)
    if why or b"upgrade" in data.lower():  # behind a request for another protocol llhttp stops
        others, other_why = read_all_h11(data)
        unknown = why == "InvalidMethodError" and other_why == str(h11.NEED_DATA)  # and not whole
        if len(others) > len(found) or unknown:
            return found + others[len(found):], other_why
    return found, why


# ---- the backend ----

class Backend:
    """Takes a message when llhttp says that it is whole; answers with its number."""

    def __init__(self, port):
        self.seen, self.wrong, self.lock = [], [], threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", port), backlog=1024)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            connection, _ = self.listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        data = b""
        try:
            while more := connection.recv(65536):
                data += more
                found, why = read_messages(data)
                if (why and why != str(h11.NEED_DATA)) or len(found) > 1:
                    self._complain(f"{why or 'two messages'} in {data!r}")
                    return
                if found:
                    connection.sendall(self._take(found[0], data))
                    data = b""
        except OSError:
            pass
        finally:
            connection.close()

    def _complain(self, what):
        with self.lock:
            self.wrong.append(what)

    def _take(self, message, raw):
        try:
            other, rest = read_h11(raw)
            if rest or any(other[what] != message[what] for what in ("method", "url", "body")):
                self._complain(f"h11 and llhttp differ: {raw!r}")
        except (h11.RemoteProtocolError, ValueError) as error:
            self._complain(f"h11: {error} in {raw!r}")
        with self.lock:
            self.seen.append(message)
            number = len(self.seen) - 1
        return b"HTTP/1.1 200 OK\r\nX-Seen: %d\r\nContent-Length: 2\r\n\r\nok" % number


# ---- the client ----

ANSWER = re.compile(rb"HTTP/1\.1 (\d{3})[^\r]*\r\n((?:[^\r]+\r\n)*)\r\n")


def read_answers(data, methods):
    """[(status, number of the backend's message or None, is it the last)]."""
    answers = []
    while data:
        match = ANSWER.match(data)
        if not match:
            raise ValueError(f"not an answer: {data!r}")
        data = data[match.end():]
        status, fields = int(match[1]), match[2].lower()
        if status < 200:
            continue
        method = methods[len(answers)] if len(answers) < len(methods) else b""
        length = re.search(rb"^content-length: (\d+)\r$", fields, re.M)
        is_last = b"connection: close" in fields
        if length and (method != b"HEAD" or (is_last and status >= 400)):  # or the method was not read
            data = data[int(length[1]):]
        number = re.search(rb"^x-seen: (\d+)\r$", fields, re.M)
        answers.append((status, int(number[1]) if number else None, is_last))
    return answers


def exchange(options, payload, done, cuts):
    """What came back, up to the end, or until `done` says that nothing more will."""
    connection = socket.create_connection(("127.0.0.1", options.port), timeout=20)
    with connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if options.context:
            connection = options.context.wrap_socket(connection, server_hostname="a.example")
        got = b""
        try:
            for begin, end in zip([0, *cuts], [*cuts, len(payload)]):
                connection.sendall(payload[begin:end])
                if end < len(payload):
                    time.sleep(0.0005)
            if options.context is None:  # TLS has no half-close that this client can make
                connection.shutdown(socket.SHUT_WR)
            else:
                connection.settimeout(1)
            while more := connection.recv(65536):
                got += more
                if options.context and done(got):
                    break
        except OSError:  # also a reset before the half-close
            pass
        return got


def _plain(match):
    """RFC 3986 2.3: an unreserved byte means the same escaped or not; others do not."""
    byte = bytes([int(match[1], 16)])
    return byte if re.match(rb"[A-Za-z0-9._~-]", byte) else match[0].lower()


def normal(url):
    """A target as a path in one spelling, with its query."""
    url = re.sub(rb"\Ahttps?://[^/?]*", b"", url, flags=re.I) or b"/"
    path, mark, query = url.partition(b"?")
    path = re.sub(rb"%([0-9a-f]{2})", _plain, path or b"/", flags=re.I)
    flat = posixpath.normpath(b"/" + path.lstrip(b"/"))
    return flat.rstrip(b"/"), mark + query


def target_of(message):
    """RFC 9112 3.2.4: an OPTIONS of a whole server reaches that as `*`."""
    if message["method"] == b"OPTIONS" and re.fullmatch(rb"https?://[^/?]+", message["url"], re.I):
        return normal(b"*")
    return normal(message["url"])


def host_of(message):
    match = re.match(rb"https?://([^/?]*)", message["url"], re.I)
    found = [value for name, value in message["fields"] if name == b"host"]
    return (match[1] if match else found[0] if found else b"").lower()


# Others refuse the whole message; the gateway drops such a trailer (RFC 9110 6.5.1).
FRAMING_TRAILER = re.compile(rb"0\r\n([^\r\n]+\r\n)*(transfer-encoding|content-length)[^\r\n]*\r\n",
                             re.I)


def judge(number, payload, answers, backend, mark):
    """Why this mutation fails, or None."""
    seen = backend.seen[mark:]
    told = [n for _, n, _ in answers if n is not None]
    if told != list(range(mark, mark + len(seen))):
        return f"{len(seen)} messages at the backend, {len(told)} of them answered"
    read, why = read_messages(payload)
    for i, message in enumerate(seen):
        if i >= len(read) and FRAMING_TRAILER.search(payload):
            break
        if i >= len(read):
            return f"the gateway sent on what is refused: {why}"
        want = read[i]
        for what, one, two in (("method", message["method"], want["method"]),
                               ("body", message["body"], want["body"]),
                               ("target", normal(message["url"]), target_of(want)),
                               ("host", host_of(message), host_of(want))):
            if one != two:
                return f"{what}: {one!r} at the backend, {two!r} to others"
    marker = b"/marker/%d" % number
    at_end = bool(seen) and seen[-1]["url"] == marker
    if any(message["url"] == marker for message in seen[:-1]):
        return "something came behind the marker"
    if not at_end and answers and len(read) > len(seen) and not answers[-1][2]:
        return "the marker was not answered, and the connection was not said to end"
    return None


def run_one(options, backend, number):
    rng = random.Random(options.seed * 1000003 + number)
    data = compose.compose(rng) if options.composed else mutate(rng)
    payload = data + data + b"GET /marker/%d HTTP/1.1\r\nHost: a\r\n\r\n" % number
    mark, broken = len(backend.seen), len(backend.wrong)

    def done(got):
        return (b"X-Seen: %d\r\n" % (len(backend.seen) - 1)).lower() in got.lower() and \
            backend.seen[-1]["url"] == b"/marker/%d" % number

    cuts = sorted(rng.randrange(len(payload)) for _ in range(rng.choice((0, 0, 1, 2)))) \
        if options.composed else []
    raw = exchange(options, payload, done, cuts)
    methods = [message["method"] for message in read_messages(payload)[0]]
    try:
        why = judge(number, payload, read_answers(raw, methods), backend, mark)
    except ValueError as error:
        why = str(error)
    if len(backend.wrong) > broken:
        why = backend.wrong[-1]
    return why and f"{number}: {why}\n    sent {data!r}".replace("p" * 100, "")


def check_log(options, backend):
    """Each message at the backend was logged as it is there."""
    def key(value):
        return value.decode("latin-1")
    want = {}
    for message in backend.seen:
        ids = [value for name, value in message["fields"] if name == b"x-request-id"]
        if len(ids) != 1:
            yield f"{len(ids)} request ids in {message}"
            continue
        want[key(ids[0])] = (key(message["method"]), key(message["url"]))
    deadline = time.monotonic() + 20
    while True:
        lines = {}
        for line in pathlib.Path(options.access_log).read_text(encoding="utf-8").splitlines():
            entry = json.loads(line)
            lines[entry.get("x-request-id")] = (entry["method"], entry["x-envoy-origin-path"])
        if all(name in lines for name in want) or time.monotonic() > deadline:
            break
        time.sleep(0.1)
    for name, (method, url) in want.items():
        if lines.get(name) != (method, url):
            yield f"logged {lines.get(name)}, at the backend {(method, url)}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--backend-port", type=int, required=True)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=3600, help="stops earlier then")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int)
    parser.add_argument("--access-log")
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--composed", action="store_true", help="requests of compose.py")
    options = parser.parse_args()
    options.context = None
    if options.tls:
        options.context = ssl.create_default_context()
        options.context.check_hostname, options.context.verify_mode = False, ssl.CERT_NONE
    backend = Backend(options.backend_port)
    ends, done, failures = time.monotonic() + options.seconds, 0, []
    for number in [options.only] if options.only is not None else range(options.count):
        why = run_one(options, backend, number)
        done += 1
        if why:
            failures.append(why)
            print(why, flush=True)
        if time.monotonic() > ends or len(failures) > 20:
            break
    if options.access_log:
        for why in list(check_log(options, backend))[:20]:
            failures.append(why)
            print(why)
    print(f"{len(backend.seen)} messages reached the backend")
    print(f"{done - len(failures)} passed, {len(failures)} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
