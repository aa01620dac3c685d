"""One tick of the daemon, from the clock to the page: observe, decide, write down, act, tell."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from keeper.core.events import (
    ClockStepped,
    ConditionChanged,
    Event,
    MarketReadable,
    MarketUnreadable,
    TickFailed,
    TickFinished,
    TickOverran,
)
from keeper.core.model import ConditionKind, SlotId, Status
from keeper.core.pauses import newcomers, of_slots
from keeper.core.reasons import Reason
from keeper.core.standing import Standing
from keeper.core.world import SearchRefused, World
from keeper.daemon.beat import Due
from keeper.daemon.crew import Crew
from keeper.daemon.declared import Ports
from keeper.daemon.error_line import describe
from keeper.daemon.ground import Ground
from keeper.daemon.orders import expanded, facts_of, joined, lapsed
from keeper.daemon.rest import is_quiet
from keeper.daemon.silencing import silence_facts, silences_after
from keeper.daemon.tick import Ticked, decide, hold_until, pauses_after
from keeper.ports import StoreError


def _is_stop(event: Event) -> bool:
    """Whether a fact says that the marketplace has stopped a rental."""
    return (
        isinstance(event, ConditionChanged)
        and event.condition is ConditionKind.RENTED
        and event.status is Status.FALSE
        and event.reason is Reason.MARKET_STOPPED_IT
    )


class Ticker:
    """Does the ticks. Only a committed one is remembered, carried out and told of."""

    def __init__(self, ports: Ports, ground: Ground, crew: Crew) -> None:
        self._ports = ports
        self._ground = ground
        self._crew = crew
        self._clock = ports.clock
        self._standing = Standing()
        self._tick = 0
        self._is_quiet = False  # as the last tick found it
        self._unreadable_told = False
        self._unreadable_from = self._clock.now()
        self.is_ready = False
        self.failed_ticks = 0  # in a row
        self.due = Due()

    async def tick_once(self) -> None:
        """Do one tick. One that cannot be written down has not happened."""
        started_s = self._clock.monotonic()
        now = self._clock.now()
        self._tick += 1
        self._check_clock(now, started_s)
        memory = self._ground.memory
        world = self._observe(now)
        told = self._crew.facts.take()
        over = lapsed(memory.pause, memory.slot_pauses, now)
        held = joined(self._newcomers(), world.slot_pauses)
        ordered = (fact for order in world.orders for fact in facts_of(order))
        silenced = silence_facts(world.orders, memory.silences, now)
        own_events = (*told, *over, *held, *ordered, *silenced)
        try:
            ticked = decide(
                world,
                self._ground.desired,
                now,
                tick=self._tick,
                memory=memory,
                own_events=own_events,
                latest=dict(self._crew.board.latest),
                channels=self._ground.declared.channels,
                numbers=self._ground.declared.alert_numbers,
                redact=self._crew.facts.redact,
                standing=self._standing,
                made_at=self._crew.notifier.made_at(now),
                deploys=self._crew.archiving.deploys,
                kept=self._crew.archiving.kept,
            )
            if not ticked.batch.is_empty():
                await asyncio.shield(self._ports.store.commit(ticked.batch))
        except StoreError as error:
            self._fail_tick(describe(error), told)
            return
        except Exception as bug:  # noqa: BLE001 - net 2 of 2: a bug costs a tick, and is told
            self._fail_tick(describe(bug), told)
            return
        self.failed_ticks = 0
        self._crew.clocks.ticked(self._clock.monotonic())
        self._settle(ticked)
        self._crew.executor.start(ticked.plan.acts)
        self._crew.following.follow(world.listing, is_old=self._unreadable_told)
        self._crew.lulls.follow(memory.records)
        self._crew.survey.want(ticked.plan.wants)
        self._publish(ticked, now, started_s)

    def _observe(self, now: datetime) -> World:
        """Gather everything known into one immutable value. Waits for nothing."""
        memory, survey = self._ground.memory, self._crew.survey
        orders = self._crew.orders.take()
        if orders:
            paused = of_slots(memory.slot_pauses)  # some of which may be declared no more
            orders = expanded(orders, {*memory.records, *self._slots(), *paused})
        survey.outdate(orders)
        self._crew.draining.ordered(orders)
        pause, slot_pauses = pauses_after(
            orders, memory.pause, memory.slot_pauses, now, self._newcomers()
        )
        if memory.held_until:
            memory.held_until = {s: t for s, t in memory.held_until.items() if t > now}
        self._tell_market()
        self._crew.windows.look(now)
        return World(
            keeper_id=memory.keeper_id,
            records=memory.records,
            listing=survey.listing_now(),
            unreadable_since=survey.unreadable_since,
            unreadable_error=self._crew.facts.redact(survey.unreadable_error),
            shown=survey.take_shown(),
            offers=dict(survey.offers),
            readings=self._crew.board.unseen(),
            heard_at=dict(self._crew.board.heard_at),
            host_keys=dict(self._crew.board.host_keys),
            guards=dict(self._crew.dead_man.marks),
            lulls=self._crew.lulls.seen,
            condemned=memory.condemned,
            intents=tuple(memory.intents.values()),
            outcomes=tuple(memory.outcomes),
            in_flight=self._crew.executor.slots_in_flight,
            in_flight_instances=self._crew.executor.instances_in_flight,
            quarantine=memory.quarantine,
            orphans_known=frozenset(memory.orphans_seen_at),
            orphans_seen_at=memory.orphans_seen_at,
            fuses_known=memory.fuses_known,
            causes_known=memory.causes_known,
            windows=self._crew.windows.open,
            windows_ahead=self._crew.windows.ahead,
            windows_change_at=self._crew.windows.changes_at,
            orders=orders,
            pause=pause,
            slot_pauses=slot_pauses,
            held_slots=frozenset(memory.held_until),
            is_stopping=self._ground.stopping.is_set(),
            own_network=self._crew.canary.status,
            started_at=memory.started_at,
            search_refused=self._search_refused(),
            account=self._crew.purse.seen,
            meter=memory.meter,
            silences=silences_after(orders, memory.silences, now),
            revisions=memory.revisions,
            makeable=self._crew.revisions.at_hand(memory.revisions),
        )

    def _newcomers(self) -> tuple[SlotId, ...]:
        """Return the slots that have just come to a paused stream."""
        memory = self._ground.memory
        return newcomers(memory.slot_pauses, self._ground.desired.streams, memory.records)

    def _settle(self, ticked: Ticked) -> None:
        """The commit is durable: now, and only now, remember it."""
        memory = self._ground.memory
        memory.absorb(ticked.plan)
        memory.pause, memory.slot_pauses = ticked.pause, dict(ticked.slot_pauses)
        memory.alert_state = ticked.alert_state
        memory.silences = ticked.world.silences
        memory.orphans_seen_at = ticked.orphans_seen_at
        del memory.outcomes[: len(ticked.world.outcomes)]
        self._crew.orders.written()
        self._crew.board.taken(ticked.world.readings)
        for bug in ticked.bugs:
            memory.held_until[bug.slot] = hold_until(ticked.snapshot.at)
        self._crew.notifier.take(ticked.batch.outbox)
        if any(_is_stop(event) for event in ticked.plan.events):
            self._crew.purse.hurry()  # an empty account may be why, and then nothing is given up for it
        self.due = Due(at=ticked.next_check_at, if_heard_at=ticked.next_check_if_heard_at)
        self._is_quiet = is_quiet(ticked.world, ticked.plan, ticked.snapshot.records.values())
        self._ground.snapshot = ticked.snapshot

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
        if duration_s > self._ground.desired.fleet.tick_interval_s:
            self._crew.facts.note(TickOverran(tick=self._tick, duration_s=duration_s))
        if not self.is_ready:
            self.is_ready = True
            self._ports.heartbeat.ready(sentence)
        self._ports.heartbeat.alive(sentence)
        self._ground.ticked_s = self._clock.monotonic()
        self._ground.tell_changed()

    def _fail_tick(self, error: str, told: tuple[Event, ...]) -> None:
        """Nothing was executed and nothing is forgotten; the next tick does it all again."""
        self.failed_ticks += 1
        self._crew.facts.give_back(told)
        self._crew.orders.not_written()
        self._publish_now((TickFailed(tick=self._tick, error=self._crew.facts.redact(error)),))

    def _tell_market(self) -> None:
        """Note the edges: the first unreadable listing, and the first good one after it."""
        since = self._crew.survey.unreadable_since
        if since is not None and not self._unreadable_told:
            self._unreadable_told = True
            self._unreadable_from = since
            self._crew.purse.begin_anew()
            error = self._crew.facts.redact(self._crew.survey.unreadable_error)
            self._crew.facts.add(MarketUnreadable(error=error))
        elif since is None and self._unreadable_told:
            self._unreadable_told = False
            self._crew.following.anew()
            dark_s = max(0.0, (self._clock.now() - self._unreadable_from).total_seconds())
            self._crew.facts.add(MarketReadable(duration_s=dark_s))

    def _check_clock(self, now: datetime, mono_s: float) -> None:
        """Notice a clock that stepped, and a keeper that was away: nothing was judged meanwhile.

        Deadlines have passed while nobody looked, and what was known is old. So it counts as a start:
        a host that was booting an hour ago gets the time to show that it has come up.
        """
        looked = self._crew.clocks.look(now, mono_s, self._ground.desired.fleet.tick_interval_s)
        if looked.step_s:
            self._crew.facts.add(ClockStepped(duration_s=round(looked.step_s, 3)))
            self._crew.board.clock_stepped(looked.step_s, now)
            self._crew.survey.clock_stepped()
            self._ground.memory.clock_stepped(looked.step_s, now)
            self._crew.purse.clock_stepped(looked.step_s)
        if looked.step_s or looked.was_away:
            self._ground.memory.started_at = now
            self._crew.purse.begin_anew()
            self._crew.following.anew()

    def _publish_now(self, events: tuple[Event, ...], at: datetime | None = None) -> None:
        when = at or self._clock.now()
        for event in events:
            self._ports.sink.publish(event, at=when, tick=self._tick)

    def _search_refused(self) -> SearchRefused | None:
        refused = self._crew.survey.search_refused
        return refused and replace(refused, error=self._crew.facts.redact(refused.error))

    def _slots(self) -> Iterator[SlotId]:
        for stream in self._ground.desired.streams:
            yield from (*stream.slots, *stream.spare_places)

    def may_rest(self) -> bool:
        """Whether nobody could see anything new before somebody says so; see ``ports.Foresight``."""
        return (
            self._ports.foresight is not None
            and self._is_quiet
            and self.failed_ticks == 0
            and self._crew.survey.is_resting
        )
