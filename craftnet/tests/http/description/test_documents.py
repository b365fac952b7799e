"""The API documents: complete, as the game names things, and valid for the tools that read them."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from craftnet.contract.events import EVENT_TYPES
from craftnet.contract.http_bodies import UdpConnectRequest
from craftnet.contract.messages import CraftingProgressData, HealthStatus, MaterialChange
from craftnet.http.description.openapi import described, routes_of
from craftnet.http.description.schemas import ALIGNMENT, Schemas, attribute_texts
from craftnet.http.exchange import GuardedEndpoint
from craftnet.http.operations import PATH_PARAMETERS
from craftnet.protocols.wire.codec import decode_materials, decode_progress, encode_materials, encode_progress
from craftnet.protocols.wire.records import (
    MaterialsRecord,
    ProgressFlags,
    ProgressRecord,
    UdpMaterialUpdate,
    UdpPacketHeader,
    UdpProgressUpdate,
)
from craftnet.tests.support.samples import IRON, SESSION
from craftnet.tests.support.site_case import PREFIXES, SiteTestCase

OPERATIONS = {
    "craftingNetworkServiceHealthCheck": ("/health", "get"),
    "craftingNetworkServiceBatchHealthCheck": ("/health/batch", "post"),
    "craftingNetworkServiceHealthWebSocket": ("/health/ws", "get"),
    "craftingSessionWebSocket": ("/ws/crafting/{session_id}", "get"),
    "craftingQueueWebSocket": ("/ws/queue/{player_id}", "get"),
    "udpCraftingSessionConnect": ("/udp/sessions/{session_id}/connect", "post"),
    "udpCraftingProgressSync": ("/udp/sessions/{session_id}/progress", "post"),
    "udpMaterialAvailabilitySync": ("/udp/sessions/{session_id}/materials", "post"),
}
"""The game's names."""

SCHEMAS = {
    *("UdpConnectRequest", "UdpConnectResponse", "CompressedProgressData", "MaterialChange", "UdpPacketHeader"),
    *("WebSocketCraftingMessage", "WebSocketQueueMessage", "WebSocketHealthMessage"),
    *("UdpProgressUpdate", "UdpMaterialUpdate", "CraftingProgressData", "MaterialNotification", "QueueStatusData"),
    *("HealthResponse", "HealthBatchResponse", "ErrorResponse"),
}
"""The game's names."""


class DocumentsTestCase(SiteTestCase):
    """Asks a site for its documents."""

    def document(self, path: str = "/openapi.json") -> dict[str, Any]:
        """One of them, decoded."""
        answer = self.ask(path)
        self.assertEqual(answer.status, 200)
        decoded: dict[str, Any] = msgspec.json.decode(answer.body)
        return decoded

    def operation(self, name: str) -> dict[str, Any]:
        """An operation of the contract."""
        path, method = OPERATIONS[name]
        found: dict[str, Any] = self.document()["paths"][path][method]
        return found


class RoutingTableTests(DocumentsTestCase):
    """The routing table is the source: nothing of it is missing in a document."""

    def test_every_method_has_an_operation(self) -> None:
        for path, endpoint in self.site.routes.table.routes.items():
            self.assertEqual(
                set(endpoint.operations),
                set(endpoint.methods),
                f"{path}: declare operations = by_method(…) in {type(endpoint).__name__}",
            )

    def test_every_body_is_described(self) -> None:
        for path, endpoint in self.site.routes.table.routes.items():
            for operation in endpoint.operations.values():
                self.assertEqual(set(operation.bodies), set(endpoint.accepts), path)

    def test_every_route_is_in_the_document(self) -> None:
        paths = self.document()["paths"]
        self.assertEqual(set(paths) | {""}, set(self.site.routes.table.routes))
        for path, endpoint in self.site.routes.table.routes.items():
            self.assertEqual(set(paths.get(path, ())), {method.lower() for method in endpoint.methods if path}, path)

    def test_operations_have_names_of_their_own(self) -> None:
        names = [each.operation.id for each in described(routes_of(self.site.routes.table.routes))]
        self.assertEqual(sorted(names), sorted(set(names)))

    def test_statuses_follow_from_the_endpoint(self) -> None:
        """What every route of a kind answers is listed without being declared."""
        paths = self.document()["paths"]
        for path, endpoint in self.site.routes.table.routes.items():
            for method in endpoint.methods if path else ():
                listed = set(paths[path][method.lower()]["responses"])
                wanted = {"default"}
                wanted |= {"401", "403"} if isinstance(endpoint, GuardedEndpoint) else set()
                wanted |= {"429"} if endpoint.limit is not None else set()
                wanted |= {"400", "413", "415"} if endpoint.accepts else set()
                wanted |= {"404"} if "{" in path else set()
                self.assertLessEqual(wanted, listed, path)

    def test_undescribed_statuses_are_noticed(self) -> None:
        """As every test of the routes would."""
        answer = self.ask("/health/live")
        self.assertRaises(self.failureException, self.assert_described, "/health", "GET", replace(answer, status=418))
        self.assert_described("/nowhere", "GET", replace(answer, status=404))

    def test_variable_segments_are_described(self) -> None:
        segments = {each for path in self.site.routes.table.routes for each in path.split("/") if each[:1] == "{"}
        self.assertLessEqual({each[1:-1] for each in segments}, set(PATH_PARAMETERS))


