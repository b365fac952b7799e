"""A second attempt at a better transport, while news come over a lesser one."""

from __future__ import annotations

from collections.abc import Callable

from zope.interface import implementer

from craftnet.client.endings import Ending
from craftnet.client.interfaces import ILink, ILinkListener
from craftnet.client.line import Line
from craftnet.updates import Update


@implementer(ILinkListener)
class Scout:
    """One link that nobody hears of before it is open.

    Arguments:
        link: not started.
        listener: hears everything from the moment the link is open.
        through: called with the link just before that.
        failed: called when it never comes to that.
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
        """Go."""
        self._link.start(self)

    def stop(self) -> None:
        """Come back."""
        self._link.stop()

    def opened(self) -> None:
        """See `ILinkListener`."""
        self._is_through = True
        self._through(self._link)
        self._listener.opened()

    def told(self, update: Update) -> None:
        """See `ILinkListener`."""
        self._listener.told(update)

    def measured(self, line: Line) -> None:
        """See `ILinkListener`."""
        self._listener.measured(line)

    def ended(self, ending: Ending) -> None:
        """See `ILinkListener`."""
        if self._is_through:
            self._listener.ended(ending)
        else:
            self._failed()
