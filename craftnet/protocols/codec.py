"""Values to bytes and back. Strict: what is not exactly as `craftnet.protocols.layouts` declares it is refused.

Every function raises `craftnet.errors.BadDatagram`; its outcome is one of: truncated, overlong, trailing, version,
type, reserved, out_of_range, nil_session.
"""

from __future__ import annotations

import math
from typing import TypeVar
from uuid import UUID

from craftnet.errors import BadDatagram
from craftnet.messages import ChangeType, MaterialChange, MaterialProblem, Status
from craftnet.model import Progress
from craftnet.protocols import layouts
from craftnet.protocols.derivation import derive
from craftnet.protocols.layouts import NONE_U32, RECORD_VERSION
from craftnet.protocols.records import (
    Acknowledgement,
    Challenge,
    CloseReason,
    Cookie,
    Heartbeat,
    Hello,
    Kind,
    MaterialsPart,
    MaterialsRecord,
    Problem,
    ProblemsPart,
    ProgressFlags,
    ProgressRecord,
    ProgressState,
    ReasonPart,
    Response,
    StateRecord,
)
from craftnet.state import Material

PROGRESS_TYPE = 1
MATERIALS_TYPE = 2
"""Packet types of the HTTP interface's records."""

MAX_CHANGES = 200
"""As many as an authority's event may carry."""

MAX_QUALITY = 100

MAX_TIME_MS = 253_402_300_799_999
"""The end of the year 9999: what RFC 3339, and Python's datetime, can say."""

_header = derive(layouts.Header)
_progress_body = derive(layouts.ProgressBody)
_change_row = derive(layouts.ChangeRow)
_hello = derive(layouts.Hello)
_challenge = derive(layouts.Challenge)
_response = derive(layouts.Response)
_sealed_header = derive(layouts.SealedHeader)
_acknowledgement = derive(layouts.Acknowledgement)
_heartbeat = derive(layouts.Heartbeat)
_close = derive(layouts.Close)
_progress_state = derive(layouts.ProgressState)
_reason_part = derive(layouts.ReasonPart)
_materials_part = derive(layouts.MaterialsPart)
_material_row = derive(layouts.MaterialRow)
_problems_part = derive(layouts.ProblemsPart)
_problem_row = derive(layouts.ProblemRow)

_Member = TypeVar("_Member")

_CHANGE_TYPES = tuple(ChangeType)
_STATUSES = tuple(Status)
_PROBLEMS = tuple(MaterialProblem)
_ALL_FLAGS = int(ProgressFlags.PAUSED | ProgressFlags.INTERRUPTED | ProgressFlags.COMPLETED | ProgressFlags.FAILED)

SEALED_HEADER_SIZE = _sealed_header.size
ACKNOWLEDGEMENT_SIZE = _acknowledgement.size
REASON_PART_SIZE = _reason_part.size
MATERIALS_PART_SIZE = _materials_part.size
MATERIAL_ROW_SIZE = _material_row.size
PROBLEMS_PART_SIZE = _problems_part.size
PROBLEM_ROW_SIZE = _problem_row.size

# --- The records of the HTTP interface ------------------------------------------------------------------------------


def encode_progress(record: ProgressRecord) -> bytes:
    """A UdpProgressUpdate, 48 bytes."""
    body = _progress_body.pack(
        _to_hundredths(record.percent),
        _to_quality(record.quality),
        _to_quality(record.target_quality),
        _to_milliseconds(record.remaining),
        int(record.flags),
    )
    return _encode_header(PROGRESS_TYPE, record, len(body)) + body


def decode_progress(octets: bytes) -> ProgressRecord:
    """A UdpProgressUpdate from exactly its bytes."""
    sequence, timestamp, session_id = _decode_header(PROGRESS_TYPE, octets)
    if len(octets) != _header.size + _progress_body.size:
        raise BadDatagram("truncated" if len(octets) < _header.size + _progress_body.size else "overlong")
    percent, quality, target, remaining, flags = _integers(_progress_body.unpack(octets, _header.size))
    if flags & ~_ALL_FLAGS:
        raise BadDatagram("reserved", "flags that mean nothing")
    return ProgressRecord(
        sequence,
        timestamp,
        session_id,
        _from_hundredths(percent),
        _from_milliseconds(remaining),
        _from_quality(quality),
        _from_quality(target),
        ProgressFlags(flags),
    )


def encode_materials(record: MaterialsRecord) -> bytes:
    """A UdpMaterialUpdate, 32 bytes and 24 for each change."""
    if len(record.changes) > MAX_CHANGES:
        raise BadDatagram("overlong", f"more than {MAX_CHANGES} changes")
    rows = b"".join(
        _change_row.pack(
            change.material_id.bytes,
            _to_quantity(change.new_quantity),
            _CHANGE_TYPES.index(change.change_type),
            _to_quality(change.new_quality),
        )
        for change in record.changes
    )
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
        tuple(_decode_change(octets, _header.size + index * _change_row.size) for index in range(count)),
    )


