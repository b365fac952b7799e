"""Tests for `craftnet.client.core.watch`."""

from __future__ import annotations

from itertools import pairwise
from uuid import UUID

from msgspec.structs import replace
from twisted.internet.defer import CancelledError
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from craftnet.client.core.endings import Ending, connection_lost, request_refused, websocket_closed
from craftnet.client.core.interfaces import ILink, ILinkListener, IObserver, ITransport
from craftnet.client.core.watch import FIRST_UPGRADE_DELAY, Watch, WatchOutcome, WatchVerdict
from craftnet.contract.close_codes import CloseCode
from craftnet.contract.messages import Status
from craftnet.contract.position import Position
from craftnet.crafting.updates import Update, progress_update
from craftnet.runtime.backoff import Backoff
from craftnet.tests.support.fakes import SteppedClock
from craftnet.tests.support.observers import EventRecorder
from craftnet.tests.support.samples import AT, NOW, SESSION, running


@implementer(ILink)
class FakeLink:
    """A link that tests play the server for."""

    def __init__(self) -> None:
        self.listener: ILinkListener | None = None
        self.stopped = False

    def start(self, listener: ILinkListener) -> None:
        """Keep the listener."""
        self.listener = listener

    def stop(self) -> None:
        """Keep that."""
        self.stopped = True

    def end(self, ending: Ending) -> None:
        """The connection is gone."""
        assert self.listener is not None
        self.listener.ended(ending)

    def deliver(self, update: Update) -> None:
        """There is news."""
        assert self.listener is not None
        self.listener.updated(update)

    def open(self) -> None:
        """The server says welcome."""
        assert self.listener is not None
        self.listener.opened()


@implementer(ITransport)
class FakeTransport:
    """Keeps the links it made."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.links: list[FakeLink] = []
        self.resumed: list[Position | None] = []

    def link(self, resume: Position | None = None) -> ILink:
        """A new one."""
        self.resumed.append(resume)
        self.links.append(FakeLink())
        return self.links[-1]


def status_update(status: Status, reason: str | None = None) -> Update:
    """The session's status."""
    state = running(percent=10.0)
    return progress_update(replace(state, progress=replace(state.progress, status=status, failure_reason=reason)), AT)


