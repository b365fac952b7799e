"""Feeds as event streams, over transports in memory and on a clock that tests turn."""

from __future__ import annotations

from typing import Any

import msgspec
from twisted.internet.defer import Deferred

from craftnet.access.principal import Principal
from craftnet.contract.close_codes import CloseCode
from craftnet.contract.events import MaterialsUpdate, QueueUpdate, SessionComplete, SessionPause
from craftnet.contract.messages import MaterialNotification, MaterialProblem
from craftnet.tests.support.http_wire import request
from craftnet.tests.support.samples import IRON, NOW, OTHER_PLAYER, PLAYER, SESSION
from craftnet.tests.support.site_case import HOST, bearer
from craftnet.tests.support.stream_case import Stream, StreamTestCase

CRAFTING = f"/sse/crafting/{SESSION}?player_id={PLAYER}"
QUEUE = f"/sse/queue/{PLAYER}"
HEALTH = "/sse/health?services=crafting-network"


class FeedTests(StreamTestCase):
    def test_head(self) -> None:
        """Nothing on the way may keep it back, change it, or keep it."""
        stream = self.stream(CRAFTING)
        self.assertEqual((stream.status, stream.fields["content-type"]), (200, "text/event-stream"))
        self.assertEqual(stream.fields["cache-control"], "no-store, no-transform")
        self.assertEqual(stream.fields["x-accel-buffering"], "no")
        self.assertEqual((stream.fields["transfer-encoding"], stream.fields["connection"]), ("chunked", "close"))
        self.assertNotIn("content-length", stream.fields)

    def test_crafting(self) -> None:
        """The same messages as over WebSocket, and each position as an id."""
        stream = self.stream(CRAFTING)
        (first,) = stream.events()
        message = msgspec.json.decode(first.data)
        self.assertEqual((message["type"], message["session_id"]), ("progress_update", str(SESSION)))
        self.assertEqual(first.id, f"{message['epoch']}:{message['version']}")
        self.apply(SessionPause(session_id=SESSION, pause_reason="player_afk"))
        (paused,) = stream.messages()
        self.assertEqual(paused["progress_data"]["status"], "paused")
        self.assertEqual(self.metrics.registry.get_sample_value("craftnet_deliveries_total", {"transport": "sse"}), 2)

    def test_queue(self) -> None:
        self.apply(QueueUpdate(player_id=PLAYER, queue_position=3))
        stream = self.stream(QUEUE)
        self.assertEqual([message["queue_position"] for message in stream.messages()], [3])

    def test_health(self) -> None:
        (report,) = self.stream(HEALTH, "admin").events()
        self.assertEqual((msgspec.json.decode(report.data)["type"], report.id), ("health_update", ""))

    def test_every_base_path(self) -> None:
        for base in ("/api/v1/crafting-network", "/v1/crafting-network", "/crafting"):
            stream = self.stream(base + QUEUE)
            self.assertEqual(stream.status, 200)
            stream.wire.hang_up()

    def test_http_1_0(self) -> None:
        """Has no chunks: the stream ends with the connection. nginx uses this version by default."""
        stream = self.stream(CRAFTING, version=b"HTTP/1.0")
        self.assertNotIn("transfer-encoding", stream.fields)
        (message,) = stream.messages()
        self.assertEqual(message["type"], "progress_update")

    def test_kept_alive(self) -> None:
        """A stream may be asked for on a connection that has served other requests."""
        wire = self.house.wire()
        wire.ask(request("/health/live", fields=HOST))
        stream = Stream(wire, request(CRAFTING, fields=HOST + bearer("player")))
        self.assertEqual((stream.status, len(stream.messages())), (200, 1))

    def test_what_follows_is_discarded(self) -> None:
        stream = self.stream(CRAFTING)
        stream.events()
        stream.wire.receive(request("/health/live", fields=HOST))
        self.assertEqual(stream.wire.value(), b"")


