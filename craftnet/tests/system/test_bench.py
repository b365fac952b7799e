"""`bench/run.py` and `bench/compare.py`: they run all benchmarks, and parse their output."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from twisted.trial.unittest import SkipTest, SynchronousTestCase

FOLDER = Path(__file__).parents[3] / "bench"

TIME_LIMIT = 120.0
"""Seconds; only a broken program, or a very busy machine, needs them."""


def program(name: str) -> ModuleType:
    """A module of `bench/`, which is no package."""
    path = FOLDER / f"{name}.py"
    if not path.exists():
        raise SkipTest("not run from the repository")
    spec = importlib.util.spec_from_file_location(f"bench_{name}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up.
    spec.loader.exec_module(module)
    return module


class SuiteTests(SynchronousTestCase):
    def setUp(self) -> None:
        """Load it."""
        self.suite: Any = program("suite")

    def read(self, *lines: str) -> list[tuple[str, float, str]]:
        """The figures of these lines."""
        return [(figure.name, figure.value, figure.unit) for figure in self.suite.figures("\n".join(lines))]

    def test_every_benchmark_is_run(self) -> None:
        there = {path.stem for path in FOLDER.glob("*.py")}
        run = {benchmark.name for benchmark in self.suite.benchmarks()}
        self.assertEqual(run | self.suite.NO_BENCHMARKS, there)
        self.assertFalse(run & self.suite.NO_BENCHMARKS)

    def test_only_some(self) -> None:
        self.assertEqual({each.name for each in self.suite.benchmarks(only=["udp_craft"])}, {"udp_craft"})
        error = self.assertRaises(SystemExit, self.suite.benchmarks, only=["fast"])
        self.assertIn("no such benchmark: fast", str(error))

    def test_figures(self) -> None:
        found = self.read(
            "2000 watchers, 264 bytes each; medians of 10 rounds",
            "  update encoded, framed, sent        9.2 µs     108,180/s    0.65 of the floor's rate",
            "  200 XADD/s → frame, 1 node             p50   5.18 ms   p99  90.52 ms",
            "3159 round trips at 2,000 datagrams/s: p50 0.46 ms, p99 7.52 ms",
            "  p99.9        3.14 ms",
            "UDP, to the client         3,342 bytes, 31 datagrams: 1.8% of JSON",
            "construct, compiled                  22.89    65.7",
            "construct, compiled                   1.50     1.0",
            "in all                   6,493 bytes each",
        )
        self.assertEqual(
            found[:7],
            [
                ("update encoded, framed, sent", 9.2, "µs"),
                ("update encoded, framed, sent [2]", 108180.0, "/s"),
                ("update encoded, framed, sent [3]", 0.65, "of the floor's rate"),
                ("XADD/s → frame, 1 node, p50", 5.18, "ms"),
                ("XADD/s → frame, 1 node, p99", 90.52, "ms"),
                ("round trips at 2,000 datagrams/s, p50", 0.46, "ms"),
                ("p99.9", 3.14, "ms"),
            ],
        )
        self.assertIn(("UDP, to the client", 3342.0, "bytes"), found)
        self.assertIn(("construct, compiled", 22.89, ""), found)
        self.assertIn(("construct, compiled #2 [2]", 1.0, ""), found)
        self.assertIn(("in all", 6493.0, "bytes each"), found)

    def test_former_names(self) -> None:
        """Programs and labels of earlier commits count as those that they have become."""
        folder = Path(self.mktemp())
        folder.mkdir()
        benchmark = self.suite.Benchmark("udp_compression")
        self.assertIsNone(benchmark.program(folder))
        for name in ("udp_packing.py", "udp_compression.py"):
            (folder / name).touch()
            self.assertEqual(benchmark.program(folder), folder / name)
        before = self.read("it is acknowledged: a datagram in              21.11 µs")
        self.assertEqual(before, self.read("acknowledgement: a datagram in              21.11 µs"))

    def run_program(self, text: str) -> Any:
        """Run a benchmark with this text."""
        folder = Path(self.mktemp())
        folder.mkdir()
        (folder / "odd.py").write_text(text)
        return self.suite.run(self.suite.Benchmark("odd"), sys.executable, folder, short=True)

    def test_one_that_fails(self) -> None:
        run = self.run_program("print('some  1.0 ms')\nraise SystemExit('no such luck')")
        self.assertEqual(run.problem, "exit code 1: no such luck")

    def test_one_that_takes_too_long_is_ended_with_all_that_it_started(self) -> None:
        self.patch(self.suite, "TIME_LIMIT", 1.0)
        sleeper = "import subprocess, sys, time\nsubprocess.Popen(['sleep', '1000'])\ntime.sleep(1000)"
        run = self.run_program(sleeper)  # returns at all: `sleep` holds the pipes until it is ended.
        self.assertEqual((run.code, run.problem), (None, "took longer than 1 s"))


class ProgramTests(SynchronousTestCase):
    """The programs, with the benchmark that needs no sockets and no clock."""

    def run_bench(self, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        program("suite")
        command = [sys.executable, str(FOLDER / f"{name}.py"), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=TIME_LIMIT)

    def check_chosen(self) -> None:
        """Skips the test where only `make test` was asked for."""
        if not os.environ.get("CRAFTNET_TEST_BENCH"):
            raise SkipTest("`make test-bench` runs the benchmarks: together they take half a minute")

    def test_run(self) -> None:
        there = Path(self.mktemp()).absolute()
        there.mkdir()
        files = ("--json", str(there / "deep" / "bench.json"), "--document", str(there / "figures.md"))
        done = self.run_bench("run", "--only", "udp_craft", "--short", *files)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("[1/1] python bench/udp_craft.py", done.stderr)
        report = json.loads((there / "deep" / "bench.json").read_text())
        (benchmark,) = report["benchmarks"]
        self.assertEqual((benchmark["name"], benchmark["problem"]), ("udp_craft", ""))
        self.assertTrue(any(figure["unit"] == "bytes" for figure in benchmark["figures"]))
        self.assertIn("twisted", report["machine"])
        text = (there / "figures.md").read_text()
        self.assertIn("$ python bench/udp_craft.py\nJSON, 10 Hz", text)
        self.assertIn("| python | CPython", text)

    def test_server_and_watchers(self) -> None:
        """The common part of the WebSocket benchmarks serves watchers."""
        self.check_chosen()
        done = self.run_bench("latency", "--watchers", "20", "--seconds", "1", "--connects", "5")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("5 more connections opened and closed each second", done.stdout)

    def test_compare(self) -> None:
        done = self.run_bench("compare", ".", ".", "--only", "udp_craft", "--rounds", "1")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"UDP, both ways \(bytes\) +[\d,.]+ +[\d,.]+ +1\.00 same")

    def test_they_start(self) -> None:
        """Those that take a second or two; `make lint` finds missing names in all of them."""
        self.check_chosen()
        for name, arguments in (
            ("connects", "--connections 5 --rounds 1 --redis"),
            ("deliveries", "--watchers 5 --rounds 1"),
            ("event_to_frame", "--sessions 5 --events 5 --rounds 1"),
            ("ingest", "--sessions 5 --bodies 1 --events 5"),
            ("message_sizes", "--players 5 --minutes 1"),
            ("regions", "--runs 1 --updates 2"),
            ("returns", "--watchers 4"),
            ("udp_compression", ""),
            ("udp_costs", ""),
            ("udp_sessions", ""),
        ):
            done = self.run_bench(name, *arguments.split())
            self.assertEqual(done.returncode, 0, f"{name}: {done.stderr}")
            self.assertNotEqual(done.stdout, "", name)

    def comparison(self) -> Any:
        """The module of `bench/compare.py`."""
        sys.path.insert(0, str(FOLDER))
        self.addCleanup(sys.path.remove, str(FOLDER))
        return program("compare")

    def test_what_cannot_be_compared_is_named(self) -> None:
        """A benchmark that one side does not have, or that fails there."""
        compare = self.comparison()
        folders = [Path(self.mktemp()) for _ in range(2)]
        for folder in folders:
            folder.mkdir()
        sides = tuple(compare.Side(name, sys.executable, folder) for name, folder in zip("ab", folders, strict=True))
        benchmark = compare.Benchmark("odd")
        (folders[0] / "odd.py").write_text("print('some  1.0 ms')")
        self.assertEqual(compare.compare(benchmark, sides, 1, short=True), ["  b has no such benchmark"])
        (folders[1] / "odd.py").write_text("raise SystemExit('no such luck')")
        self.assertEqual(compare.compare(benchmark, sides, 1, short=True), ["  b: exit code 1: no such luck"])

    def test_ratios_have_a_direction(self) -> None:
        compare = self.comparison()
        self.assertEqual(compare.verdict("µs", 1.02), "same")
        self.assertEqual((compare.verdict("µs", 0.9), compare.verdict("µs", 1.1)), ("better", "worse"))
        self.assertEqual((compare.verdict("/s", 0.9), compare.verdict("of the echo", 1.1)), ("worse", "better"))
