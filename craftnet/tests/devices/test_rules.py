"""Tests for `craftnet.devices.rules`, and properties of all sequences of changes."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from craftnet.contract.devices import DeviceReport, Dismissed, Seen
from craftnet.devices import rules
from craftnet.devices.rules import MAX_CURSORS, MAX_DEVICES, QUEUE, RETENTION, Cursor, PlayerDevices
from craftnet.errors import TooManyRequests
from craftnet.tests.support.samples import NOW, SESSION

EPOCH = "e1"
_names = st.sampled_from(("phone", "desk", "tablet"))
_nodes = st.sampled_from(("a", "b"))
_reports = st.builds(
    lambda kind, version, epoch, session: kind(epoch=epoch, version=version, session_id=session),
    st.sampled_from((Seen, Dismissed)),
    st.integers(1, 9),
    st.sampled_from((EPOCH, "e2")),
    st.sampled_from((None, SESSION)),
)
_steps = st.lists(
    st.one_of(
        st.tuples(st.just("arrived"), _names, _nodes),
        st.tuples(st.just("left"), _names, _nodes),
        st.tuples(st.just("gone"), _nodes),
        st.tuples(st.just("reported"), _names, _reports),
    ),
    max_size=12,
)


def applied(state: PlayerDevices, step: tuple[Any, ...], now: float) -> PlayerDevices:
    """The state after one change."""
    match step:
        case ("arrived", name, node):
            return rules.arrived(state, name, node, now)
        case ("left", name, node):
            return rules.left(state, name, node, now)
        case ("gone", node):
            return rules.nodes_gone(state, {node}, now)
        case (_, name, report):
            return rules.reported(state, name, report)
    raise AssertionError(step)


def connected(*names: str) -> PlayerDevices:
    """The state with these devices, all connected to one node."""
    state = PlayerDevices()
    for name in names:
        state = rules.arrived(state, name, "a", NOW)
    return state


def cursor(state: PlayerDevices, name: str, feed: str = QUEUE) -> Cursor | None:
    """One cursor of a device."""
    device = state.get(name)
    return None if device is None else device.cursors.get(feed)


_moves = st.lists(
    st.one_of(st.tuples(st.just("reported"), _names, _reports), st.tuples(st.just("left"), _names, _nodes)),
    min_size=6,
    max_size=16,
)
"""Mostly reports, so that many are about the same feed."""

EXAMPLES = settings(max_examples=60, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])


class DevicePropertyTests(SynchronousTestCase):
    @EXAMPLES
    @given(_moves)
    def test_cursors_never_move_back(self, steps: list[tuple[Any, ...]]) -> None:
        state = connected("phone", "desk", "tablet")
        for number, step in enumerate(steps):
            before, state = state, applied(state, step, NOW + number)
            for device in before.devices:
                for feed, known in device.cursors.items():
                    after = cursor(state, device.name, feed)
                    assert after is not None
                    if after.epoch == known.epoch:
                        self.assertGreaterEqual((after.seen, after.dismissed), (known.seen, known.dismissed))
                        self.assertGreaterEqual(after.dismissed, known.dismissed)
                    self.assertLessEqual(after.dismissed, after.seen)

    @EXAMPLES
    @given(_steps)
    def test_version_grows_with_every_change_and_with_no_other(self, steps: list[tuple[Any, ...]]) -> None:
        state = PlayerDevices()
        for number, step in enumerate(steps):
            before, state = state, applied(state, step, NOW + number)
            if state is before:
                continue
            self.assertNotEqual(state.devices, before.devices)
            self.assertGreater(state.version, before.version)

    @EXAMPLES
    @given(_steps)
    def test_online_as_long_as_any_node_has_it(self, steps: list[tuple[Any, ...]]) -> None:
        state, expected = PlayerDevices(), dict[str, set[str]]()
        for number, step in enumerate(steps):
            state = applied(state, step, NOW + number)
            match step:
                case ("arrived", name, node):
                    expected.setdefault(name, set()).add(node)
                case ("left", name, node):
                    expected.get(name, set()).discard(node)
                case ("gone", node):
                    for nodes in expected.values():
                        nodes.discard(node)
        self.assertEqual({device.name: set(device.nodes) for device in state.devices}, expected)

    @EXAMPLES
    @given(_steps)
    def test_stored_and_read_again(self, steps: list[tuple[Any, ...]]) -> None:
        state = PlayerDevices()
        for number, step in enumerate(steps):
            state = applied(state, step, NOW + number)
        self.assertEqual(msgspec.json.decode(msgspec.json.encode(state), type=PlayerDevices), state)

    @EXAMPLES
    @given(st.lists(st.tuples(_names, _reports), max_size=20))
    def test_furthest_does_not_depend_on_the_order(self, reports: list[tuple[str, DeviceReport]]) -> None:
        def after(ordered: list[tuple[str, DeviceReport]]) -> dict[str, Cursor]:
            state = connected("phone", "desk", "tablet")
            for name, report in ordered:
                state = rules.reported(state, name, report)
            return rules.furthest(state, EPOCH)

        present = [(name, report) for name, report in reports if report.epoch == EPOCH]
        self.assertEqual(after(present), after(present[::-1]))


class DeviceRuleTests(SynchronousTestCase):
    def test_dismissed_is_seen(self) -> None:
        state = rules.reported(connected("phone"), "phone", Dismissed(epoch=EPOCH, version=5))
        self.assertEqual(cursor(state, "phone"), Cursor(EPOCH, 5, 5))

    def test_another_epoch_replaces_a_cursor(self) -> None:
        state = rules.reported(connected("phone"), "phone", Dismissed(epoch=EPOCH, version=5))
        state = rules.reported(state, "phone", Seen(epoch="e2", version=1))
        self.assertEqual(cursor(state, "phone"), Cursor("e2", 1, 0))
        self.assertEqual(rules.furthest(state, EPOCH), {})

    def test_two_connections_of_one_name_on_two_nodes(self) -> None:
        both = rules.arrived(connected("phone"), "phone", "b", NOW + 5)
        one = rules.left(both, "phone", "a", NOW + 9)
        self.assertEqual([(device.nodes, device.since) for device in one.devices], [(("b",), NOW)])
        none = rules.left(one, "phone", "b", NOW + 9)
        self.assertEqual([(device.online, device.since) for device in none.devices], [(False, NOW + 9)])

    def test_the_device_that_left_first_gives_way(self) -> None:
        state = connected(*(str(number) for number in range(MAX_DEVICES)))
        self.assertRaises(TooManyRequests, rules.arrived, state, "new", "a", NOW)
        state = rules.left(rules.left(state, "5", "a", NOW + 1), "2", "a", NOW + 2)
        state = rules.arrived(state, "new", "a", NOW + 3)
        self.assertEqual((len(state.devices), state.get("5")), (MAX_DEVICES, None))
        self.assertIsNotNone(state.get("2"))

    def test_a_device_that_left_long_ago_is_forgotten(self) -> None:
        state = rules.left(connected("phone"), "phone", "a", NOW)
        state = rules.arrived(state, "desk", "a", NOW + RETENTION + 1)
        self.assertEqual(rules.presence(state), [("desk", True)])

    def test_its_cursors_wait_for_a_device_that_returns(self) -> None:
        state = rules.reported(connected("phone"), "phone", Seen(epoch=EPOCH, version=5))
        state = rules.left(state, "phone", "a", NOW)
        state = rules.arrived(state, "phone", "a", NOW + RETENTION - 1)
        self.assertEqual(cursor(state, "phone"), Cursor(EPOCH, 5))

    def test_cursors_are_bounded_and_that_of_the_queue_stays(self) -> None:
        state = rules.reported(connected("phone"), "phone", Seen(epoch=EPOCH, version=1))
        for number in range(2 * MAX_CURSORS):
            session = SESSION.__class__(int=number)
            state = rules.reported(state, "phone", Seen(epoch=EPOCH, version=1, session_id=session))
        (device,) = state.devices
        self.assertEqual((len(device.cursors), QUEUE in device.cursors), (MAX_CURSORS, True))
        self.assertIn(str(session), device.cursors)

    def test_a_state_that_was_lost_is_not_older_than_before(self) -> None:
        before = rules.left(connected("phone"), "phone", "a", NOW + 1)
        self.assertGreater(rules.arrived(PlayerDevices(), "phone", "a", NOW + 2).version, before.version)
