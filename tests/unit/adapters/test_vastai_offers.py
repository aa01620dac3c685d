"""What a row of a search means, and what a search asks for: tables without a socket."""

from dataclasses import replace
from typing import Any

import pytest

from keeper.adapters.vastai_offers import offers_of
from keeper.adapters.vastai_search import (
    OFFERS_MAX,
    SURVEY_SEARCHES_MAX,
    filters_of,
    next_floor,
    one_offer,
    priced,
    views_of,
)
from keeper.adapters.vastai_wire import Offers
from keeper.core.model import OfferId, OfferNeeds, Pricing
from keeper.sim.search import is_match

ROW: dict[str, Any] = {
    "id": 1,
    "ask_contract_id": 1,
    "machine_id": 2,
    "num_gpus": 1,
    "gpu_name": "RTX 4090",
    "gpu_ram": 24_564,
    "gpu_display_active": True,
    "verification": "verified",
    "rentable": True,
    "reliability": 0.99,
    "disk_space": 812.0,
    "inet_up": 640.0,
    "inet_down": 900.0,
    "dph_base": 0.30,
    "storage_cost": 0.15,
    "storage_total_cost": 0.025,
    "dph_total": 0.325,
    "direct_port_count": 180,
    "duration": 2_592_000.0,
    "geolocation": "Texas, US",
    "cuda_max_good": 12.8,
}


# --- prices --------------------------------------------------------------------------------------


def test_the_price_is_never_below_its_parts() -> None:
    """Q20: a search that ignored the disk size prices 8 GB."""
    row = {"id": 1, "machine_id": 2, "dph_total": 0.3017, "dph_base": 0.30, "storage_cost": 0.15}
    (offer,) = offers_of(Offers(offers=[row]), 120.0)
    assert offer.dollars_per_hour == pytest.approx(0.325)


@pytest.mark.parametrize(
    ("fields", "gpu", "disk"),
    [
        ({"dph_base": 0.3, "storage_cost": 0.15}, 0.30, 0.025),
        ({"dph_base": 0.3, "storage_total_cost": 0.025}, 0.30, 0.025),
        ({"dph_base": 0.3}, 0.30, 0.025),
        ({"storage_cost": 0.15}, 0.30, 0.025),
        ({}, 0.325, 0.0),
    ],
)
def test_price_parts_come_from_whatever_was_given(
    fields: dict[str, Any], gpu: float, disk: float
) -> None:
    row = {"id": 1, "machine_id": 2, "dph_total": 0.325} | fields
    (offer,) = offers_of(Offers(offers=[row]), 120.0)
    assert offer.gpu_dollars_per_hour == pytest.approx(gpu)
    assert offer.disk_dollars_per_hour == pytest.approx(disk)
    assert offer.dollars_per_hour == pytest.approx(0.325)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"verification": "verified"}, True),
        ({"verification": " Verified "}, True),
        ({"verification": "unverified", "verified": True}, False),
        ({"verification": "deverified"}, False),
        ({"verified": True}, True),
        ({"verified": "verified"}, True),
        ({"verified": False}, False),
        ({}, False),
    ],
)
def test_verified_is_a_word_or_a_flag(fields: dict[str, Any], expected: bool) -> None:
    row = {"id": 1, "machine_id": 2, "dph_total": 0.3} | fields
    (offer,) = offers_of(Offers(offers=[row]), 120.0)
    assert offer.verified is expected


@pytest.mark.parametrize("total", [None, -0.01, "NaN", 1000.01, 1e308, True, "soon"])
def test_an_offer_without_a_price_that_anybody_would_ask_is_left_out(total: Any) -> None:
    """A thousand dollars an hour is no price: it is a slip, or it is meant to be one."""
    rows = [{"id": 1, "machine_id": 2, "dph_total": total}, ROW | {"id": 3, "dph_total": 1000}]
    assert [o.offer_id for o in offers_of(Offers(offers=rows), 120.0)] == [3]


@pytest.mark.parametrize("nonsense", [-1, 1e308, "NaN", None, [], 5000])
@pytest.mark.parametrize("name", ["dph_base", "storage_cost", "storage_total_cost", "min_bid"])
def test_a_part_of_a_price_that_makes_no_sense_comes_from_the_others(
    name: str, nonsense: Any
) -> None:
    (offer,) = offers_of(Offers(offers=[ROW | {name: nonsense}]), 120.0)
    assert offer.gpu_dollars_per_hour == pytest.approx(0.30)
    assert offer.disk_dollars_per_hour == pytest.approx(0.025)


