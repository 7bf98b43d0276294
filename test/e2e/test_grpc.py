"""gRPC through both planes with grpcio: all kinds of calls, statuses, deadlines, routes."""
# SPDX-License-Identifier: Apache-2.0
import contextlib
import itertools
import socket
import threading
import time

import grpc
import pytest

from grpc_backend import OPTIONS, GrpcBackend
from h2_backend import H2Backend, h2_service
from h2_client import H2Client
from harness import API, DEADLINE, free_port, gateway_of, listener, metadata, rule, wait_for

pytestmark = pytest.mark.sanitized
Code = grpc.StatusCode


def grpc_route(name, *rules, **spec):
    return {"apiVersion": API, "kind": "GRPCRoute", "metadata": metadata(name),
            "spec": {"parentRefs": [{"name": "web"}], **spec, "rules": list(rules)}}


def method(service=None, name=None, kind="Exact", **more):
    found = {"type": kind, **({"service": service} if service else {}),
             **({"method": name} if name else {})}
    return {"method": found, **more}


@contextlib.contextmanager
def channel_to(port, **options):
    more = [(f"grpc.{name}", value) for name, value in options.items()]
    with grpc.insecure_channel(f"127.0.0.1:{port}",
                               [*OPTIONS, ("grpc.enable_http_proxy", 0), *more]) as channel:
        yield channel


def unary(channel, path="/test.Echo/Unary"):
    return channel.unary_unary(path)


def failure(call, *args, **options):
    """The code and words of a call that must fail."""
    with pytest.raises(grpc.RpcError) as error:
        answer = call(*args, timeout=options.pop("timeout", DEADLINE), **options)
        if not isinstance(answer, bytes):
            list(answer)
    return error.value.code(), error.value.details()


@pytest.fixture
def start_grpc():
    started = []

    def start(*args, **options):
        started.append(GrpcBackend(*args, **options))
        return started[-1]

    yield start
    for each in started:
        each.close()


@pytest.fixture
def echo(start_gateway, start_grpc):
    """(port, backend, gateway) of a route to one backend."""
    port, app = free_port(), start_grpc()
    gateway = start_gateway(gateway_of(listener("http", port)), grpc_route("all", rule("app")),
                            h2_service("app", app.port))
    return port, app, gateway


@pytest.mark.quick
def test_all_four_kinds_of_calls(echo):
    port, app, gateway = echo
    with channel_to(port) as channel:
        assert unary(channel)(b"hello", timeout=DEADLINE) == b"hello"
        messages = [b"x" * size for size in (0, 1, 1000, 70000, 3)]
        both = channel.stream_stream("/test.Echo/Stream")(iter(messages), timeout=DEADLINE)
        assert list(both) == messages
        summed = channel.stream_unary("/test.Echo/Sum")(iter(messages), timeout=DEADLINE)
        assert summed == b"71004"
        counted = channel.unary_stream("/test.Echo/Count")(b"500", timeout=DEADLINE)
        assert list(counted) == [b"%d" % i for i in range(500)]
    assert app.calls == 4
    assert {line["protocol"] for line in gateway.log_lines(4)} == {"HTTP/2"}


def test_a_stream_is_open_both_ways_at_once(echo):
    port, _, _ = echo
    ready = threading.Semaphore(1)

    def requests():
        for i in range(100):
            ready.acquire(timeout=DEADLINE)
            yield b"%d" % i

    with channel_to(port) as channel:
        count = 0
        for answer in channel.stream_stream("/test.Echo/Stream")(requests(), timeout=DEADLINE):
            assert answer == b"%d" % count
            count += 1
            ready.release()
        assert count == 100


def test_messages_of_4_mib(echo):
    port, _, _ = echo
    message = bytes(itertools.islice(itertools.cycle(range(251)), 4 << 20))
    with channel_to(port) as channel:
        assert unary(channel)(message, timeout=DEADLINE) == message
        both = channel.stream_stream("/test.Echo/Stream")(iter([message] * 3), timeout=DEADLINE)
        assert [len(answer) for answer in both] == [len(message)] * 3


