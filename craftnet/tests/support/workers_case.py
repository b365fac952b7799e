"""Workers of one server, in one process."""

from __future__ import annotations

import shutil
import tempfile
from typing import Any

from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from craftnet.clocks import steady
from craftnet.providers.memory.backend import MemoryBackend, MemorySettings
from craftnet.providers.shards import Shards
from craftnet.providers.sources import Sources
from craftnet.sharding.calls import Operation
from craftnet.sharding.cluster import ShardCluster
from craftnet.sharding.directory import SessionDirectory
from craftnet.sharding.event_forwarding import ShardedEvents
from craftnet.sharding.links import Links
from craftnet.tests.support.eventually import until

WAIT = 0.005


ECHO: Operation[Any, Any] = Operation("echo", Any, Any)
"""Returns what it is given."""


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
