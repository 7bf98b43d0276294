"""A raw HTTP/1.1 client that hides nothing, and a load of them."""
# SPDX-License-Identifier: Apache-2.0
import contextlib
import socket
import ssl
import threading
import time


class Answer:
    """A response: whole says whether its framing ended before the connection did."""

    def __init__(self, line, fields, body, trailers, whole):
        version, status, *_ = line.split(" ", 2)
        self.version, self.status = version, int(status)
        self.fields, self.body, self.trailers, self.whole = fields, body, trailers, whole

    def get(self, name):
        """All values of a field, joined; None without any."""
        values = [value for key, value in self.fields if key == name]
        return ", ".join(values) if values else None

    def __repr__(self):
        return f"<{self.status} {self.fields} {self.body[:200]!r} whole={self.whole}>"


class Client:
    """One connection."""

    def __init__(self, port, host="127.0.0.1", timeout=20, tls=None, server_name=None, source=None):
        self.socket = socket.create_connection((host, port), timeout,
                                               source_address=(source, 0) if source else None)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_hostname=server_name)
        self.data = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data.encode("latin-1") if isinstance(data, str) else data)

    def more(self):
        """Reads once; False at the end."""
        try:
            data = self.socket.recv(262144)
        except (ConnectionError, ssl.SSLError):
            data = b""
        self.data += data
        return bool(data)

    def until(self, mark):
        while mark not in self.data:
            if not self.more():
                raise EOFError(self.data)
        found, _, self.data = self.data.partition(mark)
        return found

    def exactly(self, size):
        """At most so many bytes: fewer if the connection ends."""
        while len(self.data) < size and self.more():
            pass
        found, self.data = self.data[:size], self.data[size:]
        return found

    def read_fields(self):
        fields = []
        while True:
            line = self.until(b"\r\n").decode("latin-1")
            if not line:
                return fields
            name, _, value = line.partition(":")
            fields.append((name.lower(), value.strip()))

    def read_head(self):
        line = self.until(b"\r\n").decode("latin-1")
        return line, self.read_fields()

    def read_chunked(self):
        parts = []
        try:
            while True:
                size = int(self.until(b"\r\n").split(b";")[0], 16)
                if size == 0:
                    return b"".join(parts), self.read_fields(), True
                parts.append(self.exactly(size))
                if len(parts[-1]) < size or self.exactly(2) != b"\r\n":
                    break
        except EOFError:
            pass
        return b"".join(parts), [], False

    def read(self, method="GET"):
        """The next final response."""
        line, fields = self.read_head()
        while 100 <= int(line.split(" ")[1]) < 200 and " 101" not in line:
            line, fields = self.read_head()
        return Answer(line, fields, *self.read_body(line, fields, method))

    def read_body(self, line, fields, method):
        values = dict(fields)
        if method == "HEAD" or line.split(" ")[1] in ("101", "204", "304"):
            return b"", [], True
        if values.get("transfer-encoding") == "chunked":
            return self.read_chunked()
        if "content-length" in values:
            size = int(values["content-length"])
            body = self.exactly(size)
            return body, [], len(body) == size
        while self.more():
            pass
        body, self.data = self.data, b""
        return body, [], True

    def request(self, method, path, headers=None, body=None, host="test"):
        lines = [f"{method} {path} HTTP/1.1", f"Host: {host}"]
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        self.send("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (body or b""))
        return self.read(method)

    def closed(self, seconds=20):
        """Whether the peer ends the connection, without another byte, in that time."""
        self.socket.settimeout(seconds)
        try:
            return self.socket.recv(1) == b""
        except TimeoutError:
            return False
        except OSError:
            return True


def request(port, path="/", method="GET", headers=None, body=None, host="test", **connection):
    """One request on a connection of its own."""
    with Client(port, **connection) as client:
        return client.request(method, path, {"Connection": "close", **(headers or {})}, body, host)


class Load:
    """Keep-alive clients that ask until told to stop; every answer is judged.

    `judge(answer)` returns what is wrong, or None. A connection that the gateway closed between two
    requests is no failure; one that ends after a request was sent is."""

    def __init__(self, port, judge=lambda answer: None if answer.status == 200 else answer,
                 clients=4, path="/", headers=None, host="test", **connection):
        self.port, self.judge, self.path, self.connection = port, judge, path, connection
        self.headers, self.host = headers or {}, host
        self.count, self.failures, self.stopping = 0, [], threading.Event()
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self._run) for _ in range(clients)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        self.wait(20)
        return self

    def __exit__(self, *_):
        self.stopping.set()
        for thread in self.threads:
            thread.join()

    def wait(self, more, seconds=30):
        """Until so many more requests were answered."""
        target, deadline = self.count + more, time.monotonic() + seconds
        while self.count < target and time.monotonic() < deadline and not self.stopping.is_set():
            time.sleep(0.002)

    def _run(self):
        client = None
        while not self.stopping.is_set():
            why = None
            try:
                if client is None:
                    client = Client(self.port, **self.connection)
                answer = client.request("GET", self.path, self.headers, host=self.host)
                why = self.judge(answer) if answer.whole else answer
                if answer.get("connection") == "close":
                    client.close()
                    client = None
            except (OSError, EOFError, ValueError, IndexError) as error:
                why = repr(error)
                with contextlib.suppress(AttributeError, OSError):
                    client.close()
                client = None
            with self.lock:
                self.count += 1
                if why is not None:
                    self.failures.append(why)
        if client is not None:
            client.close()
