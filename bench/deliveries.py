"""Deliveries per second of server CPU: event applied → frame written, against the floor of a bare socket.send loop.

Every watcher watches its own session, so that no encoding is shared. Another process connects and discards what it
reads.

    python bench/deliveries.py --watchers 2000 --rounds 30
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import NamedTuple

from lab import PLAYER, lab, pause_or_resume
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater, react

from craftnet.clocks import Moment
from craftnet.contract.messages import Status
from craftnet.crafting.progress import Progress
from craftnet.crafting.state import SessionState
from craftnet.crafting.updates import Update, progress_update
from craftnet.protocols.websocket.core import frames

PAUSE = 0.2
"""Seconds between rounds in which the other process reads."""


class Way(NamedTuple):
    """One way of delivering to every watcher. `prepare` is not measured. Both receive the number of the round."""

    name: str
    deliver: Callable[[int], None]
    prepare: Callable[[int], None] = lambda _: None


async def rounds(ways: Sequence[Way], count: int, deliveries: int) -> list[float]:
    """Measures the ways in turn, `count` times, so that other work on the machine affects all of them.

    Returns:
        µs of this process's CPU for one delivery, the median of the rounds, for each way. The pause after it is
        included, because buffered data is written then.
    """
    costs: list[list[float]] = [[] for _ in ways]
    for number in range(count):
        for way, measured in zip(ways, costs, strict=True):
            way.prepare(number)
            before = time.process_time()
            way.deliver(number)
            await deferLater(reactor, PAUSE, lambda: None)
            measured.append((time.process_time() - before) / deliveries * 1e6)
    return [median(measured) for measured in costs]


async def measure(watchers: int, count: int) -> None:
    """Measures and prints."""
    sources, sessions, opened, child, _, _ = await lab(watchers)

    def whole_path(number: int) -> None:
        Deferred.fromCoroutine(sources.apply([pause_or_resume(session, number) for session in sessions]))

    def make_updates(_: int) -> None:
        updates[:] = [progress_update(state, Moment.agreed(now), now) for state in states]

    def delivery(_: int) -> None:
        for protocol, update in zip(opened, updates, strict=True):
            protocol.deliver(update)

    def send_message(_: int) -> None:
        for protocol in opened:
            protocol.sendMessage(payload)

    def bare_send(_: int) -> None:
        for connection in sockets:
            connection.send(frame)

    now = reactor.seconds()
    states = [
        SessionState(session, PLAYER, 1, Progress(Status.ACTIVE, 10.0, now, 3600.0), session, now)
        for session in sessions
    ]
    updates: list[Update] = []
    (payload,) = progress_update(states[0], Moment.agreed(now), now).json
    frame = frames.text(payload)
    sockets = [protocol.transport.getHandle() for protocol in opened]
    ways = (
        Way("event applied → frame written", whole_path),
        Way("update encoded, framed, sent", delivery, make_updates),
        Way("Autobahn sendMessage alone", send_message),
        Way("bare socket.send (floor)", bare_send),
    )
    try:
        costs = await rounds(ways, count, watchers)
    finally:
        child.kill()
        child.wait()
    print(f"{watchers} watchers, {len(frame)} bytes each; medians of {count} rounds; CPU of the server process")
    for way, cost in zip(ways, costs, strict=True):
        print(f"  {way.name:32} {cost:6.1f} µs   {1e6 / cost:9,.0f}/s   {costs[-1] / cost:5.2f} of the floor's rate")


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--watchers", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=30)
    arguments = parser.parse_args()
    react(lambda _: Deferred.fromCoroutine(measure(arguments.watchers, arguments.rounds)))


if __name__ == "__main__":
    main()
