"""One machine, two prices: for a bid and on demand. Both must be seen, whatever order they come in."""

from dataclasses import replace

import pytest

from keeper.core.decisions import Hold, Plan, Rent
from keeper.core.events import DecisionMade, OffersSearched
from keeper.core.market import merged
from keeper.core.model import InstanceId, MachineId, MarketState, Offer, Pricing
from keeper.core.reasons import Reason
from tests.builders import (
    DUEL,
    HOST,
    a_book,
    a_desire,
    a_fresh_tenure,
    a_listing,
    a_record,
    a_stream,
    a_tenure,
    a_world,
    ago,
    an_instance,
    an_offer,
    decide,
    decision_for,
)

ON_DEMAND = an_offer(1)
BID = replace(
    ON_DEMAND, is_bid=True, gpu_dollars_per_hour=0.20, disk_dollars_per_hour=0.05,
    dollars_per_hour=0.25,
)  # fmt: skip


def the_rental(pricing: Pricing, *offers: Offer, outbid_s: float | None = None) -> Rent:
    stream = a_stream()
    stream = replace(stream, needs=replace(stream.needs, pricing=pricing))
    record = a_record(outbid_at=None if outbid_s is None else ago(outbid_s))
    world = a_world(record, offers={DUEL: a_book(*offers)})
    decision = decision_for(decide(world, a_desire(stream)))
    assert isinstance(decision, Rent)
    return decision


@pytest.mark.parametrize("offers", [(BID, ON_DEMAND), (ON_DEMAND, BID)])
def test_an_ask_with_two_prices_is_taken_at_the_one_that_is_wanted(
    offers: tuple[Offer, ...],
) -> None:
    with_fallback = Pricing.INTERRUPTIBLE_WITH_FALLBACK
    assert the_rental(with_fallback, *offers).bid_dollars_per_hour == pytest.approx(0.22)
    assert the_rental(with_fallback, *offers, outbid_s=60).bid_dollars_per_hour is None
    assert the_rental(Pricing.ON_DEMAND, *offers).bid_dollars_per_hour is None
    assert the_rental(Pricing.INTERRUPTIBLE, *offers).bid_dollars_per_hour is not None


def test_after_an_outbid_a_slot_bids_again_where_nothing_on_demand_suits() -> None:
    """I18: to be outbid once more is better than hours without a picture."""
    with_fallback = Pricing.INTERRUPTIBLE_WITH_FALLBACK
    too_dear = replace(ON_DEMAND, dollars_per_hour=99.0, gpu_dollars_per_hour=98.0)
    for offers in ((BID,), (BID, too_dear)):
        assert the_rental(with_fallback, *offers, outbid_s=60).bid_dollars_per_hour is not None


LITTLE_ROOM = 0.35  # for the bid, not for on demand


def an_outbid_plan(*offers: Offer, room: float = LITTLE_ROOM, age_s: float = 1.0) -> Plan:
    stream = a_stream(spend_max_dollars_per_hour=room)
    pricing = Pricing.INTERRUPTIBLE_WITH_FALLBACK
    stream = replace(stream, needs=replace(stream.needs, pricing=pricing))
    record = a_record(outbid_at=ago(60), last_reason=Reason.BUDGET)
    world = a_world(record, offers={DUEL: a_book(*offers, age_s=age_s)})
    return decide(world, a_desire(stream))


def test_after_an_outbid_a_bid_that_a_limit_leaves_room_for_is_better_than_none() -> None:
    plan = an_outbid_plan(BID, ON_DEMAND)
    rent = decision_for(plan)
    assert isinstance(rent, Rent)
    assert rent.bid_dollars_per_hour == pytest.approx(0.22)
    (searched,) = [fact for fact in plan.events if isinstance(fact, OffersSearched)]
    assert "0.410 of 0.350 $/h for duel" in searched.detail
    assert "on demand" in searched.detail
    assert searched.suitable == 2


def test_after_an_outbid_both_bases_may_be_too_dear() -> None:
    plan = an_outbid_plan(BID, ON_DEMAND, room=0.1)
    hold = decision_for(plan)
    assert isinstance(hold, Hold)
    assert hold.reason is Reason.BUDGET
    # The cheapest of all is what there is no room for.
    (made,) = [fact for fact in plan.events if isinstance(fact, DecisionMade)]
    assert "0.270 of 0.100 $/h" in made.detail


def test_a_slot_that_waits_for_room_looks_again_when_a_bid_would_fit() -> None:
    """A limit that is raised is noticed at once, for either basis."""
    too_old_s = 120.0
    plan = an_outbid_plan(BID, ON_DEMAND, age_s=too_old_s)
    assert decision_for(plan).reason is Reason.OFFERS_STALE
    plan = an_outbid_plan(BID, ON_DEMAND, room=0.1, age_s=too_old_s)
    assert decision_for(plan).reason is Reason.BUDGET


def test_looks_put_together_hold_each_price_once_as_it_was_seen_last() -> None:
    dearer = replace(ON_DEMAND, dollars_per_hour=0.9)
    assert merged([ON_DEMAND, BID], [dearer]) == (dearer, BID)


def test_what_was_rented_is_remembered_for_people() -> None:
    plan = decide(a_world(a_record(), offers={DUEL: a_book(ON_DEMAND)}), a_desire(a_stream()))
    (record,) = plan.records
    assert record.tenure is not None
    assert record.tenure.gpu_ram_gb == ON_DEMAND.gpu_ram_gb
    assert record.tenure.disk_dollars_per_hour == ON_DEMAND.disk_dollars_per_hour > 0


def test_a_first_choice_that_the_budget_has_no_room_for_gives_way_to_one_that_fits() -> None:
    """I18: a bid is preferred, a free machine too; neither is worth a dark stream."""
    dear_bid = replace(an_offer(2), is_bid=True, gpu_dollars_per_hour=1.0, dollars_per_hour=1.05)
    stream = a_stream(spend_max_dollars_per_hour=0.6)
    pricing = Pricing.INTERRUPTIBLE_WITH_FALLBACK
    stream = replace(stream, needs=replace(stream.needs, pricing=pricing))
    world = a_world(a_record(), offers={DUEL: a_book(dear_bid, ON_DEMAND)})
    rent = decision_for(decide(world, a_desire(stream)))
    assert isinstance(rent, Rent)
    assert rent.offer_id == ON_DEMAND.offer_id
    roomy = replace(stream, spend_max_dollars_per_hour=5.0)
    rent = decision_for(decide(world, a_desire(roomy)))
    assert isinstance(rent, Rent)
    assert rent.offer_id == dear_bid.offer_id


def test_a_replacement_that_is_outbid_is_bid_for_and_not_the_host_that_serves() -> None:
    old = a_tenure()
    new = a_fresh_tenure(
        label="keeper:k1:duel/0:2", instance_id=InstanceId(7002), machine_id=MachineId(302),
        listed_at=ago(90), is_bid=True, bid_dollars_per_hour=0.35, outbid_since=ago(400),
        dead_since=ago(400),
    )  # fmt: skip
    stopped = an_instance(
        7002, new.label, machine_id=302, state=MarketState.STOPPED, is_meant_to_run=False,
        is_bid=True, min_bid_dollars_per_hour=0.45, disk_dollars_per_hour=0.06,
    )  # fmt: skip
    record = a_record(old, incoming=new, attempt=2)
    world = a_world(record, listing=a_listing(an_instance(HOST, old.label), stopped))
    plan = decide(world)
    (act,) = plan.acts
    assert (act.name, act.instance_id) == ("rebid", new.instance_id)  # type: ignore[union-attr]
