"""Whose rental is it: bound, missing, stray, orphan, or nobody's business."""

from __future__ import annotations

from dataclasses import replace

import pytest

from keeper.core import events as facts_of
from keeper.core.labels import label_for
from keeper.core.model import InstanceId, MarketState, OrphanPolicy, Status
from keeper.core.reasons import Reason
from keeper.core.world import World
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
    record_after,
)

OURS = label_for(KEEPER_ID, SLOT, 1)


def beside(label: str, **changes: object) -> World:
    """A healthy slot, and one more rental in the account."""
    world = healthy_world()
    assert world.listing is not None
    other = replace(an_instance(9009), label=label)
    listing = replace(world.listing, instances=(*world.listing.instances, other))
    return replace(world, listing=listing, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "label", ["", "mine", "keeper", "Keeper:k1:duel/0:1", " keeper:k1:duel/0:1"]
)
def test_what_does_not_carry_our_label_does_not_exist(label: str) -> None:
    """Q37."""
    plan = decide(beside(label))
    assert plan.condemned == ()
    assert plan.events == ()


def test_a_second_rental_under_one_label_ends() -> None:
    plan = decide(beside(OURS))
    assert [(c.instance_id, c.reason) for c in plan.condemned] == [(9009, Reason.DUPLICATE_RENTAL)]
    assert [act.name for act in plan.acts] == ["destroy"]


def test_our_rental_under_another_id_is_no_second_rental() -> None:
    """One mutated id in a listing, and a rental that nobody had made was to be destroyed for it."""
    world = healthy_world()
    assert world.listing is not None
    listing = replace(world.listing, instances=(replace(an_instance(9009), label=OURS),))
    world = replace(world, listing=listing)
    assert decide(world).condemned == ()
    tenure = world.records[SLOT].tenure
    assert tenure is not None
    ours = tenure.instance_id
    assert ours is not None
    shown = {ours: an_instance(ours, OURS)}
    assert decide(replace(world, shown=shown)).condemned == ()


def test_a_rental_of_an_earlier_attempt_that_nobody_claims_ends() -> None:
    """A create that was voided and appeared after all, or a destroyed rental that came back."""
    world = beside(OURS)
    record = a_record(a_tenure(label=label_for(KEEPER_ID, SLOT, 2), attempt=2), attempt=2)
    plan = decide(replace(world, records={SLOT: record}))
    assert [(c.instance_id, c.slot, c.reason) for c in plan.condemned] == [
        (9009, SLOT, Reason.STRAY_RENTAL)
    ]


def test_no_stray_is_ended_while_paused() -> None:
    plan = decide(beside(OURS, pause=a_pause()))
    assert plan.condemned == ()


def test_a_rental_whose_create_is_under_way_is_nobodys_stray() -> None:
    world = a_world(
        a_record(an_asked_tenure()),
        listing=a_listing(an_instance(), age_s=1),
        in_flight=frozenset({SLOT}),
    )
    plan = decide(world)
    assert plan.condemned == ()
    assert plan.acts == ()


def test_a_slot_held_by_a_bug_keeps_its_rental() -> None:
    assert decide(healthy_world(held_slots=frozenset({SLOT}))).condemned == ()


@pytest.mark.parametrize(
    "label",
    [
        "keeper:other:duel/0:1",  # another keeper's
        f"keeper:{KEEPER_ID}0:duel/0:1",  # of one whose id begins like ours
        f"keeper:{KEEPER_ID[:-1]}:duel/0:1",
        f"keeper:{KEEPER_ID}:duel/0:2",  # never asked for by this journal
        f"keeper:{KEEPER_ID}:gone/0:1",  # of a slot without a record
        "keeper:garbage",
        f"keeper:{KEEPER_ID}:duel/0:-1",
        f"keeper:{KEEPER_ID}:duel/0:٣",  # a digit to Python, not to us
    ],
)
def test_a_label_without_our_journal_is_an_orphan_and_told_once(label: str) -> None:
    world = beside(label)
    plan = decide(world)
    assert [e.instance_id for e in events_of(plan, facts_of.OrphanSeen)] == [9009]
    assert plan.condemned == ()
    again = decide(applied(world, plan))
    assert again.events == ()


