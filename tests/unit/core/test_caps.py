"""Caps per day, month and in total: what is refused, what is ended, what is said (I4, I6, I11, I12)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from keeper.adapters.codec import decode, encode
from keeper.core.caps import Cap, Span, caps_of, crossed, key_of
from keeper.core.curb import reached_at
from keeper.core.decisions import Destroy, Hold, Plan, Rent
from keeper.core.events import (
    BudgetFreed,
    BudgetStopped,
    BudgetWarned,
    MachineQuarantined,
)
from keeper.core.meter import TOTAL, Meter, Stop, Tally, day_of, month_of, reopened
from keeper.core.model import (
    Desired,
    InstanceId,
    Mode,
    SlotId,
    Status,
    StreamName,
)
from keeper.core.reasons import Reason
from keeper.core.world import AccountSeen, Pause, World
from tests.builders import (
    DUEL,
    HOST,
    NOW,
    SLOT,
    a_book,
    a_condemned,
    a_desire,
    a_listing,
    a_pause,
    a_record,
    a_stream,
    a_tenure,
    a_world,
    ago,
    ahead,
    an_asked_tenure,
    an_instance,
    an_offer,
    applied,
    conditions,
    decide,
    decision_for,
    events_of,
    healthy_world,
)

HOUR = 3600.0
MIDNIGHT = datetime(2026, 8, 2, tzinfo=UTC)


def spent(dollars: float, stream: str = "duel", **more: Any) -> Meter:
    """A ledger in which one stream has spent so much today."""
    tally = {StreamName(stream): Tally(dollars=dollars)}
    tallies = {day_of(NOW): tally, month_of(NOW): tally, TOTAL: tally}
    return Meter(metered_at=NOW, tallies=tallies, **more)


def a_vacancy(meter: Meter, *offers: Any, **more: Any) -> World:
    """A world in which a host is wanted and can be had for 0.41 $/h."""
    return a_world(
        a_record(None),
        listing=a_listing(),
        offers={DUEL: a_book(*(offers or (an_offer(),)))},
        meter=meter,
        **more,
    )


def capped(dollars: float | None = None, span: str = "per_day", **fleet: Any) -> Desired:
    caps: dict[str, Any] = {} if dollars is None else {f"spend_max_dollars_{span}": dollars}
    return a_desire(a_stream(**caps), **fleet)


def on_air(slot: str, instance_id: int, dollars: float, **changes: Any) -> Any:
    tenure = a_tenure(
        label=f"keeper:k1:{slot}:1",
        instance_id=InstanceId(instance_id),
        dollars_per_hour=dollars,
        traffic_dollars_per_hour=0.0,
        **changes,
    )
    return a_record(tenure, SlotId(slot), healthy_since=ago(900))


def a_fleet(*records: Any, meter: Meter, **more: Any) -> World:
    listed = [
        an_instance(
            record.tenure.instance_id,
            record.tenure.label,
            dollars_per_hour=record.tenure.dollars_per_hour,
        )
        for record in records
        if record.tenure is not None and record.tenure.instance_id is not None
    ]
    return a_world(*records, listing=a_listing(*listed), meter=meter, **more)


def rents(plan: Plan) -> list[Rent]:
    return [act for act in plan.acts if isinstance(act, Rent)]


def ended(plan: Plan) -> list[int]:
    return sorted(
        int(act.instance_id)
        for act in plan.acts
        if isinstance(act, Destroy) and act.reason is Reason.BUDGET
    )


# --- a new spend ------------------------------------------------------------------------------------


@pytest.mark.parametrize("span", ["per_day", "per_month", "total"])
@pytest.mark.parametrize(("used", "may"), [(4.5, True), (4.58, True), (4.6, False), (6.0, False)])
def test_what_is_rented_must_fit_for_an_hour_more(span: str, used: float, may: bool) -> None:
    """0.41 $/h on top of what was spent, under a cap of five dollars."""
    plan = decide(a_vacancy(spent(used)), capped(5.0, span))
    assert bool(rents(plan)) is may


@pytest.mark.parametrize("span", ["per_day", "per_month", "total"])
def test_the_fleet_s_cap_counts_every_stream_even_one_that_is_gone(span: str) -> None:
    world = a_vacancy(spent(4.9, "long-gone"))
    assert rents(decide(world, capped(5.0, span)))  # it is not this stream's money
    fleet = a_desire(a_stream(), **{f"spend_max_dollars_{span}": 5.0})
    assert not rents(decide(world, fleet))


def test_a_no_names_the_cap_what_is_used_and_when_it_is_free_again() -> None:
    plan = decide(a_vacancy(spent(4.7)), capped(5.0))
    held = decision_for(plan, SLOT)
    assert isinstance(held, Hold)
    assert (held.reason, held.until) == (Reason.BUDGET, MIDNIGHT)
    (told,) = [e for e in plan.events if e.name == "slot.decided"]
    assert told.detail == (  # type: ignore[union-attr]
        "duel has used $4.70 of its $5.00 for the day, and $0.410/h for 1 h more would cross it;"
        " it is free again at 2026-08-02 00:00 UTC, or when the cap is raised"
    )


@pytest.mark.parametrize("stream", [DUEL, None], ids=["a stream's", "the fleet's"])
@pytest.mark.parametrize("is_stopped", [False, True], ids=["it would be crossed", "it was stopped"])
def test_a_no_says_whose_limit_it_is(stream: StreamName | None, *, is_stopped: bool) -> None:
    """By that a spare gives way: to a slot of its own stream, or of any."""
    cap = Cap(stream=stream, span=Span.DAY, dollars=5.0)
    stops = {key_of(cap, NOW): Stop(at=NOW, cap_dollars=5.0)} if is_stopped else {}
    no = crossed(spent(4.9, stops=stops), (cap,), {}, 0.41, NOW, HOUR)
    assert no is not None
    assert ("was stopped for it" in no.sentence) is is_stopped
    assert (no.stream, no.until) == (stream, MIDNIGHT)


def test_what_is_committed_and_in_flight_counts_for_the_hour() -> None:
    """Two hosts at once are asked for: the second must fit beside the first."""
    desired = a_desire(a_stream(replicas=2, spend_max_dollars_per_day=5.0))
    world = a_vacancy(spent(4.3), an_offer(1), an_offer(2))
    assert len(rents(decide(world, desired))) == 1
    assert len(rents(decide(a_vacancy(spent(4.1), an_offer(1), an_offer(2)), desired))) == 2


def test_a_condemned_host_counts_until_it_is_gone() -> None:
    condemned = a_condemned(HOST, dollars_per_hour=0.4, slot=SLOT, accepted_at=ago(20))
    world = a_vacancy(spent(4.4), condemned=(condemned,))
    assert not rents(decide(world, capped(5.0)))
    assert rents(decide(replace(world, condemned=()), capped(5.0)))


def test_the_reserve_never_reaches_into_the_next_period() -> None:
    """Ten minutes before midnight only ten minutes count against this day's cap."""
    cap = Cap(stream=DUEL, span=Span.DAY, dollars=5.0)
    late = datetime(2026, 8, 1, 23, 50, tzinfo=UTC)
    assert crossed(spent(4.9), (cap,), {}, 0.5, late, HOUR) is None
    assert crossed(spent(4.9), (cap,), {}, 0.7, late, HOUR) is not None
    month = Cap(stream=DUEL, span=Span.MONTH, dollars=5.0)
    assert crossed(spent(4.9), (month,), {}, 0.5, late, HOUR) is not None


