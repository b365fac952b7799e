"""Conversions of values to the unsigned integers (or bytes) on the wire and back: expressions for generated code."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from craftnet.errors import BadDatagram


class Conversion(NamedTuple):
    """One conversion. In its expressions `{}` stands for a variable with the value, or with the number.

    Attributes:
        none: the number for None; None when there is always a value.
        fits: the condition on a value; empty when every value that the field has room for is valid.
        number: the number of a value.
        most: the largest valid number; None when every number that the field has room for is valid.
        means: a further condition on a received number; empty when there is none.
        value: the value of a number.
        fault: the text for a violation of these conditions …
        outcome: … and its outcome in `craftnet.errors.BadDatagram`.
        names: the names that the expressions use besides `{}`.
    """

    none: int | None = None
    fits: str = ""
    number: str = "{}"
    most: int | None = None
    means: str = ""
    value: str = "{}"
    fault: str = ""
    outcome: str = "out_of_range"
    names: Mapping[str, object] = MappingProxyType({})

    def writing(self, variable: str) -> list[str]:
        """The lines that convert the value in a variable to its number."""
        written = f"{variable} = {_of(self.number, variable)}"
        if self.none is None:
            refusing = self._refusing([self.fits] if self.fits else [], variable)
            return refusing if self.number == "{}" else [*refusing, written]
        return [
            f"if {variable} is None:",
            f"    {variable} = {self.none}",
            f"elif {_of(self.fits, variable)}:",
            f"    {written}",
            "else:",
            f"    {self._refusal}",
        ]

    def checking(self, variable: str, width: int) -> list[str]:
        """The lines that refuse an invalid number of `width` bits in a variable."""
        conditions = [self.means] if self.means else []
        if self.most is not None and self.most < (1 << width) - 1:
            conditions.append(f"{{}} <= {self.most}")
        return self._refusing(conditions, variable)

    def reading(self, variable: str) -> str:
        """The expression that converts the number in a variable to its value."""
        value = _of(self.value, variable)
        return value if self.none is None else f"None if {variable} == {self.none} else {value}"

    def may_exceed(self, width: int) -> bool:
        """Whether a converted number may have more than `width` bits."""
        return self.most is None or self.most >> width > 0

    @property
    def _refusal(self) -> str:
        return f"raise BadDatagram({self.outcome!r}, {self.fault!r})"

    def _refusing(self, conditions: Sequence[str], variable: str) -> list[str]:
        if not conditions:
            return []
        return [f"if not ({_of(' and '.join(conditions), variable)}):", f"    {self._refusal}"]


PLAIN = Conversion()
"""A number that is sent unchanged."""


def low(bits: int) -> Conversion:
    """The lowest bits of a number that may have more."""
    return Conversion(number=f"{{}} & {(1 << bits) - 1:#x}", most=(1 << bits) - 1)


def one_of(name: str, members: Sequence[object]) -> Conversion:
    """One of a few values, as its index; `name` is the name of the tuple in the expressions."""
    return Conversion(
        number=f"{name}.index({{}})",
        most=len(members) - 1,
        value=f"{name}[{{}}]",
        fault="a number that stands for nothing",
        names={name: tuple(members)},
    )


def writer(conversion: Conversion) -> Callable[[Any], int]:
    """The function that converts a value to a number. Raises BadDatagram for an invalid value."""
    return function("write", ["value"], [*conversion.writing("value"), "return value"], conversion.names)


def reader(conversion: Conversion, width: int) -> Callable[[int], Any]:
    """The function that converts a number of `width` bits to a value. Raises BadDatagram for an invalid number."""
    lines = [*conversion.checking("number", width), f"return {conversion.reading('number')}"]
    return function("read", ["number"], lines, conversion.names)


def function(
    name: str, arguments: Sequence[str], lines: Sequence[str], names: Mapping[str, object]
) -> Callable[..., Any]:
    """The function with these lines, which may use `names` and BadDatagram.

    Generated once, at import, as `collections.namedtuple` and `dataclasses` do.
    """
    scope: dict[str, Any] = {**names, "BadDatagram": BadDatagram}
    exec(
        "\n    ".join([f"def {name}({', '.join(arguments)}):", *lines]), scope
    )  # of declarations in this package alone.
    return scope[name]  # type: ignore[no-any-return]  # a function: made the line before.


def _of(expression: str, variable: str) -> str:
    return expression.replace("{}", variable)
