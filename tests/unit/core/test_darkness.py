"""Time dark as viewers have it: from the first bad look to the first good one, and not forgotten."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from keeper.core.conditions import is_silent
from keeper.core.darkness import Unseen, first_look_at, unseen, with_unseen
from keeper.core.events import StreamOnAir
from keeper.core.flow import Flow, Rate
from keeper.core.meter import TOTAL, Meter, caught_up, day_of, seen_since, spent
from keeper.core.model import (
    Condition,
    ConditionKind,
    Policy,
    SlotRecord,
    Status,
    StreamName,
)
from keeper.core.reasons import Reason
from keeper.core.world import World
from tests.builders import (
    DUEL,
    HOST,
    NOW,
    SLOT,
    a_condition,
    a_desire,
    a_listing,
    a_record,
    a_stream,
    a_tenure,
    a_world,
    ago,
    ahead,
    all_heard,
    an_asked_tenure,
    applied,
    bad_pictures,
    conditions,
    decide,
    events_of,
    good_pictures,
    healthy_world,
    record_after,
)

POLICY = Policy()
FROZEN = (Status.FALSE, Reason.FROZEN)
MUTE = (Status.FALSE, Reason.NO_SOUND)
UNSEEN = (Status.UNKNOWN, Reason.NOT_ASKED)
SEEN_ONCE = replace(a_condition(ConditionKind.STREAMING, *UNSEEN), good_streak=1)
LATE_S = POLICY.coming_up_max_s

HOW = [
    ("on air", a_record(a_tenure()), None),
    ("on air, and seen bad once", a_record(a_tenure(conditions=conditions(
        streaming=a_condition(ConditionKind.STREAMING, bad=1)))), None),
    ("a frozen picture", a_record(a_tenure(conditions=conditions(streaming=FROZEN)), dark_since=ago(60)), Unseen.DARK),
    ("a picture without its sound", a_record(a_tenure(conditions=conditions(streaming=MUTE)), dark_since=ago(60)), Unseen.SILENT),
    ("lost, and no host for it", a_record(None, dark_since=ago(60), ever_on_air=True), Unseen.DARK),
    ("lost, and out of reach", a_record(a_tenure(conditions=conditions(streaming=UNSEEN)), dark_since=ago(60)), Unseen.DARK),
    ("lost, and seen good once", a_record(a_tenure(conditions=conditions(streaming=SEEN_ONCE)), dark_since=ago(60)), None),
    ("out of reach for a moment", a_record(a_tenure(conditions=conditions(streaming=UNSEEN))), None),
    ("ended by a person", a_record(None, ever_on_air=True), None),
    ("ended by a person before it was seen", a_record(None, destroy_asked_at=ago(9), wanted_since=ago(9e5)), None),
    ("coming up", a_record(an_asked_tenure(), wanted_since=ago(LATE_S - 1)), Unseen.STARTING),
    ("coming up since an earlier keeper", a_record(an_asked_tenure()), Unseen.STARTING),
    ("never seen, and late", a_record(an_asked_tenure(), wanted_since=ago(LATE_S)), Unseen.DARK),
    ("late, and seen once", a_record(a_tenure(first_live_at=None, conditions=conditions(streaming=SEEN_ONCE)), wanted_since=ago(LATE_S)), None),
]  # fmt: skip


@pytest.mark.parametrize(("record", "how"), [row[1:] for row in HOW], ids=[row[0] for row in HOW])
def test_a_slot_is_dark_by_what_viewers_lack(record: SlotRecord, how: Unseen | None) -> None:
    assert unseen(record, POLICY, NOW) is how


def a_streaming(**changes: object) -> Condition:
    return replace(a_condition(ConditionKind.STREAMING, for_s=50.0), **changes)  # type: ignore[arg-type]


def test_the_first_look_is_that_of_the_streak_that_is_under_way() -> None:
    assert first_look_at(a_streaming(bad_streak=2, streak_since=ago(15)), NOW) == ago(15)
    assert first_look_at(a_streaming(good_streak=1, streak_since=ago(5)), NOW) == ago(5)
    assert first_look_at(a_streaming(streak_since=ago(15)), NOW) == ago(50)
    assert first_look_at(a_streaming(bad_streak=2), NOW) == ago(50)
    assert first_look_at(a_streaming(bad_streak=2, streak_since=ahead(9)), NOW) == NOW
    assert first_look_at(a_streaming(since=ahead(9)), NOW) == NOW


def test_only_a_picture_without_its_sound_is_silent() -> None:
    assert is_silent(a_streaming(status=Status.FALSE, reason=Reason.NO_SOUND))
    assert not is_silent(a_streaming(status=Status.FALSE, reason=Reason.FROZEN))
    assert not is_silent(a_streaming(status=Status.UNKNOWN, reason=Reason.NO_SOUND))
    assert not is_silent(None)


def test_every_stream_counts_its_own_slots_whether_it_costs_or_not() -> None:
    turbo = a_stream("turbo", replicas=3)
    slots = {SLOT: a_stream(), **dict.fromkeys(turbo.slots, turbo)}
    records = {
        SLOT: a_record(None, dark_since=ago(9), ever_on_air=True),
        turbo.slots[0]: replace(HOW[3][1], slot=turbo.slots[0]),
        turbo.slots[1]: a_record(None, turbo.slots[1], wanted_since=ago(9)),
        turbo.slots[2]: a_record(a_tenure(), turbo.slots[2]),
    }
    flow = Flow(rates={turbo.name: Rate(dollars_per_hour=0.4, on_air=1)}, dark={}, good=frozenset())
    assert with_unseen(flow, slots, records, NOW).rates == {
        DUEL: Rate(dark=1),
        turbo.name: Rate(dollars_per_hour=0.4, on_air=1, dark=1, silent=1, starting=1),
    }
    on_air = {turbo.slots[2]: turbo}
    assert with_unseen(flow, on_air, records, NOW) is flow


# --- what is counted --------------------------------------------------------------------------------


def dark_of(meter: Meter | None) -> tuple[float, float]:
    assert meter is not None
    tally = spent(meter, TOTAL, DUEL)
    return tally.good_s, tally.dark_s


def test_what_was_seen_bad_before_it_was_believed_counts_as_dark_and_not_as_good() -> None:
    """Three looks, ten seconds apart: the first one's twenty seconds were already good ones."""
    meter = Meter(metered_at=ago(100), rates={DUEL: Rate(dollars_per_hour=1.0, on_air=1)})
    world = replace(healthy_world(readings=bad_pictures(3)), meter=meter)
    plan = decide(world)
    assert dark_of(plan.meter) == (80.0, 20.0)
    assert plan.meter is not None
    assert plan.meter.rates[DUEL].dark == 1


