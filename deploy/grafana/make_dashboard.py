"""Makes the Grafana dashboard, craftnet.json beside this file.

python deploy/grafana/make_dashboard.py            # needs craftnet[dev], for grafana-foundation-sdk
python deploy/grafana/make_dashboard.py --print    # to the terminal
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

from grafana_foundation_sdk.builders import dashboard, prometheus, timeseries
from grafana_foundation_sdk.builders.common import GraphThresholdsStyleConfig, VizLegendOptions
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import GraphThresholdsStyleMode, LegendDisplayMode, LegendPlacement
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DataSourceRef,
    Threshold,
    ThresholdsMode,
    VariableOption,
    VariableRefresh,
)

TARGET = Path(__file__).with_name("craftnet.json")

SELECTED = 'job=~"$job", instance=~"$instance"'
"""The nodes that the variables select."""

SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")


class Chart(NamedTuple):
    """One panel: its title, the unit of Grafana, its queries by legend, and a threshold.

    Attributes:
        promise: the value that the service promises not to exceed; drawn as a line.
    """

    title: str
    unit: str
    queries: dict[str, str]
    promise: float | None = None
    description: str = ""


def rate(name: str, by: str = "", **labels: str) -> str:
    """Events per second, summed by a label."""
    return f"sum by ({by}) (rate({name}{{{selection(labels)}}}[$__rate_interval]))"


def quantile(name: str, by: str = "", **labels: str) -> str:
    """The chosen quantile of a histogram."""
    labelled = f"le, {by}" if by else "le"
    rates = f"sum by ({labelled}) (rate({name}_bucket{{{selection(labels)}}}[$__rate_interval]))"
    return f"histogram_quantile($quantile, {rates})"


def mean(name: str) -> str:
    """The mean of a histogram's observations."""
    return f"{rate(f'{name}_sum')} / {rate(f'{name}_count')}"


def lowest(name: str, by: str = "instance") -> str:
    """A gauge, the lowest by a label."""
    return f"min by ({by}) ({name}{{{SELECTED}}})"


def total(name: str, by: str = "", **labels: str) -> str:
    """A gauge, summed by a label."""
    return f"sum by ({by}) ({name}{{{selection(labels)}}})"


def highest(name: str, by: str = "instance", **labels: str) -> str:
    """A gauge, the highest by a label."""
    return f"max by ({by}) ({name}{{{selection(labels)}}})"


def selection(labels: dict[str, str]) -> str:
    return ", ".join([SELECTED, *(f'{name}="{value}"' for name, value in labels.items())])


LATENCY = "craftnet_event_to_delivery_seconds"

OPEN_ROWS: dict[str, list[Chart]] = {
    "Overview": [
        Chart("Connections", "short", {"{{transport}}": total("craftnet_connections", "transport")}),
        Chart("Events", "ops", {"{{verdict}}": rate("craftnet_events_total", "verdict")}),
        Chart("Deliveries", "ops", {"{{transport}}": rate("craftnet_deliveries_total", "transport")}),
        Chart("Refusals", "ops", {"{{reason}}": rate("craftnet_refusals_total", "reason")}),
        Chart(
            "Saturation of limits",
            "percentunit",
            {"{{instance}} {{limit}}": f"craftnet_limit_used{{{SELECTED}}} / craftnet_limit{{{SELECTED}}}"},
            0.8,
        ),
        Chart(
            "Memory per session",
            "bytes",
            {"{{instance}}": highest("craftnet_memory_per_session_bytes")},
            10_240,
            "The promise is 10 KB. It means little while a node has few sessions.",
        ),
    ],
    "Delivery": [
        Chart("WebSocket: event to delivery", "s", {"$quantile": quantile(LATENCY, transport="websocket")}, 0.005),
        Chart("UDP: event to delivery", "s", {"$quantile": quantile(LATENCY, transport="udp")}, 0.001),
        Chart(
            "Event loop delay", "s", {"{{instance}}": quantile("craftnet_event_loop_delay_seconds", "instance")}, 0.025
        ),
        Chart(
            "Bytes sent",
            "Bps",
            {"{{transport}} {{encoding}}": rate("craftnet_sent_bytes_total", "transport, encoding")},
        ),
        Chart(
            "Conflated and dropped updates",
            "ops",
            {
                "conflated {{transport}}": rate("craftnet_conflated_updates_total", "transport"),
                "dropped {{transport}}": rate("craftnet_dropped_updates_total", "transport"),
            },
        ),
        Chart("Error of corrected models", "percent", {"$quantile": quantile("craftnet_correction_points")}),
    ],
    "UDP paths": [
        Chart("Round trip", "s", {"$quantile": quantile("craftnet_udp_round_trip_seconds")}),
        Chart(
            "Loss",
            "percentunit",
            {
                "to clients": mean("craftnet_udp_loss_ratio"),
                "from clients": mean("craftnet_udp_loss_in_ratio"),
            },
            0.05,
        ),
        Chart("Datagrams by outcome", "pps", {"{{outcome}}": rate("craftnet_datagrams_total", "outcome")}),
        Chart("Records in send queues", "short", {"$quantile": quantile("craftnet_udp_send_queue_records")}),
        Chart(
            "Migrations, key updates, full states",
            "ops",
            {
                "migrations": rate("craftnet_udp_migrations_total"),
                "keys {{direction}}": rate("craftnet_udp_key_updates_total", "direction"),
                "resyncs": rate("craftnet_udp_resyncs_total"),
                "full syncs": rate("craftnet_udp_full_syncs_total"),
            },
        ),
        Chart("Jitter", "s", {"$quantile": quantile("craftnet_udp_jitter_seconds")}),
    ],
    "Back end": [
        Chart("Sessions", "short", {"{{instance}}": highest("craftnet_sessions")}),
        Chart(
            "Redis: round trip", "s", {"{{instance}}": quantile("craftnet_redis_round_trip_seconds", "instance")}, 0.05
        ),
        Chart("Redis: lag", "s", {"{{instance}}": highest("craftnet_redis_lag_seconds")}, 2.0),
        Chart("Redis: reconnects", "ops", {"{{instance}}": rate("craftnet_redis_reconnects_total", "instance")}),
        Chart(
            "Nodes agree",
            "bool_yes_no",
            {"{{instance}} {{what}}": lowest("craftnet_cluster_complete", "instance, what")},
        ),
        Chart("Events being applied", "short", {"{{instance}}": highest("craftnet_queue_depth", queue="events")}),
    ],
}

