"""Message brokers in processes of their own, as `make test-ingest` fetches them: Apache Kafka and nats-server."""

from __future__ import annotations

import base64
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any
from uuid import uuid4

from twisted.trial.unittest import SkipTest

from craftnet.streams.core.nats_credentials import NatsCredentials
from craftnet.tests.support.certificates import issued
from craftnet.tests.support.ports import ReservedPort
from craftnet.tests.support.programs import program

BUILD = Path(__file__).resolve().parents[3] / "build"

CHOSEN = "CRAFTNET_TEST_INGEST"
"""The environment variable without which tests with brokers are skipped."""

TIME_LIMIT = 60.0
"""Seconds for a broker to start or stop; only a busy machine needs them."""


def _check_chosen(artefact: Path) -> None:
    if os.environ.get(CHOSEN) != "1":
        raise SkipTest("brokers run only in `make test-ingest`")
    if not artefact.exists():
        raise SkipTest(f"{artefact} is missing: `make test-ingest` fetches it")


class Broker:
    """A broker with a folder of its own, which outlives its process.

    Attributes:
        port: TCP port on 127.0.0.1.
        ca: the file with the certificate of the authority that signed this broker's, where it speaks TLS.
    """

    def __init__(self, prefix: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=prefix))
        self._reserved: list[ReservedPort] = []
        self.port = self._port()
        self.ca = self.folder / "ca.pem"
        self._process: subprocess.Popen[bytes] | None = None

    def certify(self) -> None:
        """Make `ca`, and the broker's own certificate and key: `server.pem`, `key.pem`."""
        made = issued("localhost")
        self.ca.write_bytes(made.root)
        (self.folder / "server.pem").write_bytes(made.chain)
        (self.folder / "key.pem").write_bytes(made.key)

    def command(self) -> Sequence[str]:
        """The command that runs it."""
        raise NotImplementedError

    def environment(self) -> Mapping[str, str]:
        """More environment variables."""
        return MappingProxyType({})

    def start(self) -> None:
        """Start it; the test waits for it by using it."""
        with (self.folder / "output").open("ab") as output:
            self._process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self.environment()},
            )

    def kill(self) -> None:
        """Kill it, as a crash does."""
        self._end(signal.SIGKILL)

    def remove(self) -> None:
        """End it and delete its folder."""
        self._end(signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)
        for port in self._reserved:
            port.close()

    def _port(self) -> int:
        self._reserved.append(ReservedPort())
        return self._reserved[-1].number

    def _end(self, number: int) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(number)
            process.wait(TIME_LIMIT)


KAFKA_USER, KAFKA_PASSWORD = "craftnet", "of-no-value"
"""Who may use the second port of a Kafka broker."""


class KafkaBroker(Broker):
    """One broker in KRaft mode, which is its own controller.

    Attributes:
        secure_port: TCP port on 127.0.0.1 of SASL_SSL, where `KAFKA_USER` has `KAFKA_PASSWORD`, SCRAM-SHA-512.

    Raises:
        SkipTest: it is not installed, or tests with brokers are not wanted.
    """

    def __init__(self) -> None:
        self._jars = BUILD / "kafka" / "lib"
        _check_chosen(self._jars)
        self._java = program("java")
        super().__init__("craftnet-kafka-")
        controller, self.secure_port = self._port(), self._port()
        self.certify()
        (self.folder / "both.pem").write_bytes(
            (self.folder / "key.pem").read_bytes() + (self.folder / "server.pem").read_bytes()
        )
        clients = f"PLAINTEXT://127.0.0.1:{self.port},SASL_SSL://localhost:{self.secure_port}"
        properties = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            "listeners": f"{clients},CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": clients,
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self.folder / "both.pem"),
            "sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": (
                "org.apache.kafka.common.security.scram.ScramLoginModule required;"
            ),
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "log.dirs": str(self.folder / "data"),
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "1",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            "group.min.session.timeout.ms": "1000",
            "message.max.bytes": "4000000",
        }
        self._settings = self.folder / "server.properties"
        self._settings.write_text("".join(f"{name}={value}\n" for name, value in properties.items()))
        cluster = base64.urlsafe_b64encode(uuid4().bytes).rstrip(b"=").decode()
        user = f"SCRAM-SHA-512=[name={KAFKA_USER},password={KAFKA_PASSWORD}]"
        arguments = ("-t", cluster, "-c", str(self._settings), "--add-scram", user)
        self._run("kafka.tools.StorageTool", "format", *arguments)

    def command(self) -> Sequence[str]:
        """See `Broker`."""
        return [self._java, "-Xmx384m", *self._main("kafka.Kafka"), str(self._settings)]

    @property
    def address(self) -> str:
        """As for `bootstrap.servers`."""
        return f"127.0.0.1:{self.port}"

    def _main(self, name: str) -> Sequence[str]:
        return ["-cp", f"{self._jars}/*", "-Dlog4j2.level=error", name]

    def _run(self, name: str, *arguments: str) -> None:
        subprocess.run([self._java, *self._main(name), *arguments], check=True, capture_output=True, timeout=TIME_LIMIT)


class NatsServer(Broker):
    """A nats-server with JetStream.

    Arguments:
        access: lines of its configuration about TLS and who may connect; `FOLDER` stands for its folder.
        credentials: whose the tests are.
        tls: the TLS options of a client; None: the server speaks none.

    Raises:
        SkipTest: as for `KafkaBroker`.
    """

    def __init__(self, access: str = "", credentials: NatsCredentials | None = None, tls: Any = None) -> None:
        self._program = BUILD / "bin" / "nats-server"
        _check_chosen(self._program)
        super().__init__("craftnet-nats-")
        self.credentials = credentials or NatsCredentials()
        self.tls = tls
        self._settings = self.folder / "nats.conf"
        self._settings.write_text(access.replace("FOLDER", str(self.folder)))

    def command(self) -> Sequence[str]:
        """See `Broker`."""
        place = ["--addr", "127.0.0.1", "--port", str(self.port), "--config", str(self._settings)]
        return [str(self._program), *place, "--jetstream", "--store_dir", str(self.folder)]

    @property
    def url(self) -> str:
        """As for `servers`."""
        return f"nats://127.0.0.1:{self.port}"
