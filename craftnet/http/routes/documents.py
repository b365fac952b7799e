"""`/openapi.json`, `/asyncapi.json` and `/docs`: describe routes and messages to programs and people."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import msgspec
from msgspec import Struct

from craftnet.contract.routes import BasePaths
from craftnet.http.coded_response import CodedResponse
from craftnet.http.description.asyncapi import asyncapi
from craftnet.http.description.openapi import Routes, openapi, routes_of
from craftnet.http.description.page import POLICY, page
from craftnet.http.exchange import JSON, Call, Endpoint, Response
from craftnet.http.operations import Answer, ApiOperation, HeaderField, Tag, Text, by_method

HTML = "text/html; charset=utf-8"

_CACHING = {"Cache-Control": "no-cache"}
"""A cache may keep a document, and asks each time whether it has changed."""


class RenderedDocuments(Struct, frozen=True):
    """The responses with the three documents."""

    openapi: CodedResponse
    asyncapi: CodedResponse
    page: CodedResponse


class _Document(Endpoint):
    """A route of one document."""

    reads = ("If-None-Match",)

    def __init__(self) -> None:
        self.document: CodedResponse | None = None

    async def respond(self, call: Call) -> Response:
        """The document, or 304."""
        assert self.document is not None, "`with_documents` sets it"
        return self.document.answer(call)


def _operation(name: str, summary: str, media_type: str) -> ApiOperation:
    kind = dict[str, object] if media_type == JSON else Text
    etag = HeaderField("ETag", str, "Entity tag of the document.")
    answers = {
        200: Answer("The document.", kind, (etag,), media_type),
        304: Answer("The client has it already (If-None-Match)."),
    }
    return ApiOperation(name, summary, Tag.OPERATIONS, answers)


class OpenApiDocument(_Document):
    """`/openapi.json`"""

    operations = by_method(GET=_operation("openApi", "This document", JSON))


class AsyncApiDocument(_Document):
    """`/asyncapi.json`"""

    operations = by_method(GET=_operation("asyncApi", "The messages of the feeds, as AsyncAPI", JSON))


class ApiPage(_Document):
    """`/docs`"""

    operations = by_method(GET=_operation("apiPage", "Both documents as a page", "text/html"))


def with_documents(endpoints: Mapping[str, Endpoint], version: str, bases: BasePaths) -> dict[str, Endpoint]:
    """The endpoints by path, and the endpoints of the documents, which describe these routes as well.

    Arguments:
        version: of the service.
        bases: the base paths that may precede every route.
    """
    feeds, people, programs = AsyncApiDocument(), ApiPage(), OpenApiDocument()
    whole = {**endpoints, "/openapi.json": programs, "/asyncapi.json": feeds, "/docs": people}
    rendered = _render(version, bases.paths, routes_of(whole))
    programs.document, feeds.document, people.document = rendered.openapi, rendered.asyncapi, rendered.page
    return whole


@lru_cache(maxsize=2)  # all sites of a process have the same routes; generating takes tens of milliseconds.
def _render(version: str, bases: tuple[str, ...], routes: Routes) -> RenderedDocuments:
    for_programs, for_feeds = openapi(routes, version, bases), asyncapi(routes, version, bases)
    return RenderedDocuments(
        _rendered(msgspec.json.encode(for_programs), JSON),
        _rendered(msgspec.json.encode(for_feeds), JSON),
        _rendered(
            page(for_programs, for_feeds).encode(),
            HTML,
            {"Content-Security-Policy": POLICY, "Referrer-Policy": "no-referrer"},
        ),
    )


def _rendered(body: bytes, media_type: str, headers: Mapping[str, str] = {}) -> CodedResponse:  # read.
    return CodedResponse.of(Response(200, body, {**_CACHING, **headers}, media_type))
