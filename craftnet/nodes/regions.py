"""The regions of a cluster's nodes, and UDP connections that a node prepares on a node of another region.

Every second, each ready node announces its region in the registry that all nodes share. A node that receives a request
for a connection in another region asks a node there to prepare it, and passes the answer on. The answer contains the
session token, so question and answer are sealed with the cluster's key, for one recipient and one question.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Any, Protocol
from uuid import UUID

import msgspec
from msgspec import Struct
from msgspec.structs import replace
from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from craftnet.access.principal import Principal
from craftnet.clocks import IClock
from craftnet.contract.http_bodies import UdpConnectRequest, UdpConnectResponse
from craftnet.errors import BadRequest, Refusal, TooManyRequests, Unavailable
from craftnet.nodes.cluster_key import ClusterKey, ForeignMessage
from craftnet.nodes.node_group import NodeGroup, Question
from craftnet.providers.inspection import INodeRegistry

ANNOUNCE_INTERVAL = 1.0
"""Seconds between announcements in the registry."""

REGISTRY_TIMEOUT = 5.0
"""Seconds without an answer of the registry after which this node forgets all others."""

SUSPENSION = 5.0
"""Seconds for which a node that did not prepare a connection is not asked again."""

MAX_ATTEMPTS = 2
"""Maximum number of nodes asked for one connection, one after the other."""

PREPARE: Question[bytes, bytes] = Question("prepare a connection", bytes, bytes)
"""Argument and answer are sealed."""


class RegionEntry(Struct, frozen=True, array_like=True):
    """A node's entry in the registry.

    Attributes:
        region: the name of its region.
        endpoint: "host:port" of its UDP.
        instance: random bytes, drawn when its process started.
    """

    region: str
    endpoint: str
    instance: bytes


class ConnectionWanted(Struct, frozen=True, array_like=True):
    """A connection that a player is allowed to have.

    Attributes:
        player_id: the owner of the session.
        bearer: whose token authorises the player; `expires` is on the steady clock of the node that has this value.
    """

    session_id: UUID
    player_id: UUID
    request: UdpConnectRequest
    bearer: Principal


class _Asked(Struct, frozen=True, array_like=True):
    """A question to another node.

    Attributes:
        lifetime: seconds until the bearer token expires; a duration, since the clocks of nodes differ.
        joins: whether only the connection that the request names will do.
    """

    wanted: ConnectionWanted
    lifetime: float
    joins: bool


class _Prepared(Struct, frozen=True, array_like=True, tag="prepared"):
    """The connection is prepared."""

    response: UdpConnectResponse


class _NotNamed(Struct, frozen=True, array_like=True, tag="not named"):
    """The node does not have the connection that the request names."""


class _Full(Struct, frozen=True, array_like=True, tag="full"):
    """A limit is exceeded; the attributes are those of `TooManyRequests`."""

    message: str
    retry_after: int
    limit: int


class _Invalid(Struct, frozen=True, array_like=True, tag="invalid"):
    """The request is invalid."""

    message: str


_Outcome = _Prepared | _NotNamed | _Full | _Invalid

_encoder = msgspec.msgpack.Encoder()
_entries = msgspec.msgpack.Decoder(RegionEntry)
_questions = msgspec.msgpack.Decoder(_Asked)
_outcomes: msgspec.msgpack.Decoder[_Outcome] = msgspec.msgpack.Decoder(_Outcome)


class LocalConnections(Protocol):
    """The UDP connections of this node."""

    def connect(
        self,
        session_id: UUID,
        player_id: UUID,
        request: UdpConnectRequest,
        expires: float,
        now: float,
        *,
        bearer: Principal | None = None,
    ) -> UdpConnectResponse:
        """Prepares a connection here, or adds a session to the one that the request names."""

    def names_connection(self, request: UdpConnectRequest, now: float) -> bool:
        """Whether the request names a connection of this node."""


class Regions(Service):
    """The regions of the other nodes, and this node's part in them.

    Arguments:
        region: the region of this node.
        endpoint: "host:port" of this node's UDP; None without UDP.
        here: prepares connections on this node; None without UDP.
        admit: raises a Refusal if this node must not admit a bearer.
        is_ready: whether other nodes may send players here.
        count: called with the outcome of each request that prefers a region.
        instance: random bytes, drawn at each start.
    """

    _log = Logger()

    def __init__(
        self,
        region: str,
        endpoint: str | None,
        group: NodeGroup,
        registry: INodeRegistry,
        key: ClusterKey,
        here: LocalConnections | None,
        clock: IClock,
        *,
        admit: Callable[[Principal], None],
        is_ready: Callable[[], bool],
        count: Callable[[str], None],
        instance: bytes,
    ) -> None:
        self._region = region
        self._group = group
        self._registry = registry
        self._key = key
        self._here = here
        self._clock = clock
        self._admit = admit
        self._is_ready = is_ready
        self._count = count
        self._instance = instance
        self._own: bytes | None = None
        if endpoint is not None and here is not None:
            entry = _encoder.encode(RegionEntry(region, endpoint, instance))
            self._own = key.seal(entry, "region", group.here)
        self._nodes: dict[str, RegionEntry] = {}
        self._foreign: frozenset[str] = frozenset()
        self._heard_at = clock.seconds()
        self._suspended: dict[str, float] = {}
        self._number = 0
        self._newest: dict[str, int] = {}  # the highest number of a question from each node.
        self._turns = LoopingCall(self._turn)
        self._turns.clock = clock
        group.handle(PREPARE, self._prepare)

    @property
    def nodes(self) -> Mapping[str, RegionEntry]:
        """The other nodes that accept players, by name."""
        return self._nodes

    def startService(self) -> None:
        """Begins to announce this node, and to read the others' entries."""
        super().startService()
        self._turns.start(ANNOUNCE_INTERVAL)

    def stopService(self) -> None:
        """Removes this node's entry, which expires by itself if the registry is unreachable."""
        super().stopService()
        self._turns.stop()
        self._registry.announce(self._group.here, None).addErrback(lambda failure: failure.trap(Unavailable) and None)

    async def connect(self, wanted: ConnectionWanted) -> UdpConnectResponse | None:
        """Prepares a connection on a node of the region that the request prefers.

        Returns:
            None if this node must prepare it: it has the connection that the request names, it is in that region, no
            node of that region is known, or none of them answers.

        Raises:
            BadRequest: the request is invalid.
            TooManyRequests: the player has too many connections on the node there.
        """
        region, now = wanted.request.preferred_region, self._clock.seconds()
        if region is None:
            return None
        if self._here is not None and (region == self._region or self._here.names_connection(wanted.request, now)):
            self._count("here")
            return None
        nodes = self._candidates(region, wanted.player_id)
        if not nodes:
            known = region == self._region or any(entry.region == region for entry in self._nodes.values())
            self._count("unavailable" if known else "unknown")
            return None
        response = await self._named(nodes, wanted) or await self._first(nodes, wanted)
        self._count("unavailable" if response is None else "other")
        return response

    def _candidates(self, region: str, player_id: UUID) -> list[str]:
        """The nodes of a region, in an order that is stable for each player (rendezvous hashing)."""
        now = self._clock.seconds()
        self._suspended = {node: until for node, until in self._suspended.items() if until > now}
        nodes = (node for node, entry in self._nodes.items() if entry.region == region and node not in self._suspended)
        return sorted(nodes, key=lambda node: blake2b(node.encode(), key=player_id.bytes, digest_size=8).digest())

    async def _named(self, nodes: list[str], wanted: ConnectionWanted) -> UdpConnectResponse | None:
        """The answer of the node that has the connection that the request names."""
        if wanted.request.session_token is None or len(nodes) == 1:  # a single node is asked in any case.
            return None
        asking = [Deferred.fromCoroutine(self._ask(node, wanted, joins=True)) for node in nodes]
        answers: list[Any] = await DeferredList(asking, consumeErrors=True)
        for succeeded, answer in answers:
            if succeeded and answer is not None:
                named: UdpConnectResponse = answer
                return named
            if not succeeded and answer.check(TooManyRequests, BadRequest):
                answer.raiseException()
        return None

    async def _first(self, nodes: list[str], wanted: ConnectionWanted) -> UdpConnectResponse | None:
        """The answer of the first node that prepares a connection."""
        for node in nodes[:MAX_ATTEMPTS]:
            if node not in self._suspended and (response := await self._ask(node, wanted, joins=False)) is not None:
                return response
        return None

    async def _ask(self, node: str, wanted: ConnectionWanted, *, joins: bool) -> UdpConnectResponse | None:
        """The answer of one node; None if it gives none.

        Raises:
            BadRequest: the node finds the request invalid.
            TooManyRequests: the player has too many connections there.
        """
        entry = self._nodes.get(node)
        if entry is None:  # removed while another node was asked.
            return None
        # Unix microseconds, so that the numbers of a restarted node are higher than its earlier ones.
        self._number = number = max(self._number + 1, int(self._clock.wall() * 1_000_000))
        lifetime = wanted.bearer.expires - self._clock.seconds()
        content = _encoder.encode(_Asked(wanted, lifetime, joins))
        own = self._group.here
        sealed = self._key.seal(content, "question", own, node, entry.instance, number)
        try:
            answer = await self._group.ask(node, PREPARE, number.to_bytes(8, "big") + sealed)
            outcome = _outcomes.decode(self._key.open(answer, "answer", node, own, number))
        except (Refusal, ForeignMessage, msgspec.DecodeError) as error:
            self._suspended[node] = self._clock.seconds() + SUSPENSION
            self._log.warn(
                "The node {node} in region {region} prepares no connection: {reason}",
                node=node,
                region=entry.region,
                reason=error.message if isinstance(error, Refusal) else "its answer is not readable",
            )
            return None
        match outcome:
            case _Full(message=message, retry_after=retry_after, limit=limit):
                raise TooManyRequests(message, retry_after=retry_after, limit=limit)
            case _Invalid(message=message):
                raise BadRequest(message)
            case _Prepared(response=response):
                return response
            case _:
                return None

    def _prepare(self, node: str, question: bytes) -> bytes:
        """Answers another node's question.

        Raises:
            BadRequest: the question was not sealed for this process with the cluster's key, or was repeated.
            Refusal: this node accepts no connections now.
        """
        number, own = int.from_bytes(question[:8], "big"), self._group.here
        try:
            content = self._key.open(question[8:], "question", node, own, self._instance, number)
            asked = _questions.decode(content)
        except (ForeignMessage, msgspec.DecodeError):
            raise BadRequest("the question is not readable: do both nodes have the same key?") from None
        if number <= self._newest.get(node, 0):
            raise BadRequest("the question arrives for the second time")
        self._newest[node] = number
        return self._key.seal(_encoder.encode(self._outcome(asked)), "answer", own, node, number)

    def _outcome(self, asked: _Asked) -> _Outcome:
        wanted, now = asked.wanted, self._clock.seconds()
        if self._here is None or not self._is_ready():
            raise Unavailable("it is not ready")
        if asked.joins and not self._here.names_connection(wanted.request, now):
            return _NotNamed()
        bearer = replace(wanted.bearer, expires=now + asked.lifetime)
        self._admit(bearer)
        try:
            return _Prepared(
                self._here.connect(
                    wanted.session_id, wanted.player_id, wanted.request, bearer.expires, now, bearer=bearer
                )
            )
        except TooManyRequests as full:
            return _Full(full.message, full.retry_after, full.limit)
        except BadRequest as invalid:
            return _Invalid(invalid.message)

    def _turn(self) -> Deferred[None]:
        turn = Deferred.fromCoroutine(self._exchange())
        # An error here is a fault of the code, which must not prevent the next turn.
        return turn.addErrback(lambda failure: self._log.failure("the nodes of other regions were not read", failure))

    async def _exchange(self) -> None:
        """Announces this node while it is ready, and reads the others' entries."""
        own = self._own if self._is_ready() else None
        try:
            entries = await self._registry.announce(self._group.here, own)
        except Unavailable:  # health checks report it.
            if self._clock.seconds() - self._heard_at > REGISTRY_TIMEOUT:
                self._nodes = {}
            return
        self._heard_at = self._clock.seconds()
        known, foreign = dict[str, RegionEntry](), set[str]()
        for node, sealed in entries.items():
            if node == self._group.here:
                continue
            try:
                known[node] = _entries.decode(self._key.open(sealed, "region", node))
            except (ForeignMessage, msgspec.DecodeError):
                foreign.add(node)
        self._report(known, frozenset(foreign))

    def _report(self, known: dict[str, RegionEntry], foreign: frozenset[str]) -> None:
        """Replaces the known nodes, and logs the differences."""
        for node, entry in known.items():
            if entry != self._nodes.get(node):
                self._log.info(
                    "The node {node} takes UDP players of region {region} at {endpoint}",
                    node=node,
                    region=entry.region,
                    endpoint=entry.endpoint,
                )
        for node in self._nodes.keys() - known.keys():
            self._log.info("The node {node} takes no UDP players any more", node=node)
        for node in foreign - self._foreign:
            self._log.warn("The node {node} has another cluster key than this one: its region is ignored", node=node)
        self._nodes, self._foreign = known, foreign
