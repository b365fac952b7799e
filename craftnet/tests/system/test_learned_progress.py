"""Learned progress on whole services: what clients receive that ask for it, over WebSocket and event streams."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import msgspec
from twisted.internet import reactor
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol
from zope.interface import implementer

from craftnet.client import Address, SharedUdpTransport, UdpConnections
from craftnet.client.arguments import TOKEN_VARIABLE, parser
from craftnet.client.cli import begin_watch
from craftnet.client.core.connection_quality import ConnectionQuality
from craftnet.client.core.endings import Ending
from craftnet.client.core.interfaces import ILinkListener
from craftnet.clocks import steady
from craftnet.contract.messages import rfc3339
from craftnet.crafting.state import SessionState
from craftnet.crafting.updates import Update
from craftnet.protocols.websocket.core.subprotocols import BINARY
from craftnet.protocols.wire.codec import decode_progress
from craftnet.tests.support.event_source import StreamReader
from craftnet.tests.support.eventually import until
from craftnet.tests.support.live import LiveTestCase, Peer, envelope, in_thread, started, token
from craftnet.tests.support.samples import PLAYER, SESSION
from craftnet.tests.support.teaching import taught_crafts

REFRESH = 600.0
"""Seconds, so that updates are corrections."""

PAUSE = {"session_id": str(SESSION), "pause_reason": "player_afk"}

CRAFT = f"crafting/{SESSION}?player_id={PLAYER}"

FIGURES = ("progress_percentage", "remaining_time_seconds", "expected_seconds_p50", "expected_seconds_p90")
"""The percentage, the authority's remaining time, and the expected times."""


def reported(now: float, percent: int, remaining: int) -> dict[str, Any]:
    """The authority's report of the craft."""
    data = {
        "session_id": str(SESSION),
        "progress_percentage": percent,
        "remaining_time_seconds": remaining,
        "status": "active",
    }
    return envelope("crafting.session.progress", data, timestamp=rfc3339(now))


@implementer(ILinkListener)
class UdpWatch:
    """The project's client over UDP.

    Attributes:
        functions: each progress that it received: the percentage and the remaining seconds.
    """

    def __init__(self, url: str, *, expected: bool) -> None:
        clock = steady(reactor)
        self.connections = UdpConnections(clock, Address(url), PLAYER, token(), expected=expected)
        self.functions: list[tuple[float, float]] = []

    def start(self) -> None:
        SharedUdpTransport(self.connections, SESSION).link().start(self)

    def close(self) -> None:
        self.connections.close()

    def opened(self) -> None:
        """See `ILinkListener`."""

    def updated(self, update: Update) -> None:
        """See `ILinkListener`."""
        if isinstance(update.state, SessionState) and update.messages:
            progress = update.state.progress
            self.functions.append((progress.percent, progress.remaining or 0.0))

    def measured(self, quality: ConnectionQuality) -> None:
        """See `ILinkListener`."""

    def ended(self, ending: Ending) -> None:
        """See `ILinkListener`."""


class ProgressTestCase(LiveTestCase):
    # Heartbeats further apart than the clock is advanced: no connection counts as silent.
    settings = replace(LiveTestCase.settings, refresh=REFRESH, udp_heartbeat=30_000)

    def assertNear(self, stated: float | None, value: float | None) -> None:
        """Checks a figure, nearly: real time passes as well."""
        near = stated is value if value is None or stated is None else abs(stated - value) <= 2
        self.assertTrue(near, f"{stated} is not {value}")

    def states(self, message: dict[str, Any], *wanted: int | None) -> None:
        """Checks the first of `FIGURES` in a message."""
        for name, value in zip(FIGURES, wanted, strict=False):
            self.assertNear(message["progress_data"].get(name), value)


