"""The running daemon: owns its tasks, ticks when something may have changed, drains when told.

Tasks are owned by one TaskGroup; one that dies is told about and started again, never lost quietly.
Only a finished tick feeds the watchdog. It is the Control that the local API talks to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from keeper.core.events import (
    ConfigRejected,
    ConfigReloaded,
    KeeperStarted,
    KeeperStopping,
)
from keeper.core.model import (
    SlotId,
    Status,
)
from keeper.core.strip import Strip
from keeper.core.world import Order, Snapshot
from keeper.daemon.crew import Crew
from keeper.daemon.declared import Declared, Ports, changes
from keeper.daemon.error_line import describe
from keeper.daemon.ground import Ground
from keeper.daemon.memory import Memory
from keeper.daemon.ticker import Ticker
from keeper.daemon.told import alerts_now
from keeper.ports import (
    AlertNow,
    ChannelNow,
    ChannelTest,
    ConfigError,
    Hint,
    JournalEntry,
    OutboxRow,
    ReloadReport,
    Thumbnail,
)

_DRAIN_S = 45.0  # the unit's TimeoutStopSec is 90
_FAILED_TICKS_MAX = 3


class Daemon:
    """Keeps the declared streams on air until told to stop."""

    def __init__(
        self,
        ports: Ports,
        declared: Declared,
        *,
        version: str,
        reload: Callable[[], Declared] | None = None,
    ) -> None:
        self._ports = ports
        self._version = version
        self._read_again = reload
        self._loaded = asyncio.Event()
        self.config_ok = True
        self.config_at = ports.clock.now()
        self.ground = Ground(declared)
        self.crew = Crew(ports, self.ground)
        self._ticker = Ticker(ports, self.ground, self.crew)

    # --- life -------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Take the store, so that no other keeper of this box can act. Raises StoreError."""
        if self.ground.has_memory:
            return
        saved = await self._ports.store.load()
        self.ground.remember(Memory.of(saved, self._ports.clock.now()))
        self.crew.notifier.remember(saved)
        self.crew.purse.remember(saved.meter)
        await self.crew.archiving.recall()
        self._loaded.set()
        self.crew.facts.note(
            KeeperStarted(
                version=self._version,
                slots=len(saved.records),
                tenures=sum(1 for r in saved.records if r.tenure is not None),
            )
        )

    async def run(self) -> None:
        """Run until ``stop``. Raises StoreError when the store cannot be opened."""
        await self.open()
        async with asyncio.TaskGroup() as group:
            self.crew.tasks.own(group)
            self.crew.calendar.start()
            for job, name in (
                (self.crew.survey.read_listings, "listings"),
                (self.crew.survey.read_wanted, "by_id_reads"),
                (self.crew.survey.search_offers, "offers"),
                (self.crew.purse.run, "account"),
                (self.crew.wheel.run, "wheel"),
                (self.crew.canary.run, "canary"),
                (self.crew.notifier.run, "notifier"),
                (self.crew.feeds.run, "feeds"),
                (self.crew.beacon.run, "beacon"),
                (self.crew.dead_man.run, "dead_man"),
                (self.crew.slates.run, "slates"),
            ):
                self.crew.tasks.for_ever(job, name)
            self.crew.enroll.begin()
            try:
                await self._tick_until_stopped()
                await self.crew.executor.drain(_DRAIN_S)
                await self.crew.notifier.finish()
                await self._ticker.tick_once()
            finally:
                self.crew.orders.close()
                await self._ports.cadence.stop()
                await self.crew.watch.close()
                self.crew.tasks.cancel_all()
                self.crew.tasks.own(None)
        # Last, when nobody can write any more: only a drained keeper stopped cleanly.
        await self._ports.store.close()

    async def loaded(self) -> None:
        """Wait until the store is open and orders can be taken."""
        await self._loaded.wait()

    def stop(self, why: str) -> None:
        """Begin to drain: no new acts, finish those under way."""
        if not self.is_stopping:
            self.crew.facts.note(KeeperStopping(detail=why))
            self._ports.heartbeat.stopping()
            self.ground.stopping.set()
            self.nudge()

    def nudge(self) -> None:
        """Something may have changed: tick soon."""
        self.crew.beat.nudge()

    async def _tick_until_stopped(self) -> None:
        beat, ticker = self.crew.beat, self._ticker
        while not self.is_stopping:
            beat.begin()
            await ticker.tick_once()
            await beat.until_worth_it(
                ticker.due, has_failed=ticker.failed_ticks > 0, may_rest=ticker.may_rest
            )
            if not self.is_stopping:
                await beat.keep_apart()

    # --- Control ----------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot | None:
        """Return the last tick's snapshot, with the deploys as far as they are now; None before it."""
        snapshot, deploys = self.ground.snapshot, self.crew.archiving.deploys
        slates = self.crew.slates.shown
        if snapshot is None or (snapshot.deploys is deploys and not slates):
            return snapshot
        if not (snapshot.deploys or deploys or slates):
            return snapshot
        return replace(snapshot, deploys=deploys, slates=slates)

    def is_healthy(self) -> bool:
        """Whether ticks finish."""
        return self._ticker.failed_ticks < _FAILED_TICKS_MAX

    def not_ready_because(self) -> str:
        """Return "" when ready: store open, first complete listing seen."""
        if not self.ground.has_memory:
            return "the store is not open yet"
        if self.ground.snapshot is None:
            return "the first tick has not finished"
        if self.crew.survey.listing is None:
            error = self.crew.facts.redact(self.crew.survey.unreadable_error)
            return f"no complete listing yet: {error or 'asking'}"
        return ""

    @property
    def is_stopping(self) -> bool:
        """Whether keeper was asked to stop."""
        return self.ground.stopping.is_set()

    @property
    def outbox_pending(self) -> int:
        """Messages that no channel has taken yet."""
        return self.crew.notifier.pending

    async def order(self, order: Order) -> None:
        """Take an operator's order; returns when the tick that carries it is on disk.

        Raises TimedOut when no tick could be committed (the order is then withdrawn), and Uncertain
        when a commit is still on its way.
        """
        if not self.ground.has_memory:
            message = "an order would be lost with the first tick: the store has not been loaded"
            raise RuntimeError(message)
        await self.crew.orders.give(order)

    async def reload(self) -> ReloadReport:
        """Read the configuration again; a bad one keeps the old."""
        if self._read_again is None:
            return ReloadReport(problems=("this keeper was started without a file",))
        self._ports.heartbeat.reloading()
        try:
            declared = self._read_again()
        except ConfigError as error:
            return self._rejected(error.problems)
        except Exception as bug:  # noqa: BLE001 - whatever a file does to us, the old one is good
            return self._rejected((describe(bug),))
        changed = changes(self.ground.declared, declared)
        self.ground.declared = declared
        self.crew.notifier.trust_again()
        self.crew.feeds.declared_anew()
        self.crew.beacon.declared_anew()
        self.crew.revisions.declare(declared)
        self.config_ok, self.config_at = True, self._ports.clock.now()
        self.crew.facts.note(ConfigReloaded(detail=", ".join(changed) or "nothing changed"))
        if self._ticker.is_ready and not self.is_stopping:
            self.crew.enroll.begin()
        self._ports.heartbeat.ready("configuration reloaded")
        return ReloadReport(changed=changed)

    def _rejected(self, problems: tuple[str, ...]) -> ReloadReport:
        self.config_ok = False
        self.crew.facts.note(ConfigRejected(detail="; ".join(problems)))
        self._ports.heartbeat.ready("the new configuration was rejected; the old one stays")
        return ReloadReport(problems=problems)

    async def journal(
        self,
        *,
        slot: SlotId | None = None,
        limit: int = 200,
        after_seq: int = 0,
        events: frozenset[str] | None = None,
    ) -> tuple[JournalEntry, ...]:
        """Read the newest facts (after a number, of some names), oldest first."""
        return await self._ports.store.journal(
            slot=slot, limit=limit, after_seq=after_seq, events=events
        )

    def thumbnail(self, slot: SlotId) -> Thumbnail | None:
        """Return the newest picture that viewers of a slot saw; None when there is none."""
        record = self.ground.memory.records.get(slot) if self.ground.has_memory else None
        # Nobody sees what a host to come shows.
        if record is None or record.tenure is None or record.tenure.instance_id is None:
            return None
        frame = self.crew.board.frames.newest(record.tenure.instance_id)
        return None if frame is None else Thumbnail(at=frame.at, jpeg=frame.jpeg)

    def strip(self, slot: SlotId) -> Strip:
        """Return what viewers of a slot saw in the last half hour; empty when nobody has looked."""
        return self.crew.board.strips.of_slot(slot)

    def alerts(self) -> tuple[AlertNow, ...]:
        """Return every alert that holds, the most severe first."""
        return alerts_now(self.ground, self.channels(), self._ports.clock.now())

    def channels(self) -> tuple[ChannelNow, ...]:
        """Return every declared channel, feeds too."""
        return (*self.crew.notifier.channels_now(), *self.crew.feeds.channels_now())

    def outbox(self) -> tuple[OutboxRow, ...]:
        """Return the messages that no channel has taken yet, the oldest first."""
        return self.crew.notifier.outbox()

    def test_channel(self, name: str) -> Coroutine[Any, Any, ChannelTest]:
        """Send a test message now, past the outbox. Raises Missing: there is no such channel."""
        crew = self.crew
        return crew.feeds.test(name) if name in crew.feeds.names() else crew.notifier.test(name)

    def hint(self, hint: Hint) -> bool:
        """Look at the marketplace again soon. False: it was known already; nothing follows."""
        return self.crew.hints.take(hint)

    def hint_refused(self, source: str, why: str) -> None:
        """Note that something that came as a hint was none."""
        self.crew.hints.refuse(source, why)

    async def changed(self) -> None:
        """Wait for the next snapshot."""
        await self.ground.changed()

    @property
    def own_network(self) -> Status:
        """What the ops box's own canary says."""
        return self.crew.canary.status
