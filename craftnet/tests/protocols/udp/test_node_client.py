"""The UDP protocol as clients/js speaks it: a second implementation, in TypeScript, written from PROTOCOL.md."""

from __future__ import annotations

from itertools import count
from uuid import UUID

from craftnet.tests.support.client_process import (
    CLIENT_SETTINGS,
    Event,
    changed,
    happened,
    short,
    start_with_materials,
)
from craftnet.tests.support.live import LiveTestCase, started
from craftnet.tests.support.node_udp import NodeClient
from craftnet.tests.support.samples import IRON, OTHER_SESSION, SESSION
from craftnet.tests.support.udp_relay import RelayedTestCase


class NodeClientTestCase(LiveTestCase):
    """A service, and what watches it."""

    settings = CLIENT_SETTINGS

    def watch(self, *sessions: UUID, options: tuple[str, ...] = ()) -> NodeClient:
        """A client, started."""
        client = NodeClient(self.url, *(sessions or (SESSION,)), options=options)
        self.addCleanup(client.stop)
        return client

    async def post(self, *events: Event) -> None:
        """Events that the service takes."""
        answer = await self.publish(*events)
        self.assertEqual(answer["rejected"], [])

    async def counted(self, outcome: str) -> float:
        """How many datagrams the server says this became of."""
        metrics = await (await self.request("GET", "/metrics")).text()
        for line in metrics.splitlines():
            if line.startswith(f'craftnet_datagrams_total{{outcome="{outcome}"}}'):
                return float(line.split()[-1])
        return 0.0


class NodeUdpTests(NodeClientTestCase):
    """A good line."""

    async def test_life_of_a_session(self) -> None:
        """A table by parts and by differences; progress up to completion; CLOSE when the session is forgotten."""
        await self.post(start_with_materials())
        client = self.watch()
        self.assertEqual(await client.read(), {"event": "connected"})
        progress = await client.until("progress")
        self.assertEqual((progress["session"], progress["progress"]["status"]), (str(SESSION), "active"))
        materials = await client.until("materials")
        self.assertEqual(materials["by"], "parts")
        self.assertEqual(
            materials["materials"][0], {"material_id": str(IRON), "quantity": 10, "quality": 50, "problem": None}
        )

        await self.until_held(client)
        await self.post(happened("pause", pause_reason="player_afk"))
        self.assertEqual((await client.until("progress"))["progress"]["status"], "paused")
        await self.post(happened("complete", result_item_id=str(IRON), duration_seconds=60))
        progress = (await client.until("progress"))["progress"]
        self.assertEqual((progress["status"], progress["percent"]), ("completed", 100))
        self.assertEqual(await client.until("closed"), {"event": "closed", "reason": 1})
        self.assertEqual((client.passed, await client.end()), ([], 0))

    async def until_held(self, client: NodeClient) -> None:
        """Change the table until the server knows that the client holds one: then it sends deltas."""
        for quantity in count(11):
            await self.post(changed(quantity, notifications=[short(quantity)]))
            materials = await client.until("materials")
            iron, copper = materials["materials"]
            self.assertEqual((iron["quantity"], copper["quantity"]), (quantity, 10))
            self.assertEqual(iron["problem"]["problem"], "insufficient_quantity")
            self.assertEqual(
                (iron["problem"]["required_quantity"], iron["problem"]["available_quantity"]), (1000, quantity)
            )
            if materials["by"] == "differences":
                break

    async def test_failure(self) -> None:
        """The reason is put together from its parts."""
        await self.post(started())
        client = self.watch()
        await client.until("materials")
        reason = 200 * "ü"
        await self.post(happened("progress", progress_percentage=12.5, status="failed", failure_reason=reason))
        while (progress := (await client.until("progress"))["progress"])["failure_reason"] is None:
            self.assertEqual(progress["status"], "failed")
        self.assertEqual(progress["failure_reason"], reason)

    async def test_long_table(self) -> None:
        """It takes several datagrams, each of which is a STATE of its own."""
        await self.post(start_with_materials(materials=50))
        client = self.watch(options=("--compression", "none", "--packet-size", "300"))
        materials = (await client.until("materials"))["materials"]
        self.assertEqual(len({row["material_id"] for row in materials}), 50)

    async def test_two_sessions(self) -> None:
        """They share a connection; one is left, the other goes on until it is left, too."""
        await self.post(start_with_materials(), start_with_materials(session_id=OTHER_SESSION))
        client = self.watch(SESSION, OTHER_SESSION)
        await client.until("materials", OTHER_SESSION)
        await self.post(changed(7, OTHER_SESSION), changed(6))
        quantities: dict[str, int] = {}
        while len(quantities) < 2:
            received = await client.until("materials")
            if received["materials"][0]["quantity"] != 10:
                quantities[received["session"]] = received["materials"][0]["quantity"]
        self.assertEqual(quantities, {str(OTHER_SESSION): 7, str(SESSION): 6})
        client.leave(OTHER_SESSION)
        over = await client.until("session_over")
        self.assertEqual(over, {"event": "session_over", "session": str(OTHER_SESSION), "reason": 6})
        await self.post(happened("pause", pause_reason="player_afk"))
        self.assertEqual((await client.until("progress", SESSION))["progress"]["status"], "paused")
        client.leave(SESSION)
        self.assertEqual(await client.until("closed"), {"event": "closed", "reason": 6})
        self.assertEqual(await client.end(), 0)

    async def test_compressed_messages(self) -> None:
        """What becomes of several sessions in one moment comes packed, and is the same."""
        sessions = [UUID(int=number) for number in range(1, 6)]
        await self.post(*(start_with_materials(20, session) for session in sessions))
        client = self.watch(*sessions)
        await client.until("materials", sessions[-1])
        while not await self.counted("packed"):
            await self.post(*(happened("pause", session, pause_reason="player_afk") for session in sessions))
            for session in sessions:
                self.assertEqual((await client.until("progress", session))["progress"]["status"], "paused")
            await self.post(*(happened("resume", session) for session in sessions))
            for session in sessions:
                self.assertEqual((await client.until("progress", session))["progress"]["status"], "active")

    async def test_shut_down(self) -> None:
        """The client asks for another connection, over HTTP."""
        await self.post(start_with_materials())
        client = self.watch()
        await client.until("materials")
        await self.service.stopService()
        self.assertEqual(await client.until("closed"), {"event": "closed", "reason": 2})
        self.assertIsNone((await client.until("not_connected"))["status"])

    async def test_refused(self) -> None:
        client = self.watch()
        self.assertEqual((await client.until("not_connected"))["status"], 404)
        self.assertEqual(await client.end(), 0)


class LossyTests(NodeClientTestCase, RelayedTestCase):
    """A bad line: the first datagram of each direction is lost, too."""

    loses = 4

    async def test_life_of_a_session(self) -> None:
        await self.post(start_with_materials())
        client = self.watch()
        materials = await client.until("materials")
        self.assertNotIn({"event": "unreachable"}, client.passed)
        for quantity in (9, 8, 7, 6, 5):
            await self.post(changed(quantity))
            while materials["materials"][0]["quantity"] != quantity:
                materials = await client.until("materials")
        await self.post(happened("complete", result_item_id=str(IRON), duration_seconds=60))
        self.assertEqual((await client.until("progress"))["progress"]["status"], "completed")
        self.assertGreater(self.relay.lost, 3)
