"""One publisher only: two hosts change places in one order, and back where the new one shows nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from keeper.core.darkness import Unseen, unseen
from keeper.core.decisions import Hold, Plan, Swap
from keeper.core.events import (
    HandoverSwapFailed,
    HandoverSwapped,
    HandoverSwapping,
    HandoverUndone,
    IncidentOpened,
    StreamDark,
    WorkloadPrepared,
)
from keeper.core.model import (
    ConditionKind,
    Desired,
    InstanceId,
    IntentKind,
    MachineId,
    Publishers,
    Reading,
    Status,
    Subject,
    Swapping,
    Tenure,
)
from keeper.core.reasons import Reason
from keeper.core.world import OutcomeKind, World
from tests.builders import (
    HOST,
    NOW,
    SLOT,
    a_condemned,
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
    all_heard,
    an_intent,
    an_outcome,
    applied,
    conditions,
    decide,
    decision_for,
    events_of,
    record_after,
    with_policy,
)

NEW_HOST = InstanceId(HOST + 1)
NEW_LABEL = "keeper:k1:duel/0:2"
UP = (Status.TRUE, Reason.LINK_UP)
UNSEEN = (Status.UNKNOWN, Reason.NOT_ASKED)
ONE = a_stream(publishers=Publishers.ONE)
DESIRED = a_desire(ONE)


def beside(**changes: Any) -> Tenure:
    """The new host: up, prepared, nothing started."""
    return a_fresh_tenure(
        **{
            "instance_id": NEW_HOST, "label": NEW_LABEL, "attempt": 2, "machine_id": MachineId(202),
            "rented_at": ago(400), "booting_since": ago(400), "listed_at": ago(390),
            "running_at": ago(320), "booted_at": ago(300), "prepared_at": ago(60),
            "acted_at": ago(60),
            "conditions": conditions(deployed=UNSEEN, running=UNSEEN, streaming=UNSEEN),
            **changes,
        }
    )  # fmt: skip


def handing_over(new: Tenure | None = None, old: Tenure | None = None, **changes: Any) -> World:
    record = a_record(
        old or a_tenure(), attempt=2, incoming=new or beside(), replace_asked_at=ago(500),
        replace_asked_attempt=1,
    )  # fmt: skip
    return a_world(record, **changes)


def swapped(
    for_s: float = 30.0,
    *,
    is_done: bool = True,
    new: dict[str, Any] | None = None,
    old: dict[str, Any] | None = None,
    swap: dict[str, Any] | None = None,
    record: dict[str, Any] | None = None,
    **changes: Any,
) -> World:
    """The order was given so long ago; with ``is_done`` the act was over a second later."""
    done_at = ago(for_s - 1) if is_done else None
    coming = beside(
        **{
            "deployed_at": done_at, "acted_at": done_at or ago(for_s), "first_live_at": None,
            "conditions": conditions(running=UNSEEN, streaming=UNSEEN), **(new or {}),
        }
    )  # fmt: skip
    leaving = a_tenure(
        deployed_at=None, prepared_at=ago(for_s), warm_at=None, good_in_a_row=0,
        **{"conditions": conditions(running=UNSEEN, streaming=UNSEEN), **(old or {})},
    )  # fmt: skip
    state = Swapping(
        **{
            "since": ago(for_s), "reason": Reason.HANDOVER, "bound_s": 120.0, "done_at": done_at,
            "ended_at": None if done_at is None else ago(for_s - 0.5),
            "last_good_at": ago(for_s + 4), **(swap or {}),
        }
    )  # fmt: skip
    kept = a_record(coming, attempt=2, incoming=leaving, swap=state)
    kept = replace(
        kept, ever_on_air=True, healthy_since=None, replace_asked_at=ago(500),
        replace_asked_attempt=1, last_decision="wait", last_reason=Reason.HANDOVER,
        **(record or {}),
    )  # fmt: skip
    return a_world(kept, **changes)


def looks(
    *moments: datetime, host: InstanceId = NEW_HOST, status: Status = Status.TRUE
) -> tuple[Reading, ...]:
    reason = Reason.LIVE if status is Status.TRUE else Reason.NO_BYTES
    return tuple(
        Reading(instance_id=host, subject=Subject.PICTURE, status=status, reason=reason, at=at)
        for at in moments
    )


def seats(world: World, plan: Plan) -> tuple[InstanceId | None, InstanceId | None]:
    record = record_after(world, plan)
    return tuple(  # type: ignore[return-value]
        None if each is None else each.instance_id for each in (record.tenure, record.incoming)
    )


def the_swap(plan: Plan) -> Swap:
    act = decision_for(plan)
    assert isinstance(act, Swap), plan.sentence()
    return act


def told(world: World, desired: Desired = DESIRED) -> tuple[str, Reason]:
    decision = decision_for(decide(world, desired))
    return decision.name, decision.reason


# --- before the swap --------------------------------------------------------------------------------


def test_a_new_host_is_prepared_and_starts_nothing_beside_the_old_one() -> None:
    world = handing_over(beside(prepared_at=None, acted_at=None))
    plan = decide(world, DESIRED)
    assert (decision_for(plan).name, decision_for(plan).reason) == ("prepare", Reason.NOT_DEPLOYED)
    assert decision_for(plan).instance_id == NEW_HOST  # type: ignore[union-attr]
    (intent,) = plan.intents_opened
    assert intent.kind is IntentKind.PREPARE
    ready = replace(
        applied(world, plan), in_flight=frozenset(),
        outcomes=(an_outcome(intent, duration_s=40.0),),
    )  # fmt: skip
    after = decide(ready, DESIRED)
    assert len(events_of(after, WorkloadPrepared)) == 1
    assert decision_for(after).name == "swap"


def test_where_several_may_publish_it_is_started_beside_the_old_one() -> None:
    world = handing_over(beside(prepared_at=None, acted_at=None))
    assert told(world, a_desire()) == ("deploy", Reason.NOT_DEPLOYED)


def test_the_old_host_ends_first_and_the_new_one_is_the_slots_host_from_the_order_on() -> None:
    world = handing_over()
    plan = decide(world, DESIRED)
    act = the_swap(plan)
    assert (act.instance_id, act.leaving_id, act.reason) == (NEW_HOST, HOST, Reason.HANDOVER)
    assert act.within_s == 400.0  # twice what the old one took to show its picture
    assert seats(world, plan) == (NEW_HOST, HOST)
    record = record_after(world, plan)
    assert record.tenure is not None
    assert record.incoming is not None
    # Whoever becomes the only one is started by the rules of any host.
    assert (record.tenure.deployed_at, record.incoming.deployed_at) == (None, None)
    assert record.swap is not None
    assert record.swap.last_good_at == ago(1)
    (intent,) = plan.intents_opened
    assert (intent.kind, intent.instance_id) == (IntentKind.SWAP, NEW_HOST)
    (fact,) = events_of(plan, HandoverSwapping)
    assert (fact.is_back, fact.attempt) == (False, 1)
    assert decide(applied(world, plan), DESIRED).acts == ()  # one act at a time


def test_it_waits_for_viewers_first() -> None:
    stream = replace(ONE, lull_max_s=200.0)
    assert told(handing_over(), a_desire(stream)) == ("wait", Reason.DRAINING)


def test_the_picture_where_viewers_look_is_not_taken_for_the_new_hosts() -> None:
    """A public platform shows the old host's picture, whichever host is asked about."""
    seen = conditions(deployed=UNSEEN, running=UNSEEN)
    world = handing_over(beside(good_in_a_row=6, conditions=seen, first_live_at=ago(50)))
    plan = decide(world, DESIRED)
    assert decision_for(plan).name == "swap"
    tenure = record_after(world, plan).tenure
    assert tenure is not None
    assert (tenure.first_live_at, tenure.good_in_a_row) == (None, 0)


