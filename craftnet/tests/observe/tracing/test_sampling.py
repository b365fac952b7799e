"""Tests for `craftnet.observe.tracing.sampling` and `craftnet.contract.traces`."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from craftnet.contract.traces import TraceParent, parse_traceparent
from craftnet.observe.tracing.sampling import Sampler, trace_of_event

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


class TraceParentTests(SynchronousTestCase):
    """The examples of W3C Trace Context, section 3.2."""

    def test_valid(self) -> None:
        for text, wanted in (
            (f"00-{TRACE}-{SPAN}-01", TraceParent(TRACE, SPAN, sampled=True)),
            (f" 00-{TRACE}-{SPAN}-00 ", TraceParent(TRACE, SPAN, sampled=False)),
            (f"00-{TRACE}-{SPAN}-03", TraceParent(TRACE, SPAN, sampled=True)),
            (f"cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like", TraceParent(TRACE, SPAN, sampled=True)),
        ):
            self.assertEqual(parse_traceparent(text), wanted)

    def test_invalid(self) -> None:
        for text in (
            *(
                None,
                "",
                "nonsense",
                f"ff-{TRACE}-{SPAN}-01",
                f"00-{TRACE}-{SPAN}-01-more",
                f"00-{TRACE.upper()}-{SPAN}-01",
            ),
            *(
                f"00-{'0' * 32}-{SPAN}-01",
                f"00-{TRACE}-{'0' * 16}-01",
                f"00-{TRACE}-{SPAN}-0",
                f"cc-{TRACE}-{SPAN}-01.x",
            ),
            "00-" + "a" * 1000,
        ):
            self.assertIsNone(parse_traceparent(text), text)

    @given(st.text(max_size=80))
    @settings(deadline=None, derandomize=True)
    def test_anything(self, text: str) -> None:
        found = parse_traceparent(text)
        self.assertTrue(found is None or parse_traceparent(found.text) == found)


class SamplerTests(SynchronousTestCase):
    def sampler(self, share: float) -> Sampler:
        return Sampler(share, Random(1).random)

    def test_share(self) -> None:
        for share in (0.0, 0.25, 1.0):
            sampler = self.sampler(share)
            traced = sum(sampler.event(None, None) for _ in range(1000))
            self.assertLess(abs(traced / 1000 - share), 0.05)
            self.assertLess(abs(sum(sampler.request() for _ in range(1000)) / 1000 - share), 0.05)

    def test_authority_decides(self) -> None:
        """By the flag of its traceparent, whatever the share."""
        for share in (0.0, 1.0):
            for sampled in (False, True):
                parent = TraceParent(TRACE, SPAN, sampled)
                self.assertIs(self.sampler(share).event(parent, None), sampled)

    def test_events_of_a_trace_stay_together(self) -> None:
        """On every node, too: the trace id decides."""
        random = Random(2)
        ids = [f"{random.getrandbits(128):032x}" for _ in range(1000)]
        decided = [self.sampler(0.25).event(None, each) for each in ids]
        self.assertEqual(decided, [Sampler(0.25, Random(3).random).event(None, each) for each in ids])
        self.assertLess(abs(sum(decided) / 1000 - 0.25), 0.05)

    def test_other_trace_ids(self) -> None:
        for text in (None, "", "t-1", "0" * 32, TRACE + "0"):
            self.assertIsNone(trace_of_event(text), text)
        self.assertEqual(trace_of_event("4BF92F35-77b3-4da6-a3ce-929d0e0e4736"), int(TRACE, 16))
