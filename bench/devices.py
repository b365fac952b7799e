"""What it costs that the devices of a player know what was seen: three ways, in bytes, messages and server CPU.

A player with some devices receives notifications. The player sees each on every device that is open, and dismisses
some. The ways, per notification:

    shared cursor    the devices report positions, and the server sends the others what moved (`--devices`)
    every position   the server sends each report to all devices, as a relay without cursors does
    polling          each device asks for the cursors once a second, over a connection that stays open

Messages are JSON text with the headers of WebSocket frames; polls are requests and answers of HTTP. CPU is that of the
registry and the encoding; the floor is the encoding of one message for each notification.

    python bench/devices.py --devices 3 --minutes 60
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from uuid import UUID

from msgspec import Struct
from twisted.internet.task import Clock
from zope.interface import implementer

from craftnet.clocks import steady
from craftnet.contract.close_codes import CloseCode
from craftnet.contract.devices import DeviceCursor, DeviceCursorMessage, DevicesMessage, DeviceState, Dismissed, Seen
from craftnet.contract.messages import rfc3339, to_json
from craftnet.contract.position import Position
from craftnet.crafting.updates import Update
from craftnet.devices.registry import DeviceRegistry
from craftnet.devices.store import MemoryDevices
from craftnet.interfaces import ISubscriber
from craftnet.observe.metrics.registry import Metrics
from craftnet.protocols.websocket.core.encodings import encoding

BEGIN = 1_795_000_000.0
"""Start of the simulation, Unix seconds."""

PLAYER = UUID("11111111-1111-4111-8111-111111111111")
EPOCH = "5f0d1c2b3a49"

SPACING = 2.0
"""Seconds between two notifications."""

DISMISSED = 5
"""One notification of this many is dismissed."""

CLIENT_HEADER = 6
"""Bytes of the header of a client's frame with up to 125 bytes: two, and the mask."""

REQUEST = (
    f"GET /players/{PLAYER}/devices HTTP/1.1\r\nHost: craft.example\r\nAuthorization: Bearer {'x' * 200}\r\n"
    "Accept: application/json\r\n\r\n"
)
"""A poll, with a short token."""

ANSWER_HEAD = (
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 300\r\n"
    "Date: Sat, 28 Nov 2026 10:00:00 GMT\r\nCache-Control: no-store\r\n\r\n"
)


class Traffic(Struct):
    """What one way costs: messages and bytes in each direction, and seconds of CPU."""

    sent: int = 0
    sent_bytes: int = 0
    received: int = 0
    received_bytes: int = 0
    seconds: float = 0.0


@implementer(ISubscriber)
class Device:
    """One connection, which measures what it receives."""

    def __init__(self, traffic: Traffic) -> None:
        self._traffic = traffic

    def deliver(self, update: Update) -> None:
        """As in `ISubscriber`."""
        self._traffic.sent += len(update.messages)
        self._traffic.sent_bytes += len(update.encoded(encoding(None)))

    def ended(self, code: CloseCode) -> None:
        """As in `ISubscriber`."""


def reports(number: int, devices: int) -> list[tuple[int, Seen | Dismissed]]:
    """The reports about notification `number`: from which device, and what."""
    version = number << 22
    seen: list[tuple[int, Seen | Dismissed]] = [
        (device, Seen(epoch=EPOCH, version=version)) for device in range(devices)
    ]
    if number % DISMISSED == 0:
        seen.append((0, Dismissed(epoch=EPOCH, version=version)))
    return seen


def shared_cursor(devices: int, notifications: int) -> Traffic:
    """Through the registry, as a server with --devices does."""
    traffic, clock = Traffic(), Clock()
    clock.advance(BEGIN)
    registry = DeviceRegistry(MemoryDevices(), lambda: EPOCH, Metrics(), steady(clock, clock.seconds, clock.seconds))
    connections = [Device(traffic) for _ in range(devices)]
    for number, connection in enumerate(connections):
        registry.register(PLAYER, f"device {number}", connection)
    began = time.process_time()
    for number in range(1, notifications + 1):
        at = Position(EPOCH, number << 22)
        for device, report in reports(number, devices):
            traffic.received += 1
            traffic.received_bytes += len(to_json(report)) + CLIENT_HEADER
            registry.report(PLAYER, connections[device], report, at)
    traffic.seconds = time.process_time() - began
    return traffic


