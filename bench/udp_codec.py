"""What the generated code of the UDP codec costs, against construct and against code written by hand.

    python bench/udp_codec.py

The record is the progress of a STATE (21 bytes, four bit fields). Prints microseconds; ends by itself in about 10 s.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from timeit import Timer

from craftnet.messages import Status
from craftnet.model import Progress
from craftnet.protocols import codec, layouts
from craftnet.protocols.derivation import derive
from craftnet.protocols.records import ProgressState

VALUES = (7, 1_800_000_000_000, 4_567, 1, 40, 90, 60_000)
NESTED = {
    "version": 7,
    "anchor_ms": 1_800_000_000_000,
    "model": {"percent": 4_567, "status": 1, "quality": 40, "target_quality": 90},
    "remaining_ms": 60_000,
}
RECORD = ProgressState(7, Progress(Status.PAUSED, 45.67, 1_800_000_000.0, 60.0, 40, 90))

_form = struct.Struct(">BIQII")


def pack_by_hand(
    version: int, anchor: int, percent: int, status: int, quality: int, target: int, remaining: int
) -> bytes:
    """The same bytes, without a declaration, and without a check."""
    return _form.pack(1, version, anchor, percent << 18 | status << 15 | quality << 8 | target << 1, remaining)


def unpack_by_hand(octets: bytes) -> tuple[int, ...]:
    """The way back, checked as the generated code checks."""
    tag, version, anchor, model, remaining = _form.unpack_from(octets, 0)
    if tag != 1 or model & 1:
        raise ValueError
    return version, anchor, model >> 18, model >> 15 & 7, model >> 8 & 127, model >> 1 & 127, remaining


def microseconds(work: Callable[[], object]) -> float:
    """The best of five: what the work costs when nothing disturbs it."""
    timer = Timer(work)
    number, taken = timer.autorange()
    return min([taken, *timer.repeat(4, number)]) / number * 1e6


def main() -> None:
    """Measure and print."""
    fast = derive(layouts.ProgressState)
    octets = fast.pack(*VALUES)
    assert octets == layouts.ProgressState.build(NESTED) == pack_by_hand(*VALUES)
    assert octets == codec.encode_state_record(RECORD)
    assert fast.unpack(octets, 0) == unpack_by_hand(octets) == VALUES
    compiled = layouts.ProgressState.compile()
    rows = [
        ("construct", lambda: layouts.ProgressState.build(NESTED), lambda: layouts.ProgressState.parse(octets)),
        ("construct, compiled", lambda: compiled.build(NESTED), lambda: compiled.parse(octets)),
        ("generated from the declaration", lambda: fast.pack(*VALUES), lambda: fast.unpack(octets, 0)),
        ("written by hand", lambda: pack_by_hand(*VALUES), lambda: unpack_by_hand(octets)),
        ("codec: value to bytes", lambda: codec.encode_state_record(RECORD), lambda: codec.decode_state(octets)),
    ]
    costs = {name: (microseconds(pack), microseconds(unpack)) for name, pack, unpack in rows}
    hand = costs["written by hand"]
    print(f"{'':32}{'pack µs':>10}{'× hand':>8}{'unpack µs':>12}{'× hand':>8}")
    for name, (pack, unpack) in costs.items():
        print(f"{name:32}{pack:10.2f}{pack / hand[0]:8.1f}{unpack:12.2f}{unpack / hand[1]:8.1f}")


if __name__ == "__main__":
    main()
