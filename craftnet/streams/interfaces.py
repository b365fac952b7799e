"""The interfaces of message buses. Importing this module imports no bus."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from msgspec import Struct
from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface

from craftnet.clocks import IClock
from craftnet.streams.core.messages import StreamMessage


class StreamStatus(Struct, frozen=True):
    """The state of a stream.

    Attributes:
        problem: why messages cannot be read or acknowledged now, in English; empty if they can.
        lag: number of unfinished messages on the bus, by topic, in the partitions that this node reads.
        partial: whether other members of the same group read a part of the stream.
    """

    problem: str = ""
    lag: Mapping[str, int] = {}
    partial: bool = False


class IStreamReceiver(Interface):
    """Takes the messages of a stream. Its methods are called in the reactor's thread."""

    def received(messages: Sequence[StreamMessage]) -> None:
        """Takes `craftnet.streams.core.messages.StreamMessage`s; those of a partition come in order."""

    def revoked(partitions: Collection[str]) -> Deferred[None]:
        """Another node reads these partitions from now on.

        Returns:
            A Deferred that fires once no message from them is being applied. Messages finished by then may be
            acknowledged; all others are delivered to the other node.
        """


class IEventStream(Interface):
    """The authority's events on a message bus, as one node reads them.

    An unfinished message is delivered again, to this node or to another one, even after a crash. A message may be
    delivered more than once.
    """

    def start(receiver: IStreamReceiver) -> None:
        """Connects, reconnects after each loss, and passes messages to `receiver`."""

    def pause() -> None:
        """Stops delivering messages soon; this node stays a member of its group."""

    def resume() -> None:
        """Resumes delivering messages."""

    def finish(messages: Sequence[StreamMessage]) -> None:
        """These messages were kept or given up; the bus need not deliver them again."""

    def stop() -> Deferred[None]:
        """Acknowledges finished messages, leaves the group, and disconnects. Fires when that is done or has failed."""

    def status() -> StreamStatus:
        """The current `StreamStatus`; does not query the bus."""


class IEventStreamFactory(Interface):
    """Builds a stream from the text of the option: `--ingest NAME:key=value:…`."""

    name: str = Attribute("The name in the option: lower-case letters, digits, '-'.")
    summary: str = Attribute("One line for --help-ingest.")
    arguments: Mapping[str, str] = Attribute("The accepted arguments: a mapping of each name to one line of help.")

    def build(reactor: IClock, arguments: Mapping[str, str]) -> IEventStream:
        """Builds the stream. It does no I/O before it starts.

        Arguments:
            reactor: a `craftnet.clocks.IClock`, with the interfaces of Twisted's reactors.
            arguments: a mapping of str to str; the names are among `arguments`.

        Returns:
            An `IEventStream`.

        Raises:
            craftnet.errors.ConfigurationError: an argument is invalid, or a library is not installed.
        """


class IEventStreamPlugin(Interface):
    """What the plugin search finds: the name of a bus, and its factory."""

    name: str = Attribute("The name in options.")
    factory: str = Attribute("The dotted name of a callable that returns an `IEventStreamFactory`.")
