"""How much of a fleet's life a second of CPU simulates.

The floor is a daemon that only decides: one tick for every interval of the same virtual time, over
the same number of slots that are all well, with nothing around it.
"""

from __future__ import annotations

import asyncio

from bench.fleet import desire, settled
from bench.measure import Cpu, Row, against, in_turn
from keeper.core.reconcile import reconcile
from keeper.sim.stage import DEFAULT_STREAMS
from keeper.sim.story import run_seed
from tests.builders import NOW

_DAYS = 0.5
_SLOTS = sum(DEFAULT_STREAMS.values())
_SLOT_HOURS = _SLOTS * _DAYS * 24
# Fifty seeds of seven days in five minutes on two cores.
_SLOT_HOURS_NEEDED_PER_S = 50 * 7 * 24 * _SLOTS / (300 * 2)
_PAIRS = 7  # each with a seed of its own: seeds differ


async def measure() -> list[Row]:
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
    unit = "ms CPU a slot-hour"
    needed = [1e3 / _SLOT_HOURS_NEEDED_PER_S] * _PAIRS
    return [
        against(
            "sim.floor",
            costs,
            least,
            goal=None,
            unit=unit,
            note=f"floor: a healthy tick each {desired.fleet.tick_interval_s:g} s, nothing else",
        ),
        against(
            "sim.needed",
            costs,
            needed,
            goal=1.0,
            unit=unit,
            note="beside it: 50 seeds of 7 days in 5 minutes on 2 cores, on this machine",
        ),
    ]
