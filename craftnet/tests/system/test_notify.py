"""`--notify`: the whole service, and a receiver of the webhook."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import Any, cast
from uuid import uuid4

import msgspec
import treq
from twisted.internet import reactor as installed
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import Site

from craftnet.clocks import steady
from craftnet.errors import ConfigurationError
from craftnet.notify import webhook
from craftnet.notify.webhook import SECRET_VARIABLE
from craftnet.server.build import build
from craftnet.server.settings import Settings
from craftnet.tests.support.eventually import until
from craftnet.tests.support.live import LiveTestCase, envelope, started, token
from craftnet.tests.support.samples import OTHER_PLAYER, PLAYER

reactor = cast(Any, installed)


class Receiver(Resource):
    """Keeps the notifications of every request."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.notifications: list[dict[str, str]] = []

    def render_POST(self, request: Request) -> bytes:
        """Take them."""
        assert request.content is not None
        self.notifications += msgspec.json.decode(request.content.read())["notifications"]
        return b""


class NotifyTests(LiveTestCase):
    environ = MappingProxyType({SECRET_VARIABLE: "s" * 32})

    def setUp(self) -> None:
        """With a receiver."""
        self.patch(webhook, "GATHERING", 0.01)
        self.receiver = Receiver()
        port = reactor.listenTCP(0, Site(self.receiver), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        self.settings = replace(self.settings, notify=f"webhook:url=http://127.0.0.1:{port.getHost().port}/")
        super().setUp()

    async def test_only_without_a_connection(self) -> None:
        """The player of the first craft reads an event stream meanwhile, the other has nothing open."""
        crafts = {PLAYER: uuid4(), OTHER_PLAYER: uuid4()}
        headers: dict[bytes | str, bytes | str] = {"Authorization": f"Bearer {token()}", "Accept": "text/event-stream"}
        stream = await treq.get(f"{self.url}/sse/queue/{PLAYER}", headers=headers, unbuffered=True, persistent=False)
        self.assertEqual(stream.code, 200)
        for player_id, session_id in crafts.items():
            await self.publish(started(session_id, player_id))
        for session_id in crafts.values():
            ended = {"session_id": str(session_id), "result_item_id": str(uuid4()), "duration_seconds": 1}
            await self.publish(envelope("crafting.session.complete", ended))
        await until(lambda: bool(self.receiver.notifications))
        (notification,) = self.receiver.notifications
        self.assertEqual((notification["type"], notification["player_id"]), ("craft_complete", str(OTHER_PLAYER)))


class OptionTests(SynchronousTestCase):
    def test_off_by_default(self) -> None:
        self.assertIsNone(Settings().notify)

    def test_without_a_secret(self) -> None:
        settings = Settings(notify="webhook:url=https://push.example/")
        self.assertRaises(ConfigurationError, build, settings, steady(reactor), {})
