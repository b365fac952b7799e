"""Workers that divide the players: their links, the owners of sessions, and what they share about clients."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Sequence
from random import Random
from typing import Any
from uuid import UUID, uuid4

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface.verify import verifyObject

from craftnet.access.revocation.revocations import Revocation
from craftnet.clocks import steady
from craftnet.contract.events import (
    ACCEPTED,
    EVENT_TYPES,
    Event,
    EventOutcome,
    EventVerdict,
    MaterialsUpdate,
    QueueUpdate,
    SessionComplete,
    SessionPause,
    SessionProgress,
    SessionResume,
    SessionStart,
)
from craftnet.contract.messages import ChangeType, MaterialChange, QueueMessageType, Station, Status
from craftnet.errors import ConfigurationError, Unavailable
from craftnet.interfaces import ICluster
from craftnet.providers.memory.backend import MemoryBackend, MemorySettings
from craftnet.providers.shards import Shards
from craftnet.providers.sources import Sources
from craftnet.sharding import links
from craftnet.sharding.calls import Caller, Operation
from craftnet.sharding.cluster import ShardCluster
from craftnet.sharding.directory import SessionDirectory, ShardedEvents
from craftnet.sharding.links import Links, check_path, socket_path
from craftnet.tests.contracts.cluster import LOGIN, TOKEN, ClusterContract, RevocationRecorder
from craftnet.tests.support.eventually import until
from craftnet.tests.support.samples import IRON, PLAYER, RECIPE, player_of

WAIT = 0.005

ECHO: Operation[Any, Any] = Operation("echo", Any, Any)


class PlacementTests(SynchronousTestCase):
    """Which worker has which player."""

    def test_everybody_agrees(self) -> None:
        """Each player belongs to one worker, in every process and in every version of Python."""
        players = [UUID(int=number) for number in range(10_000)]
        workers = [Shards(number, 3) for number in range(3)]
        for player in players:
            self.assertEqual(sum(worker.owns(player) for worker in workers), 1)
        self.assertEqual([Shards(0, 7).of(UUID(int=number)) for number in range(8)], [1, 0, 2, 4, 2, 2, 1, 0])

    def test_evenly(self) -> None:
        """Also where ids only count up, or differ in a few bits in the middle."""
        for index in (0, 40, 96):
            counts = [0] * 4
            for number in range(8000):
                counts[Shards(0, 4).of(UUID(int=number << index))] += 1
            self.assertLess(max(counts) - min(counts), 400, index)

    def test_shares(self) -> None:
        self.assertEqual([Shards(number, 3).share(50) for number in range(3)], [17, 17, 16])
        self.assertEqual(Shards(1, 3).others, [0, 2])


class Worker:
    """The parts of one, on a memory back end."""

    def __init__(self, folder: str, number: int, count: int) -> None:
        self.shards = Shards(number, count)
        clock = steady(reactor)
        self.links = Links(clock, folder, self.shards)
        self.sources = Sources.of(MemoryBackend(clock, MemorySettings()))
        self.directory = SessionDirectory(self.links, self.shards, self.sources)
        self.events = ShardedEvents(self.links, self.shards, self.directory, self.sources, clock)
        self.cluster = ShardCluster(self.links, self.shards)
        self.links.handle(ECHO, lambda _, asked: asked)

    def start(self) -> None:
        """Listen, and connect."""
        self.links.privilegedStartService()
        self.links.startService()

    async def stop(self) -> None:
        """As if it had ended."""
        if self.links.running:
            await self.links.stopService()


class WorkersTestCase(TestCase):
    """Starts workers in one process."""

    timeout = 30

    def setUp(self) -> None:
        # Not self.mktemp(): the path of a UNIX socket must be short.
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)

    def worker(self, number: int, count: int = 2) -> Worker:
        """One more."""
        worker = Worker(self.folder, number, count)
        self.addCleanup(worker.stop)
        worker.start()
        return worker

    async def workers(self, count: int = 2) -> list[Worker]:
        """All of them, connected."""
        workers = [self.worker(number, count) for number in range(count)]
        await until(lambda: all(worker.links.complete for worker in workers))
        return workers


class LinksTests(WorkersTestCase):
    """Calls between workers."""

    async def test_calls(self) -> None:
        """In any number at once, each with its own answer; the longest body of events fits."""
        here, _ = await self.workers()
        asked = ["", 7, {"a": [1.5, None]}, b"x" * 2_000_000, "the end"]
        answers = [here.links.call(1, ECHO, each) for each in asked]
        self.assertEqual([await answer for answer in answers], asked)

    async def test_answers_in_another_order(self) -> None:
        here, there = await self.workers()
        waiting: list[Deferred[str]] = []
        later: Operation[int, str] = Operation("later", int, str)

        def answer(_: Caller, __: int) -> Deferred[str]:
            waiting.append(Deferred())
            return waiting[-1]

        there.links.handle(later, answer)
        first, second = here.links.call(1, later, 1), here.links.call(1, later, 2)
        await until(lambda: len(waiting) == 2)
        waiting[1].callback("two")
        self.assertEqual(await second, "two")
        waiting[0].callback("one")
        self.assertEqual(await first, "one")

    async def test_failures(self) -> None:
        """A failing handler is logged there, and is Unavailable here; the link continues."""
        here, there = await self.workers()

        async def fail(_: Caller, __: Any) -> None:
            raise LookupError("nothing found")

        broken: Operation[None, None] = Operation("broken", None, None)
        there.links.handle(broken, fail)
        with self.assertRaisesRegex(Unavailable, "nothing found"):
            await here.links.call(1, broken, None)
        self.assertEqual(len(self.flushLoggedErrors(LookupError)), 1)
        self.assertEqual(await here.links.call(1, ECHO, "still there"), "still there")

    async def test_a_worker_ends(self) -> None:
        """Pending calls fail; a call waits for a worker that is starting, and reaches it."""
        here, there = await self.workers()
        silent: Operation[None, None] = Operation("silent", None, None)
        there.links.handle(silent, lambda *_: Deferred())
        waiting = here.links.call(1, silent, None)
        lost: list[int] = []
        here.links.on_lost(lost.append)
        await there.stop()
        with self.assertRaisesRegex(Unavailable, "has ended"):
            await waiting
        await until(lambda: lost)
        self.assertEqual((lost, here.links.complete, here.links.connected), ([1], False, []))
        asked = here.links.call(1, ECHO, "hello")
        self.worker(1)
        self.assertEqual(await asked, "hello")
        self.assertTrue(here.links.complete)

    async def test_a_worker_that_was_killed(self) -> None:
        """Its socket is still in the folder: the one that takes its place listens all the same."""
        here = self.worker(0)
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(socket_path(self.folder, 1))
        self.worker(1)
        await until(lambda: here.links.complete)

    async def test_no_worker_listens(self) -> None:
        self.patch(links, "START_TIMEOUT", 0.05)
        here = self.worker(0)
        with self.assertRaisesRegex(Unavailable, "is starting"):
            await here.links.call(1, ECHO, 1)

    async def test_a_worker_that_hangs(self) -> None:
        self.patch(links, "CALL_TIMEOUT", 0.05)
        here, there = await self.workers()
        silent: Operation[None, None] = Operation("silent", None, None)
        there.links.handle(silent, lambda *_: Deferred())
        with self.assertRaisesRegex(Unavailable, "does not answer"):
            await here.links.call(1, silent, None)

    async def test_descriptors(self) -> None:
        """Each call gets its own descriptor, also when one is missing, or nothing takes it."""
        here, there = await self.workers()
        taken: list[int | None] = []
        take: Operation[int, bool] = Operation("take", int, bool)

        def answer(caller: Caller, inode: int) -> bool:
            descriptor = caller.take(inode)
            taken.append(None if descriptor is None else os.fstat(descriptor).st_ino)
            if descriptor is not None:
                os.close(descriptor)
            return descriptor is not None

        there.links.handle(take, answer)
        files = [self.enterContext(tempfile.TemporaryFile()) for _ in range(4)]
        inodes = [os.fstat(file.fileno()).st_ino for file in files]
        calls = [
            here.links.call(1, take, inodes[0], files[0].fileno()),
            here.links.call(1, take, inodes[1]),  # its descriptor did not arrive.
            here.links.call(1, ECHO, "not taken", files[2].fileno()),
            here.links.call(1, take, inodes[3], files[3].fileno()),
        ]
        self.assertEqual([await call for call in calls], [True, False, "not taken", True])
        self.assertEqual(taken, [inodes[0], None, inodes[3]])

    def test_paths(self) -> None:
        check_path("/tmp/craftnet-metrics-12345678")
        with self.assertRaisesRegex(ConfigurationError, "TMPDIR"):
            check_path("/tmp/" + 90 * "x")


def event(data: Any, session_id: UUID | None = None, event_id: UUID | None = None) -> Event:
    """An event of this moment."""
    now = reactor.seconds()
    session_id = session_id or getattr(data, "session_id", None)
    return Event(event_id or uuid4(), now, now, data, session_id, "tests", uuid4(), "a trace")


def start(session_id: UUID, player_id: UUID) -> Event:
    """A session's start."""
    return event(
        SessionStart(session_id=session_id, recipe_id=RECIPE, player_id=player_id, estimated_duration_seconds=60)
    )


