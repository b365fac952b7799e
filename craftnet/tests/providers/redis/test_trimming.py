"""Changes that are trimmed before they are read, because there are too many or they are too old: nothing is missed."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from craftnet.contract.messages import Status
from craftnet.providers.redis import change_reader, sweeper
from craftnet.providers.redis.backend import RedisBackend
from craftnet.providers.redis.key_names import PARTITIONS, partition_of
from craftnet.providers.redis.stream_positions import StreamPosition, StreamPositions
from craftnet.tests.contracts.source import MaterialRecorder, SessionRecorder, complete, progress, quantity
from craftnet.tests.faults.relay import Stall
from craftnet.tests.support.eventually import until
from craftnet.tests.support.redis_nodes import RedisTestCase, looked, same_partition
from craftnet.tests.support.samples import NOW, SESSION, event, start

FLOOD = 500
"""Changes of another session: more than Redis keeps, whatever it rounds to."""


class BehindTests(RedisTestCase):
    """A node that reads late, and another one that writes more than the streams keep."""

    async def setUp(self) -> None:  # type: ignore[override]  # trial awaits it; unittest would not.
        """Two sessions of one partition; `late` has watchers of them, and hears nothing for now."""
        super().setUp()
        self.patch(change_reader, "BLOCK_SECONDS", 0.2)
        self.patch(change_reader, "CHECK_INTERVAL", 0.4)
        self.relay, port = self.relayed()
        self.node = self.backend(backlog=100)
        self.late = self.backend(backlog=100, port=port, timeout=20.0)
        self.other = same_partition(SESSION)
        self.updated, self.other_updated, self.materials = SessionRecorder(), SessionRecorder(), MaterialRecorder()
        for session in (SESSION, self.other):
            await self.node.sessions.apply([event(start(session))])
            await self.node.materials.apply([event(start(session))])
        await self.late.sessions.watch(SESSION, self.updated)
        await self.late.sessions.watch(self.other, self.other_updated)
        await self.late.materials.watch(SESSION, self.materials)
        await until(lambda: self.late.epoch)

    async def held(self) -> None:
        """Nothing gets through any more; Redis' present answer is the last one that is read."""
        self.relay.hold(Stall())
        await self.node.sessions.apply([event(progress(1.0, session_id=self.other), NOW + 1)])
        await deferLater(reactor, 0.05)

    async def flood(self) -> None:
        """Enough to wash everything else out."""
        reports = [event(progress(2.0, session_id=self.other), NOW + 2 + number) for number in range(FLOOD)]
        await self.node.sessions.apply(reports)

    async def test_the_end_of_a_session(self) -> None:
        """Nothing else ever comes of that session: that it ended must show all the same."""
        await self.held()
        await self.node.materials.apply([event(quantity(3), NOW + 2)])
        await self.node.sessions.apply([event(complete(), NOW + 2)])
        await self.flood()
        self.relay.release()
        await until(lambda: self.updated.heard and self.materials.heard)
        assert self.updated.heard[-1] is not None
        self.assertIs(self.updated.heard[-1].progress.status, Status.COMPLETED)
        self.assertEqual(self.materials.heard[-1].state, await self.node.materials.get(SESSION))
        await until(lambda: self.other_updated.versions[-1:] == [2 + FLOOD])

    async def test_nothing_is_left_of_it(self) -> None:
        """No later change shows that the newest one is missing."""
        await self.held()
        await self.node.sessions.apply([event(complete(), NOW + 2)])
        self.server.command("XTRIM", f"test:changes:{partition_of(SESSION)}", "MAXLEN", "0")
        self.relay.release()
        await until(lambda: self.updated.versions == [2])

    async def test_nothing_is_left_of_its_being_forgotten(self) -> None:
        await self.held()
        self.server.command("ZADD", "test:due:session", "1", str(SESSION))
        await self.node.sweeper.sweep()
        self.server.command("XTRIM", f"test:changes:{partition_of(SESSION)}", "MAXLEN", "0")
        self.relay.release()
        await until(lambda: self.updated.heard == [None])

    async def test_removed_by_hand(self) -> None:
        """Emptying Redis empties what players see."""
        self.server.command("FLUSHALL")
        await until(lambda: self.updated.heard == [None])

    async def test_a_node_that_keeps_up(self) -> None:
        """Nothing is missing, and nothing is compared."""
        with capturedLogs() as logged:
            for moment in range(20):
                await self.node.sessions.apply([event(progress(3.0, session_id=self.other), NOW + moment)])
            await until(lambda: self.other_updated.versions == [*range(2, 22)])
            await looked(self.relay)  # at the numbers, too.
        self.assertNotIn("trimmed", " ".join(formatEvent(one) for one in logged))


