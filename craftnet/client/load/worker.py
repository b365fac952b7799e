"""One process of a load run: `python -m craftnet.client.load.worker`, controlled with lines of JSON."""

from __future__ import annotations

import gc
import os
import selectors
import sys
import time
from collections.abc import Callable
from math import inf
from typing import Literal, get_args

import msgspec
from msgspec import Struct

from craftnet.client.core.address import Address
from craftnet.client.load.datagrams import DatagramWatchers
from craftnet.client.load.measurement import Deliveries, Result
from craftnet.client.load.plan import EVENTS_PER_POST, WS, Share
from craftnet.client.load.posting import LoadFailed, Poster
from craftnet.client.load.watchers import Watchers
from craftnet.client.load.websockets import WebSocketWatchers

AT_ONCE = 50
"""Watchers that connect at the same time."""

DELIVERY_GRACE = 5.0
"""Seconds for the last updates to arrive after the last one is posted."""

REPORT_INTERVAL = 0.5
"""Seconds between two reports of a process's progress."""


Phase = Literal["starting", "connecting", "ready", "posting", "ending", "done"]

PHASES: tuple[Phase, ...] = get_args(Phase)
"""The phases in their order."""


class WorkerReport(Struct, tag_field="news", omit_defaults=True):
    """A report of a process, one line.

    Attributes:
        phase: what the process does: starting sessions, connecting, ready for the updates, posting, ending the sessions
            when every update was posted and has arrived or is lost, done.
        done: the progress within the phase.
        failure: why the process gave up.
    """

    phase: Phase
    done: int = 0
    result: Result | None = None
    failure: str | None = None


