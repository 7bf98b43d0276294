"""An external authorization server (grpcio): envoy.service.auth.v3.Authorization/Check."""
# SPDX-License-Identifier: Apache-2.0
import concurrent.futures

import grpc

from xds_client import Schema

PACKAGE = "envoy.service.auth.v3."


class AuthService:
    """`decide(attributes, response)` fills in the response; what was asked stands in `asked`."""

    def __init__(self, decide):
        schema = Schema()
        self.asked, self.peers, self.deadlines = [], set(), []
        self.decide, self.answer = decide, schema.message(PACKAGE + "CheckResponse")
        self.server = grpc.server(concurrent.futures.ThreadPoolExecutor(16))
        self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(
            PACKAGE + "Authorization", {"Check": grpc.unary_unary_rpc_method_handler(
                self._check, schema.message(PACKAGE + "CheckRequest").FromString,
                lambda answer: answer if isinstance(answer, bytes) else answer.SerializeToString())}),))
        self.port = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()

    def _check(self, request, context):
        self.asked.append(request.attributes)
        self.peers.add(context.peer())
        self.deadlines.append(context.time_remaining())
        answer = self.answer()
        other = self.decide(request.attributes, answer)
        return answer if other is None else other

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.server.stop(None).wait(10)
