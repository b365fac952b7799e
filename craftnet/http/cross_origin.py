"""Which pages of other sites may read answers (CORS: Fetch Standard, section 3.3). Pure.

Cookies play no part: a page shows a bearer token, which other sites do not have.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

EXPOSED = (
    *("ETag", "Retry-After", "WWW-Authenticate"),
    *("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"),
)
"""The header fields of answers that pages may read, besides those that the standard always lets them read."""

PREFLIGHT_MAX_AGE = 7200
"""Seconds for which a browser remembers what a preflight was answered; Chromium remembers none for longer."""

NO_SITES = {"Vary": "Origin"}


class CrossOrigin:
    """Decides about the pages that ask.

    Arguments:
        admits: whether a page may connect, by the peer's address and the request's header fields. It is only asked
            about requests of pages.
    """

    def __init__(self, admits: Callable[[str, Mapping[str, str]], bool] = lambda peer, headers: False) -> None:
        self._admits = admits

    def fields(self, peer: str, headers: Mapping[str, str]) -> dict[str, str]:
        """The header fields of an answer.

        Arguments:
            peer: the address from which the connection comes.
            headers: the request's header fields by lower-case name.
        """
        if not self._is_admitted(peer, headers):
            return dict(NO_SITES)
        return {
            **NO_SITES,
            "Access-Control-Allow-Origin": headers["origin"],
            "Access-Control-Expose-Headers": ", ".join(EXPOSED),
        }

    def preflight(
        self, peer: str, headers: Mapping[str, str], methods: Sequence[str], reads: Sequence[str]
    ) -> dict[str, str]:
        """The header fields of the answer to OPTIONS, which a browser sends before a request that needs permission.

        Arguments:
            peer, headers: as in `fields`.
            methods: the methods of the route.
            reads: the header fields that the route reads.
        """
        if "access-control-request-method" not in headers or not self._is_admitted(peer, headers):
            return dict(NO_SITES)
        return {
            **NO_SITES,
            "Access-Control-Allow-Origin": headers["origin"],
            "Access-Control-Allow-Methods": ", ".join(methods),
            **({"Access-Control-Allow-Headers": ", ".join(reads)} if reads else {}),
            "Access-Control-Max-Age": str(PREFLIGHT_MAX_AGE),
        }

    def _is_admitted(self, peer: str, headers: Mapping[str, str]) -> bool:
        return "origin" in headers and self._admits(peer, headers)


def with_fields(headers: Mapping[str, str], more: Mapping[str, str]) -> dict[str, str]:
    """Header fields with others added; what both have of `Vary` is joined."""
    joined = {**headers, **more}
    if "Vary" in headers and "Vary" in more:
        joined["Vary"] = f"{headers['Vary']}, {more['Vary']}"
    return joined
