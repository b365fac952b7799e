"""The records of a STATE."""

from __future__ import annotations

from collections.abc import Callable

from craftnet.errors import BadDatagram
from craftnet.messages import MaterialProblem, Status
from craftnet.model import Progress
from craftnet.positions import Position, is_epoch
from craftnet.protocols import layouts
from craftnet.protocols.codec.differences import decode_materials_delta, encode_materials_delta
from craftnet.protocols.codec.numbers import (
    COUNT,
    DURATION,
    HUNDREDTHS,
    IDENTIFIER,
    QUALITY,
    QUANTITY,
    REQUIRED,
    SECONDS,
    STOCK,
)
from craftnet.protocols.codec.reasons import REASON
from craftnet.protocols.conversions import one_of
from craftnet.protocols.derivation import Made, Part, derive, form
from craftnet.protocols.records import (
    FreshSecret,
    MaterialsDelta,
    MaterialsPart,
    Problem,
    ProblemsPart,
    ProgressState,
    ReasonPart,
    Selector,
    SessionOver,
    StateRecord,
)
from craftnet.state import Material

_progress_state = form(
    layouts.ProgressState,
    ProgressState,
    Part("version"),
    Made(
        Progress,  # without the reason of a failure.
        (
            Part("status", one_of("STATUSES", tuple(Status))),
            Part("percent", HUNDREDTHS),
            Part("anchor_ms", SECONDS),
            Part("remaining_ms", DURATION),
            Part("quality", QUALITY),
            Part("target_quality", QUALITY),
        ),
    ),
)
_reason_part = derive(layouts.ReasonPart)
_materials_part = derive(layouts.MaterialsPart)
_material_row = form(  # without its problem.
    layouts.MaterialRow, Material, Part("material_id", IDENTIFIER), Part("quantity", STOCK), Part("quality", QUALITY)
)
_problems_part = derive(layouts.ProblemsPart)
_problem_row = form(
    layouts.ProblemRow,
    Problem,
    Part("row"),
    Part("problem", one_of("PROBLEMS", tuple(MaterialProblem))),
    Part("required_quantity", REQUIRED),
    Part("available_quantity", QUANTITY),
    Part("required_quality", QUALITY),
    Part("available_quality", QUALITY),
)
_fresh_secret = form(layouts.FreshSecret, FreshSecret, Part("secret"))
_selector = form(layouts.Selector, Selector, Part("session"))
_position = derive(layouts.FeedPosition, version=COUNT)
_session_over = form(layouts.SessionOver, SessionOver, Part("reason", REASON))

_WHOLE = 100.0

REASON_PART_SIZE = _reason_part.size
MATERIALS_PART_SIZE = _materials_part.size
MATERIAL_ROW_SIZE = _material_row.size
PROBLEMS_PART_SIZE = _problems_part.size
PROBLEM_ROW_SIZE = _problem_row.size
SELECTOR_SIZE = _selector.size


encode_progress_state: Callable[[ProgressState], bytes] = _progress_state.pack
"""`encode_state_record` of what nearly every record is."""


def encode_state_record(record: StateRecord) -> bytes:
    """One record of the body of a STATE."""
    match record:
        case ProgressState():
            return _progress_state.pack(record)
        case ReasonPart():
            octets = record.octets
            return _reason_part.pack(record.version, record.total, record.offset, len(octets)) + octets
        case MaterialsPart():
            return _materials_part.pack(
                record.version, record.rows, record.problems, record.first, len(record.materials)
            ) + b"".join(map(_material_row.pack, record.materials))
        case MaterialsDelta():
            return encode_materials_delta(record)
        case FreshSecret():
            return _fresh_secret.pack(record)
        case Selector():
            return _selector.pack(record)
        case SessionOver():
            return _session_over.pack(record)
        case Position():
            epoch = record.epoch.encode()
            return _position.pack(record.version, len(epoch)) + epoch
        case ProblemsPart():
            return _problems_part.pack(record.version, record.first, len(record.problems)) + b"".join(
                map(_problem_row.pack, record.problems)
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
    told: dict[tuple[int, str], int] = {}  # versions, of each session's topics.
    for record in records:
        match record:
            case Selector():
                session = record.session
            case ProgressState():
                _once(told, session, "progress", record.version)
                _same(told, session, "failure", record.version)
            case ReasonPart():
                _same(told, session, "failure", record.version)
            case MaterialsPart() | ProblemsPart():
                _same(told, session, "materials", record.version)
            case MaterialsDelta():
                _once(told, session, "difference", record.version)
                _same(told, session, "materials", record.version)
            case FreshSecret():
                _once(told, 0, "secret", 0)
            case SessionOver():
                _once(told, session, "end", 0)
            case Position():
                _once(told, session, "position", 0)


def _once(told: dict[tuple[int, str], int], session: int, topic: str, version: int) -> None:
    if (session, topic) in told:
        raise BadDatagram("contradictory", f"{topic} told twice in one state")
    told[session, topic] = version


def _same(told: dict[tuple[int, str], int], session: int, topic: str, version: int) -> None:
    if told.setdefault((session, topic), version) != version:
        raise BadDatagram("contradictory", f"{topic} of two versions in one state")


def _decode_progress_state(body: bytes, offset: int) -> tuple[StateRecord, int]:
    record = _progress_state.unpack(body, offset)
    if record.progress.status is Status.COMPLETED and record.progress.percent != _WHOLE:
        raise BadDatagram("contradictory", "a completed craft that is not at 100 %")
    return record, offset + _progress_state.size


def _decode_reason_part(body: bytes, offset: int) -> tuple[StateRecord, int]:
    version, total, start, length = _reason_part.unpack(body, offset)
    offset += _reason_part.size
    end = offset + length
    if end > len(body):
        raise BadDatagram("truncated")
    if start + length > total or not length:
        raise BadDatagram("out_of_range", "a part outside its text")
    return ReasonPart(version, total, start, body[offset:end]), end


def _decode_materials_part(body: bytes, offset: int) -> tuple[StateRecord, int]:
    version, rows, problems, first, count = _materials_part.unpack(body, offset)
    if first + count > rows or problems > rows or (rows and not count):
        raise BadDatagram("out_of_range", "a part outside its table")
    offset += _materials_part.size
    materials = tuple(
        _material_row.unpack(body, place)
        for place in range(offset, offset + count * _material_row.size, _material_row.size)
    )
    return MaterialsPart(version, rows, problems, first, materials), offset + count * _material_row.size


def _decode_problems_part(body: bytes, offset: int) -> tuple[StateRecord, int]:
    version, first, count = _problems_part.unpack(body, offset)
    if not count:
        raise BadDatagram("out_of_range", "a part without entries")
    offset += _problems_part.size
    problems = tuple(
        _problem_row.unpack(body, place)
        for place in range(offset, offset + count * _problem_row.size, _problem_row.size)
    )
    if len({problem.row for problem in problems}) < count:
        raise BadDatagram("contradictory", "two problems of one row")
    return ProblemsPart(version, first, problems), offset + count * _problem_row.size


def _decode_fresh_secret(body: bytes, offset: int) -> tuple[StateRecord, int]:
    return _fresh_secret.unpack(body, offset), offset + _fresh_secret.size


def _decode_selector(body: bytes, offset: int) -> tuple[StateRecord, int]:
    return _selector.unpack(body, offset), offset + _selector.size


def _decode_session_over(body: bytes, offset: int) -> tuple[StateRecord, int]:
    return _session_over.unpack(body, offset), offset + _session_over.size


def _decode_position(body: bytes, offset: int) -> tuple[StateRecord, int]:
    version, length = _position.unpack(body, offset)
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
}
