"""Tests for `craftnet.providers.redis.connection_slots`."""

from __future__ import annotations

from collections import Counter
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from craftnet.providers.redis.connection_slots import SlotCounts
from craftnet.tests.support.samples import OTHER_PLAYER, PLAYER

PLAYERS = (PLAYER, OTHER_PLAYER)
LIMIT = 4


class Cluster:
    """The cluster's knowledge of one node, and commands on their way there."""

    def __init__(self) -> None:
        self.tally = SlotCounts()
        self.truth: Counter[UUID] = Counter()
        self.known: Counter[UUID] = Counter()
        self.asked: list[tuple[UUID, int]] = []
        self.updated: list[list[tuple[UUID, int]]] = []

    def ask(self, player: UUID) -> None:
        """A player connects."""
        self.truth[player] += 1
        self.asked.append((player, self.tally.take(player)))

    def answer(self, index: int, *, lost: bool) -> None:
        """One of the questions reaches the cluster; its answer may not come back."""
        player, number = self.asked.pop(index % len(self.asked))
        room = number <= LIMIT
        if room:
            self.known[player] = number
        if lost:
            self.tally.doubt(player)
        elif room:
            self.tally.confirmed(player, number)
        else:
            self.leave(player)

    def leave(self, player: UUID) -> None:
        """A player disconnects."""
        if self.truth[player]:
            self.truth[player] -= 1
            self.tally.release(player)

    def tell(self) -> None:
        """A message sets out."""
        if some := self.tally.unconfirmed(1):
            self.updated.append(some)

    def take(self, index: int, *, lost: bool) -> None:
        """One of the messages reaches the cluster."""
        for player, number in self.updated.pop(index % len(self.updated)):
            self.known[player] = number
            if lost:
                self.tally.doubt(player)
            else:
                self.tally.confirmed(player, number)

    def lapse(self) -> None:
        """The node starts again, under another name; commands on their way are ignored."""
        self.known.clear()
        self.asked.clear()
        self.updated.clear()
        self.tally.forgotten()


class TallyTests(SynchronousTestCase):
    def test_leaving_is_told(self) -> None:
        tally = SlotCounts()
        self.assertEqual([tally.take(PLAYER), tally.take(PLAYER)], [1, 2])
        tally.confirmed(PLAYER, 2)
        self.assertEqual((len(tally), tally.unconfirmed(5)), (0, []))
        tally.release(PLAYER)
        tally.release(PLAYER)
        self.assertEqual(tally.unconfirmed(5), [(PLAYER, 0)])
        self.assertEqual(len(tally), 0)

    def test_an_answer_that_is_old_by_now(self) -> None:
        tally = SlotCounts()
        tally.take(PLAYER)
        tally.take(PLAYER)
        tally.confirmed(PLAYER, 1)
        self.assertEqual(tally.unconfirmed(5), [(PLAYER, 2)])

    def test_beginning_anew(self) -> None:
        """All present players are reported, and no others."""
        tally = SlotCounts()
        tally.take(PLAYER)
        tally.take(OTHER_PLAYER)
        tally.release(OTHER_PLAYER)
        tally.forgotten()
        self.assertEqual(tally.unconfirmed(5), [(PLAYER, 1)])

    @settings(deadline=None, derandomize=True, max_examples=500)
    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["ask", "answer", "lose answer", "leave", "tell", "take", "lose taken", "lapse"]),
                st.integers(0, 7),
            ),
            max_size=60,
        )
    )
    def test_the_cluster_knows_the_truth_in_the_end(self, happenings: list[tuple[str, int]]) -> None:
        """In whatever order commands arrive, and whichever answers are lost."""
        cluster = Cluster()
        for what, number in happenings:
            player = PLAYERS[number % 2]
            match what:
                case "ask":
                    cluster.ask(player)
                case "answer" | "lose answer" if cluster.asked:
                    cluster.answer(number, lost=what != "answer")
                case "leave" if cluster.truth[player] > len(cluster.asked):  # a pending one has not entered yet.
                    cluster.leave(player)
                case "tell":
                    cluster.tell()
                case "take" | "lose taken" if cluster.updated:
                    cluster.take(number, lost=what != "take")
                case "lapse":
                    cluster.lapse()
        while cluster.asked or cluster.updated or len(cluster.tally):
            if cluster.asked:
                cluster.answer(0, lost=False)
            cluster.tell()
            if cluster.updated:
                cluster.take(0, lost=False)
        self.assertEqual(+cluster.known, +cluster.truth)
        self.assertEqual({player: cluster.tally[player] for player in PLAYERS}, {p: cluster.truth[p] for p in PLAYERS})
