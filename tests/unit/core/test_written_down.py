"""What each answer leaves in the books, field by field: a rental that is half written down is lost."""

from __future__ import annotations

from dataclasses import replace

import pytest

from keeper.core.events import ActFailed, InstanceEnded, OrphanCleared
from keeper.core.labels import label_for
from keeper.core.model import (
    HostId,
    InstanceId,
    IntentKind,
    MachineId,
    OfferId,
    OfferNeeds,
    OrphanPolicy,
    Pricing,
    Status,
    Tenure,
)
from keeper.core.reasons import Reason
from keeper.core.world import OutcomeKind, World
from tests.builders import (
    DUEL,
    HOST,
    KEEPER_ID,
    NOW,
    SLOT,
    a_book,
    a_condemned,
    a_desire,
    a_fresh_tenure,
    a_listing,
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
    an_outcome,
    conditions,
    decide,
    events_of,
    healthy_world,
    record_after,
)

LABEL = label_for(KEEPER_ID, SLOT, 1)


def tenure_after(world: World) -> Tenure:
    tenure = record_after(world, decide(world)).tenure
    assert tenure is not None
    return tenure


# --- creates ----------------------------------------------------------------------------------------


def test_a_rental_is_timed_from_the_answer_that_named_it() -> None:
    intent = an_intent()
    world = a_world(a_record(an_asked_tenure()), intents=(intent,), outcomes=(
        an_outcome(intent, instance_id=HOST, at=ago(3)),
    ))  # fmt: skip
    after = tenure_after(world)
    assert (after.instance_id, after.rented_at, after.booting_since) == (HOST, ago(3), ago(3))


def test_a_rental_found_by_its_label_is_timed_from_its_create() -> None:
    """Its boot began then, whenever we found it; what was missing of it is missing no more."""
    asked = an_asked_tenure(
        requested_at=ago(100), acted_at=ago(90), missing_since=ago(60), missing_listed_at=ago(40)
    )
    world = a_world(a_record(asked), listing=a_listing(an_instance(HOST, LABEL)))
    after = tenure_after(world)
    assert (after.instance_id, after.rented_at, after.booting_since) == (HOST, ago(100), ago(100))
    assert (after.missing_since, after.missing_listed_at) == (None, None)


def test_a_rental_that_an_error_named_is_condemned_with_all_that_is_known() -> None:
    intent = an_intent()
    outcome = an_outcome(intent, OutcomeKind.FAILED, instance_id=InstanceId(77), at=ago(4))
    world = a_world(a_record(an_asked_tenure()), intents=(intent,), outcomes=(outcome,))
    (end,) = decide(world).condemned
    assert (end.instance_id, end.slot, end.label) == (77, SLOT, LABEL)
    assert (end.reason, end.dollars_per_hour, end.rented_at) == (
        Reason.STRAY_RENTAL, 0.41, ago(4),
    )  # fmt: skip


def test_a_rental_whose_slot_has_moved_on_is_condemned_for_that_slot() -> None:
    intent = an_intent(label=label_for(KEEPER_ID, SLOT, 9))
    outcome = an_outcome(intent, instance_id=InstanceId(77), at=ago(4))
    world = a_world(a_record(attempt=9), intents=(intent,), outcomes=(outcome,))
    (end,) = decide(world).condemned
    assert (end.slot, end.label, end.rented_at) == (SLOT, intent.label, ago(4))
    assert end.dollars_per_hour == 0.0


def test_an_answer_that_names_a_stranger_takes_back_all_that_was_believed() -> None:
    fresh = a_fresh_tenure(missing_since=ago(60), missing_listed_at=ago(40))
    stranger = replace(an_instance(), label="somebody's")
    plan = decide(world := a_world(a_record(fresh), listing=a_listing(stranger)))
    after = record_after(world, plan).tenure
    assert after is not None
    assert (after.instance_id, after.rented_at, after.booting_since) == (None, None, None)
    assert (after.missing_since, after.missing_listed_at) == (None, None)
    assert after.acted_at == NOW  # in doubt from now on
    assert plan.wants.listing_by is not None


@pytest.mark.parametrize(
    ("reason", "avoided"), [(Reason.OFFER_GONE, True), (Reason.OUT_OF_CREDIT, False)]
)
def test_a_lost_race_is_remembered_and_no_other_refusal(reason: Reason, avoided: bool) -> None:
    intent = an_intent()
    outcome = an_outcome(intent, OutcomeKind.FAILED, instance_id=None, reason=reason)
    record = a_record(an_asked_tenure(), avoid_offers=(OfferId(5),), next_rent_at=ahead(50))
    world = a_world(record, intents=(intent,), outcomes=(outcome,))
    after = record_after(world, decide(world))
    assert after.avoid_offers == ((OfferId(5), OfferId(101)) if avoided else (OfferId(5),))
    if avoided:
        assert after.next_rent_at is None


