"""Lists of sessions and queues, page by page, and taps: of memory and of Redis."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from craftnet.contract.events import Event, EventOutcome, QueueUpdate
from craftnet.contract.messages import Station
from craftnet.errors import BadRequest
from craftnet.providers.inspection import IEventTap, IListing
from craftnet.providers.memory.backend import MemoryBackend, MemorySettings
from craftnet.tests.support.fakes import SteppedClock
from craftnet.tests.support.redis_nodes import RedisTestCase
from craftnet.tests.support.samples import NOW, PLAYER, event, start

SESSIONS = [UUID(int=number + 1) for number in range(250)]


def odd(state: Any) -> bool:
    """Half of them."""
    return bool(state.session_id.int % 2)


class MemoryTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.backend = MemoryBackend(SteppedClock(NOW), MemorySettings())
        self.successResultOf(self.backend.sessions.apply([event(start(session)) for session in SESSIONS]))

    def page(self, cursor: str | None, limit: int, wanted: Any = None) -> tuple[list[UUID], str | None]:
        states, after = self.successResultOf(self.backend.sessions.page(cursor, limit, wanted))
        return [state.session_id for state in states], after

    def test_newest_first(self) -> None:
        self.assertTrue(IListing.providedBy(self.backend.sessions) and IListing.providedBy(self.backend.queues))
        found, cursor = self.page(None, 100)
        self.assertEqual(found, SESSIONS[:-101:-1])
        while cursor is not None:
            more, cursor = self.page(cursor, 100)
            found += more
        self.assertEqual(found, SESSIONS[::-1])

    def test_wanted(self) -> None:
        found, cursor = self.page(None, 200, odd)
        self.assertEqual((found, cursor), ([session for session in SESSIONS[::-1] if session.int % 2], None))

    def test_sessions_that_come_meanwhile(self) -> None:
        """Do not hide others."""
        found, cursor = self.page(None, 100)
        self.successResultOf(self.backend.sessions.apply([event(start(UUID(int=9999)))]))
        while cursor is not None:
            more, cursor = self.page(cursor, 100)
            found += more
        self.assertEqual(set(found), set(SESSIONS))

    def test_cursors_of_others(self) -> None:
        for cursor in ("x", "1:2", ""):
            self.failureResultOf(self.backend.sessions.page(cursor, 10, None), BadRequest)
        self.assertEqual(self.page("999999", 1)[0], SESSIONS[-1:])
        self.assertEqual(self.page("-5", 1), ([], None))

    def test_tap(self) -> None:
        """Receives each event with its outcome, once a tap is set."""
        seen: list[tuple[Event, EventOutcome]] = []
        for source in (self.backend.sessions, self.backend.queues):
            self.assertTrue(IEventTap.providedBy(source))
            source.tap = lambda events, outcomes: seen.extend(zip(events, outcomes, strict=True))
        first = event(start(UUID(int=7777)))
        self.successResultOf(self.backend.sessions.apply([first, first]))
        place = event(QueueUpdate(player_id=PLAYER, queue_position=1, station_type=Station.LABORATORY))
        self.successResultOf(self.backend.queues.apply([place]))
        self.assertEqual([one.event_id for one, _ in seen], [first.event_id, first.event_id, place.event_id])
        self.assertEqual([outcome.verdict.value for _, outcome in seen], ["accepted", "duplicate", "accepted"])


class RedisTests(RedisTestCase):
    async def test_pages(self) -> None:
        """Every session occurs, on some page."""
        backend = self.backend()
        seen: list[EventOutcome] = []
        backend.sessions.tap = lambda events, outcomes: seen.extend(outcomes)
        await backend.sessions.apply([event(start(session)) for session in SESSIONS])
        self.assertEqual(len(seen), len(SESSIONS))
        for wanted in (None, odd):
            found, cursor, pages = set(), None, 0
            while pages == 0 or cursor is not None:
                states, cursor = await backend.sessions.page(cursor, 30, wanted)
                self.assertLessEqual(len(states), 30)
                found |= {state.session_id for state in states}
                pages += 1
            self.assertEqual(found, {session for session in SESSIONS if wanted is None or session.int % 2})
            self.assertGreater(pages, 2)
        refused: Deferred[Any] = backend.sessions.page("x", 10, None)
        with self.assertRaises(BadRequest):
            await refused
