"""Updates for watchers."""

from __future__ import annotations

import json
from typing import Any

from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from craftnet.clocks import Moment
from craftnet.contract.messages import (
    HealthResponse,
    HealthStatus,
    MaterialNotification,
    MaterialProblem,
    QueueMessageType,
    QueueStatusData,
    Station,
    Status,
    WebSocketHealthMessage,
    rfc3339,
)
from craftnet.contract.position import Position, Versions
from craftnet.crafting.progress import Progress
from craftnet.crafting.state import Material, MaterialsChange, MaterialsState, QueueChange, QueueEntry, QueueState
from craftnet.crafting.updates import (
    Update,
    health_update,
    materials_snapshot,
    materials_update,
    progress_data,
    progress_update,
    queue_update,
    session_queue_update,
)
from craftnet.tests.support.samples import AT, COPPER, IRON, NOW, PLAYER, SESSION, running

SHORT = MaterialNotification(
    material_id=IRON, notification_type=MaterialProblem.INSUFFICIENT_QUANTITY, required_quantity=5
)
POOR = MaterialNotification(material_id=COPPER, notification_type=MaterialProblem.QUALITY_TOO_LOW, required_quality=5)
QUEUE_STATUS = QueueStatusData(
    player_id=PLAYER, queue_position=2, estimated_wait_seconds=30, station_type=Station.LABORATORY, total_in_queue=4
)
ENTRY = QueueEntry(QUEUE_STATUS, 1, NOW, SESSION)


def shapes(update: Update) -> list[dict[str, Any]]:
    """The update's JSON, read back."""
    return [json.loads(octets) for octets in update.json]


class ProgressTests(SynchronousTestCase):
    def test_running(self) -> None:
        state = running()
        update = progress_update(state, Moment.agreed(NOW + 15.5), NOW + 15)
        self.assertIs(update.state, state)
        self.assertEqual((update.accepted, update.conflatable, update.terminal), (NOW + 15, True, False))
        (shape,) = shapes(update)
        self.assertEqual(shape.pop("timestamp"), "2027-01-15T08:00:15.500Z")
        self.assertEqual(
            shape,
            {
                "type": "progress_update",
                "session_id": str(SESSION),
                "progress_data": {
                    "session_id": str(SESSION),
                    "progress_percentage": 25,
                    "status": "active",
                    "remaining_time_seconds": 45,
                },
            },
        )

    def test_the_date_is_the_system_s_and_the_progress_is_not(self) -> None:
        """The system's clock was set back by an hour since the process started."""
        update = progress_update(running(), Moment(NOW + 15.5, NOW + 15.5 - 3600))
        (shape,) = shapes(update)
        self.assertEqual(shape["timestamp"], "2027-01-15T07:00:15.500Z")
        self.assertEqual(shape["progress_data"]["progress_percentage"], 25)

    def test_ends(self) -> None:
        for status, kind in ((Status.COMPLETED, "crafting_complete"), (Status.FAILED, "crafting_failed")):
            state = replace(running(), progress=Progress(status, 40.0, NOW, 0.0, failure_reason="why"))
            update = progress_update(state, AT)
            self.assertEqual((update.conflatable, update.terminal), (False, True))
            (shape,) = shapes(update)
            self.assertEqual((shape["type"], shape["progress_data"]["status"]), (kind, status.value))
            self.assertEqual(shape["progress_data"]["failure_reason"], "why")

    def test_standing(self) -> None:
        for status in (Status.PAUSED, Status.INTERRUPTED):
            update = progress_update(replace(running(), progress=Progress(status, 40.0, NOW, 5.0)), AT)
            self.assertEqual((update.conflatable, update.terminal), (True, False))
            self.assertEqual(shapes(update)[0]["type"], "progress_update")

    def test_rounding(self) -> None:
        """Progress never shows more than there is, the remaining time never less."""
        data = progress_data(SESSION, Progress(Status.ACTIVE, 99.98, NOW, 0.2), NOW)
        self.assertEqual((data.progress_percentage, data.remaining_time_seconds), (99, 1))
        data = progress_data(SESSION, Progress(Status.COMPLETED, 0.0, NOW), NOW)
        self.assertEqual((data.progress_percentage, data.remaining_time_seconds), (100, 0))

    def test_unknown_remaining_is_left_out(self) -> None:
        self.assertIsNone(progress_data(SESSION, Progress(Status.ACTIVE, 5.0, NOW), NOW).remaining_time_seconds)

    def test_qualities(self) -> None:
        data = progress_data(SESSION, Progress(Status.ACTIVE, 5.0, NOW, None, 40, 80), NOW)
        self.assertEqual((data.current_quality, data.target_quality), (40, 80))


