"""gRPC-Web through both planes: a client that speaks it byte for byte, and sonora, a stock one."""
# SPDX-License-Identifier: Apache-2.0
import base64
import socket
import struct
import urllib.parse

import grpc
import pytest
import sonora.client

from grpc_backend import GrpcBackend
from h2_backend import H2Backend, h2_service
from h2_client import H2Client
from harness import DEADLINE, free_port, gateway_of, listener, metadata, metric_sum, rule, wait_for
from http_client import Client
from test_grpc import grpc_route

pytestmark = pytest.mark.sanitized
BINARY, WORDS = "application/grpc-web+proto", "application/grpc-web-text+proto"


def frame(message, flags=0):
    return struct.pack(">BI", flags, len(message)) + message


def frames_of(body):
    """(messages, trailers) of a body that must be whole."""
    messages, trailers = [], None
    while body:
        flags, length = struct.unpack(">BI", body[:5])
        part, body = body[5:5 + length], body[5 + length:]
        assert len(part) == length and trailers is None, (flags, length, part, body)
        if flags & 0x80:
            assert part.endswith(b"\r\n")
            lines = part.decode("ascii").split("\r\n")[:-1]
            trailers = dict(line.split(":", 1) for line in lines)
        else:
            messages.append(part)
    return messages, trailers


def texts_of(body):
    """The bytes of texts, each padded, one behind the other."""
    assert len(body) % 4 == 0, body
    return b"".join(base64.b64decode(body[i:i + 4], validate=True)
                    for i in range(0, len(body), 4))


def decoded(kind, body):
    return frames_of(texts_of(body) if "-text" in kind else body)


def call(client, path, body, kind=BINARY, **headers):
    """(fields, messages, trailers) of a call over HTTP/1.1."""
    body = base64.b64encode(body) if "-text" in kind else body
    answer = client.request("POST", path, {"Content-Type": kind, "X-Grpc-Web": "1", **headers},
                            body)
    assert answer.status == 200 and answer.whole, answer
    assert answer.get("content-type") == kind
    return answer, *decoded(kind, answer.body)


@pytest.fixture
def echo(start_gateway):
    port = free_port()
    with GrpcBackend() as app:
        gateway = start_gateway(gateway_of(listener("http", port)), grpc_route("all", rule("app")),
                                h2_service("app", app.port))
        yield port, app, gateway


@pytest.mark.quick
@pytest.mark.parametrize("kind", (BINARY, WORDS, "application/grpc-web",
                                  "application/grpc-web-text"))
def test_unary_calls_and_streams_of_answers(echo, kind):
    port, app, gateway = echo
    with Client(port, timeout=DEADLINE) as client:
        for size in (0, 1, 2, 3, 1000, 70000, 300001):
            message = bytes(i % 251 for i in range(size))
            answer, messages, trailers = call(client, "/test.Echo/Unary", frame(message), kind,
                                              **{"X-Text": "a b", "X-Raw-Bin": "AAE="})
            assert messages == [message]
            assert answer.get("x-first") == "1"
            assert trailers["grpc-status"] == "0" and trailers["x-last"] == "2"
            assert base64.b64decode(trailers["x-bytes-bin"] + "==") == b"\x00\xff"
            assert app.metadata["x-text"] == "a b" and app.metadata["x-raw-bin"] == b"\x00\x01"
        _, messages, trailers = call(client, "/test.Echo/Count", frame(b"500"), kind)
        assert messages == [b"%d" % i for i in range(500)] and trailers["grpc-status"] == "0"
    assert gateway.log_lines(8)[0]["grpc_status"] == 0


@pytest.mark.parametrize("kind", (BINARY, WORDS))
def test_requests_may_be_cut_anywhere(echo, kind):
    port, _, _ = echo
    body = frame(b"some words")
    body = base64.b64encode(body) if "-text" in kind else body
    with Client(port, timeout=DEADLINE) as client:
        for size in (1, 2, 3, 5, 7):
            client.send("POST /test.Echo/Unary HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
                        f"Content-Type: {kind}\r\n\r\n")
            for i in range(0, len(body), size):
                part = body[i:i + size]
                client.send(b"%x\r\n%s\r\n" % (len(part), part))
            client.send("0\r\n\r\n")
            answer = client.read()
            assert decoded(kind, answer.body)[0] == [b"some words"]


def test_texts_of_several_frames_stand_side_by_side(echo):
    """Each frame padded by itself, as some clients send a stream of messages."""
    port, _, _ = echo
    body = b"".join(base64.b64encode(frame(b"x" * size)) for size in range(6))
    with Client(port, timeout=DEADLINE) as client:
        answer = client.request("POST", "/test.Echo/Sum", {"Content-Type": WORDS}, body)
        messages, trailers = frames_of(texts_of(answer.body))
        assert (messages, trailers["grpc-status"]) == ([b"15"], "0")


