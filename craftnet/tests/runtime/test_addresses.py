"""Addresses to listen on and to announce."""

from __future__ import annotations

import contextlib  # not `suppress` itself: trial takes a module's `suppress` for its own setting.

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from craftnet.errors import ConfigurationError
from craftnet.runtime.addresses import HostPort, http_endpoint, is_loopback, parse_host_port, parse_public, udp_address

REASON = "the host is unknown"


class HostPortTests(SynchronousTestCase):
    def test_forms(self) -> None:
        for text, wanted in (
            ("8082", HostPort("", 8082)),
            ("0", HostPort("", 0)),
            ("127.0.0.1:8082", HostPort("127.0.0.1", 8082)),
            ("play.example:1", HostPort("play.example", 1)),
            ("[::1]:8082", HostPort("::1", 8082)),
        ):
            self.assertEqual(parse_host_port(text), wanted)

    def test_text(self) -> None:
        texts = [str(HostPort(host, 1)) for host in ("play.example", "::1", "")]
        self.assertEqual(texts, ["play.example:1", "[::1]:1", "*:1"])

    def test_refused(self) -> None:
        for text in ("", "x", "65536", "-1", "1:2:3", "::1:8082", "host:", "host:http", "٣"):
            self.assertRaises(ConfigurationError, parse_host_port, text)

    def test_public_needs_both(self) -> None:
        self.assertEqual(parse_public("play.example:8082"), HostPort("play.example", 8082))
        for text in ("8082", "play.example:0", ":8082"):
            self.assertRaises(ConfigurationError, parse_public, text)

    @settings(deadline=None, derandomize=True, max_examples=200)
    @given(st.text(max_size=20))
    def test_any_text(self, text: str) -> None:
        """An address or a ConfigurationError."""
        with contextlib.suppress(ConfigurationError):
            self.assertIn(parse_host_port(text).port, range(65536))

    def test_further(self) -> None:
        """Each worker has its own port; port 0 is any free one already."""
        self.assertEqual(HostPort("10.0.0.1", 8082) + 2, HostPort("10.0.0.1", 8084))
        self.assertEqual(HostPort("10.0.0.1", 0) + 2, HostPort("10.0.0.1", 0))


class LoopbackTests(SynchronousTestCase):
    def test_loopback(self) -> None:
        for host in ("127.0.0.1", "127.9.9.9", "::1", "localhost"):
            self.assertTrue(is_loopback(host), host)

    def test_not_loopback(self) -> None:
        for host in ("", "0.0.0.0", "::", "10.0.0.1", "localhost.example", "127.0.0.1.example"):
            self.assertFalse(is_loopback(host), host)


class HttpTests(SynchronousTestCase):
    def endpoint(self, option: str | None, port: str | None = None, *, loopback_only: bool = False) -> str:
        return http_endpoint(option, port, loopback_only=loopback_only, reason=REASON)

    def test_default(self) -> None:
        self.assertEqual(self.endpoint(None), "tcp:8080:backlog=4096")
        self.assertEqual(self.endpoint(None, "5000"), "tcp:5000:backlog=4096")

    def test_option_beats_the_environment(self) -> None:
        self.assertEqual(self.endpoint("tcp:1", "5000"), "tcp:1")

    def test_loopback_only(self) -> None:
        """The default becomes loopback; what names it, or a socket file, is taken."""
        self.assertEqual(self.endpoint(None, "5000", loopback_only=True), "tcp:5000:backlog=4096:interface=127.0.0.1")
        for option in ("tcp:1:interface=127.0.0.1", r"tcp6:1:interface=\:\:1", "unix:/tmp/x"):
            self.assertEqual(self.endpoint(option, loopback_only=True), option)

    def test_refused(self) -> None:
        """With the reason, and a way out."""
        for option in (
            "tcp:1",
            "tcp:1:interface=0.0.0.0",
            "tcp:1:interface=10.0.0.1",
            "ssl:1:privateKey=x",
            "systemd:x",
        ):
            error = self.assertRaises(ConfigurationError, self.endpoint, option, loopback_only=True)
            self.assertIn(REASON, str(error))
            self.assertIn("--auth", str(error))

    def test_bad_port(self) -> None:
        self.assertRaises(ConfigurationError, self.endpoint, None, "http")


class UdpTests(SynchronousTestCase):
    def address(self, option: str | None, *, loopback_only: bool = False) -> HostPort | None:
        return udp_address(option, loopback_only=loopback_only, reason=REASON)

    def test_forms(self) -> None:
        self.assertEqual(self.address(None), HostPort("", 8082))
        self.assertEqual(self.address("10.0.0.1:9"), HostPort("10.0.0.1", 9))
        self.assertIsNone(self.address("off"))

    def test_loopback_only(self) -> None:
        self.assertEqual(self.address(None, loopback_only=True), HostPort("127.0.0.1", 8082))
        self.assertEqual(self.address("[::1]:9", loopback_only=True), HostPort("::1", 9))
        error = self.assertRaises(ConfigurationError, self.address, "0.0.0.0:9", loopback_only=True)
        self.assertIn(REASON, str(error))
