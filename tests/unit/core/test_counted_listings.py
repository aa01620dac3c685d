"""From when on a listing that says the same as the one before it settles something."""

from dataclasses import replace
from datetime import datetime

import pytest

from keeper.core.events import FuseTripped
from keeper.core.model import FleetPolicy, MarketState, Policy, Tenure
from keeper.core.reasons import Reason
from keeper.core.world import World
from tests.builders import (
    NOW,
    a_condemned,
    a_desire,
    a_fresh_tenure,
    a_listing,
    a_pause,
    a_record,
    a_stream,
    a_tenure,
    a_world,
    ago,
    ahead,
    an_asked_tenure,
    an_instance,
    decide,
    events_of,
    healthy_world,
)

FLEET, POLICY = FleetPolicy(), Policy()
APART_S = POLICY.absence_apart_s


def _counting_from(world: World) -> datetime | None:
    wants = decide(world).wants
    assert (wants.counting_from is None) or wants.listing_by is not None
    return wants.counting_from


def test_nothing_is_counted_where_all_is_well() -> None:
    assert _counting_from(healthy_world()) is None


def test_a_missing_rental_must_be_missed_twice() -> None:
    world = a_world(a_record(a_tenure()), listing=a_listing(age_s=5))
    assert _counting_from(world) == ago(5 - APART_S)


def test_a_rental_that_was_never_listed_gets_the_time_that_creates_take() -> None:
    tenure = a_fresh_tenure(rented_at=ago(20), listed_at=None)
    world = a_world(a_record(tenure), listing=a_listing(age_s=5))
    assert _counting_from(world) == ahead(POLICY.create_settle_s - 20)


def test_so_does_a_create_without_an_answer() -> None:
    tenure = an_asked_tenure(requested_at=ago(20), acted_at=ago(10))
    world = a_world(a_record(tenure), listing=a_listing(age_s=5))
    assert _counting_from(world) == ahead(POLICY.create_settle_s - 10)


@pytest.mark.parametrize(
    "tenure",
    [
        an_asked_tenure(requested_at=ago(20), acted_at=ago(10)),
        a_fresh_tenure(rented_at=ago(20), listed_at=None),
    ],
    ids=["asked for", "rented"],
)
def test_and_no_less_after_a_restart(tenure: Tenure) -> None:
    """Time that nobody has watched settles nothing."""
    world = a_world(a_record(tenure), listing=a_listing(age_s=1), started_at=ago(3))
    assert _counting_from(world) == ahead(POLICY.create_settle_s - 3)


def test_a_list_that_left_before_the_create_says_nothing_of_it() -> None:
    tenure = an_asked_tenure(requested_at=ago(20), acted_at=ago(4))
    world = a_world(a_record(tenure), listing=a_listing(age_s=5))
    assert _counting_from(world) == ago(4)


@pytest.mark.parametrize(
    ("dead_s", "next_s"),
    [
        (10, POLICY.fatal_state_s),
        (60, POLICY.create_settle_s),
        (200, POLICY.unreachable_s),
        (400, None),
    ],
)
def test_a_host_that_is_said_to_be_down_is_asked_about_at_the_end_of_each_patience(
    dead_s: float, next_s: float | None
) -> None:
    tenure = a_tenure(dead_since=ago(dead_s))
    listing = a_listing(an_instance(state=MarketState.OFFLINE), age_s=1)
    found = decide(a_world(a_record(tenure), listing=listing)).wants
    assert found.listing_by is not None
    assert found.counting_from == (None if next_s is None else ahead(next_s - dead_s))


def test_a_condemned_rental_that_is_listed_must_first_leave_the_list() -> None:
    gone = a_condemned(9009, tries=1, next_try_at=ahead(20), accepted_at=ago(3))
    shown = replace(
        healthy_world(), condemned=(gone,), listing=a_listing(an_instance(), an_instance(9009))
    )
    plan = decide(shown)
    assert plan.wants.listing_by is not None
    assert plan.wants.counting_from is None
    unseen = replace(shown, listing=a_listing(an_instance(), age_s=1))
    gone_at = unseen.condemned[0].condemned_at
    assert gone_at < ago(1)
    assert _counting_from(unseen) == ago(1 - FLEET.absence_apart_s)


def test_a_list_of_before_says_nothing_of_the_end_and_the_next_one_does() -> None:
    gone = a_condemned(9009, condemned_at=ago(1), tries=1, next_try_at=ahead(20))
    world = replace(healthy_world(), condemned=(gone,), listing=a_listing(an_instance(), age_s=2))
    assert _counting_from(world) == NOW


def test_keeper_looks_again_when_the_list_is_so_old_that_the_market_counts_as_lost() -> None:
    desired = a_desire(a_stream())
    lost_s = 3 * desired.fleet.list_interval_s
    world = replace(healthy_world(), unreadable_since=ago(5), listing=a_listing(an_instance()))
    assert world.listing is not None
    at = world.listing.at + (ago(0) - ago(lost_s))
    plan = decide(world, desired)
    assert plan.next_check_at is not None
    assert plan.next_check_at <= at
    assert not events_of(plan, FuseTripped)
    told = events_of(decide(world, desired, now=at), FuseTripped)
    assert [event.reason for event in told] == [Reason.MARKET_UNREADABLE]


def test_it_is_told_when_to_look_again_if_nobody_falls_silent() -> None:
    """Then a tick at the moment of a silence that has not come is passed over."""
    heard = decide(healthy_world())
    assert heard.next_check_at is not None
    assert (
        heard.next_check_if_heard_at is None or heard.next_check_if_heard_at > heard.next_check_at
    )
    paused = decide(healthy_world(pause=a_pause(until_s=7.0)))
    assert paused.next_check_at == paused.next_check_if_heard_at == ahead(7)
