"""Five-field cron expressions, read with plain integers: when does this one match next?

The real cadence leaves this to its scheduler, which reads the wall clock by itself and so cannot
run in virtual time. Only what cron(5) has in all dialects: ``*``, lists, ranges, steps.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache

_BOUNDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_HORIZON_DAYS = 4 * 366  # 29 February comes at least this often


@lru_cache(maxsize=64)
def _parse(expression: str) -> tuple[frozenset[int], ...]:
    parts = expression.split()
    if len(parts) != len(_BOUNDS):
        raise ValueError(f"a cron expression has five fields: {expression!r}")
    return tuple(_field(part, *bounds) for part, bounds in zip(parts, _BOUNDS, strict=True))


def _field(text: str, low: int, high: int) -> frozenset[int]:
    """Read one field, such as ``*/15`` or ``1-5,7``."""
    values: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        if span == "*":
            start, end = low, high
        else:
            start = int(first)
            end = int(last) if last else (high if step else start)
        if not low <= start <= end <= high:
            raise ValueError(f"{part!r} is outside {low}..{high}")
        values.update(range(start, end + 1, int(step or 1)))
    return frozenset(values)


def next_match(expression: str, after: datetime) -> datetime:
    """Return the first whole minute later than ``after`` that the expression names."""
    minutes, hours, days, months, weekdays = _parse(expression)
    any_day = expression.split()[2] == "*"
    any_weekday = expression.split()[4] == "*"
    moment = after.replace(second=0, microsecond=0) + timedelta(minutes=1)
    horizon = after + timedelta(days=_HORIZON_DAYS)
    while moment < horizon:
        sunday_based = moment.isoweekday() % 7
        day_fits = moment.day in days
        weekday_fits = sunday_based in weekdays or (sunday_based == 0 and 7 in weekdays)
        # cron(5): when both day fields are restricted, either of them is enough.
        fits = (
            (day_fits or weekday_fits)
            if not (any_day or any_weekday)
            else (day_fits and weekday_fits)
        )
        if moment.month not in months or not fits:
            moment = moment.replace(hour=0, minute=0) + timedelta(days=1)
        elif moment.hour not in hours:
            moment = moment.replace(minute=0) + timedelta(hours=1)
        elif moment.minute not in minutes:
            moment += timedelta(minutes=1)
        else:
            return moment
    raise ValueError(f"{expression!r} never comes")
