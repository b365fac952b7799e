"""A client that returns, and updates that it can distinguish."""

from __future__ import annotations

from msgspec.structs import replace
from twisted.internet.defer import Deferred

from craftnet.contract.events import MaterialsUpdate
from craftnet.contract.messages import MaterialNotification, MaterialProblem, Status, WebSocketCraftingMessage
from craftnet.contract.position import NOTHING, Position
from craftnet.crafting.updates import Message
from craftnet.feeds.hub import Hub
from craftnet.tests.support.fakes import RecordingWatcher
from craftnet.tests.support.samples import IRON, SESSION


def short(number: int) -> MaterialsUpdate:
    """An update about a shortage, unique to a step of the test by its required quantity."""
    notification = MaterialNotification(
        material_id=IRON, notification_type=MaterialProblem.INSUFFICIENT_QUANTITY, required_quantity=number
    )
    return MaterialsUpdate(session_id=SESSION, notifications=(notification,))


class Returning:
    """A client of a crafting feed that records what it receives over its connections.

    Attributes:
        shortages: every shortage received since the last whole state.
        status: of the craft.
        positions: every position in a queue received, likewise.
        recoveries: the result of each return.
    """

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.position: Position | None = None
        self.shortages: list[int] = []
        self.status: Status | None = None
        self.positions: list[int] = []
        self.recoveries: list[bool] = []
        self._watcher: RecordingWatcher | None = None
        self._read = 0

    def come(self, over_udp: bool = False) -> Deferred[None]:
        """Connect. Fires when it was greeted; fails as `Hub.subscribe_session` does.

        Arguments:
            over_udp: the position is one that UDP delivered; the client then knows nothing of queues.
        """
        position = self.position
        if over_udp and position is not None:
            self.positions, position = [], replace(position, over_udp=True)
        self._watcher, self._read = RecordingWatcher(), 0
        return self.hub.subscribe_session(SESSION, self._watcher, position)

    def go(self) -> None:
        """Lose the connection."""
        if self._watcher is not None:
            self.hub.unsubscribe_session(SESSION, self._watcher)
        self._watcher = None

    def read(self) -> None:
        """Takes what was received since."""
        updates = [] if self._watcher is None else self._watcher.updates[self._read :]
        self._read += len(updates)
        for update in updates:
            for message in update.messages:
                self._heard(message)

    def cut(self, count: int) -> None:
        """Reads `count` messages of what was received since, and loses the connection."""
        updates = [] if self._watcher is None else self._watcher.updates[self._read :]
        for message in [message for update in updates for message in update.messages][:count]:
            self._heard(message)
        self.go()

    def _heard(self, message: Message) -> None:
        assert isinstance(message, WebSocketCraftingMessage)
        assert message.epoch is not None and message.version is not None
        if self.position is not None and message.epoch == self.position.epoch and message.version != NOTHING:
            assert message.version >= self.position.version, "older after newer"
        self.position = Position(message.epoch, message.version)
        if message.recovered is not None:
            self.recoveries.append(message.recovered)
            if not message.recovered:
                self.shortages, self.status, self.positions = [], None, []
        if message.material_data is not None and message.material_data.required_quantity is not None:
            self.shortages.append(message.material_data.required_quantity)
        if message.progress_data is not None:
            self.status = message.progress_data.status
        if message.queue_data is not None:
            self.positions.append(message.queue_data.queue_position)
