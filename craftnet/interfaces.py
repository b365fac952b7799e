"""The interfaces of providers and watchers. Keep this module tiny: every plugin look-up imports it.

Every source keeps this order: a listener receives every change after the state that its `watch` returned, once, in the
order of the versions. Changes of different sessions (or players) have no order among each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zope.interface import Attribute, Interface

if TYPE_CHECKING:  # for annotations only: the module stays tiny at run time.
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any
    from uuid import UUID

    from twisted.application.service import IService
    from twisted.internet.defer import Deferred

    from craftnet.access.principal import Principal
    from craftnet.access.revocation.revocations import Revocation
    from craftnet.clocks import IClock
    from craftnet.contract.admin.feed import TraceEntry
    from craftnet.contract.admin.sessions import ConnectionRow
    from craftnet.contract.close_codes import CloseCode
    from craftnet.contract.events import Event, EventOutcome
    from craftnet.contract.messages import Check
    from craftnet.crafting.state import (
        MaterialsChange,
        MaterialsState,
        QueueChange,
        QueueEntry,
        QueueState,
        SessionState,
    )
    from craftnet.crafting.updates import Update
    from craftnet.observe.audit.events import SecurityEvent
    from craftnet.providers.shards import Shards


class ISessionListener(Interface):
    """Watches one session."""

    def session_changed(state: SessionState | None) -> None:
        """A newer `craftnet.crafting.state.SessionState`, or None: the session ended and was removed."""


class IMaterialListener(Interface):
    """Watches one session's materials."""

    def materials_changed(change: MaterialsChange) -> None:
        """A `craftnet.crafting.state.MaterialsChange`."""


class IQueueListener(Interface):
    """Watches one player's queue entries."""

    def queue_changed(change: QueueChange) -> None:
        """A `craftnet.crafting.state.QueueChange`."""

    def queue_reset(state: QueueState) -> None:
        """A `craftnet.crafting.state.QueueState` with the same entries as before and a version that replaces the
        previous ones.

        Only a source that is `ISharedSource` calls it, after it lost something.
        """


class _IEventApplier(Interface):
    def apply(events: Sequence[Event]) -> Deferred[list[EventOutcome]]:
        """Applies authority events, in order.

        Arguments:
            events: a sequence of `craftnet.contract.events.Event`, only of types that this source is responsible for.

        Returns:
            A Deferred of a list of `craftnet.contract.events.EventOutcome`, one for each event. It fires when the
            events are stored.
            An event_id that was accepted before is a duplicate and changes nothing.

        Fails:
            `craftnet.errors.Unavailable`: nothing was applied; the same events may be sent again.
        """


class ISessionSource(_IEventApplier):
    """Stores the state of sessions. Responsible for `craftnet.contract.events.SessionEvent`."""

    def get(session_id: UUID) -> Deferred[SessionState | None]:
        """A Deferred of the `craftnet.crafting.state.SessionState`, or of None when there is no such session."""

    def watch(session_id: UUID, listener: ISessionListener) -> Deferred[SessionState | None]:
        """Adds `listener` (an `ISessionListener`). Returns as `get` does."""

    def unwatch(session_id: UUID, listener: ISessionListener) -> None:
        """Removes `listener`. Unknown ones are ignored."""

    def count() -> Deferred[int]:
        """A Deferred of the number of stored sessions, finished ones included."""


class IAtomicStart(Interface):
    """Additional interface of a session source that stores the materials of a start together with the session."""

    materials: IMaterialSource = Attribute("The `IMaterialSource` that stores them.")

    def apply_with_materials(events: Sequence[Event]) -> Deferred[list[EventOutcome]]:
        """As `apply`; accepted starts are also applied to `materials`. No start is half applied."""


class IPlayerListener(Interface):
    """Hears of a player's new sessions."""

    def session_started(session_id: UUID) -> None:
        """A session of the player has started."""


class IPlayerSessions(Interface):
    """Additional interface of a session source that knows which sessions a player has."""

    def watch_player(player_id: UUID, listener: IPlayerListener) -> Deferred[Sequence[UUID]]:
        """Adds `listener` (an `IPlayerListener`).

        Returns:
            A Deferred of the player's sessions that have started and not ended, oldest first.
        """

    def unwatch_player(player_id: UUID, listener: IPlayerListener) -> None:
        """Removes `listener`. Unknown ones are ignored."""


