"""Recordings of running services: their rows, a killed writer, and `twistd craftnet --workers`."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import pyarrow.parquet
from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase

from craftnet.access.development import SECRET_VARIABLE
from craftnet.client import Address, SharedUdpTransport, UdpConnections
from craftnet.clocks import IClock, steady
from craftnet.errors import ConfigurationError
from craftnet.observe.audit.keys import SECRET_VARIABLE as AUDIT_VARIABLE
from craftnet.observe.audit.keys import create_key
from craftnet.recording import service
from craftnet.server.build import build
from craftnet.server.settings import Settings
from craftnet.tests.support.audit_lines import KEY
from craftnet.tests.support.authority import insist
from craftnet.tests.support.eventually import until, wait_for
from craftnet.tests.support.fakes import SteppedReactor
from craftnet.tests.support.live import SECRET, LiveTestCase, envelope, started, token
from craftnet.tests.support.observers import LinkRecorder
from craftnet.tests.support.ports import reserved_port
from craftnet.tests.support.processes import children, running
from craftnet.tests.support.redis_server import RedisServer
from craftnet.tests.support.samples import IRON, PLAYER, SESSION


def rows(folder: Path, table: str) -> list[dict[str, Any]]:
    """The rows of a recording, as pyarrow reads them."""
    found = sorted(folder.glob(f"{table}/*/*.parquet"))
    return [row for path in found for row in pyarrow.parquet.ParquetFile(path).read().to_pylist()]


def _continue(process: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGCONT)


class RecordedServiceCase(LiveTestCase):
    """A service that records."""

    def setUp(self) -> None:
        """Starts it."""
        self.folder = Path(self.mktemp()).absolute()
        self.settings = replace(self.settings, record=str(self.folder), region="us-east")
        super().setUp()

    def writers(self) -> list[int]:
        """The processes that write."""
        return [
            child
            for child in children(os.getpid())
            if b"craftnet.recording.writer" in Path(f"/proc/{child}/cmdline").read_bytes()
        ]

    async def counted(self, outcome: str) -> float:
        """The metric of observations."""
        text = await (await self.request("GET", "/metrics")).text()
        (line,) = [line for line in text.splitlines() if f'observations_total{{outcome="{outcome}"}}' in line]
        return float(line.rpartition(" ")[2])


class ServiceTests(RecordedServiceCase):
    async def test_session(self) -> None:
        """From its start to its end, with a sample of a watcher's path, and without any id."""
        await self.publish(started(seconds=60))
        await self.open(f"/ws/crafting/{SESSION}?player_id={PLAYER}", token())
        self.clock.advance(60)
        await self.publish(
            envelope("crafting.session.complete", {"session_id": str(SESSION), "result_item_id": str(IRON)})
        )
        health = await (await self.request("GET", "/health")).json()
        self.assertEqual(health["checks"]["recording"]["status"], "ok")
        await self.stop()
        start, complete = rows(self.folder, "sessions")
        self.assertEqual((start["event"], complete["event"]), ("start", "complete"))
        self.assertEqual(start["session"], complete["session"])
        (sample,) = rows(self.folder, "network")
        self.assertEqual((sample["transport"], sample["region"]), ("websocket", "us-east"))
        for path in self.folder.rglob("*"):
            if path.is_file():
                octets = path.read_bytes()
                for private in (SESSION, PLAYER):
                    self.assertNotIn(str(private).encode(), octets)
                    self.assertNotIn(private.bytes, octets)

    async def test_writer_that_falls_behind(self) -> None:
        """What does not fit is dropped and counted, and everything else is recorded later."""
        self.patch(service, "MAX_WAITING", 50)
        await until((self.folder / "recording.json").exists)
        (writer,) = self.writers()
        os.kill(writer, signal.SIGSTOP)
        self.addCleanup(_continue, writer)
        sent, check = 0, {"status": "ok"}

        async def publish() -> None:
            long = [started(uuid4()) for _ in range(50)]
            for each in long:
                each["data"]["zone_id"] = "z" * 5000  # so that the pipe is full soon.
            await self.publish(*long)

        while check["status"] == "ok":
            await publish()
            sent += 50
            check = (await (await self.request("GET", "/health")).json())["checks"]["recording"]
        self.assertIn("its writer is too slow; 50 observations wait", check["message"])
        while not (dropped := await self.counted("dropped")):
            await publish()
            sent += 50
        os.kill(writer, signal.SIGCONT)
        await self.stop()
        self.assertEqual(len(rows(self.folder, "sessions")), sent - dropped)

    async def test_writer_is_killed(self) -> None:
        """The service goes on, another writer follows, and what is lost is counted."""
        await until((self.folder / "recording.json").exists)
        await self.publish(started(uuid4()))
        os.kill(self.writers()[0], signal.SIGKILL)
        await until(lambda: not self.writers())
        self.clock.advance(2)
        await until(self.writers)
        await self.publish(started(uuid4()))
        lost = await self.counted("lost")
        await self.stop()
        found = rows(self.folder, "sessions")
        self.assertEqual(len(found) + lost, 2)
        self.assertGreater(len(found), 0)


