"""Spacing, limits and their ends, over real connections. The arithmetic is in the unit tests."""

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise
from typing import Any

import pytest

from keeper.adapters.vastai_spacing import Endpoint
from keeper.core.model import InstanceId, OfferId, OfferNeeds, RentalSpec
from keeper.ports import QuotaSpent, RateLimited, Transient, Uncertain
from tests.integration.adapters.vast_server import (
    ACCOUNT,
    CREATE,
    LIST,
    SEARCH,
    SHOW,
    hangs_up,
    market_at,
    page,
    row,
    says,
    scripted,
)

SPEC = RentalSpec(image="i", disk_gb=10)


async def test_tasks_share_the_spacing_of_an_endpoint() -> None:
    """I24: as the server sees it."""
    spacing = dict.fromkeys(Endpoint, 0.05)
    async with scripted() as script, market_at(script.url, spacing=spacing) as market:
        script.on(SHOW, says({"instances": row(5)}))
        script.on(ACCOUNT, says({"credit": 1}))
        async with asyncio.TaskGroup() as group:
            for _ in range(6):
                group.create_task(market.show_instance(InstanceId(5)))
            for _ in range(3):
                group.create_task(market.account())
        for call in (SHOW, ACCOUNT):
            times = [one.at_s for one in script.seen if one.call == call]
            assert all(later - earlier >= 0.05 for earlier, later in pairwise(times))


async def test_the_pages_of_a_list_keep_their_distance() -> None:
    spacing = {Endpoint.LIST: 0.05}
    async with scripted() as script, market_at(script.url, spacing=spacing) as market:
        script.on(LIST, says(page([row(1)], 2, "t")), says(page([row(2)], 2)))
        assert len(await market.list_instances()) == 2
        first, second = (one.at_s for one in script.seen)
        assert second - first >= 0.05


async def test_a_429_shuts_its_endpoint_and_no_other() -> None:
    async with scripted() as script, market_at(script.url, wait_max_s=5.0) as market:
        script.on(SHOW, says("too much", 429, Retry_After="30"), says({"instances": row(5)}))
        script.on(ACCOUNT, says({"credit": 1}))
        for _ in range(3):
            with pytest.raises(RateLimited) as caught:
                await market.show_instance(InstanceId(5))
            assert caught.value.retry_after_s == pytest.approx(30.0, abs=5.0)
        assert script.count(SHOW) == 1, "the second and third were not sent"
        assert (await market.account()).credit_dollars == 1


async def test_a_429_without_a_hint_backs_off_all_the_same() -> None:
    """Q17."""
    async with scripted() as script, market_at(script.url, wait_max_s=0.05) as market:
        script.on(ACCOUNT, says({"detail": "API requests too frequent"}, 429))
        with pytest.raises(RateLimited) as caught:
            await market.account()
        assert caught.value.retry_after_s is not None
        assert 0.0 < caught.value.retry_after_s <= 1.25
        with pytest.raises(RateLimited, match="not sent"):
            await market.account()
        assert script.count(ACCOUNT) == 1


async def test_a_limited_create_was_not_made_and_waits_out_the_penalty() -> None:
    async with scripted() as script, market_at(script.url, wait_max_s=1.0) as market:
        said = {"detail": "API requests too frequent endpoint threshold=4.5"}
        script.on(CREATE, says(said, 429))
        with pytest.raises(RateLimited) as caught:
            await market.create(OfferId(7), "label", SPEC)
        assert caught.value.retry_after_s is not None
        assert caught.value.retry_after_s > 4.5 + 12.0 - 5.0
        with pytest.raises(RateLimited, match="not sent"):
            await market.create(OfferId(8), "other", SPEC)
        assert script.count(CREATE) == 1


async def test_a_lost_call_counts_for_the_spacing() -> None:
    spacing = {Endpoint.CREATE: 60.0}
    async with scripted() as script, market_at(script.url, spacing=spacing, wait_max_s=1) as market:
        script.on(CREATE, hangs_up())
        with pytest.raises(Uncertain):
            await market.create(OfferId(7), "label", SPEC)
        with pytest.raises(RateLimited, match="not sent"):
            await market.create(OfferId(7), "label", SPEC)
        assert script.count(CREATE) == 1


async def test_a_hint_beside_a_breakdown_is_passed_on() -> None:
    async with scripted() as script, market_at(script.url) as market:
        script.on(ACCOUNT, says("", 503, Retry_After="7"))
        with pytest.raises(Transient) as caught:
            await market.account()
        assert caught.value.retry_after_s == 7.0


async def test_two_clients_of_one_key_share_the_spacing() -> None:
    """I24: a verb and what it starts may each open a client; the server sees one key."""
    spacing = dict.fromkeys(Endpoint, 0.05)
    async with scripted() as script:
        script.on(ACCOUNT, says({"credit": 1}))
        async with (
            market_at(script.url, spacing=spacing) as one,
            market_at(f"{script.url}/", spacing=spacing) as two,
            asyncio.TaskGroup() as group,
        ):
            for market in (one, two, one, two):
                group.create_task(market.account())
        times = [each.at_s for each in script.seen]
        assert all(later - earlier >= 0.05 for earlier, later in pairwise(times))
        async with market_at(script.url, spacing=spacing, key="another-key") as other:
            await other.account()


async def test_a_429_shuts_the_endpoint_for_every_client_of_the_key() -> None:
    async with scripted() as script:
        script.on(ACCOUNT, says("too much", 429, Retry_After="30"), says({"credit": 1}))
        async with market_at(script.url, wait_max_s=5.0) as market:
            with pytest.raises(RateLimited):
                await market.account()
        async with market_at(script.url, wait_max_s=5.0) as again:
            with pytest.raises(RateLimited, match="not sent"):
                await again.account()
        assert script.count(ACCOUNT) == 1


@pytest.mark.parametrize("in_s", [20, 250])
async def test_a_retry_after_may_be_a_date(in_s: int) -> None:
    async with scripted() as script, market_at(script.url, wait_max_s=5.0) as market:
        at = datetime.now(UTC) + timedelta(seconds=in_s)
        script.on(ACCOUNT, says("", 429, Retry_After=format_datetime(at, usegmt=True)))
        with pytest.raises(RateLimited) as caught:
            await market.account()
        assert caught.value.retry_after_s == pytest.approx(in_s, abs=5.0)


@pytest.mark.parametrize(
    ("said", "headers"),
    [
        ({"success": False, "error": "search_quota_exceeded", "msg": "Daily quota"}, {}),
        ("Daily search quota exceeded", {}),
        ({"error": "search_quota_exceeded"}, {"Retry_After": "30"}),
    ],
)
async def test_a_spent_quota_is_no_429_and_shuts_only_the_search(
    said: Any, headers: dict[str, str]
) -> None:
    """Q18: it is over at midnight UTC, which no back-off knows; all else goes on."""
    reset = datetime.now(UTC) + timedelta(hours=3)
    async with scripted() as script, market_at(script.url, wait_max_s=0.5) as market:
        script.on(SEARCH, says(said, 429, X_RateLimit_Reset=str(int(reset.timestamp())), **headers))
        script.on(ACCOUNT, says({"credit": 1}))
        for _ in range(3):
            with pytest.raises(QuotaSpent) as caught:
                await market.search_offers(OfferNeeds())
            assert caught.value.until == reset.replace(microsecond=0)
        assert script.count(SEARCH) == 1, "it is not asked again before its reset"
        assert (await market.account()).credit_dollars == 1
