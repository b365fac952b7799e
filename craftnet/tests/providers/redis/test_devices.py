"""Tests for `craftnet.providers.redis.devices`: two nodes on a real Redis, whose turns the test makes."""

from __future__ import annotations

from functools import partial
from uuid import UUID

from twisted.internet.defer import gatherResults

from craftnet.contract.devices import Seen
from craftnet.devices.rules import MAX_DEVICES, PlayerDevices, arrived, left, presence, reported
from craftnet.errors import TooManyRequests
from craftnet.providers.redis.devices import TURN_SECONDS, TURNS_PER_RENEWAL, RedisDevices
from craftnet.providers.redis.key_names import KeyNames
from craftnet.tests.support.eventually import until
from craftnet.tests.support.fakes import SteppedClock
from craftnet.tests.support.redis_nodes import RedisTestCase
from craftnet.tests.support.samples import NOW, OTHER_PLAYER, PLAYER


class RedisDevicesTests(RedisTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.clock = SteppedClock(NOW)
        self.keys = KeyNames(self.prefix)
        self.link = self.backend().asking
        self.nodes: dict[str, RedisDevices] = {}
        self.here, self.there = self.node("here"), self.node("there")
        self.states: list[PlayerDevices] = []
        self.here.follow(lambda player_id, state: self.states.append(state))

    def node(self, name: str) -> RedisDevices:
        """One that has notices from the others."""
        node = self.nodes[name] = RedisDevices(name, self.link, self.keys, self.clock)
        node.notify = lambda other, player_id: self.nodes[other].changed(player_id)
        node.watch(PLAYER)
        node.startService()
        self.addCleanup(lambda: node.running and node.stopService())
        return node

    async def device_on(self, node: RedisDevices, name: str) -> PlayerDevices:
        return await node.update(PLAYER, partial(arrived, name=name, node=node.node, now=NOW))

    async def turns(self, number: int = TURNS_PER_RENEWAL) -> None:
        """Let this many turns be made, and end."""
        for _ in range(number):
            self.clock.advance(TURN_SECONDS)
            await self.link.ask("PING")
            await self.link.ask("PING")

    async def test_changes_reach_the_other_node(self) -> None:
        await self.device_on(self.here, "phone")
        state = await self.device_on(self.there, "desk")
        self.assertEqual(presence(state), [("phone", True), ("desk", True)])
        await until(lambda: self.states[-1] == state)

    async def test_reports_at_the_same_time(self) -> None:
        """Whichever node writes first, no report is lost."""
        await self.device_on(self.here, "phone")
        sessions = [UUID(int=number) for number in range(8)]
        reports = [
            node.update(PLAYER, partial(reported, name="phone", report=Seen(epoch="e1", version=1, session_id=session)))
            for node, session in zip([self.here, self.there] * 4, sessions, strict=True)
        ]
        await gatherResults(reports)
        state = await self.here.update(PLAYER, lambda state: state)
        (device,) = state.devices
        self.assertEqual(sorted(device.cursors), [str(session) for session in sessions])

    async def test_a_refused_change_changes_nothing(self) -> None:
        for number in range(MAX_DEVICES):
            before = await self.device_on(self.here, f"device {number}")
        with self.assertRaises(TooManyRequests):
            await self.device_on(self.there, "one more")
        self.assertEqual(await self.there.update(PLAYER, lambda state: state), before)

    async def test_the_devices_of_a_node_that_ended(self) -> None:
        await self.device_on(self.here, "phone")
        await self.device_on(self.there, "desk")
        await self.there.stopService()
        await self.lapse(self.there)
        await self.turns()
        await until(lambda: presence(self.states[-1]) == [("phone", True), ("desk", False)])

    async def lapse(self, node: RedisDevices) -> None:
        """As if its lease had expired."""
        names = self.keys.of_devices
        await self.link.ask("HDEL", names.entries, node.node)
        await self.link.ask("ZREM", names.entry_ends, node.node)

    async def test_a_node_that_started_again_under_the_same_name(self) -> None:
        """What it had before counts as gone once that lease has expired, not as connected to the new one."""
        await self.device_on(self.here, "phone")
        await self.here.stopService()
        await self.lapse(self.here)
        again = self.node("here")
        state = await self.device_on(again, "desk")
        self.assertEqual(presence(state), [("phone", False), ("desk", True)])

    async def test_a_node_that_just_started_is_not_taken_for_dead(self) -> None:
        await self.turns(1)
        new = self.node("new")
        await self.device_on(new, "tablet")
        state = await self.device_on(self.here, "phone")
        self.assertEqual(presence(state), [("tablet", True), ("phone", True)])

    async def test_a_lost_notice(self) -> None:
        self.there.notify = lambda name, player_id: None
        await self.device_on(self.here, "phone")
        state = await self.device_on(self.there, "desk")
        self.assertNotEqual(self.states[-1], state)
        await self.turns(1)
        await until(lambda: self.states[-1] == state)

    async def test_other_players_and_those_that_are_no_longer_watched(self) -> None:
        await self.here.update(OTHER_PLAYER, partial(arrived, name="phone", node=self.here.node, now=NOW))
        self.here.unwatch(PLAYER)
        await self.device_on(self.there, "desk")
        await self.turns(1)
        self.assertEqual([state for state in self.states if state.devices], [])

    async def test_what_is_kept_expires(self) -> None:
        await self.device_on(self.here, "phone")
        await self.here.update(PLAYER, partial(left, name="phone", node=self.here.node, now=NOW))
        days = await self.link.ask("TTL", self.keys.devices(PLAYER)) / 86400
        self.assertTrue(6.9 < days <= 7, days)
