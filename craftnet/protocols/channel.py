"""An established connection's datagrams, the same at both ends: sealed, numbered, acknowledged. Sans-I/O."""

from __future__ import annotations

from typing import NamedTuple

from craftnet.errors import BadDatagram
from craftnet.protocols import codec
from craftnet.protocols.conditions import Acknowledged, Conditions, missing
from craftnet.protocols.keys import TrafficKey
from craftnet.protocols.layouts import MAC_SIZE
from craftnet.protocols.records import Acknowledgement, Kind
from craftnet.protocols.replay import ReplayWindow, expand
from craftnet.protocols.rotation import OpeningKeys, SealingKeys
from craftnet.protocols.timing import Pulse

OVERHEAD = codec.SEALED_HEADER_SIZE + codec.ACKNOWLEDGEMENT_SIZE + MAC_SIZE
"""Bytes of a datagram that are not its body."""

ACKNOWLEDGED = 32
"""How many sequences before the newest an acknowledgement speaks of."""

_HEADER = codec.SEALED_HEADER_SIZE
_LOW_BITS = 16
_ACKNOWLEDGED_BITS = 32


class Incoming(NamedTuple):
    """An authentic datagram, opened."""

    kind: Kind
    sequence: int
    acknowledgement: Acknowledgement
    body: bytes


class Channel:
    """Numbers and seals what goes out; checks and opens what comes in.

    Attributes:
        sent: the newest sequence used; the first is 1.
    """

    __slots__ = ("_acknowledged", "_connection_id", "_incoming", "_outgoing", "_window", "sent")

    def __init__(self, connection_id: int, outgoing: TrafficKey, incoming: TrafficKey) -> None:
        self._connection_id = connection_id
        self._outgoing = SealingKeys(outgoing)
        self._incoming = OpeningKeys(incoming)
        self._window = ReplayWindow()
        self._acknowledged = Acknowledged()
        self.sent = 0

    @property
    def newest(self) -> int:
        """The newest sequence received."""
        return self._window.newest

    def seal(self, kind: Kind, body: bytes = b"") -> bytes:
        """The next datagram. It acknowledges all that was opened."""
        self.sent += 1
        header = codec.encode_sealed_header(self._outgoing.phase, kind, self._connection_id, self.sent)
        window = self._window
        acknowledgement = codec.encode_acknowledgement(window.newest, window.earlier(ACKNOWLEDGED))
        return header + self._outgoing.seal(self.sent, header, acknowledgement + body)

    def open(self, datagram: bytes) -> Incoming:
        """Take a datagram with our connection id apart. The cheapest checks come first.

        Raises:
            BadDatagram: stale, replayed, forged or truncated, and the channel is as it was; or it acknowledges what was
                never sent.
        """
        if len(datagram) < OVERHEAD:
            raise BadDatagram("truncated")
        phase, kind, connection_id, low = codec.decode_sealed_header(datagram)
        if connection_id != self._connection_id:
            raise BadDatagram("unknown_connection")
        sequence = expand(low, _LOW_BITS, self._window.newest)
        self._window.check(sequence)
        content = self._incoming.open(phase, sequence, datagram[:_HEADER], datagram[_HEADER:])
        self._window.advance(sequence)
        acknowledgement = codec.decode_acknowledgement(content)
        self._note(acknowledgement)
        return Incoming(kind, sequence, acknowledgement, content[codec.ACKNOWLEDGEMENT_SIZE :])

    def renew(self, now: float) -> None:
        """Rotate the keys of what goes out, if that is due."""
        self._outgoing.renew(self.sent + 1, now)

    def conditions(self, pulse: Pulse) -> Conditions:
        """What the line is like, its times by `pulse`."""
        return Conditions(
            pulse.round_trip.smoothed,
            pulse.round_trip.variation,
            pulse.jitter,
            pulse.offset,
            pulse.uncertainty,
            self._acknowledged.loss,
            missing(self._window.seen, self._window.newest),
            self._window.reordered,
        )

    def _note(self, acknowledgement: Acknowledgement) -> None:
        if acknowledgement.newest:
            newest = expand(acknowledgement.newest, _ACKNOWLEDGED_BITS, self.sent)
            if newest > self.sent or acknowledgement.earlier >> max(0, newest - 1):
                raise BadDatagram("out_of_range", "an acknowledgement of what was never sent")
            self._outgoing.acknowledged(newest)
            self._acknowledged.take(newest, acknowledgement.earlier)

    def acknowledges(self, acknowledgement: Acknowledgement, sequence: int) -> bool:
        """Whether the other side says it has the datagram we sent as `sequence`."""
        if not acknowledgement.newest:
            return False
        behind = expand(acknowledgement.newest, _ACKNOWLEDGED_BITS, self.sent) - sequence
        return behind == 0 or (0 < behind <= ACKNOWLEDGED and bool(acknowledgement.earlier >> (behind - 1) & 1))