def _encode_header(packet_type: int, record: ProgressRecord | MaterialsRecord, body: int) -> bytes:
    if not record.session_id.int:
        raise BadDatagram("nil_session")
    return _header.pack(
        packet_type,
        RECORD_VERSION,
        _header.size + body,
        record.sequence,
        _time(record.timestamp_ms),
        record.session_id.bytes,
    )


def _decode_header(wanted: int, octets: bytes) -> tuple[int, int, UUID]:
    packet_type, version, length, sequence, timestamp, session = _header.unpack(octets, 0)
    if version != RECORD_VERSION:
        raise BadDatagram("version", f"version {version} is not understood")
    if packet_type != wanted:
        raise BadDatagram("type", f"packet type {packet_type} is not {wanted}")
    assert isinstance(length, int) and isinstance(sequence, int) and isinstance(timestamp, int)
    assert isinstance(session, bytes)
    if length != len(octets):
        raise BadDatagram("truncated" if length > len(octets) else "trailing", "the length in the header differs")
    if not any(session):
        raise BadDatagram("nil_session")
    return sequence, _time(timestamp), UUID(bytes=session)


def _decode_change(octets: bytes, offset: int) -> MaterialChange:
    material, quantity, change, quality = _change_row.unpack(octets, offset)
    assert isinstance(material, bytes) and isinstance(quantity, int)
    assert isinstance(change, int) and isinstance(quality, int)
    return MaterialChange(
        material_id=UUID(bytes=material),
        change_type=_member(_CHANGE_TYPES, change),
        new_quantity=_from_quantity(quantity),
        new_quality=_from_quality(quality),
    )


# --- The UDP protocol: handshake. The MAC that ends these is no part of it. ------------------------------------------


def encode_hello(hello: Hello) -> bytes:
    """A HELLO without its MAC."""
    return _hello.pack(hello.connection_id, hello.client_nonce)


def decode_hello(octets: bytes) -> Hello:
    """A HELLO from all before its MAC."""
    _exactly(octets, _hello.size)
    connection_id, client_nonce = _hello.unpack(octets, 0)
    assert isinstance(connection_id, int) and isinstance(client_nonce, bytes)
    return Hello(connection_id, client_nonce)


def encode_challenge(challenge: Challenge) -> bytes:
    """A CHALLENGE without its MAC."""
    cookie = challenge.cookie
    return _challenge.pack(
        challenge.connection_id, challenge.client_nonce, cookie.issued_us, cookie.server_nonce, cookie.seal
    )


def decode_challenge(octets: bytes) -> Challenge:
    """A CHALLENGE from all before its MAC."""
    _exactly(octets, _challenge.size)
    return Challenge(*_with_cookie(_challenge.unpack(octets, 0)))


def encode_response(response: Response) -> bytes:
    """A RESPONSE without its MAC."""
    cookie = response.cookie
    return _response.pack(
        response.connection_id, response.client_nonce, cookie.issued_us, cookie.server_nonce, cookie.seal
    )


def decode_response(octets: bytes) -> Response:
    """A RESPONSE from all before its MAC."""
    _exactly(octets, _response.size)
    return Response(*_with_cookie(_response.unpack(octets, 0)))


def _with_cookie(values: tuple[object, ...]) -> tuple[int, bytes, Cookie]:
    connection_id, client_nonce, issued, server_nonce, seal = values
    assert isinstance(connection_id, int) and isinstance(client_nonce, bytes) and isinstance(issued, int)
    assert isinstance(server_nonce, bytes) and isinstance(seal, bytes)
    return connection_id, client_nonce, Cookie(issued, server_nonce, seal)


# --- The UDP protocol: sealed datagrams ------------------------------------------------------------------------------


def encode_sealed_header(kind: Kind, connection_id: int, sequence: int) -> bytes:
    """The readable part of a datagram, of whose `sequence` the low 16 bits travel."""
    return _sealed_header.pack(kind, connection_id, sequence & 0xFFFF)


def decode_sealed_header(datagram: bytes) -> tuple[Kind, int, int]:
    """Kind, connection id and the sequence's low 16 bits; what follows the header is not looked at."""
    kind, connection_id, low = _integers(_sealed_header.unpack(datagram, 0))
    sealed = _SEALED.get(kind)
    if sealed is None:
        raise BadDatagram("type", f"kind {kind} is no sealed datagram")
    return sealed, connection_id, low


_SEALED = {int(kind): kind for kind in (Kind.STATE, Kind.ACK, Kind.HEARTBEAT, Kind.RESYNC, Kind.CLOSE)}


