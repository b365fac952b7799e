"""The report of a load run, for people and as JSON. Pure."""

from __future__ import annotations

from typing import Any

from msgspec import Struct, to_builtins

from craftnet.client.load.measurement import Histogram, Promise, Result, ServerUse, doubts, promises
from craftnet.client.load.plan import LoadPlan

PERCENTILES = (50.0, 90.0, 99.0, 99.9, 100.0)

KEPT, BROKEN, UNCERTAIN = 0, 3, 4
"""Exit codes: every promise was kept; one was broken; one was broken, possibly because of the generator or machine."""

CLOCK = "latencies are between two times of the clock of the generator's machine"


class Report(Struct, frozen=True):
    """All results of a run.

    Attributes:
        results: one for each transport.
        server: None when no process was named.
        percent: the percentile that is compared with the promises about latency.
    """

    plan: LoadPlan
    results: list[Result]
    server: ServerUse | None
    percent: float

    @property
    def promises(self) -> list[Promise]:
        """The promises, and whether they were kept."""
        return promises(self.results, self.server, self.percent)

    @property
    def doubts(self) -> list[str]:
        """Reasons why latencies and losses may describe the generator or the machine rather than the server."""
        return doubts(self.results, self.server, self.percent)

    @property
    def exit_code(self) -> int:
        """One of the three exit codes."""
        broken = [promise for promise in self.promises if not promise.kept]
        if not broken:
            return KEPT
        timed = all(promise.timed for promise in broken)
        return UNCERTAIN if timed and self.doubts else BROKEN

    def text(self) -> str:
        """The report for people, on several lines."""
        plan, lines = self.plan, []
        lines.append(
            f"{plan.watchers:,} watchers, {plan.rate:g} updates a second each, for {plan.seconds:g} s; events posted "
            f"in batches of {plan.batch * 1e3:g} ms"
        )
        for result in self.results:
            lines += _lines(result)
        if self.server is not None:
            lines += self._server_lines(self.server)
        lines.append("")
        for promise in self.promises:
            verdict = "kept" if promise.kept else "BROKEN"
            bound = f"0 {promise.unit}".strip() if not promise.limit else f"< {promise.limit:g} {promise.unit}"
            lines.append(f"{verdict:7} {promise.name:40} {promise.measured:10,.2f}  (promised: {bound})")
        lines += self.doubts
        lines.append(CLOCK)
        return "\n".join(lines)

    def _server_lines(self, server: ServerUse) -> list[str]:
        seconds = max(result.seconds for result in self.results)
        arrived = sum(result.latencies.count for result in self.results)
        connected = sum(result.connected for result in self.results)
        each = (server.full - server.empty) / connected if connected else 0.0
        lines = [f"server: {server.cpu / seconds:.0%} of a core" if seconds else "server"]
        if arrived:
            lines.append(f"  CPU of a delivery    {server.cpu / arrived * 1e6:8.1f} µs (events, HTTP and sending)")
        if connected:
            lines.append(
                f"  CPU of a connection  {server.connect_cpu / connected * 1e6:8.1f} µs (its session included)"
            )
        lines.append(f"  memory               {server.full / 1e6:8.1f} MB, {each:,.0f} bytes a session")
        return lines

    def json(self) -> dict[str, Any]:
        """The report as JSON-able values; durations are in milliseconds."""
        plan = {name: value for name, value in to_builtins(self.plan).items() if name != "run"}
        return {
            **plan,
            "transports": {result.transport: _figures(result) for result in self.results},
            "server": None if self.server is None else to_builtins(self.server),
            "judged_percentile": self.percent,
            "promises": to_builtins(self.promises),
            "doubts": self.doubts,
            "clock": CLOCK,
            "exit_code": self.exit_code,
        }


def _lines(result: Result) -> list[str]:
    lines = [
        f"{result.transport}: {result.connected:,} of {result.watchers:,} connected; "
        f"{result.latencies.count:,} of {result.posted:,} updates delivered, {result.superseded:,} of them by a newer "
        f"one; the busiest process of the generator used {result.busy:.0%} of a core"
    ]
    heads = "".join(f"{_name(percent):>10}" for percent in PERCENTILES)
    lines.append(f"  {'ms':22}{heads}")
    for name, histogram in (
        ("event → delivery", result.latencies),
        ("a body of events", result.posts),
        ("handshake → state", result.connects),
    ):
        row = "".join(f"{histogram.percentile(percent) * 1e3:10.2f}" for percent in PERCENTILES)
        lines.append(f"  {name:22}{row}")
    mean = result.octets / result.watchers / result.seconds if result.seconds else 0.0
    lines.append(f"  bytes of a session     {mean:,.0f} a second, {result.octets_per_session:,.0f} at most")
    for what, reasons in (("refused", result.refused), ("lost", result.ended)):
        lines += [f"  {what}, {number:,} times: {reason}" for reason, number in reasons.items()]
    return lines


def _figures(result: Result) -> dict[str, Any]:
    numbers = {
        name: value
        for name, value in to_builtins(result).items()
        if name not in ("transport", "latencies", "connects", "posts", "late")
    }
    return {
        **numbers,
        "delivered": result.latencies.count,
        "octets_per_session_and_second": result.octets_per_session,
        "latency_ms": _row(result.latencies),
        "connect_ms": _row(result.connects),
        "post_ms": _row(result.posts),
        "late_ms": _row(result.late),
    }


def _row(histogram: Histogram) -> dict[str, float]:
    return {_name(percent): round(histogram.percentile(percent) * 1e3, 3) for percent in PERCENTILES}


def _name(percent: float) -> str:
    return "max" if percent == 100 else f"p{percent:g}"
