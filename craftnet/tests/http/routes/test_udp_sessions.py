"""The routes of UDP sessions."""

from __future__ import annotations

from uuid import UUID

import msgspec

from craftnet.contract.http_bodies import UdpConnectRequest
from craftnet.contract.messages import ChangeType, MaterialChange
from craftnet.crafting.progress import Tolerance
from craftnet.limits.client_address import ServerUrl
from craftnet.protocols.wire.codec import encode_materials, encode_progress
from craftnet.protocols.wire.records import MaterialsRecord, ProgressFlags, ProgressRecord
from craftnet.tests.support.http_wire import Answer
from craftnet.tests.support.samples import COPPER, IRON, NOW, OTHER_PLAYER, OTHER_SESSION, PLAYER, SESSION
from craftnet.tests.support.site_case import ACTIVE, HERE, JSON, OCTETS, SiteTestCase


class UdpConnectTests(SiteTestCase):
    def connect(self, session_id: object = SESSION, token: str = "player", **fields: object) -> Answer:
        body = msgspec.json.encode({"player_id": PLAYER, "client_version": "1.0.0", **fields})
        return self.ask(f"/udp/sessions/{session_id}/connect", "POST", JSON, body, token)

    def test_connect(self) -> None:
        answer = self.connect(max_packet_size=512.0)
        self.assertEqual((answer.status, answer.json["session_token"]), (200, "secret"))
        self.assertEqual(answer.fields["cache-control"], "no-store")
        wanted = UdpConnectRequest(player_id=PLAYER, client_version="1.0.0", max_packet_size=512)
        self.assertEqual(self.gateway.expected, [(SESSION, PLAYER, wanted, NOW + 3600, NOW, HERE)])

    def test_the_connection_that_a_client_has(self) -> None:
        self.assertEqual(self.connect(session_token="secret").status, 200)
        ((_, _, request, *_),) = self.gateway.expected
        self.assertEqual(request.session_token, "secret")
        self.assert_error(self.connect(session_token="x" * 65), 400)
        self.assert_error(self.connect(session_token="secret", token="other"), 403)

    def test_refused(self) -> None:
        self.assert_error(self.connect("x"), 400)
        for version in ("1.0", "1.2.3\n", "\u0661.2.3", f"1.2.{'3' * 61}"):
            self.assert_error(self.connect(client_version=version), 400)
        self.assert_error(self.connect(max_packet_size=63), 400)
        self.assert_error(self.connect(token=""), 401)
        self.assert_error(self.connect(token="other"), 403)
        self.assert_error(self.connect(player_id=OTHER_PLAYER), 403)
        self.assert_error(self.connect(OTHER_SESSION), 404)
        self.assertEqual(self.gateway.expected, [])


class ProxyTests(SiteTestCase):
    """Behind a proxy that ends TLS and rewrites Host."""

    proxies = "192.168.1.1"  # the other end of a StringTransport.
    fields = b"X-Forwarded-Proto: https\r\nX-Forwarded-Host: play.example\r\n"

    def test_addresses_in_answers(self) -> None:
        answer = self.ask("/crafting/health/ws", fields=self.fields, token="admin")
        self.assertEqual(answer.json["websocket_url"], "wss://play.example/crafting/health/ws")
        body = msgspec.json.encode({"player_id": PLAYER, "client_version": "1.0.0"})
        self.ask(f"/udp/sessions/{SESSION}/connect", "POST", JSON + self.fields, body, "player")
        self.assertEqual(self.gateway.expected[0][-1], ServerUrl("https", "play.example", stated=True))


class StrangerTests(SiteTestCase):
    """The same from a client that is no proxy."""

    def test_not_believed(self) -> None:
        answer = self.ask("/health/ws", fields=ProxyTests.fields, token="admin")
        self.assertEqual(answer.json["websocket_url"], "ws://craft.example:8080/health/ws")


class UdpOffTests(SiteTestCase):
    udp = False

    def test_connect(self) -> None:
        body = msgspec.json.encode({"player_id": PLAYER, "client_version": "1.0.0"})
        answer = self.ask(f"/udp/sessions/{SESSION}/connect", "POST", JSON, body, "player")
        self.assert_error(answer, 503)
        self.assertIn("switched off", answer.json["message"])


