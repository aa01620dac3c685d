"""A spare takes over: who may, for whom, and that nobody ever owns its rental twice or not at all."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest

from keeper.core.decisions import Deploy, Promote, Rent
from keeper.core.events import DecisionMade, IncidentClosed, SparePromoted, StreamOnAir
from keeper.core.model import (
    ConditionKind,
    Desired,
    Failure,
    HostId,
    MachineId,
    MarketState,
    OfferId,
    SlotId,
    SlotRecord,
    Status,
    Tenure,
)
from keeper.core.reasons import Reason
from keeper.core.windows import Allowance, Window
from keeper.core.world import OrderKind, World
from tests.builders import (
    HOST,
    NOW,
    SLOT,
    a_condemned,
    a_condition,
    a_fresh_tenure,
    a_pause,
    a_quarantine,
    a_record,
    a_stream,
    a_tenure,
    ago,
    ahead,
    all_heard,
    an_order,
    applied,
    conditions,
    decide,
    decision_for,
    events_of,
    record_after,
)
from tests.unit.core.decision_worlds import SPENT
from tests.unit.core.spares import (
    PLACE,
    SECOND,
    SPARE_HOST,
    a_place,
    a_prepared_spare,
    a_spare,
    a_spared_world,
    a_wish,
    with_spares,
)

FROZEN = a_condition(ConditionKind.STREAMING, Status.FALSE, Reason.FROZEN, for_s=900, bad=3)
UNSEEN = (Status.UNKNOWN, Reason.NOT_ASKED)
NO_LINK = (Status.FALSE, Reason.DIAL_REFUSED)


def vacant(**changes: Any) -> SlotRecord:
    """Its host was given up a moment ago."""
    record = a_record(
        None, attempt=4, ever_on_air=True, dark_since=ago(200), last_act="destroy",
        last_act_reason=Reason.LADDER_SPENT, last_act_at=ago(1), replaced_at=(ago(150),),
    )  # fmt: skip
    return replace(record, **changes)


def needing(tenure: Tenure | None = None, **changes: Any) -> World:
    """A slot without a host beside a spare that is as told."""
    return a_spared_world(
        a_place(a_spare() if tenure is None else tenure), record=vacant(), **changes
    )


def failed_on(machine: int) -> Failure:
    return Failure(
        label="keeper:k1:duel/0:3", machine_id=MachineId(machine), at=ago(900), reason=Reason.FROZEN
    )


ONE_SPARE = a_wish()
RICH = a_wish(with_spares(a_stream(spend_max_dollars_per_hour=9.0), max_dollars_per_hour=9.0))
# Its owner asks for more than twice of what was agreed to, and for less than a host may cost.
RISEN: dict[str, Any] = {
    "dollars_per_hour": 0.9, "offered_dollars_per_hour": 0.41, "dear_since": ago(90),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Row:
    sentence: str
    world: World
    takes_over: bool
    desired: Desired = ONE_SPARE


ROWS = [
    Row(sentence="a ready spare takes over", world=needing(), takes_over=True),
    Row(sentence="before the old host has heard of its end",
        world=needing(condemned=(a_condemned(accepted_at=None),)), takes_over=True),
    Row(sentence="a prepared one does too",
        world=needing(a_prepared_spare()), desired=a_wish(with_spares(is_started=False)),
        takes_over=True),
    Row(sentence="one that has only just shown a picture does not",
        world=needing(a_spare(good_in_a_row=5)), takes_over=False),
    Row(sentence="nor one that shows none",
        world=needing(a_spare(conditions=conditions(streaming=FROZEN))), takes_over=False),
    Row(sentence="nor one that nobody sees",
        world=needing(a_spare(conditions=conditions(streaming=UNSEEN))), takes_over=False),
    Row(sentence="nor one without a link",
        world=needing(a_spare(conditions=conditions(reachable=NO_LINK))), takes_over=False),
    Row(sentence="nor one that this process has not heard of",
        world=needing(heard_at=all_heard(9000, SPARE_HOST)), takes_over=False),
    Row(sentence="nor one that is missing from the list",
        world=needing(shown=lambda _: None), takes_over=False),
    Row(sentence="nor one that the market calls dead",
        world=needing(shown=lambda i: replace(i, state=MarketState.OFFLINE)), takes_over=False),
    Row(sentence="nor one that was outbid",
        world=needing(a_spare(is_bid=True, bid_dollars_per_hour=0.3), shown=lambda i: replace(
            i, state=MarketState.STOPPED, is_bid=True, min_bid_dollars_per_hour=0.5)),
        takes_over=False),
    Row(sentence="nor one that costs more by now than the stream may pay",
        world=needing(a_spare(**{**RISEN, "dollars_per_hour": 2.6})), desired=RICH, takes_over=False),
    Row(sentence="one whose price has risen to what a host may cost does",
        world=needing(a_spare(**{**RISEN, "dollars_per_hour": 2.0})), desired=RICH, takes_over=True),
    Row(sentence="and a prepared one", world=needing(a_prepared_spare(**RISEN)), takes_over=True,
        desired=a_wish(with_spares(a_stream(spend_max_dollars_per_hour=9.0), is_started=False))),
    Row(sentence="nor one whose GPU is gone",
        world=needing(a_spare(conditions=conditions(has_gpu=(Status.FALSE, Reason.GPU_LOST)))),
        takes_over=False),
    Row(sentence="nor one that is being worked on",
        world=needing(in_flight=frozenset({PLACE})), takes_over=False),
    Row(sentence="nor one whose place a bug holds",
        world=needing(held_slots=frozenset({PLACE})), takes_over=False),
    Row(sentence="nor one that is to end",
        world=a_spared_world(a_place(a_spare(), destroy_asked_at=ago(1)), record=vacant()),
        takes_over=False),
    Row(sentence="nor one that a person keeps",
        world=needing(slot_pauses={PLACE: a_pause()}), takes_over=False),
    Row(sentence="nor anything in a slot that is paused itself",
        world=needing(slot_pauses={SLOT: a_pause()}), takes_over=False),
    Row(sentence="nor one on a machine that has failed",
        world=needing(quarantine={MachineId(950): a_quarantine(950)}), takes_over=False),
    Row(sentence="nor one of an owner two of whose machines have failed",
        world=needing(quarantine={MachineId(n): a_quarantine(n, host_id=HostId(960))
                                  for n in (1, 2)}),
        takes_over=False),
    Row(sentence="nor one on the machine of a host that failed lately",
        world=a_spared_world(a_place(a_spare()), record=vacant(failures=(failed_on(950),))),
        takes_over=False),
    Row(sentence="of a machine that is not known nobody knows that it failed",
        world=a_spared_world(a_place(a_spare(machine_id=MachineId(0))),
                             record=vacant(failures=(failed_on(0),))),
        takes_over=True),
    Row(sentence="nor anything where a person has named the offer",
        world=a_spared_world(a_place(a_spare()), record=vacant(offer_asked=OfferId(121))),
        takes_over=False),
    Row(sentence="nor anything while keeper is paused", world=needing(pause=a_pause()),
        takes_over=False),
    Row(sentence="nor in a window that lets nothing be done",
        world=needing(windows=(Window(name="w", since=ago(9), until=ahead(9), stream=None,
                                      allow=Allowance.OBSERVE),)),
        takes_over=False),
    Row(sentence="nor beyond the allowance of replacements",
        world=a_spared_world(a_place(a_spare()), record=vacant(
            replaced_at=tuple(ago(1000.0 * n) for n in range(6, 0, -1)))),
        takes_over=False),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.sentence)
def test_takes_over(row: Row) -> None:
    plan = decide(row.world, row.desired)
    assert bool(events_of(plan, SparePromoted)) is row.takes_over, plan.sentence()
    owners(row.world, plan_records(row.world, row.desired))


def plan_records(world: World, desired: Desired | None = None) -> dict[SlotId, SlotRecord]:
    plan = decide(world, desired or a_wish())
    return {**world.records, **{record.slot: record for record in plan.records}}


def owners(world: World, records: dict[SlotId, SlotRecord]) -> list[SlotId]:
    """Name who owns the spare's rental; it is exactly one, or it is condemned."""
    found = [
        slot
        for slot, record in records.items()
        for tenure in (record.tenure, record.incoming)
        if tenure is not None and tenure.instance_id == SPARE_HOST
    ]
    assert len(found) <= 1, found
    return found


