"""What a peer must still be told. Newest wins: a topic's new records take the place of its old ones, sent or not.

Records stay here until all the datagrams they went in are acknowledged (`parcels` says what goes in which); what is not
acknowledged in time is sent again, whatever else is told meanwhile; less and less often while nothing arrives, until
the connection is given up for silence. Bytes are paced (`pacing`), so that a large table or a storm of changes cannot
flood a line.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import filterfalse, islice
from math import inf
from typing import Protocol

from msgspec import Struct

from craftnet.protocols.udp.core.heartbeat import DOUBLINGS, MAX_ACK_DELAY, MAX_TIMEOUT, RoundTrip
from craftnet.protocols.udp.core.negotiation import Agreement
from craftnet.protocols.udp.core.pacing import Pacer
from craftnet.protocols.udp.core.packet_protection import OVERHEAD, AcknowledgedDatagrams
from craftnet.protocols.udp.server.packetizer import MIN_COMPRESSED_SIZE, Key, Packet, alone, compressed, plain
from craftnet.protocols.wire.records import DatagramKind

MAX_RECORDS_CONSIDERED = 128
"""Records that are looked at to choose from for the next datagrams, however many wait."""


class DatagramProtection(Protocol):
    """What is needed of a `Channel`."""

    sent: int

    def seal(self, kind: DatagramKind, body: bytes = b"") -> bytes:
        """The next datagram; `sent` is its sequence then."""


class _InFlight(Struct, eq=False, gc=False):
    """Records that went out together.

    Attributes:
        missing: the sequences that are not acknowledged yet.
        several: whether they were several.
        until: when to send the records again, Unix seconds.
    """

    missing: list[int]
    several: bool
    until: float

    def landed(self, arrivals: AcknowledgedDatagrams) -> bool:
        """Note what is acknowledged; whether that is all of it."""
        self.missing = list(filterfalse(arrivals.covers, self.missing))
        return not self.missing


class _Record(Struct, eq=False, gc=False):
    octets: bytes
    flight: _InFlight | None = None


NEVER = -inf
"""A time long ago; each `-inf` that is written is a float of its own."""

# Of most peers, most of the time, and never written to: a dictionary takes room, and keeps what it once had.
_NOTHING: dict[Key, _Record] = {}


class SendQueue:
    """The send queue of one peer.

    Nearly always one short record is all that is under way. Then it is in flight by itself: `_single` and what follows
    it say all there is to say of it, and no dictionary is needed. Whatever else happens turns it into what `_flying`
    holds, and goes on from there.

    Arguments:
        agreement: how long datagrams are, and what may be compressed.
        protection: makes datagrams.
        round_trip: says how long an acknowledgement may take.
        pace: says when bytes may go.
    """

    __slots__ = (
        "_agreement",
        "_attempts",
        "_doubles_at",
        "_flying",
        "_pace",
        "_packable",
        "_protection",
        "_retry_at",
        "_round_trip",
        "_single",
        "_single_octets",
        "_single_sequence",
        "_waiting",
    )

    def __init__(
        self, agreement: Agreement, protection: DatagramProtection, round_trip: RoundTrip, pace: Pacer
    ) -> None:
        self._agreement = agreement
        self._protection = protection
        self._packable = False  # whether compressing what waits may be worth a try.
        self._round_trip = round_trip
        self._waiting = self._flying = _NOTHING
        self._pace = pace
        self._retry_at = inf  # when the first of what is in flight is to be sent again, or before.
        self._attempts = 0
        self._doubles_at = NEVER  # once for all that was lost in the same while.
        self._single: Key | None = None  # the only record in flight.
        self._single_octets = b""
        self._single_sequence = 0

    def send(self, session: int, topic: str, records: Sequence[bytes], now: float) -> list[bytes]:
        """`put`, then `flush`."""
        if not self._can_go_alone(session, topic, records, now):
            self.put(session, topic, records)
            return self.flush(now)
        octets = records[0]
        datagram = self._protection.seal(DatagramKind.STATE, alone(session, octets))
        self._pace.sent(len(datagram), now)
        self._single, self._single_octets = (session, topic, 0), octets
        self._single_sequence = self._protection.sent
        self._retry_at = now + self._timeout
        self._packable = True
        return [datagram]

    def _can_go_alone(self, session: int, topic: str, records: Sequence[bytes], now: float) -> bool:
        """Whether one short record goes out now, and nothing but what it replaces is under way."""
        return (
            len(records) == 1
            and len(records[0]) < MIN_COMPRESSED_SIZE
            and not self._waiting
            and not self._flying
            and (self._single is None or self._single == (session, topic, 0))
            and now >= self._pace.opens
        )

    def put(self, session: int, topic: str, records: Sequence[bytes]) -> None:
        """Tell the peer these records instead of all earlier ones of the topic.

        Each fits into a datagram; of another session than 0, with its selector.

        Arguments:
            session: the index of the session they are of.
        """
        self._spread()
        self._packable = True
        if self._flying:
            for key in [key for key in self._flying if key[1] == topic and key[0] == session]:
                del self._flying[key]
        if self._waiting:
            most = len(records)
            for key in [key for key in self._waiting if key[1] == topic and key[0] == session and key[2] >= most]:
                del self._waiting[key]
        if self._waiting is _NOTHING:
            self._waiting = {}
        for place, octets in enumerate(records):
            # What waits keeps its place: nobody waits for ever because it changes too often.
            self._waiting[session, topic, place] = _Record(octets)

    def clear(self) -> None:
        """Tell the peer nothing of what is left."""
        self._single, self._single_octets = None, b""
        self._waiting = self._flying = _NOTHING

    def drop(self, session: int) -> None:
        """Tell the peer nothing of what is left of that session."""
        self._spread()
        self._waiting = {key: record for key, record in self._waiting.items() if key[0] != session}
        self._flying = {key: record for key, record in self._flying.items() if key[0] != session}

    def keeps(self, session: int) -> bool:
        """Whether anything of that session is not acknowledged."""
        if self._single is not None:
            return self._single[0] == session
        return any(key[0] == session for held in (self._waiting, self._flying) for key in held)

    @property
    def empty(self) -> bool:
        """Whether everything was acknowledged."""
        return not (self._waiting or self._flying) and self._single is None

    @property
    def deadline(self) -> float:
        """When `flush` has something to do; infinite when it has not."""
        retry = self._retry_at if self._single is not None or self._flying else inf
        return min(self._pace.opens, retry) if self._waiting else retry

    def flush(self, now: float) -> list[bytes]:
        """The datagrams to send now."""
        if self._single is not None and now >= self._retry_at:
            self._spread()
        if self._flying and now >= self._retry_at:
            self._repeat(now)
        if not self._waiting:
            return []
        self._spread()
        datagrams = []
        until = now + self._timeout
        while self._waiting and now >= self._pace.opens:
            packet = self._packet()
            sequences = []
            for body in packet.bodies:  # at once: nothing may come in between.
                datagram = self._protection.seal(packet.kind, body)
                sequences.append(self._protection.sent)
                datagrams.append(datagram)
                self._pace.sent(len(datagram), now)
            flight = _InFlight(sequences, len(sequences) > 1, until)
            if self._flying is _NOTHING:
                self._flying = {}
            if not self._flying or until < self._retry_at:
                self._retry_at = until
            for key in packet.keys:
                record = self._flying[key] = self._waiting.pop(key)
                record.flight = flight
        if not self._waiting:
            self._waiting = _NOTHING
        return datagrams

    def acknowledged(self, arrivals: AcknowledgedDatagrams) -> list[Key]:
        """Drop what has arrived, and say what that is; but for what was sent by `send` alone, as nearly everything."""
        if self._single is not None:
            behind = arrivals.newest - self._single_sequence
            if behind < 0 or not arrivals.bits >> behind & 1:
                return []
            self._single, self._single_octets = None, b""
            self._attempts, self._doubles_at = 0, NEVER
            self._packable = True
            return []
        if not self._flying:
            return []
        landed = [key for key, record in self._flying.items() if record.flight and record.flight.landed(arrivals)]
        if landed:
            for key in landed:
                del self._flying[key]
            self._attempts, self._doubles_at = 0, NEVER
            self._packable = True
            self._note_flying()
        return landed

    def hasten(self, now: float) -> None:
        """A round trip was measured for the first time: what is under way need not wait as long as without one."""
        self._spread()
        until = now + self._timeout
        for record in self._flying.values():
            if record.flight is not None and record.flight.until > until:
                record.flight.until = until
        self._note_flying()

    def _spread(self) -> None:
        """What is in flight by itself becomes one of any number that are."""
        if self._single is not None:
            flight = _InFlight([self._single_sequence], False, self._retry_at)
            self._flying = {self._single: _Record(self._single_octets, flight)}
            self._single, self._single_octets = None, b""

    def _repeat(self, now: float) -> None:
        late = {key: record for key, record in self._flying.items() if record.flight and now >= record.flight.until}
        if late:
            if now >= self._doubles_at:
                self._attempts += 1
                self._doubles_at = now + self._timeout
            self._packable = True
            self._flying = {key: record for key, record in self._flying.items() if key not in late}
            self._waiting = {**late, **self._waiting}
        self._note_flying()

    def _note_flying(self) -> None:
        """To be called when there is less of it."""
        if self._flying:
            self._retry_at = min(record.flight.until for record in self._flying.values() if record.flight)
        else:
            self._flying = _NOTHING

    @property
    def _timeout(self) -> float:
        """Seconds to wait for the acknowledgement of what is sent now."""
        timeout = self._round_trip.timeout + MAX_ACK_DELAY
        return min(MAX_TIMEOUT, timeout * 2 ** min(self._attempts, DOUBLINGS)) if self._attempts else timeout

    def _packet(self) -> Packet:
        """What goes next."""
        if len(self._waiting) == 1:
            ((key, record),) = self._waiting.items()
            if len(record.octets) < MIN_COMPRESSED_SIZE:
                return Packet([key], DatagramKind.STATE, [alone(key[0], record.octets)])
        records = [(key, record.octets) for key, record in islice(self._waiting.items(), MAX_RECORDS_CONSIDERED)]
        if self._packable and self._agreement.compression is not None:
            whole = self._pace.hindered or any(
                record.flight.several for record in self._flying.values() if record.flight is not None
            )
            packet = compressed(records, self._agreement, whole=whole)
            if packet is not None:
                return packet
            self._packable = False  # until something is different.
        return plain(records, self._agreement.datagram - OVERHEAD)
