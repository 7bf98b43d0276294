#!/usr/bin/env python3
"""Sends the tables of hostile HTTP/1.1 input through a gateway and checks each verdict.

requests (the default): every row of h1_requests.tsv goes to --target; what reached the backend is
recorded by a backend of our own (--backend-port, the port that the gateway routes every host to)
or read from a file of JSON lines that another recorder writes (--backend-log).
responses: the backend on --backend-port answers /B01a, ... with the rows of h1_responses.tsv.

Prints a line per failed row (-v: every row) and "N passed, N failed"; exits 1 if any failed.
Needs nothing but the standard library.  SPDX-License-Identifier: Apache-2.0
"""
import argparse
import asyncio
import json
import pathlib
import re
import ssl
import sys

HERE = pathlib.Path(__file__).resolve().parent
BEFORE = b"GET /first HTTP/1.1\r\nHost: a\r\n\r\n"
TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
PAUSE, FIN, DROP = "pause", "fin", "drop"


# ---- the tables ----

def unescape(text):
    """Bytes of a stretch of table text."""
    out = bytearray()
    for part in re.findall(r"\\x[0-9a-f]{2}|\\.|[^\\]", text):
        if part.startswith("\\x"):
            out.append(int(part[2:], 16))
        elif part.startswith("\\"):
            out += {"r": b"\r", "n": b"\n", "t": b"\t", "0": b"\0", "\\": b"\\"}[part[1]]
        else:
            out += part.encode("latin-1")
    return bytes(out)


def parse_bytes(text):
    """A list of bytes and marks: adjacent bytes are one piece."""
    pieces = [b""]
    for plain, inside in re.findall(r"([^{]+)|\{([^}]*)\}", text):
        if plain:
            pieces[-1] += unescape(plain)
        elif inside in (PAUSE, FIN, DROP):
            pieces += [inside, b""]
        else:
            times, what = inside.split("*", 1)
            pieces[-1] += unescape(what) * int(times)
    return [piece for piece in pieces if piece != b""]


def read_table(name, columns):
    rows = []
    for line in (HERE / name).read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            rows.append(dict(zip(columns, line.split("\t"))))
    return rows


# ---- a second, independent and strict reader of messages ----

class Broken(Exception):
    """The bytes are not a well-formed message."""


class Ended(Exception):
    """The bytes ended inside a message."""


async def read_line(reader):
    try:
        line = await reader.readuntil(b"\n")
    except asyncio.IncompleteReadError as error:
        raise Ended(error.partial) from error
    except asyncio.LimitOverrunError as error:
        raise Broken("line too long") from error
    if not line.endswith(b"\r\n") or b"\r" in line[:-2] or b"\0" in line:
        raise Broken(f"line end in {line!r}")
    return line[:-2]


async def read_fields(reader):
    fields = []
    while True:
        line = await read_line(reader)
        if not line:
            return fields
        name, colon, value = line.partition(b":")
        if not colon or not TOKEN.match(name):
            raise Broken(f"field line {line!r}")
        fields.append((name.lower().decode(), value.strip(b" \t").decode("latin-1")))


async def read_exactly(reader, size):
    try:
        return await reader.readexactly(size)
    except asyncio.IncompleteReadError as error:
        raise Ended(error.partial) from error


async def read_chunked(reader):
    body = b""
    while True:
        size = await read_line(reader)
        if not re.fullmatch(rb"[0-9a-fA-F]{1,16}", size):
            raise Broken(f"chunk size {size!r}")
        if int(size, 16) == 0:
            return body, await read_fields(reader)
        body += await read_exactly(reader, int(size, 16))
        if await read_exactly(reader, 2) != b"\r\n":
            raise Broken("chunk end")


def framing_of(fields):
    lengths = [value for name, value in fields if name == "content-length"]
    codings = [value for name, value in fields if name == "transfer-encoding"]
    if len(lengths) + len(codings) > 1:
        raise Broken("two framings")
    if codings:
        if codings[0].lower() != "chunked":
            raise Broken(f"coding {codings[0]!r}")
        return "chunked"
    if lengths and not re.fullmatch(r"0|[1-9][0-9]*", lengths[0]):
        raise Broken(f"length {lengths[0]!r}")
    return int(lengths[0]) if lengths else None


