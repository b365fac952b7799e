"""Feeds as web pages see them, in a real Chromium; skipped where none is installed."""

from __future__ import annotations

import json
import os
import re
import signal
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
from twisted.trial.unittest import SkipTest

import craftnet
from craftnet.contract.close_codes import NO_RETRY_CODES, STALE_TOKEN_CODES, CloseCode, retry_after
from craftnet.limits.connection_limits import Limits
from craftnet.protocols.websocket.core.subprotocols import BINARY, JSON, LZ4
from craftnet.server.settings import Settings
from craftnet.tests.support.chromium import Page, browser
from craftnet.tests.support.live import LiveTestCase, envelope, in_thread, started, token
from craftnet.tests.support.nodes import Node
from craftnet.tests.support.samples import OTHER_PLAYER, OTHER_SESSION, PLAYER, SESSION

CRAFTING = f"/ws/crafting/{SESSION}?player_id={PLAYER}"
QUEUE = f"/ws/queue/{PLAYER}"
GAME = "https://game.example/"

UNKNOWN = 1006
"""The close code that JavaScript sees after a handshake that was refused with an HTTP status, and after much else."""

FEED = Path(craftnet.__file__).parent.parent / "clients" / "browser" / "feed.js"

TUTORIAL = Path(craftnet.__file__).parent.parent / "docs" / "tutorial" / "progress-bar.md"

SCRIPT = """
const noted = [], asked = [];
function look() {
  while (asked.length && noted.length) {
    const event = noted.shift(), { kinds, done } = asked[0];
    if (kinds.includes(event.event)) { asked.shift(); done(event); }
  }
}
function note(event, more) { noted.push({ event, ...more }); look(); }
function next(...kinds) { return new Promise((done) => { asked.push({ kinds, done }); look(); }); }

function open(url, protocols) {
  const socket = new WebSocket(url, protocols);
  socket.binaryType = "arraybuffer";
  socket.onopen = () => note("open", { protocol: socket.protocol, extensions: socket.extensions });
  socket.onmessage = ({ data }) => note("message", typeof data === "string" ? { data } : { bytes: data.byteLength });
  socket.onclose = ({ code, reason, wasClean }) => note("close", { code, reason, wasClean });
  self.socket = socket;
}

async function follow(library, url, tokens) {
  const { Feed } = await import(`data:text/javascript,${encodeURIComponent(library)}`);
  self.feed = new Feed(url, {
    token: () => tokens.length > 1 ? tokens.shift() : tokens[0],
    heartbeat: 5,
    patience: 1,
    onmessage: (message) => note("message", { data: JSON.stringify(message) }),
    onwait: (seconds, code, reason) => note("wait", { seconds, code, reason }),
    onend: (code, reason) => note("end", { code, reason }),
  });
}
"""
"""The common part of all pages: opens sockets and feeds; `next` returns their events one after another."""

DOCUMENT = f"<!doctype html><title>test</title><script>{SCRIPT}</script>"


def local(**more: Any) -> Settings:
    """Settings for a service on a free port."""
    return Settings(http="tcp:0:interface=127.0.0.1", udp="off", drain_time=0.0, **more)


class BrowserTestCase(LiveTestCase):
    """A browser next to the service."""

    timeout = 180

    async def setUp(self) -> None:  # type: ignore[override]  # trial waits for it.
        """Start both."""
        stack = ExitStack()
        self.addCleanup(in_thread, stack.close)
        self.page: Page = await in_thread(stack.enter_context, browser())
        super().setUp()

    async def run_script(self, function: str, *arguments: object) -> Any:
        """The result of a function of the page."""
        return await in_thread(self.page.evaluate, f"{function}({', '.join(map(json.dumps, arguments))})")

    async def visit(self, url: str) -> str:
        """Go to an empty page there; its origin as JavaScript sees it."""
        await in_thread(self.page.invent, DOCUMENT)
        await in_thread(self.page.open, url)
        return str(await in_thread(self.page.evaluate, "self.origin"))

    async def visit_local_file(self) -> str:
        """The same for a page that lies on the disk."""
        path = Path(self.mktemp()).with_suffix(".html")
        path.write_text(DOCUMENT)
        return await self.visit(path.absolute().as_uri())

    async def visit_nowhere(self) -> str:
        """The same for a page that has no site."""
        return await self.visit(f"data:text/html,{quote(DOCUMENT)}")

    async def next(self, *kinds: str) -> dict[str, Any]:
        """The page's next event of these kinds. Those before it are forgotten."""
        event: dict[str, Any] = await self.run_script("next", *kinds)
        return event

    async def socket(self, path: str, bearer: str = "", subprotocol: str = JSON) -> dict[str, Any]:
        """Open a WebSocket on the page; how that went: the event open, or close."""
        await self.run_script("open", self.ws_url + path, [subprotocol, f"bearer.{bearer or token()}"])
        return await self.next("open", "close")

    async def refused(self, path: str, bearer: str = "", subprotocol: str = JSON) -> tuple[int, str]:
        """The code and reason that the page hears."""
        event = await self.socket(path, bearer, subprotocol)
        if event["event"] == "open":
            event = await self.next("message", "close")
        return event["code"], event["reason"]


