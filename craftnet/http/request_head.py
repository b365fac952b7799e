"""Parses the head of an HTTP/1 request (RFC 9112 sections 2 to 6), strictly and in one place.

Pure. Nothing else reads the head as octets: routes and the WebSocket handshake receive the parsed head, so all parts
agree on where each request ends.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property, lru_cache
from ipaddress import IPv6Address
from urllib.parse import parse_qsl, unquote

from msgspec import Struct

from craftnet.errors import BadRequest, CodingNotImplemented, HeadersTooLarge, TargetTooLong, VersionNotSupported

HEAD_END = b"\r\n\r\n"
"""The end of a head."""

HEAD_LIMIT = 16384
"""Bytes of a request head."""

TARGET_LIMIT = 8192
"""Bytes of a request target (RFC 9112 section 3 recommends at least 8000 for the whole line)."""

KEPT_HEADS = 64
"""Heads that `parse_repeated_head` remembers."""

FIELD_LIMIT = 500
"""Header fields of a request."""

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
"""RFC 9110 section 5.6.2, as a regular expression."""

QUOTED_STRING = rb'"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*"'
"""RFC 9110 section 5.6.4, as a regular expression."""

MAX_CONTENT_LENGTH = 10**15
"""Bytes. Stands for a Content-Length with more digits, which is beyond every limit."""

_NO_TOKENS = frozenset[bytes]()
_TOKEN = re.compile(TOKEN)
_VERSION = re.compile(rb"HTTP/([0-9])\.([0-9])")
_TARGET = re.compile(rb"[!\"$-~]+")
_VALUE_OCTETS = bytes(octet for octet in range(256) if octet == 9 or (octet >= 32 and octet != 127))
_HOST = re.compile(
    rb"(?P<name>(?:[A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})*|\[(?P<ipv6>[0-9A-Fa-f:.]+)\])(?::(?P<port>[0-9]{0,5}))?"
)
_ABSOLUTE = re.compile(rb"https?://(?P<authority>[^/?]*)(?P<rest>.*)", re.IGNORECASE)


class Head(Struct, frozen=True, dict=True):
    """A request line and header fields.

    Attributes:
        target: the request target in origin form (a path, with or without a query), or ``*``.
        version: ``HTTP/1.1`` or ``HTTP/1.0``.
        fields: (name, value) in the order sent, without those about the body's length; values are stripped. Host is
            what the target named, if it named one (RFC 9112 section 3.2.2).
        length: bytes of the body; None for a chunked one.
    """

    method: bytes
    target: bytes
    version: bytes
    fields: tuple[tuple[bytes, bytes], ...]
    length: int | None = 0

    @cached_property
    def _values(self) -> dict[bytes, list[bytes]]:
        """The values of each field, by its lower-case name."""
        values: dict[bytes, list[bytes]] = {}
        for name, value in self.fields:
            values.setdefault(name.lower(), []).append(value)
        return values

    def values(self, name: bytes) -> Sequence[bytes]:
        """Every value of the field `name` (lower-case)."""
        return self._values.get(name, ())

    def members(self, name: bytes) -> list[bytes]:
        """The members of the comma-separated field `name` (lower-case), without empty ones (RFC 9110 section 5.6.1)."""
        return [member for value in self.values(name) for raw in value.split(b",") if (member := raw.strip(b" \t"))]

    def tokens(self, name: bytes) -> frozenset[bytes]:
        """The members of the comma-separated field `name` (lower-case), in lower case."""
        if name not in self._values:  # as nearly always.
            return _NO_TOKENS
        return frozenset(member.lower() for member in self.members(name))

    @cached_property
    def text(self) -> Mapping[str, str]:
        """The fields as text, names in lower case; several values of one are joined (RFC 9110 section 5.3)."""
        return {name.decode("latin-1"): b", ".join(values).decode("latin-1") for name, values in self._values.items()}

    @cached_property
    def location(self) -> tuple[tuple[str, ...], Mapping[str, Sequence[str]]]:
        """What `path_and_query` returns for the target, and raises."""
        return path_and_query(self.target)

    @property
    def persistent(self) -> bool:
        """Whether another request may follow on this connection (RFC 9112 section 9.3)."""
        return self.version == b"HTTP/1.1" and b"close" not in self.tokens(b"connection")

    @property
    def handshake(self) -> bool:
        """Whether this requests a WebSocket. HTTP/1.0 has no Upgrade, so it is ignored there."""
        return (
            self.method == b"GET"
            and self.version == b"HTTP/1.1"
            and b"websocket" in self.tokens(b"upgrade")
            and b"upgrade" in self.tokens(b"connection")
        )

    @property
    def expects_continue(self) -> bool:
        """Whether the client waits for 100 (RFC 9110 section 10.1.1). Ignored in HTTP/1.0."""
        return self.version == b"HTTP/1.1" and b"100-continue" in self.tokens(b"expect")

    @property
    def lines(self) -> list[bytes]:
        """The request line and the fields, without those about the body's length."""
        return [b" ".join((self.method, self.target, self.version))] + [
            name + b": " + value for name, value in self.fields
        ]

    @property
    def size(self) -> int:
        """Bytes of the head, its end included, without the fields about the body's length and surplus blanks."""
        first = len(self.method) + len(self.target) + len(self.version) + 4
        return first + sum(len(name) + len(value) + 4 for name, value in self.fields) + 2

    @property
    def octets(self) -> bytes:
        """The head as octets, its end included. `parse_head` turns them into the same head."""
        lines = self.lines
        if self.length is None:
            lines.append(b"Transfer-Encoding: chunked")
        elif self.length:
            lines.append(b"Content-Length: %d" % self.length)
        return b"\r\n".join(lines) + HEAD_END


