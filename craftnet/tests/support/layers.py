"""The layers of the package: what each may import, and which have no I/O. `test_architecture` checks it."""

from __future__ import annotations

LAYERS: dict[str, set[str]] = {
    # package, or module of the root: the packages it may import. `ANYWHERE` may be imported by all of them.
    "craftnet": set(),  # the version.
    "craftnet.errors": set(),
    "craftnet.clocks": set(),
    "craftnet.interfaces": set(),
    "craftnet.runtime": set(),
    "craftnet.contract": set(),
    "craftnet.contract.admin": {"contract"},
    "craftnet.crafting": {"contract"},
    "craftnet.forecast": {"contract", "crafting", "observe.metrics", "providers"},
    "craftnet.access": {"contract", "observe.audit"},
    "craftnet.access.revocation": {"access", "contract", "observe.audit"},
    "craftnet.limits": set(),
    "craftnet.observe.audit": {"contract", "limits", "observe.metrics"},
    "craftnet.observe.metrics": set(),
    "craftnet.observe.tracing": {"contract", "crafting", "observe.metrics"},
    "craftnet.observe.health": {"contract", "crafting", "observe.metrics"},
    "craftnet.providers": {"contract", "crafting"},
    "craftnet.providers.memory": {"contract", "crafting", "providers"},
    "craftnet.providers.redis": {"contract", "crafting", "devices", "providers", "access.revocation"},
    "craftnet.providers.workshop.simulation": {"contract", "providers"},
    "craftnet.providers.workshop": {
        *("contract", "crafting", "providers", "providers.memory", "providers.workshop.simulation"),
    },
    "craftnet.providers.upstream": {
        *("contract", "crafting", "access", "access.revocation", "devices", "relay", "providers"),
        *("client.core", "client.transports", "protocols.websocket.core"),
    },
    "craftnet.relay": {"contract", "crafting", "access.revocation"},
    "craftnet.recording": {"contract", "observe.audit", "observe.metrics", "providers"},
    "craftnet.streams.core": {"contract"},
    "craftnet.streams": {"contract", "observe.metrics", "streams.core"},
    "craftnet.streams.kafka": {"streams", "streams.core"},
    "craftnet.devices": {"contract", "crafting", "observe.metrics"},
    "craftnet.feeds": {
        *("contract", "contract.admin", "crafting", "access", "access.revocation", "relay"),
        *("devices", "providers", "observe.metrics", "observe.health"),
    },
    "craftnet.sharding": {"contract", "providers", "access.revocation"},
    "craftnet.protocols.wire": {"contract", "crafting"},
    "craftnet.protocols.wire.compiler": set(),
    "craftnet.protocols.wire.codec": {"contract", "crafting", "protocols.wire", "protocols.wire.compiler"},
    "craftnet.protocols.wire.generate": {
        *("craftnet", "contract", "protocols.wire", "protocols.wire.compiler", "protocols.wire.codec"),
    },
    "craftnet.protocols.udp.core": {"contract", "crafting", "protocols.wire", "protocols.wire.codec"},
    "craftnet.protocols.udp.client": {
        "contract",
        "crafting",
        "protocols.wire",
        "protocols.wire.codec",
        "protocols.udp.core",
    },
    "craftnet.protocols.udp.server": {
        *("contract", "contract.admin", "crafting", "access", "limits", "observe.audit", "observe.metrics"),
        *("protocols.wire", "protocols.wire.codec", "protocols.udp.core"),
    },
    "craftnet.protocols.udp.vectors": {
        *("contract", "crafting", "protocols.wire", "protocols.wire.codec"),
        *("protocols.udp.core", "protocols.udp.client"),
    },
    "craftnet.http": {"contract", "access", "limits", "observe.audit", "observe.metrics"},
    "craftnet.http.description": {"contract", "http"},
    "craftnet.http.connection": {"contract", "limits", "observe.metrics", "providers", "sharding", "http"},
    "craftnet.protocols.websocket.core": {"contract", "crafting", "http", "protocols.wire", "protocols.wire.codec"},
    "craftnet.protocols.feed.core": {"crafting"},
    "craftnet.protocols.feed.server": {
        *("contract", "contract.admin", "crafting", "access", "limits", "observe.audit", "observe.metrics"),
        *("feeds", "protocols.feed.core"),
    },
    "craftnet.protocols.sse.core": {"contract", "crafting"},
    "craftnet.protocols.sse.server": {
        *("contract", "access", "limits", "feeds", "http", "http.connection"),
        *("protocols.feed.core", "protocols.feed.server", "protocols.sse.core"),
    },
    "craftnet.protocols.websocket.server": {
        *("observe.audit", "observe.metrics", "contract", "access", "limits", "feeds", "http", "http.connection"),
        *("protocols.feed.core", "protocols.feed.server", "protocols.websocket.core"),
    },
    "craftnet.nodes": {"contract", "access", "providers"},
    "craftnet.admin": {
        *("contract", "contract.admin", "crafting", "access", "access.revocation", "limits", "nodes"),
        *("observe.audit", "observe.health", "observe.metrics", "providers", "feeds"),
    },
    "craftnet.http.routes": {
        "craftnet",
        *("admin", "contract.admin", "nodes", "observe.audit"),
        *("contract", "crafting", "access", "access.revocation", "limits", "observe.metrics", "observe.health"),
        *("providers", "feeds", "http", "http.connection", "http.description"),
        *("protocols.wire", "protocols.wire.codec", "protocols.udp.server"),
        *("protocols.sse.core", "protocols.websocket.core"),
    },
    "craftnet.notify": {"craftnet", "contract", "providers", "observe.metrics"},
    "craftnet.client.core": {"craftnet", "contract", "crafting", "protocols.wire", "protocols.udp.core"},
    "craftnet.client.transports": {
        *("craftnet", "contract", "crafting", "client.core"),
        *("protocols.udp.core", "protocols.udp.client", "protocols.websocket.core"),
    },
    "craftnet.client.output": {"contract", "crafting", "client.core"},
    "craftnet.client.load": {
        *("craftnet", "contract", "client.core", "client.transports", "protocols.wire.codec"),
        *("protocols.udp.core", "protocols.udp.client", "protocols.websocket.core"),
    },
    "craftnet.client.admin": {"contract", "contract.admin", "client.core", "client.transports"},
    "craftnet.client": {
        "client.admin",
        *("craftnet", "access", "client.core", "client.transports", "client.output", "client.load", "observe.audit"),
        "contract",
    },
    "craftnet.server.options": {
        *("crafting", "limits", "observe.health", "feeds", "http.routes"),
        *("protocols.feed.server", "protocols.udp.core", "protocols.udp.server", "protocols.websocket.server"),
        "protocols.websocket.core",
    },
    "craftnet.server": {
        "craftnet",
        "observe.logs",
        "streams",
        *("observe.audit", "contract", "access", "http.connection", "observe.metrics", "observe.health"),
        *("protocols.feed.server", "protocols.udp.server", "providers", "sharding", "server.options"),
    },
    "craftnet.server.build": {
        *("devices", "forecast", "notify", "nodes", "recording", "streams", "craftnet"),
        *("contract", "crafting", "access", "access.revocation", "limits", "observe.metrics", "observe.health"),
        *("admin", "contract.admin", "observe.audit", "observe.logs", "observe.tracing", "server.options"),
        *("providers", "sharding", "feeds", "http", "http.connection", "http.routes", "server"),
        *("protocols.feed.server", "protocols.sse.server"),
        *("protocols.udp.core", "protocols.udp.server", "protocols.websocket.core", "protocols.websocket.server"),
    },
    "craftnet.observe.logs": set(),
    "craftnet.operator": {
        *("access", "access.revocation", "client", "client.core", "contract", "providers"),
        *("server", "server.build", "server.options"),
    },
    "craftnet.operator.analysis": {"craftnet", "observe.audit", "recording"},
    "craftnet.operator.dictionary": {
        *("client", "client.core", "client.transports", "contract.admin", "protocols.websocket.core"),
    },
    "craftnet.tap": {"server", "server.build", "observe.logs"},
}

