from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from craftnet.contract.position import Position
from craftnet.crafting.state import MaterialsState, SessionState
from craftnet.protocols.udp.server.sessions import MAX_SENT_PROGRESS, SENT_PROGRESS_SECONDS
from craftnet.protocols.wire import codec
from craftnet.tests.support.samples import NOW, OTHER_SESSION, running
from craftnet.tests.support.udp_lab import Lab, table


class SentStateTests(SynchronousTestCase):
    """What the server knows of a client's copy."""

    def setUp(self) -> None:
        lab = Lab()
        ticket = lab.ticket(packet_size=100)
        lab.join(ticket, OTHER_SESSION)
        _, peer = lab.connect(ticket)
        self.sent_state, self.second = peer.sessions.sent_states

    def _seen(self) -> list[float]:
        """The percentages of the models that are kept."""
        return [sighting.state.progress.percent for sighting in self.sent_state.sightings]

    def test_the_last_models_sent_are_kept(self) -> None:
        for percent in range(6):
            self.sent_state.advance(running(percent=float(percent)), NOW + percent / 10)
        self.assertEqual(self._seen(), [2.0, 3.0, 4.0, 5.0])
        self.assertEqual(len(self._seen()), MAX_SENT_PROGRESS)

    def test_of_the_past_only_what_was_there_before_the_present(self) -> None:
        for percent, when in (
            (1.0, 0.0),
            (2.0, 1.0),
            (3.0, SENT_PROGRESS_SECONDS + 0.5),
            (4.0, SENT_PROGRESS_SECONDS + 1.5),
        ):
            self.sent_state.advance(running(percent=percent), NOW + when)
        self.assertEqual(self._seen(), [2.0, 3.0, 4.0])
        self.sent_state.advance(running(percent=5.0), NOW + 20)
        self.assertEqual(self._seen(), [4.0, 5.0])

    def test_the_same_function_of_time_is_no_news(self) -> None:
        self.assertIsNotNone(self.sent_state.advance(running(percent=7.0), NOW))
        self.assertIsNone(self.sent_state.advance(running(percent=7.0), NOW + 1))
        self.assertEqual(self._seen(), [7.0])

    def test_everything(self) -> None:
        self.assertEqual([*self.sent_state.everything()], [])
        sent = [self.sent_state.advance(state, NOW) for state in (running(), table())]
        self.assertEqual([*self.sent_state.everything()], sent)

    def test_where_the_feed_is_comes_first_then_with_materials_and_with_everything(self) -> None:
        at = [Position("6c0ffee", version) for version in (0, 0, 1, 2, 4)]
        states: list[SessionState | MaterialsState] = [running(), table(1), running(), table(2), running()]
        sent = [
            self.sent_state.reached(position, state) is not None for position, state in zip(at, states, strict=True)
        ]
        self.assertEqual(sent, [True, True, False, True, False])
        (news,) = self.sent_state.everything()
        self.assertEqual(codec.decode_state(b"".join(news.records)), [Position("6c0ffee", 4, over_udp=True)])

    def test_records_leave_room_for_a_selector(self) -> None:
        for sent_state, longest in ((self.sent_state, 100 - 31), (self.second, 100 - 31 - 2)):
            sent_state.advance(table(), NOW)
            self.assertLessEqual(
                max(len(octets) for news in sent_state.everything() for octets in news.records), longest
            )

    def test_models_a_client_may_hold(self) -> None:
        self.assertTrue(self.sent_state.acknowledged_version(0))
        self.assertFalse(self.sent_state.acknowledged_version(1))
        self.sent_state.advance(table(5), NOW)
        self.assertEqual([self.sent_state.acknowledged_version(version) for version in (1, 5, 6)], [True, True, False])