class OpenApiTests(DocumentsTestCase):
    def test_names_of_the_game(self) -> None:
        document = self.document()
        for name, (path, method) in OPERATIONS.items():
            self.assertEqual(document["paths"][path][method]["operationId"], name)
        self.assertLessEqual(SCHEMAS, set(document["components"]["schemas"]))

    def test_version_and_servers(self) -> None:
        document = self.document()
        self.assertEqual(document["openapi"], "3.0.3")
        self.assertEqual([each["url"] for each in document["servers"]], ["/", *PREFIXES[1:]])

    def test_octets_are_binary_strings(self) -> None:
        for name in ("udpCraftingProgressSync", "udpMaterialAvailabilitySync"):
            content = self.operation(name)["requestBody"]["content"]
            self.assertEqual(content, {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}})

    def test_statuses_that_generated_clients_need(self) -> None:
        wanted = {
            "craftingNetworkServiceHealthCheck": {"200", "304", "429", "503"},
            "craftingNetworkServiceBatchHealthCheck": {"200", "400", "415", "429"},
            "craftingNetworkServiceHealthWebSocket": {"101", "200", "400", "401", "403", "426", "429"},
            "craftingSessionWebSocket": {"101", "200", "400", "401", "403", "404", "426", "429"},
            "craftingQueueWebSocket": {"101", "200", "400", "401", "403", "426", "429"},
            "udpCraftingSessionConnect": {"200", "400", "401", "403", "404", "415", "429"},
            "udpCraftingProgressSync": {"200", "400", "401", "403", "404", "415"},
            "udpMaterialAvailabilitySync": {"200", "400", "401", "403", "404", "415"},
        }
        for name, statuses in wanted.items():
            self.assertLessEqual(statuses, set(self.operation(name)["responses"]), name)

    def test_failures_have_their_headers(self) -> None:
        responses = self.document()["components"]["responses"]
        self.assertEqual(set(responses["Unauthorized"]["headers"]), {"WWW-Authenticate"})
        limits = {"Retry-After", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"}
        self.assertEqual(set(responses["TooManyRequests"]["headers"]), limits)
        self.assertTrue(all(each["required"] for each in responses["TooManyRequests"]["headers"].values()))

    def test_tokens(self) -> None:
        document = self.document()
        self.assertEqual(document["paths"]["/health"]["get"]["security"], [])
        self.assertNotIn("security", document["paths"]["/events"]["post"])  # as the whole document.

    def test_every_reference_leads_somewhere(self) -> None:
        for path in ("/openapi.json", "/asyncapi.json"):
            document = self.document(path)
            for reference in _references(document):
                found: Any = document
                for part in reference.removeprefix("#/").split("/"):
                    found = found[part.replace("~1", "/")]

    def test_no_words_of_later_dialects(self) -> None:
        """OpenAPI 3.0 has no `const`, no type `null` and no arrays of types."""
        text = self.ask("/openapi.json").body.decode()
        for word in ('"const"', '"null"', '"type":[', '"prefixItems"', '"$defs"', "\\\\A", "\\\\Z"):
            self.assertNotIn(word, text)


class AsyncApiTests(DocumentsTestCase):
    def test_channels(self) -> None:
        document = self.document("/asyncapi.json")
        self.assertEqual(document["asyncapi"], "3.0.0")
        addresses = {each["address"] for each in document["channels"].values()}
        feeds = {"/ws/crafting/{session_id}", "/ws/queue/{player_id}", "/ws/player/{player_id}", "/health/ws"}
        self.assertLessEqual({*feeds, "/sse/health", "/events", None}, addresses)
        self.assertEqual(document["operations"]["craftingSessionWebSocket"]["action"], "send")

    def test_feeds_name_their_messages(self) -> None:
        channels = self.document("/asyncapi.json")["channels"]
        tokens = {"TokenOffer", "TokenAccepted", "TokenRefused"}
        self.assertEqual(set(channels["craftingFeed"]["messages"]), {"WebSocketCraftingMessage", *tokens})
        devices = {"DevicesMessage", "DeviceCursorMessage", "DeviceRefused"}
        self.assertEqual(set(channels["queueStream"]["messages"]), {"WebSocketQueueMessage", "StreamEnd", *devices})
        reports = {"Seen", "Dismissed"}
        self.assertEqual(set(channels["queueFeed"]["messages"]), {"WebSocketQueueMessage", *tokens, *devices, *reports})

    def test_every_event_type_is_a_message(self) -> None:
        document = self.document("/asyncapi.json")
        types = {
            value
            for schema in document["components"]["schemas"].values()
            for value in schema.get("properties", {}).get("event_type", {}).get("enum", ())
        }
        self.assertEqual(types, set(EVENT_TYPES))

    def test_every_feed_of_the_routing_table_has_a_channel(self) -> None:
        addresses = {each["address"] for each in self.document("/asyncapi.json")["channels"].values()}
        for path in self.site.routes.table.routes:
            if path.startswith(("/ws/", "/sse/")) and "dictionaries" not in path:
                self.assertIn(path, addresses)


class SchemaTests(SynchronousTestCase):
    def test_fields_are_ordered_from_large_to_small(self) -> None:
        schemas = Schemas()
        schemas.of(CraftingProgressData)
        made = schemas.components["CraftingProgressData"]
        sizes = [(each.get("format"), each.get("type")) for each in made["properties"].values()]
        self.assertEqual([kind for _, kind in sizes[:2]], ["string", None])
        self.assertEqual([form for form, _ in sizes[-3:]], ["int32"] * 3)
        self.assertTrue(made["description"].endswith(ALIGNMENT))

    def test_fields_say_what_their_docstrings_say(self) -> None:
        schemas = Schemas()
        schemas.of(CraftingProgressData)
        text = schemas.components["CraftingProgressData"]["properties"]["current_quality"]["description"]
        self.assertEqual(text, attribute_texts(CraftingProgressData)["current_quality"])

    def test_enums_explain_their_values(self) -> None:
        schemas = Schemas()
        self.assertEqual(schemas.of(HealthStatus), {"$ref": "#/components/schemas/HealthStatus"})
        self.assertIn("- `degraded`: Works with restrictions.", schemas.components["HealthStatus"]["description"])

    def test_what_only_requests_have_may_be_null(self) -> None:
        for nullable, wanted in (((), None), ((UdpConnectRequest,), True)):
            schemas = Schemas(nullable)
            schemas.of(UdpConnectRequest)
            properties = schemas.components["UdpConnectRequest"]["properties"]
            self.assertEqual(properties["session_token"].get("nullable"), wanted)
            self.assertNotIn("nullable", properties["max_packet_size"])

    def test_what_cannot_be_left_out_may_be_null(self) -> None:
        """A required field, and what arrays and objects contain; a schema with a name keeps it."""

        class Shown(Struct):
            numbers: dict[str, list[float | None]]
            where: CraftingProgressData | None

        schemas = Schemas()
        schemas.of(Shown)
        properties = schemas.components["Shown"]["properties"]
        self.assertTrue(properties["numbers"]["additionalProperties"]["items"]["nullable"])
        reference = {"$ref": "#/components/schemas/CraftingProgressData"}
        self.assertEqual(properties["where"], {"type": "object", "nullable": True, "allOf": [reference]})

    def test_patterns_are_of_ecmascript(self) -> None:
        schemas = Schemas()
        schemas.of(UdpConnectRequest)
        pattern = schemas.components["UdpConnectRequest"]["properties"]["client_version"]["pattern"]
        self.assertEqual(pattern, r"^[0-9]+\.[0-9]+\.[0-9]+$")


class RecordTests(SynchronousTestCase):
    """What the documents say about records is what the codec does."""

    def test_progress(self) -> None:
        for percent, remaining, quality, flags in ((0.0, None, None, 0), (100.0, (2**32 - 2) / 1000, 100, 8)):
            record = ProgressRecord(
                2**32 - 1, 253_402_300_799_999, SESSION, percent, remaining, quality, quality, ProgressFlags(flags)
            )
            octets = encode_progress(record)
            self.assertEqual((len(octets), decode_progress(octets)), (48, record))
            data = {"session_id": SESSION, "progress_percentage": percent, "remaining_time": remaining}
            described = {**data, "quality_current": quality, "quality_target": quality, "flags": flags}
            whole = {"packet_header": self.header(record, octets), "progress_data": described}
            msgspec.convert(whole, UdpProgressUpdate)
        for wrong in ({"progress_percentage": 100.01}, {"flags": 16}, {"quality_current": 0}):
            broken = {**whole, "progress_data": {**described, **wrong}}
            self.assertRaises(msgspec.ValidationError, msgspec.convert, broken, UdpProgressUpdate)

    def test_materials(self) -> None:
        change = {"material_id": IRON, "change_type": "added", "new_quantity": 2}
        changes = (msgspec.convert(change, MaterialChange),) * 200
        record = MaterialsRecord(7, 1, SESSION, changes)
        octets = encode_materials(record)
        self.assertEqual((len(octets), decode_materials(octets)), (32 + 200 * 24, record))
        header = self.header(record, octets)
        msgspec.convert({"packet_header": header, "material_changes": [change] * 200}, UdpMaterialUpdate)
        long = {"packet_header": header, "material_changes": [change] * 201}
        self.assertRaises(msgspec.ValidationError, msgspec.convert, long, UdpMaterialUpdate)

    def header(self, record: ProgressRecord | MaterialsRecord, octets: bytes) -> dict[str, object]:
        """As it is described."""
        header = {
            "session_id": record.session_id,
            "timestamp": record.timestamp_ms,
            "sequence_number": record.sequence,
            "packet_type": octets[0],
        }
        msgspec.convert(header, UdpPacketHeader)
        return header


class ServingTests(DocumentsTestCase):
    def test_conditional_and_coded(self) -> None:
        for path in ("/openapi.json", "/asyncapi.json", "/docs"):
            plain = self.ask(path)
            self.assertEqual((plain.status, plain.fields["cache-control"]), (200, "no-cache"))
            packed = self.ask(path, fields=b"Accept-Encoding: gzip\r\n")
            self.assertEqual(gzip.decompress(packed.body), plain.body)
            for answer in (plain, packed):
                again = self.ask(path, fields=f"If-None-Match: {answer.fields['etag']}\r\n".encode())
                self.assertEqual((again.status, again.body), (304, b""))

    def test_under_every_base(self) -> None:
        for prefix in PREFIXES:
            self.assertEqual(self.ask(prefix + "/openapi.json").body, self.ask("/openapi.json").body)

    def test_page_uses_nothing_from_outside(self) -> None:
        answer = self.ask("/docs")
        text = answer.body.decode()
        self.assertEqual(answer.fields["content-type"], "text/html; charset=utf-8")
        policy = answer.fields["content-security-policy"]
        self.assertTrue(policy.startswith("default-src 'none'; style-src 'sha256-"))
        self.assertNotIn("unsafe", policy)
        for word in ("<script", "<img", "<link", " src=", "@import", "url(", " style=", "javascript:"):
            self.assertNotIn(word, text)
        for link in re.findall(r'href="([^"]*)"', text):
            self.assertTrue(link.startswith("#") or link in ("openapi.json", "asyncapi.json"), link)

    def test_page_links_lead_somewhere(self) -> None:
        text = self.ask("/docs").body.decode()
        anchors = set(re.findall(r' id="([^"]*)"', text))
        self.assertLessEqual(set(re.findall(r'href="#([^"]*)"', text)), anchors)
        self.assertLessEqual(set(OPERATIONS) | {f"schema-{name}" for name in SCHEMAS}, anchors)


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        yield from (each for item in value.values() for each in _references(item))
    elif isinstance(value, list):
        yield from (each for item in value for each in _references(item))
