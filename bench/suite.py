"""The list of benchmarks for `bench/run.py` and `bench/compare.py`; runs a benchmark and reads its figures."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent

TIME_LIMIT = 300.0
"""Seconds for one benchmark; a longer run is stopped and reported as failed."""

NO_BENCHMARKS = {"centrifugo_servers", "compare", "lab", "learners", "redis_floor", "run", "suite"}
"""Modules of this folder that are not benchmarks."""


@dataclass(frozen=True)
class Benchmark:
    """A program, with its arguments for full and for short runs.

    Attributes:
        name: without `.py`.
    """

    name: str
    full: str = ""
    short: str = ""

    def program(self, folder: Path) -> Path | None:
        """Its file in the folder of a commit, under its present or its former name; None if there is none."""
        names = (self.name, FORMER_NAMES.get(self.name, self.name))
        return next((path for name in names if (path := folder / f"{name}.py").exists()), None)

    def command(self, python: str, folder: Path, *, short: bool) -> list[str]:
        """The command that runs it; its program must be in the folder."""
        return [python, str(self.program(folder)), *(self.short if short else self.full).split()]

    def shown(self, *, short: bool) -> str:
        """The command as a reader types it."""
        return f"python bench/{self.name}.py {self.short if short else self.full}".strip()


SUITE = (
    Benchmark("event_to_frame", "--rounds 100", "--sessions 200 --rounds 10"),
    Benchmark("update_costs"),
    Benchmark("deliveries", "--watchers 2000 --rounds 10", "--watchers 500 --rounds 3"),
    Benchmark("latency", "--watchers 10000 --seconds 6", "--watchers 500 --seconds 2"),
    Benchmark("latency", "--watchers 10000 --seconds 6 --connects 200", "--watchers 500 --seconds 2 --connects 50"),
    Benchmark("latency", "--watchers 10000 --seconds 6 --admin", "--watchers 500 --seconds 2 --admin"),
    Benchmark("connects", "--connections 1000 --rounds 5 --redis", "--connections 100 --rounds 3 --redis"),
    Benchmark("memory", "--connections 10000", "--connections 500"),
    Benchmark("memory", "--connections 2000 --tls", "--connections 200 --tls"),
    Benchmark("memory", "--udp", "--udp --connections 200"),
    Benchmark("message_sizes", "--players 200 --minutes 5", "--players 100 --minutes 1"),
    Benchmark("devices", "", "--minutes 10"),
    Benchmark("dictionary", "--minutes 5", "--players 50 --minutes 1"),
    Benchmark("learned_progress", "--players 100 --hours 2", "--players 50 --hours 1"),
    Benchmark("ingest", "", "--bodies 10"),
    Benchmark("ingest", "--bodies 3000 --events 1", "--bodies 100 --events 1"),
    Benchmark("redis_path", "", "--watchers 50 --events 1000 --rounds 30 --rate 200"),
    Benchmark("returns", "", "--watchers 100"),
    Benchmark("revocations", "", "--number 100"),
    Benchmark("health", "", "--requests 500"),
    Benchmark("udp_path"),
    Benchmark("udp_costs"),
    Benchmark("udp_codec"),
    Benchmark("udp_craft"),
    Benchmark("udp_sessions"),
    Benchmark("udp_compression"),
    Benchmark("udp_bottleneck", "", "--seconds 20 --seeds 1"),
    Benchmark("regions", "", "--runs 5 --updates 5"),
    Benchmark("cpp_client"),
    Benchmark("recording", "", "--rounds 3 --events 1000 --posts 200"),
    Benchmark("edge", "", "--sessions 5 --rounds 2 --watchers 1 10"),
    Benchmark("node_costs", "", "--watchers 100 --seconds 2"),
    Benchmark("centrifugo", "--watchers 5000 --seconds 8", "--watchers 200 --seconds 3"),
)

FORMER_NAMES = {"udp_compression": "udp_packing"}
"""The names that programs had in earlier commits."""

FORMER_LABELS = {
    "a state is told: a datagram out": "state update: a datagram out",
    "it is acknowledged: a datagram in": "acknowledgement: a datagram in",
    "JSON decoding alone": "JSON decoding alone (floor)",
}
"""The present label of each line that began otherwise in earlier commits."""


@dataclass(frozen=True)
class Figure:
    """One number of a benchmark's output.

    Attributes:
        label: the beginning of its line, numbered when several lines begin alike.
        column: its index among the numbers of the line, from 0.
        value, unit: as printed.
    """

    label: str
    column: int
    value: float
    unit: str

    @property
    def name(self) -> str:
        """Its name, unique in its benchmark."""
        return self.label if not self.column else f"{self.label} [{self.column + 1}]"


@dataclass(frozen=True)
class Run:
    """One run of a benchmark.

    Attributes:
        code: the exit code; None when it took too long.
    """

    seconds: float
    code: int | None
    output: str
    errors: str

    @property
    def figures(self) -> list[Figure]:
        """Its figures."""
        return figures(self.output)

    @property
    def problem(self) -> str:
        """The reason of a failure; empty after a success."""
        if self.code == 0:
            return ""
        last = self.errors.strip().rpartition("\n")[2]
        return f"took longer than {TIME_LIMIT:g} s" if self.code is None else f"exit code {self.code}: {last}"


def benchmarks(folder: Path = FOLDER, only: Sequence[str] = ()) -> list[Benchmark]:
    """The benchmarks of a folder: those in `SUITE`, then others with their default arguments.

    Raises:
        SystemExit: `only` names an unknown benchmark.
    """
    there = {path.stem for path in folder.glob("*.py")} - NO_BENCHMARKS
    listed = {benchmark.name for benchmark in SUITE}
    found = [benchmark for benchmark in SUITE if benchmark.name in there]
    found += [Benchmark(name) for name in sorted(there - listed)]
    unknown = set(only) - {benchmark.name for benchmark in found}
    if unknown:
        raise SystemExit(f"no such benchmark: {', '.join(sorted(unknown))}; there are {', '.join(sorted(there))}")
    return [benchmark for benchmark in found if not only or benchmark.name in only]


def run(benchmark: Benchmark, python: str, folder: Path = FOLDER, *, short: bool) -> Run:
    """Runs a benchmark until it ends or the time limit passes; kills every process that it started."""
    began = time.perf_counter()
    process = subprocess.Popen(
        benchmark.command(python, folder, short=short),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    code: int | None
    try:
        output, errors = process.communicate(timeout=TIME_LIMIT)
        code = process.returncode
    except subprocess.TimeoutExpired:
        code = None
    finally:
        _end(process.pid)
    if code is None:
        output, errors = process.communicate()
    return Run(time.perf_counter() - began, code, output, errors)


def _end(group: int) -> None:
    """Kills the process group of a benchmark."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return


