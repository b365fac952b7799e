"""Heartbeats that a client can see: pages see no pings, and cannot distinguish a quiet feed from a dead server."""

from __future__ import annotations

from typing import Any

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from craftnet.contract.events import MaterialsUpdate, QueueUpdate, SessionComplete, SessionPause
from craftnet.contract.messages import MaterialNotification, MaterialProblem, rfc3339
from craftnet.protocols.websocket.core.compression import decompress_message
from craftnet.protocols.websocket.core.subprotocols import BINARY, JSON, LZ4
from craftnet.tests.support.feed_wire import FeedServer, FeedWire
from craftnet.tests.support.samples import IRON, PLAYER, RECIPE, SESSION, start

CRAFTING = f"/ws/crafting/{SESSION}?player_id={PLAYER}&heartbeat=25"
QUEUE = f"/ws/queue/{PLAYER}?heartbeat=25"
HEALTH = "/health/ws?services=crafting-network,real-time-combat&heartbeat=25"


class HeartbeatTests(SynchronousTestCase):
    """Feeds of a player who waits, in which nothing happens."""

    def setUp(self) -> None:
        self.server = FeedServer()
        self.move_to(3)

    def move_to(self, position: int) -> None:
        """The player waits there."""
        self.server.apply(QueueUpdate(player_id=PLAYER, queue_position=position, session_id=SESSION))

    def last(self, wire: FeedWire) -> dict[str, Any]:
        """The only message since the last time."""
        (message,) = wire.messages()
        return message

    def position(self, target: str) -> tuple[str, int]:
        """Where a feed is."""
        watching = self.server.wire(target, "admin")
        watching.head()
        message = watching.messages()[-1]
        return message["epoch"], message["version"]

    def test_crafting_and_queue(self) -> None:
        """Of the feed's own types, where it is, and nothing else."""
        crafting, queue = self.server.opened(CRAFTING), self.server.opened(QUEUE)
        for _ in range(2):
            self.server.turn(24)
            self.assertEqual((crafting.messages(), queue.messages()), ([], []))
            self.server.turn(1)
            now = rfc3339(self.server.clock.seconds())
            for wire, kind, target in ((crafting, "progress_update", CRAFTING), (queue, "queue_position", QUEUE)):
                ids = {"session_id": str(SESSION)} if wire is crafting else {"player_id": str(PLAYER)}
                epoch, version = self.position(target)
                self.assertEqual(
                    self.last(wire), {"type": kind, **ids, "timestamp": now, "epoch": epoch, "version": version}
                )

    def test_health(self) -> None:
        """The reports again."""
        wire = self.server.opened(HEALTH, "admin")
        self.server.turn(25)
        messages = wire.messages()
        self.assertEqual([message["type"] for message in messages], ["health_update"] * 2)
        self.assertEqual([message["timestamp"] for message in messages], [rfc3339(self.server.clock.seconds())] * 2)
        self.assertTrue(all("health" in message for message in messages))

    def test_in_every_subprotocol(self) -> None:
        wires = {each: self.server.opened(CRAFTING, subprotocol=each) for each in (JSON, LZ4, BINARY)}
        self.server.turn(25)
        plain = wires[JSON].frames()
        self.assertEqual([opcode for opcode, _ in plain], [0x1])
        self.assertEqual(wires[BINARY].frames(), plain)
        ((opcode, compressed),) = wires[LZ4].frames()
        self.assertEqual((opcode, decompress_message(compressed)), (0x2, plain[0][1]))

    def test_only_on_request(self) -> None:
        wire = self.server.opened(QUEUE.partition("?")[0])
        self.server.turn(60)
        self.assertEqual(wire.messages(), [])

    def test_each_as_it_asks(self) -> None:
        often, rarely = (self.server.opened(QUEUE.replace("25", text)) for text in ("5", "300"))
        self.server.turn(299)
        self.assertEqual((len(often.messages()), len(rarely.messages())), (59, 0))
        self.server.turn(1)
        self.assertEqual((len(often.messages()), len(rarely.messages())), (1, 1))

    def test_news_put_it_off(self) -> None:
        """Whatever is sent: news of the feed, and the answer to a token."""
        wire = self.server.opened(QUEUE)
        self.server.turn(24)
        self.move_to(2)
        self.assertEqual(self.last(wire)["queue_position"], 2)
        self.server.turn(24)
        self.assertEqual(wire.messages(), [])
        offer = msgspec.json.encode({"type": "token", "token": "player"})
        wire.protocol.onMessage(offer, False)
        self.assertEqual(self.last(wire)["type"], "token_accepted")
        self.server.turn(24)
        self.assertEqual(wire.messages(), [])
        self.server.turn(1)
        self.assertNotIn("queue_position", self.last(wire))

    def test_resumes_from_it(self) -> None:
        """Its position is as good as that of any message."""
        wire = self.server.opened(CRAFTING)
        self.move_to(2)
        wire.clear()
        self.server.turn(25)
        watching = self.last(wire)
        wire.loseConnection()
        self.move_to(1)
        back = self.server.wire(f"{CRAFTING}&resume={watching['epoch']}:{watching['version']}")
        back.head()
        first, *missed = back.messages()
        self.assertTrue(first["recovered"])
        self.assertEqual([message["type"] for message in missed], ["queue_status"])

    def test_after_the_end(self) -> None:
        """The feed is open until the session is forgotten, and so the client wants to hear something."""
        self.server.apply(start(), SessionComplete(session_id=SESSION, result_item_id=RECIPE))
        wire = self.server.opened(CRAFTING)
        self.server.turn(25)
        self.assertEqual(self.last(wire)["type"], "progress_update")

    def test_a_client_that_does_not_read(self) -> None:
        """The queue stays as it is: the newest progress and every notification."""
        self.server.apply(start(seconds=3600.0))
        wire = self.server.opened(CRAFTING)
        wire.protocol.pauseProducing()
        self.server.apply(SessionPause(session_id=SESSION, pause_reason="player_afk"), self.shortage())
        waiting = wire.protocol.backlog
        self.server.turn(100)
        self.assertEqual((wire.frames(), wire.protocol.backlog), ([], waiting))
        wire.protocol.resumeProducing()
        watching = wire.messages()
        self.assertEqual([message["type"] for message in watching], ["progress_update", "material_notification"])
        self.assertEqual(watching[0]["progress_data"]["status"], "paused")
        self.server.turn(25)
        self.assertNotIn("progress_data", self.last(wire))

    def test_closed_and_closing_connections(self) -> None:
        closed, closing = self.server.opened(QUEUE), self.server.opened(QUEUE)
        closed.loseConnection()
        closing.protocol.expired()
        closing.clear()
        self.server.turn(25)
        self.assertEqual((closed.frames(), closing.frames()), ([], []))

    def test_badly_asked(self) -> None:
        for text in ("", "4", "301", "x", "25&heartbeat=25"):
            wire = self.server.wire(QUEUE.replace("25", text))
            self.assertEqual(wire.head(), "HTTP/1.1 400 Bad Request", text)

    def shortage(self) -> MaterialsUpdate:
        """An update that every watcher must receive."""
        problem = MaterialNotification(material_id=IRON, notification_type=MaterialProblem.MATERIAL_UNAVAILABLE)
        return MaterialsUpdate(session_id=SESSION, notifications=(problem,))
