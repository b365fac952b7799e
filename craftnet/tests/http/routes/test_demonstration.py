"""Tests for `craftnet.http.routes.demonstration`."""

from __future__ import annotations

import re

from craftnet.contract.routes import BASE_PATHS
from craftnet.tests.support.fakes import FakeShowcase
from craftnet.tests.support.samples import OTHER_PLAYER, PLAYER, SESSION
from craftnet.tests.support.site_case import SiteTestCase, bearer


class DemonstrationTests(SiteTestCase):
    """A back end with a simulated authority."""

    def setUp(self) -> None:
        """One player of it."""
        self.showcase = FakeShowcase()
        self.showcase.sessions[PLAYER] = (SESSION,)
        super().setUp()

    def test_page(self) -> None:
        """With every file that it names, below every base path; the first page links it."""
        for base in BASE_PATHS:
            page = self.ask(f"{base}/demo/")
            self.assertEqual((page.status, page.fields["content-type"]), (200, "text/html; charset=utf-8"))
            names = re.findall(r'(?:src|href)="\./([^"]+)"', page.body.decode())
            self.assertGreater(len(names), 3)
            for name in names:
                self.assertEqual(self.ask(f"{base}/demo/{name}").status, 200, name)
            self.assertEqual(self.ask(f"{base}/demo").fields["location"], f"{base}/demo/")
        self.assertEqual(self.ask("/", fields=b"Accept: application/json\r\n").json["links"]["demo"], "/demo/")

    def test_crafts(self) -> None:
        answer = self.ask(f"/demo/players/{PLAYER}", fields=bearer("player"))
        (craft,) = answer.json["crafts"]
        self.assertEqual((craft["session_id"], craft["recipe"]), (str(SESSION), "Flare"))

    def test_jump(self) -> None:
        """The authority decides."""
        for token, player_id, jumped in (("player", PLAYER, True), ("other", OTHER_PLAYER, False)):
            answer = self.ask(f"/demo/players/{player_id}/jump", method="POST", fields=bearer(token))
            self.assertEqual((answer.status, answer.json), (200, {"jumped": jumped}))

    def test_refusals(self) -> None:
        for path, method in ((f"/demo/players/{PLAYER}", "GET"), (f"/demo/players/{PLAYER}/jump", "POST")):
            self.assertEqual(self.ask(path, method=method).status, 401)
            self.assertEqual(self.ask(path, method=method, fields=bearer("other")).status, 403)


class NoDemonstrationTests(SiteTestCase):
    """Any other back end."""

    def test_nothing(self) -> None:
        for path in ("/demo", "/demo/", f"/demo/players/{PLAYER}"):
            self.assertEqual(self.ask(path, fields=bearer("player")).status, 404)
