"""What a player received, and what must be true of it. Pure."""

from __future__ import annotations

from typing import Any

from msgspec import Struct, field

TERMINAL = frozenset({"completed", "failed", "interrupted"})
"""The statuses after which nothing follows."""


class Opened(Struct, frozen=True):
    """A connection was made.

    Attributes:
        node: to which node.
        resume: with which position; empty when with none.
    """

    node: int
    resume: str


class Closed(Struct, frozen=True):
    """A connection ended, or was refused.

    Attributes:
        code: of the close frame, 1006 without one; the HTTP status where the handshake was refused.
    """

    code: int


class ReceivedMessage(Struct, frozen=True):
    """A message."""

    message: dict[str, Any]


class Record(Struct):
    """Everything that happened to one player at one feed, in order.

    Attributes:
        position: the newest; None before the first.
        status: the last status of the craft that was received.
        shortages: those received since the last whole state.
        places: the places in the queue, likewise.
        ended: the status with which the craft ended, if it was received.
        missed: the number of returns that were answered with a whole state.
    """

    entries: list[Opened | Closed | ReceivedMessage] = field(default_factory=list)
    position: tuple[str, int] | None = None
    status: str = ""
    shortages: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    ended: str = ""
    missed: int = 0
    _full_state_follows: bool = False  # whether a whole state follows.

    def take(self, entry: Opened | Closed | ReceivedMessage) -> None:
        """The next one."""
        self.entries.append(entry)
        match entry:
            case Opened(resume=resume):
                self._full_state_follows = not resume
            case ReceivedMessage(message):
                if self._full_state_follows:
                    self._forget()
                self._record(message)

    def _forget(self) -> None:
        self.shortages, self.positions, self._full_state_follows = [], [], False

    def _record(self, message: dict[str, Any]) -> None:
        if message.get("recovered") is False:
            self.missed += 1
            self._forget()
        if message.get("epoch") is not None:
            self.position = (message["epoch"], message["version"])
        progress, material = message.get("progress_data"), message.get("material_data")
        if progress is not None:
            self.status = progress["status"]
            if self.status in TERMINAL:
                self.ended = self.status
        if material is not None and "required_quantity" in material:
            self.shortages.append(material["required_quantity"])
        position = message.get("queue_position", (message.get("queue_data") or {}).get("queue_position"))
        if position is not None:
            self.positions.append(position)


def violations(record: Record, *, lossless: bool) -> list[str]:
    """What was received wrongly.

    Arguments:
        lossless: whether Redis has lost nothing meanwhile. Otherwise a craft may start again, in another epoch.
    """
    found: list[str] = []
    newest: dict[str, int] = {}
    ended: dict[str, bool] = {}
    terminal, full_state = 0, False
    shortages: list[int] = []
    for entry in record.entries:
        if isinstance(entry, Opened):
            terminal, full_state = 0, not entry.resume
        if not isinstance(entry, ReceivedMessage):
            continue
        message = entry.message
        epoch = message.get("epoch")
        if epoch is not None:
            version = message["version"]
            if 0 < version < newest.get(epoch, 0):  # 0: a state that has not arrived as a whole yet.
                found.append(f"version {version} after {newest[epoch]} in the epoch {epoch}: {_line(entry)}")
            newest[epoch] = max(version, newest.get(epoch, 0))
        if message.get("recovered") is False or full_state:
            shortages, full_state = [], False
        progress, material = message.get("progress_data"), message.get("material_data")
        key = "" if lossless else str(epoch)
        if progress is not None and progress["status"] in TERMINAL:
            terminal += 1
            ended[key] = True
            if terminal > 1:
                found.append(f"the end was sent {terminal} times over one connection: {_line(entry)}")
        elif progress is not None and ended.get(key):
            found.append(f"the craft goes on after its end: {_line(entry)}")
        if material is not None and "required_quantity" in material:
            shortages.append(material["required_quantity"])
            if lossless and shortages != [*range(shortages[0], shortages[0] + len(shortages))]:
                found.append(f"shortages were lost, repeated or out of order: {shortages}")
                shortages = []
    return found


def describe(record: Record, last: int = 12) -> str:
    """The last entries, for people."""
    return "\n    ".join(_line(entry) for entry in record.entries[-last:])


def _line(entry: Opened | Closed | ReceivedMessage) -> str:
    if not isinstance(entry, ReceivedMessage):
        return str(entry)
    message = entry.message
    progress, material = message.get("progress_data") or {}, message.get("material_data") or {}
    messages = {
        "status": progress.get("status"),
        "shortage": material.get("required_quantity"),
        "place": message.get("queue_position", (message.get("queue_data") or {}).get("queue_position")),
        "recovered": message.get("recovered"),
    }
    what = ", ".join(f"{name} {value}" for name, value in messages.items() if value is not None)
    return f"{message['timestamp'][11:23]} {message['epoch']}:{message['version']} {message['type']}: {what}"
