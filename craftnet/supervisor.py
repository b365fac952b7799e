"""Several worker processes behind one port: starts them, replaces those that die or hang, and stops them together.

Each worker is a whole `twistd craftnet`. They share the HTTP port (`craftnet.http.sharedport`), have a UDP port each,
and keep their metrics where each of them can read all (`craftnet.observe.figures`).
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessDone, ProcessExitedAlready, ProcessTerminated
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.runner.procmon import ProcessMonitor

from craftnet.clocks import IClock
from craftnet.liveness import INTERVAL, LIVENESS, Liveness
from craftnet.observe.figures import DIRECTORY, Figures
from craftnet.orphan import SUPERVISOR
from craftnet.shards.links import LINKS
from craftnet.signals import HURRY, RELOAD

LOOK = 0.1
"""Seconds between checks whether all workers have ended."""


def command(options: Sequence[str], twistd: Mapping[str, Any]) -> list[str]:
    """The command line of a worker.

    Arguments:
        options: those of `twistd craftnet`.
        twistd: twistd's own options. Workers log to the supervisor and run in its folder, so they need only
            `--reactor`.
    """
    reactor = [f"--reactor={twistd['reactor']}"] if "reactor" in twistd else []
    return [sys.executable, sys.argv[0], *reactor, "--nodaemon", "--pidfile=", "craftnet", *options]


class Supervisor(ProcessMonitor):
    """Runs the workers in the folder in which it is created: twistd changes folders later, and options may name files.

    Arguments:
        reactor: IReactorProcess and IReactorTime.
        workers: their number.
        line: the command that starts one.
        variable: the environment variable with a worker's number, from 0.
        environ: the basis of the workers' environment.
        patience: seconds in which a worker must stop after SIGTERM.
        timeout: seconds without a sign of life after which a worker is killed and restarted.
        divided: whether each worker keeps the state of some of the players, which is lost when it dies.
    """

    _log = Logger()

    minRestartDelay = 1
    maxRestartDelay = 30
    # A worker needs a second or two only to find that it cannot start.
    threshold = 10

    def __init__(
        self,
        reactor: Any,
        workers: int,
        line: Sequence[str],
        variable: str,
        environ: Mapping[str, str],
        *,
        patience: float,
        timeout: float,
        divided: bool = False,
    ) -> None:
        super().__init__(reactor)
        self._time: IClock = reactor
        self.killTime = patience  # type: ignore[assignment]  # callLater takes fractions, too.
        self._numbers = {f"worker-{number}": str(number) for number in range(workers)}
        self._line = list(line)
        self._variable = variable
        self._environ = environ
        self._folder = os.getcwd()
        self._timeout = timeout
        self._loss = "; the state of its players is lost" if divided else ""
        self._liveness: dict[str, Liveness] = {}
        self._looking = LoopingCall(self._replace_those_that_hang)
        self._looking.clock = self._time

    def startService(self) -> None:
        """Start them."""
        # Not before: twistd may go to the background, and be another process there, which is the one they look for.
        self._figures = Figures(self._numbers.values())
        for name, number in self._numbers.items():
            figures = self._figures.environment(number)
            file = os.path.join(figures[DIRECTORY], f"liveness-{number}")
            self._liveness[name] = Liveness(file, self._timeout)
            own = {
                self._variable: number,
                SUPERVISOR: str(os.getpid()),
                LIVENESS: file,
                LINKS: figures[DIRECTORY],
                **figures,
            }
            self.addProcess(name, self._line, env={**self._environ, **own}, cwd=self._folder)
        super().startService()
        self._looking.start(INTERVAL, now=False)

    def startProcess(self, name: str) -> None:
        """Start a worker as `ProcessMonitor` does, and hear of its end, of which that tells nobody."""
        self._liveness[name].restart()
        if name in self.protocols:
            return
        super().startProcess(name)
        protocol = self.protocols.get(name)
        if protocol is None:
            self._ended(name)
            return
        process_ended = protocol.processEnded

        def ended(reason: Failure) -> None:
            process_ended(reason)
            self._ended(name, reason)

        protocol.processEnded = ended  # type: ignore[method-assign]  # nothing else says which process has ended.

    def hurry(self) -> None:
        """Tell the workers, which are stopping, not to wait for their watchers."""
        for name in self.protocols:
            self._tell(name, HURRY)

    def reload(self) -> None:
        """Tell the workers to read their certificates again; those that only start have yet to read them anyway."""
        for name in self.protocols:
            if self._liveness[name].heard:
                self._tell(name, RELOAD)

    def _tell(self, name: str, number: int) -> None:
        transport = self.protocols[name].transport
        if transport is not None:
            with contextlib.suppress(ProcessExitedAlready):  # its end has not been heard of yet.
                transport.signalProcess(number)

    def _replace_those_that_hang(self) -> None:
        for name in self.protocols:
            if self._liveness[name].look():
                self._log.error("{name} gives no sign of life: killed", name=name)
                self._liveness[name].restart()  # so that this is logged once.
                self._tell(name, signal.SIGKILL)  # nothing else ends a process that was stopped.

    def stopService(self) -> Deferred[None]:  # type: ignore[override]  # IService allows it; ProcessMonitor has no need.
        """Send every worker SIGTERM; answers when the last has ended."""
        super().stopService()
        self._looking.stop()
        ended: Deferred[None] = Deferred()

        def look() -> None:
            if not self.protocols:
                looking.stop()
                for liveness in self._liveness.values():
                    liveness.close()
                self._figures.remove()
                ended.callback(None)

        looking = LoopingCall(look)
        looking.clock = self._time
        looking.start(LOOK)
        return ended

    def _ended(self, name: str, reason: Failure | None = None) -> None:
        """A worker has ended, or could not be started; `ProcessMonitor` has made the next start due by now."""
        self._figures.died(self._numbers[name])
        if self.running:
            delay = round(self.restart[name].getTime() - self._time.seconds())  # of whole seconds; time passes here.
            self._figures.restarted(self._numbers[name])
            self._log.warn(
                "{name} {end}: started again in {delay:g} s{loss}",
                name=name,
                end=_end(reason),
                delay=delay,
                loss=self._loss,
            )
        elif reason is not None and not reason.check(ProcessDone):
            self._log.warn("{name} {end}", name=name, end=_end(reason))


def _end(reason: Failure | None) -> str:
    """How a process ended."""
    error = None if reason is None else reason.value
    if isinstance(error, ProcessTerminated):
        number: int | None = error.signal
        return f"ended with exit code {error.exitCode}" if number is None else f"was killed by {_name(number)}"
    return "ended"


def _name(number: int) -> str:
    """Of a signal; not all of them have one."""
    return signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
