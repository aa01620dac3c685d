"""What an operator may ask, and how long keeper remembers it; hand-over, removal, and strays."""

from __future__ import annotations

from dataclasses import replace

import pytest

from keeper.core import events as facts_of
from keeper.core.model import (
    Incident,
    IntentKind,
    Mode,
    OrphanPolicy,
    RemedyUse,
    Rung,
    SlotId,
    Status,
)
from keeper.core.reasons import Reason
from keeper.core.world import Order, OrderKind, OutcomeKind, World
from tests.builders import (
    DUEL,
    HOST,
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
    an_intent,
    an_offer,
    an_order,
    an_outcome,
    applied,
    bad_pictures,
    conditions,
    decide,
    decision_for,
    events_of,
    healthy_world,
    record_after,
)

LOST_LINK = (Status.UNKNOWN, Reason.LINK_LOST)
FROZEN = (Status.FALSE, Reason.FROZEN)
NOBODY = a_desire(a_stream("other", replicas=0))


def ordered(kind: OrderKind, world: World | None = None) -> World:
    return replace(world or healthy_world(), orders=(an_order(kind),))


# --- restart ----------------------------------------------------------------------------------------


def test_an_ordered_restart_is_done_once_and_not_charged_to_the_ladder() -> None:
    world = ordered(OrderKind.RESTART)
    plan = decide(world)
    after = record_after(world, plan)
    assert (after.restart_asked_at, after.remedies) == (None, ())
    assert (after.last_act, after.last_act_reason) == ("restart", Reason.OPERATOR_ASKED)
    again = decide(applied(world, plan, in_flight=frozenset()))
    assert again.acts == ()


def test_an_ordered_restart_waits_for_the_act_under_way() -> None:
    world = replace(ordered(OrderKind.RESTART), in_flight=frozenset({SLOT}))
    plan = decide(world)
    assert plan.acts == ()
    again = decide(applied(world, plan, in_flight=frozenset()))
    assert decision_for(again).reason is Reason.OPERATOR_ASKED


def test_an_ordered_restart_waits_for_the_link_but_not_for_ever() -> None:
    world = ordered(
        OrderKind.RESTART, a_world(a_record(a_tenure(conditions=conditions(reachable=LOST_LINK))))
    )
    plan = decide(world)
    assert decision_for(plan).reason is Reason.HEALTHY
    kept = applied(world, plan)
    assert kept.records[SLOT].restart_asked_at == NOW
    assert decide(kept, now=ahead(299)).next_check_at == ahead(300)
    late = decide(kept, now=ahead(300))
    assert record_after(kept, late).restart_asked_at is None


@pytest.mark.parametrize("tenure", [None, a_fresh_tenure(listed_at=ago(90))])
def test_a_restart_of_nothing_is_forgotten_when_something_comes(tenure: object) -> None:
    world = ordered(OrderKind.RESTART, a_world(a_record(tenure)))  # type: ignore[arg-type]
    plan = decide(world)
    assert plan.acts == ()
    assert (record_after(world, plan).restart_asked_at is None) is (tenure is not None)


@pytest.mark.parametrize("kind", [OrderKind.PAUSE, OrderKind.RESUME])
def test_pauses_are_the_shells_to_apply(kind: OrderKind) -> None:
    assert decide(ordered(kind)).records == ()


def test_an_order_for_an_unknown_slot_is_nobodys() -> None:
    for slot in (None, SlotId("none/7")):
        world = healthy_world(orders=(an_order(OrderKind.DESTROY, slot),))
        assert decide(world).records == ()


@pytest.mark.parametrize(
    "first",
    [
        an_order(OrderKind.DESTROY, SlotId("none/7")),
        an_order(OrderKind.RENT),  # the slot is filled
        an_order(OrderKind.PAUSE),
        an_order(OrderKind.ADOPT),
    ],
    ids=lambda order: f"{order.kind} {order.slot}",
)
def test_an_order_that_is_nothing_here_keeps_no_other_from_being_taken(first: Order) -> None:
    world = healthy_world(orders=(first, an_order(OrderKind.RESTART)))
    assert decision_for(decide(world)).name == "restart"


# --- destroy ----------------------------------------------------------------------------------------


