"""Tests for `craftnet.client.load.measurement` and `craftnet.client.load.report`."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.json import decode, encode
from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from craftnet.client.load.measurement import Deliveries, Histogram, Result, ServerUse, doubts, promises
from craftnet.client.load.plan import LoadPlan, tag
from craftnet.client.load.report import BROKEN, KEPT, UNCERTAIN, Report

PLAN = LoadPlan(url="http://127.0.0.1:8080", run=1, watchers=1000, rate=1.0, ramp=1.0, seconds=10.0, batch=0.005)
IDLE = ServerUse(cpu=1.0, waited=0.1, connect_cpu=0.5, empty=40_000_000, full=45_000_000)


def histogram(*seconds: float) -> Histogram:
    """Of these durations."""
    found = Histogram()
    for each in seconds:
        found.add(each)
    return found


def result(*latencies: float, transport: str = "ws") -> Result:
    """Of a run in which everything went well, and updates took these times, in seconds."""
    found = Result(transport=transport, watchers=1000, connected=1000, posted=len(latencies), seconds=10.0)  # type: ignore[arg-type]  # one of the two.
    found.latencies, found.octets, found.most_octets = histogram(*latencies), 10_000_000, 20_000
    return found


class HistogramTests(SynchronousTestCase):
    @settings(deadline=None, derandomize=True, max_examples=100)
    @given(st.lists(st.floats(1e-6, 100.0), min_size=1, max_size=50), st.floats(0.1, 100.0))
    def test_percentiles_are_at_most_a_hundredth_too_long(self, seconds: list[float], percent: float) -> None:
        found = histogram(*seconds).percentile(percent)
        rank = max(1, -int(-(len(seconds) * percent) // 100))
        exact = sorted(seconds)[rank - 1]
        self.assertTrue(exact * 0.999 <= found <= exact * 1.0101, (exact, found))

    def test_nothing_and_what_is_too_short(self) -> None:
        self.assertEqual(Histogram().percentile(99), 0.0)
        self.assertLessEqual(histogram(0.0, -0.5).percentile(99), 1e-6)

    def test_together(self) -> None:
        first = histogram(0.001, 0.002)
        first.merge(decode(encode(histogram(0.002, 0.5)), type=Histogram))
        self.assertEqual(first, histogram(0.001, 0.002, 0.002, 0.5))


class DeliveriesTests(SynchronousTestCase):
    def setUp(self) -> None:
        """Two watchers; three updates of the first are posted a second after each other."""
        self.deliveries = Deliveries(2)
        for turn in range(3):
            self.deliveries.post(0, turn, float(turn))

    def test_one_after_the_other(self) -> None:
        for turn in range(3):
            self.deliveries.arrive(0, tag(turn), turn + 0.5)
        self.assertEqual(self.deliveries.latencies, histogram(0.5, 0.5, 0.5))
        self.assertEqual((self.deliveries.pending, self.deliveries.superseded), (0, 0))

    def test_a_newer_one_counts_for_those_before_it(self) -> None:
        self.deliveries.arrive(0, tag(2), 4.0)
        self.assertEqual(self.deliveries.latencies, histogram(4.0, 3.0, 2.0))
        self.assertEqual((self.deliveries.pending, self.deliveries.superseded), (0, 2))

    def test_a_refresh_is_not_counted(self) -> None:
        for _ in range(3):
            self.deliveries.arrive(0, tag(0), 0.5)
        self.deliveries.arrive(1, tag(1), 1.5)
        self.assertEqual((self.deliveries.latencies.count, self.deliveries.pending), (1, 2))

    def test_tags_come_again(self) -> None:
        for turn in range(3, 250):
            self.deliveries.post(0, turn, float(turn))
        self.deliveries.arrive(0, tag(249), 250.0)
        # Updates whose tag was reused before they arrived cannot be distinguished: they count as lost.
        self.assertEqual((self.deliveries.latencies.count, self.deliveries.pending), (99, 151))


class PromiseTests(SynchronousTestCase):
    def broken(self, *results: Result, server: ServerUse | None = None, percent: float = 99.0) -> list[str]:
        """The names of the promises that were not kept."""
        return [each.name for each in promises(list(results), server, percent) if not each.kept]

    def test_all_kept(self) -> None:
        self.assertEqual(self.broken(result(0.0049), result(0.0009, transport="udp"), server=IDLE), [])

    def test_latency(self) -> None:
        self.assertEqual(self.broken(result(0.0051)), ["WebSocket event → delivery, p99"])
        self.assertEqual(self.broken(result(0.0011, transport="udp")), ["UDP event → delivery, p99"])
        self.assertEqual(self.broken(result(*[0.001] * 9, 0.1), percent=90), [])
        self.assertEqual(self.broken(result()), ["WebSocket event → delivery, p99"])

    def test_everything_else(self) -> None:
        for change, name in (
            ({"connected": 999}, "WebSocket watchers not admitted"),
            ({"ended": {"close code 4008": 1}}, "WebSocket connections lost"),
            ({"lost": 1}, "WebSocket updates lost"),
            ({"rejected": 1}, "WebSocket events rejected"),
            ({"most_octets": 500_000}, "WebSocket traffic of a session"),
        ):
            self.assertEqual(self.broken(replace(result(0.001), **change)), [name])

    def test_memory_is_judged_where_there_are_enough_watchers(self) -> None:
        over_budget = replace(IDLE, full=IDLE.empty + 10_000_001)
        self.assertEqual(self.broken(result(0.001), server=over_budget), ["server memory of a session"])
        self.assertEqual(self.broken(replace(result(0.001), watchers=999, connected=999), server=over_budget), [])

    def test_doubts(self) -> None:
        good = result(0.001)
        self.assertEqual(doubts([good], IDLE, 99.0), [])
        (doubt,) = doubts([replace(good, busy=0.8)], IDLE, 99.0)
        self.assertIn("used 80% of a core", doubt)
        (doubt,) = doubts([replace(good, late=histogram(0.01))], IDLE, 99.0)
        self.assertIn("10.0 ms late", doubt)
        (doubt,) = doubts([good], replace(IDLE, waited=1.0), 99.0)
        self.assertIn("waited for a processor 10% of the time", doubt)


class ReportTests(SynchronousTestCase):
    def exit_code(self, found: Result) -> int:
        """Of a run with this result."""
        return Report(PLAN, [found], IDLE, 99.0).exit_code

    def test_exit_codes(self) -> None:
        slow = result(0.02)
        self.assertEqual(self.exit_code(result(0.001)), KEPT)
        self.assertEqual(self.exit_code(replace(result(0.001), busy=0.9)), KEPT)
        self.assertEqual(self.exit_code(slow), BROKEN)
        self.assertEqual(self.exit_code(replace(slow, busy=0.9)), UNCERTAIN)
        self.assertEqual(self.exit_code(replace(slow, busy=0.9, lost=1)), UNCERTAIN)
        self.assertEqual(self.exit_code(replace(slow, busy=0.9, connected=999)), BROKEN)

    def test_several_processes_are_one_result(self) -> None:
        both = result(0.001)
        both.merge(
            decode(encode(replace(result(0.003), refused={"429": 2}, busy=0.4, most_octets=30_000)), type=Result)
        )
        self.assertEqual((both.watchers, both.latencies.count, both.octets), (2000, 2, 20_000_000))
        self.assertEqual((both.refused, both.busy, both.octets_per_session), ({"429": 2}, 0.4, 3000.0))

    def test_text(self) -> None:
        found = replace(result(0.02), refused={"429 Too Many Requests: There are too many.": 3}, connected=997)
        text = Report(PLAN, [found], IDLE, 99.0).text()
        self.assertRegex(text, r"BROKEN +WebSocket event → delivery, p99 +20\.\d+ +\(promised: < 5 ms\)")
        self.assertRegex(text, r"BROKEN +WebSocket watchers not admitted +3\.00 +\(promised: 0\)")
        self.assertRegex(text, r"kept +WebSocket traffic of a session +2\.00 +\(promised: < 50 KB/s\)")
        self.assertIn("refused, 3 times: 429 Too Many Requests: There are too many.", text)
        self.assertIn("of the clock of the generator's machine", text)

    def test_json(self) -> None:
        found = decode(encode(Report(PLAN, [result(0.002)], None, 99.0).json()))
        self.assertEqual((found["watchers"], found["exit_code"], found["server"]), (1000, KEPT, None))
        self.assertLess(abs(found["transports"]["ws"]["latency_ms"]["p99"] - 2.0), 0.03)
        self.assertEqual(len(found["promises"]), 6)
