"""A worker and its supervisor."""

from __future__ import annotations

from twisted.internet.error import ReactorNotRunning
from twisted.trial.unittest import SynchronousTestCase

from craftnet.server.workers import ORPHAN_CHECK_INTERVAL, OrphanWatch
from craftnet.tests.support.fakes import SteppedClock


class Reactor(SteppedClock):
    """Counts how often it was stopped."""

    runs = True
    stops = 0

    def stop(self) -> None:
        """One more; as Twisted's own does, it takes none when it does not run yet, and when it stops already."""
        if self.stops or not self.runs:
            raise ReactorNotRunning
        self.stops += 1


class OrphanWatchTests(SynchronousTestCase):
    def test_stops_once(self) -> None:
        reactor, parent = Reactor(), 4711
        service = OrphanWatch(reactor, 4711, lambda: parent)
        service.startService()
        reactor.advance(10 * ORPHAN_CHECK_INTERVAL)
        self.assertEqual(reactor.stops, 0)
        parent = 1
        for _ in range(3):
            reactor.advance(ORPHAN_CHECK_INTERVAL)
        self.assertEqual(reactor.stops, 1)
        service.stopService()
        self.assertEqual(reactor.getDelayedCalls(), [])

    def test_born_an_orphan(self) -> None:
        """The supervisor died while the worker was only beginning: it never was the parent that is asked for."""
        reactor = Reactor()
        reactor.runs = False
        service = OrphanWatch(reactor, 4711, lambda: 1)
        service.startService()
        reactor.runs = True
        reactor.advance(ORPHAN_CHECK_INTERVAL)
        self.assertEqual(reactor.stops, 1)
        service.stopService()

    def test_stops_already(self) -> None:
        """The supervisor dies while the stopping worker is closing its watchers."""
        reactor, parent = Reactor(), 4711
        service = OrphanWatch(reactor, 4711, lambda: parent)
        service.startService()
        reactor.stop()
        parent = 1
        reactor.advance(ORPHAN_CHECK_INTERVAL)
        self.assertEqual((reactor.stops, self.flushLoggedErrors()), (1, []))
        service.stopService()
