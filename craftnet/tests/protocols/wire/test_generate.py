"""The files of other languages that are made from the layouts."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from craftnet.protocols.wire import layouts
from craftnet.protocols.wire.codec.fields import QUALITY
from craftnet.protocols.wire.compiler.compiled_layouts import compile_layout
from craftnet.protocols.wire.compiler.conversions import Conversion
from craftnet.protocols.wire.generate.__main__ import ROOT, generated
from craftnet.protocols.wire.generate.description import Meaning, camel, meaning_of, records, runs


class GeneratedTests(SynchronousTestCase):
    def test_up_to_date(self) -> None:
        for path, text in generated().items():
            self.assertEqual(
                path.read_text("utf-8"),
                text,
                f"{path.relative_to(ROOT)} is out of date: run `python -m craftnet.protocols.wire.generate`",
            )


class DescriptionTests(SynchronousTestCase):
    def test_every_record_is_as_long_as_its_fields(self) -> None:
        for record in records():
            ends = [run.offset + run.size for run in record.runs]
            self.assertEqual([run.offset for run in record.runs], [0, *ends[:-1]], record.name)
            self.assertEqual(ends[-1], record.size, record.name)

    def test_records_of_a_state(self) -> None:
        """Each is there, under its own tag."""
        tags = [record.tag for record in records() if record.tag is not None]
        self.assertEqual(tags, list(range(1, 11)))

    def test_meaning(self) -> None:
        self.assertEqual(meaning_of(QUALITY, 7), Meaning(absent=0, least=0, largest=100))

    def test_conversion_without_a_description(self) -> None:
        """Refuses to generate a file that would accept what the server refuses."""
        self.assertRaises(TypeError, meaning_of, Conversion(means="{} % 2 == 0"), 8)
        self.assertRaises(TypeError, meaning_of, Conversion(value="{} + 1"), 8)

    def test_bits(self) -> None:
        """A field's shift is counted from the lowest bit of its place."""
        codec = compile_layout(layouts.Fragment)
        run = next(iter(runs(codec.layout, codec.conversions)))
        self.assertEqual(
            [(field.name, field.shift, field.width) for field in run.fields], [("part", 6, 2), ("last", 4, 2)]
        )
        self.assertEqual([(each.shift, each.width, each.value) for each in run.constants], [(0, 4, 0)])

    def test_names(self) -> None:
        self.assertEqual(
            [camel("row"), camel("has_quantity"), camel("ProgressState")], ["row", "hasQuantity", "progressState"]
        )