class Worker:
    """A share of the run. It is the `Observer` of its watchers."""

    def __init__(self, share: Share, say: Callable[[WorkerReport], None]) -> None:
        self._share = share
        self._say = say
        self._selector = selectors.DefaultSelector()
        self._events = Address(share.plan.url).events()
        self._poster = Poster(self._selector, self._events, share.token)
        self._deliveries = Deliveries(share.watchers)
        self._octets = [0] * share.watchers
        self._gone: set[int] = set()
        self._started = 0.0
        self._posted = 0
        self._spoke = 0.0
        self.result = Result(transport=share.transport, watchers=share.watchers)
        self._watchers: Watchers = (
            WebSocketWatchers(self._selector, share, self)
            if share.transport == WS
            else DatagramWatchers(self._selector, share, self, self._poster)
        )

    def prepare(self) -> None:
        """Starts the sessions and connects the watchers.

        Raises:
            LoadFailed: the server is unreachable, refuses, or is too slow.
        """
        share, now = self._share, time.time()
        self._started = now
        for first in range(0, share.watchers, EVENTS_PER_POST):
            numbers = range(first, min(first + EVENTS_PER_POST, share.watchers))
            self._post_and_wait([share.start(number, now) for number in numbers])
            self._report("starting", first)
        begin, opened = time.time(), 0
        while opened < share.watchers or self._watchers.opening:
            due = self._ramped(time.time() - begin)
            while opened < due and self._watchers.opening < AT_ONCE:
                self._watchers.open(opened)
                opened += 1
            self._turn(0.01 if opened < share.watchers else 0.1)
            self._report("connecting", self.result.connected)

    def measure(self, begin: float) -> None:
        """Posts the updates and waits for them.

        Arguments:
            begin: when, Unix seconds; the same for all processes.
        """
        gc.collect()
        gc.freeze()
        while time.time() < begin:
            self._turn(begin - time.time())
        before, cpu = list(self._octets), time.process_time()
        total = int(self._share.plan.seconds * self._share.watchers * self._share.plan.rate)
        while self._posted < total:
            self._post_due(begin)
            self._report("posting", self._posted)
        result, now = self.result, time.time()
        result.seconds, result.busy = now - begin, (time.process_time() - cpu) / (now - begin)
        octets = [after - earlier for after, earlier in zip(self._octets, before, strict=True)]
        result.octets, result.most_octets = sum(octets), max(octets)
        while (self._deliveries.pending or not self._poster.idle) and time.time() < now + DELIVERY_GRACE:
            self._turn(0.05)
        result.posted, result.lost = self._deliveries.posted, self._deliveries.pending
        result.latencies, result.superseded = self._deliveries.latencies, self._deliveries.superseded

    def finish(self) -> None:
        """Disconnects the watchers and ends the sessions."""
        share = self._share
        self._watchers.close()
        for first in range(0, share.watchers, EVENTS_PER_POST):
            numbers = range(first, min(first + EVENTS_PER_POST, share.watchers))
            self._post_and_wait([share.end(number, time.time()) for number in numbers])
        self._poster.close()

    def connected(self, seconds: float) -> None:
        """See `Observer`."""
        self.result.connected += 1
        self.result.connects.add(seconds)

    def refused(self, number: int, why: str) -> None:
        """See `Observer`."""
        self._gone.add(number)
        self.result.refused[why] = self.result.refused.get(why, 0) + 1

    def ended(self, number: int, why: str) -> None:
        """See `Observer`."""
        self._gone.add(number)
        self.result.ended[why] = self.result.ended.get(why, 0) + 1

    def received(self, number: int, octets: int) -> None:
        """See `Observer`."""
        self._octets[number] += octets

    def arrived(self, number: int, quality: int, when: float) -> None:
        """See `Observer`."""
        self._deliveries.arrive(number, quality, when)

    def _ramped(self, elapsed: float) -> int:
        """How many watchers may have started to connect."""
        ramp, watchers = self._share.plan.ramp, self._share.watchers
        return watchers if elapsed >= ramp else int(watchers * elapsed / ramp) + 1

    def _post_due(self, begin: float) -> None:
        """Posts due events if the server has answered the last body; otherwise waits, and records since when."""
        share, now = self._share, time.time()
        due = share.due(now - begin)
        at = begin + share.due_at(self._posted)
        if due <= self._posted or now < at or not self._poster.idle:
            self._turn(max(0.0, at - now) if self._poster.idle else 0.05)
            return
        numbers = range(self._posted, min(due, self._posted + EVENTS_PER_POST))
        self._posted, idle_since = numbers.stop, self._poster.idle_since
        events = [
            share.update(number % share.watchers, number // share.watchers, now - self._started, now)
            for number in numbers
        ]
        now = time.time()
        for number in numbers:
            turn, watcher = divmod(number, share.watchers)
            if watcher in self._gone:
                continue
            # What had to wait for an answer of the server counts from when it was due.
            due_at = begin + share.due_at(number)
            self._deliveries.post(watcher, turn, due_at if due_at < idle_since else now)
        self.result.late.add(now - max(at, idle_since))
        self._poster.post_events(self._events, events, self._answered)

    def _answered(self, body: bytes, seconds: float) -> None:
        self.result.posts.add(seconds)
        self.result.rejected += len(msgspec.json.decode(body)["rejected"])

    def _post_and_wait(self, events: list[bytes]) -> None:
        answers: list[bytes] = []
        self._poster.post_events(self._events, events, lambda body, _: answers.append(body))
        while not answers:
            self._turn(0.1)
        rejected = msgspec.json.decode(answers[0])["rejected"]
        if rejected:
            raise LoadFailed(f"the server rejected {len(rejected)} of {len(events)} events, the first: {rejected[0]}")

    def _turn(self, timeout: float) -> None:
        """Waits for an event, at most `timeout` seconds, and handles it."""
        now = time.time()
        if now > self._share.bound:
            raise LoadFailed("the run took longer than it may; the server or this machine is too slow for it")
        deadline = self._watchers.deadline
        for key, _ in self._selector.select(max(0.0, min(timeout, deadline - now))):
            handle, argument = key.data
            handle(argument)
        if deadline < inf:
            self._watchers.tick(time.time())

    def _report(self, phase: Phase, done: int) -> None:
        now = time.time()
        if now >= self._spoke + REPORT_INTERVAL:
            self._spoke = now
            self._say(WorkerReport(phase, done))


def main() -> None:
    """Reads the share from a line of standard input, prepares, waits for a line with the start time, measures."""
    share = msgspec.json.decode(sys.stdin.buffer.readline(), type=Share)
    encoder = msgspec.json.Encoder()

    def say(news: WorkerReport) -> None:
        sys.stdout.buffer.write(encoder.encode(news) + b"\n")
        sys.stdout.buffer.flush()

    worker = Worker(share, say)
    try:
        worker.prepare()
        say(WorkerReport("ready", worker.result.connected, worker.result))
        begin = sys.stdin.buffer.readline()
        if begin:
            worker.measure(float(begin))
            say(WorkerReport("ending"))
            worker.finish()
            say(WorkerReport("done", result=worker.result))
    except LoadFailed as error:
        say(WorkerReport("done", result=worker.result, failure=str(error)))
    except BrokenPipeError:
        os._exit(1)  # the process that reads the reports is gone, and there is nothing to clean up.


if __name__ == "__main__":
    main()