def no_link(instance_id: InstanceId) -> dict[str, Any]:
    heard = {**all_heard(instance_id=HOST), **all_heard(instance_id=NEW_HOST)}
    del heard[instance_id, Subject.LINK]
    return {"heard_at": heard}


@pytest.mark.parametrize("host", [HOST, NEW_HOST])
def test_nothing_is_touched_before_both_hosts_can_be_told(host: InstanceId) -> None:
    assert told(handing_over(**no_link(host)), DESIRED) == ("wait", Reason.HANDOVER)


def test_a_new_host_goes_where_the_old_one_cannot_be_told_for_as_long_as_two_may_cost() -> None:
    world = handing_over(beside(booted_at=ago(900)), **no_link(HOST))
    plan = decide(world, DESIRED)
    (gone,) = plan.condemned
    assert (gone.instance_id, gone.reason) == (NEW_HOST, Reason.SWAP_UNABLE)
    assert plan.quarantine == ()  # its machine has failed nobody
    assert seats(world, plan) == (HOST, None)


def test_nothing_changes_places_while_paused() -> None:
    decision = decision_for(decide(handing_over(pause=a_pause()), DESIRED))
    assert isinstance(decision, Hold)
    assert (decision.reason, decision.wanted) == (Reason.PAUSED, "swap")


