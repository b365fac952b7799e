"""Asks the advisory servers about every locked package: `make audit`.

    python .ci/audit.py

Exit code 1 for a finding without an exception, and for an exception that has no reason or is past its date. Where a
server does not answer, the program says which packages were not checked, and exits with 0: it claims nothing for them.
pip-audit itself exits with 0 and "No known vulnerabilities found" when it could not ask about a single package.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
EXCEPTIONS = REPOSITORY / ".ci" / "audit-exceptions.toml"
PYTHON_LOCK = REPOSITORY / "deploy" / "requirements.lock"

TIME_LIMIT = 120.0
"""Seconds for one advisory server."""


@dataclass(frozen=True)
class Finding:
    """A known vulnerability of a locked package.

    Attributes:
        names: its identifiers: GHSA-…, CVE-…, PYSEC-….
    """

    package: str
    names: frozenset[str]
    text: str


@dataclass(frozen=True)
class Audit:
    """What a server said.

    Attributes:
        asked: the number of packages that it knows.
        unasked: the packages about which it said nothing, or the reason why nothing was asked.
    """

    asked: int
    findings: tuple[Finding, ...] = ()
    unasked: tuple[str, ...] = ()


@dataclass(frozen=True)
class Exemption:
    """A finding that is accepted for a while."""

    name: str
    reason: str
    until: date


def read_pip_audit(report: dict[str, Any]) -> Audit:
    """The report of `pip-audit --format json`."""
    known = [each for each in report["dependencies"] if "skip_reason" not in each]
    findings = [
        Finding(each["name"], frozenset([found["id"], *found.get("aliases", ())]), found.get("description", "")[:200])
        for each in known
        for found in each["vulns"]
    ]
    unasked = tuple(each["name"] for each in report["dependencies"] if "skip_reason" in each)
    return Audit(len(known), tuple(findings), unasked)


def read_npm_audit(report: dict[str, Any], folder: str) -> Audit:
    """The report of `npm audit --json`, version 2."""
    if "vulnerabilities" not in report:
        return Audit(0, unasked=(f"{folder}: {report.get('message', 'npm audit gave no report')}",))
    findings = [
        Finding(name, frozenset([cause["url"].rpartition("/")[2], str(cause.get("source", ""))]), cause["title"])
        for name, each in report["vulnerabilities"].items()
        for cause in each["via"]
        if isinstance(cause, dict)
    ]
    return Audit(report["metadata"]["dependencies"]["total"], tuple(findings))


def read_exemptions(text: str) -> list[Exemption]:
    """The exceptions file. Raises ValueError for one that is not complete."""
    made = []
    for each in tomllib.loads(text).get("exception", ()):
        if set(each) != {"id", "reason", "until"} or not each["reason"].strip() or not isinstance(each["until"], date):
            raise ValueError(f"an exception needs id, reason and until = YYYY-MM-DD: {each}")
        made.append(Exemption(each["id"], each["reason"], each["until"]))
    return made


def problems(findings: Iterable[Finding], exemptions: Sequence[Exemption], today: date) -> list[str]:
    """What fails the audit, a line each."""
    lines = [
        f"the exception for {each.name} ended on {each.until}: renew it with a reason, or upgrade"
        for each in exemptions
        if each.until < today
    ]
    valid = {each.name for each in exemptions if each.until >= today}
    for finding in findings:
        if not finding.names & valid:
            names = ", ".join(sorted(filter(None, finding.names)))
            lines.append(f"{finding.package}: {names}: {finding.text} (upgrade, or add it to {EXCEPTIONS.name})")
    return lines


def npm_folders() -> list[Path]:
    """Every folder with a lock file of npm's that the repository has."""
    listed = ["git", "ls-files", "*package-lock.json"]
    done = subprocess.run(listed, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    return [REPOSITORY / name.rpartition("/")[0] for name in done.stdout.split()]


def _report(command: Sequence[str], folder: Path) -> dict[str, Any]:
    """The JSON that a program writes; a message where it writes none."""
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=TIME_LIMIT)
        found: dict[str, Any] = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        return {"message": f"{command[0]} gave no report ({type(error).__name__})"}
    return found


def main() -> int:
    """Asks, prints, and returns the exit code."""
    pip_audit = [str(Path(sys.executable).with_name("pip-audit")), "--requirement", str(PYTHON_LOCK)]
    report = _report([*pip_audit, "--require-hashes", "--disable-pip", "--format", "json"], REPOSITORY)
    audits = [read_pip_audit(report) if "dependencies" in report else Audit(0, unasked=(str(report["message"]),))]
    for folder in npm_folders():
        command = ["npm", "audit", "--package-lock-only", "--json"]
        audits.append(read_npm_audit(_report(command, folder), folder.relative_to(REPOSITORY).as_posix()))
    asked, unasked = sum(each.asked for each in audits), [name for each in audits for name in each.unasked]
    if unasked:
        print(f"NOT AUDITED: the advisory servers did not answer about {len(unasked)}: {', '.join(unasked)}")
    found = problems(
        [finding for each in audits for finding in each.findings],
        read_exemptions(EXCEPTIONS.read_text(encoding="utf-8")),
        datetime.now(UTC).date(),
    )
    if found:
        print("\n".join(found))
    elif asked:
        print(f"{asked} packages were audited: no finding without an exception")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
