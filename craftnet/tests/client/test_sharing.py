"""Tests for `craftnet.client.transports.udp_connections`, on a whole service: several sessions watched over one
connection.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from io import StringIO
from typing import cast
from uuid import UUID

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, gatherResults

from craftnet.client import Address, Backoff, SharedUdpTransport, UdpConnections, Watch, WatchOutcome, WatchVerdict
from craftnet.client.arguments import TOKEN_VARIABLE, parser
from craftnet.client.cli import FAILED, begin_watch
from craftnet.client.core.credentials import Credentials
from craftnet.client.core.endings import EndingKind
from craftnet.client.core.interfaces import ILink
from craftnet.client.transports import udp_connections
from craftnet.clocks import IClock, steady
from craftnet.protocols.udp.server.connection import ServerConnection
from craftnet.tests.support.eventually import until
from craftnet.tests.support.live import LiveTestCase, envelope, started, token
from craftnet.tests.support.observers import LinkRecorder, MessageTypes
from craftnet.tests.support.samples import IRON, OTHER_PLAYER, PLAYER

SESSIONS = [UUID(int=number << 96) for number in range(1, 5)]

clock = steady(reactor)


class SharingTests(LiveTestCase):
    """One player, four sessions."""

    async def prepare(self, player_id: UUID = PLAYER) -> UdpConnections:
        """Sessions of a player, and the connections they are to be watched over."""
        await self.publish(*(started(session_id) for session_id in SESSIONS))
        return UdpConnections(clock, Address(self.url), player_id, token(player_id))

    def watch(self, connections: UdpConnections, session_id: UUID) -> tuple[ILink, LinkRecorder]:
        """A link that is started."""
        link, recorder = SharedUdpTransport(connections, session_id).link(), LinkRecorder()
        link.start(recorder)
        return link, recorder

    async def watch_all(
        self, connections: UdpConnections, sessions: Sequence[UUID]
    ) -> list[tuple[ILink, LinkRecorder]]:
        """Links that are started, and have brought a state each."""
        links = [self.watch(connections, session_id) for session_id in sessions]
        await until(lambda: all(recorder.events == ["opened", "progress_update"] for _, recorder in links))
        return links

    @property
    def peers(self) -> list[ServerConnection]:
        """The server's ends."""
        assert self.service.udp_service is not None
        return list(self.service.udp_service.endpoint.peers.values())

    async def complete(self, session_id: UUID) -> None:
        """The session ends."""
        data = {"session_id": str(session_id), "result_item_id": str(IRON), "duration_seconds": 60}
        await self.publish(envelope("crafting.session.complete", data))

    async def test_watches_share_a_connection(self) -> None:
        """Several watches start at once; each receives its own session, and the last to end closes the connection."""
        connections = await self.prepare()
        observers = {session_id: MessageTypes() for session_id in SESSIONS}
        outcomes = [
            Watch(clock, session_id, [SharedUdpTransport(connections, session_id)], observer, Backoff()).start()
            for session_id, observer in observers.items()
        ]
        for observer in observers.values():
            self.assertEqual(await observer.received_types.get(), ("udp", "progress_update"))
        self.assertEqual((len(connections), len(self.peers)), (1, 1))
        for session_id, observer in observers.items():
            await self.complete(session_id)
            self.assertEqual(await observer.received_types.get(), ("udp", "crafting_complete"))
        results: list[WatchOutcome] = await gatherResults(outcomes)
        self.assertEqual({outcome.verdict for outcome in results}, {WatchVerdict.COMPLETED})
        await until(lambda: not self.peers)
        self.assertEqual(len(connections), 0)

    async def test_on_the_command_line(self) -> None:
        """Each line says which session it is about; the worst outcome is the exit code."""
        await self.prepare()
        out, err = StringIO(), StringIO()
        arguments = ["watch", *map(str, SESSIONS), "--player", str(PLAYER), "--url", self.url, "--transport", "udp"]
        watching = begin_watch(clock, parser().parse_args(arguments), {TOKEN_VARIABLE: token()}, out, err)
        await until(lambda: out.getvalue().count("active") == len(SESSIONS))
        self.assertEqual(len(self.peers), 1)
        data = {"session_id": str(SESSIONS[0]), "failure_reason": "timeout"}
        await self.publish(envelope("crafting.session.fail", data))
        for session_id in SESSIONS[1:]:
            await self.complete(session_id)
        self.assertEqual(await watching, FAILED)
        last = {label: words for _, label, words in (line.split(" ", 2) for line in out.getvalue().splitlines())}
        ends = ["failed (timeout)", *["complete"] * 3]
        self.assertEqual(last, dict(zip([str(each)[:8] for each in SESSIONS], ends, strict=True)))
        self.assertEqual(err.getvalue(), "")

    async def test_figures_on_the_command_line(self) -> None:
        """About each session, among its messages, and for no other watch."""
        await self.prepare()
        named = [str(session_id) for session_id in SESSIONS[:2]]
        messages = {(name, "progress_update") for name in named}
        await self.prints(messages)
        await self.prints(messages | {(name, "line") for name in named}, "--figures")

    async def prints(self, wanted: set[tuple[str, str]], *more: str) -> None:
        """Watch two sessions until such lines of them, and no others, are printed as JSON."""
        arguments = ["watch", *map(str, SESSIONS[:2]), "--player", str(PLAYER), "--url", self.url, "--transport", "udp"]
        out, options = StringIO(), parser().parse_args([*arguments, "--json", *more])
        watching = begin_watch(clock, options, {TOKEN_VARIABLE: token()}, out, StringIO())
        watching.addErrback(lambda failure: failure.trap(CancelledError))

        def printed() -> set[tuple[str, str]]:
            lines = map(json.loads, out.getvalue().splitlines())
            return {(line["session_id"], line["type"]) for line in lines}

        await until(lambda: printed() >= wanted)
        self.assertEqual(printed(), wanted)
        watching.cancel()
        await until(lambda: not self.peers)

    async def test_sessions_outlive_the_bearer_token(self) -> None:
        """A fresh one is shown in time, for each of them, and nothing is interrupted."""
        await self.prepare()
        brief, fresh = token(ttl=10.0), token()
        asked: list[str] = []

        def renew() -> str:
            asked.append(fresh)
            return fresh

        connections = UdpConnections(cast(IClock, self.clock), Address(self.url), PLAYER, Credentials(brief, renew))
        links = await self.watch_all(connections, SESSIONS[:2])
        (peer,) = self.peers
        first = peer.sessions.expires
        self.clock.advance(8)
        await until(lambda: peer.sessions.expires > first + 60)
        self.assertEqual(len(asked), 1)
        self.assertEqual([recorder.events for _, recorder in links], [["opened", "progress_update"]] * 2)
        for link, _ in links:
            link.stop()
        await until(lambda: not self.peers)

    async def test_stopping_one_leaves_the_others(self) -> None:
        connections = await self.prepare()
        (first, _), (second, _) = await self.watch_all(connections, SESSIONS[:2])
        first.stop()
        (peer,) = self.peers
        await until(lambda: len(peer.sessions.sent_states) == 1)
        self.assertEqual(peer.sessions.sent_states[0].session_id, SESSIONS[1])
        second.stop()
        await until(lambda: not self.peers)
        self.assertEqual(len(connections), 0)

    async def test_the_same_session_twice_is_another_connection(self) -> None:
        connections = await self.prepare()
        await self.watch_all(connections, SESSIONS[:1] * 2)
        self.assertEqual(len(connections), 2)

    async def test_what_is_being_left_can_be_watched_again(self) -> None:
        """The end of the one watch is not taken for that of the other."""
        connections = await self.prepare()
        (first, _), _ = await self.watch_all(connections, SESSIONS[:2])
        (peer,) = self.peers
        first.stop()
        ((_, recorder),) = await self.watch_all(connections, SESSIONS[:1])
        await until(lambda: len(peer.sessions.sent_states) == 1)
        await self.complete(SESSIONS[0])
        await until(lambda: len(recorder.events) > 2)
        self.assertEqual(recorder.events, ["opened", "progress_update", "crafting_complete"])

    async def test_a_full_connection_is_followed_by_another(self) -> None:
        self.patch(udp_connections, "MAX_SESSIONS", 2)
        connections = await self.prepare()
        for session_id in SESSIONS:
            await self.watch_all(connections, [session_id])
        self.assertEqual((len(connections), len(self.peers)), (2, 2))

    async def test_one_that_is_refused_does_not_disturb_the_others(self) -> None:
        connections = await self.prepare()
        _, missing = self.watch(connections, UUID(int=404))
        await self.watch_all(connections, SESSIONS[:1])
        self.assertEqual((await missing.done).kind, EndingKind.REFUSED)
        strangers = UdpConnections(clock, Address(self.url), OTHER_PLAYER, token(OTHER_PLAYER))
        _, stranger = self.watch(strangers, SESSIONS[0])
        self.assertEqual((await stranger.done).kind, EndingKind.REFUSED)

    async def test_when_the_server_stops_all_of_them_end(self) -> None:
        connections = await self.prepare()
        links = await self.watch_all(connections, SESSIONS)
        await self.service.stopService()
        endings = [await recorder.done for _, recorder in links]
        self.assertEqual({ending.kind for ending in endings}, {EndingKind.LOST})
        self.assertEqual(len(connections), 0)
