"""clients/minimal, a client that leaves out all that PROTOCOL.md allows, against a server."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec

import craftnet
from craftnet.server.settings import Settings
from craftnet.tests.support.live import envelope, in_thread, token
from craftnet.tests.support.samples import IRON, PLAYER, RECIPE, SESSION
from craftnet.tests.support.udp_relay import RelayedTestCase

CLIENT = Path(craftnet.__file__).parent.parent / "clients" / "minimal" / "udp_client.py"


class MinimalClientTests(RelayedTestCase):
    """On a path that loses datagrams, to a server that updates its keys every second."""

    settings = Settings(
        http="tcp:0:interface=127.0.0.1",
        udp="127.0.0.1:0",
        backend="memory:retention=0.2",
        drain_time=0.0,
        udp_heartbeat=1000,
        udp_key_rotation=1.0,
        udp_token_renewal=1.0,
        udp_path_size=400,
    )
    loses = 4

    async def test_life_of_a_session(self) -> None:
        """Tables of several parts with problems, key updates, completion, CLOSE."""
        materials = [{"material_id": str(UUID(int=number)), "quantity": 10} for number in range(1, 51)]
        start = {"session_id": str(SESSION), "recipe_id": str(RECIPE), "player_id": str(PLAYER)}
        await self.publish(
            envelope("crafting.session.start", {**start, "estimated_duration_seconds": 60, "materials": materials})
        )
        words = [sys.executable, str(CLIENT), self.url, str(SESSION), str(PLAYER), token()]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)

        async def until(name: str) -> Any:
            assert process.stdout is not None
            while line := await in_thread(process.stdout.readline):
                found = msgspec.json.decode(line)
                if name in found:
                    return found[name]
            raise AssertionError(f"{name} never came")

        table = await until("materials")
        self.assertEqual([row[1] for row in table], 50 * [10])
        changes = [{"material_id": str(UUID(int=1)), "change_type": "quantity_changed", "new_quantity": 9}]
        notifications = [
            {
                "material_id": str(UUID(int=1)),
                "notification_type": "insufficient_quantity",
                "required_quantity": 20,
                "available_quantity": 9,
            }
        ]
        data = {"session_id": str(SESSION), "changes": changes, "notifications": notifications}
        await self.publish(envelope("crafting.materials.update", data))
        self.assertEqual(await until("problems"), [[0, 0, 20, 9, 0, 0]])
        done = {"session_id": str(SESSION), "result_item_id": str(IRON), "duration_seconds": 60}
        await self.publish(envelope("crafting.session.complete", done))
        while await until("status") != "completed":
            pass
        self.assertEqual(await until("closed"), 1)
        self.assertEqual(await in_thread(process.wait), 0)
