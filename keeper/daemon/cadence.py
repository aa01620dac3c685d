"""Calendar work by APScheduler: the only file that imports it.

Only coarse jobs live here (offer scans, reports, retention), and when maintenance windows open. Its traps, and what is done about them:
a stalled loop skips jobs after one second by default (grace None, coalesce), an overrun is silently
skipped (counted by the caller as a late job), shutdown cancels running jobs (they only enqueue).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger


class CalendarCadence:
    """Runs jobs by the wall clock."""

    def __init__(self) -> None:
        self._scheduler = AsyncIOScheduler(
            timezone="UTC",
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
        )

    def every(self, name: str, interval_s: float, job: Callable[[], Awaitable[None]]) -> None:
        """Run ``job`` each ``interval_s``; missed beats coalesce; one run at a time."""
        self._scheduler.add_job(
            job, IntervalTrigger(seconds=max(1, round(interval_s))), id=name, replace_existing=True
        )

    def cron(self, name: str, expression: str, job: Callable[[], Awaitable[None]]) -> None:
        """Run ``job`` by a five-field cron expression in UTC."""
        trigger = CronTrigger.from_crontab(expression, timezone="UTC")
        self._scheduler.add_job(job, trigger, id=name, replace_existing=True)

    def start(self) -> None:
        """Begin."""
        self._scheduler.start()

    async def stop(self) -> None:
        """Stop; nothing is awaited, because jobs only enqueue."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)


# --- windows: when a cron expression matches, asked with the time as an argument ----------------------

_FIELDS = 5
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_ONE_MOMENT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class CronOpenings:
    """The moments of a cron expression in a time zone (``daemon.windows.Openings``)."""

    expression: str
    time_zone: str

    def latest(self, now: datetime, within_s: float) -> datetime | None:
        """Return the latest match that is not in the future and at most so long ago."""
        trigger, found = _trigger(self.expression, self.time_zone), None
        at = trigger.get_next_fire_time(None, now - timedelta(seconds=within_s))
        while at is not None and at <= now:
            found = at.astimezone(UTC)
            at = trigger.get_next_fire_time(None, found + _ONE_MOMENT)
        return found

    def next(self, now: datetime) -> datetime | None:
        """Return the first match after now; None: it never matches again."""
        trigger = _trigger(self.expression, self.time_zone)
        at = trigger.get_next_fire_time(None, now + _ONE_MOMENT)
        return None if at is None else at.astimezone(UTC)


@lru_cache(maxsize=256)
def _trigger(expression: str, time_zone: str) -> CronTrigger:
    """Read a cron expression as cron(5) does. Raises ValueError in plain words.

    The scheduler counts weekdays from Monday and wants both of two days to match; cron counts from
    Sunday and wants one of them. The first is translated, the second refused.
    """
    parts = expression.split()
    if len(parts) != _FIELDS:
        raise ValueError(
            f"{expression!r} has {len(parts)} fields; a cron expression has five: minute, hour, day"
            " of month, month, day of week"
        )
    minute, hour, day, month, weekday = parts
    if day != "*" and weekday != "*":
        raise ValueError(
            f"{expression!r} names a day of the month and of the week: write two windows"
        )
    try:
        zone = ZoneInfo(time_zone)
    except (OSError, ValueError) as error:  # ZoneInfoNotFoundError is a KeyError, below
        raise ValueError(f"there is no time zone {time_zone!r}") from error
    except KeyError as error:
        raise ValueError(f"there is no time zone {time_zone!r}") from error
    try:
        return CronTrigger(
            minute=minute, hour=hour, day=day, month=month, day_of_week=_weekdays(weekday),
            timezone=zone,
        )  # fmt: skip
    except ValueError as error:
        raise ValueError(f"{expression!r} is no cron expression: {error}") from error


def _weekdays(field: str) -> str:
    """Write cron's weekdays by their names: 0 and 7 are Sunday there."""
    if field.startswith("*"):
        if field != "*":
            raise ValueError("a step over all weekdays has no meaning; name the days")
        return field
    found: set[int] = set()
    for part in field.lower().split(","):
        span, _, step = part.partition("/")
        first, dash, last = span.partition("-")
        start, end = _weekday(first), _weekday(last if dash else first)
        if dash and last == "7":
            end = len(_DAYS)
        if end < start:
            raise ValueError(f"{part!r} runs backwards")
        found.update(day % len(_DAYS) for day in range(start, end + 1, int(step or 1)))
    return ",".join(_DAYS[day] for day in sorted(found))


def _weekday(word: str) -> int:
    if word in _DAYS:
        return _DAYS.index(word)
    if not word.isdecimal() or int(word) > len(_DAYS):
        raise ValueError(f"{word!r} is no weekday: 0 to 7, or {', '.join(_DAYS)}")
    return int(word) % len(_DAYS)


def check_openings(expression: str, time_zone: str) -> None:
    """Raise ValueError, in plain words, for what can never open a window."""
    openings = CronOpenings(expression, time_zone)
    if openings.next(_SOME_DAY) is None:
        raise ValueError(f"{expression!r} never comes")


_SOME_DAY = datetime(2024, 1, 1, tzinfo=UTC)  # any; a leap year, so that 29 February is not far
