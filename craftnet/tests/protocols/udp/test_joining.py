"""Sessions that share a UDP connection, from the request over HTTP to the hub and back, on a fake transport."""

from __future__ import annotations

from uuid import UUID

from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from craftnet.access.principal import Principal
from craftnet.contract.close_codes import CloseCode
from craftnet.contract.http_bodies import UdpConnectRequest, UdpConnectResponse
from craftnet.crafting.updates import Update, materials_snapshot, progress_update
from craftnet.errors import NotFound, TooManyRequests
from craftnet.interfaces import ISubscriber
from craftnet.observe.metrics.registry import Metrics
from craftnet.protocols.udp.client.connection import ClientConnection, Closed, Event
from craftnet.protocols.udp.client.received_state import MaterialsChanged, ProgressChanged, SessionEnded
from craftnet.protocols.udp.core.keys import SessionToken
from craftnet.protocols.udp.core.negotiation import MAX_SESSIONS, agreed
from craftnet.protocols.udp.server.service import UdpService
from craftnet.protocols.wire.records import CloseReason, ProgressRecord
from craftnet.runtime.addresses import HostPort
from craftnet.tests.support.fakes import SteppedClock
from craftnet.tests.support.samples import AT, NOW, OTHER_PLAYER, OTHER_SESSION, PLAYER, SESSION, running
from craftnet.tests.support.udp_lab import CLIENT, FakeTransport, table

MISSING = UUID(int=404)


class Sessions:
    """Feeds of every session but one."""

    def __init__(self) -> None:
        self.watchers: dict[UUID, list[ISubscriber]] = {}

    def subscribe_session(
        self, session_id: UUID, watcher: ISubscriber, resume: object = None, expected: bool = False
    ) -> Deferred[None]:
        """Snapshots first, as the hub does."""
        if session_id == MISSING:
            return fail(NotFound("No such session."))
        self.watchers.setdefault(session_id, []).append(watcher)
        watcher.deliver(progress_update(running(session_id), AT))
        if session_id == SESSION:
            watcher.deliver(materials_snapshot(table(), AT))
        return succeed(None)

    def unsubscribe_session(self, session_id: UUID, watcher: ISubscriber) -> None:
        """Unknown ones are no error."""
        if watcher in self.watchers.get(session_id, []):
            self.watchers[session_id].remove(watcher)
            if not self.watchers[session_id]:
                del self.watchers[session_id]

    def deliver(self, session_id: UUID, percent: float) -> None:
        """The session is there now, by an event of a millisecond ago."""
        for watcher in self.watchers[session_id]:
            update = progress_update(running(session_id, percent=percent), AT)
            watcher.deliver(Update(update.state, update.messages, accepted=NOW - 0.001))


