"""The contract's schemas as JSON."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct
from twisted.trial.unittest import SynchronousTestCase

from craftnet.contract.http_bodies import (
    ErrorResponse,
    HealthBatchRequest,
    HealthBatchResponse,
    HealthWebSocketInfo,
    UdpConnectRequest,
    UdpConnectResponse,
)
from craftnet.contract.messages import (
    MALFORMED,
    Check,
    CraftingProgressData,
    HealthResponse,
    JsonDecoder,
    MaterialChange,
    MaterialNotification,
    QueueStatusData,
    Status,
    Time,
    WebSocketCraftingMessage,
    WebSocketHealthMessage,
    WebSocketQueueMessage,
    rfc3339,
    to_json,
)
from craftnet.tests.support.samples import NOW

ID = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa"
TIME = "2027-01-15T08:00:00Z"
STATUSES = ["active", "paused", "interrupted", "completed", "failed"]
STATIONS = ["basic_workbench", "advanced_workbench", "cyberware_station", "vehicle_bay", "laboratory"]
PROBLEMS = ["insufficient_quantity", "quality_too_low", "material_unavailable", "material_restored"]
HEALTH = {"status": "ok", "timestamp": TIME}

POSITION: dict[str, list[object]] = {"epoch": ["x"], "version": [0, 2**40], "recovered": [True, False]}
"""Ours, beside the contract's."""

SCHEMAS: dict[type[Struct], tuple[dict[str, list[Any]], dict[str, list[Any]], dict[str, list[Any]]]] = {
    # each type: required fields with good values, optional fields with good values, fields with bad values.
    CraftingProgressData: (
        {"session_id": [ID], "progress_percentage": [0, 100], "status": STATUSES},
        {
            "remaining_time_seconds": [0, 86400],
            "current_quality": [1, 100],
            "target_quality": [1, 100],
            "failure_reason": ["x"],
            "expected_seconds_p50": [0, 86400],
            "expected_seconds_p90": [0, 86400],
        },
        {
            "session_id": ["x", 1],
            "progress_percentage": [-1, 101, 0.5, "1"],
            "status": ["idle"],
            "remaining_time_seconds": [-1, 0.5],
            "current_quality": [0, 101],
            "target_quality": [0, 101],
            "failure_reason": [1],
        },
    ),
    MaterialNotification: (
        {"material_id": [ID], "notification_type": PROBLEMS},
        {
            "required_quantity": [1],
            "available_quantity": [0],
            "required_quality": [1, 100],
            "available_quality": [1, 100],
        },
        {
            "material_id": ["x"],
            "notification_type": ["x"],
            "required_quantity": [0],
            "available_quantity": [-1],
            "required_quality": [0, 101],
            "available_quality": [0, 101],
        },
    ),
    MaterialChange: (
        {"material_id": [ID], "change_type": ["added", "removed", "quantity_changed", "quality_changed"]},
        {"new_quantity": [0], "new_quality": [1, 100]},
        {"change_type": ["x"], "new_quantity": [-1], "new_quality": [0, 101]},
    ),
    QueueStatusData: (
        {"player_id": [ID], "queue_position": [1]},
        {
            "total_in_queue": [1],
            "estimated_wait_seconds": [0],
            "station_type": STATIONS,
            "can_jump_queue": [True, False],
            "jump_queue_cost": [-5, 0, 5],
        },
        {
            "player_id": ["x"],
            "queue_position": [0],
            "total_in_queue": [0],
            "estimated_wait_seconds": [-1],
            "station_type": ["x"],
            "can_jump_queue": [1],
        },
    ),
    WebSocketCraftingMessage: (
        {
            "type": [
                "progress_update",
                "material_notification",
                "queue_status",
                "crafting_complete",
                "crafting_failed",
            ],
            "session_id": [ID],
            "timestamp": [TIME],
        },
        {
            "progress_data": [{"session_id": ID, "progress_percentage": 1, "status": "active"}],
            "material_data": [{"material_id": ID, "notification_type": "quality_too_low"}],
            "queue_data": [{"player_id": ID, "queue_position": 1}],
            **POSITION,
        },
        {"type": ["x"], "session_id": ["x"], "timestamp": ["x"]},
    ),
    WebSocketQueueMessage: (
        {
            "type": ["queue_position", "station_available", "priority_boost", "queue_timeout"],
            "player_id": [ID],
            "timestamp": [TIME],
        },
        {"queue_position": [1], "estimated_wait_time": [0], "station_type": STATIONS, **POSITION},
        {
            "type": ["x"],
            "version": [-1, "1"],
            "queue_position": [0],
            "estimated_wait_time": [-1, 0.5],
            "station_type": ["x"],
        },
    ),
    Check: (
        {"status": ["ok", "degraded", "critical"]},
        {"message": ["x"], "response_time": [0]},
        {"status": ["x"], "response_time": [-1, 0.5]},
    ),
    HealthResponse: (
        {"status": ["ok", "degraded", "critical"], "timestamp": [TIME]},
        {"message": ["x"], "version": ["1"], "uptime": [0], "checks": [{"a": {"status": "ok"}}]},
        {"status": ["x"], "uptime": [-1, 0.5]},
    ),
    WebSocketHealthMessage: (
        {"type": ["health_update", "health_alert", "service_down"], "timestamp": [TIME], "health": [HEALTH]},
        {"message_timestamp": [TIME]},
        {"type": ["x"], "health": [{}]},
    ),
    HealthBatchRequest: (
        {"services": [[], ["crafting-network", "crafting-service", "real-time-combat"], ["crafting-network"] * 10]},
        {},
        {"services": [["x"], ["crafting-network"] * 11]},
    ),
    HealthBatchResponse: (
        {
            "overall_status": ["healthy", "degraded", "critical"],
            "timestamp": [TIME],
            "results": [{}, {"crafting-network": HEALTH}],
        },
        {},
        {"overall_status": ["ok"], "results": [[HEALTH], {"weather": HEALTH}]},
    ),
    HealthWebSocketInfo: ({"websocket_url": ["ws://x"], "supported_protocols": [["x"]]}, {}, {}),
    UdpConnectResponse: (
        {
            "session_token": ["x"],
            "server_endpoint": ["h:1"],
            "compression_enabled": [True],
            "negotiated_packet_size": [64, 65536],
            "heartbeat_interval": [1000, 30000],
        },
        {
            "progress_tolerance": [0, 100],
            "session_index": [1, 255],
            "compression": ["lz4", "zstd"],
            "ciphertext": ["x"],
            "region": ["us-east"],
            "all_sessions": [True],
            "expected": [True],
        },
        {
            "compression": ["gzip"],
            "negotiated_packet_size": [63, 65537],
            "heartbeat_interval": [999, 30001],
            "session_index": [-1, 256],
        },
    ),
    ErrorResponse: (
        {"code": [100, 599], "message": ["x"]},
        {"details": [{"a": [1, None]}]},
        {"code": [99, 600], "message": [1]},
    ),
}


