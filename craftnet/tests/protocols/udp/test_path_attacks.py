"""Attacks on connection migration and path validation."""

from __future__ import annotations

from craftnet.protocols.udp.client.received_state import MaterialsChanged
from craftnet.protocols.udp.core.cookie import Address
from craftnet.protocols.udp.core.pacing import MAX_RATE
from craftnet.protocols.udp.server import path_validation
from craftnet.protocols.wire.records import DatagramKind
from craftnet.tests.support.attack_case import THIRD, AttackCase, sent_to
from craftnet.tests.support.samples import NOW, running
from craftnet.tests.support.udp_lab import CLIENT, HEARTBEAT, OTHER_ADDRESS, datagrams, table


class MigrationTests(AttackCase):
    """Who else claims to be the client."""

    def _move(self, now: float, to: Address, trip: float = 0.0) -> None:
        """The client moves to another address and proves it; a round trip there takes `seconds`."""
        (challenge,) = sent_to(self.lab.send(self.heartbeat(now), now, to), to)
        (answer,) = self.client.receive(challenge, now).datagrams
        self.lab.send(answer, now + trip, to)

    def test_a_client_that_moves_keeps_its_connection(self) -> None:
        self.lab.update(self.peer, running(), NOW)
        self._move(NOW + 1, OTHER_ADDRESS)
        self.assertEqual(self.peer.address, OTHER_ADDRESS)
        self.assert_well(NOW + 1)

    def test_a_new_path_is_measured_from_the_start(self) -> None:
        """The round trip at the old address says nothing about the new one: no delay there counts as queueing."""
        self._beat(NOW + HEARTBEAT, 0.05, CLIENT)
        before = self.peer.conditions.round_trip
        assert before is not None
        self.assertGreater(before, 0)
        moved = NOW + HEARTBEAT + 1
        self._move(moved, OTHER_ADDRESS, 0.4)
        self.assertAlmostEqual(self.peer.conditions.round_trip or 0, 0.4, places=3)  # of the challenge and its answer.
        self._beat(moved + HEARTBEAT, 0.4, OTHER_ADDRESS)
        self.assertAlmostEqual(self.peer.conditions.round_trip or 0, 0.4, places=3)
        self.assertEqual(self.peer.send_queue.pace.rate, MAX_RATE)

    def test_a_delay_on_the_same_line_is_a_queue(self) -> None:
        for number in (1, 2):
            self._beat(NOW + number * HEARTBEAT, 0.05 if number == 1 else 2.0, CLIENT)
        self.assertEqual(self.peer.send_queue.pace.rate, MAX_RATE / 2)

    def _beat(self, now: float, trip: float, address: Address) -> None:
        """The server's heartbeat goes out at `now`, and the client's comes in a round trip later."""
        for datagram in datagrams(self.lab.endpoint.tick(now)):
            self.client.receive(datagram, now + trip / 2)
        self.lab.send(self.heartbeat(now + trip / 2), now + trip, address)

    def test_full_state_follows_a_move(self) -> None:
        self.lab.update(self.peer, table(), NOW)
        (challenge,) = sent_to(self.lab.send(self.heartbeat(), address=OTHER_ADDRESS), OTHER_ADDRESS)
        (answer,) = self.client.receive(challenge, NOW).datagrams
        (state,) = sent_to(self.lab.send(answer, address=OTHER_ADDRESS), OTHER_ADDRESS)
        self.assertEqual(self.client.receive(state, NOW).events, [MaterialsChanged(table())])

    def test_client_claiming_a_victims_address(self) -> None:
        """The victim receives no more than was sent in its name, and no state."""
        received = sent = 0
        for number in range(50):
            now = NOW + number / 5
            datagram = self.heartbeat(now)
            received += len(datagram)
            sent += sum(map(len, sent_to(self.lab.send(datagram, now, OTHER_ADDRESS), OTHER_ADDRESS)))
        self.assertLess(sent, received / 3)
        self.assertEqual(self.peer.address, CLIENT)

    def test_client_that_guesses_what_its_victim_was_asked(self) -> None:
        """It sends from an address at which it cannot hear: however often it answers there, nothing moves."""
        (challenge,) = sent_to(self.lab.send(self.heartbeat(), address=OTHER_ADDRESS), OTHER_ADDRESS)
        right = self._channel(self.client).open(challenge).body
        for position in range(8 * len(right)):
            wrong = (int.from_bytes(right, "big") ^ 1 << position).to_bytes(8, "big")
            self.assert_refused("path_wrong", self.forge(DatagramKind.PATH_RESPONSE, wrong), NOW + 1, OTHER_ADDRESS)
            self.assertEqual(self.peer.address, CLIENT)
        self.lab.send(self.forge(DatagramKind.PATH_RESPONSE, right), NOW + 1, OTHER_ADDRESS)
        self.assertEqual(self.peer.address, OTHER_ADDRESS)

    def test_short_datagrams_from_a_new_address_are_not_answered_with_longer_ones(self) -> None:
        (request,) = self.client.resync(NOW).datagrams
        self.assertEqual(sent_to(self.lab.send(request, address=OTHER_ADDRESS), OTHER_ADDRESS), [])

    def test_forwarded_copy(self) -> None:
        """An attacker on the path relays datagrams from an own address, and faster: it receives only a challenge."""
        datagram = self.heartbeat()
        (challenge,) = sent_to(self.lab.send(datagram, address=OTHER_ADDRESS), OTHER_ADDRESS)
        self.assert_refused("replayed", datagram)
        (answer,) = self.client.receive(challenge, NOW).datagrams  # even when it is handed on to the client:
        self.assert_refused("path_wrong", answer, address=CLIENT)  # the client answers from where it is.
        self.assertEqual(self.peer.address, CLIENT)
        self.assert_well()

    def test_an_old_copy_moves_nothing(self) -> None:
        old, new = self.heartbeat(), self.heartbeat()
        self.lab.send(new)
        self.assertEqual(sent_to(self.lab.send(old, address=OTHER_ADDRESS), OTHER_ADDRESS), [])

    def test_an_answer_that_comes_too_late(self) -> None:
        (challenge,) = sent_to(self.lab.send(self.heartbeat(), address=OTHER_ADDRESS), OTHER_ADDRESS)
        (answer,) = self.client.receive(challenge, NOW).datagrams
        self.assert_refused("path_wrong", answer, NOW + path_validation.CHALLENGE_LIFETIME, OTHER_ADDRESS)

    def test_an_answer_to_no_challenge(self) -> None:
        self.assert_refused("path_wrong", self.forge(DatagramKind.PATH_RESPONSE, bytes(8)))
        self.assert_refused("path_wrong", self.forge(DatagramKind.PATH_RESPONSE, bytes(8)), address=OTHER_ADDRESS)

    def test_migration_flapping(self) -> None:
        """Between two addresses, a hundred times a second: a challenge a second at most."""
        challenges = 0
        for number in range(1000):
            now = NOW + number / 100
            effects = self.lab.send(self.heartbeat(now), now, OTHER_ADDRESS if number % 2 else THIRD)
            challenges += len(sent_to(effects, OTHER_ADDRESS)) + len(sent_to(effects, THIRD))
        self.assertEqual(self.lab.counted, {"accepted": 1000})
        self.assertLessEqual(challenges, 11)
        self.assertEqual(self.peer.address, CLIENT)
        self.assertIsNone(self.peer.finished)
