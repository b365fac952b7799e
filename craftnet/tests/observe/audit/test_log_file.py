"""Tests for `craftnet.observe.audit.log_file`, and for the keys of logs and of players.

They are in `craftnet.observe.audit.keys` and `craftnet.observe.audit.pseudonyms`.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from craftnet.errors import ConfigurationError
from craftnet.observe.audit.entries import AuditKey, parse
from craftnet.observe.audit.keys import SECRET_VARIABLE, audit_key, create_key, key_from_file
from craftnet.observe.audit.log_file import AuditFile
from craftnet.observe.audit.pseudonyms import Pseudonyms
from craftnet.tests.support.audit_lines import KEY, audit_file, denied, verified
from craftnet.tests.support.samples import OTHER_PLAYER, PLAYER


def first_number(octets: bytes) -> int:
    """The number of a file's first entry; 0 for a file without one."""
    found = (parse(line) for line in octets.splitlines())
    return next((sealed.entry.sequence for sealed in found if sealed is not None), 0)


class FolderTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()

    @property
    def path(self) -> Path:
        return self.folder / "audit.jsonl"

    def opened(self, seed: int = 1, key: AuditKey = KEY) -> AuditFile:
        log = audit_file(self.folder, seed=seed, key=key)
        log.open()
        return log

    def files(self) -> list[tuple[str, bytes]]:
        """The log's files, oldest first."""
        found = [(name.name, name.read_bytes()) for name in self.folder.glob("audit*.jsonl")]
        return sorted(found, key=lambda each: first_number(each[1]))

    def events(self) -> list[str]:
        found = []
        for _, octets in self.files():
            for line in octets.splitlines():
                sealed = parse(line)
                found.append("?" if sealed is None else str(sealed.entry.event))
        return found


class LogFileTests(FolderTestCase):
    def test_chain_goes_on(self) -> None:
        """After a stop and a start, and after the process was killed."""
        log = self.opened()
        log.write([denied(number) for number in range(3)])
        log.close()
        log = self.opened(seed=2)
        log.write([denied(3)])
        verifier = verified(self.files())
        self.assertTrue(verifier.intact)
        (chain,) = verifier.chains.values()
        self.assertEqual((chain.first, chain.last), (1, 5))
        assert log.head is not None
        self.assertEqual(chain.mac, log.head.mac)
        log.close()

    def test_one_writer(self) -> None:
        log = self.opened()
        self.assertRaisesRegex(ConfigurationError, "another process writes the audit log", self.opened)
        log.close()
        self.opened().close()

    def test_only_the_owner_reads(self) -> None:
        self.opened().close()
        for name in (self.path, self.folder / "players"):
            self.assertEqual(stat.S_IMODE(name.stat().st_mode), 0o600)

    def test_no_folder(self) -> None:
        log = AuditFile(self.folder / "no" / "audit.jsonl", KEY, Pseudonyms(self.folder / "players"), "w0", lambda: 0.0)
        self.assertRaisesRegex(ConfigurationError, "No such file or directory", log.open)

    @given(st.data())
    @settings(deadline=None, max_examples=60, derandomize=True)
    def test_crash_while_writing(self, data: st.DataObject) -> None:
        """Wherever a crash cuts the file off, the next process goes on, and the result verifies."""
        for name in list(self.folder.iterdir()):
            name.unlink()
        log = self.opened()
        log.write([denied(number) for number in range(3)])
        log.close()
        whole = self.path.read_bytes()
        self.path.write_bytes(whole[: data.draw(st.integers(0, len(whole)))])
        for start in range(2):  # which may crash as well.
            log = self.opened(seed=2 + start)
            log.write([denied(9)])
            log.close()
            size = self.path.stat().st_size
            verifier = verified(self.files())
            self.assertTrue(verifier.intact, list(map(str, verifier.findings)))
            os.truncate(self.path, size - data.draw(st.integers(0, 300)))

    def test_rotation(self) -> None:
        log = self.opened()
        log.write([denied(0)])
        log.rotate()
        log.rotate()  # nothing to rotate: one signal may arrive twice.
        log.write([denied(1)])
        log.rotate()
        log.write([denied(2)])
        log.close()
        self.assertEqual(len(self.files()), 3)
        self.assertTrue(verified(self.files()).intact)
        for left_out in (1, 0):
            kept = [each for place, each in enumerate(self.files()) if place != left_out]
            self.assertEqual(verified(kept).intact, left_out == 0, "a file in the middle is missed, an old one is not")
        self.assertEqual(
            self.events(),
            [
                *("access.denied", "audit.rotated", "audit.continued", "access.denied", "audit.rotated"),
                *("audit.continued", "access.denied", "audit.stopped"),
            ],
        )

    def test_rotation_by_others(self) -> None:
        """A program such as logrotate has renamed the file."""
        log = self.opened()
        log.write([denied(0)])
        self.path.rename(self.folder / "audit-1.jsonl")
        log.rotate()
        log.write([denied(1)])
        log.close()
        self.assertEqual([name for name, _ in self.files()], ["audit-1.jsonl", "audit.jsonl"])
        self.assertTrue(verified(self.files()).intact)

    def test_restart_after_rotation(self) -> None:
        log = self.opened()
        log.write([denied(0)])
        log.rotate()
        log.close()
        log = self.opened(seed=2)
        log.write([denied(1)])
        log.close()
        verifier = verified(self.files())
        self.assertEqual((verifier.intact, len(verifier.chains)), (True, 1))

    def test_failed_rotation(self) -> None:
        """The log goes on in the file that is open."""
        log = self.opened()
        log.write([denied(0)])
        self.path.rename(self.folder / "audit-1.jsonl")
        self.path.mkdir()
        self.assertRaises(OSError, log.rotate)
        log.write([denied(1)])
        log.close()
        octets = (self.folder / "audit-1.jsonl").read_bytes()
        self.assertTrue(verified([("log", octets)]).intact)
        self.assertEqual(octets.count(b"\n"), 3)

    def test_full_disk(self) -> None:
        """What was written of a batch is taken back, so that the line is whole when there is room again."""
        log = self.opened()
        log.write([denied(0)])
        size, real = self.path.stat().st_size, os.write
        room = [250]

        def write(file: int, octets: bytes) -> int:
            if not room[0]:
                raise OSError(28, "No space left on device")
            part = octets[: room[0]]
            room[0] -= len(part)
            return real(file, part)

        self.patch(os, "write", write)
        self.assertRaises(OSError, log.write, [denied(1)])
        self.assertEqual(self.path.stat().st_size, size)
        room[0] = 10_000
        log.write([denied(1)])
        log.close()
        self.assertTrue(verified(self.files()).intact)
        self.assertEqual(self.events(), ["access.denied"] * 2 + ["audit.stopped"])


