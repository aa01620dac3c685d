"""Spares that stand still: what they cost, when they are stopped and started, and what is never done to them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest

from keeper.core.decisions import Deploy, Plan, Promote, Rent, Start, Stop
from keeper.core.events import InstanceFoundRunning, SparePromoted, StreamOnAir
from keeper.core.flow import Rate
from keeper.core.meter import Meter, Tally
from keeper.core.model import (
    Desired,
    HostId,
    Instance,
    IntentKind,
    MachineId,
    MarketState,
    Mode,
    OfferId,
    Pricing,
    Revision,
    SlotId,
    Status,
)
from keeper.core.reasons import SENTENCE, Reason
from keeper.core.spare import Spread
from keeper.core.windows import Allowance, Window
from keeper.core.world import AccountSeen, OrderKind, World
from tests.builders import (
    DUEL,
    HOST,
    NOW,
    SLOT,
    a_fresh_tenure,
    a_pause,
    a_quarantine,
    a_record,
    a_stream,
    a_tenure,
    ago,
    ahead,
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
from tests.unit.core.standing_spares import (
    DISK,
    ONE,
    UNSEEN,
    a_standing_spare,
    a_starting_spare,
    a_stopping_spare,
    needing,
    queued,
    resting,
    running,
    standing,
    stopped_kind,
    vacant,
)
from tests.unit.core.test_spares import NEW, OLD, PROVEN, SICK

UP = {"deployed": (Status.FALSE, Reason.NOT_DEPLOYED), "running": UNSEEN, "streaming": UNSEEN}


@dataclass(frozen=True, kw_only=True)
class Row:
    sentence: str
    world: World
    decision: str
    reason: Reason
    desired: Desired = ONE


def offline(instance: Instance) -> Instance:
    return replace(standing(instance), state=MarketState.OFFLINE)


ROWS = [
    # --- it is stopped ---
    Row(sentence="a spare that has proven itself is stopped",
        world=a_spared_world(a_place(a_spare())), decision="stop", reason=Reason.SPARE_PROVEN),
    Row(sentence="one that is only prepared, too",
        world=a_spared_world(a_place(a_prepared_spare(ready_at=ago(9)))),
        desired=a_wish(stopped_kind(is_started=False)), decision="stop", reason=Reason.SPARE_PROVEN),
    Row(sentence="a warm one is not", world=a_spared_world(a_place(a_spare())),
        desired=a_wish(with_spares()), decision="wait", reason=Reason.SPARE_READY),
    Row(sentence="nor one that was bid for, and would have to be won again",
        world=a_spared_world(a_place(a_spare(is_bid=True, bid_dollars_per_hour=0.4))),
        decision="wait", reason=Reason.SPARE_READY),
    Row(sentence="nor one with a dead man on it, which would stop it as soon as it is started",
        world=a_spared_world(a_place(a_spare(is_guarded=True))), decision="wait",
        reason=Reason.SPARE_READY),
    Row(sentence="nor one that has not proven itself yet",
        world=a_spared_world(a_place(a_spare(good_in_a_row=2))), decision="wait",
        reason=Reason.HANDOVER),
    Row(sentence="nor while its stream is in trouble and may want it",
        world=a_spared_world(a_place(a_spare(ready_at=ago(60))), record=SICK), decision="wait",
        reason=Reason.SPARE_READY),
    Row(sentence="but not for ever",
        world=a_spared_world(a_place(a_spare(ready_at=ago(3600), booted_at=ago(3700))), record=SICK), decision="stop",
        reason=Reason.SPARE_PROVEN),
    Row(sentence="nor while keeper is paused",
        world=a_spared_world(a_place(a_spare()), pause=a_pause()), decision="hold",
        reason=Reason.PAUSED),
    Row(sentence="nor while the market cannot be read",
        world=a_spared_world(a_place(a_spare()), unreadable_since=ago(5)), decision="hold",
        reason=Reason.MARKET_UNREADABLE),
    Row(sentence="nor where keeper only watches", world=a_spared_world(a_place(a_spare())),
        desired=a_wish(stopped_kind(a_stream(mode=Mode.SUGGEST))), decision="hold",
        reason=Reason.SUGGEST_ONLY),
    # --- the stop sticks, or not ---
    Row(sentence="a stop is waited for", world=resting(a_stopping_spare(170), running),
        decision="wait", reason=Reason.SPARE_PROVEN),
    Row(sentence="a stop that does not stick is asked for again",
        world=resting(a_stopping_spare(190), running), decision="stop", reason=Reason.SPARE_PROVEN),
    Row(sentence="but not before a list says so",
        world=resting(a_stopping_spare(182), running), decision="wait", reason=Reason.SPARE_PROVEN),
    Row(sentence="nor by a keeper that has just begun",
        world=resting(a_stopping_spare(900), running, started_at=ago(100)), decision="wait",
        reason=Reason.SPARE_PROVEN),
    Row(sentence="after the third it is given up",
        world=resting(a_stopping_spare(190, tries=3), running), decision="destroy",
        reason=Reason.SPARE_NOT_STOPPED),
    # --- it stands ---
    Row(sentence="what stands still is left alone", world=resting(), decision="wait",
        reason=Reason.SPARE_STANDS),
    Row(sentence="what shows that it stands is believed",
        world=resting(a_stopping_spare(60)), decision="wait", reason=Reason.SPARE_STANDS),
    Row(sentence="one that is found running is stopped again", world=resting(shown=running),
        decision="stop", reason=Reason.SPARE_PROVEN),
    Row(sentence="one that is found running too often is given up",
        world=resting(a_standing_spare(stop_tries=3), running), decision="destroy",
        reason=Reason.SPARE_NOT_STOPPED),
    Row(sentence="one that somebody else has queued is stopped, which ends the waiting",
        world=resting(a_standing_spare(start_queued_at=ago(60)), queued), decision="stop",
        reason=Reason.SPARE_PROVEN),
    Row(sentence="a machine that is off for a moment is waited for",
        world=resting(a_standing_spare(dead_since=ago(200)), offline), decision="wait",
        reason=Reason.MARKET_SAYS_DEAD),
    Row(sentence="one that stays off could not be started",
        world=resting(a_standing_spare(dead_since=ago(310)), offline), decision="destroy",
        reason=Reason.MARKET_SAYS_DEAD),
    Row(sentence="one that a list lacks is looked for",
        world=resting(shown=lambda _: None), decision="wait", reason=Reason.MISSING_FROM_LIST),
    Row(sentence="one that is as old as it may become goes",
        world=resting(a_standing_spare(rented_at=ago(604_800))), decision="destroy",
        reason=Reason.SPARE_EXPIRED),
    Row(sentence="one whose contract ends goes",
        world=resting(a_standing_spare(ends_at=ahead(3000), ending_since=ago(90))),
        decision="destroy", reason=Reason.CONTRACT_ENDING),
    Row(sentence="one whose machine has failed meanwhile goes",
        world=resting(quarantine={MachineId(950): a_quarantine(950)}), decision="destroy",
        reason=Reason.SPARE_UNFIT),
    Row(sentence="one that a person wants replaced goes",
        world=resting(orders=(an_order(OrderKind.REPLACE, PLACE),)), decision="destroy",
        reason=Reason.OPERATOR_ASKED),
    Row(sentence="one that is held because keeper is paused stands on",
        world=resting(pause=a_pause()), decision="wait", reason=Reason.SPARE_STANDS),
    Row(sentence="one that was refused for want of credit stands as before",
        world=resting(a_standing_spare(start_refused=Reason.OUT_OF_CREDIT)), decision="wait",
        reason=Reason.SPARE_STANDS),
    Row(sentence="one that was refused for good goes",
        world=resting(a_standing_spare(start_refused=Reason.SPARE_NOT_STARTED)),
        decision="destroy", reason=Reason.SPARE_NOT_STARTED),
    Row(sentence="another kind that is declared is for the next one", world=resting(),
        desired=a_wish(with_spares()), decision="wait", reason=Reason.SPARE_STANDS),
    # --- it starts ---
    Row(sentence="a start is waited for", world=needing(a_starting_spare(110), queued),
        decision="wait", reason=Reason.SPARE_STARTING),
    Row(sentence="one that does not come up is given up, which ends the waiting in a queue",
        world=needing(a_starting_spare(126), queued), decision="destroy",
        reason=Reason.SPARE_NOT_STARTED),
    Row(sentence="but a start not before a list says so",
        world=needing(a_starting_spare(122), queued), decision="wait",
        reason=Reason.SPARE_STARTING),
    Row(sentence="nor by a keeper that has just come back",
        world=needing(a_starting_spare(900), queued, started_at=ago(100)), decision="wait",
        reason=Reason.SPARE_STARTING),
    Row(sentence="where the answer itself said that it waits, half a minute is enough",
        world=needing(a_starting_spare(40, start_queued_at=ago(36)), queued),
        decision="destroy", reason=Reason.SPARE_NOT_STARTED),
    Row(sentence="a list that shows it waiting proves less: reads lag behind",
        world=needing(a_starting_spare(75, start_queued_at=ago(36)), queued),
        decision="wait", reason=Reason.SPARE_STARTING),
    Row(sentence="the bound is a setting", world=needing(a_starting_spare(110), queued),
        desired=a_wish(stopped_kind(start_within_s=60.0)), decision="destroy",
        reason=Reason.SPARE_NOT_STARTED),
    Row(sentence="one that runs has a while for its link",
        world=needing(a_starting_spare(290), running), decision="wait",
        reason=Reason.SPARE_STARTING),
    Row(sentence="and no longer",
        world=needing(a_starting_spare(310), running), decision="destroy",
        reason=Reason.SPARE_NOT_STARTED),
    Row(sentence="one that shows another key than before is no host to wait for",
        world=needing(a_starting_spare(60, start_asked_at=None, stop_asked_at=None, stopped_at=None,
                                       conditions=conditions(reachable=(Status.FALSE, Reason.HOST_KEY_CHANGED))),
                      running),
        decision="destroy", reason=Reason.HOST_KEY_CHANGED),
    Row(sentence="a start is not given up while keeper is paused",
        world=needing(a_starting_spare(126), queued, pause=a_pause()), decision="hold",
        reason=Reason.PAUSED),
    Row(sentence="its end does not wait for the place's allowance: it may bill any day",
        world=needing(a_starting_spare(126), queued, records={
            SLOT: vacant(), PLACE: a_place(a_starting_spare(126), replaced_at=(ago(60),))}),
        decision="destroy", reason=Reason.SPARE_NOT_STARTED),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.sentence)
def test_decides(row: Row) -> None:
    plan = decide(row.world, row.desired)
    decision = decision_for(plan, PLACE)
    assert (decision.name, decision.reason) == (row.decision, row.reason), plan.sentence()


def test_every_reason_of_them_has_a_row_and_a_sentence() -> None:
    mine = {
        Reason.SPARE_PROVEN, Reason.SPARE_STANDS, Reason.SPARE_STARTING, Reason.SPARE_NOT_STARTED,
        Reason.SPARE_NOT_STOPPED,
    }  # fmt: skip
    assert mine <= {row.reason for row in ROWS}
    assert all(SENTENCE[reason] for reason in mine)


# --- money: before it is rented, while it stands, before it is started --------------------------------


def rents(world: World, desired: Desired) -> bool:
    return any(
        isinstance(each, Rent) and each.slot == PLACE for each in decide(world, desired).acts
    )


MARKET = an_open_market(an_offer(20, **ELSEWHERE, disk_dollars_per_hour=DISK))


def test_its_whole_price_counts_under_the_cap_of_spares_while_it_comes_up() -> None:
    world = a_spared_world(offers=MARKET)
    assert rents(world, a_wish(stopped_kind(max_dollars_per_hour=0.60)))
    assert not rents(world, a_wish(stopped_kind(max_dollars_per_hour=0.40)))


def test_what_stands_leaves_room_for_the_next_one() -> None:
    """The first one costs its disk; both at their whole price would be 1.01."""
    first, second = a_place(a_standing_spare()), a_place(place=SECOND)
    world = a_spared_world(first, second, shown=standing, offers=MARKET)
    wish = a_wish(stopped_kind(count=2, max_dollars_per_hour=0.65, spread=Spread.MACHINE))
    (rent,) = [each for each in decide(world, wish).acts if isinstance(each, Rent)]
    assert rent.slot == SECOND
    runs = a_spared_world(a_place(a_stopping_spare(60)), second, shown=running, offers=MARKET)
    assert not [each for each in decide(runs, wish).acts if isinstance(each, Rent)]


@pytest.mark.parametrize(("dollars", "is_rented"), [(5.8, True), (5.7, False)])
def test_a_cap_of_the_day_holds_its_coming_up_and_its_disk_until_midnight(
    dollars: float, *, is_rented: bool
) -> None:
    """Its host costs 4.92 until midnight, it 0.60 an hour until it stands, then 0.02; a warm one 7.20."""
    stream = stopped_kind(a_stream(spend_max_dollars_per_day=dollars))
    world = a_spared_world(offers=MARKET)
    assert rents(world, a_wish(stream)) is is_rented
    warm = with_spares(a_stream(spend_max_dollars_per_day=dollars))
    assert not rents(world, a_wish(warm))


def test_the_hourly_cap_must_hold_its_whole_price_while_it_comes_up() -> None:
    world = a_spared_world(offers=MARKET)
    assert rents(world, a_wish(stopped_kind(a_stream(spend_max_dollars_per_hour=1.02))))
    assert not rents(world, a_wish(stopped_kind(a_stream(spend_max_dollars_per_hour=1.00))))


def test_it_is_never_bid_for() -> None:
    bid = an_offer(20, **ELSEWHERE, is_bid=True, gpu_dollars_per_hour=0.1)
    stream = a_stream()
    needs = replace(stream.needs, pricing=Pricing.INTERRUPTIBLE_WITH_FALLBACK)
    stream = replace(stream, needs=needs)
    world = a_spared_world(offers=an_open_market(bid))
    assert not rents(world, a_wish(stopped_kind(stream)))
    assert rents(world, a_wish(with_spares(stream)))


@pytest.mark.parametrize(("dollars_per_hour", "is_started"), [(0.42, True), (0.40, False)])
def test_a_start_is_checked_like_a_rental(dollars_per_hour: float, *, is_started: bool) -> None:
    stream = stopped_kind(a_stream(spend_max_dollars_per_hour=dollars_per_hour))
    plan = decide(needing(), a_wish(stream))
    assert bool(starts(plan)) is is_started, plan.sentence()


def test_a_start_must_fit_under_the_cap_of_the_day_as_well() -> None:
    spent = Meter(
        metered_at=NOW, rates={DUEL: Rate(dollars_per_hour=DISK)},
        tallies={f"{NOW:%Y-%m-%d}": {DUEL: Tally(dollars=9.8)}},
    )  # fmt: skip
    stream = stopped_kind(a_stream(spend_max_dollars_per_day=10.0))
    assert not starts(decide(needing(meter=spent), a_wish(stream)))
    room = stopped_kind(a_stream(spend_max_dollars_per_day=10.5))
    assert starts(decide(needing(meter=spent), a_wish(room)))


def test_without_credit_nothing_is_started() -> None:
    empty = AccountSeen(spendable_dollars=0.0, at=NOW, empty_at=NOW)
    plan = decide(needing(account=empty), ONE)
    assert not [each for each in plan.acts if isinstance(each, Start | Rent)]
    assert decision_for(plan).reason is Reason.OUT_OF_CREDIT


def test_what_a_start_costs_keeps_no_spare_from_the_slot_that_waits_for_it() -> None:
    """From the start on it counts in full, also under the cap of spares: it is a slot's by then."""
    stream = stopped_kind(max_dollars_per_hour=0.1)
    plan = decide(needing(a_starting_spare(60), queued), a_wish(stream))
    assert plan.condemned == ()


