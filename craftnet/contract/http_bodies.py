"""Bodies of HTTP requests and answers. `craftnet.contract.messages` has the messages of the WebSocket feeds."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID

from msgspec import Meta, Struct, field

from craftnet.contract.messages import (
    HealthResponse,
    Natural,
    Service,
    Station,
    Time,
    WebSocketCraftingMessage,
    WebSocketQueueMessage,
)

ClientVersion = Annotated[str, Meta(pattern=r"\A[0-9]+\.[0-9]+\.[0-9]+\Z", max_length=64)]
r"""The game's ``^[0-9]+\.[0-9]+\.[0-9]+$`` as ECMA-262 reads it: Python's ``$`` lets a line feed follow."""


class HealthBatchRequest(Struct, frozen=True, kw_only=True):
    """Body of `POST /health/batch`."""

    services: Annotated[list[Service], Meta(max_length=10)]
    """The services to report on."""


class OverallStatus(StrEnum):
    """Health of several services together."""

    HEALTHY = "healthy"
    """All of them are `ok`."""
    DEGRADED = "degraded"
    """At least one is `degraded`, and none is `critical`."""
    CRITICAL = "critical"
    """At least one is `critical`."""


class HealthBatchResponse(Struct, frozen=True, kw_only=True):
    """Answer of `POST /health/batch`."""

    overall_status: OverallStatus
    """The worst status of the services asked for."""
    timestamp: Time
    """When the answer was made."""
    results: dict[Service, HealthResponse]
    """The report of every service asked for, by its name."""


class HealthWebSocketInfo(Struct, frozen=True, kw_only=True):
    """Answer of `GET /health/ws` without an upgrade."""

    websocket_url: str
    """URL of the health feed, as the client reaches it."""
    supported_protocols: list[str]
    """The WebSocket subprotocols that the server speaks."""


class UdpConnectRequest(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Body of `POST /udp/sessions/{session_id}/connect`."""

    player_id: UUID
    """The owner of the session."""
    client_version: ClientVersion
    """Version of the client: three numbers, at most 64 characters."""
    supported_compression: list[Literal["lz4", "zstd", "none"]] = field(default_factory=lambda: ["lz4"])
    """Compression algorithms that the client has, in order of preference."""
    max_packet_size: Annotated[int, Meta(ge=64, le=65536)] = 4096
    """Bytes of the longest datagram (with compression: message content) that the client accepts."""
    session_token: Annotated[str, Meta(max_length=64)] | None = None
    """Token of a UDP connection that the client has and that shall carry this session, too."""
    encapsulation_key: Annotated[str, Meta(max_length=2048)] | None = None
    """ML-KEM-768 encapsulation key, base64url: asks for a secret that follows from this exchange as well."""
    preferred_region: Annotated[str, Meta(max_length=64)] | None = None
    """Region of the UDP endpoint, such as `us-east`. Where no node of it is known, the node that answers takes over."""
    all_sessions: bool = False
    """Whether the connection shall carry all sessions of the player, as they start and end."""
    expected: bool = False
    """Whether the connection shall carry the expected progress, if the server has learned how long crafts take."""


USUAL_TOLERANCE = 0.5
"""Points of progress that UDP clients assume when an answer does not name a tolerance."""


