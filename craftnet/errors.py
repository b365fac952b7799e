"""Every error craftnet raises on purpose: one tree, so that a shell catches what it can answer and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar


class CraftnetError(Exception):
    """The root of the tree."""


class ConfigurationError(CraftnetError):
    """The service cannot be built from the options given. The text is shown to the operator."""


class EventRejected(CraftnetError):
    """An authority event contradicts what is known. The text says how; it goes back to the sender."""


class BadDatagram(CraftnetError):
    """Octets that are no datagram or record of ours.

    Arguments:
        outcome: a short label for metrics, such as ``truncated``.
        detail: what was wrong, for people.
    """

    def __init__(self, outcome: str, detail: str = "") -> None:
        super().__init__(detail or outcome)
        self.outcome = outcome


class Refusal(CraftnetError):
    """A request is refused. Shells render it in the contract's error shape.

    Arguments:
        message: one sentence for the caller; never contains a secret.
        details: structured hints for the caller, JSON-compatible.
        headers: response headers that belong to this refusal.
    """

    status: ClassVar[int] = 500
    label: ClassVar[str] = "internal"

    def __init__(
        self, message: str, *, details: Mapping[str, object] | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.details = details
        self.headers: Mapping[str, str] = headers or {}


class BadRequest(Refusal):
    """The request itself is wrong: ids, types, ranges, framing."""

    status = 400
    label = "bad_request"


class Unauthorized(Refusal):
    """No token, or one that does not hold. ``problem`` is an RFC 6750 error code."""

    status = 401
    label = "unauthorized"

    def __init__(self, message: str, *, problem: str | None = None) -> None:
        challenge = 'Bearer realm="craftnet"' + (f', error="{problem}"' if problem else "")
        super().__init__(message, headers={"WWW-Authenticate": challenge})


class Forbidden(Refusal):
    """The token holds, but not for this."""

    status = 403
    label = "forbidden"


class NotFound(Refusal):
    """No such route or session."""

    status = 404
    label = "not_found"


class MethodNotAllowed(Refusal):
    """The route exists, with other methods."""

    status = 405
    label = "method_not_allowed"

    def __init__(self, allowed: Sequence[str]) -> None:
        names = ", ".join(allowed)
        super().__init__(f"Method not allowed; this route takes {names}.", headers={"Allow": names})


class PreconditionFailed(Refusal):
    """What the request asks for is not in the state that it names."""

    status = 412
    label = "precondition_failed"


class BodyTooLarge(Refusal):
    """The body is longer than the route takes."""

    status = 413
    label = "body_too_large"

    def __init__(self, limit: int) -> None:
        super().__init__(f"The body is longer than {limit} bytes.", details={"limit": limit})


class UnsupportedMediaType(Refusal):
    """The body is of a kind the route does not take."""

    status = 415
    label = "unsupported_media_type"


class TargetTooLong(Refusal):
    """The request target is longer than the server reads, in bytes."""

    status = 414
    label = "target_too_long"

    def __init__(self, limit: int) -> None:
        super().__init__(f"The request target is longer than {limit} bytes.", details={"limit": limit})


class UpgradeRequired(Refusal):
    """A WebSocket route was asked for without an Upgrade header, or for another version of the protocol."""

    status = 426
    label = "upgrade_required"

    def __init__(self, message: str = "This route is a WebSocket: ask for it with an Upgrade header.") -> None:
        super().__init__(
            message, headers={"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
        )


class HeadersTooLarge(Refusal):
    """The request head, or what comes with the chunks of a body, is longer than the server reads."""

    status = 431
    label = "headers_too_large"

    def __init__(self, message: str, limit: int) -> None:
        super().__init__(message, details={"limit": limit})


class CodingNotImplemented(Refusal):
    """The request has a transfer coding that the server cannot undo."""

    status = 501
    label = "coding_not_implemented"

    def __init__(self) -> None:
        super().__init__("The only transfer coding that is taken is chunked.")


class VersionNotSupported(Refusal):
    """The request is of another major version of HTTP."""

    status = 505
    label = "version_not_supported"

    def __init__(self) -> None:
        super().__init__("Only HTTP/1.1 and HTTP/1.0 are spoken here.")


class TooManyRequests(Refusal):
    """A limit is reached.

    Arguments:
        retry_after: seconds until it makes sense to ask again.
        limit: what the limit is.
    """

    status = 429
    label = "rate_limited"

    def __init__(self, message: str, *, retry_after: int, limit: int) -> None:
        super().__init__(
            message,
            headers={
                "Retry-After": str(retry_after),
                "X-RateLimit-Limit": str(limit),
                "X-RateLimit-Remaining": "0",
            },
        )
        self.retry_after = retry_after


class Unavailable(Refusal):
    """A back end is out of reach; nothing was changed."""

    status = 503
    label = "unavailable"

    def __init__(self, message: str, *, retry_after: int = 1, details: Mapping[str, object] | None = None) -> None:
        super().__init__(message, details=details, headers={"Retry-After": str(retry_after)})
        self.retry_after = retry_after
