"""What a client may say on an open feed: here is a fresh token. And what it is answered. Pure.

Text messages of JSON on every subprotocol. Only who sent a token is answered, so that a client which knows the feed's
messages alone never meets these.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from craftnet.messages import MALFORMED


class TokenOffer(Struct, frozen=True, tag="token"):
    """A fresh token for the feed that it is sent on."""

    token: Annotated[str, Meta(min_length=1)]

    def __repr__(self) -> str:
        return "TokenOffer(…)"


class TokenAccepted(Struct, frozen=True, tag="token_accepted"):
    """The feed goes on with it.

    Attributes:
        expires_in: whole seconds that it holds from now on.
    """

    timestamp: str
    expires_in: int


class TokenRefused(Struct, frozen=True, tag="token_refused"):
    """The feed goes on with the one before, while that holds."""

    timestamp: str
    code: int
    message: str


Answer = TokenAccepted | TokenRefused

_offers = msgspec.json.Decoder(TokenOffer)
_answers: msgspec.json.Decoder[Answer] = msgspec.json.Decoder(Answer)


def read_offer(payload: bytes) -> TokenOffer | None:
    """A client's message; None if it is nothing that a client may say."""
    try:
        return _offers.decode(payload)
    except MALFORMED:
        return None


def read_answer(payload: bytes) -> Answer | None:
    """A server's message; None if it answers no offer."""
    try:
        return _answers.decode(payload)
    except MALFORMED:
        return None
