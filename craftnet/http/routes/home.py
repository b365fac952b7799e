"""`/`: what this server is, for people and for programs that find it."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from hashlib import sha256
from html import escape

from craftnet.contract.http_bodies import ServiceInfo
from craftnet.http.exchange import JSON, Call, Endpoint, Response, json_response
from craftnet.http.negotiation import media_weight
from craftnet.http.operations import Answer, ApiOperation, Tag, Text, by_method

HTML = "text/html"

LINKS: Mapping[str, str] = {"health": "health", "metrics": "metrics", "API": "docs"}
"""What every server has, by name: paths below this one, or URLs."""

_MEANINGS: Mapping[str, str] = {
    "dashboard": "what this server does, for administrators",
    "demo": "what a player sees: live crafts, queues, and how little they cost",
    "API": "every route and message, with OpenAPI and AsyncAPI documents",
    "health": "whether everything works, as JSON",
    "metrics": "figures for Prometheus",
}
"""What is behind each link, in the order of the page."""

_STYLE = (
    ":root{color-scheme:light dark;font:16px/24px system-ui,sans-serif;"
    "background:light-dark(#f6f7f9,#14171a);color:light-dark(#1b1f23,#e6e9ec)}"
    "body{max-width:32rem;margin:64px auto;padding:0 16px}h1{font-size:24px;line-height:32px;margin:0}"
    "p{margin:8px 0 32px}p,dd{color:light-dark(#59626c,#a0a9b3)}dt{margin-top:16px}dd{margin:0}"
    "a{color:light-dark(#0072b2,#56b4e9);text-decoration:none}a:hover{text-decoration:underline}"
)

_STYLE_HASH = base64.b64encode(sha256(_STYLE.encode()).digest()).decode()

POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The page's Content-Security-Policy: no script, no outside resource, no frame."""


class Home(Endpoint):
    """`/`

    Arguments:
        links: paths below this one, or URLs, by what is there.
    """

    operations = by_method(
        GET=ApiOperation(
            "serviceInfo",
            "What this server is",
            Tag.OPERATIONS,
            {200: Answer("The name, the version and links.", ServiceInfo, alternatives={HTML: Text})},
            "A page for browsers, JSON for clients that prefer it.",
        )
    )

    def __init__(self, version: str, links: Mapping[str, str] = LINKS) -> None:
        self._version = version
        self._links = links

    async def respond(self, call: Call) -> Response:
        """A page; JSON for a client that prefers it."""
        base, accept = call.path.rstrip("/"), call.header("Accept")
        links = {name: link if ":" in link else f"{base}/{link}" for name, link in self._links.items()}
        info = ServiceInfo(name="craftnet", version=self._version, links=links)
        if media_weight(accept, JSON) > media_weight(accept, HTML):
            return json_response(info, headers={"Vary": "Accept"})
        headers = {"Vary": "Accept", "Content-Security-Policy": POLICY, "Referrer-Policy": "no-referrer"}
        return Response(200, _page(info).encode(), headers, f"{HTML}; charset=utf-8")


def _page(info: ServiceInfo) -> str:
    names = [*(name for name in _MEANINGS if name in info.links), *(info.links.keys() - _MEANINGS.keys())]
    items = "".join(
        f'<dt><a href="{escape(info.links[name])}">{escape(name)}</a></dt><dd>{escape(_MEANINGS.get(name, ""))}</dd>'
        for name in names
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(info.name)}</title><style>{_STYLE}</style></head>"
        f"<body><h1>{escape(info.name)}</h1>"
        f"<p>The crafting network service, version {escape(info.version)}.</p><dl>{items}</dl></body></html>\n"
    )
