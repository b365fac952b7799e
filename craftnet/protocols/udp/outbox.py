"""What a peer must still be told. Newest wins: a topic's new records take the place of its old ones, sent or not.

Records stay here until all the datagrams they went in are acknowledged (`parcels` says what goes in which); what is not
acknowledged in time is sent again, whatever else is told meanwhile; less and less often while nothing arrives, until
the connection is given up for silence. Bytes are paced (`pacing`), so that a large table or a storm of changes cannot
flood a line.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import filterfalse, islice
from math import inf

from msgspec import Struct

from craftnet.protocols.records import Kind
from craftnet.protocols.udp.agreement import Agreement
from craftnet.protocols.udp.channel import OVERHEAD
from craftnet.protocols.udp.pacing import Pace
from craftnet.protocols.udp.parcels import LEAST, Key, Parcel, alone, packed, plain
from craftnet.protocols.udp.timing import ACK_PATIENCE, DOUBLINGS, MAX_TIMEOUT, RoundTrip

AT_ONCE = 128
"""Records that are looked at to choose from for the next datagrams, however many wait."""


class _Flight(Struct, eq=False, gc=False):
    """Records that went out together.

    Attributes:
        missing: the sequences that are not acknowledged yet.
        several: whether they were several.
        until: when to send the records again, Unix seconds.
    """

    missing: list[int]
    several: bool
    until: float

    def landed(self, arrived: Callable[[int], bool]) -> bool:
        """Note what has arrived; whether that is all of it."""
        self.missing = list(filterfalse(arrived, self.missing))
        return not self.missing


class _Record(Struct, eq=False, gc=False):
    octets: bytes
    flight: _Flight | None = None


# Of most peers, most of the time, and never written to: a dictionary takes room, and keeps what it once had.
_NOTHING: dict[Key, _Record] = {}


class Outbox:
    """Records of one peer.

    Arguments:
        agreement: how long datagrams are, and what may be packed.
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
        "_retry_at",
        "_round_trip",
        "_waiting",
    )

    def __init__(self, agreement: Agreement, round_trip: RoundTrip, pace: Pace) -> None:
        self._agreement = agreement
        self._packable = False  # whether packing what waits may be worth a try.
        self._round_trip = round_trip
        self._waiting = self._flying = _NOTHING
        self._pace = pace
        self._retry_at = inf  # when the first of what is flying is to be sent again, or before.
        self._attempts = 0
        self._doubles_at = -inf  # once for all that was lost in the same while.

    def put(self, session: int, topic: str, records: Sequence[bytes]) -> None:
        """Tell the peer these records instead of all earlier ones of the topic.

        Each fits into a datagram; of another session than 0, with its selector.

        Arguments:
            session: the index of the session they are of.
        """
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
        self._waiting = self._flying = _NOTHING

    def drop(self, session: int) -> None:
        """Tell the peer nothing of what is left of that session."""
        self._waiting = {key: record for key, record in self._waiting.items() if key[0] != session}
        self._flying = {key: record for key, record in self._flying.items() if key[0] != session}

    def keeps(self, session: int) -> bool:
        """Whether anything of that session is not acknowledged."""
        return any(key[0] == session for held in (self._waiting, self._flying) for key in held)

    @property
    def empty(self) -> bool:
        """Whether everything was acknowledged."""
        return not (self._waiting or self._flying)

    @property
    def deadline(self) -> float:
        """When `flush` has something to do; infinite when it has not."""
        retry = self._retry_at if self._flying else inf
        return min(self._pace.opens, retry) if self._waiting else retry

    def flush(self, now: float, send: Callable[[Kind, bytes], tuple[int, bytes]]) -> list[bytes]:
        """The datagrams to send now.

        Arguments:
            send: makes a datagram of a kind and a body; gives its sequence and its bytes.
        """
        if self._flying and now >= self._retry_at:
            self._repeat(now)
        if not self._waiting:
            return []
        datagrams = []
        until = now + self._timeout
        while self._waiting and now >= self._pace.opens:
            parcel = self._parcel()
            sequences = []
            for body in parcel.bodies:  # at once: nothing may come in between.
                sequence, datagram = send(parcel.kind, body)
                sequences.append(sequence)
                datagrams.append(datagram)
                self._pace.sent(len(datagram), now)
            flight = _Flight(sequences, len(sequences) > 1, until)
            if self._flying is _NOTHING:
                self._flying = {}
            if not self._flying or until < self._retry_at:
                self._retry_at = until
            for key in parcel.keys:
                record = self._flying[key] = self._waiting.pop(key)
                record.flight = flight
        if not self._waiting:
            self._waiting = _NOTHING
        return datagrams

    def acknowledged(self, arrived: Callable[[int], bool], now: float) -> list[Key]:
        """Drop what has arrived, and say what that is; `arrived` says so of a sequence."""
        if not self._flying:
            return []
        landed = [key for key, record in self._flying.items() if record.flight and record.flight.landed(arrived)]
        if landed:
            for key in landed:
                del self._flying[key]
            self._attempts, self._doubles_at = 0, -inf
            self._packable = True
            self._note_flying()
        return landed

    def hasten(self, now: float) -> None:
        """A round trip was measured for the first time: what is under way need not wait as long as without one."""
        until = now + self._timeout
        for record in self._flying.values():
            if record.flight is not None and record.flight.until > until:
                record.flight.until = until
        self._note_flying()

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
        timeout = self._round_trip.timeout + ACK_PATIENCE
        return min(MAX_TIMEOUT, timeout * 2 ** min(self._attempts, DOUBLINGS)) if self._attempts else timeout

    def _parcel(self) -> Parcel:
        """What goes next."""
        if len(self._waiting) == 1:
            ((key, record),) = self._waiting.items()
            if len(record.octets) < LEAST:
                return alone(key, record.octets)
        records = [(key, record.octets) for key, record in islice(self._waiting.items(), AT_ONCE)]
        if self._packable and self._agreement.packing is not None:
            whole = self._pace.hindered or any(
                record.flight.several for record in self._flying.values() if record.flight is not None
            )
            parcel = packed(records, self._agreement, whole=whole)
            if parcel is not None:
                return parcel
            self._packable = False  # until something is different.
        return plain(records, self._agreement.datagram - OVERHEAD)
