"""The server's side of one UDP connection after the handshake. Sans-I/O: datagrams and states in, datagrams out.

    open ─close()─▶ closing: what is unacknowledged, then CLOSE, repeated ─acknowledged, or often enough─▶ finished
      └──CLOSE from the client, or silence────────────────────────────────────────────────────────────────▲

States are conflated (`send_queue`); the newest is kept, so that the full state can be sent again: on request, after a
move of the client, and now and then. `sessions` knows what was sent of each session.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import NamedTuple
from uuid import UUID

from msgspec import Struct

from craftnet.contract.position import Position
from craftnet.crafting.state import MaterialsState, SessionState
from craftnet.errors import BadDatagram
from craftnet.limits.token_bucket import TokenBucket
from craftnet.observe.metrics.hot_counters import DatagramCounts
from craftnet.observe.metrics.store import Number
from craftnet.protocols.udp.core.cookie import Address
from craftnet.protocols.udp.core.delay_pacing import Congestion, pacer
from craftnet.protocols.udp.core.heartbeat import Heartbeats
from craftnet.protocols.udp.core.key_update import KEY_UPDATE_PERIOD
from craftnet.protocols.udp.core.packet_protection import OVERHEAD, PacketProtection, ReceivedDatagram
from craftnet.protocols.udp.core.path_stats import PathStats
from craftnet.protocols.udp.core.state_records import encoded
from craftnet.protocols.udp.server.closing import Closing
from craftnet.protocols.udp.server.packetizer import NO_SESSION, Key
from craftnet.protocols.udp.server.path_validation import PathValidation
from craftnet.protocols.udp.server.send_queue import NEVER, SendQueue
from craftnet.protocols.udp.server.sessions import ConnectionSessions, SentState, shared_report
from craftnet.protocols.udp.server.tickets import SessionPermit, Ticket
from craftnet.protocols.wire import codec
from craftnet.protocols.wire.records import CloseReason, DatagramKind, FreshSecret

RESYNC_SPACING = 1.0
"""Seconds between two full states sent on request."""

DATAGRAMS_PER_SECOND = 100
"""Datagrams per second accepted from one client; a normal client sends about 50 in its busiest second …"""

DATAGRAM_BURST = 200
"""… and this many at once after a pause."""

BUCKET = TokenBucket(DATAGRAMS_PER_SECOND, DATAGRAM_BURST + 1)
"""Of datagrams from one client."""

_PROBE_SIZE = OVERHEAD + codec.PROBE_SIZE

NO_TABLES = codec.encode_held({})
"""The body of an ACK of a client without tables."""

_SECRET = "secret"
"""The topic of a new session_token."""


class Terms(Struct, frozen=True):
    """The server's timing.

    Attributes:
        heartbeat: seconds between heartbeats.
        full_sync: average seconds between full states: each time is between half of it and half more.
        key_rotation: seconds after which the keys of the server's datagrams are replaced.
        congestion: what lowers the rate to a client.
    """

    heartbeat: float = 5.0
    full_sync: float = 10.0
    key_rotation: float = KEY_UPDATE_PERIOD
    congestion: Congestion = Congestion.LOSS


class Send(Struct, frozen=True, gc=False):
    """Send this datagram to this address."""

    datagram: bytes
    address: Address


class SessionLeft(NamedTuple):
    """Unsubscribe this connection from that session."""

    peer: ServerConnection
    session: SentState


Output = list[Send | SessionLeft]
"""The datagrams of a connection, and the sessions that ended."""


class ServerConnection:
    """One connection.

    Arguments:
        random: returns that many random bytes.
        counts: shared by all connections.

    Attributes:
        address: the address of the client.
        channel: seals, opens and numbers the datagrams.
        closing_state: its end, once that has begun.
        finished: why it closed; None while it has not.
        full_at: the state of its `BUCKET`.
        send_queue: what is still to be sent.
        path: the validation of the client's next address; None until the first datagram from another one.
        pulse: round trip and clock offset.
        reported: the body of the last ACK; a repetition has nothing new.
        sessions: the sessions of the connection.
        ticket: the ticket that opened it.
    """

    __slots__ = (
        *("_alarm", "_counts", "_random", "_resync_at", "_resync_from", "_sync_at", "_terms"),
        *("address", "channel", "closing_state", "finished", "full_at", "path"),
        *("pulse", "reported", "send_queue", "sessions", "ticket"),
    )

    def __init__(
        self,
        ticket: Ticket,
        address: Address,
        channel: PacketProtection,
        terms: Terms,
        random: Callable[[int], bytes],
        now: float,
        counts: DatagramCounts | None = None,
    ) -> None:
        self._counts = counts or DatagramCounts()
        self.finished: CloseReason | None = None
        self.pulse = Heartbeats(terms.heartbeat, now)
        self.ticket = ticket
        self.address = address
        self.path: PathValidation | None = None
        self.channel = channel
        self._terms = terms
        self._random = random
        self.send_queue = SendQueue(ticket.agreement, channel, self.pulse.round_trip, pacer(terms.congestion))
        self.sessions = ConnectionSessions.of(ticket, self.send_queue)
        self.full_at = self._resync_from = NEVER
        self._sync_at = self._resync_at = inf
        self.closing_state: Closing | None = None
        self.reported = NO_TABLES
        self._alarm = now  # when there is something to do besides flushing the queue.

    @property
    def connection_id(self) -> int:
        """The id in its datagrams."""
        return self.channel.connection_id

    @property
    def player_id(self) -> UUID:
        """The player."""
        return self.ticket.player_id

    @property
    def conditions(self) -> PathStats:
        """The network conditions of the path."""
        return self.channel.conditions(self.pulse)

    @property
    def closing(self) -> bool:
        """Whether its end has begun: nothing new is sent, and no session can join."""
        return self.closing_state is not None

    @property
    def deadline(self) -> float:
        """When to call `tick` next, Unix seconds."""
        alarm, send_deadline = self._alarm, self.send_queue.deadline
        return alarm if alarm < send_deadline else send_deadline

    def receive(self, datagram: bytes, address: Address, now: float) -> Output:
        """Handles a datagram with our connection id.

        Raises:
            BadDatagram: it is not from the client, or useless; nothing is sent.
        """
        phase = self.channel.incoming.phase
        incoming = self.channel.open(datagram)
        self._counts.received_keys.value += phase != self.channel.incoming.phase
        # Only authentic datagrams are charged: forged ones cannot use up the client's budget.
        full_at = BUCKET.take(self.full_at, now)
        if full_at is None:
            raise BadDatagram("flooding", "more datagrams than a client needs to send")
        self.full_at = full_at
        self.pulse.last_heard = now
        if address != self.address and incoming.sequence == self.channel.newest:
            self.path = self.path or PathValidation()
            self.path.heard(address, len(datagram))
        self.send_queue.pace.acknowledged(self.channel.acknowledged, now)
        self._note_landed(self.send_queue.acknowledged(incoming.arrivals, now))
        left: Output = []
        if self.closing_state is not None and self.closing_state.landed(incoming.arrivals.covers):
            self.finished = self.closing_state.reason
        else:
            try:
                left = self._take(incoming, address, now)
            except BadDatagram:
                self._alarm = now  # it is not answered, but its acknowledgement may have been waited for.
                raise
        if self.finished is not None or (incoming.kind is DatagramKind.ACK and not self._waits_for_acknowledgements):
            return left
        return [*self._challenge(now), *self.tick(now), *left]

    def join(self, permit: SessionPermit) -> SentState | None:
        """As `ConnectionSessions.join`; called with each change of the ticket's permits."""
        sent_state = self.sessions.join(permit)
        self._alarm = min(self._alarm, self._next)
        return sent_state

    def update(
        self, state: SessionState | MaterialsState, now: float, index: int = 0, at: Position | None = None
    ) -> list[Send]:
        """Updates the session of that index, or its materials. Ignores sessions that have ended.

        With several sessions, nothing is sent before the next `tick`, which is due at once: changes of several sessions
        at one moment share datagrams.

        Arguments:
            at: the feed's position with this state.
        """
        if self.closing_state is not None:
            return []
        sent_state = self.sessions.get(index)
        if sent_state is None or sent_state.permit.over is not None:
            return []
        news = sent_state.advance(state, now)
        if news is None:
            return []
        position = None if at is None else sent_state.reached(at, state)
        if self._sync_at == inf:
            self._plan_sync(now)
            self._alarm = min(self._alarm, self._next)
        queue, address = self.send_queue, self.address
        self._counts.conflated.value += (index, news.topic, 0) in queue.waiting
        queue.put(index, news.topic, news.records)
        if position is not None:
            queue.put(index, position.topic, position.records)
        datagrams = queue.flush(now) if len(self.sessions.sent_states) == 1 else []
        return [Send(datagram, address) for datagram in datagrams]

    def end(self, index: int, reason: CloseReason, now: float) -> Output:
        """Ends the feed of that session. With the last one the connection ends.

        What is unacknowledged is still sent first, except to a client without the right to watch.
        """
        sent_state = self.sessions.get(index)
        left = [] if sent_state is None else self._end([sent_state], reason, now)
        return [*self.tick(now), *left]

    def close(self, reason: CloseReason, now: float) -> Output:
        """Ends everything: what is unacknowledged, with the same exception, then CLOSE, until it is acknowledged."""
        self._begin_closing(reason, now)
        return self.tick(now)

    def abandon(self, reason: CloseReason) -> Output:
        """Closes at once: one CLOSE, and nothing after it."""
        self.finished = reason
        return [self._send(DatagramKind.CLOSE, codec.encode_close(reason))]

    def replace(self) -> None:
        """The client has a new connection; this one sends nothing more."""
        self.finished = CloseReason.REPLACED

    def tick(self, now: float) -> Output:
        """Does what is due at `now`."""
        if self.pulse.dead(now):
            self.finished = CloseReason.SILENT
            return []
        left: Output = []
        if now >= self.sessions.expires:
            left = self._end(self.sessions.lapsed(now), CloseReason.EXPIRED, now)
        output: Output = []
        if self.pulse.due(now):
            phase = self.channel.outgoing.phase
            self.channel.renew(now, self._terms.key_rotation)
            self._counts.sent_keys.value += phase != self.channel.outgoing.phase
            output.append(self._send(DatagramKind.HEARTBEAT, codec.encode_heartbeat(self.pulse.beat(now, now))))
        if now >= self._resync_at:
            self._resync_at, self._resync_from = inf, now + RESYNC_SPACING
            self._send_full_state(now, self._counts.resyncs)
        if now >= self._sync_at:
            self._send_full_state(now, self._counts.full_syncs)
        if now >= self.ticket.renew_at and self.closing_state is None:
            secret = self.ticket.offer(self._random, now)
            self.send_queue.put(NO_SESSION, _SECRET, encoded([FreshSecret(secret)]))
        if len(self.sessions.sent_states) > 1 and not (self.closing_state is not None and self.closing_state.at_once):
            self.sessions.send_ends()
        output += [Send(datagram, self.address) for datagram in self.send_queue.flush(now)]
        output += self._send_close(now)
        self._alarm = self._next
        return output + left

    @property
    def _next(self) -> float:
        """When there is something to do besides flushing the queue. Moves the alarm when that may be earlier now."""
        if self.closing_state is None:
            until = min(self.sessions.expires, self.ticket.renew_at, self._sync_at)
        else:
            until = self.closing_state.deadline
        return min(self.pulse.deadline, until, self._resync_at)

    @property
    def _waits_for_acknowledgements(self) -> bool:
        """Whether an arrival may require more: an end to send, or a move to validate."""
        may_move = self.path is not None and self.path.candidate is not None
        return self.closing_state is not None or len(self.sessions.sent_states) > 1 or may_move

    def _note_landed(self, landed: list[Key]) -> None:
        if landed:
            if (NO_SESSION, _SECRET, 0) in landed:
                self.ticket.renewed()
            self.sessions.landed(landed)

    def _take(self, incoming: ReceivedDatagram, address: Address, now: float) -> Output:
        match incoming.kind:
            case DatagramKind.ACK:
                self.sessions.hold(codec.decode_held(incoming.body))
                self.reported = shared_report(incoming.body)
            case DatagramKind.HEARTBEAT:
                measured = self.pulse.round_trip.smoothed is not None
                self.pulse.heard(codec.decode_heartbeat(incoming.body), incoming.sequence, now, now)
                if not measured:
                    self.send_queue.hasten(now)
                self.send_queue.pace.adapt(self.conditions, now)
            case DatagramKind.RESYNC:
                codec.decode_nothing(incoming.body)
                self._resync_at = max(now, self._resync_from)
            case DatagramKind.LEAVE:
                return self._end(self.sessions.named(codec.decode_leave(incoming.body)), CloseReason.LEFT, now)
            case DatagramKind.PATH_RESPONSE:
                path = self.path or PathValidation()
                delay = path.answered(codec.decode_probe(incoming.body), address, now)
                self.address, path.former = address, path.former or self.address
                self._counts.migrations.value += 1
                self.pulse.forget_path()
                self.pulse.round_trip.measured(delay)
                self.send_queue.pace.forget_path()
                self._resync_at = max(now, self._resync_from)
            case DatagramKind.CLOSE:
                codec.decode_close(incoming.body)
                self.finished = CloseReason.LEFT
            case _:
                raise codec.misplaced(incoming.kind)
        return []

    def _challenge(self, now: float) -> list[Send]:
        path = self.path
        if path is None or not path.may_challenge(_PROBE_SIZE, now):
            return []
        data = self._random(codec.PROBE_SIZE)
        address = path.challenge(data, _PROBE_SIZE, now)
        return [Send(self.channel.seal(DatagramKind.PATH_CHALLENGE, codec.encode_probe(data)), address)]

    def _plan_sync(self, now: float) -> None:
        """A random time from now, so that full states never come all at once."""
        jitter = int.from_bytes(self._random(2), "big") / 0x10000
        self._sync_at = now + self._terms.full_sync * (0.5 + jitter)

    def _send_full_state(self, now: float, counted: Number) -> None:
        if self.closing_state is None:
            counted.value += 1
            self.sessions.send_full_state()
            self._plan_sync(now)

    def _send(self, kind: DatagramKind, body: bytes) -> Send:
        return Send(self.channel.seal(kind, body), self.address)

    def _end(self, sent_states: list[SentState], reason: CloseReason, now: float) -> Output:
        if not sent_states or self.closing_state is not None:
            return []
        ended = self.sessions.end(sent_states, reason)
        if ended is None:
            self._begin_closing(reason, now)
            return []
        return [SessionLeft(self, sent_state) for sent_state in ended]

    def _begin_closing(self, reason: CloseReason, now: float) -> None:
        # Revocation ends what is already ending.
        if self.closing_state is None or (reason is CloseReason.REVOKED and not self.closing_state.at_once):
            self.closing_state = Closing(reason, now)
        if self.closing_state.at_once:
            self.send_queue.clear()

    def _send_close(self, now: float) -> list[Send]:
        """The CLOSE, when nothing else is left to send."""
        closing = self.closing_state
        if closing is None or not closing.due(now, self.send_queue.empty):
            return []
        if closing.exhausted:
            self.finished = closing.reason
            return []
        close = self._send(DatagramKind.CLOSE, codec.encode_close(closing.reason))
        closing.sent(self.channel.sent, now, self.pulse.round_trip.timeout)
        return [close]
