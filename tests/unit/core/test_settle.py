"""What becomes of acts: answered, doubted, cut short."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from keeper.core import events as facts_of
from keeper.core.conditions import status_of
from keeper.core.model import (
    ConditionKind,
    IntentKind,
    OfferId,
    RemedyUse,
    Rung,
    SlotRecord,
    Status,
    Subject,
)
from keeper.core.reasons import Reason
from keeper.core.world import OutcomeKind, World
from tests.builders import (
    DUEL,
    HOST,
    NOW,
    SLOT,
    a_book,
    a_condemned,
    a_condition,
    a_listing,
    a_reading,
    a_record,
    a_tenure,
    a_world,
    ago,
    ahead,
    all_heard,
    an_asked_tenure,
    an_instance,
    an_intent,
    an_offer,
    an_outcome,
    applied,
    conditions,
    decide,
    decision_for,
    events_of,
    record_after,
)

RENT = an_intent(IntentKind.RENT)


def asked(kind: OutcomeKind = OutcomeKind.DONE, **outcome: object) -> World:
    world = a_world(a_record(an_asked_tenure()), intents=(RENT,))
    return replace(world, outcomes=(an_outcome(RENT, kind, **outcome),))


def acted(kind: IntentKind, outcome: OutcomeKind, record: SlotRecord | None = None) -> World:
    intent = an_intent(kind, opened_at=ago(10))
    return a_world(
        record or a_record(a_tenure()),
        intents=(intent,),
        outcomes=(an_outcome(intent, outcome, error="it broke"),),
    )


def test_a_replacement_is_as_late_as_its_create_that_waited_its_turn() -> None:
    """Creates are spaced: the next host came 106 s after this one, where 120 are promised (I13)."""
    record = a_record(an_asked_tenure(), replaced_at=(ago(500), ago(10)))
    world = replace(asked(instance_id=HOST), records={SLOT: record}, listing=a_listing(age_s=20))
    assert record_after(world, decide(world)).replaced_at == (ago(500), NOW)
    world = replace(world, outcomes=(), listing=a_listing(an_instance(), age_s=1))
    assert record_after(world, decide(world)).replaced_at == (ago(500), NOW)  # found by its label
    first = replace(world, records={SLOT: replace(record, replaced_at=(ago(500), ago(60)))})
    assert record_after(first, decide(first)).replaced_at == (ago(500), ago(60))


@pytest.mark.parametrize("before", [(), (ago(900), ago(500))])
def test_of_a_slot_s_replacements_only_the_one_that_waited_moves(
    before: tuple[datetime, ...],
) -> None:
    record = a_record(an_asked_tenure(), replaced_at=(*before, ago(10)))
    world = replace(asked(instance_id=HOST), records={SLOT: record}, listing=a_listing(age_s=20))
    assert record_after(world, decide(world)).replaced_at == (*before, NOW)


@pytest.mark.parametrize(("lost", "pauses"), [(8, False), (9, True), (20, True)])
def test_races_that_are_lost_one_after_the_other_are_a_miss_in_the_end(
    lost: int, pauses: bool
) -> None:
    """A marketplace that calls every offer gone was asked to rent every few seconds, for ever."""
    world = asked(
        OutcomeKind.FAILED, reason=Reason.OFFER_GONE, error="no_such_ask", instance_id=None
    )
    avoid = tuple(OfferId(900 + each) for each in range(lost))
    record = replace(world.records[SLOT], avoid_offers=avoid)
    world = replace(world, records={SLOT: record}, offers={DUEL: a_book(an_offer(7))})
    plan = decide(world)
    after = record_after(world, plan)
    assert (decision_for(plan).name == "wait") is pauses
    assert after.offer_misses == pauses
    if pauses:
        assert decision_for(plan).reason is Reason.NO_SUITABLE_OFFER
        assert after.next_rent_at is not None
        assert after.next_rent_at > NOW
        assert "no_such_ask" in after.rent_detail


def bidding(**changes: Any) -> SlotRecord:
    return a_record(a_tenure(is_bid=True, bid_dollars_per_hour=0.5, rebids=1, **changes))


@pytest.mark.parametrize(
    ("kind", "reason", "is_unsure"),
    [
        (OutcomeKind.DONE, None, False),
        (OutcomeKind.UNCERTAIN, None, True),
        (OutcomeKind.FAILED, None, True),  # a lost answer, a 503
        (OutcomeKind.FAILED, Reason.BACKING_OFF, True),  # its turn did not come
        (OutcomeKind.FAILED, Reason.UNAUTHORIZED, False),
        (OutcomeKind.FAILED, Reason.NO_SUITABLE_OFFER, False),
    ],
)
def test_a_bid_whose_answer_says_nothing_about_it_may_not_have_arrived(
    kind: OutcomeKind, reason: Reason | None, is_unsure: bool
) -> None:
    """One 503 to a bid gave up a host that the same bid would have kept."""
    intent = an_intent(IntentKind.REBID, opened_at=ago(10))
    outcomes = (an_outcome(intent, kind, reason=reason, error="it broke"),)
    world = a_world(bidding(), intents=(intent,), outcomes=outcomes)
    tenure = record_after(world, decide(world)).tenure
    assert tenure is not None
    assert tenure.is_bid_unsure is is_unsure


def test_a_bid_that_a_crash_cut_short_may_not_have_arrived() -> None:
    intent = an_intent(IntentKind.REBID, opened_at=ago(10))
    world = a_world(bidding(), intents=(intent,))
    tenure = record_after(world, decide(world)).tenure
    assert tenure is not None
    assert tenure.is_bid_unsure


# --- creates ----------------------------------------------------------------------------------------


def test_an_answered_create_is_bound_by_its_id() -> None:
    world = asked(instance_id=HOST)
    plan = decide(world)
    tenure = record_after(world, plan).tenure
    assert tenure is not None
    assert (tenure.instance_id, tenure.rented_at) == (HOST, ago(1))
    assert plan.intents_closed == (RENT.intent_id,)
    assert [e.instance_id for e in events_of(plan, facts_of.InstanceRented)] == [HOST]


def test_a_rental_that_came_ends_the_search() -> None:
    world = asked(instance_id=HOST)
    record = replace(
        world.records[SLOT], offer_misses=3, avoid_offers=(OfferId(5),), next_rent_at=NOW
    )
    world = replace(world, records={SLOT: record})
    after = record_after(world, decide(world))
    assert (after.offer_misses, after.avoid_offers, after.next_rent_at) == (0, (), None)


def test_success_without_an_id_is_a_doubt() -> None:
    world = asked(instance_id=None)
    plan = decide(world)
    assert plan.intents_closed == ()
    assert len(events_of(plan, facts_of.RentUncertain)) == 1
    assert decision_for(plan).reason is Reason.CREATE_UNSETTLED


def test_a_doubt_is_told_once() -> None:
    world = asked(OutcomeKind.UNCERTAIN)
    plan = decide(world)
    assert len(events_of(plan, facts_of.RentUncertain)) == 1
    again = decide(applied(world, plan))
    assert events_of(again, facts_of.RentUncertain) == []
    assert again.intents_closed == ()


def test_an_error_that_made_a_contract_condemns_it_at_once() -> None:
    """Q4, policy 4: error answer with an instance made."""
    world = asked(OutcomeKind.UNCERTAIN, instance_id=HOST)
    plan = decide(world)
    assert [each.instance_id for each in plan.condemned] == [HOST]
    assert [act.name for act in plan.acts] == ["destroy"]
    assert plan.intents_closed == (RENT.intent_id,)
    assert record_after(world, plan).tenure is None


def test_a_lost_race_avoids_the_offer_but_not_for_ever() -> None:
    """Q1."""
    world = asked(OutcomeKind.FAILED, reason=Reason.OFFER_GONE)
    world = replace(world, offers={DUEL: a_book(an_offer(1))})
    plan = decide(world)
    after = record_after(world, plan)
    assert decision_for(plan).reason is Reason.NO_SUITABLE_OFFER
    assert after.avoid_offers == ()
    assert "1 by a lost race" in events_of(plan, facts_of.OffersSearched)[0].detail


def test_a_refused_create_leaves_the_words_of_the_refusal() -> None:
    """They name the right that the key lacks and what cures it; the alert repeats them."""
    said = "Unauthorized: HTTP 403: no; give it instance_write"
    world = asked(OutcomeKind.FAILED, reason=Reason.UNAUTHORIZED, error=said)
    after = record_after(world, decide(world))
    assert (after.rent_reason, after.rent_detail) == (Reason.UNAUTHORIZED, said)


def test_an_answer_for_a_slot_that_moved_on_leaves_nothing_behind() -> None:
    world = asked(instance_id=HOST)
    world = replace(world, records={SLOT: a_record()})
    plan = decide(world)
    assert [(each.instance_id, each.reason) for each in plan.condemned] == [
        (HOST, Reason.STRAY_RENTAL)
    ]


def test_an_outcome_told_twice_counts_once() -> None:
    world = asked(instance_id=HOST)
    world = replace(world, outcomes=(*world.outcomes, *world.outcomes))
    assert len(events_of(decide(world), facts_of.InstanceRented)) == 1
    bound = applied(world, decide(world), outcomes=world.outcomes)
    assert events_of(decide(bound), facts_of.InstanceRented) == []


def test_a_late_answer_to_an_adopted_create_changes_nothing() -> None:
    world = asked(instance_id=HOST)
    world = replace(world, records={SLOT: a_record(a_tenure())})
    plan = decide(world)
    assert plan.condemned == ()
    assert plan.intents_closed == (RENT.intent_id,)


def test_a_crash_between_intent_and_answer_is_a_doubt_not_a_second_create() -> None:
    """Q2."""
    world = a_world(
        a_record(an_asked_tenure()), intents=(RENT,), offers={DUEL: a_book(an_offer(1))}
    )
    plan = decide(world)
    assert plan.acts == ()
    tenure = record_after(world, plan).tenure
    assert tenure is not None
    assert tenure.acted_at == NOW  # the settle time runs from here: it may have left just before
    assert plan.wants.listing_by is not None


def test_an_intent_to_rent_that_no_slot_remembers_is_closed() -> None:
    world = a_world(a_record(), intents=(RENT,))
    assert decide(world).intents_closed == (RENT.intent_id,)


def test_the_lowest_id_is_adopted_when_a_label_appears_twice() -> None:
    label = an_asked_tenure().label
    world = a_world(
        a_record(an_asked_tenure()),
        intents=(RENT,),
        listing=a_listing(an_instance(9002, label), an_instance(9001, label), age_s=1),
    )
    plan = decide(world)
    assert decision_for(plan).name == "adopt"
    assert record_after(world, plan).tenure.instance_id == 9001  # type: ignore[union-attr]
    assert [(each.instance_id, each.reason) for each in plan.condemned] == [
        (9002, Reason.DUPLICATE_RENTAL)
    ]


def test_a_listing_asked_before_the_create_says_nothing_about_it() -> None:
    world = a_world(a_record(an_asked_tenure()), intents=(RENT,), listing=a_listing(age_s=11))
    tenure = record_after(world, decide(world)).tenure
    assert tenure is not None
    assert tenure.missing_since is None


def test_one_listing_never_voids_a_create_however_late() -> None:
    world = a_world(
        a_record(an_asked_tenure(requested_at=ago(500), acted_at=ago(500))),
        listing=a_listing(age_s=1),
        intents=(RENT,),
    )
    plan = decide(world)
    assert events_of(plan, facts_of.RentVoided) == []
    same = applied(world, plan)
    assert events_of(decide(same, now=ahead(100)), facts_of.RentVoided) == []
    later_list = replace(same, listing=replace(a_listing(), at=ahead(40)))
    voided = decide(later_list, now=ahead(41))
    assert len(events_of(voided, facts_of.RentVoided)) == 1
    assert voided.intents_closed == (RENT.intent_id,)


def test_a_create_in_doubt_survives_a_clock_that_steps_back() -> None:
    world = a_world(
        a_record(an_asked_tenure(requested_at=ahead(3000))), listing=a_listing(age_s=1),
        intents=(RENT,),
    )  # fmt: skip
    tenure = record_after(world, decide(world)).tenure
    assert tenure is not None
    assert tenure.requested_at == NOW


# --- acts on a host ---------------------------------------------------------------------------------


def test_a_deploy_that_worked_starts_the_warm_up() -> None:
    world = acted(
        IntentKind.DEPLOY, OutcomeKind.DONE,
        a_record(a_tenure(deployed_at=None, warm_at=None, deploy_failures=1, revision="r1")),
    )  # fmt: skip
    plan = decide(world)
    tenure = record_after(world, plan).tenure
    assert tenure is not None
    assert (tenure.deployed_at, tenure.acted_at, tenure.deploy_failures) == (ago(1), ago(1), 0)
    (told,) = events_of(plan, facts_of.WorkloadDeployed)
    assert (told.revision, told.instance_id) == ("r1", tenure.instance_id)


@pytest.mark.parametrize("kind", [OutcomeKind.FAILED, OutcomeKind.UNCERTAIN])
def test_a_deploy_that_did_not_surely_work_counts_as_failed(kind: OutcomeKind) -> None:
    unseen = (Status.UNKNOWN, Reason.NOT_ASKED)
    record = a_record(a_tenure(deployed_at=None, conditions=conditions(streaming=unseen)))
    world = acted(IntentKind.DEPLOY, kind, record)
    plan = decide(world)
    tenure = record_after(world, plan).tenure
    assert tenure is not None
    assert (tenure.deployed_at, tenure.deploy_failures) == (None, 1)
    assert events_of(plan, facts_of.DeployFailed)[0].error == "it broke"
    assert status_of(tenure, ConditionKind.DEPLOYED) is Status.FALSE


def test_a_restart_of_the_workload_is_a_new_deployment() -> None:
    uses = (RemedyUse(rung=Rung.RESTART_WORKLOAD, at=ago(10)),)
    frozen = conditions(streaming=(Status.FALSE, Reason.FROZEN))
    record = a_record(a_tenure(conditions=frozen), remedies=uses, dark_since=ago(60))
    plan = decide(world := acted(IntentKind.RESTART, OutcomeKind.DONE, record))
    tenure = record_after(world, plan).tenure
    assert tenure is not None
    assert (tenure.deployed_at, tenure.warm_at) == (ago(1), None)
    assert events_of(plan, facts_of.WorkloadRestarted)[0].rung is Rung.RESTART_WORKLOAD
    assert decision_for(plan).reason is Reason.WARMING_UP


def test_an_operators_restart_is_of_the_process() -> None:
    plan = decide(acted(IntentKind.RESTART, OutcomeKind.DONE))
    assert events_of(plan, facts_of.WorkloadRestarted)[0].rung is Rung.RESTART_PROCESS


def test_a_restart_that_failed_is_told() -> None:
    plan = decide(acted(IntentKind.RESTART, OutcomeKind.FAILED))
    assert events_of(plan, facts_of.RestartFailed)[0].error == "it broke"


def test_a_reboot_begins_a_boot_and_asks_for_a_new_deployment() -> None:
    frozen = conditions(streaming=(Status.FALSE, Reason.FROZEN))
    record = a_record(a_tenure(conditions=frozen), dark_since=ago(60))
    world = acted(IntentKind.REBOOT, OutcomeKind.DONE, record)
    plan = decide(world)
    tenure = record_after(world, plan).tenure
    assert tenure is not None
    assert (tenure.booting_since, tenure.booted_at, tenure.deployed_at) == (ago(1), None, None)
    assert len(events_of(plan, facts_of.InstanceRebooted)) == 1
    assert decision_for(plan).reason is Reason.BOOTING
    # The link of before the reboot proves nothing yet; a listing and a while do.
    later_world = applied(world, plan, in_flight=frozenset())
    listing = replace(a_listing(an_instance()), at=ahead(30))
    heard = dict.fromkeys(later_world.heard_at, ahead(58))
    later_world = replace(later_world, listing=listing, heard_at=heard)
    assert decision_for(decide(later_world, now=ahead(31))).reason is Reason.BOOTING
    assert decision_for(decide(later_world, now=ahead(60))).name == "deploy"


def test_a_reboot_that_was_refused_changes_nothing() -> None:
    frozen = a_condition(ConditionKind.STREAMING, Status.FALSE, Reason.FROZEN, bad=1, for_s=20)
    record = a_record(a_tenure(conditions=conditions(streaming=frozen)), dark_since=ago(20))
    world = acted(IntentKind.REBOOT, OutcomeKind.FAILED, record)
    plan = decide(world)
    assert record_after(world, plan).tenure.deployed_at is not None  # type: ignore[union-attr]
    assert events_of(plan, facts_of.ActFailed)[0].decision == "reboot"


@pytest.mark.parametrize("is_answered", [True, False])
def test_a_reboot_in_doubt_is_believed(is_answered: bool) -> None:
    """A repeated deploy is cheap; a host that waits for a dead process's picture is not."""
    world = acted(IntentKind.REBOOT, OutcomeKind.UNCERTAIN)
    if not is_answered:
        world = replace(world, outcomes=())
    plan = decide(world)
    assert record_after(world, plan).tenure.deployed_at is None  # type: ignore[union-attr]
    assert len(plan.intents_closed) == 1


