from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from craftnet.errors import BadDatagram
from craftnet.protocols.udp.core.cookie import COOKIE_CLOCK_SKEW, COOKIE_LIFETIME, Address, CookieFactory
from craftnet.protocols.wire.records import Cookie
from craftnet.tests.support.samples import NOW

ADDRESS: Address = ("2001:db8::1", 4000)
CLIENT_NONCE = b"c" * 16


class CookieTests(SynchronousTestCase):
    """A cookie holds for one address, one handshake, a short time."""

    def setUp(self) -> None:
        self.cookies = CookieFactory(bytes(32))
        self.cookie = self.cookies.make(ADDRESS, 7, CLIENT_NONCE, b"s" * 16, NOW)

    def _check(
        self,
        cookie: Cookie,
        *,
        address: Address = ADDRESS,
        connection_id: int = 7,
        client_nonce: bytes = CLIENT_NONCE,
        now: float = NOW,
    ) -> str:
        try:
            self.cookies.verify(cookie, address, connection_id, client_nonce, now)
        except BadDatagram as error:
            return error.outcome
        return "holds"

    def test_it_holds_until_it_expires(self) -> None:
        self.assertEqual(self._check(self.cookie), "holds")
        self.assertEqual(self._check(self.cookie, now=NOW + COOKIE_LIFETIME), "holds")
        self.assertEqual(self._check(self.cookie, now=NOW + COOKIE_LIFETIME + 0.1), "cookie_expired")
        self.assertEqual(self._check(self.cookie, now=NOW - COOKIE_CLOCK_SKEW - 0.1), "cookie_expired")

    def test_nothing_in_it_may_differ(self) -> None:
        cookie = self.cookie
        self.assertEqual(self._check(cookie, address=("2001:db8::1", 4001)), "cookie_wrong")
        self.assertEqual(self._check(cookie, address=("2001:db8::2", 4000)), "cookie_wrong")
        self.assertEqual(self._check(cookie, connection_id=8), "cookie_wrong")
        self.assertEqual(self._check(cookie, client_nonce=b"d" * 16), "cookie_wrong")
        younger = Cookie(cookie.issued_us + 1, cookie.server_nonce, cookie.seal)
        self.assertEqual(self._check(younger), "cookie_wrong")
        self.assertEqual(self._check(Cookie(cookie.issued_us, b"t" * 16, cookie.seal)), "cookie_wrong")

    def test_another_server_does_not_take_it(self) -> None:
        self.cookies = CookieFactory(b"x" * 32)
        self.assertEqual(self._check(self.cookie), "cookie_wrong")
