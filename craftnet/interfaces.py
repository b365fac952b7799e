"""The seams: what a provider gives, what a watcher takes. Keep this module tiny: any plugin look-up imports it.

Order and delivery, for every source: a listener hears every change after the state that its `watch` answered, once, in
the order of the versions; changes of different sessions (or players) have no order among each other.
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
    from craftnet.access.revoked import Revocation
    from craftnet.clocks import IClock
    from craftnet.closecodes import CloseCode
    from craftnet.events import Event, Outcome
    from craftnet.messages import Check
    from craftnet.shards.placement import Shards
    from craftnet.state import MaterialsChange, MaterialsState, QueueChange, QueueEntry, QueueState, SessionState
    from craftnet.updates import Update


class ISessionListener(Interface):
    """Somebody who watches one session."""

    def session_changed(state: SessionState | None) -> None:
        """A newer `craftnet.state.SessionState`, or None: the session is over and forgotten."""


class IMaterialListener(Interface):
    """Somebody who watches one session's materials."""

    def materials_changed(change: MaterialsChange) -> None:
        """A `craftnet.state.MaterialsChange`."""


class IQueueListener(Interface):
    """Somebody who watches one player's queue entries."""

    def queue_changed(change: QueueChange) -> None:
        """A `craftnet.state.QueueChange`."""

    def queue_reset(state: QueueState) -> None:
        """A `craftnet.state.QueueState` with the same entries as before, in a version that counts from now on.

        Only a source that is `IShared` says so, after it lost something.
        """


class _IEventApplier(Interface):
    def apply(events: Sequence[Event]) -> Deferred[list[Outcome]]:
        """Take authority events, in order.

        Arguments:
            events: a sequence of `craftnet.events.Event`; only of types this source is responsible for.

        Returns:
            A Deferred of a list of `craftnet.events.Outcome`, one for each event. It fires when the events are kept.
            An event_id that was accepted before is a duplicate and changes nothing.

        Fails:
            `craftnet.errors.Unavailable`: nothing was applied; the same events may be sent again.
        """


class ISessionSource(_IEventApplier):
    """Where the state of sessions is kept. Responsible for `craftnet.events.SessionEvent`."""

    def get(session_id: UUID) -> Deferred[SessionState | None]:
        """A Deferred of the `craftnet.state.SessionState`, or of None when there is no such session."""

    def watch(session_id: UUID, listener: ISessionListener) -> Deferred[SessionState | None]:
        """From now on tell `listener` (an `ISessionListener`) of changes. Answers as `get` does."""

    def unwatch(session_id: UUID, listener: ISessionListener) -> None:
        """Tell `listener` no more. A listener that is not known is no error."""

    def count() -> Deferred[int]:
        """A Deferred of the number of sessions kept, finished ones included."""


class IWhole(Interface):
    """What a source of sessions is, too, when it can keep the materials of a start in one step with the session."""

    materials: IMaterialSource = Attribute("The `IMaterialSource` which keeps them.")

    def apply_whole(events: Sequence[Event]) -> Deferred[list[Outcome]]:
        """As `apply`; and those starts that are not rejected `materials` is given, too. No start is half applied."""


class IMaterialSource(_IEventApplier):
    """Where the materials of sessions are kept.

    Responsible for `craftnet.events.MaterialsUpdate`, and for `SessionStart`, of which it keeps the materials.
    """

    def get(session_id: UUID) -> Deferred[MaterialsState]:
        """A Deferred of the `craftnet.state.MaterialsState`; an empty one of version 0 when nothing is known."""

    def watch(session_id: UUID, listener: IMaterialListener) -> Deferred[MaterialsState]:
        """From now on tell `listener` (an `IMaterialListener`) of changes. Answers as `get` does."""

    def unwatch(session_id: UUID, listener: IMaterialListener) -> None:
        """Tell `listener` no more. A listener that is not known is no error."""


