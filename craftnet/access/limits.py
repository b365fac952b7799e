"""The limits of one player, of one address and of the whole server. Zero means no limit."""

from __future__ import annotations

from msgspec import Struct

from craftnet.access.networks import LOOPBACK, Networks

BURST = 4.0
"""Seconds' worth of a rate that may arrive at once."""


class Limits(Struct, frozen=True, kw_only=True):
    """The limits of the WebSocket and HTTP side.

    Attributes:
        connections: WebSockets in all.
        per_player, per_session, per_address: WebSockets of one player, to one crafting session, from one address.
        handshakes: WebSocket handshakes per second from one address.
        health: requests per second from one address to GET /health and GET /health/ws.
        health_batches: requests per second from one address to POST /health/batch.
        connects: requests per second from one address to …/connect.
        connects_per_player: requests per second about one player's sessions, from any address.
        messages: frames per second from one client, pings included.
        message_size: octets of one message from a client.
        half_open: connections that have not sent a whole request yet.
        half_open_per_address: the same from one address.
        refused_pages: refused handshakes of browsers that are being closed with a code that says why.
        patience: seconds for a handshake's head to arrive, and again for its answer.
        unlimited: the addresses that are exempt from all limits per address.
    """

    connections: int = 20_000
    per_player: int = 50
    per_session: int = 100
    per_address: int = 1_000
    handshakes: float = 50.0
    health: float = 20.0
    health_batches: float = 5.0
    connects: float = 10.0
    connects_per_player: float = 2.0
    messages: float = 5.0
    message_size: int = 16_384
    half_open: int = 2_000
    half_open_per_address: int = 200
    refused_pages: int = 1_000
    patience: float = 10.0
    unlimited: Networks = LOOPBACK
