"""The Redis provider on a real server: the contracts of its interfaces, and its own behaviour."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from craftnet.clocks import steady
from craftnet.contract.events import Event
from craftnet.contract.messages import MaterialNotification, MaterialProblem, QueueMessageType
from craftnet.crafting import material_rules, queue_rules
from craftnet.crafting.state import MaterialsState, QueueState
from craftnet.errors import ConfigurationError, Unavailable
from craftnet.interfaces import IAtomicStart, IBackend, IBackendFactory
from craftnet.providers.redis.aggregates import MATERIALS, QUEUES, SESSIONS, Aggregate
from craftnet.providers.redis.backend import RedisBackend, RedisFactory, RedissFactory
from craftnet.providers.redis.key_names import partition_of
from craftnet.providers.redis.topics import Topics
from craftnet.providers.sources import Sources
from craftnet.tests.contracts.backend import BackendContract
from craftnet.tests.contracts.player_sessions import PlayerSessionsContract
from craftnet.tests.contracts.shared_sources import SharedBackendContract
from craftnet.tests.contracts.source import (
    ACCEPTED,
    DUPLICATE,
    REJECTED,
    MaterialRecorder,
    QueueRecorder,
    SessionRecorder,
    complete,
    progress,
    quantity,
    queued,
)
from craftnet.tests.support.eventually import until
from craftnet.tests.support.redis_nodes import RedisTestCase
from craftnet.tests.support.samples import IRON, NOW, OTHER_PLAYER, OTHER_SESSION, PLAYER, SESSION, event, start


class RedisContractTests(BackendContract, PlayerSessionsContract, RedisTestCase):
    async def make_backend(self) -> IBackend:
        self.node = self.backend()
        return self.node

    async def settle(self) -> None:
        await self.heard(self.node)


class RedisSharedContractTests(SharedBackendContract, RedisTestCase):
    async def make_nodes(self) -> tuple[IBackend, IBackend]:
        return self.backend(), self.backend()

    async def updated(self, node: IBackend) -> None:
        assert isinstance(node, RedisBackend)
        await self.heard(node)


class SharedTests(RedisTestCase):
    """Two nodes on one Redis."""

    async def test_changes_reach_every_node(self) -> None:
        one, other = self.backend(), self.backend()
        heard, queues, materials = SessionRecorder(), QueueRecorder(), MaterialRecorder()
        await other.sessions.watch(SESSION, heard)
        await other.queues.watch(PLAYER, queues)
        await other.materials.watch(SESSION, materials)
        begun = event(start())
        await one.sessions.apply([begun, event(progress(50.0), NOW + 30), event(complete(), NOW + 60)])
        await one.materials.apply([begun, event(quantity(3), NOW + 1)])
        await one.queues.apply([event(queued(2), NOW), event(queued(1, QueueMessageType.STATION_AVAILABLE), NOW + 1)])
        await self.heard(other)
        self.assertEqual(heard.versions, [1, 2, 3])
        self.assertEqual([change.state.version for change in materials.heard], [1, 2])
        self.assertEqual([change.news for change in queues.heard][1:], [QueueMessageType.STATION_AVAILABLE])
        self.assertEqual(await other.sessions.get(SESSION), heard.heard[-1])
        await until(lambda: one.epoch is not None and one.epoch == other.epoch)

    async def test_duplicate_on_another_node(self) -> None:
        one, other = self.backend(), self.backend()
        begun = event(start())
        self.assertEqual([outcome.verdict for outcome in await one.sessions.apply([begun])], [ACCEPTED])
        self.assertEqual([outcome.verdict for outcome in await other.sessions.apply([begun])], [DUPLICATE])

    async def test_at_the_same_time(self) -> None:
        """Each of many events is applied once, whichever node is faster; versions have no gaps."""
        nodes = [self.backend(), self.backend(), self.backend()]
        listener = SessionRecorder()
        await nodes[0].sessions.apply([event(start())])
        await nodes[0].sessions.watch(SESSION, listener)
        reports = [event(progress(float(number)), NOW + 1) for number in range(30)]
        posted = [node.sessions.apply([report]) for report in reports for node in nodes]
        outcomes = [outcome.verdict for answer in posted for outcome in await answer]
        self.assertEqual((outcomes.count(ACCEPTED), outcomes.count(DUPLICATE)), (30, 60))
        await self.heard(nodes[0])
        self.assertEqual(listener.versions, list(range(2, 32)))

    async def test_one_session_one_player(self) -> None:
        """Two players cannot wait in the name of one session, even if two nodes are asked at the same time."""
        one, other = self.backend(), self.backend()
        asked = [
            one.queues.apply([event(queued(1), session_id=SESSION)]),
            other.queues.apply([event(queued(1, player_id=OTHER_PLAYER), session_id=SESSION)]),
        ]
        verdicts = [(await answer)[0].verdict for answer in asked]
        self.assertEqual(sorted(verdict.value for verdict in verdicts), ["accepted", "rejected"])

    async def test_only_partitions_with_watchers_are_read(self) -> None:
        relay, port = self.relayed()
        node = self.backend(port=port, timeout=20)  # a new connection, after a time-out, would not have asked for it.
        listener = SessionRecorder()
        await node.sessions.watch(SESSION, listener)
        await node.sessions.apply([event(start()), event(start(OTHER_SESSION))])
        await until(lambda: listener.heard)
        reads = [read for sent in relay.sent for read in re.findall(r"XREAD\r\n[^*]*", sent.decode("latin-1"))]
        read = set(re.findall(r"test:changes:(\d+)", " ".join(reads)))
        self.assertEqual(read, {str(partition_of(SESSION))})

    async def test_a_long_run_of_one_session(self) -> None:
        node = self.backend()
        events = [event(start()), *(event(progress(number / 100), NOW + number) for number in range(2000))]
        outcomes = await node.sessions.apply(events)
        self.assertEqual({outcome.verdict for outcome in outcomes}, {ACCEPTED})
        state = await node.sessions.get(SESSION)
        assert state is not None
        self.assertEqual(state.version, 2001)


class WholeTests(RedisTestCase):
    """A session starts with its materials, or not at all."""

    durable = True

    async def test_interfaces(self) -> None:
        node = self.backend()
        verifyObject(IAtomicStart, node.sessions)
        outcomes = await node.sessions.apply_with_materials(
            [event(start()), event(progress(5.0), NOW + 1), event(start())]
        )
        self.assertEqual([outcome.verdict for outcome in outcomes], [ACCEPTED, ACCEPTED, REJECTED])
        self.assertEqual((await node.materials.get(SESSION)).version, 1)

    async def test_the_materials_cannot_be_kept(self) -> None:
        """Not even their sorted set of dates is ours: the session does not start either."""
        node, begun = self.backend(), event(start())
        for name in ("due:materials", f"seen:materials:{SESSION}", f"recent:materials:{SESSION}"):
            self.server.command("SET", f"test:{name}", "a string")
            (outcome,) = await Sources.of(node).apply([begun])
            self.assertEqual(outcome.verdict, REJECTED)
            self.assertIsNone(await node.sessions.get(SESSION))
            self.server.command("DEL", f"test:{name}")
        (outcome,) = await Sources.of(node).apply([begun])
        self.assertEqual((outcome.verdict, (await node.materials.get(SESSION)).version), (ACCEPTED, 1))

    async def test_redis_dies_meanwhile(self) -> None:
        """As soon as the first session has started, many others are on their way."""
        node = self.backend()
        sources = Sources.of(node)
        sessions = [uuid4() for _ in range(100)]
        starts = [event(start(session)) for session in sessions]
        posts = [Deferred.fromCoroutine(sources.apply([one])) for one in starts]
        for post in posts:
            post.addErrback(lambda failure: failure.trap(Unavailable) and None)
        await until(lambda: self.server.command("ZCARD", "test:due:session") != b":0\r\n")
        self.server.kill()
        await gatherResults(posts)
        self.server.start()
        await until(lambda: node.epoch)
        for session in sessions:
            state, materials = await node.sessions.get(session), await node.materials.get(session)
            self.assertEqual(state is not None, materials.version == 1)
        outcomes = await sources.apply(starts)
        self.assertLessEqual({outcome.verdict for outcome in outcomes}, {ACCEPTED, DUPLICATE})


class FieldsTests(SynchronousTestCase):
    """Nodes of two versions read what each other keeps: fields that one does not know do no harm, nor missing ones."""

    def both(self) -> Iterator[tuple[Aggregate[Any, Any, Any], Any, Any]]:
        """Each kind of thing, a change of it, and the JSON value of that as it was before there were stamps."""
        kinds: list[tuple[Aggregate[Any, Any, Any], Event]] = [
            (SESSIONS, event(start())),
            (MATERIALS, event(start())),
            (QUEUES, event(queued(1), session_id=SESSION)),
        ]
        for subject, event_ in kinds:
            change = subject.advance(subject.blank(subject.key(event_), 0), event_)
            yield subject, change, self.without_stamps(msgspec.to_builtins(change))

    def without_stamps(self, value: Any) -> Any:
        """The same JSON value."""
        if isinstance(value, dict):
            return {name: self.without_stamps(item) for name, item in value.items() if name != "stamps"}
        return [self.without_stamps(item) for item in value] if isinstance(value, (list, tuple)) else value

    def test_of_the_version_before(self) -> None:
        for subject, change, earlier in self.both():
            read = subject.read_change(msgspec.json.encode(earlier))
            self.assertEqual(self.without_stamps(msgspec.to_builtins(read)), earlier)
            self.assertNotEqual(read, change)

    def test_of_a_later_version(self) -> None:
        for subject, change, _ in self.both():
            later = {**msgspec.to_builtins(change), "mood": {"of": ["the", "day"]}}
            self.assertEqual(subject.read_change(msgspec.json.encode(later)), change)


class FactoryTests(SynchronousTestCase):
    def test_interfaces(self) -> None:
        for factory in (RedisFactory({}), RedissFactory({})):
            verifyObject(IBackendFactory, factory)
            verifyObject(IBackend, factory.build(steady(reactor), {}))

    def test_bad_arguments_are_named(self) -> None:
        bad = {"port": "x", "db": "-1", "prefix": "a b", "timeout": "0", "retention": "nan", "idle": "", "host": ""}
        bad |= {"remembered": "1.5", "memory": "1e99", "backlog": "1", "user": "", "sentinel": "host", "service": ""}
        self.assertEqual(bad.keys(), RedisFactory.arguments.keys())
        for name, text in bad.items():
            error = self.assertRaises(ConfigurationError, RedisFactory({}).build, reactor, {name: text})
            self.assertIn("port" if name == "port" else name, str(error))

    def test_user_needs_a_password(self) -> None:
        error = self.assertRaises(ConfigurationError, RedisFactory({}).build, reactor, {"user": "craftnet"})
        self.assertIn("CRAFTNET_REDIS_PASSWORD", str(error))

    def test_no_such_authority(self) -> None:
        error = self.assertRaises(ConfigurationError, RedissFactory({}).build, reactor, {"ca": "/no/such/file"})
        self.assertIn("/no/such/file", str(error))


class TopicsTests(SynchronousTestCase):
    """The topics, without Redis."""

    def setUp(self) -> None:
        self.topics = Topics(MATERIALS)
        self.listener = MaterialRecorder()
        first = material_rules.advance_materials(MaterialsState(SESSION), event(start()))
        self.changes = [first]
        for number in range(1, 5):
            update = event(quantity(10 - number), NOW + number)
            self.changes.append(material_rules.advance_materials(self.changes[-1].state, update))
        self.topics.add(SESSION, self.listener)

    def test_changes_after_the_answer_are_delivered(self) -> None:
        self.topics.changed(SESSION, 2, self.changes[1])
        self.assertEqual(self.topics.answered(SESSION, self.listener, self.changes[0].state), self.changes[1].state)
        for change in self.changes[1:3]:
            self.topics.changed(SESSION, change.state.version, change)
        self.assertEqual(self.listener.heard, [self.changes[2]])

    def test_a_gap_is_made_whole(self) -> None:
        self.topics.answered(SESSION, self.listener, self.changes[0].state)
        self.topics.changed(SESSION, 4, self.changes[3])
        (received,) = self.listener.heard
        self.assertEqual(received.state, self.changes[3].state)
        self.assertEqual([(one.material_id, one.new_quantity) for one in received.changes], [(IRON, 7)])

    def test_problems_that_came_and_went(self) -> None:
        self.topics.answered(SESSION, self.listener, self.changes[0].state)
        problem = MaterialNotification(material_id=IRON, notification_type=MaterialProblem.MATERIAL_UNAVAILABLE)
        (iron,) = self.changes[0].state.materials
        short = replace(self.changes[0].state, version=3, materials=(replace(iron, problem=problem),))
        self.topics.reached(SESSION, short)
        self.topics.reached(SESSION, self.changes[0].state)
        self.topics.replaced(SESSION, self.changes[0].state)
        kinds = [[one.notification_type for one in change.notifications] for change in self.listener.heard]
        self.assertEqual(kinds, [[MaterialProblem.MATERIAL_UNAVAILABLE], [MaterialProblem.MATERIAL_RESTORED]])

    def test_unwatched_channels_are_unsubscribed(self) -> None:
        self.topics.remove(SESSION, self.listener)
        self.topics.remove(SESSION, self.listener)
        self.assertEqual(self.topics.watched(), ())
        self.topics.changed(SESSION, 1, self.changes[0])
        self.assertEqual(self.topics.answered(SESSION, self.listener, self.changes[0].state), self.changes[0].state)
        self.assertNotIn(SESSION, self.topics)

    def test_queue_entries(self) -> None:
        topics, listener = Topics(QUEUES), QueueRecorder()
        topics.add(PLAYER, listener)
        two = queue_rules.advance_queue(QueueState(PLAYER), event(queued(2))).state
        gone = queue_rules.advance_queue(two, event(queued(1, QueueMessageType.STATION_AVAILABLE), NOW + 1)).state
        topics.answered(PLAYER, listener, QueueState(PLAYER))
        topics.reached(PLAYER, two)
        topics.reached(PLAYER, gone)
        received = [(change.state.version, change.news, change.waiting) for change in listener.heard]
        self.assertEqual(
            received, [(1, QueueMessageType.QUEUE_POSITION, True), (2, QueueMessageType.QUEUE_TIMEOUT, False)]
        )

    @settings(deadline=None, derandomize=True, max_examples=200)
    @given(st.lists(st.integers(0, 4) | st.sampled_from(["join", "leave", "look", "again"]), max_size=30))
    def test_versions_only_grow(self, steps: list[int | str]) -> None:
        """Whatever is read twice, lost, or late: a listener hears each version once, in order, and the last state."""
        topics = Topics(MATERIALS)
        newest = 0
        listener = MaterialRecorder()
        answer: MaterialsState | None = None
        for event_ in steps:
            if isinstance(event_, int):
                newest = max(newest, event_)
                topics.changed(SESSION, event_ + 1, self.changes[event_])
            elif event_ == "join" and answer is None:
                topics.add(SESSION, listener)
                answer = topics.answered(SESSION, listener, self.changes[newest].state)
            elif event_ == "leave":
                topics.remove(SESSION, listener)
                listener, answer = MaterialRecorder(), None
            else:
                topics.reached(SESSION, self.changes[newest].state)
            versions = [answer.version if answer else 0, *(change.state.version for change in listener.heard)]
            self.assertEqual(versions, sorted(set(versions)))
            if answer is not None:
                self.assertEqual(versions[-1], topics.version(SESSION))
        if answer is not None:
            topics.reached(SESSION, self.changes[newest].state)
            self.assertEqual(topics.version(SESSION), newest + 1)
