"""Tests for `craftnet.access.buckets`."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from craftnet.access.buckets import AddressLimit, Bucket, Buckets, RateLimit, Verdict
from craftnet.access.networks import Networks
from craftnet.errors import TooManyRequests
from craftnet.tests.samples import NOW


class BucketTests(SynchronousTestCase):
    def test_burst_then_rate(self) -> None:
        bucket = Bucket(3.0, 0.0)
        self.assertEqual([bucket.take(2.0, 3.0, 0.0) for _ in range(5)], [0.0, 0.0, 0.0, 0.5, 0.5])
        self.assertEqual(bucket.take(2.0, 3.0, 0.5), 0.0)
        self.assertEqual(bucket.take(2.0, 3.0, 100.0), 0.0)
        self.assertEqual([bucket.take(2.0, 3.0, 100.0) for _ in range(3)], [0.0, 0.0, 0.5])

    def test_clock_that_is_set_back(self) -> None:
        bucket = Bucket(1.0, 100.0)
        bucket.take(1.0, 1.0, 100.0)
        self.assertEqual(bucket.take(1.0, 1.0, 50.0), 1.0)
        self.assertEqual(bucket.take(1.0, 1.0, 51.0), 0.0)

    def test_first_ignored_then_closed(self) -> None:
        bucket = Bucket(2.0, 0.0)
        verdicts = [bucket.judge(1.0, 2.0, 0.0) for _ in range(9)]
        wanted = [Verdict.HEED] * 2 + [Verdict.IGNORE] * 2 + [Verdict.CLOSE] * 5
        self.assertEqual(verdicts, wanted)

    def test_who_slows_down_is_heeded_again(self) -> None:
        bucket = Bucket(2.0, 0.0)
        for _ in range(4):
            bucket.judge(1.0, 2.0, 0.0)
        self.assertIs(bucket.judge(1.0, 2.0, 1.0), Verdict.IGNORE)
        self.assertIs(bucket.judge(1.0, 2.0, 4.0), Verdict.HEED)

    @settings(deadline=None, derandomize=True)
    @given(st.floats(0.1, 100), st.floats(1, 100), st.lists(st.floats(0, 10), max_size=100))
    def test_no_more_than_rate_and_burst(self, rate: float, burst: float, pauses: list[float]) -> None:
        bucket, now, taken = Bucket(burst, 0.0), 0.0, 0
        for pause in pauses:
            now += pause
            taken += bucket.take(rate, burst, now) == 0.0
        self.assertLessEqual(taken, burst + rate * now + 1e-6)


class RateLimitTests(SynchronousTestCase):
    def test_refusal(self) -> None:
        limit: RateLimit[str] = RateLimit(0.5, "Too many.")
        for _ in range(2):
            limit.check("a", NOW)
        error = self.assertRaises(TooManyRequests, limit.check, "a", NOW)
        self.assertEqual(error.message, "Too many.")
        self.assertEqual(
            dict(error.headers),
            {
                "Retry-After": "2",
                "X-RateLimit-Limit": "2",
                "X-RateLimit-Remaining": "0",
            },
        )
        limit.check("b", NOW)
        limit.check("a", NOW + 2)

    def test_zero_is_no_limit(self) -> None:
        limit: RateLimit[str] = RateLimit(0, "Too many.")
        for _ in range(1000):
            limit.check("a", NOW)

    def test_addresses(self) -> None:
        """IPv6 addresses of one household are one; some have no limit."""
        limit = AddressLimit(0.25, "Too many.", Networks.parse("192.0.2.0/24", "--unlimited-from"))
        for _ in range(10):
            limit.check("192.0.2.7", NOW)
        limit.check("2001:db8::1", NOW)
        self.assertRaises(TooManyRequests, limit.check, "2001:db8::2", NOW)
        limit.check("2001:db8:0:1::1", NOW)


class BucketsTests(SynchronousTestCase):
    def test_each_key_has_its_own(self) -> None:
        buckets: Buckets[str] = Buckets(1.0, 1.0)
        self.assertEqual([buckets.take(key, 0.0) for key in "aabb"], [0.0, 1.0, 0.0, 1.0])

    def test_memory_is_bounded(self) -> None:
        """The one not heard of for longest is forgotten: not one that is being limited."""
        buckets: Buckets[int] = Buckets(1.0, 1.0, remembered=10)
        buckets.take(-1, 0.0)
        for key in range(1000):
            buckets.take(key, 0.0)
            self.assertEqual(buckets.take(-1, 0.0), 1.0)
        self.assertEqual(len(buckets), 10)
