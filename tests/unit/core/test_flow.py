"""What flows is counted: whose picture, whose darkness, and what a gap in the counting costs (I4)."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from keeper.core.events import SpendCaughtUp
from keeper.core.flow import Flow, Rate, flow_of
from keeper.core.meter import (
    TOTAL,
    WRITE_APART_S,
    Dark,
    Meter,
    Tally,
    caught_up,
    day_of,
    flowing,
    is_due,
    month_of,
    shifted,
    spent,
)
from keeper.core.model import InstanceId, SlotId, StreamName
from keeper.core.moments import later
from keeper.core.reconcile import reconcile
from keeper.core.standing import Standing
from tests.builders import (
    DUEL,
    NOW,
    SLOT,
    a_condemned,
    a_desire,
    a_record,
    a_stream,
    a_tenure,
    a_world,
    ago,
    ahead,
    applied,
    decide,
    events_of,
    healthy_world,
)

OTHER = SlotId("turbo/0")
TURBO = StreamName("turbo")


def test_a_vacant_slot_hides_nobody_s_costs() -> None:
    other = a_tenure(label="keeper:k1:turbo/0:1", instance_id=InstanceId(2), dollars_per_hour=0.3)
    flow = flow_of((a_record(), a_record(other, OTHER)), (), {}, NOW)
    assert flow.rates == {TURBO: Rate(dollars_per_hour=0.3, on_air=1)}
    assert flow.good == {OTHER}


def test_a_stream_that_nobody_sees_is_paid_for_and_not_on_air() -> None:
    flow = flow_of((a_record(a_tenure(), dark_since=ago(5)),), (), {}, NOW)
    assert flow.rates == {DUEL: Rate(dollars_per_hour=0.41, on_air=0)}
    assert flow.dark == {SLOT: 0.41}


def test_an_old_host_on_its_way_out_darkens_no_slot_that_shows_a_picture() -> None:
    old = a_condemned(9, dollars_per_hour=0.5)
    flow = flow_of((a_record(a_tenure()),), (old,), {}, NOW)
    assert flow.rates[DUEL].dollars_per_hour == pytest.approx(0.91)
    assert flow.dark == {}


def test_what_ends_darkens_neither_a_spare_s_place_nor_one_in_a_person_s_hands() -> None:
    place = SlotId("duel/spare-0")
    spare, of_paused = a_condemned(8, slot=place), a_condemned(9)
    flow = flow_of((), (spare, of_paused), {}, NOW, frozenset({SLOT}))
    assert flow.rates[DUEL].dollars_per_hour == pytest.approx(0.82)
    assert flow.dark == {}
    assert flow_of((), (of_paused,), {}, NOW).dark == {SLOT: 0.41}


def test_a_rental_of_no_slot_is_no_stream_s() -> None:
    stray = a_condemned(9, slot=None)
    flow = flow_of((), (stray,), {}, NOW)
    assert flow == Flow(
        rates={StreamName(""): Rate(dollars_per_hour=0.41)}, dark={}, good=frozenset()
    )


def test_what_spares_cost_is_a_part_of_it_for_each_stream_and_in_all() -> None:
    meter = Meter(
        metered_at=ago(2 * 3600.0),
        rates={
            DUEL: Rate(dollars_per_hour=1.0, on_air=1, spare_dollars_per_hour=0.25),
            TURBO: Rate(dollars_per_hour=0.5, on_air=1, spare_dollars_per_hour=0.5),
        },
        tallies={TOTAL: {DUEL: Tally(dollars=10.0, spare_dollars=4.0)}},
    )
    after = caught_up(meter, NOW)
    assert spent(after, day_of(NOW), DUEL) == Tally(dollars=2.0, good_s=7200.0, spare_dollars=0.5)
    assert spent(after, TOTAL, DUEL) == Tally(dollars=12.0, good_s=7200.0, spare_dollars=4.5)
    assert spent(after, month_of(NOW)) == Tally(dollars=3.0, good_s=14400.0, spare_dollars=1.5)


RATES = {DUEL: Rate(dollars_per_hour=0.5, on_air=1)}
DUE = [
    ("nothing changes", NOW, {}, {}, 60.0, False),
    ("a slot goes dark at the same price", NOW, {}, {SLOT: 0.5}, 60.0, True),
    ("one that cost nothing yet is vacant", NOW, {SLOT: Dark()}, {}, 60.0, True),
    (
        "one that is dark stays so",
        NOW,
        {SLOT: Dark(dollars_per_hour=0.5)},
        {SLOT: 0.5},
        60.0,
        False,
    ),
    ("a UTC day is over", ago(NOW.hour * 3600.0 + 30.0), {}, {}, 60.0, True),
    ("another day begins, but not by UTC", ahead(3 * 3600.0 - 30.0), {}, {}, 60.0, False),
]


@pytest.mark.parametrize(
    ("at", "dark", "flow_dark", "later_s", "is_written"),
    [row[1:] for row in DUE],
    ids=[row[0] for row in DUE],
)
def test_the_ledger_is_written_when_something_else_costs_or_a_day_is_over(
    at: datetime, dark: dict[SlotId, Dark], flow_dark: dict[SlotId, float], later_s: float,
    monkeypatch: pytest.MonkeyPatch, *, is_written: bool,
) -> None:  # fmt: skip
    """Wherever the box stands: nine hours east of Greenwich the day begins at 15:00."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        flow = Flow(rates=RATES, dark=flow_dark, good=frozenset())
        meter = Meter(metered_at=at, rates=RATES, dark=dark)
        assert is_due(meter, flow, later(at, later_s)) is is_written
    finally:
        monkeypatch.undo()
        time.tzset()


