"""An edge whose core is two nodes that share a Redis, behind a balancer; and cores with workers."""

from __future__ import annotations

import shutil
import signal
import tempfile
from uuid import uuid4

from twisted.trial.unittest import SynchronousTestCase
from websockets.sync.client import ClientConnection

from craftnet.access.principal import RELAY
from craftnet.providers.upstream.backend import TOKEN_VARIABLE
from craftnet.tests.support.eventually import together, until, wait_for
from craftnet.tests.support.live import in_thread, started, token
from craftnet.tests.support.nodes import Node, NodesTestCase
from craftnet.tests.support.redis_server import RedisServer
from craftnet.tests.support.servers import Server, position, read, read_to, shortage, watch
from craftnet.tests.support.watchers import connections

EDGE = ("--udp", "off", "--health-interval", "0.5", "--drain-time", "0")


class RedisCoreTests(NodesTestCase):
    timeout = 120

    async def setUp(self) -> None:  # type: ignore[override]  # trial awaits it.
        """Start the edge as well."""
        await super().setUp()
        options = ["--http", "tcp:0:interface=127.0.0.1", *EDGE]
        options += ["--backend", f"upstream:url=http://127.0.0.1:{self.balancer.port}"]
        self.edge = Node(options, {TOKEN_VARIABLE: token(None, RELAY)})
        self.addCleanup(self.edge.end)
        await self.edge.start()
        await until(lambda: "following the core" in self.edge.text)
        await self.publish([started(session := uuid4())])
        self.session = session
        self.versions: list[int] = []

    async def shows(self, watcher: ClientConnection, *numbers: int) -> str:
        """Publishes changes, reads up to the last of them, and returns its position."""
        for number in numbers:
            await self.publish([shortage(self.session, number)])
        while True:
            *_, last = await in_thread(read_to, watcher, type="material_notification")
            self.versions.append(last["version"])
            if last["material_data"]["available_quantity"] == numbers[-1]:
                return position(last)

    async def open(self, node: Node, resume: str = "") -> ClientConnection:
        """A watcher of a node."""
        watcher = await in_thread(watch, node.url, self.session, resume)
        self.addCleanup(in_thread, watcher.close)
        return watcher

    async def test_node_of_the_core_dies(self) -> None:
        """The edge follows the other one; its watcher gets the newest state, and nothing twice."""
        watcher = await self.open(self.edge)
        epoch = (await in_thread(read, watcher))["epoch"]
        await self.shows(watcher, 1, 2, 3)
        followed = [await connections(node.url, "websocket") for node in self.nodes]
        dead, left = self.nodes if followed == [1, 0] else reversed(self.nodes)
        await dead.end(signal.SIGKILL)
        at = await self.shows(watcher, 4, 5, 6, 7)
        await until(lambda: self.edge.text.count("following the core") == 2)
        self.assertTrue(at.startswith(epoch))
        self.assertEqual(self.versions, sorted(set(self.versions)))
        await self.publish([shortage(self.session, 8)])
        await in_thread(read_to, watcher, type="material_notification")
        moved = await self.open(left, at)
        back, *_, last = await in_thread(read_to, moved, type="material_notification")
        self.assertEqual((back["recovered"], last["material_data"]["available_quantity"]), (True, 8))

    async def test_core_restarts(self) -> None:
        """Redis keeps the positions: a watcher moves to the core and back while the core has started again."""
        watcher = await self.open(self.edge)
        await in_thread(read, watcher)
        at = await self.shows(watcher, 1, 2)
        for node in self.nodes:
            await node.end(signal.SIGKILL)
        await together([node.start for node in self.nodes])
        await self.shows(watcher, 3, 4)
        for number, node in enumerate((self.nodes[1], self.edge, self.nodes[0]), 5):
            moved = await self.open(node, at)
            self.assertEqual((await in_thread(read, moved))["recovered"], True)
            at = await self.shows(moved, number)


class WorkersTests(SynchronousTestCase):
    """A core with several workers."""

    def setUp(self) -> None:
        # Not self.mktemp(): the path of a UNIX socket must be short.
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def servers(self, *options: str) -> tuple[Server, Server]:
        """A core with these options, which listens, and its edge."""
        core = Server("--workers", "2", "--udp", "off", *options, TMPDIR=self.folder)
        edge = Server("--backend", f"upstream:url={core.url}", *EDGE, **{TOKEN_VARIABLE: token(None, RELAY)})
        for server in (core, edge):
            self.addCleanup(server.close)
        core.begin().read_until_all({"HTTP and WebSocket: ": 2})
        return core, edge

    def test_workers_that_share_a_back_end(self) -> None:
        redis = RedisServer()
        self.addCleanup(redis.stop)
        redis.start()
        core, edge = self.servers("--backend", f"redis:port={redis.port}")
        edge.begin().read_until("following the core")
        core.post(started(session := uuid4()))
        with edge.watch(session) as watcher:
            read(watcher)
            core.post(shortage(session, 5))
            read_to(watcher, type="material_notification")

    def test_workers_that_divide_the_players(self) -> None:
        """The edge says what to do, and is not ready."""
        core, edge = self.servers()
        running = edge.begin()
        said = running.read_until("cannot follow the core").string
        self.assertIn("This server divides its players among its workers and serves no edge", said)

        def checks(name: str) -> str:
            """What the health check says."""
            found = edge.ask("/health")[1].get("checks", {})
            return str(found[name]["message"]) if name in found else ""

        wait_for(lambda: "start it without --workers" in checks("upstream"))
        self.assertIn(f"The core {core.url} has not been reached yet", checks("sessions"))
        self.assertEqual(edge.ask("/ready")[0], 503)
