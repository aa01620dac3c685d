"""One reconcile, top to bottom: take what was seen, decide, write it down, then act and tell.

The order is the promise. Nothing is executed before the intents are committed; nothing is forgotten
before it is committed either, so a tick that cannot write changes nothing and is simply done again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from keeper.alerts import Channel
from keeper.alerts.dispatch import Numbers, dispatch, next_due_at
from keeper.alerts.rules import firing
from keeper.core import pauses
from keeper.core.decisions import Plan
from keeper.core.events import Event, OrphanCleared, OrphanSeen, SlotBug, facts
from keeper.core.meter import newer
from keeper.core.model import Desired, InstanceId, SlotId, SlotRecord, Status
from keeper.core.reconcile import reconcile
from keeper.core.standing import Standing
from keeper.core.under_way import DeployProgress, KeptFor
from keeper.core.world import Order, OrderKind, Pause, Snapshot, World
from keeper.daemon.memory import Memory
from keeper.daemon.outbox import rows_of
from keeper.daemon.silencing import first_end
from keeper.ports import Batch, JournalEntry

# A slot that keeper fails on is left alone this long before it is tried again.
_BUG_HOLD_S = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticked:
    """A decided tick, ready to be committed."""

    world: World
    plan: Plan
    batch: Batch
    snapshot: Snapshot
    events: tuple[Event, ...]  # the plan's and the shell's own, in order
    pause: Pause | None
    slot_pauses: Mapping[SlotId, Pause]
    alert_state: Mapping[str, Any]
    orphans_seen_at: Mapping[InstanceId, datetime]  # the first listing that showed each
    bugs: tuple[SlotBug, ...]
    next_check_at: datetime | None  # when anything could change by time alone, messages included
    next_check_if_heard_at: datetime | None  # the same if no witness falls silent until then


def decide(
    world: World,
    desired: Desired,
    now: datetime,
    *,
    tick: int,
    memory: Memory,
    own_events: tuple[Event, ...],
    latest: Mapping[Any, Any],
    channels: tuple[Channel, ...],
    numbers: Numbers,
    redact: Callable[[str], str],
    standing: Standing | None = None,
    made_at: datetime | None = None,
    deploys: Mapping[SlotId, DeployProgress] | None = None,
    kept: Mapping[SlotId, KeptFor] | None = None,
) -> Ticked:
    """Decide one tick. Touches nothing: a tick that cannot be committed has not happened.

    ``made_at``: when its messages count as made, where that is not now.
    """
    plan, bugs = reconcile_sparing_the_others(world, desired, now, redact, standing)
    events = (*own_events, *bugs, *plan.events)
    records = world.records
    if plan.records or plan.slots_forgotten:
        forgotten = frozenset(plan.slots_forgotten)
        changed = {record.slot: record for record in plan.records}
        records = {s: r for s, r in {**records, **changed}.items() if s not in forgotten}
    snapshot = Snapshot(
        desired=desired,
        world=world,
        plan=plan,
        records=records,
        at=now,
        tick=tick,
        latest=latest,
        deploys=deploys or {},
        kept=kept or {},
    )
    alerts = firing(snapshot, now)
    is_blind = world.own_network is Status.FALSE
    alert_state, notices = dispatch(
        memory.alert_state, alerts, now, numbers, world.silences, is_blind=is_blind
    )
    due_at = next_due_at(alert_state, alerts, numbers) if alert_state else None
    outbox = rows_of(notices, channels, made_at or now)
    batch = Batch(
        records=plan.records,
        records_deleted=plan.slots_forgotten,
        condemned=plan.condemned if plan.condemned != memory.condemned else None,
        intents_opened=plan.intents_opened,
        intents_closed=plan.intents_closed,
        quarantine=plan.quarantine,
        quarantine_deleted=plan.quarantine_forgotten,
        pause=world.pause if world.pause != memory.pause else False,
        slot_pauses=world.slot_pauses if world.slot_pauses != memory.slot_pauses else None,
        alert_state=alert_state if alert_state != memory.alert_state else None,
        outbox=outbox,
        journal=tuple(entry(event, now, tick) for event in events),
        meter=None if plan.meter is None else newer(world.meter, plan.meter),
        meter_periods_deleted=_periods_forgotten(world, plan),
        revisions=plan.revisions,
        silences=world.silences if world.silences != memory.silences else None,
    )
    return Ticked(
        world=world,
        plan=plan,
        batch=memory.in_full(batch, plan.meter or world.meter) if memory.has_moved else batch,
        snapshot=snapshot,
        events=events,
        pause=world.pause,
        slot_pauses=world.slot_pauses,
        alert_state=alert_state,
        orphans_seen_at=_orphans(world, plan),
        bugs=bugs,
        next_check_at=_first(plan.next_check_at, due_at, first_end(world.silences)),
        next_check_if_heard_at=_first(
            plan.next_check_if_heard_at, due_at, first_end(world.silences)
        ),
    )


def _first(*moments: datetime | None) -> datetime | None:
    return min((at for at in moments if at is not None), default=None)


def _periods_forgotten(world: World, plan: Plan) -> tuple[str, ...]:
    if plan.meter is None:
        return ()
    return tuple(sorted(world.meter.tallies.keys() - plan.meter.tallies.keys()))


def entry(event: Event, now: datetime, tick: int) -> JournalEntry:
    """Write a fact the way the journal keeps it."""
    return JournalEntry(
        at=now,
        tick=tick,
        event=event.name,
        slot=getattr(event, "slot", None),
        facts=facts(event),
    )


def hold_until(now: datetime) -> datetime:
    """When a slot held by a bug is tried again."""
    return now + timedelta(seconds=_BUG_HOLD_S)


def pauses_after(
    orders: tuple[Order, ...],
    pause: Pause | None,
    slot_pauses: Mapping[SlotId, Pause],
    now: datetime,
    new: Iterable[SlotId] = (),
) -> tuple[Pause | None, Mapping[SlotId, Pause]]:
    """Apply the operator's pauses and resumes, let the expired ones end, and hold what is new."""
    if pause is not None and pause.until is not None and pause.until <= now:
        pause = None
    slots = {s: p for s, p in slot_pauses.items() if p.until is None or p.until > now}
    slots = dict(pauses.holding(slots, new))  # before the orders, of which one may resume it
    for order in orders:
        taken = Pause(since=order.at, until=order.until, actor=order.actor, reason=order.reason)
        if order.kind is OrderKind.PAUSE and order.slot is None:
            pause = taken
        elif order.kind is OrderKind.RESUME and order.slot is None:
            pause = None
        elif order.kind in (OrderKind.PAUSE, OrderKind.DESTROY) and order.slot is not None:
            # A destroyed slot stays empty until it is resumed: otherwise keeper would fill it again.
            was = None if order.stream is None else slot_pauses.get(pauses.key_of(order.stream))
            slots = pauses.paused(slots, order.slot, taken, stream=order.stream, was=was)
        elif order.kind is OrderKind.RESUME and order.slot is not None:
            slots = pauses.resumed(slots, order.slot, is_all=order.stream is not None)
    return pause, slot_pauses if slots == slot_pauses else slots