class AgeTests(RedisTestCase):
    async def test_old_changes_are_trimmed(self) -> None:
        """As far as Redis has whole nodes of them; and a reader receives what follows."""
        node, reader = self.backend(sweeps=False), self.backend(sweeps=False)
        heard = SessionRecorder()
        await node.sessions.apply([event(start())])
        await reader.sessions.watch(SESSION, heard)
        await node.sessions.apply([event(progress(1.0), NOW + moment) for moment in range(FLOOD)])
        await until(lambda: heard.versions[-1:] == [1 + FLOOD])
        self.assertEqual(await self.swept(node), 1 + FLOOD)
        self.patch(sweeper, "MAX_CHANGE_AGE", 0.0)
        self.assertLess(await self.swept(node), 150)
        await node.sessions.apply([event(complete(), NOW + 1000)])
        await until(lambda: heard.versions[-1:] == [2 + FLOOD])

    async def swept(self, node: RedisBackend) -> int:
        """How many changes are kept after a turn around the partitions."""
        for _ in range(PARTITIONS):
            await node.sweeper.sweep()
        return int(self.server.command("XLEN", f"test:changes:{partition_of(SESSION)}")[1:])


class StreamPositionsTests(SynchronousTestCase):
    """The numbers of changes, without Redis."""

    def test_followed_once(self) -> None:
        positions = StreamPositions()
        positions.follow(3, StreamPosition(b"7-1", 4))
        positions.follow(3, StreamPosition(b"9-0", 6))
        self.assertEqual((positions.entry(3), set(positions.partitions)), (b"7-1", {3}))
        positions.keep({2})
        self.assertEqual(set(positions.partitions), set())

    def test_what_is_not_ours_counts_for_nothing(self) -> None:
        positions = StreamPositions()
        positions.follow(3, StreamPosition(b"7-0", 4))
        positions.heard(3, b"7-1", {b"something": b"else"})
        positions.heard(3, b"7-2", {b"number": b"5"})
        self.assertEqual((positions.entry(3), positions.gaps), (b"7-2", set()))
        positions.heard(3, b"8-0", {b"number": b"nonsense"})
        positions.heard(3, b"9-0", {b"number": b"7"})
        self.assertEqual(positions.gaps, {3})

    def test_another_server(self) -> None:
        """Ids are compared by their numbers: the tenth comes after the ninth."""
        positions = StreamPositions()
        positions.follow(3, StreamPosition(b"7-10", 4))
        self.assertEqual(positions.behind({3: StreamPosition(b"7-9", 3), 4: StreamPosition(b"1-0", 1)}), set())
        self.assertEqual(positions.behind({3: StreamPosition(b"10-0", 5)}), {3})
        positions.replaced({3: StreamPosition(b"7-9", 3)})
        self.assertEqual(positions.entry(3), b"7-9")

    @settings(deadline=None, derandomize=True, max_examples=300)
    @given(st.lists(st.sampled_from(["add", "trim", "trim all", "read", "read all", "count"]), max_size=40))
    def test_whatever_is_trimmed(self, steps: list[str]) -> None:
        """A gap shows once all is read and counted, if something was trimmed unread; and never else."""
        positions = StreamPositions()
        positions.follow(0, StreamPosition(b"0-0", 0))
        stream: list[int] = []
        newest, read, lost = 0, 0, False

        def hear(most: int) -> None:
            nonlocal read
            for number in [one for one in stream if one > read][:most]:
                positions.heard(0, b"%d-0" % number, {b"number": b"%d" % number})
                read = number

        for step in [*steps, "count"]:
            if step == "add":
                newest += 1
                stream.append(newest)
            elif step.startswith("trim"):
                gone = stream if step == "trim all" else stream[:1]
                lost = lost or any(number > read for number in gone)
                stream = stream[len(gone) :]
            elif step == "count":
                before = positions.numbers()
                hear(len(stream))
                positions.counted(before, {0: StreamPosition(b"%d-0" % (stream[-1] if stream else 0), newest)})
                self.assertEqual(positions.gaps, {0} if lost else set())
                positions.gaps, lost, read = set(), False, max(read, newest)
            else:
                hear(1 if step == "read" else len(stream))
