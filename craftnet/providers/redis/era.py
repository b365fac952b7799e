"""Which data set Redis has, and since when it has it from the same server: what a version means depends on both."""

from __future__ import annotations

from uuid import uuid4

from craftnet.errors import Unavailable
from craftnet.providers.redis import scripts
from craftnet.providers.redis.keys import Keys
from craftnet.providers.redis.link import Link


async def ask_data_set(link: Link, keys: Keys) -> str:
    """The data set's name; made only when there is none, because a full Redis and a replica can be read, too.

    Raises:
        Unavailable: nobody knows.
    """
    name = await link.ask("GET", keys.epoch)
    while name is None:
        await link.ask("SET", keys.epoch, uuid4().hex, "NX")
        name = await link.ask("GET", keys.epoch)
    text: str = name.decode()
    return text


async def ask_era(link: Link, keys: Keys) -> str:
    """The name of what one server has kept since it is the master, the same for every node.

    A server that was started again, or that follows another one, may lack what was acknowledged last. Where it is not
    known (Redis is a replica, or does not tell this user, or is out of reach), a name that no other node has.
    """
    try:
        era: bytes | None = await link.run(scripts.ERA, [keys.era], ())
    except Unavailable:
        era = None
    return uuid4().hex if era is None else era.decode()
