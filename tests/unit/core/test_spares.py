"""A spare is there when it is wanted, costs no more than it may, and never stands in anybody's way."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest

from keeper.core.decisions import Hold, Prepare, Rent
from keeper.core.events import InstanceCondemned, InstanceRenting, OffersSearched, SpareReady
from keeper.core.flow import Rate, flow_of
from keeper.core.labels import label_for
from keeper.core.meter import Dark, Meter, Stop, Tally
from keeper.core.model import (
    Condition,
    ConditionKind,
    Desired,
    Failure,
    HostId,
    IntentKind,
    MachineId,
    Makeable,
    Mode,
    Remedy,
    Revision,
    SlotId,
    Status,
    StreamName,
    Subject,
    Symptom,
    Tenure,
)
from keeper.core.reasons import Reason
from keeper.core.spare import Spread
from keeper.core.windows import Allowance, Window
from keeper.core.world import AccountSeen, OrderKind, Outcome, OutcomeKind, World
from tests.builders import (
    DUEL,
    KEEPER_ID,
    NOW,
    SLOT,
    a_condition,
    a_desire,
    a_fresh_tenure,
    a_pause,
    a_quarantine,
    a_reading,
    a_record,
    a_stream,
    a_tenure,
    a_world,
    ago,
    ahead,
    an_asked_tenure,
    an_instance,
    an_intent,
    an_offer,
    an_order,
    applied,
    conditions,
    decide,
    decision_for,
    events_of,
    record_after,
)
from tests.unit.core.spares import (
    ELSEWHERE,
    PLACE,
    SECOND,
    SPARE_HOST,
    a_place,
    a_prepared_spare,
    a_spare,
    a_spared_world,
    a_wish,
    an_open_market,
    with_spares,
)

UNSEEN = (Status.UNKNOWN, Reason.NOT_ASKED)
EMPTY = {
    "deployed": (Status.FALSE, Reason.NOT_DEPLOYED), "running": UNSEEN, "streaming": UNSEEN,
}  # fmt: skip
BOOTED = {
    "listed_at": ago(90), "running_at": ago(60), "booted_at": ago(50), "instance_id": SPARE_HOST,
    "machine_id": MachineId(950), "host_id": HostId(960), "label": label_for(KEEPER_ID, PLACE, 1),
}  # fmt: skip
UP = a_fresh_tenure(**BOOTED, conditions=conditions(**EMPTY))
PREPARED_ONLY = a_wish(with_spares(is_started=False))


def lost(for_s: float) -> tuple[Condition, ...]:
    frozen = a_condition(ConditionKind.STREAMING, Status.FALSE, Reason.FROZEN, for_s=for_s, bad=3)
    return conditions(streaming=frozen)


def refused(for_s: float) -> tuple[Condition, ...]:
    """Dark, for a key that every host would find refused."""
    symptom = Symptom(code="key_refused", sentence="the key is refused", remedy=Remedy.PERSON)
    says = a_condition(ConditionKind.WORKING, Status.FALSE, Reason.SYMPTOM, for_s=for_s)
    dark = a_condition(ConditionKind.STREAMING, Status.FALSE, Reason.NO_BYTES, for_s=for_s, bad=3)
    return conditions(streaming=dark, working=replace(says, symptom=symptom))


ONE_SPARE = a_wish()


@dataclass(frozen=True, kw_only=True)
class Row:
    sentence: str
    world: World
    decision: str
    reason: Reason
    desired: Desired = ONE_SPARE


def other_slot(**changes: Any) -> World:
    """The stream is well, and another one of the account is as told."""
    other = a_record(slot=SlotId("other/0"))
    world = a_spared_world()
    return replace(world, records={**world.records, other.slot: replace(other, **changes)})


TWO_STREAMS = a_wish(with_spares(), a_stream("other"))
SICK = a_record(a_tenure(conditions=lost(60)), dark_since=ago(60))

ROWS = [
    # --- when one is rented, and when not ---
    Row(sentence="a spare that is wanted is rented", world=a_spared_world(),
        decision="rent", reason=Reason.SPARE_WANTED),
    Row(sentence="not while the stream itself is dark",
        world=a_spared_world(record=SICK), decision="wait", reason=Reason.SPARE_WAITS),
    Row(sentence="nor before it has ever been on air",
        world=a_spared_world(record=a_record(a_fresh_tenure())),
        decision="wait", reason=Reason.SPARE_WAITS),
    Row(sentence="nor while it is handed over",
        world=a_spared_world(record=a_record(
            a_tenure(), incoming=a_fresh_tenure(instance_id=9000))),
        decision="wait", reason=Reason.SPARE_WAITS),
    Row(sentence="nor while any slot of the account is without a host",
        world=other_slot(), desired=TWO_STREAMS,
        decision="wait", reason=Reason.SPARE_WAITS),
    Row(sentence="but for one that a person keeps empty",
        world=replace(other_slot(), slot_pauses={SlotId("other/0"): a_pause()}),
        desired=TWO_STREAMS, decision="rent", reason=Reason.SPARE_WANTED),
    Row(sentence="or one that keeper only watches",
        world=other_slot(), desired=a_wish(with_spares(), a_stream("other", mode=Mode.OBSERVE)),
        decision="rent", reason=Reason.SPARE_WANTED),
    Row(sentence="nor while the fleet is paused",
        world=a_spared_world(pause=a_pause()), decision="wait", reason=Reason.SPARE_WAITS),
    Row(sentence="nor while its own place is paused",
        world=a_spared_world(slot_pauses={PLACE: a_pause()}), decision="hold", reason=Reason.PAUSED),
    Row(sentence="nor while this box sees nothing",
        world=a_spared_world(own_network=Status.FALSE), decision="wait", reason=Reason.SPARE_WAITS),
    Row(sentence="nor while the market cannot be read",
        world=a_spared_world(unreadable_since=ago(5)), decision="hold",
        reason=Reason.MARKET_UNREADABLE),
    Row(sentence="nor for a stream that is only watched",
        world=a_spared_world(), desired=a_wish(with_spares(a_stream(mode=Mode.SUGGEST))),
        decision="hold", reason=Reason.SUGGEST_ONLY),
    Row(sentence="nor for one that costs and shows nothing",
        world=a_spared_world(meter=Meter(dark={SLOT: Dark(dollars=9.0)})), decision="hold",
        reason=Reason.DARK_SPEND),
    Row(sentence="the replacements of a place are counted like a slot's",
        world=a_spared_world(a_place(attempt=5, replaced_at=tuple(ago(3600 * n) for n in range(4, -1, -1)))),
        decision="hold", reason=Reason.REPLACEMENTS_SPENT),
    Row(sentence="a create in doubt is settled first",
        world=a_spared_world(a_place(an_asked_tenure(label=label_for(KEEPER_ID, PLACE, 1)))),
        decision="wait", reason=Reason.CREATE_UNSETTLED),
    # --- what brings it up ---
    Row(sentence="a spare that is up is deployed to",
        world=a_spared_world(a_place(UP)), decision="deploy", reason=Reason.NOT_DEPLOYED),
    Row(sentence="or only prepared, where the ingest takes one publisher",
        world=a_spared_world(a_place(UP)), desired=PREPARED_ONLY,
        decision="prepare", reason=Reason.NOT_DEPLOYED),
    Row(sentence="a prepared one is ready while its link is up",
        world=a_spared_world(a_place(a_prepared_spare())), desired=PREPARED_ONLY,
        decision="wait", reason=Reason.SPARE_READY),
    Row(sentence="one that shows its picture is ready",
        world=a_spared_world(a_place(a_spare())), decision="wait", reason=Reason.SPARE_READY),
    Row(sentence="one that has only just shown it proves itself first",
        world=a_spared_world(a_place(a_spare(good_in_a_row=2))), decision="wait",
        reason=Reason.HANDOVER),
    # --- what ends it ---
    Row(sentence="a spare that has been dark for a moment is waited for",
        world=a_spared_world(a_place(a_spare(conditions=lost(60)))), decision="wait",
        reason=Reason.NOT_ENOUGH_EVIDENCE),
    Row(sentence="one that waits for a person waits: another would wait for the same",
        world=a_spared_world(a_place(a_spare(conditions=refused(9000)))), decision="hold",
        reason=Reason.NEEDS_PERSON),
    Row(sentence="so does one that has never shown a picture for it",
        world=a_spared_world(a_place(a_spare(
            conditions=refused(9000), first_live_at=None, warm_at=None))),
        decision="hold", reason=Reason.NEEDS_PERSON),
    Row(sentence="nobody mends one that stays dark",
        world=a_spared_world(a_place(a_spare(conditions=lost(180)))), decision="destroy",
        reason=Reason.SPARE_SICK),
    Row(sentence="not knowing is no reason to give it up",
        world=a_spared_world(a_place(a_spare(conditions=conditions(streaming=UNSEEN)))),
        decision="wait", reason=Reason.UNKNOWN_IS_NOT_UNHEALTHY),
    Row(sentence="nor is anything while too many are sick",
        world=a_spared_world(a_place(a_spare(conditions=lost(180))), pause=a_pause()),
        decision="hold", reason=Reason.PAUSED),
    Row(sentence="one that is as old as it may become goes",
        world=a_spared_world(a_place(a_spare(rented_at=ago(604_800)))), decision="destroy",
        reason=Reason.SPARE_EXPIRED),
    Row(sentence="not a second earlier",
        world=a_spared_world(a_place(a_spare(rented_at=ago(604_799)))), decision="wait",
        reason=Reason.SPARE_READY),
    Row(sentence="nor for a while where its slot is in trouble and may need it",
        world=a_spared_world(a_place(a_spare(rented_at=ago(604_801))), record=SICK),
        decision="wait", reason=Reason.SPARE_READY),
    Row(sentence="one whose machine has failed meanwhile goes",
        world=a_spared_world(a_place(a_spare()), quarantine={MachineId(950): a_quarantine(950)}),
        decision="destroy", reason=Reason.SPARE_UNFIT),
    Row(sentence="one whose contract ends goes",
        world=a_spared_world(a_place(a_spare(ends_at=ahead(3000), ending_since=ago(90)))),
        decision="destroy", reason=Reason.CONTRACT_ENDING),
    Row(sentence="one with another key than at first goes",
        world=a_spared_world(a_place(a_spare(
            conditions=conditions(reachable=(Status.FALSE, Reason.HOST_KEY_CHANGED))))),
        decision="destroy", reason=Reason.HOST_KEY_CHANGED),
    Row(sentence="one that cannot be deployed to goes",
        world=a_spared_world(a_place(replace(UP, deploy_failures=2))), decision="destroy",
        reason=Reason.DEPLOY_FAILED),
    Row(sentence="one that a person wants replaced goes",
        world=a_spared_world(a_place(a_spare(), replace_asked_at=ago(1))), decision="destroy",
        reason=Reason.OPERATOR_ASKED),
    # --- money ---
    Row(sentence="no spare that the cap of spares has no room for",
        world=a_spared_world(), desired=a_wish(with_spares(max_dollars_per_hour=0.59)),
        decision="hold", reason=Reason.BUDGET),
    Row(sentence="one that costs more than the cap of spares goes",
        world=a_spared_world(a_place(a_spare())),
        desired=a_wish(with_spares(max_dollars_per_hour=0.40)),
        decision="destroy", reason=Reason.BUDGET),
    Row(sentence="no spare where a cap of the day would be used up with it",
        world=a_spared_world(),
        desired=a_wish(with_spares(a_stream(spend_max_dollars_per_day=11.0))),
        decision="hold", reason=Reason.BUDGET),
    Row(sentence="one is rented where all fits until midnight",
        world=a_spared_world(),
        desired=a_wish(with_spares(a_stream(spend_max_dollars_per_day=12.5))),
        decision="rent", reason=Reason.SPARE_WANTED),
    Row(sentence="the spare goes as soon as a cap comes near",
        world=a_spared_world(a_place(a_spare())),
        desired=a_wish(with_spares(a_stream(spend_max_dollars_per_day=1.6))),
        decision="destroy", reason=Reason.BUDGET),
    Row(sentence="or the credit",
        world=a_spared_world(a_place(a_spare()), account=AccountSeen(spendable_dollars=9.0, at=NOW)),
        decision="destroy", reason=Reason.BUDGET),
    Row(sentence="but not in a window in which no host is to be given up",
        world=a_spared_world(a_place(a_spare()), account=AccountSeen(spendable_dollars=9.0, at=NOW),
                             windows=(Window(name="w", since=ago(9), until=ahead(9), stream=None,
                                             allow=Allowance.REPAIR),)),
        decision="hold", reason=Reason.MAINTENANCE_WINDOW),
    Row(sentence="none is rented on credit that does not last a day",
        world=a_spared_world(account=AccountSeen(spendable_dollars=9.0, at=NOW)),
        decision="hold", reason=Reason.BUDGET),
    Row(sentence="one that is there is kept on credit for most of a day",
        world=a_spared_world(a_place(a_spare()), account=AccountSeen(spendable_dollars=15.0, at=NOW)),
        decision="wait", reason=Reason.SPARE_READY),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.sentence)
def test_decides(row: Row) -> None:
    plan = decide(row.world, row.desired)
    decision = decision_for(plan, PLACE)
    assert (decision.name, decision.reason) == (row.decision, row.reason), plan.sentence()


def test_every_reason_about_spares_has_a_row() -> None:
    about = {reason for reason in Reason if reason.value.startswith("spare_")}
    elsewhere = {
        Reason.SPARE_TOOK_OVER,  # test_promote.py
        Reason.SPARE_PROVEN, Reason.SPARE_STANDS, Reason.SPARE_STARTING,  # test_stopped.py
        Reason.SPARE_NOT_STARTED, Reason.SPARE_NOT_STOPPED,
    }  # fmt: skip
    assert about - {row.reason for row in ROWS} == elsewhere


def test_a_spare_has_its_own_label_and_its_record_is_on_disk_with_the_intent() -> None:
    world = a_spared_world()
    plan = decide(world, a_wish())
    (rent,) = [each for each in plan.acts if isinstance(each, Rent)]
    assert rent.label == "keeper:k1:duel/spare-0:1"
    (intent,) = plan.intents_opened
    assert (intent.kind, intent.slot, intent.label) == (IntentKind.RENT, PLACE, rent.label)
    tenure = record_after(world, plan, PLACE).tenure
    assert tenure is not None
    assert tenure.label == rent.label
    assert events_of(plan, InstanceRenting)[0].slot == PLACE


def test_a_spare_is_rented_once_however_often_it_is_asked_for() -> None:
    world = a_spared_world()
    after = applied(world, decide(world, a_wish()), in_flight=frozenset({PLACE}))
    assert not [each for each in decide(after, a_wish()).acts if isinstance(each, Rent)]


def test_the_slot_is_not_touched_and_its_host_is_not_counted_as_two() -> None:
    world = a_spared_world(a_place(a_spare()))
    plan = decide(world, a_wish())
    assert decision_for(plan, SLOT).reason is Reason.HEALTHY
    assert plan.acts == ()


def test_a_place_that_is_no_longer_declared_is_emptied() -> None:
    world = a_spared_world(a_place(a_spare()))
    plan = decide(world, a_desire())
    assert [each.instance_id for each in plan.condemned] == [SPARE_HOST]


def test_a_place_whose_spare_took_over_is_remembered_as_long_as_the_label_lives() -> None:
    """Declared anew it would count from the beginning, and give the same label twice (I1)."""
    host = a_tenure(label=label_for(KEEPER_ID, PLACE, 1))
    world = a_spared_world(a_place(attempt=1), record=a_record(host))
    assert decide(world, a_desire()).slots_forgotten == ()
    gone = a_spared_world(a_place(attempt=1))
    assert decide(gone, a_desire()).slots_forgotten == (PLACE,)


def test_an_order_to_end_a_spare_is_obeyed_in_every_mode() -> None:
    stream = with_spares(a_stream(mode=Mode.OBSERVE))
    world = a_spared_world(
        a_place(a_spare()), orders=(an_order(OrderKind.DESTROY, PLACE),),
        slot_pauses={PLACE: a_pause()},
    )  # fmt: skip
    plan = decide(world, a_wish(stream))
    (condemned,) = events_of(plan, InstanceCondemned)
    assert (condemned.slot, condemned.reason) == (PLACE, Reason.OPERATOR_ASKED)


def test_an_order_to_restart_a_spare_does_not_lie_in_wait() -> None:
    world = a_spared_world(a_place(a_spare()), orders=(an_order(OrderKind.RESTART, PLACE),))
    assert record_after(world, decide(world, a_wish()), PLACE).restart_asked_at is None


def test_a_spare_that_is_ready_is_told_once() -> None:
    world = a_spared_world(a_place(a_spare(ready_at=None)))
    plan = decide(world, a_wish())
    (told,) = events_of(plan, SpareReady)
    assert (told.slot, told.instance_id) == (PLACE, SPARE_HOST)
    assert events_of(decide(applied(world, plan), a_wish()), SpareReady) == []


def test_a_prepared_spare_remembers_it_and_is_not_looked_at_by_viewers() -> None:
    intent = an_intent(
        IntentKind.PREPARE, slot=PLACE, label=UP.label, instance_id=SPARE_HOST, intent_id="p1"
    )
    outcome = Outcome(
        intent_id=intent.intent_id, intent=intent.kind, kind=OutcomeKind.DONE, slot=PLACE,
        at=ago(1), duration_s=40.0, instance_id=SPARE_HOST,
    )  # fmt: skip
    tried = replace(UP, deploy_failures=1, acted_at=ago(41))
    world = a_spared_world(a_place(tried), intents=(intent,), outcomes=(outcome,))
    plan = decide(world, PREPARED_ONLY)
    tenure = record_after(world, plan, PLACE).tenure
    assert tenure is not None
    assert (tenure.prepared_at, tenure.deployed_at) == (ago(1), None)
    # What failed before is forgotten, and what is said next is measured against this.
    assert (tenure.deploy_failures, tenure.acted_at) == (0, ago(1))
    assert not [each for each in plan.acts if isinstance(each, Prepare)]


# --- where ------------------------------------------------------------------------------------------


def rented_at(world: World, desired: Desired | None = None) -> int | None:
    plan = decide(world, desired or a_wish())
    found = [each.machine_id for each in plan.acts if isinstance(each, Rent) and each.slot == PLACE]
    return int(found[0]) if found else None


HERE = {"public_ip": "192.0.2.9", "geolocation": "SE"}  # beside the slot's host
PLACES = [
    ("another owner and another network", {}, Spread.OWNER_AND_NETWORK, True),
    ("the same owner", {"host_id": HostId(301)}, Spread.OWNER_AND_NETWORK, False),
    ("the same network", HERE, Spread.OWNER_AND_NETWORK, False),
    ("no address but another country", {"public_ip": ""}, Spread.OWNER_AND_NETWORK, True),
    ("no address, and the same country",
     {"public_ip": "", "geolocation": "SE"}, Spread.OWNER_AND_NETWORK, False),
    ("neither address nor country",
     {"public_ip": "", "geolocation": ""}, Spread.OWNER_AND_NETWORK, False),
    ("an address that is none", {"public_ip": "<script>"}, Spread.OWNER_AND_NETWORK, True),
    ("the same network, where only the owner matters", HERE, Spread.OWNER, True),
    ("the same owner, where only the owner matters",
     {"host_id": HostId(301)}, Spread.OWNER, False),
    ("the same owner, where only the machine matters",
     {"host_id": HostId(301)}, Spread.MACHINE, True),
    ("the same machine", {"machine_id": MachineId(201)}, Spread.MACHINE, False),
]  # fmt: skip


@pytest.mark.parametrize(("offer", "spread", "suits"), [r[1:] for r in PLACES],
                         ids=[r[0] for r in PLACES])  # fmt: skip
def test_where_a_spare_may_be(offer: dict[str, object], spread: Spread, suits: bool) -> None:
    host = a_tenure(region="SE")
    market = an_open_market(an_offer(20, **{**ELSEWHERE, **offer}))
    world = a_spared_world(record=a_record(host), offers=market)
    assert (rented_at(world, a_wish(with_spares(spread=spread))) is not None) is suits


def test_where_nothing_is_far_enough_the_funnel_says_so_and_none_is_rented() -> None:
    market = an_open_market(an_offer(20, **ELSEWHERE, host_id=HostId(301)), an_offer(21, **HERE))
    plan = decide(a_spared_world(offers=market), a_wish())
    (told,) = events_of(plan, OffersSearched)
    assert "removed 1 by network in use, 1 by owner in use" in told.detail
    waits = decision_for(plan, PLACE)
    assert (waits.name, waits.reason) == ("wait", Reason.NO_SUITABLE_OFFER)


def test_the_second_spare_is_far_from_the_first_one_too() -> None:
    market = an_open_market(
        an_offer(20, **ELSEWHERE, host_id=HostId(960)), an_offer(21, **ELSEWHERE)
    )
    world = a_spared_world(a_place(a_spare()), a_place(place=SECOND), offers=market)
    wish = a_wish(with_spares(count=2, max_dollars_per_hour=2.0, spread=Spread.OWNER))
    plan = decide(world, wish)
    (rent,) = [each for each in plan.acts if isinstance(each, Rent)]
    assert (rent.slot, rent.machine_id) == (SECOND, MachineId(221))


def test_a_quarantined_machine_carries_no_spare() -> None:
    world = a_spared_world(quarantine={MachineId(220): a_quarantine(220)})
    assert rented_at(world) == 221


# --- money ------------------------------------------------------------------------------------------


def test_a_slot_that_a_limit_holds_back_gets_the_spares_money() -> None:
    """The spare is not ready, so it cannot take over; its dollars can."""
    young = a_spare(good_in_a_row=0, first_live_at=None, ready_at=None)
    slot = a_record(None, attempt=1, ever_on_air=True, dark_since=ago(60))
    world = a_spared_world(a_place(young), record=slot)
    stream = with_spares(a_stream(spend_max_dollars_per_hour=0.8))
    plan = decide(world, a_wish(stream))
    held = decision_for(plan, SLOT)
    assert isinstance(held, Hold)
    assert held.reason is Reason.BUDGET
    assert [(c.instance_id, c.reason) for c in plan.condemned] == [(SPARE_HOST, Reason.BUDGET)]


def test_another_streams_limit_costs_this_one_no_spare() -> None:
    other = a_record(slot=SlotId("other/0"))
    world = a_spared_world(a_place(a_spare()))
    world = replace(
        world, records={**world.records, other.slot: other},
        offers={**world.offers, StreamName("other"): world.offers[DUEL]},
    )  # fmt: skip
    poor = a_stream("other", spend_max_dollars_per_hour=0.1)
    assert decide(world, a_wish(with_spares(), poor)).condemned == ()
    rich = a_stream("other")
    plan = decide(world, a_wish(with_spares(), rich, spend_max_dollars_per_hour=1.0))
    assert [each.instance_id for each in plan.condemned] == [SPARE_HOST], "the fleet's limit does"


def test_of_spares_that_together_cost_too_much_the_dearest_goes() -> None:
    world = a_spared_world(
        a_place(a_spare()), a_place(a_spare(SECOND, dollars_per_hour=0.5), place=SECOND)
    )
    wish = a_wish(with_spares(count=2, max_dollars_per_hour=0.6))
    assert [each.slot for each in decide(world, wish).condemned] == [SECOND]


def test_a_hard_stop_ends_the_spare_before_any_host_on_air() -> None:
    world = a_spared_world(
        a_place(a_spare()),
        pause=None,
        meter=Meter(metered_at=NOW, rates={DUEL: Rate(dollars_per_hour=0.82)},
                    tallies={"total": {DUEL: Tally(dollars=9.85)}}),
    )  # fmt: skip
    stream = with_spares(a_stream(spend_max_dollars_total=10.0))
    plan = decide(world, a_wish(stream))
    assert [each.instance_id for each in plan.condemned] == [SPARE_HOST]


def test_after_a_hard_stop_no_spare_is_rented() -> None:
    key = "duel/total@total"
    world = a_spared_world(meter=Meter(stops={key: Stop(at=ago(9), cap_dollars=10.0)}))
    stream = with_spares(a_stream(spend_max_dollars_total=10.0))
    assert decision_for(decide(world, a_wish(stream)), PLACE).reason is Reason.BUDGET


def test_a_spare_is_counted_on_its_own_line_and_as_neither_good_nor_dark() -> None:
    world = a_spared_world(a_place(a_spare()))
    flow = flow_of(world.records.values(), (), {}, NOW)
    assert flow.rates[DUEL].dollars_per_hour == pytest.approx(0.82)
    assert flow.rates[DUEL].spare_dollars_per_hour == pytest.approx(0.41)
    assert flow.rates[DUEL].on_air == 1
    assert flow.dark == {}


def test_a_sick_spare_is_no_incident_and_no_failure_of_the_fleet() -> None:
    readings = tuple(
        a_reading(Subject.PICTURE, Status.FALSE, Reason.FROZEN, age_s=10.0 * n,
                  instance_id=SPARE_HOST)
        for n in (2, 1, 0)
    )  # fmt: skip
    world = a_spared_world(a_place(a_spare()), readings=readings)
    plan = decide(world, a_wish())
    record = record_after(world, plan, PLACE)
    assert (record.incident, record.dark_since, record.ever_on_air) == (None, None, False)
    assert plan.fuses == ()


def test_a_stray_with_the_label_of_a_place_is_not_left_alone() -> None:
    stray = an_instance(9999, label_for(KEEPER_ID, PLACE, 1))
    world = a_spared_world(a_place(attempt=1))
    assert world.listing is not None
    listing = replace(world.listing, instances=(*world.listing.instances, stray))
    plan = decide(replace(world, listing=listing), a_wish())
    assert [each.instance_id for each in plan.condemned] == [9999]


def test_a_world_without_spares_has_no_place_for_one() -> None:
    world = a_world(a_record(a_tenure()))
    assert [d.slot for d in decide(world).decisions] == [SLOT]


def test_a_named_cause_costs_no_spare() -> None:
    """It was given up for a driver that others failed with, and the next one had it too, and so on."""
    failures = tuple(
        Failure(
            label=f"keeper:k1:duel/0:{n}", machine_id=MachineId(600 + n), at=ago(600 * n),
            reason=Reason.FROZEN, traits={"driver": "bad"},
        )
        for n in (1, 2, 3)
    )  # fmt: skip
    slot = a_record(a_tenure(driver="good"), failures=failures)
    world = a_spared_world(a_place(a_prepared_spare(driver="bad")), record=slot)
    plan = decide(world, PREPARED_ONLY)
    assert plan.causes, "the driver is named"
    assert plan.condemned == ()


def test_a_store_that_is_older_than_the_truth_rents_no_spare_under_a_label_that_lives() -> None:
    """A restored copy does not know the rental; its next label would be the same one (I1)."""
    orphan = an_instance(9999, label_for(KEEPER_ID, PLACE, 1))
    world = a_spared_world(a_place(attempt=0))
    assert world.listing is not None
    listing = replace(world.listing, instances=(*world.listing.instances, orphan))
    plan = decide(replace(world, listing=listing), a_wish())
    assert not [each for each in plan.acts if isinstance(each, Rent)]
    assert plan.condemned == ()
    assert decision_for(plan, PLACE).reason is Reason.FOUND_BY_LABEL


def test_a_second_rental_with_the_label_of_one_that_took_over_waits_for_the_firsts_absence() -> (
    None
):
    host = a_tenure(label=label_for(KEEPER_ID, PLACE, 1))
    other = an_instance(9999, host.label)
    world = a_spared_world(a_place(attempt=1), record=a_record(host))
    assert world.listing is not None
    only_the_other = replace(world, listing=replace(world.listing, instances=(other,)))
    assert decide(only_the_other, a_wish()).condemned == ()
    both = replace(world.listing, instances=(*world.listing.instances, other))
    plan = decide(replace(world, listing=both), a_wish())
    assert [(c.instance_id, c.reason) for c in plan.condemned] == [(9999, Reason.DUPLICATE_RENTAL)]


# --- what is on it ----------------------------------------------------------------------------------

OLD = Revision(stream=DUEL, name="old", declared_at=ago(90_000), proven_at=ago(80_000))
NEW = Revision(stream=DUEL, name="new", declared_at=ago(5000))
PROVEN = replace(NEW, proven_at=ago(3000))


def declaring(*known: Revision, spare: Tenure, deployed_s: float = 3200.0) -> tuple[World, Desired]:
    tenure = a_tenure(revision="new", deployed_at=ago(deployed_s))
    host = a_record(tenure, proven_revision="new")
    world = a_spared_world(a_place(spare), record=host, revisions={DUEL: known})
    return world, a_wish(with_spares(a_stream(revision="new")))


def test_a_spare_gets_what_its_stream_runs_once_that_is_proven() -> None:
    world, wish = declaring(OLD, PROVEN, spare=a_spare(revision="old"))
    decision = decision_for(decide(world, wish), PLACE)
    assert (decision.name, decision.reason) == ("deploy", Reason.ROLLOUT)


def test_not_while_it_is_on_trial() -> None:
    world, wish = declaring(OLD, NEW, spare=a_spare(revision="old"), deployed_s=60.0)
    assert decision_for(decide(world, wish), PLACE).reason is Reason.SPARE_READY


def test_nor_is_one_rented_then() -> None:
    host = a_record(a_tenure(revision="new", deployed_at=ago(60)), proven_revision="old")
    world = a_spared_world(a_place(), record=host, revisions={DUEL: (OLD, NEW)})
    wish = a_wish(with_spares(a_stream(revision="new")))
    assert decision_for(decide(world, wish), PLACE).reason is Reason.SPARE_WAITS


def test_one_is_rented_for_what_worked_before_where_the_changed_deploy_is_bad() -> None:
    """For six hours none was, though every slot was well with what had been put back."""
    failures = tuple(
        Failure(
            label=f"keeper:k1:duel/0:{n}", machine_id=MachineId(600 + n), at=ago(600 * n),
            reason=Reason.FROZEN, traits={"revision": "new"},
        )
        for n in (1, 2)
    )  # fmt: skip
    host = a_record(a_tenure(revision="old"), proven_revision="old", failures=failures)
    bad = replace(NEW, bad_at=ago(500), bad_reason=Reason.FROZEN)
    stream = with_spares(a_stream(revision="new"))
    made = {DUEL: {"old": Makeable(rental=stream.rental, rungs=stream.rungs)}}
    world = a_spared_world(record=host, revisions={DUEL: (OLD, bad)}, makeable=made)
    plan = decide(world, a_wish(stream))
    (rent,) = [each for each in plan.acts if isinstance(each, Rent)]
    assert rent.slot == PLACE
    tenure = record_after(world, plan, PLACE).tenure
    assert tenure is not None
    assert tenure.revision == "old"


def test_one_with_half_of_it_takes_nothing_over() -> None:
    world, wish = declaring(OLD, PROVEN, spare=a_spare(revision="old", putting="new"))
    vacant = a_record(None, attempt=2, ever_on_air=True, dark_since=ago(60))
    world = replace(world, records={**world.records, SLOT: vacant})
    assert decision_for(decide(world, wish), SLOT).name != "promote"


def test_one_that_takes_it_on_nowhere_is_given_back() -> None:
    spare = a_spare(revision="old", putting="new", deploy_failures=2)
    world, wish = declaring(OLD, PROVEN, spare=spare)
    decision = decision_for(decide(world, wish), PLACE)
    assert (decision.name, decision.reason) == ("destroy", Reason.DEPLOY_FAILED)


def test_one_that_was_rented_for_something_else_is_given_back() -> None:
    old, new = replace(OLD, rental_mark="image 1"), replace(PROVEN, rental_mark="image 2")
    world, wish = declaring(old, new, spare=a_spare(revision="old"))
    stream = replace(wish.streams[0], rental_mark="image 2")
    decision = decision_for(decide(world, replace(wish, streams=(stream,))), PLACE)
    assert (decision.name, decision.reason) == ("destroy", Reason.ROLLOUT)
