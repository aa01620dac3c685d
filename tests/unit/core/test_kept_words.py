"""What an operator asked for and what was said of a failure stay as they are until they are done with."""

from __future__ import annotations

from dataclasses import replace

import pytest

from keeper.core import events as facts_of
from keeper.core.caps import Cap, Span, crossed
from keeper.core.creates import begins_anew
from keeper.core.labels import label_for
from keeper.core.meter import Meter, Tally, day_of
from keeper.core.model import (
    ConditionKind,
    IntentKind,
    MarketState,
    OfferId,
    Rung,
    Status,
)
from keeper.core.reasons import Reason
from keeper.core.world import OutcomeKind
from tests.builders import (
    DUEL,
    HOST,
    KEEPER_ID,
    NOW,
    SLOT,
    a_book,
    a_condition,
    a_listing,
    a_record,
    a_tenure,
    a_world,
    ago,
    ahead,
    an_asked_tenure,
    an_instance,
    an_intent,
    an_offer,
    an_outcome,
    conditions,
    decide,
    decision_for,
    events_of,
    record_after,
)

F, U = Status.FALSE, Status.UNKNOWN


# --- wishes -----------------------------------------------------------------------------------------


def test_an_ordered_restart_is_of_the_process() -> None:
    decision = decision_for(decide(a_world(a_record(a_tenure(), restart_asked_at=ago(3)))))
    assert (decision.name, getattr(decision, "rung", None)) == ("restart", Rung.RESTART_PROCESS)


def test_a_wish_for_an_offer_that_was_refused_leaves_a_moment_for_another() -> None:
    intent = an_intent()
    outcome = an_outcome(
        intent, OutcomeKind.FAILED, instance_id=None, reason=Reason.OFFER_GONE, error="taken"
    )
    record = a_record(an_asked_tenure(), offer_asked=OfferId(101))
    world = a_world(record, intents=(intent,), outcomes=(outcome,))
    after = record_after(world, decide(world))
    assert (after.offer_asked, after.next_rent_at) == (None, ahead(30))
    assert after.rent_detail == "offer 101 could not be rented: taken"


def test_a_wish_for_an_offer_that_is_not_there_is_dropped_with_a_word() -> None:
    book = replace(a_book(an_offer(2)), asked_for=frozenset({OfferId(999)}))
    record = a_record(offer_asked=OfferId(999), rent_reason=Reason.BACKING_OFF)
    world = a_world(record, offers={DUEL: book})
    plan = decide(world)
    after = record_after(world, plan)
    assert (after.offer_asked, after.next_rent_at) == (None, ahead(30))
    assert (after.rent_reason, after.rent_detail) == (
        Reason.NO_SUITABLE_OFFER, "offer 999 is not on the market",
    )  # fmt: skip
    (told,) = events_of(plan, facts_of.DecisionMade)
    assert (told.reason, told.detail) == (Reason.NO_SUITABLE_OFFER, after.rent_detail)


def test_a_fruitless_search_is_told_and_kept_as_such() -> None:
    record = a_record(rent_reason=Reason.OUT_OF_CREDIT)
    world = a_world(record, offers={DUEL: a_book()})
    plan = decide(world)
    after = record_after(world, plan)
    assert after.rent_reason is Reason.NO_SUITABLE_OFFER
    (told,) = events_of(plan, facts_of.DecisionMade)
    assert told.detail == after.rent_detail != ""


def test_an_ordered_replacement_stays_asked_for_until_another_host_is_on_air() -> None:
    """The picture of the host that is to be replaced answers no order."""
    for attempt, is_open in ((1, True), (2, False)):
        tenure = a_tenure(attempt=attempt, label=label_for(KEEPER_ID, SLOT, attempt))
        record = a_record(
            tenure, attempt=attempt, replace_asked_at=ago(60), replace_asked_attempt=1,
            dark_since=ago(50), healthy_since=None,
        )  # fmt: skip
        world = replace(a_world(record), is_leader=False)
        after = record_after(world, decide(world))
        assert (after.replace_asked_at is not None) is is_open
        assert after.dark_since is None


# --- hosts that are down ----------------------------------------------------------------------------


@pytest.mark.parametrize(("for_s", "name"), [(179, "hold"), (180, "destroy")])
def test_a_dark_host_with_another_key_is_given_up_to_the_second(for_s: int, name: str) -> None:
    tenure = a_tenure(
        conditions=conditions(
            reachable=a_condition(
                ConditionKind.REACHABLE, F, Reason.HOST_KEY_CHANGED, for_s=1000, bad=3
            ),
            streaming=a_condition(ConditionKind.STREAMING, F, Reason.FROZEN, for_s=for_s, bad=3),
        )
    )
    record = a_record(tenure, dark_since=ago(for_s), healthy_since=None)
    decision = decision_for(decide(a_world(record)))
    assert (decision.name, decision.reason) == (name, Reason.HOST_KEY_CHANGED)
    if name == "hold":
        assert getattr(decision, "wanted_reason", None) is Reason.FROZEN
        assert getattr(decision, "until", None) == ahead(1)


