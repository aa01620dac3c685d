"""Where a limit begins and ends: what is reached is reached, what just fits fits, and no later."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from keeper.core.caps import Cap, Span, committed_to, crossed, free_again, key_of
from keeper.core.creates import absence_span_s, absent_for, note_missing
from keeper.core.curb import reached_at
from keeper.core.events import BudgetFreed, DecisionMade
from keeper.core.flow import condemned_dollars_per_hour
from keeper.core.labels import label_for
from keeper.core.meter import (
    GAP_MAX_S,
    Meter,
    Stop,
    Tally,
    day_ends_at,
    day_of,
    month_ends_at,
    month_of,
    newer,
    reopened,
    shifted,
)
from keeper.core.model import (
    InstanceId,
    MarketState,
    OfferNeeds,
    OrphanPolicy,
    RemedyUse,
    Rung,
    Status,
    StreamName,
)
from keeper.core.reasons import Reason
from keeper.core.spend import record_dollars_per_hour, runway_s
from keeper.core.world import AccountSeen, OfferBook, SearchRefused
from tests.builders import (
    DUEL,
    HOST,
    KEEPER_ID,
    NOW,
    SLOT,
    a_book,
    a_condemned,
    a_condition,
    a_desire,
    a_listing,
    a_pause,
    a_quarantine,
    a_record,
    a_stream,
    a_tenure,
    a_world,
    ago,
    ahead,
    an_asked_tenure,
    an_instance,
    an_offer,
    conditions,
    decide,
    decision_for,
    events_of,
    healthy_world,
    record_after,
    with_policy,
)

LABEL = label_for(KEEPER_ID, SLOT, 1)
OTHER = StreamName("other")


# --- money ------------------------------------------------------------------------------------------


def test_a_limit_that_is_just_met_is_not_crossed() -> None:
    world = a_world(a_record(), offers={DUEL: a_book(an_offer(dollars_per_hour=0.5))})
    for limit, name in ((0.5, "rent"), (0.499, "hold")):
        of_stream = a_desire(a_stream(spend_max_dollars_per_hour=limit))
        assert decision_for(decide(world, of_stream)).name == name
        of_fleet = a_desire(a_stream(), spend_max_dollars_per_hour=limit)
        assert decision_for(decide(world, of_fleet)).name == name


def test_of_offers_that_are_all_too_dear_the_cheapest_is_held() -> None:
    """A bid comes before on demand in the ranking; what it would cost is said of the cheapest."""
    dear, cheap = an_offer(1, dollars_per_hour=0.9), an_offer(2, dollars_per_hour=0.7)
    used = a_record(a_tenure(machine_id=cheap.machine_id), slot=a_stream(replicas=2).slots[1])
    world = a_world(a_record(), used, offers={DUEL: a_book(dear, cheap)})
    stream = a_stream(replicas=2, spend_max_dollars_per_hour=1.0)
    plan = decide(world, a_desire(stream))
    (told,) = [each for each in events_of(plan, DecisionMade) if each.slot == SLOT]
    assert told.detail == "1.110 of 1.000 $/h for duel"


def test_traffic_is_part_of_what_a_slot_costs() -> None:
    record = a_record(a_tenure(dollars_per_hour=0.4, traffic_dollars_per_hour=0.1))
    assert record_dollars_per_hour(record) == pytest.approx(0.5)


def test_half_a_dollar_is_a_runway_and_half_a_dollar_an_hour_a_burn() -> None:
    account = AccountSeen(spendable_dollars=0.5, at=NOW)
    assert runway_s(account, 0.5) == 3600.0
    assert runway_s(replace(account, spendable_dollars=0.0), 0.5) == 0.0


def test_caps_are_told_apart_by_stream_span_and_period() -> None:
    mine = Cap(stream=DUEL, span=Span.DAY, dollars=5.0)
    fleets = Cap(stream=None, span=Span.TOTAL, dollars=5.0)
    assert key_of(mine, NOW) == "duel/day@2026-08-01"
    assert key_of(fleets, NOW) == "/total@total"


def test_a_streams_cap_is_used_by_its_own_and_the_fleets_by_all() -> None:
    committed = {DUEL: 0.4, OTHER: 0.3, None: 0.2}
    assert committed_to(Cap(stream=DUEL, span=Span.DAY, dollars=1.0), committed) == 0.4
    assert committed_to(Cap(stream=None, span=Span.DAY, dollars=1.0), committed) == pytest.approx(
        0.9
    )
    assert committed_to(Cap(stream=StreamName("x"), span=Span.DAY, dollars=1.0), committed) == 0.0


def test_a_cap_in_total_is_free_again_when_it_is_raised() -> None:
    cap = Cap(stream=None, span=Span.TOTAL, dollars=5.0)
    assert free_again(cap, NOW) == "it is free again when the cap is raised"


@pytest.mark.parametrize(("more", "is_crossed"), [(0.5, False), (0.500001, True)])
def test_a_cap_that_is_just_met_is_not_crossed(more: float, is_crossed: bool) -> None:
    cap = Cap(stream=DUEL, span=Span.TOTAL, dollars=1.0)
    ledger = Meter(metered_at=NOW, tallies={"total": {DUEL: Tally(dollars=0.3)}})
    no = crossed(ledger, (cap,), {DUEL: 0.2}, more, NOW, 3600.0)
    assert (no is not None) is is_crossed


def test_a_no_near_midnight_counts_in_minutes() -> None:
    cap = Cap(stream=DUEL, span=Span.DAY, dollars=1.0)
    late = datetime(2026, 8, 1, 23, 30, tzinfo=UTC)
    ledger = Meter(metered_at=late, tallies={day_of(late): {DUEL: Tally(dollars=0.9)}})
    no = crossed(ledger, (cap,), {DUEL: 0.2}, 0.3, late, 3600.0)
    assert no is not None
    assert "for 30 min more" in no.sentence


def test_a_forecast_ends_with_its_period_and_never_means_decades() -> None:
    daily = Cap(stream=None, span=Span.DAY, dollars=13.0)
    assert reached_at(daily, 1.0, 1.0, NOW) == datetime(2026, 8, 2, tzinfo=UTC)
    assert reached_at(daily, 1.0, 0.9, NOW) is None
    assert reached_at(daily, 13.0, 0.0, NOW) == NOW
    assert reached_at(daily, 1.0, 0.0, NOW) is None
    total = Cap(stream=None, span=Span.TOTAL, dollars=13.0)
    assert reached_at(total, 1.0, 1.0, NOW) == ahead(12 * 3600.0)
    assert reached_at(total, 1.0, 0.0001, NOW) is None


def test_a_cap_that_is_free_again_is_named_by_whose_it_is() -> None:
    stops = {
        "a/b/day@2026-07-31": Stop(at=ago(90_000), cap_dollars=5.0),
        "/month@2026-07": Stop(at=ago(90_000), cap_dollars=5.0),
    }
    stream = replace(a_stream(), spend_max_dollars_per_day=50.0)
    plan = decide(healthy_world(meter=Meter(metered_at=NOW, stops=stops)), a_desire(stream))
    assert events_of(plan, BudgetFreed) == [
        BudgetFreed(stream=None, period="month"),
        BudgetFreed(stream=StreamName("a/b"), period="day"),
    ]
    assert plan.meter is not None
    assert plan.meter.stops == {}


# --- the ledger's clock -----------------------------------------------------------------------------


@pytest.fixture
def far_east(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A box whose own time zone is hours away from UTC."""
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_days_and_months_end_in_utc_wherever_the_box_and_the_moment_are(far_east: None) -> None:
    at = datetime(2026, 7, 31, 23, 59, 58, 700, tzinfo=UTC)
    for zone in (UTC, timezone(timedelta(hours=14)), timezone(timedelta(hours=-11))):
        seen = at.astimezone(zone)
        assert (day_of(seen), month_of(seen)) == ("2026-07-31", "2026-07")
        assert day_ends_at(seen) == month_ends_at(seen) == datetime(2026, 8, 1, tzinfo=UTC)
    december = datetime(2026, 12, 31, 7, 8, 9, 10, tzinfo=UTC)
    assert month_ends_at(december) == datetime(2027, 1, 1, tzinfo=UTC)
    assert day_ends_at(december) == datetime(2027, 1, 1, tzinfo=UTC)
    assert month_ends_at(datetime(2027, 1, 31, tzinfo=UTC)) == datetime(2027, 2, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("off_s", "step_s", "moved_s", "off_after_s"),
    [
        (0.0, -60.0, -60.0, -60.0),  # back: the mark goes with the clock
        (0.0, 60.0, 0.0, 60.0),  # forward: the time counts
        (0.0, 0.5, 0.0, 0.5),
        (60.0, -60.0, 0.0, 0.0),  # put right again
        (60.0, -90.0, -30.0, -30.0),
        (-60.0, 60.0, 60.0, 0.0),
        (-60.0, 20.0, 20.0, -40.0),
        (60.0, 60.0, 0.0, 120.0),
        (-60.0, -60.0, -60.0, -120.0),
        (0.0, -GAP_MAX_S - 5.0, -GAP_MAX_S - 5.0, -GAP_MAX_S),
        (0.0, GAP_MAX_S + 5.0, 0.0, GAP_MAX_S),
    ],
)
def test_a_jump_of_the_clock_moves_the_mark(
    off_s: float, step_s: float, moved_s: float, off_after_s: float
) -> None:
    before = Meter(metered_at=NOW, clock_off_s=off_s, jumped_on=day_of(NOW) if off_s else "")
    after = shifted(before, step_s)
    assert after.metered_at == NOW + timedelta(seconds=moved_s)
    assert after.clock_off_s == off_after_s
    is_of_today = off_after_s and day_of(NOW + timedelta(seconds=step_s)) == day_of(NOW)
    assert after.jumped_on == (day_of(NOW) if is_of_today else "")