class SchemaTests(SynchronousTestCase):
    def test_fields(self) -> None:
        """The names, and which may be left out, are the contract's."""
        for kind, (required, optional, _) in SCHEMAS.items():
            fields = {field.name: field.required for field in msgspec.structs.fields(kind)}
            self.assertEqual(fields, {**dict.fromkeys(required, True), **dict.fromkeys(optional, False)}, kind)

    def test_good_values_survive(self) -> None:
        """Each goes into JSON as it came out of it."""
        for kind, (required, optional, _) in SCHEMAS.items():
            least = {name: values[0] for name, values in required.items()}
            for name, values in {**required, **optional}.items():
                for value in values:
                    shape = {**least, name: value}
                    self.assertEqual(json.loads(to_json(msgspec.convert(shape, kind))), shape)

    def test_everything_at_once(self) -> None:
        for kind, (required, optional, _) in SCHEMAS.items():
            shape = {name: values[-1] for name, values in {**required, **optional}.items()}
            self.assertEqual(json.loads(to_json(msgspec.convert(shape, kind))), shape)

    def test_bad_values_are_named(self) -> None:
        for kind, (required, _, bad) in SCHEMAS.items():
            least = {name: values[0] for name, values in required.items()}
            for name, values in bad.items():
                for value in values:
                    body = json.dumps({**least, name: value}).encode()
                    error = self.assertRaises(msgspec.ValidationError, msgspec.json.decode, body, type=kind)
                    self.assertIn(f"$.{name}", str(error), f"{kind} {value!r}")

    def test_missing_fields_are_named(self) -> None:
        for kind, (required, _, _) in SCHEMAS.items():
            for name in required:
                body = json.dumps({other: values[0] for other, values in required.items() if other != name})
                error = self.assertRaises(msgspec.ValidationError, msgspec.json.decode, body, type=kind)
                self.assertIn(name, str(error))

    def test_frozen(self) -> None:
        for kind in SCHEMAS:
            self.assertTrue(kind.__struct_config__.frozen, kind)