class IQueueSource(_IEventApplier):
    """Where the queues' entries are kept. Responsible for `craftnet.events.QueueUpdate`."""

    def get(player_id: UUID) -> Deferred[QueueState]:
        """A Deferred of the player's `craftnet.state.QueueState`; an empty one of version 0 when nothing is known.

        The version grows as long as anybody can remember an earlier one: a source that forgets a player goes on from
        a version which that player has not had.
        """

    def find(session_id: UUID) -> Deferred[QueueEntry | None]:
        """A Deferred of the `craftnet.state.QueueEntry` that names this session, or of None."""

    def watch(player_id: UUID, listener: IQueueListener) -> Deferred[QueueState]:
        """From now on tell `listener` (an `IQueueListener`) of changes. Answers as `get` does."""

    def unwatch(player_id: UUID, listener: IQueueListener) -> None:
        """Tell `listener` no more. A listener that is not known is no error."""


class IShared(Interface):
    """What a source is, too, when several nodes share what it keeps: a version means the same on all of them."""

    epoch: str | None = Attribute(
        "What versions belong to now: a str that only nodes have for which they mean the same. Within it no version "
        "shrinks: it is another one as soon as changes that were told may have been lost. None until one is known."
    )
    stalled: str = Attribute("Why this node does not hear of changes now, for people; empty while it does.")

    def caught_up(key: UUID) -> Deferred[None]:
        """Wait until listeners of `key` on this node know all that any node's listeners were told before this call.

        Fails:
            `craftnet.errors.Unavailable`: that takes too long, or the source is out of reach.
        """


class IRecall(Interface):
    """What a source of materials, or of queues, is, too, when it knows what changed before anybody here watched."""

    def recall(key: UUID, version: int) -> Deferred[Sequence[Any]]:
        """What followed a version.

        Returns:
            A Deferred of the changes, each as a listener hears it: in order, none left out, from that after `version`
            on, as far as they are known. Listeners may not have heard the newest yet. Of none when that after
            `version` is not known any more.

        Fails:
            `craftnet.errors.Unavailable`: nobody knows now.
        """


class IBackend(Interface):
    """A set of sources that belong together."""

    sessions: ISessionSource = Attribute("An `ISessionSource`.")
    materials: IMaterialSource = Attribute("An `IMaterialSource`.")
    queues: IQueueSource = Attribute("An `IQueueSource`.")
    service: IService | None = Attribute("A `twisted.application.service.IService` to run with the server, or None.")


class IShowcase(Interface):
    """A backend that can name something worth watching, for the text shown at start-up."""

    def featured() -> SessionState | None:
        """The `craftnet.state.SessionState` of a running craft, or None."""

    def under_way(player_id: UUID) -> Sequence[UUID]:
        """The sessions of a player that have started and not ended, oldest first."""


class ITaker(Interface):
    """What a back end is, too, when it takes events in a way of its own, besides those that its sources are given."""

    def count_with(counted: Callable[[Sequence[Outcome]], None]) -> None:
        """From now on tell `counted` what became of the events taken, each a `craftnet.events.Outcome`."""


class IHealthChecks(Interface):
    """A back end that knows more of its health than whether its sources answer."""

    health_checks: Mapping[str, Callable[[], Check]] = Attribute(
        "Checks by name, called at every round. Each answers a `craftnet.messages.Check` at once, from what is known. "
        "`critical` is for faults that a restart of this process does not mend: /health and /ready answer 503."
    )


class IRevocationListener(Interface):
    """Who enforces revocations on one node."""

    def revoked(revocations: Sequence[Revocation]) -> None:
        """Some that hold, each a `craftnet.access.revoked.Revocation`; they may be known already."""

    def in_force() -> Sequence[Revocation]:
        """All that are known here and are not over."""


