"""Tests for `craftnet.http.static_pages`."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from craftnet.http.exchange import Call, Response
from craftnet.http.static_pages import POLICY, page_routes


class StaticPagesTests(SynchronousTestCase):
    """A page in a folder of the test's."""

    def setUp(self) -> None:
        """Write it."""
        folder = Path(self.mktemp())
        (folder / "pages/sample/assets").mkdir(parents=True)
        for name, text in {
            "index.html": "<!doctype html>" + "x" * 500,
            "assets/index-abc123.js": "let a;",
            "notes.txt": "secret",
        }.items():
            (folder / "pages/sample" / name).write_text(text)
        self.folder = folder / "pages"
        self.routes = page_routes("sample", self.folder)

    def get(self, path: str, **headers: str) -> Response:
        """The answer of a path."""
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        call: Any = Call("GET", path, fields)
        return self.successResultOf(Deferred.fromCoroutine(self.routes[path].answer(call)))

    def test_routes(self) -> None:
        """Those of its files of known types; the folder is its index."""
        self.assertEqual(set(self.routes), {"/sample", "/sample/", "/sample/assets/index-abc123.js"})
        self.assertEqual(page_routes("missing", self.folder), {})

    def test_slash(self) -> None:
        """Relative addresses need it, below every base path."""
        answer = self.get("/sample")
        self.assertEqual((answer.status, answer.headers["Location"]), (308, "/sample/"))

    def test_page(self) -> None:
        """Nothing inline or from elsewhere; asked for again each time, by its tag."""
        answer = self.get("/sample/")
        self.assertEqual((answer.status, answer.media_type), (200, "text/html; charset=utf-8"))
        self.assertEqual(answer.headers["Content-Security-Policy"], POLICY)
        self.assertNotRegex(POLICY, "unsafe|https?:|\\*")
        self.assertEqual(answer.headers["Cache-Control"], "no-cache")
        again = self.get("/sample/", if_none_match=answer.headers["ETag"])
        self.assertEqual((again.status, again.body), (304, b""))
        self.assertEqual(self.get("/sample/", if_none_match='"other"').status, 200)

    def test_gzip(self) -> None:
        """For those who accept it, with a tag of its own, and where it is shorter."""
        plain, packed = self.get("/sample/"), self.get("/sample/", accept_encoding="gzip")
        assert packed.body is not None
        self.assertEqual((gzip.decompress(packed.body), packed.headers["Content-Encoding"]), (plain.body, "gzip"))
        self.assertNotEqual(packed.headers["ETag"], plain.headers["ETag"])
        self.assertEqual(packed.headers["Vary"], "Accept-Encoding")
        self.assertNotIn("Content-Encoding", self.get("/sample/assets/index-abc123.js", accept_encoding="gzip").headers)

    def test_assets(self) -> None:
        """Their names change with their content: kept for ever."""
        answer = self.get("/sample/assets/index-abc123.js")
        self.assertEqual(answer.media_type, "text/javascript; charset=utf-8")
        self.assertIn("immutable", answer.headers["Cache-Control"])
