"""Lines of a running service that are about a request, a connection, a session or a player: they name it."""

from __future__ import annotations

import json
import re
from typing import Any
from uuid import UUID, uuid4

from twisted.internet.defer import fail
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from websockets.exceptions import ConnectionClosed, InvalidStatus
from zope.interface import implementer

from craftnet.contract.traces import request_ids
from craftnet.observe.logs.lines import IDS, json_lines
from craftnet.providers.memory.sources import MemorySessions
from craftnet.tests.support.eventually import until
from craftnet.tests.support.live import LiveTestCase, started, token
from craftnet.tests.support.samples import PLAYER, SESSION

TRACE = "0af7651916cd43dd8448eb211c80319c"
FIELDS = {"time", "level", "logger", "message", "node", "worker", "error", *IDS}
FORMS = {
    "time": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z",
    "level": "debug|info|warn|error|critical",
    "request_id": r"[\w.:-]{1,64}",
    "connection_id": r"(feed|udp)\.[0-9a-f]+",
    "trace_id": "[0-9a-f]{32}",
    "session_id": "[0-9a-f-]{36}",
    "player_id": "[0-9a-f-]{36}",
}


class FaultLineTests(LiveTestCase):
    """A back end with a fault, which every way to it meets."""

    def setUp(self) -> None:
        super().setUp()
        self.lines: list[dict[str, Any]] = []
        line = json_lines("node-1", None)

        @implementer(ILogObserver)
        def observe(event: LogEvent) -> None:
            self.lines.append(json.loads(line(event)))

        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)
        self.addCleanup(self.flushLoggedErrors)

    def tearDown(self) -> None:
        """Every line has the schema of docs/reference/logs.md, and none has a token."""
        self.assertGreater(len(self.lines), 0)
        for line in self.lines:
            self.assertLessEqual(set(line), FIELDS)
            for name, form in FORMS.items():
                if name in line:
                    self.assertTrue(re.fullmatch(form, line[name]), line)
            self.assertNotIn("eyJ", json.dumps(line))

    def line(self, words: str) -> dict[str, Any]:
        [found] = [each for each in self.lines if words in each["message"]]
        return {name: found[name] for name in IDS if name in found}

    def break_sessions(self, *methods: str) -> None:
        for method in methods:
            self.patch(MemorySessions, method, lambda *_: fail(RuntimeError("out of order")))

    async def test_request(self) -> None:
        """The client gets the id, to quote it; a proxy's is taken over."""
        self.break_sessions("get")
        headers = {
            "Authorization": f"Bearer {token()}",
            "X-Request-Id": "edge-7.1",
            "traceparent": f"00-{TRACE}-b7ad6b7169203331-01",
        }
        response = await self.request("GET", f"/ws/crafting/{SESSION}?player_id={PLAYER}", headers=headers)
        answer = await response.json()
        self.assertEqual((response.code, answer["details"]), (500, {"request_id": "edge-7.1"}))
        ids = {"request_id": "edge-7.1", "trace_id": TRACE, "session_id": str(SESSION), "player_id": str(PLAYER)}
        self.assertEqual(self.line("a request could not be answered"), ids)

    async def test_handshake(self) -> None:
        self.break_sessions("get")
        with self.assertRaises(InvalidStatus) as caught:
            await self.open(f"/ws/crafting/{SESSION}?player_id={PLAYER}", token())
        answer = json.loads(caught.exception.response.body or b"")
        found = self.line("a request for a feed failed")
        self.assertEqual(found.pop("request_id"), answer["details"]["request_id"])
        self.assertEqual(found, {"session_id": str(SESSION), "player_id": str(PLAYER)})

    async def test_connection(self) -> None:
        await self.publish(started())
        self.break_sessions("watch")
        peer = await self.open(f"/ws/crafting/{SESSION}?player_id={PLAYER}", token())
        with self.assertRaises(ConnectionClosed):
            await peer.receive()
        await until(lambda: any("a feed could not be opened" in each["message"] for each in self.lines))
        found = self.line("a feed could not be opened")
        self.assertEqual(found.pop("connection_id").partition(".")[0], "feed")
        self.assertEqual(found, {"session_id": str(SESSION), "player_id": str(PLAYER)})


class RequestIdTests(SynchronousTestCase):
    def test_invented(self) -> None:
        """What a client sends instead of an id is not taken over: a token, a line break, too much."""
        for given in ("", "a b", "x\ny", "a" * 65, "eyJhbGciOiJIUzI1NiJ9.e30/"):
            made = request_ids("/events", {"x-request-id": given})
            self.assertTrue(re.fullmatch("[0-9a-f]{16}", made["request_id"]), made)
            self.assertEqual(set(made), {"request_id"})

    def test_paths(self) -> None:
        a, b = uuid4(), UUID(int=5)
        for target, session_id, player_id in (
            (f"/api/v1/crafting-network/ws/crafting/{a}?player_id={b}", a, b),
            (f"/udp/sessions/{a}/connect", a, None),
            (f"/sse/queue/{b}", None, b),
            (f"/players/{b}/sessions", None, b),
            ("/ws/queue/unknown", None, None),
        ):
            made = request_ids(target, {})
            wanted = {name: str(each) for name, each in (("session_id", session_id), ("player_id", player_id)) if each}
            self.assertEqual({name: text for name, text in made.items() if name != "request_id"}, wanted)
