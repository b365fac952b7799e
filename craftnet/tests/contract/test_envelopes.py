"""Bodies of events: how they are split, and the fast path for usual ones."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from craftnet.clocks import Moment
from craftnet.contract.envelopes import EventHeading, decode, decode_all, decode_headings, split
from craftnet.contract.events import EVENT_TYPES, Event, EventData, EventOutcome, QueueUpdate, SessionStart
from craftnet.contract.messages import MALFORMED
from craftnet.tests.contracts.source import pause, progress, quantity, queued
from craftnet.tests.support.envelopes import DATA
from craftnet.tests.support.envelopes import envelope as envelope_of
from craftnet.tests.support.samples import GAME_START, NOW, PLAYER, SESSION, start

AT = Moment(NOW, NOW - 3600)
NAMES = {kind: name for name, kind in EVENT_TYPES.items()}


def envelope(data: EventData, /, **fields: object) -> dict[str, Any]:
    """An event as JSON has it; `fields` replace those of the envelope."""
    usual = {
        "event_id": str(UUID(int=7)),
        "event_type": NAMES[type(data)],
        "timestamp": "2027-01-15T08:00:00.250Z",
        "version": "1.0.0",
        "source": "crafting-service",
        "data": msgspec.to_builtins(data),
        "metadata": {"priority": "normal"},
    }
    return {**usual, **fields}


GOOD = (
    json.loads(GAME_START),
    envelope(start()),
    envelope(progress(12.5), trace_id="t", correlation_id=str(UUID(int=8)), tags=["caf\u00e9"]),
    envelope(pause(), version="1.2.3"),
    envelope(queued(3), session_id=str(SESSION)),
    envelope(quantity(4)),
)
"""What the authority sends."""

UNUSUAL: tuple[object, ...] = (
    envelope(queued(3), data={"player_id": str(SESSION), "queue_position": 3.0}),  # good, but seldom.
    envelope(pause(), version="2.0.0"),
    envelope(pause(), version="1.0"),
    envelope(pause(), timestamp="2027-01-15T08:00:00"),
    envelope(pause(), timestamp="noon"),
    envelope(pause(), event_type="crafting.session.nap"),
    envelope(pause(), event_type=17),
    envelope(pause(), data=None),
    envelope(pause(), data={"session_id": str(SESSION), "pause_reason": "boredom"}),
    envelope(pause(), source=None),
    {},
    17,
    [],
)
"""Events that are invalid, or look so."""

whole = st.sampled_from([json.dumps(value).encode() for value in (*GOOD, *UNUSUAL)])
spread = st.sampled_from([json.dumps(value, indent=1).encode() for value in (*GOOD, *UNUSUAL)])
broken = st.sampled_from(GOOD).map(lambda value: json.dumps(value).encode()[:-9]) | st.binary(max_size=9)
item = whole | whole | spread | broken
separator = st.sampled_from([b"\n", b"\n", b"\n", b"\r\n", b"\r", b"\n\n", b" \n", b"\n \n", b"", b" "])


def general(body: bytes, *, newline_delimited: bool) -> list[Event | EventOutcome] | None:
    """The outcome of a body, event by event; None when it is refused as a whole."""
    try:
        return [decode(raw, AT) for raw in split(body, newline_delimited=newline_delimited)]
    except msgspec.DecodeError:
        return None


class WholeBodyTests(SynchronousTestCase):
    """The fast path gives the same result as the general one, or none."""

    def check(self, body: bytes, *, newline_delimited: bool) -> bool:
        """Whether the short way was taken."""
        events = decode_all(body, AT, newline_delimited=newline_delimited)
        if events is not None:
            self.assertEqual(events, general(body, newline_delimited=newline_delimited))
        return events is not None

    def test_what_the_authority_sends_goes_the_short_way(self) -> None:
        encoded = [json.dumps(value).encode() for value in GOOD]
        for body in (b"\n".join(encoded), b"\n".join(encoded) + b"\n", encoded[0]):
            self.assertTrue(self.check(body, newline_delimited=True))
        for body in (b"[" + b",\n ".join(encoded) + b"]\n", *encoded, json.dumps(GOOD[1], indent=2).encode()):
            self.assertTrue(self.check(body, newline_delimited=False))

    def test_what_is_unusual_does_not(self) -> None:
        for value in UNUSUAL:
            encoded = json.dumps(value).encode()
            for body in (encoded, b"[" + encoded + b"]"):
                self.assertFalse(self.check(body, newline_delimited=False) and value != [], value)
            self.assertFalse(self.check(json.dumps(GOOD[1]).encode() + b"\n" + encoded, newline_delimited=True), value)

    def test_an_event_on_two_lines_is_none(self) -> None:
        self.assertFalse(self.check(json.dumps(GOOD[1], indent=1).encode(), newline_delimited=True))

    def test_two_events_in_a_line_are_none(self) -> None:
        body = json.dumps(GOOD[1]).encode()
        self.assertFalse(self.check(body + body + b"\n\n", newline_delimited=True))

    def test_empty_lines_and_other_ends_of_lines(self) -> None:
        body = json.dumps(GOOD[1]).encode()
        self.assertTrue(self.check(b"\n" + body + b"\r\n \n" + body + b"\r" + body, newline_delimited=True))

    def test_octets_that_are_no_text(self) -> None:
        body = json.dumps(envelope(pause(), tags=["?"])).encode().replace(b"?", b"\xff")
        self.assertFalse(self.check(body, newline_delimited=False))

    @settings(deadline=None, derandomize=True, max_examples=500)
    @given(st.lists(st.tuples(item, separator), max_size=5))
    def test_lines(self, lines: list[tuple[bytes, bytes]]) -> None:
        self.check(b"".join(value + end for value, end in lines), newline_delimited=True)

    @settings(deadline=None, derandomize=True, max_examples=300)
    @given(
        st.lists(item, max_size=5), st.sampled_from([b"[", b" [", b"[["]), st.sampled_from([b"]", b"] ", b"", b"]x"])
    )
    def test_arrays(self, values: list[bytes], before: bytes, after: bytes) -> None:
        self.check(before + b",".join(values) + after, newline_delimited=False)

    @settings(deadline=None, derandomize=True, max_examples=300)
    @given(item, st.sampled_from([b"", b" ", b"\xef\xbb\xbf"]), st.integers(0, 1000), st.binary(max_size=2))
    def test_single(self, value: bytes, before: bytes, position: int, octets: bytes) -> None:
        """Damaged somewhere, or not."""
        at = position % (len(value) + 1)
        self.check(before + value[:at] + octets + value[at + len(octets) :], newline_delimited=False)


def concerns(heading: EventHeading) -> tuple[UUID | None, UUID | None, bool]:
    """What a heading says."""
    return heading.craft, heading.player, heading.starts


class HeadingTests(SynchronousTestCase):
    """A heading says whom an event concerns, as the whole event does."""

    def test_every_type(self) -> None:
        for value in (*GOOD, *map(envelope_of, DATA)):
            raw = json.dumps(value).encode()
            event, (heading,) = decode(raw, AT), decode_headings([raw])
            assert isinstance(event, Event), event
            self.assertEqual(concerns(heading), concerns(EventHeading.of(event)))
            self.assertEqual(heading.craft, event.session_id)
            names_player = event.data.player_id if isinstance(event.data, SessionStart | QueueUpdate) else None
            self.assertEqual((heading.player, heading.starts), (names_player, isinstance(event.data, SessionStart)))

    def test_a_player_that_the_type_does_not_have(self) -> None:
        value = envelope(pause())
        value["data"]["player_id"] = str(PLAYER)
        (heading,) = decode_headings([json.dumps(value).encode()])
        self.assertEqual(concerns(heading), (SESSION, None, False))

    def test_no_heading(self) -> None:
        for raw in (b"", b"17", b"[]", b"{}", b'{"event_type":"x"}', b'{"event_type":1,"data":{}}', b"[" * 10_000):
            self.assertRaises(MALFORMED, decode_headings, [raw])

    @settings(deadline=None, derandomize=True, max_examples=300)
    @given(item)
    def test_whatever_is_an_event_agrees(self, raw: bytes) -> None:
        """A heading that cannot be decoded leaves the event to be decoded whole."""
        try:
            (heading,) = decode_headings([raw])
        except MALFORMED:
            return
        event = decode(raw, AT)
        if isinstance(event, Event):
            self.assertEqual(concerns(heading), concerns(EventHeading.of(event)))


class SplitTests(SynchronousTestCase):
    def parts(self, body: bytes, *, newline_delimited: bool = False) -> list[bytes]:
        return [bytes(part) for part in split(body, newline_delimited=newline_delimited)]

    def test_single(self) -> None:
        self.assertEqual(self.parts(b' {"a": [1]} '), [b' {"a": [1]} '])
        self.assertEqual(self.parts(b"17"), [b"17"])

    def test_array(self) -> None:
        self.assertEqual(self.parts(b'\n\t [{"a":1}, 2 ,"x"]'), [b'{"a":1}', b"2", b'"x"'])
        self.assertEqual(self.parts(b"[]"), [])

    def test_lines(self) -> None:
        body = b'{"a":1}\n\r\n  \n[2\n{"b":2}'
        self.assertEqual(self.parts(body, newline_delimited=True), [b'{"a":1}', b"[2", b'{"b":2}'])
        self.assertEqual(self.parts(b"\n \n", newline_delimited=True), [])

    def test_no_json(self) -> None:
        for body in (
            b"",
            b" ",
            b"<html>",
            b"{",
            b"{}x",
            b'{"a":"\xff"}',
            b"\xef\xbb\xbf{}",
            '{"a":1}'.encode("utf-16"),
        ):
            self.assertRaises(msgspec.DecodeError, self.parts, body)

    def test_broken_array(self) -> None:
        for body in (b"[", b"[{]", b'[{"a":1}', b"[1]2"):
            self.assertRaises(msgspec.DecodeError, self.parts, body)

    def test_array_nested_too_deeply(self) -> None:
        for body in (b"[" * 100_000 + b"]" * 100_000, b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"):
            self.assertRaises(msgspec.DecodeError, self.parts, body)

    @settings(deadline=None, derandomize=True, max_examples=100)
    @given(st.binary(max_size=100) | st.binary(max_size=50).map(lambda rest: b"[" + rest), st.booleans())
    def test_any_octets(self, body: bytes, newline_delimited: bool) -> None:
        """A split event can be decoded, or the body is refused as a whole."""
        try:
            parts = split(body, newline_delimited=newline_delimited)
        except msgspec.DecodeError:
            self.assertFalse(newline_delimited)
            return
        for part in parts:
            decode(part, Moment.agreed(NOW))
