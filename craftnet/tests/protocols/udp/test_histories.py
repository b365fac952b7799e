"""Sessions made up at random, on lines made up at random: both ends come to hold the same. Everything is seeded."""

from __future__ import annotations

import os
from math import inf
from random import Random
from uuid import UUID

from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from craftnet.client.core.connection_quality import ConnectionQuality, error_bound
from craftnet.client.output.smoothing import ROLLBACK, ROLLBACK_SECONDS, SmoothedProgress
from craftnet.client.transports.translation import Translation
from craftnet.contract.messages import Status
from craftnet.crafting.progress import Progress, percent_at, rebase
from craftnet.crafting.state import MaterialsState, SessionState
from craftnet.crafting.updates import Update
from craftnet.protocols.udp.client.connection import ClientConnection
from craftnet.protocols.udp.client.received_state import MaterialsChanged, ProgressChanged, SessionEnded
from craftnet.protocols.udp.core.compression import COMPRESSIONS
from craftnet.protocols.udp.core.path_stats import PathStats
from craftnet.protocols.udp.server.connection import ServerConnection
from craftnet.protocols.udp.server.dispatcher import SHARED_SIZE, Effect
from craftnet.protocols.wire.records import CloseReason
from craftnet.tests.support.samples import NOW, PLAYER, SESSION, running
from craftnet.tests.support.udp_lab import (
    CLIENT,
    HEARTBEAT,
    MESSAGE,
    OTHER_ADDRESS,
    BadNetwork,
    Lab,
    changed,
    general_path_only,
    held,
    mixed,
    table,
)

HISTORIES = int(os.environ.get("CRAFTNET_HISTORIES", "250"))
"""Of each of four tests, which may run at the same time. Each history is some 30 datagrams long. Every run plays the
same histories; `make soak` plays more."""

COMPARED = HISTORIES // 2
"""How many of them are played a second time, without the fast path."""

TOLERANCE = 0.0
"""Every change is sent here."""


class Watcher:
    """Watches a client's progress bar of one session, and the error bound that the client states.

    Attributes:
        worst: points by which the bar's error ever exceeded the bound.
        backwards: points by which the bar ever went back, though the craft did not.
        looks: the number of comparisons.
    """

    def __init__(self, session_id: UUID) -> None:
        self._translation = Translation(session_id, PLAYER)
        self._display = SmoothedProgress()
        self._shown = 0.0
        self._falls_until = self._looked_at = -inf
        self._progress: Progress | None = None
        self.worst = -inf
        self.backwards = 0.0
        self.looks = 0

    def updated(self, event: ProgressChanged, conditions: PathStats, now: float) -> None:
        """As `UdpSocket` and `Screen` do."""
        self._take(self._translation.progress(event, conditions.offset, now), now)

    def look(self, conditions: PathStats, now: float, truth: float | None) -> None:
        """Compares the bar with `truth`, if that is known."""
        if conditions.offset is not None:
            update = self._translation.corrected(conditions.offset, now)
            if update is not None:
                self._take(update, now)
        shown = self._display.percent(now)
        if self._looked_at >= self._falls_until:
            self.backwards = max(self.backwards, self._shown - shown)
        self._shown, self._looked_at = shown, now
        if truth is None or conditions.offset is None:
            return
        line = ConnectionQuality(conditions, error_bound(self._progress, conditions, TOLERANCE))
        self.worst = max(self.worst, abs(shown - truth) - line.shown(self._display.deviation(now)).bound)
        self.looks += 1

    def _take(self, update: Update, now: float) -> None:
        assert isinstance(update.state, SessionState)
        self._progress = progress = update.state.progress
        if update.messages:
            before = self._display.percent(now)
            self._display.update(progress, now)
            if percent_at(progress, now) < before - ROLLBACK:
                self._falls_until = now + ROLLBACK_SECONDS
                self._shown = self._display.percent(now)
        else:
            self._display.correct(progress, now)


