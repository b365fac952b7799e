"""Deliveries after Redis lost something: every position belongs to what it counts, and none shrinks."""

from __future__ import annotations

import signal

import msgspec
from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.logger import capturedLogs, formatEvent

from craftnet.clocks import steady
from craftnet.contract.events import Event
from craftnet.contract.messages import QueueMessageType, Status, WebSocketCraftingMessage, WebSocketQueueMessage
from craftnet.contract.position import Position, Versions
from craftnet.crafting import session_rules
from craftnet.errors import NotFound, Unavailable
from craftnet.feeds.hub import Hub
from craftnet.observe.metrics.registry import Metrics
from craftnet.providers.redis import change_reader
from craftnet.providers.redis.key_names import partition_of
from craftnet.providers.sources import Sources
from craftnet.tests.contracts.source import QueueRecorder, SessionRecorder, progress, queued
from craftnet.tests.support.eventually import until
from craftnet.tests.support.fakes import RecordingWatcher
from craftnet.tests.support.redis_nodes import RedisTestCase
from craftnet.tests.support.returning import Returning, short
from craftnet.tests.support.samples import NOW, OTHER_PLAYER, PLAYER, SESSION, event, start


class LossTestCase(RedisTestCase):
    """Two nodes, and a player at each of them."""

    async def setUp(self) -> None:  # type: ignore[override]  # trial awaits it; unittest would not.
        """The session has changed three times, its materials four times, and the player's queue twice."""
        super().setUp()
        self.patch(change_reader, "CHECK_INTERVAL", 0.1)
        self.nodes = [self.backend(timeout=0.3), self.backend(timeout=0.3)]
        self.hubs = [Hub(Sources.of(node), steady(reactor), Metrics()) for node in self.nodes]
        await self.happen(event(start()), *(event(progress(float(number)), NOW + number) for number in (1, 2)))
        await self.happen(*(event(short(number), NOW + number) for number in (1, 2, 3)))
        await self.happen(event(queued(2), NOW, session_id=SESSION), event(queued(1), NOW + 1, session_id=SESSION))
        self.clients = [Returning(hub) for hub in self.hubs]
        for client in self.clients:
            await client.come()
            client.read()

    async def happen(self, *events: Event, node: int = 0) -> None:
        """The authority posts to one of the nodes."""
        while True:
            try:
                for outcome in await Sources.of(self.nodes[node]).apply(events):
                    self.assertEqual(outcome.reason, "")
            except Unavailable:
                await deferLater(reactor, 0.01)
            else:
                return

    async def updated(self, *numbers: int) -> None:
        """Wait until both players know of a shortage. `Returning` sees to it that no position shrinks."""
        await until(lambda: all(self.read(client).shortages[-1:] == [*numbers] for client in self.clients))

    async def queued_at(self, position: int) -> None:
        """Wait until both players know of their position in the queue."""
        await until(lambda: {self.read(client).positions[-1] for client in self.clients} == {position})

    def read(self, client: Returning) -> Returning:
        """What it received until now."""
        client.read()
        return client

    def first(self, watcher: RecordingWatcher) -> WebSocketCraftingMessage:
        """What it received first."""
        (message,) = watcher.updates[0].messages
        assert isinstance(message, WebSocketCraftingMessage)
        return message

    def position(self, client: int = 0) -> Position:
        """Of one of the players."""
        position = self.clients[client].position
        assert position is not None
        return position


