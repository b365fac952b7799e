"""The datagrams of the handshake, without the MAC at their end."""

from __future__ import annotations

from craftnet.protocols import layouts
from craftnet.protocols.derivation import Made, Part, form
from craftnet.protocols.records import Challenge, Cookie, Hello, Response

_COOKIE = Made(Cookie, (Part("issued_us"), Part("server_nonce"), Part("cookie")))

_hello = form(layouts.Hello, Hello, Part("connection_id"), Part("client_nonce"))
_challenge = form(layouts.Challenge, Challenge, Part("connection_id"), Part("client_nonce"), _COOKIE)
_response = form(layouts.Response, Response, Part("connection_id"), Part("client_nonce"), _COOKIE)


def encode_hello(hello: Hello) -> bytes:
    """A HELLO without its MAC."""
    return _hello.pack(hello)


def decode_hello(octets: bytes) -> Hello:
    """A HELLO from everything before its MAC."""
    return _hello.parse(octets)


def encode_challenge(challenge: Challenge) -> bytes:
    """A CHALLENGE without its MAC."""
    return _challenge.pack(challenge)


def decode_challenge(octets: bytes) -> Challenge:
    """A CHALLENGE from everything before its MAC."""
    return _challenge.parse(octets)


def encode_response(response: Response) -> bytes:
    """A RESPONSE without its MAC."""
    return _response.pack(response)


def decode_response(octets: bytes) -> Response:
    """A RESPONSE from everything before its MAC."""
    return _response.parse(octets)
