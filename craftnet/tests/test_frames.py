"""Frames, read back by a library that this project did not write."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from websockets.frames import Frame, Opcode

from craftnet.protocols.websocket import frames


class FrameTests(SynchronousTestCase):
    @settings(deadline=None, derandomize=True, max_examples=60)
    @given(st.integers(0, 140) | st.sampled_from([65_534, 65_535, 65_536, 70_000]))
    def test_as_websockets_writes_them(self, size: int) -> None:
        """At and around every change of the length's form."""
        payload = b"x" * size
        self.assertEqual(frames.text(payload), Frame(Opcode.TEXT, payload).serialize(mask=False))
        self.assertEqual(frames.binary(payload), Frame(Opcode.BINARY, payload).serialize(mask=False))