# --- a slot needs one ----------------------------------------------------------------------------------


def starts(plan: Plan) -> list[SlotId]:
    return [each.slot for each in plan.acts if isinstance(each, Start)]


@dataclass(frozen=True, kw_only=True)
class Need:
    sentence: str
    world: World
    is_started: bool
    desired: Desired = ONE


DEAR = {"dollars_per_hour": 2.6, "dear_since": ago(90)}
RISEN: dict[str, Any] = {
    "dollars_per_hour": 0.9, "offered_dollars_per_hour": 0.41, "dear_since": ago(90),
}  # fmt: skip
RICH = stopped_kind(a_stream(spend_max_dollars_per_hour=9.0))
NEEDS = [
    Need(sentence="a slot without a host has the spare started", world=needing(), is_started=True),
    Need(sentence="a slot that never had one, too",
         world=resting(record=a_record()), is_started=True),
    Need(sentence="and one whose host's contract ends, ahead of time",
         world=resting(record=a_record(a_tenure(ends_at=ahead(3000), ending_since=ago(90)))),
         is_started=True),
    Need(sentence="or whose price rose", world=resting(record=a_record(a_tenure(**DEAR))),
         desired=a_wish(RICH), is_started=True),
    Need(sentence="or where a person wants another host",
         world=resting(orders=(an_order(OrderKind.REPLACE),)), is_started=True),
    Need(sentence="not for a recycle", is_started=False,
         world=resting(record=a_record(a_tenure(first_live_at=ago(4000)))),
         desired=a_wish(stopped_kind(a_stream(recycle_after_s=3600.0, spend_max_dollars_per_hour=9.0)))),
    Need(sentence="nor where a person has named the offer",
         world=needing(record=vacant(offer_asked=OfferId(121))), is_started=False),
    Need(sentence="nor for a slot that is well", world=resting(), is_started=False),
    Need(sentence="nor one that a person keeps",
         world=needing(slot_pauses={PLACE: a_pause()}), is_started=False),
    Need(sentence="nor for a slot that a person has paused",
         world=needing(slot_pauses={SLOT: a_pause()}), is_started=False),
    Need(sentence="nor while keeper is paused", world=needing(pause=a_pause()), is_started=False),
    Need(sentence="nor in a window that lets nothing be rented",
         world=needing(windows=(Window(name="w", since=ago(9), until=ahead(9), stream=None,
                                       allow=Allowance.REPAIR),)), is_started=False),
    Need(sentence="nor while the market cannot be read",
         world=needing(unreadable_since=ago(5)), is_started=False),
    Need(sentence="nor beyond the allowance of replacements", is_started=False,
         world=needing(record=vacant(replaced_at=tuple(ago(1000.0 * n) for n in range(6, 0, -1))))),
    Need(sentence="nor one on a machine that has failed meanwhile",
         world=needing(quarantine={MachineId(950): a_quarantine(950)}), is_started=False),
    Need(sentence="nor one of an owner two of whose machines have failed", is_started=False,
         world=needing(quarantine={MachineId(n): a_quarantine(n, host_id=HostId(960)) for n in (1, 2)})),
    Need(sentence="nor one whose machine is off",
         world=needing(a_standing_spare(dead_since=ago(60)), offline), is_started=False),
    Need(sentence="nor one of which the list says something else",
         world=needing(shown=lambda i: replace(standing(i), state=MarketState.OTHER)), is_started=False),
    Need(sentence="nor one that the list lacks", world=needing(shown=lambda _: None), is_started=False),
    Need(sentence="nor one that costs more by now than the stream may pay", desired=a_wish(RICH),
         world=needing(a_standing_spare(**{**RISEN, "dollars_per_hour": 2.6})), is_started=False),
    Need(sentence="one whose price has risen to what a host may cost is", desired=a_wish(RICH),
         world=needing(a_standing_spare(**RISEN)), is_started=True),
    Need(sentence="nor one whose own contract ends",
         world=needing(a_standing_spare(ends_at=ahead(3000), ending_since=ago(90))), is_started=False),
    Need(sentence="nor one that is only about to stand",
         world=needing(a_stopping_spare(60), running), is_started=False),
    Need(sentence="nor one that is being worked on",
         world=needing(in_flight=frozenset({PLACE})), is_started=False),
    Need(sentence="nor one that is to end",
         world=needing(records={SLOT: vacant(), PLACE: a_place(a_standing_spare(), destroy_asked_at=ago(1))}),
         is_started=False),
    Need(sentence="nor one that was refused for good",
         world=needing(a_standing_spare(start_refused=Reason.SPARE_NOT_STARTED)), is_started=False),
    Need(sentence="nor one that was refused a moment ago", is_started=False,
         world=needing(a_standing_spare(start_refused=Reason.BACKING_OFF, acted_at=ago(55)))),
    Need(sentence="one that was refused a while ago is tried again", is_started=True,
         world=needing(a_standing_spare(start_refused=Reason.BACKING_OFF, acted_at=ago(65)))),
]  # fmt: skip


