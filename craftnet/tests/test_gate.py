"""Tests for `craftnet.access.gate`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from craftnet.access.gate import Gate
from craftnet.access.limits import Limits
from craftnet.access.networks import Networks
from craftnet.access.origins import Origins
from craftnet.errors import Forbidden, TooManyRequests
from craftnet.tests.samples import NOW

PROXY, CLIENT = "10.0.0.1", "203.0.113.9"
HOST = {"host": "craft.example"}


class GateTests(SynchronousTestCase):
    def gate(self, **limits: float) -> Gate:
        return Gate(Limits(**limits), Origins(), Networks.parse(PROXY, "--trusted-proxy"))  # type: ignore[arg-type]

    def test_rate_of_an_address(self) -> None:
        """Its burst, then its rate; others are not concerned."""
        gate = self.gate(handshakes=0.5)
        for _ in range(2):
            gate.enter(CLIENT, HOST, NOW)
        error = self.assertRaises(TooManyRequests, gate.enter, CLIENT, HOST, NOW)
        self.assertEqual((error.headers["Retry-After"], error.headers["X-RateLimit-Limit"]), ("2", "2"))
        gate.enter("203.0.113.10", HOST, NOW)
        gate.enter(CLIENT, HOST, NOW + 2)

    def test_clients_of_a_proxy_are_told_apart(self) -> None:
        gate = self.gate(per_address=1)
        gate.enter(PROXY, {**HOST, "x-forwarded-for": CLIENT}, NOW)
        gate.enter(PROXY, {**HOST, "x-forwarded-for": "203.0.113.10"}, NOW)
        with self.assertRaises(TooManyRequests):
            gate.enter(PROXY, {**HOST, "x-forwarded-for": CLIENT}, NOW)

    def test_others_cannot_pretend(self) -> None:
        gate = self.gate(per_address=1)
        gate.enter(CLIENT, {**HOST, "x-forwarded-for": "198.51.100.1"}, NOW)
        with self.assertRaises(TooManyRequests):
            gate.enter(CLIENT, {**HOST, "x-forwarded-for": "198.51.100.2"}, NOW)

    def test_loopback_is_not_limited_by_address(self) -> None:
        gate = self.gate(per_address=1, handshakes=0.1, connections=20)
        places = [gate.enter("127.0.0.1", HOST, NOW) for _ in range(20)]
        self.assertRaises(TooManyRequests, gate.enter, "127.0.0.1", HOST, NOW)
        gate.leave(places[0])
        gate.enter("::1", HOST, NOW)

    def test_zero_rate_is_no_limit(self) -> None:
        gate = self.gate(handshakes=0, per_address=0)
        for _ in range(1000):
            gate.enter(CLIENT, HOST, NOW)

    def test_page_of_another_site_takes_nothing(self) -> None:
        gate = self.gate(handshakes=0.25)
        with self.assertRaises(Forbidden):
            gate.enter(CLIENT, {**HOST, "origin": "https://evil.example"}, NOW)
        gate.enter(CLIENT, HOST, NOW)