class ResumeTests(StreamTestCase):
    def missed(self, target: str, fields: bytes) -> list[dict[str, Any]]:
        return self.stream(target, fields=fields).messages()

    def test_where_it_was(self) -> None:
        """By Last-Event-ID, or by `resume`, which wins: a URL is more deliberate than what a browser remembers."""
        stream = self.stream(CRAFTING)
        (first,) = stream.events()
        stream.wire.hang_up()
        self.apply(SessionPause(session_id=SESSION, pause_reason="player_afk"))
        field = f"Last-Event-ID: {first.id}\r\n".encode()
        for target, fields, recovered in (
            (CRAFTING, field, True),
            (f"{CRAFTING}&resume={first.id}", b"", True),
            (f"{CRAFTING}&resume=0:0", field, False),
            (CRAFTING, b"Last-Event-ID: \r\n", None),
        ):
            stream = self.stream(target, fields=fields)
            messages = stream.messages()
            self.assertEqual(messages[0].get("recovered"), recovered)
            (progress,) = [message["progress_data"] for message in messages if "progress_data" in message]
            self.assertEqual(progress["status"], "paused")
            stream.wire.hang_up()

    def test_what_is_no_position(self) -> None:
        self.assertEqual(self.stream(CRAFTING, fields=b"Last-Event-ID: nonsense\r\n").status, 400)


class RefusalTests(StreamTestCase):
    def test_order(self) -> None:
        """As on every route: 404 of the route, 405, 401, 400, 404, 403."""
        other = CRAFTING.replace(str(SESSION), str(OTHER_PLAYER))
        for target, token, status in (
            ("/sse/nothing/x", "", 404),
            ("/sse/queue/nonsense", "", 401),
            ("/sse/queue/nonsense", "player", 400),
            (QUEUE + "?heartbeat=1", "player", 400),
            (other, "player", 404),
            (CRAFTING, "other", 403),
            (QUEUE, "other", 403),
            (HEALTH, "player", 403),
        ):
            stream = self.stream(target, token)
            self.assertEqual(stream.status, status, target)
            self.assertEqual(stream.fields["content-type"], "application/json")
        self.assertIn("Bearer", self.stream(QUEUE, "").fields["www-authenticate"])
        self.assertEqual(self.open_streams(), None)

    def test_other_methods(self) -> None:
        for method, status in (("POST", 405), ("DELETE", 405), ("HEAD", 200), ("OPTIONS", 204)):
            self.assertEqual(self.ask(QUEUE, method, token="player").status, status)
        head = self.ask(QUEUE, "HEAD", token="player")
        self.assertEqual(head.fields["content-type"], "text/event-stream")
        self.assertNotIn("content-length", head.fields)

    def test_body(self) -> None:
        self.assert_error(self.ask(QUEUE, token="player", body=b"{}"), 400)

    def test_upgrade(self) -> None:
        """Such a route is no WebSocket: the handshake goes to the WebSocket side, which knows no such feed."""
        fields = b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
        self.house.wire().receive(request(QUEUE, fields=HOST + fields + bearer("player")))
        self.assertEqual(len(self.house.listeners.built), 1)

    def test_limits(self) -> None:
        """Streams are connections, and count with WebSockets."""
        streams = [self.stream(QUEUE) for _ in range(3)]
        refused = self.stream(QUEUE)
        self.assertEqual((refused.status, refused.fields["retry-after"]), (429, "5"))
        self.assertEqual((self.open_streams(), self.house.refusals("rate_limited")), (3, 1))
        streams[0].wire.hang_up()
        self.assertEqual(self.stream(QUEUE).status, 200)

    def test_a_slow_answer(self) -> None:
        """A token that cannot be verified in time is refused, and nothing of the client is kept."""
        self.authority.pending = Deferred()
        wire = self.house.wire()
        wire.receive(request(QUEUE, fields=HOST + bearer("player")))
        self.assertEqual(len(self.connections.gate.occupancy), 1)
        self.clock.advance(10)
        (answer,) = wire.take()
        self.assert_error(answer, 503)
        self.assertEqual(len(self.connections.gate.occupancy), 0)

    def test_a_client_that_leaves_before_the_answer(self) -> None:
        """Who leaves before the answer leaves nothing behind."""
        self.authority.pending, before = Deferred(), self.clock.getDelayedCalls()
        wire = self.house.wire()
        wire.receive(request(QUEUE, fields=HOST + bearer("player")))
        wire.hang_up()
        self.assertEqual(len(self.connections.gate.occupancy), 0)
        self.assertEqual(self.clock.getDelayedCalls(), before)


