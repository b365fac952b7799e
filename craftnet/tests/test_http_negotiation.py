from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from craftnet.http.negotiation import accepts_gzip, matches

TAGS = frozenset({'"a"', '"a-gzip"'})


class MatchesTests(SynchronousTestCase):
    def test_matches(self) -> None:
        for value in ('"a"', 'W/"a"', '"x", "a-gzip"', "*", ' W/"x" ,W/"a" '):
            self.assertTrue(matches(value, TAGS), value)

    def test_others(self) -> None:
        for value in (None, "", '"b"', "a", '"x", "y"'):
            self.assertFalse(matches(value, TAGS), value)


class GzipTests(SynchronousTestCase):
    def test_welcome(self) -> None:
        for value in ("gzip", "deflate, GZIP;q=0.5", "*", "br;q=1.0, *;q=0.1", "x-gzip", "gzip ; q=1"):
            self.assertTrue(accepts_gzip(value), value)

    def test_unwelcome(self) -> None:
        for value in (None, "", "identity", "gzip;q=0", "gzip;q=0.000, *", "*;q=0", "gzip;q=x"):
            self.assertFalse(accepts_gzip(value), value)