@pytest.mark.parametrize(
    "kind", [IntentKind.DEPLOY, IntentKind.RESTART, IntentKind.REBOOT, IntentKind.DESTROY]
)
def test_an_answer_about_a_host_that_is_no_longer_ours_only_closes_its_intent(
    kind: IntentKind,
) -> None:
    intent = an_intent(kind, instance_id=HOST + 1)
    world = a_world(
        a_record(a_tenure()), intents=(intent,), outcomes=(an_outcome(intent, error="x"),)
    )
    plan = decide(world)
    assert plan.intents_closed == (intent.intent_id,)
    assert plan.acts == ()


@pytest.mark.parametrize("kind", [IntentKind.DEPLOY, IntentKind.RESTART, IntentKind.DESTROY])
def test_an_act_that_a_crash_cut_short_is_closed(kind: IntentKind) -> None:
    """Level-triggered rules do again what is still needed."""
    world = a_world(a_record(a_tenure()), intents=(an_intent(kind),))
    assert len(decide(world).intents_closed) == 1


def test_an_act_of_a_slot_that_nobody_remembers_is_closed() -> None:
    intent = an_intent(IntentKind.DEPLOY, slot=None)
    world = a_world(a_record(a_tenure()), intents=(intent,), outcomes=(an_outcome(intent),))
    assert decide(world).intents_closed == (intent.intent_id,)


