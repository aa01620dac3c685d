"""What exhausting every small world has found, one row each (docs/reliability.md)."""

from __future__ import annotations

from dataclasses import replace

from keeper.core.labels import label_for
from keeper.core.model import (
    InstanceId,
    MachineId,
    MarketState,
    OrphanPolicy,
    SlotId,
    SlotRecord,
    Status,
    StreamName,
    Tenure,
)
from keeper.core.pauses import key_of
from keeper.core.reasons import Reason
from keeper.core.world import OrderKind
from tests.builders import (
    HOST,
    KEEPER_ID,
    NOW,
    SLOT,
    a_book,
    a_desire,
    a_listing,
    a_pause,
    a_record,
    a_stream,
    a_tenure,
    a_world,
    ago,
    an_asked_tenure,
    an_instance,
    an_offer,
    an_order,
    conditions,
    decide,
    decision_for,
    record_after,
)


def test_a_stray_ends_before_the_next_host_is_rented() -> None:
    """One tick rented beside a stray of the slot: two hosts, and one of them outside the budget."""
    stray = an_instance(9009, label_for(KEEPER_ID, SLOT, 1))
    world = a_world(
        a_record(attempt=1),
        listing=a_listing(stray),
        offers={a_stream().name: a_book(an_offer())},
    )
    plan = decide(world)
    assert decision_for(plan).reason is Reason.CONDEMNED
    assert [(act.name, act.reason) for act in plan.acts] == [("destroy", Reason.STRAY_RENTAL)]


def test_a_stray_counts_towards_the_limits_of_other_slots() -> None:
    """The rental of another slot is weighed with it, in the very tick in which it is seen."""
    stray = an_instance(9009, label_for(KEEPER_ID, SLOT, 1), dollars_per_hour=0.5)
    world = a_world(
        a_record(attempt=1),
        listing=a_listing(stray),
        offers={a_stream().name: a_book(an_offer())},
    )
    desired = a_desire(a_stream(replicas=2), spend_max_dollars_per_hour=0.7)
    plan = decide(world, desired)
    assert [act.name for act in plan.acts] == ["destroy"]
    assert decision_for(plan, a_stream(replicas=2).slots[1]).reason is Reason.BUDGET


def test_a_stray_of_a_paused_slot_counts_as_long_as_it_may_not_be_ended() -> None:
    stray = an_instance(9009, label_for(KEEPER_ID, SLOT, 1), dollars_per_hour=0.5)
    stream = a_stream(replicas=2)
    world = a_world(
        a_record(attempt=1),
        listing=a_listing(stray),
        offers={stream.name: a_book(an_offer())},
        slot_pauses={SLOT: a_pause()},
    )
    for limit, expected in ((0.7, Reason.BUDGET), (1.0, Reason.VACANT)):
        streams = a_stream(replicas=2, spend_max_dollars_per_hour=limit)
        assert decision_for(decide(world, a_desire(streams)), stream.slots[1]).reason is expected
        plan = decide(world, a_desire(stream, spend_max_dollars_per_hour=limit))
        assert decision_for(plan, stream.slots[1]).reason is expected


def test_a_lost_rental_of_a_paused_stream_is_let_be_whatever_its_slot() -> None:
    """That is declared no more, so no pause of a slot speaks of it; an order still ends it."""
    stray = an_instance(9009, label_for(KEEPER_ID, SlotId("duel/7"), 1))
    world = a_world(a_record(a_tenure()))
    assert world.listing is not None
    world = replace(
        world, listing=a_listing(*world.listing.instances, stray),
        orphans_known=frozenset({stray.instance_id}), orphans_seen_at={stray.instance_id: ago(100)},
    )  # fmt: skip
    desired = a_desire(orphans=OrphanPolicy.DESTROY)
    own = {key_of(StreamName("duel")): a_pause()}
    for pauses, ended in (({}, [9009]), ({SLOT: a_pause()}, [9009]), (own, [])):
        plan = decide(replace(world, slot_pauses=pauses), desired)
        assert [c.instance_id for c in plan.condemned] == ended, pauses
    order = replace(an_order(OrderKind.END, None), instance_id=stray.instance_id)
    plan = decide(replace(world, slot_pauses=own, orders=(order,)), desired)
    assert [c.instance_id for c in plan.condemned] == [9009]


def test_a_replacement_that_is_gone_leaves_its_slot_a_decision() -> None:
    """The tick that forgot it said nothing of the host that serves."""
    serving = a_tenure()
    incoming = a_tenure(
        label=label_for(KEEPER_ID, SLOT, 2), attempt=2, instance_id=InstanceId(7777),
        missing_since=ago(60), missing_listed_at=ago(35),
        conditions=conditions(
            streaming=(Status.UNKNOWN, Reason.SILENT), reachable=(Status.UNKNOWN, Reason.SILENT)
        ),
    )  # fmt: skip
    world = a_world(a_record(serving, attempt=2, incoming=incoming))
    assert world.listing is not None
    left = tuple(i for i in world.listing.instances if i.instance_id != incoming.instance_id)
    world = replace(
        world, listing=a_listing(*left), shown={InstanceId(7777): None}, heard_at={
            key: at for key, at in world.heard_at.items() if key[0] != incoming.instance_id
        },
    )  # fmt: skip
    plan = decide(world)
    assert record_after(world, plan).incoming is None
    assert decision_for(plan).reason is Reason.HEALTHY


