"""The datagrams of the handshake. The MAC that ends each is no part of what is here."""

from __future__ import annotations

from craftnet.protocols import layouts
from craftnet.protocols.codec.numbers import exactly
from craftnet.protocols.derivation import derive
from craftnet.protocols.records import Challenge, Cookie, Hello, Response

_hello = derive(layouts.Hello)
_challenge = derive(layouts.Challenge)
_response = derive(layouts.Response)


def encode_hello(hello: Hello) -> bytes:
    """A HELLO without its MAC."""
    return _hello.pack(hello.connection_id, hello.client_nonce)


def decode_hello(octets: bytes) -> Hello:
    """A HELLO from all before its MAC."""
    exactly(octets, _hello.size)
    connection_id, client_nonce = _hello.unpack(octets, 0)
    assert isinstance(connection_id, int) and isinstance(client_nonce, bytes)
    return Hello(connection_id, client_nonce)


def encode_challenge(challenge: Challenge) -> bytes:
    """A CHALLENGE without its MAC."""
    cookie = challenge.cookie
    return _challenge.pack(
        challenge.connection_id, challenge.client_nonce, cookie.issued_us, cookie.server_nonce, cookie.seal
    )


def decode_challenge(octets: bytes) -> Challenge:
    """A CHALLENGE from all before its MAC."""
    exactly(octets, _challenge.size)
    return Challenge(*_with_cookie(_challenge.unpack(octets, 0)))


def encode_response(response: Response) -> bytes:
    """A RESPONSE without its MAC."""
    cookie = response.cookie
    return _response.pack(
        response.connection_id, response.client_nonce, cookie.issued_us, cookie.server_nonce, cookie.seal
    )


def decode_response(octets: bytes) -> Response:
    """A RESPONSE from all before its MAC."""
    exactly(octets, _response.size)
    return Response(*_with_cookie(_response.unpack(octets, 0)))


def _with_cookie(values: tuple[object, ...]) -> tuple[int, bytes, Cookie]:
    connection_id, client_nonce, issued, server_nonce, seal = values
    assert isinstance(connection_id, int) and isinstance(client_nonce, bytes) and isinstance(issued, int)
    assert isinstance(server_nonce, bytes) and isinstance(seal, bytes)
    return connection_id, client_nonce, Cookie(issued, server_nonce, seal)