_PERCENTILE = re.compile(r"(?<=\s\s)(p[\d.]+)\s+(?=\d)")
_NUMBER = re.compile(r"(?P<name>p[\d.]+ )?(?P<value>\d[\d,]*(?:\.\d+)?)(?P<unit>%| ?[^\d\s,:][^,:]*|)(?:[,:].*)?")


def figures(output: str) -> list[Figure]:
    """The numbers in what a benchmark printed: lines of a label, and numbers with their units, in columns."""
    found: list[Figure] = []
    seen: Counter[str] = Counter()
    for line in output.splitlines():
        text = _PERCENTILE.sub(r"\1 ", line.strip())
        label, *cells = re.split(r"\s{2,}|(?<=\D:)\s+(?=p?\d)", text)
        numbers = [match for match in map(_NUMBER.fullmatch, cells) if match is not None]
        if not numbers or not re.search(r"[^\W\d_]", label):
            continue
        label = re.sub(r"^\d[\d,.]* (?=\w)", "", label).removesuffix(
            ":"
        )  # a count at the beginning differs in every run.
        label = FORMER_LABELS.get(label, label)
        seen[label] += 1
        name = label if seen[label] == 1 else f"{label} #{seen[label]}"
        for column, match in enumerate(numbers):
            value, unit = float(match["value"].replace(",", "")), match["unit"].strip().removesuffix(" (floor)")
            percentile = f", {match['name'].strip()}" if match["name"] else ""
            found.append(Figure(name + percentile, 0 if percentile else column, value, unit))
    return found
