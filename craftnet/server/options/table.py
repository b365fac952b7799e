"""Every option of the server, under the heading that --help and the documentation give it."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from craftnet.server.options.access import AccessOptions, AdministrationOptions
from craftnet.server.options.addresses import AddressOptions
from craftnet.server.options.limits import LimitOptions
from craftnet.server.options.observation import HealthOptions, ObservationOptions, RecordingOptions
from craftnet.server.options.option import Declaration, declarations
from craftnet.server.options.service import ConfigurationOptions, IngestOptions, ProcessOptions, StateOptions
from craftnet.server.options.transports import UdpOptions, UpdateOptions, WebSocketOptions


class OptionGroup(Struct, frozen=True):
    """Options under one heading.

    Attributes:
        fields: the dataclass that declares them.
        actions: the names of further options, which do something at once and exit.
    """

    heading: str
    fields: type[Any] | None
    actions: tuple[str, ...] = ()

    @property
    def declarations(self) -> tuple[Declaration, ...]:
        """The options that have a value."""
        return () if self.fields is None else tuple(declarations(self.fields))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all options."""
        return (*(each.name for each in self.declarations), *self.actions)


GROUPS = tuple(
    group
    for group in (
        OptionGroup("Addresses", AddressOptions),
        OptionGroup("State", StateOptions, ("help-backends",)),
        OptionGroup("Ingest", IngestOptions, ("help-ingest",)),
        OptionGroup("Access", AccessOptions),
        OptionGroup("Limits", LimitOptions),
        OptionGroup("WebSocket", WebSocketOptions),
        OptionGroup("UDP", UdpOptions),
        OptionGroup("Updates", UpdateOptions),
        OptionGroup("Health", HealthOptions),
        OptionGroup("Processes", ProcessOptions),
        OptionGroup("Observation", ObservationOptions),
        OptionGroup("Recording", RecordingOptions),
        OptionGroup("Administration", AdministrationOptions),
        OptionGroup("Configuration", ConfigurationOptions),
        OptionGroup("Information", None, ("help", "version")),
    )
    if group.names
)
"""The groups that have options."""

OPTIONS = {each.name: each for group in GROUPS for each in group.declarations}
"""Every option that has a value, by its name."""
