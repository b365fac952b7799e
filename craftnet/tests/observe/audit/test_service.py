"""Tests for `craftnet.observe.audit.service`: the log as a service, and what happens when it cannot be written."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, cast

from prometheus_client import CollectorRegistry
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import ILogObserver, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from craftnet.observe.audit.entries import LogEntry, parse
from craftnet.observe.audit.events import SecurityEvent, SecurityEventType
from craftnet.observe.audit.recorder import SecurityEvents
from craftnet.observe.audit.service import HEAD_INTERVAL, MAX_WAITING, AuditLog, AuditMetrics
from craftnet.observe.audit.verification import ChainHead, heads_in
from craftnet.observe.metrics.store import MetricStore
from craftnet.tests.support.audit_lines import KEY, audit_file, verified
from craftnet.tests.support.fakes import SteppedClock
from craftnet.tests.support.samples import NOW, PLAYER

ADMIN = SecurityEventType.ADMIN

T = TypeVar("T")


class Disk:
    """Decides whether `os.write` and `os.fsync` succeed."""

    def __init__(self) -> None:
        self.full = self.broken = False
        self.synced = 0
        self._write = os.write

    def write(self, file: int, octets: bytes) -> int:
        if self.full:
            raise OSError(28, "No space left on device")
        return self._write(file, octets)

    def fsync(self, file: int) -> None:
        if self.broken:
            raise OSError(5, "Input/output error")
        self.synced += 1


class ServiceTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.clock = SteppedClock(NOW)
        self.events = SecurityEvents(self.clock)
        self.disk = Disk()
        self.patch(os, "write", self.disk.write)
        self.patch(os, "fsync", self.disk.fsync)
        self.jobs: list[Callable[[], object]] = []
        self.at_once = True
        self.log = self.made()
        self.messages: list[str] = []

        def heard(event: dict[str, object]) -> None:
            self.messages.append(str(event["log_format"]).format(**event))

        observer = cast("ILogObserver", heard)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    def made(self, sync: float | None = 1.0) -> AuditLog:
        file = audit_file(self.folder)
        self.registry, store = CollectorRegistry(), MetricStore()
        self.registry.register(store)
        metrics = AuditMetrics(store)
        return AuditLog(self.events, file, self.clock, metrics, self.in_thread, sync=sync, details={"version": "1.0.0"})

    def in_thread(self, function: Callable[[], T]) -> Deferred[T]:
        """At once, or when the test calls the job."""
        if self.at_once:
            return maybeDeferred(function)
        result: Deferred[T] = Deferred()
        self.jobs.append(lambda: maybeDeferred(function).chainDeferred(result))
        return result

    def started(self) -> AuditLog:
        self.log.startService()
        self.addCleanup(self.stop)
        return self.log

    def stop(self) -> None:
        self.disk.full = self.disk.broken = False
        if self.log.running:
            self.successResultOf(self.log.stopService())

    def metric(self, name: str, **labels: str) -> float:
        value = self.registry.get_sample_value(f"craftnet_audit_{name}", labels)
        return 0.0 if value is None else value

    def octets(self) -> bytes:
        return (self.folder / "audit.jsonl").read_bytes()

    def entries(self) -> list[LogEntry]:
        found = [parse(line) for line in self.octets().splitlines()]
        return [sealed.entry for sealed in found if sealed is not None]

    def published(self) -> list[ChainHead]:
        return heads_in("\n".join(self.messages))

    def test_whole_life(self) -> None:
        self.started()
        self.events.record(
            SecurityEvent(type=ADMIN, actor="operator", player_id=PLAYER, reason="maintenance", details={"closed": 3})
        )
        self.stop()
        started, action, stopped = self.entries()
        self.assertEqual(started.event, SecurityEventType.STARTED)
        self.assertEqual(started.details, {"version": "1.0.0", "key_id": KEY.id})
        self.assertEqual((action.actor, action.reason, action.details), ("operator", "maintenance", {"closed": 3}))
        self.assertEqual(stopped.event, SecurityEventType.STOPPED)
        self.assertNotIn(str(PLAYER).encode(), self.octets())
        self.assertTrue(verified([("log", self.octets())], self.published()).intact)
        self.assertEqual(self.metric("entries_total"), 2)

    def test_floods_end_with_the_service(self) -> None:
        self.started()
        for _ in range(5):
            self.events.record(SecurityEvent(type=SecurityEventType.LIMITED, address="192.0.2.1"))
        self.stop()
        self.assertEqual([entry.count for entry in self.entries()], [1, 1, 4, 1])

    def test_heads(self) -> None:
        """Published now and then, if there is anything new, and at the end; they show a cut-off end."""
        self.started()
        for _ in range(3):
            self.events.record(SecurityEvent(type=ADMIN))
            self.clock.advance(HEAD_INTERVAL)
        self.clock.pump([HEAD_INTERVAL] * 3)
        self.stop()
        self.assertEqual([head.sequence for head in self.published()], [2, 3, 4, 5])
        lines = self.octets().splitlines(keepends=True)
        self.assertTrue(verified([("log", b"".join(lines))], self.published()).intact)
        self.assertFalse(verified([("log", b"".join(lines[:-1]))], self.published()).intact)

    def test_sync(self) -> None:
        for sync, wanted in ((0.0, 6), (1.0, 2), (None, 1)):
            self.log, self.disk.synced = self.made(sync), 0
            self.started()
            for _ in range(4):
                self.events.record(SecurityEvent(type=ADMIN))
            self.clock.advance(1.0)
            self.clock.advance(1.0)
            self.stop()
            self.assertEqual(self.disk.synced, wanted, sync)
            (self.folder / "audit.jsonl").unlink()

    def test_batches(self) -> None:
        """Events that arrive while others are written follow together."""
        self.at_once = False
        self.log.startService()
        for number in range(10):
            self.events.record(SecurityEvent(type=ADMIN, reason=str(number)))
        self.jobs.pop(0)()
        self.assertEqual(len(self.entries()), 1)
        self.jobs.pop(0)()
        self.assertEqual([entry.reason for entry in self.entries()], ["", *map(str, range(10))])
        self.events.record(SecurityEvent(type=ADMIN, reason="late"))
        stopping = self.log.stopService()
        while self.jobs:
            self.jobs.pop(0)()
        self.successResultOf(stopping)
        self.assertEqual([entry.reason for entry in self.entries()][-2:], ["late", ""])

    def test_full_disk(self) -> None:
        """No request waits, it is counted and logged once a minute; later a gap is recorded, and the events follow."""
        self.started()
        self.disk.full = True
        for number in range(MAX_WAITING + 5):
            self.events.record(SecurityEvent(type=ADMIN, reason=str(number)))
        self.clock.pump([1.0] * 30)
        self.assertEqual(len(self.entries()), 1)
        self.assertEqual(self.metric("failures_total", kind="lost"), 5)
        self.assertEqual(self.metric("failures_total", kind="write"), 31)
        self.assertEqual(self.metric("waiting_events"), MAX_WAITING)
        self.assertIn("No space left on device; 10000 events wait and 5 are lost", self.log.problem)
        self.assertEqual(sum("the service continues" in message for message in self.messages), 1)
        self.at_once = False
        self.clock.advance(1.0)  # an attempt is under way: these events wait, too.
        self.assertIn("10000 events wait and 5 are lost", self.log.problem)
        self.disk.full = False
        self.at_once = True
        self.jobs.pop()()
        _, gap, first, *_ = entries = self.entries()
        self.assertEqual((gap.event, gap.reason, gap.details["lost"]), ("audit.gap", "No space left on device", 5))
        self.assertEqual((first.reason, len(entries)), ("0", MAX_WAITING + 2))
        self.assertEqual((self.log.problem, self.metric("waiting_events")), ("", 0))
        self.assertTrue(verified([("log", self.octets())], self.published()).intact)

    def test_full_disk_at_start_and_end(self) -> None:
        """The service starts and stops nevertheless, and says what is missing."""
        self.disk.full = True
        self.log.startService()
        self.events.record(SecurityEvent(type=ADMIN))
        self.successResultOf(self.log.stopService())
        self.assertEqual(self.octets(), b"")
        self.assertIn("3 events are missing in the audit log", self.messages)

    def test_failed_sync(self) -> None:
        """The entries are there, perhaps not on the disk: they are not written twice."""
        self.started()
        self.disk.broken = True
        self.events.record(SecurityEvent(type=ADMIN))
        self.clock.advance(1.0)
        self.assertEqual(self.metric("failures_total", kind="sync"), 1)
        self.assertIn("may not be on the disk", self.log.problem)
        self.disk.broken = False
        self.events.record(SecurityEvent(type=ADMIN))
        self.clock.advance(1.0)
        self.assertEqual(self.log.problem, "")
        self.assertEqual(len(self.entries()), 3)

    def test_unusable_file(self) -> None:
        (self.folder / "audit.jsonl").mkdir()
        error = self.assertRaises(SystemExit, self.log.startService)
        self.assertIn("cannot write the audit log", str(error))

    def test_rotation(self) -> None:
        self.log.rotate()  # before the start: nothing to rotate.
        self.started()
        self.events.record(SecurityEvent(type=ADMIN))
        self.log.rotate()
        self.assertEqual(len(list(self.folder.glob("audit-*.jsonl"))), 1)
        self.assertEqual([entry.event for entry in self.entries()], ["audit.continued"])
        (self.folder / "audit.jsonl").rename(self.folder / "moved")
        (self.folder / "audit.jsonl").mkdir()
        self.log.rotate()
        self.assertEqual(self.metric("failures_total", kind="rotate"), 1)
        self.assertEqual([entry.count for entry in self.entries_of("moved")], [1])

    def entries_of(self, name: str) -> list[LogEntry]:
        found = [parse(line) for line in (self.folder / name).read_bytes().splitlines()]
        return [sealed.entry for sealed in found if sealed is not None]
