"""Tests for `craftnet.access.revocation.revocations.revocations`."""

from __future__ import annotations

from uuid import UUID

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from craftnet.access.principal import Principal
from craftnet.access.revocation.enforcement import RevocationCheckingVerifier
from craftnet.access.revocation.revocations import Revocation, Revocations
from craftnet.errors import TooManyRequests, Unauthorized, Unavailable
from craftnet.interfaces import ITokenVerifier
from craftnet.tests.support.fakes import TableAuthority
from craftnet.tests.support.samples import NOW, OTHER_PLAYER, PLAYER

LATER = NOW + 1000


def bearer(token_id: str | None = None, issued: float | None = NOW, player: object = PLAYER) -> Principal:
    """Whose token it is."""
    return Principal(player, frozenset(), LATER, token_id, issued)  # type: ignore[arg-type]  # samples are UUIDs.


def revocation(token_id: str | None, player_id: UUID | None, until: float, issued: float) -> Revocation:
    """In the order in which a request has it."""
    return Revocation(token_id, player_id, issued, until)


class RevocationsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.revocations = Revocations(capacity=3)

    def test_a_token(self) -> None:
        self.revocations.add(revocation("t-1", None, LATER, NOW), NOW)
        self.assertTrue(self.revocations.covers(bearer("t-1")))
        self.assertFalse(self.revocations.covers(bearer("t-2")))
        self.assertFalse(self.revocations.covers(bearer(None)))

    def test_a_player_until_the_next_login(self) -> None:
        """Tokens that do not say when they were issued may be old ones."""
        self.revocations.add(revocation(None, PLAYER, LATER, NOW), NOW)
        covered = [self.revocations.covers(bearer(issued=issued)) for issued in (NOW - 60, NOW, None, NOW + 1)]
        self.assertEqual(covered, [True, True, True, False])
        self.assertFalse(self.revocations.covers(bearer(player=OTHER_PLAYER)))
        self.assertFalse(self.revocations.covers(bearer(player=None)))

    def test_again(self) -> None:
        """Only ever more is revoked."""
        self.revocations.add(revocation("t-1", PLAYER, LATER, NOW), NOW)
        self.revocations.add(revocation("t-1", PLAYER, NOW + 1, NOW + 10), NOW + 10)
        self.revocations.add(revocation("t-2", None, LATER, NOW + 20), NOW + 20)
        self.assertTrue(self.revocations.covers(bearer("t-1", NOW + 20)))
        self.assertTrue(self.revocations.covers(bearer(issued=NOW + 10)))
        self.assertEqual(len(self.revocations), 3)

    def test_news(self) -> None:
        """A revocation that adds nothing is not new; one that ended is not in force."""
        first = revocation("t-1", PLAYER, LATER, NOW)
        said = [
            self.revocations.add(one, NOW)
            for one in (
                first,
                first,
                revocation("t-1", None, LATER - 1, NOW + 5),
                revocation(None, PLAYER, LATER - 1, NOW - 5),
                revocation("t-1", None, LATER + 1, NOW),
                revocation(None, PLAYER, LATER - 1, NOW + 5),
                revocation("t-2", None, NOW + 1, NOW),
            )
        ]
        self.assertEqual(said, [True, False, False, False, True, True, True])
        self.assertEqual(
            self.revocations.in_force(NOW + 2),
            [Revocation("t-1", None, 0.0, LATER + 1), Revocation(None, PLAYER, NOW + 5, LATER)],
        )

    def test_bounded(self) -> None:
        """Only expired entries make room."""
        for number in range(3):
            self.revocations.add(revocation(f"t-{number}", None, NOW + 10 * (number + 1), NOW), NOW)
        fourth = revocation("t-3", None, LATER, NOW)
        error = self.assertRaises(TooManyRequests, self.revocations.add, fourth, NOW)
        self.assertEqual(error.headers["Retry-After"], "10")
        self.assertTrue(all(self.revocations.covers(bearer(f"t-{number}")) for number in range(3)))
        self.revocations.add(revocation("t-3", None, LATER, NOW + 10), NOW + 10)
        self.assertFalse(self.revocations.covers(bearer("t-0")))
        self.assertTrue(self.revocations.covers(bearer("t-3")))


class AuthorityTests(SynchronousTestCase):
    def test_new_requests(self) -> None:
        revocations = Revocations()
        authority = RevocationCheckingVerifier(TableAuthority({"good": bearer("t-1")}), revocations)
        verifyObject(ITokenVerifier, authority)
        self.assertEqual(self.successResultOf(authority.authenticate("good")), bearer("t-1"))
        revocations.add(revocation("t-1", None, LATER, NOW), NOW)
        failure = self.failureResultOf(authority.authenticate("good"), Unauthorized)
        self.assertIn("revoked", failure.getErrorMessage())
        self.failureResultOf(authority.authenticate("bad"), Unauthorized)

    def test_no_token_is_accepted_before_the_list_is_known(self) -> None:
        revocations, asked = Revocations(), list[Deferred[None]]()

        def loaded() -> Deferred[None]:
            asked.append(Deferred())
            return asked[-1]

        authority = RevocationCheckingVerifier(TableAuthority({"good": bearer("t-1")}), revocations, loaded)
        first, second, third = (authority.authenticate("good") for _ in range(3))
        self.assertNoResult(first)
        asked[0].errback(Unavailable("not now"))
        self.failureResultOf(first, Unavailable)
        asked[1].callback(None)
        self.assertEqual(self.successResultOf(second), bearer("t-1"))
        revocations.add(revocation("t-1", None, LATER, NOW), NOW)
        asked[2].callback(None)
        self.failureResultOf(third, Unauthorized)
        self.failureResultOf(authority.authenticate("good"), Unauthorized)
        self.assertEqual(len(asked), 3)
