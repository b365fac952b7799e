"""Events that the authority adds to Redis itself."""

from __future__ import annotations

from collections import Counter
from typing import Any
from uuid import UUID

import msgspec
from twisted.logger import capturedLogs, formatEvent
from zope.interface.verify import verifyObject

from craftnet.contract.events import EventOutcome, EventVerdict
from craftnet.contract.messages import Status
from craftnet.errors import Unavailable
from craftnet.interfaces import IEventConsumer
from craftnet.providers.redis import event_stream
from craftnet.tests.contracts.source import SessionRecorder
from craftnet.tests.faults.relay import Stall
from craftnet.tests.support.eventually import until
from craftnet.tests.support.live import envelope, started
from craftnet.tests.support.redis_nodes import RedisTestCase
from craftnet.tests.support.samples import GAME_SESSION, GAME_START, OTHER_SESSION, PLAYER, RECIPE, SESSION


def completed(session_id: UUID = SESSION) -> dict[str, Any]:
    """A session's success."""
    data = {"session_id": str(session_id), "result_item_id": str(RECIPE), "duration_seconds": 1}
    return envelope("crafting.session.complete", data)


class EventStreamTests(RedisTestCase):
    def add(self, *events: dict[str, Any]) -> None:
        """As crafting-service does."""
        for one in events:
            self.server.command("XADD", "test:events", "*", "event", msgspec.json.encode(one))

    async def renewed(self) -> None:
        """Wait until the lease is renewed."""
        before = self.lasts()

        def again() -> bool:
            nonlocal before
            former, before = before, self.lasts()
            return before > former

        await until(again)

    def lasts(self) -> int:
        """Milliseconds until the lease runs out."""
        return int(self.server.command("PTTL", "test:lease")[1:])

    def asked(self) -> bool:
        """Whether Redis holds a question for events, which it would answer with the next one."""
        clients = self.server.command("CLIENT", "LIST").decode().splitlines()
        return any("cmd=xreadgroup" in client and "flags=b" in client for client in clients)

    def left(self) -> bytes:
        """How many are still to be taken."""
        return self.server.command("XLEN", "test:events")

    async def test_taken_once_by_one_of_two(self) -> None:
        nodes = [self.backend(), self.backend()]
        listener = SessionRecorder()
        await nodes[1].sessions.watch(SESSION, listener)
        begun = started()
        self.add(begun, completed(), begun, started(OTHER_SESSION))
        await until(lambda: listener.versions == [1, 2])
        self.assertEqual(await nodes[0].sessions.count(), 2)
        self.assertEqual((await nodes[0].materials.get(SESSION)).version, 1)
        await until(lambda: self.left() == b":0\r\n")

    async def test_a_start_as_the_game_sends_it(self) -> None:
        node = self.backend()
        self.server.command("XADD", "test:events", "*", "event", GAME_START)
        await until(lambda: self.left() == b":0\r\n")
        state = await node.sessions.get(GAME_SESSION)
        assert state is not None
        self.assertEqual((state.progress.status, state.progress.remaining), (Status.ACTIVE, 300.0))
        (material,) = (await node.materials.get(GAME_SESSION)).materials
        self.assertEqual((material.quantity, material.quality), (5, 40))

    async def test_the_next_node_goes_on(self) -> None:
        node, next_node = self.backend(), self.backend()
        self.add(started())
        listener = SessionRecorder()
        await next_node.sessions.watch(SESSION, listener)
        await until(lambda: self.left() == b":0\r\n")
        await node.service.stopService()
        self.add(completed())
        await until(lambda: listener.versions[-1:] == [2])

    async def test_what_a_dead_node_had_taken(self) -> None:
        """It is first, and what came after it comes after it."""
        self.server.command("XGROUP", "CREATE", "test:events", "craftnet", "0", "MKSTREAM")
        self.server.command("SET", "test:lease", "dead", "PX", "300")
        self.add(started())
        self.server.command("XREADGROUP", "GROUP", "craftnet", "dead", "STREAMS", "test:events", ">")
        self.add(completed())
        node = self.backend()
        listener = SessionRecorder()
        await node.sessions.watch(SESSION, listener)
        await until(lambda: listener.versions == [1, 2])
        assert listener.heard[-1] is not None
        self.assertIs(listener.heard[-1].progress.status, Status.COMPLETED)

    async def test_a_node_that_hangs(self) -> None:
        """Its lease runs out, and the other one takes over; until then it does not."""
        self.patch(event_stream, "LEASE_SECONDS", 1.0)
        self.patch(event_stream, "BLOCK_SECONDS", 0.2)
        relay, port = self.relayed()
        self.backend(port=port, timeout=20.0)
        await until(lambda: self.server.command("EXISTS", "test:lease") == b":1\r\n")
        holder = self.server.command("GET", "test:lease")
        other = self.backend()
        for _ in range(5):  # it lasts longer than what Redis gives it at once.
            await self.renewed()
            self.assertEqual(self.server.command("GET", "test:lease"), holder)
        relay.hold(Stall())
        await until(lambda: not self.asked())
        self.add(started())
        await until(lambda: self.left() == b":0\r\n")
        self.assertEqual(await other.sessions.count(), 1)
        self.assertNotEqual(self.server.command("GET", "test:lease"), holder)

    async def test_bad_ones_spoil_nothing(self) -> None:
        with capturedLogs() as logged:
            node = self.backend()
            self.server.command("XADD", "test:events", "*", "event", "junk")
            self.server.command("XADD", "test:events", "*", "nothing", "here")
            self.add(completed(), started())
            await until(lambda: self.left() == b":0\r\n")
        self.assertEqual(await node.sessions.count(), 1)
        self.assertIn("rejected", " ".join(formatEvent(one) for one in logged))

    async def test_a_rejection_says_where_the_event_comes_from(self) -> None:
        with capturedLogs() as logged:
            self.backend()
            late = completed() | {"correlation_id": str(RECIPE), "trace_id": "4bf92f35"}
            self.add(late)
            await until(lambda: self.left() == b":0\r\n")
        wanted = f"removed (event {late['event_id']}, correlation {RECIPE}, trace 4bf92f35)"
        self.assertIn(wanted, " ".join(formatEvent(one) for one in logged))

    async def test_counted(self) -> None:
        """By the node that takes them, by what became of each."""
        node = self.backend()
        verifyObject(IEventConsumer, node)
        outcomes: list[EventOutcome] = []
        node.report_outcomes_to(outcomes.extend)
        begun = started()
        self.add(begun, begun, completed(OTHER_SESSION), {"no": "event"})
        await until(lambda: self.left() == b":0\r\n")
        verdicts = Counter(outcome.verdict for outcome in outcomes)
        self.assertEqual(verdicts, {EventVerdict.ACCEPTED: 1, EventVerdict.DUPLICATE: 1, EventVerdict.REJECTED: 2})

    async def test_an_entry_that_was_deleted_after_it_was_taken(self) -> None:
        """Redis returns nothing for it; later events are consumed."""
        self.server.command("XGROUP", "CREATE", "test:events", "craftnet", "0", "MKSTREAM")
        self.server.command("XADD", "test:events", "1-1", "event", "dropped")
        self.server.command("XREADGROUP", "GROUP", "craftnet", "dead", "STREAMS", "test:events", ">")
        self.server.command("XDEL", "test:events", "1-1")
        self.add(started())
        node = self.backend()
        await until(lambda: self.left() == b":0\r\n")
        self.assertEqual(await node.sessions.count(), 1)

    async def test_consumers(self) -> None:
        """Nodes come and go; what Redis keeps of them does not grow."""
        for _ in range(3):
            node = self.backend()
            self.add(started())
            await until(lambda: self.left() == b":0\r\n")
            await node.service.stopService()
        self.assertTrue(self.server.command("XINFO", "CONSUMERS", "test:events", "craftnet").startswith(b"*1\r\n"))

    async def test_what_cannot_be_read_does_not_hold_up_the_rest(self) -> None:
        """The stored values of two sessions, or of a player who waits, are foreign; events of others are consumed."""
        waiting = {"player_id": str(PLAYER), "queue_position": 1, "station_type": "laboratory"}
        self.server.command("HSET", f"test:session:{OTHER_SESSION}", "version", "1", "state", "junk")
        self.server.command("HSET", "test:waiters", str(OTHER_SESSION), "junk")
        self.server.command("SET", f"test:session:{RECIPE}", "a string")
        self.add(
            started(RECIPE),
            completed(OTHER_SESSION),
            envelope("crafting.queue.update", waiting, session_id=str(OTHER_SESSION)),
        )
        self.add(started())
        with capturedLogs() as logged:
            node = self.backend()
            await until(lambda: self.left() == b":0\r\n")
        self.assertIsNotNone(await node.sessions.get(SESSION))
        self.assertIn("3 events from Redis were rejected", " ".join(formatEvent(one) for one in logged))
        await self.assertFailure(node.queues.find(OTHER_SESSION), Unavailable)