def test_a_full_cap_asks_the_market_for_nothing() -> None:
    """Nobody may rent, so no search of the day's quota is spent on it."""
    world = replace(a_vacancy(spent(5.1)), offers={})
    plan = decide(world, capped(5.0))
    assert plan.wants.offers_for == ()
    assert isinstance(decision_for(plan, SLOT), Hold)


def test_a_cap_that_is_raised_or_lowered_holds_at_once() -> None:
    world = a_vacancy(spent(4.9))
    assert not rents(decide(world, capped(5.0)))
    assert rents(decide(world, capped(6.0)))
    assert rents(decide(world, capped(None)))
    assert caps_of(a_stream()) == ()


# --- the hard stop ----------------------------------------------------------------------------------


def test_a_host_goes_while_what_is_left_still_pays_for_its_end() -> None:
    """At 1 $/h a quarter of an hour is 25 cents."""
    world = a_fleet(on_air("duel/0", 1, 1.0), meter=spent(4.74))
    plan = decide(world, capped(5.0))
    assert ended(plan) == []
    assert plan.next_check_at is not None
    assert plan.next_check_at <= ahead(36.1)  # a cent, and not a tick later
    plan = decide(replace(world, meter=spent(4.751)), capped(5.0))
    assert ended(plan) == [1]
    (stopped,) = events_of(plan, BudgetStopped)
    assert (stopped.stream, stopped.period, stopped.cap_dollars) == (DUEL, "day", 5.0)
    assert stopped.detail == "ends duel/0"
    assert not events_of(plan, MachineQuarantined)  # no machine is to blame for money


