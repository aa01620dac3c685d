"""When a host that was not reached is dialled again. Pure.

Ever less often, but for as long as it is watched it must be heard to refuse: who was silent for
``probe_stale_s`` counts as unknown. A dial in up to 47 s, where 45 s are silence, made a host that refused for
hours one that nobody knew anything of, each other minute: never unreachable for long, and not sick.
"""

from __future__ import annotations

import zlib

from keeper.core.model import SlotId

DIAL_TIMEOUT_S = 10.0
_PAUSES_S = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
_SPREAD = 0.25
_ROOM_S = 1.0  # from an answer to the tick that takes it


def pause_s(slot: SlotId, failures: int, stale_s: float) -> float:
    """Return how long to wait after so many dials in a row that came to nothing."""
    longest_s = (stale_s - DIAL_TIMEOUT_S - _ROOM_S) / (1.0 + _SPREAD)
    pause = min(_PAUSES_S[min(failures, len(_PAUSES_S) - 1)], max(longest_s, _PAUSES_S[0]))
    # Spread by name, so that a hundred hosts that went together do not come back together.
    share = zlib.crc32(f"{slot}:{failures}".encode()) % 1000 / 1000
    return pause * (1.0 + (2.0 * share - 1.0) * _SPREAD)
