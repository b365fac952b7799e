"""The text form of ids."""

from __future__ import annotations

from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from craftnet.contract.identifiers import parse_uuid, uuid_or_none
from craftnet.errors import BadRequest

TEXT = "c0ffee00-1234-4abc-8def-0123456789ab"


class UuidTests(SynchronousTestCase):
    """Only the canonical form counts."""

    def test_canonical(self) -> None:
        self.assertEqual(parse_uuid(TEXT, "session_id"), UUID(TEXT))
        self.assertEqual(parse_uuid(TEXT.upper(), "session_id"), UUID(TEXT))

    def test_other_spellings(self) -> None:
        for text in (
            "",
            TEXT.replace("-", ""),
            f"{{{TEXT}}}",
            f"urn:uuid:{TEXT}",
            f" {TEXT}",
            f"{TEXT}\n",
            TEXT[:-1],
            TEXT + "0",
            TEXT.replace("-", "_"),
            "c0ffee001-234-4abc-8def-0123456789ab",
            TEXT.replace("1", "\uff11"),
            "0x" + TEXT[2:],
        ):
            error = self.assertRaises(BadRequest, parse_uuid, text, "player_id")
            self.assertIn("player_id", error.message)
            self.assertEqual(error.details, {"parameter": "player_id"})

    @settings(deadline=None, derandomize=True, max_examples=100)
    @given(st.uuids())
    def test_every_uuid(self, value: UUID) -> None:
        self.assertEqual(uuid_or_none(str(value)), value)

    @settings(deadline=None, derandomize=True, max_examples=100)
    @given(st.text(max_size=40))
    def test_any_text(self, text: str) -> None:
        found = uuid_or_none(text)
        self.assertTrue(found is None or str(found) == text.lower())
