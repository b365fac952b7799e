"""An analysis as one page: no scripts, nothing from the network, readable without colours or charts. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from craftnet.operator.analysis.charts import chart
from craftnet.operator.analysis.figures import ReportSection, Table, Unit, heading, text_of

_STYLE = """
:root { color-scheme: light dark; --ink: #1a1a1a; --soft: #5a5a5a; --mark: #3d5a80; --line: #c9c9c9; --page: #fff; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8e8e8; --soft: #a8a8a8; --mark: #9db8dd; --line: #4a4a4a; --page: #16181c; }
}
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page); max-width: 52rem;
  margin: 2rem auto; padding: 0 1rem; }
h1 { line-height: 1.2; margin-bottom: .25rem; }
h2 { margin: 3rem 0 .5rem; border-top: 1px solid var(--line); padding-top: 1.5rem; }
h3 { font-size: 1rem; margin: 2rem 0 .5rem; }
nav ul { padding: 0; display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; list-style: none; }
a { color: inherit; }
.lead { font-size: 1.05rem; }
.soft, details { color: var(--soft); font-size: .875rem; }
svg { width: 100%; height: auto; display: block; font-size: 13px; fill: var(--ink); }
svg .mark { fill: var(--mark); }
svg .range, svg .reference { stroke: var(--ink); stroke-width: 2; }
svg .reference { stroke-dasharray: 5 4; stroke-width: 1; }
svg .axis { stroke: var(--line); }
svg .value { font-variant-numeric: tabular-nums; }
svg .small { font-size: 12px; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .875rem; margin-top: .75rem; width: 100%; }
caption { text-align: left; color: var(--soft); padding-bottom: .25rem; }
th, td { padding: .25rem .75rem .25rem 0; border-bottom: 1px solid var(--line); text-align: right;
  vertical-align: top; }
th:first-child, td:first-child, th.text, td.text { text-align: left; }
td { font-variant-numeric: tabular-nums; white-space: nowrap; }
thead th { vertical-align: bottom; }
tbody th { font-weight: normal; white-space: nowrap; }
@media print { body { max-width: none; margin: 0; } h2 { break-after: avoid; } svg, table { break-inside: avoid; } }
"""

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def page(title: str, period: str, figures: Sequence[ReportSection], made: str) -> str:
    """The page.

    Arguments:
        period: the period of the analysis, in words.
        made: when and by what the page was made, in words.
    """
    links = "".join(f'<li><a href="#{each.name}">{escape(each.title)}</a></li>' for each in figures)
    return "".join(
        (
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n',
            f'<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}">\n',
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n',
            f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n",
            f'<header><h1>{escape(title)}</h1>\n<p class="lead">{escape(period)}</p>\n',
            f'<nav aria-label="Contents"><ul>{links}</ul></nav></header>\n<main>\n',
            *(part for figure in figures for part in _section(figure)),
            f'</main>\n<footer><p class="soft">{escape(made)}</p></footer>\n</body>\n</html>\n',
        )
    )


def _section(figure: ReportSection) -> Iterator[str]:
    yield f'<section id="{figure.name}"><h2>{escape(figure.title)}</h2>\n'
    yield f'<p class="lead">{escape(" ".join(figure.sentences))}</p>\n'
    for table in figure.tables:
        yield f"<h3>{escape(table.title)}</h3>\n{chart(table)}\n"
        yield from _table(table)
    yield f'<p class="soft">How it is counted: {escape(figure.method)}</p></section>\n'


def _table(table: Table) -> Iterator[str]:
    yield '<div class="scroll" tabindex="0" role="region" '
    yield f'aria-label="{escape(table.title)}: table"><table><thead><tr>'
    for column in table.columns:
        yield f'<th scope="col"{_class(column.unit)}>{escape(heading(column))}</th>'
    yield "</tr></thead><tbody>\n"
    for row in table.rows:
        yield "<tr>"
        for index, (column, value) in enumerate(zip(table.columns, row, strict=True)):
            text = escape(text_of(value, column.unit))
            yield f'<th scope="row">{text}</th>' if not index else f"<td{_class(column.unit)}>{text}</td>"
        yield "</tr>\n"
    yield "</tbody></table></div>\n"


def _class(unit: Unit) -> str:
    return ' class="text"' if unit is Unit.TEXT else ""
