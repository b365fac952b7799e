"""`craftnet analyse compact`: joins the files of the finished days of a recording."""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from craftnet.errors import ConfigurationError
from craftnet.recording.description import description_of


def compact_recording(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Runs `craftnet analyse compact`; returns the exit code.

    Raises:
        ConfigurationError: the folder is no recording, is in use, or a file cannot be read or written.
    """
    parser = argparse.ArgumentParser(prog="craftnet analyse compact", allow_abbrev=False)
    add_compact(parser)
    folder = Path(parser.parse_args(arguments).folder)
    description_of(folder)
    if find_spec("pyarrow") is None:
        raise ConfigurationError("craftnet analyse compact needs pyarrow: pip install 'craftnet[analysis]'")
    from craftnet.recording.compaction import DamagedFile, compact  # not above: pyarrow is an extra.

    found = False
    try:
        for each in compact(folder, time.time()):
            found = True
            print(
                f"{each.table} {each.day}: {each.files:,} files of {each.size:,} bytes are now one of "
                f"{each.joined_size:,} bytes"
            )
    except BlockingIOError:
        raise ConfigurationError(f"{folder} is read or compacted by another process: try again later") from None
    except (OSError, DamagedFile) as error:
        raise ConfigurationError(f"cannot compact all of {folder}, and nothing is lost: {error}") from error
    if not found:
        print("No finished day has files to join.")
    return 0


def add_compact(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `craftnet analyse compact`."""
    parser.description = (
        "Join the files of each finished day of a recording into a few large ones, which are smaller and faster to "
        "read. A server with --record does the same every hour; use this for folders that no server writes."
    )
    parser.add_argument("folder", metavar="DIR", help="the folder of a recording")
