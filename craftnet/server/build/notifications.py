"""Builds what notifies players who have no connection."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from treq.client import HTTPClient
from twisted.application.service import IService
from twisted.web.client import Agent

from craftnet.notify.notifier import Notifier
from craftnet.notify.webhook import TIMEOUT, Webhook, webhook_settings
from craftnet.server.build.base import Base
from craftnet.server.build.transports import Transports


def build_notifications(base: Base, transports: Transports, environ: Mapping[str, str]) -> tuple[IService, ...]:
    """The services of --notify; none without it.

    Raises:
        ConfigurationError: the option or its secret is invalid.
    """
    if base.settings.notify is None:
        return ()
    settings = webhook_settings(base.settings.notify, environ)
    client = HTTPClient(Agent(base.reactor, connectTimeout=TIMEOUT))
    webhook = Webhook(settings, client, base.reactor, base.metrics.store)
    slots, udp, cluster = transports.feeds.gate.occupancy, transports.udp_service, base.state.cluster

    def is_connected(player_id: UUID, session_id: UUID | None) -> bool:
        if slots.of_player(player_id):
            return True
        if udp is None or session_id is None:
            return False
        return udp.endpoint.sent_state_of(session_id, player_id) is not None

    shared = None if cluster is None else cluster.connection_slots
    return webhook, Notifier(base.state.sources, is_connected, shared, webhook.add)
