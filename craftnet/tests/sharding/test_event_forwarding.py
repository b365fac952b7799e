"""Tests events that reach a worker of another player."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any
from uuid import UUID, uuid4

import msgspec
from msgspec.structs import replace
from twisted.internet import reactor
from twisted.internet.defer import Deferred, succeed

from craftnet.clocks import Moment, steady
from craftnet.contract.envelopes import decode_each
from craftnet.contract.events import (
    ACCEPTED,
    DUPLICATE,
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
    rejected,
)
from craftnet.contract.messages import ChangeType, MaterialChange, QueueMessageType, Station, Status, rfc3339
from craftnet.errors import Unavailable
from craftnet.providers.memory.backend import MemoryBackend, MemorySettings
from craftnet.providers.sources import Sources, apply_valid
from craftnet.sharding import event_forwarding
from craftnet.sharding.event_forwarding import ShardedEvents
from craftnet.tests.support.call_counts import counted
from craftnet.tests.support.samples import IRON, RECIPE, player_of
from craftnet.tests.support.workers_case import WorkersTestCase


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


def as_json(each: Event) -> bytes:
    """The event as the authority posts it."""
    envelope = {
        "event_id": each.event_id,
        "event_type": next(name for name, kind in EVENT_TYPES.items() if kind is type(each.data)),
        "timestamp": rfc3339(each.timestamp),
        "version": "1.0.0",
        "source": each.source,
        "data": each.data,
        "correlation_id": each.correlation_id,
        "trace_id": each.trace_id,
    }
    return msgspec.json.encode(envelope)


def verdicts(outcomes: Sequence[EventOutcome]) -> list[EventVerdict]:
    """Without the reasons."""
    return [outcome.verdict for outcome in outcomes]


BROKEN = (
    b"17",
    as_json(pause(uuid4())).replace(b"player_afk", b"boredom"),
    as_json(start(uuid4(), player_of(0))).replace(b"1.0.0", b"2.0.0"),
    as_json(iron(uuid4())).replace(b"materials.update", b"materials.delete"),
)
"""Lines that are no events; some have a heading."""


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
            replace(start(session, player), trace=f"00-{'a' * 32}-{'b' * 16}-01"),
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

    async def test_json_arrives_as_it_was(self) -> None:
        """But for when it was accepted."""
        here, there = await self.workers()
        session, player = uuid4(), player_of(1)
        sent = [start(session, player), pause(session), waits(session, player), iron(session)]
        await here.events.apply([sent[0]])
        applied: list[Event] = []

        class Recorder:
            async def apply(self, events: Sequence[Event]) -> list[EventOutcome]:
                applied.extend(events)
                return [ACCEPTED, rejected("a reason"), *(ACCEPTED for _ in events[2:])]

        ShardedEvents(there.links, there.shards, there.directory, Recorder(), steady(reactor))  # type: ignore[arg-type]
        raws = list(map(as_json, sent))
        outcomes = await here.events.apply_raw(raws, Moment.agreed(0.0))
        self.assertEqual(outcomes, [ACCEPTED, rejected("a reason"), ACCEPTED, ACCEPTED])
        self.assertEqual([each.event_id for each in applied], [each.event_id for each in sent])
        for before, after in zip(sent, applied, strict=True):
            self.assertEqual((after.data, after.correlation_id), (before.data, before.correlation_id))
            self.assertNotEqual(after.accepted, 0.0)

    async def test_ids_in_capitals(self) -> None:
        """They name the same session."""
        here, there = await self.workers()
        session, now = uuid4(), Moment.agreed(reactor.seconds())
        await here.events.apply([start(session, player_of(1))])
        raw = as_json(pause(session)).replace(str(session).encode(), str(session).upper().encode())
        for worker in (here, there):
            self.assertEqual(await worker.events.apply_raw([raw], now), [ACCEPTED if worker is here else DUPLICATE])

    async def test_no_call_for_each_event(self) -> None:
        """A worker calls no more functions for a hundred events of another worker than for ten, and decodes none."""
        here, _ = await self.workers()
        sessions = [uuid4() for _ in range(100)]
        await here.events.apply([start(session, player_of(1)) for session in sessions])
        raws = [as_json(pause(session)) for session in sessions]
        self.patch(here.links, "call", lambda number, operation, argument: succeed([]))
        self.patch(event_forwarding, "decode_each", lambda raws, now: self.fail(f"{len(raws)} events are decoded"))
        calls = []
        for number in (10, 100):
            with counted() as called:
                outcomes = await here.events.apply_raw(raws[:number], Moment.agreed(0.0))
            self.assertEqual(outcomes, [ACCEPTED] * number)
            calls.append(sum(called.values()))
        self.assertEqual(*calls)

    async def test_as_one_process(self) -> None:
        """Any history, given in batches to any worker, has the outcomes and the end that it has in one process.

        So it has as JSON with lines that are no events.
        """
        workers = await self.workers(3)
        for seed in range(20):
            alone = Sources.of(MemoryBackend(steady(reactor), MemorySettings()))
            random_ = Random(seed)
            sessions = [uuid4() for _ in range(6)]
            players = [player_of(number, 3) for number in range(3)]
            begun: set[UUID] = set()
            for _ in range(12):
                batch = [random_event(random_, sessions, players, begun) for _ in range(random_.randrange(1, 12))]
                worker = random_.choice(workers)
                if random_.random() < 0.5:
                    outcomes, expected = await worker.events.apply(batch), await alone.apply(batch)
                else:
                    now = Moment.agreed(reactor.seconds())
                    raws = [as_json(each) if random_.random() < 0.9 else random_.choice(BROKEN) for each in batch]
                    outcomes = await worker.events.apply_raw(raws, now)
                    expected = await apply_valid(alone.apply, decode_each(raws, now))
                self.assertEqual(outcomes, expected, f"seed {seed}")
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
