"""The folder in which several processes keep their metrics, so that each can serve the sum of all.

In prometheus-client's format: a file of each kind of metric for every process. Each is named for the worker, not for
the process id: a restarted worker continues its counters, and the number of files stays the same.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.multiprocess import mark_process_dead
from prometheus_client.utils import floatToGoString

from craftnet.errors import ConfigurationError
from craftnet.observe.metrics.families import RESTARTS

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""The environment variable with the folder, as prometheus-client names it."""

WORKER_VARIABLE = "CRAFTNET_FIGURES"
"""The environment variable with the name under which a process keeps its metrics there."""

FOLDER_PREFIX = "craftnet-metrics-"


def check_folder() -> str:
    """Checks that the folder can be created; returns a path of the length that it will have.

    Raises:
        ConfigurationError: it cannot be created.
    """
    try:
        with tempfile.TemporaryDirectory(prefix=FOLDER_PREFIX) as folder:
            return folder
    except OSError as error:
        raise ConfigurationError(
            f"--workers needs a temporary folder for the workers' metrics: {error}. Set TMPDIR to a writable folder"
        ) from None


class MetricsFile:
    """Numbers of this process in a file that other processes read, in prometheus-client's format.

    Only this module uses undocumented parts of prometheus-client.
    """

    def __init__(self, path: str) -> None:
        self._file = MmapedDict(path)

    def read(self, key: str) -> float:
        """The number of `key`; 0.0 when there is none."""
        number: float = self._file.read_value(key)[0]
        return number

    def write(self, key: str, number: float) -> None:
        """Sets the number of `key`."""
        self._file.write_value(key, number, 0.0)

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


def metric_key(metric: tuple[str, str], suffix: str, labels: Mapping[str, str]) -> str:
    """The key of one number in a `MetricsFile`.

    Arguments:
        metric: name and description.
        suffix: the suffix of the number's name after the metric's name, such as "_total".
    """
    name, description = metric
    return mmap_key(name, f"{name}{suffix}", list(labels), list(labels.values()), description)


def bound_label(bound: float) -> str:
    """The label of a histogram's bucket with this upper bound, as prometheus-client writes it."""
    return str(floatToGoString(bound))


class MetricsFolder:
    """The metrics folder of some workers, as used by the process that starts them.

    Arguments:
        workers: their names, without underscores.
    """

    def __init__(self, workers: Iterable[str]) -> None:
        _remove_abandoned()
        self._directory, self._hold = _folder()
        self._restarts = MetricsFile(os.path.join(self._directory, "counter_supervisor.db"))
        self._counts = dict.fromkeys(workers, 0)
        for worker in self._counts:
            self._write(worker)

    def environment(self, worker: str) -> dict[str, str]:
        """The environment variables of a worker."""
        return {FOLDER_VARIABLE: self._directory, WORKER_VARIABLE: worker}

    def died(self, worker: str) -> None:
        """Resets the gauges of a worker that died; its counters remain."""
        mark_process_dead(worker, self._directory)

    def restarted(self, worker: str) -> None:
        """Counts a restart."""
        self._counts[worker] += 1
        self._write(worker)

    def remove(self) -> None:
        """Removes the folder."""
        self._restarts.close()
        shutil.rmtree(self._directory, ignore_errors=True)
        os.close(self._hold)

    def _write(self, worker: str) -> None:
        key = metric_key((RESTARTS.base, RESTARTS.text), "_total", {"worker": worker})
        self._restarts.write(key, float(self._counts[worker]))


def join_folder() -> bool:
    """Makes this process keep its metrics in the folder that the environment names; False if it names none."""
    directory = os.environ.get(FOLDER_VARIABLE)
    if directory is None:
        return False
    if WORKER_VARIABLE in os.environ:
        _hold(directory)
    return True


def own_file(kind: str) -> str:
    """The file in the folder for this process's metrics of a kind, such as counter or gauge_livesum."""
    return os.path.join(os.environ[FOLDER_VARIABLE], f"{kind}_{os.environ.get(WORKER_VARIABLE, os.getpid())}.db")


def _hold(directory: str) -> int:
    """Marks the folder as in use while this process lives; returns the descriptor to close at the end."""
    hold = os.open(directory, os.O_RDONLY)
    fcntl.flock(hold, fcntl.LOCK_SH)
    return hold


def _folder() -> tuple[str, int]:
    """A new folder and its mark."""
    while True:
        directory = tempfile.mkdtemp(prefix=FOLDER_PREFIX)
        with suppress(FileNotFoundError):
            hold = _hold(directory)
            if os.path.exists(directory):
                return directory, hold
            os.close(hold)  # another process removed it as abandoned in between.


def _remove_abandoned() -> None:
    """Removes folders whose processes were all killed and could not remove them."""
    for directory in Path(tempfile.gettempdir()).glob(f"{FOLDER_PREFIX}*"):
        with suppress(OSError):  # it is in use, or another user's, or just being removed.
            opened = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(directory)
            finally:
                os.close(opened)
