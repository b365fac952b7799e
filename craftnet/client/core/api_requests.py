"""HTTP requests to the service, such as the one that opens a UDP session, and their possible results."""

from __future__ import annotations

import re
from http import HTTPStatus
from uuid import UUID

from treq.client import HTTPClient
from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IReactorTime
from twisted.web.client import Agent, ResponseFailed, ResponseNeverReceived

from craftnet import __version__
from craftnet.client.core import endings
from craftnet.client.core.endings import MAX_ANSWER, Ending
from craftnet.contract.http_bodies import UdpConnectRequest, UdpConnectResponse
from craftnet.contract.messages import MALFORMED, JsonDecoder, to_json
from craftnet.protocols.udp.core.compression import COMPRESSIONS, MAX_CONTENT
from craftnet.protocols.udp.core.key_exchange import MLKEM768
from craftnet.runtime.http_client import DocumentTooLong, fetch

KEY_EXCHANGES = (MLKEM768,)
"""Exchanges of keys that UDP can use, by their names in options."""

REQUEST_TIMEOUT = 10.0
"""Seconds for a whole request."""

_VERSION = ".".join(re.findall("[0-9]+", __version__)[:3])


class Requests:
    """Sends requests to the service.

    Arguments:
        reactor: a real one, with TCP and name resolution.
    """

    def __init__(self, reactor: IReactorTime) -> None:
        self._reactor = reactor
        self._client = HTTPClient(Agent(reactor))

    async def ask(
        self, method: str, url: str, token: str, body: bytes | None = None, media_type: str = "application/json"
    ) -> bytes | Ending:
        """Sends one request.

        Arguments:
            token: the bearer token. Redirects are not followed: the token is for this server only.
            body: of the request.
            media_type: of that body.

        Returns:
            The body of a 200 or 202, else the ending. When the server answered, another transport may succeed, unless
            the answer concerns the caller's authorisation.
        """
        headers = {"Authorization": f"Bearer {token}", "User-Agent": f"craftnet/{__version__}"}
        if body is not None:
            headers["Content-Type"] = media_type
        asking = fetch(self._client, url, MAX_ANSWER, headers, method=method, body=body)
        try:
            answer = await Deferred.fromCoroutine(asking).addTimeout(REQUEST_TIMEOUT, self._reactor)
        except (ConnectError, OSError) as error:
            return endings.connection_lost(f"cannot connect: {str(error).rstrip('.')}")
        except (ResponseFailed, ResponseNeverReceived, TimeoutError, DocumentTooLong):
            return endings.connection_lost("cannot connect: the server did not answer the request")
        if answer.code in (HTTPStatus.OK, HTTPStatus.ACCEPTED):
            return answer.body
        retry_after, location = (answer.headers.getRawHeaders(name, [None])[0] for name in ("Retry-After", "Location"))
        try_another_transport = answer.code not in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
        return endings.request_refused(
            answer.code, answer.body, retry_after, location=location, try_another_transport=try_another_transport
        )


async def connect(
    requests: Requests,
    url: str,
    player_id: UUID,
    token: str,
    session_token: str | None = None,
    preferred_region: str | None = None,
    encapsulation_key: str | None = None,
    all_sessions: bool = False,
    expected: bool = False,
) -> UdpConnectResponse | Ending:
    """Requests a UDP session.

    Arguments:
        token: the bearer token.
        session_token: the token of an open connection to which the session should be added.
        preferred_region: where the UDP endpoint should be.
        all_sessions: whether the server shall add the player's other sessions by itself.
        expected: whether progress shall be the expected one, where the server has learned it.
        encapsulation_key: of a `craftnet.protocols.udp.core.key_exchange.KeyExchange`.

    Returns:
        What is needed to open or extend the connection, or why that is impossible.
    """
    wanted = UdpConnectRequest(
        player_id=player_id,
        client_version=_VERSION,
        supported_compression=[each.name for each in COMPRESSIONS.values()],
        max_packet_size=MAX_CONTENT,
        session_token=session_token,
        preferred_region=preferred_region,
        encapsulation_key=encapsulation_key,
        all_sessions=all_sessions,
        expected=expected,
    )
    answer = await requests.ask("POST", url, token, to_json(wanted))
    if isinstance(answer, Ending):
        return answer
    try:
        return JsonDecoder(UdpConnectResponse).decode(answer)
    except MALFORMED:
        return endings.connection_lost(
            "the server's answer to the UDP connect request is malformed", try_another_transport=True
        )
