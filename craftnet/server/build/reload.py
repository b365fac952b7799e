"""Connects the options that can change while the server runs to the parts that they configure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from craftnet.access.auth_option import AuthSetup, access_from_option
from craftnet.access.revocation.enforcement import RevocationCheckingVerifier
from craftnet.errors import ConfigurationError
from craftnet.interfaces import IAuditLog
from craftnet.limits.handshake_guard import HandshakeGuard
from craftnet.limits.origins import Origins
from craftnet.observe.audit.events import SecurityEvent, SecurityEventType
from craftnet.observe.logs.lines import parse_levels
from craftnet.observe.logs.observer import LOG
from craftnet.runtime.sockets import raise_open_files_limit
from craftnet.server.listener import Listener
from craftnet.server.options.table import OPTIONS
from craftnet.server.reload import Reloader, ReloadResult
from craftnet.server.settings import Settings


def connect_limits(reloader: Reloader, guard: HandshakeGuard) -> None:
    """Makes all limits and the admitted origins reloadable."""

    def apply(settings: Settings) -> None:
        raise_open_files_limit(settings.limits.connections)
        guard.set_limits(settings.limits)

    reloader.on(apply, *(name for name, option in OPTIONS.items() if option.path[0] == "limits"))
    reloader.on(lambda settings: guard.set_origins(Origins(settings.origins)), "origin")


def connect_access(
    reloader: Reloader,
    access: AuthSetup,
    verifier: RevocationCheckingVerifier,
    reactor: Any,
    environ: Mapping[str, str],
) -> Callable[[], str]:
    """Lets --auth change, and reads the keys again that it names. Open connections keep their authorisation.

    Returns:
        A function that says why the keys cannot be read now; see `IKeySource.problem`.
    """
    current = access

    def apply(settings: Settings) -> None:
        nonlocal current
        if settings.auth is None or current.secret is not None:
            raise ConfigurationError("a change from or to development tokens needs a restart")
        current = access_from_option(settings.auth, environ, reactor)
        verifier.replace(current.authority)

    def read_keys() -> bool:
        return current.keys is not None and current.keys.reload()

    reloader.on(apply, "auth")
    reloader.on_files("keys", read_keys)
    return lambda: "" if current.keys is None else current.keys.problem()


def connect_certificate(reloader: Reloader, listener: Listener) -> None:
    """Reads the certificate again."""
    reloader.on_files("certificate", listener.reload)


def connect_log(reloader: Reloader, settings: Settings) -> None:
    """Lets the levels of the log change.

    Raises:
        ConfigurationError: a level is malformed.
    """
    parse_levels(settings.log_levels)
    reloader.on(lambda new: LOG.set_levels(new.log_levels), "log-level")


def connect_audit(reloader: Reloader, audit: IAuditLog) -> None:
    """Records every reload: what it changed, what needs a restart, and what is invalid."""

    def record(result: ReloadResult, actor: str) -> None:
        named = {"changed": result.changed, "restart_needed": result.unchangeable, "failed": result.failed}
        audit.record(
            SecurityEvent(
                type=SecurityEventType.RELOADED,
                actor=actor,
                reason="; ".join(line for _, line in result.lines),
                details={name: ", ".join(names) for name, names in named.items() if names},
            )
        )

    reloader.reloaded = record
