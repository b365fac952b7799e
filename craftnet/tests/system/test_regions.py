"""Two nodes in two regions on a real Redis: a client of one of them follows a craft at the other one, over UDP."""

from __future__ import annotations

import os
import signal
from typing import Any
from uuid import UUID

import treq
from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase, TestCase

from craftnet.client.core.address import Address
from craftnet.client.core.watch import Watch
from craftnet.client.transports.udp import UdpTransport
from craftnet.clocks import steady
from craftnet.errors import ConfigurationError
from craftnet.nodes.cluster_key import CLUSTER_KEY_VARIABLE
from craftnet.runtime.backoff import Backoff
from craftnet.server.build import build
from craftnet.server.settings import Settings
from craftnet.tests.support.authority import insist
from craftnet.tests.support.eventually import together, until
from craftnet.tests.support.fakes import SteppedReactor
from craftnet.tests.support.live import SECRET, LiveTestCase, started, token
from craftnet.tests.support.nodes import Node
from craftnet.tests.support.redis_server import RedisServer
from craftnet.tests.support.samples import OTHER_SESSION, PLAYER, SESSION
from craftnet.tests.support.watchers import Seen, connections, give_up

HERE, THERE = "us-east", "eu-central"
PAUSE = 0.1
"""Seconds between two requests of a test that waits for an answer."""


async def asked(url: str, session: UUID = SESSION, **more: str) -> tuple[int, dict[str, Any]]:
    """The status and the body of the answer to …/connect."""
    body = {"player_id": str(PLAYER), "client_version": "1.0.0", **more}
    headers: dict[bytes | str, bytes | str] = {"Authorization": f"Bearer {token()}"}
    response = await treq.post(f"{url}/udp/sessions/{session}/connect", json=body, headers=headers, persistent=False)
    return response.code, await response.json()


