"""A stock gRPC implementation (grpcio) at both ends of grpc_echo: python3 grpc_echo_peer.py PROGRAM.

Exits 77 (skipped) where grpcio is not installed; NANTIAN_VENV names the environment that has it.
"""
# SPDX-License-Identifier: Apache-2.0
import concurrent.futures
import os
import subprocess
import sys
import threading

if __name__ == "__main__" and "NANTIAN_VENV" in os.environ and sys.prefix == sys.base_prefix:
    python = os.path.join(os.environ["NANTIAN_VENV"], "bin", "python")
    os.execv(python, [python, *sys.argv])

try:
    import grpc
except ImportError:
    print("grpcio is not installed: skipped")
    sys.exit(77)

PROGRAM = sys.argv[1]
OPTIONS = [("grpc.max_receive_message_length", 64 << 20), ("grpc.max_send_message_length", 64 << 20)]


def raw(message):
    return message


def stream_of(channel, name):
    return channel.stream_stream("/test.Echo/" + name, request_serializer=raw, response_deserializer=raw)


def unary_of(channel, name):
    return channel.unary_unary("/test.Echo/" + name, request_serializer=raw, response_deserializer=raw)


def code_of(call):
    try:
        call()
    except grpc.RpcError as error:
        return error.code(), error.details()
    return grpc.StatusCode.OK, ""


def ping_pong(channel):
    """One message after the other, each sent when the last came back: a stream that stays open."""
    ready = threading.Semaphore(1)

    def requests():
        for i in range(200):
            ready.acquire(timeout=10)
            yield b"message %d" % i

    count = 0
    for answer in stream_of(channel, "Stream")(requests(), timeout=30):
        assert answer == b"message %d" % count, answer
        count += 1
        ready.release()
    assert count == 200, count


def try_server():
    server = subprocess.Popen([PROGRAM, "serve", "0"], stdout=subprocess.PIPE, text=True)
    try:
        port = int(server.stdout.readline().split()[1])
        with grpc.insecure_channel(f"127.0.0.1:{port}", options=OPTIONS) as channel:
            assert unary_of(channel, "Stream")(b"hello", timeout=10) == b"hello"
            assert unary_of(channel, "Stream")(b"", timeout=10) == b""
            big = os.urandom(4 << 20)
            assert unary_of(channel, "Stream")(big, timeout=20) == big
            ping_pong(channel)
            pieces = [os.urandom(size) for size in (1, 16379, 16384, 65535, 65536, 1000000)] * 5
            assert list(stream_of(channel, "Stream")(iter(pieces), timeout=30)) == pieces
            flood = [len(m) for m in stream_of(channel, "Flood")(iter([b"x"]), timeout=30)]
            assert flood == [50000] * 200, len(flood)

            code, words = code_of(lambda: unary_of(channel, "Fail")(b"x", timeout=10))
            assert (code, words) == (grpc.StatusCode.FAILED_PRECONDITION, "50% of ü"), (code, words)
            code, _ = code_of(lambda: unary_of(channel, "Nothing")(b"x", timeout=10))
            assert code == grpc.StatusCode.UNIMPLEMENTED, code
            code, _ = code_of(lambda: unary_of(channel, "Stream")(bytes((4 << 20) + 1), timeout=10))
            assert code == grpc.StatusCode.RESOURCE_EXHAUSTED, code
            code, _ = code_of(lambda: channel.unary_unary(
                "/test.Echo/Stream", request_serializer=raw, response_deserializer=raw)(
                    b"z" * 5000, timeout=10, compression=grpc.Compression.Gzip))
            assert code == grpc.StatusCode.UNIMPLEMENTED, code

            calls = [stream_of(channel, "Stream")(iter([b"a", b"b"]), timeout=20) for _ in range(90)]
            for call in calls:
                assert list(call) == [b"a", b"b"]

            held = threading.Event()

            def forever():
                yield b"x"
                held.wait(20)

            call = stream_of(channel, "Stream")(forever())
            assert next(call) == b"x"
            call.cancel()
            held.set()
            assert unary_of(channel, "Stream")(b"alive", timeout=10) == b"alive"
    finally:
        server.terminate()
        assert server.wait(timeout=10) == 0, server.returncode


class Handler(grpc.GenericRpcHandler):
    def service(self, details):
        if details.method == "/test.Echo/Stream":
            return grpc.stream_stream_rpc_method_handler(self.echo, raw, raw)
        return None

    @staticmethod
    def echo(requests, context):
        del context
        yield from requests


def try_client():
    pool = concurrent.futures.ThreadPoolExecutor(max_workers=8)
    server = grpc.server(pool, handlers=[Handler()], options=OPTIONS)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        for count, size in ((1, 10), (1, 0), (500, 100), (20, 1000000), (2, 30000000)):
            out = subprocess.run([PROGRAM, "call", str(port), str(count), str(size)], check=False,
                                 capture_output=True, text=True, timeout=60)
            want = f"status 0 messages {count} bytes {count * size} text"
            assert out.stdout.strip() == want, (out.stdout, out.stderr, want)
            assert out.returncode == 0
    finally:
        server.stop(0).wait()
    out = subprocess.run([PROGRAM, "call", str(port), "1", "1"], check=False, capture_output=True,
                         text=True, timeout=60)
    assert out.returncode == 1


if __name__ == "__main__":
    try_server()
    try_client()
    print("grpcio", grpc.__version__, "at both ends: fine")
