"""Ends are pursued one by one: none waits for another, and none is asked for twice without need (I7)."""

from __future__ import annotations

from typing import Any

import pytest

from keeper.core.decisions import Destroy
from keeper.core.events import InstanceEnded
from keeper.core.model import MarketState
from tests.builders import a_condemned, a_listing, a_world, ago, an_instance, decide, events_of

GONE: dict[str, Any] = {
    "absent_since": ago(40), "absent_listed_at": ago(5), "by_id_absent_at": ago(1),
}  # fmt: skip
UNSEEN: dict[str, Any] = {"absent_since": ago(5), "absent_listed_at": ago(5)}
DUE: dict[str, Any] = {"next_try_at": ago(1)}


def asked_for(*condemned: Any) -> list[int]:
    listed = [an_instance(each.instance_id) for each in condemned if each.absent_since is None]
    plan = decide(a_world(condemned=condemned, listing=a_listing(*listed)))
    return [int(act.instance_id) for act in plan.acts if isinstance(act, Destroy)]


@pytest.mark.parametrize(
    ("first", "asked"),
    [
        pytest.param({**GONE, "tries": 1}, [2], id="one that is confirmed"),
        pytest.param({**UNSEEN, "tries": 1}, [2], id="one that a listing lacks"),
        pytest.param({"next_try_at": ago(-20), "tries": 1}, [2], id="one that waits for its turn"),
        pytest.param({**DUE, "tries": 1}, [1, 2], id="one that is asked for as well"),
    ],
)
def test_the_end_of_one_holds_up_no_other(first: dict[str, Any], asked: list[int]) -> None:
    assert asked_for(a_condemned(1, **first), a_condemned(2, **DUE)) == asked


@pytest.mark.parametrize(("tries", "asked"), [(0, [1]), (1, []), (2, [])])
def test_what_a_listing_lacks_is_asked_for_once_and_then_only_confirmed(
    tries: int, asked: list[int]
) -> None:
    """It may only be late to appear, so its end is asked for all the same."""
    assert asked_for(a_condemned(1, tries=tries, **UNSEEN, **DUE)) == asked


@pytest.mark.parametrize("condemned", [(), (a_condemned(1, accepted_at=ago(20), tries=1),)])
def test_as_long_as_an_end_is_open_a_fresh_listing_tells_something(condemned: Any) -> None:
    plan = decide(a_world(condemned=condemned, listing=a_listing()))
    assert (plan.wants.counting_from is not None) is bool(condemned)


def test_what_has_ended_cost_its_hours_until_the_first_listing_without_it() -> None:
    ended = a_condemned(1, dollars_per_hour=0.5, rented_at=ago(7240), **GONE)
    (told,) = events_of(decide(a_world(condemned=(ended,))), InstanceEnded)
    assert told.dollars == pytest.approx(1.0)
    assert told.duration_s == 60.0


@pytest.mark.parametrize(
    ("known", "listed", "dollars"),
    [
        pytest.param(0.25, 0.68, 0.68, id="a stray whose offer lied"),
        pytest.param(0.0, 0.40, 0.40, id="a stray that only an answer has named"),
        pytest.param(0.40, 0.06, 0.40, id="a row that shows a part of it"),
        pytest.param(0.40, 0.0, 0.40, id="a row without a price"),
    ],
)
def test_what_must_end_is_committed_to_at_the_price_that_a_listing_tells(
    known: float, listed: float, dollars: float
) -> None:
    """It bills until it is gone, and a spare was rented beside it above the spares' cap (seed 7938)."""
    for state in (MarketState.PENDING, MarketState.RUNNING, MarketState.OFFLINE):
        row = an_instance(1, dollars_per_hour=listed, state=state)
        world = a_world(condemned=(a_condemned(1, dollars_per_hour=known),), listing=a_listing(row))
        (after,) = decide(world).condemned
        assert after.dollars_per_hour == dollars, state
