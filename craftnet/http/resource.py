"""The one resource of the site: finds the endpoint of a path, lets it answer, and writes what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from itertools import product

from msgspec.structs import replace
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from craftnet.access.admission import no_token
from craftnet.access.forwarding import Forwarding
from craftnet.access.networks import host
from craftnet.errors import BodyTooLarge, MethodNotAllowed, NotFound, PreconditionFailed, Refusal
from craftnet.http.exchange import Call, Endpoint, GuardedEndpoint, Response, joined, refused
from craftnet.http.heads import Head, path_and_query
from craftnet.http.negotiation import differs
from craftnet.observe.metrics import Metrics
from craftnet.targets import BasePaths


class Table:
    """Which endpoint answers which path.

    Arguments:
        bases: what may stand in front of every path.
        routes: endpoints by their paths; a segment in braces is variable.
    """

    def __init__(self, bases: BasePaths, routes: Mapping[str, Endpoint]) -> None:
        self._bases = bases
        self._routes = [(tuple(path.split("/")[1:]), endpoint) for path, endpoint in routes.items()]

    def find(self, segments: tuple[str, ...]) -> tuple[Endpoint, dict[str, str]]:
        """The endpoint of a path, and what stands in its variable segments.

        Raises:
            NotFound: there is none.
        """
        for route, (template, endpoint) in product(self._bases.readings(segments), self._routes):
            if len(template) == len(route):
                pairs = list(zip(template, route, strict=True))
                if all(wanted == given or wanted.startswith("{") for wanted, given in pairs):
                    return endpoint, {wanted[1:-1]: given for wanted, given in pairs if wanted.startswith("{")}
        raise NotFound("There is no such route.")


class Routes(Resource):
    """Answers every request.

    Arguments:
        wall: the system's clock, Unix seconds.
        forwarding: what proxies say of clients, and of the URL by which they reach this server.
    """

    isLeaf = True
    _log = Logger()

    def __init__(
        self, table: Table, metrics: Metrics, wall: Callable[[], float], forwarding: Forwarding | None = None
    ) -> None:
        super().__init__()
        self._forwarding = forwarding or Forwarding()
        self._table = table
        self._metrics = metrics
        self._wall = wall

    def render(self, request: Request) -> int:
        """Start answering; the endpoint is cancelled when the client goes away."""
        answering = Deferred.fromCoroutine(self._answer(request))
        gone: list[Failure] = []

        def leave(failure: Failure) -> None:
            gone.append(failure)
            answering.cancel()

        def send(response: Response) -> None:
            if not gone:
                _write(request, response)

        def failed(failure: Failure) -> None:
            if not gone:
                self._log.failure("a request could not be answered", failure)
                _write(request, self._refuse(Refusal("Something went wrong on our side.")))

        request.notifyFinish().addErrback(leave)
        answering.addCallbacks(send, failed)
        return NOT_DONE_YET

    async def _answer(self, request: Request) -> Response:
        try:
            return await self._respond(request)
        except Refusal as refusal:
            return self._refuse(refusal)

    def _refuse(self, refusal: Refusal) -> Response:
        self._metrics.refused(refusal.label)
        return refused(refusal, self._wall())

    def refusal_of_body(self, head: Head, limit: int, *, token: bool) -> Refusal:
        """Why a request is refused whose body is longer than is read.

        Arguments:
            limit: how many bytes would be read.
            token: whether it has a token.
        """
        try:
            endpoint, _ = self._find(head.method.decode("ascii"), path_and_query(head.target)[0])
        except Refusal as refusal:
            return refusal
        return BodyTooLarge(limit) if token or not isinstance(endpoint, GuardedEndpoint) else no_token()

    def _find(self, method: str, segments: tuple[str, ...]) -> tuple[Endpoint, dict[str, str]]:
        endpoint, parameters = self._table.find(segments)
        if method not in endpoint.allowed:
            raise MethodNotAllowed(endpoint.allowed)
        return endpoint, parameters

    async def _respond(self, request: Request) -> Response:
        segments, call = _call(request, self._forwarding)
        endpoint, parameters = self._find(call.method, segments)
        if call.method == "OPTIONS":
            return Response(204, headers={"Allow": ", ".join(endpoint.allowed)})
        response = await endpoint.answer(replace(call, parameters=parameters))
        if call.method in ("GET", "HEAD") and response.status < 400:
            _check_match(call, response)
        return response


def _check_match(call: Call, response: Response) -> None:
    if differs(call.header("If-Match"), response.headers.get("ETag")):
        raise PreconditionFailed("If-Match names another version than there is.")


def _call(request: Request, forwarding: Forwarding) -> tuple[tuple[str, ...], Call]:
    """The request as values: the segments of its path, and the rest."""
    segments, query = path_and_query(request.uri)
    peer, headers = host(request.getClientAddress()), request.requestHeaders
    call = Call(
        method=request.method.decode("ascii"),
        path="/" + "/".join(segments),
        headers=headers,
        query=query,
        body=b"" if request.content is None else request.content.read(),
        address=forwarding.client(peer, partial(joined, headers)),
        server=forwarding.server(peer, partial(joined, headers), secure=request.isSecure()),
    )
    return segments, call


def _write(request: Request, response: Response) -> None:
    request.setResponseCode(response.status)
    for name, value in response.fields.items():
        request.setHeader(name, value)
    request.write(response.body)
    request.finish()
