"""Strays that a person orders about: ended or adopted by name, after two sightings, and no others.

And the list of all reasons for which a rental may end, each with its two witnesses.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from keeper.core.events import InstanceAdopted, InstanceCondemned
from keeper.core.model import Desired, InstanceId, Mode, OrphanPolicy, SlotId
from keeper.core.reasons import Reason
from keeper.core.world import Order, OrderKind, World
from tests.builders import (
    NOW,
    a_desire,
    a_listing,
    a_pause,
    a_record,
    a_stream,
    a_world,
    ago,
    an_instance,
    decide,
    events_of,
    record_after,
)

STRAY = 7700
LABEL = "keeper:other:gone/0:4"


def an_order_about(kind: OrderKind, number: int = STRAY, slot: str | None = None) -> Order:
    place = None if slot is None else SlotId(slot)
    return Order(
        order_id="o1", kind=kind, slot=place, actor="ada", reason="it is ours", at=ago(1),
        instance_id=InstanceId(number),
    )  # fmt: skip


def beside(*orders: Order, label: str = LABEL, seen_s: float = 60.0, **changes: object) -> World:
    """An empty slot, a stray that was first listed so long ago, and somebody else's rental."""
    stray = an_instance(STRAY, label)
    strange = an_instance(7800, "training")
    seen = {stray.instance_id: ago(seen_s), strange.instance_id: ago(seen_s)}
    world = a_world(
        a_record(attempt=2), listing=a_listing(stray, strange), orders=orders,
        orphans_known=frozenset(seen), orphans_seen_at=seen,
    )  # fmt: skip
    return replace(world, **changes)  # type: ignore[arg-type]


END, ADOPT = an_order_about(OrderKind.END), an_order_about(OrderKind.ADOPT, slot="duel/0")
# sentence, world, what is ended
ENDS = [
    ("a stray is ended by name", beside(END), [STRAY]),
    ("not before a second listing has shown it", beside(END, seen_s=5.0), []),
    ("nor when nobody has seen it before", beside(END, orphans_known=frozenset()), []),
    ("a rental without keeper's label is nobody's to end",
     beside(an_order_about(OrderKind.END, 7800)), []),
    ("nor is one that is not there", beside(an_order_about(OrderKind.END, 9999)), []),
    ("without an order it stays", beside(), []),
    ("an order goes before a pause", beside(END, pause=a_pause()), [STRAY]),
    ("a keeper without the lease ends nothing", beside(END, is_leader=False), []),
]  # fmt: skip


@pytest.mark.parametrize(("world", "ended"), [r[1:] for r in ENDS], ids=[r[0] for r in ENDS])
def test_what_an_order_ends(world: World, ended: list[int]) -> None:
    plan = decide(world)
    assert [each.instance_id for each in plan.condemned] == ended
    for each in events_of(plan, InstanceCondemned):
        assert each.reason is Reason.OPERATOR_ASKED
        assert each.label == LABEL


# sentence, world, what sits in duel/0 afterwards
ADOPTIONS = [
    ("a stray is taken into the slot that is named", beside(ADOPT), STRAY),
    ("not before a second listing has shown it", beside(ADOPT, seen_s=5.0), None),
    ("a label of another form will do, for it is keeper's",
     beside(ADOPT, label="keeper:odd"), STRAY),
    ("a rental of somebody else is never adopted",
     beside(an_order_about(OrderKind.ADOPT, 7800, "duel/0")), None),
    ("nor into a slot that is not declared",
     beside(an_order_about(OrderKind.ADOPT, slot="gone/0")), None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("world", "adopted"), [r[1:] for r in ADOPTIONS], ids=[r[0] for r in ADOPTIONS]
)
def test_what_an_order_adopts(world: World, adopted: int | None) -> None:
    plan = decide(world)
    tenure = record_after(world, plan).tenure
    if adopted is None:
        assert events_of(plan, InstanceAdopted) == []
    else:
        assert tenure is not None
        assert (tenure.instance_id, tenure.label) == (adopted, world.listing.instances[0].label)  # type: ignore[union-attr]
    assert plan.condemned == ()


def test_the_numbers_of_later_rentals_are_new() -> None:
    """A label is never given twice, whatever number the adopted one had."""
    world = beside(ADOPT, label="keeper:k1:duel/0:9")
    assert record_after(world, decide(world)).attempt == 9


DESTROY = a_desire(orphans=OrphanPolicy.DESTROY)
QUIET = replace(DESTROY, streams=(a_stream("gone", mode=Mode.OBSERVE),))
# sentence, world, desired, whether the stray is ended as configured
CONFIGURED = [
    ("configured to end strays, keeper does", beside(), DESTROY, True),
    ("not those of a stream that only observes", beside(), QUIET, False),
    ("nor while the fleet is paused", beside(pause=a_pause()), DESTROY, False),
    ("nor while the marketplace cannot be read",
     beside(unreadable_since=ago(5)), DESTROY, False),
    ("an order to adopt goes before the configuration",
     beside(ADOPT), DESTROY, False),
]  # fmt: skip


@pytest.mark.parametrize(
    ("world", "desired", "is_ended"), [r[1:] for r in CONFIGURED], ids=[r[0] for r in CONFIGURED]
)
def test_what_the_configuration_ends(world: World, desired: Desired, is_ended: bool) -> None:
    assert bool(decide(world, desired, NOW).condemned) is is_ended
