"""Translates states that arrive over UDP into the contract's WebSocket messages. Pure."""

from __future__ import annotations

from uuid import UUID

from msgspec.structs import replace

from craftnet.clocks import Moment
from craftnet.contract.messages import MaterialNotification, MaterialProblem
from craftnet.crafting.state import MaterialsChange, SessionState
from craftnet.crafting.updates import Update, materials_update, progress_update
from craftnet.protocols.udp.client.received_state import MaterialsChanged, ProgressChanged


class Translation:
    """The translation for one session of one connection, from its first state on."""

    def __init__(self, session_id: UUID, player_id: UUID) -> None:
        self._session_id = session_id
        self._player_id = player_id
        self._problems: dict[UUID, MaterialNotification] = {}
        self._progress: ProgressChanged | None = None
        self._offset: float | None = None  # the one with which the progress was translated.

    def progress(self, event: ProgressChanged, offset: float | None, now: float) -> Update:
        """The update for the session's progress.

        Arguments:
            offset: seconds by which the server's clock is ahead; None while unknown: the clocks are then assumed equal.
            now: the client's clock, Unix seconds.

        Returns:
            An update whose messages are on the server's clock, as all of the contract's are; its state is on the
            client's.
        """
        self._progress, self._offset = event, offset
        ahead = offset or 0.0
        state = SessionState(self._session_id, self._player_id, event.version, event.progress)
        update = progress_update(state, Moment.agreed(now + ahead), None, event.at)
        ours = replace(event.progress, anchor=event.progress.anchor - ahead)
        return Update(
            replace(state, progress=ours),
            update.messages,
            at=event.at,
            conflatable=update.conflatable,
            terminal=update.terminal,
        )

    def corrected(self, offset: float, now: float) -> Update | None:
        """The same progress again, with a better-known clock offset.

        Returns:
            A state without messages, since nothing happened; with messages if the offset was unknown before. None where
            it makes no difference.
        """
        event, before = self._progress, self._offset
        if event is None or not event.progress.moving or offset == before:
            return None
        # The position at that time is not news either: the feed may have advanced since.
        update = self.progress(replace(event, at=None), offset, now)
        return update if before is None else Update(update.state, ())

    def materials(self, event: MaterialsChanged, offset: float, now: float) -> Update:
        """The update for the session's materials. Its messages cover problems that are new, changed or solved."""
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
        return materials_update(MaterialsChange(state, (), tuple(news)), Moment.agreed(now + offset), None, event.at)
