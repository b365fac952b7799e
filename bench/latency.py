"""Delivery latency: event accepted → frame read by the client, with many watchers and an update each second for each.

Every watcher watches a session of its own; the updates are spread over the second. Server and watchers are two
processes on one machine, so that the clock is the same and a busy machine is seen. Others may come meanwhile, and go a
second later. The longest stop for Python's collector of cycles is measured in CPU time of the server. Ends by itself.

    python bench/latency.py --watchers 10000 --seconds 10
    python bench/latency.py --watchers 10000 --seconds 10 --connects 200
"""

from __future__ import annotations

import argparse
import gc
import json
import time
from collections import Counter
from functools import partial

from lab import lab, pause_or_resume
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater, react
from twisted.internet.threads import deferToThread

TICK = 0.002
"""Seconds between two batches of updates."""


class Stops:
    """How often Python's collector of cycles stopped everything, and for how long at most, by its generation.

    Attributes:
        longest: ms of CPU.
    """

    def __init__(self) -> None:
        self.number: Counter[int] = Counter()
        self.longest: Counter[int] = Counter()
        self._begun = 0.0

    def __call__(self, phase: str, info: dict[str, int]) -> None:
        """As in `gc.callbacks`."""
        if phase == "start":
            self._begun = time.process_time()
            return
        took = (time.process_time() - self._begun) * 1000
        self.number[info["generation"]] += 1
        self.longest[info["generation"]] = max(self.longest[info["generation"]], took)


async def measure(watchers: int, seconds: int, connects: int) -> None:
    """Set up, measure, print."""
    stops = Stops()
    gc.callbacks.append(stops)
    sources, sessions, opened, child, passers = await lab(watchers, connects)
    await deferLater(reactor, 2.0 if connects else 0.0, lambda: None)  # they come and go.
    accepted: list[list[float]] = [[] for _ in sessions]
    begin, cpu, done = time.time(), time.process_time(), 0
    total = watchers * seconds
    while done < total:
        due = min(total, int((time.time() - begin) * watchers))
        for number in range(done, due):
            round_, index = divmod(number, watchers)
            happening = pause_or_resume(sessions[index], round_)
            accepted[index].append(happening.accepted)
            await sources.apply([happening])
        done = due
        await deferLater(reactor, TICK, lambda: None)
    gc.callbacks.remove(stops)
    used = (time.process_time() - cpu) / (time.time() - begin)
    if passers is not None:
        passers.kill()
        passers.wait()
    await deferLater(reactor, 1.0, lambda: None)
    for protocol in opened:
        protocol.transport.loseConnection()
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
    if connects:
        print(f"  {connects} more connections came and went each second")
    print("  cycles were looked for, since before the first connection:")
    for generation, longest in sorted(stops.longest.items()):
        name = "in everything that is not frozen" if generation == 2 else f"in generation {generation}"
        print(f"    {name}: {stops.number[generation]} times, {longest:.2f} ms of CPU at most")


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--watchers", type=int, default=10_000)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--connects", type=int, default=0, help="further connections a second")
    arguments = parser.parse_args()
    measured = partial(measure, arguments.watchers, arguments.seconds, arguments.connects)
    react(lambda _: Deferred.fromCoroutine(measured()))


if __name__ == "__main__":
    main()
