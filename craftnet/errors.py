"""The errors that craftnet raises on purpose: one tree, so that a shell catches exactly what it can answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

SHUTTING_DOWN = "The server is shutting down."
"""The error text of refusals while the server stops."""


class CraftnetError(Exception):
    """The root of the tree."""


class ConfigurationError(CraftnetError):
    """The service cannot be built from the given options. The operator reads the text."""


class EventRejected(CraftnetError):
    """An authority event contradicts the present state. The text says how, and goes back to the sender."""


class BadDatagram(CraftnetError):
    """Octets that are not a valid datagram or record.

    Arguments:
        outcome: a short label for metrics, such as ``truncated``.
        detail: what was wrong, for people.
    """

    def __init__(self, outcome: str, detail: str = "") -> None:
        super().__init__(detail or outcome)
        self.outcome = outcome


class Refusal(CraftnetError):
    """A request is refused. Shells render it in the contract's error form.

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
    """The request itself is invalid: ids, types, ranges, framing."""

    status = 400
    label = "bad_request"


class Unauthorized(Refusal):
    """The token is missing or invalid. ``problem`` is an RFC 6750 error code."""

    status = 401
    label = "unauthorized"

    def __init__(self, message: str, *, problem: str | None = None) -> None:
        challenge = 'Bearer realm="craftnet"' + (f', error="{problem}"' if problem else "")
        super().__init__(message, headers={"WWW-Authenticate": challenge})


class Forbidden(Refusal):
    """The token is valid, but does not allow this."""

    status = 403
    label = "forbidden"


class NotFound(Refusal):
    """There is no such route or session."""

    status = 404
    label = "not_found"


class MethodNotAllowed(Refusal):
    """The route exists, but not for this method."""

    status = 405
    label = "method_not_allowed"

    def __init__(self, allowed: Sequence[str]) -> None:
        names = ", ".join(allowed)
        super().__init__(f"Method not allowed; this route allows {names}.", headers={"Allow": names})


class PreconditionFailed(Refusal):
    """The state that the request names is not the present one."""

    status = 412
    label = "precondition_failed"


class BodyTooLarge(Refusal):
    """The body is longer than the route allows."""

    status = 413
    label = "body_too_large"

    def __init__(self, limit: int) -> None:
        super().__init__(f"The body is longer than {limit} bytes.", details={"limit": limit})


class UnsupportedMediaType(Refusal):
    """The route does not accept this media type."""

    status = 415
    label = "unsupported_media_type"


class TargetTooLong(Refusal):
    """The request target is longer than the server accepts, in bytes."""

    status = 414
    label = "target_too_long"

    def __init__(self, limit: int) -> None:
        super().__init__(f"The request target is longer than {limit} bytes.", details={"limit": limit})


class Misdirected(Refusal):
    """Another server answers such requests; the message names it (RFC 9110 section 15.5.20)."""

    status = 421
    label = "misdirected"


class UpgradeRequired(Refusal):
    """A request to a WebSocket route without an Upgrade header, or for another version of the protocol."""

    status = 426
    label = "upgrade_required"

    def __init__(self, message: str = "This route is a WebSocket: send an Upgrade header.") -> None:
        super().__init__(
            message, headers={"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
        )


class HeadersTooLarge(Refusal):
    """The request head, or the metadata of a chunked body, is longer than the server accepts."""

    status = 431
    label = "headers_too_large"

    def __init__(self, message: str, limit: int) -> None:
        super().__init__(message, details={"limit": limit})


class CodingNotImplemented(Refusal):
    """The request has a transfer coding that the server does not support."""

    status = 501
    label = "coding_not_implemented"

    def __init__(self) -> None:
        super().__init__("The only supported transfer coding is chunked.")


class VersionNotSupported(Refusal):
    """The request has another major version of HTTP."""

    status = 505
    label = "version_not_supported"

    def __init__(self) -> None:
        super().__init__("This server speaks HTTP/1.1 and HTTP/1.0 only.")


class TooManyRequests(Refusal):
    """A limit is exceeded.

    Arguments:
        retry_after: seconds until a retry makes sense.
        limit: the limit.
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
        self.limit = limit


class Unavailable(Refusal):
    """A back end is unreachable; nothing was changed."""

    status = 503
    label = "unavailable"

    def __init__(self, message: str, *, retry_after: int = 1, details: Mapping[str, object] | None = None) -> None:
        super().__init__(message, details=details, headers={"Retry-After": str(retry_after)})
        self.retry_after = retry_after


def no_session() -> NotFound:
    """The session that a request names does not exist."""
    return NotFound("There is no such session.")


def failed(request_id: str | None = None) -> Refusal:
    """A request could not be answered because of a fault of the server, which is logged under its id."""
    details = None if request_id is None else {"request_id": request_id}
    return Refusal("The server failed to answer.", details=details)


def shutting_down(retry_after: int = 1) -> Unavailable:
    """The server stops, and takes nothing new."""
    return Unavailable(SHUTTING_DOWN, retry_after=retry_after)


def revocations_full(retry_after: int, limit: int) -> TooManyRequests:
    """The list of revocations is full until an entry expires."""
    return TooManyRequests("The list of revocations is full.", retry_after=retry_after, limit=limit)


def not_started() -> EventRejected:
    """An event is about a session that is not known."""
    return EventRejected("no such session: it was never started, or it ended and was removed")


def started_before() -> EventRejected:
    """A session is started that is known already."""
    return EventRejected("the session was started before")


def names_no_session() -> EventRejected:
    """An event has no session_id, and needs one."""
    return EventRejected("the event names no session")


def misrouted(data: object, kind: str) -> EventRejected:
    """An event is given to what takes events of another kind: "session" or "queue"."""
    return EventRejected(f"not a {kind} event: {type(data).__name__}")
