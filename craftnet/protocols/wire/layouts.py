"""Every byte on the wire, declared. Nothing here runs per datagram: `craftnet.protocols.wire.compiler.compiled_layouts`
compiles it.

Integers are unsigned and big-endian. `Const` marks what a reader must find unchanged: reserved bits, padding, tags.
Two families share the file: the records of the HTTP interface (32-byte header), and the datagrams of the UDP protocol
(7-byte header), whose content is encrypted. PROTOCOL.md shows the same as tables.
"""

from __future__ import annotations

from construct import (  # type: ignore[import-untyped]  # construct ships no annotations.
    Aligned,
    Array,
    BitsInteger,
    BitStruct,
    Bitwise,
    Bytes,
    Const,
    Construct,
    Flag,
    If,
    Int8ub,
    Int16ub,
    Int32ub,
    Int64ub,
    Struct,
    Terminated,
    this,
)

NONE_U32 = 0xFFFFFFFF
"""An unknown quantity or time. An unknown quality is 0."""

MAC_SIZE = 16
"""Bytes of a handshake's MAC and of the AEAD's tag."""

# --- The records of the HTTP interface ------------------------------------------------------------------------------

RECORD_VERSION = 1

Header = Struct(
    "packet_type" / Int8ub,
    "form"
    / BitStruct(
        "version" / BitsInteger(4),
        "reserved" / Const(0, BitsInteger(4)),
    ),
    "length" / Int16ub,  # of the whole record, this header included.
    "sequence" / Int32ub,
    "timestamp_ms" / Int64ub,
    "session_id" / Bytes(16),
)

ProgressBody = Struct(
    "percent" / Int16ub,  # hundredths.
    "quality" / Int8ub,
    "target_quality" / Int8ub,
    "remaining_ms" / Int32ub,
    "flags" / Int8ub,
    "reserved" / Const(bytes(7)),
)

ChangeRow = Struct(
    "material_id" / Bytes(16),
    "quantity" / Int32ub,
    "change_type" / Int8ub,
    "quality" / Int8ub,
    "reserved" / Const(bytes(2)),
)

ProgressUpdate = Struct("header" / Header, "body" / ProgressBody, Terminated)

