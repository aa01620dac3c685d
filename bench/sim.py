"""How much of a fleet's life a second of CPU simulates, with everything going wrong that can.

Weeks with all faults, two slots as ``keeper sim run`` has them, and half weeks of a fleet of twenty
beside them: a week has as many faults for twenty slots as for two. One core, imports not counted. The
floor is a daemon that only decides: one tick for every interval of the same virtual time, over the same
number of slots that are all well, with nothing around it.
"""

from __future__ import annotations

import asyncio
import gc

from bench.fleet import desire, settled
from bench.measure import Cpu, Row, against, in_turn
from keeper.core.reconcile import reconcile
from keeper.sim.faultplan import preset
from keeper.sim.fleets import DEFAULT_BIDDERS, DEFAULT_STREAMS
from keeper.sim.story import Story, run_seed, storm_s
from tests.builders import NOW

_UNIT = "ms CPU a slot-hour"
_DAYS = 7.0
_SLOTS = sum(DEFAULT_STREAMS.values())
_SLOT_HOURS = _SLOTS * _DAYS * 24
_GOAL_PER_S = 500.0  # slot hours a CPU second
_HOURS_NEEDED_PER_S = (
    60 * 7 * 24 * _SLOTS / (120 * 2)
)  # what `make test` plays, in two minutes on two cores
_PAIRS = 3  # each with a seed of its own: seeds differ
_FLEET = {"duel": 10, "turbo": 10}
_FLEET_DAYS = 2.5
_FLEET_SLOT_HOURS = sum(_FLEET.values()) * _FLEET_DAYS * 24
_FLEET_MACHINES = 160
_GC_EVERY = 100_000  # as ``keeper sim run`` does


async def measure() -> list[Row]:
    before = gc.get_threshold()
    gc.set_threshold(_GC_EVERY)
    try:
        return [*await _default(), await _fleet()]
    finally:
        gc.set_threshold(*before)


async def _default() -> list[Row]:
    seeds = iter(range(1, 2 + _PAIRS))
    desired = desire(_SLOTS)
    world = settled(desired)

    async def ours() -> float:
        with Cpu() as cpu:
            # It brings a loop of its own, which cannot run inside of ours.
            await asyncio.to_thread(run_seed, next(seeds), _DAYS)
        return cpu.seconds / _SLOT_HOURS * 1e3

    async def floor() -> float:
        ticks = int(_DAYS * 86_400 / desired.fleet.tick_interval_s)
        with Cpu() as cpu:
            for _ in range(ticks):
                reconcile(world, desired, NOW)
        return cpu.seconds / _SLOT_HOURS * 1e3

    costs, least = await in_turn(ours, floor, pairs=_PAIRS)
    return [
        against(
            "sim.goal",
            costs,
            [1e3 / _GOAL_PER_S] * _PAIRS,
            goal=1.0,
            unit=_UNIT,
            note=f"beside it: {_GOAL_PER_S:g} slot hours a CPU second",
        ),
        against(
            "sim.needed",
            costs,
            [1e3 / _HOURS_NEEDED_PER_S] * _PAIRS,
            goal=1.0,
            unit=_UNIT,
            note="beside it: 60 seeds of 7 days in 2 minutes on 2 cores, as make test plays them",
        ),
        against(
            "sim.floor",
            costs,
            least,
            goal=None,
            unit=_UNIT,
            note=f"floor: a healthy tick each {desired.fleet.tick_interval_s:g} s, nothing else",
        ),
    ]


async def _fleet() -> Row:
    """A fleet of twenty: what a fault and the marketplace cost is shared by more slots."""
    costs = []
    for seed in range(1, 3):
        story = Story(
            seed=seed,
            duration_s=_FLEET_DAYS * 86_400,
            plan=preset("all", seed=seed, until_s=storm_s(_FLEET_DAYS)),
            streams=_FLEET,
            bidders=DEFAULT_BIDDERS,
            machines=_FLEET_MACHINES,
        )
        with Cpu() as cpu:
            await asyncio.to_thread(story.run)
        costs.append(cpu.seconds / _FLEET_SLOT_HOURS * 1e3)
    return against(
        "sim.fleet",
        costs,
        [1e3 / _GOAL_PER_S] * len(costs),
        goal=1.0,
        unit=_UNIT,
        note=f"20 slots for {_FLEET_DAYS:g} days; beside it: {_GOAL_PER_S:g} a CPU second",
    )
