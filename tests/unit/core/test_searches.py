"""A look at the market is no act; what it is weighed with, and how a rental that follows is counted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from keeper.core.caps import Cap, Span, crossed, key_of
from keeper.core.labels import label_for
from keeper.core.meter import TOTAL, Meter, Stop, Tally
from keeper.core.model import Desired, OfferId, SlotId, StreamName
from keeper.core.reasons import Reason
from keeper.core.world import World
from tests.builders import (
    DUEL,
    KEEPER_ID,
    NOW,
    SLOT,
    a_book,
    a_desire,
    a_listing,
    a_pause,
    a_record,
    a_stream,
    a_tenure,
    a_world,
    ago,
    ahead,
    an_instance,
    an_offer,
    decide,
    decision_for,
    record_after,
)
from tests.unit.core.spares import PLACE, with_spares


def vacant(*offers: Any, age_s: float = 1.0, **record: Any) -> World:
    return a_world(a_record(**record), offers={DUEL: a_book(*offers, age_s=age_s)})


def capped(dollars: float) -> Desired:
    return a_desire(a_stream(spend_max_dollars_per_hour=dollars))


@pytest.mark.parametrize(
    ("world", "desired", "reason"),
    [
        pytest.param(
            replace(
                vacant(an_offer()),
                meter=Meter(metered_at=NOW, tallies={TOTAL: {DUEL: Tally(dollars=9.0)}}),
            ),
            a_desire(a_stream(spend_max_dollars_total=5.0)), Reason.BUDGET,
            id="a cap leaves no room for any",
        ),
        pytest.param(
            vacant(an_offer(), next_rent_at=ahead(20), rent_reason=Reason.NO_SUITABLE_OFFER),
            None, Reason.NO_SUITABLE_OFFER, id="the next look is not due",
        ),
        pytest.param(vacant(an_offer(), age_s=61), None, Reason.OFFERS_STALE, id="offers are old"),
        pytest.param(vacant(), None, Reason.NO_SUITABLE_OFFER, id="there are none"),
        pytest.param(vacant(an_offer()), capped(0.1), Reason.BUDGET, id="all are too dear"),
        pytest.param(
            vacant(an_offer(), offer_asked=OfferId(999)), None, Reason.OFFERS_STALE,
            id="the one that a person wants has not been looked for",
        ),
        pytest.param(
            replace(
                vacant(),
                offers={DUEL: replace(a_book(an_offer()), asked_for=frozenset({OfferId(999)}))},
                records={SLOT: a_record(offer_asked=OfferId(999))},
            ),
            None, Reason.NO_SUITABLE_OFFER, id="the one that a person wants is not there",
        ),
    ],
)  # fmt: skip
def test_a_look_that_comes_to_nothing_is_no_act(
    world: World, desired: Desired | None, reason: Reason
) -> None:
    plan = decide(world, desired)
    assert decision_for(plan).reason is reason
    record = record_after(world, plan)
    assert (record.last_act, record.last_act_at, record.attempt) == ("", None, 0)
    assert plan.acts == ()


def test_a_rental_is_an_act_of_its_slot() -> None:
    world = vacant(an_offer())
    record = record_after(world, decide(world))
    assert (record.last_act, record.last_act_reason, record.last_act_at) == (
        "rent", Reason.VACANT, NOW,
    )  # fmt: skip


@pytest.mark.parametrize(("slot", "least_s"), [(PLACE, 45.0), (SLOT, 11.0)])
def test_the_market_is_looked_at_for_a_spare_less_often_than_for_a_picture(
    slot: SlotId, least_s: float
) -> None:
    """After a first look in vain a minute, beside a quarter of one; give or take a quarter."""
    world = a_world(a_record(), a_record(slot=PLACE), offers={DUEL: a_book()})
    if slot == PLACE:
        world = a_world(a_record(a_tenure()), a_record(slot=PLACE), offers={DUEL: a_book()})
    until = record_after(world, decide(world, a_desire(with_spares())), slot).next_rent_at
    assert until is not None
    assert ahead(least_s) <= until <= ahead(least_s * 5 / 3 + 1)


# --- what it is weighed with ------------------------------------------------------------------------


@pytest.mark.parametrize(("limit", "name"), [(1.36, "rent"), (1.34, "hold")])
def test_every_stray_of_a_stream_counts_once_and_with_its_own_price(
    limit: float, name: str
) -> None:
    """0.41 on air, 0.3 and 0.25 in no slot, and 0.39 more: 1.35 dollars an hour."""
    stream = a_stream(replicas=3, spend_max_dollars_per_hour=limit)
    strays = [
        an_instance(9000 + n, label_for(KEEPER_ID, SlotId("duel/1"), 1), dollars_per_hour=dollars)
        for n, dollars in ((1, 0.3), (2, 0.25))
    ]
    world = a_world(
        a_record(a_tenure()),
        a_record(slot=SlotId("duel/1"), attempt=1),
        offers={DUEL: a_book(an_offer(9, dollars_per_hour=0.39))},
        slot_pauses={SlotId("duel/1"): a_pause()},
    )
    assert world.listing is not None
    listing = replace(world.listing, instances=(*world.listing.instances, *strays))
    plan = decide(replace(world, listing=listing), a_desire(stream))
    assert decision_for(plan, SlotId("duel/2")).name == name


@pytest.mark.parametrize("stream", [DUEL, None])
@pytest.mark.parametrize("is_stopped", [True, False])
def test_a_cap_that_is_crossed_says_whose_it_is(
    stream: StreamName | None, *, is_stopped: bool
) -> None:
    """A spare gives way only to what its own stream is short of, or all are."""
    cap = Cap(stream=stream, span=Span.TOTAL, dollars=5.0)
    stops = {key_of(cap, NOW): Stop(at=ago(60), cap_dollars=5.0)} if is_stopped else {}
    ledger = Meter(metered_at=NOW, tallies={TOTAL: {DUEL: Tally(dollars=4.9)}}, stops=stops)
    no = crossed(ledger, (cap,), {}, 0.5, NOW, 3600.0)
    assert no is not None
    assert no.stream == stream


def test_of_two_offers_that_are_as_dear_the_first_is_held() -> None:
    world = vacant(an_offer(1, dollars_per_hour=0.7), an_offer(2, dollars_per_hour=0.7))
    assert decision_for(decide(world, capped(0.5))).reason is Reason.BUDGET


@pytest.mark.parametrize(
    ("age_s", "asks"),
    [
        pytest.param(300, False, id="the last look is five minutes old"),
        pytest.param(800, True, id="it is older than the longest pause"),
    ],
)
def test_where_money_is_short_the_market_is_looked_at_no_more_often_than_where_nothing_suits(
    age_s: float, *, asks: bool
) -> None:
    world = vacant(an_offer(), age_s=age_s, last_decision="hold", last_reason=Reason.BUDGET)
    world = replace(world, listing=a_listing(age_s=0))
    plan = decide(world, capped(0.1))
    assert (plan.wants.offers_for == (DUEL,)) is asks
    if not asks:
        assert plan.next_check_at is not None
        assert plan.next_check_at <= ahead(750 - age_s + 1)  # ten minutes, and up to a quarter more
    assert decide(world, capped(5.0)).wants.offers_for == (DUEL,)  # a limit that was raised


def test_offers_on_machines_in_use_say_nothing_of_what_is_too_dear() -> None:
    """The one that fits is on a machine that another slot has: it comes after a free one."""
    used = a_record(a_tenure(machine_id=201), SlotId("duel/1"))
    world = a_world(
        a_record(last_decision="hold", last_reason=Reason.BUDGET), used,
        offers={DUEL: a_book(an_offer(2, dollars_per_hour=0.9), age_s=300)},
    )  # fmt: skip
    plan = decide(world, a_desire(a_stream(replicas=2, spend_max_dollars_per_hour=1.0)))
    assert decision_for(plan).reason is Reason.BUDGET


# --- how it is counted ------------------------------------------------------------------------------


def test_of_the_hosts_that_were_given_up_the_last_counts_from_when_it_is_followed() -> None:
    given_up = (ago(9000), ago(7000), ago(5000))
    world = vacant(an_offer(), replaced_at=given_up, ever_on_air=True, attempt=4)
    assert record_after(world, decide(world)).replaced_at == (ago(9000), ago(7000), NOW)