class UdpConnectResponse(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Answer of `POST /udp/sessions/{session_id}/connect`."""

    session_token: str
    """Secret of the UDP connection, base64url."""
    server_endpoint: str
    """`host:port` to send datagrams to; an IPv6 address stands in brackets."""
    compression_enabled: bool
    """Whether the server may compress what it sends."""
    negotiated_packet_size: Annotated[int, Meta(ge=64, le=65536)]
    """Bytes of the longest message content with compression, else of the longest datagram."""
    heartbeat_interval: Annotated[int, Meta(ge=1000, le=30000)]
    """Milliseconds between two heartbeats of either side."""
    progress_tolerance: Annotated[float, Meta(ge=0, le=100)] = USUAL_TOLERANCE
    """Points of progress by which a client's copy may be off before the server sends a new one."""
    session_index: Annotated[int, Meta(ge=0, le=255)] = 0
    """Number by which the connection's datagrams name the session."""
    compression: Literal["lz4", "zstd", "none"] = "none"
    """The algorithm that the server compresses with, where `compression_enabled`."""
    ciphertext: str | None = None
    """ML-KEM-768 ciphertext, base64url, where the request has an `encapsulation_key` and the server takes part."""
    region: str | None = None
    """Region of the node behind `server_endpoint`, where it has one."""
    all_sessions: bool = False
    """Whether the server adds the player's other sessions to the connection by itself."""
    expected: bool = False
    """Whether the progress of this connection is the expected one, where there is a forecast."""


class RevocationRequest(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Body of `POST /revocations`: at least one of `jti` and `player_id`."""

    jti: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    """Revokes the token with this `jti`."""
    player_id: UUID | None = None
    """Revokes every token of this player that was issued (`iat`) by now."""
    expires: Annotated[datetime, Meta(tz=True)] | None = None
    """When the last revoked token would expire; the entry is forgotten then. In 7 days when absent."""


class RevocationResponse(Struct, frozen=True, kw_only=True):
    """Answer of `POST /revocations`."""

    closed: Natural
    """Feeds that were closed on the node that was asked."""
    expires: Time
    """When the revocation is forgotten."""


class PlayerSessions(Struct, frozen=True, kw_only=True):
    """Answer of `GET /players/{player_id}/sessions`."""

    sessions: tuple[UUID, ...]
    """The player's sessions that have started and not ended, oldest first."""


class FeedSnapshot(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Answer of the WebSocket routes of feeds without an upgrade. The messages are those of the feed."""

    messages: tuple[Any, ...]  # msgspec has no union of structs without tags; they are only encoded.
    """The messages with which the feed would begin: the current state."""
    position: str | None = None
    """Where the feed is, as `resume` takes it."""


class CraftingSnapshot(FeedSnapshot, frozen=True, omit_defaults=True, kw_only=True):
    """Answer of `GET /ws/crafting/{session_id}` without an upgrade."""

    messages: tuple[WebSocketCraftingMessage, ...]
    """The messages with which the feed would begin: the current state."""


class QueueSnapshot(FeedSnapshot, frozen=True, omit_defaults=True, kw_only=True):
    """Answer of `GET /ws/queue/{player_id}` without an upgrade."""

    messages: tuple[WebSocketQueueMessage, ...]
    """The messages with which the feed would begin: the current state."""


class NamedMaterial(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A material of a `DescribedCraft`."""

    material_id: UUID
    """Its id."""
    name: str
    """What players call it."""
    quantity: int
    """How many the recipe needs."""
    quality: int
    """The minimum quality, 1 to 100."""


class DescribedCraft(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A craft of the simulated authority that is under way, or waits for a station."""

    session_id: UUID
    """The session; it has not started while the craft waits."""
    recipe: str
    """What is crafted, as players call it."""
    station_type: Station
    """Where."""
    materials: tuple[NamedMaterial, ...]
    """What the recipe needs."""


class PlayerCrafts(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Answer of `GET /demo/players/{player_id}`, with `--backend workshop`."""

    crafts: tuple[DescribedCraft, ...]
    """Those under way, oldest first, and the one that waits."""


class QueueJump(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Answer of `POST /demo/players/{player_id}/jump`, with `--backend workshop`."""

    jumped: bool
    """Whether the simulated authority moved the player to the front; the feeds say the rest."""


class ServiceInfo(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Answer of `GET /` for clients that ask for JSON."""

    name: str
    """What this is."""
    version: str
    """Its version."""
    links: dict[str, str]
    """Where to go from here, by what is there."""


class ErrorResponse(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Body of every failure."""

    code: Annotated[int, Meta(ge=100, le=599)]
    """The HTTP status."""
    message: str
    """What was wrong and what is expected, in English."""
    details: dict[str, object] | None = None
    """Facts for programs, where there are any."""
