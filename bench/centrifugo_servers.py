"""craftnet and Centrifugo as the driver of `centrifugo.py` sees them."""

from __future__ import annotations

import json
import secrets
import sysconfig
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import jwt

from craftnet.access.development import SECRET_VARIABLE, sign_token
from craftnet.access.principal import PUBLISH
from craftnet.client.load.plan import EVENTS_PER_POST, LoadPlan, Share, tag
from craftnet.clocks import Moment
from craftnet.contract.messages import Status
from craftnet.crafting.progress import Progress
from craftnet.crafting.state import SessionState
from craftnet.crafting.updates import progress_update

TICK = 0.005
"""Seconds of updates in one batch."""

TIMEOUT = 60.0
"""Seconds for a server to start, or for all watchers to connect; a working one needs far less."""

Update = tuple[int, int]
"""A watcher, and the number of its update."""


class Server(Protocol):
    """A server, as the driver uses it.

    Attributes:
        post: path and headers of a batch.
    """

    name: str
    post: tuple[str, dict[str, str]]

    def command(self, port: int, folder: Path) -> tuple[list[str], dict[str, str]]:
        """The command that starts it, and its environment."""

    def prepare(self, send: Callable[[bytes], None]) -> None:
        """Posts whatever must exist before the watchers connect."""

    def handshake(self, number: int) -> str:
        """Path and further header lines of a watcher's handshake."""

    def first_message(self, number: int) -> bytes:
        """The watcher's first message; empty when there is none."""

    def batch(self, updates: Sequence[Update], now: float) -> bytes:
        """The body with these updates."""


class Craftnet:
    """`twistd craftnet` with the memory back end."""

    name = "craftnet"

    def __init__(self, watchers: int) -> None:
        self._secret = secrets.token_hex(32)
        plan = LoadPlan(
            url="", run=secrets.randbits(64), watchers=watchers, rate=1.0, ramp=0.0, seconds=TIMEOUT, batch=TICK
        )
        self._share = Share(plan=plan, transport="ws", first=0, watchers=watchers, token="", bound=0.0)
        self._started = time.time()
        token = sign_token(self._secret.encode(), None, [PUBLISH], 3600, time.time())
        self.post = ("/events", {"Authorization": f"Bearer {token}", "Content-Type": "application/x-ndjson"})

    def command(self, port: int, folder: Path) -> tuple[list[str], dict[str, str]]:
        """See `Server`."""
        twistd = [str(Path(sysconfig.get_path("scripts")) / "twistd"), "--nodaemon", "--pidfile=", "craftnet"]
        return [*twistd, "--udp", "off", "--http", f"tcp:{port}:interface=127.0.0.1"], {SECRET_VARIABLE: self._secret}

    def prepare(self, send: Callable[[bytes], None]) -> None:
        """See `Server`: every watcher's session is started."""
        for first in range(0, self._share.watchers, EVENTS_PER_POST):
            numbers = range(first, min(first + EVENTS_PER_POST, self._share.watchers))
            send(b"\n".join(self._share.start(number, time.time()) for number in numbers))

    def handshake(self, number: int) -> str:
        """See `Server`."""
        share, player = self._share, self._share.player(number)
        token = sign_token(self._secret.encode(), player, (), 3600, time.time())
        path = f"/ws/crafting/{share.session(number)}?player_id={player}"
        return f"GET {path} HTTP/1.1\r\nAuthorization: Bearer {token}\r\n"

    def first_message(self, number: int) -> bytes:
        """See `Server`."""
        return b""

    def batch(self, updates: Sequence[Update], now: float) -> bytes:
        """See `Server`."""
        return b"\n".join(self._share.update(number, turn, now - self._started, now) for number, turn in updates)


class Centrifugo:
    """Centrifugo with its memory engine: each watcher's token subscribes it to its channel."""

    name = "Centrifugo"

    def __init__(self, watchers: int, program: str) -> None:
        self._program = program
        self._secret, key = secrets.token_hex(32), secrets.token_hex(16)
        # Centrifugo delivers craftnet's own message.
        plan = LoadPlan(
            url="", run=secrets.randbits(64), watchers=watchers, rate=1.0, ramp=0.0, seconds=TIMEOUT, batch=TICK
        )
        self._share = Share(plan=plan, transport="ws", first=0, watchers=watchers, token="", bound=0.0)
        self._key = key
        self.post = ("/api/batch", {"X-API-Key": key, "Content-Type": "application/json"})

    def command(self, port: int, folder: Path) -> tuple[list[str], dict[str, str]]:
        """See `Server`."""
        config = {
            "client": {"token": {"hmac_secret_key": self._secret}, "allowed_origins": ["*"]},
            "http_api": {"key": self._key},
            "http_server": {"address": "127.0.0.1", "port": port},
            "log": {"level": "error"},
        }
        (folder / "config.json").write_text(json.dumps(config))
        return [self._program, "--config", str(folder / "config.json")], {}

    def prepare(self, send: Callable[[bytes], None]) -> None:
        """See `Server`: channels need nothing."""

    def handshake(self, number: int) -> str:
        """See `Server`."""
        return "GET /connection/websocket HTTP/1.1\r\n"

    def first_message(self, number: int) -> bytes:
        """See `Server`."""
        claims = {"sub": str(self._share.player(number)), "exp": int(time.time()) + 3600, "channels": [f"c{number}"]}
        token = jwt.encode(claims, self._secret, "HS256")
        return json.dumps({"id": 1, "connect": {"token": token}}).encode()

    def batch(self, updates: Sequence[Update], now: float) -> bytes:
        """See `Server`."""
        commands = []
        for number, turn in updates:
            session = self._share.session(number)
            progress = Progress(Status.ACTIVE, 1.0, now, 3600.0, tag(turn))
            state = SessionState(session, self._share.player(number), turn + 1, progress, session, now)
            (message,) = progress_update(state, Moment.agreed(now), now).json
            commands.append(b'{"publish":{"channel":"c%d","data":%b}}' % (number, message))
        return b'{"commands":[' + b",".join(commands) + b"]}"
