"""The routing table, and the way of a request from its head and body to a response. Pure."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from itertools import chain

from msgspec.structs import replace
from twisted.logger import Logger
from twisted.python.failure import Failure

from craftnet.access.authorization import missing_token, record_refusal
from craftnet.clocks import IClock
from craftnet.contract.routes import BasePaths
from craftnet.contract.traces import request_ids
from craftnet.errors import BodyTooLarge, MethodNotAllowed, NotFound, PreconditionFailed, Refusal, failed
from craftnet.http.cross_origin import CrossOrigin, with_fields
from craftnet.http.exchange import Call, Endpoint, GuardedEndpoint, Response, refusal_response
from craftnet.http.negotiation import differs
from craftnet.http.request_head import Head
from craftnet.interfaces import IAuditLog
from craftnet.limits.client_address import Forwarding
from craftnet.observe.audit.recorder import NoAudit
from craftnet.observe.metrics.registry import NO_ROUTE, Metrics


class RouteTable:
    """Maps paths to endpoints.

    Arguments:
        bases: the base paths that may precede every path.
        routes: endpoints by path; a segment in braces is variable. A path without variable segments takes precedence.
    """

    def __init__(self, bases: BasePaths, routes: Mapping[str, Endpoint]) -> None:
        self.routes = routes
        self._bases = bases
        templates = [(tuple(path.split("/")[1:]), endpoint) for path, endpoint in routes.items()]
        self._fixed = {template: endpoint for template, endpoint in templates if not any(map(_is_variable, template))}
        self._variable = [each for each in templates if each[0] not in self._fixed]
        paths = (bases.under_each(template) for template in self._fixed)
        self._found = {path: self._search(path) for path in chain.from_iterable(paths)}

    def find(self, segments: tuple[str, ...]) -> tuple[Endpoint, Mapping[str, str], str]:
        """The endpoint of a path, its variable segments, and its route: the path with those in braces.

        Raises:
            NotFound: there is none.
        """
        return self._found.get(segments) or self._search(segments)

    def _search(self, segments: tuple[str, ...]) -> tuple[Endpoint, Mapping[str, str], str]:
        for route in self._bases.readings(segments):
            if route in self._fixed:
                return self._fixed[route], {}, "/" + "/".join(route)
            for template, endpoint in self._variable:
                if len(template) == len(route):
                    pairs = list(zip(template, route, strict=True))
                    if all(wanted == given or _is_variable(wanted) for wanted, given in pairs):
                        values = {wanted[1:-1]: given for wanted, given in pairs if _is_variable(wanted)}
                        return endpoint, values, "/" + "/".join(template)
        raise NotFound("There is no such route.")


def _is_variable(segment: str) -> bool:
    return segment.startswith("{")


class Router:
    """Answers every request.

    Arguments:
        clock: dates answers, and measures how long they take.
        forwarding: interprets what proxies report about clients and URLs.
        cross_origin: decides which pages of other sites may read the answers of the routes that allow that.
        forward_call: answers the requests that belong to another process, and returns None for all others.
        audit: records the refusals of endpoints that need no token; `Authorization` records all others.
    """

    _log = Logger()

    def __init__(
        self,
        table: RouteTable,
        metrics: Metrics,
        clock: IClock,
        forwarding: Forwarding | None = None,
        cross_origin: CrossOrigin | None = None,
        forward_call: Callable[[Call], Awaitable[Response | None]] | None = None,
        audit: IAuditLog | None = None,
    ) -> None:
        self._audit: IAuditLog = audit or NoAudit()
        self._forward_call = forward_call
        self._forwarding = forwarding or Forwarding()
        self._cross_origin = cross_origin or CrossOrigin()
        self.table = table
        self._metrics = metrics
        self._clock = clock

    async def answer(self, head: Head, body: bytes, peer: str, *, secure: bool) -> Response:
        """Answers a request, or refuses it.

        Arguments:
            peer: the other end of the connection, as `craftnet.limits.client_address.host` returns it.
            secure: whether the connection is TLS.
        """
        began, endpoint, call, route = self._clock.seconds(), None, None, NO_ROUTE
        headers, method = head.text, head.method.decode("ascii")
        try:
            if head.target == b"*":  # OPTIONS of the server as a whole (RFC 9110 section 9.3.7).
                return Response(media_type=None)
            segments, query = head.location
            endpoint, parameters, route = self.table.find(segments)
            _check_method(endpoint, method)
            call = Call(
                method=method,
                path="/" + "/".join(segments),
                headers=headers,
                parameters=parameters,
                query=query,
                body=body,
                address=self._forwarding.client(peer, headers.get),
                locate=partial(self._forwarding.server, peer, headers.get, secure=secure),
            )
            if method == "OPTIONS":
                response = self._options(endpoint, peer, headers)
            else:
                response = await self._respond(endpoint, call)
        except Refusal as refusal:
            if call is not None and not isinstance(endpoint, GuardedEndpoint):
                record_refusal(self._audit, refusal, call.origin)
            response = self.refuse(refusal)
        self._metrics.http.answered(route, method, response.status, self._clock.seconds() - began)
        if endpoint is None or not endpoint.cross_origin or method == "OPTIONS":
            return response
        return replace(response, headers=with_fields(response.headers, self._cross_origin.fields(peer, headers)))

    async def answer_forwarded(self, call: Call) -> Response:
        """Answers a request that another process forwarded; its `parameters` are not known yet."""
        try:
            endpoint, parameters, _ = self.table.find(tuple(call.path.removeprefix("/").split("/")))
            _check_method(endpoint, call.method)
            return await endpoint.answer(replace(call, parameters=parameters))
        except Refusal as refusal:
            return self.refuse(refusal)

    def refuse(self, refusal: Refusal) -> Response:
        """The response to a refused request."""
        self._metrics.refused(refusal.label)
        return refusal_response(refusal, self._clock.wall())

    def fail(self, failure: Failure, head: Head) -> Response:
        """The response to a request that a fault of the server leaves without an answer, after logging the fault."""
        ids = request_ids(head.target.decode("latin-1"), head.text)
        self._log.failure("a request could not be answered", failure, **ids)
        return self.refuse(failed(ids["request_id"]))

    def refusal_of_body(self, head: Head, limit: int, *, token: bool) -> Refusal:
        """The refusal of a request whose body exceeds the limit.

        Arguments:
            limit: maximum length in bytes.
            token: whether the request has a token.
        """
        try:
            endpoint, _, _ = self.table.find(head.location[0])
            _check_method(endpoint, head.method.decode("ascii"))
        except Refusal as refusal:
            return refusal
        return BodyTooLarge(limit) if token or not isinstance(endpoint, GuardedEndpoint) else missing_token()

    def _options(self, endpoint: Endpoint, peer: str, headers: Mapping[str, str]) -> Response:
        allow = {"Allow": ", ".join(endpoint.allowed)}
        if not endpoint.cross_origin:
            return Response(204, headers=allow)
        methods = [method for method in endpoint.allowed if method != "OPTIONS"]
        preflight = self._cross_origin.preflight(peer, headers, methods, endpoint.request_fields)
        return Response(204, headers=allow | preflight)

    async def _respond(self, endpoint: Endpoint, call: Call) -> Response:
        response = None if self._forward_call is None else await self._forward_call(call)
        if response is None:
            response = await endpoint.answer(call)
        if call.method in ("GET", "HEAD") and response.status < 400:
            _check_match(call, response)
        return response


def _check_method(endpoint: Endpoint, method: str) -> None:
    if method not in endpoint.allowed:
        raise MethodNotAllowed(endpoint.allowed)


def _check_match(call: Call, response: Response) -> None:
    if differs(call.header("If-Match"), response.headers.get("ETag")):
        raise PreconditionFailed("If-Match names another version than there is.")
