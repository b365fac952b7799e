"""A session that goes on being told beyond the end of the bearer token it was asked for with."""

from __future__ import annotations

from collections.abc import Callable, Coroutine

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from craftnet.client.credentials import RETRY

Ask = Callable[[str], Coroutine[Deferred[object], object, tuple[str, float | None]]]
"""Shows the server a fresh bearer token in the place of that one. Answers which it has now, and after how many seconds
to ask again; None: not at all. May raise."""


class Prolongation:
    """Asks again and again, until it is stopped.

    Arguments:
        shown: the bearer token that the server has.
        delay: seconds until the first time; None: never.
    """

    def __init__(self, reactor: IReactorTime, ask: Ask, shown: str, delay: float | None) -> None:
        self._reactor = reactor
        self._ask = ask
        self._shown = shown
        self._call: IDelayedCall | None = None
        self._asking: Deferred[None] | None = None
        self._stopped = False
        self._wait(delay)

    def stop(self) -> None:
        """The session is watched no more."""
        self._stopped = True
        if self._call is not None and self._call.active():
            self._call.cancel()
        if self._asking is not None:
            self._asking.cancel()

    def _wait(self, delay: float | None) -> None:
        if delay is not None and not self._stopped:
            self._call = self._reactor.callLater(delay, self._go)

    def _go(self) -> None:
        self._asking = Deferred.fromCoroutine(self._prolong())
        self._asking.addErrback(lambda _: self._wait(RETRY))  # whatever it was, there is time to try again.

    async def _prolong(self) -> None:
        self._shown, delay = await self._ask(self._shown)
        self._asking = None
        self._wait(delay)
