"""What a stream promises its viewers, and how much of the failing that this allows is used up.

The objective is a share of time in which the picture is as it should be, over a window of UTC days that
ends now. What it leaves is the error budget: seconds that a stream's slots may be dark together. Time
in which nobody knows, and the time before the first picture, are neither good nor dark. The days are
the ledger's (meter.py). Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from math import fsum

from keeper.core.meter import Meter, Tally, caught_up
from keeper.core.model import Stream, StreamName

_DAY_S = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How a stream has kept its objective over the window; seconds of all its slots together."""

    ratio: float  # the objective
    window_s: float
    good_s: float
    dark_s: float
    silent_s: float  # the part of dark_s in which nothing but the sound was missing
    starting_s: float
    allowed_s: float  # dark, in the whole window
    # Of the time in which somebody knew; None: nobody has, yet.
    availability_ratio: float | None
    # Of what is allowed; below 0: more was used. None: nothing is allowed, or no slot is declared.
    remaining_ratio: float | None
    # How fast it is used, today and yesterday: at 1 it lasts for just its window. None: as above.
    burn_ratio: float | None

    @property
    def remaining_s(self) -> float:
        """For how long the stream's slots may still be dark; below 0: they were too long."""
        return self.allowed_s - self.dark_s

    @property
    def is_spent(self) -> bool:
        """Whether nothing of it is left."""
        return self.remaining_ratio is not None and self.remaining_ratio <= 0.0


def budget_of(ledger: Meter, stream: Stream, now: datetime) -> Budget:
    """Work out a stream's error budget now. ``ledger`` may be of any moment before."""
    return budgets_of(ledger, (stream,), now)[stream.name]


def budgets_of(
    ledger: Meter, streams: Iterable[Stream], now: datetime
) -> Mapping[StreamName, Budget]:
    """Work out the error budgets of several streams; the ledger is brought up to now only once."""
    ledger = caught_up(ledger, now)
    return {stream.name: _budget(ledger, stream, now) for stream in streams}


def _budget(ledger: Meter, stream: Stream, now: datetime) -> Budget:
    objective = stream.objective
    window = _over(ledger, stream.name, now, objective.window_days)
    window_s = objective.window_days * _DAY_S
    allowed_ratio = 1.0 - objective.ratio
    allowed_s = allowed_ratio * window_s * stream.replicas
    lately = _over(ledger, stream.name, now, 2)
    failing = _ratio(lately.dark_s, lately.good_s + lately.dark_s)
    return Budget(
        ratio=objective.ratio,
        window_s=window_s,
        good_s=window.good_s,
        dark_s=window.dark_s,
        silent_s=window.silent_s,
        starting_s=window.starting_s,
        allowed_s=allowed_s,
        availability_ratio=_ratio(window.good_s, window.good_s + window.dark_s),
        remaining_ratio=None if allowed_s <= 0 else 1.0 - window.dark_s / allowed_s,
        burn_ratio=None if failing is None or allowed_ratio <= 0 else failing / allowed_ratio,
    )


def _over(ledger: Meter, stream: StreamName, now: datetime, days: int) -> Tally:
    """Sum a stream's last days up, today included."""
    each_day = [
        counted
        for day in _last_days(now.astimezone(UTC).date(), days)
        if (tallies := ledger.tallies.get(day)) and (counted := tallies.get(stream))
    ]
    return Tally(
        good_s=fsum(day.good_s for day in each_day),
        dark_s=fsum(day.dark_s for day in each_day),
        silent_s=fsum(day.silent_s for day in each_day),
        starting_s=fsum(day.starting_s for day in each_day),
    )


@lru_cache(maxsize=32)
def _last_days(today: date, days: int) -> tuple[str, ...]:
    """Name the last UTC days as the ledger does. Every stream asks at every tick for the same ones."""
    return tuple((today - timedelta(days=back)).isoformat() for back in range(days))


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None
