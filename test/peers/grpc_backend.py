"""A gRPC server (grpcio) with one method of each kind, over bytes."""
# SPDX-License-Identifier: Apache-2.0
import concurrent.futures
import threading

import grpc

OPTIONS = [("grpc.max_receive_message_length", 16 << 20),
           ("grpc.max_send_message_length", 16 << 20)]


class GrpcBackend:
    """/test.Echo/: Unary, Stream (both ways), Sum (a stream in), Count (a stream out), Fail."""

    def __init__(self, name="echo", service="test.Echo"):
        self.name, self.cancelled, self.remaining = name, threading.Event(), None
        self.metadata, self.calls = {}, 0
        self.server = grpc.server(concurrent.futures.ThreadPoolExecutor(32), options=OPTIONS)
        self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {
            "Unary": grpc.unary_unary_rpc_method_handler(self._unary),
            "Stream": grpc.stream_stream_rpc_method_handler(self._stream),
            "Sum": grpc.stream_unary_rpc_method_handler(self._sum),
            "Count": grpc.unary_stream_rpc_method_handler(self._count),
            "Fail": grpc.unary_unary_rpc_method_handler(self._fail),
            "Break": grpc.unary_stream_rpc_method_handler(self._break),
            "Wait": grpc.unary_stream_rpc_method_handler(self._wait),
        }),))
        self.port = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self, grace=None):
        self.server.stop(grace).wait(10)

    def _note(self, context):
        self.calls += 1
        self.metadata = dict(context.invocation_metadata())
        self.remaining = context.time_remaining()

    def _unary(self, message, context):
        self._note(context)
        context.send_initial_metadata((("x-first", "1"), ("x-backend", self.name)))
        context.set_trailing_metadata((("x-last", "2"), ("x-bytes-bin", b"\x00\xff")))
        return message

    def _stream(self, messages, context):
        self._note(context)
        yield from messages

    def _sum(self, messages, context):
        self._note(context)
        return b"%d" % sum(len(message) for message in messages)

    def _count(self, message, context):
        self._note(context)
        for i in range(int(message)):
            yield b"%d" % i

    def _fail(self, message, context):
        self._note(context)
        context.set_trailing_metadata((("x-last", "2"),))
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, message.decode())

    def _break(self, message, context):
        yield message
        context.abort(grpc.StatusCode.DATA_LOSS, "half way")

    def _wait(self, message, context):
        self._note(context)
        context.add_callback(self.cancelled.set)
        yield message
        self.cancelled.wait(30)
