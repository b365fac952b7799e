"""The Python client and the `craftnet` command.

A `Watch` follows one session over the transports that it is given, reconnects, and reports to an `IObserver`.
"""

from craftnet.client.core.address import Address
from craftnet.client.core.credentials import Credentials
from craftnet.client.core.interfaces import IObserver
from craftnet.client.core.watch import Watch, WatchOutcome, WatchVerdict
from craftnet.client.transports.udp import SharedUdpTransport, UdpTransport
from craftnet.client.transports.udp_connections import UdpConnections
from craftnet.client.transports.websocket import WebSocketTransport
from craftnet.clocks import steady
from craftnet.runtime.backoff import Backoff

__all__ = [
    "Address",
    "Backoff",
    "Credentials",
    "IObserver",
    "SharedUdpTransport",
    "UdpConnections",
    "UdpTransport",
    "Watch",
    "WatchOutcome",
    "WatchVerdict",
    "WebSocketTransport",
    "steady",
]
