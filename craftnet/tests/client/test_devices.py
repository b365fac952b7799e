"""`craftnet watch --device`: a device of a player that is a terminal, on a whole service and on a scripted one."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from io import StringIO
from typing import Any
from uuid import UUID

import msgspec
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase, TestCase

from craftnet.access.principal import ADMIN
from craftnet.client.arguments import TOKEN_VARIABLE, parser
from craftnet.client.cli import begin_watch
from craftnet.client.core.address import Address
from craftnet.client.core.credentials import Credentials
from craftnet.client.output.devices import KnownDevices
from craftnet.client.transports.device_feed import NO_DEVICES, REGISTRATION_TIMEOUT, DeviceFeed
from craftnet.clocks import steady
from craftnet.contract.close_codes import CloseCode
from craftnet.contract.devices import (
    DeviceCursor,
    DeviceCursorMessage,
    DeviceMessage,
    DeviceRefused,
    DevicesMessage,
    DeviceState,
)
from craftnet.contract.messages import WebSocketQueueMessage, to_json
from craftnet.devices.registry import GRACE
from craftnet.runtime.backoff import Backoff
from craftnet.tests.support.eventually import until
from craftnet.tests.support.live import AdvancedClock, LiveTestCase, Peer, envelope, started, token
from craftnet.tests.support.live_metrics import samples
from craftnet.tests.support.samples import PLAYER, SESSION
from craftnet.tests.support.scripted_server import Play, ScriptedServer

AT = "2026-01-15T10:30:02.000Z"


def online(message: dict[str, Any]) -> dict[str, bool]:
    """The presence in a message."""
    return {device["name"]: device["online"] for device in message["devices"]}


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def all_devices(cursors: Sequence[DeviceCursor] = (), **online: bool) -> DevicesMessage:
    devices = tuple(DeviceState(name=name, online=here, since=AT) for name, here in online.items())
    return DevicesMessage(player_id=PLAYER, timestamp=AT, devices=devices, cursors=tuple(cursors))


def moved(device: str, session_id: UUID | None = None, **versions: int) -> DeviceCursorMessage:
    cursor = DeviceCursor(epoch="e", session_id=session_id, **versions)
    return DeviceCursorMessage(player_id=PLAYER, timestamp=AT, device=device, cursor=cursor)


class WatchingTestCase(LiveTestCase):
    settings = replace(LiveTestCase.settings, devices=True)

    def begin(self, *more: str, bearer: str = "", out: StringIO | None = None) -> Deferred[int]:
        """`craftnet watch`, until the test ends."""
        self.out, self.err = out or StringIO(), StringIO()
        self.client_clock = AdvancedClock(steady(reactor))
        arguments = ["watch", str(SESSION), "--player", str(PLAYER), "--url", self.url, "--transport", "ws", *more]
        environ = {TOKEN_VARIABLE: bearer or token()}
        watching = begin_watch(self.client_clock, parser().parse_args(arguments), environ, self.out, self.err)  # type: ignore[arg-type]  # a reactor.
        watching.addErrback(lambda failure: None)
        self.addCleanup(watching.cancel)
        return watching

    async def connections(self) -> float:
        """The open feeds."""
        text = await (await self.request("GET", "/metrics")).text()
        return sum(samples(text, "craftnet_connections").values())

    async def shows(self, text: str) -> None:
        await until(lambda: text in self.out.getvalue())

    async def phone(self) -> Peer:
        return await self.open(f"/ws/queue/{PLAYER}?device=phone", token())


class WatchTests(WatchingTestCase):
    async def test_shows_who_is_there_and_what_was_seen(self) -> None:
        await self.publish(started())
        self.begin("--device", "terminal")
        await self.shows("devices: terminal (here)\n")
        phone = await self.phone()
        await self.shows("devices: terminal (here), phone\n")
        await self.publish(
            envelope(
                "crafting.queue.update",
                {"player_id": str(PLAYER), "queue_position": 3, "station_type": "laboratory"},
            )
        )
        while (place := await phone.receive())["type"] != "queue_position":
            pass
        report = {"type": "dismissed", "epoch": place["epoch"], "version": place["version"]}
        await phone.send(msgspec.json.encode(report).decode())
        await self.shows("dismissed on phone: place 3 in the queue for the laboratory\n")

    async def test_as_json(self) -> None:
        await self.publish(started())
        self.begin("--device", "terminal", "--json")
        await self.shows('"type":"devices"')
        (line,) = [line for line in self.out.getvalue().splitlines() if '"devices"' in line]
        message = msgspec.json.decode(line)
        self.assertEqual((message["transport"], message["devices"][0]["name"]), ("ws", "terminal"))

    async def test_on_a_live_display(self) -> None:
        await self.publish(started())
        self.begin("--device", "terminal", out=Terminal())
        await self.shows("devices: terminal (here)")
        await self.phone()
        await self.shows("devices: terminal (here), phone")

    async def test_the_device_leaves_with_the_watch(self) -> None:
        await self.publish(started())
        watching = self.begin("--device", "terminal")
        await self.shows("devices: terminal (here)\n")
        phone = await self.phone()
        self.assertEqual(online(await phone.receive()), {"terminal": True, "phone": True})
        watching.cancel()
        while await self.connections() > 1:
            pass
        self.clock.advance(GRACE + 2)
        self.assertEqual(online(await phone.receive()), {"terminal": False, "phone": True})

    async def test_another_player(self) -> None:
        """An observer may watch the craft, and is no device of the player."""
        await self.publish(started())
        self.begin("--device", "terminal", bearer=token(None, ADMIN))
        await self.shows("active")
        await until(lambda: "no devices: " in self.err.getvalue())
        self.assertIn("Only the player's own token registers a device", self.err.getvalue())


class WithoutDevicesTests(WatchingTestCase):
    settings = LiveTestCase.settings

    async def test_says_so(self) -> None:
        await self.publish(started())
        self.begin("--device", "terminal")
        await self.shows("active")
        self.client_clock.advance(REGISTRATION_TIMEOUT)
        await until(lambda: NO_DEVICES in self.err.getvalue())


class Listener:
    def __init__(self) -> None:
        self.messages: list[DeviceMessage] = []
        self.reasons: list[str] = []

    def device_message(self, message: DeviceMessage) -> None:
        self.messages.append(message)

    def queue_message(self, message: WebSocketQueueMessage) -> None:
        pass

    def no_devices(self, reason: str) -> None:
        self.reasons.append(reason)


class FeedTests(TestCase):
    async def test_registers_again_after_a_lost_connection(self) -> None:
        registered = to_json(all_devices(terminal=True))
        server = ScriptedServer(Play([registered], CloseCode.GOING_AWAY), Play([b"nonsense"]), Play([registered]))
        self.addCleanup(server.stop)
        listener = Listener()
        feed = DeviceFeed(
            steady(reactor),
            Address(server.url),
            PLAYER,
            "my terminal",
            Credentials("a.b.c"),
            listener,
            Backoff(uniform=lambda low, high: low),
        )
        feed.start()
        await until(lambda: len(listener.messages) == 2)
        feed.stop()
        self.assertEqual([path for _, path, _ in server.requests], [f"/ws/queue/{PLAYER}?device=my%20terminal"] * 3)
        self.assertEqual(listener.reasons, [])


class WordsTests(SynchronousTestCase):
    def said(self, known: KnownDevices, *messages: DeviceMessage) -> list[str]:
        return [words for message in messages for words in known.device_message(message)]

    def test_presence(self) -> None:
        known = KnownDevices("desk")
        self.assertEqual(known.presence, "")
        self.assertEqual(self.said(known, all_devices(desk=True)), ["devices: desk (here)"])
        self.assertEqual(
            self.said(known, all_devices(desk=True, phone=False)), ["devices: desk (here); away: phone since 10:30"]
        )
        self.assertEqual(self.said(known, all_devices(desk=True, phone=False)), [])

    def test_cursors(self) -> None:
        known = KnownDevices("desk")
        for version, kind in ((5, "queue_position"), (8, "station_available")):
            known.queue_message(
                msgspec.convert(
                    {
                        "type": kind,
                        "player_id": str(PLAYER),
                        "timestamp": AT,
                        "queue_position": 1,
                        "epoch": "e",
                        "version": version,
                    },
                    WebSocketQueueMessage,
                )
            )
        for message, wanted in (
            (moved("phone", seen=5), ["seen on phone: place 1 in the queue"]),
            (moved("phone", seen=5), []),
            (moved("phone", seen=8, dismissed=7), ["dismissed on phone: place 1 in the queue"]),
            (moved("desk", seen=8, dismissed=8), ["dismissed on desk: station available, place 1 in the queue"]),
            (moved("phone", SESSION, seen=9), [f"seen on phone: craft {SESSION}, up to version 9"]),
            (DeviceRefused(timestamp=AT, code=429, message="Too\nmany."), ["the server refused: Too\ufffdmany."]),
        ):
            self.assertEqual(self.said(known, message), wanted)

    def test_what_was_dismissed_before(self) -> None:
        known = KnownDevices("desk")
        cursors = [DeviceCursor(epoch="e", seen=5, dismissed=5)]
        self.assertEqual(
            self.said(known, all_devices(cursors, desk=True)),
            ["devices: desk (here)", "dismissed before: the queue, up to version 5"],
        )

    def test_a_name_that_is_none(self) -> None:
        err = StringIO()
        self.patch(sys, "stderr", err)
        arguments = ["watch", "--player", str(PLAYER), "--device", " phone"]
        self.assertEqual(self.assertRaises(SystemExit, parser().parse_args, arguments).code, 2)
        self.assertIn("device takes a name of 1 to 32 printable characters", err.getvalue())
