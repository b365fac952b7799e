"""Tests for `craftnet.notify.webhook`: on a real HTTP receiver."""

from __future__ import annotations

import hmac
from hashlib import sha256
from typing import Any, cast
from uuid import UUID

import msgspec
from treq.client import HTTPClient
from twisted.internet import reactor as installed
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.client import Agent
from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import Site

from craftnet.clocks import steady
from craftnet.errors import ConfigurationError
from craftnet.notify import webhook
from craftnet.notify.notices import Notice, NoticeType
from craftnet.notify.webhook import (
    MAX_WAITING,
    NOTICES_PER_REQUEST,
    SECRET_VARIABLE,
    Webhook,
    WebhookSettings,
    webhook_settings,
)
from craftnet.observe.metrics.registry import Metrics
from craftnet.tests.support.eventually import until
from craftnet.tests.support.samples import PLAYER

reactor = cast(Any, installed)
SECRET = b"x" * 32


def notice(number: int = 1) -> Notice:
    return Notice(id=UUID(int=number), type=NoticeType.CRAFT_COMPLETE, player_id=PLAYER)


class Receiver(Resource):
    """Records requests, and answers each with the next of `statuses`, then with 204."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.statuses: list[int] = []
        self.taken: list[list[int]] = []
        self.requests = 0

    def render_POST(self, request: Request) -> bytes:
        """Check the signature."""
        body = request.content.read() if request.content is not None else b""
        at, digest = str(request.getHeader("Craftnet-Signature")).removeprefix("t=").split(",v1=")
        assert hmac.compare_digest(digest, hmac.new(SECRET, at.encode() + b"." + body, sha256).hexdigest())
        self.requests += 1
        status = self.statuses.pop(0) if self.statuses else 204
        request.setResponseCode(status)
        if status == 204:
            self.taken.append([UUID(each["id"]).int for each in msgspec.json.decode(body)["notifications"]])
        return b""


class WebhookTests(TestCase):
    timeout = 30

    def setUp(self) -> None:
        """A receiver, and a webhook that waits for hardly anything."""
        self.patch(webhook, "GATHERING", 0.01)
        self.receiver = Receiver()
        self.port = reactor.listenTCP(0, Site(self.receiver), interface="127.0.0.1")
        self.addCleanup(self.port.stopListening)
        self.metrics = Metrics()
        url = f"http://127.0.0.1:{self.port.getHost().port}/hook"
        client = HTTPClient(Agent(reactor))
        self.webhook = Webhook(
            WebhookSettings(url, SECRET),
            client,
            steady(reactor),
            self.metrics.store,
            uniform=lambda low, high: high / 100,
        )
        self.webhook.startService()
        self.addCleanup(self.stop)

    def stop(self) -> None:
        """Unless the test did."""
        if self.webhook.running:
            self.webhook.stopService()

    def counted(self, outcome: str) -> float:
        """What the metric says."""
        name, labels = "craftnet_notifications_total", {"outcome": outcome}
        return self.metrics.registry.get_sample_value(name, labels) or 0.0

    async def test_signed_batches(self) -> None:
        """Simultaneous notifications share a request, up to the maximum, in order."""
        for number in range(NOTICES_PER_REQUEST + 5):
            self.webhook.add(notice(number))
        await until(lambda: sum(map(len, self.receiver.taken)) == NOTICES_PER_REQUEST + 5)
        self.assertEqual([len(each) for each in self.receiver.taken], [NOTICES_PER_REQUEST, 5])
        self.assertEqual(
            [number for batch in self.receiver.taken for number in batch], list(range(NOTICES_PER_REQUEST + 5))
        )
        await until(lambda: self.counted("delivered") == NOTICES_PER_REQUEST + 5)

    async def test_retries(self) -> None:
        """The same batch again, until it is taken; others wait for it."""
        self.receiver.statuses = [500, 503, 429]
        self.webhook.add(notice(1))
        await until(lambda: self.receiver.requests == 1)
        self.webhook.add(notice(2))
        await until(lambda: len(self.receiver.taken) == 2)
        self.assertEqual((self.receiver.taken, self.receiver.requests), ([[1], [2]], 5))

    async def test_refused(self) -> None:
        """Trying again would change nothing."""
        self.receiver.statuses = [400]
        self.webhook.add(notice(1))
        await until(lambda: self.counted("refused") == 1)
        self.webhook.add(notice(2))
        await until(lambda: self.receiver.taken == [[2]])
        self.assertEqual(len(self.flushLoggedErrors()), 0)

    async def test_unreachable(self) -> None:
        """It is tried again when the receiver is back."""
        port = self.port.getHost().port
        await self.port.stopListening()
        self.webhook.add(notice(1))
        await until(lambda: self.webhook.is_failing)
        self.port = reactor.listenTCP(port, Site(self.receiver), interface="127.0.0.1")
        self.addCleanup(self.port.stopListening)
        await until(lambda: self.receiver.taken == [[1]])

    async def test_bounded(self) -> None:
        """The oldest are dropped, and counted."""
        for number in range(MAX_WAITING + 3):
            self.webhook.add(notice(number))
        self.assertEqual(self.counted("dropped"), 3)
        self.webhook.stopService()
        self.assertEqual(self.counted("dropped"), 3 + MAX_WAITING)


class SettingsTests(SynchronousTestCase):
    def check(self, text: str, secret: str = "y" * 32) -> str:
        """The complaint."""
        return str(self.assertRaises(ConfigurationError, webhook_settings, text, {SECRET_VARIABLE: secret}))

    def test_settings(self) -> None:
        for url in ("https://push.example/hook", "http://127.0.0.1:9000/hook"):
            settings = webhook_settings(f"webhook:url={url}", {SECRET_VARIABLE: "y" * 32})
            self.assertEqual((settings.url, settings.secret), (url, b"y" * 32))
            self.assertNotIn("yyy", repr(settings))

    def test_refusals(self) -> None:
        self.assertIn("webhook:url=", self.check("mail:to=x"))
        self.assertIn("webhook:url=", self.check("webhook:url=https://a:more=b"))
        self.assertIn("https://", self.check("webhook:url=http://push.example/hook"))
        self.assertIn(SECRET_VARIABLE, self.check("webhook:url=https://push.example", "short"))
