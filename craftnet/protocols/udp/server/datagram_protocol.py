"""The Twisted shell of the UDP protocol's server: reads, calls the dispatcher, writes. No rules here."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from math import inf
from typing import Protocol, cast
from uuid import UUID

from msgspec import Struct
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import DatagramProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from craftnet.access.principal import Principal
from craftnet.clocks import IClock
from craftnet.contract.admin.sessions import ConnectionRow
from craftnet.contract.close_codes import CloseCode
from craftnet.contract.position import Position
from craftnet.crafting.state import MaterialsChange, MaterialsState, SessionState
from craftnet.crafting.updates import Update
from craftnet.errors import BadDatagram, NotFound, TooManyRequests, Unavailable
from craftnet.interfaces import IInspectable, IPlayerSessions, ISubscriber
from craftnet.observe.metrics.registry import Metrics
from craftnet.protocols.udp.core.cookie import Address
from craftnet.protocols.udp.core.keys import SessionToken
from craftnet.protocols.udp.server.connection import Send, ServerConnection, SessionLeft
from craftnet.protocols.udp.server.datagram_port import Sender
from craftnet.protocols.udp.server.dispatcher import (
    ConnectionGone,
    ConnectionOpened,
    Dispatcher,
    Effect,
    SessionJoined,
)
from craftnet.protocols.udp.server.followed_players import FollowedPlayers
from craftnet.protocols.udp.server.inspection import DatagramTap, Recorder, connection_row, log_ids, named_connection
from craftnet.protocols.udp.server.sessions import SentState
from craftnet.protocols.udp.server.tickets import SessionPermit, Ticket
from craftnet.protocols.wire import codec
from craftnet.protocols.wire.records import CloseReason, DatagramKind

TRANSPORT = "udp"
"""The label in metrics."""


class SessionFeeds(Protocol):
    """The part of the hub that it needs."""

    def subscribe_session(
        self, session_id: UUID, subscriber: ISubscriber, resume: Position | None = None, expected: bool = False
    ) -> Deferred[None]:
        """Adds `subscriber` to the session's feed, its state first. Fails with NotFound.

        Arguments:
            expected: whether its records state the expected time.
        """

    def unsubscribe_session(self, session_id: UUID, subscriber: ISubscriber) -> None:
        """Removes it."""


@implementer(ISubscriber, IInspectable)
class SessionSubscriber(Struct, frozen=True, gc=False):
    """Passes a session's feed to one connection. Equal ones are one subscriber."""

    _server: UdpServer
    _peer: ServerConnection
    _index: int

    def deliver(self, update: Update) -> None:
        """Passes on sessions and materials; a UDP feed carries nothing else."""
        state = update.state
        if isinstance(state, SessionState):
            self._server.update_progress(self._peer, state, self._index, update)
        elif isinstance(state, MaterialsChange):
            self._server.update(self._peer, state.state, self._index, update)

    def inspect(self) -> ConnectionRow:
        """As in `IInspectable`."""
        return connection_row(self._peer, self._index, self._server.clock)

    def trace(self, record: Recorder) -> Callable[[], None]:
        """As in `IInspectable`."""
        return self._server.trace(self._peer, record)

    def ended(self, code: CloseCode) -> None:
        """Ends the session at the connection."""
        self._server.end(self._peer, self._index, CloseReason.of(code))


_MESSAGES = frozenset({codec.first_byte(DatagramKind.MESSAGE), codec.first_byte(DatagramKind.MESSAGE) | codec.PHASE})
"""First bytes of compressed datagrams."""