def pause(session_id: UUID) -> Event:
    """Something that only a running session takes."""
    return event(SessionPause(session_id=session_id, pause_reason="player_afk"))


def waits(session_id: UUID | None, player_id: UUID, news: QueueMessageType = QueueMessageType.QUEUE_POSITION) -> Event:
    """A place in a queue."""
    return event(
        QueueUpdate(
            player_id=player_id, queue_position=2, session_id=session_id, station_type=Station.LABORATORY, type=news
        ),
        session_id,
    )


def iron(session_id: UUID, quantity: int = 5) -> Event:
    """A material that comes."""
    change = MaterialChange(material_id=IRON, change_type=ChangeType.ADDED, new_quantity=quantity)
    return event(MaterialsUpdate(session_id=session_id, changes=(change,)))


def verdicts(outcomes: Sequence[EventOutcome]) -> list[EventVerdict]:
    """Without the reasons."""
    return [outcome.verdict for outcome in outcomes]


class EventsTests(WorkersTestCase):
    """Events, given to whichever worker."""

    async def test_to_their_players(self) -> None:
        """A batch is split, each worker keeps its own players' state, and outcomes are in the order of the events."""
        here, there = await self.workers()
        sessions = [uuid4() for _ in range(20)]
        players = [player_of(number % 2) for number in range(20)]
        unknown = pause(uuid4())
        batch = [start(*pair) for pair in zip(sessions, players, strict=True)]
        outcomes = await here.events.apply([*batch, unknown, *map(pause, sessions), batch[3]])
        expected = [
            *20 * [EventVerdict.ACCEPTED],
            EventVerdict.REJECTED,
            *20 * [EventVerdict.ACCEPTED],
            EventVerdict.DUPLICATE,
        ]
        self.assertEqual(verdicts(outcomes), expected)
        for number, session in enumerate(sessions):
            kept = await (here, there)[number % 2].sources.sessions.get(session)
            assert kept is not None
            self.assertEqual((kept.player_id, kept.progress.status), (players[number], Status.PAUSED))
        self.assertEqual((await here.sources.sessions.count(), await there.sources.sessions.count()), (10, 10))

    async def test_any_worker_finds_a_session(self) -> None:
        """One that another worker knows, and one that only waits in a queue."""
        here, there = await self.workers()
        running, waiting, player = uuid4(), uuid4(), player_of(0)
        await here.events.apply([start(running, player), waits(waiting, player)])
        self.assertEqual(await there.directory.worker(running), 0)
        self.assertEqual(await there.directory.worker(waiting), 0)
        self.assertEqual(await there.directory.owner(running), player)
        self.assertEqual(await there.directory.owner(waiting), player)
        self.assertIsNone(await there.directory.owner(uuid4()))
        self.assertIsNone(await there.directory.worker(uuid4()))
        self.assertEqual(await there.events.apply([pause(running)]), [ACCEPTED])

    async def test_contradictions(self) -> None:
        """A session that is another player's, of another worker, is refused as one process refuses it."""
        here, there = await self.workers()
        session, waiting = uuid4(), uuid4()
        await here.events.apply([start(session, player_of(0)), waits(waiting, player_of(0))])
        for worker in (here, there):
            (started, waited) = await worker.events.apply([start(session, player_of(1)), waits(waiting, player_of(1))])
            self.assertIn("started before", started.reason)
            self.assertIn("another player", waited.reason)
        self.assertEqual(await there.sources.sessions.count(), 0)

    async def test_a_worker_is_gone(self) -> None:
        """The others' events are applied, and duplicates when all are sent again."""
        here, there = await self.workers()
        ours, theirs = uuid4(), uuid4()
        await here.events.apply([start(ours, player_of(0)), start(theirs, player_of(1))])
        await there.stop()
        batch = [pause(theirs), pause(ours)]
        with self.assertRaises(Unavailable):
            await here.events.apply(batch)
        there = self.worker(1)
        again = await here.events.apply(batch)
        self.assertEqual(
            verdicts(again), [EventVerdict.REJECTED, EventVerdict.DUPLICATE]
        )  # with its worker its state is lost.

    async def test_the_others_first(self) -> None:
        """They work while this worker applies its own."""
        here, _ = await self.workers()
        order: list[str] = []

        class Recorder:
            async def apply(self, events: Sequence[Event]) -> list[EventOutcome]:
                order.append("applied here")
                return [ACCEPTED for _ in events]

        def call(number: int, *arguments: Any) -> Deferred[Any]:
            order.append(f"sent to {number}")
            return send(number, *arguments)

        events = ShardedEvents(here.links, here.shards, here.directory, Recorder(), steady(reactor))  # type: ignore[arg-type]
        batch = [start(uuid4(), player_of(number)) for number in (0, 1, 0)]
        send = here.links.call
        self.patch(here.links, "call", call)
        await events.apply(batch)
        self.assertEqual(order[-2:], ["sent to 1", "applied here"])

    async def test_every_kind_arrives_as_it_was(self) -> None:
        """But for when it was accepted, which each worker's own clock says."""
        here, there = await self.workers()
        applied: list[Event] = []

        class Recorder:
            async def apply(self, events: Sequence[Event]) -> list[EventOutcome]:
                applied.extend(events)
                return [ACCEPTED for _ in events]

        ShardedEvents(there.links, there.shards, there.directory, Recorder(), steady(reactor))  # type: ignore[arg-type]
        session, player = uuid4(), player_of(1)
        sent = [
            start(session, player),
            pause(session),
            event(SessionResume(session_id=session, remaining_duration_seconds=4.5)),
            event(SessionProgress(session_id=session, progress_percentage=12.25, status=Status.ACTIVE)),
            event(SessionComplete(session_id=session, result_item_id=RECIPE, quality="epic")),
            waits(session, player),
            iron(session),
        ]
        await here.events.apply(sent)
        self.assertEqual(len({type(each.data) for each in sent} & set(EVENT_TYPES.values())), 7)
        for before, after in zip(sent, applied, strict=True):
            for field in Event.__struct_fields__:
                if field not in ("accepted", "ahead"):
                    self.assertEqual(getattr(after, field), getattr(before, field))

    async def test_as_one_process(self) -> None:
        """Any history, given in batches to any worker, has the outcomes and the end that it has in one process."""
        workers = await self.workers(3)
        for seed in range(20):
            alone = Sources.of(MemoryBackend(steady(reactor), MemorySettings()))
            random_ = Random(seed)
            sessions = [uuid4() for _ in range(6)]
            players = [player_of(number, 3) for number in range(3)]
            begun: set[UUID] = set()
            for _ in range(12):
                batch = [random_event(random_, sessions, players, begun) for _ in range(random_.randrange(1, 12))]
                outcomes = await random_.choice(workers).events.apply(batch)
                self.assertEqual(outcomes, await alone.apply(batch), f"seed {seed}")
            for session in sessions:
                kept = await alone.sessions.get(session)
                owner = None if kept is None else next(each for each in workers if each.shards.owns(kept.player_id))
                for worker in workers:
                    state = await worker.sources.sessions.get(session)
                    self.assertEqual(state is not None, worker is owner, f"seed {seed}")
                if kept is not None and owner is not None:
                    own = await owner.sources.sessions.get(session)
                    assert own is not None
                    self.assertEqual((own.version, own.progress.status), (kept.version, kept.progress.status))
                    materials = await owner.sources.materials.get(session)
                    self.assertEqual(
                        materials.materials, (await alone.materials.get(session)).materials, f"seed {seed}"
                    )