class RefusalTests(BrowserTestCase):
    """A page learns why it is refused."""

    settings = local(limits=Limits(per_player=1), origins=(GAME,))

    async def test_why(self) -> None:
        await self.visit(GAME)
        await self.publish(started())
        for path, bearer, code in (
            ("/ws/queue/nonsense", "", CloseCode.BAD_REQUEST),
            (QUEUE + "?heartbeat=1", "", CloseCode.BAD_REQUEST),
            (QUEUE, "nonsense", CloseCode.UNAUTHORIZED),
            (QUEUE, token(ttl=-5), CloseCode.UNAUTHORIZED),
            (CRAFTING, token(OTHER_PLAYER), CloseCode.FORBIDDEN),
            (CRAFTING.replace(str(SESSION), str(OTHER_SESSION)), "", CloseCode.NOT_FOUND),
        ):
            close_code, reason = await self.refused(path, bearer)
            self.assertEqual(close_code, code, path)
            self.assertTrue(reason.endswith("."), reason)
        self.assertEqual((await self.socket(QUEUE))["protocol"], JSON)
        close_code, reason = await self.refused(QUEUE, subprotocol=LZ4)
        self.assertEqual((close_code, retry_after(reason)), (CloseCode.RATE_LIMITED, 5.0))

    async def test_nothing_for_others(self) -> None:
        """Pages of other sites, and those that offer nothing that can be selected, see only 1006."""
        await self.visit(GAME)
        self.assertEqual(await self.refused(QUEUE, subprotocol="unheard.of"), (UNKNOWN, ""))
        await self.visit("https://evil.example/")
        self.assertEqual(await self.refused(QUEUE), (UNKNOWN, ""))
        for visiting in (self.visit_local_file(), self.visit_nowhere()):
            self.assertEqual(await visiting, "null")
            self.assertEqual(await self.refused(QUEUE), (UNKNOWN, ""))

    async def test_feeds(self) -> None:
        """Each subprotocol, without an extension, although the browser offers one."""
        await self.publish(started())
        await self.visit(GAME)
        for subprotocol, kind in ((JSON, "data"), (LZ4, "bytes"), (BINARY, "bytes")):
            opened = await self.socket(CRAFTING, subprotocol=subprotocol)
            self.assertEqual((opened["protocol"], opened["extensions"]), (subprotocol, ""))
            self.assertIn(kind, await self.next("message"))
            await self.run_script("socket.close", 1000, "enough")
            closed = await self.next("close")
            self.assertEqual((closed["code"], closed["reason"], closed["wasClean"]), (1000, "enough", True))


class OriginTests(BrowserTestCase):
    """Sites that options admit."""

    settings = local(origins=("null", "https://*.game.example", "https://bücher.example"))

    async def test_admitted(self) -> None:
        for visiting, origin in (
            (self.visit_nowhere(), "null"),
            (self.visit_local_file(), "null"),
            (self.visit("https://shop.game.example/"), "https://shop.game.example"),
            (self.visit("https://bücher.example/"), "https://xn--bcher-kva.example"),
            (self.visit(self.url), self.url),
        ):
            self.assertEqual(await visiting, origin)
            self.assertEqual((await self.socket(QUEUE))["event"], "open", origin)
        await self.visit(GAME)
        self.assertEqual(await self.refused(QUEUE), (UNKNOWN, ""))


class AnyOriginTests(BrowserTestCase):
    """All of them."""

    settings = local(origins=("*",))

    async def test_admitted(self) -> None:
        for visiting in (self.visit_nowhere(), self.visit_local_file(), self.visit("https://evil.example/")):
            await visiting
            self.assertEqual((await self.socket(QUEUE))["event"], "open")


