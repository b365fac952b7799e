"""Trains dictionaries on a corpus, and measures them. Pure."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import product

import msgspec
from msgspec import Struct

from craftnet.errors import ConfigurationError
from craftnet.protocols.websocket.core.compression import compress_message
from craftnet.protocols.websocket.core.dictionaries import MAX_DICTIONARY, PRESET, Dictionary

SIZES = (2048, 3072, 4096, 6144, 8192, 16_384, 32_768, MAX_DICTIONARY)
"""Octets of the dictionaries that are tried."""

SEGMENTS = (48, 64, 128, 256, 512, 1024)
"""Octets of the segments of which COVER composes a dictionary (its parameter k)."""

DMERS = (6, 8)
"""Octets of the pieces whose frequencies COVER counts (its parameter d)."""

WORTH = 0.03
"""The share that a larger dictionary must save beside a smaller one: each compression reads it all."""

MAX_SAMPLES = 20_000
"""Messages that a dictionary is trained on; more change little and take longer."""

_ENTROPY_END = bytes.fromhex("01000000 04000000 08000000")
"""The end of the tables that the builder writes in front of a dictionary's content (RFC 8878, section 5)."""

_WITHOUT = Dictionary(0, b"", "")


class Trained(Struct, frozen=True):
    """A dictionary, and the parameters that were best.

    Attributes:
        octets: its content.
        tried: how many were trained.
    """

    octets: bytes
    segment: int
    dmer: int
    tried: int


def train(
    messages: Sequence[bytes], largest: int, tried: Callable[[int, int], None], present: Dictionary = PRESET
) -> Trained:
    """The best dictionary for these messages: parameters are searched on the newest fifth of them.

    Arguments:
        largest: octets that the dictionary may have.
        tried: called with the number of dictionaries that were tried, and that of all.
        present: the dictionary that the new one may extend.

    Raises:
        ConfigurationError: the builder is not installed, or finds nothing in common.
    """
    try:
        import zstandard  # only training needs it; a server does not.
    except ImportError:
        raise ConfigurationError("zstandard is not installed: pip install 'craftnet[dictionary]'") from None
    divide = len(messages) * 4 // 5
    judged = messages[divide:]
    samples: list[bytes | bytearray | memoryview] = [*messages[:divide][-MAX_SAMPLES:]]
    choices = list(product([size for size in SIZES if size <= largest], DMERS, SEGMENTS))
    best: Trained | None = None
    least = float("inf")
    for number, (size, dmer, segment) in enumerate(choices, 1):
        tried(number, len(choices))
        try:
            made = zstandard.train_dictionary(size, samples, k=segment, d=dmer).as_bytes()
        except zstandard.ZstdError:
            continue  # too few samples for a dictionary of this size.
        content = made[made.find(_ENTROPY_END) + len(_ENTROPY_END) :] if _ENTROPY_END in made else made
        # Rare messages are in the present one, and the builder sees too few of them.
        for octets in (content, content + present.octets, present.octets + content):
            sent = compressed_size(judged, Dictionary.of(0, octets)) if len(octets) <= largest else least
            longer = best is None or len(octets) > len(best.octets)
            if sent < (least * (1 - WORTH) if longer else least):
                best, least = Trained(octets, segment, dmer, number), sent
    if best is None:
        raise ConfigurationError("the messages have nothing in common that a dictionary could hold")
    return Trained(best.octets, best.segment, best.dmer, len(choices))


def compressed_size(messages: Sequence[bytes], preset: Dictionary) -> int:
    """The octets of all messages, each compressed."""
    return sum(len(compress_message(message, preset)) for message in messages)


class Row(Struct, frozen=True):
    """What one kind of message costs.

    Attributes:
        kind: the type of the message; "all" for all.
        json, without, before, after: octets of a message on average: as JSON; compressed without a dictionary, with
            the present one, and with the new one.
    """

    kind: str
    messages: int
    json: float
    without: float
    before: float
    after: float

    @property
    def gain(self) -> float:
        """The share of octets that the new dictionary saves beside the present one; negative: it costs more."""
        return 1 - self.after / self.before


class Evaluation(Struct, frozen=True):
    """A dictionary beside another one, on messages that it was not trained on.

    Attributes:
        rows: one for each type of message, the most frequent first, and one for all.
        microseconds: of a compression, with the present and with the new one.
    """

    rows: Sequence[Row]
    microseconds: tuple[float, float]

    @property
    def total(self) -> Row:
        """All messages."""
        return self.rows[-1]


class _Kind(Struct):
    type: str = "?"


def evaluate(messages: Sequence[bytes], new: Dictionary, present: Dictionary = PRESET) -> Evaluation:
    """Measures a dictionary on messages that it was not trained on."""
    kinds: dict[str, list[bytes]] = defaultdict(list)
    for message in messages:
        kinds[msgspec.json.decode(message, type=_Kind).type].append(message)

    def rows() -> Iterator[Row]:
        for kind, those in (*sorted(kinds.items(), key=lambda pair: -len(pair[1])), ("all", messages)):
            sizes = [compressed_size(those, preset) / len(those) for preset in (_WITHOUT, present, new)]
            yield Row(kind, len(those), sum(map(len, those)) / len(those), *sizes)

    return Evaluation(tuple(rows()), (_microseconds(messages, present), _microseconds(messages, new)))


def _microseconds(messages: Sequence[bytes], preset: Dictionary) -> float:
    """The least of three runs, for one message."""
    took = []
    for _ in range(3):
        before = time.perf_counter()
        compressed_size(messages, preset)
        took.append(time.perf_counter() - before)
    return min(took) / len(messages) * 1e6
