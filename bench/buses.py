"""Progress events per second into one node from Kafka and from NATS JetStream, against POST /events in the same run.

Starts the brokers that `make test-ingest` fetches, and `twistd craftnet` with the memory back end; without them, the
benchmark is skipped. The events are on the bus before the server may read them, so that the publisher costs nothing.

    python bench/buses.py --events 50000
"""

from __future__ import annotations

import argparse
import http.client
import os
import re
import secrets
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import uuid4

import msgspec
from ingest import batches, cpu_of, progress, running_server, start
from twisted.trial.unittest import SkipTest

from craftnet.access.development import sign_token
from craftnet.access.principal import PUBLISH
from craftnet.streams.core import nats as wire
from craftnet.tests.support.brokers import CHOSEN, KafkaBroker, NatsServer

PARTITIONS = 4
SESSIONS = 2000
BODY = 500
TIMEOUT = 60.0
"""Seconds for a broker to answer, and for the events to be applied."""

Publish = Callable[[str, list[bytes]], None]


def accepted(port: int) -> int:
    """How many events the server has accepted."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    found = re.search(r'^craftnet_events_total\{verdict="accepted"\} ([\d.e+]+)$', text, re.M)
    return 0 if found is None else int(float(found[1]))


def wait_for(port: int, number: int) -> None:
    """Waits until the server has accepted that many events."""
    deadline = time.perf_counter() + TIMEOUT
    while accepted(port) < number:
        if time.perf_counter() > deadline:
            raise SystemExit(f"only {accepted(port)} of {number} events were accepted")
        time.sleep(0.02)


@contextmanager
def kafka() -> Iterator[tuple[str, Publish]]:
    """A broker; yields the option of the server, and what publishes."""
    from confluent_kafka import Producer
    from confluent_kafka.admin import AdminClient
    from confluent_kafka.cimpl import NewTopic

    broker = KafkaBroker()
    try:
        broker.start()
        quiet = {"bootstrap.servers": broker.address, "log_level": 0}
        topics = [NewTopic(name, PARTITIONS) for name in ("events", "progress")]
        admin = AdminClient(quiet)
        for created in admin.create_topics(topics, operation_timeout=TIMEOUT).values():
            created.result(TIMEOUT)
        producer = Producer({**quiet, "compression.type": "lz4", "queue.buffering.max.messages": 1_000_000})

        def publish(topic: str, events: list[bytes]) -> None:
            for number, event in enumerate(events):  # a session's events go to one partition, and stay in order.
                producer.produce(topic, event, key=str(number % SESSIONS))
            producer.flush(TIMEOUT)

        yield f"kafka:brokers={broker.address}:group=bench:topics=events,progress", publish
    finally:
        broker.remove()


@contextmanager
def nats() -> Iterator[tuple[str, Publish]]:
    """A server with JetStream; yields as `kafka` does."""
    server = NatsServer()
    try:
        server.start()
        connection = _connected(server.port)

        def flush() -> None:
            connection.sendall(wire.PING)
            while b"PONG" not in (octets := connection.recv(65536)):
                if not octets:
                    raise SystemExit("the NATS server is gone")

        connection.sendall(wire.connect("bench"))
        while b"PONG" not in connection.recv(65536):
            pass
        config = {"name": "S", "subjects": ["events", "progress"]}
        connection.sendall(wire.publish("$JS.API.STREAM.CREATE.S", msgspec.json.encode(config)))
        flush()

        def publish(subject: str, events: list[bytes]) -> None:
            for index in range(0, len(events), BODY):
                connection.sendall(b"".join(wire.publish(subject, event) for event in events[index : index + BODY]))
            flush()

        yield f"nats:servers={server.url}:stream=S", publish
        connection.close()
    finally:
        server.remove()


def _connected(port: int) -> socket.socket:
    deadline = time.perf_counter() + TIMEOUT
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT)
        except ConnectionError:
            if time.perf_counter() > deadline:
                raise
            time.sleep(0.02)


def measure(option: str, publish: Publish, starts: list[bytes], events: list[bytes]) -> tuple[float, float]:
    """Seconds, and seconds of the server's CPU, until it has accepted the events."""
    with running_server(secrets.token_hex(32), "--ingest", option) as (pid, port):
        publish("events", starts)
        wait_for(port, len(starts))
        os.kill(pid, signal.SIGSTOP)
        publish("progress", events)
        cpu, before = cpu_of(pid), time.perf_counter()
        os.kill(pid, signal.SIGCONT)
        wait_for(port, len(starts) + len(events))
        return time.perf_counter() - before, cpu_of(pid) - cpu


def measure_posts(starts: list[bytes], events: list[bytes]) -> tuple[float, float]:
    """The same with POST /events, over one connection."""
    secret = secrets.token_hex(32)
    headers = {
        "Authorization": f"Bearer {sign_token(secret.encode(), None, [PUBLISH], 3600, time.time())}",
        "Content-Type": "application/x-ndjson",
    }
    with running_server(secret) as (pid, port):
        connection = http.client.HTTPConnection("127.0.0.1", port)

        def post(body: bytes) -> None:
            connection.request("POST", "/events", body, headers)
            connection.getresponse().read()

        for body in batches(starts, BODY):
            post(body)
        cpu, before = cpu_of(pid), time.perf_counter()
        for body in batches(events, BODY):
            post(body)
        wait_for(port, len(starts) + len(events))
        return time.perf_counter() - before, cpu_of(pid) - cpu


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=50_000)
    arguments = parser.parse_args()
    os.environ[CHOSEN] = "1"
    sessions = [uuid4() for _ in range(SESSIONS)]
    count = arguments.events

    def made() -> tuple[list[bytes], list[bytes]]:
        return [start(each) for each in sessions], [progress(sessions[n % len(sessions)]) for n in range(count)]

    took, cpu = measure_posts(*made())
    floor = count / took
    print(f"{count} progress events into one node, memory back end; {BODY} in a body, {PARTITIONS} partitions")
    print(f"  POST /events    {floor:9,.0f}/s (floor)  {cpu / count * 1e6:6.1f} µs of the server's CPU an event")
    for name, bus in (("Kafka", kafka), ("NATS JetStream", nats)):
        try:
            with bus() as (option, publish):
                took, cpu = measure(option, publish, *made())
        except SkipTest as error:
            print(f"  {name}: skipped: {error}")
            continue
        rate = count / took
        print(
            f"  {name:14}  {rate:9,.0f}/s  {cpu / count * 1e6:6.1f} µs of the server's CPU an event"
            f"  {rate / floor:.2f} of the floor's rate"
        )


if __name__ == "__main__":
    main()
