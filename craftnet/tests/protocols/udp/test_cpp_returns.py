"""craftnet-watch against servers in processes of their own: a network that blocks UDP for a while, and restarts."""

from __future__ import annotations

import re
import signal
from typing import Any, cast
from uuid import UUID

import treq
from twisted.internet import reactor
from twisted.trial.unittest import TestCase
from twisted.web.http_headers import Headers

from craftnet.tests.support.authority import insist
from craftnet.tests.support.client_process import Event
from craftnet.tests.support.cpp import CppClient, built
from craftnet.tests.support.eventually import until
from craftnet.tests.support.live import envelope, started, token
from craftnet.tests.support.nodes import Node
from craftnet.tests.support.ports import reserved_port
from craftnet.tests.support.samples import IRON, SESSION
from craftnet.tests.support.udp_relay import Relay


def shortage(number: int) -> Event:
    """A change of the iron to this quantity, with a notification that as many are available."""
    data = {
        "session_id": str(SESSION),
        "changes": [{"material_id": str(IRON), "change_type": "quantity_changed", "new_quantity": number}],
        "notifications": [
            {
                "material_id": str(IRON),
                "notification_type": "insufficient_quantity",
                "required_quantity": 1000,
                "available_quantity": number,
            }
        ],
    }
    return envelope("crafting.materials.update", data)


class NodeTestCase(TestCase):
    """A server process, and clients of it."""

    timeout = 120

    def setUp(self) -> None:
        """Build first: nothing waits for a server that runs already."""
        built()

    async def serve(self, *options: str) -> Node:
        """A node with these options beside those for its HTTP port and for short tests."""
        port = reserved_port(self)
        node = Node(["--http", f"tcp:{port}:interface=127.0.0.1", "--drain-time", "0", *options])
        self.addCleanup(node.end)
        await node.start()
        return node

    def watch(self, node: Node, *options: str, **more: str) -> CppClient:
        """craftnet-watch, started."""
        client = CppClient(node.url, *options, **more)
        self.addCleanup(client.stop)
        return client


class ReturnTests(NodeTestCase):
    """A network that blocks UDP for a while."""

    async def test_udp_blocked_for_a_while(self) -> None:
        """UDP, WebSocket, UDP, WebSocket: the position is kept, and each notification arrives once."""
        relay = Relay(0)
        port: Any = cast(Any, reactor).listenUDP(0, relay, "127.0.0.1", 8192)
        self.addCleanup(port.stopListening)
        relayed = f"127.0.0.1:{port.getHost().port}"
        node = await self.serve("--udp", "127.0.0.1:0", "--udp-heartbeat", "1000", "--public-udp", relayed)
        relay.server = ("127.0.0.1", await node.udp_port())
        await insist(lambda _: node.url, [started(seconds=600)])
        client = self.watch(node, "--udp-timeout", "0.3", "--udp-retry", "0.3")
        events: list[Event] = []

        async def seen(name: str, **wanted: object) -> Event:
            found = await client.until(name, **wanted)
            events.extend([*client.passed, found])
            return found

        number = 0
        for _ in range(2):
            await seen("connected", transport="udp")
            await insist(lambda _: node.url, [shortage(number := number + 1)])
            while number not in [row["quantity"] for row in (await seen("materials"))["materials"]]:
                pass
            await seen("position", transport="udp")
            relay.loses = 1
            await insist(lambda _: node.url, [shortage(number := number + 1)])  # while the client notices nothing.
            await seen("connected", transport="ws")
            await seen("material", transport="ws")
            await insist(lambda _: node.url, [shortage(number := number + 1)])
            await seen("material", transport="ws")
            relay.loses = 0
        await seen("connected", transport="udp")
        complete = {"session_id": str(SESSION), "result_item_id": str(IRON), "duration_seconds": 60}
        await insist(lambda _: node.url, [envelope("crafting.session.complete", complete)])
        await seen("ended", result="completed")
        notified = [event["problem"]["available_quantity"] for event in events if event["event"] == "material"]
        self.assertEqual(notified, [2, 3, 5, 6])
        self.assertNotIn("reset", [event["event"] for event in events])
        positions = [event for event in events if event["event"] == "position"]
        self.assertEqual(len({event["epoch"] for event in positions}), 1)
        versions = [event["version"] for event in positions if event["version"]]
        self.assertEqual(versions, sorted(versions))
        self.assertEqual(await client.end(), 0)


class RestartTests(NodeTestCase):
    """A server that is restarted while its sessions are watched: the workshop, whose sessions come back."""

    async def restart(self, number: int, *transports: str) -> dict[str, list[Event]]:
        """Watches over each transport while the server is ended by this signal and started again.

        Returns:
            What each client printed from the end of the server to the first progress afterwards.
        """
        node = await self.serve("--udp", "127.0.0.1:0", "--backend", "workshop:chaos=0")
        await until(lambda: re.search("/ws/player/(.+)\n", node.text))
        player = UUID(node.text.rpartition("/ws/player/")[2].partition("\n")[0])
        headers = Headers({"Authorization": [f"Bearer {token(player)}"]})
        state = await (await treq.get(f"{node.url}/ws/player/{player}", headers=headers, persistent=False)).json()
        clients = {}
        for transport in transports:
            options = ["--transport", transport, "--player", str(player)]
            session = state["messages"][0]["session_id"]
            clients[transport] = self.watch(node, *options, session=session, CRAFTNET_TOKEN=token(player))
            await clients[transport].until("progress", transport=transport)
        await node.end(number)
        for client in clients.values():
            await client.until("lost")
        await node.start()
        events: dict[str, list[Event]] = {}
        for transport, client in clients.items():
            await client.until("connected", transport=transport)
            events[transport] = client.passed
            await client.until("progress", transport=transport)
            events[transport] += client.passed
            client.interrupt()
            await client.until("ended", result="stopped")
            self.assertEqual(await client.end(), 0)
        return events

    async def test_restarted(self) -> None:
        """Over UDP the server says that it goes. Its former positions mean nothing: it sends the whole state."""
        events = await self.restart(signal.SIGTERM, "udp", "ws")
        self.assertIn("reset", [event["event"] for event in events["ws"]])

    async def test_killed(self) -> None:
        events = await self.restart(signal.SIGKILL, "ws")
        self.assertIn("reset", [event["event"] for event in events["ws"]])
