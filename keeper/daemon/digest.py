"""Sums the week up when its calendar says so, and puts it where every other message waits.

Whether it was done is read from the journal: the fact and the messages are one commit, so a crash
neither loses a week nor tells it twice.
"""

from __future__ import annotations

from datetime import datetime

from keeper.alerts.weekly import weekly
from keeper.core.digest import RENTALS, TROUBLE, Digest, Fact, digest, week_before
from keeper.core.events import DigestMade
from keeper.daemon.declared import Ports
from keeper.daemon.ground import Ground
from keeper.daemon.notify import Notifier
from keeper.daemon.outbox import rows_of
from keeper.daemon.tick import entry
from keeper.ports import Batch

LOOK_EVERY_S = 900.0
# A box that was off on Monday morning tells on Monday evening; a week later there is another one.
_LATE_MAX_S = 86_400.0
_FACTS_MAX = 10_000  # of each of two readings; of more, the newest count
_MADE = frozenset({DigestMade.name})


class WeeklyDigest:
    """The job that tells people how the week was."""

    def __init__(self, ports: Ports, ground: Ground, notifier: Notifier) -> None:
        self._ports = ports
        self._ground = ground
        self._notifier = notifier

    async def look(self) -> None:
        """Tell about the week if it is time and nobody has been told yet. Raises StoreError."""
        openings, snapshot = self._ground.declared.digest, self._ground.snapshot
        now = self._ports.clock.now()
        due_at = None if openings is None else openings.latest(now, _LATE_MAX_S)
        if due_at is None or snapshot is None or self._ground.stopping.is_set():
            return
        if await self._ports.store.journal(events=_MADE, since=due_at, limit=1):
            return
        told = await self._summed_up(due_at)
        if not any(each.good_s or each.dark_s or each.dollars for each in told.streams):
            return  # there was no such week: keeper has begun since then
        notice = weekly(told, due_at=due_at, now=now)
        rows = rows_of((notice,), self._ground.declared.channels, self._notifier.made_at(now))
        made = DigestMade(
            since=told.since,
            until=told.until,
            streams=len(told.streams),
            dollars=round(told.dollars, 4),
        )
        await self._ports.store.commit(
            Batch(outbox=rows, journal=(entry(made, now, snapshot.tick),))
        )
        self._ports.sink.publish(made, at=now, tick=snapshot.tick)
        self._notifier.take(rows)

    async def _summed_up(self, due_at: datetime) -> Digest:
        since, until = week_before(due_at)
        store = self._ports.store
        rentals = await store.journal(events=RENTALS, limit=_FACTS_MAX)
        trouble = await store.journal(events=TROUBLE, since=since, limit=_FACTS_MAX)
        facts = sorted((*rentals, *trouble), key=lambda each: each.seq)
        return digest(
            self._ground.memory.meter,
            (stream.name for stream in self._ground.desired.streams),
            (Fact(at=f.at, event=f.event, slot=f.slot, values=f.facts) for f in facts),
            since=since,
            until=until,
        )
