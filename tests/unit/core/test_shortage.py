"""A shortage is explained: what each filter keeps out, and what would let the nearest offer in."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest

from keeper.core import spread
from keeper.core.market import FILTERS, Avoided, lacks_of, search
from keeper.core.model import HostId, MachineId, Offer, OfferId, OfferNeeds, Pricing
from keeper.core.shortage import WORDS, Miss, explain
from tests.builders import an_offer

NEEDS = OfferNeeds(
    gpu_names=("RTX 4090", "RTX 3090"), gpu_names_excluded=("RTX 3090",), geolocations=("SE",),
    inet_up_min_mbps=100.0, inet_down_min_mbps=100.0, cuda_min=12.0,
)  # fmt: skip

FLAWS: dict[str, dict[str, object]] = {
    "pricing": {"is_bid": True},
    "display": {"gpu_display_active": False},
    "verification": {"verified": False},
    "GPU name": {"gpu_name": "Tesla T4"},
    "excluded GPU name": {"gpu_name": "RTX 3090"},
    "GPU count": {"gpu_count": 2},
    "GPU memory": {"gpu_ram_gb": 19.97},
    "disk": {"disk_space_gb": 119.3},
    "reliability": {"reliability": 0.9494},
    "place": {"geolocation": "US"},
    "upload": {"inet_up_mbps": 99.7},
    "download": {"inet_down_mbps": 99.7},
    "direct ports": {"direct_port_count": 0},
    "duration": {"duration_s": 86_399.6},
    "CUDA": {"cuda_max": 11.8},
    "price": {"dollars_per_hour": 2.013},
}


def relaxed(needs: OfferNeeds, miss: Miss) -> OfferNeeds:
    """Write the setting as the report says, the way the configuration would be read."""
    name = miss.setting.removeprefix("offer.")
    return replace(needs, **{name: read(getattr(needs, name), miss)})


def read(before: Any, miss: Miss) -> Any:
    if isinstance(before, tuple):
        words = miss.value.strip("[]")
        return tuple(word.strip() for word in words.split(",") if word.strip())
    if isinstance(before, Pricing):
        return Pricing(miss.value)
    if isinstance(before, bool):
        return miss.value == "true"
    return type(before)(float(miss.value))


@pytest.mark.parametrize("what", FLAWS)
def test_what_the_report_says_lets_the_offer_in(what: str) -> None:
    flawed = an_offer(1, **FLAWS[what])
    report = explain([flawed, an_offer(2)], NEEDS, Avoided())
    (miss,) = report.misses
    assert (miss.what, miss.removed, miss.fails, miss.alone) == (what, 1, 1, 1)
    assert miss.nearest == flawed
    assert miss.setting, "it says what to change"
    assert lacks_of(flawed, relaxed(NEEDS, miss), Avoided()) == []
    assert miss.has
    assert miss.asked
    assert miss.more_dollars_per_hour == pytest.approx(
        miss.dollars_per_hour - an_offer(2).dollars_per_hour
    )


def test_every_filter_has_its_words() -> None:
    assert set(WORDS) == {*FILTERS, *spread.WORDS, "a lost race", "quarantine"}


def test_the_nearest_miss_needs_the_smallest_change_and_then_the_least_money() -> None:
    offers = [
        an_offer(1, reliability=0.90, dollars_per_hour=0.10),
        an_offer(2, reliability=0.94, dollars_per_hour=0.50),
        an_offer(3, reliability=0.94, dollars_per_hour=0.40),
    ]
    (miss,) = explain(offers, OfferNeeds(), Avoided()).misses
    assert miss.nearest is not None
    assert (miss.nearest.offer_id, miss.value) == (103, "0.940")
    assert miss.more_dollars_per_hour is None, "nothing suits, so nothing is dearer"


def test_what_is_avoided_is_explained_and_not_to_be_relaxed() -> None:
    avoided = Avoided(offers=frozenset({OfferId(101)}), machines=frozenset({MachineId(202)}))
    report = explain([an_offer(1), an_offer(2)], OfferNeeds(), avoided)
    assert [(m.what, m.alone, m.setting) for m in report.misses] == [
        ("a lost race", 1, ""), ("quarantine", 1, ""),
    ]  # fmt: skip
    assert report.cures == ()


def test_when_no_offer_misses_by_one_filter_the_closest_is_named_with_all_it_lacks() -> None:
    offers = [
        an_offer(1, verified=False, reliability=0.5, gpu_ram_gb=8.0),
        an_offer(2, verified=False, reliability=0.5, dollars_per_hour=0.9),
        an_offer(3, verified=False, reliability=0.5, dollars_per_hour=0.8),
    ]
    report = explain(offers, OfferNeeds(), Avoided())
    assert report.closest is not None
    assert report.closest.offer_id == 103
    assert report.closest_lacks == ("verification", "reliability")
    assert "the closest is offer 103, which fails at verification, reliability" in report.sentence()


def test_the_sentence_holds_the_funnel_and_the_cheapest_cures() -> None:
    offers = [
        an_offer(1, gpu_display_active=False, dollars_per_hour=0.30),
        an_offer(2, reliability=0.93, dollars_per_hour=0.25),
        an_offer(3, gpu_display_active=False, verified=False),
    ]
    assert explain(offers, OfferNeeds(), Avoided()).sentence() == (
        "0 of 3 offers suit; removed 2 by display, 1 by reliability; would suit with"
        " offer.reliability_min: 0.930 (offer 102, 0.250 $/h), or"
        " offer.gpu_display_active: false (offer 101, 0.300 $/h)"
    )


def test_an_empty_market_is_explained_too() -> None:
    assert explain([], OfferNeeds(), Avoided()).sentence() == "0 of 0 offers suit"


def test_the_order_of_the_offers_does_not_matter() -> None:
    rng = random.Random(7)
    offers = [an_offer(number, **spoiled(rng)) for number in range(1, 60)]
    reports = set()
    for _ in range(5):
        rng.shuffle(offers)
        reports.add((explain(offers, NEEDS, Avoided()), search(offers, NEEDS, Avoided()).suitable))
    assert len(reports) == 1


def spoiled(rng: random.Random) -> dict[str, object]:
    flaws: dict[str, object] = {"dollars_per_hour": round(rng.uniform(0.1, 3), 2)}
    for what in rng.sample(sorted(FLAWS), rng.choice((0, 1, 1, 2))):
        flaws |= FLAWS[what]
    return flaws


# --- bids -------------------------------------------------------------------------------------------


def a_bid(number: int, floor: float, **more: object) -> Offer:
    return an_offer(
        number, is_bid=True, gpu_dollars_per_hour=floor, disk_dollars_per_hour=0.05,
        dollars_per_hour=floor + 0.05, **more,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("pricing", "suit"),
    [
        (Pricing.ON_DEMAND, [103]),
        (Pricing.INTERRUPTIBLE, [101, 102]),
        (Pricing.INTERRUPTIBLE_WITH_FALLBACK, [101, 102, 103]),
    ],
)
def test_a_bid_suits_only_where_bids_are_wanted_and_comes_before_the_fallback(
    pricing: Pricing, suit: list[int]
) -> None:
    offers = [an_offer(3, dollars_per_hour=0.10), a_bid(2, 0.30), a_bid(1, 0.20)]
    needs = OfferNeeds(pricing=pricing)
    assert [o.offer_id for o in search(offers, needs, Avoided()).suitable] == suit


def test_a_bid_that_finds_no_room_under_the_limit_does_not_suit() -> None:
    needs = OfferNeeds(pricing=Pricing.INTERRUPTIBLE, price_max_dollars_per_hour=0.50)
    tight, over = a_bid(1, 0.45), a_bid(2, 0.451)
    assert [o.offer_id for o in search([tight, over], needs, Avoided()).suitable] == [101]
    report = explain([over], needs, Avoided())
    assert [(m.what, m.value) for m in report.misses] == [("price", "0.51")]


def test_an_owner_in_quarantine_is_no_near_miss() -> None:
    avoided = Avoided(hosts=frozenset({HostId(301)}))
    assert explain([an_offer(1, verified=False)], OfferNeeds(), avoided).cures == ()
