"""The dictionaries: those of the package never change, and an operator may add some."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from craftnet.errors import ConfigurationError
from craftnet.protocols.websocket.core.dictionaries import (
    KNOWN,
    MAX_DICTIONARY,
    NEWEST,
    PRESET,
    Dictionaries,
    UnknownDictionary,
    dictionary,
    read_folder,
)

PUBLISHED = {1: "dd27ad6ae4fd7b382d2079ec5d68314e46151b86db1f6bc3fa1e8a751e25cb46"}
"""The dictionaries' SHA-256. Clients keep them for ever, so none of these lines may ever change."""


class PackageTests(SynchronousTestCase):
    def test_published_ones_never_change(self) -> None:
        self.assertEqual({known: sha256(dictionary(known).octets).hexdigest() for known in KNOWN}, PUBLISHED)
        self.assertEqual({known: dictionary(known).digest for known in KNOWN}, PUBLISHED)
        self.assertEqual((NEWEST, PRESET), (max(KNOWN), dictionary(NEWEST)))

    def test_unknown(self) -> None:
        for number in (0, 2, 255):
            error = self.assertRaises(UnknownDictionary, dictionary, number)
            self.assertEqual(
                (error.id, str(error)), (number, f"There is no dictionary {number}; the dictionaries are: 1.")
            )


class FolderTests(SynchronousTestCase):
    def folder(self, **files: bytes) -> Path:
        """A folder with these files: `_2` is 2.lz4dict."""
        path = Path(self.mktemp())
        path.mkdir()
        for name, octets in files.items():
            (path / f"{name.removeprefix('_')}.lz4dict").write_bytes(octets)
        return path

    def test_further_ones(self) -> None:
        path = self.folder(_2=b"two", _10=b"ten")
        (path / "README").write_text("others are ignored")
        found = read_folder(path)
        self.assertEqual(found.ids, (1, 2, 10))
        self.assertEqual((found.get(2).octets, found.get(1), found.preferred), (b"two", PRESET, PRESET))
        self.assertEqual(found.preferring(10).preferred.octets, b"ten")
        error = self.assertRaises(UnknownDictionary, found.preferring, 3)
        self.assertEqual(str(error), "There is no dictionary 3; the dictionaries are: 1, 2, 10.")

    def test_without_a_folder(self) -> None:
        self.assertEqual((Dictionaries().ids, Dictionaries().get(1)), (KNOWN, PRESET))
        self.assertRaises(UnknownDictionary, Dictionaries().get, 2)

    def test_mistakes(self) -> None:
        for name in ("_1", "_0", "_256", "_02", "x", "_9999"):
            error = self.assertRaises(ConfigurationError, read_folder, self.folder(**{name: b"x"}))
            self.assertIn("the name of a dictionary's file is its id, 2 to 255, and .lz4dict", str(error))
        for octets in (b"", b"x" * (MAX_DICTIONARY + 1)):
            error = self.assertRaises(ConfigurationError, read_folder, self.folder(_2=octets))
            self.assertIn(f"a dictionary has 1 to 65536 bytes, this one {len(octets)}", str(error))
        error = self.assertRaises(ConfigurationError, read_folder, Path("/nowhere"))
        self.assertEqual(str(error), "/nowhere cannot be read: No such file or directory")
