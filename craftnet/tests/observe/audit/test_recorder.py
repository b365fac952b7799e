"""Tests for `craftnet.observe.audit.recorder` and `craftnet.observe.audit.floods`."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from craftnet.interfaces import IAuditLog
from craftnet.observe.audit.events import FLOODS, SecurityEvent, SecurityEventType
from craftnet.observe.audit.floods import FLOOD_WINDOW, FloodAggregator
from craftnet.observe.audit.recorder import MAX_TEXT, NoAudit, SecurityEvents
from craftnet.tests.support.fakes import SteppedClock
from craftnet.tests.support.samples import NOW, OTHER_PLAYER, PLAYER

DENIED, ADMIN = SecurityEventType.DENIED, SecurityEventType.ADMIN


class RecorderTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = SteppedClock(NOW)
        self.events = SecurityEvents(self.clock, remembered=5)
        self.heard: list[SecurityEvent] = []

    def test_interfaces(self) -> None:
        verifyObject(IAuditLog, self.events)
        verifyObject(IAuditLog, NoAudit())

    def test_listeners_hear_of_events(self) -> None:
        stop = self.events.subscribe(self.heard.append)
        self.events.record(
            SecurityEvent(type=DENIED, player_id=PLAYER, address="192.0.2.1", status=403, reason="another player's")
        )
        self.assertEqual(
            self.heard,
            [
                SecurityEvent(
                    type=DENIED, time=NOW, player_id=PLAYER, address="192.0.2.1", status=403, reason="another player's"
                )
            ],
        )
        stop()
        stop()
        self.events.record(SecurityEvent(type=ADMIN, reason="maintenance"))
        self.assertEqual(len(self.heard), 1)

    def test_recent(self) -> None:
        """The newest events are kept, and returned oldest first."""
        for number in range(7):
            self.events.record(SecurityEvent(type=ADMIN, reason=str(number)))
        self.assertEqual([event.reason for event in self.events.recent()], ["2", "3", "4", "5", "6"])
        self.assertEqual([event.reason for event in self.events.recent(2)], ["5", "6"])
        self.assertEqual(self.events.recent(0), [])

    def test_times_are_dates(self) -> None:
        self.clock.step(-3600.0)
        self.events.record(SecurityEvent(type=ADMIN))
        self.assertEqual(self.events.recent()[0].time, NOW - 3600.0)

    def test_long_texts_are_cut(self) -> None:
        self.events.record(SecurityEvent(type=ADMIN, reason="x" * 10_000, actor="y" * 10_000))
        (event,) = self.events.recent()
        self.assertEqual((len(event.reason), len(event.actor)), (MAX_TEXT, MAX_TEXT))

    def test_failing_listener(self) -> None:
        """Neither the caller nor other listeners notice."""

        def fail(event: SecurityEvent) -> None:
            raise RuntimeError("broken")

        self.events.subscribe(fail)
        self.events.subscribe(self.heard.append)
        self.events.record(SecurityEvent(type=ADMIN))
        self.assertEqual(len(self.heard), 1)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_floods(self) -> None:
        """The first is recorded at once, and the number of the others when the window ends."""
        self.events.subscribe(self.heard.append)
        for _ in range(1000):
            self.events.record(SecurityEvent(type=DENIED, address="192.0.2.1"))
        self.assertEqual([event.count for event in self.heard], [1])
        self.clock.advance(FLOOD_WINDOW - 1)
        self.events.turn()
        self.assertEqual(len(self.heard), 1)
        self.clock.advance(1)
        self.events.turn()
        self.assertEqual([event.count for event in self.heard], [1, 999])
        self.assertEqual(self.heard[-1].since, NOW)
        self.events.turn()
        self.assertEqual(len(self.heard), 2)

    def test_flush(self) -> None:
        self.events.subscribe(self.heard.append)
        for _ in range(3):
            self.events.record(SecurityEvent(type=DENIED))
        self.events.flush()
        self.assertEqual([event.count for event in self.heard], [1, 2])


class FloodTests(SynchronousTestCase):
    def event(self, kind: SecurityEventType = DENIED, address: str = "", player: int = 0) -> SecurityEvent:
        player_id = (None, PLAYER, OTHER_PLAYER)[player]
        return SecurityEvent(type=kind, time=NOW, address=address, player_id=player_id)

    def test_clients_are_distinguished(self) -> None:
        floods = FloodAggregator()
        for address in ("192.0.2.1", "192.0.2.2", "2001:db8::1"):
            self.assertTrue(floods.admit(self.event(address=address), NOW))
            self.assertFalse(floods.admit(self.event(address=address), NOW))
        self.assertTrue(floods.admit(self.event(address="192.0.2.1", player=1), NOW))
        self.assertFalse(floods.admit(self.event(address="2001:db8::2"), NOW), "the same /64")

    def test_operators_are_never_aggregated(self) -> None:
        floods = FloodAggregator(rate=1.0, burst=1.0)
        self.assertTrue(all(floods.admit(self.event(ADMIN), NOW) for _ in range(1000)))

    def test_many_clients(self) -> None:
        """Beyond the rate, clients are counted together."""
        floods = FloodAggregator(rate=1.0, burst=10.0)
        admitted = [floods.admit(self.event(address=f"192.0.2.{number}"), NOW) for number in range(200)]
        self.assertEqual(admitted.count(True), 10)
        (summary,) = floods.due(NOW + FLOOD_WINDOW)
        self.assertEqual((summary.count, summary.address, summary.player_id), (190, "", None))
        self.assertTrue(floods.admit(self.event(address="192.0.2.1"), NOW + FLOOD_WINDOW), "the rate allows it again")

    @given(
        st.lists(
            st.tuples(st.sampled_from(sorted(FLOODS)), st.integers(0, 30), st.integers(0, 2), st.floats(0.0, 3.0)),
            max_size=80,
        )
    )
    @settings(deadline=None, max_examples=100, derandomize=True)
    def test_nothing_is_lost(self, script: list[tuple[SecurityEventType, int, int, float]]) -> None:
        """Every event is recorded by itself or counted once, whatever the limits."""
        floods, now = FloodAggregator(rate=2.0, burst=5.0, capacity=8), NOW
        wanted: Counter[str] = Counter()
        found: Counter[str] = Counter()
        for kind, host, player, pause in script:
            now += pause
            event = self.event(kind, f"198.51.100.{host}", player)
            wanted[kind] += 1
            found[kind] += floods.admit(event, now)
            for summary in floods.due(now):
                found[summary.type] += summary.count
        for summary in floods.rest():
            found[summary.type] += summary.count
        self.assertEqual(found, wanted)
        self.assertEqual(floods.rest(), [])
