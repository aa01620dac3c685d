"""What another host would not cure costs none: worlds in which only a workload's word spoils the view."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.core.decisions import Destroy, Reboot, Rent, Restart
from keeper.core.model import (
    Condition,
    ConditionKind,
    RemedyUse,
    Rung,
    Status,
    Symptom,
)
from keeper.core.reasons import Reason
from keeper.core.world import World
from tests.builders import (
    SLOT,
    a_condition,
    a_record,
    a_tenure,
    a_world,
    ago,
    conditions,
    decide,
    decision_for,
)
from tests.property.worlds import BOUNDED, SECONDS, condition

ORDER = tuple(Rung)
# What the workload's word leads to; a dead market, a lost GPU or another key speak for themselves.
ABOUT_IT = {Reason.SYMPTOM, Reason.LADDER_SPENT, Reason.WRONG_PICTURE, Reason.NO_PICTURE_EVER}


@st.composite
def spoilt(draw: st.DrawFn) -> tuple[World, Symptom]:
    """One slot whose picture is good, as keeper's own look has it, and spoilt, as its workload has it."""
    symptom = draw(st.sampled_from(BOUNDED))
    working = a_condition(ConditionKind.WORKING, Status.FALSE, Reason.SYMPTOM, for_s=draw(SECONDS))
    streaming = a_condition(
        ConditionKind.STREAMING, Status.FALSE, Reason.WRONG_PICTURE,
        for_s=draw(SECONDS), bad=draw(st.integers(0, 3)),
    )  # fmt: skip
    told: dict[str, Condition] = {
        kind.value: draw(condition(kind))
        for kind in (ConditionKind.REACHABLE, ConditionKind.HAS_ROOM)
        if draw(st.booleans())
    }
    told |= {"streaming": streaming, "working": replace(working, symptom=symptom)}
    codes = st.sampled_from([symptom.code, symptom.code, "", "another"])
    uses = st.tuples(st.sampled_from(ORDER[:3]), SECONDS, codes)
    tenure = a_tenure(
        conditions=conditions(**told),
        first_live_at=draw(st.none() | SECONDS.map(ago)),
        acted_at=draw(st.none() | SECONDS.map(ago)),
        # A process that dies again and again is more than what some viewers miss.
        process_changed_at=tuple(
            sorted(draw(st.lists(SECONDS.map(ago), max_size=2 if symptom.is_partial else 4)))
        ),
    )
    record = a_record(
        tenure,
        dark_since=draw(st.none() | SECONDS.map(ago)),
        remedies=tuple(
            RemedyUse(rung=rung, at=ago(age_s), symptom=code)
            for rung, age_s, code in draw(st.lists(uses, max_size=7))
        ),
    )
    return a_world(record), symptom


@given(spoilt())
@settings(max_examples=300)
def test_nothing_dearer_than_the_dearest_is_done(case: tuple[World, Symptom]) -> None:
    world, symptom = case
    highest = ORDER.index(symptom.dearest)
    for act in decide(world).acts:
        match act:
            case Restart():
                assert ORDER.index(act.rung) <= highest
            case Reboot():
                assert highest >= ORDER.index(Rung.REBOOT)
            case Destroy() | Rent():
                assert act.reason not in ABOUT_IT
            case _:
                pass


@given(spoilt())
@settings(max_examples=300)
def test_a_person_is_asked_only_when_what_may_be_tried_is_spent(
    case: tuple[World, Symptom],
) -> None:
    world, symptom = case
    decision = decision_for(decide(world))
    if decision.reason is not Reason.NEEDS_PERSON:
        return
    uses = [use.rung for use in world.records[SLOT].remedies]
    tenure = world.records[SLOT].tenure
    assert tenure is not None
    is_pointless = len(tenure.process_changed_at) >= 3 or any(
        each.kind is ConditionKind.HAS_ROOM and each.status is Status.FALSE
        for each in tenure.conditions
    )
    if symptom.remedy.value == symptom.dearest.value and not is_pointless:
        cap = 3 if symptom.dearest is Rung.RESTART_PROCESS else 1
        assert uses.count(symptom.dearest) >= cap
