"""Test vectors of behaviour: the results of datagrams over time, or of several in a row."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple
from uuid import UUID

from msgspec.structs import asdict

from craftnet.contract.messages import MaterialProblem, Status
from craftnet.contract.position import Versions
from craftnet.crafting.progress import Progress, percent_at
from craftnet.crafting.state import Material
from craftnet.errors import BadDatagram
from craftnet.protocols.udp.client.received_state import ReceivedSession, ReceivedState
from craftnet.protocols.udp.core.heartbeat import Heartbeats
from craftnet.protocols.udp.core.key_update import KEY_UPDATE_PERIOD, MAX_DATAGRAMS_PER_KEY, SealingKeys
from craftnet.protocols.udp.core.replay_window import expand
from craftnet.protocols.udp.core.table_delta import wire_problem
from craftnet.protocols.wire import codec
from craftnet.protocols.wire.records import (
    CloseReason,
    HeartbeatBody,
    MaterialsDelta,
    MaterialsPart,
    Problem,
    ProblemsPart,
    ProgressState,
    ReasonPart,
    RowChange,
    Selector,
    SessionOver,
    StateRecord,
)

Json = dict[str, object]

_T = 1_800_000_000.0
_RUNNING = Progress(Status.ACTIVE, 20.0, _T, 40.0)
_IRON, _COPPER, _GOLD = (UUID(int=number) for number in (0x11, 0x22, 0x33))

PROGRESS: dict[str, tuple[Progress, float]] = {
    # name: the model, and the time at which it is evaluated.
    "a quarter of the time has passed": (_RUNNING, _T + 10),
    "before the anchor": (_RUNNING, _T - 10),
    "at the end, which nobody has told": (_RUNNING, _T + 40),
    "long after it": (_RUNNING, _T + 4000),
    "just before it": (_RUNNING, _T + 39.999),
    "nobody knows how long it takes": (Progress(Status.ACTIVE, 20.0, _T), _T + 10),
    "nothing remains, at the anchor": (Progress(Status.ACTIVE, 20.0, _T, 0.0), _T),
    "nothing remains, after the anchor": (Progress(Status.ACTIVE, 20.0, _T, 0.0), _T + 0.001),
    "active at 100 %": (Progress(Status.ACTIVE, 100.0, _T, 5.0), _T + 1),
    "paused": (Progress(Status.PAUSED, 20.0, _T, 40.0), _T + 10),
    "paused at 100 %": (Progress(Status.PAUSED, 100.0, _T, 40.0), _T + 10),
    "interrupted": (Progress(Status.INTERRUPTED, 33.33, _T, 40.0), _T + 10),
    "failed": (Progress(Status.FAILED, 77.5, _T, 40.0), _T + 10),
    "completed": (Progress(Status.COMPLETED, 100.0, _T, 0.0), _T - 10),
}


class Sent(NamedTuple):
    """A heartbeat that is sent."""

    at: float


class Heard(NamedTuple):
    """A heartbeat that is received; seconds after 1,800,000,000 s, None: 0."""

    at: float
    sequence: int
    sent: float
    echoed: float | None = None
    received: float | None = None


HEARTBEATS: dict[str, Sequence[Sent | Heard]] = {
    "a clock that is 100 s ahead, 30 ms away, and answers after 2 s": [Sent(0), Heard(2.06, 1, 102.03, 0, 100.03)],
    "what is echoed, and when it came": [Heard(1, 1, 51), Sent(3.5), Heard(4, 3, 54, 3.5, 53.75), Sent(5)],
    "the sample with the shortest round trip gives the offset": [
        *(Sent(0), Heard(0.02, 1, 100.01, 0, 100.01)),
        *(Sent(5), Heard(5.42, 2, 105.41, 5, 105.41)),
    ],
    "only the last eight samples count": [
        *(Sent(0), Heard(0.01, 1, 100.005, 0, 100.005)),
        *(
            each
            for number in range(1, 9)
            for each in (
                Sent(5 * number),
                Heard(5 * number + 0.1, number + 1, 5 * number + 100.08, 5 * number, 5 * number + 100.08),
            )
        ),
    ],
    "a clock that is set: what was measured before it says nothing any more": [
        *(Sent(0), Heard(0.02, 1, 100.01, 0, 100.01)),
        *(Sent(5), Heard(5.3, 2, 3705.15, 5, 3705.15)),
    ],
    "an echo of what was never sent": [Sent(0), Heard(0.02, 1, 100.01, 0.001, 100.01)],
    "an echo of the one before": [Sent(0), Sent(1), Heard(1.5, 1, 101.25, 0, 100.25)],
    "an older one comes late": [
        *(Sent(0), Heard(0.02, 2, 100.01, 0, 100.01)),
        *(Heard(0.5, 1, 95.0, 0, 95.0), Sent(1)),
    ],
    "a clock that was set back between two": [Heard(0.5, 1, 100), Heard(1, 2, 40), Sent(2)],
    "a round trip of less than nothing": [Sent(0), Heard(0.02, 1, 101.01, 0, 100.01)],
    "a round trip of more than a minute": [Sent(0), Heard(61, 1, 130.5, 0, 130.5)],
}


class Rotation(NamedTuple):
    """A sender, `seconds` after its first heartbeat, is about to send one as the datagram of that sequence."""

    seconds: float
    sequence: int
    acknowledged: int


ROTATIONS: dict[str, Sequence[Rotation]] = {
    "after 600 s, and 600 s after that": [
        *(Rotation(0, 1, 0), Rotation(599.9, 100, 99), Rotation(600, 101, 100), Rotation(1199.9, 200, 199)),
        *(Rotation(1200, 201, 200),),
    ],
    "not before something of this generation has arrived": [
        *(Rotation(0, 1, 0), Rotation(600, 100, 0), Rotation(700, 110, 1), Rotation(1400, 200, 109)),
        *(Rotation(1450, 210, 110),),
    ],
    "after 2^20 datagrams, counted anew": [
        *(Rotation(0, 1, 0), Rotation(5, MAX_DATAGRAMS_PER_KEY, 9), Rotation(10, MAX_DATAGRAMS_PER_KEY + 1, 9)),
        *(
            Rotation(15, 2 * MAX_DATAGRAMS_PER_KEY, MAX_DATAGRAMS_PER_KEY + 1),
            Rotation(20, 2 * MAX_DATAGRAMS_PER_KEY + 1, MAX_DATAGRAMS_PER_KEY + 1),
        ),
    ],
}


class StateStep(NamedTuple):
    """The records of a STATE, the sequence with which it arrived, and the records that are refused alone."""

    sequence: int
    records: Sequence[StateRecord]
    faults: Sequence[str] = ()


def _part(version: int, *quantities: int, rows: int = 2, problems: int = 0, first: int = 0) -> MaterialsPart:
    names = (_IRON, _COPPER, _GOLD)[first:]
    materials = tuple(Material(name, quantity) for name, quantity in zip(names, quantities, strict=False))
    return MaterialsPart(version, rows, problems, first, materials)


def _change(version: int, back: int, quantity: int, row: int = 0) -> MaterialsDelta:
    return MaterialsDelta(version, back, 2, (RowChange(row, quantity),))


def _problem(row: int, problem: MaterialProblem = MaterialProblem.QUALITY_TOO_LOW) -> Problem:
    return Problem(row, problem, required_quality=60)


def _failure(version: int) -> ProgressState:
    return ProgressState(version, Progress(Status.FAILED, 12.0, _T, 0.0))


def _reason(version: int, offset: int, text: bytes, total: int = 6) -> ReasonPart:
    return ReasonPart(version, total, offset, text)


def _active(version: int, percent: float) -> ProgressState:
    return ProgressState(version, Progress(Status.ACTIVE, percent, _T, 60.0))


RECEPTIONS: dict[str, Sequence[StateStep]] = {
    "a progress is taken by the order of its datagrams, not of its versions": [
        StateStep(5, [_active(7, 50.0)]),
        StateStep(4, [_active(8, 60.0)]),
        StateStep(6, [_active(6, 40.0)]),
    ],
    "versions wrap around": [
        StateStep(1, [_active(2**32 - 1, 10.0), _part(2**32 - 1, 1, 2)]),
        StateStep(2, [_active(0, 20.0)]),
        StateStep(3, [_change(1, 2, 5)]),
        StateStep(4, [_active(1, 30.0), _change(2, 3, 6, row=1)]),
    ],
    "parts in whatever order, twice, problems first": [
        StateStep(3, [ProblemsPart(9, 0, (_problem(1),))]),
        StateStep(2, [_part(9, 7, problems=1, first=1)]),
        StateStep(4, [_part(9, 7, problems=1, first=1)]),
        StateStep(1, [_part(9, 5, problems=1)]),
    ],
    "a part of a newer table begins it; one of an older that comes late is dropped": [
        StateStep(2, [_part(9, 5)]),
        StateStep(5, [_part(10, 6)]),
        StateStep(3, [_part(9, 7, first=1)]),
        StateStep(4, [_part(10, 8, first=1)]),
    ],
    "differences and parts have one watermark": [
        StateStep(2, [_part(3, 1, 2)]),
        StateStep(5, [_change(4, 1, 9)]),
        StateStep(4, [_part(3, 1, 2)]),  # late.
        StateStep(3, [_change(5, 2, 8)]),  # late: dropped, whatever its version.
        StateStep(9, [_part(6, 4)]),
        StateStep(6, [_change(5, 1, 7)]),  # late, behind the part.
        StateStep(7, [_change(6, 2, 7)]),  # the same, to the table that is put together.
        StateStep(8, [_part(6, 5, first=1)]),  # late, and of the table that is put together.
    ],
    "a difference to the version that is held changes nothing": [
        StateStep(2, [_part(3, 1, 2)]),
        StateStep(3, [_change(4, 1, 9)]),
        StateStep(4, [_change(4, 1, 9)]),
        StateStep(5, [_change(4, 200, 9)]),
    ],
    "a difference that ends what was being put together": [
        StateStep(2, [_part(3, 1, 2)]),
        StateStep(3, [_part(4, 9)]),
        StateStep(4, [_change(5, 2, 7)]),
        StateStep(5, [_part(4, 2, first=1)]),
    ],
    "a difference without a baseline changes nothing; the rest of its STATE does": [
        StateStep(2, [_part(3, 1, 2)]),
        StateStep(3, [_change(9, 1, 9), _active(2, 50.0)], ["no_baseline"]),
        StateStep(4, [MaterialsDelta(4, 1, 3, (RowChange(0, 5),))], ["no_baseline"]),
        StateStep(5, [_change(4, 1, 9)]),
    ],
    "parts with other totals": [
        StateStep(2, [_part(3, 1)]),
        StateStep(3, [_part(3, 2, rows=3, first=1)], ["contradictory"]),
        StateStep(4, [_part(3, 2, first=1)]),
        StateStep(5, [_part(3, 1)]),
    ],
    "parts with another row": [
        StateStep(2, [_part(3, 1)]),
        StateStep(3, [_part(3, 9, 2)], ["contradictory"]),
        StateStep(4, [_part(3, 9, 2)]),
    ],
    "a problem outside its table": [
        StateStep(2, [_part(3, 1, problems=1)]),
        StateStep(3, [ProblemsPart(3, 0, (_problem(2),))], ["contradictory"]),
        StateStep(4, [_part(3, 1, 2, problems=1), ProblemsPart(3, 0, (_problem(0),))]),
    ],
    "more problems than were said": [
        StateStep(2, [ProblemsPart(3, 1, (_problem(0),))]),
        StateStep(3, [_part(3, 1, 2, problems=1)], ["contradictory"]),
    ],
    "two problems of one row": [
        StateStep(2, [ProblemsPart(3, 0, (_problem(0),))]),
        StateStep(3, [ProblemsPart(3, 1, (_problem(0, MaterialProblem.MATERIAL_RESTORED),))], ["contradictory"]),
    ],
    "parts that contradict the table that is held": [
        StateStep(2, [_part(3, 1, 2)]),
        StateStep(3, [_part(3, 1)]),
        StateStep(4, [_part(3, 8, 2)], ["contradictory"]),
        StateStep(5, [_change(4, 1, 9)], ["no_baseline"]),
        StateStep(6, [_part(3, 8, 2)]),
        StateStep(7, [_change(4, 1, 9)]),
    ],
    "a reason in parts, before its progress": [
        StateStep(2, [_reason(7, 4, b"it")]),
        StateStep(1, [_reason(7, 0, b"not ")]),
        StateStep(3, [_failure(7)]),
    ],
    "a reason of another version": [
        StateStep(2, [_failure(7), _reason(7, 0, b"old")]),
        StateStep(5, [_failure(8), _reason(8, 0, b"new")]),
        StateStep(3, [_reason(7, 3, b"est")]),
        StateStep(4, [_reason(8, 3, b"est")]),
    ],
    "parts of a reason that contradict each other": [
        StateStep(2, [_failure(7), _reason(7, 0, b"too l")]),
        StateStep(3, [_reason(7, 3, b" late", total=8)], ["contradictory"]),
        StateStep(4, [_reason(7, 0, b"to"), _reason(7, 1, b"x")], ["contradictory"]),
        StateStep(5, [_reason(7, 0, b"to low")]),
    ],
    "a reason that is not UTF-8": [StateStep(2, [_failure(7), _reason(7, 0, b"a\xffb", total=3)])],
    "a session that is over": [
        StateStep(2, [_active(7, 50.0), Selector(1), _active(3, 10.0), _part(3, 1, 2)]),
        StateStep(4, [Selector(1), SessionOver(CloseReason.ENDED)]),
        StateStep(3, [Selector(1), _active(4, 99.0), _part(4, 5, 6)]),
        StateStep(5, [Selector(1), _active(5, 99.0), SessionOver(CloseReason.REVOKED)]),
    ],
    "an ACK names session 0, and those of whose tables was told": [
        StateStep(2, [_active(7, 50.0), Selector(2), _part(3, 1, 2), Selector(1), _active(1, 10.0)]),
        StateStep(3, [Selector(1), _part(8, 4)]),
        StateStep(4, [Selector(2), _change(9, 1, 9)], ["no_baseline"]),
        StateStep(5, [Selector(2), _active(8, 1.0)]),
    ],
}

COMPLETIONS = [
    # the newest sequence received, 0: none; and the low 16 bits of another.
    *((0, 1), (0, 0), (0, 32_769), (0, 65_535), (1, 0), (1, 65_535), (300, 45), (32_768, 0), (32_768, 1)),
    *((65_535, 0), (65_535, 65_535), (65_536, 65_535), (98_303, 0), (98_303, 65_535), (98_304, 0), (10**12, 0)),
]

POSITIONS = [
    # the version of a feed's position, that of the table held, and whether the client has reached the position.
    (Versions(7, 4, 1).encoded, 4, True),
    (Versions(7, 4, 1).encoded, 5, True),
    (Versions(7, 4, 1).encoded, 3, False),
    (Versions(7, 0, 1).encoded, 0, True),
    (Versions(7, 4, 1).encoded, 0, False),
    (Versions(7, 2050, 1).encoded, 2050, True),
    (Versions(7, 2050, 1).encoded, 2049, False),
    (Versions(7, 2047, 1).encoded, 2048, True),
]


def document() -> Json:
    """The whole document."""
    return {
        "progress_at": [
            {"name": name, "progress": progress, "at": at, "percent": round(percent_at(progress, at), 4)}
            for name, (progress, at) in PROGRESS.items()
        ],
        "heartbeats": [{"name": name, "steps": list(_heartbeats(steps))} for name, steps in HEARTBEATS.items()],
        "rotations": [{"name": name, "steps": list(_rotations(steps))} for name, steps in ROTATIONS.items()],
        "receptions": [{"name": name, "steps": list(_receptions(steps))} for name, steps in RECEPTIONS.items()],
        "completions": [
            {"newest": newest, "low": low, "sequence": expand(low, 16, newest)} for newest, low in COMPLETIONS
        ],
        "positions": [
            {"version": version, "materials_version": held, "there": there} for version, held, there in POSITIONS
        ],
    }


def _us(seconds: float | None) -> int:
    return 0 if seconds is None else round((_T + seconds) * 1_000_000)


def _heartbeats(steps: Sequence[Sent | Heard]) -> Iterable[Json]:
    """Each heartbeat, and the measurements after it."""
    pulse = Heartbeats(5.0, _T)
    for step in steps:
        now = _T + step.at
        if isinstance(step, Sent):
            yield {"at_us": _us(step.at), "sends": pulse.beat(now, now)}
            continue
        heartbeat = HeartbeatBody(_us(step.sent), _us(step.echoed), _us(step.received))
        pulse.heard(heartbeat, step.sequence, now, now)
        trip, offset = pulse.round_trip, pulse.offset
        yield {
            "at_us": _us(step.at),
            "sequence": step.sequence,
            "receives": heartbeat,
            "smoothed": None if trip.smoothed is None else round(trip.smoothed, 4),
            "timeout": round(trip.timeout, 4),
            "offset": None if offset is None else round(offset, 4),
        }


def _rotations(steps: Sequence[Rotation]) -> Iterable[Json]:
    keys, generation = SealingKeys.of(bytes(32), b"", b"client"), 0
    for step in steps:
        before = keys.phase
        keys.renew(step.sequence, step.acknowledged, step.seconds, KEY_UPDATE_PERIOD)
        generation += keys.phase != before
        yield {**step._asdict(), "generation": generation}


def _receptions(steps: Sequence[StateStep]) -> Iterable[Json]:
    copies = ReceivedState({})
    for step in steps:
        body = b"".join(map(codec.encode_state_record, step.records))
        _, faults = copies.apply(codec.decode_state(body), step.sequence)
        if [fault.outcome for fault in faults] != list(step.faults):
            raise BadDatagram("type", f"{step}: {faults}")  # what stands above is wrong, or the code is.
        indexes = {0, *(record.session for record in step.records if isinstance(record, Selector))}
        held = {index: _held(copy) for index in sorted(indexes) if (copy := copies.get(index))}
        yield {
            "sequence": step.sequence,
            "body": body.hex(),
            "faults": list(step.faults),
            "held": held,
            "ack": codec.encode_held(copies.report()).hex(),
        }


def _row(material: Material) -> Json:
    """A row of a table, with its problem as records encode it."""
    problem = wire_problem(0, material.problem)
    fields = {} if problem is None else asdict(problem)
    fields.pop("row", None)
    return {**asdict(material), "problem": fields or None}


def _held(copy: ReceivedSession) -> Json:
    """What a client holds of a session."""
    materials = copy.materials.materials
    return {
        "progress": copy.progress.progress,
        "progress_version": copy.progress.version,
        "materials": None if materials is None else [_row(material) for material in materials.materials],
        "over": copy.over,
    }
