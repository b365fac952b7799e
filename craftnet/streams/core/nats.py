"""The NATS client protocol, and JetStream on top of it: bytes in, frames out. Pure.

Sources: the NATS client protocol (docs.nats.io, "Client Protocol"), and JetStream's wire API (ADR-4 for headers, ADR-13
for pull requests, ADR-42 for pinned clients).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import msgspec
from msgspec import Struct

from craftnet.contract.messages import rfc3339
from craftnet.errors import CraftnetError

MAX_LINE = 65_536
"""Maximum length of a control line in bytes; INFO is the longest."""

MAX_PAYLOAD = 8 * 1_048_576
"""Maximum length in bytes of a payload with its headers; servers allow 1 MiB by default."""

CRLF = b"\r\n"

PRIORITY_GROUP = "craftnet"
"""The priority group of a consumer; one of its clients at a time gets messages."""

PIN_TIMEOUT = 10.0
"""Seconds without a pull request after which the server lets another client have the messages."""

ACK_WAIT = 20.0
"""Seconds after which the server delivers an unacknowledged message again."""

MAX_ACK_PENDING = 30_000
"""Number of unacknowledged messages at which the server stops delivering."""


class NatsError(CraftnetError):
    """The server does not speak NATS, or reports an error that ends the connection."""


class Info(Struct, frozen=True):
    """`INFO`: the server's description of itself."""

    version: str = ""
    headers: bool = False
    jetstream: bool = False
    tls_required: bool = False
    tls_available: bool = False
    nonce: str = ""


class Delivery(Struct, frozen=True):
    """`MSG` or `HMSG`.

    Attributes:
        reply_to: the subject for an answer; empty if none is expected.
        headers: the raw headers; empty if there are none.
    """

    subject: str
    reply_to: str
    headers: bytes
    payload: bytes

    @property
    def status(self) -> int:
        """The status in the headers, such as 100, 408, 409; 0 for a message."""
        found = re.match(rb"NATS/1\.0[ \t]+(\d{3})", self.headers)
        return 0 if found is None else int(found[1])

    @property
    def description(self) -> str:
        """The text after the status."""
        first = self.headers.partition(CRLF)[0].decode("utf-8", "replace").split(None, 2)
        return first[2] if len(first) > 2 else ""

    def header(self, name: str) -> str:
        """The value of a header; empty if it is absent."""
        found = re.search(rb"\r\n%b:[ \t]*([^\r\n]*)" % re.escape(name.encode()), self.headers)
        return "" if found is None else found[1].decode("utf-8", "replace").strip()


class Ping(Struct, frozen=True):
    """`PING`: the server wants a `PONG`."""


class Pong(Struct, frozen=True):
    """`PONG`: the answer to this client's PING."""


class ServerError(Struct, frozen=True):
    """`-ERR`: an error."""

    text: str


Frame = Info | Delivery | Ping | Pong | ServerError

_decode_info = msgspec.json.Decoder(Info).decode


