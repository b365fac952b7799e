"""The lines of the log."""

from __future__ import annotations

import json

from twisted.logger import LogEvent, LogLevel, LogLevelFilterPredicate, PredicateResult
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from craftnet.access.development import sign_token
from craftnet.errors import ConfigurationError
from craftnet.observe.logs.lines import (
    FLOOD_INTERVAL,
    FLOOD_LINES,
    Floods,
    json_lines,
    parse_levels,
    set_levels,
    text_line,
)
from craftnet.runtime.masking import without_secrets
from craftnet.tests.support.samples import NOW, PLAYER, SESSION

TOKEN = sign_token(b"x" * 40, PLAYER, (), 60.0, NOW)


def event(text: str = "{n} done", **more: object) -> LogEvent:
    """An event of a logger."""
    return {
        "log_time": 1769688000.25,
        "log_level": LogLevel.warn,
        "log_namespace": "craftnet.feeds.hub",
        "log_format": text,
        "n": 3,
        **more,
    }


class JsonTests(SynchronousTestCase):
    def test_schema(self) -> None:
        line = json_lines("node-1", None)(event(session_id=SESSION, trace_id="ab" * 16, other="x"))
        self.assertTrue(line.endswith("}\n"))
        self.assertEqual(
            json.loads(line),
            {
                "time": "2026-01-29T12:00:00.250Z",
                "level": "warn",
                "logger": "craftnet.feeds.hub",
                "message": "3 done",
                "node": "node-1",
                "session_id": str(SESSION),
                "trace_id": "ab" * 16,
            },
        )

    def test_one_line(self) -> None:
        """Also of an exception, whose traceback is a field."""
        line = json_lines("node-1", "2")(event("a\nb", log_failure=Failure(ValueError(f"token={TOKEN}"))))
        self.assertEqual(line.count("\n"), 1)
        record = json.loads(line)
        self.assertEqual((record["message"], record["worker"]), ("a\nb", "2"))
        self.assertIn("ValueError", record["error"])
        self.assertNotIn(TOKEN, line)

    def test_passed_on(self) -> None:
        """A supervisor passes a worker's line on as it is, and wraps any other."""
        made = json_lines("node-1", "2")(event())
        supervisor = json_lines("node-1", None)
        self.assertEqual(supervisor(event("[{tag}] {line}", tag="worker-2", line=made.rstrip())), made)
        self.assertEqual(json.loads(supervisor(event("[{tag}] {line}", tag="w", line="x")))["message"], "[w] x")


class SecretTests(SynchronousTestCase):
    def test_secrets(self) -> None:
        for text in (
            f"Authorization: Bearer {TOKEN}",
            f"craftnet.json.v1, bearer.{TOKEN}",
            f"GET /ws?token={TOKEN}&x=1",
            f"{{'token': '{TOKEN}'}}",
            "Bearer opaque-but-secret",
            "password=opaque-but-secret",
            "redis://user:opaque-but-secret@host",
        ):
            safe = without_secrets(text)
            self.assertNotIn("secret", safe.replace("Bearer", "").replace("password", ""))
            self.assertNotIn(TOKEN.split(".")[1], safe)
            self.assertIn("***", safe)

    def test_everything_else(self) -> None:
        for text in (f"session {SESSION} has ended", "The token has expired.", "https://login.example/keys.json"):
            self.assertEqual(without_secrets(text), text)

    def test_text_line(self) -> None:
        self.assertRegex(text_line(event("a\nb")), r"^\d{4}-.* \[craftnet.feeds.hub#warn\] a\n\tb\n$")
        self.assertNotIn(TOKEN, text_line(event("{t}", t=TOKEN)))


class FloodTests(SynchronousTestCase):
    def test_summary(self) -> None:
        """Of events of one kind, an interval has some lines; the next begins with the number of the others."""
        floods = Floods()
        self.assertEqual(list(floods.ended(NOW)), [])
        admitted = sum(floods.admit(event(n=number)) for number in range(FLOOD_LINES + 30))
        self.assertEqual(admitted, FLOOD_LINES)
        self.assertTrue(floods.admit(event("another {n}")))
        self.assertEqual(list(floods.ended(NOW + FLOOD_INTERVAL - 1)), [])
        (summary,) = floods.ended(NOW + FLOOD_INTERVAL)
        self.assertIn("30 more like this in 10 s: {n} done", text_line(summary))
        self.assertTrue(floods.admit(event()))
        self.assertEqual(list(floods.ended(NOW + 3 * FLOOD_INTERVAL)), [])

    def test_workers(self) -> None:
        """What they say was limited by themselves."""
        floods = Floods()
        passed = event("[{tag}] {line}", tag="worker-1", line="x")
        self.assertTrue(all(floods.admit(passed) for _ in range(FLOOD_LINES + 1)))


class LevelTests(SynchronousTestCase):
    def test_levels(self) -> None:
        """The longest name counts; levels are replaced as a whole."""
        predicate = LogLevelFilterPredicate()
        set_levels(predicate, parse_levels(("warn", "craftnet.feeds=debug")))
        for logger, level, result in (
            ("craftnet.feeds.hub", LogLevel.debug, PredicateResult.maybe),
            ("craftnet.server", LogLevel.info, PredicateResult.no),
            ("craftnet.server", LogLevel.warn, PredicateResult.maybe),
        ):
            self.assertIs(predicate({"log_namespace": logger, "log_level": level}), result)
        set_levels(predicate, parse_levels(()))
        self.assertIs(
            predicate({"log_namespace": "craftnet.feeds.hub", "log_level": LogLevel.debug}), PredicateResult.no
        )

    def test_mistakes(self) -> None:
        for text in ("loud", "craftnet.feeds=loud", "=debug", ""):
            error = self.assertRaises(ConfigurationError, parse_levels, (text,))
            self.assertIn("levels are debug, info, warn, error, critical", str(error))
