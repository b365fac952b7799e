"""The subjects of other servers' public bug reports that no other test covers; and a check of the document.

Each test names the report, as owner/repository#number, for which it was written.
"""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from random import Random

from twisted.trial.unittest import SkipTest, SynchronousTestCase

import craftnet
from craftnet.contract.events import MaterialsUpdate
from craftnet.contract.messages import MaterialNotification, MaterialProblem
from craftnet.limits.connection_limits import Limits
from craftnet.limits.origins import Origins
from craftnet.protocols.feed.server.feed_connections import PING_INTERVAL
from craftnet.tests.support.feed_wire import FeedServer, FeedWire
from craftnet.tests.support.live import LiveTestCase
from craftnet.tests.support.samples import IRON, PLAYER, SESSION, start

DOCUMENT = Path(craftnet.__file__).parent.parent / "docs" / "explanation" / "field-reports.md"
QUEUE = f"/ws/queue/{PLAYER}"
CRAFTING = f"/ws/crafting/{SESSION}?player_id={PLAYER}"
SWITCHED = "HTTP/1.1 101 Switching Protocols"

PROXIES_WAIT = 60
"""Seconds of silence after which nginx, ALB and others close a WebSocket by default."""


class ReturnTests(SynchronousTestCase):
    """Clients that come back."""

    def setUp(self) -> None:
        self.server = FeedServer()
        self.server.apply(start())

    def shortage(self) -> MaterialsUpdate:
        """An update that a client must receive once."""
        problem = MaterialNotification(material_id=IRON, notification_type=MaterialProblem.MATERIAL_UNAVAILABLE)
        return MaterialsUpdate(session_id=SESSION, notifications=(problem,))

    def back(self, position: str) -> tuple[list[str], str]:
        """The types of the messages to a returning client, and its position after them."""
        wire = self.server.wire(f"{CRAFTING}&resume={position}")
        self.assertEqual(wire.head(), SWITCHED)
        received = wire.messages()
        self.assertTrue(received[0]["recovered"])
        return [message["type"] for message in received[1:]], f"{received[-1]['epoch']}:{received[-1]['version']}"

    def position(self, wire: FeedWire) -> str:
        """Where the last message of a feed was."""
        message = wire.messages()[-1]
        return f"{message['epoch']}:{message['version']}"

    def test_again_without_news(self) -> None:
        """socketio/socket.io#5419: a client that returned twice received missed messages twice."""
        wire = self.server.wire(CRAFTING)
        wire.head()
        position = self.position(wire)
        wire.loseConnection()
        self.server.apply(self.shortage())
        missed, position = self.back(position)
        self.assertEqual(missed, ["material_notification", "progress_update"])
        for _ in range(3):
            missed, position = self.back(position)
            self.assertEqual(missed, ["progress_update"])

    def test_before_the_old_connection_is_missed(self) -> None:
        """colyseus/colyseus#343: a return was refused as long as the old connection counted as open."""
        old = self.server.wire(CRAFTING)
        old.head()
        position = self.position(old)
        self.server.apply(self.shortage())
        self.assertEqual(self.back(position)[0], ["material_notification", "progress_update"])
        self.assertTrue(old.connected)


class SilenceTests(SynchronousTestCase):
    """Feeds in which nothing happens."""

    def test_proxies_see_something_in_time(self) -> None:
        """kubernetes/ingress-nginx#2917, aio-libs/aiohttp#10985: nothing was sent unless the client sent something."""
        server = FeedServer(ping_interval=PING_INTERVAL)
        wires = [server.opened(QUEUE) for _ in range(20)]
        server.turn(PROXIES_WAIT - 1)
        self.assertEqual([wire.value().count(b"\x89\x00") > 0 for wire in wires], [True] * 20)

    def test_a_lost_connection_holds_its_slot(self) -> None:
        """citrineos/citrineos#190: at a limit of one, who lost a connection is kept out until its pings are missed."""
        server = FeedServer(Limits(per_player=1), ping_interval=PING_INTERVAL)
        server.opened(QUEUE)
        self.assertEqual(server.wire(QUEUE).head(), "HTTP/1.1 429 Too Many Requests")
        server.turn(3 * PING_INTERVAL)
        server.opened(QUEUE)