def test_a_single_bad_look_is_no_darkness() -> None:
    world = healthy_world(readings=(*bad_pictures(1),))
    plan = decide(world)
    after = applied(world, plan, readings=good_pictures(1))
    assert record_after(world, plan).dark_since is None
    meter = decide(after).meter
    assert meter is None or dark_of(meter)[1] == 0


def lost(since: float = 300.0, *, on_air: int = 0, **world: object) -> World:
    record = a_record(
        a_tenure(conditions=conditions(streaming=FROZEN)), dark_since=ago(since), healthy_since=None
    )
    rate = Rate(dollars_per_hour=1.0, on_air=on_air, dark=1)
    meter = Meter(metered_at=ago(100), rates={DUEL: rate})
    return replace(a_world(record), meter=meter, **world)  # type: ignore[arg-type]


def test_dark_time_ends_with_the_first_good_look() -> None:
    """The second one confirms it, and what lies between them is not dark."""
    once = replace(lost(120.0), readings=good_pictures(1))
    plan = decide(once)
    assert dark_of(plan.meter) == (0.0, 100.0)
    assert plan.meter is not None
    assert plan.meter.rates[DUEL].dark == 0
    again = replace(
        applied(once, plan, readings=tuple(replace(r, at=ahead(10)) for r in good_pictures(1))),
        heard_at={key: ahead(10) for key in all_heard()},
    )
    plan = decide(again, now=ahead(10))
    assert dark_of(plan.meter) == (0.0, 100.0)
    assert [each.duration_s for each in events_of(plan, StreamOnAir)] == [120.0]


