"""Tests for `craftnet.observe.audit.command`: what operators type, and what they read."""

from __future__ import annotations

import argparse
import json
from io import StringIO
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from craftnet.client.arguments import parser
from craftnet.errors import ConfigurationError
from craftnet.observe.audit.command import run
from craftnet.observe.audit.events import SecurityEvent, SecurityEventType
from craftnet.observe.audit.keys import SECRET_VARIABLE
from craftnet.tests.support.audit_lines import KEY, audit_file, denied
from craftnet.tests.support.samples import NOW, OTHER_PLAYER, PLAYER

ENVIRON = {SECRET_VARIABLE: KEY.secret.hex()}


class CommandTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        log = audit_file(self.folder)
        log.open()
        log.write([denied(number) for number in range(3)])
        log.rotate()
        log.write(
            [
                SecurityEvent(
                    type=SecurityEventType.ADMIN, time=NOW + 60, actor="operator", reason="maintenance",
                    details={"action": "drain"},
                )
            ]
        )  # fmt: skip
        self.head = str(log.head)
        log.close()
        self.files = [str(name) for name in sorted(self.folder.glob("*.jsonl"))]

    def arguments(self, *words: str) -> argparse.Namespace:
        return parser().parse_args(["audit", *words])

    def craftnet(self, *words: str) -> tuple[int, list[str]]:
        """The exit code and the lines of `craftnet audit`."""
        out = StringIO()
        return run(self.arguments(*words), ENVIRON, out), out.getvalue().splitlines()

    def shown(self, *words: str) -> list[str]:
        code, lines = self.craftnet("show", *words, *self.files)
        self.assertEqual(code, 0)
        return lines

    def test_verify(self) -> None:
        for files in (self.files, self.files[::-1]):
            code, lines = self.craftnet("verify", *files)
            self.assertEqual((code, lines[1:]), (0, ["intact", "without --heads, a cut-off end cannot be found"]))
            self.assertRegex(lines[0], r"^chain w0-[0-9a-f]{16}: entries 1 to 7, 7 of them read$")

    def test_tampered(self) -> None:
        """The exit code says so, and the output which line, and why."""
        path = Path(self.files[0])
        path.write_bytes(path.read_bytes().replace(b"number 1", b"number 2"))
        code, lines = self.craftnet("verify", *self.files)
        self.assertEqual(code, 1)
        self.assertEqual(lines[0], f"PROBLEM: {path}:2: entry 2 was changed, or sealed with another key")
        self.assertIn("NOT INTACT: 1 problem", lines)

    def test_cut_end(self) -> None:
        log = self.folder / "craftnet.log"
        log.write_text(f"2026-01-15T10:30:00+0000 [craftnet.observe.audit.service.AuditLog#info] {self.head}\n")
        self.assertEqual(self.craftnet("verify", "--heads", str(log), *self.files)[0], 0)
        self.assertEqual(self.craftnet("verify", "--heads", str(log), self.files[0])[0], 1)

    def test_keys(self) -> None:
        """Made, used, and refused with a text that says what to do."""
        path = str(self.folder / "key")
        code, (line,) = self.craftnet("create-key", path)
        self.assertEqual(code, 0)
        self.assertRegex(line, f"^{path}: key [0-9a-f]{{16}}$")
        code, lines = self.craftnet("verify", "--key", path, *self.files)
        self.assertEqual((code, lines[-2]), (1, "NOT INTACT: 7 problems"))
        with self.assertRaisesRegex(ConfigurationError, f"needs a key: --key FILE, or {SECRET_VARIABLE}"):
            run(self.arguments("verify", *self.files), {}, StringIO())

    def test_missing_file(self) -> None:
        with self.assertRaisesRegex(ConfigurationError, "cannot read none.jsonl: No such file"):
            self.craftnet("verify", "none.jsonl")

    def test_show(self) -> None:
        self.assertEqual(len(self.shown()), 7)
        (row,) = self.shown("--event", "admin.action")
        self.assertEqual(row, '2027-01-15T08:01:00.000Z admin.action actor=operator action=drain "maintenance"')
        self.assertEqual(len(self.shown("--event", "access.*", "--since", "2027-01-15T09:00:01+01:00")), 2)
        self.assertEqual(len(self.shown("--event", "access.*", "--until", "2027-01-15T08:00:01Z")), 1)
        (line,) = self.shown("--json", "--event", "admin.action")
        self.assertEqual(json.loads(line)["reason"], "maintenance")
        for text in ("yesterday", "2027-01-15T08:00:01"):
            with self.assertRaises(SystemExit):
                self.patch(argparse.ArgumentParser, "_print_message", lambda *_: None)
                self.arguments("show", "--since", text, "log")

    def test_erased_player(self) -> None:
        """A player's entries are found by the key alone; without it they stay, and the log is intact."""
        players = ["--players", str(self.folder / "players")]
        self.assertEqual(len(self.shown("--player", str(PLAYER), *players)), 3)
        self.assertNotIn(str(PLAYER), "".join(self.shown("--json")))
        with self.assertRaisesRegex(ConfigurationError, "has no key"):
            self.shown("--player", str(OTHER_PLAYER), *players)
        erase = ("erase", "--player", str(PLAYER), *players)
        self.assertEqual(self.craftnet(*erase), (0, ["the player's key is destroyed"]))
        self.assertEqual(self.craftnet(*erase), (0, ["the player has no key: nothing to erase"]))
        with self.assertRaisesRegex(ConfigurationError, "or they were erased"):
            self.shown("--player", str(PLAYER), *players)
        self.assertEqual(len(self.shown("--event", "access.denied")), 3)
        self.assertEqual(self.craftnet("verify", *self.files)[0], 0)
        with self.assertRaisesRegex(ConfigurationError, "does not exist"):
            self.craftnet("erase", "--player", str(PLAYER), self.files[0])
