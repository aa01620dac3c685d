"""What every Marketplace must do, as stories that any implementation can be put through.

A story takes an empty market with credit and with offers that meet ``NEEDS``, and asserts the
promises of keeper.ports. The real adapter over the simulator's HTTP face runs them in real time, the
simulator's in-memory face in virtual time; a story only ever sleeps with asyncio, so both work:

    @pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
    async def test_keeps_the_marketplace_contract(story): ...
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final, TypeVar

import pytest

from keeper.core.model import (
    Instance,
    InstanceId,
    MarketState,
    Offer,
    OfferId,
    OfferNeeds,
    Port,
    Pricing,
    RentalSpec,
)
from keeper.ports import Invalid, Marketplace, Missing, OfferGone, Uncertain

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
    for change in (market.stop, market.start):
        with pytest.raises(Missing):
            await change(NOBODY)
    with pytest.raises(Missing):
        await market.attach_key(NOBODY, KEY)


async def what_is_stopped_stands_still_and_starts_again(market: Marketplace) -> None:
    instance_id, _ = await rent(market, "keeper:contract/0:1")

    async def is_in(state: MarketState, *, meant: bool) -> Instance:
        async def there() -> Instance | None:
            found = await market.show_instance(instance_id)
            is_there = found is not None and (found.state, found.is_meant_to_run) == (state, meant)
            return found if is_there else None

        return await eventually(f"the rental, {state}", there)

    await is_in(MarketState.RUNNING, meant=True)
    for _ in range(2):  # twice is like once
        await market.stop(instance_id)
    still = await is_in(MarketState.STOPPED, meant=False)
    assert 0 < still.disk_dollars_per_hour < still.dollars_per_hour
    await market.start(instance_id)
    await is_in(MarketState.RUNNING, meant=True)


async def a_key_may_be_attached_twice(market: Marketplace) -> None:
    instance_id, _ = await rent(market, "keeper:contract/0:1")
    await market.attach_key(instance_id, KEY)
    await market.attach_key(instance_id, KEY)


# --- prices, bids and wider looks ----------------------------------------------------------------

BIDS: Final = replace(NEEDS, pricing=Pricing.INTERRUPTIBLE)


async def rent_by_bid(market: Marketplace, label: str) -> tuple[InstanceId, float]:
    """Rent the cheapest floor with a bid well above it."""

    async def attempt() -> tuple[InstanceId, float] | None:
        for offer in await market.search_offers(BIDS):
            bid = round(offer.gpu_dollars_per_hour * 1.2, 3)
            try:
                made = await market.create(offer.offer_id, label, SPEC, bid_dollars_per_hour=bid)
            except OfferGone:
                continue
            return made, bid
        return None

    return await eventually("a bid that is taken", attempt)


async def with_its_price(
    market: Marketplace, instance_id: InstanceId, dollars: float | None = None
) -> Instance:
    """Wait until a rental shows its price, or this one for its GPU."""

    async def shown() -> Instance | None:
        instance = await market.show_instance(instance_id)
        if instance is None or instance.dollars_per_hour <= 0:
            return None
        gpu = instance.gpu_dollars_per_hour
        return instance if dollars is None or gpu == pytest.approx(dollars) else None

    return await eventually("the rental with its price", shown)


async def a_rental_costs_the_sum_of_its_parts(market: Marketplace) -> None:
    instance_id, offer = await rent(market, "keeper:contract/0:1")
    instance = await with_its_price(market, instance_id)
    parts = instance.gpu_dollars_per_hour + instance.disk_dollars_per_hour
    assert instance.dollars_per_hour == pytest.approx(parts)
    assert instance.disk_dollars_per_hour == pytest.approx(offer.disk_dollars_per_hour, rel=0.02)
    assert not instance.is_bid
    assert instance.is_machine_listed


async def an_ask_is_cheaper_for_a_bid(market: Marketplace) -> None:
    on_demand = {one.offer_id: one for one in await market.search_offers(NEEDS)}
    floors = await market.search_offers(BIDS)
    assert floors
    assert all(one.is_bid for one in floors)
    assert not any(one.is_bid for one in on_demand.values())
    both = [one for one in floors if one.offer_id in on_demand]
    assert both
    for one in both:
        assert one.gpu_dollars_per_hour < on_demand[one.offer_id].gpu_dollars_per_hour
    either = replace(NEEDS, pricing=Pricing.INTERRUPTIBLE_WITH_FALLBACK)
    assert {one.is_bid for one in await market.search_offers(either)} == {True, False}


async def a_bid_is_what_the_gpu_costs_and_can_be_raised(market: Marketplace) -> None:
    instance_id, bid = await rent_by_bid(market, "keeper:contract/0:1")
    instance = await with_its_price(market, instance_id, bid)
    assert instance.is_bid
    assert instance.min_bid_dollars_per_hour > 0
    for _ in range(2):  # the same bid twice is one bid
        await market.change_bid(instance_id, bid + 0.1)
    await with_its_price(market, instance_id, bid + 0.1)
    with pytest.raises(Missing):
        await market.change_bid(NOBODY, 0.5)


async def a_bid_below_the_floor_is_refused_or_leaves_what_it_names(market: Marketplace) -> None:
    floor = (await market.search_offers(BIDS))[-1]
    low = floor.gpu_dollars_per_hour / 2
    made: InstanceId | None = None
    try:
        made = await market.create(floor.offer_id, "keeper:low", SPEC, bid_dollars_per_hour=low)
    except (Invalid, OfferGone):
        pass
    except Uncertain as doubt:
        made = doubt.instance_id
    if made is not None:  # it stands still, and bills its disk, until its bid wins
        await market.destroy(made)
    assert await market.list_instances() == ()


async def one_offer_is_found_by_its_number(market: Marketplace) -> None:
    offer = (await market.search_offers(NEEDS))[-1]
    needs = replace(NEEDS, price_max_dollars_per_hour=0.0001)  # whatever it misses
    found = await market.search_offers(needs, offer_id=offer.offer_id)
    assert [one.offer_id for one in found] == [offer.offer_id]
    assert await market.search_offers(NEEDS, offer_id=OfferId(999_999_999)) == ()


async def a_look_around_shows_what_the_needs_exclude(market: Marketplace) -> None:
    needs = replace(NEEDS, price_max_dollars_per_hour=0.0001)
    assert await market.search_offers(needs) == ()
    around = await market.survey_offers(needs)
    assert any(one.gpu_display_active and one.rentable for one in around)
    cheap = await market.survey_offers(replace(NEEDS, gpu_count=1))
    assert {one.gpu_display_active for one in cheap} == {True, False}
    assert {one.is_bid for one in cheap} == {True, False}


async def the_account_has_something_to_spend(market: Marketplace) -> None:
    assert (await market.account()).spendable_dollars > 0


STORIES: Final[tuple[Story, ...]] = (
    an_empty_account_lists_no_rentals,
    a_rental_costs_the_sum_of_its_parts,
    an_ask_is_cheaper_for_a_bid,
    a_bid_is_what_the_gpu_costs_and_can_be_raised,
    a_bid_below_the_floor_is_refused_or_leaves_what_it_names,
    one_offer_is_found_by_its_number,
    a_look_around_shows_what_the_needs_exclude,
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
# These wait for boots, so they are for virtual time; over HTTP the same calls have tests of their own.
LONG_STORIES: Final[tuple[Story, ...]] = (what_is_stopped_stands_still_and_starts_again,)