def test_an_ordered_destroy_ends_both_hosts_and_the_incident() -> None:
    incident = Incident(incident_id="i", opened_at=ago(60), reason=Reason.FROZEN, dark_since=None)
    incoming = a_fresh_tenure(instance_id=HOST + 1, label="keeper:k1:duel/0:2", listed_at=ago(9))
    record = a_record(
        a_tenure(conditions=conditions(streaming=FROZEN)), incoming=incoming, attempt=2,
        incident=incident, dark_since=ago(60), replace_asked_at=ago(100),
    )  # fmt: skip
    world = ordered(OrderKind.DESTROY, a_world(record))
    plan = decide(world)
    after = record_after(world, plan)
    assert sorted(each.instance_id for each in plan.condemned) == [HOST, HOST + 1]
    assert (after.tenure, after.incoming, after.incident, after.dark_since) == (None,) * 4
    assert (after.destroy_asked_at, after.replace_asked_at) == (None, None)
    assert len(events_of(plan, facts_of.IncidentClosed)) == 1
    assert plan.quarantine == ()  # an order is no verdict on the machine


def test_an_ordered_destroy_waits_for_a_create_to_be_settled() -> None:
    intent = an_intent(IntentKind.RENT)
    world = ordered(
        OrderKind.DESTROY, a_world(a_record(an_asked_tenure(acted_at=ago(9))), intents=(intent,))
    )
    plan = decide(world)
    assert decision_for(plan).reason is Reason.CREATE_UNSETTLED
    answered = applied(world, plan, outcomes=(an_outcome(intent, instance_id=HOST),))
    assert [c.instance_id for c in decide(answered).condemned] == [HOST]


def test_a_create_that_failed_fulfils_an_ordered_destroy() -> None:
    intent = an_intent(IntentKind.RENT)
    world = a_world(
        a_record(an_asked_tenure(), destroy_asked_at=ago(5)), intents=(intent,),
        outcomes=(an_outcome(intent, OutcomeKind.FAILED),), slot_pauses={SLOT: a_pause()},
    )  # fmt: skip
    plan = decide(world)
    assert record_after(world, plan).destroy_asked_at is None
    assert decision_for(plan).reason is Reason.PAUSED


def test_an_ordered_destroy_needs_the_lease() -> None:
    plan = decide(replace(ordered(OrderKind.DESTROY), is_leader=False))
    assert decision_for(plan).reason is Reason.NOT_LEADER
    assert plan.condemned == ()


# --- replace ----------------------------------------------------------------------------------------


def handing_over(**incoming: object) -> World:
    fresh = a_fresh_tenure(
        **{
            "instance_id": HOST + 1, "label": "keeper:k1:duel/0:2", "attempt": 2,
            "machine_id": 202, "listed_at": ago(90), **incoming,
        }
    )  # fmt: skip
    return a_world(a_record(a_tenure(), attempt=2, incoming=fresh, replace_asked_at=ago(300)))


def test_an_order_to_replace_renews_the_allowance() -> None:
    spent = tuple(ago(s) for s in (500, 400, 300, 200, 100))
    world = healthy_world()
    record = replace(world.records[SLOT], replaced_at=spent)
    world = ordered(OrderKind.REPLACE, replace(world, records={SLOT: record}))
    world = replace(world, offers={DUEL: a_book(an_offer(2))})
    assert decision_for(decide(world)).name == "rent"


def test_an_order_to_replace_waits_for_resume() -> None:
    plan = decide(replace(ordered(OrderKind.REPLACE), pause=a_pause()))
    assert (decision_for(plan).reason, plan.acts) == (Reason.PAUSED, ())


def test_an_order_to_replace_waits_until_an_earlier_host_has_heard_of_its_end() -> None:
    condemned = a_condemned(HOST + 5, accepted_at=None)
    world = ordered(OrderKind.REPLACE)
    assert world.listing is not None
    listed = (*world.listing.instances, an_instance(HOST + 5))
    world = replace(world, condemned=(condemned,), listing=a_listing(*listed))
    assert decision_for(decide(world)).reason is Reason.CONDEMNED


