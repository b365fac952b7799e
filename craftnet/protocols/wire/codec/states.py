"""The records of a STATE."""

from __future__ import annotations

from collections.abc import Callable

import construct  # type: ignore[import-untyped]  # construct ships no annotations.

from craftnet.contract.messages import MaterialProblem, Status
from craftnet.contract.position import Position, is_epoch
from craftnet.crafting.progress import Progress
from craftnet.crafting.state import Material
from craftnet.errors import BadDatagram
from craftnet.protocols.wire import layouts
from craftnet.protocols.wire.codec.deltas import decode_materials_delta, encode_materials_delta
from craftnet.protocols.wire.codec.fields import (
    COUNT,
    DURATION,
    HELD_QUANTITY,
    HUNDREDTHS,
    IDENTIFIER,
    QUALITY,
    QUANTITY,
    REASON,
    REQUIRED,
    SECONDS,
)
from craftnet.protocols.wire.compiler.compiled_layouts import FieldPart, NestedParts, compile_layout, compile_record
from craftnet.protocols.wire.compiler.conversions import low, one_of
from craftnet.protocols.wire.records import (
    FreshSecret,
    MaterialsDelta,
    MaterialsPart,
    Problem,
    ProblemsPart,
    ProgressState,
    ReasonPart,
    Selector,
    SessionName,
    SessionOver,
    StateRecord,
)

_PROGRESS = (  # without the reason of a failure.
    FieldPart("status", one_of("STATUSES", tuple(Status))),
    FieldPart("percent", HUNDREDTHS),
    FieldPart("anchor_ms", SECONDS),
    FieldPart("remaining_ms", DURATION),
    FieldPart("quality", QUALITY),
    FieldPart("target_quality", QUALITY),
)
_progress_state = compile_record(
    layouts.ProgressState, ProgressState, FieldPart("version"), NestedParts(Progress, _PROGRESS)
)
_lone_progress = compile_layout(
    construct.Struct("acknowledgement" / layouts.Acknowledgement, "progress" / layouts.ProgressState),
    newest=low(32),
    earlier=low(32),
    **{part.field: part.conversion for part in _PROGRESS},
)
_reason_part = compile_layout(layouts.ReasonPart)
_materials_part = compile_layout(layouts.MaterialsPart)
_material_row = compile_record(  # without its problem.
    layouts.MaterialRow,
    Material,
    FieldPart("material_id", IDENTIFIER),
    FieldPart("quantity", HELD_QUANTITY),
    FieldPart("quality", QUALITY),
)
_problems_part = compile_layout(layouts.ProblemsPart)
_problem_row = compile_record(
    layouts.ProblemRow,
    Problem,
    FieldPart("row"),
    FieldPart("problem", one_of("PROBLEMS", tuple(MaterialProblem))),
    FieldPart("required_quantity", REQUIRED),
    FieldPart("available_quantity", QUANTITY),
    FieldPart("required_quality", QUALITY),
    FieldPart("available_quality", QUALITY),
)
_fresh_secret = compile_record(layouts.FreshSecret, FreshSecret, FieldPart("secret"))
_selector = compile_record(layouts.Selector, Selector, FieldPart("session"))
_position = compile_layout(layouts.FeedPosition, version=COUNT)
_session_over = compile_record(layouts.SessionOver, SessionOver, FieldPart("reason", REASON))

_session_name = compile_record(layouts.SessionName, SessionName, FieldPart("session_id", IDENTIFIER))

_WHOLE = 100.0

REASON_PART_SIZE = _reason_part.size
MATERIALS_PART_SIZE = _materials_part.size
MATERIAL_ROW_SIZE = _material_row.size
PROBLEMS_PART_SIZE = _problems_part.size
PROBLEM_ROW_SIZE = _problem_row.size
SELECTOR_SIZE = _selector.size
LONE_PROGRESS_SIZE = _lone_progress.size


encode_progress_state: Callable[[ProgressState], bytes] = _progress_state.encode
"""`encode_state_record` of what nearly every record is."""


encode_lone_progress: Callable[..., bytes] = _lone_progress.encode
"""The whole content of what nearly every datagram is: an acknowledgement and a progress record, packed at once.

Its arguments are those of `encode_acknowledgement`, then the version, anchor, percent, status, quality, target quality
and remaining seconds.
"""


def encode_state_record(record: StateRecord) -> bytes:
    """One record of the body of a STATE."""
    match record:
        case ProgressState():
            return _progress_state.encode(record)
        case ReasonPart():
            octets = record.octets
            return _reason_part.encode(record.version, record.total, record.offset, len(octets)) + octets
        case MaterialsPart():
            return _materials_part.encode(
                record.version, record.rows, record.problems, record.first, len(record.materials)
            ) + b"".join(map(_material_row.encode, record.materials))
        case MaterialsDelta():
            return encode_materials_delta(record)
        case FreshSecret():
            return _fresh_secret.encode(record)
        case Selector():
            return _selector.encode(record)
        case SessionOver():
            return _session_over.encode(record)
        case SessionName():
            return _session_name.encode(record)
        case Position():
            epoch = record.epoch.encode()
            return _position.encode(record.version, len(epoch)) + epoch
        case ProblemsPart():
            return _problems_part.encode(record.version, record.first, len(record.problems)) + b"".join(
                map(_problem_row.encode, record.problems)
            )


