"""Writes the security events of a process to its audit log: a queue, a writing thread, and failure handling."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol, TypeVar

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from craftnet.clocks import IClock
from craftnet.contract.messages import rfc3339
from craftnet.errors import ConfigurationError
from craftnet.observe.audit.events import Details, SecurityEvent, SecurityEventType
from craftnet.observe.audit.log_file import AuditFile
from craftnet.observe.audit.recorder import SecurityEvents
from craftnet.observe.metrics import families
from craftnet.observe.metrics.store import MetricStore

MAX_WAITING = 10_000
"""Events that wait to be written; further ones are lost, and counted."""

EVENTS_PER_WRITE = 1_000
"""Events that are written at once."""

TURN = 1.0
"""Seconds between attempts to write when the last one failed."""

HEAD_INTERVAL = 60.0
"""Seconds between two publications of the head."""

ALARM_INTERVAL = 60.0
"""Seconds between two lines in the log while the audit log cannot be written."""

MAX_SYNC = 3600.0
"""The most seconds between two waits for the disk."""

T = TypeVar("T")


class InThread(Protocol):
    """Calls functions in a thread of their own, one after the other."""

    def __call__(self, function: Callable[[], T]) -> Deferred[T]:
        """Fires with the result of `function`."""


class AuditMetrics:
    """The metrics of the audit log."""

    def __init__(self, store: MetricStore) -> None:
        self._written = store.numbers(families.AUDIT_ENTRIES)[()]
        self._failures = store.numbers(families.AUDIT_FAILURES)
        self._waiting = store.numbers(families.AUDIT_WAITING)[()]
        for kind in families.AUDIT_FAILURES.labels["kind"]:
            self.failed(kind, 0)  # so that an alert sees the first one.

    def written(self, number: int) -> None:
        """Counts entries."""
        self._written.value += number

    def waiting(self, number: int) -> None:
        """Sets how many events wait."""
        self._waiting.value = number

    def failed(self, kind: str, number: int = 1) -> None:
        """Counts failures: write, sync, rotate or lost."""
        self._failures[kind,].value += number


class AuditLog(Service):
    """Writes security events to a file.

    Arguments:
        events: the source of the events.
        file: the log.
        clock: both clocks.
        metrics: counts entries and failures.
        in_thread: runs blocking calls.
        sync: seconds between two waits for the disk; 0: after each batch; None: never.
        details: the facts about the process in the first entry.
        threads: the thread of `in_thread`, which runs as long as the service.
    """

    name = "audit"
    _log = Logger()

    def __init__(
        self,
        events: SecurityEvents,
        file: AuditFile,
        clock: IClock,
        metrics: AuditMetrics,
        in_thread: InThread,
        *,
        sync: float | None,
        details: Details,
        threads: ThreadPool | None = None,
    ) -> None:
        self._threads = threads
        self._events = events
        self._file = file
        self._clock = clock
        self._metrics = metrics
        self._in_thread = in_thread
        self._sync = sync
        self._details = details
        self._waiting: deque[SecurityEvent] = deque()
        self._writing = False
        self._in_batch = 0  # events that are being written.
        self._lost = 0
        self._failing: tuple[float, str] | None = None  # since when, Unix seconds, and why.
        self._failed_sync = False
        self._unsynced = False
        self._synced_at = self._alarmed_at = self._published_at = float("-inf")
        self._published = 0
        self._unsubscribe: Callable[[], None] = lambda: None
        self._turning = LoopingCall(self._turn)
        self._turning.clock = clock

    @property
    def problem(self) -> str:
        """Why the log is not complete now, for people; empty while it is."""
        if self._failing is None:
            return "the audit log may not be on the disk" if self._failed_sync else ""
        since, reason = self._failing
        return (
            f"the audit log cannot be written since {rfc3339(since)}: {reason}; "
            f"{len(self._waiting) + self._in_batch} events wait and {self._lost} are lost"
        )

    def startService(self) -> None:
        """Opens the file.

        Raises:
            SystemExit: it cannot be opened.
        """
        super().startService()
        try:
            self._file.open()
        except ConfigurationError as error:
            raise SystemExit(f"craftnet: {error}") from None
        if self._threads is not None:
            self._threads.start()
        details: Details = {**self._details, "key_id": self._file.key_id}
        self._take(SecurityEvent(type=SecurityEventType.STARTED, time=self._clock.wall(), details=details))
        self._unsubscribe = self._events.subscribe(self._take)
        self._turning.start(TURN, now=False)

    def stopService(self) -> Deferred[None]:
        """Writes the waiting events, and closes the file."""
        super().stopService()
        self._events.flush()
        self._unsubscribe()
        self._turning.stop()
        return Deferred.fromCoroutine(self._stop())

    def rotate(self) -> None:
        """Continues in a new file; see `AuditFile.rotate`."""
        if self.running:
            self._in_thread(self._file.rotate).addCallbacks(lambda _: self._publish(), self._not_rotated)

    def _take(self, event: SecurityEvent) -> None:
        if len(self._waiting) >= MAX_WAITING:
            self._lost += 1
            self._metrics.failed("lost")
            return
        self._waiting.append(event)
        self._metrics.waiting(len(self._waiting))
        if not self._writing and self._failing is None:
            self._write()

    def _turn(self) -> None:
        """Writes waiting events and publishes the head when due; called every second."""
        now = self._clock.seconds()
        if not self._writing and (self._failing is not None or self._waiting):
            self._write()
        elif self._unsynced and self._sync and now >= self._synced_at + self._sync:
            self._synced_at, self._unsynced = now, False
            self._in_thread(self._file.sync).addCallbacks(self._was_synced, self._not_synced)
        if now >= self._published_at + HEAD_INTERVAL:
            self._publish()

    def _write(self) -> None:
        """Starts to write the waiting events."""
        Deferred.fromCoroutine(self._write_all()).addErrback(partial(self._log.failure, "the audit log failed"))

    async def _write_all(self) -> None:
        """Writes everything that waits, as far as it can be written."""
        self._writing = True
        try:
            while (self._waiting or self._failing is not None) and await self._write_batch():
                pass
        finally:
            self._writing = False

    async def _write_batch(self) -> bool:
        """Writes a batch of waiting events; returns whether it succeeded."""
        batch = [self._waiting.popleft() for _ in range(min(EVENTS_PER_WRITE, len(self._waiting)))]
        self._in_batch, lost, first = len(batch), self._lost, list[SecurityEvent]()
        if self._failing is not None:
            since, reason = self._failing
            details: Details = {"lost": lost, "failing_since": rfc3339(since)}
            first = [SecurityEvent(type=SecurityEventType.GAP, time=self._clock.wall(), reason=reason, details=details)]
        try:
            unsynced = await self._in_thread(partial(self._append, (*first, *batch)))
        except OSError as error:
            self._waiting.extendleft(reversed(batch))
            self._in_batch = 0  # they wait again.
            self._not_written(error)
            return False
        finally:
            self._in_batch = 0
            self._metrics.waiting(len(self._waiting))
        self._metrics.written(len(batch) + len(first))
        self._unsynced = True
        if self._failing is not None:
            self._failing = None
            self._lost -= lost
            self._log.warn("The audit log can be written again; {lost} events are lost", lost=lost)
        if unsynced is not None:
            self._not_synced(Failure(unsynced))
        elif self._sync == 0:
            self._failed_sync = False
        return True

    def _append(self, batch: Sequence[SecurityEvent]) -> OSError | None:
        """Writes a batch, in the thread; returns why it may not be on the disk yet, if that failed."""
        self._file.write(batch)
        if self._sync == 0:
            try:
                self._file.sync()
            except OSError as error:
                return error
        return None

    def _not_written(self, error: OSError) -> None:
        self._metrics.failed("write")
        since = self._clock.wall() if self._failing is None else self._failing[0]
        self._failing = since, error.strerror or str(error)
        self._alarm()

    def _alarm(self) -> None:
        now = self._clock.seconds()
        if now >= self._alarmed_at + ALARM_INTERVAL:
            self._alarmed_at = now
            self._log.error("{path}: {problem}: the service continues", path=self._file.path, problem=self.problem)

    def _was_synced(self, _: None) -> None:
        self._failed_sync = False

    def _not_synced(self, failure: Failure) -> None:
        self._metrics.failed("sync")
        self._failed_sync = True
        self._log.error("The audit log may not be on the disk: {reason}", reason=_reason(failure))

    def _not_rotated(self, failure: Failure) -> None:
        self._metrics.failed("rotate")
        self._log.error("The audit log was not rotated: {reason}", reason=_reason(failure))

    def _publish(self) -> None:
        """Publishes the head to the service's log, if there are new entries."""
        self._published_at = self._clock.seconds()
        head = self._file.head
        if head is not None and head.sequence != self._published:
            self._published = head.sequence
            self._log.info("{head}", head=str(head))

    async def _stop(self) -> None:
        while self._writing:
            await self._in_thread(lambda: None)  # waits until the thread has written the present batch.
        await self._write_all()
        lost = len(self._waiting) + self._lost
        try:
            await self._in_thread(self._file.close)
        except OSError as error:
            lost += 1
            self._log.error("The audit log was closed without its last entry: {reason}", reason=str(error))
        if lost:
            self._metrics.failed("lost", lost)
            self._log.error("{lost} events are missing in the audit log", lost=lost)
        self._publish()
        if self._threads is not None:
            self._threads.stop()


def parse_sync(text: str) -> float | None:
    """The value of --audit-sync: seconds between two waits for the disk; 0: after each batch; None: never.

    Raises:
        ConfigurationError: the text has another form.
    """
    if text in ("always", "never"):
        return 0.0 if text == "always" else None
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= MAX_SYNC:
        raise ConfigurationError(f"--audit-sync must be always, never, or seconds up to {MAX_SYNC:g}, got {text}")
    return seconds


def _reason(failure: Failure) -> str:
    error = failure.value
    return str(getattr(error, "strerror", None) or error)
