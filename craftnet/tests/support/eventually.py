"""Ways to wait for what other programs and real connections do."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, FirstError, gatherResults
from twisted.internet.task import deferLater

from craftnet.tests.support.processes import PROCESS_TIMEOUT

WAIT = 0.005
"""Seconds between two looks."""


def wait_for(condition: Callable[[], bool]) -> None:
    """Block until it holds, for as long as a broken program needs.

    Raises:
        AssertionError: it never did.
    """
    deadline = time.monotonic() + PROCESS_TIMEOUT
    while not condition():
        assert time.monotonic() < deadline, "what is waited for does not happen"
        time.sleep(0.02)


async def until(condition: Callable[[], object]) -> None:
    """Wait until it holds; the test's own timeout is the bound."""
    while not condition():
        await deferLater(reactor, WAIT)


async def until_async(condition: Callable[[], Coroutine[Any, Any, object]]) -> None:
    """The same for a condition that itself waits, such as for an answer."""
    while not await condition():
        await deferLater(reactor, WAIT)


async def together(tasks: Sequence[Callable[[], Coroutine[Any, Any, None]]]) -> None:
    """Runs all tasks at once; raises what the first failing one raises."""
    running = [Deferred.fromCoroutine(task()) for task in tasks]
    try:
        await gatherResults(running, consumeErrors=True)
    except FirstError as error:
        error.subFailure.raiseException()
