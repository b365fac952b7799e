"""Kafka as an `IEventStream`, and the factory behind `--ingest kafka:…`."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from msgspec import Struct
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.internet.threads import blockingCallFromThread, deferToThreadPool
from twisted.logger import Logger
from twisted.python.threadpool import ThreadPool
from zope.interface import implementer

from craftnet.clocks import IClock
from craftnet.errors import ConfigurationError
from craftnet.streams.core.messages import StreamMessage
from craftnet.streams.interfaces import IEventStream, IEventStreamFactory, IStreamReceiver, StreamStatus
from craftnet.streams.registry import REPLAY_HELP, replay_seconds

RETRY_DELAY, MAX_RETRY_DELAY = 1.0, 30.0
"""Seconds between the failure of a reader and the start of the next one: at first, doubling; at most."""

STABLE = 60.0
"""Seconds after which a reader that fails is followed by the next one after `RETRY_DELAY` again."""

PASSWORD_VARIABLE = "CRAFTNET_KAFKA_PASSWORD"
"""The environment variable with the password of SASL, unless the file of properties has it."""

FIXED_PROPERTIES = {
    # Reading never commits by itself: only messages that the back end has kept are committed.
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    # Members keep their partitions while others join or leave.
    "partition.assignment.strategy": "cooperative-sticky",
    # If the committed offset no longer exists, reading resumes at the oldest message.
    "auto.offset.reset": "earliest",
}
"""Properties of librdkafka that operators may not set."""

DEFAULTS: Mapping[str, Any] = {
    # After ten seconds, other members read a dead node's partitions.
    "session.timeout.ms": 10_000,
    "heartbeat.interval.ms": 3_000,
    # librdkafka fetches ahead; its buffer adds to craftnet's own.
    "queued.max.messages.kbytes": 16_384,
    "reconnect.backoff.max.ms": 5_000,
}
"""Defaults that differ from librdkafka's, and that operators may change."""


class KafkaSettings(Struct, frozen=True):
    """The arguments of `--ingest kafka:…`.

    Attributes:
        replay: seconds; a partition without a committed offset is read from this long ago.
        properties: further properties of librdkafka, such as those of TLS and SASL.
    """

    brokers: str
    group: str
    topics: tuple[str, ...]
    replay: float
    properties: Mapping[str, str] = {}

    @property
    def configuration(self) -> dict[str, Any]:
        """The configuration of a `confluent_kafka.Consumer`."""
        own = {"bootstrap.servers": self.brokers, "group.id": self.group}
        return {
            "client.id": f"craftnet-{socket.gethostname()}",
            **DEFAULTS,
            **self.properties,
            **FIXED_PROPERTIES,
            **own,
        }


def read_properties(path: str) -> dict[str, str]:
    """Reads properties from a file, one `name=value` a line; lines that begin with # are comments.

    Raises:
        ConfigurationError: the file cannot be read, a line has another form, or craftnet sets the property itself. No
            error contains a value, since values may be secrets.
    """
    try:
        with open(path, encoding="utf-8") as file:
            lines = [line.strip() for line in file]
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigurationError(f"kafka: properties={path} cannot be read: {reason}") from None
    properties = {}
    for number, line in enumerate(lines, 1):
        if not line or line.startswith("#"):
            continue
        name, equals, value = (part.strip() for part in line.partition("="))
        if not equals or not name:
            raise ConfigurationError(f"kafka: {path}, line {number}: expected name=value")
        if name in FIXED_PROPERTIES or name in ("bootstrap.servers", "group.id"):
            raise ConfigurationError(f"kafka: {path}, line {number}: craftnet sets {name}")
        properties[name] = value
    return properties


