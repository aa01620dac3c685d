"""When a fuse lets go, when a story begins, and in which order a hard stop ends what bills."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from keeper.core.decisions import Destroy
from keeper.core.events import BudgetWarned
from keeper.core.meter import TOTAL, Meter, Tally, Warned, day_of, month_of
from keeper.core.model import (
    ConditionKind,
    Incident,
    InstanceId,
    MarketState,
    RemedyUse,
    Rung,
    SlotId,
    SlotRecord,
    Status,
    StreamName,
    Subject,
)
from keeper.core.reasons import Reason
from keeper.core.windows import Allowance, Window
from keeper.core.world import OfferBook, World
from tests.builders import (
    DUEL,
    HOST,
    NOW,
    SLOT,
    a_book,
    a_condemned,
    a_condition,
    a_desire,
    a_listing,
    a_pause,
    a_record,
    a_stream,
    a_tenure,
    a_world,
    ago,
    ahead,
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
from tests.unit.core.decision_worlds import SPENT, dark, dark_for, with_record

F, U = Status.FALSE, Status.UNKNOWN


def a_slot(number: int, **changes: Any) -> SlotRecord:
    slot = a_stream(replicas=9).slots[number]
    tenure = a_tenure(label=f"keeper:k1:{slot}:1", instance_id=InstanceId(7001 + number), **changes)
    return a_record(tenure, slot, healthy_since=ago(900))


def a_frozen(number: int, for_s: float, **more: Any) -> SlotRecord:
    dark = a_condition(ConditionKind.STREAMING, F, Reason.FROZEN, for_s=for_s, bad=3)
    record = a_slot(number, conditions=conditions(streaming=dark))
    return replace(record, dark_since=ago(for_s), healthy_since=None, **more)


# --- mass failure -----------------------------------------------------------------------------------


def test_the_slot_that_will_be_tried_says_when() -> None:
    """Three sick of three, for 500 s; after 900 s the one that is sick longest has its turn."""
    world = a_world(a_frozen(0, 700), a_frozen(1, 600), a_frozen(2, 500))
    plan = decide(world, a_desire(a_stream(replicas=3)))
    untils = [getattr(each, "until", None) for each in plan.decisions]
    assert {each.reason for each in plan.decisions} == {Reason.MASS_FAILURE}
    # More than one was sick from the second on.
    assert untils == [ahead(300), None, None]


def test_the_trial_begins_to_the_second() -> None:
    for for_s, reason in ((899, Reason.MASS_FAILURE), (900, Reason.FROZEN)):
        world = a_world(a_frozen(0, 950), a_frozen(1, for_s))
        plan = decide(world, a_desire(a_stream(replicas=2)))
        assert decision_for(plan, SLOT).reason is reason


def _a_window(allow: Allowance, stream: str) -> Window:
    name = StreamName(stream)
    return Window(name="works", since=ago(60), until=ahead(3600), allow=allow, stream=name)


@pytest.mark.parametrize(
    "tied",
    [
        {"windows": (_a_window(Allowance.OBSERVE, "duel"),)},
        {"windows": (_a_window(Allowance.REPAIR, "duel"),)},
        {"slot_pauses": {SLOT: a_pause()}},
        {"held_slots": frozenset({SLOT})},
        {},
    ],
    ids=["observed", "only repaired", "paused", "held by a bug", "its allowance is used up"],
)
@pytest.mark.parametrize("is_vacant", [False, True], ids=["sick", "without a host"])
def test_a_slot_that_may_not_be_treated_keeps_no_other_one_waiting(
    tied: dict[str, Any], *, is_vacant: bool
) -> None:
    """The trial was duel's, which a window held, and turbo was dark until it closed: for three hours."""
    spent = () if tied else tuple(ago(9000 - 600 * n) for n in range(6))
    first = a_frozen(0, 2000, replaced_at=spent)
    if is_vacant:
        first = replace(first, tenure=None)
    others = []
    for n in range(2):
        other = a_frozen(5 + n, 1500 - n)
        assert other.tenure is not None
        slot = SlotId(f"turbo/{n}")
        tenure = replace(other.tenure, label=f"keeper:k1:{slot}:1")
        others.append(replace(other, slot=slot, tenure=tenure))
    world = a_world(first, *others, **tied)
    streams = (a_stream(replicas=1), a_stream(name="turbo", replicas=2))
    plan = decide(world, a_desire(*streams))
    assert Reason.MASS_FAILURE in plan.fuses
    assert decision_for(plan, SlotId("turbo/0")).reason is Reason.FROZEN
    assert decision_for(plan, SlotId("turbo/1")).reason is Reason.MASS_FAILURE


