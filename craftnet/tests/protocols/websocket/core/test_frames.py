"""Frames, read back by a library that this project did not write."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from websockets.frames import Frame, Opcode

from craftnet.protocols.websocket.core import frames


class FrameTests(SynchronousTestCase):
    @settings(deadline=None, derandomize=True, max_examples=60)
    @given(st.integers(0, 140) | st.sampled_from([65_534, 65_535, 65_536, 70_000]))
    def test_as_websockets_writes_them(self, size: int) -> None:
        """At and around every change of the length's form."""
        payload = b"x" * size
        self.assertEqual(frames.text(payload), Frame(Opcode.TEXT, payload).serialize(mask=False))
        self.assertEqual(frames.binary(payload), Frame(Opcode.BINARY, payload).serialize(mask=False))

    @settings(deadline=None, derandomize=True, max_examples=60)
    @given(st.lists(st.sampled_from([0, 1, 125, 126, 300, 65_535, 65_536]), max_size=4), st.data())
    def test_split_again_wherever_they_are_cut(self, sizes: list[int], data: st.DataObject) -> None:
        payloads = [bytes([number]) * size for number, size in enumerate(sizes)]
        octets = b"".join(Frame(Opcode.BINARY, payload).serialize(mask=False) for payload in payloads)
        cut = data.draw(st.integers(0, len(octets)))
        first, rest = frames.split(octets[:cut])
        second, rest = frames.split(rest + octets[cut:])
        self.assertEqual((first + second, rest), ([(2, payload) for payload in payloads], b""))
