"""The values of all options, and a process's place among several."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from craftnet.providers.shards import Shards
from craftnet.server.options.access import AccessOptions, AdministrationOptions
from craftnet.server.options.addresses import AddressOptions
from craftnet.server.options.limits import LimitOptions
from craftnet.server.options.observation import HealthOptions, ObservationOptions, RecordingOptions
from craftnet.server.options.resolution import Effective
from craftnet.server.options.service import ConfigurationOptions, IngestOptions, ProcessOptions, StateOptions
from craftnet.server.options.table import OPTIONS
from craftnet.server.options.transports import UdpOptions, UpdateOptions, WebSocketOptions
from craftnet.sharding.links import LINKS_VARIABLE

WORKER_VARIABLE = "CRAFTNET_WORKER"
"""The environment variable with a worker's number, from 0."""


@dataclass(frozen=True, kw_only=True)
class Settings(
    AddressOptions,
    StateOptions,
    IngestOptions,
    AccessOptions,
    LimitOptions,
    WebSocketOptions,
    UdpOptions,
    UpdateOptions,
    HealthOptions,
    ProcessOptions,
    ObservationOptions,
    RecordingOptions,
    AdministrationOptions,
    ConfigurationOptions,
):
    """The values of all options; None where one is not given. The groups declare them.

    Attributes:
        port: the TCP port that the platform assigns.
        worker: the number of this process, from 0; None when it is the only one.
        links: the folder of the sockets between processes; None where there is none.
    """

    port: str | None = None
    worker: int | None = None
    links: str | None = None

    @property
    def shards(self) -> Shards | None:
        """The players whose state this process keeps, where processes without a shared back end divide them."""
        return None if self.worker is None or self.links is None else Shards(self.worker, self.workers)


def settings_of(effective: Effective, environ: Mapping[str, str]) -> Settings:
    """The settings of a process.

    Arguments:
        effective: the values of all options.
        environ: the environment, which numbers workers and names the platform's port.
    """
    values: dict[str, Any] = {}
    members: dict[str, dict[str, Any]] = {}
    for name, declared in OPTIONS.items():
        field, *attributes = declared.path
        if attributes:
            members.setdefault(field, {})[attributes[0]] = effective[name]
        else:
            values[field] = effective[name]
    for field, attributes_of in members.items():
        values[field] = type(getattr(Settings, field))(**attributes_of)
    return Settings(
        **values,
        port=environ.get("PORT"),
        worker=int(environ[WORKER_VARIABLE]) if WORKER_VARIABLE in environ else None,
        links=environ.get(LINKS_VARIABLE),
    )
