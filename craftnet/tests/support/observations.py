"""Observations for recordings: strategies for the data of every kind of event, and pseudonyms that tests recognise."""

from __future__ import annotations

from typing import get_args, get_type_hints
from uuid import UUID

from hypothesis import strategies as st

from craftnet.contract.events import (
    EventMaterial,
    MaterialsUpdate,
    QueueUpdate,
    SessionCancel,
    SessionComplete,
    SessionFail,
    SessionPause,
    SessionProgress,
    SessionResume,
    SessionStart,
)
from craftnet.contract.messages import MaterialNotification, MaterialProblem, QueueMessageType, Station, Status
from craftnet.recording.rows import PathSample

ids = st.uuids()
seconds = st.none() | st.floats(1, 3600)
qualities = st.none() | st.integers(1, 100)
quantities = st.none() | st.integers(1, 1000)


def words(event: type, field: str) -> st.SearchStrategy[str]:
    """The values of a field that is a `Literal`."""
    return st.sampled_from([word for word in get_args(get_type_hints(event)[field]) if isinstance(word, str)])


def built(event: type, **fields: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    """Data of an event about a session."""
    return st.builds(event, session_id=ids, **fields)


notifications = st.builds(
    MaterialNotification,
    material_id=ids,
    notification_type=st.sampled_from(list(MaterialProblem)),
    required_quantity=quantities,
    available_quantity=quantities,
    required_quality=qualities,
    available_quality=qualities,
)

event_data = st.one_of(
    built(
        SessionStart,
        recipe_id=ids,
        player_id=ids,
        materials=st.none() | st.tuples(st.builds(EventMaterial, ids, st.integers(1, 9), qualities)),
        estimated_duration_seconds=seconds,
        workstation_id=ids,
        zone_id=st.text(max_size=20),
    ),
    built(SessionComplete, result_item_id=ids),
    built(SessionFail, failure_reason=words(SessionFail, "failure_reason")),
    built(SessionCancel, cancel_reason=words(SessionCancel, "cancel_reason")),
    built(SessionPause, pause_reason=words(SessionPause, "pause_reason")),
    built(SessionResume, remaining_duration_seconds=seconds),
    built(
        SessionProgress,
        progress_percentage=st.floats(0, 100),
        status=st.sampled_from(list(Status)),
        remaining_time_seconds=seconds,
        current_quality=qualities,
        target_quality=qualities,
        failure_reason=st.none() | st.text(max_size=200),
    ),
    st.builds(
        QueueUpdate,
        player_id=ids,
        queue_position=st.integers(1, 1000),
        total_in_queue=quantities,
        estimated_wait_seconds=seconds,
        station_type=st.none() | st.sampled_from(list(Station)),
        type=st.sampled_from(list(QueueMessageType)),
        session_id=st.none() | ids,
    ),
    built(MaterialsUpdate, notifications=st.tuples(notifications, notifications)),
)
"""The data of any event."""

path_samples = st.builds(
    PathSample,
    st.none() | st.just("us-east"),
    st.sampled_from(["udp", "websocket", "sse"]),
    st.floats(0, 10),
    st.floats(0, 1),
    st.none() | st.floats(0, 1),
)

observed = st.tuples(event_data | path_samples, st.floats(0, 4e9))
"""The data of an observation, and when it became true."""


class ReadableNames:
    """Pseudonyms with the kind and the first digits of what they stand for."""

    def player(self, player_id: UUID) -> bytes:
        """As in `Names`."""
        return f"player {player_id}".encode()[:16]

    def session(self, session_id: UUID) -> bytes:
        """As in `Names`."""
        return f"session {session_id}".encode()[:16]

    def place(self, player_id: UUID, entry: str) -> bytes:
        """As in `Names`."""
        return f"place {player_id}".encode()[:16]
