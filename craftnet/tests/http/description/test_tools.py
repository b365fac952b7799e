"""What tools of others make of the API documents of a live server: linters, and a Go client that ogen generates.

`make test-api` runs these: they need npm packages and a Go compiler, and take minutes where nothing is cached.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from twisted.trial.unittest import SkipTest

from craftnet.access.principal import ADMIN
from craftnet.tests.support.live import LiveTestCase, envelope, in_thread, started, token
from craftnet.tests.support.programs import program
from craftnet.tests.support.samples import PLAYER, SESSION

CLIENTS = Path(__file__).parents[4] / "clients"
LINTERS = CLIENTS / "api-documents"
GO_CLIENT = CLIENTS / "go-api"

COMPILE_TIMEOUT = 1200.0
"""Seconds; ogen is compiled first, which takes minutes on a busy machine."""

WANTED = [
    "craftingNetworkServiceHealthCheck: degraded",
    "craftingNetworkServiceBatchHealthCheck: degraded 1",
    "craftingNetworkServiceHealthWebSocket: craftnet.json.v1",
    "craftingNetworkServiceHealthWebSocket: 101",
    "craftingSessionWebSocket: progress_update true",
    "craftingSessionWebSocket: 101",
    "craftingSessionWebSocket: 401 Bearer",
    "WebSocketCraftingMessage: progress_update active",
    "craftingQueueWebSocket: queue_position true",
    "craftingQueueWebSocket: 101",
    "WebSocketQueueMessage: queue_position laboratory",
    "udpCraftingSessionConnect: 4096 true",
    "udpCraftingProgressSync: ProgressComparison active",
    "udpMaterialAvailabilitySync: MaterialsComparison 1",
]
"""What the Go client says of every operation. The services next to craftnet are not configured: degraded."""


class ToolsTestCase(LiveTestCase):
    """Writes the documents of a server to files."""

    timeout = 2500

    async def documents(self) -> Path:
        """The folder with `openapi.json` and `asyncapi.json`."""
        if not os.environ.get("CRAFTNET_TEST_API"):
            raise SkipTest("`make test-api` runs it: it takes minutes")
        folder = Path(self.mktemp()).absolute()
        folder.mkdir(parents=True)
        for name in ("openapi.json", "asyncapi.json"):
            response = await self.request("GET", f"/{name}")
            (folder / name).write_bytes(await response.content())
        return folder

    async def succeeds(self, *command: str | Path, cwd: Path, **environment: str) -> str:
        """Runs a program that must exit with 0; returns its output."""
        done = await in_thread(
            subprocess.run,
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=COMPILE_TIMEOUT,
            cwd=cwd,
            env={**os.environ, **environment},
        )
        self.assertEqual(done.returncode, 0, done.stdout[-4000:])
        return done.stdout


class LinterTests(ToolsTestCase):
    """The npm packages of `clients/api-documents`."""

    async def test_redocly(self) -> None:
        folder = await self.documents()
        redocly = self.installed("redocly")
        output = await self.succeeds(redocly, "lint", folder / "openapi.json", cwd=LINTERS, CI="1")
        self.assertNotIn("Warning was generated", output)

    async def test_asyncapi_parser(self) -> None:
        folder = await self.documents()
        self.installed("redocly")
        await self.succeeds(program("node"), "check.js", folder / "asyncapi.json", cwd=LINTERS)

    def installed(self, name: str) -> Path:
        """A program of the packages."""
        found = LINTERS / "node_modules" / ".bin" / name
        if not found.exists():
            raise SkipTest(f"{name} is not installed: make test-api")
        return found


class GoClientTests(ToolsTestCase):
    """ogen generates a client of the document, `clients/go-api` calls all operations of the contract with it."""

    async def test_all_operations(self) -> None:
        folder = await self.documents()
        compiler = program("go")
        version = re.search(r"go1\.(\d+)", await self.succeeds(compiler, "version", cwd=folder))
        if version is None or int(version[1]) < 21:
            raise SkipTest("Go before 1.21 cannot fetch the version that clients/go-api needs")
        module = folder / "go-api"
        module.mkdir()
        for name in ("go.mod", "go.sum", "main.go"):
            shutil.copy(GO_CLIENT / name, module)
        document = folder / "openapi.json"
        generate = ("tool", "ogen", "--target", "api", "--package", "api", "--clean", document)
        await self.succeeds(compiler, *generate, cwd=module, GOFLAGS="-p=1")
        await self.succeeds(compiler, "build", "-o", "client", ".", cwd=module, GOFLAGS="-p=1")
        queue = {"player_id": str(PLAYER), "queue_position": 3, "station_type": "laboratory"}
        await self.publish(started(), envelope("crafting.queue.update", queue))
        who = ("-url", self.url, "-player", str(PLAYER), "-session", str(SESSION))
        tokens = ("-token", token(PLAYER), "-admin", token(None, ADMIN))
        output = await self.succeeds(module / "client", *who, *tokens, cwd=module)
        self.assertEqual(output.splitlines(), WANTED)
