"""The ladder's pauses and the rules' deadlines: how long each is waited, and for whom the act is."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from keeper.core.decisions import Decision, Hold, Rent, Restart, Wait
from keeper.core.model import RemedyUse, Rung, SlotId, SlotRecord
from keeper.core.reasons import Reason
from keeper.core.world import OrderKind, World
from tests.builders import (
    HOST,
    a_desire,
    a_pause,
    a_stream,
    ago,
    ahead,
    an_order,
    decide,
    decision_for,
    healthy_world,
    record_after,
    with_policy,
)
from tests.unit.core.decision_worlds import (
    DEAR,
    booted,
    booting,
    dark_for,
    handing_over,
    listed_as,
    two_alike,
    used,
    warming,
    with_record,
    with_tenure,
    with_terms,
)

PROCESS, WORKLOAD = Rung.RESTART_PROCESS, Rung.RESTART_WORKLOAD


def sick(*uses: tuple[Rung, float]) -> World:
    """A picture that has been bad for ten minutes, and what was tried against it so long ago."""
    return with_record(dark_for(600), remedies=used(*uses))


def until_of(decision: Decision) -> datetime | None:
    assert isinstance(decision, Wait)
    return decision.until


# --- how long a rung waits --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uses", "least_s", "most_s"),
    [
        pytest.param([(PROCESS, 2)], 7.5, 12.5, id="ten seconds after the first"),
        pytest.param([(PROCESS, 30), (PROCESS, 2)], 15, 25, id="twice as long after the second"),
        pytest.param(
            [(PROCESS, 2), (PROCESS, 30)], 15, 25, id="from the latest, not the last told"
        ),
    ],
)
def test_a_process_is_restarted_again_after_twice_as_long(
    uses: list[tuple[Rung, float]], least_s: float, most_s: float
) -> None:
    """Give or take a quarter, so that many hosts do not restart in step."""
    decision = decision_for(decide(sick(*uses)))
    assert decision.reason is Reason.BACKING_OFF
    until = until_of(decision)
    assert until is not None
    assert ago(2 - least_s) <= until <= ago(2 - most_s)


def test_the_longest_pause_is_kept_though_it_is_longer_than_half_of_what_a_clock_may_invent() -> (
    None
):
    """Five minutes and a quarter: nobody may take that for a clock that was set back."""
    desired = a_desire(with_policy(a_stream(), restarts_max=9, restart_backoff_min_s=300.0))
    decision = decision_for(decide(sick((PROCESS, 1)), desired))
    assert decision.reason is Reason.BACKING_OFF


@pytest.mark.parametrize(("ahead_s", "name"), [(280.0, "wait"), (610.0, "restart")])
def test_a_restart_that_lies_in_the_future_was_written_by_another_clock(
    ahead_s: float, name: str
) -> None:
    """Ten minutes ahead no back-off reaches; nothing waits for what a clock has invented."""
    assert decision_for(decide(sick((PROCESS, -ahead_s)))).name == name


def test_a_workload_s_restart_is_not_repeated_later_but_followed_by_the_next_rung() -> None:
    tried = [(PROCESS, 400), (PROCESS, 300), (PROCESS, 200), (WORKLOAD, 1)]
    desired = a_desire(with_policy(a_stream(), workload_restarts_max=2))
    decision = decision_for(decide(sick(*tried), desired))
    assert isinstance(decision, Restart)
    assert decision.rung is WORKLOAD


def test_an_act_settles_before_the_next_whatever_its_rung() -> None:
    world = with_tenure(sick((PROCESS, 400), (PROCESS, 300), (PROCESS, 200)), acted_at=ago(5))
    decision = decision_for(decide(world))
    assert (decision.reason, until_of(decision)) == (Reason.BACKING_OFF, ahead(10))


# --- for how long a rule waits ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("world", "reason", "until"),
    [
        pytest.param(booting(), Reason.BOOTING, ahead(800), id="a boot has a quarter of an hour"),
        pytest.param(
            warming(60), Reason.WARMING_UP, ahead(240), id="first frames have five minutes"
        ),
    ],
)
def test_what_is_waited_for_has_an_end(world: World, reason: Reason, until: datetime) -> None:
    decision = decision_for(decide(world))
    assert (decision.reason, until_of(decision)) == (reason, until)


def test_a_failed_deploy_is_repeated_when_its_pause_is_over() -> None:
    world = booted(deploy_failures=1, acted_at=ago(4))
    decision = decision_for(decide(world))
    assert (decision.reason, until_of(decision)) == (Reason.BACKING_OFF, ahead(6))


# --- for whom the act is ----------------------------------------------------------------------------


def after(world: World) -> SlotRecord:
    return record_after(world, decide(world))


@pytest.mark.parametrize(
    "world",
    [
        pytest.param(
            with_terms(
                listed_as(healthy_world(), ends_at=ahead(7200)),
                ending_since=ago(36),
                rented_at=ago(86_400),
            ),
            id="whose contract is ending",
        ),
        pytest.param(
            with_terms(listed_as(healthy_world(), dollars_per_hour=2.6), dear_since=ago(36)),
            id="that has grown dear",
        ),
    ],
)
def test_the_next_host_is_rented_beside_the_one(world: World) -> None:
    """Nothing may take the place of a host that serves: it would be nobody's and bill for ever."""
    plan = decide(world, DEAR)
    assert isinstance(decision_for(plan), Rent)
    record = record_after(world, plan)
    assert record.tenure is not None
    assert record.tenure.instance_id == HOST
    assert record.incoming is not None


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"deployed_at": None, "deploy_failures": 2}, id="it takes no workload"),
        pytest.param(
            {"booted_at": None, "dear_since": ago(600), "dollars_per_hour": 9.0},
            id="it is too dear",
        ),
    ],
)
def test_a_replacement_that_fails_goes_and_the_host_that_serves_stays(
    changes: dict[str, object],
) -> None:
    record = after(handing_over(**changes))
    assert record.incoming is None
    assert record.tenure is not None
    assert record.tenure.instance_id == HOST