def test_an_offer_that_does_not_suit_the_marketplace_is_avoided_while_others_are_looked_for() -> (
    None
):
    intent = an_intent()
    outcome = an_outcome(
        intent, OutcomeKind.FAILED, instance_id=None, reason=Reason.NO_SUITABLE_OFFER
    )
    world = a_world(a_record(an_asked_tenure()), intents=(intent,), outcomes=(outcome,))
    after = record_after(world, decide(world))
    assert after.avoid_offers == (OfferId(101),)
    assert after.offer_misses == 1


def test_the_marketplaces_own_pause_is_kept_and_none_is_made_up() -> None:
    intent = an_intent()
    pauses = {}
    for asked_s in (None, 400.0):
        outcome = an_outcome(intent, OutcomeKind.FAILED, instance_id=None, retry_after_s=asked_s)
        world = a_world(a_record(an_asked_tenure()), intents=(intent,), outcomes=(outcome,))
        after = record_after(world, decide(world)).next_rent_at
        assert after is not None
        pauses[asked_s] = (after - NOW).total_seconds()
    assert pauses[None] < 20  # the first step, spread by a quarter
    assert pauses[400.0] == 400.0


def test_a_host_that_is_found_ends_the_search_and_what_was_said_of_it() -> None:
    intent = an_intent()
    outcome = an_outcome(intent, instance_id=HOST)
    for search in ({"offer_misses": 2}, {"next_rent_at": ahead(9)}, {"offer_asked": OfferId(1)}):
        record = a_record(an_asked_tenure(), rent_detail="nothing there", **search)
        world = a_world(record, intents=(intent,), outcomes=(outcome,))
        after = record_after(world, decide(world))
        assert (after.offer_misses, after.next_rent_at, after.offer_asked) == (0, None, None)
        assert after.rent_detail == ""


# --- rentals ----------------------------------------------------------------------------------------


def test_a_rental_is_written_down_with_what_was_decided_upon() -> None:
    offer = an_offer(
        3, is_bid=True, gpu_dollars_per_hour=0.2, disk_dollars_per_hour=0.05,
        dollars_per_hour=0.25, inet_up_dollars_per_gb=0.01, driver_version="570.1",
    )  # fmt: skip
    needs = OfferNeeds(pricing=Pricing.INTERRUPTIBLE, egress_gb_per_hour=2.0)
    stream = a_stream(needs=needs)
    record = a_record(
        attempt=4,
        next_rent_at=ago(1),
        rent_detail="nothing there",
        replaced_at=(ago(900), ago(300)),
    )
    world = a_world(record, offers={DUEL: a_book(offer)})
    plan = decide(world, a_desire(stream))
    after = record_after(world, plan)
    tenure = after.tenure
    assert tenure is not None
    assert (tenure.label, tenure.attempt, after.attempt) == (label_for(KEEPER_ID, SLOT, 5), 5, 5)
    assert (tenure.offer_id, tenure.machine_id, tenure.host_id) == (103, 203, 303)
    assert tenure.is_bid
    assert tenure.bid_dollars_per_hour == pytest.approx(0.22)
    assert tenure.dollars_per_hour == tenure.offered_dollars_per_hour == pytest.approx(0.27)
    assert tenure.traffic_dollars_per_hour == pytest.approx(0.02)
    assert tenure.disk_dollars_per_hour == 0.05
    assert (tenure.driver, tenure.region, tenure.image) == ("570.1", "SE", "duel:1")
    assert (tenure.gpu_ram_gb, tenure.requested_at) == (24.0, NOW)
    assert (after.next_rent_at, after.rent_detail) == (None, "")
    assert after.replaced_at == (ago(900), NOW)
    assert (after.last_act, after.last_act_reason, after.last_act_at) == (
        "rent", Reason.VACANT, NOW,
    )  # fmt: skip


def test_on_demand_bids_nothing() -> None:
    world = a_world(a_record(), offers={DUEL: a_book(an_offer())})
    tenure = record_after(world, decide(world)).tenure
    assert tenure is not None
    assert (tenure.is_bid, tenure.bid_dollars_per_hour) == (False, 0.0)


