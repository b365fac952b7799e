"""TLS on the shared port of HTTP and WebSocket: certificate, ciphers, application protocol."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from msgspec import Struct
from OpenSSL.crypto import X509, PKey
from OpenSSL.SSL import SSL_CB_HANDSHAKE_DONE, Connection, Context, Error
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator, IProtocolNegotiationFactory
from twisted.internet.ssl import AcceptableCiphers, CertificateOptions, DiffieHellmanParameters, TLSVersion
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.filepath import FilePath
from zope.interface import implementer

from craftnet.errors import ConfigurationError
from craftnet.runtime.addresses import TlsAddress, parse_tls

CIPHERS = (
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"
    "DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384:DHE-RSA-CHACHA20-POLY1305"
)
"""Mozilla's intermediate list for TLS 1.2 (Server Side TLS 5.7). OpenSSL's own for TLS 1.3 equals Mozilla's."""

CHECK_INTERVAL = 10.0
"""Seconds between checks of the files."""


Handshaken = Callable[[str, str], object]
"""Called with OpenSSL's names of the version and of the key exchange of each handshake that is completed."""


class NoApplicationProtocol(Error):
    """The client's ALPN list has no supported protocol; it receives alert 120 (RFC 7301 section 3.2)."""

    def __init__(self) -> None:
        super().__init__([("SSL routines", "", "no application protocol")])  # in the form of OpenSSL's own.


class TlsCredentials(Struct, frozen=True):
    """A private key and its certificate chain.

    Attributes:
        chain: the server's own certificate first.
    """

    key: Any
    chain: tuple[x509.Certificate, ...]


def load_credentials(address: TlsAddress) -> TlsCredentials:
    """Reads the key and the whole chain.

    Raises:
        ConfigurationError: a file cannot be read or has other content, or the key does not belong to the certificate.
    """
    key = _private_key(address.key)
    chain = [certificate for file in address.certificates for certificate in _certificates(file)]
    fitting = [number for number, each in enumerate(chain, 1) if _public(each) == _public(key)]
    if not fitting:
        raise ConfigurationError(
            f"The private key in {address.key} does not belong to the certificate in {address.certificates[0]}:"
            " give the key that this certificate was requested with"
        )
    if fitting[0] != 1:
        raise ConfigurationError(
            f"The private key in {address.key} belongs to certificate number {fitting[0]} in"
            f" {address.certificates[0]}: the server's own must come first, then the one that signed it, and so on"
        )
    return TlsCredentials(key, tuple(dict.fromkeys(chain)))


@implementer(IOpenSSLServerConnectionCreator)
class ServerTls:
    """Creates the TLS side of every connection, with the files as last read.

    A new context has new keys for session tickets: clients can resume their sessions until the files change.

    Arguments:
        address: names the files.
        handshaken: called for each handshake.

    Raises:
        ConfigurationError: as for `load_credentials`.
    """

    _log = Logger()

    def __init__(self, address: TlsAddress, handshaken: Handshaken = lambda version, group: None) -> None:
        self.address = address
        self._handshaken = handshaken
        self._stamps = self._look()
        self._credentials = load_credentials(address)
        self._context = _context(self._credentials, address.dh_parameters, handshaken)

    @property
    def validity(self) -> tuple[float, float]:
        """When the certificate in use begins and ceases to be valid, Unix seconds."""
        own = self._credentials.chain[0]
        return own.not_valid_before_utc.timestamp(), own.not_valid_after_utc.timestamp()

    def serverConnectionForTLS(self, protocol: TLSMemoryBIOProtocol) -> Connection:
        """As in `IOpenSSLServerConnectionCreator`."""
        return Connection(self._context, None)

    def check_files(self) -> None:
        """Reads the files again if they have changed; called every `CHECK_INTERVAL` seconds."""
        if self._look() != self._stamps:
            with suppress(ConfigurationError):  # it was logged.
                self.reload()

    def reload(self) -> bool:
        """Reads the files again; returns whether new connections use another certificate.

        Open connections are not affected.

        Raises:
            ConfigurationError: the files are unusable; this is logged, and the previous ones stay in use.
        """
        # Before the files are read: one that changes at this moment is then read again.
        self._stamps = self._look()
        try:
            credentials = load_credentials(self.address)
            if credentials.chain == self._credentials.chain:
                self._log.info("The certificate has not changed")
                return False
            self._context = _context(credentials, self.address.dh_parameters, self._handshaken)
        except ConfigurationError as error:
            self._log.error("The previous certificate stays in use. {error}", error=error)
            raise
        self._credentials = credentials
        self._log.info(
            "New connections use the certificate in {file}, which is valid until {end:%Y-%m-%d %H:%M} UTC",
            file=self.address.certificates[0],
            end=credentials.chain[0].not_valid_after_utc,
        )
        return True

    def _look(self) -> list[tuple[int, int, int] | None]:
        """What shows that a file has changed; links are followed."""
        return [_stamp(file) for file in (self.address.key, *self.address.certificates)]


