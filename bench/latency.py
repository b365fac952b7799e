"""Delivery latency: event accepted → frame read by the client, with many watchers and one update a second for each.

Every watcher watches its own session; the updates are spread over the second. Server and watchers are two processes on
one machine, so that they share a clock. With --connects, further connections open meanwhile and close after a second.
Pauses of Python's garbage collector are measured in CPU time of the server.

    python bench/latency.py --watchers 10000 --seconds 10
    python bench/latency.py --watchers 10000 --seconds 10 --connects 200
    python bench/latency.py --watchers 10000 --seconds 10 --admin
"""

from __future__ import annotations

import argparse
import gc
import json
import time
from functools import partial
from statistics import median

from lab import lab, pause_or_resume
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater, react
from twisted.internet.threads import deferToThread

TICK = 0.002
"""Seconds between two batches of updates."""


class Stops:
    """Counts and times pauses of Python's garbage collector, as a context manager.

    Attributes:
        durations: of each, ms of CPU time.
    """

    def __init__(self) -> None:
        self.durations: list[float] = []
        self._begun = 0.0

    def __enter__(self) -> None:
        gc.callbacks.append(self._collected)

    def __exit__(self, *_: object) -> None:
        gc.callbacks.remove(self._collected)

    def __str__(self) -> str:
        typical, longest = (median(self.durations), max(self.durations)) if self.durations else (0.0, 0.0)
        return f"{len(self.durations)} times, median {typical:.2f} ms of CPU, {longest:.2f} ms at most"

    def _collected(self, phase: str, _: dict[str, int]) -> None:
        if phase == "start":
            self._begun = time.process_time()
        else:
            self.durations.append((time.process_time() - self._begun) * 1000)


async def measure(watchers: int, seconds: int, connects: int, administrators: bool) -> None:
    """Measures and prints."""
    connecting, meanwhile = Stops(), Stops()
    with connecting:
        sources, sessions, opened, child, passers, administrator = await lab(
            watchers, connects, administrators=administrators
        )
        await deferLater(reactor, 2.0 if connects else 0.0, lambda: None)  # until they come and go evenly.
    accepted: list[list[float]] = [[] for _ in sessions]
    begin, cpu, done = time.time(), time.process_time(), 0
    total = watchers * seconds
    with meanwhile:
        while done < total:
            due = min(total, int((time.time() - begin) * watchers))
            for number in range(done, due):
                round_, index = divmod(number, watchers)
                event_ = pause_or_resume(sessions[index], round_)
                accepted[index].append(event_.accepted)
                await sources.apply([event_])
            done = due
            await deferLater(reactor, TICK, lambda: None)
    used = (time.process_time() - cpu) / (time.time() - begin)
    if passers is not None:
        passers.kill()
        passers.wait()
    await deferLater(reactor, 1.0, lambda: None)
    for protocol in opened:
        protocol.transport.loseConnection()
    if administrator is not None:
        administrator.kill()
        administrator.wait()
    assert child.stdout is not None
    output = await deferToThread(child.stdout.read)
    child.wait()
    latencies = []
    for sent, (_, *read) in zip(accepted, json.loads(output), strict=True):
        assert len(sent) <= len(read)
        latencies += [there - here for here, there in zip(sent, read[: len(sent)], strict=True)]
    latencies.sort()
    print(f"{watchers} watchers, one update a second each, for {seconds} s; server CPU {used:.0%} of one core")
    for name, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)):
        print(f"  {name:6} {latencies[int(len(latencies) * share)] * 1000:8.2f} ms")
    print(f"  {'max':6} {latencies[-1] * 1000:8.2f} ms")
    if administrators:
        print("  one administrator followed the overview, every view and the trace of a session")
    if connects:
        print(f"  {connects} more connections opened and closed each second")
    print(f"  collector pauses while they connected: {connecting}")
    print(f"  collector pauses during delivery: {meanwhile}")


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--watchers", type=int, default=10_000)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--connects", type=int, default=0, help="further connections per second")
    parser.add_argument("--admin", action="store_true", help="with a client of the admin feed")
    arguments = parser.parse_args()
    measured = partial(measure, arguments.watchers, arguments.seconds, arguments.connects, arguments.admin)
    react(lambda _: Deferred.fromCoroutine(measured()))


if __name__ == "__main__":
    main()
