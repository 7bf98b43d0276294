"""Certificates made on the spot: an authority, leaves, Secrets."""
# SPDX-License-Identifier: Apache-2.0
import base64
import datetime
import ssl

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as make_rsa_key
from cryptography.x509.oid import NameOID


def _name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


class Authority:
    def __init__(self, name="test authority"):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = _name(name)
        self.certificate = self._sign(self.key.public_key(), self.name, [], True)
        self.last_key_line = None

    def _sign(self, public_key, subject, names, is_ca, days=30, begins=-2):
        now = datetime.datetime.now(datetime.timezone.utc)
        builder = (x509.CertificateBuilder().subject_name(subject).issuer_name(self.name)
                   .public_key(public_key).serial_number(x509.random_serial_number())
                   .not_valid_before(now + datetime.timedelta(days=begins))
                   .not_valid_after(now + datetime.timedelta(days=days))
                   .add_extension(x509.BasicConstraints(is_ca, None), True))
        if names:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([x509.DNSName(n) for n in names]), False)
        return builder.sign(self.key, hashes.SHA256())

    def pem(self):
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def issue(self, *names, days=30, rsa=False, begins=-2, bits=2048):
        """(chain, key) as PEM."""
        key = make_rsa_key(65537, bits) if rsa else ec.generate_private_key(ec.SECP256R1())
        chain = self._sign(key.public_key(), _name(names[0]), names, False, days,
                           begins)
        pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                serialization.NoEncryption())
        self.last_key_line = pem.decode().splitlines()[1]
        return chain.public_bytes(serialization.Encoding.PEM), pem

    def secret(self, name, *names):
        chain, key = self.issue(*names)
        return secret_of(name, chain, key)

    def context(self, **options):
        """A client that trusts this authority alone."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=self.pem().decode())
        for name, value in options.items():
            setattr(context, name, value)
        return context


def secret_of(name, chain, key):
    return {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
            "metadata": {"name": name, "namespace": "default"},
            "data": {"tls.crt": base64.b64encode(chain).decode(),
                     "tls.key": base64.b64encode(key).decode()}}