@pytest.mark.parametrize("need", NEEDS, ids=lambda need: need.sentence)
def test_is_started(need: Need) -> None:
    plan = decide(need.world, need.desired)
    assert (starts(plan) == [PLACE]) is need.is_started, plan.sentence()
    if need.is_started:
        assert not [each for each in plan.acts if isinstance(each, Rent)], "never two for one slot"
        waits = decision_for(plan)
        assert (waits.name, waits.reason) == ("wait", Reason.SPARE_STARTING)


def test_its_order_is_on_the_disk_first_and_it_counts_in_full_from_then_on() -> None:
    world = needing()
    plan = decide(world, ONE)
    (intent,) = plan.intents_opened
    assert (intent.kind, intent.slot, intent.instance_id) == (IntentKind.START, PLACE, SPARE_HOST)
    tenure = record_after(world, plan, PLACE).tenure
    assert tenure is not None
    assert (tenure.start_asked_at, tenure.booted_at, tenure.deployed_at) == (NOW, None, None)
    assert tenure.prepared_at == NOW, "all is there, and nothing of it runs"
    assert record_after(world, plan).replaced_at == vacant().replaced_at, "no host has come yet"
    assert [each.name for each in plan.decisions if each.slot == PLACE] == ["start"]


def test_it_is_started_once_and_nothing_is_rented_while_it_comes_up() -> None:
    world = needing()
    after = applied(world, decide(world, ONE), in_flight=frozenset({PLACE}))
    for later_on in (after, replace(after, in_flight=frozenset())):
        plan = decide(later_on, ONE)
        assert [each for each in plan.acts if isinstance(each, Start | Rent)] == []
        assert decision_for(plan).reason is Reason.SPARE_STARTING


