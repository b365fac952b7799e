"""A server of two workers in one process."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from typing import Any
from uuid import UUID

from twisted.internet import reactor

from craftnet.access.development import SECRET_VARIABLE
from craftnet.clocks import steady
from craftnet.server.build import build
from craftnet.server.service import Craftnet
from craftnet.sharding import links
from craftnet.tests.support.eventually import until
from craftnet.tests.support.live import SECRET, LiveTestCase, Peer, token
from craftnet.tests.support.samples import SESSION, player_of

PAUSE = {"pause_reason": "player_afk"}


class DividedTestCase(LiveTestCase):
    """`self.service` is worker 0, `self.other` worker 1; requests go to the former. `self.player` is the latter's."""

    def setUp(self) -> None:
        """Start both."""
        # Not self.mktemp(): the path of a UNIX socket must be short.
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)
        self.settings = replace(self.settings, worker=0, workers=2, links=self.folder, udp="0")
        super().setUp()
        self.other = self.worker(1)
        self.player = player_of(1)
        return until(lambda: self.ready)  # type: ignore[return-value]  # trial waits for it.

    def worker(self, number: int) -> Craftnet:
        """One more."""
        node = build(replace(self.settings, worker=number), steady(reactor), {SECRET_VARIABLE: SECRET})
        node.privilegedStartService()
        node.startService()
        self.addCleanup(lambda: node.running and node.stopService())
        return node

    @property
    def ready(self) -> bool:
        """Whether they have found each other."""
        found = [part for node in (self.service, self.other) for part in node if isinstance(part, links.Links)]
        return all(part.complete for part in found)

    async def stop_other(self) -> None:
        """As if its process had ended."""
        await self.other.stopService()
        await until(lambda: not any(part.connected for part in self.service if isinstance(part, links.Links)))

    async def watch(self, session_id: UUID = SESSION, player_id: UUID | None = None, **options: Any) -> Peer:
        """A feed of a session, by its player, and the snapshot received."""
        player_id = player_id or self.player
        path = f"/ws/crafting/{session_id}?player_id={player_id}"
        peer = await self.open(path, token(player_id), **options)
        self.assertEqual((await peer.receive())["session_id"], str(session_id))
        return peer

    async def connections(self, node: Craftnet) -> float:
        """How many WebSockets a worker has."""
        url, self.url = self.url, node.listener.url
        try:
            text = await (await self.request("GET", "/metrics")).text()
        finally:
            self.url = url
        lines = [line for line in text.splitlines() if line.startswith('craftnet_connections{transport="websocket"}')]
        return float(lines[0].split()[1]) if lines else 0.0