def cursor_message(number: int, device: int, dismissed: int) -> DeviceCursorMessage:
    """A report as the others receive it."""
    cursor = DeviceCursor(epoch=EPOCH, seen=number << 22, dismissed=dismissed << 22)
    return DeviceCursorMessage(
        player_id=PLAYER, timestamp=rfc3339(BEGIN + number * SPACING), device=f"device {device}", cursor=cursor
    )


def every_position(devices: int, notifications: int) -> Traffic:
    """Each report goes to all devices."""
    traffic, dismissed = Traffic(), 0
    began = time.process_time()
    for number in range(1, notifications + 1):
        for device, report in reports(number, devices):
            dismissed = number if isinstance(report, Dismissed) else dismissed
            traffic.received += 1
            traffic.received_bytes += len(to_json(report)) + CLIENT_HEADER
            update = Update(None, (cursor_message(number, device, dismissed),))  # type: ignore[arg-type]  # ours.
            for _ in range(devices):
                traffic.sent += 1
                traffic.sent_bytes += len(update.encoded(encoding(None)))
    traffic.seconds = time.process_time() - began
    return traffic


def polling(devices: int, notifications: int) -> Traffic:
    """Reports as before; nothing is sent but answers."""
    traffic, dismissed = Traffic(), 0
    polls = round(SPACING)
    began = time.process_time()
    for number in range(1, notifications + 1):
        for _, report in reports(number, devices):
            dismissed = number if isinstance(report, Dismissed) else dismissed
            traffic.received += 1
            traffic.received_bytes += len(to_json(report)) + CLIENT_HEADER
        for _ in range(polls * devices):
            cursor = DeviceCursor(epoch=EPOCH, seen=number << 22, dismissed=dismissed << 22)
            states = tuple(
                DeviceState(name=f"device {device}", online=True, since=rfc3339(BEGIN), cursors=(cursor,))
                for device in range(devices)
            )
            answer = to_json(
                DevicesMessage(player_id=PLAYER, timestamp=rfc3339(BEGIN), devices=states, cursors=(cursor,))
            )
            traffic.received += 1
            traffic.received_bytes += len(REQUEST)
            traffic.sent += 1
            traffic.sent_bytes += len(ANSWER_HEAD) + len(answer)
    traffic.seconds = time.process_time() - began
    return traffic


def floor(notifications: int) -> float:
    """Seconds of CPU for the encoding of one message for each notification."""
    began = time.process_time()
    for number in range(1, notifications + 1):
        Update(None, (cursor_message(number, 0, 0),)).encoded(encoding(None))  # type: ignore[arg-type]  # ours.
    return time.process_time() - began


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=60)
    arguments = parser.parse_args()
    notifications = round(arguments.minutes * 60 / SPACING)
    ways: dict[str, Callable[[int, int], Traffic]] = {
        "shared cursor": shared_cursor,
        "every position": every_position,
        "polling": polling,
    }
    least = floor(notifications)
    print(f"{arguments.devices} devices, {notifications} notifications, one every {SPACING:g} s; per notification:")
    print(f"{'':16}{'to devices':>24}{'from devices':>24}{'of the bytes':>14}{'CPU':>10}{'of the floor':>14}")
    basis = 0
    for name, way in ways.items():
        found = way(arguments.devices, notifications)
        octets = found.sent_bytes + found.received_bytes
        basis = basis or octets
        print(
            f"{name:16}"
            f"{found.sent / notifications:>8.1f} msg{found.sent_bytes / notifications:>10.0f} B"
            f"{found.received / notifications:>8.1f} msg{found.received_bytes / notifications:>10.0f} B"
            f"{octets / basis:>14.2f}{found.seconds / notifications * 1e6:>7.1f} µs{found.seconds / least:>14.1f}"
        )


if __name__ == "__main__":
    main()
