"""Recordings for tests of their analysis: the writer's own parts write them without a server, at set times."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from random import Random
from typing import Any

from craftnet.contract.events import Event
from craftnet.observe.audit.pseudonyms import Pseudonyms
from craftnet.providers.workshop.simulation.settings import WorkshopSettings
from craftnet.providers.workshop.simulation.simulation import Simulation
from craftnet.recording.description import Description
from craftnet.recording.files import RecordingFiles
from craftnet.recording.keys import RecordingKeys
from craftnet.recording.messages import CODES, LENGTH, encode_observations
from craftnet.recording.writer import Writer

Observed = tuple[Any, float]
"""The data of an observation, and when it became true."""


def record(folder: Path, observed: Iterable[Observed], rotation: str = "month", batch: int = 2000) -> Path:
    """Writes a recording; its keys are in FOLDER.players."""
    players = Pseudonyms(Path(f"{folder}.players"))
    description = Description(rotation=rotation, players=f"{folder}.players")
    writer = Writer(RecordingKeys(players, rotation), RecordingFiles(folder, "w0", description), 3600.0)
    everything = list(observed)
    for first in range(0, len(everything), batch):
        part = everything[first : first + batch]
        message = encode_observations([(CODES[type(data)], when, data) for data, when in part])
        writer.take(message[LENGTH:], part[-1][1])
    writer.turn(everything[-1][1] if everything else 0.0, last=True)
    players.close()
    assert not writer.problem, writer.problem
    return folder


def workshop_events(players: int, seconds: float, begin: float, seed: int = 1) -> list[Event]:
    """What the simulated crafting authority publishes; the same for the same seed."""
    return Simulation(WorkshopSettings(players=players), Random(seed), begin).run_until(begin + seconds)
