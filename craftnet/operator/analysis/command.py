"""`craftnet analyse`: answers questions about a recording, as tables, CSV, or a page for designers of the game."""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

import msgspec
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table as ScreenTable
from rich.text import Text

from craftnet import __version__
from craftnet.errors import ConfigurationError
from craftnet.operator.analysis.figures import ReportSection, Table, Unit, heading, text_of
from craftnet.operator.analysis.questions import QUESTIONS
from craftnet.operator.analysis.report import page
from craftnet.runtime.files import write_whole

WIDTH = 140
"""Characters of a line where the output is not a terminal."""

_EXAMPLES = """\
examples:
  craftnet analyse /var/lib/craftnet/recording
  craftnet analyse recording --since 2026-01-01 --until 2026-02-01 --html january.html --names names.json
  craftnet analyse recording --only shortages --only queues --csv figures
  craftnet analyse compact recording
  craftnet analyse erase recording --player 11111111-1111-4111-8111-111111111111
"""


def analyse(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Runs `craftnet analyse`; returns the exit code.

    Raises:
        ConfigurationError: the recording, a file or an option cannot be used.
    """
    parser = argparse.ArgumentParser(prog="craftnet analyse", allow_abbrev=False)
    add_analyse(parser)
    options = parser.parse_args(arguments)
    period = _period(options)
    figures, shown = _figures(options, period)
    if options.html is not None:
        made = f"Made {datetime.now(UTC):%Y-%m-%d %H:%M} UTC by craftnet {__version__} from a recording without names."
        write = page(options.title, shown, figures, made)
        _written(Path(options.html), write.encode())
    if options.csv is not None:
        _write_csv(Path(options.csv), figures)
    if options.html is None and options.csv is None:
        _print(figures, shown)
    return 0


def add_analyse(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `craftnet analyse`."""
    parser.description = (
        "Answer questions about the histories of sessions that a server has recorded (--record):\n"
        "prints tables, or writes CSV files or a page for designers of the game.\n"
        "craftnet analyse compact DIR joins the files of each finished day.\n"
        "craftnet analyse erase DIR --player UUID makes what is recorded about a player unattributable."
    )
    parser.epilog, parser.formatter_class = _epilog(), argparse.RawDescriptionHelpFormatter
    parser.add_argument("folder", metavar="DIR", help="the folder of a server's --record")
    for name, text in (("since", "only what happened from then on"), ("until", "only what happened before then")):
        parser.add_argument(
            f"--{name}", metavar="TIME", type=_time, help=f"{text}: 2026-01-15, or 2026-01-15T10:00:00Z (UTC)"
        )
    parser.add_argument(
        "--only", metavar="FIGURE", action="append", choices=list(QUESTIONS), help="only this figure; repeatable"
    )
    parser.add_argument("--html", metavar="FILE", help="write a page with charts, in one file without scripts")
    parser.add_argument("--csv", metavar="FOLDER", help="write each table as a CSV file")
    parser.add_argument(
        "--names", metavar="FILE", help='JSON object with names for ids of recipes and materials: {"0f1e…": "steel"}'
    )
    parser.add_argument("--title", default="Crafting report", help="title of the page (default: %(default)s)")


def _epilog() -> str:
    """The figures, each with what it says, and examples."""
    lines = [f"  {name:<14} {(question.__doc__ or '').splitlines()[0]}" for name, question in QUESTIONS.items()]
    return "\n".join(["figures:", *lines, "", _EXAMPLES])


def _figures(
    options: argparse.Namespace, period: tuple[datetime | None, datetime | None]
) -> tuple[list[ReportSection], str]:
    """The figures, and the period that they are about in words."""
    if find_spec("duckdb") is None:
        raise ConfigurationError("craftnet analyse needs DuckDB: pip install 'craftnet[analysis]'")
    from craftnet.operator.analysis.history import Period, RecordedHistory  # not above: DuckDB is an extra.

    names = _names(options.names)
    with closing(RecordedHistory(Path(options.folder), Period(*period))) as history:
        asked = options.only or QUESTIONS
        figures = [question(history, names) for name, question in QUESTIONS.items() if name in asked]
        first, last = history.first, history.last
    return figures, f"Recorded from {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC"


def _period(options: argparse.Namespace) -> tuple[datetime | None, datetime | None]:
    since, until = options.since, options.until
    if since is not None and until is not None and since >= until:
        raise ConfigurationError(f"--since {since:%Y-%m-%dT%H:%MZ} is not before --until {until:%Y-%m-%dT%H:%MZ}")
    return since, until


def _names(path: str | None) -> Callable[[str], str]:
    """Returns the names of ids."""
    if path is None:
        return lambda identifier: identifier
    try:
        names = msgspec.json.decode(Path(path).read_bytes(), type=dict[str, str])
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}") from error
    except msgspec.MsgspecError as error:
        raise ConfigurationError(f"{path} is not a JSON object of texts by id: {error}") from None
    lower = {identifier.lower(): name for identifier, name in names.items()}
    return lambda identifier: lower.get(identifier, identifier)


def _print(figures: Sequence[ReportSection], period: str) -> None:
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    console.print(period, highlight=False)
    for figure in figures:
        console.print(f"\n{figure.title}", style="bold", highlight=False, markup=False)
        for sentence in figure.sentences:
            console.print(sentence, highlight=False, markup=False)
        for table in figure.tables:
            console.print(_screen_table(table))


def _screen_table(table: Table) -> ScreenTable:
    shown = ScreenTable(box=SIMPLE, title=table.title, title_justify="left", title_style="italic")
    for number, column in enumerate(table.columns):
        left = column.unit is Unit.TEXT
        shown.add_column(heading(column), justify="left" if left else "right", no_wrap=not number, overflow="fold")
    for row in table.rows:
        shown.add_row(*(Text(text_of(value, each.unit)) for value, each in zip(row, table.columns, strict=True)))
    return shown


def _write_csv(folder: Path, figures: Sequence[ReportSection]) -> None:
    """Writes each table, with shares from 0 to 1 and without rounding."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for table in (table for figure in figures for table in figure.tables):
            with open(folder / f"{table.name}.csv", "w", encoding="utf-8", newline="") as file:
                writer = csv.writer(file, lineterminator="\n")
                writer.writerow(column.name for column in table.columns)
                writer.writerows(table.rows)
            print(folder / f"{table.name}.csv")
    except OSError as error:
        raise ConfigurationError(f"cannot write {folder}: {error.strerror}") from error


def _written(path: Path, octets: bytes) -> None:
    try:
        write_whole(path, octets, path.with_name(f".{path.name}.new"))
    except OSError as error:
        raise ConfigurationError(f"cannot write {path}: {error.strerror}") from error
    print(path)


def _time(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is not a time such as 2026-01-15 or 2026-01-15T10:00:00Z") from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


if __name__ == "__main__":
    sys.exit(analyse(sys.argv[1:], {}))
