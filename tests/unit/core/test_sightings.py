"""What each sight of a rental is taken for: by a listing, by a probe, and by an answer that came late."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from keeper.core.events import ConditionChanged, FuseTripped, OrphanSeen
from keeper.core.model import (
    ConditionKind,
    InstanceId,
    IntentId,
    IntentKind,
    MarketState,
    OrphanPolicy,
    SlotId,
    Status,
    Subject,
    Tenure,
)
from keeper.core.reasons import Reason
from keeper.core.world import AccountSeen, World
from tests.builders import (
    HOST,
    SLOT,
    a_condition,
    a_desire,
    a_fresh_tenure,
    a_listing,
    a_pause,
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
    an_outcome,
    bad_pictures,
    conditions,
    decide,
    events_of,
    healthy_world,
    record_after,
)

T, F, U = Status.TRUE, Status.FALSE, Status.UNKNOWN
STRAY = InstanceId(7700)


def after(world: World) -> Tenure:
    tenure = record_after(world, decide(world)).tenure
    assert tenure is not None
    return tenure


def listed(tenure: Tenure, age_s: float = 5.0, **row: Any) -> World:
    world = a_world(a_record(tenure))
    told = {"machine_id": tenure.machine_id, "host_id": tenure.host_id, **row}
    instance = an_instance(HOST, tenure.label, **told)
    return replace(world, listing=a_listing(instance, age_s=age_s))


# --- by a listing -----------------------------------------------------------------------------------


def test_a_rental_is_listed_from_its_first_row_on_though_it_is_not_up() -> None:
    world = listed(a_fresh_tenure(network="192.0.0.0/16"), state=MarketState.PENDING)
    assert after(world).listed_at == ago(5)


def test_what_a_listing_tells_late_is_taken_over() -> None:
    """The machine of a rental that was adopted, the owner, and where it is."""
    tenure = a_tenure(network="", machine_id=0, host_id=0)
    seen = after(listed(tenure, machine_id=201, host_id=301, public_ip="192.0.2.7"))
    assert (seen.machine_id, seen.host_id, seen.network) == (201, 301, "192.0.0.0/16")
    moved = after(listed(seen, machine_id=202))
    assert moved.machine_id == 202
    silent = after(listed(seen, machine_id=None, host_id=None, public_ip=""))
    assert (silent.machine_id, silent.host_id, silent.network) == (201, 301, "192.0.0.0/16")


def test_what_is_listed_again_was_never_away() -> None:
    seen = after(listed(a_tenure(missing_since=ago(70), missing_listed_at=ago(40))))
    assert (seen.missing_since, seen.missing_listed_at) == (None, None)


def test_an_absence_that_an_earlier_process_saw_begins_anew() -> None:
    tenure = a_tenure(missing_since=ago(900), missing_listed_at=ago(880))
    world = a_world(a_record(tenure), listing=a_listing(age_s=5), started_at=ago(60))
    assert after(world).missing_since == ago(5)
    assert after(replace(world, started_at=ago(7200))).missing_since == ago(900)


def test_a_rental_that_no_row_shows_hides_no_stray() -> None:
    """One is bound, one is listed, and they are two."""
    stray = an_instance(STRAY, "keeper:other:gone/0:1")
    plan = decide(replace(healthy_world(), listing=a_listing(stray)))
    assert [each.instance_id for each in events_of(plan, OrphanSeen)] == [STRAY]


def test_a_slot_that_is_held_by_a_bug_hides_no_stray_of_others() -> None:
    held = an_instance(10, "keeper:k1:duel/0:1")
    stray = an_instance(STRAY, "keeper:other:gone/0:1")
    world = a_world(a_record(), listing=a_listing(held, stray), held_slots=frozenset({SLOT}))
    assert [each.instance_id for each in events_of(decide(world), OrphanSeen)] == [STRAY]


def test_a_create_without_an_id_keeps_no_other_rental_from_being_followed() -> None:
    asked = a_record(an_asked_tenure())
    other = a_tenure(label="keeper:k1:duel/1:1", instance_id=InstanceId(2), network="")
    world = a_world(asked, a_record(other, SlotId("duel/1")))
    plan = decide(world, a_desire(a_stream(replicas=2)))
    seen = record_after(world, plan, SlotId("duel/1")).tenure
    assert seen is not None
    assert seen.network == "192.0.0.0/16"


@pytest.mark.parametrize(("spendable", "is_outbid"), [(0.0, False), (9.0, True)])
def test_a_bid_that_stops_on_an_empty_account_was_not_beaten(
    spendable: float, is_outbid: bool
) -> None:
    """At the first sight of it, when nobody knows yet since when it stands still."""
    tenure = a_tenure(is_bid=True, bid_dollars_per_hour=0.35)
    world = listed(
        tenure, state=MarketState.STOPPED, is_meant_to_run=False, is_bid=True,
        min_bid_dollars_per_hour=0.45,
    )  # fmt: skip
    account = AccountSeen(spendable_dollars=spendable, at=ago(1))
    assert (after(replace(world, account=account)).outbid_since is not None) is is_outbid


def test_a_create_that_is_found_by_its_label_was_never_missing() -> None:
    asked = an_asked_tenure(
        requested_at=ago(90), missing_since=ago(60), missing_listed_at=ago(30), acted_at=ago(80)
    )
    found = after(a_world(a_record(asked), listing=a_listing(an_instance(HOST, asked.label))))
    assert found.instance_id == HOST
    assert (found.missing_since, found.missing_listed_at) == (None, None)


def test_keeper_wakes_for_the_listing_that_shows_a_contract_s_end_coming() -> None:
    """Nothing in a listing changes with it: without that nobody would look."""
    tenure = a_tenure(rented_at=ago(86_400), ends_at=ahead(10_800 + 30))
    world = listed(tenure, age_s=0, ends_at=ahead(10_800 + 30))
    plan = decide(world)
    assert plan.next_check_at is not None
    assert plan.next_check_at <= ahead(60)


# --- by a probe -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "age_s", "is_left_stopped"),
    [
        pytest.param(T, 1, False, id="it runs again"),
        pytest.param(T, 30, True, id="it ran before the restart that broke off"),
        pytest.param(T, 20, True, id="it ran when that began"),
        pytest.param(F, 1, True, id="it does not run"),
    ],
)
def test_a_process_is_left_stopped_until_it_is_seen_to_run(
    status: Status, age_s: float, is_left_stopped: bool
) -> None:
    stopped = conditions(running=(F, Reason.PROCESS_GONE))
    tenure = a_tenure(is_left_stopped=True, acted_at=ago(20), conditions=stopped)
    reason = Reason.PROCESS_UP if status is T else Reason.PROCESS_STOPPED_ON_PURPOSE
    reading = a_reading(Subject.PROCESS, status, reason, age_s=age_s)
    assert after(a_world(a_record(tenure), readings=(reading,))).is_left_stopped is is_left_stopped


def test_a_process_that_runs_on_as_before_is_noted_to_run() -> None:
    """Nothing else about it changes with the reading."""
    tenure = a_tenure(is_left_stopped=True, acted_at=ago(20))
    up = a_reading(Subject.PROCESS, T, Reason.PROCESS_UP, age_s=1)
    assert after(a_world(a_record(tenure), readings=(up,))).is_left_stopped is False


def test_a_picture_that_goes_bad_is_told_with_what_was_seen() -> None:
    readings = tuple(replace(each, detail="the same frame for 9 s") for each in bad_pictures())
    told = events_of(decide(healthy_world(readings=readings)), ConditionChanged)
    assert [(each.condition, each.detail) for each in told] == [
        (ConditionKind.STREAMING, "the same frame for 9 s")
    ]


def test_of_a_rental_that_stands_still_only_the_darkness_is_known() -> None:
    """There is no picture; what link, process and card do, nobody has said for long."""
    said = conditions(
        rented=a_condition(ConditionKind.RENTED, F, Reason.MARKET_STOPPED_IT, for_s=600.0),
        reachable=(U, Reason.SILENT),
        streaming=a_condition(ConditionKind.STREAMING, F, Reason.MARKET_STOPPED_IT, for_s=600.0),
        has_gpu=a_condition(ConditionKind.HAS_GPU, T, Reason.RUNNING, for_s=600.0),
        has_room=a_condition(ConditionKind.HAS_ROOM, T, Reason.RUNNING, for_s=600.0),
    )
    tenure = a_tenure(dead_since=ago(600), conditions=said)
    world = listed(tenure, state=MarketState.STOPPED, is_meant_to_run=False)
    world = replace(
        world, heard_at={}, pause=a_pause()
    )  # else it would be given up in the same tick
    seen = {each.kind: each.status for each in after(world).conditions}
    assert seen[ConditionKind.STREAMING] is F
    for kind in (ConditionKind.RUNNING, ConditionKind.HAS_GPU, ConditionKind.HAS_ROOM):
        assert seen[kind] is U


# --- by an answer -----------------------------------------------------------------------------------


def test_a_deploy_that_is_done_waits_for_its_first_picture_again() -> None:
    deploy = an_intent(IntentKind.DEPLOY)
    world = a_world(
        a_record(a_tenure(conditions=conditions(streaming=(U, Reason.SILENT)))),
        intents=(deploy,), outcomes=(an_outcome(deploy),),
    )  # fmt: skip
    assert after(world).warm_at is None


def test_an_intent_that_is_answered_holds_up_none_that_was_cut_short() -> None:
    first = an_intent(IntentKind.DEPLOY, intent_id=IntentId("duel/0#1"))
    second = an_intent(IntentKind.DEPLOY, intent_id=IntentId("duel/0#2"))
    world = a_world(a_record(a_tenure()), intents=(first, second), outcomes=(an_outcome(first),))
    assert set(decide(world).intents_closed) == {"duel/0#1", "duel/0#2"}


# --- many at once -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("picture", "is_tripped"), [(T, False), (U, True), (F, True)])
def test_rentals_that_no_row_shows_are_sick_unless_their_picture_is_seen(
    picture: Status, is_tripped: bool
) -> None:
    reason = {T: Reason.LIVE, U: Reason.SILENT, F: Reason.FROZEN}[picture]
    records = [
        a_record(
            a_tenure(
                label=f"keeper:k1:duel/{n}:1", instance_id=InstanceId(n + 1),
                missing_since=ago(40), missing_listed_at=ago(40),
                conditions=conditions(streaming=(picture, reason)),
            ),
            SlotId(f"duel/{n}"),
        )
        for n in range(3)
    ]  # fmt: skip
    world = a_world(*records, listing=a_listing())
    told = events_of(decide(world, a_desire(a_stream(replicas=3))), FuseTripped)
    assert any(each.reason is Reason.MASS_FAILURE for each in told) is is_tripped


@pytest.mark.parametrize("label", ["keeper:other:gone/0:1", "keeper:other"])
def test_a_stray_of_no_slot_waits_in_a_mass_failure_like_any_other_end(label: str) -> None:
    """There is no slot to look up: a tick failed over it, and every one after."""
    sick = [
        a_record(
            a_tenure(
                label=f"keeper:k1:duel/{n}:1",
                instance_id=InstanceId(n + 1),
                conditions=conditions(streaming=(F, Reason.FROZEN)),
            ),
            SlotId(f"duel/{n}"),
            dark_since=ago(60),
        )
        for n in range(3)
    ]
    world = a_world(*sick, orphans_known=frozenset({STRAY}), orphans_seen_at={STRAY: ago(60)})
    assert world.listing is not None
    rows = (*world.listing.instances, an_instance(STRAY, label))
    desired = a_desire(a_stream(replicas=3), orphans=OrphanPolicy.DESTROY)
    plan = decide(replace(world, listing=replace(world.listing, instances=rows)), desired)
    assert Reason.MASS_FAILURE in plan.fuses
    assert plan.condemned == ()


def test_what_never_was_on_air_goes_without_a_darkness_and_what_is_dark_keeps_its_own() -> None:
    never = a_fresh_tenure(rented_at=ago(3000), requested_at=ago(3000), booting_since=ago(3000))
    world = listed(never, state=MarketState.PENDING)
    world = replace(world, heard_at={})
    assert record_after(world, decide(world)).dark_since is None
