"""`/udp/sessions/…`: opens UDP connections, and receives players' reports about their crafts."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Protocol, TypeVar
from uuid import UUID, uuid4

from msgspec import Struct
from msgspec.structs import replace

from craftnet.access.authorization import Authorization
from craftnet.access.principal import Principal
from craftnet.clocks import Moment
from craftnet.contract.events import Event, EventsResponse, EventVerdict, summary
from craftnet.contract.http_bodies import UdpConnectRequest, UdpConnectResponse
from craftnet.crafting.progress import Tolerance
from craftnet.errors import BadDatagram, BadRequest, NotFound, Unavailable
from craftnet.feeds.ingest import Ingest
from craftnet.http.exchange import JSON, OCTETS, AddressCheck, Call, GuardedEndpoint, Response, json_response
from craftnet.http.operations import (
    PLAYER_EXAMPLE,
    Answer,
    ApiOperation,
    Binary,
    Body,
    Channel,
    Message,
    OneOf,
    Tag,
    by_method,
)
from craftnet.limits.client_address import ServerUrl
from craftnet.limits.token_bucket import RateLimit
from craftnet.nodes.regions import ConnectionWanted
from craftnet.observe.metrics.registry import Metrics
from craftnet.protocols.udp.server.player_reports import (
    MaterialsComparison,
    ProgressComparison,
    SeenState,
    compare_materials,
    compare_progress,
    materials_event,
    progress_event,
)
from craftnet.protocols.wire.codec import decode_materials, decode_progress
from craftnet.protocols.wire.records import MaterialsRecord, ProgressRecord, UdpMaterialUpdate, UdpProgressUpdate
from craftnet.providers.sources import Sources

Record = TypeVar("Record", ProgressRecord, MaterialsRecord)


class UdpSessions(Protocol):
    """The part of the UDP server that this module needs."""

    def connect(
        self,
        session_id: UUID,
        player_id: UUID,
        request: UdpConnectRequest,
        expires: float,
        now: float,
        server: ServerUrl,
        bearer: Principal,
    ) -> UdpConnectResponse:
        """Prepares a connection.

        Arguments:
            expires, now: on the steady clock.
            server: the URL by which the client reaches this server.
            bearer: whose token authorises the player.
        """

    def seen(self, report: ProgressRecord, player_id: UUID, now: float) -> SeenState | None:
        """What the player had received at the time of the report; None without a UDP connection."""


class OtherRegions(Protocol):
    """The nodes of other regions."""

    async def connect(self, wanted: ConnectionWanted) -> UdpConnectResponse | None:
        """Prepares a connection at a node of the region that the request prefers; None: this node must do it."""


class ConnectTarget(Struct, frozen=True):
    """A connect request: the session and its options."""

    session_id: UUID
    request: UdpConnectRequest


class UdpConnect(GuardedEndpoint[ConnectTarget]):
    """`/udp/sessions/{session_id}/connect`

    Arguments:
        gateway: None when UDP is off.
        players: the rate limit of one player.
        regions: None where this node knows no other regions.
    """

    operations = by_method(
        POST=ApiOperation(
            "udpCraftingSessionConnect",
            "Opens a UDP connection",
            Tag.UDP,
            {200: Answer("What the client needs to connect.", UdpConnectResponse)},
            "PROTOCOL.md specifies what follows over UDP. With the `session_token` of a UDP connection that the client"
            " has, the session joins that one if it can. With `preferred_region`, `server_endpoint` is that of a node"
            " there, if one is known.",
            bodies={JSON: Body(UdpConnectRequest, {"player_id": PLAYER_EXAMPLE, "client_version": "1.2.3"})},
            channel=Channel(
                "udpConnection",
                "udp",
                "The encrypted datagrams of a connection, whose bytes PROTOCOL.md specifies.",
                sends=(Message(Binary, "States of sessions and their materials.", OCTETS, "StateDatagram"),),
                receives=(Message(Binary, "Acknowledgements and heartbeats.", OCTETS, "ClientDatagram"),),
                address="",
            ),
        )
    )
    methods = ("POST",)
    cross_origin = True
    accepts = frozenset({JSON})

    def __init__(
        self,
        admission: Authorization,
        sources: Sources,
        gateway: UdpSessions | None,
        now: Callable[[], float],
        players: RateLimit[UUID],
        limit: AddressCheck | None = None,
        regions: OtherRegions | None = None,
    ) -> None:
        super().__init__(admission, limit)
        self._regions = regions
        self._sources = sources
        self._players = players
        self._gateway = gateway
        self._now = now

    def read(self, call: Call) -> ConnectTarget:
        """Parses the session's id and the body."""
        return ConnectTarget(call.identifier("session_id"), call.decode(UdpConnectRequest))

    async def decide(self, call: Call, principal: Principal, asked: ConnectTarget) -> Response:
        """What the client needs to open a connection."""
        request = asked.request
        session_id, owner = await self._admission.player(principal, asked.session_id, request.player_id)
        if self._gateway is None and self._regions is None:
            raise _switched_off()
        self._players.check(owner, self._now())
        if self._regions is not None and request.preferred_region is not None:
            response = await self._regions.connect(ConnectionWanted(session_id, owner, request, principal))
            if response is not None:
                return json_response(response)
        if self._gateway is None:
            raise _switched_off()
        self._sources.check_hearing()
        if principal.player_id == owner:
            principal = replace(principal, player_id=owner)  # the same object, as long as the connection is open.
        expires, now = principal.expires, self._now()
        return json_response(self._gateway.connect(session_id, owner, request, expires, now, call.server, principal))


