"""Tests for `craftnet.limits.client_address`."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from craftnet.errors import ConfigurationError
from craftnet.limits.client_address import Forwarding, Networks, ServerUrl, public_url

PROXY, CLIENT = "10.0.0.1", "203.0.113.9"
FORWARDING = Forwarding(Networks.parse("10.0.0.0/8", "--trusted-proxy"))


def server(peer: str = PROXY, secure: bool = False, /, **fields: str) -> ServerUrl:
    """How a client reaches this server; underscores in the names of `fields` are dashes."""
    named = {name.replace("_", "-"): value for name, value in fields.items()}
    return FORWARDING.server(peer, named.get, secure=secure)


class ServerTests(SynchronousTestCase):
    def test_without_a_proxy(self) -> None:
        """A client's own forwarded headers are ignored."""
        said = {"x_forwarded_proto": "https", "x_forwarded_host": "evil.example"}
        self.assertEqual(server(CLIENT, host="craft.example:8080", **said), ServerUrl("http", "craft.example", 8080))
        self.assertEqual(server(CLIENT, True, host="Craft.Example"), ServerUrl("https", "craft.example"))
        self.assertEqual(server(CLIENT, host="[2001:DB8::1]:8080"), ServerUrl("http", "2001:db8::1", 8080))
        self.assertEqual(server(CLIENT), ServerUrl("http", "localhost"))

    def test_what_a_proxy_says(self) -> None:
        for fields, url in (
            ({"x_forwarded_proto": "https"}, ServerUrl("https", "node1", 9001)),
            ({"x_forwarded_proto": "WSS"}, ServerUrl("https", "node1", 9001)),
            ({"x_forwarded_proto": "gopher"}, ServerUrl("http", "node1", 9001)),
            ({"x_forwarded_host": "craft.example"}, ServerUrl("http", "craft.example", stated=True)),
            ({"x_forwarded_host": "craft.example:8443"}, ServerUrl("http", "craft.example", 8443, stated=True)),
            ({"x_forwarded_host": "[1:2]"}, ServerUrl("http", "node1", 9001)),
            ({"x_forwarded_host": "a b"}, ServerUrl("http", "node1", 9001)),
            ({"x_forwarded_host": "craft.example:65536"}, ServerUrl("http", "node1", 9001)),
        ):
            self.assertEqual(server(host="node1:9001", **fields), url)

    def test_tls_behind_the_proxy_is_not_the_clients(self) -> None:
        self.assertEqual(server(PROXY, True, host="a", x_forwarded_proto="http").scheme, "http")

    def test_as_many_proxies_as_there_are(self) -> None:
        """Some append to the field; what stands further left than there are trusted proxies, the client wrote."""
        for forwarded, host, expected in (
            (CLIENT, "evil.example, craft.example", "craft.example"),
            (f"{CLIENT}, 10.0.0.2", "evil.example, craft.example, node1", "craft.example"),
            (f"{CLIENT}, 10.0.0.2", "craft.example", "craft.example"),
        ):
            self.assertEqual(server(x_forwarded_for=forwarded, x_forwarded_host=host, host="x").host, expected)

    def test_public_url_has_the_last_word(self) -> None:
        url = public_url("https://craft.example")
        forwarding = Forwarding(Networks.parse(PROXY, "--trusted-proxy"), url)
        fields = {"x-forwarded-host": "other.example", "host": "node1"}
        self.assertEqual(forwarding.server(PROXY, fields.get, secure=False), url)
        self.assertEqual(forwarding.client(PROXY, {"x-forwarded-for": CLIENT}.get), CLIENT)

    @settings(deadline=None, derandomize=True)
    @given(st.text(), st.text(), st.text(), st.text())
    def test_any_headers(self, host: str, proto: str, forwarded_host: str, forwarded_for: str) -> None:
        """The result is a URL in any case."""
        url = server(host=host, x_forwarded_proto=proto, x_forwarded_host=forwarded_host, x_forwarded_for=forwarded_for)
        self.assertIsNotNone(re.fullmatch(r"wss?://[A-Za-z0-9._~:\[\]-]+/health/ws", url.websocket("/health/ws", "")))


class UrlTests(SynchronousTestCase):
    def test_websocket(self) -> None:
        for url, expected in (
            (ServerUrl("http", "craft.example", 8080), "ws://craft.example:8080/v1/crafting-network/health/ws"),
            (ServerUrl("https", "::1"), "wss://[::1]/v1/crafting-network/health/ws"),
            (public_url("https://craft.example/"), "wss://craft.example/v1/crafting-network/health/ws"),
            (public_url("https://craft.example:8443/game/"), "wss://craft.example:8443/game/health/ws"),
        ):
            self.assertEqual(url.websocket("/v1/crafting-network/health/ws", "/health/ws"), expected)

    def test_what_is_no_public_url(self) -> None:
        for text in (
            "",
            "craft.example",
            "wss://craft.example",
            "https://",
            "https:///path",
            "https://user@craft.example",
            "https://craft.example?x=1",
            "https://craft.example/#x",
            "https://craft.example:0",
            "https://craft.example:x",
            "https://[1:2]",
            "https://[::1",
            "https://craft.example/a b",
            "https://b\u00fccher.example",
        ):
            self.assertRaisesRegex(ConfigurationError, "^--public-url ", public_url, text)
