"""Sealed datagrams: the readable header, and the parts of the encrypted content."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

from craftnet.errors import BadDatagram
from craftnet.protocols import layouts
from craftnet.protocols.codec.numbers import exactly
from craftnet.protocols.codec.reasons import REASON
from craftnet.protocols.conversions import Conversion, low
from craftnet.protocols.derivation import Part, derive, form
from craftnet.protocols.records import CloseReason, Heartbeat, Kind

_SEALED = {int(kind): kind for kind in Kind if kind not in (Kind.HELLO, Kind.CHALLENGE, Kind.RESPONSE)}

_sealed_header = derive(
    layouts.SealedHeader,
    kind=Conversion(
        most=31,  # five bits.
        means="{} in SEALED",
        value="SEALED[{}]",
        fault="a kind of no sealed datagram",
        outcome="type",
        names={"SEALED": _SEALED},
    ),
    sequence=low(16),
)
_acknowledgement = derive(layouts.Acknowledgement, newest=low(32), earlier=low(32))
_heartbeat = form(layouts.Heartbeat, Heartbeat, Part("sent_us"), Part("echoed_us"), Part("received_us"))
_close = derive(layouts.Close, reason=REASON)
_held = derive(layouts.Held)
_held_too = derive(layouts.HeldToo)
_left = derive(layouts.Left)
_probe = derive(layouts.Probe)

SEALED_HEADER_SIZE = _sealed_header.size
ACKNOWLEDGEMENT_SIZE = _acknowledgement.size
PROBE_SIZE = _probe.size

CONNECTION_ID = slice(1, 5)
"""Where in any datagram the connection id stands: four bytes, big-endian."""

PHASE = 0x20
"""The key phase bit of a first byte."""


encode_sealed_header: Callable[[int, Kind, int, int], bytes] = _sealed_header.pack
"""The readable part of a datagram: key phase, kind, connection id, sequence (its low 16 bits are sent)."""

decode_sealed_header: Callable[[bytes], tuple[int, Kind, int, int]] = _sealed_header.unpack
"""Key phase, kind, connection id, the sequence's low 16 bits; ignores what follows the header."""

encode_acknowledgement: Callable[[int, int], bytes] = _acknowledgement.pack
"""The acknowledgement at the start of every content: the newest sequence received (0: none yet), and in bit i,
newest − 1 − i. The low 32 bits of each are sent."""

decode_acknowledgement: Callable[[bytes], tuple[int, int]] = _acknowledgement.unpack
"""The same two from the content of a sealed datagram; ignores what follows them."""

encode_heartbeat = _heartbeat.pack
"""The body of a HEARTBEAT."""


def decode_heartbeat(body: bytes) -> Heartbeat:
    """Decodes the body of a HEARTBEAT."""
    heartbeat: Heartbeat = _heartbeat.parse(body)
    if (heartbeat.echoed_us == 0) != (heartbeat.received_us == 0):
        raise BadDatagram("contradictory", "a heartbeat with only one of echoed and received")
    return heartbeat


def encode_close(reason: CloseReason) -> bytes:
    """The body of a CLOSE."""
    return _close.pack(reason)


def decode_close(body: bytes) -> CloseReason:
    """Decodes the body of a CLOSE."""
    (reason,) = _close.parse(body)
    return CloseReason(reason)


def encode_held(held: Mapping[int, int]) -> bytes:
    """The body of an ACK: by session, the low 32 bits of the version of the newest complete table of materials.

    Session 0 is always included; 0 means that there is no such table.
    """
    others = [_held_too.pack(session, held[session]) for session in sorted(held) if session]
    return b"".join((_held.pack(held.get(0, 0)), *others))


def decode_held(body: bytes) -> dict[int, int]:
    """Decodes the body of an ACK."""
    (version,) = _held.unpack(body)
    held = {0: version}
    if len(body) > _held.size:
        if (len(body) - _held.size) % _held_too.size:
            raise BadDatagram("trailing")
        last = 0
        for offset in range(_held.size, len(body), _held_too.size):
            session, version = _held_too.unpack(body, offset)
            if session <= last:
                raise BadDatagram("out_of_range", "sessions are not in order")
            held[session] = version
            last = session
    return held


def encode_leave(sessions: Sequence[int]) -> bytes:
    """The body of a LEAVE: one session or more, ascending."""
    return b"".join(map(_left.pack, sessions))


def decode_leave(body: bytes) -> list[int]:
    """Decodes the body of a LEAVE."""
    if not body:
        raise BadDatagram("truncated")
    sessions = [session for offset in range(len(body)) for session in _left.unpack(body, offset)]
    if any(session >= following for session, following in pairwise(sessions)):
        raise BadDatagram("out_of_range", "sessions are not in order")
    return sessions


def encode_probe(data: bytes) -> bytes:
    """The body of a PATH_CHALLENGE or a PATH_RESPONSE, 8 bytes."""
    return _probe.pack(data)


def decode_probe(body: bytes) -> bytes:
    """Decodes the body of a PATH_CHALLENGE or a PATH_RESPONSE."""
    (data,) = _probe.parse(body)
    return bytes(data)


def misplaced(kind: Kind) -> BadDatagram:
    """The error for an authentic datagram of a kind that only the other side may send."""
    return BadDatagram("type", f"{kind.name} has the wrong direction")


def decode_nothing(body: bytes) -> None:
    """Decodes the body of a RESYNC, which is empty."""
    exactly(body, 0)


def first_byte(kind: Kind) -> int:
    """The first byte of a datagram of this kind in key phase 0; with `PHASE` set, in phase 1."""
    return _sealed_header.pack(0, kind, 0, 0)[0]


def speaks(datagram: bytes) -> bool:
    """Whether a datagram has our version, in the highest two bits; one byte is enough."""
    return datagram[0] >> 6 == layouts.DATAGRAM_VERSION


def connection_id(datagram: bytes) -> int:
    """The connection id, which is at the same offset of every datagram; five bytes are enough."""
    return int.from_bytes(datagram[1:5], "big")
