"""Builds what watches the service and speaks about it: health checks, the start-up text."""

from __future__ import annotations

from craftnet import __version__
from craftnet.access.auth_option import AuthSetup
from craftnet.contract.messages import Service
from craftnet.observe.health.monitor import Monitor
from craftnet.protocols.udp.server.service import UdpService
from craftnet.server.build.base import Base
from craftnet.server.health_checks import own_checks, probes
from craftnet.server.listener import Listener
from craftnet.server.startup_message import Announcer, ServedSummary, hint


def build_monitor(base: Base) -> Monitor:
    """Checks the health of this service and of those next to it."""
    settings, state = base.settings, base.state
    others = {
        Service.CRAFTING_SERVICE: settings.crafting_service,
        Service.REAL_TIME_COMBAT: settings.real_time_combat,
    }
    return Monitor(
        own_checks(state.sources, state.built, state.cluster, base.metrics),
        probes(others, base.reactor),
        base.reactor,
        version=__version__,
        interval=settings.health_interval,
    )


def build_announcer(base: Base, access: AuthSetup, listener: Listener, udp_service: UdpService | None) -> Announcer:
    """Tells the operator, once everything listens, what is served where."""

    def served() -> list[str]:
        udp = "off" if udp_service is None else udp_service.address
        return ServedSummary(listener.url, udp, base.settings.backend, access.description, access.reason).lines

    return Announcer(served, lambda: hint(base.state.backend, access, listener.url, base.reactor.wall()), base.reactor)
