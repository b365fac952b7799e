"""What operators do by the admin API, what is known of it later, and how the server is set up."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from msgspec import Meta, Struct

from craftnet.contract.messages import HealthResponse, Natural, Service, Time

Reason = Annotated[str, Meta(min_length=1, max_length=200)]
"""Why an operator does something, for the audit."""


class ActionRequest(Struct, frozen=True, kw_only=True):
    """Body of every action that needs nothing but a reason."""

    reason: Reason
    """Why, for the audit log: 1 to 200 characters."""


class AdminRevocation(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Body of `POST /admin/revocations`: a reason, and at least one of `jti` and `player_id`."""

    reason: Reason
    """Why, for the audit log: 1 to 200 characters."""
    jti: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    """Revokes the token with this `jti`."""
    player_id: UUID | None = None
    """Revokes every token of this player that was issued by now."""
    expires: Annotated[datetime, Meta(tz=True)] | None = None
    """When the last revoked token would expire; in 7 days when absent."""


class ReloadOutcome(Struct, frozen=True, kw_only=True):
    """What one node's reload came to, by the names of options."""

    changed: list[str]
    """New values that are in effect; `certificate` and `keys` stand for the files with them."""
    restart_needed: list[str]
    """New values that need a restart; the old ones stay in effect."""
    failed: dict[str, str]
    """Invalid values, each with the reason; the old ones stay in effect. `config` is the file as a whole."""
    lines: list[str]
    """The same in words, as the node's log has it."""


class ActionResult(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Answer of every action."""

    action: str
    """What was done: `disconnect`, `revoke`, `drain` or `reload`."""
    node: str
    """The node that did it."""
    affected: Natural
    """Connections that were closed, or that a drain will close."""
    timestamp: Time
    """When."""
    reload: dict[str, ReloadOutcome] | None = None
    """What a reload came to, by node."""
    unanswered: list[str] = []
    """Nodes that did not answer within a second: their logs say what became of it."""


class AuditEntry(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """An entry of the audit log."""

    timestamp: Time
    """When it happened."""
    node: str
    """Where."""
    event: str
    """What happened, by the name that the audit log has for it."""
    fields: dict[str, Any] = {}
    """Everything else that the audit log says of it."""


class SecurityEventPage(Struct, frozen=True, kw_only=True):
    """Answer of `GET /admin/security-events`."""

    events: list[AuditEntry]
    """The newest entries of all nodes, the newest first; at most `limit`."""


class OptionRow(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """An option of the server."""

    option: str
    """Its name, as `--help` has it."""
    value: str | None = None
    """Its value; secrets are replaced by `***`. Absent when it is not set."""
    default: bool = False
    """Whether that is the default."""


class Configuration(Struct, frozen=True, kw_only=True):
    """Answer of `GET /admin/configuration`."""

    node: str
    """The node that answers."""
    options: list[OptionRow]
    """Every option, in the order of `--help`."""


class NodeHealth(Struct, frozen=True, kw_only=True):
    """The health reports of one node."""

    node: str
    """The node."""
    reports: dict[Service, HealthResponse]
    """Its newest report of every service."""


class AdminHealth(Struct, frozen=True, kw_only=True):
    """Answer of `GET /admin/health`."""

    nodes: list[NodeHealth]
    """Every node that answered, by name."""
