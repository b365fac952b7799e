"""Tests a load through two nodes while Redis is killed and one node stops."""

from __future__ import annotations

from random import Random
from uuid import UUID

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from craftnet.contract.events import Event
from craftnet.crafting.state import SessionState
from craftnet.errors import Unavailable
from craftnet.providers.redis.backend import RedisBackend
from craftnet.tests.contracts.source import ACCEPTED, DUPLICATE, SessionRecorder, complete, progress
from craftnet.tests.support.eventually import until
from craftnet.tests.support.redis_nodes import RedisTestCase
from craftnet.tests.support.samples import NOW, event, start


class HistoryTests(RedisTestCase):
    """Load through two nodes while Redis is killed and one node stops: nothing is lost, nothing goes back."""

    durable = True
    timeout = 60

    async def test_seeds(self) -> None:
        random = Random(20)
        nodes = [self.backend(), self.backend()]
        sessions = [UUID(int=random.getrandbits(128)) for _ in range(30)]
        listeners = {(index, key): SessionRecorder() for index in range(2) for key in sessions}
        for (index, key), listener in listeners.items():
            await nodes[index].sessions.watch(key, listener)
        scripts = {key: _life(random, key) for key in sessions}
        lives = [Deferred.fromCoroutine(self.live(nodes, Random(key.int), scripts[key])) for key in sessions]
        for _ in range(2):
            await deferLater(reactor, 0.3)
            self.server.kill()
            await deferLater(reactor, 0.1)
            self.server.start()
        stopped = nodes.pop(1)
        await stopped.service.stopService()
        for life in lives:
            await life
        kept: dict[UUID, SessionState | None] = {}
        for key in sessions:
            kept[key] = await nodes[0].sessions.get(key)
        await until(lambda: all(listeners[0, key].heard[-1:] == [kept[key]] for key in sessions))
        for (index, _), listener in listeners.items():
            self.assertEqual(listener.versions, sorted(set(listener.versions)), f"node {index}")
        for key, state in kept.items():
            assert state is not None
            self.assertTrue(state.progress.status.terminal)
            self.assertEqual(state.version, len(scripts[key]), "each event was applied once")

    async def live(self, nodes: list[RedisBackend], random: Random, script: list[Event]) -> None:
        """One session, whose events go to either node until they are accepted."""
        for one in script:
            while True:
                try:
                    (outcome,) = await random.choice(nodes).sessions.apply([one])
                except Unavailable:
                    await deferLater(reactor, 0.02)
                else:
                    break
            self.assertIn(outcome.verdict, (ACCEPTED, DUPLICATE), outcome.reason)
            await deferLater(reactor, random.random() * 0.1)


def _life(random: Random, key: UUID) -> list[Event]:
    moments = range(1, random.randrange(5, 20))
    reports = [event(progress(float(moment), session_id=key), NOW + moment) for moment in moments]
    return [event(start(key)), *reports, event(complete(key), NOW + 100)]
