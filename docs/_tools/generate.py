"""Writes the generated parts of the reference from the code, in place.

    python docs/_tools/generate.py            # or: make reference
    python docs/_tools/generate.py --check    # exit code 1 when a page is not as the code has it

A page holds a part between ``<!-- generated: NAME -->`` and ``<!-- end of generated -->``; `PARTS` has the names.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable
from pathlib import Path

from describe import (
    attribute_texts,
    fields_text,
    item,
    paragraph,
    recording_tables,
    values_text,
)
from imports import picture
from message_parts import (
    admin_bodies,
    admin_messages,
    crafting_messages,
    device_messages,
    event_envelope,
    event_types,
    health_messages,
    http_bodies,
    queue_messages,
    shared_types,
    token_messages,
    values_section,
)

from craftnet.contract.close_codes import NO_RETRY_CODES, STALE_TOKEN_CODES, CloseCode
from craftnet.observe.audit.entries import LogEntry
from craftnet.observe.audit.events import SecurityEventType
from craftnet.observe.metrics.families import FAMILIES, Family
from craftnet.providers.registry import factory_of, installed
from craftnet.server.command_line import Options
from craftnet.server.options.documents import default_file, schema_text
from craftnet.server.options.table import GROUPS, OPTIONS
from craftnet.streams.core import messages as stream_messages
from craftnet.streams.registry import EVENT_STREAMS

DOCS = Path(__file__).resolve().parent.parent
MARKED = re.compile(r"(<!-- generated: ([\w-]+) -->\n)(.*?)(<!-- end of generated -->)", re.S)


def options() -> str:
    """Every option of `twistd craftnet`, under its heading."""
    parsed, lines = Options(), []
    for group in GROUPS:
        lines += [f"## {group.heading}", ""]
        for name in group.names:
            again = " Reloaded." if name in OPTIONS and OPTIONS[name].option.reload else ""
            lines.append(item(f"`--{name}`: {code_words(parsed.describe(name))}{again}"))
        lines.append("")
    return "\n".join(lines)


def code_words(text: str) -> str:
    """Markdown of an option's text: options, variables and URLs in code."""
    words = r"--[a-z-]+|\$[A-Z_]+|https?://[^\s,]+|(?:\w+:)+[\w-]+=[^\s,;]*|tcp:[$\w]+|:\w+=\w+…?|:\w+=…"
    return re.sub(rf"(?<![`\w:])({words})", r"`\1`", text)


def backends() -> str:
    """The back ends and their arguments."""
    lines = []
    for name, plugin in sorted(installed().items()):
        factory = factory_of(plugin)
        lines += [f"### {name}", "", paragraph(f"`--backend {name}:…`: {factory.summary.rstrip('.')}."), ""]
        lines += [item(f"`{argument}`: {text.rstrip('.')}.") for argument, text in factory.arguments.items()] + [""]
    return "\n".join(lines)


def buses() -> str:
    """The message buses and their arguments."""
    lines = []
    for name, plugin in sorted(EVENT_STREAMS.installed().items()):
        factory = EVENT_STREAMS.factory_of(plugin)
        lines += [f"### {name}", "", paragraph(f"`--ingest {name}:…`: {factory.summary.rstrip('.')}."), ""]
        lines += [item(f"`{argument}`: {text.rstrip('.')}.") for argument, text in factory.arguments.items()] + [""]
    return "\n".join(lines)


def dead_letters() -> str:
    """The fields of a line of a file of dead letters, and the reasons."""
    return f"{fields_text(stream_messages.DeadLetterLine)}\n\n{values_text(stream_messages.DeadLetterReason)}\n"


def metrics() -> str:
    """Every metric: its name, kind, labels and meaning."""
    return "\n".join(map(metric, sorted(FAMILIES, key=lambda family: family.name)))


def metric(family: Family) -> str:
    """One metric."""
    labels = ", ".join(f"`{label}`{values_of(possible)}" for label, possible in family.labels.items())
    text = family.text
    if family.bounds:
        text += f" Buckets: {', '.join(map(str, family.bounds))}, +Inf."
    if family.kind == "gauge":
        text += f" {COMBINED[family.combine]}"
    return item(f"`{family.name}` ({family.kind}{f', {labels}' if labels else ''}): {text}")


def values_of(possible: tuple[str, ...]) -> str:
    """The possible values of a label, in brackets."""
    return f" ({', '.join(possible)})" if possible else ""


COMBINED = {
    "livesum": "Workers: the sum.",
    "livemax": "Workers: the maximum.",
    "livemin": "Workers: the minimum.",
}


def audit_events() -> str:
    """Every kind of security event."""
    return values_section(SecurityEventType)


def audit_entry() -> str:
    """The fields of a line of an audit log."""
    return fields_text(LogEntry)


def close_codes() -> str:
    """Every close code of ours: its meaning, and what a client does then."""
    texts = attribute_texts(CloseCode)
    lines = []
    for code in CloseCode:
        kind = (
            "final"
            if code in NO_RETRY_CODES
            else "reconnect with a fresh token"
            if code in STALE_TOKEN_CODES
            else "reconnect"
        )
        lines.append(item(f"`{code.value}` {code.name} ({kind}): {texts[code.name]}"))
    return "\n".join(lines)


PARTS: dict[str, Callable[[], str]] = {
    "options": options,
    "backends": backends,
    "buses": buses,
    "dead-letters": dead_letters,
    "default-file": lambda: f"```toml\n{default_file()}```\n",
    "crafting-messages": crafting_messages,
    "queue-messages": queue_messages,
    "health-messages": health_messages,
    "token-messages": token_messages,
    "device-messages": device_messages,
    "shared-types": shared_types,
    "http-bodies": http_bodies,
    "event-envelope": event_envelope,
    "event-types": event_types,
    "metrics": metrics,
    "layers": lambda: picture() + "\n",
    "close-codes": close_codes,
    "audit-events": audit_events,
    "audit-entry": audit_entry,
    "recording-tables": recording_tables,
    "admin-bodies": admin_bodies,
    "admin-messages": admin_messages,
}


FILES: dict[str, Callable[[], str]] = {"reference/craftnet.schema.json": schema_text}
"""Files that are generated as a whole."""


def filled(text: str) -> str:
    """A page with all its parts as the code has them now."""
    return MARKED.sub(lambda found: f"{found[1]}\n{PARTS[found[2]]().strip()}\n\n{found[4]}", text)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 when a page is out of date")
    check = parser.parse_args().check
    stale, used = [], set()
    for page in sorted(DOCS.rglob("*.md")):
        if {"node_modules", "_build"} & set(page.parts):
            continue
        text = page.read_text(encoding="utf-8")
        used.update(found[1] for found in MARKED.findall(text))
        if filled(text) != text:
            stale.append(page)
            if not check:
                page.write_text(filled(text), encoding="utf-8")
    for name, made in FILES.items():
        if (file := DOCS / name).read_text(encoding="utf-8") != made():
            stale.append(file)
            if not check:
                file.write_text(made(), encoding="utf-8")
    for page in stale:
        print(f"{page.relative_to(DOCS.parent)} {'is out of date: run make reference' if check else 'written'}")
    for name in sorted(set(PARTS) - used):
        print(f"no page holds the part {name}")
    return 1 if (check and stale) or set(PARTS) - used else 0


if __name__ == "__main__":
    sys.exit(main())
