"""One sickness, told once: dark, on air, and what is forgiven after."""

from __future__ import annotations

from dataclasses import replace

import pytest

from keeper.core import events as facts_of
from keeper.core.events import EVENT_TYPES, facts
from keeper.core.model import ConditionKind, Incident, IntentKind, RemedyUse, Rung, Status
from keeper.core.reasons import Reason
from keeper.core.world import OutcomeKind, World
from tests.builders import (
    HOST,
    NOW,
    SLOT,
    a_condition,
    a_listing,
    a_record,
    a_tenure,
    a_world,
    ago,
    ahead,
    all_heard,
    an_intent,
    an_outcome,
    applied,
    bad_pictures,
    conditions,
    decide,
    events_of,
    good_pictures,
    healthy_world,
    record_after,
)

FROZEN = (Status.FALSE, Reason.FROZEN)
UNSEEN = (Status.UNKNOWN, Reason.NOT_ASKED)


def test_the_viewers_loss_opens_one_incident_and_the_restart_counts_in_it() -> None:
    world = healthy_world(readings=bad_pictures(3))
    plan = decide(world)
    after = record_after(world, plan)
    assert after.incident is not None
    assert (after.incident.acts, after.dark_since, after.healthy_since) == (1, ago(20), None)
    assert after.incident.incident_id == "duel/0@20260801T120000Z"
    assert len(events_of(plan, facts_of.StreamDark)) == 1
    again = applied(world, plan, readings=bad_pictures(3))
    assert events_of(decide(again), facts_of.StreamDark, facts_of.IncidentOpened) == []


def dark() -> World:
    incident = Incident(
        incident_id="i", opened_at=ago(90), reason=Reason.FROZEN, dark_since=ago(95)
    )
    record = a_record(
        a_tenure(conditions=conditions(streaming=FROZEN)), dark_since=ago(95), incident=incident,
        healthy_since=None,
    )  # fmt: skip
    return a_world(record)


def test_the_picture_closes_the_incident_with_how_long_it_was_dark_until_its_first_good_look() -> (
    None
):
    world = replace(dark(), readings=good_pictures())
    plan = decide(world)
    after = record_after(world, plan)
    assert (after.incident, after.dark_since, after.healthy_since) == (None, None, NOW)
    assert [event.duration_s for event in events_of(plan, facts_of.StreamOnAir)] == [85]
    assert [event.duration_s for event in events_of(plan, facts_of.IncidentClosed)] == [90]


def test_not_knowing_neither_opens_nor_closes_an_incident() -> None:
    unsure = conditions(streaming=(Status.UNKNOWN, Reason.SILENT))
    world = a_world(a_record(a_tenure(conditions=unsure)))
    assert record_after(world, decide(world)).incident is None
    world = dark()
    record = world.records[SLOT]
    record = replace(record, tenure=a_tenure(conditions=unsure))
    world = replace(world, records={SLOT: record})
    assert record_after(world, decide(world)).incident == record.incident


def test_the_first_picture_ever_is_on_air_without_a_darkness_before() -> None:
    tenure = a_tenure(first_live_at=None, warm_at=None, conditions=conditions(streaming=UNSEEN))
    world = a_world(a_record(tenure, ever_on_air=False), readings=good_pictures())
    plan = decide(world)
    assert [event.duration_s for event in events_of(plan, facts_of.StreamOnAir)] == [0]
    assert record_after(world, plan).ever_on_air


def test_what_never_was_on_air_cannot_go_dark() -> None:
    tenure = a_tenure(first_live_at=None, warm_at=None, conditions=conditions(streaming=FROZEN))
    world = a_world(a_record(tenure, ever_on_air=False, healthy_since=ago(3)))
    plan = decide(world)
    assert events_of(plan, facts_of.StreamDark) == []
    assert record_after(world, plan).healthy_since is None


def test_a_host_that_is_gone_is_dark_even_if_nobody_saw_it() -> None:
    tenure = a_tenure(
        missing_since=ago(60), missing_listed_at=ago(20),
        conditions=conditions(streaming=(Status.UNKNOWN, Reason.SILENT)),
    )  # fmt: skip
    world = a_world(a_record(tenure), listing=a_listing(age_s=1), shown={HOST: None})
    plan = decide(world)
    after = record_after(world, plan)
    assert after.tenure is None
    assert after.dark_since == NOW
    assert [event.reason for event in events_of(plan, facts_of.StreamDark)] == [Reason.GONE]
    assert len(events_of(plan, facts_of.InstanceGone)) == 1
    assert [each.reason for each in plan.quarantine] == [Reason.GONE]


def test_a_second_darkness_in_an_open_incident_is_the_same_incident() -> None:
    incident = Incident(incident_id="i", opened_at=ago(90), reason=Reason.FROZEN, dark_since=None)
    record = a_record(a_tenure(conditions=conditions(streaming=FROZEN)), incident=incident)
    world = a_world(record)
    plan = decide(world)
    assert events_of(plan, facts_of.IncidentOpened) == []
    assert len(events_of(plan, facts_of.StreamDark)) == 1


