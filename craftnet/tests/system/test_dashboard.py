"""The Grafana dashboard in deploy/: as its script makes it, with valid queries about metrics that there are."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec
from twisted.trial.unittest import SkipTest, SynchronousTestCase

import craftnet
from craftnet.observe.metrics.families import FAMILIES, RECORDING_OBSERVATIONS, RESTARTS
from craftnet.tests.support.live_metrics import LiveMetricsTestCase, families
from craftnet.tests.support.programs import output

GRAFANA = Path(craftnet.__file__).parent.parent / "deploy" / "grafana"
DASHBOARD: dict[str, Any] = msgspec.json.decode((GRAFANA / "craftnet.json").read_bytes())
VARIABLES = {"$quantile": "0.99", "$__rate_interval": "5m", "$job": ".+", "$instance": ".+"}


def panels() -> Iterator[dict[str, Any]]:
    """Every panel, those of folded rows included."""
    for panel in DASHBOARD["panels"]:
        yield from panel.get("panels") or ()
        if panel["type"] != "row":
            yield panel


def queries() -> list[str]:
    """Every query, with values for the variables."""
    found = [target["expr"] for panel in panels() for target in panel["targets"]]
    for name, value in VARIABLES.items():
        found = [query.replace(name, value) for query in found]
    return found


class DashboardTests(SynchronousTestCase):
    def test_it_is_what_the_script_makes(self) -> None:
        if find_spec("grafana_foundation_sdk") is None:
            raise SkipTest("grafana-foundation-sdk is not installed: craftnet[dev] has it")
        made = output(sys.executable, str(GRAFANA / "make_dashboard.py"), "--print")
        self.assertEqual(made.returncode, 0, made.stdout)
        self.assertEqual(msgspec.json.decode(made.stdout), DASHBOARD, "run deploy/grafana/make_dashboard.py")

    def test_prometheus_takes_every_query(self) -> None:
        rules = Path(self.mktemp())
        lines = [
            f"      - record: test:query:{number}\n        expr: >-\n          {query}"
            for number, query in enumerate(queries())
        ]
        rules.write_text("groups:\n  - name: dashboard\n    rules:\n" + "\n".join(lines) + "\n")
        checked = output("promtool", "check", "rules", str(rules))
        self.assertEqual(checked.returncode, 0, checked.stdout)
        self.assertIn(f"{len(queries())} rules found", checked.stdout)

    def test_rows_and_variables(self) -> None:
        """Four rows are open; the variables are those that readers choose."""
        rows = {panel["title"]: bool(panel.get("collapsed")) for panel in DASHBOARD["panels"] if panel["type"] == "row"}
        self.assertEqual(
            [row for row, folded in rows.items() if not folded], ["Overview", "Delivery", "UDP paths", "Back end"]
        )
        names = [variable["name"] for variable in DASHBOARD["templating"]["list"]]
        self.assertEqual(names, ["datasource", "job", "instance", "quantile"])

    def test_every_panel_has_a_unit_and_the_promises_are_drawn(self) -> None:
        drawn = {}
        for panel in panels():
            defaults = panel["fieldConfig"]["defaults"]
            self.assertTrue(defaults.get("unit"), panel["title"])
            for step in defaults.get("thresholds", {}).get("steps", [])[1:]:
                drawn[panel["title"]] = step["value"]
        self.assertEqual(drawn["WebSocket: event to delivery"], 0.005)
        self.assertEqual(drawn["UDP: event to delivery"], 0.001)
        self.assertEqual(drawn["Memory per session"], 10_240)


class MetricsTests(LiveMetricsTestCase):
    async def test_every_metric_in_a_query_is_there(self) -> None:
        """With the labels by which the query groups."""
        found = families(await self.metrics()) | {each.base: each.kind for each in (RESTARTS, RECORDING_OBSERVATIONS)}
        declared = {family.base: family for family in FAMILIES}
        for query in queries():
            names = {re.sub(r"_(total|bucket|sum|count)$", "", name) for name in re.findall(r"craftnet_\w+", query)}
            self.assertTrue(names, query)
            self.assertEqual(names - set(found), set(), query)
            grouped = {label for labels in re.findall(r"by \(([^)]*)\)", query) for label in re.findall(r"\w+", labels)}
            for name in names:
                self.assertEqual(grouped - set(declared[name].labels) - {"le", "job", "instance"}, set(), query)
