"""An answer that names somebody else's rental binds, ends and touches nothing of it (I8)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from keeper.core.decisions import Plan
from keeper.core.events import RentUncertain
from keeper.core.model import InstanceId, Intent, IntentKind
from keeper.core.reasons import Reason
from keeper.core.world import Listing, OutcomeKind, World
from tests.builders import (
    HOST,
    NOW,
    SLOT,
    a_condemned,
    a_fresh_tenure,
    a_listing,
    a_record,
    a_tenure,
    a_world,
    acts_in,
    ago,
    an_asked_tenure,
    an_instance,
    an_intent,
    an_outcome,
    applied,
    decide,
    events_of,
    record_after,
)

INTENT: Intent = an_intent(IntentKind.RENT)
LABEL = INTENT.label


def answered(listing: Listing, kind: OutcomeKind = OutcomeKind.DONE, **more: object) -> World:
    """A create that has just been answered with the id HOST."""
    refusal = {"reason": Reason.BACKING_OFF, "error": "no"} if kind is OutcomeKind.FAILED else {}
    outcome = an_outcome(INTENT, kind, instance_id=HOST, **refusal)
    return a_world(
        a_record(an_asked_tenure()),
        listing=listing,
        intents=(INTENT,),
        outcomes=(outcome,),
        **more,
    )


def touched(plan: Plan) -> set[InstanceId]:
    """The rentals that the plan binds, ends or acts on."""
    named = {each.instance_id for each in plan.condemned}
    named |= {getattr(act, "instance_id", HOST) for act in acts_in(plan)}
    seats = [seat for record in plan.records for seat in (record.tenure, record.incoming)]
    return named | {seat.instance_id for seat in seats if seat is not None and seat.instance_id}


@pytest.mark.parametrize("kind", list(OutcomeKind))
@pytest.mark.parametrize(
    "listing",
    [
        pytest.param(a_listing(an_instance(HOST, "somebody's"), age_s=30), id="there before"),
        pytest.param(
            a_listing(replace(an_instance(HOST), label=""), age_s=30), id="unlabelled, there before"
        ),
        pytest.param(a_listing(an_instance(HOST, LABEL + "0"), age_s=1), id="other label since"),
    ],
)
def test_an_id_that_is_another_rental_is_not_what_the_create_made(
    listing: Listing, kind: OutcomeKind
) -> None:
    world = answered(listing, kind)
    plan = decide(world)
    assert touched(plan) == set()
    assert [type(event) for event in events_of(plan, RentUncertain)] == [RentUncertain]
    tenure = record_after(world, plan).tenure
    assert tenure is not None
    assert tenure.instance_id is None
    # The listing settles it, as after a lost answer.
    after = applied(world, plan, listing=a_listing(an_instance(HOST + 5, LABEL), age_s=0.5))
    found = record_after(after, later := decide(after)).tenure
    assert found is not None
    assert found.instance_id == HOST + 5
    assert touched(later) == {HOST + 5}


@pytest.mark.parametrize(
    "listing",
    [
        pytest.param(a_listing(age_s=30), id="not there before"),
        pytest.param(a_listing(an_instance(HOST, LABEL), age_s=1), id="listed with our label"),
        pytest.param(
            a_listing(replace(an_instance(HOST), label=""), age_s=1), id="listed before its label"
        ),
    ],
)
def test_an_id_that_can_be_ours_is_taken(listing: Listing) -> None:
    world = answered(listing)
    tenure = record_after(world, decide(world)).tenure
    assert tenure is not None
    assert tenure.instance_id == HOST


def test_an_id_that_is_bound_or_condemned_already_is_not_taken_again() -> None:
    other = a_record(a_tenure(label="keeper:k1:duel/1:1"), slot="duel/1")  # type: ignore[arg-type]
    world = answered(a_listing(age_s=30))
    world = replace(world, records={**world.records, other.slot: other})
    assert record_after(world, decide(world)).tenure is not None
    assert record_after(world, decide(world)).tenure.instance_id is None  # type: ignore[union-attr]
    world = answered(a_listing(age_s=30), condemned=(a_condemned(label="keeper:k1:duel/1:1"),))
    assert record_after(world, decide(world)).tenure.instance_id is None  # type: ignore[union-attr]


def test_a_stranger_at_first_sight_is_let_go_and_our_own_rental_is_found() -> None:
    """Between the last listing and our create somebody else rented; the answer named theirs."""
    world = a_world(
        a_record(a_fresh_tenure()),
        listing=a_listing(an_instance(HOST, "somebody's"), an_instance(HOST + 5, LABEL), age_s=1),
    )
    plan = decide(world)
    assert touched(plan) == set()
    after = applied(world, plan)
    found = record_after(after, decide(after)).tenure
    assert found is not None
    assert found.instance_id == HOST + 5


@pytest.mark.parametrize("kind", [None, *OutcomeKind])
def test_one_without_a_label_is_let_go_where_another_carries_ours(
    kind: OutcomeKind | None,
) -> None:
    """As soon as the answer names it, and when it is listed first; the other one is what was made."""
    listing = a_listing(replace(an_instance(HOST), label=""), an_instance(HOST + 5, LABEL), age_s=1)
    known = a_world(a_record(a_fresh_tenure()), listing=listing)
    world = known if kind is None else answered(listing, kind)
    plan = decide(world)
    assert HOST not in touched(plan)
    found = record_after(after := applied(world, plan), later := decide(after)).tenure
    assert found is not None
    assert found.instance_id == HOST + 5
    assert HOST not in touched(later)


def test_a_rental_that_a_person_labels_anew_stays_ours() -> None:
    """Else its slot would be rented for twice."""
    world = a_world(
        a_record(a_tenure()), listing=a_listing(an_instance(HOST, "renamed by hand"), age_s=1)
    )
    tenure = record_after(world, decide(world)).tenure
    assert tenure is not None
    assert tenure.instance_id == HOST


def test_the_moments_stand_as_the_rows_say() -> None:
    requested_at = an_asked_tenure().requested_at
    assert ago(30) < requested_at < ago(1) < NOW
    assert record_after(answered(a_listing()), decide(answered(a_listing()))).slot == SLOT
