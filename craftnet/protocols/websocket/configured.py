"""Autobahn's options, once for all connections of a factory.

Autobahn copies some thirty options from the factory to every connection, and formats all of them for its debug log even
when nobody reads that. Where the class has them, there is nothing to copy.
"""

from __future__ import annotations

from inspect import isfunction
from typing import Any, TypeVar

AnyProtocol = TypeVar("AnyProtocol")


def configured(protocol: type[AnyProtocol], factory: Any) -> type[AnyProtocol]:
    """A subclass of an Autobahn protocol that has the options of `factory` as they are now.

    Arguments:
        factory: an Autobahn factory; its options have no common interface.
    """
    names = protocol.CONFIG_ATTRS  # type: ignore[attr-defined]  # every WebSocketProtocol has them.
    options = {name: _plain(getattr(factory, name)) for name in names}
    return type(protocol.__name__, (protocol,), {**options, "CONFIG_ATTRS": [], "__doc__": protocol.__doc__})


def _plain(option: Any) -> Any:
    """An option that is a function must not become a method."""
    return staticmethod(option) if isfunction(option) else option