def test_what_an_operator_orders_is_a_restart_of_the_process() -> None:
    decision = decision_for(decide(healthy_world(orders=(an_order(OrderKind.RESTART),))))
    assert isinstance(decision, Restart)
    assert (decision.rung, decision.reason) == (PROCESS, Reason.OPERATOR_ASKED)


# --- what a fuse does not count ---------------------------------------------------------------------


def test_an_allowance_of_replacements_that_is_spent_forbids_no_restart() -> None:
    world = with_record(sick(), replaced_at=tuple(ago(60 * n) for n in range(9, 0, -1)))
    assert decision_for(decide(world)).name == "restart"
    assert decision_for(decide(with_record(world, remedies=worn()))).name == "hold"


def worn() -> tuple[RemedyUse, ...]:
    return used((PROCESS, 400), (PROCESS, 300), (PROCESS, 200), (WORKLOAD, 150), (Rung.REBOOT, 120))


def test_of_two_that_failed_alike_the_one_that_will_be_tried_says_when() -> None:
    """A quarter of an hour after they failed, and then one at a time."""
    plan = decide(*two_alike())
    first, second = (decision_for(plan, SlotId(f"duel/{n}")) for n in (0, 1))
    assert (first.reason, second.reason) == (Reason.COMMON_CAUSE, Reason.COMMON_CAUSE)
    assert isinstance(first, Hold)
    assert isinstance(second, Hold)
    assert (first.until, second.until) == (ahead(900 - 240), None)


def test_keeper_wakes_when_a_pause_is_over() -> None:
    world = healthy_world()
    assert world.listing is not None
    world = replace(world, listing=replace(world.listing, at=ago(0)))
    plan = decide(replace(world, pause=a_pause(3.0)))
    assert plan.next_check_at == ahead(3)
