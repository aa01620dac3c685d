"""What keeper does next, and why: the one function that decides. Read this page first.

    take     what a person has ordered            orders.py
    settle   what became of earlier acts          settle.py
    leave    which slots need no look             undisturbed.py, standing.py
    bind     which rental belongs to which slot   bind.py
    judge    what to believe of each rental       health.py, belief.py, incident.py
    decide   what each slot needs                 remedy.py, rollout.py, mute.py, lulls.py, swap.py
    admit    what may be done now                 fuses.py, caps.py, curb.py, rent.py
    enact    write it down                        enact.py, retire.py, books.py
    end      what nobody wants, until it is gone  wind_up.py, ends.py

Pure: facts, wishes and the time come in, a plan goes out. Nothing here waits, asks or tells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from keeper.core import books, incident, lulls, mute, recycle, revisions, rollout, swap, swapping
from keeper.core.bind import bind
from keeper.core.case import Proposal, Wish, case_of
from keeper.core.conditions import has_just_gone_silent, status_of
from keeper.core.creates import without_search
from keeper.core.curb import curb
from keeper.core.dark import forgive
from keeper.core.decisions import Hold, Plan, Wait
from keeper.core.draft import Draft, Seat
from keeper.core.enact import enact, hold
from keeper.core.ends import end_condemned
from keeper.core.events import ConditionChanged, HostKeyChanged, InstanceBooted
from keeper.core.fuses import refuse, trip
from keeper.core.health import Evidence, judge
from keeper.core.model import (
    ConditionKind,
    Desired,
    InstanceId,
    Reading,
    SlotId,
    SlotRecord,
    Status,
    Stream,
    Tenure,
    is_spare,
)
from keeper.core.moments import elapsed_s, later
from keeper.core.orders import take_orders, without_stale_order
from keeper.core.promote import at_hand
from keeper.core.reasons import Reason
from keeper.core.remedy import propose
from keeper.core.settle import settle
from keeper.core.spares import propose as propose_for_spare
from keeper.core.standing import Standing
from keeper.core.stopped import comes
from keeper.core.undisturbed import leave_alone, note_sound, stands
from keeper.core.wind_up import end_as_ordered, end_strays, forget_slots, wind_up
from keeper.core.world import World

# What is tried before a host is given up.
_CHEAPER = (Wish.RESTART, Wish.REBOOT)


def reconcile(
    world: World, desired: Desired, now: datetime, standing: Standing | None = None
) -> Plan:
    """Decide one tick. ``standing`` is what the tick before left of itself: it saves work, no more."""
    draft = Draft(world, desired, now, standing)
    take_orders(draft)
    forgive(draft)
    settle(draft)
    leave_alone(draft, desired)
    bind(draft)
    _judge_all(draft)
    revisions.take_stock(draft)
    trip(draft)
    end_strays(draft)  # first: what is to end counts before anything is rented beside it
    curb(draft)
    for slot, stream in draft.slots.items():
        sound = stands(draft, slot, stream)
        if sound is None:
            _decide_slot(draft, slot, stream)
        else:
            draft.decisions.append(sound.decision)
    for place, stream in draft.spares.items():  # after the slots, whose money comes first
        _decide_slot(draft, place, stream)
    for slot in draft.undeclared:
        wind_up(draft, slot)
    end_condemned(draft)
    forget_slots(draft)
    books.keep(draft)
    note_sound(draft)
    return draft.plan()


# --- judge ------------------------------------------------------------------------------------------


def _judge_all(draft: Draft) -> None:
    for slot, seat, tenure in draft.attended():
        instance_id = tenure.instance_id
        if instance_id is not None:
            readings = draft.readings.get(instance_id, ())
            _judge_tenure(draft, slot, seat, tenure, instance_id, readings)
        if seat is Seat.TENURE and not is_spare(slot):
            swapping.watch(draft, slot)
            if not swapping.is_patient(draft, slot):
                incident.follow(draft, slot)


def _judge_tenure(
    draft: Draft,
    slot: SlotId,
    seat: Seat,
    tenure: Tenure,
    instance_id: InstanceId,
    readings: Sequence[Reading],
) -> None:
    world = draft.world
    is_guarded = world.guards.get(instance_id, tenure.is_guarded)
    if is_guarded is not tenure.is_guarded:
        tenure = replace(tenure, is_guarded=is_guarded)
        draft.put(slot, seat, tenure)
    judged = judge(
        tenure,
        Evidence(
            instance=draft.listed.get(instance_id),
            listing=world.listing,
            readings=readings,
            heard_at=world.heard_at,
            host_key=world.host_keys.get(instance_id, ""),
            started_at=world.started_at,
            policy=draft.policy(slot),
            fleet=draft.fleet,
            is_acting=slot in world.in_flight,
            now=draft.now,
            is_blind=world.own_network is Status.FALSE,
        ),
    )
    draft.wake(judged.next_check_at)
    draft.wake_if_silent(judged.silent_at)
    if judged.tenure is not tenure:
        draft.put(slot, seat, judged.tenure)
    for condition, detail in judged.changed:
        draft.tell(
            ConditionChanged(
                slot=slot,
                instance_id=instance_id,
                condition=condition.kind,
                status=condition.status,
                reason=condition.reason,
                detail=detail,
            )
        )
    if judged.has_new_host_key:
        draft.tell(HostKeyChanged(slot=slot, instance_id=instance_id))
    if judged.has_booted:
        since = tenure.booting_since or tenure.rented_at or tenure.requested_at
        duration_s = elapsed_s(since, draft.now)
        draft.tell(InstanceBooted(slot=slot, instance_id=instance_id, duration_s=duration_s))
    if tenure.dead_since is not None:
        _await_agreement(draft, slot, tenure.dead_since)
    elif judged.tenure.booted_at is None or has_just_gone_silent(judged.tenure):
        draft.is_curious = True  # another listing may end the waiting, or show another address


def _await_agreement(draft: Draft, slot: SlotId, dead_since: datetime) -> None:
    """Ask for listings about a rental that is said to be down, until no patience is left with it.

    How much there is depends on the case (``signs.down_at``): each possible end counts.
    """
    draft.is_curious = True
    listing, policy = draft.world.listing, draft.policy(slot)
    patiences_s = (policy.fatal_state_s, policy.create_settle_s, policy.unreachable_s)
    ends = [later(dead_since, patience_s) for patience_s in patiences_s]
    if draft.world.started_at is not None:
        ends.append(later(draft.world.started_at, policy.fatal_state_s))
    for at in sorted(ends):
        if listing is None or listing.at < at:
            draft.count_listings(at)
            return


# --- decide and admit -------------------------------------------------------------------------------


def _decide_slot(draft: Draft, slot: SlotId, stream: Stream) -> None:
    if slot in draft.world.held_slots:
        draft.decide(
            slot,
            Hold(
                slot=slot,
                reason=Reason.SLOT_HELD_BY_BUG,
                wanted="watch",
                wanted_reason=draft.records[slot].last_act_reason,
            ),
        )
        return
    if slot in draft.decided:
        return  # an adoption is the slot's decision of this tick
    if slot in draft.world.in_flight:
        draft.decide(slot, Wait(slot=slot, reason=Reason.ACT_IN_FLIGHT))
        return
    if draft.records[slot].destroy_asked_at is not None and end_as_ordered(draft, slot):
        return
    proposal = _propose(draft, slot, stream)
    while proposal.wish is Wish.FORGET and refuse(draft, slot, proposal) is None:
        # Nothing has to be ended, so what is left can have its decision at once.
        _admit(draft, slot, stream, proposal)
        proposal = _propose(draft, slot, stream)
    _admit(draft, slot, stream, proposal)


def _admit(draft: Draft, slot: SlotId, stream: Stream, proposal: Proposal) -> None:
    if proposal.wish is Wish.WAIT or proposal.wish is Wish.HOLD:
        enact(draft, slot, stream, proposal)
        return
    refusal = refuse(draft, slot, proposal)
    if refusal is None:
        enact(draft, slot, stream, proposal)
    elif proposal.reason is Reason.RECYCLE and refusal.reason is not Reason.SUGGEST_ONLY:
        enact(draft, slot, stream, Proposal(wish=Wish.WAIT, reason=Reason.HEALTHY))
    else:
        hold(draft, slot, proposal, refusal)


def _propose(draft: Draft, slot: SlotId, stream: Stream) -> Proposal:
    if slot in draft.spares:
        wanted = propose_for_spare(draft, slot, stream)
        return (_ended_first(draft, slot) or wanted) if wanted.wish is Wish.RENT else wanted
    record = draft.records[slot]
    if record.tenure is None and record.incoming is not None:
        # The create of the serving rental came to nothing; what was to follow it serves now.
        record = draft.records[slot] = replace(record, tenure=record.incoming, incoming=None)
    tenure = record.tenure
    if tenure is None:
        rent = Proposal(wish=Wish.RENT, reason=Reason.VACANT)
        is_rented_ahead = (
            at_hand(draft, slot, stream, rent.reason) or comes(draft, slot, stream, rent.reason)
        ) is not None
        return rent if is_rented_ahead else _ended_first(draft, slot) or rent
    if tenure.instance_id is None:
        return Proposal(wish=Wish.WAIT, reason=Reason.CREATE_UNSETTLED)
    record = without_stale_order(draft, record)
    if record.swap is not None and record.incoming is not None:
        return swap.propose(draft, slot, stream)
    return _propose_seated(draft, slot, stream, record, tenure)


def _propose_seated(
    draft: Draft, slot: SlotId, stream: Stream, record: SlotRecord, tenure: Tenure
) -> Proposal:
    """Say what a slot needs whose host is rented."""
    proposal = _propose_for_host(draft, stream, record, tenure)
    proposal = rollout.amend(draft, slot, stream, tenure, proposal)
    record = draft.records[slot]
    memory_s = draft.fleet.common_cause_memory_s
    proposal = mute.spared(record, tenure, proposal, draft.now, memory_s)
    if proposal.wish is Wish.DEPLOY and stream.takes_one_publisher and tenure.deployed_at is None:
        return _ended_first(draft, slot) or proposal  # whoever was to end may publish still
    if proposal.wish is Wish.RENT:  # a successor for the contract's end or for the price
        return _ended_first(draft, slot) or proposal
    is_asked = record.replace_asked_at is not None and not incident.is_as_ordered(record, tenure)
    if is_asked and record.incoming is None and proposal.wish in _CHEAPER:
        return _propose_ordered_replacement(draft, record, tenure)  # a person wants no more tries
    if proposal.wish is not Wish.WAIT and proposal.wish is not Wish.HOLD:
        return proposal
    if record.incoming is not None:
        return _propose_for_incoming(draft, stream, record, record.incoming, proposal)
    if is_asked:
        return _propose_ordered_replacement(draft, record, tenure)
    if proposal.reason is Reason.HEALTHY:
        # A successor that was looked for is no longer needed: the contract was prolonged, say.
        if recycle.is_recycle_due(draft, slot, stream):
            return _ended_first(draft, slot) or Proposal(
                wish=Wish.RENT, reason=Reason.RECYCLE, is_incoming=True
            )
        draft.records[slot] = without_search(record)
    return proposal


def _ended_first(draft: Draft, slot: SlotId) -> Proposal | None:
    """Break, then make: the slot's old rental must have heard of its end before a new one begins.

    Otherwise a marketplace that creates but does not destroy would pile them up, and so would an order
    that waits its turn behind many others; one listing without the old one is no end of it (I9). One
    that will not end in spite of several tries is left behind, so that the stream comes back; two are
    not (I5).
    """
    unheard = [
        each for each in draft.condemned.values() if each.slot == slot and each.accepted_at is None
    ]
    heard = [each.tries - each.tries_unsent for each in unheard]
    is_stubborn = len(unheard) == 1 and heard[0] >= draft.fleet.destroy_quick_tries
    if not unheard or is_stubborn:
        return None
    return Proposal(wish=Wish.WAIT, reason=Reason.CONDEMNED)


def _propose_for_host(draft: Draft, stream: Stream, record: SlotRecord, tenure: Tenure) -> Proposal:
    assert tenure.instance_id is not None
    instance = draft.listed.get(tenure.instance_id)
    stream = revisions.as_of(draft, stream, tenure.revision)
    return propose(case_of(draft.world, draft.now, stream, draft.fleet, record, tenure, instance))


def _propose_for_incoming(
    draft: Draft, stream: Stream, record: SlotRecord, incoming: Tenure, proposal: Proposal
) -> Proposal:
    """Let the incoming rental have the tick that the serving one does not need."""
    if incoming.instance_id is None:
        return Proposal(wish=Wish.WAIT, reason=Reason.CREATE_UNSETTLED)
    other = _propose_for_host(draft, stream, record, incoming)
    other = rollout.amend_incoming(draft, record.slot, stream, incoming, other)
    if other.wish is Wish.SWAP:
        other = swap.first(draft, record.slot, stream, other)
    elif other.wish is Wish.PROMOTE and record.tenure is not None:
        since = incoming.booted_at or draft.now
        no_later = later(since, stream.policy.handover_max_s)
        other = lulls.first(draft, record.slot, stream, record.tenure, other, no_later=no_later)
    if other.wish is Wish.WAIT and proposal.reason is not Reason.HEALTHY:
        draft.wake(other.until)
        return proposal
    return other


def _propose_ordered_replacement(draft: Draft, record: SlotRecord, tenure: Tenure) -> Proposal:
    """Make, then break, when the old host may still be good; else the other way round (I11)."""
    is_dark = status_of(tenure, ConditionKind.STREAMING) is Status.FALSE and not mute.is_mute(
        tenure
    )
    if is_dark or tenure.first_live_at is None:
        return Proposal(wish=Wish.REPLACE, reason=Reason.OPERATOR_ASKED)
    return _ended_first(draft, record.slot) or Proposal(
        wish=Wish.RENT, reason=Reason.HANDOVER, is_incoming=True
    )