def test_metadata_goes_both_ways(echo):
    port, app, _ = echo
    sent = (("x-text", "a b"), ("x-raw-bin", b"\x00\x01\xfe"))
    with channel_to(port) as channel:
        answer, call = unary(channel).with_call(b"m", timeout=DEADLINE, metadata=sent)
        assert answer == b"m" and call.code() is Code.OK
        assert dict(call.initial_metadata())["x-first"] == "1"
        assert dict(call.trailing_metadata()) == {"x-last": "2", "x-bytes-bin": b"\x00\xff"}
    assert app.metadata["x-text"] == "a b" and app.metadata["x-raw-bin"] == b"\x00\x01\xfe"
    assert app.metadata["x-forwarded-for"] == "127.0.0.1"


def test_statuses_of_the_backend_pass(echo):
    port, _, _ = echo
    with channel_to(port) as channel:
        words = "not so: 100 % \u00e9"
        code, details = failure(unary(channel, "/test.Echo/Fail"), words.encode())
        assert (code, details) == (Code.FAILED_PRECONDITION, words)
        code, details = failure(channel.unary_stream("/test.Echo/Break"), b"one")
        assert (code, details) == (Code.DATA_LOSS, "half way")
        assert failure(unary(channel, "/test.Echo/Nothing"), b"")[0] is Code.UNIMPLEMENTED


def test_a_cancelled_call_is_cancelled_at_the_backend(echo):
    port, app, _ = echo
    with channel_to(port) as channel:
        call = channel.unary_stream("/test.Echo/Wait")(b"go", timeout=DEADLINE)
        assert next(call) == b"go"
        call.cancel()
        assert app.cancelled.wait(DEADLINE)
        assert unary(channel)(b"after", timeout=DEADLINE) == b"after"


def test_the_client_s_deadline_counts_at_the_gateway(start_gateway):
    """A client that states a deadline and does not keep it itself: raw HTTP/2."""
    port = free_port()
    with H2Backend(hold=True) as app:
        start_gateway(gateway_of(listener("http", port)), grpc_route("all", rule("app")),
                      h2_service("app", app.port))
        with socket.create_connection(("127.0.0.1", port), DEADLINE) as sock:
            client = H2Client(sock)
            begun = time.monotonic()
            answer = client.read(client.send(
                "a.example", "/test.Echo/Unary", "POST", end=False, scheme="http",
                headers=[("content-type", "application/grpc"), ("te", "trailers"),
                         ("grpc-timeout", "300m")]))
            assert 0.25 < time.monotonic() - begun < 5
            assert answer.status == 200 and answer.head["grpc-status"] == "4", answer.head


def test_the_deadline_reaches_the_backend(echo):
    port, app, _ = echo
    with channel_to(port) as channel:
        assert unary(channel)(b"", timeout=17) == b""
        assert 10 < app.remaining <= 17.5
        code, _ = failure(channel.unary_stream("/test.Echo/Wait"), b"", timeout=0.5)
        assert code is Code.DEADLINE_EXCEEDED
    assert app.cancelled.wait(DEADLINE)


@pytest.mark.quick
def test_the_gateway_s_own_answers_are_grpc_statuses(start_gateway, start_grpc):
    port = free_port()
    app = start_grpc()
    start_gateway(
        gateway_of(listener("http", port)),
        grpc_route("all", rule("app", matches=[method("test.Echo")]),
                   rule("gone", matches=[method("test.Gone")]),
                   rule("empty", matches=[method("test.Empty")]),
                   rule("missing", matches=[method("test.Missing")])),
        h2_service("app", app.port), h2_service("gone", free_port()), h2_service("empty"))
    with channel_to(port, enable_retries=0) as channel:
        assert unary(channel)(b"x", timeout=DEADLINE) == b"x"
        code, details = failure(unary(channel, "/test.Other/Unary"), b"")
        assert (code, details) == (Code.UNIMPLEMENTED, "No route matches this request.")
        for service in ("Gone", "Empty", "Missing"):
            code, details = failure(unary(channel, f"/test.{service}/Unary"), b"")
            assert code is Code.UNAVAILABLE and "backend" in details, (service, code, details)
        assert unary(channel)(b"y", timeout=DEADLINE) == b"y"


