"""What a back end may do for administrators and demonstrations, besides its sources. Each interface is optional."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from twisted.application.service import IService
from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface

from craftnet.contract.events import Event, EventOutcome
from craftnet.contract.http_bodies import DescribedCraft
from craftnet.crafting.progress import Expectation
from craftnet.crafting.state import SessionState

Tap = Callable[[Sequence[Event], Sequence[EventOutcome]], None]
"""Called with events that were applied, and the outcome of each."""

Wanted = Callable[[Any], bool]
"""Whether a state is to be listed."""

Page = tuple[list[Any], str | None]
"""Some states, and the cursor of the next page; None at the end."""


class IListing(Interface):
    """Additional interface of a source of sessions or queues that can list what it keeps, page by page."""

    def page(cursor: str | None, limit: int, wanted: Wanted | None) -> Deferred[Page]:  # noqa: N805 - as all of zope's.
        """A page of the states that are `wanted`, or of all.

        The source looks at a bounded number of states: a page may be short, even empty, and another one follow. Over
        all pages, each state occurs that is kept all the time; some may occur twice.

        Arguments:
            cursor: where the page begins; None: at the beginning.
            limit: maximum number of states.

        Fails:
            `craftnet.errors.BadRequest`: the cursor is none of this source.
            `craftnet.errors.Unavailable`: the source is unreachable.
        """


class IEventTap(Interface):
    """Additional interface of a source that shows the events that it applies."""

    tap: Tap | None = Attribute("Called after each `apply`; None, as at first, without a trace.")


def add_tap(source: Any, tap: Tap) -> None:
    """Calls `tap` with the events of a source, an `IEventTap`, beside the tap that it has."""
    before: Tap | None = source.tap

    def both(events: Sequence[Event], outcomes: Sequence[EventOutcome]) -> None:
        if before is not None:
            before(events, outcomes)
        tap(events, outcomes)

    source.tap = both


class ITimedSessions(Interface):
    """Additional interface of a source of sessions, an `IEventTap`, that can time crafts."""

    def time_crafts() -> None:
        """Keeps a `timing` in the states of sessions from now on (`craftnet.crafting.timing`)."""


class ISharedSamples(Interface):
    """Keeps the samples of all nodes in one order, and what was learned from them. Every Deferred fails with
    `craftnet.errors.Unavailable` where that is unreachable.
    """

    def add(samples: Sequence[bytes]) -> Deferred[None]:  # noqa: N805 - as all of zope's.
        """Adds samples. After a failure they may have been added."""

    def read(after: str, limit: int) -> Deferred[tuple[str, Sequence[bytes]]]:  # noqa: N805 - as above.
        """A Deferred of the samples after a position, at most `limit`, and the position of the last of them."""

    def kept() -> Deferred[tuple[str, bytes | None]]:
        """A Deferred of the position up to which something was learned and kept, and of that; "0-0" and None."""

    def keep(position: str, learned: bytes) -> Deferred[None]:  # noqa: N805 - as above.
        """Keeps what was learned up to a position, unless what is kept reaches as far."""


class INodeBus(Interface):
    """Carries short messages between nodes, by the names that they have on it. Some may be lost."""

    name: str = Attribute("The name of this node.")

    def follow(heard: Callable[[str, bytes], None]) -> None:  # noqa: N805 - as above.
        """Calls `heard` with the name of the sender and each message to this node."""

    def send(node: str, message: bytes) -> None:  # noqa: N805 - as above.
        """Sends a message to one node. Waits for nothing."""

    def broadcast(message: bytes) -> None:  # noqa: N805 - as above.
        """Sends a message to every other node. Waits for nothing."""


class IForecastingSessions(Interface):
    """A source of sessions that knows how long each is expected to take."""

    def forecast_sessions() -> None:
        """Makes it so from now on; called once, before the back end starts."""

    def expectation(state: SessionState) -> Expectation | None:  # noqa: N805 - as all of zope's.
        """How long a craft with this state, which came from this source, is expected to take; None if not known."""


class IStoredAccess(Interface):
    """A back end that tells programs that are no nodes what it has stored about access: commands of operators."""

    connection: IService = Attribute("A `twisted.application.service.IService` that runs meanwhile, and nothing else.")

    def stored_revocations() -> Deferred[Sequence[Any]]:
        """A Deferred of all revocations, each a `craftnet.access.revocation.revocations.Revocation`.

        Fails:
            `craftnet.errors.Unavailable`: the store is unreachable.
        """

    def stored_owner(session_id: UUID) -> Deferred[UUID | None]:  # noqa: N805 - as all of zope's.
        """A Deferred of the player who owns a session, or of None when there is no such session; fails as above."""


class INodeRegistry(Interface):
    """Keeps what each node says of itself, for all nodes, for a few seconds."""

    def announce(node: str, entry: bytes | None) -> Deferred[dict[str, bytes]]:  # noqa: N805 - as above.
        """Sets the entry of a node for a few seconds, or removes it.

        Returns:
            A Deferred of all entries, by the names of their nodes.

        Fails:
            `craftnet.errors.Unavailable`: the registry is unreachable.
        """


class IDemonstration(Interface):
    """A back end that can name a session worth watching, for the text shown at start-up."""

    def featured() -> SessionState | None:
        """The `craftnet.crafting.state.SessionState` of a running craft, or None."""

    def under_way(player_id: UUID) -> Sequence[UUID]:  # noqa: N805 - as all of zope's.
        """The sessions of a player that have started and not ended, oldest first."""

    def describe(player_id: UUID) -> Sequence[DescribedCraft]:  # noqa: N805 - as all of zope's.
        """What a player crafts or waits for, each a `craftnet.contract.http_bodies.DescribedCraft`."""

    def jump_queue(player_id: UUID) -> bool:  # noqa: N805 - as all of zope's.
        """Asks the simulated authority to move a waiting player to the front.

        Returns:
            Whether the player waits behind another one.
        """
