"""Ends that no rule asked for: a person's order, a slot that is declared no more, a rental of no slot."""

from __future__ import annotations

from dataclasses import replace

from keeper.core import incident
from keeper.core.case import Proposal, Wish
from keeper.core.decisions import Wait
from keeper.core.draft import Draft, Seat
from keeper.core.enact import hold
from keeper.core.fuses import refuse
from keeper.core.labels import parse
from keeper.core.model import SlotId, is_spare, stream_of
from keeper.core.pauses import key_of
from keeper.core.reasons import Reason
from keeper.core.retire import retire


def end_as_ordered(draft: Draft, slot: SlotId) -> bool:
    """End a slot's rentals because an operator said so; returns whether that was the decision."""
    is_decided = _end_all(draft, slot, Reason.OPERATOR_ASKED, is_ordered=True)
    record = draft.records[slot]
    if record.tenure is None and record.incoming is None:
        draft.records[slot] = replace(record, destroy_asked_at=None, replace_asked_at=None)
        incident.close(draft, slot)
    return is_decided


def wind_up(draft: Draft, slot: SlotId) -> None:
    """End the rentals of a slot that is no longer declared."""
    if slot in draft.world.held_slots or slot in draft.decided:
        return
    if slot in draft.world.in_flight:
        draft.decide(slot, Wait(slot=slot, reason=Reason.ACT_IN_FLIGHT))
        return
    # An order stands above the pause that it itself brings.
    is_ordered = draft.records[slot].destroy_asked_at is not None
    reason = Reason.OPERATOR_ASKED if is_ordered else Reason.STREAM_REMOVED
    _end_all(draft, slot, reason, is_ordered=is_ordered)


def end_strays(draft: Draft) -> None:
    """Condemn rentals of ours that no slot claims, unless the fleet must keep its hands still."""
    for instance, slot, reason in draft.unbound:
        is_ordered = reason is Reason.OPERATOR_ASKED
        proposal = Proposal(
            wish=Wish.REPLACE, reason=reason, is_incoming=True, is_ordered=is_ordered
        )
        # A stray of a stream that only observes, or of a paused slot, is not touched either. One whose
        # slot is declared no more is of a paused stream all the same.
        label = parse(instance.label)
        about = slot or (SlotId("") if label is None else label.slot)
        held_by = (about,) if slot is not None else (about, key_of(stream_of(about)))
        if all(refuse(draft, each, proposal) is None for each in held_by):
            draft.condemn(
                instance.instance_id,
                slot=slot,
                label=instance.label,
                reason=reason,
                dollars_per_hour=instance.dollars_per_hour,
                rented_at=instance.started_at,
                listed_at=draft.now,
            )


def forget_slots(draft: Draft) -> None:
    """Forget a slot that is no longer declared once nothing of it can come back."""
    world = draft.world
    for slot in draft.undeclared:
        record = draft.records[slot]
        if (
            # A spare's label outlives its place where it took over, and must not be given again.
            not (is_spare(slot) and _is_named_after(draft, slot))
            and record.tenure is None
            and record.incoming is None
            and slot not in world.in_flight
            and slot not in world.held_slots
            and not any(each.slot == slot for each in draft.condemned.values())
        ):
            del draft.records[slot]
            draft.forgotten.append(slot)


def _end_all(draft: Draft, slot: SlotId, reason: Reason, *, is_ordered: bool) -> bool:
    """Retire whatever sits in a slot; returns whether there was anything to decide."""
    record = draft.records[slot]
    seats = [
        (seat, tenure)
        for seat, tenure in ((Seat.INCOMING, record.incoming), (Seat.TENURE, record.tenure))
        if tenure is not None
    ]
    if not seats:
        return False
    if any(tenure.instance_id is None for _, tenure in seats):
        draft.decide(slot, Wait(slot=slot, reason=Reason.CREATE_UNSETTLED))
        return True
    proposal = Proposal(wish=Wish.REPLACE, reason=reason, is_incoming=True, is_ordered=is_ordered)
    refusal = refuse(draft, slot, proposal)
    if refusal is not None:
        hold(draft, slot, proposal, refusal)
        return True
    for seat, _ in seats:
        retire(draft, slot, seat, reason)
    return True


def _is_named_after(draft: Draft, place: SlotId) -> bool:
    """Whether a rental carries a label of this place, wherever it is now."""
    labels = [each.label for each in draft.condemned.values()]
    labels += [
        tenure.label
        for record in draft.records.values()
        for tenure in (record.tenure, record.incoming)
        if tenure is not None
    ]
    return any((label := parse(each)) is not None and label.slot == place for each in labels)
