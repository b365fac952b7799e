"""What a back end may do for administrators, besides what its sources must do. Each interface is optional."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface

from craftnet.contract.events import Event, EventOutcome

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

    tap: Tap | None = Attribute("Called after each `apply`; None, as at first, while nobody looks.")


class INodeBus(Interface):
    """Carries short messages between nodes, by the names that they have on it. Some may be lost."""

    name: str = Attribute("The name of this node.")

    def follow(heard: Callable[[str, bytes], None]) -> None:  # noqa: N805 - as above.
        """Calls `heard` with the name of the sender and each message to this node."""

    def send(node: str, message: bytes) -> None:  # noqa: N805 - as above.
        """Sends a message to one node. Waits for nothing."""

    def broadcast(message: bytes) -> None:  # noqa: N805 - as above.
        """Sends a message to every other node. Waits for nothing."""
