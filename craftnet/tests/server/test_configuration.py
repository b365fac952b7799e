"""Options from the command line, the environment and a file; the documents about them."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema_rs import Draft7Validator
from twisted.trial.unittest import SynchronousTestCase

import craftnet
from craftnet.errors import ConfigurationError
from craftnet.limits.client_address import Networks
from craftnet.server.options.documents import default_file, schema, schema_text, shown, toml_value
from craftnet.server.options.option import Declaration
from craftnet.server.options.resolution import ConfigurationFile, Effective, resolve
from craftnet.server.options.table import OPTIONS
from craftnet.server.settings import Settings, settings_of

REPOSITORY = Path(craftnet.__file__).parent.parent
EXAMPLES = settings(max_examples=200, derandomize=True, deadline=None)


def from_file(text: str, environ: dict[str, str] | None = None, **given: Any) -> Effective:
    """The options with a file of this content."""
    return resolve(given, environ or {}, ConfigurationFile("craftnet.toml", text))


class PrecedenceTests(SynchronousTestCase):
    def test_order(self) -> None:
        """The command line, then the environment, then the file, then the default."""
        file, environ, given = "refresh = 7", {"CRAFTNET_REFRESH": "8"}, {"refresh": 9.0}
        for effective, value, origin in (
            (from_file(file, environ, **given), 9.0, "the command line"),
            (from_file(file, environ), 8.0, "CRAFTNET_REFRESH"),
            (from_file(file, {"CRAFTNET_REFRESH": ""}), 7.0, "craftnet.toml"),
            (from_file(""), 5.0, "default"),
        ):
            found = effective.options["refresh"]
            self.assertEqual((found.value, found.origin), (value, origin))

    def test_zero_is_a_value(self) -> None:
        self.assertEqual(from_file("hsts = 60", hsts=0)["hsts"], 0)

    def test_every_option_in_every_place(self) -> None:
        """The same text has the same meaning on the command line and in the environment, and in a file."""
        for name, declared in OPTIONS.items():
            text, toml = example(declared)
            wanted = declared.parse(text)
            self.assertEqual(resolve({}, {declared.variable: text})[name], wanted, name)
            if declared.option.in_file:
                self.assertEqual(from_file(f"{name} = {toml}")[name], wanted, name)

    def test_settings(self) -> None:
        """Values reach the settings, those of limits too."""
        made = settings_of(from_file('max-per-player = 3\norigin = ["https://a.example"]\nudp = "off"'), {})
        self.assertEqual((made.limits.per_player, made.origins, made.udp), (3, ("https://a.example",), "off"))
        self.assertEqual(settings_of(from_file(""), {}), Settings())


def example(declared: Declaration) -> tuple[str, str]:
    """A value that is not the default, as text and as TOML."""
    if declared.is_number:
        least = declared.option.least
        assert least is not None
        number = declared.kind(least + 1)
        return f"{number}", f"{number}"
    if declared.is_flag:
        return "yes", "true"
    if declared.is_list:
        return "one,two", '["one", "two"]'
    if declared.kind is Networks:
        return "192.0.2.0/24,unix", '["192.0.2.0/24", "unix"]'
    text = declared.option.choices[-1] if declared.option.choices else "something"
    return text, json.dumps(text)


class MistakeTests(SynchronousTestCase):
    def assert_refused(self, text: str, *words: str, environ: dict[str, str] | None = None) -> None:
        """The file is refused with a text that says this."""
        with self.assertRaises(ConfigurationError) as caught:
            from_file(text, environ)
        for word in words:
            self.assertIn(word, str(caught.exception))

    def test_unknown_key(self) -> None:
        """The error has the line, and the name that was probably meant."""
        self.assert_refused(
            "refresh = 7\nmax_conections = 5",
            "craftnet.toml, line 2: there is no option max_conections: did you mean max-connections?",
        )
        self.assert_refused("zzz = 1", "there is no option zzz")
        self.assert_refused("[limits]\nmax-connections = 5", "line 1: there is no option limits; options stand outside")

    def test_wrong_types(self) -> None:
        for text, words in (
            ('workers = "two"', "workers must be a whole number, got 'two'"),
            ("workers = 2.5", "workers must be a whole number, got 2.5"),
            ("workers = true", "workers must be a whole number, got True"),
            ("workers = 0", "workers must be from 1 to 256"),
            ("udp = 8082", "udp must be a text in quotes, got 8082"),
            ("origin = [1]", "origin must be an array of texts"),
            ('trusted-proxy = "proxy.example"', "trusted-proxy 'proxy.example' does not appear"),
            ('config = "other.toml"', "config can be given on the command line and in CRAFTNET_CONFIG only"),
            ("refresh 7", "craftnet.toml is not TOML: "),
        ):
            self.assert_refused(text, words)

    def test_all_at_once(self) -> None:
        file, environ = "workers = 0\nzzz = 1", {"CRAFTNET_REFRESH": "x"}
        self.assert_refused(
            file, "workers must", "option zzz", "CRAFTNET_REFRESH: must be a number, got 'x'", environ=environ
        )

    def test_unknown_variables(self) -> None:
        """They are named, but those of Kubernetes' services, and secrets, are not."""
        environ = {"CRAFTNET_MAX_CONECTIONS": "5", "CRAFTNET_JWT_SECRET": "x", "CRAFTNET_PORT": "tcp://10.0.0.1:80"}
        environ |= {"CRAFTNET_UDP_SERVICE_HOST": "10.0.0.1", "CRAFTNET_PORT_8080_TCP_ADDR": "10.0.0.1"}
        self.assertEqual(
            resolve({}, environ).warnings,
            ("the environment variable CRAFTNET_MAX_CONECTIONS has no effect: did you mean CRAFTNET_MAX_CONNECTIONS?",),
        )

    @EXAMPLES
    @given(st.text(max_size=200))
    def test_any_text(self, text: str) -> None:
        """Whatever a file has, it is valid or refused with the file's name."""
        try:
            from_file(text)
        except ConfigurationError as error:
            self.assertIn("craftnet.toml", str(error))


