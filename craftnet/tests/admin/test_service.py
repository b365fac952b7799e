"""The admin API of a running server: what administrators see, what operators do, and who may."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar
from uuid import UUID, uuid4

from msgspec import convert
from twisted.internet import reactor
from twisted.logger import capturedLogs, formatEvent
from websockets.exceptions import ConnectionClosed

from craftnet.access.principal import ADMIN, OPERATE
from craftnet.client import Address, SharedUdpTransport, UdpConnections
from craftnet.client.core.credentials import Credentials
from craftnet.clocks import steady
from craftnet.contract.admin.operations import AdminHealth, Configuration, SecurityEventPage
from craftnet.contract.admin.overview import Overview, OverviewSeries
from craftnet.contract.admin.sessions import PlayerDetail, QueuePage, SessionDetail, SessionPage, SlowConsumers
from craftnet.contract.close_codes import CloseCode
from craftnet.tests.support.admin import AdminTestCase
from craftnet.tests.support.eventually import until
from craftnet.tests.support.live import Peer, envelope, in_thread, started, token
from craftnet.tests.support.observers import LinkRecorder
from craftnet.tests.support.samples import IRON, OTHER_PLAYER, OTHER_SESSION, PLAYER, RECIPE, SESSION

FEED = f"/ws/crafting/{SESSION}?player_id={PLAYER}"


def progress(percent: float, session_id: UUID = SESSION) -> dict[str, Any]:
    """An event that every copy needs to hear of."""
    data = {"session_id": str(session_id), "progress_percentage": percent, "status": "active"}
    return envelope("crafting.session.progress", data | {"remaining_time_seconds": 30})


class ViewTests(AdminTestCase):
    """What administrators see."""

    async def view(self, path: str, kind: type[Any]) -> Any:
        """An answer, which is as the contract has it."""
        status, answer = await self.ask("GET", path)
        self.assertEqual(status, 200, answer)
        return convert(answer, kind)

    async def watch(self) -> Peer:
        """A player's feed, its first message read."""
        peer = await self.open(FEED, token(PLAYER), user_agent_header="Game/1.2", subprotocols=["craftnet.bin.v1"])
        await in_thread(peer.connection.recv, timeout=10)
        return peer

    async def test_overview(self) -> None:
        await self.publish(started())
        await self.watch()
        overview = await self.view("/admin/overview", Overview)
        (node,) = overview.nodes
        self.assertTrue(node.answering)
        self.assertEqual(overview.total.connections["websocket"], 1)
        self.assertEqual((node.state.backend, node.state.shared), ("memory", True))
        self.assertGreater(overview.total.memory_bytes, 10_000_000)
        series = await self.view("/admin/series", OverviewSeries)
        self.assertEqual(len({len(points) for points in series.values.values()}), 1)

    async def test_sessions(self) -> None:
        await self.publish(started(), started(OTHER_SESSION, OTHER_PLAYER))
        page = await self.view("/admin/sessions?limit=1", SessionPage)
        self.assertEqual([row.session_id for row in page.sessions], [OTHER_SESSION])
        page = await self.view(f"/admin/sessions?limit=1&cursor={page.next}", SessionPage)
        self.assertEqual(([row.session_id for row in page.sessions], page.next), ([SESSION], None))
        for search in (str(SESSION), str(PLAYER)[:8], str(PLAYER)):
            page = await self.view(f"/admin/sessions?search={search}", SessionPage)
            self.assertEqual([row.session_id for row in page.sessions], [SESSION], search)
        page = await self.view(f"/admin/sessions?search={str(RECIPE)[:6]}", SessionPage)
        self.assertEqual(len(page.sessions), 2)

    async def test_session(self) -> None:
        await self.publish(started())
        changes = [{"material_id": str(IRON), "change_type": "added", "new_quantity": 5}]
        await self.publish(envelope("crafting.materials.update", {"session_id": str(SESSION), "changes": changes}))
        await self.watch()
        detail = await self.view(f"/admin/sessions/{SESSION}", SessionDetail)
        self.assertEqual(detail.session.player_id, PLAYER)
        self.assertEqual([(row.material_id, row.quantity) for row in detail.materials], [(IRON, 5)])
        (row,) = detail.watchers
        self.assertEqual(
            (row.transport, row.feed, row.encoding, row.address, row.client, row.session_id),
            ("websocket", "crafting", "craftnet.bin.v1", "127.0.0.0/24", "Game/1.2", SESSION),
        )
        self.assertIsNotNone(row.round_trip_ms)
        self.assertIsNotNone(detail.position)
        texts = [entry.text for entry in detail.history]
        self.assertEqual(texts, ["crafting.session.start: accepted", "crafting.materials.update: accepted"])

    async def test_player_and_queues(self) -> None:
        await self.publish(started())
        place = {"player_id": str(PLAYER), "queue_position": 3, "station_type": "laboratory"}
        await self.publish(envelope("crafting.queue.update", place))
        await self.watch()
        player = await self.view(f"/admin/players/{PLAYER}", PlayerDetail)
        self.assertEqual([row.session_id for row in player.sessions], [SESSION])
        self.assertEqual([row.queue_position for row in player.queue], [3])
        self.assertEqual([row.connections for row in player.tokens], [1])
        self.assertEqual([(row.client, row.transports) for row in player.devices], [("Game/1.2", ["websocket"])])
        for query, number in (("", 1), ("?station_type=laboratory", 1), ("?station_type=vehicle_bay", 0)):
            page = await self.view(f"/admin/queues{query}", QueuePage)
            self.assertEqual(len(page.entries), number, query)
        unknown = await self.view(f"/admin/players/{uuid4()}", PlayerDetail)
        self.assertEqual((unknown.sessions, unknown.connections), ([], []))

    async def test_the_rest(self) -> None:
        self.assertEqual((await self.view("/admin/slow-consumers", SlowConsumers)).connections, [])
        configured = await self.view("/admin/configuration", Configuration)
        options = {row.option: row for row in configured.options}
        self.assertEqual(options["http"].value, self.settings.http)
        self.assertTrue(options["backend"].default)
        health = await self.view("/admin/health", AdminHealth)
        self.assertEqual(len(health.nodes), 1)

    async def test_udp(self) -> None:
        """A UDP client is a watcher as others are, and its datagrams are traced, decoded."""
        await self.publish(started())
        clock = steady(reactor)
        connections = UdpConnections(clock, Address(self.url), PLAYER, Credentials(token(PLAYER)))
        link, recorder = SharedUdpTransport(connections, SESSION).link(), LinkRecorder()
        link.start(recorder)
        await until(lambda: "progress_update" in recorder.events)
        detail = await self.view(f"/admin/sessions/{SESSION}", SessionDetail)
        (row,) = detail.watchers
        self.assertEqual((row.transport, row.encoding.partition(" ")[0], row.address), ("udp", "udp", "127.0.0.0/24"))
        client = await self.administrator()
        await client.send(type="trace", id="t", session_id=str(SESSION))
        await until(lambda: self.service.udp_service is not None and self.service.udp_service.server.traced)
        await self.publish(progress(50.0))
        entry = await client.entry("t", lambda entry: entry["kind"] == "datagram" and entry["name"] == "STATE")
        self.assertEqual(entry["connection"], row.connection)
        self.assertEqual(entry["content"]["records"][0]["record"], "ProgressState")
        await client.send(type="unsubscribe", id="t")
        self.clock.advance(10)
        await until(lambda: self.service.udp_service is not None and not self.service.udp_service.server.traced)
        status, answer = await self.ask(
            "POST", f"/admin/connections/{row.connection}/disconnect", body={"reason": "a test"}
        )
        self.assertEqual((status, answer["affected"]), (200, 1))
        self.assertIn("revoked", str(await recorder.done))


