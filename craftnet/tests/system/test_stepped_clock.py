"""Whole nodes, and the client, in processes whose system clock is set while they run: by seconds to hours, either way.

Redis, the authority and the players have the machine's clock, unless it is said otherwise.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID, uuid4

import msgspec
import treq
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure
from twisted.trial.unittest import SkipTest, TestCase
from twisted.web.http_headers import Headers
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Frame, Opcode
from websockets.sync.client import ClientConnection, connect

from craftnet.access.development import sign_token
from craftnet.access.principal import PUBLISH
from craftnet.client.core.address import Address
from craftnet.client.core.watch import Watch
from craftnet.client.transports.udp import UdpTransport
from craftnet.client.transports.websocket import WebSocketTransport
from craftnet.clocks import steady
from craftnet.contract.close_codes import CloseCode
from craftnet.contract.messages import rfc3339
from craftnet.runtime.backoff import Backoff
from craftnet.tests.faults.world import sleep
from craftnet.tests.support.eventually import until
from craftnet.tests.support.live import SECRET, Peer, envelope, in_thread, started
from craftnet.tests.support.nodes import FAKETIME, Node, SystemClock
from craftnet.tests.support.processes import SCRIPTS, environment
from craftnet.tests.support.redis_server import RedisServer
from craftnet.tests.support.samples import PLAYER, SESSION
from craftnet.tests.support.watchers import Kind, Seen, connections, give_up

HOUR = 3600.0

STEPS = (-HOUR, 2 * HOUR, 20.0)
"""Where the clock is set to, one after the other, against the machine's."""

POLL_INTERVAL = 0.05
"""Seconds between two questions to a node."""

LENGTH = 3600
"""Seconds of the craft: the duration of a test is less than a point of it."""

CRAFTING = f"/ws/crafting/{SESSION}?player_id={PLAYER}"


def lasting(player_id: UUID | None, *scopes: str) -> str:
    """A token that holds, whatever a clock of `STEPS` shows."""
    return sign_token(SECRET.encode(), player_id, scopes, 48 * HOUR, time.time() - 24 * HOUR)


class CountingConnection(ClientConnection):
    """Counts the pings that it answers."""

    pings = 0

    def process_event(self, event: Any) -> None:
        """One more frame."""
        if isinstance(event, Frame) and event.opcode is Opcode.PING:
            self.pings += 1
        super().process_event(event)


def pings_of(peer: Peer) -> int:
    """How many it has answered."""
    assert isinstance(peer.connection, CountingConnection)
    return peer.connection.pings


