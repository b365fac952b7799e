"""Tests for `craftnet.client.output.line_output`."""

from __future__ import annotations

import json
from io import StringIO

from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from craftnet.client.core.connection_quality import ConnectionQuality
from craftnet.client.core.endings import connection_lost
from craftnet.client.core.feed import WatchedSession, update_from_message
from craftnet.client.core.interfaces import IObserver
from craftnet.client.output.line_output import LineOutput, QualityReporter
from craftnet.contract.messages import rfc3339, to_json
from craftnet.crafting.updates import progress_update
from craftnet.protocols.udp.core.path_stats import PathStats
from craftnet.tests.support.samples import AT, NOW, SESSION, message, progress, running


class FlushCounter(StringIO):
    """Counts flushes."""

    flushes = 0

    def flush(self) -> None:
        """Count it."""
        self.flushes += 1


class LinesTests(SynchronousTestCase):
    """`LineOutput`"""

    def setUp(self) -> None:
        self.out, self.err = FlushCounter(), FlushCounter()

    def lines(self, *, as_json: bool) -> LineOutput:
        """An observer."""
        return LineOutput(self.out, self.err, as_json=as_json)

    def test_interface(self) -> None:
        verifyObject(IObserver, self.lines(as_json=True))

    def test_json_is_the_message_and_the_transport(self) -> None:
        written = message("progress_update", progress_data=progress(40))
        self.lines(as_json=True).updated("ws", update_from_message(written), WatchedSession(SESSION))
        self.assertEqual(json.loads(self.out.getvalue()), {**json.loads(to_json(written)), "transport": "ws"})
        self.assertEqual((self.out.getvalue().count("\n"), self.out.flushes), (1, 1))

    def test_a_state_is_written_as_the_contract_s_message(self) -> None:
        self.lines(as_json=True).updated("udp", progress_update(running(percent=12.5), AT), WatchedSession(SESSION))
        line = json.loads(self.out.getvalue())
        self.assertEqual(
            (line["type"], line["transport"], line["progress_data"]["progress_percentage"]),
            ("progress_update", "udp", 12),
        )

    def test_in_words(self) -> None:
        written = replace(message("progress_update", progress_data=progress(40)), timestamp=rfc3339(NOW))
        self.lines(as_json=False).updated("ws", update_from_message(written), WatchedSession(SESSION))
        self.assertEqual(self.out.getvalue(), "08:00:00  40 % active, 0:30 to go\n")

    def test_figures_where_they_are_wanted(self) -> None:
        line = ConnectionQuality(PathStats(0.002, 0.001, 0.0004), 0.5)
        self.lines(as_json=True).measured("udp", line)
        self.assertEqual(self.out.getvalue(), "")
        LineOutput(
            self.out, self.err, as_json=False, label="aa", figures=QualityReporter(SESSION, lambda: NOW)
        ).measured("udp", line)
        LineOutput(self.out, self.err, as_json=True, figures=QualityReporter(SESSION, lambda: NOW)).measured(
            "udp", line
        )
        words, figures = self.out.getvalue().splitlines()
        self.assertEqual(words, "aa over udp, 2.0 ms ±1.0, jitter 0.4 ms, 0% lost, progress ±0.5")
        self.assertEqual(json.loads(figures)["type"], "line")

    def test_notes_do_not_mix_with_the_messages(self) -> None:
        lines = self.lines(as_json=True)
        lines.connecting("ws")
        lines.waiting(1.25, connection_lost("gone\x1b[2J"))
        lines.waiting(0.0, connection_lost("silence", try_another_transport=True))
        self.assertEqual(self.out.getvalue(), "")
        self.assertEqual(
            self.err.getvalue(),
            "craftnet: gone\ufffd[2J; trying again in 1.2 s\ncraftnet: silence; trying another transport\n",
        )