class TrackedSession:
    """One session: the authority's version of it, and the client's."""

    def __init__(self, index: int, session_id: UUID, rows: int) -> None:
        self.index = index
        self.session = running(session_id)
        self.materials = replace(table(), session_id=session_id)
        if rows > len(self.materials.materials):
            self.materials = replace(mixed(rows), session_id=session_id)
        self.left = False
        self.watcher = Watcher(session_id)
        self.updated: ProgressChanged | None = None
        self.materials_sent: MaterialsState | None = None
        self.ended: CloseReason | None = None

    @property
    def session_id(self) -> UUID:
        """Which."""
        return self.session.session_id

    def advance(self, progress: Progress) -> None:
        """The session is like this now."""
        self.session = replace(self.session, version=self.session.version + 1, progress=progress)


class History:
    """A few sessions of one player on one line."""

    def __init__(self, seed: int) -> None:
        self.random = random = Random(seed)
        self.lab = Lab(seed=seed)
        self.ticket = self.lab.ticket(
            packet_size=random.choice([64, 100, 512, 1200, 4096, 65_536]),
            compression=random.choice(["none", *COMPRESSIONS]),
            path=random.choice([64, 100, 300, 1200]),
        )
        self.rows = random.choice([2, 2, 2, 30])
        self.network = BadNetwork(
            self.lab,
            self.lab.client_connection(self.ticket),
            seed=seed,
            loss=random.choice([0.0, 0.05, 0.25]),
            noise=random.choice([0.0, 0.05, 0.2]),
            latency=random.choice([0.001, 0.05, 0.5, 1.0]),
            jitter=random.choice([0.0, 0.05, 0.3]),
            ahead=random.choice([0.0, 40.0, -3600.0]),
        )
        self.network.look = self._look
        self.network.snapshot = self._snapshot
        self.tracked_sessions = [TrackedSession(0, SESSION, self.rows)]
        self.answers: list[TrackedSession] = []  # over HTTP, to the client, that are on the way.

    @property
    def peer(self) -> ServerConnection:
        """The newest."""
        return self.network.peers[-1]

    @property
    def going_on(self) -> list[TrackedSession]:
        """Those that were not ended."""
        return [
            tracked
            for tracked in self.tracked_sessions
            if not (tracked.left or tracked.session.progress.status.terminal)
        ]

    def play(self) -> bool:
        """A few changes; then the path recovers, and everything ends. Returns whether connections opened in time."""
        network = self.network
        if not self._connect(network.client):
            return False  # a handshake that a quarter of loss each way swallowed.
        for _ in range(self.random.randrange(1, 9)):
            match self.random.randrange(10):
                case 0 | 1 | 2 if self.ticket.agreement.datagram >= SHARED_SIZE:
                    self._join()
                case 3 if len(self.going_on) > 1:
                    tracked = self.random.choice(self.going_on)
                    tracked.left = True
                    network.take(network.client.leave(tracked.index, network.client_now))
                case 4 if len(self.going_on) > 1:
                    self._end(self.random.choice(self.going_on))
                case 5 if not self._return():
                    return False
                case _:
                    for tracked in self.random.sample(self.going_on, self.random.randint(1, len(self.going_on))):
                        self._change(tracked)
                        self._update(tracked)
            network.run(self.random.random() * 2)
            self._answer()
        network.heal()
        for tracked in self.going_on:
            self._end(tracked)
        network.run(25.0)
        self._listen()
        return network.client.over is not CloseReason.UNREACHABLE

    def _connect(self, client: ClientConnection) -> bool:
        network = self.network
        self._listen()
        network.client, before = client, len(network.peers)
        network.start()
        network.run(8.0)
        return len(network.peers) > before and self.peer.finished is None and client.over is None

    def _return(self) -> bool:
        """The client restarts, with the token and the sessions that it had."""
        self._answer()
        former = self.network.client
        known = {tracked.index: tracked.session_id for tracked in self.tracked_sessions if tracked.ended is None}
        client = ClientConnection(
            former.token,
            known,
            heartbeat=HEARTBEAT,
            agreement=self.ticket.agreement,
            random=self.lab.random.randbytes,
        )
        connected = self._connect(client)
        for tracked in self.tracked_sessions:
            if tracked.left:
                self.network.take(client.leave(tracked.index, self.network.client_now))
        return connected

    def _join(self) -> None:
        if len(self.tracked_sessions) == 6:
            return
        session_id = UUID(int=len(self.tracked_sessions) + 1)
        tracked = TrackedSession(self.ticket.unused, session_id, self.rows)
        self.tracked_sessions.append(tracked)
        self.answers.append(tracked)
        _, effects = self.lab.join(self.ticket, session_id, now=self.network.now)
        self.network.perform(effects)

    def _answer(self) -> None:
        """The answers over HTTP arrive."""
        for tracked in self.answers:
            self.network.take(self.network.client.watch(tracked.index, tracked.session_id))
        self.answers.clear()

    def _change(self, tracked: TrackedSession) -> None:
        random, now = self.random, self.network.now
        match random.randrange(5):
            case 0:
                status = random.choice([Status.ACTIVE, Status.PAUSED, Status.INTERRUPTED])
                tracked.advance(replace(rebase(tracked.session.progress, now), status=status))
            case 1:
                tracked.advance(Progress(Status.ACTIVE, random.random() * 99, now, random.random() * 100))
            case 2:
                self.network.address = random.choice([CLIENT, OTHER_ADDRESS])
            case _:
                tracked.materials = changed(tracked.materials, random)

    def _end(self, tracked: TrackedSession) -> None:
        now = self.network.now
        over = replace(rebase(tracked.session.progress, now), remaining=0.0)
        if self.random.random() < 0.5:
            tracked.advance(replace(over, status=Status.COMPLETED, percent=100.0))
        else:
            tracked.advance(replace(over, status=Status.FAILED, failure_reason="no more iron"))
        self._update(tracked)
        self.network.perform(self.lab.endpoint.end(self.peer, tracked.index, CloseReason.ENDED, now))

    def _update(self, tracked: TrackedSession) -> None:
        for state in (tracked.session, tracked.materials):
            self.network.perform(self.lab.update(self.peer, state, self.network.now, tracked.index))

    def _snapshot(self, peer: ServerConnection, index: int) -> list[Effect]:
        now = self.network.now
        (tracked,) = (tracked for tracked in self.tracked_sessions if tracked.index == index)
        effects = self.lab.update(peer, tracked.session, now, index)
        effects += self.lab.update(peer, tracked.materials, now, index)
        if tracked.session.progress.status.terminal:
            effects += self.lab.endpoint.end(peer, index, CloseReason.ENDED, now)
        return effects

    def _look(self) -> None:
        """Checks every bar. The truth is known where the newest state has arrived."""
        self._listen()
        conditions, now = self.network.client.conditions, self.network.client_now
        for tracked in self.tracked_sessions:
            states, session = tracked.updated, tracked.session
            newest = states is not None and states.version == session.version
            tracked.watcher.look(conditions, now, percent_at(session.progress, self.network.now) if newest else None)

    def _listen(self) -> None:
        """What the client received, by session."""
        if not self.network.events:
            return
        tracked_sessions = {tracked.session_id: tracked for tracked in self.tracked_sessions}
        conditions, now = self.network.client.conditions, self.network.client_now
        for event in self.network.events:
            match event:
                case ProgressChanged(session_id):
                    tracked_sessions[session_id].updated = event
                    tracked_sessions[session_id].watcher.updated(event, conditions, now)
                case MaterialsChanged(materials):
                    tracked_sessions[materials.session_id].materials_sent = materials
                case SessionEnded(session_id, reason):
                    tracked_sessions[session_id].ended = reason
        self.network.events.clear()


