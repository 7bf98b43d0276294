"""XBackends: hosts that routes name without a Service, with their own port, protocol and TLS."""
# SPDX-License-Identifier: Apache-2.0
import ssl

import pytest

from certificates import Authority, secret_of
from h2_backend import H2Backend
from harness import free_port, gateway_of, listener, metadata, route, wait_for
from http_backend import named
from http_client import request

pytestmark = pytest.mark.sanitized
GROUP, NAME = "gateway.networking.x-k8s.io", "app.example"


def x_backend(name, port, **more):
    return {"apiVersion": f"{GROUP}/v1alpha1", "kind": "XBackend", "metadata": metadata(name),
            "spec": {"type": "ExternalHostname", "port": {"number": port},
                     "externalHostname": {"hostname": "localhost"}, **more}}


def tls(mode="ServerOnly", hostname=NAME, ca="ca", **more):
    return {"tls": {"mode": mode, "validation": {
        "hostname": hostname, "caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": ca}]},
        **more}}


def to(*names):
    """A rule for each, at /name."""
    return [{"matches": [{"path": {"value": f"/{name}"}}],
             "backendRefs": [{"group": GROUP, "kind": "XBackend", "name": name}]} for name in names]


def bundle(name, authority):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata(name),
            "data": {"ca.crt": authority.pem().decode()}}


def said(status):
    ancestor, = status["ancestors"]
    assert ancestor["ancestorRef"]["name"] == "web"
    return {c["type"]: (c["status"], c["reason"]) for c in ancestor["conditions"]}


GOOD = {"Accepted": ("True", "Accepted"), "ResolvedRefs": ("True", "ResolvedRefs")}


@pytest.mark.quick
def test_a_host_is_reached_at_the_port_that_its_x_backend_says(start_gateway, start_backend):
    port, one, two = free_port(), start_backend(named("one")), start_backend(named("two"))
    fixed = gateway_of(listener("http", port)), route("r", *to("it"))
    gateway = start_gateway(*fixed, x_backend("it", one.port))
    assert request(port, "/it").body == b"one"
    assert said(gateway.object_status("XBackend", "it")) == GOOD
    assert gateway.route_condition("r", "ResolvedRefs")["status"] == "True"
    gateway.apply("config.yaml", *fixed, x_backend("it", two.port))
    assert request(port, "/it").body == b"two"
    gateway.apply("config.yaml", *fixed)
    assert request(port, "/it").status == 500
    assert gateway.route_condition("r", "ResolvedRefs")["reason"] == "BackendNotFound"


def tls_context(tmp_path, authority, users=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    path = tmp_path / "backend.pem"
    path.write_bytes(b"".join(authority.issue(NAME)))
    context.load_cert_chain(path)
    if users is not None:
        context.load_verify_locations(cadata=users.pem().decode())
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def test_tls_is_verified_and_its_own_certificate_is_shown(start_gateway, start_backend, tmp_path):
    port, authority, users = free_port(), Authority("backends"), Authority("users")
    open_ = start_backend(named("open"), tls=tls_context(tmp_path, authority))
    closed = start_backend(named("closed"), tls=tls_context(tmp_path, authority, users))
    names = ("open", "name", "ca", "shown", "unshown", "lacking")
    mutual = {"mode": "ClientAndServer", "clientCertificateRef": {"name": "us"}}
    gateway = start_gateway(
        gateway_of(listener("http", port)), route("r", *to(*names)),
        bundle("ca", authority), bundle("stranger", Authority("stranger")),
        secret_of("us", *users.issue("us")), x_backend("open", open_.port, **tls()),
        x_backend("name", open_.port, **tls(hostname="other.example")),
        x_backend("ca", open_.port, **tls(ca="stranger")),
        x_backend("shown", closed.port, **tls(**mutual)),
        x_backend("unshown", closed.port, **tls()),
        x_backend("lacking", closed.port, **tls(
            mode="ClientAndServer", clientCertificateRef={"name": "nobody"})))
    assert request(port, "/open").body == b"open" and request(port, "/shown").body == b"closed"
    for name in ("name", "ca", "unshown", "lacking"):
        assert request(port, f"/{name}").status in (502, 503), name
    assert len(open_.requests) == 1 and len(closed.requests) == 1
    for name in names[:-1]:
        assert said(gateway.object_status("XBackend", name)) == GOOD, name
    assert said(gateway.object_status("XBackend", "lacking")) == {
        "Accepted": ("False", "Invalid"), "ResolvedRefs": ("False", "InvalidClientCertificateRef")}


def test_http_2_is_spoken_where_it_says_so_and_what_cannot_be_is_said(start_gateway):
    port = free_port()
    with H2Backend() as backend:
        pods = x_backend("pods", backend.port, type="EndpointSelector",
                         endpointSelector={"matchLabels": {"app": "shop"}})
        del pods["spec"]["externalHostname"]
        gateway = start_gateway(
            gateway_of(listener("http", port)), route("r", *to("it")),
            route("odd", *to("pods", "bytes")), x_backend("it", backend.port, protocol="H2C"), pods,
            x_backend("bytes", backend.port, protocol="TCP"))
        assert request(port, "/it").status == 200
        for name in ("pods", "bytes"):
            assert request(port, f"/{name}").status == 500, name
    condition = gateway.route_condition("odd", "ResolvedRefs")
    assert (condition["status"], condition["reason"]) == ("False", "UnsupportedValue")
    assert "EndpointSelector" in condition["message"]
    assert said(gateway.object_status("XBackend", "pods"))["Accepted"] == ("False", "UnsupportedValue")
    assert said(gateway.object_status("XBackend", "it")) == GOOD


def test_in_a_cluster_x_backends_are_found_when_they_are_served_and_get_their_status(start_cluster):
    cluster = start_cluster(missing=["xbackends"])
    server, users = cluster.server, Authority("users")
    server.put(route("r", *to("it")))
    cluster.wait_accepted("r")

    def resolved(status):
        condition = cluster.condition("HTTPRoute", "r", "ResolvedRefs")
        return condition is not None and condition["status"] == status

    def status():
        found = (server.get("XBackend", "it").get("status") or {}).get("ancestors") or []
        return said({"ancestors": found}) if len(found) == 1 else None

    wait_for(lambda: resolved("False"), "there are none")
    assert cluster.kind("XBackend")["missing"]
    server.install("xbackends")
    server.put(secret_of("us", *users.issue("us")))
    server.put(bundle("ca", users))
    server.put(x_backend("it", 443, **tls(mode="ClientAndServer",
                                          clientCertificateRef={"name": "us"})))
    wait_for(lambda: resolved("True"), "it is found")
    wait_for(lambda: status() == GOOD, "its status is written")
    server.remove("Secret", "us")
    wait_for(lambda: status() == {"Accepted": ("False", "Invalid"), "ResolvedRefs": (
        "False", "InvalidClientCertificateRef")}, "its certificate is missed")
    server.remove("HTTPRoute", "r")
    wait_for(lambda: not server.get("XBackend", "it")["status"]["ancestors"], "nobody uses it")
