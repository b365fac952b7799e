"""Test vectors of messages: parts as they arrive, and the results.

The compressed content is stored here: other libraries, and other releases, may compress the same content differently
and be right as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple
from uuid import UUID

from craftnet.crafting.state import Material
from craftnet.protocols.udp.core.compression import COMPRESSIONS
from craftnet.protocols.udp.core.reassembly import CompressedMessage, Reassembly, split
from craftnet.protocols.wire import codec
from craftnet.protocols.wire.records import Fragment, MaterialsPart, Selector, StateRecord

_MATERIALS = tuple(UUID(int=0x1122334455667788 * number + number) for number in (0x11, 0x2200, 0x330000))


def _table(version: int) -> MaterialsPart:
    return MaterialsPart(version, 3, 0, 0, tuple(Material(each, version - 2, 50) for each in _MATERIALS))


RECORDS: tuple[StateRecord, ...] = (_table(7), Selector(1), _table(8), Selector(2), _table(9))
"""Three sessions with the same materials."""

CONTENT = b"".join(map(codec.encode_state_record, RECORDS))

PACKED = {
    "lz4": bytes.fromhex(
        "600300000007000600020500f1020000000123456789abcdf01900000005321300910002468acf13579be00f00031500910369d0"
        "369d0369d04b230040053207014d00120848000152000b4d0011063e000b4d000315000a4d0040063207029a001f094d00071f07"
        "4d0001031500074d00500000000732"
    ),
    "zstd": bytes.fromhex(
        "28b52ffd20e52d03003404030000000700030000000000000123456789abcdf01900000005320002468acf13579be005000369d0"
        "369d0369d04b05320701030000000806060632070209070707320e008016401f3006d80434035aa0d0806a60097862364c912bf3"
        "4e9b6d012b48"
    ),
}
"""`CONTENT`, compressed."""

ZEROS = {
    "lz4": bytes.fromhex("1f000100ffffffd2500000000000"),
    "zstd": bytes.fromhex("28b52ffd60e8024d00001000000100e32b8005"),
}
"""A thousand zeros."""

WIDE = bytes.fromhex("28b52ffd003845000010000001003f012c")
"""A hundred zeros in a frame that declares a window of 128 KiB."""

MAX_CONTENT = 4096


class MessagePart(NamedTuple):
    """The body of a MESSAGE, and the sequence of its datagram."""

    sequence: int
    body: bytes


class MessageArrival(NamedTuple):
    """Parts in the order of their arrival, at a client that negotiated this."""

    compression: str
    most: int
    parts: Sequence[MessagePart]


def _part(sequence: int, part: int, last: int, size: int, octets: bytes) -> MessagePart:
    return MessagePart(sequence, codec.encode_fragment(Fragment(part, last, size, octets)))


def _cut(compression: str, sequence: int, room: int) -> list[MessagePart]:
    """`CONTENT` in parts of `room` octets, the first of them in that datagram."""
    fragments = split(PACKED[compression], len(CONTENT), room)
    return [MessagePart(sequence + fragment.part, codec.encode_fragment(fragment)) for fragment in fragments]


_OLD, _NEW = _cut("lz4", 5, 60), _cut("lz4", 9, 40)

MESSAGES: dict[str, MessageArrival] = {
    "LZ4, one part": MessageArrival("lz4", MAX_CONTENT, _cut("lz4", 5, 1000)),
    "zstd, one part": MessageArrival("zstd", MAX_CONTENT, _cut("zstd", 5, 1000)),
    "three parts": MessageArrival("lz4", MAX_CONTENT, _NEW),
    "four parts, the last first": MessageArrival("zstd", MAX_CONTENT, _cut("zstd", 70_000, 30)[::-1]),
    "exactly as much content as was agreed on": MessageArrival("lz4", len(CONTENT), _cut("lz4", 5, 1000)),
    "a newer message after one of which a part was lost": MessageArrival("lz4", MAX_CONTENT, [_OLD[0], *_NEW]),
}
"""All of them result in `CONTENT`, with the last part."""

MALFORMED: dict[str, tuple[MessageArrival, str]] = {
    # the last part is refused, the others are accepted.
    "more content than was agreed on": (MessageArrival("lz4", len(CONTENT) - 1, _cut("lz4", 5, 1000)), "overlong"),
    "as long packed as not": (MessageArrival("lz4", MAX_CONTENT, [_part(5, 0, 0, 4, b"abcd")]), "out_of_range"),
    "two parts as long together": (
        MessageArrival("lz4", MAX_CONTENT, [_part(5, 0, 2, 8, b"abcd"), _part(6, 1, 2, 8, b"efgh")]),
        "out_of_range",
    ),
    "another number of parts": (
        MessageArrival("lz4", MAX_CONTENT, [_NEW[0], _part(10, 1, 3, 229, b"x")]),
        "contradictory",
    ),
    "another size": (MessageArrival("lz4", MAX_CONTENT, [_NEW[0], _part(10, 1, 2, 228, b"x")]), "contradictory"),
    "a part of an older message": (MessageArrival("lz4", MAX_CONTENT, [_OLD[0], _NEW[0], _OLD[1]]), "stale"),
    "a part that begins before the first datagram": (
        MessageArrival("lz4", MAX_CONTENT, [_part(1, 1, 1, 9, b"x")]),
        "stale",
    ),
    "less than it says": (
        MessageArrival("lz4", MAX_CONTENT, [_part(5, 0, 0, len(CONTENT) + 1, PACKED["lz4"])]),
        "garbled",
    ),
    "more than it says": (
        MessageArrival("zstd", MAX_CONTENT, [_part(5, 0, 0, len(CONTENT) - 1, PACKED["zstd"])]),
        "garbled",
    ),
    "an LZ4 bomb": (MessageArrival("lz4", MAX_CONTENT, [_part(5, 0, 0, 100, ZEROS["lz4"])]), "garbled"),
    "a zstd bomb": (MessageArrival("zstd", MAX_CONTENT, [_part(5, 0, 0, 100, ZEROS["zstd"])]), "garbled"),
    "a zstd frame with a window of 128 KiB": (
        MessageArrival("zstd", MAX_CONTENT, [_part(5, 0, 0, 100, WIDE)]),
        "garbled",
    ),
    "something behind a zstd frame": (
        MessageArrival("zstd", MAX_CONTENT, [_part(5, 0, 0, len(CONTENT), PACKED["zstd"] + b"\0")]),
        "garbled",
    ),
    "zstd where LZ4 was agreed on": (
        MessageArrival("lz4", MAX_CONTENT, [_part(5, 0, 0, len(CONTENT), PACKED["zstd"])]),
        "garbled",
    ),
}


def received(arrival: MessageArrival) -> Iterator[CompressedMessage | None]:
    """What a client has after each part: the decompressed message, when it is complete.

    Raises:
        BadDatagram: a part, or the message that it completes, is refused.
    """
    reassembly, compression = Reassembly(arrival.most), COMPRESSIONS[arrival.compression]
    for sequence, body in arrival.parts:
        packed = reassembly.take(codec.decode_fragment(body), sequence)
        yield packed and packed._replace(octets=compression.decompress(packed.octets, packed.size))


def document() -> dict[str, object]:
    """The whole document."""
    return {
        "messages": [
            {"name": name, **_described(arrival), "content": CONTENT.hex(), "counts_as": _first(arrival)}
            for name, arrival in MESSAGES.items()
        ],
        "malformed_messages": [
            {"name": name, **_described(arrival), "outcome": outcome} for name, (arrival, outcome) in MALFORMED.items()
        ],
    }


def _first(arrival: MessageArrival) -> int:
    """The sequence of the first part of the message that becomes complete."""
    sequence, body = arrival.parts[-1]
    return sequence - codec.decode_fragment(body).part


def _described(arrival: MessageArrival) -> dict[str, object]:
    return {
        "compression": arrival.compression,
        "negotiated_packet_size": arrival.most,
        "parts": [{"sequence": sequence, "body": body.hex()} for sequence, body in arrival.parts],
    }
