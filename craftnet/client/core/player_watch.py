"""A player watched from craft to craft, or in several sessions at a time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from uuid import UUID

from msgspec import Struct
from twisted.internet.defer import Deferred, FirstError, gatherResults
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from craftnet.client.core import endings
from craftnet.client.core.api_requests import Requests
from craftnet.client.core.endings import Ending, EndingKind
from craftnet.client.core.watch import WatchOutcome, WatchVerdict
from craftnet.contract.http_bodies import PlayerSessions
from craftnet.contract.messages import MALFORMED, JsonDecoder
from craftnet.runtime.backoff import Backoff

POLL_INTERVAL = 1.0
"""Seconds between two requests for the player's next session."""


class _SessionMessage(Struct):
    """The part of a message that says whether its session is under way."""

    type: str
    session_id: UUID | None = None


class _PlayerState(Struct):
    """The current state of everything of a player."""

    messages: list[_SessionMessage]


async def sessions_under_way(requests: Requests, feed: str, listing: str, token: str) -> Sequence[UUID] | Ending:
    """Asks for a player's current sessions.

    Arguments:
        feed: the URL of everything of the player.
        listing: the URL that lists the sessions, for servers without such a feed.

    Returns:
        Their ids, oldest first, or the ending of the request.
    """
    answer = await requests.ask("GET", feed, token)
    if not isinstance(answer, Ending):
        try:
            messages = JsonDecoder(_PlayerState).decode(answer).messages
        except MALFORMED:
            return endings.connection_lost("the server's answer to the request for a player's state is malformed")
        return list(dict.fromkeys(one.session_id for one in messages if one.session_id and one.type not in _ENDS))
    if answer.kind is not EndingKind.REFUSED or answer.stale:
        return answer
    answer = await requests.ask("GET", listing, token)
    if isinstance(answer, Ending):
        return answer
    try:
        return JsonDecoder(PlayerSessions).decode(answer).sessions
    except MALFORMED:
        return endings.connection_lost("the server's answer to the request for a player's sessions is malformed")


_ENDS = frozenset({"crafting_complete", "crafting_failed"})


async def follow(
    reactor: IReactorTime,
    find: Callable[[], Awaitable[Sequence[UUID] | Ending]],
    watch: Callable[[UUID], Deferred[WatchOutcome]],
    waiting: Callable[[float, Ending], None],
    idle: Callable[[], None],
    backoff: Backoff,
    give_up_after: float,
    news: Callable[[Collection[UUID], float], Awaitable[None]] | None = None,
) -> WatchOutcome:
    """Watches a player's sessions one after another, until the server refuses or is unreachable.

    Arguments:
        reactor: the clock.
        find: asks for the current sessions, as `sessions_under_way` does.
        watch: watches one session to its end.
        waiting: called with the seconds until the next attempt and the ending of the last one.
        idle: called once whenever the player has no current session.
        backoff: the delays after failures.
        give_up_after: seconds without an answer after which to give up.
        news: waits for a session that is not among those given, or for some seconds; None: always for those seconds.
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
            if not fresh and news is not None:
                await news({*found, *over}, delay)
                continue
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
