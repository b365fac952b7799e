"""`/ws/dictionaries/{id}`: the preset dictionaries of the compressed WebSocket subprotocol."""

from __future__ import annotations

from craftnet.errors import NotFound
from craftnet.http.exchange import OCTETS, Call, Endpoint, Response
from craftnet.http.negotiation import matches
from craftnet.protocols.websocket.compression import KNOWN, UnknownDictionary, dictionary

FOREVER = 365 * 24 * 3600
"""Seconds. A dictionary never changes; a better one gets another id."""


class Dictionaries(Endpoint):
    """Public: dictionaries contain only field names and typical values."""

    async def respond(self, call: Call) -> Response:
        """The octets of a dictionary, or 304."""
        text = call.parameters["id"]
        try:
            found = dictionary(int(text) if text.isascii() and text.isdecimal() and len(text) < 4 else 0)
        except UnknownDictionary:
            raise NotFound("There is no such dictionary.", details={"dictionaries": list(KNOWN)}) from None
        etag = f'"{found.digest}"'
        headers = {"ETag": etag, "Cache-Control": f"public, max-age={FOREVER}, immutable"}
        if matches(call.header("If-None-Match"), frozenset({etag})):
            return Response(304, headers=headers)
        return Response(200, found.octets, headers, OCTETS)
