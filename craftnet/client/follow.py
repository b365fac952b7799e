"""Follows a player from craft to craft: watches the current session, then the next one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from craftnet.bodies import PlayerSessions
from craftnet.client import endings
from craftnet.client.backoff import Backoff
from craftnet.client.connect import Requests
from craftnet.client.endings import Ending, Kind
from craftnet.client.watch import Outcome, Verdict
from craftnet.messages import MALFORMED, JsonDecoder

INTERVAL = 1.0
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
        return endings.lost("the server's answer to the request for a player's sessions is malformed")


async def follow(
    reactor: IReactorTime,
    find: Callable[[], Awaitable[Sequence[UUID] | Ending]],
    watch: Callable[[UUID], Deferred[Outcome]],
    waiting: Callable[[float, Ending], None],
    idle: Callable[[], None],
    backoff: Backoff,
    patience: float,
) -> Outcome:
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
        now, delay = reactor.seconds(), INTERVAL
        if isinstance(found, Ending):
            delay = backoff.delay(now, found.retry_after)
            if found.kind is not Kind.LOST:
                return Outcome(Verdict.REFUSED, found.reason)
            if now + delay - contact > patience:
                return Outcome(Verdict.UNREACHABLE, found.reason)
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
                if outcome.verdict is Verdict.UNREACHABLE:
                    return outcome
            contact = reactor.seconds()
        await deferLater(reactor, delay)
