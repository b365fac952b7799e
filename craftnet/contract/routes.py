"""Base paths and the targets of WebSocket routes. Pure: path and query in, value out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from functools import partial
from uuid import UUID

from msgspec import Struct

from craftnet.contract.devices import device_name
from craftnet.contract.identifiers import parse_uuid
from craftnet.contract.messages import Service
from craftnet.contract.position import Position, parse_position
from craftnet.errors import BadRequest, ConfigurationError, NotFound

BASE_PATHS = ("", "/api/v1/crafting-network", "/v1/crafting-network")
"""Every route is served at the root and under these paths, whatever the options."""

Query = Mapping[str, Sequence[str]]
"""Every value of every query parameter."""

HEARTBEATS = (5, 300)
"""The shortest and the longest heartbeat interval that a client may request, seconds."""

ADMIN_FEED = ("ws", "admin")
"""The segments of the admin feed's route."""

RELAY_FEED = ("ws", "relay")
"""The segments of the route by which an edge follows its core."""

MAX_RESUMED = 64
"""Positions that a returning subscriber of a player may name."""

_SECONDS = re.compile(r"[0-9]{1,3}")
_BASE_PATH = re.compile(r"(?:/[A-Za-z0-9._~-]+)+")


class BasePaths:
    """The base paths that may precede every route.

    Arguments:
        more: base paths besides `BASE_PATHS`, as operators write them: ``/crafting``, with or without a trailing slash.

    Attributes:
        paths: all of them, without a trailing slash; "" for the root.

    Raises:
        ConfigurationError: one of them is not a path of plain segments.
    """

    def __init__(self, more: Iterable[str] = ()) -> None:
        paths = dict.fromkeys((*BASE_PATHS, *map(_base_path, more)))
        self.paths = tuple(paths)
        self._bases = [tuple(path.split("/")[1:]) for path in paths]

    def under_each(self, route: tuple[str, ...]) -> list[tuple[str, ...]]:
        """The paths of a route: its segments after each base path."""
        return [base + route for base in self._bases]

    def readings(self, segments: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        """The possible meanings of a path: its segments after each matching base path, the shortest base path first."""
        for base in self._bases:
            if segments[: len(base)] == base:
                yield segments[len(base) :]


def _base_path(text: str) -> str:
    path = text.removesuffix("/")
    if not _BASE_PATH.fullmatch(path) or {".", ".."} & set(path.split("/")):
        raise ConfigurationError(
            f"--prefix {text}: it takes a path of letters, digits, '.', '_', '~' and '-', such as /crafting"
        )
    return path


class CraftingTarget(Struct, frozen=True):
    """`/ws/crafting/{session_id}?player_id=…`, with `&resume=…` for a returning subscriber.

    Attributes:
        heartbeat: as of every target: seconds of silence after which the client expects a heartbeat; 0: never.
        expected: the client extrapolates by `expected_seconds_p50`, where messages have it.
    """

    session_id: UUID
    player_id: UUID
    resume: Position | None = None
    heartbeat: int = 0
    expected: bool = False


class QueueTarget(Struct, frozen=True):
    """`/ws/queue/{player_id}`, with `?resume=…` for a returning watcher.

    Attributes:
        device: the name of the client's device, as `device_name` returns it; None: it registers none.
    """

    player_id: UUID
    resume: Position | None = None
    heartbeat: int = 0
    device: str | None = None


class PlayerTarget(Struct, frozen=True):
    """`/ws/player/{player_id}`, with `?resume=…` for the queue and for each session of a returning subscriber.

    Attributes:
        resume: positions, by session; None stands for the queue.
        device: as in `QueueTarget`.
        expected: as in `CraftingTarget`.
    """

    player_id: UUID
    resume: Mapping[UUID | None, Position] = {}
    heartbeat: int = 0
    device: str | None = None
    expected: bool = False


class HealthTarget(Struct, frozen=True):
    """`/health/ws?services=…`"""

    services: frozenset[Service]
    heartbeat: int = 0


class AdminTarget(Struct, frozen=True):
    """`/ws/admin`"""

    heartbeat: int = 0


class RelayTarget(Struct, frozen=True):
    """`/ws/relay`"""

    heartbeat: int = 0


Target = CraftingTarget | QueueTarget | PlayerTarget | HealthTarget | AdminTarget | RelayTarget


class FeedRoutes(Enum):
    """Which feeds a port has."""

    PLAYERS = "those of players, and of health"
    ADMIN = "that of administrators"
    ALL = "all of them"


WEBSOCKET, EVENT_STREAM = "ws", "sse"
"""The first segment of the routes of feeds, by transport. (The health feed's WebSocket route is an exception.)"""


def find_feed(path: str, bases: BasePaths, transport: str = WEBSOCKET) -> Callable[[Query], Target]:
    """The parser for the rest of a request to a feed: its ids and its query.

    Arguments:
        path: decoded, without the query.
        transport: `WEBSOCKET` or `EVENT_STREAM`.

    Returns:
        A function that returns the target. It raises BadRequest when an id, a position, a service or an interval is
        malformed, missing, or repeated.

    Raises:
        NotFound: no feed has this path.
    """
    health = ("health", "ws") if transport == WEBSOCKET else (transport, "health")
    root, *segments = path.split("/")
    for route in bases.readings(tuple(segments)) if not root else ():
        match route:
            case (first, "crafting", session_id) if first == transport:
                return partial(_crafting, session_id)
            case (first, "queue", player_id) if first == transport:
                return partial(_queue, player_id)
            case (first, "player", player_id) if first == transport:
                return partial(_player, player_id)
            case _ if route == health:
                return _health
            case _ if route == ADMIN_FEED and transport == WEBSOCKET:
                return _admin
            case _ if route == RELAY_FEED and transport == WEBSOCKET:
                return _relay
    raise NotFound(f"There is no such {'WebSocket' if transport == WEBSOCKET else 'event stream'} route.")


def check_feed(path: str, bases: BasePaths, routes: FeedRoutes) -> None:
    """Checks that a port has the WebSocket feed of a path.

    Raises:
        NotFound: it has not.
    """
    admin = any(route == ADMIN_FEED for route in bases.readings(tuple(path.split("/")[1:])))
    if routes is not FeedRoutes.ALL and admin is not (routes is FeedRoutes.ADMIN):
        raise NotFound("There is no such WebSocket route.")


def _admin(query: Query) -> AdminTarget:
    return AdminTarget(_heartbeat(query))


def _relay(query: Query) -> RelayTarget:
    return RelayTarget(_heartbeat(query))


def _crafting(session_id: str, query: Query) -> CraftingTarget:
    return CraftingTarget(
        parse_uuid(session_id, "session_id"),
        parse_uuid(_single(query, "player_id"), "player_id"),
        _resume(query),
        _heartbeat(query),
        _expected(query),
    )


def _queue(player_id: str, query: Query) -> QueueTarget:
    return QueueTarget(parse_uuid(player_id, "player_id"), _resume(query), _heartbeat(query), _device(query))


def _player(player_id: str, query: Query) -> PlayerTarget:
    values = query.get("resume", ())
    if len(values) > MAX_RESUMED:
        raise BadRequest(f"resume names at most {MAX_RESUMED} positions.")
    resume = dict(map(_named_position, values))
    if len(resume) < len(values):
        raise BadRequest("resume names each session once.")
    return PlayerTarget(parse_uuid(player_id, "player_id"), resume, _heartbeat(query), _device(query), _expected(query))


def _named_position(text: str) -> tuple[UUID | None, Position]:
    """A position of the queue, or `session_id@position`."""
    session_id, at, position = text.rpartition("@")
    return parse_uuid(session_id, "resume") if at else None, parse_position(position)


def _health(query: Query) -> HealthTarget:
    return HealthTarget(_services(query.get("services", ())), _heartbeat(query))


_ROUTES = {_crafting: "crafting/{session_id}", _queue: "queue/{player_id}", _player: "player/{player_id}"}


def feed_route(parser: Callable[[Query], Target], transport: str = WEBSOCKET) -> str:
    """The route whose parser `find_feed` returned, with its variable segments in braces."""
    if isinstance(parser, partial):
        return f"/{transport}/{_ROUTES[parser.func]}"
    if parser is _relay:
        return "/ws/relay"
    return "/health/ws" if transport == WEBSOCKET else f"/{transport}/health"


def _single(query: Query, name: str) -> str:
    values = query.get(name, ())
    if len(values) != 1:
        raise BadRequest(f"The query needs exactly one {name}.")
    return values[0]


def _resume(query: Query) -> Position | None:
    return parse_position(_single(query, "resume")) if "resume" in query else None


def _device(query: Query) -> str | None:
    return device_name(_single(query, "device")) if "device" in query else None


def _expected(query: Query) -> bool:
    if "expected" not in query:
        return False
    if _single(query, "expected") != "1":
        raise BadRequest("expected takes 1, for a client that extrapolates by expected_seconds_p50.")
    return True


def _heartbeat(query: Query) -> int:
    if "heartbeat" not in query:
        return 0
    text, (least, most) = _single(query, "heartbeat"), HEARTBEATS
    if not _SECONDS.fullmatch(text) or not least <= int(text) <= most:
        raise BadRequest(f"heartbeat takes whole seconds from {least} to {most}, as in heartbeat=25.")
    return int(text)


def _services(values: Sequence[str]) -> frozenset[Service]:
    """Parses services, repeated or comma-separated; all when none is named. `services=` is an empty list."""
    names = [] if list(values) == [""] else [name for value in values for name in value.split(",")]
    try:
        return frozenset(Service(name) for name in names) or frozenset(Service)
    except ValueError:
        known = ", ".join(service.value for service in Service)
        raise BadRequest(f"services takes any of {known}.") from None
