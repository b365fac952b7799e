"""Writes who else is there: the devices of a player, and what they have seen and dismissed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import TextIO
from uuid import UUID

import msgspec

from craftnet.client.output import wording
from craftnet.contract.devices import DeviceCursor, DeviceMessage, DeviceRefused, DevicesMessage, DeviceState
from craftnet.contract.messages import WebSocketQueueMessage

MAX_MESSAGES = 64
"""Messages of the queue that are remembered, to say in words which one was seen."""


class KnownDevices:
    """The player's devices as last heard. Pure.

    Arguments:
        own: the name of this device.
    """

    def __init__(self, own: str) -> None:
        self._own = own
        self._devices: tuple[DeviceState, ...] = ()
        self._cursors: dict[UUID | None, DeviceCursor] = {}
        self._messages: OrderedDict[tuple[str, int], str] = OrderedDict()

    @property
    def presence(self) -> str:
        """The devices in words; empty before anything is known."""
        there = [self._named(device) for device in self._devices if device.online]
        gone = [
            f"{wording.printable(device.name)} since {device.since[11:16]}"
            for device in self._devices
            if not device.online
        ]
        parts = (", ".join(there), f"away: {', '.join(gone)}" if gone else "")
        return f"devices: {'; '.join(filter(None, parts))}" if self._devices else ""

    def queue_message(self, message: WebSocketQueueMessage) -> None:
        """Remembers a message of the queue."""
        if message.epoch is None or not message.version or message.queue_position is None:
            return
        self._messages[message.epoch, message.version] = wording.queue_message(message)
        if len(self._messages) > MAX_MESSAGES:
            self._messages.popitem(last=False)

    def device_message(self, message: DeviceMessage) -> Iterator[str]:
        """Records a message; yields what is new, in words."""
        if isinstance(message, DeviceRefused):
            yield f"the server refused: {wording.printable(message.message)}"
            return
        if isinstance(message, DevicesMessage):
            before, self._devices = self.presence, message.devices
            if self.presence != before:
                yield self.presence
            for cursor in message.cursors:
                yield from self._moved(cursor, "")
            return
        yield from self._moved(message.cursor, message.device)

    def _moved(self, cursor: DeviceCursor, device: str) -> Iterator[str]:
        before = self._cursors.get(cursor.session_id)
        if before is None or before.epoch != cursor.epoch:
            before = DeviceCursor(epoch=cursor.epoch)
        self._cursors[cursor.session_id] = cursor
        by = f"on {wording.printable(device)}" if device else "before"
        if cursor.dismissed > before.dismissed:
            yield f"dismissed {by}: {self._what(cursor, cursor.dismissed)}"
        elif cursor.seen > before.seen:
            yield f"seen {by}: {self._what(cursor, cursor.seen)}"

    def _what(self, cursor: DeviceCursor, version: int) -> str:
        """The newest message that a version covers, in words."""
        if cursor.session_id is not None:
            return f"craft {cursor.session_id}, up to version {version}"
        known = [words for (epoch, at), words in self._messages.items() if epoch == cursor.epoch and at <= version]
        return known[-1] if known else f"the queue, up to version {version}"

    def _named(self, device: DeviceState) -> str:
        name = wording.printable(device.name)
        return f"{name} (here)" if device.name == self._own else name


class DevicesOutput:
    """Writes what is new about devices as lines, unless a live display shows it.

    Arguments:
        own: the name of this device.
        out: for messages.
        err: for notes.
        as_json: whether the lines are for programs.
        live: whether a live display has the terminal.

    Attributes:
        newest: what is shown on a live display.
    """

    def __init__(self, own: str, out: TextIO, err: TextIO, *, as_json: bool, live: Callable[[], bool]) -> None:
        self._known = KnownDevices(own)
        self._out = out
        self._err = err
        self._as_json = as_json
        self._live = live
        self._last = ""

    @property
    def newest(self) -> str:
        """The devices, and what was seen or dismissed last."""
        return "; ".join(filter(None, (self._known.presence, self._last)))

    def queue_message(self, message: WebSocketQueueMessage) -> None:
        """As in `craftnet.client.transports.device_feed.DeviceListener`."""
        self._known.queue_message(message)

    def device_message(self, message: DeviceMessage) -> None:
        """As in `craftnet.client.transports.device_feed.DeviceListener`."""
        for words in self._known.device_message(message):
            if not words.startswith("devices:"):
                self._last = words
            if not self._as_json and not self._live():
                print(f"{message.timestamp[11:19]} {words}", file=self._out, flush=True)
        if self._as_json:
            line = msgspec.json.encode({**msgspec.to_builtins(message), "transport": "ws"}).decode()
            print(line, file=self._out, flush=True)

    def no_devices(self, reason: str) -> None:
        """As in `craftnet.client.transports.device_feed.DeviceListener`."""
        self._last = f"no devices: {wording.printable(reason)}"
        if self._as_json or not self._live():
            print(f"craftnet: {self._last}", file=self._err, flush=True)
