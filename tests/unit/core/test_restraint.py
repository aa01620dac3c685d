"""What the simulator found: where restraint was missing, and where it had no end."""

from dataclasses import replace
from datetime import timedelta

from keeper.core.model import Condition, ConditionKind, RemedyUse, Rung, SlotId, Status
from keeper.core.reasons import Reason
from keeper.core.world import World
from tests.builders import (
    HOST,
    NOW,
    SLOT,
    a_condition,
    a_desire,
    a_record,
    a_stream,
    a_tenure,
    a_world,
    acts_in,
    ago,
    conditions,
    decide,
    decision_for,
    healthy_world,
    record_after,
)

FROZEN = (Status.FALSE, Reason.FROZEN)
OTHER = SlotId("duel/1")


def unreachable_for(seconds: float) -> tuple[Condition, ...]:
    refused = a_condition(
        ConditionKind.REACHABLE, Status.FALSE, Reason.DIAL_REFUSED, for_s=seconds, bad=3
    )
    dark = a_condition(
        ConditionKind.STREAMING, Status.FALSE, Reason.UNREACHABLE, for_s=seconds, bad=3
    )
    return conditions(reachable=refused, streaming=dark)


def two_sick_for(seconds: float) -> World:
    """Two of two slots, frozen for so long."""
    records = [
        a_record(
            a_tenure(instance_id=HOST + n, label=f"keeper:k1:duel/{n}:1", conditions=conditions(
                streaming=a_condition(
                    ConditionKind.STREAMING, *FROZEN, for_s=seconds + n, bad=3
                ),
            )),
            slot=SlotId(f"duel/{n}"),
            dark_since=ago(seconds + n),
        )
        for n in range(2)
    ]  # fmt: skip
    return a_world(*records)


def test_blindness_takes_back_what_it_made_look_bad() -> None:
    """Seed 1, 2026-01-09 02:44: a good host was destroyed when the ops box could see again."""
    tenure = a_tenure(conditions=unreachable_for(600))
    blind = a_world(a_record(tenure, dark_since=ago(600)), own_network=Status.FALSE)
    plan = decide(blind)
    assert acts_in(plan) == ()
    after = record_after(blind, plan)
    later = NOW + timedelta(seconds=1)
    seeing = a_world(after, own_network=Status.TRUE)
    assert acts_in(decide(seeing, now=later)) == ()


def test_a_workload_restart_counts_for_its_whole_window() -> None:
    """Seed 6, 2026-01-06 03:15: the second rung was used twice within 22 minutes."""
    uses = (
        RemedyUse(rung=Rung.RESTART_WORKLOAD, at=ago(1300)),
        RemedyUse(rung=Rung.RESTART_PROCESS, at=ago(1250)),
    )
    world = healthy_world()
    record = replace(world.records[SLOT], remedies=uses, healthy_since=ago(1200))
    world = replace(world, records={SLOT: record})
    after = record_after(world, decide(world))
    assert [use.rung for use in after.remedies] == [Rung.RESTART_WORKLOAD]


def test_a_mass_failure_that_lasts_lets_one_slot_be_treated() -> None:
    """Seed 5, 2026-01-05 17:14: two hosts of two failed, and both slots were held for the week."""
    desired = a_desire(a_stream(replicas=2))
    held = decide(two_sick_for(600), desired)
    assert {d.reason for d in held.decisions} == {Reason.MASS_FAILURE}
    assert held.next_check_at is not None
    assert held.next_check_at <= NOW + timedelta(seconds=300)
    tried = decide(two_sick_for(1000), desired)
    assert [act.slot for act in acts_in(tried)] == [OTHER]  # sick a second longer
    assert decision_for(tried, SLOT).reason is Reason.MASS_FAILURE


def test_during_a_trial_the_next_slot_waits_for_its_outcome() -> None:
    world = two_sick_for(2000)
    third = SlotId("duel/2")
    records = {
        **world.records,
        third: a_record(slot=third, ever_on_air=True, dark_since=ago(2500), attempt=1),
    }
    plan = decide(replace(world, records=records), a_desire(a_stream(replicas=3)))
    assert decision_for(plan, SLOT).reason is Reason.MASS_FAILURE
    assert decision_for(plan, OTHER).reason is Reason.MASS_FAILURE
    assert decision_for(plan, third).reason is not Reason.MASS_FAILURE
