"""`craftnet analyse erase`: destroys the key by which a player's records could be attributed."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from uuid import UUID

from craftnet.errors import ConfigurationError
from craftnet.observe.audit.pseudonyms import Pseudonyms
from craftnet.recording.description import description_of


def erase(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Runs `craftnet analyse erase`; returns the exit code.

    Raises:
        ConfigurationError: the folder is no recording, or the keys cannot be changed.
    """
    parser = argparse.ArgumentParser(prog="craftnet analyse erase", allow_abbrev=False)
    add_erase(parser)
    options = parser.parse_args(arguments)
    description = description_of(Path(options.folder))
    path = Path(options.players or description.players)
    if not path.exists():
        raise ConfigurationError(
            f"{path}, the file of the players' keys, does not exist: run this on the server's machine, or name the "
            "file with --players"
        )
    with closing(Pseudonyms(path)) as players:
        for player_id in options.player:
            try:
                known = players.erase(player_id)
            except OSError as error:
                raise ConfigurationError(f"{path}: {error}") from error
            print(f"{player_id}: {'the key is destroyed' if known else 'there is no key'}")
    print(
        f"No pseudonym that was made with {path} can be attributed to these players any more: neither in recordings "
        "nor in an audit log whose --audit-players it is."
    )
    if description.shared_key:
        print(
            "The pseudonyms of sessions depend on the key of --record-key, which several machines share: replace it, "
            "and run this command on each machine."
        )
    return 0


def add_erase(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `craftnet analyse erase`."""
    parser.description = (
        "Destroy the keys with which a player's pseudonyms were made, so that nothing in the recording can be "
        "attributed to the player. Crafts that are under way get other pseudonyms, so erase several players at once."
    )
    parser.add_argument("folder", metavar="DIR", help="the folder of a server's --record")
    parser.add_argument(
        "--player", metavar="UUID", type=UUID, action="append", required=True, help="the player; repeatable"
    )
    parser.add_argument(
        "--players", metavar="FILE", help="file with the players' keys (default: as the recording says)"
    )
