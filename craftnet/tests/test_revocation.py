"""Tests for `craftnet.access.revocation`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from craftnet.access.principal import Principal
from craftnet.access.revocation import RevocableAuthority, Revocations
from craftnet.errors import TooManyRequests, Unauthorized
from craftnet.interfaces import IAuthority
from craftnet.tests.fakes import TableAuthority
from craftnet.tests.samples import NOW, OTHER_PLAYER, PLAYER

LATER = NOW + 1000


def bearer(token_id: str | None = None, issued: float | None = NOW, player: object = PLAYER) -> Principal:
    """Whose token it is."""
    return Principal(player, frozenset(), LATER, token_id, issued)  # type: ignore[arg-type]  # samples are UUIDs.


class RevocationsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.revocations = Revocations(capacity=3)

    def test_a_token(self) -> None:
        self.revocations.revoke("t-1", None, LATER, NOW)
        self.assertTrue(self.revocations.covers(bearer("t-1")))
        self.assertFalse(self.revocations.covers(bearer("t-2")))
        self.assertFalse(self.revocations.covers(bearer(None)))

    def test_a_player_until_the_next_login(self) -> None:
        """Tokens that do not say when they were issued may be old ones."""
        self.revocations.revoke(None, PLAYER, LATER, NOW)
        covered = [self.revocations.covers(bearer(issued=issued)) for issued in (NOW - 60, NOW, None, NOW + 1)]
        self.assertEqual(covered, [True, True, True, False])
        self.assertFalse(self.revocations.covers(bearer(player=OTHER_PLAYER)))
        self.assertFalse(self.revocations.covers(bearer(player=None)))

    def test_again(self) -> None:
        """Only ever more is revoked."""
        self.revocations.revoke("t-1", PLAYER, LATER, NOW)
        self.revocations.revoke("t-1", PLAYER, NOW + 1, NOW + 10)
        self.revocations.revoke("t-2", None, LATER, NOW + 20)
        self.assertTrue(self.revocations.covers(bearer("t-1", NOW + 20)))
        self.assertTrue(self.revocations.covers(bearer(issued=NOW + 10)))
        self.assertEqual(len(self.revocations), 3)

    def test_bounded(self) -> None:
        """What would have expired makes room; nothing else does."""
        for number in range(3):
            self.revocations.revoke(f"t-{number}", None, NOW + 10 * (number + 1), NOW)
        error = self.assertRaises(TooManyRequests, self.revocations.revoke, "t-3", None, LATER, NOW)
        self.assertEqual(error.headers["Retry-After"], "10")
        self.assertTrue(all(self.revocations.covers(bearer(f"t-{number}")) for number in range(3)))
        self.revocations.revoke("t-3", None, LATER, NOW + 10)
        self.assertFalse(self.revocations.covers(bearer("t-0")))
        self.assertTrue(self.revocations.covers(bearer("t-3")))


class AuthorityTests(SynchronousTestCase):
    def test_new_requests(self) -> None:
        revocations = Revocations()
        authority = RevocableAuthority(TableAuthority({"good": bearer("t-1")}), revocations)
        verifyObject(IAuthority, authority)
        self.assertEqual(self.successResultOf(authority.authenticate("good")), bearer("t-1"))
        revocations.revoke("t-1", None, LATER, NOW)
        failure = self.failureResultOf(authority.authenticate("good"), Unauthorized)
        self.assertIn("revoked", failure.getErrorMessage())
        self.failureResultOf(authority.authenticate("bad"), Unauthorized)
