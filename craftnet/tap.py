"""`twistd craftnet`: the service that its command line describes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from twisted.application.service import IService
from twisted.logger import Logger

from craftnet.clocks import steady
from craftnet.errors import ConfigurationError
from craftnet.observe.logs.lines import parse_levels
from craftnet.runtime.masking import masked_error
from craftnet.server.build import build
from craftnet.server.build.workers import check_workers
from craftnet.server.command_line import Options, WorkerConfiguration
from craftnet.server.service import Craftnet
from craftnet.server.settings import WORKER_VARIABLE, Settings, settings_of
from craftnet.server.signals import obey, obey_supervisor
from craftnet.server.workers import LIVENESS_VARIABLE, SUPERVISOR_VARIABLE, LivenessSignal, OrphanWatch

if TYPE_CHECKING:  # for annotations only; see `_service`.
    from craftnet.server.workers import Supervisor

_log = Logger()

KILL_AFTER = 30.0
"""Seconds that a worker may take to stop, beyond its drain time."""


def makeService(options: Options) -> IService:  # the name twistd looks for.
    """The service that `options` describe.

    Raises:
        SystemExit: they make no sense. (twistd shows a UsageError only while it parses options.)
    """
    from twisted.internet import reactor  # here and not above: twistd installs the one that --reactor names.

    try:
        effective = options.effective(os.environ)
        for warning in effective.warnings:
            _log.warn("{warning}", warning=f"{warning[:1].upper()}{warning[1:]}")
        parse_levels(effective["log-level"])
        return _service(options, settings_of(effective, os.environ), steady(reactor))
    except ConfigurationError as error:
        raise SystemExit(f"craftnet: {masked_error(str(error))}") from None


def _service(options: Options, settings: Settings, reactor: Any) -> Craftnet | Supervisor:
    if settings.worker is not None:
        worker = build(settings, reactor, os.environ, options.reread)
        supervisor = int(os.environ.get(SUPERVISOR_VARIABLE, os.getppid()))
        OrphanWatch(reactor, supervisor).setServiceParent(worker)
        if LIVENESS_VARIABLE in os.environ:
            LivenessSignal(reactor, os.environ[LIVENESS_VARIABLE]).setServiceParent(worker)
        obey_supervisor(reactor, worker)
        return worker
    if settings.workers == 1:
        service: Craftnet | Supervisor = build(settings, reactor, os.environ, options.reread)
    else:
        divided = check_workers(settings, reactor, os.environ)
        from craftnet.server.workers import (  # not above: Twisted's process monitor imports the reactor.
            Supervisor,
            command,
        )

        service = Supervisor(
            reactor,
            settings.workers,
            command(options.given, options.parent or {}),
            WORKER_VARIABLE,
            os.environ,
            stop_timeout=settings.drain_time + KILL_AFTER,
            timeout=settings.worker_timeout,
            divided=divided,
            configuration=WorkerConfiguration(options),
        )
    obey(reactor, service)
    return service