def test_nothing_is_rented_again_before_the_day_is_over() -> None:
    world = a_fleet(on_air("duel/0", 1, 1.0), meter=spent(4.76))
    desired = capped(5.0)
    world = applied(world, decide(world, desired))
    assert world.meter.stops
    gone = replace(
        world, condemned=(), listing=a_listing(), offers={DUEL: a_book(an_offer(dollars_per_hour=0.02, gpu_dollars_per_hour=0.01, disk_dollars_per_hour=0.01))},
        in_flight_instances=frozenset(), intents=(),
    )  # fmt: skip
    plan = decide(gone, desired)
    assert not rents(plan)
    held = decision_for(plan, SLOT)
    assert (held.reason, held.until) == (Reason.BUDGET, MIDNIGHT)  # type: ignore[union-attr]
    assert not events_of(plan, BudgetStopped)  # told once


def test_a_stop_is_over_with_its_period_or_when_the_cap_is_raised() -> None:
    key = key_of(Cap(stream=DUEL, span=Span.DAY, dollars=5.0), NOW)
    stops = {key: Stop(at=ago(60), cap_dollars=5.0)}
    stopped = a_vacancy(spent(4.1, stops=stops))
    assert not rents(decide(stopped, capped(5.0)))
    assert not rents(decide(stopped, capped(4.95)))  # lowered
    raised = decide(stopped, capped(5.1))
    assert rents(raised)
    assert events_of(raised, BudgetFreed)
    assert raised.meter is not None
    assert raised.meter.stops == {}
    tomorrow = replace(stopped, meter=replace(stopped.meter, metered_at=MIDNIGHT))
    tomorrow = replace(tomorrow, meter=replace(tomorrow.meter, tallies={}))
    plan = decide(tomorrow, capped(5.0), now=MIDNIGHT)
    assert events_of(plan, BudgetFreed)


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        pytest.param(
            [on_air("duel/0", 1, 0.4), on_air("duel/1", 2, 0.6), on_air("duel/2", 3, 0.5)],
            [2],
            id="the dearest of those on air",
        ),
        pytest.param(
            [
                on_air("duel/0", 1, 0.4),
                on_air("duel/1", 2, 0.6),
                replace(
                    on_air(
                        "duel/2", 3, 0.5,
                        conditions=conditions(streaming=(Status.FALSE, Reason.FROZEN)),
                    ),
                    dark_since=ago(30), healthy_since=None,
                ),
            ],
            [3],
            id="one that shows no picture, before a dearer one that does",
        ),
        pytest.param(
            [
                on_air("duel/0", 1, 0.4),
                replace(
                    on_air("duel/1", 2, 0.6),
                    incoming=a_tenure(
                        label="keeper:k1:duel/1:2", instance_id=InstanceId(4), attempt=2,
                        dollars_per_hour=0.5, first_live_at=None, good_in_a_row=0,
                    ),
                ),
            ],
            [4],
            id="a replacement that does not serve yet",
        ),
    ],
)  # fmt: skip
def test_the_least_useful_goes_first_and_the_rest_stays_as_long_as_it_can(
    records: list[Any], expected: list[int]
) -> None:
    world = a_fleet(*records, meter=spent(4.63))
    assert world.listing is not None
    incoming = [
        an_instance(r.incoming.instance_id, r.incoming.label, dollars_per_hour=0.5)
        for r in records
        if r.incoming
    ]
    world = replace(world, listing=a_listing(*world.listing.instances, *incoming))
    desired = a_desire(a_stream(replicas=len(records)), spend_max_dollars_per_day=5.0)
    assert ended(decide(world, desired)) == expected


