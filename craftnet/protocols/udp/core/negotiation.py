"""What client and server negotiate in …/connect: sizes, compression, sessions. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from msgspec import Struct

from craftnet.contract.http_bodies import UdpConnectResponse
from craftnet.protocols.udp.core.compression import COMPRESSIONS, Compression

PATH_SIZE = 1200
"""Octets of the longest datagram that every path carries: IPv6's minimum, less the headers below."""

MAX_DATAGRAM = 65_507
"""Octets of the longest possible datagram."""


class Agreement(Struct, frozen=True, gc=False):
    """The result of a negotiation.

    Attributes:
        datagram: maximum octets of a datagram to the client.
        content: maximum octets of compressed content, decompressed.
        compression: None without compression.
    """

    datagram: int
    content: int
    compression: Compression | None = None


PLAIN = Agreement(PATH_SIZE, PATH_SIZE)
"""Datagrams as long as every path carries, without compression."""


def agreed(answer: UdpConnectResponse) -> Agreement:
    """The agreement in the server's answer."""
    size = answer.negotiated_packet_size
    return Agreement(min(size, MAX_DATAGRAM), size, COMPRESSIONS.get(answer.compression))


def agree(supported: Iterable[str], asked: int, path: int) -> Agreement:
    """The server's agreement for a client's request.

    Arguments:
        supported: algorithms, the client's favourite first; ``none`` ends the list.
        asked: maximum octets of a packet that the client accepts, 64 to 65536.
        path: octets of the longest datagram that the network carries.
    """
    favourite = next((name for name in supported if name == "none" or name in COMPRESSIONS), "none")
    return _agreement(favourite, asked, path)


@lru_cache(maxsize=256)  # most clients ask for the same, and share it.
def _agreement(name: str, asked: int, path: int) -> Agreement:
    compression, datagram = COMPRESSIONS.get(name), min(asked, path)
    return Agreement(datagram, datagram if compression is None else asked, compression)


MAX_SESSIONS = 32
"""Sessions of one connection at a time."""

MAX_INDEXES = 256
"""Sessions of one ticket in its life: an index is never reused, so that late datagrams keep their meaning."""