async def read_body(reader, framing):
    if framing == "chunked":
        return await read_chunked(reader)
    return (await read_exactly(reader, framing or 0)), []


class Tee:
    """A reader that remembers what went through it."""

    def __init__(self, reader):
        self.reader, self.raw = reader, bytearray()

    async def readuntil(self, separator):
        data = await self.reader.readuntil(separator)
        self.raw += data
        return data

    async def readexactly(self, size):
        data = await self.reader.readexactly(size)
        self.raw += data
        return data


async def read_request(reader):
    """One request as a dict, or None at a clean end."""
    tee = Tee(reader)
    try:
        line = await read_line(tee)
    except Ended as error:
        if not error.args[0]:
            return None
        raise
    match = re.fullmatch(rb"([^ ]+) ([\x21-\x7e]+) (HTTP/1\.[01])", line)
    if not match or not TOKEN.match(match[1]):
        raise Broken(f"request line {line!r}")
    fields = await read_fields(tee)
    request = {"line": line.decode("latin-1"), "method": match[1].decode(),
               "target": match[2].decode(), "version": match[3].decode(), "fields": fields}
    return request, tee


# ---- the recording backend ----

class Recorder:
    """Answers 200 and remembers each complete request."""

    def __init__(self):
        self.requests, self.partial, self.broken = [], 0, []

    async def serve(self, reader, writer):
        try:
            while True:
                read = await read_request(reader)
                if read is None:
                    break
                request, tee = read
                if sum(name == "host" for name, _ in request["fields"]) != 1:
                    raise Broken("host")
                body, trailers = await read_body(tee, framing_of(request["fields"]))
                request.update(body=body.decode("latin-1"), trailers=trailers,
                               raw=bytes(tee.raw).decode("latin-1"))
                self.requests.append(request)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                await writer.drain()
        except Broken as error:
            self.broken.append(str(error))
        except (Ended, ConnectionError, asyncio.CancelledError):
            self.partial += 1
        finally:
            writer.close()

    def since(self, mark):
        return self.requests[mark:]

    def mark(self):
        return len(self.requests)


class LogRecorder:
    """The same from a file of JSON lines: method, target, version, fields, body, trailers, raw."""

    def __init__(self, path):
        self.path, self.broken, self.partial = pathlib.Path(path), [], 0

    def _all(self):
        if not self.path.exists():
            return []
        return [json.loads(line) for line in self.path.read_text(encoding="utf-8").splitlines()]

    def since(self, mark):
        return self._all()[mark:]

    def mark(self):
        return len(self._all())


# ---- the client ----

class Answers:
    """What a client sees on one connection: (status, body, whole?) in order, and the end."""

    def __init__(self):
        self.seen, self.closed, self.broken = [], False, None

    def statuses(self):
        return ",".join(str(status) for status, _, _ in self.seen)

    async def read(self, reader, methods):
        try:
            while True:
                method = methods[min(len(self.seen), len(methods) - 1)]
                if not await self._one(reader, method):
                    break
        except Broken as error:
            self.broken = str(error)
        except ConnectionError:
            pass
        self.closed = True

    async def _one(self, reader, method):
        try:
            line = await read_line(reader)
            fields = await read_fields(reader)
        except Ended:
            return False
        if not re.match(rb"HTTP/1\.[01] [1-5][0-9]{2}( |\Z)", line):
            raise Broken(f"status line {line!r}")
        status = int(line[9:12])
        if status < 200:
            return True
        framing = framing_of(fields)
        self.seen.append((status, b"", False))
        if method == "HEAD" or status in (204, 304):
            framing = 0
        try:
            if framing is None:
                body = await reader.read(-1)
            else:
                body, _ = await read_body(reader, framing)
            self.seen[-1] = (status, body, True)
        except Ended as error:
            self.seen[-1] = (status, error.args[0], False)
            return False
        return True


async def connect(options):
    context = None
    if options.tls:  # whose certificate it is does not matter here
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return await asyncio.open_connection(*options.target, limit=1 << 20, ssl=context,
                                         server_hostname=options.tls)


async def until(condition, seconds):
    deadline = asyncio.get_running_loop().time() + seconds
    while not condition():
        if asyncio.get_running_loop().time() > deadline:
            return False
        await asyncio.sleep(0.001)
    return True