def test_a_slot_that_waits_for_money_keeps_no_other_one_waiting() -> None:
    """A month's cap was spent, and two slots of another stream were dark until the month was over."""
    desired = a_desire(a_stream(name="turbo", spend_max_dollars_per_hour=0.0), a_stream(replicas=2))
    waiting = a_record(slot=SlotId("turbo/0"), ever_on_air=True, dark_since=ago(9000), attempt=1)
    for reason in (Reason.BUDGET, Reason.DARK_SPEND):
        held = replace(waiting, last_decision="hold", last_reason=reason)
        book = OfferBook(offers=(an_offer(),), at=ago(1))
        world = a_world(
            held, a_frozen(0, 2000), a_frozen(1, 1500), offers={StreamName("turbo"): book}
        )
        plan = decide(world, desired)
        assert Reason.MASS_FAILURE in plan.fuses
        assert decision_for(plan, SLOT).reason is Reason.FROZEN
        # And it says why it waits, tick for tick.
        assert decision_for(plan, waiting.slot).reason is Reason.BUDGET


def test_what_was_never_good_is_not_sick_whatever_became_of_its_bid() -> None:
    never = [
        replace(
            a_slot(number, first_live_at=None, warm_at=None, conditions=conditions(
                streaming=(F, Reason.NO_BYTES))),
            ever_on_air=True,
        )
        for number in (0, 1)
    ]  # fmt: skip
    plan = decide(a_world(*never), a_desire(a_stream(replicas=2)))
    assert Reason.MASS_FAILURE not in plan.fuses


def test_a_picture_that_is_seen_outweighs_what_the_marketplace_says() -> None:
    down = [a_slot(number, dead_since=ago(600)) for number in (0, 1)]
    plan = decide(a_world(*down), a_desire(a_stream(replicas=2)))
    assert Reason.MASS_FAILURE not in plan.fuses


# --- the story --------------------------------------------------------------------------------------


def test_darkness_begins_when_the_picture_was_lost_not_when_that_was_acted_on() -> None:
    lost = a_condition(ConditionKind.STREAMING, F, Reason.FROZEN, for_s=40, bad=3)
    world = a_world(a_record(a_tenure(conditions=conditions(streaming=lost))))
    after = record_after(world, decide(world))
    assert after.dark_since == ago(40)
    assert after.incident is not None
    assert (after.incident.dark_since, after.incident.opened_at) == (ago(40), NOW)


def test_a_slot_that_was_never_on_air_has_no_darkness_to_tell_of() -> None:
    lost = a_condition(ConditionKind.STREAMING, F, Reason.FROZEN, for_s=40, bad=3)
    tenure = a_tenure(conditions=conditions(streaming=lost), first_live_at=None, warm_at=None)
    record = replace(a_record(tenure), ever_on_air=False, healthy_since=None)
    world = a_world(record)
    assert record_after(world, decide(world)).dark_since is None


def test_an_ordered_end_closes_the_story() -> None:
    incident = Incident(incident_id="i", opened_at=ago(90), reason=Reason.FROZEN, dark_since=None)
    record = SlotRecord(
        slot=SLOT, destroy_asked_at=ago(1), incident=incident, ever_on_air=True,
        dark_since=ago(90), healthy_since=ago(5),
    )  # fmt: skip
    world = a_world(record, listing=a_listing())
    after = record_after(world, decide(world))
    assert (after.incident, after.dark_since) == (None, None)
    assert (after.healthy_since, after.ever_on_air) == (None, False)


@pytest.mark.parametrize(("good_s", "age_s", "left"), [
    (599, 700, [Rung.RESTART_PROCESS, Rung.REBOOT]),
    (600, 700, [Rung.REBOOT]),
    (600, 3599, [Rung.REBOOT]),
    (600, 3600, []),
])  # fmt: skip
def test_restarts_are_forgiven_after_ten_good_minutes_and_reboots_when_they_are_old(
    good_s: int, age_s: int, left: list[Rung]
) -> None:
    uses = (
        RemedyUse(rung=Rung.RESTART_PROCESS, at=ago(700)),
        RemedyUse(rung=Rung.REBOOT, at=ago(age_s)),
    )
    world = a_world(a_record(a_tenure(), remedies=uses, healthy_since=ago(good_s)))
    assert [use.rung for use in record_after(world, decide(world)).remedies] == left