def test_darkness_goes_on_while_keeper_is_down_and_good_time_does_not() -> None:
    """Whoever comes back to a dark stream must not find that nobody was to see it meanwhile."""
    ledger = Meter(metered_at=ago(900), rates={DUEL: Rate(on_air=2, dark=1, silent=1, starting=1)})
    after = spent(caught_up(ledger, NOW, watched_from=ago(60)), TOTAL, DUEL)
    assert (after.good_s, after.dark_s, after.silent_s, after.starting_s) == (120, 900, 900, 900)


def test_a_muted_stream_is_dark_and_its_silence_is_told_apart() -> None:
    world = replace(
        healthy_world(readings=bad_pictures(3, Reason.NO_SOUND)),
        meter=Meter(metered_at=ago(100), rates={DUEL: Rate(on_air=1)}),
    )
    plan = decide(world)
    assert plan.meter is not None
    tally = spent(plan.meter, TOTAL, DUEL)
    assert (tally.good_s, tally.dark_s, tally.silent_s) == (80, 20, 20)
    assert plan.meter.rates[DUEL].silent == 1


def test_a_stream_without_any_rental_counts_its_darkness() -> None:
    """Where no offer suits, nothing is paid, and viewers see nothing all the same."""
    meter = Meter(metered_at=ago(100), rates={DUEL: Rate(dark=1)})
    world = a_world(a_record(None, dark_since=ago(3000), ever_on_air=True), meter=meter)
    plan = decide(replace(world, offers={}, listing=a_listing()), now=ahead(900))
    assert dark_of(plan.meter)[1] == 1000.0


def test_a_slot_that_nobody_declares_any_more_is_expected_by_nobody() -> None:
    world = healthy_world(readings=bad_pictures(3))
    plan = decide(world, a_desire(a_stream("turbo")))
    assert plan.meter is None or spent(plan.meter, TOTAL, DUEL).dark_s == 0


def test_what_is_counted_once_more_is_of_its_own_days_and_takes_no_more_good_than_there_is() -> (
    None
):
    midnight = datetime(2026, 8, 2, tzinfo=NOW.tzinfo)
    ledger = seen_since(
        Meter(), DUEL, midnight.replace(day=1, hour=23, minute=59), midnight.replace(minute=2),
        good=-1, dark=1,
    )  # fmt: skip
    days = ("2026-08-01", "2026-08-02", "2026-08", TOTAL)
    assert [spent(ledger, day, DUEL).dark_s for day in days] == [60, 120, 180, 180]
    assert spent(ledger, TOTAL).good_s == 0
    years = seen_since(Meter(), DUEL, NOW.replace(year=2020), NOW, dark=1)
    assert spent(years, TOTAL).dark_s == 3 * 86_400
    assert seen_since(Meter(), StreamName("x"), ahead(5), NOW, dark=1).tallies == {}
    assert spent(seen_since(ledger, DUEL, ago(5), NOW, good=1, silent=2), day_of(NOW)).good_s == 5


# --- coming up --------------------------------------------------------------------------------------


def test_the_time_to_the_first_picture_runs_from_the_declaration() -> None:
    """Also over hosts that came to nothing: an operator waits for the stream, not for a host."""
    first = decide(a_world())
    assert record_after(a_world(), first).wanted_since == NOW
    tenure = a_tenure(first_live_at=None, warm_at=None, conditions=conditions(streaming=UNSEEN))
    record = a_record(tenure, wanted_since=ago(500))
    world = replace(a_world(record), readings=good_pictures(), heard_at=all_heard(0))
    (told,) = events_of(decide(world), StreamOnAir)
    assert (told.duration_s, told.started_s) == (0.0, 490.0)
    assert told.instance_id == HOST
    (back,) = events_of(decide(replace(lost(), readings=good_pictures())), StreamOnAir)
    assert back.started_s is None


def test_a_host_that_was_good_before_ends_the_darkness_when_it_takes_over() -> None:
    """A replacement that proved itself is seen by viewers from then on, and not since an hour."""
    world = lost(300.0)
    tenure = a_tenure(conditions=conditions(
        streaming=a_streaming(good_streak=2, streak_since=ago(3000))
    ))  # fmt: skip
    record = replace(world.records[SLOT], tenure=tenure)
    (told,) = events_of(decide(replace(world, records={SLOT: record})), StreamOnAir)
    assert told.duration_s == 300.0
