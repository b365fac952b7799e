"""A player's devices on whole services: over WebSocket and event streams, and divided among workers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

import msgspec
from twisted.trial.unittest import SynchronousTestCase
from websockets.exceptions import ConnectionClosed, InvalidStatus

from craftnet.access.principal import ADMIN
from craftnet.devices.registry import GRACE
from craftnet.errors import ConfigurationError
from craftnet.feeds.hub import Hub
from craftnet.nodes.node_group import NodeGroup
from craftnet.server.build.base import build_base
from craftnet.server.build.nodes import build_devices
from craftnet.server.reload import Reloader
from craftnet.server.settings import Settings
from craftnet.tests.support.divided_case import DividedTestCase
from craftnet.tests.support.event_source import StreamReader
from craftnet.tests.support.fakes import SteppedReactor
from craftnet.tests.support.live import LiveTestCase, Peer, envelope, in_thread, started, token
from craftnet.tests.support.nodes import Node
from craftnet.tests.support.redis_server import RedisServer
from craftnet.tests.support.samples import NOW, OTHER_PLAYER, PLAYER, SESSION


def queued(position: int, player_id: UUID = PLAYER) -> dict[str, Any]:
    """An event: the player's place in a queue."""
    data = {"player_id": str(player_id), "queue_position": position, "station_type": "laboratory"}
    return envelope("crafting.queue.update", data)


def report(kind: str, message: dict[str, Any]) -> str:
    """What a device reports about a message that it received."""
    about = {name: message[name] for name in ("epoch", "version", "session_id") if name in message}
    return msgspec.json.encode({"type": kind, **about}).decode()


def online(message: dict[str, Any]) -> dict[str, bool]:
    """The presence in a message."""
    return {device["name"]: device["online"] for device in message["devices"]}


class DevicesTests(LiveTestCase):
    settings = replace(LiveTestCase.settings, devices=True)

    async def device(self, name: str, feed: str = "queue", player_id: UUID = PLAYER) -> Peer:
        return await self.open(f"/ws/{feed}/{player_id}?device={name}", token(player_id))

    async def test_two_devices_share_what_was_seen(self) -> None:
        phone = await self.device("phone")
        self.assertEqual(online(await phone.receive()), {"phone": True})
        desk = await self.device("desk")
        for client in (phone, desk):
            self.assertEqual(online(await client.receive()), {"phone": True, "desk": True})
        await self.publish(queued(3))
        (place, other) = (await phone.receive(), await desk.receive())
        self.assertEqual(place, other)
        await phone.send(report("seen", place))
        await desk.send(report("dismissed", other))
        for client in (phone, desk):
            seen, dismissed = await client.receive(), await client.receive()
            self.assertEqual((seen["type"], seen["device"]), ("device_cursor", "phone"))
            self.assertEqual(seen["cursor"], {"epoch": place["epoch"], "seen": place["version"]})
            self.assertEqual((dismissed["device"], dismissed["cursor"]["dismissed"]), ("desk", place["version"]))
        late = await self.device("tablet", "player")
        await late.receive()  # the place in the queue.
        self.assertEqual((await late.receive())["cursors"], [dismissed["cursor"]])

    async def test_the_end_of_a_session_dismissed_on_another_device(self) -> None:
        await self.publish(started())
        phone, desk = await self.device("phone", "player"), await self.device("desk", "player")
        await self.publish(
            envelope("crafting.session.cancel", {"session_id": str(SESSION), "cancel_reason": "player_request"})
        )
        while (end := await desk.receive())["type"] != "crafting_failed":
            pass
        await desk.send(report("dismissed", end))
        while (moved := await phone.receive())["type"] != "device_cursor":
            pass
        self.assertEqual(
            moved["cursor"],
            {"session_id": str(SESSION), "epoch": end["epoch"], "seen": end["version"], "dismissed": end["version"]},
        )

    async def test_presence_outlasts_a_short_disconnection(self) -> None:
        phone, desk = await self.device("phone"), await self.device("desk")
        await desk.receive()
        await desk.close()
        desk = await self.device("desk")
        await desk.close()
        self.clock.advance(GRACE + 2)
        await phone.receive()
        self.assertEqual(online(await phone.receive()), {"phone": True, "desk": True})
        self.assertEqual(online(await phone.receive()), {"phone": True, "desk": False})

    async def test_an_event_stream_is_a_device_that_listens(self) -> None:
        phone = await self.device("phone")
        await phone.receive()
        path = f"/sse/queue/{PLAYER}?device=page"
        reader = await in_thread(StreamReader, self.url, path, token())
        self.addCleanup(in_thread, reader.close)
        expected = {"phone": True, "page": True}
        self.assertEqual(online(await phone.receive()), expected)
        self.assertEqual(online(msgspec.json.decode((await in_thread(reader.event)).data)), expected)

    async def test_a_snapshot_registers_nothing(self) -> None:
        headers = {"Authorization": f"Bearer {token()}"}
        response = await self.request("GET", f"/ws/queue/{PLAYER}?device=phone", headers=headers)
        self.assertEqual((await response.json())["messages"], [])
        self.assertEqual(online(await (await self.device("desk")).receive()), {"desk": True})

    async def test_a_wrong_report_is_answered(self) -> None:
        phone = await self.device("phone")
        await phone.receive()
        await phone.send("{}")
        await phone.send('{"type":"seen","epoch":"other","version":1}')
        answers = [await phone.receive(), await phone.receive()]
        self.assertEqual([(each["type"], each["code"]) for each in answers], [("device_refused", 400)] * 2)
        await self.publish(queued(1))
        self.assertEqual((await phone.receive())["queue_position"], 1)

    async def test_observers_register_nothing(self) -> None:
        for bearer, path, status in (
            (token(None, ADMIN), f"/ws/queue/{PLAYER}?device=phone", 403),
            (token(OTHER_PLAYER, ADMIN), f"/ws/player/{PLAYER}?device=phone", 403),
            (token(), f"/ws/queue/{PLAYER}?device=%0A", 400),
        ):
            with self.assertRaises(InvalidStatus) as caught:
                await self.open(path, bearer)
            self.assertEqual(caught.exception.response.status_code, status)
        observer = await self.open(f"/ws/queue/{PLAYER}", token(None, ADMIN))
        await self.device("phone")
        await observer.send('{"type":"seen","epoch":"e1","version":1}')
        with self.assertRaises(ConnectionClosed) as closed:
            await observer.receive()
        assert closed.exception.rcvd is not None
        self.assertEqual(closed.exception.rcvd.code, 1008)


