"""The ledger: what is counted, once, whatever the clock and the process do (I4, I6)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from keeper.core.events import SpendCaughtUp
from keeper.core.flow import Rate, flow_of
from keeper.core.meter import (
    TOTAL,
    WRITE_APART_S,
    Dark,
    Meter,
    caught_up,
    day_of,
    flowing,
    month_ends_at,
    month_of,
    newer,
    reopened,
    shifted,
    spent,
)
from keeper.core.model import Desired, MarketState, Mode, Status, StreamName
from keeper.core.reasons import Reason
from keeper.core.windows import Allowance, Window
from tests.builders import (
    DUEL,
    HOST,
    NOW,
    SLOT,
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
    applied,
    conditions,
    decide,
    events_of,
    healthy_world,
)

HOUR = 3600.0


def a_meter(dollars_per_hour: float = 1.0, on_air: int = 1, at: datetime = NOW) -> Meter:
    rate = Rate(dollars_per_hour=dollars_per_hour, on_air=on_air)
    return Meter(metered_at=at, rates={DUEL: rate})


def total(meter: Meter) -> float:
    return round(spent(meter, TOTAL).dollars, 9)


# --- what costs -------------------------------------------------------------------------------------


def rate_of(world_records: tuple[object, ...] = (), **more: object) -> float:
    flow = flow_of(
        world_records,  # type: ignore[arg-type]
        more.get("condemned", ()),  # type: ignore[arg-type]
        more.get("listed", {}),  # type: ignore[arg-type]
        NOW,
    )
    return sum(rate.dollars_per_hour for rate in flow.rates.values())


def test_a_create_counts_from_the_moment_it_is_asked_for_by_its_offer_s_price() -> None:
    asked = an_asked_tenure(dollars_per_hour=0.4, traffic_dollars_per_hour=0.05)
    assert rate_of((a_record(asked),)) == pytest.approx(0.45)


def test_a_running_rental_costs_gpu_disk_and_traffic() -> None:
    tenure = a_tenure(dollars_per_hour=0.5, traffic_dollars_per_hour=0.1)
    listed = {HOST: an_instance()}
    assert rate_of((a_record(tenure),), listed=listed) == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("listed_disk", "offered_disk", "costs"),
    [(0.03, 0.05, 0.03), (0.0, 0.05, 0.05), (0.0, 0.0, 0.5)],
)
def test_a_stopped_one_costs_its_disk_and_what_nobody_tells_counts_in_full(
    listed_disk: float, offered_disk: float, costs: float
) -> None:
    cut = conditions(reachable=(Status.UNKNOWN, Reason.LINK_LOST))
    tenure = a_tenure(
        dollars_per_hour=0.5, traffic_dollars_per_hour=0.1, disk_dollars_per_hour=offered_disk,
        conditions=cut,
    )  # fmt: skip
    stopped = an_instance(state=MarketState.STOPPED, disk_dollars_per_hour=listed_disk)
    assert rate_of((a_record(tenure),), listed={HOST: stopped}) == pytest.approx(costs)


def test_one_that_is_said_to_be_stopped_costs_in_full_while_its_link_is_up() -> None:
    """The marketplace called it "exited" through a whole session in which SSH worked (I4)."""
    tenure = a_tenure(dollars_per_hour=0.5, traffic_dollars_per_hour=0.1)
    stopped = an_instance(state=MarketState.STOPPED, disk_dollars_per_hour=0.03)
    assert rate_of((a_record(tenure),), listed={HOST: stopped}) == pytest.approx(0.6)
    refused = conditions(reachable=(Status.FALSE, Reason.DIAL_REFUSED))
    gone = replace(tenure, conditions=refused)
    assert rate_of((a_record(gone),), listed={HOST: stopped}) == pytest.approx(0.03)


def test_a_condemned_one_costs_until_it_is_confirmed_gone() -> None:
    condemned = a_condemned(HOST, dollars_per_hour=0.0)
    assert rate_of(condemned=(condemned,), listed={HOST: an_instance(dollars_per_hour=0.7)}) == 0.7
    assert rate_of(condemned=(replace(condemned, dollars_per_hour=0.4),)) == 0.4


def test_both_hosts_of_a_hand_over_count() -> None:
    record = replace(
        a_record(a_tenure(dollars_per_hour=0.5)), incoming=an_asked_tenure(dollars_per_hour=0.4)
    )
    assert rate_of((record,)) == pytest.approx(0.9)


# --- time -------------------------------------------------------------------------------------------


def test_an_hour_at_a_dollar_is_a_dollar_of_its_day_its_month_and_the_total() -> None:
    after = caught_up(a_meter(), ahead(HOUR))
    for period in (day_of(NOW), month_of(NOW), TOTAL):
        assert spent(after, period, DUEL).dollars == pytest.approx(1.0)
        assert spent(after, period).good_s == pytest.approx(HOUR)


def test_counting_in_pieces_is_counting_once() -> None:
    pieces = a_meter()
    for seconds in (1, 30, 31, 1000, 3600):
        pieces = caught_up(pieces, ahead(seconds))
    assert total(pieces) == total(caught_up(a_meter(), ahead(HOUR)))
    assert total(caught_up(pieces, ahead(HOUR))) == total(pieces)  # the same moment adds nothing


def test_midnight_and_the_month_s_end_part_what_was_spent() -> None:
    begin = datetime(2026, 8, 31, 23, 0, tzinfo=UTC)
    after = caught_up(a_meter(at=begin), begin + timedelta(hours=3))
    assert spent(after, "2026-08-31").dollars == pytest.approx(1.0)
    assert spent(after, "2026-09-01").dollars == pytest.approx(2.0)
    assert spent(after, "2026-08").dollars == pytest.approx(1.0)
    assert spent(after, "2026-09").dollars == pytest.approx(2.0)
    assert month_ends_at(begin) == datetime(2026, 9, 1, tzinfo=UTC)
    assert month_ends_at(datetime(2026, 12, 31, 23, tzinfo=UTC)) == datetime(2027, 1, 1, tzinfo=UTC)


def test_a_gap_is_counted_at_the_rates_that_held_but_its_picture_is_not_known() -> None:
    """keeper was down from 10 s after the last write on; its host was not."""
    after = caught_up(a_meter(at=ago(2 * HOUR)), NOW, watched_from=ago(600))
    assert total(after) == pytest.approx(2.0)
    assert spent(after, TOTAL).good_s == pytest.approx(600.0)


def test_a_clock_that_is_wrong_by_years_invents_three_days() -> None:
    after = caught_up(a_meter(), NOW + timedelta(days=3650))
    assert total(after) == pytest.approx(72.0)


def test_old_days_and_months_are_forgotten_and_the_total_is_not() -> None:
    meter = a_meter()
    for day in range(1, 1200):
        meter = caught_up(meter, NOW + timedelta(days=day))
    assert total(meter) == pytest.approx(1199 * 24)
    days = [period for period in meter.tallies if len(period) == len("2026-11-21")]
    months = [period for period in meter.tallies if len(period) == len("2026-11")]
    assert len(days) == 63
    assert 35 <= len(months) <= 38


@pytest.mark.parametrize("step_s", [3600.0, -3600.0])
def test_a_clock_that_steps_and_is_put_right_again_counts_the_true_time(step_s: float) -> None:
    """Ten minutes, a jump, ten minutes, the jump back, ten minutes: half an hour, by any clock."""
    meter, at = a_meter(), NOW
    for jump_s in (0.0, step_s, -step_s):
        at += timedelta(seconds=jump_s)
        meter = shifted(meter, jump_s)
        for _ in range(20):
            at += timedelta(seconds=30)
            meter = caught_up(meter, at)
    more_s = 70 * 60.0  # whatever was counted ahead is over by then
    meter = caught_up(meter, at + timedelta(seconds=more_s))
    assert total(meter) == pytest.approx((1800.0 + more_s) / HOUR)


@pytest.mark.parametrize("step_s", [3600.0, -3600.0])
def test_a_clock_put_right_on_another_day_takes_no_hour_from_that_day(step_s: float) -> None:
    """The hour was added to one day, or put off to it: the other day's cap must not gain by it (I4)."""
    start = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
    meter, true_s = a_meter(at=start), 0.0
    off_s, by_day = 0.0, dict.fromkeys(("2026-11-21", "2026-11-22"), 0.0)
    for _ in range(2 * 24 * 12 - 180):  # five minutes each, past the next midnight and a morning
        true_s += 300.0
        jump_s = {4 * 3600.0: step_s, 18 * 3600.0: -step_s}.get(true_s, 0.0)
        off_s += jump_s
        true_at = start + timedelta(seconds=true_s)
        by_day[day_of(true_at - timedelta(seconds=1))] += 300.0 / HOUR
        if jump_s:
            meter = shifted(meter, jump_s)
        meter = caught_up(meter, true_at + timedelta(seconds=off_s))
    later_at = start + timedelta(seconds=true_s + HOUR)
    meter = caught_up(meter, later_at)
    by_day["2026-11-22"] += 1.0
    assert spent(meter, "2026-11-22").dollars >= by_day["2026-11-22"] - 1e-6
    assert total(meter) >= sum(by_day.values()) - 1e-6
    assert total(meter) <= sum(by_day.values()) + 1.0 + 1e-6


