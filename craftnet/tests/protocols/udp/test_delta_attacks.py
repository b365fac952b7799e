"""Attacks on deltas, by a client or from the path."""

from __future__ import annotations

from math import inf

from msgspec.structs import replace

from craftnet.contract.messages import Status
from craftnet.errors import BadDatagram
from craftnet.protocols.udp.core.keys import client_key, server_key
from craftnet.protocols.udp.core.table_delta import KEPT_TABLES
from craftnet.protocols.udp.server import closing, connection, forgery_limiter
from craftnet.protocols.wire import codec
from craftnet.protocols.wire.records import CloseReason, DatagramKind, HeartbeatBody
from craftnet.tests.support.attack_case import AttackCase
from craftnet.tests.support.samples import NOW, running
from craftnet.tests.support.udp_lab import SECRET, datagrams, held, table


class StateTests(AttackCase):
    """Attacks on deltas, by a client or from the path."""

    def test_delta_against_an_evicted_baseline(self) -> None:
        """The baseline is no longer kept: the whole table is sent, and the client has it."""
        (full,) = datagrams(self.lab.update(self.peer, table(), NOW))
        self.client.receive(full, NOW)
        for answer in self.client.tick(self.client.deadline).datagrams:
            self.lab.send(answer)
        sizes = []
        for version in range(2, KEPT_TABLES + 4):
            now = NOW + version
            sizes += [len(d) for d in datagrams(self.lab.update(self.peer, table(version, iron=version), now))]
        self.assertGreater(max(sizes), min(sizes) + 40)
        self.assertGreater(sizes[-1], min(sizes) + 40)

    def test_a_client_that_acknowledges_an_evicted_table(self) -> None:
        for version in range(1, KEPT_TABLES + 3):
            self.lab.update(self.peer, table(version, iron=version), NOW)
        self.lab.send(self.forge(DatagramKind.ACK, codec.encode_held({0: 1})))
        self.assertEqual(self.lab.counted["accepted"], 1)

    def test_a_client_without_the_baseline_asks_for_everything(self) -> None:
        server = self.peer.channel
        output = self.client.receive(server.seal(DatagramKind.STATE, bytes.fromhex("05 00000009 01 0002 01 4128")), NOW)
        self.assertEqual([datagram[0] & 0x1F for datagram in output.datagrams], [DatagramKind.RESYNC])

    def test_resync_flood(self) -> None:
        self.lab.update(self.peer, running(), NOW)
        answered = 0
        for number in range(150):
            now = NOW + number / 100
            answered += len(datagrams(self.lab.send(self.forge(DatagramKind.RESYNC, b""), now)))
        self.assertLessEqual(answered, 5)

    def test_datagram_flood_of_an_authentic_client(self) -> None:
        for number in range(1000):
            self.lab.send(self.heartbeat(NOW + number / 1000), NOW + number / 1000)
        self.assertGreater(self.lab.counted["flooding"], 650)
        self.assertEqual(self.lab.counted["accepted"] + self.lab.counted["flooding"], 1000)

    def test_a_flood_in_a_victims_name_does_not_outlast_itself(self) -> None:
        """A datagram from a connection's address is always decrypted; the cost of forgeries is soon forgotten."""
        forged = self.heartbeat()[:-16] + bytes(16)
        for _ in range(50 * int(forgery_limiter.FORGERY_BURST)):
            self.lab.send(forged)
        later = NOW + 1
        (hello,) = self.lab.client_connection(self.ticket).start(later).datagrams
        self.assertEqual(len(datagrams(self.lab.send(hello, later))), 1)

    def test_pre_authentication_drain_of_a_victims_budget(self) -> None:
        """A forger of the victim's address that knows its connection id uses up none of the victim's budget."""
        forged = self.heartbeat()[:-16] + bytes(16)
        for _ in range(10 * int(forgery_limiter.FORGERY_BURST + connection.DATAGRAM_BURST)):
            self.lab.send(forged)
        self.assertEqual(self.lab.send(self.heartbeat()), [])
        self.assertEqual(self.lab.counted["accepted"], 1)
        self.assert_well()

    def test_lying_timestamps(self) -> None:
        """They make the client's own figures wrong, within bounds, and nothing else."""
        for lie in (0, 1, 2**63, 2**64 - 1):
            self.lab.send(
                self.forge(DatagramKind.HEARTBEAT, codec.encode_heartbeat(HeartbeatBody(lie, lie, 2**64 - 1 - lie)))
            )
        conditions = self.peer.conditions
        self.assertLess(conditions.jitter, 60)
        self.assertTrue(conditions.round_trip is None or 0 <= conditions.round_trip <= 60)
        self.assert_well()

    def test_out_of_memory_by_sources(self) -> None:
        sources = forgery_limiter.ForgeryLimiter()
        for number in range(2 * forgery_limiter.MAX_SOURCES):
            sources.charge((f"198.51.{number >> 8}.{number & 255}", 1), NOW)
        self.assertEqual(len(sources), forgery_limiter.MAX_SOURCES)

    def test_many_addresses_of_one_prefix(self) -> None:
        sources = forgery_limiter.ForgeryLimiter()
        for number in range(int(forgery_limiter.FORGERY_BURST) + 2):
            sources.charge((f"2001:db8:1:2::{number:x}", 1), NOW)
        self.assertTrue(sources.exhausted(("2001:db8:1:2:ffff::1", 1), NOW))
        self.assertFalse(sources.exhausted(("2001:db8:1:3::1", 1), NOW))

    def test_forgeries_from_one_ipv4_address_on_a_socket_that_takes_both(self) -> None:
        sources = forgery_limiter.ForgeryLimiter()
        for _ in range(int(forgery_limiter.FORGERY_BURST) + 2):
            sources.charge(("::ffff:198.51.100.1", 1), NOW)
        self.assertTrue(sources.exhausted(("::ffff:198.51.100.1", 2), NOW))
        self.assertFalse(sources.exhausted(("::ffff:203.0.113.7", 1), NOW))

    def test_a_client_that_acknowledges_nothing(self) -> None:
        """It is alive, but its end does not wait for it for ever."""
        self.lab.update(self.peer, running(), NOW)
        self.lab.endpoint.close(self.peer, CloseReason.EXPIRED, NOW)
        closes = self._live_on(NOW, closing.MAX_CLOSE_DELAY - 1)
        self.assertEqual(closes, 0)
        self.assertIsNone(self.peer.finished)
        closes = self._live_on(NOW + closing.MAX_CLOSE_DELAY - 1, 60)
        self.assertEqual(closes, closing.MAX_CLOSE_ATTEMPTS)
        self.assertIs(self.peer.finished, CloseReason.EXPIRED)
        self.assertEqual(len(self.lab.endpoint), 0)

    def _live_on(self, now: float, seconds: float) -> int:
        """The client sends heartbeats and acknowledges nothing; how often it is sent a CLOSE meanwhile."""
        until, closes = now + seconds, 0
        while now < until:
            now += 1
            while (deadline := self.lab.endpoint.deadline) is not None and deadline <= now:
                sent = datagrams(self.lab.endpoint.tick(deadline))
                closes += sum(datagram[0] & 31 == DatagramKind.CLOSE for datagram in sent)
            self.lab.send(self.heartbeat(now), now)
        return closes

    def test_rotation_with_reversed_roles(self) -> None:
        """The keys of one direction never open the other, in no generation."""
        ours, theirs = (key(SECRET, b"c" * 16, b"s" * 16) for key in (client_key, server_key))
        sealed = ours.successor().seal(1, b"header", b"content")
        for key in (ours, theirs, theirs.successor()):
            self.assertRaises(BadDatagram, key.open, 1, b"header", sealed)

    def test_terminal_state_survives_a_dead_line(self) -> None:
        """Nothing arrives for almost three heartbeats; then the end does."""
        over = replace(running(), progress=replace(running().progress, status=Status.COMPLETED, percent=100.0))
        self.lab.update(self.peer, over, NOW)
        self.lab.endpoint.close(self.peer, CloseReason.ENDED, NOW)
        now, events = NOW, []
        while self.client.over is None and now < NOW + 14.9:
            now = self.lab.endpoint.deadline or inf
            for datagram in datagrams(self.lab.endpoint.tick(now)):
                if now > NOW + 9:
                    output = self.client.receive(datagram, now)
                    events += output.events
                    for answer in output.datagrams + self.client.tick(now + 0.02).datagrams:
                        self.lab.send(answer, now + 0.02)
        self.assertTrue(events)
        self.assertEqual(held(self.client).progress.progress, over.progress)