def test_a_host_with_another_key_that_is_not_deployed_is_timed_from_the_key() -> None:
    tenure = a_tenure(
        deployed_at=None, warm_at=None, first_live_at=None,
        conditions=conditions(
            reachable=a_condition(
                ConditionKind.REACHABLE, F, Reason.HOST_KEY_CHANGED, for_s=100, bad=3
            ),
            streaming=(U, Reason.NOT_ASKED),
        ),
    )  # fmt: skip
    decision = decision_for(decide(a_world(a_record(tenure))))
    assert (decision.name, getattr(decision, "until", None)) == ("hold", ahead(80))


def test_what_is_believed_at_this_very_moment_is_not_waited_for() -> None:
    tenure = a_tenure(
        dead_since=ago(30), first_live_at=None, warm_at=None,
        conditions=conditions(
            rented=(F, Reason.MARKET_SAYS_DEAD), reachable=(U, Reason.SILENT),
            streaming=(U, Reason.SILENT),
        ),
    )  # fmt: skip
    row = an_instance(state=MarketState.STOPPED)
    world = a_world(a_record(tenure), heard_at={}, listing=a_listing(row, age_s=5))
    decision = decision_for(decide(world))
    assert (decision.name, decision.reason) == ("wait", Reason.MARKET_SAYS_DEAD)
    assert getattr(decision, "until", None) is None


# --- doubt ------------------------------------------------------------------------------------------


def test_a_create_that_a_crash_cut_short_is_told_as_such() -> None:
    intent = an_intent()
    world = a_world(a_record(an_asked_tenure()), intents=(intent,))
    (told,) = events_of(decide(world), facts_of.RentUncertain)
    assert told.error == "keeper stopped before the answer"


def test_the_first_create_that_comes_to_nothing_counts_as_one_miss() -> None:
    asked = an_asked_tenure(
        requested_at=ago(200), acted_at=ago(200), missing_since=ago(190), missing_listed_at=ago(35)
    )
    world = a_world(a_record(asked))
    after = record_after(world, decide(world))
    assert (after.tenure, after.offer_misses, after.next_rent_at) == (None, 1, None)


@pytest.mark.parametrize(
    ("since_s", "started_s", "anew"),
    [(60, None, False), (60, 61, False), (60, 60, False), (60, 59, True), (60, 5, True),
     (60, 4, False)],
)  # fmt: skip
def test_an_absence_begins_anew_with_the_process(
    since_s: int, started_s: int | None, anew: bool
) -> None:
    started_at = None if started_s is None else ago(started_s)
    assert begins_anew(ago(since_s), a_listing(), started_at) is anew


def test_absence_from_listings_of_two_processes_proves_nothing() -> None:
    asked = an_asked_tenure(
        requested_at=ago(400), acted_at=ago(400), missing_since=ago(190), missing_listed_at=ago(35)
    )
    world = a_world(a_record(asked), started_at=ago(20))
    after = record_after(world, decide(world)).tenure
    assert after is not None
    assert after.missing_since == ago(5)


def test_a_deploy_that_fails_says_so_and_no_more() -> None:
    intent = an_intent(IntentKind.DEPLOY)
    outcome = an_outcome(intent, OutcomeKind.FAILED, error="no space")
    world = a_world(a_record(a_tenure(deployed_at=None)), intents=(intent,), outcomes=(outcome,))
    (told,) = events_of(decide(world), facts_of.DeployFailed)
    assert (told.slot, told.instance_id, told.error, told.detail) == (SLOT, HOST, "no space", "")


@pytest.mark.parametrize("kind", [IntentKind.DEPLOY, IntentKind.RESTART])
def test_a_host_that_was_started_again_is_not_left_stopped(kind: IntentKind) -> None:
    intent = an_intent(kind)
    tenure = a_tenure(is_left_stopped=True, warm_at=ago(3000))
    world = a_world(
        a_record(tenure), intents=(intent,), outcomes=(an_outcome(intent, at=ago(2)),), heard_at={}
    )
    world = replace(world, is_leader=False)
    after = record_after(world, decide(world)).tenure
    assert after is not None
    assert not after.is_left_stopped


def test_minutes_are_sixty_seconds() -> None:
    cap = Cap(stream=DUEL, span=Span.DAY, dollars=1.0)
    ledger = Meter(metered_at=NOW, tallies={day_of(NOW): {DUEL: Tally(dollars=0.9)}})
    no = crossed(ledger, (cap,), {DUEL: 0.9}, 0.3, NOW, 3540.0)
    assert no is not None
    assert "for 59 min more" in no.sentence
