"""Certificates for tests that speak TLS."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from msgspec import Struct

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class Issued(Struct, frozen=True):
    """A server's certificate, PEM, and what belongs to it.

    Attributes:
        leaf: the server's own certificate.
        intermediate: the certificate of the authority that signed it.
        root: the certificate of the authority that signed that.
        spki: the hash of the server's public key, as browsers pin it.
    """

    key: bytes
    leaf: bytes
    intermediate: bytes
    root: bytes
    serial: int
    spki: str

    @property
    def chain(self) -> bytes:
        """What a server sends: the content of an ACME client's `fullchain.pem`."""
        return self.leaf + self.intermediate


def issued(host: str, *, rsa_key: bool = False) -> Issued:
    """A certificate for `host` and 127.0.0.1, by an intermediate authority, good for a day; all keys are new ones."""
    root, intermediate, own = ec_key(), ec_key(), rsa.generate_private_key(65537, 2048) if rsa_key else ec_key()
    top = _certificate("Root", root, "Root", root)
    middle = _certificate("Intermediate", intermediate, "Root", root)
    leaf = _certificate(host, own, "Intermediate", intermediate, host)
    public = own.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    digest = hashes.Hash(hashes.SHA256())
    digest.update(public)
    return Issued(
        key=private_pem(own),
        leaf=leaf.public_bytes(Encoding.PEM),
        intermediate=middle.public_bytes(Encoding.PEM),
        root=top.public_bytes(Encoding.PEM),
        serial=leaf.serial_number,
        spki=base64.b64encode(digest.finalize()).decode(),
    )


def self_signed(host: str) -> bytes:
    """A key and a certificate for `host`, PEM. It is its own authority, and good for a day."""
    key = ec_key()
    return _certificate(host, key, host, key, host, authority=True).public_bytes(Encoding.PEM) + private_pem(key)


def ec_key() -> ec.EllipticCurvePrivateKey:
    """A new key."""
    return ec.generate_private_key(ec.SECP256R1())


def private_pem(key: Key) -> bytes:
    """A private key, PEM."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _certificate(
    subject: str, key: Key, issuer: str, signer: Key, host: str | None = None, *, authority: bool | None = None
) -> x509.Certificate:
    """Of an authority, or for a host, or both."""
    today = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - timedelta(days=1))
        .not_valid_after(today + timedelta(days=1))
        .add_extension(
            x509.BasicConstraints(ca=host is None if authority is None else authority, path_length=None), critical=True
        )
    )
    if host is not None:
        names = [x509.DNSName(host), x509.IPAddress(ip_address("127.0.0.1"))]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(signer, hashes.SHA256())
