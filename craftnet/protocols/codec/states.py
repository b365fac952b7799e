"""The records of a STATE."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from craftnet.errors import BadDatagram
from craftnet.messages import MaterialProblem, Status
from craftnet.model import Progress
from craftnet.protocols import layouts
from craftnet.protocols.codec.differences import decode_materials_delta, encode_materials_delta
from craftnet.protocols.codec.numbers import (
    from_hundredths,
    from_milliseconds,
    from_quality,
    from_quantity,
    integers,
    member,
    time,
    to_hundredths,
    to_milliseconds,
    to_quality,
    to_quantity,
)
from craftnet.protocols.codec.reasons import travelling
from craftnet.protocols.derivation import derive
from craftnet.protocols.layouts import NONE_U32
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

_progress_state = derive(layouts.ProgressState)
_reason_part = derive(layouts.ReasonPart)
_materials_part = derive(layouts.MaterialsPart)
_material_row = derive(layouts.MaterialRow)
_problems_part = derive(layouts.ProblemsPart)
_problem_row = derive(layouts.ProblemRow)
_fresh_secret = derive(layouts.FreshSecret)
_selector = derive(layouts.Selector)
_session_over = derive(layouts.SessionOver)

_STATUSES = tuple(Status)
_PROBLEMS = tuple(MaterialProblem)

REASON_PART_SIZE = _reason_part.size
MATERIALS_PART_SIZE = _materials_part.size
MATERIAL_ROW_SIZE = _material_row.size
PROBLEMS_PART_SIZE = _problems_part.size
PROBLEM_ROW_SIZE = _problem_row.size
SELECTOR_SIZE = _selector.size


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
                _material_row.pack(row.material_id.bytes, to_quantity(row.quantity), to_quality(row.quality))
                for row in record.materials
            )
        case MaterialsDelta():
            return encode_materials_delta(record)
        case FreshSecret():
            return _fresh_secret.pack(record.secret)
        case Selector():
            return _selector.pack(record.session)
        case SessionOver():
            return _session_over.pack(record.reason)
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
        time(round(progress.anchor * 1000)),
        to_hundredths(progress.percent),
        _STATUSES.index(progress.status),
        to_quality(progress.quality),
        to_quality(progress.target_quality),
        to_milliseconds(progress.remaining),
    )


def _decode_progress_state(body: bytes, offset: int) -> tuple[StateRecord, int]:
    version, anchor, percent, status, quality, target, remaining = integers(_progress_state.unpack(body, offset))
    progress = Progress(
        member(_STATUSES, status),
        from_hundredths(percent),
        time(anchor) / 1000,
        from_milliseconds(remaining),
        from_quality(quality),
        from_quality(target),
    )
    return ProgressState(version, progress), offset + _progress_state.size


def _decode_reason_part(body: bytes, offset: int) -> tuple[StateRecord, int]:
    version, total, start, length = integers(_reason_part.unpack(body, offset))
    offset += _reason_part.size
    end = offset + length
    if end > len(body):
        raise BadDatagram("truncated")
    if start + length > total or not length:
        raise BadDatagram("out_of_range", "a part outside its text")
    return ReasonPart(version, total, start, body[offset:end]), end


def _decode_materials_part(body: bytes, offset: int) -> tuple[StateRecord, int]:
    version, rows, problems, first, count = integers(_materials_part.unpack(body, offset))
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
    return Material(UUID(bytes=material), quantity, from_quality(quality))


def _decode_problems_part(body: bytes, offset: int) -> tuple[StateRecord, int]:
    version, first, count = integers(_problems_part.unpack(body, offset))
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
        to_quantity(problem.required_quantity),
        to_quantity(problem.available_quantity),
        to_quality(problem.required_quality),
        to_quality(problem.available_quality),
    )


def _decode_problem(body: bytes, offset: int) -> Problem:
    row, problem, required, available, required_quality, available_quality = integers(_problem_row.unpack(body, offset))
    if required == 0:
        raise BadDatagram("out_of_range", "a required quantity of 0")
    return Problem(
        row,
        member(_PROBLEMS, problem),
        from_quantity(required),
        from_quantity(available),
        from_quality(required_quality),
        from_quality(available_quality),
    )


def _decode_fresh_secret(body: bytes, offset: int) -> tuple[StateRecord, int]:
    (secret,) = _fresh_secret.unpack(body, offset)
    assert isinstance(secret, bytes)
    return FreshSecret(secret), offset + _fresh_secret.size


def _decode_selector(body: bytes, offset: int) -> tuple[StateRecord, int]:
    (session,) = integers(_selector.unpack(body, offset))
    return Selector(session), offset + _selector.size


def _decode_session_over(body: bytes, offset: int) -> tuple[StateRecord, int]:
    (reason,) = integers(_session_over.unpack(body, offset))
    return SessionOver(travelling(reason)), offset + _session_over.size


_decoders: dict[int, Callable[[bytes, int], tuple[StateRecord, int]]] = {
    1: _decode_progress_state,
    2: _decode_reason_part,
    3: _decode_materials_part,
    4: _decode_problems_part,
    5: decode_materials_delta,
    6: _decode_fresh_secret,
    7: _decode_selector,
    8: _decode_session_over,
}