def server_tls(description: str, handshaken: Handshaken = lambda version, group: None) -> ServerTls | None:
    """The TLS of an endpoint; None for an endpoint without.

    Arguments:
        description: a Twisted endpoint.

    Raises:
        ConfigurationError: as for `parse_tls` and `load_credentials`.
    """
    address = parse_tls(description)
    return None if address is None else ServerTls(address, handshaken)


def _context(credentials: TlsCredentials, dh_parameters: str | None, handshaken: Handshaken) -> Context:
    try:
        own, *others = [X509.from_cryptography(each) for each in credentials.chain]
        options = CertificateOptions(
            privateKey=PKey.from_cryptography_key(credentials.key),
            certificate=own,
            extraCertChain=others,
            acceptableCiphers=AcceptableCiphers.fromOpenSSLCipherString(CIPHERS),
            raiseMinimumTo=TLSVersion.TLSv1_2,
            enableSessions=True,
            enableSessionTickets=True,
            dhParameters=None if dh_parameters is None else DiffieHellmanParameters.fromFile(FilePath(dh_parameters)),
        )
        context: Context = options.getContext()
    except (Error, TypeError, ValueError) as error:  # a kind or length of key, or parameters, that OpenSSL refuses.
        raise ConfigurationError(f"OpenSSL refuses the certificate, its key or dhParameters: {error}") from None
    context.set_alpn_select_callback(_select)

    def step(connection: Connection, where: int, _: int) -> None:
        if where & SSL_CB_HANDSHAKE_DONE:
            handshaken(connection.get_protocol_version_name(), connection.get_group_name() or "none")

    context.set_info_callback(step)
    return context


def _select(connection: Connection, offered: Sequence[bytes]) -> bytes:
    """Selects the application protocol. (Twisted's own choice ends a connection without a common one with alert 80.)"""
    factory = connection.get_app_data().factory.wrappedFactory
    for protocol in IProtocolNegotiationFactory(factory).acceptableProtocols():
        if protocol in offered:
            return bytes(protocol)
    raise NoApplicationProtocol  # becomes alert 120.


def _read(file: str) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read: {error.strerror}") from None


def _private_key(file: str) -> Any:
    try:
        return load_pem_private_key(_read(file), None)
    except TypeError:
        raise ConfigurationError(f"The private key in {file} is encrypted: give one without a passphrase") from None
    except ValueError:
        raise ConfigurationError(f"{file} contains no private key in PEM format") from None


def _certificates(file: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(_read(file))
    except ValueError:
        raise ConfigurationError(f"{file} contains no certificate in PEM format, or a damaged one") from None


def _public(owner: Any) -> bytes:
    """The public key of a private key or certificate. (They have no common type, hence Any.)"""
    public: bytes = owner.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return public


def _stamp(file: str) -> tuple[int, int, int] | None:
    try:
        found = os.stat(file)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
