"""Redis, a relay before each of several nodes, and the nodes: all in processes of their own, for faults to strike."""

from __future__ import annotations

import os
import re
import shutil
import signal
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import treq
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater
from twisted.web.http_headers import Headers

from craftnet.tests.faults.relay import Relay
from craftnet.tests.support.nodes import Node, SystemClock
from craftnet.tests.support.redis_server import RedisServer, Sentinel

OPTIONS = (
    *("--http", "tcp:0:interface=127.0.0.1", "--udp", "off", "--drain-time", "0", "--health-interval", "1"),
    *("--refresh", "1", "--handshake-rate", "0", "--max-per-address", "0", "--max-per-player", "0"),
    *("--max-per-session", "0", "--health-rate", "0"),
)
"""Of a node."""


class World:
    """The whole of it.

    Arguments:
        nodes: how many.
        sentinel: whether a sentinel says where Redis is, and a replica stands by. Then there are no relays.
        scratch: a folder for the files that set clocks.
        before: the folder with `python` and `twistd` of an earlier version, which the last node runs; None when all
            nodes run this one.

    Attributes:
        relays: one of each node.
    """

    def __init__(self, nodes: int, scratch: Path, *, sentinel: bool = False, before: Path | None = None) -> None:
        self._before = before
        self._master = self.redis = RedisServer(durable=True)
        self.replica: RedisServer | None = None
        self._sentinel: Sentinel | None = None
        if sentinel:
            self.replica = RedisServer(
                *("--replicaof", "127.0.0.1", str(self.redis.port), "--repl-diskless-sync-delay", "0"), durable=True
            )
            # It fails over on command only: on a busy machine, a slow answer must not start another failover.
            self._sentinel = Sentinel(self.redis.port, down_after=30_000)
        self.relays = [] if sentinel else [Relay(self.redis.port) for _ in range(nodes)]
        self.clocks = [SystemClock(scratch / f"clock-{number}") for number in range(nodes)]
        self.nodes: list[Node] = []
        self._copy = scratch / "older.aof"

    async def start(self) -> None:
        """Start everything."""
        self.redis.start()
        for server in (self.replica, self._sentinel):
            if server is not None:
                server.start()
        for number, clock in enumerate(self.clocks):
            where = f"port={self.relays[number].start()}" if self.relays else f"sentinel=127.0.0.1:{self._port}"
            backend = f"redis:{where}:timeout=1:retention=120"
            self.nodes.append(Node([*OPTIONS, "--backend", backend], clock.environment))
        self.nodes[-1].scripts = self._before
        await gatherResults([Deferred.fromCoroutine(node.start()) for node in self.nodes], consumeErrors=True)

    async def stop(self) -> None:
        """Stop everything."""
        for node in self.nodes:
            await node.end(signal.SIGKILL)
        for relay in self.relays:
            await relay.stop()
        for server in (self.redis, self.replica, self._sentinel):
            if server is not None:
                server.stop()

    @property
    def _port(self) -> int:
        assert self._sentinel is not None
        return self._sentinel.port

    def ports(self) -> Sequence[int]:
        """Of the nodes; 0 for one that does not run."""
        return [node.port for node in self.nodes]

    def urls(self) -> Sequence[str]:
        """Of the nodes that run."""
        return [node.url for node in self.nodes if node.port]

    def set_clock(self, node: int, seconds: float) -> None:
        """Let a node's system clock be so far ahead of ours, or behind it."""
        self.clocks[node].set(seconds)

    def keep_copy(self) -> None:
        """Of what Redis has on its disk now."""
        shutil.copyfile(Path(self.redis.folder) / "appendonly.aof", self._copy)

    def restart(self, *, older: bool = False, empty: bool = False) -> None:
        """Kills Redis and restarts it, with what it had on its disk, or with the older copy, or with nothing."""
        self.redis.kill()
        if empty:
            self.redis.forget()
        if older:
            shutil.copyfile(self._copy, Path(self.redis.folder) / "appendonly.aof")
        self.redis.start()

    def fail_over(self) -> RedisServer:
        """Has the sentinel make the replica the master; returns the replica."""
        assert self._sentinel is not None
        self._sentinel.command("SENTINEL", "FAILOVER", "mymaster")
        return self._other(self._master)

    def demote(self) -> bool:
        """Makes the former master a replica, as the sentinel does, but without its ten seconds of waiting.

        Returns:
            False while the sentinel does not name the successor yet.
        """
        assert self._sentinel is not None and self.replica is not None
        named = self._sentinel.command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "mymaster")
        former, successor = self._master, self._other(self._master)
        if b"\r\n%d\r\n" % successor.port not in named:
            return False
        former.command("REPLICAOF", "127.0.0.1", str(successor.port))
        for kind in ("normal", "pubsub"):
            former.command("CLIENT", "KILL", "TYPE", kind)
        self._master = successor
        return True

    def _other(self, server: RedisServer) -> RedisServer:
        assert self.replica is not None
        return self.replica if server is self.redis else self.redis

    async def ask(self, node: int, path: str) -> tuple[int, str]:
        """A node's answer; status 0 without an answer."""
        try:
            response = await treq.get(f"{self.nodes[node].url}{path}", headers=Headers({}), persistent=False, timeout=3)
            return response.code, await response.text()
        except Exception:  # it does not run, or stands still.
            return 0, ""

    async def ready(self, seconds: float = 20.0) -> bool:
        """Wait until every node is; whether they were in time."""
        return await self.becomes(200, 404, seconds=seconds)  # the first version has no such route.

    async def becomes(self, *statuses: int, seconds: float = 20.0) -> bool:
        """Wait until every node's readiness is one of these statuses; whether they were in time."""
        deadline = reactor.seconds() + seconds
        for node in range(len(self.nodes)):
            while (await self.ask(node, "/ready"))[0] not in statuses:
                if reactor.seconds() > deadline:
                    return False
                await sleep(0.1)
        return True

    async def upgrade(self) -> None:
        """Stop the last node as a deployment does, and start this version in its place."""
        await self.nodes[-1].end(signal.SIGTERM)
        self.nodes[-1].scripts = None
        await self.nodes[-1].start()

    def usage(self, node: int) -> tuple[int, int]:
        """Kilobytes of memory, and open files, of a node."""
        pid = self.nodes[node].pid
        status = Path(f"/proc/{pid}/status").read_text()
        found = re.search(r"^VmRSS:\s+(\d+)", status, re.MULTILINE)
        return int(found[1]) if found else 0, len(os.listdir(f"/proc/{pid}/fd"))


sleep: Callable[[float], Deferred[None]] = partial(deferLater, cast(Any, reactor))
"""Let this many seconds pass."""
