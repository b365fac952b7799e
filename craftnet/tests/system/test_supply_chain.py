"""`.ci/audit.py`, and the lock file of the container image."""

from __future__ import annotations

import configparser
import importlib.util
import re
import sys
from datetime import date
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.version import Version
from twisted.trial.unittest import SkipTest, SynchronousTestCase

REPOSITORY = Path(__file__).parents[3]
TODAY = date(2026, 11, 28)


def audit_program() -> Any:
    """The module `.ci/audit.py`, which is no package."""
    path = REPOSITORY / ".ci" / "audit.py"
    if not path.exists():
        raise SkipTest("not run from the repository")
    spec = importlib.util.spec_from_file_location("ci_audit", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up.
    spec.loader.exec_module(module)
    return module


class AuditTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.audit = audit_program()

    def test_pip_audit(self) -> None:
        vulnerability = {"id": "PYSEC-2026-1", "aliases": ["CVE-2026-1"], "description": "bad"}
        report = {
            "dependencies": [
                {"name": "twisted", "version": "26.10", "vulns": [vulnerability]},
                {"name": "lz4", "version": "4.4", "vulns": []},
                {"name": "rich", "skip_reason": "not found"},
            ]
        }
        made = self.audit.read_pip_audit(report)
        self.assertEqual((made.asked, made.unasked), (2, ("rich",)))
        self.assertEqual(made.findings[0].names, {"PYSEC-2026-1", "CVE-2026-1"})

    def test_nothing_asked_is_no_pass(self) -> None:
        """pip-audit reports no finding when no server answered; neither does npm."""
        made = self.audit.read_pip_audit({"dependencies": [{"name": "rich", "skip_reason": "not found"}]})
        self.assertEqual((made.asked, made.findings, made.unasked), (0, (), ("rich",)))
        made = self.audit.read_npm_audit({"message": "405 Method Not Allowed"}, "clients/js")
        self.assertEqual((made.asked, made.findings), (0, ()))
        self.assertIn("clients/js: 405", made.unasked[0])

    def test_npm_audit(self) -> None:
        cause = {"source": 12, "url": "https://github.com/advisories/GHSA-1", "title": "bad"}
        report = {
            "vulnerabilities": {"ws": {"via": [cause]}, "other": {"via": ["ws"]}},
            "metadata": {"dependencies": {"total": 3}},
        }
        made = self.audit.read_npm_audit(report, "clients/js")
        self.assertEqual((made.asked, [each.package for each in made.findings]), (3, ["ws"]))
        self.assertIn("GHSA-1", made.findings[0].names)

    def test_findings_fail(self) -> None:
        finding = self.audit.Finding("ws", frozenset({"GHSA-1", "12"}), "bad")
        (line,) = self.audit.problems([finding], [], TODAY)
        self.assertIn("GHSA-1", line)

    def test_exceptions(self) -> None:
        finding = self.audit.Finding("ws", frozenset({"GHSA-1", "12"}), "bad")
        text = '[[exception]]\nid = "GHSA-1"\nreason = "not called"\nuntil = 2026-11-28\n'
        exemptions = self.audit.read_exemptions(text)
        self.assertEqual(self.audit.problems([finding], exemptions, TODAY), [])
        self.assertEqual(len(self.audit.problems([finding], exemptions, date(2026, 11, 29))), 2)
        for wrong in (text.replace("not called", " "), text.replace("until", "unto"), '[[exception]]\nid = "x"\n'):
            self.assertRaises(ValueError, self.audit.read_exemptions, wrong)

    def test_exceptions_of_the_repository(self) -> None:
        for each in self.audit.read_exemptions(self.audit.EXCEPTIONS.read_text()):
            self.assertTrue(each.reason)


class LockTests(SynchronousTestCase):
    """`deploy/requirements.lock`, from which the image is installed."""

    def setUp(self) -> None:
        path = REPOSITORY / "deploy" / "requirements.lock"
        if not path.exists():
            raise SkipTest("not run from the repository")
        self.text = path.read_text()
        # A package may have two versions, for two versions of Python.
        pins = re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", self.text, re.MULTILINE)
        self.pins = [(_normal(name), Version(version)) for name, version in pins]

    def test_every_pin_has_hashes(self) -> None:
        entries = re.split(r"\n(?=[A-Za-z0-9])", self.text)
        pinned = [each for each in entries if re.match(r"[A-Za-z0-9._-]+==", each)]
        self.assertEqual(len(pinned), len(self.pins))
        self.assertEqual([each for each in pinned if "--hash=sha256:" not in each], [])

    def test_satisfies_setup_cfg(self) -> None:
        parser = configparser.ConfigParser()
        parser.read(REPOSITORY / "setup.cfg")
        extras = parser["options.extras_require"]  # those that the image installs.
        lines = "\n".join([parser["options"]["install_requires"], extras["zstd"], extras["otel"]]).splitlines()
        wanted = [Requirement(line) for line in lines if line.strip() and not line.startswith("#")]
        for requirement in wanted:
            versions = [version for name, version in self.pins if name == _normal(requirement.name)]
            self.assertTrue(versions, f"{requirement.name} is not locked: make lock")
            for version in versions:
                self.assertIn(version, requirement.specifier, f"{requirement.name}: make lock")


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
