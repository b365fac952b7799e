"""The three sources together, and the factories behind `--backend redis:…` and `--backend rediss:…`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from OpenSSL.SSL import Error as SslError
from twisted.application.service import MultiService
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint
from twisted.internet.ssl import Certificate, optionsForClientTLS, platformTrust, trustRootFromCertificates
from zope.interface import implementer

from craftnet.errors import ConfigurationError
from craftnet.interfaces import IBackend, IBackendFactory, ICluster
from craftnet.providers.redis.follower import BLOCK, Follower
from craftnet.providers.redis.intake import Intake
from craftnet.providers.redis.keys import Keys
from craftnet.providers.redis.ledger import Ledger
from craftnet.providers.redis.link import Credentials, Link
from craftnet.providers.redis.places import RedisPlaces
from craftnet.providers.redis.revocations import RedisRevocations
from craftnet.providers.redis.settings import ARGUMENTS, PASSWORD_VARIABLE, TLS_ARGUMENTS, RedisSettings, parse
from craftnet.providers.redis.sources import RedisMaterials, RedisQueues, RedisSessions
from craftnet.providers.redis.subjects import MATERIALS, QUEUES, SESSIONS
from craftnet.providers.redis.sweeper import Sweeper
from craftnet.providers.redis.topics import Topics
from craftnet.sources import Sources


@implementer(IBackend, ICluster)
class RedisBackend:
    """Everything in one Redis.

    Arguments:
        reactor: what connects, and the clock.
    """

    def __init__(self, reactor: Any, settings: RedisSettings, password: str | None) -> None:
        keys = Keys(settings.prefix)

        def link(timeout: float) -> Link:
            credentials = Credentials(settings.user, password)
            return Link(_endpoint(reactor, settings), str(settings.address), credentials, settings.db, reactor, timeout)

        asking, blocking, taking = (link(settings.timeout + wait) for wait in (0.0, BLOCK, BLOCK))
        revoking = link(settings.timeout + BLOCK)
        sessions = Topics(SESSIONS), Ledger(SESSIONS, keys, asking, settings, reactor)
        materials = Topics(MATERIALS), Ledger(MATERIALS, keys, asking, settings, reactor)
        queues = Topics(QUEUES), Ledger(QUEUES, keys, asking, settings, reactor)
        self._follower = Follower(blocking, asking, keys, (sessions, materials, queues), reactor)
        self.sessions = RedisSessions(sessions[1], sessions[0], self._follower)
        self.materials = RedisMaterials(materials[1], materials[0], self._follower)
        self.queues = RedisQueues(queues[1], queues[0], self._follower)
        self.sweeper = Sweeper([one.name for one in (SESSIONS, MATERIALS, QUEUES)], keys, asking, settings, reactor)
        intake = Intake(taking, asking, keys, Sources.of(self), reactor)
        self.revocations = RedisRevocations(revoking, asking, keys, reactor)
        self.places = RedisPlaces(asking, keys, reactor)
        self.service = MultiService()
        links = (asking, blocking, taking, revoking)
        for part in (*links, self._follower, self.sweeper, intake, self.revocations, self.places):
            part.setServiceParent(self.service)

    @property
    def epoch(self) -> str | None:
        """As in `IShared`."""
        return self._follower.epoch


class _Factory:
    """What the two factories share."""

    name: str
    tls: bool

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._environ = environ

    def build(self, reactor: IReactorTime, arguments: Mapping[str, str]) -> RedisBackend:
        """As in `IBackendFactory`."""
        settings = parse(arguments, tls=self.tls)
        password = self._environ.get(PASSWORD_VARIABLE) or None
        if settings.user is not None and password is None:
            raise ConfigurationError(f"{self.name}: user= needs a password in {PASSWORD_VARIABLE}")
        return RedisBackend(reactor, settings, password)


@implementer(IBackendFactory)
class RedisFactory(_Factory):
    """Makes `RedisBackend`s."""

    name = "redis"
    shared = True
    summary = "state in a Redis that several nodes share; fed by POST /events to any of them, or by XADD"
    arguments = ARGUMENTS
    tls = False


@implementer(IBackendFactory)
class RedissFactory(_Factory):
    """Makes `RedisBackend`s that speak TLS."""

    name = "rediss"
    shared = True
    summary = "as redis, with TLS; the server's certificate is checked"
    arguments = TLS_ARGUMENTS
    tls = True


def _endpoint(reactor: Any, settings: RedisSettings) -> IStreamClientEndpoint:
    endpoint = HostnameEndpoint(reactor, settings.host, settings.port, timeout=settings.timeout)
    if not settings.tls:
        return endpoint
    if settings.ca is None:
        trust = platformTrust()
    else:
        try:
            trust = trustRootFromCertificates([Certificate.loadPEM(Path(settings.ca).read_bytes())])
        except (OSError, ValueError, SslError):
            raise ConfigurationError(f"rediss: ca names {settings.ca}, which is no readable certificate") from None
    secured: IStreamClientEndpoint = wrapClientTLS(optionsForClientTLS(settings.host, trustRoot=trust), endpoint)
    return secured
