"""The CPU time and memory of a server's processes on this machine, from Linux's /proc."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from craftnet.errors import ConfigurationError

_TICK = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")


class Use(NamedTuple):
    """The resources that processes have used since their start, and use now.

    Attributes:
        cpu: seconds of processor time.
        waited: seconds in which they were runnable without a free processor.
        memory: bytes now, without mapped files.
    """

    cpu: float
    waited: float
    memory: int


class ServerProcesses:
    """A process and its children: a server and its workers.

    Arguments:
        pid: of the server.

    Raises:
        ConfigurationError: there is no such process, or the system does not show it.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        try:
            self.use()
        except OSError as error:
            raise ConfigurationError(
                f"--server-pid {pid}: cannot read /proc/{pid}: {error.strerror}; give the pid of a server "
                "that runs on this Linux machine, as your user"
            ) from error

    def use(self) -> Use:
        """The present use of resources. Raises OSError: the server is gone."""
        found = [_use(self._pid)]
        for child in _children(self._pid):
            try:
                found.append(_use(child))
            except OSError:
                continue  # it ended meanwhile.
        return Use(*(sum(parts) for parts in zip(*found, strict=True)))


def _use(pid: int) -> Use:
    # The name, in parentheses, may contain anything (proc(5)); utime and stime are the 14th and 15th field.
    fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    rollup = (_PROC / str(pid) / "smaps_rollup").read_text()
    sizes = {line.partition(":")[0]: int(line.split()[1]) for line in rollup.splitlines()[1:]}
    # Without mapped files: other processes, such as the generator's, change how much of them is shared.
    memory = sizes.get("Pss_Anon", sizes["Pss"])
    waited = int((_PROC / str(pid) / "schedstat").read_text().split()[1]) / 1e9
    return Use((int(fields[11]) + int(fields[12])) / _TICK, waited, memory * 1024)


def _children(pid: int) -> list[int]:
    found = []
    for task in (_PROC / str(pid) / "task").iterdir():
        try:
            children = [int(child) for child in (task / "children").read_text().split()]
        except OSError:
            continue
        for child in children:
            found += [child, *_children(child)]
    return found
