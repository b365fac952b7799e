"""The parts of an analysis as values: tables with units, sentences about them, and how to draw them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any

from msgspec import Struct

FEW = 30
"""Samples below which a share or a median says little."""


class Unit(Enum):
    """The units of a column; the value is the text that its heading adds."""

    TEXT = ""
    COUNT = "count"
    SHARE = "%"
    SECONDS = "s"
    MILLISECONDS = "ms"
    RATIO = "×"


class TableColumn(Struct, frozen=True):
    """A column of a table.

    Attributes:
        name: as in CSV: a word or several, joined by "_", with the unit where there is one.
        heading: as people read it, without the unit.
    """

    name: str
    heading: str
    unit: Unit


class Bars(Struct, frozen=True):
    """How to draw a table as bars: one for each row.

    Attributes:
        label, value: the columns' names.
        reference: a value at which a line is drawn, and its name.
    """

    label: str
    value: str
    reference: tuple[float, str] | None = None


class Ranges(Struct, frozen=True):
    """How to draw a table as ranges: a line from one value to another for each row.

    Attributes:
        labels, low, high: the columns' names.
    """

    labels: tuple[str, ...]
    low: str
    high: str


class Table(Struct, frozen=True):
    """A table, and how it is drawn.

    Attributes:
        name: of its CSV file, without `.csv`.
        title: its caption.
        chart: None: it is not drawn.
    """

    name: str
    title: str
    columns: tuple[TableColumn, ...]
    rows: tuple[tuple[Any, ...], ...]
    chart: Bars | Ranges | None = None

    def column(self, name: str) -> tuple[TableColumn, list[Any]]:
        """A column, and its values."""
        index = [column.name for column in self.columns].index(name)
        return self.columns[index], [row[index] for row in self.rows]


class ReportSection(Struct, frozen=True):
    """The answer to one question.

    Attributes:
        name: as on the command line.
        title: the question in a few words.
        sentences: what the tables mean, for a designer of the game.
        tables: empty if there is nothing to show.
        method: what is counted and what is excluded, in words.
    """

    name: str
    title: str
    sentences: tuple[str, ...]
    tables: tuple[Table, ...]
    method: str


def text_of(value: Any, unit: Unit) -> str:
    """A value for people; a dash for none."""
    if value is None:
        return "–"
    match unit:
        case Unit.SHARE:
            return share(value)
        case Unit.COUNT:
            return f"{value:,}" if isinstance(value, int) else f"{value:,.3g}"
        case Unit.SECONDS:
            return duration(value)
        case Unit.MILLISECONDS:
            return f"{value:,.1f}" if value < 100 else f"{value:,.0f}"
        case Unit.RATIO:
            return f"{value:.2f}"
        case _:
            return str(value)


def share(value: float) -> str:
    """A share, 0 to 1, for people: `87.3 %`."""
    return f"{value * 100:.1f} %"


def duration(seconds: float) -> str:
    """Seconds for people: `4.2`, `85`, `1,250`."""
    return f"{seconds:,.1f}" if abs(seconds) < 10 else f"{seconds:,.0f}"


def heading(column: TableColumn) -> str:
    """The heading of a column with its unit."""
    written = column.unit in (Unit.TEXT, Unit.COUNT, Unit.SHARE)  # the unit needs no word, or is in each cell.
    return column.heading if written else f"{column.heading} ({column.unit.value})"


def counted(number: int, one: str, many: str = "") -> str:
    """A number with its noun: `1 craft`, `2,000 crafts`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def few(number: int) -> tuple[str, ...]:
    """A warning when there are few samples."""
    return (f"With fewer than {FEW} samples, the figures may be chance.",) if 0 < number < FEW else ()


def named(names: Callable[[str], str], rows: Sequence[Sequence[Any]]) -> tuple[tuple[Any, ...], ...]:
    """Rows whose first value, an id of the game, is replaced by its name."""
    return tuple((names(str(row[0])), *row[1:]) for row in rows)
