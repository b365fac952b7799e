"""Tests for `craftnet.http.routes.home`."""

from __future__ import annotations

import base64
import re
from hashlib import sha256

from craftnet import __version__
from craftnet.contract.routes import BASE_PATHS
from craftnet.tests.support.site_case import SiteTestCase


class HomeTests(SiteTestCase):
    def test_page(self) -> None:
        """For browsers, and for clients that do not prefer JSON; it uses no external resource."""
        for accept in (b"", b"Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\n", b"Accept: */*\r\n"):
            for path in ("/", BASE_PATHS[1], "/crafting/"):
                answer = self.ask(path, fields=accept)
                self.assertEqual((answer.status, answer.fields["content-type"]), (200, "text/html; charset=utf-8"))
                self.assertIn(f'href="{path.rstrip("/")}/health"'.encode(), answer.body)
        self.assertIn("default-src 'none'", answer.fields["content-security-policy"])
        self.assertNotRegex(answer.body.decode(), "src=|https?://|<script")

    def test_style_is_allowed(self) -> None:
        """By its hash, and nothing else is."""
        answer = self.ask("/")
        found = re.search(b"<style>(.*?)</style>", answer.body)
        assert found is not None
        digest = base64.b64encode(sha256(found[1]).digest()).decode()
        self.assertIn(f"style-src 'sha256-{digest}'", answer.fields["content-security-policy"])

    def test_json(self) -> None:
        answer = self.ask("/", fields=b"Accept: application/json\r\n")
        self.assertEqual((answer.json["name"], answer.json["version"]), ("craftnet", __version__))
        self.assertEqual(answer.json["links"]["health"], "/health")
        self.assertEqual(answer.fields["vary"], "Accept")
        self.assertNotIn("demo", answer.json["links"], "there is none without a simulated authority")
