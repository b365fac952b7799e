"""OpenAPI 3.0.3 of a routing table. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from craftnet.http.description.schemas import Schemas, attribute_texts, structs_in
from craftnet.http.exchange import Endpoint, GuardedEndpoint
from craftnet.http.operations import (
    FAILURES,
    OTHER_FAILURE,
    PATH_PARAMETERS,
    Answer,
    ApiOperation,
    HeaderField,
    Parameter,
    Tag,
    phrase,
)

Document = dict[str, Any]


class Route(Struct, frozen=True):
    """The part of an entry of the routing table on which the documents depend.

    Attributes:
        limited: whether one address may only ask so often.
    """

    path: str
    endpoint: type[Endpoint]
    limited: bool


Routes = tuple[Route, ...]


def routes_of(endpoints: Mapping[str, Endpoint]) -> Routes:
    """The routes of a table of endpoints by path."""
    return tuple(Route(path, type(each), each.limit is not None) for path, each in endpoints.items() if path)


TITLE = "Crafting network"

LICENSE = {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"}

OVERVIEW = """\
Live crafting progress, queues and materials over HTTP, WebSocket and UDP.

- `/asyncapi.json` describes the messages of the feeds that these operations open, and `/docs` shows both documents.
- Every path is served under each of the servers below. `HEAD` is answered where `GET` is, and `OPTIONS` everywhere.
- A request with several faults is refused for the first of these: 404 of the route, 405, 429 of the address, 401,
  415 or 400, 404 of the session, 403.
- A browser cannot set `Authorization` on a WebSocket: it offers the token as a second entry of
  `Sec-WebSocket-Protocol`, as in `craftnet.json.v1, bearer.<JWT>`.
- Fields of every schema are ordered from large to small (objects and arrays, texts and ids, 64-bit numbers, 32-bit
  numbers, booleans), so that a struct generated in this order needs no padding.
"""


class Described(Struct, frozen=True):
    """One operation with all that its endpoint and path imply.

    Attributes:
        parameters: those of the path included.
        answers: by status, those of every kind of refusal included.
        guarded: whether it needs a token.
    """

    path: str
    method: str
    operation: ApiOperation
    parameters: tuple[Parameter, ...]
    answers: Mapping[int, Answer]
    guarded: bool


def described(routes: Routes) -> Iterator[Described]:
    """Every operation of a routing table. Methods without an `ApiOperation` are left out."""
    for route in routes:
        path, endpoint = route.path, route.endpoint
        variables = [PATH_PARAMETERS[each[1:-1]] for each in path.split("/") if each.startswith("{")]
        for method in endpoint.methods:
            operation = endpoint.operations.get(method)
            if operation is None:
                continue
            named = {parameter.name for parameter in operation.parameters}
            parameters = (*(each for each in variables if each.name not in named), *operation.parameters)
            guarded = issubclass(endpoint, GuardedEndpoint)
            implied = [
                *((400,) if parameters or operation.bodies else ()),
                *((401, 403, 503) if guarded else ()),
                *((404,) if variables else ()),
                *((413, 415) if operation.bodies else ()),
                *((429,) if route.limited else ()),
            ]
            answers = {**{status: FAILURES[status] for status in implied}, **operation.answers}
            yield Described(path, method, operation, parameters, dict(sorted(answers.items())), guarded)


def openapi(routes: Routes, version: str, bases: Sequence[str]) -> Document:
    """The document.

    Arguments:
        version: of the service.
        bases: the base paths that may precede every path.
    """
    operations = list(described(routes))
    requested = {each for one in operations for body in one.operation.bodies.values() for each in structs_in(body.kind)}
    answered = {each for one in operations for kind in _sent(one) for each in structs_in(kind)}
    schemas = Schemas(nullable=requested - answered)
    paths: dict[str, Document] = {}
    for each in operations:
        paths.setdefault(each.path, {})[each.method.lower()] = _operation(each, schemas)
    failures = {phrase(status): _answer(answer, schemas) for status, answer in FAILURES.items()}
    failures["Error"] = _answer(OTHER_FAILURE, schemas)
    for each in operations:  # the messages of feeds are in no answer, but generators need them, too.
        channel = each.operation.channel
        for message in () if channel is None else (*channel.sends, *channel.receives):
            schemas.of(message.kind)
    used = [tag for tag in Tag if any(each.operation.tag is tag for each in operations)]
    return {
        "openapi": "3.0.3",
        "info": {"title": TITLE, "version": version, "description": OVERVIEW, "license": LICENSE},
        "servers": [{"url": base or "/"} for base in bases],
        "tags": [{"name": tag.value, "description": attribute_texts(Tag).get(tag.name, tag.value)} for tag in used],
        "security": [{"bearer": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
            "responses": failures,
            "schemas": dict(sorted(schemas.components.items())),
        },
    }


def _sent(each: Described) -> list[Any]:
    """The types that the server sends in an operation."""
    channel = each.operation.channel
    sends = () if channel is None else channel.sends
    return [*(answer.kind for answer in each.answers.values()), *(message.kind for message in sends)]


def _operation(each: Described, schemas: Schemas) -> Document:
    operation = each.operation
    made: Document = {
        "operationId": operation.id,
        "summary": operation.summary,
        "tags": [operation.tag.value],
    }
    if operation.description:
        made["description"] = operation.description
    if not each.guarded:
        made["security"] = []
    if each.parameters:
        made["parameters"] = [_parameter(parameter, schemas) for parameter in each.parameters]
    if operation.bodies:
        content = {
            name: {"schema": schemas.of(body.kind), **({} if body.example is None else {"example": body.example})}
            for name, body in operation.bodies.items()
        }
        made["requestBody"] = {"required": True, "content": content}
    made["responses"] = {
        str(status): (
            {"$ref": f"#/components/responses/{phrase(status)}"}
            if answer is FAILURES.get(status)
            else _answer(answer, schemas)
        )
        for status, answer in each.answers.items()
    }
    made["responses"]["default"] = {"$ref": "#/components/responses/Error"}
    return made


def _parameter(parameter: Parameter, schemas: Schemas) -> Document:
    made: Document = {"name": parameter.name, "in": parameter.place, "description": parameter.description}
    if parameter.required:
        made["required"] = True
    made["schema"] = schemas.of(parameter.kind)
    return made if parameter.example is None else {**made, "example": parameter.example}


def _answer(answer: Answer, schemas: Schemas) -> Document:
    made: Document = {"description": answer.description}
    if answer.headers:
        made["headers"] = {field.name: _header(field, schemas) for field in answer.headers}
    if answer.kind is not None:
        kinds = {answer.media_type: answer.kind, **answer.alternatives}
        made["content"] = {name: {"schema": schemas.of(kind)} for name, kind in kinds.items()}
    return made


def _header(field: HeaderField, schemas: Schemas) -> Document:
    required = {"required": True} if field.required else {}
    return {"description": field.description, **required, "schema": schemas.of(field.kind)}
