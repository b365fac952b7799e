"""The whole service over real sockets, with clients that this project did not write: websockets and treq."""

from __future__ import annotations

import contextlib
import socket
import ssl
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
from twisted.internet import reactor
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Frame, Opcode

from craftnet.client import Address, Backoff, UdpTransport, Watch, WatchVerdict, WebSocketTransport
from craftnet.clocks import steady
from craftnet.contract.close_codes import CloseCode
from craftnet.contract.messages import rfc3339
from craftnet.contract.position import Versions
from craftnet.protocols.websocket.core.compression import decompress_message
from craftnet.protocols.websocket.core.subprotocols import BINARY, JSON, LZ4, SUPPORTED
from craftnet.protocols.wire.codec import decode_progress
from craftnet.protocols.wire.records import ProgressFlags
from craftnet.server.settings import Settings
from craftnet.tests.support.certificates import self_signed
from craftnet.tests.support.http_fuzz import LogWatch
from craftnet.tests.support.live import LiveTestCase, envelope, in_thread, started, token
from craftnet.tests.support.observers import MessageTypes
from craftnet.tests.support.samples import COPPER, IRON, OTHER_SESSION, PLAYER, RECIPE, SESSION
from craftnet.tests.support.udp_relay import RelayedTestCase

CRAFTING = f"/ws/crafting/{SESSION}?player_id={PLAYER}"


SHORTAGE = {
    "material_id": str(IRON),
    "notification_type": "insufficient_quantity",
    "required_quantity": 5,
    "available_quantity": 2,
}


