"""The lines of an audit log: each has a keyed HMAC over itself and the previous line. Pure.

A line is a JSON object whose last member is `mac`, the HMAC-SHA256 (RFC 2104) of everything before that member under
the log's key. Its member `previous` is the `mac` of the entry before it in the same chain, so that the HMAC covers that
one, too.
"""

from __future__ import annotations

import hashlib
import hmac
import re

import msgspec
from msgspec import Struct

from craftnet.contract.messages import MALFORMED
from craftnet.observe.audit.events import SecurityEventType

NO_ENTRY = "0" * 64
"""The `previous` of a chain's first entry."""

_SEALED = re.compile(rb'(\{.*),"mac":"([0-9a-f]{64})"\}', re.DOTALL)
_MAC = re.compile(rb',"mac":"[0-9a-f]{64}"\}')


class AuditKey(Struct, frozen=True):
    """The key of an audit log.

    Attributes:
        secret: 32 bytes or more.
    """

    secret: bytes

    __repr__ = object.__repr__

    @property
    def id(self) -> str:
        """Names the key without revealing it: 16 hexadecimal digits."""
        return hmac.digest(self.secret, b"craftnet audit key id", hashlib.sha256).hex()[:16]

    def mac(self, octets: bytes) -> str:
        """The HMAC-SHA256 of `octets`: 64 hexadecimal digits."""
        return hmac.digest(self.secret, octets, hashlib.sha256).hex()


class LogEntry(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One line of an audit log."""

    time: str
    """When it happened, RFC 3339, UTC; of several events, when the last one did."""
    chain: str
    """The chain that the entry belongs to: one worker's entries since the log was created."""
    sequence: int
    """The entry's number in its chain, from 1, without a gap."""
    event: SecurityEventType
    """The event of the entry."""
    player: str | None = None
    """Pseudonym of the player: 32 hexadecimal digits; `craftnet audit show --player` finds it."""
    address: str = ""
    """The client's address, as far as a `--trusted-proxy` vouches for it."""
    transport: str = ""
    """`http`, `websocket`, `sse` or `udp`."""
    route: str = ""
    """Path of a request, without ids."""
    status: int | None = None
    """HTTP status, or close code of a WebSocket."""
    actor: str = ""
    """The operator, for actions of operators: the `sub` or the `jti` of the token; of a reload, `SIGHUP` or the node
    whose admin API was asked."""
    reason: str = ""
    """One sentence; for an operator's action the reason that was given."""
    trace_id: str = ""
    """Trace of the request, if it named one."""
    count: int = 1
    """Number of events that the entry stands for: repetitions within ten seconds share one."""
    since: str | None = None
    """When the first of several happened, RFC 3339, UTC."""
    details: dict[str, str | int | float] = {}
    """Further facts about the event."""
    previous: str
    """`mac` of the entry before; 64 zeros in a chain's first entry."""


class Sealed(Struct, frozen=True):
    """An entry as it was read, with its `mac`."""

    entry: LogEntry
    mac: str


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(LogEntry)


def seal(entry: LogEntry, key: AuditKey) -> tuple[bytes, str]:
    """The line of an entry, ended by a newline, and its `mac`."""
    signed = _encoder.encode(entry)[:-1]
    mac = key.mac(signed)
    return b'%b,"mac":"%b"}\n' % (signed, mac.encode()), mac


def parse(line: bytes) -> Sealed | None:
    """Parses an entry without verifying it; None if the line is no entry.

    Arguments:
        line: without its newline.
    """
    found = _SEALED.fullmatch(line)
    if found is None:
        return None
    try:
        return Sealed(_decoder.decode(line), found[2].decode())
    except MALFORMED:
        return None


def complete(line: bytes) -> bool:
    """Whether a line has a `mac`, which a line that was cut off lacks."""
    return _MAC.search(line) is not None


def authentic(line: bytes, key: AuditKey) -> bool:
    """Whether a line, without its newline, was sealed with this key."""
    found = _SEALED.fullmatch(line)
    return found is not None and hmac.compare_digest(key.mac(found[1]), found[2].decode())
