"""`/udp/sessions/…`: opens UDP connections, and receives players' reports about their crafts."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Protocol, TypeVar
from uuid import UUID, uuid4

import msgspec
from msgspec import Struct

from craftnet.access.admission import Admission
from craftnet.access.buckets import RateLimit
from craftnet.access.forwarding import ServerUrl
from craftnet.access.principal import Principal
from craftnet.bodies import UdpConnectRequest, UdpConnectResponse
from craftnet.claims import (
    MaterialsVerdict,
    ProgressVerdict,
    Seen,
    compare_materials,
    compare_progress,
    materials_event,
    progress_event,
)
from craftnet.clocks import Moment
from craftnet.errors import BadDatagram, BadRequest, NotFound, Unavailable
from craftnet.events import Event, Verdict, summary
from craftnet.http.exchange import JSON, OCTETS, AddressCheck, Call, GuardedEndpoint, Response, json_response
from craftnet.ingest import Ingest
from craftnet.model import Tolerance
from craftnet.observe.metrics import Metrics
from craftnet.protocols.codec import decode_materials, decode_progress
from craftnet.protocols.records import MaterialsRecord, ProgressRecord
from craftnet.sources import Sources

Record = TypeVar("Record", ProgressRecord, MaterialsRecord)


class Gateway(Protocol):
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

    def seen(self, claim: ProgressRecord, player_id: UUID, now: float) -> Seen | None:
        """What the player had received at the time of the report; None without a UDP connection."""


class Connecting(Struct, frozen=True):
    """A connect request: the session and its options."""

    session_id: UUID
    request: UdpConnectRequest


class UdpConnect(GuardedEndpoint[Connecting]):
    """`/udp/sessions/{session_id}/connect`

    Arguments:
        gateway: None when UDP is off.
        players: the rate limit of one player.
    """

    methods = ("POST",)
    accepts = frozenset({JSON})

    def __init__(
        self,
        admission: Admission,
        sources: Sources,
        gateway: Gateway | None,
        now: Callable[[], float],
        players: RateLimit[UUID],
        limit: AddressCheck | None = None,
    ) -> None:
        super().__init__(admission, limit)
        self._sources = sources
        self._players = players
        self._gateway = gateway
        self._now = now

    def read(self, call: Call) -> Connecting:
        """Parses the session's id and the body."""
        return Connecting(call.identifier("session_id"), call.decode(UdpConnectRequest))

    async def decide(self, call: Call, principal: Principal, asked: Connecting) -> Response:
        """What the client needs to open a connection."""
        session_id, request = asked.session_id, asked.request
        owner = await self._admission.player(principal, session_id, request.player_id)
        if self._gateway is None:
            raise Unavailable("UDP is switched off on this server.", retry_after=3600)
        self._sources.check_hearing()
        now = self._now()
        self._players.check(owner, now)
        return json_response(
            self._gateway.connect(session_id, owner, request, principal.expires, now, call.server, principal)
        )


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
    gateway: Gateway | None


class PostedRecords(GuardedEndpoint[Record]):
    """A record posted about a session: truth from the authority, a report from anybody else."""

    methods = ("POST",)
    accepts = frozenset({OCTETS})

    def __init__(self, admission: Admission, posting: Posting) -> None:
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
        owner = await self._admission.player(principal, asked.session_id)
        if principal.may_publish:
            return await self._apply(self._event(asked))
        verdict = await self._compare(asked, owner)
        self._posting.metrics.claim("agreed" if verdict.agreed else "deviating")
        return json_response(verdict)

    async def _apply(self, event: Event) -> Response:
        outcomes = await self._posting.ingest.submit([event])
        for outcome in outcomes:
            if outcome.verdict is Verdict.REJECTED:
                raise BadRequest(f"The record is rejected: {outcome.reason}.")
        return Response(200, msgspec.json.encode(summary(outcomes)))

    @abstractmethod
    def _decode(self, octets: bytes) -> Record:
        """Decodes the body; raises BadDatagram."""

    @abstractmethod
    def _event(self, record: Record) -> Event:
        """The record as an event."""

    @abstractmethod
    async def _compare(self, record: Record, player_id: UUID) -> ProgressVerdict | MaterialsVerdict:
        """The comparison of the record with the truth."""


class PostedProgress(PostedRecords[ProgressRecord]):
    """`/udp/sessions/{session_id}/progress`"""

    def _decode(self, octets: bytes) -> ProgressRecord:
        return decode_progress(octets)

    def _event(self, record: ProgressRecord) -> Event:
        return progress_event(record, uuid4(), self._posting.now())

    async def _compare(self, record: ProgressRecord, player_id: UUID) -> ProgressVerdict:
        truth = await self._posting.sources.sessions.get(record.session_id)
        if truth is None:
            raise NotFound("The session has not started yet.")
        now = self._posting.now()
        gateway = self._posting.gateway
        seen = None if gateway is None else gateway.seen(record, player_id, now.steady)
        return compare_progress(record, truth, now, self._posting.tolerance, seen)


class PostedMaterials(PostedRecords[MaterialsRecord]):
    """`/udp/sessions/{session_id}/materials`"""

    def _decode(self, octets: bytes) -> MaterialsRecord:
        return decode_materials(octets)

    def _event(self, record: MaterialsRecord) -> Event:
        return materials_event(record, uuid4(), self._posting.now())

    async def _compare(self, record: MaterialsRecord, player_id: UUID) -> MaterialsVerdict:
        return compare_materials(record, await self._posting.sources.materials.get(record.session_id))
