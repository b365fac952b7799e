"""Tests which sessions a UDP connection admits, first and when its client returns."""

from __future__ import annotations

from uuid import UUID

from craftnet.access.principal import Principal
from craftnet.errors import TooManyRequests
from craftnet.protocols.udp.client.connection import Closed
from craftnet.protocols.udp.client.received_state import ProgressChanged, SessionEnded
from craftnet.protocols.udp.core.keys import SessionToken
from craftnet.protocols.udp.core.negotiation import MAX_SESSIONS
from craftnet.protocols.udp.server.dispatcher import (
    SHARED_SIZE,
    ConnectionOpened,
)
from craftnet.protocols.wire.records import CloseReason, DatagramKind
from craftnet.tests.support.samples import NOW, OTHER_SESSION, PLAYER, SESSION, running
from craftnet.tests.support.sessions_case import THIRD, SessionsCase, joined, left, over
from craftnet.tests.support.udp_lab import BEARER, CLIENT, OTHER_ADDRESS, Lab, datagrams


class ReturnTests(SessionsCase):
    """The client connects again with the same token."""

    def test_all_sessions_are_back(self) -> None:
        self.client, self.peer = self.lab.connect(self.ticket, NOW + 1, OTHER_ADDRESS)
        self.assertEqual([session.index for session in self.peer.sessions.sent_states], [0, 1, 2])
        self.deliver(2, running(THIRD))
        (event,) = self.carry([])
        self.assertEqual(event, ProgressChanged(THIRD, 1, running().progress))

    def test_the_hub_is_asked_for_each(self) -> None:
        client = self.lab.client_connection(self.ticket)
        (challenge,) = datagrams(self.lab.send(client.start(NOW + 1).datagrams[0], NOW + 1))
        effects = self.lab.send(client.receive(challenge, NOW + 1).datagrams[0], NOW + 1)
        self.assertEqual((left(effects), joined(effects)), ([0, 1, 2], [0, 1, 2]))

    def test_sessions_before_the_first_connection(self) -> None:
        lab = Lab()
        ticket = lab.ticket()
        self.assertEqual(lab.join(ticket, OTHER_SESSION)[1], [])
        _, peer = lab.connect(ticket)
        self.assertEqual([session.session_id for session in peer.sessions.sent_states], [SESSION, OTHER_SESSION])

    def test_an_unacknowledged_end_is_delivered_again(self) -> None:
        """A session that the hub ended is watched again: its last state may not have arrived either."""
        self.lab.endpoint.end(self.peer, 1, CloseReason.ENDED, self.now)
        self.lab.send(self.client.leave(2, self.now).datagrams[0], self.now)
        client = self.lab.client_connection(self.ticket)
        for index, session_id in enumerate((SESSION, OTHER_SESSION, THIRD)):
            client.watch(index, session_id)
        self.client, (challenge,) = client, datagrams(self.lab.send(client.start(NOW + 1).datagrams[0], NOW + 1))
        self.now = NOW + 1
        effects = self.lab.send(client.receive(challenge, NOW + 1).datagrams[0], NOW + 1)
        self.assertEqual(joined(effects), [0, 1])
        (self.peer,) = (effect.peer for effect in effects if isinstance(effect, ConnectionOpened))
        self.deliver(1, over(OTHER_SESSION))
        effects += self.lab.endpoint.end(self.peer, 1, CloseReason.ENDED, self.now)
        events = self.carry(effects, 1.0)
        self.assertIn(SessionEnded(THIRD, CloseReason.LEFT), events)
        self.assertIn(SessionEnded(OTHER_SESSION, CloseReason.ENDED), events)
        self.assertIn(ProgressChanged(OTHER_SESSION, 9, over(OTHER_SESSION).progress), events)
        self.assertEqual(len(self.ticket.permits), 1)


