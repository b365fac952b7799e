"""The client's end of the UDP protocol. Sans-I/O: datagrams and `now` in, datagrams and events out.

    start() ─▶ HELLO… ─CHALLENGE─▶ RESPONSE… ─first sealed datagram─▶ connected ─CLOSE, silence, close()─▶ over
                  ▲──────────────────┘ not answered

Make a new one to connect again; the same session_token may be used as long as it is good.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from math import inf
from typing import NamedTuple
from uuid import UUID

from msgspec import Struct

from craftnet.errors import BadDatagram
from craftnet.model import Progress
from craftnet.protocols import codec
from craftnet.protocols.channel import Channel, Incoming
from craftnet.protocols.conditions import Conditions
from craftnet.protocols.keys import NONCE_SIZE, HandshakeKey, SessionToken, client_key, server_key
from craftnet.protocols.records import (
    Challenge,
    CloseReason,
    FreshSecret,
    Hello,
    Kind,
    ProgressState,
    ReasonPart,
    Response,
)
from craftnet.protocols.snapshots import MaterialsAssembler, ProgressAssembler
from craftnet.protocols.timing import Pulse
from craftnet.state import MaterialsState

CONNECT_TIMEOUT = 15.0
"""Seconds the handshake may take in all."""

FIRST_RETRY = 0.5
"""Seconds before a handshake datagram is sent again; doubled each time, up to `LAST_RETRY`."""

LAST_RETRY = 4.0

RESPONSES = 3
"""How often a RESPONSE is sent before the handshake starts over with a new HELLO."""

ACK_DELAY = 0.02
"""Seconds within which a state is acknowledged."""

ACK_EVERY = 16
"""… or sooner, once this many have come in: an acknowledgement speaks of 33."""

RESYNC_SPACING = 1.0
"""Seconds between two requests for the full state."""


class Connected(Struct, frozen=True):
    """The handshake is done."""


class ProgressChanged(Struct, frozen=True):
    """The session's progress. Its anchor is by the server's clock: see `Initiator.server_time`."""

    version: int
    progress: Progress


class MaterialsChanged(Struct, frozen=True):
    """All of the session's materials."""

    materials: MaterialsState


class Closed(Struct, frozen=True):
    """The connection is over; nothing follows."""

    reason: CloseReason


Event = Connected | ProgressChanged | MaterialsChanged | Closed


class Output(NamedTuple):
    """What to send to the server, and what to tell the owner."""

    datagrams: list[bytes]
    events: list[Event]


