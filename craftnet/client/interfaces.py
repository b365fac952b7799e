"""The client's seams: what a transport gives, and what is done with what it brings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zope.interface import Attribute, Interface

if TYPE_CHECKING:  # for annotations only.
    from craftnet.client.endings import Ending
    from craftnet.client.feed import Feed
    from craftnet.client.line import Line
    from craftnet.positions import Position
    from craftnet.updates import Update


class ILinkListener(Interface):
    """Somebody who takes what a link brings."""

    def opened() -> None:
        """The server welcomed us. Comes at most once, before anything is told."""

    def told(update: Update) -> None:
        """News of the session, as a `craftnet.updates.Update`. May stop the link.

        A progress without messages is no news: it was told before, and the clock is known better now.
        """

    def measured(line: Line) -> None:
        """How the connection is, a `craftnet.client.line.Line`. Comes now and then, from transports that know."""

    def ended(ending: Ending) -> None:
        """There is no connection, or none any more: a `craftnet.client.endings.Ending`. Comes once, and last."""


class ILink(Interface):
    """One attempt at watching one session over one transport. Used once."""

    def start(listener: ILinkListener) -> None:
        """Connect. Everything after this goes to the listener, and may go there before this returns."""

    def stop() -> None:
        """Disconnect. The listener hears nothing from now on. No error when the link has ended."""


class ITransport(Interface):
    """A way to watch a session."""

    name: str = Attribute("How the user knows it: ws, udp.")

    def link(resume: Position | None = None) -> ILink:
        """A new attempt, an `ILink` that is not started.

        Arguments:
            resume: where the watch is, over whatever transport it was told that: a `craftnet.positions.Position`.
        """


class IObserver(Interface):
    """Somebody to whom a watch is shown."""

    def connecting(transport: str) -> None:
        """An attempt over the transport of this name begins."""

    def told(transport: str, update: Update, feed: Feed) -> None:
        """News, and all that is known with them: a `craftnet.updates.Update` and a `craftnet.client.feed.Feed`.

        A progress without messages is no news: it was told before, and the clock is known better now.
        """

    def measured(transport: str, line: Line) -> None:
        """How the connection over the transport of this name is: a `craftnet.client.line.Line`."""

    def waiting(delay: float, ending: Ending) -> None:
        """The connection ended so; the next attempt is `delay` seconds away (0: over another transport, now)."""
