"""A UDP connection with three sessions."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from craftnet.contract.messages import Status
from craftnet.crafting.state import MaterialsState, SessionState
from craftnet.protocols.udp.client.connection import Event
from craftnet.protocols.udp.server.connection import SessionLeft
from craftnet.protocols.udp.server.dispatcher import (
    Effect,
    SessionJoined,
)
from craftnet.tests.support.samples import NOW, OTHER_SESSION, running
from craftnet.tests.support.udp_lab import Lab, datagrams

THIRD = UUID(int=3)


def over(session_id: UUID) -> SessionState:
    """The last update of a session."""
    state = running(session_id)
    return replace(state, version=9, progress=replace(state.progress, status=Status.COMPLETED, percent=100.0))


def of(session_id: UUID, state: MaterialsState) -> MaterialsState:
    """The same materials, of that session."""
    return replace(state, session_id=session_id)


def joined(effects: Sequence[Effect]) -> list[int]:
    """The indexes of the sessions to be watched."""
    return [effect.session.index for effect in effects if isinstance(effect, SessionJoined)]


def left(effects: Sequence[Effect]) -> list[int]:
    """The indexes of the sessions to stop watching."""
    return [effect.session.index for effect in effects if isinstance(effect, SessionLeft)]


class SessionsCase(SynchronousTestCase):
    """A connection with three sessions, on a line that is perfect while `carry` is called."""

    packet_size = 1200

    def setUp(self) -> None:
        self.lab = Lab()
        self.ticket = self.lab.ticket(packet_size=self.packet_size)
        self.client, self.peer = self.lab.connect(self.ticket)
        self.effects: list[Effect] = []
        self.now = NOW
        for index, session_id in enumerate((OTHER_SESSION, THIRD), 1):
            permit, effects = self.lab.join(self.ticket, session_id)
            self.assertEqual((permit.index, joined(effects)), (index, [index]))
            self.client.watch(index, session_id)

    def deliver(self, index: int, *states: SessionState | MaterialsState) -> list[Effect]:
        """The hub delivers an update of a session."""
        return [effect for state in states for effect in self.lab.update(self.peer, state, self.now, index)]

    def carry(self, effects: list[Effect], seconds: float = 0.0) -> list[Event]:
        """The client's view of it, and of what follows until `seconds` later; the effects are kept."""
        self.effects = []
        events: list[Event] = []
        until = self.now + seconds

        def take(effects: list[Effect]) -> None:
            self.effects += effects
            for datagram in datagrams(effects):
                output = self.client.receive(datagram, self.now)
                events.extend(output.events)
                for answer in output.datagrams:
                    take(self.lab.send(answer, self.now))

        take(effects)
        while True:
            due = self.lab.endpoint.deadline
            upcoming = min(self.client.deadline, until + 1 if due is None else due)
            if upcoming > until:
                self.now = until
                return events
            self.now = max(self.now, upcoming)
            if due is not None and due <= self.now:
                take(self.lab.endpoint.tick(self.now))
            else:
                output = self.client.tick(self.now)
                events.extend(output.events)
                for datagram in output.datagrams:
                    take(self.lab.send(datagram, self.now))
