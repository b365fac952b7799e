"""The folder in which several processes keep what they count, so that each of them can tell the figures of all.

prometheus-client keeps a file of each kind for every process, and names it for the process's id. Here it is named for
the worker: one that is started again counts on where it ended, and the files do not become more.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from prometheus_client import values
from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.multiprocess import mark_process_dead

from craftnet.errors import ConfigurationError

DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"
"""The environment variable that names the folder; the name is prometheus-client's."""

WHOSE = "CRAFTNET_FIGURES"
"""The environment variable that says whose figures a process keeps there."""

PREFIX = "craftnet-metrics-"

RESTARTS = ("craftnet_worker_restarts", "Workers that died, and are started again.")
"""Name and description."""


def check_folder() -> str:
    """Whether there is room for the folder; answers a path as it will have.

    Raises:
        ConfigurationError: it cannot be made.
    """
    try:
        with tempfile.TemporaryDirectory(prefix=PREFIX) as folder:
            return folder
    except OSError as error:
        raise ConfigurationError(
            f"--workers needs a temporary folder, in which the workers keep what they count: {error}."
            " Set TMPDIR to a folder that can be written"
        ) from None


class Figures:
    """A folder for the figures of some workers, seen from the process that starts them.

    Arguments:
        workers: their names, without underscores.
    """

    def __init__(self, workers: Iterable[str]) -> None:
        _remove_abandoned()
        self._directory, self._hold = _folder()
        self._restarts = MmapedDict(os.path.join(self._directory, "counter_supervisor.db"))
        self._counts = dict.fromkeys(workers, 0)
        for worker in self._counts:
            self._write(worker)

    def environment(self, worker: str) -> dict[str, str]:
        """What a worker must find in its environment."""
        return {DIRECTORY: self._directory, WHOSE: worker}

    def died(self, worker: str) -> None:
        """It has no connections any more; what it counted stays counted."""
        mark_process_dead(worker, self._directory)

    def restarted(self, worker: str) -> None:
        """It is started again."""
        self._counts[worker] += 1
        self._write(worker)

    def remove(self) -> None:
        """Nobody counts any more."""
        self._restarts.close()
        shutil.rmtree(self._directory, ignore_errors=True)
        os.close(self._hold)

    def _write(self, worker: str) -> None:
        name, description = RESTARTS
        key = mmap_key(name, f"{name}_total", ["worker"], [worker], description)
        self._restarts.write_value(key, float(self._counts[worker]), 0.0)


def join() -> bool:
    """Keep the figures that this process makes from now on in the folder of its environment; whether there is one."""
    directory = os.environ.get(DIRECTORY)
    if directory is None:
        return False
    if WHOSE in os.environ:
        values.ValueClass = values.MultiProcessValue(lambda: os.environ[WHOSE])
        _hold(directory)
    return True


def own_file(kind: str) -> str:
    """A file in the folder for what this process counts itself, of a kind of metric: counter or histogram."""
    return os.path.join(os.environ[DIRECTORY], f"{kind}_{os.environ.get(WHOSE, os.getpid())}-own.db")


def _hold(directory: str) -> int:
    """Say, as long as this process lives, that the folder is in use; answers what to close to say so no longer."""
    hold = os.open(directory, os.O_RDONLY)
    fcntl.flock(hold, fcntl.LOCK_SH)
    return hold


def _folder() -> tuple[str, int]:
    """A new one, and the hold on it."""
    while True:
        directory = tempfile.mkdtemp(prefix=PREFIX)
        with suppress(FileNotFoundError):
            hold = _hold(directory)
            if os.path.exists(directory):
                return directory, hold
            os.close(hold)  # somebody who looked for abandoned ones came in between.


def _remove_abandoned() -> None:
    """Remove those whose processes were all killed: nobody else would."""
    for directory in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):  # it is in use, or another user's, or somebody else removes it.
            opened = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(directory)
            finally:
                os.close(opened)