# --- bids ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "said", "is_bid", "rentable"),
    [
        (False, {}, False, True),
        (False, {"is_bid": None}, False, True),
        (False, {"is_bid": False}, False, True),
        (False, {"is_bid": True}, True, False),
        (False, {"is_bid": "maybe"}, False, False),
        (True, {}, True, True),
        (True, {"is_bid": None}, True, True),
        (True, {"is_bid": True}, True, True),
        (True, {"is_bid": "true"}, True, True),
        (True, {"is_bid": False}, False, False),
        (True, {"is_bid": 7}, False, False),
    ],
)
def test_a_price_on_another_basis_than_was_asked_for_is_not_rentable(
    asked: bool, said: dict[str, Any], is_bid: bool, rentable: bool
) -> None:
    """Q32: a floor for bids taken for a price on demand would be rented far too dear."""
    (offer,) = offers_of(Offers(offers=[ROW | said]), 120.0, is_bid=asked)
    assert (offer.is_bid, offer.rentable) == (is_bid, rentable)


@pytest.mark.parametrize(
    ("fields", "floor"),
    [
        ({"dph_base": 0.22, "dph_total": 0.245, "min_bid": 0.22}, 0.22),
        ({"dph_base": 0.22, "dph_total": 0.245, "min_bid": 0.25}, 0.25),
        ({"dph_base": 0.30, "dph_total": 0.325, "min_bid": 0.22}, 0.30),
        ({"dph_base": 0.22, "dph_total": 0.245, "min_bid": None}, 0.22),
        ({"dph_base": None, "dph_total": 0.245, "min_bid": 0.22}, 0.22),
        ({"dph_base": 0.22, "dph_total": 0.245, "min_bid": 1e9}, 0.22),
    ],
)
def test_what_a_bid_must_reach_is_the_higher_of_what_was_said(
    fields: dict[str, Any], floor: float
) -> None:
    """A bid below the floor leaves a stopped contract that bills its disk."""
    (offer,) = offers_of(Offers(offers=[ROW | fields | {"is_bid": True}]), 120.0, is_bid=True)
    assert offer.gpu_dollars_per_hour == pytest.approx(floor)
    assert offer.dollars_per_hour == pytest.approx(floor + 0.025)


def test_the_floor_of_an_offer_on_demand_is_not_its_price() -> None:
    (offer,) = offers_of(Offers(offers=[ROW | {"min_bid": 0.31}]), 120.0)
    assert offer.gpu_dollars_per_hour == pytest.approx(0.30)


# --- what is sent --------------------------------------------------------------------------------


def test_a_search_sends_all_needs_as_filters() -> None:
    """Q19, Q21, Q31."""
    needs = OfferNeeds(
        gpu_ram_min_gb=24,
        gpu_names=("RTX_4090", "RTX 5090"),
        gpu_names_excluded=("RTX_3060",),
        geolocations=("us", "CA"),
        inet_up_min_mbps=100,
        cuda_min=12.4,
    )
    body = priced(filters_of(needs), needs, "on-demand")
    plain = {name: body.pop(name) for name in ("order", "type", "limit", "allocated_storage")}
    assert plain == {
        "order": [["dph_total", "asc"]],
        "type": "on-demand",
        "limit": 64,
        "allocated_storage": 120.0,
    }
    assert body == {
        "rentable": {"eq": True},
        "rented": {"eq": False},
        "external": {"eq": False},
        "verified": {"eq": True},
        "gpu_display_active": {"eq": True},
        "num_gpus": {"eq": 1},
        "gpu_ram": {"gte": 22800},
        "gpu_name": {"in": ["RTX 4090", "RTX 5090"], "notin": ["RTX 3060"]},
        "geolocation": {"in": ["US", "CA"]},
        "reliability": {"gte": 0.95},
        "disk_space": {"gte": 120.0},
        "dph_total": {"lte": 2.0},
        "direct_port_count": {"gte": 1},
        "duration": {"gte": 86_400.0},
        "inet_up": {"gte": 100},
        "cuda_max_good": {"gte": 12.4},
    }


def test_needs_that_ask_for_nothing_filter_nothing() -> None:
    body = filters_of(OfferNeeds(gpu_display_active=False, verified=False))
    assert not {"gpu_display_active", "verified", "gpu_name", "geolocation", "inet_up"} & set(body)


def test_one_offer_is_looked_up_by_the_name_that_is_a_filter() -> None:
    """Q19: a filter on ``id`` matches nothing."""
    assert one_offer(OfferId(7)) == {"ask_contract_id": {"eq": 7}}


# --- the look around -----------------------------------------------------------------------------

