"""The datagrams themselves: handshake, protected header, acknowledgement, bodies and message parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

from craftnet.errors import BadDatagram
from craftnet.protocols.wire import layouts
from craftnet.protocols.wire.codec.fields import REASON, exactly
from craftnet.protocols.wire.compiler.compiled_layouts import FieldPart, NestedParts, compile_layout, compile_record
from craftnet.protocols.wire.compiler.conversions import Conversion, low
from craftnet.protocols.wire.records import (
    Challenge,
    ChallengeResponse,
    CloseReason,
    Cookie,
    DatagramKind,
    Fragment,
    HeartbeatBody,
    Hello,
)

_COOKIE = NestedParts(Cookie, (FieldPart("issued_us"), FieldPart("server_nonce"), FieldPart("cookie")))

_hello = compile_record(layouts.Hello, Hello, FieldPart("connection_id"), FieldPart("client_nonce"))
_challenge = compile_record(
    layouts.Challenge, Challenge, FieldPart("connection_id"), FieldPart("client_nonce"), _COOKIE
)
_response = compile_record(
    layouts.Response, ChallengeResponse, FieldPart("connection_id"), FieldPart("client_nonce"), _COOKIE
)


def encode_hello(hello: Hello) -> bytes:
    """A HELLO without its MAC."""
    return _hello.encode(hello)


def decode_hello(octets: bytes) -> Hello:
    """A HELLO from everything before its MAC."""
    return _hello.parse(octets)


def encode_challenge(challenge: Challenge) -> bytes:
    """A CHALLENGE without its MAC."""
    return _challenge.encode(challenge)


def decode_challenge(octets: bytes) -> Challenge:
    """A CHALLENGE from everything before its MAC."""
    return _challenge.parse(octets)


def encode_response(response: ChallengeResponse) -> bytes:
    """A RESPONSE without its MAC."""
    return _response.encode(response)


def decode_response(octets: bytes) -> ChallengeResponse:
    """A RESPONSE from everything before its MAC."""
    return _response.parse(octets)


_SEALED = {
    int(kind): kind
    for kind in DatagramKind
    if kind not in (DatagramKind.HELLO, DatagramKind.CHALLENGE, DatagramKind.RESPONSE)
}

_sealed_header = compile_layout(
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
_acknowledgement = compile_layout(layouts.Acknowledgement, newest=low(32), earlier=low(32))
_heartbeat = compile_record(
    layouts.Heartbeat, HeartbeatBody, FieldPart("sent_us"), FieldPart("echoed_us"), FieldPart("received_us")
)
_close = compile_layout(layouts.Close, reason=REASON)
_held = compile_layout(layouts.Held)
_held_too = compile_layout(layouts.HeldToo)
_left = compile_layout(layouts.Left)
_probe = compile_layout(layouts.Probe)

SEALED_HEADER = _sealed_header.items
"""The readable part of a datagram, unchecked: its first byte, the connection id, the sequence's low 16 bits."""

SEALED_HEADER_SIZE = _sealed_header.size
ACKNOWLEDGEMENT = _acknowledgement.items
"""The acknowledgement at the start of every content, unchecked: as `decode_acknowledgement`."""

ACKNOWLEDGEMENT_SIZE = _acknowledgement.size
PROBE_SIZE = _probe.size

CONNECTION_ID = slice(1, 5)
"""Where in any datagram the connection id stands: four bytes, big-endian."""

PHASE = 0x20
"""The key phase bit of a first byte."""


encode_sealed_header: Callable[[int, DatagramKind, int, int], bytes] = _sealed_header.encode
"""The readable part of a datagram: key phase, kind, connection id, sequence (its low 16 bits are sent)."""

decode_sealed_header: Callable[[bytes], tuple[int, DatagramKind, int, int]] = _sealed_header.decode
"""Key phase, kind, connection id, the sequence's low 16 bits; ignores what follows the header."""

encode_acknowledgement: Callable[[int, int], bytes] = _acknowledgement.encode
"""The acknowledgement at the start of every content: the newest sequence received (0: none yet), and in bit i,
newest − 1 − i. The low 32 bits of each are sent."""

decode_acknowledgement: Callable[[bytes], tuple[int, int]] = _acknowledgement.decode
"""The same two from the content of a sealed datagram; ignores what follows them."""

