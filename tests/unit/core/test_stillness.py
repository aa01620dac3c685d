"""A rental that keeper stops and starts: what answers and listings say of it, and what it costs (I4)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from keeper.core import events as facts_of
from keeper.core import stillness
from keeper.core.conditions import condition_of, status_of
from keeper.core.decisions import Start, Stop
from keeper.core.draft import Draft
from keeper.core.flow import (
    condemned_dollars_per_hour,
    owed_dollars_per_hour,
    tenure_dollars_per_hour,
)
from keeper.core.labels import label_for
from keeper.core.model import (
    ConditionKind,
    HostId,
    Instance,
    InstanceId,
    IntentKind,
    MachineId,
    MarketState,
    SlotId,
    Status,
    Tenure,
    spare_id,
)
from keeper.core.reasons import Reason
from keeper.core.spare import Spares
from keeper.core.spend import committed_by_stream
from keeper.core.world import OutcomeKind, World
from tests.builders import (
    DUEL,
    HOST,
    KEEPER_ID,
    NOW,
    a_condemned,
    a_desire,
    a_listing,
    a_pause,
    a_record,
    a_stream,
    a_tenure,
    a_world,
    ago,
    an_instance,
    an_intent,
    an_outcome,
    decide,
    events_of,
)

PLACE = spare_id(DUEL, 0)
LABEL = label_for(KEEPER_ID, PLACE, 1)
DESIRED = a_desire(a_stream(spares=Spares(count=1, max_dollars_per_hour=5.0)))
# 0.36 for the GPU, 0.05 for the disk, 0.02 for viewers' traffic.
PRICES: dict[str, Any] = {
    "dollars_per_hour": 0.41, "disk_dollars_per_hour": 0.05, "traffic_dollars_per_hour": 0.02,
}  # fmt: skip
STOPPING: dict[str, Any] = {"stop_asked_at": ago(60), "stop_tries": 1}
STANDING: dict[str, Any] = {**STOPPING, "stopped_at": ago(50)}
STARTING: dict[str, Any] = {**STANDING, "start_asked_at": ago(40)}


def a_spare(**changes: Any) -> Tenure:
    return a_tenure(label=LABEL, ready_at=ago(2000), **{**PRICES, **changes})


def listed(state: MarketState, *, meant: bool, **changes: Any) -> Instance:
    more = {"dollars_per_hour": 0.41, "disk_dollars_per_hour": 0.05, **changes}
    return an_instance(HOST, LABEL, state=state, is_meant_to_run=meant, **more)


RUNS = listed(MarketState.RUNNING, meant=True)
STILL = listed(MarketState.STOPPED, meant=False)
QUEUED = listed(MarketState.STOPPED, meant=True)
COMES_UP = listed(MarketState.PENDING, meant=True)


OTHER = InstanceId(7009)


def world_of(tenure: Tenure, instance: Instance, *, age_s: float = 5.0, **changes: Any) -> World:
    """The stream's own host is well, and a pause keeps the rules for spares from deciding."""
    host = a_record(a_tenure(instance_id=OTHER, machine_id=MachineId(209), host_id=HostId(309)))
    spare = a_record(tenure, slot=PLACE, ever_on_air=False)
    rows = (an_instance(OTHER, machine_id=MachineId(209), host_id=HostId(309)), instance)
    world = a_world(host, spare, slot_pauses={PLACE: a_pause()})
    return replace(world, listing=a_listing(*rows, age_s=age_s), **changes)


def after(world: World) -> Tenure:
    plan = decide(world, DESIRED)
    record = next((each for each in plan.records if each.slot == PLACE), world.records[PLACE])
    assert record.tenure is not None
    return record.tenure


# --- the orders -------------------------------------------------------------------------------------

# Whatever earlier orders have left behind.
LEFT: dict[str, Any] = {
    "stop_asked_at": ago(900), "stop_tries": 1, "stopped_at": ago(800), "start_asked_at": ago(700),
    "start_queued_at": ago(600), "start_refused": Reason.BACKING_OFF,
}  # fmt: skip


def a_draft(tenure: Tenure) -> Draft:
    return Draft(world_of(tenure, RUNS), DESIRED, NOW)


