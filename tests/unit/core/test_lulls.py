"""Before a host on air is touched or ends by keeper's choice, its viewers are waited for, for so long."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from keeper.core.decisions import Plan
from keeper.core.events import DrainEnded, DrainOverdue, WorkloadDraining
from keeper.core.model import (
    ConditionKind,
    Desired,
    DrainThen,
    Lull,
    Mode,
    Policy,
    Status,
    Tenure,
)
from keeper.core.reasons import Reason
from keeper.core.world import LullLook, OrderKind, World
from tests.builders import (
    HOST,
    NOW,
    SLOT,
    a_condition,
    a_desire,
    a_fresh_tenure,
    a_pause,
    a_record,
    a_stream,
    a_tenure,
    a_world,
    ago,
    ahead,
    an_order,
    applied,
    conditions,
    decide,
    decision_for,
    events_of,
    record_after,
)
from tests.unit.core.test_rollout import (
    NEW,
    OLD,
    PROVEN,
    TRIED,
    a_case,
    a_host,
    dark,
    put,
    revision,
)

BOUND_S = 200.0
GOOD_FOR_LONG = a_condition(ConditionKind.STREAMING, for_s=400, good=2)
LEAVING = Policy(drain_then=DrainThen.LEAVE)


def waiting(for_s: float, **changes: Any) -> Lull:
    return Lull(**{"since": ago(for_s), "bound_s": BOUND_S, **changes})


def seen(is_there: bool, age_s: float = 1.0, **more: Any) -> dict[Any, LullLook]:
    return {HOST: LullLook(at=ago(age_s), is_there=is_there, detail="FIGHTING", **more)}


def rolling_out(
    lull: Lull | None = None,
    *,
    policy: Policy | None = None,
    record: Any = None,
    mode: Mode = Mode.ACT,
    **changes: Any,
) -> tuple[World, Desired]:
    """One slot on air whose workload was changed, and can tell when viewers lose little."""
    record = record or a_host(lull=lull)
    stream = a_stream(
        mode=mode, policy=policy or Policy(), lull_max_s=BOUND_S, spend_max_dollars_per_hour=50.0
    )
    return a_case(record, stream=stream, **changes)


def handing_over(
    lull: Lull | None = None,
    *,
    booted_s: float = 300.0,
    policy: Policy | None = None,
    **changes: Any,
) -> tuple[World, Desired]:
    """On air, and what was ordered to replace it has proven itself."""
    incoming = a_fresh_tenure(
        instance_id=HOST + 1, label="keeper:k1:duel/0:2", attempt=2, machine_id=202,
        rented_at=ago(900), booting_since=ago(900), listed_at=ago(890), running_at=ago(700),
        booted_at=ago(booted_s), deployed_at=ago(booted_s - 40), acted_at=ago(booted_s - 40),
        first_live_at=ago(100), warm_at=ago(100), good_in_a_row=6,
        conditions=conditions(streaming=GOOD_FOR_LONG),
    )  # fmt: skip
    record = a_record(
        a_tenure(lull=lull), attempt=2, incoming=incoming, replace_asked_at=ago(1000),
        replace_asked_attempt=1,
    )  # fmt: skip
    stream = a_stream(policy=policy or Policy(), lull_max_s=BOUND_S)
    return a_world(record, **changes), a_desire(stream)


def told(case: tuple[World, Desired]) -> tuple[str, Reason]:
    decision = decision_for(decide(*case))
    return decision.name, decision.reason


def tenure_after(world: World, plan: Plan) -> Tenure:
    tenure = record_after(world, plan).tenure
    assert tenure is not None
    return tenure


@pytest.mark.parametrize("case", [rolling_out, handing_over])
def test_what_interrupts_a_host_on_air_waits_for_its_viewers(case: Any) -> None:
    world, desired = case()
    plan = decide(world, desired)
    decision = decision_for(plan)
    assert (decision.name, decision.reason) == ("wait", Reason.DRAINING)
    assert getattr(decision, "until", None) == ahead(BOUND_S)
    (begun,) = events_of(plan, WorkloadDraining)
    assert begun.bound_s == BOUND_S
    assert tenure_after(world, plan).lull == Lull(since=NOW, bound_s=BOUND_S)
    assert plan.next_check_at is not None
    assert plan.next_check_at <= ahead(BOUND_S)
    again = decide(applied(world, plan), desired)
    assert events_of(again, WorkloadDraining) == []
    assert again.acts == ()


ACT = {rolling_out: ("deploy", Reason.ROLLOUT), handing_over: ("destroy", Reason.SUPERSEDED)}
CASES = [rolling_out, handing_over]
ROWS: list[tuple[str, dict[str, Any], bool]] = [
    ("it waits while viewers watch", {"lull": waiting(100), "lulls": seen(False)}, False),
    ("it goes on at the moment that the workload names",
     {"lull": waiting(100), "lulls": seen(True)}, True),
    ("a moment that was seen before it waited is past",
     {"lull": waiting(5), "lulls": seen(True, 10)}, False),
    ("so is one that was seen long ago", {"lull": waiting(100), "lulls": seen(True, 31)}, False),
    ("it waits while nobody could look", {"lull": waiting(100)}, False),
    ("it waits for so long at most", {"lull": waiting(BOUND_S), "lulls": seen(False)}, True),
    ("also where nobody could look", {"lull": waiting(BOUND_S)}, True),
    ("what cannot be asked is not waited for",
     {"lull": waiting(3), "lulls": seen(False, is_hopeless=True)}, True),
    ("once it is over it is done", {"lull": waiting(100, over_at=ago(59))}, True),
    ("what could not be done then waits for another moment",
     {"lull": waiting(400, over_at=ago(60)), "lulls": seen(True)}, False),
    ("what was called off long ago begins anew", {"lull": waiting(BOUND_S + 600)}, False),
    ("what a keeper that was away had begun is not begun anew", {"lull": waiting(BOUND_S + 599)}, True),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("sentence", "given", "is_done"), ROWS, ids=[row[0] for row in ROWS])
def test_when_it_goes_on(sentence: str, given: dict[str, Any], is_done: bool, case: Any) -> None:
    assert told(case(**given)) == (ACT[case] if is_done else ("wait", Reason.DRAINING)), sentence


def test_the_end_of_a_wait_is_told_once() -> None:
    world, desired = rolling_out(waiting(100), lulls=seen(True))
    plan = decide(world, desired)
    (ended,) = events_of(plan, DrainEnded)
    assert ended.duration_s == 100.0
    assert tenure_after(world, plan).lull is None  # it was done
    world, desired = rolling_out(waiting(BOUND_S), lulls=seen(False))
    (overdue,) = events_of(decide(world, desired), DrainOverdue)
    assert (overdue.detail, overdue.then) == ("not within 200 s: FIGHTING", "deploy")


def test_policy_may_leave_a_host_as_it_is_and_asks_again_later() -> None:
    world, desired = rolling_out(waiting(BOUND_S), policy=LEAVING, lulls=seen(False))
    plan = decide(world, desired)
    decision = decision_for(plan)
    assert (decision.name, decision.reason) == ("hold", Reason.DRAIN_OVERDUE)
    (overdue,) = events_of(plan, DrainOverdue)
    assert overdue.then == "leave"
    left = tenure_after(world, plan).lull
    assert left is not None
    assert left.left_until == ahead(600)
    again = decide(applied(world, plan), desired)
    assert told_of(again) == ("hold", Reason.DRAIN_OVERDUE)
    assert events_of(again, DrainOverdue) == []
    rested = waiting(900, over_at=ago(600), left_until=NOW)
    assert told(rolling_out(rested, policy=LEAVING)) == ("wait", Reason.DRAINING)


def told_of(plan: Plan) -> tuple[str, Reason]:
    decision = decision_for(plan)
    return decision.name, decision.reason


def test_two_hosts_are_not_paid_for_because_policy_would_leave_one() -> None:
    world, desired = handing_over(waiting(BOUND_S), policy=LEAVING)
    plan = decide(world, desired)
    assert told_of(plan) == ("destroy", Reason.SUPERSEDED)
    (overdue,) = events_of(plan, DrainOverdue)
    assert overdue.then == "promote"


def test_what_a_deploy_has_left_alone_holds_up_no_hand_over() -> None:
    left = waiting(300, over_at=ago(100), left_until=ahead(500))
    assert told(handing_over(left)) == ("wait", Reason.DRAINING)


@pytest.mark.parametrize(
    ("booted_s", "until_s"), [(800.0, 100.0), (500.0, BOUND_S)], ids=["the rest of it", "its own"]
)
def test_two_hosts_are_paid_for_no_longer_than_a_hand_over_may_take(
    booted_s: float, until_s: float
) -> None:
    decision = decision_for(decide(*handing_over(booted_s=booted_s)))
    assert getattr(decision, "until", None) == ahead(until_s)


def test_a_hand_over_that_has_used_its_time_says_so_and_goes_on() -> None:
    plan = decide(*handing_over(booted_s=901.0))
    assert told_of(plan) == ("destroy", Reason.SUPERSEDED)
    (overdue,) = events_of(plan, DrainOverdue)
    assert overdue.detail == "not within 0 s: nobody could look"


def orders(kind: OrderKind, *, is_now: bool) -> tuple[Any, ...]:
    return (replace(an_order(kind), is_now=is_now),)


def test_who_orders_it_now_waits_for_nobody() -> None:
    waits = rolling_out(orders=orders(OrderKind.DEPLOY, is_now=False))
    assert told(waits) == ("wait", Reason.DRAINING)
    at_once = rolling_out(orders=orders(OrderKind.DEPLOY, is_now=True))
    assert told(at_once) == ("deploy", Reason.ROLLOUT)
    world, desired = handing_over()
    hurried = {SLOT: replace(world.records[SLOT], is_at_once=True)}
    assert told((replace(world, records=hurried), desired)) == ("destroy", Reason.SUPERSEDED)


def test_that_haste_is_of_the_order_alone() -> None:
    """A rollout of next week does not interrupt viewers because a deploy was once ordered at once."""
    hurried = replace(a_host(), is_at_once=True)
    assert told(rolling_out(record=hurried)) == ("wait", Reason.DRAINING)


NOT_WAITED_FOR = [
    ("a slot that is dark has no viewers",
     rolling_out(record=dark(a_host(), for_s=1200.0)), ("deploy", Reason.ROLLOUT)),
    ("a mixture is put right at once",
     rolling_out(record=put(a_host(putting=NEW), 60.0)), ("deploy", Reason.ROLLOUT)),
    ("who only suggests says what he would do",
     rolling_out(mode=Mode.SUGGEST),
     ("hold", Reason.SUGGEST_ONLY)),
    ("paused means hands off", rolling_out(pause=a_pause()), ("wait", Reason.HEALTHY)),
    ("a hand-over that is paused is held, and nobody is waited for",
     handing_over(pause=a_pause()), ("hold", Reason.PAUSED)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("sentence", "case", "expected"), NOT_WAITED_FOR, ids=[row[0] for row in NOT_WAITED_FOR]
)
def test_who_is_not_waited_for(
    sentence: str, case: tuple[World, Desired], expected: tuple[str, Reason]
) -> None:
    plan = decide(*case)
    assert told_of(plan) == expected, sentence
    assert events_of(plan, WorkloadDraining) == []


def test_a_host_that_goes_for_its_price_is_not_kept_for_its_viewers() -> None:
    world, desired = handing_over()
    record = world.records[SLOT]
    assert record.tenure is not None
    dear = replace(record.tenure, dear_since=ago(900), dollars_per_hour=3.0)
    assert told((a_world(replace(record, tenure=dear)), desired)) == ("destroy", Reason.SUPERSEDED)


def test_a_workload_that_names_no_such_moment_is_not_waited_for() -> None:
    world, desired = rolling_out()
    desired = replace(desired, streams=(replace(desired.streams[0], lull_max_s=0.0),))
    assert told((world, desired)) == ("deploy", Reason.ROLLOUT)


def test_a_host_that_falls_dark_while_it_waits_is_given_up_for_the_new_one() -> None:
    """Nobody watches it any more, and the other one has a picture."""
    world, desired = handing_over(waiting(50))
    record = world.records[SLOT]
    bad = a_condition(ConditionKind.STREAMING, Status.FALSE, Reason.FROZEN, for_s=10, bad=3)
    assert record.tenure is not None
    tenure = replace(record.tenure, conditions=conditions(streaming=bad), acted_at=NOW)
    world = replace(world, records={SLOT: replace(record, tenure=tenure, dark_since=ago(10))})
    assert told((world, desired)) == ("destroy", Reason.SUPERSEDED)


def test_what_is_not_to_be_done_any_more_is_waited_for_no_longer() -> None:
    back = a_case(
        a_host(revision=NEW, lull=waiting(50)), kept=(PROVEN, replace(TRIED, proven_at=ago(60)))
    )
    assert tenure_after(back[0], decide(*back)).lull is None
    world, desired = handing_over(waiting(50), booted_s=901.0)
    record = world.records[SLOT]
    assert record.incoming is not None
    bad = a_condition(ConditionKind.STREAMING, Status.FALSE, Reason.BLACK, for_s=300, bad=3)
    lost = replace(record.incoming, conditions=conditions(streaming=bad), good_in_a_row=0)
    world = replace(world, records={SLOT: replace(record, incoming=lost)})
    plan = decide(world, desired)
    assert record_after(world, plan).incoming is None
    assert tenure_after(world, plan).lull is None


def test_a_clock_that_was_set_back_makes_the_wait_no_longer() -> None:
    ahead_of_us = Lull(since=ahead(3600), bound_s=BOUND_S)
    world, desired = rolling_out(ahead_of_us)
    plan = decide(world, desired)
    decision = decision_for(plan)
    assert decision.reason is Reason.DRAINING
    assert getattr(decision, "until", None) == ahead(BOUND_S)


def test_what_comes_to_all_hosts_is_still_put_on_one_after_the_other() -> None:
    world, desired = a_case(
        a_host(0), a_host(1), kept=(PROVEN, revision(NEW, declared_at=ago(900), proven_at=ago(60))),
        stream=a_stream(lull_max_s=BOUND_S, spend_max_dollars_per_hour=50.0),
    )  # fmt: skip
    plan = decide(world, desired)
    assert len(events_of(plan, WorkloadDraining)) == 1
    assert OLD in {record_after(world, plan, slot).tenure.revision for slot in world.records}  # type: ignore[union-attr]