@pytest.mark.parametrize("at", [None, ago(60), NOW])
def test_a_new_process_knows_nothing_of_earlier_jumps(at: datetime | None) -> None:
    before = Meter(metered_at=at, clock_off_s=9.0, jumped_on=day_of(NOW))
    assert reopened(before, NOW) == Meter(metered_at=at)
    same = Meter(metered_at=at)
    assert reopened(same, NOW) is same


def test_a_ledger_of_the_future_forgets_its_jumps_too() -> None:
    before = Meter(metered_at=ahead(5), clock_off_s=9.0, jumped_on=day_of(NOW))
    assert reopened(before, NOW) == Meter(metered_at=NOW)


def test_an_unchanged_period_hides_no_changed_one() -> None:
    same, old, new = {DUEL: Tally(dollars=1.0)}, {DUEL: Tally()}, {DUEL: Tally(dollars=2.0)}
    before = Meter(tallies={"a": same, "b": old})
    assert newer(before, Meter(tallies={"a": same, "b": new})).tallies == {"b": new}


@pytest.mark.parametrize(
    ("state", "disk", "expected"),
    [
        (MarketState.STOPPED, 0.05, 0.05),
        (MarketState.STOPPED, 0.0, 0.6),
        (MarketState.RUNNING, 0.05, 0.6),
        (MarketState.RUNNING, 0.0, 0.6),
    ],
)
def test_a_condemned_rental_costs_what_is_listed_and_its_disk_alone_only_where_it_stands(
    state: MarketState, disk: float, expected: float
) -> None:
    row = an_instance(state=state, disk_dollars_per_hour=disk, dollars_per_hour=0.6)
    each = a_condemned(dollars_per_hour=0.4)
    assert condemned_dollars_per_hour(each, {HOST: row}) == expected
    assert condemned_dollars_per_hour(each, {}) == 0.4


