"""Builds the admin API, its feed, and its separate port."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

from msgspec import Struct
from twisted.application.service import IService

from craftnet import __version__
from craftnet.access.auth_option import AuthSetup
from craftnet.access.authorization import Authorization
from craftnet.access.revocation.enforcement import Enforcement
from craftnet.admin.feed import AdminFeed
from craftnet.admin.node_group import NodeGroup
from craftnet.admin.operations import Operations
from craftnet.admin.this_node import ConnectionTable, ThisNode
from craftnet.admin.tracing import Traces
from craftnet.admin.views import Views
from craftnet.contract.admin.operations import Configuration, OptionRow, ReloadOutcome
from craftnet.contract.admin.overview import DashboardMode
from craftnet.errors import ConfigurationError
from craftnet.feeds.hub import Hub
from craftnet.http.exchange import Endpoint
from craftnet.http.routes.admin import admin_routes
from craftnet.http.static_pages import page_routes
from craftnet.observe.health.monitor import Monitor
from craftnet.protocols.feed.server.inspection import FeedConnectionTable
from craftnet.protocols.udp.server.inspection import UdpConnectionTable
from craftnet.providers.inspection import INodeBus
from craftnet.server.build.base import Base
from craftnet.server.build.transports import Transports
from craftnet.server.options.documents import without_secret
from craftnet.server.options.option import Declaration
from craftnet.server.options.table import OPTIONS
from craftnet.server.service import Craftnet


class Administration(Struct, frozen=True):
    """The parts of the admin API.

    Attributes:
        routes, pages: its endpoints, and the page that uses them, by path.
        own_port: whether they are on a port of their own.
        services: run with the server.
        operations: the operators' actions.
    """

    routes: Mapping[str, Endpoint]
    pages: Mapping[str, Endpoint]
    own_port: bool
    services: tuple[IService, ...]
    operations: Operations


def build_administration(
    base: Base,
    access: AuthSetup,
    admission: Authorization,
    hub: Hub,
    monitor: Monitor,
    transports: Transports,
    enforcement: Enforcement,
) -> Administration | None:
    """The admin API; None when it is off.

    Raises:
        ConfigurationError: it is off, and yet has a port of its own.
    """
    settings, state = base.settings, base.state
    wanted = settings.dashboard or ("off" if access.secret is None else "on")
    if wanted == "off":
        if settings.dashboard_http is not None:
            raise ConfigurationError("--dashboard-http needs --dashboard read-only, or --dashboard on")
        return None
    mode, bus, feeds, udp = DashboardMode(wanted), _bus(base), transports.feeds, transports.udp_service
    tables: list[ConnectionTable] = [FeedConnectionTable(feeds.open)]
    if udp is not None:
        tables.append(UdpConnectionTable(udp.endpoint, udp.server, base.reactor))
    name = f"{socket.gethostname()}:{os.getpid()}" if bus is None else bus.name
    node = ThisNode(
        name,
        state.sources,
        hub,
        base.metrics,
        monitor,
        tables,
        base.reactor,
        backend=settings.backend.partition(":")[0],
        shared=state.division.links is None,
        version=__version__,
        security=base.security.recent,
    )
    group = NodeGroup(name, bus, base.reactor)
    views, followed, traces = Views(node, group), Views(node, group, follow=True), Traces(node, group)
    operations = Operations(node, group, enforcement, mode, __version__)
    feed = AdminFeed(followed, traces, operations, base.reactor)
    feeds.subscriptions.admin = feed
    configuration = Configuration(node=name, options=[_option_row(base, each) for each in OPTIONS.values()])
    routes = admin_routes(admission, views, operations, base.security, lambda: configuration)
    services = (node, group, traces, feed)
    pages = page_routes("dashboard")
    return Administration(routes, pages, settings.dashboard_http is not None, services, operations)


def connect_operations(operations: Operations, service: Craftnet) -> None:
    """Lets operators drain the service, and make it reload."""

    def reload(asker: str) -> ReloadOutcome:
        result = service.reload(f"the admin API of {asker}")
        return ReloadOutcome(
            changed=list(result.changed),
            restart_needed=list(result.unchangeable),
            failed=dict(result.failed),
            lines=[line for _, line in result.lines],
        )

    operations.drain, operations.reload = service.drain, reload


def _bus(base: Base) -> INodeBus | None:
    """The bus for messages between nodes or workers; None if this process is the only one."""
    for carrier in (base.state.backend, base.state.division):
        bus = getattr(carrier, "node_bus", None)
        if bus is not None:
            found: INodeBus = bus
            return found
    return None


def _option_row(base: Base, declaration: Declaration) -> OptionRow:
    value: object = base.settings
    for attribute in declaration.path:
        value = getattr(value, attribute)
    default, value = value == declaration.default, without_secret(value)
    text = None if value is None else ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return OptionRow(option=declaration.name, value=text, default=default)
