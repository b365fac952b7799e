"""Several watches at a time, as one."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from twisted.internet.defer import Deferred, FirstError, gatherResults
from twisted.python.failure import Failure

from craftnet.client.watch import Outcome


def labels(sessions: Sequence[UUID]) -> dict[UUID, str]:
    """What lines about each of these sessions begin with: as much of its id as tells it from the others, 8 characters
    at least; nothing, where there is only one.
    """
    named = {session: str(session) for session in sessions}
    if len(named) == 1:
        return dict.fromkeys(named, "")
    length = next(
        length for length in (8, 13, 18, 23, 36) if len({name[:length] for name in named.values()}) == len(named)
    )
    return {session: name[:length] for session, name in named.items()}


def all_of(watching: Sequence[Deferred[Outcome]]) -> Deferred[list[Outcome]]:
    """The outcomes of all, once the last is there.

    The first failure stops the others and is the result; cancelling stops all.
    """

    def failed(failure: Failure) -> Failure:
        for each in watching:
            each.cancel()
        return failure.value.subFailure if isinstance(failure.value, FirstError) else failure

    return gatherResults(watching, consumeErrors=True).addErrback(failed)