class LearnedProgressTests(ProgressTestCase):
    """A service that has learned that crafts take half as long again as is estimated."""

    async def setUp(self) -> None:  # type: ignore[override]  # trial awaits it; unittest would not.
        """Start, and teach."""
        learned = Path(self.mktemp()).absolute()
        learned.parent.mkdir(parents=True, exist_ok=True)
        self.settings = replace(self.settings, learn_progress=str(learned))
        super().setUp()
        await self.publish(*taught_crafts(reactor.seconds()))

    async def watch(self, path: str, **options: Any) -> Peer:
        return await self.open(path, token(), **options)

    async def moves(self, seconds: float, percent: int, remaining: int) -> None:
        """Time passes, and the authority reports."""
        self.clock.advance(seconds)
        await self.publish(reported(self.clock.wall(), percent, remaining))

    async def test_a_client_that_asks_is_corrected_by_its_own_bar(self) -> None:
        """The authority's first report agrees with the forecast, the second with neither."""
        await self.publish(started(seconds=60))
        plain, expecting = await self.watch(f"/ws/{CRAFT}"), await self.watch(f"/ws/{CRAFT}&expected=1")
        for client in (plain, expecting):
            self.states(await client.receive(), 0, 60, 90, 120)
        await self.moves(9.0, 10, 54)
        self.states(await plain.receive(), 10, 54, 81)
        await self.moves(9.0, 40, 36)
        for client in (plain, expecting):  # the first that `expecting` receives since its snapshot.
            self.states(await client.receive(), 40, 36, 54)

    async def test_everything_of_a_player(self) -> None:
        await self.publish(started(seconds=60))
        expecting = await self.watch(f"/ws/player/{PLAYER}?expected=1")
        self.states(await expecting.receive(), 0, 60, 90, 120)
        await self.moves(9.0, 10, 54)
        await self.publish(envelope("crafting.session.pause", PAUSE, timestamp=rfc3339(self.clock.wall())))
        paused = await expecting.receive()
        self.assertEqual(paused["progress_data"]["status"], "paused")
        self.states(paused, 10, 54, None, None)

    async def test_an_event_stream(self) -> None:
        await self.publish(started(seconds=60))
        expecting = await in_thread(StreamReader, self.url, f"/sse/{CRAFT}&expected=1", token())
        self.addCleanup(in_thread, expecting.close)
        self.states(msgspec.json.decode((await in_thread(expecting.event)).data), 0, 60, 90, 120)
        await self.moves(9.0, 10, 54)
        await self.moves(9.0, 40, 36)
        self.states(msgspec.json.decode((await in_thread(expecting.event)).data), 40, 36, 54)

    async def test_a_snapshot(self) -> None:
        await self.publish(started(seconds=60))
        headers = {"Authorization": f"Bearer {token()}"}
        response = await self.request("GET", f"/ws/{CRAFT}", headers=headers)
        self.states((await response.json())["messages"][0], 0, 60, 90, 120)

    async def test_binary_records_are_of_the_authority(self) -> None:
        """The parameter has no effect: such a client is corrected by the bar that it has."""
        await self.publish(started(seconds=60))
        peer = await self.watch(f"/ws/{CRAFT}&expected=1", subprotocols=[Subprotocol(BINARY)])
        for seconds, percent, remaining in ((0.0, 0, 60), (9.0, 10, 54)):
            if seconds:
                await self.moves(seconds, percent, remaining)
            record = decode_progress(await in_thread(peer.connection.recv, timeout=10, decode=False))
            self.assertNear(record.percent, percent)
            self.assertNear(record.remaining, remaining)

    async def test_over_udp(self) -> None:
        await self.publish(started(seconds=60))
        plain, expecting = UdpWatch(self.url, expected=False), UdpWatch(self.url, expected=True)
        for watch, seconds in ((plain, 60.0), (expecting, 90.0)):
            self.addCleanup(watch.close)
            watch.start()
            await until(lambda watch=watch: watch.functions)  # type: ignore[misc]  # mypy infers no lambda with a default.
            self.assertNear(watch.functions[0][1], seconds)
        await self.moves(9.0, 10, 54)
        await until(lambda: len(plain.functions) > 1)
        await self.moves(9.0, 40, 36)
        await until(lambda: len(expecting.functions) > 1)
        percent, remaining = expecting.functions[1]  # the first since its snapshot.
        self.assertNear(percent, 40.0)
        self.assertNear(remaining, 54.0)

    async def test_on_the_command_line(self) -> None:
        """People see the expected time over UDP; programs read the authority's."""
        await self.publish(started(seconds=60))
        for more, wanted in (([], r"active, 1:[23]\d to go"), (["--json"], r'"remaining_time_seconds":(60|5\d)\b')):
            out = StringIO()
            line = ["watch", str(SESSION), "--player", str(PLAYER), "--url", self.url, "--transport", "udp", *more]
            options = parser().parse_args(line)
            watching = begin_watch(steady(reactor), options, {TOKEN_VARIABLE: token()}, out, StringIO())
            watching.addErrback(lambda failure: None)
            self.addCleanup(watching.cancel)
            await until(out.getvalue)
            self.assertRegex(out.getvalue(), wanted)

    async def test_another_value_is_refused(self) -> None:
        await self.publish(started(seconds=60))
        with self.assertRaises(InvalidStatus) as caught:
            await self.watch(f"/ws/{CRAFT}&expected=yes")
        self.assertEqual(caught.exception.response.status_code, 400)


class WithoutLearningTests(ProgressTestCase):
    async def test_the_parameter_has_no_effect(self) -> None:
        await self.publish(*taught_crafts(reactor.seconds()))
        await self.publish(started(seconds=60))
        asking = await self.open(f"/ws/{CRAFT}&expected=1", token())
        self.states(await asking.receive(), 0, 60, None, None)
        self.clock.advance(9.0)
        await self.publish(reported(self.clock.wall(), 10, 54))
        self.states(await asking.receive(), 10, 54, None, None)
