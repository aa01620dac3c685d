"""Calendar work by APScheduler: the only file that imports it.

Only coarse jobs live here (offer scans, reports, retention). Its traps, and what is done about them:
a stalled loop skips jobs after one second by default (grace None, coalesce), an overrun is silently
skipped (counted by the caller as a late job), shutdown cancels running jobs (they only enqueue).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

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
