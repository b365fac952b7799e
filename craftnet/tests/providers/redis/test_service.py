"""Two whole services on one Redis: events posted to one reach the watchers at the other."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import treq
from twisted.internet import reactor
from twisted.internet.task import deferLater
from websockets.exceptions import InvalidStatus

from craftnet.access.development import SECRET_VARIABLE
from craftnet.access.principal import PUBLISH
from craftnet.clocks import steady
from craftnet.server.build import build
from craftnet.server.service import Craftnet
from craftnet.tests.support.live import SECRET, LiveTestCase, envelope, started, token
from craftnet.tests.support.redis_server import RedisServer
from craftnet.tests.support.samples import IRON, PLAYER, SESSION

FEED = f"/ws/crafting/{SESSION}?player_id={PLAYER}"
QUEUE = f"/ws/queue/{PLAYER}"


QUEUE_STATUS = {"player_id": str(PLAYER), "queue_position": 1, "station_type": "laboratory"}
SHORT = {"material_id": str(IRON), "notification_type": "insufficient_quantity"}


def queue_status(number: int) -> dict[str, Any]:
    """The session's place in a queue."""
    return envelope("crafting.queue.update", {**QUEUE_STATUS, "queue_position": number}, session_id=str(SESSION))


def shortage(number: int) -> dict[str, Any]:
    """So much is needed of something."""
    notification = {**SHORT, "required_quantity": number}
    return envelope("crafting.materials.update", {"session_id": str(SESSION), "notifications": [notification]})