def encode_acknowledgement(newest: int, earlier: int) -> bytes:
    """What opens the content of every sealed datagram; of `newest` the low 32 bits travel."""
    return _acknowledgement.pack(newest & 0xFFFFFFFF, earlier)


def decode_acknowledgement(content: bytes) -> Acknowledgement:
    """From the content of a sealed datagram; what follows it is not looked at."""
    newest, earlier = _integers(_acknowledgement.unpack(content, 0))
    return Acknowledgement(newest, earlier)


def encode_heartbeat(heartbeat: Heartbeat) -> bytes:
    """The body of a HEARTBEAT."""
    return _heartbeat.pack(heartbeat.sent_us, heartbeat.echoed_us, heartbeat.received_us)


def decode_heartbeat(body: bytes) -> Heartbeat:
    """From exactly the body of a HEARTBEAT."""
    _exactly(body, _heartbeat.size)
    sent, echoed, received = _integers(_heartbeat.unpack(body, 0))
    return Heartbeat(sent, echoed, received)


def encode_close(reason: CloseReason) -> bytes:
    """The body of a CLOSE."""
    return _close.pack(reason)


def decode_close(body: bytes) -> CloseReason:
    """From exactly the body of a CLOSE."""
    _exactly(body, _close.size)
    (reason,) = _integers(_close.unpack(body, 0))
    if reason not in _TRAVELLING:
        raise BadDatagram("out_of_range", f"no reason has the number {reason}")
    return CloseReason(reason)


_TRAVELLING = frozenset(reason for reason in CloseReason if reason < CloseReason.SILENT)


def misplaced(kind: Kind) -> BadDatagram:
    """The error of an authentic datagram whose kind only the other side may send."""
    return BadDatagram("type", f"{kind.name} does not go this way")


def decode_nothing(body: bytes) -> None:
    """The body of an ACK or a RESYNC: there is none."""
    _exactly(body, 0)


# --- The UDP protocol: the records of a STATE ------------------------------------------------------------------------


def encode_state_record(record: StateRecord) -> bytes:
    """One record of the body of a STATE."""
    match record:
        case ProgressState():
            return _encode_progress_state(record)
        case ReasonPart():
            octets = record.octets
            return _reason_part.pack(record.version, record.total, record.offset, len(octets)) + octets
        case MaterialsPart():
            return _materials_part.pack(
                record.version, record.rows, record.problems, record.first, len(record.materials)
            ) + b"".join(
                _material_row.pack(row.material_id.bytes, _to_quantity(row.quantity), _to_quality(row.quality))
                for row in record.materials
            )
        case ProblemsPart():
            return _problems_part.pack(record.version, record.first, len(record.problems)) + b"".join(
                map(_encode_problem, record.problems)
            )


def decode_state(body: bytes) -> list[StateRecord]:
    """All the records of the body of a STATE; at least one."""
    records: list[StateRecord] = []
    offset = 0
    while not records or offset < len(body):
        decoder = _decoders.get(body[offset]) if offset < len(body) else None
        if decoder is None:
            raise BadDatagram("type" if body else "truncated", "no record of a state starts here")
        record, offset = decoder(body, offset)
        records.append(record)
    return records


def _encode_progress_state(record: ProgressState) -> bytes:
    progress = record.progress
    return _progress_state.pack(
        record.version,
        _time(round(progress.anchor * 1000)),
        _to_hundredths(progress.percent),
        _STATUSES.index(progress.status),
        _to_quality(progress.quality),
        _to_quality(progress.target_quality),
        _to_milliseconds(progress.remaining),
    )


def _decode_progress_state(body: bytes, offset: int) -> tuple[StateRecord, int]:
    version, anchor, percent, status, quality, target, remaining = _integers(_progress_state.unpack(body, offset))
    progress = Progress(
        _member(_STATUSES, status),
        _from_hundredths(percent),
        _time(anchor) / 1000,
        _from_milliseconds(remaining),
        _from_quality(quality),
        _from_quality(target),
    )
    return ProgressState(version, progress), offset + _progress_state.size


def _decode_reason_part(body: bytes, offset: int) -> tuple[StateRecord, int]:
    version, total, start, length = _integers(_reason_part.unpack(body, offset))
    offset += _reason_part.size
    end = offset + length
    if end > len(body):
        raise BadDatagram("truncated")
    if start + length > total or not length:
        raise BadDatagram("out_of_range", "a part outside its text")
    return ReasonPart(version, total, start, body[offset:end]), end


