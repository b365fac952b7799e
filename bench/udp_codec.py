"""Cost of the generated UDP codec, compared with construct and with handwritten code.

    python bench/udp_codec.py

First the numbers of one record, the progress of a STATE (21 bytes, four bit fields). Then whole datagrams without
encryption: header, acknowledgement and body, encoded and decoded with the same checks. Takes about 20 s.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from time import process_time
from timeit import Timer

from craftnet.contract.messages import Status
from craftnet.crafting.progress import Progress
from craftnet.protocols.wire import codec, layouts
from craftnet.protocols.wire.compiler.compiled_layouts import compile_layout
from craftnet.protocols.wire.records import DatagramKind, HeartbeatBody, ProgressState

VALUES = (7, 1_800_000_000_000, 4_567, 1, 40, 90, 60_000)
NESTED = {
    "version": 7,
    "anchor_ms": 1_800_000_000_000,
    "model": {"percent": 4_567, "status": 1, "quality": 40, "target_quality": 90},
    "remaining_ms": 60_000,
}
RECORD = ProgressState(7, Progress(Status.PAUSED, 45.67, 1_800_000_000.0, 60.0, 40, 90))
HEARTBEAT = HeartbeatBody(1_800_000_000_000_000, 1_800_000_000_000_000, 1_800_000_000_000_000)
PHASE, CONNECTION, SEQUENCE, NEWEST, EARLIER = 1, 0xDEADBEEF, 70_000, 80_000, 0xFFFFFFFF
LONGEST = (layouts.NONE_U32 - 1) / 1000

Datagram = tuple[bytes, bytes]
"""The header, and the content that is encrypted."""

Opened = tuple[int, int, int, int, int, int, object]
"""Key phase, kind, connection id, sequence, the acknowledgement's two numbers, and the body's values."""

_progress = struct.Struct(">BIQII")
_header = struct.Struct(">BIH")
_content = struct.Struct(">IIBIQII")
_beat = struct.Struct(">IIQQQ")
_statuses = tuple(Status)


def encode_by_hand(
    version: int, anchor: int, percent: int, status: int, quality: int, target: int, remaining: int
) -> bytes:
    """Encodes the same bytes without a declaration and without checks."""
    return _progress.pack(1, version, anchor, percent << 18 | status << 15 | quality << 8 | target << 1, remaining)


def decode_by_hand(octets: bytes) -> tuple[int, ...]:
    """Decodes them with the checks of the generated code."""
    tag, version, anchor, model, remaining = _progress.unpack_from(octets, 0)
    if tag != 1 or model & 1:
        raise ValueError
    return version, anchor, model >> 18, model >> 15 & 7, model >> 8 & 127, model >> 1 & 127, remaining


def state_by_hand(record: ProgressState) -> Datagram:
    """Encodes a STATE with one progress; a value out of range must not change its neighbours."""
    progress = record.progress
    remaining, quality, target = progress.remaining, progress.quality, progress.target_quality
    if not 0 <= progress.percent <= 100 or not 0 <= progress.anchor <= codec.MAX_TIME_MS / 1000:
        raise ValueError
    if not (quality is None or 1 <= quality <= 100) or not (target is None or 1 <= target <= 100):
        raise ValueError
    if not (remaining is None or 0 <= remaining <= LONGEST) or PHASE >> 1:
        raise ValueError
    model = (
        round(progress.percent * 100) << 18
        | _statuses.index(progress.status) << 15
        | (quality or 0) << 8
        | (target or 0) << 1
    )
    return _header.pack(64 | PHASE << 5 | 4, CONNECTION, SEQUENCE & 0xFFFF), _content.pack(
        NEWEST & 0xFFFFFFFF,
        EARLIER & 0xFFFFFFFF,
        1,
        record.version,
        round(progress.anchor * 1000),
        model,
        layouts.NONE_U32 if remaining is None else round(remaining * 1000),
    )


def read_state_by_hand(header: bytes, content: bytes) -> Opened:
    """Decodes it, with checks."""
    first, connection, sequence = _header.unpack(header)
    if first >> 6 != 1 or first & 31 != 4:
        raise ValueError
    if len(content) != _content.size:
        raise ValueError
    newest, earlier, tag, version, anchor, model, remaining = _content.unpack(content)
    percent, status, quality, target = model >> 18, model >> 15 & 7, model >> 8 & 127, model >> 1 & 127
    if tag != 1 or model & 1 or percent > 10_000 or status > 4 or quality > 100 or target > 100:
        raise ValueError
    if anchor > codec.MAX_TIME_MS:
        raise ValueError
    progress = Progress(
        _statuses[status],
        percent / 100,
        anchor / 1000,
        None if remaining == layouts.NONE_U32 else remaining / 1000,
        quality or None,
        target or None,
    )
    return first >> 5 & 1, first & 31, connection, sequence, newest, earlier, ProgressState(version, progress)


def heartbeat_by_hand(beat: HeartbeatBody) -> Datagram:
    """Encodes a HEARTBEAT; a value out of range must not change its neighbours."""
    if PHASE >> 1:
        raise ValueError
    return _header.pack(64 | PHASE << 5 | 6, CONNECTION, SEQUENCE & 0xFFFF), _beat.pack(
        NEWEST & 0xFFFFFFFF, EARLIER & 0xFFFFFFFF, beat.sent_us, beat.echoed_us, beat.received_us
    )


def read_heartbeat_by_hand(header: bytes, content: bytes) -> Opened:
    """Decodes it."""
    first, connection, sequence = _header.unpack(header)
    if first >> 6 != 1 or first & 31 != 6:
        raise ValueError
    if len(content) != _beat.size:
        raise ValueError
    newest, earlier, sent, echoed, received = _beat.unpack(content)
    return first >> 5 & 1, first & 31, connection, sequence, newest, earlier, HeartbeatBody(sent, echoed, received)


def state(record: ProgressState) -> Datagram:
    """Encodes it by the codec."""
    header = codec.encode_sealed_header(PHASE, DatagramKind.STATE, CONNECTION, SEQUENCE)
    return header, codec.encode_acknowledgement(NEWEST, EARLIER) + codec.encode_state_record(record)


def read_state(header: bytes, content: bytes) -> tuple[object, ...]:
    """Decodes it."""
    phase, kind, connection, sequence = codec.decode_sealed_header(header)
    newest, earlier = codec.decode_acknowledgement(content)
    return phase, kind, connection, sequence, newest, earlier, codec.decode_state(content[codec.ACKNOWLEDGEMENT_SIZE :])


def heartbeat(beat: HeartbeatBody) -> Datagram:
    """Encodes it by the codec."""
    header = codec.encode_sealed_header(PHASE, DatagramKind.HEARTBEAT, CONNECTION, SEQUENCE)
    return header, codec.encode_acknowledgement(NEWEST, EARLIER) + codec.encode_heartbeat(beat)


def read_heartbeat(header: bytes, content: bytes) -> tuple[object, ...]:
    """Decodes it."""
    phase, kind, connection, sequence = codec.decode_sealed_header(header)
    newest, earlier = codec.decode_acknowledgement(content)
    return (
        phase,
        kind,
        connection,
        sequence,
        newest,
        earlier,
        codec.decode_heartbeat(content[codec.ACKNOWLEDGEMENT_SIZE :]),
    )


def microseconds(work: Callable[[], object]) -> float:
    """The minimum of fifteen runs, which other work affects least."""
    return min(Timer(work, timer=process_time).repeat(15, 10_000)) / 10_000 * 1e6


def table(title: str, rows: dict[str, tuple[Callable[[], object], Callable[[], object]]]) -> None:
    """Measures and prints; the last row is the base of the ratios."""
    costs = {name: (microseconds(encode), microseconds(decode)) for name, (encode, decode) in rows.items()}
    hand = list(costs.values())[-1]
    print(f"{title:32}{'encode µs':>10}{'× hand':>8}{'decode µs':>12}{'× hand':>8}")
    for name, (encode, decode) in costs.items():
        print(f"{name:32}{encode:10.2f}{encode / hand[0]:8.1f}{decode:12.2f}{decode / hand[1]:8.1f}")
    print()


def main() -> None:
    """Measure and print."""
    fast = compile_layout(layouts.ProgressState)
    octets = fast.encode(*VALUES)
    assert octets == layouts.ProgressState.build(NESTED) == encode_by_hand(*VALUES)
    assert octets == codec.encode_state_record(RECORD)
    assert fast.decode(octets, 0) == decode_by_hand(octets) == VALUES
    record, beat = state(RECORD), heartbeat(HEARTBEAT)
    assert record == state_by_hand(RECORD) and beat == heartbeat_by_hand(HEARTBEAT)
    assert read_state_by_hand(*record)[-1] == RECORD and read_heartbeat_by_hand(*beat)[-1] == HEARTBEAT
    compiled = layouts.ProgressState.compile()
    table(
        "a record's numbers",
        {
            "construct": (lambda: layouts.ProgressState.build(NESTED), lambda: layouts.ProgressState.parse(octets)),
            "construct, compiled": (lambda: compiled.build(NESTED), lambda: compiled.parse(octets)),
            "generated": (lambda: fast.encode(*VALUES), lambda: fast.decode(octets, 0)),
            "written by hand": (lambda: encode_by_hand(*VALUES), lambda: decode_by_hand(octets)),
        },
    )
    table(
        "a STATE, its values",
        {
            "generated": (lambda: state(RECORD), lambda: read_state(*record)),
            "written by hand": (lambda: state_by_hand(RECORD), lambda: read_state_by_hand(*record)),
        },
    )
    table(
        "a HEARTBEAT, its values",
        {
            "generated": (lambda: heartbeat(HEARTBEAT), lambda: read_heartbeat(*beat)),
            "written by hand": (lambda: heartbeat_by_hand(HEARTBEAT), lambda: read_heartbeat_by_hand(*beat)),
        },
    )


if __name__ == "__main__":
    main()