def test_hosts_go_one_by_one_as_the_money_does() -> None:
    """A destroy that was not heard for a minute counts again: then another one has to go."""
    desired = a_desire(a_stream(replicas=2, spend_max_dollars_per_day=5.0))
    world = a_fleet(on_air("duel/0", 1, 1.0), on_air("duel/1", 2, 1.0), meter=spent(4.6))
    first = decide(world, desired)
    assert ended(first) == [1]
    world = applied(world, first)
    assert ended(decide(world, desired, now=ahead(5))) == []
    deaf = replace(world, in_flight_instances=frozenset())
    assert 2 in ended(decide(deaf, desired, now=ahead(61)))


def test_a_fleet_s_stop_takes_the_least_useful_of_all_streams() -> None:
    desired = a_desire(a_stream(), a_stream("turbo"), spend_max_dollars_total=5.0)
    world = a_fleet(on_air("duel/0", 1, 0.5), on_air("turbo/0", 2, 0.9), meter=spent(4.7))
    plan = decide(world, desired)
    assert ended(plan) == [2]
    (stopped,) = events_of(plan, BudgetStopped)
    assert (stopped.stream, stopped.period) == (None, "total")


@pytest.mark.parametrize(
    ("changes", "mode", "why"),
    [
        pytest.param({"pause": a_pause()}, Mode.ACT, "paused", id="the fleet is paused"),
        pytest.param({"slot_pauses": {SLOT: a_pause()}}, Mode.ACT, "paused", id="the slot is"),
        pytest.param({}, Mode.OBSERVE, "observe", id="keeper only watches"),
        pytest.param({"own_network": Status.FALSE}, Mode.ACT, "own network", id="it is blind"),
        pytest.param({"in_flight": frozenset({SLOT})}, Mode.ACT, "under way", id="an act goes on"),
        pytest.param({"is_leader": False}, Mode.ACT, "lease", id="another keeper leads"),
    ],
)
def test_where_hands_must_be_kept_still_a_person_is_told_instead(
    changes: dict[str, Any], mode: Mode, why: str
) -> None:
    """I12: zero mutating calls while paused, frozen or mass-failure-stopped."""
    world = a_fleet(on_air("duel/0", 1, 1.0), meter=spent(4.9), **changes)
    plan = decide(world, a_desire(a_stream(mode=mode, spend_max_dollars_per_day=5.0)))
    assert plan.acts == ()
    (stopped,) = events_of(plan, BudgetStopped)
    assert stopped.detail.startswith("cannot end duel/0")
    assert why in stopped.detail


