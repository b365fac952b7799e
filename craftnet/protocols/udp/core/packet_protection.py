"""An established connection's datagrams, the same at both ends: sealed, numbered, acknowledged. Sans-I/O."""

from __future__ import annotations

from msgspec import Struct

from craftnet.errors import BadDatagram
from craftnet.protocols.udp.core.heartbeat import Heartbeats
from craftnet.protocols.udp.core.key_update import KEY_UPDATE_PERIOD, OpeningKeys, SealingKeys
from craftnet.protocols.udp.core.keys import TrafficKey
from craftnet.protocols.udp.core.path_stats import DeliveryRecord, PathStats, missing_share
from craftnet.protocols.udp.core.replay_window import ReplayWindow, expand
from craftnet.protocols.udp.core.written_often import written_often
from craftnet.protocols.wire import codec
from craftnet.protocols.wire.layouts import MAC_SIZE
from craftnet.protocols.wire.records import DatagramKind

OVERHEAD = codec.SEALED_HEADER_SIZE + codec.ACKNOWLEDGEMENT_SIZE + MAC_SIZE
"""Bytes of a datagram besides its body."""

ACKNOWLEDGED = 32
"""Sequences before the newest that an acknowledgement covers."""

_HEADER = codec.SEALED_HEADER_SIZE
_LOW_BITS = 16
_LOW_MASK = (1 << _LOW_BITS) - 1
_ACKNOWLEDGED_BITS = 32
_LOW_BITS_OF_NEWEST = (1 << _ACKNOWLEDGED_BITS) - 1


class AcknowledgedDatagrams(Struct, frozen=True, gc=False):
    """Our datagrams that the other side has acknowledged: `newest`, and newest − i for each bit i."""

    newest: int = 0
    bits: int = 0

    def covers(self, sequence: int) -> bool:
        """Whether `sequence` is acknowledged."""
        behind = self.newest - sequence
        return behind >= 0 and bool(self.bits >> behind & 1)


class ReceivedDatagram(Struct, frozen=True, gc=False):
    """An authentic datagram, opened."""

    kind: DatagramKind
    sequence: int
    arrivals: AcknowledgedDatagrams
    body: bytes


@written_often
class PacketProtection(ReplayWindow, kw_only=True, eq=False, gc=False):
    """Numbers and seals sent datagrams; verifies and opens received ones. Its replay window is a part of it.

    Attributes:
        connection_id: the id in its datagrams.
        outgoing: the keys of sent datagrams.
        incoming: the keys of received datagrams.
        acknowledged: our sequences that are known to have arrived.
        sent: the newest sequence used; the first is 1.
    """

    connection_id: int
    outgoing: SealingKeys
    incoming: OpeningKeys
    acknowledged: DeliveryRecord
    sent: int = 0

    @classmethod
    def of(cls, connection_id: int, outgoing: TrafficKey, incoming: TrafficKey) -> PacketProtection:
        """A new one, with the keys of both directions."""
        return cls(
            connection_id=connection_id,
            outgoing=SealingKeys.starting(outgoing),
            incoming=OpeningKeys.starting(incoming),
            acknowledged=DeliveryRecord(),
        )

    def seal(self, kind: DatagramKind, body: bytes = b"") -> bytes:
        """Seals the next datagram. It acknowledges everything that was opened."""
        self.sent = sequence = self.sent + 1
        keys = self.outgoing
        header = codec.encode_sealed_header(keys.phase, kind, self.connection_id, sequence)
        acknowledgement = codec.encode_acknowledgement(self.newest, self.seen >> 1)
        return header + keys.seal(sequence, header, acknowledgement + body)

    def open(self, datagram: bytes) -> ReceivedDatagram:
        """Opens a datagram with our connection id. The cheapest checks come first.

        A datagram in order, under the present keys, needs neither the replay window nor other keys.

        Raises:
            BadDatagram: stale, replayed, forged or truncated, without any change; or it acknowledges what was never
                sent.
        """
        if len(datagram) < OVERHEAD:
            raise BadDatagram("truncated")
        phase, kind, connection_id, low = codec.decode_sealed_header(datagram)
        if connection_id != self.connection_id:
            raise BadDatagram("unknown_connection")
        keys, sequence = self.incoming, self.newest + 1
        if low == sequence & _LOW_MASK and phase == keys.phase and sequence >= keys.began:
            content = keys.open(sequence, datagram[:_HEADER], datagram[_HEADER:])
            self.follow()
        else:
            sequence = expand(low, _LOW_BITS, self.newest)
            self.check(sequence)
            content = keys.open_in(phase, sequence, datagram[:_HEADER], datagram[_HEADER:])
            self.advance(sequence)
        newest, earlier = codec.decode_acknowledgement(content)
        if ACKNOWLEDGED < newest <= self.sent < _LOW_BITS_OF_NEWEST >> 1 or (
            newest and newest <= self.sent <= ACKNOWLEDGED and not earlier >> newest - 1
        ):  # nothing to complete or to refuse.
            arrivals = AcknowledgedDatagrams(newest, earlier << 1 | 1)
            self.acknowledged.take(newest, arrivals.bits)
        else:
            arrivals = self._noted(newest, earlier)
        return ReceivedDatagram(kind, sequence, arrivals, content[codec.ACKNOWLEDGEMENT_SIZE :])

    def renew(self, now: float, period: float = KEY_UPDATE_PERIOD) -> None:
        """A heartbeat is due: updates the keys of sent datagrams, if `period` seconds have passed."""
        self.outgoing.renew(self.sent + 1, self.acknowledged.newest, now, period)
        self.outgoing.rest()
        self.incoming.rest()

    def conditions(self, pulse: Heartbeats) -> PathStats:
        """The network conditions of the path, with the times in `pulse`."""
        return PathStats(
            pulse.round_trip.smoothed,
            pulse.round_trip.variation,
            pulse.jitter,
            pulse.offset,
            pulse.uncertainty,
            self.acknowledged.loss,
            missing_share(self.seen, self.newest),
            self.reordered,
        )

    def _noted(self, newest: int, earlier: int) -> AcknowledgedDatagrams:
        """The acknowledgement, with its numbers completed."""
        if not newest and self.sent <= _LOW_BITS_OF_NEWEST:
            if earlier:
                raise BadDatagram("out_of_range", "an acknowledgement of a sequence before the first")
            return _NOTHING
        newest = expand(newest, _ACKNOWLEDGED_BITS, self.sent)
        if newest > self.sent or (newest <= ACKNOWLEDGED and earlier >> newest - 1):
            raise BadDatagram("out_of_range", "an acknowledgement of what was never sent")
        arrivals = AcknowledgedDatagrams(newest, earlier << 1 | 1)
        self.acknowledged.take(arrivals.newest, arrivals.bits)
        return arrivals


_NOTHING = AcknowledgedDatagrams()
