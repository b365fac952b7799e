"""Following a player from craft to craft."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from craftnet.client.core.endings import Ending, EndingKind, connection_lost
from craftnet.client.core.player_watch import POLL_INTERVAL, follow, labels
from craftnet.client.core.watch import WatchOutcome, WatchVerdict
from craftnet.runtime.backoff import Backoff

ONE, TWO, THREE = UUID(int=1), UUID(int=2), UUID(int=3)
COMPLETED = WatchOutcome(WatchVerdict.COMPLETED, "complete")

FIRST = UUID("aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa")
ALIKE = UUID("aaaaaaaa-bbbb-4aaa-8aaa-aaaaaaaaaaaa")
NEARLY_THE_SAME = UUID("aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaab")
OTHER = UUID("bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb")


class FollowTests(SynchronousTestCase):
    """`follow`"""

    def setUp(self) -> None:
        self.clock = Clock()
        self.found: Sequence[UUID] | Ending = ()
        self.watched: list[tuple[UUID, Deferred[WatchOutcome]]] = []
        self.stopped: list[UUID] = []
        self.waits: list[tuple[float, Ending]] = []
        self.idle: list[float] = []
        backoff = Backoff(uniform=lambda low, high: high)
        following = follow(
            self.clock,
            self.find,
            self.watch,
            lambda delay, why: self.waits.append((delay, why)),
            lambda: self.idle.append(self.clock.seconds()),
            backoff,
            60.0,
        )
        self.following = Deferred.fromCoroutine(following)

    async def find(self) -> Sequence[UUID] | Ending:
        return self.found

    def watch(self, session_id: UUID) -> Deferred[WatchOutcome]:
        self.watched.append((session_id, Deferred(lambda _: self.stopped.append(session_id))))
        return self.watched[-1][1]

    @property
    def sessions(self) -> list[UUID]:
        return [session_id for session_id, _ in self.watched]

    def end(self, outcome: WatchOutcome = COMPLETED) -> None:
        self.watched[-1][1].callback(outcome)
        self.clock.advance(POLL_INTERVAL)

    def test_one_after_the_other(self) -> None:
        """The newest of those under way, each once, with pauses in which there is none."""
        self.found = (ONE, TWO)
        self.clock.advance(POLL_INTERVAL)
        self.end()
        self.assertEqual(self.sessions, [TWO, ONE])
        self.end(WatchOutcome(WatchVerdict.FAILED, "broke"))
        self.found = ()
        self.clock.advance(POLL_INTERVAL)
        self.found = (THREE,)
        self.clock.advance(POLL_INTERVAL)
        self.end(WatchOutcome(WatchVerdict.REFUSED, "gone meanwhile"))
        self.clock.advance(POLL_INTERVAL)
        self.assertEqual(self.sessions, [TWO, ONE, THREE])
        self.assertNoResult(self.following)

    def test_nothing_under_way(self) -> None:
        """That is said once in each pause."""
        self.clock.pump([POLL_INTERVAL] * 3)
        self.found = (ONE,)
        self.clock.advance(POLL_INTERVAL)
        self.assertEqual(self.idle, [0.0])
        self.end()
        self.clock.pump([POLL_INTERVAL] * 3)
        self.assertEqual(self.idle, [0.0, 5 * POLL_INTERVAL])

    def test_server_that_does_not_list(self) -> None:
        self.found = Ending(EndingKind.REFUSED, "name a session")
        self.clock.advance(POLL_INTERVAL)
        self.assertEqual(self.successResultOf(self.following), WatchOutcome(WatchVerdict.REFUSED, "name a session"))

    def test_server_that_is_restarted(self) -> None:
        self.found = connection_lost("gone")
        self.clock.advance(POLL_INTERVAL)
        self.found = (ONE,)
        self.clock.advance(POLL_INTERVAL)
        self.assertEqual((self.sessions, self.waits), ([ONE], [(0.5, connection_lost("gone"))]))

    def test_server_that_is_gone(self) -> None:
        self.found = connection_lost("gone")
        self.clock.pump([1.0] * 70)
        self.assertEqual(self.successResultOf(self.following), WatchOutcome(WatchVerdict.UNREACHABLE, "gone"))

    def test_gone_during_a_watch(self) -> None:
        self.found = (ONE,)
        self.clock.advance(POLL_INTERVAL)
        self.end(WatchOutcome(WatchVerdict.UNREACHABLE, "gone"))
        self.assertIs(self.successResultOf(self.following).verdict, WatchVerdict.UNREACHABLE)

    def test_cancelled(self) -> None:
        """… while it watches: the watch ends, and no other begins."""
        self.found = (ONE,)
        self.clock.advance(POLL_INTERVAL)
        self.following.cancel()
        self.failureResultOf(self.following, CancelledError)
        self.assertEqual(self.stopped, [ONE])
        self.assertEqual(self.clock.getDelayedCalls(), [])


class LabelsTests(SynchronousTestCase):
    def test_one_session_needs_no_label(self) -> None:
        self.assertEqual(labels([FIRST]), {FIRST: ""})
        self.assertEqual(labels([FIRST, FIRST]), {FIRST: ""})

    def test_several_are_called_by_the_beginnings_of_their_ids(self) -> None:
        self.assertEqual(labels([OTHER, FIRST]), {OTHER: "bbbbbbbb", FIRST: "aaaaaaaa"})

    def test_labels_distinguish_ids_with_a_common_prefix(self) -> None:
        self.assertEqual(labels([FIRST, ALIKE]), {FIRST: "aaaaaaaa-aaaa", ALIKE: "aaaaaaaa-bbbb"})
        self.assertEqual(
            labels([FIRST, NEARLY_THE_SAME, OTHER]), {each: str(each) for each in (FIRST, NEARLY_THE_SAME, OTHER)}
        )
