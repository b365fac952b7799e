"""What --record costs a server: CPU and pauses for each event, beside none and beside JSON lines in the process.

First in this process, which applies events to the memory back end, in turns of 100 with the reactor between them:
without a recording, with one (a real writer, in a process of its own), and with the same rows as JSON lines, which this
process writes, pseudonyms included, and for which it waits for the disk once a second. The variants take turns. Then a
server answers posts of one event, without and with a recording. Sizes are those of a simulated workshop's rows, also
after the files of a day are joined. Linux
only: /proc has the CPU times of processes.

    python bench/recording.py --rounds 20 --events 5000 --posts 2000
"""

from __future__ import annotations

import argparse
import http.client
import os
import secrets
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from random import Random
from uuid import uuid4

import msgspec
from ingest import cpu_of, progress, running_server, start
from msgspec.structs import asdict
from twisted.internet import reactor
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import deferLater, react

from craftnet.access.development import sign_token
from craftnet.access.principal import PUBLISH
from craftnet.clocks import Moment, steady
from craftnet.contract.envelopes import decode
from craftnet.contract.events import Event, EventOutcome
from craftnet.observe.metrics.store import MetricStore
from craftnet.operator.analysis.history import Period, RecordedHistory
from craftnet.providers.inspection import add_tap
from craftnet.providers.memory.backend import MemoryBackend, MemorySettings
from craftnet.providers.sources import Sources
from craftnet.providers.workshop.simulation.settings import WorkshopSettings
from craftnet.providers.workshop.simulation.simulation import Simulation
from craftnet.recording.compaction import compact
from craftnet.recording.description import Description
from craftnet.recording.files import RecordingFiles, encoded
from craftnet.recording.keys import PeriodNames, day_of
from craftnet.recording.messages import WriterSettings
from craftnet.recording.rows import TABLE_OF, Row, rows_of
from craftnet.recording.service import Recorder, RecordingMetrics

TURN = 100
"""Events that are applied before the reactor gets its turn."""

SESSIONS = 1000


class JsonLines:
    """The alternative: rows as JSON lines, written by the server itself."""

    def __init__(self, path: Path) -> None:
        self.file = open(path, "ab")  # noqa: SIM115 - for as long as the benchmark.
        self._encode = msgspec.json.Encoder().encode
        self._synced = time.perf_counter()

    def tap(self, events: Sequence[Event], outcomes: Sequence[EventOutcome]) -> None:
        """As in `IEventTap`."""
        names = PeriodNames(bytes(32), _Players())
        for event in events:
            for row in rows_of(event.data, event.when, names):
                self.file.write(self._encode(row) + b"\n")
        if time.perf_counter() >= self._synced + 1:
            self.file.flush()
            os.fsync(self.file.fileno())
            self._synced = time.perf_counter()


class _Players(dict[object, str]):
    def __missing__(self, player: object) -> str:
        return "0" * 32


class Variant:
    """A back end with one way to record, and what its rounds cost."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.sources = Sources.of(MemoryBackend(steady(reactor), MemorySettings()))
        self.cpu: list[float] = []
        self.longest: list[float] = []
        self.sessions = [uuid4() for _ in range(SESSIONS)]

    async def apply(self, bodies: list[bytes]) -> None:
        """Applies events, with the reactor in between."""
        now = Moment(steady(reactor).seconds(), steady(reactor).wall())
        events = [event for event in (decode(body, now) for body in bodies) if isinstance(event, Event)]
        longest = 0.0
        began = time.process_time()
        for first in range(0, len(events), TURN):
            before = time.perf_counter()
            await self.sources.apply(events[first : first + TURN])
            await deferLater(reactor, 0)
            longest = max(longest, time.perf_counter() - before)
        await deferLater(reactor, 0.1)  # what waits for the recorder's next turn belongs to this round.
        self.cpu.append((time.process_time() - began) / len(events))
        self.longest.append(longest)


def recorder(sources: Sources, folder: Path) -> Recorder:
    """A recorder with its writer."""
    settings = WriterSettings(str(folder), f"{folder}.players", interval=5.0)
    arguments = [sys.executable, "-m", "craftnet.recording.writer", msgspec.json.encode(settings).decode()]
    return Recorder(
        sources,
        lambda process: reactor.spawnProcess(process, sys.executable, arguments, os.environ),
        lambda: (),
        steady(reactor),
        RecordingMetrics(MetricStore()),
    )


def writer_of(pid: int) -> int:
    """The writer that a process has started."""
    (child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(child)


async def costs(rounds: int, number: int, base: Path) -> None:
    """The first part."""
    variants = [Variant("without a recording"), Variant("with --record"), Variant("JSON lines in the process")]
    plain, recorded, lines = variants
    service = recorder(recorded.sources, base / "recording")
    service.startService()
    alternative = JsonLines(base / "rows.jsonl")
    add_tap(lines.sources.sessions, alternative.tap)
    for variant in variants:
        await variant.apply([start(session) for session in variant.sessions])
        variant.cpu.clear()
        variant.longest.clear()
    await deferLater(reactor, 6)  # until the writer has started, and has written its first batch.
    writer = writer_of(os.getpid())
    began = cpu_of(writer)
    for _ in range(rounds):
        for variant in variants:
            await variant.apply([progress(variant.sessions[index % SESSIONS]) for index in range(number)])
    await deferLater(reactor, 6)  # until the last batch is written.
    events = rounds * number
    in_writer = (cpu_of(writer) - began) / events
    memory = int(Path(f"/proc/{writer}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    await service.stopService()
    alternative.file.close()
    print(f"{events} progress events for each variant, medians of {rounds} rounds")
    floor = statistics.median(plain.cpu)
    for variant in variants:
        cpu = statistics.median(variant.cpu)
        longest = statistics.median(variant.longest) * 1000
        print(
            f"{variant.name:<28} {cpu * 1e6:.2f} µs an event   {cpu / floor:.2f} of none"
            f"   {longest:.2f} ms longest turn"
        )
    print(f"added by --record            {(statistics.median(recorded.cpu) - floor) * 1e6:.2f} µs an event")
    print(f"added by JSON lines          {(statistics.median(lines.cpu) - floor) * 1e6:.2f} µs an event")
    print(f"the writer's own CPU         {in_writer * 1e6:.2f} µs an event")
    print(f"the writer's memory          {memory / 1e6:.0f} MB")


def posts(number: int, *options: str) -> tuple[list[float], float]:
    """Milliseconds of each post of one event, and the server's CPU seconds for each."""
    secret = secrets.token_hex(32)
    headers = {
        "Authorization": f"Bearer {sign_token(secret.encode(), None, [PUBLISH], 3600, time.time())}",
        "Content-Type": "application/x-ndjson",
    }
    sessions = [uuid4() for _ in range(100)]
    with running_server(secret, *options) as (pid, port):
        connection = http.client.HTTPConnection("127.0.0.1", port)

        def post(body: bytes) -> float:
            began = time.perf_counter()
            connection.request("POST", "/events", body, headers)
            answer = connection.getresponse()
            text = answer.read()
            if answer.status != 202 or b'"rejected":[]' not in text.replace(b" ", b""):
                raise SystemExit(f"{answer.status}: {text[:200]!r}")
            return (time.perf_counter() - began) * 1000

        for session in sessions:
            post(start(session))
        for index in range(300):
            post(progress(sessions[index % 100]))
        began = cpu_of(pid)
        times = [post(progress(sessions[index % 100])) for index in range(number)]
        return times, (cpu_of(pid) - began) / number


