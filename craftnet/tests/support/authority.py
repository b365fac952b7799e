"""The crafting authority, as it should be written: it repeats what was not accepted, with the same event ids."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import treq
from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.web.http_headers import Headers

from craftnet.access.principal import PUBLISH
from craftnet.tests.support.live import token
from craftnet.tests.support.load import Body

AGAIN = 0.05
"""Seconds until it sends again."""


async def post(url: str, body: Body) -> dict[str, Any] | None:
    """The outcomes of the events; None when the service at `url` did not accept them."""
    headers = Headers({"Authorization": [f"Bearer {token(None, PUBLISH)}"], "Content-Type": ["application/json"]})
    try:
        response = await treq.post(
            f"{url}/events", headers=headers, data=msgspec.json.encode(body), persistent=False, timeout=10
        )
        answer = await response.content()
    except Exception:  # it was killed before, or is killed meanwhile.
        return None
    if response.code in (502, 503, 504):  # the first and the last are a balancer's.
        return None
    if response.code != 202:
        raise AssertionError(f"{response.code}: {answer!r}")
    return dict(msgspec.json.decode(answer))


async def insist(url: Callable[[int], str], body: Body, refused: Callable[[], None] = lambda: None) -> None:
    """Post until the events are taken, all of them.

    Arguments:
        url: where to post next, by the number of attempts before.
        refused: called when an attempt failed.
    """
    attempts = 0
    while (answer := await post(url(attempts), body)) is None:
        refused()
        attempts += 1
        await deferLater(reactor, AGAIN)
    if answer["rejected"]:
        raise AssertionError(answer["rejected"])
