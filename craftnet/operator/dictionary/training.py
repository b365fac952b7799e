"""Trains dictionaries on a corpus, and evaluates them. Pure."""

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
"""Sizes of the dictionaries that are tried, in bytes."""

SEGMENTS = (48, 64, 128, 256, 512, 1024)
"""Lengths in bytes of the segments that COVER composes a dictionary of (its parameter k)."""

DMERS = (6, 8)
"""Lengths in bytes of the pieces whose frequencies COVER counts (its parameter d)."""

WORTH = 0.03
"""Minimum share that a larger dictionary must save beyond a smaller one: each compression reads all of it."""

MAX_SAMPLES = 20_000
"""Maximum number of messages to train on; more change little and take longer."""

_ENTROPY_END = bytes.fromhex("01000000 04000000 08000000")
"""The end of the tables that the builder writes before a dictionary's content (RFC 8878, section 5)."""

_WITHOUT = Dictionary(0, b"", "")


class Trained(Struct, frozen=True):
    """A dictionary, and the parameters that produced it.

    Attributes:
        octets: its content.
        tried: number of dictionaries that were trained.
    """

    octets: bytes
    segment: int
    dmer: int
    tried: int


def train(
    messages: Sequence[bytes], largest: int, tried: Callable[[int, int], None], present: Dictionary = PRESET
) -> Trained:
    """The best dictionary for these messages. The newest fifth of them selects the parameters.

    Arguments:
        largest: maximum size of the dictionary in bytes.
        tried: called with the number of dictionaries tried so far, and with their total.
        present: the dictionary that the new one may extend.

    Raises:
        ConfigurationError: the builder is not installed, or the messages have nothing in common.
    """
    try:
        import zstandard  # only training needs it.
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
        # The present one contains rare messages, of which the builder sees too few.
        for octets in (content, content + present.octets, present.octets + content):
            sent = compressed_size(judged, Dictionary.of(0, octets)) if len(octets) <= largest else least
            longer = best is None or len(octets) > len(best.octets)
            if sent < (least * (1 - WORTH) if longer else least):
                best, least = Trained(octets, segment, dmer, number), sent
    if best is None:
        raise ConfigurationError("the messages have nothing in common that a dictionary could hold")
    return Trained(best.octets, best.segment, best.dmer, len(choices))


def compressed_size(messages: Sequence[bytes], preset: Dictionary) -> int:
    """The total size in bytes of the messages, each compressed on its own."""
    return sum(len(compress_message(message, preset)) for message in messages)


class Row(Struct, frozen=True):
    """The cost of one type of message.

    Attributes:
        kind: the type of the message; "all" for all.
        json, without, before, after: average size of a message in bytes: as JSON; compressed without a dictionary, with
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
        """The share of bytes that the new dictionary saves beyond the present one; negative if it costs more."""
        return 1 - self.after / self.before


class Evaluation(Struct, frozen=True):
    """A comparison of two dictionaries on messages that neither was trained on.

    Attributes:
        rows: one for each type of message, the most frequent first, and one for all.
        microseconds: per compression, with the present and with the new dictionary.
    """

    rows: Sequence[Row]
    microseconds: tuple[float, float]

    @property
    def total(self) -> Row:
        """The row for all messages."""
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
    """The fastest of three runs, per message."""
    took = []
    for _ in range(3):
        before = time.perf_counter()
        compressed_size(messages, preset)
        took.append(time.perf_counter() - before)
    return min(took) / len(messages) * 1e6
