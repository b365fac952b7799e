"""Web pages that the package brings along: their files, with caching, compression and a strict content policy.

`make pages` builds each of them from `clients/NAME` into `craftnet/http/pages/NAME`, which is committed.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from hashlib import sha256
from importlib import resources
from importlib.resources.abc import Traversable

from msgspec import Struct

from craftnet.http.exchange import Call, Endpoint, Response
from craftnet.http.negotiation import accepts_gzip, matches

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; manifest-src 'self'; "
    "worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Content-Security-Policy: nothing inline, nothing from elsewhere, no frame."""

MEDIA_TYPES = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "png": "image/png",
    "svg": "image/svg+xml",
    "webmanifest": "application/manifest+json",
}
"""By the ending of a file's name."""

HASHED = "assets/"
"""The folder of files that have a hash of their content in their names, and therefore never change."""

IMMUTABLE = f"public, max-age={365 * 24 * 3600}, immutable"
"""The Cache-Control of content that never changes under its address."""


class PageFile(Struct, frozen=True):
    """A file of a page.

    Attributes:
        packed: gzip-coded; None where that is no shorter.
    """

    name: str
    octets: bytes
    packed: bytes | None
    etag: str

    @classmethod
    def of(cls, name: str, octets: bytes) -> PageFile:
        """The file with this name, below the page's folder, and content."""
        packed = gzip.compress(octets, 9, mtime=0)
        digest = sha256(octets).hexdigest()[:32]
        return cls(name, octets, packed if len(packed) < len(octets) else None, digest)


def page_files(folder: Traversable) -> dict[str, PageFile]:
    """The files of a page by their names below its folder; empty where it was never built."""
    return {path: PageFile.of(path, octets) for path, octets in _read(folder, "")} if folder.is_dir() else {}


def _read(folder: Traversable, prefix: str) -> list[tuple[str, bytes]]:
    found = []
    for entry in sorted(folder.iterdir(), key=lambda each: each.name):
        if entry.is_dir():
            found += _read(entry, f"{prefix}{entry.name}/")
        elif entry.name.rpartition(".")[2] in MEDIA_TYPES:
            found.append((prefix + entry.name, entry.read_bytes()))
    return found


class StaticFile(Endpoint):
    """One file of a page."""

    reads = ("If-None-Match",)

    def __init__(self, file: PageFile) -> None:
        self._file = file
        self._media_type = MEDIA_TYPES[file.name.rpartition(".")[2]]
        kept = IMMUTABLE if file.name.startswith(HASHED) else "no-cache"
        self._headers = {"Cache-Control": kept, "Vary": "Accept-Encoding"}
        if self._media_type.startswith(("text/html", "text/javascript", "image/svg")):
            self._headers |= {"Content-Security-Policy": POLICY, "Referrer-Policy": "no-referrer"}

    async def respond(self, call: Call) -> Response:
        """The file, gzip-coded for clients that accept it, or 304."""
        file, coded = self._file, self._file.packed if accepts_gzip(call.header("Accept-Encoding")) else None
        etag = f'"{file.etag}{"" if coded is None else "-gzip"}"'
        headers = {**self._headers, "ETag": etag}
        if matches(call.header("If-None-Match"), frozenset({etag})):
            return Response(304, headers=headers)
        if coded is None:
            return Response(200, file.octets, headers, self._media_type)
        return Response(200, coded, {**headers, "Content-Encoding": "gzip"}, self._media_type)


class ToFolder(Endpoint):
    """The address of a page without its slash: leads to the one with it, which relative addresses need."""

    async def respond(self, call: Call) -> Response:
        """A redirection; a browser keeps the fragment."""
        return Response(308, headers={"Location": f"{call.path}/"}, media_type=None)


def page_routes(name: str, pages: Traversable | None = None) -> Mapping[str, Endpoint]:
    """The routes of a page; none where it was never built.

    Arguments:
        pages: the folder of all pages; None for that of the package.
    """
    files = page_files((pages or resources.files("craftnet.http") / "pages") / name)
    if "index.html" not in files:
        return {}
    return {
        f"/{name}": ToFolder(),
        f"/{name}/": StaticFile(files["index.html"]),
        **{f"/{name}/{path}": StaticFile(file) for path, file in files.items() if path != "index.html"},
    }
