"""Bytes per update of each WebSocket subprotocol, frame headers included, in a simulated workshop.

Runs the simulated crafting authority for some simulated minutes, watches every session and encodes every update.

    python bench/message_sizes.py --players 200 --minutes 10
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable
from functools import partial
from random import Random

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from zope.interface import implementer

from craftnet.clocks import steady
from craftnet.contract.close_codes import CloseCode
from craftnet.contract.events import Event, SessionStart
from craftnet.crafting.updates import Update
from craftnet.feeds.hub import Hub
from craftnet.interfaces import ISubscriber
from craftnet.observe.metrics.registry import Metrics
from craftnet.protocols.websocket.core.encodings import encoding
from craftnet.protocols.websocket.core.subprotocols import SUPPORTED
from craftnet.providers.memory.backend import MemoryBackend, MemorySettings
from craftnet.providers.sources import Sources
from craftnet.providers.workshop.simulation.settings import WorkshopSettings
from craftnet.providers.workshop.simulation.simulation import Simulation

BEGIN = 1_795_000_000.0
"""Start of the simulation, Unix seconds."""


@implementer(ISubscriber)
class Scales:
    """Measures every update: `octets` by kind and subprotocol, `updates` by kind."""

    def __init__(self) -> None:
        self.updates: Counter[str] = Counter()
        self.octets: Counter[tuple[str, str]] = Counter()

    def deliver(self, update: Update) -> None:
        """As in `ISubscriber`."""
        kinds = {str(message.type) for message in update.messages}
        for kind in (*sorted(kinds), "all"):
            self.updates[kind] += 1
            for subprotocol in SUPPORTED:
                self.octets[kind, subprotocol] += len(update.encoded(encoding(subprotocol)))

    def ended(self, code: CloseCode) -> None:
        """As in `ISubscriber`."""


def play(players: int, minutes: float, scales: Scales, seed: int = 0) -> None:
    """Runs the simulation; `scales` measures all updates."""
    clock = Clock()
    clock.advance(BEGIN)
    steady(clock, clock.seconds, clock.seconds)
    sources = Sources.of(MemoryBackend(clock, MemorySettings()))
    hub = Hub(sources, clock, Metrics())
    simulation = Simulation(WorkshopSettings(players=players), Random(seed), BEGIN)

    def apply(events: list[Event]) -> None:
        for event_ in events:
            Deferred.fromCoroutine(sources.apply([event_]))
            if isinstance(event_.data, SessionStart):
                hub.subscribe_session(event_.data.session_id, scales)

    step: Callable[[], None] = partial(clock.advance, hub.turn_interval)
    while clock.seconds() < BEGIN + minutes * 60:
        apply(simulation.run_until(clock.seconds()))
        hub.turn()
        step()


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--players", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=10)
    arguments = parser.parse_args()
    scales = Scales()
    play(arguments.players, arguments.minutes, scales)
    print(f"{'':24}{'updates':>10}" + "".join(f"{name:>24}" for name in SUPPORTED))
    for kind, number in reversed(scales.updates.most_common()):
        row = "".join(f"{scales.octets[kind, name] / number:>17.1f} bytes/u" for name in SUPPORTED)
        print(f"{kind:24}{number:>10}{row}")


if __name__ == "__main__":
    main()
