"""Tables and lines for administrators' terminals. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from craftnet.contract.admin.feed import TraceEntry
from craftnet.contract.admin.overview import AdminInfo, Figures, Latency, Overview, Promises
from craftnet.contract.admin.sessions import SessionRow

UNKNOWN = "-"


def amount(number: float | None, unit: str = "") -> str:
    """A figure in few characters, such as ``12.3k``; a dash if it is unknown."""
    if number is None:
        return UNKNOWN
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= size:
            return f"{number / size:.1f}{letter}{unit}"
    return f"{number:.0f}{unit}" if float(number).is_integer() else f"{number:.1f}{unit}"


def milliseconds(latency: Latency | None, promise: float | None = None) -> Text:
    """p50 and p99, marked if they break the promise."""
    if latency is None or latency.p50_ms is None or latency.p99_ms is None:
        return Text(UNKNOWN, style="dim")
    broken = promise is not None and latency.p99_ms > promise
    mark = " !" if broken else ""
    return Text(f"{latency.p50_ms:.2f} / {latency.p99_ms:.2f} ms{mark}", style="bold red" if broken else "")


def overview_picture(overview: Overview, info: AdminInfo | None) -> RenderableType:
    """Everything that `craftnet top` shows."""
    windows = overview.windows
    rows = Table.grid(padding=(0, 2))
    rows.add_column(style="dim", no_wrap=True)
    for _ in range(3):
        rows.add_column(no_wrap=True)
    for line in _total_rows(overview.total, None if info is None else info.promises):
        rows.add_row(*line)
    nodes = Table(box=None, pad_edge=False, header_style="dim")
    for title in ("node", "state", "connections", "sessions", "deliveries/s", "websocket p50/p99", "memory"):
        nodes.add_column(title, no_wrap=True)
    for node in overview.nodes:
        figures = node.figures
        state = "draining" if node.draining else "ready" if node.ready else "not ready"
        nodes.add_row(
            node.node,
            state if node.answering else Text("silent", style="bold red"),
            amount(sum(figures.connections.values())),
            amount(figures.sessions),
            amount(figures.deliveries_per_second),
            milliseconds(figures.delivery.get("websocket")),
            amount(figures.memory_bytes, "B"),
        )
    note = (
        f"rates over {windows.rates_seconds} s, times over {windows.latencies_seconds} s,"
        f" counts over {windows.counts_seconds // 60} min; {overview.timestamp}"
    )
    return Group(rows, Text(), nodes, Text(), Text(note, style="dim"))


def _total_rows(total: Figures, promises: Promises | None) -> Sequence[tuple[RenderableType, ...]]:
    websocket = None if promises is None else promises.websocket_delivery_ms
    udp = None if promises is None else promises.udp_delivery_ms
    connections = ", ".join(f"{name} {amount(number)}" for name, number in total.connections.items()) or "none"
    refusals = sorted(total.refusals.items(), key=lambda each: -each[1])[:4]
    recovered = UNKNOWN if total.recovered_ratio is None else f"{100 * total.recovered_ratio:.1f} %"
    return (
        ("connections", amount(sum(total.connections.values())), connections),
        ("sessions", amount(total.sessions), f"{amount(total.session_memory_bytes, 'B')} each"),
        ("per second", f"{amount(total.deliveries_per_second)} deliveries",
         f"{amount(total.events_per_second)} events", f"{amount(total.bytes_per_second, 'B')}"),
        ("websocket", milliseconds(total.delivery.get("websocket"), websocket), "event to transport, p50 / p99"),
        ("udp", milliseconds(total.delivery.get("udp"), udp), "event to datagram, p50 / p99"),
        ("round trip", milliseconds(total.round_trip), "of UDP connections"),
        ("loop delay", milliseconds(total.loop_delay), ""),
        ("returns", amount(total.returns), f"{recovered} missed nothing"),
        ("refusals", amount(sum(total.refusals.values())),
         ", ".join(f"{reason} {amount(number)}" for reason, number in refusals)),
    )  # fmt: skip


def overview_line(overview: Overview) -> str:
    """The overview in one line, for output that is no terminal."""
    total, websocket = overview.total, overview.total.delivery.get("websocket")
    p99 = UNKNOWN if websocket is None or websocket.p99_ms is None else f"{websocket.p99_ms:.2f} ms"
    return (
        f"{overview.timestamp} nodes {sum(node.answering for node in overview.nodes)}"
        f" connections {sum(total.connections.values())} sessions {total.sessions}"
        f" deliveries/s {total.deliveries_per_second:g} p99 {p99}"
    )


def sessions_table(rows: Sequence[SessionRow]) -> Table:
    """Sessions in a table."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for title in ("session", "player", "status", "progress", "remaining", "changes"):
        table.add_column(title, no_wrap=True)
    for row in rows:
        progress = row.progress
        remaining = UNKNOWN if progress.remaining_seconds is None else f"{progress.remaining_seconds:.0f} s"
        table.add_row(
            str(row.session_id),
            str(row.player_id),
            progress.status.value,
            f"{progress.percent:.1f} %",
            remaining,
            str(row.changes),
        )
    return table


def trace_line(entry: TraceEntry) -> str:
    """One entry of a trace in a line."""
    arrow = "→" if entry.direction == "in" else "←"
    where = entry.connection or entry.node
    outcome = f" {entry.outcome}" if entry.outcome else ""
    waits = " (waits)" if entry.waits else ""
    content = "" if entry.content is None else " " + json.dumps(entry.content, ensure_ascii=False, default=str)
    return f"{entry.timestamp} {arrow} {entry.kind:<8} {entry.bytes:>5} B {where} {entry.name}{outcome}{waits}{content}"