def test_a_clock_that_steps_back_for_good_adds_nothing_and_loses_nothing() -> None:
    meter = shifted(a_meter(), -HOUR)  # an hour back, ten minutes after the last write
    meter = caught_up(meter, NOW - timedelta(seconds=HOUR - 600))
    assert total(meter) == pytest.approx(600 / HOUR)
    assert total(caught_up(a_meter(), ago(5))) == 0.0


def test_a_ledger_from_the_future_counts_from_now_on() -> None:
    meter = reopened(a_meter(at=ahead(HOUR)), NOW)
    assert total(caught_up(meter, ahead(HOUR))) == pytest.approx(1.0)
    assert reopened(a_meter(at=ago(5)), NOW).metered_at == ago(5)


def test_nothing_rented_costs_nothing_however_long() -> None:
    assert total(caught_up(Meter(metered_at=ago(9e6)), NOW)) == 0.0


def test_a_commit_writes_only_what_differs() -> None:
    before = caught_up(replace(a_meter(), rates={DUEL: Rate(dollars_per_hour=1.0)}), ahead(60))
    turbo = StreamName("turbo")
    meter = replace(before, rates={turbo: Rate(dollars_per_hour=2.0)})
    written = newer(before, caught_up(meter, ahead(120)))
    assert {period: set(streams) for period, streams in written.tallies.items()} == {
        period: {turbo} for period in (day_of(NOW), month_of(NOW), TOTAL)
    }


