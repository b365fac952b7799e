"""Sessions made up at random, on lines made up at random: both ends come to hold the same. Everything is seeded."""

from __future__ import annotations

from random import Random

from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from craftnet.client.line import error_bound
from craftnet.messages import Status
from craftnet.model import Progress, percent_at, rebase
from craftnet.protocols.copies import MaterialsChanged, ProgressChanged
from craftnet.protocols.endpoint import Effect
from craftnet.protocols.peer import Peer
from craftnet.protocols.records import CloseReason
from craftnet.state import MaterialsState, SessionState
from craftnet.tests.samples import NOW, running
from craftnet.tests.test_udp_delta import changed
from craftnet.tests.udp_lab import CLIENT, ELSEWHERE, BadNetwork, Lab, held, table

HISTORIES = 3000
"""Each some 30 datagrams long."""

TOLERANCE = 0.5


class History:
    """One session on one line."""

    def __init__(self, seed: int) -> None:
        self.random = random = Random(seed)
        self.lab = Lab(seed=seed)
        ticket = self.lab.ticket(packet_size=random.choice([64, 100, 512, 1200]))
        self.network = BadNetwork(
            self.lab,
            self.lab.initiator(ticket),
            seed=seed,
            loss=random.choice([0.0, 0.05, 0.25]),
            noise=random.choice([0.0, 0.05, 0.2]),
            latency=random.choice([0.001, 0.05, 0.5, 1.0]),
            jitter=random.choice([0.0, 0.05, 0.3]),
        )
        self.network.snapshot = self._snapshot
        self.session: SessionState = running()
        self.materials: MaterialsState = table()
        self.worst = 0.0

    @property
    def peer(self) -> Peer:
        """The newest."""
        return self.network.peers[-1]

    def play(self) -> bool:
        """A few changes; then the line heals, and the session ends. Whether a connection came about in time at all."""
        network = self.network
        network.start()
        network.run(8.0)
        if not network.peers or self.peer.finished is not None or network.client.over is not None:
            return False  # a handshake that a quarter of loss each way swallowed.
        for _ in range(self.random.randrange(1, 6)):
            self._change()
            self._tell()
            network.run(self.random.random() * 2)
            self._compare()
        network.heal()
        over = replace(self.session.progress, status=Status.FAILED, failure_reason="no more iron", remaining=0.0)
        self.session = replace(self.session, version=self.session.version + 1, progress=over)
        self._tell()
        network.perform(self.lab.endpoint.close(self.peer, CloseReason.ENDED, network.now))
        network.run(14.0)
        return network.client.over is not CloseReason.UNREACHABLE

    def _change(self) -> None:
        random, now = self.random, self.network.now
        match random.randrange(5):
            case 0:
                status = random.choice([Status.ACTIVE, Status.PAUSED, Status.INTERRUPTED])
                progress = replace(rebase(self.session.progress, now), status=status)
            case 1:
                progress = Progress(Status.ACTIVE, random.random() * 99, now, random.random() * 100)
            case 2:
                self.network.address = random.choice([CLIENT, ELSEWHERE])
                return
            case _:
                self.materials = changed(self.materials, random)
                return
        self.session = replace(self.session, version=self.session.version + 1, progress=progress)

    def _tell(self) -> None:
        now = self.network.now
        for state in (self.session, self.materials):
            self.network.perform(self.lab.endpoint.tell(self.peer, state, now))

    def _snapshot(self, peer: Peer) -> list[Effect]:
        now = self.network.now
        effects = self.lab.endpoint.tell(peer, self.session, now) + self.lab.endpoint.tell(peer, self.materials, now)
        if self.session.progress.status.terminal:
            effects += self.lab.endpoint.close(peer, CloseReason.ENDED, now)
        return effects

    def _compare(self) -> None:
        """If the newest has arrived: how wrong, beyond what the client itself says, is what it shows?"""
        client, now = self.network.client, self.network.now
        copy, truth = client._copies.get(0), self.session.progress
        held = None if copy is None else copy.progress.progress
        if copy is None or held is None or copy.progress.version != self.session.version:
            return
        shown = percent_at(replace(held, anchor=held.anchor - client.pulse.offset), now)
        error = abs(shown - percent_at(truth, now))
        self.worst = max(self.worst, error - error_bound(held, client.conditions, TOLERANCE))

    @property
    def told(self) -> tuple[Progress, MaterialsState]:
        """The last the client was told."""
        progress = [event.progress for event in self.network.events if isinstance(event, ProgressChanged)]
        materials = [event.materials for event in self.network.events if isinstance(event, MaterialsChanged)]
        return progress[-1], materials[-1]


class HistoryTests(SynchronousTestCase):
    def test_both_sides_end_with_the_same(self) -> None:
        played = 0
        for seed in range(HISTORIES):
            history = History(seed)
            if not history.play():
                continue
            played += 1
            progress, materials = history.told
            over = history.session.progress
            self.assertEqual(progress.status, Status.FAILED, f"seed {seed}: the end was lost")
            self.assertEqual(progress.failure_reason, over.failure_reason, f"seed {seed}")
            self.assertAlmostEqual(progress.percent, over.percent, places=1, msg=f"seed {seed}")
            wanted = [replace(row, quantity=min(row.quantity, 2**32 - 2)) for row in history.materials.materials]
            self.assertEqual(list(materials.materials), wanted, f"seed {seed}")
            self.assertEqual(history.network.client.over, CloseReason.ENDED, f"seed {seed}")
            self.assertLessEqual(history.worst, 0.0, f"seed {seed}: shown worse than stated")
        self.assertGreater(played, HISTORIES * 0.9)

    def test_a_long_session_with_rotating_keys_and_tokens(self) -> None:
        """Two hours on a bad line: keys rotate every ten minutes, the session_token every half hour."""
        lab = Lab()
        ticket = lab.ticket(expires=NOW + 20_000)
        client = lab.initiator(ticket)
        network = BadNetwork(lab, client, seed=4, loss=0.1)
        network.start()
        first = client.token.secret
        network.run(7200.0)
        self.assertIsNone(client.over)
        self.assertEqual(len(network.peers), 1)
        self.assertNotEqual(client.token.secret, first)
        self.assertEqual(client.token.secret, ticket.token.secret)
        channel = client._channel
        assert channel is not None
        self.assertGreater(channel._outgoing._began, 1)
        network.perform(lab.endpoint.tell(network.peers[0], running(percent=42.0), network.now))
        network.run(5.0)
        progress = held(client).progress.progress
        assert progress is not None
        self.assertEqual(progress.percent, 42.0)
