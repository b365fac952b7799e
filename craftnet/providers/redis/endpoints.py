"""The way to Redis: straight or by way of its sentinels, with TLS or without."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from cryptography.x509 import load_pem_x509_certificates
from OpenSSL.crypto import X509
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.ssl import Certificate, optionsForClientTLS, platformTrust, trustRootFromCertificates

from craftnet.addresses import HostPort
from craftnet.errors import ConfigurationError
from craftnet.providers.redis.link import Credentials
from craftnet.providers.redis.sentinels import SentinelEndpoint
from craftnet.providers.redis.settings import RedisSettings


def endpoint(reactor: Any, settings: RedisSettings, sentinel_password: str | None) -> IStreamClientEndpoint:
    """Where `settings` lead.

    Raises:
        ConfigurationError: the file with the authorities to trust cannot be used.
    """
    reach = partial(_reach, reactor, settings, _trust(settings) if settings.tls else None)
    if not settings.sentinels:
        return reach(settings.address)
    credentials = Credentials(None, sentinel_password)
    return SentinelEndpoint(reach, settings.sentinels, settings.service, credentials, settings.timeout)


def _reach(reactor: Any, settings: RedisSettings, trust: Any, address: HostPort) -> IStreamClientEndpoint:
    """One server; with TLS, if there is somebody to trust."""
    way: IStreamClientEndpoint = HostnameEndpoint(reactor, address.host, address.port, timeout=settings.timeout)
    if trust is not None:
        way = wrapClientTLS(optionsForClientTLS(address.host, trustRoot=trust), way)
    return way


def _trust(settings: RedisSettings) -> Any:
    """Who says that a certificate is right.

    Raises:
        ConfigurationError: the file that was named does not.
    """
    if settings.ca is None:
        return platformTrust()
    try:
        found = load_pem_x509_certificates(Path(settings.ca).read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"rediss: ca names {settings.ca}, which holds no certificates: {error}") from None
    return trustRootFromCertificates([Certificate(X509.from_cryptography(one)) for one in found])
