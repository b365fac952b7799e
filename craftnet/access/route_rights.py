"""The right that each route asks of a token, for people who ask why it was refused. Pure.

The endpoints decide; `craftnet.tests.access.test_route_rights` holds this table against all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

from msgspec import Struct

from craftnet.access.authorization import (
    check_may_administer,
    check_may_observe,
    check_may_operate,
    check_may_publish,
    check_may_relay,
    check_owner,
)
from craftnet.access.principal import Principal
from craftnet.contract.identifiers import uuid_or_none
from craftnet.contract.routes import BasePaths
from craftnet.errors import ConfigurationError


class WantedRight(Struct, frozen=True):
    """A right that a request needs.

    Attributes:
        words: what it is, for people, such as "watch the sessions and queues of player …".
        check: raises Forbidden if a principal lacks the right; None: every valid token has it.
        session_id: the session whose owner decides, where only the server knows that.
        authority: whether the crafting authority has it for every session.
    """

    words: str
    check: Callable[[Principal], None] | None = None
    session_id: UUID | None = None
    authority: bool = False


PUBLISHING = WantedRight("publish events", check_may_publish)
ADMINISTERING = WantedRight("look at the server, watch its health, and revoke tokens", check_may_administer)
OPERATING = WantedRight("act through the admin API", check_may_operate)

FIXED: dict[tuple[str, ...], WantedRight] = {
    ("events",): PUBLISHING,
    ("revocations",): ADMINISTERING,
    ("ws", "admin"): ADMINISTERING,
    ("ws", "relay"): WantedRight("follow every session, as an edge does", check_may_relay),
    ("health", "ws"): ADMINISTERING,
    ("sse", "health"): ADMINISTERING,
}
"""Routes without ids."""


def of_player(player_id: UUID) -> WantedRight:
    """The right to observe a player."""
    return WantedRight(
        f"watch the sessions and queues of player {player_id}",
        lambda principal: check_may_observe(principal, player_id),
    )


def of_session(session_id: UUID, *, authority: bool = False) -> WantedRight:
    """The right to observe a session or to report about it."""
    return WantedRight(f"watch session {session_id}", None, session_id, authority)


def owned_by(wanted: WantedRight, owner: UUID) -> WantedRight:
    """The right of a session, once its owner is known."""

    def check(principal: Principal) -> None:
        allowed = principal.may_observe(owner) or (wanted.authority and principal.may_publish)
        check_owner(owner, None, allowed=allowed)

    return WantedRight(f"{wanted.words}, which is player {owner}'s", check)


def of_route(text: str, bases: BasePaths) -> WantedRight | None:
    """The right that a request needs; None where the route needs no token, or there is none.

    Arguments:
        text: the method and the target: `POST /events`, `/ws/queue/1111…`; GET where it names no method.

    Raises:
        ConfigurationError: it has another form, or an id in it is none.
    """
    method, _, target = text.strip().rpartition(" ")
    parts = urlsplit(target)
    if not parts.path.startswith("/") or not (method.isalpha() or not method):
        raise ConfigurationError(f"expected a method and a path, such as 'POST /events', got {text!r}")
    for route in bases.readings(tuple(parts.path.split("/")[1:])):
        wanted = _right(method.upper() or "GET", route, parse_qs(parts.query))
        if wanted is not None:
            return wanted
    return None


def _right(method: str, route: tuple[str, ...], query: dict[str, list[str]]) -> WantedRight | None:
    match route:
        case _ if route in FIXED:
            return FIXED[route]
        case ("admin", *_):
            return OPERATING if method == "POST" else ADMINISTERING
        case ("ws" | "sse", "crafting", session_id):
            wanted = of_session(_id(session_id))
            named = query.get("player_id")
            return wanted if named is None else owned_by(wanted, _id(named[0]))
        case ("ws" | "sse", "queue" | "player", player_id) | ("players", player_id, "sessions"):
            return of_player(_id(player_id))
        case ("demo", "players", player_id, *_):
            return of_player(_id(player_id))
        case ("udp", "sessions", session_id, "connect" | "progress" | "materials"):
            return of_session(_id(session_id), authority=True)
    return None


def _id(text: str) -> UUID:
    found = uuid_or_none(text)
    if found is None:
        raise ConfigurationError(f"{text!r} is not a UUID")
    return found
