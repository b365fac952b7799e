"""A UDP connection that carries all sessions of a player, as they start and end: the real client on a whole service."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from io import StringIO
from uuid import UUID

from twisted.internet import reactor

from craftnet.client import Address, SharedUdpTransport, UdpConnections
from craftnet.client.arguments import TOKEN_VARIABLE, parser
from craftnet.client.cli import begin_watch
from craftnet.client.core.interfaces import ILink
from craftnet.clocks import steady
from craftnet.protocols.udp.core.negotiation import MAX_SESSIONS
from craftnet.protocols.udp.server.connection import ServerConnection
from craftnet.tests.support.eventually import until
from craftnet.tests.support.live import LiveTestCase, envelope, started, token
from craftnet.tests.support.observers import LinkRecorder
from craftnet.tests.support.redis_server import RedisServer
from craftnet.tests.support.samples import IRON, OTHER_PLAYER, PLAYER

FIRST, SECOND, THIRD = (UUID(int=number << 96) for number in range(1, 4))

clock = steady(reactor)


class FollowingTestCase(LiveTestCase):
    """A client that asks for all sessions of its player."""

    def setUp(self) -> None:
        super().setUp()
        self.joined: list[UUID] = []
        self.connections = UdpConnections(clock, Address(self.url), PLAYER, token(), joined=self.joined.append)
        self.addCleanup(self.connections.close)

    def watch(self, session_id: UUID) -> tuple[ILink, LinkRecorder]:
        link, recorder = SharedUdpTransport(self.connections, session_id).link(), LinkRecorder()
        link.start(recorder)
        return link, recorder

    async def watched(self, session_id: UUID) -> tuple[ILink, LinkRecorder]:
        """A link that has brought a state."""
        link, recorder = self.watch(session_id)
        await until(lambda: recorder.events[:2] == ["opened", "progress_update"])
        return link, recorder

    async def complete(self, session_id: UUID) -> None:
        data = {"session_id": str(session_id), "result_item_id": str(IRON), "duration_seconds": 60}
        await self.publish(envelope("crafting.session.complete", data))

    @property
    def peers(self) -> list[ServerConnection]:
        """The server's ends."""
        assert self.service.udp_service is not None
        return list(self.service.udp_service.endpoint.peers.values())

    @property
    def carried(self) -> list[UUID]:
        """The sessions of the only connection."""
        (peer,) = self.peers
        return [session.session_id for session in peer.sessions.sent_states]

    def carries_only(self, session_id: UUID) -> bool:
        """Whether the connection carries this session and no other."""
        return self.carried == [session_id]

    async def requests(self) -> int:
        """The number of requests for a connection so far."""
        text = await (await self.request("GET", "/metrics")).text()
        counts = [line.split() for line in text.splitlines() if line.startswith("craftnet_http_requests_total{")]
        return sum(int(float(number)) for name, number in counts if "/connect" in name)


