from __future__ import annotations

import gzip
import zlib

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from craftnet.errors import BadRequest, BodyTooLarge
from craftnet.http.negotiation import (
    MAX_GZIP_MEMBERS,
    accepts_gzip,
    content_codings,
    differs,
    gunzip,
    matches,
    media_weight,
)

TAGS = frozenset({'"a"', '"a-gzip"'})


class MatchesTests(SynchronousTestCase):
    def test_matches(self) -> None:
        for value in ('"a"', 'W/"a"', '"x", "a-gzip"', "*", ' W/"x" ,W/"a" '):
            self.assertTrue(matches(value, TAGS), value)

    def test_commas_in_tags(self) -> None:
        self.assertFalse(matches('"x,a"', frozenset({'"a"'})))
        self.assertTrue(matches('"x", "a,b"', frozenset({'"a,b"'})))

    def test_if_match(self) -> None:
        for value, etag in (("*", None), ('"x,y", "a"', '"a"'), (None, None)):
            self.assertFalse(differs(value, etag), value)
        for value, etag in (('W/"a"', '"a"'), ('"b"', '"a"'), ('"a"', None), ("a", '"a"'), ("", '"a"')):
            self.assertTrue(differs(value, etag), value)

    def test_others(self) -> None:
        for value in (None, "", '"b"', "a", '"x", "y"'):
            self.assertFalse(matches(value, TAGS), value)


class GzipTests(SynchronousTestCase):
    def test_gzip_accepted(self) -> None:
        for value in ("gzip", "deflate, GZIP;q=0.5", "*", "br;q=1.0, *;q=0.1", "x-gzip", "gzip ; q=1"):
            self.assertTrue(accepts_gzip(value), value)

    def test_gzip_refused(self) -> None:
        for value in (
            None,
            "",
            "identity",
            "gzip;q=0",
            "gzip;q=0.000, *",
            "*;q=0",
            "gzip;q=x",
            "gzip;q=1_0",
            "gzip;q=inf",
        ):
            self.assertFalse(accepts_gzip(value), value)


class ContentCodingTests(SynchronousTestCase):
    def test_codings(self) -> None:
        for value, codings in (
            (None, ()),
            ("", ()),
            ("identity", ()),
            ("GZip", ("gzip",)),
            ("identity, br , gzip", ("br", "gzip")),
        ):
            self.assertEqual(content_codings(value), codings)

    def test_bounds(self) -> None:
        self.assertEqual(gunzip(gzip.compress(b"x" * 1000), 1000), b"x" * 1000)
        self.assertRaises(BodyTooLarge, gunzip, gzip.compress(b"x" * 1001), 1000)
        self.assertRaises(BodyTooLarge, gunzip, gzip.compress(b"x" * 600) * 2, 1000)
        many = gzip.compress(b"") * MAX_GZIP_MEMBERS
        self.assertEqual(gunzip(many, 0), b"")
        self.assertRaises(BadRequest, gunzip, many + gzip.compress(b""), 0)

    def test_not_gzip(self) -> None:
        whole = gzip.compress(b"events")
        wrong_sum = whole[:-8] + bytes(8)
        for body in (b"", b"{}", whole[:-1], whole + b"{}", zlib.compress(b"events"), wrong_sum):
            self.assertRaises(BadRequest, gunzip, body, 1000)

    @settings(deadline=None, derandomize=True, max_examples=100)
    @given(st.lists(st.binary(max_size=50), min_size=1, max_size=5), st.integers(0, 300), st.binary(max_size=3))
    def test_any_members(self, members: list[bytes], limit: int, behind: bytes) -> None:
        whole = b"".join(members)
        body = b"".join(map(gzip.compress, members)) + behind
        if behind or len(whole) > limit:
            self.assertRaises((BadRequest, BodyTooLarge), gunzip, body, limit)
        else:
            self.assertEqual(gunzip(body, limit), whole)


class MediaTests(SynchronousTestCase):
    def test_weights(self) -> None:
        """The most specific range counts, whatever stands first (RFC 9110 section 12.5.1)."""
        for accept, weight in (
            (None, 1.0),
            ("", 1.0),
            ("*/*", 1.0),
            ("application/json", 1.0),
            ("APPLICATION/JSON; charset=utf-8; q=0.4", 0.4),
            ("application/*;q=0.3, */*", 0.3),
            ("*/*;q=0.8, text/html", 0.8),
            ("text/html", 0.0),
            ("application/json;q=0, */*", 0.0),
            ("application/json;q=2", 0.0),
            ("nonsense", 0.0),
        ):
            self.assertEqual(media_weight(accept, "application/json"), weight, accept)
