"""What a workload says of itself: since when it ails, when that is over, and what the next host is told."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from keeper.core.belief import confirms
from keeper.core.cures import tried_for
from keeper.core.decisions import Act, Decision, Hold
from keeper.core.draft import Draft, Seat
from keeper.core.events import (
    DecisionMade,
    InstanceCondemned,
    InstanceRebooting,
    WorkloadRestarting,
)
from keeper.core.model import (
    Condition,
    ConditionKind,
    Policy,
    Reading,
    Remedy,
    RemedyUse,
    Rung,
    Status,
    Subject,
    Symptom,
    Tenure,
)
from keeper.core.reasons import Reason
from keeper.core.retire import retire
from keeper.core.world import World
from tests.builders import (
    NOW,
    SLOT,
    a_condition,
    a_desire,
    a_reading,
    a_record,
    a_stream,
    a_tenure,
    a_world,
    ago,
    ahead,
    all_heard,
    applied,
    conditions,
    decide,
    decision_for,
    events_of,
    record_after,
)

FLICKER = Symptom(code="flicker", sentence="it flickers", remedy=Remedy.RESTART_PROCESS)
DEAF = Symptom(code="deaf", sentence="no sound", remedy=Remedy.PERSON)


def says(symptom: Symptom | None, **more: object) -> Reading:
    if symptom is None:
        return a_reading(Subject.WORKLOAD, Status.TRUE, Reason.WORKLOAD_WELL, **more)  # type: ignore[arg-type]
    return a_reading(Subject.WORKLOAD, Status.FALSE, Reason.SYMPTOM, symptom=symptom, **more)  # type: ignore[arg-type]


def ailing(symptom: Symptom, for_s: float = 100.0) -> Tenure:
    said = a_condition(ConditionKind.WORKING, Status.FALSE, Reason.SYMPTOM, for_s=for_s)
    return a_tenure(conditions=conditions(working=replace(said, symptom=symptom)))


def working_of(tenure: Tenure | None) -> Condition:
    assert tenure is not None
    return tenure.conditions[-1]


def after(tenure: Tenure, *readings: Reading, heard_s: float = 0.0) -> Tenure:
    world = a_world(a_record(tenure), readings=readings, heard_at=all_heard(heard_s))
    found = record_after(world, decide(world)).tenure
    assert found is not None
    return found


def test_a_symptom_counts_since_it_was_first_said() -> None:
    told = working_of(after(a_tenure(), says(FLICKER, age_s=3)))
    assert (told.status, told.symptom, told.since) == (Status.FALSE, FLICKER, ago(3))
    again = working_of(after(ailing(FLICKER), says(replace(FLICKER, sentence="still"))))
    assert (again.symptom, again.since) == (FLICKER, ago(100))


def test_the_same_symptom_may_ask_for_something_else_later() -> None:
    """A restart that waits for the end of a fight is asked for when the fight is over."""
    waits = replace(FLICKER, remedy=Remedy.NOTHING, is_planned=True)
    told = working_of(after(ailing(waits), says(replace(waits, remedy=Remedy.RESTART_PROCESS))))
    assert told.symptom is not None
    assert (told.symptom.remedy, told.since) == (Remedy.RESTART_PROCESS, ago(100))


def test_another_symptom_counts_anew() -> None:
    told = working_of(after(ailing(FLICKER), says(DEAF, age_s=2)))
    assert (told.symptom, told.since) == (DEAF, ago(2))


@pytest.mark.parametrize("silence", [True, False], ids=["silence", "a good word"])
def test_a_symptom_ends(silence: bool) -> None:
    tenure = after(ailing(FLICKER), heard_s=46) if silence else after(ailing(FLICKER), says(None))
    told = working_of(tenure)
    assert told.symptom is None
    assert told.status is (Status.UNKNOWN if silence else Status.TRUE)


@pytest.mark.parametrize(
    ("remedy", "kind"),
    [
        (Remedy.RESTART_PROCESS, WorkloadRestarting),
        (Remedy.REBOOT, InstanceRebooting),
        (Remedy.REPLACE, InstanceCondemned),
    ],
)
def test_whatever_is_done_about_a_symptom_names_it(remedy: Remedy, kind: type) -> None:
    dark = a_condition(ConditionKind.STREAMING, Status.FALSE, Reason.FROZEN, for_s=60, bad=3)
    said = working_of(ailing(replace(FLICKER, remedy=remedy)))
    tenure = a_tenure(conditions=conditions(streaming=dark, working=said))
    plan = decide(a_world(a_record(tenure, dark_since=ago(60))))
    (told,) = events_of(plan, kind)
    assert told.symptom == "flicker"


def test_an_act_keeps_the_words_that_it_was_done_for() -> None:
    dark = a_condition(ConditionKind.STREAMING, Status.FALSE, Reason.FROZEN, for_s=60, bad=3)
    tenure = a_tenure(conditions=conditions(streaming=dark, working=working_of(ailing(FLICKER))))
    world = a_world(a_record(tenure, dark_since=ago(60)))
    record = record_after(world, decide(world))
    assert (record.last_act, record.last_act_why) == ("restart", FLICKER.sentence)
    world = a_world(a_record(a_tenure(conditions=conditions(streaming=dark)), dark_since=ago(60)))
    record = record_after(world, decide(world))
    assert (record.last_act, record.last_act_why) == ("restart", "")


def test_what_is_left_to_a_person_is_named() -> None:
    dark = a_condition(ConditionKind.STREAMING, Status.FALSE, Reason.FROZEN, for_s=60, bad=3)
    tenure = a_tenure(conditions=conditions(streaming=dark, working=working_of(ailing(DEAF))))
    plan = decide(a_world(a_record(tenure, dark_since=ago(60))))
    (made,) = events_of(plan, DecisionMade)
    assert (made.reason, made.symptom) == (Reason.NEEDS_PERSON, "deaf")


DARK = a_condition(ConditionKind.STREAMING, Status.FALSE, Reason.FROZEN, for_s=3000, bad=3)


def mended(*words: Reading) -> World:
    """Dark for long and left to a person; then it was said so."""
    working = working_of(ailing(DEAF, for_s=2900))
    tenure = a_tenure(
        conditions=conditions(streaming=DARK, working=working), is_left_to_person=True
    )
    return a_world(a_record(tenure, dark_since=ago(3000)), readings=words)


def test_what_a_person_has_mended_is_given_the_time_to_show_it() -> None:
    """A broken build was put right, and keeper restarted it in the second in which it came up."""
    world = mended(says(None))
    plan = decide(world)
    assert decision_for(plan).name == "wait"
    tenure = record_after(world, plan).tenure
    assert tenure is not None
    assert not tenure.is_left_to_person
    assert tenure.acted_at == NOW


def test_so_it_is_when_nobody_knew_for_a_moment_in_between() -> None:
    unknown = a_reading(Subject.WORKLOAD, Status.UNKNOWN, Reason.PROBE_FAILED, age_s=2)
    assert decision_for(decide(mended(unknown, says(None)))).name == "wait"


def test_what_goes_on_being_bad_then_is_cured_as_ever() -> None:
    world = mended(says(None))
    tenure = record_after(world, decide(world)).tenure
    assert tenure is not None
    *before, well = tenure.conditions
    before[4] = DARK
    later = replace(tenure, acted_at=ago(60), conditions=(*before, replace(well, since=ago(60))))
    world = a_world(a_record(later, dark_since=ago(3000)))
    assert decision_for(decide(world)).name == "restart"


def test_a_symptom_of_another_kind_is_no_longer_a_persons() -> None:
    tenure = after(ailing(DEAF), says(FLICKER))
    assert not tenure.is_left_to_person
    assert after(ailing(FLICKER), says(DEAF)).is_left_to_person


TUNNEL = Symptom(
    code="tunnel_gone",
    sentence="the tunnel has expired",
    remedy=Remedy.RESTART_PROCESS,
    dearest=Rung.RESTART_PROCESS,
    spoils_view=True,
    is_partial=True,
)


def hours_with(symptom: Symptom, hours: int, **policy: Any) -> tuple[list[Act], Decision, World]:
    """Return all that is done while a symptom goes on whatever is done, and what is decided at the end."""
    spoilt = a_condition(
        ConditionKind.STREAMING, Status.FALSE, Reason.WRONG_PICTURE, for_s=60, bad=3
    )
    told = conditions(streaming=spoilt, working=working_of(ailing(symptom)))
    world = a_world(a_record(a_tenure(conditions=told), dark_since=ago(60)))
    desired = a_desire(a_stream(policy=Policy(**policy)))
    done: list[Act] = []
    decided: list[Decision] = []
    assert world.listing is not None
    for minute in range(60 * hours):
        now = NOW + timedelta(minutes=minute)
        record = world.records[SLOT]
        assert record.tenure is not None
        seen = tuple(
            replace(each, bad_streak=3) if each.kind is ConditionKind.STREAMING else each
            for each in record.tenure.conditions
        )
        record = replace(record, tenure=replace(record.tenure, conditions=seen))
        world = replace(
            world, records={SLOT: record}, in_flight=frozenset(), intents=(),
            listing=replace(world.listing, at=now), heard_at=dict.fromkeys(world.heard_at, now),
        )  # fmt: skip
        plan = decide(world, desired, now)
        done += plan.acts
        decided.append(decision_for(plan))
        world = applied(world, plan)
    return done, decided[-1], world


def test_what_no_other_host_would_cure_costs_its_caps_once_and_then_nothing() -> None:
    done, decision, world = hours_with(TUNNEL, 12)
    assert [act.name for act in done] == ["restart"] * 3
    assert isinstance(decision, Hold)
    assert decision.reason is Reason.NEEDS_PERSON
    assert tried_for(world.records[SLOT], TUNNEL) == "restarted the process 3 times"


def test_each_rung_up_to_the_dearest_is_tried_and_named() -> None:
    dearest = replace(TUNNEL, dearest=Rung.REBOOT)
    done, decision, world = hours_with(dearest, 12, restarts_max=2)
    assert [act.name for act in done] == ["restart", "restart", "restart", "reboot"]
    assert decision.reason is Reason.NEEDS_PERSON
    assert tried_for(world.records[SLOT], dearest) == (
        "restarted the process twice, restarted the workload once, rebooted the host once"
    )


def test_what_was_used_up_by_other_troubles_is_not_said_to_have_been_tried() -> None:
    assert tried_for(a_record(), TUNNEL).startswith("nothing")


def test_a_loop_that_ends_frees_the_remedy_that_it_made_pointless() -> None:
    """Whoever waits for a person is woken when there is something to try again."""
    spoilt = a_condition(
        ConditionKind.STREAMING, Status.FALSE, Reason.WRONG_PICTURE, for_s=60, bad=3
    )
    everywhere = replace(TUNNEL, is_partial=False)
    tenure = a_tenure(
        conditions=conditions(streaming=spoilt, working=working_of(ailing(everywhere))),
        process_changed_at=(ago(200), ago(150), ago(100)),
    )
    tried = RemedyUse(rung=Rung.RESTART_PROCESS, at=ago(250), symptom="tunnel_gone")
    plan = decide(a_world(a_record(tenure, dark_since=ago(60), remedies=(tried,))))
    decision = decision_for(plan)
    assert isinstance(decision, Hold)
    assert (decision.reason, decision.until) == (Reason.NEEDS_PERSON, ahead(100))


def test_what_the_next_host_must_be_told_is_kept() -> None:
    tenure = after(a_tenure(), says(None, keepsake="a red fox"))
    assert tenure.keepsake == "a red fox"
    assert after(tenure, says(None)).keepsake == "a red fox"
    assert after(tenure, says(None, keepsake="x" * 9000)).keepsake == "x" * 1000


@pytest.mark.parametrize(
    ("kept", "before", "expected"), [("new", "old", "new"), ("", "old", "old"), ("", "", "")]
)
def test_it_outlives_its_host(kept: str, before: str, expected: str) -> None:
    record = a_record(a_tenure(keepsake=kept), keepsake=before)
    draft = Draft(a_world(record), a_desire(), NOW)
    retire(draft, SLOT, Seat.TENURE, Reason.LADDER_SPENT)
    assert draft.records[SLOT].keepsake == expected


def test_a_word_that_changes_only_what_is_kept_is_news() -> None:
    tenure = after(a_tenure(), says(None, keepsake="a red fox"))
    assert confirms(tenure, says(None), Policy())
    assert confirms(tenure, says(None, keepsake="a red fox"), Policy())
    assert not confirms(tenure, says(None, keepsake="a grey fox"), Policy())


def test_a_stranger_to_this_vocabulary_is_still_readable() -> None:
    """Conditions that an older keeper wrote down know nothing of it."""
    tenure = a_tenure(conditions=conditions()[:-1])
    assert working_of(after(tenure, says(FLICKER))).symptom == FLICKER