def test_both_records_change_in_one_commit_and_the_rental_has_one_owner() -> None:
    world = needing()
    plan = decide(world, a_wish())
    changed = {record.slot: record for record in plan.records}
    assert changed.keys() >= {SLOT, PLACE}
    assert owners(world, {**world.records, **changed}) == [SLOT]
    assert changed[PLACE].tenure is None
    host = changed[SLOT].tenure
    assert host is not None
    assert host.label == a_spare().label, "a label is never given again"
    assert (host.attempt, changed[SLOT].attempt) == (5, 5)
    assert plan.intents_opened == (), "nothing outside is touched"


def test_it_is_one_decision_with_its_reason_and_says_how_long_it_was_dark() -> None:
    plan = decide(needing(), a_wish())
    decision = decision_for(plan)
    assert isinstance(decision, Promote)
    assert (decision.reason, decision.spare) == (Reason.SPARE_TOOK_OVER, PLACE)
    (told,) = events_of(plan, SparePromoted)
    assert (told.slot, told.spare, told.instance_id) == (SLOT, PLACE, SPARE_HOST)
    assert (told.reason, told.duration_s, told.is_beside) == (Reason.LADDER_SPENT, 200.0, False)
    assert "promote duel/0 because a spare was ready" in plan.sentence()
    (made,) = [each for each in events_of(plan, DecisionMade) if each.slot == SLOT]
    assert made.detail == "duel/spare-0 for ladder_spent"
    assert plan.next_check_at == ahead(1), "what follows is not waited for"


