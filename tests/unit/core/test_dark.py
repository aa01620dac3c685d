"""Dollars flow and the picture does not: then no more hosts, until a person has looked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from keeper.core.decisions import Destroy, Hold, Rent
from keeper.core.meter import Dark, Meter
from keeper.core.model import SlotId, Status
from keeper.core.reasons import Reason
from keeper.core.world import Order, OrderKind, World
from tests.builders import (
    DUEL,
    NOW,
    SLOT,
    a_book,
    a_desire,
    a_listing,
    a_record,
    a_stream,
    a_tenure,
    a_world,
    ago,
    an_instance,
    an_offer,
    an_order,
    conditions,
    decide,
    decision_for,
    with_policy,
)

HOUR = 3600.0


def spent_dark(dollars: float, slot: SlotId = SLOT) -> Meter:
    return Meter(metered_at=NOW, dark={slot: Dark(dollars=dollars)})


def a_vacancy(meter: Meter, **more: Any) -> World:
    return a_world(
        a_record(None, ever_on_air=True, dark_since=ago(9000)),
        listing=a_listing(),
        offers={DUEL: a_book(an_offer())},
        meter=meter,
        **more,
    )


def rents(world: World, **policy: Any) -> bool:
    plan = decide(world, a_desire(with_policy(a_stream(replicas=1), **policy)))
    return any(isinstance(act, Rent) for act in plan.acts)


def test_a_stream_that_cost_too_much_in_the_dark_rents_no_more() -> None:
    assert rents(a_vacancy(spent_dark(4.9)))
    plan = decide(a_vacancy(spent_dark(5.1)))
    held = decision_for(plan, SLOT)
    assert isinstance(held, Hold)
    assert (held.reason, held.wanted, held.until) == (Reason.DARK_SPEND, "rent", None)
    assert [e.detail for e in plan.events if e.name == "slot.decided"] == [  # type: ignore[union-attr]
        "$5.10 without a picture, of at most $5.00"
    ]
    assert rents(a_vacancy(spent_dark(5.1)), dark_spend_max_dollars=6.0)  # raised by a reload


def test_every_slot_of_the_stream_counts_and_no_other_stream() -> None:
    other = spent_dark(9.0, SlotId("turbo/0"))
    assert rents(a_vacancy(other))
    both = Meter(
        metered_at=NOW, dark={SLOT: Dark(dollars=3.0), SlotId("duel/7"): Dark(dollars=3.0)}
    )
    assert not rents(a_vacancy(both))


def test_it_does_not_come_back_with_time_as_the_replacements_do() -> None:
    meter = replace(spent_dark(5.1), metered_at=ago(90 * 86_400))
    assert not rents(a_vacancy(meter))


@pytest.mark.parametrize("kind", [OrderKind.RESUME, OrderKind.REPLACE, OrderKind.RENT])
def test_a_person_who_has_looked_begins_it_anew(kind: OrderKind) -> None:
    world = a_vacancy(spent_dark(9.0), orders=(an_order(kind),))
    plan = decide(world)
    assert any(isinstance(act, Rent) for act in plan.acts)
    assert plan.meter is not None
    assert plan.meter.dark.get(SLOT, Dark()).dollars == 0.0


@pytest.mark.parametrize(
    ("order", "may"),
    [
        (an_order(OrderKind.RESUME, None), True),  # of the whole fleet
        (an_order(OrderKind.RESUME, SlotId("turbo/0")), False),
        (an_order(OrderKind.RESTART), False),
    ],
)
def test_only_an_order_about_the_stream_counts(order: Order, may: bool) -> None:
    assert rents(a_vacancy(spent_dark(9.0), orders=(order,))) is may


def test_a_slot_on_air_may_still_hand_over() -> None:
    """Its own money buys a picture; that of another slot of the stream does not."""
    ending = a_tenure(ends_at=ago(-5000), ending_since=ago(60), rented_at=ago(90_000))
    world = a_world(
        a_record(ending, healthy_since=ago(900)),
        listing=a_listing(an_instance(ends_at=ago(-5000))),
        offers={DUEL: a_book(an_offer())},
        meter=spent_dark(9.0, SlotId("duel/1")),
    )
    assert rents(world)


def test_the_host_that_is_there_is_not_ended_for_it() -> None:
    frozen = conditions(streaming=(Status.FALSE, Reason.FROZEN))
    dark = a_record(a_tenure(conditions=frozen), dark_since=ago(30))
    world = a_world(dark, listing=a_listing(an_instance()), meter=spent_dark(9.0))
    assert not any(isinstance(act, Destroy) for act in decide(world).acts)