class RunningTests(LossTestCase):
    """A Redis that keeps running."""

    async def test_flushed(self) -> None:
        """Later deliveries are in another epoch, at once, on every node."""
        before = self.position()
        self.server.command("FLUSHALL")
        await self.happen(event(start(), NOW + 5), event(short(5), NOW + 6))
        watchers = [RecordingWatcher() for _ in self.hubs]
        for hub, watcher in zip(self.hubs, watchers, strict=True):
            await hub.subscribe_session(SESSION, watcher, before)
            first = self.first(watcher)
            self.assertIs(first.recovered, False)
            self.assertNotEqual(first.epoch, before.epoch)
        self.assertEqual(len({self.first(watcher).epoch for watcher in watchers}), 1)

    async def test_flushed_and_nothing_happens(self) -> None:
        """That it was flushed is noticed all the same."""
        heard, epoch = SessionRecorder(), self.nodes[0].epoch
        await self.nodes[1].sessions.watch(SESSION, heard)
        self.server.command("FLUSHALL")
        await until(lambda: heard.heard == [None])
        await until(lambda: len({node.epoch for node in self.nodes} - {None, epoch}) == 1)

    async def test_flushed_and_something_begins(self) -> None:
        """A node that receives a change of the new data set delivers it in the new epoch, though its version fits."""
        self.patch(change_reader, "CHECK_INTERVAL", 60.0)
        node, heard = self.backend(timeout=0.3), QueueRecorder()
        await node.queues.watch(OTHER_PLAYER, heard)
        before = node.epoch
        self.server.command("FLUSHALL")
        await self.happen(event(queued(1, player_id=OTHER_PLAYER), NOW + 5))
        await until(lambda: heard.heard)
        self.assertNotEqual(node.epoch, before)

    async def test_one_thing_is_evicted(self) -> None:
        """Its versions restart in another epoch, and its watchers learn of it."""
        for queue_position, names in enumerate(((), ("test:due:queue", "test:floor:queue")), 5):
            before = self.position()
            self.server.command("DEL", f"test:queue:{PLAYER}", *names)
            with capturedLogs() as logged:
                await self.happen(event(queued(queue_position), NOW + queue_position, session_id=SESSION), node=1)
                await self.queued_at(queue_position)
            self.assertEqual("has lost queue" in " ".join(formatEvent(one) for one in logged), not names)
            await until(lambda: len({node.epoch for node in self.nodes}) == 1)
            await self.happen(event(short(queue_position), NOW + queue_position))
            await self.updated(queue_position)
            self.assertNotEqual(self.position().epoch, before.epoch)

    async def test_a_session_is_evicted(self) -> None:
        """Its players learn that it is gone; that was silent once."""
        heard = SessionRecorder()
        await self.nodes[0].sessions.watch(SESSION, heard)
        self.server.command("DEL", f"test:session:{SESSION}")
        with capturedLogs() as logged:
            (outcome,) = await Sources.of(self.nodes[1]).apply([event(progress(50.0), NOW + 7)])
            await until(lambda: heard.heard == [None])
        self.assertIn("session", outcome.reason)
        [line] = [one for one in logged if "has lost session" in formatEvent(one)]
        self.assertEqual(line["session_id"], SESSION)

    async def test_a_newcomer_finds_it_gone(self) -> None:
        """Present watchers learn of it as well; no event is needed."""
        heard, epoch = SessionRecorder(), self.nodes[0].epoch
        await self.nodes[0].sessions.watch(SESSION, heard)
        self.server.command("DEL", f"test:session:{SESSION}")
        self.assertIsNone(await self.nodes[1].sessions.watch(SESSION, SessionRecorder()))
        await until(lambda: heard.heard == [None])
        await until(lambda: len({node.epoch for node in self.nodes} - {None, epoch}) == 1)

    async def test_evicted_without_notification(self) -> None:
        """A returning watcher receives a whole state in another epoch."""
        before = self.position()
        self.server.command("DEL", f"test:queue:{PLAYER}", "test:due:queue", "test:numbers")
        await self.happen(event(queued(9), NOW + 9, session_id=SESSION))
        for hub in self.hubs:
            watcher = RecordingWatcher()
            await hub.subscribe_session(SESSION, watcher, before)
            first = self.first(watcher)
            self.assertEqual((first.epoch == before.epoch, first.recovered), (False, False))


