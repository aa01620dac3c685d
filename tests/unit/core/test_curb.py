"""The hard stop to the letter: who goes, who stays, what counts, and what is forgotten (I4, I6, I11)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from keeper.core.decisions import Destroy, Plan
from keeper.core.events import BudgetFreed, BudgetStopped
from keeper.core.meter import TOTAL, Meter, Tally, Warned
from keeper.core.model import (
    Desired,
    InstanceId,
    OfferNeeds,
    SlotId,
    SlotRecord,
    Status,
    Stream,
    StreamName,
    Tenure,
)
from keeper.core.reasons import Reason
from keeper.core.windows import Allowance, Window
from keeper.core.world import World
from tests.builders import (
    DUEL,
    NOW,
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
    conditions,
    decide,
    decision_for,
    events_of,
)
from tests.unit.core.spares import PLACE, SPARE_HOST, a_spare, with_spares
from tests.unit.core.standing_spares import a_standing_spare, stopped_kind

TURBO = StreamName("turbo")


def used(dollars: float, stream: StreamName = DUEL, **more: Any) -> Meter:
    """A ledger in which one stream has spent so much in all."""
    return Meter(metered_at=NOW, tallies={TOTAL: {stream: Tally(dollars=dollars)}}, **more)


def a_host(slot: str, number: int, dollars: float, **changes: Any) -> Tenure:
    return a_tenure(
        label=f"keeper:k1:{slot}:{number}",
        instance_id=InstanceId(number),
        dollars_per_hour=dollars,
        **changes,
    )


def on_air(slot: str, number: int, dollars: float, **changes: Any) -> SlotRecord:
    return a_record(a_host(slot, number, dollars), SlotId(slot), **changes)


def dark(slot: str, number: int, dollars: float) -> SlotRecord:
    frozen = conditions(streaming=(Status.FALSE, Reason.FROZEN))
    tenure = a_host(slot, number, dollars, conditions=frozen)
    return a_record(tenure, SlotId(slot), dark_since=ago(30), healthy_since=None)


def proving(slot: str, number: int, dollars: float) -> Tenure:
    return a_host(slot, number, dollars, first_live_at=None, good_in_a_row=0)


def capped(dollars: float = 5.0, replicas: int = 4, **more: Any) -> Desired:
    """Two streams, and one cap in total on all they cost; a rental ends 15 min before it is used."""
    streams: tuple[Stream, ...] = (a_stream(replicas=replicas), a_stream("turbo"))
    return a_desire(*streams, spend_max_dollars_total=dollars, **more)


def ended(plan: Plan) -> list[int]:
    return [
        int(act.instance_id)
        for act in plan.acts
        if isinstance(act, Destroy) and act.reason is Reason.BUDGET
    ]


# --- who goes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dollars", "expected"),
    [(4.2, []), (4.3, [1]), (4.49, [1]), (4.51, [1, 2]), (4.7, [1, 2]), (4.76, [1, 2, 3])],
)
def test_as_many_go_as_the_rest_can_be_paid_for_and_no_more(
    dollars: float, expected: list[int]
) -> None:
    """Each costs 25 cents until its end; three of them need 75."""
    world = a_world(*(on_air(f"duel/{n}", n + 1, 1.0) for n in range(3)), meter=used(dollars))
    assert ended(decide(world, capped())) == expected


def test_what_goes_for_one_cap_is_counted_against_no_other() -> None:
    """Counted again for the fleet's, the host that had ended for the stream's would take another along."""
    world = a_world(*(on_air(f"duel/{n}", n + 1, 1.0) for n in range(2)), meter=used(4.6))
    streams = (a_stream(replicas=2, spend_max_dollars_total=5.0), a_stream("turbo"))
    plan = decide(world, a_desire(*streams, spend_max_dollars_total=5.0))
    assert ended(plan) == [1]


def test_a_cheap_replacement_goes_before_a_dear_host_that_shows_no_picture() -> None:
    lit = on_air("duel/0", 1, 0.4, incoming=proving("duel/0", 4, 0.3))
    world = a_world(lit, dark("duel/1", 2, 0.9), meter=used(4.62))
    assert ended(decide(world, capped())) == [4]


def test_a_spare_goes_before_any_replacement_however_cheap_it_is() -> None:
    """It is what a picture can best do without."""
    lit = on_air("duel/0", 1, 0.4, incoming=proving("duel/0", 4, 0.5))
    spare = a_record(a_spare(dollars_per_hour=0.2), PLACE)
    world = a_world(lit, spare, meter=used(4.74))
    desired = a_desire(with_spares(), spend_max_dollars_total=5.0)
    assert ended(decide(world, desired)) == [SPARE_HOST]


def test_a_hard_stop_ends_a_spare_in_any_window() -> None:
    lit = on_air("duel/0", 1, 0.4)
    spare = a_record(a_spare(dollars_per_hour=0.2), PLACE)
    window = Window(name="w", since=ago(9), until=ahead(9), stream=None, allow=Allowance.OBSERVE)
    world = a_world(lit, spare, meter=used(4.86), windows=(window,))
    desired = a_desire(with_spares(), spend_max_dollars_total=5.0)
    assert ended(decide(world, desired)) == [SPARE_HOST]


def test_what_stands_still_frees_its_disk_alone() -> None:
    """Counted at its whole price, its end would have seemed to be enough, and the cap was crossed."""
    lit = on_air("duel/0", 1, 0.4)
    spare = a_record(a_standing_spare(dollars_per_hour=0.5), PLACE)
    world = a_world(lit, spare, meter=used(4.901))
    desired = a_desire(stopped_kind(), spend_max_dollars_total=5.0)
    assert ended(decide(world, desired)) == [1, SPARE_HOST]


def test_the_only_hope_of_a_dark_slot_counts_as_a_host_without_a_picture() -> None:
    """Neither of its two is on air: the dearer one of them goes, the host of another slot stays."""
    hope = replace(dark("duel/0", 1, 0.4), incoming=proving("duel/0", 4, 0.5))
    world = a_world(hope, on_air("duel/1", 2, 0.9), meter=used(4.56))
    assert ended(decide(world, capped())) == [4]


def test_what_traffic_costs_makes_a_host_dear() -> None:
    busy = a_record(a_host("duel/0", 1, 0.5, traffic_dollars_per_hour=0.2), SlotId("duel/0"))
    world = a_world(busy, on_air("duel/1", 2, 0.6), meter=used(4.7))
    assert ended(decide(world, capped())) == [1]


def test_a_slot_that_lost_only_its_replacement_still_has_its_say() -> None:
    lit = on_air("duel/0", 1, 0.4, incoming=proving("duel/0", 4, 0.5))
    plan = decide(a_world(lit, meter=used(4.79)), capped(replicas=1))
    assert ended(plan) == [4]
    kept = decision_for(plan, SlotId("duel/0"))
    assert (kept.name, kept.reason) == ("wait", Reason.HEALTHY)


def test_a_slot_that_lost_its_host_is_decided_though_its_replacement_is_in_doubt() -> None:
    """The create that nobody has answered cannot be ended yet; it is not renting another either."""
    doubt = an_asked_tenure(label="keeper:k1:duel/0:4", attempt=4, dollars_per_hour=0.5)
    plan = decide(
        a_world(on_air("duel/0", 1, 0.4, incoming=doubt), meter=used(4.95)), capped(replicas=1)
    )
    assert ended(plan) == [1]
    assert [each.name for each in plan.decisions if each.slot == "duel/0"] == ["destroy"]


def test_an_allowance_that_is_used_up_is_no_reason_to_spend_on() -> None:
    """It limits how often a host is given up for another one; this one is not followed by any."""
    worn = on_air("duel/0", 1, 1.0, replaced_at=tuple(ago(60 * n) for n in range(9, 0, -1)))
    assert ended(decide(a_world(worn, meter=used(4.8)), capped())) == [1]


# --- what counts ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gone", "expected"),
    [
        pytest.param({}, [1], id="nobody has heard of it for a minute"),
        pytest.param({"accepted_at": ago(20)}, [], id="the marketplace has said yes to it"),
        pytest.param({"condemned_at": ago(59)}, [], id="it was asked for less than a minute ago"),
        pytest.param({"slot": SlotId("turbo/0")}, [], id="it is another stream's"),
        pytest.param({"slot": None}, [], id="it is nobody's"),
    ],
)
def test_an_end_that_was_not_heard_costs_its_own_stream_on(
    gone: dict[str, Any], expected: list[int]
) -> None:
    """Beside one host of a dollar an hour, a second one that may cost as much."""
    end = {"slot": SlotId("duel/1"), "accepted_at": None, **gone}
    doomed = a_condemned(8, dollars_per_hour=1.0, **end)
    others = a_condemned(7, slot=SlotId("turbo/0"), accepted_at=None, dollars_per_hour=0.1)
    world = a_world(on_air("duel/0", 1, 1.0), meter=used(4.6), condemned=(others, doomed))
    desired = a_desire(a_stream(spend_max_dollars_total=5.0), a_stream("turbo"))
    assert [each for each in ended(decide(world, desired)) if each == 1] == expected


@pytest.mark.parametrize("slot", [SlotId("turbo/0"), None])
def test_an_end_that_was_not_heard_costs_the_fleet_on_whoever_s_it_is(slot: SlotId | None) -> None:
    doomed = a_condemned(8, dollars_per_hour=1.0, slot=slot, accepted_at=None)
    world = a_world(on_air("duel/0", 1, 1.0), meter=used(4.6), condemned=(doomed,))
    assert 1 in ended(decide(world, capped()))


def test_one_stream_s_edge_is_its_own() -> None:
    """What another one costs does not bring the moment nearer, and a cent of it is 36 s of a dollar."""
    world = a_world(on_air("duel/0", 1, 1.0), on_air("turbo/0", 2, 9.0), meter=used(4.74))
    desired = a_desire(a_stream(spend_max_dollars_total=5.0), a_stream("turbo"))
    plan = decide(replace(world, listing=at_once(world)), desired)
    assert ended(plan) == []
    assert plan.next_check_at is not None
    assert plan.next_check_at <= ahead(36.1)


def at_once(world: World) -> Any:
    """The same listing, just read: so that nothing else is to be looked at before long."""
    assert world.listing is not None
    return replace(world.listing, at=NOW)


# --- a cap that is not used up ----------------------------------------------------------------------


FIRST = SlotId("duel/0")


@pytest.mark.parametrize(
    ("dollars", "changes", "is_stopped"),
    [
        # Another host, at the two dollars that the stream allows, could be paid for until its end.
        pytest.param(1.0, {}, False, id="one was too dear"),
        pytest.param(4.39, {}, False, id="with room for just one more"),
        pytest.param(4.41, {}, True, id="without"),
        pytest.param(1.0, {"in_flight": frozenset({FIRST})}, False, id="it goes in a moment"),
        pytest.param(4.51, {"in_flight": frozenset({FIRST})}, True, id="which is late"),
        pytest.param(1.0, {"slot_pauses": {FIRST: a_pause()}}, True, id="a person keeps it"),
    ],
)
def test_a_cap_that_one_host_alone_would_cross_is_not_used_up(
    dollars: float, changes: dict[str, Any], *, is_stopped: bool
) -> None:
    """Seed 13138 of any fleet: its price was raised thirtyfold, and two slots stood empty for the rest of the day."""
    world = a_world(on_air("duel/0", 1, 20.0), on_air("duel/1", 2, 0.4), meter=used(dollars))
    plan = decide(replace(world, **changes), capped())
    assert (1 in ended(plan)) is (not changes)
    after = world.meter if plan.meter is None else plan.meter
    assert bool(after.stops) is is_stopped
    assert len(events_of(plan, BudgetStopped)) == is_stopped


def test_one_stream_s_limit_says_nothing_of_what_another_s_cap_pays_for() -> None:
    dear = a_stream("turbo", needs=OfferNeeds(price_max_dollars_per_hour=40.0))
    world = a_world(on_air("duel/0", 1, 20.0), meter=used(1.0))
    own = a_desire(a_stream(spend_max_dollars_total=5.0), dear)
    for desired, told in ((own, 0), (a_desire(a_stream(), dear, spend_max_dollars_total=5.0), 1)):
        plan = decide(world, desired)
        assert ended(plan) == [1]
        assert len(events_of(plan, BudgetStopped)) == told


# --- what is said and forgotten ---------------------------------------------------------------------


def test_every_host_that_goes_is_named() -> None:
    world = a_world(on_air("duel/0", 1, 1.0), on_air("duel/1", 2, 1.0), meter=used(4.9))
    (stopped,) = events_of(decide(world, capped()), BudgetStopped)
    assert stopped.detail == "ends duel/0, duel/1"


def test_what_goes_and_what_must_stay_are_told_together() -> None:
    world = a_world(
        on_air("duel/0", 1, 1.0), on_air("duel/1", 2, 1.0), meter=used(4.9),
        in_flight=frozenset({SlotId("duel/1")}),
    )  # fmt: skip
    (stopped,) = events_of(decide(world, capped()), BudgetStopped)
    assert stopped.detail.startswith("ends duel/0; cannot end duel/1: ")


@pytest.mark.parametrize(
    ("warned", "is_kept"),
    [
        ("/total@total:5", True),
        ("/total@total:4", True),  # another sum in the same period
        ("/month@2026-07:5", False),  # a period that is over
        ("gone/day@2026-08-01:5", False),  # a cap that nobody has any more
    ],
)
def test_a_warning_is_remembered_as_long_as_its_cap_has_its_period(
    warned: str, is_kept: bool
) -> None:
    said = {warned: Warned(ratio=0.5, at=ago(900), dollars=2.6)}
    world = a_world(on_air("duel/0", 1, 0.4), meter=used(0.1, warned=said))
    plan = decide(world, capped())
    after = world.meter if plan.meter is None else plan.meter
    assert (warned in after.warned) is is_kept
    assert not events_of(plan, BudgetFreed)


def test_a_listing_with_nothing_in_it_leaves_nothing_to_end() -> None:
    plan = decide(a_world(listing=a_listing(an_instance(9)), meter=used(9.0)), capped())
    assert not events_of(plan, BudgetStopped)
