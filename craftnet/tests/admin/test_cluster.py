"""The admin API of several nodes on one Redis, and of several workers: any of them speaks for all."""

from __future__ import annotations

import signal
from typing import Any
from uuid import UUID

from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from craftnet.contract.close_codes import CloseCode
from craftnet.tests.support.admin import ask, open_admin_feed
from craftnet.tests.support.live import Peer, envelope, in_thread, started, token
from craftnet.tests.support.nodes import Node, NodesTestCase
from craftnet.tests.support.ports import reserved_port
from craftnet.tests.support.samples import PLAYER, SESSION

PAUSE = 0.2
"""Seconds between two questions of a test that waits for an answer."""


async def asked_until(url: str, path: str, wanted: Any) -> Any:
    """The first answer that is wanted."""
    while True:
        _, answer = await ask(url, "GET", path)
        if wanted(answer):
            return answer
        await deferLater(reactor, PAUSE)


async def player(case: TestCase, url: str, session_id: UUID = SESSION) -> Peer:
    """A player's feed at one node, its first message read."""
    target = f"{url.replace('http', 'ws', 1)}/ws/crafting/{session_id}?player_id={PLAYER}"
    headers = {"Authorization": f"Bearer {token(PLAYER)}"}
    peer = Peer(await in_thread(lambda: connect(target, additional_headers=headers)))
    case.addCleanup(peer.close)
    await peer.receive()
    return peer


class RedisTests(NodesTestCase):
    """Two nodes."""

    async def test_both_are_shown(self) -> None:
        one, other = (node.url for node in self.nodes)
        await self.publish([started()])
        await player(self, one)
        watcher = await player(self, other)
        overview = await asked_until(one, "/admin/overview", lambda answer: len(answer["nodes"]) == 2)
        self.assertEqual(overview["total"]["connections"]["websocket"], 2)
        self.assertEqual(overview["total"]["sessions"], max(node["figures"]["sessions"] for node in overview["nodes"]))
        self.assertEqual([node["limits"]["connections"]["used"] for node in overview["nodes"]], [1, 1])
        epochs = {node["state"]["epoch"] for node in overview["nodes"]}
        self.assertEqual(len(epochs), 1)
        _, detail = await ask(one, "GET", f"/admin/sessions/{SESSION}")
        self.assertEqual(len({row["node"] for row in detail["watchers"]}), 2)
        _, page = await ask(one, "GET", f"/admin/sessions?search={SESSION}")
        self.assertEqual([row["session_id"] for row in page["sessions"]], [str(SESSION)])
        _, found = await ask(one, "GET", f"/admin/players/{PLAYER}")
        self.assertEqual([row["session_id"] for row in found["sessions"]], [str(SESSION)])
        self.assertEqual(len(found["connections"]), 2)
        await self.trace_and_disconnect(one, detail, watcher)

    async def trace_and_disconnect(self, one: str, detail: Any, watcher: Peer) -> None:
        """A trace at one node has the frames of the other, which ends a connection when the first one asks."""
        client = await open_admin_feed(self, one)
        await client.send(type="trace", id="t", session_id=str(SESSION))
        await client.send(type="subscribe", id="s", view="session", session_id=str(SESSION))
        await client.next("view", "s")
        away = next(row for row in detail["watchers"] if f":{self.nodes[1].pid}" in row["node"])
        data = {"session_id": str(SESSION), "progress_percentage": 70, "status": "active", "remaining_time_seconds": 9}
        await self.publish([envelope("crafting.session.progress", data)])
        entry = await client.entry("t", lambda entry: entry.get("connection") == away["connection"])
        self.assertEqual((entry["kind"], entry["node"]), ("frame", away["node"]))
        path = f"/admin/connections/{away['connection']}/disconnect"
        status, answer = await ask(one, "POST", path, body={"reason": "a test"})
        self.assertEqual((status, answer["node"]), (200, away["node"]))
        with self.assertRaises(ConnectionClosed) as caught:
            for _ in range(10):
                await watcher.receive()
        assert caught.exception.rcvd is not None
        self.assertEqual(caught.exception.rcvd.code, CloseCode.DISCONNECTED)

    async def test_a_node_that_died(self) -> None:
        """It is shown as silent, and costs nobody more than a second."""
        one = self.nodes[0].url
        await asked_until(one, "/admin/overview", lambda answer: len(answer["nodes"]) == 2)
        await self.nodes[1].end(signal.SIGKILL)
        overview = await asked_until(
            one, "/admin/overview", lambda answer: not all(node["answering"] for node in answer["nodes"])
        )
        self.assertEqual(len(overview["nodes"]), 2)
        status, answer = await ask(one, "GET", "/admin/sessions")
        self.assertEqual((status, answer["sessions"]), (200, []))


class WorkerTests(TestCase):
    """`--workers 2`, which divide the players."""

    timeout = 60

    async def test_all_are_shown(self) -> None:
        http = f"tcp:{reserved_port(self)}:interface=127.0.0.1"
        node = Node(["--http", http, "--udp", "off", "--workers", "2", "--backend", "workshop"])
        self.addCleanup(node.end, signal.SIGTERM)
        await node.start()
        overview = await asked_until(node.url, "/admin/overview", lambda answer: len(answer["nodes"]) == 2)
        names = [each["node"].rpartition(":")[2] for each in overview["nodes"]]
        self.assertEqual(names, ["worker-0", "worker-1"])
        self.assertEqual(overview["total"]["sessions"], sum(each["figures"]["sessions"] for each in overview["nodes"]))
        found: set[str] = set()
        cursor, pages = "", 0
        while cursor is not None:
            query = f"&cursor={cursor}" if cursor else ""
            status, page = await ask(node.url, "GET", f"/admin/sessions?limit=8{query}")
            self.assertEqual(status, 200, page)
            found |= {row["session_id"] for row in page["sessions"]}
            cursor, pages = page.get("next"), pages + 1
        self.assertGreater(pages, 1)
        self.assertGreaterEqual(len(found), 8)
        for session_id in list(found)[:4]:
            status, detail = await ask(node.url, "GET", f"/admin/sessions/{session_id}")
            self.assertEqual((status, detail["session"]["session_id"]), (200, session_id))
