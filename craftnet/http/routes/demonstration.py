"""`/demo`: the player's view of a simulated authority, and its requests to that authority; the player's sessions."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from craftnet.access.authorization import Authorization, check_may_observe
from craftnet.access.principal import Principal
from craftnet.contract.http_bodies import PlayerCrafts, PlayerSessions, QueueJump
from craftnet.errors import NotFound
from craftnet.http.exchange import Call, Endpoint, GuardedEndpoint, Response, json_response
from craftnet.http.operations import Answer, ApiOperation, Tag, by_method
from craftnet.http.static_pages import page_routes
from craftnet.providers.inspection import IDemonstration


class _OfAPlayer(GuardedEndpoint[UUID]):
    """A route below `/demo/players/{player_id}`."""

    def __init__(self, admission: Authorization, showcase: IDemonstration) -> None:
        super().__init__(admission)
        self._showcase = showcase

    def read(self, call: Call) -> UUID:
        """Parses the player's id."""
        return call.identifier("player_id")


class DemonstrationCrafts(_OfAPlayer):
    """`/demo/players/{player_id}`: recipes and materials by name, which a real game has itself."""

    operations = by_method(
        GET=ApiOperation(
            "demonstrationCrafts",
            "The present craft and queue of a simulated player",
            Tag.FEEDS,
            {200: Answer("The crafts.", PlayerCrafts)},
            "With `--backend workshop`, for the page `/demo/`.",
        )
    )

    async def decide(self, call: Call, principal: Principal, asked: UUID) -> Response:
        """The player's present craft and queue."""
        check_may_observe(principal, asked)
        return json_response(PlayerCrafts(crafts=tuple(self._showcase.describe(asked))))


class DemonstrationJump(_OfAPlayer):
    """`/demo/players/{player_id}/jump`: craftnet itself lets players change nothing, so this asks the authority."""

    methods = ("POST",)
    operations = by_method(
        POST=ApiOperation(
            "demonstrationJump",
            "Asks the simulated authority for the first place in a queue",
            Tag.FEEDS,
            {200: Answer("What it decided.", QueueJump)},
            "With `--backend workshop`, for the page `/demo/`: craftnet itself lets players change nothing.",
        )
    )

    async def decide(self, call: Call, principal: Principal, asked: UUID) -> Response:
        """Whether the player moves to the front."""
        check_may_observe(principal, asked)
        return json_response(QueueJump(jumped=self._showcase.jump_queue(asked)))


class SessionsUnderWay(GuardedEndpoint[UUID]):
    """`/players/{player_id}/sessions`

    Arguments:
        showcase: lists them; None where the back end cannot.
    """

    operations = by_method(
        GET=ApiOperation(
            "playerSessions",
            "A player's sessions under way",
            Tag.FEEDS,
            {200: Answer("The sessions.", PlayerSessions)},
            "404 where the back end does not list sessions by player.",
        )
    )

    def __init__(self, admission: Authorization, showcase: IDemonstration | None) -> None:
        super().__init__(admission)
        self._showcase = showcase

    def read(self, call: Call) -> UUID:
        """Parses the player's id."""
        return call.identifier("player_id")

    async def decide(self, call: Call, principal: Principal, asked: UUID) -> Response:
        """Lists the player's current sessions."""
        if self._showcase is None:
            raise NotFound("The back end of this server does not list sessions by player: name a session.")
        check_may_observe(principal, asked)
        return json_response(PlayerSessions(sessions=tuple(self._showcase.under_way(asked))))


def demonstration_routes(admission: Authorization, showcase: IDemonstration | None) -> Mapping[str, Endpoint]:
    """The endpoints for the page's requests; none without a simulated authority."""
    if showcase is None:
        return {}
    return {
        "/demo/players/{player_id}": DemonstrationCrafts(admission, showcase),
        "/demo/players/{player_id}/jump": DemonstrationJump(admission, showcase),
    }


def demonstration_pages(showcase: IDemonstration | None) -> Mapping[str, Endpoint]:
    """The page `/demo/`; none without a simulated authority."""
    return {} if showcase is None else page_routes("demo")
