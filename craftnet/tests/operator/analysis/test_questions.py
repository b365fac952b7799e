"""The answers of `craftnet analyse`: about crafts that are few enough to calculate by hand, and a seeded workshop."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any
from uuid import UUID

from twisted.trial.unittest import SynchronousTestCase

from craftnet.contract.events import (
    Event,
    MaterialsUpdate,
    QueueUpdate,
    SessionCancel,
    SessionComplete,
    SessionFail,
    SessionPause,
    SessionProgress,
    SessionResume,
    SessionStart,
)
from craftnet.contract.messages import MaterialNotification, MaterialProblem, QueueMessageType, Station, Status
from craftnet.errors import ConfigurationError
from craftnet.operator.analysis.figures import ReportSection
from craftnet.operator.analysis.history import Period, RecordedHistory
from craftnet.operator.analysis.questions import QUESTIONS
from craftnet.recording.rows import PathSample
from craftnet.tests.support.recordings import Observed, record, workshop_events
from craftnet.tests.support.samples import COPPER, IRON, NOW, OTHER_PLAYER, PLAYER, RECIPE

CRAFTS = [UUID(int=number) for number in range(1, 9)]
OTHER_RECIPE = UUID(int=100)
NAMES = {str(IRON): "iron", str(COPPER): "copper", str(RECIPE): "blade", str(OTHER_RECIPE): "shield"}


def begun(craft: int, at: float, estimate: float | None, recipe: UUID = RECIPE) -> Observed:
    """A start, some seconds after `NOW`."""
    data = SessionStart(
        session_id=CRAFTS[craft], recipe_id=recipe, player_id=PLAYER, estimated_duration_seconds=estimate
    )
    return data, NOW + at


def completed(craft: int, at: float) -> Observed:
    """A completion."""
    return SessionComplete(session_id=CRAFTS[craft], result_item_id=IRON), NOW + at


def paused(craft: int, at: float) -> Observed:
    """A pause with the reason `player_afk`."""
    return SessionPause(session_id=CRAFTS[craft], pause_reason="player_afk"), NOW + at


def resumed(craft: int, at: float) -> Observed:
    """The end of a pause."""
    return SessionResume(session_id=CRAFTS[craft]), NOW + at


def report(craft: int, at: float, status: Status) -> Observed:
    """A report of progress."""
    return SessionProgress(session_id=CRAFTS[craft], progress_percentage=50, status=status), NOW + at


def short(craft: int, at: float, material: UUID, problem: MaterialProblem, **more: int) -> Observed:
    """A notification about a material."""
    notice = MaterialNotification(material_id=material, notification_type=problem, **more)
    return MaterialsUpdate(session_id=CRAFTS[craft], notifications=(notice,)), NOW + at


def queued(player: UUID, at: float, station: Station, kind: QueueMessageType, wait: float | None = None) -> Observed:
    """An update of a queue."""
    return (
        QueueUpdate(player_id=player, queue_position=1, station_type=station, type=kind, estimated_wait_seconds=wait),
        NOW + at,
    )


ENOUGH = MaterialProblem.INSUFFICIENT_QUANTITY
WAITING, FREE, EXPIRED = (
    QueueMessageType.QUEUE_POSITION,
    QueueMessageType.STATION_AVAILABLE,
    QueueMessageType.QUEUE_TIMEOUT,
)

HISTORY = [
    # 0: a blade in 100 s, as estimated. 1: a blade in 130 s, of which it stood still for 10 s.
    begun(0, 0, 100),
    completed(0, 100),
    begun(1, 0, 100),
    paused(1, 20),
    resumed(1, 30),
    completed(1, 130),
    # 2: a shield in 90 s, interrupted for 30 s by a shortage of iron, twice reported.
    begun(2, 0, 50, OTHER_RECIPE),
    short(2, 9.5, IRON, ENOUGH, required_quantity=5, available_quantity=2),
    report(2, 10, Status.INTERRUPTED),
    report(2, 20, Status.INTERRUPTED),
    short(2, 39, IRON, MaterialProblem.MATERIAL_RESTORED),
    report(2, 40, Status.ACTIVE),
    completed(2, 90),
    # 3: fails for want of iron and copper. 4: is cancelled while it is paused, for 60 s. 5: fails in a way of its own.
    begun(3, 0, 80, OTHER_RECIPE),
    short(3, 1, IRON, ENOUGH, required_quantity=8, available_quantity=1),
    short(3, 1, COPPER, MaterialProblem.QUALITY_TOO_LOW),
    (SessionFail(session_id=CRAFTS[3], failure_reason="insufficient_materials"), NOW + 10),
    begun(4, 0, None),
    paused(4, 40),
    (SessionCancel(session_id=CRAFTS[4], cancel_reason="player_request"), NOW + 100),
    (SessionFail(session_id=CRAFTS[5], failure_reason="timeout"), NOW + 50),
    # 6: still under way, and interrupted for no reason that is known. 7: began before the recording.
    begun(6, 50, 1000),
    report(6, 60, Status.INTERRUPTED),
    report(7, 70, Status.ACTIVE),
    # Waits at the laboratory of 30 s and of 50 s (the first estimate of that: 40 s), and a timeout at a workbench.
    queued(PLAYER, 0, Station.LABORATORY, WAITING, 30),
    queued(PLAYER, 30, Station.LABORATORY, FREE),
    queued(PLAYER, 40, Station.LABORATORY, WAITING, 40),
    queued(PLAYER, 50, Station.LABORATORY, QueueMessageType.PRIORITY_BOOST, 5),
    queued(PLAYER, 90, Station.LABORATORY, FREE),
    queued(OTHER_PLAYER, 0, Station.BASIC_WORKBENCH, WAITING, 10),
    queued(OTHER_PLAYER, 200, Station.BASIC_WORKBENCH, EXPIRED),
    queued(OTHER_PLAYER, 210, Station.VEHICLE_BAY, FREE),  # its beginning is not recorded.
    queued(OTHER_PLAYER, 220, Station.VEHICLE_BAY, WAITING, 10),  # it does not end.
    # Paths: 20, 40 and 60 ms in one region, one of them lossy.
    (PathSample("us-east", "udp", 0.02, 0.0, 0.001), NOW),
    (PathSample("us-east", "udp", 0.04, 0.0, 0.002), NOW + 60),
    (PathSample("us-east", "udp", 0.06, 0.3, 0.009), NOW + 120),
    (PathSample(None, "websocket", 0.08, 0.0), NOW + 120),
]


def answers(folder: Path, period: Period = Period()) -> dict[str, ReportSection]:  # noqa: B008 - it is frozen.
    """All answers about a recording."""
    with closing(RecordedHistory(folder, period)) as history:
        return {name: ask(history, lambda each: NAMES.get(each, each)) for name, ask in QUESTIONS.items()}


def recorded(folder: Path, observed: list[Observed]) -> Path:
    """A recording, in the order of time."""
    return record(folder.absolute(), sorted(observed, key=lambda each: each[1]))


@cache
def hand_made() -> tuple[Path, dict[str, ReportSection]]:
    """The recording of `HISTORY`, in trial's folder, and all answers about it."""
    folder = recorded(Path(mkdtemp(dir=".")) / "recording", HISTORY)
    return folder, answers(folder)


