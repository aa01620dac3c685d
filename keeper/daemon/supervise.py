"""The running daemon: owns its tasks, ticks when something may have changed, drains when told.

Tasks are owned by one TaskGroup; one that dies is told about and started again, never lost quietly.
Only a finished tick feeds the watchdog. It is the Control that the local API talks to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime

from keeper.core.drift import burn_of
from keeper.core.events import (
    AccountUnreadable,
    ClockStepped,
    ConditionChanged,
    ConfigRejected,
    ConfigReloaded,
    Event,
    KeeperStarted,
    KeeperStopping,
    MarketReadable,
    MarketUnreadable,
    SlotBug,
    TickFailed,
    TickFinished,
    TickOverran,
)
from keeper.core.model import (
    ConditionKind,
    InstanceId,
    OfferId,
    Reading,
    SlotId,
    Status,
    StreamName,
    stream_of,
)
from keeper.core.reasons import Reason
from keeper.core.spend import traffic_by_instance
from keeper.core.standing import Standing
from keeper.core.world import Order, Outcome, SearchRefused, Snapshot, World
from keeper.daemon.beat import Beat, Due
from keeper.daemon.board import Board
from keeper.daemon.calendar import Calendar
from keeper.daemon.canary import Canary
from keeper.daemon.clocks import Clocks
from keeper.daemon.dead_man import DeadMan
from keeper.daemon.declared import Declared, Ports, changes
from keeper.daemon.enroll import Enroll
from keeper.daemon.execute import Executor
from keeper.daemon.facts import Facts
from keeper.daemon.follow import is_news, restless, silence_at, targets
from keeper.daemon.keys import Keys
from keeper.daemon.memory import Memory
from keeper.daemon.notify import Notifier
from keeper.daemon.orders import Orders, expanded, facts_of, lapsed
from keeper.daemon.permit import may_touch, stream_named
from keeper.daemon.purse import Purse
from keeper.daemon.rest import Stirring, is_quiet
from keeper.daemon.revisions import Revisions
from keeper.daemon.survey import Survey, describe
from keeper.daemon.tasks import Tasks
from keeper.daemon.tick import Ticked, decide, hold_until, pauses_after, rentals_of
from keeper.daemon.watch import Target, Watch
from keeper.daemon.wheel import Wheel
from keeper.daemon.windows import Windows
from keeper.ports import (
    ConfigError,
    JournalEntry,
    ReloadReport,
    StoreError,
)
from keeper.workloads import Workload

_DRAIN_S = 45.0  # the unit's TimeoutStopSec is 90
_FAILED_TICKS_MAX = 3


def _is_stop(event: Event) -> bool:
    """Whether a fact says that the marketplace has stopped a rental."""
    return (
        isinstance(event, ConditionChanged)
        and event.condition is ConditionKind.RENTED
        and event.status is Status.FALSE
        and event.reason is Reason.MARKET_STOPPED_IT
    )


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
        self._declared = declared
        self._version = version
        self._read_again = reload
        self._clock = ports.clock
        self._clocks = Clocks(self._clock.monotonic())
        self._beat = Beat(
            self._clock,
            self._clocks,
            interval_s=lambda: self._declared.desired.fleet.tick_interval_s,
            silence_at=self._silence_at,
        )
        self._facts = Facts(self._hide, self.nudge)
        self._is_quiet = False  # as the last tick found it
        self._due = Due()
        self._ticked = asyncio.Event()
        self._stop = asyncio.Event()
        self._loaded = asyncio.Event()
        self._unreadable_from = self._clock.now()
        self._tasks = Tasks(self._facts.note)
        self._memory: Memory | None = None
        self._snapshot: Snapshot | None = None
        self._standing = Standing()
        self._tick = 0
        self._is_ready = False
        self._failed_ticks = 0
        self._orders = Orders(self.nudge)
        self._unreadable_told = False
        self._targets: dict[InstanceId, Target] = {}
        self._followed: tuple[object, object, object] = (None, None, None)
        self.config_ok = True
        self.config_at = self._clock.now()
        self._revisions = Revisions(declared)
        self._board = Board(self.nudge, self._facts.redact, self._is_reading_news)
        self._wheel = Wheel(self._clock)
        foresight = ports.foresight and Stirring(ports.foresight, self._beat.stir)
        self._canary = Canary(
            ports.network, self._clock, lambda: self._declared, self.nudge, foresight
        )
        self._survey = Survey(
            ports.marketplace,
            self._clock,
            streams=lambda: self._declared.desired.streams,
            list_interval_s=lambda: (
                self._declared.desired.fleet.list_interval_s,
                self._declared.desired.fleet.list_interval_busy_s,
            ),
            nudge=self.nudge,
            offers_asked=self._offers_asked,
            tell=self._facts.note,
            foresight=foresight,
        )
        self._purse = Purse(
            ports.marketplace,
            self._clock,
            interval_s=lambda: self._declared.desired.fleet.account_interval_s,
            nudge=self.nudge,
            refused=lambda refusal: self._facts.note(AccountUnreadable(error=describe(refusal))),
            drifted=self._facts.note,
        )
        self._enroll = Enroll(
            ports.marketplace,
            ports.hosts,
            declared=lambda: self._declared,
            snapshot=self.snapshot,
            changed=self.changed,
            spawn=self._tasks.once,
            note=self._facts.note,
        )
        self._keys = Keys(
            ports.marketplace,
            self._clock,
            public_key=lambda: ports.hosts.public_key,
            may_touch=self._may_touch,
            spawn=self._tasks.once,
            note=self._facts.note,
        )
        self._watch = Watch(
            hosts=ports.hosts,
            network=ports.network,
            clock=self._clock,
            board=self._board,
            wheel=self._wheel,
            spawn=self._tasks.once,
            keep=self._tasks.for_ever,
            key_refused=self._keys.refused,
            own_network=lambda: self._canary.status,
            foresight=foresight,
        )
        self._windows = Windows(lambda: self._declared.windows, self._facts.note)
        self._dead_man = DeadMan(
            self._watch,
            self._clock,
            api_url=lambda: self._declared.api_url,
            may_touch=self._may_touch,
            note=self._facts.note,
            nudge=self.nudge,
        )
        self._executor = Executor(
            marketplace=ports.marketplace,
            hosts=ports.hosts,
            watch=self._watch,
            clock=self._clock,
            workload_of=self._workload_of,
            spawn=self._tasks.once,
            finished=self._finished,
            bug=self._note_bug,
            redact=self._hide,
        )
        self._calendar = Calendar(
            ports,
            self._tasks,
            self._survey,
            declared=lambda: self._declared,
            records=lambda: self._remembered().records,
            note=self._facts.note,
            nudge=self.nudge,
        )
        self._notifier = Notifier(
            network=ports.network,
            store=ports.store,
            clock=self._clock,
            channels=lambda: {channel.name: channel for channel in self._declared.channels},
            publish=self._facts.note,
            redact=self._facts.redact,
        )

    # --- life -------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Take the store, so that no other keeper of this box can act. Raises StoreError."""
        if self._memory is not None:
            return
        saved = await self._ports.store.load()
        self._memory = Memory.of(saved, self._clock.now())
        self._notifier.take(saved.outbox)
        self._purse.remember(saved.meter.drift)
        self._loaded.set()
        self._facts.note(
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
            self._tasks.own(group)
            self._calendar.start()
            for job, name in (
                (self._survey.read_listings, "listings"),
                (self._survey.read_wanted, "by_id_reads"),
                (self._survey.search_offers, "offers"),
                (self._purse.run, "account"),
                (self._wheel.run, "wheel"),
                (self._canary.run, "canary"),
                (self._notifier.run, "notifier"),
                (self._dead_man.run, "dead_man"),
            ):
                self._tasks.for_ever(job, name)
            self._enroll.begin()
            try:
                await self._tick_until_stopped()
                await self._executor.drain(_DRAIN_S)
                await self._tick_once()
            finally:
                self._orders.close()
                await self._ports.cadence.stop()
                await self._watch.close()
                self._tasks.cancel_all()
                self._tasks.own(None)
        # Last, when nobody can write any more: only a drained keeper stopped cleanly.
        await self._ports.store.close()

    async def loaded(self) -> None:
        """Wait until the store is open and orders can be taken."""
        await self._loaded.wait()

    def stop(self, why: str) -> None:
        """Begin to drain: no new acts, finish those under way."""
        if not self._stop.is_set():
            self._facts.note(KeeperStopping(detail=why))
            self._ports.heartbeat.stopping()
            self._stop.set()
            self.nudge()

    def nudge(self) -> None:
        """Something may have changed: tick soon."""
        self._beat.nudge()

    async def _tick_until_stopped(self) -> None:
        while not self._stop.is_set():
            self._beat.begin()
            await self._tick_once()
            await self._beat.until_worth_it(
                self._due, has_failed=self._failed_ticks > 0, may_rest=self._may_rest
            )
            if not self._stop.is_set():
                await self._beat.keep_apart()

    def _silence_at(self) -> datetime | None:
        memory, streams = self._remembered(), self._declared.desired.streams
        return silence_at(memory.records, streams, self._board.heard_at, memory.started_at)

    def _may_rest(self) -> bool:
        """Whether nobody could see anything new before somebody says so; see ``ports.Foresight``."""
        return (
            self._ports.foresight is not None
            and self._is_quiet
            and self._failed_ticks == 0
            and self._survey.is_resting
        )

    # --- the tick ---------------------------------------------------------------------------------

    async def _tick_once(self) -> None:
        started_s = self._clock.monotonic()
        now = self._clock.now()
        self._tick += 1
        self._check_clock(now, started_s)
        memory = self._remembered()
        world = self._observe(now)
        told = self._facts.take()
        over = lapsed(memory.pause, memory.slot_pauses, now)
        own_events = (*told, *over, *(fact for order in world.orders for fact in facts_of(order)))
        try:
            ticked = decide(
                world,
                self._declared.desired,
                now,
                tick=self._tick,
                memory=memory,
                own_events=own_events,
                latest=dict(self._board.latest),
                channels=tuple(channel.name for channel in self._declared.channels),
                numbers=self._declared.alert_numbers,
                redact=self._facts.redact,
                standing=self._standing,
            )
            if not ticked.batch.is_empty():
                await asyncio.shield(self._ports.store.commit(ticked.batch))
        except StoreError as error:
            self._fail_tick(describe(error), told)
            return
        except Exception as bug:  # noqa: BLE001 - net 2 of 2: a bug costs a tick, and is told
            self._fail_tick(describe(bug), told)
            return
        self._failed_ticks = 0
        self._clocks.ticked(self._clock.monotonic())
        self._settle(ticked)
        self._executor.start(ticked.plan.acts)
        self._follow(ticked)
        self._survey.want(ticked.plan.wants)
        self._publish(ticked, now, started_s)

    def _observe(self, now: datetime) -> World:
        """Gather everything known into one immutable value. Waits for nothing."""
        memory, survey = self._remembered(), self._survey
        orders = self._orders.take()
        if orders:
            orders = expanded(orders, {*memory.records, *self._slots()})
        survey.outdate(orders)
        pause, slot_pauses = pauses_after(orders, memory.pause, memory.slot_pauses, now)
        if memory.held_until:
            memory.held_until = {s: t for s, t in memory.held_until.items() if t > now}
        self._tell_market()
        self._windows.look(now)
        return World(
            keeper_id=memory.keeper_id,
            records=memory.records,
            listing=survey.listing_now(),
            unreadable_since=survey.unreadable_since,
            unreadable_error=self._facts.redact(survey.unreadable_error),
            shown=survey.take_shown(),
            offers=dict(survey.offers),
            readings=self._board.unseen(),
            heard_at=dict(self._board.heard_at),
            host_keys=dict(self._board.host_keys),
            guards=dict(self._dead_man.marks),
            condemned=memory.condemned,
            intents=tuple(memory.intents.values()),
            outcomes=tuple(memory.outcomes),
            in_flight=self._executor.slots_in_flight,
            in_flight_instances=self._executor.instances_in_flight,
            quarantine=memory.quarantine,
            orphans_known=frozenset(memory.orphans_seen_at),
            orphans_seen_at=memory.orphans_seen_at,
            fuses_known=memory.fuses_known,
            causes_known=memory.causes_known,
            windows=self._windows.open,
            windows_change_at=self._windows.changes_at,
            orders=orders,
            pause=pause,
            slot_pauses=slot_pauses,
            held_slots=frozenset(memory.held_until),
            is_stopping=self._stop.is_set(),
            own_network=self._canary.status,
            started_at=memory.started_at,
            search_refused=self._search_refused(),
            account=self._purse.seen,
            meter=memory.meter,
            revisions=memory.revisions,
            makeable=self._revisions.at_hand(memory.revisions),
        )

    def _settle(self, ticked: Ticked) -> None:
        """The commit is durable: now, and only now, remember it."""
        memory = self._remembered()
        memory.absorb(ticked.plan)
        memory.pause, memory.slot_pauses = ticked.pause, dict(ticked.slot_pauses)
        memory.alert_state = ticked.alert_state
        memory.orphans_seen_at = ticked.orphans_seen_at
        del memory.outcomes[: len(ticked.world.outcomes)]
        self._orders.written()
        self._board.taken(ticked.world.readings)
        for bug in ticked.bugs:
            memory.held_until[bug.slot] = hold_until(ticked.snapshot.at)
        self._notifier.take(ticked.batch.outbox)
        if any(_is_stop(event) for event in ticked.plan.events):
            self._purse.hurry()  # an empty account may be why, and then nothing is given up for it
        self._due = Due(at=ticked.next_check_at, if_heard_at=ticked.next_check_if_heard_at)
        self._is_quiet = is_quiet(ticked.world, ticked.plan, ticked.snapshot.records.values())
        self._snapshot = ticked.snapshot

    def _publish(self, ticked: Ticked, now: datetime, started_s: float) -> None:
        duration_s = self._clock.monotonic() - started_s
        sentence = ticked.plan.sentence()
        self._publish_now(
            (
                *ticked.events,
                TickFinished(
                    tick=self._tick,
                    acts=len(ticked.plan.acts),
                    duration_s=duration_s,
                    detail=sentence,
                ),
            ),
            now,
        )
        if duration_s > self._declared.desired.fleet.tick_interval_s:
            self._facts.note(TickOverran(tick=self._tick, duration_s=duration_s))
        if not self._is_ready:
            self._is_ready = True
            self._ports.heartbeat.ready(sentence)
        self._ports.heartbeat.alive(sentence)
        self._ticked.set()
        self._ticked = asyncio.Event()

    def _fail_tick(self, error: str, told: tuple[Event, ...]) -> None:
        """Nothing was executed and nothing is forgotten; the next tick does it all again."""
        self._failed_ticks += 1
        self._facts.give_back(told)
        self._orders.not_written()
        self._publish_now((TickFailed(tick=self._tick, error=self._facts.redact(error)),))

    def _follow(self, ticked: Ticked) -> None:
        """Watch every rental of a slot that the marketplace shows as running."""
        listing, records = ticked.world.listing, self._remembered().records
        if listing is None:
            return
        basis = (listing.instances, records, self._declared)
        if all(a is b for a, b in zip(basis, self._followed, strict=True)):
            return  # the quiet case: nothing that matters here has changed
        self._followed = basis
        if not self._unreadable_told:  # else the listing is an old one
            self._purse.pays(burn_of(listing.instances, traffic_by_instance(records)))
        self._keys.bring(records.values())
        self._targets = targets(records, listing, self._declared, self._targets, self._workload_of)
        self._board.restless = restless(records)
        self._watch.follow(self._targets)
        self._dead_man.follow(self._targets)

    def _is_reading_news(self, reading: Reading, heard_at: datetime | None) -> bool:
        memory, target = self._remembered(), self._targets.get(reading.instance_id)
        stream = None if target is None else stream_named(self._declared.desired, target.slot)
        if target is None or stream is None:
            return True
        record, listing = memory.records.get(target.slot), self._survey.listing_now()
        return is_news(reading, heard_at, record, stream.policy, memory.started_at, listing)

    # --- what happens between ticks -----------------------------------------------------------------

    def _finished(self, outcome: Outcome) -> None:
        self._remembered().outcomes.append(outcome)
        if outcome.reason is Reason.OUT_OF_CREDIT:
            self._purse.hurry()
        self.nudge()

    def _hide(self, text: str) -> str:
        return self._declared.redact(text)  # of the configuration that is in force now

    def _note_bug(self, bug: SlotBug) -> None:
        self._remembered().held_until[bug.slot] = hold_until(self._clock.now())
        self._facts.note(bug)

    def _tell_market(self) -> None:
        """Note the edges: the first unreadable listing, and the first good one after it."""
        since = self._survey.unreadable_since
        if since is not None and not self._unreadable_told:
            self._unreadable_told = True
            self._unreadable_from = since
            self._purse.begin_anew()
            error = self._facts.redact(self._survey.unreadable_error)
            self._facts.add(MarketUnreadable(error=error))
        elif since is None and self._unreadable_told:
            self._unreadable_told = False
            self._followed = (None, None, None)
            dark_s = max(0.0, (self._clock.now() - self._unreadable_from).total_seconds())
            self._facts.add(MarketReadable(duration_s=dark_s))

    def _check_clock(self, now: datetime, mono_s: float) -> None:
        """Notice a clock that stepped, and a keeper that was away: nothing was judged meanwhile.

        Deadlines have passed while nobody looked, and what was known is old. So it counts as a start:
        a host that was booting an hour ago gets the time to show that it has come up.
        """
        looked = self._clocks.look(now, mono_s, self._declared.desired.fleet.tick_interval_s)
        if looked.step_s:
            self._facts.add(ClockStepped(duration_s=round(looked.step_s, 3)))
            self._board.clock_stepped(looked.step_s, now)
            self._survey.offers.clear()  # their age is not known any more
            self._remembered().clock_stepped(looked.step_s)
        if looked.step_s or looked.was_away:
            self._remembered().started_at = now
            self._purse.begin_anew()
            self._followed = (None, None, None)

    def _may_touch(self, instance_id: InstanceId) -> bool:
        """Whether the marketplace may be asked to change something for a rental (I12)."""
        if self._snapshot is None or self._stop.is_set():
            return False
        memory = self._remembered()
        return may_touch(
            instance_id,
            memory.records,
            self._declared.desired,
            self._clock.now(),
            fuses=self._snapshot.plan.fuses,
            windows=self._windows.open,
            paused=memory.slot_pauses,
        )

    def _publish_now(self, events: tuple[Event, ...], at: datetime | None = None) -> None:
        when = at or self._clock.now()
        for event in events:
            self._ports.sink.publish(event, at=when, tick=self._tick)

    def _remembered(self) -> Memory:
        if self._memory is None:
            message = "the store has not been loaded"
            raise RuntimeError(message)
        return self._memory

    def _search_refused(self) -> SearchRefused | None:
        refused = self._survey.search_refused
        return refused and replace(refused, error=self._facts.redact(refused.error))

    def _offers_asked(self, stream: StreamName) -> frozenset[OfferId]:
        """Return the offers that operators named for slots of a stream."""
        records = self._remembered().records.values()
        return frozenset(
            record.offer_asked
            for record in records
            if record.offer_asked is not None and stream_of(record.slot) == stream
        )

    def _workload_of(self, slot: SlotId, revision: str) -> Workload | None:
        """Return what is, or is to be, on a slot's host."""
        return self._revisions.workload(stream_of(slot), revision)

    def _slots(self) -> Iterator[SlotId]:
        for stream in self._declared.desired.streams:
            yield from stream.slots

    # --- Control ----------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot | None:
        """Return the last tick's snapshot; None before the first."""
        return self._snapshot

    def is_healthy(self) -> bool:
        """Whether ticks finish."""
        return self._failed_ticks < _FAILED_TICKS_MAX

    def not_ready_because(self) -> str:
        """Return "" when ready: store open, first complete listing seen."""
        if self._memory is None:
            return "the store is not open yet"
        if self._snapshot is None:
            return "the first tick has not finished"
        if self._survey.listing is None:
            error = self._facts.redact(self._survey.unreadable_error)
            return f"no complete listing yet: {error or 'asking'}"
        return ""

    @property
    def is_stopping(self) -> bool:
        """Whether keeper was asked to stop."""
        return self._stop.is_set()

    @property
    def outbox_pending(self) -> int:
        """Messages that no channel has taken yet."""
        return self._notifier.pending

    async def order(self, order: Order) -> None:
        """Take an operator's order; returns when the tick that carries it is on disk.

        Raises TimedOut when no tick could be committed (the order is then withdrawn), and Uncertain
        when a commit is still on its way.
        """
        self._remembered()  # before there is a memory, an order would be lost with the first tick
        await self._orders.give(order)

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
        self._notifier.trust_again()
        changed = changes(self._declared, declared)
        self._declared = declared
        self._revisions.declare(declared)
        self.config_ok, self.config_at = True, self._clock.now()
        self._facts.note(ConfigReloaded(detail=", ".join(changed) or "nothing changed"))
        if self._is_ready and not self._stop.is_set():
            self._enroll.begin()
        self._ports.heartbeat.ready("configuration reloaded")
        return ReloadReport(changed=changed)

    def _rejected(self, problems: tuple[str, ...]) -> ReloadReport:
        self.config_ok = False
        self._facts.note(ConfigRejected(detail="; ".join(problems)))
        self._ports.heartbeat.ready("the new configuration was rejected; the old one stays")
        return ReloadReport(problems=problems)

    async def journal(
        self, *, slot: SlotId | None = None, limit: int = 200, after_seq: int = 0
    ) -> tuple[JournalEntry, ...]:
        """Read the newest facts."""
        return await self._ports.store.journal(slot=slot, limit=limit, after_seq=after_seq)

    def thumbnail(self, slot: SlotId) -> bytes:
        """Return the newest JPEG a viewer probe saw of a slot; empty when none."""
        record = self._memory.records.get(slot) if self._memory else None
        for instance_id in rentals_of(record) if record else ():
            if instance_id in self._board.frames:
                return self._board.frames[instance_id]
        return b""

    async def changed(self) -> None:
        """Wait for the next snapshot."""
        await self._ticked.wait()

    @property
    def own_network(self) -> Status:
        """What the ops box's own canary says."""
        return self._canary.status
