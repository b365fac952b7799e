"""Tests for `craftnet.protocols.udp.server.security_events`: what is recorded of UDP connections."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from craftnet.observe.audit.events import SecurityEvent
from craftnet.observe.audit.recorder import SecurityEvents
from craftnet.protocols.udp.server.security_events import ConnectionAudit
from craftnet.tests.support.fakes import SteppedClock
from craftnet.tests.support.samples import NOW, PLAYER
from craftnet.tests.support.udp_lab import CLIENT, BadNetwork, Lab

NEW_ADDRESS = ("198.51.100.7", 40_000)


class SecurityEventTests(SynchronousTestCase):
    def network(self, key_rotation: float = 600.0) -> BadNetwork:
        """A connected client, on a network without faults."""
        self.events = SecurityEvents(SteppedClock(NOW))
        lab = Lab(key_rotation=key_rotation, audit=ConnectionAudit(self.events))
        network = BadNetwork(lab, lab.client_connection(lab.ticket()), seed=1, loss=0.0, noise=0.0)
        network.start()
        network.run(20.0)
        return network

    def recorded(self) -> list[SecurityEvent]:
        return self.events.recent()

    def test_nothing_to_record(self) -> None:
        self.network()
        self.assertEqual(self.recorded(), [])

    def test_move(self) -> None:
        """Recorded once, with both addresses, after the client has proved the new one."""
        network = self.network()
        network.address = NEW_ADDRESS
        network.run(60.0)
        (event,) = self.recorded()
        self.assertEqual((event.type, event.player_id, event.transport), ("udp.migrated", PLAYER, "udp"))
        self.assertEqual(event.details, {"from": f"{CLIENT[0]}:{CLIENT[1]}", "to": "198.51.100.7:40000"})

    def test_key_updates(self) -> None:
        """Of both directions; repetitions within the window are counted."""
        self.network(key_rotation=10.0).run(30.0)
        self.events.flush()
        senders = {str((event.details or {})["sender"]) for event in self.recorded()}
        self.assertIn("server", senders)
        self.assertEqual({event.type for event in self.recorded()}, {"udp.keys_updated"})
        self.assertGreaterEqual(sum(event.count for event in self.recorded()), 2)

    def test_forgeries(self) -> None:
        network = self.network()
        datagram = bytearray([octets for _, to_server, octets in network.overheard if to_server][-1])
        datagram[6] += 1  # of its number, which is authenticated.
        for _ in range(10):
            network.lab.send(bytes(datagram), network.now, NEW_ADDRESS)
        self.events.flush()
        self.assertEqual(
            [(event.type, event.count) for event in self.recorded()], [("udp.forged", 1), ("udp.forged", 9)]
        )
        self.assertEqual({event.address for event in self.recorded()}, {NEW_ADDRESS[0]})
