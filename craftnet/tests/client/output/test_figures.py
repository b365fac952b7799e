"""Tests for `craftnet.client.output.line_output`."""

from __future__ import annotations

import json

from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from craftnet.client.core.connection_quality import ConnectionQuality
from craftnet.client.output.line_output import REPORT_INTERVAL, QualityReporter, figures
from craftnet.protocols.udp.core.path_stats import PathStats
from craftnet.tests.support.fakes import SteppedClock
from craftnet.tests.support.samples import SESSION

LINE = ConnectionQuality(PathStats(0.02345, 0.0041, 0.00042, 3600.0, 0.01, 0.0101, 0.02, 0.03), 0.5051)


class FiguresTests(SynchronousTestCase):
    """`figures`"""

    def test_json(self) -> None:
        self.assertEqual(
            json.loads(figures(SESSION, "udp", LINE).json),
            {
                "type": "line",
                "session_id": str(SESSION),
                "transport": "udp",
                "round_trip_ms": 23.4,
                "variation_ms": 4.1,
                "jitter_ms": 0.4,
                "clock_offset_ms": 3_600_000.0,
                "loss_in": 0.02,
                "loss_out": 0.01,
                "reordering": 0.03,
                "progress_bound": 0.51,
            },
        )


class FigureLinesTests(SynchronousTestCase):
    """`QualityReporter`"""

    def setUp(self) -> None:
        self.clock = SteppedClock()
        self.lines = QualityReporter(SESSION, self.clock.seconds)

    def due(self, line: ConnectionQuality) -> bool:
        """Whether it is written."""
        return self.lines.due("udp", line) is not None

    def test_now_and_then(self) -> None:
        written = []
        for number in range(10):
            written.append(self.due(ConnectionQuality(PathStats(number / 10), 0.5)))
            self.clock.advance(REPORT_INTERVAL / 4)
        self.assertEqual([number for number, each in enumerate(written) if each], [0, 4, 8])

    def test_what_is_the_same_in_round_numbers_is_not_written_again(self) -> None:
        self.assertTrue(self.due(LINE))
        self.clock.advance(2 * REPORT_INTERVAL)
        self.assertFalse(self.due(replace(LINE, bound=0.5055)))

    def test_a_bound_that_has_grown_is_written_at_once(self) -> None:
        self.assertTrue(self.due(LINE))
        self.assertFalse(self.due(replace(LINE, bound=0.4)))
        self.assertTrue(self.due(replace(LINE, bound=0.6)))
