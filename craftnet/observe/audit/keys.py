"""Reads the key of an audit log from a file that only its owner may read, or from the environment."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from craftnet.errors import ConfigurationError
from craftnet.observe.audit.entries import AuditKey

SECRET_VARIABLE = "CRAFTNET_AUDIT_SECRET"
"""The environment variable with the key, hexadecimal."""

KEY_SIZE = 32
"""Bytes of a new key, and the fewest of any."""

_HINT = "create one with craftnet audit create-key FILE"


def create_key(path: Path) -> AuditKey:
    """Writes a new key to a new file that only its owner may read. Never overwrites an existing file.

    Raises:
        ConfigurationError: the file exists, or cannot be written.
    """
    secret = os.urandom(KEY_SIZE)
    try:
        opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise ConfigurationError(f"{path} exists; a key is never overwritten, since its log needs it") from None
    except OSError as error:
        raise ConfigurationError(f"cannot create {path}: {error.strerror}") from error
    with os.fdopen(opened, "w", encoding="ascii") as file:
        file.write(secret.hex() + "\n")
        file.flush()
        os.fsync(file.fileno())
    return AuditKey(secret)


def key_from_file(path: Path) -> AuditKey:
    """Reads a key.

    Raises:
        ConfigurationError: the file does not exist or is malformed, or other users may read it.
    """
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            text = file.read(1024)
    except FileNotFoundError:
        raise ConfigurationError(f"the key of the audit log, {path}, does not exist; {_HINT}") from None
    except OSError as error:
        raise ConfigurationError(f"cannot read the key of the audit log, {path}: {error.strerror}") from error
    if mode & 0o077:
        raise ConfigurationError(
            f"others may read the key of the audit log, {path} (mode {mode:04o}): chmod 600 {path}"
        )
    return _key(text, str(path))


def audit_key(file: str | None, environ: Mapping[str, str], option: str) -> AuditKey:
    """Reads the key from a file if one is given, otherwise from the environment.

    Arguments:
        option: the option that names the file, for the text of an error.

    Raises:
        ConfigurationError: the key is missing or unusable.
    """
    if file is not None:
        return key_from_file(Path(file))
    text = environ.get(SECRET_VARIABLE)
    if not text:
        raise ConfigurationError(f"the audit log needs a key: {option} FILE, or {SECRET_VARIABLE}; {_HINT}")
    return _key(text, SECRET_VARIABLE)


def _key(text: str, place: str) -> AuditKey:
    try:
        secret = bytes.fromhex(text.strip())
    except ValueError:
        raise ConfigurationError(f"{place} is not hexadecimal; {_HINT}") from None
    if len(secret) < KEY_SIZE:
        raise ConfigurationError(f"{place} has {len(secret)} bytes, but the audit log needs {KEY_SIZE}; {_HINT}")
    return AuditKey(secret)
