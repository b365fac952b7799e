"""Builds the recording of sessions' histories."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec
from twisted.internet.interfaces import IProcessTransport
from twisted.internet.protocol import ProcessProtocol

from craftnet.errors import ConfigurationError
from craftnet.observe.audit.keys import key_from_file
from craftnet.observe.audit.pseudonyms import Pseudonyms
from craftnet.observe.health.monitor import Monitor
from craftnet.providers.inspection import IEventTap
from craftnet.recording.messages import WriterSettings
from craftnet.recording.rows import PathSample
from craftnet.recording.service import Recorder, RecordingMetrics
from craftnet.server.build.base import Base
from craftnet.server.build.observation import players_file
from craftnet.server.build.transports import Transports
from craftnet.server.health_checks import degraded_by
from craftnet.server.options.option import VARIABLE_PREFIX
from craftnet.server.settings import Settings

WRITER = "craftnet.recording.writer"
"""The module that the writer's process runs."""

SAMPLES = 200
"""The most connections of each transport that are sampled at once."""


def build_recording(base: Base, transports: Transports, monitor: Monitor) -> Recorder | None:
    """Records sessions' histories, and checks that in /health; None without --record.

    Raises:
        ConfigurationError: a library is missing, the back end applies no events here, or a file cannot be used.
    """
    settings, reactor = base.settings, base.reactor
    if settings.record is None:
        return None
    if find_spec("pyarrow") is None:
        raise ConfigurationError("--record needs pyarrow: pip install 'craftnet[analysis]'")
    if base.state.relayed:
        raise ConfigurationError(
            "--record records where events are applied, and with --backend upstream that is the core: give --record "
            "to the core"
        )
    if not IEventTap.providedBy(base.state.sources.sessions):
        raise ConfigurationError(
            f"--record needs a back end that shows the events that it applies (IEventTap); "
            f"{settings.sessions or settings.backend} does not"
        )
    writer = _writer_settings(settings, settings.record)
    arguments = [sys.executable, "-m", WRITER, msgspec.json.encode(writer).decode()]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(VARIABLE_PREFIX)}

    def spawn(process: ProcessProtocol) -> IProcessTransport:
        transport: IProcessTransport = reactor.spawnProcess(process, sys.executable, arguments, environment)
        return transport

    recorder = Recorder(
        base.state.sources,
        spawn,
        lambda: _samples(transports, settings.region),
        reactor,
        RecordingMetrics(base.metrics.store),
    )
    monitor.add({"recording": degraded_by(lambda: recorder.problem)})
    return recorder


def _writer_settings(settings: Settings, record: str) -> WriterSettings:
    """The settings of the writer, whose files can be used.

    Raises:
        ConfigurationError: they cannot.
    """
    folder = Path(record).absolute()
    try:
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"--record {record}: cannot make the folder: {error.strerror}") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigurationError(f"--record {record}: the server may not write to the folder")
    audit_players = None if settings.audit is None else players_file(settings)
    players = Path(settings.record_players or audit_players or f"{folder}.players").absolute()
    if players.is_relative_to(folder):
        raise ConfigurationError(
            f"--record-players {players} is in the folder of --record, whose readers must not have the keys: choose "
            "another folder"
        )
    Pseudonyms(players).close()
    if settings.record_key is not None:
        key_from_file(Path(settings.record_key))
    return WriterSettings(
        folder=str(folder),
        players=str(players),
        rotation=settings.record_rotation,
        key=None if settings.record_key is None else str(Path(settings.record_key).absolute()),
        days=settings.record_days,
        interval=settings.record_interval,
        worker=f"w{settings.worker or 0}",
    )


def _samples(transports: Transports, region: str | None) -> Iterator[PathSample]:
    """Samples of some open connections."""
    udp = transports.udp_service
    if udp is not None:
        for peer in _some(udp.endpoint.peers.values()):
            path = peer.conditions
            if path.round_trip is not None:
                yield PathSample(region, "udp", path.round_trip, path.loss_out, path.jitter)
    for connection in _some(transports.feeds.open):
        row = connection.inspect()
        if row.round_trip_ms is not None:
            yield PathSample(region, row.transport, row.round_trip_ms / 1000, row.loss or 0.0)


def _some(connections: Any) -> list[Any]:
    """At most `SAMPLES` of them, each with the same chance."""
    everything = list(connections)
    return everything if len(everything) <= SAMPLES else random.sample(everything, SAMPLES)
