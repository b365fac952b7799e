"""The opening handshake as a server reads it (RFC 6455 section 4.2.1). Pure.

Autobahn's own parser is not used: its refusals quote what was sent, tokens included, it refuses offers of extensions
that it could decline, and it judges the Origin by rules of its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from msgspec import Struct

from craftnet.errors import BadRequest, UpgradeRequired
from craftnet.http.request_head import QUOTED_STRING, TOKEN, Head, path_and_query

WEBSOCKET_VERSION = b"13"
"""The supported version of the protocol."""

_KEY = re.compile(rb"[A-Za-z0-9+/]{22}==")
_TOKEN = re.compile(TOKEN)
_PARAMETER = rb"[ \t]*;[ \t]*" + TOKEN + rb"(?:[ \t]*=[ \t]*(?:" + TOKEN + b"|" + QUOTED_STRING + b"))?"
_EXTENSION = rb"[ \t]*" + TOKEN + b"(?:" + _PARAMETER + rb")*[ \t]*"
_EXTENSIONS = re.compile(rb"(?:[ \t]*,)*" + _EXTENSION + b"(?:,(?:" + _EXTENSION + rb"|[ \t]*))*")


class OpeningHandshake(Struct, frozen=True):
    """A client's opening handshake.

    Attributes:
        path: unquoted, without the query.
        params: every value of each query parameter.
        headers: every header field by lower-case name.
        key: the Sec-WebSocket-Key.
        protocols: the entries of Sec-WebSocket-Protocol, a token included.
    """

    path: str
    params: Mapping[str, Sequence[str]]
    headers: Mapping[str, str]
    key: str
    protocols: tuple[str, ...]


def read_handshake(head: Head) -> OpeningHandshake:
    """Parses a request with the Upgrade and Connection fields of a handshake.

    Raises:
        UpgradeRequired: its version is not supported (section 4.4).
        BadRequest: it is malformed. The text never repeats what was sent.
    """
    if head.values(b"sec-websocket-version") != [WEBSOCKET_VERSION]:
        raise UpgradeRequired("The WebSocket handshake needs one Sec-WebSocket-Version: 13.")
    keys = head.values(b"sec-websocket-key")
    if len(keys) != 1 or not _KEY.fullmatch(keys[0]):
        raise BadRequest("The WebSocket handshake needs one Sec-WebSocket-Key of 16 bytes in base64.")
    offered = head.members(b"sec-websocket-protocol")
    if not all(map(_TOKEN.fullmatch, offered)):
        raise BadRequest("An entry of Sec-WebSocket-Protocol is not a token.")
    if len(set(offered)) < len(offered):
        raise BadRequest("Sec-WebSocket-Protocol repeats an entry.")
    if len(head.values(b"origin")) > 1:
        raise BadRequest("The WebSocket handshake has more than one Origin.")
    extensions = head.values(b"sec-websocket-extensions")
    if extensions and not _EXTENSIONS.fullmatch(b",".join(extensions)):  # section 9.1; offers are only declined.
        raise BadRequest("Sec-WebSocket-Extensions is malformed.")
    segments, query = path_and_query(head.target)
    return OpeningHandshake(
        path="/" + "/".join(segment.replace("/", "%2F") for segment in segments),
        params=query,
        headers=head.text,
        key=keys[0].decode("ascii"),
        protocols=tuple(entry.decode("ascii") for entry in offered),
    )