class FeedTests(BrowserTestCase):
    """`Feed` of clients/browser/feed.js."""

    settings = local()

    async def follow(self, path: str, *tokens: str) -> None:
        """Open one on the page, with a token for each try."""
        await self.run_script("follow", FEED.read_text(), self.url.replace("http", "ws", 1) + path, tokens)

    async def message(self) -> dict[str, Any]:
        """The next event."""
        message: dict[str, Any] = msgspec.json.decode((await self.next("message"))["data"])
        return message

    async def test_close_codes(self) -> None:
        """It knows the same ones as the Python client, and those that only a broken client gets."""
        await self.visit(self.url)
        await in_thread(self.page.evaluate, f"self.library = {json.dumps(FEED.read_text())}; 0")
        codes = await in_thread(
            self.page.evaluate,
            "import(`data:text/javascript,${encodeURIComponent(library)}`)"
            ".then(({ FINAL, STALE }) => [[...FINAL], [...STALE]])",
        )
        self.assertEqual(
            [set(each) for each in codes], [{*map(int, NO_RETRY_CODES), 1002, 1007}, set(map(int, STALE_TOKEN_CODES))]
        )

    async def test_comes_back_where_it_was(self) -> None:
        """With a fresh token when the old one was the reason; and receives what it missed."""
        await self.publish(started())
        await self.visit(self.url)
        await self.follow(CRAFTING, token(ttl=-5), token(ttl=1.0), token())
        self.assertEqual((await self.next("wait"))["code"], CloseCode.UNAUTHORIZED)
        self.assertEqual((await self.message())["type"], "progress_update")
        waiting = await self.next("wait")
        self.assertEqual(waiting["code"], CloseCode.TOKEN_EXPIRED)
        self.assertLessEqual(waiting["seconds"], 1.0)
        self.assertTrue((await self.message())["recovered"])

    async def test_gives_up(self) -> None:
        """When there is nothing to come back for."""
        await self.visit(self.url)
        for path, tokens, code in (
            (CRAFTING, [token()], CloseCode.NOT_FOUND),
            (QUEUE, [token(OTHER_PLAYER)], CloseCode.FORBIDDEN),
            (QUEUE, [token(ttl=-5)] * 2, CloseCode.UNAUTHORIZED),
        ):
            await self.follow(path, *tokens)
            self.assertEqual((await self.next("end"))["code"], code)

    async def test_a_server_that_stands_still(self) -> None:
        """A quiet feed stays open; a server that says nothing more is noticed, and found again."""
        node = Node(["--http", "tcp:0:interface=127.0.0.1", "--udp", "off", "--drain-time", "0"])
        await node.start()
        self.addCleanup(node.end)
        self.url = node.url
        await self.publish(envelope("crafting.queue.update", {"player_id": str(PLAYER), "queue_position": 3}))
        await self.visit(node.url)
        await self.follow(QUEUE, token())
        self.assertEqual((await self.message())["queue_position"], 3)
        quiet = "Promise.race([next('wait', 'end'), new Promise((done) => setTimeout(done, 6500, null))])"
        self.assertIsNone(await in_thread(self.page.evaluate, quiet))
        await in_thread(self.page.evaluate, "asked.length = 0")
        os.kill(node.pid, signal.SIGSTOP)
        self.assertEqual((await self.next("wait"))["reason"], "the server is silent")
        os.kill(node.pid, signal.SIGCONT)
        self.assertTrue((await self.message())["recovered"])


class TutorialTests(BrowserTestCase):
    """The page that the tutorial writes."""

    settings = local(origins=(GAME,))

    async def shown(self, condition: str) -> str:
        """The text below the bar, as soon as it meets a condition in JavaScript."""
        wait = f"""new Promise((done) => {{
          const look = () => {{
            const text = document.getElementById("text").textContent;
            if ({condition}) done(text); else setTimeout(look, 20);
          }};
          look();
        }})"""
        return str(await in_thread(self.page.evaluate, wait))

    async def test_progress_bar(self) -> None:
        if not TUTORIAL.exists():
            raise SkipTest("not run from the repository")
        found = re.search(r"```html\n(.*?)```", TUTORIAL.read_text(encoding="utf-8"), re.S)
        assert found is not None
        document = found[1].replace("ws://127.0.0.1:8080", self.ws_url)
        self.assertNotEqual(document, found[1])
        await self.publish(started())
        await in_thread(self.page.invent, document)
        await in_thread(self.page.open, f"{GAME}#{SESSION},{PLAYER},{token()}")
        self.assertRegex(await self.shown('text.startsWith("active")'), r"^active, \d+\.\d %$")
        complete = {"session_id": str(SESSION), "result_item_id": str(OTHER_SESSION)}
        await self.publish(envelope("crafting.session.complete", complete))
        self.assertEqual(await self.shown('text.startsWith("completed")'), "completed, 100.0 %")
