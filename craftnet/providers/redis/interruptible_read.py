"""A blocking read of streams, which Redis holds until a change arrives, its time ends, or the node interrupts it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from craftnet.errors import Unavailable
from craftnet.providers.redis.connection import RedisConnection, Value

BLOCK_SECONDS = 5.0
"""Seconds for which Redis holds a blocking read without changes. A dead connection shows after them."""

CHANGES_PER_READ = 100
"""Maximum number of changes of each stream in one read, so that the reactor gets its turn."""

INTERRUPTION_PAUSE = 0.01
"""Seconds between two interruptions: the first may have reached Redis before the read."""


class InterruptibleRead:
    """The blocking read of a node.

    Arguments:
        connection: a connection that nothing else uses, whose timeout is longer than `BLOCK_SECONDS`.
        asking: the connection over which the read is interrupted.
        outdated: returns whether the read must cover other streams by now.

    Attributes:
        generation: the number of the connection over which reads go.
    """

    def __init__(
        self, connection: RedisConnection, asking: RedisConnection, outdated: Callable[[], bool], reactor: IReactorTime
    ) -> None:
        self._connection, self._asking = connection, asking
        self._outdated = outdated
        self._reactor = reactor
        self.generation = 0
        self._client: int | None = None
        self._running = self._interrupting = False
        self._again: IDelayedCall | None = None

    def start(self) -> None:
        """Permits interruptions."""
        self._running, self._interrupting = True, False

    def stop(self) -> None:
        """Ends interruptions."""
        self._running = False
        if self._again is not None and self._again.active():
            self._again.cancel()

    async def connected(self) -> None:
        """Waits for a connection, over which all following reads go; they fail when it is lost."""
        await self._connection.connected()
        self.generation = self._connection.generation

    async def ask_client(self) -> int:
        """The id by which Redis knows the connection; raises Unavailable."""
        client: int = await self._connection.ask("CLIENT", "ID", generation=self.generation)
        return client

    def interrupt_by(self, client: int | None) -> None:
        """Sets the id by which reads are interrupted; None: reads are not interrupted."""
        self._client = client

    async def read(self, names: Iterable[Value], positions: Iterable[bytes], wait: float | None) -> Any:
        """Reads streams after the given positions; raises Unavailable.

        Arguments:
            wait: seconds for which Redis may hold the read; None: it answers at once.
        """
        blocked: tuple[Value, ...] = () if wait is None else ("BLOCK", round(wait * 1000))
        question = ("XREAD", "COUNT", CHANGES_PER_READ, *blocked, "STREAMS", *names, *positions)
        return await self._connection.ask(*question, generation=self.generation)

    def interrupt_if_outdated(self) -> None:
        """Makes Redis answer the read if it must cover other streams by now."""
        if self._client is None or self._interrupting or not self._outdated():
            return
        self._interrupting = True
        asked = Deferred.fromCoroutine(self._asking.ask("CLIENT", "UNBLOCK", self._client))
        asked.addBoth(self._interrupted)

    def _interrupted(self, answer: int | Failure) -> None:
        """Checks again: Redis may not have held the read yet, or it must cover more since."""
        if self._running:
            self._again = self._reactor.callLater(INTERRUPTION_PAUSE, self._check_again)
        if isinstance(answer, Failure):
            answer.trap(Unavailable)

    def _check_again(self) -> None:
        self._interrupting = False
        self.interrupt_if_outdated()
