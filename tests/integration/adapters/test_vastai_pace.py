"""Spacing, limits and their ends, over real connections. The arithmetic is in the unit tests."""

import asyncio
from itertools import pairwise

import pytest

from keeper.adapters.vastai_spacing import Endpoint
from keeper.core.model import InstanceId, OfferId, RentalSpec
from keeper.ports import RateLimited, Transient, Uncertain
from tests.integration.adapters.vast_server import (
    ACCOUNT,
    CREATE,
    LIST,
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
