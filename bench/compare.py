"""Two commits side by side: their benchmarks in turns, medians, and ratios.

    python bench/compare.py OLD NEW --only deliveries connects --rounds 5
    python bench/compare.py main .          # `.`: this working tree as it is, in this environment

Each commit gets a worktree and an environment of its own in a temporary folder, and runs its own version of each
benchmark. Runs of the two alternate, so that other work on the machine affects both. A ratio below 1 is an
improvement of times and bytes, one above 1 of rates; the last column says which it is. Everything temporary is
removed at the end.

What can be compared: a benchmark that both commits have, with the arguments that the present suite gives it, and
each figure whose label and unit both print. Programs and labels that have been renamed are matched. For a
benchmark that one of them does not have, or that fails there, the table says so. Back to edc22f14, the last commit
before the folders became the layers, these are: connects, deliveries, ingest, latency, memory, message_sizes,
redis_path, returns, revocations, udp_codec, udp_compression, udp_costs, udp_craft, udp_path, udp_sessions and
update_costs.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import NamedTuple

from suite import FOLDER, Benchmark, Figure, benchmarks, run

REPOSITORY = FOLDER.parent

SAME = 0.03
"""Medians that differ by less count as the same."""

RATES = ("/s", "of the ", "round trips/s")
"""Prefixes of units for which more is better; for all others, less is better."""


class Side(NamedTuple):
    """A commit that can be run."""

    name: str
    python: str
    folder: Path


@contextmanager
def checked_out(commit: str, folder: Path) -> Iterator[Side]:
    """A worktree of the commit with its environment; `.` is the present one."""
    if commit == ".":
        yield Side(commit, sys.executable, FOLDER)
        return
    git = ["git", "-C", str(REPOSITORY)]
    subprocess.run([*git, "worktree", "add", "--quiet", "--detach", str(folder), commit], check=True)
    try:
        print(f"{commit}: making its environment", file=sys.stderr, flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder / ".venv")], check=True)
        python = str(folder / ".venv" / "bin" / "python")
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--editable", ".[test]"]
        subprocess.run(install, check=True, cwd=folder)
        yield Side(commit, python, folder / "bench")
    finally:
        subprocess.run([*git, "worktree", "remove", "--force", str(folder)], check=False)


def verdict(unit: str, ratio: float) -> str:
    """The meaning of a ratio of new to old."""
    if abs(ratio - 1) < SAME:
        return "same"
    more_is_better = unit.startswith(RATES)
    return "better" if (ratio > 1) == more_is_better else "worse"


def compare(benchmark: Benchmark, sides: tuple[Side, Side], rounds: int, *, short: bool) -> list[str]:
    """Run both in turns; the lines of the table."""
    missing = [side.name for side in sides if benchmark.program(side.folder) is None]
    if missing:
        return [f"  {' and '.join(missing)} has no such benchmark"]
    found: tuple[dict[str, list[Figure]], ...] = ({}, {})
    problems = dict[str, str]()
    for number in range(rounds):
        # The first run finds the caches that the other side left, so the order alternates, too.
        for index in (0, 1) if number % 2 == 0 else (1, 0):
            side = sides[index]
            each = run(benchmark, side.python, side.folder, short=short)
            print(f"  {side.name}: {each.seconds:.0f} s {each.problem}", file=sys.stderr, flush=True)
            if each.problem:
                problems[side.name] = each.problem
            else:
                for figure in each.figures:
                    found[index].setdefault(f"{figure.name} ({figure.unit})", []).append(figure)
    lines = []
    for name in found[0]:
        if name not in found[1]:
            continue
        old, new = (median(figure.value for figure in side[name]) for side in found)
        if old:
            said = verdict(found[0][name][0].unit, new / old)
            lines.append(f"  {name:64.64} {old:12,.2f} {new:12,.2f} {new / old:7.2f} {said}")
    failures = [f"  {name}: {problem}" for name, problem in problems.items()]
    return [*failures, *lines] or ["  no figure that both of them print"]


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", metavar="OLD", help="a commit, or . for this working tree")
    parser.add_argument("new", metavar="NEW", help="another")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="these benchmarks (default: all)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each side (default: 3)")
    parser.add_argument("--full", action="store_true", help="with the numbers of `make bench`, not those of --short")
    arguments = parser.parse_args()
    chosen = benchmarks(only=arguments.only)
    with tempfile.TemporaryDirectory(prefix="craftnet-compare-") as folder, ExitStack() as stack:
        names = (arguments.old, arguments.new)
        folders = (Path(folder) / "old", Path(folder) / "new")
        old, new = (stack.enter_context(checked_out(name, at)) for name, at in zip(names, folders, strict=True))
        print(f"{arguments.rounds} runs of each, in turns; medians\n{'':66} {'old':>12} {'new':>12} {'new/old':>7}")
        for benchmark in chosen:
            shown = benchmark.shown(short=not arguments.full)
            print(shown, file=sys.stderr, flush=True)
            lines = compare(benchmark, (old, new), arguments.rounds, short=not arguments.full)
            print("\n".join([shown, *lines]), flush=True)


if __name__ == "__main__":
    main()
