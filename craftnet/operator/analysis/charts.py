"""Charts as SVG for a page: one colour, each value beside its mark, and a description in words. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from craftnet.operator.analysis.figures import Bars, Ranges, Table, Unit, text_of

WIDTH = 760
LABELS = 250
"""Width of the labels on the left."""
VALUES = 120
"""Width of the values on the right."""
ROW = 26
MARK = 16
LONGEST_LABEL = 30
"""Characters of a label; a longer one is cut."""

_PLOT = WIDTH - LABELS - VALUES


def chart(table: Table) -> str:
    """The chart of a table; empty if it has none, or nothing to draw."""
    match table.chart:
        case Bars() as bars if table.rows:
            return _svg(table, _bars(table, bars), _described_bars(table, bars), 1 if bars.reference else 0)
        case Ranges() as ranges if table.rows:
            return _svg(table, _ranges(table, ranges), _described_ranges(table, ranges), 0)
    return ""


def _svg(table: Table, shapes: Iterator[str], description: str, extra_rows: int) -> str:
    height = ROW * (len(table.rows) + extra_rows) + 8
    name = f"chart-{table.name}"
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-labelledby="{name}-title {name}-text">'
        f'<title id="{name}-title">{escape(table.title)}</title><desc id="{name}-text">{escape(description)}</desc>'
        f'<line class="axis" x1="{LABELS}" y1="0" x2="{LABELS}" y2="{ROW * len(table.rows)}"/>'
        f"{''.join(shapes)}</svg>"
    )


def _bars(table: Table, bars: Bars) -> Iterator[str]:
    labels, (column, values) = table.column(bars.label)[1], table.column(bars.value)
    reference = bars.reference
    scale = _scale([*values, *([reference[0]] if reference else [])], column.unit)
    for row, (label, value) in enumerate(zip(labels, values, strict=True)):
        yield _label(row, str(label))
        length = 0.0 if value is None else value * scale
        yield f'<rect class="mark" x="{LABELS}" y="{row * ROW + 5}" width="{length:.1f}" height="{MARK}"/>'
        yield _value(row, length, text_of(value, column.unit))
    if reference is not None:
        at, bottom = LABELS + reference[0] * scale, ROW * len(values)
        yield f'<line class="reference" x1="{at:.1f}" y1="0" x2="{at:.1f}" y2="{bottom}"/>'
        yield f'<text class="small" x="{at:.1f}" y="{bottom + 18}" text-anchor="middle">{escape(reference[1])}</text>'


def _ranges(table: Table, ranges: Ranges) -> Iterator[str]:
    (column, lows), (_, highs) = table.column(ranges.low), table.column(ranges.high)
    scale = _scale(highs, column.unit)
    for row, (label, low, high) in enumerate(zip(_range_labels(table, ranges), lows, highs, strict=True)):
        yield _label(row, label)
        start, end, middle = LABELS + low * scale, LABELS + high * scale, row * ROW + 13
        yield f'<line class="range" x1="{start:.1f}" y1="{middle}" x2="{end:.1f}" y2="{middle}"/>'
        yield f'<line class="range" x1="{end:.1f}" y1="{middle - 6}" x2="{end:.1f}" y2="{middle + 6}"/>'
        yield f'<circle class="mark" cx="{start:.1f}" cy="{middle}" r="6"/>'
        unit = column.unit.value
        text = f"{text_of(low, column.unit)} to {text_of(high, column.unit)} {unit}"
        yield _value(row, high * scale, text)


def _range_labels(table: Table, ranges: Ranges) -> list[str]:
    return [
        ", ".join(map(str, parts)) for parts in zip(*(table.column(each)[1] for each in ranges.labels), strict=True)
    ]


def _described_bars(table: Table, bars: Bars) -> str:
    column, values = table.column(bars.value)
    pairs = zip(table.column(bars.label)[1], values, strict=True)
    return f"{column.heading}: " + "; ".join(f"{label}: {text_of(value, column.unit)}" for label, value in pairs) + "."


def _described_ranges(table: Table, ranges: Ranges) -> str:
    (low, lows), (high, highs) = table.column(ranges.low), table.column(ranges.high)
    unit = low.unit.value
    parts = [
        f"{label}: {text_of(first, low.unit)} and {text_of(last, high.unit)} {unit}"
        for label, first, last in zip(_range_labels(table, ranges), lows, highs, strict=True)
    ]
    return f"{low.heading}, and {high.heading}: " + "; ".join(parts) + "."


def _scale(values: list[float | None], unit: Unit) -> float:
    """Units of the drawing for each unit of a value. Shares that fill most of the scale are drawn against 100 %."""
    most = max((value for value in values if value is not None), default=0)
    if unit is Unit.SHARE and most > 0.5:
        most = 1.0
    return _PLOT / most if most else 0.0


def _label(row: int, text: str) -> str:
    cut = text if len(text) <= LONGEST_LABEL else text[: LONGEST_LABEL - 1] + "…"
    return f'<text x="{LABELS - 8}" y="{row * ROW + 18}" text-anchor="end">{escape(cut)}</text>'


def _value(row: int, length: float, text: str) -> str:
    return f'<text class="value" x="{LABELS + length + 8:.1f}" y="{row * ROW + 18}">{escape(text)}</text>'