class NatsParser:
    """Splits the server's bytes into frames, wherever reads divide them."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._pending: tuple[str, str, int, int] | None = None  # subject, reply, length of headers, total.

    @property
    def has_more(self) -> bool:
        """Whether bytes follow the last complete frame."""
        return bool(self._buffer)

    def feed(self, octets: bytes) -> Iterator[Frame]:
        """The frames that these bytes complete.

        Raises:
            NatsError: the bytes are not NATS.
        """
        self._buffer += octets
        while (frame := self._next()) is not None:
            if frame is not _NOTHING:
                yield frame  # type: ignore[misc]  # a frame, as it is not that object.

    def _next(self) -> Frame | object | None:
        """The next frame; None while it is incomplete; `_NOTHING` for a line that is not a frame."""
        if self._pending is not None:
            return self._payload(*self._pending)
        end = self._buffer.find(CRLF)
        if end < 0:
            if len(self._buffer) > MAX_LINE:
                raise NatsError("the server sends a line that is too long")
            return None
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        return self._line(line)

    def _line(self, line: bytes) -> Frame | object:
        word, _, rest = line.partition(b" ")
        match word.upper():
            case b"INFO":
                try:
                    return _decode_info(rest)
                except msgspec.DecodeError as error:
                    raise NatsError(f"the server's INFO cannot be read: {error}") from None
            case b"MSG" | b"HMSG" as kind:
                self._pending = _message_line(rest, with_headers=kind == b"HMSG")
                return _NOTHING
            case b"PING":
                return Ping()
            case b"PONG":
                return Pong()
            case b"+OK":
                return _NOTHING
            case b"-ERR":
                return ServerError(rest.decode("utf-8", "replace").strip(" '"))
        raise NatsError(f"the server sends {line[:40]!r}, which is not NATS")

    def _payload(self, subject: str, reply_to: str, headers: int, length: int) -> Frame | None:
        if len(self._buffer) < length + 2:
            return None
        if self._buffer[length : length + 2] != CRLF:
            raise NatsError("a message of the server is not as long as its head says")
        frame = Delivery(subject, reply_to, bytes(self._buffer[:headers]), bytes(self._buffer[headers:length]))
        del self._buffer[: length + 2]
        self._pending = None
        return frame


_NOTHING = object()


def _message_line(rest: bytes, *, with_headers: bool) -> tuple[str, str, int, int]:
    """The subject, the reply subject, the length of the headers, and the total length."""
    words = rest.decode("utf-8", "replace").split()
    lengths = words[-2:] if with_headers else words[-1:]
    names = words[: -len(lengths)]
    if not 2 <= len(names) <= 3 or not all(re.fullmatch(r"\d{1,9}", text) for text in lengths):
        raise NatsError(f"the server sends a message with the head {rest[:80]!r}")
    headers, length = (int(lengths[0]), int(lengths[1])) if with_headers else (0, int(lengths[0]))
    if headers > length or length > MAX_PAYLOAD:
        raise NatsError(f"the server sends a message of {length} bytes, of which {headers} are headers")
    return names[0], names[2] if len(names) == 3 else "", headers, length


def connect(name: str, credentials: Mapping[str, str] = MappingProxyType({})) -> bytes:
    """`CONNECT`, followed by a `PING` whose answer shows that the server has accepted it.

    Arguments:
        credentials: the fields that `NatsCredentials.answer` returns.
    """
    options: dict[str, object] = {
        "verbose": False,
        "pedantic": False,
        "headers": True,
        "no_responders": True,
        "echo": True,
        "protocol": 1,
        "lang": "python-craftnet",
        "version": "1",
        "name": name,
        **credentials,
    }
    return b"CONNECT " + msgspec.json.encode(options) + CRLF + PING


PING, PONG = b"PING\r\n", b"PONG\r\n"


def subscribe(subject: str, number: int) -> bytes:
    """`SUB`."""
    return f"SUB {subject} {number}\r\n".encode()


def unsubscribe(number: int) -> bytes:
    """`UNSUB`."""
    return f"UNSUB {number}\r\n".encode()


def publish(subject: str, payload: bytes, reply_to: str = "") -> bytes:
    """`PUB`."""
    return b"PUB %b %b%d\r\n%b\r\n" % (
        subject.encode(),
        f"{reply_to} ".encode() if reply_to else b"",
        len(payload),
        payload,
    )


def acknowledgements(reply_subjects: Iterable[str]) -> bytes:
    """Acknowledges messages, each at its reply subject."""
    return b"".join(b"PUB %b 4\r\n+ACK\r\n" % subject.encode() for subject in reply_subjects)


def refusals(reply_subjects: Iterable[str]) -> bytes:
    """Gives messages back; the server delivers them again at once."""
    return b"".join(b"PUB %b 4\r\n-NAK\r\n" % subject.encode() for subject in reply_subjects)


class Delivered(Struct, frozen=True):
    """The information in the reply subject of a JetStream message.

    Attributes:
        sequence: the message's number in the stream.
        timestamp: when it was stored, Unix seconds.
        pending: number of messages of the stream that follow it.
    """

    sequence: int
    timestamp: float
    pending: int


def delivered(reply_to: str) -> Delivered | None:
    """Parses a reply subject; returns None for one of another form.

    `$JS.ACK.<stream>.<consumer>.<deliveries>.<sequence>.<of the consumer>.<nanoseconds>.<pending>`, or with the domain
    and the account after ACK, and further parts at the end.
    """
    parts = reply_to.split(".")
    if len(parts) < 9 or parts[:2] != ["$JS", "ACK"]:
        return None
    numbers = parts[5:9] if len(parts) == 9 else parts[7:11]
    if len(numbers) < 4 or not all(re.fullmatch(r"\d{1,20}", each) for each in numbers):
        return None
    return Delivered(int(numbers[0]), int(numbers[2]) / 1e9, int(numbers[3]))


def consumer_config(name: str, since: float | None, subjects: tuple[str, ...]) -> dict[str, Any]:
    """The configuration of a durable consumer.

    Arguments:
        since: Unix seconds; None: it begins with the next message.
        subjects: the subjects it reads; empty: all subjects of the stream.
    """
    begin = (
        {"deliver_policy": "new"}
        if since is None
        else {"deliver_policy": "by_start_time", "opt_start_time": rfc3339(since)}
    )
    return {
        "name": name,
        "durable_name": name,
        "ack_policy": "explicit",
        "replay_policy": "instant",
        "ack_wait": int(ACK_WAIT * 1e9),
        "max_ack_pending": MAX_ACK_PENDING,
        "max_deliver": -1,
        "priority_groups": [PRIORITY_GROUP],
        "priority_policy": "pinned_client",
        "priority_timeout": int(PIN_TIMEOUT * 1e9),
        **begin,
        **({"filter_subjects": list(subjects)} if subjects else {}),
    }


def pull(batch: int, expires: float, heartbeat: float, pin: str) -> bytes:
    """The body of a pull request; times in seconds."""
    request: dict[str, object] = {
        "batch": batch,
        "expires": int(expires * 1e9),
        "idle_heartbeat": int(heartbeat * 1e9),
        "group": PRIORITY_GROUP,
        **({"id": pin} if pin else {}),
    }
    return msgspec.json.encode(request)


class ApiError(Struct, frozen=True):
    """An error of JetStream's API."""

    err_code: int = 0
    description: str = ""


class ConsumerInfo(Struct, frozen=True):
    """JetStream's answer to a query of a consumer, or its error."""

    error: ApiError | None = None
    config: Mapping[str, Any] = {}
    num_pending: int = 0
    num_ack_pending: int = 0
    num_waiting: int = 0

    @property
    def is_missing(self) -> bool:
        """Whether the consumer does not exist."""
        return self.error is not None and self.error.err_code == 10014

    @property
    def problem(self) -> str:
        """Why the consumer cannot be used; empty if it can."""
        if self.error is not None:
            return self.error.description
        if self.config.get("ack_policy") != "explicit" or self.config.get("deliver_subject"):
            return "the consumer is not a pull consumer with explicit acknowledgements: let craftnet create its own"
        if self.config.get("priority_policy") != "pinned_client":
            return (
                "the consumer has no priority policy pinned_client, without which nodes would get messages out of "
                "order: use nats-server 2.11 or newer, and let craftnet create the consumer"
            )
        return ""


parse_consumer_info = msgspec.json.Decoder(ConsumerInfo).decode