def test_an_act_under_way_keeps_its_intent() -> None:
    world = a_world(
        a_record(a_tenure()),
        intents=(an_intent(IntentKind.RESTART), destroy := an_intent(
            IntentKind.DESTROY, intent_id="d", instance_id=HOST + 9)),
        in_flight=frozenset({SLOT}),
        in_flight_instances=frozenset({destroy.instance_id}),
    )  # fmt: skip
    assert decide(world).intents_closed == ()


def test_a_slot_held_by_a_bug_keeps_its_intents_and_outcomes_for_later() -> None:
    world = replace(asked(instance_id=HOST), held_slots=frozenset({SLOT}))
    plan = decide(world)
    assert plan.intents_closed == ()
    assert record_after(world, plan).tenure == world.records[SLOT].tenure
    unanswered = replace(world, outcomes=())
    assert decide(unanswered).intents_closed == ()


# --- destroys ---------------------------------------------------------------------------------------


def destroyed(kind: OutcomeKind, **condemned: object) -> World:
    intent = an_intent(IntentKind.DESTROY)
    each = a_condemned(accepted_at=None, **condemned)  # type: ignore[arg-type]
    return a_world(
        a_record(),
        condemned=(each,),
        intents=(intent,),
        outcomes=(an_outcome(intent, kind, error="500"),),
        listing=a_listing(an_instance()),
    )