async def send_pieces(writer, pieces, cut, options):
    """The row's bytes; a positive `cut` sends so many alone first."""
    sent = 0
    for piece in pieces:
        if piece == PAUSE:
            await asyncio.sleep(0.01)
            continue
        if piece == FIN:
            writer.write_eof()
            continue
        if sent < cut < sent + len(piece):
            writer.write(piece[:cut - sent])
            await writer.drain()
            await asyncio.sleep(options.gap)
            piece, sent = piece[cut - sent:], cut
        writer.write(piece)
        await writer.drain()
        sent += len(piece)


def check_request(row, requests, options):
    """The words of the first check that fails, or None."""
    raw = "".join(request.get("raw", "") for request in requests)
    first = requests[0]
    fields = dict(first["fields"])
    for check in [] if row["checks"] == "-" else row["checks"].split(";"):
        name, _, value = check.partition("=")
        value = unescape(value).decode("latin-1")
        found = {
            "body": lambda: first["body"] == value,
            "size": lambda: len(first["body"]) == int(value),
            "target": lambda: [r["target"] for r in requests] == value.split(","),
            "host": lambda: fields.get("host") == value,
            "version": lambda: first["version"] == value,
            "content-length": lambda: fields.get("content-length") == value,
            "raw": lambda: value in raw,
            "absent": lambda: value not in raw,
            "present": lambda: options.codec_only or value in fields,
        }[name]()
        if not found:
            return f"{check} does not hold of {raw!r}"
    return None


async def run_row(row, pieces, cut, recorder, options):
    """Why the row fails, or None."""
    mark, broken = recorder.mark(), len(recorder.broken)
    extra = 1 if options.pipelined else 0
    if extra:
        pieces = [BEFORE + pieces[0]] + pieces[1:]
    expected = int(row["requests"]) + extra
    answers = Answers()
    reader, writer = await connect(options)
    reading = asyncio.create_task(answers.read(reader, ["GET"]))
    try:
        await send_pieces(writer, pieces, cut, options)
    except ConnectionError:
        pass  # refused while we were still sending: the answer is there to be read
    limit = options.header_timeout if PAUSE in pieces else options.timeout
    if row["connection"] == "close":
        ended = await until(lambda: answers.closed, limit)
    else:
        ended = await until(lambda: answers.closed or len(answers.seen) >= expected and
                            answers.seen[-1][2], limit)
        await asyncio.sleep(0.005 if row["connection"] == "any" else 0)
    was_closed = answers.closed
    await until(lambda: len(recorder.since(mark)) >= expected, 0.5 if expected else 0)
    reading.cancel()
    writer.close()
    if not ended:
        return f"answer {answers.statuses()!r}, then silence"
    return judge(row, answers, was_closed, recorder, (mark, broken, extra), options)


def judge(row, answers, was_closed, recorder, before, options):
    mark, broken, extra = before
    statuses = answers.statuses()
    if extra:
        if not statuses.startswith("200"):
            return f"the request in front got {statuses!r}"
        statuses = statuses[4:]
    wanted = ["" if want == "none" else want for want in row["status"].split("|")]
    if statuses not in wanted:
        return f"{statuses or 'no answer'}, not {row['status']}"
    if answers.broken:
        return f"the answer is malformed: {answers.broken}"
    if row["connection"] == "keep" and was_closed:
        return "closed"
    if len(recorder.broken) > broken:
        return f"the backend got a malformed request: {recorder.broken[-1]}"
    requests = recorder.since(mark)[extra:]
    accepted = statuses.startswith("200")
    if len(requests) != (int(row["requests"]) if accepted or row["requests"] == "0" else 0):
        return f"{len(requests)} requests at the backend, not {row['requests']}"
    return check_request(row, requests, options) if requests else None


