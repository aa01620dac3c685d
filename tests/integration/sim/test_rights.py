"""Keeper's client and keys that may not do everything: what is missing is told by its name."""

from collections.abc import Awaitable, Callable

import aiohttp
import pytest

from keeper.adapters.clock import SystemClock
from keeper.adapters.vastai import VastMarketplace
from keeper.adapters.vastai_rights import RIGHT
from keeper.adapters.vastai_spacing import Endpoint
from keeper.core.model import InstanceId, OfferId, OfferNeeds, RentalSpec
from keeper.ports import Missing, OfferGone, PortError, Unauthorized
from keeper.sim.serve import SimServer

PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOurs keeper"
NOBODY = InstanceId(999_999)
CALLS: dict[Endpoint, Callable[[VastMarketplace], Awaitable[object]]] = {
    Endpoint.LIST: lambda market: market.list_instances(),
    Endpoint.SHOW: lambda market: market.show_instance(NOBODY),
    Endpoint.SEARCH: lambda market: market.search_offers(OfferNeeds()),
    Endpoint.CREATE: lambda market: market.create(
        OfferId(1), "k:duel/0:1", RentalSpec(image="i", disk_gb=16)
    ),
    Endpoint.DESTROY: lambda market: market.destroy(NOBODY),
    Endpoint.SET_STATE: lambda market: market.stop(NOBODY),
    Endpoint.REBOOT: lambda market: market.reboot(NOBODY),
    Endpoint.CHANGE_BID: lambda market: market.change_bid(NOBODY, 0.2),
    Endpoint.ATTACH_KEY: lambda market: market.attach_key(NOBODY, PUBLIC_KEY),
    Endpoint.ACCOUNT: lambda market: market.account(),
    Endpoint.LIST_KEYS: lambda market: market.register_key(PUBLIC_KEY),
    Endpoint.REGISTER_KEY: lambda market: market.register_key(PUBLIC_KEY),
}
ALL = sorted(set(RIGHT.values()))


async def told(
    sim: SimServer, call: Callable[[VastMarketplace], Awaitable[object]], **grant: object
) -> PortError | None:
    """Make a key that may so much, and one call with it."""
    async with aiohttp.ClientSession() as session:
        row = {"key": "scoped", "rights": ALL, **grant}
        async with session.post(f"{sim.url}/sim/keys", json=row) as made:
            assert made.status == 200, await made.text()
    spacing = dict.fromkeys(Endpoint, 0.0)
    market = VastMarketplace(url=sim.url, api_key="scoped", clock=SystemClock(), spacing=spacing)
    try:
        await call(market)
    except PortError as error:
        return error
    finally:
        await market.aclose()
    return None


@pytest.mark.parametrize("endpoint", CALLS)
async def test_the_missing_right_is_named(sim: SimServer, endpoint: Endpoint) -> None:
    rights = [right for right in ALL if right != RIGHT[endpoint]]
    error = await told(sim, CALLS[endpoint], rights=rights)
    assert isinstance(error, Unauthorized)
    assert error.right == RIGHT[endpoint]
    assert RIGHT[endpoint] in error.cure


@pytest.mark.parametrize("endpoint", CALLS)
async def test_the_rights_that_keeper_asks_for_are_enough(
    sim: SimServer, endpoint: Endpoint
) -> None:
    # A key is registered after the others have been read.
    also = {Endpoint.LIST_KEYS: "user_write", Endpoint.REGISTER_KEY: "user_read"}
    rights = {RIGHT[endpoint], also.get(endpoint, RIGHT[endpoint])}
    error = await told(sim, CALLS[endpoint], rights=sorted(rights))
    assert error is None or isinstance(error, Missing | OfferGone)


async def test_a_team_is_told_that_it_has_no_keys(sim: SimServer) -> None:
    error = await told(sim, CALLS[Endpoint.REGISTER_KEY], team=True)
    assert isinstance(error, Unauthorized)
    assert "a team has no SSH keys" in error.cure
    assert await told(sim, CALLS[Endpoint.ACCOUNT], team=True) is None


@pytest.mark.parametrize(
    ("session", "cure"),
    [
        ("needed", "asks for two-factor authentication"),
        ("expired", "the session of this key is over"),
        ("expired_404", "the session of this key is over"),
    ],
)
@pytest.mark.parametrize("endpoint", [Endpoint.LIST, Endpoint.CREATE, Endpoint.ACCOUNT])
async def test_a_missing_session_is_no_missing_right(
    sim: SimServer, endpoint: Endpoint, session: str, cure: str
) -> None:
    """Q34: with a second factor most calls are refused, and searches are not."""
    error = await told(sim, CALLS[endpoint], session=session)
    assert isinstance(error, Unauthorized)
    assert cure in error.cure
    assert error.right == ""
    assert await told(sim, CALLS[Endpoint.SEARCH], session=session) is None
