"""What the Vast.ai adapter asks of the market, by pricing, and what it believes of the answers."""

import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from typing_extensions import override

from keeper.adapters.clock import SystemClock
from keeper.adapters.vastai_search import OFFERS_MAX, SURVEY_SEARCHES_MAX
from keeper.core.model import OfferId, OfferNeeds, Pricing
from keeper.ports import Malformed, QuotaSpent, RateLimited
from tests.integration.adapters.vast_server import (
    SEARCH,
    Answer,
    Script,
    market_at,
    offer,
    says,
    scripted,
)

NOTHING: dict[str, Any] = {"offers": []}
BIDS = OfferNeeds(pricing=Pricing.INTERRUPTIBLE)
EITHER = OfferNeeds(pricing=Pricing.INTERRUPTIBLE_WITH_FALLBACK)


def a_bid(offer_id: int, **fields: Any) -> dict[str, Any]:
    """Give the same offer as a search for bids prices it."""
    prices = {"is_bid": True, "dph_base": 0.20, "min_bid": 0.20, "dph_total": 0.225}
    return offer(offer_id, **prices | fields)


def asked(script: Script) -> list[dict[str, Any]]:
    return [one.json for one in script.seen]


async def found(answer: Answer, needs: OfferNeeds | None = None) -> Any:
    async with scripted() as script, market_at(script.url) as market:
        script.on(SEARCH, answer)
        return await market.search_offers(needs or OfferNeeds())


async def test_offers_come_cheapest_first_each_once() -> None:
    rows = [offer(2, dph_base=0.6, dph_total=0.625), offer(1), offer(1), offer(3, dph_total=None)]
    offers = await found(says({"offers": rows}))
    assert [one.offer_id for one in offers] == [1, 2]
    assert offers[0].dollars_per_hour == pytest.approx(0.325)
    assert offers[0].gpu_dollars_per_hour == pytest.approx(0.30)
    assert offers[0].disk_dollars_per_hour == pytest.approx(0.15 * 120 / 720)


async def test_a_dirty_offer_spoils_only_itself() -> None:
    rows = [None, "x", {}, offer(1, gpu_ram=" 24564 ", cpu_cores=None, geolocation="Texas, US\n")]
    offers = await found(says(json.dumps({"offers": rows}).replace("12.8", "NaN")))
    assert [(one.gpu_ram_gb, one.geolocation, one.cuda_max) for one in offers] == [
        (24.564, "US", 0.0)
    ]


async def test_no_offers_is_an_answer() -> None:
    assert await found(says({"offers": []})) == ()


@pytest.mark.parametrize("body", [{}, {"offers": None}, {"offers": offer(1)}, {"offers": [{}, 1]}])
async def test_a_search_without_readable_offers_is_malformed(body: Any) -> None:
    with pytest.raises(Malformed):
        await found(says(body))


async def test_spent_quota_stops_searching_until_its_reset() -> None:
    """Q18."""
    async with scripted() as script, market_at(script.url) as market:
        script.on(SEARCH, says({"error": "search_quota_exceeded", "msg": "daily quota"}, 429))
        for _ in range(3):
            with pytest.raises(QuotaSpent) as caught:
                await market.search_offers(OfferNeeds())
            assert caught.value.until is not None
            assert caught.value.until.hour == caught.value.until.minute == 0
        assert script.count(SEARCH) == 1


class _Stepping(SystemClock):
    """A wall clock that is set right by so many days."""

    ahead = timedelta(days=400)

    @override
    def now(self) -> datetime:
        return super().now() + self.ahead


async def test_a_quota_spent_by_a_clock_that_was_wrong_is_not_waited_for_until_that_clock_comes() -> (
    None
):
    """A box that starts with a wrong date would not search for a year; now it is a day at most."""
    clock = _Stepping()
    async with scripted() as script, market_at(script.url, clock=clock) as market:
        spent = says({"error": "search_quota_exceeded", "msg": "daily quota"}, 429)
        script.on(SEARCH, spent)
        with pytest.raises(QuotaSpent):
            await market.search_offers(OfferNeeds())
        clock.ahead = timedelta()
        with pytest.raises(QuotaSpent) as caught:
            await market.search_offers(OfferNeeds())
        assert caught.value.until is not None
        assert caught.value.until < clock.now() + timedelta(days=1, seconds=2)
        assert script.count(SEARCH) == 1


# --- by pricing ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("needs", "types"),
    [(OfferNeeds(), ["on-demand"]), (BIDS, ["bid"]), (EITHER, ["bid", "on-demand"])],
)
async def test_a_search_is_made_on_each_basis_that_suits(
    needs: OfferNeeds, types: list[str]
) -> None:
    async with scripted() as script, market_at(script.url) as market:
        script.on(SEARCH, says(NOTHING))
        assert await market.search_offers(needs) == ()
        assert [body.pop("type") for body in asked(script)] == types
        assert all(body.pop("allocated_storage") == 120.0 for body in asked(script))


async def test_a_bid_is_offered_at_its_floor() -> None:
    """Q32: outbid hosts are told apart only if bids are."""
    (bid,) = await found(says({"offers": [a_bid(1)]}), BIDS)
    assert (bid.is_bid, bid.rentable) == (True, True)
    assert bid.gpu_dollars_per_hour == pytest.approx(0.20)
    assert bid.dollars_per_hour == pytest.approx(0.20 + 0.025)


