"""Builds the tracing of events and requests."""

from __future__ import annotations

import os
import random
import socket
from functools import partial
from typing import Any, cast

from msgspec import Struct
from twisted.application.service import IService
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from craftnet import __version__
from craftnet.errors import ConfigurationError
from craftnet.observe.metrics.registry import Metrics
from craftnet.server.settings import Settings


class Tracing(Struct, frozen=True):
    """The tracer and its exporter.

    Attributes:
        tracer: a `craftnet.observe.tracing.tracer.Tracer`; its module needs OpenTelemetry.
        export: the service that exports.
    """

    tracer: Any
    export: IService


def build_tracing(settings: Settings, reactor: Any, metrics: Metrics) -> Tracing:
    """Builds tracing to the collector of --otlp.

    Raises:
        ConfigurationError: OpenTelemetry is not installed, or --otlp is no URL.
    """
    try:
        from craftnet.observe.tracing.export import (  # not above: OpenTelemetry is an extra, and takes long to import.
            SpanExport,
            SpanQueue,
            otlp_exporter,
        )
        from craftnet.observe.tracing.sampling import Sampler
        from craftnet.observe.tracing.tracer import Tracer
    except ImportError as error:
        raise ConfigurationError(f"--otlp needs OpenTelemetry: pip install 'craftnet[otel]' ({error})") from None
    queue, threads = SpanQueue(metrics.store), ThreadPool(0, 1, "traces")
    attributes: dict[str, str | int] = {
        "service.version": __version__,
        "service.instance.id": f"{socket.gethostname()}:{os.getpid()}",
    }
    tracer = Tracer(reactor, Sampler(settings.trace_sample, random.random), queue, attributes)
    in_thread = partial(deferToThreadPool, reactor, threads)
    export = SpanExport(queue, otlp_exporter(settings.otlp or ""), reactor, in_thread, threads)
    return Tracing(tracer, cast("IService", export))