class RecordsTests(SiteTestCase):
    def post(self, kind: str, body: bytes, token: str, session_id: object = SESSION, media: bytes = OCTETS) -> Answer:
        return self.ask(f"/udp/sessions/{session_id}/{kind}", "POST", media, body, token)

    def progress(self, percent: float, flags: ProgressFlags = ACTIVE, session_id: UUID = SESSION) -> bytes:
        moment = int(self.clock.seconds() * 1000)
        return encode_progress(ProgressRecord(1, moment, session_id, percent, flags=flags))

    def materials(self, material_id: UUID, quantity: int) -> bytes:
        change = MaterialChange(material_id=material_id, change_type=ChangeType.QUANTITY_CHANGED, new_quantity=quantity)
        return encode_materials(MaterialsRecord(1, int(self.clock.seconds() * 1000), SESSION, (change,)))

    def claims(self, verdict: str) -> float | None:
        return self.metrics.registry.get_sample_value("craftnet_claims_total", {"verdict": verdict})

    def percent(self) -> float:
        """The content of the source."""
        state = self.successResultOf(self.sources.sessions.get(SESSION))
        assert state is not None
        return state.progress.percent

    def test_players_progress_is_a_claim(self) -> None:
        self.clock.advance(30)
        right, wrong = (
            self.post("progress", self.progress(50.0), "player"),
            self.post("progress", self.progress(99.0), "player"),
        )
        self.assertEqual((right.status, right.json["agreed"]), (200, True))
        self.assertEqual((wrong.status, wrong.json["agreed"], wrong.json["deviation_percent"]), (200, False, 49.0))
        self.assertEqual(wrong.json["correction"]["progress_percentage"], 50)
        self.assertEqual((self.claims("agreed"), self.claims("deviating")), (1, 1))
        self.assertEqual(self.percent(), 0.0)

    def test_admins_progress_is_a_claim(self) -> None:
        self.assertIn("agreed", self.post("progress", self.progress(99.0), "admin").json)
        self.assertEqual(self.percent(), 0.0)

    def test_authoritys_progress_is_truth(self) -> None:
        self.clock.advance(1)
        answer = self.post("progress", self.progress(42.0), "publisher")
        self.assertEqual((answer.status, answer.json["accepted"]), (200, 1))
        self.assertEqual(self.percent(), 42.0)
        self.assertIsNone(self.claims("deviating"))

    def test_rejected_truth(self) -> None:
        self.clock.advance(1)
        self.post("progress", self.progress(100.0, ProgressFlags.COMPLETED), "publisher")
        self.clock.advance(1)
        answer = self.post("progress", self.progress(50.0), "publisher")
        self.assert_error(answer, 400)
        self.assertIn("the session has ended", answer.json["message"])

    def test_players_materials_are_a_claim(self) -> None:
        right, wrong = (self.post("materials", self.materials(IRON, quantity), "player") for quantity in (10, 11))
        self.assertEqual((right.json["agreed"], right.json["deviating"]), (True, []))
        self.assertEqual((wrong.json["agreed"], wrong.json["deviating"]), (False, [str(IRON)]))
        self.assertEqual(wrong.json["correction"], [{"material_id": str(IRON), "quantity": 10, "quality": 50}])

    def test_authoritys_materials_are_truth(self) -> None:
        self.assertEqual(self.post("materials", self.materials(COPPER, 3), "publisher").status, 200)
        held = self.successResultOf(self.sources.materials.get(SESSION)).materials
        self.assertEqual({material.material_id: material.quantity for material in held}, {IRON: 10, COPPER: 3})

    def test_authoritys_materials_that_say_nothing(self) -> None:
        """As in an event: the reason comes back, and nothing is lost in silence."""
        moment = int(self.clock.seconds() * 1000)
        change = MaterialChange(material_id=COPPER, change_type=ChangeType.ADDED, new_quality=7)
        for changes, reason in (((change,), "added without its new_quantity"), ((), "neither changes nor")):
            record = encode_materials(MaterialsRecord(1, moment, SESSION, changes))
            answer = self.post("materials", record, "publisher")
            self.assert_error(answer, 400)
            self.assertIn(reason, answer.json["message"])

    def test_refused(self) -> None:
        for kind, good in (("progress", self.progress(1.0)), ("materials", self.materials(IRON, 1))):
            for bad in (b"", good[:-1], good + b"x", b"\xff" * len(good)):
                self.assert_error(self.post(kind, bad, "player"), 400)
            self.assert_error(self.post(kind, good, "player", "x"), 400)
            self.assert_error(self.post(kind, good, "player", OTHER_SESSION), 400)
            self.assert_error(self.post(kind, good, ""), 401)
            self.assert_error(self.post(kind, good, "other"), 403)
            self.assert_error(self.post(kind, good, "player", media=JSON), 415)
        stranger = self.progress(1.0, session_id=OTHER_SESSION)
        self.assert_error(self.post("progress", stranger, "player", OTHER_SESSION), 404)

    def test_content_type_may_be_missing(self) -> None:
        self.assertEqual(self.post("progress", self.progress(0.0), "player", media=b"").status, 200)


class ToleranceTests(SiteTestCase):
    """Claims are judged by how exact watchers are kept."""

    tolerance = Tolerance(percent=2.0, seconds=3.0)

    def test_what_watchers_may_be_off_a_claim_may(self) -> None:
        self.clock.advance(30)
        claims = {(51.9, 30.0): True, (52.1, 30.0): False, (50.0, 32.9): True, (50.0, 33.1): False}
        for (percent, remaining), agreed in claims.items():
            record = ProgressRecord(1, int(self.clock.seconds() * 1000), SESSION, percent, remaining)
            answer = self.ask(
                f"/udp/sessions/{SESSION}/progress", "POST", OCTETS, encode_progress(record), token="player"
            )
            self.assertEqual(answer.json["agreed"], agreed)
