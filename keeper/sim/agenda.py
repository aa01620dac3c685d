"""What will happen in the market, by time. Nothing happens until somebody asks what time it is."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count

# Is given the time at which it was due; returns False when it has changed nothing.
Step = Callable[[float], bool | None]


class Agenda:
    """Steps in the order of their time, and of their entry where times are equal."""

    def __init__(self, now: float) -> None:
        self.now = now
        self.changes = 0  # steps that have changed something
        self._steps: list[tuple[float, int, Step]] = []
        self._numbers = count()

    def enter(self, at: float, step: Step) -> None:
        """Plan a step; what is already past happens at the next advance."""
        heapq.heappush(self._steps, (max(at, self.now), next(self._numbers), step))

    def advance(self, now: float) -> None:
        """Take every step that is due, each at its own time. A clock that goes back is ignored."""
        while self._steps and self._steps[0][0] <= now:
            at, _, step = heapq.heappop(self._steps)
            self.now = max(self.now, at)
            if step(self.now) is not False:
                self.changes += 1
        self.now = max(self.now, now)

    def next_at(self) -> float | None:
        """Return when the next step is due."""
        return self._steps[0][0] if self._steps else None
