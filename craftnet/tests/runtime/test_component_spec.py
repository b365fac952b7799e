"""The text that names and configures a part."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from craftnet.errors import ConfigurationError
from craftnet.runtime.component_spec import ComponentSpec, parse_component_spec


def escaped(value: str) -> str:
    """As an operator has to write it."""
    return value.replace("\\", "\\\\").replace(":", "\\:")


class SpecTests(SynchronousTestCase):
    def test_name_alone(self) -> None:
        self.assertEqual(parse_component_spec("memory"), ComponentSpec("memory", {}))

    def test_arguments(self) -> None:
        spec = parse_component_spec("redis:host=example.org:port=6379:password=")
        self.assertEqual(spec, ComponentSpec("redis", {"host": "example.org", "port": "6379", "password": ""}))

    def test_equals_in_a_value(self) -> None:
        self.assertEqual(parse_component_spec("x:a=b=c").arguments, {"a": "b=c"})

    def test_url(self) -> None:
        """As people type it."""
        spec = parse_component_spec("jwt:jwks=https://login.example:8443/keys?x=1:aud=game")
        self.assertEqual(spec.arguments, {"jwks": "https://login.example:8443/keys?x=1", "aud": "game"})

    def test_escapes(self) -> None:
        self.assertEqual(
            parse_component_spec(r"x:url=redis\://h\:1:path=c\:\\d\\").arguments,
            {"url": "redis://h:1", "path": "c:\\d\\"},
        )

    def test_refused(self) -> None:
        cases = {
            "": "NAME",
            ":a=b": "NAME",
            "a=b": "key=value",
            "Memory": "lower-case",
            "memory:": "key=value",
            "memory::a=b": "key=value",
            "memory:a": "key=value",
            "memory:=b": "key=value",
            "memory:a=1:a=2": "a= is given twice",
            "memory:a=1\\": "key=value",
        }
        for text, words in cases.items():
            self.assertIn(words, str(self.assertRaises(ConfigurationError, parse_component_spec, text)), text)

    def test_values_are_not_repeated(self) -> None:
        """They may be secrets."""
        for text in (
            "redis:password=hunter2:password=hunter2",
            "redis:password=hunter2\\",
            "=hunter2",
            "redis:hunter2",
        ):
            self.assertNotIn("hunter2", str(self.assertRaises(ConfigurationError, parse_component_spec, text)))

    @settings(deadline=None, derandomize=True, max_examples=200)
    @given(st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), st.text(max_size=20), max_size=4))
    def test_any_value_can_be_written(self, arguments: dict[str, str]) -> None:
        text = ":".join(["name", *(f"{key}={escaped(value)}" for key, value in arguments.items())])
        self.assertEqual(parse_component_spec(text), ComponentSpec("name", arguments))

    @settings(deadline=None, derandomize=True, max_examples=300)
    @given(st.text(alphabet="ab=:\\", max_size=12) | st.text(max_size=20))
    def test_any_text(self, text: str) -> None:
        """A spec or a ConfigurationError."""
        try:
            spec = parse_component_spec(text)
        except ConfigurationError:
            return
        self.assertTrue(spec.name)
