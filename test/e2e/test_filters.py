"""What rules do with requests beyond routing: CORS, retries, mirrors; TLS to backends."""
# SPDX-License-Identifier: Apache-2.0
import pytest

from harness import free_port, gateway_of, listener, route, service
from http_backend import named
from http_client import request

pytestmark = pytest.mark.sanitized


def match(path):
    return [{"path": {"type": "PathPrefix", "value": path}}]


def refs(*names):
    return [{"name": name, "port": 80} for name in names]


# ---- CORS: the 17 cases of the conformance suite ----

FOO, BAR, DEEP = "https://www.foo.com", "https://www.bar.com", "https://xpto.www.bar.com"
OTHER, PORT = "https://foobar.com", "https://www.foo.com:12345"
CORS = {
    "/cors-1": {"allowOrigins": [FOO, "https://*.bar.com"], "allowMethods": ["GET", "OPTIONS"],
                "allowHeaders": ["x-header-1", "x-header-2"],
                "exposeHeaders": ["x-header-3", "x-header-4"], "allowCredentials": True,
                "maxAge": 3600},
    "/cors-2": {"allowOrigins": [FOO], "allowMethods": ["*"]},
    "/origin": {"allowOrigins": ["*"], "allowMethods": ["PUT"]},
    "/all": {"allowOrigins": ["*"], "allowMethods": ["*"], "allowHeaders": ["*"],
             "allowCredentials": True},
    "/unauth": {"allowOrigins": ["*"], "allowMethods": ["*"], "allowHeaders": ["*"],
                "allowCredentials": False},
}
LISTS = {"allow-methods": ["GET, OPTIONS"], "allow-headers": ["x-header-1, x-header-2"],
         "expose-headers": ["x-header-3, x-header-4"], "max-age": ["3600"],
         "allow-credentials": ["true"]}
ASKED = {"allow-methods": ["PUT"], "allow-headers": ["x-header-1, x-header-2"],
         "allow-credentials": ["true"]}
ANY = {"allow-methods": ["PUT", "*"], "allow-headers": ["x-header-1, x-header-2", "*"],
       "allow-credentials": [None]}
CASES = [  # path, method asked in a preflight or None, origin, fields and their possible values
    ("/cors-1", "GET", FOO, {"allow-origin": [FOO], **LISTS}),
    ("/cors-1", "GET", BAR, {"allow-origin": [BAR], **LISTS}),
    ("/cors-1", "GET", DEEP, {"allow-origin": [DEEP], **LISTS}),
    ("/cors-1", "GET", OTHER, {"allow-origin": [None]}),
    ("/cors-1", None, FOO, {"allow-origin": [FOO]}),
    ("/cors-1", None, BAR, {"allow-origin": [BAR]}),
    ("/cors-1", None, OTHER, {"allow-origin": [None]}),
    ("/cors-2", "POST", FOO, {"allow-origin": [FOO], "allow-methods": ["POST", "*"],
                              "allow-credentials": [None]}),
    ("/origin", "PUT", FOO, {"allow-origin": [FOO, "*"], "allow-methods": ["PUT"],
                             "allow-credentials": [None]}),
    ("/origin", "PUT", PORT, {"allow-origin": [PORT, "*"], "allow-methods": ["PUT"],
                              "allow-credentials": [None]}),
    ("/origin", None, PORT, {"allow-origin": [PORT, "*"], "allow-credentials": [None]}),
    ("/all", "PUT", FOO, {"allow-origin": [FOO], **ASKED}),
    ("/all", "PUT", PORT, {"allow-origin": [PORT], **ASKED}),
    ("/all", None, FOO, {"allow-origin": [FOO], "allow-credentials": ["true"]}),
    ("/unauth", "PUT", FOO, {"allow-origin": [FOO, "*"], **ANY}),
    ("/unauth", "PUT", PORT, {"allow-origin": [PORT, "*"], **ANY}),
    ("/unauth", None, FOO, {"allow-origin": [FOO, "*"], "allow-credentials": [None]}),
]


@pytest.mark.quick
def test_cors_answers_preflights_and_marks_answers(start_gateway, start_backend):
    port = free_port()
    backend = start_backend(named("app", {"Access-Control-Allow-Origin": "https://evil.example"}))
    gateway = start_gateway(
        gateway_of(listener("http", port)), service("app", backend.port),
        route("r", *({"matches": match(path), "backendRefs": refs("app"),
                      "filters": [{"type": "CORS", "cors": cors}]}
                     for path, cors in CORS.items())))
    assert gateway.route_condition("r", "Accepted")["status"] == "True"
    for path, asked, origin, fields in CASES:
        before = len(backend.requests)
        headers = {"Origin": origin}
        if asked:
            headers |= {"Access-Control-Request-Method": asked,
                        "Access-Control-Request-Headers": "x-header-1, x-header-2"}
        answer = request(port, path, "OPTIONS" if asked else "GET", headers)
        assert answer.status == (204 if asked else 200), (path, asked, origin, answer)
        assert len(backend.requests) - before == (0 if asked else 1)
        for name, values in fields.items():
            assert answer.get(f"access-control-{name}") in values, (path, asked, origin, answer)
    # OPTIONS that asks nothing is an ordinary request.
    assert request(port, "/cors-1", "OPTIONS", {"Origin": FOO}).body == b"app"


def test_a_policy_brings_cors_unless_the_rule_has_its_own(start_gateway, start_backend):
    port = free_port()
    own = {"type": "CORS", "cors": {"allowOrigins": [BAR]}}
    start_gateway(
        gateway_of(listener("http", port)), service("app", start_backend(named("app")).port),
        {"apiVersion": "gateway.nantian.dev/v1alpha1", "kind": "SecurityPolicy",
         "metadata": {"name": "cors", "namespace": "default"},
         "spec": {"targetRefs": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute",
                                  "name": "r"}],
                  "cors": {"allowOrigins": [FOO]}}},
        route("r", {"matches": match("/own"), "backendRefs": refs("app"), "filters": [own]},
              {"backendRefs": refs("app")}))
    for path, origin, allowed in (("/", FOO, FOO), ("/", BAR, None), ("/own", BAR, BAR),
                                  ("/own", FOO, None)):
        answer = request(port, path, headers={"Origin": origin})
        assert answer.get("access-control-allow-origin") == allowed, (path, origin, answer)
