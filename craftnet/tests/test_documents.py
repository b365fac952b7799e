"""The documents: generated parts are up to date, links lead somewhere, and lines are short."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from twisted.python.reflect import ObjectNotFound, namedAny
from twisted.trial.unittest import SkipTest, SynchronousTestCase

import craftnet
from craftnet.protocols.websocket.core.subprotocols import BINARY, JSON, LZ4
from craftnet.tests.support.chromium import browser
from craftnet.tests.support.live import LiveTestCase, envelope, in_thread, started, token
from craftnet.tests.support.programs import TIME_LIMIT
from craftnet.tests.support.samples import PLAYER, SESSION

REPOSITORY = Path(craftnet.__file__).resolve().parent.parent
DOCS = REPOSITORY / "docs"

WIDTH = 100
"""Characters of the longest line of Markdown."""

FENCE = re.compile(r"^\s*(```+|~~~+)")
HEADING = re.compile(r"^#+ (.+)$")
LINK = re.compile(r"\]\(([^)\s]+)\)")
SUBPROTOCOLS = (BINARY, JSON, LZ4)
FOLDERS = ("craftnet/", "bench/", "clients/", "deploy/", "docs/", "protocol/")
HISTORY = ("CHANGELOG.md", "moved.md")
"""Pages that name what was, too."""

PROGRAM_OUTPUT = DOCS / "explanation" / "figures.md"
"""Its blocks are what programs printed, as they printed it."""


def pages() -> list[Path]:
    """Every Markdown file of the repository."""
    if not DOCS.exists():
        raise SkipTest("not run from the repository")
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"]
    found = subprocess.run(listed, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if found.returncode:
        raise SkipTest("not a clone of the repository")
    return [REPOSITORY / name for name in found.stdout.split() if (REPOSITORY / name).exists()]


def lines(page: Path) -> Iterator[tuple[int, str, bool]]:
    """The lines of a page, by number, and whether each is in a block of code."""
    fence = ""
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        opening = FENCE.match(line)
        if opening and not fence:
            fence = opening[1]
            yield number, line, True
        else:
            yield number, line, bool(fence)
            if opening and line.strip() == fence:
                fence = ""


def anchors(page: Path) -> set[str]:
    """What links to headings of a page name, by GitHub's rule."""
    found: set[str] = set()
    for _, line, in_code in lines(page):
        heading = None if in_code else HEADING.match(line)
        if heading:
            text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading[1]).strip().lower()
            slug = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
            found.add(next(name for name in numbered(slug) if name not in found))
    return found


def numbered(slug: str) -> Iterator[str]:
    """A slug, and what its second and third heading of the same text are called."""
    yield slug
    yield from (f"{slug}-{number}" for number in range(1, 100))


class GeneratedTests(SynchronousTestCase):
    """Parts of the reference that come from the code."""

    def test_up_to_date(self) -> None:
        """`make reference` would change nothing; it fails, too, for a field, value or message type without its text."""
        tool = DOCS / "_tools" / "generate.py"
        if not tool.exists():
            raise SkipTest("not run from the repository")
        done = subprocess.run([sys.executable, str(tool), "--check"], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr[-2000:])


class LinkTests(SynchronousTestCase):
    """Links within the repository."""

    def test_lead_somewhere(self) -> None:
        dead = []
        for page in pages():
            for number, line, in_code in lines(page):
                for link in () if in_code else LINK.findall(re.sub(r"`[^`]*`", "", line)):
                    if re.match(r"[a-z]+:", link):
                        continue
                    name, _, anchor = link.partition("#")
                    target = (page.parent / name).resolve() if name else page
                    if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
                        dead.append(f"{page.relative_to(REPOSITORY)}:{number}: {link}")
        self.assertEqual(dead, [])

    def test_names(self) -> None:
        """Modules, classes and files that a text names exist."""
        missing = []
        for page in pages():
            for number, line, in_code in lines(page):
                for name in () if in_code or page.name in HISTORY else re.findall(r"`([^`]+)`", line):
                    if not _exists(name):
                        missing.append(f"{page.relative_to(REPOSITORY)}:{number}: {name}")
        self.assertEqual(missing, [])


def _exists(name: str) -> bool:
    """Whether what stands in backticks is there, if it looks like a name or a path of this repository."""
    if name.startswith(FOLDERS):
        return (REPOSITORY / name.split()[0]).exists()  # what follows are a command's arguments.
    if re.fullmatch(r"craftnet(\.\w+)+", name) and name not in SUBPROTOCOLS:
        try:
            namedAny(name)
        except (AttributeError, ModuleNotFoundError, ObjectNotFound):
            return False
    return True


class WidthTests(SynchronousTestCase):
    """How long lines are."""

    def test_lines(self) -> None:
        """At most 100 characters, but for what cannot be wrapped: a link that stands alone, and a row of a table."""
        long = []
        for page in pages():
            for number, line, in_code in lines(page):
                alone = len(line.strip().removeprefix("- ").split()) == 1
                row = not in_code and line.startswith("|")
                if len(line) > WIDTH and not (alone or row or (in_code and page == PROGRAM_OUTPUT)):
                    long.append(f"{page.relative_to(REPOSITORY)}:{number}: {len(line)}")
        self.assertEqual(long, [])


class ExampleTests(LiveTestCase):
    """Programs that the documents show."""

    async def test_client(self) -> None:
        """The program of the Python API watches a session to its end."""
        page = DOCS / "reference" / "python.md"
        if not page.exists():
            raise SkipTest("not run from the repository")
        program = re.search(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.S)
        assert program is not None
        await self.publish(started())
        data = {"session_id": str(SESSION), "result_item_id": str(PLAYER)}
        await self.publish(envelope("crafting.session.complete", data))
        command = [sys.executable, "-c", program[1], self.url, str(SESSION), str(PLAYER), token()]
        done = await in_thread(
            partial(subprocess.run, command, capture_output=True, text=True, check=False, timeout=TIME_LIMIT)
        )
        self.assertIn("crafting_complete", done.stdout, done.stderr)
        self.assertIn("COMPLETED", done.stdout)


class DiagramTests(SynchronousTestCase):
    """Diagrams in Mermaid, which is only read in the reader's browser."""

    def test_can_be_drawn(self) -> None:
        """With the version of Mermaid that `make docs` puts into the site."""
        mermaid = REPOSITORY / "build" / "mermaid"
        if not (mermaid / "mermaid.esm.min.mjs").exists():
            raise SkipTest("run `make docs` first")
        diagrams = [
            (page, found)
            for page in pages()
            for found in re.findall(r"^```mermaid\n(.*?)^```", page.read_text(encoding="utf-8"), re.S | re.M)
        ]
        self.assertNotEqual(diagrams, [])
        with served(mermaid) as url, browser() as tab:
            tab.open(url)
            tab.evaluate("import('./mermaid.esm.min.mjs').then(({ default: mermaid }) => { self.mermaid = mermaid; })")
            for page, diagram in diagrams:
                problem = tab.evaluate(f"mermaid.parse({json.dumps(diagram)}).then(() => '', String)")
                self.assertEqual(problem, "", f"{page.relative_to(REPOSITORY)}: {diagram}")


class Quiet(SimpleHTTPRequestHandler):
    """Serves files, and logs nothing."""

    extensions_map = SimpleHTTPRequestHandler.extensions_map | {".mjs": "text/javascript"}

    def log_message(self, *_: object) -> None:
        """Not at all."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The URL of a folder's files."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()
