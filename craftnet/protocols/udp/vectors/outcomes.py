"""Test vectors with an outcome: invalid data, and datagrams that a network delays, repeats or reorders."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from craftnet.protocols.wire.records import DatagramKind

Json = dict[str, object]

_PROGRESS = "0110003000000007000001a3185c507b" + "aaaaaaaaaaaa4aaa8aaaaaaaaaaaaaaa" + "0d05285a000030d4"
"""A progress over HTTP, up to its flags."""

MALFORMED_STATES = {
    # name: (body, outcome)
    "nothing": ("", "truncated"),
    "an unknown record": ("0b", "type"),
    "a progress cut short": ("0100000007000001a3185c507b", "truncated"),
    "a reserved bit": ("0100000007000001a3185c507b34148bb5000030d4", "reserved"),
    "100.01 %": ("0100000007000001a3185c507b9c448bb4000030d4", "out_of_range"),
    "an unknown status": ("0100000007000001a3185c507b3416d0b4000030d4", "out_of_range"),
    "a quality of 101": ("0100000007000001a3185c507b3414e5b4000030d4", "out_of_range"),
    "a time after the year 9999": ("0100000007ffffffffffffffff341428b4000030d4", "out_of_range"),
    "a part of a reason outside of it": ("020000000a0003000103616263", "out_of_range"),
    "an empty part of a reason": ("020000000a0003000100", "out_of_range"),
    "a row outside the table": (
        "0300000003000100000001010000000000000000000000000000001100000001" + "00",
        "out_of_range",
    ),
    "no rows of a table that has some": ("0300000003" + "0001" + "0000" + "0000" + "00", "out_of_range"),
    "more problems than rows": ("0300000003000000010000" + "00", "out_of_range"),
    "a row without a quantity": ("030000000300010000000001" + "00" * 15 + "11" + "ffffffff" + "00", "out_of_range"),
    "rows cut short": ("030000000300010000000001" + "00" * 15 + "11", "truncated"),
    "no problems": ("040000000300" + "0000", "out_of_range"),
    "an unknown problem": ("0400000003000001" + "0000" + "04" + "00000001" * 2 + "0000", "out_of_range"),
    "a problem that requires 0": (
        "0400000003000001" + "0000" + "00" + "00000000" + "00000001" + "0000",
        "out_of_range",
    ),
    "a difference from itself": ("050000000700000a01385708", "out_of_range"),
    "a difference of nothing": ("050000000701000a00", "out_of_range"),
    "a change of nothing": ("050000000701000a0130", "out_of_range"),
    "row 10 of 10": ("050000000701000a01a80c", "out_of_range"),
    "a quantity with a leading zero": ("050000000701000a013808", "out_of_range"),
    "an unknown quantity": ("050000000701000a0139f8", "out_of_range"),
    "a quantity of FFFFFFFF": ("050000000701000a01" + "3907fffffff8", "out_of_range"),
    "a bit that fills up": ("050000000701000a01385709", "reserved"),
    "a difference cut short": ("050000000701000a013857", "truncated"),
    "a secret cut short": ("06" + "00" * 31, "truncated"),
    "a selector cut short": ("07", "truncated"),
    "a session over without a reason": ("08", "truncated"),
    "a session over for a reason that does not travel": ("0880", "out_of_range"),
    "a completed craft at 99.99 %": ("0100000007000001a3185c507b9c3d8bb400000000", "contradictory"),
    "two problems of one row": (
        "0400000003000002" + ("0001" + "00" + "00000002" + "00000001" + "0000") * 2,
        "contradictory",
    ),
    "two progresses of one session": ("0100000007000001a3185c507b341428b4000030d4" * 2, "contradictory"),
    "two ends of one session": ("07010801" + "07010801", "contradictory"),
    "two secrets": ("06" + "00" * 32 + "06" + "00" * 32, "contradictory"),
    "two names of one session": ("0703" + ("0a" + "aa" * 16) * 2, "contradictory"),
    "a name cut short": ("07030a" + "aa" * 15, "truncated"),
    "two positions of one session": ("09000000000000000101" + "61" + "09000000000000000101" + "61", "contradictory"),
    "tables of two versions": ("0300000003000000000000000300000004" + "00000000000000", "contradictory"),
    "a reason of another version than the progress beside it": (
        "0100000007000001a3185c507b341628b4000030d4" + "02000000080003000003616263",
        "contradictory",
    ),
    "a position in an epoch without a name": ("09" + "0000000000000001" + "00", "out_of_range"),
    "a position in an epoch with a space in its name": ("09" + "0000000000000001" + "03612062", "out_of_range"),
    "a position in an epoch of 65 characters": ("09" + "0000000000000001" + "41" + "5f" * 65, "out_of_range"),
    "a position of 2^53": ("09" + "0020000000000000" + "0161", "out_of_range"),
    "a position whose epoch is cut off": ("09" + "0000000000000001" + "0261", "truncated"),
}

MALFORMED_BODIES = {
    # name: (kind, body, outcome)
    "a heartbeat cut short": (DatagramKind.HEARTBEAT, "00" * 23, "truncated"),
    "a heartbeat with more behind it": (DatagramKind.HEARTBEAT, "00" * 25, "trailing"),
    "a heartbeat that echoes nothing, and received it": (
        DatagramKind.HEARTBEAT,
        "00" * 7 + "01" + "00" * 15 + "01",
        "contradictory",
    ),
    "a heartbeat that echoes what it did not receive": (
        DatagramKind.HEARTBEAT,
        "00" * 7 + "01" + "00" * 7 + "01" + "00" * 8,
        "contradictory",
    ),
    "a close without a reason": (DatagramKind.CLOSE, "", "truncated"),
    "an unknown reason": (DatagramKind.CLOSE, "08", "out_of_range"),
    "no reason": (DatagramKind.CLOSE, "00", "out_of_range"),
    "an acknowledgement without a version": (DatagramKind.ACK, "", "truncated"),
    "an acknowledgement with part of a session": (DatagramKind.ACK, "00000003" + "0100", "trailing"),
    "an acknowledgement of the same session twice": (DatagramKind.ACK, "00000003" + "0100000001" * 2, "out_of_range"),
    "an acknowledgement with session 0 among the others": (DatagramKind.ACK, "00000003" + "0000000001", "out_of_range"),
    "nothing is left": (DatagramKind.LEAVE, "", "truncated"),
    "sessions left in no order": (DatagramKind.LEAVE, "0100", "out_of_range"),
    "the same session left twice": (DatagramKind.LEAVE, "0101", "out_of_range"),
    "a request with a body": (DatagramKind.RESYNC, "00", "trailing"),
    "part of a message without a size": (DatagramKind.MESSAGE, "1000", "truncated"),
    "part of a message without anything": (DatagramKind.MESSAGE, "1000ff", "truncated"),
    "part 1 of part 0": (DatagramKind.MESSAGE, "4000ff00", "out_of_range"),
    "part of a message with a reserved bit": (DatagramKind.MESSAGE, "1100ff00", "reserved"),
    "a challenge of 7 bytes": (DatagramKind.PATH_CHALLENGE, "00" * 7, "truncated"),
}

MALFORMED_POSTED = {
    # name: (octets, outcome)
    "a reserved flag": (_PROGRESS + "10" + "00" * 7, "reserved"),
    "completed and failed": (_PROGRESS + "0c" + "00" * 7, "contradictory"),
    "completed and paused": (_PROGRESS + "05" + "00" * 7, "contradictory"),
    "failed and interrupted": (_PROGRESS + "0a" + "00" * 7, "contradictory"),
    "a reserved byte": (_PROGRESS + "01" + "00" * 6 + "01", "reserved"),
    "version 2": ("0120" + _PROGRESS[4:] + "00" * 8, "reserved"),
}


def _challenges(challenge: bytes, sign: Sequence[bytes]) -> Iterable[tuple[str, bytes, str]]:
    """Datagrams that are not the CHALLENGE for which a client waits.

    Arguments:
        challenge: the valid one.
        sign: other contents, with their MACs: another connection, another nonce, key phase 1, and version 2.
    """
    connection, nonce, phase, version = sign
    yield "one byte short", challenge[:-1], "truncated"
    yield "one byte more", challenge + b"\0", "trailing"
    yield "30 bytes", challenge[:30], "truncated"
    yield "of another connection", connection, "unknown_connection"
    yield "the answer to another HELLO", nonce, "repeated"
    yield "in key phase 1", phase, "type"
    yield "of another version", version, "reserved"
    for at, what in ((5, "the client nonce"), (21, "the time"), (29, "the server nonce"), (45, "the cookie")):
        yield f"a flipped bit in {what}", _flipped(challenge, at), "forged"
    yield "a flipped bit in the MAC", _flipped(challenge, 76), "forged"
    yield "the client's own kind", b"\x43" + challenge[1:], "type"


def _flipped(datagram: bytes, at: int) -> bytes:
    return datagram[:at] + bytes([datagram[at] ^ 1]) + datagram[at + 1 :]


def challenges(challenge: bytes, others: Sequence[bytes]) -> list[Json]:
    """As `_challenges`, for the document; then the valid one, twice."""
    found: list[Json] = [
        {"name": name, "datagram": datagram.hex(), "outcome": outcome}
        for name, datagram, outcome in _challenges(challenge, others)
    ]
    right: Json = {"name": "the right one", "datagram": challenge.hex(), "outcome": "accepted"}
    return [*found, right, {"name": "a second one", "datagram": challenge.hex(), "outcome": "repeated"}]


class Arrival(NamedTuple):
    """A HEARTBEAT of the server, sealed with the keys of `generation`, and its outcome."""

    name: str
    sequence: int
    generation: int
    outcome: str = "accepted"


ARRIVALS = (
    Arrival("the second comes first", 2, 0),
    Arrival("the first, late", 1, 0),
    Arrival("twice", 2, 0, "replayed"),
    Arrival("after a rotation", 5, 1),
    Arrival("from before it, late", 3, 0),
    Arrival("the first of the generation, late", 4, 1),
    Arrival("a generation is left out", 6, 3, "forged"),
    Arrival("the newest so far", 10, 1),
    Arrival("keys of before are good for nothing behind the first of the next", 7, 0, "forged"),
    Arrival("after another rotation", 300, 2),
    Arrival("the oldest that is taken", 45, 1),
    Arrival("one older", 44, 1, "stale"),
    Arrival("keys of two rotations ago", 46, 0, "forged"),
    Arrival("as far ahead as 16 bits can tell", 33_069, 2),
    Arrival("beyond 16 bits", 65_790, 2),
    Arrival("from before the 16 bits were over, late", 65_535, 2),
)
"""In the order in which a client receives them, from the first sealed datagram on."""
