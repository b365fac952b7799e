"""Tests for `craftnet.client.output.wording`."""

from __future__ import annotations

from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from craftnet.client.output import wording
from craftnet.contract.messages import (
    CraftingProgressData,
    MaterialNotification,
    MaterialProblem,
    QueueStatusData,
    Station,
    Status,
)
from craftnet.tests.support.samples import IRON, PLAYER, SESSION, message, progress


class WordingTests(SynchronousTestCase):
    """Messages in words."""

    def test_time_spans_are_rounded_up(self) -> None:
        spans = [wording.clock(seconds) for seconds in (0, 0.1, 59.5, 65, 3600, 7325)]
        self.assertEqual(spans, ["0:00", "0:01", "1:00", "1:05", "1:00:00", "2:02:05"])

    def test_progress(self) -> None:
        data = CraftingProgressData(
            session_id=SESSION,
            progress_percentage=41,
            status=Status.ACTIVE,
            remaining_time_seconds=65,
            current_quality=60,
            target_quality=80,
        )
        self.assertEqual(
            wording.message(message("progress_update", progress_data=data)),
            " 41 % active, 1:05 to go, quality 60 of 80",
        )
        paused = progress(41, Status.PAUSED, None)
        self.assertEqual(wording.message(message("progress_update", progress_data=paused)), " 41 % paused")

    def test_last_words(self) -> None:
        self.assertEqual(wording.message(message("crafting_complete")), "complete")
        data = CraftingProgressData(
            session_id=SESSION, progress_percentage=41, status=Status.FAILED, failure_reason="recipe_error"
        )
        self.assertEqual(wording.message(message("crafting_failed", progress_data=data)), "failed (recipe_error)")

    def test_a_cancelled_craft(self) -> None:
        self.assertEqual(wording.failure("cancelled:zone_change"), "cancelled (zone_change)")
        self.assertEqual(wording.failure(None), "failed (no reason given)")

    def test_quality(self) -> None:
        given = [(None, None), (5, None), (None, 9), (5, 9)]
        self.assertEqual(
            [wording.quality(current, target) for current, target in given],
            ["", "quality 5", "target quality 9", "quality 5 of 9"],
        )

    def test_every_problem_has_words(self) -> None:
        bare = {
            kind: wording.material(MaterialNotification(material_id=IRON, notification_type=kind))
            for kind in MaterialProblem
        }
        self.assertEqual(len(set(bare.values())), len(MaterialProblem))
        short = MaterialNotification(
            material_id=IRON,
            notification_type=MaterialProblem.INSUFFICIENT_QUANTITY,
            required_quantity=10,
            available_quantity=3,
        )
        poor = MaterialNotification(
            material_id=IRON,
            notification_type=MaterialProblem.QUALITY_TOO_LOW,
            required_quality=50,
            available_quality=20,
        )
        self.assertEqual(wording.material(short), "material dddddddd: there are 3, 10 needed")
        self.assertEqual(wording.material(poor), "material dddddddd: quality 20, 50 needed")

    def test_expected(self) -> None:
        expected = replace(progress(40), expected_seconds_p50=35, expected_seconds_p90=75)
        self.assertIn(
            "0:30 to go, expected 0:35, 9 in 10 within 1:15",
            wording.message(message("progress_update", progress_data=expected)),
        )

    def test_queue(self) -> None:
        queue_status = QueueStatusData(
            player_id=PLAYER,
            queue_position=3,
            total_in_queue=12,
            estimated_wait_seconds=130,
            station_type=Station.VEHICLE_BAY,
        )
        self.assertEqual(
            wording.queue(queue_status), "place 3 of 12 in the queue for the vehicle bay, about 2:10 to wait"
        )

    def test_coming_back(self) -> None:
        for recovered, words in (
            (True, "reconnected; missed messages follow"),
            (False, "reconnected; the current state follows"),
        ):
            self.assertEqual(wording.message(message("queue_status", recovered=recovered)), words)

    def test_nothing_steers_the_terminal(self) -> None:
        self.assertEqual(wording.printable("a\x1b[2Jb\nc\u202e"), "a\ufffd[2Jb\ufffdc\ufffd")
        self.assertNotIn("\x1b", wording.failure("\x1b[31m"))
        self.assertNotIn("\x1b", wording.failure("cancelled:\x1b[31m"))
