"""The options of the group Configuration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from craftnet.server.options.option import Option


@dataclass(frozen=True, kw_only=True)
class ConfigurationOptions:
    """Where options come from."""

    config: Annotated[
        str | None,
        Option(
            "TOML file with options, `name = value` for --name. The command line wins over the environment "
            "(CRAFTNET_NAME), and the environment over the file",
            default="no file",
            in_file=False,
        ),
    ] = None