class HandMadeTests(SynchronousTestCase):
    """Against figures that were calculated by hand."""

    def setUp(self) -> None:
        self.folder, self.all = hand_made()

    def rows(self, name: str, table: int = 0) -> tuple[Any, ...]:
        """The rows of a table, rounded."""
        rows = self.all[name].tables[table].rows
        return tuple(tuple(round(each, 3) if isinstance(each, float) else each for each in row) for row in rows)

    def test_completion(self) -> None:
        """Six of the eight ended, three of them well."""
        self.assertEqual(
            self.rows("completion"),
            (
                ("completed", 3, 0.5),
                ("cancelled: player request", 1, 0.167),
                ("failed: insufficient materials", 1, 0.167),
                ("failed: timeout", 1, 0.167),
            ),
        )
        self.assertEqual(self.rows("completion", 1), (("blade", 3, 0.667), ("shield", 2, 0.5)))
        self.assertEqual(
            self.all["completion"].sentences[:3],
            (
                "Of 6 crafts that ended, 50.0 % were completed.",
                "The most frequent other end is cancelled (player request): 16.7 % of all.",
                "1 craft that began in this period has no end in the recording.",
            ),
        )
        self.assertIn("fewer than 30 samples", self.all["completion"].sentences[-1])

    def test_estimates(self) -> None:
        """1.0 and 1.2 for the blades, 60 s for the 50 s of the shield."""
        self.assertEqual(
            self.rows("estimates"),
            (("1.0 to 1.1", 1, 0.333), ("1.1 to 1.2", 0, 0.0), ("1.2 to 1.3", 2, 0.667)),
        )
        self.assertEqual(self.rows("estimates", 1), (("blade", 2, 100, 110, 1.1, 0.5), ("shield", 1, 50, 60, 1.2, 1.0)))
        self.assertIn("at most 1.20 times the estimated time", self.all["estimates"].sentences[0])
        self.assertEqual(self.all["estimates"].sentences[1], "66.7 % were late.")

    def test_interruptions(self) -> None:
        """Pauses of 10 s and 60 s, a shortage of 30 s, and one that lasts."""
        self.assertEqual(
            self.rows("interruptions"),
            (
                ("player afk", 2, 2, 35.0, 55.0, 0.5),
                ("missing material", 1, 1, 30.0, 30.0, 1.0),
                ("no reason given", 1, 1, None, None, None),
            ),
        )
        self.assertEqual(self.all["interruptions"].sentences[0], "57.1 % of 7 crafts were interrupted at least once.")
        self.assertEqual(
            self.all["interruptions"].sentences[2],
            "66.7 % of the crafts with an interruption were completed, and 33.3 % of the others.",
        )

    def test_shortages(self) -> None:
        """Iron twice, 3 and 7 pieces; copper once."""
        self.assertEqual(
            self.rows("shortages"), (("iron", 2, 2, 2, 0, 0, 5.0, 0.5), ("copper", 1, 1, 0, 1, 0, None, 0.0))
        )
        self.assertEqual(self.all["shortages"].sentences[:2], (
            "3 shortages of 2 materials affected 2 crafts.",
            "The material that is short most often is iron: 66.7 % of all shortages."
        ))  # fmt: skip

    def test_queues(self) -> None:
        self.assertEqual(
            self.rows("queues"),
            (("basic workbench", 1, 200, 200, 1.0, None), ("laboratory", 2, 40, 48, 0.0, 5)),
        )
        self.assertEqual(self.all["queues"].sentences[:3], (
            "Half of 3 waits took at most 50 seconds.",
            "Players wait longest for basic workbench: 200 seconds in the median.",
            "33.3 % of the waits ended with a timeout instead of a station.",
        ))  # fmt: skip

    def test_network(self) -> None:
        self.assertEqual(
            self.rows("network"),
            (
                ("no region", "websocket", 1, 80.0, 80.0, None, 0.0, 0.0),
                ("us-east", "udp", 3, 40.0, 58.0, 2.0, 0.1, 0.333),
            ),
        )

    def test_period(self) -> None:
        """A craft counts when it ended, with all of its history; an open one, when it began."""

        def at(seconds: float) -> datetime:
            return datetime.fromtimestamp(NOW + seconds, UTC)

        self.all = answers(self.folder, Period(at(95), at(110)))
        self.assertEqual(self.rows("completion"), (("cancelled: player request", 1, 0.5), ("completed", 1, 0.5)))
        self.assertEqual(self.rows("interruptions"), (("player afk", 1, 1, 60.0, 60.0, 0.0),))
        self.assertEqual(self.all["queues"].sentences, ("No wait for a station ended in this period.",))
        error = self.assertRaises(ConfigurationError, answers, self.folder, Period(at(300), at(400)))
        self.assertIn("has nothing in this period; it has rows from 2027-01-15 to 2027-01-15", str(error))