class CraftingFeedTests(LiveTestCase):
    """Events in over HTTP, messages out over WebSocket."""

    async def test_life_of_a_session(self) -> None:
        """Every change of a session reaches its watcher, in order, in the contract's shape."""
        self.assertEqual(await self.publish(started()), {"accepted": 1, "duplicates": 0, "rejected": []})
        peer = await self.open(CRAFTING, token())
        first = await peer.receive()
        self.assertEqual((first["type"], first["session_id"]), ("progress_update", str(SESSION)))
        self.assertRegex(first["timestamp"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        self.assertEqual(first["progress_data"]["status"], "active")
        self.assertLessEqual(first["progress_data"]["remaining_time_seconds"], 60)

        steps: list[tuple[str, dict[str, Any], str, str]] = [
            ("pause", {"pause_reason": "player_afk"}, "progress_update", "paused"),
            ("resume", {}, "progress_update", "active"),
            ("progress", {"progress_percentage": 80, "status": "interrupted"}, "progress_update", "interrupted"),
            ("complete", {"result_item_id": str(IRON), "duration_seconds": 60}, "crafting_complete", "completed"),
        ]
        for name, data, kind, status in steps:
            await self.publish(envelope(f"crafting.session.{name}", {"session_id": str(SESSION), **data}))
            message = await peer.receive()
            self.assertEqual((message["type"], message["progress_data"]["status"]), (kind, status))
        self.assertEqual(message["progress_data"]["progress_percentage"], 100)

    async def test_cancelled_and_failed(self) -> None:
        """Both end a session as failed, with the reason; as the game says it, in the name of the game's session."""
        lost = {"failure_reason": "recipe_error", "duration_seconds": 0, "materials_lost": True}
        returned = {"cancel_reason": "zone_change", "materials_returned": True}
        for session, name, data, reason in (
            (SESSION, "fail", lost, "recipe_error"),
            (OTHER_SESSION, "cancel", returned, "cancelled:zone_change"),
        ):
            await self.publish(started(session))
            peer = await self.open(f"/ws/crafting/{session}?player_id={PLAYER}", token())
            await peer.receive()
            ended = envelope(f"crafting.session.{name}", {"session_id": str(session), **data}, session_id=str(RECIPE))
            self.assertEqual(await self.publish(ended), {"accepted": 1, "duplicates": 0, "rejected": []})
            message = await peer.receive()
            self.assertEqual(message["type"], "crafting_failed")
            self.assertEqual(message["progress_data"]["failure_reason"], reason)

    async def test_an_authority_whose_clock_is_ahead(self) -> None:
        """By more for the end than for the start: the player receives it all the same."""
        now = reactor.seconds()
        await self.publish({**started(), "timestamp": rfc3339(now + 4)})
        peer = await self.open(CRAFTING, token())
        await peer.receive()
        data = {"session_id": str(SESSION), "result_item_id": str(IRON), "duration_seconds": 60}
        ended = envelope("crafting.session.complete", data, timestamp=rfc3339(now + 6))
        self.assertEqual(await self.publish(ended), {"accepted": 1, "duplicates": 0, "rejected": []})
        self.assertEqual((await peer.receive())["type"], "crafting_complete")

    async def test_materials(self) -> None:
        """A shortage reaches present and later watchers, until it is solved."""
        await self.publish(started())
        early = await self.open(CRAFTING, token())
        await early.receive()
        await self.publish(
            envelope("crafting.materials.update", {"session_id": str(SESSION), "notifications": [SHORTAGE]})
        )
        self.assertEqual((await early.receive())["material_data"], SHORTAGE)
        late = await self.open(CRAFTING, token())
        self.assertEqual(
            [(await late.receive())["type"] for _ in range(2)], ["progress_update", "material_notification"]
        )
        restored = {"material_id": str(IRON), "notification_type": "material_restored"}
        await self.publish(
            envelope("crafting.materials.update", {"session_id": str(SESSION), "notifications": [restored]})
        )
        self.assertEqual((await late.receive())["material_data"], restored)

    async def test_waiting_for_a_station(self) -> None:
        """A session that only waits can be watched; when it starts, its progress follows."""
        queue_status = {
            "player_id": str(PLAYER),
            "queue_position": 2,
            "total_in_queue": 3,
            "station_type": "laboratory",
        }
        await self.publish(envelope("crafting.queue.update", queue_status, session_id=str(SESSION)))
        peer = await self.open(CRAFTING, token())
        self.assertEqual((await peer.receive())["queue_data"], queue_status)
        await self.publish(
            envelope("crafting.queue.update", {**queue_status, "queue_position": 1}, session_id=str(SESSION)), started()
        )
        self.assertEqual((await peer.receive())["queue_data"]["queue_position"], 1)
        self.assertEqual((await peer.receive())["progress_data"]["status"], "active")

    async def test_many_watchers(self) -> None:
        """Each of them hears the same."""
        await self.publish(started())
        peers = [await self.open(CRAFTING, token()) for _ in range(5)]
        for peer in peers:
            await peer.receive()
        await self.publish(
            envelope("crafting.session.pause", {"session_id": str(SESSION), "pause_reason": "technical_issue"})
        )
        self.assertEqual({(await peer.receive())["progress_data"]["status"] for peer in peers}, {"paused"})


class UdpFeedTests(LiveTestCase):
    """The same session over UDP, with the client of this package; `test_node_udp` has another."""

    async def test_life_of_a_session(self) -> None:
        """Every change reaches the peer at once; the end of the session ends the watch."""
        await self.publish(started())
        recorder = MessageTypes()
        transport = UdpTransport(steady(reactor), Address(self.url), SESSION, PLAYER, token())
        watching = Watch(reactor, SESSION, [transport], recorder, Backoff()).start()
        self.assertEqual(await recorder.received_types.get(), ("udp", "progress_update"))
        steps: list[tuple[str, dict[str, Any], str]] = [
            ("session.pause", {"pause_reason": "player_afk"}, "progress_update"),
            ("materials.update", {"notifications": [SHORTAGE]}, "material_notification"),
            ("session.fail", {"failure_reason": "timeout"}, "crafting_failed"),
        ]
        for name, data, kind in steps:
            await self.publish(envelope(f"crafting.{name}", {"session_id": str(SESSION), **data}))
            self.assertEqual(await recorder.received_types.get(), ("udp", kind))
        self.assertEqual((await watching).verdict, WatchVerdict.FAILED)


class FallingBackTests(RelayedTestCase):
    """A network that stops carrying datagrams in the middle of a craft."""

    settings = replace(LiveTestCase.settings, udp_heartbeat=1000)

    async def test_without_a_gap(self) -> None:
        """The watch continues over WebSocket from its position: it receives what it missed, and nothing twice."""
        await self.publish(started())
        recorder, address = MessageTypes(), Address(self.url)
        transports = [
            UdpTransport(steady(reactor), address, SESSION, PLAYER, token(), answer_timeout=0.2),
            WebSocketTransport(steady(reactor), address, SESSION, PLAYER, token()),
        ]
        watching = Watch(reactor, SESSION, transports, recorder, Backoff(first=0.1)).start()
        self.assertEqual(await recorder.received_types.get(), ("udp", "progress_update"))
        notice = envelope("crafting.materials.update", {"session_id": str(SESSION), "notifications": [SHORTAGE]})
        await self.publish(notice)
        self.assertEqual(await recorder.received_types.get(), ("udp", "material_notification"))
        self.relay.loses = 1
        more = {"session_id": str(SESSION), "notifications": [{**SHORTAGE, "material_id": str(COPPER)}]}
        await self.publish(envelope("crafting.materials.update", more))
        messages = [await recorder.received_types.get() for _ in range(3)]
        self.assertEqual(messages, [("ws", "queue_status"), ("ws", "material_notification"), ("ws", "progress_update")])
        self.assertIs(recorder.recovered, True)
        await self.publish(envelope("crafting.session.fail", {"session_id": str(SESSION), "failure_reason": "timeout"}))
        self.assertEqual((await watching).verdict, WatchVerdict.FAILED)


class ComingBackTests(LiveTestCase):
    """A watcher that lost its connection."""

    async def test_what_was_missed(self) -> None:
        await self.publish(started())
        peer = await self.open(CRAFTING, token())
        here = await peer.receive()
        await peer.close()
        queue_status = {"player_id": str(PLAYER), "queue_position": 2, "station_type": "laboratory"}
        await self.publish(envelope("crafting.queue.update", queue_status, session_id=str(SESSION)))
        start = Versions(session=1, materials=1)
        self.assertEqual(here["version"], start.encoded)
        for versions, recovered, types in (
            (start, True, ["queue_status", "progress_update"]),
            (Versions(session=1), False, ["progress_update", "queue_status", "progress_update"]),
        ):
            again = await self.open(f"{CRAFTING}&resume={here['epoch']}:{versions.encoded}", token())
            position, *messages = [await again.receive() for _ in range(1 + len(types))]
            self.assertEqual((position["recovered"], [message["type"] for message in messages]), (recovered, types))
            queued = Versions(session=1, queue=1, materials=1)
            self.assertEqual(messages[-1]["version"], queued.encoded)

    async def test_no_position(self) -> None:
        await self.publish(started())
        with self.assertRaises(InvalidStatus) as caught:
            await self.open(f"{CRAFTING}&resume=yesterday", token())
        self.assertEqual(caught.exception.response.status_code, 400)


class SubprotocolTests(LiveTestCase):
    """One feed, watched in every way at once."""

    async def test_each(self) -> None:
        await self.publish(started())
        peers = {name: await self.open(CRAFTING, token(), subprotocols=[name]) for name in SUPPORTED}
        for moment in ("at once", "later"):
            octets = {name: await in_thread(peer.connection.recv, timeout=10) for name, peer in peers.items()}
            text, compressed, record = (octets[name] for name in (JSON, LZ4, BINARY))
            assert isinstance(text, str) and isinstance(compressed, bytes) and isinstance(record, bytes)
            self.assertEqual(
                msgspec.json.decode(decompress_message(compressed))["type"], msgspec.json.decode(text)["type"], moment
            )
            self.assertEqual(decode_progress(record).session_id, SESSION)
            if moment == "at once":
                await self.publish(
                    envelope("crafting.session.pause", {"session_id": str(SESSION), "pause_reason": "player_afk"})
                )
                continue
            self.assertEqual(decode_progress(record).flags, ProgressFlags.PAUSED)
            self.assertEqual(msgspec.json.decode(text)["progress_data"]["status"], "paused")


class QueueFeedTests(LiveTestCase):
    """A player's queues."""

    async def test_all_stations(self) -> None:
        """The places at every station at once, then news as it comes."""
        queue_statuses = [
            {"player_id": str(PLAYER), "queue_position": 4, "estimated_wait_seconds": 90, "station_type": station}
            for station in ("laboratory", "vehicle_bay")
        ]
        await self.publish(*(envelope("crafting.queue.update", queue_status) for queue_status in queue_statuses))
        peer = await self.open(f"/ws/queue/{PLAYER}", token())
        snapshot = [await peer.receive() for _ in queue_statuses]
        self.assertEqual({message["station_type"] for message in snapshot}, {"laboratory", "vehicle_bay"})
        self.assertEqual({message["type"] for message in snapshot}, {"queue_position"})
        self.assertEqual({message["estimated_wait_time"] for message in snapshot}, {90})
        for news in ("priority_boost", "station_available"):
            await self.publish(
                envelope("crafting.queue.update", {**queue_statuses[0], "queue_position": 1, "type": news})
            )
            message = await peer.receive()
            self.assertEqual((message["type"], message["queue_position"]), (news, 1))
        again = await self.open(f"/ws/queue/{PLAYER}", token())
        self.assertEqual((await again.receive())["station_type"], "vehicle_bay")


class HealthFeedTests(LiveTestCase):
    """How the services are."""

    async def test_updates(self) -> None:
        """At once, and again at the interval."""
        peer = await self.admin_feed("/health/ws?services=crafting-network,crafting-service")
        messages = [await peer.receive() for _ in range(4)]
        self.assertEqual(
            {message["type"] for message in messages} - {"health_alert", "service_down"}, {"health_update"}
        )
        self.assertEqual(messages[0]["health"]["version"], "0.1.0")


class TlsTests(LiveTestCase):
    """The same over TLS."""

    def setUp(self) -> None:
        """With a certificate of our own."""
        pem = Path(self.mktemp())
        pem.write_bytes(self_signed("craft.example"))
        endpoint = f"ssl:0:interface=127.0.0.1:privateKey={pem}:certKey={pem}"
        self.settings = Settings(http=endpoint, udp="off")
        self.context = ssl.create_default_context(cafile=str(pem))
        super().setUp()

    async def test_wss(self) -> None:
        """A queue feed, and its end."""
        self.assertRegex(self.url, "^https://")
        peer = await self.open(f"/ws/queue/{PLAYER}", token(), ssl=self.context, server_hostname="craft.example")
        await self.service.stopService()
        with self.assertRaises(ConnectionClosed) as caught:
            await peer.receive()
        assert caught.exception.rcvd is not None
        self.assertEqual(caught.exception.rcvd.code, CloseCode.GOING_AWAY)

    async def test_close_code(self) -> None:
        """It arrives, however much the client sends meanwhile."""
        peer = await self.open(f"/ws/queue/{PLAYER}", token(), ssl=self.context, server_hostname="craft.example")
        await in_thread(peer.connection.socket.sendall, Frame(Opcode.PING, b"x").serialize(mask=True) * 1000)
        with self.assertRaises(ConnectionClosed) as caught:
            await peer.receive()
        assert caught.exception.rcvd is not None
        self.assertEqual(caught.exception.rcvd.code, CloseCode.TOO_FAST)

    async def test_no_tls(self) -> None:
        """Connections without TLS, or that end in the middle of it, are closed, and no traceback is logged."""
        hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(600)
        address = ("127.0.0.1", int(self.url.rpartition(":")[2]))

        def send(octets: bytes) -> None:
            with socket.create_connection(address, timeout=10) as connection:
                connection.sendall(octets)
                connection.shutdown(socket.SHUT_WR)
                with contextlib.suppress(ConnectionResetError):
                    while connection.recv(65536):
                        pass

        with LogWatch() as log:
            for octets in (
                b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
                hello,
                hello[:50],
                b"\x15\x03\x01\x00\x02\x02\x00",
                b"",
            ):
                await in_thread(send, octets)
        self.assertEqual(log.tracebacks, [])


class ShutdownTests(LiveTestCase):
    """The end of the service."""

    async def test_watchers_receive_1001(self) -> None:
        """The port is closed, every watcher gets 1001."""
        await self.publish(started())
        peer = await self.open(CRAFTING, token())
        await peer.receive()
        stopping = self.service.stopService()
        with self.assertRaises(ConnectionClosed) as caught:
            await peer.receive()
        assert caught.exception.rcvd is not None
        self.assertEqual(caught.exception.rcvd.code, CloseCode.GOING_AWAY)
        await stopping
        with self.assertRaises(ConnectionRefusedError):
            await self.open(CRAFTING, token())
