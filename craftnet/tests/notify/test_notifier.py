"""Tests for `craftnet.notify.notifier`."""

from __future__ import annotations

from uuid import UUID

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from craftnet.contract.events import EventData, QueueUpdate, SessionComplete
from craftnet.contract.messages import QueueMessageType
from craftnet.interfaces import ISharedConnectionSlots
from craftnet.notify.notices import Notice
from craftnet.notify.notifier import Notifier
from craftnet.providers.memory.backend import MemoryBackend, MemorySettings
from craftnet.providers.sources import Sources
from craftnet.tests.support.fakes import SteppedClock
from craftnet.tests.support.samples import NOW, PLAYER, SESSION, event, start

FREE = QueueUpdate(player_id=PLAYER, queue_position=1, type=QueueMessageType.STATION_AVAILABLE)
COMPLETE = SessionComplete(session_id=SESSION, result_item_id=UUID(int=1))


@implementer(ISharedConnectionSlots)
class OtherNodes:
    """Players with connections there."""

    complete = True

    def __init__(self) -> None:
        self.players: set[UUID] = set()
        self.taken = 0

    def enter(self, player_id: UUID, limit: int) -> Deferred[bool]:
        """As in `ISharedConnectionSlots`."""
        free = player_id not in self.players
        self.taken += free
        return succeed(free)

    def leave(self, player_id: UUID) -> None:
        """As in `ISharedConnectionSlots`."""
        self.taken -= 1


class NotifierTests(SynchronousTestCase):
    def setUp(self) -> None:
        """A craft of a player, on a node of several."""
        self.sources = Sources.of(MemoryBackend(SteppedClock(), MemorySettings()))
        self.here: set[UUID] = set()
        self.others = OtherNodes()
        self.sent: list[Notice] = []
        self.notifier = Notifier(
            self.sources, lambda player_id, session_id: player_id in self.here, self.others, self.sent.append
        )
        self.notifier.startService()
        self.apply(start())

    def apply(self, *data: EventData) -> None:
        """Events of the authority."""
        events = [event(one, NOW + 1) for one in data]
        self.successResultOf(Deferred.fromCoroutine(self.sources.apply(events)))

    def test_without_a_connection(self) -> None:
        """The end of a craft names its player."""
        self.apply(COMPLETE, FREE)
        self.assertEqual(
            [(notice.type, notice.player_id) for notice in self.sent],
            [("craft_complete", PLAYER), ("station_available", PLAYER)],
        )
        self.assertEqual(self.others.taken, 0, "a slot that was taken to find out is given back")

    def test_connected_here(self) -> None:
        self.here.add(PLAYER)
        self.apply(COMPLETE, FREE)
        self.assertEqual(self.sent, [])

    def test_connected_to_another_node(self) -> None:
        self.others.players.add(PLAYER)
        self.apply(COMPLETE, FREE)
        self.assertEqual(self.sent, [])

    def test_beside_another_tap(self) -> None:
        """Both see the events."""
        seen: list[int] = []
        self.sources.sessions.tap = lambda events, outcomes: seen.append(len(events))  # type: ignore[attr-defined]
        self.notifier.startService()
        self.apply(COMPLETE)
        self.assertEqual((seen, len(self.sent)), ([1], 1))

    def test_stopped(self) -> None:
        self.notifier.stopService()
        self.apply(COMPLETE)
        self.assertEqual(self.sent, [])
