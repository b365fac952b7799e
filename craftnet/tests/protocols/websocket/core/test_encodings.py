"""The encodings of updates, read back frame by frame with a third-party library."""

from __future__ import annotations

from collections.abc import Generator

import msgspec
from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase
from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader

from craftnet.clocks import Moment
from craftnet.contract.messages import (
    ChangeType,
    MaterialChange,
    MaterialNotification,
    MaterialProblem,
    QueueMessageType,
    QueueStatusData,
    Status,
)
from craftnet.contract.position import Position, Versions
from craftnet.crafting.state import MaterialsChange, MaterialsState, QueueChange, QueueEntry, QueueState
from craftnet.crafting.updates import Update, materials_update, progress_update, queue_return, queue_update
from craftnet.protocols.websocket.core.compression import MAX_SIZE, decompress_message
from craftnet.protocols.websocket.core.encodings import encoding
from craftnet.protocols.websocket.core.subprotocols import BINARY, JSON, LZ4
from craftnet.protocols.wire.codec import decode_materials, decode_progress
from craftnet.protocols.wire.records import ProgressFlags
from craftnet.tests.support.samples import AT, IRON, NOW, PLAYER, SESSION, running

HERE = Position("6c0ffee", Versions(2**32, queue=5).encoded)

QUEUE_ENTRY = QueueEntry(QueueStatusData(player_id=PLAYER, queue_position=2), 1, NOW)
CHANGE = MaterialChange(material_id=IRON, change_type=ChangeType.QUANTITY_CHANGED, new_quantity=4)
SHORT = MaterialNotification(material_id=IRON, notification_type=MaterialProblem.MATERIAL_UNAVAILABLE)
MATERIALS = MaterialsChange(MaterialsState(SESSION, 2, (), NOW), (CHANGE,), (SHORT, SHORT))

FAILED = replace(running(), progress=replace(running().progress, status=Status.FAILED, failure_reason="timeout"))

ALL = (
    progress_update(running(), AT, NOW, HERE),
    progress_update(FAILED, AT, NOW, HERE),
    materials_update(MATERIALS, AT, NOW, HERE),
    queue_update(
        QueueChange(QueueState(PLAYER, 1, (QUEUE_ENTRY,)), QUEUE_ENTRY, QueueMessageType.QUEUE_POSITION, True),
        AT,
        NOW,
        HERE,
    ),
    queue_return(PLAYER, True, AT, HERE),
)


def frames_of(update: Update, subprotocol: str | None) -> list[tuple[Opcode, bytes]]:
    """The frames, each final, unmasked and whole."""
    reader = StreamReader()
    octets = update.encoded(encoding(subprotocol))
    reader.feed_data(octets)
    reader.feed_eof()
    found = []

    def parse() -> Generator[None, None, None]:
        while not (yield from reader.at_eof()):
            frame = yield from Frame.parse(reader.read_exact, mask=False)
            assert frame.fin
            found.append((frame.opcode, bytes(frame.data)))

    for _ in parse():
        raise AssertionError("octets are missing")
    return found


class EncodingTests(SynchronousTestCase):
    def test_json(self) -> None:
        """Text frames, also without a subprotocol."""
        for update in ALL:
            expected = [(Opcode.TEXT, message) for message in update.json]
            self.assertEqual(frames_of(update, JSON), expected)
            self.assertEqual(frames_of(update, None), expected)

    def test_nothing_to_say(self) -> None:
        for subprotocol in (JSON, LZ4, BINARY):
            self.assertEqual(Update(None, ()).encoded(encoding(subprotocol)), b"")

    def test_lz4(self) -> None:
        """The same messages, in a good deal fewer octets."""
        for update in ALL:
            frames = frames_of(update, LZ4)
            self.assertEqual([decompress_message(octets) for opcode, octets in frames], list(update.json))
            self.assertEqual({opcode for opcode, _ in frames}, {Opcode.BINARY})
            for (_, compressed), message in zip(frames, update.json, strict=True):
                self.assertLess(len(compressed), 0.55 * len(message))

    def test_too_long_for_lz4(self) -> None:
        """It goes as it is."""
        update = progress_update(replace(FAILED, progress=replace(FAILED.progress, failure_reason="x" * MAX_SIZE)), AT)
        self.assertEqual(frames_of(update, LZ4), [(Opcode.TEXT, update.json[0])])

    def test_progress_record(self) -> None:
        """The model itself, which is more exact than the message."""
        state = replace(running(percent=12.34), progress=replace(running(percent=12.34).progress, quality=7))
        for status, flags in ((Status.ACTIVE, ProgressFlags(0)), (Status.PAUSED, ProgressFlags.PAUSED)):
            ended = replace(state, progress=replace(state.progress, status=status))
            ((opcode, octets),) = frames_of(progress_update(ended, Moment.agreed(NOW + 9), NOW, HERE), BINARY)
            record = decode_progress(octets)
            self.assertEqual((opcode, record.sequence, record.timestamp_ms), (Opcode.BINARY, 5, int(NOW * 1000)))
            self.assertEqual((record.percent, record.remaining, record.quality), (12.34, 60.0, 7))
            self.assertEqual((record.session_id, record.flags), (SESSION, flags))

    def test_the_time_of_a_progress_record_is_a_date(self) -> None:
        """Of where the craft was, by the system's clock, which was set since the process started."""
        update = progress_update(running(), Moment(NOW + 9, NOW + 9 - 3600), NOW, HERE)
        ((_, octets),) = frames_of(update, BINARY)
        self.assertEqual(decode_progress(octets).timestamp_ms, int((NOW - 3600) * 1000))

    def test_materials_record(self) -> None:
        """The changes, which JSON does not carry, and then what JSON carries."""
        (opcode, octets), *notifications = frames_of(ALL[2], BINARY)
        self.assertEqual((opcode, decode_materials(octets).changes), (Opcode.BINARY, (CHANGE,)))
        self.assertEqual(notifications, [(Opcode.TEXT, message) for message in ALL[2].json])

    def test_materials_record_has_the_position(self) -> None:
        """Also without a notification, whose message would have it as well."""
        for change in (MATERIALS, replace(MATERIALS, notifications=())):
            _, octets = frames_of(materials_update(change, AT, NOW, HERE), BINARY)[0]
            self.assertEqual(decode_materials(octets).sequence, 5)

    def test_what_has_no_record(self) -> None:
        for update in (ALL[1], *ALL[3:]):
            self.assertEqual(frames_of(update, BINARY), [(Opcode.TEXT, message) for message in update.json])

    def test_what_no_record_has_room_for(self) -> None:
        """It is sent as JSON."""
        far = replace(running(), progress=replace(running().progress, anchor=1e15))
        update = progress_update(far, AT, NOW, HERE)
        self.assertEqual([opcode for opcode, _ in frames_of(update, BINARY)], [Opcode.TEXT])
        self.assertEqual(msgspec.json.decode(update.json[0])["type"], "progress_update")