@pytest.mark.parametrize(
    "changes",
    [
        {"offers": {}},
        {"offers": {DUEL: a_book()}},
        {"offers": {DUEL: a_book(an_offer(dollars_per_hour=1.9, gpu_dollars_per_hour=1.8))}},
        {"offers": {DUEL: a_book(an_offer(), age_s=61)}},
    ],
    ids=["no search yet", "nothing there", "over the budget", "too old"],
)
def test_what_was_not_rented_is_no_act(changes: dict[str, object]) -> None:
    world = a_world(a_record(next_rent_at=None), **changes)
    after = record_after(world, decide(world, a_desire(a_stream(spend_max_dollars_per_hour=1.0))))
    assert (after.last_act, after.last_act_at) == ("", None)
    waiting = a_world(a_record(next_rent_at=ahead(9)), offers={DUEL: a_book(an_offer())})
    assert record_after(waiting, decide(waiting)).last_act_at is None
    wished = a_world(a_record(offer_asked=OfferId(999)), offers={DUEL: a_book(an_offer())})
    assert record_after(wished, decide(wished)).last_act_at is None


def test_an_adopted_orphan_is_written_down_as_it_is_listed() -> None:
    orphan = an_instance(
        9009, label_for("k0", SLOT, 4), is_bid=True, gpu_ram_gb=24.0, disk_dollars_per_hour=0.06,
        dollars_per_hour=0.5, geolocation="FI", machine_id=MachineId(7), host_id=HostId(8),
    )  # fmt: skip
    desired = a_desire(orphans=OrphanPolicy.ADOPT)
    world = a_world(
        a_record(attempt=2, offer_misses=1),
        listing=a_listing(orphan),
        orphans_known=frozenset({orphan.instance_id}),
        orphans_seen_at={orphan.instance_id: ago(60)},
    )
    after = record_after(world, decide(world, desired))
    tenure = after.tenure
    assert tenure is not None
    assert (after.attempt, after.offer_misses) == (4, 0)
    assert (tenure.label, tenure.attempt, tenure.instance_id) == (orphan.label, 4, 9009)
    assert (tenure.rented_at, tenure.booting_since, tenure.requested_at) == (NOW, NOW, NOW)
    assert tenure.listed_at == ago(5)
    assert (tenure.machine_id, tenure.host_id, tenure.offer_id) == (7, 8, 0)
    assert (tenure.is_bid, tenure.dollars_per_hour, tenure.disk_dollars_per_hour) == (
        True, 0.5, 0.06,
    )  # fmt: skip
    assert (tenure.gpu_ram_gb, tenure.region, tenure.gpu_name) == (24.0, "FI", "RTX 4090")
    unknown = replace(orphan, machine_id=None, host_id=None)
    bare = record_after(world, decide(replace(world, listing=a_listing(unknown)), desired)).tenure
    assert bare is not None
    assert (bare.machine_id, bare.host_id) == (0, 0)


def test_an_orphan_that_is_gone_is_cleared_by_its_id() -> None:
    plan = decide(healthy_world(orphans_known=frozenset({InstanceId(9009)})))
    assert events_of(plan, OrphanCleared) == [OrphanCleared(instance_id=InstanceId(9009), label="")]


# --- acts on a host ---------------------------------------------------------------------------------


def test_a_deploy_that_is_done_begins_the_warm_up_anew() -> None:
    intent = an_intent(IntentKind.DEPLOY)
    before = a_tenure(deployed_at=None, deploy_failures=1, warm_at=ago(3000), acted_at=ago(10))
    world = a_world(
        a_record(before), intents=(intent,), outcomes=(an_outcome(intent, at=ago(2)),), heard_at={}
    )
    after = tenure_after(world)
    assert (after.deployed_at, after.acted_at, after.deploy_failures) == (ago(2), ago(2), 0)
    assert not after.is_left_stopped


