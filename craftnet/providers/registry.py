"""Finds back ends by name, from `redis:host=…` to a provider, through Twisted's plugins.

A third party ships a back end as a module in a folder `twisted/plugins` (without an `__init__.py`) of its own:

    from craftnet.providers.registry import BackendPlugin
    thing = BackendPlugin("thing", "thing_package.backend.ThingFactory")

where `ThingFactory()` provides `craftnet.interfaces.IBackendFactory`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol, runtime_checkable

from twisted.plugin import IPlugin
from zope.interface import implementer
from zope.interface.exceptions import Invalid
from zope.interface.verify import verifyObject

from craftnet.clocks import IClock
from craftnet.errors import ConfigurationError
from craftnet.interfaces import (
    IBackend,
    IBackendFactory,
    IBackendPlugin,
    ICluster,
    IShardedBackendFactory,
    ISharedConnectionSlots,
    ISharedRevocations,
)
from craftnet.providers.shards import Shards
from craftnet.runtime.component_spec import ComponentSpec, parse_component_spec
from craftnet.runtime.plugins import PluginKind, check_arguments


class StoreMetrics(Protocol):
    """Takes what a back end measures of the store that it asks."""

    def answered(self, seconds: float) -> None:
        """The store answered a command, after this many seconds."""

    def reconnected(self) -> None:
        """A connection to the store replaced one that was lost."""

    def lags(self, seconds: Callable[[], float]) -> None:
        """`seconds` returns how far this node is behind the changes of others; called when metrics are read."""


@runtime_checkable
class MeasuredBackend(Protocol):
    """A back end that measures the store that it asks."""

    def report_measurements_to(self, metrics: StoreMetrics) -> None:
        """Called once, before the back end starts."""


class UpstreamMetrics(Protocol):
    """Takes what an edge measures of the connection to its core."""

    def answered(self, seconds: float) -> None:
        """The core answered a question after this many seconds."""

    def reconnected(self) -> None:
        """A connection to the core replaced one that was lost."""

    def received(self, octets: int) -> None:
        """These bytes arrived from the core."""

    def sent(self, octets: int) -> None:
        """These bytes were sent to the core."""

    def following(self, connected: bool, feeds: Mapping[str, int]) -> None:
        """Whether the core is followed now, and how many things of each kind."""

    def lags(self, seconds: Callable[[], float]) -> None:
        """`seconds` returns for how long the core has not answered; called when metrics are read."""


@runtime_checkable
class MeasuredUpstream(Protocol):
    """A back end that measures the connection to its core."""

    def report_upstream_to(self, metrics: UpstreamMetrics) -> None:
        """Called once, before the back end starts."""


@implementer(IPlugin, IBackendPlugin)
class BackendPlugin:
    """A back end that is imported only when it is chosen.

    Importing some client libraries installs a reactor, which a plugin search must not do.
    """

    def __init__(self, name: str, factory: str) -> None:
        self.name = name
        self.factory = factory


_BACKENDS = PluginKind("back end", IBackendPlugin, IBackendFactory, "help-backends")


def installed() -> dict[str, IBackendPlugin]:
    """Every installed back end, by name."""
    return _BACKENDS.installed()


def factory_of(plugin: IBackendPlugin) -> IBackendFactory:
    """Imports a back end's factory.

    Raises:
        ConfigurationError: it cannot be imported, or is not a factory.
    """
    found: IBackendFactory = _BACKENDS.factory_of(plugin)
    return found


class Registry:
    """Builds back ends; the same text gives the same back end, so that options can share one.

    Arguments:
        shards: the players whose state this process keeps; None: all players.
    """

    def __init__(self, reactor: IClock, shards: Shards | None = None) -> None:
        self._reactor = reactor
        self._shards = shards
        self._backends: dict[str, IBackend] = {}

    def backend(self, text: str) -> IBackend:
        """The back end that `text` names.

        Raises:
            ConfigurationError: there is none of that name, or its arguments are invalid.
        """
        if text not in self._backends:
            self._backends[text] = self._build(parse_component_spec(text))
        return self._backends[text]

    def is_shared(self, text: str) -> bool:
        """Whether several processes with this back end share the same state; raises as `backend` does."""
        return self._factory(parse_component_spec(text)).shared

    def is_divisible(self, text: str) -> bool:
        """Whether each of several processes may keep the state of some players; raises as `backend` does."""
        return bool(IShardedBackendFactory.providedBy(self._factory(parse_component_spec(text))))

    @property
    def built(self) -> Iterable[IBackend]:
        """Every back end built so far."""
        return self._backends.values()

    def _factory(self, spec: ComponentSpec) -> IBackendFactory:
        found: IBackendFactory = _BACKENDS.find(spec.name)
        return found

    def _build(self, spec: ComponentSpec) -> IBackend:
        factory = self._factory(spec)
        check_arguments(spec, factory)
        if self._shards is not None and not factory.shared and IShardedBackendFactory.providedBy(factory):
            backend = factory.build_shard(self._reactor, spec.arguments, self._shards)
        else:
            backend = factory.build(self._reactor, spec.arguments)
        try:
            verifyObject(IBackend, backend)
            if ICluster.providedBy(backend):
                verifyObject(ICluster, backend)
                verifyObject(ISharedRevocations, backend.revocations)
                verifyObject(ISharedConnectionSlots, backend.connection_slots)
        except Invalid as error:
            raise ConfigurationError(f"back end {spec.name} is broken: {error}") from error
        return backend


def help_text() -> str:
    """What --help-backends prints."""
    heading = "Back ends, for --backend, --sessions, --queues and --materials: NAME or NAME:key=value:key=value…"
    return "\n".join([heading, "", *_BACKENDS.help_lines()])
