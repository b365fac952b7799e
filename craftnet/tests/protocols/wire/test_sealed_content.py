"""Tests the codec of encrypted content."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from craftnet.contract.messages import MaterialProblem, Status
from craftnet.contract.position import Position
from craftnet.crafting.progress import Progress
from craftnet.crafting.state import Material
from craftnet.errors import BadDatagram
from craftnet.protocols.wire import codec, layouts
from craftnet.protocols.wire.compiler.compiled_layouts import compile_layout
from craftnet.protocols.wire.records import (
    CloseReason,
    DatagramKind,
    Fragment,
    FreshSecret,
    HeartbeatBody,
    MaterialsDelta,
    MaterialsPart,
    Problem,
    ProblemsPart,
    ProgressFlags,
    ProgressRecord,
    ProgressState,
    ReasonPart,
    RowChange,
    Selector,
    SessionOver,
    StateRecord,
)
from craftnet.tests.support.record_strategies import deltas, state_records, u32
from craftnet.tests.support.samples import COPPER, IRON, SESSION

quick = settings(deadline=None, max_examples=60, derandomize=True)


class SealedContentTests(SynchronousTestCase):
    """Encrypted content."""

    @quick
    @given(st.lists(state_records, min_size=1, max_size=4, unique_by=type))
    def test_states_round_trip(self, expected: list[StateRecord]) -> None:
        """Each record in a session of its own, so that none contradicts another."""
        records = [each for number, record in enumerate(expected) for each in (Selector(number), record)]
        body = b"".join(map(codec.encode_state_record, records))
        self.assertEqual(codec.decode_state(body), records)
        for size in range(1, len(body), 7):
            try:
                shorter = codec.decode_state(body[:size])
            except BadDatagram:
                continue
            self.assertEqual(shorter, records[: len(shorter)])

    @quick
    @given(st.binary(max_size=120))
    def test_random_bytes_are_refused_or_mean_themselves(self, body: bytes) -> None:
        for start in (b"", b"\1", b"\2", b"\3", b"\4", b"\5", b"\6", b"\7", b"\x08"):
            try:
                records = codec.decode_state(start + body)
            except BadDatagram:
                continue
            self.assertEqual(b"".join(map(codec.encode_state_record, records)), start + body)

    def test_states_that_contradict_themselves(self) -> None:
        """All the records are of one moment; so what one says of a session, no other says otherwise."""
        progress = ProgressState(7, Progress(Status.FAILED, 50.0, 1.8e9))
        reason, part = ReasonPart(7, 3, 0, b"abc"), MaterialsPart(3, 1, 0, 0, (Material(IRON, 1, None),))
        delta, at = MaterialsDelta(3, 1, 1, (RowChange(0, 5),)), Position("6c0ffee", 1, over_udp=True)
        problems = ProblemsPart(3, 0, (Problem(0, MaterialProblem.QUALITY_TOO_LOW),))
        over, secret = SessionOver(CloseReason.ENDED), FreshSecret(bytes(32))
        for one, other, agree in (
            (progress, progress, False),
            (progress, reason, True),
            (progress, replace(reason, version=8), False),
            (reason, replace(reason, version=8), False),
            (part, problems, True),
            (part, replace(problems, version=4), False),
            (part, replace(part, version=4), False),
            (part, replace(delta, version=4), False),
            (part, delta, True),
            (delta, delta, False),
            (over, over, False),
            (at, at, False),
            (secret, secret, False),
        ):
            body = b"".join(map(codec.encode_state_record, (one, other)))
            if agree:
                self.assertEqual(codec.decode_state(body), [one, other])
            else:
                self._contradicts(codec.decode_state, body)
            if not isinstance(one, FreshSecret):
                self.assertEqual(len(codec.decode_state(self._of_two_sessions(one, other))), 3)

    def _of_two_sessions(self, *records: StateRecord) -> bytes:
        one, other = map(codec.encode_state_record, records)
        return one + codec.encode_state_record(Selector(1)) + other

    def _contradicts(self, decode: Callable[[bytes], object], body: bytes) -> None:
        self.assertEqual(self.assertRaises(BadDatagram, decode, body).outcome, "contradictory", body.hex())

    def test_records_that_contradict_themselves(self) -> None:
        short = Problem(4, MaterialProblem.QUALITY_TOO_LOW)
        for record in (
            ProgressState(7, Progress(Status.COMPLETED, 99.99, 1.8e9)),
            ProblemsPart(3, 0, (short, replace(short, problem=MaterialProblem.MATERIAL_RESTORED))),
        ):
            self._contradicts(codec.decode_state, codec.encode_state_record(record))
        for heartbeat in (HeartbeatBody(1, 0, 5), HeartbeatBody(1, 5, 0)):
            self._contradicts(codec.decode_heartbeat, codec.encode_heartbeat(heartbeat))
        for flags in (5, 6, 9, 10, 12, 15):
            posted = ProgressRecord(1, 2, SESSION, 50.0, flags=ProgressFlags(flags))
            self._contradicts(codec.decode_progress, codec.encode_progress(posted))

    def test_refused_states(self) -> None:
        row = Material(IRON, 1, None)
        for record in (
            ReasonPart(1, 3, 1, b"abc"),
            ReasonPart(1, 3, 1, b""),
            MaterialsPart(1, 1, 0, 1, (row,)),
            MaterialsPart(1, 1, 2, 0, (row,)),
            MaterialsPart(1, 1, 0, 0, ()),
            ProblemsPart(1, 0, ()),
            ProblemsPart(1, 0, (Problem(0, MaterialProblem.QUALITY_TOO_LOW, 0),)),
        ):
            self.assertRaises(BadDatagram, codec.decode_state, codec.encode_state_record(record))
        self.assertRaises(BadDatagram, codec.decode_state, b"")
        self.assertRaises(BadDatagram, codec.decode_state, b"\x09")

    def test_a_row_needs_its_quantity(self) -> None:
        octets = codec.encode_state_record(MaterialsPart(1, 1, 0, 0, (Material(COPPER, 1, None),)))
        self.assertRaises(BadDatagram, codec.decode_state, octets[:-5] + b"\xff" * 4 + b"\0")

    def test_heartbeats_and_closes(self) -> None:
        heartbeat = HeartbeatBody(1, 2, 3)
        self.assertEqual(codec.decode_heartbeat(codec.encode_heartbeat(heartbeat)), heartbeat)
        self.assertEqual(codec.decode_close(codec.encode_close(CloseReason.EXPIRED)), CloseReason.EXPIRED)
        for body in (b"", b"\0", b"\x80", b"\1\0"):
            self.assertRaises(BadDatagram, codec.decode_close, body)

    @quick
    @given(st.dictionaries(st.integers(0, 255), u32, max_size=40))
    def test_held_tables_round_trip(self, held: dict[int, int]) -> None:
        body = codec.encode_held(held)
        self.assertEqual(codec.decode_held(body), {0: 0, **held})
        self.assertEqual(len(body), 4 + 5 * len(held.keys() - {0}))

    @quick
    @given(st.sets(st.integers(0, 255), min_size=1))
    def test_sessions_left_round_trip(self, sessions: set[int]) -> None:
        body = codec.encode_leave(sorted(sessions))
        self.assertEqual(codec.decode_leave(body), sorted(sessions))

    @quick
    @given(st.binary(max_size=40))
    def test_bodies_have_one_form(self, body: bytes) -> None:
        with contextlib.suppress(BadDatagram):
            self.assertEqual(codec.encode_held(codec.decode_held(body)), body)
        with contextlib.suppress(BadDatagram):
            self.assertEqual(codec.encode_leave(codec.decode_leave(body)), body)

    @quick
    @given(st.integers(0, 3), st.integers(0, 3), st.integers(1, 65_536), st.binary(min_size=1, max_size=40))
    def test_fragments_round_trip(self, part: int, more: int, size: int, octets: bytes) -> None:
        fragment = Fragment(part, min(3, part + more), size, octets)
        body = codec.encode_fragment(fragment)
        self.assertEqual(codec.decode_fragment(body), fragment)
        parsed = layouts.Fragment.parse(body)
        self.assertEqual((parsed.place.part, parsed.place.last, parsed.most + 1), (part, fragment.last, size))

    @quick
    @given(st.binary(max_size=8))
    def test_random_fragments_are_refused_or_mean_themselves(self, body: bytes) -> None:
        try:
            fragment = codec.decode_fragment(body)
        except BadDatagram:
            return
        self.assertEqual(codec.encode_fragment(fragment), body)

    def test_refused_fragments(self) -> None:
        for body, outcome in (
            ("", "truncated"),
            ("1000", "truncated"),
            ("1000ff", "truncated"),
            ("1100ff00", "reserved"),
            ("4000ff00", "out_of_range"),
        ):
            error = self.assertRaises(BadDatagram, codec.decode_fragment, bytes.fromhex(body))
            self.assertEqual(error.outcome, outcome, body)
        for wrong in (Fragment(4, 4, 1, b"x"), Fragment(0, 0, 0, b"x"), Fragment(0, 0, 65_537, b"x")):
            self.assertRaises(BadDatagram, codec.encode_fragment, wrong)

    def test_the_handshake_kinds_are_not_sealed(self) -> None:
        self.assertRaises(
            BadDatagram, codec.decode_sealed_header, codec.encode_sealed_header(0, DatagramKind.HELLO, 1, 1)
        )
        self.assertEqual(
            codec.decode_sealed_header(codec.encode_sealed_header(1, DatagramKind.ACK, 1, 0x1FFFF)),
            (1, DatagramKind.ACK, 1, 0xFFFF),
        )

    @quick
    @given(deltas())
    def test_the_declaration_reads_differences_too(self, delta: MaterialsDelta) -> None:
        octets = codec.encode_state_record(delta)[compile_layout(layouts.MaterialsDelta).size :]
        row_bits = max(1, (delta.rows - 1).bit_length())
        parsed = layouts.RowChanges.parse(octets, count=len(delta.changes), row_bits=row_bits)
        for change, found in zip(delta.changes, parsed.changes, strict=True):
            self.assertEqual(found.row, change.row)
            self.assertEqual(found.quality, change.quality)
            self.assertEqual(found.quantity and (found.quantity.value or 0), change.quantity)
            if isinstance(change.problem, Problem):
                wanted = change.problem.available_quality or 0
                self.assertEqual(found.problem.available_quality, wanted)
        self.assertEqual(layouts.RowChanges.build(parsed, count=len(delta.changes), row_bits=row_bits), octets)

    def test_a_typical_change_takes_three_bytes(self) -> None:
        delta = MaterialsDelta(7, 1, 10, (RowChange(3, 900),))
        self.assertEqual(codec.encode_state_record(delta).hex(), "05" + "00000007" + "01" + "000a" + "01" + "385708")

    def test_differences_have_one_form(self) -> None:
        for wrong in ("05 00000007 00 000a 01 385708", "05 00000007 01 0000 01 385708", "05 00000007 01 000a 00"):
            self.assertRaises(BadDatagram, codec.decode_state, bytes.fromhex(wrong))
        good = bytes.fromhex("05 00000007 01 000a 01")
        for bits in (
            "0011 000 00000000 0",  # a change of nothing.
            "1010 100 000001 1 00",  # row 10 of 10.
            "0011 100 000010 01 0",  # a leading zero.
            "0011 100 111111 000",  # no quantity.
            "0011 010 1100101 00",  # a quality of 101.
            "0011 100 000001 1 1",  # a bit that fills up.
        ):
            text = bits.replace(" ", "").ljust(16, "0")
            octets = int(text, 2).to_bytes(len(text) // 8, "big")
            self.assertRaises(BadDatagram, codec.decode_state, good + octets)
