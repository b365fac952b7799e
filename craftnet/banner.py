"""The start-up text for an operator. Pure."""

from __future__ import annotations

from shlex import quote

from msgspec import Struct

from craftnet.state import SessionState


class Served(Struct, frozen=True):
    """What is served.

    Attributes:
        url: the base URL of HTTP and WebSocket.
        udp: the address, or "off".
        backend: the operator's option.
        access: how callers authenticate.
        caution: why only loopback is served; empty otherwise.
    """

    url: str
    udp: str
    backend: str
    access: str
    caution: str = ""

    @property
    def lines(self) -> list[str]:
        """The lines of the text."""
        lines = [
            f"HTTP and WebSocket: {self.url}",
            f"UDP: {self.udp}",
            f"Back end: {self.backend}",
            f"Access: {self.access}",
        ]
        if self.caution:
            lines.append(f"Only loopback is served: {self.caution}")
        return lines


def watch_hint(session: SessionState, token: str, url: str, command: str) -> str:
    """A command to paste, and the address of a feed for other clients.

    Arguments:
        session: a running craft of the player whom the command watches.
        token: authorises watching; this text is for a terminal, not for a log.
        url: the base URL.
        command: the name of the `craftnet` command here.
    """
    return f"""
Watch a player's crafts live in another terminal:

  {quote(command)} watch --player {session.player_id} --url {url} --token {token}

The craft that is under way now, for any WebSocket client that sends the token in an Authorization header:

  {url.replace("http", "ws", 1)}/ws/crafting/{session.session_id}?player_id={session.player_id}
"""