class FeedTests(AdminTestCase):
    """The admin feed."""

    async def test_begins_with_everything(self) -> None:
        client = await self.administrator(OPERATE)
        kinds = [(await client.peer.receive())["type"] for _ in range(4)]
        self.assertEqual(kinds, ["hello", "series", "overview", "overview"])

    async def test_views(self) -> None:
        """A view comes at once, and again when it changes."""
        await self.publish(started())
        client = await self.administrator()
        await client.send(type="subscribe", id="s", view="sessions", limit=10)
        rows = (await client.next("view", "s"))["data"]["sessions"]
        self.assertEqual([row["session_id"] for row in rows], [str(SESSION)])
        await self.publish(started(OTHER_SESSION))
        rows = (await client.next("view", "s"))["data"]["sessions"]
        self.assertEqual(len(rows), 2)
        for view, more in (
            ("session", {"session_id": str(SESSION)}),
            ("player", {"player_id": str(PLAYER)}),
            ("queues", {}),
            ("slow-consumers", {}),
            ("security-events", {}),
            ("health", {}),
        ):
            await client.send(type="subscribe", id=view, view=view, **more)
            self.assertEqual((await client.next("view", view))["view"], view)

    async def test_trace(self) -> None:
        """Each event in, and each frame out."""
        await self.publish(started())
        player = await self.open(FEED, token(PLAYER))
        await player.receive()
        client = await self.administrator()
        await client.send(type="trace", id="t", session_id=str(SESSION))
        await until(lambda: self.hub.traced)
        await self.publish(progress(50.0))
        event = await client.entry("t", lambda entry: entry["direction"] == "in")
        self.assertEqual((event["name"], event["outcome"]), ("crafting.session.progress", "accepted"))
        self.assertEqual(event["content"]["progress_percentage"], 50.0)
        await self.publish(progress(70.0))
        frame = await client.entry("t", lambda entry: entry["kind"] == "frame")
        self.assertEqual((frame["name"], frame["encoding"]), ("progress_update", "craftnet.json.v1"))
        self.assertEqual(frame["content"][0]["progress_data"]["session_id"], str(SESSION))
        self.assertGreater(frame["bytes"], 100)
        await client.send(type="unsubscribe", id="t")
        self.clock.advance(10)
        await until(lambda: not self.hub.traced)

    @property
    def hub(self) -> Any:
        """The server's hub."""
        return self.service.feeds.subscriptions.hub

    async def test_garbage(self) -> None:
        """Is answered, and the feed goes on."""
        client = await self.administrator()
        for message in ("garbage", "{}", '{"type":"subscribe","id":"x","view":"nothing"}', "[" * 2000):
            await client.peer.send(message)
            error = await client.next("error")
            self.assertEqual(error["code"], 400)
        await client.send(type="subscribe", id="x", view="session")
        self.assertIn("session_id", (await client.next("error", "x"))["message"])
        await client.send(type="subscribe", id="x", view="session", session_id=str(uuid4()))
        self.assertEqual((await client.next("error", "x"))["code"], 404)
        await client.next("overview")

    async def test_bounds(self) -> None:
        client = await self.administrator()
        for number in range(5):
            await client.send(type="trace", id=str(number), session_id=str(uuid4()))
        self.assertEqual((await client.next("error", "4"))["code"], 429)


