"""Several worker processes behind one port: starts them, replaces those that die or hang, and stops them together."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from twisted.application.internet import TimerService
from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessDone, ProcessExitedAlready, ProcessTerminated, ReactorNotRunning
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.runner.procmon import ProcessMonitor

from craftnet.clocks import IClock
from craftnet.errors import ConfigurationError
from craftnet.observe.metrics.process_files import FOLDER_VARIABLE, MetricsFolder
from craftnet.server.command_line import SNAPSHOT_VARIABLE, WorkerConfiguration
from craftnet.server.signals import HURRY, RELOAD, ROTATE
from craftnet.sharding.links import LINKS_VARIABLE

LIVENESS_VARIABLE = "CRAFTNET_LIVENESS"
"""The environment variable with the file that a worker touches."""

LIVENESS_INTERVAL = 1.0
"""Seconds between signs of life, and between checks."""

START_TIMEOUT = 60.0
"""Seconds for a worker's start: until its first sign of life, where the time limit is not longer anyway."""


class LivenessSignal(TimerService):
    """A worker's side: touches the file as long as the reactor runs.

    Arguments:
        reactor: the clock.
        path: the file, which the supervisor created.
    """

    def __init__(self, reactor: Any, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY)
        super().__init__(LIVENESS_INTERVAL, self._touch)
        self.clock = reactor

    def _touch(self) -> None:
        now = time.time_ns()  # the time that the system would set may be the same for some milliseconds.
        os.utime(self._file, ns=(now, now))


class LivenessMonitor:
    """The supervisor's side, for one worker.

    Silence is measured in checks, not by a clock: after all processes were suspended, as with a virtual machine, the
    supervisor may be the first to run again.

    Arguments:
        path: the file, which is created.
        timeout: seconds of silence that are too long.
    """

    def __init__(self, path: str, timeout: float) -> None:
        self._file = os.open(path, os.O_RDONLY | os.O_CREAT, 0o600)
        self._timeout = timeout
        self.restart()

    def restart(self) -> None:
        """The worker is started, for the first time or again."""
        self._silent = 0.0
        self._first = self._seen = self._touched

    @property
    def heard(self) -> bool:
        """Whether the worker has given a sign of life since it was started."""
        return self._touched != self._first

    def look(self) -> bool:
        """Whether the worker has been silent for too long; called every `LIVENESS_INTERVAL` seconds."""
        touched = self._touched
        if touched != self._seen:
            self._seen, self._silent = touched, 0.0
        else:
            self._silent += LIVENESS_INTERVAL
        return self._silent > (self._timeout if self.heard else max(self._timeout, START_TIMEOUT))

    def close(self) -> None:
        """Closes the file."""
        os.close(self._file)

    @property
    def _touched(self) -> int:
        return os.fstat(self._file).st_mtime_ns


SUPERVISOR_VARIABLE = "CRAFTNET_SUPERVISOR"
"""The environment variable with the id of the process that started this one."""

ORPHAN_CHECK_INTERVAL = 1.0
"""Seconds between checks."""


class OrphanWatch(TimerService):
    """Checks whether the process that started this one is still there.

    Arguments:
        reactor: stopped when it is not; and the clock.
        supervisor: the id of that process, which may have died before this one could ask for it.
        parent: returns the id of this process's parent, which changes when that dies.
    """

    _log = Logger()

    def __init__(self, reactor: Any, supervisor: int, parent: Callable[[], int] = os.getppid) -> None:
        super().__init__(ORPHAN_CHECK_INTERVAL, self._look)
        self.clock = self._reactor = reactor
        self._supervisor = supervisor
        self._parent = parent
        self._gone = False

    def _look(self) -> None:
        if self._parent() == self._supervisor:
            return
        if not self._gone:
            self._gone = True
            self._log.warn("The supervisor is gone: stopping")
        with suppress(ReactorNotRunning):  # not running yet, so another check follows; or already stopping.
            self._reactor.stop()