def test_what_ends_in_the_tick_that_found_it_well_costs_once() -> None:
    """Whose bill stands from the tick before is counted anew when money ends it now."""
    desired = a_desire(a_stream(spend_max_dollars_total=30.0))
    standing = Standing()
    world = healthy_world(meter=Meter(metered_at=NOW, tallies={TOTAL: {DUEL: Tally(dollars=29.0)}}))
    world = applied(world, reconcile(world, desired, NOW, standing))
    world = applied(world, reconcile(world, desired, ahead(1), standing))
    assert SLOT in standing.sound
    used_up = {TOTAL: {DUEL: Tally(dollars=30.0)}}
    world = replace(world, meter=replace(world.meter, tallies=used_up))
    plan = reconcile(world, desired, ahead(2), standing)
    assert plan.meter is not None
    assert len(plan.condemned) == 1
    assert plan.meter.rates[DUEL].dollars_per_hour == pytest.approx(0.41)
    assert plan.meter.dark[SLOT].dollars_per_hour == pytest.approx(0.41)


@pytest.mark.parametrize(
    ("before", "flow_dark", "is_good", "after"),
    [
        pytest.param(
            Dark(dollars=1.0, dollars_per_hour=0.4), {SLOT: 0.5}, False,
            Dark(dollars=1.0, dollars_per_hour=0.5), id="its price changed",
        ),
        pytest.param(
            Dark(dollars=1.0, dollars_per_hour=0.4), {}, False,
            Dark(dollars=1.0), id="its host is gone: what it cost is remembered",
        ),
        pytest.param(
            Dark(dollars=1.0, dollars_per_hour=0.4), {}, True, None, id="a good minute of picture",
        ),
        pytest.param(Dark(dollars_per_hour=0.4), {}, False, None, id="gone before it cost anything"),
        pytest.param(None, {SLOT: 0.5}, False, Dark(dollars_per_hour=0.5), id="it just went dark"),
    ],
)  # fmt: skip
def test_what_a_slot_spends_in_the_dark_is_remembered_until_a_good_minute(
    before: Dark | None, flow_dark: dict[SlotId, float], is_good: bool, after: Dark | None
) -> None:
    meter = Meter(metered_at=NOW, dark={} if before is None else {SLOT: before})
    good = frozenset({SLOT}) if is_good else frozenset[SlotId]()
    flow = Flow(rates={}, dark=flow_dark, good=good)
    assert flowing(meter, flow).dark == ({} if after is None else {SLOT: after})