def _decode_materials_part(body: bytes, offset: int) -> tuple[StateRecord, int]:
    version, rows, problems, first, count = _integers(_materials_part.unpack(body, offset))
    if first + count > rows or problems > rows or (rows and not count):
        raise BadDatagram("out_of_range", "a part outside its table")
    offset += _materials_part.size
    materials = tuple(
        _decode_material(body, place)
        for place in range(offset, offset + count * _material_row.size, _material_row.size)
    )
    return MaterialsPart(version, rows, problems, first, materials), offset + count * _material_row.size


def _decode_material(body: bytes, offset: int) -> Material:
    material, quantity, quality = _material_row.unpack(body, offset)
    assert isinstance(material, bytes) and isinstance(quantity, int) and isinstance(quality, int)
    if quantity == NONE_U32:
        raise BadDatagram("out_of_range", "a material without a quantity")
    return Material(UUID(bytes=material), quantity, _from_quality(quality))


def _decode_problems_part(body: bytes, offset: int) -> tuple[StateRecord, int]:
    version, first, count = _integers(_problems_part.unpack(body, offset))
    if not count:
        raise BadDatagram("out_of_range", "a part without entries")
    offset += _problems_part.size
    problems = tuple(
        _decode_problem(body, place) for place in range(offset, offset + count * _problem_row.size, _problem_row.size)
    )
    return ProblemsPart(version, first, problems), offset + count * _problem_row.size


def _encode_problem(problem: Problem) -> bytes:
    return _problem_row.pack(
        problem.row,
        _PROBLEMS.index(problem.problem),
        _to_quantity(problem.required_quantity),
        _to_quantity(problem.available_quantity),
        _to_quality(problem.required_quality),
        _to_quality(problem.available_quality),
    )


def _decode_problem(body: bytes, offset: int) -> Problem:
    row, problem, required, available, required_quality, available_quality = _integers(
        _problem_row.unpack(body, offset)
    )
    if required == 0:
        raise BadDatagram("out_of_range", "a required quantity of 0")
    return Problem(
        row,
        _member(_PROBLEMS, problem),
        _from_quantity(required),
        _from_quantity(available),
        _from_quality(required_quality),
        _from_quality(available_quality),
    )


_decoders = {
    1: _decode_progress_state,
    2: _decode_reason_part,
    3: _decode_materials_part,
    4: _decode_problems_part,
}

# --- Numbers ----------------------------------------------------------------------------------------------------------


def _integers(values: tuple[object, ...]) -> tuple[int, ...]:
    """The same tuple, for a layout that has integers only."""
    return values  # type: ignore[return-value]  # the layout says so.


def _exactly(octets: bytes, size: int) -> None:
    if len(octets) != size:
        raise BadDatagram("truncated" if len(octets) < size else "trailing")


def _member(members: tuple[_Member, ...], index: int) -> _Member:
    if index >= len(members):
        raise BadDatagram("out_of_range", "a number that stands for nothing")
    return members[index]


def _time(milliseconds: int) -> int:
    if not 0 <= milliseconds <= MAX_TIME_MS:
        raise BadDatagram("out_of_range", "a time after the year 9999")
    return milliseconds


def _to_hundredths(percent: float) -> int:
    if not 0 <= percent <= 100:
        raise BadDatagram("out_of_range", "a percentage outside 0–100")
    return round(percent * 100)


def _from_hundredths(hundredths: int) -> float:
    if hundredths > 10_000:
        raise BadDatagram("out_of_range", "a percentage beyond 100")
    return hundredths / 100


def _to_milliseconds(seconds: float | None) -> int:
    if seconds is None:
        return NONE_U32
    if not math.isfinite(seconds) or not 0 <= round(seconds * 1000) < NONE_U32:
        raise BadDatagram("out_of_range", "a remaining time that does not fit")
    return round(seconds * 1000)


def _from_milliseconds(milliseconds: int) -> float | None:
    return None if milliseconds == NONE_U32 else milliseconds / 1000


def _to_quality(quality: int | None) -> int:
    if quality is None:
        return 0
    if not 1 <= quality <= MAX_QUALITY:
        raise BadDatagram("out_of_range", "a quality outside 1–100")
    return quality


def _from_quality(quality: int) -> int | None:
    if quality > MAX_QUALITY:
        raise BadDatagram("out_of_range", "a quality beyond 100")
    return quality or None


def _to_quantity(quantity: int | None) -> int:
    if quantity is None:
        return NONE_U32
    if not 0 <= quantity < NONE_U32:
        raise BadDatagram("out_of_range", "a quantity that does not fit")
    return quantity


def _from_quantity(quantity: int) -> int | None:
    return None if quantity == NONE_U32 else quantity


def first_byte(kind: Kind) -> int:
    """How a datagram of this kind begins."""
    return _sealed_header.pack(kind, 0, 0)[0]


def connection_id(datagram: bytes) -> int:
    """The connection id, which every datagram has in the same place; five bytes are enough."""
    return int.from_bytes(datagram[1:5], "big")
