"""A request and its response as values, and errors in the contract's form."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import cached_property, lru_cache, partial
from http import HTTPStatus
from itertools import chain
from typing import Any, ClassVar, Generic, TypeVar
from uuid import UUID

from msgspec import Struct
from twisted.web.http import NO_BODY_CODES, datetimeToString

from craftnet.access.authorization import Asked, Authorization, RequestOrigin
from craftnet.access.bearer import token_from_header
from craftnet.access.principal import Principal
from craftnet.contract.http_bodies import ErrorResponse
from craftnet.contract.identifiers import parse_uuid, without_ids
from craftnet.contract.messages import MALFORMED, JsonDecoder, rfc3339, to_json
from craftnet.contract.traces import parse_traceparent
from craftnet.errors import BadRequest, Refusal, TooManyRequests, UnsupportedMediaType
from craftnet.http.negotiation import content_codings
from craftnet.http.operations import ApiOperation
from craftnet.limits.client_address import ServerUrl

JSON = "application/json"
NDJSON = "application/x-ndjson"
OCTETS = "application/octet-stream"

CONTINUE_RESPONSE = b"HTTP/1.1 100 Continue\r\n\r\n"
"""The interim response that a client may wait for (RFC 9110 section 15.2.1)."""

COMMON_HEADERS = {"Server": "craftnet", "X-Content-Type-Options": "nosniff"}
"""Header fields of every response."""

# Python before 3.13 has the names of RFC 7231.
_RENAMED = {413: "Content Too Large", 414: "URI Too Long", 416: "Range Not Satisfiable", 422: "Unprocessable Content"}

AddressCheck = Callable[[str], None]
"""Counts a request from an address; raises TooManyRequests."""

Body = TypeVar("Body", bound=Struct)


class Call(Struct, frozen=True):
    """A complete request.

    Attributes:
        path: unquoted, without the query.
        headers: every header field by lower-case name.
        parameters: the route's variable segments by name; unquoted, not validated.
        query: every value of each name.
        address: of the client, as far as trusted proxies vouch for it.
        locate: returns `server`, which few endpoints need.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    parameters: Mapping[str, str] = {}
    query: Mapping[str, Sequence[str]] = {}
    body: bytes = b""
    address: str = ""
    locate: Callable[[], ServerUrl] = partial(ServerUrl, "http", "localhost")

    @property
    def server(self) -> ServerUrl:
        """The URL by which the client reaches this server."""
        return self.locate()

    def header(self, name: str) -> str | None:
        """The value of a header field; several are joined as in RFC 9110 section 5.3; None when there is none."""
        return self.headers.get(name.lower())

    @property
    def origin(self) -> RequestOrigin:
        """Where the request comes from, for the audit."""
        return RequestOrigin(
            self.address, "http", without_ids(self.path), parse_traceparent(self.header("traceparent"))
        )

    @property
    def token(self) -> str | None:
        """The bearer token, unverified; None when there is none.

        Raises:
            Unauthorized: it is malformed.
        """
        return token_from_header(self.headers.get("authorization"))

    def identifier(self, name: str) -> UUID:
        """A variable segment of the path that is an id.

        Raises:
            BadRequest: it is no id.
        """
        return parse_uuid(self.parameters[name], name)

    @property
    def media_type(self) -> str:
        """The media type of the body, in lower case and without parameters."""
        return (self.headers.get("content-type") or OCTETS).partition(";")[0].strip().lower()

    def one(self, name: str) -> str:
        """The value of a query parameter that must occur once.

        Raises:
            BadRequest: it is missing or repeated.
        """
        values = self.query.get(name, ())
        if len(values) != 1:
            raise BadRequest(f"The query parameter {name} must be given once.")
        return values[0]

    def decode(self, kind: type[Body]) -> Body:
        """The JSON body as a value.

        Raises:
            BadRequest: it is not JSON, or a field is invalid; the text names it.
        """
        try:
            return JsonDecoder(kind).decode(self.body)
        except MALFORMED as error:
            raise BadRequest(f"The body is not valid: {error}.") from None


class Response(Struct, frozen=True):
    """A response. Without a Cache-Control of its own, no cache may store it.

    Attributes:
        body: None where it follows in pieces.
    """

    status: int = 200
    body: bytes | None = b""
    headers: Mapping[str, str] = {}
    media_type: str | None = JSON

    @property
    def fields(self) -> dict[str, str]:
        """Every header field."""
        fields = {**COMMON_HEADERS, "Cache-Control": "no-store", **self.headers}
        if self.status not in NO_BODY_CODES:
            if self.body is not None:
                fields["Content-Length"] = str(len(self.body))
            if self.media_type is not None:
                fields["Content-Type"] = self.media_type
        return fields


