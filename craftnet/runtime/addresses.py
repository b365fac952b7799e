"""Addresses to listen on and to announce to clients: the values of --http, --udp and --public-udp. Pure."""

from __future__ import annotations

import re
from ipaddress import ip_address

from msgspec import Struct

from craftnet.errors import ConfigurationError

HTTP_PORT = 8080
UDP_PORT = 8082

LISTEN_BACKLOG = 4096
"""Connections that the kernel keeps until they are accepted: after an outage all clients reconnect at once."""

_ENDPOINT_INTERFACE = re.compile(r"(?<!\\):interface=((?:[^:\\]|\\.)*)")

_ARGUMENT = re.compile(r"(?:[^:\\]|\\.)*", re.DOTALL)
"""The text between two colons of an endpoint description, with its escapes."""

_SHAREABLE = re.compile(r"(?:tcp|tcp4|tcp6|ssl):(?:port=)?[1-9][0-9]*(?::|\Z)")


_TLS_ARGUMENTS = ("port", "privateKey", "certKey", "extraCertChain", "dhParameters", "interface", "backlog")


class HostPort(Struct, frozen=True):
    """An address; an empty host means every interface."""

    host: str
    port: int

    def __add__(self, number: int) -> HostPort:
        """The same host with a port higher by `number`; port 0 (any free port) stays 0."""
        return HostPort(self.host, self.port and self.port + number)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host or '*'}:{self.port}"


class TlsAddress(Struct, frozen=True):
    """The parts of an `ssl:` endpoint.

    Attributes:
        key: the file of the private key, PEM.
        certificates: the files of the certificate chain, PEM, the server's own certificate first.
        dh_parameters: a file with Diffie-Hellman parameters, PEM; without it no cipher that needs them is offered.
    """

    port: int
    key: str
    certificates: tuple[str, ...]
    dh_parameters: str | None = None
    interface: str = ""
    backlog: int = LISTEN_BACKLOG


def parse_port(text: str) -> int:
    """A port number; 0 means any free one.

    Raises:
        ConfigurationError: it is no port number.
    """
    if not (text.isascii() and text.isdigit() and int(text) <= 65535):
        raise ConfigurationError(f"{text!r} is not a port number")
    return int(text)


def _environment_port(text: str) -> int:
    """The port number in the environment variable PORT.

    Raises:
        ConfigurationError: it is no port number.
    """
    if not text:
        raise ConfigurationError("$PORT is empty: set it to the port to serve HTTP on, or unset it, or give --http")
    try:
        return parse_port(text)
    except ConfigurationError as error:
        raise ConfigurationError(f"$PORT: {error}") from None


def parse_host_port(text: str) -> HostPort:
    """Parses `host:port`, `[ipv6]:port` or `port`.

    Raises:
        ConfigurationError: it has another form.
    """
    host, _, port = text.rpartition(":")
    if ":" in host and not (host.startswith("[") and host.endswith("]")):
        raise ConfigurationError(f"{text!r}: write an IPv6 address in brackets, as in [::1]:8082")
    return HostPort(host.strip("[]"), parse_port(port))


def parse_public(text: str) -> HostPort:
    """The address that clients receive; it needs both parts.

    Raises:
        ConfigurationError: one is missing.
    """
    address = parse_host_port(text)
    if not address.host or not address.port:
        raise ConfigurationError(f"{text!r} is not of the form host:port")
    return address


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def http_endpoint(option: str | None, port: str | None, *, loopback_only: bool, reason: str) -> str:
    """The Twisted endpoint description for HTTP and WebSocket.

    Arguments:
        option: --http, if given.
        port: the environment variable PORT, if set, as Procfile runners do.
        loopback_only: only loopback addresses are allowed, and the default is one.
        reason: why, for the operator.

    Raises:
        ConfigurationError: the option would serve other machines, which is not allowed.
    """
    if option is None:
        number = HTTP_PORT if port is None else _environment_port(port)
        return f"tcp:{number}:backlog={LISTEN_BACKLOG}" + (":interface=127.0.0.1" if loopback_only else "")
    if loopback_only and not option.startswith("unix:"):
        interface = _ENDPOINT_INTERFACE.search(option)
        host = interface[1].replace("\\", "") if interface else ""
        if not is_loopback(host):
            raise ConfigurationError(
                f"--http {option} would serve other machines, which is refused: {reason}. "
                "Add :interface=127.0.0.1, or configure --auth."
            )
    return option


def parse_tls(description: str) -> TlsAddress | None:
    """Parses an `ssl:` endpoint description; None for a description of another kind.

    Arguments:
        description: a Twisted endpoint, `ssl:443:privateKey=key.pem:certKey=fullchain.pem`.

    Raises:
        ConfigurationError: an argument is unknown, missing, or not a number.
    """
    kind, *parts = (part for part in _ARGUMENT.findall(description) if part)
    if kind != "ssl":
        return None
    given: dict[str, str] = {}
    for part in parts:
        name, separator, value = part.partition("=")
        name, value = (name, value) if separator else ("port", name)
        if name not in _TLS_ARGUMENTS or name in given:
            raise ConfigurationError(
                f"--http {description}: {part!r} is unknown or repeated; an ssl endpoint takes"
                f" {', '.join(_TLS_ARGUMENTS)}"
            )
        given[name] = re.sub(r"\\(.)", r"\1", value, flags=re.DOTALL)
    if "port" not in given or "privateKey" not in given:
        raise ConfigurationError(f"--http {description}: an ssl endpoint needs a port and a privateKey")
    backlog = given.get("backlog", str(LISTEN_BACKLOG))
    if not (backlog.isascii() and backlog.isdigit()):
        raise ConfigurationError(f"--http {description}: backlog must be a number of connections, got {backlog!r}")
    files = (given.get("certKey", given["privateKey"]), given.get("extraCertChain"))
    return TlsAddress(
        parse_port(given["port"]),
        given["privateKey"],
        tuple(file for file in files if file is not None),
        given.get("dhParameters"),
        given.get("interface", ""),
        int(backlog),
    )


def check_shareable(endpoint: str) -> None:
    """Checks that several processes can listen on an endpoint together.

    Arguments:
        endpoint: a Twisted endpoint description.

    Raises:
        ConfigurationError: they cannot.
    """
    if _SHAREABLE.match(endpoint) is None:
        raise ConfigurationError(f"--workers needs a tcp: or ssl: endpoint with a fixed port, got {endpoint}")


def udp_address(option: str | None, *, loopback_only: bool, reason: str) -> HostPort | None:
    """The address for UDP; None when UDP is off.

    Raises:
        ConfigurationError: as for `http_endpoint`, or the option is malformed.
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


_REGION = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")

MAX_REGION = 64
"""Characters of a region's name."""


def parse_region(text: str) -> str:
    """The value of --region.

    Raises:
        ConfigurationError: no region can have this name.
    """
    if len(text) > MAX_REGION or not _REGION.fullmatch(text):
        raise ConfigurationError(
            f"--region takes lower-case letters, digits and single hyphens, such as us-east, got {text!r}"
        )
    return text
