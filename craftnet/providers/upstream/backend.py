"""The three sources of an edge, and the factory behind `--backend upstream:url=…`."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from uuid import UUID

from msgspec import Struct
from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from craftnet.access.principal import RELAY
from craftnet.client.core.address import Address
from craftnet.client.core.credentials import Credentials, checked, from_file
from craftnet.clocks import IClock, moment
from craftnet.contract.messages import Check
from craftnet.errors import ConfigurationError
from craftnet.interfaces import IBackend, IBackendFactory, ICluster, IHealthChecks, ISharedConnectionSlots
from craftnet.providers.registry import UpstreamMetrics
from craftnet.providers.upstream.connection import UpstreamConnection
from craftnet.providers.upstream.devices import DeviceMetrics, UpstreamDevices
from craftnet.providers.upstream.mirror_table import MirrorTable
from craftnet.providers.upstream.sources import UpstreamMaterials, UpstreamQueues, UpstreamSessions
from craftnet.runtime.backoff import Backoff

TOKEN_VARIABLE = "CRAFTNET_UPSTREAM_TOKEN"
"""The environment variable with the token that the core accepts."""


class UpstreamSettings(Struct, frozen=True):
    """The core, and how it is followed.

    Attributes:
        url: the base URL of the core.
        token_file: a file with the token; it is read again before the token expires.
        linger: seconds for which a session is followed after its last watcher left.
        lost_after: seconds after which this server ends a session that its core lost in a restart.
    """

    url: str
    token_file: str | None = None
    linger: float = 10.0
    lost_after: float = 30.0


@implementer(ISharedConnectionSlots)
class OwnConnectionSlots:
    """Grants every slot: this server has checked its own limit for a player, and the core does not count."""

    complete = True

    def enter(self, player_id: UUID, limit: int) -> Deferred[bool]:
        """As in `ISharedConnectionSlots`."""
        return succeed(True)

    def leave(self, player_id: UUID) -> None:
        """As in `ISharedConnectionSlots`."""


@implementer(IBackend, ICluster, IHealthChecks)
class UpstreamBackend:
    """Follows the sessions and queues that are watched here in another craftnet.

    Arguments:
        reactor: connects to the core, and provides both clocks.
        backoff: the delays between attempts to connect; None: the default delays.
    """

    def __init__(
        self, reactor: IClock, settings: UpstreamSettings, credentials: Credentials, backoff: Backoff | None = None
    ) -> None:
        self._core = core = settings.url.rstrip("/")
        self._wall = reactor.wall

        def make_mirrors(wake: Callable[[], None]) -> MirrorTable:
            return MirrorTable(
                reactor.seconds,
                moment(reactor).ahead,
                linger=settings.linger,
                lost_after=settings.lost_after,
                wake=wake,
            )

        self.service = connection = UpstreamConnection(
            reactor, Address(settings.url), credentials, core, make_mirrors, backoff
        )
        self.sessions = UpstreamSessions(connection.mirrors, reactor, core)
        self.materials = UpstreamMaterials(connection.mirrors, reactor, core)
        self.queues = UpstreamQueues(connection.mirrors, reactor, core)
        self.revocations = connection.revocations
        self.connection_slots = OwnConnectionSlots()

    def share_devices(self, metrics: DeviceMetrics) -> UpstreamDevices:
        """Lets devices register here; called once, before the back end starts."""
        connection = self.service
        devices = connection.devices = UpstreamDevices(connection.mirrors.request, self._core, self._wall, metrics)
        return devices

    @property
    def health_checks(self) -> Mapping[str, Callable[[], Check]]:
        """As in `IHealthChecks`."""
        return {"upstream": self.service.check}

    def report_upstream_to(self, metrics: UpstreamMetrics) -> None:
        """As in `MeasuredUpstream`."""
        self.service.metrics = metrics
        metrics.lags(lambda: self.service.lag)


_DEFAULTS = UpstreamSettings("")


@implementer(IBackendFactory)
class UpstreamFactory:
    """Builds `UpstreamBackend`s."""

    name = "upstream"
    shared = True
    summary = "an edge: state of another craftnet, the core, which gets all events"
    arguments: Mapping[str, str] = {
        "url": "base URL of the core, such as https://core.example (required)",
        "token_file": f"file with a token of the core that has the scope {RELAY}, read again before it expires "
        f"(default: the token in {TOKEN_VARIABLE})",
        "linger": f"seconds for which a session is followed after its last watcher (default {_DEFAULTS.linger:g})",
        "lost_after": "seconds that watchers of a session wait which the core lost at a restart "
        f"(default {_DEFAULTS.lost_after:g})",
    }

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._environ = environ

    def build(self, reactor: IClock, arguments: Mapping[str, str]) -> UpstreamBackend:
        """As in `IBackendFactory`."""
        settings = parse_upstream_settings(arguments)
        return UpstreamBackend(reactor, settings, self._credentials(settings))

    def _credentials(self, settings: UpstreamSettings) -> Credentials:
        try:
            if settings.token_file is not None:
                return from_file(settings.token_file)
            if text := self._environ.get(TOKEN_VARIABLE):
                return Credentials(checked(text))
        except ConfigurationError as error:
            where = TOKEN_VARIABLE if settings.token_file is None else "token_file"
            raise ConfigurationError(f"upstream: {where}: {error}") from None
        raise ConfigurationError(
            f"upstream: no token: set {TOKEN_VARIABLE}, or token_file=, to a token of the core with the scope {RELAY}"
        )


def parse_upstream_settings(arguments: Mapping[str, str]) -> UpstreamSettings:
    """Parses the arguments of the back end.

    Raises:
        ConfigurationError: an argument is invalid, or the URL is missing.
    """
    if "url" not in arguments:
        raise ConfigurationError(
            "upstream: url= is missing: give the base URL of the core, as in url=https://core.example"
        )
    try:
        Address(arguments["url"])
    except ConfigurationError as error:
        raise ConfigurationError(f"upstream: url: {error}") from None
    return UpstreamSettings(
        arguments["url"].strip(),
        arguments.get("token_file"),
        _seconds(arguments, "linger", _DEFAULTS.linger),
        _seconds(arguments, "lost_after", _DEFAULTS.lost_after),
    )


def _seconds(arguments: Mapping[str, str], name: str, default: float) -> float:
    text = arguments.get(name)
    if text is None:
        return default
    try:
        value = float(text)
    except ValueError:
        raise ConfigurationError(f"upstream: {name} must be a number of seconds, got {text!r}") from None
    if not 0 <= value <= 3600:
        raise ConfigurationError(f"upstream: {name} must be from 0 to 3600 seconds, got {text}")
    return value
