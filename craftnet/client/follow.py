"""A player followed from craft to craft: watches the session that is under way, and then the next one."""

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
"""Seconds between two looks for the player's next session."""


async def sessions_under_way(requests: Requests, url: str, token: str) -> Sequence[UUID] | Ending:
    """Ask which sessions of a player are under way.

    Returns:
        Their ids, oldest first, or why they are not known.
    """
    answer = await requests.ask("GET", url, token)
    if isinstance(answer, Ending):
        return answer
    try:
        return JsonDecoder(PlayerSessions).decode(answer).sessions
    except MALFORMED:
        return endings.lost("the server's answer to the request for a player's sessions is wrong")


async def follow(
    reactor: IReactorTime,
    find: Callable[[], Awaitable[Sequence[UUID] | Ending]],
    watch: Callable[[UUID], Deferred[Outcome]],
    waiting: Callable[[float, Ending], None],
    idle: Callable[[], None],
    backoff: Backoff,
    patience: float,
) -> Outcome:
    """Watch one session of a player after the other, until the server refuses or is out of reach.

    Arguments:
        reactor: for time.
        find: asks which sessions are under way, as `sessions_under_way` does.
        watch: watches one of them to its end.
        waiting: called with the seconds until the next attempt, and why the last one failed.
        idle: called when no session is under way, once until there is one.
        backoff: when to ask again after a failure.
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
