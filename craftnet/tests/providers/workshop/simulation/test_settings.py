"""The workshop's arguments."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from craftnet.errors import ConfigurationError
from craftnet.providers.workshop.simulation.settings import ARGUMENTS, WorkshopSettings, parse_workshop_settings


class SettingsTests(SynchronousTestCase):
    """The arguments of `--backend workshop:…`."""

    def refused(self, **arguments: str) -> str:
        """The text of the refusal."""
        return str(self.assertRaises(ConfigurationError, parse_workshop_settings, arguments))

    def test_nothing_said(self) -> None:
        self.assertEqual(parse_workshop_settings({}), WorkshopSettings())

    def test_everything_said(self) -> None:
        arguments = {"players": "200", "seed": "7", "speed": "4", "rate": "0.25", "chaos": "1", "bias": "0.5"}
        self.assertEqual(
            parse_workshop_settings(arguments),
            WorkshopSettings(players=200, seed=7, speed=4.0, rate=0.25, chaos=1.0, bias=0.5),
        )
        self.assertEqual(set(arguments), set(ARGUMENTS))

    def test_bounds_are_allowed(self) -> None:
        for name, low, high in (("players", "1", "100000"), ("speed", "0.1", "1000"), ("rate", "0", "20")):
            for text in (low, high):
                self.assertEqual(getattr(parse_workshop_settings({name: text}), name), float(text))

    def test_out_of_range(self) -> None:
        self.assertEqual(self.refused(players="0"), "workshop: players must be from 1 to 100000, got 0")
        for name, text in (
            ("players", "100001"),
            ("seed", "-1"),
            ("speed", "0.09"),
            ("speed", "1001"),
            ("rate", "-0.1"),
            ("chaos", "1.01"),
            ("chaos", "nan"),
            ("speed", "inf"),
        ):
            self.assertIn(f"{name} must be from", self.refused(**{name: text}))

    def test_not_a_number(self) -> None:
        self.assertEqual(self.refused(players="many"), "workshop: players must be a whole number, got 'many'")
        self.assertEqual(self.refused(players="1.5"), "workshop: players must be a whole number, got '1.5'")
        self.assertEqual(self.refused(speed="fast"), "workshop: speed must be a number, got 'fast'")

    def test_unknown_name(self) -> None:
        self.assertIn("unknown argument 'player'; the arguments are players, seed,", self.refused(player="3"))

    @given(st.dictionaries(st.sampled_from(sorted(ARGUMENTS)), st.text(max_size=8)))
    @settings(deadline=None, max_examples=50, derandomize=True)
    def test_any_text_is_understood_or_refused(self, arguments: dict[str, str]) -> None:
        try:
            parse_workshop_settings(arguments)
        except ConfigurationError as error:
            self.assertTrue(str(error).startswith("workshop: "))
