"""Several watches at a time, as one."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import Deferred, FirstError, gatherResults
from twisted.python.failure import Failure

from craftnet.client.watch import Outcome


def all_of(watching: Sequence[Deferred[Outcome]]) -> Deferred[list[Outcome]]:
    """The outcomes of all, once the last is there.

    The first failure stops the others and is the result; cancelling stops all.
    """

    def failed(failure: Failure) -> Failure:
        for each in watching:
            each.cancel()
        return failure.value.subFailure if isinstance(failure.value, FirstError) else failure

    return gatherResults(watching, consumeErrors=True).addErrback(failed)
