"""Several watches at once, treated as one."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from twisted.internet.defer import Deferred, FirstError, gatherResults
from twisted.python.failure import Failure

from craftnet.client.watch import Outcome


def labels(sessions: Sequence[UUID]) -> dict[UUID, str]:
    """The labels of these sessions: enough of each id to be unique, at least 8 characters; empty for a single one."""
    named = {session: str(session) for session in sessions}
    if len(named) == 1:
        return dict.fromkeys(named, "")
    length = next(
        length for length in (8, 13, 18, 23, 36) if len({name[:length] for name in named.values()}) == len(named)
    )
    return {session: name[:length] for session, name in named.items()}


def all_of(watching: Sequence[Deferred[Outcome]]) -> Deferred[list[Outcome]]:
    """The outcomes of all watches, once the last has ended.

    The first failure cancels the others and becomes the result; cancelling cancels all.
    """

    def failed(failure: Failure) -> Failure:
        for each in watching:
            each.cancel()
        return failure.value.subFailure if isinstance(failure.value, FirstError) else failure

    return gatherResults(watching, consumeErrors=True).addErrback(failed)