class EndTests(StreamTestCase):
    def test_expired(self) -> None:
        self.authority.principals["brief"] = Principal(PLAYER, frozenset(), NOW + 5)
        stream = self.stream(QUEUE, "brief")
        self.turn(6)
        self.assertEqual(stream.closing(), (CloseCode.TOKEN_EXPIRED, "the token has expired"))

    def test_revoked(self) -> None:
        stream, other = self.stream(QUEUE), self.stream(HEALTH, "admin")
        self.assertEqual(self.connections.enforce(lambda bearer: bearer.player_id == PLAYER), 1)
        self.assertEqual(stream.closing(), (CloseCode.TOKEN_REVOKED, "the token was revoked"))
        self.assertEqual([each.name for each in other.events()], ["message"])

    def test_drained(self) -> None:
        """Each client gets a time to return, in both forms; new clients are refused meanwhile."""
        stream = self.stream(CRAFTING)
        draining = Deferred.fromCoroutine(self.connections.drain(0.0))
        *_, last = stream.events()
        message = msgspec.json.decode(last.data)
        self.assertEqual((last.name, message["code"]), ("close", CloseCode.GOING_AWAY))
        self.assertEqual(message["reason"], f"retry in {(last.retry or 0) / 1000:.1f} s")
        self.assertEqual(self.stream(QUEUE).status, 503)
        self.assertNoResult(draining)
        stream.wire.hang_up()
        self.successResultOf(draining)
        self.assertEqual(self.open_streams(), 0)

    def test_removed(self) -> None:
        """The session ends, and is removed later."""
        stream = self.stream(CRAFTING)
        self.apply(SessionComplete(session_id=SESSION, result_item_id=SESSION))
        self.assertEqual([each["type"] for each in stream.messages()], ["progress_update", "crafting_complete"])

    def test_hang_up(self) -> None:
        """Who goes away costs nothing more."""
        stream = self.stream(CRAFTING)
        stream.wire.hang_up()
        self.assertEqual((self.open_streams(), len(self.connections.gate.occupancy)), (0, 0))
        self.apply(SessionPause(session_id=SESSION, pause_reason="player_afk"))


class HeartbeatTests(StreamTestCase):
    def test_comments(self) -> None:
        stream = self.stream(QUEUE)
        self.turn(60)
        self.assertEqual((stream.events(), stream.source.comments), ([], 2))

    def test_messages(self) -> None:
        """For a client that needs the position of the feed, which a message contains."""
        stream = self.stream(QUEUE + "?heartbeat=25")
        self.turn(25)
        (event,) = stream.events()
        self.assertNotEqual(event.id, "")

    def test_a_client_that_does_not_read(self) -> None:
        """Is dropped after the second heartbeat in a row that finds it so."""
        stream = self.stream(QUEUE)
        assert stream.wire.producer is not None
        stream.wire.producer.pauseProducing()
        self.turn(29)
        stream.wire.producer.resumeProducing()
        self.turn(30)
        stream.wire.producer.pauseProducing()
        self.turn(30)
        self.assertFalse(stream.wire.disconnecting)
        self.turn(30)
        self.assertTrue(stream.wire.disconnecting)
        self.assertEqual(self.house.refusals("missed_pongs"), 1)


class SlowConsumerTests(StreamTestCase):
    """The rules are those of WebSockets."""

    def shortage(self, number: int) -> None:
        shortage = MaterialNotification(
            material_id=IRON, notification_type=MaterialProblem.INSUFFICIENT_QUANTITY, required_quantity=1 + number
        )
        self.apply(MaterialsUpdate(session_id=SESSION, notifications=(shortage,)))

    def test_conflation(self) -> None:
        """The newest progress waits, and every notification."""
        stream = self.stream(CRAFTING)
        stream.events()
        producer = stream.wire.producer
        assert producer is not None
        producer.pauseProducing()
        self.apply(SessionPause(session_id=SESSION, pause_reason="player_afk"))
        for number in range(2):
            self.shortage(number)
        self.assertEqual(stream.wire.value(), b"")
        producer.resumeProducing()
        self.assertEqual(
            [each["type"] for each in stream.messages()], ["progress_update"] + ["material_notification"] * 2
        )

    def test_bound(self) -> None:
        stream = self.stream(CRAFTING)
        stream.events()
        assert stream.wire.producer is not None
        stream.wire.producer.pauseProducing()
        for number in range(257):
            self.shortage(number)
        self.assertEqual(stream.closing()[0], CloseCode.SLOW_CONSUMER)
        self.assertEqual(self.house.refusals("slow_consumer"), 1)
