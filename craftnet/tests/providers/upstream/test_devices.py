"""The devices of players at edges: those of two edges and of the core meet in the core."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from uuid import UUID

from twisted.trial.unittest import SynchronousTestCase

from craftnet.contract.devices import DeviceCursorMessage, DeviceRefused, DevicesMessage, Dismissed, Seen
from craftnet.contract.position import Position
from craftnet.devices.registry import GRACE
from craftnet.devices.rules import MAX_DEVICES
from craftnet.feeds import relay_devices
from craftnet.providers.memory.backend import MemoryBackend, MemorySettings
from craftnet.tests.support.edges import Core, Edge
from craftnet.tests.support.fakes import RecordingWatcher, SteppedClock
from craftnet.tests.support.samples import NOW, OTHER_PLAYER, PLAYER


class Client(RecordingWatcher):
    """A connection of a device."""

    def take(self) -> list[object]:
        """What each message since the last call says."""
        received, self.updates = [message for update in self.updates for message in update.messages], []
        return [_said(message) for message in received]


def _said(message: object) -> object:
    match message:
        case DevicesMessage(devices=devices):
            return {device.name: device.online for device in devices}
        case DeviceCursorMessage(device=device, cursor=cursor):
            return device, cursor.seen, cursor.dismissed
        case DeviceRefused(code=code):
            return code
    return message


class EdgeDevicesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = SteppedClock(NOW)
        self.core = Core(MemoryBackend(self.clock, MemorySettings()), self.clock)
        self.calls: deque[tuple[Callable[..., object], tuple[object, ...]]] = deque()
        self.edge, self.other = self.new_edge(), self.new_edge()

    def new_edge(self) -> Edge:
        edge = Edge(self.core, self.clock, later=lambda function, *arguments: self.calls.append((function, arguments)))
        self.settle()
        return edge

    def settle(self) -> None:
        """Carries all messages."""
        while self.calls:
            function, arguments = self.calls.popleft()
            function(*arguments)

    def device(self, at: Edge | Core, name: str, player_id: UUID = PLAYER) -> Client:
        client = Client()
        at.devices.register(player_id, name, client)
        self.settle()
        return client

    def report(self, at: Edge, client: Client, report: Seen | Dismissed, newest: int = 9) -> None:
        at.devices.report(PLAYER, client, report, Position(self.core.hub.epoch, newest))
        self.settle()

    def seen(self, version: int) -> Seen:
        return Seen(epoch=self.core.hub.epoch, version=version)

    def test_devices_of_two_edges_and_the_core_see_each_other(self) -> None:
        phone, desk = self.device(self.edge, "phone"), self.device(self.other, "desk")
        page = self.device(self.core, "page")
        everything = {"phone": True, "desk": True, "page": True}
        self.assertEqual([each.take()[-1] for each in (phone, desk, page)], [everything] * 3)
        stranger = self.device(self.edge, "phone", OTHER_PLAYER)
        self.assertEqual((stranger.take(), phone.take()), ([{"phone": True}], []))

    def test_one_cursor(self) -> None:
        phone, desk = self.device(self.edge, "phone"), self.device(self.other, "desk")
        self.report(self.edge, phone, self.seen(5))
        self.report(self.other, desk, Dismissed(epoch=self.core.hub.epoch, version=4))
        moved = [("phone", 5, 0), ("desk", 5, 4)]
        self.assertEqual([phone.take()[-2:], desk.take()[-2:]], [moved, moved])
        self.report(self.edge, phone, self.seen(3))
        self.assertEqual(phone.take(), [])

    def test_a_message_crosses_once_for_all_devices_of_an_edge(self) -> None:
        clients = [self.device(self.edge, name) for name in ("phone", "desk", "page")]
        before = len(self.edge.received)
        self.report(self.edge, clients[0], self.seen(5))
        self.assertEqual(len(self.edge.received) - before, 1)
        self.assertEqual([each.take()[-1] for each in clients], [("phone", 5, 0)] * 3)

    def test_a_device_that_leaves_counts_as_connected_for_a_while(self) -> None:
        phone, desk = self.device(self.edge, "phone"), self.device(self.edge, "desk")
        self.edge.devices.unregister(PLAYER, desk)
        self.edge.devices.unregister(PLAYER, desk)
        self.settle()
        phone.take()
        self.clock.advance(GRACE)
        self.core.devices.turn()
        self.settle()
        self.assertEqual(phone.take(), [{"phone": True, "desk": False}])
        self.assertEqual(len(self.edge.devices), 1)

    def test_devices_of_an_edge_that_comes_back_were_there_all_the_time(self) -> None:
        phone, desk = self.device(self.edge, "phone"), self.device(self.other, "desk")
        self.edge.disconnect()
        self.report(self.edge, phone, self.seen(5))
        self.assertEqual(phone.take()[-1], 503)
        desk.take()
        self.edge.connect(self.core)
        self.settle()
        self.clock.advance(GRACE + 1)
        self.core.devices.turn()
        self.settle()
        self.assertEqual((phone.take(), desk.take()), ([{"phone": True, "desk": True}], []))
        self.report(self.edge, phone, self.seen(5))
        self.assertEqual(desk.take(), [("phone", 5, 0)])

    def test_devices_of_an_edge_that_stays_away_leave(self) -> None:
        self.device(self.edge, "phone")
        desk = self.device(self.other, "desk")
        desk.take()
        self.edge.disconnect()
        self.clock.advance(GRACE)
        self.core.devices.turn()
        self.settle()
        self.assertEqual(desk.take(), [{"phone": False, "desk": True}])

    def test_the_core_refuses_a_device_too_many(self) -> None:
        clients = [self.device(self.edge, f"d{number}") for number in range(MAX_DEVICES + 1)]
        self.assertEqual(clients[-1].take(), [429])
        self.assertNotIn(429, clients[0].take())
        self.report(self.edge, clients[-1], self.seen(5))
        self.assertEqual(clients[-1].take(), [])

    def test_the_core_refuses_a_connection_too_many(self) -> None:
        self.patch(relay_devices, "MAX_CONNECTIONS", 1)
        self.device(self.edge, "phone")
        self.assertEqual(self.device(self.edge, "desk").take(), [429])

    def test_the_edge_refuses_what_it_did_not_send(self) -> None:
        phone = self.device(self.edge, "phone")
        phone.take()
        before = len(self.edge.received)
        self.report(self.edge, phone, self.seen(10))
        self.report(self.edge, phone, Seen(epoch="other", version=1))
        self.edge.devices.report(PLAYER, phone, self.seen(1), None)
        self.report(self.edge, Client(), self.seen(1))
        self.assertEqual(phone.take(), [400] * 3)
        self.assertEqual(len(self.edge.received), before)
        self.assertEqual(
            self.edge.metrics.registry.get_sample_value("craftnet_device_reports_total", {"verdict": "refused"}), 3
        )

    def test_a_core_without_devices(self) -> None:
        self.core.relay.devices = None
        edge = self.new_edge()
        phone = self.device(edge, "phone")
        self.report(edge, phone, self.seen(1))
        self.assertEqual(phone.take(), [404, 404])
        edge.disconnect()
        self.core.relay.devices = self.core.devices
        edge.connect(self.core)
        self.settle()
        self.assertEqual(phone.take(), [{"phone": True}])

    def test_a_device_that_comes_before_the_core_waits(self) -> None:
        self.edge.disconnect()
        phone = self.device(self.edge, "phone")
        self.assertEqual(phone.take(), [])
        self.edge.connect(self.core)
        self.settle()
        self.assertEqual(phone.take(), [{"phone": True}])

    def test_connected_devices_are_counted_by_name(self) -> None:
        phone, again = self.device(self.edge, "phone"), self.device(self.edge, "phone")
        counted = self.edge.metrics.registry.get_sample_value
        self.assertEqual(counted("craftnet_devices"), 1)
        self.edge.devices.unregister(PLAYER, phone)
        self.assertEqual(counted("craftnet_devices"), 1)
        self.edge.devices.unregister(PLAYER, again)
        self.assertEqual(counted("craftnet_devices"), 0)
