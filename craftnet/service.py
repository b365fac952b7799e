"""The composition root: builds the parts, wires them, starts and stops them. No other module knows them all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct
from treq.client import HTTPClient
from twisted.application.internet import TimerService
from twisted.application.service import IService, MultiService
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import serverFromString
from twisted.web.client import Agent

from craftnet import __version__
from craftnet.access.admission import Admission
from craftnet.access.options import Access, access_from_option
from craftnet.addresses import http_endpoint, parse_public, udp_address
from craftnet.closecodes import CloseCode
from craftnet.errors import ConfigurationError
from craftnet.feeds.sources import Sources
from craftnet.http.door import DoorFactory
from craftnet.hub import Hub
from craftnet.ingest import Ingest
from craftnet.messages import Service
from craftnet.observe.metrics import Metrics
from craftnet.observe.monitor import Monitor
from craftnet.observe.probes import HttpProbe, ProviderCheck
from craftnet.protocols.websocket import FeedFactory
from craftnet.registry import Registry
from craftnet.subscriptions import Subscriptions


class Settings(Struct, frozen=True, kw_only=True):
    """The operator's options, as `craftnet.tap` reads them; None where one is not given."""

    backend: str = "memory"
    sessions: str | None = None
    queues: str | None = None
    materials: str | None = None
    http: str | None = None
    port: str | None = None
    udp: str | None = None
    public_udp: str | None = None
    auth: str | None = None
    max_connections: int = 20_000
    refresh: float = 5.0
    udp_heartbeat: int = 5000
    crafting_service: str | None = None
    real_time_combat: str | None = None
    health_interval: float = 10.0