class IMaterialSource(_IEventApplier):
    """Stores the materials of sessions.

    Responsible for `craftnet.contract.events.MaterialsUpdate`, and for the materials of `SessionStart`.
    """

    def get(session_id: UUID) -> Deferred[MaterialsState]:
        """A Deferred of the `craftnet.crafting.state.MaterialsState`; an empty one of version 0 for an unknown
        session.
        """

    def watch(session_id: UUID, listener: IMaterialListener) -> Deferred[MaterialsState]:
        """Adds `listener` (an `IMaterialListener`). Returns as `get` does."""

    def unwatch(session_id: UUID, listener: IMaterialListener) -> None:
        """Removes `listener`. Unknown ones are ignored."""


class IQueueSource(_IEventApplier):
    """Stores queue entries. Responsible for `craftnet.contract.events.QueueUpdate`."""

    def get(player_id: UUID) -> Deferred[QueueState]:
        """A Deferred of the player's `craftnet.crafting.state.QueueState`; an empty one of version 0 for an unknown
        player.

        Versions grow as long as any client can have an earlier one: a source that evicts a player continues with a
        version that the player has not had.
        """

    def find(session_id: UUID) -> Deferred[QueueEntry | None]:
        """A Deferred of the `craftnet.crafting.state.QueueEntry` that names this session, or of None."""

    def watch(player_id: UUID, listener: IQueueListener) -> Deferred[QueueState]:
        """Adds `listener` (an `IQueueListener`). Returns as `get` does."""

    def unwatch(player_id: UUID, listener: IQueueListener) -> None:
        """Removes `listener`. Unknown ones are ignored."""


class ISharedSource(Interface):
    """Additional interface of a source whose state several nodes share: a version means the same on all of them."""

    epoch: str | None = Attribute(
        "The epoch of versions: a str shared by the nodes for which versions mean the same. Within an epoch no version "
        "shrinks: it changes as soon as delivered changes may have been lost. None until it is known."
    )
    stalled: str = Attribute("Why this node receives no changes now, for people; empty while it receives them.")

    def caught_up(key: UUID) -> Deferred[None]:
        """Waits until listeners of `key` on this node know everything that any node's listeners knew before this call.

        Fails:
            `craftnet.errors.Unavailable`: that takes too long, or the source is unreachable.
        """


class IRelayedSource(ISharedSource):
    """A shared source whose `epoch` is that of another craftnet's positions: positions pass through unchanged."""


class IRecallingSource(Interface):
    """Additional interface of a source of materials or queues that remembers changes from before the first watcher."""

    def recall(key: UUID, version: int) -> Deferred[Sequence[Any]]:
        """The changes after a version.

        Returns:
            A Deferred of the changes as listeners receive them: in order and without a gap after `version`, as far as
            they are known. Listeners may not have received the newest yet. Empty when the first one is not known any
            more.

        Fails:
            `craftnet.errors.Unavailable`: the changes cannot be read now.
        """


class IBackend(Interface):
    """A set of sources that belong together."""

    sessions: ISessionSource = Attribute("An `ISessionSource`.")
    materials: IMaterialSource = Attribute("An `IMaterialSource`.")
    queues: IQueueSource = Attribute("An `IQueueSource`.")
    service: IService | None = Attribute("A `twisted.application.service.IService` to run with the server, or None.")


class IEventConsumer(Interface):
    """Additional interface of a back end that takes events in a way of its own, besides those that its sources get."""

    def report_outcomes_to(counted: Callable[[Sequence[EventOutcome]], None]) -> None:
        """Calls `counted` with the outcomes of the events taken, each a `craftnet.contract.events.EventOutcome`."""


class ITraced(Interface):
    """Additional interface of a back end that makes spans of what it does for traced events."""

    def trace_with(tracer: Any) -> None:
        """Makes spans with `tracer`, a `craftnet.observe.tracing.tracer.Tracer`, from now on."""


class IHealthChecks(Interface):
    """A back end with health checks beyond those of its sources."""

    health_checks: Mapping[str, Callable[[], Check]] = Attribute(
        "Checks by name, called at every round. Each returns a `craftnet.contract.messages.Check` at once, from "
        "what is known. "
        "`critical` is for faults that a restart of this process does not mend: /health and /ready answer 503."
    )


class IRevocationListener(Interface):
    """Enforces revocations on one node."""

    def revoked(revocations: Sequence[Revocation]) -> None:
        """Revocations in force, each a `craftnet.access.revocation.revocations.revocations.Revocation`, possibly
        known already.
        """

    def in_force() -> Sequence[Revocation]:
        """All revocations in force that this node knows."""


