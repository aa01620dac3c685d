"""What every Marketplace must do, as stories that any implementation can be put through.

A story takes an empty market with credit and with offers that meet ``NEEDS``, and asserts the
promises of ports.py. The real adapter over the simulator's HTTP face runs them in real time, the
simulator's in-memory face in virtual time; a story only ever sleeps with asyncio, so both work:

    @pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
    async def test_keeps_the_marketplace_contract(story): ...
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeVar

import pytest

from keeper.core.model import Instance, InstanceId, Offer, OfferId, OfferNeeds, Port, RentalSpec
from keeper.ports import Marketplace, Missing, OfferGone

T = TypeVar("T")

NEEDS: Final = OfferNeeds(gpu_ram_min_gb=1.0, disk_gb=32.0, duration_min_s=3600.0)
SPEC: Final = RentalSpec(
    image="vastai/base-image", disk_gb=32.0, ports=(Port(container_port=8000),), env={"A": "1"}
)
KEY: Final = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA k"
NOBODY: Final = InstanceId(999_999_999)

# Marketplaces are slow to show what they have done; none of the known ones takes this long.
_PATIENCE_S: Final = 60.0
_LOOK_EVERY_S: Final = 0.25

Story = Callable[[Marketplace], Awaitable[None]]


@dataclass(frozen=True)
class Never(Exception):
    """What was waited for did not come true."""

    what: str


async def eventually(what: str, ask: Callable[[], Awaitable[T | None]]) -> T:
    """Ask until the answer is not None, for as long as a slow marketplace may take."""
    for _ in range(int(_PATIENCE_S / _LOOK_EVERY_S)):
        answer = await ask()
        if answer is not None:
            return answer
        await asyncio.sleep(_LOOK_EVERY_S)
    raise Never(what)


async def rent(market: Marketplace, label: str) -> tuple[InstanceId, Offer]:
    """Rent the cheapest offer; others may be faster, as on the real market."""

    async def attempt() -> tuple[InstanceId, Offer] | None:
        for offer in await market.search_offers(NEEDS):
            try:
                return await market.create(offer.offer_id, label, SPEC), offer
            except OfferGone:
                continue
        return None

    return await eventually("an offer to rent", attempt)


async def an_empty_account_lists_no_rentals(market: Marketplace) -> None:
    assert await market.list_instances() == ()


async def offers_meet_the_needs_cheapest_first(market: Marketplace) -> None:
    offers = await market.search_offers(NEEDS)
    assert offers
    prices = [one.dollars_per_hour for one in offers]
    assert prices == sorted(prices)
    assert len({one.offer_id for one in offers}) == len(offers)
    for one in offers:
        assert one.dollars_per_hour > 0
        assert one.dollars_per_hour == pytest.approx(
            one.gpu_dollars_per_hour + one.disk_dollars_per_hour, rel=0.02
        )
        assert one.disk_space_gb >= NEEDS.disk_gb


async def a_rental_is_listed_and_shown_with_its_label(market: Marketplace) -> None:
    instance_id, offer = await rent(market, "keeper:contract/0:1")

    async def listed() -> Instance | None:
        ours = [one for one in await market.list_instances() if one.instance_id == instance_id]
        # A rental that has just been made may be listed with little more than its id.
        return ours[0] if ours and ours[0].dollars_per_hour > 0 else None

    instance = await eventually("the rental in the list, with its price", listed)
    assert instance.label == "keeper:contract/0:1"
    assert instance.machine_id == offer.machine_id
    assert instance.dollars_per_hour == pytest.approx(offer.dollars_per_hour, rel=0.3)
    assert instance.is_meant_to_run
    shown = await market.show_instance(instance_id)
    assert shown is not None
    assert (shown.instance_id, shown.label) == (instance_id, "keeper:contract/0:1")


async def each_rental_is_listed_once(market: Marketplace) -> None:
    made = {(await rent(market, f"keeper:contract/{number}:1"))[0] for number in range(2)}
    assert len(made) == 2

    async def all_listed() -> object:
        ids = [one.instance_id for one in await market.list_instances()]
        assert len(ids) == len(set(ids))
        return ids if set(ids) == made else None

    await eventually("both rentals in the list", all_listed)


async def an_offer_is_rented_once(market: Marketplace) -> None:
    _, offer = await rent(market, "keeper:contract/0:1")
    with pytest.raises(OfferGone):
        await market.create(offer.offer_id, "keeper:contract/1:1", SPEC)
    assert len(await market.list_instances()) <= 1


async def an_offer_that_never_was_is_gone(market: Marketplace) -> None:
    with pytest.raises(OfferGone):
        await market.create(OfferId(999_999_999), "keeper:contract/0:1", SPEC)


async def a_destroyed_rental_vanishes_and_stays_gone(market: Marketplace) -> None:
    instance_id, _ = await rent(market, "keeper:contract/0:1")
    await market.destroy(instance_id)

    async def gone() -> object:
        return True if await market.show_instance(instance_id) is None else None

    await eventually("the end of the rental", gone)
    assert await market.list_instances() == ()
    with pytest.raises(Missing):
        await market.destroy(instance_id)


async def what_does_not_exist_is_missing(market: Marketplace) -> None:
    assert await market.show_instance(NOBODY) is None
    with pytest.raises(Missing):
        await market.destroy(NOBODY)
    with pytest.raises(Missing):
        await market.reboot(NOBODY)
    with pytest.raises(Missing):
        await market.attach_key(NOBODY, KEY)


async def a_key_may_be_attached_twice(market: Marketplace) -> None:
    instance_id, _ = await rent(market, "keeper:contract/0:1")
    await market.attach_key(instance_id, KEY)
    await market.attach_key(instance_id, KEY)


async def the_account_has_something_to_spend(market: Marketplace) -> None:
    assert (await market.account()).spendable_dollars > 0


STORIES: Final[tuple[Story, ...]] = (
    an_empty_account_lists_no_rentals,
    offers_meet_the_needs_cheapest_first,
    a_rental_is_listed_and_shown_with_its_label,
    each_rental_is_listed_once,
    an_offer_is_rented_once,
    an_offer_that_never_was_is_gone,
    a_destroyed_rental_vanishes_and_stays_gone,
    what_does_not_exist_is_missing,
    a_key_may_be_attached_twice,
    the_account_has_something_to_spend,
)