class ClockTestCase(TestCase):
    """A node whose system clock is `self.clock`."""

    timeout = 90
    backend: Sequence[str] = ()

    async def setUp(self) -> None:  # type: ignore[override]  # trial awaits it; unittest would not.
        """Start it."""
        if FAKETIME is None:
            raise SkipTest("libfaketime is not installed (Debian: libfaketime)")
        self.clock = SystemClock(Path(self.mktemp()))
        self.node = self.made(self.clock.environment)
        await self.node.start()

    def made(self, more: dict[str, str]) -> Node:
        """A node that is not started yet."""
        options = ["--http", "tcp:0:interface=127.0.0.1", "--udp", "127.0.0.1:0", "--udp-heartbeat", "1000"]
        options += ["--ping-interval", "1", "--refresh", "0.5", "--health-interval", "0.5", "--drain-time", "0"]
        node = Node([*options, *self.backend], more)
        self.addCleanup(node.end)
        return node

    async def publish(self, *events: dict[str, Any]) -> None:
        """Every one of them is taken."""
        headers = Headers({"Authorization": [f"Bearer {lasting(None, PUBLISH)}"], "Content-Type": ["application/json"]})
        body = msgspec.json.encode(events)
        response = await treq.post(f"{self.node.url}/events", headers=headers, data=body, persistent=False)
        answer = await response.json()
        self.assertEqual((response.code, answer), (202, {"accepted": len(events), "duplicates": 0, "rejected": []}))

    def report(self, percent: int, now: float, source: str) -> dict[str, Any]:
        """The craft is there, by the clock that shows `now`."""
        data = {
            "session_id": str(SESSION),
            "progress_percentage": percent,
            "status": "active",
            "remaining_time_seconds": LENGTH * (100 - percent) / 100,
        }
        return {**envelope("crafting.session.progress", data, source=source), "timestamp": rfc3339(now)}

    def watch(self, kind: Kind) -> Seen:
        """Begin to watch, until the end of the test."""
        seen, clock = Seen(), steady(reactor)
        transport = kind(clock, Address(self.node.url), SESSION, PLAYER, lasting(PLAYER))
        backoff = Backoff(first=0.1, cap=0.5, uniform=Random(1).uniform)
        self.addCleanup(give_up, Watch(clock, SESSION, [transport], seen, backoff).start())
        return seen

    async def open(self, bearer: str | None = None) -> Peer:
        """A WebSocket of another library."""
        headers, url = {"Authorization": f"Bearer {bearer or lasting(PLAYER)}"}, self.node.url.replace("http", "ws")
        options: dict[str, Any] = {"create_connection": CountingConnection, "max_queue": None}
        peer = Peer(await in_thread(lambda: connect(url + CRAFTING, additional_headers=headers, **options)))
        self.addCleanup(peer.close)
        return peer

    async def health(self) -> tuple[int, dict[str, Any]]:
        """Its status, and the report."""
        response = await treq.get(f"{self.node.url}/health", persistent=False)
        return response.code, await response.json()

    async def datagrams(self) -> float:
        """How many were taken."""
        text = await (await treq.get(f"{self.node.url}/metrics", persistent=False)).text()
        return sum(
            float(line.split()[-1])
            for line in text.splitlines()
            if line.startswith("craftnet_datagrams") and "accepted" in line
        )

    async def until_datagrams(self, number: int) -> None:
        """Waits until the node has accepted `number` more."""
        before = await self.datagrams()
        while await self.datagrams() < before + number:
            await sleep(POLL_INTERVAL)

    async def until_health(self, wanted: int) -> None:
        """Wait until its status is that."""
        while (await self.health())[0] != wanted:
            await sleep(POLL_INTERVAL)


