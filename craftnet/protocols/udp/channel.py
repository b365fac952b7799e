"""An established connection's datagrams, the same at both ends: sealed, numbered, acknowledged. Sans-I/O."""

from __future__ import annotations

from msgspec import Struct

from craftnet.errors import BadDatagram
from craftnet.protocols import codec
from craftnet.protocols.layouts import MAC_SIZE
from craftnet.protocols.records import Kind
from craftnet.protocols.udp.conditions import Acknowledged, Conditions, missing
from craftnet.protocols.udp.keys import TrafficKey
from craftnet.protocols.udp.replay import ReplayWindow, expand
from craftnet.protocols.udp.rotation import PERIOD, OpeningKeys, SealingKeys
from craftnet.protocols.udp.timing import Pulse

OVERHEAD = codec.SEALED_HEADER_SIZE + codec.ACKNOWLEDGEMENT_SIZE + MAC_SIZE
"""Bytes of a datagram that are not its body."""

ACKNOWLEDGED = 32
"""How many sequences before the newest an acknowledgement speaks of."""

_HEADER = codec.SEALED_HEADER_SIZE
_LOW_BITS = 16
_LOW_MASK = (1 << _LOW_BITS) - 1
_ACKNOWLEDGED_BITS = 32
_LOW_BITS_OF_NEWEST = (1 << _ACKNOWLEDGED_BITS) - 1


class Arrivals(Struct, frozen=True, gc=False):
    """Which datagrams of ours the other side has acknowledged: `newest`, and newest − i for each bit i."""

    newest: int = 0
    bits: int = 0

    def covers(self, sequence: int) -> bool:
        """Whether `sequence` is acknowledged."""
        behind = self.newest - sequence
        return behind >= 0 and bool(self.bits >> behind & 1)


class Incoming(Struct, frozen=True, gc=False):
    """An authentic datagram, opened."""

    kind: Kind
    sequence: int
    arrivals: Arrivals
    body: bytes


class Channel(Struct, eq=False, gc=False):
    """Numbers and seals what goes out; checks and opens what comes in.

    Attributes:
        outgoing: the keys of what goes out.
        window: the sequences that came in.
        sent: the newest sequence used; the first is 1.
    """

    _connection_id: int
    outgoing: SealingKeys
    _incoming: OpeningKeys
    window: ReplayWindow
    _acknowledged: Acknowledged
    sent: int = 0

    @classmethod
    def of(cls, connection_id: int, outgoing: TrafficKey, incoming: TrafficKey) -> Channel:
        """A new one, with the keys of both directions."""
        return cls(connection_id, SealingKeys(outgoing), OpeningKeys(incoming), ReplayWindow(), Acknowledged())

    @property
    def newest(self) -> int:
        """The newest sequence received."""
        return self.window.newest

    def seal(self, kind: Kind, body: bytes = b"") -> bytes:
        """The next datagram. It acknowledges all that was opened."""
        self.sent = sequence = self.sent + 1
        keys, window = self.outgoing, self.window
        header = codec.encode_sealed_header(keys.phase, kind, self._connection_id, sequence)
        acknowledgement = codec.encode_acknowledgement(window.newest, window.seen >> 1)
        return header + keys.key.seal(sequence, header, acknowledgement + body)

    def open(self, datagram: bytes) -> Incoming:
        """Take a datagram with our connection id apart. The cheapest checks come first.

        What comes in order, under the keys in use, needs neither a look into the replay window nor at other keys.

        Raises:
            BadDatagram: stale, replayed, forged or truncated, and the channel is as it was; or it acknowledges what was
                never sent.
        """
        if len(datagram) < OVERHEAD:
            raise BadDatagram("truncated")
        phase, kind, connection_id, low = codec.decode_sealed_header(datagram)
        if connection_id != self._connection_id:
            raise BadDatagram("unknown_connection")
        window, keys = self.window, self._incoming
        sequence = window.newest + 1
        if low == sequence & _LOW_MASK and phase == keys.phase and sequence >= keys.began:
            content = keys.key.open(sequence, datagram[:_HEADER], datagram[_HEADER:])
            window.follow()
        else:
            sequence = expand(low, _LOW_BITS, window.newest)
            window.check(sequence)
            content = keys.open(phase, sequence, datagram[:_HEADER], datagram[_HEADER:])
            window.advance(sequence)
        newest, earlier = codec.decode_acknowledgement(content)
        if ACKNOWLEDGED < newest <= self.sent < _LOW_BITS_OF_NEWEST >> 1 or (
            newest and newest <= self.sent <= ACKNOWLEDGED and not earlier >> newest - 1
        ):  # nothing to complete or to refuse.
            arrivals = Arrivals(newest, earlier << 1 | 1)
            self._acknowledged.take(newest, arrivals.bits)
        else:
            arrivals = self._noted(newest, earlier)
        return Incoming(kind, sequence, arrivals, content[codec.ACKNOWLEDGEMENT_SIZE :])

    def renew(self, now: float, period: float = PERIOD) -> None:
        """A heartbeat is due: rotate the keys of what goes out, if that is due, too: every `period` seconds."""
        self.outgoing.renew(self.sent + 1, self._acknowledged.newest, now, period)
        self.outgoing.key.rest()
        self._incoming.rest()

    def conditions(self, pulse: Pulse) -> Conditions:
        """What the line is like, its times by `pulse`."""
        return Conditions(
            pulse.round_trip.smoothed,
            pulse.round_trip.variation,
            pulse.jitter,
            pulse.offset,
            pulse.uncertainty,
            self._acknowledged.loss,
            missing(self.window.seen, self.window.newest),
            self.window.reordered,
        )

    def _noted(self, newest: int, earlier: int) -> Arrivals:
        """What an acknowledgement says, its numbers completed."""
        if not newest and self.sent <= _LOW_BITS_OF_NEWEST:
            if earlier:
                raise BadDatagram("out_of_range", "an acknowledgement of what was before the first")
            return _NOTHING
        newest = expand(newest, _ACKNOWLEDGED_BITS, self.sent)
        if newest > self.sent or (newest <= ACKNOWLEDGED and earlier >> newest - 1):
            raise BadDatagram("out_of_range", "an acknowledgement of what was never sent")
        arrivals = Arrivals(newest, earlier << 1 | 1)
        self._acknowledged.take(arrivals.newest, arrivals.bits)
        return arrivals


_NOTHING = Arrivals()