class UdpServer(DatagramProtocol):
    """The socket's protocol.

    Arguments:
        sessions: knows the sessions of a player; None: no connection gets sessions that its client did not ask for.

    Attributes:
        clock: both clocks.
        followed: the connections that get all sessions of their player; None where there are none.
    """

    _log = Logger()

    def __init__(
        self,
        endpoint: Dispatcher,
        feeds: SessionFeeds,
        metrics: Metrics,
        clock: IClock,
        sessions: IPlayerSessions | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._feeds = feeds
        self._metrics = metrics
        self._counts = metrics.delivery_counts(TRANSPORT)
        self._octets = metrics.datagrams
        self.clock = clock
        self._seconds = clock.seconds
        self.followed = None if sessions is None else FollowedPlayers(sessions, self.add, clock)
        self._deadlines = endpoint.deadlines
        # Effects in progress, and those that arose meanwhile: performed in that order.
        self._effects: deque[Effect] = deque()
        self._performing = False
        self._put_off: list[float | None] = []  # the acceptance times of what is sent with the next tick.
        self._timer: IDelayedCall | None = None
        self._timer_at = inf
        self._send: Sender = _unsent
        self._tap: DatagramTap | None = None
        self._faults = 0

    def startProtocol(self) -> None:
        """The socket is open."""
        self._send = cast("_Port", self.transport).sender()

    def stopProtocol(self) -> None:
        """The socket is closed."""
        self._send = _unsent
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer, self._timer_at = None, inf

    def datagramReceived(self, datagram: bytes, addr: Address) -> None:
        """Handles one datagram."""
        self._octets.received.value += len(datagram)
        try:
            effects = self._endpoint.receive(datagram, addr, self._seconds())
            if effects or self._deadlines.earliest < self._timer_at:
                self._perform(effects)
        except Exception:
            # A bug. A datagram that triggers it must not be able to flood the log: the first, second, fourth,
            # eighth … time is logged.
            self._metrics.datagram("failed")
            self._faults += 1
            if self._faults & (self._faults - 1) == 0:
                self._log.failure(
                    "a datagram could not be handled ({number} so far)",
                    number=self._faults,
                    connection_id=named_connection(datagram),
                )

    def update_progress(self, peer: ServerConnection, state: SessionState, index: int, update: Update) -> None:
        """Updates a connection's session of that index."""
        now = self._seconds()
        datagram = self._endpoint.update_progress(peer, state, now, index, update.at)
        if datagram is None:
            self.update(peer, state, index, update)
        elif datagram:
            try:
                self._send(datagram, peer.address)
                self._octets.sent.value += len(datagram)
            except OSError:  # as in `_write`.
                self._metrics.datagram("unsent")
            self._counts.count(1, None if update.accepted is None else now - update.accepted)
            if self._deadlines.earliest < self._timer_at:
                self._set_timer()

    def update(self, peer: ServerConnection, state: SessionState | MaterialsState, index: int, update: Update) -> None:
        """Updates a connection's session of that index, or its materials, whatever is to be sent."""
        now, accepted = self._seconds(), update.accepted
        try:
            effects = self._endpoint.update(peer, state, now, index, update.at)
        except BadDatagram as error:
            self._log.error(
                "the state of a session does not fit the protocol: {error}", error=error, **log_ids(peer, index)
            )
            self.end(peer, index, CloseReason.INTERNAL_ERROR)
            return
        self._perform(effects)
        if effects:
            self._counts.count(len(effects), None if accepted is None else now - accepted)
        elif peer.deadline <= now:
            self._put_off.append(accepted)

    def end(self, peer: ServerConnection, index: int, reason: CloseReason) -> None:
        """Ends the feed of a connection's session of that index."""
        self._perform(self._endpoint.end(peer, index, reason, self._seconds()))

    def join(
        self, token: SessionToken, session_id: UUID, player_id: UUID, expires: float, bearer: Principal | None
    ) -> tuple[Ticket, SessionPermit] | None:
        """Adds this session to the connection with this session_token, until `expires`.

        Returns:
            None when that is impossible: another connection is needed.

        Raises:
            TooManyRequests: there are too many.
        """
        now = self._seconds()
        ticket = self._endpoint.connection(token, player_id, bearer, now)
        joined = None if ticket is None else self._endpoint.join(ticket, session_id, expires, bearer, now)
        if ticket is None or joined is None:
            return None
        permit, effects = joined
        self._perform(effects)
        return ticket, permit

    def add(self, peer: ServerConnection, session_id: UUID) -> None:
        """Adds a session to a connection for which its client did not ask, as long as the connection may last.

        Those that have come to an end leave. With too many sessions, the client must ask for another connection.
        """
        ticket = peer.ticket
        newest = ticket.newest
        if peer.finished is not None or peer.closing or newest is None or ticket.permit_for(session_id) is not None:
            return
        try:
            now = self._seconds()
            joined = self._endpoint.join(ticket, session_id, newest.expires, newest.bearer, now)
        except TooManyRequests as refusal:
            self._metrics.refused(refusal.label)
            return
        if joined is not None:
            permit, effects = joined
            peer.sessions.name(permit)
            self._perform(effects)
            for session in peer.sessions.ended_crafts():
                if session.index != permit.index:
                    self.end(peer, session.index, CloseReason.ENDED)

    def enforce(self, covered: Callable[[Principal], bool]) -> int:
        """Closes the connections of principals whose tokens were revoked; returns how many."""
        peers, effects = self._endpoint.revoke(covered, self._seconds())
        self._perform(effects)
        return peers

    def disconnect(self, peer: ServerConnection) -> None:
        """Ends a connection for good."""
        self._perform(self._endpoint.close(peer, CloseReason.REVOKED, self._seconds()))

    @property
    def traced(self) -> bool:
        """Whether the datagrams to some connection are traced."""
        return self._send is self._tap

    def trace(self, peer: ServerConnection, record: Recorder) -> Callable[[], None]:
        """Records the datagrams to a connection from now on; returns what ends that."""
        if self._tap is None:
            self._tap = DatagramTap(self._endpoint, self.clock)
        tap = self._tap
        if self._send is not tap:
            tap.send, self._send = self._send, tap
        tap.recorders.setdefault(peer.connection_id, []).append(record)

        def stop() -> None:
            recorders = tap.recorders.get(peer.connection_id, [])
            if record in recorders:
                recorders.remove(record)
            if not recorders:
                tap.recorders.pop(peer.connection_id, None)
            if not tap.recorders and self._send is tap:
                self._send = tap.send

        return stop

    def shut_down(self) -> None:
        """Closes all connections."""
        self._perform(self._endpoint.shut_down(self._seconds()))

    def _perform(self, effects: list[Effect]) -> None:
        if len(effects) == 1 and type(effects[0]) is Send and not self._performing:  # nearly always.
            self._write(effects[0].datagram, effects[0].address)
        elif effects:
            self._perform_in_turn(effects)
        if self._deadlines.earliest < self._timer_at:
            self._set_timer()

    def _perform_in_turn(self, effects: list[Effect]) -> None:
        """Performs effects in order; those that arise meanwhile come after all present ones."""
        waiting = self._effects
        waiting.extend(effects)
        if self._performing:
            return
        self._performing = True
        try:
            while waiting:
                effect = waiting.popleft()
                if isinstance(effect, Send):
                    self._write(effect.datagram, effect.address)
                else:
                    self._apply_effect(effect)
        finally:
            self._performing = False

    def _apply_effect(self, effect: ConnectionOpened | SessionJoined | SessionLeft | ConnectionGone) -> None:
        match effect:
            case ConnectionOpened(peer):
                self._metrics.connection_opened(TRANSPORT)
                if self.followed is not None and peer.ticket.follows:
                    self.followed.opened(peer)
            case SessionJoined(peer, session):
                self._joined(peer, session)
            case SessionLeft(peer, session):
                self._feeds.unsubscribe_session(session.session_id, SessionSubscriber(self, peer, session.index))
            case ConnectionGone(peer):
                reason = "none" if peer.finished is None else peer.finished.name.lower()
                self._metrics.connection_closed(TRANSPORT, reason)
                if self.followed is not None:
                    self.followed.gone(peer)

    def _write(self, datagram: bytes, address: Address) -> None:
        try:
            self._send(datagram, address)
            if datagram[0] in _MESSAGES:
                self._metrics.datagram("packed")
                self._octets.compressed.value += len(datagram)
            else:
                self._octets.sent.value += len(datagram)
        except OSError:
            # EAGAIN, ENOBUFS, an unreachable network: to the protocol a lost datagram like any other.
            self._metrics.datagram("unsent")

    def _joined(self, peer: ServerConnection, session: SentState) -> None:
        subscriber = SessionSubscriber(self, peer, session.index)
        watching = self._feeds.subscribe_session(session.session_id, subscriber, None, peer.ticket.expects)
        watching.addCallbacks(
            self._watched, self._not_watched, callbackArgs=(peer, session), errbackArgs=(peer, session)
        )

    def _watched(self, _: None, peer: ServerConnection, session: SentState) -> None:
        if session.over or peer.finished is not None:  # unsubscribed in the meantime.
            self._feeds.unsubscribe_session(session.session_id, SessionSubscriber(self, peer, session.index))

    def _not_watched(self, failure: Failure, peer: ServerConnection, session: SentState) -> None:
        missing = failure.check(NotFound) is not None
        if failure.check(Unavailable):  # counted by metrics: many may occur while a source is unreachable.
            self._metrics.refused(Unavailable.label)
        elif not missing:
            self._log.failure("a session cannot be watched", failure, **log_ids(peer, session.index))
        self.end(peer, session.index, CloseReason.NOT_FOUND if missing else CloseReason.INTERNAL_ERROR)

    def _set_timer(self) -> None:
        """Sets the one timer, for the earliest deadline. One that is set too early stays: it sets itself again."""
        earliest = self._deadlines.earliest
        delay = max(0.0, earliest - self._seconds())
        if self._timer is not None and self._timer.active():
            self._timer.reset(delay)
        else:
            self._timer = self.clock.callLater(delay, self._tick)
        self._timer_at = earliest

    def _tick(self) -> None:
        self._timer, self._timer_at = None, inf
        now = self._seconds()
        self._perform(self._endpoint.tick(now))
        put_off, self._put_off = self._put_off, []
        for accepted in put_off:
            self._counts.count(1, None if accepted is None else now - accepted)


def _unsent(datagram: bytes, address: Address) -> None:
    """The `Sender` while the socket is closed."""
    raise OSError("the socket is closed")


class _Port(Protocol):
    """The part of a `DatagramPort` that it needs."""

    def sender(self) -> Sender: ...