class MaterialTests(SynchronousTestCase):
    STATE = MaterialsState(SESSION, 3, (Material(IRON, 2, None, SHORT), Material(COPPER, 9)), NOW)

    def test_one_message_for_each_notification(self) -> None:
        change = MaterialsChange(self.STATE, (), (SHORT, POOR), NOW)
        update = materials_update(change, Moment.agreed(NOW + 1), NOW)
        self.assertIs(update.state, change)
        self.assertEqual((update.accepted, update.conflatable, update.terminal), (NOW, False, False))
        self.assertEqual([shape["type"] for shape in shapes(update)], ["material_notification"] * 2)
        self.assertEqual([shape["session_id"] for shape in shapes(update)], [str(SESSION)] * 2)
        wanted = {"material_id": str(IRON), "notification_type": "insufficient_quantity", "required_quantity": 5}
        self.assertEqual(shapes(update)[0]["material_data"], wanted)

    def test_only_the_last_message_has_the_position(self) -> None:
        """A subscriber that receives the first one only resumes before the change."""
        before, after = Versions(3, 2048, 5), Versions(3, 2049, 5)
        change = MaterialsChange(MaterialsState(SESSION, 2049), (), (SHORT, POOR))
        update = materials_update(change, AT, None, Position("e", after.encoded))
        self.assertEqual([shape["version"] for shape in shapes(update)], [before.encoded, after.encoded])
        self.assertEqual(update.reached, Position("e", after.encoded))

    def test_change_alone_has_no_message(self) -> None:
        self.assertEqual(materials_update(MaterialsChange(self.STATE), AT).json, ())

    def test_snapshot_lists_unresolved_problems(self) -> None:
        update = materials_snapshot(self.STATE, AT)
        assert isinstance(update.state, MaterialsChange)
        self.assertIs(update.state.state, self.STATE)
        self.assertIsNone(update.accepted)
        self.assertEqual([shape["material_data"]["material_id"] for shape in shapes(update)], [str(IRON)])


class QueueTests(SynchronousTestCase):
    CHANGE = QueueChange(QueueState(PLAYER, 1, (ENTRY,)), ENTRY, QueueMessageType.PRIORITY_BOOST, True, NOW)

    def test_in_a_queue_feed(self) -> None:
        update = queue_update(self.CHANGE, AT, NOW)
        self.assertIs(update.state, self.CHANGE)
        self.assertEqual((update.accepted, update.conflatable, update.terminal), (NOW, False, False))
        self.assertEqual(
            shapes(update),
            [
                {
                    "type": "priority_boost",
                    "player_id": str(PLAYER),
                    "timestamp": "2027-01-15T08:00:00.000Z",
                    "queue_position": 2,
                    "estimated_wait_time": 30,
                    "station_type": "laboratory",
                }
            ],
        )

    def test_in_a_crafting_feed(self) -> None:
        update = session_queue_update(SESSION, self.CHANGE, AT, NOW)
        self.assertEqual((update.accepted, update.conflatable, update.terminal), (NOW, False, False))
        (shape,) = shapes(update)
        self.assertEqual((shape["type"], shape["session_id"]), ("queue_status", str(SESSION)))
        self.assertEqual(
            shape["queue_data"],
            {
                "player_id": str(PLAYER),
                "queue_position": 2,
                "total_in_queue": 4,
                "estimated_wait_seconds": 30,
                "station_type": "laboratory",
            },
        )


class HealthTests(SynchronousTestCase):
    def test_is_never_conflated(self) -> None:
        """A report is of one service of several: a newer one is not always of the same."""
        report = HealthResponse(status=HealthStatus.OK, timestamp=rfc3339(NOW))
        message = WebSocketHealthMessage(type="health_update", timestamp=rfc3339(NOW), health=report)
        update = health_update(message)
        self.assertEqual((update.conflatable, update.terminal, update.accepted), (False, False, None))
        self.assertEqual([shape["type"] for shape in shapes(update)], ["health_update"])


class EncodingTests(SynchronousTestCase):
    def test_encoded_once(self) -> None:
        """For each encoding."""
        update, calls = progress_update(running(), AT), []

        def first(encoded: Update) -> bytes:
            calls.append(encoded)
            return b"first"

        def second(encoded: Update) -> bytes:
            return b"second"

        self.assertEqual(
            [update.encoded(encoding) for encoding in (first, second, first)], [b"first", b"second", b"first"]
        )
        self.assertEqual(calls, [update])
