"""`craftnet load`: its options and its processes."""

from __future__ import annotations

import argparse
import json
import secrets
import selectors
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from typing import IO, TextIO, cast

import msgspec

from craftnet.client.core.address import Address
from craftnet.client.core.durations import duration
from craftnet.client.load.measurement import Result, ServerUse
from craftnet.client.load.plan import LoadPlan, Share, is_loopback, shares
from craftnet.client.load.posting import LoadFailed
from craftnet.client.load.process import ServerProcesses, Use
from craftnet.client.load.report import Report
from craftnet.client.load.worker import DELIVERY_GRACE, PHASES, REPORT_INTERVAL, WorkerReport
from craftnet.errors import ConfigurationError
from craftnet.runtime.sockets import raise_open_files_limit

CONNECT_TIME = 0.02
"""Seconds that the watchers, one by one, may take to connect beyond the ramp before the run is given up."""

MAX_OVERRUN = 60.0
"""Seconds by which the rest of a run may exceed its planned duration."""

BEGIN = 0.5
"""Seconds between the last watcher's first state and the first update."""

EPILOG = """\
Every watcher watches a session of its own. The sessions are started, their watchers connect over --ramp, then each
session gets an update --rate times a second for --seconds; at the end the sessions are cancelled.

The token needs the scopes crafting:publish (to start sessions and post their events) and, for WebSockets,
crafting:admin (to watch them all). For a server with development tokens:
  export CRAFTNET_JWT_SECRET=$(openssl rand -hex 32)      # before the server is started, and here
  export CRAFTNET_TOKEN=$(craftnet token --scope crafting:publish --scope crafting:admin)
A server takes 20,000 WebSockets, and UDP sessions from any address, unless its options say otherwise; those that limit
addresses do not hold for loopback.

what is measured:
  event → delivery: from when the body with the event is handed to the server's connection (or was due, where the server
  had not answered the one before) to when the datagram or segment arrived at this machine, by the kernel's time stamp.
  Both times are by this machine's clock. The way of the event over HTTP is in it.

promises (p99, or what --percentile says):
  WebSocket delivery < 5 ms; UDP update < 1 ms; < 50 KB/s a session; with --server-pid and 1,000 watchers or more,
  < 10 KB of the server's memory a session; no watcher refused, nothing lost.

exit codes:
  0    every promise was kept
  1    the server could not be reached, or refused
  2    wrong usage
  3    a promise was broken
  4    a promise about latency or losses was broken, but the generator or a busy machine may be the reason
  130  interrupted (Ctrl-C)
"""


def add_options(load: argparse.ArgumentParser) -> None:
    """Adds the options of `craftnet load`, without those that it shares with `craftnet watch`."""
    _add_traffic(load)
    load.add_argument(
        "--percentile",
        metavar="P",
        type=_percentile,
        default=99.0,
        help="percentile of the latencies that must keep the promise (default: %(default)s)",
    )
    load.add_argument(
        "--server-pid",
        metavar="PID",
        type=int,
        help="process id of the server on this machine: also measures the CPU time and memory of it and its children",
    )
    load.add_argument("--yes", action="store_true", help="confirm loading a server that is not on loopback")
    load.add_argument("--json", action="store_true", help="print the report as one JSON object")


def _add_traffic(load: argparse.ArgumentParser) -> None:
    """Adds the options about the load and the number of processes."""
    load.add_argument("--watchers", metavar="N", type=_positive, default=100, help="sessions (default: %(default)s)")
    load.add_argument(
        "--rate",
        metavar="HZ",
        type=_rate,
        default=1.0,
        help="updates per second of each session, 0.01 to 20 (default: %(default)s)",
    )
    load.add_argument(
        "--transport",
        choices=["ws", "udp", "both"],
        default="ws",
        help="transport of the watchers; both: half of the sessions each (default: %(default)s)",
    )
    load.add_argument(
        "--ramp",
        metavar="DURATION",
        type=duration,
        default="10s",
        help="duration over which the watchers connect (default: %(default)s)",
    )
    load.add_argument(
        "--seconds",
        metavar="DURATION",
        type=duration,
        default="30s",
        help="duration of the updates, at most 1h (default: %(default)s)",
    )
    load.add_argument(
        "--batch",
        metavar="DURATION",
        type=duration,
        default="0.005s",
        help="duration of the events in one body; longer bodies cost the server less, but the first event of a body "
        "waits for the last (default: %(default)s)",
    )
    load.add_argument(
        "--processes",
        metavar="N",
        type=int,
        default=0,
        help="processes of each transport; 0: one for 12,000 updates a second over WebSockets, for 2,500 over UDP "
        "(default: %(default)s)",
    )


def begin_load(options: argparse.Namespace, token: str, out: TextIO, err: TextIO) -> int:
    """Runs the load test and returns the exit code.

    Raises:
        ConfigurationError: the options are invalid, or the target needs --yes.
        LoadFailed: the server is unreachable, or refuses.
    """
    host = Address(options.url).host
    if not is_loopback(host) and not options.yes:
        raise ConfigurationError(
            f"{host} is not this machine's loopback; a load test can take a server down. Give --yes if it is yours"
        )
    if not 0 < options.seconds <= 3600 or options.ramp > 3600:
        raise ConfigurationError("--seconds must be above 0 and at most 1h, --ramp at most 1h")
    if not 0.001 <= options.batch <= 1:
        raise ConfigurationError("--batch must be from 0.001s to 1s")
    if (fits := raise_open_files_limit(options.watchers)) is not None:
        raise ConfigurationError(
            f"this process may open only {fits:,} connections; raise `ulimit -n`, or lower --watchers"
        )
    plan = LoadPlan(
        url=options.url,
        run=secrets.randbits(64),
        watchers=options.watchers,
        rate=options.rate,
        ramp=options.ramp,
        seconds=options.seconds,
        batch=options.batch,
    )
    longest = plan.ramp + plan.watchers * CONNECT_TIME + plan.seconds + DELIVERY_GRACE + MAX_OVERRUN
    parts = shares(plan, options.transport, options.processes, token, time.time() + longest)
    server = None if options.server_pid is None else ServerProcesses(options.server_pid)
    report = _Run(plan, parts, server, err).run(options.percentile)
    print(json.dumps(report.json()) if options.json else report.text(), file=out)
    return report.exit_code


