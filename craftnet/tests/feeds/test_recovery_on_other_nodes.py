"""Watchers that come back to another node, which hears of changes at other times and in another order."""

from __future__ import annotations

from itertools import product
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase

from craftnet.contract.events import Event
from craftnet.contract.messages import QueueMessageType, Status
from craftnet.contract.position import HISTORY_SECONDS
from craftnet.errors import Unavailable
from craftnet.feeds.epoch import FeedEpochs
from craftnet.feeds.hub import Hub
from craftnet.interfaces import IBackend
from craftnet.observe.metrics.registry import Metrics
from craftnet.providers.sources import Sources
from craftnet.tests.contracts.shared_sources import SharedBackendContract
from craftnet.tests.contracts.source import complete, progress, queued
from craftnet.tests.support.fakes import SteppedClock
from craftnet.tests.support.returning import Returning, short
from craftnet.tests.support.samples import NOW, PLAYER, SESSION, event, start
from craftnet.tests.support.shared_nodes import TIMEOUT, Cluster, Node

EVERYTHING = 10**6


def _each(sources: Sources) -> tuple[Any, Any, Any]:
    return sources.sessions, sources.materials, sources.queues


class _NodesTestCase(SynchronousTestCase):
    """Two nodes that have both had a listener from the start."""

    def setUp(self) -> None:
        self.clock = SteppedClock()
        self.clock.advance(NOW)
        self.cluster = Cluster(SESSION, PLAYER, self.clock)
        self.nodes = [Node(self.cluster), Node(self.cluster)]
        self.hubs = [self.hub(node) for node in self.nodes]
        self.refused: list[Returning] = []
        self.updated: list[int] = []
        self.positions: list[int] = []
        self.happen(event(start()))
        for number in (0, 1):
            self.hear(number)

    def hub(self, node: Node) -> Hub:
        """As the node has it."""
        return Hub(node.sources, self.clock, Metrics(), refresh=5.0)

    def happen(self, *events: Event) -> None:
        """Apply events; no node hears of them yet."""
        for event_ in events:
            (outcome,) = self.successResultOf(self.cluster.sources.apply([event_]))
            self.assertEqual(outcome.reason, "")

    def shortage(self) -> None:
        """One more."""
        self.updated.append(len(self.updated) + 1)
        self.happen(event(short(self.updated[-1]), self.clock.seconds()))

    def move_up(self) -> None:
        """The next place in the queue."""
        self.positions.append(len(self.positions) + 1)
        self.happen(event(queued(self.positions[-1]), self.clock.seconds(), session_id=SESSION))

    def hear(self, node: int, *numbers: int) -> None:
        """This many changes of sessions, materials and queues arrive; by default all."""
        for kind, number in enumerate(numbers or [EVERYTHING] * 3):
            self.nodes[node].hear(kind, number)

    def client(self, node: int = 0) -> Returning:
        """One that has the current state."""
        client = Returning(self.hubs[node])
        self.come(client)
        return client

    def come(self, client: Returning) -> None:
        """It connects; the node may refuse it after a while."""
        coming = client.come()

        def refused(failure: Failure) -> None:
            failure.trap(Unavailable)
            self.refused.append(client)

        coming.addErrback(refused)
        client.read()

    def move(self, client: Returning, node: int) -> None:
        """It loses its connection, and finds the other node."""
        client.read()
        client.go()
        client.hub = self.hubs[node]
        self.come(client)


class FakesTests(SharedBackendContract, TestCase):
    async def make_nodes(self) -> tuple[IBackend, IBackend]:
        cluster = Cluster(SESSION, PLAYER, SteppedClock())
        return Node(cluster), Node(cluster)

    async def updated(self, node: IBackend) -> None:
        assert isinstance(node, Node)
        for kind in range(3):
            node.hear(kind, EVERYTHING)


