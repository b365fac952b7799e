"""The head of an HTTP/1 request: what must hold before anybody looks at its path (RFC 9112, RFC 6455 section 4.2.1).

Pure. twisted.web is more lenient; the rules here come in front of it, for a connection's first request and for every
later one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from msgspec import Struct

from craftnet.errors import BadRequest

END = b"\r\n\r\n"
"""What ends a head."""

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_TARGET = re.compile(rb"[!-~]+")
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_HOST = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+,;=%-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?")
_SCHEMES = (b"http://", b"https://")
_VERSIONS = (b"HTTP/1.1", b"HTTP/1.0")


class Head(Struct, frozen=True):
    """A request line and header fields.

    Attributes:
        target: the request target as sent, query included.
        fields: (name, value) in the order sent; values have no space around them.
    """

    method: bytes
    target: bytes
    version: bytes
    fields: tuple[tuple[bytes, bytes], ...]

    def values(self, name: bytes) -> list[bytes]:
        """Every value of the field `name` (lower-case)."""
        return [value for given, value in self.fields if given.lower() == name]

    def tokens(self, name: bytes) -> frozenset[bytes]:
        """The members of the comma-separated field `name`, in lower case."""
        return frozenset(token.strip().lower() for value in self.values(name) for token in value.split(b","))

    @property
    def text(self) -> dict[str, str]:
        """The fields as text, names in lower case; several values of one are joined (RFC 9110 section 5.3)."""
        joined: dict[str, str] = {}
        for name, value in self.fields:
            key, text = name.decode("latin-1").lower(), value.decode("latin-1")
            joined[key] = f"{joined[key]}, {text}" if key in joined else text
        return joined

    def without(self, name: bytes) -> Head:
        """The same without the field `name` (lower-case)."""
        return Head(
            self.method, self.target, self.version, tuple(field for field in self.fields if field[0].lower() != name)
        )

    @property
    def handshake(self) -> bool:
        """Whether this asks for a WebSocket. HTTP/1.0 knows no Upgrade, so there it is ignored."""
        return (
            self.method == b"GET"
            and self.version == b"HTTP/1.1"
            and b"websocket" in self.tokens(b"upgrade")
            and b"upgrade" in self.tokens(b"connection")
        )

    @property
    def octets(self) -> bytes:
        """The head as it travels, its end included."""
        lines = [b" ".join((self.method, self.target, self.version))]
        lines += [name + b": " + value for name, value in self.fields]
        return b"\r\n".join(lines) + END


def parse(octets: bytes) -> Head:
    """Take a head apart.

    Arguments:
        octets: everything up to and without `END`.

    Raises:
        BadRequest: it has not the shape of a head.
    """
    first, *lines = octets.split(b"\r\n")
    words = first.split(b" ")
    if len(words) != 3:
        raise BadRequest("The request line is not method, target and version.")
    fields: list[tuple[bytes, bytes]] = []
    for line in lines:
        if line[:1] in (b" ", b"\t") and fields:  # a folded value, RFC 9112 section 5.2.
            name, value = fields[-1]
            fields[-1] = (name, value + b" " + line.strip(b" \t"))
            continue
        name, colon, value = line.partition(b":")
        if not colon:
            raise BadRequest("A header field has no colon.")
        fields.append((name, value.strip(b" \t")))
    return Head(words[0], words[1], words[2], tuple(fields))


def rebuilt(method: bytes, target: bytes, version: bytes, fields: Iterable[tuple[bytes, Iterable[bytes]]]) -> Head:
    """The head of a request that was parsed already; `fields` are (name, values)."""
    return Head(method, target, version, tuple((name, value) for name, values in fields for value in values))


def origin_form(target: bytes) -> bytes:
    """A request target without scheme and authority, which a proxy may send too (RFC 9112 section 3.2.2)."""
    if not target.startswith(_SCHEMES):
        return target
    parts = urlsplit(target)
    return (parts.path or b"/") + (b"?" + parts.query if parts.query else b"")


def check(head: Head) -> None:
    """Refuse what must not reach a route.

    Raises:
        BadRequest: characters that do not belong there, an HTTP version other than 1.0 and 1.1, no Host or several,
            or a WebSocket handshake with a body.
    """
    if not _TOKEN.fullmatch(head.method):
        raise BadRequest("The method is not a token.")
    if not _TARGET.fullmatch(head.target):
        raise BadRequest("The request target holds characters that do not belong there.")
    if not head.target.startswith((b"/", *_SCHEMES)) and (head.method, head.target) != (b"OPTIONS", b"*"):
        raise BadRequest("The request target is neither a path nor a URL.")
    if head.version not in _VERSIONS:
        raise BadRequest("Only HTTP/1.1 and HTTP/1.0 are spoken here.")
    for name, value in head.fields:
        if not _TOKEN.fullmatch(name):
            raise BadRequest("The name of a header field is not a token.")
        if _CONTROL.search(value):
            raise BadRequest("The value of a header field holds control characters.")
    hosts = head.values(b"host")
    if len(hosts) > 1 or (not hosts and head.version == b"HTTP/1.1"):
        raise BadRequest("A request has exactly one Host header field.")
    if hosts and not _HOST.fullmatch(hosts[0]):
        raise BadRequest("The Host header field names no host.")
    if head.handshake and (head.values(b"transfer-encoding") or set(head.values(b"content-length")) - {b"0"}):
        raise BadRequest("A WebSocket handshake has no body.")
