"""Players who watch a whole node with the project's own client, and record what they saw."""

from __future__ import annotations

import re
from collections.abc import Sequence
from random import Random
from typing import Any
from uuid import UUID

import treq
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from zope.interface import implementer

from craftnet.client.core.address import Address
from craftnet.client.core.connection_quality import ConnectionQuality
from craftnet.client.core.endings import Ending
from craftnet.client.core.feed import WatchedSession
from craftnet.client.core.interfaces import IObserver
from craftnet.client.core.watch import Watch, WatchOutcome
from craftnet.client.transports.udp import UdpTransport
from craftnet.client.transports.websocket import WebSocketTransport
from craftnet.clocks import steady
from craftnet.contract.messages import WebSocketCraftingMessage
from craftnet.crafting.state import SessionState
from craftnet.runtime.backoff import Backoff
from craftnet.tests.support.live import token

Kind = type[WebSocketTransport | UdpTransport]
Watching = Deferred[WatchOutcome]


@implementer(IObserver)
class Seen:
    """What a watcher saw.

    Attributes:
        positions: of WebSocket, by epoch.
        percents: of progress, and over UDP the state's version as well.
        endings: of connections.
    """

    def __init__(self) -> None:
        self.positions: dict[str, list[int]] = {}
        self.percents: list[float] = []
        self.versions: list[int] = []
        self.endings: list[Ending] = []
        self.feed: WatchedSession | None = None

    def connecting(self, transport: str) -> None:
        """As in `IObserver`."""

    def updated(self, transport: str, update: Any, feed: WatchedSession) -> None:
        """As in `IObserver`."""
        self.feed = feed
        if isinstance(update.state, SessionState):
            self.versions.append(update.state.version)
        for message in update.messages:
            if isinstance(message, WebSocketCraftingMessage):
                if message.epoch is not None and message.version is not None:
                    self.positions.setdefault(message.epoch, []).append(message.version)
                if message.progress_data is not None:
                    self.percents.append(message.progress_data.progress_percentage)

    def measured(self, transport: str, line: ConnectionQuality) -> None:
        """As in `IObserver`."""

    def waiting(self, delay: float, ending: Ending) -> None:
        """As in `IObserver`."""
        self.endings.append(ending)

    @property
    def goes_back(self) -> str:
        """What became older than before."""
        rows: dict[str, Sequence[float]] = {"percent": self.percents, "version": self.versions, **self.positions}
        return ", ".join(f"{name}: {row}" for name, row in rows.items() if row != sorted(row))


def watch(port: int, session: UUID, player: UUID, kind: Kind) -> tuple[Seen, Watching]:
    """Starts watching at a port of this machine; a disconnected player returns soon."""
    seen = Seen()
    transport = kind(steady(reactor), Address(f"http://127.0.0.1:{port}"), session, player, token(player))
    backoff = Backoff(first=0.1, cap=0.5, uniform=Random(session.int).uniform)
    return seen, Watch(reactor, session, [transport], seen, backoff).start()


def give_up(watching: Watching) -> None:
    """Stops watching; harmless when it has ended."""
    watching.addErrback(lambda failure: failure.trap(CancelledError) and None)
    watching.cancel()


async def connections(url: str, transport: str) -> float:
    """How many connections a service has: websocket, or udp."""
    response = await treq.get(f"{url}/metrics", persistent=False)
    found = re.search(
        rf'^craftnet_connections\{{transport="{transport}"\}} (\S+)$', await response.text(), re.MULTILINE
    )
    return float(found[1]) if found else 0.0
