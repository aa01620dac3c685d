"""What must hold of a plan in every small world: policy.md's invariants, read off from outside.

Nothing here asks the core how it judged. What may bill, what is ours and what is on air is worked out
again, from the world as it was built.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from keeper.core.decisions import Adopt, Destroy, Hold, Plan, Rent, Wait
from keeper.core.model import Desired, InstanceId, SlotId, SlotRecord, Tenure
from keeper.core.reasons import SENTENCE, Reason
from keeper.core.world import World
from tests.builders import KEEPER_ID, NOW
from tests.property.small_worlds import (
    CLOSED,
    ORDERED,
    QUARANTINED_MACHINE,
    UNLISTED,
    USED_DOLLARS,
    Budget,
    Creating,
    Health,
    Host,
    Place,
    Shown,
    Small,
    Weather,
)

Promise = Callable[[Small, World, Desired, Plan], bool]


def broken(small: Small, world: World, desired: Desired, plan: Plan) -> Iterator[str]:
    """Yield the names of the promises that a plan breaks."""
    for promise in PROMISES:
        if not promise(small, world, desired, plan):
            yield promise.__name__


# --- what is there, worked out again ----------------------------------------------------------------


def _seats(record: SlotRecord | None) -> tuple[Tenure, ...]:
    if record is None:
        return ()
    return tuple(each for each in (record.tenure, record.incoming) if each is not None)


def _after(world: World, plan: Plan) -> dict[SlotId, SlotRecord]:
    after = {**world.records, **{record.slot: record for record in plan.records}}
    return {slot: record for slot, record in after.items() if slot not in plan.slots_forgotten}


def _ids(records: dict[SlotId, SlotRecord]) -> set[InstanceId]:
    return {
        seated.instance_id
        for record in records.values()
        for seated in _seats(record)
        if seated.instance_id is not None
    }


def _label_is_of(label: str, record: SlotRecord | None) -> bool:
    """Whether our journal has written this label: our id, the slot, an attempt it has made."""
    prefix = f"keeper:{KEEPER_ID}:"
    if record is None or not label.startswith(prefix):
        return False
    slot, _, attempt = label.removeprefix(prefix).rpartition(":")
    return slot == record.slot and int(attempt) <= record.attempt


def _is_known_end(world: World, act: Destroy) -> bool:
    return any(each.instance_id == act.instance_id for each in world.condemned)


def _rents(plan: Plan) -> list[Rent]:
    return [act for act in plan.acts if isinstance(act, Rent)]


def _place_of(small: Small, slot: SlotId | None) -> Place:
    assert slot is not None
    return small.slots[int(slot.rpartition("/")[2])]


def _is_proven(host: Host | Creating | None) -> bool:
    return isinstance(host, Host) and host.health is Health.GOOD


# --- money -----------------------------------------------------------------------------------------


def one_intent_one_label(_s: Small, world: World, _d: Desired, plan: Plan) -> bool:
    """I1, I2: a rental is asked for under a label never used before, and that is written first."""
    used = {seated.label for record in world.records.values() for seated in _seats(record)}
    used |= {each.label for each in world.condemned}
    used |= {each.label for each in (world.listing.instances if world.listing else ())}
    intents = {intent.intent_id: intent for intent in plan.intents_opened}
    after = _after(world, plan)
    return all(
        act.label not in used
        and act.intent_id in intents
        and intents[act.intent_id].label == act.label
        and act.label in {seated.label for seated in _seats(after[act.slot])}
        for act in _rents(plan)
    ) and len({act.label for act in _rents(plan)}) == len(_rents(plan))


def no_second_create_in_doubt(small: Small, world: World, _d: Desired, plan: Plan) -> bool:
    """I3, I10: none while an earlier one is unsettled; two complete listings settle it, apart."""
    for act in _rents(plan):
        place = _place_of(small, act.slot)
        doubts = [each for each in (place.serving, place.incoming) if isinstance(each, Creating)]
        if any(each is not Creating.LOST for each in doubts):
            return False
        if doubts and world.listing is None:
            return False
    return True


def within_every_cap(_s: Small, world: World, desired: Desired, plan: Plan) -> bool:
    """I4: after a rental is asked for, what may bill is within every cap of the stream and the fleet."""
    if not _rents(plan):
        return True
    records = _after(world, plan)
    bills = [
        seated.dollars_per_hour + seated.traffic_dollars_per_hour
        for record in records.values()
        for seated in _seats(record)
    ]
    known = _ids(records) | {each.instance_id for each in plan.condemned}
    bills += [each.dollars_per_hour for each in plan.condemned]
    # A rental of ours that nobody has claimed yet bills all the same.
    bills += [
        row.dollars_per_hour
        for row in (world.listing.instances if world.listing else ())
        if row.instance_id not in known
        and any(_label_is_of(row.label, record) for record in world.records.values())
    ]
    total = sum(bills) - 1e-9
    caps = (desired.fleet.spend_max_dollars_per_day, *(
        stream.spend_max_dollars_per_day for stream in desired.streams
    ))  # fmt: skip
    # Whatever is begun must fit for an hour more beside what the day has cost.
    if any(cap is not None and USED_DOLLARS + total > cap for cap in caps):
        return False
    return total <= desired.fleet.spend_max_dollars_per_hour and all(
        total <= stream.spend_max_dollars_per_hour for stream in desired.streams
    )


def one_host_per_slot(small: Small, world: World, desired: Desired, plan: Plan) -> bool:
    """I5: a second host only where an order asks for a hand-over, and never a third."""
    declared = {slot for stream in desired.streams for slot in stream.slots}
    after = _after(world, plan)
    for act in _rents(plan):
        seated = _seats(after[act.slot])
        is_handover = len(seated) > 1
        is_asked = small.weather is Weather.REPLACE_ORDERED and act.slot.endswith("/0")
        if act.slot not in declared or len(seated) > 2 or (is_handover and not is_asked):
            return False
    return len({act.slot for act in _rents(plan)}) == len(_rents(plan))


def ended_before_the_next(_s: Small, world: World, _d: Desired, plan: Plan) -> bool:
    """I5: a slot's next host waits until the end of the one before was heard, but for one stubborn."""
    for act in _rents(plan):
        unheard = [
            each
            for each in plan.condemned
            if each.slot == act.slot and each.accepted_at is None and each.absent_since is None
        ]
        if len(unheard) > 1 or any(each.tries < 3 for each in unheard):
            return False
    return True