def test_remedies_are_forgiven_after_a_good_while() -> None:
    uses = (RemedyUse(rung=Rung.RESTART_PROCESS, at=ago(700)),)
    soon = a_world(a_record(a_tenure(), remedies=uses, healthy_since=ago(590)))
    plan = decide(soon)
    assert record_after(soon, plan).remedies == uses
    assert plan.next_check_at is not None
    assert plan.next_check_at <= ahead(10)
    done = a_world(a_record(a_tenure(), remedies=uses, healthy_since=ago(600)))
    forgiven = record_after(done, decide(done))
    assert (forgiven.remedies, forgiven.forgiven_at) == ((), (ago(700),))
    bad_once = conditions(streaming=a_condition(ConditionKind.STREAMING, bad=1))
    doubted = a_world(
        a_record(a_tenure(conditions=bad_once), remedies=uses, healthy_since=ago(600))
    )
    assert record_after(doubted, decide(doubted)).remedies == uses, "it may be bad since a while"
    stepped = a_world(a_record(a_tenure(), remedies=uses, healthy_since=ahead(600)))
    assert record_after(stepped, decide(stepped)).healthy_since == NOW
    kept = (RemedyUse(rung=Rung.REBOOT, at=ago(700)),)
    dearer = a_world(a_record(a_tenure(), remedies=kept, healthy_since=ago(650)))
    assert decide(dearer).records == ()


def test_a_restart_that_nobody_saw_the_darkness_of_is_forgiven_after_a_good_while_as_well() -> None:
    """Seed 4762 of any fleet: a host was back from a reboot, and its process was started before any
    viewer had looked; the ten good minutes counted from before all that.
    """
    uses = (RemedyUse(rung=Rung.RESTART_PROCESS, at=ago(590)),)
    soon = a_world(a_record(a_tenure(), remedies=uses, healthy_since=ago(9000)))
    plan = decide(soon)
    assert record_after(soon, plan).remedies == uses
    assert plan.next_check_at is not None
    assert plan.next_check_at <= ahead(10)


@pytest.mark.parametrize("kind", [OutcomeKind.DONE, OutcomeKind.UNCERTAIN, None])
def test_ten_good_minutes_begin_with_the_first_good_look_after_a_restart(
    kind: OutcomeKind | None,
) -> None:
    """Seed 30013 of any fleet: viewers saw a good picture again 15 s after a restart ahead of time, which
    nobody had seen dark, and that was forgiven ten minutes after it was decided on (I13).
    """
    uses = (RemedyUse(rung=Rung.RESTART_PROCESS, at=ago(40)),)
    seen = conditions(streaming=a_condition(ConditionKind.STREAMING, good=2))
    record = a_record(a_tenure(conditions=seen), remedies=uses, healthy_since=ago(9000))
    intent = an_intent(IntentKind.RESTART, opened_at=ago(40))
    answers = () if kind is None else (an_outcome(intent, kind, at=ago(30)),)
    world = a_world(record, intents=(intent,), outcomes=answers, heard_at=all_heard())
    answered = decide(world)
    assert record_after(world, answered).healthy_since is None
    again = applied(world, answered)
    assert record_after(again, decide(again)).healthy_since is None, "nobody has looked since"
    looked = replace(again, readings=good_pictures(1))
    found = decide(looked)
    assert record_after(looked, found).healthy_since == NOW
    assert events_of(found, facts_of.StreamOnAir) == [], "nobody had seen it dark"
    assert record_after(looked, found).remedies == uses
    late = ahead(595)  # ten minutes after the restart, and not after the look
    after = applied(looked, found, heard_at=dict.fromkeys(looked.heard_at, late))
    assert record_after(after, decide(after, now=late)).remedies == uses


def test_a_darkness_in_the_future_begins_now() -> None:
    world = dark()
    record = replace(world.records[SLOT], dark_since=ahead(3000))
    world = replace(world, records={SLOT: record})
    assert record_after(world, decide(world)).dark_since == NOW


def test_every_fact_can_be_flattened() -> None:
    plan = decide(healthy_world(readings=bad_pictures(3)))
    assert {type(event) for event in plan.events} <= set(EVENT_TYPES)
    flat = [facts(event) for event in plan.events]
    assert {each["event"] for each in flat} >= {"stream.dark", "incident.opened", "slot.decided"}
    dark_fact = next(each for each in flat if each["event"] == "stream.dark")
    booted = facts_of.InstanceBooted(slot=SLOT, instance_id=HOST, duration_s=9.0)
    assert "because" not in facts(booted)
    assert dark_fact["because"] == "frames arrive, but it is always the same frame"


def test_a_picture_that_stutters_is_looked_at_again_when_it_is_to_be_told() -> None:
    """Nothing else would happen at that moment."""
    slow = replace(
        a_condition(ConditionKind.STREAMING, Status.TRUE, Reason.STUTTERING, good=2),
        reason_since=ago(100),
    )
    world = a_world(a_record(a_tenure(conditions=conditions(streaming=slow))))
    assert decide(world).next_check_if_heard_at == ahead(200)
    told = a_tenure(conditions=conditions(streaming=replace(slow, reason_since=ago(301))))
    at = decide(a_world(a_record(told))).next_check_if_heard_at
    assert at is None or at > ahead(1)
    unknown = replace(slow, reason_since=None, since=ago(50))
    world = a_world(a_record(a_tenure(conditions=conditions(streaming=unknown))))
    assert decide(world).next_check_if_heard_at == ahead(250)
