"""Why a token is accepted or refused, aspect by aspect, for people.

`JwtVerifier` decides; this looks at what it looks at, and says more than a client may learn. No text contains the
token, its signature, or a claim other than the registered ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum

from msgspec import Struct

from craftnet.access.auth_option import AuthSetup
from craftnet.access.development import ALGORITHM as DEVELOPMENT
from craftnet.access.development import SECRET_VARIABLE
from craftnet.access.jwt import ALGORITHMS, CLOCK_LEEWAY, JwtClaims, TokenParts, claims_of, is_signed_with, take_apart
from craftnet.access.principal import Principal
from craftnet.access.revocation.revocations import Revocation, Revocations
from craftnet.access.route_rights import WantedRight
from craftnet.access.verification_keys import VerificationKey
from craftnet.contract.identifiers import uuid_or_none
from craftnet.contract.messages import rfc3339
from craftnet.errors import Forbidden, Refusal, Unauthorized, Unavailable

RECENTLY = 600.0
"""Seconds after its expiry in which a clock that is wrong is as likely as a token that is old."""

LONGEST_TEXT = 80
"""Characters of a claim that are shown."""


class Judgement(StrEnum):
    """What one aspect means for the token."""

    OK = "ok"
    NOTE = "note"
    UNKNOWN = "unknown"
    REFUSED = "refused"


class TokenFinding(Struct, frozen=True, omit_defaults=True):
    """One aspect of a token.

    Attributes:
        aspect: "form", "key", "signature", "expiry", "start", "audience", "issuer", "player", "scopes", "revocation"
            or "right".
        text: what was found.
        remedy: what to do; empty where there is nothing to do.
    """

    aspect: str
    judgement: Judgement
    text: str
    remedy: str = ""


class TokenExamination(Struct, frozen=True):
    """All aspects, and what a server answers.

    Attributes:
        status: 200 for an accepted token, 401 for an invalid one, 403 where a right is missing, 503 if that cannot be
            decided.
        answer: the text of the server's answer; empty for 200.
    """

    status: int
    answer: str
    findings: list[TokenFinding]


async def examine(
    token: str, access: AuthSetup, now: float, wanted: Sequence[WantedRight], revoked: Sequence[Revocation] | str
) -> TokenExamination:
    """Examines a token as the server that `access` describes would.

    Arguments:
        now: Unix seconds.
        wanted: the rights to look for.
        revoked: the revocations in force; a text: why they are not known.
    """
    findings = await _about_token(token, access, now)
    try:
        principal = await access.authority.authenticate(token)
    except Refusal as refusal:  # Unauthorized or Unavailable.
        if not any(each.judgement in (Judgement.REFUSED, Judgement.UNKNOWN) for each in findings):
            findings.append(TokenFinding("form", Judgement.REFUSED, refusal.message))
        return TokenExamination(refusal.status, refusal.message, findings)
    revocation, covers = _revocation(principal, revoked, now)
    findings.append(revocation)
    refusals = list[str]()
    findings += [_right(principal, each, refusals) for each in wanted]
    if covers:
        return TokenExamination(401, "The token was revoked.", findings)
    if refusals:
        return TokenExamination(403, refusals[0], findings)
    if any(each.judgement is Judgement.UNKNOWN for each in findings):
        return TokenExamination(503, "", findings)
    return TokenExamination(200, "", findings)


async def _about_token(token: str, access: AuthSetup, now: float) -> list[TokenFinding]:
    """What the token itself and the keys show."""
    try:
        parts = take_apart(token)
    except Unauthorized as refusal:
        return [TokenFinding("form", Judgement.REFUSED, refusal.message, _form_remedy(token))]
    named = "names no key (kid)" if parts.key_id is None else f"names the key {_shown(parts.key_id)}"
    findings = [TokenFinding("form", Judgement.OK, f"a JWT, signed with {parts.algorithm}, that {named}")]
    keys = access.authority.keys
    try:
        key = await keys.find(parts.key_id, parts.algorithm)
    except Unavailable as error:
        text = keys.problem() or error.message
        findings.append(
            TokenFinding(
                "key", Judgement.UNKNOWN, text, "Fetch the URL from this machine: curl -v shows what goes wrong."
            )
        )
    else:
        findings.append(_key(parts, key, access))
        if key is not None:
            findings.append(_signature(parts, key))
    try:
        claims = claims_of(parts)
    except Unauthorized as refusal:
        remedy = "exp is required, a number of seconds; sub, jti and iss are texts, aud and scope texts or arrays."
        return [*findings, TokenFinding("form", Judgement.REFUSED, refusal.message, remedy)]
    return [*findings, *_about_claims(claims, access, now)]


def _about_claims(claims: JwtClaims, access: AuthSetup, now: float) -> Iterator[TokenFinding]:
    yield from _times(claims, now)
    wanted, found = access.authority.audience, ", ".join(map(_shown, claims.audiences)) or "none (no aud)"
    if wanted is not None:
        fits = wanted in claims.audiences
        yield _match("audience", fits, found, wanted, "aud")
    wanted, found = access.authority.issuer, "none (no iss)" if claims.iss is None else _shown(claims.iss)
    if wanted is not None:
        yield _match("issuer", claims.iss == wanted, found, wanted, "iss")
    if claims.sub is None:
        yield TokenFinding("player", Judgement.NOTE, "none (no sub): the token is a service's")
    elif uuid_or_none(claims.sub) is None:
        yield TokenFinding("player", Judgement.NOTE, f"none: sub is {_shown(claims.sub)}, and a player's is a UUID")
    else:
        yield TokenFinding("player", Judgement.OK, claims.sub)
    scopes = ", ".join(map(_shown, sorted(claims.scopes)))
    yield TokenFinding("scopes", Judgement.OK, scopes or "none: it allows what a player may do")


def _match(aspect: str, fits: bool, found: str, wanted: str, claim: str) -> TokenFinding:
    if fits:
        return TokenFinding(aspect, Judgement.OK, wanted)
    text = f"the token's is {found}, and this server wants {wanted}"
    remedy = f"Ask the token of the right service or environment, or correct :{claim}= in --auth."
    return TokenFinding(aspect, Judgement.REFUSED, text, remedy)


def _times(claims: JwtClaims, now: float) -> Iterator[TokenFinding]:
    clock = f"the clock of this machine says {rfc3339(now)}"
    left = claims.exp - now
    if left > 0:
        yield TokenFinding("expiry", Judgement.OK, f"in {spoken(left)}, at {_time(claims.exp)}")
    else:
        remedy = "Ask the login service for a new token."
        if -left <= RECENTLY:
            remedy += " If it has just made this one, one of the clocks is wrong: timedatectl shows this machine's."
        text = f"expired {spoken(-left)} ago, at {_time(claims.exp)}; {clock}"
        yield TokenFinding("expiry", Judgement.REFUSED, text, remedy)
    early, claim = claims.starts - now, "nbf" if (claims.nbf or 0.0) >= (claims.iat or 0.0) else "iat"
    if early > CLOCK_LEEWAY:
        yield TokenFinding(
            "start",
            Judgement.REFUSED,
            f"valid in {spoken(early)} only, from {_time(claims.starts)} ({claim}); {clock}, and {CLOCK_LEEWAY:g} "
            "seconds are tolerated",
            "Wait, or compare the clocks of the login service and of this machine: timedatectl shows this one's.",
        )
    elif claims.starts:
        ahead = f"{spoken(-early)} ago" if early <= 0 else f"{spoken(early)} ahead, which is tolerated"
        yield TokenFinding("start", Judgement.OK, f"{ahead}, at {_time(claims.starts)} ({claim})")


def _key(token: TokenParts, key: VerificationKey | None, access: AuthSetup) -> TokenFinding:
    """Whether one of the server's keys is the token's."""
    if key is not None:
        named = access.description if key.key_id is None else f"{_described([key])}; {access.description}"
        return TokenFinding("key", Judgement.OK, named)
    known = access.authority.keys.known()
    if access.secret is not None:
        text = f"this server takes development tokens only, signed with {DEVELOPMENT} and {SECRET_VARIABLE}"
        return TokenFinding("key", Judgement.REFUSED, text, "Name the login service's keys with --auth.")
    if token.algorithm == DEVELOPMENT:
        text = f"{DEVELOPMENT} is for development tokens, which a server with --auth refuses"
        return TokenFinding("key", Judgement.REFUSED, text, "Ask the login service for a token.")
    text = f"the server has {_described(known)}, and none of them fits"
    if token.key_id is None:
        several = sum(each.algorithm == token.algorithm for each in known) > 1
        text += f": the token does not say which of the {token.algorithm} keys it is signed with" * several
        remedy = "The login service must name the key in the token's header (kid)."
        return TokenFinding("key", Judgement.REFUSED, text, remedy if several else _WRONG_KEYS)
    for each in known:
        if each.key_id == token.key_id:
            text += f": the key of this name is for {each.algorithm}, the token is signed with {token.algorithm}"
    if [each.key_id for each in known if each.algorithm == token.algorithm] == [None]:
        return TokenFinding("key", Judgement.REFUSED, text, "Add :kid=optional to --auth: the set's key has no name.")
    return TokenFinding("key", Judgement.REFUSED, text, _WRONG_KEYS)


_WRONG_KEYS = (
    "The token is of another login service or environment, or its key was withdrawn; or --auth names the wrong keys."
)


def _signature(token: TokenParts, key: VerificationKey) -> TokenFinding:
    if is_signed_with(token, key):
        return TokenFinding("signature", Judgement.OK, "valid")
    text = "invalid: another key signed the token, or it was changed or cut off afterwards"
    remedy = _WRONG_KEYS if key.algorithm != DEVELOPMENT else f"Use the same {SECRET_VARIABLE} here and at the server."
    return TokenFinding("signature", Judgement.REFUSED, text, remedy)


def _revocation(principal: Principal, revoked: Sequence[Revocation] | str, now: float) -> tuple[TokenFinding, bool]:
    """Whether the token is revoked, as far as that is known, and whether that is certain."""
    if isinstance(revoked, str):
        judgement = Judgement.UNKNOWN if revoked.startswith("not known now") else Judgement.NOTE
        return TokenFinding("revocation", judgement, revoked), False
    in_force = Revocations()
    for each in revoked:
        in_force.add(each, now)
    if not in_force.covers(principal):
        return TokenFinding("revocation", Judgement.OK, f"not revoked ({len(in_force)} are in force)"), False
    text = "the token was revoked, alone or with all tokens of its player that were issued by then"
    return TokenFinding("revocation", Judgement.REFUSED, text, "The player has to sign in again."), True


def _right(principal: Principal, wanted: WantedRight, refusals: list[str]) -> TokenFinding:
    """Whether it has a right; the server's answer is appended to `refusals` where it has not."""
    if wanted.check is None:
        if wanted.session_id is None or principal.may_administer or (wanted.authority and principal.may_publish):
            return TokenFinding("right", Judgement.OK, f"it may {wanted.words}")
        text = f"it may {wanted.words} only if that is the player's own, which only the server knows"
        return TokenFinding("right", Judgement.NOTE, text, "Name the owner with --player.")
    try:
        wanted.check(principal)
    except Forbidden as refusal:
        refusals.append(refusal.message)
        text = f"it may not {wanted.words}: {refusal.message}"
        return TokenFinding(
            "right", Judgement.REFUSED, text, "Ask the login service for a token of that player, or with that scope."
        )
    return TokenFinding("right", Judgement.OK, f"it may {wanted.words}")


