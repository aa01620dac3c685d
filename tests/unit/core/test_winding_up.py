"""Ends that no rule asked for: each is one decision, and no label is given again while it may be seen."""

from __future__ import annotations

from dataclasses import replace

import pytest

from keeper.core.decisions import Plan
from keeper.core.labels import label_for
from keeper.core.model import SlotId, SlotRecord, stream_of
from keeper.core.pauses import key_of
from keeper.core.reasons import Reason
from keeper.core.world import OrderKind, World
from tests.builders import (
    HOST,
    KEEPER_ID,
    NOW,
    SLOT,
    a_condemned,
    a_desire,
    a_pause,
    a_record,
    a_stream,
    a_tenure,
    a_world,
    ago,
    ahead,
    an_asked_tenure,
    an_instance,
    an_order,
    decide,
    record_after,
)
from tests.unit.core.decision_worlds import SPENT
from tests.unit.core.spares import PLACE, a_place, a_spared_world

NOBODY = a_desire(a_stream("other", replicas=0))


def told_to_end(record: SlotRecord, **changes: object) -> World:
    world = a_world(record, orders=(an_order(OrderKind.DESTROY),))
    return replace(world, **changes)  # type: ignore[arg-type]


def decided(plan: Plan) -> list[tuple[str, Reason]]:
    return [(each.name, each.reason) for each in plan.decisions if each.slot == SLOT]


@pytest.mark.parametrize(
    ("world", "decision"),
    [
        (told_to_end(a_record(an_asked_tenure())), ("wait", Reason.CREATE_UNSETTLED)),
        (told_to_end(a_record(a_tenure()), is_stopping=True), ("hold", Reason.STOPPING)),
        (told_to_end(a_record(a_tenure())), ("destroy", Reason.OPERATOR_ASKED)),
    ],
    ids=["its create is in doubt", "keeper is stopping", "nothing stands in the way"],
)
def test_an_ordered_end_is_the_one_decision_of_its_slot(
    world: World, decision: tuple[str, Reason]
) -> None:
    assert decided(decide(world)) == [decision]


def test_an_end_that_is_done_takes_an_order_for_another_host_with_it() -> None:
    """It would have the next host replaced that the slot is ever given."""
    record = a_record(destroy_asked_at=ago(60), replace_asked_at=ago(70))
    world = a_world(record)
    after = record_after(world, decide(world))
    assert (after.destroy_asked_at, after.replace_asked_at) == (None, None)


def test_what_is_remembered_of_a_host_goes_with_it() -> None:
    """The next one has its whole ladder, and is looked for at once."""
    record = a_record(
        a_tenure(),
        remedies=SPENT,
        restart_asked_at=ago(10),
        next_rent_at=ahead(600),
        offer_misses=3,
    )
    world = told_to_end(record)
    after = record_after(world, decide(world))
    assert (after.tenure, after.remedies, after.restart_asked_at) == (None, (), None)
    assert (after.next_rent_at, after.offer_misses) == (None, 0)


def test_no_allowance_of_replacements_keeps_a_rental_of_what_is_declared_no_more() -> None:
    """Nothing comes in its place."""
    spent = a_record(a_tenure(), replaced_at=tuple(ago(1000.0 * n) for n in range(6, 0, -1)))
    plan = decide(a_world(spent), NOBODY)
    assert [(each.instance_id, each.reason) for each in plan.condemned] == [
        (HOST, Reason.STREAM_REMOVED)
    ]


@pytest.mark.parametrize("slot", [SLOT, SlotId("duel/1"), None])
def test_a_removed_slot_is_remembered_until_its_own_rental_is_gone(slot: SlotId | None) -> None:
    """Anew it would count from one, and its labels be given again (I1). What ends of others holds it not."""
    ending = a_condemned(slot=slot, next_try_at=ahead(20))
    plan = decide(a_world(a_record(attempt=1), condemned=(ending,)), NOBODY)
    assert plan.slots_forgotten == (() if slot == SLOT else (SLOT,))


# --- rentals of no slot -----------------------------------------------------------------------------


def with_a_double(record: SlotRecord, **changes: object) -> World:
    """The rental of a slot, and another one under its label that began an hour ago."""
    world = a_world(record)
    assert record.tenure is not None
    assert world.listing is not None
    double = an_instance(9009, record.tenure.label, dollars_per_hour=0.5, started_at=ago(3600))
    listing = replace(world.listing, instances=(*world.listing.instances, double))
    return replace(world, listing=listing, **changes)  # type: ignore[arg-type]


def ended(plan: Plan) -> list[int]:
    return [each.instance_id for each in plan.condemned]


def test_the_bill_of_a_stray_is_followed_from_when_it_began_and_was_last_seen() -> None:
    (condemned,) = decide(with_a_double(a_record(a_tenure()))).condemned
    assert (condemned.rented_at, condemned.listed_at) == (ago(3600), NOW)
    assert condemned.dollars_per_hour == 0.5


def test_no_allowance_of_replacements_keeps_a_stray() -> None:
    """It replaces nothing, and nothing comes in its place."""
    spent = tuple(ago(1000.0 * n) for n in range(6, 0, -1))
    assert ended(decide(with_a_double(a_record(a_tenure(), replaced_at=spent)))) == [9009]


def test_a_slot_that_a_person_resumed_is_rid_of_its_stray_though_its_stream_is_paused() -> None:
    pauses = {key_of(stream_of(SLOT)): a_pause()}
    world = with_a_double(a_record(a_tenure()))
    assert ended(decide(replace(world, slot_pauses=pauses))) == [9009]
    assert ended(decide(replace(world, slot_pauses={**pauses, SLOT: a_pause()}))) == []


# --- places of spares -------------------------------------------------------------------------------


def test_a_place_is_remembered_while_a_rental_with_its_label_must_end() -> None:
    """A spare took over in a slot and was given up there: anew, the place would give its label again (I1)."""
    taken_over = a_condemned(label=label_for(KEEPER_ID, PLACE, 1), slot=SLOT)
    world = a_spared_world(a_place(attempt=1))
    assert decide(replace(world, condemned=(taken_over,)), a_desire()).slots_forgotten == ()
    assert decide(world, a_desire()).slots_forgotten == (PLACE,)