async def test_an_ask_has_a_price_on_each_basis() -> None:
    async with scripted() as script, market_at(script.url) as market:
        script.on(SEARCH, says({"offers": [a_bid(1), a_bid(2)]}), says({"offers": [offer(1)]}))
        offers = await market.search_offers(EITHER)
    assert [(one.offer_id, one.is_bid) for one in offers] == [(1, True), (2, True), (1, False)]


async def test_half_a_search_is_none() -> None:
    """Offers of one basis alone would look like a shortage of the other."""
    async with scripted() as script, market_at(script.url) as market:
        script.on(SEARCH, says({"offers": [a_bid(1)]}), says("too frequent", 429))
        with pytest.raises(RateLimited):
            await market.search_offers(EITHER)


# --- one offer -----------------------------------------------------------------------------------


@pytest.mark.parametrize("needs", [OfferNeeds(), BIDS, EITHER])
async def test_one_offer_is_looked_up_whatever_it_misses(needs: OfferNeeds) -> None:
    async with scripted() as script, market_at(script.url) as market:
        row = a_bid if needs is BIDS else offer
        script.on(SEARCH, says({"offers": [row(7, num_gpus=8, rentable=False)]}))
        (one, *_) = await market.search_offers(needs, offer_id=OfferId(7))
        assert (one.offer_id, one.gpu_count, one.rentable) == (7, 8, False)
        for body in asked(script):
            assert body.pop("ask_contract_id") == {"eq": 7}
            assert set(body) == {"order", "type", "limit", "allocated_storage"}


async def test_an_offer_that_is_gone_is_nothing() -> None:
    async with scripted() as script, market_at(script.url) as market:
        script.on(SEARCH, says(NOTHING))
        assert await market.search_offers(OfferNeeds(), offer_id=OfferId(7)) == ()


async def test_another_offer_than_the_one_asked_for_is_not_it() -> None:
    """Q19: filters are not always applied."""
    async with scripted() as script, market_at(script.url) as market:
        script.on(SEARCH, says({"offers": [offer(8), offer(7), offer(9)]}))
        offers = await market.search_offers(OfferNeeds(), offer_id=OfferId(7))
    assert [one.offer_id for one in offers] == [7]


# --- the look around -----------------------------------------------------------------------------


def priced_rows(first: int, count: int, dollars: float) -> dict[str, Any]:
    """Give a page of offers, each a tenth of a cent dearer than the one before."""
    totals = [dollars + each / 1000 for each in range(count)]
    return {
        "offers": [
            offer(first + each, dph_total=total, dph_base=total - 0.025)
            for each, total in enumerate(totals)
        ]
    }


async def test_a_look_around_goes_up_the_prices_page_by_page() -> None:
    """Q19: at most 64 offers an answer; the dearest is where the next page goes on."""
    async with scripted() as script, market_at(script.url) as market:
        script.on(
            SEARCH,
            says(priced_rows(100, OFFERS_MAX, 0.200)),
            says(priced_rows(163, OFFERS_MAX, 0.263)),
            says(priced_rows(226, 5, 0.326)),
            says(NOTHING),
        )
        offers = await market.survey_offers(OfferNeeds())
        floors = [body.get("dph_total", {}).get("gte") for body in asked(script)]
    assert floors[:4] == [None, pytest.approx(0.263), pytest.approx(0.326), None]
    assert [one.offer_id for one in offers] == list(range(100, 231))


async def test_a_look_around_ends() -> None:
    """Whatever the market holds, and even if it always says the same."""
    async with scripted() as script, market_at(script.url) as market:
        pages = [says(priced_rows(100 * n, OFFERS_MAX, 0.2 + n / 10)) for n in range(1, 30)]
        script.on(SEARCH, *pages)
        await market.survey_offers(EITHER)
        assert script.count(SEARCH) == SURVEY_SEARCHES_MAX
    async with scripted() as script, market_at(script.url) as market:
        script.on(SEARCH, says(priced_rows(100, OFFERS_MAX, 0.2)))
        assert len(await market.survey_offers(EITHER)) == OFFERS_MAX
        assert script.count(SEARCH) <= SURVEY_SEARCHES_MAX


async def test_a_look_around_is_all_of_its_views_or_nothing() -> None:
    async with scripted() as script, market_at(script.url) as market:
        script.on(SEARCH, says({"offers": [offer(1)]}), says("too frequent", 429))
        with pytest.raises(RateLimited):
            await market.survey_offers(OfferNeeds())


async def test_a_quota_that_is_spent_by_looking_around_stops_the_search_too() -> None:
    """Q18: the daily quota is one for all searches."""
    async with scripted() as script, market_at(script.url) as market:
        script.on(SEARCH, says({"error": "search_quota_exceeded", "msg": "daily quota"}, 429))
        with pytest.raises(QuotaSpent):
            await market.survey_offers(OfferNeeds())
        with pytest.raises(QuotaSpent):
            await market.search_offers(OfferNeeds())
        assert script.count(SEARCH) == 1


@pytest.mark.parametrize("pricing", Pricing)
async def test_no_answer_holds_more_than_keeper_takes_in(pricing: Pricing) -> None:
    """The switch that lifts the cap answers with thousands of rows of four kilobytes."""
    async with scripted() as script, market_at(script.url) as market:
        script.on(SEARCH, says(NOTHING))
        needs = replace(OfferNeeds(), pricing=pricing)
        await market.search_offers(needs)
        await market.survey_offers(needs)
        assert all(body["limit"] == OFFERS_MAX for body in asked(script))
        assert not any("disable_bundling" in body for body in asked(script))
