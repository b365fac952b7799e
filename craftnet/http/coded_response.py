"""A response in two codings, plain and gzip, each with an entity tag, and the choice between them for a request."""

from __future__ import annotations

import gzip
from hashlib import blake2b

from msgspec import Struct
from msgspec.structs import replace

from craftnet.http.exchange import Call, Response
from craftnet.http.negotiation import accepts_gzip, matches

DIGEST_BYTES = 12
"""Bytes of the digest in an entity tag."""

KEPT = ("Cache-Control", "ETag", "Vary")
"""The header fields of a 304 (RFC 9110 section 15.4.5)."""


class CodedResponse(Struct, frozen=True):
    """A response in both codings. Each has its own entity tag, as strong ones must (RFC 9110 section 8.8.3.3)."""

    plain: Response
    compressed: Response
    etags: frozenset[str]

    @classmethod
    def of(cls, response: Response) -> CodedResponse:
        """Compresses a response, and adds the entity tags and `Vary`."""
        body = response.body or b""
        digest = blake2b(body, digest_size=DIGEST_BYTES).hexdigest()
        plain, compressed = f'"{digest}"', f'"{digest}-gzip"'
        headers = {**response.headers, "Vary": "Accept-Encoding"}
        return cls(
            replace(response, headers={**headers, "ETag": plain}),
            replace(
                response,
                body=gzip.compress(body, mtime=0),
                headers={**headers, "ETag": compressed, "Content-Encoding": "gzip"},
            ),
            frozenset({plain, compressed}),
        )

    def answer(self, call: Call) -> Response:
        """The coding that the client accepts, or 304 if the client has the response already."""
        response = self.compressed if accepts_gzip(call.header("Accept-Encoding")) else self.plain
        if response.status == 200 and matches(call.header("If-None-Match"), self.etags):
            return Response(304, headers={name: response.headers[name] for name in KEPT})
        return response
