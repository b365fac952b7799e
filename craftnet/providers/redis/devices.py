"""The devices of players in Redis: one state for each player, to which every node applies the same rules.

A node reads a state, applies a rule, and writes the result if no other node wrote meanwhile; then it sends a notice to
the other nodes to which devices of the player are connected. Notices may be lost: a node also reads its players'
states in turn, and those of a node that has ended at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from secrets import token_hex
from typing import Any
from uuid import UUID

import msgspec
from twisted.application.internet import TimerService
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from zope.interface import implementer

from craftnet.clocks import IClock
from craftnet.devices.rules import RETENTION, PlayerDevices, nodes_gone
from craftnet.devices.store import ISharedDeviceStore, Listener, Rule
from craftnet.errors import Unavailable
from craftnet.providers.redis import cluster_scripts as scripts
from craftnet.providers.redis.connection import RedisConnection
from craftnet.providers.redis.key_names import KeyNames
from craftnet.providers.redis.node_bus import RedisNodeRegistry

LEASE_SECONDS = 15.0
"""Seconds after which the devices of a silent node count as disconnected."""

TURN_SECONDS = 1.0
"""Seconds between two turns: each reads some players' states again."""

TURNS_PER_RENEWAL = 5
"""Turns after which a node renews its lease."""

PLAYERS_PER_TURN = 20
"""Players whose states a node reads again in one turn, because notices may be lost."""

MAX_ATTEMPTS = 20
"""Maximum number of attempts to write a state that other nodes change at the same time."""

_read = msgspec.json.Decoder(PlayerDevices).decode
_encode = msgspec.json.Encoder().encode


@implementer(ISharedDeviceStore)
class RedisDevices(TimerService):
    """One node's side.

    Arguments:
        name: of this node, by which other nodes reach it.

    Attributes:
        node: the same with a random end, since a node that starts again may have its former name.
        notify: called with the name of another node and a player whose devices have changed.
    """

    _log = Logger()

    def __init__(self, name: str, link: RedisConnection, keys: KeyNames, clock: IClock) -> None:
        super().__init__(TURN_SECONDS, self._turn)
        self.clock = self._clock = clock
        self.node = f"{name}/{token_hex(4)}"
        self.notify: Callable[[str, UUID], None] = lambda name, player_id: None
        self._link = link
        self._keys = keys
        self._nodes = RedisNodeRegistry(link, keys.of_devices, lifetime=LEASE_SECONDS)
        self._live: set[str] = set()
        self._watched: dict[UUID, set[str]] = {}  # the players, and the nodes of their devices.
        self._due: deque[UUID] = deque()
        self._turns = 0
        self._listener: Listener | None = None

    def follow(self, listener: Listener) -> None:
        """As in `IDeviceStore`."""
        self._listener = listener

    def watch(self, player_id: UUID) -> None:
        """As in `IDeviceStore`."""
        self._watched[player_id] = set()

    def unwatch(self, player_id: UUID) -> None:
        """As in `IDeviceStore`."""
        self._watched.pop(player_id, None)

    def update(self, player_id: UUID, rule: Rule) -> Deferred[PlayerDevices]:
        """As in `IDeviceStore`."""
        return Deferred.fromCoroutine(self._update(player_id, rule))

    def changed(self, player_id: UUID) -> None:
        """As in `ISharedDeviceStore`: reads them, if they are watched here."""
        if player_id in self._watched:
            refreshing = self.update(player_id, lambda state: state)
            refreshing.addErrback(lambda failure: failure.trap(Unavailable) and None)  # it is read again in turn.

    async def _update(self, player_id: UUID, rule: Rule) -> PlayerDevices:
        key = self._keys.devices(player_id)
        if self.node not in self._live:
            await self._renew()
        for _ in range(MAX_ATTEMPTS):
            version, octets = await self._link.run(scripts.READ_DEVICES, [key], (round(RETENTION * 1000),))
            before = _read(octets) if octets else PlayerDevices()
            if before.nodes - self._live:
                await self._renew()  # one of them may be new.
            after = rule(nodes_gone(before, before.nodes - self._live, self._clock.wall()))
            if after is before or await self._write(key, version, after):
                self._heard(player_id, before, after)
                return after
        raise Unavailable("Other nodes keep changing this player's devices.")

    async def _write(self, key: str, version: bytes, after: PlayerDevices) -> bool:
        """Whether the state is written: no other node has changed it since that version was read."""
        arguments = version, after.version, _encode(after), round(RETENTION * 1000)
        return bool(await self._link.run(scripts.WRITE_DEVICES, [key], arguments))

    def _heard(self, player_id: UUID, before: PlayerDevices, after: PlayerDevices) -> None:
        if after is not before:
            for node in (before.nodes | after.nodes) & self._live - {self.node}:
                self.notify(node.rpartition("/")[0], player_id)
        if player_id in self._watched:
            self._watched[player_id] = after.nodes
            if self._listener is not None:
                self._listener(player_id, after)

    def _turn(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._refresh()).addErrback(self._not_refreshed)

    async def _refresh(self) -> None:
        """Renews the lease when it is time, and reads some states again."""
        if self._turns % TURNS_PER_RENEWAL == 0:
            await self._renew()
        self._turns += 1
        if not self._due:
            self._due.extend(self._watched)
        for player_id in [self._due.popleft() for _ in range(min(PLAYERS_PER_TURN, len(self._due)))]:
            self.changed(player_id)

    async def _renew(self) -> None:
        """Renews the lease, and learns which nodes are alive."""
        before, self._live = self._live, set(await self._nodes.announce(self.node, b"1"))
        gone = before - self._live
        if gone:
            for player_id in [one for one, nodes in self._watched.items() if nodes & gone]:
                self.changed(player_id)

    def _not_refreshed(self, failure: Any) -> None:
        if not failure.check(Unavailable):  # health checks show that Redis is unreachable.
            self._log.failure("the devices of players could not be read again", failure)