class PseudonymTests(FolderTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.players = self.open()

    def open(self) -> Pseudonyms:
        players = Pseudonyms(self.folder / "players")
        self.addCleanup(players.close)
        return players

    def test_stable(self) -> None:
        """In other processes, too."""
        found = self.players.of([PLAYER, OTHER_PLAYER])
        self.assertEqual(self.open().of([PLAYER, OTHER_PLAYER]), found)
        self.assertNotEqual(found[PLAYER], found[OTHER_PLAYER])
        self.assertRegex(found[PLAYER], "^[0-9a-f]{32}$")
        self.assertEqual(self.open().find(PLAYER), found[PLAYER])
        self.assertNotIn(found[PLAYER].encode(), (self.folder / "players").read_bytes())

    def test_erasure(self) -> None:
        """The key is overwritten, and processes that have it in memory forget it."""
        other = self.open()
        before = self.players.of([PLAYER, OTHER_PLAYER])
        self.assertEqual(other.of([PLAYER]), {PLAYER: before[PLAYER]})
        self.assertTrue(other.erase(PLAYER))
        self.assertFalse(other.erase(PLAYER))
        self.assertIsNone(other.find(PLAYER))
        for name in self.folder.iterdir():
            self.assertNotIn(PLAYER.bytes, name.read_bytes())
        after = self.players.of([PLAYER, OTHER_PLAYER])
        self.assertNotEqual(after[PLAYER], before[PLAYER])
        self.assertEqual(after[OTHER_PLAYER], before[OTHER_PLAYER])

    def test_unusable(self) -> None:
        (self.folder / "text").write_bytes(b"not a database" * 100)
        self.assertRaisesRegex(ConfigurationError, "not a database", Pseudonyms, self.folder / "text")
        self.assertRaisesRegex(ConfigurationError, "No such file", Pseudonyms, self.folder / "no" / "players")


class KeyTests(FolderTestCase):
    def test_created(self) -> None:
        path = self.folder / "key"
        key = create_key(path)
        self.assertEqual(key_from_file(path), key)
        self.assertEqual((len(key.secret), stat.S_IMODE(path.stat().st_mode)), (32, 0o600))
        self.assertRaisesRegex(ConfigurationError, "never overwritten", create_key, path)
        self.assertEqual(key_from_file(path), key)

    def test_readable_by_others(self) -> None:
        path = self.folder / "key"
        create_key(path)
        path.chmod(0o640)
        self.assertRaisesRegex(ConfigurationError, "chmod 600", key_from_file, path)

    def test_environment(self) -> None:
        self.assertEqual(audit_key(None, {SECRET_VARIABLE: KEY.secret.hex()}, "--audit-key"), KEY)
        for text, problem in (("", "needs a key"), ("zz", "not hexadecimal"), ("00", "has 1 bytes")):
            with self.assertRaisesRegex(ConfigurationError, problem):
                audit_key(None, {SECRET_VARIABLE: text}, "--audit-key")
        self.assertRaisesRegex(ConfigurationError, "create-key", key_from_file, self.folder / "none")
