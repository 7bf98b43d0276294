"""A scripted HTTP/1.1 backend: records what it gets, answers what the test says."""
# SPDX-License-Identifier: Apache-2.0
import asyncio
import json
import threading


class Request:
    """One request as it came."""

    def __init__(self, line, fields, connection):
        self.method, self.target, self.version = line.split(" ")
        self.fields, self.connection = fields, connection
        self.body, self.trailers = b"", []
        self.reader = self.writer = None

    def get(self, name):
        values = [value for key, value in self.fields if key == name]
        return ", ".join(values) if values else None

    async def answer(self, body=b"", status="200 OK", headers=None):
        head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}"]
        head += [f"{name}: {value}" for name, value in (headers or {}).items()]
        self.writer.write("\r\n".join(head).encode("latin-1") + b"\r\n\r\n" +
                          (b"" if self.method == "HEAD" else body))
        await self.writer.drain()

    async def raw(self, data):
        self.writer.write(data)
        await self.writer.drain()


async def echo(request):
    """What it got, as JSON."""
    await request.answer(json.dumps({
        "method": request.method, "target": request.target, "version": request.version,
        "fields": request.fields, "size": len(request.body),
        "trailers": request.trailers}).encode(), headers={"Content-Type": "application/json"})


def named(name, headers=None):
    """A handler that says who it is."""
    async def answer(request):
        await request.answer(name.encode(), headers={"x-backend": name, **(headers or {})})
    return answer


class Streams:
    """A backend whose answers go on until told to end."""

    def __init__(self):
        self.finish = threading.Event()

    async def __call__(self, req):
        await req.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbegin\r\n")
        while not self.finish.is_set():
            await asyncio.sleep(0.01)
        await req.raw(b"3\r\nend\r\n0\r\n\r\n")


class Backend:
    """Runs in a thread of its own. `handler(request)` is called with the whole request; with
    `streaming`, when its head is there, and it reads request.reader itself."""

    def __init__(self, handler=echo, streaming=False, port=0, record=True, tls=None,
                 host="127.0.0.1"):
        self.handler, self.streaming, self.record, self.tls = handler, streaming, record, tls
        self.requests, self.connections, self.open, self.errors = [], 0, 0, []
        self.host = host
        self.loop = asyncio.new_event_loop()
        ready = threading.Event()
        self.thread = threading.Thread(target=self._run, args=(port, ready), daemon=True)
        self.thread.start()
        if not ready.wait(10):
            raise RuntimeError("the backend does not start")

    def _run(self, port, ready):
        asyncio.set_event_loop(self.loop)
        self.server = self.loop.run_until_complete(
            asyncio.start_server(self._serve, self.host, port, limit=1 << 20, backlog=1024,
                                 ssl=self.tls))
        self.port = self.server.sockets[0].getsockname()[1]
        ready.set()
        self.loop.run_forever()
        tasks = asyncio.all_tasks(self.loop)
        for task in tasks:
            task.cancel()
        self.loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self.loop.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def call(self, function):
        """Runs it in the backend's loop."""
        done = threading.Event()

        def run():
            function()
            done.set()
        self.loop.call_soon_threadsafe(run)
        done.wait(10)

    def close(self):
        if self.thread.is_alive():
            self.call(self.server.close)
            self.loop.call_soon_threadsafe(self.loop.stop)
            self.thread.join(10)

    async def _serve(self, reader, writer):
        self.connections += 1
        self.open += 1
        try:
            number = self.connections
            while await self._one(reader, writer, number):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        except Exception as error:  # pylint: disable=broad-except
            self.errors.append(repr(error))
        finally:
            self.open -= 1
            writer.close()

    async def _one(self, reader, writer, number):
        head = await reader.readuntil(b"\r\n\r\n")
        line, *rest = head.decode("latin-1").split("\r\n")
        pairs = [text.partition(":") for text in rest if text]
        request = Request(line, [(n.lower(), v.strip()) for n, _, v in pairs], number)
        request.reader, request.writer = reader, writer
        if self.record:
            self.requests.append(request)
        if not self.streaming:
            await read_body(request)
        await self.handler(request)
        return not writer.is_closing() and request.get("connection") != "close"


async def read_line(reader):
    return (await reader.readuntil(b"\r\n"))[:-2].decode("latin-1")


async def read_body(request, keep=True):
    """The body into the request; its size."""
    size, reader = 0, request.reader
    if request.get("transfer-encoding") == "chunked":
        while (left := int((await read_line(reader)).split(";")[0], 16)) > 0:
            data = await reader.readexactly(left + 2)
            size += left
            request.body += data[:-2] if keep else b""
        while line := await read_line(reader):
            name, _, value = line.partition(":")
            request.trailers.append((name.lower(), value.strip()))
        return size
    left = int(request.get("content-length") or 0)
    parts = []
    while left > 0:
        data = await reader.read(min(left, 1 << 18))
        if not data:
            raise asyncio.IncompleteReadError(b"", left)
        left, size = left - len(data), size + len(data)
        if keep:
            parts.append(data)
    request.body = b"".join(parts)
    return size
