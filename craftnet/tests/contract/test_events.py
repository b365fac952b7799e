"""The authority's events."""

from __future__ import annotations

import json

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from craftnet.clocks import Moment
from craftnet.contract.envelopes import decode
from craftnet.contract.events import (
    ACCEPTED,
    DUPLICATE,
    EVENT_TYPES,
    Event,
    EventMaterial,
    EventOutcome,
    EventVerdict,
    MaterialsUpdate,
    QueueUpdate,
    SessionProgress,
    SessionStart,
    rejected,
    summary,
)
from craftnet.contract.messages import QueueMessageType, Station, Status
from craftnet.tests.support.envelopes import DATA, EVENT_ID, MATERIAL, QUEUE_STATUS, envelope
from craftnet.tests.support.samples import (
    GAME_SESSION,
    GAME_START,
    IRON,
    NOW,
    OTHER_PLAYER,
    OTHER_SESSION,
    PLAYER,
    RECIPE,
    SESSION,
)

UNREAD = {"duration_seconds", "location"}
"""Fields of the game that craftnet ignores, whatever they contain."""


ENDS = ("crafting.session.complete", "crafting.session.fail", "crafting.session.cancel")


REQUIRED: dict[str, set[str]] = {
    "crafting.session.start": {"session_id", "recipe_id", "player_id"},
    "crafting.session.complete": {"session_id", "result_item_id"},
    "crafting.session.fail": {"session_id", "failure_reason"},
    "crafting.session.cancel": {"session_id", "cancel_reason"},
    "crafting.session.pause": {"session_id", "pause_reason"},
    "crafting.session.resume": {"session_id"},
    "crafting.session.progress": {"session_id", "progress_percentage", "status"},
    "crafting.queue.update": {"player_id", "queue_position"},
    "crafting.materials.update": {"session_id"},
}


OUT_OF_RANGE: dict[str, dict[str, list[object]]] = {
    "crafting.session.start": {"materials": [[], [MATERIAL] * 51], "estimated_duration_seconds": [0.5, 3601]},
    "crafting.session.complete": {"quality": ["shiny"], "experience_gained": [-1]},
    "crafting.session.fail": {"failure_reason": ["boredom"], "materials_lost": [0]},
    "crafting.session.cancel": {"cancel_reason": ["boredom"], "materials_returned": ["no"]},
    "crafting.session.pause": {"pause_reason": ["boredom"], "pause_time": ["noon"]},
    "crafting.session.resume": {"resume_time": ["noon"], "remaining_duration_seconds": [-1]},
    "crafting.session.progress": {
        "progress_percentage": [-0.1, 100.1],
        "status": ["idle"],
        "remaining_time_seconds": [-1],
        "current_quality": [0, 101],
        "target_quality": [0, 101],
        "failure_reason": ["x" * 201],
    },
    "crafting.queue.update": {
        "queue_position": [0],
        "total_in_queue": [0],
        "estimated_wait_seconds": [-1],
        "station_type": ["kitchen"],
        "type": ["news"],
    },
    "crafting.materials.update": {"changes": [DATA["crafting.materials.update"]["changes"] * 201]},
}


def read(value: object) -> Event | EventOutcome:
    """The outcome of this JSON."""
    return decode(json.dumps(value).encode(), Moment.agreed(NOW + 1))


