"""Checks that a service can run as several processes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Factory

from craftnet.access.auth_option import access_from_option
from craftnet.errors import ConfigurationError
from craftnet.observe.metrics.process_files import check_folder
from craftnet.protocols.udp.server.datagram_port import check_free
from craftnet.providers.registry import Registry
from craftnet.runtime.addresses import check_shareable, http_endpoint, udp_address
from craftnet.server.build.ingest import check_takes_events
from craftnet.server.listener import Listener, ProbingReactor
from craftnet.server.settings import Settings
from craftnet.sharding.links import check_path
from craftnet.streams.registry import build_stream


def check_workers(settings: Settings, reactor: Any, environ: Mapping[str, str]) -> bool:
    """Checks that the service that `settings` describe can run as several processes.

    Returns:
        Whether each process keeps the state of some of the players, which is lost when that process ends.

    Raises:
        ConfigurationError: it cannot; the text gives the reason.
    """
    access = access_from_option(settings.auth, environ, reactor)
    if access.loopback_only:
        raise ConfigurationError(
            "--workers needs --auth or CRAFTNET_JWT_SECRET: every worker must accept the same tokens"
        )
    http = http_endpoint(settings.http, settings.port, loopback_only=False, reason="")
    check_shareable(http)
    if settings.metrics is not None:
        check_shareable(settings.metrics)
    registry = Registry(reactor)
    alone = [text for text in settings.backends if not registry.is_shared(text)]
    if alone and not (len(settings.backends) == 1 and registry.is_divisible(alone[0])):
        raise ConfigurationError(
            f"--workers needs a back end that several processes share, or one alone among which they can divide the"
            f" players; {alone[0]} keeps its state to itself"
        )
    if settings.ingest is not None:  # each worker would find the mistake, again and again.
        check_takes_events(map(registry.backend, settings.backends))
        build_stream(settings.ingest, reactor)
    udp = udp_address(settings.udp, loopback_only=False, reason="")
    try:
        for endpoint in filter(None, (http, settings.metrics)):
            Listener(ProbingReactor(reactor), endpoint, Factory()).privilegedStartService()
        for port in () if udp is None else [udp + number for number in range(settings.workers)]:
            check_free(port, reactor)
    except CannotListenError as error:
        raise ConfigurationError(str(error)) from None
    folder = check_folder()
    if alone:
        check_path(folder)
    return bool(alone)
