"""Tests for `craftnet.runtime.deferreds`."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from craftnet.runtime.deferreds import RestartedTask, Waiters, run, start


class WaitersTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.waiters: Waiters[str] = Waiters()

    def test_released_together(self) -> None:
        waiting = [self.waiters.wait() for _ in range(3)]
        self.waiters.release("done")
        self.assertEqual([self.successResultOf(each) for each in waiting], ["done"] * 3)
        self.assertNoResult(self.waiters.wait())

    def test_failure(self) -> None:
        waiting = [self.waiters.wait() for _ in range(2)]
        self.waiters.release(Failure(KeyError("lost")))
        for each in waiting:
            self.failureResultOf(each, KeyError)

    def test_cancelled_alone(self) -> None:
        first, second = self.waiters.wait(), self.waiters.wait()
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.waiters.release("done")
        self.assertEqual(self.successResultOf(second), "done")

    def test_a_callback_waits_again(self) -> None:
        """It waits for the next release, and not for the one that is going on."""
        waiting = self.waiters.wait().addCallback(lambda _: self.waiters.wait())
        self.waiters.release("first")
        self.assertNoResult(waiting)
        self.waiters.release("second")
        self.assertEqual(self.successResultOf(waiting), "second")

    def test_a_callback_cancels_others(self) -> None:
        """No waiter is skipped, and none gets a second result."""
        first, second, third = (self.waiters.wait() for _ in range(3))
        first.addCallback(lambda _: second.cancel())
        self.waiters.release("done")
        self.failureResultOf(second, CancelledError)
        self.assertEqual(self.successResultOf(third), "done")

    def test_all_cancelled(self) -> None:
        waiting = [self.waiters.wait() for _ in range(3)]
        self.waiters.cancel()
        for each in waiting:
            self.failureResultOf(each, CancelledError)


class RunTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.first: Deferred[int] = Deferred()
        self.second: Deferred[int] = Deferred()

    async def add(self) -> int:
        """The sum of both, with -1 for one that cannot be found."""
        total = 0
        for each in (self.first, self.second):
            try:
                total += await each
            except KeyError:
                total -= 1
        return total

    def waiting(self) -> Deferred[int]:
        waiting = run(self.add())
        assert isinstance(waiting, Deferred)
        return waiting

    def test_never_waits(self) -> None:
        self.first.callback(1)
        self.second.errback(KeyError())
        self.assertEqual(run(self.add()), 0)

    def test_fails_at_once(self) -> None:
        self.first.errback(ValueError())
        with self.assertRaises(ValueError):
            run(self.add())

    def test_waits_twice(self) -> None:
        waiting = self.waiting()
        self.first.callback(1)
        self.assertNoResult(waiting)
        self.second.callback(2)
        self.assertEqual(self.successResultOf(waiting), 3)

    def test_waits_only_later(self) -> None:
        self.first.callback(1)
        waiting = self.waiting()
        self.second.callback(2)
        self.assertEqual(self.successResultOf(waiting), 3)

    def test_handles_a_failure(self) -> None:
        waiting = self.waiting()
        self.first.errback(KeyError())
        self.second.callback(2)
        self.assertEqual(self.successResultOf(waiting), 1)

    def test_fails(self) -> None:
        waiting = self.waiting()
        self.first.callback(1)
        self.second.errback(ValueError())
        self.failureResultOf(waiting, ValueError)

    def test_cancelled(self) -> None:
        """Cancels the Deferred for which the coroutine waits, as `Deferred.fromCoroutine` does."""
        waiting = self.waiting()
        self.first.callback(1)
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.assertTrue(self.second.called)

    def test_always_a_deferred(self) -> None:
        waiting = start(self.add())
        self.assertNoResult(waiting)
        self.first.callback(1)
        self.second.callback(2)
        self.assertEqual(self.successResultOf(waiting), 3)
        self.first, self.second = succeed(1), succeed(2)
        self.assertEqual(self.successResultOf(start(self.add())), 3)
        self.first = fail(ValueError())
        self.failureResultOf(start(self.add()), ValueError)


class RestartedTaskTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.runs: list[Deferred[None]] = []
        self.failures = 0
        self.task = RestartedTask(self.run_once, "counting", 0.5, self.clock, self.failed, (ConnectionError,))

    async def run_once(self) -> None:
        self.runs.append(Deferred())
        await self.runs[-1]

    def failed(self, failure: Failure) -> None:
        self.failures += 1

    def test_restarted_after_a_failure(self) -> None:
        self.task.start()
        self.runs[0].errback(KeyError("a bug"))
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)
        self.assertEqual((len(self.runs), self.failures), (1, 1))
        self.clock.advance(0.5)
        self.assertEqual(len(self.runs), 2)

    def test_restarted_after_an_expected_failure(self) -> None:
        """It is not logged."""
        self.task.start()
        self.runs[0].errback(ConnectionError("lost"))
        self.assertEqual((len(self.runs), self.failures), (1, 1))
        self.clock.advance(0.5)
        self.assertEqual(len(self.runs), 2)

    def test_stopped_by_what_hears_of_the_failure(self) -> None:
        task = RestartedTask(
            self.run_once, "counting", 0.5, self.clock, lambda failure: task.stop(), (ConnectionError,)
        )
        task.start()
        self.runs[0].errback(ConnectionError("lost"))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_only_until_it_succeeds(self) -> None:
        self.task = RestartedTask(
            self.run_once, "counting", 0.5, self.clock, self.failed, (ConnectionError,), once=True
        )
        self.task.start()
        self.runs[0].errback(ConnectionError("lost"))
        self.clock.advance(0.5)
        self.runs[1].callback(None)
        self.assertEqual((self.clock.getDelayedCalls(), len(self.runs), self.failures), ([], 2, 1))
        self.task.start()
        self.assertEqual(len(self.runs), 3)
        self.task.stop()

    def test_delay_that_is_computed(self) -> None:
        """The delay may grow from one failure to the next."""
        task = RestartedTask(
            self.run_once, "counting", lambda: float(self.failures), self.clock, self.failed, (ConnectionError,)
        )
        task.start()
        for delay in (1.0, 2.0):
            self.runs[-1].errback(ConnectionError("lost"))
            self.assertEqual([call.getTime() - self.clock.seconds() for call in self.clock.getDelayedCalls()], [delay])
            self.clock.advance(delay)
        self.assertEqual(len(self.runs), 3)

    def test_restarted_after_its_end(self) -> None:
        self.task.start()
        self.runs[0].callback(None)
        self.assertEqual((len(self.runs), self.failures), (1, 0))
        self.clock.advance(0.5)
        self.assertEqual(len(self.runs), 2)

    def test_stopped(self) -> None:
        """It is cancelled, which is no failure, and is not started again."""
        self.task.start()
        self.task.stop()
        self.assertEqual((self.failures, self.clock.getDelayedCalls()), (0, []))

    def test_stopped_after_a_failure(self) -> None:
        self.task.start()
        self.runs[0].errback(KeyError("a bug"))
        self.flushLoggedErrors(KeyError)
        self.task.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_cancelled_by_itself(self) -> None:
        """A cancellation from elsewhere is a failure like any other."""
        self.task.start()
        self.runs[0].cancel()
        self.flushLoggedErrors(CancelledError)
        self.clock.advance(0.5)
        self.assertEqual(len(self.runs), 2)

    def test_fails_while_it_is_stopped(self) -> None:
        """That is logged, and it is not started again."""

        async def fails_late() -> None:
            try:
                await Deferred()
            except CancelledError:
                raise KeyError("a bug") from None

        task = RestartedTask(fails_late, "stopping", 0.5, self.clock, self.failed)
        task.start()
        task.stop()
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)
        self.assertEqual((self.failures, self.clock.getDelayedCalls()), (0, []))

    def test_started_again(self) -> None:
        self.task.start()
        self.task.stop()
        self.task.start()
        self.assertEqual(len(self.runs), 2)