ANYWHERE = {"craftnet.errors", "craftnet.clocks", "craftnet.interfaces", "craftnet.runtime"}
"""Every package may import these; they know only each other."""

NETWORK = ("twisted", "autobahn", "treq")

DEFERREDS = {"twisted.internet.defer", "twisted.internet.interfaces", "twisted.python.failure"}
"""Modules about results that come later, and about clocks, without a network."""

CLOCK_INTERFACES = {"twisted.internet.interfaces"}
"""The imports of `craftnet.clocks`: interfaces, without a reactor."""

PURE: dict[str, set[str]] = {
    # packages without I/O: the parts of `NETWORK` that they and their imports may import.
    "craftnet.contract": CLOCK_INTERFACES,
    "craftnet.contract.admin": CLOCK_INTERFACES,
    "craftnet.crafting": CLOCK_INTERFACES,
    "craftnet.limits": {*DEFERREDS, "twisted.logger"},
    "craftnet.protocols.wire": CLOCK_INTERFACES,
    "craftnet.protocols.wire.compiler": set(),
    "craftnet.protocols.wire.codec": CLOCK_INTERFACES,
    "craftnet.protocols.udp.core": CLOCK_INTERFACES,
    "craftnet.protocols.udp.client": CLOCK_INTERFACES,
    "craftnet.protocols.udp.vectors": CLOCK_INTERFACES,
    "craftnet.protocols.feed.core": CLOCK_INTERFACES,
    "craftnet.protocols.sse.core": CLOCK_INTERFACES,
    "craftnet.protocols.websocket.core": CLOCK_INTERFACES,
    "craftnet.streams.core": CLOCK_INTERFACES,
    "craftnet.providers.workshop.simulation": CLOCK_INTERFACES,
}
