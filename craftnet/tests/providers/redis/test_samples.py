"""What completed crafts say about estimates, in a real Redis."""

from __future__ import annotations

from uuid import UUID

from msgspec import UNSET
from twisted.internet import reactor

from craftnet.contract.events import SessionComplete
from craftnet.errors import Unavailable
from craftnet.forecast.learner import Learner
from craftnet.forecast.model import CraftSample
from craftnet.forecast.samples import samples_of
from craftnet.forecast.shared_learning import SharedLearning
from craftnet.observe.metrics.registry import Metrics
from craftnet.providers.inspection import add_tap
from craftnet.providers.redis.backend import RedisBackend
from craftnet.tests.support.eventually import until
from craftnet.tests.support.redis_nodes import RedisTestCase
from craftnet.tests.support.samples import IRON, PLAYER, SESSION, event, start


class SamplesTests(RedisTestCase):
    def learning(self, backend: RedisBackend) -> Learner:
        """Learns on a node."""
        learner = Learner(backend.sessions, Metrics().store)
        backend.sessions.time_crafts()
        add_tap(backend.sessions, learner.applied)
        shared = SharedLearning(learner, backend.samples, reactor)
        shared.startService()
        self.addCleanup(shared.stopService)
        return learner

    async def test_a_craft_that_ends_on_another_node_is_learned_by_both(self) -> None:
        first, second = self.backend(), self.backend()
        one, other = self.learning(first), self.learning(second)
        now = first.time.now().steady
        for number in range(1, 4):
            session_id = UUID(int=number)
            await first.sessions.apply([event(start(session_id, PLAYER), now)])
            done = event(SessionComplete(session_id=session_id, result_item_id=IRON), now + 90.0, accepted=now + 90.0)
            for backend in (second, first):
                await backend.sessions.apply([done])
        await until(lambda: one.model.samples == other.model.samples == 3)
        self.assertEqual(one.model.summary(), other.model.summary())

    async def test_a_node_of_the_version_before_leaves_no_sample(self) -> None:
        timing, plain = self.backend(), self.backend()
        timing.sessions.time_crafts()
        now = timing.time.now().steady
        for backend, data in (
            (timing, start()),
            (plain, SessionComplete(session_id=SESSION, result_item_id=IRON)),
        ):
            (outcome,) = await backend.sessions.apply([event(data, now)])
            self.assertEqual(outcome.reason, "")
        state = await timing.sessions.get(SESSION)
        assert state is not None
        self.assertIs(state.timing, UNSET)
        self.assertEqual(list(samples_of(state)), list[CraftSample]())

    async def test_what_is_kept_only_grows(self) -> None:
        samples = self.backend().samples
        self.assertEqual(await samples.kept(), ("0-0", None))
        await samples.keep("1700000000000-9", b"first")
        await samples.keep("1700000000000-10", b"second")
        for earlier in ("1700000000000-10", "1700000000000-2", "999999999999-99"):
            await samples.keep(earlier, b"older")
        self.assertEqual(await samples.kept(), ("1700000000000-10", b"second"))

    async def test_is_read_in_parts(self) -> None:
        samples = self.backend().samples
        await samples.add([b"a", b"b", b"c"])
        position, found = await samples.read("0-0", 2)
        self.assertEqual(found, [b"a", b"b"])
        position, found = await samples.read(position, 2)
        self.assertEqual(found, [b"c"])
        self.assertEqual(await samples.read(position, 2), (position, []))

    async def test_unreachable(self) -> None:
        samples = self.backend(timeout=1).samples
        await samples.add([b"a"])
        self.server.stop()
        await self.assertFailure(samples.add([b"b"]), Unavailable)