class ActionTests(AdminTestCase):
    """What operators do."""

    async def test_disconnect(self) -> None:
        await self.publish(started())
        player = await self.open(FEED, token(PLAYER))
        await player.receive()
        _, detail = await self.ask("GET", f"/admin/sessions/{SESSION}")
        connection = detail["watchers"][0]["connection"]
        body = {"reason": "stuck"}
        status, answer = await self.ask("POST", f"/admin/connections/{connection}/disconnect", body=body)
        self.assertEqual((status, answer["action"], answer["affected"]), (200, "disconnect", 1))
        with self.assertRaises(ConnectionClosed) as caught:
            for _ in range(10):
                await player.receive()
        assert caught.exception.rcvd is not None
        self.assertEqual(caught.exception.rcvd.code, CloseCode.DISCONNECTED)
        status, _ = await self.ask("POST", f"/admin/connections/{connection}/disconnect", body=body)
        self.assertEqual(status, 404)
        _, page = await self.ask("GET", "/admin/security-events")
        entries = convert(page, SecurityEventPage).events
        actions = [(entry.fields["action"], entry.fields["reason"], entry.fields["status"]) for entry in entries[:2]]
        self.assertEqual(actions, [("disconnect", "stuck", 404), ("disconnect", "stuck", 200)])

    async def test_revoke(self) -> None:
        await self.publish(started())
        player = await self.open(FEED, token(PLAYER))
        await player.receive()
        status, answer = await self.ask("POST", "/admin/revocations", body={"reason": "x", "player_id": str(PLAYER)})
        self.assertEqual((status, answer["affected"]), (200, 1))
        with self.assertRaises(ConnectionClosed):
            for _ in range(10):
                await player.receive()

    async def test_drain_and_reload(self) -> None:
        _, info = await self.ask("GET", "/admin")
        path = f"/admin/nodes/{info['node']}"
        status, answer = await self.ask("POST", f"{path}/reload", body={"reason": "new certificate"})
        self.assertEqual((status, list(answer["reload"])), (200, [info["node"]]))
        status, _ = await self.ask("POST", f"{path}/drain", body={"reason": "update"})
        self.assertEqual(status, 200)
        response = await self.request("GET", "/health/ready")
        self.assertEqual(response.code, 503)
        _, overview = await self.ask("GET", "/admin/overview")
        self.assertTrue(overview["nodes"][0]["draining"])
        status, answer = await self.ask("POST", "/admin/nodes/nowhere/drain", body={"reason": "update"})
        self.assertEqual((status, info["node"] in answer["message"]), (404, True))

    async def test_reload(self) -> None:
        """The answer says what changed, what needs a restart, and what is wrong, in the words of the log."""
        self.settings = replace(self.settings, origins=("https://a.example",), workers=3, auth="jwt:key=/nowhere")
        with capturedLogs() as logged:
            status, answer = await self.ask("POST", "/admin/reload", body={"reason": "new sites"})
        self.assertEqual((status, answer["action"], "unanswered" in answer), (200, "reload", False))
        [outcome] = answer["reload"].values()
        self.assertEqual((outcome["changed"], outcome["restart_needed"]), (["origin"], ["workers"]))
        self.assertIn("development tokens", outcome["failed"]["auth"])
        self.assertEqual(outcome["lines"], [formatEvent(each) for each in logged if "reload" in each["log_namespace"]])
        _, shown = await self.ask("GET", "/admin/configuration")
        values = {each["option"]: each.get("value") for each in shown["options"]}
        self.assertEqual((values["origin"], values["workers"]), ("https://a.example", "1"))  # what is in effect.
        _, recorded = await self.ask("GET", "/admin/security-events")
        found = {each["event"]: each["fields"] for each in recorded["events"]}
        self.assertEqual(found["admin.action"]["reason"], "new sites")
        fields = found["configuration.reloaded"]
        self.assertIn("the admin API of", fields["actor"])
        self.assertLessEqual(
            {"changed": "origin", "restart_needed": "workers", "failed": "auth"}.items(), fields.items()
        )

    async def test_reasons_are_required(self) -> None:
        bodies: tuple[Any, ...] = ({}, {"reason": ""}, {"reason": "x" * 201}, {"reason": 7}, [])
        for body in bodies:
            status, _ = await self.ask("POST", "/admin/connections/a.feed.b/disconnect", body=body)
            self.assertEqual(status, 400, body)
        status, _ = await self.ask("POST", "/admin/revocations", body={"reason": "x"})
        self.assertEqual(status, 400)