class JoiningTests(SynchronousTestCase):
    """A gateway, and a client that is connected for one session."""

    def setUp(self) -> None:
        self.clock = SteppedClock()
        self.clock.advance(NOW)
        self.metrics = Metrics()
        self.feeds = Sessions()
        self.gateway = UdpService(
            HostPort("", 8082),
            None,
            self.feeds,
            self.metrics,
            self.clock,  # type: ignore[arg-type]  # enough of a reactor: no socket is opened.
        )
        self.transport = FakeTransport()
        self.gateway.server.makeConnection(self.transport)
        answer = self.connect(SESSION)
        self.token, self.agreement = answer.session_token, agreed(answer)
        self.client = self.client_connection({0: SESSION})
        self.carry(self.client.start(NOW).datagrams)

    def client_connection(self, sessions: dict[int, UUID]) -> ClientConnection:
        """A client that holds the token."""
        return ClientConnection(SessionToken.parse(self.token), sessions, heartbeat=5.0, agreement=self.agreement)

    def connect(
        self, session_id: UUID, token: str | None = None, player_id: UUID = PLAYER, subject: UUID = PLAYER
    ) -> UdpConnectResponse:
        """What …/connect does once the player is admitted."""
        request = UdpConnectRequest(player_id=player_id, client_version="1.0.0", session_token=token)
        bearer = Principal(subject, frozenset(), NOW + 600)
        return self.gateway.connect(session_id, player_id, request, NOW + 600, NOW, bearer=bearer)

    def carry(self, outgoing: list[bytes]) -> list[Event]:
        """Everything that the client receives until both sides are silent."""
        events: list[Event] = []
        while True:
            for datagram in outgoing:
                self.gateway.server.datagramReceived(datagram, CLIENT)
            self.clock.advance(0)
            outgoing = []
            for received in self.transport.taken():
                output = self.client.receive(received, self.clock.seconds())
                events += output.events
                outgoing += output.datagrams
            if not outgoing:
                return events

    def live(self, seconds: float) -> list[Event]:
        """Time passes."""
        events = []
        for _ in range(round(seconds / 0.02)):
            self.clock.advance(0.02)
            output = self.client.tick(self.clock.seconds())
            events += output.events + self.carry(output.datagrams)
        return events

    def metric(self, name: str) -> float:
        """Of this transport."""
        return self.metrics.registry.get_sample_value(name, {"transport": "udp"}) or 0.0

    def test_a_session_joins(self) -> None:
        answer = self.connect(OTHER_SESSION, self.token)
        self.assertEqual((answer.session_token, answer.session_index), (self.token, 1))
        self.assertEqual(self.carry([]), [])  # the datagram is there before the answer over HTTP.
        events = self.client.watch(1, OTHER_SESSION).events
        self.assertEqual(events, [ProgressChanged(OTHER_SESSION, 1, running().progress)])
        self.assertEqual(self.metric("craftnet_connections"), 1)

    def test_it_is_the_same_session_again(self) -> None:
        for _ in range(2):
            self.assertEqual(self.connect(OTHER_SESSION, self.token).session_index, 1)
        self.assertEqual(self.connect(SESSION, self.token).session_index, 0)
        self.assertEqual(len(self.feeds.watchers[OTHER_SESSION]), 1)

    def test_what_changes_in_one_turn_is_one_datagram(self) -> None:
        sessions = [SESSION, *(UUID(int=number) for number in range(1, 10))]
        for session_id in sessions[1:]:
            self.client.watch(self.connect(session_id, self.token).session_index, session_id)
        self.carry([])
        before = self.metric("craftnet_deliveries_total")
        for session_id in sessions:
            self.feeds.deliver(session_id, 50.0)
        self.assertEqual(self.transport.written, [])
        self.clock.advance(0)
        (datagram,) = self.transport.taken()
        self.assertEqual(len(self.client.receive(datagram, NOW).events), len(sessions))
        self.assertEqual(self.metric("craftnet_deliveries_total"), before + len(sessions))
        compressed = self.metrics.registry.get_sample_value("craftnet_datagrams_total", {"outcome": "packed"})
        self.assertEqual(compressed, 2)  # and the one before with all of them.
        self.assertAlmostEqual(self.metric("craftnet_event_to_delivery_seconds_sum"), 0.001 * len(sessions), places=5)

    def test_one_session_is_delivered_at_once(self) -> None:
        self.feeds.deliver(SESSION, 50.0)
        self.assertEqual(len(self.transport.written), 1)

    def test_the_end_of_one_feed(self) -> None:
        self.client.watch(self.connect(OTHER_SESSION, self.token).session_index, OTHER_SESSION)
        self.live(0.1)
        self.feeds.watchers[OTHER_SESSION][0].ended(CloseCode.NORMAL)
        self.assertEqual(list(self.feeds.watchers), [SESSION])
        self.assertEqual(self.live(0.5), [SessionEnded(OTHER_SESSION, CloseReason.ENDED)])
        self.feeds.watchers[SESSION][0].ended(CloseCode.NORMAL)
        self.assertEqual(self.live(0.5), [Closed(CloseReason.ENDED)])
        self.assertEqual(self.feeds.watchers, {})
        self.assertEqual(self.metric("craftnet_connections"), 0)

    def test_leaving_one(self) -> None:
        self.client.watch(self.connect(OTHER_SESSION, self.token).session_index, OTHER_SESSION)
        self.live(0.1)
        events = self.carry(self.client.leave(0, NOW).datagrams)
        self.assertEqual(events, [SessionEnded(SESSION, CloseReason.LEFT)])
        self.assertEqual(list(self.feeds.watchers), [OTHER_SESSION])

    def test_one_that_is_not_there_does_not_disturb_the_others(self) -> None:
        self.client.watch(self.connect(MISSING, self.token).session_index, MISSING)
        self.assertEqual(self.live(0.1), [SessionEnded(MISSING, CloseReason.NOT_FOUND)])
        self.feeds.deliver(SESSION, 50.0)
        self.assertEqual(len(self.carry([])), 1)

    def test_a_client_that_goes_leaves_all_of_them(self) -> None:
        self.connect(OTHER_SESSION, self.token)
        self.carry(self.client.close().datagrams)
        self.assertEqual(self.feeds.watchers, {})

    def test_a_client_that_comes_back_has_all_of_them(self) -> None:
        self.connect(OTHER_SESSION, self.token)
        self.client = self.client_connection({0: SESSION, 1: OTHER_SESSION})
        self.clock.advance(1)
        events = self.carry(self.client.start(NOW + 1).datagrams) + self.live(0.2)
        received = {event.session_id for event in events if isinstance(event, ProgressChanged)}
        self.assertEqual(received, {SESSION, OTHER_SESSION})
        self.assertTrue(any(isinstance(event, MaterialsChanged) for event in events))
        self.assertEqual(
            {name: len(each) for name, each in self.feeds.watchers.items()}, {SESSION: 1, OTHER_SESSION: 1}
        )

    def test_one_ends_while_another_is_opened(self) -> None:
        """The effects of a datagram wait for earlier ones: no watcher is left behind."""
        self.connect(OTHER_SESSION, self.token)

        def watch(session_id: UUID, watcher: ISubscriber, *more: object) -> Deferred[None]:
            if session_id == SESSION:
                (peer,) = self.gateway.endpoint.peers.values()
                self.gateway.server.end(peer, 1, CloseReason.NOT_FOUND)
            return Sessions.subscribe_session(self.feeds, session_id, watcher)

        self.feeds.subscribe_session = watch  # type: ignore[assignment,method-assign]  # a feed with a mind of its own.
        self.client = self.client_connection({0: SESSION, 1: OTHER_SESSION})
        self.clock.advance(1)
        self.carry(self.client.start(NOW + 1).datagrams)
        self.assertEqual(self.feeds.watchers.keys(), {SESSION})
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_what_does_not_name_a_connection_of_theirs_gets_a_new_one(self) -> None:
        """A connection id is no proof: it is readable on the path."""
        token = SessionToken.parse(self.token)
        wrong = SessionToken(token.connection_id, bytes(32)).text
        for other in (wrong, "no token", "", self.token[:-1] + "é", f"{token.connection_id}"):
            answer = self.connect(OTHER_SESSION, other)
            self.assertNotEqual(answer.session_token, self.token)
            self.assertEqual(answer.session_index, 0)

    def test_another_player_cannot_join(self) -> None:
        """Though they know the token; nor can another bearer for the same player."""
        for player, subject in ((OTHER_PLAYER, OTHER_PLAYER), (OTHER_PLAYER, PLAYER), (PLAYER, OTHER_PLAYER)):
            answer = self.connect(OTHER_SESSION, self.token, player, subject)
            self.assertNotEqual(answer.session_token, self.token)
        self.assertEqual(list(self.feeds.watchers), [SESSION])

    def test_too_many(self) -> None:
        for number in range(1, MAX_SESSIONS):
            self.assertEqual(self.connect(UUID(int=number), self.token).session_index, number)
        error = self.assertRaises(TooManyRequests, self.connect, UUID(int=999), self.token)
        self.assertEqual(error.headers["X-RateLimit-Limit"], str(MAX_SESSIONS))

    def test_a_claim_about_any_of_them_is_seen(self) -> None:
        self.client.watch(self.connect(OTHER_SESSION, self.token).session_index, OTHER_SESSION)
        self.live(6.0)
        self.feeds.deliver(OTHER_SESSION, 30.0)
        self.live(1.0)
        now = self.clock.seconds()
        seen = self.gateway.seen(ProgressRecord(1, int(now * 1000), OTHER_SESSION, 10.0), PLAYER, now)
        assert seen is not None
        self.assertEqual(seen.state.progress.percent, 30.0)
