"""The terms of a rental, as listings tell them: price, end, bid, and what the owner announces."""

from __future__ import annotations

from typing import Any

import pytest

from keeper.core.conditions import in_the_past
from keeper.core.events import ContractEnding, InstanceOutbid, MachineUnlisted, PriceDrifted
from keeper.core.model import MarketState, OfferNeeds, Policy, Tenure
from keeper.core.terms import followed, margin_s, price_limit, told
from tests.builders import (
    HOST,
    NOW,
    SLOT,
    a_desire,
    a_listing,
    a_record,
    a_tenure,
    a_world,
    ago,
    ahead,
    an_instance,
    decide,
)

POLICY, NEEDS = Policy(), OfferNeeds()
PRICE = a_tenure().dollars_per_hour


def after(tenure: Tenure, **row: Any) -> Tenure:
    """Follow one listing of the rental."""
    listed = an_instance(HOST, tenure.label, **{"dollars_per_hour": PRICE, **row})
    return followed(tenure, listed, NOW, POLICY, NEEDS)


def facts(before: Tenure, now: Tenure) -> list[type]:
    return [type(event) for event in told(SLOT, HOST, before, now, NOW)]


def test_a_listing_that_says_nothing_new_is_the_same_value() -> None:
    tenure = a_tenure()
    assert after(tenure) is tenure
    ending = after(tenure, ends_at=ahead(1e6))
    # A second here or there is no other end.
    assert after(ending, ends_at=ahead(1e6 + 30)) is ending


@pytest.mark.parametrize("missing", [{"dollars_per_hour": 0.0}, {"ends_at": None}])
def test_a_term_that_is_not_told_keeps_the_last_one(missing: dict[str, Any]) -> None:
    tenure = a_tenure(ends_at=ahead(1e6))
    assert after(tenure, **{"ends_at": ahead(1e6), **missing}) is tenure


def test_an_owner_who_takes_the_machine_off_the_market_is_told_once_and_nothing_follows() -> None:
    tenure = a_tenure()
    gone = after(tenure, is_machine_listed=False)
    assert gone.unlisted_since == NOW
    assert facts(tenure, gone) == [MachineUnlisted]
    assert after(gone, is_machine_listed=False) is gone
    back = after(gone)
    assert back.unlisted_since is None
    assert facts(gone, back) == []


def test_an_end_that_comes_near_is_told_once() -> None:
    tenure = a_tenure(ends_at=ahead(7200.0), rented_at=ago(1e6))
    near = after(tenure, ends_at=ahead(7200.0))
    assert near.ending_since == NOW
    assert facts(tenure, near) == [ContractEnding]
    assert facts(near, after(near, ends_at=ahead(7200.0))) == []
    assert after(near, ends_at=ahead(1e6)).ending_since is None  # the owner has prolonged it


def test_a_short_contract_is_not_replaced_before_its_half() -> None:
    tenure = a_tenure(rented_at=ago(600))
    assert margin_s(tenure, ahead(3000), POLICY) == 1800.0
    assert after(tenure, ends_at=ahead(3000)).ending_since is None
    assert after(tenure, ends_at=ahead(500)).ending_since == NOW


def test_a_contract_that_costs_more_than_was_offered_is_told_and_measured_against_the_limit() -> (
    None
):
    tenure = a_tenure(offered_dollars_per_hour=0.40, dollars_per_hour=0.40)
    limit = price_limit(tenure, POLICY, NEEDS)
    assert limit == pytest.approx(0.40 * POLICY.price_drift_max_ratio, abs=0.001)
    drifted = after(tenure, dollars_per_hour=0.45)
    assert facts(tenure, drifted) == [PriceDrifted]
    assert drifted.dear_since is None
    assert after(tenure, dollars_per_hour=limit + 0.01).dear_since == NOW


@pytest.mark.parametrize("is_meant_to_run", [True, False])
def test_both_pictures_of_an_outbid_are_understood(is_meant_to_run: bool) -> None:
    """Q32."""
    tenure = a_tenure(is_bid=True, bid_dollars_per_hour=0.3)
    beaten = after(tenure, state=MarketState.STOPPED, is_meant_to_run=is_meant_to_run)
    assert beaten.outbid_since == NOW
    assert facts(tenure, beaten) == [InstanceOutbid]


def test_who_rents_on_demand_cannot_be_outbid() -> None:
    assert after(a_tenure(), state=MarketState.STOPPED).outbid_since is None


@pytest.mark.parametrize("shown", [0.35, 0.05], ids=["the old bid", "a disk that stands still"])
def test_a_bid_counts_in_full_from_the_order_on_whatever_a_listing_shows(shown: float) -> None:
    """Else another slot would spend what a bid on its way takes up (I4)."""
    rebid = a_tenure(
        is_bid=True, rebids=1, bid_dollars_per_hour=0.50, dollars_per_hour=0.55, booting_since=NOW
    )
    row = {"dollars_per_hour": shown, "disk_dollars_per_hour": 0.05, "is_bid": True}
    assert after(rebid, **row).dollars_per_hour == pytest.approx(0.55)
    assert after(rebid, **{**row, "dollars_per_hour": 0.60}).dollars_per_hour == 0.60


def test_a_clock_that_stepped_back_does_not_put_off_what_follows_from_a_term() -> None:
    """Else a contract that ends, or a price, waits for the clock to catch up."""
    soon = ahead(3600.0)
    tenure = a_tenure(dear_since=soon, ending_since=soon, outbid_since=soon, unlisted_since=soon)
    present = in_the_past(tenure, NOW)
    assert (present.dear_since, present.ending_since) == (NOW, NOW)
    assert (present.outbid_since, present.unlisted_since) == (NOW, NOW)
    assert in_the_past(present, NOW) is present


def test_a_rental_that_an_empty_account_has_stopped_was_not_outbid() -> None:
    tenure = a_tenure(is_bid=True, bid_dollars_per_hour=0.3)
    row = an_instance(HOST, tenure.label, state=MarketState.STOPPED, is_meant_to_run=False)
    starved = followed(tenure, row, NOW, POLICY, NEEDS, is_starved=True)
    assert starved.outbid_since is None
    # Nor when that is known a moment later than the stop.
    beaten = followed(tenure, row, NOW, POLICY, NEEDS)
    assert followed(beaten, row, NOW, POLICY, NEEDS, is_starved=True).outbid_since is None


@pytest.mark.parametrize(
    ("soon_s", "looked_up_s"),
    [(2.0, 11.0), (10.5, 26.0), (20.0, 26.0)],
    ids=["by the next listing", "just after it", "by the one after it"],
)
def test_keeper_looks_up_at_the_listing_that_first_shows_a_contract_s_end(
    soon_s: float, looked_up_s: float
) -> None:
    """The last one is of 5 s ago, and one comes every 15 s; to read it takes a second."""
    ends_at = ahead(POLICY.contract_ending_s + soon_s)
    tenure = a_tenure(rented_at=ago(1e6), requested_at=ago(1e6), ends_at=ends_at)
    listing = a_listing(an_instance(HOST, tenure.label, ends_at=ends_at))
    plan = decide(a_world(a_record(tenure), listing=listing), a_desire(list_interval_s=15.0))
    assert plan.next_check_at == ahead(looked_up_s)
