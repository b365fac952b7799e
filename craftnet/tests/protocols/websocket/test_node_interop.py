"""Feeds as Node.js sees them, with ws and lz4js: libraries that this project did not write.

clients/node-interop needs its packages: `make test` installs them with `npm ci`.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import msgspec

import craftnet
from craftnet.contract.close_codes import CloseCode
from craftnet.protocols.websocket.core.subprotocols import BINARY, JSON, LZ4
from craftnet.protocols.wire.codec import decode_progress
from craftnet.tests.support.live import LiveTestCase, envelope, in_thread, started, token
from craftnet.tests.support.samples import IRON, PLAYER, SESSION

WATCHER = Path(craftnet.__file__).parent.parent / "clients" / "node-interop" / "watch.js"

CRAFTING = f"/ws/crafting/{SESSION}?player_id={PLAYER}"


class NodeWatcher:
    """A process of Node.js that watches one feed."""

    def __init__(self, url: str, subprotocol: str, bearer: str) -> None:
        self._process = subprocess.Popen(
            ["node", str(WATCHER), url, subprotocol],
            env={**os.environ, "CRAFTNET_TOKEN": bearer},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    async def read(self) -> Any:
        """The next line."""
        assert self._process.stdout is not None
        line = await in_thread(self._process.stdout.readline)
        return msgspec.json.decode(line or '"node printed nothing more"')

    def write(self, line: str) -> None:
        """Send it a line."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def stop(self) -> None:
        """End it, whatever it does."""
        self._process.kill()
        self._process.communicate()


class NodeTests(LiveTestCase):
    """One watcher each."""

    async def watch(self, path: str, subprotocol: str, bearer: str | None = None) -> NodeWatcher:
        """A watcher, started."""
        watcher = NodeWatcher(self.ws_url + path, subprotocol, token() if bearer is None else bearer)
        self.addCleanup(watcher.stop)
        return watcher

    async def opened(self, subprotocol: str) -> NodeWatcher:
        """A watcher of the session that was welcomed with this subprotocol and no extension."""
        await self.publish(started())
        watcher = await self.watch(CRAFTING, subprotocol)
        self.assertEqual(await watcher.read(), {"opened": subprotocol, "extensions": ""})
        return watcher

    async def news(self, watcher: NodeWatcher) -> Any:
        """The next message other than progress, which is sent again on a busy machine."""
        while (message := await watcher.read()).get("type") == "progress_update":
            pass
        return message

    async def test_json_and_compressed(self) -> None:
        """Both deliver the same, the second with the dictionary that it downloads."""
        plain, compressed = await self.opened(JSON), await self.opened(LZ4)
        for watcher in (plain, compressed):
            first = await watcher.read()
            self.assertEqual((first["type"], first["session_id"]), ("progress_update", str(SESSION)))
        shortage = {"material_id": str(IRON), "notification_type": "quality_too_low", "required_quality": 50}
        await self.publish(
            envelope("crafting.materials.update", {"session_id": str(SESSION), "notifications": [shortage]}),
            envelope("crafting.session.fail", {"session_id": str(SESSION), "failure_reason": "timeout"}),
        )
        for _ in range(2):
            self.assertEqual(await self.news(plain), await self.news(compressed))

    async def test_records(self) -> None:
        watcher = await self.opened(BINARY)
        record = decode_progress(bytes.fromhex((await watcher.read())["record"]))
        self.assertEqual(record.session_id, SESSION)
        await self.publish(envelope("crafting.session.fail", {"session_id": str(SESSION), "failure_reason": "timeout"}))
        while (message := await watcher.read()).get("type") != "crafting_failed":
            self.assertIn("record", message)

    async def test_ping_and_close(self) -> None:
        watcher = await self.opened(JSON)
        await watcher.read()
        watcher.write("ping")
        self.assertEqual(await self.news(watcher), {"pong": "are you there?"})
        watcher.write("close")
        self.assertEqual(await self.news(watcher), {"closed": 1000})

    async def test_a_message(self) -> None:
        watcher = await self.opened(JSON)
        await watcher.read()
        watcher.write("hello")
        self.assertEqual(await self.news(watcher), {"closed": CloseCode.POLICY_VIOLATION})

    async def test_refused(self) -> None:
        await self.publish(started())
        watcher = await self.watch(CRAFTING, JSON, "no token of ours")
        self.assertEqual(await watcher.read(), {"refused": 401})