@implementer(IEventStream)
class KafkaStream:
    """Reads topics as a member of a consumer group, in a thread.

    Arguments:
        new_reader: makes a `craftnet.streams.kafka.reader.KafkaReader` for the given receiver; its module needs
            confluent-kafka.
        reactor: a clock that also provides `IReactorFromThreads`.
        is_passing: whether an error comes from Kafka rather than from a fault of the code.
    """

    _log = Logger()

    def __init__(self, new_reader: Callable[[Any], Any], reactor: Any, is_passing: Callable[[Exception], bool]) -> None:
        self._new_reader = new_reader
        self._is_passing = is_passing
        self._reactor = reactor
        self._threads = ThreadPool(0, 1, "kafka")
        self._receiver: Any = None
        self._reader: Any = None
        self._reading: Deferred[None] | None = None
        self._delay: Deferred[None] | None = None
        self._pausing = False
        self._stopping = False
        self._problem = "not connected yet"

    def start(self, receiver: IStreamReceiver) -> None:
        """As in `IEventStream`."""
        self._receiver = receiver
        self._threads.start()
        self._reading = Deferred.fromCoroutine(self._read_on())

    def pause(self) -> None:
        """As in `IEventStream`."""
        self._set_pausing(True)

    def resume(self) -> None:
        """As in `IEventStream`."""
        self._set_pausing(False)

    def finish(self, messages: Sequence[StreamMessage]) -> None:
        """As in `IEventStream`."""
        if self._reader is not None:
            self._reader.finished.append(messages)

    async def _stop(self) -> None:
        self._stopping = True
        if self._delay is not None:
            self._delay.cancel()
        if self._reader is not None:
            self._reader.stopping = True
        if self._reading is not None:
            await self._reading
            self._threads.stop()

    def stop(self) -> Deferred[None]:
        """As in `IEventStream`."""
        return Deferred.fromCoroutine(self._stop())

    def status(self) -> StreamStatus:
        """As in `IEventStream`."""
        return StreamStatus(self._problem) if self._reader is None else self._reader.status

    def deliver(self, messages: Sequence[StreamMessage]) -> None:
        """As in `KafkaReceiver`."""
        self._reactor.callFromThread(self._receiver.received, messages)

    def revoke(self, partitions: Collection[str]) -> None:
        """As in `KafkaReceiver`."""
        blockingCallFromThread(self._reactor, self._receiver.revoked, partitions)

    def _set_pausing(self, pausing: bool) -> None:
        self._pausing = pausing
        if self._reader is not None:
            self._reader.pausing = pausing

    async def _read_on(self) -> None:
        delay = RETRY_DELAY
        while not self._stopping:
            began = self._reactor.seconds()
            try:
                self._reader = self._new_reader(self)
                self._reader.pausing = self._pausing
                await deferToThreadPool(self._reactor, self._threads, self._reader.run)
            except Exception as error:  # a temporary error of librdkafka's, or a fault of the code.
                self._problem = f"reading from Kafka failed: {error}"
                if not self._is_passing(error):
                    self._log.failure("reading from Kafka failed")
            finally:
                self._reader = None
            if not self._stopping:
                delay = RETRY_DELAY if self._reactor.seconds() >= began + STABLE else delay
                await self._pause_after_failure(delay)
                delay = min(2 * delay, MAX_RETRY_DELAY)

    async def _pause_after_failure(self, delay: float) -> None:
        self._delay = deferLater(self._reactor, delay)
        try:
            await self._delay
        except CancelledError:
            return
        finally:
            self._delay = None


@implementer(IEventStreamFactory)
class KafkaFactory:
    """Builds `KafkaStream`s."""

    name = "kafka"
    summary = "topics of Apache Kafka, as a member of a consumer group; needs the extra craftnet[kafka]"
    arguments: Mapping[str, str] = {
        "brokers": "HOST:PORT of some brokers, separated by commas",
        "group": "the consumer group (default crafting_progress_consumer); nodes that share their state share it",
        "topics": "the topics, separated by commas (default game.crafting.events,game.crafting.progress)",
        "replay": REPLAY_HELP,
        "properties": "file with more properties of librdkafka, name=value a line, such as security.protocol=SASL_SSL; "
        f"sasl.password may be in {PASSWORD_VARIABLE} instead",
    }

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._environ = environ

    def build(self, reactor: IClock, arguments: Mapping[str, str]) -> KafkaStream:
        """As in `IEventStreamFactory`."""
        settings = kafka_settings(arguments, self._environ)
        try:
            from confluent_kafka import Consumer, KafkaException  # imported here because it is an extra.

            from craftnet.streams.kafka.reader import KafkaReader
        except ImportError as error:
            raise ConfigurationError(
                f"--ingest kafka needs confluent-kafka: pip install 'craftnet[kafka]' ({error})"
            ) from None

        def consumer(callbacks: dict[str, Any]) -> Any:
            return Consumer({**settings.configuration, **callbacks, "logger": _LibraryLog()})

        try:
            Consumer(settings.configuration).close()
        except KafkaException as error:
            raise ConfigurationError(f"kafka: {error.args[0].str()}") from None
        return KafkaStream(
            lambda receiver: KafkaReader(
                consumer, settings.topics, settings.replay, receiver, reactor.wall, reactor.seconds
            ),
            reactor,
            lambda error: isinstance(error, KafkaException),
        )


class _LibraryLog:
    """Takes librdkafka's log in place of a `logging.Logger`."""

    _log = Logger("craftnet.streams.kafka.librdkafka")

    def log(self, level: int, text: str, *arguments: object) -> None:
        """Logs a line; `level` is one of Python's logging."""
        self._log.debug("librdkafka, level {severity}: {line}", line=text % arguments, severity=level)


def kafka_settings(arguments: Mapping[str, str], environ: Mapping[str, str]) -> KafkaSettings:
    """Parses the arguments of `--ingest kafka:…`.

    Raises:
        ConfigurationError: an argument is missing or invalid.
    """
    brokers = arguments.get("brokers", "")
    if not brokers:
        raise ConfigurationError("kafka: brokers=HOST:PORT is missing")
    topics = arguments.get("topics", "game.crafting.events,game.crafting.progress").split(",")
    topics = [topic.strip() for topic in topics if topic.strip()]
    group = arguments.get("group", "crafting_progress_consumer")
    if not topics or not group:
        raise ConfigurationError("kafka: topics= and group= must not be empty")
    properties = read_properties(arguments["properties"]) if "properties" in arguments else {}
    if password := environ.get(PASSWORD_VARIABLE):
        properties = {"sasl.password": password, **properties}
    return KafkaSettings(brokers, group, tuple(topics), replay_seconds("kafka", arguments), properties)
