"""`craftnet doctor`: checks whether the system's limits suffice for the options."""

from __future__ import annotations

import argparse
import json
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum
from pathlib import Path

import msgspec
from msgspec import Struct

from craftnet.operator.configuration import EPILOG, separated, server_options
from craftnet.runtime.addresses import LISTEN_BACKLOG
from craftnet.runtime.sockets import SPARE_FILES
from craftnet.server.settings import Settings, settings_of

Read = Callable[[str], str | None]
"""Returns the content of a system file; None if it does not exist or cannot be read."""

DATAGRAM_MEMORY = 1024
"""Bytes that a small datagram takes in the kernel while it waits."""

WAITING_SHARE = 0.1
"""Datagrams of each client that wait while the process is busy: one a second, for a tenth of a second."""

LEAST_BUFFER = 212_992
"""Bytes of a socket's receive buffer on a Linux that was not tuned."""

SPARE_PORTS = 10_000
"""Local ports beside those of connections: the back end, health checks, other programs."""


class Verdict(Enum):
    """Whether the system allows enough."""

    OK = "ok"
    LOW = "low"
    UNKNOWN = "unknown"


class SystemFinding(Struct, frozen=True):
    """The result for one limit of the system.

    Attributes:
        name: a limit of the process, a kernel parameter, or "clock".
        found, wanted: values, for people; found is empty if it is unknown.
        why: the consequence of a value that is too low.
        command: sets it; empty if no action is needed.
    """

    name: str
    verdict: Verdict
    found: str
    wanted: str
    why: str
    command: str


def examine(settings: Settings, read: Read) -> list[SystemFinding]:
    """Everything that the system must allow for these settings."""
    return [*_process(settings, read), *_sockets(settings, read), *_ports(settings, read), *_clock(read)]


def _process(settings: Settings, read: Read) -> Iterator[SystemFinding]:
    wanted = settings.limits.connections + SPARE_FILES
    limit = re.search(r"^Max open files +\S+ +(\S+)", read("/proc/self/limits") or "", re.MULTILINE)
    found = None if limit is None else 2**63 if limit[1] == "unlimited" else int(limit[1])
    yield _at_least(
        "nofile",
        found,
        wanted,
        f"further connections are closed as soon as they are accepted; {SPARE_FILES} files beside --max-connections, "
        "in each process. craftnet raises its own soft limit as far as this hard limit",
        f"systemd: LimitNOFILE={wanted} in the unit; a shell: ulimit -Hn {wanted} (as root) before the start",
    )


def _sockets(settings: Settings, read: Read) -> Iterator[SystemFinding]:
    for name, wanted, why in (
        ("net.core.somaxconn", LISTEN_BACKLOG, "after a restart of a proxy or of the network, clients that all return "
         "at once wait for seconds before they are accepted"),
        ("net.ipv4.tcp_max_syn_backlog", LISTEN_BACKLOG, "as for net.core.somaxconn, one step earlier"),
    ):  # fmt: skip
        yield _kernel(name, wanted, why, read)
    if settings.udp != "off":
        why = "datagrams that arrive while the process is busy are lost, and must be sent again"
        wanted = max(LEAST_BUFFER, round(settings.limits.connections * WAITING_SHARE * DATAGRAM_MEMORY))
        yield _kernel("net.core.rmem_default", wanted, why, read)
    if read(_file("net.netfilter.nf_conntrack_max")) is not None and settings.limits.connections:
        wanted = 2 * settings.limits.connections
        why = "the firewall of this machine drops new connections and datagrams when its table is full"
        yield _kernel("net.netfilter.nf_conntrack_max", wanted, why, read)


def _ports(settings: Settings, read: Read) -> Iterator[SystemFinding]:
    """A proxy on this machine needs one local port for each connection to craftnet."""
    name = "net.ipv4.ip_local_port_range"
    numbers = [int(word) for word in (read(_file(name)) or "").split() if word.isdigit()]
    wanted = min(settings.limits.connections + SPARE_PORTS, 55_000)
    found = numbers[1] - numbers[0] + 1 if len(numbers) == 2 else None
    why = "a proxy on this machine cannot open more connections to one port of craftnet than there are local ports"
    finding = _at_least(name, found, wanted, why, f"sysctl -w {name}='10240 65535'")
    yield msgspec.structs.replace(finding, found=f"{finding.found} ports" if finding.found else "",
                                  wanted=f"{finding.wanted} ports")  # fmt: skip


def _clock(read: Read) -> Iterator[SystemFinding]:
    """Checks the wall clock, which tokens are compared with; only systemd-timesyncd has a file about its state."""
    known = read("/run/systemd/timesync/synchronized") is not None
    yield SystemFinding(
        "clock",
        Verdict.OK if known else Verdict.UNKNOWN,
        "synchronized" if known else "",
        "synchronized",
        "valid tokens are refused, or expired ones accepted, when the clock is wrong",
        "" if known else "timedatectl, or chronyc tracking, says whether it is",
    )


def _kernel(name: str, wanted: int, why: str, read: Read) -> SystemFinding:
    text = (read(_file(name)) or "").strip()
    return _at_least(name, int(text) if text.isdigit() else None, wanted, why, f"sysctl -w {name}={wanted}")


def _at_least(name: str, found: int | None, wanted: int, why: str, command: str) -> SystemFinding:
    if found is None:
        return SystemFinding(name, Verdict.UNKNOWN, "", f"{wanted}", why, command)
    fits = found >= wanted
    text = "unlimited" if found == 2**63 else f"{found}"
    return SystemFinding(name, Verdict.OK if fits else Verdict.LOW, text, f"{wanted}", why, "" if fits else command)


def _file(parameter: str) -> str:
    return "/proc/sys/" + parameter.replace(".", "/")


def report(findings: Sequence[SystemFinding]) -> str:
    """The findings for people."""
    lines = []
    for each in findings:
        found = each.found or "cannot be read here"
        lines.append(f"{each.verdict.value:<8} {each.name}: {found}, should be {each.wanted}")
        if each.verdict is not Verdict.OK:
            for text in (f"Otherwise {each.why}.", each.command):
                lines += textwrap.wrap(text, 100, initial_indent=" " * 9, subsequent_indent=" " * 9)
    return "\n".join(lines)


def add_doctor(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `craftnet doctor`, beside those of the server."""
    parser.description = (
        "Check whether this system's limits suffice for the options. Changes nothing; run it where the server will "
        "run, as its user."
    )
    parser.epilog = f"{EPILOG} Exit codes: 0: nothing is too low; 1: something is; 2: wrong usage."
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")


def doctor(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """`craftnet doctor [--json] [options of the server]`: returns 0 if no limit is too low, otherwise 1."""
    parser = argparse.ArgumentParser(prog="craftnet doctor", allow_abbrev=False)
    add_doctor(parser)
    own, servers = separated(arguments)
    known, rest = parser.parse_known_args(own)
    settings = settings_of(server_options([*servers, *rest]).effective(environ), environ)
    findings = examine(settings, _read)
    if known.json:
        print(json.dumps(msgspec.to_builtins(findings), indent=2))
    else:
        print(report(findings))
    return int(any(each.verdict is Verdict.LOW for each in findings))


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None
