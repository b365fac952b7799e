"""An edge and its core, each a process of its own, as operators run them."""

from __future__ import annotations

import subprocess
import urllib.error
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import msgspec
from twisted.trial.unittest import SynchronousTestCase
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from craftnet.access.development import SECRET_VARIABLE
from craftnet.access.principal import ADMIN, PUBLISH, RELAY
from craftnet.contract.close_codes import CloseCode
from craftnet.forecast.model import CraftSample, ForecastModel, Kind, Phase
from craftnet.forecast.state_file import encode_state
from craftnet.providers.upstream.backend import TOKEN_VARIABLE
from craftnet.tests.support.eventually import wait_for
from craftnet.tests.support.live import SECRET, envelope, started, token
from craftnet.tests.support.live_metrics import samples
from craftnet.tests.support.ports import ReservedPort
from craftnet.tests.support.processes import PROCESS_TIMEOUT, SCRIPTS, Running, environment, running
from craftnet.tests.support.samples import IRON, PLAYER, RECIPE

Message = dict[str, Any]


def half_as_long_again() -> bytes:
    """A file of what was learned: crafts take half as long again as the authority says."""
    model = ForecastModel()
    for _ in range(100):
        model.learn(CraftSample(Phase.START, Kind(RECIPE), 60.0, 90.0))
    return encode_state(model.summary())


