"""The way in for events."""

from __future__ import annotations

import json
from collections.abc import Sequence
from uuid import UUID

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from craftnet.clocks import Moment
from craftnet.contract.events import Event, EventOutcome, EventVerdict
from craftnet.errors import BadRequest, Unavailable
from craftnet.feeds.ingest import MAX_EVENTS, Ingest
from craftnet.observe.metrics.registry import Metrics
from craftnet.providers.memory.backend import MemoryBackend, MemorySettings
from craftnet.providers.sources import Sources
from craftnet.tests.contracts.source import ACCEPTED, DUPLICATE, REJECTED, pause, quantity, queued
from craftnet.tests.support.fakes import SteppedClock
from craftnet.tests.support.late import LateMaterials, LateQueues, LateSessions
from craftnet.tests.support.samples import IRON, NOW, PLAYER, RECIPE, SESSION, event, start


def written(number: int, event_type: str, **data: object) -> dict[str, object]:
    """An event as the authority writes it; its id and its time grow with `number`."""
    return {
        "event_id": str(UUID(int=number)),
        "event_type": event_type,
        "timestamp": f"2027-01-15T08:00:{number:02d}Z",
        "version": "1.0.0",
        "source": "crafting-service",
        "data": data,
    }


STARTED = written(
    1,
    "crafting.session.start",
    session_id=str(SESSION),
    recipe_id=str(RECIPE),
    player_id=str(PLAYER),
    materials=[{"material_id": str(IRON), "quantity": 10}],
)
MATERIALS = written(
    2,
    "crafting.materials.update",
    session_id=str(SESSION),
    changes=[{"material_id": str(IRON), "change_type": "quantity_changed", "new_quantity": 4}],
)
PAUSED = written(3, "crafting.session.pause", session_id=str(SESSION), pause_reason="player_afk")
QUEUE_EVENT = written(4, "crafting.queue.update", player_id=str(PLAYER), queue_position=2)