@pytest.mark.parametrize(
    ("last_act", "why"), [("destroy", Reason.LADDER_SPENT), ("deploy", Reason.VACANT)]
)
def test_it_is_said_for_what_it_took_over(last_act: str, why: Reason) -> None:
    """What took the host before, if keeper gave it up; one that vanished was given up by nobody."""
    world = a_spared_world(a_place(a_spare()), record=vacant(last_act=last_act))
    plan = decide(world, a_wish())
    (told,) = events_of(plan, SparePromoted)
    assert told.reason is record_after(world, plan).took_over_for is why


def test_the_picture_of_a_started_spare_is_the_slots_at_once() -> None:
    world = needing()
    plan = decide(world, a_wish())
    (on_air,) = events_of(plan, StreamOnAir)
    assert (on_air.slot, on_air.duration_s) == (SLOT, 200.0)
    record = record_after(world, plan)
    assert (record.dark_since, record.took_over_at, record.took_over_dark_s) == (None, NOW, 200.0)
    assert events_of(plan, IncidentClosed) == []


def test_a_price_that_was_known_when_it_took_over_is_no_drift_of_its_host() -> None:
    """It has no picture yet, and a host is given back for a drift before its first one."""
    wish = a_wish(with_spares(a_stream(spend_max_dollars_per_hour=9.0), is_started=False))
    world = needing(a_prepared_spare(**RISEN))
    plan = decide(world, wish)
    host = record_after(world, plan).tenure
    assert host is not None
    assert (host.dollars_per_hour, host.offered_dollars_per_hour) == (0.9, 0.9)
    assert host.dear_since is None
    after = decide(applied(world, plan), wish)
    assert after.condemned == ()
    assert isinstance(decision_for(after), Deploy)


def test_a_prepared_spare_is_started_by_the_slot() -> None:
    """One publisher: it starts only when the one before is given up."""
    world = needing(a_prepared_spare())
    wish = a_wish(with_spares(is_started=False))
    after = applied(world, decide(world, wish))
    (deploy,) = [each for each in decide(after, wish).acts if isinstance(each, Deploy)]
    assert (deploy.slot, deploy.instance_id) == (SLOT, SPARE_HOST)


def test_no_other_is_rented_in_the_same_tick_and_another_one_when_all_is_well() -> None:
    world = needing()
    plan = decide(world, a_wish())
    assert not [each for each in plan.acts if isinstance(each, Rent)]
    after = applied(world, plan)
    (rent,) = [each for each in decide(after, a_wish()).acts if isinstance(each, Rent)]
    assert (rent.slot, rent.label) == (PLACE, "keeper:k1:duel/spare-0:2")
    record = record_after(world, plan, PLACE)
    assert record.replaced_at == (NOW,), "it counts like any host that was given up"


def test_the_rental_is_followed_in_its_new_place() -> None:
    """The listing shows the label of the spare's place; the slot's record knows the id."""
    world = needing()
    after = applied(world, decide(world, a_wish()))
    plan = decide(after, a_wish())
    assert plan.condemned == ()
    assert decision_for(plan).reason is Reason.HEALTHY


def test_a_host_given_up_is_followed_by_the_spare_in_the_next_tick() -> None:
    sick = a_record(
        a_tenure(conditions=conditions(streaming=FROZEN)), dark_since=ago(900), remedies=SPENT
    )
    world = a_spared_world(a_place(a_spare()), record=sick)
    plan = decide(world, a_wish())
    assert [each.instance_id for each in plan.condemned] == [HOST]
    after = applied(world, plan)
    assert isinstance(decision_for(decide(after, a_wish())), Promote)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"ends_at": ahead(3000), "ending_since": ago(90)}, Reason.CONTRACT_ENDING),
        ({"dollars_per_hour": 2.6, "dear_since": ago(90)}, Reason.PRICE_DRIFT),
    ],
)
def test_a_host_on_air_that_must_go_hands_over_to_the_spare(
    changes: dict[str, object], reason: Reason
) -> None:
    """Make before break, and nothing is rented for it."""
    world = a_spared_world(a_place(a_spare()), record=a_record(a_tenure(**changes)))
    plan = decide(world, a_wish(with_spares(a_stream(spend_max_dollars_per_hour=9.0))))
    (told,) = events_of(plan, SparePromoted)
    assert (told.reason, told.is_beside, told.duration_s) == (reason, True, 0.0)
    record = record_after(world, plan)
    assert record.tenure is not None
    assert record.tenure.instance_id == HOST
    assert record.incoming is not None
    assert record.incoming.instance_id == SPARE_HOST
    assert len(record.replaced_at) == 1
    after = applied(world, plan)
    ended = decide(after, a_wish(with_spares(a_stream(spend_max_dollars_per_hour=9.0))))
    assert [(c.instance_id, c.reason) for c in ended.condemned] == [(HOST, Reason.SUPERSEDED)]


