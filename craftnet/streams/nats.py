"""NATS JetStream as an `IEventStream`, and the factory behind `--ingest nats:…`. No client library is needed.

A consumer's messages go to one client at a time while the others stand by, so that they stay in order on all nodes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from itertools import count
from random import Random
from typing import Any
from uuid import uuid4

import msgspec
from twisted.application.internet import ClientService, backoffPolicy
from twisted.internet.defer import Deferred, TimeoutError, succeed
from twisted.internet.protocol import Factory
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from zope.interface import implementer

from craftnet.clocks import IClock
from craftnet.streams.core import nats as wire
from craftnet.streams.core.messages import StreamMessage
from craftnet.streams.interfaces import IEventStream, IEventStreamFactory, IStreamReceiver, StreamStatus
from craftnet.streams.nats_connection import AnyServer, NatsConnection
from craftnet.streams.nats_settings import ARGUMENTS, NatsSettings, nats_settings

PULL_BATCH = 500
"""Messages per pull request; the next request is sent once half of them have arrived."""

PULL_SECONDS = 30.0
"""Seconds until a pull request expires."""

HEARTBEAT = 5.0
"""Seconds between the server's heartbeats while a pull request is open."""

SILENCE_TIMEOUT = 2.5 * HEARTBEAT
"""Seconds without a byte after which the connection counts as lost."""

CHECK_INTERVAL = 2.0
"""Seconds between queries of the consumer, which show the lag."""

STOP_TIMEOUT = 3.0
"""Seconds allowed for the last acknowledgements."""


