"""The client's interfaces: transports, their links, listeners and observers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zope.interface import Attribute, Interface

if TYPE_CHECKING:  # for annotations only.
    from craftnet.client.core.connection_quality import ConnectionQuality
    from craftnet.client.core.endings import Ending
    from craftnet.client.core.feed import WatchedSession
    from craftnet.contract.position import Position
    from craftnet.crafting.updates import Update


class ILinkListener(Interface):
    """Receives the updates and the end of a link."""

    def opened() -> None:
        """The connection is open. Called at most once, before any update."""

    def updated(update: Update) -> None:
        """An update of the session, a `craftnet.crafting.updates.Update`. May stop the link.

        A progress without messages repeats a known one on a better-known clock.
        """

    def measured(quality: ConnectionQuality) -> None:
        """Measurements of the connection, a `craftnet.client.core.connection_quality.ConnectionQuality`. Called by
        transports that measure.
        """

    def ended(ending: Ending) -> None:
        """The connection ended or could not be opened: a `craftnet.client.core.endings.Ending`. Called once, last."""


class ILink(Interface):
    """One attempt to watch one session over one transport. Used once."""

    def start(listener: ILinkListener) -> None:
        """Connects. Everything after this goes to the listener, possibly before this returns."""

    def stop() -> None:
        """Disconnects. The listener is not called afterwards. Has no effect after the link has ended."""


class ITransport(Interface):
    """A way to watch a session."""

    name: str = Attribute("The public name: ws or udp.")

    def link(resume: Position | None = None) -> ILink:
        """A new attempt, an `ILink` that has not started.

        Arguments:
            resume: the watch's position, whichever transport delivered it: a `craftnet.contract.position.Position`.
        """


class IObserver(Interface):
    """Shows a watch."""

    def connecting(transport: str) -> None:
        """An attempt over the named transport begins."""

    def updated(transport: str, update: Update, feed: WatchedSession) -> None:
        """An update and the resulting knowledge: a `craftnet.crafting.updates.Update` and a
        `craftnet.client.core.feed.WatchedSession`.

        A progress without messages repeats a known one on a better-known clock.
        """

    def measured(transport: str, quality: ConnectionQuality) -> None:
        """Measurements of the connection over the named transport: a
        `craftnet.client.core.connection_quality.ConnectionQuality`.
        """

    def waiting(delay: float, ending: Ending) -> None:
        """The connection ended; the next attempt follows in `delay` seconds (0: over another transport, now)."""