def sizes(players: int, minutes: int) -> None:
    """The size of a simulated workshop's events, in files of a minute, and as JSON lines without nulls."""
    begin = 1_800_000_000.0
    simulation = Simulation(WorkshopSettings(players=players), Random(1), begin)
    names, events, parquet, lines = PeriodNames(bytes(32), _Players()), 0, 0, 0
    for minute in range(minutes):
        batch: dict[str, list[Row]] = defaultdict(list)
        for event in simulation.run_until(begin + 60 * (minute + 1)):
            events += 1
            for row in rows_of(event.data, event.when, names):
                batch[TABLE_OF[type(row)]].append(row)
                values = {name: value for name, value in asdict(row).items() if value is not None}
                lines += len(msgspec.json.encode(values)) + 1
        parquet += sum(len(encoded(table, rows)) for table, rows in batch.items())
    print(f"{events} events of {players} players in a simulated workshop, in {minutes} batches of a minute")
    print(f"Parquet                      {parquet / events:.1f} bytes an event")
    print(f"JSON lines                   {lines / events:.1f} bytes an event")


def compaction(players: int, hours: int, base: Path) -> None:
    """What joining the files of a finished day saves."""
    begin = 1_800_000_000.0 // 86_400 * 86_400
    simulation = Simulation(WorkshopSettings(players=players), Random(1), begin)
    names, folder = PeriodNames(bytes(32), _Players()), base / "compacted"
    files = RecordingFiles(folder, "w0", Description(rotation="month", players=f"{folder}.players"))
    files.prepare()
    for minute in range(60 * hours):
        batch: dict[str, list[Row]] = defaultdict(list)
        for event in simulation.run_until(begin + 60 * (minute + 1)):
            for row in rows_of(event.data, event.when, names):
                batch[TABLE_OF[type(row)]].append(row)
        for table, rows in batch.items():
            files.publish(table, day_of(begin + 60 * minute), rows)

    def analysed() -> tuple[float, int, int]:
        """CPU seconds of an analysis, and the files and bytes that it reads."""
        began = time.process_time()
        RecordedHistory(folder, Period()).close()
        found = list(folder.glob("*/*/*.parquet"))
        return time.process_time() - began, len(found), sum(path.stat().st_size for path in found)

    print(f"{hours} hours of {players} players in a simulated workshop, in batches of a minute")
    for name in ("as written", "after compaction"):
        cpu, number, size = analysed()
        print(f"{name:<28} {number} files   {size / 1e6:.2f} MB   {cpu:.2f} s of CPU to open them for an analysis")
        if name == "as written":
            began = time.process_time()
            list(compact(folder, begin + 2 * 86_400))
            joining = time.process_time() - began
    print(f"the compaction's own CPU     {joining:.2f} s")


def latencies(number: int, base: Path) -> None:
    """The second part."""
    print(f"{number} posts of one event to a server, twice each")
    for name, options in (
        ("posts without a recording", ()),
        ("posts with --record", ("--record", str(base / "posted"))),
    ):
        found = [posts(number, *options) for _ in range(2)]
        times = sorted(each for every, _ in found for each in every)
        cpu = statistics.mean(each for _, each in found)
        print(
            f"{name:<28} p50 {times[len(times) // 2]:.3f} ms   p99 {times[len(times) * 99 // 100]:.3f} ms"
            f"   {cpu * 1e6:.0f} µs of CPU a post"
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--events", type=int, default=5000, help="events in a round")
    parser.add_argument("--posts", type=int, default=2000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        sizes(200, 10)
        compaction(50, 4, Path(name))
        latencies(arguments.posts, Path(name))

        def run(_: object) -> Deferred[None]:
            return ensureDeferred(costs(arguments.rounds, arguments.events, Path(name)))

        react(run)


if __name__ == "__main__":
    main()