@pytest.mark.parametrize("why", ["its contract ends", "it grew dear"])
def test_no_third_host_is_rented_while_an_earlier_successor_has_not_heard_of_its_end(
    why: str,
) -> None:
    """A marketplace that creates but does not destroy would pile them up (I5)."""
    ends_at = ahead(7200) if why == "its contract ends" else None
    dollars = 0.41 if ends_at else 2.6
    tenure = a_tenure(
        rented_at=ago(86_400),
        ends_at=ends_at,
        dollars_per_hour=dollars,
        ending_since=ago(36) if ends_at else None,
        dear_since=None if ends_at else ago(36),
    )
    world = healthy_world()
    rows = (
        an_instance(ends_at=ends_at, dollars_per_hour=dollars),
        an_instance(HOST + 5, dollars_per_hour=0.41),
    )
    world = replace(
        world,
        records={SLOT: replace(world.records[SLOT], tenure=tenure)},
        listing=a_listing(*rows),
        offers={DUEL: a_book(an_offer(2))},
    )
    desired = a_desire(a_stream(spend_max_dollars_per_hour=10.0))
    unheard = replace(world, condemned=(a_condemned(HOST + 5, accepted_at=None),))
    assert decision_for(decide(unheard, desired)).reason is Reason.CONDEMNED
    heard = replace(world, condemned=(a_condemned(HOST + 5),))
    assert decision_for(decide(heard, desired)).name == "rent"


def test_a_picture_is_not_given_up_for_room_that_an_ending_host_is_about_to_make() -> None:
    """I11: the budget is full for a minute, of a successor that failed and must be confirmed gone."""
    tenure = a_tenure(dollars_per_hour=2.6, dear_since=ago(906))
    world = healthy_world()
    world = replace(
        world,
        records={SLOT: replace(world.records[SLOT], tenure=tenure)},
        listing=a_listing(an_instance(dollars_per_hour=2.6), an_instance(HOST + 5)),
        condemned=(a_condemned(HOST + 5, dollars_per_hour=2.0),),
        offers={DUEL: a_book(an_offer(2))},
    )
    held = decision_for(decide(world))
    assert (held.name, held.reason) == ("hold", Reason.BUDGET)
    gone = a_listing(an_instance(dollars_per_hour=2.6))
    unheld = replace(world, condemned=(), listing=gone)
    assert decision_for(decide(unheld)).name == "rent"


def test_a_handover_counts_as_one_replacement_once_its_rental_exists() -> None:
    intent = an_intent(IntentKind.RENT, label="keeper:k1:duel/0:2")
    asked = an_asked_tenure(label="keeper:k1:duel/0:2", attempt=2)
    record = a_record(a_tenure(), attempt=2, incoming=asked, replace_asked_at=ago(30))
    world = a_world(record, intents=(intent,))
    assert decision_for(decide(world)).reason is Reason.CREATE_UNSETTLED
    world = replace(world, outcomes=(an_outcome(intent, instance_id=HOST + 1),))
    after = record_after(world, decide(world))
    assert after.replaced_at == (NOW,)
    assert after.incoming is not None
    assert after.incoming.instance_id == HOST + 1


def test_a_handover_whose_create_failed_is_tried_again() -> None:
    intent = an_intent(IntentKind.RENT, label="keeper:k1:duel/0:2")
    asked = an_asked_tenure(label="keeper:k1:duel/0:2", attempt=2)
    record = a_record(a_tenure(), attempt=2, incoming=asked, replace_asked_at=ago(30))
    world = a_world(
        record, intents=(intent,), offers={DUEL: a_book(an_offer(2))},
        outcomes=(an_outcome(intent, OutcomeKind.FAILED, reason=Reason.OFFER_GONE),),
    )  # fmt: skip
    after = record_after(world, decide(world))
    assert after.incoming is not None
    assert (after.incoming.attempt, after.replaced_at) == (3, ())


def test_an_incoming_host_boots_and_deploys_like_any_other() -> None:
    booting = decide(handing_over())
    assert decision_for(booting).reason is Reason.BOOTING
    unseen = (Status.UNKNOWN, Reason.NOT_ASKED)
    said = conditions(
        deployed=(Status.FALSE, Reason.NOT_DEPLOYED), running=unseen, streaming=unseen
    )
    world = handing_over(running_at=ago(20), booted_at=ago(10), conditions=said)
    plan = decide(world)
    assert decision_for(plan).name == "deploy"
    assert record_after(world, plan).incoming.acted_at == NOW  # type: ignore[union-attr]


def test_a_serving_host_that_needs_something_comes_first() -> None:
    world = replace(handing_over(), readings=bad_pictures(3))
    assert decision_for(decide(world)).name == "restart"


