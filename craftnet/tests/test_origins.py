"""Tests for `craftnet.access.origins`."""

from __future__ import annotations

import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from craftnet.access.origins import ANY, Origins
from craftnet.errors import ConfigurationError, Forbidden

LISTED = Origins(["https://Game.example", "http://localhost:3000/"])


class OriginsTests(SynchronousTestCase):
    def test_let_through(self) -> None:
        for origins, origin, host in (
            (Origins(), None, "craft.example"),
            (Origins(), "https://craft.example", "craft.example"),
            (Origins(), "https://CRAFT.example", "craft.example:443"),
            (Origins(), "http://craft.example:8080", "craft.example:8080"),
            (Origins(), "http://[::1]:8080", "[::1]:8080"),
            (LISTED, "https://game.example", "craft.example"),
            (LISTED, "https://game.example:443", "craft.example"),
            (LISTED, "http://localhost:3000", "craft.example"),
            (LISTED, "https://craft.example", "craft.example"),
            (Origins([ANY]), "https://evil.example", "craft.example"),
            (Origins(["null"]), "null", "craft.example"),
        ):
            origins.check(origin, host)

    def test_refused(self) -> None:
        for origins, origin, host in (
            (Origins(), "https://evil.example", "craft.example"),
            (Origins(), "https://craft.example.evil.example", "craft.example"),
            (Origins(), "https://craft.example:8443", "craft.example"),
            (Origins(), "https://craft.example@evil.example", "craft.example"),
            (Origins(), "null", "craft.example"),
            (Origins(), "", "craft.example"),
            (Origins(), "https://craft.example", None),
            (Origins(), "https://craft.example", "[craft.example"),
            (LISTED, "http://game.example", "craft.example"),
            (LISTED, "https://sub.game.example", "craft.example"),
        ):
            self.assertRaises(Forbidden, origins.check, origin, host)

    def test_nonsense_in_the_option(self) -> None:
        for origin in ("game.example", "https://", "https://game.example/path", "https://game.example:x"):
            self.assertRaisesRegex(ConfigurationError, "^--origin ", Origins, [origin])

    @settings(deadline=None, derandomize=True)
    @given(st.text(), st.text())
    def test_any_headers(self, origin: str, host: str) -> None:
        with contextlib.suppress(Forbidden):
            LISTED.check(origin, host)
