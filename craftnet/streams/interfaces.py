"""The interfaces of message buses. Importing them imports no bus."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from msgspec import Struct
from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface

from craftnet.clocks import IClock
from craftnet.streams.core.messages import StreamMessage


class StreamStatus(Struct, frozen=True):
    """What a stream knows about itself.

    Attributes:
        problem: why nothing can be read or acknowledged now, for people; empty while it can.
        lag: messages that are on the bus and not finished, by topic; of the partitions that this node reads.
        partial: whether other members of the same group read a part of the stream.
    """

    problem: str = ""
    lag: Mapping[str, int] = {}
    partial: bool = False


class IStreamReceiver(Interface):
    """Takes the messages of a stream. Its methods are called in the reactor's thread."""

    def received(messages: Sequence[StreamMessage]) -> None:
        """Messages, each a `craftnet.streams.core.messages.StreamMessage`; those of a partition in order."""

    def revoked(partitions: Collection[str]) -> Deferred[None]:
        """Another node reads these partitions from now on.

        Returns:
            A Deferred that fires when nothing that came from them is being applied any more. What is finished by then
            may be acknowledged; everything else is delivered to the other node.
        """


class IEventStream(Interface):
    """The authority's events on a message bus, as one node reads them.

    A message that was not finished is delivered again, to this node or to another one, also after a crash. A message
    may be delivered more than once.
    """

    def start(receiver: IStreamReceiver) -> None:
        """Connects, and reconnects after each loss; messages go to `receiver` from now on."""

    def pause() -> None:
        """Delivers nothing, soon; this node stays a member of its group."""

    def resume() -> None:
        """Delivers again."""

    def finish(messages: Sequence[StreamMessage]) -> None:
        """These messages are kept, or given up: the bus need not deliver them again."""

    def stop() -> Deferred[None]:
        """Acknowledges what is finished, leaves the group, and disconnects; fires when that is done, or cannot be."""

    def status() -> StreamStatus:
        """A `StreamStatus`, from what is known."""


class IEventStreamFactory(Interface):
    """Builds a stream from the text after its name: `--ingest NAME:key=value:…`."""

    name: str = Attribute("The name in the option: lower-case letters, digits, '-'.")
    summary: str = Attribute("One line for --help-ingest.")
    arguments: Mapping[str, str] = Attribute("Its arguments: a mapping of each name to one line of help.")

    def build(reactor: IClock, arguments: Mapping[str, str]) -> IEventStream:
        """Builds the stream. No I/O before it starts.

        Arguments:
            reactor: a `craftnet.clocks.IClock`, with the interfaces of Twisted's reactors.
            arguments: a mapping of str to str; the names are among `arguments`.

        Returns:
            An `IEventStream`.

        Raises:
            craftnet.errors.ConfigurationError: the arguments are invalid, or a library is not installed.
        """


class IEventStreamPlugin(Interface):
    """What the plugin search finds: the name of a bus, and its factory."""

    name: str = Attribute("The name in options.")
    factory: str = Attribute("The dotted name of a callable that returns an `IEventStreamFactory`.")