def test_an_order_to_stop_is_written_down_before_it_leaves() -> None:
    draft = a_draft(a_spare(**LEFT))
    stillness.stop(draft, PLACE, Reason.SPARE_PROVEN)
    (intent,), (act,) = draft.opened, draft.decisions
    assert (intent.kind, intent.slot, intent.label) == (IntentKind.STOP, PLACE, LABEL)
    assert (intent.instance_id, intent.reason) == (HOST, Reason.SPARE_PROVEN)
    assert act == Stop(
        slot=PLACE, reason=Reason.SPARE_PROVEN, intent_id=intent.intent_id, instance_id=HOST
    )
    tenure = draft.records[PLACE].tenure
    assert tenure is not None
    assert (tenure.stop_asked_at, tenure.stop_tries, tenure.acted_at) == (NOW, 2, NOW)
    assert (tenure.stopped_at, tenure.start_asked_at) == (None, None)
    assert (tenure.start_queued_at, tenure.start_refused) == (None, None)
    assert status_of(tenure, ConditionKind.STREAMING) is Status.UNKNOWN
    told = facts_of.InstanceStopping(
        slot=PLACE, instance_id=HOST, reason=Reason.SPARE_PROVEN, attempt=2
    )
    assert told in draft.events
    assert draft.plan().wants.counting_from == NOW


def test_an_order_to_start_is_written_down_before_it_leaves() -> None:
    draft = a_draft(a_spare(**LEFT))
    stillness.start(draft, PLACE, Reason.VACANT)
    (intent,), (act,) = draft.opened, draft.decisions
    assert (intent.kind, intent.slot, intent.label) == (IntentKind.START, PLACE, LABEL)
    assert (intent.instance_id, intent.reason) == (HOST, Reason.VACANT)
    assert act == Start(
        slot=PLACE, reason=Reason.VACANT, intent_id=intent.intent_id, instance_id=HOST
    )
    tenure = draft.records[PLACE].tenure
    assert tenure is not None
    assert (tenure.start_asked_at, tenure.booting_since, tenure.acted_at) == (NOW, NOW, NOW)
    assert (tenure.start_queued_at, tenure.start_refused) == (None, None)
    # Files stay, processes do not; and it stands still until a listing says otherwise.
    assert (tenure.running_at, tenure.booted_at, tenure.deployed_at) == (None, None, None)
    assert (tenure.stop_asked_at, tenure.stopped_at) == (ago(900), ago(800))
    assert facts_of.InstanceStarting(slot=PLACE, instance_id=HOST, reason=Reason.VACANT) in (
        draft.events
    )
    assert draft.plan().wants.counting_from == NOW