class TwoNodesTests(LiveTestCase):
    """`self.url` is the first node; `turn_to` makes it another one."""

    def setUp(self) -> None:
        """Start Redis and both."""
        self.redis = RedisServer(durable=True)
        self.addCleanup(self.redis.stop)
        self.redis.start()
        self.settings = replace(self.settings, backend=f"redis:port={self.redis.port}:timeout=1")
        super().setUp()
        self.other: Craftnet = build(self.settings, steady(reactor), {SECRET_VARIABLE: SECRET})
        self.other.privilegedStartService()
        self.other.startService()
        self.addCleanup(self.other.stopService)

    def turn_to(self, node: Craftnet) -> None:
        """Talk to this one from now on."""
        self.url = node.listener.url
        self.ws_url = self.url.replace("http", "ws", 1)

    async def test_added_events_are_counted(self) -> None:
        """In the figures of whichever node took them."""
        self.redis.command("XADD", "craftnet:events", "*", "event", msgspec.json.encode(started()))
        counted = b'craftnet_events_total{verdict="accepted"} 1.0'
        pages: list[bytes] = []
        while not any(counted in page for page in pages):
            pages = [await self.figures(node) for node in (self.service, self.other)]

    async def figures(self, node: Craftnet) -> bytes:
        """Its metrics."""
        response = await treq.get(f"{node.listener.url}/metrics", persistent=False)
        page: bytes = await response.content()
        return page

    async def test_posted_here_watched_there(self) -> None:
        await self.publish(started())
        self.turn_to(self.other)
        feed, queue = await self.open(FEED, token()), await self.open(QUEUE, token())
        self.assertEqual((await feed.receive())["progress_data"]["status"], "active")
        self.turn_to(self.service)
        queue_status = {"player_id": str(PLAYER), "queue_position": 2, "station_type": "laboratory"}
        await self.publish(envelope("crafting.queue.update", queue_status))
        self.assertEqual((await queue.receive())["queue_position"], 2)
        self.assertEqual((await feed.receive())["queue_data"]["queue_position"], 2)
        await self.publish(
            envelope("crafting.session.pause", {"session_id": str(SESSION), "pause_reason": "player_afk"})
        )
        self.assertEqual((await feed.receive())["progress_data"]["status"], "paused")
        # A watcher that moves to the other node sees the newest state there.
        moved = await self.open(FEED, token())
        self.assertEqual((await moved.receive())["progress_data"]["status"], "paused")

    async def test_redis_gone_and_back(self) -> None:
        """Watchers stay connected, posts are refused whole, health says so; then everything works again."""
        await self.publish(started())
        self.turn_to(self.other)
        feed = await self.open(FEED, token())
        await feed.receive()
        self.turn_to(self.service)
        self.redis.kill()
        finished = envelope("crafting.session.fail", {"session_id": str(SESSION), "failure_reason": "timeout"})
        answer = await self.post(finished)
        self.assertEqual(answer.code, 503)
        self.assertEqual(answer.headers.getRawHeaders("Retry-After"), ["1"])
        await self.health("critical")
        self.redis.start()
        while (await self.post(finished)).code != 202:
            await deferLater(reactor, 0.05)
        message = await feed.receive()
        while message["type"] == "progress_update":
            message = await feed.receive()
        self.assertEqual((message["type"], message["progress_data"]["failure_reason"]), ("crafting_failed", "timeout"))
        await self.health("degraded")  # the other services are not configured.

    async def test_queue_watchers_while_redis_is_gone(self) -> None:
        """They are refused like all others, and the log does not grow with them."""
        await self.open(QUEUE, token())
        self.redis.kill()
        for _ in range(2):
            with self.assertRaises(InvalidStatus) as caught:
                await self.open(QUEUE, token())
            self.assertEqual(caught.exception.response.status_code, 503)
        self.assertEqual(self.flushLoggedErrors(), [])

    async def test_a_node_stops(self) -> None:
        """What it accepted stays; its watchers find everything at the other one."""
        await self.publish(started())
        await self.stop()
        self.turn_to(self.other)
        feed = await self.open(FEED, token())
        self.assertEqual((await feed.receive())["progress_data"]["status"], "active")
        done = {"session_id": str(SESSION), "result_item_id": str(SESSION), "duration_seconds": 3}
        await self.publish(envelope("crafting.session.complete", done))
        self.assertEqual((await feed.receive())["type"], "crafting_complete")

    async def test_missed_on_one_node_recovered_on_another(self) -> None:
        """A watcher whose node is gone receives from the other one what it missed, though nothing was watched there."""
        await self.publish(started())
        feed, queue = await self.open(FEED, token()), await self.open(QUEUE, token())
        here = await feed.receive()
        await self.publish(queue_status(3))
        while here["type"] != "queue_status":
            here = await feed.receive()
        there = await queue.receive()
        await self.stop()
        self.turn_to(self.other)
        await self.publish(shortage(5), queue_status(2), shortage(6), queue_status(1))
        paused = {"session_id": str(SESSION), "pause_reason": "player_afk"}
        await self.publish(envelope("crafting.session.pause", paused))
        again = await self.open(f"{FEED}&resume={here['epoch']}:{here['version']}", token())
        position_message, *missed, newest = [await again.receive() for _ in range(6)]
        self.assertEqual((position_message["recovered"], position_message["version"]), (True, here["version"]))
        self.assertEqual(
            [message.get("material_data", message.get("queue_data")) for message in missed],
            [SHORT | {"required_quantity": 5}, SHORT | {"required_quantity": 6}]
            + [{**QUEUE_STATUS, "queue_position": number} for number in (2, 1)],
        )
        self.assertEqual(newest["progress_data"]["status"], "paused")
        versions = [message["version"] for message in (position_message, *missed, newest)]
        self.assertEqual(versions, sorted(set(versions)))
        # From anywhere in between, the rest follows.
        halfway = await self.open(f"{FEED}&resume={here['epoch']}:{versions[2]}", token())
        messages = [await halfway.receive() for _ in range(4)]
        self.assertEqual([message["version"] for message in messages], versions[2:])
        again = await self.open(f"{QUEUE}?resume={there['epoch']}:{there['version']}", token())
        messages = [await again.receive() for _ in range(3)]
        self.assertEqual([message.get("queue_position") for message in messages], [None, 2, 1])
        self.assertIs(messages[0]["recovered"], True)

    async def test_a_server_that_may_have_lost_something(self) -> None:
        """After a restart of Redis, earlier positions are unknown."""
        await self.publish(started())
        feed = await self.open(FEED, token())
        here = await feed.receive()
        self.redis.kill()
        self.redis.start()
        self.turn_to(self.other)
        while (await self.post(queue_status(2))).code != 202:
            await deferLater(reactor, 0.05)
        again = await self.open(f"{FEED}&resume={here['epoch']}:{here['version']}", token())
        position_message = await again.receive()
        self.assertIs(position_message["recovered"], False)
        self.assertNotEqual(position_message["epoch"], here["epoch"])

    async def post(self, one: dict[str, Any]) -> Any:
        """The response to one event."""
        headers = {"Authorization": f"Bearer {token(None, PUBLISH)}", "Content-Type": "application/json"}
        return await self.request("POST", "/events", headers=headers, data=msgspec.json.encode(one))

    async def health(self, wanted: str) -> None:
        """Wait until /health says so."""
        while (await (await self.request("GET", "/health")).json())["status"] != wanted:
            await deferLater(reactor, 0.05)