MaterialsUpdate = Struct(
    "header" / Header,
    "changes" / Array((this.header.length - Header.sizeof()) // ChangeRow.sizeof(), ChangeRow),
    Terminated,
)

# --- The UDP protocol: the fields in clear --------------------------------------------------------------------------

DATAGRAM_VERSION = 1

HANDSHAKE_SIZE = 512
"""Bytes of a HELLO and of a RESPONSE: more than the answer, so that forging a sender's address gains nothing."""


def _first(kind: int) -> Construct:
    """The first byte of a handshake datagram."""
    return BitStruct(
        "version" / Const(DATAGRAM_VERSION, BitsInteger(2)),
        "key_phase" / Const(0, BitsInteger(1)),
        "kind" / Const(kind, BitsInteger(5)),
    )


# The 16-byte MAC of all that comes before it ends each of these three.

Hello = Struct(
    "first" / _first(1),
    "connection_id" / Int32ub,
    "client_nonce" / Bytes(16),
    "padding" / Const(bytes(HANDSHAKE_SIZE - 21 - MAC_SIZE)),
)

Challenge = Struct(
    "first" / _first(2),
    "connection_id" / Int32ub,
    "client_nonce" / Bytes(16),
    "issued_us" / Int64ub,
    "server_nonce" / Bytes(16),
    "cookie" / Bytes(16),
)

Response = Struct(
    "first" / _first(3),
    "connection_id" / Int32ub,
    "client_nonce" / Bytes(16),
    "issued_us" / Int64ub,
    "server_nonce" / Bytes(16),
    "cookie" / Bytes(16),
    "padding" / Const(bytes(HANDSHAKE_SIZE - 61 - MAC_SIZE)),
)

SealedHeader = Struct(
    "first"
    / BitStruct(
        "version" / Const(DATAGRAM_VERSION, BitsInteger(2)),
        "key_phase" / BitsInteger(1),
        "kind" / BitsInteger(5),
    ),
    "connection_id" / Int32ub,
    "sequence" / Int16ub,  # the low 16 of 64 bits.
)

# --- The UDP protocol: what is encrypted ----------------------------------------------------------------------------

Acknowledgement = Struct(  # opens the content of every sealed datagram.
    "newest" / Int32ub,  # the low 32 bits of the newest sequence received; 0: none yet.
    "earlier" / Int32ub,  # bit i: sequence newest − 1 − i was received.
)

Heartbeat = Struct(
    "sent_us" / Int64ub,
    "echoed_us" / Int64ub,
    "received_us" / Int64ub,
)

Close = Struct("reason" / Int8ub)

Held = Struct("version" / Int32ub)  # in an ACK: session 0's newest table of materials that is complete; 0: none.

HeldToo = Struct(  # as many of these follow as there are other sessions with something to report, by ascending session.
    "session" / Int8ub,
    "version" / Int32ub,
)

Left = Struct("session" / Int8ub)  # in a LEAVE: one or more of them, ascending.

Probe = Struct("data" / Bytes(8))  # in PATH_CHALLENGE, and the same in PATH_RESPONSE.

Fragment = Struct(  # the body of a MESSAGE; as many bytes of packed content as there are follow.
    "place"
    / BitStruct(
        "part" / BitsInteger(2),  # which one this is …
        "last" / BitsInteger(2),  # … and which one is the last.
        "reserved" / Const(0, BitsInteger(4)),
    ),
    "most" / Int16ub,  # the size of the content, unpacked, minus 1.
)

# The content of a STATE is any number of these ten, one after the other.

ProgressState = Struct(
    "tag" / Const(1, Int8ub),
    "version" / Int32ub,
    "anchor_ms" / Int64ub,
    "model"
    / BitStruct(
        "percent" / BitsInteger(14),  # hundredths.
        "status" / BitsInteger(3),
        "quality" / BitsInteger(7),
        "target_quality" / BitsInteger(7),
        "reserved" / Const(0, BitsInteger(1)),
    ),
    "remaining_ms" / Int32ub,
)

ReasonPart = Struct(  # `length` bytes of the text follow.
    "tag" / Const(2, Int8ub),
    "version" / Int32ub,
    "total" / Int16ub,
    "offset" / Int16ub,
    "length" / Int8ub,
)

MaterialsPart = Struct(  # `count` rows follow.
    "tag" / Const(3, Int8ub),
    "version" / Int32ub,
    "rows" / Int16ub,  # of the whole table …
    "problems" / Int16ub,  # … and of the table of problems.
    "first" / Int16ub,
    "count" / Int8ub,
)

MaterialRow = Struct(
    "material_id" / Bytes(16),
    "quantity" / Int32ub,
    "quality" / Int8ub,
)

ProblemsPart = Struct(  # `count` rows follow.
    "tag" / Const(4, Int8ub),
    "version" / Int32ub,
    "first" / Int16ub,
    "count" / Int8ub,
)

ProblemRow = Struct(
    "row" / Int16ub,  # which material, by its place in the table.
    "problem" / Int8ub,
    "required_quantity" / Int32ub,
    "available_quantity" / Int32ub,
    "required_quality" / Int8ub,
    "available_quality" / Int8ub,
)

MaterialsDelta = Struct(  # `count` entries of `RowChange` follow, bit after bit, filled up with zeros to a whole byte.
    "tag" / Const(5, Int8ub),
    "version" / Int32ub,
    "back" / Int8ub,  # the table it changes has the version `version` − `back` …
    "rows" / Int16ub,  # … and as many rows.
    "count" / Int8ub,
)

Number = Struct(  # a quantity: as many bits as it needs.
    "bits" / BitsInteger(6),  # 63: unknown.
    "value" / If(lambda this: 0 < this.bits <= 32, BitsInteger(this.bits)),
)

RowProblem = Struct(
    "problem" / BitsInteger(2),
    "required_quantity" / Number,
    "available_quantity" / Number,
    "required_quality" / BitsInteger(7),
    "available_quality" / BitsInteger(7),
)

RowChange = Struct(
    "row" / BitsInteger(this._._.row_bits),  # the length of `rows` − 1 in bits, 1 at least.
    "has_quantity" / Flag,
    "has_quality" / Flag,
    "has_problem" / Flag,
    "quantity" / If(this.has_quantity, Number),
    "quality" / If(this.has_quality, BitsInteger(7)),
    "stands" / If(this.has_problem, Flag),  # whether there is a problem now.
    "problem" / If(this.stands, RowProblem),
)

RowChanges = Bitwise(Aligned(8, Struct("changes" / Array(this._.count, RowChange))))  # needs count and row_bits.

FreshSecret = Struct(
    "tag" / Const(6, Int8ub),
    "secret" / Bytes(32),
)

Selector = Struct(  # what follows, up to the next of these, is of this session; before the first, of session 0.
    "tag" / Const(7, Int8ub),
    "session" / Int8ub,
)

SessionOver = Struct(
    "tag" / Const(8, Int8ub),
    "reason" / Int8ub,
)

FeedPosition = Struct(  # `length` bytes of the epoch follow.
    "tag" / Const(9, Int8ub),
    "version" / Int64ub,
    "length" / Int8ub,
)

SessionName = Struct(  # only for clients that asked for all sessions of the player.
    "tag" / Const(10, Int8ub),
    "session_id" / Bytes(16),
)