def decode_state(body: bytes) -> list[StateRecord]:
    """All records in the body of a STATE; at least one."""
    records: list[StateRecord] = []
    offset = 0
    while not records or offset < len(body):
        decoder = _decoders.get(body[offset]) if offset < len(body) else None
        if decoder is None:
            raise BadDatagram("type" if body else "truncated", "no record of a state starts here")
        record, offset = decoder(body, offset)
        records.append(record)
    if len(records) > 1:
        _check_agreement(records)
    return records


def _check_agreement(records: list[StateRecord]) -> None:
    """Checks that all records can describe one moment: one progress, one end, one table for each session."""
    session = 0
    versions: dict[tuple[int, str], int] = {}  # versions, of each session's topics.
    for record in records:
        match record:
            case Selector():
                session = record.session
            case ProgressState():
                _once(versions, session, "progress", record.version)
                _same(versions, session, "failure", record.version)
            case ReasonPart():
                _same(versions, session, "failure", record.version)
            case MaterialsPart() | ProblemsPart():
                _same(versions, session, "materials", record.version)
            case MaterialsDelta():
                _once(versions, session, "difference", record.version)
                _same(versions, session, "materials", record.version)
            case FreshSecret():
                _once(versions, 0, "secret", 0)
            case SessionOver():
                _once(versions, session, "end", 0)
            case Position():
                _once(versions, session, "position", 0)
            case SessionName():
                _once(versions, session, "name", 0)


def _once(versions: dict[tuple[int, str], int], session: int, topic: str, version: int) -> None:
    if (session, topic) in versions:
        raise BadDatagram("contradictory", f"{topic} occurs twice in one state")
    versions[session, topic] = version


def _same(versions: dict[tuple[int, str], int], session: int, topic: str, version: int) -> None:
    if versions.setdefault((session, topic), version) != version:
        raise BadDatagram("contradictory", f"{topic} of two versions in one state")


def _decode_progress_state(body: bytes, offset: int) -> tuple[StateRecord, int]:
    record = _progress_state.decode(body, offset)
    if record.progress.status is Status.COMPLETED and record.progress.percent != _WHOLE:
        raise BadDatagram("contradictory", "a completed craft that is not at 100 %")
    return record, offset + _progress_state.size


def _decode_reason_part(body: bytes, offset: int) -> tuple[StateRecord, int]:
    version, total, start, length = _reason_part.decode(body, offset)
    offset += _reason_part.size
    end = offset + length
    if end > len(body):
        raise BadDatagram("truncated")
    if start + length > total or not length:
        raise BadDatagram("out_of_range", "a part outside its text")
    return ReasonPart(version, total, start, body[offset:end]), end


def _decode_materials_part(body: bytes, offset: int) -> tuple[StateRecord, int]:
    version, rows, problems, first, count = _materials_part.decode(body, offset)
    if first + count > rows or problems > rows or (rows and not count):
        raise BadDatagram("out_of_range", "a part outside its table")
    offset += _materials_part.size
    materials = tuple(
        _material_row.decode(body, start)
        for start in range(offset, offset + count * _material_row.size, _material_row.size)
    )
    return MaterialsPart(version, rows, problems, first, materials), offset + count * _material_row.size


def _decode_problems_part(body: bytes, offset: int) -> tuple[StateRecord, int]:
    version, first, count = _problems_part.decode(body, offset)
    if not count:
        raise BadDatagram("out_of_range", "a part without entries")
    offset += _problems_part.size
    problems = tuple(
        _problem_row.decode(body, start)
        for start in range(offset, offset + count * _problem_row.size, _problem_row.size)
    )
    if len({problem.row for problem in problems}) < count:
        raise BadDatagram("contradictory", "two problems of one row")
    return ProblemsPart(version, first, problems), offset + count * _problem_row.size


def _decode_fresh_secret(body: bytes, offset: int) -> tuple[StateRecord, int]:
    return _fresh_secret.decode(body, offset), offset + _fresh_secret.size


def _decode_selector(body: bytes, offset: int) -> tuple[StateRecord, int]:
    return _selector.decode(body, offset), offset + _selector.size


def _decode_session_over(body: bytes, offset: int) -> tuple[StateRecord, int]:
    return _session_over.decode(body, offset), offset + _session_over.size


def _decode_session_name(body: bytes, offset: int) -> tuple[StateRecord, int]:
    return _session_name.decode(body, offset), offset + _session_name.size


def _decode_position(body: bytes, offset: int) -> tuple[StateRecord, int]:
    version, length = _position.decode(body, offset)
    offset += _position.size
    end = offset + length
    if end > len(body):
        raise BadDatagram("truncated")
    epoch = body[offset:end].decode("ascii", "replace")
    if not is_epoch(epoch):
        raise BadDatagram("out_of_range", "an invalid epoch")
    return Position(epoch, version, over_udp=True), end


_decoders: dict[int, Callable[[bytes, int], tuple[StateRecord, int]]] = {
    1: _decode_progress_state,
    2: _decode_reason_part,
    3: _decode_materials_part,
    4: _decode_problems_part,
    5: decode_materials_delta,
    6: _decode_fresh_secret,
    7: _decode_selector,
    8: _decode_session_over,
    9: _decode_position,
    10: _decode_session_name,
}