def test_an_orphan_that_leaves_is_told() -> None:
    plan = decide(healthy_world(orphans_known=frozenset({InstanceId(9009)})))
    assert [e.instance_id for e in events_of(plan, facts_of.OrphanCleared)] == [9009]


def orphaned(policy: OrphanPolicy, seen_s: float, world: World, **stream: object) -> World:
    known = {InstanceId(9009): ago(seen_s)}
    return replace(world, orphans_known=frozenset(known), orphans_seen_at=known)


def test_orphans_are_ended_only_where_configured_and_seen_in_two_listings() -> None:
    world = beside("keeper:other:duel/0:1")
    destroy = a_desire(orphans=OrphanPolicy.DESTROY)
    assert decide(orphaned(OrphanPolicy.DESTROY, 100, world)).condemned == ()
    assert decide(orphaned(OrphanPolicy.DESTROY, 5, world), destroy).condemned == ()
    plan = decide(orphaned(OrphanPolicy.DESTROY, 100, world), destroy)
    assert [c.instance_id for c in plan.condemned] == [9009]
    unlabelled = beside("")
    assert decide(orphaned(OrphanPolicy.DESTROY, 100, unlabelled), destroy).condemned == ()


def test_an_orphan_is_adopted_into_an_empty_slot_where_configured() -> None:
    world = a_world(a_record(), listing=a_listing(an_instance(9009, "keeper:other:duel/0:7")))
    adopt = a_desire(orphans=OrphanPolicy.ADOPT)
    world = orphaned(OrphanPolicy.ADOPT, 100, world)
    plan = decide(world, adopt)
    after = record_after(world, plan)
    assert after.tenure is not None
    assert (after.tenure.instance_id, after.attempt) == (9009, 7)
    assert len(events_of(plan, facts_of.InstanceAdopted)) == 1
    assert len(events_of(plan, facts_of.OrphanCleared)) == 1
    assert plan.acts == ()


@pytest.mark.parametrize("policy", [OrphanPolicy.ALERT, OrphanPolicy.DESTROY])
def test_nothing_is_rented_beside_a_rental_that_an_older_store_has_forgotten(
    policy: OrphanPolicy,
) -> None:
    """A restored copy: a second host was rented under the same label, and the first destroyed."""
    listing = a_listing(an_instance(9009, f"keeper:{KEEPER_ID}:duel/0:1"))
    book = {DUEL: a_book(an_offer(7))}
    world = a_world(replace(a_record(), attempt=0), listing=listing, offers=book)
    desired = a_desire(orphans=policy)
    for seen in (world, orphaned(policy, 5, world)):
        plan = decide(seen, desired)
        assert (plan.acts, plan.condemned) == ((), ())
        assert decision_for(plan).reason is Reason.FOUND_BY_LABEL
    strangers = a_listing(an_instance(9009, "keeper:other:duel/0:1"))
    assert decision_for(decide(replace(world, listing=strangers), desired)).name == "rent"


@pytest.mark.parametrize(
    ("label", "streams"),
    [
        ("keeper:other:duel/0:7", (a_stream(),)),  # the slot is taken
        ("keeper:other:gone/0:7", (a_stream(),)),  # the slot is not declared
        ("keeper:other", (a_stream(),)),  # no slot in it
    ],
)
def test_an_orphan_without_an_empty_slot_stays_one(label: str, streams: tuple) -> None:
    world = orphaned(OrphanPolicy.ADOPT, 100, beside(label))
    plan = decide(world, a_desire(*streams, orphans=OrphanPolicy.ADOPT))
    assert events_of(plan, facts_of.InstanceAdopted) == []
    assert plan.condemned == ()


# --- what a listing teaches -------------------------------------------------------------------------


