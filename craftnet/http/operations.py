"""The description of a route, declared next to its endpoint: what OpenAPI calls an operation. Pure.

`Endpoint.operations` has one `ApiOperation` for each method of a route. `craftnet.http.description` makes
`/openapi.json`, `/asyncapi.json` and `/docs` of them. What every route of a kind has in common is derived from the
endpoint itself: the variable segments of its path, a token, a rate limit, the media types of bodies, and the refusals
that follow from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID

from msgspec import Meta, Struct

from craftnet.contract.http_bodies import ErrorResponse
from craftnet.contract.messages import Time

UUID_PATTERN = "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
"""The form of an id as text, as an ECMA-262 pattern without anchors."""

ID_EXAMPLE = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa"
PLAYER_EXAMPLE = "11111111-1111-4111-8111-111111111111"

Positive = Annotated[int, Meta(ge=1, le=2**31 - 1)]
"""A whole number of seconds or requests."""


class Binary:
    """Octets: in OpenAPI a string of format `binary`."""


class Text:
    """Text that is not JSON."""


class OneOf(Struct, frozen=True):
    """A value of one of several types, where msgspec has no union: of structs without tags."""

    kinds: tuple[Any, ...]


class Several(Struct, frozen=True):
    """An array of what msgspec does not know; at least one."""

    kind: Any


class Named(Struct, frozen=True):
    """A type that has no name of its own, such as a union, and gets a schema with one."""

    name: str
    kind: Any
    description: str


class Tag(StrEnum):
    """The group of an operation, in the order in which they are shown."""

    HEALTH = "health"
    """Health of craftnet and the services next to it, readiness and liveness."""
    FEEDS = "feeds"
    """What players watch: WebSockets, event streams, and the current state as JSON."""
    UDP = "udp"
    """UDP connections, and players' reports about their crafts."""
    AUTHORITY = "authority"
    """What the crafting authority and the login service post."""
    OPERATIONS = "operations"
    """For the people who run craftnet."""


class HeaderField(Struct, frozen=True):
    """A header field of an answer.

    Attributes:
        kind: the type of its value.
        required: whether every such answer has it.
    """

    name: str
    kind: Any
    description: str
    required: bool = True


class Parameter(Struct, frozen=True):
    """A parameter of a request.

    Attributes:
        kind: the type of its value; a list may be repeated.
        place: "query", "header" or "path". Parameters of the path that `PATH_PARAMETERS` has need no entry.
    """

    name: str
    kind: Any
    description: str
    place: str = "query"
    required: bool = False
    example: object = None


class Answer(Struct, frozen=True):
    """An answer of one status.

    Attributes:
        kind: the type of the body; None: no body. For media types other than JSON: `Binary` or `Text`.
        headers: the header fields that only such an answer has.
        alternatives: the types of the body in further media types.
    """

    description: str
    kind: Any = None
    headers: tuple[HeaderField, ...] = ()
    media_type: str = "application/json"
    alternatives: Mapping[str, Any] = {}


class Body(Struct, frozen=True):
    """The body of a request in one media type: its type, and an example."""

    kind: Any
    example: object = None


class Message(Struct, frozen=True):
    """A message of a channel.

    Attributes:
        kind: the type of its content.
        media_type: of its encoding.
        name: needed where the type has none.
    """

    kind: Any
    summary: str
    media_type: str = "application/json"
    name: str = ""


class Channel(Struct, frozen=True):
    """What is exchanged beyond one request and its answer: what AsyncAPI calls a channel.

    Attributes:
        name: the key in AsyncAPI, camelCase.
        protocol: "ws", "sse", "udp" or "http".
        sends: the messages that craftnet sends.
        receives: the messages that craftnet receives.
        address: the path, where it is not the route's; empty for what has no path.
    """

    name: str
    protocol: str
    description: str
    sends: tuple[Message, ...] = ()
    receives: tuple[Message, ...] = ()
    address: str | None = None


class ApiOperation(Struct, frozen=True):
    """One method of a route.

    Attributes:
        id: unique, camelCase. Clients that are generated name their functions after it.
        summary: a few words.
        description: CommonMark.
        answers: by status: successes, and refusals that no other trait of the endpoint implies.
        bodies: by media type, as the endpoint's `accepts`.
        channel: what the request opens, or belongs to.
    """

    id: str
    summary: str
    tag: Tag
    answers: Mapping[int, Answer]
    description: str = ""
    parameters: tuple[Parameter, ...] = ()
    bodies: Mapping[str, Body] = {}
    channel: Channel | None = None


def by_method(**operations: ApiOperation) -> Mapping[str, ApiOperation]:
    """The operations of a route, by method: `by_method(GET=…)`."""
    return operations


PATH_PARAMETERS = {
    "session_id": Parameter("session_id", UUID, "The crafting session.", "path", True, ID_EXAMPLE),
    "player_id": Parameter("player_id", UUID, "The player.", "path", True, PLAYER_EXAMPLE),
    "connection": Parameter("connection", str, "An open connection.", "path", True, "craft-1:4711.feed.5f0d1c2b3a"),
    "node": Parameter("node", str, "A node.", "path", True, "craft-1:4711"),
    "id": Parameter("id", Annotated[int, Meta(ge=1, le=999)], "The id.", "path", True, 1),
}
"""The variable segments of paths, by name."""

RETRY_AFTER = HeaderField("Retry-After", Positive, "Seconds after which a retry makes sense.")

FAILURES: Mapping[int, Answer] = {
    400: Answer("The request is malformed; the message names what.", ErrorResponse),
    401: Answer(
        "There is no token, or none that is valid.",
        ErrorResponse,
        (HeaderField("WWW-Authenticate", str, "`Bearer`, the realm, and the error (RFC 6750 section 3)."),),
    ),
    403: Answer("The token is valid, but not for this.", ErrorResponse),
    404: Answer("There is no such thing.", ErrorResponse),
    413: Answer("The body is too long: 1 MiB with a token, 4 KiB without one.", ErrorResponse),
    415: Answer("The body has another media type, or a content coding.", ErrorResponse),
    426: Answer(
        "The route is a WebSocket, for a client that accepts no JSON or whose handshake is incomplete.",
        ErrorResponse,
        (
            HeaderField("Upgrade", str, "`websocket`."),
            HeaderField("Sec-WebSocket-Version", int, "13."),
        ),
    ),
    429: Answer(
        "A limit is exceeded.",
        ErrorResponse,
        (
            RETRY_AFTER,
            HeaderField("X-RateLimit-Limit", Positive, "The limit."),
            HeaderField("X-RateLimit-Remaining", Annotated[int, Meta(ge=0, le=2**31 - 1)], "What is left of it."),
            HeaderField("X-RateLimit-Reset", Time, "When a retry makes sense."),
        ),
    ),
    503: Answer(
        "A back end is unreachable, or the server starts or stops. Nothing was changed.", ErrorResponse, (RETRY_AFTER,)
    ),
}
"""Refusals in their usual form, by status."""

OTHER_FAILURE = Answer("Any other failure.", ErrorResponse)
"""Of every operation: what HTTP itself allows (405, 412, 414, 431, 501, 505), and 500."""

UNLISTED_STATUSES = frozenset({405, 412, 414, 431, 500, 501, 505})
"""The statuses of `OTHER_FAILURE`, which operations do not list."""


def phrase(status: int) -> str:
    """The reason phrase in one word: `TooManyRequests`."""
    words = {413: "Content Too Large"}.get(status) or HTTPStatus(status).phrase
    return "".join(word[:1].upper() + word[1:] for word in words.replace("-", " ").split())
