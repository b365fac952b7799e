"""The file that describes a recording to its readers."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import msgspec
from msgspec import Struct

from craftnet.errors import ConfigurationError

FORMAT = 1
"""The format that this version writes, and the only one that it reads."""

MARKER = "recording.json"
"""The file with the description, in the folder."""


class Description(Struct, frozen=True, kw_only=True):
    """The description of a recording.

    Attributes:
        craftnet_recording: the format.
        rotation: the period of a pseudonym: a "day" or a "month", UTC.
        players: the file of the players' keys, which is not in the folder.
        shared_key: whether machines share the secret of the periods' keys.
    """

    craftnet_recording: int = FORMAT
    rotation: str
    players: str
    shared_key: bool = False


def description_of(folder: Path) -> Description:
    """Reads the description of a recording.

    Raises:
        ConfigurationError: the folder is missing, is empty, or is no recording that this version reads.
    """
    if not folder.is_dir():
        raise ConfigurationError(f"{folder} is not a folder: name the folder of a server's --record")
    marker = folder / MARKER
    try:
        octets = marker.read_bytes()
    except FileNotFoundError:
        raise ConfigurationError(_no_marker(folder)) from None
    except OSError as error:
        raise ConfigurationError(f"cannot read {marker}: {error.strerror}") from error
    try:
        found = msgspec.json.decode(octets)["craftnet_recording"]
        if found == FORMAT:
            return msgspec.json.decode(octets, type=Description)
    except (msgspec.MsgspecError, KeyError, TypeError):
        raise ConfigurationError(f"{marker} is not the description of a recording") from None
    raise ConfigurationError(
        f"{folder} is a recording of format {found}, and this version of craftnet reads format {FORMAT}: "
        "analyse it with the version that wrote it"
    )


def folder_day(folder: Path) -> date | None:
    """The UTC day of a folder of files, such as sessions/day=2026-01-15; None if it is none."""
    try:
        return date.fromisoformat(folder.name.removeprefix("day=")) if folder.name.startswith("day=") else None
    except ValueError:
        return None


def _no_marker(folder: Path) -> str:
    if any(folder.iterdir()):
        return f"{folder} is not a recording: it has no {MARKER}; name the folder of a server's --record"
    return f"{folder} is empty: start a server with --record {folder}, and wait a minute"