class HeadReader:
    """Collects the octets of a connection until a request head is complete.

    Arguments:
        limit: maximum length of a head, in bytes.
        parse: `parse_head`, or what does the same.

    Attributes:
        octets: the unread octets; callers append to it.
    """

    __slots__ = ("_limit", "_parse", "_seen", "octets")

    def __init__(self, limit: int = HEAD_LIMIT, parse: Callable[[bytes], Head] | None = None) -> None:
        self.octets = bytearray()
        self._limit = limit
        self._parse = parse or parse_head
        self._seen = 0  # octets without the end of a head or an invalid line end.

    @property
    def begun(self) -> bytes:
        """The head that is being read, as received so far."""
        return bytes(self.octets).removeprefix(b"\r\n").partition(HEAD_END)[0]

    def read(self) -> Head | None:
        """Removes the head at the beginning of `octets`; None while it is incomplete.

        Raises:
            Refusal: it is too long, or as `parse_head` raises.
        """
        octets = self.octets
        start = 2 if octets.startswith(b"\r\n") else 0  # RFC 9112 section 2.2: ignore an empty line.
        end = octets.find(HEAD_END, max(start, self._seen))
        stop = len(octets) if end < 0 else end
        if stop - start > self._limit:
            raise head_too_long(bytes(octets[start:stop]), self._limit)
        if has_bare_line_feed(octets, self._seen, stop):
            raise BadRequest("A line of the request head does not end in CR LF.")
        if end < 0:
            self._seen = max(0, len(octets) - len(HEAD_END))
            return None
        head = self._parse(bytes(octets[start:end]))
        del octets[: end + len(HEAD_END)]
        self._seen = 0
        return head


def parse_head(octets: bytes) -> Head:
    """Parses a head.

    Arguments:
        octets: everything before `HEAD_END`.

    Raises:
        BadRequest: it is not the head of a request, or does not say clearly where the request ends.
        TargetTooLong, HeadersTooLarge: it exceeds `TARGET_LIMIT` or `FIELD_LIMIT`.
        VersionNotSupported, CodingNotImplemented: its HTTP version or transfer coding is not supported.
    """
    first, *lines = octets.split(b"\r\n")
    method, target, version = _request_line(first)
    if len(lines) > FIELD_LIMIT:
        raise HeadersTooLarge(f"The request has more than {FIELD_LIMIT} header fields.", FIELD_LIMIT)
    hosts: list[bytes] = []
    lengths: list[bytes] = []
    codings: list[bytes] = []
    apart = {b"host": hosts, b"content-length": lengths, b"transfer-encoding": codings}
    fields: list[tuple[bytes, bytes]] = []
    for line in lines:
        name, value = field = parse_field(line)
        special = apart.get(name.lower())
        if special is not None:
            special.append(value)
        if special is None or special is hosts:
            fields.append(field)
    if len(hosts) > 1 or (not hosts and version == b"HTTP/1.1"):
        raise BadRequest("A request has exactly one Host header field.")
    if hosts and not _is_host(hosts[0]):
        raise BadRequest("The Host header field does not name a host.")
    if not target.startswith(b"/") and (method, target) != (b"OPTIONS", b"*"):
        authority, target = _taken_apart(target, method)
        fields = [(b"Host", authority), *(field for field in fields if field[0].lower() != b"host")]
    head = Head(method, target, version, tuple(fields), _length(version, lengths, codings))
    if head.length != 0 and head.handshake:
        raise BadRequest("A WebSocket handshake has no body.")
    return head


@lru_cache(maxsize=KEPT_HEADS)
def parse_repeated_head(octets: bytes) -> Head:
    """As `parse_head`; returns the same head for octets that it saw lately.

    A client that keeps its connection repeats its heads: only the length of the body differs, if anything does.
    """
    return parse_head(octets)


def parse_field(line: bytes) -> tuple[bytes, bytes]:
    """The name and the value of a header or trailer field.

    A folded value (RFC 9112 section 5.2) is refused: its second line has no name.

    Raises:
        BadRequest: it is no field.
    """
    name, colon, value = line.partition(b":")
    if not colon:
        raise BadRequest("A header field has no colon.")
    if not _TOKEN.fullmatch(name):
        raise BadRequest("The name of a header field is not a token.")
    if value.translate(None, _VALUE_OCTETS):
        raise BadRequest("The value of a header field contains control characters.")
    return name, value.strip(b" \t")