def test_a_listing_teaches_price_machine_and_first_sight() -> None:
    world = a_world(a_record(a_fresh_tenure()))
    instance = an_instance(dollars_per_hour=0.55, machine_id=299, host_id=399)
    world = replace(world, listing=a_listing(instance))
    tenure = record_after(world, decide(world)).tenure
    assert tenure is not None
    assert (tenure.dollars_per_hour, tenure.machine_id, tenure.host_id) == (0.55, 299, 399)
    assert (tenure.listed_at, tenure.running_at) == (ago(5), ago(5))


def test_a_fatal_state_is_remembered_from_its_first_listing_and_forgotten_when_it_heals() -> None:
    world = healthy_world()
    dead = replace(world, listing=a_listing(an_instance(state=MarketState.OFFLINE)))
    plan = decide(dead)
    tenure = record_after(dead, plan).tenure
    assert tenure is not None
    assert tenure.dead_since == ago(5)
    healed = replace(applied(dead, plan), listing=replace(a_listing(an_instance()), at=NOW))
    tenure = record_after(healed, decide(healed)).tenure
    assert tenure is not None
    assert tenure.dead_since is None


def test_a_listing_of_before_the_rental_is_silent_about_it() -> None:
    world = a_world(a_record(a_fresh_tenure(rented_at=ago(3))), listing=a_listing(age_s=4))
    tenure = record_after(world, decide(world)).tenure
    assert tenure is not None
    assert tenure.missing_since is None


def test_the_same_listing_is_one_absence_however_often_it_is_looked_at() -> None:
    world = replace(healthy_world(), listing=a_listing(age_s=1))
    for seconds in (0, 10, 60, 100):
        plan = decide(world, now=ahead(seconds))
        assert plan.wants.show_ids == ()
        assert plan.wants.listing_by is not None
        world = applied(world, plan)
    tenure = world.records[SLOT].tenure
    assert tenure is not None
    assert tenure.missing_since == tenure.missing_listed_at == ago(1)


def test_two_separated_absences_ask_for_the_answer_by_id() -> None:
    tenure = a_tenure(missing_since=ago(40), missing_listed_at=ago(20))
    world = a_world(a_record(tenure), listing=a_listing(age_s=1))
    assert decide(world).wants.show_ids == (HOST,)


UNSEEN = conditions(streaming=(Status.UNKNOWN, Reason.SILENT))


def test_the_answer_by_id_is_remembered_while_a_fuse_keeps_the_rental_from_being_forgotten() -> (
    None
):
    """It was gone and only missing by turns, every two seconds for as long as a mass failure took."""
    tenure = a_tenure(missing_since=ago(40), missing_listed_at=ago(20), conditions=UNSEEN)
    world = a_world(
        a_record(tenure), listing=a_listing(age_s=1), shown={HOST: None}, pause=a_pause()
    )
    plan = decide(world)
    held = decision_for(plan)
    assert (held.name, held.reason) == ("hold", Reason.PAUSED)
    after = replace(applied(world, plan), shown={})
    again = decide(after)
    assert (again.events, again.wants.show_ids) == ((), ())
    assert decision_for(again) == held
    later_on = decide(after, now=ahead(60))
    assert later_on.wants.show_ids == (HOST,), "it may be there after all"


def test_an_answer_by_id_of_an_earlier_absence_says_nothing() -> None:
    tenure = a_tenure(
        missing_since=ago(40), missing_listed_at=ago(20), absent_by_id_at=ago(41),
        conditions=UNSEEN,
    )  # fmt: skip
    world = a_world(a_record(tenure), listing=a_listing(age_s=1))
    assert decide(world).wants.show_ids == (HOST,)
    assert decision_for(decide(world)).reason is Reason.MISSING_FROM_LIST


def test_a_row_that_a_listing_skipped_is_found_by_its_id() -> None:
    """Q7."""
    tenure = a_tenure(missing_since=ago(40), missing_listed_at=ago(20))
    world = a_world(a_record(tenure), listing=a_listing(age_s=1), shown={HOST: an_instance()})
    after = record_after(world, decide(world)).tenure
    assert after is not None
    assert after.missing_since is None


