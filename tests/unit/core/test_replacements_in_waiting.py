"""A replacement that comes to nothing is ended by itself; the host that serves is left alone (I11)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from keeper.core.decisions import Destroy
from keeper.core.labels import label_for
from keeper.core.model import ConditionKind, InstanceId, MachineId, MarketState, Status
from keeper.core.reasons import Reason
from keeper.core.world import World
from tests.builders import (
    HOST,
    KEEPER_ID,
    SLOT,
    a_condition,
    a_fresh_tenure,
    a_listing,
    a_record,
    a_tenure,
    a_world,
    ago,
    ahead,
    all_heard,
    an_instance,
    conditions,
    decide,
    decision_for,
    record_after,
)

U, F = Status.UNKNOWN, Status.FALSE
NEXT = InstanceId(7002)
LABEL = label_for(KEEPER_ID, SLOT, 2)
NAMES: dict[str, Any] = {
    "label": LABEL, "attempt": 2, "instance_id": NEXT, "machine_id": MachineId(202),
}  # fmt: skip
UNSEEN = conditions(
    streaming=(U, Reason.NOT_ASKED), reachable=(U, Reason.NOT_ASKED), running=(U, Reason.NOT_ASKED)
)
# Up, deployed, and without a picture.
PLAIN: dict[str, Any] = {
    "conditions": conditions(streaming=(U, Reason.NOT_ASKED)), "good_in_a_row": 0,
    "rented_at": ago(400), "requested_at": ago(402), "booting_since": ago(400),
    "booted_at": ago(300), "deployed_at": ago(200), "warm_at": None, "first_live_at": None,
}  # fmt: skip


def a_handover(incoming: Any, row: dict[str, Any] | None = None, **changes: Any) -> World:
    world = a_world(a_record(a_tenure(), attempt=2, incoming=incoming))
    rows = [an_instance()]
    if row is not None:
        rows.append(an_instance(NEXT, LABEL, machine_id=MachineId(202), **row))
    return replace(world, listing=a_listing(*rows), **changes)


@pytest.mark.parametrize(
    ("tenure", "row", "reason"),
    [
        (
            a_fresh_tenure(**NAMES, missing_since=ago(150), missing_listed_at=ago(35),
                           rented_at=ago(200), requested_at=ago(202)),
            None, Reason.CREATE_NEVER_APPEARED,
        ),
        (
            a_fresh_tenure(**NAMES, dead_since=ago(100), listed_at=ago(200), rented_at=ago(200),
                           requested_at=ago(202)),
            {"state": MarketState.STOPPED}, Reason.BOOT_FAILED,
        ),
        (
            a_tenure(**NAMES, dead_since=ago(100), conditions=UNSEEN, first_live_at=None),
            {"state": MarketState.STOPPED, "is_meant_to_run": False}, Reason.MARKET_STOPPED_IT,
        ),
        (
            a_fresh_tenure(**NAMES, rented_at=ago(901), requested_at=ago(902),
                           booting_since=ago(901), listed_at=ago(890)),
            {"state": MarketState.PENDING}, Reason.BOOT_STUCK,
        ),
        (
            a_tenure(**NAMES, **{**PLAIN, "dear_since": ago(60), "offered_dollars_per_hour": 0.4}),
            {"dollars_per_hour": 1.9}, Reason.PRICE_DRIFT,
        ),
        (
            a_tenure(**NAMES, **{**PLAIN, "conditions": conditions(
                streaming=(U, Reason.NOT_ASKED), has_gpu=(F, Reason.DISPLAY_LOST))}),
            {}, Reason.DISPLAY_LOST,
        ),
        (
            a_tenure(**NAMES, **{**PLAIN, "conditions": conditions(
                streaming=(U, Reason.NOT_ASKED), reachable=a_condition(
                    ConditionKind.REACHABLE, F, Reason.DIAL_REFUSED, for_s=301, bad=3))}),
            {}, Reason.UNREACHABLE_TOO_LONG,
        ),
        (
            a_tenure(**NAMES, **{**PLAIN, "deployed_at": None, "deploy_failures": 2}),
            {}, Reason.DEPLOY_FAILED,
        ),
        (
            a_tenure(**NAMES, **{**PLAIN, "booted_at": ago(901)}),
            {}, Reason.NO_PICTURE_EVER,
        ),
    ],
    ids=lambda each: each.value if isinstance(each, Reason) else "",
)  # fmt: skip
def test_a_replacement_that_comes_to_nothing_is_ended_alone(
    tenure: Any, row: dict[str, Any] | None, reason: Reason
) -> None:
    world = a_handover(tenure, row)
    heard = {**world.heard_at, **all_heard(instance_id=int(NEXT))}
    world = replace(world, heard_at=heard)
    plan = decide(world)
    after = record_after(world, plan)
    assert after.tenure is not None
    assert after.tenure.instance_id == HOST
    assert after.incoming is None
    assert [(act.name, act.reason) for act in plan.acts] == [("destroy", reason)]
    assert all(isinstance(act, Destroy) and act.instance_id == NEXT for act in plan.acts)


@pytest.mark.parametrize(
    ("tenure", "row", "reason", "until"),
    [
        (
            a_fresh_tenure(**NAMES, listed_at=ago(90)),
            {"state": MarketState.PENDING}, Reason.BOOTING, ahead(800),
        ),
        (
            a_tenure(**NAMES, **{**PLAIN, "dead_since": ago(10), "conditions": UNSEEN}),
            {"state": MarketState.STOPPED}, Reason.MARKET_SAYS_DEAD, ahead(20),
        ),
        (
            a_tenure(**NAMES, **{**PLAIN, "deployed_at": None, "conditions": conditions(
                streaming=(U, Reason.NOT_ASKED), reachable=a_condition(
                    ConditionKind.REACHABLE, F, Reason.DIAL_REFUSED, for_s=100, bad=3))}),
            {}, Reason.NOT_DEPLOYED, ahead(200),
        ),
        (
            a_tenure(**NAMES, **{**PLAIN, "deployed_at": None, "conditions": UNSEEN}),
            {}, Reason.NOT_DEPLOYED, None,
        ),
        (
            a_tenure(**NAMES, **{**PLAIN, "deployed_at": None, "deploy_failures": 1,
                                 "acted_at": ago(4)}),
            {}, Reason.BACKING_OFF, ahead(6),
        ),
        (
            a_tenure(**NAMES, **PLAIN), {}, Reason.HANDOVER, ahead(600),
        ),
    ],
    ids=["booting", "reported down", "refused", "unheard", "deploy again", "proving itself"],
)  # fmt: skip
def test_what_a_replacement_waits_for_is_waited_for_to_the_second(
    tenure: Any, row: dict[str, Any], reason: Reason, until: object
) -> None:
    world = a_handover(tenure, row)
    heard = {**world.heard_at, **all_heard(instance_id=int(NEXT))}
    if tenure.conditions == UNSEEN or not tenure.conditions:
        heard = dict(world.heard_at)
    decision = decision_for(decide(replace(world, heard_at=heard)))
    assert (decision.name, decision.reason) == ("wait", reason)
    assert getattr(decision, "until", None) == until


def test_a_replacement_is_deployed_upon_while_the_host_before_it_serves() -> None:
    tenure = a_tenure(**NAMES, **{**PLAIN, "deployed_at": None})
    world = a_handover(tenure, {})
    heard = {**world.heard_at, **all_heard(instance_id=int(NEXT))}
    decision = decision_for(decide(replace(world, heard_at=heard)))
    assert decision.name == "deploy"
    assert getattr(decision, "instance_id", None) == NEXT