# --- absence ----------------------------------------------------------------------------------------


def test_absence_is_measured_from_listing_to_listing() -> None:
    tenure = an_asked_tenure()
    assert absence_span_s(tenure) == 0.0
    assert absent_for(tenure, ago(500)) == 0.0
    once = note_missing(tenure, a_listing(age_s=60), None)
    assert (once.missing_since, once.missing_listed_at) == (ago(60), ago(60))
    assert absence_span_s(once) == 0.0
    assert note_missing(once, a_listing(age_s=60), None) is once  # the same listing counts once
    twice = note_missing(once, a_listing(age_s=30), ago(99))
    assert (twice.missing_since, absence_span_s(twice)) == (ago(60), 30.0)
    assert note_missing(twice, a_listing(age_s=30), None) is twice
    new = note_missing(
        twice, a_listing(age_s=20), ago(25)
    )  # of this process, the others of an earlier one
    assert (new.missing_since, new.missing_listed_at) == (ago(20), ago(20))
    stepped = note_missing(twice, a_listing(age_s=90), None)  # the clock was set back
    assert (stepped.missing_since, stepped.missing_listed_at) == (ago(90), ago(90))


@pytest.mark.parametrize(
    ("asked_s", "since_s", "listed_s", "is_void"),
    [
        (125, 40, 5, True),  # to the second
        (124, 40, 5, False),  # a second too early
        (125, 35, 5, True),
        (125, 34, 5, False),  # the two listings are too near to each other
    ],
)
def test_a_create_is_void_when_both_times_are_reached(
    asked_s: int, since_s: int, listed_s: int, is_void: bool
) -> None:
    asked = an_asked_tenure(
        requested_at=ago(asked_s), acted_at=ago(asked_s), missing_since=ago(since_s),
        missing_listed_at=ago(since_s),
    )  # fmt: skip
    world = a_world(a_record(asked), listing=a_listing(age_s=listed_s))
    assert (record_after(world, decide(world)).tenure is None) is is_void