class HandshakeTests(SynchronousTestCase):
    """Handshakes that were made to hurt."""

    def setUp(self) -> None:
        self.server = FeedServer()

    def test_token_in_the_query(self) -> None:
        """Azure/azure-signalr#1770: URLs are logged, and the tokens in them."""
        for name in ("token", "access_token", "bearer", "authorization"):
            wire = self.server.wire(f"{QUEUE}?{name}=player", bearer=None)
            self.assertEqual(wire.head(), "HTTP/1.1 401 Unauthorized")

    def test_headers_that_take_a_parser_long(self) -> None:
        """websockets/ws, CVE-2021-32640, and websocket-extensions, CVE-2020-7662: time that grew with the square of a
        header's length, or faster. Such ones would outlast the suite's patience here.
        """
        size = 15_000
        for name, value in (
            ("Sec-WebSocket-Extensions", 'a; b="' + "\\c" * (size // 2)),
            ("Sec-WebSocket-Extensions", "a" + " ;" * (size // 2)),
            ("Sec-WebSocket-Extensions", "," * size + "x y"),
            ("Sec-WebSocket-Extensions", "a;b" * (size // 3) + "="),
            ("Sec-WebSocket-Extensions", "a" + " " * size + "b"),
            ("Sec-WebSocket-Protocol", "b" + " " * size + "x"),
            ("Sec-WebSocket-Protocol", "," * size + '"'),
            ("Authorization", "Bearer " + "=" * size + "!"),
            ("Authorization", "Bearer" + " " * size + "!"),
            ("Origin", "https://" + "a." * (size // 2) + "/"),
            ("Origin", "https://" + "-" * size + ":99999"),
            ("X-Forwarded-For", "1," * (size // 2)),
            ("Upgrade", "websocket" + ", " * (size // 2)),
        ):
            fields = {name.replace("-", "_"): value}
            server = FeedServer(origins=Origins(["https://*.game.example", "null"]))
            wire = server.wire(QUEUE, **fields) if name[:3] != "Sec" else self.offer(server, name, value)
            self.assertNotEqual(wire.value(), b"", name)

    def offer(self, server: FeedServer, name: str, value: str) -> FeedWire:
        """A handshake with only this header of its kind."""
        return server.wire(QUEUE, None, None, **{name: value, "Authorization": "Bearer player"})

    def test_extensions(self) -> None:
        """websockets/ws#1235, faye/faye-websocket-node#42: an extension was found within a quoted string, and a
        malformed offer ended the process.
        """
        for value, line in (
            ('x; y=",permessage-deflate; client_max_window_bits,"', SWITCHED),
            ("permessage-deflate; client_max_window_bits", SWITCHED),
            ("constructor, ,;constructor", "HTTP/1.1 400 Bad Request"),
            ("x-webkit-       -frame", "HTTP/1.1 400 Bad Request"),
        ):
            wire = self.offer(self.server, "Sec-WebSocket-Extensions", value)
            self.assertNotIn(b"sec-websocket-extensions", wire.value().partition(b"\r\n\r\n")[0].lower())
            self.assertEqual(wire.head(), line, value)


class MetricsTests(LiveTestCase):
    """What any client may make the server remember."""

    async def test_series_are_bounded(self) -> None:
        """perdy/starlette-prometheus#7: each requested path became a time series."""
        random = Random(7)
        await self.series()
        before = None
        for _ in range(2):
            for _ in range(30):
                path = f"/{random.getrandbits(64):x}/{random.getrandbits(64):x}?{random.getrandbits(64):x}"
                await self.request(random.choice(["GET", "POST", "PUT"]), path)
                await self.request("GET", f"/ws/queue/{random.getrandbits(64):x}", headers={"User-Agent": path})
            after = await self.series()
            self.assertIn(before, (None, after))
            before = after

    async def series(self) -> set[str]:
        """The names and labels of every series."""
        text = await (await self.request("GET", "/metrics")).text()
        return {line.rpartition(" ")[0] for line in text.splitlines() if not line.startswith("#")}


class DocumentTests(SynchronousTestCase):
    """The document's statements about each report."""

    def items(self) -> list[str]:
        """The text about each report; of several reports where they are about the same."""
        if not DOCUMENT.exists():
            raise SkipTest("not run from the repository")
        return re.split(r"^- ", DOCUMENT.read_text(encoding="utf-8"), flags=re.M)[1:]

    def test_names_tests_that_exist(self) -> None:
        """Each report names one at least."""
        for text in self.items():
            report = text.partition("]")[0]
            names = re.findall(r"`((?:\w+\.)*?test_\w+(?:\.\w+)+)`", text)
            self.assertTrue(names, report)
            for name in names:
                module, _, rest = re.fullmatch(r"((?:\w+\.)*?test_\w+)(\.)(.+)", name).groups()  # type: ignore[union-attr]  # as found above.
                found: object = import_module(f"craftnet.tests.{module}")
                for part in rest.split("."):
                    found = getattr(found, part, None)
                    self.assertIsNotNone(found, f"{report}: {name}")

    def test_reports_are_named_once(self) -> None:
        """And there are as many as the text says."""
        heads = [text.partition("\n  - ")[0] for text in self.items()]
        reports = [link for head in heads for link in re.findall(r"\]\((https://\S+)\)", head)]
        self.assertEqual(len(reports), len(set(reports)))
        said = re.search(r"(\d+)\s+bug\s+reports", DOCUMENT.read_text(encoding="utf-8"))
        assert said is not None
        self.assertEqual(len(reports), int(said[1]))