def test_a_start_that_failed_is_followed_by_a_rental_at_once() -> None:
    world = needing(a_starting_spare(126), queued)
    plan = decide(world, ONE)
    assert [(c.instance_id, c.reason) for c in plan.condemned] == [
        (SPARE_HOST, Reason.SPARE_NOT_STARTED)
    ]
    assert plan.quarantine == (), "its GPU is let: the machine has failed nobody"
    (rent,) = [each for each in plan.acts if isinstance(each, Rent)]
    assert rent.slot == SLOT


def test_nothing_is_rented_until_a_list_says_that_it_did_not_come_up() -> None:
    """Else two hosts were on their way for one slot, for as long as a list takes."""
    plan = decide(needing(a_starting_spare(122), queued), ONE)
    assert (plan.acts, plan.condemned) == ((), ())
    assert decision_for(plan).reason is Reason.SPARE_STARTING
    assert plan.wants.listing_by is not None


def test_a_list_that_lacks_one_that_starts_has_nothing_rented_beside_it() -> None:
    """Lists skip rows. The time of a start ends all the same."""
    plan = decide(needing(a_starting_spare(60), lambda _: None), ONE)
    assert not [each for each in plan.acts if isinstance(each, Rent)]
    late = decide(needing(a_starting_spare(126, missing_since=ago(5)), lambda _: None), ONE)
    assert [each.slot for each in late.acts if isinstance(each, Rent)] == [SLOT]


