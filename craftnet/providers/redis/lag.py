"""How far this node's reading of changes lags behind the known contents of Redis.

Silence does not mean that nothing happened: the connection may stand still. So the ends of the streams are read over
another connection and compared with what was received.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Coroutine, Mapping
from typing import Any

from twisted.internet.defer import Deferred, TimeoutError, fail
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from craftnet.errors import Unavailable
from craftnet.providers.redis.stream_positions import StreamPosition, StreamPositions

CATCH_UP_TIMEOUT = 2.0
"""Seconds to wait until this node has caught up."""

STALLED = 5
"""Checks, one a second, after which a node that has not caught up with the first of them counts as stalled.

Checks and not seconds: a process that was suspended does not check meanwhile.
"""

Ask = Callable[[Collection[int]], Coroutine[Any, Any, Mapping[int, StreamPosition] | None]]


class _Goal:
    """What a caller waits for: some partitions, read up to their ends at the time of the call."""

    def __init__(self, partitions: Collection[int], reached: Deferred[None], probe: bool) -> None:
        self.partitions = partitions
        self.reached = reached
        self.probe = probe
        self.ends: Mapping[int, StreamPosition] | None = None  # None until Redis has answered.
        # The numbers of the changes before that; None once they were compared.
        self.numbers: Mapping[int, int] | None = None


class Lag:
    """Compares positions with the ends of streams.

    Arguments:
        positions: how far each partition is read.
        ask: returns the present ends of partitions; None when they are unknown until `settled` is called.
            Raises `Unavailable`.
        reachable: whether Redis is reachable for other requests. If not, other checks report that.
        renew: called when reading seems to stand still.

    Attributes:
        stalled: why changes are not received; empty while they are.
    """

    _log = Logger()

    def __init__(
        self,
        positions: StreamPositions,
        ask: Ask,
        reachable: Callable[[], bool],
        renew: Callable[[], None],
        reactor: IReactorTime,
    ) -> None:
        self._positions = positions
        self._ask = ask
        self._reachable = reachable
        self._renew = renew
        self._reactor = reactor
        self._goals: list[_Goal] = []
        self._asking = False
        self._settlements = 0
        self._probing = False
        self._probed_at = 0.0
        self._took = 0.0  # seconds that the last complete check took.
        self._looks = 0
        self._unanswered = False
        self.stalled = ""

    def caught_up(self, partition: int) -> Deferred[None]:
        """Fires when `partition` is read up to its present end; fails with `Unavailable` after `CATCH_UP_TIMEOUT`
        seconds.
        """
        if self.stalled:
            return fail(Unavailable(self.stalled))
        return self._wait((partition,)).addTimeout(CATCH_UP_TIMEOUT, self._reactor).addErrback(_late)

    def look(self) -> None:
        """Checks whether this node keeps up; called once a second."""
        if not self._probing:
            self._probing, self._looks, self._probed_at = True, 0, self._reactor.seconds()
            self._wait(tuple(self._positions.partitions), probe=True).addCallbacks(self._kept_up, self._unknown)
        elif self._reachable():
            self._looks += 1
            if self._looks % STALLED == 0:
                self._stall(f"This node has received no changes for {self._looks} seconds.")
                self._renew()

    @property
    def seconds(self) -> float:
        """How long this node took to read all changes up to a moment; or has taken, where that is more already."""
        return max(self._took, self._reactor.seconds() - self._probed_at) if self._probing else self._took

    def settled(self) -> None:
        """The contents of Redis are known again; earlier requests may have been about another server."""
        self._settlements += 1
        for goal in self._goals:
            goal.ends = None
        self._begin()

    def read(self) -> None:
        """Redis answered the reader."""
        self._unanswered = False
        self._compare()

    def unanswered(self) -> None:
        """Redis did not answer the reader, which it should do after some seconds even without changes."""
        self._unanswered = True
        self._stall("Redis does not answer this node's XREAD.")

    def stop(self) -> None:
        """The reader stopped."""
        for goal in tuple(self._goals):
            self._fail(goal, Failure(Unavailable("This node stops.")))

    def _wait(self, partitions: Collection[int], *, probe: bool = False) -> Deferred[None]:
        reached: Deferred[None] = Deferred(lambda _: self._goals.remove(goal))
        goal = _Goal(partitions, reached, probe)
        self._goals.append(goal)
        self._begin()
        return reached

    def _begin(self) -> None:
        """Asks for all callers since the last request: its answer may be older than they are."""
        asking = [goal for goal in self._goals if goal.ends is None]
        if not asking or self._asking:
            return
        self._asking = True
        partitions = sorted({one for goal in asking for one in goal.partitions} & self._positions.partitions)
        numbers, settlements = self._positions.numbers(), self._settlements

        def answered(ends: Mapping[int, StreamPosition] | None) -> None:
            self._asking = False
            if ends is not None and settlements == self._settlements:
                for goal in asking:
                    goal.numbers = numbers
                    goal.ends = {one: ends[one] for one in goal.partitions if one in ends}
                self._compare()
            if ends is not None or settlements != self._settlements:
                self._begin()

        def failed(failure: Failure) -> None:
            self._asking = False
            failure.trap(Unavailable)
            for goal in asking:
                self._fail(goal, failure)
            self._begin()

        asked = Deferred.fromCoroutine(self._ask(partitions))
        asked.addCallbacks(answered, failed)
        asked.addErrback(lambda failure: self._log.failure("the ends of the streams are not known", failure))

    def _compare(self) -> None:
        """Fires for those who waited long enough, except for those who would miss trimmed changes."""
        for goal in tuple(self._goals):
            if goal.ends is None or self._positions.behind(goal.ends):
                continue
            if goal.numbers is not None:
                self._positions.counted(goal.numbers, goal.ends)
                goal.numbers = None
            if self._positions.complete(goal.ends.keys()) and goal in self._goals:
                self._goals.remove(goal)
                goal.reached.callback(None)

    def _fail(self, goal: _Goal, failure: Failure) -> None:
        if goal in self._goals:
            self._goals.remove(goal)
            goal.reached.errback(failure)

    def _kept_up(self, _: None) -> None:
        self._probing, self._took = False, self._reactor.seconds() - self._probed_at
        if self.stalled and not self._unanswered:
            self._log.info("changes in Redis are received again")
            self.stalled = ""

    def _unknown(self, failure: Failure) -> None:
        failure.trap(Unavailable)
        self._probing = False

    def _stall(self, reason: str) -> None:
        if not self.stalled:
            self._log.error(
                "changes in Redis are not received, and no new watchers are accepted: {reason}", reason=reason
            )
        self.stalled = reason
        for goal in [goal for goal in self._goals if not goal.probe]:
            self._fail(goal, Failure(Unavailable(reason)))


def _late(failure: Failure) -> None:
    """The error for those who waited in vain."""
    if failure.check(TimeoutError):
        raise Unavailable("This node lags behind what other nodes may have delivered.") from None
    failure.raiseException()
