"""What the subprotocols make of an update: its frames, made once for all watchers that speak the same one. Pure."""

from __future__ import annotations

from craftnet.errors import BadDatagram
from craftnet.messages import Status, WebSocketCraftingMessage, to_json
from craftnet.positions import changes_in
from craftnet.protocols.codec import encode_materials, encode_progress
from craftnet.protocols.records import MaterialsRecord, ProgressFlags, ProgressRecord
from craftnet.protocols.websocket import frames
from craftnet.protocols.websocket.compression import MAX_SIZE, NEWEST, dictionary, pack
from craftnet.protocols.websocket.subprotocols import BINARY, JSON, LZ4
from craftnet.state import MaterialsChange, SessionState
from craftnet.updates import Encoding, Message, Update

_FLAGS = {
    Status.ACTIVE: ProgressFlags(0),
    Status.PAUSED: ProgressFlags.PAUSED,
    Status.INTERRUPTED: ProgressFlags.INTERRUPTED,
}
"""An end has no record: its reason, and that it is the end, are told in JSON."""

_preset = dictionary(NEWEST)


def _json(update: Update) -> bytes:
    """A text frame for each message."""
    messages = update.messages
    if len(messages) == 1:  # nearly always.
        return frames.text(to_json(messages[0]))
    return b"".join([frames.text(to_json(message)) for message in messages])


def _lz4(update: Update) -> bytes:
    """A binary frame for each message; a text frame for one that is too long to be packed."""
    return b"".join(
        [
            frames.binary(pack(message, _preset)) if len(message) <= MAX_SIZE else frames.text(message)
            for message in update.json
        ]
    )


def _binary(update: Update) -> bytes:
    """A binary frame for each record that the update has, and a text frame for each message that no record says."""
    sequence = _sequence(update.messages)
    try:
        match update.state:
            case SessionState() as state if state.progress.status in _FLAGS:
                return frames.binary(encode_progress(_progress_record(state, update.ahead, sequence)))
            case MaterialsChange(state=materials, changes=changes) if changes:
                record = MaterialsRecord(sequence, int(materials.told * 1000), materials.session_id, changes)
                return frames.binary(encode_materials(record)) + _json(update)
    except BadDatagram:
        pass  # a value that no record has room for.
    return _json(update)


def _progress_record(state: SessionState, ahead: float, sequence: int) -> ProgressRecord:
    """The model itself: where the craft was at its anchor, the date of which is the record's time."""
    progress = state.progress
    return ProgressRecord(
        sequence,
        int((progress.anchor + ahead) * 1000),
        state.session_id,
        progress.percent,
        progress.remaining,
        progress.quality,
        progress.target_quality,
        _FLAGS[progress.status],
    )


def _sequence(messages: tuple[Message, ...]) -> int:
    """How many changes there were until the position, in 32 bits."""
    for message in messages:
        if isinstance(message, WebSocketCraftingMessage) and message.version is not None:
            return changes_in(message.version) & 0xFFFFFFFF
    return 0


_BY_SUBPROTOCOL: dict[str | None, Encoding] = {None: _json, JSON: _json, LZ4: _lz4, BINARY: _binary}


def encoding(subprotocol: str | None) -> Encoding:
    """How updates are encoded for a client that chose `subprotocol`, as `subprotocols.choose` answers."""
    return _BY_SUBPROTOCOL[subprotocol]