class ISharedRevocations(Interface):
    """The revocations of all nodes."""

    complete: bool = Attribute("Whether the listener knows all that are in force; False while some may be missed.")

    def follow(listener: IRevocationListener) -> None:
        """Calls `listener` with what is in force at the start and after every interruption, and with new revocations.

        After an interruption, revocations that only this node knows are published to the others.
        """

    def loaded() -> Deferred[None]:
        """Fires once the listener knows what was in force at the start.

        Fails:
            `craftnet.errors.Unavailable`: that cannot be read now.
        """

    def publish(revocation: Revocation) -> Deferred[None]:
        """Stores a revocation until it expires, and informs every node. Fires when it is stored.

        Fails:
            `craftnet.errors.Unavailable`: it may or may not be stored; it can be published again.
            `craftnet.errors.TooManyRequests`: there is no room for it.
        """


class ISharedConnectionSlots(Interface):
    """Counts each player's connections on all nodes together. Those of a node that died expire after a while."""

    complete: bool = Attribute("Whether the other nodes know this node's slots; False while a limit may be exceeded.")

    def enter(player_id: UUID, limit: int) -> Deferred[bool]:
        """Takes a slot on this node, unless the player has `limit` on all nodes.

        Returns:
            A Deferred of whether the slot was taken. It is taken when the other nodes cannot be asked. Cancelled: it
            is not.
        """

    def leave(player_id: UUID) -> None:
        """Releases a slot that was taken here. Waits for nothing."""


class ICluster(Interface):
    """A back end through which nodes share what concerns each other's clients."""

    revocations: ISharedRevocations = Attribute("An `ISharedRevocations`.")
    connection_slots: ISharedConnectionSlots = Attribute("An `ISharedConnectionSlots`.")


class IBackendFactory(Interface):
    """Builds a back end from the text after its name: `--backend NAME:key=value:…`."""

    name: str = Attribute("The name in the option: lower-case letters, digits, '-'.")
    summary: str = Attribute("One line for --help-backends.")
    arguments: Mapping[str, str] = Attribute("Its arguments: a mapping of each name to one line of help.")
    shared: bool = Attribute("Whether several processes with the same arguments share the same state.")

    def build(reactor: IClock, arguments: Mapping[str, str]) -> IBackend:
        """Builds the back end. No I/O before its service starts.

        Arguments:
            reactor: a `craftnet.clocks.IClock`, and `IReactorTCP` for a back end that connects.
            arguments: a mapping of str to str; the names are among `arguments`.

        Returns:
            An `IBackend`.

        Raises:
            craftnet.errors.ConfigurationError: the arguments are invalid.
        """


class IShardedBackendFactory(Interface):
    """Additional interface of a factory whose back ends can each keep a share of the players, in several processes."""

    def build_shard(reactor: IClock, arguments: Mapping[str, str], shards: Shards) -> IBackend:
        """Builds the back end of one process. Returns and raises as `IBackendFactory.build`.

        Arguments:
            shards: a `craftnet.providers.shards.Shards`: the players of this process.
        """


class IBackendPlugin(Interface):
    """What the plugin search finds: the name of a back end, and its factory."""

    name: str = Attribute("The name in options.")
    factory: str = Attribute("The dotted name of a callable that returns an `IBackendFactory`.")


class ISubscriber(Interface):
    """A connection, of any transport, that receives one feed."""

    def deliver(update: Update) -> None:
        """Delivers a `craftnet.crafting.updates.Update`. Must not raise and must not block."""

    def ended(code: CloseCode) -> None:
        """The feed has ended; `code` is a `craftnet.contract.close_codes.CloseCode`. Nothing follows."""


class IInspectable(Interface):
    """A subscriber that administrators can look at."""

    def inspect() -> ConnectionRow:
        """Its connection, as a `craftnet.contract.admin.sessions.ConnectionRow`; without the name of the node."""

    def trace(record: Callable[[TraceEntry], None]) -> Callable[[], None]:
        """Calls `record` with everything that is sent to it from now on; returns a function that ends that."""


class ITokenVerifier(Interface):
    """Verifies tokens."""

    def authenticate(token: str) -> Deferred[Principal]:
        """Verifies a bearer token.

        Returns:
            A Deferred of a `craftnet.access.principal.Principal`.

        Fails:
            `craftnet.errors.Unauthorized`: the token is invalid.
            `craftnet.errors.Unavailable`: the keys are unavailable now.
        """


class IAuditLog(Interface):
    """Records security events."""

    def record(event: SecurityEvent) -> None:
        """Records an event that happens now: sets its time, and shortens its texts. Never raises, and never waits."""
