from __future__ import annotations

from uuid import UUID

from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from craftnet.clocks import Moment
from craftnet.contract.events import MaterialsUpdate, SessionProgress
from craftnet.contract.messages import ChangeType, MaterialChange, Status
from craftnet.crafting.progress import Progress
from craftnet.crafting.state import Material, MaterialsState
from craftnet.protocols.udp.core.path_stats import PathStats
from craftnet.protocols.udp.server.player_reports import (
    REPORT_LATENCY,
    HeldMaterial,
    compare_materials,
    compare_progress,
    materials_event,
    progress_event,
    status_of,
    what_was_seen,
)
from craftnet.protocols.udp.server.sessions import SentProgress
from craftnet.protocols.wire.records import MaterialsRecord, ProgressFlags, ProgressRecord
from craftnet.tests.support.samples import COPPER, IRON, NOW, SESSION, running

ID = UUID(int=7)
LINE = PathStats(round_trip=0.4, offset=100.0)
ACTIVE = ProgressFlags(0)


def claim(
    at: float,
    percent: float,
    remaining: float | None = None,
    *,
    quality: int | None = None,
    target_quality: int | None = None,
    flags: ProgressFlags = ACTIVE,
) -> ProgressRecord:
    return ProgressRecord(1, int(at * 1000), SESSION, percent, remaining, quality, target_quality, flags)


class SightTests(SynchronousTestCase):
    """The player's clock is 100 s ahead, and updates take 0.2 s to arrive; at NOW + 10 the craft paused."""

    def setUp(self) -> None:
        before = running()
        paused = Progress(Status.PAUSED, 16.67, NOW + 10, 50.0)
        self.paused = replace(before, version=2, progress=paused)
        self.sightings = (SentProgress(NOW, before), SentProgress(NOW + 10, self.paused))

    def _agreed(self, record: ProgressRecord, now: float, line: PathStats = LINE) -> bool:
        seen = what_was_seen(record, self.sightings, line, now)
        return compare_progress(record, self.paused, Moment.agreed(now), seen=seen).agreed

    def test_what_had_not_arrived_is_not_held_against_the_player(self) -> None:
        self.assertTrue(self._agreed(claim(NOW + 110.1, 16.83, 49.9), NOW + 10.4))

    def test_what_had_arrived_is(self) -> None:
        self.assertFalse(self._agreed(claim(NOW + 111, 18.33, 49.0), NOW + 11.2))
        self.assertTrue(self._agreed(claim(NOW + 111, 16.67, 50.0, flags=ProgressFlags.PAUSED), NOW + 11.2))

    def test_the_players_clock_is_read_as_it_is(self) -> None:
        """The player's 105 is our 5: the report was right then, and is not at 5.3."""
        record = claim(NOW + 105, 8.33, 55.0)
        seen = what_was_seen(record, self.sightings, LINE, NOW + 5.3)
        assert seen is not None
        self.assertAlmostEqual(seen.moment, NOW + 5, places=3)
        self.assertTrue(compare_progress(record, self.sightings[0].state, Moment.agreed(NOW + 5.3), seen=seen).agreed)

    def test_a_clock_that_is_not_known_yet_is_not_read(self) -> None:
        """The round trip is known from the handshake, the clock only from a heartbeat. Posting takes 0.2 s, too."""
        line = PathStats(round_trip=0.4)
        for clock in (NOW - 100, NOW, NOW + 100):
            for at, percent, remaining in ((5.0, 8.33, 55.0), (10.1, 16.83, 49.9)):
                record = claim(clock + at, percent, remaining)
                seen = what_was_seen(record, self.sightings, line, NOW + at + 0.2)
                self.assertTrue(
                    compare_progress(record, self.paused, Moment.agreed(NOW + at + 0.2), seen=seen).agreed, (clock, at)
                )

    def test_a_clock_that_is_right_is_known_to_be(self) -> None:
        """It is read, though it is 0 s off."""
        line = PathStats(round_trip=0.4, offset=0.0)
        seen = what_was_seen(claim(NOW + 5, 8.33), self.sightings, line, NOW + 6)
        assert seen is not None
        self.assertEqual(seen.moment, NOW + 5)

    def test_lying_timestamps_reach_back_two_seconds_at_most(self) -> None:
        seen = what_was_seen(claim(0.0, 1.0), self.sightings, LINE, NOW + 30)
        assert seen is not None
        self.assertEqual((seen.moment, seen.state), (NOW + 30 - REPORT_LATENCY, self.paused))

    def test_a_line_that_was_not_measured_says_nothing(self) -> None:
        self.assertIsNone(what_was_seen(claim(NOW, 1.0), self.sightings, PathStats(), NOW))

    def test_the_correction_is_the_truth_of_now(self) -> None:
        seen = what_was_seen(claim(NOW + 110.1, 16.83), self.sightings, LINE, NOW + 10.4)
        verdict = compare_progress(claim(NOW + 110.1, 16.83), self.paused, Moment.agreed(NOW + 10.4), seen=seen)
        self.assertIs(verdict.correction.status, Status.PAUSED)