def has_bare_line_feed(octets: bytes | bytearray, start: int, stop: int) -> bool:
    """Whether a line ends in LF alone (RFC 9112 section 2.2 lets a server accept it; proxies disagree about it).

    Arguments:
        start, stop: where to look.
    """
    return octets.count(b"\n", start, stop) != octets.count(b"\r\n", max(0, start - 1), stop)


def head_too_long(octets: bytes, limit: int) -> TargetTooLong | HeadersTooLarge:
    """The refusal of a head longer than `limit` bytes, of which `octets` were read."""
    if b"\r\n" not in octets and octets.count(b" ") == 1:  # a method, and an endless target.
        return TargetTooLong(TARGET_LIMIT)
    return HeadersTooLarge(f"The request head is longer than {limit} bytes.", limit)


def path_and_query(target: bytes) -> tuple[tuple[str, ...], dict[str, tuple[str, ...]]]:
    """The segments of a target's path, and every value of each query parameter; all unquoted.

    Arguments:
        target: in origin form.

    Raises:
        BadRequest: they are not UTF-8.
    """
    path, _, query = target.decode("ascii").partition("?")
    segments: Iterable[str] = path.removeprefix("/").split("/")
    try:
        if "%" in path:  # as in few paths; unquoting takes calls for each segment.
            segments = [unquote(segment, errors="strict") for segment in segments]
        pairs = parse_qsl(query, errors="strict", keep_blank_values=True) if query else []
    except UnicodeDecodeError:
        raise BadRequest("The request target is not UTF-8.") from None
    parameters: dict[str, tuple[str, ...]] = {}
    for name, value in pairs:
        parameters[name] = (*parameters.get(name, ()), value)
    return tuple(segments), parameters


def _request_line(line: bytes) -> tuple[bytes, bytes, bytes]:
    """Method, target and version; a later HTTP/1.x counts as 1.1 (RFC 9110 section 6.2)."""
    words = line.split(b" ")
    if len(words) != 3:
        raise BadRequest("The request line is not method, target and version.")
    method, target, version = words
    match = _VERSION.fullmatch(version)
    if match is None:
        raise BadRequest("The request line does not end with an HTTP version.")
    if match[1] != b"1":
        raise VersionNotSupported
    if not _TOKEN.fullmatch(method):
        raise BadRequest("The method is not a token.")
    if len(target) > TARGET_LIMIT:
        raise TargetTooLong(TARGET_LIMIT)
    if not _TARGET.fullmatch(target):
        raise BadRequest("The request target contains invalid characters.")
    return method, target, b"HTTP/1.0" if match[2] == b"0" else b"HTTP/1.1"


def _taken_apart(target: bytes, method: bytes) -> tuple[bytes, bytes]:
    """The authority and the origin form of a target in absolute form (RFC 9112 section 3.2.2)."""
    match = _ABSOLUTE.fullmatch(target)
    if match is None:
        raise BadRequest("The request target is neither a path nor an HTTP URL.")
    authority, rest = match["authority"], match["rest"]
    if authority.startswith(b":") or not authority or not _is_host(authority):
        raise BadRequest("The request target does not name a host.")
    if method == b"OPTIONS" and not rest:
        return authority, b"*"  # RFC 9112 section 3.2.4.
    return authority, rest if rest.startswith(b"/") else b"/" + rest


@lru_cache(maxsize=64)  # a server has few names.
def _is_host(value: bytes) -> bool:
    """Whether this is uri-host [ ":" port ] (RFC 9110 section 7.2); it may be empty."""
    match = _HOST.fullmatch(value)
    if match is None or int(match["port"] or 0) > 65535:
        return False
    if match["ipv6"] is not None:
        try:
            IPv6Address(match["ipv6"].decode("ascii"))
        except ValueError:
            return False
    return True


def _length(version: bytes, lengths: Sequence[bytes], codings: Sequence[bytes]) -> int | None:
    """Bytes of the body; None for chunks (RFC 9112 section 6.3).

    Refuses what RFC 9112 lets a server accept at its own risk: both fields, or one of them twice.
    """
    if codings:
        if lengths:
            raise BadRequest("A request has either Content-Length or Transfer-Encoding.")
        if version == b"HTTP/1.0":
            raise BadRequest("HTTP/1.0 has no Transfer-Encoding.")
        names = [name.strip(b" \t").lower() for value in codings for name in value.split(b",")]
        if names[-1] != b"chunked" or names.count(b"chunked") > 1:
            raise BadRequest("Transfer-Encoding must end in chunked, once.")
        if len(names) > 1:
            raise CodingNotImplemented
        return None
    if not lengths:
        return 0
    if len(lengths) > 1 or not lengths[0].isdigit():
        raise BadRequest("Content-Length is not a single number.")
    digits = lengths[0].lstrip(b"0") or b"0"
    return int(digits) if len(digits) < len(str(MAX_CONTENT_LENGTH)) else MAX_CONTENT_LENGTH
