"""Strays as they are shown: which are known, which are certain, what they cost, what to say to them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from keeper.core.decisions import Plan
from keeper.core.model import InstanceId
from keeper.core.strays import is_confirmed, order_to_adopt, order_to_end, spent_dollars, strays
from keeper.core.world import Snapshot, World
from tests.builders import (
    NOW,
    a_condemned,
    a_desire,
    a_listing,
    a_record,
    a_world,
    ago,
    an_instance,
    applied,
    decide,
)

KNOWN, NEW = InstanceId(7700), InstanceId(7701)
LABELS = {KNOWN: "keeper:other:gone/0:4", NEW: "keeper:other:gone/1:2"}


def looked_at(world: World, plan: Plan | None = None) -> Snapshot:
    plan = decide(world) if plan is None else plan
    return Snapshot(
        desired=a_desire(), world=world, plan=plan, records=world.records, at=NOW, tick=1
    )


def with_strays(*listed: InstanceId) -> World:
    rows = [an_instance(each, LABELS[each]) for each in listed]
    return a_world(a_record(), listing=a_listing(*rows), orphans_known=frozenset({KNOWN}))


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        ((KNOWN, NEW), (KNOWN, NEW)),
        ((NEW, KNOWN), (KNOWN, NEW)),  # whatever the order in which the marketplace tells them
        ((KNOWN,), (KNOWN,)),
        ((NEW,), (NEW,)),  # the known one is gone
        ((), ()),
    ],
)
def test_strays_are_those_known_and_those_just_seen_without_those_just_gone(
    listed: tuple[InstanceId, ...], expected: tuple[InstanceId, ...]
) -> None:
    assert strays(looked_at(with_strays(*listed))) == expected


def test_a_stray_that_is_being_ended_is_none_any_more() -> None:
    world = with_strays(KNOWN, NEW)
    plan = replace(decide(world), condemned=(a_condemned(KNOWN),))
    assert strays(looked_at(world, plan)) == (NEW,)


@pytest.mark.parametrize(
    ("first_at", "is_known", "is_listed", "expected"),
    [
        pytest.param(ago(60), True, True, True, id="a later listing shows it again"),
        pytest.param(ago(5), True, True, False, id="one listing alone could be a slip"),
        pytest.param(ago(1), True, True, False, id="a listing from before says nothing"),
        pytest.param(None, True, True, False, id="nobody noted when it was first seen"),
        pytest.param(ago(60), False, True, False, id="it is gone again"),
        pytest.param(ago(60), True, False, False, id="no listing is to be had"),
    ],
)
def test_a_stray_is_certain_when_two_listings_have_shown_it(
    first_at: datetime | None, is_known: bool, is_listed: bool, expected: bool
) -> None:
    world = a_world(
        listing=a_listing(an_instance(KNOWN, LABELS[KNOWN])) if is_listed else None,
        orphans_known=frozenset({KNOWN}) if is_known else frozenset(),
        orphans_seen_at={} if first_at is None else {KNOWN: first_at},
    )
    assert is_confirmed(world, KNOWN) is expected


def test_the_second_listing_makes_a_stray_certain() -> None:
    """From the first sight on, by the plan's own facts."""
    world = with_strays(NEW)
    after = applied(world, decide(world), orphans_seen_at={NEW: ago(5)})
    assert not is_confirmed(after, NEW)
    again = replace(after, listing=a_listing(an_instance(NEW, LABELS[NEW]), age_s=1))
    assert is_confirmed(again, NEW)


@pytest.mark.parametrize(("began_s", "dollars"), [(7200, 1.0), (1800, 0.25), (0, 0.0), (None, 0.0)])
def test_a_stray_has_cost_its_price_since_it_began(began_s: float | None, dollars: float) -> None:
    began_at = None if began_s is None else ago(began_s)
    stray = an_instance(KNOWN, dollars_per_hour=0.5, started_at=began_at)
    assert spent_dollars(stray, NOW) == pytest.approx(dollars)


def test_what_to_do_with_a_stray_is_said_as_a_command() -> None:
    assert order_to_end(KNOWN) == "keeper destroy --orphan 7700"
    assert order_to_adopt(KNOWN, "duel/1") == "keeper adopt 7700 --as duel/1"
    assert order_to_adopt(KNOWN) == "keeper adopt 7700 --as SLOT"  # for a person to fill in