# --- the hard stop ----------------------------------------------------------------------------------


def spent(dollars: float, stream: str = "duel") -> Meter:
    tally = {StreamName(stream): Tally(dollars=dollars)}
    tallies = {day_of(NOW): tally, month_of(NOW): tally, TOTAL: tally}
    return Meter(metered_at=NOW, tallies=tallies)


def ended(world: World, *streams: Any, **fleet: Any) -> list[int]:
    plan = decide(world, a_desire(*streams, **fleet))
    return [int(act.instance_id) for act in plan.acts if isinstance(act, Destroy)]


def test_a_streams_cap_ends_its_own_hosts_and_no_others() -> None:
    other = StreamName("turbo")
    far = a_tenure(label="keeper:k1:turbo/0:1", instance_id=InstanceId(7100))
    world = a_world(a_record(far, SlotId("turbo/0")), a_slot(0), meter=spent(5.0))
    capped = a_stream(spend_max_dollars_per_day=5.0)
    assert ended(world, a_stream(str(other)), capped) == [7001]
    assert ended(world, a_stream(str(other)), a_stream(), spend_max_dollars_per_day=5.0) == [
        7001, 7100,
    ]  # fmt: skip


def test_the_host_without_a_picture_goes_before_the_one_on_air() -> None:
    """Room for one of two, with what the end itself takes; the dearer one is on air."""
    dark = a_frozen(0, 400, remedies=())
    lit = a_slot(1, dollars_per_hour=0.6)
    stream = a_stream(replicas=2, spend_max_dollars_per_day=5.0)
    world = a_world(dark, lit)
    end_h = a_desire().fleet.spend_end_s / 3600.0
    # Both together no longer fit, the one on air does.
    used = 5.0 - 0.8 * end_h
    assert ended(replace(world, meter=spent(used)), stream) == [7001]


def test_traffic_counts_towards_the_end() -> None:
    end_h = a_desire().fleet.spend_end_s / 3600.0
    stream = a_stream(spend_max_dollars_per_day=5.0)
    used = 5.0 - 0.5 * end_h
    plain = a_world(a_slot(0, dollars_per_hour=0.41, traffic_dollars_per_hour=0.0))
    busy = a_world(a_slot(0, dollars_per_hour=0.41, traffic_dollars_per_hour=0.2))
    assert ended(replace(plain, meter=spent(used)), stream) == []
    assert ended(replace(busy, meter=spent(used)), stream) == [7001]


def test_an_end_that_nobody_has_heard_of_bills_on() -> None:
    end_h = a_desire().fleet.spend_end_s / 3600.0
    stream = a_stream(spend_max_dollars_per_day=5.0)
    world = a_world(a_slot(0), meter=spent(5.0 - 0.6 * end_h))
    assert ended(world, stream) == []
    assert world.listing is not None
    row = an_instance(8000, a_condemned().label)
    world = replace(world, listing=a_listing(*world.listing.instances, row))
    for accepted_at, expected in ((ago(30), []), (None, [7001])):
        each = a_condemned(
            8000, dollars_per_hour=0.4, accepted_at=accepted_at, next_try_at=ahead(9)
        )
        assert ended(replace(world, condemned=(each,)), stream) == expected


def test_a_warning_says_when_the_cap_is_reached_and_is_kept() -> None:
    world = healthy_world(meter=spent(2.5))
    plan = decide(world, a_desire(a_stream(spend_max_dollars_per_day=5.0)))
    (told,) = events_of(plan, BudgetWarned)
    assert (told.ratio, told.stream, told.period) == (0.5, DUEL, "day")
    reached = ahead(2.5 / 0.41 * 3600.0)
    assert told.reached_at == reached
    assert plan.meter is not None
    (kept,) = plan.meter.warned.values()
    assert kept == Warned(ratio=0.5, at=NOW, dollars=2.5, reached_at=reached)
    again = replace(world, meter=plan.meter)
    assert events_of(decide(again, a_desire(a_stream(spend_max_dollars_per_day=5.0))),
                     BudgetWarned) == []  # fmt: skip