@pytest.mark.parametrize("kind", [OutcomeKind.FAILED, OutcomeKind.UNCERTAIN])
def test_a_deploy_that_fails_is_counted_from_its_end(kind: OutcomeKind) -> None:
    intent = an_intent(IntentKind.DEPLOY)
    before = a_tenure(
        deployed_at=None, deploy_failures=1, acted_at=ago(10), first_live_at=None, warm_at=None,
        conditions=conditions(streaming=(Status.UNKNOWN, Reason.NOT_ASKED)),
    )  # fmt: skip
    world = a_world(
        a_record(before), intents=(intent,), outcomes=(an_outcome(intent, kind, at=ago(2)),)
    )
    plan = decide(world)
    after = record_after(world, plan)
    kept = after.tenure or after.incoming
    ends = {each.instance_id for each in plan.condemned}
    # Twice is enough: it goes, and the machine is avoided. Once what may run has been looked at.
    is_sure = kind is OutcomeKind.FAILED
    assert (kept is None) is is_sure
    assert ends == ({HOST} if is_sure else set())
    first = replace(before, deploy_failures=0)
    world = replace(world, records={SLOT: a_record(first)})
    once = tenure_after(world)
    assert (once.deploy_failures, once.acted_at) == (1, ago(2))


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (IntentKind.REBOOT, "reboot"),
        (IntentKind.REBID, "rebid"),
        (IntentKind.DESTROY, "destroy"),
    ],
)
def test_a_failed_act_is_told_with_its_slot_and_rental(kind: IntentKind, name: str) -> None:
    intent = an_intent(kind)
    outcome = an_outcome(intent, OutcomeKind.FAILED, error="503")
    condemned = (a_condemned(),) if kind is IntentKind.DESTROY else ()
    tenure = None if condemned else a_tenure()
    world = a_world(
        a_record(tenure, attempt=1), intents=(intent,), outcomes=(outcome,), condemned=condemned
    )
    assert events_of(decide(world), ActFailed) == [
        ActFailed(slot=SLOT, instance_id=HOST, decision=name, error="503")
    ]


# --- ends -------------------------------------------------------------------------------------------


def test_an_end_is_on_disk_and_told_with_its_slot_and_rental() -> None:
    world = a_world(a_record(attempt=1), condemned=(a_condemned(next_try_at=None, tries=0),))
    world = replace(world, listing=a_listing(an_instance()))
    plan = decide(world)
    (intent,) = plan.intents_opened
    assert (intent.kind, intent.slot, intent.instance_id) == (IntentKind.DESTROY, SLOT, HOST)
    (told,) = [each for each in plan.events if each.name == "instance.destroying"]
    assert (getattr(told, "slot", None), getattr(told, "instance_id", None)) == (SLOT, HOST)


def test_the_next_try_of_an_end_wakes_keeper() -> None:
    each = a_condemned(9009, next_try_at=ahead(17))
    world = healthy_world(condemned=(each,))
    assert world.listing is not None
    listing = a_listing(*world.listing.instances, an_instance(9009, each.label))
    plan = decide(replace(world, heard_at={}, listing=listing))
    assert plan.next_check_at == ahead(17)


def test_a_condemned_rental_that_is_back_is_ended_at_once_and_all_over() -> None:
    each = a_condemned(
        absent_since=ago(100), absent_listed_at=ago(40), by_id_absent_at=ago(30),
        next_try_at=ahead(50),
    )  # fmt: skip
    world = a_world(a_record(attempt=1), condemned=(each,), listing=a_listing(an_instance()))
    plan = decide(world)
    (after,) = plan.condemned
    assert (after.absent_since, after.absent_listed_at, after.by_id_absent_at) == (None, None, None)
    assert [act.name for act in plan.acts] == ["destroy"]
    assert after.tries == each.tries + 1


def test_each_condemned_rental_is_followed_whatever_the_others_do() -> None:
    """One that is back, one just condemned and one fading: none hides the next."""
    back = a_condemned(7001, absent_since=ago(100), absent_listed_at=ago(40))
    new = a_condemned(7002, condemned_at=ago(1))
    fading = a_condemned(7003, absent_since=ago(60), absent_listed_at=ago(60))
    world = a_world(
        a_record(attempt=1),
        condemned=(back, new, fading),
        listing=a_listing(an_instance(7001)),
    )
    after = {each.instance_id: each for each in decide(world).condemned}
    assert after[InstanceId(7001)].absent_since is None
    assert after[InstanceId(7002)].absent_since is None  # listed before it was condemned
    assert after[InstanceId(7003)].absent_listed_at == ago(5)


def test_an_end_is_told_for_its_slot() -> None:
    each = a_condemned(absent_since=ago(60), absent_listed_at=ago(5), by_id_absent_at=ago(3))
    world = a_world(a_record(attempt=1), condemned=(each,), listing=a_listing())
    (told,) = events_of(decide(world), InstanceEnded)
    assert (told.slot, told.instance_id, told.label) == (SLOT, HOST, LABEL)


def test_a_failed_destroy_is_no_promise_and_a_kept_one_stays() -> None:
    intent = an_intent(IntentKind.DESTROY)
    for before in (None, ago(30)):
        condemned = a_condemned(accepted_at=before)
        world = a_world(
            a_record(attempt=1), condemned=(condemned,), intents=(intent,),
            outcomes=(an_outcome(intent, OutcomeKind.FAILED),), listing=a_listing(an_instance()),
        )  # fmt: skip
        (after,) = decide(world).condemned
        assert after.accepted_at == before
