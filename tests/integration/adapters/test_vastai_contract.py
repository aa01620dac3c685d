"""The real adapter against the simulator's HTTP face: the promises of the Marketplace port."""

import pytest

from keeper.adapters.vastai_spacing import Endpoint
from keeper.sim.serve import SimServer
from tests.integration.adapters.vast_server import market_at
from tests.integration.contract_marketplace import STORIES, Story


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
async def test_keeps_the_marketplace_contract(story: Story) -> None:
    async with SimServer(seed=7, spacing_scale=0.0) as sim, market_at(sim.url) as market:
        await story(market)


async def test_the_published_spacing_satisfies_the_marketplace() -> None:
    """The simulator has the same thresholds, scaled down alike; it would answer 429."""
    spacing = {
        Endpoint.LIST: 0.1,
        Endpoint.SHOW: 0.2,
        Endpoint.CREATE: 0.45,
        Endpoint.DESTROY: 0.3,
        Endpoint.REBOOT: 0.1,
        Endpoint.SEARCH: 0.0,
        Endpoint.ACCOUNT: 0.0,
        Endpoint.ATTACH_KEY: 0.0,
    }
    async with (
        SimServer(seed=7, spacing_scale=0.1) as sim,
        market_at(sim.url, spacing=spacing) as market,
    ):
        for story in STORIES[-4:]:
            await story(market)
