"""The operators' actions of the admin API: disconnect, revoke, drain, reload."""

from __future__ import annotations

from abc import abstractmethod
from typing import Generic, TypeVar
from uuid import UUID

from msgspec import Struct

from craftnet.access.authorization import Authorization, check_may_operate
from craftnet.access.principal import Principal
from craftnet.admin.actions import OperatorActions
from craftnet.contract.admin.operations import (
    ActionRequest,
    ActionResult,
    AdminRevocation,
)
from craftnet.errors import BadRequest, Refusal
from craftnet.http.exchange import JSON, Call, Endpoint, GuardedEndpoint, Response, json_response
from craftnet.http.operations import FAILURES, Answer, ApiOperation, Body, Tag, by_method
from craftnet.interfaces import IAuditLog
from craftnet.observe.audit.events import SecurityEvent, SecurityEventType

Reasoned = TypeVar("Reasoned", ActionRequest, AdminRevocation)


def _does(name: str, summary: str, body: type[Struct]) -> ApiOperation:
    answers = {200: Answer("It is done.", ActionResult), 404: FAILURES[404], 429: FAILURES[429]}
    example = {"reason": "maintenance", **({"jti": "5f0d1c2b3a"} if body is AdminRevocation else {})}
    return ApiOperation(name, summary, Tag.OPERATIONS, answers, bodies={JSON: Body(body, example)})


class AdminAction(GuardedEndpoint[Reasoned], Generic[Reasoned]):
    """A route of an action, which the audit log records whether it succeeds or not."""

    methods = ("POST",)
    accepts = frozenset({JSON})
    action: str

    def __init__(self, admission: Authorization, actions: OperatorActions, audit: IAuditLog) -> None:
        super().__init__(admission)
        self._actions = actions
        self._audit = audit

    @abstractmethod
    def read(self, call: Call) -> Reasoned:
        """Parses the body."""

    @abstractmethod
    async def act(self, call: Call, principal: Principal, asked: Reasoned) -> ActionResult:
        """Does it; raises Refusal."""

    def target(self, call: Call, asked: Reasoned) -> str:
        """The object of the action, for the audit log; only `player` names a player, so that the log can erase it."""
        return next(iter(call.parameters.values()), "")

    def player(self, asked: Reasoned) -> UUID | None:
        """The player whom the action concerns, for the audit log."""
        return None

    async def decide(self, call: Call, principal: Principal, asked: Reasoned) -> Response:
        """Acts, for operators."""
        status, affected = 500, 0
        try:
            check_may_operate(principal)
            self._actions.check_on()
            result = await self.act(call, principal, asked)
            status, affected = 200, result.affected
            return json_response(result)
        except Refusal as refusal:
            status = refusal.status
            raise
        finally:
            self._audit.record(
                SecurityEvent(
                    type=SecurityEventType.ADMIN,
                    player_id=self.player(asked),
                    actor=principal.actor,
                    reason=asked.reason,
                    address=call.address,
                    transport="http",
                    route=f"/admin {self.action}",
                    status=status,
                    details={"action": self.action, "target": self.target(call, asked), "affected": affected},
                )
            )


class Disconnect(AdminAction[ActionRequest]):
    """`/admin/connections/{connection}/disconnect`"""

    action = "disconnect"
    operations = by_method(POST=_does("adminDisconnect", "Closes a connection, for good", ActionRequest))

    def read(self, call: Call) -> ActionRequest:
        """Parses the reason."""
        return call.decode(ActionRequest)

    async def act(self, call: Call, principal: Principal, asked: ActionRequest) -> ActionResult:
        """Ends the connection."""
        return await self._actions.disconnect(call.parameters["connection"])


class Revoke(AdminAction[AdminRevocation]):
    """`/admin/revocations`"""

    action = "revoke"
    operations = by_method(POST=_does("adminRevoke", "Revokes a token, or a player's tokens", AdminRevocation))

    def read(self, call: Call) -> AdminRevocation:
        """Parses which tokens."""
        asked = call.decode(AdminRevocation)
        if asked.jti is None and asked.player_id is None:
            raise BadRequest("The body names neither jti nor player_id.")
        return asked

    def target(self, call: Call, asked: AdminRevocation) -> str:
        """The token."""
        return asked.jti or ""

    def player(self, asked: AdminRevocation) -> UUID | None:
        """The player."""
        return asked.player_id

    async def act(self, call: Call, principal: Principal, asked: AdminRevocation) -> ActionResult:
        """Revokes them."""
        return await self._actions.revoke(asked, principal.actor)


class Drain(Disconnect):
    """`/admin/nodes/{node}/drain`"""

    action = "drain"
    operations = by_method(POST=_does("adminDrain", "Empties a node before it is stopped", ActionRequest))

    async def act(self, call: Call, principal: Principal, asked: ActionRequest) -> ActionResult:
        """Empties the node."""
        return await self._actions.drain_node(call.parameters["node"])


class Reload(Disconnect):
    """`/admin/nodes/{node}/reload`"""

    action = "reload"
    operations = by_method(POST=_does("adminReload", "Makes a node read changed files again", ActionRequest))

    async def act(self, call: Call, principal: Principal, asked: ActionRequest) -> ActionResult:
        """Makes the node read changed files."""
        return await self._actions.reload_node(call.parameters["node"])


class ReloadAll(Disconnect):
    """`/admin/reload`"""

    action = "reload"
    operations = by_method(POST=_does("adminReloadAll", "Makes every node read changed files again", ActionRequest))

    async def act(self, call: Call, principal: Principal, asked: ActionRequest) -> ActionResult:
        """Makes all of them read changed files."""
        return await self._actions.reload_all()


def admin_actions(admission: Authorization, actions: OperatorActions, audit: IAuditLog) -> dict[str, Endpoint]:
    """The routes of the actions, by path."""
    return {
        "/admin/connections/{connection}/disconnect": Disconnect(admission, actions, audit),
        "/admin/revocations": Revoke(admission, actions, audit),
        "/admin/reload": ReloadAll(admission, actions, audit),
        "/admin/nodes/{node}/drain": Drain(admission, actions, audit),
        "/admin/nodes/{node}/reload": Reload(admission, actions, audit),
    }
