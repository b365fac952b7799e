"""Verifies audit logs: finds and names every changed, missing, inserted or repeated line. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence

from msgspec import Struct, field

from craftnet.observe.audit.entries import AuditKey, LogEntry, Sealed, authentic, complete, parse
from craftnet.observe.audit.events import SecurityEventType

_HEAD = re.compile(r"audit chain ([\w.-]{1,64}) head (\d{1,18}) ([0-9a-f]{64})")


class ChainHead(Struct, frozen=True):
    """The newest entry of a chain at some time.

    Attributes:
        sequence: the number of the entry.
        mac: its `mac`.
    """

    chain: str
    sequence: int
    mac: str

    def __str__(self) -> str:
        return f"audit chain {self.chain} head {self.sequence} {self.mac}"


def heads_in(text: str) -> list[ChainHead]:
    """The heads that a text, such as the service's log, publishes."""
    return [ChainHead(chain, int(sequence), mac) for chain, sequence, mac in _HEAD.findall(text)]


class Finding(Struct, frozen=True):
    """One result of a verification.

    Attributes:
        file: the name of the file; empty if the finding concerns no file.
        line: the number of the line, from 1; 0 if the finding concerns no line.
        text: the finding.
        problem: whether something was tampered with or lost; otherwise it is for information.
    """

    file: str
    line: int
    text: str
    problem: bool = True

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}: " if self.line else f"{self.file}: " if self.file else ""
        return f"{place}{self.text}"


class Chain(Struct):
    """One chain as far as it was read.

    Attributes:
        first, last: the numbers of its first and its newest entry.
        mac: the `mac` of the newest.
        entries: how many were read.
    """

    first: int
    last: int
    mac: str
    entries: int = 1


class _Unproven(Struct, frozen=True):
    """A line that no key proves, until the next entry may explain it."""

    number: int
    octets: bytes
    text: str
    unfinished: bool = False


class _File(Struct):
    """The file that is being read."""

    name: str
    unproven: list[_Unproven] = field(default_factory=list)
    begun: bool = False


