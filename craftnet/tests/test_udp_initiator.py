from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from craftnet.protocols.records import CloseReason
from craftnet.protocols.udp.initiator import ACK_DELAY, ACK_EVERY, CONNECT_TIMEOUT, Closed, Connected
from craftnet.tests.samples import NOW, running
from craftnet.tests.udp_lab import HEARTBEAT, Lab, datagrams


class ConnectingTests(SynchronousTestCase):
    """The client's half of the handshake."""

    def setUp(self) -> None:
        self.lab = Lab()
        self.client = self.lab.initiator(self.lab.ticket())

    def test_nobody_answers(self) -> None:
        """HELLO is repeated with growing pauses, then the attempt ends."""
        sent, events = list(self.client.start(NOW).datagrams), []
        times = []
        while (now := self.client.deadline) <= NOW + 100:
            output = self.client.tick(now)
            times += [now - NOW] * len(output.datagrams)
            sent += output.datagrams
            events += output.events
        self.assertEqual(times, [0.5, 1.5, 3.5, 7.5, 11.5])
        self.assertEqual(set(sent), {sent[0]})
        self.assertEqual(events, [Closed(CloseReason.UNREACHABLE)])

    def test_an_unanswered_response_starts_over_with_a_new_nonce(self) -> None:
        (hello,) = self.client.start(NOW).datagrams
        (challenge,) = datagrams(self.lab.send(hello))
        sent = list(self.client.receive(challenge, NOW).datagrams)
        while self.client.deadline < NOW + CONNECT_TIMEOUT:
            sent += self.client.tick(self.client.deadline).datagrams
        self.assertEqual([datagram[0] for datagram in sent[:4]], [0x43, 0x43, 0x43, 0x41])
        self.assertNotEqual(sent[3], hello)

    def test_a_second_challenge_changes_nothing(self) -> None:
        """The answer to a repeated HELLO must not throw away the handshake that is under way."""
        (hello,) = self.client.start(NOW).datagrams
        challenges = [datagrams(self.lab.send(hello, NOW + number))[0] for number in range(2)]
        (response,) = self.client.receive(challenges[0], NOW + 1).datagrams
        self.assertEqual(self.client.receive(challenges[1], NOW + 1).datagrams, [])
        (greeting,) = datagrams(self.lab.send(response, NOW + 1))
        self.assertEqual(self.client.receive(greeting, NOW + 1).events, [Connected()])

    def test_the_handshake_sets_the_clock(self) -> None:
        """The server's clock is 1000 s ahead; a round trip takes 0.2 s."""
        client = self.lab.initiator(self.lab.ticket(now=NOW + 1000))
        (hello,) = client.start(NOW).datagrams
        (challenge,) = datagrams(self.lab.send(hello, NOW + 1000.1))
        client.receive(challenge, NOW + 0.2)
        self.assertAlmostEqual(client.server_time(NOW), NOW + 1000, places=3)

    def test_the_answer_to_a_repeated_hello_measures_nothing(self) -> None:
        """Nobody knows which of them it answers."""
        (hello,) = self.client.start(NOW).datagrams
        self.client.tick(NOW + 0.5)
        (challenge,) = datagrams(self.lab.send(hello, NOW + 0.5))
        self.client.receive(challenge, NOW + 0.6)
        self.assertIsNone(self.client.pulse.round_trip.smoothed)

    def test_leaving_before_anything_happened(self) -> None:
        self.client.start(NOW)
        self.assertEqual(self.client.close().events, [Closed(CloseReason.LEFT)])
        self.assertEqual(self.client.close().events, [])


class ConnectedTests(SynchronousTestCase):
    """After it."""

    def setUp(self) -> None:
        self.lab = Lab()
        self.client, self.peer = self.lab.connect(self.lab.ticket())

    def test_states_are_acknowledged_soon(self) -> None:
        (datagram,) = datagrams(self.lab.endpoint.tell(self.peer, running(), NOW))
        self.client.receive(datagram, NOW)
        self.assertEqual(self.client.deadline, NOW + ACK_DELAY)
        (acknowledgement,) = self.client.tick(NOW + ACK_DELAY).datagrams
        self.lab.send(acknowledgement, NOW + ACK_DELAY)
        self.assertEqual(self.peer.deadline, NOW + HEARTBEAT)

    def test_many_states_are_acknowledged_at_once(self) -> None:
        answers = 0
        for number in range(ACK_EVERY):
            (datagram,) = datagrams(self.lab.endpoint.tell(self.peer, running(percent=number), NOW))
            answers += len(self.client.receive(datagram, NOW).datagrams)
        self.assertEqual(answers, 1)

    def test_the_same_state_again_is_no_event(self) -> None:
        (datagram,) = datagrams(self.lab.endpoint.tell(self.peer, running(), NOW))
        self.assertEqual(len(self.client.receive(datagram, NOW).events), 1)
        (request,) = self.client.resync(NOW).datagrams
        (datagram,) = datagrams(self.lab.send(request))
        self.assertEqual(self.client.receive(datagram, NOW).events, [])

    def test_silence_of_three_heartbeats_ends_it(self) -> None:
        events = []
        while (now := self.client.deadline) <= NOW + 100:
            events += [(now, event) for event in self.client.tick(now).events]
        self.assertEqual(events, [(NOW + 3 * HEARTBEAT, Closed(CloseReason.SILENT))])

    def test_forged_datagrams_do_not_count_as_a_sign_of_life(self) -> None:
        self.client.receive(b"\x46" + self.peer.connection_id.to_bytes(4, "big") + bytes(60), NOW + 14)
        self.client.tick(NOW + 14)
        self.assertEqual(self.client.tick(NOW + 15).events, [Closed(CloseReason.SILENT)])

    @settings(deadline=None, max_examples=100, derandomize=True)
    @given(st.binary(max_size=200), st.integers(0x40, 0x48))
    def test_junk_has_no_effect(self, octets: bytes, first: int) -> None:
        start = bytes([first]) + self.peer.connection_id.to_bytes(4, "big")
        for datagram in (octets, start + octets):
            output = self.client.receive(datagram, NOW)
            self.assertEqual((output.datagrams, output.events), ([], []))

    def test_when_it_is_over_nothing_happens_any_more(self) -> None:
        self.client.close()
        (datagram,) = datagrams(self.lab.endpoint.tell(self.peer, running(), NOW))
        for output in (self.client.receive(datagram, NOW), self.client.tick(NOW + 100), self.client.resync(NOW)):
            self.assertEqual((output.datagrams, output.events), ([], []))