def _form_remedy(token: str) -> str:
    """What is probably wrong with a text that is no acceptable JWT."""
    dots = token.count(".")
    if dots == 4:
        return "Five parts are an encrypted token (JWE), which no server can check by a public key."
    if dots != 2:
        return f"A JWT has three parts with dots between them, this text has {dots + 1}: it may be cut off."
    return f"Accepted algorithms are {', '.join(ALGORITHMS)}; the parts are base64url, and the header has no crit."


def spoken(seconds: float) -> str:
    """A duration for people: the two largest of its units."""
    if seconds > 100 * 365 * 86_400.0:
        return "more than 100 years"
    rest, words = max(0, round(seconds)), list[str]()
    for name, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        number, rest = divmod(rest, size)
        if number or words or name == "s":
            words.append(f"{number} {name}")
        if len(words) == 2:
            break
    return " ".join(word for word in words if not word.startswith("0 ")) or "0 s"


def _time(moment: float) -> str:
    try:
        return rfc3339(moment)
    except (ValueError, OverflowError, OSError):
        return f"{moment:g}"


def _described(keys: Iterable[VerificationKey]) -> str:
    words = [
        f"{'a key without a name' if each.key_id is None else _shown(each.key_id)} ({each.algorithm})" for each in keys
    ]
    return ", ".join(words) or "no key"


def _shown(text: str) -> str:
    """A text of the token, on one line."""
    return repr(text[:LONGEST_TEXT])