class HistoryTests(SynchronousTestCase):
    def test_both_sides_end_with_the_same(self) -> None:
        self._play(0)

    def test_both_sides_end_with_the_same_in_the_second_quarter(self) -> None:
        self._play(1)

    def test_both_sides_end_with_the_same_in_the_third_quarter(self) -> None:
        self._play(2)

    def test_both_sides_end_with_the_same_in_the_fourth_quarter(self) -> None:
        self._play(3)

    def _play(self, quarter: int) -> None:
        """Play a quarter of all histories."""
        played = sessions = left = completed = looks = messages = in_parts = 0
        for seed in range(quarter * HISTORIES, (quarter + 1) * HISTORIES):
            history = History(seed)
            if not history.play():
                continue
            played += 1
            for tracked in history.tracked_sessions:
                self._check(tracked, f"seed {seed}, session {tracked.index}")
                sessions += 1
                left += tracked.left
                looks += tracked.watcher.looks
                completed += tracked.session.progress.status is Status.COMPLETED
            messages += history.network.carried[MESSAGE]
            in_parts += history.network.client.reassembly.first > 1
            self.assertIn(history.network.client.over, (CloseReason.ENDED, CloseReason.LEFT), f"seed {seed}")
            self.assertEqual(len(history.lab.tickets), 0, f"seed {seed}: the ticket is left")
        self.assertGreater(played, HISTORIES * 0.85)
        self.assertGreater(sessions, HISTORIES * 1.3)
        self.assertGreater(left, HISTORIES * 0.02)
        self.assertGreater(completed, HISTORIES * 0.5)
        self.assertGreater(looks, HISTORIES * 30)
        self.assertGreater(messages, HISTORIES)
        self.assertGreater(in_parts, HISTORIES * 0.02)

    def _check(self, tracked: TrackedSession, name: str) -> None:
        self.assertLessEqual(tracked.watcher.worst, 0.0, f"{name}: shown worse than stated")
        self.assertLessEqual(tracked.watcher.backwards, 0.0, f"{name}: the bar went back")
        if tracked.left:
            return
        assert tracked.updated is not None and tracked.materials_sent is not None, name
        progress, materials, over = tracked.updated.progress, tracked.materials_sent, tracked.session.progress
        self.assertEqual(progress.status, over.status, f"{name}: the end was lost")
        self.assertEqual(progress.failure_reason, over.failure_reason, name)
        self.assertAlmostEqual(progress.percent, over.percent, places=1, msg=name)
        wanted = [replace(row, quantity=min(row.quantity, 2**32 - 2)) for row in tracked.materials.materials]
        self.assertEqual(list(materials.materials), wanted, name)

    def test_the_fast_path_says_the_same(self) -> None:
        for seed in range(COMPARED):
            shortly = self._overheard(seed)
            with general_path_only(self):
                self.assertEqual(self._overheard(seed), shortly, f"seed {seed}")

    def _overheard(self, seed: int) -> list[tuple[float, bool, bytes]]:
        """Every datagram of a history, and when it was sent."""
        history = History(seed)
        history.play()
        return history.network.overheard

    def test_a_long_session_with_rotating_keys_and_tokens(self) -> None:
        """Two hours on a bad line: keys rotate every ten minutes, the session_token every half hour."""
        lab = Lab()
        ticket = lab.ticket(expires=NOW + 20_000)
        client = lab.client_connection(ticket)
        network = BadNetwork(lab, client, seed=4, loss=0.1)
        network.start()
        first = client.token.secret
        network.run(7200.0)
        self.assertIsNone(client.over)
        self.assertEqual(len(network.peers), 1)
        self.assertNotEqual(client.token.secret, first)
        self.assertEqual(client.token.secret, ticket.token.secret)
        channel = client.channel
        assert channel is not None
        self.assertGreater(channel.outgoing.began, 1)
        network.perform(lab.update(network.peers[0], running(percent=42.0), network.now))
        network.run(5.0)
        progress = held(client).progress.progress
        assert progress is not None
        self.assertEqual(progress.percent, 42.0)