class RestartTests(LossTestCase):
    """A Redis that returns without its data."""

    async def test_a_queue_without_entries(self) -> None:
        """It counts from the beginning like everything else, although nothing is delivered."""
        watcher, heard = RecordingWatcher(), QueueRecorder()
        await self.happen(event(queued(1, QueueMessageType.QUEUE_TIMEOUT), NOW + 3, session_id=SESSION))
        await self.hubs[0].subscribe_queue(PLAYER, watcher)
        await self.nodes[0].queues.watch(PLAYER, heard)
        epoch = self.nodes[0].epoch
        self.server.kill()
        self.server.start()
        await until(lambda: heard.resets)
        self.assertEqual(([state.version for state in heard.resets], heard.heard), ([0], []))
        await until(lambda: self.nodes[0].epoch not in (None, epoch) and self.nodes[0].follower.is_settled)
        await self.happen(event(queued(4), NOW + 9, session_id=SESSION))
        await until(lambda: watcher.updates)
        (message,) = watcher.updates[-1].messages
        assert isinstance(message, WebSocketQueueMessage)
        self.assertEqual(message.version, Versions(queue=1).encoded)

    async def test_with_older_data(self) -> None:
        """Several things go back, one after the other: no position does in its epoch."""
        self.server.command("SAVE")
        await self.happen(*(event(progress(float(number)), NOW + number) for number in (3, 4)))
        await self.happen(*(event(short(number), NOW + number) for number in (4, 5)))
        await self.happen(event(queued(3), NOW + 5, session_id=SESSION))
        await self.updated(5)
        self.server.kill()
        self.server.start()
        await self.happen(event(short(6), NOW + 20), event(progress(60.0, Status.PAUSED), NOW + 20))
        await self.updated(6)
        await until(lambda: all(self.read(client).status is Status.PAUSED for client in self.clients))
        await until(lambda: len({node.epoch for node in self.nodes}) == 1)


class StallTests(LossTestCase):
    """A Redis that stands still for longer than is waited for, and has lost nothing."""

    async def test_nothing_is_lost(self) -> None:
        """Earlier positions, and those delivered meanwhile, stay valid: no returning watcher needs a whole state."""
        before, epoch = self.position(), self.nodes[0].epoch
        self.server.signal(signal.SIGSTOP)
        await self.assertFailure(self.nodes[0].sessions.get(SESSION), Unavailable)
        await deferLater(reactor, 0.3)
        for hub in self.hubs:
            hub.turn()
        for client in self.clients:
            self.read(client)
        self.assertEqual(self.position().epoch, before.epoch)
        self.server.signal(signal.SIGCONT)
        await self.happen(event(short(4), NOW + 4))
        await self.updated(4)
        for number, client in enumerate(self.clients):
            client.go()
            client.hub = self.hubs[1 - number]
            await self.come(client)
            self.assertEqual(self.read(client).recoveries, [True])
        self.assertEqual([node.epoch for node in self.nodes], [epoch, epoch])

    async def come(self, client: Returning) -> None:
        """As clients do: retries until it is admitted."""
        while True:
            try:
                return await client.come()
            except (Unavailable, NotFound):
                await deferLater(reactor, 0.01)


class OlderNodeTests(RedisTestCase):
    """A node of the version before writes to the same Redis: its changes say nothing of a data set."""

    async def test_its_changes_are_heard(self) -> None:
        node, heard = self.backend(), SessionRecorder()
        await node.sessions.apply([event(start())])
        await node.sessions.watch(SESSION, heard)
        state = await node.sessions.get(SESSION)
        assert state is not None
        after = session_rules.advance_session(state, event(progress(5.0), NOW + 1))
        encoded = msgspec.json.encode(after)
        self.server.command("HSET", f"test:session:{SESSION}", "version", "2", "state", encoded)
        fields = ("kind", "session", "id", str(SESSION), "version", "2", "change", encoded, "number", "2")
        self.server.command("XADD", f"test:changes:{partition_of(SESSION)}", "*", *fields)
        self.server.command("HSET", "test:numbers", f"test:changes:{partition_of(SESSION)}", "2")
        await until(lambda: heard.versions == [2])
