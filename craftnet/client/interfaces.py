"""The client's interfaces: what a transport provides, and who receives what it brings."""

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
    """Receives what a link brings."""

    def opened() -> None:
        """The connection is open. Called at most once, before any update."""

    def told(update: Update) -> None:
        """An update of the session, a `craftnet.updates.Update`. May stop the link.

        A progress without messages repeats a known one on a better-known clock.
        """

    def measured(line: Line) -> None:
        """Measurements of the connection, a `craftnet.client.line.Line`. Called by transports that measure."""

    def ended(ending: Ending) -> None:
        """The connection ended or could not be opened: a `craftnet.client.endings.Ending`. Called once, last."""


class ILink(Interface):
    """One attempt to watch one session over one transport. Used once."""

    def start(listener: ILinkListener) -> None:
        """Connects. Everything after this goes to the listener, possibly before this returns."""

    def stop() -> None:
        """Disconnects. The listener hears nothing afterwards. Harmless when the link has ended."""


class ITransport(Interface):
    """A way to watch a session."""

    name: str = Attribute("The name that users know: ws, udp.")

    def link(resume: Position | None = None) -> ILink:
        """A new attempt, an `ILink` that has not started.

        Arguments:
            resume: the watch's position, whichever transport delivered it: a `craftnet.positions.Position`.
        """


class IObserver(Interface):
    """Shows a watch."""

    def connecting(transport: str) -> None:
        """An attempt over the named transport begins."""

    def told(transport: str, update: Update, feed: Feed) -> None:
        """An update and the resulting knowledge: a `craftnet.updates.Update` and a `craftnet.client.feed.Feed`.

        A progress without messages repeats a known one on a better-known clock.
        """

    def measured(transport: str, line: Line) -> None:
        """Measurements of the connection over the named transport: a `craftnet.client.line.Line`."""

    def waiting(delay: float, ending: Ending) -> None:
        """The connection ended; the next attempt follows in `delay` seconds (0: over another transport, now)."""
