"""What client and server agree on when a UDP connection is asked for: sizes, and compression. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from msgspec import Struct

from craftnet.bodies import UdpConnectResponse
from craftnet.protocols.udp.packing import PACKINGS, Packing

PATH_SIZE = 1200
"""Octets of the longest datagram that every path carries: IPv6's least, less the headers below."""

MAX_DATAGRAM = 65_507
"""Octets of the longest datagram there is."""


class Agreement(Struct, frozen=True, gc=False):
    """What a client and the server have agreed on.

    Attributes:
        datagram: octets of the longest datagram to the client.
        content: octets of the longest content that is packed.
        packing: None when nothing is.
    """

    datagram: int
    content: int
    packing: Packing | None = None


PLAIN = Agreement(PATH_SIZE, PATH_SIZE)
"""Datagrams as long as every path carries, and nothing packed."""


def agreed(answer: UdpConnectResponse) -> Agreement:
    """What the server's answer says."""
    size = answer.negotiated_packet_size
    return Agreement(min(size, MAX_DATAGRAM), size, PACKINGS.get(answer.compression))


def agree(supported: Iterable[str], asked: int, path: int) -> Agreement:
    """What the server makes of a client's wishes.

    Arguments:
        supported: algorithms, the client's favourite first; ``none`` ends the list.
        asked: octets of the longest packet the client takes, 64–65536.
        path: octets of the longest datagram the network carries.
    """
    favourite = next((name for name in supported if name == "none" or name in PACKINGS), "none")
    return _agreement(favourite, asked, path)


@lru_cache(maxsize=256)  # most clients ask for the same, and so share it.
def _agreement(name: str, asked: int, path: int) -> Agreement:
    packing, datagram = PACKINGS.get(name), min(asked, path)
    return Agreement(datagram, datagram if packing is None else asked, packing)