def test_a_time_in_which_nothing_was_rented_adds_nothing() -> None:
    tallies = {TOTAL: {DUEL: Tally(dollars=3.0, good_s=60.0)}}
    meter = caught_up(Meter(metered_at=ago(90_000), tallies=tallies), NOW)
    assert meter == Meter(metered_at=NOW, tallies=tallies)


@pytest.mark.parametrize(
    ("off_s", "step_s", "moved_s"),
    [
        (0.5, 0.5, 0.0),  # twice the same way, however little: nothing is undone
        (-0.5, -0.5, -0.5),
        (0.5, -0.5, 0.0),  # back to where it was: the time in between was counted already
        (-0.5, 0.5, 0.5),
        (0.0, 0.0, 0.0),
    ],
)
def test_a_small_step_of_the_clock_is_undone_only_by_its_opposite(
    off_s: float, step_s: float, moved_s: float
) -> None:
    before = Meter(metered_at=NOW, clock_off_s=off_s, jumped_on=day_of(NOW) if off_s else "")
    after = shifted(before, step_s)
    assert after.metered_at is not None
    assert (after.metered_at - NOW).total_seconds() == pytest.approx(moved_s)
    assert after.clock_off_s == off_s + step_s


def at_night(hour: int, minute: int) -> datetime:
    """Return a moment of the 21st."""
    return datetime(2026, 11, 21, hour, minute, tzinfo=UTC)


@pytest.mark.parametrize(
    ("at", "before", "step_s", "moved_s", "after"),
    [
        pytest.param(
            at_night(12, 0), (3600.0, "2026-11-20"), 600.0, 0.0, (4200.0, ""),
            id="of two days: of neither",
        ),
        pytest.param(
            at_night(0, 10), (3600.0, ""), -3600.0, -3600.0, (0.0, ""),
            id="back over the midnight that it leapt over: nobody knows whose hour that was",
        ),
        pytest.param(at_night(23, 30), (0.0, ""), 3600.0, 0.0, (3600.0, ""), id="over a midnight"),
        pytest.param(
            at_night(0, 30), (0.0, ""), 3600.0, 0.0, (3600.0, "2026-11-21"),
            id="soon after a midnight",
        ),
        pytest.param(None, (0.0, ""), 3600.0, None, (3600.0, ""), id="nothing is counted yet"),
    ],
)  # fmt: skip
def test_only_a_jump_within_one_utc_day_is_of_that_day(
    at: datetime | None, before: tuple[float, str], step_s: float, moved_s: float | None,
    after: tuple[float, str],
) -> None:  # fmt: skip
    """What is undone of it is left out of that day's tally; else it would be another's (I4)."""
    off_s, jumped_on = before
    found = shifted(Meter(metered_at=at, clock_off_s=off_s, jumped_on=jumped_on), step_s)
    assert (found.clock_off_s, found.jumped_on) == after
    assert found.metered_at == (None if at is None or moved_s is None else later(at, moved_s))


@pytest.mark.parametrize(
    ("away_s", "is_told"), [(7200.0, True), (2 * WRITE_APART_S, True), (20.0, False)]
)
def test_what_was_spent_while_keeper_was_away_is_told_without_what_was_spent_before(
    away_s: float, is_told: bool
) -> None:
    rates: dict[str, Any] = {"rates": {DUEL: Rate(dollars_per_hour=0.5, on_air=1)}}
    spent = {TOTAL: {DUEL: Tally(dollars=30.0)}}
    world = healthy_world(
        meter=Meter(metered_at=ago(away_s), tallies=spent, **rates), started_at=NOW
    )
    told = events_of(decide(world), SpendCaughtUp)
    assert [(each.dollars, each.duration_s) for each in told] == (
        [(pytest.approx(0.5 * away_s / 3600.0), away_s)] if is_told else []
    )


def test_an_empty_fleet_has_not_been_away() -> None:
    world = a_world(meter=Meter(metered_at=ago(7200)), started_at=NOW)
    assert events_of(decide(world), SpendCaughtUp) == []
