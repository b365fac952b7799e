"""A dictionary trained on the simulated workshop's messages, beside the one of the package, per subprotocol.

Trains on one simulation, without ids and dates, and measures on another with other players and crafts. It needs
`pip install 'craftnet[dictionary]'`.

    python bench/dictionary.py --players 200 --minutes 10
"""

from __future__ import annotations

import argparse
from random import Random

from message_sizes import Scales, play

from craftnet.contract.messages import to_json
from craftnet.crafting.updates import Update
from craftnet.operator.dictionary.corpus import Blanking
from craftnet.operator.dictionary.training import evaluate, train
from craftnet.protocols.websocket.core.dictionaries import Dictionary
from craftnet.protocols.websocket.core.subprotocols import BINARY


class Messages(Scales):
    """Keeps all messages, too."""

    def __init__(self, random: Random) -> None:
        super().__init__()
        self.messages: list[bytes] = []
        self._blanking = Blanking(random)

    def deliver(self, update: Update) -> None:
        """As in `ISubscriber`."""
        super().deliver(update)
        self.messages += [self._blanking.blank(to_json(message)) for message in update.messages]


def main() -> None:
    """Trains and measures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--players", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--max-size", type=int, default=8192)
    arguments = parser.parse_args()
    seen, other = (Messages(Random(seed)) for seed in (1, 2))
    for seed, scales in enumerate((seen, other)):
        play(arguments.players, arguments.minutes, scales, seed)
    trained = train(seen.messages, arguments.max_size, lambda number, of: None)
    found = evaluate(other.messages, Dictionary.of(2, trained.octets))
    total, (before, after) = found.total, found.microseconds
    binary = other.octets["all", BINARY] / len(other.messages)
    print(f"trained on {len(seen.messages):,} messages, measured on {len(other.messages):,} others")
    print(f"  craftnet.json.v1                              {total.json:7.1f} bytes")
    print(f"  craftnet.json.lz4.v1, no dictionary           {total.without:7.1f} bytes")
    print(f"  craftnet.json.lz4.v1, dictionary 1            {total.before:7.1f} bytes  {before:5.1f} µs to compress")
    print(f"  craftnet.json.lz4.v1, trained ({len(trained.octets):,} bytes) {total.after:7.1f} bytes  {after:5.1f} µs")
    print(f"  craftnet.bin.v1                               {binary:7.1f} bytes")
    print(f"  the trained one saves {total.gain:.1%} beside dictionary 1, by type of message:")
    for row in found.rows[:-1]:
        print(f"    {row.kind:24}{row.messages:>8,}  {row.before:7.1f} to {row.after:7.1f} bytes  {row.gain:6.1%}")


if __name__ == "__main__":
    main()
