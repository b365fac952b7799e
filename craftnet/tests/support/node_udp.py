"""A process of the UDP client in clients/js, for tests."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
from twisted.trial.unittest import SkipTest

import craftnet
from craftnet.tests.support.live import in_thread, token
from craftnet.tests.support.samples import PLAYER

ROOT = Path(craftnet.__file__).parent.parent
DIRECTORY = ROOT / "clients" / "js"

Event = dict[str, Any]


class NodeClient:
    """A process of Node.js that watches sessions over UDP.

    Raises:
        SkipTest: clients/js is not built.
    """

    def __init__(self, url: str, *sessions: UUID, options: tuple[str, ...] = ()) -> None:
        if not (DIRECTORY / "dist" / "node-udp.js").exists():
            raise SkipTest("clients/js is not built: `make clients/js/dist/index.js` does it")
        named = [word for session in sessions for word in ("--session", str(session))]
        self._process = subprocess.Popen(
            [
                "node",
                str(DIRECTORY / "examples" / "watch-udp.mjs"),
                "--url",
                url,
                "--player",
                str(PLAYER),
                *named,
                *options,
            ],
            env={**os.environ, "CRAFTNET_TOKEN": token()},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.passed: list[Event] = []

    async def read(self) -> Event:
        """The next event; {} when the process has ended."""
        assert self._process.stdout is not None
        line = await in_thread(self._process.stdout.readline)
        event: Event = msgspec.json.decode(line or "{}")
        return event

    async def until(self, name: str, session: UUID | None = None) -> Event:
        """The next event of this name, about this session if one is named; those before it are `passed`."""
        self.passed = []
        while True:
            event = await self.read()
            if not event:
                raise AssertionError(f"{name} never came, but {self.passed}")
            if event["event"] == name and (session is None or event["session"] == str(session)):
                return event
            self.passed.append(event)

    async def end(self) -> int:
        """How the process ended."""
        return await in_thread(self._process.wait)

    def leave(self, session: UUID) -> None:
        """Hear no more of it."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"leave {session}\n")
        self._process.stdin.flush()

    def stop(self) -> None:
        """End it, whatever it does."""
        self._process.kill()
        self._process.communicate()
