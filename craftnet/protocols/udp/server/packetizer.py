"""Which of the records that wait go together into the next datagrams: plain, or packed where that saves. Pure.

Records stand alone, so that whatever arrives is of use; parts of a message do not. So records travel packed only where
that takes clearly less, and what is too little to save anything is not even tried.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from craftnet.protocols.udp.core.negotiation import Agreement
from craftnet.protocols.udp.core.pacing import IP_UDP_HEADERS
from craftnet.protocols.udp.core.packet_protection import OVERHEAD
from craftnet.protocols.udp.core.reassembly import MAX_PARTS, split
from craftnet.protocols.wire import codec
from craftnet.protocols.wire.records import DatagramKind, Selector

Key = tuple[int, str, int]
"""A record: its session's index, its topic, its place among the topic's records."""

NO_SESSION = -1
"""In the place of the index: of the connection itself."""

Records = Sequence[tuple[Key, bytes]]

MIN_COMPRESSED_SIZE = 128
"""Bytes of records below which packing is not tried."""

MAX_COMPRESSED_SHARE = 0.9
"""Packed, records take at most this share of the bytes they take plain, all headers counted."""

EXPECTED_RATIO = 4
"""By how much records are hoped to get shorter: more of them than fit then are not tried."""


_SELECTORS = tuple(codec.encode_state_record(Selector(session)) for session in range(256))


class Packet(Struct, frozen=True, gc=False):
    """What goes out together.

    Attributes:
        keys: the records in it.
        kind: STATE, or MESSAGE.
        bodies: of one datagram each.
    """

    keys: list[Key]
    kind: DatagramKind
    bodies: list[bytes]


def plain(records: Records, room: int) -> Packet:
    """As many of the first records as fit into one datagram with `room` bytes for them; one at least."""
    fitting = _fitting(records, room)
    return Packet([key for key, _ in fitting], DatagramKind.STATE, [_joined(fitting)])


def alone(session: int, octets: bytes) -> bytes:
    """The body of a STATE with one record, which is too short to be compressed: what nearly every datagram is."""
    return octets if session <= 0 else _SELECTORS[session] + octets


def compressed(records: Records, agreement: Agreement, *, whole: bool) -> Packet | None:
    """As many records as may be packed together; None when that would not save enough.

    What is of the connection itself, its next secret, is not: how long something is when packed must not tell of a
    secret beside what others can choose.

    Arguments:
        whole: only what fits into one datagram.
    """
    records = [record for record in records if record[0][0] != NO_SESSION]
    if agreement.compression is None or sum(len(octets) for _, octets in records) < MIN_COMPRESSED_SIZE:
        return None
    room = agreement.datagram - OVERHEAD
    piece = room - codec.FRAGMENT_SIZE
    most = 1 if whole else MAX_PARTS
    # Tables of several sessions have the same materials in the same places: what is alike goes together.
    chosen = _fitting(sorted(records, key=_place), min(agreement.content, EXPECTED_RATIO * most * piece))
    while len(content := _joined(chosen)) >= MIN_COMPRESSED_SIZE:
        octets = agreement.compression.compress(content)
        parts = -(-len(octets) // piece)
        taken = _cost(len(octets) + parts * codec.FRAGMENT_SIZE, parts)
        if len(octets) >= len(content) or taken > MAX_COMPRESSED_SHARE * _plain_cost(chosen, room):
            return None
        if parts <= most:
            fragments = split(octets, len(content), piece)
            return Packet(
                [key for key, _ in chosen], DatagramKind.MESSAGE, [codec.encode_fragment(each) for each in fragments]
            )
        chosen = chosen[: len(chosen) * most // parts]
    return None


def _fitting(records: Records, room: int) -> Records:
    """The first of them that fit, with the selectors they need; one at least."""
    named, left = {NO_SESSION, 0}, room
    for place, ((session, _, _), octets) in enumerate(records):
        left -= len(octets) if session in named else len(octets) + codec.SELECTOR_SIZE
        if left < 0 and place:
            return records[:place]
        named.add(session)
    return records


def _joined(records: Records) -> bytes:
    """The body of a STATE: session by session, each but session 0 with its selector."""
    session, parts = 0, list[bytes]()
    for (of, _, _), octets in sorted(records, key=_session):
        if of > session:
            session = of
            parts.append(_SELECTORS[of])
        parts.append(octets)
    return b"".join(parts)


def _session(record: tuple[Key, bytes]) -> int:
    return record[0][0]


def _place(record: tuple[Key, bytes]) -> int:
    return record[0][2]


def _plain_cost(records: Records, room: int) -> int:
    size = datagrams = 0
    while records:
        fitting = _fitting(records, room)
        size += len(_joined(fitting))
        datagrams += 1
        records = records[len(fitting) :]
    return _cost(size, datagrams)


def _cost(size: int, datagrams: int) -> int:
    """Bytes on the line."""
    return size + datagrams * (OVERHEAD + IP_UDP_HEADERS)
