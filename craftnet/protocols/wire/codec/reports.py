"""The records of the HTTP interface: a client's reports about its craft."""

from __future__ import annotations

from uuid import UUID

from craftnet.contract.messages import ChangeType, MaterialChange
from craftnet.errors import BadDatagram
from craftnet.protocols.wire import layouts
from craftnet.protocols.wire.codec.fields import DURATION, HUNDREDTHS, IDENTIFIER, QUALITY, QUANTITY, TIME
from craftnet.protocols.wire.compiler.compiled_layouts import FieldPart, compile_layout, compile_record
from craftnet.protocols.wire.compiler.conversions import one_of
from craftnet.protocols.wire.layouts import RECORD_VERSION
from craftnet.protocols.wire.records import MaterialsRecord, ProgressFlags, ProgressRecord

PROGRESS_TYPE = 1
MATERIALS_TYPE = 2
"""Packet types."""

MAX_CHANGES = 200
"""The maximum in an authority's event."""

_header = compile_layout(layouts.Header, timestamp_ms=TIME, session_id=IDENTIFIER)
_progress_body = compile_layout(
    layouts.ProgressBody, percent=HUNDREDTHS, quality=QUALITY, target_quality=QUALITY, remaining_ms=DURATION
)
_change_row = compile_record(
    layouts.ChangeRow,
    MaterialChange,
    FieldPart("material_id", IDENTIFIER),
    FieldPart("change_type", one_of("CHANGES", tuple(ChangeType))),
    FieldPart("quantity", QUANTITY),
    FieldPart("quality", QUALITY),
)

_TERMINAL = int(ProgressFlags.COMPLETED | ProgressFlags.FAILED)
_ALL_FLAGS = int(ProgressFlags.PAUSED | ProgressFlags.INTERRUPTED | ProgressFlags.COMPLETED | ProgressFlags.FAILED)


def encode_progress(record: ProgressRecord) -> bytes:
    """A UdpProgressUpdate, 48 bytes."""
    body = _progress_body.encode(
        record.percent, record.quality, record.target_quality, record.remaining, int(record.flags)
    )
    return _encode_header(PROGRESS_TYPE, record, len(body)) + body


def decode_progress(octets: bytes) -> ProgressRecord:
    """A UdpProgressUpdate from exactly its bytes."""
    sequence, timestamp, session_id = _decode_header(PROGRESS_TYPE, octets)
    if len(octets) != _header.size + _progress_body.size:
        raise BadDatagram("truncated" if len(octets) < _header.size + _progress_body.size else "overlong")
    percent, quality, target, remaining, flags = _progress_body.decode(octets, _header.size)
    if flags & ~_ALL_FLAGS:
        raise BadDatagram("reserved", "unknown flags")
    if flags & _TERMINAL and flags & flags - 1:
        raise BadDatagram("contradictory", "a craft that has ended, and another flag")
    return ProgressRecord(
        sequence,
        timestamp,
        session_id,
        percent,
        remaining,
        quality,
        target,
        ProgressFlags(flags),
    )


def encode_materials(record: MaterialsRecord) -> bytes:
    """A UdpMaterialUpdate, 32 bytes and 24 for each change."""
    if len(record.changes) > MAX_CHANGES:
        raise BadDatagram("overlong", f"more than {MAX_CHANGES} changes")
    rows = b"".join(map(_change_row.encode, record.changes))
    return _encode_header(MATERIALS_TYPE, record, len(rows)) + rows


def decode_materials(octets: bytes) -> MaterialsRecord:
    """A UdpMaterialUpdate from exactly its bytes."""
    sequence, timestamp, session_id = _decode_header(MATERIALS_TYPE, octets)
    count, rest = divmod(len(octets) - _header.size, _change_row.size)
    if rest:
        raise BadDatagram("trailing", "part of a row")
    if count > MAX_CHANGES:
        raise BadDatagram("overlong", f"more than {MAX_CHANGES} changes")
    return MaterialsRecord(
        sequence,
        timestamp,
        session_id,
        tuple(_change_row.decode(octets, _header.size + index * _change_row.size) for index in range(count)),
    )


def _encode_header(packet_type: int, record: ProgressRecord | MaterialsRecord, body: int) -> bytes:
    if not record.session_id.int:
        raise BadDatagram("nil_session")
    return _header.encode(
        packet_type,
        RECORD_VERSION,
        _header.size + body,
        record.sequence,
        record.timestamp_ms,
        record.session_id,
    )


def _decode_header(wanted: int, octets: bytes) -> tuple[int, int, UUID]:
    packet_type, version, length, sequence, timestamp, session = _header.decode(octets, 0)
    if version != RECORD_VERSION:
        raise BadDatagram("reserved", f"version {version} is not supported")
    if packet_type != wanted:
        raise BadDatagram("type", f"packet type {packet_type} is not {wanted}")
    if length != len(octets):
        raise BadDatagram("truncated" if length > len(octets) else "trailing", "the length in the header differs")
    if not session.int:
        raise BadDatagram("nil_session")
    return sequence, timestamp, session
