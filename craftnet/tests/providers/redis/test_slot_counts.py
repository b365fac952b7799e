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
        self.counts = SlotCounts()
        self.truth: Counter[UUID] = Counter()
        self.known: Counter[UUID] = Counter()
        self.asked: list[tuple[UUID, int]] = []
        self.updated: list[list[tuple[UUID, int]]] = []

    def ask(self, player: UUID) -> None:
        """A player connects."""
        self.truth[player] += 1
        self.asked.append((player, self.counts.take(player)))

    def answer(self, index: int, *, lost: bool) -> None:
        """One of the questions reaches the cluster; its answer may not come back."""
        player, number = self.asked.pop(index % len(self.asked))
        room = number <= LIMIT
        if room:
            self.known[player] = number
        if lost:
            self.counts.doubt(player)
        elif room:
            self.counts.confirmed(player, number)
        else:
            self.leave(player)

    def leave(self, player: UUID) -> None:
        """A player disconnects."""
        if self.truth[player]:
            self.truth[player] -= 1
            self.counts.release(player)

    def send(self) -> None:
        """A message sets out."""
        if some := self.counts.unconfirmed(1):
            self.updated.append(some)

    def take(self, index: int, *, lost: bool) -> None:
        """One of the messages reaches the cluster."""
        for player, number in self.updated.pop(index % len(self.updated)):
            self.known[player] = number
            if lost:
                self.counts.doubt(player)
            else:
                self.counts.confirmed(player, number)

    def lapse(self) -> None:
        """The node starts again, under another name; commands on their way are ignored."""
        self.known.clear()
        self.asked.clear()
        self.updated.clear()
        self.counts.forgotten()


class SlotCountsTests(SynchronousTestCase):
    def test_leaving_is_reported(self) -> None:
        counts = SlotCounts()
        self.assertEqual([counts.take(PLAYER), counts.take(PLAYER)], [1, 2])
        counts.confirmed(PLAYER, 2)
        self.assertEqual((len(counts), counts.unconfirmed(5)), (0, []))
        counts.release(PLAYER)
        counts.release(PLAYER)
        self.assertEqual(counts.unconfirmed(5), [(PLAYER, 0)])
        self.assertEqual(len(counts), 0)

    def test_an_answer_that_is_old_by_now(self) -> None:
        counts = SlotCounts()
        counts.take(PLAYER)
        counts.take(PLAYER)
        counts.confirmed(PLAYER, 1)
        self.assertEqual(counts.unconfirmed(5), [(PLAYER, 2)])

    def test_starting_over(self) -> None:
        """All present players are reported, and no others."""
        counts = SlotCounts()
        counts.take(PLAYER)
        counts.take(OTHER_PLAYER)
        counts.release(OTHER_PLAYER)
        counts.forgotten()
        self.assertEqual(counts.unconfirmed(5), [(PLAYER, 1)])

    @settings(deadline=None, derandomize=True, max_examples=500)
    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["ask", "answer", "lose answer", "leave", "send", "take", "lose taken", "lapse"]),
                st.integers(0, 7),
            ),
            max_size=60,
        )
    )
    def test_the_cluster_knows_the_truth_in_the_end(self, steps: list[tuple[str, int]]) -> None:
        """In whatever order commands arrive, and whichever answers are lost."""
        cluster = Cluster()
        for what, number in steps:
            player = PLAYERS[number % 2]
            match what:
                case "ask":
                    cluster.ask(player)
                case "answer" | "lose answer" if cluster.asked:
                    cluster.answer(number, lost=what != "answer")
                case "leave" if cluster.truth[player] > len(cluster.asked):  # a pending one has not entered yet.
                    cluster.leave(player)
                case "send":
                    cluster.send()
                case "take" | "lose taken" if cluster.updated:
                    cluster.take(number, lost=what != "take")
                case "lapse":
                    cluster.lapse()
        while cluster.asked or cluster.updated or len(cluster.counts):
            if cluster.asked:
                cluster.answer(0, lost=False)
            cluster.send()
            if cluster.updated:
                cluster.take(0, lost=False)
        self.assertEqual(+cluster.known, +cluster.truth)
        self.assertEqual({player: cluster.counts[player] for player in PLAYERS}, {p: cluster.truth[p] for p in PLAYERS})
