"""What arrives over UDP, said as the WebSocket would say it: states become the contract's messages. Pure."""

from __future__ import annotations

from uuid import UUID

from msgspec.structs import replace

from craftnet.messages import MaterialNotification, MaterialProblem
from craftnet.protocols.udp.copies import MaterialsChanged, ProgressChanged
from craftnet.state import MaterialsChange, SessionState
from craftnet.updates import Update, materials_update, progress_update


class Translation:
    """Of one connection, from its first state on."""

    def __init__(self, session_id: UUID, player_id: UUID) -> None:
        self._session_id = session_id
        self._player_id = player_id
        self._problems: dict[UUID, MaterialNotification] = {}

    def progress(self, event: ProgressChanged, offset: float, now: float) -> Update:
        """The session's progress.

        Arguments:
            offset: seconds by which the server's clock is ahead of ours.
            now: by our clock, Unix seconds.

        Returns:
            An update whose messages are on the server's clock, as all of the contract's are; its state is on ours.
        """
        told = SessionState(self._session_id, self._player_id, event.version, event.progress)
        update = progress_update(told, now + offset, None, event.at)
        ours = replace(event.progress, anchor=event.progress.anchor - offset)
        return Update(
            replace(told, progress=ours),
            update.messages,
            at=event.at,
            conflatable=update.conflatable,
            terminal=update.terminal,
        )

    def materials(self, event: MaterialsChanged, offset: float, now: float) -> Update:
        """The session's materials. The messages are about the problems that are new, changed, or solved."""
        state = event.materials
        before, problems = self._problems, {}
        for material in state.materials:
            if material.problem is not None:
                problems[material.material_id] = material.problem
        self._problems = problems
        news = [problem for material_id, problem in problems.items() if before.get(material_id) != problem]
        news += [
            MaterialNotification(material_id=material_id, notification_type=MaterialProblem.MATERIAL_RESTORED)
            for material_id in before
            if material_id not in problems
        ]
        return materials_update(MaterialsChange(state, (), tuple(news)), now + offset, None, event.at)
