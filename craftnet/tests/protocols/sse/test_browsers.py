"""Event streams and snapshots as a page of another site sees them, in a real Chromium."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import Any

from craftnet.access.principal import ADMIN
from craftnet.limits.client_address import NO_NETWORKS
from craftnet.limits.connection_limits import Limits
from craftnet.server.settings import Settings
from craftnet.tests.support.chromium import Page, browser
from craftnet.tests.support.live import LiveTestCase, envelope, in_thread, started, token
from craftnet.tests.support.samples import PLAYER, SESSION

GAME = "https://game.example/"

SCRIPT = """
async function ask(url, headers, method = "GET") {
  try {
    const response = await fetch(url, { method, headers });
    const { status } = response, retry = response.headers.get("Retry-After");
    return { status, retry, body: await response.json() };
  } catch (error) {
    return { failed: error.name };
  }
}

async function stream(url, headers, type) {
  const response = await fetch(url, { headers: { Accept: "text/event-stream", ...headers } });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  while (!text.includes(type)) text += (await reader.read()).value;
  await reader.cancel();
  return { status: response.status, text };
}
"""

DOCUMENT = f"<!doctype html><title>test</title><script>{SCRIPT}</script>"


class PageTests(LiveTestCase):
    """A page of a site that may connect, and one of a site that may not."""

    timeout = 180
    settings = Settings(
        http="tcp:0:interface=127.0.0.1",
        udp="off",
        drain_time=0.0,
        origins=(GAME,),
        limits=Limits(per_player=1, unlimited=NO_NETWORKS, handshakes=100.0),
    )

    async def setUp(self) -> None:  # type: ignore[override]  # trial waits for it.
        """Start a browser next to the service."""
        stack = ExitStack()
        self.addCleanup(in_thread, stack.close)
        self.page: Page = await in_thread(stack.enter_context, browser())
        super().setUp()

    async def visit(self, url: str) -> None:
        """Go to an empty page there; from then on requests go to the service."""
        await in_thread(self.page.invent, DOCUMENT)
        await in_thread(self.page.open, url)
        await in_thread(self.page.command, "Fetch.disable")

    async def run_script(self, function: str, *arguments: object) -> Any:
        """What a function of the page answers."""
        return await in_thread(self.page.evaluate, f"{function}({', '.join(map(json.dumps, arguments))})")

    async def test_admitted(self) -> None:
        """It reads a snapshot, a stream from its beginning and from a position, and why it is refused."""
        await self.publish(started())
        await self.visit(GAME)
        mine = {"Authorization": f"Bearer {token()}"}
        snapshot = await self.run_script("ask", f"{self.url}/ws/crafting/{SESSION}?player_id={PLAYER}", mine)
        self.assertEqual(snapshot["status"], 200)
        position = snapshot["body"]["position"]
        paused = {"session_id": str(SESSION), "pause_reason": "player_afk"}
        await self.publish(envelope("crafting.session.pause", paused))
        streams = f"{self.url}/sse/crafting/{SESSION}?player_id={PLAYER}"
        received = await self.run_script("stream", streams, {**mine, "Last-Event-ID": position}, "paused")
        self.assertIn('"recovered":true', received["text"])
        refused = await self.run_script("ask", f"{self.url}/sse/queue/{PLAYER}", {"Authorization": "Bearer nonsense"})
        self.assertEqual((refused["status"], refused["body"]["code"]), (401, 401))

    async def test_limits(self) -> None:
        """It can read when to try again."""
        await self.visit(GAME)
        mine, url = {"Authorization": f"Bearer {token()}"}, f"{self.url}/sse/queue/{PLAYER}"
        await in_thread(self.page.evaluate, f"self.open = fetch({json.dumps(url)}, {{ headers: {json.dumps(mine)} }})")
        refused = await self.run_script("ask", url, mine)
        self.assertEqual((refused["status"], refused["retry"]), (429, "5"))

    async def test_closed_to_pages(self) -> None:
        """What is not for players cannot even be asked; and other sites cannot ask anything."""
        await self.visit(GAME)
        admin = {"Authorization": f"Bearer {token(None, ADMIN)}", "Content-Type": "application/json"}
        for method, path in (("POST", "/events"), ("POST", "/revocations"), ("GET", "/metrics")):
            self.assertEqual(await self.run_script("ask", self.url + path, admin, method), {"failed": "TypeError"})
        await self.visit("https://evil.example/")
        mine = {"Authorization": f"Bearer {token()}"}
        for path in (f"/sse/queue/{PLAYER}", f"/ws/queue/{PLAYER}", "/health"):
            self.assertEqual(await self.run_script("ask", self.url + path, mine), {"failed": "TypeError"})