def test_while_the_serving_host_is_watched_the_incoming_ones_deadline_is_kept() -> None:
    world = handing_over()
    unseen = conditions(streaming=(Status.UNKNOWN, Reason.SILENT))
    record = replace(world.records[SLOT], tenure=a_tenure(conditions=unseen))
    plan = decide(replace(world, records={SLOT: record}))
    assert decision_for(plan).reason is Reason.UNKNOWN_IS_NOT_UNHEALTHY
    assert plan.next_check_at is not None


def test_an_incoming_host_takes_over_at_once_when_the_serving_one_is_lost() -> None:
    remedies = tuple(
        RemedyUse(rung=rung, at=ago(500))
        for rung in (*([Rung.RESTART_PROCESS] * 3), Rung.RESTART_WORKLOAD, Rung.REBOOT)
    )
    world = handing_over()
    frozen = replace(a_tenure(conditions=conditions(streaming=FROZEN)), acted_at=ago(400))
    record = replace(world.records[SLOT], tenure=frozen, dark_since=ago(400), remedies=remedies)
    world = replace(world, records={SLOT: record})
    plan = decide(world)
    after = record_after(world, plan)
    assert [each.instance_id for each in plan.condemned] == [HOST]
    assert after.tenure is not None
    assert (after.tenure.instance_id, after.incoming) == (HOST + 1, None)
    assert (after.replaced_at, after.replace_asked_at) == ((), None)  # counted when it was rented


def test_an_incoming_host_serves_when_the_serving_create_came_to_nothing() -> None:
    intent = an_intent(IntentKind.RENT)
    incoming = a_fresh_tenure(instance_id=HOST + 1, label="keeper:k1:duel/0:2", listed_at=ago(9))
    world = a_world(
        a_record(an_asked_tenure(), attempt=2, incoming=incoming), intents=(intent,),
        outcomes=(an_outcome(intent, OutcomeKind.FAILED),),
    )  # fmt: skip
    after = record_after(world, decide(world))
    assert after.tenure is not None
    assert (after.tenure.instance_id, after.incoming) == (HOST + 1, None)


def test_a_host_with_another_key_can_be_replaced_on_order() -> None:
    changed = conditions(reachable=(Status.FALSE, Reason.HOST_KEY_CHANGED))
    world = ordered(OrderKind.REPLACE, a_world(a_record(a_tenure(conditions=changed))))
    world = replace(world, offers={DUEL: a_book(an_offer(2))})
    assert decision_for(decide(world)).reason is Reason.HANDOVER


# --- streams that are no longer declared ------------------------------------------------------------


def test_a_removed_slot_is_forgotten_when_nothing_of_it_is_left() -> None:
    world = healthy_world()
    plan = decide(world, NOBODY)
    assert [each.reason for each in plan.condemned] == [Reason.STREAM_REMOVED]
    assert plan.slots_forgotten == ()
    gone = applied(
        world, plan, condemned=(), in_flight_instances=frozenset(), listing=a_listing(), intents=()
    )
    assert decide(gone, NOBODY).slots_forgotten == (SLOT,)


def test_a_removed_slot_waits_for_its_act_and_its_create() -> None:
    busy = healthy_world(in_flight=frozenset({SLOT}))
    assert decision_for(decide(busy, NOBODY)).reason is Reason.ACT_IN_FLIGHT
    asked = a_world(a_record(an_asked_tenure()))
    assert decision_for(decide(asked, NOBODY)).reason is Reason.CREATE_UNSETTLED
    held = healthy_world(held_slots=frozenset({SLOT}))
    assert decide(held, NOBODY).decisions == ()


def test_a_replica_less_ends_the_last_slot_only() -> None:
    world = a_world(
        a_record(a_tenure()),
        a_record(a_tenure(instance_id=HOST + 1, label="keeper:k1:duel/1:1"), slot=SlotId("duel/1")),
    )
    plan = decide(world)
    assert [each.slot for each in plan.condemned] == ["duel/1"]
    assert decision_for(plan).reason is Reason.HEALTHY


def test_a_new_slot_gets_a_fresh_record() -> None:
    plan = decide(a_world(), a_desire(a_stream(replicas=2)))
    assert [record.slot for record in plan.records] == ["duel/0", "duel/1"]


