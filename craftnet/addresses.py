"""Where to listen, and what to tell clients: the texts of --http, --udp and --public-udp. Pure."""

from __future__ import annotations

import re
from ipaddress import ip_address

from msgspec import Struct

from craftnet.errors import ConfigurationError

HTTP_PORT = 8080
UDP_PORT = 8082

BACKLOG = 4096
"""Connections that the kernel keeps until they are accepted: after an outage everybody comes back at once."""

_ENDPOINT_INTERFACE = re.compile(r"(?<!\\):interface=((?:[^:\\]|\\.)*)")

_SHAREABLE = re.compile(r"(?:tcp|tcp4|tcp6|ssl):(?:port=)?[1-9][0-9]*(?::|\Z)")


class HostPort(Struct, frozen=True):
    """An address; an empty host is every interface."""

    host: str
    port: int

    def __add__(self, number: int) -> HostPort:
        """The same host, `number` ports further; any free port stays that."""
        return HostPort(self.host, self.port and self.port + number)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host or '*'}:{self.port}"


def parse_port(text: str) -> int:
    """A port number, 0 for any free one.

    Raises:
        ConfigurationError: it is none.
    """
    if not (text.isascii() and text.isdigit() and int(text) <= 65535):
        raise ConfigurationError(f"{text!r} is not a port number")
    return int(text)


def parse_host_port(text: str) -> HostPort:
    """`host:port`, `[ipv6]:port` or `port`.

    Raises:
        ConfigurationError: it is none of them.
    """
    host, _, port = text.rpartition(":")
    if ":" in host and not (host.startswith("[") and host.endswith("]")):
        raise ConfigurationError(f"{text!r}: an IPv6 address is written in brackets, as in [::1]:8082")
    return HostPort(host.strip("[]"), parse_port(port))


def parse_public(text: str) -> HostPort:
    """The address that clients are told; both parts are needed.

    Raises:
        ConfigurationError: one is missing.
    """
    address = parse_host_port(text)
    if not address.host or not address.port:
        raise ConfigurationError(f"{text!r} is not of the form host:port")
    return address


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches `host`."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def http_endpoint(option: str | None, port: str | None, *, loopback_only: bool, reason: str) -> str:
    """The Twisted endpoint description to serve HTTP and WebSocket on.

    Arguments:
        option: --http, if given.
        port: the environment's PORT, if set: what a Procfile runner wants listened on.
        loopback_only: nothing but loopback will do; the default becomes that.
        reason: why, for the operator.

    Raises:
        ConfigurationError: the option wants other machines served, and that may not be.
    """
    if option is None:
        number = HTTP_PORT if port is None else parse_port(port)
        return f"tcp:{number}:backlog={BACKLOG}" + (":interface=127.0.0.1" if loopback_only else "")
    if loopback_only and not option.startswith("unix:"):
        interface = _ENDPOINT_INTERFACE.search(option)
        host = interface[1].replace("\\", "") if interface else ""
        if not is_loopback(host):
            raise ConfigurationError(
                f"--http {option} would serve other machines, which is refused: {reason}. "
                "Add :interface=127.0.0.1, or configure --auth."
            )
    return option


def check_shareable(endpoint: str) -> None:
    """Whether several processes can listen on it together.

    Arguments:
        endpoint: a Twisted endpoint description.

    Raises:
        ConfigurationError: they cannot.
    """
    if _SHAREABLE.match(endpoint) is None:
        raise ConfigurationError(f"--workers needs a tcp: or ssl: endpoint with a fixed port, not {endpoint}")


def udp_address(option: str | None, *, loopback_only: bool, reason: str) -> HostPort | None:
    """The address to serve UDP on; None when it is off.

    Raises:
        ConfigurationError: as for `http_endpoint`, or the option makes no sense.
    """
    if option == "off":
        return None
    address = HostPort("", UDP_PORT) if option is None else parse_host_port(option)
    if not loopback_only:
        return address
    if not address.host:
        return HostPort("127.0.0.1", address.port)
    if not is_loopback(address.host):
        raise ConfigurationError(
            f"--udp {option} would serve other machines, which is refused: {reason}. "
            "Use 127.0.0.1, or configure --auth."
        )
    return address
