"""T12: which certificates of clients and backends are taken: 22 of each, made on the spot, under
TLS 1.2 and 1.3."""
# SPDX-License-Identifier: Apache-2.0
import datetime
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from certificates import Authority
from harness import free_port, gateway_of, listener, metadata, route, rule, service
from http_backend import named
from http_client import request
from test_filters import tls_policy
from test_tls_clients import bundle, https, outcome, validation

pytestmark = pytest.mark.sanitized
DAY = datetime.timedelta(days=1)
CLIENT, SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH


class Signer:
    """A certificate with its key and those above it, which signs others."""

    def __init__(self, name, above=None, *, authority=False, days=(-2, 30), names=(), more=(),
                 path_length=None, key=None):
        self.key = key or ec.generate_private_key(ec.SECP256R1())
        self.name, self.above = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), above
        now, by = datetime.datetime.now(datetime.timezone.utc), above or self
        builder = (x509.CertificateBuilder().subject_name(self.name).issuer_name(by.name)
                   .public_key(self.key.public_key()).serial_number(x509.random_serial_number())
                   .not_valid_before(now + days[0] * DAY).not_valid_after(now + days[1] * DAY)
                   .add_extension(x509.BasicConstraints(authority, path_length), True))
        if names:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([x509.DNSName(each) for each in names]), False)
        for extension, is_critical in more:
            builder = builder.add_extension(extension, is_critical)
        self.der = builder.sign(by.key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)

    def identity(self, depth=99):
        """(chain, key) as PEM; of those above, so many are sent, the root never."""
        chain, at = [self.der], self.above
        while at is not None and at.above is not None and depth > 0:
            chain.append(at.der)
            at, depth = at.above, depth - 1
        return ("".join(map(ssl.DER_cert_to_PEM_cert, chain)).encode(),
                self.key.private_bytes(serialization.Encoding.PEM,
                                       serialization.PrivateFormat.PKCS8,
                                       serialization.NoEncryption()))


def usage(*purposes):
    return x509.ExtendedKeyUsage(purposes), False


def key_usage(**bits):
    names = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
             "key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only")
    return x509.KeyUsage(**{name: bits.get(name, False) for name in names}), True


def private(size, is_critical):
    return (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.55555.1"), bytes(size)),
            is_critical)


def below(signer, count, **more):
    """So many authorities, one below the other."""
    for i in range(count):
        signer = Signer(f"between {i}", signer, authority=True, **more)
    return signer


def broken(identity):
    """One bit of the signature is another one."""
    der = bytearray(ssl.PEM_cert_to_DER_cert(identity[0].decode()))
    der[-1] ^= 1
    return ssl.DER_cert_to_PEM_cert(bytes(der)).encode(), identity[1]


def certificates(root, purpose, other, names=()):
    """(what, identity, whether it is taken) of who comes for a purpose under those names."""
    def user(above=None, more_names=(), **more):
        return Signer("user", above, names=(*names, *more_names), **more)

    between, inside = below(root, 1), (x509.NameConstraints([x509.DNSName("in.example")], None),
                                       True)
    narrow, leaf = below(root, 1, more=[inside]), user(root)
    twin = Signer("root", authority=True)
    yield "plain", leaf.identity(), True
    yield "by an authority between", user(between).identity(), True
    yield "the authority between is not sent", user(between).identity(0), False
    yield "over", user(root, days=(-9, -1)).identity(), False
    yield "not yet", user(root, days=(1, 9)).identity(), False
    yield "of strangers", user(Signer("strangers", authority=True)).identity(), False
    yield "of strangers by the same name", user(twin).identity(), False
    yield "its own authority", Signer("root", names=names).identity(), False
    yield "for the purpose", user(root, more=[usage(purpose)]).identity(), True
    yield "for another purpose alone", user(root, more=[usage(other)]).identity(), False
    yield "by who is no authority", user(leaf).identity(), False
    yield "too long a path", user(below(below(root, 1, path_length=0), 1)).identity(), \
        False
    yield "a name outside", user(narrow, more_names=["a.out.example"]).identity(), False
    yield "a name inside", user(narrow, more_names=["a.in.example"]).identity(), True
    yield "the authority between is over", \
        user(below(root, 1, days=(-9, -1))).identity(), False
    yield "ten between", user(below(root, 10)).identity(), True
    yield "a critical extension that nobody knows", \
        user(root, more=[private(8, True)]).identity(), False
    yield "64 KiB", user(root, more=[private(65000, False)]).identity(), True
    yield "a signature that is none", broken(leaf.identity()), False
    yield "a name behind a NUL", \
        user(root, more_names=["user.example\0.evil.example"]).identity(), False
    yield "a name behind a NUL beside a good one", \
        user(root, more_names=["user.example", "user.example\0"]).identity(), False
    yield "a key that signs certificates alone", \
        user(root, more=[key_usage(key_cert_sign=True)]).identity(), False


def test_t12_each_client_certificate_gets_its_verdict(start_gateway, backend, tmp_path):
    port, authority, root = free_port(), Authority(), Signer("root", authority=True)
    gateway = gateway_of(https("one", port, "one"))
    gateway["spec"]["tls"] = {"frontend": {"default": validation("users")}}
    users = bundle("users", authority)
    users["data"]["ca.crt"] = ssl.DER_cert_to_PEM_cert(root.der)
    start_gateway(gateway, authority.secret("one", "one.example"), users, route("r", rule("app")),
                  service("app", backend.port))
    wrong, judged = [], 0
    for what, (chain, key), is_taken in certificates(root, CLIENT, SERVER):
        (tmp_path / "user.pem").write_bytes(chain + key)
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = authority.context(minimum_version=version, maximum_version=version)
            context.load_cert_chain(tmp_path / "user.pem")
            got, judged = outcome(port, context), judged + 1
            if got != (200 if is_taken else "refused"):
                wrong.append((what, version.name, got))
    assert not wrong and judged == 44


@pytest.mark.parametrize("version", (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3))
def test_t12_each_certificate_of_a_backend_gets_its_verdict(start_gateway, start_backend, tmp_path,
                                                            version):
    port, root, host = free_port(), Signer("root", authority=True), "app.in.example"
    cases = [*certificates(root, SERVER, CLIENT, [host])]
    documents = [gateway_of(listener("http", port)), {
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata("ca"),
        "data": {"ca.crt": ssl.DER_cert_to_PEM_cert(root.der)}}]
    for i, (_, (chain, key), _) in enumerate(cases):
        (tmp_path / "backend.pem").write_bytes(chain + key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = context.maximum_version = version
        context.load_cert_chain(tmp_path / "backend.pem")
        behind = start_backend(named(f"{i}"), tls=context)
        documents += [service(f"app-{i}", behind.port), tls_policy(f"app-{i}", hostname=host)]
    documents += [route(f"r{i}", rule(f"app-{i}"), hostnames=[f"app-{i}.example"])
                  for i in range(len(cases))]
    start_gateway(*documents)
    got = [(what, request(port, host=f"app-{i}.example").status)
           for i, (what, _, _) in enumerate(cases)]
    assert got == [(what, 200 if is_taken else 502) for what, _, is_taken in cases]
    assert len(got) == 22
