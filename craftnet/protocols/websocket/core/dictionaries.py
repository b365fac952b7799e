"""The preset dictionaries of `craftnet.json.lz4.v1`: those of the package, and those that an operator adds.

A dictionary contains what messages have in common. Once published under an id it never changes, so both ends may keep
it for ever. Id 0 means no dictionary.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from importlib.resources import files
from pathlib import Path

from msgspec import Struct

from craftnet.errors import ConfigurationError, CraftnetError

NEWEST = 1
"""The id of the package's newest dictionary, with which messages are compressed unless another one is preferred."""

KNOWN = (1,)
"""The ids of all dictionaries of the package."""

MAX_ID = 255
"""A message names its dictionary in one byte."""

MAX_DICTIONARY = 65_536
"""Octets of the largest dictionary: what an LZ4 block can refer to."""

SUFFIX = ".lz4dict"
"""The end of the name of a dictionary's file, after its id."""


class UnknownDictionary(CraftnetError):
    """There is no dictionary with this id. Attributes: `id`, `known` (the ids of all that there are)."""

    def __init__(self, dictionary_id: int, known: tuple[int, ...]) -> None:
        super().__init__(f"There is no dictionary {dictionary_id}; the dictionaries are: {', '.join(map(str, known))}.")
        self.id = dictionary_id
        self.known = known


class Dictionary(Struct, frozen=True):
    """A preset dictionary. `digest` is the SHA-256 of its octets, in hexadecimal."""

    id: int
    octets: bytes
    digest: str

    @classmethod
    def of(cls, dictionary_id: int, octets: bytes) -> Dictionary:
        """One with these octets."""
        return cls(dictionary_id, octets, sha256(octets).hexdigest())


@cache
def dictionary(dictionary_id: int) -> Dictionary:
    """The dictionary of the package with this id.

    Raises:
        UnknownDictionary: there is none.
    """
    if dictionary_id not in KNOWN:
        raise UnknownDictionary(dictionary_id, KNOWN)
    folder = files("craftnet.protocols.websocket").joinpath("dictionaries")
    return Dictionary.of(dictionary_id, folder.joinpath(f"{dictionary_id}{SUFFIX}").read_bytes())


PRESET = dictionary(NEWEST)
"""The dictionary of servers that prefer no other one."""


class Dictionaries(Struct, frozen=True):
    """The dictionaries of a server.

    Attributes:
        further: those that an operator added, by id.
        preferred: the one with which messages are compressed.
    """

    further: Mapping[int, Dictionary] = {}
    preferred: Dictionary = PRESET

    @property
    def ids(self) -> tuple[int, ...]:
        """The ids of all."""
        return (*KNOWN, *sorted(self.further))

    def get(self, dictionary_id: int) -> Dictionary:
        """The dictionary with this id.

        Raises:
            UnknownDictionary: there is none.
        """
        found = self.further.get(dictionary_id)
        if found is not None:
            return found
        if dictionary_id not in KNOWN:
            raise UnknownDictionary(dictionary_id, self.ids)
        return dictionary(dictionary_id)

    def preferring(self, dictionary_id: int) -> Dictionaries:
        """The same ones; messages are compressed with this one.

        Raises:
            UnknownDictionary: there is none.
        """
        return Dictionaries(self.further, self.get(dictionary_id))


def read_folder(folder: Path) -> Dictionaries:
    """The dictionaries of the package and of a folder, with the files `2.lz4dict` and so on.

    Raises:
        ConfigurationError: the folder cannot be read, or a file there is no dictionary.
    """
    found = {}
    try:
        for path in sorted(folder.iterdir()):
            if path.suffix == SUFFIX:
                number = _id_of(path)
                found[number] = Dictionary.of(number, _checked(path, path.read_bytes()))
    except OSError as error:
        raise ConfigurationError(f"{error.filename or folder} cannot be read: {error.strerror}") from error
    return Dictionaries(found)


def _id_of(path: Path) -> int:
    name = path.stem
    number = int(name) if name.isascii() and name.isdecimal() and len(name) < 4 else 0
    if not max(KNOWN) < number <= MAX_ID or str(number) != name:
        raise ConfigurationError(
            f"{path}: the name of a dictionary's file is its id, {max(KNOWN) + 1} to {MAX_ID}, and {SUFFIX}"
        )
    return number


def _checked(path: Path, octets: bytes) -> bytes:
    if not 0 < len(octets) <= MAX_DICTIONARY:
        raise ConfigurationError(f"{path}: a dictionary has 1 to {MAX_DICTIONARY} bytes, this one {len(octets)}")
    return octets
