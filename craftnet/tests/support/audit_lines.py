"""Audit logs for tests: a key, files in a folder of the test, and what a verification finds."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from random import Random

from craftnet.observe.audit.entries import AuditKey
from craftnet.observe.audit.events import SecurityEvent, SecurityEventType
from craftnet.observe.audit.log_file import AuditFile
from craftnet.observe.audit.pseudonyms import Pseudonyms
from craftnet.observe.audit.verification import ChainHead, Verifier
from craftnet.tests.support.samples import NOW, PLAYER

KEY = AuditKey(bytes(range(32)))


def denied(number: int = 0) -> SecurityEvent:
    """One event of a player."""
    return SecurityEvent(
        type=SecurityEventType.DENIED, time=NOW + number, player_id=PLAYER, status=403, reason=f"number {number}"
    )


def audit_file(folder: Path, name: str = "audit.jsonl", *, key: AuditKey = KEY, seed: int = 1) -> AuditFile:
    """An audit log that is not open yet, in a folder that exists."""
    random = Random(seed)
    players = Pseudonyms(folder / "players", random.randbytes)
    return AuditFile(folder / name, key, players, "w0", lambda: NOW, random.randbytes)


def verified(
    files: Iterable[tuple[str, bytes]], heads: Iterable[ChainHead] = (), keys: Iterable[AuditKey] = (KEY,)
) -> Verifier:
    """The result for files, by name."""
    verifier = Verifier(list(keys), heads)
    for name, octets in files:
        verifier.read(name, octets.splitlines(keepends=True))
    verifier.finish()
    return verifier
