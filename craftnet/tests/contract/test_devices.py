"""Tests for `craftnet.contract.devices`."""

from __future__ import annotations

import unicodedata

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from craftnet.contract.devices import MAX_DEVICE_NAME, Dismissed, Seen, device_name, read_device_message, read_report
from craftnet.errors import BadRequest
from craftnet.tests.support.samples import SESSION


class DeviceNameTests(SynchronousTestCase):
    def test_accepted(self) -> None:
        for name in ("phone", "Anna's laptop (work)", "手机", "x" * MAX_DEVICE_NAME):
            self.assertEqual(device_name(name), name)

    def test_refused(self) -> None:
        for name in ("", " ", " phone", "phone ", "a\nb", "a\x00", "a\u202eb", "a\u200bb", "\ud800", "x" * 33):
            self.assertRaises(BadRequest, device_name, name)

    def test_one_name_however_it_is_typed(self) -> None:
        self.assertEqual(device_name("Cafe\u0301"), device_name("Caf\u00e9"))

    @settings(derandomize=True, max_examples=60, deadline=None)
    @given(st.text(max_size=40))
    def test_a_name_is_its_own_name(self, text: str) -> None:
        try:
            name = device_name(text)
        except BadRequest:
            return
        self.assertEqual(device_name(name), name)
        self.assertTrue(unicodedata.is_normalized("NFC", name))


class ReportTests(SynchronousTestCase):
    def test_reports(self) -> None:
        self.assertEqual(read_report(b'{"type":"seen","epoch":"e1","version":3}'), Seen(epoch="e1", version=3))
        dismissed = f'{{"type":"dismissed","epoch":"e1","version":3,"session_id":"{SESSION}","more":1}}'.encode()
        self.assertEqual(read_report(dismissed), Dismissed(epoch="e1", version=3, session_id=SESSION))

    def test_what_is_wrong_is_said(self) -> None:
        for octets, wrong in (
            (b"?", "malformed"),
            (b'{"type":"read"}', "read"),
            (b'{"type":"seen","epoch":"e1","version":0}', "version"),
            (b'{"type":"seen","epoch":"","version":1}', "epoch"),
            (b'{"type":"seen","version":1}', "epoch"),
        ):
            self.assertIn(wrong, str(self.assertRaises(BadRequest, read_report, octets)))

    def test_other_messages_are_not_about_devices(self) -> None:
        self.assertIsNone(read_device_message(b'{"type":"queue_position"}'))
