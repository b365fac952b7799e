"""One connection as a subscriber: delivers updates at the client's pace. No protocol, no socket."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

from twisted.internet.defer import CancelledError, TimeoutError
from twisted.internet.interfaces import IPushProducer
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from craftnet.access.principal import Principal
from craftnet.clocks import IClock
from craftnet.contract.admin.sessions import ConnectionRow
from craftnet.contract.close_codes import CloseCode
from craftnet.crafting.updates import Encoding, Update
from craftnet.errors import NotFound, Refusal, Unavailable, failed
from craftnet.feeds.subscriptions import Subscription
from craftnet.interfaces import IInspectable, ISubscriber
from craftnet.limits.client_address import host
from craftnet.limits.connection_limits import ConnectionSlot
from craftnet.limits.handshake_guard import HandshakeGuard
from craftnet.observe.metrics.hot_counters import DeliveryCounts
from craftnet.observe.metrics.registry import Metrics
from craftnet.protocols.feed.core.conflation import Conflation, SlowConsumer
from craftnet.protocols.feed.server import inspection
from craftnet.protocols.feed.server.feed_request import FeedRequest

_log = Logger()


class SubscriberFactory(Protocol):
    """What all connections of a protocol share.

    Attributes:
        deliveries: counts each update that is written.
    """

    clock: IClock
    metrics: Metrics
    gate: HandshakeGuard
    deliveries: DeliveryCounts


@implementer(ISubscriber, IInspectable, IPushProducer)
class FeedSubscriber(ABC):
    """The part of a connection that an `ISubscriber` and an `IPushProducer` need.

    A class that inherits from it has the attributes below, and says how to write and how to close.

    Attributes:
        transport: the connection.
        transport_name: the label of its protocol in metrics.
        principal: the bearer for whom it was opened.
        client: what the client calls itself.
        heartbeat_interval: seconds of silence after which the client wants a heartbeat; 0: never.
        sent_at: when something was last sent; for those that want heartbeats.
    """

    if not TYPE_CHECKING:  # mypy would have the attributes below among them.
        __slots__ = ()  # so that it can be combined with Autobahn's classes.

    factory: SubscriberFactory
    transport: Any
    transport_name: str
    principal: Principal
    client: str | None
    heartbeat_interval: int
    sent_at: float
    _subscription: Subscription | None
    _slot: ConnectionSlot | None
    _encoding: Encoding
    _waiting: Conflation | None
    _paused: bool

    @abstractmethod
    def write_update(self, octets: bytes) -> bool:
        """Writes an encoded update; returns False where nothing may follow any more."""

    @property
    @abstractmethod
    def encoding_name(self) -> str:
        """How updates are encoded, for people."""

    @abstractmethod
    def close_feed(self, code: CloseCode, reason: str = "") -> None:
        """Closes the feed with a code that gives the client the reason."""

    @abstractmethod
    def close_for(self, code: CloseCode, label: str, reason: str) -> None:
        """Closes because of the client, and counts it under `label`."""

    # The feed

    def start_feed(self) -> None:
        """Starts the subscription."""
        assert self._subscription is not None
        if self._subscription.heartbeat_interval:  # most clients want none, and keep no state for it.
            self.heartbeat_interval = self._subscription.heartbeat_interval
            self.sent_at = self.factory.clock.seconds()

    def feed_failed(self, failure: Failure) -> None:
        """Ends a feed that could not be opened."""
        if failure.check(NotFound):
            self.ended(CloseCode.NORMAL)
        elif failure.check(Unavailable):  # counted by metrics: many may occur while a source is unreachable.
            self.factory.metrics.refused(Unavailable.label)
            self.ended(CloseCode.INTERNAL_ERROR)
        else:
            _log.failure("a feed could not be opened", failure, **self.ids)
            self.ended(CloseCode.INTERNAL_ERROR)

    @property
    def ids(self) -> dict[str, Any]:
        """The ids of the connection, by the names of their fields in the log."""
        _, session_id = self.watched
        return {
            "connection_id": inspection.connection_name(self),
            "session_id": session_id,
            "player_id": self.principal.player_id,
        }

    @property
    def watched(self) -> tuple[str, UUID | None]:
        """The feed: its kind, and the session where it is one of a session."""
        subscription = self._subscription
        return ("", None) if subscription is None else (subscription.feed, subscription.session_id)

    @property
    def address(self) -> str | None:
        """The client's address as limits know it; None where they know none."""
        return None if self._slot is None else self._slot.address

    @property
    def paused(self) -> bool:
        """Whether the client does not read now."""
        return self._paused

    @property
    def waiting(self) -> Conflation | None:
        """What waits until the client reads."""
        return self._waiting

    @property
    def encoding(self) -> Encoding:
        """Encodes updates for the client."""
        return self._encoding

    @encoding.setter
    def encoding(self, encoding: Encoding) -> None:
        self._encoding = encoding

    def inspect(self) -> ConnectionRow:
        """As in `IInspectable`."""
        return inspection.connection_row(self, host(self.transport.getPeer()), self.factory.clock)

    def trace(self, record: inspection.Recorder) -> Callable[[], None]:
        """As in `IInspectable`."""
        return inspection.trace(self, record)

    @property
    def backlog(self) -> int:
        """Octets of the updates that wait until the client reads."""
        return 0 if self._waiting is None else self._waiting.size

    def deliver(self, update: Update) -> None:
        """As in `ISubscriber`."""
        if not self._paused:
            self._write(update)
            return
        waiting, counts = self._waiting, self.factory.deliveries
        if waiting is None:
            limits = None if self._subscription is None else self._subscription.max_waiting
            waiting = self._waiting = Conflation() if limits is None else Conflation(*limits)
        before = len(waiting)
        try:
            waiting.put(update, len(update.encoded(self._encoding)))
        except SlowConsumer as error:
            counts.dropped.value += 1
            self.factory.metrics.refused("slow_consumer")
            self.stop_feed()  # drops what waits: what says why is sent now, and nothing may follow it.
            self.close_feed(CloseCode.SLOW_CONSUMER, str(error))
        else:
            counts.conflated.value += before + 1 - len(waiting)
            counts.waiting.value += len(waiting) - before

    def ended(self, code: CloseCode, reason: str = "") -> None:
        """As in `ISubscriber`."""
        self._write_waiting()
        self.stop_feed()
        self.close_feed(code, reason)

    def send_heartbeat(self) -> None:
        """Sends a heartbeat: nothing was sent for long, and the client wants to know that the server is alive.

        A client that does not read receives none: what waits for it follows when it reads again.
        """
        if self._subscription is not None and not self._paused:
            self._subscription.send_heartbeat(self)

    def stop_feed(self) -> None:
        """Ends the subscription, if it has not ended, and drops what waits."""
        dropped = self._taken()
        if dropped:
            self.factory.deliveries.dropped.value += len(dropped)
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            subscription.stop(self)

    def release_slot(self) -> None:
        """Releases the connection's slot, if it has one."""
        slot, self._slot = self._slot, None
        if slot is not None:
            self.factory.gate.release(slot)

    def expired(self) -> None:
        """The token has expired."""
        self.close_for(CloseCode.TOKEN_EXPIRED, "token_expired", "the token has expired")

    def revoked(self) -> None:
        """The token was revoked."""
        self.close_for(CloseCode.TOKEN_REVOKED, "token_revoked", "the token was revoked")

    def disconnected(self) -> None:
        """An operator ends the connection."""
        self.close_for(CloseCode.DISCONNECTED, "disconnected", "an operator ended this connection")

    # The client's pace

    def pauseProducing(self) -> None:
        """The client does not read: queues updates from now on."""
        self._paused = True

    def resumeProducing(self) -> None:
        """The client reads again."""
        self._paused = False
        self._write_waiting()

    def stopProducing(self) -> None:  # noqa: B027 - there is nothing to do, for any protocol.
        """The connection is lost, as its protocol will hear."""

    def _write_waiting(self) -> None:
        for update in self._taken():
            self._write(update)

    def _taken(self) -> list[Update]:
        """Removes and returns what waits."""
        waiting, self._waiting = self._waiting, None
        updates = [] if waiting is None else waiting.take()
        if updates:
            self.factory.deliveries.waiting.value -= len(updates)
        return updates

    def _write(self, update: Update) -> None:
        octets, counts = update.encoded(self._encoding), self.factory.deliveries
        if not self.write_update(octets):
            return
        now, accepted = self.factory.clock.seconds(), update.accepted
        if self.heartbeat_interval:
            self.sent_at = now
        counts.octets[self._encoding].value += len(octets)
        counts.count(len(update.messages), None if accepted is None else now - accepted)


def refusal_of(failure: Failure, request: FeedRequest) -> Refusal:
    """The refusal of a request for a feed that failed in this way; anything unexpected is logged."""
    error = failure.value
    if isinstance(error, (TimeoutError, CancelledError)):
        return Unavailable("The handshake took too long.")
    if not isinstance(error, Refusal):
        ids = request.ids
        _log.failure("a request for a feed failed", failure, **ids)
        return failed(ids["request_id"])
    return error
