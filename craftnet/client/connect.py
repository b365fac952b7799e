"""Opening a UDP session over HTTP: the request, and what may come of it."""

from __future__ import annotations

import re
from http import HTTPStatus
from uuid import UUID

from treq.client import HTTPClient
from twisted.internet.defer import CancelledError, TimeoutError
from twisted.internet.error import ConnectError
from twisted.web.client import ResponseFailed, ResponseNeverReceived
from twisted.web.http_headers import Headers

from craftnet import __version__
from craftnet.client import endings
from craftnet.client.endings import Ending
from craftnet.fetch import request_url
from craftnet.messages import MALFORMED, JsonDecoder, UdpConnectRequest, UdpConnectResponse, to_json
from craftnet.protocols.udp.packing import MAX_CONTENT, PACKINGS

TIMEOUT = 10.0
"""Seconds for the whole exchange."""

_VERSION = ".".join(re.findall("[0-9]+", __version__)[:3])


async def connect(
    http: HTTPClient, url: str, player_id: UUID, token: str, session_token: str | None = None
) -> UdpConnectResponse | Ending:
    """Ask for a UDP session.

    Arguments:
        token: the bearer token.
        session_token: that of a connection which is to tell of the session, too.

    Returns:
        What is needed to send datagrams, or why there will be none. When the server answered, another transport may
        do better, unless the answer is about who asks.
    """
    request = UdpConnectRequest(
        player_id=player_id,
        client_version=_VERSION,
        supported_compression=[each.name for each in PACKINGS.values()],
        max_packet_size=MAX_CONTENT,
        session_token=session_token,
    )
    headers = Headers(
        {
            "Authorization": [f"Bearer {token}"],
            "Content-Type": ["application/json"],
            "User-Agent": [f"craftnet/{__version__}"],
        }
    )
    try:
        response = await http.request(
            "POST",
            request_url(url),
            headers=headers,
            data=to_json(request),
            allow_redirects=False,  # the token is for this server and no other.
            timeout=TIMEOUT,
        )
        body = await response.content()
    except (ConnectError, OSError) as error:
        return endings.lost(f"cannot connect: {str(error).rstrip('.')}")
    except (ResponseFailed, ResponseNeverReceived, TimeoutError, CancelledError):
        # The last is how treq tells that time ran out while the body came.
        return endings.lost("cannot connect: the server did not answer the request for a UDP session")
    if response.code != 200:
        retry_after, location = (
            response.headers.getRawHeaders(name, [None])[0] for name in ("Retry-After", "Location")
        )
        elsewhere = response.code not in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
        return endings.refused(response.code, body, retry_after, location=location, elsewhere=elsewhere)
    try:
        return JsonDecoder(UdpConnectResponse).decode(body)
    except MALFORMED:
        return endings.lost("the server's answer to the request for a UDP session is wrong", elsewhere=True)
