"""What must still be sent to a client. Newest wins: a topic's new records replace its old ones, sent or not.

Records stay here until all of their datagrams are acknowledged (`packetizer` decides which go into which). What is not
acknowledged in time is sent again, whatever else is sent meanwhile; less and less often while nothing arrives, until
the connection is given up for silence. Bytes are paced (`pacing`), so that a large table or a storm of changes cannot
flood a path.
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
from craftnet.protocols.udp.server.packetizer import MIN_COMPRESSED_SIZE, Key, Packet, compressed, plain, selected
from craftnet.protocols.wire import codec
from craftnet.protocols.wire.records import DatagramKind

MAX_RECORDS_CONSIDERED = 128
"""Records among which the next datagrams are chosen, however many wait."""

IN_ORDER = 4
"""Of so many datagrams, one takes the records that wait longest, though progress may overtake tables in the others."""


class DatagramProtection(Protocol):
    """The part of a `PacketProtection` that it needs."""

    sent: int

    def seal(self, kind: DatagramKind, body: bytes = b"") -> bytes:
        """Seals the next datagram; `sent` is its sequence then."""


class _InFlight(Struct, eq=False, gc=False):
    """Records that were sent together.

    Attributes:
        missing: the sequences that are not acknowledged yet.
        several: whether there are several.
        until: when to send the records again, Unix seconds.
    """

    missing: list[int]
    several: bool
    until: float

    def landed(self, arrivals: AcknowledgedDatagrams) -> bool:
        """Records an acknowledgement; returns whether everything is acknowledged."""
        self.missing = list(filterfalse(arrivals.covers, self.missing))
        return not self.missing


class _Record(Struct, eq=False, gc=False):
    octets: bytes
    flight: _InFlight | None = None


NEVER = -inf
"""A time long ago; a shared object, since each `-inf` in the code is another float."""

# For most connections, most of the time, and never modified: a dictionary takes room, and keeps its size.
_NOTHING: dict[Key, _Record] = {}


class SendQueue:
    """The send queue of one connection.

    Nearly always all that is in flight is one lone progress record. Then `single` and the following attributes describe
    it completely, and no dictionary is needed. Anything else turns it into an entry of `flying`, and continues there.

    Arguments:
        agreement: the length of datagrams, and the compression.
        protection: seals datagrams.
        round_trip: how long an acknowledgement may take.
        pace: when bytes may be sent.
    """

    __slots__ = (
        "_agreement",
        "_protection",
        "attempts",
        "doubles_at",
        "flying",
        "pace",
        "packable",
        "reminded_at",
        "retry_at",
        "round_trip",
        "single",
        "single_content",
        "single_sequence",
        "waiting",
    )

    def __init__(
        self, agreement: Agreement, protection: DatagramProtection, round_trip: RoundTrip, pace: Pacer
    ) -> None:
        self._agreement = agreement
        self._protection = protection
        self.packable = False  # whether compressing the waiting records is worth a try.
        self.round_trip = round_trip
        self.waiting = self.flying = _NOTHING
        self.pace = pace
        self.retry_at = inf  # when the first record in flight is to be sent again, or earlier.
        self.reminded_at = inf  # when the owner looks at `deadline`, because of a `retry_at`.
        self.attempts = 0
        self.doubles_at = NEVER  # once for everything lost in the same period.
        self.single: Key | None = None  # the only record in flight.
        self.single_content = b""  # the content of its datagram: an acknowledgement, then the record.
        self.single_sequence = 0

    def put(self, session: int, topic: str, records: Sequence[bytes]) -> None:
        """Sends these records instead of all earlier ones of the topic.

        Each fits into a datagram; of another session than 0, with its selector.

        Arguments:
            session: the index of their session.
        """
        self._spread()
        self.packable = True
        if self.flying:
            for key in [key for key in self.flying if key[1] == topic and key[0] == session]:
                del self.flying[key]
        if self.waiting:
            most = len(records)
            for key in [key for key in self.waiting if key[1] == topic and key[0] == session and key[2] >= most]:
                del self.waiting[key]
        if self.waiting is _NOTHING:
            self.waiting = {}
        for number, octets in enumerate(records):
            # Waiting records keep their order: frequent changes must not delay them for ever.
            self.waiting[session, topic, number] = _Record(octets)

    def clear(self) -> None:
        """Sends nothing of what is left."""
        self.single, self.single_content = None, b""
        self.waiting = self.flying = _NOTHING

    def drop(self, session: int) -> None:
        """Sends nothing of what is left of that session."""
        self._spread()
        self.waiting = {key: record for key, record in self.waiting.items() if key[0] != session}
        self.flying = {key: record for key, record in self.flying.items() if key[0] != session}

    def keeps(self, session: int) -> bool:
        """Whether anything of that session is unacknowledged."""
        if self.single is not None:
            return self.single[0] == session
        return any(key[0] == session for held in (self.waiting, self.flying) for key in held)

    @property
    def depth(self) -> int:
        """The number of records that wait or are in flight."""
        return len(self.waiting) + len(self.flying) + (self.single is not None)

    @property
    def empty(self) -> bool:
        """Whether everything was acknowledged."""
        return not (self.waiting or self.flying) and self.single is None

    @property
    def deadline(self) -> float:
        """When `flush` has something to do; infinite otherwise."""
        retry = self.retry_at if self.single is not None or self.flying else inf
        return min(self.pace.opens, retry) if self.waiting else retry

    def flush(self, now: float) -> list[bytes]:
        """The datagrams to send now."""
        if self.single is not None and now >= self.retry_at:
            self._spread()
        if self.flying and now >= self.retry_at:
            self._repeat(now)
        if not self.waiting:
            return []
        self._spread()
        datagrams = []
        until = now + self.timeout
        while self.waiting and now >= self.pace.opens:
            packet = self._packet()
            sequences = []
            for body in packet.bodies:  # directly after one another: nothing may come in between.
                datagram = self._protection.seal(packet.kind, body)
                sequences.append(self._protection.sent)
                datagrams.append(datagram)
                self.pace.sent(len(datagram), now, self._protection.sent)
            flight = _InFlight(sequences, len(sequences) > 1, until)
            if self.flying is _NOTHING:
                self.flying = {}
            if not self.flying or until < self.retry_at:
                self.retry_at = until
            for key in packet.keys:
                record = self.flying[key] = self.waiting.pop(key)
                record.flight = flight
        if not self.waiting:
            self.waiting = _NOTHING
        return datagrams

    def acknowledged(self, arrivals: AcknowledgedDatagrams, now: float) -> list[Key]:
        """Removes and returns what has arrived, except for the single record in flight."""
        if self.single is not None:
            behind = arrivals.newest - self.single_sequence
            if behind < 0 or not arrivals.bits >> behind & 1:
                return []
            self.single, self.single_content = None, b""
            self.attempts, self.doubles_at, self.retry_at = 0, NEVER, inf
            self.packable = True
            return []
        if not self.flying:
            return []
        landed = [key for key, record in self.flying.items() if record.flight and record.flight.landed(arrivals)]
        if landed:
            for key in landed:
                del self.flying[key]
            doubled, self.attempts, self.doubles_at = self.attempts, 0, NEVER
            self.packable = True
            if doubled:
                self.hasten(now)
            else:
                self._note_flying()
        return landed

    def hasten(self, now: float) -> None:
        """The timeout has become shorter, by a measured round trip or an acknowledgement after lost datagrams.

        What is in flight need not wait longer than what is sent now.
        """
        self._spread()
        until = now + self.timeout
        for record in self.flying.values():
            if record.flight is not None and record.flight.until > until:
                record.flight.until = until
        self._note_flying()

    def _spread(self) -> None:
        """Turns the single record in flight into one of several."""
        if self.single is not None:
            flight = _InFlight([self.single_sequence], False, self.retry_at)
            self.flying = {self.single: _Record(self.single_content[codec.ACKNOWLEDGEMENT_SIZE :], flight)}
            self.single, self.single_content = None, b""

    def _repeat(self, now: float) -> None:
        late = {key: record for key, record in self.flying.items() if record.flight and now >= record.flight.until}
        if late:
            if now >= self.doubles_at:
                self.attempts += 1
                self.doubles_at = now + self.timeout
            self.packable = True
            self.flying = {key: record for key, record in self.flying.items() if key not in late}
            self.waiting = {**late, **self.waiting}
        self._note_flying()

    def _note_flying(self) -> None:
        """Called when there is less of it."""
        if self.flying:
            self.retry_at = min(record.flight.until for record in self.flying.values() if record.flight)
        else:
            self.flying, self.retry_at = _NOTHING, inf

    @property
    def timeout(self) -> float:
        """Seconds to wait for the acknowledgement of what is sent now."""
        timeout = self.round_trip.timeout + MAX_ACK_DELAY
        return min(MAX_TIMEOUT, timeout * 2 ** min(self.attempts, DOUBLINGS)) if self.attempts else timeout

    def _packet(self) -> Packet:
        """The next records to send."""
        if len(self.waiting) == 1:
            ((key, record),) = self.waiting.items()
            if len(record.octets) < MIN_COMPRESSED_SIZE:
                octets = record.octets if key[0] <= 0 else selected(key[0], record.octets)
                return Packet([key], DatagramKind.STATE, [octets])
        records = [(key, record.octets) for key, record in islice(self.waiting.items(), MAX_RECORDS_CONSIDERED)]
        if self.pace.puts_progress_first and self._protection.sent % IN_ORDER:
            records.sort(key=_is_no_progress)
        if self.packable and self._agreement.compression is not None:
            whole = self.pace.hindered or any(
                record.flight.several for record in self.flying.values() if record.flight is not None
            )
            packet = compressed(records, self._agreement, whole=whole)
            if packet is not None:
                return packet
            self.packable = False  # until something changes.
        return plain(records, self._agreement.datagram - OVERHEAD)


def _is_no_progress(record: tuple[Key, bytes]) -> bool:
    return record[0][1] != "progress"