@implementer(IEventStream)
class NatsStream:
    """Reads through a durable consumer with pull requests.

    Arguments:
        clock: the clock; also provides `IReactorTCP`.
    """

    _log = Logger()

    def __init__(self, settings: NatsSettings, clock: Any) -> None:
        self._settings = settings
        self.clock = clock
        self._receiver: IStreamReceiver | None = None
        self._connection: NatsConnection | None = None
        self._inbox = f"_INBOX.{uuid4().hex}"
        self._pulls: dict[int, int] = {}  # messages that each open request may still bring, by request number.
        self._numbers = count(1)
        self._ready = False
        self._pausing = False
        self._pin = ""
        self._pending = 0
        self._unfinished: dict[int, str] = {}  # the reply subject of each unfinished message, by sequence.
        self._received: list[StreamMessage] = []
        self._acknowledged: list[str] = []  # reply subjects to acknowledge on the next connection.
        self._problem = "not connected yet"
        self._partial = False
        self._refusals = 0  # connections in a row that the servers did not accept.
        self._flush: Deferred[None] | None = None
        self._client: ClientService | None = None
        self._checks = LoopingCall(self._check)
        self._checks.clock = clock

    def start(self, receiver: IStreamReceiver) -> None:
        """As in `IEventStream`."""
        self._receiver = receiver
        draw = Random().random
        delays = backoffPolicy(initialDelay=0.2, maxDelay=5.0, factor=1.6, jitter=lambda: draw() * 0.2)
        endpoint = AnyServer(self, self._settings.servers, self.clock)
        factory: Any = Factory.forProtocol(lambda: NatsConnection(self, endpoint.server, self._settings))
        factory.noisy = False

        def delay(attempt: int) -> float:
            """A connection that the server does not accept counts as one that it refuses."""
            return float(delays(attempt + self._refusals))

        self._client = ClientService(endpoint, factory, retryPolicy=delay, clock=self.clock)
        self._client.startService()
        self._checks.start(CHECK_INTERVAL, now=False)

    def pause(self) -> None:
        """As in `IEventStream`: no further request is sent."""
        self._pausing = True

    def resume(self) -> None:
        """As in `IEventStream`."""
        self._pausing = False
        self._pull()

    def finish(self, messages: Sequence[StreamMessage]) -> None:
        """As in `IEventStream`."""
        for message in messages:
            self._unfinished.pop(message.offset, None)
        self._acknowledged += [message.reply_to for message in messages]
        self._acknowledge()

    def stop(self) -> Deferred[None]:
        """As in `IEventStream`; another client gets the messages at once."""
        return Deferred.fromCoroutine(self._stop())

    def status(self) -> StreamStatus:
        """As in `IEventStream`. Of a client that stands by, the lag is 0: the one that reads reports it."""
        stands_by = self._partial and not self._pin
        lag = 0 if stands_by else self._pending + len(self._unfinished)
        return StreamStatus(self._problem, {self._settings.stream: lag}, self._partial)

    def connected(self, connection: NatsConnection) -> None:
        """The server accepted a connection."""
        self._connection, self._refusals = connection, 0
        self._problem = ""
        connection.write(wire.subscribe(f"{self._inbox}.*", 1))
        self._acknowledge()
        self._ask()

    def disconnected(self, connection: NatsConnection) -> None:
        """A connection ended, accepted or not. Finished messages are acknowledged on the next one."""
        if connection is not self._connection:
            self._refusals += 1
            return
        self._connection, self._ready, self._pin = None, False, ""
        self._problem = self._problem or "the connection to NATS is lost"
        self._pulls.clear()
        if self._flush is not None:
            self.flushed()

    def failed(self, problem: str) -> None:
        """Records a problem of the connection."""
        self._problem = problem

    def flushed(self) -> None:
        """The server has processed everything that was sent before the last PING."""
        flush, self._flush = self._flush, None
        if flush is not None:
            flush.callback(None)

    def delivered(self, delivery: wire.Delivery) -> None:
        """Handles a message, a status, or an answer."""
        name = delivery.subject.removeprefix(f"{self._inbox}.")
        if name == "info":
            self._informed(wire.parse_consumer_info(delivery.payload) if delivery.payload else None)
        elif (about := wire.delivered(delivery.reply_to)) is not None:
            self._message(about, delivery)
        elif delivery.status and name.isdecimal():
            self._heard_status(int(name), delivery)

    def hand_over(self) -> None:
        """Hands the messages of one read to the receiver."""
        received, self._received = self._received, []
        if received and self._receiver is not None:
            self._receiver.received(received)

    def _message(self, about: wire.Delivered, delivery: wire.Delivery) -> None:
        self._pin = delivery.header("Nats-Pin-Id") or self._pin
        if self._pulls:
            oldest = next(iter(self._pulls))
            self._pulls[oldest] -= 1
            if not self._pulls[oldest]:
                del self._pulls[oldest]
        self._pending = about.pending
        self._unfinished[about.sequence] = delivery.reply_to
        self._received.append(
            StreamMessage(delivery.payload, self._settings.stream, about.sequence, about.timestamp, delivery.reply_to)
        )
        self._pull()

    def _heard_status(self, number: int, delivery: wire.Delivery) -> None:
        if delivery.status == 100:  # a heartbeat.
            return
        self._pulls.pop(number, None)
        if delivery.status == 423:  # another client now gets the messages, the unfinished ones included.
            self._pin = ""
            self._forget()
        elif delivery.status not in (404, 408):  # no messages, or the request expired.
            self._ready = self._ready and "Deleted" not in delivery.description
            self.failed(f"the NATS server reports: {delivery.status} {delivery.description}")
            return  # the next check queries again; another request might fail at once.
        self._pull()

    def _pull(self) -> None:
        """Requests messages, unless enough are already requested."""
        if not self._ready or self._pausing or self._connection is None or sum(self._pulls.values()) > PULL_BATCH // 2:
            return
        number = next(self._numbers)
        self._pulls[number] = PULL_BATCH
        settings = self._settings
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{settings.stream}.{settings.consumer}"
        body = wire.pull(PULL_BATCH, PULL_SECONDS, HEARTBEAT, self._pin)
        self._connection.write(wire.publish(subject, body, f"{self._inbox}.{number}"))

    def _ask(self) -> None:
        """Queries the consumer."""
        self._api("INFO", b"")

    def _create(self) -> None:
        settings = self._settings
        since = self.clock.wall() - settings.replay if settings.replay else None
        config = wire.consumer_config(settings.consumer, since, settings.subjects)
        self._api("CREATE", msgspec.json.encode({"stream_name": settings.stream, "config": config}))

    def _api(self, verb: str, body: bytes) -> None:
        if self._connection is not None:
            subject = f"$JS.API.CONSUMER.{verb}.{self._settings.stream}.{self._settings.consumer}"
            self._connection.write(wire.publish(subject, body, f"{self._inbox}.info"))

    def _informed(self, info: wire.ConsumerInfo | None) -> None:
        """Handles an answer about the consumer; None: JetStream does not answer."""
        if info is None:
            self.failed("the NATS server has no JetStream")
        elif info.is_missing:
            self._ready = False
            self._create()
        elif problem := info.problem:
            self._ready = False
            self.failed(f"stream {self._settings.stream}, consumer {self._settings.consumer}: {problem}")
        else:
            self._problem = ""
            self._pending = info.num_pending
            self._partial = info.num_waiting > len(self._pulls)
            self._ready = True
            self._pull()

    def _check(self) -> None:
        connection = self._connection
        if connection is None:
            return
        if self.clock.seconds() > connection.heard_at + SILENCE_TIMEOUT:
            self.failed("the NATS server does not respond")
            connection.transport.abortConnection()  # type: ignore[union-attr]  # it is connected.
        else:
            self._ask()

    def _acknowledge(self) -> None:
        if self._connection is not None and self._acknowledged:
            self._connection.write(wire.acknowledgements(self._acknowledged))
            self._acknowledged.clear()

    def _forget(self) -> None:
        """Drops unfinished messages, which are delivered to another client."""
        self._unfinished.clear()
        if self._receiver is not None:
            self._receiver.revoked({self._settings.stream})

    async def _stop(self) -> None:
        if self._checks.running:
            self._checks.stop()
        connection = self._connection
        if connection is not None:
            connection.write(wire.unsubscribe(1))  # otherwise the messages given back would come here again.
            if self._pin:
                subject = f"$JS.API.CONSUMER.UNPIN.{self._settings.stream}.{self._settings.consumer}"
                connection.write(wire.publish(subject, msgspec.json.encode({"group": wire.PRIORITY_GROUP})))
            self._ready = False
            flush: Deferred[None] = Deferred()
            self._flush = flush
            connection.write(wire.refusals(self._unfinished.values()) + wire.PING)
            try:
                await flush.addTimeout(STOP_TIMEOUT, self.clock)
            except TimeoutError:
                self._flush = None
                self._log.warn("the NATS server does not confirm the last acknowledgements")
        if self._client is not None:
            await (self._client.stopService() or succeed(None))


@implementer(IEventStreamFactory)
class NatsFactory:
    """Builds `NatsStream`s."""

    name = "nats"
    summary = "a stream of NATS JetStream, through a durable consumer; needs nats-server 2.11 or newer"
    arguments: Mapping[str, str] = ARGUMENTS

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._environ = environ

    def build(self, reactor: IClock, arguments: Mapping[str, str]) -> NatsStream:
        """As in `IEventStreamFactory`."""
        return NatsStream(nats_settings(arguments, self._environ), reactor)
