"""The rows of observations, and the messages that carry those to a writer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import asdict
from twisted.trial.unittest import SynchronousTestCase

from craftnet.contract.events import (
    MaterialsUpdate,
    QueueUpdate,
    SessionCancel,
    SessionComplete,
    SessionFail,
    SessionPause,
    SessionProgress,
    SessionResume,
)
from craftnet.contract.messages import MaterialNotification, MaterialProblem, QueueMessageType, Station, Status
from craftnet.recording.keys import PeriodNames
from craftnet.recording.messages import (
    CODES,
    Messages,
    WriterStatus,
    decode_observations,
    decode_status,
    encode_observations,
    encode_status,
)
from craftnet.recording.rows import TABLES, PathSample, columns, rows_of
from craftnet.tests.support.observations import ReadableNames, observed
from craftnet.tests.support.samples import IRON, NOW, PLAYER, RECIPE, SESSION, start

PUBLIC = {"recipe", "material"}
"""Columns with ids that are the game's, not a person's."""

TIME = round(NOW * 1000)


def values(data: Any) -> list[dict[str, Any]]:
    """The rows of an observation, without what is not there."""
    return [
        {name: value for name, value in asdict(row).items() if value is not None}
        for row in rows_of(data, NOW, ReadableNames())
    ]


def texts(value: Any) -> Iterator[str]:
    """Every text and id in a value, ids as text."""
    match value:
        case UUID() | str():
            yield str(value)
        case dict():
            for each in value.values():
                yield from texts(each)
        case list() | tuple():
            for each in value:
                yield from texts(each)


class RowTests(SynchronousTestCase):
    def test_start(self) -> None:
        self.assertEqual(
            values(start(seconds=90.0)),
            [
                {
                    "time": TIME,
                    "session": b"session aaaaaaaa",
                    "event": "start",
                    "player": b"player 11111111-",
                    "recipe": str(RECIPE),
                    "estimated_seconds": 90.0,
                }
            ],
        )

    def test_life_of_a_session(self) -> None:
        """Each other event has its own columns."""
        for data, expected in (
            (SessionPause(session_id=SESSION, pause_reason="combat_start"), ("pause", "reason", "combat_start")),
            (SessionResume(session_id=SESSION, remaining_duration_seconds=5), ("resume", "remaining_seconds", 5)),
            (
                SessionComplete(session_id=SESSION, result_item_id=IRON, quality="legendary"),
                ("complete", "item_quality", "legendary"),
            ),
            (SessionFail(session_id=SESSION, failure_reason="timeout"), ("fail", "reason", "timeout")),
            (SessionCancel(session_id=SESSION, cancel_reason="zone_change"), ("cancel", "reason", "zone_change")),
        ):
            (row,) = values(data)
            name, column, value = expected
            self.assertEqual((row.pop("event"), row.pop(column)), (name, value))
            self.assertEqual(row, {"time": TIME, "session": b"session aaaaaaaa"})

    def test_reports(self) -> None:
        """A report of the end is an end; a reason that is a text of the authority is not recorded."""
        for status, text, expected in (
            (Status.COMPLETED, None, ("complete", None)),
            (Status.FAILED, "timeout", ("fail", "timeout")),
            (Status.FAILED, "Ann's bench broke", ("fail", "other")),
            (Status.FAILED, None, ("fail", "other")),
            (Status.FAILED, "cancelled:zone_change", ("cancel", "zone_change")),
            (Status.FAILED, "cancelled:because", ("cancel", "other")),
        ):
            (row,) = values(
                SessionProgress(session_id=SESSION, progress_percentage=50, status=status, failure_reason=text)
            )
            self.assertEqual((row["event"], row.get("reason")), expected)
        (row,) = values(
            SessionProgress(
                session_id=SESSION,
                progress_percentage=12.5,
                status=Status.INTERRUPTED,
                remaining_time_seconds=7,
                current_quality=3,
                target_quality=9,
            )
        )
        self.assertEqual(
            (row["event"], row["percent"], row["status"], row["remaining_seconds"], row["quality"]),
            ("progress", 12.5, "interrupted", 7, 3),
        )

    def test_queues_materials_and_paths(self) -> None:
        queue = QueueUpdate(
            player_id=PLAYER,
            queue_position=3,
            total_in_queue=8,
            estimated_wait_seconds=40,
            station_type=Station.LABORATORY,
            type=QueueMessageType.PRIORITY_BOOST,
        )
        (row,) = values(queue)
        self.assertEqual((row["event"], row["station"], row["position"]), ("priority_boost", "laboratory", 3))
        notice = MaterialNotification(
            material_id=IRON,
            notification_type=MaterialProblem.INSUFFICIENT_QUANTITY,
            required_quantity=5,
            available_quantity=2,
        )
        (row,) = values(MaterialsUpdate(session_id=SESSION, notifications=(notice,)))
        self.assertEqual(
            (row["material"], row["event"], row["required_quantity"], row["available_quantity"]),
            (str(IRON), "insufficient_quantity", 5, 2),
        )
        self.assertEqual(values(MaterialsUpdate(session_id=SESSION)), [])
        (row,) = values(PathSample("us-east", "udp", 0.025, 0.01, 0.002))
        self.assertEqual(
            row,
            {
                "time": TIME,
                "region": "us-east",
                "transport": "udp",
                "round_trip_ms": 25.0,
                "jitter_ms": 2.0,
                "loss": 0.01,
            },
        )

    @settings(deadline=None, derandomize=True, max_examples=50)
    @given(observed)
    def test_no_row_identifies_a_person(self, observation: tuple[Any, float]) -> None:
        """No id of the observation is in a row except the game's own, and no text but words of the schema."""
        data, when = observation
        names = PeriodNames(bytes(32), {getattr(data, "player_id", PLAYER): "ab" * 16})
        fields = msgspec.to_builtins(data)
        allowed = {value for value in texts(fields) if value in str(fields.get("recipe_id"))}
        allowed |= {each["material_id"] for each in fields.get("notifications", ())}
        private = set(texts(msgspec.structs.asdict(data))) - allowed
        for row in rows_of(data, when, names):
            for name, value in asdict(row).items():
                if isinstance(value, bytes):
                    self.assertEqual(len(value), 16)
                    self.assertNotIn(value.hex(), {each.replace("-", "") for each in private})
                elif isinstance(value, str) and name not in PUBLIC:
                    self.assertRegex(value, "^[a-z_-]+$")

    def test_columns(self) -> None:
        """Each table has a time, and the fields of its rows in their order."""
        for table in TABLES.values():
            found = list(columns(table))
            self.assertEqual([column.name for column in found], list(table.__struct_fields__))
            self.assertEqual(found[0], ("time", "timestamp(ms, UTC)", False))


class MessageTests(SynchronousTestCase):
    @settings(deadline=None, derandomize=True, max_examples=50)
    @given(st.lists(observed, max_size=5), st.integers(1, 50))
    def test_observations_arrive(self, sent: list[tuple[Any, float]], size: int) -> None:
        """As they were, in whatever pieces the pipe delivers."""
        octets = encode_observations([(CODES[type(data)], when, data) for data, when in sent])
        messages, received = Messages(), []
        for at in range(0, len(octets), size):
            received += list(messages.feed(octets[at : at + size]))
        (message,) = received
        self.assertEqual(decode_observations(message), [(when, data) for data, when in sent])

    def test_status(self) -> None:
        status = WriterStatus(5, 1000, "No space left on device")
        (message,) = Messages().feed(encode_status(status))
        self.assertEqual(decode_status(message), status)
