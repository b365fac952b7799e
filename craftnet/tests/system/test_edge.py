"""An edge and its core, each a process of its own, as operators run them."""

from __future__ import annotations

import subprocess
from uuid import UUID, uuid4

import msgspec
from twisted.trial.unittest import SynchronousTestCase
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from craftnet.access.principal import ADMIN, OPERATE, PUBLISH, RELAY
from craftnet.contract.close_codes import CloseCode
from craftnet.protocols.wire.codec import encode_materials, encode_progress
from craftnet.protocols.wire.records import MaterialsRecord, ProgressRecord
from craftnet.providers.upstream.backend import TOKEN_VARIABLE
from craftnet.tests.support.eventually import wait_for
from craftnet.tests.support.live import envelope, started, token
from craftnet.tests.support.processes import SCRIPTS, environment
from craftnet.tests.support.samples import IRON, PLAYER
from craftnet.tests.support.servers import Server, position, read, read_to, shortage


class EdgeTests(SynchronousTestCase):
    """One pair of processes for everything that leaves both running: starting them takes longer than all of it."""

    def setUp(self) -> None:
        self.core = Server("--udp", "off")
        upstream = f"upstream:url={self.core.url}:linger=0:lost_after=60"
        more = {TOKEN_VARIABLE: token(None, RELAY)}
        self.edge = Server("--backend", upstream, "--udp", "127.0.0.1:0", "--health-interval", "0.5", **more)
        for server in (self.core, self.edge):
            self.addCleanup(server.close)
        core, edge = self.core.begin(), self.edge.begin()
        core.read_until("HTTP and WebSocket: ")
        edge.read_until("following the core")
        self.running = edge

    def test_both_run(self) -> None:
        for check in (
            *(
                self.check_watch,
                self.check_udp,
                self.check_moves,
                self.check_player,
                self.check_access,
                self.check_events,
            ),
            *(self.check_reports, self.check_one_feed, self.check_revocation, self.check_admin, self.check_drain),
        ):
            with self.subTest(check.__name__):
                check()

    def start(self, player_id: UUID = PLAYER) -> UUID:
        """A session that has started in the core."""
        session_id = uuid4()
        self.core.post(started(session_id, player_id))
        return session_id

    def check_watch(self) -> None:
        session_id = self.start()
        watcher = self.edge.watch(session_id)
        self.assertEqual(read(watcher)["progress_data"]["session_id"], str(session_id))
        self.core.post(
            envelope("crafting.session.complete", {"session_id": str(session_id), "result_item_id": str(IRON)})
        )
        self.assertEqual(read_to(watcher, type="crafting_complete")[-1]["progress_data"]["progress_percentage"], 100)
        watcher.close()

    def check_udp(self) -> None:
        session_id = self.start()
        command = [
            "watch",
            "--url",
            self.edge.url,
            "--player",
            str(PLAYER),
            "--transport",
            "udp",
            "--json",
            str(session_id),
        ]
        watching = subprocess.Popen(
            [SCRIPTS / "craftnet", *command],
            stdout=subprocess.PIPE,
            text=True,
            env=environment(CRAFTNET_TOKEN=token()),
        )
        self.addCleanup(watching.wait)
        self.addCleanup(watching.kill)
        assert watching.stdout is not None
        self.addCleanup(watching.stdout.close)
        first = msgspec.json.decode(watching.stdout.readline())
        self.assertEqual((first["session_id"], first["transport"]), (str(session_id), "udp"))
        connected = ("transport", "udp")
        self.assertEqual(self.edge.metrics("craftnet_connections")[connected,], 1)
        self.core.post(envelope("crafting.session.fail", {"session_id": str(session_id), "failure_reason": "timeout"}))
        self.assertIn("crafting_failed", watching.stdout.read())

    def check_moves(self) -> None:
        """core → edge → core: the watcher receives what it missed, and nothing else."""
        session_id = self.start()
        watcher = self.core.watch(session_id)
        at = read(watcher)
        for number, server in enumerate((self.edge, self.core, self.edge), 1):
            watcher.close()
            self.core.post(shortage(session_id, number))
            watcher = server.watch(session_id, position(at))
            back, *_, at = read_to(watcher, type="material_notification")
            self.assertEqual(back["recovered"], True, (number, back, at))
            self.assertEqual(at["material_data"]["available_quantity"], number)
        watcher.close()

    def check_player(self) -> None:
        """Everything of a player: places in queues, and sessions as they start."""
        player_id = uuid4()
        headers = {"Authorization": f"Bearer {token(player_id)}"}
        websocket = self.edge.url.replace("http", "ws", 1)
        place = {"player_id": str(player_id), "queue_position": 3, "station_type": "laboratory"}
        self.core.post(envelope("crafting.queue.update", {"type": "queue_position", **place}))
        with (
            connect(f"{websocket}/ws/queue/{player_id}", additional_headers=headers) as queue,
            connect(f"{websocket}/ws/player/{player_id}", additional_headers=headers) as everything,
        ):
            for watcher in (queue, everything):
                self.assertEqual(read(watcher)["queue_position"], 3)
            session_id = self.start(player_id)
            self.assertEqual(read_to(everything, type="progress_update")[-1]["session_id"], str(session_id))
            self.core.post(envelope("crafting.queue.update", {"type": "queue_position", **place, "queue_position": 2}))
            for watcher in (queue, everything):
                self.assertEqual(read_to(watcher, type="queue_position")[-1]["queue_position"], 2)

    def check_access(self) -> None:
        """Who may watch what is decided as in the core."""
        session_id, other = self.start(), uuid4()
        for server in (self.core, self.edge):
            for owner in (PLAYER, other):
                url = f"{server.url.replace('http', 'ws', 1)}/ws/crafting/{session_id}?player_id={owner}"
                headers = {"Authorization": f"Bearer {token(other)}"}
                error = self.assertRaises(InvalidStatus, connect, url, additional_headers=headers)
                self.assertEqual(error.response.status_code, 403)
            error = self.assertRaises(InvalidStatus, server.watch, uuid4())
            self.assertEqual(error.response.status_code, 404)
            status, _ = server.ask(f"/ws/crafting/{session_id}?player_id={PLAYER}", token(other))
            self.assertEqual(status, 403)
            body = {"player_id": str(PLAYER), "client_version": "1.0.0"}
            status, _ = self.edge.ask(f"/udp/sessions/{session_id}/connect", token(other), body)
            self.assertEqual(status, 403)
        error = self.assertRaises(
            InvalidStatus,
            connect,
            f"{self.core.url.replace('http', 'ws', 1)}/ws/relay",
            additional_headers={"Authorization": f"Bearer {token(None, ADMIN, PUBLISH)}"},
        )
        self.assertEqual(error.response.status_code, 403)

    def check_events(self) -> None:
        status, answer = self.edge.ask("/events", token(None, PUBLISH), [started(uuid4())])
        self.assertEqual(status, 421)
        self.assertIn(f"{self.core.url}/events", answer["message"])

    def check_reports(self) -> None:
        """A player's report is compared with the core's state; an authority's is refused with the core's address."""
        session_id = self.start()
        progress = encode_progress(ProgressRecord(1, 0, session_id, 0.0))
        materials = encode_materials(MaterialsRecord(1, 0, session_id))
        for what, body in (("progress", progress), ("materials", materials)):
            path = f"/udp/sessions/{session_id}/{what}"
            status, answer = self.edge.ask(path, token(), body)
            self.assertEqual((status, answer["agreed"]), (200, True))
            status, _ = self.edge.ask(path, token(uuid4()), body)
            self.assertEqual(status, 403)
            status, answer = self.edge.ask(path, token(None, PUBLISH), body)
            self.assertEqual(status, 421)
            self.assertIn(self.core.url, answer["message"])

    def check_admin(self) -> None:
        """An edge shows what it follows where, and names the core for what only the core can do."""
        session_id, operator = self.start(), token(None, ADMIN, OPERATE)
        with self.edge.watch(session_id) as watcher:
            read(watcher)
            (node,) = self.edge.ask("/admin/overview", operator)[1]["nodes"]
            state = node["state"]
            self.assertEqual((state["backend"], state["core"]), ("upstream", self.core.url))
            self.assertGreaterEqual(state["followed"]["session"], 1)
            _, detail = self.edge.ask(f"/admin/sessions/{session_id}", operator)
            self.assertEqual([row["transport"] for row in detail["watchers"]], ["websocket"])
            for path in ("/admin/sessions", "/admin/queues"):
                status, answer = self.edge.ask(path, operator)
                self.assertEqual(status, 404)
                self.assertIn(f"lists are at {self.core.url}/admin", answer["message"])
            body = {"player_id": str(uuid4()), "reason": "tests"}
            status, answer = self.edge.ask("/admin/revocations", operator, body)
            self.assertEqual(status, 503)
            self.assertIn(f"post the revocation to {self.core.url}/revocations", answer["message"])
        self.assertNotIn("core", self.core.ask("/admin/overview", operator)[1]["nodes"][0]["state"])

    def check_drain(self) -> None:
        """Watchers of an edge that stops learn when to return, and its connection to the core ends."""
        with self.edge.watch(self.start()) as watcher:
            read(watcher)
            self.assertEqual(self.running.finish(), 0)
            self.assertRaises(ConnectionClosed, read_to, watcher, type="never")
        self.assertEqual(watcher.close_code, CloseCode.GOING_AWAY)
        self.assertIn("retry in", watcher.close_reason or "")
        connected = ("transport", "websocket")
        wait_for(lambda: self.core.metrics("craftnet_connections")[connected,] == 0)

    def check_one_feed(self) -> None:
        """Ten watchers of a session are one to the core, which forgets the session when they have left."""
        session_id = self.start()
        watchers = [self.edge.watch(session_id) for _ in range(10)]
        for watcher in watchers:
            read(watcher)
        subject = (("subject", "session"),)
        wait_for(lambda: self.edge.metrics("craftnet_upstream_feeds").get(subject) == 1)
        self.assertEqual(self.core.metrics("craftnet_watchers")[("feed", "crafting"),], 1)
        self.assertEqual(self.core.metrics("craftnet_connections")[("transport", "websocket"),], 1)
        for watcher in watchers:
            watcher.close()
        wait_for(lambda: self.edge.metrics("craftnet_upstream_feeds")[subject] == 0)

    def check_revocation(self) -> None:
        """One in the core closes the watchers of the edge."""
        player_id = uuid4()
        session_id = self.start(player_id)
        watcher = self.edge.watch(session_id, player_id=player_id)
        read(watcher)
        status, _ = self.core.ask("/revocations", token(None, ADMIN), {"player_id": str(player_id)})
        self.assertEqual(status, 200)
        with watcher:
            self.assertRaises(ConnectionClosed, read_to, watcher, type="never")
        self.assertEqual(watcher.close_code, CloseCode.TOKEN_REVOKED)
        status, answer = self.edge.ask("/revocations", token(None, ADMIN), {"player_id": str(uuid4())})
        self.assertEqual(status, 503)
        self.assertIn(f"{self.core.url}/revocations", answer["message"])

    def test_core_restarts(self) -> None:
        """Watchers stay, and receive the state when the core has it again."""
        session_id = self.start()
        watcher = self.edge.watch(session_id)
        before = read(watcher)
        self.core.stop()
        wait_for(lambda: self.health() == "degraded")
        error = self.assertRaises(InvalidStatus, self.edge.watch, session_id)
        self.assertEqual(error.response.status_code, 503)
        self.assertEqual(self.edge.ask("/ready")[0], 200)
        self.core.begin().read_until("HTTP and WebSocket: ")
        self.core.post(started(session_id))
        self.core.post(
            envelope("crafting.session.pause", {"session_id": str(session_id), "pause_reason": "player_afk"})
        )
        wait_for(lambda: self.health() == "ok")
        after = next(message for message in iter(lambda: read(watcher), None) if message["epoch"] != before["epoch"])
        self.assertEqual(after["type"], "progress_update")
        with watcher, self.edge.watch(session_id) as other:
            self.assertEqual(read(other)["progress_data"]["status"], "paused")

    def health(self) -> str:
        """What the edge says of its core."""
        _, answer = self.edge.ask("/health")
        return str(answer["checks"]["upstream"]["status"])
