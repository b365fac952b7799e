"""The address of a service: the base URL that a user gives, and the URLs of the routes that the client needs. Pure."""

from __future__ import annotations

from uuid import UUID

from hyperlink import URL, DecodedURL, URLParseError

from craftnet.contract.position import Position
from craftnet.errors import ConfigurationError

_SECURE = {"http": False, "ws": False, "https": True, "wss": True}
_PORTS = {False: 80, True: 443}


class Address:
    """A service's base URL, with the scheme http(s) or ws(s), with or without a path before the routes.

    Raises:
        ConfigurationError: the text is not such a URL, or contains a part that a base URL must not have.
    """

    def __init__(self, text: str) -> None:
        try:
            url = DecodedURL(URL.from_text(text.strip()))
            url = url.replace(scheme=url.scheme.lower())  # RFC 3986 section 3.1: schemes are case-insensitive.
        except (URLParseError, UnicodeError, ValueError) as error:
            raise ConfigurationError(f"not a URL: {error}") from error
        if url.scheme not in _SECURE or not url.host:
            raise ConfigurationError("the URL must look like http://HOST:PORT or https://HOST:PORT")
        if url.port is not None and not 0 < url.port < 65536:
            raise ConfigurationError("the port must be from 1 to 65535")
        if any(url.userinfo) or url.query or url.fragment:
            raise ConfigurationError("the URL must not contain a user, a query or a fragment")
        self.secure: bool = _SECURE[url.scheme]
        self.host: str = url.host
        # hyperlink knows the default ports of http and https; 80 and 443 are those of ws and wss as well.
        self.port: int = url.port or _PORTS[self.secure]
        self._base: DecodedURL = url.replace(path=[segment for segment in url.path if segment], port=self.port)

    def feed(self, session_id: UUID, player_id: UUID, resume: Position | None = None, *, expected: bool = False) -> str:
        """The WebSocket URL of a session.

        Arguments:
            resume: the position to continue from.
            expected: whether the client extrapolates by the expected time, where the server states one.
        """
        route = self._base.replace(scheme="wss" if self.secure else "ws").child("ws", "crafting", str(session_id))
        route = route.add("player_id", str(player_id))
        if expected:
            route = route.add("expected", "1")
        if resume is not None:
            route = route.add("resume", str(resume))
        return str(route.to_text())

    def player(self, player_id: UUID, transport: str = "ws") -> str:
        """The URL of everything of a player, for a request of HTTP: "ws" answers the current state, "sse" streams."""
        route = self._base.replace(scheme="https" if self.secure else "http")
        return str(route.child(transport, "player", str(player_id)).to_text())

    def queue(self, player_id: UUID, device: str) -> str:
        """The WebSocket URL of a player's queues, on which a client registers as the player's device of that name."""
        route = self._base.replace(scheme="wss" if self.secure else "ws").child("ws", "queue", str(player_id))
        return str(route.add("device", device).to_text())

    def connect(self, session_id: UUID) -> str:
        """The URL that opens a UDP session."""
        route = self._base.replace(scheme="https" if self.secure else "http")
        return str(route.child("udp", "sessions", str(session_id), "connect").to_text())

    def sessions(self, player_id: UUID) -> str:
        """The URL that lists the player's current sessions."""
        route = self._base.replace(scheme="https" if self.secure else "http")
        return str(route.child("players", str(player_id), "sessions").to_text())

    def admin(self, *segments: str, **query: str | None) -> str:
        """The URL of a route below /admin; query parameters that are None are left out."""
        route = self._base.replace(scheme="https" if self.secure else "http").child("admin", *segments)
        for name, value in query.items():
            route = route if value is None else route.add(name, value)
        return str(route.to_text())

    def relay(self) -> str:
        """The WebSocket URL by which an edge follows this service."""
        return str(self._base.replace(scheme="wss" if self.secure else "ws").child("ws", "relay").to_text())

    def admin_feed(self) -> str:
        """The WebSocket URL of the admin feed."""
        return str(self._base.replace(scheme="wss" if self.secure else "ws").child("ws", "admin").to_text())

    def events(self) -> str:
        """The URL to which the crafting authority posts events."""
        route = self._base.replace(scheme="https" if self.secure else "http")
        return str(route.child("events").to_text())