class AccessTests(AdminTestCase):
    """Who may see and do what."""

    PATHS = ("", "/overview", "/series", "/sessions", f"/sessions/{SESSION}", "/queues", f"/players/{PLAYER}",
             "/slow-consumers", "/security-events", "/configuration", "/health")  # fmt: skip
    ACTIONS = ("/connections/a.feed.b/disconnect", "/revocations", "/nodes/a/drain", "/nodes/a/reload", "/reload")
    BODY: ClassVar = {"reason": "x", "jti": "t"}

    async def test_scopes(self) -> None:
        """A player's token opens nothing; an administrator may not act; a 403 names the scope."""
        for path in self.PATHS:
            status, answer = await self.ask("GET", f"/admin{path}", token(PLAYER))
            self.assertEqual((status, answer["details"]), (403, {"scope": ADMIN}), path)
            status, _ = await self.ask("GET", f"/admin{path}", "garbage")
            self.assertEqual(status, 401, path)
        for path in self.ACTIONS:
            status, answer = await self.ask("POST", f"/admin{path}", token(None, ADMIN), self.BODY)
            self.assertEqual((status, answer["details"]), (403, {"scope": OPERATE}), path)
            status, answer = await self.ask("GET", f"/admin{path}")
            self.assertEqual(status, 405, path)

    async def test_parameters(self) -> None:
        for query in ("limit=0", "limit=101", "limit=x", "limit=1&limit=2", "search=xyz", "search=abc", "cursor=x"):
            status, answer = await self.ask("GET", f"/admin/sessions?{query}")
            self.assertEqual(status, 400, (query, answer))
        status, _ = await self.ask("GET", "/admin/queues?station_type=kitchen")
        self.assertEqual(status, 400)
        status, _ = await self.ask("GET", f"/admin/sessions/{uuid4()}")
        self.assertEqual(status, 404)

    async def test_documents(self) -> None:
        """OpenAPI has the routes, AsyncAPI the feed."""
        _, openapi = await self.ask("GET", "/openapi.json")
        for path in (*self.PATHS[1:4], *self.ACTIONS[1:2]):
            self.assertIn(f"/admin{path}", openapi["paths"])
        _, asyncapi = await self.ask("GET", "/asyncapi.json")
        self.assertIn("admin", asyncapi["channels"])

    async def test_no_pages_of_other_sites(self) -> None:
        headers = {"Origin": "https://evil.example", "Access-Control-Request-Method": "GET"}
        response = await self.request("OPTIONS", "/admin/overview", headers=headers)
        self.assertEqual([name for name, _ in response.headers.getAllRawHeaders() if b"Access-Control" in name], [])