@pytest.mark.parametrize(
    ("pause", "earliest_s", "latest_s"),
    [
        pytest.param(a_pause(), 30.0, 60.0, id="for as long as nobody resumes"),
        pytest.param(a_pause(20.0), 20.0, 20.0, id="until its end"),
    ],
)
@pytest.mark.parametrize("is_of_slot", [False, True])
def test_a_stop_that_a_pause_holds_back_looks_again_when_it_may_be_over(
    pause: Pause, earliest_s: float, latest_s: float, *, is_of_slot: bool
) -> None:
    """And not every five seconds: a pause may go on for days."""
    changes: dict[str, Any] = {"slot_pauses": {SLOT: pause}} if is_of_slot else {"pause": pause}
    world = a_fleet(on_air("duel/0", 1, 1.0), meter=spent(4.9), **changes)
    plan = decide(world, capped(5.0))
    assert plan.acts == ()
    assert plan.next_check_at is not None
    assert ahead(earliest_s) <= plan.next_check_at <= ahead(latest_s + 0.1)


def test_money_that_runs_out_does_not_wait_for_a_good_listing() -> None:
    """The rental is known by its id; a marketplace that cannot list may still destroy."""
    world = a_fleet(on_air("duel/0", 1, 1.0), meter=spent(4.9))
    blind = replace(world, listing=a_listing(age_s=900), unreadable_since=ago(800))
    assert ended(decide(blind, capped(5.0))) == [1]


def test_a_create_that_is_in_doubt_is_ended_when_it_is_found() -> None:
    asked = an_asked_tenure(dollars_per_hour=1.0)
    world = a_world(a_record(asked), listing=a_listing(), meter=spent(4.9))
    plan = decide(world, capped(5.0))
    assert plan.acts == ()
    assert plan.next_check_at is not None
    assert plan.next_check_at <= ahead(5.1)


def test_an_empty_account_does_not_keep_a_host_from_being_ended_for_the_budget() -> None:

    empty = AccountSeen(spendable_dollars=0.0, at=ago(5), empty_at=ago(5))
    world = a_fleet(on_air("duel/0", 1, 1.0), meter=spent(4.9), account=empty)
    assert ended(decide(world, capped(5.0))) == [1]


def test_a_host_s_last_cent_is_counted_before_the_commit_that_ends_it() -> None:
    world = a_fleet(on_air("duel/0", 1, 1.0), meter=spent(4.9))
    plan = decide(world, capped(5.0))
    assert plan.meter is not None
    assert plan.meter.rates[DUEL].dollars_per_hour == pytest.approx(1.0)  # until it is gone


# --- warnings ---------------------------------------------------------------------------------------


def warnings(plan: Plan) -> list[tuple[StreamName | None, str, float]]:
    return [(e.stream, e.period, e.ratio) for e in events_of(plan, BudgetWarned)]


def settled(world: World, desired: Desired) -> World:
    return applied(world, decide(world, desired))


@pytest.mark.parametrize(("used", "ratio"), [(2.4, None), (2.5, 0.5), (3.8, 0.75), (4.6, 0.9)])
def test_shares_of_a_cap_are_told_once_each(used: float, ratio: float | None) -> None:
    desired = capped(5.0)
    world = replace(healthy_world(), meter=spent(used))
    plan = decide(world, desired)
    assert warnings(plan) == ([] if ratio is None else [(DUEL, "day", ratio)])
    again = decide(applied(world, plan), desired)
    assert warnings(again) == []


@pytest.mark.parametrize("has_restarts", [False, True])
def test_each_share_is_told_once_from_the_first_dollar_to_the_cap(*, has_restarts: bool) -> None:
    """Across restarts in between, and over the ledger as it is written."""
    desired, told = capped(5.0), list[float]()
    world = replace(healthy_world(), meter=spent(0.0))
    for cents in range(0, 480, 5):
        tallies = {**world.meter.tallies, day_of(NOW): {DUEL: Tally(dollars=cents / 100)}}
        meter = replace(world.meter, tallies=tallies)
        if has_restarts:
            head = decode(Meter, encode(replace(meter, tallies={})))
            meter = reopened(replace(head, tallies=meter.tallies), NOW)
        world = replace(world, meter=meter, started_at=NOW if has_restarts else None)
        plan = decide(world, desired)
        told += [ratio for _, _, ratio in warnings(plan)]
        world = applied(world, plan)
    assert told == [0.5, 0.75, 0.9]