class Initiator:
    """One connection to one session.

    Arguments:
        token: from POST …/connect.
        heartbeat: seconds between heartbeats, from the same answer.
        random: gives that many random bytes.
        count: is told in one word what became of each datagram received.

    Attributes:
        pulse: round trip and clock offset.
        token: the session_token to open the next connection with; the server renews it now and then.
        over: why the connection is over; None while it is not.
    """

    def __init__(
        self,
        token: SessionToken,
        session_id: UUID,
        *,
        heartbeat: float,
        random: Callable[[int], bytes] = os.urandom,
        count: Callable[[str], None] = lambda outcome: None,
    ) -> None:
        self.pulse = Pulse(heartbeat)
        self.over: CloseReason | None = None
        self.token = token
        self._handshake_key = HandshakeKey(token.secret)
        self._random = random
        self._count = count
        self._client_nonce = b""
        self._greeting = b""  # the handshake datagram to repeat until it is answered.
        self._greetings = 0
        self._greeted_at = 0.0
        self._greet_at = inf
        self._give_up_at = inf
        self._channel: Channel | None = None
        self._connected = False
        self._ack_at = inf
        self._unacknowledged = 0
        self._reported = 0  # the table the server knows we hold.
        self._resync_from = -inf
        self._progress = ProgressAssembler()
        self._materials = MaterialsAssembler(session_id)
        self._told: tuple[ProgressChanged | None, MaterialsState | None] = (None, None)

    @property
    def deadline(self) -> float:
        """When to call `tick` next, Unix seconds; infinite when there is nothing to wait for."""
        if self.over is not None:
            return inf
        if not self._connected:
            return min(self._greet_at, self._give_up_at)
        return min(self.pulse.deadline, self._ack_at)

    @property
    def conditions(self) -> Conditions:
        """What the line is like."""
        return Conditions() if self._channel is None else self._channel.conditions(self.pulse)

    def server_time(self, now: float) -> float:
        """The server's clock when ours shows `now`, both Unix seconds."""
        return now + self.pulse.offset

    def start(self, now: float) -> Output:
        """Knock."""
        self._give_up_at = now + CONNECT_TIMEOUT
        return self._knock(now)

    def receive(self, datagram: bytes, now: float) -> Output:
        """Take whatever came in. Never raises; what is not from the server is counted and ignored."""
        output = Output([], [])
        if self.over is not None:
            return output
        try:
            if datagram[:1] == _CHALLENGE:
                output = self._challenged(datagram, now)
            elif self._channel is not None:
                output = self._opened(self._channel, self._channel.open(datagram), now)
            else:
                raise BadDatagram("type")
        except BadDatagram as error:
            self._count(error.outcome)
            return output
        self._count("accepted")
        return output

    def tick(self, now: float) -> Output:
        """Do what is due at `now`."""
        if self.over is not None:
            return Output([], [])
        if not self._connected:
            if now >= self._give_up_at:
                return self._end(CloseReason.UNREACHABLE, [])
            if now < self._greet_at:
                return Output([], [])
            if self._channel is not None and self._greetings >= RESPONSES:
                return self._knock(now)
            return Output([self._greet(now)], [])
        assert self._channel is not None
        if self.pulse.dead(now):
            return self._end(CloseReason.SILENT, [])
        if self.pulse.due(now):
            self._channel.renew(now)
            body = codec.encode_heartbeat(self.pulse.beat(now))
            return Output([self._seal(self._channel, Kind.HEARTBEAT, body)], [])
        if now >= self._ack_at:
            return Output([self._acknowledge(self._channel)], [])
        return Output([], [])

    def resync(self, now: float) -> Output:
        """Ask for the full state. Asking again within `RESYNC_SPACING` does nothing."""
        if self.over is not None or not self._connected or self._channel is None or now < self._resync_from:
            return Output([], [])
        self._resync_from = now + RESYNC_SPACING
        return Output([self._seal(self._channel, Kind.RESYNC)], [])

    def close(self) -> Output:
        """Leave."""
        if self.over is not None:
            return Output([], [])
        farewell = []
        if self._channel is not None:
            farewell.append(self._channel.seal(Kind.CLOSE, codec.encode_close(CloseReason.LEFT)))
        return self._end(CloseReason.LEFT, farewell)

    def _knock(self, now: float) -> Output:
        """Start the handshake, or start it over."""
        self._channel = None
        self._client_nonce = self._random(NONCE_SIZE)
        hello = Hello(self.token.connection_id, self._client_nonce)
        self._greeting, self._greetings = self._handshake_key.sign(codec.encode_hello(hello)), 0
        return Output([self._greet(now)], [])

    def _greet(self, now: float) -> bytes:
        self._greeted_at = now
        self._greet_at = now + min(LAST_RETRY, FIRST_RETRY * 2**self._greetings)
        self._greetings += 1
        return self._greeting

    def _challenged(self, datagram: bytes, now: float) -> Output:
        challenge: Challenge = codec.decode_challenge(self._handshake_key.verify(datagram))
        if self._channel is not None or challenge.client_nonce != self._client_nonce:
            raise BadDatagram("repeated")
        cookie = challenge.cookie
        if self._greetings == 1:  # else nobody knows which of them was answered (RFC 6298 section 3).
            delay = now - self._greeted_at
            self.pulse.sampled(delay, cookie.issued_us / 1_000_000 + delay / 2 - now)
        secret = self.token.secret
        self._channel = Channel(
            self.token.connection_id,
            outgoing=client_key(secret, self._client_nonce, cookie.server_nonce),
            incoming=server_key(secret, self._client_nonce, cookie.server_nonce),
        )
        response = Response(self.token.connection_id, self._client_nonce, cookie)
        self._greeting, self._greetings = self._handshake_key.sign(codec.encode_response(response)), 0
        return Output([self._greet(now)], [])

    def _opened(self, channel: Channel, incoming: Incoming, now: float) -> Output:
        self.pulse.alive(now)
        output = Output([], [])
        if not self._connected:
            self._connected = True
            self.pulse.begin(now)
            output.events.append(Connected())
        try:
            self._take(channel, incoming, output, now)
        except BadDatagram as error:
            self._count(error.outcome)
        if self.over is None:
            due = self.tick(now)
            output.datagrams.extend(due.datagrams)
        return output

    def _take(self, channel: Channel, incoming: Incoming, output: Output, now: float) -> None:
        match incoming.kind:
            case Kind.STATE:
                self._unacknowledged += 1
                self._ack_at = min(self._ack_at, now if self._unacknowledged >= ACK_EVERY else now + ACK_DELAY)
                self._apply(incoming, output, now)
            case Kind.HEARTBEAT:
                self.pulse.heard(codec.decode_heartbeat(incoming.body), now)
            case Kind.CLOSE:
                reason = codec.decode_close(incoming.body)
                end = self._end(reason, [self._acknowledge(channel)])
                output.datagrams.extend(end.datagrams)
                output.events.extend(end.events)
            case Kind.PATH_CHALLENGE:
                answer = codec.encode_probe(codec.decode_probe(incoming.body))
                output.datagrams.append(self._seal(channel, Kind.PATH_RESPONSE, answer))
            case _:
                raise codec.misplaced(incoming.kind)

    def _apply(self, incoming: Incoming, output: Output, now: float) -> None:
        """All the records of a datagram first, then what has changed by them."""
        for record in codec.decode_state(incoming.body):
            if isinstance(record, ProgressState | ReasonPart):
                self._progress.apply(record, incoming.sequence)
            elif isinstance(record, FreshSecret):
                self.token = SessionToken(self.token.connection_id, record.secret)
            else:
                try:
                    self._materials.apply(record, incoming.sequence)
                except BadDatagram as error:
                    self._count(error.outcome)
                    output.datagrams.extend(self.resync(now).datagrams)
        told_progress, told_materials = self._told
        progress, materials = self._progress.progress, self._materials.materials
        if progress is not None:
            changed = ProgressChanged(self._progress.version, progress)
            if changed != told_progress:
                output.events.append(changed)
                told_progress = changed
        if materials is not None and materials != told_materials:
            output.events.append(MaterialsChanged(materials))
            told_materials = materials
        self._told = (told_progress, told_materials)

    def _acknowledge(self, channel: Channel) -> bytes:
        return self._seal(channel, Kind.ACK, codec.encode_held(self._materials.version))

    def _seal(self, channel: Channel, kind: Kind, body: bytes = b"") -> bytes:
        """A datagram; whatever its kind, it acknowledges. Which table is complete, an ACK alone tells."""
        if kind is Kind.ACK:
            self._reported = self._materials.version
        if self._reported == self._materials.version:
            self._ack_at, self._unacknowledged = inf, 0
        return channel.seal(kind, body)

    def _end(self, reason: CloseReason, farewell: list[bytes]) -> Output:
        self.over = reason
        return Output(farewell, [Closed(reason)])


_CHALLENGE = bytes([codec.first_byte(Kind.CHALLENGE)])
