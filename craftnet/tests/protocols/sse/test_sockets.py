"""Event streams of a whole service over real sockets, read by clients that this project did not write."""

from __future__ import annotations

import socket
from typing import Any

import msgspec
from twisted.internet import reactor

from craftnet.access.principal import ADMIN
from craftnet.contract.close_codes import CloseCode
from craftnet.limits.connection_limits import Limits
from craftnet.server.settings import Settings
from craftnet.tests.support.event_source import StreamReader
from craftnet.tests.support.eventually import until
from craftnet.tests.support.live import LiveTestCase, dated, envelope, in_thread, started, token
from craftnet.tests.support.samples import PLAYER, SESSION

CRAFTING = f"/sse/crafting/{SESSION}?player_id={PLAYER}"
QUEUE = f"/sse/queue/{PLAYER}"


EVENTS = 24
"""Of `shortages`: enough to fill what waits for a client, and the buffers of the sockets, several times over."""


class StreamTestCase(LiveTestCase):
    settings = Settings(
        http="tcp:0:interface=127.0.0.1", udp="off", drain_time=0.0, limits=Limits(per_player=0, per_session=0)
    )

    async def stream(self, path: str, bearer: str = "", **fields: str) -> StreamReader:
        """Open one."""
        reader = await in_thread(lambda: StreamReader(self.url, path, bearer or token(), **fields))
        self.addCleanup(in_thread, reader.close)
        return reader

    async def message(self, reader: StreamReader) -> dict[str, Any]:
        """The next event's data."""
        message: dict[str, Any] = msgspec.json.decode((await in_thread(reader.event)).data)
        return message

    async def closing(self, reader: StreamReader) -> int:
        """The code of the last event, after which the stream is complete."""
        while (event := await in_thread(reader.event)).name != "close":
            pass
        self.assertEqual(await in_thread(reader.rest), b"")
        return int(msgspec.json.decode(event.data)["code"])


class LiveStreamTests(StreamTestCase):
    async def test_crafting(self) -> None:
        """From its start to its end, and back again at the position of an event."""
        await self.publish(started())
        reader = await self.stream(CRAFTING)
        first = await in_thread(reader.event)
        await self.publish(
            envelope("crafting.session.pause", {"session_id": str(SESSION), "pause_reason": "player_afk"})
        )
        while (await self.message(reader))["progress_data"]["status"] != "paused":
            pass
        again = await self.stream(CRAFTING, Last_Event_ID=first.id)
        self.assertTrue((await self.message(again))["recovered"])
        self.assertEqual((await self.message(again))["progress_data"]["status"], "paused")
        await self.publish(
            envelope("crafting.session.complete", {"session_id": str(SESSION), "result_item_id": str(SESSION)})
        )
        for each in (reader, again):
            self.assertEqual((await self.message(each))["type"], "crafting_complete")

    async def test_ends(self) -> None:
        """By expiry, revocation and the server's own end, each in order."""
        brief, revoked, last = [
            await self.stream(QUEUE, bearer) for bearer in (token(ttl=1.0), dated(reactor.seconds(), "t-1"), token())
        ]
        self.assertEqual(await self.closing(brief), CloseCode.TOKEN_EXPIRED)
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token(None, ADMIN)}"}
        response = await self.request("POST", "/revocations", headers=headers, data=b'{"jti": "t-1"}')
        self.assertEqual((await response.json())["closed"], 1)
        self.assertEqual(await self.closing(revoked), CloseCode.TOKEN_REVOKED)
        stopping = self.service.stopService()
        self.assertEqual(await self.closing(last), CloseCode.GOING_AWAY)
        await stopping

    async def test_a_client_that_goes_away(self) -> None:
        """Is noticed at once."""
        reader = await self.stream(QUEUE)
        self.assertEqual(len(self.service.feeds.open), 1)
        await in_thread(reader.close)
        await until(lambda: not self.service.feeds.open)

    async def test_a_client_that_does_not_read(self) -> None:
        """Costs a bounded number of octets, and is cut off."""
        await self.publish(started())
        host, _, port = self.url.partition("://")[2].partition(":")
        with socket.socket() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect((host, int(port)))
            connection.sendall(
                f"GET {CRAFTING} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token()}\r\n\r\n".encode()
            )
            for number in range(EVENTS):
                await self.publish(shortages(number))
            refused = self.service.feeds.metrics.registry.get_sample_value(
                "craftnet_refusals_total", {"reason": "slow_consumer"}
            )
            self.assertEqual(refused, 1)
            await until(lambda: not self.service.feeds.open)


def shortages(event: int) -> dict[str, Any]:
    """An event with many notifications; some 16 kB of messages."""
    notifications = [
        {
            "material_id": str(SESSION),
            "notification_type": "insufficient_quantity",
            "required_quantity": 1 + event * 40 + number,
            "available_quantity": 0,
        }
        for number in range(40)
    ]
    return envelope("crafting.materials.update", {"session_id": str(SESSION), "notifications": notifications})