def test_a_sick_old_host_goes_first_as_ever() -> None:
    """Nobody sees its picture, so there is nothing to hand over: break, then make."""
    sick = a_tenure(
        conditions=conditions(
            reachable=a_condition(
                ConditionKind.REACHABLE, Status.FALSE, Reason.DIAL_REFUSED, for_s=400, bad=3
            ),
            running=UNSEEN,
            streaming=a_condition(
                ConditionKind.STREAMING, Status.FALSE, Reason.UNREACHABLE, for_s=400, bad=3
            ),
        )
    )
    world = handing_over(old=sick)
    plan = decide(world, DESIRED)
    assert [each.instance_id for each in plan.condemned] == [HOST]
    assert seats(world, plan) == (NEW_HOST, None)
    # And the new one starts once the marketplace has heard of the old one's end.
    later = applied(world, plan)
    assert told(later, DESIRED) == ("wait", Reason.CONDEMNED)
    heard = replace(
        later, condemned=tuple(replace(each, accepted_at=NOW) for each in later.condemned)
    )
    assert told(heard, DESIRED) == ("deploy", Reason.NOT_DEPLOYED)


# --- the act ----------------------------------------------------------------------------------------


def answered(kind: OutcomeKind = OutcomeKind.DONE, for_s: float = 20.0, **more: Any) -> World:
    intent = an_intent(IntentKind.SWAP, instance_id=NEW_HOST, label=NEW_LABEL, opened_at=ago(for_s))
    outcome = an_outcome(intent, kind, at=ago(1), **more)
    return swapped(for_s, is_done=False, intents=(intent,), outcomes=(outcome,))


def test_what_is_done_is_waited_for() -> None:
    world = answered(ended_at=ago(5))
    plan = decide(world, DESIRED)
    record = record_after(world, plan)
    assert record.swap is not None
    assert record.tenure is not None
    assert (record.swap.done_at, record.swap.ended_at) == (ago(1), ago(5))
    assert record.tenure.deployed_at == ago(1)
    assert told(world, DESIRED) == ("wait", Reason.SWAPPED)


@pytest.mark.parametrize("kind", [OutcomeKind.FAILED, OutcomeKind.UNCERTAIN])
def test_what_failed_is_done_again_after_a_while(kind: OutcomeKind) -> None:
    world = answered(kind, error="stop ended with 1")
    plan = decide(world, DESIRED)
    (failed,) = events_of(plan, HandoverSwapFailed)
    assert failed.error == "stop ended with 1"
    assert (decision_for(plan).name, decision_for(plan).reason) == ("wait", Reason.BACKING_OFF)
    again = decide(applied(world, plan), DESIRED, ahead(20))
    assert (the_swap(again).instance_id, the_swap(again).leaving_id) == (NEW_HOST, HOST)
    (fact,) = events_of(again, HandoverSwapping)
    assert (fact.attempt, fact.is_back) == (2, False)


