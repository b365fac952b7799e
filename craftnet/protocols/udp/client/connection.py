"""The client's side of the UDP protocol. Sans-I/O: datagrams and `now` in, datagrams and events out.

    start() ─▶ HELLO… ─CHALLENGE─▶ RESPONSE… ─first sealed datagram─▶ connected ─CLOSE, silence, close()─▶ over
                  ▲──────────────────┘ not answered

Create a new one to connect again; the same session_token may be used until it expires.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from math import inf
from typing import NamedTuple
from uuid import UUID

from msgspec import Struct

from craftnet.errors import BadDatagram
from craftnet.protocols.udp.client.handshake import ClientHandshake
from craftnet.protocols.udp.client.pending_leaves import PendingLeaves
from craftnet.protocols.udp.client.received_state import ReceivedState, SessionAdded, SessionNews
from craftnet.protocols.udp.core.heartbeat import PROBING, ArrivalGaps, Heartbeats
from craftnet.protocols.udp.core.keys import SessionToken
from craftnet.protocols.udp.core.negotiation import PLAIN, Agreement
from craftnet.protocols.udp.core.packet_protection import OVERHEAD, PacketProtection, ReceivedDatagram
from craftnet.protocols.udp.core.path_stats import PathStats
from craftnet.protocols.udp.core.reassembly import Reassembly
from craftnet.protocols.wire import codec
from craftnet.protocols.wire.records import CloseReason, DatagramKind, FreshSecret, StateRecord

ACK_DELAY = 0.02
"""Seconds within which a state is acknowledged."""

ACK_EVERY = 16
"""Datagrams after which it is acknowledged sooner: an acknowledgement covers 33."""

RESYNC_SPACING = 1.0
"""Seconds between two requests for the full state."""

UNSTEADY_SECONDS = 60.0
"""Seconds after a change of address during which a heartbeat is sent every `PROBING` seconds: another change is likely,
and a client behind a NAT notices it only by an unusual silence."""


class Connected(Struct, frozen=True):
    """The handshake is complete."""


class Closed(Struct, frozen=True):
    """The connection has ended; nothing follows."""

    reason: CloseReason


Event = Connected | SessionNews | Closed


class Output(NamedTuple):
    """The datagrams to send to the server, and the events for the owner."""

    datagrams: list[bytes]
    events: list[Event]


class ClientConnection:
    """One connection.

    Arguments:
        token: from POST …/connect.
        sessions: the watched sessions, by the session_index in the same answer.
        heartbeat: seconds between heartbeats, from the same answer.
        agreement: the negotiated sizes and compression, from the same answer.
        servers: the number of the server's possible addresses; HELLO goes to each in turn.
        random: returns that many random bytes.
        count: called with a one-word outcome label for every datagram received.

    Attributes:
        pulse: round trip and clock offset.
        count: as given; may be replaced.
        copies: what was received of each session.
        pending_leaves: the sessions that are being left.
        reassembly: the parts of an incomplete message.
        token: the session_token for the next connection; the server renews it now and then.
        over: why the connection ended; None while it has not.
    """

    def __init__(
        self,
        token: SessionToken,
        sessions: Mapping[int, UUID],
        *,
        heartbeat: float,
        agreement: Agreement = PLAIN,
        servers: int = 1,
        random: Callable[[int], bytes] = os.urandom,
        count: Callable[[str], None] = lambda outcome: None,
    ) -> None:
        self.pulse = Heartbeats(heartbeat)
        self.over: CloseReason | None = None
        self.token = token
        self._handshake = ClientHandshake(token, random, servers, self.pulse)
        self.count = count
        self._connected = False
        self._ack_at = inf
        self._unacknowledged = 0
        self._resync_from = -inf
        self._unsteady_until = -inf
        self._gaps = ArrivalGaps()
        self._beaten_at = -inf  # when the last heartbeat was sent.
        # When the present silence is unusual: a NAT may have changed our address, which a heartbeat shows the server.
        self._probe_at = inf
        self._secret_from = 0  # the datagram with the newest secret.
        self._compression = agreement.compression
        self.reassembly = Reassembly(agreement.content)
        self.copies = ReceivedState(sessions)
        self.pending_leaves = PendingLeaves()

    @property
    def server(self) -> int:
        """The server's address for the datagrams of the last call, from 0."""
        return self._handshake.server

    @property
    def channel(self) -> PacketProtection | None:
        return self._handshake.channel

    @property
    def deadline(self) -> float:
        """When to call `tick` next, Unix seconds; infinite when nothing is pending."""
        if self.over is not None:
            return inf
        if not self._connected:
            return self._handshake.deadline
        return min(self.pulse.deadline, self._probe_at, self._ack_at, self.pending_leaves.deadline)

    @property
    def sessions(self) -> dict[int, UUID]:
        """The watched sessions: those that the next connection with the same token brings back."""
        sessions = self.copies.sessions
        return {index: sessions[index] for index in sessions if index not in self.pending_leaves.indexes}

    @property
    def conditions(self) -> PathStats:
        """The network conditions of the path."""
        return PathStats() if self.channel is None else self.channel.conditions(self.pulse)

    def server_time(self, now: float) -> float:
        """The server's clock when ours shows `now`, both Unix seconds; the same as ours until it is measured."""
        return now + (self.pulse.offset or 0.0)

    def start(self, now: float) -> Output:
        """Starts the handshake."""
        self._handshake.begin(now)
        return self.tick(now)

    def receive(self, datagram: bytes, now: float) -> Output:
        """Handles a datagram. Never raises; what the server did not send is counted and ignored."""
        output = Output([], [])
        if self.over is not None:
            return output
        try:
            if len(datagram) < OVERHEAD:
                raise BadDatagram("truncated")
            if datagram[0] not in _FROM_SERVER:
                raise BadDatagram("type" if codec.speaks(datagram) else "reserved")
            if datagram[0] == _CHALLENGE:
                self._handshake.challenged(datagram, now)
                output = self.tick(now)
            elif self.channel is not None:
                output = self._opened(self.channel, self.channel.open(datagram), now)
            else:
                raise BadDatagram("unknown_connection", "there are no keys yet")
        except BadDatagram as error:
            self.count(error.outcome)
            return output
        self.count("accepted")
        return output

    def tick(self, now: float) -> Output:
        """Does what is due at `now`."""
        if self.over is not None:
            return Output([], [])
        if not self._connected:
            if self._handshake.failed(now):
                return self._end(CloseReason.UNREACHABLE, [])
            datagram = self._handshake.send(now)
            return Output([] if datagram is None else [datagram], [])
        assert self.channel is not None
        if self.pulse.dead(now):
            return self._end(CloseReason.SILENT, [])
        if self.pulse.due(now) or now >= self._probe_at:
            self._beaten_at, self._probe_at = now, max(self._probe_at, now + PROBING)
            self.channel.renew(now)
            body = codec.encode_heartbeat(self.pulse.beat(now, now))
            if now < self._unsteady_until:
                self.pulse.hurry(now + PROBING)
            return Output([self._seal(self.channel, DatagramKind.HEARTBEAT, body)], [])
        if self.pending_leaves.due(now):
            return Output([self._depart(self.channel, now)], [])
        if now >= self._ack_at:
            return Output([self._acknowledge(self.channel)], [])
        return Output([], [])

    def watch(self, index: int, session_id: UUID) -> Output:
        """Adds a session that …/connect assigned to the connection under this session_index.

        The server may already have sent some of it.
        """
        self.pending_leaves.joined(index)
        return Output([], list[Event](self.copies.name(index, session_id)))

    def leave(self, index: int, now: float) -> Output:
        """Stops watching this session. Leaving the last one is `close`."""
        if self.over is not None or index not in self.sessions:
            return Output([], [])
        if len(self.sessions) == 1:
            return self.close()
        self.pending_leaves.leave(index, now)
        if not self._connected or self.channel is None:
            return Output([], [])  # sent once the connection is open.
        return Output([self._depart(self.channel, now)], [])

    def resync(self, now: float) -> Output:
        """Asks for the full state. Does nothing within `RESYNC_SPACING` of the last request."""
        if self.over is not None or not self._connected or self.channel is None or now < self._resync_from:
            return Output([], [])
        self._resync_from = now + RESYNC_SPACING
        return Output([self._seal(self.channel, DatagramKind.RESYNC)], [])

    def moved(self, now: float) -> Output:
        """Our own address has changed: a heartbeat shows the server the new one at once."""
        if self.over is not None or not self._connected:
            return Output([], [])
        self._unsteady_until = now + UNSTEADY_SECONDS
        self.pulse.hurry(now)
        return self.tick(now)

    def close(self) -> Output:
        """Closes the connection."""
        if self.over is not None:
            return Output([], [])
        closes = []
        if self.channel is not None:
            closes.append(self.channel.seal(DatagramKind.CLOSE, codec.encode_close(CloseReason.LEFT)))
        return self._end(CloseReason.LEFT, closes)

    def _opened(self, channel: PacketProtection, incoming: ReceivedDatagram, now: float) -> Output:
        if self._connected:
            self._gaps.measure(now - self.pulse.last_heard)
        self.pulse.last_heard = now
        self._probe_at = max(now + self._gaps.unusual, self._beaten_at + PROBING)
        output = Output([], [])
        if not self._connected:
            self._connected = True
            self.pulse.begin(now)
            output.events.append(Connected())
        try:
            self._take(channel, incoming, output, now)
        except BadDatagram as error:
            self.count(error.outcome)
        if self.over is None:
            due = self.tick(now)
            output.datagrams.extend(due.datagrams)
        return output

    def _take(self, channel: PacketProtection, incoming: ReceivedDatagram, output: Output, now: float) -> None:
        match incoming.kind:
            case DatagramKind.STATE:
                self._owe(now)
                self._apply(codec.decode_state(incoming.body), incoming.sequence, output, now)
            case DatagramKind.MESSAGE if self._compression is not None:
                self._owe(now)
                packed = self.reassembly.take(codec.decode_fragment(incoming.body), incoming.sequence)
                if packed is not None:
                    content = self._compression.decompress(packed.octets, packed.size)
                    records = codec.decode_state(content)
                    if any(isinstance(record, FreshSecret) for record in records):
                        raise BadDatagram("type", "a secret in a message")
                    self._apply(records, packed.sequence, output, now)
            case DatagramKind.HEARTBEAT:
                self.pulse.heard(codec.decode_heartbeat(incoming.body), incoming.sequence, now, now)
            case DatagramKind.CLOSE:
                reason = codec.decode_close(incoming.body)
                end = self._end(reason, [self._acknowledge(channel)])
                output.datagrams.extend(end.datagrams)
                output.events.extend(end.events)
            case DatagramKind.PATH_CHALLENGE:
                answer = codec.encode_probe(codec.decode_probe(incoming.body))
                output.datagrams.append(self._seal(channel, DatagramKind.PATH_RESPONSE, answer))
                self._unsteady_until = now + UNSTEADY_SECONDS
                self.pulse.hurry(now + PROBING)
            case _:
                raise BadDatagram("type", "compressed records without negotiation")

    def _owe(self, now: float) -> None:
        """Schedules an ACK."""
        self._unacknowledged += 1
        self._ack_at = min(self._ack_at, now if self._unacknowledged >= ACK_EVERY else now + ACK_DELAY)

    def _apply(self, records: list[StateRecord], sequence: int, output: Output, now: float) -> None:
        """Applies all records of a state, then reports what changed."""
        for record in records:
            if isinstance(record, FreshSecret) and sequence > self._secret_from:
                self._secret_from = sequence
                self.token = SessionToken(self.token.connection_id, record.secret)
        news, faults = self.copies.apply(records, sequence)
        for one in news:
            if isinstance(one, SessionAdded):
                self.pending_leaves.joined(one.index)
        for fault in faults:
            self.count(fault.outcome)
            output.datagrams.extend(self.resync(now).datagrams)
        if self.pending_leaves.pending or self.copies.nameless:
            self.pending_leaves.heard(self.copies.nameless, self.copies.over, now)
        output.events.extend(news)

    def _depart(self, channel: PacketProtection, now: float) -> bytes:
        self.pending_leaves.sent(now, self.pulse.round_trip.timeout)
        return self._seal(channel, DatagramKind.LEAVE, codec.encode_leave(self.pending_leaves.indexes))

    def _acknowledge(self, channel: PacketProtection) -> bytes:
        return self._seal(channel, DatagramKind.ACK, codec.encode_held(self.copies.report()))

    def _seal(self, channel: PacketProtection, kind: DatagramKind, body: bytes = b"") -> bytes:
        """Seals a datagram. Every kind acknowledges; only an ACK names complete tables."""
        if self.copies.reported:
            self._ack_at, self._unacknowledged = inf, 0
        return channel.seal(kind, body)

    def _end(self, reason: CloseReason, closes: list[bytes]) -> Output:
        self.over = reason
        return Output(closes, [Closed(reason)])


_CHALLENGE = codec.first_byte(DatagramKind.CHALLENGE)
_FROM_SERVER = {
    _CHALLENGE,
    *(
        codec.first_byte(kind) | phase
        for kind in (
            DatagramKind.STATE,
            DatagramKind.MESSAGE,
            DatagramKind.HEARTBEAT,
            DatagramKind.CLOSE,
            DatagramKind.PATH_CHALLENGE,
        )
        for phase in (0, codec.PHASE)
    ),
}