def cuts_of(pieces, options):
    size = sum(len(piece) for piece in pieces if isinstance(piece, bytes))
    if not options.cut:
        return [0]
    most = 6 if PAUSE in pieces else options.cuts_max
    return range(1, size, size // most + 1)


async def probe_requests(options, tally):
    recorder = LogRecorder(options.backend_log) if options.backend_log else Recorder()
    server = None
    if not options.backend_log:
        server = await asyncio.start_server(recorder.serve, "127.0.0.1", options.backend_port,
                                            limit=1 << 20)
    columns = ["id", "bytes", "status", "connection", "requests", "checks", "basis", "verdict"]
    for row in read_table("h1_requests.tsv", columns):
        if options.rows and row["id"] not in options.rows:
            continue
        pieces = parse_bytes(row["bytes"])
        if options.tls and FIN in pieces:
            continue  # TLS has no half-close that this client can make
        why = None
        for cut in cuts_of(pieces, options):
            why = await run_row(row, pieces, cut, recorder, options)
            if why:
                why += f" (cut at {cut})" if cut else ""
                break
        tally.add(row["id"], why, row["verdict"])
    if options.mutate:
        await probe_mutations(recorder, options, tally)
    if server:
        server.close()


async def probe_mutations(recorder, options, tally):
    """Single-byte substitutions: refused, or at the backend as what a second parser reads."""
    columns = ["id", "bytes"]
    rows = {row["id"]: row for row in read_table("h1_requests.tsv", columns)}
    for name in ("H26", "H39", "H83", "H102"):
        [message] = parse_bytes(rows[name]["bytes"])
        why, count = None, 0
        for at in range(len(message)):
            for value in range(at % options.mutate, 256, options.mutate):
                count += 1
                changed = message[:at] + bytes([value]) + message[at + 1:]
                why = why or await run_mutation(changed, recorder, options)
        tally.add(f"{name} x {count}", why, "refused or canonical")


async def run_mutation(message, recorder, options):
    mark, broken = recorder.mark(), len(recorder.broken)
    answers = Answers()
    reader, writer = await connect(options)
    reading = asyncio.create_task(answers.read(reader, ["GET"]))
    writer.write(message)
    writer.write_eof()
    await until(lambda: answers.closed, options.timeout)
    reading.cancel()
    writer.close()
    good = sum(status == 200 for status, _, _ in answers.seen)
    requests = len(recorder.since(mark))
    if len(recorder.broken) > broken:
        return f"{message!r}: malformed at the backend: {recorder.broken[-1]}"
    if good != requests:
        return f"{message!r}: {good} answers of 200, {requests} requests at the backend"
    return None


# ---- hostile backends ----

class Script:
    """A backend that answers by path, and knows which connection carried which requests."""

    def __init__(self, rows):
        self.rows = {row["id"]: (row, parse_bytes(row["answer"])) for row in rows}
        self.carried, self.next = [], 0

    async def serve(self, reader, writer):
        number, self.next = self.next, self.next + 1
        try:
            await self._serve(number, reader, writer)
        except (Broken, Ended, OSError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _serve(self, number, reader, writer):
        dropping = False
        while True:
            read = await read_request(reader)
            if read is None or dropping:
                return
            request, tee = read
            name = request["target"].lstrip("/").split("?")[0]
            self.carried.append((number, name))
            row, pieces = self.rows.get(name, (None, [b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n"
                                                      b"\r\nhonest"]))
            if row is None or row["method"] != "POST":
                await read_body(tee, framing_of(request["fields"]))
            for piece in pieces:
                if piece == PAUSE:
                    await asyncio.sleep(0.05)
                elif piece == FIN and writer.can_write_eof():
                    writer.write_eof()
                elif piece == FIN:
                    return  # over TLS: close_notify, and the end
                elif piece == DROP:
                    dropping = True
                else:
                    writer.write(piece)
                    await writer.drain()
            if row is not None and row["method"] == "POST":
                await reader.read(-1)
                return


async def call_gateway(options, method, path):
    answers = Answers()
    reader, writer = await connect(options)
    reading = asyncio.create_task(answers.read(reader, [method, "GET"]))
    body = "Content-Length: 100000\r\n" if method == "POST" else ""
    writer.write(f"{method} {path} HTTP/1.1\r\nHost: a\r\n{body}\r\n".encode())
    if body:
        writer.write(b"x" * 10)
    await until(lambda: answers.closed or answers.seen and answers.seen[-1][2], options.timeout)
    return answers, reading, writer


def judge_answer(row, answers):
    if not answers.seen:
        return "no answer"
    status, body, whole = answers.seen[0]
    seen = str(status) if whole else "cut"
    if seen not in row["status"].split("|"):
        return f"{seen} {body[:40]!r}, not {row['status']}"
    if row["body"] != "-" and body != row["body"].encode():
        return f"body {body[:60]!r}"
    return None


async def run_answer(row, script, options):
    name = row["id"]
    answers, reading, writer = await call_gateway(options, row["method"], "/" + name)
    why = judge_answer(row, answers)
    if not why and not answers.closed and row["method"] != "POST":
        await asyncio.sleep(0.08 if PAUSE in script.rows[name][1] else 0.01)
        writer.write(b"GET /ok HTTP/1.1\r\nHost: a\r\n\r\n")  # the same worker and its pool
        await until(lambda: answers.closed or len(answers.seen) > 1 and answers.seen[-1][2],
                    options.timeout)
        if len(answers.seen) < 2 or answers.seen[1][:2] != (200, b"honest"):
            why = f"the next request got {answers.seen[1:]}"
    reading.cancel()
    writer.close()
    used = [number for number, path in script.carried if path == name]
    for number in used:
        at = script.carried.index((number, name))
        after = [path for n, path in script.carried[at + 1:] if n == number]
        if row["connection"] == "closed" and after:
            why = why or f"the connection was used again, for {after}"
    if not used:
        why = why or "the backend was not asked"
    return why


async def probe_responses(options, tally):
    columns = ["id", "method", "answer", "status", "body", "connection", "why"]
    rows = read_table("h1_responses.tsv", columns)
    script, context = Script(rows), None
    if options.backend_pem:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(options.backend_pem)
    server = await asyncio.start_server(script.serve, "127.0.0.1", options.backend_port,
                                        limit=1 << 20, ssl=context)
    for row in rows:
        if not options.rows or row["id"] in options.rows:
            tally.add(row["id"], await run_answer(row, script, options), row["why"])
    server.close()


# ---- counting ----

class Tally:
    def __init__(self, verbose):
        self.passed = self.failed = 0
        self.verbose = verbose

    def add(self, name, why, verdict):
        if why:
            self.failed += 1
            print(f"{name} FAILED: {why} [{verdict}]", flush=True)
        else:
            self.passed += 1
            if self.verbose:
                print(f"{name} passed [{verdict}]", flush=True)


def parse_options(arguments):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mode", nargs="?", default="requests", choices=["requests", "responses"])
    parser.add_argument("--target", required=True, help="HOST:PORT of the gateway's listener")
    parser.add_argument("--backend-port", type=int, help="where the gateway's backend is expected")
    parser.add_argument("--backend-log", help="JSON lines of a recorder of your own")
    parser.add_argument("--cut", action="store_true", help="each row in two segments, everywhere")
    parser.add_argument("--cuts-max", type=int, default=200, help="cuts per row at most")
    parser.add_argument("--gap", type=float, default=0.003, help="seconds between the segments")
    parser.add_argument("--pipelined", action="store_true", help="behind a valid request")
    parser.add_argument("--mutate", type=int, metavar="STEP",
                        help="also every STEPth single-byte substitution of four rows")
    parser.add_argument("--rows", type=lambda text: text.split(","), help="only these ids")
    parser.add_argument("--tls", metavar="NAME", help="over TLS, asking for this server name")
    parser.add_argument("--backend-pem", help="answers come over TLS, with this chain and key")
    parser.add_argument("--timeout", type=float, default=5)
    parser.add_argument("--header-timeout", type=float, default=15,
                        help="longer than the gateway's, for the row that waits for it")
    parser.add_argument("--codec-only", action="store_true",
                        help="the target adds no X-Forwarded-* fields")
    parser.add_argument("-v", "--verbose", action="store_true")
    options = parser.parse_args(arguments)
    if options.backend_port is None and options.backend_log is None:
        parser.error("--backend-port or --backend-log is needed")
    host, _, port = options.target.rpartition(":")
    options.target = (host.strip("[]"), int(port))
    return options


def main(arguments=None):
    options = parse_options(arguments)
    tally = Tally(options.verbose)
    probe = probe_requests if options.mode == "requests" else probe_responses
    asyncio.run(probe(options, tally))
    print(f"{tally.passed} passed, {tally.failed} failed")
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
