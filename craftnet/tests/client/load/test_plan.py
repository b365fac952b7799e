"""Tests for `craftnet.client.load.plan`."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from craftnet.client.load.plan import LoadPlan, Share, is_loopback, shares, tag
from craftnet.clocks import Moment
from craftnet.contract.envelopes import decode
from craftnet.contract.events import Event, SessionCancel, SessionProgress, SessionStart
from craftnet.tests.support.samples import NOW


def plan(watchers: int = 10, *, rate: float = 1.0, seconds: float = 10.0, batch: float = 0.005) -> LoadPlan:
    """A run against a server on loopback."""
    return LoadPlan(
        url="http://127.0.0.1:8080",
        run=2**64 - 1,
        watchers=watchers,
        rate=rate,
        ramp=1.0,
        seconds=seconds,
        batch=batch,
    )


def only_share(of: LoadPlan, transport: str = "ws") -> Share:
    """All of a run, for one process."""
    (share,) = shares(of, transport, 1, "a.b.c", NOW)
    return share


class ShareTests(SynchronousTestCase):
    @settings(deadline=None, derandomize=True, max_examples=100)
    @given(st.integers(1, 30_000), st.sampled_from(["ws", "udp", "both"]), st.integers(0, 9))
    def test_every_watcher_belongs_to_one_process(self, watchers: int, transport: str, processes: int) -> None:
        parts = shares(plan(watchers), transport, processes, "a.b.c", NOW)
        numbers = [number for part in parts for number in range(part.first, part.first + part.watchers)]
        self.assertEqual(numbers, list(range(watchers)))
        wanted = {"ws", "udp"} if transport == "both" and watchers > 1 else {"ws"} if transport != "udp" else {"udp"}
        self.assertEqual({part.transport for part in parts}, wanted)

    def test_as_many_processes_as_the_rate_takes(self) -> None:
        self.assertEqual(len(shares(plan(20_000), "ws", 0, "", NOW)), 2)
        self.assertEqual(len(shares(plan(10_000), "udp", 0, "", NOW)), 4)
        self.assertEqual(len(shares(plan(10_000, rate=0.1), "ws", 0, "", NOW)), 1)
        self.assertEqual(len(shares(plan(10_000), "ws", 5, "", NOW)), 5)

    def test_no_two_sessions_or_players_share_an_id(self) -> None:
        parts = shares(plan(7), "both", 2, "", NOW)
        found = [each for part in parts for n in range(part.watchers) for each in (part.session(n), part.player(n))]
        self.assertEqual(len(set(found)), 14)


class ScheduleTests(SynchronousTestCase):
    @settings(deadline=None, derandomize=True, max_examples=100)
    @given(st.integers(1, 500), st.floats(0.01, 20), st.sampled_from([0.001, 0.005, 0.1, 1.0]), st.data())
    def test_an_update_is_due_at_the_end_of_its_batch(
        self, watchers: int, rate: float, batch: float, data: st.DataObject
    ) -> None:
        share = only_share(plan(watchers, rate=rate, batch=batch, seconds=1e9))
        number = data.draw(st.integers(0, 1000))
        at = share.due_at(number)
        self.assertGreater(share.due(at + 1e-6 * max(1.0, at)), number)
        self.assertLessEqual(share.due(at - 1.001 * batch), number)

    def test_nothing_is_due_after_the_end(self) -> None:
        share = only_share(plan(10, rate=2.0, seconds=10.0))
        self.assertEqual((share.due(0.0), share.due(5.0), share.due(99.0)), (0, 100, 200))


class EventTests(SynchronousTestCase):
    """The posted events, parsed as the server parses them."""

    def setUp(self) -> None:
        """A share."""
        self.share = only_share(plan())

    def read(self, octets: bytes) -> Event:
        """As `POST /events`."""
        event = decode(octets, Moment.agreed(NOW))
        assert isinstance(event, Event), event
        return event

    def test_a_session(self) -> None:
        start = self.read(self.share.start(3, NOW))
        updates = [self.read(self.share.update(3, turn, turn * 60.0, NOW)) for turn in range(2)]
        end = self.read(self.share.end(3, NOW))
        assert isinstance(start.data, SessionStart)
        assert isinstance(end.data, SessionCancel)
        self.assertEqual(start.data.player_id, self.share.player(3))
        progress = [update.data for update in updates if isinstance(update.data, SessionProgress)]
        self.assertEqual([data.current_quality for data in progress], [tag(0), tag(1)])
        self.assertEqual([data.progress_percentage for data in progress], [0.0, 1.667])
        events = [start, *updates, end]
        self.assertEqual({event.session_id for event in events}, {self.share.session(3)})
        self.assertEqual(len({event.event_id for event in events}), 4)

    def test_tags_are_qualities(self) -> None:
        self.assertEqual([tag(turn) for turn in (0, 99, 100)], [1, 100, 1])


class LoopbackTests(SynchronousTestCase):
    def test_hosts(self) -> None:
        for host in ("127.0.0.1", "127.9.9.9", "localhost", "LOCALHOST", "::1", "[::1]"):
            self.assertTrue(is_loopback(host), host)
        for host in ("10.0.0.1", "0.0.0.0", "game.example", "localhost.game.example", "::", "fe80::1%lo"):
            self.assertFalse(is_loopback(host), host)
