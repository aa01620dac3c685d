"""The bid: above the floor, on the marketplace's grain, never above what the limit leaves."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.core.bids import GRAIN_DOLLARS_PER_HOUR, bid_dollars_per_hour, needs_now
from keeper.core.model import OfferNeeds, Pricing
from tests.builders import NOW, a_stream, ago

NEEDS = OfferNeeds(price_max_dollars_per_hour=0.50, bid_margin_ratio=1.10)


@pytest.mark.parametrize(
    ("floor", "beside", "bid"),
    [
        (0.200, 0.025, 0.220),
        (0.22, 0.0, 0.242),
        (0.2001, 0.0, 0.221),  # up to the grain, never down
        (0.460, 0.025, 0.475),  # the limit leaves less than the margin
        (0.475, 0.025, 0.475),  # exactly the floor
        (0.476, 0.025, None),  # not even the floor
        (0.100, 0.500, None),  # disk and traffic use it all up
        (0.0, 0.0, None),  # no floor was told: nothing is bid
    ],
)
def test_the_bid_follows_from_floor_and_limit(
    floor: float, beside: float, bid: float | None
) -> None:
    assert bid_dollars_per_hour(floor, beside, NEEDS) == bid


@given(
    floor=st.floats(0.001, 200),
    beside=st.floats(0, 50),
    limit=st.floats(0.01, 200),
    margin=st.floats(1, 3),
)
def test_no_bid_breaks_the_limit_or_misses_the_floor(
    floor: float, beside: float, limit: float, margin: float
) -> None:
    needs = OfferNeeds(price_max_dollars_per_hour=limit, bid_margin_ratio=margin)
    bid = bid_dollars_per_hour(floor, beside, needs)
    if bid is None:
        assert limit - beside < floor + GRAIN_DOLLARS_PER_HOUR
        return
    assert bid + beside <= limit + 1e-6
    assert bid >= floor - 1e-6
    assert bid == pytest.approx(round(bid / GRAIN_DOLLARS_PER_HOUR) * GRAIN_DOLLARS_PER_HOUR)


@pytest.mark.parametrize(
    ("pricing", "outbid_s", "expected"),
    [
        (Pricing.INTERRUPTIBLE_WITH_FALLBACK, 60.0, Pricing.ON_DEMAND),
        (Pricing.INTERRUPTIBLE_WITH_FALLBACK, 22_000.0, Pricing.INTERRUPTIBLE_WITH_FALLBACK),
        (Pricing.INTERRUPTIBLE_WITH_FALLBACK, None, Pricing.INTERRUPTIBLE_WITH_FALLBACK),
        (Pricing.INTERRUPTIBLE, 60.0, Pricing.INTERRUPTIBLE),
        (Pricing.ON_DEMAND, 60.0, Pricing.ON_DEMAND),
    ],
)
def test_after_an_outbid_a_slot_rents_on_demand_for_a_while(
    pricing: Pricing, outbid_s: float | None, expected: Pricing
) -> None:
    stream = replace(a_stream(), needs=replace(NEEDS, pricing=pricing))
    outbid_at = None if outbid_s is None else ago(outbid_s)
    assert needs_now(stream, outbid_at, NOW) == replace(NEEDS, pricing=expected)
