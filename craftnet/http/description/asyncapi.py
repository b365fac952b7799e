"""AsyncAPI 3 of the channels of a routing table. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from craftnet.http.description.openapi import LICENSE, TITLE, Described, Document, Routes, described
from craftnet.http.description.schemas import Schemas
from craftnet.http.operations import Channel, Message, Parameter

ASYNCAPI_VERSION = "3.0.0"
"""Of AsyncAPI."""

OVERVIEW = """\
What craftnet sends and receives beyond single HTTP requests. `send` is what craftnet sends, `receive` what it receives.

`/openapi.json` describes the HTTP requests, among them those that open these channels: `x-opened-by` names them.
PROTOCOL.md of craftnet specifies every byte of what travels over UDP.
"""

SERVERS = {
    "ws": ("websocket", "ws", "localhost:8080", "HTTP and WebSocket share a port."),
    "sse": ("http", "http", "localhost:8080", "HTTP and WebSocket share a port."),
    "http": ("http", "http", "localhost:8080", "HTTP and WebSocket share a port."),
    "udp": ("udp", "udp", "localhost:8082", "The answer to connect names the endpoint."),
}
"""By the protocol of a channel: the server's key, protocol, usual host and port, and description."""


def asyncapi(routes: Routes, version: str, bases: Sequence[str]) -> Document:
    """The document.

    Arguments:
        version: of the service.
        bases: the base paths that may precede every address.
    """
    schemas = Schemas()
    channels: dict[str, Document] = {}
    operations: dict[str, Document] = {}
    messages: dict[str, Document] = {}
    servers: dict[str, Document] = {}
    for each in described(routes):
        channel = each.operation.channel
        if channel is None:
            continue
        name, protocol, host, text = SERVERS[channel.protocol]
        servers[name] = _server(protocol, host, text, bases)
        for message in (*channel.sends, *channel.receives):
            messages.setdefault(_name(message), _message(message, schemas))
        opened = channels.get(channel.name)
        if opened is not None:  # a channel that several requests open or belong to.
            opened["x-opened-by"].append(each.operation.id)
        else:
            channels[channel.name] = _channel(each, channel, name, schemas)
        for action, several in (("send", channel.sends), ("receive", channel.receives)):
            if several:
                operations.setdefault(*_operation(each, channel, action, several))
    return {
        "asyncapi": ASYNCAPI_VERSION,
        "info": {"title": TITLE, "version": version, "description": OVERVIEW, "license": LICENSE},
        "defaultContentType": "application/json",
        "servers": servers,
        "channels": channels,
        "operations": operations,
        "components": {
            "messages": messages,
            "schemas": dict(sorted(schemas.components.items())),
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


def _server(protocol: str, host: str, text: str, bases: Sequence[str]) -> Document:
    made: Document = {
        "host": "{host}",
        "protocol": protocol,
        "description": text,
        "variables": {"host": {"default": host, "description": "Host and port."}},
    }
    if protocol != "udp":
        made["pathname"] = "{base}"
        paths = [base or "/" for base in bases]
        made["variables"]["base"] = {"default": paths[0], "enum": paths, "description": "The base path."}
        made["security"] = [{"$ref": "#/components/securitySchemes/bearer"}]
    return made


def _channel(each: Described, channel: Channel, server: str, schemas: Schemas) -> Document:
    names = dict.fromkeys(map(_name, (*channel.sends, *channel.receives)))
    address = each.path if channel.address is None else channel.address or None
    made: Document = {
        "address": address,
        "title": each.operation.summary,
        "description": channel.description,
        "servers": [{"$ref": f"#/servers/{server}"}],
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names},
        "x-opened-by": [each.operation.id],
    }
    inside = [parameter for parameter in each.parameters if parameter.place == "path"] if address else []
    if inside:
        made["parameters"] = {parameter.name: {"description": parameter.description} for parameter in inside}
    query = [parameter for parameter in each.parameters if parameter.place == "query"]
    if channel.protocol == "ws":
        made["bindings"] = {"ws": {"method": "GET", **_query(query, schemas), "bindingVersion": "0.1.0"}}
    return made


def _query(parameters: Sequence[Parameter], schemas: Schemas) -> Document:
    if not parameters:
        return {}
    required = [parameter.name for parameter in parameters if parameter.required]
    properties = {each.name: {**schemas.of(each.kind), "description": each.description} for each in parameters}
    return {
        "query": {"type": "object", **({"required": required} if required else {}), "properties": properties},
    }


def _operation(each: Described, channel: Channel, action: str, messages: Sequence[Message]) -> tuple[str, Document]:
    """The key and the operation. An operation that opens a feed has the same name as in OpenAPI."""
    first = "send" if channel.sends else "receive"
    name = each.operation.id if action == first else f"{each.operation.id}{action.capitalize()}"
    where = f"#/channels/{channel.name}"
    return name, {
        "action": action,
        "channel": {"$ref": where},
        "title": each.operation.summary,
        "summary": channel.description.partition("\n")[0],
        "messages": [{"$ref": f"{where}/messages/{_name(message)}"} for message in messages],
    }


def _name(message: Message) -> str:
    return message.name or str(message.kind.__name__)


def _message(message: Message, schemas: Schemas) -> Document:
    return {
        "name": _name(message),
        "title": _name(message),
        "summary": message.summary,
        "contentType": message.media_type,
        "payload": schemas.of(message.kind),
    }