class ReadOnlyTests(AdminTestCase):
    """`--dashboard read-only`"""

    settings = replace(AdminTestCase.settings, dashboard="read-only")

    async def test_refuses_every_post(self) -> None:
        for path in AccessTests.ACTIONS:
            status, answer = await self.ask("POST", f"/admin{path}", body=AccessTests.BODY)
            self.assertEqual((status, answer["details"]), (403, {"dashboard": "read-only"}), path)
        _, info = await self.ask("GET", "/admin")
        self.assertEqual((info["mode"], info["may_operate"]), ("read-only", False))


class OffTests(AdminTestCase):
    """`--dashboard off`"""

    settings = replace(AdminTestCase.settings, dashboard="off")

    async def test_nothing_is_there(self) -> None:
        for path in ("/admin", "/admin/overview", "/ws/admin"):
            status, _ = await self.ask("GET", path)
            self.assertEqual(status, 404, path)
        with self.assertRaises(Exception) as caught:
            await self.administrator()
        self.assertIn("404", str(caught.exception))


class OwnPortTests(AdminTestCase):
    """`--dashboard-http`"""

    settings = replace(AdminTestCase.settings, dashboard_http="tcp:0:interface=127.0.0.1")

    async def test_ports_are_apart(self) -> None:
        status, _ = await self.ask("GET", "/admin")
        self.assertEqual(status, 404)
        assert self.service.admin_listener is not None
        self.url = self.service.admin_listener.url
        self.ws_url = self.url.replace("http", "ws", 1)
        status, _ = await self.ask("GET", "/admin/overview")
        self.assertEqual(status, 200)
        client = await self.administrator()
        await client.next("overview")
        response = await self.request("GET", "/metrics")
        self.assertEqual(response.code, 404)
        with self.assertRaises(Exception) as caught:
            await self.open(FEED, token(PLAYER))
        self.assertIn("404", str(caught.exception))
