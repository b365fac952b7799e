"""Finds message buses by name, among installed plugins.

A third party's bus is a plugin, as a back end is: a module in `twisted/plugins` with

    thing = EventStreamPlugin("thing", "their_package.stream.ThingFactory")

where `ThingFactory()` provides `craftnet.streams.interfaces.IEventStreamFactory`.
"""

from __future__ import annotations

from collections.abc import Mapping

from twisted.plugin import IPlugin
from zope.interface import implementer
from zope.interface.exceptions import Invalid
from zope.interface.verify import verifyObject

from craftnet.clocks import IClock
from craftnet.errors import ConfigurationError
from craftnet.runtime.component_spec import parse_component_spec
from craftnet.runtime.plugins import PluginKind, check_arguments
from craftnet.streams.interfaces import IEventStream, IEventStreamFactory, IEventStreamPlugin

EVENT_STREAMS = PluginKind("message bus", IEventStreamPlugin, IEventStreamFactory, "help-ingest")
"""The plugins of --ingest."""


@implementer(IPlugin, IEventStreamPlugin)
class EventStreamPlugin:
    """A message bus that is imported only when it is chosen."""

    def __init__(self, name: str, factory: str) -> None:
        self.name = name
        self.factory = factory


MAX_REPLAY = 30 * 86400.0
"""Maximum of the argument `replay`, in seconds."""

REPLAY = 3600.0
"""Default of the argument `replay`, in seconds: the longest craft takes an hour."""

REPLAY_HELP = (
    f"seconds; a group that is new to a stream begins with the messages of this time (default {REPLAY:g}; 0: with the"
    " next message)"
)
"""The help of the argument `replay`."""


def replay_seconds(name: str, arguments: Mapping[str, str]) -> float:
    """The argument `replay` of the bus `name`.

    Raises:
        ConfigurationError: it is not a number of seconds.
    """
    text = arguments.get("replay", f"{REPLAY:g}")
    try:
        seconds = float(text)
    except ValueError:
        raise ConfigurationError(f"{name}: replay must be a number of seconds, got {text!r}") from None
    if not 0 <= seconds <= MAX_REPLAY:
        raise ConfigurationError(f"{name}: replay must be from 0 to {MAX_REPLAY:.0f} seconds, got {text}")
    return seconds


def build_stream(text: str, reactor: IClock) -> IEventStream:
    """Builds the stream that the text of --ingest names.

    Raises:
        ConfigurationError: no bus has that name, or its arguments are invalid.
    """
    spec = parse_component_spec(text)
    factory: IEventStreamFactory = EVENT_STREAMS.find(spec.name)
    check_arguments(spec, factory)
    stream = factory.build(reactor, spec.arguments)
    try:
        verifyObject(IEventStream, stream)
    except Invalid as error:
        raise ConfigurationError(f"message bus {spec.name} is broken: {error}") from error
    return stream


def help_text() -> str:
    """The text of --help-ingest."""
    heading = "Message buses, for --ingest: NAME or NAME:key=value:key=value…"
    return "\n".join([heading, "", *EVENT_STREAMS.help_lines()])
