"""Captured messages identify no player, and remain valid messages."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from random import Random
from uuid import UUID

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from craftnet.contract.messages import CraftingProgressData, Status, WebSocketCraftingMessage, to_json
from craftnet.errors import ConfigurationError
from craftnet.operator.dictionary.corpus import LEAST, Blanking, Corpus, read_corpus

EPOCH = "0a1b2c3d4e5f"


def message(session: UUID, percent: int = 50, date: str = "2026-11-28T06:30:00.123Z") -> bytes:
    """One of the feed."""
    data = CraftingProgressData(session_id=session, progress_percentage=percent, status=Status.ACTIVE)
    return to_json(
        WebSocketCraftingMessage(
            type="progress_update", session_id=session, timestamp=date, progress_data=data, epoch=EPOCH, version=7
        )
    )


class BlankingTests(SynchronousTestCase):
    @settings(deadline=None, derandomize=True, max_examples=50)
    @given(st.uuids(), st.integers(0, 100), st.integers(0, 2**32))
    def test_nothing_identifies(self, session: UUID, percent: int, seed: int) -> None:
        sent = message(session, percent)
        blanked = Blanking(Random(seed)).blank(sent)
        self.assertEqual(len(blanked), len(sent))
        for text in (str(session), EPOCH, "2026-11-28T06:30"):
            self.assertNotIn(text.encode(), blanked)
        before, after = (msgspec.json.decode(text, type=WebSocketCraftingMessage) for text in (sent, blanked))
        assert before.progress_data is not None and after.progress_data is not None
        self.assertEqual(after.progress_data.session_id, after.session_id)
        self.assertEqual(after.progress_data.progress_percentage, before.progress_data.progress_percentage)
        self.assertEqual((after.type, after.version), (before.type, before.version))
        datetime.fromisoformat(after.timestamp)

    def test_messages_cannot_be_linked(self) -> None:
        blanking, session = Blanking(Random(1)), UUID(int=7)
        decoded = [msgspec.json.decode(blanking.blank(message(session))) for _ in range(2)]
        for field in ("session_id", "epoch", "timestamp"):
            self.assertNotEqual(decoded[0][field], decoded[1][field])

    def test_what_looks_like_a_date_stays(self) -> None:
        text = b'{"reason":"2026-99-99T99:99:99"}'
        self.assertEqual(Blanking(Random(1)).blank(text), text)


class CorpusTests(SynchronousTestCase):
    def file(self, octets: bytes) -> Path:
        """A corpus with this content."""
        path = Path(self.mktemp())
        path.write_bytes(octets)
        return path

    def test_the_newest_are_held_out(self) -> None:
        found = Corpus.of([bytes([number]) for number in range(10)])
        self.assertEqual((len(found.training), found.held_out), (7, [b"\7", b"\x08", b"\t"]))

    def test_read(self) -> None:
        found = read_corpus(self.file(b'{"type":"x"}\n' * LEAST))
        self.assertEqual(len(found.training) + len(found.held_out), LEAST)

    def test_mistakes(self) -> None:
        for octets, words in (
            (b'{"type":"x"}\n' * 5, "5 messages; at least 200 are needed"),
            (b'{"type":"x"}\nnothing\n', "line 2: not a JSON object"),
            (b"\xff\xfe", "line 1: not a JSON object"),
            (b'["list"]', "line 1: not a JSON object"),
        ):
            error = self.assertRaises(ConfigurationError, read_corpus, self.file(octets))
            self.assertIn(words, str(error))
        error = self.assertRaises(ConfigurationError, read_corpus, Path("/nowhere"))
        self.assertEqual(str(error), "/nowhere cannot be read: No such file or directory")
