"""Keeper's own key and the simulated account: what the proxy needs, done by keeper's own adapter."""

import pytest

from keeper.adapters.clock import SystemClock
from keeper.adapters.vastai import VastMarketplace
from keeper.ports import Unauthorized
from tests.integration.sim.rented import Rented

pytestmark = pytest.mark.real("sshd")  # Debian's server package brings the client


async def test_the_proxy_lets_keeper_in_once_its_key_is_registered(rented: Rented) -> None:
    hosts = rented.hosts()
    market = VastMarketplace(url=rented.sim.url, api_key="any", clock=SystemClock())
    try:
        with pytest.raises(Unauthorized):
            await hosts.connect([rented.proxy()], pinned_host_key="", timeout_s=20)
        assert await market.register_key(hosts.public_key)
        link = await hosts.connect([rented.proxy()], pinned_host_key="", timeout_s=20)
        await link.close()
        assert not await market.register_key(f"{hosts.public_key} and another comment")
        assert len(rented.sim.market.account_keys) == 1
    finally:
        await market.aclose()
