"""The rights that routes need: as the routes of a running server decide."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

import treq
from msgspec import json
from twisted.web.http_headers import Headers

from craftnet.access.principal import RELAY, Principal
from craftnet.access.route_rights import of_route
from craftnet.contract.routes import BasePaths
from craftnet.errors import ConfigurationError, Forbidden
from craftnet.tests.support.admin import AdminTestCase
from craftnet.tests.support.live import started, token

STRANGER = UUID(int=7)


class RouteRightsTests(AdminTestCase):
    settings = replace(AdminTestCase.settings, backend="workshop:players=3")

    async def test_every_route(self) -> None:
        """A token of another player is refused by every guarded route in the words that the table leads to."""
        response = await treq.get(f"{self.url}/openapi.json", persistent=False)
        document = await response.json()
        checked = 0
        for template, methods in document["paths"].items():
            for method, operation in methods.items():
                path = template.replace("{session_id}", str(UUID(int=1))).replace("{player_id}", str(UUID(int=2)))
                path = path.replace("{connection}", "x").replace("{node}", "x").replace("{id}", "1")
                wanted = of_route(f"{method} {path}", BasePaths())
                guarded = operation.get("security") != []
                self.assertEqual(wanted is not None, guarded, f"{method} {path}")
                if wanted is None or wanted.check is None:
                    continue
                content: dict[str, Any] = operation.get("requestBody", {}).get("content", {})
                no_body: tuple[str, dict[str, Any]] = "application/json", {}
                kind, body = next(iter(content.items()), no_body)
                response = await treq.request(
                    method,
                    self.url + path,
                    headers=Headers({"Authorization": [f"Bearer {token(STRANGER)}"], "Content-Type": [kind]}),
                    data=json.encode(body.get("example", started())) if content else None,
                    persistent=False,
                )
                answer = await response.json()
                self.assertEqual(response.code, 403, f"{method} {path}: {answer}")
                with self.assertRaises(Forbidden) as caught:
                    wanted.check(Principal(STRANGER, frozenset(), 0.0))
                self.assertEqual(answer["message"], caught.exception.message, f"{method} {path}")
                checked += 1
        self.assertGreater(checked, 15)

    def test_words(self) -> None:
        bases = BasePaths(["/crafting"])
        self.assertEqual(of_route("/nowhere", bases), None)
        self.assertIsNotNone(of_route("POST /crafting/events", bases))
        owned = of_route(f"/ws/crafting/{STRANGER}?player_id={STRANGER}", bases)
        assert owned is not None
        self.assertIsNotNone(owned.check)
        relay = of_route("/ws/relay", bases)  # of no player's client, so that no API document has it.
        assert relay is not None and relay.check is not None
        self.assertRaises(Forbidden, relay.check, Principal(STRANGER, frozenset(), 0.0))
        relay.check(Principal(None, frozenset({RELAY}), 0.0))
        for text in ("events", "POST events", "/ws/queue/5", "1 /events"):
            with self.assertRaises(ConfigurationError):
                of_route(text, bases)