class UdpPathTests(RecordedServiceCase):
    def setUp(self) -> None:
        self.patch(service, "SAMPLE_INTERVAL", 1.0)
        super().setUp()

    async def test_samples(self) -> None:
        """The round trip and the loss that the server has measured of a player's UDP connection."""
        await self.publish(started())
        connections = UdpConnections(steady(reactor), Address(self.url), PLAYER, token())
        self.addCleanup(connections.close)
        SharedUdpTransport(connections, SESSION).link().start(LinkRecorder())
        udp = self.service.udp_service
        assert udp is not None
        await until(lambda: any(peer.conditions.round_trip is not None for peer in udp.endpoint.peers.values()))
        (peer,) = udp.endpoint.peers.values()
        self.clock.advance(1.0)
        await deferLater(reactor, 0)  # the sample is taken in this turn of the reactor, before any datagram is read.
        measured = peer.conditions
        await self.stop()
        sample = rows(self.folder, "network")[-1]
        assert measured.round_trip is not None
        self.assertEqual((sample["transport"], sample["region"]), ("udp", "us-east"))
        self.assertEqual(sample["round_trip_ms"], measured.round_trip * 1000)
        self.assertEqual((sample["loss"], sample["jitter_ms"]), (measured.loss_out, measured.jitter))


class NodesTests(LiveTestCase):
    """Two nodes on one Redis, as on two machines: each with a folder and keys of its own, and a key in common."""

    def setUp(self) -> None:
        self.redis = RedisServer()
        self.addCleanup(self.redis.stop)
        self.redis.start()
        self.base = Path(self.mktemp()).absolute()
        self.base.mkdir()
        create_key(self.base / "key")
        backend = f"redis:port={self.redis.port}"
        common = replace(self.settings, backend=backend, udp="off", record_key=str(self.base / "key"))
        self.settings = replace(common, record=str(self.base / "here"))
        super().setUp()
        other = replace(common, record=str(self.base / "there"))
        self.other = build(other, cast(IClock, self.clock), {SECRET_VARIABLE: SECRET})
        self.other.privilegedStartService()
        self.other.startService()

    async def publish_at(self, url: str, events: list[dict[str, Any]]) -> None:
        """Posts events until a node has them."""
        await insist(lambda attempts: url, events)

    async def test_each_event_once(self) -> None:
        """An event that reaches both nodes is recorded by one; a session is one, whose events reach both."""
        begun = started()
        ended = envelope("crafting.session.complete", {"session_id": str(SESSION), "result_item_id": str(IRON)})
        for url, events in ((self.url, [begun]), (self.other.listener.url, [begun, ended]), (self.url, [ended])):
            await self.publish_at(url, events)
        await self.stop()
        await self.other.stopService()
        here, there = rows(self.base / "here", "sessions"), rows(self.base / "there", "sessions")
        self.assertEqual([[row["event"] for row in each] for each in (here, there)], [["start"], ["complete"]])
        self.assertEqual(here[0]["session"], there[0]["session"])


class ProcessTests(SynchronousTestCase):
    """As an operator runs it."""

    def test_workers(self) -> None:
        """Each session is recorded once, whichever worker its events reach, under one pseudonym."""
        folder = Path(self.mktemp()).absolute()
        options = ["--http", f"tcp:{reserved_port(self)}:interface=127.0.0.1", "--udp", "off", "--workers", "2"]
        options += ["--backend", "workshop:players=40", "--record", str(folder), "--record-interval", "1"]
        with running(*options, **{SECRET_VARIABLE: SECRET}) as server:
            wait_for(lambda: len({path.name[:2] for path in folder.glob("sessions/*/*.parquet")}) == 2)
            self.assertEqual(server.finish(), 0)
        begun = [row["session"] for row in rows(folder, "sessions") if row["event"] == "start"]
        self.assertGreater(len(begun), 10)
        self.assertEqual(len(begun), len(set(begun)))


class MistakeTests(SynchronousTestCase):
    """Each is reported before anything listens."""

    def setUp(self) -> None:
        self.base = Path(self.mktemp()).absolute()
        self.base.mkdir()

    def refused(self, *, record: str = "", **options: Any) -> str:
        """The error."""
        settings = Settings(record=record or str(self.base / "recording"), udp="off", **options)
        return str(self.assertRaises(ConfigurationError, build, settings, SteppedReactor(), {}))

    def test_missing_extra(self) -> None:
        self.patch(sys, "path", [])
        self.patch(sys, "modules", {name: module for name, module in sys.modules.items() if "pyarrow" not in name})
        self.assertEqual(self.refused(), "--record needs pyarrow: pip install 'craftnet[analysis]'")

    def test_folder(self) -> None:
        (self.base / "file").write_text("")
        self.assertIn("cannot make the folder: Not a directory", self.refused(record=str(self.base / "file" / "under")))
        self.assertIn("cannot make the folder: File exists", self.refused(record=str(self.base / "file")))

    def test_keys_for_all_to_see(self) -> None:
        keys = str(self.base / "recording" / "keys")
        self.assertIn("must not have the keys", self.refused(record_players=keys))

    def test_unusable_key(self) -> None:
        self.assertIn("does not exist", self.refused(record_key=str(self.base / "none")))

    def test_edge(self) -> None:
        (self.base / "token").write_text("a.b.c")
        error = self.refused(backend=f"upstream:url=http\\://127.0.0.1\\:1:token_file={self.base / 'token'}")
        self.assertIn("give --record to the core", error)


class PlayersFileTests(SynchronousTestCase):
    def test_one_file_with_the_audit_log(self) -> None:
        """So that one command erases a player from both."""
        base = Path(self.mktemp()).absolute()
        base.mkdir()
        options: dict[str, Any] = {"record": str(base / "recording"), "udp": "off"}
        build(Settings(**options), SteppedReactor(), {})
        self.assertTrue((base / "recording.players").exists())
        (base / "recording.players").unlink()
        audited = Settings(**options, audit=str(base / "audit"))
        build(audited, SteppedReactor(), {AUDIT_VARIABLE: KEY.secret.hex()})
        self.assertEqual({path.name for path in base.glob("*.players")}, {"audit.players"})
