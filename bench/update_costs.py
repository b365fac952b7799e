"""Cost of one update of a crafting feed before it is written, step by step, with warm caches.

python bench/update_costs.py
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from time import process_time
from timeit import repeat
from uuid import UUID

from craftnet.clocks import Moment
from craftnet.contract.events import Event, SessionPause
from craftnet.contract.messages import Status, to_json
from craftnet.contract.position import Position
from craftnet.crafting.progress import Progress, Tolerance, misleads, rebase
from craftnet.crafting.session_rules import advance_session
from craftnet.crafting.state import SessionState
from craftnet.crafting.updates import progress_update
from craftnet.observe.metrics.registry import Metrics
from craftnet.protocols.websocket.core import frames
from craftnet.protocols.websocket.core.encodings import encoding
from craftnet.protocols.websocket.core.subprotocols import SUPPORTED

NUMBER = 50_000
ID = UUID(int=1)


def main() -> None:
    """Measure and print."""
    now, tolerance, here = time.time(), Tolerance(), Position("6c0ffee", 42)
    counts = Metrics().delivery_counts("websocket")
    state = SessionState(ID, ID, 1, Progress(Status.ACTIVE, 10.0, now, 3600.0), ID, now)
    event = Event(ID, now, now, SessionPause(session_id=ID, pause_reason="player_afk"), ID)
    update = progress_update(state, Moment.agreed(now), now, here)
    (message,) = update.messages
    octets = to_json(message)
    steps: dict[str, Callable[[], object]] = {
        "life cycle: the next state": lambda: advance_session(state, event),
        "compare with the client's copy": lambda: misleads(state.progress, state.progress, now, now + 5.0, tolerance),
        "move the model's anchor": lambda: rebase(state.progress, now),
        "build the update": lambda: progress_update(state, Moment.agreed(now), now, here),
        "JSON alone": lambda: to_json(message),
        "frame alone": lambda: frames.text(octets),
        **{f"encode and frame: {name}": partial(encoding(name), update) for name in SUPPORTED},
        "count the delivery": lambda: counts.count(1, 0.001),
    }
    for name, step in steps.items():
        print(f"{name:44}{min(repeat(step, timer=process_time, number=NUMBER, repeat=3)) / NUMBER * 1e6:8.2f} µs")


if __name__ == "__main__":
    main()
