"""The options of the group UDP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from craftnet.protocols.udp.core.negotiation import PATH_SIZE
from craftnet.protocols.udp.server.connection import Terms
from craftnet.protocols.udp.server.tickets import RENEWAL
from craftnet.server.options.option import Option


@dataclass(frozen=True, kw_only=True)
class UdpOptions:
    """The UDP protocol."""

    udp_heartbeat: Annotated[
        int,
        Option(
            "Milliseconds between heartbeats; a connection is lost after three intervals of silence",
            unit="milliseconds",
            least=1000,
            most=30_000,
        ),
    ] = round(Terms().heartbeat * 1000)
    udp_full_sync: Annotated[
        float,
        Option(
            "Seconds, on average, after which a client gets the full state again",
            unit="seconds",
            least=1,
            most=3600,
        ),
    ] = Terms().full_sync
    udp_key_rotation: Annotated[
        float,
        Option(
            "Seconds after which the server updates its keys of a connection; less than the default only to test a "
            "client",
            unit="seconds",
            least=1,
            most=600,
        ),
    ] = Terms().key_rotation
    udp_token_renewal: Annotated[
        float,
        Option(
            "Seconds after which the server sends a client a fresh session_token; less than the default only to test "
            "a client",
            unit="seconds",
            least=1,
            most=1800,
        ),
    ] = RENEWAL
    udp_path_size: Annotated[
        int,
        Option(
            "Maximum size of a UDP datagram to a client, in bytes; more than the default only where the whole network "
            "carries it",
            unit="bytes",
            least=64,
            most=65_507,
        ),
    ] = PATH_SIZE