def test_a_host_that_is_gone_is_followed_at_once_by_its_replacement() -> None:
    serving = a_tenure(
        missing_since=ago(60), missing_listed_at=ago(35),
        conditions=conditions(
            streaming=(Status.UNKNOWN, Reason.SILENT), reachable=(Status.UNKNOWN, Reason.SILENT)
        ),
    )  # fmt: skip
    incoming = a_tenure(
        label=label_for(KEEPER_ID, SLOT, 2),
        attempt=2,
        instance_id=InstanceId(7777),
        machine_id=MachineId(299),
    )
    world = a_world(a_record(serving, attempt=2, incoming=incoming))
    assert world.listing is not None
    left = tuple(i for i in world.listing.instances if i.instance_id != serving.instance_id)
    world = replace(
        world, listing=a_listing(*left), shown={HOST: None}, heard_at={
            key: at for key, at in world.heard_at.items() if key[0] != serving.instance_id
        },
    )  # fmt: skip
    plan = decide(world)
    assert record_after(world, plan).tenure is not None
    assert decision_for(plan).reason is Reason.HEALTHY


def _following(serving: Tenure, incoming: Tenure) -> SlotRecord:
    """What is left of a slot when its host is gone for good, and another one is on its way."""
    world = a_world(a_record(serving, attempt=2, incoming=incoming))
    assert world.listing is not None
    left = tuple(i for i in world.listing.instances if i.instance_id != serving.instance_id)
    world = replace(
        world, listing=a_listing(*left), shown={HOST: None}, heard_at={
            key: at for key, at in world.heard_at.items() if key[0] != serving.instance_id
        },
    )  # fmt: skip
    return record_after(world, decide(world))


def test_a_replacement_that_moves_up_before_it_is_known_counts_all_the_same() -> None:
    """Seed 4919 of any fleet: its create was in doubt when the old host went, and a sixth one followed."""
    gone = a_tenure(
        missing_since=ago(60), missing_listed_at=ago(35),
        conditions=conditions(
            streaming=(Status.UNKNOWN, Reason.SILENT), reachable=(Status.UNKNOWN, Reason.SILENT)
        ),
    )  # fmt: skip
    asked = an_asked_tenure(label=label_for(KEEPER_ID, SLOT, 2), attempt=2)
    after = _following(gone, asked)
    assert after.tenure is not None
    assert after.tenure.label == asked.label
    assert after.replaced_at == (NOW,)
    known = replace(asked, instance_id=InstanceId(7777), machine_id=MachineId(299))
    assert _following(gone, known).replaced_at == ()  # it was counted when its answer came


def test_what_only_a_new_listing_can_tell_is_not_waited_for_by_the_clock() -> None:
    """An outage of the marketplace made keeper look once a second at a host it had called down."""
    tenure = a_tenure(
        dead_since=ago(400),
        conditions=conditions(
            rented=(Status.FALSE, Reason.MARKET_SAYS_DEAD),
            reachable=(Status.UNKNOWN, Reason.SILENT),
            streaming=(Status.UNKNOWN, Reason.SILENT),
        ),
    )
    world = a_world(a_record(tenure), heard_at={}, unreadable_since=ago(350))
    row = an_instance(state=MarketState.OFFLINE)
    plan = decide(replace(world, listing=a_listing(row, age_s=360.0)))
    decision = decision_for(plan)
    assert (decision.name, decision.reason) == ("wait", Reason.MARKET_SAYS_DEAD)
    assert getattr(decision, "until", None) is None
    assert plan.next_check_at is None
    assert plan.wants.listing_by is not None


def test_creates_that_come_to_nothing_unheard_are_sent_more_and_more_seldom() -> None:
    """A marketplace that answers no create was asked for a new one every two minutes, for ever.

    The first is followed at once: one lost answer is ordinary life.
    """
    pauses = []
    record = a_record(attempt=1)
    for misses in (1, 3, 9):
        asked = an_asked_tenure(
            requested_at=ago(200), acted_at=ago(200), missing_since=ago(190),
            missing_listed_at=ago(35),
        )  # fmt: skip
        world = a_world(replace(record, tenure=asked, offer_misses=misses))
        after = record_after(world, decide(world))
        assert after.tenure is None
        assert after.offer_misses == misses + 1
        assert after.next_rent_at is not None
        assert after.rent_reason is Reason.BACKING_OFF
        assert "never answered" in after.rent_detail
        pauses.append((after.next_rent_at - NOW).total_seconds())
    assert pauses[0] > 20
    assert pauses[0] < pauses[1] < pauses[2]
    assert pauses[2] >= 450