class OtherNodeTests(_NodesTestCase):
    def test_what_was_missed(self) -> None:
        """Nothing listened at the other node."""
        client = self.client()
        self.shortage()
        self.hear(0)
        client.read()
        self.hear(0)
        client.go()
        self.shortage()
        self.move_up()
        self.shortage()
        self.happen(event(progress(10.0, Status.PAUSED), NOW + 1))
        self.move(client, 1)
        self.assertEqual((client.recoveries, client.shortages, client.positions), ([True], [1, 2, 3], [1]))
        self.assertIs(client.status, Status.PAUSED)

    def test_in_part_from_others_and_in_part_from_here(self) -> None:
        client = self.client()
        self.shortage()
        self.move_up()
        self.client(1)
        self.shortage()
        self.move_up()
        self.hear(1)
        self.move(client, 1)
        self.assertEqual((client.recoveries, client.shortages, client.positions), ([True], [1, 2], [1, 2]))

    def test_other_news_than_here(self) -> None:
        """The watcher knows the materials, this node the queue: what it has not received follows as news."""
        client = self.client()
        self.client(1)
        self.shortage()
        self.move_up()
        self.hear(0, 0, 1, 0)
        self.hear(1, 0, 0, 1)
        self.move(client, 1)
        self.assertEqual((client.recoveries, client.shortages, client.positions), ([], [1], []))
        self.hear(1)
        client.read()
        self.assertEqual((client.recoveries, client.shortages, client.positions), ([True], [1], [1]))

    def test_progress_here_is_older(self) -> None:
        """A watcher that received the completion never receives anything else."""
        client = self.client()
        self.client(1)
        self.happen(event(complete(), NOW + 1))
        self.hear(0)
        self.move(client, 1)
        self.assertIs(client.status, Status.COMPLETED)
        self.hear(1)
        client.read()
        self.assertEqual((client.status, client.recoveries), (Status.COMPLETED, [True]))

    def test_waiting_is_bounded(self) -> None:
        client = self.client()
        self.client(1)
        self.shortage()
        self.hear(0)
        self.move(client, 1)
        self.clock.advance(TIMEOUT)
        client.read()
        self.assertEqual((client.recoveries, client.shortages, self.refused), ([], [1], [client]))

    def test_a_client_without_a_position_gets_no_past_changes(self) -> None:
        """It may know more than it says."""
        self.client(1)
        self.shortage()
        client = Returning(self.hubs[1])
        self.come(client)
        self.assertEqual(client.shortages, [])
        self.hear(1)
        client.read()
        self.assertEqual(client.shortages, [1])

    def test_leaving_while_it_waits(self) -> None:
        client = self.client()
        self.client(1)
        self.shortage()
        self.hear(0)
        self.move(client, 1)
        client.go()
        self.hear(1)
        self.assertEqual((client.recoveries, self.clock.getDelayedCalls()), ([], []))

    def test_what_is_not_recalled(self) -> None:
        client = self.client()
        self.shortage()
        self.cluster.forget()
        self.shortage()
        self.move(client, 1)
        self.assertEqual((client.recoveries, client.shortages), ([False], [2]))

    def test_out_of_reach(self) -> None:
        """The node delivers what it has, as a state."""
        client = self.client()
        self.shortage()
        self.cluster.reachable = False
        self.move(client, 1)
        self.assertEqual((client.recoveries, client.shortages), ([False], [1]))

    def test_queues(self) -> None:
        client = self.client()
        self.happen(event(queued(3)))
        self.happen(event(queued(1, QueueMessageType.STATION_AVAILABLE), NOW + 1))
        self.move(client, 1)
        self.assertEqual((client.recoveries, client.positions), ([True], [3, 1]))


