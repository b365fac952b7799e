"""A file with the keys of connections, for the Wireshark dissector: for development alone."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.logger import Logger

from craftnet.errors import ConfigurationError
from craftnet.protocols.udp.core.keys import TrafficKey

KEYLOG_VARIABLE = "CRAFTNET_KEYLOG"
"""The environment variable with the name of the file."""

GENERATIONS = 8
"""Generations of each direction that are written when a connection opens: enough for more than an hour."""


class KeyLog:
    """Appends the keys of each connection to a file that only its owner may read.

    Arguments:
        path: the file; it is created if it does not exist.

    Raises:
        ConfigurationError: the file cannot be written.
    """

    _log = Logger()

    def __init__(self, path: Path) -> None:
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            os.fchmod(self._file, 0o600)
        except OSError as error:
            raise ConfigurationError(f"{KEYLOG_VARIABLE}: cannot write {path}: {error.strerror}") from error
        self._log.warn(
            "{variable}: anyone who reads {path} can read every UDP connection",
            variable=KEYLOG_VARIABLE,
            path=str(path),
        )

    def __call__(self, connection_id: int, client: TrafficKey, server: TrafficKey) -> None:
        """Writes the keys of a connection that has just opened.

        Arguments:
            client, server: the first generation of what each of them seals.
        """
        lines = []
        for sender, key in (("client", client), ("server", server)):
            for generation in range(GENERATIONS):
                parts = f"{key.key.hex()} {key.iv.hex()}"
                lines.append(f"CRAFTNET_UDP_1 {connection_id:08x} {sender} {generation} {parts}\n")
                key = key.successor()
        os.write(self._file, "".join(lines).encode())
