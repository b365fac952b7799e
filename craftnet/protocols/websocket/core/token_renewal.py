"""Messages of a client on an open feed: a fresh token, and its answers. Pure.

Text messages of JSON on every subprotocol. Only a client that sent a token receives an answer, so clients that know
only the feed's messages never meet these.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from craftnet.contract.messages import MALFORMED


class TokenOffer(Struct, frozen=True, tag="token"):
    """A fresh token for the feed on which it is sent."""

    token: Annotated[str, Meta(min_length=1)]
    """A JWT of the same player that allows no less than the one before."""

    def __repr__(self) -> str:
        return "TokenOffer(…)"


class TokenAccepted(Struct, frozen=True, tag="token_accepted"):
    """The feed continues with the fresh token."""

    timestamp: str
    """When the answer was made, RFC 3339."""
    expires_in: int
    """Whole seconds until the fresh token expires."""


class TokenRefused(Struct, frozen=True, tag="token_refused"):
    """The feed continues with the previous token until that expires."""

    timestamp: str
    """When the answer was made, RFC 3339."""
    code: int
    """The HTTP status that a request with this token would get."""
    message: str
    """Why the token was refused, in English."""


Answer = TokenAccepted | TokenRefused

_offers = msgspec.json.Decoder(TokenOffer)
_answers: msgspec.json.Decoder[Answer] = msgspec.json.Decoder(Answer)


def read_offer(payload: bytes) -> TokenOffer | None:
    """Parses a client's message; None if it is nothing that a client may send."""
    try:
        return _offers.decode(payload)
    except MALFORMED:
        return None


def read_answer(payload: bytes) -> Answer | None:
    """Parses a server's message; None if it does not answer an offer."""
    try:
        return _answers.decode(payload)
    except MALFORMED:
        return None
