"""Tests for `craftnet.protocols.feed.server.connections`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from craftnet.access.principal import Principal
from craftnet.protocols.feed.server.connections import Connections
from craftnet.tests.support.samples import NOW, OTHER_PLAYER, PLAYER


class FakeConnection:
    """A connection."""

    def __init__(self, expires: float, player: object = PLAYER, heartbeat_interval: int = 0) -> None:
        self.heartbeat_interval = heartbeat_interval
        self.sent_at = NOW
        self.principal = Principal(player, frozenset(), expires)  # type: ignore[arg-type]  # samples are UUIDs.


class ConnectionsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.connections: Connections[FakeConnection] = Connections(5)

    def add(self, expires: float, player: object = PLAYER, heartbeat_interval: int = 0) -> FakeConnection:
        connection = FakeConnection(expires, player, heartbeat_interval)
        self.connections.add(connection)
        return connection

    def test_each_expires_once(self) -> None:
        first, second = self.add(NOW + 10), self.add(NOW + 20)
        self.assertEqual(self.connections.expired(NOW + 9.9), [])
        self.assertEqual(self.connections.expired(NOW + 10), [first])
        self.assertEqual(self.connections.expired(NOW + 19), [])
        self.assertEqual(self.connections.expired(NOW + 100), [second])
        self.assertEqual(self.connections.expired(NOW + 200), [])

    def test_a_fresh_token(self) -> None:
        """The end moves, in either direction."""
        later, sooner = self.add(NOW + 10), self.add(NOW + 100)
        for connection, expires in ((later, NOW + 50), (sooner, NOW + 20)):
            connection.principal = Principal(PLAYER, frozenset(), expires)
            self.connections.renewed(connection)
        self.assertEqual(self.connections.expired(NOW + 10), [])
        self.assertEqual(self.connections.expired(NOW + 20), [sooner])
        self.assertEqual(self.connections.expired(NOW + 49), [])
        self.assertEqual(self.connections.expired(NOW + 50), [later])

    def test_silent(self) -> None:
        """Each connection that wants heartbeats, once per interval; anything sent to it postpones that."""
        five, nine = self.add(NOW + 1000, heartbeat_interval=5), self.add(NOW + 1000, heartbeat_interval=9)
        self.add(NOW + 1000)
        self.assertEqual(self.connections.silent(NOW + 4.9), [])
        self.assertEqual(self.connections.silent(NOW + 5), [five])
        nine.sent_at = NOW + 7
        self.assertEqual(self.connections.silent(NOW + 9.9), [])
        self.assertEqual(self.connections.silent(NOW + 10), [five])
        self.connections.discard(five)
        self.assertEqual(self.connections.silent(NOW + 15.9), [])
        self.assertEqual(self.connections.silent(NOW + 16), [nine])

    def test_heartbeats(self) -> None:
        """Each once in a round."""
        added = [self.add(NOW) for _ in range(20)]
        gone = added.pop()
        self.connections.discard(gone)
        round_ = [connection for _ in range(5) for connection in self.connections.heartbeats()]
        self.assertEqual(set(round_), set(added))
        self.assertEqual(len(round_), 19)

    def test_by_owner(self) -> None:
        mine, other = self.add(NOW), self.add(NOW, OTHER_PLAYER)
        self.assertEqual(self.connections.of(lambda principal: principal.player_id == OTHER_PLAYER), [other])
        self.assertCountEqual(self.connections, [mine, other])

    def test_gone(self) -> None:
        connection = self.add(NOW)
        for _ in range(2):
            self.connections.discard(connection)
        self.assertNotIn(connection, self.connections)
        self.assertEqual((len(self.connections), self.connections.expired(NOW)), (0, []))
