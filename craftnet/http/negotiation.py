"""Conditional requests and content codings: the meaning of a request's header fields (RFC 9110). Pure."""

from __future__ import annotations

import re
import zlib

from craftnet.errors import BadRequest, BodyTooLarge

GZIP = frozenset({"gzip", "x-gzip"})
"""Both names of the coding (RFC 9110 section 8.4.1.3)."""

MAX_GZIP_MEMBERS = 64
"""Maximum number of members of one gzip-coded body; each costs time, however short it is."""

_QVALUE = re.compile(r"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?")
"""A weight (RFC 9110 section 12.4.2); float() would also accept 1_0 and nan."""

_GZIP_FORMAT = 16 + zlib.MAX_WBITS
"""For zlib: gzip's header and trailer, and the longest window."""


_TAG = re.compile(r'(?:W/)?"[^"]*"')


def matches(if_none_match: str | None, etags: frozenset[str]) -> bool:
    """Whether the client already has one of these (RFC 9110 section 13.1.2, weak comparison).

    Arguments:
        if_none_match: the header field's value, or None.
        etags: entity tags with their quotes.
    """
    if if_none_match is None:
        return False
    if if_none_match.strip() == "*":
        return True
    return any(tag.removeprefix("W/") in etags for tag in _TAG.findall(if_none_match))


def differs(if_match: str | None, etag: str | None) -> bool:
    """Whether the client requires another representation than the present one (RFC 9110 section 13.1.1, strong
    comparison).

    Arguments:
        if_match: the header field's value, or None.
        etag: the present entity tag with its quotes; None when there is none.
    """
    return if_match is not None and if_match.strip() != "*" and etag not in _TAG.findall(if_match)


def accepts_gzip(accept_encoding: str | None) -> bool:
    """Whether the client accepts a gzip-coded body (RFC 9110 section 12.5.3)."""
    weights: dict[str, float] = {}
    for member in (accept_encoding or "").split(","):
        coding, _, parameter = member.partition(";")
        weights[coding.strip().lower()] = _weight(parameter)
    return weights.get("gzip", weights.get("x-gzip", weights.get("*", 0.0))) > 0


def media_weight(accept: str | None, media_type: str) -> float:
    """How much the client wants a media type, 0 to 1: the most specific range counts (RFC 9110 section 12.5.1).

    Arguments:
        accept: the header field's value; without one, or with an empty one, everything is wanted.
        media_type: without parameters, in lower case.
    """
    ranges: dict[str, float] = {}
    for member in (accept or "*/*").split(","):
        name, *parameters = member.split(";")
        weights = [_weight(each) for each in parameters if each.strip()[:2].lower() == "q="]
        ranges[name.strip().lower()] = weights[0] if weights else 1.0
    kind = media_type.partition("/")[0]
    return next((ranges[name] for name in (media_type, f"{kind}/*", "*/*") if name in ranges), 0.0)


def _weight(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    if name.strip().lower() != "q":
        return 1.0
    return float(value) if _QVALUE.fullmatch(value) else 0.0


def content_codings(content_encoding: str | None) -> tuple[str, ...]:
    """The codings that were applied to a body, in lower case and in order (RFC 9110 section 8.4)."""
    if content_encoding is None:
        return ()
    members = (member.strip().lower() for member in content_encoding.split(","))
    return tuple(member for member in members if member not in ("", "identity"))


def gunzip(body: bytes, limit: int) -> bytes:
    """Decompresses a gzip-coded body.

    Arguments:
        limit: maximum length of the result, in bytes.

    Raises:
        BadRequest: it is not in the gzip format (RFC 1952), or incomplete.
        BodyTooLarge: the result is longer.
    """
    plain, rest = bytearray(), body
    for _ in range(MAX_GZIP_MEMBERS):
        member = zlib.decompressobj(_GZIP_FORMAT)
        try:
            plain += member.decompress(rest, limit - len(plain) + 1)
        except zlib.error:
            raise BadRequest("The body is not in the gzip format that Content-Encoding names.") from None
        if len(plain) > limit:
            raise BodyTooLarge(limit)
        if not member.eof:
            raise BadRequest("The gzip-coded body is incomplete.")
        rest = member.unused_data
        if not rest:
            return bytes(plain)
    raise BadRequest(f"The gzip-coded body has more than {MAX_GZIP_MEMBERS} members.")
