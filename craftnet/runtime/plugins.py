"""Components that an operator chooses by name, found as Twisted plugins; none is imported before it is chosen.

Importing some client libraries installs a reactor, which a plugin search must not do. So a plugin names its factory by
string: `plugin.name` is the name in options, `plugin.factory` the dotted name of a callable that returns the factory.
A factory has a `summary`, one line, and `arguments`, the names of its arguments with one line of help each.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec import Struct
from twisted.plugin import getPlugins
from twisted.python.reflect import namedAny
from zope.interface.exceptions import Invalid
from zope.interface.verify import verifyObject

from craftnet.errors import ConfigurationError
from craftnet.runtime.component_spec import ComponentSpec


class PluginKind(Struct, frozen=True):
    """One kind of component.

    Attributes:
        noun: what it is, for people, such as "back end".
        plugin: the interface of its plugins.
        factory: the interface of its factories.
        help_option: the option that lists them, without its hyphens.
    """

    noun: str
    plugin: Any
    factory: Any
    help_option: str

    def installed(self) -> dict[str, Any]:
        """Every installed plugin of this kind, by name."""
        return {plugin.name: plugin for plugin in getPlugins(self.plugin)}

    def factory_of(self, plugin: Any) -> Any:
        """Imports the factory of a plugin.

        Raises:
            ConfigurationError: it cannot be imported, or is not a factory.
        """
        try:
            factory = namedAny(plugin.factory)()
            verifyObject(self.factory, factory)
        except (Exception, Invalid) as error:  # a third party's module may raise anything when it is imported
            raise ConfigurationError(f"{self.noun} {plugin.name}: {plugin.factory} does not work: {error}") from error
        return factory

    def find(self, name: str) -> Any:
        """The factory of that name.

        Raises:
            ConfigurationError: there is none, or it does not work.
        """
        plugins = self.installed()
        if name not in plugins:
            known = ", ".join(sorted(plugins)) or "none"
            raise ConfigurationError(f"there is no {self.noun} {name!r}; installed: {known} (see --{self.help_option})")
        return self.factory_of(plugins[name])

    def help_lines(self) -> Iterator[str]:
        """Every plugin with its arguments, as lines; broken ones are named."""
        for name, plugin in sorted(self.installed().items()):
            try:
                factory = self.factory_of(plugin)
            except ConfigurationError as error:
                yield f"  {name}: not usable: {error}"
                continue
            yield f"  {name}: {factory.summary}"
            yield from (f"      {argument}=…  {text}" for argument, text in factory.arguments.items())
        yield ""
        yield "In a value, escape a backslash with a backslash, and also a colon that some name= follows."


def check_arguments(spec: ComponentSpec, factory: Any) -> None:
    """Checks that a factory takes the arguments that are given.

    Raises:
        ConfigurationError: it does not.
    """
    for argument in spec.arguments:
        if argument not in factory.arguments:
            known = ", ".join(factory.arguments) or "none"
            raise ConfigurationError(f"{spec.name} has no argument {argument!r}; it takes: {known}")
