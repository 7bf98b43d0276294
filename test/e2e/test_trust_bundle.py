"""ClusterTrustBundles as authorities: of backends and of clients, in a directory and in a cluster."""
# SPDX-License-Identifier: Apache-2.0
import ssl

import pytest

from certificates import Authority, secret_of
from harness import free_port, gateway_of, listener, metadata, route, rule, service, wait_for
from http_backend import named
from http_client import Client, request

pytestmark = pytest.mark.sanitized
NAME, BUNDLE = "app.example", "example.com:app:v1"
REF = {"group": "certificates.k8s.io", "kind": "ClusterTrustBundle", "name": BUNDLE}


def trust_bundle(authority):
    return {"apiVersion": "certificates.k8s.io/v1beta1", "kind": "ClusterTrustBundle",
            "metadata": {"name": BUNDLE}, "spec": {"signerName": "example.com/app",
                                                   "trustBundle": authority.pem().decode()}}


def policy():
    return {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "BackendTLSPolicy",
            "metadata": metadata("tls"), "spec": {
                "targetRefs": [{"group": "", "kind": "Service", "name": "app"}],
                "validation": {"hostname": NAME, "caCertificateRefs": [REF]}}}


def said(status):
    return {c["type"]: (c["status"], c["reason"]) for c in status["ancestors"][0]["conditions"]}


GOOD = {"Accepted": ("True", "Accepted"), "ResolvedRefs": ("True", "ResolvedRefs")}
MISSED = {"Accepted": ("False", "NoValidCACertificate"),
          "ResolvedRefs": ("False", "InvalidCACertificateRef")}


@pytest.mark.quick
def test_a_backend_is_verified_by_a_bundle_of_the_cluster(start_gateway, start_backend, tmp_path):
    port, authority = free_port(), Authority("backends")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    (tmp_path / "backend.pem").write_bytes(b"".join(authority.issue(NAME)))
    context.load_cert_chain(tmp_path / "backend.pem")
    backend = start_backend(named("app"), tls=context)
    fixed = [gateway_of(listener("http", port)), route("r", rule("app")),
             service("app", backend.port), policy()]
    gateway = start_gateway(*fixed, trust_bundle(authority))
    assert request(port).body == b"app"
    assert said(gateway.object_status("BackendTLSPolicy", "tls")) == GOOD
    gateway.apply("config.yaml", *fixed, trust_bundle(Authority("stranger")))
    assert request(port).status in (502, 503)
    gateway.apply("config.yaml", *fixed)
    assert request(port).status == 502
    assert said(gateway.object_status("BackendTLSPolicy", "tls")) == MISSED
    gateway.apply("config.yaml", *fixed, trust_bundle(authority))
    assert request(port).body == b"app"


def test_clients_are_verified_by_a_bundle_of_the_cluster(start_gateway, start_backend, tmp_path):
    port, authority, users = free_port(), Authority("servers"), Authority("users")
    web = gateway_of(listener("https", port, "HTTPS", hostname=NAME,
                              tls={"certificateRefs": [{"name": "web"}]}))
    web["spec"]["tls"] = {"frontend": {"default": {"validation": {"caCertificateRefs": [REF]}}}}
    start_gateway(web, route("r", rule("app")), service("app", start_backend(named("app")).port),
                  secret_of("web", *authority.issue(NAME)), trust_bundle(users))

    def ask(issuer):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=authority.pem().decode())
        if issuer is not None:
            (tmp_path / "user.pem").write_bytes(b"".join(issuer.issue("user")))
            context.load_cert_chain(tmp_path / "user.pem")
        try:
            with Client(port, tls=context, server_name=NAME) as client:
                return client.request("GET", "/", host=NAME).body
        except (OSError, EOFError):
            return None

    assert ask(users) == b"app"
    assert ask(None) is None and ask(Authority("stranger")) is None


def test_in_a_cluster_bundles_are_found_when_they_are_served(start_cluster):
    cluster = start_cluster(missing=["clustertrustbundles"])
    server = cluster.server
    server.put({"kind": "Service", "metadata": {"name": "app"}, "spec": {"ports": [{"port": 80}]}})
    server.put(policy())
    server.put(route("r", rule("app")))

    def is_said(wanted):
        status = server.get("BackendTLSPolicy", "tls").get("status") or {}
        return bool(status.get("ancestors")) and said(status) == wanted

    wait_for(lambda: is_said(MISSED), "there are none")
    assert cluster.kind("ClusterTrustBundle")["missing"]
    server.install("clustertrustbundles")
    server.put(trust_bundle(Authority("backends")))
    wait_for(lambda: is_said(GOOD), "it is found")
    server.remove("ClusterTrustBundle", BUNDLE)
    wait_for(lambda: is_said(MISSED), "it is missed")