class Verifier:
    """Verifies the files of one log, of any number of chains.

    Arguments:
        keys: the keys of the log; more than one if the key was replaced.
        heads: published heads, against which a cut-off end is found.

    Attributes:
        findings: the findings, in the order of the lines.
        chains: the chains by name.
    """

    def __init__(self, keys: Sequence[AuditKey], heads: Iterable[ChainHead] = ()) -> None:
        self._keys = list(keys)
        self._heads: dict[str, dict[int, ChainHead]] = {}
        for head in heads:
            self._heads.setdefault(head.chain, {})[head.sequence] = head
        self.findings: list[Finding] = []
        self.chains: dict[str, Chain] = {}

    @property
    def intact(self) -> bool:
        """Whether there is no problem."""
        return not any(finding.problem for finding in self.findings)

    def read(self, name: str, lines: Iterable[bytes]) -> None:
        """Reads a file. The files of a chain must be read in its order.

        Arguments:
            name: the name of the file in findings.
            lines: each with its newline; the last one may have none.
        """
        file = _File(name)
        for number, line in enumerate(lines, 1):
            content = line.removesuffix(b"\n")
            sealed = parse(content)
            if sealed is None or not self._proven(content):
                file.unproven.append(self._unproven(number, line, sealed))
            else:
                self._take(file, number, sealed)
        for left in file.unproven:
            self._report(file, left.number, left.text, problem=not left.unfinished)

    def finish(self) -> None:
        """Compares the chains with the published heads; called after the last file."""
        for name, heads in self._heads.items():
            chain, newest = self.chains.get(name), max(heads)
            if chain is None:
                self.findings.append(
                    Finding("", 0, f"chain {name} was published up to entry {newest}, but is in none of the files")
                )
            elif newest > chain.last:
                self.findings.append(
                    Finding(
                        "",
                        0,
                        f"chain {name} ends with entry {chain.last}, but was published up to entry {newest}: "
                        f"{newest - chain.last} {_entries(newest - chain.last)} at its end {_are(newest - chain.last)}"
                        " missing",
                    )
                )

    def _proven(self, content: bytes) -> bool:
        for place, key in enumerate(self._keys):
            if authentic(content, key):
                self._keys.insert(0, self._keys.pop(place))  # the same key sealed most of the others.
                return True
        return False

    def _unproven(self, number: int, line: bytes, sealed: Sealed | None) -> _Unproven:
        content = line.removesuffix(b"\n")
        if sealed is not None:
            text = f"entry {sealed.entry.sequence} was changed, or sealed with another key"
            named = sealed.entry.details.get("key_id")
            if named is not None and named not in {key.id for key in self._keys}:
                text += f" (it names the key {named})"
            return _Unproven(number, content, text)
        if line.endswith(b"\n") or complete(content):
            return _Unproven(number, content, "not an entry")
        text = "unfinished line: the process stopped, or the disk was full, while it was written"
        return _Unproven(number, content, text, unfinished=True)

    def _take(self, file: _File, number: int, sealed: Sealed) -> None:
        entry = sealed.entry
        chain = self.chains.get(entry.chain)
        skipped = self._settle_unproven(file, number, entry)
        if chain is None:
            self._begin(file, number, sealed, skipped)
        else:
            self._follow(file, number, sealed, skipped, chain)
        file.begun = True
        head = self._heads.get(entry.chain, {}).get(entry.sequence)
        if head is not None and head.mac != sealed.mac:
            self._report(file, number, f"entry {entry.sequence} is another one than was published")
        if entry.event is SecurityEventType.GAP:
            lost = entry.details.get("lost", 0)
            self._report(file, number, f"{lost} events could not be written before this entry", problem=False)

    def _settle_unproven(self, file: _File, number: int, entry: LogEntry) -> int:
        """Reports the invalid lines above, unless this entry declares the last of them.

        Returns:
            Their number, without the declared one.
        """
        above, file.unproven = file.unproven, []
        declared = entry.details.get("digest") if entry.event is SecurityEventType.TORN else None
        if above and above[-1].number == number - 1 and digest_of(above[-1].octets) == declared:
            torn = above.pop()
            self._report(file, torn.number, "unfinished line, as the entry below it says", problem=False)
        for each in above:
            self._report(file, each.number, each.text)
        return len(above)

    def _begin(self, file: _File, number: int, sealed: Sealed, skipped: int) -> None:
        entry = sealed.entry
        self.chains[entry.chain] = Chain(entry.sequence, entry.sequence, sealed.mac)
        if entry.sequence in (1, 1 + skipped):
            return
        if entry.event is SecurityEventType.CONTINUED and not file.begun and not skipped:
            text = f"chain {entry.chain} begins with entry {entry.sequence}: the files before this one were not given"
            self._report(file, number, text, problem=False)
        else:
            self._report(file, number, f"{_range(1, entry.sequence - 1)} of chain {entry.chain} missing above")

    def _follow(self, file: _File, number: int, sealed: Sealed, skipped: int, chain: Chain) -> None:
        entry, expected = sealed.entry, chain.last + 1
        if entry.sequence < expected:
            self._report(file, number, f"entry {entry.sequence} is out of order, or repeated: expected {expected}")
            return
        missing = entry.sequence - expected
        if missing and missing != skipped:
            self._report(file, number, f"{_range(expected, entry.sequence - 1)} missing above")
        elif not missing and entry.previous != chain.mac:
            self._report(file, number, f"entry {entry.sequence} follows another entry than the one above")
        chain.last, chain.mac = entry.sequence, sealed.mac
        chain.entries += 1

    def _report(self, file: _File, line: int, text: str, *, problem: bool = True) -> None:
        self.findings.append(Finding(file.name, line, text, problem))


def digest_of(line: bytes) -> str:
    """The digest in an `audit.torn` entry: the hexadecimal SHA-256 of the line above, without its newline."""
    return hashlib.sha256(line).hexdigest()


def _range(first: int, last: int) -> str:
    return f"entry {first} is" if first == last else f"entries {first} to {last} are"


def _entries(number: int) -> str:
    return "entry" if number == 1 else "entries"


def _are(number: int) -> str:
    return "is" if number == 1 else "are"
