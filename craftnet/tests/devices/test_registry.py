"""Tests for `craftnet.devices.registry`, on the store in memory, which can be made unreachable."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
from twisted.internet.defer import Deferred, fail
from twisted.trial.unittest import SynchronousTestCase

from craftnet.contract.devices import DeviceCursorMessage, DeviceReport, DevicesMessage, Dismissed, Seen
from craftnet.contract.position import Position
from craftnet.devices.registry import GRACE, DeviceRegistry
from craftnet.devices.rules import MAX_DEVICES, PlayerDevices, nodes_gone
from craftnet.devices.store import MemoryDevices
from craftnet.errors import Unavailable
from craftnet.observe.metrics.registry import Metrics
from craftnet.tests.support.fakes import RecordingWatcher, SteppedClock
from craftnet.tests.support.samples import NOW, OTHER_PLAYER, PLAYER, SESSION

EPOCH = "e1"


class StoreWithOutages(MemoryDevices):
    """A store that a test can make unreachable."""

    reachable = True

    def update(self, player_id: UUID, rule: Any) -> Deferred[PlayerDevices]:
        """As in `MemoryDevices`, or a failure."""
        return super().update(player_id, rule) if self.reachable else fail(Unavailable("out of reach"))


class Client(RecordingWatcher):
    """A connection of a device."""

    @property
    def messages(self) -> list[Any]:
        """The messages received since the last call."""
        received = [message for update in self.updates for message in update.messages]
        self.updates.clear()
        return received

    @property
    def presence(self) -> list[list[tuple[str, bool]]]:
        """The presence of all devices, as each message since the last call has it."""
        return [
            [(device.name, device.online) for device in message.devices]
            for message in self.messages
            if isinstance(message, DevicesMessage)
        ]


class RegistryTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock, self.metrics, self.store = SteppedClock(NOW), Metrics(), StoreWithOutages()
        self.registry = DeviceRegistry(self.store, lambda: EPOCH, self.metrics, self.clock)

    def device(self, name: str, player_id: UUID = PLAYER) -> Client:
        client = Client()
        self.registry.register(player_id, name, client)
        return client

    def report(self, client: Client, report: DeviceReport, newest: int = 9, epoch: str = EPOCH) -> None:
        self.registry.report(PLAYER, client, report, Position(epoch, newest))

    def pass_seconds(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.registry.turn()

    def measured(self, name: str) -> float:
        value = self.metrics.registry.get_sample_value(name)
        return 0.0 if value is None else value

    def test_devices_see_each_other(self) -> None:
        phone = self.device("phone")
        self.assertEqual(phone.presence, [[("phone", True)]])
        desk = self.device("desk")
        self.assertEqual([phone.presence, desk.presence], [[[("phone", True), ("desk", True)]]] * 2)
        self.assertEqual(self.measured("craftnet_devices"), 2)

    def test_other_players_see_nothing(self) -> None:
        phone = self.device("phone")
        phone.updates.clear()
        self.device("desk", OTHER_PLAYER)
        self.assertEqual(phone.messages, [])

    def test_a_device_leaves_after_the_grace(self) -> None:
        phone, desk = self.device("phone"), self.device("desk")
        phone.updates.clear()
        self.registry.unregister(PLAYER, desk)
        self.pass_seconds(GRACE - 0.1)
        self.assertEqual(phone.messages, [])
        self.pass_seconds(0.2)
        self.assertEqual(phone.presence, [[("phone", True), ("desk", False)]])
        self.assertEqual(self.measured("craftnet_devices"), 1)

    def test_a_reconnection_within_seconds_is_not_seen(self) -> None:
        phone, desk = self.device("phone"), self.device("desk")
        phone.updates.clear()
        for _ in range(3):
            self.registry.unregister(PLAYER, desk)
            self.pass_seconds(GRACE - 1)
            desk = self.device("desk")
            self.pass_seconds(GRACE + 1)
        self.assertEqual((phone.messages, self.measured("craftnet_devices")), ([], 2))
        self.assertEqual(desk.presence, [[("phone", True), ("desk", True)]])

    def test_two_connections_are_one_device(self) -> None:
        phone, first, second = self.device("phone"), self.device("desk"), self.device("desk")
        phone.updates.clear()
        self.registry.unregister(PLAYER, first)
        self.pass_seconds(GRACE + 1)
        self.assertEqual((phone.messages, self.measured("craftnet_devices")), ([], 2))
        self.assertEqual(second.presence, [[("phone", True), ("desk", True)]])

    def test_a_cursor_is_shared(self) -> None:
        """What no device has seen before is sent to all; what one has seen already is only kept."""
        phone, desk = self.device("phone"), self.device("desk")
        self.report(phone, Seen(epoch=EPOCH, version=3))
        self.report(desk, Seen(epoch=EPOCH, version=3))
        self.report(desk, Dismissed(epoch=EPOCH, version=2))
        self.report(desk, Seen(epoch=EPOCH, version=1))  # moves nothing.
        for client in (phone, desk):
            moves = [message for message in client.messages if isinstance(message, DeviceCursorMessage)]
            self.assertEqual(
                [(move.device, move.cursor.seen, move.cursor.dismissed) for move in moves],
                [("phone", 3, 0), ("desk", 3, 2)],
            )
        verdicts = [
            self.metrics.registry.get_sample_value("craftnet_device_reports_total", {"verdict": verdict})
            for verdict in ("moved", "unchanged")
        ]
        self.assertEqual(verdicts, [3, 1])
        (message,) = self.device("tablet").messages
        self.assertEqual([device.cursors[0].seen for device in message.devices[:2]], [3, 3])

    def test_a_new_device_learns_the_cursors(self) -> None:
        self.report(self.device("phone"), Dismissed(epoch=EPOCH, version=4, session_id=SESSION))
        (message,) = self.device("desk").messages
        self.assertEqual([(one.session_id, one.seen, one.dismissed) for one in message.cursors], [(SESSION, 4, 4)])
        self.assertEqual([len(device.cursors) for device in message.devices], [1, 0])

    def test_refused_reports(self) -> None:
        phone, desk = self.device("phone"), self.device("desk")
        phone.updates.clear()
        desk.updates.clear()
        self.report(phone, Seen(epoch=EPOCH, version=10))
        self.report(phone, Seen(epoch="other", version=1))
        self.registry.report(PLAYER, phone, Seen(epoch=EPOCH, version=1, session_id=SESSION), None)
        refused = phone.messages
        self.assertEqual([(message.code, type(message).__name__) for message in refused], [(400, "DeviceRefused")] * 3)
        self.assertIn("9, got 10", refused[0].message)
        self.assertIn("not other", refused[1].message)
        self.assertIn(str(SESSION), refused[2].message)
        self.assertEqual(desk.messages, [])

    def test_too_many_devices(self) -> None:
        clients = [self.device(f"device {number}") for number in range(MAX_DEVICES)]
        extra = self.device("one more")
        self.assertEqual([message.code for message in extra.messages], [429])
        self.assertEqual(self.measured("craftnet_devices"), MAX_DEVICES)
        self.report(extra, Seen(epoch=EPOCH, version=1))
        self.assertEqual(extra.messages, [])
        self.registry.unregister(PLAYER, extra)
        self.registry.unregister(PLAYER, clients[0])
        self.pass_seconds(GRACE)
        self.assertEqual(len(self.device("one more").presence), 1)

    def test_an_unreachable_store(self) -> None:
        self.store.reachable = False
        phone = self.device("phone")
        self.pass_seconds(1)
        self.assertEqual(phone.messages, [])
        self.store.reachable = True
        self.pass_seconds(1)
        self.assertEqual(phone.presence, [[("phone", True)]])
        self.store.reachable = False
        self.report(phone, Seen(epoch=EPOCH, version=1))
        self.assertEqual([message.code for message in phone.messages], [503])
        self.registry.unregister(PLAYER, phone)
        self.pass_seconds(GRACE)
        self.store.reachable = True
        self.pass_seconds(1)
        self.assertEqual(self.device("desk").presence, [[("phone", False), ("desk", True)]])

    def test_a_store_that_took_this_node_for_dead(self) -> None:
        phone = self.device("phone")
        self.successResultOf(self.store.update(PLAYER, lambda state: nodes_gone(state, {self.store.node}, NOW)))
        self.pass_seconds(1)
        self.assertEqual(phone.presence, [[("phone", True)], [("phone", False)], [("phone", True)]])

    def test_nothing_is_kept_of_players_without_devices_here(self) -> None:
        phone = self.device("phone")
        self.registry.unregister(PLAYER, phone)
        self.registry.unregister(PLAYER, phone)  # once more.
        self.pass_seconds(GRACE)
        self.assertEqual((len(self.registry), self.store.watched), (0, 0))

    def test_what_waits_for_a_slow_client_is_the_newest(self) -> None:
        phone = self.device("phone")
        for version in (1, 2):
            self.report(phone, Seen(epoch=EPOCH, version=version))
        keys = [update.conflation_key for update in phone.updates]
        self.assertEqual(
            (keys, {update.conflatable for update in phone.updates}), (["devices", *[("cursor", None)] * 2], {True})
        )

    def test_as_json(self) -> None:
        phone = self.device("phone")
        self.report(phone, Seen(epoch=EPOCH, version=3))
        devices, moved = [msgspec.json.decode(update.json[0]) for update in phone.updates]
        self.assertEqual((devices["type"], devices["devices"][0]["name"]), ("devices", "phone"))
        self.assertEqual((moved["type"], moved["cursor"]), ("device_cursor", {"epoch": EPOCH, "seen": 3}))


class MemoryDevicesTests(SynchronousTestCase):
    def test_players_without_connections_give_way(self) -> None:
        store = MemoryDevices(capacity=2)
        store.watch(PLAYER)
        for player_id in (PLAYER, OTHER_PLAYER, SESSION, UUID(int=1)):
            self.successResultOf(store.update(player_id, lambda _: PlayerDevices(1)))
        self.assertEqual(len(store), 2)
        self.assertIn(PLAYER, store)