class _Run:
    """The processes of a run and their reports."""

    def __init__(self, plan: LoadPlan, parts: list[Share], server: ServerProcesses | None, err: TextIO) -> None:
        self._plan = plan
        self._parts = parts
        self._server = server
        self._err = err
        self._news: list[WorkerReport] = [WorkerReport("starting") for _ in parts]
        self._spoke = 0.0

    def run(self, percent: float) -> Report:
        """Runs everything.

        Raises:
            LoadFailed: a process gave up.
        """
        empty = self._use()
        with _processes(self._parts) as processes, selectors.DefaultSelector() as selector:
            for index, process in enumerate(processes):
                assert process.stdout is not None
                selector.register(process.stdout, selectors.EVENT_READ, index)
            self._follow(selector, "ready")
            full = self._use()
            if not any(news.done for news in self._news):
                # No watcher was admitted, so there is nothing to measure; every process has the reason.
                raise LoadFailed(self._refusal())
            begin = time.time() + BEGIN
            for process in processes:
                assert process.stdin is not None
                process.stdin.write(f"{begin}\n".encode())
                process.stdin.flush()
            self._follow(selector, "ending", begin)
            first = self._use()
            self._follow(selector, "ending")
            last = self._use()
            self._follow(selector, "done")
        use = None
        if empty and full and first and last:
            use = ServerUse(
                last.cpu - first.cpu, last.waited - first.waited, full.cpu - empty.cpu, empty.memory, full.memory
            )
        return Report(self._plan, self._merged(), use, percent)

    def _follow(self, selector: selectors.BaseSelector, phase: str, until: float = inf) -> None:
        """Reads the processes' reports until all have reached this phase, or until that moment (Unix seconds)."""
        while any(PHASES.index(news.phase) < PHASES.index(phase) for news in self._news):
            now = time.time()
            if now >= until:
                return
            if now > self._parts[0].bound + REPORT_INTERVAL:
                raise LoadFailed("a process of the generator hangs")
            for key, _ in selector.select(min(1.0, until - now)):
                line = cast("IO[bytes]", key.fileobj).readline()
                if not line:
                    raise LoadFailed("a process of the generator died; its error is above")
                news = self._news[key.data] = msgspec.json.decode(line, type=WorkerReport)
                if news.failure is not None:
                    raise LoadFailed(news.failure)
                if news.phase == "done":
                    selector.unregister(key.fileobj)  # the process is ending.
            self._show()

    def _show(self) -> None:
        """Prints the progress of the run, about once a second."""
        now = time.time()
        if now < self._spoke + 1.0:
            return
        self._spoke = now
        behind = min((news.phase for news in self._news), key=PHASES.index)
        done = sum(news.done for news in self._news if news.phase == behind)
        total = sum(part.watchers for part, news in zip(self._parts, self._news, strict=True) if news.phase == behind)
        words = {
            "starting": f"{done:,} of {total:,} sessions started",
            "connecting": f"{done:,} of {total:,} watchers connected",
            "ready": "every watcher is connected",
            "posting": f"{done:,} of {int(total * self._plan.rate * self._plan.seconds):,} updates posted",
            "ending": "the sessions are ended",
            "done": "the sessions are ended",
        }
        print(f"craftnet: {words[behind]}", file=self._err, flush=True)

    def _refusal(self) -> str:
        reasons = [reason for news in self._news if news.result is not None for reason in news.result.refused]
        return f"no watcher was admitted: {reasons[0] if reasons else 'the server gave no reason'}"

    def _merged(self) -> list[Result]:
        """One result for each transport."""
        found: dict[str, Result] = {}
        for news in self._news:
            assert news.result is not None
            if (known := found.get(news.result.transport)) is not None:
                known.merge(news.result)
            else:
                found[news.result.transport] = news.result
        return list(found.values())

    def _use(self) -> Use | None:
        try:
            return None if self._server is None else self._server.use()
        except OSError as error:
            raise LoadFailed("the process that --server-pid names is gone") from error


@contextmanager
def _processes(parts: list[Share]) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Starts a process for each part and passes it on; the processes end with the context."""
    running: list[subprocess.Popen[bytes]] = []
    try:
        for part in parts:
            command = [sys.executable, "-m", "craftnet.client.load.worker"]
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,  # the selector does not see lines that were read ahead.
            )
            running.append(process)
            assert process.stdin is not None
            # On its standard input: a command line is readable by other users of this machine.
            process.stdin.write(msgspec.json.encode(part) + b"\n")
            process.stdin.flush()
        yield running
    finally:
        for process in running:
            process.kill()
            process.communicate()


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def _rate(text: str) -> float:
    number = float(text)
    if not 0.01 <= number <= 20:
        raise argparse.ArgumentTypeError("must be from 0.01 to 20")
    return number


def _percentile(text: str) -> float:
    number = float(text)
    if not 0 < number <= 100:
        raise argparse.ArgumentTypeError("must be more than 0 and at most 100")
    return number
