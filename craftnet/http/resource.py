"""The routing table, and the way of a request from its head and body to a response. Pure."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from msgspec.structs import replace

from craftnet.access.authorization import missing_token
from craftnet.contract.routes import BasePaths
from craftnet.errors import BodyTooLarge, MethodNotAllowed, NotFound, PreconditionFailed, Refusal
from craftnet.http.exchange import Call, Endpoint, GuardedEndpoint, Response, refusal_response
from craftnet.http.negotiation import differs
from craftnet.http.request_head import Head, path_and_query
from craftnet.limits.client_address import Forwarding
from craftnet.observe.metrics.registry import Metrics


class RouteTable:
    """Maps paths to endpoints.

    Arguments:
        bases: the base paths that may precede every path.
        routes: endpoints by path; a segment in braces is variable. A path without variable segments takes precedence.
    """

    def __init__(self, bases: BasePaths, routes: Mapping[str, Endpoint]) -> None:
        self._bases = bases
        templates = [(tuple(path.split("/")[1:]), endpoint) for path, endpoint in routes.items()]
        self._fixed = {template: endpoint for template, endpoint in templates if not any(map(_is_variable, template))}
        self._variable = [each for each in templates if each[0] not in self._fixed]

    def find(self, segments: tuple[str, ...]) -> tuple[Endpoint, dict[str, str]]:
        """The endpoint of a path, and its variable segments.

        Raises:
            NotFound: there is none.
        """
        for route in self._bases.readings(segments):
            if route in self._fixed:
                return self._fixed[route], {}
            for template, endpoint in self._variable:
                if len(template) == len(route):
                    pairs = list(zip(template, route, strict=True))
                    if all(wanted == given or _is_variable(wanted) for wanted, given in pairs):
                        return endpoint, {wanted[1:-1]: given for wanted, given in pairs if _is_variable(wanted)}
        raise NotFound("There is no such route.")


def _is_variable(segment: str) -> bool:
    return segment.startswith("{")


class Router:
    """Answers every request.

    Arguments:
        wall: the system's clock, Unix seconds.
        forwarding: interprets what proxies report about clients and URLs.
        forward_call: answers the requests that belong to another process, and returns None for all others.
    """

    def __init__(
        self,
        table: RouteTable,
        metrics: Metrics,
        wall: Callable[[], float],
        forwarding: Forwarding | None = None,
        forward_call: Callable[[Call], Awaitable[Response | None]] | None = None,
    ) -> None:
        self._forward_call = forward_call
        self._forwarding = forwarding or Forwarding()
        self._table = table
        self._metrics = metrics
        self._wall = wall

    async def answer(self, head: Head, body: bytes, peer: str, *, secure: bool) -> Response:
        """Answers a request, or refuses it.

        Arguments:
            peer: the other end of the connection, as `craftnet.limits.client_address.host` returns it.
            secure: whether the connection is TLS.
        """
        try:
            return await self._respond(head, body, peer, secure)
        except Refusal as refusal:
            return self.refuse(refusal)

    async def answer_forwarded(self, call: Call) -> Response:
        """Answers a request that another process forwarded; its `parameters` are not known yet."""
        try:
            endpoint, parameters = self._find(call.method, tuple(call.path.removeprefix("/").split("/")))
            return await endpoint.answer(replace(call, parameters=parameters))
        except Refusal as refusal:
            return self.refuse(refusal)

    def refuse(self, refusal: Refusal) -> Response:
        """The response to a refused request."""
        self._metrics.refused(refusal.label)
        return refusal_response(refusal, self._wall())

    def refusal_of_body(self, head: Head, limit: int, *, token: bool) -> Refusal:
        """The refusal of a request whose body exceeds the limit.

        Arguments:
            limit: maximum length in bytes.
            token: whether the request has a token.
        """
        try:
            endpoint, _ = self._find(head.method.decode("ascii"), path_and_query(head.target)[0])
        except Refusal as refusal:
            return refusal
        return BodyTooLarge(limit) if token or not isinstance(endpoint, GuardedEndpoint) else missing_token()

    def _find(self, method: str, segments: tuple[str, ...]) -> tuple[Endpoint, dict[str, str]]:
        endpoint, parameters = self._table.find(segments)
        if method not in endpoint.allowed:
            raise MethodNotAllowed(endpoint.allowed)
        return endpoint, parameters

    async def _respond(self, head: Head, body: bytes, peer: str, secure: bool) -> Response:
        if head.target == b"*":  # OPTIONS of the server as a whole (RFC 9110 section 9.3.7).
            return Response(media_type=None)
        segments, query = path_and_query(head.target)
        method = head.method.decode("ascii")
        endpoint, parameters = self._find(method, segments)
        if method == "OPTIONS":
            return Response(204, headers={"Allow": ", ".join(endpoint.allowed)})
        headers = head.text
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
        response = None if self._forward_call is None else await self._forward_call(call)
        if response is None:
            response = await endpoint.answer(call)
        if method in ("GET", "HEAD") and response.status < 400:
            _check_match(call, response)
        return response


def _check_match(call: Call, response: Response) -> None:
    if differs(call.header("If-Match"), response.headers.get("ETag")):
        raise PreconditionFailed("If-Match names another version than there is.")
