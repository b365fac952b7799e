"""A process of the UDP client in clients/js, for tests."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

from twisted.trial.unittest import SkipTest

import craftnet
from craftnet.tests.support.client_process import ClientProcess, Event
from craftnet.tests.support.samples import PLAYER

ROOT = Path(craftnet.__file__).parent.parent
DIRECTORY = ROOT / "clients" / "js"


class NodeClient(ClientProcess):
    """A process of Node.js that watches sessions over UDP.

    Raises:
        SkipTest: clients/js is not built.
    """

    def __init__(self, url: str, *sessions: UUID, options: tuple[str, ...] = ()) -> None:
        if not (DIRECTORY / "dist" / "node-udp.js").exists():
            raise SkipTest("clients/js is not built: `make clients/js/dist/index.js` does it")
        named = [word for session in sessions for word in ("--session", str(session))]
        program = str(DIRECTORY / "examples" / "watch-udp.mjs")
        super().__init__(["node", program, "--url", url, "--player", str(PLAYER), *named, *options])

    async def until(self, name: str, session: UUID | None = None) -> Event:
        """The next event of this name, about this session if one is named."""
        return await self.find(
            name, lambda event: event["event"] == name and (session is None or event["session"] == str(session))
        )

    def leave(self, session: UUID) -> None:
        """Stops watching a session."""
        self.write(f"leave {session}")
