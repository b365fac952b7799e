"""Clients in other languages as processes that print one JSON object a line, and the events that their tests post."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

import msgspec

from craftnet.server.settings import Settings
from craftnet.tests.support.live import envelope, in_thread, token
from craftnet.tests.support.samples import COPPER, IRON, PLAYER, RECIPE, SESSION

Event = dict[str, Any]

CLIENT_SETTINGS = Settings(
    http="tcp:0:interface=127.0.0.1", udp="127.0.0.1:0", backend="memory:retention=0.2", drain_time=0.0
)
"""The server that clients watch: it forgets ended sessions soon, and stops at once."""

RENEWING_SETTINGS = replace(CLIENT_SETTINGS, udp_heartbeat=1000, udp_key_rotation=1.0, udp_token_renewal=1.0)
"""A server that replaces its keys and session tokens every second."""


class ClientProcess:
    """A process with a player's token in its environment.

    Arguments:
        words: the command line.
        environment: variables in addition to those of this process.

    Attributes:
        passed: the objects that `find` passed over.
    """

    def __init__(self, words: Sequence[str], **environment: str) -> None:
        self._process = subprocess.Popen(
            words,
            env={**os.environ, "CRAFTNET_TOKEN": token(), **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.passed: list[Event] = []

    async def read(self) -> Event:
        """The next object; {} once the process has ended."""
        assert self._process.stdout is not None
        event: Event = msgspec.json.decode(await in_thread(self._process.stdout.readline) or "{}")
        return event

    async def find(self, wanted: str, matches: Callable[[Event], bool]) -> Event:
        """The next object that matches.

        Raises:
            AssertionError: the process ended before; the text names what was `wanted`.
        """
        self.passed = []
        while event := await self.read():
            if matches(event):
                return event
            self.passed.append(event)
        raise AssertionError(f"{wanted} never came, but {self.passed}")

    async def error(self) -> str:
        """The next line on standard error."""
        assert self._process.stderr is not None
        return await in_thread(self._process.stderr.readline)

    def write(self, line: str) -> None:
        """Writes a line to standard input."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    async def end(self) -> int:
        """Waits for the process; returns its exit status."""
        return await in_thread(self._process.wait)

    def interrupt(self) -> None:
        """Ends the process as Ctrl-C does."""
        self._process.terminate()

    def stop(self) -> None:
        """Kills the process."""
        self._process.kill()
        self._process.communicate()


def start_with_materials(materials: int = 2, session_id: UUID = SESSION) -> Event:
    """A session's start with this many materials; the first are iron and copper, 10 of each."""
    names = [IRON, COPPER, *(UUID(int=number) for number in range(3, materials + 1))][:materials]
    data = {
        "session_id": str(session_id),
        "recipe_id": str(RECIPE),
        "player_id": str(PLAYER),
        "estimated_duration_seconds": 60,
        "materials": [{"material_id": str(name), "quantity": 10, "quality": 50} for name in names],
    }
    return envelope("crafting.session.start", data)


def changed(quantity: int, session_id: UUID = SESSION, **more: object) -> Event:
    """A change of the quantity of iron."""
    change = {"material_id": str(IRON), "change_type": "quantity_changed", "new_quantity": quantity}
    return envelope("crafting.materials.update", {"session_id": str(session_id), "changes": [change], **more})


def short(available: int) -> dict[str, object]:
    """A notification that the iron does not suffice."""
    return {
        "material_id": str(IRON),
        "notification_type": "insufficient_quantity",
        "required_quantity": 1000,
        "available_quantity": available,
    }


def happened(name: str, session_id: UUID = SESSION, **data: object) -> Event:
    """An event of the type `crafting.session.<name>`."""
    return envelope(f"crafting.session.{name}", {"session_id": str(session_id), **data})