class UdpConnectRequestTests(SynchronousTestCase):
    def request(self, **fields: object) -> UdpConnectRequest:
        return msgspec.convert({"player_id": ID, "client_version": "1.2.3", **fields}, UdpConnectRequest)

    def test_defaults(self) -> None:
        asked = self.request()
        self.assertEqual((asked.supported_compression, asked.max_packet_size), (["lz4"], 4096))

    def test_values(self) -> None:
        self.assertEqual(self.request(client_version=f"1.2.{'3' * 60}").client_version, f"1.2.{'3' * 60}")
        asked = self.request(supported_compression=["zstd", "none"], max_packet_size=64)
        self.assertEqual((asked.supported_compression, asked.max_packet_size), (["zstd", "none"], 64))

    def test_refused(self) -> None:
        bad: dict[str, list[object]] = {
            "player_id": ["x"],
            "client_version": ["1.2", "v1.2.3", "1.2.3-a", "1.2.3.4", "", "1.2.3\n", "\u0661.2.3", f"1.2.{'3' * 61}"],
            "supported_compression": [["gzip"]],
            "max_packet_size": [63, 65537],
        }
        for name, values in bad.items():
            for value in values:
                error = self.assertRaises(msgspec.ValidationError, self.request, **{name: value})
                self.assertIn(f"$.{name}", str(error))


class JsonDecoderTests(SynchronousTestCase):
    def test_integers_may_be_written_with_a_point(self) -> None:
        decoder = JsonDecoder(UdpConnectRequest)
        usual = {"player_id": ID, "client_version": "1.2.3"}
        for written in (b"512", b"512.0", b"5.12e2"):
            octets = msgspec.json.encode({**usual, "max_packet_size": msgspec.Raw(written)})
            size = decoder.decode(octets).max_packet_size
            self.assertEqual((type(size), size), (int, 512))
        for written in (b"512.5", b'"512"', b"1e300", b"true", b"63.0"):
            octets = msgspec.json.encode({**usual, "max_packet_size": msgspec.Raw(written)})
            error = self.assertRaises(msgspec.ValidationError, decoder.decode, octets)
            self.assertIn("$.max_packet_size", str(error))

    def test_what_is_no_json(self) -> None:
        for octets in (b"", b"{", b"<html>", b"\xff", b"[" * 100_000):
            self.assertRaises(MALFORMED, JsonDecoder(UdpConnectRequest).decode, octets)


class TimeTests(SynchronousTestCase):
    def test_pattern(self) -> None:
        """RFC 3339, and nothing behind it."""
        for text in ("2027-01-15T08:00:00Z", "2027-01-15t08:00:00.5z", "2027-01-15T08:00:00.123+01:00"):
            self.assertEqual(msgspec.convert(text, Time), text)
        for text in (
            "2027-01-15T08:00:00Z\n",
            "2027-01-15T08:00:0\u0660Z",
            "2027-01-15 08:00:00Z",
            "x2027-01-15T08:00:00Z",
        ):
            self.assertRaises(msgspec.ValidationError, msgspec.convert, text, Time)

    def test_milliseconds_always(self) -> None:
        written = [rfc3339(NOW + seconds) for seconds in (0, 0.1239, 0.9999, 59.05)]
        ends = ["00.000Z", "00.123Z", "00.999Z", "59.050Z"]
        self.assertEqual(written, [f"2027-01-15T08:00:{end}" for end in ends])

    @settings(deadline=None, derandomize=True, max_examples=200)
    @given(st.integers(0, 4_102_444_800_000))
    def test_every_millisecond(self, milliseconds: int) -> None:
        text = rfc3339(milliseconds / 1000)
        self.assertRegex(text, r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        # the float may lie just below the millisecond, which is then cut off.
        self.assertIn(milliseconds - round(datetime.fromisoformat(text).timestamp() * 1000), (0, 1))


class StatusTests(SynchronousTestCase):
    def test_terminal(self) -> None:
        self.assertEqual([status for status in Status if status.terminal], [Status.COMPLETED, Status.FAILED])


class JsonTests(SynchronousTestCase):
    def test_nothing_superfluous(self) -> None:
        """No spaces, and no unset fields."""
        message = CraftingProgressData(session_id=UUID(ID), progress_percentage=7, status=Status.ACTIVE)
        self.assertEqual(
            to_json(message), b'{"session_id":"' + ID.encode() + b'","progress_percentage":7,"status":"active"}'
        )