def random_event(random_: Random, sessions: Sequence[UUID], players: Sequence[UUID], begun: set[UUID]) -> Event:
    """Something that an authority may say, whether it makes sense or not. But a craft waits for the player it is of."""
    number = random_.randrange(len(sessions))
    session, player = sessions[number], players[number % len(players)]
    news = random_.choice([QueueMessageType.QUEUE_POSITION, QueueMessageType.STATION_AVAILABLE])

    def begin() -> Event:
        starter = random_.choice(players) if session in begun else player
        begun.add(session)
        return start(session, starter)

    return random_.choice(
        [
            begin,
            lambda: pause(session),
            lambda: event(SessionResume(session_id=session)),
            lambda: iron(session, random_.randrange(1, 9)),
            lambda: waits(random_.choice([session, None]), player, news),
            lambda: event(SessionComplete(session_id=session, result_item_id=RECIPE)),
        ]
    )()


class ClusterTests(ClusterContract, WorkersTestCase):
    """Players' places, and revocations. The second node counts those of `PLAYER`."""

    def setUp(self) -> None:
        super().setUp()
        self.nodes: list[Worker] = []

    async def node(self, listener: RevocationRecorder) -> ICluster:
        """Start another one, in the place of one that is not running."""
        counts = Shards(0, 2).of(PLAYER)
        running = {worker.shards.number for worker in self.nodes if worker.links.running}
        number = counts if 1 - counts in running else 1 - counts
        worker = Worker(self.folder, number, 2)
        worker.cluster.revocations.follow(listener)
        self.addCleanup(worker.stop)
        worker.start()
        self.nodes.append(worker)
        await self.settle()
        return worker.cluster

    async def settle(self) -> None:
        """Waits until all workers have received everything."""
        running = [worker for worker in self.nodes if worker.links.running]
        if len(running) == 2:
            await until(lambda: all(worker.links.complete for worker in running))
            for worker in running:
                await worker.links.call(1 - worker.shards.number, ECHO, None)

    def of(self, node: ICluster) -> Worker:
        """The worker whose cluster this is."""
        return next(worker for worker in self.nodes if worker.cluster is node)

    async def die(self, node: ICluster) -> None:
        """As its process does."""
        worker = self.of(node)
        lost: list[int] = []
        for other in self.nodes:
            other.links.on_lost(lost.append)
        await worker.stop()
        if any(other.links.running for other in self.nodes):
            await until(lambda: worker.shards.number in lost)

    async def lapse(self, node: ICluster) -> None:
        """Nothing lapses: it is as if its connection was lost."""
        await self.die(node)

    async def come_back(self, node: ICluster) -> None:
        """It connects again."""
        self.of(node).start()
        await self.settle()

    async def test_interfaces(self) -> None:
        await super().test_interfaces()
        verifyObject(ICluster, self.nodes[0].cluster)

    async def test_a_starting_worker_receives_the_revocations_in_force(self) -> None:
        """From a living worker: when all have ended, none is known."""
        node, other = await self.node(RevocationRecorder()), RevocationRecorder()
        await self.node(other)
        await node.revocations.publish(TOKEN)
        await node.revocations.publish(LOGIN)
        await self.settle()
        await self.die(node)
        late = RevocationRecorder()
        await (await self.node(late)).revocations.loaded()
        self.assertEqual(late.heard, {TOKEN, LOGIN})

    async def test_a_worker_is_gone(self) -> None:
        """A revocation is published without it: it has no connections."""
        node, other = await self.two()
        await self.die(other)
        await node.revocations.publish(Revocation("t-9", None, 0.0, 1e12))
        self.assertFalse(node.revocations.complete)
        await node.revocations.loaded()

    async def test_no_worker_to_ask(self) -> None:
        """When the counting worker is gone, slots are granted; it receives them when there is one again."""
        self.patch(links, "START_TIMEOUT", 0.05)
        node, other = await self.two()
        await self.die(other)
        self.assertEqual(await self.enter(node, 2), 2)
        another = await self.node(RevocationRecorder())
        self.assertEqual(await self.enter(another, 5), 3)

    async def test_not_wanted_any_more(self) -> None:
        """A place that was asked for, and is not wanted when the answer comes, is given back."""
        node, other = await self.two()
        asked = node.connection_slots.enter(PLAYER, 5)
        asked.addErrback(lambda failure: self._cancelled(failure))
        asked.cancel()
        await self.settle()
        await self.settle()
        self.assertEqual(await self.enter(other, 6), 5)

    def _cancelled(self, failure: Failure) -> None:
        failure.trap(CancelledError)
