"""Records the security events of UDP connections: forged datagrams, moves, key updates."""

from __future__ import annotations

from craftnet.interfaces import IAuditLog
from craftnet.observe.audit.events import Details, SecurityEvent, SecurityEventType
from craftnet.protocols.udp.core.cookie import Address
from craftnet.protocols.udp.server.connection import ServerConnection

TRANSPORT = "udp"


class ConnectionAudit:
    """Records what happens to the connections of one socket.

    Moves and key updates are recorded with the next heartbeat of the client, a few seconds later, so that no other
    datagram takes longer.
    """

    def __init__(self, audit: IAuditLog) -> None:
        self._audit = audit

    def forged(self, address: Address) -> None:
        """A datagram failed authentication."""
        self._audit.record(SecurityEvent(type=SecurityEventType.FORGED, address=address[0], transport=TRANSPORT))

    def heartbeat(self, peer: ServerConnection) -> None:
        """The client of a connection has sent a heartbeat."""
        outgoing, incoming = peer.channel.outgoing, peer.channel.incoming
        path = peer.path
        if path is not None and path.former is not None:
            former, path.former = path.former, None
            self._record(peer, SecurityEventType.MIGRATED, {"from": _text(former), "to": _text(peer.address)})
        if outgoing.updated:
            outgoing.updated = False
            self._record(peer, SecurityEventType.KEYS_UPDATED, {"sender": "server"})
        if incoming.updated:
            incoming.updated = False
            self._record(peer, SecurityEventType.KEYS_UPDATED, {"sender": "client"})

    def _record(self, peer: ServerConnection, kind: SecurityEventType, details: Details) -> None:
        address = peer.address[0]
        event = SecurityEvent(
            type=kind, player_id=peer.player_id, address=address, transport=TRANSPORT, details=details
        )
        self._audit.record(event)


def _text(address: Address) -> str:
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