class TwoRegionsTests(TestCase):
    timeout = 60

    async def setUp(self) -> None:  # type: ignore[override]  # trial awaits it; unittest would not.
        """Start a node in each region, and wait until they know each other."""
        self.redis = RedisServer()
        self.addCleanup(self.redis.stop)
        self.redis.start()
        # Addresses of this machine that no other process of the suite has.
        high, low = divmod(os.getpid() & 65535, 256)
        self.endpoints = {HERE: f"127.1.{high}.{low}:8082", THERE: f"127.2.{high}.{low}:8082"}
        self.nodes = {region: self.node(region) for region in (HERE, THERE)}
        await together([node.start for node in self.nodes.values()])
        self.url = self.nodes[HERE].url
        await insist(lambda attempts: self.url, [started(), started(OTHER_SESSION)])
        await self.answer_from(THERE, preferred_region=THERE)

    def node(self, region: str) -> Node:
        """A node that ends with the test."""
        endpoint = self.endpoints[region]
        options = ["--http", "tcp:0:interface=127.0.0.1", "--udp", endpoint, "--udp-heartbeat", "1000"]
        options += ["--public-udp", endpoint, "--drain-time", "0", "--region", region]
        options += ["--connect-rate-per-player", "0"]
        options += ["--backend", f"redis:port={self.redis.port}:timeout=1"]
        node = Node(options, {CLUSTER_KEY_VARIABLE: "k" * 32})
        self.addCleanup(node.end)
        return node

    async def answer_from(self, region: str, session: UUID = SESSION, **more: str) -> dict[str, Any]:
        """The first answer with this region; both nodes know each other within a second or two."""
        while True:
            status, answer = await asked(self.url, session, **more)
            if status == 200 and answer["region"] == region:
                return answer
            await deferLater(reactor, PAUSE)

    async def test_the_other_region(self) -> None:
        """One test, because starting nodes takes seconds."""
        await self.craft_is_followed_there()
        await self.answers_name_the_nodes()
        await self.secrets_are_not_in_redis()
        await self.nodes_that_end_disappear()

    async def craft_is_followed_there(self) -> None:
        """A client of this node, with the other region as its preference."""
        seen = Seen()
        address, clock = Address(self.url), steady(reactor)
        transport = UdpTransport(clock, address, SESSION, PLAYER, token(), region=THERE)
        watching = Watch(reactor, SESSION, [transport], seen, Backoff(first=0.1, cap=0.5)).start()
        self.addCleanup(give_up, watching)
        await until(lambda: seen.percents)
        self.assertEqual([await connections(node.url, "udp") for node in self.nodes.values()], [0, 1])
        self.assertIn(self.endpoints[THERE], self.nodes[HERE].text)  # it logs whom it knows.

    async def answers_name_the_nodes(self) -> None:
        """Which node an answer names, and that the same one adds sessions to its connection."""
        answer = await self.answer_from(THERE, preferred_region=THERE)
        self.assertEqual(answer["server_endpoint"], self.endpoints[THERE])
        joined = await self.answer_from(
            THERE, OTHER_SESSION, preferred_region=THERE, session_token=answer["session_token"]
        )
        self.assertEqual((joined["session_token"], joined["session_index"]), (answer["session_token"], 1))
        preferences: list[dict[str, str]] = [{}, {"preferred_region": HERE}, {"preferred_region": "the-moon"}]
        for more in preferences:
            _, own = await asked(self.url, SESSION, **more)
            self.assertEqual((own["region"], own["server_endpoint"]), (HERE, self.endpoints[HERE]))
        status, refused = await asked(self.url, preferred_region="x" * 65)
        self.assertEqual(status, 400, refused)

    async def secrets_are_not_in_redis(self) -> None:
        """Neither the session token nor an endpoint can be read in what nodes share."""
        answer = await self.answer_from(THERE, preferred_region=THERE)
        keys = self.redis.command("KEYS", "craftnet:messages:*").split()[2::2]
        self.assertEqual(len(keys), 3)  # one for each node, and one for both.
        messages = b"".join(self.redis.command("XRANGE", key.decode(), "-", "+") for key in keys)
        entries = self.redis.command("HGETALL", "craftnet:entries")
        self.assertIn(b"prepare a connection", messages)
        for secret in (answer["session_token"], self.endpoints[THERE], THERE):
            self.assertNotIn(secret.encode(), messages + entries)

    async def nodes_that_end_disappear(self) -> None:
        """At once when it drains; and soon when it dies, with an answer from this node meanwhile."""
        await self.nodes[THERE].end(signal.SIGTERM)
        self.assertEqual(self.redis.command("HLEN", "craftnet:entries"), b":1\r\n")
        _, answer = await asked(self.url, preferred_region=THERE)
        self.assertEqual(answer["region"], HERE)
        await self.nodes[THERE].start()
        await self.answer_from(THERE, preferred_region=THERE)
        await self.nodes[THERE].end(signal.SIGKILL)
        _, answer = await asked(self.url, preferred_region=THERE)
        self.assertEqual(answer["region"], HERE)


class AloneTests(LiveTestCase):
    """A node whose back end is in its memory: no key, no --public-udp, no other regions."""

    settings = Settings(
        http="tcp:0:interface=127.0.0.1", udp="127.0.0.1:0", health_interval=0.5, drain_time=0.0, region=HERE
    )

    async def test_this_node_answers(self) -> None:
        await self.publish(started())
        for region in (HERE, THERE):
            status, answer = await asked(self.url, preferred_region=region)
            self.assertEqual((status, answer["region"]), (200, HERE))


class OptionTests(SynchronousTestCase):
    def refusal(self, region: str, public_udp: str | None = None) -> str:
        """Why a server with these options does not start."""
        settings = Settings(http="tcp:0", backend="redis", region=region, public_udp=public_udp)
        with self.assertRaises(ConfigurationError) as raised:
            build(settings, SteppedReactor(), {"CRAFTNET_JWT_SECRET": SECRET})
        return str(raised.exception)

    def test_names(self) -> None:
        for name in ("US East", "us_east", "-us", "us--east", "a" * 65, ""):
            self.assertIn("--region takes lower-case letters", self.refusal(name))

    def test_what_it_needs(self) -> None:
        self.assertIn("--region with a back end that nodes share needs --public-udp", self.refusal(HERE))
        message = self.refusal(HERE, "play.example:8082")
        self.assertIn(f"{CLUSTER_KEY_VARIABLE}, the same at every node", message)