class ISharedRevocations(Interface):
    """The revocations of all nodes."""

    complete: bool = Attribute("Whether the listener knows all that is in force; False while one may be missed.")

    def follow(listener: IRevocationListener) -> None:
        """Tell `listener` what is in force when the service starts and after every interruption, and what comes new.

        What it knows and the others do not, after an interruption, is told to them.
        """

    def loaded() -> Deferred[None]:
        """Fires once the listener knows what was in force at the start.

        Fails:
            `craftnet.errors.Unavailable`: that cannot be had right now.
        """

    def publish(revocation: Revocation) -> Deferred[None]:
        """Keep a revocation until it is over, and tell every node. Fires when it is kept.

        Fails:
            `craftnet.errors.Unavailable`: nobody knows whether it is kept; it may be published again.
            `craftnet.errors.TooManyRequests`: there is no room for it.
        """


class ISharedPlaces(Interface):
    """How many connections each player has on all nodes together. A node that dies has none after a while."""

    complete: bool = Attribute("Whether the others know of this node's places; False while a limit may not hold.")

    def enter(player_id: UUID, limit: int) -> Deferred[bool]:
        """Take one more place on this node, unless the player has `limit` on all nodes.

        Returns:
            A Deferred of whether it was taken. When the others cannot be asked it is. Cancelled: it is not.
        """

    def leave(player_id: UUID) -> None:
        """Give back a place that was taken here. Waits for nobody."""


class ICluster(Interface):
    """A back end through which the nodes that share it know of each other's clients."""

    revocations: ISharedRevocations = Attribute("An `ISharedRevocations`.")
    places: ISharedPlaces = Attribute("An `ISharedPlaces`.")


class IBackendFactory(Interface):
    """What makes a backend from the text behind its name: `--backend NAME:key=value:…`."""

    name: str = Attribute("How the option names it: lower-case letters, digits, '-'.")
    summary: str = Attribute("One line for --help-backends.")
    arguments: Mapping[str, str] = Attribute("Its arguments: a mapping of each name to one line of help.")
    shared: bool = Attribute("Whether several processes that name it with the same arguments see the same state.")

    def build(reactor: IClock, arguments: Mapping[str, str]) -> IBackend:
        """Make the backend. No I/O before its service starts.

        Arguments:
            reactor: a `craftnet.clocks.IClock`, and `IReactorTCP` for a backend that connects.
            arguments: a mapping of str to str; the names are among `arguments`.

        Returns:
            An `IBackend`.

        Raises:
            craftnet.errors.ConfigurationError: the arguments do not make sense.
        """


class IDividedFactory(Interface):
    """What a factory of back ends is, too, when each of several processes may keep the state of some of the players."""

    def build_share(reactor: IClock, arguments: Mapping[str, str], shards: Shards) -> IBackend:
        """Make the back end of one process. Answers and raises as `IBackendFactory.build`.

        Arguments:
            shards: a `craftnet.shards.placement.Shards`: which players are this process's.
        """


class IBackendPlugin(Interface):
    """What the plugin search looks for: the name of a back end, and where its factory is."""

    name: str = Attribute("How options name it.")
    factory: str = Attribute("The dotted name of a callable that makes an `IBackendFactory`.")


class IWatcher(Interface):
    """A connection, of any transport, that is told what happens in one feed."""

    def deliver(update: Update) -> None:
        """Take a `craftnet.updates.Update`. Must not raise and must not block."""

    def ended(code: CloseCode) -> None:
        """The feed is over; `code` is a `craftnet.closecodes.CloseCode`. Nothing follows."""


class IAuthority(Interface):
    """Who decides whether a token holds."""

    def authenticate(token: str) -> Deferred[Principal]:
        """Check a bearer token.

        Returns:
            A Deferred of a `craftnet.access.principal.Principal`.

        Fails:
            `craftnet.errors.Unauthorized`: the token does not hold.
            `craftnet.errors.Unavailable`: the keys cannot be had right now.
        """