class FeedTests(ClockTestCase):
    """The memory back end."""

    async def test_feeds_go_on_and_bars_stay_where_they_are(self) -> None:
        await self.publish(started(seconds=LENGTH))
        peer, seen, over_udp = await self.open(), self.watch(WebSocketTransport), self.watch(UdpTransport)
        await until(lambda: seen.percents and over_udp.percents)
        for number, ahead in enumerate(STEPS):
            self.clock.set(ahead)
            at, pings, lines = 10 * number, pings_of(peer), len(seen.percents)
            await until(lambda: pings_of(peer) >= pings + 2 and len(seen.percents) >= lines + 3)  # noqa: B023
            self.assert_at(at, seen, over_udp)
            for clock, percent in (("machine", at + 5), ("node", at + 10)):  # the authority has the one or the other.
                now = time.time() if clock == "machine" else self.clock.now
                # One source's clock that goes back by less than a minute is another matter: its reports are late then.
                await self.publish(self.report(percent, now, f"{clock} {ahead}"))
                await until(lambda: seen.percents[-1] >= percent and over_udp.percents[-1] >= percent)  # noqa: B023
                newcomer = self.watch(WebSocketTransport)
                await until(lambda: newcomer.percents)  # noqa: B023
                self.assert_at(percent, seen, over_udp, newcomer)
        self.assertEqual((seen.endings, over_udp.endings), ([], []))
        ending = {"session_id": str(SESSION), "result_item_id": str(SESSION), "duration_seconds": 3}
        await self.publish(envelope("crafting.session.complete", ending))
        await until(lambda: seen.percents[-1] == 100 and over_udp.percents[-1] == 100)

    def assert_at(self, percent: int, *watchers: Seen) -> None:
        """All recent values are that one, or what it becomes within a test."""
        for seen in watchers:
            self.assertIn(seen.percents[-1], (percent, percent + 1, percent + 2))
            self.assertEqual(seen.goes_back, "")

    async def test_a_udp_connection_is_kept_and_others_are_opened(self) -> None:
        await self.publish(started(seconds=LENGTH))
        watchers = [self.watch(UdpTransport)]
        for ahead in STEPS:
            await until(lambda: all(seen.percents for seen in watchers))
            self.clock.set(ahead)
            await self.until_datagrams(2 * len(watchers))  # heartbeats: a client whose timers stand still sends none.
            watchers.append(self.watch(UdpTransport))
        await until(lambda: all(seen.percents for seen in watchers))
        self.assertEqual([seen.endings for seen in watchers], [[]] * len(watchers))
        self.assertEqual(await connections(self.node.url, "udp"), len(watchers))

    async def test_health_is_looked_at_and_dated(self) -> None:
        await self.until_health(200)
        for ahead in STEPS:
            self.clock.set(ahead)
            reports = set[str]()
            while len(reports) < 3:  # one may be from before; two are of a running timer.
                code, report = await self.health()
                self.assertEqual(code, 200)
                reports.add(report["timestamp"])
                await sleep(POLL_INTERVAL)
            newest = max(map(datetime.fromisoformat, reports), key=lambda date: -abs(date.timestamp() - self.clock.now))
            self.assertApproximates(newest.timestamp(), self.clock.now, 15.0)
            self.assertLess(report["uptime"], self.timeout)


class RedisFeedTests(FeedTests):
    """Redis."""

    async def setUp(self) -> None:  # type: ignore[override]
        """Start it, and the node."""
        self.redis = RedisServer(durable=True)
        self.addCleanup(self.redis.stop)
        self.redis.start()
        self.backend = ["--backend", f"redis:port={self.redis.port}:timeout=1"]
        await super().setUp()

    async def test_health_sees_a_redis_that_dies(self) -> None:
        for ahead in STEPS[:2]:
            self.clock.set(ahead)
            self.redis.kill()
            await self.until_health(503)
            self.redis.start()
            await self.until_health(200)

    async def test_leases_are_renewed_and_events_taken(self) -> None:
        await self.publish(started(seconds=LENGTH))
        seen = self.watch(WebSocketTransport)
        for number, ahead in enumerate(STEPS[:2], 1):
            self.clock.set(ahead)
            lease = self.lease()
            await until(lambda: self.lease() > lease + 1000)  # noqa: B023
            event = msgspec.json.encode(self.report(10 * number, time.time(), "stream"))
            self.redis.command("XADD", "craftnet:events", "*", "event", event)
            await until(lambda: seen.percents[-1:] >= [10 * number])  # noqa: B023
            self.assertLess(seen.percents[-1], 10 * number + 3)

    def lease(self) -> float:
        """When that of the one node runs out, milliseconds on Redis' clock."""
        answer = self.redis.command("ZRANGE", "craftnet:nodes", "0", "-1", "WITHSCORES").split()
        return float(answer[-1]) if len(answer) > 1 else 0.0

    async def test_another_node_shows_the_same(self) -> None:
        """Whose clock is right."""
        other = self.made({})
        await other.start()
        for number, ahead in enumerate(STEPS[:2]):
            self.clock.set(ahead)
            if number == 0:
                await self.publish(started(seconds=LENGTH))
            await self.publish(self.report(10 + 10 * number, self.clock.now, "node"))
            here = self.watch(WebSocketTransport)
            mine, self.node = self.node, other
            there = self.watch(WebSocketTransport)
            self.node = mine
            await until(lambda: len(here.percents) > 2 and len(there.percents) > 2)  # noqa: B023
            self.assert_at(10 + 10 * number, here, there)


