"""A watch: follows one session until it ends, across transports and lost connections."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from uuid import UUID

from msgspec import Struct
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure
from zope.interface import implementer

from craftnet.client.core.connection_quality import ConnectionQuality
from craftnet.client.core.endings import Ending, EndingKind
from craftnet.client.core.feed import WatchedSession, apply_update
from craftnet.client.core.interfaces import ILink, ILinkListener, IObserver, ITransport
from craftnet.client.core.transport_upgrade import TransportUpgrade
from craftnet.contract.messages import Status
from craftnet.contract.position import Position
from craftnet.crafting.updates import Update
from craftnet.runtime.backoff import Backoff

GIVE_UP_AFTER = 60.0
"""Seconds without any contact after which a watch gives up."""


FIRST_UPGRADE_DELAY = 30.0
"""Seconds on another transport before the preferred one is tried again beside it; doubled each time …"""

MAX_UPGRADE_DELAY = 300.0
"""… up to this."""


class WatchVerdict(Enum):
    """The result of a watch."""

    COMPLETED = "completed"
    FAILED = "failed"
    OVER = "over"
    """The server ended the feed in order, without the session's result."""
    REFUSED = "refused"
    UNREACHABLE = "unreachable"


class WatchOutcome(Struct, frozen=True):
    """A verdict and one clause that explains it to people."""

    verdict: WatchVerdict
    reason: str


@implementer(ILinkListener)
class Watch:
    """Follows a session.

    Arguments:
        reactor: the clock.
        session_id: the session; the transports are for the same one.
        transports: in order of preference. The next one is used when one fails although the server is reachable; from
            then on the first is tried now and then, and used as soon as it works.
        observer: receives everything.
        backoff: the delays between attempts.
        give_up_after: seconds without contact after which the watch gives up.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        session_id: UUID,
        transports: Sequence[ITransport],
        observer: IObserver,
        backoff: Backoff,
        give_up_after: float = GIVE_UP_AFTER,
    ) -> None:
        self._reactor = reactor
        self._transports = transports
        self._using = 0  # index of the transport in use.
        self._return_in = FIRST_UPGRADE_DELAY
        self._returning: IDelayedCall | None = None
        self._upgrade: TransportUpgrade | None = None
        self._observer = observer
        self._backoff = backoff
        self._give_up_after = give_up_after
        self._contact = 0.0
        self._link: ILink | None = None
        self._next: IDelayedCall | None = None
        self._done: Deferred[WatchOutcome] | None = None
        self._at: Position | None = None
        self.feed = WatchedSession(session_id)

    def start(self) -> Deferred[WatchOutcome]:
        """Starts the watch. Called once.

        Returns:
            A Deferred of the outcome. Cancelling it stops the watch. It fails with what the observer raises.
        """
        self._done = done = Deferred[WatchOutcome](lambda _: self._leave())
        self._contact = self._reactor.seconds()
        self._connect()
        return done

    def opened(self) -> None:
        """See `ILinkListener`."""
        self._contact = self._reactor.seconds()
        self._backoff.opened(self._contact)

    def updated(self, update: Update) -> None:
        """See `ILinkListener`."""
        self._contact = self._reactor.seconds()
        self.feed = apply_update(self.feed, update, self._contact)
        self._at = update.at or self._at
        try:
            self._observer.updated(self._transports[self._using].name, update, self.feed)
        except Exception:  # an error of the observer belongs to the caller of start(), not to the transport.
            self._finish(Failure())
            return
        progress = self.feed.progress
        if progress is not None and progress.status is Status.COMPLETED:
            self._finish(WatchOutcome(WatchVerdict.COMPLETED, "the craft is complete"))
        elif progress is not None and progress.status is Status.FAILED:
            self._finish(
                WatchOutcome(WatchVerdict.FAILED, f"the craft failed: {progress.failure_reason or 'no reason given'}")
            )

    def measured(self, quality: ConnectionQuality) -> None:
        """See `ILinkListener`."""
        self._observer.measured(self._transports[self._using].name, quality)

    def ended(self, ending: Ending) -> None:
        """See `ILinkListener`."""
        self._link = None
        now = self._reactor.seconds()
        if ending.try_another_transport and self._using + 1 < len(self._transports):
            self._using += 1
            self._wait(0.0, ending)
            self._plan_return()
        elif ending.kind is EndingKind.OVER:
            self._finish(WatchOutcome(WatchVerdict.OVER, ending.reason))
        elif ending.kind is EndingKind.REFUSED:
            self._finish(WatchOutcome(WatchVerdict.REFUSED, ending.reason))
        else:
            delay = self._backoff.delay(now, ending.retry_after)
            if now + delay - self._contact > self._give_up_after:
                self._finish(WatchOutcome(WatchVerdict.UNREACHABLE, ending.reason))
            else:
                self._wait(delay, ending)

    def _wait(self, delay: float, ending: Ending) -> None:
        self._observer.waiting(delay, ending)
        self._next = self._reactor.callLater(delay, self._connect)

    def _connect(self) -> None:
        self._next = None
        transport = self._transports[self._using]
        self._observer.connecting(transport.name)
        self._link = link = transport.link(self._at)
        link.start(self)

    def _plan_return(self) -> None:
        if self._returning is None and self._upgrade is None:
            self._returning = self._reactor.callLater(self._return_in, self._try_upgrade)
            self._return_in = min(MAX_UPGRADE_DELAY, self._return_in * 2)

    def _try_upgrade(self) -> None:
        self._returning = None
        self._upgrade = TransportUpgrade(self._transports[0].link(self._at), self, self._through, self._not_through)
        self._upgrade.start()

    def _not_through(self) -> None:
        self._upgrade = None
        self._plan_return()

    def _through(self, link: ILink) -> None:
        """Switches to the preferred transport, which works again."""
        self._upgrade = None
        self._leave()
        self._using, self._return_in = 0, FIRST_UPGRADE_DELAY
        self._link = link

    def _leave(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.stop()
        upgrade, self._upgrade = self._upgrade, None
        if upgrade is not None:
            upgrade.stop()
        for call in (self._next, self._returning):
            if call is not None:
                call.cancel()
        self._next = self._returning = None

    def _finish(self, result: WatchOutcome | Failure) -> None:
        self._leave()
        done, self._done = self._done, None
        if done is not None:
            done.callback(result)
