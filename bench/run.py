"""Every benchmark of this folder in one go: progress, a table of ratios to floors, a JSON file and
docs/explanation/figures.md.

    python bench/run.py                  # about ten minutes; writes the document and build/bench.json
    python bench/run.py --short          # about three minutes; writes build/bench.json only
    python bench/run.py --only latency udp_path

A benchmark that fails or takes longer than five minutes is reported, and the others continue; the exit code is then 1.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import platform
import subprocess
import sys
import textwrap
import time
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from suite import FOLDER, Benchmark, Figure, Run, benchmarks, run

REPOSITORY = FOLDER.parent
JSON_FILE = REPOSITORY / "build" / "bench.json"
DOCUMENT = REPOSITORY / "docs" / "explanation" / "figures.md"

PACKAGES = ("twisted", "autobahn", "cryptography", "msgspec", "hiredis", "txredisapi", "lz4", "pyOpenSSL")

INTRODUCTION = (
    "`make bench` generates this page: it runs every benchmark of `bench/` on one machine. Do not edit it. Each block",
    "is what the command above it printed. Read ratios to the floor of the same run: absolute figures drift from",
    "machine to machine, and other work on a machine shows in percentiles first. [Measurements](measurements.md)",
    "explains the figures; `bench/compare.py OLD NEW` compares two commits.",
)

FLOORS = ("of the floor's rate", "of the echo", "of the first", "of the floor")
"""Units of ratios to the floor of the same run."""


def machine() -> dict[str, str]:
    """The machine and the versions of the measured software."""
    processor = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        processor = names[0] if names else processor
    found = {
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "commit": _git("describe", "--always", "--dirty", "--exclude=*"),
        "processor": f"{processor}, {len(os.sched_getaffinity(0))} cores",
        "system": f"{platform.system()} {platform.release()}",
        "load at the start": _load(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _load() -> str:
    """The load average, with a warning when it is too high for good figures."""
    load, cores = os.getloadavg()[0], len(os.sched_getaffinity(0))
    return (
        f"{load:.1f}"
        if load < cores / 2
        else f"{load:.1f}: other programs had the cores; times by the clock say nothing"
    )


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(REPOSITORY), *arguments], capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


def purpose(benchmark: Benchmark) -> str:
    """The first sentence of its docstring."""
    text = ast.get_docstring(ast.parse((FOLDER / f"{benchmark.name}.py").read_text())) or ""
    paragraph = " ".join(text.partition("\n\n")[0].split())
    return paragraph.rstrip(".") + "."


def ratios(done: list[tuple[Benchmark, Run]]) -> list[tuple[str, Figure]]:
    """The ratios to a floor with their benchmarks' names, without the floors."""
    return [
        (benchmark.name, figure)
        for benchmark, each in done
        for figure in each.figures
        if figure.unit in FLOORS and figure.value != 1
    ]


def document(about: dict[str, str], done: list[tuple[Benchmark, Run]], *, short: bool) -> str:
    """The generated document."""
    lines = [
        "# Figures",
        "",
        _wrapped(" ".join(INTRODUCTION)),
        "",
        "| | |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in about.items()),
        "",
        "## Ratios to floors",
        "",
        "| benchmark | what | of its floor's rate |",
        "|---|---|---|",
        *(f"| {name} | {figure.label} | {figure.value:g} |" for name, figure in ratios(done)),
    ]
    for benchmark, each in done:
        lines += ["", f"## {benchmark.name}", "", _wrapped(purpose(benchmark)), ""]
        lines += ["```console", f"$ {benchmark.shown(short=short)}"]
        lines += [line.rstrip() for line in each.output.strip("\n").splitlines()]
        lines += [f"(failed: {each.problem})"] if each.problem else []
        lines += ["```"]
    return "\n".join(lines) + "\n"


def _wrapped(text: str) -> str:
    return textwrap.fill(text, 100, break_long_words=False, break_on_hyphens=False)


def report(about: dict[str, str], done: list[tuple[Benchmark, Run]], *, short: bool) -> dict[str, object]:
    """The report as JSON."""
    return {
        "machine": about,
        "short": short,
        "benchmarks": [
            {
                "name": benchmark.name,
                "command": benchmark.shown(short=short),
                "seconds": round(each.seconds, 1),
                "problem": each.problem,
                "figures": [asdict(figure) for figure in each.figures],
                "output": each.output.splitlines(),
            }
            for benchmark, each in done
        ],
        "ratios_to_floors": [{"benchmark": name, **asdict(figure)} for name, figure in ratios(done)],
    }


def main() -> int:
    """Runs the benchmarks; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="small runs for a quick check, not for publication")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="these benchmarks, without .py")
    parser.add_argument("--json", type=Path, default=JSON_FILE, help="the JSON file (default: build/bench.json)")
    parser.add_argument(
        "--document", type=Path, help="the document (default: docs/explanation/figures.md; none with --short or --only)"
    )
    arguments = parser.parse_args()
    chosen, about = benchmarks(only=arguments.only), machine()
    done: list[tuple[Benchmark, Run]] = []
    for number, benchmark in enumerate(chosen, 1):
        shown = benchmark.shown(short=arguments.short)
        print(f"[{number}/{len(chosen)}] {shown}", file=sys.stderr, flush=True)
        each = run(benchmark, sys.executable, short=arguments.short)
        done.append((benchmark, each))
        print(f"$ {shown}\n{each.output.rstrip()}\n", flush=True)
        print(
            f"    {each.seconds:.0f} s{f'; FAILED: {each.problem}' if each.problem else ''}",
            file=sys.stderr,
            flush=True,
        )
    print("\n".join(f"{name:20} {value}" for name, value in about.items()))
    print("\nratios to the floor of the same run:")
    for name, figure in ratios(done):
        print(f"  {name:16} {figure.label:42} {figure.value:6.2f}")
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(
        json.dumps(report(about, done, short=arguments.short), indent=1, ensure_ascii=False) + "\n"
    )
    target = arguments.document or (None if arguments.short or arguments.only else DOCUMENT)
    if target is not None:
        target.write_text(document(about, done, short=arguments.short))
    failed = [benchmark.name for benchmark, each in done if each.problem]
    print(
        f"\n{len(done) - len(failed)} of {len(done)} benchmarks ran{': failed: ' + ', '.join(failed) if failed else ''}"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
