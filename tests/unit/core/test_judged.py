"""What single words change in what is believed of a host, and what they leave as it was."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from keeper.core.conditions import condition_of
from keeper.core.credit import ACCOUNT_STALE_S, is_out_of_credit, was_starved
from keeper.core.events import ConditionChanged
from keeper.core.flow import Flow, Rate
from keeper.core.labels import label_for, parse
from keeper.core.meter import Dark, Meter, caught_up, is_due
from keeper.core.model import (
    Condition,
    ConditionKind,
    IntentKind,
    MarketState,
    Status,
    Subject,
    Tenure,
)
from keeper.core.reasons import Reason
from keeper.core.world import AccountSeen, OutcomeKind, World
from tests.builders import (
    DUEL,
    HOST,
    NOW,
    SLOT,
    a_condition,
    a_listing,
    a_reading,
    a_record,
    a_tenure,
    a_world,
    ago,
    ahead,
    an_instance,
    an_intent,
    an_outcome,
    conditions,
    decide,
    events_of,
    healthy_world,
    record_after,
)

T, F, U = Status.TRUE, Status.FALSE, Status.UNKNOWN


def seen(world: World) -> Tenure:
    tenure = record_after(world, decide(replace(world, is_leader=False))).tenure
    assert tenure is not None
    return tenure


def word(tenure: Tenure, kind: ConditionKind) -> Condition:
    condition = condition_of(tenure, kind)
    assert condition is not None
    return condition


# --- the process ------------------------------------------------------------------------------------


def test_a_change_is_told_with_what_the_host_said_of_it() -> None:
    for subject, kind, reason in (
        (Subject.PROCESS, ConditionKind.RUNNING, Reason.PROCESS_GONE),
        (Subject.GPU, ConditionKind.HAS_GPU, Reason.GPU_LOST),
        (Subject.DISK, ConditionKind.HAS_ROOM, Reason.DISK_FULL),
    ):
        reading = a_reading(subject, F, reason, is_certain=True, detail="exit 137")
        told = events_of(decide(healthy_world(readings=(reading,))), ConditionChanged)
        assert {(each.condition, each.detail) for each in told} >= {(kind, "exit 137")}
    retrying = a_reading(Subject.PROCESS, F, Reason.MANAGER_RETRYING, detail="exit 1")
    (told_of,) = events_of(decide(healthy_world(readings=(retrying,))), ConditionChanged)
    assert (told_of.status, told_of.detail) == (U, "exit 1")


def test_a_change_that_nobody_explained_is_told_without_a_word() -> None:
    world = healthy_world(heard_at={})
    told = events_of(decide(replace(world, started_at=ago(7200))), ConditionChanged)
    assert told
    assert {each.detail for each in told} == {""}


def test_a_process_that_is_seen_to_go_takes_the_picture_with_it_for_certain() -> None:
    reading = a_reading(Subject.PROCESS, F, Reason.PROCESS_GONE, is_certain=True, detail="exit 137")
    world = healthy_world(readings=(reading,))
    streaming = word(seen(world), ConditionKind.STREAMING)
    assert (streaming.status, streaming.reason, streaming.bad_streak) == (F, Reason.PROCESS_GONE, 3)
    told = events_of(decide(world), ConditionChanged)
    assert (
        tuple(
            each.detail
            for each in told
            if each.condition in (ConditionKind.RUNNING, ConditionKind.STREAMING)
        )
        == ("exit 137",) * 2
    )


@pytest.mark.parametrize(
    ("known", "identity", "restarts", "changes"),
    [
        (("41:1", 0), "41:1", 0, 0),
        (("41:1", 0), "41:1", 2, 2),  # the manager's own counter climbed
        (("41:1", 0), "42:1", 0, 1),
        (("41:1", -1), "41:1", 7, 0),  # its first word: what it counted before is not news
        (("41:1", 5), "41:1", 6, 1),
        (("41:1", 5), "41:1", 5, 0),
        (("", -1), "41:1", 7, 0),
    ],
)
def test_restarts_are_counted_by_identity_and_by_the_managers_counter(
    known: tuple[str, int], identity: str, restarts: int, changes: int
) -> None:
    tenure = a_tenure(process_identity=known[0], process_restarts=known[1])
    reading = a_reading(Subject.PROCESS, T, Reason.PROCESS_UP, identity=identity, restarts=restarts)
    after = seen(a_world(a_record(tenure), readings=(reading,)))
    assert len(after.process_changed_at) == changes
    assert (after.process_identity, after.process_restarts) == (identity, restarts)


def test_a_bad_picture_needs_more_than_a_process_that_was_stopped_by_the_crash_loop() -> None:
    """Only a process that is gone is a second witness; one that comes and goes is not."""
    looping = conditions(running=a_condition(ConditionKind.RUNNING, F, Reason.GPU_LOST, for_s=60))
    bad = a_reading(Subject.PICTURE, F, Reason.FROZEN)
    after = seen(a_world(a_record(a_tenure(conditions=looping)), readings=(bad,)))
    assert word(after, ConditionKind.STREAMING).status is T
    gone = conditions(running=(F, Reason.PROCESS_GONE))
    after = seen(a_world(a_record(a_tenure(conditions=gone)), readings=(bad,)))
    assert word(after, ConditionKind.STREAMING).status is F


@pytest.mark.parametrize(("age_s", "status"), [(14, T), (15, F), (16, F)])
def test_an_act_excuses_a_bad_picture_for_a_while_and_no_longer(age_s: int, status: Status) -> None:
    tenure = a_tenure(acted_at=ago(age_s), conditions=conditions(
        streaming=a_condition(ConditionKind.STREAMING, bad=2)
    ))  # fmt: skip
    bad = a_reading(Subject.PICTURE, F, Reason.FROZEN)
    after = seen(a_world(a_record(tenure), readings=(bad,)))
    assert word(after, ConditionKind.STREAMING).status is status


# --- silence and the market -------------------------------------------------------------------------


def test_every_silent_witness_is_noticed_whichever_is_unknown_already() -> None:
    tenure = a_tenure(conditions=conditions(reachable=(U, Reason.LINK_LOST)))
    world = a_world(a_record(tenure))
    silent = {key: ago(100) for key in world.heard_at}
    after = seen(replace(world, heard_at=silent))
    for kind in (ConditionKind.RUNNING, ConditionKind.STREAMING):
        assert word(after, kind).status is U


@pytest.mark.parametrize(
    "row",
    [{"state": MarketState.STOPPED}, {"is_meant_to_run": False}],
    ids=["it stands still", "it is meant to"],
)
@pytest.mark.parametrize(("since_s", "status"), [(30, F), (29, U)])
def test_a_rental_that_the_marketplace_has_stopped_is_dark_after_half_a_minute(
    row: dict[str, Any], since_s: int, status: Status
) -> None:
    tenure = a_tenure(
        dead_since=ago(since_s),
        conditions=conditions(
            rented=a_condition(
                ConditionKind.RENTED, F,
                Reason.MARKET_STOPPED_IT if "is_meant_to_run" in row else Reason.MARKET_SAYS_DEAD,
                for_s=since_s,
            ),
            reachable=(U, Reason.SILENT), streaming=(U, Reason.SILENT),
            running=(U, Reason.SILENT),
        ),
    )  # fmt: skip
    world = a_world(a_record(tenure), heard_at={}, listing=a_listing(an_instance(**row)))
    after = seen(world)
    assert word(after, ConditionKind.STREAMING).status is status
    blind = replace(world, own_network=F)
    assert word(seen(blind), ConditionKind.STREAMING).status is U


@pytest.mark.parametrize(("age_s", "status"), [(180, T), (181, U)])
def test_a_listing_is_believed_to_the_last_second(age_s: int, status: Status) -> None:
    world = healthy_world(listing=a_listing(an_instance(), age_s=age_s))
    assert word(seen(world), ConditionKind.RENTED).status is status


def test_a_link_of_the_very_moment_of_a_reboot_proves_nothing_for_a_minute() -> None:
    for age_s, is_up in ((59, False), (60, True)):
        tenure = a_tenure(
            booting_since=ago(age_s), booted_at=None, running_at=ago(age_s - 1), deployed_at=None,
            conditions=conditions(
                reachable=a_condition(ConditionKind.REACHABLE, for_s=age_s),
                streaming=(U, Reason.SILENT),
            ),
        )  # fmt: skip
        after = seen(a_world(a_record(tenure)))
        assert (after.booted_at is not None) is is_up


def test_a_second_warm_up_is_not_measured_over_the_first() -> None:
    tenure = a_tenure(warm_at=None, deployed_at=ago(50), warmup_s=200.0)
    after = seen(a_world(a_record(tenure)))
    assert (after.warm_at, after.warmup_s, after.first_live_at) == (NOW, 200.0, ago(3000))


def test_a_pinned_key_stays_when_nothing_is_shown() -> None:
    for pinned, shown, expected in (("a", "a\nb", "a\nb"), ("a\nb", "a", "a\nb"), ("a", "a", "a")):
        world = a_world(a_record(a_tenure(host_key=pinned)), host_keys={HOST: shown})
        assert seen(world).host_key == expected


# --- acts that were answered ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", list(OutcomeKind))
def test_a_restart_is_timed_from_its_answer(kind: OutcomeKind) -> None:
    """So long its own effects are not held against the host."""
    intent = an_intent(IntentKind.RESTART)
    world = a_world(
        a_record(a_tenure(acted_at=ago(10))),
        intents=(intent,),
        outcomes=(an_outcome(intent, kind, at=ago(2)),),
    )
    assert seen(world).acted_at == ago(2)


def test_every_outcome_is_written_down_whichever_is_told_twice() -> None:
    stale = an_outcome(an_intent(IntentKind.REBOOT, intent_id="gone"), at=ago(9))
    intent = an_intent(IntentKind.DEPLOY)
    before = a_tenure(deployed_at=None)
    world = a_world(
        a_record(before), intents=(intent,), outcomes=(stale, an_outcome(intent, at=ago(2)))
    )
    assert seen(world).deployed_at == ago(2)


# --- credit, labels, the ledger ---------------------------------------------------------------------


def test_an_account_is_empty_at_nothing_and_as_long_as_the_answer_is_fresh() -> None:
    def seen_with(dollars: float, age_s: float) -> AccountSeen:
        return AccountSeen(spendable_dollars=dollars, at=ago(age_s))

    assert is_out_of_credit(seen_with(0.0, 5), NOW)
    assert not is_out_of_credit(seen_with(0.01, 5), NOW)
    assert is_out_of_credit(seen_with(-1.0, ACCOUNT_STALE_S - 1), NOW)
    assert not is_out_of_credit(seen_with(-1.0, ACCOUNT_STALE_S), NOW)


def test_a_rental_that_went_down_the_moment_the_account_was_empty_was_starved() -> None:
    account = AccountSeen(spendable_dollars=9.0, at=NOW, empty_at=ago(60))
    assert was_starved(account, a_tenure(dead_since=ago(60)))
    assert not was_starved(account, a_tenure(dead_since=ago(59)))


def test_a_slot_may_have_a_colon_in_its_name() -> None:
    slot = type(SLOT)("a:b/0")
    label = parse(label_for("k1", slot, 7))
    assert label is not None
    assert (label.keeper_id, label.slot, label.attempt) == ("k1", slot, 7)


def test_money_in_the_dark_grows_only_while_it_is_watched() -> None:
    meter = Meter(
        metered_at=ago(7200),
        rates={DUEL: Rate(dollars_per_hour=1.0)},
        dark={SLOT: Dark(dollars=2.0, dollars_per_hour=0.5)},
    )
    assert caught_up(meter, NOW).dark == {SLOT: Dark(dollars=3.0, dollars_per_hour=0.5)}
    assert caught_up(meter, NOW, ago(3600)).dark == {SLOT: Dark(dollars=2.5, dollars_per_hour=0.5)}
    idle = replace(meter, dark={SLOT: Dark(dollars=2.0)})
    assert caught_up(idle, NOW).dark == idle.dark


def test_a_ledger_that_is_up_to_date_is_the_same_one() -> None:
    for at in (NOW, ahead(0.5), ahead(60)):
        meter = Meter(metered_at=at, rates={DUEL: Rate(dollars_per_hour=1.0)})
        assert caught_up(meter, NOW) is meter


def test_the_ledger_is_due_when_darkness_costs_otherwise() -> None:
    rates = {DUEL: Rate(dollars_per_hour=1.0)}
    meter = Meter(metered_at=NOW, rates=rates, dark={SLOT: Dark(dollars=2.0, dollars_per_hour=0.5)})
    same = Flow(rates=rates, dark={SLOT: 0.5}, good=frozenset())
    assert not is_due(meter, same, NOW)
    assert is_due(meter, replace(same, dark={SLOT: 0.6}), NOW)
    assert is_due(meter, replace(same, dark={}), NOW)
    assert is_due(meter, replace(same, dark={}, good=frozenset({SLOT})), NOW)
    paused = replace(meter, dark={SLOT: Dark(dollars=2.0)})
    assert not is_due(paused, replace(same, dark={}), NOW)
