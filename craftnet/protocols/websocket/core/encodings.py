"""The encodings of an update for each subprotocol: frames, made once for all watchers that speak the same one. Pure."""

from __future__ import annotations

from functools import cache, partial

from craftnet.contract.messages import Status, to_json
from craftnet.contract.position import changes_in
from craftnet.crafting.state import MaterialsChange, SessionState
from craftnet.crafting.updates import Encoding, Update
from craftnet.errors import BadDatagram
from craftnet.protocols.websocket.core import frames
from craftnet.protocols.websocket.core.compression import MAX_SIZE, compress_message
from craftnet.protocols.websocket.core.dictionaries import PRESET, Dictionary
from craftnet.protocols.websocket.core.subprotocols import BINARY, JSON, LZ4
from craftnet.protocols.wire.codec import encode_materials, encode_progress
from craftnet.protocols.wire.records import MaterialsRecord, ProgressFlags, ProgressRecord

_FLAGS = {
    Status.ACTIVE: ProgressFlags(0),
    Status.PAUSED: ProgressFlags.PAUSED,
    Status.INTERRUPTED: ProgressFlags.INTERRUPTED,
}
"""The end of a craft has no record: it and its reason are sent as JSON."""


def _json_frames(update: Update) -> bytes:
    """A text frame for each message."""
    messages = update.messages
    if len(messages) == 1:  # nearly always.
        return frames.text(to_json(messages[0]))
    return b"".join([frames.text(to_json(message)) for message in messages])


def _lz4_frames(preset: Dictionary, update: Update) -> bytes:
    """A binary frame for each message; a text frame for one that is too long to be compressed."""
    return b"".join(
        [
            frames.binary(compress_message(message, preset)) if len(message) <= MAX_SIZE else frames.text(message)
            for message in update.json
        ]
    )


def _binary_frames(update: Update) -> bytes:
    """A binary frame for each record of the update, and a text frame for each message that no record covers."""
    # The number of changes until the position, modulo 2³².
    sequence = 0 if update.at is None else changes_in(update.at.version) & 0xFFFFFFFF
    try:
        match update.state:
            case SessionState() as state if state.progress.status in _FLAGS:
                return frames.binary(encode_progress(_progress_record(state, update.ahead, sequence)))
            case MaterialsChange(state=materials, changes=changes) if changes:
                record = MaterialsRecord(sequence, int(materials.since * 1000), materials.session_id, changes)
                return frames.binary(encode_materials(record)) + _json_frames(update)
    except BadDatagram:
        pass  # a value that no record can hold.
    return _json_frames(update)


def _progress_record(state: SessionState, ahead: float, sequence: int) -> ProgressRecord:
    """The model itself at its anchor, whose date becomes the time of the record."""
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


@cache
def _lz4_encoding(preset: Dictionary) -> Encoding:
    """The encoding with a dictionary: the same object each time, since updates are encoded once for each."""
    return partial(_lz4_frames, preset)


_BY_SUBPROTOCOL: dict[str | None, Encoding] = {None: _json_frames, JSON: _json_frames, BINARY: _binary_frames}


def subprotocol_of(encoding: Encoding) -> str:
    """The subprotocol of an encoding; that of JSON also for clients without one."""
    return BINARY if encoding is _binary_frames else JSON if encoding is _json_frames else LZ4


def encoding(subprotocol: str | None, preset: Dictionary = PRESET) -> Encoding:
    """The encoding for a client that chose `subprotocol`, as `subprotocols.choose` returns it.

    Arguments:
        preset: the dictionary, where the subprotocol compresses.
    """
    return _lz4_encoding(preset) if subprotocol == LZ4 else _BY_SUBPROTOCOL[subprotocol]
