"""What spares may cost, to the cent: their own cap, every other one, and the credit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from keeper.core.caps import Crossed
from keeper.core.decisions import Rent
from keeper.core.draft import Draft
from keeper.core.market import Price, price_of
from keeper.core.meter import TOTAL, Meter, Tally
from keeper.core.model import Policy, SlotId, SlotRecord, StreamName, spare_id
from keeper.core.reasons import Reason
from keeper.core.spare import SpareKind
from keeper.core.spare_money import affordable, crossed, spare_dollars_per_hour
from keeper.core.world import AccountSeen, World
from tests.builders import (
    DUEL,
    NOW,
    a_condemned,
    a_stream,
    an_offer,
    applied,
    decide,
    decision_for,
)
from tests.unit.core.spares import (
    ELSEWHERE,
    PLACE,
    SECOND,
    a_place,
    a_spare,
    a_spared_world,
    a_wish,
    with_spares,
)

OTHERS = spare_id(StreamName("other"), 0)


def priced(dollars_per_hour: float) -> Price:
    return Price(
        gpu_dollars_per_hour=dollars_per_hour,
        disk_dollars_per_hour=0.0,
        traffic_dollars_per_hour=0.0,
    )


def a_draft(*places: SlotRecord, **changes: Any) -> Draft:
    return Draft(a_spared_world(*places, **changes), a_wish(), NOW)


def test_what_spares_cost_is_what_is_rented_in_their_places_and_what_must_end_of_it() -> None:
    ending = (
        a_condemned(8, slot=SECOND, dollars_per_hour=0.3),
        a_condemned(9, slot=OTHERS, dollars_per_hour=7.0),
        a_condemned(10, dollars_per_hour=7.0),
        a_condemned(11, slot=None, dollars_per_hour=7.0),
    )
    draft = a_draft(
        a_place(a_spare(dollars_per_hour=0.2)),
        condemned=ending,
    )
    assert spare_dollars_per_hour(draft, with_spares()) == pytest.approx(0.5)


def test_where_no_offer_is_cheap_enough_the_cheapest_is_told_of() -> None:
    """What the viewers' traffic costs there is a part of its price, which the listing does not say."""
    stream = with_spares(max_dollars_per_hour=0.2)
    needs = replace(stream.needs, egress_gb_per_hour=1.0)
    offers = tuple(
        an_offer(number, inet_up_dollars_per_gb=traffic, **ELSEWHERE)
        for number, traffic in ((30, 0.0), (20, 0.04), (10, 0.5))
    )
    offer, why = affordable(a_draft(), stream, needs, offers)
    assert offer is offers[1]
    dollars = price_of(offers[1], needs).dollars_per_hour
    sentence = f"{dollars:.3f} of 0.200 $/h for the spares of duel"
    assert why == Crossed(sentence=sentence, stream=DUEL)
    assert affordable(a_draft(), stream, stream.needs, ()) == (None, None)


def test_spares_may_cost_what_they_are_allowed_to_the_cent() -> None:
    """0.1 and 0.2 are a little more than 0.3 in binary."""
    draft = a_draft(a_place(a_spare(dollars_per_hour=0.2)))
    assert crossed(draft, with_spares(max_dollars_per_hour=0.3), priced(0.1)) is None
    assert crossed(draft, with_spares(max_dollars_per_hour=0.299), priced(0.1)) is not None


def two_spares(first: float, second: float) -> World:
    return a_spared_world(
        a_place(a_spare(dollars_per_hour=first)),
        a_place(a_spare(SECOND, dollars_per_hour=second), place=SECOND),
    )


@pytest.mark.parametrize(
    ("first", "second", "gone"),
    [(0.1, 0.2, []), (0.11, 0.2, [SECOND]), (0.2, 0.11, [PLACE]), (0.2, 0.2, [SECOND])],
)
def test_only_spares_that_cost_more_than_they_may_are_given_up_the_dearest_first(
    first: float, second: float, gone: list[SlotId]
) -> None:
    """What ends is billed until it is gone, which keeps others from being rented, not from staying."""
    wish = a_wish(with_spares(count=2, max_dollars_per_hour=0.3))
    world = two_spares(first, second)
    for _ in range(3):
        world = applied(world, decide(world, wish))
    assert [each.slot for each in world.condemned] == gone


def test_a_spare_is_rented_on_credit_that_lasts_for_more_than_a_day() -> None:
    lasting = a_spared_world(account=AccountSeen(spendable_dollars=12.0, at=NOW))
    assert isinstance(decision_for(decide(lasting, a_wish()), PLACE), Rent)
    why = crossed(
        a_draft(account=AccountSeen(spendable_dollars=9.0, at=NOW)), with_spares(), priced(0.1)
    )
    assert why == Crossed(sentence="the account's credit does not last long enough for spares")


@pytest.mark.parametrize(("spent_dollars", "is_kept"), [(8.0, True), (8.5, False)])
def test_a_spare_is_kept_while_all_that_runs_fits_under_the_cap_for_two_hours(
    spent_dollars: float, *, is_kept: bool
) -> None:
    """A slot must leave one (``spend_reserve_s``), and both hosts cost 0.82 $/h."""
    tallies = {TOTAL: {DUEL: Tally(dollars=spent_dollars)}}
    world = a_spared_world(
        a_place(a_spare()), meter=Meter(metered_at=NOW, tallies=tallies), account=None
    )
    wish = a_wish(with_spares(a_stream(spend_max_dollars_total=10.0)))
    reason = decision_for(decide(world, wish), PLACE).reason
    assert reason is (Reason.SPARE_READY if is_kept else Reason.BUDGET)


@pytest.mark.parametrize(("cap_dollars", "fits"), [(6.7, True), (6.5, False)])
def test_one_that_is_to_stand_still_costs_its_whole_price_for_as_long_as_it_may_take_to_come_up(
    cap_dollars: float, *, fits: bool
) -> None:
    """A host for 10 h: 4.10; a dollar an hour for the 2 h it may take: 2.00; its disk for 10 h: 0.50."""
    stream = a_stream(
        spend_max_dollars_total=cap_dollars,
        policy=Policy(boot_hard_max_s=3600.0, warmup_max_s=1800.0, handover_max_s=1800.0),
    )
    stream = with_spares(
        stream, kind=SpareKind.STOPPED, max_dollars_per_hour=2.0, expire_after_s=36_000.0
    )
    draft = Draft(a_spared_world(meter=Meter(metered_at=NOW)), a_wish(stream), NOW)
    price = Price(
        gpu_dollars_per_hour=1.0, disk_dollars_per_hour=0.05, traffic_dollars_per_hour=0.0
    )
    assert (crossed(draft, stream, price) is None) is fits