class WithoutDevicesTests(LiveTestCase):
    async def test_the_name_has_no_effect(self) -> None:
        peer = await self.open(f"/ws/queue/{PLAYER}?device=phone", token())
        await self.publish(queued(3))
        self.assertEqual((await peer.receive())["queue_position"], 3)
        await peer.close()
        peer = await self.open(f"/ws/queue/{OTHER_PLAYER}", token(OTHER_PLAYER))
        await peer.send('{"type":"seen","epoch":"e1","version":1}')
        with self.assertRaises(ConnectionClosed):
            await peer.receive()


class DividedDevicesTests(DividedTestCase):
    settings = replace(DividedTestCase.settings, devices=True)

    async def test_devices_that_reach_different_workers(self) -> None:
        """Whichever worker accepts a connection, it is served by the player's own."""
        path = f"/ws/queue/{self.player}?device="
        phone = await self.open(path + "phone", token(self.player))
        await phone.receive()
        self.ws_url = self.other.listener.url.replace("http", "ws", 1)
        desk = await self.open(path + "desk", token(self.player))
        for client in (phone, desk):
            self.assertEqual(online(await client.receive()), {"phone": True, "desk": True})
        await self.publish(queued(2, self.player))
        await desk.send(report("seen", await desk.receive()))
        place = await phone.receive()
        self.assertEqual((await phone.receive())["cursor"]["seen"], place["version"])


class DevicesOnTwoNodesTests(LiveTestCase):
    """`self.service`, and a node in a process of its own, on one Redis."""

    async def setUp(self) -> None:  # type: ignore[override]  # trial awaits it; unittest would not.
        """Start both."""
        redis = RedisServer()
        self.addCleanup(redis.stop)
        redis.start()
        backend = f"redis:port={redis.port}"
        self.settings = replace(self.settings, backend=backend, devices=True)
        super().setUp()
        self.other = Node(["--http", "tcp:0:interface=127.0.0.1", "--udp", "off", "--backend", backend, "--devices"])
        self.addCleanup(self.other.end)
        await self.other.start()

    async def test_devices_of_two_nodes(self) -> None:
        """One test, because starting nodes takes seconds."""
        phone, desk = await self.they_see_each_other()
        await self.what_is_dismissed_on_one_is_known_on_the_other(phone, desk)
        await self.a_device_that_moves_to_the_other_node_was_there_all_the_time(phone, desk)

    async def device(self, name: str, url: str) -> Peer:
        self.ws_url = url.replace("http", "ws", 1)
        return await self.open(f"/ws/queue/{PLAYER}?device={name}", token())

    async def they_see_each_other(self) -> tuple[Peer, Peer]:
        phone = await self.device("phone", self.url)
        self.assertEqual(online(await phone.receive()), {"phone": True})
        desk = await self.device("desk", self.other.url)
        for client in (phone, desk):
            self.assertEqual(online(await client.receive()), {"phone": True, "desk": True})
        return phone, desk

    async def what_is_dismissed_on_one_is_known_on_the_other(self, phone: Peer, desk: Peer) -> None:
        await self.publish(queued(3))
        place = await phone.receive()
        self.assertEqual((await desk.receive())["version"], place["version"])
        await desk.send(report("dismissed", place))
        for client in (phone, desk):
            self.assertEqual((await client.receive())["cursor"]["dismissed"], place["version"])

    async def a_device_that_moves_to_the_other_node_was_there_all_the_time(self, phone: Peer, desk: Peer) -> None:
        await desk.close()
        desk = await self.device("desk", self.url)
        while (message := await desk.receive())["type"] != "devices":
            pass
        self.assertEqual(online(message), {"phone": True, "desk": True})
        await self.publish(queued(1))
        self.assertEqual((await phone.receive())["type"], "queue_position")


class RefusedSettingsTests(SynchronousTestCase):
    def test_a_shared_back_end_without_devices(self) -> None:
        settings = Settings(backend="redis:port=1", devices=True)
        base = build_base(settings, SteppedReactor(NOW), Reloader(settings, lambda: settings))
        backend: Any = base.state.backend
        backend.devices = None
        hub = Hub(base.state.sources, base.reactor, base.metrics)
        error = self.assertRaises(
            ConfigurationError, build_devices, base, hub, NodeGroup("here", None, base.reactor), None
        )
        self.assertIn("--devices needs a back end that keeps the devices of all nodes, such as redis", str(error))