def test_a_prepared_spare_beside_a_host_has_the_time_of_any_hand_over() -> None:
    record = a_record(a_tenure(ends_at=ahead(3000), ending_since=ago(90)))
    world = a_spared_world(a_place(a_prepared_spare()), record=record)
    wish = a_wish(with_spares(is_started=False))
    after = applied(world, decide(world, wish))
    plan = decide(after, wish)
    assert plan.condemned == ()
    assert isinstance(decision_for(plan), Deploy)


def test_an_ordered_replacement_is_done_with_the_spare() -> None:
    world = a_spared_world(a_place(a_spare()), orders=(an_order(OrderKind.REPLACE),))
    plan = decide(world, a_wish())
    assert [told.is_beside for told in events_of(plan, SparePromoted)] == [True]
    after = applied(applied(world, plan), decide(applied(world, plan), a_wish()))
    done = decide(after, a_wish())
    assert record_after(after, done).replace_asked_at is None


def test_a_recycle_uses_up_no_spare() -> None:
    stream = with_spares(a_stream(recycle_after_s=3600.0, spend_max_dollars_per_hour=9.0))
    old = a_record(a_tenure(first_live_at=ago(4000)))
    plan = decide(a_spared_world(a_place(a_spare()), record=old), a_wish(stream))
    assert isinstance(decision_for(plan), Rent)


def test_a_spare_with_the_trait_that_failed_stays_where_it_is() -> None:
    """A named cause: what failed hosts share and healthy ones lack (here, the driver)."""
    failures = tuple(
        Failure(
            label=f"keeper:k1:duel/0:{number}", machine_id=MachineId(600 + number), at=ago(600 * number),
            reason=Reason.FROZEN, traits={"driver": "bad"},
        )
        for number in (1, 2, 3)
    )  # fmt: skip
    slot = vacant(failures=failures)
    spare = a_prepared_spare(driver="bad")  # else it would show that the driver works
    other = a_record(
        a_tenure(driver="good", instance_id=HOST + 5, machine_id=MachineId(700)),
        slot=SlotId("duel/1"),
    )
    world = a_spared_world(a_place(spare), record=slot, others=(other,))
    wish = a_wish(with_spares(a_stream(replicas=2), is_started=False))
    assert events_of(decide(world, wish), SparePromoted) == []
    good = a_spared_world(a_place(replace(spare, driver="good")), record=slot, others=(other,))
    assert events_of(decide(good, wish), SparePromoted) != []


def test_of_several_the_one_that_has_been_ready_longest_takes_over() -> None:
    world = a_spared_world(
        a_place(a_spare(ready_at=ago(10))), a_place(a_spare(SECOND, ready_at=ago(20)), place=SECOND),
        record=vacant(),
    )  # fmt: skip
    (told,) = events_of(decide(world, a_wish(with_spares(count=2))), SparePromoted)
    assert told.spare == SECOND


def test_two_slots_never_get_the_same_spare() -> None:
    other = replace(vacant(), slot=SlotId("duel/1"))
    world = needing()
    world = replace(world, records={**world.records, other.slot: other})
    wish = a_wish(with_spares(a_stream(replicas=2)))
    assert len(events_of(decide(world, wish), SparePromoted)) == 1


def test_a_host_that_has_taken_over_is_new_to_the_slot() -> None:
    world = needing()
    host = record_after(world, decide(world, a_wish())).tenure
    assert host is not None
    assert host.first_live_at == NOW, "it has served since now"
    assert host.booted_at == NOW, "and has its time to prove itself from now on"
    assert host.ready_at is None


def test_the_next_spare_does_not_wait_for_what_the_place_once_failed_to_rent() -> None:
    world = a_spared_world(a_place(a_spare(), next_rent_at=ahead(600)), record=vacant())
    assert record_after(world, decide(world, a_wish()), PLACE).next_rent_at is None


def test_a_spare_that_is_still_booting_helps_nobody() -> None:
    young = a_fresh_tenure(label=a_spare().label, instance_id=SPARE_HOST)
    assert events_of(decide(needing(young), a_wish()), SparePromoted) == []


def test_a_spare_counts_as_a_replacement_from_the_moment_it_takes_over() -> None:
    """Counted from when the host before was given up, the next one came a minute after the spare."""
    world = needing()
    record = record_after(world, decide(world, a_wish()))
    assert record.replaced_at == (NOW,)