class Server:
    """A server that is started and stopped on one port."""

    def __init__(self, *options: str, **more: str) -> None:
        self._port = ReservedPort()
        self.url = f"http://127.0.0.1:{self._port.number}"
        self._options = ("--http", f"tcp:{self._port.number}:interface=127.0.0.1", *options)
        self._environment = {SECRET_VARIABLE: SECRET, **more}
        self._started = ExitStack()

    def begin(self) -> Running:
        """Start it."""
        return self._started.enter_context(running(*self._options, **self._environment))

    def stop(self) -> None:
        """Kill it: no watcher gets a close code."""
        self._started.close()

    def close(self) -> None:
        """Stop it, and give its port back."""
        self.stop()
        self._port.close()

    def ask(self, path: str, bearer: str = "", body: object = None) -> tuple[int, Any]:
        """The status and the JSON of an answer."""
        request = urllib.request.Request(self.url + path)
        if bearer:
            request.add_header("Authorization", f"Bearer {bearer}")
        if body is not None:
            request.data = msgspec.json.encode(body)
            request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=PROCESS_TIMEOUT) as answer:
                return answer.status, msgspec.json.decode(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, msgspec.json.decode(error.read())

    def post(self, *events: Message) -> None:
        """The authority posts events."""
        status, answer = self.ask("/events", token(None, PUBLISH), list(events))
        if status != 202 or answer["rejected"]:
            raise AssertionError(answer)

    def metrics(self, name: str) -> dict[tuple[tuple[str, str], ...], float]:
        """The samples of a metric."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=PROCESS_TIMEOUT) as answer:
            return samples(answer.read().decode(), name)

    def watch(self, session_id: UUID, resume: str = "", player_id: UUID = PLAYER) -> ClientConnection:
        """A watcher over WebSocket."""
        more = f"&resume={resume}" if resume else ""
        url = f"{self.url.replace('http', 'ws', 1)}/ws/crafting/{session_id}?player_id={player_id}{more}"
        return connect(url, additional_headers={"Authorization": f"Bearer {token(player_id)}"})


def read(watcher: ClientConnection) -> Message:
    """The next message."""
    message: Message = msgspec.json.decode(watcher.recv(PROCESS_TIMEOUT))
    return message


def read_to(watcher: ClientConnection, **wanted: object) -> list[Message]:
    """The messages up to the first one with these values."""
    messages = [read(watcher)]
    while any(messages[-1].get(name) != value for name, value in wanted.items()):
        messages.append(read(watcher))
    return messages


def position(message: Message) -> str:
    """Where a watcher is."""
    return f"{message['epoch']}:{message['version']}"


def shortage(session_id: UUID, available: int) -> Message:
    """Too little of a material."""
    problem = {
        "material_id": str(IRON),
        "notification_type": "insufficient_quantity",
        "required_quantity": 10,
        "available_quantity": available,
    }
    data = {"session_id": str(session_id), "notifications": [problem]}
    return envelope("crafting.materials.update", data)


class EdgeTests(SynchronousTestCase):
    """One pair of processes for everything that leaves both running: starting them takes longer than all of it."""

    def setUp(self) -> None:
        learned = Path(self.mktemp()).absolute()
        learned.write_bytes(half_as_long_again())
        self.core = Server("--udp", "off", "--devices", "--learn-progress", str(learned))
        upstream = f"upstream:url={self.core.url}:linger=0:lost_after=60"
        options = ("--udp", "127.0.0.1:0", "--health-interval", "0.5", "--devices", "--learn-progress", "shared")
        self.edge = Server("--backend", upstream, *options, **{TOKEN_VARIABLE: token(None, RELAY)})
        for server in (self.core, self.edge):
            self.addCleanup(server.close)
        core, edge = self.core.begin(), self.edge.begin()
        core.read_until("HTTP and WebSocket: ")
        edge.read_until("following the core")

    def test_both_run(self) -> None:
        for check in (
            *(self.check_watch, self.check_udp, self.check_moves, self.check_player, self.check_devices),
            *(self.check_forecasts, self.check_access, self.check_events, self.check_one_feed, self.check_revocation),
            self.check_all_sessions,  # last: its connection stays for a while.
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

    def check_devices(self) -> None:
        """A phone at the core and a computer at the edge see each other, and share what was dismissed."""
        player_id = uuid4()
        headers = {"Authorization": f"Bearer {token(player_id)}"}

        def device(server: Server, name: str) -> ClientConnection:
            url = f"{server.url.replace('http', 'ws', 1)}/ws/queue/{player_id}?device={name}"
            return connect(url, additional_headers=headers)

        with device(self.core, "phone") as phone, device(self.edge, "desk") as desk:
            for each in (phone, desk):
                shown = next(message for message in iter(lambda: read(each), None) if len(message["devices"]) == 2)  # noqa: B023 - called at once.
                self.assertEqual(
                    {one["name"]: one["online"] for one in shown["devices"]}, {"phone": True, "desk": True}
                )
            place = {"player_id": str(player_id), "queue_position": 3, "station_type": "laboratory"}
            self.core.post(envelope("crafting.queue.update", {"type": "queue_position", **place}))
            queued = read(desk)
            at = {"epoch": queued["epoch"], "version": queued["version"]}
            self.assertEqual(read(phone)["version"], queued["version"])
            desk.send(msgspec.json.encode({"type": "dismissed", **at}).decode())
            for each in (phone, desk):
                moved = read(each)
                self.assertEqual((moved["device"], moved["cursor"]["dismissed"]), ("desk", queued["version"]))
        self.assertEqual(self.edge.metrics("craftnet_devices"), {(): 0})

    def check_all_sessions(self) -> None:
        """Over UDP, the sessions of a player join one connection to the edge as they start."""
        player_id = uuid4()
        first = self.start(player_id)
        command = ["watch", "--url", self.edge.url, "--player", str(player_id), "--transport", "udp", "--json"]
        watching = subprocess.Popen(
            [SCRIPTS / "craftnet", *command],
            stdout=subprocess.PIPE,
            text=True,
            env=environment(CRAFTNET_TOKEN=token(player_id)),
        )
        self.addCleanup(watching.wait)
        self.addCleanup(watching.kill)
        assert watching.stdout is not None
        self.addCleanup(watching.stdout.close)
        lines = map(msgspec.json.decode, watching.stdout)
        self.assertEqual(next(line["session_id"] for line in lines if line.get("transport") == "udp"), str(first))
        self.core.post(envelope("crafting.session.complete", {"session_id": str(first), "result_item_id": str(IRON)}))
        second = self.start(player_id)
        joined = next(line for line in lines if line.get("session_id") == str(second))
        self.assertEqual(joined["transport"], "udp")
        self.assertEqual(self.edge.metrics("craftnet_connections")[("transport", "udp"),], 1)

    def check_forecasts(self) -> None:
        """Watchers of the edge receive what the core has learned."""
        session_id = self.start()
        for server in (self.core, self.edge):
            watcher = server.watch(session_id)
            data = read(watcher)["progress_data"]
            self.assertAlmostEqual(data["expected_seconds_p50"] / data["remaining_time_seconds"], 1.5, delta=0.1)
            watcher.close()

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
