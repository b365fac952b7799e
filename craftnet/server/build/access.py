"""Builds authorisation, revocation, and the key log for development."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from craftnet.access.auth_option import AuthSetup
from craftnet.access.authorization import Authorization
from craftnet.access.revocation.enforcement import Enforcement, RevocationCheckingVerifier
from craftnet.access.revocation.revocations import Revocations
from craftnet.clocks import moment
from craftnet.errors import ConfigurationError
from craftnet.feeds.relay_feed import RelayFeeds
from craftnet.observe.health.monitor import Monitor
from craftnet.protocols.udp.server.key_log import KEYLOG_VARIABLE, KeyLog
from craftnet.runtime.addresses import is_loopback
from craftnet.server.build.base import Base
from craftnet.server.build.reload import connect_access
from craftnet.server.build.transports import Addresses, Transports
from craftnet.server.health_checks import degraded_by


def build_authorization(
    base: Base, access: AuthSetup, revocations: Revocations, environ: Mapping[str, str], monitor: Monitor
) -> Authorization:
    """Authorises requests by their tokens, unless those are revoked."""
    state = base.state
    loaded = None if state.cluster is None else state.cluster.revocations.loaded
    authority = RevocationCheckingVerifier(access.authority, revocations, loaded)
    problem = connect_access(base.reloader, access, authority, base.reactor, environ)

    def measured() -> str:
        """The problem of the keys, which the metrics show as well."""
        found = problem()
        base.metrics.keys_current(not found)
        return found

    if access.keys is not None:
        monitor.add({"keys": degraded_by(measured)})
    return Authorization(
        authority, state.sources.sessions, state.sources.queues, state.division.owner, base.security, base.tracer
    )


def build_enforcement(
    base: Base, revocations: Revocations, transports: Transports, relay: RelayFeeds | None
) -> Enforcement:
    """Carries out revocations on every transport, and passes them on to edges."""
    udp_service, cluster = transports.udp_service, base.state.cluster
    enforcement = Enforcement(
        revocations,
        [transports.feeds.enforce] if udp_service is None else [transports.feeds.enforce, udp_service.enforce],
        partial(moment, base.reactor),
        None if cluster is None else cluster.revocations,
        audit=base.security,
    )
    if relay is not None:
        relay.revocations = enforcement
        enforcement.follow(relay.revoked)
    transports.feeds.gate.follow_limits(lambda limits: enforcement.set_handshake_timeout(limits.handshake_timeout))
    enforcement.set_handshake_timeout(base.settings.limits.handshake_timeout)
    return enforcement


def build_key_log(access: AuthSetup, addresses: Addresses, environ: Mapping[str, str]) -> KeyLog | None:
    """The file for the keys of UDP connections, for development on loopback only."""
    path = environ.get(KEYLOG_VARIABLE)
    if not path:
        return None
    if access.secret is None:
        raise ConfigurationError(f"{KEYLOG_VARIABLE} needs development tokens: unset it, or leave --auth out")
    if addresses.udp is None or not is_loopback(addresses.udp.host):
        raise ConfigurationError(
            f"{KEYLOG_VARIABLE} needs UDP on a loopback address: unset it, or --udp 127.0.0.1:8082"
        )
    return KeyLog(Path(path))
