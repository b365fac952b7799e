"""Tests for `craftnet.limits.connection_limits`."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from craftnet.errors import TooManyRequests
from craftnet.limits.connection_limits import ConnectionSlot, ConnectionSlots, Limits
from craftnet.tests.support.samples import NOW, OTHER_PLAYER, OTHER_SESSION, PLAYER, SESSION

LIMITS = Limits(connections=10, per_address=5, per_player=3, per_session=2)


class OccupancyTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.occupancy = ConnectionSlots(LIMITS)

    def refused(self, address: str | None = None) -> str:
        error = self.assertRaises(TooManyRequests, self.occupancy.take, address, NOW)
        self.assertEqual(error.headers["Retry-After"], "5")
        return str(error.headers["X-RateLimit-Limit"])

    def test_in_all(self) -> None:
        slots = [self.occupancy.take(None, NOW) for _ in range(10)]
        self.assertEqual(self.refused(), "10")
        self.occupancy.release(slots[0])
        self.occupancy.take("a", NOW)
        self.assertEqual(len(self.occupancy), 10)

    def test_per_address(self) -> None:
        slots = [self.occupancy.take("a", NOW) for _ in range(5)]
        self.assertEqual(self.refused("a"), "5")
        self.occupancy.take("b", NOW)
        self.occupancy.release(slots[0])
        self.occupancy.take("a", NOW)

    def test_per_player_and_session(self) -> None:
        def enter(player: object, session: object) -> ConnectionSlot:
            slot = self.occupancy.take(None, NOW)
            self.occupancy.assign(slot, player, session, NOW)  # type: ignore[arg-type]  # samples are UUIDs.
            return slot

        first = enter(PLAYER, SESSION)
        enter(PLAYER, SESSION)
        self.assertEqual(
            self.assertRaises(TooManyRequests, enter, OTHER_PLAYER, SESSION).headers["X-RateLimit-Limit"], "2"
        )
        enter(PLAYER, OTHER_SESSION)
        self.assertEqual(self.assertRaises(TooManyRequests, enter, PLAYER, None).headers["X-RateLimit-Limit"], "3")
        enter(None, OTHER_SESSION)
        self.occupancy.release(first)
        enter(PLAYER, SESSION)

    def test_zero_is_no_limit(self) -> None:
        occupancy = ConnectionSlots(Limits(connections=0, per_address=0, per_player=0, per_session=0))
        for _ in range(1000):
            occupancy.assign(occupancy.take("a", NOW), PLAYER, SESSION, NOW)
        self.assertEqual(len(occupancy), 1000)

    @settings(deadline=None, derandomize=True)
    @given(
        st.lists(
            st.tuples(
                st.sampled_from([None, "a", "b"]),
                st.sampled_from([None, PLAYER, OTHER_PLAYER]),
                st.sampled_from([None, SESSION]),
            ),
            max_size=40,
        )
    )
    def test_released_slots_leave_nothing_behind(self, connections: list[tuple[str | None, object, object]]) -> None:
        """Refused ones included: afterwards every player that had a slot gets one again."""
        occupancy, slots = ConnectionSlots(LIMITS), []
        for address, player, session in connections:
            try:
                slots.append(occupancy.take(address, NOW))
                occupancy.assign(slots[-1], player, session, NOW)  # type: ignore[arg-type]  # samples are UUIDs.
            except TooManyRequests:
                pass
        for slot in slots:
            occupancy.release(slot)
        self.assertEqual(len(occupancy), 0)
        for _ in range(2):
            occupancy.assign(occupancy.take("a", NOW), PLAYER, SESSION, NOW)
