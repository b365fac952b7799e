"""Whole nodes in processes of their own, and a balancer in front of them, as clients find them in the world."""

from __future__ import annotations

import contextlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast
from uuid import UUID

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.interfaces import IListeningPort, IProcessTransport, ITransport
from twisted.internet.protocol import Factory, ProcessProtocol, Protocol, ServerFactory, connectionDone
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.trial.unittest import SkipTest, TestCase

import craftnet
from craftnet.access.development import SECRET_VARIABLE
from craftnet.tests.support.authority import insist
from craftnet.tests.support.eventually import together
from craftnet.tests.support.live import SECRET
from craftnet.tests.support.load import Body
from craftnet.tests.support.processes import SCRIPTS, environment
from craftnet.tests.support.redis_server import RedisServer
from craftnet.tests.support.watchers import Kind, Seen, Watching, give_up, watch

REPOSITORY = Path(craftnet.__file__).resolve().parents[1]

CONNECT = 2.0
"""Seconds for a node to take a connection."""

WAIT = 0.01
"""Seconds between two checks of a node's output."""


class _Process(ProcessProtocol):
    """Reads a node's output until it names its ports, and keeps the rest."""

    def __init__(self) -> None:
        self.text = ""
        self.listening: Deferred[int] | None = Deferred()
        self.ended: Deferred[int | None] = Deferred()

    def outReceived(self, data: bytes) -> None:
        """Twistd's log."""
        self.text += data.decode()
        match = re.search(r"HTTP and WebSocket: https?://\S+:(\d+)\n", self.text)
        if match and self.listening is not None:
            listening, self.listening = self.listening, None
            listening.callback(int(match[1]))

    errReceived = outReceived

    def processEnded(self, reason: Failure) -> None:
        """It is gone."""
        if self.listening is not None:
            self.listening.errback(RuntimeError(f"the node did not start:\n{self.text}"))
        self.ended.callback(cast(Any, reason.value).exitCode)


FAKETIME = next((str(path) for path in Path("/usr/lib").glob("**/faketime/libfaketime.so.1")), None)
"""The library that gives a process its own clock; None where it is not installed (Debian: libfaketime)."""


class SystemClock:
    """The wall clock of processes started with its `environment`: it can be set while they run.

    Their steady clock runs like the machine's.

    Arguments:
        file: stores the offset.
    """

    def __init__(self, file: Path) -> None:
        self._file = file.absolute()
        self.set(0.0)

    def set(self, ahead: float) -> None:
        """Sets it `seconds` ahead of the machine's, or behind."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{ahead:+f}\n")
        new.replace(self._file)
        self.ahead = ahead

    @property
    def now(self) -> float:
        """The time that it shows, Unix seconds."""
        return time.time() + self.ahead

    @property
    def environment(self) -> dict[str, str]:
        """For a process that is to have this clock; empty where that cannot be."""
        if FAKETIME is None:
            return {}
        return {
            "LD_PRELOAD": FAKETIME,
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }


class Node:
    """`twistd craftnet`, which may be started again after it ended.

    Arguments:
        options: of `twistd craftnet`.
        more: environment variables; those of this process that configure craftnet are not passed on.
        scripts: the folder with `python` and `twistd` of an earlier version, to start that one.

    Attributes:
        port: where it speaks HTTP; 0 while it does not run.
        scripts: as given; None to start this version the next time.
    """

    def __init__(self, options: Sequence[str], more: dict[str, str] | None = None, scripts: Path | None = None) -> None:
        self.scripts = scripts
        self._options = options
        self._environment = environment(**{SECRET_VARIABLE: SECRET, **(more or {})})
        self._process = _Process()
        self._transport: IProcessTransport | None = None
        self.port = 0

    @property
    def url(self) -> str:
        """Where it speaks HTTP."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def text(self) -> str:
        """Its output since it was started."""
        return self._process.text

    @property
    def pid(self) -> int:
        """Of the process."""
        assert self._transport is not None
        return cast(int, self._transport.pid)

    async def start(self) -> None:
        """Start it, and wait until it listens."""
        python = sys.executable if self.scripts is None else str(self.scripts / "python")
        options = self._options if self.scripts is None else known(self.scripts, self._options)
        twistd = str((self.scripts or SCRIPTS) / "twistd")
        arguments = [python, twistd, "--nodaemon", "--pidfile=", "craftnet", *options]
        self._process = process = _Process()
        assert process.listening is not None
        self._transport = reactor.spawnProcess(process, python, arguments, self._environment, tempfile.gettempdir())
        self.port = await process.listening

    async def udp_port(self) -> int:
        """Where it speaks UDP, from when it says so."""
        while (found := re.search(r"^.*UDP: \S+:(\d+)$", self.text, re.MULTILINE)) is None:
            await deferLater(reactor, WAIT)
        return int(found[1])

    async def end(self, signal_number: int = signal.SIGKILL) -> int | None:
        """Send it a signal that ends it; answers its exit code, None when it had none. No error when it has ended."""
        self.port = 0
        transport, self._transport = self._transport, None
        if transport is None:
            return None
        with contextlib.suppress(ProcessExitedAlready):
            transport.signalProcess(signal_number)
        return await self._process.ended


