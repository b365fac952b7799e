"""Time from a revocation on one node to its arrival on another through Redis; and how long a starting node takes to
load a full list.

python bench/revocations.py --number 1000
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

from redis_floor import redis_server
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import react
from zope.interface import implementer

from craftnet.access.revocation.revocations import MAX_REVOCATIONS, Revocation
from craftnet.clocks import steady
from craftnet.errors import Unavailable
from craftnet.interfaces import IRevocationListener
from craftnet.providers.redis.backend import RedisBackend
from craftnet.providers.redis.settings import RedisSettings


@implementer(IRevocationListener)
class Listener:
    """A node's enforcement, without connections to close."""

    def __init__(self, known: Sequence[Revocation] = ()) -> None:
        self.known = known
        self.number = 0
        self.heard: Deferred[float] = Deferred()

    def revoked(self, revocations: Sequence[Revocation]) -> None:
        """Counts revocations and notes the time of the first."""
        self.number += len(revocations)
        heard, self.heard = self.heard, Deferred()
        heard.callback(time.perf_counter())

    def in_force(self) -> Sequence[Revocation]:
        """The revocations that it knows."""
        return self.known


async def node(port: int, listener: Listener) -> RedisBackend:
    """A node that has loaded the list."""
    steady(reactor)
    backend = RedisBackend(reactor, RedisSettings(port=port), None)
    backend.revocations.follow(listener)
    backend.service.startService()
    while True:
        try:
            await backend.revocations.loaded()
        except Unavailable:  # on a busy machine a full list takes longer than clients wait for it.
            continue
        return backend


def revocations(number: int) -> list[Revocation]:
    """Revocations that are valid for an hour."""
    end = time.time() + 3600
    return [Revocation(f"token-{index}", None, 0.0, end) for index in range(number)]


def line(name: str, seconds: Sequence[float]) -> None:
    """Prints the median and the 99th percentile."""
    inorder = sorted(1e3 * each for each in seconds)
    print(f"  {name:24} p50 {inorder[len(inorder) // 2]:6.2f} ms   p99 {inorder[len(inorder) * 99 // 100]:6.2f} ms")


async def measure(port: int, number: int) -> None:
    """Publishes one by one, then fills the list and starts another node."""
    listener = Listener()
    here, there = await node(port, Listener()), await node(port, listener)
    kept, heard = [], []
    for revocation in revocations(number):
        hearing, began = listener.heard, time.perf_counter()
        await here.revocations.publish(revocation)
        kept.append(time.perf_counter() - began)
        heard.append(await hearing - began)
    print(f"{number} revocations, in sequence, two nodes in one process")
    line("published → stored", kept)
    line("published → received", heard)
    full = await node(port, Listener(revocations(MAX_REVOCATIONS)))
    late = Listener()
    began = time.perf_counter()
    last = await node(port, late)
    print(f"  a node that starts loads {late.number:,} in {time.perf_counter() - began:.2f} s")
    for backend in (here, there, full, last):
        await backend.service.stopService()


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--number", type=int, default=1000)
    arguments = parser.parse_args()
    with redis_server() as port:
        react(lambda _: Deferred.fromCoroutine(measure(port, arguments.number)))


if __name__ == "__main__":
    main()
