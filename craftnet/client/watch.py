"""A watch: one session followed over one transport or another until it is over, whatever happens to connections."""

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
from craftnet.messages import Status
from craftnet.updates import Update

PATIENCE = 60.0
"""Seconds without any contact after which a watch gives up."""


class Verdict(Enum):
    """How a watch came out."""

    COMPLETED = "completed"
    FAILED = "failed"
    OVER = "over"
    """The server ended the feed in order, without saying how the session came out."""
    REFUSED = "refused"
    UNREACHABLE = "unreachable"


class Outcome(Struct, frozen=True):
    """A verdict, and one clause that explains it to people."""

    verdict: Verdict
    reason: str


@implementer(ILinkListener)
class Watch:
    """Follows a session.

    Arguments:
        reactor: for time.
        session_id: the session; the transports are for the same one.
        transports: in order of preference. The next one is tried when one cannot be had though the server can.
        observer: is told everything.
        backoff: when to reconnect.
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
        self._transports = list(transports)
        self._observer = observer
        self._backoff = backoff
        self._patience = patience
        self._contact = 0.0
        self._link: ILink | None = None
        self._next: IDelayedCall | None = None
        self._done: Deferred[Outcome] | None = None
        self.feed = Feed(session_id)

    def start(self) -> Deferred[Outcome]:
        """Begin. Called once.

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
        try:
            self._observer.told(self._transports[0].name, update, self.feed)
        except Exception:  # whatever it is, the caller of start() is who must hear of it, not the transport.
            self._finish(Failure())
            return
        progress = self.feed.progress
        if progress is not None and progress.status is Status.COMPLETED:
            self._finish(Outcome(Verdict.COMPLETED, "the craft is complete"))
        elif progress is not None and progress.status is Status.FAILED:
            self._finish(Outcome(Verdict.FAILED, f"the craft failed: {progress.failure_reason or 'no reason given'}"))

    def measured(self, line: Line) -> None:
        """See `ILinkListener`."""
        self._observer.measured(self._transports[0].name, line)

    def ended(self, ending: Ending) -> None:
        """See `ILinkListener`."""
        self._link = None
        now = self._reactor.seconds()
        if ending.elsewhere and len(self._transports) > 1:
            del self._transports[0]
            self._wait(0.0, ending)
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
        transport = self._transports[0]
        self._observer.connecting(transport.name)
        self._link = link = transport.link()
        link.start(self)

    def _leave(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.stop()
        call, self._next = self._next, None
        if call is not None:
            call.cancel()

    def _finish(self, result: Outcome | Failure) -> None:
        self._leave()
        done, self._done = self._done, None
        if done is not None:
            done.callback(result)