FOLDED_ROWS: dict[str, list[Chart]] = {
    "HTTP": [
        Chart("Requests", "reqps", {"{{route}} {{status}}": rate("craftnet_http_requests_total", "route, status")}),
        Chart("Duration", "s", {"{{route}}": quantile("craftnet_http_request_seconds", "route")}),
    ],
    "Clients": [
        Chart(
            "Closed connections", "ops", {"{{transport}} {{code}}": rate("craftnet_closed_total", "transport, code")}
        ),
        Chart("Subscriptions", "short", {"{{feed}}": total("craftnet_watchers", "feed")}),
        Chart(
            "Returns", "ops", {"{{feed}} recovered {{recovered}}": rate("craftnet_returns_total", "feed, recovered")}
        ),
        Chart("Players' reports", "ops", {"{{verdict}}": rate("craftnet_claims_total", "verdict")}),
        Chart("Bytes received", "Bps", {"{{transport}}": rate("craftnet_received_bytes_total", "transport")}),
        Chart("Updates that wait", "short", {"{{queue}}": total("craftnet_queue_depth", "queue")}),
    ],
    "Process": [
        Chart("Memory", "bytes", {"{{instance}}": highest("craftnet_resident_memory_bytes")}),
        Chart("Collector pauses", "s", {"{{instance}}": quantile("craftnet_gc_pause_seconds", "instance")}),
        Chart(
            "Certificate",
            "s",
            {"{{instance}}": lowest("craftnet_certificate_expiry_timestamp_seconds") + " - time()"},
        ),
        Chart("Worker restarts", "short", {"{{instance}}": rate("craftnet_worker_restarts_total", "instance")}),
        Chart("Audit failures", "ops", {"{{kind}}": rate("craftnet_audit_failures_total", "kind")}),
        Chart(
            "Recording",
            "ops",
            {"{{outcome}}": rate("craftnet_recording_observations_total", "outcome")},
        ),
        Chart("Versions", "short", {"{{version}}": f"count by (version) (craftnet_build_info{{{SELECTED}}})"}),
    ],
}


def panel(chart: Chart) -> timeseries.Panel:
    """The panel of a chart."""
    made = (
        timeseries.Panel()
        .title(chart.title)
        .description(chart.description)
        .unit(chart.unit)
        .min(0)
        .datasource(SOURCE)
        .height(7)
        .span(8)
        .legend(
            VizLegendOptions().display_mode(LegendDisplayMode.LIST).placement(LegendPlacement.BOTTOM).show_legend(True)
        )
    )
    for letter, (legend, query) in zip("ABCDEF", chart.queries.items(), strict=False):
        made.with_target(prometheus.Dataquery().ref_id(letter).expr(query).legend_format(legend).datasource(SOURCE))
    if chart.promise is not None:
        steps = [Threshold(value=None, color="green"), Threshold(value=chart.promise, color="red")]
        made.thresholds(dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps))
        made.thresholds_style(GraphThresholdsStyleConfig().mode(GraphThresholdsStyleMode.LINE))
    return made


def variables(made: dashboard.Dashboard) -> None:
    """What a reader chooses: the data source, jobs, instances, and the quantile of latencies."""
    made.with_variable(dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus"))
    for name, query in (
        ("job", "label_values(craftnet_build_info, job)"),
        ("instance", 'label_values(craftnet_build_info{job=~"$job"}, instance)'),
    ):
        made.with_variable(
            dashboard.QueryVariable(name)
            .query(query)
            .datasource(SOURCE)
            .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
            .include_all(True)
            .multi(True)
        )
    usual = VariableOption(selected=True, text="0.99", value="0.99")
    made.with_variable(
        dashboard.CustomVariable("quantile").label("Quantile").values("0.5,0.9,0.99,0.999").current(usual)
    )


def make() -> str:
    """The dashboard as JSON."""
    made = (
        dashboard.Dashboard("craftnet")
        .uid("craftnet")
        .tags(["craftnet"])
        .refresh("30s")
        .time("now-3h", "now")
        .timezone("browser")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .readonly()
    )
    variables(made)
    for title, charts in OPEN_ROWS.items():
        made.with_row(dashboard.Row(title))
        for chart in charts:
            made.with_panel(panel(chart))
    for title, charts in FOLDED_ROWS.items():
        row = dashboard.Row(title).collapsed(True)
        for chart in charts:
            row.with_panel(panel(chart))
        made.with_row(row)
    return JSONEncoder(sort_keys=True, indent=2).encode(made.build()) + "\n"


if __name__ == "__main__":
    if "--print" in sys.argv[1:]:
        sys.stdout.write(make())
    else:
        TARGET.write_text(make(), encoding="utf-8")