def test_what_a_crash_cut_short_is_done_again() -> None:
    intent = an_intent(IntentKind.SWAP, instance_id=NEW_HOST, label=NEW_LABEL)
    world = swapped(600, is_done=False, intents=(intent,), started_at=ago(3))
    plan = decide(world, DESIRED)
    assert plan.intents_closed == (intent.intent_id,)
    assert len(events_of(plan, HandoverSwapFailed)) == 1
    again = decide(applied(world, plan), DESIRED, ahead(20))
    assert the_swap(again).instance_id == NEW_HOST


def test_what_both_hosts_say_has_happened_is_not_done_again() -> None:
    up, gone = (Status.TRUE, Reason.PROCESS_UP), (Status.FALSE, Reason.PROCESS_GONE)
    world = swapped(
        60, is_done=False, new={"conditions": conditions(running=up, streaming=UNSEEN)},
        old={"conditions": conditions(running=gone, streaming=UNSEEN)},
    )  # fmt: skip
    plan = decide(world, DESIRED)
    assert plan.acts == ()
    record = record_after(world, plan)
    assert record.swap is not None
    assert record.swap.done_at == NOW


ROWS: list[tuple[str, dict[str, Any], tuple[str, Reason]]] = [
    ("its tries are spent", {"for_s": 60, "swap": {"tries": 3}}, ("swap", Reason.SWAP_FAILED)),
    ("its time is over", {"for_s": 120}, ("swap", Reason.SWAP_FAILED)),
    ("it may be tried again", {"for_s": 60}, ("swap", Reason.HANDOVER)),
    ("it waits for a link", {"for_s": 60, **no_link(HOST)}, ("wait", Reason.SWAPPED)),
]


@pytest.mark.parametrize(("sentence", "case", "wanted"), ROWS, ids=[row[0] for row in ROWS])
def test_an_act_that_is_not_done(
    sentence: str, case: dict[str, Any], wanted: tuple[str, Reason]
) -> None:
    assert told(swapped(is_done=False, **case), DESIRED) == wanted


# --- the new host proves itself ---------------------------------------------------------------------


def test_the_gap_is_told_from_the_last_good_look_to_the_first() -> None:
    world = swapped(30, readings=looks(ago(2)))
    (fact,) = events_of(decide(world, DESIRED), HandoverSwapped)
    assert (fact.gap_s, fact.instance_id, fact.leaving_id) == (32.0, NEW_HOST, HOST)
    assert fact.publishers is Publishers.ONE


def test_a_look_at_where_viewers_look_shows_the_old_picture_until_the_old_host_has_ended() -> None:
    """Of a platform's playlist both hosts' looks show the same; only what came after the end counts."""
    intent = an_intent(IntentKind.SWAP, instance_id=NEW_HOST, label=NEW_LABEL, opened_at=ago(30))
    world = swapped(
        30, is_done=False, intents=(intent,), in_flight=frozenset({SLOT}),
        swap={"last_good_at": ago(35)},
        readings=(*looks(ago(25), ago(8)), *looks(ago(24), ago(7), host=HOST)),
    )  # fmt: skip
    plan = decide(world, DESIRED)
    assert events_of(plan, HandoverSwapped) == []
    done = replace(
        applied(world, plan), in_flight=frozenset(), heard_at=world.heard_at,
        outcomes=(an_outcome(intent, at=ago(1), ended_at=ago(20)),),
    )  # fmt: skip
    (fact,) = events_of(decide(done, DESIRED), HandoverSwapped)
    assert fact.gap_s == 12.0  # from the end, 20 s ago, to the look 8 s ago


