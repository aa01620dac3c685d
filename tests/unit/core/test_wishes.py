"""An operator who names an offer gets that one or is told why not: never another in its place."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from keeper.core.decisions import Hold, Rent, Wait
from keeper.core.labels import label_for
from keeper.core.model import Mode, OfferId, OrphanPolicy, SlotRecord
from keeper.core.reasons import Reason
from keeper.core.world import OrderKind, OutcomeKind, World
from tests.builders import (
    DUEL,
    SLOT,
    a_book,
    a_desire,
    a_listing,
    a_record,
    a_stream,
    a_tenure,
    a_world,
    ago,
    ahead,
    an_asked_tenure,
    an_instance,
    an_intent,
    an_offer,
    an_order,
    an_outcome,
    applied,
    decide,
    decision_for,
    healthy_world,
    record_after,
)

BEST, ASKED = an_offer(1), an_offer(2)
WISH = ASKED.offer_id


def wishing(record: SlotRecord | None = None, **book: Any) -> World:
    """A vacant slot for which an operator named the second best offer."""
    known = replace(a_book(BEST, ASKED), asked_for=frozenset({WISH}))
    return a_world(record or a_record(offer_asked=WISH), offers={DUEL: replace(known, **book)})


def after_create(kind: OutcomeKind, **outcome: Any) -> World:
    """The create of the asked offer has been answered."""
    intent = an_intent()
    return replace(
        wishing(a_record(an_asked_tenure(offer_id=WISH), offer_asked=WISH)),
        intents=(intent,),
        outcomes=(an_outcome(intent, kind, **outcome),),
    )


def test_an_order_to_rent_is_a_wish_and_ends_the_wait_for_a_search() -> None:
    order = replace(an_order(OrderKind.RENT), offer_id=WISH)
    held = a_record(next_rent_at=ahead(300))
    plan = decide(replace(wishing(held), orders=(order,)))
    decision = decision_for(plan)
    assert isinstance(decision, Rent)
    assert decision.offer_id == WISH


def test_the_asked_offer_is_rented_though_another_is_better() -> None:
    world = wishing()
    plan = decide(world)
    decision = decision_for(plan)
    assert isinstance(decision, Rent)
    assert decision.offer_id == WISH
    tenure = record_after(world, plan).tenure
    assert tenure is not None
    assert (tenure.offer_id, tenure.machine_id) == (WISH, ASKED.machine_id)


def test_without_a_wish_the_best_is_rented() -> None:
    decision = decision_for(decide(wishing(a_record())))
    assert isinstance(decision, Rent)
    assert decision.offer_id == BEST.offer_id


def test_a_book_that_did_not_ask_for_the_offer_is_not_enough_to_drop_the_wish() -> None:
    world = wishing(offers=(BEST,), asked_for=frozenset())
    plan = decide(world)
    assert decision_for(plan).reason is Reason.OFFERS_STALE
    assert record_after(world, plan).offer_asked == WISH
    assert plan.wants.offers_for == (DUEL,)


@pytest.mark.parametrize(
    ("book", "words"),
    [
        ({"offers": (BEST,)}, "offer 102 is not on the market"),
        ({"offers": (BEST, replace(ASKED, verified=False))}, "offer 102 does not suit: "),
    ],
)
def test_a_wish_that_cannot_be_granted_is_dropped_and_nothing_else_is_rented(
    book: dict[str, Any], words: str
) -> None:
    world = wishing(**book)
    plan = decide(world)
    decision = decision_for(plan)
    assert isinstance(decision, Wait)
    assert decision.reason is Reason.NO_SUITABLE_OFFER
    after = record_after(world, plan)
    assert after.offer_asked is None
    assert after.rent_detail.startswith(words)
    # The operator has a moment to name another; then the ranking goes on.
    assert decision.until == after.next_rent_at
    assert not plan.acts


def test_a_lost_race_for_an_asked_offer_rents_no_other_at_once() -> None:
    world = after_create(OutcomeKind.FAILED, reason=Reason.OFFER_GONE, error="no_such_ask")
    plan = decide(world)
    assert not plan.acts
    after = record_after(world, plan)
    assert (after.tenure, after.offer_asked) == (None, None)
    assert after.rent_detail == "offer 102 could not be rented: no_such_ask"
    assert after.next_rent_at is not None
    assert after.next_rent_at > ahead(10)


def test_a_lost_race_for_a_ranked_offer_goes_on_at_once() -> None:
    world = after_create(OutcomeKind.FAILED, reason=Reason.OFFER_GONE)
    record = replace(world.records[SLOT], offer_asked=None)
    plan = decide(replace(world, records={SLOT: record}))
    decision = decision_for(plan)
    assert isinstance(decision, Rent)
    assert decision.offer_id == BEST.offer_id


def test_a_refused_create_of_an_asked_offer_drops_the_wish() -> None:
    world = after_create(OutcomeKind.FAILED, reason=Reason.OUT_OF_CREDIT, error="no credit")
    after = record_after(world, decide(world))
    assert after.offer_asked is None
    assert after.rent_reason is Reason.OUT_OF_CREDIT
    assert after.rent_detail == "offer 102 could not be rented: no credit"


def test_a_granted_wish_is_forgotten_when_the_rental_has_its_id() -> None:
    first = wishing()
    plan = decide(first)
    asked = record_after(first, plan)
    assert asked.offer_asked == WISH, "the create is not answered yet"
    world = after_create(OutcomeKind.DONE, instance_id=7001)
    after = record_after(world, decide(world))
    assert after.tenure is not None
    assert after.tenure.instance_id == 7001
    assert after.offer_asked is None


def test_a_create_that_never_was_is_asked_for_once_more_by_the_same_wish() -> None:
    """An answer was lost, and complete listings show that nothing was made: the wish still holds."""
    first = wishing()
    world = applied(first, decide(first))
    record = replace(world.records[SLOT], tenure=None)
    plan = decide(replace(world, records={SLOT: record}, in_flight=frozenset()))
    decision = decision_for(plan)
    assert isinstance(decision, Rent)
    assert decision.offer_id == WISH


@pytest.mark.parametrize("mode", [Mode.OBSERVE, Mode.SUGGEST])
def test_an_order_to_rent_stands_above_the_mode_until_its_host_is_on_air(mode: Mode) -> None:
    """And that host is the one that was asked for: it is not replaced by the order that brought it."""
    desired = a_desire(a_stream(mode=mode))
    world = replace(wishing(a_record()), orders=(an_order(OrderKind.RENT),))
    plan = decide(world, desired)
    assert isinstance(decision_for(plan), Rent)
    asked = record_after(world, plan)
    on_air = replace(asked, tenure=a_tenure(attempt=asked.attempt))
    found = a_world(on_air)
    then = decide(found, desired)
    assert then.condemned == ()
    assert record_after(found, then).replace_asked_at is None


def test_a_limit_holds_for_an_asked_offer_too() -> None:
    desire = a_desire(a_stream(spend_max_dollars_per_hour=0.1))
    decision = decision_for(decide(wishing(), desire))
    assert isinstance(decision, Hold)
    assert decision.reason is Reason.BUDGET


def test_an_order_to_rent_without_an_offer_ends_a_wish() -> None:
    order = an_order(OrderKind.RENT)
    world = replace(wishing(), orders=(order,))
    decision = decision_for(decide(world))
    assert isinstance(decision, Rent)
    assert decision.offer_id == OfferId(101)


def test_an_order_to_rent_for_a_filled_slot_leaves_no_wish_for_the_next_host() -> None:
    order = replace(an_order(OrderKind.RENT), offer_id=WISH)
    world = healthy_world(orders=(order,))
    plan = decide(world)
    assert record_after(world, plan).offer_asked is None
    assert not plan.acts


def test_an_offer_that_was_lost_before_may_be_asked_for_again() -> None:
    order = replace(an_order(OrderKind.RENT), offer_id=WISH)
    world = replace(wishing(a_record(avoid_offers=(WISH, BEST.offer_id))), orders=(order,))
    decision = decision_for(decide(world))
    assert isinstance(decision, Rent)
    assert decision.offer_id == WISH


def test_a_wish_does_not_outlive_the_adoption_of_another_rental() -> None:
    """It would lie in wait for the next host, which nobody named an offer for."""
    stray = an_instance(9009, label_for("k0", SLOT, 4))
    world = a_world(
        a_record(offer_asked=WISH),
        listing=a_listing(stray),
        orphans_known=frozenset({stray.instance_id}),
        orphans_seen_at={stray.instance_id: ago(60)},
    )
    after = record_after(world, decide(world, a_desire(orphans=OrphanPolicy.ADOPT)))
    assert after.tenure is not None
    assert after.offer_asked is None


@pytest.mark.parametrize("filled", ["adopted", "healthy"])
def test_a_slot_that_wants_no_host_any_more_forgets_its_search(filled: str) -> None:
    """An alert about missing offers, or a refused create, would never end."""
    search: dict[str, Any] = {
        "offer_misses": 4,
        "next_rent_at": ahead(300),
        "rent_reason": Reason.OUT_OF_CREDIT,
        "avoid_offers": (WISH,),
    }
    if filled == "healthy":  # its contract was to end, and was prolonged
        world = a_world(a_record(a_tenure(), **search))
    else:
        stray = an_instance(9009, label_for("k0", SLOT, 4))
        world = a_world(
            a_record(**search),
            listing=a_listing(stray),
            orphans_known=frozenset({stray.instance_id}),
            orphans_seen_at={stray.instance_id: ago(60)},
        )
    plan = decide(world, a_desire(orphans=OrphanPolicy.ADOPT))
    after = record_after(world, plan)
    assert after.tenure is not None
    assert (after.offer_misses, after.next_rent_at, after.avoid_offers) == (0, None, ())


def test_a_slot_that_still_hands_over_remembers_its_search() -> None:
    tenure = a_tenure(rented_at=ago(86_400), ends_at=ahead(7200), ending_since=ago(36))
    record = a_record(tenure, offer_misses=4, next_rent_at=ahead(300))
    world = a_world(record, listing=a_listing(an_instance(ends_at=ahead(7200))))
    after = record_after(world, decide(world))
    assert (after.offer_misses, after.next_rent_at) == (4, ahead(300))
