"""Two whole nodes on one Redis, under load, while Redis restarts and nodes are killed: what players see of it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any
from uuid import UUID

import msgspec
from msgspec.structs import replace
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from craftnet.client.core.watch import WatchVerdict
from craftnet.client.transports.udp import UdpTransport
from craftnet.client.transports.websocket import WebSocketTransport
from craftnet.clocks import Moment, steady
from craftnet.contract.envelopes import decode
from craftnet.contract.events import Event
from craftnet.contract.messages import Status, rfc3339
from craftnet.providers.memory.backend import MemoryBackend, MemorySettings
from craftnet.providers.redis.backend import RedisBackend
from craftnet.providers.redis.settings import RedisSettings
from craftnet.providers.sources import Sources
from craftnet.tests.contracts.source import MaterialRecorder, QueueRecorder, SessionRecorder
from craftnet.tests.support.eventually import together, until
from craftnet.tests.support.fakes import SteppedClock
from craftnet.tests.support.live import envelope, started
from craftnet.tests.support.load import BEGIN, Fault, Load, Post, Round, TimedFault, load
from craftnet.tests.support.nodes import Node, NodesTestCase
from craftnet.tests.support.samples import COPPER, IRON, PLAYER, SESSION
from craftnet.tests.support.watchers import connections

SEED = int(os.environ.get("CRAFTNET_SEED", "20"))
"""The seed of the history; any number will do."""

PAIRS = 10
"""Pairs of events in a round that reach two nodes at the same moment."""

REFUSED = 3
"""Posts that are refused before Redis is started again."""


VERDICTS = {Status.COMPLETED: WatchVerdict.COMPLETED, Status.FAILED: WatchVerdict.FAILED}

Recorder = SessionRecorder | MaterialRecorder | QueueRecorder


class LoadTests(NodesTestCase):
    """The whole of it."""

    async def test_seed(self) -> None:
        """Nothing is lost, nothing goes back, and all end with what the rules say: the seed determines the history."""
        work = load(SEED, sessions=12, rounds=8)
        self.assertEqual(work, load(SEED, sessions=12, rounds=8))
        observer = self.observer()
        heard = await recorders(observer, work)
        await self.publish([{**started(), "timestamp": rfc3339(BEGIN)}])
        await self.run_round(work.beginning)
        watchers = [
            (session, *self.watch(session, player, kind))
            for index, (session, player) in enumerate(work.sessions.items())
            for kind in (WebSocketTransport, UdpTransport if index % 4 == 3 else WebSocketTransport)
        ]
        await until(lambda: all(seen.feed is not None for _, seen, _ in watchers))
        for each in work.rounds:
            await self.run_round(each)
        outcomes = [await watching for _, _, watching in watchers]

        rules = Sources.of(MemoryBackend(SteppedClock(), MemorySettings()))
        expected = await recorders(rules, work)
        await rules.apply(events(work))
        await until(lambda: all(len(heard[key].heard) >= len(expected[key].heard) for key in expected))
        for key, recorder in expected.items():
            self.assertEqual(history(heard[key]), history(recorder), key)
        for (session, seen, _), outcome in zip(watchers, outcomes, strict=True):
            state = await rules.sessions.get(session)
            assert state is not None and seen.feed is not None and seen.feed.progress is not None
            self.assertEqual(seen.goes_back, "")
            self.assertIs(outcome.verdict, VERDICTS[state.progress.status])
            self.assertEqual(seen.feed.progress.failure_reason, state.progress.failure_reason)
        materials = await observer.materials.get(SESSION)
        self.assertEqual(materials.version, 1 + 2 * PAIRS * (1 + len(work.rounds)))
        self.assertEqual({material.quantity for material in materials.materials}, {PAIRS})
        # A new watcher, at either node, receives the same.
        for (session, player), outcome in zip(work.sessions.items(), outcomes[::2], strict=True):
            _, watching = self.watch(session, player, WebSocketTransport)
            self.assertEqual((await watching).verdict, outcome.verdict)

    def observer(self) -> Sources:
        """Another reader of the same Redis."""
        backend = RedisBackend(steady(reactor), RedisSettings(port=self.redis.port), None)
        backend.service.startService()
        self.addCleanup(backend.service.stopService)
        return Sources.of(backend)

    async def run_round(self, one: Round) -> None:
        """Post everything, and strike meanwhile."""
        answered, restarted = 0, []
        down = refusals = 0

        def inject(what: TimedFault) -> None:
            nonlocal down
            if what.fault is Fault.REDIS:
                self.redis.kill()
                down = True
            else:
                restarted.append(Deferred.fromCoroutine(self.again(self.nodes[what.node])))

        def refused() -> None:
            nonlocal down, refusals
            refusals += 1
            if down and refusals == REFUSED:
                self.redis.start()
                down = False

        async def group(posts: Sequence[Post]) -> None:
            nonlocal answered
            for post in posts:
                await self.publish(post.body, post.node, refused)
                # It was taken, but the answer was lost: the authority sends it again, to the other node.
                await self.publish(post.body, 1 - post.node, refused)
                answered += 1
                if one.fault is not None and answered == one.fault.after:
                    inject(one.fault)

        await together([partial(self.contend, refused), *(partial(group, posts) for posts in one.posts)])
        self.assertFalse(down)
        if one.fault is not None:
            self.assertTrue(refusals, "the authority notices the fault")
        if restarted:
            await restarted[0]

    async def contend(self, refused: Callable[[], None]) -> None:
        """Two nodes change one thing at the same moment: neither undoes the other's change."""
        for number in range(1, PAIRS + 1):
            pair = [restored(material, number) for material in (IRON, COPPER)]
            await together([partial(self.publish, [one], node, refused) for node, one in enumerate(pair)])

    async def again(self, node: Node) -> None:
        """Kill a node, and start it again."""
        await node.end(signal.SIGKILL)
        await node.start()