def test_an_observed_stream_keeps_its_strays_for_a_person() -> None:
    stray = replace(an_instance(9009), label="keeper:k1:duel/0:1")
    world = healthy_world()
    assert world.listing is not None
    world = replace(world, listing=a_listing(*world.listing.instances, stray))
    assert decide(world, a_desire(a_stream(mode=Mode.OBSERVE))).condemned == ()


# --- an order stands above the mode and above what is suspected --------------------------------------

MODES = [Mode.OBSERVE, Mode.SUGGEST, Mode.ACT]


@pytest.mark.parametrize("mode", MODES)
def test_a_host_that_a_person_orders_comes_on_air_in_any_mode(mode: Mode) -> None:
    """Suggesting a replacement that keeper then refuses to make would be no help."""
    desired = a_desire(a_stream(mode=mode))
    frozen = conditions(streaming=(Status.FALSE, Reason.FROZEN))
    world = a_world(
        a_record(a_tenure(conditions=frozen), dark_since=ago(300)),
        offers={DUEL: a_book(an_offer(1))}, orders=(an_order(OrderKind.REPLACE),),
    )  # fmt: skip
    plan = decide(world, desired)
    assert [each.reason for each in plan.condemned] == [Reason.OPERATOR_ASKED]
    after = applied(world, plan)
    ended = tuple(replace(each, accepted_at=NOW) for each in after.condemned)
    rent = decide(replace(after, condemned=ended, in_flight=frozenset()), desired)
    assert decision_for(rent).name == "rent"
    record = record_after(after, rent)
    assert record.replace_asked_at is not None  # the new host may be deployed to as well
    tenure = replace(a_fresh_tenure(instance_id=HOST + 1), attempt=record.attempt, booted_at=ago(1))
    up = conditions(streaming=(Status.UNKNOWN, Reason.NOT_ASKED))
    world = a_world(replace(record, tenure=replace(tenure, conditions=up)))
    assert decision_for(decide(world, desired)).name == "deploy"
    on_air = replace(a_tenure(instance_id=HOST + 1), attempt=record.attempt)
    world = a_world(replace(record, tenure=on_air, replaced_at=()))
    plan = decide(world, desired)
    assert plan.condemned == ()  # once is enough
    assert record_after(world, plan).replace_asked_at is None


def test_a_clock_that_steps_back_does_not_repeat_an_order() -> None:
    asked = a_record(
        replace(a_tenure(), attempt=2), attempt=2, replace_asked_at=ahead(3000),
        replace_asked_attempt=1, dark_since=ago(10),
    )  # fmt: skip
    frozen = conditions(streaming=(Status.FALSE, Reason.FROZEN))
    assert asked.tenure is not None
    asked = replace(asked, tenure=replace(asked.tenure, conditions=frozen))
    assert decide(a_world(asked)).condemned == ()


def test_an_order_goes_before_a_mass_failure_and_not_before_a_pause() -> None:
    frozen = conditions(streaming=(Status.FALSE, Reason.FROZEN))
    records = [
        a_record(
            a_tenure(instance_id=HOST + n, label=f"keeper:k1:duel/{n}:1", conditions=frozen),
            slot=SlotId(f"duel/{n}"), dark_since=ago(60),
        )
        for n in range(2)
    ]  # fmt: skip
    desired = a_desire(a_stream(replicas=2))
    world = a_world(*records, orders=(an_order(OrderKind.REPLACE),))
    plan = decide(world, desired)
    assert plan.fuses == (Reason.MASS_FAILURE,)
    assert [each.slot for each in plan.condemned] == [SLOT]
    assert decide(replace(world, pause=a_pause()), desired).condemned == ()
    assert decide(replace(world, own_network=Status.FALSE), desired).condemned == ()


def test_an_order_to_rent_does_not_replace_what_is_adopted_instead() -> None:
    stray = an_instance(7700, "keeper:other:duel/0:1")
    desired = a_desire(orphans=OrphanPolicy.ADOPT)
    world = a_world(
        a_record(attempt=3), listing=a_listing(stray), orders=(an_order(OrderKind.RENT),),
        orphans_known=frozenset({stray.instance_id}), orphans_seen_at={stray.instance_id: ago(60)},
    )  # fmt: skip
    plan = decide(world, desired)
    record = record_after(world, plan)
    assert record.tenure is not None
    assert record.tenure.instance_id == 7700
    assert record.replace_asked_at is None
