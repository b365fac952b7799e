"""Everything of one player over one connection, as an event stream, a WebSocket and a snapshot."""

from __future__ import annotations

from craftnet.contract.close_codes import CloseCode
from craftnet.contract.events import QueueUpdate, SessionComplete, SessionPause
from craftnet.errors import NotFound
from craftnet.feeds.hub import Hub
from craftnet.feeds.player_feed import PlayerFeeds
from craftnet.tests.support.feed_wire import FeedServer
from craftnet.tests.support.samples import OTHER_PLAYER, OTHER_SESSION, PLAYER, SESSION, start
from craftnet.tests.support.stream_case import Stream, StreamTestCase

PLAYERS = f"/sse/player/{PLAYER}"


class PlayerTests(StreamTestCase):
    """A player with one session under way."""

    def received(self, stream: Stream) -> list[tuple[str, str | None]]:
        """The type and the session of each message since the last time."""
        return [(each["type"], each.get("session_id")) for each in stream.messages()]

    def test_sessions_and_queue(self) -> None:
        """What there is at first, then each session as it starts and ends, without knowing ids."""
        self.apply(QueueUpdate(player_id=PLAYER, queue_position=3))
        stream = self.stream(PLAYERS)
        self.assertEqual(self.received(stream), [("queue_position", None), ("progress_update", str(SESSION))])
        self.apply(start(OTHER_SESSION))
        self.assertEqual(self.received(stream), [("progress_update", str(OTHER_SESSION))])
        self.apply(SessionComplete(session_id=SESSION, result_item_id=SESSION))
        self.assertEqual(self.received(stream), [("crafting_complete", str(SESSION))])
        self.apply(QueueUpdate(player_id=PLAYER, queue_position=2))
        self.assertEqual(self.received(stream), [("queue_position", None)], "once, not for each session as well")

    def test_ended_sessions(self) -> None:
        """One that has ended is not among those at first, and its removal does not end the feed."""
        stream = self.stream(PLAYERS)
        self.apply(SessionComplete(session_id=SESSION, result_item_id=SESSION))
        self.assertEqual(self.received(self.stream(PLAYERS)), [])
        stream.events()
        self.clock.advance(86_400)
        self.apply(start(OTHER_SESSION))
        self.assertEqual(self.received(stream), [("progress_update", str(OTHER_SESSION))])

    def test_other_players(self) -> None:
        """Their sessions do not show, however they are asked for."""
        stream = self.stream(f"/sse/player/{OTHER_PLAYER}?resume={SESSION}@x:1", "other")
        self.apply(SessionPause(session_id=SESSION, pause_reason="player_afk"))
        self.assertEqual(self.received(stream), [])
        self.assertEqual(self.stream(PLAYERS, "other").status, 403)

    def test_resume(self) -> None:
        """Each session at its own position, an ended one as well, and the queue at its."""
        stream = self.stream(PLAYERS)
        (first,) = stream.messages()
        stream.wire.hang_up()
        self.apply(SessionComplete(session_id=SESSION, result_item_id=SESSION), start(OTHER_SESSION))
        position = f"{SESSION}@{first['epoch']}:{first['version']}"
        stream = self.stream(f"{PLAYERS}?resume={position}")
        messages = stream.messages()
        self.assertEqual(
            [(each["type"], each["session_id"], each.get("recovered")) for each in messages],
            [
                ("queue_status", str(SESSION), True),
                ("crafting_complete", str(SESSION), None),
                ("progress_update", str(OTHER_SESSION), None),
            ],
        )

    def test_bad_positions(self) -> None:
        for query in ("resume=x", f"resume=x@{SESSION}", "resume=a:1&resume=a:2", "&".join(["resume=a:1"] * 65)):
            self.assertEqual(self.stream(f"{PLAYERS}?{query}").status, 400, query)

    def test_leaving(self) -> None:
        """Who goes away is subscribed to nothing more."""
        self.stream(PLAYERS).wire.hang_up()
        self.apply(start(OTHER_SESSION))
        for feed in ("crafting", "queue"):
            watchers = self.metrics.registry.get_sample_value("craftnet_watchers", {"feed": feed})
            self.assertEqual(watchers, 0)

    def test_heartbeats(self) -> None:
        """Are those of the queue."""
        stream = self.stream(f"{PLAYERS}?heartbeat=25")
        stream.events()
        self.turn(25)
        self.assertEqual(self.received(stream), [("queue_position", None)])

    def test_slow_consumer(self) -> None:
        """The newest state of each session waits, not only that of one."""
        self.apply(start(OTHER_SESSION))
        stream = self.stream(PLAYERS)
        stream.events()
        assert stream.wire.producer is not None
        stream.wire.producer.pauseProducing()
        for _ in range(2):
            for session_id in (SESSION, OTHER_SESSION):
                self.apply(SessionPause(session_id=session_id, pause_reason="player_afk"))
        stream.wire.producer.resumeProducing()
        self.assertEqual([session for _, session in self.received(stream)], [str(SESSION), str(OTHER_SESSION)])

    def test_revoked(self) -> None:
        stream = self.stream(PLAYERS)
        self.connections.enforce(lambda bearer: True)
        self.assertEqual(stream.closing()[0], CloseCode.TOKEN_REVOKED)

    def test_snapshot(self) -> None:
        answer = self.ask(f"/ws/player/{PLAYER}", token="player")
        self.assertEqual([each["session_id"] for each in answer.json["messages"]], [str(SESSION)])
        self.assertNotIn("position", answer.json, "there is one for each session")

    def test_back_ends_that_do_not_know(self) -> None:
        """The route says so."""
        players = PlayerFeeds(Hub(self.sources, self.clock, self.metrics), None)
        self.assertRaises(NotFound, players.check)

    def test_websocket(self) -> None:
        server = FeedServer()
        wire = server.wire(f"/ws/player/{PLAYER}")
        wire.head()
        server.apply(start(SESSION))
        self.assertEqual([each["session_id"] for each in wire.messages()], [str(SESSION)])
