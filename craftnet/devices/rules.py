"""The rules for a player's devices: they arrive and leave, and their cursors move forward. Pure.

Every store applies these rules to its newest state and stores the result. A rule that changes nothing returns the state
that it was given.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from msgspec import Struct
from msgspec.structs import replace

from craftnet.contract.devices import DeviceReport, Dismissed
from craftnet.errors import TooManyRequests

MAX_DEVICES = 16
"""Maximum number of stored devices of a player, including those that have left."""

MAX_CURSORS = 32
"""Maximum number of cursors of a device: the player's queue, and as many sessions as a UDP connection carries."""

RETENTION = 7 * 24 * 3600.0
"""Seconds for which a device that has left is stored, with its cursors."""

RETRY_AFTER = 60
"""Seconds after which a refused device may try again."""

QUEUE = ""
"""The key of the player's queue among the feeds; the key of a session's feed is the session's id."""


class Cursor(Struct, frozen=True, gc=False):
    """How far a device has seen and dismissed one feed: versions of `epoch`, 0 for nothing yet.

    `dismissed` is at most `seen`, because a dismissed message counts as seen.
    """

    epoch: str
    seen: int = 0
    dismissed: int = 0


class Device(Struct, frozen=True):
    """One device.

    Attributes:
        nodes: the nodes to which it is connected.
        since: when it arrived or left, Unix seconds.
        cursors: by feed, in the order of their last move.
    """

    name: str
    nodes: tuple[str, ...] = ()
    since: float = 0.0
    cursors: Mapping[str, Cursor] = {}

    @property
    def online(self) -> bool:
        """Whether it is connected to any node."""
        return bool(self.nodes)


class PlayerDevices(Struct, frozen=True):
    """The devices of one player.

    Attributes:
        version: grows with every change. The first one is derived from the time, so that the state after a loss has a
            higher version than the lost one.
    """

    version: int = 0
    devices: tuple[Device, ...] = ()

    def get(self, name: str) -> Device | None:
        """The device with this name."""
        return next((device for device in self.devices if device.name == name), None)

    @property
    def nodes(self) -> set[str]:
        """The nodes to which any of them is connected."""
        return {node for device in self.devices for node in device.nodes}


def arrived(state: PlayerDevices, name: str, node: str, now: float) -> PlayerDevices:
    """Connects a device to a node. If there are too many devices, removes the one that left first.

    Arguments:
        now: Unix seconds.

    Raises:
        TooManyRequests: the player has `MAX_DEVICES` others that are connected.
    """
    known = state.get(name)
    if known is not None:
        if node in known.nodes:
            return state
        since = known.since if known.online else now
        return _with(state, replace(known, nodes=tuple(sorted((*known.nodes, node))), since=since))
    devices = [device for device in state.devices if device.online or device.since > now - RETENTION]
    if len(devices) >= MAX_DEVICES:
        oldest = min((device for device in devices if not device.online), key=_left_at, default=None)
        if oldest is None:
            raise TooManyRequests(
                f"The player has {MAX_DEVICES} devices that are connected: disconnect one, or use its name.",
                retry_after=RETRY_AFTER,
                limit=MAX_DEVICES,
            )
        devices.remove(oldest)
    version = state.version + 1 if state.version else int(now * 1000)
    return PlayerDevices(version, (*devices, Device(name, (node,), now)))


def left(state: PlayerDevices, name: str, node: str, now: float) -> PlayerDevices:
    """Disconnects a device from a node; arguments as for `arrived`."""
    known = state.get(name)
    if known is None or node not in known.nodes:
        return state
    return _with(state, _without_nodes(known, {node}, now))


def nodes_gone(state: PlayerDevices, nodes: Collection[str], now: float) -> PlayerDevices:
    """Disconnects all devices from nodes that have ended; `now` as for `arrived`."""
    if state.nodes.isdisjoint(nodes):
        return state
    devices = tuple(_without_nodes(device, nodes, now) for device in state.devices)
    return PlayerDevices(state.version + 1, devices)


def reported(state: PlayerDevices, name: str, report: DeviceReport) -> PlayerDevices:
    """Moves a device's cursor. Within an epoch, a cursor only moves forward.

    Arguments:
        report: of the present epoch; a cursor of another one is replaced.
    """
    known = state.get(name)
    if known is None:
        return state
    feed = QUEUE if report.session_id is None else str(report.session_id)
    before = known.cursors.get(feed)
    if before is None or before.epoch != report.epoch:
        before = Cursor(report.epoch)
    dismissed = max(before.dismissed, report.version) if isinstance(report, Dismissed) else before.dismissed
    after = Cursor(report.epoch, max(before.seen, report.version), dismissed)
    if after == before:
        return state
    cursors = {other: cursor for other, cursor in known.cursors.items() if other != feed}
    if len(cursors) >= MAX_CURSORS:
        del cursors[next(other for other in cursors if other != QUEUE)]
    return _with(state, replace(known, cursors={**cursors, feed: after}))


def furthest(state: PlayerDevices, epoch: str) -> dict[str, Cursor]:
    """How far any device has seen and dismissed each feed, within this epoch."""
    merged: dict[str, Cursor] = {}
    for device in state.devices:
        for feed, cursor in device.cursors.items():
            if cursor.epoch == epoch:
                best = merged.get(feed, cursor)
                merged[feed] = Cursor(epoch, max(best.seen, cursor.seen), max(best.dismissed, cursor.dismissed))
    return merged


def presence(state: PlayerDevices) -> list[tuple[str, bool]]:
    """The name of each device, and whether it is connected: what players see besides the cursors."""
    return [(device.name, device.online) for device in state.devices]


def advanced(before: PlayerDevices, after: PlayerDevices, epoch: str) -> Iterator[tuple[str, Cursor, str]]:
    """The feeds whose furthest cursor has moved.

    Yields:
        The feed, how far any device has seen and dismissed it, and the name of a device that has moved.
    """
    known = furthest(before, epoch)
    for feed, cursor in furthest(after, epoch).items():
        if cursor == known.get(feed):
            continue
        for device in after.devices:
            earlier = before.get(device.name)
            if feed in device.cursors and (earlier is None or earlier.cursors.get(feed) != device.cursors[feed]):
                yield feed, cursor, device.name
                break


def _with(state: PlayerDevices, changed: Device) -> PlayerDevices:
    devices = tuple(changed if device.name == changed.name else device for device in state.devices)
    return PlayerDevices(state.version + 1, devices)


def _without_nodes(device: Device, nodes: Collection[str], now: float) -> Device:
    kept = tuple(node for node in device.nodes if node not in nodes)
    if kept == device.nodes:
        return device
    return replace(device, nodes=kept, since=device.since if kept else now)


def _left_at(device: Device) -> float:
    return device.since
