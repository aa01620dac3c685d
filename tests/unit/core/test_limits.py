"""What counts against a limit, and when a slot that waits for room looks at the market again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from keeper.core.draft import Draft
from keeper.core.fuses import trip
from keeper.core.model import SlotId
from keeper.core.reasons import Reason
from keeper.core.room import crosses_a_limit
from keeper.core.world import OfferBook
from tests.builders import (
    DUEL,
    NOW,
    SLOT,
    a_desire,
    a_listing,
    a_record,
    a_stream,
    a_world,
    ago,
    ahead,
    an_instance,
    an_offer,
    decide,
    decision_for,
)

OTHER = SlotId("duel/1")


@pytest.mark.parametrize("owner", [SLOT, None], ids=["of a stream", "of nobody"])
@pytest.mark.parametrize(("more", "is_crossed"), [(0.59, False), (0.61, True)])
def test_what_is_ours_and_in_no_slot_counts_by_its_price(
    owner: SlotId | None, more: float, *, is_crossed: bool
) -> None:
    stream = a_stream(spend_max_dollars_per_hour=5.0)
    draft = Draft(a_world(a_record()), a_desire(stream, spend_max_dollars_per_hour=1.0), NOW)
    draft.unbound.append((an_instance(dollars_per_hour=0.4), owner, Reason.STRAY_RENTAL))
    assert (crosses_a_limit(draft, stream, more) is not None) is is_crossed


@pytest.mark.parametrize(
    ("last", "reason"),
    [(Reason.BUDGET, Reason.BUDGET), (Reason.VACANT, Reason.OFFERS_STALE)],
    ids=["it waits for room", "it just became vacant"],
)
def test_offers_of_before_tell_only_a_slot_that_waits_for_room(
    last: Reason, reason: Reason
) -> None:
    """What they cost is told to nobody else: the market may be another one by now."""
    stream = a_stream(spend_max_dollars_per_hour=0.2)
    book = OfferBook(offers=(an_offer(),), at=ago(stream.policy.offers_max_age_s + 1.0))
    world = a_world(a_record(last_reason=last), listing=a_listing(), offers={DUEL: book})
    assert decision_for(decide(world, a_desire(stream))).reason is reason


@pytest.mark.parametrize(("age_s", "lost_in_s"), [(5.0, 85.0), (80.0, 10.0)])
def test_keeper_looks_up_when_listings_that_fail_become_too_many(
    age_s: float, lost_in_s: float
) -> None:
    desired = a_desire(list_interval_s=30.0)
    world = a_world(a_record(), unreadable_since=ago(3.0))
    world = replace(world, listing=a_listing(age_s=age_s))
    draft = Draft(world, desired, NOW)
    trip(draft)
    assert draft.fuses == ()
    assert decide(world, desired).next_check_at == ahead(lost_in_s)
