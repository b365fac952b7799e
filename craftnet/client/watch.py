"""A watch: follows one session over one transport or another until it ends, whatever happens to connections."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from uuid import UUID

from msgspec import Struct
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure
from zope.interface import implementer

from craftnet.client.backoff import Backoff
from craftnet.client.endings import Ending, Kind
from craftnet.client.feed import Feed, advance
from craftnet.client.interfaces import ILink, ILinkListener, IObserver, ITransport
from craftnet.client.line import Line
from craftnet.client.scout import Scout
from craftnet.messages import Status
from craftnet.positions import Position
from craftnet.updates import Update

PATIENCE = 60.0
"""Seconds without any contact after which a watch gives up."""


RETURN = 30.0
"""Seconds on another transport before the preferred one is tried again beside it; doubled each time …"""

LATEST_RETURN = 300.0
"""… up to this."""


class Verdict(Enum):
    """The result of a watch."""

    COMPLETED = "completed"
    FAILED = "failed"
    OVER = "over"
    """The server ended the feed in order, without the session's result."""
    REFUSED = "refused"
    UNREACHABLE = "unreachable"


class Outcome(Struct, frozen=True):
    """A verdict and one clause that explains it to people."""

    verdict: Verdict
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
        patience: seconds without contact after which the watch gives up.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        session_id: UUID,
        transports: Sequence[ITransport],
        observer: IObserver,
        backoff: Backoff,
        patience: float = PATIENCE,
    ) -> None:
        self._reactor = reactor
        self._transports = transports
        self._using = 0  # index of the transport in use.
        self._return_in = RETURN
        self._returning: IDelayedCall | None = None
        self._scout: Scout | None = None
        self._observer = observer
        self._backoff = backoff
        self._patience = patience
        self._contact = 0.0
        self._link: ILink | None = None
        self._next: IDelayedCall | None = None
        self._done: Deferred[Outcome] | None = None
        self._at: Position | None = None
        self.feed = Feed(session_id)

    def start(self) -> Deferred[Outcome]:
        """Starts the watch. Called once.

        Returns:
            A Deferred of the outcome. Cancelling it stops the watch. It fails with what the observer raises.
        """
        self._done = done = Deferred[Outcome](lambda _: self._leave())
        self._contact = self._reactor.seconds()
        self._connect()
        return done

    def opened(self) -> None:
        """See `ILinkListener`."""
        self._contact = self._reactor.seconds()
        self._backoff.opened(self._contact)

    def told(self, update: Update) -> None:
        """See `ILinkListener`."""
        self._contact = self._reactor.seconds()
        self.feed = advance(self.feed, update, self._contact)
        self._at = update.at or self._at
        try:
            self._observer.told(self._transports[self._using].name, update, self.feed)
        except Exception:  # an error of the observer belongs to the caller of start(), not to the transport.
            self._finish(Failure())
            return
        progress = self.feed.progress
        if progress is not None and progress.status is Status.COMPLETED:
            self._finish(Outcome(Verdict.COMPLETED, "the craft is complete"))
        elif progress is not None and progress.status is Status.FAILED:
            self._finish(Outcome(Verdict.FAILED, f"the craft failed: {progress.failure_reason or 'no reason given'}"))

    def measured(self, line: Line) -> None:
        """See `ILinkListener`."""
        self._observer.measured(self._transports[self._using].name, line)

    def ended(self, ending: Ending) -> None:
        """See `ILinkListener`."""
        self._link = None
        now = self._reactor.seconds()
        if ending.elsewhere and self._using + 1 < len(self._transports):
            self._using += 1
            self._wait(0.0, ending)
            self._plan_return()
        elif ending.kind is Kind.OVER:
            self._finish(Outcome(Verdict.OVER, ending.reason))
        elif ending.kind is Kind.REFUSED:
            self._finish(Outcome(Verdict.REFUSED, ending.reason))
        else:
            delay = self._backoff.delay(now, ending.retry_after)
            if now + delay - self._contact > self._patience:
                self._finish(Outcome(Verdict.UNREACHABLE, ending.reason))
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
        if self._returning is None and self._scout is None:
            self._returning = self._reactor.callLater(self._return_in, self._send_scout)
            self._return_in = min(LATEST_RETURN, self._return_in * 2)

    def _send_scout(self) -> None:
        self._returning = None
        self._scout = Scout(self._transports[0].link(self._at), self, self._through, self._not_through)
        self._scout.start()

    def _not_through(self) -> None:
        self._scout = None
        self._plan_return()

    def _through(self, link: ILink) -> None:
        """Switches to the preferred transport, which works again."""
        self._scout = None
        self._leave()
        self._using, self._return_in = 0, RETURN
        self._link = link

    def _leave(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.stop()
        scout, self._scout = self._scout, None
        if scout is not None:
            scout.stop()
        for call in (self._next, self._returning):
            if call is not None:
                call.cancel()
        self._next = self._returning = None

    def _finish(self, result: Outcome | Failure) -> None:
        self._leave()
        done, self._done = self._done, None
        if done is not None:
            done.callback(result)
