"""What client and server agree on when a UDP connection is asked for: sizes, compression, sessions. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from msgspec import Struct

from craftnet.contract.http_bodies import UdpConnectResponse
from craftnet.protocols.udp.core.compression import COMPRESSIONS, Compression

PATH_SIZE = 1200
"""Octets of the longest datagram that every path carries: IPv6's least, less the headers below."""

MAX_DATAGRAM = 65_507
"""Octets of the longest datagram there is."""


class Agreement(Struct, frozen=True, gc=False):
    """What a client and the server have agreed on.

    Attributes:
        datagram: octets of the longest datagram to the client.
        content: octets of the longest content that is packed.
        compression: None when nothing is.
    """

    datagram: int
    content: int
    compression: Compression | None = None


PLAIN = Agreement(PATH_SIZE, PATH_SIZE)
"""Datagrams as long as every path carries, and nothing packed."""


def agreed(answer: UdpConnectResponse) -> Agreement:
    """What the server's answer says."""
    size = answer.negotiated_packet_size
    return Agreement(min(size, MAX_DATAGRAM), size, COMPRESSIONS.get(answer.compression))


def agree(supported: Iterable[str], asked: int, path: int) -> Agreement:
    """What the server makes of a client's wishes.

    Arguments:
        supported: algorithms, the client's favourite first; ``none`` ends the list.
        asked: octets of the longest packet the client takes, 64–65536.
        path: octets of the longest datagram the network carries.
    """
    favourite = next((name for name in supported if name == "none" or name in COMPRESSIONS), "none")
    return _agreement(favourite, asked, path)


@lru_cache(maxsize=256)  # most clients ask for the same, and so share it.
def _agreement(name: str, asked: int, path: int) -> Agreement:
    compression, datagram = COMPRESSIONS.get(name), min(asked, path)
    return Agreement(datagram, datagram if compression is None else asked, compression)


MAX_SESSIONS = 32
"""Sessions of one connection at a time."""

MAX_INDEXES = 256
"""Sessions of one ticket in its life: an index is never used twice, so that late datagrams mean what they meant."""
