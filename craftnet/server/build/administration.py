"""Builds the admin API, its feed, and its separate port."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct
from twisted.application.service import IService

from craftnet import __version__
from craftnet.access.auth_option import AuthSetup
from craftnet.access.authorization import Authorization
from craftnet.access.revocation.enforcement import Enforcement
from craftnet.admin.actions import OperatorActions
from craftnet.admin.feed import AdminFeed
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
from craftnet.nodes.node_group import NodeGroup
from craftnet.observe.health.monitor import Monitor
from craftnet.protocols.feed.server.inspection import FeedConnectionTable
from craftnet.protocols.udp.server.inspection import UdpConnectionTable
from craftnet.server.build.base import Base
from craftnet.server.build.transports import Transports
from craftnet.server.options.documents import without_secret
from craftnet.server.options.option import Declaration
from craftnet.server.options.table import OPTIONS
from craftnet.server.service import Craftnet
from craftnet.server.settings import Settings


class Administration(Struct, frozen=True):
    """The parts of the admin API.

    Attributes:
        routes, pages: its endpoints, and the page that uses them, by path.
        own_port: whether they are on a port of their own.
        services: run with the server.
        actions: the operators' actions.
    """

    routes: Mapping[str, Endpoint]
    pages: Mapping[str, Endpoint]
    own_port: bool
    services: tuple[IService, ...]
    actions: OperatorActions


def administration_mode(settings: Settings, access: AuthSetup) -> DashboardMode | None:
    """What administrators may do; None: there is no admin API.

    Raises:
        ConfigurationError: it is off, and yet has a port of its own.
    """
    wanted = settings.dashboard or ("off" if access.secret is None else "on")
    if wanted != "off":
        return DashboardMode(wanted)
    if settings.dashboard_http is not None:
        raise ConfigurationError("--dashboard-http needs --dashboard read-only, or --dashboard on")
    return None


def build_administration(
    base: Base,
    access: AuthSetup,
    admission: Authorization,
    group: NodeGroup,
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
    mode = administration_mode(settings, access)
    if mode is None:
        return None
    feeds, udp = transports.feeds, transports.udp_service
    tables: list[ConnectionTable] = [FeedConnectionTable(feeds.open)]
    if udp is not None:
        tables.append(UdpConnectionTable(udp.endpoint, udp.server, base.reactor))
    node = ThisNode(
        group.here,
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
    views, followed, traces = Views(node, group), Views(node, group, follow=True), Traces(node, group)
    actions = OperatorActions(node, group, enforcement, mode, __version__)
    feed = AdminFeed(followed, traces, actions, base.reactor)
    feeds.subscriptions.admin = feed

    def configuration() -> Configuration:
        return Configuration(node=group.here, options=[_option_row(base, each) for each in OPTIONS.values()])

    routes = admin_routes(admission, views, actions, base.security, configuration)
    services = (node, traces, feed)
    pages = page_routes("dashboard")
    return Administration(routes, pages, settings.dashboard_http is not None, services, actions)


def connect_actions(actions: OperatorActions, service: Craftnet) -> None:
    """Lets operators drain the service, and make it reload."""

    def reload(asker: str) -> ReloadOutcome:
        result = service.reload(f"the admin API of {asker}")
        return ReloadOutcome(
            changed=list(result.changed),
            restart_needed=list(result.unchangeable),
            failed=dict(result.failed),
            lines=[line for _, line in result.lines],
        )

    actions.drain, actions.reload = service.drain, reload


def _option_row(base: Base, declaration: Declaration) -> OptionRow:
    value = base.reloader.current(declaration.name)
    default, value = value == declaration.default, without_secret(value)
    text = None if value is None else ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return OptionRow(option=declaration.name, value=text, default=default)