# --- in the tick ------------------------------------------------------------------------------------


def test_the_ledger_is_written_when_something_costs_otherwise() -> None:
    plan = decide(healthy_world())
    assert plan.meter is not None
    assert plan.meter.metered_at == NOW
    assert plan.meter.rates[DUEL].on_air == 1
    assert plan.meter.rates[DUEL].dollars_per_hour > 0


def test_a_tick_in_which_nothing_changes_writes_no_ledger() -> None:
    """The meter must not make every tick a commit: what was spent follows from the rates."""
    world = healthy_world()
    world = applied(world, decide(world))
    assert decide(world, now=ahead(30)).meter is None
    assert decide(world, now=ahead(WRITE_APART_S - 1)).meter is None


def test_a_quarter_of_an_hour_later_it_is_written_all_the_same() -> None:
    world = healthy_world()
    world = applied(world, decide(world))
    rate = world.meter.rates[DUEL].dollars_per_hour
    plan = decide(world, now=ahead(WRITE_APART_S))
    assert plan.meter is not None
    assert total(plan.meter) == pytest.approx(rate * WRITE_APART_S / HOUR, rel=1e-6)


def test_a_fleet_of_which_nothing_is_wanted_writes_nothing_for_ever() -> None:
    world = a_world(meter=Meter(metered_at=ago(9e6)), listing=a_listing())
    assert decide(world, Desired(streams=())).meter is None


def test_a_rental_s_end_is_counted_to_its_last_moment() -> None:
    """What cost until now is counted at the old rate; from now on the new one holds."""
    world = replace(healthy_world(), meter=replace(a_meter(2.0, at=ago(HOUR)), dark={}))
    plan = decide(world)
    assert plan.meter is not None
    assert total(plan.meter) == pytest.approx(2.0)
    assert plan.meter.rates[DUEL].dollars_per_hour < 2.0


def test_what_was_spent_while_keeper_was_away_is_counted_at_once_and_said_once() -> None:
    away = replace(healthy_world(), meter=a_meter(1.0, at=ago(2 * HOUR)), started_at=ago(5))
    plan = decide(away)
    (told,) = events_of(plan, SpendCaughtUp)
    assert (told.duration_s, round(told.dollars, 6)) == (2 * HOUR - 5, 2.0)
    assert not events_of(decide(applied(away, plan), now=ahead(30)), SpendCaughtUp)
    short = replace(away, meter=a_meter(1.0, at=ago(WRITE_APART_S)))
    assert not events_of(decide(short), SpendCaughtUp)


RISEN = [
    ("nobody had looked for a quarter of an hour", ago(905), 0.25),
    ("lists came each half minute", ago(35), 30.0 / 3600.0),
    ("this process has read no other list: since the ledger was written", None, 0.1),
]