class Endpoint(ABC):
    """The handler of a route.

    Attributes:
        methods: the methods it answers, besides HEAD and OPTIONS.
        accepts: the accepted media types of bodies; empty when it takes no body.
        decodes: the accepted content codings of bodies, besides none.
        reads: the header fields that it reads, besides those about a body and those that all pages may send.
        cross_origin: whether pages of other sites that may connect may also read its answers.
        operations: the description of each method, for the API documents.
        limit: the rate limit of one address; None: no limit.
    """

    methods: ClassVar[tuple[str, ...]] = ("GET",)
    accepts: ClassVar[frozenset[str]] = frozenset()
    decodes: ClassVar[frozenset[str]] = frozenset()
    reads: ClassVar[tuple[str, ...]] = ()
    cross_origin: ClassVar[bool] = False
    operations: ClassVar[Mapping[str, ApiOperation]] = {}
    limit: AddressCheck | None = None

    @cached_property
    def allowed(self) -> tuple[str, ...]:
        """All methods that it answers."""
        return (*self.methods, *(("HEAD",) if "GET" in self.methods else ()), "OPTIONS")

    @property
    def request_fields(self) -> tuple[str, ...]:
        """The header fields that a page of another site needs permission to send."""
        return (*self.reads, *(("Content-Type",) if self.accepts else ()))

    async def answer(self, call: Call) -> Response:
        """Answers a request with an allowed method.

        Raises:
            Refusal: it is refused: first for the rate of its address, then for its media type.
        """
        self.check_rate(call)
        self.check_media_type(call)
        return await self.respond(call)

    @abstractmethod
    async def respond(self, call: Call) -> Response:
        """Answers a request that passed the checks of `answer`.

        Raises:
            Refusal: it is refused.
        """

    def check_rate(self, call: Call) -> None:
        """Raises:
        TooManyRequests: the client asks too often.
        """
        if self.limit is not None:
            self.limit(call.address)

    def check_media_type(self, call: Call) -> None:
        """Raises:
        UnsupportedMediaType: this endpoint does not accept the media type of the body.
        """
        if self.accepts and call.media_type not in self.accepts:
            names = " or ".join(sorted(self.accepts))
            raise UnsupportedMediaType(f"This route accepts {names}.", details={"accepts": sorted(self.accepts)})
        codings = content_codings(call.headers.get("content-encoding"))
        if self.accepts and (len(codings) > 1 or not self.decodes.issuperset(codings)):
            names = ", ".join(sorted(self.decodes)) or "identity"
            raise UnsupportedMediaType(
                f"This route accepts no Content-Encoding but {names}.",
                details={"encodings": sorted(self.decodes)},
                headers={"Accept-Encoding": names},  # RFC 9110 section 15.5.16.
            )


class GuardedEndpoint(Endpoint, Generic[Asked]):
    """An endpoint that needs a token."""

    reads: ClassVar[tuple[str, ...]] = ("Authorization",)

    def __init__(self, admission: Authorization, limit: AddressCheck | None = None) -> None:
        self._admission = admission
        self.limit = limit

    def answer(self, call: Call) -> Coroutine[Any, Any, Response]:
        """Answers, or refuses in the order of `Authorization.authorize`, which includes the checks of every other
        endpoint.
        """
        return self._admission.authorize(_GuardedCall(self, call))

    def respond(self, call: Call) -> Coroutine[Any, Any, Response]:
        """As `answer`."""
        return self.answer(call)

    @abstractmethod
    def read(self, call: Call) -> Asked:
        """The requested thing.

        Raises:
            BadRequest: the request is malformed.
        """

    @abstractmethod
    async def decide(self, call: Call, principal: Principal, asked: Asked) -> Response:
        """Answers the bearer of a valid token.

        Raises:
            Refusal: NotFound, then Forbidden, then any other.
        """


class _GuardedCall(Generic[Asked]):
    """As `craftnet.access.authorization.GuardedRequest`."""

    def __init__(self, endpoint: GuardedEndpoint[Asked], call: Call) -> None:
        self._endpoint = endpoint
        self._call = call

    def limit(self) -> None:
        """Checks the rate of the address."""
        self._endpoint.check_rate(self._call)

    def token(self) -> str | None:
        """The token in the Authorization header."""
        return self._call.token

    def origin(self) -> RequestOrigin:
        """Where it comes from."""
        return self._call.origin

    def read(self) -> Asked:
        """Parses the path, the query and the body."""
        self._endpoint.check_media_type(self._call)
        return self._endpoint.read(self._call)

    def decide(self, principal: Principal, asked: Asked) -> Coroutine[Any, Any, Response]:
        """Answers as the endpoint does."""
        return self._endpoint.decide(self._call, principal, asked)


def json_response(message: Struct, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A message of the contract as a response."""
    return Response(status, to_json(message), headers or {})


def refusal_response(refusal: Refusal, now: float) -> Response:
    """A refusal in the contract's form, at `now`, Unix seconds."""
    headers = refusal.headers
    if isinstance(refusal, TooManyRequests):
        headers = {**headers, "X-RateLimit-Reset": rfc3339(now + refusal.retry_after)}
    details = None if refusal.details is None else dict(refusal.details)
    body = ErrorResponse(code=refusal.status, message=refusal.message, details=details)
    return json_response(body, status=refusal.status, headers=headers)


@lru_cache(maxsize=64)
def reason_phrase(status: int) -> str:
    """The reason phrase of a status (RFC 9110 section 15); empty for one without."""
    try:
        return _RENAMED.get(status) or HTTPStatus(status).phrase
    except ValueError:
        return ""


def response_octets(
    response: Response, now: float, *, last: bool = False, bodiless: bool = False, policy: Mapping[str, str] = {}
) -> bytes:
    """A response as octets.

    Arguments:
        now: Unix seconds.
        last: whether the connection ends with it.
        bodiless: whether it answers HEAD and therefore has no body (RFC 9110 section 9.3.2).
        policy: header fields besides those of the response.
    """
    lines = [f"HTTP/1.1 {response.status} {reason_phrase(response.status)}"]
    lines += [f"{name}: {value}" for name, value in chain(response.fields.items(), policy.items())]
    lines.append(_date(int(now)))
    if last:
        lines.append("Connection: close")
    lines.append("\r\n")
    head = "\r\n".join(lines).encode()
    return head if bodiless or response.status in NO_BODY_CODES else head + (response.body or b"")


@lru_cache(maxsize=1)  # responses of the same second have the same date.
def _date(seconds: int) -> str:
    return f"Date: {datetimeToString(seconds).decode('ascii')}"
