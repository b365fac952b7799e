"""Metrics of the process itself: versions, memory, the use of its limits, and its certificate."""

from __future__ import annotations

import os
import platform
import resource
import sys
from collections.abc import Callable, Mapping

from cryptography.hazmat.backends.openssl import backend
from twisted.application.service import Service

from craftnet.observe.metrics import families
from craftnet.observe.metrics.store import MetricStore

Limit = tuple[float, Callable[[], float]]
"""A limit, and a function that returns how much of it is in use."""


def resident_memory() -> int:
    """The physical memory of this process, in bytes."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:  # another system than Linux: the most that it ever used.
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024


class ProcessMetrics(Service):
    """Measures the process while it runs.

    Arguments:
        version: of craftnet.
        limits: by name.
        sessions: returns the number of sessions that are kept or watched in this process.
        memory: returns the physical memory, in bytes.
        certificate_expiry: returns when the TLS certificate expires, Unix seconds; None without one.
    """

    def __init__(
        self,
        store: MetricStore,
        version: str,
        limits: Mapping[str, Limit],
        sessions: Callable[[], float],
        *,
        memory: Callable[[], int] = resident_memory,
        certificate_expiry: Callable[[], float | None] = lambda: None,
    ) -> None:
        self._store = store
        self._limits = limits
        self._sessions = sessions
        self._memory = memory
        self._certificate_expiry = certificate_expiry
        self._resident = store.numbers(families.RESIDENT)[()]
        self._at_start = store.numbers(families.RESIDENT_AT_START)[()]
        self._per_session = store.numbers(families.MEMORY_PER_SESSION)[()]
        openssl = backend.openssl_version_text().split(" ")[1]
        store.numbers(families.BUILD_INFO)[version, platform.python_version(), openssl].value = 1
        for name, (limit, _) in limits.items():
            store.numbers(families.LIMIT)[name,].value = limit
        self._at_start.value = memory()
        store.before_reading.append(self._read)

    def startService(self) -> None:
        """Measures the growth of the memory from now on."""
        super().startService()
        self._at_start.value = self._memory()

    def _read(self) -> None:
        """Sets the gauges that are not counted."""
        resident, sessions = self._memory(), self._sessions()
        self._resident.value = resident
        self._per_session.value = max(0.0, resident - self._at_start.value) / sessions if sessions else 0.0
        for name, (_, used) in self._limits.items():
            self._store.numbers(families.LIMIT_USED)[name,].value = used()
        expiry = self._certificate_expiry()
        if expiry is not None:
            self._store.numbers(families.CERTIFICATE_EXPIRY)["http",].value = expiry