def test_over_http2(echo):
    port, _, _ = echo
    with socket.create_connection(("127.0.0.1", port), DEADLINE) as sock:
        client = H2Client(sock)
        for kind in (BINARY, WORDS):
            body = frame(b"over HTTP/2")
            body = base64.b64encode(body) if kind == WORDS else body
            stream = client.send("a.example", "/test.Echo/Unary", "POST", end=False, scheme="http",
                                 headers=[("content-type", kind)])
            client.h2.send_data(stream, body, end_stream=True)
            client.flush()
            answer = client.read(stream)
            assert answer.status == 200 and answer.head["content-type"] == kind
            assert not answer.trailers
            messages, trailers = decoded(kind, answer.body)
            assert (messages, trailers["grpc-status"]) == ([b"over HTTP/2"], "0")


@pytest.mark.quick
def test_the_form_of_the_answer_is_what_the_client_accepts(echo):
    port, _, _ = echo
    with Client(port, timeout=DEADLINE) as client:
        for sent, accepted in ((BINARY, WORDS), (WORDS, BINARY)):
            body = frame(b"hello")
            body = base64.b64encode(body) if sent == WORDS else body
            answer = client.request("POST", "/test.Echo/Unary",
                                    {"Content-Type": sent, "Accept": accepted}, body)
            assert answer.get("content-type") == accepted
            assert decoded(accepted, answer.body)[0] == [b"hello"]


@pytest.mark.parametrize("kind", (BINARY, WORDS))
def test_statuses_of_the_backend_pass(echo, kind):
    port, _, gateway = echo
    words = "not so: 100 % \u00e9"
    with Client(port, timeout=DEADLINE) as client:
        answer, messages, trailers = call(client, "/test.Echo/Fail", frame(words.encode()), kind)
        said = trailers or dict(answer.fields)
        assert not messages and said["grpc-status"] == "9" and said["x-last"] == "2"
        assert urllib.parse.unquote(said["grpc-message"]) == words
        _, messages, trailers = call(client, "/test.Echo/Break", frame(b"one"), kind)
        assert (messages, trailers["grpc-status"]) == ([b"one"], "15")
        answer, _, trailers = call(client, "/test.Echo/Nothing", frame(b""), kind)
        assert (trailers or dict(answer.fields))["grpc-status"] == "12"
    for status in ("FAILED_PRECONDITION", "DATA_LOSS", "UNIMPLEMENTED"):
        wait_for(lambda: metric_sum(gateway.metrics(), "nantian_grpc_responses_total",
                                    grpc_status=status, route="GRPCRoute/default/all/0") == 1,
                 f"{status} is counted")


@pytest.mark.quick
def test_the_gateway_s_own_answers(start_gateway):
    """No trailers frame: all is in the head."""
    port = free_port()
    slow = rule("slow", matches=[{"method": {"service": "test.Slow"}}])
    with H2Backend(hold=True) as held:
        start_gateway(gateway_of(listener("http", port)),
                      grpc_route("all", slow, rule("gone")),
                      h2_service("slow", held.port), h2_service("gone", free_port()))
        with Client(port, timeout=DEADLINE) as client:
            for kind in (BINARY, WORDS):
                answer, messages, trailers = call(client, "/test.Gone/Unary", frame(b""), kind)
                assert answer.get("grpc-status") == "14" and not messages and trailers is None
                assert "backend" in answer.get("grpc-message")
                with Client(port, timeout=DEADLINE) as waiting:
                    waiting.send("POST /test.Slow/Unary HTTP/1.1\r\nHost: a\r\nContent-Length: 9"
                                 f"\r\nContent-Type: {kind}\r\nGrpc-Timeout: 300m\r\n\r\n")
                    answer = waiting.read()
                    assert answer.status == 200 and answer.get("grpc-status") == "4"


def test_an_answer_that_is_not_grpc_becomes_a_status(start_gateway):
    port = free_port()
    with H2Backend() as app:
        start_gateway(gateway_of(listener("http", port)), grpc_route("all", rule("app")),
                      h2_service("app", app.port))
        with Client(port, timeout=DEADLINE) as client:
            for kind in (BINARY, WORDS):
                answer, _, trailers = call(client, "/a.B/C", frame(b""), kind)
                assert answer.get("grpc-status") == "2" and trailers is None
                assert answer.get("grpc-message") == "The backend's answer is not gRPC."