class DecodeTests(SynchronousTestCase):
    def decoded(self, value: object) -> Event:
        event_ = read(value)
        assert isinstance(event_, Event), event_
        return event_

    def assert_rejected(self, value: object, *words: str) -> None:
        outcome = read(value)
        assert isinstance(outcome, EventOutcome), f"accepted: {value}"
        self.assertIs(outcome.verdict, EventVerdict.REJECTED)
        for word in words:
            self.assertIn(word, outcome.reason)

    def test_every_type(self) -> None:
        self.assertEqual(set(EVENT_TYPES), set(DATA))
        for event_type, kind in EVENT_TYPES.items():
            event_ = self.decoded(envelope(event_type))
            self.assertIs(type(event_.data), kind)
            self.assertEqual((event_.event_id, event_.accepted), (EVENT_ID, NOW + 1))
            self.assertEqual(event_.timestamp, NOW + 0.25)

    def test_values_arrive(self) -> None:
        begun = self.decoded(envelope()).data
        assert isinstance(begun, SessionStart)
        self.assertEqual((begun.session_id, begun.recipe_id, begun.player_id), (SESSION, RECIPE, PLAYER))
        self.assertEqual((begun.materials, begun.estimated_duration_seconds), ((EventMaterial(IRON, 10, 50),), 60.0))
        report = self.decoded(envelope("crafting.session.progress")).data
        assert isinstance(report, SessionProgress)
        self.assertEqual((report.progress_percentage, report.status), (12.5, Status.ACTIVE))
        queue_status = self.decoded(envelope("crafting.queue.update")).data
        assert isinstance(queue_status, QueueUpdate)
        self.assertEqual(
            (queue_status.type, queue_status.station_type), (QueueMessageType.PRIORITY_BOOST, Station.LABORATORY)
        )
        update = self.decoded(envelope("crafting.materials.update")).data
        assert isinstance(update, MaterialsUpdate)
        self.assertEqual((update.changes[0].new_quantity, update.notifications[0].required_quality), (1, 9))

    def test_required_fields_are_enough(self) -> None:
        for event_type, names in REQUIRED.items():
            data = {name: DATA[event_type][name] for name in names}
            self.decoded(envelope(event_type, data=data))

    def test_missing_fields_are_named(self) -> None:
        for event_type, names in REQUIRED.items():
            for name in names:
                data = {key: value for key, value in DATA[event_type].items() if key != name}
                self.assert_rejected(envelope(event_type, data=data), name)

    def test_fields_of_a_wrong_type_are_named(self) -> None:
        for event_type, data in DATA.items():
            for name in data.keys() - UNREAD:
                self.assert_rejected(envelope(event_type, data={**data, name: {"no": "such"}}), f"$.{name}")

    def test_fields_out_of_range_are_named(self) -> None:
        for event_type, ranges in OUT_OF_RANGE.items():
            for name, values in ranges.items():
                for value in values:
                    self.assert_rejected(envelope(event_type, data={**DATA[event_type], name: value}), f"$.{name}")

    def test_fields_of_a_list_are_named(self) -> None:
        data = {**DATA["crafting.session.start"], "materials": [MATERIAL, {**MATERIAL, "quantity": 0}]}
        self.assert_rejected(envelope(data=data), "$.materials[1].quantity")

    def test_envelope_fields_are_named(self) -> None:
        for name in ("event_id", "event_type", "timestamp", "version", "source", "data"):
            without = envelope()
            del without[name]
            self.assert_rejected(without, name)
        for name in (
            "event_id",
            "event_type",
            "timestamp",
            "version",
            "source",
            "correlation_id",
            "trace_id",
            "metadata",
        ):
            self.assert_rejected({**envelope(), name: 17}, f"$.{name}")

    def test_optional_envelope_fields(self) -> None:
        self.decoded(envelope(correlation_id=str(IRON), metadata={"shard": {"number": 3}}, player_id=str(PLAYER)))
        self.decoded(envelope(correlation_id=None, trace_id=None, metadata=None, session_id=None, player_id=None))
        metadata = {"priority": "critical", "ttl": "7d", "retry_count": 1.0, "compression": "lz4", "size_bytes": 512}
        self.decoded(envelope(metadata=metadata, game_id=str(IRON), tags=["crafting"] * 10))

    def test_fields_of_later_versions_are_passed_over(self) -> None:
        data = {**DATA["crafting.session.start"], "mood": "fine"}
        self.decoded(envelope(data=data, weather="fine"))

    def test_version(self) -> None:
        for version in ("1.0.0", "1.2.30", "1.99.0"):
            self.decoded(envelope(version=version))
        for version in (
            "2.0.0",
            "0.1.0",
            "11.0.0",
            "1.0",
            "1.0.0.0",
            "1.0.0\n",
            "1.0.\u0663",
            "1.0.0-rc1",
            " 1.0.0",
            "",
        ):
            self.assert_rejected(envelope(version=version), repr(version), "1.0.0")

    def test_as_the_game_sends_it(self) -> None:
        event_ = decode(GAME_START, Moment.agreed(NOW))
        assert isinstance(event_, Event), event_
        self.assertEqual((event_.session_id, event_.source), (GAME_SESSION, "crafting.session"))
        assert isinstance(event_.data, SessionStart)
        self.assertEqual(event_.data.zone_id, "night_city_crafting_zone_01")
        (material,) = event_.data.materials or ()
        self.assertEqual((material.quality, material.quality_level), ("common", 40))

    def test_qualities_in_words(self) -> None:
        """And in numbers, as before."""
        words = {"poor": 20, "common": 40, "uncommon": 60, "rare": 80, "epic": 100}
        for quality, level in [*words.items(), (50, 50), (None, None)]:
            data = {**DATA["crafting.session.start"], "materials": [{**MATERIAL, "quality": quality}]}
            begun = self.decoded(envelope(data=data)).data
            assert isinstance(begun, SessionStart)
            self.assertEqual([material.quality_level for material in begun.materials or ()], [level])
        for quality in ("shiny", "Epic", 0, 101, True):
            data = {**DATA["crafting.session.start"], "materials": [{**MATERIAL, "quality": quality}]}
            self.assert_rejected(envelope(data=data), "$.materials[0].quality")

    def test_materials_of_an_end(self) -> None:
        """Outcomes are summarised or listed, as before."""
        for event_type, name in zip(ENDS, ("materials_used", "materials_lost", "materials_returned"), strict=True):
            listed = [MATERIAL, {**MATERIAL, "quality": "epic"}]
            for value in [listed, [], None] + ([] if name == "materials_used" else [True, False]):
                self.decoded(envelope(event_type, data={**DATA[event_type], name: value}))

    def test_no_end_is_refused_for_its_duration(self) -> None:
        for event_type in ENDS:
            usual = {name: value for name, value in DATA[event_type].items() if name != "duration_seconds"}
            self.decoded(envelope(event_type, data=usual))
            for duration in (0, 0.5, -1, 3601, 10**9, 10**400, None, "long", {"no": "such"}):
                self.decoded(envelope(event_type, data={**usual, "duration_seconds": duration}))
            raw = json.dumps(envelope(event_type, data={**usual, "duration_seconds": 17}))
            self.assertIsInstance(decode(raw.replace("17", "1e999").encode(), Moment.agreed(NOW)), Event)

    def test_integers_may_be_written_with_a_point(self) -> None:
        """As JSON Schema says; the values are integers all the same."""
        whole = envelope("crafting.materials.update")
        pointed = json.loads(json.dumps(whole), parse_int=float)
        self.assertEqual(self.decoded(pointed).data, self.decoded(whole).data)
        for event_type in sorted(DATA):
            pointed = json.loads(json.dumps(envelope(event_type)), parse_int=float)
            self.assertEqual(repr(self.decoded(pointed).data), repr(self.decoded(envelope(event_type)).data))
        for bad in (3.5, 0.0, 5e9, "3"):
            data = {**DATA["crafting.session.start"], "materials": [{**MATERIAL, "quantity": bad}]}
            self.assert_rejected(envelope(data=data), "$.materials[0].quantity")

    def test_fractions(self) -> None:
        queue_status = self.decoded(
            envelope("crafting.queue.update", data={**QUEUE_STATUS, "estimated_wait_seconds": 2.5})
        ).data
        assert isinstance(queue_status, QueueUpdate)
        self.assertEqual(queue_status.estimated_wait_seconds, 2.5)

    def test_what_the_event_comes_from(self) -> None:
        """They reach logs and traces."""
        event_ = self.decoded(envelope(correlation_id=str(IRON), trace_id="4bf92f3577b34da6", source="crafting.one"))
        self.assertEqual(
            (event_.source, event_.correlation_id, event_.trace_id), ("crafting.one", IRON, "4bf92f3577b34da6")
        )
        self.assertEqual((self.decoded(envelope()).correlation_id, self.decoded(envelope()).trace_id), (None, None))

    def test_unknown_type(self) -> None:
        self.assert_rejected(envelope("crafting.session.dance"), "crafting.session.dance")

    def test_timestamp(self) -> None:
        self.assertEqual(self.decoded(envelope(timestamp="2027-01-15T09:00:00+01:00")).timestamp, NOW)
        self.assert_rejected(envelope(timestamp="2027-01-15T08:00:00"), "time zone")
        for extreme in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"):
            self.decoded(envelope(timestamp=extreme))

    def test_session_of_the_envelope(self) -> None:
        """It is the game session's. That of the craft is in the data, and counts."""
        for event_type in DATA:
            for session_id in (str(SESSION), str(OTHER_SESSION), None):
                self.assertEqual(self.decoded(envelope(event_type, session_id=session_id)).session_id, SESSION)
        for event_type in DATA.keys() - {"crafting.queue.update"}:
            data = {name: value for name, value in DATA[event_type].items() if name != "session_id"}
            self.assert_rejected(envelope(event_type, data=data, session_id=str(SESSION)), "session_id")

    def test_session_that_waits(self) -> None:
        """That of the data; without one, that of the envelope; both are optional."""
        waiting = envelope(
            "crafting.queue.update", data={**QUEUE_STATUS, "session_id": None}, session_id=str(OTHER_SESSION)
        )
        self.assertEqual(self.decoded(waiting).session_id, OTHER_SESSION)
        self.assertIsNone(self.decoded(envelope("crafting.queue.update", data=QUEUE_STATUS)).session_id)

    def test_player_of_the_envelope(self) -> None:
        """That of the data beats it."""
        for event_type in ("crafting.session.start", "crafting.queue.update"):
            event_ = self.decoded(envelope(event_type, player_id=str(OTHER_PLAYER)))
            assert isinstance(event_.data, (SessionStart, QueueUpdate))
            self.assertEqual(event_.data.player_id, PLAYER)
        self.decoded(envelope("crafting.session.pause", player_id=str(OTHER_PLAYER)))

    def test_nested_too_deeply(self) -> None:
        deep = b"[" * 100_000 + b"]" * 100_000
        usual = json.dumps(envelope(extra=0)).encode()
        for body in (deep, usual.replace(b'"extra": 0', b'"extra": ' + deep), usual[:-1] + b',"metadata":' + deep):
            self.assertIsInstance(decode(body, Moment.agreed(NOW)), EventOutcome)

    @settings(deadline=None, derandomize=True, max_examples=100)
    @given(st.binary(max_size=100))
    def test_any_octets(self, octets: bytes) -> None:
        """They are rejected with a reason; nothing is raised."""
        outcome = decode(octets, Moment.agreed(NOW))
        assert isinstance(outcome, EventOutcome)
        self.assertTrue(outcome.reason)

    @settings(deadline=None, derandomize=True, max_examples=100)
    @given(st.sampled_from(sorted(DATA)), st.data())
    def test_any_value_in_any_field(self, event_type: str, data: st.DataObject) -> None:
        """An event or a rejection with a reason; nothing is raised."""
        scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20)
        values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5)
        value = envelope(event_type)
        queue_status = data.draw(st.sampled_from((value, dict(value["data"]))))
        queue_status[data.draw(st.sampled_from(sorted(queue_status)))] = data.draw(values)
        if queue_status is not value:
            value["data"] = queue_status
        outcome = read(value)
        self.assertTrue(isinstance(outcome, Event) or outcome.reason)

    @settings(deadline=None, derandomize=True, max_examples=100)
    @given(st.sampled_from(sorted(DATA)), st.integers(0, 1000), st.binary(min_size=1, max_size=3))
    def test_damaged_events(self, event_type: str, position: int, octets: bytes) -> None:
        whole = json.dumps(envelope(event_type)).encode()
        at = position % len(whole)
        decode(whole[:at] + octets + whole[at + len(octets) :], Moment.agreed(NOW))
        self.assertIsInstance(decode(whole[:at], Moment.agreed(NOW)), EventOutcome)


class SummaryTests(SynchronousTestCase):
    def test_counts_and_indexes(self) -> None:
        outcomes = [ACCEPTED, rejected("first"), DUPLICATE, ACCEPTED, rejected("second")]
        self.assertEqual(
            msgspec.to_builtins(summary(outcomes)),
            {
                "accepted": 2,
                "duplicates": 1,
                "rejected": [{"index": 1, "error": "first"}, {"index": 4, "error": "second"}],
            },
        )

    def test_nothing(self) -> None:
        self.assertEqual(msgspec.to_builtins(summary([])), {"accepted": 0, "duplicates": 0, "rejected": []})
