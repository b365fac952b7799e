"""The operators' actions, each carried out on the node that it concerns, and the rights of a token."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from craftnet.access.principal import Principal
from craftnet.access.revocation.enforcement import Enforcement
from craftnet.access.revocation.revocations import DEFAULT_REVOCATION_SECONDS, Revocation
from craftnet.admin.this_node import ThisNode
from craftnet.contract.admin.operations import ActionResult, AdminRevocation, ReloadOutcome
from craftnet.contract.admin.overview import AdminInfo, DashboardMode, Promises
from craftnet.contract.messages import rfc3339
from craftnet.errors import Forbidden, NotFound
from craftnet.nodes.node_group import NodeGroup, Question

PROMISES = Promises(
    websocket_delivery_ms=5.0, udp_delivery_ms=1.0, session_memory_bytes=10_240, session_bytes_per_second=51_200
)

NOT_RELOADED = ReloadOutcome(changed=[], restart_needed=[], failed={}, lines=[])
"""The outcome before there is anything to reload."""

DISCONNECT: Question[str, int] = Question("disconnect", str, int)
DRAIN: Question[None, int] = Question("drain", None, int)
RELOAD: Question[None, ReloadOutcome] = Question("reload and report", None, ReloadOutcome)
OLD_RELOAD: Question[None, int] = Question("reload", None, int)
"""As nodes of the version before ask it."""


class OperatorActions:
    """The operators' actions on all nodes.

    Arguments:
        node: this node.
        group: all nodes.
        enforcement: carries out revocations.
        mode: whether actions are allowed.
        version: the version of this node.

    Attributes:
        drain: starts to drain this node; returns the number of its connections.
        reload: reads changed files again; called with the name of the node that was asked for it.
    """

    def __init__(
        self, node: ThisNode, group: NodeGroup, enforcement: Enforcement, mode: DashboardMode, version: str
    ) -> None:
        self._node = node
        self._group = group
        self._enforcement = enforcement
        self._mode = mode
        self._version = version
        self.drain: Callable[[], int] = lambda: 0
        self.reload: Callable[[str], ReloadOutcome] = lambda _: NOT_RELOADED
        group.handle(DISCONNECT, lambda _, connection: node.disconnect(connection))
        group.handle(DRAIN, lambda _, __: self.drain())
        group.handle(RELOAD, lambda asker, _: self.reload(asker))
        group.handle(OLD_RELOAD, lambda asker, _: self.reload(asker) and 0)

    def info(self, principal: Principal) -> AdminInfo:
        """The rights of the owner of a token."""
        may_operate = self._mode is DashboardMode.ON and principal.may_operate
        return AdminInfo(
            node=self._group.here, version=self._version, mode=self._mode, may_operate=may_operate, promises=PROMISES
        )

    def check_on(self) -> None:
        """Raises:
        Forbidden: the dashboard of this server is read-only.
        """
        if self._mode is not DashboardMode.ON:
            raise Forbidden(
                "The dashboard of this server is read-only: start it with --dashboard on to act.",
                details={"dashboard": self._mode.value},
            )

    async def disconnect(self, connection: str) -> ActionResult:
        """Ends a connection; the client does not reconnect by itself.

        Raises:
            NotFound: the connection does not exist.
            Unavailable: its node does not answer.
        """
        node, _, rest = connection.rpartition(".")
        node, _, kind = node.rpartition(".")
        if not node or not await self._group.ask(node, DISCONNECT, f"{kind}.{rest}"):
            raise NotFound("There is no such connection: it may have been closed meanwhile.")
        return self._result("disconnect", node, 1)

    async def revoke(self, asked: AdminRevocation, actor: str) -> ActionResult:
        """Revokes a token, or a player's tokens, on all nodes; raises the errors of `Enforcement.revoke`.

        Arguments:
            actor: the operator, in the form of the audit log.
        """
        now = self._node.clock.wall()
        until = now + DEFAULT_REVOCATION_SECONDS if asked.expires is None else asked.expires.timestamp()
        closed = await self._enforcement.revoke(
            Revocation(asked.jti, asked.player_id, now, until), actor=actor, reason=asked.reason
        )
        return self._result("revoke", self._group.here, closed)

    async def drain_node(self, node: str) -> ActionResult:
        """Empties a node; raises NotFound and Unavailable."""
        return self._result("drain", node, await self._group.ask(node, DRAIN, None))

    async def reload_node(self, node: str) -> ActionResult:
        """Makes a node read changed files again; raises NotFound and Unavailable."""
        return replace(self._result("reload", node, 0), reload={node: await self._group.ask(node, RELOAD, None)})

    async def reload_all(self) -> ActionResult:
        """Makes every node read changed files again, this one included."""
        asked = self._group.others
        outcomes = await self._group.ask_all(RELOAD, None)
        unanswered = [name for name in asked if name not in outcomes]
        return replace(self._result("reload", self._group.here, 0), reload=outcomes, unanswered=unanswered)

    def _result(self, action: str, node: str, affected: int) -> ActionResult:
        return ActionResult(action=action, node=node, affected=affected, timestamp=rfc3339(self._node.clock.wall()))