class DocumentTests(SynchronousTestCase):
    def test_defaults(self) -> None:
        """The file without its comment signs has every option, and changes none."""
        text = re.sub(r"^#(?=[a-z-]+ = )", "", default_file(), flags=re.MULTILINE)
        self.assertEqual(set(tomllib.loads(text)), {name for name, each in OPTIONS.items() if each.option.in_file})
        self.assertEqual(settings_of(from_file(text), {}), Settings())
        self.assertEqual(tomllib.loads(default_file()), {})

    def test_shown(self) -> None:
        """It is a file with the same effect; origins stand beside the values, secrets do not."""
        effective = from_file('workers = 3\ncrafting-service = "https://u:hunter2@a.example/?token=hunter2&x=1"')
        text = shown(effective)
        self.assertIn("workers = 3  # craftnet.toml", text)
        self.assertIn("refresh = 5.0  # default", text)
        self.assertIn('"https://u:***@a.example/?token=***&x=1"', text)
        self.assertNotIn("hunter2", text)
        self.assertEqual(settings_of(from_file(text), {}).workers, 3)

    def test_schema(self) -> None:
        """It accepts what the server accepts, and nothing else."""
        validator = Draft7Validator(schema())
        for name, declared in OPTIONS.items():
            if declared.option.in_file:
                self.assertTrue(validator.is_valid(tomllib.loads(f"{name} = {example(declared)[1]}")), name)
        for wrong in ({"workers": 0}, {"workers": "2"}, {"max-conections": 5}, {"config": "x"}, {"origin": [1]}):
            self.assertFalse(validator.is_valid(wrong), wrong)

    def test_committed_schema(self) -> None:
        """`make reference` writes it."""
        path = REPOSITORY / "docs" / "reference" / "craftnet.schema.json"
        self.assertEqual(path.read_text(encoding="utf-8"), schema_text(), "run make reference")

    @EXAMPLES
    @given(st.text(st.characters(codec="utf-8")))
    def test_toml_texts(self, text: str) -> None:
        self.assertEqual(tomllib.loads(f"x = {toml_value(text)}")["x"], text)
