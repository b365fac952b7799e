"""A page of both API documents for people: no script, no outside resource, readable on a phone. Pure."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator
from hashlib import sha256
from html import escape

from craftnet.http.description.openapi import Document
from craftnet.http.description.schemas import Schema

_STYLE = (
    ":root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}"
    "body{max-width:52rem;margin:0 auto;padding:1rem;overflow-wrap:anywhere}"
    "h1{font-size:1.5rem}h2{font-size:1.2rem;margin-top:2rem}h3{font-size:1rem;margin:1rem 0 .25rem}"
    "p,ul{margin:.25rem 0}ul{padding-left:1.25rem}code{font-size:.9em}"
    "details{border:1px solid #8886;border-radius:.4rem;margin:.4rem 0;padding:.4rem .7rem}"
    "summary{cursor:pointer}summary b{display:inline-block;min-width:3.5rem}"
    ".note{opacity:.75}"
)

POLICY = (
    f"default-src 'none'; style-src 'sha256-{base64.b64encode(sha256(_STYLE.encode()).digest()).decode()}'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The page's Content-Security-Policy."""


def page(openapi: Document, asyncapi: Document) -> str:
    """The page as HTML."""
    info = openapi["info"]
    schemas = {**asyncapi["components"]["schemas"], **openapi["components"]["schemas"]}
    parts = [
        f"<h1>{escape(info['title'])} {escape(info['version'])}</h1>",
        '<p><a href="openapi.json">openapi.json</a> · <a href="asyncapi.json">asyncapi.json</a></p>',
        _prose(info["description"]),
        *_operations(openapi),
        "<h2>Channels</h2>",
        *(_channel(channel, asyncapi) for channel in asyncapi["channels"].values()),
        "<h2>Schemas</h2>",
        *(_schema(name, schema) for name, schema in sorted(schemas.items())),
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(info['title'])}</title><style>{_STYLE}</style></head>"
        f"<body><main>{''.join(parts)}</main></body></html>\n"
    )


def _operations(document: Document) -> Iterator[str]:
    for tag in document["tags"]:
        yield f"<h2>{escape(tag['name'].capitalize())}</h2>{_prose(tag['description'])}"
        for path, methods in document["paths"].items():
            for method, operation in methods.items():
                if tag["name"] in operation["tags"]:
                    yield _operation(path, method.upper(), operation, document)


def _operation(path: str, method: str, operation: Document, document: Document) -> str:
    parts = [_prose(operation.get("description", ""))]
    parts.append(f'<p class="note">{"No token." if operation.get("security") == [] else "Needs a token."}</p>')
    parameters = [
        f"<code>{escape(each['name'])}</code> ({each['in']}, {_type(each['schema'])}"
        f"{', required' if each.get('required') else ''}): {_inline(each['description'])}"
        for each in operation.get("parameters", ())
    ]
    parts += ["<h3>Parameters</h3>", _list(parameters)] if parameters else []
    content = operation.get("requestBody", {}).get("content", {})
    bodies = [f"<code>{name}</code>: {_type(body['schema'])}" for name, body in content.items()]
    parts += ["<h3>Body</h3>", _list(bodies)] if bodies else []
    answers = [_answer(status, answer, document) for status, answer in operation["responses"].items()]
    parts += ["<h3>Answers</h3>", _list(answers)]
    name = escape(operation["operationId"])
    return (
        f'<details id="{name}"><summary><b>{method}</b> <code>{escape(path)}</code> '
        f'{escape(operation["summary"])} <span class="note">{name}</span></summary>{"".join(parts)}</details>'
    )


def _answer(status: str, answer: Document, document: Document) -> str:
    while "$ref" in answer:
        answer = document["components"]["responses"][answer["$ref"].rpartition("/")[2]]
    kinds = [f"{escape(name)}, {_type(body['schema'])}" for name, body in answer.get("content", {}).items()]
    headers = [f"<code>{escape(name)}</code>" for name in answer.get("headers", {})]
    text = f"<b>{status}</b>: {_inline(answer['description'])}"
    text += f" ({'; '.join(kinds)})" if kinds else ""
    return text + (f" Headers: {', '.join(headers)}." if headers else "")


def _channel(channel: Document, document: Document) -> str:
    messages = []
    for reference in channel["messages"].values():
        message = document["components"]["messages"][reference["$ref"].rpartition("/")[2]]
        messages.append(f"{_type(message['payload'], message['name'])}: {_inline(message['summary'])}")
    opened = ", ".join(f'<a href="#{name}">{name}</a>' for name in channel["x-opened-by"])
    return (
        f"<details><summary><code>{escape(channel['address'] or 'UDP')}</code> {escape(channel['title'])}</summary>"
        f"{_prose(channel['description'])}<p>Operation: {opened}</p><h3>Messages</h3>{_list(messages)}</details>"
    )


def _schema(name: str, schema: Schema) -> str:
    required = schema.get("required", ())
    fields = [
        f"<code>{escape(field)}</code> ({_type(each)}{', required' if field in required else ''})"
        + (f": {_inline(each['description'])}" if "description" in each else "")
        for field, each in schema.get("properties", {}).items()
    ]
    kinds = [_type(each) for each in schema.get("oneOf", ())]
    return (
        f'<details id="schema-{escape(name)}"><summary><code>{escape(name)}</code></summary>'
        f"{_prose(schema.get('description', ''))}{_list(fields)}{_list(kinds)}</details>"
    )


def _type(schema: Schema, name: str = "") -> str:
    """A type in words."""
    match schema:
        case {"$ref": reference}:
            name = escape(reference.rpartition("/")[2])
            return f'<a href="#schema-{name}">{name}</a>'
        case {"oneOf": several}:
            return " or ".join(map(_type, several))
        case {"type": "array", "items": items}:
            return f"array of {_type(items)}"
        case {"enum": values}:
            return " or ".join(f"<code>{escape(str(value))}</code>" for value in values)
        case {"type": kind}:
            bounds = [str(schema[bound]) for bound in ("minimum", "maximum") if bound in schema]
            words = [name, schema.get("format", kind), " to ".join(bounds) if len(bounds) == 2 else ""]
            return escape(" ".join(filter(None, words)))
    return "any value"


def _list(items: Iterable[str]) -> str:
    lines = "".join(f"<li>{item}</li>" for item in items)
    return f"<ul>{lines}</ul>" if lines else ""


def _prose(text: str) -> str:
    """Paragraphs and lists, as much of CommonMark as the descriptions use."""
    made = []
    for block in filter(None, text.strip().split("\n\n")):
        if block.startswith("- "):
            made.append(_list(_inline(" ".join(item.split())) for item in block[2:].split("\n- ")))
        else:
            made.append(f"<p>{_inline(' '.join(block.split()))}</p>")
    return "".join(made)


def _inline(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))