def _switched_off() -> Unavailable:
    return Unavailable("UDP is switched off on this server.", retry_after=3600)


class Posting(Struct, frozen=True):
    """What both kinds of posted records are applied to or compared with.

    Attributes:
        tolerance: how far a report of progress may deviate and still agree.
        gateway: None when UDP is off.
    """

    sources: Sources
    ingest: Ingest
    metrics: Metrics
    now: Callable[[], Moment]
    tolerance: Tolerance
    gateway: UdpSessions | None


def _report(name: str, summary: str, channel: str, kind: type[Struct], answer: type[Struct]) -> ApiOperation:
    """The operation of a route that takes a record."""
    return ApiOperation(
        name,
        summary,
        Tag.UDP,
        {
            200: Answer(
                "The record was applied (the authority's), or compared (a player's).", OneOf((answer, EventsResponse))
            )
        },
        f"The body is a {kind.__name__} in the bytes of PROTOCOL.md. From a token with `crafting:publish` it is truth;"
        " from a player it is compared with the truth, and changes nothing.",
        bodies={OCTETS: Body(Binary)},
        channel=Channel(
            channel,
            "http",
            f"{kind.__name__}: the content of the records that clients post, whose bytes PROTOCOL.md specifies.",
            receives=(Message(kind, summary, OCTETS),),
        ),
    )


class ReportEndpoint(GuardedEndpoint[Record]):
    """A record posted about a session: an event if the authority posts it, otherwise a player's report."""

    methods = ("POST",)
    cross_origin = True
    accepts = frozenset({OCTETS})

    def __init__(self, admission: Authorization, posting: Posting) -> None:
        super().__init__(admission)
        self._posting = posting

    def read(self, call: Call) -> Record:
        """Parses the record."""
        session_id = call.identifier("session_id")
        try:
            record = self._decode(call.body)
        except BadDatagram as error:
            raise BadRequest(f"The body is not a valid record: {error}.") from None
        if record.session_id != session_id:
            raise BadRequest("The record is about another session than the path.")
        return record

    async def decide(self, call: Call, principal: Principal, asked: Record) -> Response:
        """Applies the record or compares it."""
        _, owner = await self._admission.player(principal, asked.session_id)
        if principal.may_publish:
            return await self._apply(self._event(asked))
        verdict = await self._compare(asked, owner)
        self._posting.metrics.player_report("agreed" if verdict.agreed else "deviating")
        return json_response(verdict)

    async def _apply(self, event: Event) -> Response:
        outcomes = await self._posting.ingest.submit([event])
        for outcome in outcomes:
            if outcome.verdict is EventVerdict.REJECTED:
                raise BadRequest(f"The record is rejected: {outcome.reason}.")
        return json_response(summary(outcomes))

    @abstractmethod
    def _decode(self, octets: bytes) -> Record:
        """Decodes the body; raises BadDatagram."""

    @abstractmethod
    def _event(self, record: Record) -> Event:
        """The record as an event."""

    @abstractmethod
    async def _compare(self, record: Record, player_id: UUID) -> ProgressComparison | MaterialsComparison:
        """The comparison of the record with the truth."""


class ProgressReports(ReportEndpoint[ProgressRecord]):
    """`/udp/sessions/{session_id}/progress`"""

    operations = by_method(
        POST=_report(
            "udpCraftingProgressSync",
            "Posts a report of progress",
            "progressReports",
            UdpProgressUpdate,
            ProgressComparison,
        )
    )

    def _decode(self, octets: bytes) -> ProgressRecord:
        return decode_progress(octets)

    def _event(self, record: ProgressRecord) -> Event:
        return progress_event(record, uuid4(), self._posting.now())

    async def _compare(self, record: ProgressRecord, player_id: UUID) -> ProgressComparison:
        truth = await self._posting.sources.sessions.get(record.session_id)
        if truth is None:
            raise NotFound("The session has not started yet.")
        now = self._posting.now()
        gateway = self._posting.gateway
        seen = None if gateway is None else gateway.seen(record, player_id, now.steady)
        return compare_progress(record, truth, now, self._posting.tolerance, seen)


class MaterialsReports(ReportEndpoint[MaterialsRecord]):
    """`/udp/sessions/{session_id}/materials`"""

    operations = by_method(
        POST=_report(
            "udpMaterialAvailabilitySync",
            "Posts a report of materials",
            "materialReports",
            UdpMaterialUpdate,
            MaterialsComparison,
        )
    )

    def _decode(self, octets: bytes) -> MaterialsRecord:
        return decode_materials(octets)

    def _event(self, record: MaterialsRecord) -> Event:
        return materials_event(record, uuid4(), self._posting.now())

    async def _compare(self, record: MaterialsRecord, player_id: UUID) -> MaterialsComparison:
        return compare_materials(record, await self._posting.sources.materials.get(record.session_id))