EXIT_CHECK_INTERVAL = 0.1
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
        stop_timeout: seconds in which a worker must stop after SIGTERM.
        timeout: seconds without a sign of life after which a worker is killed and restarted.
        configuration: the configuration file of the workers; None where there is none.
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
        stop_timeout: float,
        timeout: float,
        divided: bool = False,
        configuration: WorkerConfiguration | None = None,
    ) -> None:
        super().__init__(reactor)
        self._time: IClock = reactor
        self.killTime = stop_timeout  # type: ignore[assignment]  # callLater takes fractions, too.
        self._numbers = {f"worker-{number}": str(number) for number in range(workers)}
        self._line = list(line)
        self._variable = variable
        self._environ = environ
        self._folder = os.getcwd()
        self._timeout = timeout
        self._configuration = configuration
        self._loss = "; the state of its players is lost" if divided else ""
        self._liveness: dict[str, LivenessMonitor] = {}
        self._looking = LoopingCall(self._replace_those_that_hang)
        self._looking.clock = self._time

    def startService(self) -> None:
        """Starts the workers."""
        # Not earlier: twistd may go to the background and continue in another process, which is the one they check.
        self._figures = MetricsFolder(self._numbers.values())
        self._write_configuration()
        for name, number in self._numbers.items():
            figures = self._figures.environment(number)
            file = os.path.join(figures[FOLDER_VARIABLE], f"liveness-{number}")
            self._liveness[name] = LivenessMonitor(file, self._timeout)
            own = {
                self._variable: number,
                SUPERVISOR_VARIABLE: str(os.getpid()),
                LIVENESS_VARIABLE: file,
                LINKS_VARIABLE: figures[FOLDER_VARIABLE],
                **({} if self._snapshot is None else {SNAPSHOT_VARIABLE: self._snapshot}),
                **figures,
            }
            self.addProcess(name, self._line, env={**self._environ, **own}, cwd=self._folder)
        super().startService()
        self._looking.start(LIVENESS_INTERVAL, now=False)

    def startProcess(self, name: str) -> None:
        """Starts a worker as `ProcessMonitor` does, and also learns of its end."""
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
        """Signals the stopping workers not to wait for their watchers."""
        for name in self.protocols:
            self._signal(name, HURRY)

    def reload(self) -> None:
        """Makes the workers reload; starting ones read everything anyway."""
        try:
            if self._configuration is not None:
                self._configuration.update()
                self._write_configuration()
        except ConfigurationError as error:
            self._log.error("Workers that start get the previous configuration: {error}", error=error)
        for name in self.protocols:
            if self._liveness[name].heard:
                self._signal(name, RELOAD)

    def rotate(self) -> None:
        """Signals the workers to rotate their audit logs; starting workers open new files anyway."""
        for name in self.protocols:
            if self._liveness[name].heard:
                self._signal(name, ROTATE)

    def _write_configuration(self) -> None:
        """Writes the file with which workers start."""
        text = None if self._configuration is None else self._configuration.text
        if text is None:
            self._snapshot = None
        else:
            self._snapshot = os.path.join(self._figures.environment("")[FOLDER_VARIABLE], "craftnet.toml")
            descriptor = os.open(self._snapshot, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with open(descriptor, "w", encoding="utf-8") as file:
                file.write(text)

    def _signal(self, name: str, number: int) -> None:
        transport = self.protocols[name].transport
        if transport is not None:
            with contextlib.suppress(ProcessExitedAlready):  # its end has not been reported yet.
                transport.signalProcess(number)

    def _replace_those_that_hang(self) -> None:
        for name in self.protocols:
            if self._liveness[name].look():
                self._log.error("{name} gives no sign of life: killed", name=name)
                self._liveness[name].restart()  # so that this is logged once.
                self._signal(name, signal.SIGKILL)  # nothing else ends a suspended process.

    def stopService(self) -> Deferred[None]:  # type: ignore[override]  # IService allows it; ProcessMonitor has no need.
        """Sends SIGTERM to every worker; the Deferred fires when the last has ended."""
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
        looking.start(EXIT_CHECK_INTERVAL)
        return ended

    def _ended(self, name: str, reason: Failure | None = None) -> None:
        """A worker has ended, or could not be started; `ProcessMonitor` has scheduled the next start by now."""
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
    """The name of a signal; not all of them have one."""
    return signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
