"""What a tick costs when all is well: deciding, against walking over the same records for nothing.

And what it costs from what the tick before has left standing, against deciding all of it anew.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from bench.fleet import desire, pictures, settled
from bench.measure import Cpu, Row, Side, against, in_turn
from keeper.core.model import Desired, Reading, Status
from keeper.core.reasons import Reason
from keeper.core.reconcile import reconcile
from keeper.core.standing import Standing
from keeper.core.world import World
from tests.builders import NOW

_SLOTS = 1_000


async def measure() -> list[Row]:
    desired, one = desire(_SLOTS), desire(1)
    quiet = settled(desired)
    told = replace(quiet, readings=pictures(quiet))
    alone = settled(one)
    return [
        await _measure(
            "tick.quiet", quiet, desired, 10, f"{_SLOTS} slots on air, nothing new to read"
        ),
        await _measure(
            "tick.pictures", told, desired, 10, f"{_SLOTS} slots on air, a new picture of each"
        ),
        await _measure("tick.one", alone, one, 2_000, "one slot on air, nothing new to read"),
        await _standing(replace(told, readings=(*told.readings, _frozen(told))), desired),
    ]


def _frozen(world: World) -> Reading:
    """Return a bad picture of one slot in the middle."""
    good = world.readings[len(world.readings) // 2]
    return replace(good, status=Status.FALSE, reason=Reason.FROZEN)


async def _standing(world: World, desired: Desired) -> Row:
    standing = Standing()
    for _ in range(2):
        reconcile(replace(world, readings=()), desired, NOW, standing)
    slots = len(world.records)
    ours, anew = await in_turn(
        _side(lambda: reconcile(world, desired, NOW, standing), 20, slots),
        _side(lambda: reconcile(world, desired, NOW), 5, slots),
    )
    return against(
        "tick.stands",
        ours,
        anew,
        goal=None,
        unit="us CPU a slot",
        note=f"beside it: deciding anew; {slots} slots on air, a new picture of each, one is bad",
    )


async def _measure(figure: str, world: World, desired: Desired, times: int, note: str) -> Row:
    slots = len(world.records)
    ours, floor = await in_turn(
        _side(lambda: reconcile(world, desired, NOW), times, slots),
        _side(lambda: _walk(world), times, slots),
    )
    return against(
        figure,
        ours,
        floor,
        goal=None,
        unit="us CPU a slot",
        note=f"floor: walking over the same records; {note}",
    )


def _side(work: Callable[[], object], times: int, slots: int) -> Side:
    async def side() -> float:
        with Cpu() as cpu:
            for _ in range(times):
                work()
        return cpu.us_each(times * slots)

    return side


def _walk(world: World) -> int:
    """Do nothing, to everything: look up each slot's rental and what was said of it."""
    listed = (
        {instance.instance_id: instance for instance in world.listing.instances}
        if (world.listing)
        else {}
    )
    seen = {reading.instance_id: reading for reading in world.readings}
    found = 0
    for record in world.records.values():
        tenure = record.tenure
        if tenure is not None and tenure.instance_id is not None:
            found += tenure.instance_id in listed
            found += tenure.instance_id in seen
    return found