def forgotten_only_when_confirmed(_s: Small, world: World, _d: Desired, plan: Plan) -> bool:
    """I7, I9: what leaves the books was absent from two listings and by its id; no list, no absence."""
    left = {each.instance_id for each in plan.condemned} | _ids(_after(world, plan))
    listed = {row.instance_id for row in world.listing.instances} if world.listing else set()
    for instance_id in _ids(dict(world.records)) | {each.instance_id for each in world.condemned}:
        if instance_id in left:
            continue
        is_gone = world.listing is not None and instance_id not in listed
        if not is_gone or world.shown.get(instance_id, 0) is not None:
            return False
    return True


def only_ours_is_touched(_s: Small, world: World, _d: Desired, plan: Plan) -> bool:
    """I8: nothing without label and journal is acted on or ends up in the books."""
    ours = _ids(dict(world.records)) | {each.instance_id for each in world.condemned}
    ours |= {
        row.instance_id
        for row in (world.listing.instances if world.listing else ())
        if any(_label_is_of(row.label, record) for record in world.records.values())
    }
    touched = {each.instance_id for each in plan.condemned} | _ids(_after(world, plan))
    touched |= {act.instance_id for act in plan.acts if not isinstance(act, Rent)}
    return touched <= ours


def a_spent_cap_ends_what_bills(small: Small, world: World, desired: Desired, plan: Plan) -> bool:
    """I4: with a cap used up nothing is rented, and nothing that has an id is left to bill on.

    But for what a fuse keeps (I12).
    """
    if small.budget is not Budget.SPENT:
        return True
    is_kept = small.weather not in (Weather.CALM, Weather.NO_CREDIT)
    if is_kept or Reason.MASS_FAILURE in plan.fuses:
        return not _rents(plan)
    # An adoption is its slot's decision of the tick; the end comes with the next.
    adopting = {act.slot for act in plan.acts if isinstance(act, Adopt)}
    after = _after(world, plan)
    left = _ids({slot: record for slot, record in after.items() if slot not in adopting})
    return not _rents(plan) and not left


def nothing_spent_without_credit(small: Small, _w: World, _d: Desired, plan: Plan) -> bool:
    """An empty account rents nothing, and gives up no host that nothing could follow."""
    return small.weather is not Weather.NO_CREDIT or not _rents(plan)


# --- the stream --------------------------------------------------------------------------------------


def last_good_host_stays(small: Small, world: World, _d: Desired, plan: Plan) -> bool:
    """I11: a picture is given up only for a proven one, an order, or a stream that is not wanted."""
    if small.weather in (Weather.DESTROY_ORDERED, Weather.PAUSED_DESTROY_ORDERED, Weather.REMOVED):
        return True
    if small.budget is Budget.SPENT:
        return True  # a hard budget stop is an exception that the invariant names
    before = {each.instance_id for each in world.condemned}
    for each in plan.condemned:
        if each.instance_id in before or each.slot is None:
            continue
        record = world.records[each.slot]
        place = _place_of(small, each.slot)
        serving = record.tenure
        if serving is None or serving.instance_id != each.instance_id:
            continue
        is_good = isinstance(place.serving, Host) and place.serving.health is Health.GOOD
        if is_good and not _is_proven(place.incoming):
            return False
    return True


