"""How many files this process may have open: each connection is one, and what a shell starts with is seldom enough."""

from __future__ import annotations

import resource

SPARE = 200
"""Files that are no WebSockets: requests under way, the back end's connections, what the process itself reads."""


def raise_limit(connections: int) -> int | None:
    """Raise the limit for as many WebSockets as are taken, as far as the system allows.

    Arguments:
        connections: how many; 0 for as many as possible.

    Returns:
        How many fit, where that is fewer than asked for; None where they fit.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + SPARE if connections else hard
    unlimited = resource.RLIM_INFINITY
    if soft == unlimited or (wanted != unlimited and wanted <= soft):
        return None
    limit = wanted if hard == unlimited else hard if wanted == unlimited else min(wanted, hard)
    if limit != soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    return None if not connections or limit >= wanted else max(0, limit - SPARE)
