"""The arguments of `--ingest nats:…`: servers, trust in them, and credentials, which are read for each connection."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_pem_x509_certificates
from msgspec import Struct
from OpenSSL import SSL
from OpenSSL.crypto import X509
from twisted.internet.ssl import (
    Certificate,
    PrivateCertificate,
    optionsForClientTLS,
    platformTrust,
    trustRootFromCertificates,
)

from craftnet.errors import ConfigurationError
from craftnet.streams.core.nats_credentials import NatsCredentials, parse_credentials
from craftnet.streams.registry import REPLAY_HELP, replay_seconds

PASSWORD_VARIABLE = "CRAFTNET_NATS_PASSWORD"
"""The environment variable with the password of `user=`."""

TOKEN_VARIABLE = "CRAFTNET_NATS_TOKEN"
"""The environment variable with a token of NATS."""

ARGUMENTS: Mapping[str, str] = {
    "servers": "nats://HOST:PORT, or tls://HOST:PORT to insist on TLS; several separated by commas",
    "stream": "the stream",
    "consumer": "the durable consumer (default craftnet), created if there is none; nodes that share their state"
    " share it",
    "subjects": "the subjects to read, separated by commas (default: all of the stream)",
    "replay": REPLAY_HELP,
    "credentials": "file with a JWT and a seed (.creds), or with a user's NKey seed alone",
    "user": f"the user; the password is in password_file=, or in {PASSWORD_VARIABLE}",
    "password_file": "file with the password of user=",
    "token_file": f"file with a token (default: the token in {TOKEN_VARIABLE}, if that is set)",
    "ca": "PEM file with the certificate authorities to trust (default: the system's)",
    "certificate": "PEM file with a certificate of this client, if the servers want one",
    "key": "PEM file with its private key",
}


class NatsServer(Struct, frozen=True):
    """One server of `servers=`.

    Attributes:
        tls: whether a connection without TLS is refused.
        credentials: those in its URL; None: those that are for all servers.
    """

    host: str
    port: int
    tls: bool = False
    credentials: NatsCredentials | None = None

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class NatsSettings(Struct, frozen=True):
    """The arguments of `--ingest nats:…`.

    Attributes:
        replay: seconds; a new consumer begins with the messages of this time.
        subjects: those that are read; empty: all of the stream.
        credentials: reads the credentials for all servers; raises ConfigurationError.
        tls: makes the TLS options of a connection to a host; raises ConfigurationError.
    """

    servers: tuple[NatsServer, ...]
    stream: str
    consumer: str
    replay: float
    subjects: tuple[str, ...]
    credentials: Callable[[], NatsCredentials]
    tls: Callable[[str], Any]


_NAME = re.compile(r"[A-Za-z0-9_-]+")


def nats_settings(arguments: Mapping[str, str], environ: Mapping[str, str]) -> NatsSettings:
    """Parses the arguments, and reads the files that they name.

    Raises:
        ConfigurationError: an argument is missing or invalid, or a file is not usable. The message contains no secret.
    """
    servers = tuple(_server(text.strip()) for text in arguments.get("servers", "").split(",") if text.strip())
    if not servers:
        raise ConfigurationError("nats: servers=nats://HOST:PORT is missing")
    stream, consumer = arguments.get("stream", ""), arguments.get("consumer", "craftnet")
    for name, text in (("stream", stream), ("consumer", consumer)):
        if not _NAME.fullmatch(text):
            raise ConfigurationError(f"nats: {name} must consist of letters, digits, '-' and '_', got {text!r}")
    subjects = tuple(text.strip() for text in arguments.get("subjects", "").split(",") if text.strip())
    settings = NatsSettings(
        servers,
        stream,
        consumer,
        replay_seconds("nats", arguments),
        subjects,
        _credentials(arguments, environ),
        partial(_tls_options, arguments.get("ca"), arguments.get("certificate"), arguments.get("key")),
    )
    settings.credentials()
    settings.tls(servers[0].host)
    return settings


def _server(text: str) -> NatsServer:
    parts = urlsplit(text if "://" in text else f"nats://{text}")
    try:
        port = parts.port or 4222
    except ValueError:
        port = 0
    if parts.scheme not in ("nats", "tls") or not parts.hostname or not port or parts.path.strip("/"):
        raise ConfigurationError("nats: a server must be nats://HOST:PORT or tls://HOST:PORT")
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    credentials = NatsCredentials(user, password) if password else NatsCredentials(token=user) if user else None
    return NatsServer(parts.hostname, port, parts.scheme == "tls", credentials)


def _credentials(arguments: Mapping[str, str], environ: Mapping[str, str]) -> Callable[[], NatsCredentials]:
    """What reads the credentials for all servers."""
    named = [name for name in ("credentials", "user", "token_file") if name in arguments]
    if len(named) > 1:
        raise ConfigurationError(f"nats: {' and '.join(f'{name}=' for name in named)} exclude each other: choose one")
    if "password_file" in arguments and "user" not in arguments:
        raise ConfigurationError("nats: password_file= needs user=")
    token, password = environ.get(TOKEN_VARIABLE, ""), environ.get(PASSWORD_VARIABLE, "")
    if "user" in arguments and "password_file" not in arguments and not password:
        raise ConfigurationError(f"nats: user= needs a password in password_file=, or in {PASSWORD_VARIABLE}")

    def read() -> NatsCredentials:
        match named:
            case ["credentials"]:
                try:
                    return parse_credentials(_text(arguments, "credentials"))
                except ConfigurationError as error:
                    raise ConfigurationError(f"nats: credentials={arguments['credentials']}: {error}") from None
            case ["user"]:
                found = _text(arguments, "password_file").strip() if "password_file" in arguments else password
                return NatsCredentials(arguments["user"], found)
            case ["token_file"]:
                return NatsCredentials(token=_text(arguments, "token_file").strip())
        return NatsCredentials(token=token)

    return read


def _tls_options(ca: str | None, certificate: str | None, key: str | None, host: str) -> Any:
    """The TLS options of a client that verifies the server's certificate and name."""
    if (certificate is None) != (key is None):
        raise ConfigurationError("nats: certificate= and key= belong together: give both, or neither")
    trust = platformTrust() if ca is None else trustRootFromCertificates(list(map(_shown, _certificates("ca", ca))))
    if certificate is None or key is None:
        return optionsForClientTLS(host, trustRoot=trust)
    leaf, *chain = _certificates("certificate", certificate)
    try:
        own = PrivateCertificate.loadPEM(leaf.public_bytes(Encoding.PEM) + Path(key).read_bytes())
    except (OSError, ValueError, SSL.Error) as error:
        raise ConfigurationError(f"nats: key={key} is not usable: {_reason(error)}") from None
    extra = {"extraCertChain": [X509.from_cryptography(each) for each in chain]} if chain else {}
    return optionsForClientTLS(host, trustRoot=trust, clientCertificate=own, extraCertificateOptions=extra)


def _shown(certificate: Any) -> Certificate:
    return Certificate(X509.from_cryptography(certificate))


def _certificates(name: str, path: str) -> list[Any]:
    try:
        return load_pem_x509_certificates(Path(path).read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"nats: {name}={path} contains no certificates: {_reason(error)}") from None


def _text(arguments: Mapping[str, str], name: str) -> str:
    path = arguments[name]
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"nats: {name}={path} cannot be read: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)