def test_a_gap_is_dark_for_viewers_and_counts_against_the_objective() -> None:
    def seen(world: World) -> Unseen | None:
        record = world.records[SLOT]
        return unseen(record, ONE.policy, NOW)

    assert seen(swapped(30)) is Unseen.DARK
    assert seen(swapped(30, swap={"first_good_at": ago(2)})) is None
    assert seen(handing_over()) is None


def test_a_gap_that_was_decided_on_is_no_incident_within_its_bound() -> None:
    dark = looks(ago(21), ago(11), ago(1), status=Status.FALSE)
    plan = decide(swapped(60, readings=dark), DESIRED)
    assert events_of(plan, StreamDark, IncidentOpened) == []
    assert decision_for(plan).reason is Reason.SWAPPED


NO_BYTES = {
    "conditions": conditions(
        streaming=a_condition(
            ConditionKind.STREAMING, Status.FALSE, Reason.NO_BYTES, for_s=100, bad=3
        )
    )
}


def test_what_shows_no_picture_in_time_ends_and_the_old_host_publishes_again() -> None:
    world = swapped(121, new=NO_BYTES)
    plan = decide(world, DESIRED)
    act = the_swap(plan)
    assert (act.instance_id, act.leaving_id, act.reason) == (HOST, NEW_HOST, Reason.SWAP_FAILED)
    assert seats(world, plan) == (HOST, NEW_HOST)
    assert plan.condemned == ()  # first the old one is back
    (fact,) = events_of(plan, HandoverUndone)
    assert (fact.reason, fact.instance_id, fact.duration_s) == (Reason.SWAP_FAILED, NEW_HOST, 121.0)
    assert len(events_of(plan, StreamDark)) == 1  # now it is told, since when it was
    record = record_after(world, plan)
    assert record.dark_since == ago(125)
    assert (record.undone_at, record.undone_for) == (NOW, Reason.SWAP_FAILED)


def test_it_is_given_one_second_less_in_vain() -> None:
    assert told(swapped(120, new=NO_BYTES), DESIRED) == ("wait", Reason.SWAPPED)


def test_not_knowing_undoes_nothing_for_as_long_as_two_hosts_may_be_paid_for() -> None:
    assert told(swapped(800), DESIRED) == ("wait", Reason.SWAPPED)
    assert told(swapped(902), DESIRED) == ("swap", Reason.SWAP_FAILED)


def test_once_the_old_host_is_back_the_new_one_is_given_up_and_counts_as_a_failure() -> None:
    back = {"is_back": True, "reason": Reason.SWAP_FAILED}
    world = swapped(
        20, swap=back, new={"instance_id": HOST, "label": "keeper:k1:duel/0:1"},
        old={"instance_id": NEW_HOST, "label": NEW_LABEL, "machine_id": MachineId(202)},
    )  # fmt: skip
    plan = decide(world, DESIRED)
    (gone,) = plan.condemned
    assert (gone.instance_id, gone.reason) == (NEW_HOST, Reason.SWAP_FAILED)
    assert [each.machine_id for each in plan.quarantine] == [MachineId(202)]
    record = record_after(world, plan)
    assert (record.swap, record.incoming) == (None, None)


def test_where_the_failed_host_cannot_be_told_it_ends_before_the_old_one_starts() -> None:
    world = swapped(121, new=NO_BYTES, **no_link(NEW_HOST))
    plan = decide(world, DESIRED)
    assert [each.instance_id for each in plan.condemned] == [NEW_HOST]
    assert seats(world, plan) == (HOST, None)
    after = applied(world, plan)
    assert told(after, DESIRED) == ("wait", Reason.CONDEMNED)
    heard = replace(
        after, condemned=tuple(replace(each, accepted_at=NOW) for each in after.condemned)
    )
    assert told(heard, DESIRED) == ("deploy", Reason.NOT_DEPLOYED)


