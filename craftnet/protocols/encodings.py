"""What the subprotocols make of an update: its frames, made once for all watchers that speak the same one. Pure."""

from __future__ import annotations

from craftnet.protocols import frames
from craftnet.protocols.subprotocols import JSON
from craftnet.updates import Encoding, Update


def _json(update: Update) -> bytes:
    return b"".join([frames.text(message) for message in update.json])


_BY_SUBPROTOCOL: dict[str | None, Encoding] = {None: _json, JSON: _json}


def encoding(subprotocol: str | None) -> Encoding:
    """How updates are encoded for a client that chose `subprotocol`, as `subprotocols.choose` answers."""
    return _BY_SUBPROTOCOL[subprotocol]