class ProgressTests(SynchronousTestCase):
    """The truth is 60 s long and began at `NOW`."""

    truth = running()

    def test_right(self) -> None:
        verdict = compare_progress(claim(NOW + 30, 50.0, 30.0), self.truth, Moment.agreed(NOW + 30))
        self.assertTrue(verdict.agreed)
        self.assertEqual((verdict.deviation_percent, verdict.deviation_seconds), (0.0, 0.0))

    def test_right_when_it_was_made(self) -> None:
        """A claim takes time to arrive; the correction is of now."""
        verdict = compare_progress(claim(NOW + 30, 50.0, 30.0), self.truth, Moment.agreed(NOW + 31.5))
        self.assertTrue(verdict.agreed)
        self.assertEqual(verdict.correction.progress_percentage, 52)

    def test_old_claims_are_not_believed(self) -> None:
        verdict = compare_progress(claim(NOW + 10, 16.67), self.truth, Moment.agreed(NOW + 30))
        self.assertFalse(verdict.agreed)
        self.assertAlmostEqual(verdict.deviation_percent, 16.67 - (30 - REPORT_LATENCY) / 0.6, places=1)

    def test_claims_from_ahead_are_not_believed(self) -> None:
        verdict = compare_progress(claim(NOW + 60, 99.9, 0.0), self.truth, Moment.agreed(NOW + 30))
        self.assertFalse(verdict.agreed)
        self.assertEqual((verdict.deviation_percent, verdict.deviation_seconds), (49.9, -30.0))

    def test_a_claim_is_read_on_the_clock_as_it_is_set_now(self) -> None:
        """The system's clock was wrong by an hour when the process started, and is right by now."""
        for ahead in (-3600.0, 3600.0):
            verdict = compare_progress(
                claim(NOW + ahead + 30, 50.0, 30.0), self.truth, Moment(NOW + 31, NOW + ahead + 31)
            )
            self.assertTrue(verdict.agreed)
            self.assertEqual(verdict.correction.progress_percentage, 51)

    def test_little_is_tolerated(self) -> None:
        self.assertTrue(compare_progress(claim(NOW + 30, 50.4, 30.2), self.truth, Moment.agreed(NOW + 30)).agreed)
        self.assertFalse(compare_progress(claim(NOW + 30, 50.6), self.truth, Moment.agreed(NOW + 30)).agreed)
        self.assertFalse(compare_progress(claim(NOW + 30, 50.0, 30.4), self.truth, Moment.agreed(NOW + 30)).agreed)

    def test_another_status(self) -> None:
        paused = claim(NOW + 30, 50.0, flags=ProgressFlags.PAUSED)
        self.assertFalse(compare_progress(paused, self.truth, Moment.agreed(NOW + 30)).agreed)

    def test_a_client_never_reports_completion(self) -> None:
        done = claim(NOW + 60, 100.0, 0.0, flags=ProgressFlags.COMPLETED)
        verdict = compare_progress(done, self.truth, Moment.agreed(NOW + 60))
        self.assertFalse(verdict.agreed)
        self.assertIs(verdict.correction.status, Status.ACTIVE)

    def test_quality(self) -> None:
        truth = replace(self.truth, progress=replace(self.truth.progress, quality=70, target_quality=90))
        for quality, target, agreed in ((None, None, True), (70, 90, True), (71, None, False), (None, 91, False)):
            made = claim(NOW, 0.0, quality=quality, target_quality=target)
            self.assertIs(compare_progress(made, truth, Moment.agreed(NOW)).agreed, agreed)

    def test_unknown_remaining_time(self) -> None:
        truth = replace(self.truth, progress=replace(self.truth.progress, remaining=None))
        self.assertIsNone(compare_progress(claim(NOW, 0.0, 60.0), truth, Moment.agreed(NOW)).deviation_seconds)