def test_keeper_wakes_for_the_next_warning_and_for_the_edge_of_a_cap() -> None:
    """Nothing else would make it look: ten seconds on, to the second."""
    stream = a_stream(spend_max_dollars_per_day=5.0)
    ten_s = 0.41 * 10.0 / 3600.0
    end_h = a_desire().fleet.spend_end_s / 3600.0
    for used in (2.5 - ten_s, 5.0 - 0.41 * end_h - ten_s):
        plan = decide(healthy_world(meter=spent(used)), a_desire(stream))
        assert plan.next_check_at is not None
        assert (plan.next_check_at - NOW).total_seconds() == pytest.approx(10.0, abs=0.01)
        assert plan.acts == ()


def test_a_replacement_that_waits_goes_before_the_host_that_serves() -> None:
    end_h = a_desire().fleet.spend_end_s / 3600.0
    incoming = a_tenure(
        label=f"keeper:k1:{SLOT}:2", attempt=2, instance_id=InstanceId(7050),
        dollars_per_hour=0.2, good_in_a_row=0,
        conditions=conditions(streaming=(U, Reason.NOT_ASKED)),
    )  # fmt: skip
    record = replace(a_slot(0), attempt=2, incoming=incoming)
    stream = a_stream(spend_max_dollars_per_day=5.0)
    world = a_world(record, meter=spent(5.0 - 0.5 * end_h))
    assert ended(world, stream) == [7050]
    paused = replace(world, slot_pauses={SLOT: a_pause()})
    assert ended(paused, stream) == []


def test_what_is_unknown_of_a_link_ends_nothing() -> None:
    tenure = a_tenure(conditions=conditions(reachable=(U, Reason.SILENT)))
    assert decide(a_world(a_record(tenure))).acts == ()


# --- replacements that are used up --------------------------------------------------------------------


def test_what_has_lost_its_gpu_goes_and_the_next_host_waits_for_the_allowance() -> None:
    """Seeds 6487, 8587: five successors had failed, and it was paid for in the dark for four hours."""
    used = tuple(ago(s) for s in (900, 800, 700, 600, 50))
    gone = with_record(dark(has_gpu=(F, Reason.GPU_LOST)), replaced_at=used)
    plan = decide(gone)
    assert decision_for(plan).name == "destroy"
    book = {DUEL: a_book(an_offer(1))}
    vacated = record_after(gone, plan)
    held = decision_for(decide(a_world(vacated, offers=book)))
    assert (held.name, held.reason) == ("hold", Reason.REPLACEMENTS_SPENT)
    assert held.until == ahead(21_600 - 900)  # type: ignore[union-attr]
    freed = replace(vacated, replaced_at=(*used[1:4], ago(121), NOW))
    assert decision_for(decide(a_world(freed, offers=book))).name == "rent"


@pytest.mark.parametrize("used", [(), (ago(900), ago(800))], ids=["never", "before it was none"])
def test_with_an_allowance_of_none_a_dark_host_is_held_for_a_person(used: Any) -> None:
    none = a_desire(with_policy(a_stream(), replacements_max=0))
    held = decision_for(decide(with_record(dark_for(900), remedies=SPENT, replaced_at=used), none))
    assert (held.reason, held.until) == (Reason.REPLACEMENTS_SPENT, None)  # type: ignore[union-attr]


# --- the marketplace's word, after a while away ---------------------------------------------------------


@pytest.mark.parametrize(
    ("away_until_s", "does"),
    [
        pytest.param(1.0, "wait", id="the link has not spoken since"),
        pytest.param(31.0, "destroy", id="nor in half a minute"),
        pytest.param(29.0, "wait", id="which is not over"),
    ],
)
def test_who_was_away_hears_the_link_before_the_marketplace_is_believed(
    away_until_s: float, does: str
) -> None:
    """Seed 30167: frozen for a minute; a host was listed as exited, served on, and was given up at once."""
    tenure = a_tenure(
        dead_since=ago(120),
        conditions=conditions(
            rented=(F, Reason.MARKET_SAYS_DEAD),
            reachable=(U, Reason.SILENT),
            streaming=(U, Reason.SILENT),
        ),
    )
    world = a_world(
        a_record(tenure),
        listing=a_listing(an_instance(state=MarketState.STOPPED), age_s=0.2),
        heard_at={(HOST, Subject.LINK): ago(60)},
        started_at=ago(away_until_s),
    )
    assert decision_for(decide(world)).name == does
