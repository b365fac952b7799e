from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from craftnet.errors import BadRequest, HeadersTooLarge
from craftnet.http.chunked_body import LINE_LIMIT, OVERHEAD_LIMIT, ChunkedBody


def read(*pieces: bytes) -> tuple[bytes, bytes | None]:
    """The body, and what follows it; None where it is not complete."""
    chunked, body = ChunkedBody(), b""
    for piece in pieces:
        if chunked.rest is None:
            body += chunked.feed(piece)
        else:
            chunked.rest += piece
    return body, chunked.rest


class ChunkTests(SynchronousTestCase):
    @settings(deadline=None, derandomize=True, max_examples=200)
    @given(st.lists(st.binary(min_size=1, max_size=40)), st.binary(max_size=20), st.lists(st.integers(0, 400)))
    def test_cut_anywhere(self, chunks: list[bytes], rest: bytes, cuts: list[int]) -> None:
        octets = b"".join(b"%X;a=b\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\nX: y\r\n\r\n" + rest
        edges = [0, *sorted(cuts), len(octets)]
        pieces = [octets[start:end] for start, end in pairwise(edges)]
        self.assertEqual(read(*pieces), (b"".join(chunks), rest))

    @settings(deadline=None, derandomize=True, max_examples=300)
    @given(st.lists(st.sampled_from([b"1", b"0", b"\r\n", b"\n", b";", b"a", b'"', b" ", b":", b"\x00"]), max_size=20))
    def test_anything(self, parts: list[bytes]) -> None:
        """It is refused, incomplete, or read to the same end however it is cut."""
        octets = b"".join(parts)
        try:
            found = read(octets)
        except BadRequest:
            return
        self.assertEqual(read(*(octets[at : at + 1] for at in range(len(octets)))), found)

    def test_body_comes_as_it_arrives(self) -> None:
        self.assertEqual(read(b"a\r\n1234"), (b"1234", None))

    def test_limits(self) -> None:
        self.assertRaises(HeadersTooLarge, read, b"1;" + b"a" * LINE_LIMIT)
        self.assertRaises(HeadersTooLarge, read, b"0\r\nX: " + b"a" * LINE_LIMIT + b"\r\n")
        self.assertRaises(HeadersTooLarge, read, b"1;aaaa\r\nx\r\n" * OVERHEAD_LIMIT)
