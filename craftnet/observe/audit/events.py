"""Security events as values."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from uuid import UUID

from msgspec import Struct

Details = Mapping[str, str | int | float]
"""Facts by name."""


class SecurityEventType(StrEnum):
    """The kinds of security events."""

    UNAUTHENTICATED = "access.unauthenticated"
    """A request had no token, or an invalid one (401)."""
    DENIED = "access.denied"
    """A valid token did not allow a request, or a page of another site made it (403)."""
    LIMITED = "limit.exceeded"
    """A rate or a number of connections was exceeded (429, 4029)."""
    REVOKED = "token.revoked"
    """Tokens were revoked, on this node or on another one."""
    FORGED = "udp.forged"
    """A datagram failed authentication."""
    MIGRATED = "udp.migrated"
    """A client of the UDP protocol moved to another address and proved it."""
    KEYS_UPDATED = "udp.keys_updated"
    """A direction of a UDP connection went on to the next generation of keys."""
    ADMIN = "admin.action"
    """An operator did something through the HTTP interface."""
    RELOADED = "configuration.reloaded"
    """The server read its configuration, keys and certificates again; `details` says what changed."""
    STARTED = "audit.started"
    """The service started; a new chain begins, or an older one continues."""
    STOPPED = "audit.stopped"
    """The service stopped in order."""
    ROTATED = "audit.rotated"
    """The last entry of a file; the chain continues in another file."""
    CONTINUED = "audit.continued"
    """The first entry of a file whose chain began in another file."""
    TORN = "audit.torn"
    """The line above was cut off by a crash or a full disk and is no entry."""
    GAP = "audit.gap"
    """The log could not be written for a while; `lost` events are missing."""


FLOODS = frozenset(
    {
        SecurityEventType.UNAUTHENTICATED,
        SecurityEventType.DENIED,
        SecurityEventType.LIMITED,
        SecurityEventType.FORGED,
        SecurityEventType.MIGRATED,
        SecurityEventType.KEYS_UPDATED,
    }
)
"""The kinds that clients can cause at any rate; repetitions are counted, not recorded one by one."""


class SecurityEvent(Struct, frozen=True, kw_only=True, gc=False):
    """One security event, or several of one kind from one client.

    Attributes:
        type: its kind.
        time: when it was recorded, Unix seconds; of several, when the last one was. `IAuditLog.record` sets it.
        player_id: the player it concerns, if one is known.
        address: the client's address, as far as trusted proxies vouch for it; empty when unknown.
        transport: "http", "websocket", "sse" or "udp"; empty when none is involved.
        route: the path of a request, without ids.
        status: the HTTP status, or the close code of a WebSocket.
        actor: the operator, for actions of operators: the `sub` or the `jti` of the token; of a reload, `SIGHUP`
            or the node whose admin API was asked.
        reason: one sentence; for an operator's action the reason that was given.
        trace_id: the trace of the request, if it named one.
        count: how many events it stands for.
        since: when the first of several happened, Unix seconds.
        details: further facts; names and values are of craftnet's making, not the client's.
    """

    type: SecurityEventType
    time: float = 0.0
    player_id: UUID | None = None
    address: str = ""
    transport: str = ""
    route: str = ""
    status: int | None = None
    actor: str = ""
    reason: str = ""
    trace_id: str = ""
    count: int = 1
    since: float | None = None
    details: Details | None = None
