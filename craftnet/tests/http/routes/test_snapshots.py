"""The current state of a feed over HTTP."""

from __future__ import annotations

from craftnet.contract.routes import BASE_PATHS
from craftnet.limits.client_address import NO_NETWORKS
from craftnet.limits.connection_limits import Limits
from craftnet.tests.support.samples import OTHER_SESSION, PLAYER, SESSION
from craftnet.tests.support.site_case import SiteTestCase


class SnapshotTests(SiteTestCase):
    """The routes of WebSocket feeds without an upgrade."""

    crafting = f"/ws/crafting/{SESSION}?player_id={PLAYER}"

    def test_snapshot(self) -> None:
        """The messages with which the feed would begin, for clients that accept JSON."""
        for fields in (
            b"",
            b"Accept: */*\r\n",
            b"Accept: application/json\r\n",
            b"Accept: text/html, application/*;q=0.1\r\n",
        ):
            answer = self.ask(self.crafting, fields=fields, token="player")
            self.assertEqual((answer.status, answer.fields["cache-control"]), (200, "no-store"))
            (message,) = answer.json["messages"]
            self.assertEqual((message["type"], message["session_id"]), ("progress_update", str(SESSION)))
            self.assertEqual(answer.json["position"], f"{message['epoch']}:{message['version']}")

    def test_empty_queue(self) -> None:
        answer = self.ask(f"{BASE_PATHS[1]}/ws/queue/{PLAYER}", token="player")
        self.assertEqual((answer.status, answer.json), (200, {"messages": []}))

    def test_resume(self) -> None:
        """What has happened since then."""
        position = self.ask(self.crafting, token="player").json["position"]
        answer = self.ask(f"{self.crafting}&resume={position}", token="player")
        self.assertEqual([each.get("recovered") for each in answer.json["messages"]], [True, None])

    def test_half_an_upgrade(self) -> None:
        """A handshake from which a proxy removed a part is refused with the reason."""
        answer = self.ask(self.crafting, fields=b"Upgrade: websocket\r\n", token="player")
        self.assert_error(answer, 426)

    def test_no_subscription_is_left(self) -> None:
        self.ask(self.crafting, token="player")
        self.assertEqual(self.metrics.registry.get_sample_value("craftnet_watchers", {"feed": "crafting"}), 0)

    def test_upgrade_required(self) -> None:
        """Said to clients that accept no JSON, and only to those for whom the WebSocket would be opened."""
        accept = b"Accept: text/event-stream, application/json;q=0\r\n"
        for path in (self.crafting, f"{BASE_PATHS[1]}/ws/queue/{PLAYER}"):
            answer = self.ask(path, fields=accept, token="player")
            self.assert_error(answer, 426)
            self.assertEqual(answer.fields["upgrade"], "websocket")
            self.assert_error(self.ask(path, fields=accept), 401)
            self.assert_error(self.ask(path, fields=accept, token="other"), 403)
        self.assert_error(self.ask(f"/ws/crafting/{OTHER_SESSION}?player_id={PLAYER}", token="player"), 404)


class SnapshotRateTests(SiteTestCase):
    limits = Limits(handshakes=1.0, unlimited=NO_NETWORKS)

    def test_rate(self) -> None:
        """A snapshot costs what a handshake costs, and counts as one."""
        answers = [self.ask(f"/ws/queue/{PLAYER}", token="player") for _ in range(5)]
        self.assertEqual([answer.status for answer in answers], [200] * 4 + [429])
        self.assertIn("retry-after", answers[-1].fields)
