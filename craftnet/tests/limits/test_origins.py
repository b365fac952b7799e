"""Tests for `craftnet.limits.origins`."""

from __future__ import annotations

import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from craftnet.errors import ConfigurationError, Forbidden
from craftnet.limits.origins import ANY_ORIGIN, Origins

LISTED = Origins(["https://Game.example", "http://localhost:3000/"])
WILD = Origins(["https://*.Game.example", "http://*.localhost:3000"])


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
            (Origins([ANY_ORIGIN]), "https://evil.example", "craft.example"),
            (Origins([ANY_ORIGIN]), "null", "craft.example"),
            (Origins([ANY_ORIGIN]), "no origin at all", None),
            (Origins(["null"]), "null", "craft.example"),
            (Origins(["NULL "]), "null", None),
            (Origins(["file://"]), "file://", "craft.example"),
            (Origins(["file:///"]), "file://", "craft.example"),
            (Origins(["capacitor://localhost"]), "capacitor://localhost", "craft.example"),
            (Origins(["app://"]), "app://", "craft.example"),
            (WILD, "https://shop.game.example", "craft.example"),
            (WILD, "https://a.b.game.example:443", "craft.example"),
            (WILD, "http://web.localhost:3000", "craft.example"),
            (Origins(["https://bücher.example"]), "https://xn--bcher-kva.example", "craft.example"),
            (Origins(["https://BÜCHER.example:8443/"]), "https://xn--bcher-kva.example:8443", "craft.example"),
            (Origins(["https://*.bücher.example"]), "https://a.xn--bcher-kva.example", "craft.example"),
            (Origins(["https://faß.example"]), "https://xn--fa-hia.example", "craft.example"),
            (Origins(["http://[0::1]:8080"]), "http://[::1]:8080", "craft.example"),
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
            (LISTED, "null", "craft.example"),
            (LISTED, "file://", "craft.example"),
            (LISTED, "https://game.example/", "craft.example"),
            (LISTED, "https://game.example:65536", "craft.example"),
            (LISTED, "https://game.example, https://game.example", "craft.example"),
            (Origins(["null"]), "file://", "craft.example"),
            (Origins(["file://"]), "null", "craft.example"),
            (WILD, "https://game.example", "craft.example"),
            (WILD, "https://evilgame.example", "craft.example"),
            (WILD, "http://shop.game.example", "craft.example"),
            (WILD, "https://shop.game.example:8443", "craft.example"),
            (WILD, "https://shop.game.example.evil.example", "craft.example"),
            (WILD, "https://*.game.example", "craft.example"),
            (Origins(), "https://*.game.example", "*.game.example"),
            (Origins(["https://bücher.example"]), "https://bucher.example", "craft.example"),
        ):
            self.assertRaises(Forbidden, origins.check, origin, host)

    def test_nonsense_in_the_option(self) -> None:
        for origin in (
            *("", "game.example", "https://", "https://game.example/path", "https://game.example:x", "https://:80"),
            *("https://game.example//", "https://game.example?", "https://game.example#a", "https://@game.example"),
            *("https://game.example:65536", "https://game.example:*", "https://[1:2]", "https://two words.example"),
            *("https://*", "https://*.example", "https://game.*", "https://g*e.example", "*://game.example"),
            *("*.game.example", "https://a.*.example", "ws://game.example", "wss://game.example"),
            *("https://a..bücher.example", "https://-ü.example", "https://bü cher.example", "file://:80"),
        ):
            self.assertRaisesRegex(ConfigurationError, "^--origin ", Origins, [origin])

    def test_what_the_option_should_have_been(self) -> None:
        self.assertRaisesRegex(ConfigurationError, "write https://game.example$", Origins, ["wss://game.example"])

    @settings(deadline=None, derandomize=True)
    @given(st.text())
    def test_any_option(self, origin: str) -> None:
        """It works, or is refused with the reason."""
        with contextlib.suppress(ConfigurationError):
            Origins([origin])

    @settings(deadline=None, derandomize=True)
    @given(st.text(), st.text())
    def test_any_headers(self, origin: str, host: str) -> None:
        with contextlib.suppress(Forbidden):
            LISTED.check(origin, host)