def test_a_listing_of_the_very_moment_of_a_create_says_nothing_of_it() -> None:
    asked = an_asked_tenure(requested_at=ago(5), acted_at=None)
    world = a_world(a_record(asked), listing=a_listing(an_instance(HOST, LABEL), age_s=5))
    assert record_after(world, decide(world)).tenure == asked
    doubted = an_asked_tenure(requested_at=ago(50), acted_at=ago(5))
    world = a_world(a_record(doubted), listing=a_listing(age_s=5))
    after = record_after(world, decide(world)).tenure
    assert after is not None
    assert after.missing_since is None


@pytest.mark.parametrize(("span_s", "is_over"), [(30, True), (29, False)])
def test_an_end_is_confirmed_by_two_listings_so_far_apart(span_s: int, is_over: bool) -> None:
    each = a_condemned(
        absent_since=ago(5 + span_s), absent_listed_at=ago(5), by_id_absent_at=ago(2)
    )
    world = a_world(a_record(attempt=1), condemned=(each,), listing=a_listing())
    assert (decide(world).condemned == ()) is is_over


def test_a_listing_of_the_moment_of_a_sentence_is_no_absence_and_the_same_counts_once() -> None:
    for condemned_s, absent in ((5, None), (6, ago(5))):
        each = a_condemned(condemned_at=ago(condemned_s))
        world = a_world(a_record(attempt=1), condemned=(each,), listing=a_listing())
        (after,) = decide(world).condemned
        assert (after.absent_since, after.absent_listed_at) == (absent, absent)
    seen = a_condemned(absent_since=ago(5), absent_listed_at=ago(5))
    world = a_world(a_record(attempt=1), condemned=(seen,), listing=a_listing())
    assert decide(world).condemned is world.condemned


# --- pauses, windows, patience ----------------------------------------------------------------------


def test_a_pause_is_over_at_its_very_end() -> None:
    world = a_world(a_record(), offers={DUEL: a_book(an_offer())})
    assert decision_for(decide(replace(world, pause=a_pause(0)))).name == "rent"
    assert decision_for(decide(replace(world, pause=a_pause(1)))).reason is Reason.PAUSED


