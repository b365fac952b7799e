"""A server and a player's client with a seeded path between them, and what the player's progress bars show.

Tests and benchmarks use it. Time is simulated; nothing sleeps, and a seed gives the same figures on every machine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from heapq import heappop, heappush
from itertools import count
from math import inf
from random import Random
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from craftnet.client.output.smoothing import SmoothedProgress
from craftnet.client.transports.translation import Translation
from craftnet.contract.messages import Status
from craftnet.crafting.progress import Progress, percent_at, rebase
from craftnet.crafting.state import Material, MaterialsState, SessionState
from craftnet.protocols.udp.client.connection import Output
from craftnet.protocols.udp.client.received_state import ProgressChanged
from craftnet.protocols.udp.core.cookie import Address
from craftnet.protocols.udp.core.delay_pacing import Congestion
from craftnet.protocols.udp.core.negotiation import PATH_SIZE, agree
from craftnet.protocols.udp.core.pacing import IP_UDP_HEADERS
from craftnet.protocols.udp.server.connection import Send, ServerConnection
from craftnet.protocols.udp.server.dispatcher import ConnectionOpened, Effect, SessionJoined
from craftnet.tests.support.bottleneck import Link, Scheduler, TcpFlow
from craftnet.tests.support.samples import NOW, PLAYER
from craftnet.tests.support.udp_lab import BEARER, Lab


class Workload(Struct, frozen=True):
    """What the authority does to each craft of the player.

    Attributes:
        crafts: the number of crafts.
        rows: the number of materials of each.
        seconds: of each craft.
        correction, pause, material: mean seconds between two changes of its remaining time, from one pause to the next,
            and between two changes of its materials; infinite: none.
    """

    crafts: int = 1
    rows: int = 5
    seconds: float = 300.0
    correction: float = inf
    pause: float = inf
    material: float = inf


class Craft:
    """One craft: the authority's state, and the client's bar.

    Attributes:
        delays: seconds from each change of the progress until the client had it, or a newer one.
        errors: points by which the bar was wrong, at each look.
        steps: points by which the bar moved from one look to the next beyond what the craft itself did.
        frozen: the longest time that the bar stood still while the craft went on, seconds.
    """

    def __init__(self, session_id: UUID, rows: int, seconds: float, random: Random) -> None:
        self.state = SessionState(session_id, PLAYER, 1, Progress(Status.ACTIVE, 0.0, NOW, seconds))
        ids = [UUID(int=random.getrandbits(128), version=4) for _ in range(rows)]
        self.materials = MaterialsState(session_id, 1, tuple(Material(each, 50, 80) for each in ids))
        self.delays: list[float] = []
        self.errors: list[float] = []
        self.steps: list[float] = []
        self.frozen = 0.0
        self._random = random
        self._unseen: list[tuple[int, float]] = [(1, NOW)]
        self._translation = Translation(session_id, PLAYER)
        self._bar = SmoothedProgress()
        self._known = False
        self._shown = self._true = 0.0
        self._moved = NOW

    def advance(self, progress: Progress, now: float) -> SessionState:
        """The progress changes."""
        self.state = replace(self.state, version=self.state.version + 1, progress=progress)
        self._unseen.append((self.state.version, now))
        return self.state

    def correct(self, now: float) -> SessionState:
        """The craft takes up to 10 % longer, or shorter, than expected."""
        progress = rebase(self.state.progress, now)
        remaining = (progress.remaining or 0.0) * self._random.uniform(0.9, 1.1)
        return self.advance(replace(progress, remaining=remaining), now)

    def pause_or_resume(self, now: float) -> SessionState:
        """The craft stops, or continues."""
        progress = rebase(self.state.progress, now)
        paused = progress.status is Status.PAUSED
        return self.advance(replace(progress, status=Status.ACTIVE if paused else Status.PAUSED), now)

    def use(self, now: float) -> MaterialsState:
        """One of the materials becomes less."""
        rows = list(self.materials.materials)
        row = self._random.randrange(len(rows))
        rows[row] = replace(rows[row], quantity=max(0, (rows[row].quantity or 0) - 3))
        self.materials = replace(self.materials, version=self.materials.version + 1, materials=tuple(rows))
        return self.materials

    def received(self, event: ProgressChanged, offset: float | None, client_now: float, now: float) -> None:
        """The client has a progress, and shows it as `Screen` does."""
        self.delays += [now - when for version, when in self._unseen if version <= event.version]
        self._unseen = [unseen for unseen in self._unseen if unseen[0] > event.version]
        update = self._translation.progress(event, offset, client_now)
        assert isinstance(update.state, SessionState)
        self._bar.update(update.state.progress, client_now)
        if not self._known:
            self._known, self._shown, self._moved = True, self._bar.percent(client_now), now
            self._true = percent_at(self.state.progress, now)

    def look(self, offset: float | None, client_now: float, now: float) -> None:
        """Compares the bar with the truth."""
        if not self._known:
            return
        corrected = None if offset is None else self._translation.corrected(offset, client_now)
        if corrected is not None:
            assert isinstance(corrected.state, SessionState)
            self._bar.correct(corrected.state.progress, client_now)
        shown, true = self._bar.percent(client_now), percent_at(self.state.progress, now)
        self.errors.append(abs(shown - true))
        self.steps.append(abs((shown - self._shown) - max(0.0, true - self._true)))
        if shown != self._shown or true == self._true:
            self._moved = now
        self.frozen = max(self.frozen, now - self._moved)
        self._shown, self._true = shown, true


class SimulatedPath:
    """A server, one client with a session for each craft, and two links.

    Arguments:
        congestion: what lowers the server's rate.
        down, up: to the client, and to the server.
        ahead, drift: seconds by which the client's clock is ahead, and by which it gains in a second.
        frame: seconds between two looks at the bars.

    Attributes:
        address: the client's, as the server sees it now. What was sent to another one is lost.
        learned: seconds from each move until a datagram from the new address reached the server.
        bytes_down, datagrams_up: bytes sent to the client, all headers included, and datagrams sent to the server.
    """

    def __init__(
        self,
        workload: Workload,
        down: Link,
        up: Link,
        *,
        seed: int = 1,
        congestion: Congestion = Congestion.LOSS,
        compression: str = "none",
        ahead: float = 0.0,
        drift: float = 0.0,
        frame: float = 1 / 60,
    ) -> None:
        self.now = NOW
        self.random = Random(seed)
        self.lab = Lab(seed=seed, congestion=congestion)
        self.crafts = [
            Craft(UUID(int=100 + number), workload.rows, workload.seconds, self.random)
            for number in range(workload.crafts)
        ]
        self._workload = workload
        self._down, self._up = down, up
        self._ahead, self._drift = ahead, drift
        self._frame = frame
        self.address: Address = ("192.0.2.1", 4000)
        self.learned: list[float] = []
        self._moved_at: float | None = None
        self.bytes_down = self.datagrams_up = self._moves = 0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()
        ticket = self.lab.tickets.issue(
            self.crafts[0].state.session_id,
            PLAYER,
            agree([compression], 65_536, PATH_SIZE),
            NOW + 36_000,
            NOW,
            BEARER,
        )
        for craft in self.crafts[1:]:
            self.lab.join(ticket, craft.state.session_id, expires=NOW + 36_000)
        self.client = self.lab.client_connection(ticket)
        self.peer: ServerConnection | None = None
        self._take(self.client.start(self._client_now))
        self.later(NOW + frame, self._look)
        for craft in self.crafts:
            self._plan(workload.correction, craft.correct, craft)
            self._plan(workload.pause, craft.pause_or_resume, craft)
            self._plan(workload.material, craft.use, craft)

    @property
    def delays(self) -> list[float]:
        """Seconds from each change of a progress until the client had it, in order of length."""
        return sorted(delay for craft in self.crafts for delay in craft.delays)

    @property
    def largest_step(self) -> float:
        """Points by which a bar ever moved from one look to the next, beyond what its craft did."""
        return max(step for craft in self.crafts for step in craft.steps)

    @property
    def longest_halt(self) -> float:
        """The longest time that a bar stood still while its craft went on, seconds."""
        return max(craft.frozen for craft in self.crafts)

    @property
    def errors(self) -> list[float]:
        """Points by which the bars were wrong, at each look, in order of size."""
        return sorted(error for craft in self.crafts for error in craft.errors)

    @property
    def _client_now(self) -> float:
        return self.now + self._ahead + (self.now - NOW) * self._drift

    @property
    def _client_deadline(self) -> float:
        return NOW + (self.client.deadline - NOW - self._ahead) / (1 + self._drift)

    def later(self, when: float, event: Callable[[], None]) -> None:
        """Schedules an event, such as a move of the client."""
        heappush(self._events, (when, next(self._numbers), event))

    def compete(self, flow: TcpFlow) -> None:
        """Another flow shares the links."""

        def later(when: float, event: Callable[[float, Scheduler], None]) -> None:
            self.later(when, lambda: event(self.now, later))

        flow.begin(later)

    def move(self, *, notices: bool) -> None:
        """The client has another address; it may not notice, behind a NAT."""
        self._moves += 1
        self._moved_at = self.now
        self.address = ("192.0.2.1", 4000 + self._moves)
        if notices:
            self._take(self.client.moved(self._client_now))

    def run(self, seconds: float) -> None:
        """Lets time pass."""
        end = self.now + seconds
        endpoint = self.lab.endpoint
        while True:
            arrival = self._events[0][0] if self._events else inf
            server = endpoint.deadline
            upcoming = min(arrival, self._client_deadline, inf if server is None else server)
            if upcoming >= end:
                self.now = end
                return
            self.now = max(self.now, upcoming)
            if arrival <= self.now:
                heappop(self._events)[2]()
            elif server is not None and server <= self.now:
                self._perform(endpoint.tick(self.now))
            else:
                self._take(self.client.tick(max(self._client_now, self.client.deadline)))  # rounding.

    def _plan(self, mean: float, change: Callable[[float], SessionState | MaterialsState], craft: Craft) -> None:
        """Changes a craft at random times."""
        if mean == inf:
            return

        def happen() -> None:
            if not craft.state.progress.status.terminal:
                self._update(craft, change(self.now))
            self.later(self.now + self.random.expovariate(1 / mean), happen)

        self.later(self.now + self.random.expovariate(1 / mean), happen)

    def _update(self, craft: Craft, state: SessionState | MaterialsState) -> None:
        if self.peer is not None:
            self._perform(self.lab.update(self.peer, state, self.now, self.crafts.index(craft)))

    def _perform(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send(datagram, address):
                    self.bytes_down += len(datagram) + IP_UDP_HEADERS
                    arrival = self._down.carry(len(datagram) + IP_UDP_HEADERS, self.now)
                    if arrival is not None:
                        self.later(arrival, partial(self._arrive, datagram, address))
                case ConnectionOpened(peer):
                    self.peer = peer
                case SessionJoined(peer, session):
                    craft = self.crafts[session.index]
                    self._update(craft, craft.state)
                    self._update(craft, craft.materials)

    def _arrive(self, datagram: bytes, address: Address) -> None:
        if address == self.address:
            self._take(self.client.receive(datagram, self._client_now))

    def _take(self, output: Output) -> None:
        for event in output.events:
            if isinstance(event, ProgressChanged):
                craft = self.crafts[event.session_id.int - 100]
                craft.received(event, self.client.pulse.offset, self._client_now, self.now)
        for datagram in output.datagrams:
            self.datagrams_up += 1
            arrival = self._up.carry(len(datagram) + IP_UDP_HEADERS, self.now)
            if arrival is not None:
                self.later(arrival, partial(self._reach, datagram, self.address))

    def _reach(self, datagram: bytes, address: Address) -> None:
        if address == self.address and self._moved_at is not None:
            self.learned.append(self.now - self._moved_at)
            self._moved_at = None
        self._perform(self.lab.send(datagram, self.now, address))

    def _look(self) -> None:
        for craft in self.crafts:
            craft.look(self.client.pulse.offset, self._client_now, self.now)
        self.later(self.now + self._frame, self._look)


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of them are. They are in order."""
    return values[min(len(values) - 1, int(len(values) * share))]
