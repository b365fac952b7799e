"""The faults: how each begins, how it ends, and what it may cost."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Coroutine, Sequence
from random import Random
from typing import Any

from msgspec import Struct

from craftnet.tests.faults.players import handshake
from craftnet.tests.faults.relay import Stall
from craftnet.tests.faults.world import World, sleep
from craftnet.tests.support.nodes import FAKETIME

NOTICED = 15.0
"""Seconds within which a node must notice that it does not hear of changes."""

READING = Stall(sending=b"XREAD", above=100)

Step = Callable[[World, Random], Coroutine[Any, Any, Sequence[str]]]


class Fault(Struct, frozen=True):
    """One kind of fault.

    Attributes:
        begin: starts it; returns what was wrong.
        end: ends it; likewise.
        lossless: whether Redis loses nothing.
        same_server: whether the same Redis continues, so that positions must stay valid.
        clocks: whether it needs libfaketime.
        sentinel: whether it needs a world with a sentinel, or one without; None: either.
        short: whether the suite has time for it; `make soak` has for all.
    """

    name: str
    begin: Step
    end: Step
    lossless: bool = True
    same_server: bool = True
    clocks: bool = False
    sentinel: bool | None = False
    short: bool = True


async def _nothing(world: World, random: Random) -> Sequence[str]:
    return ()


def stall(rule: Stall) -> Step:
    """Stall what goes through the relay of the last node."""

    async def begin(world: World, random: Random) -> Sequence[str]:
        world.relays[-1].hold(rule)
        return ()

    return begin


async def _release(world: World, random: Random) -> Sequence[str]:
    world.relays[-1].release()
    return ()


async def _noticed(world: World, random: Random) -> Sequence[str]:
    """The node says of itself that it does not hear of changes; then it is heard again."""
    last, wrong = len(world.nodes) - 1, []
    for _ in range(int(NOTICED / 0.2)):
        if (await world.ask(last, "/ready"))[0] == 503:
            break
        await sleep(0.2)
    else:
        wrong.append("a node that hears of no changes calls itself ready")
    status, body = await world.ask(last, "/health")
    if status != 503 or "changes" not in body:
        wrong.append(f"a node that hears of no changes calls itself healthy: {status} {body}")
    if await handshake(world.ports()[last]) != 503:
        wrong.append("a node that receives no changes accepts a watcher")
    if (await world.ask(last, "/health/live"))[0] != 200:
        wrong.append("a node that hears of no changes is to be restarted")
    if "are not received" not in world.nodes[last].text:
        wrong.append("a node that hears of no changes does not log it")
    world.relays[-1].release()
    return wrong


async def _stop_redis(world: World, random: Random) -> Sequence[str]:
    world.redis.signal(signal.SIGSTOP)
    found = await world.becomes(503)
    world.redis.signal(signal.SIGCONT)
    return () if found else ("a node without Redis calls itself ready",)


def restart(*, older: bool = False, empty: bool = False) -> Step:
    """Kill Redis and start it again."""

    async def begin(world: World, random: Random) -> Sequence[str]:
        world.restart(older=older, empty=empty)
        return ()

    return begin


async def _flush(world: World, random: Random) -> Sequence[str]:
    world.redis.command("FLUSHALL")
    return ()


async def _evict(world: World, random: Random) -> Sequence[str]:
    """Redis evicts: half of the things that are kept are gone."""
    kept = [
        name
        for kind in ("session", "materials", "queue")
        for name in world.redis.names(f"craftnet:{kind}:*")
        if random.random() < 0.5
    ]
    if kept:
        world.redis.command("DEL", *kept, *(["craftnet:due:queue"] if random.random() < 0.5 else []))
    return ()


async def _crowd_out(world: World, random: Random) -> Sequence[str]:
    """Redis evicts keys, for a moment."""
    world.redis.command("CONFIG", "SET", "maxmemory-policy", "allkeys-random")
    world.redis.command("CONFIG", "SET", "maxmemory", "1")
    world.redis.command("SET", "craftnet-tests:more", "of anything")
    world.redis.command("CONFIG", "SET", "maxmemory", "0")
    return ()


async def _evicts_no_more(world: World, random: Random) -> Sequence[str]:
    world.redis.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
    return ()


async def _kill_node(world: World, random: Random) -> Sequence[str]:
    await world.nodes[-1].end(signal.SIGKILL)
    return ()


async def _start_node(world: World, random: Random) -> Sequence[str]:
    await world.nodes[-1].start()
    return ()


async def _stop_node(world: World, random: Random) -> Sequence[str]:
    os.kill(world.nodes[-1].pid, signal.SIGSTOP)
    return ()


async def _continue_node(world: World, random: Random) -> Sequence[str]:
    await sleep(2.0)
    os.kill(world.nodes[-1].pid, signal.SIGCONT)
    return ()


def clocks(*seconds: float) -> Step:
    """Set the clock of the last node: it is one of these seconds off."""

    async def begin(world: World, random: Random) -> Sequence[str]:
        world.set_clock(len(world.nodes) - 1, random.choice(seconds))
        return ()

    return begin


async def _fail_over(world: World, random: Random) -> Sequence[str]:
    """The replica becomes the master, as it does for maintenance."""
    successor = world.fail_over()
    while not successor.shows(b"role:master", "INFO", "replication"):
        await sleep(0.1)
    return ()


async def _follows(world: World, random: Random) -> Sequence[str]:
    """The former master becomes a replica, and may be the next master."""
    assert world.replica is not None
    while not world.demote():
        await sleep(0.1)
    for _ in range(300):
        servers = (world.redis, world.replica)
        if any(server.shows(b"master_link_status:up", "INFO", "replication") for server in servers):
            return ()
        await sleep(0.1)
    return ("the former master does not follow the new one",)


FAULTS: Sequence[Fault] = (
    Fault("large answers to one XREAD stall", stall(READING), _noticed),
    Fault("one connection stalls", stall(Stall(sending=b"XREAD")), _noticed, short=False),
    Fault("what one node asks stalls", stall(Stall(asking=True, answering=False)), _release, short=False),
    Fault("what one node is answered stalls", stall(Stall()), _release, short=False),
    Fault("Redis stands still until every node says so", _stop_redis, _nothing),
    Fault("a node is killed", _kill_node, _start_node, sentinel=None),
    Fault("a node is stopped", _stop_node, _continue_node, short=False, sentinel=None),
    Fault("clocks are apart", clocks(-8.0, 4.0), clocks(0.0), clocks=True, sentinel=None),
    Fault("a clock is set", clocks(-3600.0, 3600.0), clocks(0.0), clocks=True, sentinel=None),
    Fault("Redis is killed", restart(), _nothing, same_server=False),
    Fault("Redis comes back empty", restart(empty=True), _nothing, lossless=False, same_server=False),
    Fault("Redis comes back with older data", restart(older=True), _nothing, lossless=False, same_server=False),
    Fault("Redis is flushed", _flush, _nothing, lossless=False, same_server=False),
    Fault("things vanish from Redis", _evict, _nothing, lossless=False, same_server=False),
    Fault("Redis evicts", _crowd_out, _evicts_no_more, lossless=False, same_server=False, short=False),
    Fault("the replica takes over", _fail_over, _follows, lossless=False, same_server=False, sentinel=True),
)


def possible(fault: Fault, world: World) -> bool:
    """Whether it can strike there: relays and sentinels exclude each other, and clocks need libfaketime."""
    fits = fault.sentinel is None or fault.sentinel is not bool(world.relays)
    return fits and (FAKETIME is not None or not fault.clocks)
