from __future__ import annotations

import struct
from uuid import UUID

from construct import (  # type: ignore[import-untyped]  # construct ships no annotations.
    BitsInteger,
    BitStruct,
    Bytes,
    Const,
    ConstructError,
    CString,
    Int8ub,
    Struct,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from craftnet.contract.messages import ChangeType, MaterialChange
from craftnet.errors import BadDatagram
from craftnet.protocols.wire import codec, layouts
from craftnet.protocols.wire.compiler.compiled_layouts import FieldPart, NestedParts, compile_layout, compile_record
from craftnet.protocols.wire.compiler.conversions import Conversion, low, one_of, reader, writer
from craftnet.protocols.wire.records import (
    Challenge,
    ChallengeResponse,
    Cookie,
    DatagramKind,
    HeartbeatBody,
    Hello,
    MaterialsRecord,
    ProgressFlags,
    ProgressRecord,
)
from craftnet.tests.support.record_strategies import materials_records, progress_records
from craftnet.tests.support.samples import IRON, SESSION

quick = settings(deadline=None, max_examples=60, derandomize=True)


FIXED = {
    name: getattr(layouts, name)
    for name in (
        "Header",
        "ProgressBody",
        "ChangeRow",
        "Hello",
        "Challenge",
        "Response",
        "SealedHeader",
        "Acknowledgement",
        "Heartbeat",
        "Close",
        "Held",
        "HeldToo",
        "Left",
        "Probe",
        "Fragment",
        "ProgressState",
        "ReasonPart",
        "MaterialsPart",
        "MaterialRow",
        "ProblemsPart",
        "ProblemRow",
        "MaterialsDelta",
        "FreshSecret",
        "Selector",
        "SessionOver",
        "FeedPosition",
        "SessionName",
    )
}


def flat(container: dict[str, object]) -> dict[str, object]:
    """A parsed container's fields without nesting, as the derived code names them."""
    fields: dict[str, object] = {}
    for name, value in container.items():
        if isinstance(value, dict):
            fields.update(flat(value))
        elif name != "_io":
            fields[name] = value
    return fields


class DerivationTests(SynchronousTestCase):
    """The compiled code agrees with the declarations."""

    @quick
    @given(st.sampled_from(sorted(FIXED)), st.data())
    def test_random_bytes(self, name: str, data: st.DataObject) -> None:
        layout, fast = FIXED[name], compile_layout(FIXED[name])
        # mostly bytes that pass the constants: those of a valid record with a few of them changed.
        octets = bytearray(fast.encode(*(_some(field) for field in fast.fields)))
        for index in data.draw(st.lists(st.integers(0, len(octets) - 1), max_size=8)):
            octets[index] = data.draw(st.integers(0, 255))
        try:
            expected = flat(layout.parse(bytes(octets)))
        except ConstructError:
            self.assertRaises(BadDatagram, fast.decode, bytes(octets), 0)
            return
        found = dict(zip(fast.fields, fast.decode(bytes(octets), 0), strict=True))
        self.assertEqual(found, {field: expected[field] for field in fast.fields})
        self.assertEqual(fast.encode(*found.values()), layout.build(layout.parse(bytes(octets))))

    def test_sizes(self) -> None:
        for name, layout in FIXED.items():
            self.assertEqual(compile_layout(layout).size, layout.sizeof(), name)

    def test_any_truncation_is_refused(self) -> None:
        for layout in FIXED.values():
            fast = compile_layout(layout)
            self.assertRaises(BadDatagram, fast.decode, bytes(fast.size - 1), 0)

    def test_values_that_do_not_fit_are_refused_and_do_not_reach_their_neighbours(self) -> None:
        fast = compile_layout(layouts.ProgressState)
        for field, value in (("percent", 1 << 14), ("status", 8), ("quality", 128), ("percent", -1), ("version", -1)):
            values = dict.fromkeys(fast.fields, 0) | {field: value}
            self.assertRaises(BadDatagram, fast.encode, *values.values())
        self.assertRaises(BadDatagram, compile_layout(layouts.MaterialRow).encode, b"short", 1, 1)

    def test_what_cannot_be_derived_is_refused(self) -> None:
        for layout in (
            Struct("text" / CString("ascii")),
            Struct("bits" / BitStruct("three" / BitsInteger(24))),
            Struct("twice" / Int8ub, "inner" / Struct("twice" / Int8ub)),
        ):
            self.assertRaises(TypeError, compile_layout, layout)

    def test_constants_are_written_and_checked(self) -> None:
        fast = compile_layout(Struct("tag" / Const(b"ab"), "rest" / Bytes(1)))
        self.assertEqual(fast.encode(b"c"), b"abc")
        error = self.assertRaises(BadDatagram, fast.decode, b"axc", 0)
        self.assertEqual(error.outcome, "reserved")

    def test_parsing_takes_exactly_the_bytes(self) -> None:
        for layout in FIXED.values():
            fast = compile_layout(layout)
            octets = fast.encode(*(_some(field) for field in fast.fields))
            self.assertEqual(fast.parse(octets), fast.decode(octets))
            self.assertEqual(self.assertRaises(BadDatagram, fast.parse, octets[:-1]).outcome, "truncated")
            self.assertEqual(self.assertRaises(BadDatagram, fast.parse, octets + b"\0").outcome, "trailing")

    def test_a_field_that_fills_its_item_but_for_constants(self) -> None:
        fast = compile_layout(Struct("bits" / BitStruct("zero" / Const(0, BitsInteger(4)), "low" / BitsInteger(4))))
        self.assertEqual(fast.encode(15), b"\x0f")
        self.assertRaises(BadDatagram, fast.encode, 16)
        self.assertEqual(self.assertRaises(BadDatagram, fast.decode, b"\x1f").outcome, "reserved")


class ConversionTests(SynchronousTestCase):
    """Conversions of values to numbers and back."""

    layout = Struct("kind" / Int8ub, "bits" / BitStruct("high" / BitsInteger(6), "rest" / BitsInteger(2)))
    percent = Conversion(none=63, fits="0 <= {} <= 1", number="round({} * 50)", value="{} / 50", fault="no share")

    @quick
    @given(st.sampled_from("abc"), st.none() | st.integers(0, 50), st.integers(0, 1000))
    def test_there_and_back(self, letter: str, high: int | None, rest: int) -> None:
        fast = compile_layout(self.layout, kind=one_of("LETTERS", "abc"), high=self.percent, rest=low(2))
        share = None if high is None else high / 50
        octets = fast.encode(letter, share, rest)
        parsed = self.layout.parse(octets)
        self.assertEqual(parsed.kind, "abc".index(letter))
        self.assertEqual((parsed.bits.high, parsed.bits.rest), (63 if high is None else high, rest % 4))
        self.assertEqual(fast.decode(octets), (letter, share, rest % 4))

    def test_refusals(self) -> None:
        odd = Conversion(most=5, means="{} % 2", fault="it is even", outcome="type")
        fast = compile_layout(self.layout, kind=one_of("LETTERS", "abc"), high=odd, rest=self.percent)
        self.assertEqual(fast.decode(b"\x02\x14"), ("c", 5, 0.0))
        self.assertEqual(self.assertRaises(BadDatagram, fast.decode, b"\x03\x14").outcome, "out_of_range")
        self.assertEqual(self.assertRaises(BadDatagram, fast.decode, b"\x02\x10").outcome, "type")
        self.assertEqual(self.assertRaises(BadDatagram, fast.decode, b"\x02\x1c").outcome, "type")
        self.assertEqual(self.assertRaises(BadDatagram, fast.encode, "c", 5, 1.5).outcome, "out_of_range")
        self.assertRaises(BadDatagram, fast.encode, "c", 5, 1.0)  # 50 has no room in two bits.
        self.assertRaises(TypeError, compile_layout, self.layout, kidn=odd)

    def test_by_themselves(self) -> None:
        write, read = writer(self.percent), reader(self.percent, 6)
        self.assertEqual([write(None), write(1.0), read(63), read(25)], [63, 50, None, 0.5])
        self.assertRaises(BadDatagram, write, -0.1)
        self.assertRaises(BadDatagram, reader(one_of("LETTERS", "abc"), 8), 3)

    def test_a_form_must_name_every_field_once(self) -> None:
        for parts in ((FieldPart("reason"), FieldPart("reason")), (FieldPart("raeson"),), ()):
            self.assertRaises(TypeError, compile_record, layouts.Close, HeartbeatBody, *parts)
        nested = NestedParts(Cookie, (FieldPart("issued_us"), FieldPart("server_nonce"), FieldPart("data")))
        self.assertRaises(TypeError, compile_record, layouts.Challenge, Challenge, FieldPart("connection_id"), nested)


def _some(field: str) -> object:
    """A value that fits the field, by name."""
    return {
        "session_id": bytes(16),
        "client_nonce": bytes(16),
        "server_nonce": bytes(16),
        "cookie": bytes(16),
        "material_id": bytes(16),
        "data": bytes(8),
        "secret": bytes(32),
    }.get(field, 1)


class ProgressRecordTests(SynchronousTestCase):
    """UdpProgressUpdate."""

    record = ProgressRecord(7, 1_800_000_000_123, SESSION, 33.33, 12.5, 40, 90, ProgressFlags.PAUSED)

    def test_bytes(self) -> None:
        """The specification's example."""
        octets = codec.encode_progress(self.record)
        self.assertEqual(
            octets.hex(),
            "01100030"
            + "00000007"
            + "000001a3185c507b"
            + "aa" * 6
            + "4aaa"
            + "8aaa"
            + "aa" * 6
            # the body:
            + "0d05"
            + "28"
            + "5a"
            + "000030d4"
            + "01"
            + "00" * 7,
        )

    @quick
    @given(progress_records)
    def test_round_trip(self, record: ProgressRecord) -> None:
        self.assertEqual(codec.decode_progress(codec.encode_progress(record)), record)

    @quick
    @given(progress_records)
    def test_the_declaration_reads_it_too(self, record: ProgressRecord) -> None:
        parsed = layouts.ProgressUpdate.parse(codec.encode_progress(record))
        self.assertEqual(parsed.header.sequence, record.sequence)
        self.assertEqual(parsed.header.session_id, record.session_id.bytes)
        self.assertEqual(parsed.body.percent, round(record.percent * 100))
        self.assertEqual(parsed.body.flags, record.flags)

    @quick
    @given(st.binary(max_size=80))
    def test_random_bytes_are_refused(self, octets: bytes) -> None:
        self.assertRaises(BadDatagram, codec.decode_progress, octets)

    @quick
    @given(st.integers(0, 47), st.integers(0, 255))
    def test_what_is_taken_is_written_the_same(self, index: int, value: int) -> None:
        octets = bytearray(codec.encode_progress(self.record))
        octets[index] = value
        try:
            record = codec.decode_progress(bytes(octets))
        except BadDatagram:
            return
        self.assertEqual(codec.encode_progress(record), bytes(octets))

    def _refused(self, outcome: str, octets: bytes) -> None:
        error = self.assertRaises(BadDatagram, codec.decode_progress, octets)
        self.assertEqual(error.outcome, outcome)

    def test_refusals(self) -> None:
        good = codec.encode_progress(self.record)
        for size in range(len(good)):
            self._refused("truncated", good[:size])
        self._refused("trailing", good + b"\0")
        self._refused("type", b"\x02" + good[1:])
        self._refused("reserved", good[:1] + b"\x20" + good[2:])
        self._refused("reserved", good[:1] + b"\x11" + good[2:])
        self._refused("reserved", good[:-1] + b"\x01")
        self._refused("reserved", good[:40] + b"\x10" + good[41:])
        self._refused("out_of_range", good[:8] + b"\x01" + good[9:])
        self._refused("nil_session", good[:16] + bytes(16) + good[32:])
        self._refused("out_of_range", good[:32] + struct.pack(">H", 10_001) + good[34:])
        self._refused("out_of_range", good[:34] + b"\x65" + good[35:])
        longer = good[:2] + struct.pack(">H", 49) + good[4:] + b"\0"
        self._refused("overlong", longer)

    def test_what_does_not_fit_is_not_written(self) -> None:
        for record in (
            ProgressRecord(-1, 0, SESSION, 0.0),
            ProgressRecord(2**32, 0, SESSION, 0.0),
            ProgressRecord(0, codec.MAX_TIME_MS + 1, SESSION, 0.0),
            ProgressRecord(0, 0, SESSION, 100.01),
            ProgressRecord(0, 0, SESSION, float("nan")),
            ProgressRecord(0, 0, SESSION, 0.0, float("inf")),
            ProgressRecord(0, 0, SESSION, 0.0, -1.0),
            ProgressRecord(0, 0, SESSION, 0.0, None, 0),
            ProgressRecord(0, 0, UUID(int=0), 0.0),
        ):
            self.assertRaises(BadDatagram, codec.encode_progress, record)


class MaterialsRecordTests(SynchronousTestCase):
    """UdpMaterialUpdate."""

    record = MaterialsRecord(
        1, 2, SESSION, (MaterialChange(material_id=IRON, change_type=ChangeType.QUALITY_CHANGED, new_quality=60),)
    )

    def test_bytes(self) -> None:
        octets = codec.encode_materials(self.record)
        self.assertEqual(octets[:4].hex(), "02100038")
        self.assertEqual(octets[32:].hex(), IRON.hex + "ffffffff" + "03" + "3c" + "0000")

    @quick
    @given(materials_records)
    def test_round_trip(self, record: MaterialsRecord) -> None:
        octets = codec.encode_materials(record)
        self.assertEqual(codec.decode_materials(octets), record)
        self.assertEqual(len(layouts.MaterialsUpdate.parse(octets).changes), len(record.changes))

    @quick
    @given(st.binary(max_size=120))
    def test_random_bytes_are_refused(self, octets: bytes) -> None:
        self.assertRaises(BadDatagram, codec.decode_materials, octets)

    def test_refusals(self) -> None:
        good = codec.encode_materials(self.record)
        for size in range(len(good)):
            self.assertRaises(BadDatagram, codec.decode_materials, good[:size])
        self.assertRaises(BadDatagram, codec.decode_materials, good[:52] + b"\x04" + good[53:])
        part_of_a_row = good[:2] + struct.pack(">H", 57) + good[4:] + b"\0"
        self.assertEqual(self.assertRaises(BadDatagram, codec.decode_materials, part_of_a_row).outcome, "trailing")

    def test_bound(self) -> None:
        change = self.record.changes[0]
        most = MaterialsRecord(1, 2, SESSION, (change,) * 200)
        octets = codec.encode_materials(most)
        self.assertEqual(codec.decode_materials(octets), most)
        self.assertRaises(BadDatagram, codec.encode_materials, MaterialsRecord(1, 2, SESSION, (change,) * 201))
        longer = octets + octets[-24:]
        longer = longer[:2] + struct.pack(">H", len(longer)) + longer[4:]
        self.assertEqual(self.assertRaises(BadDatagram, codec.decode_materials, longer).outcome, "overlong")


class HandshakeTests(SynchronousTestCase):
    """HELLO, CHALLENGE, RESPONSE."""

    cookie = Cookie(5, b"s" * 16, b"c" * 16)

    def test_round_trips(self) -> None:
        hello = Hello(9, b"n" * 16)
        self.assertEqual(codec.decode_hello(codec.encode_hello(hello)), hello)
        challenge = Challenge(9, b"n" * 16, self.cookie)
        self.assertEqual(codec.decode_challenge(codec.encode_challenge(challenge)), challenge)
        response = ChallengeResponse(9, b"n" * 16, self.cookie)
        self.assertEqual(codec.decode_response(codec.encode_response(response)), response)

    def test_beginnings(self) -> None:
        """Version 1, key phase 0, the kind; then the connection id."""
        octets = codec.encode_hello(Hello(0x01020304, bytes(16)))
        self.assertEqual(octets[:5].hex(), "4101020304")
        self.assertEqual(codec.connection_id(octets), 0x01020304)
        self.assertEqual(codec.first_byte(DatagramKind.CLOSE), 0x48)

    def test_padding_must_be_zero_and_whole(self) -> None:
        octets = codec.encode_hello(Hello(9, b"n" * 16))
        self.assertRaises(BadDatagram, codec.decode_hello, octets[:-1] + b"\1")
        self.assertRaises(BadDatagram, codec.decode_hello, octets[:-1])
        self.assertRaises(BadDatagram, codec.decode_hello, octets + b"\0")
