"""What a ticket lets its holder watch: sessions, each by the leave of a bearer token. Pure."""

from __future__ import annotations

from uuid import UUID

from msgspec import Struct

from craftnet.access.principal import Principal
from craftnet.protocols.records import CloseReason

MOST = 32
"""Sessions of one connection at a time."""

INDEXES = 256
"""Sessions of one ticket in its life: an index is never used twice, so that late datagrams mean what they meant."""


class Grant(Struct, eq=False, gc=False):
    """Leave to watch one session.

    Attributes:
        index: how the connection's datagrams name the session, 0–255.
        expires: when the bearer token ends, Unix seconds.
        bearer: whose token that is, where it is known.
        over: why the session is over for this ticket, while the client has not heard of that; else None.
    """

    index: int
    session_id: UUID
    expires: float
    bearer: Principal | None
    over: CloseReason | None = None
