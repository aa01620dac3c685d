"""What is done by the calendar: the market is looked at, the day is summed up, the old is forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from datetime import timedelta
from typing import Any

from keeper.core.events import Event
from keeper.core.model import SlotId, SlotRecord
from keeper.core.reasons import Reason
from keeper.core.report import COUNTED, report
from keeper.daemon.declared import Declared, Ports
from keeper.daemon.digest import LOOK_EVERY_S, WeeklyDigest
from keeper.daemon.survey import Survey
from keeper.daemon.tasks import Tasks

_SCAN_INTERVAL_S = 4 * 3600.0
_REPORT_FACTS_MAX = 10_000  # more in a day, and the report counts the newest


class Calendar:
    """The daemon's jobs at fixed times."""

    def __init__(
        self,
        ports: Ports,
        tasks: Tasks,
        survey: Survey,
        *,
        declared: Callable[[], Declared],
        records: Callable[[], Mapping[SlotId, SlotRecord]],
        note: Callable[[Event], None],
        nudge: Callable[[], None],
        weekly: WeeklyDigest,
    ) -> None:
        self._ports = ports
        self._tasks = tasks
        self._survey = survey
        self._declared = declared
        self._records = records
        self._note = note
        self._nudge = nudge
        self._weekly = weekly
        self._scans = 0

    def start(self) -> None:
        """Begin. Times are UTC."""
        cadence = self._ports.cadence
        cadence.every("offer_scan", _SCAN_INTERVAL_S, lambda: self._run("offer_scan", self._scan))
        cadence.cron("retention", "17 3 * * *", lambda: self._run("retention", self._forget_old))
        cadence.cron("report", "0 6 * * *", lambda: self._run("report", self._report_day))
        cadence.every("digest", LOOK_EVERY_S, lambda: self._run("digest", self._weekly.look))
        cadence.start()

    async def _run(self, name: str, job: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a job as a task of the daemon's own, which is told about when it dies (I21)."""
        await asyncio.wait({self._tasks.once(job(), name)})

    async def _scan(self) -> None:
        """Notice that nobody may search, or no more, before a host is needed.

        Six times a day, one stream after the other: the searches of a day are counted, and what is
        found is too old within a minute. Whoever wants a host asks for it.
        """
        streams = self._declared().desired.streams
        if not streams:
            return
        stream = streams[self._scans % len(streams)]
        self._scans += 1
        await self._survey.search_for(stream)
        records = self._records()
        if any(
            s not in records or records[s].last_reason is not Reason.HEALTHY for s in stream.slots
        ):
            self._nudge()  # somebody may have waited for a cheaper one

    async def _report_day(self) -> None:
        """Sum the last day up, a fact for each stream."""
        now = self._ports.clock.now()
        since = now - timedelta(days=1)
        entries = await self._ports.store.journal(
            limit=_REPORT_FACTS_MAX, events=COUNTED, since=since
        )
        facts = [(entry.event, entry.slot, entry.facts) for entry in entries]
        for each in report(facts, self._records(), since=since, now=now):
            self._note(each)

    async def _forget_old(self) -> None:
        before = self._ports.clock.now() - timedelta(days=self._declared().retention_days)
        await self._ports.store.prune(before)