@pytest.mark.quick
def test_malformed_texts_are_refused(echo):
    port, app, gateway = echo
    good = base64.b64encode(frame(b"abc"))
    bad = (b"A", good[:-1], good + b"A", b"====", good[:4] + b"\xff" + good[5:], b"A=AA" + good,
           good[:4] + b"-_" + good[6:], good.replace(b"A", b" "))
    for body in bad:
        with Client(port, timeout=DEADLINE) as client:
            answer = client.request("POST", "/test.Echo/Unary", {"Content-Type": WORDS}, body)
            assert answer.status == 200 and answer.get("grpc-status") == "13", (body, answer)
            assert answer.get("grpc-message") == "The request's text is not base64."
    lines = gateway.log_lines(len(bad))
    assert {line["response_code_details"] for line in lines} == {"grpc_web_text_malformed"}
    with Client(port, timeout=DEADLINE) as client:
        assert call(client, "/test.Echo/Unary", frame(b"x"), WORDS)[1] == [b"x"]
    assert app.metadata


def test_frames_that_are_not_whole_are_the_backend_s_to_judge(echo):
    port, _, _ = echo
    for kind in (BINARY, WORDS):
        for body in (b"", b"\0\0\0\0\5abc", b"\0\0\0"):
            with Client(port, timeout=DEADLINE) as client:
                answer, _, trailers = call(client, "/test.Echo/Unary", body, kind)
                status = (trailers or dict(answer.fields))["grpc-status"]
                assert status != "0", (kind, body, answer)


def test_other_types_and_methods_are_left_alone(echo):
    port, _, _ = echo
    with Client(port, timeout=DEADLINE) as client:
        for method, kind in (("POST", "application/grpc-website"), ("PUT", BINARY)):
            answer = client.request(method, "/test.Echo/Unary", {"Content-Type": kind}, b"x")
            assert "grpc-web" not in (answer.get("content-type") or ""), answer


def test_a_browser_may_ask_first(start_gateway):
    """CORS of a policy: the preflight is answered, and the status may be read."""
    port = free_port()
    policy = {"apiVersion": "gateway.nantian.dev/v1alpha1", "kind": "SecurityPolicy",
              "metadata": metadata("browsers"),
              "spec": {"targetRefs": [{"group": "gateway.networking.k8s.io", "kind": "GRPCRoute",
                                       "name": "all"}],
                       "cors": {"allowOrigins": ["https://app.example"], "allowMethods": ["POST"],
                                "allowHeaders": ["content-type", "x-grpc-web", "x-user-agent"],
                                "exposeHeaders": ["grpc-status", "grpc-message"]}}}
    with GrpcBackend() as app:
        start_gateway(gateway_of(listener("http", port)), grpc_route("all", rule("app")),
                      h2_service("app", app.port), policy)
        with Client(port, timeout=DEADLINE) as client:
            answer = client.request("OPTIONS", "/test.Echo/Unary", {
                "Origin": "https://app.example", "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "content-type,x-grpc-web"})
            assert answer.status == 204 and "x-grpc-web" in answer.get("access-control-allow-headers")
            answer, messages, _ = call(client, "/test.Echo/Unary", frame(b"x"), BINARY,
                                       Origin="https://app.example")
            assert messages == [b"x"]
            assert answer.get("access-control-allow-origin") == "https://app.example"
            assert answer.get("access-control-expose-headers") == "grpc-status, grpc-message"
    assert app.calls == 1


def test_a_backend_that_dies_between_messages_is_unavailable(echo):
    port, app, _ = echo
    with Client(port, timeout=DEADLINE) as client:
        client.send("POST /test.Echo/Wait HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\n"
                    f"Content-Type: {BINARY}\r\n\r\n")
        client.send(frame(b"go"))
        client.until(frame(b"go"))
        app.close(grace=0)
        client.data = b"7\r\n" + frame(b"go") + client.data.removeprefix(b"")
        body, _, whole = client.read_chunked()
        messages, trailers = frames_of(body)
        assert whole and messages == [b"go"] and trailers["grpc-status"] in ("1", "14"), trailers


@pytest.mark.quick
def test_sonora_calls_through_it(echo):
    port, app, _ = echo
    plain = {"request_serializer": bytes, "response_deserializer": bytes}
    with sonora.client.insecure_web_channel(f"http://127.0.0.1:{port}") as channel:
        answer, info = channel.unary_unary("/test.Echo/Unary", **plain).with_call(
            b"stock", timeout=DEADLINE, metadata=(("x-text", "sonora"),))
        assert answer == b"stock" and dict(info.trailing_metadata())["x-last"] == "2"
        assert app.metadata["x-text"] == "sonora"
        counted = channel.unary_stream("/test.Echo/Count", **plain)(b"300", timeout=DEADLINE)
        assert list(counted) == [b"%d" % i for i in range(300)]
        with pytest.raises(grpc.RpcError) as error:
            channel.unary_unary("/test.Echo/Fail", **plain)(b"why", timeout=DEADLINE)
        assert error.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert error.value.details() == "why"
