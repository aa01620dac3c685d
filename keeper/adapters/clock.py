"""Real time. The only place outside the simulator that reads a clock of the machine."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class SystemClock:
    """The machine's clocks (``ports.Clock``)."""

    def now(self) -> datetime:
        """Return the wall clock as an aware UTC datetime. It may step."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds that never go back, for durations."""
        return time.monotonic()
