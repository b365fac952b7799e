"""Builds the addresses on which the service listens and that clients receive."""

from __future__ import annotations

from msgspec import Struct

from craftnet.access.auth_option import AuthSetup
from craftnet.limits.client_address import Forwarding, public_url
from craftnet.runtime.addresses import HostPort, http_endpoint, parse_public, udp_address
from craftnet.server.settings import Settings


class Addresses(Struct, frozen=True):
    """Where the service listens, and the addresses that clients receive.

    Attributes:
        http: the endpoint of HTTP and WebSocket.
        udp: None when UDP is off.
        public_udp: the address that clients receive; None: the host by which they reach HTTP, and the port of `udp`.
        forwarding: interprets what proxies report, and knows the URL by which clients reach this server.
    """

    http: str
    udp: HostPort | None
    public_udp: HostPort | None
    forwarding: Forwarding


def build_addresses(settings: Settings, access: AuthSetup) -> Addresses:
    """Where to listen. Each worker has a UDP port of its own, counted from that of --udp."""
    http = http_endpoint(settings.http, settings.port, loopback_only=access.loopback_only, reason=access.reason)
    udp = udp_address(settings.udp, loopback_only=access.loopback_only, reason=access.reason)
    public_udp = None if settings.public_udp is None else parse_public(settings.public_udp)
    if settings.worker is not None and udp is not None:
        udp += settings.worker
        public_udp = None if public_udp is None else public_udp + settings.worker
    public = None if settings.public_url is None else public_url(settings.public_url)
    return Addresses(http, udp, public_udp, Forwarding(settings.trusted_proxies, public))
