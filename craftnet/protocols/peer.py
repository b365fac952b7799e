"""The server's end of one UDP connection, after the handshake. Sans-I/O: datagrams and states in, datagrams out.

    open ─close()─▶ closing: what is unacknowledged, then CLOSE, repeated ─acknowledged, or often enough─▶ finished
      └──CLOSE from the client, or silence────────────────────────────────────────────────────────────────▲

States are conflated (`craftnet.protocols.outbox`); the newest is kept, so that a client can ask for all of it again.
"""

from __future__ import annotations

from math import inf
from uuid import UUID

from craftnet.protocols import codec
from craftnet.protocols.channel import OVERHEAD, Channel
from craftnet.protocols.cookies import Address
from craftnet.protocols.outbox import Outbox
from craftnet.protocols.records import CloseReason, Kind
from craftnet.protocols.snapshots import encoded, materials_records, progress_records
from craftnet.protocols.timing import PATIENCE, Pulse
from craftnet.state import MaterialsState, SessionState

RESYNC_SPACING = 1.0
"""Seconds between two full states sent on request."""

CLOSE_ATTEMPTS = 4
"""How often CLOSE is sent when it is not acknowledged."""


class Peer:
    """One client.

    Arguments:
        packet_size: the longest datagram to send.
        heartbeat: seconds between heartbeats.
        expires: when the authorisation behind the connection ends, Unix seconds.

    Attributes:
        finished: why the connection is over; None while it is not.
        pulse: round trip and clock offset.
    """

    __slots__ = (
        "_channel",
        "_close_at",
        "_close_sequence",
        "_closes",
        "_closing",
        "_expires",
        "_heard",
        "_heartbeat",
        "_heartbeat_at",
        "_materials",
        "_outbox",
        "_progress",
        "_resync_at",
        "_resync_from",
        "_room",
        "address",
        "connection_id",
        "finished",
        "pulse",
        "session_id",
    )

    def __init__(
        self,
        connection_id: int,
        session_id: UUID,
        address: Address,
        channel: Channel,
        *,
        packet_size: int,
        heartbeat: float,
        expires: float,
        now: float,
    ) -> None:
        self.connection_id = connection_id
        self.session_id = session_id
        self.address = address
        self.finished: CloseReason | None = None
        self.pulse = Pulse()
        self._channel = channel
        self._room = packet_size - OVERHEAD
        self._outbox = Outbox(self._room, self.pulse.round_trip)
        self._heartbeat = heartbeat
        self._expires = expires
        self._heard = now
        self._heartbeat_at = now
        self._progress: SessionState | None = None
        self._materials: MaterialsState | None = None
        self._resync_at = inf
        self._resync_from = -inf
        self._closing: CloseReason | None = None
        self._closes = 0
        self._close_at = inf
        self._close_sequence = 0

    @property
    def deadline(self) -> float:
        """When to call `tick` next, Unix seconds."""
        return min(
            self._heartbeat_at,
            self._heard + PATIENCE * self._heartbeat,
            self._expires if self._closing is None else inf,
            self._resync_at,
            self._close_at,
            self._outbox.deadline,
        )

    def receive(self, datagram: bytes, now: float) -> list[bytes]:
        """Take a datagram that carries our connection id.

        Raises:
            BadDatagram: it is not from the client, or not of use; nothing is sent.
        """
        incoming = self._channel.open(datagram)
        self._heard = now
        channel, acknowledgement = self._channel, incoming.acknowledgement
        self._outbox.acknowledged(lambda sequence: channel.acknowledges(acknowledgement, sequence), now)
        if self._closes and channel.acknowledges(acknowledgement, self._close_sequence):
            self.finished = self._closing
            return []
        match incoming.kind:
            case Kind.HEARTBEAT:
                self.pulse.heard(codec.decode_heartbeat(incoming.body), now)
            case Kind.RESYNC:
                codec.decode_nothing(incoming.body)
                self._resync_at = max(now, self._resync_from)
            case Kind.CLOSE:
                codec.decode_close(incoming.body)
                self.finished = CloseReason.LEFT
                return []
            case Kind.ACK:
                codec.decode_nothing(incoming.body)
            case _:
                raise codec.misplaced(incoming.kind)
        return self.tick(now)

    def tell(self, state: SessionState | MaterialsState, now: float) -> list[bytes]:
        """The session, or its materials, are now like this. Once the feed is over nothing more is told."""
        if self._closing is not None:
            return []
        if isinstance(state, SessionState):
            self._progress = state
            self._outbox.put("progress", encoded(progress_records(state, self._room)))
        else:
            self._materials = state
            self._outbox.put("materials", encoded(materials_records(state, self._room)))
        return self._flush(now)

    def close(self, reason: CloseReason, now: float) -> list[bytes]:
        """The feed is over. What is unacknowledged is still told first; then CLOSE, until it is acknowledged."""
        if self._closing is None:
            self._closing = reason
        return self.tick(now)

    def abandon(self, reason: CloseReason) -> bytes:
        """The connection is over at once: one CLOSE, and nothing after it."""
        self.finished = reason
        return self._channel.seal(Kind.CLOSE, codec.encode_close(reason))

    def tick(self, now: float) -> list[bytes]:
        """Do what is due at `now`."""
        if now >= self._heard + PATIENCE * self._heartbeat:
            self.finished = CloseReason.SILENT
            return []
        if now >= self._expires and self._closing is None:
            self._closing = CloseReason.EXPIRED
        datagrams = []
        if now >= self._heartbeat_at:
            self._heartbeat_at = now + self._heartbeat
            datagrams.append(self._channel.seal(Kind.HEARTBEAT, codec.encode_heartbeat(self.pulse.beat(now))))
        if now >= self._resync_at:
            self._resync_at, self._resync_from = inf, now + RESYNC_SPACING
            for state in (self._progress, self._materials):
                if state is not None:
                    datagrams += self.tell(state, now)
        return datagrams + self._flush(now) + self._farewell(now)

    def _flush(self, now: float) -> list[bytes]:
        return self._outbox.flush(now, self._send_state)

    def _send_state(self, body: bytes) -> tuple[int, bytes]:
        datagram = self._channel.seal(Kind.STATE, body)
        return self._channel.sent, datagram

    def _farewell(self, now: float) -> list[bytes]:
        """The CLOSE, when there is nothing else left to tell."""
        if self._closing is None or not self._outbox.empty or (self._closes and now < self._close_at):
            return []
        if self._closes == CLOSE_ATTEMPTS:
            self.finished = self._closing
            return []
        datagram = self._channel.seal(Kind.CLOSE, codec.encode_close(self._closing))
        self._close_at = now + self.pulse.round_trip.timeout
        self._close_sequence = self._channel.sent
        self._closes += 1
        return [datagram]
