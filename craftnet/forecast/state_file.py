"""Keeps the model across restarts, in one file that is replaced as a whole."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from craftnet.errors import ConfigurationError
from craftnet.forecast.model import Entry, ForecastModel, ModelSummary, Slope
from craftnet.runtime.files import write_whole

FORMAT: Literal["craftnet learned progress"] = "craftnet learned progress"
"""The name of the format, in the file."""

VERSION = 1
"""The version of the format; a format that this version cannot read has another one."""

SAVE_INTERVAL = 60.0
"""Seconds between two writes; a crash loses what was learned after the last one."""

MODE = 0o600
"""The file's mode: only the server's user may read it."""


class LearnedState(Struct, frozen=True):
    """The contents of a file, as JSON.

    Attributes:
        entries, quality, load: of the model (`ModelSummary`).
    """

    format: Literal["craftnet learned progress"]
    version: int
    samples: int
    quality: Slope
    load: Slope
    entries: dict[str, Entry]


_decode = msgspec.json.Decoder(LearnedState).decode
_encode = msgspec.json.Encoder().encode


def encode_state(summary: ModelSummary) -> bytes:
    """Encodes the state of a model as JSON."""
    return _encode(LearnedState(FORMAT, VERSION, summary.samples, summary.quality, summary.load, summary.entries))


def decode_state(octets: bytes) -> ModelSummary:
    """Reads what `encode_state` wrote.

    Raises:
        ValueError: the text is no such file, or one of another version.
    """
    try:
        state = _decode(octets)
    except msgspec.DecodeError as error:
        raise ValueError(f"it is damaged, or no state of learned progress: {error}") from None
    if state.version != VERSION:
        raise ValueError(f"it is of version {state.version}, and this server reads version {VERSION}")
    return ModelSummary(state.samples, state.quality, state.load, state.entries)


def read_state(path: Path, name: str) -> ModelSummary | None:
    """The contents of a file; None if there is none yet.

    Arguments:
        name: the option, for the error's text.

    Raises:
        ConfigurationError: the file cannot be read, or its folder cannot be written.
    """
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise ConfigurationError(f"{name} {path}: the folder {path.parent} does not exist or cannot be written")
    try:
        return decode_state(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigurationError(
            f"{name} {path}: {reason}. Restore the file, or move it away to begin with nothing learned"
        ) from None


class StateFile(Service):
    """Writes the state of a model at intervals, and when the server stops.

    Arguments:
        in_thread: runs a function in another thread, since the disk may be slow; `deferToThread`.
    """

    _log = Logger()

    def __init__(
        self, path: Path, model: ForecastModel, clock: Any, in_thread: Callable[[Callable[[], None]], Deferred[None]]
    ) -> None:
        self._path = path
        self._model = model
        self._in_thread = in_thread
        self._saved = model.samples
        self._writable = True
        self._saving = LoopingCall(self.save)
        self._saving.clock = clock

    def startService(self) -> None:
        """Begins to write."""
        super().startService()
        self._saving.start(SAVE_INTERVAL, now=False)

    def stopService(self) -> Deferred[None] | None:
        """Writes for the last time."""
        super().stopService()
        if self._saving.running:
            self._saving.stop()
        return self.save()

    def save(self) -> Deferred[None] | None:
        """Writes the file if the model has learned since the last write."""
        samples = self._model.samples
        if samples == self._saved:
            return None
        path, octets = self._path, encode_state(self._model.summary())
        writing = self._in_thread(lambda: write_whole(path, octets, path.with_name(f"{path.name}.new"), MODE))
        return writing.addCallbacks(lambda _: self._written(samples), self._failed)

    def _written(self, samples: int) -> None:
        self._saved, self._writable = samples, True

    def _failed(self, failure: Failure) -> None:
        """Logs the first of consecutive failures; the next interval writes again."""
        failure.trap(OSError)
        if self._writable:
            self._log.error(
                "what was learned cannot be written to {path}: {reason}",
                path=str(self._path),
                reason=failure.value.strerror,  # type: ignore[union-attr]  # an OSError, as trapped.
            )
        self._writable = False
