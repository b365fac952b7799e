"""Writes files that appear with all of their content, or not at all."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path


def write_whole(path: Path, octets: bytes, temporary: Path, mode: int = 0o666) -> None:
    """Writes a file so that it appears with all of its content, which is then on the disk.

    Arguments:
        temporary: a path in the same folder for the time before.
        mode: of a new file, less the process's umask.

    Raises:
        OSError: it was not written; the temporary file is gone.
    """
    try:
        with open(temporary, "wb", buffering=0, opener=partial(os.open, mode=mode)) as file:
            rest = memoryview(octets)
            while rest:
                rest = rest[file.write(rest) :]
            os.fsync(file.fileno())
        os.rename(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
