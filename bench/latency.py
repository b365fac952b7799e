"""Delivery latency: event accepted → frame read by the client, with many watchers and an update each second for each.

Every watcher watches a session of its own; the updates are spread over the second. Server and watchers are two
processes on one machine, so that the clock is the same and a busy machine is seen. Ends by itself.

    python bench/latency.py --watchers 10000 --seconds 10
"""

from __future__ import annotations

import argparse
import json
import time

from lab import lab, pause_or_resume
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater, react
from twisted.internet.threads import deferToThread

TICK = 0.002
"""Seconds between two batches of updates."""


async def measure(watchers: int, seconds: int) -> None:
    """Set up, measure, print."""
    sources, sessions, opened, child = await lab(watchers)
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
    used = (time.process_time() - cpu) / (time.time() - begin)
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


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--watchers", type=int, default=10_000)
    parser.add_argument("--seconds", type=int, default=10)
    arguments = parser.parse_args()
    react(lambda _: Deferred.fromCoroutine(measure(arguments.watchers, arguments.seconds)))


if __name__ == "__main__":
    main()
