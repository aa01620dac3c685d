"""What fell between two rules: orders for streams that are gone, adoption, pins, early listings."""

from __future__ import annotations

from dataclasses import replace

import pytest

from keeper.core.decisions import Destroy, Rent, Wait
from keeper.core.events import ConditionChanged, InstanceAdopted, RentVoided
from keeper.core.model import ConditionKind, IntentKind, OrphanPolicy
from keeper.core.reasons import Reason
from keeper.core.world import OrderKind, OutcomeKind
from tests.builders import (
    DUEL,
    HOST,
    NOW,
    SLOT,
    a_book,
    a_desire,
    a_listing,
    a_pause,
    a_record,
    a_stream,
    a_tenure,
    a_world,
    acts_in,
    ago,
    ahead,
    an_asked_tenure,
    an_instance,
    an_intent,
    an_offer,
    an_order,
    an_outcome,
    applied,
    bad_pictures,
    decide,
    decision_for,
    events_of,
    healthy_world,
    record_after,
)

NOBODY = a_desire(a_stream("other", replicas=0))


def test_an_ordered_destroy_ends_a_removed_stream_s_rental_in_spite_of_the_pause() -> None:
    """The order itself pauses the slot, so the rental was held for ever, and billed."""
    world = healthy_world(orders=(an_order(OrderKind.DESTROY),), slot_pauses={SLOT: a_pause()})
    plan = decide(world, NOBODY)
    (act,) = acts_in(plan)
    assert isinstance(act, Destroy)
    assert act.reason is Reason.OPERATOR_ASKED


def test_an_ordered_destroy_of_a_removed_stream_waits_until_its_create_is_settled() -> None:
    world = a_world(a_record(an_asked_tenure()), orders=(an_order(OrderKind.DESTROY),))
    plan = decide(world, NOBODY)
    assert acts_in(plan) == ()
    assert record_after(world, plan).destroy_asked_at == NOW


# --- adoption ---------------------------------------------------------------------------------------


def test_a_slot_whose_rental_is_about_to_be_adopted_does_not_rent_another() -> None:
    """After the loss of a store, keeper rented beside every rental that it had come to adopt."""
    desired = a_desire(orphans=OrphanPolicy.ADOPT)
    orphan = an_instance(HOST, label=f"keeper:another:{SLOT}:7")
    world = a_world(listing=a_listing(orphan, age_s=5), offers={DUEL: a_book(an_offer())})
    first = decide(world, desired)
    assert isinstance(decision_for(first), Wait)
    again = applied(
        world, first,
        orphans_known=frozenset({orphan.instance_id}),
        orphans_seen_at={orphan.instance_id: ago(5)},
    )  # fmt: skip
    assert isinstance(decision_for(decide(again, desired)), Wait)  # the same listing once more
    later = replace(again, listing=a_listing(orphan, age_s=1))
    plan = decide(later, desired)
    assert events_of(plan, InstanceAdopted)
    assert not [act for act in acts_in(plan) if isinstance(act, Rent)]


@pytest.mark.parametrize("policy", [OrphanPolicy.ALERT, OrphanPolicy.DESTROY])
def test_an_orphan_that_is_not_to_be_adopted_holds_up_nobody(policy: OrphanPolicy) -> None:
    desired = a_desire(orphans=policy)
    orphan = an_instance(HOST, label=f"keeper:another:{SLOT}:7")
    world = a_world(listing=a_listing(orphan), offers={DUEL: a_book(an_offer())})
    assert isinstance(decision_for(decide(world, desired)), Rent)


# --- host keys --------------------------------------------------------------------------------------


def test_a_second_key_seen_at_another_entrance_is_pinned_too() -> None:
    """First met through the relay, the host's own key was forgotten with the process (I23)."""
    relay, own = "ssh-ed25519 AAAA relay.vast.ai", "ssh-ed25519 BBBB"
    world = a_world(
        a_record(a_tenure(host_key=relay)), host_keys={a_tenure().instance_id: f"{relay}\n{own}"}
    )
    tenure = record_after(world, decide(world)).tenure
    assert tenure is not None
    assert tenure.host_key == f"{relay}\n{own}"


def test_a_pinned_key_is_never_replaced() -> None:
    world = a_world(
        a_record(a_tenure(host_key="ssh-ed25519 AAAA")),
        host_keys={a_tenure().instance_id: "ssh-ed25519 CCCC"},
    )
    tenure = record_after(world, decide(world)).tenure
    assert tenure is not None
    assert tenure.host_key == "ssh-ed25519 AAAA"


# --- doubtful creates -------------------------------------------------------------------------------


def test_a_listing_from_before_the_doubt_is_not_one_of_the_two_that_settle_it() -> None:
    """A create that waits for its turn may leave after a listing that was asked after the tick."""
    tenure = an_asked_tenure(requested_at=ago(400))
    intent = an_intent(IntentKind.RENT, opened_at=ago(400), label=tenure.label)
    doubt = an_outcome(intent, OutcomeKind.UNCERTAIN, at=ago(300), instance_id=None)
    world = a_world(
        a_record(tenure), intents=(intent,), outcomes=(doubt,), listing=a_listing(age_s=310)
    )
    doubted = applied(world, decide(world, now=ago(299)), outcomes=())
    late = replace(doubted, listing=a_listing(age_s=5))
    plan = decide(late)
    assert not events_of(plan, RentVoided)
    settled = applied(late, plan)
    plan = decide(replace(settled, listing=a_listing(age_s=-40)), now=ahead(45))
    assert events_of(plan, RentVoided)


def test_what_a_witness_said_goes_with_the_change_that_it_made_and_with_no_other() -> None:
    """The first frozen picture is one of three, and the fourth changes nothing any more."""
    world = healthy_world(
        readings=tuple(
            replace(each, detail=f"picture {n}") for n, each in enumerate(bad_pictures(4))
        )
    )
    told = events_of(decide(world), ConditionChanged)
    assert [(each.condition, each.detail) for each in told] == [
        (ConditionKind.STREAMING, "picture 2")
    ]
