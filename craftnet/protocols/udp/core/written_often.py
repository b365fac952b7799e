"""Structs of which attributes are written with every datagram."""

from __future__ import annotations

from typing import TypeVar

from msgspec import Struct

Written = TypeVar("Written", bound=type[Struct])


def written_often(kind: Written) -> Written:
    """Makes attributes of a Struct as quick to write as those of a class with `__slots__`.

    A class decorator. The interpreter writes attributes quickly only where the class has the `__setattr__` of `object`.
    That of a Struct differs in one thing: the garbage collector begins to track the object, which it never does with
    `gc=False`. Subclasses have to be decorated again.

    Raises:
        TypeError: the Struct is frozen, or the garbage collector may have to track it.
    """
    config = kind.__struct_config__
    if config.gc is not False or config.frozen:
        raise TypeError(f"{kind.__name__} must have gc=False and must not be frozen")
    kind.__delattr__ = object.__delattr__  # type: ignore[method-assign]  # both are one slot of the type.
    kind.__setattr__ = object.__setattr__  # type: ignore[method-assign]
    return kind