WISHES = OfferNeeds(
    gpu_names=("RTX 4090",),
    gpu_names_excluded=("RTX 3060",),
    geolocations=("US",),
    inet_up_min_mbps=100.0,
    inet_down_min_mbps=100.0,
    cuda_min=12.0,
)
FLAWS: dict[str, dict[str, Any]] = {
    "display": {"gpu_display_active": False},
    "verification": {"verification": "unverified"},
    "GPU name": {"gpu_name": "RTX 4080"},
    "GPU count": {"num_gpus": 2},
    "GPU memory": {"gpu_ram": 16_376},
    "disk": {"disk_space": 90.0},
    "reliability": {"reliability": 0.90},
    "place": {"geolocation": "Ontario, CA"},
    "upload": {"inet_up": 80.0},
    "download": {"inet_down": 80.0},
    "direct ports": {"direct_port_count": 0},
    "duration": {"duration": 7_200.0},
    "CUDA": {"cuda_max_good": 11.8},
    "price": {"dph_total": 2.5},
}


@pytest.mark.parametrize(
    "needs",
    [
        WISHES,
        replace(WISHES, gpu_display_active=False),
        replace(WISHES, gpu_display_active=False, gpu_names=()),
        replace(WISHES, pricing=Pricing.INTERRUPTIBLE),
        replace(WISHES, pricing=Pricing.INTERRUPTIBLE_WITH_FALLBACK),
    ],
)
@pytest.mark.parametrize("flaw", sorted(FLAWS))
def test_a_look_around_shows_what_misses_by_one_need_alone(needs: OfferNeeds, flaw: str) -> None:
    """Else the report could not say what relaxing that need would bring."""
    assert is_match(ROW, filters_of(needs))
    row = ROW | FLAWS[flaw]
    shown_on = {view.basis for view in views_of(needs) if is_match(row, view.filters)}
    asked = {
        Pricing.ON_DEMAND: {"on-demand"},
        Pricing.INTERRUPTIBLE: {"bid"},
        Pricing.INTERRUPTIBLE_WITH_FALLBACK: {"on-demand", "bid"},
    }[needs.pricing]
    assert asked <= shown_on


@pytest.mark.parametrize("pricing", Pricing)
def test_a_look_around_shows_what_is_only_priced_on_the_other_basis(pricing: Pricing) -> None:
    needs = replace(WISHES, pricing=pricing)
    suits_on = {view.basis for view in views_of(needs) if is_match(ROW, view.filters)}
    assert suits_on == {"on-demand", "bid"}


@pytest.mark.parametrize("pricing", Pricing)
def test_every_view_of_a_look_around_gets_its_turn(pricing: Pricing) -> None:
    views = views_of(replace(WISHES, pricing=pricing))
    assert sum(view.pages_max for view in views[:-1]) < SURVEY_SEARCHES_MAX


def test_only_the_scarcest_need_and_availability_are_asked_for_first() -> None:
    first = views_of(OfferNeeds())[0].filters
    assert set(first) == {"rentable", "rented", "external", "gpu_display_active"}


def full(*totals: Any) -> Offers:
    rows = [{"id": n, "dph_total": 0.1} for n in range(OFFERS_MAX - len(totals))]
    return Offers(offers=[*rows, *({"id": 900 + n, "dph_total": t} for n, t in enumerate(totals))])


@pytest.mark.parametrize(
    ("answer", "floor", "expected"),
    [
        (full(0.5), None, 0.5),
        (full(0.5), 0.3, 0.5),
        (full(), None, 0.1),
        (full(), 0.1, None),  # more than a page costs the same
        (full("NaN", 1e308, None, "0.4"), None, 0.4),
        (Offers(offers=[{"id": 1, "dph_total": 0.5}]), None, None),  # not capped: it was the last
        (Offers(offers=[]), 0.5, None),
        (Offers(offers=["x"] * OFFERS_MAX), None, None),
    ],
)
def test_the_next_page_goes_on_from_the_dearest_row(
    answer: Offers, floor: float | None, expected: float | None
) -> None:
    """Q19: an answer holds at most 64 offers, whatever limit is asked for."""
    assert next_floor(answer, floor) == expected


def test_a_page_keeps_the_limit_of_the_price() -> None:
    needs = OfferNeeds()
    body = priced(filters_of(needs), needs, "bid", 0.4)
    assert body["dph_total"] == {"lte": 2.0, "gte": 0.4}
    assert body["type"] == "bid"
    assert priced(filters_of(needs), needs, "bid")["dph_total"] == {"lte": 2.0}


@pytest.mark.parametrize(
    ("said", "expected"), [("565.57.01", "565.57.01"), (" 550.90.07\n", "550.90.07"), (None, "")]
)
def test_the_driver_is_as_it_was_told(said: Any, expected: str) -> None:
    (offer,) = offers_of(Offers(offers=[{**ROW, "driver_version": said}]), 120.0)
    assert offer.driver_version == expected