class AdmissionTests(SessionsCase):
    """Which requests may add a session, and how many."""

    def test_admission_by_token(self) -> None:
        self.assertIs(self.lab.endpoint.connection(self.client.token, PLAYER, BEARER, NOW), self.ticket)

    def test_the_token_that_was_renewed_counts_too(self) -> None:
        offered = SessionToken(self.ticket.connection_id, self.ticket.offer(self.lab.random.randbytes, NOW))
        for token in (self.client.token, offered):
            self.assertIs(self.lab.endpoint.connection(token, PLAYER, BEARER, NOW), self.ticket)
        self.ticket.renewed()
        self.assertIsNone(self.lab.endpoint.connection(self.client.token, PLAYER, BEARER, NOW))

    def test_the_smallest_packets_carry_one_session(self) -> None:
        """Which may be asked for again."""
        for size, shared in ((64, False), (SHARED_SIZE - 1, False), (SHARED_SIZE, True)):
            ticket = self.lab.ticket(packet_size=size)
            for session_id, permitted in ((SESSION, True), (OTHER_SESSION, shared)):
                joining = self.lab.endpoint.join(ticket, session_id, NOW + 3600, BEARER, NOW)
                self.assertEqual(joining is not None, permitted)

    def test_not_when_it_is_about_to_be_over(self) -> None:
        self.deliver(0, running())
        self.lab.endpoint.close(self.peer, CloseReason.ENDED, NOW)
        self.assertIsNone(self.lab.endpoint.connection(self.client.token, PLAYER, BEARER, NOW))

    def test_bounds(self) -> None:
        for number in range(3, MAX_SESSIONS):
            self.lab.join(self.ticket, UUID(int=number + 100))
        self.assertRaises(TooManyRequests, self.lab.join, self.ticket, UUID(int=999))
        self.lab.join(self.ticket, OTHER_SESSION)  # one that is there already.
        self.assertEqual(len(self.ticket.permits), MAX_SESSIONS)

    def test_revocation_of_one_bearer_token(self) -> None:
        """The session that it authorised ends at once, and nothing more of it is sent."""
        bearer = Principal(PLAYER, frozenset(), NOW + 3600, token_id="second")
        joining = self.lab.endpoint.join(self.ticket, UUID(int=4), NOW + 3600, bearer, NOW)
        assert joining is not None
        self.client.watch(3, UUID(int=4))
        self.deliver(3, running(UUID(int=4)))
        feeds, effects = self.lab.endpoint.revoke(lambda each: each.token_id == "second", NOW)
        self.assertEqual((feeds, left(effects)), (1, [3]))
        self.assertEqual(self.carry(effects, 1.0), [SessionEnded(UUID(int=4), CloseReason.REVOKED)])
        self.assertIsNone(self.peer.finished)

    def test_revocation_of_the_bearer_token_that_the_connection_was_opened_with(self) -> None:
        """Its holder may have the session_token: everything ends."""
        bearer = Principal(PLAYER, frozenset(), NOW + 3600, token_id="second")
        self.lab.endpoint.join(self.ticket, UUID(int=4), NOW + 3600, bearer, NOW)
        feeds, effects = self.lab.endpoint.revoke(lambda each: each.token_id is None, NOW)
        self.assertEqual(feeds, 4)
        self.assertEqual(self.carry(effects, 1.0), [Closed(CloseReason.REVOKED)])
        self.assertIsNone(self.lab.tickets.find(self.ticket.connection_id, NOW))

    def test_revocation_while_an_end_is_in_flight(self) -> None:
        """The connection closes at once, and later acknowledgements of earlier states do no harm."""
        self.lab.endpoint.end(self.peer, 1, CloseReason.ENDED, NOW)
        over = self.lab.endpoint.tick(NOW)
        _, effects = self.lab.endpoint.revoke(lambda bearer: bearer == BEARER, NOW + 0.5)
        self.assertEqual([datagram[0] & 31 for datagram in datagrams(effects)], [DatagramKind.CLOSE])
        for datagram in datagrams(over):  # late: on its way when the CLOSE was sent.
            self.client.receive(datagram, NOW + 0.6)
        for answer in self.client.tick(NOW + 0.7).datagrams:
            self.lab.send(answer, NOW + 0.7)
        self.carry(effects)
        self.assertIs(self.peer.finished, CloseReason.REVOKED)
        self.assertEqual((len(self.lab.endpoint), len(self.lab.tickets)), (0, 0))

    def test_revocation_while_the_connection_ends(self) -> None:
        """What was pending is not sent any more."""
        self.deliver(0, running())
        self.lab.endpoint.close(self.peer, CloseReason.EXPIRED, NOW)
        _, effects = self.lab.endpoint.revoke(lambda bearer: bearer == BEARER, NOW)
        self.assertEqual([datagram[0] & 31 for datagram in datagrams(effects)], [DatagramKind.CLOSE])
        self.carry(effects)
        self.assertIs(self.client.over, CloseReason.REVOKED)

    def test_revocation_while_there_is_no_connection(self) -> None:
        bearer = Principal(PLAYER, frozenset(), NOW + 3600, token_id="second")
        ticket = self.lab.ticket()
        self.lab.endpoint.join(ticket, UUID(int=4), NOW + 3600, bearer, NOW)
        self.assertEqual(self.lab.endpoint.revoke(lambda each: each.token_id == "second", NOW), (0, []))
        self.client, peer = self.lab.connect(ticket, address=CLIENT)
        self.assertEqual(self.carry([], 1.0), [])  # sent right after the handshake already:
        self.assertEqual([session.index for session in peer.sessions.sent_states], [0])

    def test_claims_find_the_session(self) -> None:
        self.deliver(2, running(THIRD, percent=7.0))
        found = self.lab.endpoint.sent_state_of(THIRD, PLAYER)
        assert found is not None
        self.assertEqual(found[1].sightings[-1].state.progress.percent, 7.0)
        self.assertIsNone(self.lab.endpoint.sent_state_of(UUID(int=77), PLAYER))
