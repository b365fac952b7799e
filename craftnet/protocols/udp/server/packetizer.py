"""Selects the waiting records for the next datagrams: plain, or compressed where that saves bytes. Pure.

Plain records are useful whenever they arrive; parts of a message are not. So records are compressed only where that
takes clearly fewer bytes, and too few of them are not even tried.
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
"""A record: its session's index, its topic, its index among the topic's records."""

NO_SESSION = -1
"""Instead of an index: the connection itself."""

Records = Sequence[tuple[Key, bytes]]

MIN_COMPRESSED_SIZE = 128
"""Bytes of records below which compression is not tried."""

MAX_COMPRESSED_SHARE = 0.9
"""Compressed, records take at most this share of their plain bytes, all headers included."""

EXPECTED_RATIO = 4
"""The expected compression: more records than fit with it are not tried."""


_SELECTORS = tuple(codec.encode_state_record(Selector(session)) for session in range(256))


class Packet(Struct, frozen=True, gc=False):
    """What is sent together.

    Attributes:
        keys: the records in it.
        kind: STATE, or MESSAGE.
        bodies: one for each datagram.
    """

    keys: list[Key]
    kind: DatagramKind
    bodies: list[bytes]


def plain(records: Records, room: int) -> Packet:
    """As many of the first records as fit into one datagram with `room` bytes for them, at least one."""
    fitting = _fitting(records, room)
    return Packet([key for key, _ in fitting], DatagramKind.STATE, [_joined(fitting)])


def selected(session: int, octets: bytes) -> bytes:
    """The body of a STATE with one record of another session than 0."""
    return _SELECTORS[session] + octets


def compressed(records: Records, agreement: Agreement, *, whole: bool) -> Packet | None:
    """As many records as can be compressed together; None when that would not save enough.

    Leaves out the connection's own record, its next secret: the length of compressed data must not depend on a secret
    beside data that others can choose.

    Arguments:
        whole: only what fits into one datagram.
    """
    records = [record for record in records if record[0][0] != NO_SESSION]
    if agreement.compression is None or sum(len(octets) for _, octets in records) < MIN_COMPRESSED_SIZE:
        return None
    room = agreement.datagram - OVERHEAD
    piece = room - codec.FRAGMENT_SIZE
    most = 1 if whole else MAX_PARTS
    # Tables of several sessions have the same materials in the same rows: similar records go together.
    chosen = _fitting(sorted(records, key=_record_index), min(agreement.content, EXPECTED_RATIO * most * piece))
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
    """The first of them that fit, with the selectors they need, at least one."""
    named, left = {NO_SESSION, 0}, room
    for index, ((session, _, _), octets) in enumerate(records):
        left -= len(octets) if session in named else len(octets) + codec.SELECTOR_SIZE
        if left < 0 and index:
            return records[:index]
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


def _record_index(record: tuple[Key, bytes]) -> int:
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
    """Bytes on the wire."""
    return size + datagrams * (OVERHEAD + IP_UDP_HEADERS)