def test_one_whose_place_a_bug_holds_is_not_waited_for() -> None:
    world = needing(a_starting_spare(60), queued, held_slots=frozenset({PLACE}))
    assert [each.slot for each in decide(world, ONE).acts if isinstance(each, Rent)] == [SLOT]


def test_one_that_is_ready_is_stopped_at_once() -> None:
    plan = decide(a_spared_world(a_place(a_spare(ready_at=None))), ONE)
    assert [each.slot for each in plan.acts if isinstance(each, Stop)] == [PLACE]


def test_or_by_the_next_spare() -> None:
    world = a_spared_world(
        a_place(a_starting_spare(126)), a_place(a_standing_spare(SECOND), place=SECOND),
        record=vacant(), shown=lambda i: (queued if i.instance_id == SPARE_HOST else standing)(i),
    )  # fmt: skip
    plan = decide(world, a_wish(stopped_kind(count=2)))
    assert starts(plan) == [SECOND]
    assert [each.instance_id for each in plan.condemned] == [SPARE_HOST]
    assert not [each for each in plan.acts if isinstance(each, Rent)]


def test_two_slots_never_wait_for_the_same_spare() -> None:
    """The slot that comes first gets the one that starts already; the other one rents."""
    other = replace(vacant(), slot=SlotId("duel/1"))
    world = needing(a_starting_spare(60), queued, others=(other,))
    wish = a_wish(stopped_kind(a_stream(replicas=2)))
    plan = decide(world, wish)
    assert decision_for(plan).reason is Reason.SPARE_STARTING
    assert [each.slot for each in plan.acts if isinstance(each, Rent)] == [other.slot]


