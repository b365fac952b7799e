"""Calls between the workers of a server."""

from __future__ import annotations

import os
import socket
import tempfile
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs, formatEvent

from craftnet.errors import ConfigurationError, Unavailable
from craftnet.sharding import links
from craftnet.sharding.calls import Caller, Operation
from craftnet.sharding.links import check_path, socket_path
from craftnet.tests.support.eventually import until
from craftnet.tests.support.workers_case import ECHO, WorkersTestCase


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
        with capturedLogs() as logged, self.assertRaisesRegex(Unavailable, "nothing found"):
            await here.links.call(1, broken, None)
        self.assertEqual(len(self.flushLoggedErrors(LookupError)), 1)
        self.assertIn("the call broken of worker 0 failed", [formatEvent(one) for one in logged])
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
        self.patch(links, "RESTART_WAIT", 0.05)
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
