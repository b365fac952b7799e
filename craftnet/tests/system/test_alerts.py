"""The rules for Prometheus in deploy/: valid, tested, about metrics that there are, and each alert with its runbook."""

from __future__ import annotations

import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import craftnet
from craftnet.observe.metrics.families import (
    FAMILIES,
    INGEST_DEAD_LETTERS,
    INGEST_DELAY,
    KEYS_CURRENT,
    RECORDING_OBSERVATIONS,
    RESTARTS,
)
from craftnet.tests.support.live_metrics import LiveMetricsTestCase, families
from craftnet.tests.support.programs import output

REPOSITORY = Path(craftnet.__file__).parent.parent
RULES = REPOSITORY / "deploy" / "prometheus"
RUNBOOKS = REPOSITORY / "docs" / "how-to" / "runbooks"

ALERT = re.compile(r"- alert: (\w+)\n(.*?)(?=\n      - alert|\Z)", re.S)
METRIC = re.compile(r"(?<![\w:])craftnet_\w+(?:\{[^}]*\})?")


def alerts() -> dict[str, str]:
    """The text of each alert."""
    return dict(ALERT.findall((RULES / "alerts.yml").read_text()))


OF_OTHER_SERVERS = (RESTARTS, INGEST_DELAY, INGEST_DEAD_LETTERS, RECORDING_OBSERVATIONS, KEYS_CURRENT)
"""Metrics of servers with --workers, --ingest, --record or --auth."""


class RulesTests(SynchronousTestCase):
    def test_they_are_valid(self) -> None:
        for name in ("recording.yml", "alerts.yml"):
            checked = output("promtool", "check", "rules", str(RULES / name))
            self.assertEqual(checked.returncode, 0, checked.stdout)

    def test_each_fires_when_it_should(self) -> None:
        tested = output("promtool", "test", "rules", str(RULES / "tests.yml"))
        self.assertEqual(tested.returncode, 0, tested.stdout)

    def test_each_is_tested_both_ways(self) -> None:
        """With figures that make it fire, and with others."""
        cases = re.findall(r"- name: (\w+) (fires|does not fire)\n", (RULES / "tests.yml").read_text())
        self.assertEqual(
            sorted(cases), sorted((name, what) for name in alerts() for what in ("fires", "does not fire"))
        )

    def test_each_says_what_operators_need(self) -> None:
        for name, text in alerts().items():
            self.assertRegex(name, r"^Craftnet([A-Z][a-z]+)+$")
            self.assertRegex(text, r"\n        for: \d+[mh]\n")
            self.assertRegex(text, r"\n          severity: (critical|warning)\n")
            self.assertRegex(text, r'\n          summary: "[^"\n]+"\n          description: "[^"\n]+"\n')

    def test_each_has_a_runbook_and_each_runbook_an_alert(self) -> None:
        linked = {name: re.findall(r"runbook_url: RUNBOOKS/(\S+)\.html", text) for name, text in alerts().items()}
        self.assertEqual({name for name, pages in linked.items() if len(pages) != 1}, set())
        pages = {page.stem: page.read_text() for page in RUNBOOKS.glob("*.md") if page.stem != "index"}
        self.assertEqual({pages[0]: name for name, pages in linked.items()}, {
            stem: text.splitlines()[0].removeprefix("# ") for stem, text in pages.items()
        })  # fmt: skip
        for text in pages.values():
            self.assertEqual(
                re.findall(r"^## (.*)$", text, re.MULTILINE), ["What it means", "What to look at", "What to do"]
            )


class MetricsTests(LiveMetricsTestCase):
    async def test_every_metric_in_a_rule_is_there(self) -> None:
        """With the labels by which a rule selects."""
        found = families(await self.metrics()) | {family.base: family.kind for family in OF_OTHER_SERVERS}
        declared = {family.base: family for family in FAMILIES}
        used = METRIC.findall("".join((RULES / name).read_text() for name in ("recording.yml", "alerts.yml")))
        self.assertGreater(len(used), 20)
        for series in used:
            name, _, selected = series.rstrip("}").partition("{")
            base = re.sub(r"_(total|bucket|sum|count)$", "", name)
            self.assertIn(base, found, series)
            labels = re.findall(r'(\w+)[=!]~?"', selected)
            self.assertEqual(set(labels) - set(declared[base].labels) - {"le"}, set(), series)
            bounds = re.findall(r'le="([^"]+)"', selected)
            self.assertEqual(set(map(float, bounds)) - set(declared[base].bounds), set(), series)