@pytest.mark.parametrize(
    ("seen_before", "hours"), [r[1:] for r in RISEN], ids=[r[0] for r in RISEN]
)
def test_a_price_that_rose_unseen_counts_since_it_was_last_seen(
    seen_before: datetime | None, hours: float
) -> None:
    """Seed 4838 of any fleet: raised sevenfold while this box's own network was down, it took a day's
    bill above its cap. keeper cannot know when it rose, so it counts the dearest.
    """
    world = applied(healthy_world(), decide(healthy_world()))
    listing = world.listing
    assert listing is not None
    (instance,) = listing.instances
    costs = instance.dollars_per_hour
    dear = replace(instance, dollars_per_hour=costs + 2.0)
    world = replace(world, meter=replace(world.meter, metered_at=ago(365)))
    before = total(world.meter)
    known = replace(listing, at=ago(5), before_at=seen_before)
    risen = replace(known, instances=(dear,))
    plans = [decide(replace(world, listing=each)) for each in (known, risen)]
    cheap, counted = (before if plan.meter is None else total(plan.meter) for plan in plans)
    at_the_old_rate = world.meter.rates[DUEL].dollars_per_hour * 365.0 / HOUR
    assert cheap == pytest.approx(before)
    assert counted == pytest.approx(before + at_the_old_rate + 2.0 * hours, rel=1e-6)


# --- in the dark ------------------------------------------------------------------------------------


def test_a_slot_that_shows_no_picture_collects_what_it_costs_until_a_good_minute() -> None:
    dark = a_record(
        a_tenure(dollars_per_hour=1.0, traffic_dollars_per_hour=0.0), dark_since=ago(50)
    )
    flow = flow_of((dark,), (a_condemned(9, slot=SLOT, dollars_per_hour=0.5),), {}, NOW)
    assert flow.dark == {SLOT: pytest.approx(1.5)}
    vacant = replace(dark, tenure=None)
    flow = flow_of((vacant,), (a_condemned(9, slot=SLOT, dollars_per_hour=0.5),), {}, NOW)
    assert flow.dark == {SLOT: pytest.approx(0.5)}  # its old host costs until it is gone
    good = replace(dark, dark_since=None, healthy_since=ago(61))
    assert flow_of((good,), (), {}, NOW).good == {SLOT}
    short = replace(dark, dark_since=None, healthy_since=ago(59))
    assert flow_of((short,), (), {}, NOW).good == frozenset()


def test_what_a_person_has_paused_is_theirs_to_judge() -> None:
    frozen = conditions(streaming=(Status.FALSE, Reason.FROZEN))
    dark = a_record(a_tenure(dollars_per_hour=1.0, conditions=frozen), dark_since=ago(50))
    assert flow_of((dark,), (), {}, NOW, frozenset({SLOT})).dark == {SLOT: 0.0}
    for pause in ({"pause": a_pause()}, {"slot_pauses": {SLOT: a_pause()}}):
        plan = decide(a_world(dark, **pause))
        assert plan.meter is not None
        assert plan.meter.dark[SLOT].dollars_per_hour == 0.0
    for mode, dollars in ((Mode.ACT, 1.0), (Mode.SUGGEST, 0.0), (Mode.OBSERVE, 0.0)):
        watched = decide(a_world(dark), a_desire(a_stream(mode=mode)))
        assert watched.meter is not None
        assert watched.meter.dark[SLOT].dollars_per_hour == dollars


@pytest.mark.parametrize(
    ("allow", "stream", "until_s", "dollars"),
    [
        (Allowance.OBSERVE, None, 900, 0.0),
        (Allowance.REPAIR, DUEL, 900, 0.0),
        (Allowance.REPLACE, None, 900, 1.0),
        (Allowance.OBSERVE, StreamName("turbo"), 900, 1.0),
        (Allowance.OBSERVE, None, 0, 1.0),
    ],
)
def test_nor_is_what_a_window_keeps_from_getting_another_host(
    allow: Allowance, stream: StreamName | None, until_s: int, dollars: float
) -> None:
    """Seed 9091: its GPU went in a window of five hours, and the stop rule left it dark for two days."""
    frozen = conditions(streaming=(Status.FALSE, Reason.FROZEN))
    dark = a_record(a_tenure(dollars_per_hour=1.0, conditions=frozen), dark_since=ago(50))
    window = Window(name="night", since=ago(3600), until=ahead(until_s), allow=allow, stream=stream)
    plan = decide(a_world(dark, windows=(window,)))
    assert plan.meter is not None
    assert plan.meter.dark[SLOT].dollars_per_hour == dollars


def test_dark_money_is_remembered_over_hosts_and_vacancies_and_forgotten_by_the_picture() -> None:
    meter = replace(a_meter(), dark={SLOT: Dark(dollars=2.0, dollars_per_hour=1.0)})
    vacant = flow_of((a_record(None),), (), {}, NOW)
    meter = flowing(meter, vacant)
    assert meter.dark == {SLOT: Dark(dollars=2.0, dollars_per_hour=0.0)}
    on_air = flow_of((a_record(a_tenure(), healthy_since=ago(61)),), (), {}, NOW)
    assert flowing(meter, on_air).dark == {}