def reconcile_sparing_the_others(
    world: World,
    desired: Desired,
    now: datetime,
    redact: Callable[[str], str],
    standing: Standing | None = None,
) -> tuple[Plan, tuple[SlotBug, ...]]:
    """Reconcile; when a bug strikes, find the slots it strikes on and hold only those.

    What the bug says may hold whatever was decided upon: ``redact`` hides secrets, then shortens.
    """
    try:
        return reconcile(world, desired, now, standing), ()
    except Exception as bug:
        if standing is not None:
            standing.forget()
        # Net 2 of 2. The culprits are the slots without which the rest can be decided.
        error = redact(f"{type(bug).__name__}: {bug}")
        declared = {
            slot for stream in desired.streams for slot in (*stream.slots, *stream.spare_places)
        }
        slots = tuple(sorted(world.records.keys() | declared))
        if _is_struck(world, desired, now, held=frozenset(slots)):
            raise  # no slot's bug
        culprits = _culprits(world, desired, now, slots, frozenset(slots))
        plan = reconcile(_holding(world, frozenset(culprits)), desired, now)
        return plan, tuple(SlotBug(slot=slot, error=error) for slot in culprits)


def _culprits(
    world: World,
    desired: Desired,
    now: datetime,
    suspects: tuple[SlotId, ...],
    every: frozenset[SlotId],
) -> tuple[SlotId, ...]:
    """Halve the suspects, all others held: a thousand slots are twenty looks, not a thousand."""
    if not _is_struck(world, desired, now, held=every.difference(suspects)):
        return ()
    if len(suspects) == 1:
        return suspects
    half = len(suspects) // 2
    found = (
        *_culprits(world, desired, now, suspects[:half], every),
        *_culprits(world, desired, now, suspects[half:], every),
    )
    return found or suspects  # only together do they strike


def _is_struck(world: World, desired: Desired, now: datetime, *, held: frozenset[SlotId]) -> bool:
    try:
        reconcile(_holding(world, held), desired, now)
    except Exception:  # noqa: BLE001 - part of net 2
        return True
    return False


def _holding(world: World, slots: frozenset[SlotId]) -> World:
    return replace(world, held_slots=world.held_slots | slots)


def _orphans(world: World, plan: Plan) -> Mapping[InstanceId, datetime]:
    known = world.orphans_seen_at
    if world.listing is None or not plan.events:
        return known
    listed_at = world.listing.at
    seen = {e.instance_id: listed_at for e in plan.events if isinstance(e, OrphanSeen)}
    cleared = {e.instance_id for e in plan.events if isinstance(e, OrphanCleared)}
    if not seen and not cleared:
        return known
    return {i: at for i, at in {**seen, **known}.items() if i not in cleared}


def rentals_of(record: SlotRecord) -> tuple[InstanceId, ...]:
    """The rentals of a slot that have an id."""
    return tuple(
        tenure.instance_id
        for tenure in (record.tenure, record.incoming)
        if tenure is not None and tenure.instance_id is not None
    )
