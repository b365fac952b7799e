"""How an option is declared, and how its value is read from text.

A group of options is a frozen dataclass. A field is an option when its annotation carries an `Option`:

    refresh: Annotated[float, Option("Seconds after which …", least=0.5, most=3600)] = 5.0

Its type says how it is written; its default is that of --help, of the documentation and of `Settings`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from types import NoneType, UnionType
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from msgspec import Struct

from craftnet.errors import ConfigurationError
from craftnet.limits.client_address import Networks

VARIABLE_PREFIX = "CRAFTNET_"
"""The start of the name of every environment variable."""

LIST = tuple[str, ...]
"""The type of an option that may be given several times."""


class Option(Struct, frozen=True):
    """The declaration of an option that an operator may set.

    Attributes:
        help: the meaning, with units of numbers, without a full stop at the end.
        name: as after `--`; empty: the name of the field, with hyphens.
        default: the default in words, if the value is None or does not show it.
        unit: the unit of a number, such as "seconds" or "bytes".
        least, most: the bounds of a number, inclusive.
        choices: the texts that are accepted; empty: any.
        separator: separates several values in one text; empty if each value is given separately.
        reload: whether a reload changes the value in a running server.
        in_file: whether a configuration file may give it.
    """

    help: str
    name: str = ""
    default: str = ""
    unit: str = ""
    least: float | None = None
    most: float | None = None
    choices: tuple[str, ...] = ()
    separator: str = ""
    reload: bool = False
    in_file: bool = True


class Members(Struct, frozen=True):
    """The options of a value that has several, by the name of its attribute: `limits.connections`."""

    options: Mapping[str, Option]


class Declaration(Struct, frozen=True):
    """An option of the table, with the facts from its field.

    Attributes:
        path: the attribute of `Settings`, such as ("limits", "connections").
        kind: int, float, str, bool, `LIST` or `Networks`.
        default: the value if none is given.
    """

    name: str
    path: tuple[str, ...]
    kind: Any
    default: Any
    option: Option

    @property
    def variable(self) -> str:
        """The environment variable that gives it."""
        return VARIABLE_PREFIX + self.name.upper().replace("-", "_")

    @property
    def is_number(self) -> bool:
        """Whether the value is a number."""
        return self.kind in (int, float)

    @property
    def is_list(self) -> bool:
        """Whether the option may be given several times."""
        return bool(self.kind == LIST)

    @property
    def is_flag(self) -> bool:
        """Whether the option takes no value on the command line."""
        return self.kind is bool

    @property
    def range(self) -> str:
        """The condition on a value, as a sentence; empty if any value is accepted."""
        option = self.option
        if option.choices:
            return f"It must be one of: {', '.join(option.choices)}."
        if option.least is None or option.most is None:
            return ""
        return f"It must be from {option.least:.15g} to {option.most:.15g}."

    def described(self) -> str:
        """The option in words: its help, its default and its range."""
        shown = self.is_number or (self.kind is str and self.default is not None)
        default = self.option.default or (f"{self.default}" if shown else "")
        text = self.option.help + (f" [default: {default}]" if default else "")
        return f"{text}. {self.range}" if self.range else f"{text}."

    def number(self, text: str) -> float:
        """Parses a number.

        Raises:
            ValueError: the text is no number, or the number is out of range.
        """
        try:
            value = self.kind(text)
        except ValueError:
            raise ValueError(f"must be {self.toml_type}, got {text!r}") from None
        return self._in_range(value)

    def parse(self, text: str) -> Any:
        """Parses a value from text.

        Raises:
            ValueError: the option does not accept the value.
        """
        if self.is_number:
            return self.number(text)
        if self.is_flag:
            return _truth(text)
        if self.is_list:
            return tuple(part for part in map(str.strip, text.split(",")) if part)
        if self.kind is Networks:
            return _networks(text)
        if self.option.choices and text not in self.option.choices:
            raise ValueError(f"{text!r} is none of: {', '.join(self.option.choices)}")
        return text

    def parts(self, text: str) -> tuple[str, ...]:
        """The texts that one text on the command line has."""
        separator = self.option.separator
        return tuple(part for part in text.split(separator) if part) if separator else (text,)

    def of_toml(self, value: object) -> Any:
        """Converts a value from TOML.

        Raises:
            ValueError: the value has another type, or the option does not accept it.
        """
        match value:
            case bool() if self.is_flag:
                return value
            case int() | float() if self.is_number and not isinstance(value, bool):
                if self.kind is int and isinstance(value, float):
                    raise ValueError(f"must be a whole number, got {value:g}")
                return self._in_range(self.kind(value))
            case str() if not self.is_number and not self.is_flag:
                return self.parse(value)
            case list() if self.is_list and all(isinstance(each, str) for each in value):
                return tuple(value)
            case list() if self.kind is Networks and all(isinstance(each, str) for each in value):
                return self.parse(",".join(value))
        raise ValueError(f"must be {self.toml_type}, got {value!r}")

    @property
    def toml_type(self) -> str:
        """The type of the value in a file, for people."""
        if self.is_number:
            return "a whole number" if self.kind is int else "a number"
        if self.is_flag:
            return "true or false"
        return "an array of texts" if self.is_list or self.kind is Networks else "a text in quotes"

    def _in_range(self, value: float) -> float:
        option = self.option
        if (option.least is not None and value < option.least) or (option.most is not None and value > option.most):
            raise ValueError(f"must be from {option.least:.15g} to {option.most:.15g}")
        return value


def declarations(group: type[Any]) -> Iterator[Declaration]:
    """The options of a group, in the order of its fields."""
    hints = get_type_hints(group, include_extras=True)
    for field in fields(group):
        if get_origin(hint := hints[field.name]) is not Annotated:
            continue
        kind, *notes = get_args(hint)
        for note in notes:
            if isinstance(note, Option):
                name = note.name or field.name.replace("_", "-")
                yield Declaration(name, (field.name,), _without_none(kind), field.default, note)
            elif isinstance(note, Members):
                yield from _members(field.name, kind, field.default, note)


def _members(field: str, kind: type[Any], default: object, members: Members) -> Iterator[Declaration]:
    hints = get_type_hints(kind)
    for attribute, option in members.options.items():
        name = option.name or attribute.replace("_", "-")
        yield Declaration(name, (field, attribute), hints[attribute], getattr(default, attribute), option)


def _without_none(kind: Any) -> Any:
    """`X` of `X | None`."""
    if not isinstance(kind, UnionType):
        return kind
    (only,) = (each for each in get_args(kind) if each is not NoneType)
    return only


def _truth(text: str) -> bool:
    known = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
    if text.lower() not in known:
        raise ValueError(f"{text!r} is neither true nor false")
    return known[text.lower()]


def _networks(text: str) -> Networks:
    try:
        return Networks.parse(text, "")
    except ConfigurationError as error:
        raise ValueError(str(error).removeprefix(": ")) from None