class MaterialsTests(SynchronousTestCase):
    truth = MaterialsState(SESSION, 1, (Material(IRON, 10, 50),))

    def verdict(self, *changes: tuple[UUID, ChangeType, int | None, int | None]) -> tuple[bool, list[UUID]]:
        record = MaterialsRecord(
            1,
            int(NOW * 1000),
            SESSION,
            tuple(
                MaterialChange(material_id=material, change_type=kind, new_quantity=quantity, new_quality=quality)
                for material, kind, quantity, quality in changes
            ),
        )
        verdict = compare_materials(record, self.truth)
        self.assertEqual(verdict.correction, [HeldMaterial(IRON, 10, 50)])
        return verdict.agreed, verdict.deviating

    def test_right(self) -> None:
        self.assertEqual(self.verdict((IRON, ChangeType.QUANTITY_CHANGED, 10, None)), (True, []))
        self.assertEqual(self.verdict((IRON, ChangeType.QUALITY_CHANGED, None, 50)), (True, []))
        self.assertEqual(self.verdict((COPPER, ChangeType.REMOVED, None, None)), (True, []))
        self.assertEqual(self.verdict(), (True, []))

    def test_wrong(self) -> None:
        self.assertEqual(self.verdict((IRON, ChangeType.QUANTITY_CHANGED, 9, None)), (False, [IRON]))
        self.assertEqual(self.verdict((IRON, ChangeType.QUALITY_CHANGED, 10, 51)), (False, [IRON]))
        self.assertEqual(self.verdict((IRON, ChangeType.REMOVED, None, None)), (False, [IRON]))
        self.assertEqual(self.verdict((COPPER, ChangeType.ADDED, 1, None)), (False, [COPPER]))

    def test_the_last_value_counts(self) -> None:
        quantity = ChangeType.QUANTITY_CHANGED
        self.assertEqual(self.verdict((IRON, quantity, 9, None), (IRON, quantity, 10, None)), (True, []))
        wrong = (IRON, quantity, 9, None)
        self.assertEqual(self.verdict(wrong, (IRON, ChangeType.QUALITY_CHANGED, None, 50)), (False, [IRON]))
        self.assertEqual(self.verdict(wrong, (IRON, ChangeType.ADDED, 10, 50)), (True, []))


class EventTests(SynchronousTestCase):
    def test_progress(self) -> None:
        record = claim(NOW - 1, 12.5, 30.0, quality=5, flags=ProgressFlags.PAUSED)
        event = progress_event(record, ID, Moment.agreed(NOW))
        self.assertEqual((event.event_id, event.timestamp, event.accepted), (ID, NOW - 1, NOW))
        self.assertEqual(event.session_id, SESSION)
        self.assertEqual(
            event.data,
            SessionProgress(
                session_id=SESSION,
                progress_percentage=12.5,
                status=Status.PAUSED,
                remaining_time_seconds=30.0,
                current_quality=5,
            ),
        )

    def test_materials(self) -> None:
        change = MaterialChange(material_id=IRON, change_type=ChangeType.ADDED, new_quantity=1)
        event = materials_event(MaterialsRecord(1, int(NOW * 1000), SESSION, (change,)), ID, Moment.agreed(NOW + 1))
        self.assertEqual((event.timestamp, event.accepted), (NOW, NOW + 1))
        self.assertEqual(event.data, MaterialsUpdate(session_id=SESSION, changes=(change,)))

    def test_status(self) -> None:
        self.assertIs(status_of(ProgressFlags(0)), Status.ACTIVE)
        self.assertIs(status_of(ProgressFlags.INTERRUPTED), Status.INTERRUPTED)
        self.assertIs(status_of(ProgressFlags.PAUSED | ProgressFlags.FAILED), Status.FAILED)
        self.assertIs(status_of(ProgressFlags.COMPLETED | ProgressFlags.INTERRUPTED), Status.COMPLETED)
