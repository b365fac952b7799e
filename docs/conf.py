"""How the documentation becomes a site: `make docs` builds it into build/docs.

Pages outside this folder, such as PROTOCOL.md, are pages of the site, too. They are copied on every build, their
links adapted, to where `ROOT_PAGES` says.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from craftnet import __version__

project = "craftnet"
author = "the craftnet contributors"
copyright = "the craftnet contributors"
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinxcontrib.zopeext.autointerface",
    "sphinxcontrib.mermaid",
    "sphinx_copybutton",
]
exclude_patterns = ["_tools"]
templates_path: list[str] = []

html_theme = "furo"
html_title = "craftnet"
html_static_path = ["../build/mermaid"]
html_show_sourcelink = False
smartquotes = False  # they would make dashes of the options in docstrings.

myst_enable_extensions = ["deflist", "attrs_block"]
myst_fence_as_directive = ["mermaid"]
myst_heading_anchors = 4

mermaid_use_local = "mermaid.esm.min.mjs"
mermaid_d3_zoom = False
mermaid_fullscreen = False
mermaid_height = "auto"

copybutton_prompt_text = "$ "
copybutton_only_copy_prompt_lines = False  # commands go on over several lines without a prompt.

# Docstrings name things in single backticks; most of these are arguments, options and files, which are no targets.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "description"
napoleon_custom_sections = [("Fails", "Raises")]

nitpicky = True
# A console block whose quoted JSON goes on over several lines is highlighted in Pygments' relaxed mode.
suppress_warnings = ["misc.highlighting_failure"]
# Names of other projects, and annotations that are imported for type checkers only, have no page here.
nitpick_ignore_regex = [("py:.*", r".*")]

DOCS = Path(__file__).resolve().parent
REPOSITORY = DOCS.parent
ROOT_PAGES = {
    # A page outside this folder: where it is in the site.
    "PROTOCOL.md": "reference/protocol.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "SECURITY.md": "project/security.md",
    "CHANGELOG.md": "project/changelog.md",
    "clients/browser/README.md": "clients/browser.md",
    "clients/api-documents/README.md": "clients/api-documents.md",
    "clients/go-api/README.md": "clients/go-api.md",
    "clients/go-tls/README.md": "clients/go-tls.md",
    "clients/cpp/README.md": "clients/cpp.md",
    "clients/js/README.md": "clients/js.md",
    "clients/unreal/README.md": "clients/unreal.md",
    "clients/wireshark/README.md": "clients/wireshark.md",
    "clients/node-interop/README.md": "clients/node-interop.md",
}
PLACES = {**ROOT_PAGES, "README.md": "index.md"}
_LINK = re.compile(r"(\]\()([^)\s#:]+)(#[^)\s]*)?(\))")


def relink(text: str, source: Path, page: Path) -> str:
    """Markdown that was written at `source`, its relative links as they are from `page`."""

    def linked(found: re.Match[str]) -> str:
        target = Path(os.path.normpath(source.parent / found[2]))
        if not target.exists():
            return found[0]  # Sphinx says what is wrong with it.
        if target.is_relative_to(REPOSITORY):
            name = target.relative_to(REPOSITORY).as_posix()
            target = DOCS / PLACES[name] if name in PLACES else target
        return f"{found[1]}{Path(os.path.relpath(target, page.parent)).as_posix()}{found[3] or ''}{found[4]}"

    return _LINK.sub(linked, text)


def copy_root_pages(*_: Any) -> None:
    """Make pages of the repository's root pages of the site."""
    for name, place in ROOT_PAGES.items():
        source, page = REPOSITORY / name, DOCS / place
        text = relink(source.read_text(encoding="utf-8"), source, page)
        page.parent.mkdir(exist_ok=True)
        if not page.exists() or page.read_text(encoding="utf-8") != text:
            page.write_text(text, encoding="utf-8")
    for folder in {(DOCS / place).parent for place in ROOT_PAGES.values()} - {DOCS / "reference"}:
        for page in folder.glob("*.md"):
            if page.relative_to(DOCS).as_posix() not in ROOT_PAGES.values():
                page.unlink()  # a copy of what is gone.


def relink_page(app: Any, name: str, content: list[str]) -> None:
    """Let a page link to where the site has the repository's root pages."""
    page = DOCS / f"{name}.md"
    if page.exists():
        content[0] = relink(content[0], page, page)


def setup(app: Any) -> None:
    """What Sphinx calls."""
    app.connect("config-inited", copy_root_pages)
    app.connect("source-read", relink_page)