def test_an_accepted_destroy_waits_for_the_listing() -> None:
    plan = decide(destroyed(OutcomeKind.DONE))
    assert plan.condemned[0].accepted_at == ago(1)
    assert plan.condemned[0].next_try_at == ahead(59)
    assert plan.acts == ()


@pytest.mark.parametrize(("tries", "pause_s"), [(1, 5), (2, 5), (3, 60), (40, 60)])
def test_a_refused_destroy_is_tried_quickly_at_first_and_then_for_ever(
    tries: int, pause_s: int
) -> None:
    """Q16."""
    plan = decide(destroyed(OutcomeKind.FAILED, tries=tries))
    assert plan.condemned[0].next_try_at == ahead(pause_s - 1)
    assert events_of(plan, facts_of.ActFailed)[0].decision == "destroy"


@pytest.mark.parametrize(("reason", "unsent"), [(Reason.LINK_LOST, 3), (None, 2)])
def test_a_destroy_that_never_left_the_box_is_counted_apart(
    reason: Reason | None, unsent: int
) -> None:
    """Seed 6040 of any fleet: nobody had heard of the end of a host, and another one came beside it."""
    world = destroyed(OutcomeKind.FAILED, tries=5, tries_unsent=2)
    world = replace(world, outcomes=(replace(world.outcomes[0], reason=reason),))
    (each,) = decide(world).condemned
    assert (each.tries, each.tries_unsent) == (5, unsent)