def test_rentals_of_strangers_count_against_no_cap_of_ours() -> None:
    """keeper cannot end them; their dollars show in the runway and in the account (docs/spending.md)."""
    strangers = tuple(
        an_instance(9000 + number, label=label, dollars_per_hour=5.0)
        for number, label in enumerate(("training", "keeper:another:duel/0:1", "duel/0"))
    )
    stream = a_stream(spend_max_dollars_per_hour=1.0)
    desired = a_desire(stream, spend_max_dollars_per_hour=1.0, spend_max_dollars_per_day=5.0)
    world = a_world(a_record(), listing=a_listing(*strangers), offers={DUEL: a_book(an_offer())})
    plan = decide(world, desired)
    assert isinstance(decision_for(plan), Rent)
    assert [each for each in plan.acts if not isinstance(each, Rent)] == []
    assert plan.meter is not None
    assert sum(rate.dollars_per_hour for rate in plan.meter.rates.values()) < 0.6  # our own host's


def test_a_warning_survives_a_restart_and_comes_again_the_next_day() -> None:
    desired = capped(5.0)
    world = settled(replace(healthy_world(), meter=spent(2.6)), desired)
    restarted = replace(world, started_at=ahead(60))
    assert warnings(decide(restarted, desired, now=ahead(61))) == []
    later_on = replace(
        world, meter=replace(world.meter, metered_at=MIDNIGHT, tallies={"2026-08-02": {DUEL: Tally(dollars=2.7)}})
    )  # fmt: skip
    assert warnings(decide(later_on, desired, now=MIDNIGHT)) == [(DUEL, "day", 0.5)]


def test_a_cap_that_is_raised_is_warned_of_anew() -> None:
    world = settled(replace(healthy_world(), meter=spent(4.0)), capped(5.0))
    assert warnings(decide(world, capped(8.0))) == [(DUEL, "day", 0.5)]
    assert warnings(decide(world, capped(50.0))) == []


def test_a_warning_says_when_the_cap_is_reached_at_this_rate() -> None:
    cap = Cap(stream=DUEL, span=Span.DAY, dollars=5.0)
    assert reached_at(cap, 2.5, 1.0, NOW) == ahead(2.5 * HOUR)
    assert reached_at(cap, 2.5, 0.1, NOW) is None  # midnight comes first
    assert reached_at(replace(cap, span=Span.MONTH), 2.5, 0.1, NOW) == ahead(25 * HOUR)
    assert reached_at(replace(cap, span=Span.TOTAL), 2.5, 1e-9, NOW) is None
    assert reached_at(cap, 2.5, 0.0, NOW) is None
    assert reached_at(cap, 5.5, 0.0, NOW) == NOW


def test_a_slot_without_room_looks_at_the_market_as_rarely_as_when_nothing_suits() -> None:
    """It searched once a minute for half a day, and said so twice a minute."""
    desired = capped(5.0)
    world = a_vacancy(spent(4.7))
    world = applied(world, decide(world, desired))
    for seconds in (61, 300, 599):
        world = replace(world, listing=a_listing(age_s=-seconds))
        plan = decide(world, desired, now=ahead(seconds))
        assert plan.wants.offers_for == ()
        assert plan.events == ()
        held = decision_for(plan, SLOT)
        assert (held.name, held.reason) == ("hold", Reason.BUDGET)
    assert decide(world, desired, now=ahead(751)).wants.offers_for == (DUEL,)  # 600 s and jitter
    raised = decide(world, capped(9.0), now=ahead(599))  # noticed at once
    assert raised.wants.offers_for == (DUEL,)
