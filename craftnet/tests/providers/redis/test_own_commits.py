"""A node reads nothing of what it wrote last, and never relies on it where another one has written since."""

from __future__ import annotations

from functools import partial
from hashlib import sha1
from uuid import UUID, uuid4

from twisted.trial.unittest import SynchronousTestCase

from craftnet.contract.events import SessionResume
from craftnet.contract.messages import QueueMessageType
from craftnet.providers.redis import scripts
from craftnet.providers.redis.backend import RedisBackend
from craftnet.providers.redis.own_commits import OwnCommit, OwnCommits
from craftnet.tests.contracts.source import (
    ACCEPTED,
    DUPLICATE,
    REJECTED,
    QueueRecorder,
    SessionRecorder,
    pause,
    progress,
    quantity,
    queued,
)
from craftnet.tests.faults.relay import Relay
from craftnet.tests.support.eventually import until
from craftnet.tests.support.redis_nodes import RedisTestCase
from craftnet.tests.support.samples import NOW, OTHER_PLAYER, PLAYER, RECIPE, SESSION, event, start


def commit(version: int, size: int = 10) -> OwnCommit[int, int]:
    """A commit of as many bytes."""
    return OwnCommit(version, b"s" * (size // 2), version, -version, b"c" * (size - size // 2))


class OwnCommitsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.own: OwnCommits[int, int] = OwnCommits(max_bytes=100)

    def test_least_recent_first(self) -> None:
        """What exceeds the bound is forgotten; one that is replaced counts once."""
        for name in (b"a", b"b", b"c", b"a", b"d"):
            self.own.keep(name, commit(1, 30))
        self.assertEqual([self.own.get(name) is None for name in (b"a", b"b", b"c", b"d")], [False, True, False, False])

    def test_heard(self) -> None:
        """The change of the commit is known, an earlier one is not, and a later one makes the commit outdated."""
        self.own.keep(b"a", commit(3))
        self.assertEqual(self.own.heard(b"a", 3, commit(3).change_octets), -3)
        self.assertIsNone(self.own.heard(b"a", 2, b"earlier"))
        self.assertIsNotNone(self.own.get(b"a"))
        self.assertIsNone(self.own.heard(b"a", 4, b"later"))
        self.assertIsNone(self.own.get(b"a"))

    def test_another_one_of_the_same_version(self) -> None:
        self.own.keep(b"a", commit(3))
        self.assertIsNone(self.own.heard(b"a", 3, b"another"))
        self.assertIsNone(self.own.get(b"a"))


class NodeTests(RedisTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.relay, port = self.relayed()
        self.node, self.other = self.backend(port=port), self.backend()

    def scripts(self, relay: Relay) -> list[int]:
        """How often the node has read, and written."""
        sent = b"".join(relay.sent)
        return [
            sent.count(sha1(script).hexdigest().encode()) + sent.count(script)
            for script in (scripts.READ, scripts.COMMIT)
        ]

    async def posted(self, percent: float, node: RedisBackend | None = None) -> object:
        """The verdict on a progress report."""
        (outcome,) = await (node or self.node).sessions.apply([event(progress(percent), NOW + percent)])
        return outcome.verdict

    async def test_nothing_is_read(self) -> None:
        await self.node.sessions.apply([event(start(SESSION))])
        before = self.scripts(self.relay)
        for percent in (10.0, 20.0):
            self.assertEqual(await self.posted(percent), ACCEPTED)
        self.assertEqual(self.scripts(self.relay), [before[0], before[1] + 2])
        state = await self.other.sessions.get(SESSION)
        assert state is not None
        self.assertEqual((state.version, state.progress.percent), (3, 20.0))

    async def test_another_node_wrote(self) -> None:
        """Its state is read, whether the stream has shown it by then or not."""
        await self.node.sessions.apply([event(start(SESSION))])
        await self.posted(10.0, self.other)
        self.assertEqual(await self.posted(5.0), REJECTED)  # by the other node's state.
        await self.posted(20.0, self.other)
        self.assertEqual(await self.posted(30.0), ACCEPTED)
        state = await self.other.sessions.get(SESSION)
        assert state is not None
        self.assertEqual((state.version, state.progress.percent), (4, 30.0))

    async def test_a_refusal_may_be_outdated(self) -> None:
        """What this node's state refuses is decided by the stored one."""
        await self.node.sessions.apply([event(start(SESSION)), event(pause(), NOW + 1)])
        await self.other.sessions.apply([event(SessionResume(session_id=SESSION), NOW + 2)])
        (outcome,) = await self.node.sessions.apply([event(pause(), NOW + 3)])
        self.assertEqual(outcome.verdict, ACCEPTED)

    async def test_others_in_one_batch(self) -> None:
        """Only the sessions that another node has written are read, and together."""
        sessions = [uuid4() for _ in range(20)]
        await self.node.sessions.apply([event(start(session)) for session in sessions])
        await self.other.sessions.apply([event(progress(1.0, session_id=each), NOW + 1) for each in sessions[::2]])
        before = self.scripts(self.relay)
        outcomes = await self.node.sessions.apply([event(progress(2.0, session_id=each), NOW + 2) for each in sessions])
        self.assertEqual({outcome.verdict for outcome in outcomes}, {ACCEPTED})
        self.assertEqual(self.scripts(self.relay), [before[0] + 1, before[1] + 2])

    async def test_another_state_of_the_same_version(self) -> None:
        """As after a loss of the newest writes: the event is applied to what Redis has."""
        await self.node.sessions.apply([event(start(SESSION))])
        key, recipe = f"test:session:{SESSION}", UUID(int=7)
        stored = self.server.command("HGET", key, "state").partition(b"\r\n")[2].strip()
        self.server.command("HSET", key, "state", stored.replace(str(RECIPE).encode(), str(recipe).encode()).decode())
        self.assertEqual(await self.posted(10.0), ACCEPTED)
        state = await self.other.sessions.get(SESSION)
        assert state is not None
        self.assertEqual((state.recipe_id, state.version, state.progress.percent), (recipe, 2, 10.0))

    async def test_known_events(self) -> None:
        """The state does not contain their ids, but the script compares them as well."""
        await self.node.sessions.apply_with_materials([event(start(SESSION))])
        first, second = event(quantity(1), NOW + 1), event(quantity(2), NOW + 1)
        await self.node.materials.apply([first])
        await self.node.materials.apply([second])
        (outcome,) = await self.node.materials.apply([first])
        self.assertEqual(outcome.verdict, DUPLICATE)
        self.assertEqual((await self.other.materials.get(SESSION)).version, 3)

    async def test_a_session_that_waits_in_another_name(self) -> None:
        """Who leaves the queue with it is refused as before."""
        await self.node.queues.apply([event(queued(1), NOW)])
        await self.other.queues.apply([event(queued(1, player_id=OTHER_PLAYER), NOW, session_id=SESSION)])
        leaving = event(queued(1, QueueMessageType.STATION_AVAILABLE), NOW + 1, session_id=SESSION)
        (outcome,) = await self.node.queues.apply([leaving])
        self.assertEqual(outcome.verdict, REJECTED)
        self.assertEqual(self.server.command("HLEN", "test:waiters"), b":1\r\n")

    async def test_a_key_of_another_type(self) -> None:
        """The event is refused, and nothing is half written."""
        await self.node.sessions.apply([event(start(SESSION))])
        self.server.command("DEL", f"test:seen:session:{SESSION}")
        self.server.command("SET", f"test:seen:session:{SESSION}", "a string")
        self.assertEqual(await self.posted(10.0), REJECTED)
        state = await self.other.sessions.get(SESSION)
        assert state is not None
        self.assertEqual(state.version, 1)
        self.flushLoggedErrors()

    async def test_delivered(self) -> None:
        """The node's own listeners receive the changes of both nodes, each once and in order."""
        sessions, queue = SessionRecorder(), QueueRecorder()
        await self.node.sessions.apply([event(start(SESSION))])
        await self.node.sessions.watch(SESSION, sessions)
        await self.node.queues.watch(PLAYER, queue)
        for percent in (10.0, 20.0, 30.0, 40.0):
            await self.posted(percent, self.node if percent % 20.0 else self.other)
            await (self.node if percent % 20.0 else self.other).queues.apply(
                [event(queued(int(percent)), NOW + percent)]
            )
        await until(partial(lambda: len(sessions.heard) == len(queue.heard) == 4))
        self.assertEqual([state and state.progress.percent for state in sessions.heard], [10.0, 20.0, 30.0, 40.0])
        self.assertEqual([change.entry.status.queue_position for change in queue.heard], [10, 20, 30, 40])
