"""Hypothesis strategies for every record of the UDP protocol."""

from __future__ import annotations

from hypothesis import strategies as st
from msgspec import UNSET
from msgspec.structs import replace

from craftnet.contract.messages import ChangeType, MaterialChange, MaterialProblem, Status
from craftnet.contract.position import Position
from craftnet.crafting.progress import Progress
from craftnet.crafting.state import Material
from craftnet.protocols.wire import codec
from craftnet.protocols.wire.records import (
    CloseReason,
    FreshSecret,
    MaterialsDelta,
    MaterialsPart,
    MaterialsRecord,
    Problem,
    ProblemsPart,
    ProgressFlags,
    ProgressRecord,
    ProgressState,
    ReasonPart,
    RowChange,
    Selector,
    SessionName,
    SessionOver,
    StateRecord,
)

u32 = st.integers(0, 2**32 - 1)


sessions = st.uuids().filter(lambda value: value.int != 0)


qualities = st.none() | st.integers(1, 100)


quantities = st.none() | st.integers(0, 2**32 - 2)


hundredths = st.integers(0, 10_000).map(lambda value: value / 100)


times = st.none() | st.integers(0, 2**32 - 2).map(lambda value: value / 1000)


progress_records = st.builds(
    ProgressRecord,
    u32,
    st.integers(0, codec.MAX_TIME_MS),
    sessions,
    hundredths,
    times,
    qualities,
    qualities,
    st.sampled_from([0, 1, 2, 3, 4, 8]).map(ProgressFlags),
)


changes = st.builds(
    MaterialChange,
    material_id=st.uuids(),
    change_type=st.sampled_from(ChangeType),
    new_quantity=quantities,
    new_quality=qualities,
)


materials_records = st.builds(
    MaterialsRecord, u32, st.integers(0, codec.MAX_TIME_MS), sessions, st.lists(changes, max_size=5).map(tuple)
)


progress_states = st.builds(
    ProgressState,
    u32,
    st.builds(
        Progress,
        st.sampled_from(Status),
        hundredths,
        st.integers(0, 2**44).map(lambda value: value / 1000),
        times,
        qualities,
        qualities,
    ).map(lambda expected: replace(expected, percent=100.0) if expected.status is Status.COMPLETED else expected),
)


materials = st.builds(Material, st.uuids(), st.integers(0, 2**32 - 2), qualities)


problems = st.builds(
    Problem,
    st.integers(0, 65535),
    st.sampled_from(MaterialProblem),
    st.none() | st.integers(1, 2**32 - 2),
    quantities,
    qualities,
    qualities,
)


@st.composite
def deltas(draw: st.DrawFn) -> MaterialsDelta:
    """Differences of tables of any size."""
    rows = draw(st.integers(1, 65535))
    wanted = draw(st.lists(st.integers(0, rows - 1), min_size=1, max_size=6, unique=True).map(sorted))
    changes = []
    for row in wanted:
        problem = draw(st.none() | problems)
        quantity, quality = draw(quantities), draw(st.none() | st.integers(0, 100))
        nothing = quantity is None and quality is None
        expected = problem and replace(problem, row=row)
        changes.append(RowChange(row, quantity, quality, expected if nothing or draw(st.booleans()) else UNSET))
    return MaterialsDelta(draw(u32), draw(st.integers(1, 255)), rows, tuple(changes))


state_records: st.SearchStrategy[StateRecord] = st.one_of(
    deltas(),
    st.builds(FreshSecret, st.binary(min_size=32, max_size=32)),
    st.builds(Selector, st.integers(0, 255)),
    st.builds(SessionName, st.uuids()),
    st.builds(
        Position, st.from_regex(r"[0-9A-Za-z_-]{1,64}", fullmatch=True), st.integers(0, 2**53 - 1), st.just(True)
    ),
    st.builds(SessionOver, st.sampled_from([reason for reason in CloseReason if reason < CloseReason.SILENT])),
    progress_states,
    st.builds(ReasonPart, u32, st.just(400), st.integers(0, 100), st.binary(min_size=1, max_size=255)),
    st.builds(
        MaterialsPart,
        u32,
        st.integers(20, 60000),
        st.integers(0, 20),
        st.integers(0, 10),
        st.lists(materials, min_size=1, max_size=5).map(tuple),
    ),
    st.builds(
        ProblemsPart,
        u32,
        st.integers(0, 65535),
        st.lists(problems, min_size=1, max_size=5, unique_by=lambda problem: problem.row).map(tuple),
    ),
)
