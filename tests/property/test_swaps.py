"""Generated worlds in which two hosts change places: whatever else is so, an order for it is one."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from keeper.core.decisions import Destroy, Swap
from keeper.core.model import (
    Desired,
    IntentKind,
    Publishers,
    SlotRecord,
    Status,
    Swapping,
    Tenure,
)
from keeper.core.reasons import Reason
from keeper.core.reconcile import reconcile
from keeper.core.world import World
from tests.builders import (
    NOW,
    SLOT,
    a_desire,
    a_pause,
    a_stream,
    a_world,
    ago,
    ahead,
    an_intent,
    applied,
    conditions,
)
from tests.property.worlds import tenure

SECONDS = st.integers(0, 2000)


@st.composite
def swappings(draw: st.DrawFn) -> Swapping:
    """An order that was given: done or not, seen or not, there or back; by a clock that may be set."""
    done_at = draw(st.none() | SECONDS.map(ago) | SECONDS.map(ahead))
    return Swapping(
        since=draw(SECONDS.map(ago) | SECONDS.map(ahead)),
        reason=draw(st.sampled_from([Reason.HANDOVER, Reason.SWAP_FAILED])),
        bound_s=draw(st.sampled_from([120.0, 400.0])),
        is_back=draw(st.booleans()),
        tries=draw(st.integers(1, 3)),
        done_at=done_at,
        ended_at=done_at,
        last_good_at=draw(st.none() | SECONDS.map(ago)),
        first_good_at=draw(st.none() | SECONDS.map(ago)) if done_at is not None else None,
    )


def hosts(number: int) -> st.SearchStrategy[Tenure]:
    """A rental in any state; one that is not known yet is no part of a swap."""
    return tenure(SLOT, number, number).filter(lambda each: each.instance_id is not None)


@st.composite
def with_swaps(draw: st.DrawFn) -> tuple[World, Desired]:
    """One slot with two hosts in any state: they change places, or are about to."""
    old, new = draw(hosts(1)), draw(hosts(2))
    swap = draw(st.none() | swappings())
    if swap is None:
        new = replace(new, prepared_at=ago(60), deployed_at=None)
        if draw(st.booleans()):
            new = replace(new, booted_at=ago(300), conditions=conditions())
    record = SlotRecord(
        slot=SLOT, attempt=2, serial=7, tenure=old, incoming=new, swap=swap, ever_on_air=True,
        healthy_since=draw(st.none() | SECONDS.map(ago)),
        dark_since=draw(st.none() | SECONDS.map(ago)),
        replace_asked_at=ago(600), replace_asked_attempt=1,
    )  # fmt: skip
    assert old.instance_id is not None
    intent = an_intent(IntentKind.SWAP, instance_id=old.instance_id, label=old.label)
    world = a_world(
        record,
        pause=draw(st.none() | st.none() | st.just(a_pause())),
        own_network=draw(st.sampled_from([Status.TRUE, Status.TRUE, Status.FALSE])),
        started_at=ago(draw(st.sampled_from([5, 7200]))),
        intents=draw(st.sampled_from([(), (), (intent,)])),
    )
    return world, a_desire(a_stream(publishers=Publishers.ONE, lull_max_s=0.0))


@given(with_swaps())
def test_a_swap_is_one_order_for_two_hosts_and_none_while_hands_are_tied(
    case: tuple[World, Desired],
) -> None:
    world, desired = case
    plan = reconcile(world, desired, NOW)
    assert reconcile(world, desired, NOW) == plan
    opened = {intent.intent_id: intent for intent in plan.intents_opened}
    records = {**world.records, **{record.slot: record for record in plan.records}}
    paused = world.pause is not None and (world.pause.until is None or world.pause.until > NOW)
    is_tied = paused or not world.is_leader or world.own_network is Status.FALSE
    for act in plan.acts:
        if not isinstance(act, Swap):
            continue
        assert not is_tied
        assert act.slot not in world.in_flight | world.held_slots
        assert opened[act.intent_id].kind is IntentKind.SWAP
        record = records[act.slot]
        assert record.swap is not None
        assert record.tenure is not None
        assert record.incoming is not None
        # Who is to publish is the slot's host, and neither is taken to run until it is done.
        assert (record.tenure.instance_id, record.incoming.instance_id) == (
            act.instance_id,
            act.leaving_id,
        )
        assert act.instance_id != act.leaving_id
    # While it is under way nothing more is begun.
    again = reconcile(applied(world, plan), desired, NOW)
    if not any(act.name == "adopt" for act in plan.acts) and again.fuses == plan.fuses:
        assert [act for act in again.acts if not isinstance(act, Destroy)] == []
