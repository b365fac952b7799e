"""A second attempt over the preferred transport while updates arrive over another."""

from __future__ import annotations

from collections.abc import Callable

from zope.interface import implementer

from craftnet.client.core.connection_quality import ConnectionQuality
from craftnet.client.core.endings import Ending
from craftnet.client.core.interfaces import ILink, ILinkListener
from craftnet.crafting.updates import Update


@implementer(ILinkListener)
class TransportUpgrade:
    """One link that stays silent until it is open.

    Arguments:
        link: not started.
        listener: receives everything from the moment the link is open.
        through: called with the link just before that.
        failed: called when the link ends before it was open.
    """

    def __init__(
        self, link: ILink, listener: ILinkListener, through: Callable[[ILink], None], failed: Callable[[], None]
    ) -> None:
        self._link = link
        self._listener = listener
        self._through = through
        self._failed = failed
        self._is_through = False

    def start(self) -> None:
        """Starts the attempt."""
        self._link.start(self)

    def stop(self) -> None:
        """Stops the attempt."""
        self._link.stop()

    def opened(self) -> None:
        """See `ILinkListener`."""
        self._is_through = True
        self._through(self._link)
        self._listener.opened()

    def updated(self, update: Update) -> None:
        """See `ILinkListener`."""
        self._listener.updated(update)

    def measured(self, quality: ConnectionQuality) -> None:
        """See `ILinkListener`."""
        self._listener.measured(quality)

    def ended(self, ending: Ending) -> None:
        """See `ILinkListener`."""
        if self._is_through:
            self._listener.ended(ending)
        else:
            self._failed()
