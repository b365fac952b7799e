"""Slow and mobile networks over UDP: how late changes arrive, and how smooth bars are. Seeded, in simulated time.

    python bench/udp_bottleneck.py
    python bench/udp_bottleneck.py --seconds 20 --seeds 1

*Slow networks*: one player watches 32 crafts with 20 materials each over one connection; each craft changes every few
seconds. The network has a round trip of 50 ms and a buffer of 32 kB in front of its bottleneck; the server sends 50
kB/s at most. With `--udp-congestion loss` the rate falls after losses and late heartbeats, with `delay` by predicted
queues. A download is a TCP flow in the same bottleneck, from a third of the time on. *Arrival* is the time from a
change to the moment at which the client has it, or a newer one; *queue* the time in the bottleneck's buffer; *bar
wrong* the points between the bar and the craft as the authority knows it; *halt* the longest time that a bar stood
still while its craft went on.

*Mobile networks*: four crafts of two minutes; a round trip of 60 to 120 ms, 1 % loss, and every 4 s a hand-over that
carries nothing for 200 ms. Every second hand-over may change the client's address: it notices, or a NAT hides it.
*Once*: a NAT changes the address without a hand-over, 20 to 25 s after the connection opened, in eight runs for each
seed. *Before* is a client that sends no heartbeats every second after a change, and none when nothing arrives for
unusually long. *Server knows*: the time from a change of the address until a datagram from the new one arrives, in 95 %
of the cases. *Jump* is the largest step of a bar between two of 60 frames a second, beyond the craft's own.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from math import inf
from random import Random

from craftnet.protocols.udp.client import connection
from craftnet.protocols.udp.core import heartbeat
from craftnet.protocols.udp.core.delay_pacing import Congestion
from craftnet.tests.support.bottleneck import HandOvers, Link, TcpFlow
from craftnet.tests.support.samples import NOW
from craftnet.tests.support.simulated_path import SimulatedPath, Workload, quantile

WORKSHOP = Workload(crafts=32, rows=20, seconds=600.0, correction=4.0, pause=40.0, material=4.0)
CRAFTS = Workload(crafts=4, seconds=120.0, correction=5.0, pause=10.0, material=5.0)

ONCE_SECONDS = 32.0
"""Simulated seconds of a run with one change of address."""

ONCE_RUNS = 8
"""Such runs for each seed."""

KBIT = 125.0
"""Bytes per second."""

SLOW = (
    ("64 kbit/s", 64 * KBIT, 0.0, False),
    ("256 kbit/s", 256 * KBIT, 0.0, False),
    ("256 kbit/s, a download", 256 * KBIT, 0.0, True),
    ("no bottleneck", inf, 0.0, False),
    ("no bottleneck, 2 % loss", inf, 0.02, False),
)
"""The name, bytes per second, the share that is lost at random, whether a download competes."""


def workshop(
    seed: int, seconds: float, congestion: Congestion, rate: float, loss: float, download: bool
) -> tuple[SimulatedPath, Link]:
    """A player in a workshop behind a bottleneck."""
    random = Random(seed)
    down, up = Link(random, rate=rate, loss=loss), Link(random, loss=loss)
    path = SimulatedPath(WORKSHOP, down, up, seed=seed, congestion=congestion, frame=0.05)
    if download:
        path.compete(TcpFlow(down, up, begins=NOW + seconds / 3))
    path.run(seconds)
    return path, down


def journey(seed: int, seconds: float, moves: bool, notices: bool) -> SimulatedPath:
    """A player on a mobile network."""
    random = Random(seed)
    hand_overs = HandOvers(random, 4.0, 0.2, NOW, NOW + seconds)
    down, up = (Link(random, latency=0.03, jitter=0.03, loss=0.01, outage=hand_overs.outage) for _ in range(2))
    path = SimulatedPath(CRAFTS, down, up, seed=seed)
    for start in hand_overs.starts[::2] if moves else ():
        path.later(start + hand_overs.lasts, lambda: path.move(notices=notices))
    path.run(seconds)
    return path


def moved_once(seed: int) -> SimulatedPath:
    """A player whose address a NAT changes once."""
    random = Random(seed)
    down, up = (Link(random, latency=0.03, jitter=0.03, loss=0.01) for _ in range(2))
    path = SimulatedPath(CRAFTS, down, up, seed=seed)
    path.later(NOW + 20.0 + 5.0 * random.random(), lambda: path.move(notices=False))
    path.run(ONCE_SECONDS)
    return path


def pooled(paths: Sequence[SimulatedPath], of: Callable[[SimulatedPath], Sequence[float]]) -> list[float]:
    """All values of several runs, in order."""
    return sorted(value for path in paths for value in of(path))


def slow_networks(seeds: Sequence[int], seconds: float) -> None:
    """Prints a table of both ways to lower the rate."""
    columns = ("arrival p50", "p99", "queue p50", "p99", "lost", "to the client", "bar wrong p99", "halt")
    print(f"{'slow networks':32}" + "".join(f"{column:>15}" for column in columns))
    for name, rate, loss, download in SLOW:
        for congestion in Congestion:
            runs = [workshop(seed, seconds, congestion, rate, loss, download) for seed in seeds]
            paths = [path for path, _ in runs]
            delays, errors = pooled(paths, lambda path: path.delays), pooled(paths, lambda path: path.errors)
            queued = sorted(value for _, link in runs for value in link.queued)
            lost = sum(link.lost for _, link in runs) / sum(link.lost + len(link.queued) for _, link in runs)
            cells = (
                *(f"{quantile(delays, share) * 1000:.0f} ms" for share in (0.5, 0.99)),
                *(f"{quantile(queued, share) * 1000:.0f} ms" for share in (0.5, 0.99)),
                f"{lost:.1%}",
                f"{sum(path.bytes_down for path in paths) / seconds / len(paths) / 1000:.2f} kB/s",
                f"{quantile(errors, 0.99):.2f} points",
                f"{max(path.longest_halt for path in paths):.2f} s",
            )
            print(f"{f'{name}, {congestion.value}':32}" + "".join(f"{cell:>15}" for cell in cells), flush=True)


def mobile_networks(seeds: Sequence[int], seconds: float) -> None:
    """Prints a table of clients without heartbeats every second after a change of address, and with them."""
    columns = ("arrival p50", "p95", "p99", "server knows", "jump", "bar wrong p99", "halt", "to the server")
    print(f"\n{'mobile networks':32}" + "".join(f"{column:>15}" for column in columns))
    unsteady, silence = connection.UNSTEADY_SECONDS, heartbeat.MIN_SILENCE
    for name, moves, notices, once in (
        ("the same address", False, False, False),
        ("another, noticed", True, True, False),
        ("another, hidden by a NAT", True, False, False),
        ("the same, once", True, False, True),
    ):
        for when in ("before", "now"):
            connection.UNSTEADY_SECONDS = 0.0 if when == "before" else unsteady
            heartbeat.MIN_SILENCE = inf if when == "before" else silence
            if once:
                paths = [moved_once(ONCE_RUNS * seed + run) for seed in seeds for run in range(ONCE_RUNS)]
            else:
                paths = [journey(seed, seconds, moves, notices) for seed in seeds]
            lasts = ONCE_SECONDS if once else seconds
            learned = pooled(paths, lambda path: path.learned)
            delays, errors = pooled(paths, lambda path: path.delays), pooled(paths, lambda path: path.errors)
            cells = (
                *(f"{quantile(delays, share) * 1000:.0f} ms" for share in (0.5, 0.95, 0.99)),
                f"{quantile(learned, 0.95):.2f} s" if learned else "",
                f"{max(path.largest_step for path in paths):.2f} points",
                f"{quantile(errors, 0.99):.2f} points",
                f"{max(path.longest_halt for path in paths):.2f} s",
                f"{sum(path.datagrams_up for path in paths) / lasts / len(paths):.2f}/s",
            )
            print(f"{f'{name}, {when}':32}" + "".join(f"{cell:>15}" for cell in cells), flush=True)


def main() -> None:
    """Plays all of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=90.0, help="simulated seconds of each run (default 90)")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each kind (default 3)")
    arguments = parser.parse_args()
    seeds = range(1, arguments.seeds + 1)
    slow_networks(seeds, arguments.seconds)
    mobile_networks(seeds, arguments.seconds)


if __name__ == "__main__":
    main()
