"""Whatever is seen of viewers, and whenever: nobody is waited for beyond the bound, and no act is lost."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.core.decisions import Hold, Wait
from keeper.core.events import DrainEnded, DrainOverdue, WorkloadDraining
from keeper.core.model import Desired, DrainThen, Policy
from keeper.core.reasons import Reason
from keeper.core.world import World
from tests.builders import HOST, NOW, applied, decide, decision_for, events_of
from tests.property.worlds import lull_looks, lulls
from tests.unit.core.test_lulls import BOUND_S, handing_over, rolling_out

LEFT_S = 600.0
CASES = st.sampled_from([rolling_out, handing_over])
POLICIES = st.sampled_from([Policy(), Policy(drain_then=DrainThen.LEAVE)])


@st.composite
def waiting(draw: st.DrawFn) -> tuple[World, Desired]:
    """A slot on air that is to be touched, or whose host is to go, with any wait and any look."""
    made = draw(CASES)
    looks = draw(st.none() | lull_looks())
    lull = draw(st.none() | lulls())
    if lull is not None:
        lull = replace(lull, bound_s=min(lull.bound_s, BOUND_S))
    world, desired = made(
        lull, policy=draw(POLICIES), **({} if looks is None else {"lulls": {HOST: looks}})
    )
    return world, desired


@given(waiting())
@settings(max_examples=300)
def test_it_is_done_or_waits_for_no_longer_than_its_bound(case: tuple[World, Desired]) -> None:
    plan = decide(*case)
    decision = decision_for(plan)
    match decision:
        case Wait():
            assert decision.reason is Reason.DRAINING
            assert decision.until is not None
            assert NOW < decision.until <= NOW + timedelta(seconds=BOUND_S)
        case Hold():
            assert decision.reason is Reason.DRAIN_OVERDUE
            assert decision.until is not None
            assert decision.until <= NOW + timedelta(seconds=8000)
        case _:
            assert decision.reason in (Reason.ROLLOUT, Reason.SUPERSEDED)


@given(waiting())
@settings(max_examples=200)
def test_what_was_begun_or_has_ended_is_told_once(case: tuple[World, Desired]) -> None:
    world, desired = case
    plan = decide(world, desired)
    again = decide(applied(world, plan), desired)
    for kind in (WorkloadDraining, DrainEnded, DrainOverdue):
        told = len(events_of(plan, kind))
        assert told + len(events_of(again, kind)) <= 1
    assert again.acts == () or decision_for(again).reason is Reason.SUPERSEDED


@given(st.sampled_from([rolling_out, handing_over]), st.lists(st.integers(3, 40), min_size=80))
@settings(max_examples=50)
def test_it_is_done_by_the_end_of_its_bound_however_seldom_keeper_looks(
    made: object, steps_s: list[int]
) -> None:
    """One wait, whatever moments keeper wakes at: it is neither prolonged nor begun twice."""
    world, desired = made()  # type: ignore[operator]
    began = 0
    waited_s, plan = 0.0, decide(world, desired)
    for step_s in steps_s:
        now = NOW + timedelta(seconds=waited_s)
        assert world.listing is not None
        heard_at = dict.fromkeys(world.heard_at, now)
        world = replace(world, listing=replace(world.listing, at=now), heard_at=heard_at)
        plan = decide(world, desired, now)
        began += len(events_of(plan, WorkloadDraining))
        if decision_for(plan).reason is not Reason.DRAINING:
            break
        world = applied(world, plan)
        waited_s += step_s
    assert began == 1
    assert BOUND_S <= waited_s < BOUND_S + 40
    assert decision_for(plan).reason in (Reason.ROLLOUT, Reason.SUPERSEDED)
