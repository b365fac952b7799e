"""Watchers that do not read: their cost, and their effect on others."""

from __future__ import annotations

import resource
import socket
from typing import Any
from uuid import UUID

from craftnet.contract.close_codes import CloseCode
from craftnet.limits.connection_limits import Limits
from craftnet.protocols.feed.core.conflation import MAX_OCTETS
from craftnet.protocols.websocket.server.connection import FeedProtocol
from craftnet.runtime.sockets import WRITE_BUFFER
from craftnet.server.settings import Settings
from craftnet.tests.support.live import LiveTestCase, Peer, envelope, in_thread, started, token
from craftnet.tests.support.samples import PLAYER, SESSION

STALLED = 1000

NOTIFICATIONS = 40
"""In one event; some 16 kB of messages."""

EVENTS = 16
"""Enough to fill what waits for a watcher, and the buffers of the sockets, several times over."""

CRAFTING = f"/ws/crafting/{SESSION}?player_id={PLAYER}"


def shortages(event: int) -> dict[str, Any]:
    """An event with many notifications, each of another material, numbered by the required quantity."""
    return envelope(
        "crafting.materials.update",
        {
            "session_id": str(SESSION),
            "notifications": [
                {
                    "material_id": str(UUID(int=1 + number)),
                    "notification_type": "insufficient_quantity",
                    "required_quantity": 1 + event * NOTIFICATIONS + number,
                    "available_quantity": 0,
                }
                for number in range(NOTIFICATIONS)
            ],
        },
    )


class SlowWatcherTests(LiveTestCase):
    """A thousand of them, and one that reads."""

    settings = Settings(http="tcp:0:interface=127.0.0.1", udp="off", limits=Limits(per_player=0, per_session=0))

    def setUp(self) -> None:
        """Make room for both ends of every connection."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        needed = 2 * STALLED + 500
        if soft < needed:
            resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
            self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        super().setUp()

    def stall(self, number: int) -> list[socket.socket]:
        """Opens `number` feeds and reads none."""
        host, _, port = self.url.removeprefix("http://").partition(":")
        request = (
            f"GET {CRAFTING} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
            f"Authorization: Bearer {token()}\r\n\r\n"
        )
        sockets = []
        for _ in range(number):
            connection = socket.socket()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.settimeout(10)
            connection.connect((host, int(port)))
            connection.sendall(request.encode())
            if not connection.recv(12).endswith(b" 101"):
                raise AssertionError("not welcome")
            sockets.append(connection)
        return sockets

    @property
    def protocols(self) -> list[FeedProtocol]:
        """The server's ends of all connections."""
        return [protocol for protocol in self.service.feeds.open if isinstance(protocol, FeedProtocol)]

    async def stalled(self) -> tuple[socket.socket, FeedProtocol, int]:
        """A watcher that does not read, its protocol, and how many batches of shortages it was sent until some wait."""
        await self.publish(started())
        (connection,) = await in_thread(self.stall, 1)
        self.addCleanup(connection.close)
        (protocol,) = self.protocols
        number = 0
        while not protocol.backlog:
            await self.publish(shortages(number))
            number += 1
        return connection, protocol, number

    def waiting(self, protocol: FeedProtocol) -> int:
        """Octets that the server keeps for a watcher."""
        transport: Any = protocol.transport
        return len(transport.dataBuffer) + int(transport._tempDataLen) + protocol.backlog

    async def updated(self, reader: Peer, kind: str) -> dict[str, Any]:
        """The next message of this kind; skips progress, of which a busy machine may send more."""
        while True:
            message = await reader.receive()
            if message["type"] != "progress_update":
                self.assertEqual(message["type"], kind)
                return message

    async def test_a_thousand(self) -> None:
        """Each costs a bounded number of octets and is disconnected; a client that reads receives everything."""
        await self.publish(started())
        sockets = await in_thread(self.stall, STALLED)
        for connection in sockets:
            self.addCleanup(connection.close)
        reader = await self.open(CRAFTING, token())
        await reader.receive()
        received = []
        most = 0
        for number in range(EVENTS):
            await self.publish(shortages(number))
            for _ in range(NOTIFICATIONS):
                received.append(
                    (await self.updated(reader, "material_notification"))["material_data"]["required_quantity"]
                )
            most = max(most, *map(self.waiting, self.protocols))
        await self.publish(
            envelope("crafting.session.fail", {"session_id": str(SESSION), "failure_reason": "recipe_error"})
        )
        await self.updated(reader, "crafting_failed")
        self.assertEqual(received, list(range(1, 1 + EVENTS * NOTIFICATIONS)))
        one_update = 20_000
        self.assertLessEqual(most, WRITE_BUFFER + one_update + MAX_OCTETS)
        # On a busy machine some are gone by now: they did not answer the close frame, either.
        closing = [protocol.localCloseCode for protocol in self.protocols if protocol.localCloseCode is not None]
        self.assertEqual(closing, [CloseCode.SLOW_CONSUMER] * len(closing))
        self.assertLessEqual(len(self.protocols) - len(closing), 1)
        refused = self.service.feeds.metrics.registry.get_sample_value(
            "craftnet_refusals_total", {"reason": "slow_consumer"}
        )
        self.assertEqual(refused, STALLED)

    async def test_the_end_survives(self) -> None:
        """A watcher that stalls within the bounds and reads again finds the end of the session last."""
        connection, _, number = await self.stalled()
        await self.publish(
            envelope(
                "crafting.session.complete",
                {"session_id": str(SESSION), "result_item_id": str(SESSION), "duration_seconds": 60},
            )
        )

        def read() -> bytes:
            octets = b""
            while b'"crafting_complete"' not in octets:
                data = connection.recv(65536)
                if not data:
                    return octets
                octets += data
            return octets

        octets = await in_thread(read)
        self.assertEqual(octets.count(b'"material_notification"'), number * NOTIFICATIONS)
        self.assertIn(b'"crafting_complete"', octets)
        self.assertGreater(octets.index(b'"crafting_complete"'), octets.rindex(b'"material_notification"'))

    async def test_a_client_that_closes_without_reading(self) -> None:
        """The answer waits behind unread messages; the next heartbeat ends that."""
        connection, protocol, _ = await self.stalled()
        connection.sendall(b"\x88\x82\0\0\0\0\x03\xe8")
        while protocol.state != protocol.STATE_CLOSED:
            await self.request("GET", "/health")
        self.assertEqual(self.protocols, [protocol])
        protocol.heartbeat()
        await self.service.feeds.gone(protocol)
        self.assertEqual(self.protocols, [])
