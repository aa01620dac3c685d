"""Until when a spare that stands still is waited for, and what is written down when it is started."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from keeper.core import stopped
from keeper.core.case import case_of
from keeper.core.decisions import Plan, Rent, Start
from keeper.core.draft import Draft
from keeper.core.events import DecisionMade
from keeper.core.model import Instance, MarketState, SlotId
from keeper.core.reasons import Reason
from keeper.core.world import World
from tests.builders import (
    NOW,
    a_record,
    a_stream,
    ago,
    ahead,
    decide,
    decision_for,
    events_of,
    record_after,
)
from tests.unit.core.spares import PLACE, SPARE_HOST, a_place, a_spare, a_spared_world, a_wish
from tests.unit.core.standing_spares import (
    ONE,
    a_standing_spare,
    a_starting_spare,
    a_stopping_spare,
    needing,
    queued,
    resting,
    running,
    standing,
    stopped_kind,
)
from tests.unit.core.test_spares import SICK


def offline(instance: Instance) -> Instance:
    return replace(standing(instance), state=MarketState.OFFLINE)


def waits_until(plan: Plan, slot: SlotId = PLACE) -> datetime | None:
    decision = decision_for(plan, slot)
    assert decision.name == "wait", plan.sentence()
    until: datetime | None = getattr(decision, "until")  # noqa: B009 - every wait has one
    return until


def listed_at(world: World, at: datetime) -> World:
    assert world.listing is not None
    return replace(world, listing=replace(world.listing, at=at))


def is_started(plan: Plan) -> bool:
    return any(isinstance(each, Start) for each in plan.acts)


# --- until when -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("since_s", "until"),
    [(60, ahead(120)), (179, ahead(1)), (180, None), (184, None)],
)
def test_a_stop_has_three_minutes_and_then_waits_for_a_list(
    since_s: float, until: datetime | None
) -> None:
    plan = decide(resting(a_stopping_spare(since_s), running), ONE)
    assert decision_for(plan, PLACE).reason is Reason.SPARE_PROVEN
    assert waits_until(plan) == until


def test_the_list_that_a_stop_waits_for_may_be_as_old_as_its_time() -> None:
    """It says how the rental stands once the time was over: that is all that is asked of it."""
    late = resting(a_stopping_spare(182), running)
    assert decide(late, ONE).wants.counting_from == ago(2)
    assert decision_for(decide(listed_at(late, ago(3)), ONE), PLACE).name == "wait"
    assert decision_for(decide(listed_at(late, ago(2)), ONE), PLACE).name == "stop"


@pytest.mark.parametrize(
    ("since_s", "queued_s", "until"),
    [
        (60, None, ahead(60)),
        (119, None, ahead(1)),
        (120, None, None),  # and then for a list
        (60, 30, ahead(60)),  # half a minute later a list has said so, whose word lags behind
        (60, 31, None),  # the answer itself said so: a list of half a minute later ends it
        (25, 24, ahead(6)),
    ],
)
def test_a_start_has_its_time_and_its_slot_waits_as_long(
    since_s: float, queued_s: float | None, until: datetime | None
) -> None:
    queued_at = None if queued_s is None else ago(queued_s)
    plan = decide(needing(a_starting_spare(since_s, start_queued_at=queued_at), queued), ONE)
    assert decision_for(plan, PLACE).reason is decision_for(plan).reason is Reason.SPARE_STARTING
    assert waits_until(plan) == waits_until(plan, a_record().slot) == until


def test_a_list_of_the_very_moment_at_which_its_time_is_over_ends_a_start() -> None:
    world = listed_at(needing(a_starting_spare(120), queued), NOW)
    assert decision_for(decide(world, ONE), PLACE).reason is Reason.SPARE_NOT_STARTED


@pytest.mark.parametrize(
    ("dead_s", "until"), [(200, ahead(100)), (299, ahead(1)), (300, None), (304, None)]
)
def test_a_machine_that_is_off_is_waited_for_until_a_list_says_that_it_stayed_off(
    dead_s: float, until: datetime | None
) -> None:
    plan = decide(resting(a_standing_spare(dead_since=ago(dead_s)), offline), ONE)
    assert decision_for(plan, PLACE).reason is Reason.MARKET_SAYS_DEAD
    assert waits_until(plan) == until


def test_five_minutes_from_the_first_list_to_the_last_are_enough() -> None:
    plan = decide(resting(a_standing_spare(dead_since=ago(305)), offline), ONE)
    assert decision_for(plan, PLACE).name == "destroy"


def test_where_its_stream_is_in_trouble_it_is_looked_at_again_when_its_hour_is_over() -> None:
    ready = a_spare(ready_at=ago(60), booted_at=ago(90))
    draft = Draft(a_spared_world(a_place(ready), record=SICK), ONE, NOW)
    record, (stream,) = draft.records[PLACE], draft.streams
    case = case_of(draft.world, NOW, stream, draft.fleet, record, ready, None)
    assert stopped.when_ready(draft, stream, case) is None
    assert draft.plan().next_check_at == ahead(3540)


# --- what is never started, or given up ---------------------------------------------------------------


def test_one_whose_place_a_bug_holds_is_not_started() -> None:
    plan = decide(needing(held_slots=frozenset({PLACE})), ONE)
    assert not is_started(plan), plan.sentence()
    assert [each.slot for each in plan.acts if isinstance(each, Rent)] == [a_record().slot]


@pytest.mark.parametrize(("limit", "starts"), [(0.46, True), (0.44, False)])
def test_what_viewers_draw_from_it_must_fit_too_when_it_starts(
    limit: float, *, starts: bool
) -> None:
    """0.41 for the host and 0.04 for their traffic, of which it costs its disk already."""
    stream = stopped_kind(a_stream(spend_max_dollars_per_hour=limit))
    spare = a_standing_spare(traffic_dollars_per_hour=0.04)
    assert is_started(decide(needing(spare), a_wish(stream))) is starts


def test_one_with_a_named_deploy_stands_on_where_deploys_have_no_names_any_more() -> None:
    plan = decide(resting(a_standing_spare(revision="old")), ONE)
    assert decision_for(plan, PLACE).reason is Reason.SPARE_STANDS


# --- written down -------------------------------------------------------------------------------------


def test_the_place_remembers_what_was_done_to_it_last() -> None:
    world = needing()
    plan = decide(world, ONE)
    record = record_after(world, plan, PLACE)
    assert (record.last_act, record.last_act_at) == ("start", NOW)
    assert record.last_act_reason is Reason.VACANT


def test_the_slot_says_which_spare_it_waits_for() -> None:
    told = events_of(decide(needing(), ONE), DecisionMade)
    (waiting,) = [each for each in told if each.slot == a_record().slot]
    assert waiting.detail == f"{PLACE}, rental {SPARE_HOST}"
