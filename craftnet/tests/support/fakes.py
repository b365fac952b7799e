"""Fakes that implement the project's interfaces, for tests of one module at a time."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IHostnameResolver, IHostResolution, IResolutionReceiver
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactor
from zope.interface import implementer

from craftnet.access.principal import Principal
from craftnet.clocks import IClock
from craftnet.contract.close_codes import CloseCode
from craftnet.contract.http_bodies import DescribedCraft
from craftnet.contract.messages import Station
from craftnet.crafting.updates import Update
from craftnet.errors import Unauthorized
from craftnet.interfaces import ISubscriber, ITokenVerifier
from craftnet.providers.inspection import IDemonstration


@implementer(IClock)
class SteppedClock(Clock):
    """A clock that tests advance, and whose wall clock they can set apart from it.

    Arguments:
        now: what both clocks show at first.
    """

    def __init__(self, now: float = 0.0) -> None:
        super().__init__()
        self.rightNow = now
        self._ahead = 0.0

    def wall(self) -> float:
        """See `IClock`."""
        return self.seconds() + self._ahead

    def step(self, seconds: float) -> None:
        """Set the wall clock forward, or, by a negative number of seconds, back."""
        self._ahead += seconds


class SteppedReactor(MemoryReactor, SteppedClock):
    """A reactor in memory with such a clock."""

    def __init__(self, now: float = 0.0) -> None:
        MemoryReactor.__init__(self)
        SteppedClock.__init__(self, now)


@implementer(ISubscriber)
class RecordingWatcher:
    """Records what it receives."""

    def __init__(self) -> None:
        self.updates: list[Update] = []
        self.codes: list[CloseCode] = []

    def deliver(self, update: Update) -> None:
        """Keep it."""
        self.updates.append(update)

    def ended(self, code: CloseCode) -> None:
        """Keep it."""
        self.codes.append(code)

    @property
    def types(self) -> list[str]:
        """The types of the messages received so far."""
        return [str(message.type) for update in self.updates for message in update.messages]


@implementer(ITokenVerifier)
class TableAuthority:
    """Knows the tokens in a table, and no others."""

    def __init__(self, principals: dict[str, Principal]) -> None:
        self.principals = principals

    def authenticate(self, token: str) -> Deferred[Principal]:
        """Look it up."""
        if token in self.principals:
            return succeed(self.principals[token])
        return fail(Unauthorized("The token is not valid.", problem="invalid_token"))


@implementer(IDemonstration)
class FakeShowcase:
    """Features no session, and lists the test's."""

    def __init__(self) -> None:
        self.sessions: dict[UUID, Sequence[UUID]] = {}

    def featured(self) -> None:
        """Nothing."""

    def under_way(self, player_id: UUID) -> Sequence[UUID]:
        """As the test says."""
        return self.sessions.get(player_id, ())

    def describe(self, player_id: UUID) -> Sequence[DescribedCraft]:
        """The same sessions, each a flare."""
        return [
            DescribedCraft(session_id=session_id, recipe="Flare", station_type=Station.LABORATORY, materials=())
            for session_id in self.under_way(player_id)
        ]

    def jump_queue(self, player_id: UUID) -> bool:
        """Players with sessions may."""
        return player_id in self.sessions


@implementer(IHostnameResolver, IHostResolution)
class TableResolver:
    """Knows these addresses of any host."""

    name = "any"

    def __init__(self, *hosts: str) -> None:
        self.hosts = hosts

    def cancel(self) -> None:
        """Too late."""

    def resolveHostName(
        self,
        resolutionReceiver: IResolutionReceiver,
        hostName: str,
        portNumber: int = 0,
        addressTypes: object = None,
        transportSemantics: str = "TCP",
    ) -> IHostResolution:
        """Notify the listeners."""
        resolutionReceiver.resolutionBegan(self)
        for host in self.hosts:
            kind = IPv6Address if ":" in host else IPv4Address
            resolutionReceiver.addressResolved(kind("TCP", host, portNumber))
        resolutionReceiver.resolutionComplete()
        return self
