"""What happens to a player's devices: they arrive and leave, and their cursors move forward. Pure.

A store applies a rule to its newest state and keeps the result, so that every store and every node has the same rules.
A rule that changes nothing returns the state that it was given.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from msgspec import Struct
from msgspec.structs import replace

from craftnet.contract.devices import DeviceReport, Dismissed
from craftnet.errors import TooManyRequests

MAX_DEVICES = 16
"""Devices of one player that are kept, those that have left included."""

MAX_CURSORS = 32
"""Feeds in which one device has a cursor: the player's queue, and the sessions of one UDP connection."""

RETENTION = 7 * 24 * 3600.0
"""Seconds for which a device that has left is kept, with its cursors."""

RETRY_AFTER = 60
"""Seconds after which a device that found no room may try again."""

QUEUE = ""
"""The feed of the player's queue, among those of sessions, which have the session's id."""


class Cursor(Struct, frozen=True, gc=False):
    """How far a device has seen and dismissed one feed: versions of `epoch`, 0 for nothing yet.

    What is dismissed was seen: `dismissed` is at most `seen`.
    """

    epoch: str
    seen: int = 0
    dismissed: int = 0


class Device(Struct, frozen=True):
    """One device.

    Attributes:
        nodes: the nodes to which it is connected.
        since: when it arrived or left, Unix seconds.
        cursors: by feed, the one that moved last at the end.
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
        version: grows with every change. It begins with the time, so that a state that was lost is not mistaken for a
            newer one.
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
    """A device is connected to a node. One that left long ago gives way to a new one.

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
    """A device is no longer connected to a node; arguments as for `arrived`."""
    known = state.get(name)
    if known is None or node not in known.nodes:
        return state
    return _with(state, _without_nodes(known, {node}, now))


def nodes_gone(state: PlayerDevices, nodes: Collection[str], now: float) -> PlayerDevices:
    """These nodes have ended; `now` as for `arrived`."""
    if state.nodes.isdisjoint(nodes):
        return state
    devices = tuple(_without_nodes(device, nodes, now) for device in state.devices)
    return PlayerDevices(state.version + 1, devices)


def reported(state: PlayerDevices, name: str, report: DeviceReport) -> PlayerDevices:
    """A device has seen or dismissed something. Within an epoch, a cursor only moves forward.

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
    """What is shown of the devices besides their cursors: the name of each, and whether it is connected."""
    return [(device.name, device.online) for device in state.devices]


def advanced(before: PlayerDevices, after: PlayerDevices, epoch: str) -> Iterator[tuple[str, Cursor, str]]:
    """The feeds of which more was seen or dismissed than by any device before.

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
