"""A rental made moments ago may come to light late: until then its absence proves nothing (I7, I9)."""

from dataclasses import replace

import pytest

from keeper.core.events import InstanceEnded
from keeper.core.model import Condemned
from keeper.core.world import World
from tests.builders import (
    HOST,
    SLOT,
    a_condemned,
    a_desire,
    a_listing,
    a_record,
    a_stream,
    a_world,
    ago,
    an_instance,
    applied,
    decide,
    events_of,
    with_policy,
)

SETTLE_S = 120.0
DESIRED = a_desire(with_policy(a_stream(), create_settle_s=SETTLE_S))


def a_world_without_it(each: Condemned, **changes: object) -> World:
    """The account's list, complete and read this moment, lacks it; so does the answer by id."""
    return a_world(
        a_record(),
        listing=a_listing(age_s=0.0),
        condemned=(each,),
        shown={HOST: None},
        **changes,
    )


def condemned_after(each: Condemned, **changes: object) -> Condemned | None:
    plan = decide(a_world_without_it(each, **changes), DESIRED)
    (after,) = plan.condemned or (None,)
    return after


@pytest.mark.parametrize(("age_s", "counts"), [(SETTLE_S - 1, False), (SETTLE_S + 1, True)])
def test_what_no_list_has_shown_yet_is_not_missed_before_it_had_the_time_to_appear(
    age_s: float, counts: bool
) -> None:
    after = condemned_after(a_condemned(rented_at=ago(age_s), listed_at=None))
    assert after is not None
    assert (after.absent_since is not None) is counts


def test_what_has_been_listed_is_missed_at_once() -> None:
    after = condemned_after(a_condemned(rented_at=ago(20), listed_at=ago(15)))
    assert after is not None
    assert after.absent_since is not None


def test_a_clock_that_was_set_back_makes_nobody_wait_for_an_hour() -> None:
    after = condemned_after(
        a_condemned(rented_at=ago(-3600), condemned_at=ago(SETTLE_S + 1), listed_at=None)
    )
    assert after is not None
    assert after.absent_since is not None


def test_time_that_nobody_watched_lets_nothing_appear() -> None:
    """A clock that jumped an hour ahead makes a rental of this minute look old."""
    each = a_condemned(rented_at=ago(3600), listed_at=None)
    after = condemned_after(each, started_at=ago(30))
    assert after is not None
    assert after.absent_since is None


def test_a_list_that_shows_it_is_remembered() -> None:
    each = a_condemned(rented_at=ago(20), listed_at=None)
    shown = an_instance(HOST, label=each.label)
    world = replace(a_world_without_it(each), listing=a_listing(shown, age_s=0.0), shown={})
    (after,) = decide(world, DESIRED).condemned
    assert after.listed_at == ago(0)


def test_it_is_forgotten_after_two_absences_that_count() -> None:
    each = a_condemned(rented_at=ago(SETTLE_S + 40), listed_at=None, absent_since=ago(35))
    plan = decide(a_world_without_it(each), DESIRED)
    assert [event.instance_id for event in events_of(plan, InstanceEnded)] == [HOST]
    assert applied(a_world_without_it(each), plan).condemned == ()
    assert SLOT in {record.slot for record in plan.records}
