"""The options of the groups WebSocket, UDP and Updates: how state reaches clients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from craftnet.crafting.progress import Tolerance
from craftnet.feeds.hub import REFRESH
from craftnet.protocols.feed.server.feed_connections import PING_INTERVAL
from craftnet.protocols.udp.core.delay_pacing import Congestion
from craftnet.protocols.udp.core.key_exchange import MLKEM768
from craftnet.protocols.udp.core.negotiation import PATH_SIZE
from craftnet.protocols.udp.server.connection import Terms
from craftnet.protocols.udp.server.tickets import TOKEN_RENEWAL
from craftnet.protocols.websocket.core.dictionaries import MAX_ID, NEWEST
from craftnet.protocols.websocket.server.factory import MISSED_PONGS
from craftnet.server.options.option import Option


@dataclass(frozen=True, kw_only=True)
class WebSocketOptions:
    """Heartbeats, the end of connections, and compression."""

    ping_interval: Annotated[int, Option("Seconds between WebSocket pings", unit="seconds", least=1, most=3600)] = (
        PING_INTERVAL
    )
    missed_pongs: Annotated[
        int,
        Option(
            "Number of unanswered pings in a row after which a connection is dropped",
            least=1,
            most=100,
        ),
    ] = MISSED_PONGS
    drain_time: Annotated[
        float,
        Option(
            "Seconds over which connections are closed when the server stops (0 = all at once)",
            unit="seconds",
            least=0,
            most=3600,
        ),
    ] = 5.0
    dictionaries: Annotated[
        str | None,
        Option(
            "Folder with further dictionaries of craftnet.json.lz4.v1, as `craftnet dictionary publish` writes them; "
            "clients can download them all",
            default="those of the package",
        ),
    ] = None
    dictionary: Annotated[
        int,
        Option(
            "Id of the dictionary with which messages are compressed; prefer a new one when every node has it",
            least=1,
            most=MAX_ID,
        ),
    ] = NEWEST


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
    ] = TOKEN_RENEWAL
    udp_key_exchange: Annotated[
        str,
        Option(
            "Exchange of keys inside …/connect for clients that ask for one: mlkem768 (ML-KEM-768) keeps UDP secret "
            "where what travels over HTTP is recorded and decrypted later",
            choices=("off", MLKEM768),
        ),
    ] = "off"
    udp_congestion: Annotated[
        str,
        Option(
            "What lowers the rate to a client: loss (lost datagrams and late heartbeats), or delay (a growing delay of "
            "acknowledgements as well, before a slow network queues datagrams for seconds)",
            choices=tuple(each.value for each in Congestion),
        ),
    ] = Congestion.LOSS.value
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


@dataclass(frozen=True, kw_only=True)
class UpdateOptions:
    """When clients receive updates, and what the devices of one player share."""

    devices: Annotated[
        bool,
        Option(
            "Lets the devices of a player register names on the player's feeds (?device=phone), see each other, and "
            "share what was seen and dismissed",
        ),
    ] = False

    tolerance_percent: Annotated[
        float,
        Option(
            "Points of progress by which a client's copy may be wrong before it gets an update",
            unit="percent",
            least=0.01,
            most=100,
        ),
    ] = Tolerance().percent
    tolerance_ms: Annotated[
        int,
        Option(
            "Milliseconds by which a client's remaining time may be wrong before it gets an update; 1 % of the "
            "remaining time if that is more",
            unit="milliseconds",
            least=1,
            most=60_000,
        ),
    ] = int(Tolerance().seconds * 1000)
    learn_progress: Annotated[
        str | None,
        Option(
            "Learns how long crafts really take, and says so in progress messages where that is better than the "
            "authority's estimates: a file that keeps what was learned, or `shared` to keep it in the Redis of "
            "--backend; on an edge, `shared` passes on what its core has learned. With --workers, each worker has a "
            "file of its own: learned.json becomes learned-w0.json, …",
            default="nothing is learned",
        ),
    ] = None
    refresh: Annotated[
        float,
        Option(
            "Seconds after which a running craft is sent again although nothing changed",
            unit="seconds",
            least=0.5,
            most=3600,
        ),
    ] = REFRESH
