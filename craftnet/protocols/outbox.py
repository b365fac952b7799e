"""What a peer must still be told. Newest wins: a topic's new records take the place of its old ones, sent or not.

Records stay here until they are acknowledged; what is not acknowledged in time is sent again, less and less often,
until the connection is given up for silence. Bytes are paced (`craftnet.protocols.pacing`), so that a large table or a
storm of changes cannot flood a line.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from operator import itemgetter

from craftnet.protocols import codec
from craftnet.protocols.pacing import Pace
from craftnet.protocols.records import Selector
from craftnet.protocols.timing import MAX_TIMEOUT, RoundTrip

Key = tuple[int, str, int]
"""A record: its session's index, its topic, its place among the topic's records."""


NO_SESSION = -1
"""In the place of the index: of the connection itself."""

_DOUBLINGS = 6  # beyond them the timeout is at its most anyway.


class _Record:
    __slots__ = ("octets", "sequence")

    def __init__(self, octets: bytes) -> None:
        self.octets = octets
        self.sequence = 0


class Outbox:
    """Records of one peer.

    Arguments:
        room: bytes of records that fit into one datagram.
        round_trip: says how long an acknowledgement may take.
        pace: says when bytes may go.
    """

    __slots__ = ("_attempts", "_flying", "_pace", "_retry_at", "_room", "_round_trip", "_waiting")

    def __init__(self, room: int, round_trip: RoundTrip, pace: Pace) -> None:
        self._room = room
        self._round_trip = round_trip
        self._waiting: dict[Key, _Record] = {}
        self._flying: dict[Key, _Record] = {}
        self._pace = pace
        self._retry_at = inf
        self._attempts = 0

    def put(self, session: int, topic: str, records: Sequence[bytes]) -> None:
        """Tell the peer these records instead of all earlier ones of the topic.

        None is longer than `room`, or, of another session than 0, than that less `SELECTOR_SIZE`.

        Arguments:
            session: the index of the session they are of.
        """
        for key in [key for key in self._flying if key[1] == topic and key[0] == session]:
            del self._flying[key]
        for key in [key for key in self._waiting if key[1] == topic and key[0] == session and key[2] >= len(records)]:
            del self._waiting[key]
        for place, octets in enumerate(records):
            # What waits keeps its place: nobody waits for ever because it changes too often.
            self._waiting[session, topic, place] = _Record(octets)

    def clear(self) -> None:
        """Tell the peer nothing of what is left."""
        self._waiting, self._flying = {}, {}

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
        paced = self._pace.opens if self._waiting else inf
        return min(paced, self._retry_at if self._flying else inf)

    def flush(self, now: float, send: Callable[[bytes], tuple[int, bytes]]) -> list[bytes]:
        """The datagrams to send now.

        Arguments:
            send: makes a datagram of a body; gives its sequence and its bytes.
        """
        if self._flying and now >= self._retry_at:
            self._repeat()
        if not self._waiting:
            return []
        datagrams = []
        while self._waiting and now >= self._pace.opens:
            batch = self._batch()
            sequence, datagram = send(_body(batch))
            for key, record in batch.items():
                record.sequence = sequence
                self._flying[key] = self._waiting.pop(key)
            self._pace.sent(len(datagram), now)
            datagrams.append(datagram)
        if not self._waiting:
            self._waiting = {}
        if datagrams:
            self._retry_at = now + min(MAX_TIMEOUT, self._round_trip.timeout * 2 ** min(self._attempts, _DOUBLINGS))
        return datagrams

    def acknowledged(self, arrived: Callable[[int], bool], now: float) -> list[Key]:
        """Drop what has arrived, and say what that is; `arrived` says so of a sequence."""
        if not self._flying:
            return []
        landed = [key for key, record in self._flying.items() if arrived(record.sequence)]
        if landed:
            for key in landed:
                del self._flying[key]
            if not self._flying:
                self._flying = {}  # a dictionary keeps its size; most peers have nothing under way most of the time.
            self._attempts = 0
            self._retry_at = now + self._round_trip.timeout
        return landed

    def _repeat(self) -> None:
        self._attempts += 1
        self._waiting, self._flying = {**self._flying, **self._waiting}, {}

    def _batch(self) -> dict[Key, _Record]:
        """As many of the first records as fit into a datagram; one at least."""
        batch: dict[Key, _Record] = {}
        left, sessions = self._room, {NO_SESSION, 0}
        for key, record in self._waiting.items():
            left -= len(record.octets)
            if key[0] not in sessions:
                sessions.add(key[0])
                left -= codec.SELECTOR_SIZE
            if left < 0 and batch:
                break
            batch[key] = record
        return batch


def _body(batch: dict[Key, _Record]) -> bytes:
    """The records of a datagram: session after session, each but number 0 with its selector."""
    octets, session = [], 0
    for key in sorted(batch, key=_session):
        if key[0] > session:
            session = key[0]
            octets.append(codec.encode_state_record(Selector(session)))
        octets.append(batch[key].octets)
    return b"".join(octets)


_session = itemgetter(0)