def closed_means_closed(small: Small, world: World, _d: Desired, plan: Plan) -> bool:
    """I12: while paused, blind, unread or not leading: nothing but the ends that were known."""
    is_alone = small.weather in (Weather.NOT_LEADER, Weather.STOPPING)
    for act in plan.acts:
        if isinstance(act, Adopt):
            continue
        known = isinstance(act, Destroy) and _is_known_end(world, act)
        # Money that runs out does not wait for a listing; an operator, or another keeper, it does.
        is_broke = small.budget is Budget.SPENT and small.weather in UNLISTED
        if small.weather in CLOSED and (is_alone or not (known or is_broke)):
            return False
        is_first = act.slot is not None and act.slot.endswith("/0")
        if (
            small.weather is Weather.SLOT_PAUSED
            and is_first
            and not (known or _is_stray(act, world))
        ):
            return False
        if small.weather is Weather.PAUSED_DESTROY_ORDERED and not (known or is_first):
            return False
    return True


def _is_stray(act: object, world: World) -> bool:
    """Whether an act ends a rental of ours that sat in no slot."""
    return isinstance(act, Destroy) and act.instance_id not in _ids(dict(world.records))


def too_many_sick_stop_it(small: Small, world: World, _d: Desired, plan: Plan) -> bool:
    """I12: with more sick than one in five (and more than one), nothing is given up or restarted."""
    if small.weather in (*ORDERED, Weather.REMOVED):
        return True
    sick = sum(
        isinstance(place.serving, Host)
        and place.serving.health is Health.BAD
        # What stands still while the account is empty is not sick.
        and (small.weather is not Weather.NO_CREDIT or place.serving.shown is not Shown.STOPPED)
        for place in small.slots
    )
    if sick <= max(1, -(-len(small.slots) // 5)):
        return True
    return all(
        isinstance(act, Adopt) or (isinstance(act, Destroy) and _is_known_end(world, act))
        for act in plan.acts
    )


def not_knowing_is_no_reason(small: Small, world: World, _d: Desired, plan: Plan) -> bool:
    """I14: a serving host that is listed as running and of which nothing is heard is left alone.

    Unless a replacement has proven itself; a replacement that nobody hears of has its own deadline.
    """
    if small.weather in (*ORDERED, Weather.REMOVED) or small.budget is Budget.SPENT:
        return True
    unheard = Host(Health.UNKNOWN, Shown.RUNNING)
    left_alone = {
        record.tenure.instance_id
        for slot, record in world.records.items()
        if record.tenure is not None
        and _place_of(small, slot).serving == unheard
        and not _is_proven(_place_of(small, slot).incoming)
    }
    return not left_alone & {
        act.instance_id for act in plan.acts if not isinstance(act, Rent | Adopt)
    }


def replacements_stay_within_their_cap(
    _s: Small, world: World, desired: Desired, plan: Plan
) -> bool:
    """I13: one replacement per slot and plan, and no more of them in flight than the fleet allows."""
    after = _after(world, plan)
    return all(
        len(record.replaced_at) <= len(world.records[slot].replaced_at) + 1
        for slot, record in after.items()
        if slot in world.records
    )


def nothing_lands_in_quarantine(_s: Small, world: World, _d: Desired, plan: Plan) -> bool:
    """I16: not on a machine that failed before this tick, nor on one that fails in it."""
    struck = {each.machine_id for each in plan.quarantine}
    return all(
        act.machine_id != QUARANTINED_MACHINE and act.machine_id not in struck
        for act in _rents(plan)
    )


def one_remedy_per_slot(_s: Small, world: World, desired: Desired, plan: Plan) -> bool:
    """I17: each slot one decision, each rental at most one act; a rental is not used and ended."""
    others = [each for each in plan.decisions if not isinstance(each, Destroy)]
    slots = [each.slot for each in others]
    ids = [act.instance_id for act in plan.acts if not isinstance(act, Rent)]
    declared = {slot for stream in desired.streams for slot in stream.slots}
    decided = {each.slot for each in plan.decisions}
    return len(set(slots)) == len(slots) and len(set(ids)) == len(ids) and declared <= decided


# --- the plan itself -------------------------------------------------------------------------------


def every_decision_says_why(_s: Small, _w: World, _d: Desired, plan: Plan) -> bool:
    """A reason of the list with its sentence; a no says what was wanted, and why that."""
    return bool(plan.sentence()) and all(
        SENTENCE.get(each.reason)
        and (not isinstance(each, Hold) or (each.wanted and SENTENCE.get(each.wanted_reason)))
        for each in plan.decisions
    )


def looks_again_later(_s: Small, _w: World, _d: Desired, plan: Plan) -> bool:
    """The next look lies ahead, and what is waited for has not passed."""
    return (plan.next_check_at is None or plan.next_check_at > NOW) and all(
        each.until is None or each.until > NOW
        for each in plan.decisions
        if isinstance(each, Wait | Hold)
    )


PROMISES: tuple[Promise, ...] = (
    one_intent_one_label, no_second_create_in_doubt, within_every_cap, one_host_per_slot,
    ended_before_the_next, forgotten_only_when_confirmed, only_ours_is_touched,
    a_spent_cap_ends_what_bills, nothing_spent_without_credit, last_good_host_stays, closed_means_closed, too_many_sick_stop_it,
    not_knowing_is_no_reason, replacements_stay_within_their_cap, nothing_lands_in_quarantine,
    one_remedy_per_slot, every_decision_says_why, looks_again_later,
)  # fmt: skip