# --- a restart that breaks off ----------------------------------------------------------------------


def stopped(**changes: Any) -> SlotRecord:
    """A dark slot whose process somebody has stopped."""
    said = {
        "running": (Status.FALSE, Reason.PROCESS_STOPPED_ON_PURPOSE),
        "streaming": (Status.FALSE, Reason.UNREACHABLE),
    }
    tenure = a_tenure(conditions=conditions(**said), **changes)
    return a_record(tenure, dark_since=ago(60))


@pytest.mark.parametrize("outcome", [None, OutcomeKind.UNCERTAIN, OutcomeKind.FAILED])
def test_a_process_that_a_restart_of_ours_left_stopped_is_started(
    outcome: OutcomeKind | None,
) -> None:
    """Killed between its stop and its start, keeper waited for ever for "somebody at work"."""
    intent = an_intent(IntentKind.RESTART, opened_at=ago(40))
    outcomes = () if outcome is None else (an_outcome(intent, outcome, at=ago(30), error="lost"),)
    world = a_world(
        stopped(), intents=(intent,), outcomes=outcomes, heard_at=all_heard(), started_at=ago(600)
    )
    assert decision_for(decide(world)).name == "restart"


def test_what_a_person_has_stopped_stays_stopped() -> None:
    world = a_world(stopped(), heard_at=all_heard(), started_at=ago(600))
    decision = decision_for(decide(world))
    assert (decision.name, decision.reason) == ("wait", Reason.PROCESS_STOPPED_ON_PURPOSE)