# --- money ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "tenure", "instance", "dollars"),
    [
        ("running", a_spare(), RUNS, 0.43),
        ("told to stop, and running", a_spare(**STOPPING), RUNS, 0.43),
        ("told to stop, and said to be down", a_spare(**STOPPING), STILL, 0.43),
        ("told to stop, and not listed", a_spare(**STOPPING), None, 0.43),
        ("confirmed to stand still", a_spare(**STANDING), STILL, 0.05),
        ("standing, and skipped by a listing", a_spare(**STANDING), None, 0.05),
        ("told to start", a_spare(**STARTING), STILL, 0.43),
        ("its start waits", a_spare(**STARTING, start_queued_at=ago(9)), QUEUED, 0.43),
        (
            "its start came to nothing",
            a_spare(**STANDING, start_refused=Reason.BUDGET),
            STILL,
            0.05,
        ),
        ("a disk that nobody tells", a_spare(**STANDING, disk_dollars_per_hour=0.0), STILL, 0.41),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_a_rental_costs_in_full_but_for_where_it_is_confirmed_to_stand_still(
    what: str, tenure: Tenure, instance: Instance | None, dollars: float
) -> None:
    """I4: from the intent to start on, and after a stop until a listing shows it."""
    shown = {} if instance is None else {HOST: instance}
    assert tenure_dollars_per_hour(tenure, shown) == pytest.approx(dollars), what
    assert owed_dollars_per_hour(tenure) == pytest.approx(dollars), what
    record = a_record(tenure, slot=PLACE)
    assert committed_by_stream([record], ()) == {DUEL: pytest.approx(dollars)}


def test_the_price_of_a_row_that_tells_of_a_disk_alone_does_not_become_its_price() -> None:
    """A start must be paid for in full, whatever the row of a stopped rental calls its total."""
    row = replace(STILL, dollars_per_hour=0.05)
    assert after(world_of(a_spare(**STANDING), row)).dollars_per_hour == 0.41
    dearer = replace(STILL, dollars_per_hour=0.55)
    assert after(world_of(a_spare(**STANDING), dearer)).dollars_per_hour == 0.55


def test_a_disk_may_cost_more_where_nothing_runs() -> None:
    row = replace(STILL, disk_dollars_per_hour=0.08)
    tenure = after(world_of(a_spare(**STANDING), row))
    assert owed_dollars_per_hour(tenure) == pytest.approx(0.08)


def test_what_is_ended_while_it_stands_still_is_condemned_at_the_price_of_its_disk() -> None:
    expired = replace(DESIRED, streams=(a_stream(spares=Spares(count=0)),))
    for tenure, dollars in ((a_spare(**STANDING), 0.05), (a_spare(**STARTING), 0.41)):
        world = world_of(tenure, STILL, age_s=20, slot_pauses={})
        plan = decide(world, expired)
        assert [each.dollars_per_hour for each in plan.condemned] == [pytest.approx(dollars)]
    gone = a_condemned(dollars_per_hour=0.05)
    assert condemned_dollars_per_hour(gone, {HOST: QUEUED}) == 0.05
    assert condemned_dollars_per_hour(gone, {HOST: RUNS}) == 0.41  # it came up all the same
    dear = a_condemned(dollars_per_hour=0.5)
    assert condemned_dollars_per_hour(dear, {HOST: RUNS}) == 0.5  # a row may tell of a part of it


def test_what_has_ended_cost_its_disk_all_the_time_and_its_gpu_while_it_ran() -> None:
    """For people: it ran from 3400 s ago until 50 s ago, and was rented an hour ago."""
    expired = replace(DESIRED, streams=(a_stream(spares=Spares(count=0)),))
    world = world_of(a_spare(**STANDING), STILL, slot_pauses={})
    (condemned,) = decide(world, expired).condemned
    spent = 0.05 + 0.36 * 3350 / 3600
    assert condemned.spent_dollars == pytest.approx(spent)
    ended = replace(
        condemned, condemned_at=ago(400), tries=1, absent_since=ago(40), absent_listed_at=ago(5),
        by_id_absent_at=ago(4),
    )  # fmt: skip
    (told,) = events_of(decide(a_world(condemned=(ended,))), facts_of.InstanceEnded)
    assert told.dollars == pytest.approx(spent + 0.05 * 360 / 3600)
    (running,) = decide(world_of(a_spare(), RUNS, slot_pauses={}), expired).condemned
    assert running.spent_dollars is None


def test_what_must_end_and_was_started_all_the_same_is_committed_to_in_full() -> None:
    gone = a_condemned(dollars_per_hour=0.05, spent_dollars=1.0, label=LABEL)
    for instance, dollars in ((STILL, 0.05), (QUEUED, 0.05), (RUNS, 0.41)):
        world = replace(a_world(condemned=(gone,)), listing=a_listing(instance))
        (after_,) = decide(world, DESIRED).condemned
        assert after_.dollars_per_hour == dollars
        assert committed_by_stream((), (after_,)) == {DUEL: dollars}


# --- what a listing settles -------------------------------------------------------------------------


def test_a_stop_is_confirmed_by_a_listing_that_is_younger_than_the_order() -> None:
    tenure = after(world_of(a_spare(**STOPPING), STILL, age_s=5))
    assert tenure.stopped_at == ago(5)
    assert tenure.good_in_a_row == 0
    assert status_of(tenure, ConditionKind.STREAMING) is Status.UNKNOWN
    plan = decide(world_of(a_spare(**STOPPING), STILL, age_s=5), DESIRED)
    assert events_of(plan, facts_of.InstanceStopped)[0].duration_s == 55.0


@pytest.mark.parametrize(
    ("what", "instance", "age_s"),
    [
        ("runs on", RUNS, 5),
        ("is said to be down, and is meant to run", QUEUED, 5),
        ("runs, and is meant to stop", listed(MarketState.RUNNING, meant=False), 5),
        ("tells no status", listed(MarketState.PENDING, meant=False), 5),
        ("was seen before the order", STILL, 60),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_nothing_else_confirms_a_stop(what: str, instance: Instance, age_s: float) -> None:
    """Q14: it may not stick, and costs in full until it does."""
    world = world_of(a_spare(**STOPPING), instance, age_s=age_s)
    plan = decide(world, DESIRED)
    assert after(world).stopped_at is None, what
    assert after(world).dead_since is None, what
    assert plan.wants.listing_by is not None
    assert not events_of(plan, facts_of.InstanceStopped)


def test_what_stands_still_is_neither_good_nor_bad() -> None:
    tenure = after(world_of(a_spare(**STANDING), STILL))
    assert tenure.dead_since is None
    assert tenure.outbid_since is None
    rented = condition_of(tenure, ConditionKind.RENTED)
    assert rented is not None
    assert (rented.status, rented.reason) == (Status.UNKNOWN, Reason.SPARE_STANDS)
    assert status_of(tenure, ConditionKind.STREAMING) is not Status.FALSE
    starting = after(world_of(a_spare(**STARTING, acted_at=ago(20)), STILL))
    rented = condition_of(starting, ConditionKind.RENTED)
    assert rented is not None
    assert (rented.status, rented.reason) == (Status.UNKNOWN, Reason.PENDING)
    assert starting.dead_since is None
    bid = after(world_of(a_spare(**STANDING, is_bid=True), replace(STILL, is_bid=True)))
    assert bid.outbid_since is None


@pytest.mark.parametrize(
    ("state", "meant", "said"),
    [
        (MarketState.STOPPED, False, (Status.UNKNOWN, Reason.SPARE_STANDS)),
        (MarketState.STOPPED, True, (Status.UNKNOWN, Reason.SPARE_STANDS)),
        (MarketState.RUNNING, False, (Status.UNKNOWN, Reason.SPARE_STANDS)),
        (MarketState.RUNNING, True, (Status.TRUE, Reason.RUNNING)),
    ],
)
def test_what_was_told_to_stop_stands_still_unless_it_runs_and_is_meant_to(
    state: MarketState, meant: bool, said: tuple[Status, Reason]
) -> None:
    tenure = after(world_of(a_spare(**STOPPING), listed(state, meant=meant)))
    rented = condition_of(tenure, ConditionKind.RENTED)
    assert rented is not None
    assert (rented.status, rented.reason) == said


def test_a_host_that_is_gone_from_the_net_is_down_though_it_was_to_stand_still() -> None:
    for state in (MarketState.OFFLINE, MarketState.UNKNOWN):
        gone = listed(state, meant=False)
        assert after(world_of(a_spare(**STANDING), gone)).dead_since == ago(5)


def test_what_runs_though_it_stood_still_is_told_and_costs_in_full() -> None:
    for instance in (RUNS, COMES_UP, listed(MarketState.RUNNING, meant=False)):
        world = world_of(a_spare(**STANDING), instance)
        assert after(world).stopped_at is None
        assert owed_dollars_per_hour(after(world)) == pytest.approx(0.43)
        assert len(events_of(decide(world, DESIRED), facts_of.InstanceFoundRunning)) == 1


def test_a_start_that_nobody_here_has_ordered_is_found_too() -> None:
    """An old order may come up days later, and bill."""
    since = {"acted_at": ago(40)}
    world = world_of(a_spare(**STANDING, **since), QUEUED, age_s=11)
    assert after(world).start_queued_at is None  # reads lag behind
    world = world_of(a_spare(**STANDING, **since), QUEUED, age_s=10)
    assert after(world).start_queued_at == ago(10)
    assert len(events_of(decide(world, DESIRED), facts_of.InstanceStartQueued)) == 1


def test_a_start_is_done_when_a_listing_shows_it_running() -> None:
    world = world_of(a_spare(**STARTING, acted_at=ago(40), start_queued_at=ago(20)), RUNS)
    tenure = after(world)
    assert events_of(decide(world, DESIRED), facts_of.InstanceStarted)[0].duration_s == 35.0
    assert (tenure.stop_asked_at, tenure.stopped_at, tenure.start_asked_at) == (None, None, None)
    assert (tenure.stop_tries, tenure.start_queued_at) == (0, None)


@pytest.mark.parametrize(
    ("instance", "age_s", "is_queued", "is_refused"),
    [
        (QUEUED, 11, False, False),  # reads lag behind the truth
        (QUEUED, 10, True, False),
        (STILL, 11, False, False),
        (STILL, 10, False, True),  # it never arrived
        (COMES_UP, 5, False, False),
        (listed(MarketState.PENDING, meant=False), 5, False, False),
        (listed(MarketState.OFFLINE, meant=True), 5, False, False),
        (RUNS, 40, False, False),  # read before the order
        (QUEUED, 40, False, False),
    ],
)
def test_a_start_that_waits_is_not_started(
    instance: Instance, age_s: float, is_queued: bool, is_refused: bool
) -> None:
    """Q13: meant to run and stopped, for more than 30 s: the GPU is let to another."""
    world = world_of(a_spare(**STARTING, acted_at=ago(40)), instance, age_s=age_s)
    plan, tenure = decide(world, DESIRED), after(world)
    assert (tenure.start_queued_at is not None) is is_queued
    assert (tenure.start_refused is not None) is is_refused
    assert (tenure.start_asked_at is None) is is_refused
    assert owed_dollars_per_hour(tenure) == pytest.approx(0.05 if is_refused else 0.43)
    assert len(events_of(plan, facts_of.InstanceStartQueued)) == is_queued
    lost = facts_of.ActFailed(
        slot=PLACE, instance_id=HOST, decision="start",
        error="the marketplace knows of no order to start",
    )  # fmt: skip
    assert events_of(plan, facts_of.ActFailed) == ([lost] if is_refused else [])
    assert not events_of(plan, facts_of.InstanceStarted)


def test_a_start_is_not_settled_while_its_call_is_under_way_or_a_process_is_young() -> None:
    spare = a_spare(**STARTING, acted_at=ago(40))
    for changes in ({"in_flight": frozenset({PLACE})}, {"started_at": ago(20)}):
        tenure = after(world_of(spare, STILL, **changes))
        assert tenure.start_asked_at is not None
        assert owed_dollars_per_hour(tenure) == pytest.approx(0.43)


# --- what an answer settles -------------------------------------------------------------------------


def answered(
    kind: IntentKind, outcome: OutcomeKind, tenure: Tenure, slot: SlotId = PLACE, **more: Any
) -> World:
    intent = an_intent(kind, slot=slot, label=LABEL)
    world = world_of(tenure, STILL, age_s=70, intents=(intent,))
    return replace(world, outcomes=(an_outcome(intent, outcome, error="it broke", **more),))


@pytest.mark.parametrize("outcome", OutcomeKind)
def test_an_answer_to_a_stop_settles_nothing(outcome: OutcomeKind) -> None:
    world = answered(IntentKind.STOP, outcome, a_spare(**STOPPING))
    plan, tenure = decide(world, DESIRED), after(world)
    assert plan.intents_closed == (world.intents[0].intent_id,)
    assert (tenure.stop_asked_at, tenure.stopped_at) == (ago(60), None)
    failed = [each.decision for each in events_of(plan, facts_of.ActFailed)]
    assert failed == ([] if outcome is OutcomeKind.DONE else ["stop"])
    assert owed_dollars_per_hour(tenure) == pytest.approx(0.43)


@pytest.mark.parametrize(
    ("outcome", "reason", "refused"),
    [
        (OutcomeKind.DONE, None, None),
        (OutcomeKind.UNCERTAIN, None, None),
        (OutcomeKind.UNCERTAIN, Reason.START_QUEUED, None),
        (OutcomeKind.FAILED, None, Reason.SPARE_NOT_STARTED),
        (OutcomeKind.FAILED, Reason.NO_SUITABLE_OFFER, Reason.SPARE_NOT_STARTED),  # it has expired
        (OutcomeKind.FAILED, Reason.OUT_OF_CREDIT, Reason.OUT_OF_CREDIT),
        (OutcomeKind.FAILED, Reason.UNAUTHORIZED, Reason.UNAUTHORIZED),
        (OutcomeKind.FAILED, Reason.BACKING_OFF, Reason.BACKING_OFF),
    ],
)
def test_only_a_clear_no_ends_a_start(
    outcome: OutcomeKind, reason: Reason | None, refused: Reason | None
) -> None:
    """What may have happened counts in full until a listing says otherwise (I4)."""
    world = answered(IntentKind.START, outcome, a_spare(**STARTING), reason=reason)
    plan, tenure = decide(world, DESIRED), after(world)
    assert tenure.start_refused is refused
    assert (tenure.start_asked_at is None) is (refused is not None)
    assert (tenure.start_queued_at is not None) is (reason is Reason.START_QUEUED)
    assert owed_dollars_per_hour(tenure) == pytest.approx(0.43 if refused is None else 0.05)
    assert tenure.acted_at == ago(1)
    assert len(plan.intents_closed) == 1
    failed = facts_of.ActFailed(slot=PLACE, instance_id=HOST, decision="start", error="it broke")
    assert events_of(plan, facts_of.ActFailed) == ([] if outcome is OutcomeKind.DONE else [failed])


def test_a_no_to_a_start_that_waited_ends_the_waiting() -> None:
    spare = a_spare(**STARTING, start_queued_at=ago(20))
    tenure = after(answered(IntentKind.START, OutcomeKind.FAILED, spare))
    assert (tenure.start_asked_at, tenure.start_queued_at) == (None, None)


def test_a_late_no_to_a_start_that_a_listing_has_settled_says_nothing() -> None:
    for spare in (a_spare(), a_spare(**STANDING)):
        tenure = after(answered(IntentKind.START, OutcomeKind.FAILED, spare))
        assert tenure.start_refused is None
    tenure = after(answered(IntentKind.STOP, OutcomeKind.FAILED, a_spare(**STARTING)))
    assert (tenure.start_asked_at, tenure.start_refused) == (ago(40), None)


def test_what_settles_a_start_is_asked_for() -> None:
    """A listing that says the same as the one before settles it, too, from half a minute on."""
    world = world_of(a_spare(**STARTING, acted_at=ago(20)), STILL)
    assert decide(world, DESIRED).wants.counting_from == ago(-10)


@pytest.mark.parametrize("kind", [IntentKind.STOP, IntentKind.START])
def test_an_order_that_a_crash_cut_short_is_settled_by_listings(kind: IntentKind) -> None:
    tenure = a_spare(**(STOPPING if kind is IntentKind.STOP else STARTING), acted_at=ago(60))
    intent = an_intent(kind, slot=PLACE, label=LABEL)
    world = world_of(tenure, STILL, age_s=70, intents=(intent,), started_at=ago(3))
    plan = decide(world, DESIRED)
    assert plan.intents_closed == (intent.intent_id,)
    assert owed_dollars_per_hour(after(world)) == pytest.approx(0.43)
    assert plan.wants.listing_by is not None
    assert not [act for act in plan.acts if act.name in {"stop", "start"}]


def test_an_answer_about_what_the_place_has_no_more_only_closes_its_intent() -> None:
    for kind in (IntentKind.STOP, IntentKind.START):
        intent = an_intent(kind, slot=PLACE, label=LABEL, instance_id=HOST + 1)
        world = world_of(a_spare(), RUNS, intents=(intent,))
        world = replace(world, outcomes=(an_outcome(intent, OutcomeKind.UNCERTAIN, error="x"),))
        assert decide(world, DESIRED).intents_closed == (intent.intent_id,)
        assert after(world).stop_asked_at is None


def test_a_moment_ahead_of_the_clock_is_now() -> None:
    ahead = {"stop_asked_at": NOW.replace(hour=13), "stopped_at": NOW.replace(hour=13)}
    tenure = after(world_of(a_spare(**ahead), STILL))
    assert (tenure.stop_asked_at, tenure.stopped_at) == (NOW, NOW)
    ahead = {"start_asked_at": NOW.replace(hour=13), "start_queued_at": NOW.replace(hour=13)}
    tenure = after(world_of(a_spare(**STANDING, **ahead), QUEUED))
    assert (tenure.start_asked_at, tenure.start_queued_at) == (NOW, NOW)
    assert owed_dollars_per_hour(tenure) == pytest.approx(0.43)
