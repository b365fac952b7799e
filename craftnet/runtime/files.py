"""Writes files that appear with all of their content, or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO


def write_whole(path: Path, octets: bytes, temporary: Path, mode: int = 0o666) -> None:
    """Writes a file so that it appears with all of its content, which is then on the disk; as `whole_file`."""
    with whole_file(path, temporary, mode) as file:
        file.write(octets)


@contextmanager
def whole_file(path: Path, temporary: Path, mode: int = 0o666) -> Iterator[BinaryIO]:
    """A file to write, which appears when the block ends without an exception, and is then on the disk.

    Arguments:
        temporary: a path in the same folder for the time before.
        mode: of a new file, less the process's umask.

    Raises:
        OSError: it was not written; the temporary file is gone.
    """
    try:
        with open(temporary, "wb", opener=partial(os.open, mode=mode)) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.rename(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