class WorkshopTests(SynchronousTestCase):
    """A workshop of twenty minutes, whose events are counted without a database."""

    def test_counts(self) -> None:
        events = workshop_events(10, 1200, NOW)
        found = answers(recorded(Path(self.mktemp()), [(event.data, event.when) for event in events]))
        ends = Counter(map(end, events))
        ends.pop("")
        self.assertGreater(ends["completed"], 20)
        self.assertEqual({row[0]: row[1] for row in found["completion"].tables[0].rows}, ends)
        notices = [
            notice
            for event in events
            if isinstance(event.data, MaterialsUpdate)
            for notice in event.data.notifications
            if notice.notification_type is not MaterialProblem.MATERIAL_RESTORED
        ]
        short_of = Counter(NAMES.get(str(notice.material_id), str(notice.material_id)) for notice in notices)
        rows = {row[0]: row[1] for row in found["shortages"].tables[0].rows}
        self.assertEqual(rows, {name: short_of[name] for name in rows})
        self.assertEqual(min(rows.values()), sorted(short_of.values(), reverse=True)[len(rows) - 1])
        queue = [event.data for event in events if isinstance(event.data, QueueUpdate)]
        ended = Counter((data.station_type or "").replace("_", " ") for data in queue if data.type in (FREE, EXPIRED))
        self.assertEqual({row[0]: row[1] for row in found["queues"].tables[0].rows}, ended)


def end(event: Event) -> str:
    """How an event ends a craft, as the table names it."""
    match event.data:
        case SessionComplete():
            return "completed"
        case SessionFail(failure_reason=reason):
            return f"failed: {reason.replace('_', ' ')}"
        case SessionCancel(cancel_reason=reason):
            return f"cancelled: {reason.replace('_', ' ')}"
    return ""


class OrderTests(SynchronousTestCase):
    def test_events_of_one_millisecond(self) -> None:
        """A craft that is paused and completed at the same time stood still for no time, whatever the files' order."""
        for tied in ([paused(0, 60), completed(0, 60)], [completed(0, 60), paused(0, 60)]):
            folder = recorded(Path(self.mktemp()), [begun(0, 0, 60), *tied])
            with closing(RecordedHistory(folder, Period())) as history:
                self.assertEqual(history.all("SELECT seconds FROM stops"), [(0.0,)])


class EmptyTests(SynchronousTestCase):
    def test_nothing_to_say(self) -> None:
        """Every question has an answer about a recording that has only one kind of rows."""
        for observed in ([HISTORY[0]], [HISTORY[-1]], [queued(PLAYER, 0, Station.LABORATORY, WAITING), begun(1, 2, 3)]):
            for answer in answers(recorded(Path(self.mktemp()), observed)).values():
                self.assertTrue(answer.sentences)
