"""The Python client and the `craftnet` command.

A `Watch` follows one session over the transports that it is given, reconnects, and reports to an `IObserver`.
"""

from craftnet.client.address import Address
from craftnet.client.backoff import Backoff
from craftnet.client.credentials import Credentials
from craftnet.client.interfaces import IObserver
from craftnet.client.udp import SharedUdpTransport, UdpConnections, UdpTransport
from craftnet.client.watch import Outcome, Verdict, Watch
from craftnet.client.websocket import WebSocketTransport
from craftnet.clocks import steady

__all__ = [
    "Address",
    "Backoff",
    "Credentials",
    "IObserver",
    "Outcome",
    "SharedUdpTransport",
    "UdpConnections",
    "UdpTransport",
    "Verdict",
    "Watch",
    "WebSocketTransport",
    "steady",
]