class WatchTests(SynchronousTestCase):
    """`Watch`"""

    def setUp(self) -> None:
        self.clock = SteppedClock()
        self.clock.advance(NOW)
        self.udp, self.ws = FakeTransport("udp"), FakeTransport("ws")
        self.recorder = EventRecorder()
        self.outcomes: list[object] = []

    def watch(self, *transports: FakeTransport, give_up_after: float = 60.0, session_id: UUID = SESSION) -> Watch:
        """A started watch without luck in its backoff: 1, 2, 4, 8 … seconds."""
        backoff = Backoff(first=1.0, cap=30.0, stable=10.0, uniform=lambda low, high: high)
        watch = Watch(self.clock, session_id, transports, self.recorder, backoff, give_up_after)
        self.watching = watch.start()
        self.watching.addBoth(self.outcomes.append)
        return watch

    def test_interfaces(self) -> None:
        verifyObject(ILinkListener, self.watch(self.ws))
        verifyObject(ILink, FakeLink())
        verifyObject(ITransport, self.ws)
        verifyObject(IObserver, self.recorder)

    def test_until_complete(self) -> None:
        self.watch(self.ws)
        link = self.ws.links[0]
        link.open()
        link.deliver(progress_update(running(percent=5.0), AT))
        self.assertEqual(self.outcomes, [])
        link.deliver(status_update(Status.COMPLETED))
        self.assertEqual(self.outcomes, [WatchOutcome(WatchVerdict.COMPLETED, "the craft is complete")])
        self.assertTrue(link.stopped)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_until_failed(self) -> None:
        self.watch(self.ws)
        self.ws.links[0].deliver(status_update(Status.FAILED, "recipe_error"))
        self.assertEqual(self.outcomes, [WatchOutcome(WatchVerdict.FAILED, "the craft failed: recipe_error")])

    def test_closed_in_order(self) -> None:
        self.watch(self.ws)
        self.ws.links[0].end(websocket_closed(CloseCode.NORMAL, None))
        self.assertEqual(
            [outcome.verdict for outcome in self.outcomes if isinstance(outcome, WatchOutcome)], [WatchVerdict.OVER]
        )

    def test_refused(self) -> None:
        self.watch(self.ws)
        self.ws.links[0].end(request_refused(401, b""))
        self.assertEqual(self.outcomes, [WatchOutcome(WatchVerdict.REFUSED, "the server answered 401: Unauthorized")])

    def test_final_close_codes(self) -> None:
        for code in (CloseCode.POLICY_VIOLATION, CloseCode.MESSAGE_TOO_BIG):
            self.watch(self.ws)
            self.ws.links[-1].end(websocket_closed(code, None))
        self.assertEqual(len(self.outcomes), 2)
        self.assertEqual(len(self.ws.links), 2)

    def test_reconnects_on_schedule(self) -> None:
        self.watch(self.ws, give_up_after=1000.0)
        at = []
        for _ in range(7):
            self.ws.links[-1].end(websocket_closed(CloseCode.GOING_AWAY, None))
            before, number = self.clock.seconds(), len(self.ws.links)
            while len(self.ws.links) == number:
                self.clock.advance(0.5)
            at.append(self.clock.seconds() - before)
        self.assertEqual(at, [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0])

    def test_the_schedule_starts_over_after_a_stable_connection(self) -> None:
        self.watch(self.ws)
        for _ in range(3):
            self.ws.links[-1].end(connection_lost("gone"))
            self.clock.advance(30.0)
        self.ws.links[-1].open()
        self.clock.advance(10.0)
        self.ws.links[-1].end(connection_lost("gone"))
        self.assertEqual(self.recorder.events[-1], ("waiting", 1.0))

    def test_waits_as_long_as_the_server_asks(self) -> None:
        self.watch(self.ws)
        self.ws.links[0].end(request_refused(429, b"", "7"))
        self.assertEqual(self.recorder.events, [("connecting", "ws"), ("waiting", 8.0)])

    def test_gives_up_when_the_server_stays_away(self) -> None:
        self.watch(self.ws, give_up_after=6.0)
        for _ in range(3):
            self.assertEqual(self.outcomes, [])
            self.ws.links[-1].end(connection_lost("no server"))
            self.clock.advance(4.0)
        self.assertEqual(self.outcomes, [WatchOutcome(WatchVerdict.UNREACHABLE, "no server")])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_contact_restarts_the_timeout(self) -> None:
        self.watch(self.ws, give_up_after=6.0)
        self.clock.advance(100.0)
        self.ws.links[-1].deliver(progress_update(running(), AT))
        self.ws.links[-1].end(connection_lost("gone"))
        self.assertEqual(self.outcomes, [])

    def test_without_a_timeout_the_first_failure_is_final(self) -> None:
        self.watch(self.ws, give_up_after=0.0)
        self.ws.links[-1].end(connection_lost("no server"))
        self.assertEqual(self.outcomes, [WatchOutcome(WatchVerdict.UNREACHABLE, "no server")])

    def _fallen_back(self) -> None:
        """To WebSocket, which delivers."""
        self.watch(self.udp, self.ws)
        self.udp.links[0].end(connection_lost("silence", try_another_transport=True))
        self.clock.advance(0.0)
        self.ws.links[0].open()
        self.ws.links[0].deliver(progress_update(running(percent=3.0), AT))

    def test_returns_when_the_preferred_transport_works_again(self) -> None:
        """Without a gap: the other one is left only when this one is open."""
        self._fallen_back()
        self.clock.advance(FIRST_UPGRADE_DELAY)
        upgrade = self.udp.links[1]
        self.assertFalse(self.ws.links[0].stopped)
        upgrade.open()
        self.assertTrue(self.ws.links[0].stopped)
        upgrade.deliver(progress_update(running(percent=7.0), AT))
        self.assertEqual(self.recorder.events[-2:], [("updated", "ws", 3.0), ("updated", "udp", 7.0)])
        upgrade.end(connection_lost("gone"))
        self.clock.advance(1.0)
        self.assertEqual((len(self.udp.links), len(self.ws.links)), (3, 1))

    def test_keeps_its_position_from_one_transport_to_the_other(self) -> None:
        here, there = Position("6c0ffee", 41, over_udp=True), Position("6c0ffee", 42)
        self.watch(self.udp, self.ws)
        self.udp.links[0].deliver(progress_update(running(percent=3.0), AT, None, here))
        self.udp.links[0].deliver(progress_update(running(percent=4.0), AT))  # wherever that is.
        self.udp.links[0].end(connection_lost("silence"))
        self.clock.advance(1.0)
        self.udp.links[1].end(connection_lost("no datagram arrives", try_another_transport=True))
        self.clock.advance(0.0)
        self.ws.links[0].deliver(progress_update(running(percent=5.0), AT, None, there))
        self.ws.links[0].end(connection_lost("gone"))
        self.clock.advance(2.0)
        self.assertEqual((self.udp.resumed, self.ws.resumed), ([None, here], [here, there]))

    def test_tries_to_return_less_and_less_often(self) -> None:
        self._fallen_back()
        at = []
        for _ in range(6):
            number = len(self.udp.links)
            while len(self.udp.links) == number:
                self.clock.advance(1.0)
            at.append(self.clock.seconds() - NOW)
            self.udp.links[-1].end(connection_lost("silence", try_another_transport=True))
        self.assertEqual([after - before for before, after in pairwise([0.0, *at])], [30, 60, 120, 240, 300, 300])
        self.assertFalse(self.ws.links[0].stopped)

    def test_no_connection_is_left_open(self) -> None:
        self._fallen_back()
        self.clock.advance(FIRST_UPGRADE_DELAY)
        self.ws.links[0].deliver(status_update(Status.COMPLETED))
        self.assertTrue(self.udp.links[1].stopped)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_falls_back_at_once_and_stays_there_for_a_while(self) -> None:
        self.watch(self.udp, self.ws)
        self.udp.links[0].end(connection_lost("silence", try_another_transport=True))
        self.clock.advance(0.0)
        self.ws.links[0].end(connection_lost("gone"))
        self.clock.advance(1.0)
        self.assertEqual((len(self.udp.links), len(self.ws.links)), (1, 2))
        self.ws.links[-1].deliver(progress_update(running(percent=3.0), AT))
        self.assertEqual(
            self.recorder.events,
            [
                ("connecting", "udp"),
                ("waiting", 0.0),
                ("connecting", "ws"),
                ("waiting", 1.0),
                ("connecting", "ws"),
                ("updated", "ws", 3.0),
            ],
        )

    def test_does_not_fall_back_when_the_server_is_away(self) -> None:
        self.watch(self.udp, self.ws)
        self.udp.links[0].end(connection_lost("no server"))
        self.clock.advance(1.0)
        self.assertEqual((len(self.udp.links), len(self.ws.links)), (2, 0))

    def test_the_last_transport_has_no_fallback(self) -> None:
        self.watch(self.udp)
        self.udp.links[0].end(request_refused(404, b"", try_another_transport=True))
        self.assertEqual(self.outcomes, [WatchOutcome(WatchVerdict.REFUSED, "the server answered 404: Not Found")])

    def test_an_observer_that_fails_ends_the_watch(self) -> None:
        self.watch(self.ws)
        self.recorder.error = BrokenPipeError()
        self.ws.links[0].deliver(progress_update(running(), AT))
        self.assertTrue(self.ws.links[0].stopped)
        self.failureResultOf(self.watching.addBoth(lambda _: self.outcomes[0]), BrokenPipeError)

    def test_cancel_while_connected(self) -> None:
        self.watch(self.ws)
        self.watching.addErrback(lambda failure: failure.trap(CancelledError))
        self.watching.cancel()
        self.assertTrue(self.ws.links[0].stopped)

    def test_cancel_while_waiting(self) -> None:
        self.watch(self.ws)
        self.ws.links[0].end(connection_lost("gone"))
        self.watching.cancel()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(len(self.outcomes), 1)