LIVE = {
    "first_live_at": ago(80), "warm_at": ago(80), "good_in_a_row": 6,
    "conditions": conditions(
        streaming=a_condition(ConditionKind.STREAMING, for_s=80, good=2)
    ),
}  # fmt: skip


def test_the_old_host_ends_only_when_viewers_have_seen_the_new_one() -> None:
    seen = {"first_good_at": ago(90)}
    not_yet = swapped(100, new={**LIVE, "good_in_a_row": 5}, swap=seen)
    assert decide(not_yet, DESIRED).condemned == ()
    world = swapped(100, new=LIVE, swap=seen)
    plan = decide(world, DESIRED)
    assert [(each.instance_id, each.reason) for each in plan.condemned] == [
        (HOST, Reason.SUPERSEDED)
    ]
    record = record_after(world, plan)
    assert (record.swap, record.incoming, record.replace_asked_at) == (None, None, None)
    assert record.tenure is not None
    assert record.tenure.instance_id == NEW_HOST


def test_a_new_host_that_falls_dark_before_it_is_proven_gives_the_place_back() -> None:
    fallen = {**LIVE, **NO_BYTES, "good_in_a_row": 0}
    world = swapped(400, new=fallen, swap={"first_good_at": ago(390)})
    assert told(world, DESIRED) == ("wait", Reason.SWAPPED)  # dark for 100 s
    plan = decide(world, DESIRED, ahead(21))
    assert (decision_for(plan).name, decision_for(plan).reason) == ("swap", Reason.SWAP_FAILED)


def test_an_old_host_that_is_gone_meanwhile_is_forgotten() -> None:
    world = swapped(
        60, old={"missing_since": ago(50), "missing_listed_at": ago(5), "absent_by_id_at": ago(4)}
    )
    assert world.listing is not None
    alone = tuple(each for each in world.listing.instances if each.instance_id != HOST)
    world = replace(world, listing=replace(world.listing, instances=alone))
    plan = decide(world, DESIRED)
    assert plan.condemned == ()
    assert seats(world, plan) == (NEW_HOST, None)
    assert record_after(world, plan).swap is None


def test_a_clock_that_was_set_back_makes_no_bound_wait_for_it() -> None:
    world = swapped(-500, new=NO_BYTES)
    plan = decide(world, DESIRED)
    record = record_after(world, plan)
    assert record.swap is not None
    assert record.swap.since == NOW
    assert record.swap.done_at == NOW


def test_a_stream_that_is_no_longer_of_one_publisher_ends_what_it_began() -> None:
    assert told(swapped(121, new=NO_BYTES), a_desire()) == ("swap", Reason.SWAP_FAILED)


# --- several ----------------------------------------------------------------------------------------


def test_the_gap_of_hosts_that_overlap_is_told_in_the_same_way_and_is_nothing() -> None:
    proven = beside(deployed_at=ago(250), **LIVE)
    plan = decide(handing_over(proven), a_desire())
    (fact,) = events_of(plan, HandoverSwapped)
    assert (fact.gap_s, fact.publishers) == (0.0, Publishers.SEVERAL)
    assert [each.instance_id for each in plan.condemned] == [HOST]


def test_the_bound_is_never_longer_than_a_warm_up_may_be() -> None:
    stream = with_policy(ONE, warmup_max_s=300.0)
    assert the_swap(decide(handing_over(), a_desire(stream))).within_s == 300.0
    quick = a_tenure(warmup_s=5.0)
    assert the_swap(decide(handing_over(old=quick), DESIRED)).within_s == 120.0


def test_a_host_that_was_to_end_is_not_waited_for_for_ever() -> None:
    """A marketplace that takes no destroy would keep the stream dark; the tries are counted (I5)."""
    alone = a_record(beside(prepared_at=ago(60)), attempt=2, ever_on_air=True)
    stubborn = a_condemned(accepted_at=None, tries=3)
    assert told(a_world(alone, condemned=(stubborn,)), DESIRED) == ("deploy", Reason.NOT_DEPLOYED)