class _Journal:
    """Which sources were given which events, in order."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, list[str]]] = []

    def note(self, name: str, events: Sequence[Event]) -> None:
        self.entries.append((name, [type(event_.data).__name__ for event_ in events]))


class _NotedSessions(LateSessions):
    journal: _Journal

    def apply(self, events: Sequence[Event]) -> Deferred[list[EventOutcome]]:
        self.journal.note("sessions", events)
        return super().apply(events)


class _NotedMaterials(LateMaterials):
    journal: _Journal

    def apply(self, events: Sequence[Event]) -> Deferred[list[EventOutcome]]:
        self.journal.note("materials", events)
        return super().apply(events)


class _NotedQueues(LateQueues):
    journal: _Journal

    def apply(self, events: Sequence[Event]) -> Deferred[list[EventOutcome]]:
        self.journal.note("queues", events)
        return super().apply(events)


class IngestTests(SynchronousTestCase):
    def setUp(self) -> None:
        clock = SteppedClock()
        clock.advance(NOW)
        memory = MemoryBackend(clock, MemorySettings())
        self.journal = _Journal()
        self.sessions = _NotedSessions(memory.sessions, lambda act: act())
        self.materials = _NotedMaterials(memory.materials, lambda act: act())
        self.queues = _NotedQueues(memory.queues, lambda act: act())
        for source in (self.sessions, self.materials, self.queues):
            source.journal = self.journal
        self.metrics = Metrics()
        self.ingest = Ingest(Sources(self.sessions, self.materials, self.queues), self.metrics)

    def publishing(self, body: bytes, *, lines: bool = False) -> Deferred[list[EventOutcome]]:
        return Deferred.fromCoroutine(self.ingest.publish(body, newline_delimited=lines, now=Moment.agreed(NOW)))

    def publish(self, *events: object) -> list[EventVerdict]:
        """The outcomes of these events, sent as one array."""
        outcomes = self.successResultOf(self.publishing(json.dumps(events).encode()))
        return [outcome.verdict for outcome in outcomes]

    def figure(self, verdict: EventVerdict) -> float | None:
        return self.metrics.registry.get_sample_value("craftnet_events_total", {"verdict": verdict.value})

    def test_single(self) -> None:
        (outcome,) = self.successResultOf(self.publishing(json.dumps(STARTED).encode()))
        self.assertIs(outcome.verdict, ACCEPTED)
        state = self.successResultOf(self.sessions.get(SESSION))
        assert state is not None
        self.assertEqual((state.player_id, state.accepted), (PLAYER, NOW))

    def test_lines(self) -> None:
        body = b"\n".join(json.dumps(item).encode() for item in (STARTED, MATERIALS)) + b"\n"
        outcomes = self.successResultOf(self.publishing(body, lines=True))
        self.assertEqual([outcome.verdict for outcome in outcomes], [ACCEPTED, ACCEPTED])

    def test_bad_events_do_not_spoil_their_neighbours(self) -> None:
        verdicts = self.publish({"no": "event"}, STARTED, 17, PAUSED, {**PAUSED, "version": "9"}, QUEUE_EVENT)
        self.assertEqual(verdicts, [REJECTED, ACCEPTED, REJECTED, ACCEPTED, REJECTED, ACCEPTED])

    def test_bad_lines_do_not_spoil_their_neighbours(self) -> None:
        body = b'{"half": \n' + json.dumps(STARTED).encode() + b"\n\xff\xfe\n" + b"[" * 50_000
        outcomes = self.successResultOf(self.publishing(body, lines=True))
        self.assertEqual([outcome.verdict for outcome in outcomes], [REJECTED, ACCEPTED, REJECTED, REJECTED])

    def test_order_across_sources(self) -> None:
        """Runs for one source go together; the order between sources is that of the body."""
        self.assertEqual(self.publish(STARTED, MATERIALS, PAUSED, QUEUE_EVENT), [ACCEPTED] * 4)
        self.assertEqual(
            self.journal.entries,
            [
                ("sessions", ["SessionStart"]),
                ("materials", ["SessionStart"]),
                ("materials", ["MaterialsUpdate"]),
                ("sessions", ["SessionPause"]),
                ("queues", ["QueueUpdate"]),
            ],
        )

    def test_materials_of_the_start(self) -> None:
        self.publish(STARTED, MATERIALS)
        state = self.successResultOf(self.materials.get(SESSION))
        self.assertEqual([(item.material_id, item.quantity) for item in state.materials], [(IRON, 4)])

    def test_rejected_start_brings_no_materials(self) -> None:
        self.publish(STARTED)
        other = {
            **STARTED,
            "event_id": str(UUID(int=9)),
            "data": {**json.loads(json.dumps(STARTED["data"])), "materials": None},
        }
        self.journal.entries.clear()
        self.assertEqual(self.publish(other), [REJECTED])
        self.assertEqual(self.journal.entries, [("sessions", ["SessionStart"])])

    def test_duplicates(self) -> None:
        self.publish(STARTED, MATERIALS, QUEUE_EVENT)
        self.assertEqual(self.publish(STARTED, MATERIALS, QUEUE_EVENT), [DUPLICATE] * 3)
        self.assertEqual(self.successResultOf(self.materials.get(SESSION)).version, 2)

    def test_duplicate_within_a_body(self) -> None:
        self.assertEqual(self.publish(STARTED, STARTED), [ACCEPTED, DUPLICATE])

    def test_source_out_of_reach(self) -> None:
        """The same body may be sent again, and completes what was left out."""
        self.materials.failure = Unavailable("The materials do not answer.")
        body = json.dumps([STARTED, PAUSED]).encode()
        self.failureResultOf(self.publishing(body), Unavailable)
        self.assertIsNone(self.figure(ACCEPTED))
        self.materials.failure = None
        outcomes = self.successResultOf(self.publishing(body))
        self.assertEqual([outcome.verdict for outcome in outcomes], [DUPLICATE, DUPLICATE])
        self.assertEqual(self.successResultOf(self.materials.get(SESSION)).version, 1)

    def test_bodies_that_are_no_events(self) -> None:
        for body in (b"", b" ", b"<html>502</html>", b"{", b"{}{}", b'{"half": ', b"[", b"[]", b"[1,", b"[" * 50_000):
            self.failureResultOf(self.publishing(body), BadRequest)
        whole = json.dumps(STARTED)
        for body, word in (
            (b"\xef\xbb\xbf" + whole.encode(), "byte order mark"),
            (whole.encode("utf-16"), "UTF-16"),
            (whole.encode("utf-16-be"), "malformed"),
            (whole.replace("crafting-service", "caf\u00e9").replace("\\u00e9", "\u00e9").encode("latin-1"), "UTF-8"),
            (b"{" + b'"deep":' + b"[" * 50_000, "deep"),
        ):
            error = self.failureResultOf(self.publishing(body), BadRequest)
            self.assertIn(word, error.getErrorMessage())
        for body in (b"", b" \n\n"):
            self.failureResultOf(self.publishing(body, lines=True), BadRequest)
        self.assertEqual(self.journal.entries, [])

    def test_json_that_is_no_event(self) -> None:
        """That is an answer for each of them; so it is for lines, whatever they hold."""
        for body in (b"17", b"{}", b"null", b'"event"', b"[17]"):
            (outcome,) = self.successResultOf(self.publishing(body))
            self.assertIs(outcome.verdict, REJECTED)
        outcomes = self.successResultOf(self.publishing(b"<html>\n\xef\xbb\xbf{}\n\xff", lines=True))
        self.assertEqual([outcome.verdict for outcome in outcomes], [REJECTED] * 3)

    def test_too_many(self) -> None:
        error = self.failureResultOf(self.publishing(b"[" + b",".join([b"0"] * (MAX_EVENTS + 1)) + b"]"), BadRequest)
        self.assertIn(str(MAX_EVENTS), error.getErrorMessage())
        outcomes = self.successResultOf(self.publishing(b"\n".join([b"0"] * MAX_EVENTS), lines=True))
        self.assertEqual(len(outcomes), MAX_EVENTS)

    def test_metrics(self) -> None:
        self.publish(STARTED, STARTED, PAUSED, {"no": "event"}, 17, 18)
        self.assertEqual([self.figure(verdict) for verdict in (ACCEPTED, DUPLICATE, REJECTED)], [2, 1, 3])

    def test_decoded_events(self) -> None:
        batch = [event(start()), event(quantity(3), NOW + 1), event(queued(2)), event(pause(), NOW + 2)]
        outcomes = self.successResultOf(Deferred.fromCoroutine(self.ingest.submit(batch)))
        self.assertEqual([outcome.verdict for outcome in outcomes], [ACCEPTED] * 4)
        self.assertEqual(self.figure(ACCEPTED), 4)
