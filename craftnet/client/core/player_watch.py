"""A player watched from craft to craft, or in several sessions at a time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID

from twisted.internet.defer import Deferred, FirstError, gatherResults
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from craftnet.client.core import endings
from craftnet.client.core.api_requests import Requests
from craftnet.client.core.backoff import Backoff
from craftnet.client.core.endings import Ending, EndingKind
from craftnet.client.core.watch import WatchOutcome, WatchVerdict
from craftnet.contract.http_bodies import PlayerSessions
from craftnet.contract.messages import MALFORMED, JsonDecoder

POLL_INTERVAL = 1.0
"""Seconds between two requests for the player's next session."""


async def sessions_under_way(requests: Requests, url: str, token: str) -> Sequence[UUID] | Ending:
    """Asks for a player's current sessions.

    Returns:
        Their ids, oldest first, or the ending of the request.
    """
    answer = await requests.ask("GET", url, token)
    if isinstance(answer, Ending):
        return answer
    try:
        return JsonDecoder(PlayerSessions).decode(answer).sessions
    except MALFORMED:
        return endings.connection_lost("the server's answer to the request for a player's sessions is malformed")


async def follow(
    reactor: IReactorTime,
    find: Callable[[], Awaitable[Sequence[UUID] | Ending]],
    watch: Callable[[UUID], Deferred[WatchOutcome]],
    waiting: Callable[[float, Ending], None],
    idle: Callable[[], None],
    backoff: Backoff,
    give_up_after: float,
) -> WatchOutcome:
    """Watches a player's sessions one after another, until the server refuses or is unreachable.

    Arguments:
        reactor: the clock.
        find: asks for the current sessions, as `sessions_under_way` does.
        watch: watches one session to its end.
        waiting: called with the seconds until the next attempt and the ending of the last one.
        idle: called once whenever the player has no current session.
        backoff: the delays after failures.
        patience: seconds without an answer after which to give up.
    """
    over: set[UUID] = set()
    idling = False
    contact = reactor.seconds()
    while True:
        found = await find()
        now, delay = reactor.seconds(), POLL_INTERVAL
        if isinstance(found, Ending):
            delay = backoff.delay(now, found.retry_after)
            if found.kind is not EndingKind.LOST:
                return WatchOutcome(WatchVerdict.REFUSED, found.reason)
            if now + delay - contact > give_up_after:
                return WatchOutcome(WatchVerdict.UNREACHABLE, found.reason)
            waiting(delay, found)
        else:
            backoff.opened(now)
            over.intersection_update(found)
            fresh = [session_id for session_id in found if session_id not in over]
            if not fresh and not idling:
                idle()
            idling = not fresh
            if fresh:
                over.add(fresh[-1])
                outcome = await watch(fresh[-1])
                if outcome.verdict is WatchVerdict.UNREACHABLE:
                    return outcome
            contact = reactor.seconds()
        await deferLater(reactor, delay)


def labels(sessions: Sequence[UUID]) -> dict[UUID, str]:
    """The labels of these sessions: enough of each id to be unique, at least 8 characters; empty for a single one."""
    named = {session: str(session) for session in sessions}
    if len(named) == 1:
        return dict.fromkeys(named, "")
    length = next(
        length for length in (8, 13, 18, 23, 36) if len({name[:length] for name in named.values()}) == len(named)
    )
    return {session: name[:length] for session, name in named.items()}


def all_of(watching: Sequence[Deferred[WatchOutcome]]) -> Deferred[list[WatchOutcome]]:
    """The outcomes of all watches, once the last has ended.

    The first failure cancels the others and becomes the result; cancelling cancels all.
    """

    def failed(failure: Failure) -> Failure:
        for each in watching:
            each.cancel()
        return failure.value.subFailure if isinstance(failure.value, FirstError) else failure

    return gatherResults(watching, consumeErrors=True).addErrback(failed)
