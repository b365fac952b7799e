"""Writes protocol/corpus.json as files for the fuzz targets: `python clients/cpp/fuzz/corpus.py DIRECTORY`."""

import json
import struct
import sys
from pathlib import Path

CORPUS = Path(__file__).parents[3] / "protocol" / "corpus.json"
VECTORS = CORPUS.with_name("vectors.json")
KINDS = {"STATE": 0, "MESSAGE": 1, "HEARTBEAT": 2, "CLOSE": 3, "PATH_CHALLENGE": 4}


def inputs() -> dict[str, list[bytes]]:
    """The inputs of each target."""
    corpus, vectors = json.loads(CORPUS.read_bytes()), json.loads(VECTORS.read_bytes())
    states = [bytes.fromhex(text) for text in corpus["state"]]
    histories = [[bytes.fromhex(step["body"]) for step in each["steps"]] for each in vectors["receptions"]]
    packed = [
        b"".join(b"\x01" + framed(bytes.fromhex(part["body"])) for part in each["parts"])
        for each in vectors["messages"] + vectors["malformed_messages"]
    ]
    bodies = [
        bytes([KINDS[each["kind"]]]) + framed(bytes.fromhex(each["body"]))
        for each in vectors["malformed_bodies"]
        if each["kind"] in KINDS
    ]
    datagrams = [b"\xf0" + framed(bytes.fromhex(text)) for text in corpus["datagram"] + corpus["client_datagram"]]
    posted = [bytes.fromhex(text) for text in corpus["progress"] + corpus["materials"]]
    received = [b"".join(b"\x00" + framed(body) for body in history) for history in histories]
    return {
        "state": [*states, *posted, *(b"".join(map(framed, history)) for history in histories)],
        "client": [*packed, *bodies, *datagrams, *received, *(b"\x00" + framed(state) for state in states)],
        "frames": [frame(0x81, TEXTS[0].encode()), frame(1, b"a") + frame(0x89, b"p") + frame(0x80, b"b"), CLOSE],
        "feed": [*(b"\x02" + octets for octets in posted), *(b"\x00" + text.encode() for text in TEXTS)],
    }


def frame(first: int, payload: bytes) -> bytes:
    """A frame of a WebSocket with this first byte."""
    size = bytes([len(payload)]) if len(payload) < 126 else struct.pack(">BH", 126, len(payload))
    return bytes([first]) + size + payload


def framed(body: bytes) -> bytes:
    """A body behind its length minus 1."""
    return struct.pack(">H", max(0, len(body) - 1)) + body


TEXTS = [
    '{"type":"progress_update","session_id":"aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa","timestamp":"2026-11-22T10:00:00.123Z",'
    '"epoch":"5f0d1c2b3a49","version":42,"progress_data":{"progress_percentage":33,"status":"active"}}',
    '{"type":"queue_status","recovered":false,"queue_data":{"queue_position":2,"station_type":"vehicle_bay"}}',
    '{"type":"material_notification","material_data":{"notification_type":"quality_too_low","required_quality":60}}',
    '{"type":"token_refused","code":401,"message":"no \\u00fc"}',
    "retry in 7.3 s",
    '{"session_token":"3q2-7wABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f","server_endpoint":"[::1]:8082",'
    '"compression":"lz4","negotiated_packet_size":4096,"heartbeat_interval":5000,"session_index":1}',
]


CLOSE = frame(0x88, b"\x0f\xa1" + b"the token has expired")


def main(directory: Path) -> None:
    """Write each input into a file of its own."""
    for target, octets in inputs().items():
        folder = directory / target
        folder.mkdir(parents=True, exist_ok=True)
        for number, each in enumerate(octets):
            (folder / f"{number:03}").write_bytes(each)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