def earlier_version(commit: str, folder: Path) -> Path:
    """Unpacks an earlier commit of this repository, which runs with the libraries that are installed.

    Arguments:
        folder: where to; there is nothing in it.

    Returns:
        The folder with `python` and `twistd`, for `Node`.

    Raises:
        SkipTest: this is no clone of the repository, or the commit is not in it.
    """
    archive = subprocess.run(["git", "archive", commit, "craftnet", "twisted"], cwd=REPOSITORY, capture_output=True)
    if archive.returncode:
        raise SkipTest(f"commit {commit[:12]} is not here (git fetch --unshallow): {archive.stderr.decode().strip()}")
    subprocess.run(["tar", "--extract", "--directory", str(folder)], input=archive.stdout, check=True)
    scripts = folder / "bin"
    scripts.mkdir()
    (scripts / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    first = f"import sys\nsys.path.insert(0, {str(folder)!r})\n"
    (scripts / "twistd").write_text(f"#!{sys.executable}\n{first}from twisted.scripts.twistd import run\nrun()\n")
    for script in scripts.iterdir():
        script.chmod(0o755)
    return scripts


def known(scripts: Path, options: Sequence[str]) -> Sequence[str]:
    """Those of the options, names and values in turn, that an earlier version knows."""
    line = [str(scripts / "twistd"), "craftnet", "--help"]
    text = subprocess.run(line, capture_output=True, check=True, text=True, cwd=tempfile.gettempdir()).stdout
    names = set(re.findall(r"--[a-z-]+", text))
    pairs = zip(options[::2], options[1::2], strict=True)
    return [word for name, value in pairs if name in names for word in (name, value)]


class Balancer:
    """Passes each connection to the next node that takes it; connections die with their node.

    Attributes:
        port: where it listens.
    """

    def __init__(self, nodes: Sequence[Node]) -> None:
        self._nodes = nodes
        self._turn = 0
        self._listening: IListeningPort | None = None
        self.port = 0

    def start(self) -> None:
        """Listen."""
        factory: Any = ServerFactory.forProtocol(lambda: _Front(self))
        factory.noisy = False
        self._listening = reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.port = cast(Any, self._listening.getHost()).port

    async def stop(self) -> None:
        """Stops listening."""
        if self._listening is not None:
            await cast("Deferred[None]", self._listening.stopListening())

    async def connect(self, back: Protocol) -> bool:
        """Connect `back` to the next node; whether one takes it."""
        self._turn += 1
        for offset in range(len(self._nodes)):
            node = self._nodes[(self._turn + offset) % len(self._nodes)]
            if not node.port:
                continue
            factory = Factory.forProtocol(lambda: back)
            factory.noisy = False
            try:
                await TCP4ClientEndpoint(reactor, "127.0.0.1", node.port, CONNECT).connect(factory)
            except Exception:  # whatever it is, the next one may take it.
                continue
            return True
        return False


class _Half(Protocol):
    """One end of a connection through the balancer."""

    other: ITransport | None = None

    def dataReceived(self, data: bytes) -> None:
        """Pass it on."""
        if self.other is not None:
            self.other.write(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Pass that on, too."""
        if self.other is not None:
            self.other.loseConnection()


class _Front(_Half):
    """The client's end."""

    def __init__(self, balancer: Balancer) -> None:
        self._balancer = balancer

    def connectionMade(self) -> None:
        """Find a node."""
        cast(Any, self.transport).pauseProducing()
        Deferred.fromCoroutine(self._join())

    async def _join(self) -> None:
        back, front = _Half(), cast(Any, self.transport)
        back.other = front
        if not await self._balancer.connect(back):
            front.abortConnection()
        elif front.connected:
            self.other = back.transport
            front.resumeProducing()
        elif back.transport is not None:
            back.transport.loseConnection()


def listens(port: int) -> bool:
    """Whether a port of this machine accepts connections."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


class NodesTestCase(TestCase):
    """Redis, and two nodes behind a balancer."""

    timeout = 60

    async def setUp(self) -> None:  # type: ignore[override]  # trial awaits it; unittest would not.
        """Start it all."""
        self.redis = RedisServer(durable=True)
        self.addCleanup(self.redis.stop)
        self.redis.start()
        options = ["--http", "tcp:0:interface=127.0.0.1", "--udp", "127.0.0.1:0", "--udp-heartbeat", "1000"]
        options += ["--drain-time", "0", "--backend", f"redis:port={self.redis.port}:timeout=1"]
        self.nodes = [Node(options), Node(options)]
        for node in self.nodes:
            self.addCleanup(node.end)
        await together([node.start for node in self.nodes])
        self.balancer = Balancer(self.nodes)
        self.balancer.start()
        self.addCleanup(self.balancer.stop)

    def watch(self, session: UUID, player: UUID, kind: Kind) -> tuple[Seen, Watching]:
        """Begin to watch through the balancer."""
        seen, watching = watch(self.balancer.port, session, player, kind)
        self.addCleanup(give_up, watching)
        return seen, watching

    async def publish(self, body: Body, first: int = 0, refused: Callable[[], None] = lambda: None) -> None:
        """Post it to one node, or to the other one if that node does not accept it."""
        await insist(lambda attempts: self.nodes[(first + attempts) % 2].url, body, refused)
