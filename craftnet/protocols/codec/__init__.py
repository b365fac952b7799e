"""Values to bytes and back. Strict: what is not exactly as `craftnet.protocols.layouts` declares it is refused.

Every function raises `craftnet.errors.BadDatagram`; its outcome is one of: truncated, overlong, trailing, version,
type, reserved, out_of_range, nil_session.
"""

from __future__ import annotations

from craftnet.protocols.codec.handshake import (
    decode_challenge,
    decode_hello,
    decode_response,
    encode_challenge,
    encode_hello,
    encode_response,
)
from craftnet.protocols.codec.numbers import MAX_TIME_MS
from craftnet.protocols.codec.posted import (
    MATERIALS_TYPE,
    MAX_CHANGES,
    PROGRESS_TYPE,
    decode_materials,
    decode_progress,
    encode_materials,
    encode_progress,
)
from craftnet.protocols.codec.sealed import (
    ACKNOWLEDGEMENT_SIZE,
    SEALED_HEADER_SIZE,
    connection_id,
    decode_acknowledgement,
    decode_close,
    decode_heartbeat,
    decode_nothing,
    decode_sealed_header,
    encode_acknowledgement,
    encode_close,
    encode_heartbeat,
    encode_sealed_header,
    first_byte,
    misplaced,
)
from craftnet.protocols.codec.states import (
    MATERIAL_ROW_SIZE,
    MATERIALS_PART_SIZE,
    PROBLEM_ROW_SIZE,
    PROBLEMS_PART_SIZE,
    REASON_PART_SIZE,
    decode_state,
    encode_state_record,
)

__all__ = [
    "ACKNOWLEDGEMENT_SIZE",
    "MATERIALS_PART_SIZE",
    "MATERIALS_TYPE",
    "MATERIAL_ROW_SIZE",
    "MAX_CHANGES",
    "MAX_TIME_MS",
    "PROBLEMS_PART_SIZE",
    "PROBLEM_ROW_SIZE",
    "PROGRESS_TYPE",
    "REASON_PART_SIZE",
    "SEALED_HEADER_SIZE",
    "connection_id",
    "decode_acknowledgement",
    "decode_challenge",
    "decode_close",
    "decode_heartbeat",
    "decode_hello",
    "decode_materials",
    "decode_nothing",
    "decode_progress",
    "decode_response",
    "decode_sealed_header",
    "decode_state",
    "encode_acknowledgement",
    "encode_challenge",
    "encode_close",
    "encode_heartbeat",
    "encode_hello",
    "encode_materials",
    "encode_progress",
    "encode_response",
    "encode_sealed_header",
    "encode_state_record",
    "first_byte",
    "misplaced",
]