def test_a_clock_that_steps_back_begins_to_count_absences_anew() -> None:
    tenure = a_tenure(missing_since=ahead(500), missing_listed_at=ahead(500))
    world = a_world(a_record(tenure), listing=a_listing(age_s=1))
    after = record_after(world, decide(world)).tenure
    assert after is not None
    assert after.missing_since == ago(1)


# --- the end of a rental ----------------------------------------------------------------------------


def ending(**changes: object) -> World:
    listed = changes.pop("listed", False)
    shown = changes.pop("shown", {})
    listing = a_listing(an_instance()) if listed else a_listing()
    return a_world(a_record(), condemned=(a_condemned(**changes),), listing=listing, shown=shown)  # type: ignore[arg-type]


def test_an_end_takes_two_listings_and_the_answer_by_id() -> None:
    """Q15."""
    world = ending()
    plan = decide(world)
    assert (plan.condemned[0].absent_since, plan.acts) == (ago(5), ())
    assert plan.wants.show_ids == ()
    world = replace(applied(world, plan), listing=replace(a_listing(), at=ahead(26)))
    plan = decide(world, now=ahead(27))
    assert plan.wants.show_ids == (HOST,)
    world = replace(applied(world, plan), shown={HOST: None})
    plan = decide(world, now=ahead(28))
    assert plan.condemned == ()
    ended = events_of(plan, facts_of.InstanceEnded)[0]
    assert ended.duration_s == 88
    # Each witness is named by when it looked: what an operator who follows an end is told.
    assert (ended.absent_since, ended.absent_again_at) == (ago(5), ahead(26))
    assert ended.by_id_absent_at == ahead(28)
    assert ended.dollars == pytest.approx(0.41 * (3600 - 5) / 3600)


def test_a_rental_that_comes_back_is_destroyed_again() -> None:
    """policy 4: destroyed instance reappears."""
    plan = decide(ending(listed=True, absent_since=ago(40), absent_listed_at=ago(30)))
    assert plan.condemned[0].absent_since is None
    assert [act.name for act in plan.acts] == ["destroy"]


def test_the_answer_by_id_counts_as_presence() -> None:
    world = ending(shown={HOST: an_instance()}, absent_since=ago(40), absent_listed_at=ago(6))
    assert decide(world).condemned[0].absent_since is None


def test_a_listing_of_before_the_sentence_confirms_nothing() -> None:
    assert decide(ending(condemned_at=ago(4))).condemned[0].absent_since is None


def test_a_rental_never_listed_is_destroyed_once_all_the_same() -> None:
    plan = decide(ending(tries=0, next_try_at=None))
    assert [act.name for act in plan.acts] == ["destroy"]
    assert plan.condemned[0].tries == 1


def test_a_destroy_that_nobody_hears_is_repeated_for_ever() -> None:
    plan = decide(ending(listed=True, tries=77, next_try_at=ago(1)))
    assert [act.name for act in plan.acts] == ["destroy"]
    assert plan.condemned[0].next_try_at == ahead(60)


def test_a_destroy_under_way_is_not_doubled() -> None:
    world = ending(listed=True, next_try_at=ago(1))
    assert decide(replace(world, in_flight_instances=frozenset({HOST}))).acts == ()


def test_a_known_end_is_pursued_while_paused_but_not_without_the_lease() -> None:
    world = ending(listed=True, next_try_at=ago(1))
    assert len(decide(replace(world, pause=a_pause())).acts) == 1
    assert decide(replace(world, is_leader=False)).acts == ()
    assert decide(replace(world, is_stopping=True)).acts == ()


def test_a_sentence_in_the_future_is_of_now() -> None:
    world = ending(condemned_at=ahead(3600), next_try_at=ahead(3600), listed=True)
    plan = decide(world)
    assert plan.condemned[0].condemned_at == NOW
    assert len(plan.acts) == 1


def test_a_condemned_rental_of_no_slot_ends_like_any_other() -> None:
    plan = decide(ending(slot=None, tries=0, next_try_at=None))
    assert plan.acts[0].slot is None