def test_a_listing_of_the_very_start_is_of_this_process() -> None:
    world = a_world(a_record(), offers={DUEL: a_book(an_offer())}, started_at=ago(5))
    assert decision_for(decide(world)).name == "rent"
    later = replace(world, started_at=ago(4))
    assert decision_for(decide(later)).reason is Reason.STARTING_UP


@pytest.mark.parametrize(("age_s", "name"), [(60, "rent"), (61, "wait")])
def test_offers_are_fresh_to_the_last_second(age_s: int, name: str) -> None:
    world = a_world(a_record(), offers={DUEL: a_book(an_offer(), age_s=age_s)})
    assert decision_for(decide(world)).name == name


@pytest.mark.parametrize(("age_s", "name"), [(None, "wait"), (60, "rent"), (61, "wait")])
def test_what_a_wider_search_found_is_chosen_from_while_it_is_fresh(
    age_s: int | None, name: str
) -> None:
    around = None if age_s is None else ago(age_s)
    book = OfferBook(offers=(), at=ago(1), around=(an_offer(),), around_at=around)
    world = a_world(a_record(), offers={DUEL: book})
    plan = decide(world)
    assert decision_for(plan).name == name
    if name == "wait":  # it still explains
        assert "1 of 1 offers suit" in record_after(world, plan).rent_detail


def test_a_refused_search_is_asked_again_when_its_time_has_come() -> None:
    for until, reason in ((NOW, Reason.OFFERS_STALE), (ahead(1), Reason.SEARCH_QUOTA_SPENT)):
        refused = SearchRefused(reason=Reason.SEARCH_QUOTA_SPENT, until=until, error="enough")
        plan = decide(a_world(a_record(), search_refused=refused))
        assert decision_for(plan).reason is reason
        told = any("enough" in str(event) for event in plan.events)
        assert told is (reason is Reason.SEARCH_QUOTA_SPENT)


@pytest.mark.parametrize(
    ("used_s", "reason"),
    [
        ((119,), Reason.REPLACEMENT_TOO_SOON),
        ((120,), Reason.LADDER_SPENT),
        ((21_599, 9000, 8000, 7000, 6000), Reason.REPLACEMENTS_SPENT),
        ((21_600, 9000, 8000, 7000, 6000), Reason.LADDER_SPENT),
    ],
)
def test_replacements_leave_their_window_to_the_second(
    used_s: tuple[int, ...], reason: Reason
) -> None:
    tenure = a_tenure(
        conditions=conditions(
            streaming=a_condition(
                kind=conditions()[4].kind, status=Status.FALSE, reason=Reason.FROZEN,
                for_s=400, bad=3,
            )
        )
    )  # fmt: skip
    remedies = tuple(
        RemedyUse(rung=rung, at=ago(500 + number))
        for number, rung in enumerate(
            (Rung.REBOOT, Rung.RESTART_WORKLOAD, *(Rung.RESTART_PROCESS,) * 3)
        )
    )
    record = a_record(
        tenure, dark_since=ago(400), remedies=remedies, healthy_since=None,
        replaced_at=tuple(map(ago, used_s)),
    )  # fmt: skip
    assert decision_for(decide(a_world(record))).reason is reason


@pytest.mark.parametrize(
    ("workload_max", "reboot_s", "name"), [(2, 500, "restart"), (1, 500, "wait")]
)
def test_each_rung_has_its_own_cap(workload_max: int, reboot_s: int, name: str) -> None:
    """Dark for a minute, the process restarted three times, the workload and the box once."""
    tenure = a_tenure(
        conditions=conditions(
            streaming=a_condition(
                kind=conditions()[4].kind, status=Status.FALSE, reason=Reason.FROZEN,
                for_s=60, bad=3,
            )
        )
    )  # fmt: skip
    uses = [(Rung.RESTART_PROCESS, 600), (Rung.RESTART_PROCESS, 550), (Rung.RESTART_PROCESS, 520)]
    uses += [(Rung.RESTART_WORKLOAD, 510), (Rung.REBOOT, reboot_s)]
    record = a_record(
        tenure, dark_since=ago(60), healthy_since=None,
        remedies=tuple(RemedyUse(rung=rung, at=ago(at)) for rung, at in uses),
    )  # fmt: skip
    stream = with_policy(a_stream(), workload_restarts_max=workload_max)
    decision = decision_for(decide(a_world(record), a_desire(stream)))
    assert decision.name == name
    if name == "wait":
        assert decision.reason is Reason.LADDER_SPENT
        assert getattr(decision, "until", None) == ahead(120)
    else:
        assert getattr(decision, "rung", None) is Rung.RESTART_WORKLOAD


