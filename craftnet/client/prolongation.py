"""Extends a UDP session beyond the expiry of the bearer token with which it was requested."""

from __future__ import annotations

from collections.abc import Callable, Coroutine

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from craftnet.client.credentials import RETRY

Ask = Callable[[str], Coroutine[Deferred[object], object, tuple[str, float | None]]]
"""Sends the server a fresh bearer token in place of the given one. Returns the token now in force and the seconds
until the next renewal; None: never. May raise."""


class Prolongation:
    """Renews the authorisation repeatedly until it is stopped.

    Arguments:
        shown: the bearer token that the server has.
        delay: seconds until the first renewal; None: never.
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
        """Stops: the session is no longer watched."""
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
        self._asking.addErrback(lambda _: self._wait(RETRY))  # whatever failed, there is time for another attempt.

    async def _prolong(self) -> None:
        self._shown, delay = await self._ask(self._shown)
        self._asking = None
        self._wait(delay)
