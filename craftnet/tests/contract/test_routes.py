"""The targets of WebSocket routes."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from craftnet.contract.messages import Service
from craftnet.contract.position import Position
from craftnet.contract.routes import (
    BASE_PATHS,
    BasePaths,
    CraftingTarget,
    HealthTarget,
    PlayerTarget,
    Query,
    QueueTarget,
    Target,
    find_feed,
)
from craftnet.errors import BadRequest, ConfigurationError, NotFound
from craftnet.tests.support.samples import PLAYER, SESSION

BASES = BasePaths(["/crafting", "/ws/"])

ME = {"player_id": [str(PLAYER)]}


def parse_target(path: str, query: Query) -> Target:
    """The target of a request."""
    return find_feed(path, BASES)(query)


class BasePathTests(SynchronousTestCase):
    def test_readings(self) -> None:
        """A base path may be the beginning of a route, too."""
        bases = BasePaths(["/ws", "/a/b"])
        for path, readings in (
            ("/ws/queue/x", [("ws", "queue", "x"), ("queue", "x")]),
            ("/ws/ws/queue/x", [("ws", "ws", "queue", "x"), ("ws", "queue", "x")]),
            ("/a/b/health", [("a", "b", "health"), ("health",)]),
            ("/a/bhealth", [("a", "bhealth")]),
            ("/v1/crafting-network/ready", [("v1", "crafting-network", "ready"), ("ready",)]),
        ):
            self.assertEqual(list(bases.readings(tuple(path.split("/")[1:]))), readings)

    def test_what_is_no_base_path(self) -> None:
        for text in (
            "",
            "/",
            "crafting",
            "//",
            "/a//b",
            "/a/..",
            "/.",
            "/a b",
            "/a?b",
            "/%61",
            "/ä",
            "https://x/a",
            "/a\n",
        ):
            self.assertRaisesRegex(ConfigurationError, "^--prefix ", BasePaths, [text])


class TargetTests(SynchronousTestCase):
    def test_crafting(self) -> None:
        for prefix in (*BASE_PATHS, "/crafting", "/ws"):
            target = parse_target(f"{prefix}/ws/crafting/{SESSION}", ME)
            self.assertEqual(target, CraftingTarget(SESSION, PLAYER))

    def test_queue(self) -> None:
        for prefix in (*BASE_PATHS, "/crafting", "/ws"):
            self.assertEqual(parse_target(f"{prefix}/ws/queue/{PLAYER}", {}), QueueTarget(PLAYER))

    def test_health(self) -> None:
        for prefix in (*BASE_PATHS, "/crafting", "/ws"):
            target = parse_target(f"{prefix}/health/ws", {})
            self.assertEqual(target, HealthTarget(frozenset(Service)))

    def test_services(self) -> None:
        both = HealthTarget(frozenset({Service.CRAFTING_SERVICE, Service.REAL_TIME_COMBAT}))
        for values in (["crafting-service,real-time-combat"], ["crafting-service", "real-time-combat"]):
            self.assertEqual(parse_target("/health/ws", {"services": values}), both)

    def test_no_services_named(self) -> None:
        self.assertEqual(parse_target("/health/ws", {"services": [""]}), parse_target("/health/ws", {}))

    def test_unknown_service(self) -> None:
        for values in ([","], ["crafting-network,"], ["crafting-network", ""], ["Crafting-Network"]):
            self.assertRaises(BadRequest, parse_target, "/health/ws", {"services": values})
        error = self.assertRaises(BadRequest, parse_target, "/health/ws", {"services": ["crafting-network,mail"]})
        for service in Service:
            self.assertIn(service.value, error.message)

    def test_ids_that_are_none(self) -> None:
        for text in ("", "x", str(SESSION)[:-1], SESSION.hex, f"{{{SESSION}}}"):
            self.assertRaises(BadRequest, parse_target, f"/ws/crafting/{text}", ME)
            self.assertRaises(BadRequest, parse_target, f"/ws/queue/{text}", {})
            self.assertRaises(BadRequest, parse_target, f"/ws/crafting/{SESSION}", {"player_id": [text]})

    def test_player_exactly_once(self) -> None:
        queries: list[dict[str, list[str]]] = [{}, {"player_id": []}, {"player_id": [str(PLAYER)] * 2}]
        for query in queries:
            error = self.assertRaises(BadRequest, parse_target, f"/ws/crafting/{SESSION}", query)
            self.assertIn("player_id", error.message)

    def test_coming_back(self) -> None:
        """To any feed but that of the services' health, which has no positions."""
        resume = {"resume": ["6c0ffee:42"]}
        position = Position("6c0ffee", 42)
        self.assertEqual(
            parse_target(f"/ws/crafting/{SESSION}", {**ME, **resume}), CraftingTarget(SESSION, PLAYER, position)
        )
        self.assertEqual(parse_target(f"/ws/queue/{PLAYER}", resume), QueueTarget(PLAYER, position))
        for values in ([], ["x"], ["a:1", "a:1"]):
            self.assertRaises(BadRequest, parse_target, f"/ws/queue/{PLAYER}", {"resume": values})

    def test_expected(self) -> None:
        expected = {**ME, "expected": ["1"]}
        crafting = CraftingTarget(SESSION, PLAYER, expected=True)
        self.assertEqual(parse_target(f"/ws/crafting/{SESSION}", expected), crafting)
        self.assertEqual(parse_target(f"/ws/player/{PLAYER}", expected), PlayerTarget(PLAYER, expected=True))
        for values in ([], [""], ["0"], ["true"], ["1", "1"]):
            for path in (f"/ws/crafting/{SESSION}", f"/ws/player/{PLAYER}"):
                error = self.assertRaises(BadRequest, parse_target, path, {**ME, "expected": values})
                self.assertIn("expected", error.message)

    def test_heartbeat(self) -> None:
        """In every feed."""
        for text, seconds in (("5", 5), ("25", 25), ("300", 300)):
            query = {"heartbeat": [text]}
            crafting = parse_target(f"/ws/crafting/{SESSION}", {**ME, **query})
            self.assertEqual(crafting, CraftingTarget(SESSION, PLAYER, heartbeat=seconds))
            self.assertEqual(parse_target(f"/ws/queue/{PLAYER}", query), QueueTarget(PLAYER, heartbeat=seconds))
            self.assertEqual(parse_target("/health/ws", query), HealthTarget(frozenset(Service), seconds))
        for values in ([], [""], ["4"], ["301"], ["25", "25"], ["25.0"], ["-25"], ["1e1"], ["٢٥"], [" 25"], ["25\n"]):
            for path in (f"/ws/crafting/{SESSION}", f"/ws/queue/{PLAYER}", "/health/ws"):
                error = self.assertRaises(BadRequest, parse_target, path, {**ME, "heartbeat": values})
                self.assertIn("heartbeat", error.message)

    def test_device(self) -> None:
        """In the feeds of a player, whether or not the server has devices."""
        for path, kind in ((f"/ws/queue/{PLAYER}", QueueTarget), (f"/ws/player/{PLAYER}", PlayerTarget)):
            self.assertEqual(parse_target(path, {"device": ["phone"]}), kind(PLAYER, device="phone"))
            self.assertEqual(parse_target(path, {"device": ["Cafe\u0301"]}), kind(PLAYER, device="Caf\u00e9"))
            for values in ([], [""], ["x" * 33], ["a\n"], [" a"], ["a", "b"]):
                error = self.assertRaises(BadRequest, parse_target, path, {"device": values})
                self.assertIn("device", error.message)

    def test_other_paths(self) -> None:
        paths = (
            "",
            "/",
            "ws/queue",
            "/ws",
            f"/ws/queue/{PLAYER}/",
            f"/ws/queue/{PLAYER}/x",
            f"//ws/queue/{PLAYER}",
            f"/WS/queue/{PLAYER}",
            "/health",
            "/health/ws/",
            f"{BASE_PATHS[1]}ws/queue/{PLAYER}",
            f"{BASE_PATHS[1]}{BASE_PATHS[1]}/health/ws",
            f"/api/v1/ws/queue/{PLAYER}",
        )
        for path in paths:
            self.assertRaises(NotFound, parse_target, path, ME)

    @settings(deadline=None, derandomize=True, max_examples=200)
    @given(
        st.text(max_size=20)
        | st.lists(st.sampled_from(["", "ws", "crafting", "queue", "health", str(SESSION)])).map("/".join),
        st.dictionaries(
            st.sampled_from(["player_id", "services", "resume", "heartbeat"]),
            st.lists(st.text(max_size=40), max_size=3),
        ),
    )
    def test_anything(self, path: str, query: dict[str, list[str]]) -> None:
        """A target or a refusal."""
        try:
            parse_target(path, query)
        except (BadRequest, NotFound):
            return