def test_of_several_the_one_that_has_been_ready_longest_is_started() -> None:
    world = a_spared_world(
        a_place(a_standing_spare(ready_at=ago(3100))),
        a_place(a_standing_spare(SECOND, ready_at=ago(3200)), place=SECOND),
        record=vacant(), shown=standing,
    )  # fmt: skip
    assert starts(decide(world, a_wish(stopped_kind(count=2)))) == [SECOND]


def test_a_spare_that_runs_takes_over_and_none_is_started() -> None:
    world = a_spared_world(
        a_place(a_standing_spare()), a_place(a_spare(SECOND), place=SECOND), record=vacant(),
        shown=lambda i: standing(i) if i.instance_id == SPARE_HOST else i,
    )  # fmt: skip
    plan = decide(world, a_wish(stopped_kind(count=2)))
    assert [told.spare for told in events_of(plan, SparePromoted)] == [SECOND]
    assert starts(plan) == []


def test_a_slot_does_not_wait_for_its_old_host_to_hear_of_its_end() -> None:
    condemned = decide(
        a_spared_world(a_place(a_standing_spare()), shown=standing, orders=()), ONE
    ).condemned
    assert condemned == ()
    sick = a_record(
        a_tenure(conditions=conditions(reachable=(Status.FALSE, Reason.HOST_KEY_CHANGED),
                                       streaming=(Status.FALSE, Reason.FROZEN))),
        dark_since=ago(900),
    )  # fmt: skip
    world = resting(record=sick)
    given_up = decide(world, ONE)
    assert [each.instance_id for each in given_up.condemned] == [HOST]
    assert starts(decide(applied(world, given_up), ONE)) == [PLACE]


