"""How a value becomes the unsigned integer (or the bytes) that travels, and back: expressions that code is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from craftnet.errors import BadDatagram


class Conversion(NamedTuple):
    """One way to travel. In its expressions `{}` stands for a variable: with the value, or with the number.

    Attributes:
        none: the number that stands for None; None when a value is always there.
        fits: what must hold of a value; empty when everything travels that its field has room for.
        number: what it becomes.
        most: the largest number there is; None when all that the field has room for mean something.
        means: what else must hold of a number that came in; empty when nothing must.
        value: what a number means.
        fault: what is wrong when one of these does not hold …
        outcome: … in a word of `craftnet.errors.BadDatagram`.
        names: what the expressions use beside `{}`.
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
        """The lines that make the number of the value in a variable."""
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
        """The lines that refuse what means nothing in a variable with a number of `width` bits."""
        conditions = [self.means] if self.means else []
        if self.most is not None and self.most < (1 << width) - 1:
            conditions.append(f"{{}} <= {self.most}")
        return self._refusing(conditions, variable)

    def reading(self, variable: str) -> str:
        """The expression for the value of the number in a variable."""
        value = _of(self.value, variable)
        return value if self.none is None else f"None if {variable} == {self.none} else {value}"

    def may_exceed(self, width: int) -> bool:
        """Whether a number that is made here may have more than `width` bits."""
        return self.most is None or self.most >> width > 0

    @property
    def _refusal(self) -> str:
        return f"raise BadDatagram({self.outcome!r}, {self.fault!r})"

    def _refusing(self, conditions: Sequence[str], variable: str) -> list[str]:
        if not conditions:
            return []
        return [f"if not ({_of(' and '.join(conditions), variable)}):", f"    {self._refusal}"]


PLAIN = Conversion()
"""A number that travels as it is."""


def low(bits: int) -> Conversion:
    """The lowest bits of a number that may have more."""
    return Conversion(number=f"{{}} & {(1 << bits) - 1:#x}", most=(1 << bits) - 1)


def one_of(name: str, members: Sequence[object]) -> Conversion:
    """One of a few values, by its place among them; `name` is what the expressions call them."""
    return Conversion(
        number=f"{name}.index({{}})",
        most=len(members) - 1,
        value=f"{name}[{{}}]",
        fault="a number that stands for nothing",
        names={name: tuple(members)},
    )


def writer(conversion: Conversion) -> Callable[[Any], int]:
    """The function that makes a number of a value. Raises BadDatagram when it does not travel."""
    return function("write", ["value"], [*conversion.writing("value"), "return value"], conversion.names)


def reader(conversion: Conversion, width: int) -> Callable[[int], Any]:
    """The function that makes a value of a number of `width` bits. Raises BadDatagram when that means nothing."""
    lines = [*conversion.checking("number", width), f"return {conversion.reading('number')}"]
    return function("read", ["number"], lines, conversion.names)


def function(
    name: str, arguments: Sequence[str], lines: Sequence[str], names: Mapping[str, object]
) -> Callable[..., Any]:
    """The function with these lines, which may use `names` and BadDatagram.

    Generated once, at import, the way `collections.namedtuple` and `dataclasses` generate theirs.
    """
    scope: dict[str, Any] = {**names, "BadDatagram": BadDatagram}
    exec(
        "\n    ".join([f"def {name}({', '.join(arguments)}):", *lines]), scope
    )  # of declarations in this package alone.
    return scope[name]  # type: ignore[no-any-return]  # a function: made the line before.


def _of(expression: str, variable: str) -> str:
    return expression.replace("{}", variable)