def test_once_it_was_seen_up_again_a_stopped_process_is_a_persons_doing() -> None:
    world = a_world(
        stopped(is_left_stopped=True, acted_at=ago(100)),
        readings=(
            a_reading(Subject.PROCESS, Status.TRUE, Reason.PROCESS_UP, age_s=50.0),
            a_reading(
                Subject.PROCESS, Status.FALSE, Reason.PROCESS_STOPPED_ON_PURPOSE, is_certain=True
            ),
        ),
        heard_at=all_heard(),
        started_at=ago(600),
    )
    decision = decision_for(decide(world))
    assert (decision.name, decision.reason) == ("wait", Reason.PROCESS_STOPPED_ON_PURPOSE)


# --- an act that a crash has cut short -----------------------------------------------------------


def test_a_deploy_waits_for_a_link_of_this_very_process() -> None:
    """After each restart of keeper a deploy failed for want of a link; two, and a host was given up."""
    said = {
        "deployed": (Status.FALSE, Reason.NOT_DEPLOYED),
        "streaming": (Status.UNKNOWN, Reason.NOT_ASKED),
    }
    tenure = a_tenure(
        deployed_at=None, first_live_at=None, warm_at=None, conditions=conditions(**said)
    )
    world = a_world(a_record(tenure), started_at=ago(1), heard_at={})
    decision = decision_for(decide(world))
    assert (decision.name, decision.reason) == ("wait", Reason.NOT_DEPLOYED)
    linked = replace(world, heard_at=all_heard(0.5))
    assert decision_for(decide(linked)).name == "deploy"


# --- time that a clock has made up ------------------------------------------------------------------


@pytest.mark.parametrize(("started_s", "is_settled"), [(1000, True), (5, False)])
def test_a_create_is_in_doubt_for_as_long_as_somebody_has_watched(
    started_s: float, is_settled: bool
) -> None:
    """An hour that a step of the clock has made up showed that the create had come to nothing."""
    doubted = an_asked_tenure(
        requested_at=ago(400), acted_at=ago(390), missing_since=ago(380), missing_listed_at=ago(375)
    )
    world = a_world(a_record(doubted), intents=(RENT,), started_at=ago(started_s))
    world = replace(world, listing=a_listing(age_s=1))
    assert (record_after(world, decide(world)).tenure is None) is is_settled


@pytest.mark.parametrize(("started_s", "apart_s"), [(1000, 99.0), (5, 0.0)])
def test_two_absences_lie_apart_only_if_no_start_lies_between_them(
    started_s: float, apart_s: float
) -> None:
    condemned = a_condemned(absent_since=ago(100), absent_listed_at=ago(95))
    world = a_world(condemned=(condemned,), listing=a_listing(age_s=1), started_at=ago(started_s))
    (after,) = decide(world).condemned
    assert after.absent_since is not None
    assert after.absent_listed_at is not None
    assert (after.absent_listed_at - after.absent_since).total_seconds() == apart_s