class EpochTests(_NodesTestCase):
    def epochs(self) -> FeedEpochs:
        """Of the first node."""
        return FeedEpochs(self.nodes[0].sources)

    def test_the_same_everywhere(self) -> None:
        self.assertEqual(self.epochs().now(), FeedEpochs(self.nodes[1].sources).now())

    def test_of_its_own(self) -> None:
        """One source that is not shared is enough: its versions mean something else elsewhere."""
        for move_up in range(3):
            sources = [*_each(self.nodes[0].sources)]
            sources[move_up] = _each(self.cluster.sources)[move_up]
            first, second = (FeedEpochs(Sources(*sources)) for _ in range(2))
            self.assertNotEqual(first.now(), second.now())
            self.assertEqual(first.now(), first.now())

    def test_of_its_own_when_another_source_loses_something(self) -> None:
        """Versions of shared sources may be reused, and no returning watcher may receive a contradiction."""
        sources = [*_each(self.nodes[0].sources)]
        sources[0] = _each(self.cluster.sources)[0]
        epochs = FeedEpochs(Sources(*sources))
        seen = []
        for epoch in ("first", None, "first", None, "second"):
            self.cluster.epoch = epoch
            seen.append(epochs.now())
        self.assertEqual((len(set(seen[:4])), len(set(seen))), (1, 2))

    def test_while_it_is_not_known(self) -> None:
        """Another epoch each time."""
        epochs = self.epochs()
        seen = []
        for epoch in ("first", None, "first", None, "second"):
            self.cluster.epoch = epoch
            seen.append(epochs.now())
            self.assertEqual(epochs.now(), seen[-1])
        self.assertEqual((len(set(seen)), seen[0]), (4, seen[2]))

    def test_another_one_while_watched(self) -> None:
        """Positions are in it from then on, and nothing of before is known."""
        client = self.client()
        self.shortage()
        self.hear(0)
        client.read()
        before = client.position
        self.cluster.epoch = "second"
        self.shortage()
        self.hear(0)
        client.read()
        assert before is not None and client.position is not None
        self.assertNotEqual(client.position.epoch, before.epoch)
        client.position = before
        self.move(client, 0)
        self.assertEqual((client.recoveries, client.shortages), ([False], [2]))

    def test_waits_until_it_is_known(self) -> None:
        client = self.client()
        self.shortage()
        self.cluster.epoch = None
        self.move(client, 1)
        self.assertEqual(client.recoveries, [])
        self.clock.advance(TIMEOUT / 2)
        client.read()
        self.assertEqual(client.recoveries, [])
        self.cluster.epoch = "first"
        client.read()
        self.assertEqual((client.recoveries, client.shortages), ([True], [1]))


WAITS = [("wait", seconds) for seconds in (1.0, TIMEOUT, 20.0, HISTORY_SECONDS)]
RARE_STEPS = ["forget", "break", "mend", "epoch", "unsettle", "go", *WAITS]
OFTEN = ["shortage", "place", "pause or resume", *(("hear", *where) for where in product((0, 1), (0, 1, 2)))]
STEPS = st.sampled_from([*4 * [*OFTEN, ("move", 0), ("move", 1)], *RARE_STEPS])


class AnyHistoryOnOtherNodesTests(_NodesTestCase):
    @settings(deadline=None, derandomize=True, max_examples=300)
    @given(st.lists(STEPS, min_size=10, max_size=60))
    def test_the_client_knows_what_is(self, steps: list[str | tuple[str, *tuple[float, ...]]]) -> None:
        """Whatever each node hears and when: each thing once and in order, and nothing older after something newer."""
        self.setUp()
        client = self.client()
        for number, step in enumerate(steps):
            match step:
                case "shortage":
                    self.shortage()
                case "place":
                    self.move_up()
                case "pause or resume":
                    status = Status.PAUSED if number % 2 else Status.ACTIVE
                    self.happen(event(progress(10.0, status), self.clock.seconds()))
                case "forget":
                    self.cluster.forget()
                case "break" | "mend":
                    self.cluster.reachable = step == "mend"
                case "epoch":
                    self.cluster.epoch = f"of step {number}"
                case "unsettle":
                    self.cluster.epoch = None
                case ("hear", node, kind):
                    self.nodes[int(node)].hear(int(kind), 1)
                case ("move", node):
                    self.move(client, int(node))
                case "go":
                    client.read()
                    client.go()
                case ("wait", seconds):
                    self.clock.advance(float(seconds))
                    for hub in self.hubs:
                        hub.turn()
            client.read()
        for node in (0, 1):
            self.hear(node)
        if self.cluster.epoch is None:
            self.cluster.epoch = "the last"
        self.move(client, len(steps) % 2)
        client.read()
        state = self.successResultOf(self.cluster.sources.sessions.get(SESSION))
        assert state is not None
        self.assertIs(client.status, state.progress.status)
        for sent, heard in ((self.updated, client.shortages), (self.positions, client.positions)):
            self.assertEqual(heard[-1:], sent[-1:])
            # Since the last whole state, everything was delivered exactly once.
            self.assertEqual(heard, sent[len(sent) - len(heard) :])
