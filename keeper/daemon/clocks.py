"""Notices a wall clock that stepped, and a keeper that was away: nothing was judged meanwhile."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

# Wall and monotonic clock may drift apart by this much between two ticks.
_STEP_S = 5.0
# Nobody decided anything for this long, or for half again the interval of ticks: a frozen process, a suspended
# machine, a store that could not write. No longer than witnesses may be silent (probe_stale_s): when all of
# them seem to have been, it was keeper that did not listen (frozen for a minute, a host on air was given up).
_AWAY_S = 45.0
_LATE_SHARE = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What became of time since the tick before."""

    step_s: float = 0.0  # how far the wall clock jumped; 0.0: it did not
    was_away: bool = False


class Clocks:
    """Compares the two clocks from tick to tick."""

    def __init__(self, mono_s: float) -> None:
        self._last: tuple[datetime, float] | None = None
        self._good_s = mono_s

    def look(self, now: datetime, mono_s: float, tick_interval_s: float) -> Looked:
        """Say what happened to time since the last look."""
        wall_before, mono_before = self._last or (now, mono_s)
        self._last = (now, mono_s)
        step_s = (now - wall_before).total_seconds() - (mono_s - mono_before)
        was_away = mono_s - self._good_s > max(_AWAY_S, _LATE_SHARE * tick_interval_s)
        if was_away:
            self._good_s = mono_s
        return Looked(step_s=step_s if abs(step_s) > _STEP_S else 0.0, was_away=was_away)

    def ticked(self, mono_s: float) -> None:
        """A tick was committed: until here somebody has looked."""
        self._good_s = mono_s
