"""The limit of open files of this process: each connection is one, and a shell's default is rarely enough."""

from __future__ import annotations

import resource

SPARE_FILES = 200
"""Files besides WebSockets: requests, the back end's connections, what the process itself reads."""


def raise_open_files_limit(connections: int) -> int | None:
    """Raises the limit for as many WebSockets as are allowed, as far as the system permits.

    Arguments:
        connections: their number; 0: as many as possible.

    Returns:
        The number that fits, where that is lower than `connections`; else None.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + SPARE_FILES if connections else hard
    unlimited = resource.RLIM_INFINITY
    if soft == unlimited or (wanted != unlimited and wanted <= soft):
        return None
    limit = wanted if hard == unlimited else hard if wanted == unlimited else min(wanted, hard)
    if limit != soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    return None if not connections or limit >= wanted else max(0, limit - SPARE_FILES)
