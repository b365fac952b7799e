"""Tests for `craftnet.client.transports.translation`."""

from __future__ import annotations

from uuid import UUID

from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from craftnet.client.transports.translation import Translation
from craftnet.contract.messages import MaterialNotification, MaterialProblem, Status, WebSocketCraftingMessage, rfc3339
from craftnet.crafting.progress import Progress, percent_at
from craftnet.crafting.state import Material, MaterialsState, SessionState
from craftnet.crafting.updates import Update
from craftnet.protocols.udp.client.received_state import MaterialsChanged, ProgressChanged
from craftnet.tests.support.samples import COPPER, IRON, NOW, PLAYER, SESSION

SHORT = MaterialNotification(material_id=IRON, notification_type=MaterialProblem.INSUFFICIENT_QUANTITY)
GONE = MaterialNotification(material_id=COPPER, notification_type=MaterialProblem.MATERIAL_UNAVAILABLE)


def news(update: Update) -> list[tuple[UUID, MaterialProblem]]:
    """The materials and problems in an update's messages."""
    found = []
    for message in update.messages:
        assert isinstance(message, WebSocketCraftingMessage)
        assert message.material_data is not None
        found.append((message.material_data.material_id, message.material_data.notification_type))
    return found


class TranslationTests(SynchronousTestCase):
    """`Translation`"""

    def setUp(self) -> None:
        self.translation = Translation(SESSION, PLAYER)

    def table(self, *problems: MaterialNotification | None) -> Update:
        """Iron and copper, with these problems."""
        materials = (Material(IRON, 1, None, problems[0]), Material(COPPER, 1, None, problems[1]))
        return self.translation.materials(MaterialsChanged(MaterialsState(SESSION, 1, materials)), 0.0, NOW)

    def test_progress_on_two_clocks(self) -> None:
        """The server's clock is an hour ahead; the progress was anchored there 6 s ago."""
        event = ProgressChanged(SESSION, 4, Progress(Status.ACTIVE, 40.0, NOW + 3594.0, 60.0))
        update = self.translation.progress(event, 3600.0, NOW)
        [message] = update.messages
        assert isinstance(update.state, SessionState)
        assert isinstance(message, WebSocketCraftingMessage)
        assert message.progress_data is not None
        self.assertEqual(update.state.progress.anchor, NOW - 6.0)
        self.assertAlmostEqual(percent_at(update.state.progress, NOW), 46.0)
        self.assertEqual(message.timestamp, rfc3339(NOW + 3600.0))
        self.assertEqual((message.type, message.progress_data.progress_percentage), ("progress_update", 46))
        self.assertEqual((update.terminal, update.state.version), (False, 4))

    def test_a_better_clock(self) -> None:
        """With the offset, the previous progress is right, and no news."""
        self.assertIsNone(self.translation.corrected(3600.0, NOW))
        event = ProgressChanged(SESSION, 4, Progress(Status.ACTIVE, 40.0, NOW + 3594.0, 60.0))
        self.translation.progress(event, 3600.0, NOW)
        self.assertIsNone(self.translation.corrected(3600.0, NOW))
        update = self.translation.corrected(3597.0, NOW)
        assert update is not None and isinstance(update.state, SessionState)
        self.assertEqual((update.state.progress.anchor, update.messages), (NOW - 3.0, ()))
        self.assertIsNone(self.translation.corrected(3597.0, NOW))

    def test_a_clock_that_was_not_known(self) -> None:
        """A progress without a known offset is repeated."""
        event = ProgressChanged(SESSION, 4, Progress(Status.ACTIVE, 40.0, NOW + 3594.0, 60.0))
        guess = self.translation.progress(event, None, NOW)
        assert isinstance(guess.state, SessionState)
        self.assertEqual(guess.state.progress.anchor, NOW + 3594.0)
        update = self.translation.corrected(3600.0, NOW)
        assert update is not None and isinstance(update.state, SessionState)
        self.assertEqual((update.state.progress.anchor, len(update.messages)), (NOW - 6.0, 1))

    def test_what_stands_needs_no_clock(self) -> None:
        self.translation.progress(ProgressChanged(SESSION, 4, Progress(Status.PAUSED, 40.0, NOW, 60.0)), 1.0, NOW)
        self.assertIsNone(self.translation.corrected(2.0, NOW))

    def test_last_words(self) -> None:
        for status, kind in ((Status.COMPLETED, "crafting_complete"), (Status.FAILED, "crafting_failed")):
            update = self.translation.progress(ProgressChanged(SESSION, 5, Progress(status, 50.0, NOW)), 0.0, NOW)
            self.assertEqual(([message.type for message in update.messages], update.terminal), ([kind], True))

    def test_problems_are_delivered_once(self) -> None:
        short = (IRON, MaterialProblem.INSUFFICIENT_QUANTITY)
        gone = (COPPER, MaterialProblem.MATERIAL_UNAVAILABLE)
        self.assertEqual(news(self.table(None, None)), [])
        self.assertEqual(news(self.table(SHORT, None)), [short])
        self.assertEqual(news(self.table(SHORT, GONE)), [gone])
        self.assertEqual(news(self.table(replace(SHORT, available_quantity=2), GONE)), [short])
        self.assertEqual(news(self.table(SHORT, None)), [short, (COPPER, MaterialProblem.MATERIAL_RESTORED)])
