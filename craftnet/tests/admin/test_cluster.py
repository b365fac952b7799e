"""The admin API of several nodes on one Redis, and of several workers: any of them speaks for all."""

from __future__ import annotations

import signal
from typing import Any
from uuid import UUID, uuid4

import msgspec
import treq
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from craftnet.access.principal import PUBLISH
from craftnet.contract.close_codes import CloseCode
from craftnet.providers.shards import Shards
from craftnet.tests.support.admin import ask, open_admin_feed
from craftnet.tests.support.event_source import EventSource
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


async def player(case: TestCase, url: str, session_id: UUID = SESSION, player_id: UUID = PLAYER) -> Peer:
    """A player's feed at one node, its first message read."""
    target = f"{url.replace('http', 'ws', 1)}/ws/crafting/{session_id}?player_id={player_id}"
    headers = {"Authorization": f"Bearer {token(player_id)}"}
    peer = Peer(await in_thread(lambda: connect(target, additional_headers=headers)))
    case.addCleanup(peer.close)
    await peer.receive()
    return peer


async def stream(url: str, session_id: UUID, player_id: UUID) -> Deferred[bytes]:
    """An event stream: fires with all of it when it has ended."""
    headers: dict[bytes | str, bytes | str] = {"Authorization": f"Bearer {token(player_id)}"}
    target = f"{url}/sse/crafting/{session_id}?player_id={player_id}"
    response = await treq.get(target, headers=headers, unbuffered=True, persistent=False)
    octets: Deferred[bytes] = treq.content(response)
    return octets


async def publish(url: str, event: dict[str, Any]) -> None:
    """An event of the authority, accepted."""
    status, answer = await ask(url, "POST", "/events", token(None, PUBLISH), [event])
    assert (status, answer["rejected"]) == (202, []), answer


def progress(session_id: UUID) -> dict[str, Any]:
    """An event that every copy needs to hear of."""
    data = {"session_id": str(session_id), "progress_percentage": 70, "status": "active", "remaining_time_seconds": 9}
    return envelope("crafting.session.progress", data)


async def closed(peer: Peer) -> int:
    """The code that ends a feed whose messages are passed over."""
    try:
        while True:
            await peer.receive()
    except ConnectionClosed as error:
        assert error.rcvd is not None
        return error.rcvd.code


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
        await self.publish([progress(SESSION)])
        entry = await client.entry("t", lambda entry: entry.get("connection") == away["connection"])
        self.assertEqual((entry["kind"], entry["node"]), ("frame", away["node"]))
        path = f"/admin/connections/{away['connection']}/disconnect"
        status, answer = await ask(one, "POST", path, body={"reason": "a test"})
        self.assertEqual((status, answer["node"]), (200, away["node"]))
        self.assertEqual(await closed(watcher), CloseCode.DISCONNECTED)
        left = lambda message: message.get("id") == "s" and len(message["data"]["watchers"]) == 1  # noqa: E731
        await client.until(left)  # which the other node has said.

    async def test_a_node_that_died(self) -> None:
        """It is shown as silent, and delays an answer by at most a second."""
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
        await self.trace_and_disconnect(node)

    async def trace_and_disconnect(self, node: Node) -> None:
        """Both reach a session of each worker, over WebSocket and as an event stream, whichever worker is asked."""
        client = await open_admin_feed(self, node.url)
        for worker in (0, 1):
            player_id = next(each for each in iter(uuid4, None) if Shards(0, 2).of(each) == worker)
            session_id = uuid4()
            await publish(node.url, started(session_id, player_id))
            watcher = await player(self, node.url, session_id, player_id)
            streamed = await stream(node.url, session_id, player_id)
            await client.send(type="trace", id=str(worker), session_id=str(session_id))
            await client.send(type="subscribe", id=f"s{worker}", view="session", session_id=str(session_id))
            await client.until(lambda message: message["type"] == "view" and len(message["data"]["watchers"]) == 2)
            await publish(node.url, progress(session_id))
            entries = await client.entries(str(worker), {"event", "frame", "stream"})
            self.assertEqual({entry["node"].rpartition(":")[2] for entry in entries.values()}, {f"worker-{worker}"})
            self.assertEqual(entries["stream"]["content"][0]["progress_data"]["progress_percentage"], 70)
            for kind in ("frame", "stream"):
                path = f"/admin/connections/{entries[kind]['connection']}/disconnect"
                status, answer = await ask(node.url, "POST", path, body={"reason": "a test"})
                self.assertEqual((status, answer["affected"]), (200, 1))
            self.assertEqual(await closed(watcher), CloseCode.DISCONNECTED)
            *_, last = EventSource().feed(await streamed)
            self.assertEqual((last.name, msgspec.json.decode(last.data)["code"]), ("close", CloseCode.DISCONNECTED))
