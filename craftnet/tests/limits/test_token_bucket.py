"""Tests for `craftnet.limits.token_bucket` and `craftnet.limits.token_bucket`."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from craftnet.errors import TooManyRequests
from craftnet.limits.client_address import Networks
from craftnet.limits.token_bucket import ROUNDING_TOLERANCE, AddressLimit, RateLimit, TokenBucket
from craftnet.tests.support.samples import NOW


class TokenBucketTests(SynchronousTestCase):
    def assert_taken(self, bucket: TokenBucket, full_at: float, *events: tuple[float, bool]) -> float:
        """Of these moments, at some a token is taken, and at some there is none; when the bucket is full again."""
        for now, wanted in events:
            after = bucket.take(full_at, now)
            self.assertEqual(after is not None, wanted, now)
            full_at = full_at if after is None else after
        return full_at

    def test_burst_then_rate(self) -> None:
        bucket = TokenBucket(2.0, 3.0)
        full_at = self.assert_taken(bucket, 0.0, *[(0.0, True)] * 3, (0.0, False))
        self.assertAlmostEqual(bucket.wait(full_at, 0.0), 0.5, 1)
        full_at = self.assert_taken(bucket, full_at, (0.4, False), (0.5, True), (0.5, False))
        self.assert_taken(bucket, full_at, *[(100.0, True)] * 3, (100.0, False))

    def test_wait(self) -> None:
        """After it there is a token, and before there was none."""
        bucket = TokenBucket(5.0, 1.0)
        full_at = bucket.charge(0.0, NOW)
        wait = bucket.wait(full_at, NOW)
        self.assert_taken(bucket, full_at, (NOW + wait * 0.99, False), (NOW + wait * 1.01, True))
        self.assertEqual(bucket.wait(full_at, NOW + wait * 1.01), 0.0)

    def test_debt(self) -> None:
        """Charged in any case, up to the credit and one; and paid off by the rate."""
        bucket, full_at, debts = TokenBucket(1.0, 2.0), 0.0, []
        for _ in range(9):
            full_at = bucket.charge(full_at, NOW, credit=2.0)
            debts.append(round(bucket.debt(full_at, NOW)))
        self.assertEqual(debts, [0, 0, 1, 2, 3, 3, 3, 3, 3])
        self.assertGreater(bucket.debt(full_at, NOW + 2.9), 0.0)
        self.assertEqual(bucket.debt(full_at, NOW + 3.0), 0.0)

    @settings(deadline=None, derandomize=True)
    @given(st.floats(0.1, 100), st.floats(1, 100), st.lists(st.floats(0, 10), max_size=100))
    def test_no_more_than_rate_and_burst(self, rate: float, burst: float, pauses: list[float]) -> None:
        bucket, full_at, now, taken = TokenBucket(rate, burst), NOW, NOW, 0
        for pause in pauses:
            now += pause
            after = bucket.take(full_at, now)
            if after is not None:
                full_at, taken = after, taken + 1
        self.assertLessEqual(taken, burst + rate * (now - NOW) + 2 * ROUNDING_TOLERANCE)

    @settings(deadline=None, derandomize=True)
    @given(st.floats(0.1, 100), st.integers(1, 200))
    def test_no_less_than_the_burst(self, rate: float, burst: int) -> None:
        """However times are rounded."""
        self.assert_taken(TokenBucket(rate, burst), 0.0, *[(NOW, True)] * burst, (NOW, False))


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

    def test_change(self) -> None:
        """Another rate starts from a full bucket; the same rate keeps its level."""
        limit: RateLimit[str] = RateLimit(0.25, "Too many.")
        limit.check("a", NOW)
        limit.change(0.25)
        self.assertRaises(TooManyRequests, limit.check, "a", NOW)
        limit.change(0.5)
        for _ in range(2):
            limit.check("a", NOW)
        self.assertRaises(TooManyRequests, limit.check, "a", NOW)
        limit.change(0)
        limit.check("a", NOW)

    def test_addresses(self) -> None:
        """IPv6 addresses of one household are one; some have no limit."""
        limit = AddressLimit(0.25, "Too many.", Networks.parse("192.0.2.0/24", "--unlimited-from"))
        for _ in range(10):
            limit.check("192.0.2.7", NOW)
        limit.check("2001:db8::1", NOW)
        self.assertRaises(TooManyRequests, limit.check, "2001:db8::2", NOW)
        limit.check("2001:db8:0:1::1", NOW)


class RememberedTests(SynchronousTestCase):
    def test_each_key_has_its_own(self) -> None:
        limit: RateLimit[str] = RateLimit(0.25, "Too many.")
        for key in "ab":
            limit.check(key, NOW)
            self.assertRaises(TooManyRequests, limit.check, key, NOW)

    def test_memory_is_bounded(self) -> None:
        """The one not heard of for longest is forgotten: not one that is being limited."""
        limit: RateLimit[int] = RateLimit(0.25, "Too many.", remembered=10)
        limit.check(-1, NOW)
        for key in range(1000):
            limit.check(key, NOW)
            self.assertRaises(TooManyRequests, limit.check, -1, NOW)
        self.assertEqual(len(limit), 10)
