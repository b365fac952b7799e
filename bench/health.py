"""A probe's round trip: GET /health, /ready and /health/live on one connection, beside a floor of fixed octets.

The server is a process of its own, the client a blocking socket on loopback. The floor is a bare Twisted protocol in
the same process. `/health` is promised in less than 1 ms. Ends by itself.

    python bench/health.py
    python bench/health.py --requests 500
"""

from __future__ import annotations

import argparse
import socket
import subprocess
import sys
import time

REQUESTS = (
    ("GET /health", "/health", ""),
    ("GET /health, 304", "/health", "If-None-Match: *\r\n"),
    ("GET /health, gzip", "/health", "Accept-Encoding: gzip\r\n"),
    ("GET /ready", "/ready", ""),
    ("GET /health/live", "/health/live", ""),
)


def serve() -> None:
    """The server's process: says its ports on standard output, and ends with standard input."""
    from twisted.internet import protocol, reactor, stdio

    from craftnet.clocks import steady
    from craftnet.server.build import build
    from craftnet.server.settings import Settings

    class Fixed(protocol.Protocol):
        """The floor: as many octets as a report has, for whatever arrives."""

        def dataReceived(self, data: bytes) -> None:
            self.transport.write(b"x" * 900)

    class Until(protocol.Protocol):
        """Ends the process with its input."""

        def connectionLost(self, reason: object = None) -> None:
            reactor.stop()

    clock = steady(reactor)
    service = build(Settings(http="tcp:0:interface=127.0.0.1", udp="127.0.0.1:0"), clock, {})
    service.privilegedStartService()
    service.startService()
    factory = protocol.Factory.forProtocol(Fixed)
    floor = reactor.listenTCP(0, factory, interface="127.0.0.1")
    stdio.StandardIO(Until())
    print(service.listener.port.getHost().port, floor.getHost().port, flush=True)  # type: ignore[attr-defined]  # it is a TCP port.
    reactor.run()


def round_trips(port: int, request: bytes, number: int) -> list[float]:
    """Seconds of each, sorted."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        found = []
        for _ in range(number):
            begun = time.perf_counter()
            connection.sendall(request)
            answer = connection.recv(65536)
            found.append(time.perf_counter() - begun)
            assert answer
    return sorted(found)


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=3000)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve()
        return
    child = subprocess.Popen(
        [sys.executable, __file__, "--serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdin is not None and child.stdout is not None
    port, floor = (int(each) for each in child.stdout.readline().split()[-2:])
    number = arguments.requests
    for _, path, more in REQUESTS:  # once, so that everything is warm, and the first round of checks is complete.
        round_trips(port, f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{more}\r\n".encode(), 50)
    print(f"{number} round trips each, on one connection")
    lowest = round_trips(floor, b"x" * 60, number)
    _show("fixed octets, bare Twisted protocol", lowest, lowest)
    for name, path, more in REQUESTS:
        found = round_trips(port, f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{more}\r\n".encode(), number)
        _show(name, found, lowest)
    child.stdin.close()
    child.wait(timeout=10)


def _show(name: str, found: list[float], lowest: list[float]) -> None:
    middle, late = found[len(found) // 2], found[len(found) * 99 // 100]
    ratio = middle / lowest[len(lowest) // 2]
    floor = " (floor)" if found is lowest else ""
    print(f"  {name:36}{middle * 1000:8.3f} ms   p99 {late * 1000:8.3f} ms   {ratio:6.2f} of the floor{floor}")


if __name__ == "__main__":
    main()