class FollowedPlayerTests(FollowingTestCase):
    settings = replace(LiveTestCase.settings, devices=True)

    async def test_a_session_that_starts_joins(self) -> None:
        await self.publish(started(FIRST))
        await self.watched(FIRST)
        await self.publish(started(THIRD, OTHER_PLAYER), started(SECOND))
        await until(lambda: self.joined)
        self.assertEqual((self.joined, self.carried), ([SECOND], [FIRST, SECOND]))
        _, recorder = await self.watched(SECOND)
        await self.complete(SECOND)
        await until(lambda: recorder.events[-1] == "crafting_complete")
        self.assertEqual(await self.requests(), 1)

    async def test_sessions_under_way_join_when_it_opens(self) -> None:
        await self.publish(started(FIRST), started(SECOND), started(THIRD))
        await self.watched(SECOND)
        await until(lambda: len(self.joined) == 2)
        self.assertEqual((self.joined, self.carried), ([FIRST, THIRD], [SECOND, FIRST, THIRD]))

    async def test_what_has_ended_leaves_when_another_joins(self) -> None:
        """The connection is the same one throughout, for a player who makes one craft after the other."""
        await self.publish(started(FIRST))
        link, recorder = await self.watched(FIRST)
        for session_id, following in ((FIRST, SECOND), (SECOND, THIRD)):
            await self.complete(session_id)
            await until(partial(recorder.events.__contains__, "crafting_complete"))
            link.stop()
            await self.publish(started(following))
            await until(partial(self.carries_only, following))
            link, recorder = await self.watched(following)
        self.assertEqual((await self.requests(), len(self.connections)), (1, 1))

    async def test_a_session_that_the_client_leaves_stays_away(self) -> None:
        await self.publish(started(FIRST), started(SECOND))
        await self.watched(FIRST)
        await until(lambda: self.joined)
        link, _ = await self.watched(SECOND)
        link.stop()
        await until(lambda: self.carried == [FIRST])
        await self.publish(started(THIRD))
        await until(lambda: self.carried == [FIRST, THIRD])

    async def test_more_sessions_than_a_connection_carries(self) -> None:
        """The client asks for the rest, over another connection, which does not get all sessions once more."""
        sessions = [UUID(int=number << 96) for number in range(1, MAX_SESSIONS + 2)]
        await self.publish(*map(started, sessions))
        await self.watched(sessions[0])
        await until(lambda: len(self.joined) == MAX_SESSIONS - 1)
        (rest,) = set(sessions) - {sessions[0], *self.joined}
        await self.watched(rest)
        self.assertEqual(sorted(len(peer.sessions.sent_states) for peer in self.peers), [1, MAX_SESSIONS])
        self.assertEqual(len(self.joined), MAX_SESSIONS - 1)

    async def test_nothing_is_followed_when_it_is_closed(self) -> None:
        await self.publish(started(FIRST))
        await self.watched(FIRST)
        assert self.service.udp_service is not None
        followed = self.service.udp_service.server.followed
        assert followed is not None
        self.assertEqual(len(followed), 1)
        self.connections.close()
        await until(lambda: not self.peers)
        self.assertEqual(len(followed), 0)
        await self.publish(started(SECOND))
        self.assertEqual(self.joined, [])

    async def test_on_the_command_line(self) -> None:
        """`craftnet watch` shows one craft after the other over one connection."""
        await self.publish(started(FIRST))
        out, err = StringIO(), StringIO()
        arguments = ["watch", "--player", str(PLAYER), "--url", self.url, "--transport", "udp"]
        watching = begin_watch(clock, parser().parse_args(arguments), {TOKEN_VARIABLE: token()}, out, err)
        await until(lambda: "active" in out.getvalue())
        await self.complete(FIRST)
        await until(lambda: "complete" in out.getvalue())
        await self.publish(started(SECOND))
        await until(lambda: out.getvalue().rpartition("complete")[2].count("active"))
        self.assertEqual((await self.requests(), len(self.peers)), (1, 1))
        watching.addErrback(lambda failure: None)
        watching.cancel()
        await until(lambda: not self.peers)


class FollowedPlayerOnRedisTests(FollowingTestCase):
    def setUp(self) -> None:
        redis = RedisServer()
        self.addCleanup(redis.stop)
        redis.start()
        self.settings = replace(self.settings, backend=f"redis:port={redis.port}", devices=True)
        super().setUp()

    async def test_sessions_under_way_and_those_that_start_join(self) -> None:
        await self.publish(started(FIRST), started(THIRD))
        _, recorder = await self.watched(FIRST)
        await until(lambda: self.joined == [THIRD])
        await self.complete(FIRST)
        await until(lambda: recorder.events[-1] == "crafting_complete")
        await self.publish(started(SECOND))
        await until(lambda: self.joined == [THIRD, SECOND])
        await self.watched(SECOND)
        self.assertEqual((await self.requests(), len(self.peers)), (1, 1))


class WithoutTheOptionTests(FollowingTestCase):
    async def test_the_client_asks_for_each_session(self) -> None:
        await self.publish(started(FIRST))
        await self.watched(FIRST)
        await self.publish(started(SECOND))
        await self.watched(SECOND)
        self.assertEqual((self.joined, self.carried, await self.requests()), ([], [FIRST, SECOND], 2))