class TokenTests(ClockTestCase):
    async def test_a_connection_lasts_until_its_token_expires(self) -> None:
        await self.publish(started(seconds=LENGTH))
        for ahead in STEPS[:2]:
            self.clock.set(0.0)
            leaving, staying = [
                await self.open(sign_token(SECRET.encode(), PLAYER, (), ttl, time.time())) for ttl in (5.0, 600.0)
            ]
            self.clock.set(ahead)
            with self.assertRaises(ConnectionClosed) as caught:
                while True:
                    await leaving.receive()
            assert isinstance(caught.exception, ConnectionClosed) and caught.exception.rcvd is not None
            self.assertEqual(caught.exception.rcvd.code, CloseCode.TOKEN_EXPIRED)
            await staying.receive()

    async def test_new_tokens_are_checked_by_the_set_clock(self) -> None:
        await self.publish(started(seconds=LENGTH))
        for ahead in STEPS[:2]:
            self.clock.set(ahead)
            with self.assertRaises(InvalidStatus) as caught:
                await self.open(sign_token(SECRET.encode(), PLAYER, (), 600.0, time.time()))
            assert isinstance(caught.exception, InvalidStatus)
            self.assertEqual(caught.exception.response.status_code, 401)
            await (await self.open(sign_token(SECRET.encode(), PLAYER, (), 600.0, self.clock.now))).receive()


class _Client(ProcessProtocol):
    """`craftnet watch`."""

    def __init__(self) -> None:
        self.lines = ""
        self.ended: Deferred[int | None] = Deferred()

    def outReceived(self, data: bytes) -> None:
        """Its output."""
        self.lines += data.decode()

    errReceived = outReceived

    def processEnded(self, reason: Failure) -> None:
        """It has ended."""
        self.ended.callback(reason.value.exitCode)  # type: ignore[union-attr]


class ClientTests(ClockTestCase):
    """The client's clock is set; the node has the machine's."""

    async def setUp(self) -> None:  # type: ignore[override]
        """Start the node."""
        await super().setUp()
        await self.node.end()
        self.node = self.made({})
        await self.node.start()

    async def test_a_watch_goes_on(self) -> None:
        await self.publish(started(seconds=LENGTH))
        client = self.client("udp")
        await until(lambda: "progress" in client.lines)
        for ahead in STEPS:
            self.clock.set(ahead)
            await self.until_datagrams(3)
            lines = client.lines.count("\n")
            await self.publish(self.report(5, time.time(), str(uuid4())))
            await until(lambda: client.lines.count("\n") > lines)  # noqa: B023
            self.assertEqual(await connections(self.node.url, "udp"), 1.0)
        self.assertNotIn("again in", client.lines)

    async def test_a_client_without_a_server_gives_up(self) -> None:
        """After its patience, and not when the clock is where it was before."""
        await self.publish(started(seconds=LENGTH))
        client = self.client("ws")
        await until(lambda: "progress" in client.lines)
        await self.node.end()
        await until(lambda: "again in" in client.lines)
        self.clock.set(-HOUR)
        self.assertEqual(await client.ended, 1)

    def client(self, transport: str) -> _Client:
        """It watches."""
        line = ["craftnet", "watch", str(SESSION), "--player", str(PLAYER), "--url", self.node.url, "--json"]
        line += ["--transport", transport, "--token", lasting(PLAYER), "--patience", "2"]
        process = _Client()
        program = [sys.executable, str(SCRIPTS / line[0]), *line[1:]]
        running = reactor.spawnProcess(process, program[0], program, environment(**self.clock.environment))

        async def kill() -> None:
            if not process.ended.called:
                running.signalProcess("KILL")
                await process.ended

        self.addCleanup(kill)
        return process
