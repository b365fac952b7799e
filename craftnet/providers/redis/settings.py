"""The settings in `--backend redis:…` and `rediss:…`. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from msgspec import Struct

from craftnet.errors import ConfigurationError
from craftnet.runtime.addresses import HostPort, parse_port, parse_public

PASSWORD_VARIABLE = "CRAFTNET_REDIS_PASSWORD"
"""The environment variable with the password: any user of the machine can read a command line."""

SENTINEL_PASSWORD_VARIABLE = "CRAFTNET_SENTINEL_PASSWORD"
"""The variable with the password of the sentinels, if they have one."""

_PREFIX = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class RedisSettings(Struct, frozen=True):
    """Where Redis is, and how long things are kept in it. Without the password, so that no text shows it.

    Attributes:
        sentinels: the addresses of sentinels, instead of `host` and `port`; empty without sentinels.
        service: the master's name at the sentinels.
        db: the number of the database.
        prefix: the prefix of every key; services with the same one share everything.
        user: the ACL user; None for the default one.
        tls: whether the connection is encrypted, and the server's certificate verified.
        ca: a PEM file with the authorities to trust; None for those of the platform.
        timeout: seconds after which an answer counts as missing.
        retention: seconds that a finished session is kept.
        idle: seconds without an event after which anything is removed.
        remembered: event ids kept for each session, or player, to detect duplicates.
        memory: seconds that they are kept after the newest event.
        backlog: changes kept in each partition for nodes that return.
    """

    host: str = "127.0.0.1"
    port: int = 6379
    sentinels: tuple[HostPort, ...] = ()
    service: str = "mymaster"
    db: int = 0
    prefix: str = "craftnet"
    user: str | None = None
    tls: bool = False
    ca: str | None = None
    timeout: float = 2.0
    retention: float = 300.0
    idle: float = 31 * 86400.0
    remembered: int = 1000
    memory: float = 3600.0
    backlog: int = 10_000

    @property
    def address(self) -> HostPort:
        """The address of Redis without sentinels."""
        return HostPort(self.host, self.port)

    @property
    def described(self) -> str:
        """The same for people."""
        if not self.sentinels:
            return str(self.address)
        return f"{self.service} (by the sentinels {', '.join(map(str, self.sentinels))})"


_DEFAULTS = RedisSettings()

ARGUMENTS: Mapping[str, str] = {
    "host": f"host of Redis (default {_DEFAULTS.host})",
    "port": f"port of Redis (default {_DEFAULTS.port})",
    "sentinel": "host:port of the sentinels, separated by commas, instead of host and port; their password, if any, "
    f"comes from {SENTINEL_PASSWORD_VARIABLE}",
    "service": f"name of the master at the sentinels (default {_DEFAULTS.service})",
    "db": f"number of the database (default {_DEFAULTS.db})",
    "prefix": f"prefix of every key (default {_DEFAULTS.prefix}); nodes with the same one share everything",
    "user": f"ACL user, if not the default one; the password comes from {PASSWORD_VARIABLE}",
    "timeout": f"seconds after which Redis counts as unreachable (default {_DEFAULTS.timeout:g})",
    "retention": f"seconds that a finished session is kept (default {_DEFAULTS.retention:g})",
    "idle": f"seconds without an event after which any state is removed (default {_DEFAULTS.idle:.0f})",
    "remembered": f"event ids kept per session, or player, to detect duplicates (default {_DEFAULTS.remembered})",
    "memory": f"seconds that event ids are kept after the newest event (default {_DEFAULTS.memory:g})",
    "backlog": f"changes kept in each stream for nodes that lag (default {_DEFAULTS.backlog})",
}

TLS_ARGUMENTS: Mapping[str, str] = {**ARGUMENTS, "ca": "PEM file with the certificate authorities to trust"}

_BOUNDS: Mapping[str, tuple[float, float]] = {
    "timeout": (0.05, 60.0),
    "retention": (1.0, 1e8),
    "idle": (1.0, 1e8),
    "memory": (1.0, 1e8),
    "db": (0, 1_000_000),
    "remembered": (1, 100_000),
    "backlog": (100, 10_000_000),
}
_INTEGERS = frozenset({"db", "remembered", "backlog"})


def parse_redis_settings(arguments: Mapping[str, str], *, tls: bool) -> RedisSettings:
    """Parses the arguments.

    Raises:
        ConfigurationError: one of them is invalid.
    """
    name = "rediss" if tls else "redis"
    values: dict[str, object] = {"tls": tls}
    for argument, text in arguments.items():
        if argument in _BOUNDS:
            values[argument] = _number(name, argument, text)
        elif not text:
            raise ConfigurationError(f"{name}: {argument}= is empty")
        elif argument == "port":
            values[argument] = parse_port(text)
        elif argument == "sentinel":
            values["sentinels"] = tuple(_sentinel(name, each) for each in text.split(","))
        else:
            values[argument] = text
    if not _PREFIX.fullmatch(str(values.get("prefix", _DEFAULTS.prefix))):
        raise ConfigurationError(f"{name}: prefix takes 1 to 64 letters, digits, '_', '.' and '-'")
    if values.get("port") == 0:
        raise ConfigurationError(f"{name}: port must be above 0")
    if "sentinel" in arguments and not arguments.keys().isdisjoint({"host", "port"}):
        raise ConfigurationError(f"{name}: give either host= and port= or sentinel=, not both")
    if "service" in arguments and "sentinel" not in arguments:
        raise ConfigurationError(f"{name}: service= needs sentinel=")
    return RedisSettings(**values)  # type: ignore[arg-type]  # each was made what its field is.


def _sentinel(name: str, text: str) -> HostPort:
    try:
        return parse_public(text.strip())
    except ConfigurationError:
        raise ConfigurationError(f"{name}: sentinel takes host:port,host:port…, got {text!r}") from None


def _number(name: str, argument: str, text: str) -> float:
    least, most = _BOUNDS[argument]
    try:
        value = int(text) if argument in _INTEGERS else float(text)
    except ValueError:
        raise ConfigurationError(f"{name}: {argument} must be a number, got {text!r}") from None
    if not least <= value <= most:
        raise ConfigurationError(f"{name}: {argument} must be at least {least:g} and at most {most:g}, got {text}")
    return value
