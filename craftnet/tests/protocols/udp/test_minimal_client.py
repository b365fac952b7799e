"""clients/minimal, a client that leaves out all that PROTOCOL.md allows, against a server."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import craftnet
from craftnet.tests.support.client_process import (
    RENEWING_SETTINGS,
    ClientProcess,
    changed,
    happened,
    short,
    start_with_materials,
)
from craftnet.tests.support.live import token
from craftnet.tests.support.samples import IRON, PLAYER, SESSION
from craftnet.tests.support.udp_relay import RelayedTestCase

CLIENT = Path(craftnet.__file__).parent.parent / "clients" / "minimal" / "udp_client.py"


class MinimalClientTests(RelayedTestCase):
    """On a path that loses datagrams, to a server that updates its keys every second."""

    settings = replace(RENEWING_SETTINGS, udp_path_size=400)
    loses = 4

    async def test_life_of_a_session(self) -> None:
        """Tables of several parts with problems, key updates, completion, CLOSE."""
        await self.publish(start_with_materials(50))
        client = ClientProcess([sys.executable, str(CLIENT), self.url, str(SESSION), str(PLAYER), token()])
        self.addCleanup(client.stop)

        async def until(name: str) -> Any:
            return (await client.find(name, lambda event: name in event))[name]

        self.assertEqual([row[1] for row in await until("materials")], 50 * [10])
        await self.publish(changed(9, notifications=[{**short(9), "required_quantity": 20}]))
        self.assertEqual(await until("problems"), [[0, 0, 20, 9, 0, 0]])
        await self.publish(happened("complete", result_item_id=str(IRON), duration_seconds=60))
        while await until("status") != "completed":
            pass
        self.assertEqual(await until("closed"), 1)
        self.assertEqual(await client.end(), 0)
