"""The operator's options and their defaults as one value."""

from __future__ import annotations

from msgspec import Struct

from craftnet.crafting.progress import Tolerance
from craftnet.feeds.hub import REFRESH
from craftnet.http.routes.site import IDLE_TIMEOUT
from craftnet.limits.client_address import NO_NETWORKS, Networks
from craftnet.limits.connection_limits import Limits
from craftnet.observe.health.monitor import HEALTH_INTERVAL
from craftnet.protocols.feed.server.feed_connections import PING_INTERVAL
from craftnet.protocols.udp.core.negotiation import PATH_SIZE
from craftnet.protocols.udp.server.connection import Terms
from craftnet.protocols.udp.server.tickets import RENEWAL
from craftnet.protocols.websocket.server.factory import MISSED_PONGS
from craftnet.providers.shards import Shards


class Settings(Struct, frozen=True, kw_only=True):
    """The operator's options, as `craftnet.tap` reads them; None where one is not given.

    Attributes:
        worker: the number of this process, from 0; None when it is the only one.
        workers: the number of processes.
        links: the folder of the sockets between them; None where there is none.
    """

    backend: str = "memory"
    sessions: str | None = None
    queues: str | None = None
    materials: str | None = None
    http: str | None = None
    hsts: int = 0
    port: str | None = None
    udp: str | None = None
    public_udp: str | None = None
    public_url: str | None = None
    auth: str | None = None
    limits: Limits = Limits()
    prefixes: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    trusted_proxies: Networks = NO_NETWORKS
    idle_timeout: float = IDLE_TIMEOUT
    ping_interval: int = PING_INTERVAL
    missed_pongs: int = MISSED_PONGS
    drain_time: float = 5.0
    refresh: float = REFRESH
    udp_heartbeat: int = round(Terms().heartbeat * 1000)
    udp_full_sync: float = Terms().full_sync
    udp_key_rotation: float = Terms().key_rotation
    udp_token_renewal: float = RENEWAL
    udp_path_size: int = PATH_SIZE
    tolerance_percent: float = Tolerance().percent
    tolerance_ms: int = int(Tolerance().seconds * 1000)
    crafting_service: str | None = None
    real_time_combat: str | None = None
    health_interval: float = HEALTH_INTERVAL
    worker: int | None = None
    workers: int = 1
    links: str | None = None

    @property
    def shards(self) -> Shards | None:
        """The players whose state this process keeps, where processes without a shared back end divide them."""
        return None if self.worker is None or self.links is None else Shards(self.worker, self.workers)

    @property
    def backends(self) -> set[str]:
        """The options of all back ends."""
        return {self.sessions or self.backend, self.materials or self.backend, self.queues or self.backend}