def test_answers_without_a_status_get_one(start_gateway):
    """A backend that speaks HTTP/2 but not gRPC."""
    port = free_port()
    with H2Backend() as app:
        start_gateway(gateway_of(listener("http", port)), grpc_route("all", rule("app")),
                      h2_service("app", app.port))
        with socket.create_connection(("127.0.0.1", port), DEADLINE) as sock:
            answer = H2Client(sock).get("a.example", path="/a.B/C", method="POST", scheme="http",
                                        headers=[("content-type", "application/grpc")])
            assert answer.status == 200 and dict(answer.trailers)["grpc-status"] == "2"


def test_a_backend_that_dies_in_the_middle_is_unavailable(echo):
    port, app, _ = echo
    with channel_to(port, enable_retries=0) as channel:
        call = channel.unary_stream("/test.Echo/Wait")(b"go", timeout=DEADLINE)
        assert next(call) == b"go"
        app.cancelled.clear()
        app.close(grace=0)
        with pytest.raises(grpc.RpcError) as error:
            next(call)
        assert error.value.code() in (Code.UNAVAILABLE, Code.CANCELLED), error.value


def test_routes_by_service_method_header_and_host(start_gateway, start_grpc):
    port = free_port()
    names = ("one", "two", "blue", "host")
    apps = {name: start_grpc(name) for name in names}
    blue = {"headers": [{"name": "color", "value": "blue"}]}
    start_gateway(
        gateway_of(listener("http", port)),
        grpc_route("main", rule("one", matches=[method("test.Echo", "Unary")]),
                   rule("two", matches=[method("test.Echo", "(Sum|Count)", "RegularExpression")]),
                   rule("blue", matches=[method("test.Echo", "Unary", **blue)])),
        grpc_route("hosted", rule("host"), hostnames=["other.example"]),
        *(h2_service(name, apps[name].port) for name in names))
    with channel_to(port) as channel:
        for options, expected in (({}, "one"), ({"metadata": (("color", "blue"),)}, "blue")):
            _, call = unary(channel).with_call(b"", timeout=DEADLINE, **options)
            assert dict(call.initial_metadata())["x-backend"] == expected
        assert list(channel.unary_stream("/test.Echo/Count")(b"3", timeout=DEADLINE))
        assert apps["two"].calls == 1
        assert failure(channel.stream_stream("/test.Echo/Stream"),
                       iter([b""]))[0] is Code.UNIMPLEMENTED
    with channel_to(port, default_authority="other.example") as channel:
        _, call = unary(channel).with_call(b"", timeout=DEADLINE)
        assert dict(call.initial_metadata())["x-backend"] == "host"


def test_a_restarting_backend_loses_no_call(start_gateway, start_grpc):
    """Graceful ends of servers (GOAWAY) while calls go on: each call is answered."""
    port = free_port()
    apps = [start_grpc() for _ in range(3)]
    gateway = start_gateway(gateway_of(listener("http", port)), grpc_route("all", rule("app")),
                            h2_service("app", *(app.port for app in apps)))
    failures, stop, count = [], threading.Event(), itertools.count()

    def load():
        with channel_to(port, enable_retries=0) as channel:
            call = unary(channel)
            while not stop.is_set():
                try:
                    call(b"z" * 100, timeout=DEADLINE)
                    next(count)
                except grpc.RpcError as error:
                    # grpcio answers so what it had read when it was stopped: no word of ours.
                    if (error.code(), error.details()) != (Code.CANCELLED, "CANCELLED"):
                        failures.append((error.code(), error.details()))

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    wait_for(lambda: next(count) > 100, "calls go through")
    apps[0].close(grace=30)
    done = next(count)
    wait_for(lambda: next(count) > done + 300, "calls go on")
    stop.set()
    for thread in threads:
        thread.join()
    assert not failures, (failures[:3], gateway.proxy.text()[-500:])