class UdpTests(NodesTestCase):
    """One player."""

    async def test_node_killed(self) -> None:
        """The client asks again at its address, receives another node's endpoint, and continues there."""
        await self.publish([started()])
        seen, watching = self.watch(SESSION, PLAYER, UdpTransport)
        await until(lambda: seen.versions == [1])
        mine, other = self.nodes
        if not await connections(mine.url, "udp"):
            mine, other = other, mine
        self.assertEqual([await connections(node.url, "udp") for node in (mine, other)], [1, 0])
        await self.publish([report(20)], self.nodes.index(other))
        await until(lambda: seen.versions[-1] == 2)
        await mine.end(signal.SIGKILL)
        await self.publish([report(40)], self.nodes.index(other))
        await until(lambda: seen.versions[-1] == 3)
        self.assertEqual(await connections(other.url, "udp"), 1)
        await self.publish([report(60)], self.nodes.index(other))
        await until(lambda: seen.versions[-1] == 4)
        ending = {"session_id": str(SESSION), "result_item_id": str(SESSION), "duration_seconds": 3}
        await self.publish([envelope("crafting.session.complete", ending)], self.nodes.index(other))
        self.assertEqual((await watching).verdict, WatchVerdict.COMPLETED)
        self.assertEqual((seen.goes_back, seen.versions[-1]), ("", 5))
        self.assertEqual([ending.reason for ending in seen.endings], ["the server is silent"])


def report(percent: float) -> dict[str, Any]:
    """Progress."""
    data = {"session_id": str(SESSION), "progress_percentage": percent, "status": "active"}
    return envelope("crafting.session.progress", data)


def restored(material: UUID, quantity: int) -> dict[str, Any]:
    """So much there is of a material. All of these are of one moment: whichever comes first, none is out of order."""
    change = {"material_id": str(material), "change_type": "quantity_changed", "new_quantity": quantity}
    data = {"session_id": str(SESSION), "changes": [change]}
    return {**envelope("crafting.materials.update", data), "timestamp": rfc3339(BEGIN)}


async def recorders(sources: Sources, work: Load) -> dict[str, Recorder]:
    """Listen to everything that will be."""
    made: dict[str, Recorder] = {}
    for session, player in work.sessions.items():
        made[f"session {session}"] = heard = SessionRecorder()
        await sources.sessions.watch(session, heard)
        made[f"materials of {session}"] = materials = MaterialRecorder()
        await sources.materials.watch(session, materials)
        made[f"queues of {player}"] = queues = QueueRecorder()
        await sources.queues.watch(player, queues)
    return made


def events(work: Load) -> list[Event]:
    """Every event, taken long after it happened."""
    decoded = [decode(msgspec.json.encode(one), Moment.agreed(2 * BEGIN)) for one in work.events]
    return [one for one in decoded if isinstance(one, Event)]


def history(recorder: Recorder) -> list[Any]:
    """What was received, without the time of its acceptance."""
    return [None if one is None else replace(one, accepted=0.0) for one in recorder.heard]