encode_heartbeat = _heartbeat.encode
"""The body of a HEARTBEAT."""


def decode_heartbeat(body: bytes) -> HeartbeatBody:
    """Decodes the body of a HEARTBEAT."""
    heartbeat: HeartbeatBody = _heartbeat.parse(body)
    if (heartbeat.echoed_us == 0) != (heartbeat.received_us == 0):
        raise BadDatagram("contradictory", "a heartbeat with only one of echoed and received")
    return heartbeat


def encode_close(reason: CloseReason) -> bytes:
    """The body of a CLOSE."""
    return _close.encode(reason)


def decode_close(body: bytes) -> CloseReason:
    """Decodes the body of a CLOSE."""
    (reason,) = _close.parse(body)
    return CloseReason(reason)


def encode_held(held: Mapping[int, int]) -> bytes:
    """The body of an ACK: by session, the low 32 bits of the version of the newest complete table of materials.

    Session 0 is always included; 0 means that there is no such table.
    """
    others = [_held_too.encode(session, held[session]) for session in sorted(held) if session]
    return b"".join((_held.encode(held.get(0, 0)), *others))


def decode_held(body: bytes) -> dict[int, int]:
    """Decodes the body of an ACK."""
    (version,) = _held.decode(body)
    held = {0: version}
    if len(body) > _held.size:
        if (len(body) - _held.size) % _held_too.size:
            raise BadDatagram("trailing")
        last = 0
        for offset in range(_held.size, len(body), _held_too.size):
            session, version = _held_too.decode(body, offset)
            if session <= last:
                raise BadDatagram("out_of_range", "sessions are not in order")
            held[session] = version
            last = session
    return held


def encode_leave(sessions: Sequence[int]) -> bytes:
    """The body of a LEAVE: one session or more, ascending."""
    return b"".join(map(_left.encode, sessions))


def decode_leave(body: bytes) -> list[int]:
    """Decodes the body of a LEAVE."""
    if not body:
        raise BadDatagram("truncated")
    sessions = [session for offset in range(len(body)) for session in _left.decode(body, offset)]
    if any(session >= following for session, following in pairwise(sessions)):
        raise BadDatagram("out_of_range", "sessions are not in order")
    return sessions


def encode_probe(data: bytes) -> bytes:
    """The body of a PATH_CHALLENGE or a PATH_RESPONSE, 8 bytes."""
    return _probe.encode(data)


def decode_probe(body: bytes) -> bytes:
    """Decodes the body of a PATH_CHALLENGE or a PATH_RESPONSE."""
    (data,) = _probe.parse(body)
    return bytes(data)


def misplaced(kind: DatagramKind) -> BadDatagram:
    """The error for an authentic datagram of a kind that only the other side may send."""
    return BadDatagram("type", f"{kind.name} has the wrong direction")


def decode_nothing(body: bytes) -> None:
    """Decodes the body of a RESYNC, which is empty."""
    exactly(body, 0)


def first_byte(kind: DatagramKind) -> int:
    """The first byte of a datagram of this kind in key phase 0; with `PHASE` set, in phase 1."""
    return _sealed_header.encode(0, kind, 0, 0)[0]


def speaks(datagram: bytes) -> bool:
    """Whether a datagram has our version, in the highest two bits; one byte is enough."""
    return datagram[0] >> 6 == layouts.DATAGRAM_VERSION


def connection_id(datagram: bytes) -> int:
    """The connection id, which is at the same offset of every datagram; five bytes are enough."""
    return int.from_bytes(datagram[1:5], "big")


_fragment = compile_layout(layouts.Fragment)

FRAGMENT_SIZE = _fragment.size


def encode_fragment(fragment: Fragment) -> bytes:
    """The body of a MESSAGE."""
    return _fragment.encode(fragment.part, fragment.last, fragment.size - 1) + fragment.octets


def decode_fragment(body: bytes) -> Fragment:
    """Decodes the body of a MESSAGE."""
    part, last, most = _fragment.decode(body)
    if part > last:
        raise BadDatagram("out_of_range", "a part after the last")
    octets = body[_fragment.size :]
    if not octets:
        raise BadDatagram("truncated", "an empty part")
    return Fragment(part, last, most + 1, octets)