# --- whose rental -----------------------------------------------------------------------------------


def test_an_orphan_keeps_no_place_that_is_not_open() -> None:
    """Of a slot that is gone, held, acted on or filled: nothing waits for it."""
    orphan = an_instance(9009, label_for("k0", SLOT, 4))
    desired = a_desire(orphans=OrphanPolicy.ADOPT)
    world = a_world(a_record(), listing=a_listing(orphan), offers={DUEL: a_book(an_offer())})
    assert decision_for(decide(world, desired)).reason is Reason.FOUND_BY_LABEL
    held = decision_for(decide(replace(world, held_slots=frozenset({SLOT})), desired))
    assert held.reason is Reason.SLOT_HELD_BY_BUG
    acting = decision_for(decide(replace(world, in_flight=frozenset({SLOT})), desired))
    assert acting.reason is Reason.ACT_IN_FLIGHT
    gone = decide(world, replace(desired, streams=()))
    assert [each.reason for each in gone.decisions] == []


def test_every_rental_of_a_listing_is_looked_at() -> None:
    """A stranger's, one that is bound and one of a held slot hide no stray behind them."""
    other = a_stream(replicas=2).slots[1]
    rows = (
        an_instance(6001, "somebody's"),
        an_instance(6002, label_for(KEEPER_ID, other, 0)),
        an_instance(6003, label_for(KEEPER_ID, SLOT, 0)),
    )
    world = a_world(
        a_record(attempt=1), a_record(slot=other, attempt=1), listing=a_listing(*rows),
        held_slots=frozenset({other}),
    )  # fmt: skip
    plan = decide(world, a_desire(a_stream(replicas=2)))
    assert [each.instance_id for each in plan.condemned] == [InstanceId(6003)]


def test_an_owner_with_two_bad_machines_is_avoided() -> None:
    quarantine = {
        each.machine_id: replace(each, host_id=an_offer(1).host_id)
        for each in (a_quarantine(801), a_quarantine(802))
    }
    world = a_world(a_record(), offers={DUEL: a_book(an_offer(1))}, quarantine=quarantine)
    assert decision_for(decide(world)).reason is Reason.NO_SUITABLE_OFFER
    one = dict(list(quarantine.items())[:1])
    assert decision_for(decide(replace(world, quarantine=one))).name == "rent"


def test_a_machine_that_is_in_use_already_comes_after_a_free_one() -> None:
    used, free = an_offer(1, dollars_per_hour=0.4), an_offer(2, dollars_per_hour=0.5)
    other = a_record(a_tenure(machine_id=used.machine_id), slot=a_stream(replicas=2).slots[1])
    world = a_world(a_record(), other, offers={DUEL: a_book(used, free)})
    decision = decision_for(decide(world, a_desire(a_stream(replicas=2))))
    assert getattr(decision, "offer_id", None) == free.offer_id


def test_streams_with_other_needs_are_searched_for_apart() -> None:
    """What one stream looked for in vain is not what the next one hears."""
    picky = a_stream("picky", needs=OfferNeeds(gpu_names=("H100",)))
    plain = a_stream()
    world = a_world(offers={picky.name: a_book(an_offer()), plain.name: a_book(an_offer())})
    plan = decide(world, a_desire(picky, plain))
    names = {each.slot: each.name for each in plan.decisions}
    assert names == {picky.slots[0]: "wait", plain.slots[0]: "rent"}