# --- it is up ------------------------------------------------------------------------------------------


def came_up(**changes: object) -> World:
    """It was told to start 50 s ago, is listed as running, and its link is up since."""
    linked = conditions(**UP, rented=(Status.TRUE, Reason.RUNNING))
    started = a_starting_spare(
        50, running_at=ago(20), booted_at=ago(4), conditions=linked, start_asked_at=None,
        stop_asked_at=None, stopped_at=None, stop_tries=0, ready_at=ago(90_000),
    )  # fmt: skip
    return needing(started, running, **changes)


def test_when_its_link_is_up_it_takes_over_and_its_workload_is_started_there() -> None:
    world = came_up()
    plan = decide(world, ONE)
    (told,) = events_of(plan, SparePromoted)
    assert (told.slot, told.instance_id, told.reason) == (SLOT, SPARE_HOST, Reason.LADDER_SPENT)
    record = record_after(world, plan)
    assert record.tenure is not None
    assert (record.tenure.stop_asked_at, record.tenure.ready_at, record.tenure.prepared_at) == (
        None, None, None,
    )  # fmt: skip
    assert record.dark_since == ago(200), "nobody sees a picture yet"
    assert events_of(plan, StreamOnAir) == []
    assert record.tenure.first_live_at is None
    (deploy,) = [
        each for each in decide(applied(world, plan), ONE).acts if isinstance(each, Deploy)
    ]
    assert (deploy.slot, deploy.instance_id) == (SLOT, SPARE_HOST)


def test_a_slot_that_was_never_on_air_is_not_called_so_when_a_spare_takes_over() -> None:
    world = came_up(record=a_record())
    record = record_after(world, decide(world, ONE))
    assert (record.ever_on_air, record.healthy_since) == (False, None)


def test_where_the_old_host_still_serves_it_proves_itself_beside_it_first() -> None:
    ending = a_record(a_tenure(ends_at=ahead(3000), ending_since=ago(90)))
    world = came_up(record=ending)
    plan = decide(world, ONE)
    record = record_after(world, plan)
    assert record.incoming is not None
    assert record.incoming.instance_id == SPARE_HOST
    assert plan.condemned == ()
    (deploy,) = [
        each for each in decide(applied(world, plan), ONE).acts if isinstance(each, Deploy)
    ]
    assert deploy.instance_id == SPARE_HOST


def test_one_that_nobody_needs_any_more_stands_still_again() -> None:
    """It is never started but for a slot, so that cannot go on and on."""
    plan = decide(came_up(record=a_record(a_tenure())), ONE)
    assert [each.slot for each in plan.acts if isinstance(each, Stop)] == [PLACE]


def test_but_not_at_once_where_its_stream_is_still_in_trouble() -> None:
    """Its slot may not have it just now; when it may, it need not be started again."""
    plan = decide(came_up(slot_pauses={SLOT: a_pause()}), ONE)
    assert plan.acts == ()
    assert decision_for(plan, PLACE).reason is Reason.SPARE_READY


def test_a_start_that_nobody_needs_any_more_is_awaited_not_broken() -> None:
    plan = decide(resting(a_starting_spare(60), queued), ONE)
    assert plan.acts == ()
    assert decision_for(plan, PLACE).reason is Reason.SPARE_STARTING


# --- what is never done to it --------------------------------------------------------------------------


def test_nothing_is_believed_or_asked_of_what_stands_still() -> None:
    world = resting()
    plan = decide(world, ONE)
    assert (plan.acts, plan.events, plan.records, plan.fuses) == ((), (), (), ())
    assert plan.wants.listing_by is None, "no list is read sooner for it"


def test_nor_is_a_list_read_sooner_for_a_link_that_the_stop_has_cut() -> None:
    cut = conditions(rented=(Status.UNKNOWN, Reason.SPARE_STANDS),
                     reachable=(Status.UNKNOWN, Reason.LINK_LOST), streaming=UNSEEN)  # fmt: skip
    assert decide(resting(a_standing_spare(conditions=cut)), ONE).wants.listing_by is None


def test_one_that_was_just_told_to_stop_takes_nothing_over() -> None:
    """Its picture is still there, and may be gone in a second."""
    plan = decide(needing(a_spare(stop_asked_at=ago(5), stop_tries=1), running), ONE)
    assert events_of(plan, SparePromoted) == []


def test_what_was_seen_of_it_says_nothing_once_it_is_told_to_stop() -> None:
    world = a_spared_world(a_place(a_spare()))
    tenure = record_after(world, decide(world, ONE), PLACE).tenure
    assert tenure is not None
    assert (tenure.stop_asked_at, tenure.stop_tries, tenure.good_in_a_row) == (NOW, 1, 0)
    assert {c.status for c in tenure.conditions[3:]} == {Status.UNKNOWN}


def test_one_that_is_found_running_is_a_fact() -> None:
    plan = decide(resting(shown=running), ONE)
    (found,) = events_of(plan, InstanceFoundRunning)
    assert (found.slot, found.instance_id) == (PLACE, SPARE_HOST)


def declaring(*known: Revision, deployed_s: float) -> tuple[World, Desired]:
    host = a_record(a_tenure(revision="new", deployed_at=ago(deployed_s)), proven_revision="new")
    world = resting(a_standing_spare(revision="old"), record=host, revisions={DUEL: known})
    return world, a_wish(stopped_kind(a_stream(revision="new")))


def test_a_changed_deploy_gives_it_up_once_that_is_proven() -> None:
    """It would have to be started to be changed; another one is rented with what is declared."""
    decision = decision_for(decide(*declaring(OLD, PROVEN, deployed_s=3200.0)), PLACE)
    assert (decision.name, decision.reason) == ("destroy", Reason.ROLLOUT)


def test_not_while_it_is_on_trial() -> None:
    decision = decision_for(decide(*declaring(OLD, NEW, deployed_s=60.0)), PLACE)
    assert (decision.name, decision.reason) == ("wait", Reason.SPARE_STANDS)


def test_one_that_is_gone_is_forgotten_and_another_is_rented() -> None:
    gone = a_standing_spare(missing_since=ago(100), missing_listed_at=ago(40))
    world = replace(resting(gone, lambda _: None), shown={SPARE_HOST: None})
    plan = decide(world, ONE)
    assert plan.condemned == ()
    (rent,) = [each for each in plan.acts if isinstance(each, Rent)]
    assert rent.label == "keeper:k1:duel/spare-0:2"


def test_an_old_promise_holds_it_is_no_host_of_the_slot_until_it_is_up() -> None:
    world = needing(a_starting_spare(60), queued)
    assert [each for each in decide(world, ONE).acts if isinstance(each, Promote)] == []
    young = a_spared_world(a_place(a_fresh_tenure(instance_id=SPARE_HOST)), record=vacant())
    assert starts(decide(young, ONE)) == []
